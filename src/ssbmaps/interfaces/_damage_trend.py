"""Slope of the logarithm of counts along a dose, with over-dispersed noise whose neighbours may be alike, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_PARAMETERS = 3  # level, slope, bend
LEAST_STEPS = N_PARAMETERS + 2  # two to measure the scatter
MOST_STEPS = 200  # more are pooled: a trend is as clear in pooled counts
ROUNDS, SETTLED = 50, 1e-10
ALIKE = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)  # of neighbours; beyond, a walk is not told from a trend
FINEST, SPARE = 0.05, 16.0  # of the jitter's variance: in units of counting, and beyond what the residuals show


@dataclass(frozen=True)
class Trend:
    """Slope of ln(counts) per unit of dose, its error, degrees of freedom, the noise, and the fitted counts with their error."""

    slope: float
    sd: float
    freedom: float
    dispersion: float
    alike: float
    curve: Floats
    counts_sd: Floats

    def p_value(self, sign: int) -> float:
        """Probability of a slope so far in the direction `sign` if there is none."""
        from scipy.stats import t

        return float(t.sf(sign * self.slope / self.sd, self.freedom))

    def ends(self) -> tuple[float, float]:
        """95 % interval of the slope."""
        from scipy.stats import t

        wide = float(t.ppf(0.975, self.freedom)) * self.sd
        return self.slope - wide, self.slope + wide


def fit_trend(counts: Floats, dose: Floats) -> Trend:
    """ln E(counts) = α + β x + γ x², x the dose; γ is there because damage levels off, and makes no trend by itself.

    Residuals over √mean have the covariance 1 + τ² R: Poisson noise, and a jitter with R = ρ^|i − j|. τ² and ρ are those of the
    largest restricted likelihood (Patterson and Thompson 1971, doi 10.1093/biomet/58.3.545), which allows for what the fit took
    away; the slope is that of generalised least squares under them.
    """
    pool = -(-len(counts) // MOST_STEPS)
    groups = np.arange(len(counts)) // pool
    size = np.bincount(groups).astype(float)
    y, x = np.bincount(groups, counts), np.bincount(groups, dose) / size
    columns = _columns(x, dose)
    theta = _poisson(y / size, columns, size)
    mean = np.exp(np.clip(columns @ theta, -30, 30)) * size
    root = np.sqrt(mean)
    change, covariance, excess, alike = _restricted((y - mean) / root, columns * root[:, None])
    theta = theta + change
    curve = np.exp(np.clip(_columns(dose, dose) @ theta, -30, 30))
    span = float(np.ptp(dose))
    spread = np.sqrt(curve * (1 + excess / pool))
    freedom = float(len(y) - N_PARAMETERS)
    return Trend(float(theta[1]) / span, float(np.sqrt(covariance[1, 1])) / span, freedom, 1 + excess, alike, curve, spread)


def _columns(x: Floats, dose: Floats) -> Floats:
    """(step, 3): level, slope and bend, with the dose from its middle in units of its range."""
    at = (x - dose.mean()) / np.ptp(dose)
    whole = (dose - dose.mean()) / np.ptp(dose)
    tilt = float(whole @ whole**2) / float(whole @ whole)
    return np.column_stack([np.ones(len(at)), at, at**2 - tilt * at - float((whole**2).mean())])


def _poisson(level: Floats, columns: Floats, size: Floats) -> Floats:
    """Maximum likelihood of counts with the mean size × e^(columns θ), by Fisher scoring."""
    theta = np.array([np.log(max(float(level.mean()), 0.5)), 0.0, 0.0])
    for _ in range(ROUNDS):
        mean = np.exp(np.clip(columns @ theta, -30, 30)) * size
        information = (columns * mean[:, None]).T @ columns
        score = columns.T @ (level * size - mean)
        step = np.linalg.solve(information + 1e-9 * np.trace(information) * np.eye(N_PARAMETERS), score)
        theta = theta + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        if np.abs(step).max() < SETTLED:
            break
    return np.asarray(theta)


def _restricted(residual: Floats, columns: Floats) -> tuple[Floats, Floats, float, float]:
    """Change of the parameters, their covariance, τ² and ρ of the largest restricted likelihood on a grid."""
    n = len(residual)
    gap = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    most = SPARE * max(float(residual @ residual) / (n - N_PARAMETERS), 1.0)
    sizes = np.concatenate([[0.0], np.geomspace(FINEST, most, 2 + int(np.ceil(2 * np.log2(most / FINEST))))])
    best: tuple[float, Floats, Floats, float, float] = (np.inf, np.zeros(N_PARAMETERS), np.eye(N_PARAMETERS), 0.0, 0.0)
    for alike in ALIKE:
        values, vectors = np.linalg.eigh(np.where(gap == 0, 1.0, alike**gap))
        turned_y, turned_x = vectors.T @ residual, vectors.T @ columns
        for excess in sizes:
            variance = 1 + excess * values
            information = (turned_x / variance[:, None]).T @ turned_x
            covariance = np.linalg.pinv(information)
            change = covariance @ (turned_x.T @ (turned_y / variance))
            left = turned_y - turned_x @ change
            score = float((left**2 / variance).sum() + np.log(variance).sum() + np.linalg.slogdet(information)[1])
            if score < best[0]:
                best = (score, change, covariance, float(excess), alike if excess > 0 else 0.0)
    return best[1:]
