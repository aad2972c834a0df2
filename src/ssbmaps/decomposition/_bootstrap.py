"""Errors of a factorisation from refits to counts that are drawn from its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.decomposition._blocks import Block, compact
from ssbmaps.decomposition._census import Census
from ssbmaps.decomposition._factorise import best_rows
from ssbmaps.decomposition._match import matched
from ssbmaps.decomposition._solve import solve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


@dataclass(frozen=True, slots=True)
class Refit:
    """How refits are made: dtype, tolerance, iterations, spectra that stay, and the step of penalised ones."""

    dtype: Any
    tol: float
    max_iter: int
    n_fixed: int = 0
    target: Callable[[Floats, Floats], Floats] | None = None


def bootstrap(
    blocks: Any, w: NDArray[Any], h: Floats, n: int, *, rng: np.random.Generator, how: Refit
) -> tuple[Moments, Moments]:
    """Of abundances (P, C) and spectra (C, K): refits of drawn counts, components matched, against what they were drawn from.

    A fit makes spectra purer than they are, and purer spectra are distorted less: the bias of refits of the fit falls short of
    the fit's own. So a third of the `n` tells how the fit distorts, as a mixture of components; the others are drawn from the
    spectra before that distortion (Hall and Martin, Biometrika 75 (1988) 661, doi:10.1093/biomet/75.4.661).
    """
    first = _refits(blocks, w, h, max(2, n // 3), rng, how)
    before = np.maximum(np.linalg.solve(np.mean([_mixture(h, spectra) for _, spectra in first], axis=0), h), 0)
    before[: how.n_fixed] = h[: how.n_fixed]
    before /= np.maximum(before.sum(axis=1, keepdims=True), 1e-300)
    origin = best_rows(blocks, before, "kullback-leibler", how.dtype)
    moments = Moments(origin), Moments(before)
    for pair in _refits(blocks, origin, before, max(2, n - n // 3), rng, how):
        for moment, value in zip(moments, pair, strict=True):
            moment.add(value)
    return moments


def _mixture(h: Floats, found: Floats) -> Floats:
    """M (C, C) of the closest found = M h, channels weighted by their counts' variance."""
    weighted = h / np.maximum(h.mean(axis=0), 1e-9)
    return np.asarray(np.linalg.lstsq(weighted @ h.T, weighted @ found.T, rcond=None)[0]).T


def _refits(
    blocks: Any, w: NDArray[Any], h: Floats, n: int, rng: np.random.Generator, how: Refit
) -> Iterator[tuple[NDArray[Any], Floats]]:
    """Abundances and spectra of fits to `n` draws from the model w h, started from it."""
    start = (1 - LEVEL) * h + LEVEL / h.shape[1]
    start[: how.n_fixed] = h[: how.n_fixed]
    states = blocks.scatter(w)
    options: dict[str, Any] = {"tol": how.tol, "max_iter": how.max_iter, "n_fixed": how.n_fixed, "target": how.target}
    for _ in range(n):
        seeds = rng.integers(2**63, size=len(blocks.sizes)).tolist()
        drawn = blocks.like(blocks.visit(_draw, list(zip(states, seeds, strict=True)), h)[1])
        fit = solve(drawn, Census.of(drawn), None, start, dtype=how.dtype, **options)
        order = np.concatenate([np.arange(how.n_fixed), how.n_fixed + matched(h[how.n_fixed :], fit.h[how.n_fixed :])[0]])
        order = order.astype(np.int64)
        yield best_rows(drawn, fit.h, "kullback-leibler", how.dtype, fit.states)[:, order], fit.h[order]


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
