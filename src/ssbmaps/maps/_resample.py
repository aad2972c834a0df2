"""Bring a map onto the pixels of another: counts by area, intensities averaged or interpolated, names by majority."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ssbmaps._arrays import from_csr, is_dask, is_sparse, to_csr, to_dense
from ssbmaps._conventions import RASTER_DIMS, TRAVELLING_ATTRS, canonical, check_array, measured_mask, pixel_size
from ssbmaps._errors import Faults, RegistrationError, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.maps._transform import Transform

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.maps._resample_weights import Weights

    Floats = NDArray[np.float64]
    Pair = tuple[float, float]

_X = TypeVar("_X", "xr.DataArray", "xr.Dataset")

_SUBJECT = "maps.resample"
_OWN = ("units", "long_name", *TRAVELLING_ATTRS)
_KEPT = ("flag_values", "flag_meanings", "notes", "summed")
_WANTED = "expected a DataArray or Dataset with y and x"


def resample(moving: _X, transform: Transform, *, like: xr.DataArray | xr.Dataset, coverage: float = 1.0) -> _X:
    """Bring maps or cubes onto the pixels of another map: counts shared out by area, so that totals are kept.

    Where measured pixels of `moving` cover less than `coverage` of a pixel, the result is not measured: False in the coordinate
    `measured`. Counts keep there what fell on the pixel, so that their total is kept to rounding, and NaN stands where nothing
    could fall; intensities are NaN. With ``coverage=0`` every pixel that is touched counts as measured.

    Parameters
    ----------
    moving : xarray.DataArray or xarray.Dataset
        Anything with y and x in um, and other dimensions as they come: maps, series, spectral cubes; dense, sparse or dask.
        Variables of a Dataset without y and x pass unchanged. Pixels not in the coordinate `measured` take no part, nor do
        NaN and infinite values.
    transform : Transform
        From um of `moving` to um of `like`.
    like : xarray.DataArray or xarray.Dataset
        The map whose pixels are wanted; only its coordinates y and x are used.
    coverage : float, optional
        Share of a pixel's area, 0 to 1, that measured pixels of `moving` must cover. A millionth may be missing to rounding.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        As `moving`, in canonical order, on exactly the y and x of `like`, float64 (names keep their type). Sparse stays sparse
        and holds 0 where it is not measured; dask stays lazy. Coordinates (y, x): ``measured``; ``position_sd``, um, the
        standard deviation of where a pixel's content comes to lie, root mean square of the two directions;
        ``counts_variance_factor`` beside counts; ``coverage`` where less than 1 is asked for. Other coordinates along y or x, and
        the stage position, are those of `moving` and are left out.

    Raises
    ------
    RegistrationError
        If the moved map does not overlap `like`, or covers no pixel of it as far as is asked for.
    SsbmapsError
        If a map has no pixel size or is not evenly spaced, or `transform` or `coverage` is not what it should be.

    Notes
    -----
    *Counts* (units "counts", or whole numbers without a unit) are shared among the pixels that the moved pixel, a quadrilateral,
    overlaps, in proportion to the exact area in common. Neighbours then share counts: they are correlated, no longer Poisson,
    and quieter than their mean: in an even map var = ``counts_variance_factor`` × counts. Sums over regions many pixels wide
    vary as before.
    *Intensities* (any other unit) are averaged over the pixel by area. Where moving pixels are larger than those of `like` both
    ways, they are interpolated linearly between their centres, so that no staircase appears; shifted maps of equal pixels give
    the same by both rules. Nothing is extrapolated beyond the outer edge of a measured pixel.
    *Names* (``flag_values``, bool, or whole numbers in units of 1, such as particle numbers) go by the largest area, the lower
    of equals, and are 0 where not measured.
    ``<name>_sd`` in a Dataset that holds ``<name>`` is carried as the error of independent pixels.
    The weights are made once for all channels; they take about 30 bytes for each pixel of the finer map, and five times that
    while they are made. Under a displacement the corners of pixels move, with straight sides between them.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.maps import Transform, resample
    >>> row = {"y": ("y", [0.5], {"units": "um", "pixel_size_um": 1.0}), "x": ("x", [0.5, 1.5, 2.5], {"units": "um"})}
    >>> counts = xr.DataArray([[4, 8, 0]], row, ("y", "x"), attrs={"units": "counts"})
    >>> half = Transform([[1, 0, 0], [0, 1, 0.5]], np.zeros((6, 6)))
    >>> moved = resample(counts, half, like=counts)
    >>> moved.values.tolist(), moved.measured.values.tolist()
    ([[2.0, 6.0, 4.0]], [[False, True, True]])
    """
    import xarray as xr

    share = _checked(moving, transform, like, coverage)
    weights, position_sd = _weights(moving, transform, like, share)
    kinds = _kinds(moving)
    coords = {d: like.coords[d] for d in RASTER_DIMS} | _planes(weights, position_sd, share, "counts" in kinds.values())
    shape = (like.sizes["y"], like.sizes["x"])
    field = transform._field
    options: dict[str, Any] = {
        "function": _SUBJECT,
        "arguments": {
            "moving": moving,
            "transform": {"matrix": transform.matrix[:2], "displacement": None if field is None else field.value},
            "like": like,
            "coverage": share,
        },
        "sources": [moving, xr.Dataset(attrs={"history": str(transform.attrs.get("history", ""))})],
        "long_name": moving.attrs.get("long_name"),
    }
    if isinstance(moving, xr.Dataset):
        items = {str(n): v for n, v in moving.data_vars.items()}
        made = {n: _one(v, weights, kinds[n], shape, coords) if n in kinds else _unmoved(v) for n, v in items.items()}
        return finish(xr.Dataset(made), **options)
    one = _one(moving, weights, kinds[""], shape, coords)
    kept = {k: v for k, v in one.attrs.items() if k in _KEPT}
    return finish(one, units=moving.attrs.get("units"), **options).assign_attrs(kept)


def _planes(weights: Weights, position_sd: Floats, share: float, counts: bool) -> dict[str, Any]:
    """Coordinates (y, x) that tell what a pixel's value rests on."""
    shape = position_sd.shape
    planes: dict[str, tuple[tuple[str, ...], NDArray[Any], dict[str, str]]] = {
        "measured": (RASTER_DIMS, weights.enough.reshape(shape), {"long_name": "covered by measured pixels"}),
        "position_sd": (RASTER_DIMS, position_sd, {"units": "um", "long_name": "standard deviation of the position"}),
    }
    if share < 1:
        attrs = {"units": "1", "long_name": "share of the pixel that measured pixels cover"}
        planes["coverage"] = (RASTER_DIMS, weights.coverage.reshape(shape), attrs)
    if counts:
        attrs = {"units": "1", "long_name": "variance over counts, in an even map of Poisson counts"}
        planes["counts_variance_factor"] = (RASTER_DIMS, weights.variance_factor.reshape(shape), attrs)
    return planes


