"""Mean signal against the distance to an interface, with its standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, check_array, measured_mask, pixel_size, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

SUBJECT = "interfaces.distance_profile"
MOST_BINS = 1_000_000


def distance_profile(
    maps: xr.DataArray, distance: xr.DataArray, *, bin_width: float | None = None, where: xr.DataArray | None = None
) -> xr.Dataset:
    """Mean of maps in bins of the distance to an interface, with standard errors.

    A bin holds the pixels whose centre lies at low <= distance < high; 0 is always the edge of two bins, so that no bin mixes
    inside and outside.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (…, y, x), for example (fragment, y, x) or (scan, fragment, y, x); one map (y, x) does as well.
    distance : xarray.DataArray
        Signed distance (y, x) in um on the same pixels, from `ssbmaps.interfaces.distance_to`.
    bin_width : float, optional
        Width of the bins in um; the pixel size by default (the geometric mean of both for oblong pixels).
    where : xarray.DataArray, optional
        Boolean (y, x): only these pixels are used, for example one phase pair or one particle.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``sem`` (standard error of the mean) and ``count`` (number of pixels) along (…, distance), per pixel and in
        the units of `maps`. ``distance`` holds the bins' centres in um, ``distance_low`` and ``distance_high`` their edges.
        The bins run without gap from the lowest distance to the highest; a bin without pixels has ``count`` 0 and NaN in
        ``mean`` and ``sem``.
        Whole counts (integers with units "counts") carry Poisson errors: sem = sqrt(sum) / n; a sum of 0 carries the error of
        one count, 1 / n, not 0. All other maps carry the sample standard deviation / sqrt(n), NaN where n = 1. Neither
        contains variation between regions or scans beyond that.

    Raises
    ------
    SsbmapsError
        If `distance` is nowhere finite where it is to be used, counts are negative, or `bin_width` is not a positive number.
    GridMismatchError
        If the pixels of `maps`, `distance` and `where` differ.

    Notes
    -----
    Pixels with NaN distance, unmeasured pixels (coordinate ``measured``) and, map by map, NaN values are left out.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import distance_profile
    >>> place = {"y": [0.05, 0.15], "x": [0.05, 0.15, 0.25]}
    >>> distance = xr.DataArray([[-0.05, 0.05, 0.15]] * 2, place, ("y", "x"))
    >>> counts = xr.DataArray([[8, 2, 0], [10, 2, 0]], place, ("y", "x"), attrs={"units": "counts"})
    >>> profile = distance_profile(counts, distance)
    >>> profile["mean"].values.tolist(), profile["sem"].values.round(2).tolist()
    ([9.0, 2.0, 0.0], [2.12, 1.0, 0.5])
    """
    import xarray as xr

    _check(maps, distance, where)
    step = float(np.sqrt(np.prod(pixel_size(distance, subject=SUBJECT)))) if bin_width is None else bin_width
    if not (isinstance(step, (int, float, np.number)) and np.isfinite(step) and step > 0):
        raise SsbmapsError(f"{SUBJECT}: bin_width={bin_width!r}; expected a positive number in um.")
    used = _used_pixels(maps, distance, where)
    index, low = _bins(to_dense(canonical(distance).data).astype(float)[used], float(step))
    ordered = canonical(maps)
    counts = ordered.dtype.kind in "iu" and ordered.attrs.get("units") == "counts"
    values = to_dense(ordered.data).reshape(-1, used.size)
    lead = [str(d) for d in ordered.dims[:-2]]
    mean, sem, number = _statistics(values, np.flatnonzero(used), index, len(low), poisson=counts)
    shape = (*ordered.shape[:-2], len(low))
    units = str(maps.attrs.get("units", "arbitrary"))
    variables = {
        "mean": ((*lead, "distance"), mean.reshape(shape), {"units": units, "long_name": "mean per pixel"}),
        "sem": ((*lead, "distance"), sem.reshape(shape), {"units": units, "long_name": "standard error of the mean per pixel"}),
        "count": ((*lead, "distance"), number.reshape(shape), {"units": "1", "long_name": "number of pixels"}),
    }
    result = canonical(xr.Dataset(variables, _coords(ordered, lead, low, float(step))))
    return finish(
        result,
        function=SUBJECT,
        arguments={"maps": maps, "distance": distance, "bin_width": float(step), "where": where},
        sources=[maps, distance],
    )


def _check(maps: xr.DataArray, distance: xr.DataArray, where: xr.DataArray | None) -> None:
    check_array(maps, subject=SUBJECT, dims=("y", "x"))
    check_array(distance, subject=f"{SUBJECT}: distance", dims=("y", "x"))
    same_grid(maps, distance, subject=SUBJECT)
    with Faults(SUBJECT) as faults:
        faults.expect(distance.ndim == 2, f"distance has dims {tuple(distance.dims)}; expected one map (y, x).")
        unit = distance.attrs.get("units", "um")
        faults.expect(unit == "um", f"distance is in {unit!r}; expected um.")
        if maps.attrs.get("units") == "counts" and maps.dtype.kind in "iu":
            check_array(maps, subject=SUBJECT, counts=True, faults=faults)
    if where is not None:
        check_array(where, subject=f"{SUBJECT}: where", dims=("y", "x"))
        same_grid(maps, where, subject=f"{SUBJECT}: where")
        if where.ndim != 2 or where.dtype != bool:
            raise SsbmapsError(f"{SUBJECT}: where is {where.dtype} with dims {tuple(where.dims)}; expected booleans (y, x).")


def _used_pixels(maps: xr.DataArray, distance: xr.DataArray, where: xr.DataArray | None) -> NDArray[np.bool_]:
    used: NDArray[np.bool_] = np.isfinite(to_dense(canonical(distance).data))
    masks = [measured_mask(o) for o in (maps, distance)]
    if where is not None:
        masks.append(to_dense(canonical(where).data))
    for mask in masks:
        used = used if mask is None else used & mask
    if not used.any():
        raise SsbmapsError(f"{SUBJECT}: no pixel is left that is measured, has a finite distance and fulfils `where`.")
    return used


def _bins(distance: NDArray[np.float64], step: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Bin of each distance counted from the lowest occupied one, and the bins' low edges, which are exact multiples of `step`."""
    number = np.floor(distance / step)
    number += (distance >= (number + 1) * step).astype(int) - (distance < number * step).astype(int)
    first, last = number.min(), number.max()
    if last - first >= MOST_BINS:
        raise SsbmapsError(f"{SUBJECT}: bin_width={step:g} um makes {last - first + 1:.3g} bins; expected at most {MOST_BINS}.")
    return (number - first).astype(np.int64), np.arange(first, last + 1) * step


