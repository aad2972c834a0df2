"""Fit of counts whose abundance maps carry a penalty: rows hang together, so both factors take one step at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.decomposition._solve import LEAST, ROUNDING, Fit, even_start, padded, visit_rows
from ssbmaps.decomposition._walk import FLOOR, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ssbmaps.decomposition._blocks import Block
    from ssbmaps.decomposition._census import Census
    from ssbmaps.decomposition._chunks import AnyBlocks
    from ssbmaps.decomposition._penalty import MapPenalty

    Floats = NDArray[np.float64]


def solve_maps(
    blocks: AnyBlocks,
    census: Census,
    states: Sequence[Any] | None,
    h: Floats,
    maps: MapPenalty,
    *,
    dtype: Any,
    tol: float,
    max_iter: int,
    n_fixed: int = 0,
    target: Callable[[Floats, Floats], Floats] = scaled,
    cost: Callable[[Floats], float] | None = None,
) -> Fit:
    """As `_solve.solve`, with the penalty `maps` on the rows; each step of expectation-maximisation cannot lose."""
    k, spectra = len(h), np.maximum(h.T, FLOOR)
    noise = ROUNDING[np.dtype(dtype).itemsize] * census.counts
    w = blocks.gather(states if states is not None else blocks.visit(_even, None, padded(spectra, dtype), k)[1])[:, :k]
    w = np.maximum(w.astype(np.float64), FLOOR)
    free = np.arange(k) >= n_fixed
    history: list[float] = []
    remaining, converged = np.inf, False
    while True:
        sums, drawn = blocks.visit(visit_rows, blocks.scatter(padded(w, dtype)), padded(spectra, dtype), k, 0.0, 0, 1, True)
        value = float(sums[0]) + census.constant + maps.cost(w) + (cost(spectra) if cost else 0.0)
        history.append(value)
        if len(history) > 2:
            last, previous = history[-2] - value, history[-3] - history[-2]
            shrinkage = float(np.clip(last / previous if previous > 0 else 0.0, 0.0, 0.999))
            remaining = max(last, 0.0) / (1 - shrinkage)
            converged = remaining <= max(tol * max(value, LEAST * census.counts), noise)
        if converged or len(history) > max_iter:
            break
        pulled = spectra * sums[3][:, :k]
        # rows and spectra move on from the same expectation: together they cannot lose
        w = np.maximum(maps.target(blocks.gather(drawn)[:, :k].astype(np.float64), w, _seen(blocks, spectra)), FLOOR)
        moved = target(pulled, spectra)
        spectra = np.where(free, np.maximum(moved, FLOOR) / np.maximum(moved, FLOOR).sum(axis=0), spectra)
    return Fit(spectra.T, blocks.scatter(padded(w, dtype)), history[-1], remaining, len(history) - 1, converged, history)


def _even(block: Block, _: Any, h: NDArray[Any], k: int) -> tuple[tuple[()], NDArray[Any]]:
    return (), even_start(block, h, k)


def _seen(blocks: AnyBlocks, spectra: Floats) -> Floats:
    """Σ of the spectra over each row's channels that are not masked, (P, k)."""
    return blocks.gather(blocks.visit(_unmasked, None, spectra)[1])


def _unmasked(block: Block, _: Any, spectra: Floats) -> tuple[tuple[()], Floats]:
    seen = np.repeat(spectra.sum(axis=0)[None], block.n_rows, axis=0)
    columns, starts = block.masked
    if len(columns):
        rows = np.repeat(np.arange(block.n_rows), np.diff(starts))
        np.subtract.at(seen, rows, spectra[columns])
    return (), seen