def _checked(moving: Any, transform: Any, like: Any, coverage: Any) -> float:
    """Everything that does not need the grids; the share that must be covered."""
    import xarray as xr

    with Faults(_SUBJECT) as faults:
        for name, value in (("moving", moving), ("like", like)):
            known = bool(isinstance(value, (xr.DataArray, xr.Dataset)))
            if faults.expect(known, f"{name} is of type {type(value).__name__}; {_WANTED}."):
                missing = [d for d in RASTER_DIMS if d not in value.dims]
                faults.expect(not missing, f"{name} has no {' and no '.join(missing)}; {_WANTED}.")
        text = "expected an ssbmaps.maps.Transform, from ssbmaps.maps.register or of your own numbers"
        faults.expect(isinstance(transform, Transform), f"transform is of type {type(transform).__name__}; {text}.")
        number = bool(isinstance(coverage, (int, float, np.number)) and not isinstance(coverage, bool) and 0 <= coverage <= 1)
        faults.expect(number, f"coverage={coverage!r}; expected a share of a pixel's area, 0 to 1.")
    for name, value in _rasters(moving).items():
        check_array(value, subject=f"{_SUBJECT}: {name or 'moving'}")
    if isinstance(moving, xr.Dataset):
        partly = [str(n) for n, v in moving.data_vars.items() if len(set(RASTER_DIMS) & set(v.dims)) == 1]
        if partly:
            text = "which says nothing on another grid. Leave it out with .drop_vars()"
            raise SsbmapsError(f"{_SUBJECT}: {', '.join(partly)} lies along only one of y and x, {text}.")
    if not _rasters(moving):
        raise SsbmapsError(f"{_SUBJECT}: no variable of moving has y and x; expected at least one map.")
    return float(coverage)


