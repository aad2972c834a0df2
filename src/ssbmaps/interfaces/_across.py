"""Pixels across an interface as fits see them: alone with one edge, summed in fine bins of distance, on arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._edge_width_fit import ALONE, isolated, sides
from ssbmaps.interfaces._scoring import Counts, Weighted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

BINS_PER_PIXEL = 10  # of distance; a bin's own width adds 0.1 % to the variance of a pixel
FOLDS = 5


@dataclass(frozen=True)
class Across:
    """Known pixels of a map with their distance (um), and where two edges are equally near.

    `values` (C, y, x), `variance` the same for Gaussian values or None for counts, `kinds` of channels and `shots` per pixel
    (C,), and a random `fold` for each pixel.
    """

    distance: Floats
    ridge: Bools
    known: Bools
    pixel: tuple[float, float]
    values: Floats
    variance: Floats | None
    kinds: Ints
    shots: Floats
    fold: Ints

    @property
    def size(self) -> float:
        """Side in um of the square of a pixel's area."""
        return float(np.sqrt(self.pixel[0] * self.pixel[1]))

    def near(self, inner: float, outer: float, thickness: float, sigma: float) -> Bools:
        """Known pixels from −inner to outer um that see one edge only: none other within 4 sigma, outside plus the thickness."""
        use = self.known & (self.distance >= -inner) & (self.distance <= outer)
        outside = self.distance > 0
        alone = isolated(self.distance, self.ridge & ~outside, self.pixel, ALONE * sigma)
        apart = isolated(self.distance, self.ridge & outside, self.pixel, thickness + ALONE * sigma)
        return np.asarray(use & alone & apart)

    def binned(self, use: Bools, *, folds: bool = False) -> list[Counts | Weighted]:
        """Profiles of the `use` pixels in common bins: of all together, then of each fold where asked for."""
        s = self.distance[use]
        _, index = np.unique(np.floor(s * (BINS_PER_PIXEL / self.size)).astype(np.int64), return_inverse=True)
        centre = np.bincount(index, s) / np.bincount(index)
        values = self.values[:, use]
        weight = None if self.variance is None else 1 / self.variance[:, use]
        profiles = [self._profile(centre, index, values, weight)]
        fold = self.fold[use]
        for k in range(FOLDS if folds else 0):
            mine = fold == k
            part = None if weight is None else weight[:, mine]
            profiles.append(self._profile(centre, index[mine], values[:, mine], part))
        return profiles

    def _profile(self, centre: Floats, index: Ints, values: Floats, weight: Floats | None) -> Counts | Weighted:
        def sums(rows: Floats) -> Floats:
            return np.stack([np.bincount(index, row, len(centre)) for row in rows])

        n = np.bincount(index, minlength=len(centre)).astype(np.float64)
        if weight is None:
            return Counts(centre, n, sums(values), self.kinds, self.shots)
        return Weighted(centre, n, sums(values * weight), sums(weight), self.kinds)


def across(
    distance: Floats,
    known: Bools,
    pixel: tuple[float, float],
    values: Floats,
    kinds: Ints,
    *,
    variance: Floats | None,
    shots: Floats,
    rng: np.random.Generator,
) -> Across:
    """Geometry and values of all pixels; those with NaN in any channel are not known."""
    known = known & np.isfinite(values).all(axis=0) & np.isfinite(distance)
    if variance is not None:
        known &= (np.isfinite(variance) & (variance > 0)).all(axis=0)
    _, _, ridge = sides(distance, pixel)
    fold = rng.integers(FOLDS, size=distance.shape)
    return Across(distance, ridge, known, pixel, values, variance, kinds, shots, fold)


def rest(whole: Counts | Weighted, part: Counts | Weighted) -> Counts | Weighted:
    """What is left of a profile without one of its folds."""
    if isinstance(whole, Weighted) and isinstance(part, Weighted):
        return replace(whole, n=whole.n - part.n, total=whole.total - part.total, weight=whole.weight - part.weight)
    return replace(whole, n=whole.n - part.n, total=whole.total - part.total)


def scatter_variance(values: Floats, distance: Floats, known: Bools, size: float) -> Floats:
    """Variance (C, y, x) of single pixels of maps without a stated one: the scatter among pixels of equal distance.

    Estimated in bins of half a pixel from the differences of pixels that follow each other in distance, and smoothed.
    """
    from scipy.ndimage import gaussian_filter1d

    s = distance[known]
    order = np.argsort(s, kind="stable")
    index = np.floor(s[order] * 2 / size).astype(np.int64)
    index -= index.min()
    result = np.full(values.shape, np.nan)
    for channel, out in zip(values, result, strict=True):
        squares = np.diff(channel[known][order]) ** 2 / 2
        n = np.bincount(index[1:]).astype(np.float64)
        total = np.bincount(index[1:], squares)
        smooth = gaussian_filter1d(total, 2, mode="constant") / np.maximum(gaussian_filter1d(n, 2, mode="constant"), 1e-12)
        floor = 1e-6 * max(float(np.var(channel[known])), 1e-300)
        values_of = np.maximum(smooth, floor)
        flat = np.empty(s.size)
        flat[order] = values_of[np.minimum(index, len(values_of) - 1)]
        out[known] = flat
    return result
