"""How large and how deep a transient is: least squares with the counts' own covariance, intervals by profile. Arrays only.

With independent Poisson counts these are the equations of maximum likelihood (McCullagh & Nelder 1989, chapter 9). What is not
known of the jitter beyond Poisson noise is summed over by its restricted likelihood, so that intervals widen as Student's do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._transient_shape import Shape, shapes_of
from ssbmaps.interfaces._transient_test import PHIS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.interfaces._transient_series import Scans

    Floats = NDArray[np.float64]

_INSIDE, _BELOW = 3.841, 2.706  # χ² with one degree of freedom: 95 % on both sides, and on one
_ROUNDS = 4
_LEAST = 1e-3  # of the mean; a fitted mean never falls below it
_SHORT = 0.25  # of the series
_CLEAR = 0.01  # of −2 ln L
_LOST = 0.01  # share of the noises that leave no variance, from which on there is none
_FINEST, _FACTOR, _SPARE = 0.02, 2.0, 4.0  # jitters that are tried: from a share of the Poisson variance to more than is seen


@dataclass(frozen=True)
class Jitter:
    """Relative variance of the mean beyond Poisson noise, and the correlation of neighbours."""

    variance: float
    phi: float

    def covariance(self, scans: Scans, mean: Floats) -> Floats:
        """(b, b) of counts."""
        whole = np.diag(mean)
        if self.variance > 0:
            whole = whole + self.variance * np.outer(mean, mean) * scans.kin(self.phi)
        return np.asarray(whole)


@dataclass(frozen=True)
class Interval:
    """A value with its standard error and 95 % interval; infinite where the data set no end."""

    value: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Transient:
    """The transient, relative to the level in the middle of the series; `beyond` bounds it in each scan (95 %, one side).

    `limit` bounds it in the first scan, among changes that are over within a quarter of the series: a slower one is told from a
    drift and from the level itself by nothing.
    """

    shape: Shape
    depth: Interval
    amplitude: Interval
    level: float
    drift: float  # relative change from the first scan to the last
    jitter: Jitter
    dispersion: float
    mean: Floats  # of every scan
    bulk: Floats  # the same without the transient
    beyond: Floats
    limit: float


class _Weighted:
    """Counts with one covariance: everything that is linear, for many shapes at once."""

    def __init__(self, scans: Scans, mean: Floats, jitter: Jitter) -> None:
        lower = np.linalg.cholesky(jitter.covariance(scans, mean))
        self.whiten = np.linalg.inv(lower)
        self.spread = 2 * float(np.log(np.diagonal(lower)).sum())
        self._exposure = scans.exposure
        self._y = self.whiten @ scans.counts
        self._base = self.whiten @ scans.base.T
        self._q, self._r = np.linalg.qr(self._base)
        own = self._q.T @ self._y
        self._rest = float(self._y @ self._y - own @ own)
        self._level = np.linalg.solve(self._r, own)  # coefficients of the base without a transient

    def solve(self, rows: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Of shapes (m, b): sum of squares (m,), heights and their variances (m,), base coefficients (m, p)."""
        columns = self.whiten @ (rows * self._exposure).T
        along = self._q.T @ columns
        columns = columns - self._q @ along
        size = np.maximum((columns**2).sum(axis=0), 1e-12 * (rows**2).sum(axis=1))
        heights = (columns.T @ self._y) / size
        base = self._level - heights[:, None] * np.linalg.solve(self._r, along).T
        return self._rest - heights**2 * size, heights, 1 / size, base

    def relative(self, rows: Floats) -> tuple[Floats, Floats, Floats]:
        """Of shapes (m, b): sum of squares, height over level, and the variance of that (m,)."""
        rest, heights, variances, base = self.solve(rows)
        inner = np.linalg.inv(self._r.T @ self._r)[0, 0]
        along = np.linalg.solve(self._r, self._q.T @ (self.whiten @ (rows * self._exposure).T))[0]
        level = base[:, 0]
        level_variance, both = inner + along**2 * variances, -along * variances
        ratio = heights / level
        variance = (variances - 2 * ratio * both + ratio**2 * level_variance) / level**2
        return rest, ratio, np.where(level > np.sqrt(_INSIDE * level_variance), variance, np.inf)  # of nothing, no share is known


