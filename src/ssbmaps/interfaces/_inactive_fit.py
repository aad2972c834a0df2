"""Down to which depth a signal does not follow a change of state: steps against a uniform change. Arrays only.

The ratio of two states, r = n1 / (q (n0 + 1)) − 1, has the mean Δ to within Poisson's e^−n0 whatever the yields of the scans are;
its variance is that of two Poisson counts, and a jitter of either as in `_transient_test`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._transient_fit import Interval, Jitter, ends, summed, union
from ssbmaps.interfaces._transient_series import drawn
from ssbmaps.interfaces._transient_shape import STEP, Shape, candidates, shapes_of
from ssbmaps.interfaces._transient_test import PHIS, p_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FINEST, _FACTOR, _SPARE = 0.05, 2.0, 16.0  # jitters that are tried, in the ratio's Poisson variance
_DRAWS, _ROUNDS = 1000, 3
_FEW = 0.5  # counts that stand for none in a variance
_BELOW = 2.706  # χ² with one degree of freedom, 95 % on one side
_DEPTHS, _SHARP = 120, (0.05, 0.2, 0.5)  # layers that are tried for the limit: their widths as shares of their depth
_LEAST = 0.02  # of the reference's signal; an expected ratio never falls below it


@dataclass(frozen=True)
class States:
    """Counts of one region and ion in two states, (n,) each, and their exposures (n,) in one unit."""

    before: Floats
    after: Floats
    exposure: Floats  # after over before

    @property
    def change(self) -> Floats:
        """(n,) relative change."""
        return np.asarray(self.after / (self.exposure * (self.before + 1)) - 1)

    def variance(self, change: Floats) -> Floats:
        """(n,) of `change` by counting, if that is its mean."""
        ratio = np.maximum(1 + change, _LEAST)
        whole = np.maximum(self.before + self.after, 2 * _FEW)
        before = whole / (1 + self.exposure * ratio)  # what both states together say of the reference
        return np.asarray(ratio**2 * (1 / before + 1 / (before * self.exposure * ratio)))


@dataclass(frozen=True)
class Inactive:
    """The test, the depth down to which nothing changes, and the change below and above it; values without a step are NaN."""

    ratio: float
    p_value: float
    p_change: float  # that the bulk does not change at all
    shape: Shape
    depth: Interval
    bulk: Interval
    face: Interval
    uniform: Interval  # the change, if it is the same in all scans
    limit: float  # 95 %; the layer is thinner
    jitter: Jitter
    dispersion: float
    curve: Floats


class _Noise:
    """One covariance: what whitens, and the log determinants."""

    def __init__(self, variance: Floats, size: Floats, jitter: Jitter) -> None:
        steps = np.abs(np.subtract.outer(np.arange(len(size)), np.arange(len(size))))
        whole = np.diag(variance) + jitter.variance * np.outer(size, size) * jitter.phi**steps
        lower = np.linalg.cholesky(whole)
        self.jitter, self.whiten = jitter, np.linalg.inv(lower)
        level = self.whiten.sum(axis=1)
        self.cost = 2 * float(np.log(np.diagonal(lower)).sum()) + float(np.log(level @ level))

    def against(self, values: Floats, rows: Floats) -> tuple[Floats, Floats, Floats]:
        """Of values (N, n) and shapes (m, n): sums of squares (N, m), heights (N, m), and their variances (m,)."""
        y, columns = values @ self.whiten.T, rows @ self.whiten.T
        size = (columns**2).sum(axis=1)
        heights = y @ columns.T / size
        return (y**2).sum(axis=1)[:, None] - heights**2 * size, heights, 1 / size


def measure(states: States, z: Floats, rng: np.random.Generator) -> Inactive:
    """Test and fit."""
    tried = candidates(STEP, z)
    rows = np.array([np.ones(len(z)), *(1 - s.values(z) for s in tried)])
    change = states.change
    curve = np.full(len(z), float(np.average(change, weights=1 / states.variance(np.zeros(len(z))))))
    for _ in range(_ROUNDS):
        noises = _noises(states, curve)
        logs, heights = _likely(noises, change[None], rows)
        at, k = np.unravel_index(int(np.argmax(logs[:, 0, 1:])), logs[:, 0, 1:].shape)
        curve = heights[at, 0, k + 1] * rows[k + 1]
    uniform = int(np.argmax(logs[:, 0, 0]))
    ratio = 2 * float(logs[:, 0, 1:].max() - logs[:, 0, 0].max())
    null = _null(states, noises, logs[:, 0, 0], float(heights[uniform, 0, 0]), rows, rng)
    weights = _weights(logs[:, 0].max(axis=1))
    return _told(states, z, tried[int(k)], noises, weights, curve, ratio, p_value(ratio, null))


def _noises(states: States, curve: Floats) -> list[_Noise]:
    variance, size = states.variance(curve), np.maximum(1 + curve, _LEAST)
    typical = float(np.median(variance / size**2))
    seen = float(np.mean((states.change - curve) ** 2 / variance))
    n = int(np.ceil(np.log(max(seen * _SPARE, 4.0) / _FINEST) / np.log(_FACTOR)))
    jitters = [Jitter(0.0, 0.0), *(Jitter(typical * _FINEST * _FACTOR**i, phi) for i in range(n + 1) for phi in PHIS)]
    return [_Noise(variance, size, j) for j in jitters]


def _likely(noises: Sequence[_Noise], values: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """(noises, N, m) log likelihoods and heights."""
    found = [n.against(values, rows) for n in noises]
    logs = np.array([-0.5 * (rest + n.cost) for n, (rest, _, _) in zip(noises, found, strict=True)])
    return logs, np.array([heights for _, heights, _ in found])


def _weights(logs: Floats) -> Floats:
    """Of the noises, the first of which has no jitter: beforehand, that is as likely as all others together.

    A slow jitter below the noise of counting leaves no mark in a ratio, and would move all of it: it is not assumed without one.
    """
    weights = np.exp(logs - logs.max())
    weights[0] *= len(logs) - 1
    return np.asarray(weights / weights.sum())


def _null(
    states: States, noises: Sequence[_Noise], logs: Floats, change: float, rows: Floats, rng: np.random.Generator
) -> Floats:
    """Ratios of pairs of states that change alike in all scans, ascending."""
    factor = np.maximum(states.exposure * (1 + change), 1e-9)
    before = np.maximum((states.before + states.after) / (1 + factor), 1e-9)
    found = []
    for noise, often in zip(noises, rng.multinomial(_DRAWS, _weights(logs)), strict=True):
        if often:
            wide = np.sqrt(noise.jitter.variance / 2)  # each state has half of it
            first = drawn(before, wide, noise.jitter.phi, rng, often)
            found.append(drawn(before * factor, wide, noise.jitter.phi, rng, often) / (states.exposure * (first + 1)) - 1)
    best, without = np.full(_DRAWS, -np.inf), np.full(_DRAWS, -np.inf)
    values = np.concatenate(found)
    for noise in noises:
        rest, _, _ = noise.against(values, rows)
        own = -0.5 * (rest + noise.cost)
        best, without = np.maximum(best, own[:, 1:].max(axis=1)), np.maximum(without, own[:, 0])
    return np.sort(2 * (best - without))


def _told(
    states: States,
    z: Floats,
    start: Shape,
    noises: Sequence[_Noise],
    weights: Floats,
    curve: Floats,
    ratio: float,
    p: float,
) -> Inactive:
    """Depth and changes with their intervals, summed over what is not known of the jitter."""
    change = states.change[None]
    best = noises[int(np.argmax(weights))]
    shape = start.best(z, lambda s: float(best.against(change, 1 - s.values(z)[None])[0][0, 0]))
    shapes = shapes_of(shape, z)
    rows = np.array([1 - s.values(z) for s in (shape, *shapes)])
    kept = np.flatnonzero(weights > 1e-4)
    found = [noises[int(i)].against(change, rows) for i in kept]
    away, height, variance = summed([(rest[0], heights[0], var) for rest, heights, var in found], weights[kept])
    depths = np.array([s.depth for s in shapes])
    low, high = ends(depths, away[1:], shape.depth)
    value = float(height[0])
    sides = [union(height[1:], variance[1:], away[1:], sign) for sign in (-1, 1)]
    sd = _curvature(z, shape, best, value)
    whole = best.jitter.variance * np.maximum(1 + curve, _LEAST) ** 2 + states.variance(curve)
    return Inactive(
        ratio=ratio,
        p_value=p,
        p_change=_p_change(value, float(np.sqrt(variance[0]))),
        shape=shape,
        depth=Interval(shape.depth, sd[0], low, high),
        bulk=Interval(value, sd[1], min(sides[0], value), max(sides[1], value)),
        face=_face(z, shape, best, change[0]),
        uniform=_uniform([noises[int(i)] for i in kept], weights[kept], change),
        limit=_limit(z, [noises[int(i)] for i in kept], weights[kept], change),
        jitter=best.jitter,
        dispersion=float(np.median(whole / states.variance(curve))),
        curve=value * (1 - shape.values(z)),
    )


def _limit(z: Floats, noises: Sequence[_Noise], weights: Floats, change: Floats) -> float:
    """One-sided 95 %: the deepest layer with an inactive face that the data allow beside a uniform change.

    Infinite where they allow the deepest that can be tried; the first spacing of the scans where they allow none.
    """
    depths = np.linspace(0, float(z[-1] - z[0]), _DEPTHS + 1)[1:]
    shapes = [Shape(STEP, float(d), float(d * w)) for d in depths for w in _SHARP]
    rows = np.array([np.ones(len(z)), *(1 - s.values(z) for s in shapes)])
    found = [noise.against(change, rows) for noise in noises]
    away, _, _ = summed([(rest[0], heights[0], var) for rest, heights, var in found], weights)
    inside = np.repeat(depths, len(_SHARP))[away[1:] < _BELOW]
    if not inside.size:
        return float(z[1] - z[0])
    return np.inf if inside.max() == depths[-1] else float(inside.max())


def _uniform(noises: Sequence[_Noise], weights: Floats, change: Floats) -> Interval:
    """With 95 % of a normal distribution, and what is not known of the jitter."""
    found = [noise.against(change, np.ones((1, change.shape[1]))) for noise in noises]
    _, value, variance = summed([(rest[0], heights[0], var) for rest, heights, var in found], weights)
    sd = float(np.sqrt(variance[0]))
    return Interval(float(value[0]), sd, float(value[0]) - 1.96 * sd, float(value[0]) + 1.96 * sd)


def _p_change(value: float, sd: float) -> float:
    from scipy.stats import norm

    return float(2 * norm.sf(abs(value) / sd)) if sd > 0 else 1.0


def _face(z: Floats, shape: Shape, noise: _Noise, change: Floats) -> Interval:
    """The change above the step, where the fit takes it for none: with 95 % of a normal distribution."""
    design = noise.whiten @ np.column_stack([shape.values(z), 1 - shape.values(z)])
    normal = design.T @ design
    normal[np.diag_indices(2)] *= 1 + 1e-12
    covariance = np.linalg.inv(normal)
    value = float((covariance @ (design.T @ (noise.whiten @ change)))[0])
    sd = float(np.sqrt(covariance[0, 0]))
    return Interval(value, sd, value - 1.96 * sd, value + 1.96 * sd)


def _curvature(z: Floats, shape: Shape, noise: _Noise, height: float) -> tuple[float, float]:
    """Standard errors of depth and bulk change; infinite where the scans do not tell them."""
    design = noise.whiten @ np.column_stack([1 - shape.values(z), -height * shape.slope(z)])
    _, size, turned = np.linalg.svd(design, full_matrices=False)
    if size[-1] <= 1e-12 * size[0]:
        return np.inf, np.inf
    covariance = (turned.T / size**2) @ turned
    return float(np.sqrt(covariance[1, 1])), float(np.sqrt(covariance[0, 0]))
