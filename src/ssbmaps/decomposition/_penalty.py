"""Prior knowledge in the fit: smooth spectra, smooth or piecewise constant maps, each by a step that cannot lose.

A penalty on differences is bounded from above, at the values of the last step, by a sum over single values (De Pierro,
IEEE Trans. Med. Imaging 14 (1995) 132, doi:10.1109/42.370409); with the multiplicative step's own bound each value then solves
a quadratic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HALVINGS = 100
FLAT = 1e-2  # counts: a difference below it counts as none in the total variation


@dataclass(frozen=True, slots=True)
class Smoothness:
    """½ strength · counts · Σ (h[j + 1] − h[j])² over neighbouring channels of spectra of sum 1, in nats."""

    strength: float
    counts: float

    def cost(self, h: Floats) -> float:
        """Price of spectra (K, k)."""
        return float(0.5 * self.strength * self.counts * np.sum(np.diff(h, axis=0) ** 2))

    def target(self, sums: Floats, h: Floats) -> Floats:
        """Where a step leads from spectra h (K, k) that are pulled to `sums` (K, k): columns of sum 1."""
        weight = self.strength * self.counts
        mean = np.zeros_like(h)  # over both neighbours, of the mean of own and neighbour's value
        halves = 0.5 * (h[1:] + h[:-1])
        mean[:-1] += halves
        mean[1:] += halves
        degree = np.full((len(h), 1), 2.0)
        degree[[0, -1]] = 1.0 if len(h) > 1 else 0.0
        # n/h = 2 weight (degree h − mean) + level, with the level at which the sum is 1
        total = sums.sum(axis=0)
        low, high = total - 4 * weight - 1, total + 2 * weight * mean.max(axis=0) + 1
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            large = _root(2 * weight * degree, middle - 2 * weight * mean, sums).sum(axis=0) > 1
            low, high = np.where(large, middle, low), np.where(large, high, middle)
        found = _root(2 * weight * degree, 0.5 * (low + high) - 2 * weight * mean, sums)
        reached = found.sum(axis=0)
        return np.where(reached > 0, found / np.where(reached > 0, reached, 1), h)


@dataclass(frozen=True, slots=True)
class MapPenalty:
    """Laplacian (½ strength Σ d²) and total variation (strength Σ |d|) of neighbouring pixels' abundances, in nats.

    `pairs` (n, 2) are the rows of neighbours.
    """

    laplacian: float
    variation: float
    pairs: NDArray[np.int64]

    def cost(self, w: Floats) -> float:
        """Price of abundances (P, k)."""
        square = (w[self.pairs[:, 0]] - w[self.pairs[:, 1]]) ** 2
        return float(0.5 * self.laplacian * square.sum() + self.variation * np.sqrt(square + FLAT**2).sum())

    def target(self, drawn: Floats, w: Floats, sums: Floats) -> Floats:
        """Where a step leads from abundances w (P, k) whose multiplicative step is drawn / sums."""
        first, second = self.pairs.T
        weight = self.laplacian + self.variation / np.sqrt((w[first] - w[second]) ** 2 + FLAT**2)
        halves = 0.5 * weight * (w[first] + w[second])
        mean, degree = np.zeros_like(w), np.zeros_like(w)
        for rows in (first, second):
            for z in range(w.shape[1]):
                mean[:, z] += np.bincount(rows, halves[:, z], len(w))
                degree[:, z] += np.bincount(rows, weight[:, z], len(w))
        return _root(2 * degree, sums - 2 * mean, drawn)


def _root(square: Floats, linear: Floats, constant: Floats) -> Floats:
    """The solution x >= 0 of square · x² + linear · x = constant, for square, constant >= 0."""
    root = np.sqrt(linear**2 + 4 * square * constant)
    stable = np.where(linear > 0, 2 * constant, root - linear)
    below = np.where(linear > 0, linear + root, 2 * square)
    return np.divide(stable, below, out=np.zeros_like(root), where=below > 0)


def neighbours(shape: tuple[int, int, int], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of positions in `rows`, numbers in C order of the pixels of maps (maps, y, x), that lie side by side in one map."""
    position = np.full(int(np.prod(shape)), -1)
    position[rows] = np.arange(len(rows))
    grid = position.reshape(shape)
    sides = ((grid[:, :-1], grid[:, 1:]), (grid[:, :, :-1], grid[:, :, 1:]))
    pairs = np.concatenate([np.column_stack([a.ravel(), b.ravel()]) for a, b in sides])
    return pairs[(pairs >= 0).all(axis=1)]
