"""Errors of abundances and spectra from the Fisher information, each given the other factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.decomposition._blocks import Block

    Floats = NDArray[np.float64]


def fisher_errors(blocks: Any, w: NDArray[Any], h: Floats) -> tuple[NDArray[Any], Floats]:
    """Standard deviations of abundances (P, C) and of spectra (C, K) of sum 1."""
    from ssbmaps.decomposition._error_kernels import column_errors

    spectra = np.ascontiguousarray(h.T)
    states = blocks.scatter(w)
    (information, pull), errors = blocks.visit(_visit, states, spectra)
    totals = w.sum(axis=0, dtype=np.float64)
    result = np.empty_like(spectra)
    column_errors(information, totals - pull, result)
    empty = (pull == 0).all(axis=1)
    result[empty] = 1 / np.maximum(totals, 1.0)  # nothing was counted there: one count
    return blocks.gather(errors), result.T


def _visit(block: Block, w: NDArray[Any], h: Floats) -> tuple[tuple[Floats, Floats], NDArray[Any]]:
    from ssbmaps.decomposition._error_kernels import column_information, row_errors

    k = h.shape[1]
    result, information, pull = np.empty_like(w), np.zeros((len(h), k, k)), np.zeros((len(h), k))
    row_errors(block.values, block.columns, block.starts, *block.masked, w, h, result)
    column_information(block.values, block.columns, block.starts, w, h, information, pull)
    return (information, pull), result
