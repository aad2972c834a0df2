"""The bridge to HyperSpy: a DataArray as a signal, a signal as a DataArray, and signals written to .hspy and .zspy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps import _provenance
from ssbmaps._arrays import is_dask, is_sparse, to_dense
from ssbmaps._conventions import CHANNEL_DIMS, RASTER_DIMS, SPECTRAL_UNITS, canonical, check_array
from ssbmaps._errors import SsbmapsError
from ssbmaps.io import _pixels, _signal_axes, _signal_layout, _signals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import xarray as xr

_UNITS = {"um": "µm"}  # as HyperSpy's scale bars have it


def to_hyperspy(obj: xr.DataArray) -> Any:
    """Give a cube, map or spectrum as a HyperSpy signal.

    Parameters
    ----------
    obj : xarray.DataArray
        Any result of ssbmaps; not changed, and numpy data are copied, because HyperSpy works in place. A spectral dimension
        (or `distance`) becomes the signal axis of a Signal1D, else y and x those of a Signal2D; all others are navigation
        axes. Without any of them the signal is a BaseSignal that has navigation axes only.

    Returns
    -------
    hyperspy.api.signals.BaseSignal
        Signal1D, Signal2D or BaseSignal, with axes of our names: pixel centres in µm, m/z in Da, and so on; uniform where the
        coordinate is evenly spaced to 1e-9 of its step, else a DataAxis. `metadata.General.title` and
        `metadata.Signal.quantity` say what it is; `metadata.ssbmaps` holds all attributes and coordinates for the way back,
        `original_metadata` what the instrument file said. Dask arrays give lazy signals.

    Raises
    ------
    SsbmapsError
        `obj` is no DataArray of real numbers with at least one dimension, or holds coordinates of dates or objects.

    See Also
    --------
    from_hyperspy : The way back, and signals from elsewhere.

    Notes
    -----
    HyperSpy has no sparse signals. A sparse cube gives a lazy signal whose blocks of about 64 MiB are made dense one by one
    as they are needed; the whole is never dense. Pixels that were not measured are 0 in integer cubes, as in ssbmaps;
    `metadata.ssbmaps.coords.measured` marks them.

    `decomposition` asks for floats: ``signal.change_dtype("float64")`` first.

    Examples
    --------
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> coords = {"y": [0.05, 0.15], "x": [0.05, 0.15, 0.25], "mz": [62.9641, 78.9591]}
    >>> cube = xr.DataArray(np.arange(12).reshape(2, 3, 2), coords=coords, dims=("y", "x", "mz"), attrs={"units": "counts"})
    >>> signal = ssbmaps.io.to_hyperspy(cube)
    >>> signal
    <Signal1D, title: , dimensions: (3, 2|2)>
    >>> ssbmaps.io.from_hyperspy(signal).identical(cube)
    True
    """
    import hyperspy.api as hs

    told = as_dictionary(obj, subject="io.to_hyperspy")
    signal_axes = sum(not axis["navigate"] for axis in told["axes"])
    kind = {0: hs.signals.BaseSignal, 1: hs.signals.Signal1D, 2: hs.signals.Signal2D}[signal_axes]
    data = told.pop("data")
    return kind(data, **told).as_lazy() if is_dask(data) else kind(np.array(data), **told)


def as_dictionary(obj: xr.DataArray, *, subject: str) -> dict[str, Any]:
    """The signal as HyperSpy and RosettaSciIO describe it: data (dense, or dask blocks of dense), axes, metadata."""
    check_array(obj, subject=subject)
    if obj.ndim == 0:
        raise SsbmapsError(f"{subject}: a single number has no axis; expected at least one dimension.")
    ordered = canonical(obj)
    signal_dims = _signal_dims(ordered)
    metadata = {
        "General": {"title": str(obj.attrs.get("long_name", obj.name or ""))},
        "Signal": {"quantity": _quantity(obj.attrs), "signal_type": ""},
        "ssbmaps": _signal_layout.encode(ordered, subject=subject),
    }
    return {
        "data": _blocks_of_dense(ordered.data),
        "axes": [_axis(ordered, str(dim), dim not in signal_dims, subject) for dim in ordered.dims],
        "metadata": metadata,
        "original_metadata": _original(obj.attrs),
    }


def _signal_dims(obj: xr.DataArray) -> tuple[str, ...]:
    """The dimensions that become signal axes; canonical order has them last."""
    last = str(obj.dims[-1])
    if last in SPECTRAL_UNITS:
        return (last,)
    if obj.dims[-2:] == RASTER_DIMS:
        return RASTER_DIMS
    return (last,) if last == "distance" else ()


def _quantity(attrs: Mapping[Any, Any]) -> str:
    name, units = str(attrs.get("long_name", "")), str(attrs.get("units", ""))
    return f"{name} ({units})" if name and units else name or units


def _axis(obj: xr.DataArray, dim: str, navigate: bool, subject: str) -> dict[str, Any]:
    """One axis as HyperSpy describes it: uniform if it can be, by number if the dimension has no numbers."""
    n = obj.sizes[dim]
    axis: dict[str, Any] = {"name": dim, "size": n, "navigate": navigate}
    coord = obj.coords.get(dim)
    if coord is None or coord.dtype.kind not in "iuf" or dim in CHANNEL_DIMS:
        return axis
    values = np.asarray(coord.values, np.float64)
    units = coord.attrs.get("units")
    if units:
        axis["units"] = _UNITS.get(str(units), str(units))
    line = _signal_axes.uniform(values)
    if line is not None:
        return {**axis, "offset": line[0], "scale": line[1]}
    if n == 1:
        return {**axis, "offset": float(values[0]), "scale": float(coord.attrs.get("pixel_size_um", 1.0))}
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        raise SsbmapsError(f"{subject}: coordinate {dim} is neither ascending nor descending; sort it with .sortby({dim!r}).")
    return {"name": dim, "navigate": navigate, "axis": values, **({"units": axis["units"]} if units else {})}


def _original(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """The instrument's own metadata as a tree to look at; the text itself is among the attributes."""
    try:
        tree = json.loads(str(attrs.get("original_metadata", "{}")))
    except ValueError:
        return {}
    return _signals.plain_tree(tree) if isinstance(tree, dict) else {}


