"""Whether the signal near a lateral edge of the section differs from that of the material further in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, channel_dim, check_array, generator, measured_mask, pixel_size, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.interfaces._lateral_bins import LEAST_BINS, binned, depths_of, edges_of
from ssbmaps.interfaces._lateral_fit import fit_layer
from ssbmaps.interfaces._lateral_result import Outcome, as_dataset
from ssbmaps.maps._flags import read_flags

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SUBJECT = "interfaces.detect_lateral_layer"
LEAST_COUNTS = 5.0  # per bin on average: below, a bin's mean says next to nothing
LEAST_DRAWS = 2000
DRAWS_PER_TEST = 40  # draws beyond the smallest p-value that Holm's rule asks for
FALSE_ALARMS = (0.001, 0.2)


def detect_lateral_layer(
    maps: xr.DataArray,
    distance: xr.DataArray,
    *,
    labels: xr.DataArray | None = None,
    depth_max: float | None = None,
    false_alarms: float = 0.05,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Ask of each fragment, and of each phase, whether its signal near an edge differs from the level further in.

    The mean signal per pixel at the distance s is C (1 + a e^(−s/ℓ) + g (s − s̄)): an inner level, a layer along the edge of
    relative amplitude a and depth scale ℓ, and a gradient over the map (tilt, shadowing, detector), tested against a = 0.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (y, x), (fragment, y, x) or (scan, fragment, y, x); scans are summed. Integers with units "counts" are taken as
        counts; the noise of other values is measured, in proportion to their mean.
    distance : xarray.DataArray
        Distance (y, x) to the edge in um, positive on the inner side, from `edge_distance`. Pixels with a negative or NaN
        distance are left out, and so are unmeasured ones (coordinate ``measured``).
    labels : xarray.DataArray, optional
        Labels (y, x) with flags, from `ssbmaps.maps.label_phases`: one answer per phase, since materials answer differently,
        and a phase that is rarer near the edge is no layer. Flag 0 is left out.
    depth_max : float, optional
        Only pixels up to this distance in um are used. By default all.
    false_alarms : float, optional
        Probability that any fragment of any phase is called a layer where there is none, between 0.001 and 0.2.
    rng : int or numpy.random.Generator, optional
        For the simulated distribution of the likelihood ratio; None means 0.

    Returns
    -------
    xarray.Dataset
        Along ``phase`` (with `labels`) and the maps' channel dimension: ``detected`` (1: p_value is significant after Holm's
        correction over all testable fragments and phases), ``likelihood_ratio`` (2 ln(L1/L0) against a constant with a
        gradient), ``p_value``; ``depth_scale`` (ℓ, um), ``amplitude`` (a, share of the inner level, at the edge; -1 is a
        signal that is gone), ``inner_distance`` (um, from where the layer is smaller than the standard error of the inner
        level; NaN if that lies beyond the map), NaN where nothing is detected; ``drift`` (g, share per um), ``inner_level``
        (per pixel); each with ``_sd``, ``_low``, ``_high`` (95 %, of this fragment alone). ``dispersion``: variance of the
        bins' means over that of counting (of single pixels where values are no counts). ``testable``, ``statement``,
        ``n_pixels``. Along ``distance``, for plotting: ``profile`` with ``profile_sd``, ``model``, ``inner_model``, NaN in bins
        without pixels; ``distance_low`` and ``distance_high`` are the edges of the bins.

    Raises
    ------
    SsbmapsError
        If counts are negative, the distance is not in um or nowhere positive, a dimension is unknown, or an option is out of
        range.
    GridMismatchError
        If `distance` or `labels` lie on other pixels than the maps.

    Notes
    -----
    Bins are one pixel wide at the edge and a tenth of their distance further in. The covariance of their means is that of
    counting, plus that of a field whose covariance C(r) is taken from the residuals about the fitted layer (Cressie 1993,
    doi 10.1002/9781119115151): neighbouring pixels vary together, and neighbouring bins do, so that a test with independent
    errors finds layers in any composite. ℓ means nothing where a = 0, so the ratio is not χ² (Davies 1987,
    doi 10.1093/biomet/74.1.33); its distribution comes from simulated profiles with the same bins, counts and covariance.
    ℓ is sought from one pixel to half the range of distances, beyond which a layer and a gradient look alike. An end of ℓ that
    the data leave open is 0 or NaN. Intervals come from the profile likelihood, widened by what is not known of the noise.
    Variation over half of the map or more is not told from a layer. The test sees the mean along the edge only.

    Not testable: fewer than 5 bins with pixels, or fewer than 5 counts per bin on average.

    References
    ----------
    S. Holm, Scandinavian Journal of Statistics 6 (1979) 65. For edges that do not behave like the bulk see the perspective,
    doi 10.1039/D1TA04532F, section 5.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import detect_lateral_layer, edge_distance
    >>> place = {d: np.arange(n) * 0.5 + 0.25 for d, n in (("y", 64), ("x", 64))}
    >>> mean = 4 * (1 + 0.8 * np.exp(-place["x"] / 2.0)) * np.ones((64, 1))
    >>> counts = np.random.default_rng(0).poisson([mean, 0 * mean + 4])
    >>> maps = xr.DataArray(counts, {"fragment": ["O-", "S-"], **place}, ("fragment", "y", "x"), attrs={"units": "counts"})
    >>> found = detect_lateral_layer(maps, edge_distance(maps, edge="left"))
    >>> found.detected.values.tolist()
    [1, 0]
    >>> bool(found.depth_scale_low[0] < 2.0 < found.depth_scale_high[0])
    True
    """
    draws, seed = generator(rng)
    _check(maps, distance, depth_max, false_alarms)
    ordered = canonical(maps)
    channel = channel_dim(ordered, subject=SUBJECT)
    names = [str(v) for v in ordered.coords[channel].values] if channel and channel in ordered.coords else [""]
    if channel and channel not in ordered.coords:
        names = [str(i) for i in range(ordered.sizes[channel])]
    values = to_dense(ordered.data).astype(float).reshape(-1, len(names), ordered.sizes["y"], ordered.sizes["x"]).sum(axis=0)
    poisson = maps.dtype.kind in "iu" and maps.attrs.get("units") == "counts"
    away = to_dense(canonical(distance).data).astype(float)
    known = _known(maps, distance, away, depth_max)
    pixel = pixel_size(distance, subject=SUBJECT)
    size = float(np.sqrt(pixel[0] * pixel[1]))
    edges = edges_of(float(away[known].max()), size)
    depths = depths_of(away[known], size)
    phases = _phases(labels, maps, known)
    number = max(LEAST_DRAWS, int(np.ceil(DRAWS_PER_TEST * len(names) * len(phases) / false_alarms)))
    outcomes = []
    for mask in phases.values():
        for image in values:
            finite = np.isfinite(image)
            bins = binned(away, mask & finite, edges, depths)
            reason = _reason(image, bins.number, bins.used, poisson=poisson)
            layer = None
            if not reason:
                layer = fit_layer(
                    np.where(finite, image, 0.0), away, bins, poisson=poisson, pixel=pixel, n_draws=number, rng=draws
                )
            outcomes.append(Outcome(layer, reason, bins.occupied, int(bins.number.sum())))
    arguments = {
        "maps": maps,
        "distance": distance,
        "labels": labels,
        "depth_max": depth_max,
        "false_alarms": false_alarms,
        "rng": seed,
    }
    frame = (list(phases) if labels is not None else None, channel, ordered)
    return as_dataset(
        outcomes, edges, frame, float(false_alarms), arguments, [maps, distance, *([] if labels is None else [labels])]
    )


