"""Spectra at scattered points sorted into the cells of a map; nothing is interpolated."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps import _arrays, _conventions, _provenance
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps.io import _raster, _stage

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_MOST = 100  # cells for each point; more is a mistake in the unit of the spacing
_SUBJECT = "io.grid"


def grid(points: xr.DataArray, *, spacing: float | tuple[float, float] | None = None) -> xr.DataArray:
    """Make a map of spectra, or other values, that lie at points.

    Every point falls into the cell that holds it. The first cells are centred on the uppermost and on the leftmost point, so
    that points of an even raster lie in the middle of their cells. Cells hold their upper and left edge, not the others.

    Parameters
    ----------
    points : xarray.DataArray
        Values with a dimension ``point`` and any others, e.g. (point, raman_shift). Coordinates along ``point``, in um:
        ``stage_y`` and ``stage_x`` where both are there, else ``y`` and ``x``.
    spacing : float or (float, float), optional
        Size of the cells in um, one number or (y, x). Default: that of the even raster on which all points lie; there may be
        gaps in it.

    Returns
    -------
    xarray.DataArray
        Dims (y, x) in place of ``point``. Cells without a point are not measured: ``measured`` (y, x) is False there, and
        dense float data are NaN (whole numbers and sparse data are 0). Of several points in a cell, float data are averaged and
        whole numbers, which are counts, are summed; the coordinate ``n_points`` (y, x) says how many there were. ``stage_y``
        and ``stage_x`` are the places of the rows and columns. Attributes and the coordinates of other dimensions are kept;
        other coordinates along ``point`` are not. A NaN makes the mean of its cell NaN.

    Raises
    ------
    SsbmapsError
        `points` has no dimension ``point`` or no usable positions, the points lie on no even raster and `spacing` is not given,
        or there would be more than 100 cells for each point.

    Warns
    -----
    DataQualityWarning
        More than half of the cells are empty, or more than half of the points share a cell with another one; counts of several
        points are summed.

    Examples
    --------
    Four spectra of two channels; the third place of a raster of 2 x 2 has none, another one has two:

    >>> import numpy as np, xarray as xr, ssbmaps
    >>> points = xr.DataArray(
    ...     np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]),
    ...     dims=("point", "raman_shift"),
    ...     coords={"y": ("point", [0.0, 0.0, 2.0, 2.1]), "x": ("point", [0.0, 2.0, 2.0, 2.0]), "raman_shift": [500.0, 501.0]},
    ...     attrs={"units": "counts"},
    ... )
    >>> made = ssbmaps.io.grid(points, spacing=2.0)
    >>> made.sel(raman_shift=500.0).values
    array([[ 1.,  3.],
           [nan,  6.]])
    >>> made["n_points"].values
    array([[1, 1],
           [0, 2]])
    """
    import xarray as xr

    y, x = _positions(points)
    size = _spacing(spacing, y, x)
    row, column = (np.floor((v - v.min()) / step + 0.5) for v, step in zip((y, x), size, strict=True))
    shape = _shape(row, column, size, y, x)
    place = (row * shape[1] + column).astype(np.int64)
    number = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
    _judge(y, x, size, number, counts=points.dtype.kind in "iu")
    rest = [d for d in points.dims if d != "point"]
    kept = {
        n: c.variable for n, c in points.coords.items() if "point" not in c.dims and n not in ("y", "x", "stage_y", "stage_x")
    }
    coords: dict[Any, Any] = {
        **kept,
        **_conventions.raster_coords(shape, size),
        **_stage.stage("stage_y", "y", y.min() + np.arange(shape[0]) * size[0]),
        **_stage.stage("stage_x", "x", x.min() + np.arange(shape[1]) * size[1]),
    }
    if not number.all():
        coords["measured"] = (("y", "x"), number > 0, {"long_name": "whether the pixel was measured"})
    if number.max() > 1:
        coords["n_points"] = (("y", "x"), number, {"units": "1", "long_name": "number of points in the cell"})
    data = _sorted_in(points.transpose("point", *rest).data, place, number)
    result = _conventions.canonical(xr.DataArray(data, dims=("y", "x", *rest), coords=coords))
    _provenance.finish(result, function=_SUBJECT, arguments={"spacing": spacing}, sources=[points])
    source = "io.grid: the even raster of the points" if spacing is None else "io.grid: spacing"
    result.attrs = {**points.attrs, **result.attrs, "pixel_size_source": source}
    return result


def _positions(points: xr.DataArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions (um) along y and x, the stage's if it has both; checked."""
    _conventions.check_array(points, subject=_SUBJECT, dims=("point",))
    both = all(f"stage_{d}" in points.coords and points.coords[f"stage_{d}"].dims == ("point",) for d in "yx")
    found: list[NDArray[np.float64]] = []
    with Faults(_SUBJECT) as faults:
        crowded = [d for d in ("y", "x") if d in points.dims]
        faults.expect(not crowded, f"dimension {', '.join(crowded)} is there beside point; expected a point for each position.")
        for name in ("stage_y", "stage_x") if both else ("y", "x"):
            there = name in points.coords and points.coords[name].dims == ("point",)
            if not faults.expect(there, f"coordinate {name} along point is missing; expected the position of each point in um."):
                continue
            unit = points.coords[name].attrs.get("units", "um")
            faults.expect(unit == "um", f"coordinate {name} is in {unit!r}, expected 'um'. Convert it first.")
            values = np.asarray(points.coords[name].values, np.float64)
            faults.expect(bool(np.isfinite(values).all()), f"coordinate {name} holds NaN or infinity: a position is not known.")
            found.append(values)
    return found[0], found[1]