def _blocks_of_dense(data: Any) -> Any:
    """`data` without sparse containers: those become dask blocks that are made dense when they are needed."""
    if not is_sparse(data):
        return data
    import dask.array as da

    if is_dask(data):
        return data.map_blocks(to_dense, dtype=data.dtype, meta=np.empty((0,) * data.ndim, data.dtype))
    wrap: Any = da.from_array
    lazy = wrap(data, chunks=_signals.blocks(data.shape, data.dtype.itemsize), asarray=False, name=False)
    return lazy.map_blocks(to_dense, dtype=data.dtype, meta=np.empty((0,) * data.ndim, data.dtype))


def from_hyperspy(
    signal: Any,
    *,
    dims: Mapping[str | int, str] | None = None,
    pixel_size: float | tuple[float, float] | None = None,
) -> xr.DataArray:
    """Give a HyperSpy signal as a DataArray that keeps the data contract.

    Parameters
    ----------
    signal : hyperspy.api.signals.BaseSignal
        Made by `to_hyperspy`, or any other; not changed. Lazy signals give dask arrays.
    dims : mapping, optional
        Dimensions of axes whose meaning their names do not tell, by name or by position in the data array, e.g.
        ``{"sig axis": "raman_shift"}`` or ``{0: "scan"}``. If such a spectral axis is calibrated but has no unit, it is taken
        at the contract's (Da, eV, keV, 1/cm, nm).
    pixel_size : float or (float, float), optional
        Pixel size in um, one number or (y, x), for rasters whose axes have no unit of length. Overrides the signal's.

    Returns
    -------
    xarray.DataArray
        A signal made by `to_hyperspy` and not changed comes back identical: data, coordinates, attributes, `history`. Where
        it was cropped, the coordinates are cropped with it; where an axis was changed, coordinates along it are left out with
        a DataQualityWarning, and `history` names the step. What was sparse comes back as dask blocks of `sparse.COO` as long
        as the signal is lazy (``.compute()`` makes one `sparse.COO`). From elsewhere: y and x in um from the corner of the
        map, the signal's own offsets as `stage_y` and `stage_x`, spectral axes ascending in the contract's units.

    Raises
    ------
    FormatError
        An axis has no known meaning or unit, a raster has no pixel size, or the data are complex, colours or ragged.

    Warns
    -----
    DataQualityWarning
        Coordinates that no longer fit were left out.

    See Also
    --------
    to_hyperspy : The other way.

    Notes
    -----
    What HyperSpy does to the values leaves no trace in a signal: attributes such as `units` are those that were sent.

    Examples
    --------
    >>> import numpy as np, hyperspy.api as hs, ssbmaps
    >>> signal = hs.signals.Signal1D(np.ones((2, 3, 4)))
    >>> for axis, name, unit in zip(signal.axes_manager._axes, ("y", "x", "Energy"), ("nm", "nm", "keV")):
    ...     axis.name, axis.units, axis.scale = name, unit, 0.01 if unit == "keV" else 250.0
    >>> cube = ssbmaps.io.from_hyperspy(signal)
    >>> cube.sizes
    Frozen({'y': 2, 'x': 3, 'energy': 4})
    >>> cube.x.values.tolist()
    [0.125, 0.375, 0.625]
    """
    subject = "io.from_hyperspy"
    if not (hasattr(signal, "axes_manager") and hasattr(signal, "metadata") and hasattr(signal, "data")):
        raise SsbmapsError(f"{subject}: expected a HyperSpy signal, got {type(signal).__name__}.")
    told = {
        "data": signal.data,
        "axes": [_described(axis) for axis in signal.axes_manager._axes],
        "metadata": signal.metadata.as_dictionary(),
        "original_metadata": signal.original_metadata.as_dictionary(),
    }
    pixel = _pixels.parse_pixel_size(pixel_size, subject=subject)
    arguments = {"dims": dims, "pixel_size": pixel_size}
    return of_dictionary(told, dims=dims, pixel_size=pixel, subject=subject, arguments=arguments)


