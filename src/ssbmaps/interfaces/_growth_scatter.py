"""How much particles and cells scatter about a growth curve, the curve under that scatter, and what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._growth_laws import N_PARAMETERS, curves_of, fit_sets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.interfaces._growth_data import Cells
    from ssbmaps.interfaces._growth_laws import Curves

    Floats = NDArray[np.float64]

ROUNDS, SAME = 50, 1e-9
NO_SCATTER = 1e-12  # relative variance of a cell's mean below which values that are all alike leave nothing to measure
LIMIT_SPREAD = 0.3  # relative scatter taken for a limit where none could be measured


@dataclass(frozen=True)
class Fit:
    """One law fitted to one set of cells: parameters (1, p), relative variance of each cell's mean, and both scatters."""

    curves: Curves
    theta: Floats
    variance: Floats
    cv_particles: float
    cv_cells: float
    freedom: int

    @property
    def bounded(self) -> bool:
        """Whether there is scatter, and freedom to measure it."""
        return self.freedom > 0 and bool(self.variance.max() > NO_SCATTER)


def measurement(sets: list[Cells], predicted: list[dict[float, float]]) -> tuple[float, float]:
    """a², b² ≥ 0 of the stated variances, taken together as a² + b² g²: a particle's own error never weighs its own thickness."""
    squares = np.concatenate([c.sd_squared for c in sets])
    if not len(squares):
        return 0.0, 0.0
    from scipy.optimize import nnls

    g2 = np.concatenate([[p[t] for t in c.sd_time] for c, p in zip(sets, predicted, strict=True)]) ** 2
    scale = 1 / g2  # relative variances count alike
    found, _ = nnls(np.column_stack([scale, np.ones_like(scale)]), squares * scale)
    return float(found[0]), float(found[1])


def fit_cells(sets: list[Cells], law: str) -> list[Fit]:
    """`law` fitted to each set of cells, with one relative scatter of particles and one of cells for all of them.

    The variance of a cell's mean is g² (cv_cells² + cv_particles² Σw²/(Σw)²) + stated variance × Σw²/(Σw)². cv_particles is
    the scatter within cells beyond the stated errors, cv_cells what the cells' scatter about the curves asks beyond that (Paule
    and Mandel 1982, doi 10.6028/jres.087.022).
    """
    curves = [curves_of(law, c.time) for c in sets]
    variance = [np.ones(len(c.time)) for c in sets]
    theta = [_start(k, c, v) for k, c, v in zip(curves, sets, variance, strict=True)]
    freedom = sum(c.n_measured - N_PARAMETERS[law] for c in sets)
    cv_particles = cv_cells = 0.0
    for _ in range(ROUNDS):
        g = [np.exp(k.log_curve(c.time, th)[0][0]) for k, c, th in zip(curves, sets, theta, strict=True)]
        cv_particles, cv_cells, variance = scatters(sets, g, freedom)
        new = [
            fit_sets(k, c.time, c.mean[None], c.below[None], v, th).theta
            for k, c, v, th in zip(curves, sets, variance, theta, strict=True)
        ]
        moved = max(float(np.abs(a - b).max()) for a, b in zip(new, theta, strict=True))
        theta = new
        if moved < SAME:
            break
    return [Fit(k, th, v, cv_particles, cv_cells, freedom) for k, th, v in zip(curves, theta, variance, strict=True)]


def _start(curves: Curves, cells: Cells, variance: Floats) -> Floats:
    return fit_sets(curves, cells.time, cells.mean[None], cells.below[None], variance * LIMIT_SPREAD**2).theta


def scatters(sets: list[Cells], g: list[Floats], freedom: int) -> tuple[float, float, list[Floats]]:
    """cv_particles, cv_cells, and the relative variance of every cell's mean about the curves `g`."""
    fixed, offset = measurement(sets, [dict(zip(c.time.tolist(), v.tolist(), strict=True)) for c, v in zip(sets, g, strict=True)])
    stated = [fixed / v**2 + offset for v in g]
    degrees = np.concatenate([c.freedom for c in sets])
    within = np.concatenate([c.scatter / v**2 - s * (c.freedom > 0) for c, v, s in zip(sets, g, stated, strict=True)])
    single = max(float(degrees @ within / degrees.sum()), 0.0) if degrees.sum() > 0 else 0.0
    floor = [c.share * (single + s) for c, s in zip(sets, stated, strict=True)]
    measured = [~c.below for c in sets]
    residual = np.concatenate([(c.mean / v - 1)[m] for c, v, m in zip(sets, g, measured, strict=True)])
    between = paule_mandel(residual, np.concatenate([f[m] for f, m in zip(floor, measured, strict=True)]), freedom)
    if between == 0 and max(f.max() for f in floor) == 0:  # nothing scatters, or nothing is left to tell
        between = NO_SCATTER / 10
    return np.sqrt(single), np.sqrt(between), [f + between for f in floor]


def paule_mandel(residual: Floats, floor: Floats, freedom: int) -> float:
    """Variance of cells that makes Σ r²/(floor + variance) equal the degrees of freedom; 0 if the floor alone explains it."""
    from scipy.optimize import brentq

    if freedom < 1:
        return 0.0

    def excess(variance: float) -> float:
        return float((residual**2 / (floor + variance)).sum()) - freedom

    most = float((residual**2).sum()) / freedom
    if most < NO_SCATTER or (floor.min() > 0 and excess(0.0) <= 0):
        return 0.0
    low = 0.0 if floor.min() > 0 else 1e-3 * NO_SCATTER
    return float(brentq(excess, low, most * (1 + 1e-9) + NO_SCATTER)) if excess(low) > 0 else 0.0


def deviance_of(fit: Fit, cells: Cells, variance: Floats) -> float:
    """Quasi-deviance of the law under a common `variance`, refitted to it."""
    found = fit_sets(fit.curves, cells.time, cells.mean[None], cells.below[None], variance, fit.theta)
    return float(found.deviance[0])


def constant_deviance(cells: Cells, variance: Floats) -> float:
    """Quasi-deviance of a thickness that does not change."""
    flat = curves_of("constant", cells.time)
    return float(fit_sets(flat, cells.time, cells.mean[None], cells.below[None], variance).deviance[0])


def redraw(fit: Fit, cells: Cells, n: int, scale: Floats, rng: np.random.Generator) -> Floats:
    """Parameters (n, p) of the law refitted to cells drawn anew about the curve.

    Relative deviations of whole cells are log-normal with the variance of their means, times `scale` (n), which carries what is
    not known of that variance. A cell with an upper limit stays one where the drawn value lies below it.
    """
    g = np.exp(fit.curves.log_curve(cells.time, fit.theta)[0][0])
    spread2 = np.log1p(fit.variance * scale[:, None] ** 2)
    drawn = g * np.exp(np.sqrt(spread2) * rng.standard_normal((n, len(g))) - spread2 / 2)
    below = cells.below & (drawn < cells.mean)
    return fit_sets(fit.curves, cells.time, np.where(below, cells.mean, drawn), below, fit.variance, fit.theta).theta


def unknown_scale(freedom: int, n: int, rng: np.random.Generator) -> Floats:
    """√(ν/χ²_ν): makes normal draws scatter as Student's t with ν degrees of freedom."""
    return np.sqrt(freedom / rng.chisquare(freedom, n))
