"""Joint histograms of two images under an affine map, with their derivatives; compiled, imported when used.

The fixed image's value falls linearly on two of K nodes, the sampled one's by a cubic B-spline on four of L nodes, so that the
histogram is smooth in the map's parameters. `fixed` holds values at `jitter` (rows, columns, 2) pixels from the pixels' centres:
linear interpolation of the sampled image smooths differently at each part of a pixel, and where all pixels of two like rasters
fall on the same part, the information has a false maximum. A pixel counts where the fixed image and all four neighbours of the
sampled one were measured. `m` (2, 3) takes (row, column, 1) of the fixed image to (row, column) of the sampled one, and `bend`
(rows, columns, 2), if it is not empty, is added to that; derivatives are with respect to the six entries of `m`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_Array = np.ndarray[Any, Any]


@njit(nogil=True, cache=True, fastmath=True)
def place(
    fixed: _Array,
    fixed_ok: _Array,
    image: _Array,
    image_ok: _Array,
    m: _Array,
    bend: _Array,
    jitter: _Array,
    j: int,
    i: int,
    nodes: _Array,
    weights: _Array,
) -> bool:
    """Nodes (k, l) and weights of one pixel; False if it does not count.

    `weights`: (share of node k + 1; four B-spline values; their four slopes; slope of the sampled value along row and column).
    """
    if not fixed_ok[j, i]:
        return False
    row, column = j + jitter[j, i, 0], i + jitter[j, i, 1]
    y = m[0, 0] * row + m[0, 1] * column + m[0, 2]
    x = m[1, 0] * row + m[1, 1] * column + m[1, 2]
    if bend.size > 0:
        y += bend[j, i, 0]
        x += bend[j, i, 1]
    if not (y >= 0.0 and x >= 0.0 and y <= image.shape[0] - 1 and x <= image.shape[1] - 1):
        return False
    y0 = min(int(y), image.shape[0] - 2)
    x0 = min(int(x), image.shape[1] - 2)
    if not (image_ok[y0, x0] and image_ok[y0 + 1, x0] and image_ok[y0, x0 + 1] and image_ok[y0 + 1, x0 + 1]):
        return False
    fy, fx = y - y0, x - x0
    a, b, c, d = image[y0, x0], image[y0 + 1, x0], image[y0, x0 + 1], image[y0 + 1, x0 + 1]
    t = (a * (1 - fy) + b * fy) * (1 - fx) + (c * (1 - fy) + d * fy) * fx
    slope_y = (b - a) * (1 - fx) + (d - c) * fx
    slope_x = (c - a) * (1 - fy) + (d - b) * fy
    node = int(t)
    f = t - node
    nodes[1] = node - 1
    weights[1] = (1 - f) * (1 - f) * (1 - f) / 6
    weights[2] = (3 * f * f * f - 6 * f * f + 4) / 6
    weights[3] = (-3 * f * f * f + 3 * f * f + 3 * f + 1) / 6
    weights[4] = f * f * f / 6
    weights[5] = -(1 - f) * (1 - f) / 2
    weights[6] = (3 * f * f - 4 * f) / 2
    weights[7] = (-3 * f * f + 2 * f + 1) / 2
    weights[8] = f * f / 2
    weights[9] = slope_y
    weights[10] = slope_x
    r = fixed[j, i]
    nodes[0] = int(r)
    weights[0] = r - nodes[0]
    return True


@njit(nogil=True, cache=True, fastmath=True)
def joint(
    fixed: _Array,
    fixed_ok: _Array,
    image: _Array,
    image_ok: _Array,
    m: _Array,
    bend: _Array,
    jitter: _Array,
    start: int,
    stop: int,
    histogram: _Array,
    slopes: _Array,
) -> int:
    """Add rows start … stop to `histogram` (K, L) and `slopes` (6, K, L); the number of pixels that count.

    `fixed` is in nodes, 0 … K − 1 (below), `image` in nodes, 1 … L − 2 (below).
    """
    nodes, w = np.empty(2, np.int64), np.empty(11)
    n = 0
    for j in range(start, stop):
        for i in range(fixed.shape[1]):
            if not place(fixed, fixed_ok, image, image_ok, m, bend, jitter, j, i, nodes, w):
                continue
            n += 1
            for side in range(2):
                k = nodes[0] + side
                share = w[0] if side else 1 - w[0]
                for s in range(4):
                    at = nodes[1] + s
                    histogram[k, at] += share * w[1 + s]
                    u = share * w[5 + s]
                    uy, ux = u * w[9], u * w[10]
                    slopes[0, k, at] += uy * (j + jitter[j, i, 0])
                    slopes[1, k, at] += uy * (i + jitter[j, i, 1])
                    slopes[2, k, at] += uy
                    slopes[3, k, at] += ux * (j + jitter[j, i, 0])
                    slopes[4, k, at] += ux * (i + jitter[j, i, 1])
                    slopes[5, k, at] += ux
    return n


@njit(nogil=True, cache=True, fastmath=True)
def scores(
    fixed: _Array,
    fixed_ok: _Array,
    image: _Array,
    image_ok: _Array,
    m: _Array,
    bend: _Array,
    jitter: _Array,
    table: _Array,
    block: _Array,
    value: _Array,
    gradient: _Array,
    number: _Array,
) -> None:
    """By block of pixels: sum of `table` (K, L) at the pixels' nodes, its gradient (6), and how many pixels count.

    `block` (rows, columns) numbers the block of each pixel, below 0 for none.
    """
    nodes, w = np.empty(2, np.int64), np.empty(11)
    for j in range(fixed.shape[0]):
        for i in range(fixed.shape[1]):
            b = block[j, i]
            if b < 0 or not place(fixed, fixed_ok, image, image_ok, m, bend, jitter, j, i, nodes, w):
                continue
            here, slope = 0.0, 0.0
            for side in range(2):
                k = nodes[0] + side
                share = w[0] if side else 1 - w[0]
                for s in range(4):
                    odds = share * table[k, nodes[1] + s]
                    here += odds * w[1 + s]
                    slope += odds * w[5 + s]
            number[b] += 1
            value[b] += here
            uy, ux = slope * w[9], slope * w[10]
            gradient[b, 0] += uy * (j + jitter[j, i, 0])
            gradient[b, 1] += uy * (i + jitter[j, i, 1])
            gradient[b, 2] += uy
            gradient[b, 3] += ux * (j + jitter[j, i, 0])
            gradient[b, 4] += ux * (i + jitter[j, i, 1])
            gradient[b, 5] += ux