def fit(scans: Scans, z: Floats, start: Shape, jitter: Jitter) -> Transient:
    """The transient of this kind of shape, from a first guess of shape and noise."""
    shape, mean = start, np.maximum(scans.counts, scans.counts.mean())
    for _ in range(_ROUNDS):
        weighted = _Weighted(scans, mean, jitter)
        shape = shape.best(z, lambda s, w=weighted: float(w.solve(scans.of(s.values(z))[None])[0][0]))  # type: ignore[misc]
        mean = _mean(scans, scans.of(shape.values(z)), weighted)
        tried = _jitters(scans, mean)
        costs = _costs(scans, z, shape, mean, tried)
        jitter = tried[int(np.argmin(costs))]
    return _told(scans, z, shape, mean, tried, costs)


def _mean(scans: Scans, row: Floats, weighted: _Weighted) -> Floats:
    _, height, _, base = weighted.solve(row[None])
    mean = base[0] @ scans.base + height[0] * scans.exposure * row
    return np.asarray(np.maximum(mean, _LEAST * scans.counts.mean()))


def _jitters(scans: Scans, mean: Floats) -> list[Jitter]:
    """From none to more than the residuals show."""
    seen = float((((scans.counts - mean) / mean) ** 2).mean())
    least = _FINEST / float(mean.mean())
    n = int(np.ceil(np.log(max(_SPARE * seen / least, 1.0)) / np.log(_FACTOR)))
    return [Jitter(0.0, 0.0), *(Jitter(least * _FACTOR**i, phi) for i in range(n + 1) for phi in PHIS)]


def _costs(scans: Scans, z: Floats, shape: Shape, mean: Floats, tried: Sequence[Jitter]) -> Floats:
    """−2 restricted log likelihood of each jitter: what level, drift, height and depth take of the residuals is allowed for."""
    values, slope = scans.of(np.array([shape.values(z), shape.slope(z) * shape.depth]))
    design = np.vstack([scans.base, scans.exposure * values, scans.exposure * slope]).T
    found = []
    for jitter in tried:
        weighted = _Weighted(scans, mean, jitter)
        q, r = np.linalg.qr(weighted.whiten @ design)
        rest = weighted.whiten @ (scans.counts - mean)
        rest = rest - q @ (q.T @ rest)
        inner = np.maximum(np.abs(np.diagonal(r)), 1e-300)
        found.append(float(rest @ rest) + weighted.spread + 2 * float(np.log(inner).sum()))
    return np.array(found)


def _told(scans: Scans, z: Floats, shape: Shape, mean: Floats, tried: Sequence[Jitter], costs: Floats) -> Transient:
    """The result, with what the noise may be summed over."""
    shapes = shapes_of(shape, z)
    whole = np.array([s.values(z) for s in (shape, *shapes)])
    rows = scans.of(whole)
    weights = np.exp(-0.5 * (costs - costs.min()))
    weights[0] *= len(PHIS)  # without a jitter they are all one
    kept = np.flatnonzero(weights > 1e-4 * weights.sum())
    all_found = [_Weighted(scans, mean, tried[int(i)]).relative(rows) for i in kept]
    away, ratio, variance = summed(all_found, weights[kept])
    first = int(np.argmin(away))  # summed over the noises, another shape may be the likeliest
    if first > 0 and away[0] > _CLEAR:
        shape = shapes[first - 1]
        for values in (whole, rows, ratio, variance, away):
            values[0] = values[first]
    best = tried[int(np.argmin(costs))]
    weighted = _Weighted(scans, mean, best)
    _, height, _, base = weighted.solve(rows[:1])
    sd = _curvature(scans, z, shape, weighted, float(height[0]), float(base[0, 0]))
    depths = np.array([s.depth for s in shapes])
    sides = [union(ratio[1:], variance[1:], away[1:], sign) for sign in (-1, 1)]
    bulk = np.asarray(base[0] @ scans.scan_base)
    value, short = float(ratio[0]), depths <= _SHORT * (z[-1] - z[0])
    return Transient(
        shape=shape,
        depth=Interval(shape.depth, sd[0], *ends(depths, away[1:], shape.depth)),
        amplitude=Interval(value, sd[1], min(sides[0], value), max(sides[1], value)),
        level=float(base[0, 0]),
        drift=0.0 if scans.drift is None else 2 * float(base[0, 1] / base[0, 0]),
        jitter=best,
        dispersion=1 + best.variance * float(scans.counts.sum()) / scans.n_scans,
        mean=np.maximum(bulk + height[0] * scans.scan_exposure * whole[0], 0.0),
        bulk=bulk,
        beyond=_beyond(whole[1:], ratio[1:], variance[1:], away[1:]),
        limit=_limit(whole[1:][short], ratio[1:][short], variance[1:][short], away[1:][short]),
    )


