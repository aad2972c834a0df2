"""Loops over pixels, compiled: what labels look like through the beam, one pass that moves them, sums over blocks.

Import this where it is used only: it loads the compiler. Labels lie on a grid finer than the maps, a whole number of times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int16]
    Bools = NDArray[np.bool_]


@njit(cache=True, fastmath=True)
def image(labels: Labels, levels: Floats, block: int, measured: Bools, along_y: Floats, along_x: Floats) -> Floats:
    """(C, y, x) emission of fine labels under the beam: `levels` (rows, columns, K, C) per `block` pixels.

    `along_y` (fine rows per pixel, taps) and `along_x` are the beam's kernels from each fine row or column within a pixel to
    the pixels around. Nothing comes from pixels that were not measured.
    """
    ny, nx = measured.shape
    channels = levels.shape[3]
    fine_y, fine_x = len(along_y), len(along_x)
    ry, rx = along_y.shape[1] // 2, along_x.shape[1] // 2
    result = np.zeros((channels, ny, nx))
    source = np.zeros((channels, nx + 2 * rx))
    row = np.zeros((channels, nx))
    column = np.arange(nx) // block
    for y in range(ny):
        here = levels[y // block]
        for part in range(fine_y):
            row[:] = 0.0
            for phase in range(fine_x):
                for x in range(nx):
                    if measured[y, x]:
                        label = labels[y * fine_y + part, x * fine_x + phase]
                        for c in range(channels):
                            source[c, rx + x] = here[column[x], label, c]
                for c in range(channels):
                    for i in range(2 * rx + 1):
                        weight = along_x[phase, 2 * rx - i]
                        for x in range(nx):
                            row[c, x] += weight * source[c, x + i]
            for j in range(max(0, ry - y), min(2 * ry + 1, ny + ry - y)):
                weight = along_y[part, j]
                for c in range(channels):
                    for x in range(nx):
                        result[c, y + j - ry, x] += weight * row[c, x]
    return result


@njit(cache=True, fastmath=True)
def visit(
    labels: Labels,
    pull: Floats,
    grip: Floats,
    levels: Floats,
    block: int,
    measured: Bools,
    along_y: Floats,
    along_x: Floats,
    chance: NDArray[np.float32],
    edge_cost: float,
    everywhere: bool,
) -> int:
    """Each fine pixel draws its label from its probability given all others; returns how many changed.

    `labels` (fine, with a border of −1) and `pull` are changed in place. `pull`, weight × residual / reach, and `grip`, weight /
    reach², are (groups, y, x, 4): the channels in groups of four, with margins of half the kernels. `levels` are (rows, columns,
    K, 4 groups). `chance` (fine) is uniform between 0 and 1. Only fine pixels with another label among their eight neighbours
    are asked, unless `everywhere`.
    """
    ny, nx = measured.shape
    n, channels = levels.shape[2], levels.shape[3]
    fine_y, fine_x = len(along_y), len(along_x)
    ky, kx = along_y.shape[1], along_x.shape[1]
    drive, stiffness = np.empty(channels), np.empty(channels)
    cost, shared, kernel = np.empty(n), np.empty(n), np.empty((ky, kx))
    changes = 0
    column = np.arange(nx * fine_x) // fine_x
    for fy in range(ny * fine_y):
        y, part = fy // fine_y, fy % fine_y
        for fx in range(nx * fine_x):
            own = labels[fy + 1, fx + 1]
            alone = True
            for dy in range(3):
                for dx in range(3):
                    theirs = labels[fy + dy, fx + dx]
                    alone = alone and (theirs == own or theirs < 0)
            x = column[fx]
            if (alone and not everywhere) or not measured[y, x]:
                continue
            shared[:] = 0.0
            for dy in range(3):
                for dx in range(3):
                    theirs = labels[fy + dy, fx + dx]
                    if theirs >= 0 and not (dy == 1 and dx == 1):
                        shared[theirs] += 2.0 / 3.0 if dy == 1 or dx == 1 else 1.0 / 3.0
            for j in range(ky):
                for i in range(kx):
                    kernel[j, i] = along_y[part, j] * along_x[fx - fine_x * x, i]
            for g in range(len(pull)):
                p0 = p1 = p2 = p3 = g0 = g1 = g2 = g3 = 0.0
                for j in range(ky):
                    for i in range(kx):
                        share = kernel[j, i]
                        pulled, gripped = pull[g, y + j, x + i], grip[g, y + j, x + i]
                        p0 += share * pulled[0]
                        p1 += share * pulled[1]
                        p2 += share * pulled[2]
                        p3 += share * pulled[3]
                        share *= share
                        g0 += share * gripped[0]
                        g1 += share * gripped[1]
                        g2 += share * gripped[2]
                        g3 += share * gripped[3]
                drive[4 * g], drive[4 * g + 1], drive[4 * g + 2], drive[4 * g + 3] = p0, p1, p2, p3
                stiffness[4 * g], stiffness[4 * g + 1], stiffness[4 * g + 2], stiffness[4 * g + 3] = g0, g1, g2, g3
            level = levels[y // block, x // block]
            for k in range(n):
                cost[k] = edge_cost * (shared[own] - shared[k])
                for f in range(channels):
                    step = level[k, f] - level[own, f]
                    cost[k] += step * (0.5 * step * stiffness[f] - drive[f])
            best = _draw(cost, chance[fy, fx])
            if best == own:
                continue
            labels[fy + 1, fx + 1] = best
            changes += 1
            for g in range(len(pull)):
                step = level[best, 4 * g : 4 * g + 4] - level[own, 4 * g : 4 * g + 4]
                for j in range(ky):
                    for i in range(kx):
                        for f in range(4):
                            pull[g, y + j, x + i, f] -= grip[g, y + j, x + i, f] * kernel[j, i] * step[f]
    return changes


@njit(cache=True)
def _draw(cost: Floats, chance: float) -> int:
    """The label at which the summed exp(−cost) passes `chance` of its whole."""
    least = cost.min()
    whole = 0.0
    for k in range(len(cost)):
        whole += np.exp(least - cost[k])
    passed = 0.0
    for k in range(len(cost)):
        passed += np.exp(least - cost[k])
        if passed >= chance * whole:
            return k
    return len(cost) - 1


@njit(cache=True, fastmath=True)
def block_products(shares: Floats, values: Floats, block: int) -> Floats:
    """(K, K + F, rows, columns) sums over blocks of the products of shares (K, y, x) with themselves and with maps (F, y, x)."""
    n, ny, nx = shares.shape
    channels = len(values)
    sums = np.zeros((n, n + channels, -(-ny // block), -(-nx // block)))
    for y in range(ny):
        for x in range(nx):
            for i in range(n):
                share = shares[i, y, x]
                if share == 0.0:
                    continue
                for j in range(n):
                    sums[i, j, y // block, x // block] += share * shares[j, y, x]
                for f in range(channels):
                    sums[i, n + f, y // block, x // block] += share * values[f, y, x]
    return sums


@njit(cache=True, fastmath=True)
def correlate(values: Floats, along_y: Floats, along_x: Floats) -> Floats:
    """(N, y, x) maps correlated with two kernels of odd length, nothing beyond the frame."""
    n, ny, nx = values.shape
    ry, rx = len(along_y) // 2, len(along_x) // 2
    result = np.empty_like(values)
    row = np.zeros(nx + 2 * rx)
    for m in range(n):
        for y in range(ny):
            row[:] = 0.0
            for j in range(max(0, ry - y), min(2 * ry + 1, ny + ry - y)):
                weight = along_y[j]
                for x in range(nx):
                    row[rx + x] += weight * values[m, y + j - ry, x]
            result[m, y] = 0.0
            for i in range(2 * rx + 1):
                weight = along_x[i]
                for x in range(nx):
                    result[m, y, x] += weight * row[x + i]
    return result


@njit(cache=True)
def tally(votes: NDArray[np.int32], labels: Labels, fine: int) -> None:
    """Add to `votes` (K, y, x) how many fine pixels of each pixel carry each label."""
    for y in range(votes.shape[1] * fine):
        for x in range(votes.shape[2] * fine):
            votes[labels[y, x], y // fine, x // fine] += 1
