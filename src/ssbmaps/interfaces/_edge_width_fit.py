"""The error-function edge on arrays: exact over each pixel's area, Poisson or Gaussian likelihood, errors and lack of fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

BINS_PER_PIXEL = 20  # of distance: a bin's own width adds 0.01 % to σ where the beam is as wide as the pixel
ORIENTATIONS = 12  # classes of the normal's direction between the y and the x axis
ALONE = 4.0  # σ to the next edge from which on its share in a pixel is below 1e-4
REACH = 5.0  # σ: half-width of the window
_RIDGE = 0.7  # |∇ distance|² below which two edges are equally near: their normals differ by 67° or more
_START_REACH = 12  # pixels: only these are looked at for the start
_STEPS = 100


@dataclass(frozen=True, slots=True)
class Side:
    """Pixels as the edge sees them: distance (um), extents of the pixel along the normal (um), larger and smaller."""

    s: Floats
    wide: Floats
    narrow: Floats

    @property
    def variance(self) -> Floats:
        """What the pixel's own area adds to σ², um²."""
        return (self.wide**2 + self.narrow**2) / 12


def blurred_step(pixels: Side, variance: float | Floats, shift: float | Floats = 0.0) -> tuple[Floats, Floats, Floats]:
    """Share (1 far inside, 0 far outside) of a Gaussian edge at `shift` in each pixel, and its derivatives by shift and variance.

    The mean of Φ(−s/σ) over the pixel's area, whose shadow on the normal is a trapezoid: second differences of the second
    antiderivative of Φ.
    """
    from scipy.special import ndtr

    sigma = np.sqrt(variance)
    near, far = (pixels.wide - pixels.narrow) / 2, (pixels.wide + pixels.narrow) / 2
    s = pixels.s - shift
    totals = [np.zeros_like(s) for _ in range(3)]
    for sign, edge in ((1, far), (-1, near), (-1, -near), (1, -far)):
        u = s + edge
        below, density = ndtr(u / sigma), np.exp(-0.5 * (u / sigma) ** 2) / np.sqrt(2 * np.pi) * sigma
        totals[0] += sign * 0.5 * ((u * u + variance) * below + u * density)
        totals[1] += sign * (u * below + density)
        totals[2] += sign * 0.5 * below
    area = pixels.wide * pixels.narrow
    return 1 - totals[0] / area, totals[1] / area, -totals[2] / area


def sides(distance: Floats, pixel: tuple[float, float]) -> tuple[Side, Floats, Bools]:
    """Every pixel's `Side`, the outward normal (2, y, x) from the gradient of the distance, and the ridges between edges."""
    slope = np.stack([s / p for s, p in zip(np.gradient(distance), pixel, strict=True)])
    squared = (slope**2).sum(axis=0)
    normal = slope / np.sqrt(np.where(squared > 0, squared, 1))
    extents = np.sort(np.abs(normal) * np.asarray(pixel)[:, None, None], axis=0)
    wide = np.where(squared > 0, extents[1], min(pixel))
    return Side(distance, wide, np.maximum(extents[0], 1e-3 * wide)), normal, squared < _RIDGE


def isolated(distance: Floats, ridge: Bools, pixel: tuple[float, float], reach: float) -> Bools:
    """Pixels that no second edge comes closer to than `reach` um: a ridge of height h stands for two edges h away."""
    from scipy.ndimage import distance_transform_edt

    alone = np.isfinite(distance)
    height = np.where(ridge, np.abs(distance), np.inf)
    step = min(pixel)
    for low in np.arange(0, reach, step):
        here = (height >= low) & (height < min(low + step, reach))
        if here.any():
            alone &= distance_transform_edt(~here, sampling=pixel) >= reach - low
    return alone


@dataclass(frozen=True, slots=True)
class Binned:
    """Pixels summed in fine bins of distance and direction: number, sum and sum of squares of their values."""

    pixels: Side
    n: Floats
    total: Floats
    squares: Floats
    poisson: bool


def binned(values: Floats, pixels: Side, *, poisson: bool, size: float) -> Binned:
    """Values and pixels (N,) in bins of `size` / 20 um and of the normal's direction."""
    along = np.floor(pixels.s * (BINS_PER_PIXEL / size)).astype(np.int64)
    turn = np.minimum((pixels.narrow / pixels.wide * ORIENTATIONS).astype(np.int64), ORIENTATIONS)
    _, index = np.unique(along * (ORIENTATIONS + 1) + turn, return_inverse=True)
    n: Floats = np.bincount(index).astype(np.float64)
    means = [np.bincount(index, v) / n for v in (pixels.s, pixels.wide, pixels.narrow)]
    total, squares = (np.asarray(np.bincount(index, v), np.float64) for v in (values, values**2))
    return Binned(Side(*means), n, total, squares, poisson)


