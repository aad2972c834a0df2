"""Statistics of counts: variance-stabilised values, independent parts, and whether a map varies more than counting explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

BLOCK = 8  # px; smallest side of the blocks
MIN_COUNTS = 5.0  # per block on average: below, chi-square is no fair copy of the index of dispersion


def anscombe(counts: ArrayLike) -> Floats:
    """2 √(x + 3/8): Poisson counts with a mean of some counts or more come out with a variance of 1.

    F. J. Anscombe, Biometrika 35 (1948) 246, doi 10.1093/biomet/35.3-4.246. At a mean of 1 the variance is 0.7, at 0.1 0.1.
    """
    return np.asarray(2.0 * np.sqrt(np.asarray(counts, np.float64) + 0.375))


def thinned(counts: csr_array, parts: int, rng: np.random.Generator) -> list[csr_array]:
    """Every count thrown into one of `parts` at random: independent Poisson parts that add up to `counts`.

    The stored values must be whole numbers of 0 or more; parts are float64 without stored zeros.
    """
    from scipy.sparse import csr_array

    left = counts.data.astype(np.int64)
    found = []
    for k in range(parts, 0, -1):
        own = rng.binomial(left, 1.0 / k) if k > 1 else left
        part = csr_array((own.astype(np.float64), counts.indices, counts.indptr), shape=counts.shape, copy=True)
        part.eliminate_zeros()
        found.append(part)
        left = left - own
    return found


@dataclass(frozen=True)
class BlockDispersion:
    """Variance of block sums over the one from counting, its 99.9 % quantile if counting is all, and the relative excess."""

    index: float
    limit: float
    excess: float
    block: int
    n_blocks: int


def block_dispersion(values: Floats, variance: Floats, measured: Bools) -> BlockDispersion | None:
    """Index of dispersion of sums over square blocks of a (row, column) map; None if fewer than four blocks are whole.

    Σ (S − mean S)² / ((n − 1) mean V), with S and V the sums of values and variances, is χ² over its degrees of freedom for
    a uniform map. Blocks start at 8 px and double until they hold 5 counts on average; only fully measured ones count.
    """
    from scipy.stats import chi2

    block = BLOCK
    while True:
        whole = _sums(measured.astype(np.float64), block) == block**2
        if whole.sum() < 4:
            return None
        total, noise = (_sums(np.where(measured, v, 0.0), block)[whole] for v in (values, variance))
        if noise.mean() >= MIN_COUNTS:
            break
        block *= 2
    freedom = len(total) - 1
    spread = float(total.var(ddof=1))
    excess = np.sqrt(max(spread - noise.mean(), 0.0)) / total.mean()
    limit = float(chi2.isf(1e-3, freedom)) / freedom
    return BlockDispersion(spread / float(noise.mean()), limit, float(excess), block, len(total))


def _sums(values: Floats, block: int) -> Floats:
    ny, nx = (n // block for n in values.shape)
    return np.asarray(values[: ny * block, : nx * block].reshape(ny, block, nx, block).sum(axis=(1, 3)))
