"""Least-squares factorisation, for data with even noise: rows and spectra brought to their minimum in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.decomposition._solve import Fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.decomposition._blocks import Block
    from ssbmaps.decomposition._census import Census
    from ssbmaps.decomposition._chunks import AnyBlocks

    Floats = NDArray[np.float64]

ROUNDING = 1e-13  # of the sum of squares


def visit_rows(
    block: Block, w: NDArray[Any] | None, h: Floats, gram: Floats, tol: float, pulled: bool
) -> tuple[tuple[Any, ...], NDArray[Any]]:
    """One block's rows at their minimum: objective without ½ Σ v², pull on the spectra, wᵀw; and the rows."""
    from ssbmaps.decomposition._kernels import least_squares_rows

    k = h.shape[1]
    start = np.zeros((block.n_rows, k), block.values.dtype) if w is None else w
    result, pull = np.empty_like(start), np.zeros(h.shape if pulled else (0, k))
    objective = least_squares_rows(block.values, block.columns, block.starts, start, h, gram, k, tol, result, pull)
    wide = result.astype(np.float64)
    return (objective, pull, wide.T @ wide), result


def solve(
    blocks: AnyBlocks,
    census: Census,
    states: Sequence[Any] | None,
    h: Floats,
    *,
    tol: float,
    max_iter: int,
    n_fixed: int = 0,
) -> Fit:
    """Fit from spectra h (k, K); the first `n_fixed` stay. Ends when steps, as fast as they shrink, can gain no more."""
    from ssbmaps.decomposition._kernels import least_squares_columns

    history: list[float] = []
    k, spectra = len(h), np.ascontiguousarray(h.T)
    half, remaining, converged, reached = census.squares / 2, np.inf, False, spectra
    while len(history) < max_iter and not converged:
        reached = spectra
        gram, rows = spectra.T @ spectra, max(census.filled_rows, 1)
        row_tol = 1e-3 * tol * (history[-1] if history else half) / rows
        (objective, pull, weight), states = blocks.visit(visit_rows, states, spectra, gram, row_tol, True)
        history.append(half + float(objective))
        free = np.arange(k) >= n_fixed
        spectra = spectra.copy()
        part, cross = np.ascontiguousarray(spectra[:, free]), pull - spectra[:, ~free] @ weight[~free]
        before = _value(part, cross[:, free], weight[np.ix_(free, free)])
        own = np.ascontiguousarray(weight[np.ix_(free, free)])
        least_squares_columns(part, np.ascontiguousarray(cross[:, free]), own, part.shape[1], row_tol)
        gain = before - _value(part, cross[:, free], own)
        shrinkage = (history[-2] - history[-1]) / (history[-3] - history[-2]) if len(history) > 2 else 0.5
        remaining = gain / (1 - float(np.clip(np.nan_to_num(shrinkage), 0.0, 0.98)))
        converged = remaining <= max(tol * history[-1], ROUNDING * half)
        spectra[:, free] = part
        total = spectra.sum(axis=0)
        scale = np.where(free & (total > 0), total, 1.0)
        spectra = spectra / scale
        if not converged:
            states = blocks.visit(_scaled, states, scale)[1]
    return Fit(reached.T, list(states or []), history[-1] if history else half, remaining, len(history), converged, history)


def _value(h: Floats, pull: Floats, gram: Floats) -> float:
    return float(0.5 * np.sum((h.T @ h) * gram) - np.sum(h * pull))


def _scaled(_: Block, w: NDArray[Any], scale: Floats) -> tuple[tuple[()], NDArray[Any]]:
    return (), w * scale.astype(w.dtype)
