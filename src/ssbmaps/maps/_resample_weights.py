"""Which share of each pixel of a grid each pixel of a moved map covers, and what follows for counts, intensities and names.

Arrays only: maps are flat, one value per pixel. Everything is a product with one sparse matrix, so that many channels are cheap.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._threads import threads

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_SNAP = 1e-9  # pixels; corners that lie closer to a line of the grid are on it
_BLOCK = 1 << 15  # quadrilaterals in one piece of work
TOLERANCE = 1e-6  # of a pixel's area, when it is asked whether all of it is covered


def overlaps(y: Floats, x: Floats, shape: tuple[int, int]) -> tuple[csr_array, Floats]:
    """(grid pixels, moved pixels) areas in common, and the moved pixels' own areas (1 for those beside), in pixels of the grid.

    `y`, `x` (rows + 1, columns + 1) are the moved pixels' corners in pixels of the grid of `shape`.
    """
    from scipy.sparse import csc_array

    from ssbmaps.maps._resample_kernels import count, share

    y, x = (np.ascontiguousarray(np.where(np.abs(c - np.rint(c)) < _SNAP, np.rint(c), c)) for c in (y, x))
    rows, columns = y.shape[0] - 1, y.shape[1] - 1
    cuts = list(range(0, rows, max(_BLOCK // columns, 1)))
    pieces = list(zip(cuts, [*cuts[1:], rows], strict=True))
    number = np.empty(rows * columns, np.int64)
    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(lambda p: count(y, x, shape[0], shape[1], p[0], p[1], number), pieces))
        first = np.concatenate([[0], np.cumsum(number)])
        pixel, area, whole = np.empty(first[-1], np.int32), np.empty(first[-1]), np.empty(rows * columns)
        list(pool.map(lambda p: share(y, x, shape[0], shape[1], p[0], p[1], first, pixel, area, whole), pieces))
    pointers = first.astype(np.int32) if first[-1] < 2**31 else first
    matrix = csc_array((area, pixel, pointers), shape=(shape[0] * shape[1], rows * columns))
    matrix.eliminate_zeros()
    return matrix.tocsr(), np.where(whole > 0, whole, 1.0)


def _squared(matrix: csr_array) -> csr_array:
    from scipy.sparse import csr_array

    return csr_array((matrix.data**2, matrix.indices, matrix.indptr), shape=matrix.shape)


def between_centres(row: Floats, column: Floats, shape: tuple[int, int]) -> csr_array:
    """(positions, pixels) weights of linear interpolation between the centres of a (rows, columns) map, level beyond them.

    `row`, `column` are positions in pixels, 0 at the first centre; NaN, and what lies a pixel beyond the edges, gets no weight.
    """
    from scipy.sparse import csr_array

    row, column = row.ravel(), column.ravel()
    with np.errstate(invalid="ignore"):
        inside = (np.abs(row - (shape[0] - 1) / 2) < shape[0] / 2 + 1) & (np.abs(column - (shape[1] - 1) / 2) < shape[1] / 2 + 1)
    where = np.flatnonzero(inside)
    index, weight = np.empty((len(where), 4), np.int64), np.empty((len(where), 4))
    j, fj = _interval(row[where], shape[0])
    i, fi = _interval(column[where], shape[1])
    for k, (dj, di) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        index[:, k] = np.minimum(j + dj, shape[0] - 1) * shape[1] + np.minimum(i + di, shape[1] - 1)
        weight[:, k] = (fj if dj else 1 - fj) * (fi if di else 1 - fi)
    pointers = np.concatenate([[0], 4 * np.cumsum(inside)])
    matrix = csr_array((weight.ravel(), index.ravel(), pointers), shape=(len(row), shape[0] * shape[1]))
    matrix.sum_duplicates()
    return matrix


def _interval(position: Floats, n: int) -> tuple[NDArray[np.int64], Floats]:
    clipped = np.clip(position, 0, n - 1)
    low = np.minimum(np.floor(clipped), max(n - 2, 0)).astype(np.int64)
    return low, clipped - low


@dataclass(frozen=True)
class Weights:
    """Areas in common (grid pixels, moved pixels), the moved pixels' areas, which were measured, the share asked for.

    `linear` holds the weights for intensities where these are interpolated; else they are averaged by area.
    """

    area: csr_array
    size: Floats
    measured: Bools
    least: float
    linear: csr_array | None

    @cached_property
    def coverage(self) -> Floats:
        """Share of each grid pixel that measured pixels cover."""
        return self._share(self.measured)

    def _share(self, known: Bools) -> Floats:
        return np.asarray(self.area @ known.astype(np.float64))

    @cached_property
    def enough(self) -> Bools:
        """Grid pixels that are covered as far as is asked for."""
        return self._enough(self.coverage)

    def _enough(self, coverage: Floats) -> Bools:
        return np.asarray((coverage > 0) & (coverage >= self.least - TOLERANCE))

    @property
    def _intensity(self) -> csr_array:
        return self.area if self.linear is None else self.linear

    @cached_property
    def variance_factor(self) -> Floats:
        """Variance over counts, of grid pixels in an even map of Poisson counts: Σ s² / Σ s, s the shares of moved pixels."""
        squared = _squared(self.area)
        own = self.measured / self.size
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.enough, (squared @ (own / self.size)) / (self.area @ own), np.nan)

    def counts(self, values: Any) -> Floats:
        """Counts shared out by area; on the rim what fell on it, so that the total is kept; NaN where nothing could fall."""
        own, known, _ = self._known(values)
        return np.where(self._reached(known), self.area @ np.where(known, own / self.size, 0.0), np.nan)

    def counts_sd(self, values: Any) -> Floats:
        """Standard deviation of counts shared out, of independent pixels."""
        own, known, _ = self._known(values)
        squared = _squared(self.area) @ np.where(known, (own / self.size) ** 2, 0.0)
        return np.where(self._reached(known), np.sqrt(squared), np.nan)

    def _reached(self, known: Bools) -> Bools:
        """Grid pixels that some measured pixel covers, and none whose own value is missing unless enough is left."""
        share = self.coverage if known is self.measured else self._share(known)
        return np.asarray((share > 0) & ((share >= self.coverage - TOLERANCE) | self._enough(share)))

    def mean(self, values: Any) -> Floats:
        """Intensity by area or interpolated; NaN where too little is covered."""
        own, known, enough = self._known(values)
        return self._mean(self._intensity @ np.where(known, own, 0.0), known, enough)

    def mean_sd(self, values: Any) -> Floats:
        """Standard deviation of a mean or interpolated intensity, of independent pixels."""
        own, known, enough = self._known(values)
        squared = _squared(self._intensity) @ np.where(known, own**2, 0.0)
        return self._mean(np.sqrt(squared), known, enough)

    def _mean(self, sums: Floats, known: Bools, enough: Bools) -> Floats:
        weight = self._intensity @ known.astype(np.float64)
        return np.where(enough & (weight > 0), sums / np.where(weight > 0, weight, 1.0), np.nan)

    def _known(self, values: Any) -> tuple[Floats, Bools, Bools]:
        own = np.asarray(values, np.float64)
        finite = np.isfinite(own)
        if finite[self.measured].all():
            return own, self.measured, self.enough
        known = self.measured & finite
        return own, known, self._enough(self._share(known))

    def names(self, values: Any) -> NDArray[Any]:
        """The label that holds most of each grid pixel's measured area, the lower one of two that hold the same; else 0."""
        from scipy.sparse import csr_array

        own = np.asarray(values)
        labels, place = np.unique(own[self.measured], return_inverse=True)
        hot = csr_array((np.ones(len(place)), (np.flatnonzero(self.measured), place)), shape=(len(own), len(labels)))
        held = csr_array(self.area @ hot)
        held.sort_indices()
        result = np.zeros(self.area.shape[0], own.dtype)
        some = np.flatnonzero(np.diff(held.indptr))
        starts = held.indptr[some]
        most = np.maximum.reduceat(held.data, starts) if len(some) else np.empty(0)
        first = held.data >= np.repeat(most * (1 - _SNAP), np.diff(held.indptr)[some])
        candidates = np.where(first, held.indices, len(labels))
        result[some] = labels[np.minimum.reduceat(candidates, starts)] if len(some) else 0
        return np.where(self.enough, result, np.zeros(1, own.dtype))

    def sparse(self, values: csr_array, *, counts: bool) -> csr_array:
        """Counts or intensities (moved pixels, channels) in sparse form; intensities only where enough is covered."""
        from scipy.sparse import csr_array, diags_array

        if counts:
            matrix = self.area @ diags_array(self.measured / self.size)
        else:
            left = self.enough.astype(np.float64)
            weight = self._intensity @ self.measured.astype(np.float64)
            left = np.where(weight > 0, left / np.where(weight > 0, weight, 1.0), 0.0)
            matrix = diags_array(left) @ self._intensity @ diags_array(self.measured.astype(np.float64))
        result = csr_array(csr_array(matrix) @ values.astype(np.float64))
        result.eliminate_zeros()
        result.sort_indices()
        return result