def _rasters(moving: xr.DataArray | xr.Dataset) -> dict[str, xr.DataArray]:
    """Variables with y and x; a DataArray goes by the name ""."""
    import xarray as xr

    if isinstance(moving, xr.Dataset):
        return {str(n): v for n, v in moving.data_vars.items() if set(RASTER_DIMS) <= set(v.dims)}
    return {"": moving}


def _kinds(moving: xr.DataArray | xr.Dataset) -> dict[str, str]:
    """For each variable with y and x, which rule it goes by."""
    rasters = _rasters(moving)
    kinds = {name: _kind(value) for name, value in rasters.items()}
    for name in kinds:
        base = name.removesuffix("_sd")
        if base != name and kinds.get(base) in ("counts", "mean"):
            kinds[name] = f"{kinds[base]}_sd"
    return kinds


def _kind(values: xr.DataArray) -> str:
    units, whole = values.attrs.get("units"), values.dtype.kind in "iu"
    if values.dtype.kind == "b" or "flag_values" in values.attrs or (whole and units == "1"):
        return "names"
    return "counts" if units == "counts" or (whole and units is None) else "mean"


def _weights(
    moving: xr.DataArray | xr.Dataset, transform: Transform, like: xr.DataArray | xr.Dataset, share: float
) -> tuple[Weights, Floats]:
    """What each pixel of `like` gets from where, and how well the place is known (y, x), um."""
    from ssbmaps.maps._resample_weights import Weights, between_centres, overlaps

    pixel, first, shape = _grid(moving, "moving")
    own_pixel, own_first, own_shape = _grid(like, "like")
    edges = [f + (np.arange(n + 1) - 0.5) * p for f, p, n in zip(first, pixel, shape, strict=True)]
    corners = transform._moved(*np.broadcast_arrays(edges[0][:, None], edges[1][None, :]))
    y, x = ((c - f) / p + 0.5 for c, f, p in zip(corners, own_first, own_pixel, strict=True))
    area, size = overlaps(y, x, own_shape)
    if area.nnz == 0:
        raise RegistrationError(f"{_SUBJECT}: the moved map does not overlap `like`: {_extents(corners, like)}")
    centres = (f + np.arange(n) * p for f, p, n in zip(own_first, own_pixel, own_shape, strict=True))
    places = transform._origin(*np.meshgrid(*centres, indexing="ij"))
    linear = None
    if _larger(transform.matrix, pixel, own_pixel):
        row, column = ((p - f) / s for p, f, s in zip(places, first, pixel, strict=True))
        linear = between_centres(row, column, shape)
    mask = measured_mask(moving)
    measured = np.ones(shape, bool) if mask is None else mask
    weights = Weights(area, size, measured.ravel(), share, linear)
    if not weights.enough.any():
        raise RegistrationError(
            f"{_SUBJECT}: measured pixels of the moved map cover at most {weights.coverage.max():.3g} of any pixel of `like`; "
            f"expected {share:g} of at least one. Give a smaller coverage=, or a grid with smaller pixels."
        )
    var_y, var_x, _ = transform._spread(*places)
    return weights, np.where(weights.enough.reshape(own_shape), np.sqrt((var_y + var_x) / 2), np.nan)


def _grid(obj: xr.DataArray | xr.Dataset, name: str) -> tuple[Pair, Pair, tuple[int, int]]:
    """Pixel size, first centre (y, x) in um, and shape."""
    size = pixel_size(obj, subject=f"{_SUBJECT}: {name}")
    first = [float(obj.coords[d].values[0]) for d in RASTER_DIMS]
    return size, (first[0], first[1]), (obj.sizes["y"], obj.sizes["x"])


