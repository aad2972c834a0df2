"""Counts that a time-of-flight detector lost in its dead time: own losses, and those behind lighter neighbours."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, channel_dim, check_array, measured_mask, same_grid
from ssbmaps._errors import DataQualityWarning, Faults
from ssbmaps._provenance import finish
from ssbmaps.maps._masking import Masking, masking_of, window_edges

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_SUBJECT = "maps.correct_dead_time"


def correct_dead_time(
    maps: xr.DataArray,
    *,
    shots: float | xr.DataArray,
    window: float | None = None,
    dead_time: float | None = None,
    flight_time: float | None = None,
    spectrum: xr.DataArray | None = None,
) -> xr.Dataset:
    """Correct counts for the detector's dead time, pixel by pixel over all scans, with the lighter neighbours' share.

    A shot gives at most one count in a dead-time window. An ion is lost behind another one of its own kind, and behind a
    lighter one that arrived less than a dead time before: the lighter partner of a doublet masks the heavier. Correct
    first: subtracted, resampled or smoothed maps are no longer counts out of a known number of shots.

    Parameters
    ----------
    maps : xarray.DataArray
        Whole counts (…, fragment, y, x), or (…, y, x) for one fragment; with `scan`, which is summed over. Dense, sparse or
        dask. Along fragment, m/z is taken from the coordinate `mz`, or from the fragments' names. NaN is not measured:
        its shots do not count.
    shots : float or xarray.DataArray
        Primary-ion shots per pixel and scan; for maps without `scan`, all the shots that a pixel received. A DataArray
        over any of scan, y, x where they differ. Whole numbers.
    window : float, optional
        Dead time as a mass difference, Da: fragments that are lighter by less than this mask a fragment. By default 0.3,
        which is some 65 ns at m/z 30 to 90 and stands for ions of the same nominal mass.
    dead_time, flight_time : float, optional
        In place of `window`: dead time in ns, and flight time in us of an ion of 1 Da; flight time grows with √(m/z).
    spectrum : xarray.DataArray, optional
        What else the detector saw: the cube (…, y, x, mz) of which `maps` was made, or its sum (mz) over all pixels and
        scans. With a cube, all counts in the preceding window are taken into account, pixel by pixel, whether there is a
        map of them or not. With a sum, the loss behind ions without a map is stated in ``uncorrected``. Needs maps with
        `mz_low` and `mz_high`, as `fragment_maps` gives them.

    Returns
    -------
    xarray.Dataset
        ``counts`` (…, fragment, y, x), float64: estimated number of ions, all scans together, and ``counts_sd``; NaN
        where not measured or saturated. ``saturated``: every shot gave a count, so that there is no upper limit.
        ``shots`` (…, y, x) and ``free_shots`` (…, fragment, y, x), int64: shots, and those not taken by lighter
        neighbours; the counts are binomial out of the latter. Along fragment: ``correction``, corrected over measured
        counts; ``masked``, mean share of the shots taken by lighter neighbours; ``masked_by``, their names;
        ``uncorrected``, mean share of shots taken by counts that were not accounted for, NaN if not known;
        ``n_saturated``.

    Raises
    ------
    SsbmapsError
        If counts are negative or not whole, if a pixel has more counts than shots, if `shots` is missing or not whole,
        if the options contradict one another, or if `spectrum` does not belong to the maps.
    GridMismatchError
        If `shots` or `spectrum` lies on other pixels.

    Warns
    -----
    DataQualityWarning
        Names fragments with saturated pixels, scans without a single count, and doublets with overlapping windows.

    Notes
    -----
    With N shots, of which N' are not taken by counts in the preceding dead-time window, and n counts, the number of ions
    is −N ln(1 − n/N') [1]_, with the variance N² p / (N' (1 − p)), p = n/N', which is N p / (1 − p) without neighbours. Both
    are too high where shots are few: the number by some 1/(2N') of itself, 0.1 % at 500 shots, 2 % at 25, 22 % at 3. Used here
    are the sums that the logarithm and p / (N' (1 − p)) stand for, N Σ 1/k and N² Σ 1/k² over k = N' − n + 1 … N': the same
    for many shots, and without that bias as long as few pixels saturate. Counts are summed over scans first, as all scans
    of a pixel see the same material; unequal pixels are never summed before the correction, since the logarithm of a mean
    is not the mean of logarithms.

    References
    ----------
    .. [1] T. Stephan, J. Zehnpfenning, A. Benninghoven, J. Vac. Sci. Technol. A 12 (1994) 405, doi 10.1116/1.579255

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import maps
    >>> counts = np.array([[[100, 0]], [[40, 50]]])
    >>> doublet = xr.DataArray(counts, {"fragment": ["PS-", "PO2-"]}, ("fragment", "y", "x"))
    >>> result = maps.correct_dead_time(doublet, shots=500)
    >>> result.counts.sel(fragment="PO2-").values.round(1).tolist()
    [[52.6, 52.6]]
    >>> result.masked_by.values.tolist()
    ['', 'PS-']
    """
    dim = _channel(maps)
    ordered = canonical(maps)
    counts, total_shots, blank = _pooled(ordered, dim, shots)
    names = [str(v) for v in ordered.coords[dim].values] if dim and dim in ordered.coords else ["the map"]
    masking = masking_of(ordered, dim, names, window=window, dead_time=dead_time, flight_time=flight_time, subject=_SUBJECT)
    masked, uncorrected = _masked_counts(ordered, dim, counts, total_shots, masking, spectrum)
    _expect_shots(counts, total_shots, names)
    seen = total_shots > 0
    free = np.where(seen[..., None, :, :], np.maximum(total_shots[..., None, :, :] - masked, 0), 0)
    estimate, sd, saturated = estimate_ions(counts, total_shots[..., None, :, :], free)
    _tell(ordered, names, masking, saturated, int(seen.sum()), blank)
    arrays = {"counts": estimate, "counts_sd": sd, "saturated": saturated, "free_shots": free}
    report = _report(arrays, counts, masked, seen, total_shots, masking, names, uncorrected)
    dims = [d for d in ordered.dims if d not in ("scan", dim)]
    arguments = {
        "maps": maps, "shots": shots, "window": masking.window, "dead_time": dead_time, "flight_time": flight_time,
        "spectrum": spectrum,
    }  # fmt: skip
    result = _dataset(ordered, dim, dims, arrays, total_shots, report)
    return finish(result, function=_SUBJECT, arguments=arguments, sources=[maps], long_name=_summary(uncorrected))


def estimate_ions(counts: Any, shots: Any, free: Any) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Number of ions that arrived, its standard deviation, and where it is unbounded; NaN there and where shots are 0.

    All three are whole numbers that broadcast: counts, shots, and shots not taken by earlier counts.
    """
    counts, shots, free = np.broadcast_arrays(np.asarray(counts), np.asarray(shots), np.asarray(free))
    seen = shots > 0
    saturated = seen & (counts >= free)
    usable = seen & ~saturated
    inverse = 1.0 / np.arange(1, int(free.max(initial=0)) + 1)
    first, second = (np.concatenate([[0.0], np.cumsum(inverse**power)]) for power in (1, 2))
    upper, lower = np.where(usable, free, 0), np.where(usable, free - counts, 0)
    estimate = np.where(usable, shots * (first[upper] - first[lower]), np.nan)
    sd = np.where(usable, shots * np.sqrt(second[upper] - second[lower]), np.nan)
    return estimate, sd, saturated


def _channel(maps: xr.DataArray) -> str | None:
    check_array(maps, subject=_SUBJECT, dims=("y", "x"))
    dim = channel_dim(maps, subject=_SUBJECT)
    with Faults(_SUBJECT) as faults:
        faults.expect(dim in (None, "fragment"), f"maps along {dim}; expected ToF-SIMS counts along fragment.")
        faults.expect("mz" not in maps.dims, "a cube along mz; expected maps. Make them with maps.fragment_maps first.")
        units = maps.attrs.get("units", "counts")
        faults.expect(units == "counts", f"values are in {units!r}; expected counts.")
    return dim


def _pooled(ordered: xr.DataArray, dim: str | None, shots: float | xr.DataArray) -> tuple[Integers, Integers, list[str]]:
    """Counts (…, fragment, y, x) summed over scans, shots (…, y, x) of what was measured, and the scans without a count."""
    import xarray as xr

    each = _shots(ordered, shots)
    dims = [d for d in ordered.dims if d != dim]
    data, present = ordered.data, xr.DataArray(np.ones([ordered.sizes[d] for d in dims], bool), dims=dims)
    if ordered.dtype.kind == "f":
        finite = xr.DataArray(np.isfinite(to_dense(data)), dims=ordered.dims)
        present = finite.all(dim) if dim else finite
        data = _whole(to_dense(data), np.asarray(finite), np.asarray(present.broadcast_like(finite).transpose(*ordered.dims)))
    else:
        check_array(ordered, subject=_SUBJECT, counts=True)
    mask = measured_mask(ordered)
    if mask is not None:
        present = present & xr.DataArray(mask, dims=("y", "x"))
    total = (present.astype(np.int64) * each).transpose(*dims)
    blank: list[str] = []
    if "scan" in dims:
        axis = ordered.get_axis_num("scan")
        sums = to_dense(data.sum(axis=tuple(i for i in range(data.ndim) if i != axis), dtype=np.int64))
        names = ordered.coords["scan"].values if "scan" in ordered.coords else np.arange(len(sums))
        blank = [str(name) for name in names[sums == 0]]
        data, total = data.sum(axis=axis, dtype=np.int64), total.sum("scan")
    counts = to_dense(data).astype(np.int64)
    return (counts if dim else counts[..., None, :, :]), np.asarray(total.values), blank


def _whole(values: NDArray[Any], finite: NDArray[np.bool_], present: NDArray[np.bool_]) -> Integers:
    """Float counts as integers, 0 where any fragment of the pixel is NaN."""
    known = values[finite]
    with Faults(_SUBJECT) as faults:
        faults.expect(not np.isinf(values).any(), "infinite counts; expected whole numbers, NaN where not measured.")
        whole = bool((known == np.rint(known)).all())
        faults.expect(whole, "counts that are not whole; correct for dead time before anything else is done to them.")
        low = float(known.min(initial=0))
        faults.expect(low >= 0, f"negative counts (lowest {low:g}); correct for dead time before anything is subtracted.")
    return np.where(present, values, 0).astype(np.int64)


def _shots(ordered: xr.DataArray, shots: float | xr.DataArray) -> xr.DataArray:
    """Shots as whole numbers without coordinates, over any of scan, y, x."""
    import xarray as xr

    given = shots if isinstance(shots, xr.DataArray) else xr.DataArray(shots)
    with Faults(_SUBJECT) as faults:
        if faults.expect(given.dtype.kind in "iuf", f"shots is {shots!r:.60}; expected a whole number or a DataArray of them."):
            odd = [str(d) for d in given.dims if d not in ("scan", "y", "x") or d not in ordered.dims]
            faults.expect(not odd, f"shots lies along {', '.join(odd)}; expected dimensions of the maps out of scan, y, x.")
            values = to_dense(given.data).astype(np.float64)
            good = bool(np.isfinite(values).all() and (values >= 1).all() and (values == np.rint(values)).all())
            faults.expect(good, "shots is not a whole number of 1 or more; expected primary-ion shots per pixel and scan.")
    if given.ndim:
        same_grid(ordered, given, subject=_SUBJECT, dims=[str(d) for d in given.dims])
    return xr.DataArray(values.astype(np.int64), dims=given.dims)


def _expect_shots(counts: Integers, shots: Integers, names: list[str]) -> None:
    excess = (counts > shots[..., None, :, :]) & (shots > 0)[..., None, :, :]
    with Faults(_SUBJECT) as faults:
        for i, name in enumerate(names):
            here = excess[..., i, :, :]
            if here.any():
                most = int(counts[..., i, :, :][here].max())
                faults.expect(
                    False,
                    f"{name} has more counts than shots in {int(here.sum())} pixels (up to {most} out of {int(shots.max())}); "
                    "expected at most one per shot. Give the shots per pixel and scan, times the scans if these are summed.",
                )


def _masked_counts(
    ordered: xr.DataArray, dim: str | None, counts: Integers, shots: Integers, masking: Masking, spectrum: xr.DataArray | None
) -> tuple[Integers, Floats]:
    """Counts that took shots from each fragment, pixel by pixel, and the share of shots lost to unaccounted counts."""
    masked = np.zeros_like(counts)
    for i, partners in enumerate(masking.partners):
        masked[..., i, :, :] = counts[..., partners, :, :].sum(axis=-3)
    if spectrum is None:
        return masked, np.full(len(masking.partners), np.nan)
    axis, sums = window_edges(ordered, dim, counts, spectrum, subject=_SUBJECT)
    if sums.ndim > 1:
        return masking.preceding(axis, sums, ordered).astype(np.int64), np.zeros(len(masking.partners))
    unlisted = masking.preceding(axis, sums, ordered, without_partners=True)
    return masked, unlisted / max(float(shots.sum()), 1.0)


def _report(
    arrays: dict[str, Any],
    counts: Integers,
    masked: Integers,
    seen: NDArray[np.bool_],
    shots: Integers,
    masking: Masking,
    names: list[str],
    uncorrected: Floats,
) -> dict[str, tuple[Any, str]]:
    """One value per fragment, with its meaning."""
    good = np.isfinite(arrays["counts"])
    axes = tuple(i for i in range(counts.ndim) if i != counts.ndim - 3)
    measured = np.where(good, counts, 0).sum(axis=axes).astype(np.float64)
    corrected = np.where(good, arrays["counts"], 0.0).sum(axis=axes)
    ratio = np.divide(corrected, measured, out=np.full(len(names), np.nan), where=measured > 0)
    share = np.where(seen[..., None, :, :], masked, 0).sum(axis=axes) / max(float(shots.sum()), 1.0)
    return {
        "correction": (ratio, "corrected over measured counts"),
        "masked": (share, "share of shots taken by lighter neighbours"),
        "masked_by": (np.array([" ".join(names[j] for j in p) for p in masking.partners]), "lighter neighbours in the dead time"),
        "uncorrected": (uncorrected, "share of shots taken by counts not accounted for; NaN if not known"),
        "n_saturated": (arrays["saturated"].sum(axis=axes), "pixels in which every free shot gave a count"),
    }


def _tell(
    ordered: xr.DataArray, names: list[str], masking: Masking, saturated: NDArray[np.bool_], n_pixels: int, blank: list[str]
) -> None:
    notes = []
    for i, name in enumerate(names):
        n = int(saturated[..., i, :, :].sum())
        if n:
            notes.append(f"{name} is saturated in {n} of {n_pixels} pixels, which are NaN and flagged.")
    if notes:
        notes.append("Means over pixels that leave them out are too low; more scans or a lower dose would resolve them.")
    if blank:
        notes.append(f"Scan {', '.join(blank)} holds no counts, yet its shots count; leave it out if it was not measured.")
    edges = "mz_low" in ordered.coords and "mz_high" in ordered.coords
    for i, partners in enumerate(masking.partners):
        for j in partners if edges else ():
            if float(ordered["mz_high"][j]) > float(ordered["mz_low"][i]):
                notes.append(f"The windows of {names[j]} and {names[i]} overlap: counts in both are taken as masking themselves.")
    if notes:
        warnings.warn(f"{_SUBJECT}: " + " ".join(notes), DataQualityWarning, stacklevel=3)


def _dataset(
    ordered: xr.DataArray, dim: str | None, dims: list[Any], arrays: dict[str, Any], shots: Integers, report: dict[str, Any]
) -> xr.Dataset:
    import xarray as xr

    coords = {str(k): v for k, v in ordered.coords.items() if "scan" not in v.dims}
    full = [*dims[:-2], *([dim] if dim else []), *dims[-2:]]
    words = {
        "counts": ("counts", "ions, corrected for dead time, all scans"),
        "counts_sd": ("counts", "standard deviation of the ions"),
        "saturated": ("1", "every free shot gave a count"),
        "free_shots": ("1", "shots not taken by lighter neighbours"),
    }
    variables: dict[str, Any] = {}
    for name, values in arrays.items():
        units, text = words[name]
        variables[name] = (full, values if dim else values[..., 0, :, :], {"units": units, "long_name": text})
    variables["shots"] = (dims, shots, {"units": "1", "long_name": "primary-ion shots, all scans"})
    for name, (values, text) in report.items():
        attrs = {"long_name": text} if name == "masked_by" else {"units": "1", "long_name": text}
        variables[name] = (dim, values, attrs) if dim else ((), values[0], attrs)
    return xr.Dataset(variables, coords)


def _summary(uncorrected: Floats) -> str:
    if np.isnan(uncorrected).all():
        return "counts corrected for dead time; losses behind ions without a map are not known and not corrected"
    if not uncorrected.any():
        return "counts corrected for dead time, all counts of the spectrum taken into account"
    return f"counts corrected for dead time; up to {uncorrected.max():.2%} of shots lost to ions without a map are not corrected"
