"""Mutual information of pairs of channels under a map between two rasters, its gradient, and its scores by block.

Arrays only. Lengths are um. The parameters are the six entries of G (2, 3): (u, v, 1) → (y, x) um on the sampled raster, where
(u, v) runs from −1 to 1 over the fixed raster, so that every entry is a length.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._threads import threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_TAIL = 0.1  # per cent of the pixels at either end, whose values are moved to the end of the range
_BINS = (8, 48)
_WORTH = 200_000  # pixels; with fewer, starting threads takes longer than the work


@dataclass(frozen=True)
class Raster:
    """A grid of pixels: shape, pixel size and the first pixel's centre, (y, x) um."""

    shape: tuple[int, int]
    pixel: tuple[float, float]
    first: tuple[float, float]

    @property
    def normal(self) -> Floats:
        """(3, 3): um on this raster to (u, v, 1), −1 to 1 from the first pixel's centre to the last's."""
        half = np.maximum((np.array(self.shape) - 1) / 2, 0.5) * self.pixel
        middle = np.array(self.first) + (np.array(self.shape) - 1) / 2 * self.pixel
        rows = [[1 / half[0], 0, -middle[0] / half[0]], [0, 1 / half[1], -middle[1] / half[1]], [0, 0, 1]]
        return np.array(rows, np.float64)

    @property
    def to_um(self) -> Floats:
        """(3, 3): (row, column, 1) to um."""
        return np.array([[self.pixel[0], 0, self.first[0]], [0, self.pixel[1], self.first[1]], [0, 0, 1]])


@dataclass(frozen=True)
class Pair:
    """One channel on both rasters, in nodes of the histogram; where both were measured."""

    fixed: Floats
    fixed_ok: Bools
    image: Floats
    image_ok: Bools
    size: tuple[int, int]  # nodes (K, L)


def pair(fixed: Floats, fixed_ok: Bools, image: Floats, image_ok: Bools) -> Pair:
    """A pair whose values fall on as many nodes as the number of pixels carries: 0.8 ∛n, as for a histogram."""
    n = min(int(fixed_ok.sum()), int(image_ok.sum()))
    k = int(np.clip(round(0.8 * n ** (1 / 3)), *_BINS))
    return Pair(_nodes(fixed, fixed_ok, 0, k - 1), fixed_ok, _nodes(image, image_ok, 1, k), image_ok, (k, k + 3))


def _nodes(values: Floats, ok: Bools, first: int, last: int) -> Floats:
    """Values linearly on first … last, the tails cut, never quite reaching last."""
    low, high = np.percentile(values[ok], [_TAIL, 100 - _TAIL])
    scaled = np.clip((values - low) / max(high - low, 1e-300), 0, 1 - 1e-9) * (last - first) + first
    return np.where(ok, scaled, float(first))