def _described(axis: Any) -> dict[str, Any]:
    """An axis of a signal as a dictionary; one that is given by an expression, by its values."""
    line = {"offset": axis.offset, "scale": axis.scale} if axis.is_uniform else {"axis": axis.axis}
    return {"name": axis.name, "units": axis.units, **line}


def of_dictionary(
    told: Mapping[str, Any],
    *,
    dims: Mapping[Any, str] | None,
    pixel_size: tuple[float, float] | None,
    subject: str,
    arguments: Mapping[str, Any],
) -> xr.DataArray:
    """The DataArray of a signal's dictionary that is in memory."""
    parts = _signals.parts(told, dims=dims, subject=subject)
    data = parts.oriented(told["data"])
    if "sparse" in parts.container and is_dask(data):
        import sparse

        meta = sparse.COO.from_numpy(np.zeros((0,) * data.ndim, data.dtype))
        data = data.map_blocks(sparse.COO.from_numpy, dtype=data.dtype, meta=meta)
    elif not is_dask(data):
        data = np.array(data)
    if parts.ours:
        return parts.as_sent(data, pixel_size=pixel_size, arguments=arguments)
    result, pixel = parts.dataarray(data, pixel_size=pixel_size, tilt=None, subject=subject)
    told_arguments = {k: v for k, v in arguments.items() if v is not None}
    name = parts.long_name or None
    _provenance.finish(result, function="io.from_hyperspy", arguments=told_arguments, units=parts.units, long_name=name)
    technique = {"technique": parts.technique} if parts.technique != "unknown" else {}
    result.attrs |= {**technique, **parts.attrs, **({"pixel_size_source": pixel.source} if pixel else {})}
    result.attrs["original_metadata"] = json.dumps(parts.metadata, ensure_ascii=False)
    return result


def write_hyperspy(obj: xr.DataArray, path: Path) -> None:
    """Write a DataArray as a new file `path`, .hspy or .zspy by its ending, block by block if it is dask or sparse."""
    from ssbmaps.io import _signal_files

    _signal_files.write(as_dictionary(obj, subject=f"io.save of {path.name}"), path)
