"""Is there a transient in counts of successive scans, beyond a level, a linear drift and their noise? Arrays only.

Counts y have the mean N (c0 + c1 t) (1 + a f(z)), N the exposure, f one of many shapes; about it Poisson noise, which is known,
and a relative jitter of unknown size whose neighbours may be alike (first-order autoregression). In x = 2 √(y + 3/8) the Poisson
noise has a variance of 1 (Anscombe 1948) and a small change of the mean is linear. So the likelihood ratio is one of linear
models with covariance 1 + ρ R(φ), highest over shapes, and over ρ and φ under both hypotheses (restricted likelihood, Patterson
and Thompson 1971, doi 10.1093/biomet/58.3.545). The shape exists under one hypothesis only, so the ratio is not χ² (Davies
1987, doi 10.1093/biomet/74.1.33): its distribution is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._counts import anscombe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.interfaces._transient_series import Scans

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

PHIS = (0.0, 0.5, 0.8, 0.9, 0.95)  # autoregression; from 0.95 on it is not told from a drift within some tens of scans
_FINEST, _FACTOR = 0.05, 2.0  # of ρ, the variance of the jitter in units of the Poisson variance
_SPARE = 16.0  # how far ρ may lie above the variance that the counts show
_DRAWS = 500  # for each correlation
_LIKELY = 0.147  # of the likeliest: inside its 95 % region
_TAIL = 0.1  # share of the draws that tell how the tail falls off
_SMALLEST = 1e-6  # further than this no tail is carried
_STEEPEST = 2.0  # mean excess of χ²₁ far out: no tail of these ratios falls faster


@dataclass(frozen=True)
class _Noise:
    """One covariance 1 + ρ R(φ): what whitens (n, n), the base (n, p) and the shapes (n, m) then, and the log determinants."""

    phi: float
    rho: float
    whiten: Floats
    base: Floats
    shapes: Floats
    cost: float

    def without(self, white: Floats) -> Floats:
        """Restricted log likelihood of whitened data (N, n) without a transient."""
        rest = (white**2).sum(axis=1) - ((white @ self.base) ** 2).sum(axis=1)
        return np.asarray(-0.5 * (rest + self.cost))


@dataclass(frozen=True)
class Ratio:
    """2 ln(L1/L0) of each draw, and the noise and the shape of the hypothesis with a transient where it is highest."""

    value: Floats
    noise: Ints
    shape: Ints


class Search:
    """The likelihood ratio for shapes (m, n), over all noises."""

    def __init__(self, scans: Scans, shapes: Floats) -> None:
        self.scans, self.mean = scans, scans.level()
        root = np.sqrt(self.mean)
        self._at = anscombe_mean(self.mean)
        base, rows = scans.base / root, shapes * root
        kin = {phi: scans.kin(phi) for phi in PHIS}
        size = root / np.sqrt(self.mean.mean())  # of the jitter, which is relative
        noises = [(0.0, 0.0), *((phi, rho) for phi in PHIS for rho in self._sizes())]
        self.noises = [_noise(phi, rho, kin[phi], size, base, rows) for phi, rho in noises]

    def _sizes(self) -> Floats:
        seen = float(np.mean((anscombe(self.scans.counts) - self._at) ** 2))
        n = int(np.ceil(np.log(max(seen * _SPARE, 4.0) / _FINEST) / np.log(_FACTOR)))
        return np.asarray(_FINEST * _FACTOR ** np.arange(n + 1))

    def ratio(self, counts: Floats) -> Ratio:
        """Of counts (N, n)."""
        x = anscombe(counts) - self._at
        without = np.full(len(x), -np.inf)
        best = without.copy()
        noise, shape = np.zeros(len(x), np.intp), np.zeros(len(x), np.intp)
        for i, at in enumerate(self.noises):
            white = x @ at.whiten.T
            null = at.without(white)
            gains = (white @ at.shapes) ** 2
            own = gains.argmax(axis=1)
            full = null + 0.5 * gains[np.arange(len(x)), own]
            without = np.maximum(without, null)
            higher = full > best
            noise[higher], shape[higher] = i, own[higher]
            best = np.maximum(best, full)
        return Ratio(2 * (best - without), noise, shape)

    def chance(self, value: float, rng: np.random.Generator) -> float:
        """P-value of a ratio: for the least favourable correlation of the jitter among those that the series makes likely.

        Little is known of a noise from some tens of scans. Given the correlation, the size of the jitter is drawn as likely as a
        fit without a transient makes it.
        """
        x = anscombe(self.scans.counts) - self._at
        likely = np.array([at.without(x[None] @ at.whiten.T)[0] for at in self.noises])
        weights = np.exp(likely - likely.max())  # the first, without a jitter, belongs to every correlation
        parts = [[0, *(i for i, at in enumerate(self.noises) if i and at.phi == phi)] for phi in PHIS]
        sums = np.array([weights[part].sum() for part in parts])
        return max(
            p_value(value, self._null(part, weights[part], rng))
            for part, own in zip(parts, sums, strict=True)
            if own >= _LIKELY * sums.max()
        )

    def _null(self, noises: Sequence[int], weights: Floats, rng: np.random.Generator) -> Floats:
        """Ratios of series without a transient, ascending, each with one of the `noises`."""
        often = rng.multinomial(_DRAWS, weights / weights.sum())
        parts = [
            self.scans.drawn(self.mean, float(np.sqrt(self.noises[i].rho / self.mean.mean())), self.noises[i].phi, rng, n)
            for i, n in zip(noises, often, strict=True)
            if n
        ]
        return np.sort(self.ratio(np.concatenate(parts)).value)


def anscombe_mean(mean: Floats) -> Floats:
    """Mean of 2 √(y + 3/8) for Poisson counts: 2 √(mean + 3/8) is it to 1/(4 √mean) and less."""
    return np.asarray(anscombe(mean) - 0.25 / np.sqrt(mean + 0.375))


def _noise(phi: float, rho: float, kin: Floats, size: Floats, base: Floats, shapes: Floats) -> _Noise:
    whole = np.eye(len(size)) + rho * size[:, None] * kin * size
    lower = np.linalg.cholesky(whole)
    whiten = np.linalg.inv(lower)
    q, r = np.linalg.qr(whiten @ base.T)
    rows = whiten @ shapes.T
    rows = rows - q @ (q.T @ rows)
    norm = np.sqrt((rows**2).sum(axis=0))
    rows = rows / np.where(norm > 1e-6 * np.sqrt((shapes**2).sum(axis=1)), norm, np.inf)
    cost = 2 * np.log(np.diagonal(lower)).sum() + 2 * np.log(np.abs(np.diagonal(r))).sum()
    return _Noise(phi, rho, whiten, q, rows, float(cost))


def p_value(value: float, null: Floats) -> float:
    """Share of the draws at or above `value`; beyond them, the tail is carried on as an exponential."""
    n = len(null)
    above = n - int(np.searchsorted(null, value))
    if above > 10:
        return (above + 1) / (n + 1)
    start = int(n * (1 - _TAIL))
    excess = max(float(null[start:].mean() - null[start]), _STEEPEST)
    carried = _TAIL * np.exp(-(value - null[start]) / excess)
    return float(max(min(carried, (above + 1) / (n + 1)), _SMALLEST))
