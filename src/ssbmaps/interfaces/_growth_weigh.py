"""All growth laws fitted to the same cells, their intervals, and the evidence for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._growth_laws import LAWS, N_PARAMETERS
from ssbmaps.interfaces._growth_scatter import constant_deviance, deviance_of, fit_cells, redraw, unknown_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.interfaces._growth_data import Cells
    from ssbmaps.interfaces._growth_scatter import Fit

    Floats = NDArray[np.float64]

PARAMETERS = ("rate", "intercept", "exponent", "tau")
GRID = 61  # times along which a band is given
ALIKE = 0.05  # share of the best law's evidence that a law needs not to be ruled out
ONE_SD = 0.8413447


@dataclass(frozen=True)
class Law:
    """One law: values, errors and ends by parameter (value, sd, low, high), curve and band along the grid."""

    fit: Fit
    values: dict[str, Floats]
    band: Floats


@dataclass(frozen=True)
class Weighed:
    """The laws that could be fitted, the evidence (NaN where there is none), and why nothing is determined, if so."""

    laws: dict[str, Law]
    evidence: dict[str, float]
    likelihood_ratio: dict[str, float]
    preferred: str
    alike: list[str]
    reason: str
    grid: Floats


def weigh(cells: Cells, law: str | None, n_boot: int, rng: np.random.Generator) -> Weighed:
    """Every law that the number of times and cells allows, with `law` preferred if given."""
    grid = np.linspace(0.0, 1.0, GRID) ** 2 * float(cells.time.max())  # dense where a square root bends
    least = min(N_PARAMETERS[n] for n in LAWS)
    n = cells.n_measured
    if cells.n_times < least:
        text = f"thickness is measured at one time only; a rate needs at least {least}"
        return Weighed({}, {}, {}, law or "undetermined", [], text, grid)
    possible = [name for name in LAWS if min(n, cells.n_times) >= N_PARAMETERS[name]]
    laws = {name: with_interval(fit_cells([cells], name)[0], cells, grid, n_boot, rng) for name in possible}
    wanted = laws.get(law) if law else next(iter(laws.values()))
    if wanted is None:
        text = f"{cells.n_times} times for the {N_PARAMETERS[law or LAWS[0]]} parameters of the law"
        return Weighed(laws, {}, {}, law or "undetermined", [], text, grid)
    if not any(one.fit.freedom > 0 for one in laws.values()):
        text = f"{n} cells for {wanted.fit.freedom * -1 + n} parameters leave no scatter to measure"
        return Weighed(laws, {}, {}, law or "undetermined", [], text, grid)
    evidence, ratio = compare_laws(laws, cells)
    preferred = law or max(evidence, key=lambda name: evidence[name])
    alike = [name for name in laws if evidence[name] >= ALIKE * max(evidence.values())]
    fit = laws[preferred].fit
    reason = ""
    if fit.freedom <= 0:
        reason = f"{n} cells for {N_PARAMETERS[preferred]} parameters leave no scatter to measure"
    elif not fit.bounded:
        reason = "the thicknesses do not scatter at all about the curve, so that nothing tells how far to trust it"
    return Weighed(laws, evidence, ratio, preferred, alike, reason, grid)


def with_interval(fit: Fit, cells: Cells, grid: Floats, n_boot: int, rng: np.random.Generator) -> Law:
    """Values with errors and ends, and the curve with its band; NaN where there is no interval."""
    best = fit.curves.parameters(fit.theta)
    middle = curve(fit, fit.theta, grid)
    if not fit.bounded:
        blank = np.full(3, np.nan)
        values = {name: np.concatenate([best[name], blank]) for name in PARAMETERS}
        return Law(fit, values, np.stack([middle[0], *np.full((2, len(grid)), np.nan)]))
    theta = redraw(fit, cells, n_boot, unknown_scale(fit.freedom, n_boot, rng), rng)
    drawn = fit.curves.parameters(theta)
    values = {name: np.array([best[name][0], *spread(drawn[name], fit.freedom)]) for name in PARAMETERS}
    return Law(fit, values, np.stack([middle[0], *np.quantile(curve(fit, theta, grid), [0.025, 0.975], axis=0)]))


def curve(fit: Fit, theta: Floats, grid: Floats) -> Floats:
    """The law (set, time) at any time; 0 where a square-root or straight line would be below it."""
    with np.errstate(divide="ignore"):
        return np.nan_to_num(np.exp(fit.curves.log_curve(grid, theta)[0]), nan=0.0)


def spread(drawn: Floats, freedom: int) -> tuple[float, float, float]:
    """Standard error and 95 % ends of draws that scatter as Student's t."""
    from scipy.stats import t

    low, below, above, high = np.quantile(drawn, [0.025, 1 - ONE_SD, ONE_SD, 0.975])
    return float((above - below) / (2 * t.ppf(ONE_SD, freedom))), float(low), float(high)


def compare_laws(laws: dict[str, Law], cells: Cells) -> tuple[dict[str, float], dict[str, float]]:
    """Akaike weights from the small-sample criterion (AICc) on cells, and 2 ln(L1/L0) against a constant thickness.

    All laws are judged by the scatter that is left under the law with the smallest; it counts as a parameter.
    """
    open_laws = [one.fit for one in laws.values() if one.fit.freedom > 0]
    common = min(open_laws, key=lambda fit: fit.cv_cells).variance
    deviance = {name: deviance_of(one.fit, cells, common) for name, one in laws.items()}
    flat = constant_deviance(cells, common)
    n = cells.n_measured
    criterion = {}
    for name in laws:
        k = N_PARAMETERS[name] + 1
        criterion[name] = deviance[name] + 2 * k + 2 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf
    least = min(criterion.values())
    if not np.isfinite(least):  # too few cells for the criterion: laws of as many parameters by their deviance alone
        fewest = min(N_PARAMETERS[name] for name in laws)
        criterion = {name: deviance[name] if N_PARAMETERS[name] == fewest else np.inf for name in laws}
        least = min(criterion.values())
    share = {name: float(np.exp(-(value - least) / 2)) for name, value in criterion.items()}
    return {name: v / sum(share.values()) for name, v in share.items()}, {name: flat - d for name, d in deviance.items()}
