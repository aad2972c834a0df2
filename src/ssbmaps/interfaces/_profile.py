"""Mean signal against the distance to an interface, as a whole, per particle or per phase pair, with its standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, check_array, measured_mask, pixel_size, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._groups import grouped
from ssbmaps.interfaces._spread import Pixels, binned, cells

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

SUBJECT = "interfaces.distance_profile"
MOST_BINS = 1_000_000
CELLS = 32  # along the longer side of the map: pairs of pixels are counted by the distance between their cells
PARTICLE_CELLS = 8  # around one particle


def distance_profile(
    maps: xr.DataArray,
    distance: xr.DataArray,
    *,
    bin_width: float | None = None,
    where: xr.DataArray | None = None,
    by: str | xr.DataArray | None = None,
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
        Boolean (y, x): only these pixels are used.
    by : str or xarray.DataArray, optional
        One profile for each of: "particle", the particle whose edge is nearest (coordinate ``particle`` of `distance`); a map
        (y, x) of particle numbers, from `ssbmaps.maps.label_particles`; or labels (y, x) with flags, from
        `ssbmaps.maps.label_phases`, for one profile per phase pair: by the first phase outside the nearest edge, within 3
        pixels of it, and on both sides of that edge. Where the labels name an interphase, that is what lies outside. A pixel of
        number or phase 0 is left out.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``sem`` (standard error of the mean), ``dispersion``, ``n_independent`` and ``count`` (number of pixels) along
        (…, distance), and ``particle`` or ``phase`` with `by`; means and errors are per pixel and in the units of `maps`.
        ``distance`` holds the bins' centres in um, ``distance_low`` and ``distance_high`` their edges. The bins run without
        gap from the lowest distance to the highest; a bin without pixels has ``count`` 0 and NaN elsewhere.
        ``sem`` is that of the mean of the material, of which the section is a sample: counting, and the variation from
        place to place of yield, gain and surroundings. ``dispersion`` is its variance over that of independent pixels, at least
        1: sem² / dispersion is the error for these very pixels and this very gain, which is the sum / n² for whole counts
        (integers with units "counts"; a sum of 0 counts as 1, so that it carries the error of one count) and the sample
        variance / n for all others, NaN where n = 1. ``n_independent`` is the number of independent parts of the section that
        ``sem`` was learned from: the 95 % interval is mean ± t sem with Student's t for n_independent − 1 degrees of freedom,
        ±1.96 sem where there are many. Where nearly all pixels lie in one place, ``dispersion`` and ``n_independent`` are NaN
        and ``sem`` is that of independent pixels.

    Raises
    ------
    SsbmapsError
        If `distance` is nowhere finite where it is to be used, counts are negative, `bin_width` is not a positive number, or `by`
        is none of the above.
    GridMismatchError
        If the pixels of `maps`, `distance`, `where` and `by` differ.

    Notes
    -----
    Pixels with NaN distance, unmeasured pixels (coordinate ``measured``) and, map by map, NaN values are left out.
    Var mean = Σ C(r), summed over all pairs of pixels in the bin, / n², with C the covariance of two pixels at distance r, as in
    `ssbmaps.maps.phase_fractions`: estimated from what is left of each pixel after its bin's mean, about which C is too low by
    Var mean itself, and ended where C first falls to zero, at the latest where half of all pairs lie nearer. Distances are
    counted between square cells, 32 along the longer side of the map or of a phase pair's part of it and 8 along that of a
    particle's part. C is taken in proportion to mean² for counts and pooled over 2 bins to either side. A bin in which most
    pairs share a cell, as deep inside the largest particle, takes C from more of its neighbours.
    Variation that is common to most of the section, such as a gain that varies on a quarter of its width or more, shows only in
    part within one section and is only in part in ``sem``. Bins share what varies from place to place: their errors are not
    independent, and only the part that is, sem / √dispersion, may be added in quadrature.

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
    groups = grouped(maps, distance, by, subject=SUBJECT)
    used &= groups.index >= 0
    if not used.any():
        raise SsbmapsError(f"{SUBJECT}: no pixel is left that is measured, has a finite distance and fulfils `where` and `by`.")
    rows = max(len(groups.names), 1)
    index, low = _bins(to_dense(canonical(distance).data).astype(float)[used], float(step), rows)
    side = PARTICLE_CELLS if groups.dim == "particle" else CELLS
    cell = cells(np.where(used, groups.index, -1), side, pixel_size(distance, subject=SUBJECT))[:, used]
    pixels = Pixels(groups.index[used] * len(low) + index, cell, side, (rows, len(low)))
    ordered = canonical(maps)
    counts = ordered.dtype.kind in "iu" and ordered.attrs.get("units") == "counts"
    found = binned(to_dense(ordered.data).reshape(-1, used.size), np.flatnonzero(used), pixels, poisson=counts)
    lead = [str(d) for d in ordered.dims[:-2]]
    dims = (*lead, *([groups.dim] if groups.dim else []), "distance")
    shape = (*ordered.shape[:-2], *([rows] if groups.dim else []), len(low))
    units = str(maps.attrs.get("units", "arbitrary"))
    described = {
        "mean": (found.mean, units, "mean per pixel"),
        "sem": (found.sem, units, "standard error of the mean per pixel"),
        "dispersion": (found.dispersion, "1", "variance of the mean over that of independent pixels"),
        "n_independent": (found.independent, "1", "independent parts that the standard error was learned from"),
        "count": (found.number, "1", "number of pixels"),
    }
    variables = {n: (dims, v.reshape(shape), {"units": unit, "long_name": text}) for n, (v, unit, text) in described.items()}
    coords = _coords(ordered, lead, low, float(step))
    if groups.dim:
        coords[groups.dim] = (groups.dim, groups.names)
    return finish(
        canonical(xr.Dataset(variables, coords)),
        function=SUBJECT,
        arguments={"maps": maps, "distance": distance, "bin_width": float(step), "where": where, "by": by},
        sources=[maps, distance, *([] if by is None or isinstance(by, str) else [by])],
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
    return used


def _bins(distance: NDArray[np.float64], step: float, rows: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Bin of each distance counted from the lowest occupied one, and the bins' low edges, which are exact multiples of `step`."""
    number = np.floor(distance / step)
    number += (distance >= (number + 1) * step).astype(int) - (distance < number * step).astype(int)
    first, last = number.min(), number.max()
    bins = last - first + 1
    if bins * rows > MOST_BINS:
        each = f" for each of {rows} profiles" if rows > 1 else ""
        raise SsbmapsError(f"{SUBJECT}: bin_width={step:g} um makes {bins:.3g} bins{each}; expected at most {MOST_BINS} in all.")
    return (number - first).astype(np.int64), np.arange(first, last + 1) * step


def _coords(maps: xr.DataArray, lead: list[str], low: NDArray[np.float64], step: float) -> dict[str, object]:
    coords: dict[str, object] = {str(k): v for k, v in maps.coords.items() if set(v.dims) <= set(lead)}
    coords["distance"] = ("distance", low + step / 2, {"units": "um", "long_name": "distance to the interface, negative inside"})
    coords["distance_low"] = ("distance", low, {"units": "um", "long_name": "lower edge of the bin (included)"})
    high = np.append(low[1:], (np.round(low[-1] / step) + 1) * step)
    coords["distance_high"] = ("distance", high, {"units": "um", "long_name": "upper edge of the bin (excluded)"})
    return coords
