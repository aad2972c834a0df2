"""Compiled kernels of the Fisher information of a Poisson factorisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

TINY = 1e-15


@njit(nogil=True, cache=True)
def row_errors(
    values: Floats,
    columns: Floats,
    starts: Floats,
    masked: Floats,
    masked_starts: Floats,
    w: Floats,
    h: Floats,
    result: Floats,
) -> None:
    """Standard deviation of each row of w given h (n_columns, k) into `result`.

    The information is Σ v / (wh)² h hᵀ; where an abundance lies at its bound, the slope of the likelihood, squared, is added: the
    spread of exp(−slope · w), one count where nothing was counted.
    """
    k = h.shape[1]
    whole = np.zeros(k)
    for j in range(len(h)):
        whole += h[j]
    for i in range(len(starts) - 1):
        information, slope = np.zeros((k, k)), whole.copy()
        if len(masked):
            for e in range(masked_starts[i], masked_starts[i + 1]):
                slope -= h[masked[e]]
        for e in range(starts[i], starts[i + 1]):
            y = h[columns[e]]
            model = TINY
            for z in range(k):
                model += w[i, z] * y[z]
            ratio = values[e] / model
            for z in range(k):
                slope[z] -= ratio * y[z]
                for q in range(z + 1):
                    information[z, q] += ratio / model * y[z] * y[q]
        spread(information, slope, result[i])


@njit(nogil=True, cache=True)
def column_information(
    values: Floats, columns: Floats, starts: Floats, w: Floats, h: Floats, information: Floats, pull: Floats
) -> None:
    """Add Σ v / (wh)² w wᵀ to `information` (n_columns, k, k), lower half, and Σ w v / wh to `pull` (n_columns, k)."""
    k = h.shape[1]
    for i in range(len(starts) - 1):
        x = w[i]
        for e in range(starts[i], starts[i + 1]):
            j = columns[e]
            model = TINY
            for z in range(k):
                model += x[z] * h[j, z]
            ratio = values[e] / model
            for z in range(k):
                pull[j, z] += ratio * x[z]
                for q in range(z + 1):
                    information[j, z, q] += ratio / model * x[z] * x[q]


@njit(nogil=True, cache=True)
def column_errors(information: Floats, slope: Floats, result: Floats) -> None:
    """Standard deviation of each column's values from its information (n, k, k) and slope (n, k)."""
    for j in range(len(information)):
        spread(information[j], slope[j], result[j])


@njit(nogil=True, cache=True)
def spread(information: Floats, slope: Floats, result: Floats) -> None:
    """Square roots of the diagonal of (information + diag(slope²))⁻¹; infinite where nothing is known."""
    k = len(slope)
    scale = np.zeros(k)
    for z in range(k):
        information[z, z] += slope[z] ** 2
        scale[z] = np.sqrt(information[z, z])
    root = np.zeros((k, k))
    for z in range(k):
        if scale[z] == 0:
            root[z, z] = 1.0
            continue
        for q in range(z + 1):
            part = information[z, q] / (scale[z] * scale[q]) if scale[q] > 0 else 0.0
            for p in range(q):
                part -= root[z, p] * root[q, p]
            root[z, q] = np.sqrt(max(part, 1e-10)) if q == z else part / root[q, q]
    inverse = np.zeros((k, k))
    for z in range(k):
        inverse[z, z] = 1.0 / root[z, z]
        for q in range(z):
            part = 0.0
            for p in range(q, z):
                part -= root[z, p] * inverse[p, q]
            inverse[z, q] = part / root[z, z]
    for z in range(k):
        square = 0.0
        for p in range(z, k):
            square += inverse[p, z] ** 2
        result[z] = np.sqrt(square) / scale[z] if scale[z] > 0 else np.inf
