"""Delay of a noisy series behind a recorded one, under noise that is alike at neighbouring times, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STEPS = 401  # delays tried
SHARES = (0.0, 0.3, 0.6, 0.9)  # of the noise's variance that is alike at neighbouring times
LENGTHS = 6  # correlation times tried, from half the usual step to a quarter of the series
DRAWS = 999  # of series without any correlation, for the p-value
SPARE = 3  # points beyond the parameters that a fit needs


@dataclass(frozen=True)
class Found:
    """Delay and amplitude as (value, sd, low, high), evidence, the noise's correlation, points used, delays that fit alike."""

    lag: Floats
    amplitude: Floats
    likelihood_ratio: float
    p_value: float
    correlation: float
    correlation_time: float
    n_used: int
    pieces: int


@dataclass(frozen=True)
class Series:
    """What is fitted: time, values and variance (n), and the recorded series."""

    time: Floats
    values: Floats
    variance: Floats
    record_time: Floats
    record: Floats

    def shifted(self, lags: Floats) -> tuple[Series, Floats]:
        """The times at which all `lags` are within the record, and the record (n, lags) that much earlier, mean 0, scatter 1."""
        keep = (self.time - lags[-1] >= self.record_time[0]) & (self.time - lags[0] <= self.record_time[-1])
        keep &= np.isfinite(self.values) & np.isfinite(self.variance)
        part = Series(self.time[keep], self.values[keep], self.variance[keep], self.record_time, self.record)
        return part, np.interp(part.time[:, None] - lags, self.record_time, self.record)


def fit_lag(data: Series, within: tuple[float, float], sign: int, drift: int, rng: np.random.Generator) -> Found | None:
    """Delay by profile likelihood (restricted), with a polynomial drift; None where too few points are within the record."""
    from scipy.stats import t

    lags = np.linspace(*within, STEPS)
    part, shifted = data.shifted(lags)
    n, p = len(part.time), drift + 1
    if n < p + 1 + SPARE or np.ptp(part.values) == 0:
        return None
    base = np.polynomial.legendre.legvander(2 * (part.time - part.time[0]) / np.ptp(part.time) - 1, drift)
    noises = _noises(part)
    scored = [_score(part.values, shifted, base, noise[2], sign) for noise in noises]
    table = np.array([s.value for s in scored])  # noise, lag
    freedom = n - p - 1
    best_noise, best = (int(i) for i in np.unravel_index(int(table.argmax()), table.shape))
    loss = 2 * (table.max() - table.max(axis=0))
    limit = freedom * np.log1p(float(t.ppf(0.975, freedom)) ** 2 / freedom)
    low, high, pieces = _ends(lags, loss, limit)
    chosen = scored[best_noise]
    quantile = float(t.ppf(0.975, freedom))
    slope, error = chosen.slope[best], np.sqrt(chosen.residual[best] / freedom) / chosen.norm[best]
    ratio = n * np.log(chosen.total / chosen.residual[best])
    width = (high - low) / (2 * quantile) if np.isfinite(high - low) else np.nan
    return Found(
        np.array([lags[best], width, low, high]),
        np.array([slope, error, slope - quantile * error, slope + quantile * error]),
        float(ratio),
        _p_value(chosen, best, sign, rng),
        float(noises[best_noise][0]),
        float(noises[best_noise][1]),
        n,
        pieces,
    )


def _noises(part: Series) -> list[tuple[float, float, Floats]]:
    """Shapes of the noise: share that is correlated, correlation time, and the factor of the covariance."""
    apart = np.abs(part.time[:, None] - part.time)
    own = np.diag(part.variance / part.variance.mean())
    step, span = float(np.median(np.diff(part.time))), float(np.ptp(part.time))
    found = [(0.0, np.nan, np.linalg.cholesky(own))]
    for length in np.geomspace(step / 2, max(span / 4, step), LENGTHS):
        kin = np.exp(-apart / length)
        found += [(w, float(length), np.linalg.cholesky((1 - w) * own + w * kin)) for w in SHARES if w > 0]
    return found


@dataclass(frozen=True)
class Score:
    """Restricted likelihood, amplitude, its norm and what is left, along the delays; all whitened, the drift taken off."""

    value: Floats
    slope: Floats
    norm: Floats
    residual: Floats
    total: float
    rows: Floats  # (n, lag) unit vectors
    drift: Floats  # (n, p) orthonormal


def _score(values: Floats, shifted: Floats, base: Floats, factor: Floats, sign: int) -> Score:
    """How well each delay explains the series under one shape of the noise, whose size is free."""
    from scipy.linalg import solve_triangular

    n, p = base.shape
    white = solve_triangular(factor, np.column_stack([values, base, shifted]), lower=True)
    q, r = np.linalg.qr(white[:, 1 : p + 1])
    y, u = (v - q @ (q.T @ v) for v in (white[:, 0], white[:, p + 1 :]))
    norm = np.maximum(np.linalg.norm(u, axis=0), 1e-300)
    rows = u / norm
    along = rows.T @ y
    along = along if sign == 0 else np.where(along * sign > 0, along, 0.0)
    total = float(y @ y)
    left = np.maximum(total - along**2, 1e-300)
    plain = np.linalg.qr(base)[0]
    scale = np.maximum(np.linalg.norm(shifted - plain @ (plain.T @ shifted), axis=0), 1e-300)
    logs = np.log(np.diag(factor)).sum() + np.log(np.abs(np.diag(r))).sum() + np.log(norm / scale)
    return Score(-logs - 0.5 * (n - p - 1) * np.log(left), along / norm, norm, left, total, rows, q)


def _ends(lags: Floats, loss: Floats, limit: float) -> tuple[float, float, int]:
    """Ends of the delays that fit alike, between the steps; infinite where the range ends first. And in how many pieces."""
    inside = loss <= limit
    at = np.flatnonzero(inside)
    first, last = int(at[0]), int(at[-1])

    def crossing(a: int, b: int) -> float:
        return float(lags[a] + (lags[b] - lags[a]) * (limit - loss[a]) / (loss[b] - loss[a]))

    low = -np.inf if first == 0 else crossing(first, first - 1)
    high = np.inf if last == len(lags) - 1 else crossing(last, last + 1)
    pieces = int(inside[0]) + int(np.count_nonzero(np.diff(inside.astype(np.int8)) == 1))
    return low, high, pieces


def _p_value(score: Score, best: int, sign: int, rng: np.random.Generator) -> float:
    """Share of series of noise alone that fit some delay as well as this one: a delay exists under one hypothesis only."""
    draws = rng.standard_normal((len(score.rows), DRAWS))
    along = score.rows.T @ draws  # rows are free of the drift
    along = along if sign == 0 else np.where(along * sign > 0, along, 0.0)
    whole = (draws**2).sum(axis=0) - ((score.drift.T @ draws) ** 2).sum(axis=0)
    explained = (along**2).max(axis=0) / whole
    return float((1 + np.count_nonzero(explained >= 1 - score.residual[best] / score.total)) / (DRAWS + 1))