def _check(maps: xr.DataArray, distance: xr.DataArray, depth_max: object, level: object) -> None:
    counts = getattr(maps, "attrs", {}).get("units") == "counts" and getattr(maps, "dtype", np.dtype(float)).kind in "iu"
    check_array(maps, subject=SUBJECT, dims=("y", "x"), counts=counts)
    check_array(distance, subject=f"{SUBJECT}: distance", dims=("y", "x"))
    same_grid(maps, distance, subject=SUBJECT)
    with Faults(SUBJECT) as faults:
        extra = [str(d) for d in maps.dims if d not in ("scan", "y", "x", channel_dim(maps, subject=SUBJECT))]
        faults.expect(not extra, f"dimension {', '.join(extra)}; expected (scan, fragment, y, x), scans and fragments optional.")
        faults.expect(distance.ndim == 2, f"distance has dims {tuple(distance.dims)}; expected one map (y, x).")
        unit = distance.attrs.get("units", "um")
        faults.expect(unit == "um", f"distance is in {unit!r}; expected um.")
        numbers = (int, float, np.integer, np.floating)
        good = depth_max is None or (isinstance(depth_max, numbers) and bool(0 < depth_max < np.inf))
        faults.expect(good, f"depth_max={depth_max!r}; expected a positive number in um.")
        low, high = FALSE_ALARMS
        good = isinstance(level, numbers) and low <= float(level) <= high
        faults.expect(good, f"false_alarms={level!r}; expected a probability from {low:g} to {high:g}.")


def _known(maps: xr.DataArray, distance: xr.DataArray, away: Floats, depth_max: float | None) -> Bools:
    known: Bools = np.isfinite(away) & (away >= 0)
    if depth_max is not None:
        known &= away <= depth_max
    for mask in (measured_mask(maps), measured_mask(distance)):
        known = known if mask is None else known & mask
    if not known.any():
        upto = "" if depth_max is None else f" up to depth_max={depth_max:g} um"
        raise SsbmapsError(
            f"{SUBJECT}: no measured pixel has a distance of 0 or more{upto}. Distances are positive on the inner side; "
            "edge_distance(…, inside=…) says which that is."
        )
    return known


def _phases(labels: xr.DataArray | None, maps: xr.DataArray, known: Bools) -> dict[str, Bools]:
    """Pixels to use of each phase, or of all as one."""
    if labels is None:
        return {"": known}
    flags = read_flags(labels, subject=f"{SUBJECT}: labels")
    same_grid(maps, labels, subject=f"{SUBJECT}: labels")
    named = [n for n, f in zip(flags.names, flags.flags, strict=True) if f != 0]
    if not named:
        raise SsbmapsError(f"{SUBJECT}: labels name no phase but flag 0; expected those of maps.label_phases.")
    return {n: known & flags.mask(n, subject=SUBJECT) for n in named}


def _reason(image: Floats, number: Floats, used: Bools, *, poisson: bool) -> str:
    """Why a map cannot be tested, or nothing."""
    if len(number) < LEAST_BINS:
        return f"{len(number)} distance bins hold pixels; at least {LEAST_BINS} are needed"
    total = float(image[used].sum())
    if poisson and total < LEAST_COUNTS * len(number):
        few = f"{total:.0f} counts in {len(number)} distance bins; at least 5 per bin are needed"
        return few if total else "no counts"
    if total <= 0:
        return "the mean is not above 0, so that no share of it can be given"
    if not poisson and float(np.ptp(image[used])) == 0:
        return "all values are equal, so that their noise cannot be measured"
    return ""
