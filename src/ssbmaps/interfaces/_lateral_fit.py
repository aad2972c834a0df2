"""An exponential layer against a constant with a gradient, fitted to a profile with correlated noise, on arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._lateral_noise import LEAST_SCATTER, Noise, noise_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.interfaces._lateral_bins import Bins

    Floats = NDArray[np.float64]

ROUNDS = 3  # of weights and noise from the fit before
N_PARAMETERS = 4
BLANK = (np.nan,) * 4


@dataclass(frozen=True)
class Layer:
    """What one profile says: value, error and 95 % ends of each number, the test, and the curves in the occupied bins."""

    likelihood_ratio: float
    p_value: float
    depth_scale: tuple[float, ...]
    amplitude: tuple[float, ...]
    drift: tuple[float, ...]
    inner_distance: tuple[float, ...]
    level: tuple[float, ...]
    dispersion: float
    mean: Floats
    sd: Floats
    model: Floats
    inner: Floats
    without: Layer | None = None  # level, gradient and curve if there is no layer


class _Fits:
    """Generalised least squares of C + D (s − s̄) + A e^(−s/ℓ) for every ℓ, under one covariance of the bin means."""

    def __init__(self, bins: Bins, mean: Floats, covariance: Floats) -> None:
        from scipy.linalg import cholesky, solve_triangular

        self.root = cholesky(covariance, lower=True)
        self.bins, self.middle = bins, float((bins.number * bins.s).sum() / bins.number.sum())
        self.plain = np.column_stack([np.ones(len(mean)), bins.s - self.middle])
        self.y = solve_triangular(self.root, mean, lower=True)
        self.base = np.linalg.qr(solve_triangular(self.root, self.plain, lower=True))[0]
        shapes = solve_triangular(self.root, bins.layer.T, lower=True)
        left = shapes - self.base @ (self.base.T @ shapes)
        size = np.sqrt((left**2).sum(axis=0))
        whole = np.sqrt((shapes**2).sum(axis=0))
        self.shapes = np.where(size > 1e-9 * whole, left / np.where(size > 0, size, 1), 0.0)
        self.gain = (self.shapes.T @ self.y) ** 2  # 2 ln(L1/L0) of every ℓ

    @property
    def best(self) -> int:
        """Number of the depth scale with the largest likelihood."""
        return int(self.gain.argmax())

    def numbers(self, k: int | None) -> tuple[Floats, Floats]:
        """(C, D, A) and their covariance at depth scale `k`; (C, D) without a layer."""
        from scipy.linalg import solve_triangular

        columns = self.plain if k is None else np.column_stack([self.plain, self.bins.layer[k]])
        white = solve_triangular(self.root, columns, lower=True)
        q, r = np.linalg.qr(white)
        inverse = np.linalg.pinv(r)
        return inverse @ (q.T @ self.y), inverse @ inverse.T


def fit_layer(
    image: Floats,
    distance: Floats,
    bins: Bins,
    *,
    poisson: bool,
    pixel: tuple[float, float],
    n_draws: int,
    rng: np.random.Generator,
) -> Layer:
    """Fit and test one map (y, x), whose pixels `bins` holds."""
    mean = bins.means(image)
    number = bins.number
    level = float((mean * number).sum() / number.sum())
    noise = Noise(np.zeros((len(mean), len(mean))), 0.0 if poisson else 1.0, np.inf)
    model = np.full(len(mean), level)
    for _ in range(ROUNDS):
        fits = _Fits(bins, mean, noise.covariance(model, number, poisson=poisson))
        theta, _ = fits.numbers(fits.best)
        model = np.maximum(fits.plain @ theta[:2] + bins.layer[fits.best] * theta[2], 1e-3 * level)
        noise = _noise(image, distance, bins, fits, theta, poisson=poisson, pixel=pixel, level=level)
    fits = _Fits(bins, mean, noise.covariance(model, number, poisson=poisson))
    plain = _Fits(bins, mean, noise.covariance(np.full(len(mean), level), number, poisson=poisson))
    flat = np.maximum(plain.plain @ plain.numbers(None)[0], 1e-3 * level)
    null = _Fits(bins, mean, noise.covariance(flat, number, poisson=poisson))
    ratio = float(null.gain.max())
    drawn = _draws(null, flat, noise, poisson=poisson, n=n_draws, rng=rng)
    p_value = float((1 + (drawn >= ratio).sum()) / (1 + n_draws))
    layer = _layer(fits, mean, noise, (ratio, p_value), poisson=poisson)
    return replace(layer, without=_without(null, layer, noise))


def _noise(
    image: Floats,
    distance: Floats,
    bins: Bins,
    fits: _Fits,
    theta: Floats,
    *,
    poisson: bool,
    pixel: tuple[float, float],
    level: float,
) -> Noise:
    """Noise of the residuals about the layer that fits best: about a constant they would hold the layer itself."""
    used = bins.used
    s = distance[used]
    curve = theta[0] + theta[1] * (s - fits.middle) + theta[2] * np.exp(-s / bins.depths[fits.best])
    model = np.full(image.shape, level)
    model[used] = np.maximum(curve, 1e-2 * level)
    counting = 1 / model if poisson else np.zeros(image.shape)
    return noise_of(image / model - 1, counting, bins.index, len(bins.number), pixel, N_PARAMETERS)


def _draws(null: _Fits, flat: Floats, noise: Noise, *, poisson: bool, n: int, rng: np.random.Generator) -> Floats:
    """Likelihood ratios of `n` profiles without a layer: counts about the null model, which varies as the noise does.

    What is not known of the noise's variance widens them as Student's t.
    """
    from scipy.linalg import solve_triangular

    number = null.bins.number
    spread = noise.field + np.diag(noise.white / number)
    values, vectors = np.linalg.eigh(spread)
    varied = rng.standard_normal((n, len(flat))) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    means = flat * np.maximum(1 + varied, 0)
    drawn = rng.poisson(means * number) / number if poisson else means
    white = solve_triangular(null.root, (drawn - flat).T, lower=True)
    ratios = ((null.shapes.T @ white) ** 2).max(axis=0)
    scale = noise.freedom / rng.chisquare(noise.freedom, n) if np.isfinite(noise.freedom) else 1.0
    return np.asarray(ratios * scale)


def _layer(fits: _Fits, mean: Floats, noise: Noise, test: tuple[float, float], *, poisson: bool) -> Layer:
    """Numbers, errors and ends at the depth scale with the largest likelihood."""
    bins, most = fits.bins, _limit(noise)
    tables = [fits.numbers(i) for i in range(len(bins.depths))]
    # a curve without an inner level above 0 is no layer on one
    gain = np.where([t[0] > 0 for t, _ in tables], fits.gain, -np.inf)
    k = int(gain.argmax())
    lost = gain[k] - gain
    theta, covariance = tables[k]
    level = theta[0]
    error = float(np.sqrt(covariance[0, 0]))
    share = np.array([t[2] / t[0] if t[0] > 0 else 0.0 for t, _ in tables])
    spread = np.array([_ratio_sd(t, c) if t[0] > 0 else 0.0 for t, c in tables])
    low, high = _ends(bins.depths, lost, most, k)
    sd_low, sd_high = _ends(bins.depths, lost, 1.0, k)
    within = (bins.depths >= low) & (bins.depths <= (high if np.isfinite(high) else np.inf))
    within[k] = True
    inner = np.array([_inner(d, a, error / level) for d, a in zip(bins.depths, share, strict=True)])
    far = float(bins.edges[-1])
    wide = inner[within]
    reached = inner[k] <= far
    model = fits.plain @ theta[:2] + bins.layer[k] * theta[2]
    total = np.diag(noise.covariance(np.maximum(model, 1e-3 * level), bins.number, poisson=poisson))
    single = np.maximum(model, 1 / bins.number) if poisson else (noise.white + LEAST_SCATTER) * model**2
    drift = theta[1] / level
    drift_sd = float(np.sqrt(covariance[1, 1])) / abs(level)
    t95 = np.sqrt(most)
    return Layer(
        likelihood_ratio=test[0],
        p_value=test[1],
        depth_scale=(float(bins.depths[k]), (sd_high - sd_low) / 2, low, high),
        amplitude=_amplitude(share, spread, lost, most, k, thin=low == 0),
        drift=(drift, drift_sd, drift - t95 * drift_sd, drift + t95 * drift_sd),
        inner_distance=(
            float(inner[k]) if reached else np.nan,
            float(np.ptp(wide)) / (2 * t95) if reached and wide.max() <= far else np.nan,
            float(wide.min()),
            float(wide.max()) if wide.max() <= far else np.nan,
        ),
        level=(level, error, level - t95 * error, level + t95 * error),
        dispersion=float(np.median(total / single * bins.number)),
        mean=mean,
        sd=np.sqrt(total),
        model=model,
        inner=fits.plain @ theta[:2],
    )


def _without(null: _Fits, layer: Layer, noise: Noise) -> Layer:
    """Level and gradient of the constant alone: what is left to report where no layer is found."""
    theta, covariance = null.numbers(None)
    level, drift = float(theta[0]), float(theta[1] / theta[0])
    error, drift_sd = (float(np.sqrt(covariance[i, i])) for i in (0, 1))
    drift_sd /= abs(level)
    wide = np.sqrt(_limit(noise))
    curve = null.plain @ theta
    return replace(
        layer,
        level=(level, error, level - wide * error, level + wide * error),
        drift=(drift, drift_sd, drift - wide * drift_sd, drift + wide * drift_sd),
        model=curve,
        inner=curve,
    )


def _limit(noise: Noise) -> float:
    """Loss of likelihood ratio at the ends of a 95 % interval."""
    from scipy.stats import f

    return float(f.ppf(0.95, 1, noise.freedom)) if np.isfinite(noise.freedom) else 3.841459


def _ratio_sd(theta: Floats, covariance: Floats) -> float:
    """Standard error of A/C."""
    slope = np.array([-theta[2] / theta[0], 0.0, 1.0]) / theta[0]
    return float(np.sqrt(max(slope @ covariance @ slope, 0.0)))


def _inner(depth: float, share: float, error: float) -> float:
    """Distance at which the layer has fallen to the relative `error` of the inner level."""
    return float(depth * np.log(max(abs(share) / error, 1.0)))


def _ends(depths: Floats, lost: Floats, most: float, k: int) -> tuple[float, float]:
    """Ends of the range of depths around the best one that lose at most `most`: 0 and NaN where the range is open."""
    low, high = 0.0, np.nan
    below = np.flatnonzero(lost[:k] > most)
    above = np.flatnonzero(lost[k:] > most)
    logs = np.log(depths)
    if below.size:
        i = below[-1]
        low = float(np.exp(np.interp(most, [lost[i + 1], lost[i]], [logs[i + 1], logs[i]])))
    if above.size:
        i = k + above[0]
        high = float(np.exp(np.interp(most, [lost[i - 1], lost[i]], [logs[i - 1], logs[i]])))
    return low, high


def _amplitude(share: Floats, spread: Floats, lost: Floats, most: float, k: int, *, thin: bool) -> tuple[float, ...]:
    """Amplitude at the edge with its profile interval over all depths; open outwards if the layer may be thinner than a pixel."""
    room = np.maximum(most - lost, 0.0)
    fits = lost <= most
    low = float((share - np.sqrt(room) * spread)[fits].min())
    high = float((share + np.sqrt(room) * spread)[fits].max())
    room = np.maximum(1.0 - lost, 0.0)
    fits = lost <= 1.0
    sd = float((share + np.sqrt(room) * spread)[fits].max() - (share - np.sqrt(room) * spread)[fits].min()) / 2
    if thin and share[k] > 0:
        high = np.nan
    if thin and share[k] < 0:
        low = -1.0
    return float(share[k]), sd, max(low, -1.0), high
