"""Errors of a factorisation from refits to counts that are drawn from its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.decomposition._blocks import Block, compact
from ssbmaps.decomposition._census import Census
from ssbmaps.decomposition._factorise import best_rows
from ssbmaps.decomposition._match import matched
from ssbmaps.decomposition._solve import solve

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL = 1e-6  # share of the mean that a refit's start adds to every value, so that nothing starts at zero


class Moments:
    """Mean and variance of arrays that come one by one."""

    def __init__(self, origin: NDArray[Any]) -> None:
        self._origin, self._n = origin, 0
        self._sum, self._square = np.zeros(origin.shape), np.zeros(origin.shape)

    def add(self, values: NDArray[Any]) -> None:
        """One more."""
        off = values - self._origin
        self._n += 1
        self._sum += off
        self._square += off**2

    @property
    def bias(self) -> NDArray[Any]:
        """Mean less origin."""
        return self._sum / self._n

    @property
    def sd(self) -> NDArray[Any]:
        """Standard deviation."""
        return np.sqrt(np.maximum(self._square - self._sum**2 / self._n, 0) / (self._n - 1))


def bootstrap(
    blocks: Any,
    w: NDArray[Any],
    h: Floats,
    n: int,
    *,
    rng: np.random.Generator,
    dtype: Any,
    tol: float,
    max_iter: int,
    n_fixed: int = 0,
    target: Callable[[Floats, Floats], Floats] | None = None,
) -> tuple[Moments, Moments]:
    """Of abundances (P, C) and spectra (C, K): `n` refits that start from the fit, components matched to it."""
    abundance, spectra = Moments(w), Moments(h)
    start = (1 - LEVEL) * h + LEVEL / h.shape[1]
    start[:n_fixed] = h[:n_fixed]
    states = blocks.scatter(w)
    for _ in range(n):
        seeds = rng.integers(2**63, size=len(blocks.sizes)).tolist()
        drawn = blocks.like(blocks.visit(_draw, list(zip(states, seeds, strict=True)), h)[1])
        fit = solve(drawn, Census.of(drawn), None, start, dtype=dtype, tol=tol, max_iter=max_iter, n_fixed=n_fixed, target=target)
        order = np.concatenate([np.arange(n_fixed), n_fixed + matched(h[n_fixed:], fit.h[n_fixed:])[0]]).astype(np.int64)
        abundance.add(best_rows(drawn, fit.h, "kullback-leibler", dtype, fit.states)[:, order])
        spectra.add(fit.h[order])
    return abundance, spectra


def _draw(block: Block, state: tuple[NDArray[Any], int], h: Floats) -> tuple[tuple[()], Block]:
    """Poisson counts of the model W H in place of the block's own, none where it is masked."""
    from scipy.sparse import csr_array

    w, seed = state
    rng = np.random.default_rng(seed)
    shape = (block.n_rows, block.n_columns)
    rows, columns = [], []
    for z in range(len(h)):
        number = rng.poisson(np.maximum(w[:, z], 0).astype(np.float64))
        rows.append(np.repeat(np.arange(block.n_rows), number))
        edges = np.cumsum(h[z])
        columns.append(np.searchsorted(edges, rng.random(int(number.sum())) * edges[-1], side="right"))
    where = (np.concatenate(rows), np.minimum(np.concatenate(columns), block.n_columns - 1))
    counts = csr_array((np.ones(len(where[0]), np.float32), where), shape=shape)
    counts.sum_duplicates()
    if len(block.masked[0]):
        hidden = csr_array((np.ones(len(block.masked[0]), bool), block.masked[0].astype(np.int32), block.masked[1]), shape=shape)
        counts = counts - counts.multiply(hidden)
    drawn = compact(counts, block.values.dtype)
    return (), Block(drawn.values, drawn.columns, drawn.starts, drawn.n_columns, block.masked)
