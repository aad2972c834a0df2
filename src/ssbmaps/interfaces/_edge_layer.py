"""The transient at the face of a section: counts that change over the first scans, tested, measured, and bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._conventions import generator
from ssbmaps._errors import Faults
from ssbmaps.interfaces._edge_layer_result import as_dataset
from ssbmaps.interfaces._scan_totals import depths, exposures, totals
from ssbmaps.interfaces._transient_fit import Jitter, Transient, fit
from ssbmaps.interfaces._transient_series import scans_of
from ssbmaps.interfaces._transient_shape import EXPONENTIAL, STEP, candidates
from ssbmaps.interfaces._transient_test import Search

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Depth = str | xr.DataArray | Mapping[str, str | xr.DataArray]

SUBJECT = "interfaces.detect_edge_layer"
LEAST_SCANS = 5
LEAST_COUNTS = 1.0  # per scan on average: below, a square root no longer makes the noise even
_SHAPES = {EXPONENTIAL: (EXPONENTIAL,), STEP: (STEP,), "either": (EXPONENTIAL, STEP)}


@dataclass(frozen=True)
class Outcome:
    """Of one region and ion: the test and the fit, or why there is none."""

    counts: Floats
    ratio: float = np.nan
    p_value: float = np.nan
    found: Transient | None = None
    why_not: str = ""
    spacing: float = 0.0  # of the first two scans


def detect_edge_layer(
    series: xr.DataArray,
    *,
    depth: Depth | None = None,
    labels: xr.DataArray | None = None,
    exposure: xr.DataArray | Sequence[float] | None = None,
    shape: str = EXPONENTIAL,
    drift: bool = True,
    tolerance: float = 0.05,
    false_alarms: float = 0.025,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Test whether signals change over the first scans of a sputter series, how far down, and from which scan on they are bulk.

    For each ion, and each phase if labels are given, counts per scan are compared with a level and a linear drift; the transient
    beside them is C (1 + a exp(−z/ℓ)), or a step blurred by mixing. It may rise or fall. The cause is not identified: implanted
    or removed atoms, contamination, charging, and a layer that was there before all look alike.

    Parameters
    ----------
    series : xarray.DataArray
        Counts (scan, fragment, y, x), (scan, fragment) or (scan, y, x), 0 or more, best whole and not normalised; `z` may stand
        for `scan`. Dense, sparse or dask. Unmeasured pixels are left out, and so are scans without any count, with a warning.
    depth : str, xarray.DataArray or mapping, optional
        Depth of every scan, rising, with the attribute ``units``: a coordinate's name, an array along scan, or one for each
        phase where they sputter at different rates. By default the number of the scan, or the coordinate `z` if it has units.
    labels : xarray.DataArray, optional
        Integers (y, x) with flags, from `ssbmaps.maps.label_phases`: each phase but the unassigned is tested for itself.
    exposure : xarray.DataArray or sequence of float, optional
        Primary current or dose of every scan, in any unit. Counts are then compared at equal exposure. A total-ion signal is
        none: it has transients of its own.
    shape : {"exponential", "step", "either"}
        The shape of the transient; "either" searches both and keeps the likelier one.
    drift : bool, optional
        Allow for a linear drift through all scans. Without, long transients are found with fewer counts, and a drift of the
        primary current is taken for one.
    tolerance : float, optional
        Share of the level, below which a change no longer counts for ``first_bulk_scan``.
    false_alarms : float, optional
        Probability that any of the ions and phases is called changed if none is, from 0.001 to 0.2.
    rng : int or numpy.random.Generator, optional
        For the drawn distribution of the likelihood ratio; None means 0.

    Returns
    -------
    xarray.Dataset
        Along ``fragment`` (and ``phase``): ``detected`` (1 where p_family is at most `false_alarms`), ``testable`` (0 with
        fewer than five scans or one count per scan), ``likelihood_ratio`` (2 ln L1/L0), ``p_value``, and ``p_family``,
        corrected for all ions and phases tested. ``depth_scale`` (ℓ, or the depth of the step, below the first scan, in the
        unit of `depth`) and ``amplitude`` (a, share of the level, in the first scan), each with ``_sd``, ``_low``, ``_high``
        (95 %; infinite where the data set no end) and NaN where nothing was detected; ``width`` of a step; ``model``.
        ``change_limit``: a change that is over within a quarter of the series is smaller than this share of the level in the
        first scan (95 %), detected or not; of slower ones nothing can be said beside level and drift. ``first_bulk_scan``:
        how many leading scans to leave out until the change is below `tolerance` with 95 % confidence: 0 where nothing was
        detected, NaN where no scan of the series gets there. ``drift``: relative change of the level from first to last scan.
        ``jitter``: relative standard deviation beyond Poisson noise, ``autocorrelation`` of it between neighbours, and
        ``dispersion``, variance over Poisson variance. ``model_rejected`` (1 where the jitter exceeds 10 %: the series is no
        single material with a steady current and one change, and the numbers describe a curve that does not fit).
        ``statement``: the result in words. Along scan too: ``counts`` with ``counts_sd``, the fitted ``curve`` and ``bulk``
        (the same without the transient).

    Raises
    ------
    SsbmapsError
        If counts are negative or NaN, no scan dimension is there, depth has no unit or does not rise, or an option is unknown.
    GridMismatchError
        If labels lie on other pixels than the series.

    Warns
    -----
    DataQualityWarning
        Scans without counts, repeated scans, values that are no whole numbers.

    Notes
    -----
    The noise is Poisson's with a relative jitter of unknown size beside it, white or correlated between neighbours (first-order
    autoregression), as primary currents have it. ℓ exists under one hypothesis only, so the likelihood ratio is not χ² [1]_: its
    distribution is drawn, and of the correlations that the series makes likely the least favourable one counts. Ions and phases
    are corrected for one another after Holm [2]_. Depth and amplitude come from weighted least squares, with Poisson counts the
    equations of maximum likelihood, and their intervals from the profile, summed over what is not known of the jitter.

    A slow transient and a drift look alike: the power beside what any test could reach is in ``benchmarks/edge_layer.py``.

    References
    ----------
    .. [1] Davies 1987, Biometrika 74, 33, doi 10.1093/biomet/74.1.33.
    .. [2] Holm 1979, Scand. J. Statist. 6, 65, https://www.jstor.org/stable/4615733.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import detect_edge_layer
    >>> z = xr.DataArray(2.0 * np.arange(20), dims="scan", attrs={"units": "nm"})
    >>> mean = 4000 * (1 + xr.DataArray([0.0, 0.8], {"fragment": ["PO3-", "C2-"]}, "fragment") * np.exp(-z / 7.0))
    >>> counts = mean.copy(data=np.random.default_rng(3).poisson(mean))
    >>> found = detect_edge_layer(counts, depth=z)
    >>> found.detected.values.tolist(), bool(found.depth_scale_low[1] < 7 < found.depth_scale_high[1])
    ([0, 1], True)
    """
    draws, seed = generator(rng)
    _check(shape, drift, tolerance, false_alarms)
    found = totals(series, labels, lead=None, subject=SUBJECT)
    below, current = depths(series, depth, found, subject=SUBJECT), exposures(exposure, found, subject=SUBJECT)
    streams = draws.spawn(len(found.regions) * len(found.names))
    outcomes = [
        _outcome(found.counts[i, :, k], current, below.values[region], _SHAPES[shape], drift, streams[i * len(found.names) + k])
        for i, region in enumerate(found.regions)
        for k in range(len(found.names))
    ]
    arguments = {
        "series": series,
        "depth": depth,
        "labels": labels,
        "exposure": exposure,
        "shape": shape,
        "drift": drift,
        "tolerance": tolerance,
        "false_alarms": false_alarms,
        "rng": seed,
    }
    sources = [series, *([] if labels is None else [labels])]
    return as_dataset(outcomes, found, below, arguments, sources)


