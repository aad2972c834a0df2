"""Maximum-likelihood factorisation of counts: rows at their maximum, spectra by steps that never lose likelihood.

Each iteration brings every row of W to its maximum given H (a convex problem of k numbers, solved within the processor's
cache), then moves H by the multiplicative step of Lee and Seung, lengthened by momentum (`_walk`). The fit ends when what the
likelihood can still gain is small, as its equations (Karush-Kuhn-Tucker) tell: the rows by their duality gap, the spectra by the
gain of a step and the rate at which steps shrink.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.decomposition._walk import FLOOR, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ssbmaps.decomposition._blocks import Block
    from ssbmaps.decomposition._census import Census
    from ssbmaps.decomposition._chunks import AnyBlocks

    Floats = NDArray[np.float64]

FIRST_GAP = 1.0  # nats per row of 100 counts in the first iterations; later they follow the progress
STEPS = 60  # in one row of one iteration, at most
ROUNDING = {4: 1e-7, 8: 1e-14}  # of an objective, per count, by bytes of a value
REACHABLE = {4: 5e-6, 8: 1e-12}  # gap per count that rounding lets a fit prove
LEAST = 1e-3  # nats per count: the objective to which `tol` refers is at least this


@dataclass(frozen=True, slots=True)
class Fit:
    """Spectra h (k, K) with rows of sum 1, the rows' states by block, and how the fit ended."""

    h: Floats
    states: list[Any]
    objective: float
    remaining: float
    n_iter: int
    converged: bool
    history: list[float] = field(default_factory=list)


def lanes(k: int) -> tuple[int, ...]:
    """As many numbers as a kernel's vector has lanes: the next power of two from eight."""
    return (0,) * max(8, 1 << (k - 1).bit_length())


def padded(rows: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """(n, k) factors, with zeros up to the number of lanes."""
    result = np.zeros((rows.shape[0], len(lanes(rows.shape[1]))), dtype)
    result[:, : rows.shape[1]] = rows
    return result


def visit_rows(
    block: Block, w: NDArray[Any] | None, h: NDArray[Any], k: int, tol: float, most: int, warm: int, pulled: bool
) -> tuple[tuple[Any, ...], NDArray[Any]]:
    """One block's rows at their maximum: objective without its constant, gaps, steps, pull on the spectra; and the rows."""
    from ssbmaps.decomposition._kernels import best_rows

    start = w if w is not None else even_start(block, h, k)
    result = np.empty_like(start)
    pull = np.zeros(h.shape if pulled else (0, h.shape[1]), h.dtype)
    masked, masked_starts = block.masked
    objective, gaps, steps = best_rows(
        block.values, block.columns, block.starts, masked, masked_starts, start, h, lanes(k), k, tol, most, warm, result, pull
    )
    return (objective, gaps, steps, pull.astype(np.float64)), result


def even_start(block: Block, h: NDArray[Any], k: int) -> NDArray[Any]:
    """Every row's counts spread evenly over the components."""
    total = h[:, :k].sum(axis=0, dtype=np.float64)
    share = np.where(total > 0, 1 / np.where(total > 0, total, 1), 0.0) / k
    return padded(block.row_sums()[:, None] * share, h.dtype)


def solve(
    blocks: AnyBlocks,
    census: Census,
    states: Sequence[Any] | None,
    h: Floats,
    *,
    dtype: Any,
    tol: float,
    max_iter: int,
    enough: float = 0.0,
    n_fixed: int = 0,
    target: Callable[[Floats, Floats], Floats] | None = None,
    cost: Callable[[Floats], float] | None = None,
) -> Fit:
    """Fit from spectra h (k, K) with rows of sum 1 and, if there are any, states of the blocks' rows.

    `tol` refers to the objective; `enough` is what may remain in nats, if that is more. `target` and `cost` are the step and
    the price of penalised spectra (K, k).
    """
    k = len(h)
    noise = ROUNDING[np.dtype(dtype).itemsize] * census.counts
    walk = Walk(np.maximum(h.T, FLOOR), noise=noise, n_fixed=n_fixed, target=target)
    rows = max(census.filled_rows, 1)
    loosest = FIRST_GAP * max(1.0, census.counts / rows / 100)
    row_gap, warm, n_iter, remaining, objective = loosest, 2, 0, np.inf, np.inf
    converged, reached = False, walk.h
    while n_iter < max_iter and not converged:
        n_iter += 1
        used = walk.h
        sums, new = blocks.visit(visit_rows, states, padded(used, dtype), k, row_gap, STEPS, warm, True)
        value = float(sums[0]) + census.constant + (cost(used) if cost else 0.0)
        if not walk.accept(value):
            continue
        states, warm, objective, reached = new, 0, value, used
        remaining = walk.step(sums[3][:, :k]) + float(sums[1])
        allowed = max(enough, tol * max(objective, LEAST * census.counts), REACHABLE[np.dtype(dtype).itemsize] * census.counts)
        converged = remaining <= allowed
        row_gap = float(np.clip(0.5 * walk.progress, 0.1 * allowed, loosest * rows)) / rows
    return Fit(reached.T, list(states or []), objective, remaining, n_iter, converged, walk.history)
