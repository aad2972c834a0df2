"""Means of maps in bins, and the error of these means from the two-point covariance of what is left in each bin, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

NEIGHBOURS = 2  # occupied bins to either side that share one estimate of the covariance
MOST_SHARE = 0.5  # of all pixel pairs that may lie within the reach of the covariance: 2 independent parts
BLOCK = 1 << 22  # numbers transformed at once


@dataclass(frozen=True, slots=True)
class Pixels:
    """Bin number (row × bins + bin), row of bins, and cell (y, x) of each pixel; `side` cells along y and x."""

    index: Ints
    cell: NDArray[np.int64]
    side: int
    shape: tuple[int, int]

    def only(self, known: NDArray[np.bool_]) -> Pixels:
        """These pixels alone."""
        return Pixels(self.index[known], self.cell[:, known], self.side, self.shape)


@dataclass(frozen=True, slots=True)
class Binned:
    """Mean, standard error, dispersion, independent parts and number of pixels, each (M, rows, bins)."""

    mean: Floats
    sem: Floats
    dispersion: Floats
    independent: Floats
    number: Ints


def binned(values: NDArray[Any], used: Ints, pixels: Pixels, *, poisson: bool) -> Binned:
    """Statistics of the `used` columns of (M, Q) values, whose bins and cells `pixels` holds."""
    everywhere = _Pairs(pixels)
    found = []
    for stored in values:
        row = stored[used].astype(np.float64)
        known = ~np.isnan(row)
        pairs = everywhere if known.all() else _Pairs(pixels.only(known))
        found.append([column.reshape(pixels.shape) for column in _one(row[known], pairs, poisson=poisson)])
    return Binned(*(np.stack(column) for column in zip(*found, strict=True)))


def _one(row: Floats, pairs: _Pairs, *, poisson: bool) -> tuple[Floats, Floats, Floats, Floats, Ints]:
    index, number = pairs.pixels.index, pairs.number
    n_bins = number.size
    total = np.bincount(index, row, n_bins).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / number
        residual = row - mean[index]
        if poisson:
            variance = np.where(number > 0, np.maximum(total, 1) / number, np.nan)
        else:
            variance = np.where(number > 1, np.bincount(index, residual**2, n_bins) / (number - 1), np.nan)
    dispersion, independent = (np.full(n_bins, np.nan) for _ in range(2))
    occupied = pairs.occupied
    plain = np.nan_to_num(variance[occupied]) * number[occupied].astype(np.float64)
    counting, scale = (total[occupied], mean[occupied] ** 2) if poisson else (plain, np.ones(len(occupied)))
    between, independent[occupied] = _between(
        pairs.sums(residual), pairs.sums(), number[occupied].astype(np.float64), counting, scale, pairs.row
    )
    dispersion[occupied] = 1 + np.where(plain > 0, between / np.where(plain > 0, plain, 1), 0 * between)
    dispersion[np.isnan(variance)] = np.nan
    sem = np.sqrt(variance / np.maximum(number, 1) * np.where(np.isnan(dispersion), 1, dispersion))
    return mean, sem, dispersion, independent, number


def _between(
    products: Floats, pairs: Floats, number: Floats, counting: Floats, scale: Floats, row: Ints
) -> tuple[Floats, Floats]:
    """Variance of each bin's sum beyond that of independent pixels, and the number of parts of the section it was learned from.

    `products` and `pairs` (bins, rings) hold Σ r r′ and the number of pixel pairs by the distance between them, `counting` the
    variance of the sum of independent pixels. The covariance is proportional to `scale` and alike in neighbouring bins: their
    sums are pooled, over wider and wider neighbourhoods where most pairs share a cell. The sum over rings ends where the
    covariance does, at the latest where it holds half of all pairs. NaN where most pairs share a cell with all bins together.
    """
    between, independent = (np.full(len(number), np.nan) for _ in range(2))
    open_, width = np.ones(len(number), bool), NEIGHBOURS
    while open_.any() and width < 2 * max(len(number), NEIGHBOURS + 1):
        near_sum = _Neighbourhood(row, width)
        product, pair = near_sum(products), near_sum(pairs)
        all_pairs = near_sum(number**2)
        ended = (product <= 1e-9 * product[:, :1]) & (pair > 0)
        ended[:, 0] = False
        within = np.cumsum(pair, axis=1) / all_pairs[:, None]
        near = ~np.logical_or.accumulate(ended | (within > MOST_SHARE), axis=1)
        share = (pair * near).sum(axis=1) / all_pairs
        pooled = np.maximum((product * near).sum(axis=1) / np.maximum(1 - share, 1e-9) - near_sum(counting), 0)
        own, all_own = ((v * near).sum(axis=1) for v in (scale[:, None] * pairs, near_sum(scale[:, None] * pairs)))
        enough = open_ & (within[:, 0] <= MOST_SHARE)
        between[enough] = (pooled * np.divide(own, all_own, out=np.zeros(len(own)), where=all_own > 0))[enough]
        independent[enough] = 1 / share[enough]
        open_ &= ~enough
        width *= 2
    return between, independent


class _Neighbourhood:
    """Sums over each occupied bin and up to `width` occupied ones of the same row to either side."""

    def __init__(self, row: Ints, width: int) -> None:
        at = np.arange(len(row))
        self.low = np.maximum(at - width, np.searchsorted(row, row, "left"))
        self.high = np.minimum(at + width + 1, np.searchsorted(row, row, "right"))

    def __call__(self, values: Floats) -> Floats:
        running = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
        return np.asarray(running[self.high] - running[self.low])


class _Pairs:
    """Sums over the pairs of pixels in each occupied bin by the distance between their cells, in rings one cell wide."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.number = np.bincount(pixels.index, minlength=pixels.shape[0] * pixels.shape[1])
        self.occupied = np.flatnonzero(self.number)
        self.row = self.occupied // pixels.shape[1]
        size = 2 * pixels.side
        lag = np.minimum(np.arange(size), size - np.arange(size))
        ring = np.floor(np.hypot(lag[:, None], lag) + 0.5).astype(np.int64).ravel()
        self._rings = np.zeros((size * size, ring.max() + 1))
        self._rings[np.arange(size * size), ring] = 1
        self._order = np.argsort(pixels.index, kind="stable")
        place = np.searchsorted(self.occupied, pixels.index[self._order])
        self._flat = (place * size + pixels.cell[0, self._order]) * size + pixels.cell[1, self._order]
        self._own: Floats | None = None

    def sums(self, weight: Floats | None = None) -> Floats:
        """Σ w w′ of each ring (occupied bins, rings); without `weight` the number of ordered pairs."""
        if weight is None:
            self._own = np.rint(self._sums(np.ones(len(self._flat)))) if self._own is None else self._own
            return self._own
        return self._sums(weight[self._order])

    def _sums(self, weight: Floats) -> Floats:
        from scipy.fft import irfft2, rfft2

        size = 2 * self.pixels.side
        step = max(1, BLOCK // size**2)
        result = np.empty((len(self.occupied), self._rings.shape[1]))
        for first in range(0, len(self.occupied), step):
            n = min(step, len(self.occupied) - first)
            start, stop = np.searchsorted(self._flat // size**2, (first, first + n))
            cells = np.bincount(self._flat[start:stop] - first * size**2, weight[start:stop], n * size**2)
            products = irfft2(np.abs(rfft2(cells.reshape(n, size, size))) ** 2, (size, size))
            result[first : first + n] = products.reshape(n, -1) @ self._rings
        return result


def cells(group: Ints, side: int, pixel: tuple[float, float]) -> NDArray[np.int64]:
    """(2, y, x) cell of each pixel: square cells, `side` along the longer side of the box around each group (−1: none)."""
    from scipy.ndimage import find_objects

    result = np.zeros((2, *group.shape), np.int64)
    for number, box in enumerate(find_objects(group + 1)):
        if box is None:
            continue
        extent = [(s.stop - s.start) * p for s, p in zip(box, pixel, strict=True)]
        width = max(max(extent) / side, *pixel) * (1 + 1e-9)
        y, x = ((np.arange(s.stop - s.start) + 0.5) * p // width for s, p in zip(box, pixel, strict=True))
        inside = group[box] == number
        result[0][box] = np.where(inside, y[:, None], result[0][box])
        result[1][box] = np.where(inside, x, result[1][box])
    return result
