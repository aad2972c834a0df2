"""One shell around a core, measured: window found, shape chosen, detected or not, resolved or limited, on arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._interphase_fit import (
    CHI2_90,
    DEPARTURES,
    DETECTED,
    Interval,
    Limits,
    Misfit,
    bare_fit,
    choose,
    consistency,
    dispersion_of,
    excess_of,
    excess_sd,
    fit_box,
    interval_of,
    limits_of,
    misfit_of,
    offset_of,
    sensitivity,
)
from ssbmaps.interfaces._kin import told_apart
from ssbmaps.interfaces._scoring import Fit, fit_shape
from ssbmaps.interfaces._shapes import CORE, SHELL, THIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Across
    from ssbmaps.interfaces._interphase_fit import Profile

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

FIRST_REACH = 10.0  # pixels to either side
PLATEAU = 6.0  # σ beyond the shell that the profile must show
ROUNDS = 6
LEAST_PIXELS = 50
LEAST_STEP = 16.3  # likelihood ratio of the core's step: χ² of 3 degrees of freedom at 0.1 %


class NoCore(Exception):
    """No edge of the core to measure from; the text says why."""


@dataclass(frozen=True)
class Measured:
    """A shell's fits and what follows from them; `use` the entries of its `Across`, `data` their profile."""

    use: Bools
    data: Profile
    limits: Limits
    fit: Fit
    alike: tuple[str, ...]
    evidence: dict[str, tuple[float, float]]
    likelihood_ratio: float
    thickness_ratio: float
    dispersion: float
    misfit: Misfit
    interval: Interval
    sensitivity: dict[str, float]
    offset: tuple[float, float]
    excess: float
    excess_sd: float
    thin_excess: float
    thin_excess_sd: float
    reach: tuple[float, float]
    kin: tuple[Ints, Floats] | None

    @property
    def above_noise(self) -> bool:
        """Whether a shell is there beyond chance."""
        return self.likelihood_ratio > DETECTED

    @property
    def bounded(self) -> bool:
        """Whether a thickness is there beyond chance, and the likelihood bounds it from both sides."""
        ends = bool(np.isfinite(self.interval.low) and np.isfinite(self.interval.high))
        return self.above_noise and ends and self.thickness_ratio > DETECTED

    def offset_spread(self, prior: float) -> float:
        """Root mean square in um of the distance between core and shell, given the profile and a prior standard deviation."""
        if prior == 0:
            return 0.0
        value, sd = self.offset
        share = prior**2 / (prior**2 + sd**2)
        return float(np.hypot(share * value, prior * np.sqrt(1 - share)))


def measure_shell(across: Across, farthest: tuple[float, float], owner: Ints | None = None) -> Measured:
    """Fit the shell of an `Across` with one core and one shell channel; `farthest` bounds the window inside and outside.

    `owner` (P,) numbers the particles; those whose shells differ are told apart, and d is the mean over their edges.
    """
    use, box, ratio, limits, reach = _window(across, farthest)
    above = ratio > DETECTED
    if above and owner is not None:
        across, use, box = told_apart(across, use, owner, box, limits)
    data, *folds = across.binned(use, folds=True)
    thin = _thin(data, box, limits, across.size)
    fits, evidence, shifted = choose(folds, data, box, limits) if above else ([thin], {}, thin)
    fit = fits[0]
    dispersion = _scale(data, fit)
    interval, extent = Interval(np.nan, np.nan, np.nan), 0.0
    if above:
        extent = min(_extent(data, f, limits) for f in fits) / dispersion
        interval = _joined([interval_of(data, f, limits.of(f.shape), dispersion) for f in fits])
    return Measured(
        use=use,
        data=data,
        limits=limits,
        fit=fit,
        alike=tuple(f.shape.name for f in fits[1:]),
        evidence=evidence,
        likelihood_ratio=max(ratio, 0.0),
        thickness_ratio=extent,
        dispersion=dispersion,
        misfit=misfit_of(data, fit),
        interval=interval,
        sensitivity=_sensitivities(data, fit, limits, interval) if above else {},
        offset=offset_of(fit, shifted, dispersion) if above else (0.0, np.inf),
        excess=excess_of(fit),
        excess_sd=excess_sd(fit, dispersion),
        thin_excess=excess_of(thin),
        thin_excess_sd=_thin_sd(data, thin, dispersion),
        reach=reach,
        kin=None if across.kin is None or across.stretch is None else (across.kin, across.stretch),
    )


def _extent(data: Profile, fit: Fit, limits: Limits) -> float:
    """Likelihood ratio of the thickness found against next to none, all else free."""
    bounds = limits.of(fit.shape)
    flat = fit_shape(data, fit.shape, fit.geometry, bounds, held={"d": limits.thickness[0]})
    return 2 * (flat.loss - fit.loss)


def _sensitivities(data: Profile, fit: Fit, limits: Limits, interval: Interval) -> dict[str, float]:
    """Sensitivity to each departure, at the thickness found, or at its upper limit where the likelihood falls to none.

    At no thickness at all nothing moves: there the numbers would promise a safety that the limit does not have.
    """
    at = fit
    if not np.isfinite(interval.low) and np.isfinite(interval.limit):
        bounds = limits.of(fit.shape)
        at = fit_shape(data, fit.shape, fit.geometry, bounds, held={"d": interval.limit}, levels=fit.levels)
    return {name: sensitivity(data, at, limits, name) for name in DEPARTURES}


