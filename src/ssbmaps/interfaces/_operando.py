"""Signal of every phase and interphase over time, with errors that hold counting and what fluctuates beyond it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, canonical_order, channel_dim, check_array, fragment_index, measured_mask, same_grid
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._operando_error import signal_of
from ssbmaps.interfaces._operando_regions import regions_of
from ssbmaps.interfaces._operando_result import along_time, normal, times_of, with_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.time_series"
WORDING = "counts, not concentration; cause of a change not identified"


def time_series(
    maps: xr.DataArray,
    regions: xr.DataArray | xr.Dataset | Mapping[str, Any],
    *,
    variance: xr.DataArray | None = None,
    normalise: str | xr.DataArray | xr.Dataset | None = None,
) -> xr.Dataset:
    """Mean signal of every region and channel at every time, with errors for comparing times of the same area.

    No two channels are ever pooled: PO2-, PO3-, SO3- and S- behave differently on cycling and stay apart.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (time, fragment, y, x) of one area, also line, band or component, or (time, y, x). Whole numbers with units
        "counts" are taken as Poisson counts; all else as values with Gaussian errors. Sum scans first.
    regions : xarray.DataArray, xarray.Dataset or mapping
        Labels (y, x) or (time, y, x) from `ssbmaps.maps.label_phases`, of which every named phase is a region; or by name boolean
        maps (y, x) or (time, y, x), or a tuple (distance, low, high): where low <= distance < high, um, such as an interphase
        from `distance_to`. Regions may overlap.
    variance : xarray.DataArray, optional
        Variance of `maps` that are no counts, on the same dims. By default what is left of each pixel's values once its own
        level and the change of the region are taken off.
    normalise : str, xarray.DataArray or xarray.Dataset, optional
        What every time is divided by, relative to its mean over time, so that the units stay: the recorded primary current
        (time); a Dataset of one such series with ``<name>_sd`` beside it; or the name of a channel, whose sum over the
        measured area is used with its counting error, and which then is left out.

    Returns
    -------
    xarray.Dataset
        Along (region, time, fragment): ``signal``, mean per pixel in the units of `maps`, with ``_sd``, ``_low``, ``_high`` (95
        %). Along (region, fragment): ``dispersion``, variance of the region's sum over that of independent pixels, NaN where
        fewer than 4 cells of the map are in it. Along (region, time): ``n_pixels``. With `normalise`: ``reference`` and
        ``reference_sd`` (time), mean 1. Coordinates along time, such as voltage, are kept. A time without a measured pixel of a
        region is NaN.

    Raises
    ------
    SsbmapsError
        If `maps` have no time or other dims, counts are negative, a region is empty or of a wrong kind, or the reference is
        not positive.
    GridMismatchError
        If pixels or times of `maps`, `regions` and `variance` differ.

    Warns
    -----
    DataQualityWarning
        If there is one time only: what differs from place to place is then taken for fluctuation.

    Notes
    -----
    Unmeasured pixels and NaN are left out, pixel by pixel and time by time. The error is that of a comparison between times:
    what differs from place to place and stays is no part of it. Var = dispersion × that of independent pixels, with dispersion
    (at least 1) from what is left of square cells, 32 along the longer side, once each cell's level and each time's factor are
    taken off: products of residuals, summed over pairs of cells up to the distance at which their covariance first
    falls to zero (as in `ssbmaps.maps.phase_fractions`). What makes the whole area brighter or darker at once is in no error; a
    recorded current takes it off, and `reversibility` and `lag` see it as scatter. A sum of 0 counts carries the error of one.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import time_series
    >>> place = {"time": ("time", [0.0, 1.0], {"units": "h"}), "y": [0.5, 1.5], "x": [0.5, 1.5]}
    >>> counts = xr.DataArray(np.array([[[8, 2], [8, 2]], [[16, 2], [16, 2]]]), place, ("time", "y", "x"))
    >>> left = xr.DataArray([[True, False]] * 2, {"y": [0.5, 1.5], "x": [0.5, 1.5]}, ("y", "x"))
    >>> series = time_series(counts.assign_attrs(units="counts"), {"NCA": left, "LPS": ~left})
    >>> series.signal.sel(region="NCA").values.tolist(), series.signal_sd.sel(region="NCA").values.round(2).tolist()
    ([8.0, 16.0], [2.0, 2.83])
    """
    poisson = _check(maps, variance)
    ordered = canonical(maps)
    times = times_of(ordered, subject=SUBJECT)[0]
    found = regions_of(regions, ordered, subject=SUBJECT)
    dim = channel_dim(ordered, subject=SUBJECT)
    stack = ordered if dim else ordered.expand_dims("band", axis=1)
    spread = None if variance is None else to_dense(canonical(variance).data).astype(np.float64).reshape(stack.shape)
    used = list(range(stack.shape[1]))
    reference = _reference(normalise, ordered, dim, used)
    values = to_dense(stack.data)
    if len(times) == 1:
        text = "one time only: what differs from place to place is taken for fluctuation."
        warnings.warn(f"{SUBJECT}: {text}", DataQualityWarning, stacklevel=2)
    shape = (len(found), len(times), len(used))
    mean, sd, dispersion = np.full(shape, np.nan), np.full(shape, np.nan), np.full((len(found), len(used)), np.nan)
    for j, channel in enumerate(used):
        field = values[:, channel].astype(np.float64)
        own = None if spread is None else spread[:, channel]
        finite = np.isfinite(field) if own is None else np.isfinite(field) & np.isfinite(own)
        for i, mask in enumerate(found.values()):
            one = signal_of(field, mask & finite, own, poisson=poisson)
            mean[i, :, j], sd[i, :, j], dispersion[i, j] = one.mean, one.sd, one.dispersion
    if reference is not None:
        level, error = (v[None, :, None] for v in reference)
        mean, sd = mean / level, np.hypot(sd / level, mean / level**2 * error)
    reading = _Reading(list(found), [m.sum(axis=(1, 2)) for m in found.values()], dim, used, mean, sd, dispersion, reference)
    result = _as_dataset(reading, ordered, poisson=poisson)
    arguments = {"maps": maps, "regions": regions, "variance": variance, "normalise": normalise}
    result = finish(result, function=SUBJECT, arguments=arguments, sources=[maps])
    result.attrs["wording"] = WORDING
    return result


@dataclass(frozen=True)
class _Reading:
    """Regions by name and size (time), channel dimension, channels used, mean and error (region, time, channel), reference."""

    regions: list[str]
    sizes: list[NDArray[np.int64]]
    dim: str | None
    used: list[int]
    mean: Floats
    sd: Floats
    dispersion: Floats
    reference: tuple[Floats, Floats] | None


def _as_dataset(r: _Reading, maps: xr.DataArray, *, poisson: bool) -> xr.Dataset:
    import xarray as xr

    channel = [r.dim] if r.dim else []
    four = [v if r.dim else v[..., 0] for v in normal(r.mean, r.sd, least=0.0 if poisson else -np.inf)]
    about = "mean signal per pixel" + ("" if r.reference is None else ", relative to the reference")
    units = str(maps.attrs.get("units", "arbitrary"))
    variables: dict[str, Any] = with_errors("signal", ("region", "time", *channel), four, units, about)
    text = "variance of the region's sum over that of independent pixels"
    dispersion = r.dispersion if r.dim else r.dispersion[:, 0]
    variables["dispersion"] = (("region", *channel), dispersion, {"units": "1", "long_name": text})
    n = np.stack(r.sizes).astype(np.int64)
    variables["n_pixels"] = (("region", "time"), n, {"units": "1", "long_name": "measured pixels of the region"})
    if r.reference is not None:
        for name, series in zip(("reference", "reference_sd"), r.reference, strict=True):
            variables[name] = ("time", series, {"units": "1", "long_name": name.replace("_sd", ": standard error")})
    coords: dict[str, Any] = {"region": r.regions, **along_time(maps)}
    if r.dim and r.dim in maps.coords:
        coords |= {str(k): v.isel({r.dim: r.used}) for k, v in maps.coords.items() if v.dims == (r.dim,)}
    result = xr.Dataset(variables, coords)
    return result.transpose(*canonical_order(result.dims))


def _check(maps: xr.DataArray, variance: xr.DataArray | None) -> bool:
    """Whether `maps` are whole counts, after all checks."""
    counts = getattr(maps, "attrs", {}).get("units") == "counts"
    poisson = counts and getattr(maps, "dtype", np.dtype(float)).kind in "iu"
    check_array(maps, subject=SUBJECT, dims=("time", "y", "x"), counts=poisson)
    dim = channel_dim(maps, subject=SUBJECT)
    with Faults(SUBJECT) as faults:
        extra = [str(d) for d in maps.dims if d not in ("time", "y", "x", dim)]
        faults.expect(not extra, f"maps have the dimension {', '.join(extra)}; sum over it first, for example .sum('scan').")
        faults.expect(not (poisson and variance is not None), "variance is given for counts, which have their own.")
        if maps.dtype.kind == "f":
            values = to_dense(maps.data)
            faults.expect(not bool(np.isinf(values).any()), "infinite values; expected numbers, NaN where not measured.")
            some = faults.expect(bool((~np.isnan(values)).any()), "all values are NaN; expected some that were measured.")
            negative = some and counts and bool(np.nanmin(values) < 0)
            faults.expect(not negative, "negative counts; expected 0 or more. Subtracted data are not counts.")
    if variance is not None:
        check_array(variance, subject=f"{SUBJECT}: variance", dims=("time", "y", "x"))
        if set(variance.dims) != set(maps.dims) or variance.sizes != {d: maps.sizes[d] for d in variance.dims}:
            sizes = dict(maps.sizes)
            raise SsbmapsError(f"{SUBJECT}: variance has sizes {dict(variance.sizes)}; expected those of maps, {sizes}.")
        same_grid(maps, variance, subject=f"{SUBJECT}: variance", dims=("time", "y", "x"))
        with np.errstate(invalid="ignore"):
            negative = bool((to_dense(variance.data) < 0).any())
        if negative:
            raise SsbmapsError(f"{SUBJECT}: negative variance; expected 0 or more.")
    return bool(poisson)


def _reference(given: Any, maps: xr.DataArray, dim: str | None, used: list[int]) -> tuple[Floats, Floats] | None:
    """Reference (time) and its error, over its own mean; a channel that is one is taken out of `used`."""
    if given is None:
        return None
    if isinstance(given, str):
        index = fragment_index(maps, given, subject=f"{SUBJECT}: normalise")[0]
        used.remove(index)
        known = measured_mask(maps)
        values = to_dense(maps.isel({dim: index}).data).astype(np.float64)
        level = np.nansum(values if known is None else np.where(known, values, 0.0), axis=(1, 2))
        counting = maps.dtype.kind in "iu" and maps.attrs.get("units") == "counts"
        error = np.sqrt(np.maximum(level, 1.0)) if counting else np.zeros(len(level))
        if not used:
            raise SsbmapsError(f"{SUBJECT}: normalise={given!r} is the only channel; expected one beside those to be followed.")
    else:
        level, error = _recorded(given, maps)
    if not bool((np.isfinite(level) & (level > 0)).all()):
        raise SsbmapsError(f"{SUBJECT}: normalise holds 0, NaN or negative values; expected a positive reference at every time.")
    return level / level.mean(), error / level.mean()


def _recorded(given: Any, maps: xr.DataArray) -> tuple[Floats, Floats]:
    """A series (time) and its error, 0 where none is stated."""
    names = [str(n) for n in given.data_vars if not str(n).endswith("_sd")] if hasattr(given, "data_vars") else []
    series = given[names[0]] if len(names) == 1 else given
    if getattr(series, "dims", None) != ("time",):
        raise SsbmapsError(
            f"{SUBJECT}: normalise is {type(given).__name__}; expected the name of a channel, a DataArray (time), or a Dataset "
            "with one series (time) and <name>_sd."
        )
    same_grid(maps, series, subject=f"{SUBJECT}: normalise", dims=("time",))
    level = to_dense(series.data).astype(np.float64)
    stated = f"{names[0]}_sd" if names else ""
    error = to_dense(given[stated].data).astype(np.float64) if names and stated in given else np.zeros(len(level))
    return level, error
