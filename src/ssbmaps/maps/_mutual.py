"""Mutual information of pairs of channels under a map between two rasters, its gradient, and its scores by block.

Arrays only. Lengths are um. The parameters are the six entries of G (2, 3): (u, v, 1) → (y, x) um on the sampled raster, where
(u, v) runs from −1 to 1 over the fixed raster, so that every entry is a length.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._threads import threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Bools = NDArray[np.bool_]

_TAIL = 0.1  # per cent of the pixels at either end, whose values are moved to the end of the range
_BINS = (8, 48)
_WORTH = 400_000  # pixels; with fewer, starting threads takes longer than the work
_UNMEASURED = -1e30


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
    """One channel on both rasters, in nodes of the histogram."""

    node: NDArray[np.int32]  # of the fixed raster's values; -1 where one does not count
    share: Singles  # how much of them falls on the next node
    image: Singles  # the sampled raster's values; far below 0 where one was not measured
    size: tuple[int, int]  # nodes (K, L)


def pair(fixed: Floats, fixed_ok: Bools, image: Floats, image_ok: Bools) -> Pair:
    """A pair whose values fall on as many nodes as the number of pixels carries: 0.8 ∛n, as for a histogram."""
    n = min(int(fixed_ok.sum()), int(image_ok.sum()))
    k = int(np.clip(round(0.8 * n ** (1 / 3)), *_BINS))
    own, other = _nodes(fixed, fixed_ok, 0, k - 1), _nodes(image, image_ok, 1, k)
    node = own.astype(np.int32)
    share = (own - node).astype(np.float32)
    seen = np.where(image_ok, other, _UNMEASURED).astype(np.float32)
    return Pair(np.where(fixed_ok, node, np.int32(-1)), share, seen, (k, k + 3))


def _nodes(values: Floats, ok: Bools, first: int, last: int) -> Floats:
    """Values linearly on first … last, the tails cut, never quite reaching last."""
    low, high = np.percentile(values[ok], [_TAIL, 100 - _TAIL])
    return np.asarray(np.clip((values - low) / max(high - low, 1e-300), 0, 1 - 1e-6) * (last - first) + first)


@dataclass(frozen=True)
class Placed:
    """A pair under a map: what each fixed pixel sees (y, x, 3), the joint histogram (K, L), and how many pixels count."""

    seen: Singles
    histogram: Floats
    n: int


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

    def parameters(self, matrix: Floats) -> Floats:
        """The map (2, 3) from um of the fixed raster to um of the sampled one, as G."""
        return np.asarray((np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(self.fixed.normal))[:2], np.float64)

    def _chain(self, slopes: Floats) -> Floats:
        """Derivatives with respect to pixel entries (…, 6) as derivatives with respect to G's."""
        by_pixel = slopes.reshape(*slopes.shape[:-1], 2, 3) / np.array(self.sampled.pixel)[:, None]
        return np.asarray((by_pixel @ self._inner.T).reshape(slopes.shape))

    def on(self, mask: Bools) -> Criterion:
        """The same on the fixed pixels of `mask` alone."""
        return replace(self, pairs=tuple(replace(p, node=np.where(mask, p.node, np.int32(-1))) for p in self.pairs))

    def placed(self, g: Floats) -> list[Placed]:
        """Where the pixels of each pair fall under G, and the histogram that they fill."""
        from ssbmaps.maps._mutual_kernels import fill, place

        m, bend = self.pixels(g), self.bend / self.sampled.pixel
        result = []
        for one in self.pairs:
            seen = np.empty((*self.fixed.shape, 3), np.float32)

            def work(start: int, stop: int, one: Pair = one, seen: Singles = seen) -> tuple[int, Floats]:
                histogram = np.zeros(one.size)
                n = place(one.node, one.image, m, bend, self.jitter, start, stop, seen)
                fill(one.node, one.share, seen, start, stop, histogram)
                return n, histogram

            done = _by_rows(work, self.fixed.shape)
            result.append(Placed(seen, np.sum([h for _, h in done], axis=0), sum(n for n, _ in done)))
        return result

    def value(self, g: Floats) -> tuple[float, Floats]:
        """Mutual information per pixel, summed over the pairs, in nats; and its gradient (6)."""
        from ssbmaps.maps._mutual_kernels import gradient

        total, slopes = 0.0, np.zeros(6)
        for one, at in zip(self.pairs, self.placed(g), strict=True):
            if at.n == 0:
                continue
            table = odds(at.histogram, at.n)

            def work(start: int, stop: int, one: Pair = one, at: Placed = at, table: Floats = table) -> Floats:
                part = np.zeros(6)
                gradient(one.node, one.share, at.seen, self.jitter, table, start, stop, part)
                return part

            total += float((at.histogram * table).sum()) / at.n
            slopes += np.sum(_by_rows(work, self.fixed.shape), axis=0) / at.n
        return total, self._chain(slopes)

    def overlap(self, g: Floats) -> float:
        """Share of the smaller raster that the other covers."""
        return self.covered(self.placed(g)[0].n)

    def covered(self, n: int) -> float:
        """Share of the smaller raster that `n` fixed pixels make."""
        area = np.prod(self.fixed.pixel)
        return float(n * area / min(np.prod(self.fixed.shape) * area, np.prod(self.sampled.shape) * np.prod(self.sampled.pixel)))

    def tables(self, g: Floats) -> list[Floats]:
        """The log odds (K, L) of each pair at G."""
        return [odds(p.histogram, max(p.n, 1)) for p in self.placed(g)]

    def scores(self, g: Floats, tables: list[Floats], block: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """By pair and block: sum of the log odds (P, B), gradient (P, B, 6), number of pixels (P, B)."""
        from ssbmaps.maps._mutual_kernels import scores

        size = int(block.max()) + 1
        value, slopes, number = (np.zeros((len(self.pairs), size, *s)) for s in ((), (6,), ()))
        for i, (one, at) in enumerate(zip(self.pairs, self.placed(g), strict=True)):
            scores(one.node, one.share, at.seen, self.jitter, tables[i], block, value[i], slopes[i], number[i])
        return value, self._chain(slopes), number


def _by_rows(work: Callable[[int, int], Any], shape: tuple[int, int]) -> list[Any]:
    """What `work(start, stop)` returns for all rows, or for groups of them in threads of their own."""
    parts = threads() if shape[0] * shape[1] > _WORTH else 1
    if parts < 2:
        return [work(0, shape[0])]
    cuts = np.linspace(0, shape[0], parts + 1).astype(int)
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(work, cuts[:-1], cuts[1:]))


def odds(histogram: Floats, n: int) -> Floats:
    """ln p(k, l) / p(k) p(l); 0 where nothing fell."""
    expected = histogram.sum(axis=1, keepdims=True) * histogram.sum(axis=0, keepdims=True) / n
    some = histogram > 1e-12
    return np.where(some, np.log(np.where(some, histogram, 1.0) / np.where(some, expected, 1.0)), 0.0)
