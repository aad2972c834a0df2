"""Maximum likelihood of a shape's geometry and of all levels on a binned profile, by damped Fisher scoring, on arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._shapes import CORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ssbmaps.interfaces._shapes import Shape

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

STEPS = 80
CLOSE = 1e-5  # nats; a fit is at rest when the next step promises less
TINY = 1e-9
SLACK = 0.25  # of the core's level inside: how far below zero noise may take a level that may be negative


@dataclass(frozen=True)
class Counts:
    """Profile of whole counts: distances (B,), pixels (B,), sums (C, B), kinds of channel and shots per pixel (C,).

    With `shots` N (inf: Poisson) a pixel counts at most N times: n ~ Binomial(N, 1 − exp(−μ/N)), one count per shot. `stretch`
    (B,) is what multiplies the thickness in each bin, where pixels of thinner and thicker shells are told apart.
    """

    s: Floats
    n: Floats
    total: Floats
    kinds: NDArray[np.int64]
    shots: Floats
    stretch: Floats | None = None

    positive = True

    def loss(self, mean: Floats) -> float:
        """−ln L without constants."""
        return float(self.losses(mean).sum())

    def losses(self, mean: Floats) -> Floats:
        """−ln L of every channel and bin (C, B), without constants."""
        mean = np.maximum(mean, TINY)
        if self.poisson:
            return np.asarray(self.n * mean - self.total * np.log(mean))
        shots = self.shots[:, None]
        missed = mean / shots
        return np.asarray((self.n * shots - self.total) * missed - self.total * np.log(-np.expm1(-missed)))

    @property
    def poisson(self) -> bool:
        """Whether no pixel runs out of shots."""
        return bool(np.isinf(self.shots).all())

    def slopes(self, mean: Floats) -> tuple[Floats, Floats]:
        """Score and Fisher information (C, B) by the mean."""
        mean = np.maximum(mean, TINY)
        if self.poisson:
            return self.total / mean - self.n, self.n / mean
        shots = self.shots[:, None]
        silent, seen = np.exp(-mean / shots), shots * -np.expm1(-mean / shots)
        return self.total * silent / seen - (self.n - self.total / shots), self.n * silent / seen

    def observed(self) -> tuple[Floats, Floats]:
        """Mean per pixel (C, B) as if nothing were lost, and the weight of each for starts."""
        n = np.where(self.n > 0, self.n, 1.0)  # a bin may be empty in a part of the data; its weight is 0
        share = self.total / n
        if not self.poisson:
            shots = self.shots[:, None]
            share = -shots * np.log1p(-np.minimum(share / shots, 1 - 1e-3))
        return share, self.n / np.maximum(share + 1 / n, TINY)

    def expected(self, mean: Floats) -> tuple[Floats, Floats]:
        """Expected sums and their variances (C, B)."""
        if self.poisson:
            return self.n * mean, self.n * np.maximum(mean, TINY)
        shots = self.shots[:, None]
        p = -np.expm1(-np.maximum(mean, TINY) / shots)
        return self.n * shots * p, self.n * shots * p * (1 - p)

    def part(self, channels: NDArray[np.int64]) -> Counts:
        """Some channels of it."""
        return replace(self, total=self.total[channels], kinds=self.kinds[channels], shots=self.shots[channels])


@dataclass(frozen=True)
class Weighted:
    """Profile of Gaussian values: distances (B,), pixels (B,), Σ v/σ² (C, B), Σ 1/σ² (C, B), kinds of channel, stretch."""

    s: Floats
    n: Floats
    total: Floats
    weight: Floats
    kinds: NDArray[np.int64]
    stretch: Floats | None = None

    positive = False

    def loss(self, mean: Floats) -> float:
        """−ln L without constants."""
        return float(self.losses(mean).sum())

    def losses(self, mean: Floats) -> Floats:
        """−ln L of every channel and bin (C, B), without constants."""
        return np.asarray(0.5 * self.weight * mean**2 - self.total * mean)

    def slopes(self, mean: Floats) -> tuple[Floats, Floats]:
        """Score and Fisher information (C, B) by the mean."""
        return self.total - self.weight * mean, self.weight

    def observed(self) -> tuple[Floats, Floats]:
        """Mean per pixel (C, B) and its weight."""
        return np.divide(self.total, self.weight, out=np.zeros_like(self.total), where=self.weight > 0), self.weight

    def expected(self, mean: Floats) -> tuple[Floats, Floats]:
        """Expected weighted sums and their variances (C, B)."""
        return self.weight * mean, self.weight

    def part(self, channels: NDArray[np.int64]) -> Weighted:
        """Some channels of it."""
        return replace(self, total=self.total[channels], weight=self.weight[channels], kinds=self.kinds[channels])


@dataclass(frozen=True)
class Fit:
    """A shape at its maximum: geometry (G,), levels (C, L), −ln L, means (C, B), and the Fisher information (P, P)."""

    shape: Shape
    geometry: Floats
    levels: Floats
    loss: float
    mean: Floats
    information: Floats
    free: Bools

    @property
    def parameters(self) -> Floats:
        """Geometry and levels in one vector."""
        return np.concatenate([self.geometry, self.levels.ravel()])

    def value(self, name: str) -> float:
        """A geometry parameter by name."""
        return float(self.geometry[self.shape.names.index(name)])

    def covariance(self) -> Floats:
        """Inverse information of the free parameters; NaN for those at a bound or held."""
        result = np.full(self.information.shape, np.nan)
        if self.free.any():
            chosen = np.ix_(self.free, self.free)
            scale = np.sqrt(np.maximum(np.diag(self.information)[self.free], 1e-300))
            result[chosen] = np.linalg.pinv(self.information[chosen] / np.outer(scale, scale), rcond=1e-13) / np.outer(
                scale, scale
            )
        return result


def fit_shape(
    data: Counts | Weighted,
    shape: Shape,
    geometry: Floats,
    bounds: tuple[Floats, Floats],
    *,
    held: Mapping[str, float] | None = None,
    levels: Floats | None = None,
    known_levels: bool = False,
) -> Fit:
    """Maximum likelihood from a starting geometry; parameters named in `held` stay, and levels if they are known."""
    geometry = np.asarray(geometry, np.float64).copy()
    n_levels = shape.n_levels * len(data.kinds)
    free = np.ones(len(geometry) + n_levels, bool)
    for name, value in (held or {}).items():
        geometry[shape.names.index(name)] = value
        free[shape.names.index(name)] = False
    geometry = np.where(free[: len(geometry)], np.clip(geometry, *bounds), geometry)
    if levels is None:
        levels = best_levels(data, weights_of(data, shape, geometry)[0])
    free[len(geometry) :] = not known_levels
    floor = np.full((len(data.kinds), shape.n_levels), 0.0 if data.positive else -np.inf)
    floor[np.ix_(data.kinds == CORE, shape.signed)] = -SLACK * _inside(data)[data.kinds == CORE, None]
    low, high = np.concatenate([bounds[0], floor.ravel()]), np.concatenate([bounds[1], np.full(floor.size, np.inf)])
    theta = np.concatenate([geometry, levels.ravel()])
    return _climb(data, shape, theta, low, high, free)


def weights_of(data: Counts | Weighted, shape: Shape, geometry: Floats) -> tuple[Floats, Floats]:
    """A shape's weights in every bin and their derivatives by the geometry; the second parameter, d, times each bin's stretch."""
    if data.stretch is None:
        return shape.weights(data.s, geometry)
    weights, slopes = shape.weights(data.s, [geometry[0], geometry[1] * data.stretch, *geometry[2:]])
    slopes[1] *= data.stretch
    return weights, slopes


def _inside(data: Counts | Weighted) -> Floats:
    """Mean (C,) of each channel at negative distances."""
    seen, _ = data.observed()
    weight = data.n * (data.s < 0)
    return np.abs(seen @ weight) / max(float(weight.sum()), 1.0)


def best_levels(data: Counts | Weighted, weights: Floats) -> Floats:
    """(C, L) levels by weighted least squares for given weights (2, L, B), none negative for counts."""
    from scipy.optimize import nnls

    seen, weight = data.observed()
    levels = []
    for kind, values, w in zip(data.kinds, seen, np.sqrt(weight), strict=True):
        design = (weights[kind] * w).T
        levels.append(nnls(design, values * w)[0] if data.positive else np.linalg.lstsq(design, values * w, rcond=None)[0])
    return np.asarray(levels)


def _model(data: Counts | Weighted, shape: Shape, theta: Floats) -> tuple[Floats, Floats]:
    """Means (C, B) and their Jacobian (P, C, B)."""
    n_geometry, n_channels = len(shape.names), len(data.kinds)
    weights, slopes = weights_of(data, shape, theta[:n_geometry])
    levels = theta[n_geometry:].reshape(n_channels, shape.n_levels)
    own = weights[data.kinds]
    jacobian = np.zeros((len(theta), n_channels, len(data.s)))
    np.einsum("cj,gcjb->gcb", levels, slopes[:, data.kinds], out=jacobian[:n_geometry])
    for c in range(n_channels):
        first = n_geometry + shape.n_levels * c
        jacobian[first : first + shape.n_levels, c] = own[c]
    return np.einsum("cj,cjb->cb", levels, own), jacobian


def _climb(data: Counts | Weighted, shape: Shape, theta: Floats, low: Floats, high: Floats, free: Bools) -> Fit:
    n_geometry = len(shape.names)
    damping = 1e-3
    mean, jacobian = _model(data, shape, theta)
    loss = data.loss(mean)
    for _ in range(STEPS):
        score, fisher = data.slopes(mean)
        slope = np.einsum("pcb,cb->p", jacobian, score)
        information = np.einsum("pcb,qcb->pq", jacobian * fisher, jacobian, optimize=True)
        moving = free & ~((theta <= low) & (slope <= 0)) & ~((theta >= high) & (slope >= 0))
        scale = np.sqrt(np.maximum(np.diag(information)[moving], 1e-300))
        correlation = information[np.ix_(moving, moving)] / np.outer(scale, scale)
        step = np.zeros_like(theta)
        step[moving] = np.linalg.solve(correlation + damping * np.eye(len(scale)), slope[moving] / scale) / scale
        trial = np.clip(theta + step, low, high)
        trial[~free] = theta[~free]
        trial_mean, trial_jacobian = _model(data, shape, trial)
        trial_loss = data.loss(trial_mean)
        if trial_loss <= loss:
            settled = loss - trial_loss < CLOSE and float(slope @ (trial - theta)) < CLOSE
            theta, mean, jacobian, loss = trial, trial_mean, trial_jacobian, trial_loss
            damping = max(damping / 8, 1e-10)
            if settled:
                break
        elif damping > 1e9:
            break
        else:
            damping *= 8
    _, fisher = data.slopes(mean)
    information = np.einsum("pcb,qcb->pq", jacobian * fisher, jacobian, optimize=True)
    inside = free & (theta > low) & (theta < high)
    return Fit(shape, theta[:n_geometry], theta[n_geometry:].reshape(-1, shape.n_levels), loss, mean, information, inside)
