"""Mean of a field, or of the columns of a stack, with the interval for the material that it is a window of, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._fractions import FEWEST, mean_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

MOST_PARTS = 48  # a line is summed up in at most as many pieces: the covariances tried are dense
LENGTHS = 8  # correlation lengths tried, from a quarter of a piece to a quarter of the line
SHARES = (0.0, 0.1, 0.3, 0.6)  # of the variance that is independent from piece to piece
FEWEST_PARTS = 6


@dataclass(frozen=True)
class Mean:
    """Mean as (value, sd, low, high), independent parts, and the side or length (um) that counts as one of them."""

    four: Floats
    independent: float
    length: float


def _only(value: float) -> Mean:
    return Mean(np.array([value, np.nan, np.nan, np.nan]), np.nan, np.nan)


def field_mean(values: Floats, known: Bools, pixel: tuple[float, float]) -> Mean:
    """Mean of (y, x) `values` where `known`, Student's interval with one degree less than independent parts.

    NaN but for the value where fewer than two parts are independent, or nothing varies.
    """
    from scipy.stats import t

    n = int(known.sum())
    own = values[known]
    value, spread = float(own.mean()), float(own.var())
    filled = np.where(known, values, value)
    variance = mean_variance(filled, known, pixel) if spread > 0 and n > 1 else np.nan
    independent = spread / variance if variance > 0 else np.nan
    if not independent >= FEWEST:
        return _only(value)
    sd = float(np.sqrt(variance))
    half = float(t.ppf(0.975, independent - 1)) * sd
    area = n * pixel[0] * pixel[1] / independent
    return Mean(np.array([value, sd, value - half, value + half]), float(independent), float(np.sqrt(area)))


def line_mean(values: Floats, at: Floats) -> Mean:
    """Mean of `values` at positions `at` (um) along a line, NaN left out; NaN but for the value with fewer than 6 of them.

    A line holds few independent parts, so that what is not known of the covariance matters: it is a mixture of independent
    scatter and a correlated part, Gaussian or exponential in the distance, over a grid of lengths and shares, all weighted by
    their restricted likelihood. The mean's error is Student's under each, and the interval that of the mixture.
    """
    from scipy.optimize import brentq
    from scipy.stats import t

    seen = np.isfinite(values)
    y, x = values[seen], at[seen]
    if len(y) > MOST_PARTS:
        y, x = (np.array([part.mean() for part in np.array_split(v, MOST_PARTS)]) for v in (y, x))
    n = len(y)
    value = float(values[seen].mean()) if seen.any() else float("nan")
    if n < FEWEST_PARTS or not np.ptp(y) > 1e-12 * abs(value):
        return _only(value)
    logs, errors = (np.array(v) for v in zip(*_errors(y, x), strict=True))
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()

    def beyond(half: float) -> float:
        return float(weight @ t.sf(half / errors, n - 1)) - 0.025

    most = float(errors.max()) * 20
    half = float(brentq(beyond, 0.0, most)) if beyond(most) < 0 else np.inf
    sd = float(np.sqrt(weight @ errors**2))
    independent = float(y.var(ddof=1)) / sd**2
    return Mean(np.array([value, sd, value - half, value + half]), independent, float(np.ptp(at[seen])) / max(independent, 1.0))


def _errors(y: Floats, x: Floats) -> list[tuple[float, float]]:
    """Restricted log-likelihood, and standard error of the plain mean, under each covariance that is tried."""
    n = len(y)
    apart = np.abs(x[:, None] - x)
    span, ones = float(np.ptp(x)), np.ones(n)
    kinds = [np.eye(n)]
    for length in np.geomspace(span / n / 4, span / 4, LENGTHS):
        for kin in (np.exp(-0.5 * (apart / length) ** 2), np.exp(-apart / length)):
            kinds += [(1 - share) * kin + (share + 1e-6) * np.eye(n) for share in SHARES]
    found = []
    for covariance in kinds:
        factor = np.linalg.cholesky(covariance)
        white = np.linalg.solve(factor, np.column_stack([y, ones]))
        information = float(white[:, 1] @ white[:, 1])
        best = float(white[:, 1] @ white[:, 0]) / information
        left = float(((white[:, 0] - best * white[:, 1]) ** 2).sum()) / (n - 1)
        value = -np.log(np.diag(factor)).sum() - 0.5 * np.log(information) - 0.5 * (n - 1) * np.log(left)
        found.append((float(value), float(np.sqrt(left * covariance.sum())) / n))
    return found