def summed(found: Sequence[tuple[Floats, Floats, Floats]], weights: Floats) -> tuple[Floats, Floats, Floats]:
    """−2 ln of the likelihood of each shape over the highest, and ratio with variance, over all noises by their weights."""
    rest, ratio, variance = (np.array([f[i] for f in found]) for i in range(3))
    logs = np.log(weights)[:, None] - 0.5 * (rest - rest[:, :1])
    shares = np.exp(logs - logs.max(axis=0))
    shares /= shares.sum(axis=0)
    whole = logs.max(axis=0) + np.log(np.exp(logs - logs.max(axis=0)).sum(axis=0))
    mean = (shares * ratio).sum(axis=0)
    known = np.isfinite(variance)
    total = (shares * (np.where(known, variance, 0.0) + (ratio - mean) ** 2)).sum(axis=0)
    lost = (shares * ~known).sum(axis=0) > _LOST
    return 2 * (whole.max() - whole), mean, np.where(lost, np.inf, total)


def union(ratio: Floats, variance: Floats, away: Floats, sign: int) -> float:
    """The end of the amplitude's interval, over all shapes that the data allow."""
    inside = away < _INSIDE
    reach = ratio[inside] + sign * np.sqrt(variance[inside] * (_INSIDE - away[inside]))
    return float(reach.max() if sign > 0 else reach.min())


def ends(depths: Floats, away: Floats, value: float) -> tuple[float, float]:
    """Where the profile over depth leaves the 95 % region, between the depths that were tried; 0 and infinity if it does not."""
    grid = np.unique(depths)
    lowest = np.array([away[depths == d].min() for d in grid])
    inside = np.flatnonzero(lowest < _INSIDE)
    first, last = int(inside[0]), int(inside[-1])
    low = 0.0 if first == 0 else _cross(grid, lowest, first - 1, first)
    high = np.inf if last == len(grid) - 1 else _cross(grid, lowest, last, last + 1)
    return min(low, value), max(float(high), value)


def _cross(grid: Floats, away: Floats, i: int, j: int) -> float:
    share = (_INSIDE - away[i]) / (away[j] - away[i])
    return float(grid[i] + share * (grid[j] - grid[i]))


def _beyond(rows: Floats, ratio: Floats, variance: Floats, away: Floats) -> Floats:
    """(n,) upper bound of the relative change in each scan."""
    inside = away < _BELOW
    sizes = np.abs(ratio[inside]) + np.sqrt(variance[inside] * (_BELOW - away[inside]))
    return np.asarray((sizes[:, None] * rows[inside]).max(axis=0))


def _limit(rows: Floats, ratio: Floats, variance: Floats, away: Floats) -> float:
    """Upper bound of the relative change in the first scan for these shapes, the likeliest of which counts as the best."""
    return float(_beyond(rows, ratio, variance, away - away.min())[0])


def _curvature(scans: Scans, z: Floats, shape: Shape, weighted: _Weighted, height: float, level: float) -> tuple[float, float]:
    """Standard errors of depth and amplitude from the curvature at the best fit; infinite where there is none."""
    values, slope = scans.of(np.array([shape.values(z), shape.slope(z)]))
    rows = [*scans.base, scans.exposure * values, height * scans.exposure * slope]
    design = weighted.whiten @ np.vstack(rows).T
    _, size, turned = np.linalg.svd(design, full_matrices=False)
    if size[-1] <= 1e-12 * size[0]:
        return np.inf, np.inf
    covariance = (turned.T / size**2) @ turned
    turn = np.zeros(len(rows))
    turn[0], turn[-2] = -height / level**2, 1 / level
    return float(np.sqrt(covariance[-1, -1])), float(np.sqrt(turn @ covariance @ turn))