def _statistics(
    values: NDArray[Any], used: NDArray[np.int64], index: NDArray[np.int64], n_bins: int, *, poisson: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean, standard error and number of the `used` columns of (M, Q) values in each bin: three arrays (M, n_bins)."""
    mean, sem = np.empty((len(values), n_bins)), np.empty((len(values), n_bins))
    number = np.empty((len(values), n_bins), np.int64)
    everywhere = np.bincount(index, minlength=n_bins)
    for i, stored in enumerate(values):
        row = stored[used].astype(np.float64)
        known = ~np.isnan(row)
        complete = bool(known.all())
        own, at = (row, index) if complete else (row[known], index[known])
        number[i] = everywhere if complete else np.bincount(at, minlength=n_bins)
        total = np.bincount(at, own, n_bins)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean[i] = total / number[i]
            if poisson:
                sem[i] = np.where(number[i] > 0, np.sqrt(np.maximum(total, 1)) / number[i], np.nan)
            else:
                squares = np.bincount(at, (own - mean[i][at]) ** 2, n_bins)
                sem[i] = np.where(number[i] > 1, np.sqrt(squares / (number[i] - 1) / number[i]), np.nan)
    return mean, sem, number


def _coords(maps: xr.DataArray, lead: list[str], low: NDArray[np.float64], step: float) -> dict[str, object]:
    coords: dict[str, object] = {str(k): v for k, v in maps.coords.items() if set(v.dims) <= set(lead)}
    coords["distance"] = ("distance", low + step / 2, {"units": "um", "long_name": "distance to the interface, negative inside"})
    coords["distance_low"] = ("distance", low, {"units": "um", "long_name": "lower edge of the bin (included)"})
    high = np.append(low[1:], (np.round(low[-1] / step) + 1) * step)
    coords["distance_high"] = ("distance", high, {"units": "um", "long_name": "upper edge of the bin (excluded)"})
    return coords
