"""Unimodal least squares, compiled: imported when an option asks for it, because numba takes time to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@njit(nogil=True, cache=True)
def _pool(y: Floats, w: Floats, floor: float, ends: NDArray[np.int64], levels: Floats, errors: Floats) -> None:
    """Rising least squares of every y[: i + 1] by pooling neighbours; levels below `floor` count as `floor`.

    Fills `errors` with the squared error of each prefix, `ends` and `levels` with the blocks of the whole: block b runs up to
    ends[b]; ends[b + 1] = −1 after the last.
    """
    n = len(y)
    weight, first, second, below = np.empty(n), np.empty(n), np.empty(n), np.empty(n + 1)
    below[0] = 0.0
    top = -1
    for i in range(n):
        top += 1
        weight[top], first[top], second[top], ends[top] = w[i], w[i] * y[i], w[i] * y[i] * y[i], i
        while top > 0 and first[top - 1] * weight[top] >= first[top] * weight[top - 1]:
            weight[top - 1] += weight[top]
            first[top - 1] += first[top]
            second[top - 1] += second[top]
            ends[top - 1] = i
            top -= 1
        level = max(first[top] / weight[top], floor)
        below[top + 1] = below[top] + second[top] - 2 * level * first[top] + level * level * weight[top]
        errors[i] = below[top + 1]
    for b in range(top + 1):
        levels[b] = max(first[b] / weight[b], floor)
    if top + 1 < n:
        ends[top + 1] = -1


@njit(nogil=True, cache=True)
def _spread(ends: NDArray[np.int64], levels: Floats, out: Floats) -> None:
    start, b = 0, 0
    while start < len(out):
        out[start : ends[b] + 1] = levels[b]
        start = ends[b] + 1
        b += 1


@njit(nogil=True, cache=True)
def unimodal(rows: Floats, weights: Floats, floor: float) -> Floats:
    """Each row of `rows` (N, T) by the nearest one that rises and then falls, none below `floor`; weights (N, T) above 0.

    Exact: the best place of the maximum is found from the errors of all rising prefixes and falling suffixes (Q. F. Stout,
    Comput. Stat. Data Anal. 53 (2008) 289, doi 10.1016/j.csda.2008.08.005).
    """
    n, t = rows.shape
    out = np.empty((n, t))
    ends, levels = np.empty(t, np.int64), np.empty(t)
    left, right = np.empty(t), np.empty(t)
    for i in range(n):
        y, w = rows[i], weights[i]
        _pool(y, w, floor, ends, levels, left)
        _pool(y[::-1].copy(), w[::-1].copy(), floor, ends, levels, right)
        best, split = right[t - 1], 0
        for m in range(1, t + 1):
            error = left[m - 1] + (right[t - m - 1] if m < t else 0.0)
            if error < best:
                best, split = error, m
        if split > 0:
            _pool(y[:split], w[:split], floor, ends, levels, left)
            _spread(ends, levels, out[i, :split])
        if split < t:
            falling = np.empty(t - split)
            _pool(y[split:][::-1].copy(), w[split:][::-1].copy(), floor, ends, levels, right)
            _spread(ends, levels, falling)
            out[i, split:] = falling[::-1]
    return out
