"""Slope of counts against depth in every particle at every time, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

LEAST_PIXELS, LEAST_DEPTHS = 20, 3
BLOCK = 4  # px: side of the blocks whose sums tell fluctuation from counting


@dataclass(frozen=True)
class Gradients:
    """Signal and relative slope (time, particle) with errors, pixels (particle), profile (time, depth) of all, depths (um)."""

    signal: Floats
    signal_sd: Floats
    slope: Floats
    slope_sd: Floats
    usable: Bools
    n_pixels: Ints
    profile: Floats
    profile_sd: Floats
    depth: Floats

    def over(self, other: Gradients) -> Gradients:
        """These relative to another signal of the same pixels: ratios of means, difference of slopes."""
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = []
            for a, sa, b, sb in (
                (self.signal, self.signal_sd, other.signal, other.signal_sd),
                (self.profile, self.profile_sd, other.profile, other.profile_sd),
            ):
                ratio = np.where(b > 0, a / b, np.nan)
                parts.append((ratio, np.hypot(sa / b, ratio * sb / b)))
        slope, error = self.slope - other.slope, np.hypot(self.slope_sd, other.slope_sd)
        usable = self.usable & other.usable
        return Gradients(*parts[0], slope, error, usable, self.n_pixels, *parts[1], self.depth)


def gradients(counts: Floats, number: Ints, depth: Floats, own: Bools, width: float, n_particles: int) -> Gradients:
    """Fit (time, y, x) `counts` of the pixels `own`, particle by particle."""
    particle, deep = number[own], depth[own]
    values = counts[:, own]
    n = np.bincount(particle, minlength=n_particles).astype(np.float64)
    bins = np.floor(deep / width).astype(np.int64)
    classes = [len(np.unique(bins[particle == k])) for k in range(n_particles)]
    usable = (n >= LEAST_PIXELS) & (np.array(classes) >= LEAST_DEPTHS)
    middle = np.bincount(particle, deep, n_particles) / np.maximum(n, 1)
    x = deep - middle[particle]
    total, first = (np.array([np.bincount(particle, row * f, n_particles) for row in values]) for f in (np.ones_like(x), x))
    spread = np.bincount(particle, x**2, n_particles)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / n
        slope = first / (mean * spread)  # of the sums: unbiased, and efficient where the signal changes by less than itself
        blocks = _blocks(own)
        model = np.nan_to_num(mean)[:, particle] * np.maximum(1 + np.nan_to_num(slope)[:, particle] * x, 0.02)
        factor = np.stack([_dispersion(values, model, particle == k, blocks) for k in range(n_particles)], axis=1)
        sd = np.sqrt(factor * np.maximum(total, 1)) / n
        slope_sd = np.sqrt(factor / np.maximum(mean * spread, 1e-300))
    depths = np.arange(bins.max() + 1)
    per = np.bincount(bins, minlength=len(depths)).astype(np.float64)
    sums = np.array([np.bincount(bins, row, len(depths)) for row in values])
    whole = np.array([np.average(row, weights=np.maximum(n, 1e-12)) for row in factor])
    with np.errstate(divide="ignore", invalid="ignore"):
        profile, error = sums / per, np.sqrt(whole[:, None] * np.maximum(sums, 1)) / per
    shape = (np.broadcast_to(usable, slope.shape) & (total > 0),)
    return Gradients(mean, sd, slope, slope_sd, *shape, n.astype(np.int64), profile, error, (depths + 0.5) * width)


def _blocks(own: Bools) -> Ints:
    """Number of the block of 4 × 4 pixels of each pixel `own`."""
    y, x = np.nonzero(own)
    return np.asarray((y // BLOCK) * (own.shape[1] // BLOCK + 1) + x // BLOCK)


def _dispersion(values: Floats, model: Floats, mine: Bools, blocks: Ints) -> Floats:
    """Variance of block sums over their expectation, at least 1, pooled over times; 1 with fewer than 4 blocks."""
    names, place = np.unique(blocks[mine], return_inverse=True)
    if len(names) < 4:
        return np.ones(len(values))
    seen = np.array([np.bincount(place, row, len(names)) for row in values[:, mine]])
    expected = np.array([np.bincount(place, row, len(names)) for row in model[:, mine]])
    squares = float(((seen - expected) ** 2).sum() / max(float(expected.sum()), 1e-300)) * len(names) / max(len(names) - 2, 1)
    return np.full(len(values), max(squares, 1.0))
