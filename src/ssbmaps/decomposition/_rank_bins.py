"""Counts at coarser pixels and channels: sums over blocks of pixels, and over neighbouring channels that hold few counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._conventions import RASTER_DIMS

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from ssbmaps.decomposition._matrix import PixelMatrix

LEAST_SIDE = 8  # blocks along the shorter side of a raster, and the least number of blocks is its square
MOST_MERGED = 1000  # channels left by merging: their Gram matrix is dense


def ladder(matrix: PixelMatrix) -> list[int]:
    """Bin widths 1, 2, 4, 8 px as long as the shorter side keeps 8 bins; 1 alone without a raster."""
    if not set(RASTER_DIMS) <= set(matrix.pixel_dims):
        return [1]
    side = min(matrix.cube.sizes[d] for d in RASTER_DIMS)
    return [b for b in (1, 2, 4, 8) if b == 1 or side // b >= LEAST_SIDE]


def binned(matrix: PixelMatrix, width: int) -> csr_array:
    """Counts (blocks, channels) summed over width × width pixels, without empty rows and channels; edge blocks may be smaller."""
    from scipy.sparse import csr_array

    values = matrix.values
    if width > 1:
        sizes = [matrix.cube.sizes[d] for d in matrix.pixel_dims]
        places = list(np.unravel_index(matrix.rows, sizes))
        for d in RASTER_DIMS:
            places[matrix.pixel_dims.index(d)] //= width
        block = np.unique(np.ravel_multi_index(places, sizes), return_inverse=True)[1]
        values = csr_array(group_matrix(block).T @ values)
    rows = np.flatnonzero(np.diff(values.indptr))
    columns = np.unique(values.indices)
    return csr_array(values[rows][:, columns])


def group_matrix(group: NDArray[np.int64]) -> csr_array:
    """(n, groups) matrix with a 1 where a thing belongs to a group: products with it add up."""
    from scipy.sparse import csr_array

    n = len(group)
    return csr_array((np.ones(n), group, np.arange(n + 1)), shape=(n, int(group.max()) + 1))


def merged(values: csr_array, least: float) -> csr_array:
    """Neighbouring channels added up until each holds `least` counts per pixel on average, the last one perhaps less."""
    totals = np.asarray(values.sum(axis=0)).ravel()
    quota = max(least * values.shape[0], totals.sum() / MOST_MERGED)
    group, held, current = np.empty(len(totals), np.int64), 0.0, 0
    for k, total in enumerate(totals):
        if held >= quota:
            current, held = current + 1, 0.0
        group[k] = current
        held += total
    if held < quota and current:
        group[group == current] = current - 1
    return (values @ group_matrix(group)).tocsr()
