"""Singular values of counts against the edge that noise alone would reach: Poisson-scaled, and after Anscombe's transform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._counts import anscombe

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Floats = NDArray[np.float64]

TRACY_WIDOM = 2.0234  # 99 % quantile of the largest eigenvalue's distribution for real data (beta = 1)
ROUNDS = 500
MIXED = 1e-3
EVEN = 1e-4  # largest relative departure of the scaled sums from their target
SMALL = 400  # a matrix with a side up to this goes through its Gram matrix
ROWS = 4096  # made dense at a time
LEAST_MEAN = 1.0  # counts per pixel in every channel, below which Anscombe's variance is no longer about 1


@dataclass(frozen=True, slots=True)
class Edge:
    """The largest singular values and the value from which one is worth keeping, in units of the noise edge; validity."""

    ratio: Floats
    threshold: float
    valid: bool

    @property
    def detected(self) -> int:
        """How many exceed the edge."""
        return int(np.sum(self.ratio > 1))

    @property
    def count(self) -> int:
        """How many are worth keeping."""
        return int(np.sum(self.ratio > self.threshold))


def edge(rows: int, columns: int) -> float:
    """99 % quantile of the largest singular value of independent noise of variance 1: Marchenko–Pastur and Tracy–Widom."""
    a, b = np.sqrt(rows), np.sqrt(columns)
    return float(np.sqrt((a + b) ** 2 + TRACY_WIDOM * (a + b) * (1 / a + 1 / b) ** (1 / 3)))


def worth_keeping(rows: int, columns: int) -> float:
    """Singular value from which a component is nearer to the truth when kept than when left out, in noise of variance 1.

    M. Gavish, D. L. Donoho, IEEE Trans. Inf. Theory 60 (2014) 5040, doi 10.1109/TIT.2014.2323359. Between the edge and this
    value a component is there, but its map is more noise than signal.
    """
    b = min(rows, columns) / max(rows, columns)
    return float(np.sqrt(max(rows, columns) * (2 * (b + 1) + 8 * b / (b + 1 + np.sqrt(b * b + 14 * b + 1)))))


def poisson_edge(values: csr_array, n: int) -> Edge:
    """Counts scaled by rows and columns until the noise has mean variance 1 in each, which keeps their rank.

    For Poisson counts the values themselves estimate the variance, so that scaled counts whose rows and columns have mean 1 are
    wanted (B. Landa, T. Zhang, Y. Kluger, SIAM J. Math. Data Sci. 4 (2022) 1420, doi 10.1137/21M1456807). The scales come from
    the same counts: that blurs squared singular values by about the mean of 1/counts of a row, which must be less than the
    width of the noise's spectrum.
    """
    from scipy.sparse import diags_array

    p, k = values.shape
    u, v = balanced(values)
    scaled = (diags_array(np.sqrt(u)) @ values @ diags_array(np.sqrt(v))).tocsr()
    ratio, threshold = singular_values(scaled, n) / edge(p, k), worth_keeping(p, k) / edge(p, k)
    blur = float(np.mean(1 / np.asarray(values.sum(axis=1)).ravel()))
    width = 4 * np.sqrt(p * k) / max(p, k)  # of the noise's squared singular values, the larger side set to 1
    return Edge(ratio, threshold, bool(blur < width))


def balanced(values: csr_array) -> tuple[Floats, Floats]:
    """Scales u, v for which every row of u V v adds up to the number of columns, and every column to that of rows (Sinkhorn).

    Sparse counts may not allow it: V is mixed with a thousandth of the product of its row and column totals, which does.
    """
    p, k = values.shape
    rows, columns = (np.asarray(values.sum(axis=axis)).ravel() for axis in (1, 0))
    even = MIXED * rows / rows.sum()
    transposed = values.T.tocsr()
    v = np.full(k, p * k / rows.sum())
    for _ in range(ROUNDS):
        u = k / ((1 - MIXED) * (values @ v) + even * (columns @ v))
        sums = v * ((1 - MIXED) * (transposed @ u) + columns * (even @ u))
        v = v * p / sums
        if np.max(np.abs(sums / p - 1)) < EVEN:
            break
    return u, v


def anscombe_edge(values: csr_array, n: int) -> Edge:
    """Counts after Anscombe's transform, through the Gram matrix of their channels."""
    p, k = values.shape
    gram = np.zeros((k, k))
    for start in range(0, p, ROWS):
        part = anscombe(values[start : start + ROWS].toarray())
        gram += part.T @ part
    lowest = float(np.asarray(values.sum(axis=0)).min()) / p
    return Edge(_roots(gram, n) / edge(p, k), worth_keeping(p, k) / edge(p, k), lowest >= LEAST_MEAN)


def singular_values(values: csr_array, n: int) -> Floats:
    """The n largest, descending; NaN where there are fewer."""
    from scipy.sparse.linalg import svds

    small = min(values.shape)
    if small <= max(SMALL, 3 * n):
        tall = values.shape[0] >= values.shape[1]
        return _roots((values.T @ values if tall else values @ values.T).toarray(), n)
    start = np.random.default_rng(0).standard_normal(small)
    found = svds(values, k=n, v0=start, tol=1e-5, return_singular_vectors=False)
    return np.asarray(np.sort(found)[::-1])


def _roots(gram: Floats, n: int) -> Floats:
    from scipy.linalg import eigvalsh

    out = np.full(n, np.nan)
    squares = eigvalsh(gram)[::-1][:n]
    out[: len(squares)] = np.sqrt(np.maximum(squares, 0.0))
    return out
