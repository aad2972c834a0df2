"""Maps, labels and outlines as napari layers: plain tuples, which napari and its plugins take; napari itself is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_dask, is_sparse, to_dense
from ssbmaps._conventions import CHANNEL_DIMS, RASTER_DIMS, SPECTRAL_UNITS, canonical, measured_mask, pixel_size
from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    import xarray as xr

_COLOURS = ("magenta", "green", "cyan", "yellow", "red", "blue")  # colormaps that napari has by these names
_TOLD = ("units", "long_name", "technique", "polarity", "source", "history")
_OUTLINE = ("vertex_y", "vertex_x", "vertex_segment")
_SUBJECT = "io.to_napari"


def to_napari(obj: xr.DataArray | xr.Dataset) -> list[tuple[Any, dict[str, Any], str]]:
    """Give maps, labels and outlines as layers for napari.

    Parameters
    ----------
    obj : xarray.DataArray or xarray.Dataset
        Anything with dims y and x, in um, and of a Dataset every variable that has them; not changed. The outlines of a
        result of `interfaces.measure_interphase` become shapes.

    Returns
    -------
    list of tuple
        Layers as (data, options, type), napari's `LayerDataTuple`, which its reader plugins return, too;
        ``viewer.add_layer(napari.layers.Layer.create(*layer))`` shows one. An image layer for each map, y and x last; maps
        along `fragment` (or another channel dimension) are a layer each, named after it, in colours that add up. A spectral
        dimension becomes the first axis, by number. int16 maps with `flag_values` are a labels layer, with the names of their
        values as features. Outlines are a shapes layer of paths in um. Options: `name`, `scale` and `translate` in um
        (napari's origin is the centre of the first pixel), `units`, `axis_labels`, `metadata`, and for channels `colormap`
        and `blending`.

    Raises
    ------
    SsbmapsError
        There are no dims y and x, or no pixel size.

    Notes
    -----
    Pixels that were not measured are NaN, so integer maps that have some become float64; labels stay as they are. Dask arrays
    stay lazy, and sparse cubes become dask arrays of single channels, made dense when they are looked at. `units` and
    `axis_labels` are options since napari 0.5.

    Examples
    --------
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> coords = {"fragment": ["PO2-", "PO3-"], "y": [0.1, 0.3], "x": [0.05, 0.15, 0.25]}
    >>> maps = xr.DataArray(np.ones((2, 2, 3)), coords=coords, dims=("fragment", "y", "x"))
    >>> data, options, kind = ssbmaps.io.to_napari(maps)[1]
    >>> options["name"], kind, [round(s, 6) for s in options["scale"]], options["translate"]
    ('PO3-', 'image', [0.2, 0.1], [0.1, 0.05])
    """
    import xarray as xr

    if isinstance(obj, xr.DataArray):
        return _layers(obj, str(obj.name or obj.attrs.get("long_name", "map")))
    if not isinstance(obj, xr.Dataset):
        raise SsbmapsError(f"{_SUBJECT}: expected an xarray.DataArray or Dataset, got {type(obj).__name__}.")
    layers = [
        layer
        for name, variable in obj.data_vars.items()
        if set(RASTER_DIMS) <= set(variable.dims) and variable.dtype.kind in "biuf"
        for layer in _layers(variable, str(name), prefix=f"{name} ")
    ]
    if all(name in obj.variables for name in _OUTLINE):
        layers.append(_outlines(obj))
    if not layers:
        raise SsbmapsError(f"{_SUBJECT}: no variable has dims y and x, and there is no outline; got {', '.join(map(str, obj))}.")
    return layers


def _layers(map_: xr.DataArray, name: str, prefix: str = "") -> list[tuple[Any, dict[str, Any], str]]:
    """The layers of one variable: one for each channel, whose names `prefix` tells apart from other variables'."""
    if not set(RASTER_DIMS) <= set(map_.dims):
        raise SsbmapsError(f"{_SUBJECT}: expected dims y and x, got {tuple(map_.dims)}.")
    ordered = canonical(map_)
    spectral = [d for d in ordered.dims if d in SPECTRAL_UNITS]
    channels = [str(d) for d in ordered.dims if d in CHANNEL_DIMS]
    ordered = ordered.transpose(*channels, ..., *spectral, *RASTER_DIMS)
    if "flag_values" in map_.attrs and map_.dtype.kind in "iu":
        return [_labels(ordered, name)]
    data = _with_gaps(ordered)
    if not channels:
        return [(data, _options(ordered, name), "image")]
    channel = channels[0]
    names = ordered.coords[channel].values if channel in ordered.coords else range(ordered.sizes[channel])
    colours = {"blending": "additive"} if ordered.sizes[channel] > 1 else {}
    return [
        (
            data[i],
            _options(ordered.isel({channel: i}), f"{prefix}{n}") | colours | {"colormap": _COLOURS[i % len(_COLOURS)]},
            "image",
        )
        for i, n in enumerate(names)
    ]


def _options(map_: xr.DataArray, name: str) -> dict[str, Any]:
    """Name, place and metadata of a layer; the raster in um, all other axes by number."""
    dims = [str(d) for d in map_.dims]
    size = pixel_size(map_, subject=_SUBJECT)
    first = [float(map_.coords[d].values[0]) for d in RASTER_DIMS]
    others = len(dims) - 2
    return {
        "name": name,
        "scale": [*[1.0] * others, *size],
        "translate": [*[0.0] * others, *first],
        "units": [*["pixel"] * others, "um", "um"],
        "axis_labels": dims,
        "metadata": {k: map_.attrs[k] for k in _TOLD if k in map_.attrs},
    }


def _with_gaps(map_: xr.DataArray) -> Any:
    """The data, dense or dask blocks of dense, NaN where a pixel was not measured."""
    data = map_.data
    if is_sparse(data):
        import dask.array as da

        if not is_dask(data):
            wrap: Any = da.from_array
            planes = (*[1] * (data.ndim - 2), *data.shape[-2:])
            data = wrap(data, chunks=planes, asarray=False, name=False)
        data = data.map_blocks(to_dense, dtype=data.dtype, meta=np.empty((0,) * data.ndim, data.dtype))
    mask = measured_mask(map_)
    if mask is None or mask.all():
        return data
    gaps = np.where(mask, 0.0, np.nan)
    return data + gaps if is_dask(data) else np.asarray(data) + gaps


def _labels(map_: xr.DataArray, name: str) -> tuple[Any, dict[str, Any], str]:
    """A labels layer; the meanings of its values are features that napari shows under the pointer."""
    values = [int(v) for v in np.atleast_1d(map_.attrs["flag_values"])]
    meanings = str(map_.attrs.get("flag_meanings", "")).split()
    options = _options(map_, name)
    if len(meanings) == len(values):
        options["features"] = {"index": values, "label": meanings}
    return to_dense(map_.data), options, "labels"


def _outlines(result: xr.Dataset) -> tuple[Any, dict[str, Any], str]:
    """A shapes layer: a path for each segment of the outline, in um."""
    y, x, segment = (np.asarray(result[name].values) for name in _OUTLINE)
    ends = np.flatnonzero(np.diff(segment)) + 1
    pieces = np.split(np.stack([y, x], axis=1).astype(np.float64), ends)
    numbers = [int(n) for n in segment[np.concatenate([[0], ends])]] if len(segment) else []
    kept = [(p, n) for p, n in zip(pieces, numbers, strict=False) if len(p) > 1]
    options = {
        "name": "outline",
        "shape_type": "path",
        "edge_width": 0.05,
        "edge_color": "white",
        "features": {"segment": [n for _, n in kept]},
        "scale": [1.0, 1.0],
        "translate": [0.0, 0.0],
        "units": ["um", "um"],
        "axis_labels": list(RASTER_DIMS),
        "metadata": {k: result.attrs[k] for k in _TOLD if k in result.attrs},
    }
    return [p for p, _ in kept], options, "shapes"
