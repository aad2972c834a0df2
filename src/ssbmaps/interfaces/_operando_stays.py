"""What accumulates: a signal against time under a square-root and a straight law, and with a free exponent, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._growth_laws import EXPONENTS, curves_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LAWS = {"sqrt": 0.5, "linear": 1.0}  # exponent of the time
GRID = 296  # exponents tried: steps of 0.01
LEAST = 3  # ends; two parameters leave nothing to judge two of them by


@dataclass(frozen=True)
class Stays:
    """By law: gain by the last time and initial level, (law, 4) as (value, sd, low, high); evidence; ratio against no gain."""

    gain: Floats
    initial: Floats
    evidence: Floats
    likelihood_ratio: Floats
    exponent: Floats
    dispersion: float


def stays(time: Floats, mean: Floats, variance: Floats) -> Stays | None:
    """Fit y = y0 + gain (t / t_last)ⁿ by weighted least squares; None for fewer than three ends or equal times.

    The power law's own function of time is that of `fit_growth`. Scatter beyond the stated errors under the better law
    multiplies all variances (at least by 1), with Student's t for n − 2 degrees of freedom.
    """
    from scipy.stats import f, t

    if len(time) < LEAST or not time[-1] > time[0] >= 0:
        return None
    curves = curves_of("power", time)
    weight = 1 / variance
    fits = {law: _line(curves.raw(time, np.array([[n]]))[0][0], mean, weight) for law, n in LAWS.items()}
    freedom = len(time) - 2
    squares = np.array([one[2] for one in fits.values()])
    factor = max(float(squares.min()) / freedom, 1.0)
    quantile = float(t.ppf(0.975, freedom))
    level = (weight @ mean) / weight.sum()
    flat = float(weight @ (mean - level) ** 2)
    table = np.array([[one[0], np.sqrt(np.diag(one[1]) * factor)] for one in fits.values()])  # law, value | sd, parameter
    low, high = table[:, 0] - quantile * table[:, 1], table[:, 0] + quantile * table[:, 1]
    four = np.stack([table[:, 0], table[:, 1], low, high], axis=1)
    share = np.exp(-(squares - squares.min()) / factor / 2)
    exponent = np.full(4, np.nan)
    best = int(squares.argmin())
    if freedom > 1 and not four[best, 2, 1] <= 0 <= four[best, 3, 1]:
        exponents = np.linspace(*EXPONENTS, GRID)
        tried = np.array([_line(x, mean, weight)[2] for x in curves.raw(time, exponents[:, None])[0]])
        scale = max(float(tried.min()) / (freedom - 1), 1.0)
        inside = exponents[tried - tried.min() <= scale * f.ppf(0.95, 1, freedom - 1)]
        exponent = np.array([exponents[tried.argmin()], (inside[-1] - inside[0]) / (2 * quantile), inside[0], inside[-1]])
    return Stays(four[..., 1], four[..., 0], share / share.sum(), (flat - squares) / factor, exponent, factor)


def _line(x: Floats, mean: Floats, weight: Floats) -> tuple[Floats, Floats, float]:
    """Weighted straight line through (x, mean): parameters, their covariance, sum of weighted squares."""
    design = np.stack([np.ones_like(x), x], axis=1)
    covariance: Floats = np.linalg.pinv((design * weight[:, None]).T @ design, hermitian=True).astype(np.float64)
    found = covariance @ (design.T @ (weight * mean))
    return found, covariance, float(weight @ (mean - design @ found) ** 2)