def _check(shape: object, drift: object, tolerance: object, false_alarms: object) -> None:
    def between(value: object, low: float, high: float) -> bool:
        return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and low <= float(value) <= high

    with Faults(SUBJECT) as faults:
        faults.expect(shape in _SHAPES, f"shape={shape!r}; expected one of {', '.join(map(repr, _SHAPES))}.")
        faults.expect(isinstance(drift, (bool, np.bool_)), f"drift={drift!r}; expected True or False.")
        faults.expect(between(tolerance, 1e-4, 1.0), f"tolerance={tolerance!r}; expected a share from 0.0001 to 1.")
        good = between(false_alarms, 1e-3, 0.2)
        faults.expect(good, f"false_alarms={false_alarms!r}; expected a probability from 0.001 to 0.2.")


def _outcome(counts: Floats, exposure: Floats, z: Floats, kinds: Sequence[str], drift: bool, rng: np.random.Generator) -> Outcome:
    """Test and fit of one series of counts."""
    n = len(counts)
    if n < LEAST_SCANS:
        return Outcome(counts, why_not=f"{n} scans with counts; at least {LEAST_SCANS} are needed")
    if counts.mean() < LEAST_COUNTS:
        return Outcome(counts, why_not=f"{counts.mean():.2g} counts per scan; at least 1 is needed")
    scans = scans_of(counts, exposure, drift=drift)
    tried = [s for kind in kinds for s in candidates(kind, z)]
    search = Search(scans, scans.of(np.array([s.values(z) for s in tried])))
    ratio = search.ratio(scans.counts[None])
    p = search.chance(float(ratio.value[0]), rng)
    noise = search.noises[ratio.noise[0]]
    found = fit(scans, z, tried[ratio.shape[0]], Jitter(noise.rho / float(search.mean.mean()), noise.phi))
    return Outcome(counts, float(ratio.value[0]), p, found, spacing=float(z[1] - z[0]))