@dataclass(frozen=True)
class Edge:
    """A fitted edge: levels, position and variance (um², without the pixel), covariance of the four, how well it describes."""

    parameters: Floats
    covariance: Floats = field(default_factory=lambda: np.full((4, 4), np.nan))
    pixel_variance: float = np.nan
    dispersion: float = np.nan
    misfit: float = np.nan
    p_value: float = np.nan
    likelihood_ratio: float = np.nan

    @property
    def sigma(self) -> float:
        """Width as seen, pixel included, um."""
        return float(np.sqrt(self.parameters[3] + self.pixel_variance))

    @property
    def sigma_sd(self) -> float:
        """Its standard error, um."""
        return float(np.sqrt(self.covariance[3, 3])) / (2 * self.sigma)


def fit_edge(data: Binned, size: float) -> Edge:
    """Maximum likelihood of levels, position and variance; `size` is the pixel's side, um."""
    start = _start(data, size)
    noise = np.ones(2) if data.poisson else _plateau_variances(data, start)
    theta, inverse = _maximise(data, start, noise, 1e-4 * size**2)
    if not data.poisson:
        noise = _plateau_variances(data, theta)
        theta, inverse = _maximise(data, theta, noise, 1e-4 * size**2)
    return _judged(data, theta, inverse, noise)