def _spacing(spacing: Any, y: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[float, float]:
    """Size (y, x) of the cells in um: the caller's, or the step of the raster on which all points lie."""
    if spacing is not None:
        pair = np.asarray(spacing if np.ndim(spacing) else [spacing, spacing])
        if pair.shape != (2,) or pair.dtype.kind not in "iuf" or not (np.isfinite(pair).all() and (pair > 0).all()):
            raise SsbmapsError(f"{_SUBJECT}: spacing is {spacing!r}; expected um above 0, one number or (y, x).")
        return float(pair[0]), float(pair[1])
    found = _raster.levels(y), _raster.levels(x)
    steps = [f.step if f is not None else 0.0 for f in found]
    if min(steps) > 0:
        return steps[0], steps[1]
    why = "lie on one line" if None not in found else "do not lie on an even raster (to 1 % of its step)"
    raise SsbmapsError(f"{_SUBJECT}: the points {why}. Give the size of the cells in um, spacing=; {_hint(y, x)}.")


def _shape(
    row: NDArray[np.float64],
    column: NDArray[np.float64],
    size: tuple[float, float],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
) -> tuple[int, int]:
    """Number of cells (y, x), as long as that is reasonable."""
    cells = (row.max() + 1) * (column.max() + 1)
    if cells > _MOST * len(y):
        raise SsbmapsError(
            f"{_SUBJECT}: cells of {size[0]:.9g} x {size[1]:.9g} um make {cells:.0f} of them for {len(y)} points. Give a larger "
            f"spacing= in um; {_hint(y, x)}."
        )
    return int(row.max()) + 1, int(column.max()) + 1


def _hint(y: NDArray[np.float64], x: NDArray[np.float64]) -> str:
    """How far apart the points are."""
    from scipy.spatial import cKDTree

    if len(y) < 2:
        return "there is one point only"
    nearest = cKDTree(np.stack([y, x], axis=1)).query(np.stack([y, x], axis=1), k=2)[0][:, 1]
    return f"the median distance to the nearest other point is {np.median(nearest):.4g} um"


def _judge(
    y: NDArray[np.float64], x: NDArray[np.float64], size: tuple[float, float], number: NDArray[np.int64], *, counts: bool
) -> None:
    """Warn where the spacing does not suit the points."""
    empty, shared = int((number == 0).sum()), int(number[number > 1].sum())
    cells = f"cells of {size[0]:.9g} x {size[1]:.9g} um"
    if 2 * empty > number.size:
        _warn(f"{empty} of {number.size} {cells} hold no point; {_hint(y, x)}.")
    if 2 * shared > len(y):
        _warn(f"{shared} of {len(y)} points share one of the {cells} with others; {_hint(y, x)}.")
    if counts and shared:
        _warn(f"the counts of {shared} points that share {cells} are summed; n_points says how many are in each.")


def _warn(text: str) -> None:
    warnings.warn(f"{_SUBJECT}: {text}", DataQualityWarning, stacklevel=4)


def _sorted_in(data: Any, place: NDArray[np.int64], number: NDArray[np.int64]) -> Any:
    """(point, …) data of any container as (y, x, …); dask stays lazy."""
    if not _arrays.is_dask(data):
        return _sort_in(data, place, number)
    whole = data.rechunk({0: -1})
    dtype = _dtype(data.dtype, number)
    chunks = ((number.shape[0],), (number.shape[1],), *whole.chunks[1:])
    none: Any = np.empty((0,) * len(chunks), dtype)
    if _arrays.is_sparse(data):
        import sparse

        none = sparse.COO(none)
    return whole.map_blocks(_sort_in, place, number, dtype=dtype, chunks=chunks, drop_axis=0, new_axis=[0, 1], meta=none)


def _dtype(dtype: np.dtype[Any], number: NDArray[np.int64]) -> np.dtype[Any]:
    """Floats keep their type; sums of counts get 64 bits."""
    return dtype if dtype.kind == "f" or number.max(initial=0) < 2 else _arrays.sum_dtype(dtype)


def _sort_in(data: Any, place: NDArray[np.int64], number: NDArray[np.int64]) -> Any:
    """(point, …) values into the cells `place` of a map: means of floats, sums of whole numbers."""
    shape, dtype = (*number.shape, *data.shape[1:]), _dtype(data.dtype, number)
    if _arrays.is_sparse(data):
        return _sort_in_sparse(data.asformat("coo"), place, number, shape, dtype)
    flat = np.asarray(data).reshape(len(place), -1)
    result = np.zeros((number.size, flat.shape[1]), dtype)
    if dtype.kind == "f":
        result[number.reshape(-1) == 0] = np.nan
    if number.max(initial=0) < 2:
        result[place] = flat
        return result.reshape(shape)
    order = np.argsort(place, kind="stable")
    cells, starts = np.unique(place[order], return_index=True)
    sums = np.add.reduceat(flat[order], starts, axis=0, dtype=_arrays.sum_dtype(dtype))
    result[cells] = sums / number.reshape(-1)[cells, None] if dtype.kind == "f" else sums
    return result.reshape(shape)


def _sort_in_sparse(
    data: Any, place: NDArray[np.int64], number: NDArray[np.int64], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Any:
    """The same of a `sparse.COO`, whose empty cells are 0."""
    import sparse

    cell = place[data.coords[0]]
    values = data.data.astype(_arrays.sum_dtype(dtype)) if number.max(initial=0) > 1 else data.data
    if dtype.kind == "f" and number.max(initial=0) > 1:
        values = values / number.reshape(-1)[cell]
    coords = (
        np.stack([*np.unravel_index(cell, number.shape), *data.coords[1:]]) if number.size else np.zeros((len(shape), 0), int)
    )
    return sparse.COO(coords, values, shape=shape, fill_value=0).astype(dtype)
