"""Largest singular triplets of scaled counts by the cheapest exact road, and what counting noise alone would reach."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._threads import threads
from ssbmaps.decomposition._blocks import Block, Blocks, join, read
from ssbmaps.decomposition._krylov import BLOCK, Eigenpairs, largest_eigenpairs, relative

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    State = tuple[Floats, int]

ROUTES = ("auto", "gram", "krylov")
MAX_PRODUCTS = 300
PASSES = 20  # products that an iteration takes, about
PRODUCT, GRAM = 2.7, 1.0  # time of a stored value in one product, and of one pair of values, relative
DENSE = 128  # an eigenproblem up to this side is solved at once, a larger one by iteration
BANDS = 4  # of columns of a Gram matrix per thread; sums do not depend on it
NOISE_TOL = 0.01  # residual of the noise level, relative
HEAD_START = 8  # steps of a power iteration on the diagonal of the noise, which cost nothing


@dataclass(frozen=True, slots=True)
class Scaled:
    """Blocks of a matrix A and the scaling of ``D = diag(left) A diag(right)``.

    `states` hold, by block and where the block is, left² of its rows and the number of its first row. `stored` counts values
    by column, `noise` is what counting noise adds to the diagonal of DᵀD, `filled` are rows and columns that hold any value;
    `work` is that of the Gram matrix of columns, of that of rows, and of one product.
    """

    blocks: Any
    states: list[Any]
    right: Floats
    column_sums: Floats
    stored: Floats
    noise: Floats
    sum_of_squares: float
    counts: bool
    filled: tuple[int, int]
    work: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.blocks.shape
        return int(rows), int(columns)

    @property
    def left(self) -> Floats:
        """One number per row."""
        return np.asarray(np.sqrt(np.concatenate([weights for weights, _ in self.blocks.collect(self.states)])))


@dataclass(frozen=True, slots=True)
class Decomposed:
    """Squared singular values, descending; right vectors (K, n); bounds of their relative errors; road taken; passes."""

    values: Floats
    vectors: Floats
    bounds: Floats
    route: str
    n_passes: int
    converged: bool


def scale(blocks: Any, *, poisson: bool) -> Scaled:
    """Row and column scaling of the blocks: one over the square root of their sums (0 for empty ones), or ones."""
    offsets = blocks.place(np.cumsum([0, *blocks.sizes])[:-1].tolist())
    (by_column, n_filled, n_negative, n_broken, pairs), states = blocks.visit(_sums, offsets, poisson)
    columns, stored, squares, noise = by_column
    right = np.ones(len(columns))
    if poisson:
        right = np.divide(1, np.sqrt(columns), out=np.zeros_like(columns), where=columns > 0)
    work = (GRAM * pairs, GRAM * float(np.sum(stored**2)) / 2, PRODUCT * float(stored.sum()))
    filled = (int(n_filled), int(np.count_nonzero(stored)))
    counts = not n_negative and not n_broken
    return Scaled(blocks, states, right, columns, stored, noise * right**2, float(squares @ right**2), counts, filled, work)


def truncated_svd(data: Scaled, n: int, *, route: str, tol: float, seed: int) -> Decomposed:
    """The `n` largest singular values, squared, and right vectors of scaled data.

    "gram": through the sums over rows of products of two channels (or over channels of two rows, where these are fewer), in 64
    bits; "krylov": by block Lanczos iteration, one pass over the data for eight vectors; "auto": what takes fewer operations.
    """
    rows, columns = data.shape
    by_rows = rows < columns and data.work[1] < data.work[0] and isinstance(data.blocks, Blocks)
    side = min(rows, columns) if by_rows else columns
    solving = side**3 if side <= DENSE else PASSES * side**2
    direct = side <= DENSE or side**2 <= 1 << 27  # 1 GiB of float64
    if route == "gram" or (route == "auto" and direct and data.work[1 if by_rows else 0] + solving <= PASSES * data.work[2]):
        return _by_rows(data, n, tol, seed) if by_rows else _by_columns(data, n, tol, seed)
    start = _known(data)
    found = largest_eigenpairs(lambda x: _normal(data, x), columns, n, tol=tol, max_products=MAX_PRODUCTS, seed=seed, start=start)
    return Decomposed(found.values, found.vectors, found.bounds, "krylov", found.n_products, found.converged)


def noise_level(data: Scaled, *, seed: int) -> float:
    """Largest squared singular value that the counting noise of the data reaches alone; NaN if they are no counts.

    That of a matrix of independent values ±√count with random signs, scaled like the data: its values have mean 0 and the
    variance of the counts, wherever these came from. (Signs alone, without the root, would count the signal as noise.) It
    scatters with the signs as the largest value scatters with the counts, by a per cent or two, less in large data.
    """
    if not data.counts:
        return float("nan")
    columns = data.shape[1]

    def operator(x: Floats) -> Floats:
        (result,), _ = data.blocks.visit(_noise, data.states, np.asarray(data.right[:, None] * x, np.float32), seed)
        return np.asarray(data.right[:, None] * result)

    start = np.random.default_rng(seed).standard_normal((columns, BLOCK))
    start *= ((data.noise / data.noise.max()) ** HEAD_START)[:, None]
    found = largest_eigenpairs(operator, columns, 1, tol=NOISE_TOL, max_products=MAX_PRODUCTS, seed=seed, start=start)
    return float(found.values[0])


def times(blocks: Any, matrix: Floats) -> Floats:
    """``A @ matrix`` for `matrix` (K, n), eight columns at a pass."""
    result = []
    for first in range(0, matrix.shape[1], BLOCK):
        part = matrix[:, first : first + BLOCK]
        padded = np.zeros((len(part), BLOCK))
        padded[:, : part.shape[1]] = part
        _, rows = blocks.visit(_product, None, padded)
        result.append(blocks.gather(rows)[:, : part.shape[1]])
    return np.hstack(result)


def _known(data: Scaled) -> Floats:
    """The first right vector of Poisson-scaled counts, which is known; no column without that scaling."""
    root = np.where(data.right > 0, 1 / np.where(data.right > 0, data.right, 1), 0)[:, None]
    poisson = np.any(data.right != 1)
    return root if poisson else np.empty((len(root), 0))


def _by_columns(data: Scaled, n: int, tol: float, seed: int) -> Decomposed:
    gram = gram_matrix(data.blocks, data.states, data.stored)
    gram *= data.right
    gram *= data.right[:, None]
    found = _solve(gram, n, tol, seed, _known(data))
    return Decomposed(found.values, found.vectors, found.bounds, "gram", 1, found.converged)


def _by_rows(data: Scaled, n: int, tol: float, seed: int) -> Decomposed:
    """Through the Gram matrix of rows; the right vectors follow from the left ones, and are made orthonormal."""
    from scipy.sparse import csr_array

    whole = join([read(source) for source in data.blocks.sources])
    matrix = csr_array((whole.values, whole.columns.astype(np.int64), whole.starts), shape=data.shape)
    turned = Blocks.of(csr_array(matrix.T), whole.values.dtype)
    left = data.left
    states = [(weights, 0) for weights in turned.scatter(data.right**2)]
    gram = gram_matrix(turned, states, np.diff(whole.starts).astype(float)) * left * left[:, None]
    found = _solve(gram, n, tol, seed, np.empty((len(left), 0)))
    image = data.right[:, None] * times(turned, left[:, None] * found.vectors)
    orthogonal, triangle = np.linalg.qr(image)
    inner, values, _ = np.linalg.svd(triangle)
    return Decomposed(values**2, orthogonal @ inner, found.bounds, "gram", 1, found.converged)


def _solve(gram: Floats, n: int, tol: float, seed: int, start: Floats) -> Eigenpairs:
    """Largest eigenpairs of a symmetric matrix."""
    from scipy.linalg import eigh

    size = len(gram)
    if size > DENSE:
        return largest_eigenpairs(lambda x: gram @ x, size, n, tol=tol, max_products=MAX_PRODUCTS, seed=seed, start=start)
    values, vectors = eigh(gram, subset_by_index=(size - n, size - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    residual = np.linalg.norm(gram @ vectors - vectors * values, axis=0)
    return Eigenpairs(np.maximum(values, 0), vectors, relative(residual, values), 1, True)


def gram_matrix(blocks: Any, states: list[Any], stored: Floats) -> Floats:
    """``Aᵀ diag(weights) A``, dense; on this machine each band of columns by one thread, so that one sum serves all threads.

    `stored` is the number of stored values by column, from which follows what a band costs.
    """
    columns = blocks.shape[1]
    if not isinstance(blocks, Blocks):
        (total,), _ = blocks.visit(_gram, states)
        return _whole(total)
    total = np.zeros((columns, columns))
    reaches = _bands(stored)
    at_once = [list(zip(blocks.sources, states, strict=True))]
    if not all(isinstance(source, Block) for source in blocks.sources):
        at_once = [[pair] for pair in at_once[0]]  # from files: one block at a time
    with ThreadPoolExecutor(threads()) as pool:
        for group in at_once:
            held = [(read(source), weights) for source, (weights, _) in group]
            list(pool.map(_band, repeat(held), reaches, repeat(total)))
    return _whole(total)


def _whole(upper: Floats) -> Floats:
    """Symmetric matrix from its upper triangle, in place."""
    for row in range(1, len(upper)):
        upper[row, :row] = upper[:row, row]
    return upper


def _bands(stored: Floats) -> list[tuple[int, int]]:
    """Columns in a few bands per thread, of about the same work: an entry goes with all that follow it in its row."""
    share = stored * (stored.sum() - np.cumsum(stored) + stored)
    n = BANDS * threads()
    work = np.cumsum(share + 1e-9 * share.max(initial=0) + 1)
    edges = np.unique([0, *np.searchsorted(work, work[-1] * np.arange(1, n) / n), len(stored)])
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _band(held: list[tuple[Block, Floats]], band: tuple[int, int], out: Floats) -> None:
    from ssbmaps.decomposition._pca_kernels import gram_band

    for block, weights in held:
        gram_band(block.values, block.columns, block.starts, weights, *band, out)


def _gram(block: Block, state: State) -> tuple[tuple[Any, ...], State]:
    total = np.zeros((block.n_columns, block.n_columns))
    _band([(block, state[0])], (0, block.n_columns), total)
    return (total,), state


def _normal(data: Scaled, x: Floats) -> Floats:
    """``Dᵀ D x``."""
    (result,), _ = data.blocks.visit(_normal_product, data.states, data.right[:, None] * x)
    return np.asarray(data.right[:, None] * result)


def _sums(block: Block, first_row: int, poisson: bool) -> tuple[tuple[Any, ...], State]:
    from ssbmaps.decomposition._pca_kernels import sums

    weights, by_column = np.empty(block.n_rows), np.zeros((4, block.n_columns))
    n_negative, n_broken, pairs = sums(block.values, block.columns, block.starts, poisson, weights, by_column)
    n_filled = int(np.count_nonzero(np.diff(block.starts)))
    return (by_column, n_filled, n_negative, n_broken, pairs), (weights, first_row)


def _normal_product(block: Block, state: State, x: Floats) -> tuple[tuple[Any, ...], State]:
    from ssbmaps.decomposition._pca_kernels import normal_product

    total = np.zeros_like(x)
    normal_product(block.values, block.columns, block.starts, state[0], x, total)
    return (total,), state


def _noise(block: Block, state: State, x: Floats, seed: int) -> tuple[tuple[Any, ...], State]:
    from ssbmaps.decomposition._pca_kernels import noise_product

    total = np.zeros_like(x)
    noise_product(block.values, block.columns, block.starts, *state, seed, x, total)
    return (total,), state


def _product(block: Block, _: Any, x: Floats) -> tuple[tuple[Any, ...], Floats]:
    from ssbmaps.decomposition._pca_kernels import product

    result = np.zeros((block.n_rows, x.shape[1]))
    product(block.values, block.columns, block.starts, x, result)
    return (), result
