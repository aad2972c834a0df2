"""Joint histograms of two images under an affine map, with their derivatives; compiled, imported when used.

The fixed image's value falls linearly on two of K nodes, the sampled one's by a cubic B-spline on four of L nodes, so that the
histogram is smooth in the map's parameters. `node` and `share` hold the fixed image at `jitter` (rows, columns, 2) pixels from
the pixels' centres (its lower node, −1 where it was not measured, and the part that falls on the next): linear interpolation of
the sampled image smooths differently at each part of a pixel, and where all pixels of two like rasters fall on the same part,
the information has a false maximum. `m` (2, 3) takes (row, column, 1) of the fixed image to (row, column) of the sampled one, and
`bend` (rows, columns, 2), if it is not empty, is added to that; derivatives are with respect to the six entries of `m`.

`place` looks up where each pixel falls; the others use what it has `seen` (rows, columns, 3): the sampled value in nodes, below 0
where a pixel does not count, and its slope along rows and columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_Array = np.ndarray[Any, Any]


@njit(nogil=True, cache=True, fastmath=True)
def place(node: _Array, image: _Array, m: _Array, bend: _Array, jitter: _Array, start: int, stop: int, seen: _Array) -> int:
    """Fill rows start … stop of `seen`; the number of pixels that count. `image` is far below 0 where it was not measured."""
    high_y, high_x, n = image.shape[0] - 1.0, image.shape[1] - 1.0, 0
    last_y, last_x = image.shape[0] - 2, image.shape[1] - 2
    for j in range(start, stop):
        for i in range(node.shape[1]):
            seen[j, i, 0] = -1.0
            if node[j, i] < 0:
                continue
            row, column = j + jitter[j, i, 0], i + jitter[j, i, 1]
            y = m[0, 0] * row + m[0, 1] * column + m[0, 2]
            x = m[1, 0] * row + m[1, 1] * column + m[1, 2]
            if bend.size > 0:
                y += bend[j, i, 0]
                x += bend[j, i, 1]
            if not (y >= 0.0 and x >= 0.0 and y <= high_y and x <= high_x):
                continue
            y0, x0 = min(int(y), last_y), min(int(x), last_x)
            fy, fx = y - y0, x - x0
            a, b, c, d = image[y0, x0], image[y0 + 1, x0], image[y0, x0 + 1], image[y0 + 1, x0 + 1]
            if min(a, b, c, d) < 0.0:
                continue
            left, right = a + (b - a) * fy, c + (d - c) * fy
            seen[j, i, 0] = left + (right - left) * fx
            seen[j, i, 1] = (b - a) * (1 - fx) + (d - c) * fx
            seen[j, i, 2] = right - left
            n += 1
    return n


@njit(nogil=True, cache=True, fastmath=True)
def fill(node: _Array, share: _Array, seen: _Array, start: int, stop: int, histogram: _Array) -> None:
    """Add rows start … stop to `histogram` (K, L). Values seen lie on nodes 1 … L − 2 (below)."""
    for j in range(start, stop):
        for i in range(node.shape[1]):
            t = seen[j, i, 0]
            if t < 0.0:
                continue
            k, at, high = node[j, i], int(t) - 1, share[j, i]
            f = t - (at + 1)
            g, low = 1 - f, 1 - high
            w0, w3 = g * g * g / 6, f * f * f / 6
            w1, w2 = 2.0 / 3 - f * f * (1 - f / 2), 2.0 / 3 - g * g * (1 - g / 2)
            histogram[k, at] += low * w0
            histogram[k, at + 1] += low * w1
            histogram[k, at + 2] += low * w2
            histogram[k, at + 3] += low * w3
            histogram[k + 1, at] += high * w0
            histogram[k + 1, at + 1] += high * w1
            histogram[k + 1, at + 2] += high * w2
            histogram[k + 1, at + 3] += high * w3


@njit(nogil=True, cache=True, fastmath=True)
def _slope(table: _Array, k: int, at: int, f: float, high: float) -> float:
    """Derivative along the sampled value of the spline through `table`: the quadratic B-spline of its differences."""
    g = 1 - f
    w0, w2 = g * g / 2, f * f / 2
    w1 = 1 - w0 - w2
    low = (
        w0 * (table[k, at + 1] - table[k, at])
        + w1 * (table[k, at + 2] - table[k, at + 1])
        + w2 * (table[k, at + 3] - table[k, at + 2])
    )
    up = (
        w0 * (table[k + 1, at + 1] - table[k + 1, at])
        + w1 * (table[k + 1, at + 2] - table[k + 1, at + 1])
        + w2 * (table[k + 1, at + 3] - table[k + 1, at + 2])
    )
    return float((1 - high) * low + high * up)


@njit(nogil=True, cache=True, fastmath=True)
def gradient(
    node: _Array, share: _Array, seen: _Array, jitter: _Array, table: _Array, start: int, stop: int, total: _Array
) -> None:
    """Add to `total` (6) the gradient of the sum of `table` (K, L) at the nodes of the pixels of rows start … stop."""
    for j in range(start, stop):
        yr, yc, y1, xr, xc, x1 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(node.shape[1]):
            t = seen[j, i, 0]
            if t < 0.0:
                continue
            at = int(t) - 1
            slope = _slope(table, node[j, i], at, t - (at + 1), share[j, i])
            uy, ux = slope * seen[j, i, 1], slope * seen[j, i, 2]
            row, column = j + jitter[j, i, 0], i + jitter[j, i, 1]
            yr += uy * row
            yc += uy * column
            y1 += uy
            xr += ux * row
            xc += ux * column
            x1 += ux
        total[0] += yr
        total[1] += yc
        total[2] += y1
        total[3] += xr
        total[4] += xc
        total[5] += x1


@njit(nogil=True, cache=True, fastmath=True)
def scores(
    node: _Array,
    share: _Array,
    seen: _Array,
    jitter: _Array,
    table: _Array,
    block: _Array,
    value: _Array,
    slopes: _Array,
    number: _Array,
) -> None:
    """By block of pixels: sum of `table` (K, L) at the pixels' nodes, its gradient (6), and how many pixels count.

    `block` (rows, columns) numbers the block of each pixel, below 0 for none.
    """
    for j in range(node.shape[0]):
        for i in range(node.shape[1]):
            b, t = block[j, i], seen[j, i, 0]
            if b < 0 or t < 0.0:
                continue
            k, at, high = node[j, i], int(t) - 1, share[j, i]
            f = t - (at + 1)
            g = 1 - f
            w0, w3 = g * g * g / 6, f * f * f / 6
            w1, w2 = 2.0 / 3 - f * f * (1 - f / 2), 2.0 / 3 - g * g * (1 - g / 2)
            low = w0 * table[k, at] + w1 * table[k, at + 1] + w2 * table[k, at + 2] + w3 * table[k, at + 3]
            up = w0 * table[k + 1, at] + w1 * table[k + 1, at + 1] + w2 * table[k + 1, at + 2] + w3 * table[k + 1, at + 3]
            number[b] += 1
            value[b] += (1 - high) * low + high * up
            slope = _slope(table, k, at, f, high)
            uy, ux = slope * seen[j, i, 1], slope * seen[j, i, 2]
            row, column = j + jitter[j, i, 0], i + jitter[j, i, 1]
            slopes[b, 0] += uy * row
            slopes[b, 1] += uy * column
            slopes[b, 2] += uy
            slopes[b, 3] += ux * row
            slopes[b, 4] += ux * column
            slopes[b, 5] += ux


@njit(nogil=True, cache=True)
def add_evidence(joint: _Array, allowed: _Array, xlogx: _Array, evidence: _Array) -> None:
    """Add the mutual information of the histograms joint[:, :, allowed] (K, L, …), whole numbers but for rounding.

    In nats over all pixels, less what chance alone gives; `xlogx` holds k ln k.
    """
    levels, others = joint.shape[0], joint.shape[1]
    columns = np.zeros(others, np.int64)
    for n in range(len(allowed)):
        at = allowed[n]
        total, found = 0, 0.0
        columns[:] = 0
        for k in range(levels):
            row = 0
            for m in range(others):
                count = max(int(joint[k, m, at] + 0.5), 0)
                row += count
                columns[m] += count
                found += xlogx[count]
            total += row
            found -= xlogx[row]
        for m in range(others):
            found -= xlogx[columns[m]]
        evidence[n] += found + xlogx[total] - (levels - 1) * (others - 1) / 2