def _window(across: Across, farthest: tuple[float, float]) -> tuple[Bools, Fit, float, Limits, tuple[float, float]]:
    """Pixels that show the shell and a plateau on either side of it, found by repeated box fits."""
    size = across.size
    inner, outer = (min(FIRST_REACH * size, f) for f in farthest)
    thickness, sigma = 0.0, size
    for _ in range(ROUNDS):
        use = across.near(inner, outer, thickness, sigma)
        data = across.binned(use)[0]
        _expect_pixels(across, use)
        limits = limits_of(size, outer)
        box = fit_box(data, size, limits)
        ratio = 2 * (bare_fit(data, box, limits).loss - box.loss) / _scale(data, box)
        found = ratio > DETECTED
        now = box.value("d") if found else 0.0
        seen = box.value("sigma")
        wanted_in = min(max(FIRST_REACH * size, PLATEAU * seen + abs(box.value("s0"))), farthest[0])
        wanted = min(max(FIRST_REACH * size, now + abs(box.value("s0")) + PLATEAU * seen + 2 * size), farthest[1])
        settled = wanted <= 1.02 * outer and wanted_in <= 1.02 * inner and abs(now - thickness) < 0.1 * seen + 0.02 * now
        if settled and abs(seen - sigma) < 0.1 * sigma:
            break
        inner, outer = max(inner, wanted_in), max(outer, wanted)
        thickness, sigma = now, seen
    _expect_step(data, box)
    return use, box, float(ratio), limits, (inner, outer)


def _scale(data: Profile, fit: Fit) -> float:
    """What errors are multiplied by: the dispersion, for counts never below that of counting."""
    return max(dispersion_of(data, fit), 1.0 if data.positive else 1e-12)


def _expect_pixels(across: Across, use: Bools) -> None:
    inside, outside = (round(float(across.share[side].sum())) for side in (use & (across.s < 0), use & (across.s >= 0)))
    if min(inside, outside) < LEAST_PIXELS:
        raise NoCore(
            f"{inside} usable pixels inside the core and {outside} outside near its edge; expected at least {LEAST_PIXELS} on "
            "either side. Pixels count where no second edge is near: cores thinner than 8 σ, or closer to each other than the "
            "shell, have none."
        )


def _expect_step(data: Profile, box: Fit) -> None:
    """The core's own signal must show its edge; without it the position is unknown and with it every thickness."""
    core = data.part(np.flatnonzero(data.kinds == CORE))
    seen, weight = core.observed()
    flat = np.broadcast_to((seen * weight).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True), seen.shape)
    ratio = 2 * (core.loss(flat) - core.loss(box.mean[data.kinds == CORE]))
    level = box.levels[0]
    if not (ratio > LEAST_STEP and level[0] > level[2]):
        raise NoCore(
            f"the core's signal falls from {level[0]:.3g} inside to {level[2]:.3g} outside (likelihood ratio {ratio:.3g}, "
            f"expected above {LEAST_STEP}): it shows no edge to measure from. Take a fragment that the core itself emits."
        )


def _joined(intervals: list[Interval]) -> Interval:
    """From the lowest low to the highest high; open where one of them is open."""
    low, high, limit = (np.array([getattr(i, n) for i in intervals]) for n in ("low", "high", "limit"))
    return Interval(float(low.min()), float(high.max()), float(limit.max()))


def _thin(data: Profile, fit: Fit, limits: Limits, size: float) -> Fit:
    """A shell far thinner than the beam, its level free: all that an unresolved shell's profile tells is its excess."""
    thin = 0.1 * size
    start = np.array([0.0, thin, fit.value("sigma")])
    return fit_shape(data, THIN, start, limits.of(THIN), held={"d": thin})


def _thin_sd(data: Profile, thin: Fit, dispersion: float) -> float:
    """Standard error of the thin box's excess, its level taken as free even where it is zero."""
    n_geometry = len(thin.geometry)
    free = np.ones(len(thin.parameters), bool)
    free[1] = False
    level = n_geometry + 3 * int(np.flatnonzero(data.kinds == SHELL)[0]) + 1
    used = np.flatnonzero(free & (np.diag(thin.information) > 0))
    information = thin.information[np.ix_(used, used)]
    scale = np.sqrt(np.diag(information))
    covariance = np.linalg.pinv(information / np.outer(scale, scale), rcond=1e-12) / np.outer(scale, scale)
    at = int(np.flatnonzero(used == level)[0])
    return float(np.sqrt(covariance[at, at] * dispersion)) * thin.value("d")


def thickness_limit(measured: Measured, contrast: float | None, spread: Callable[[Measured, float], float]) -> tuple[float, bool]:
    """95 % upper limit of the thickness, and whether it rests on a declared level; NaN where nothing bounds it.

    From the profile's shape where a shell is seen, with the standard deviation `spread` of all else in quadrature; else from
    its excess, where `contrast`, the level of the pure shell above what lies outside, is known.
    """
    if measured.above_noise and np.isfinite(measured.interval.limit):
        d = measured.fit.value("d")
        return float(d + np.hypot(measured.interval.limit - d, np.sqrt(CHI2_90) * spread(measured, d))), False
    if contrast is not None and contrast > 0:
        return float((max(measured.thin_excess, 0.0) + np.sqrt(CHI2_90) * measured.thin_excess_sd) / contrast), True
    return float("nan"), False


def ions_apart(across: Across, measured: Measured) -> dict[str, tuple[float, float]]:
    """Likelihood ratio and p of the single ions of a list (channels of `across`) apart, for the shell and for the core."""
    if measured.kin is not None:
        across = replace(across, kin=measured.kin[0], stretch=measured.kin[1])
    data = across.binned(measured.use)[0]
    return {
        name: consistency(data.part(np.flatnonzero(data.kinds == kind)), measured.fit, measured.limits, measured.dispersion)
        for name, kind in (("shell", SHELL), ("core", CORE))
    }