def _larger(matrix: Floats, pixel: Pair, own: Pair) -> bool:
    """Whether moved pixels are larger than those of the grid, both ways."""
    return bool((np.hypot(matrix[0, :2], matrix[1, :2]) * pixel).min() > max(own))


def _extents(corners: tuple[Floats, Floats], like: xr.DataArray | xr.Dataset) -> str:
    if not np.isfinite(corners[0]).any():
        return "the displacement of the transform is known nowhere on it."
    moved = ", ".join(f"{d} {np.nanmin(c):.4g} to {np.nanmax(c):.4g} um" for d, c in zip(RASTER_DIMS, corners, strict=True))
    ends = {d: like.coords[d].values[[0, -1]] for d in RASTER_DIMS}
    own = ", ".join(f"{d} {low:.4g} to {high:.4g} um" for d, (low, high) in ends.items())
    hint = "Is it the inverse of the transform that was meant?"
    return f"it comes to lie at {moved}, the centres of the pixels of `like` lie at {own}. {hint}"


def _one(values: xr.DataArray, weights: Weights, kind: str, shape: tuple[int, int], coords: dict[str, Any]) -> xr.DataArray:
    """One variable on the grid."""
    import xarray as xr

    ordered = canonical(values)
    axes = (ordered.get_axis_num("y"), ordered.get_axis_num("x"))
    rule = partial(_block, weights=weights, kind=kind, axes=axes, shape=shape)
    data = _lazy(ordered.data, rule, kind, axes, shape) if is_dask(ordered.data) else rule(ordered.data)
    other = {
        str(k): v for k, v in ordered.coords.items() if not set(RASTER_DIMS) & set(v.dims) and not str(k).startswith("stage_")
    }
    result = xr.DataArray(data, {**other, **coords}, ordered.dims, name=values.name)
    return result.assign_attrs({k: values.attrs[k] for k in (*_OWN, *_KEPT) if k in values.attrs})


def _lazy(data: Any, rule: Any, kind: str, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Blocks that hold whole maps, a few channels at a time."""
    whole = data.rechunk({i: -1 if i in axes else "auto" for i in range(data.ndim)})
    chunks = [(shape[axes.index(i)],) if i in axes else c for i, c in enumerate(whole.chunks)]
    dtype = data.dtype if kind == "names" else np.dtype(np.float64)
    empty = np.empty((0,) * data.ndim, dtype)
    if is_sparse(data) and kind in ("counts", "mean"):
        import sparse

        empty = sparse.COO.from_numpy(empty)
    return whole.map_blocks(rule, dtype=dtype, chunks=tuple(chunks), meta=empty)


def _unmoved(values: xr.DataArray) -> xr.DataArray:
    """A variable without y and x, less coordinates that belong to the old place."""
    return values.drop_vars([n for n in values.coords if str(n).startswith("stage_")]).copy()


def _block(data: Any, *, weights: Weights, kind: str, axes: tuple[int, int], shape: tuple[int, int]) -> Any:
    """An array with rows and columns along `axes`, on the grid."""
    if is_sparse(data) and kind in ("counts", "mean"):
        order = (*axes, *(i for i in range(data.ndim) if i not in axes))
        turned = data.transpose(order)
        flat = turned.reshape((len(weights.size), -1))
        made = from_csr(weights.sparse(to_csr(flat), counts=kind == "counts"), (int(np.prod(shape)), flat.shape[1]))
        return made.reshape((*shape, *turned.shape[2:])).transpose(tuple(np.argsort(order)))
    maps = np.moveaxis(to_dense(data), axes, (-2, -1))
    leading = maps.shape[:-2]
    made = np.empty((*leading, *shape), maps.dtype if kind == "names" else np.float64)
    for index in np.ndindex(*leading):
        made[index] = getattr(weights, kind)(maps[index].ravel()).reshape(shape)
    return np.moveaxis(made, (-2, -1), axes)