@dataclass(frozen=True)
class Criterion:
    """Pairs on one fixed and one sampled raster; `bend` (y, x, 2) in um on the sampled raster is added to the map.

    The fixed values stand for places `jitter` (y, x, 2) fixed pixels from the pixels' centres.
    """

    pairs: tuple[Pair, ...]
    fixed: Raster
    sampled: Raster
    jitter: Floats
    bend: Floats = field(default_factory=lambda: np.zeros((0, 0, 2)))

    @cached_property
    def _inner(self) -> Floats:
        """(3, 3): (row, column, 1) of the fixed raster to (u, v, 1)."""
        return self.fixed.normal @ self.fixed.to_um

    def pixels(self, g: Floats) -> Floats:
        """The map G as (2, 3) from pixels of the fixed raster to pixels of the sampled one."""
        whole = np.vstack([g.reshape(2, 3), [0, 0, 1]])
        return np.asarray((np.linalg.inv(self.sampled.to_um) @ whole @ self._inner)[:2])

    def _chain(self, slopes: Floats) -> Floats:
        """Derivatives with respect to pixel entries (…, 6) as derivatives with respect to G's."""
        by_pixel = slopes.reshape(*slopes.shape[:-1], 2, 3) / np.array(self.sampled.pixel)[:, None]
        return np.asarray((by_pixel @ self._inner.T).reshape(slopes.shape))

    def histograms(self, g: Floats) -> list[tuple[Floats, Floats, int]]:
        """For each pair its joint histogram (K, L), the derivative (K, L, 6), and the number of pixels that count."""
        from ssbmaps.maps._mutual_kernels import joint

        m, bend, parts = self.pixels(g), self.bend / self.sampled.pixel, max(threads(), 1)

        def work(job: tuple[Pair, int, int]) -> tuple[Floats, Floats, int]:
            one, start, stop = job
            histogram, slopes = np.zeros(one.size), np.zeros((6, *one.size))
            n = joint(one.fixed, one.fixed_ok, one.image, one.image_ok, m, bend, self.jitter, start, stop, histogram, slopes)
            return histogram, slopes, n

        parts = parts if len(self.pairs) * int(np.prod(self.fixed.shape)) > _WORTH else 1
        cuts = np.linspace(0, self.fixed.shape[0], parts + 1).astype(int)
        jobs = [(p, a, b) for p in self.pairs for a, b in pairwise(cuts)]
        if parts == 1:
            done = list(map(work, jobs))
        else:
            with ThreadPoolExecutor(parts) as pool:
                done = list(pool.map(work, jobs))
        result = []
        for i in range(len(self.pairs)):
            mine = done[i * parts : (i + 1) * parts]
            histogram, slopes = np.sum([h for h, _, _ in mine], axis=0), np.sum([s for _, s, _ in mine], axis=0)
            result.append((histogram, self._chain(np.moveaxis(slopes, 0, -1)), sum(n for _, _, n in mine)))
        return result

    def value(self, g: Floats) -> tuple[float, Floats]:
        """Mutual information per pixel, summed over the pairs, in nats; and its gradient (6)."""
        total, gradient = 0.0, np.zeros(6)
        for histogram, slopes, n in self.histograms(g):
            if n == 0:
                continue
            table = odds(histogram, n)
            total += float((histogram * table).sum()) / n
            gradient += np.tensordot(table, slopes, axes=2) / n
        return total, gradient

    def overlap(self, g: Floats) -> float:
        """Share of the smaller raster that the other covers."""
        n = self.histograms(g)[0][2]
        area = np.prod(self.fixed.pixel)
        return float(n * area / min(np.prod(self.fixed.shape) * area, np.prod(self.sampled.shape) * np.prod(self.sampled.pixel)))

    def tables(self, g: Floats) -> list[Floats]:
        """The log odds (K, L) of each pair at G."""
        return [odds(histogram, max(n, 1)) for histogram, _, n in self.histograms(g)]

    def scores(self, g: Floats, tables: list[Floats], block: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """By pair and block: sum of the log odds (P, B), gradient (P, B, 6), number of pixels (P, B)."""
        from ssbmaps.maps._mutual_kernels import scores

        m, bend, size = self.pixels(g), self.bend / self.sampled.pixel, int(block.max()) + 1
        value, gradient, number = (np.zeros((len(self.pairs), size, *s)) for s in ((), (6,), ()))

        def work(i: int) -> None:
            p = self.pairs[i]
            scores(
                p.fixed, p.fixed_ok, p.image, p.image_ok, m, bend, self.jitter, tables[i], block, value[i], gradient[i], number[i]
            )

        with ThreadPoolExecutor(max(threads(), 1)) as pool:
            list(pool.map(work, range(len(self.pairs))))
        return value, self._chain(gradient), number


def odds(histogram: Floats, n: int) -> Floats:
    """ln p(k, l) / p(k) p(l); 0 where nothing fell."""
    expected = histogram.sum(axis=1, keepdims=True) * histogram.sum(axis=0, keepdims=True) / n
    some = histogram > 1e-12
    return np.where(some, np.log(np.where(some, histogram, 1.0) / np.where(some, expected, 1.0)), 0.0)