def _model(data: Binned, theta: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, Jacobian (4, K) and share inside."""
    share, by_shift, by_variance = blurred_step(data.pixels, theta[3], theta[2])
    contrast = theta[0] - theta[1]
    mean = theta[1] + contrast * share
    return mean, np.stack([share, 1 - share, contrast * by_shift, contrast * by_variance]), share


def _variance(data: Binned, mean: Floats, share: Floats, noise: Floats) -> Floats:
    return np.maximum(mean, 1e-9) if data.poisson else noise[1] + (noise[0] - noise[1]) * share


def _objective(data: Binned, mean: Floats, variance: Floats) -> float:
    """Deviance of the sums, or weighted squares."""
    if not data.poisson:
        return float(np.sum((data.total - data.n * mean) ** 2 / (data.n * variance)))
    expected = data.n * np.maximum(mean, 1e-12)
    ratio = np.where(data.total > 0, data.total, 1) / expected
    return float(2 * np.sum(expected - data.total + data.total * np.log(np.where(data.total > 0, ratio, 1))))


def _start(data: Binned, size: float) -> Floats:
    """Best of a grid of positions and widths, the levels by least squares."""
    best, found = np.inf, np.zeros(4)
    near = np.abs(data.pixels.s) <= _START_REACH * size
    pixels = Side(data.pixels.s[near], data.pixels.wide[near], data.pixels.narrow[near])
    n, total = data.n[near], data.total[near]
    for width in size * np.array([0.3, 0.7, 1.5, 3.0, 6.0]):
        for shift in size * np.arange(-3, 3.5, 0.5):
            share = blurred_step(pixels, width**2, shift)[0]
            design = np.stack([share, 1 - share])
            levels = np.linalg.lstsq((design * n) @ design.T, design @ total, rcond=None)[0]
            misfit = float(-levels @ (design @ total))
            if misfit < best:
                best, found = misfit, np.array([*levels, shift, width**2])
    found[:2] = np.maximum(found[:2], 1e-3 * np.abs(found[:2]).max()) if data.poisson else found[:2]
    return found


def _plateau_variances(data: Binned, theta: Floats) -> Floats:
    """Variance of single pixels far inside and far outside; equal weights where the values do not vary at all."""
    share = blurred_step(data.pixels, theta[3], theta[2])[0]
    found = []
    for plateau in (share > 0.98, share < 0.02):
        n = data.n[plateau].sum()
        mean = data.total[plateau].sum() / max(n, 1)
        found.append(data.squares[plateau].sum() / max(n, 1) - mean**2)
    floor = 1e-3 * max(found)
    contrast = float(theta[0] - theta[1])
    return np.maximum(found, floor) if floor > 1e-12 * contrast**2 else np.full(2, max(contrast**2, 1e-30) * 1e-9)


def _maximise(data: Binned, theta: Floats, noise: Floats, least: float) -> tuple[Floats, Floats]:
    """Fisher scoring with damping; the variance stays at least `least`, Poisson levels positive. Inverse information too."""

    def clip(t: Floats) -> Floats:
        t = t.copy()
        t[3] = max(t[3], least)
        t[:2] = np.maximum(t[:2], 1e-9) if data.poisson else t[:2]
        return t

    theta, damping = clip(theta), 1e-3
    mean, jacobian, share = _model(data, theta)
    value = _objective(data, mean, _variance(data, mean, share, noise))
    for _ in range(_STEPS):
        variance = _variance(data, mean, share, noise)
        score = jacobian @ ((data.total - data.n * mean) / variance)
        information = (jacobian * (data.n / variance)) @ jacobian.T
        scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
        correlation = information / np.outer(scale, scale)
        step = np.linalg.solve(correlation + damping * np.eye(4), score / scale) / scale
        trial = clip(theta + step)
        trial[3] = min(trial[3], 4 * theta[3])
        new_mean, new_jacobian, new_share = _model(data, trial)
        new_value = _objective(data, new_mean, _variance(data, new_mean, new_share, noise))
        if new_value <= value + 1e-12 * abs(value):
            settled = bool(np.all(np.abs(trial - theta) * scale < 1e-4)) or value - new_value < 1e-9 * max(value, 1e-300)
            theta, mean, jacobian, share, value = trial, new_mean, new_jacobian, new_share, new_value
            damping = max(damping / 10, 1e-9)
            if settled and damping < 1e-5:
                break
        elif damping > 1e8:
            break
        else:
            damping *= 10
    # an edge sharper than the pixel: σ² is uncertain by what a pixel's width would be, not by the curvature at its bound
    wide = np.append(theta[:3], max(theta[3], float(data.pixels.variance.mean())))
    mean, jacobian, share = _model(data, wide)
    information = (jacobian * (data.n / _variance(data, mean, share, noise))) @ jacobian.T
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    return theta, np.linalg.pinv(information / np.outer(scale, scale), rcond=1e-12) / np.outer(scale, scale)


def _judged(data: Binned, theta: Floats, inverse: Floats, noise: Floats) -> Edge:
    """The fit with its dispersion, lack of fit along the distance, and the ratio against no edge at all."""
    from scipy.stats import f

    mean, _, share = _model(data, theta)
    variance = _variance(data, mean, share, noise)
    n_pixels = float(data.n.sum())
    near = data.n * np.exp(-0.5 * (data.pixels.s - theta[2]) ** 2 / (theta[3] + data.pixels.variance))
    pixel_variance = float(np.average(data.pixels.variance, weights=near + 1e-12))
    squared = np.maximum(data.squares - 2 * mean * data.total + data.n * mean**2, 0)
    index = np.floor(data.pixels.s / (0.5 * np.sqrt(theta[3] + pixel_variance))).astype(np.int64)
    index = np.unique(index, return_inverse=True)[1]
    residual = np.bincount(index, data.total - data.n * mean)
    expected, n = np.bincount(index, data.n * variance), np.bincount(index, data.n)
    bin_square = residual**2 / np.maximum(expected, 1e-300)
    free, dof = max(n_pixels - len(n), 1.0), max(len(n) - 4, 1)
    pure = max(float((squared / variance).sum() - bin_square.sum()), 0.0) / free
    lack = float(bin_square.sum()) / dof
    ratio = lack / pure if pure > 0 else np.inf
    contrast = max(abs(theta[0] - theta[1]), 1e-300)
    # what is left of the residual once the bins' own errors are taken out, against the step
    surplus = np.average((residual / n) ** 2 - pure * expected / n**2, weights=n)
    dispersion = pure * max(1.0, ratio) if np.isfinite(ratio) else lack
    constant = float(data.total.sum()) / n_pixels
    level = np.full_like(mean, constant)
    flat = _variance(data, level, np.full_like(mean, 0.5), noise) if data.poisson else variance
    likelihood = _objective(data, level, flat) - _objective(data, mean, variance)
    scale = max(1.0, dispersion) if data.poisson else dispersion
    return Edge(
        theta,
        inverse * scale,
        pixel_variance,
        float(dispersion),
        float(np.sqrt(max(surplus, 0))) / contrast,
        float(f.sf(ratio, dof, free)) if len(n) > 4 else np.nan,
        likelihood / max(scale, 1e-300) if data.poisson else likelihood / max(scale, 1e-12),
    )
