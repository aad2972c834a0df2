"""Compiled kernels of the Poisson factorisation: rows brought to their maximum of the likelihood, and what the spectra need.

Factors are padded to a power of two of at least eight lanes, with zeros: w (n_rows, lanes), h (n_columns, lanes).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numba.extending import overload

from ssbmaps.decomposition._lanes import blend, dot, logarithm, naught, put, take, times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

TINY = 1e-15  # a model below it counts as this: what no component explains is left out, not divided by
WIDTH = 16  # values that the logarithm takes at a time; a row is filled up with zeros
SIXTEEN = (0,) * WIDTH
SHORTEST = 1e-3  # share of a Newton step that is still tried
CYCLES = 60  # of coordinate descent through one small quadratic problem, at most


def _log_sum(values: Floats, model: Floats, n: int) -> float:
    """Σ values · ln(model) over the first n rows of 16; kernels take the compiled one for their type."""
    return float(np.sum(values[:n] * np.log(model[:n])))


@overload(_log_sum, jit_options={"fastmath": True})
def _log_sum_compiled(values: Any, model: Any, n: Any) -> Any:  # noqa: ARG001
    if model.dtype.bitwidth == 64:

        def exact(values: Any, model: Any, n: Any) -> Any:
            total = 0.0
            for r in range(n):
                for e in range(WIDTH):
                    total += values[r, e] * math.log(model[r, e])
            return total

        return exact

    def quick(values: Any, model: Any, n: Any) -> Any:
        total = 0.0
        for r in range(n):
            total += dot(take(values, r, SIXTEEN), logarithm(take(model, r, SIXTEEN)))
        return total

    return quick


@njit(nogil=True, fastmath=True, cache=True)
def quadratic(x: Floats, slope: Floats, curvature: Floats, k: int, tol: float) -> None:
    """Minimise −slope·(x' − x) + ½ (x' − x)ᵀ curvature (x' − x) over x' ≥ 0 by coordinate descent; x and slope are replaced.

    `tol` is the decrease, in the unit of the objective, below which a cycle is the last.
    """
    for _ in range(CYCLES):
        gained = 0.0
        for z in range(k):
            if curvature[z, z] <= 0:
                if slope[z] < 0:
                    x[z] = 0
                continue
            step = max(slope[z] / curvature[z, z], -x[z])
            if step != 0:
                x[z] += step
                gained += step * (slope[z] - 0.5 * step * curvature[z, z])
                for q in range(k):
                    slope[q] -= step * curvature[z, q]
        if gained <= tol:
            return


@njit(nogil=True, fastmath=True, cache=True)
def best_rows(
    values: Floats,
    columns: Floats,
    starts: Floats,
    masked: Floats,
    masked_starts: Floats,
    w: Floats,
    h: Floats,
    like: Any,
    k: int,
    tol: float,
    most: int,
    warm: int,
    result: Floats,
    pull: Floats,
) -> tuple[float, float, int]:
    """Bring each row of w to its maximum of the likelihood given h; returns Σ (w·Σh − v ln wh), the rows' gaps, and steps.

    A row is left when its duality gap (of the convex problem that it is) falls below `tol` nats, or after `most` steps: the
    first `warm` multiplicative, the others Newton steps on w ≥ 0, halved until the likelihood rises. `masked` columns (by row,
    `masked_starts`; empty for none) count as not measured. Written to `result`: the rows reached, or with `most` = 0 and
    `warm` = 1 their multiplicative step w · (v / wh) hᵀ, divided by nothing. Added to `pull` (n_columns, lanes) unless it is
    empty: Σ over rows of w v / wh, which is what the spectra ask for.
    """
    longest = 1
    for i in range(len(starts) - 1):
        longest = max(longest, starts[i + 1] - starts[i])
    lanes = len(like)
    models, counted = np.ones((-(-longest // WIDTH), WIDTH), values.dtype), np.ones((-(-longest // WIDTH), WIDTH), values.dtype)
    model, filled = models.ravel(), counted.ravel()
    work = np.zeros((4, lanes), values.dtype)  # Σh, drive, where the step leads, where it starts
    slope, place = np.zeros(lanes), np.zeros(lanes)
    bend, wide = np.zeros((lanes, lanes), values.dtype), np.zeros((lanes, lanes))
    unmasked = np.zeros(lanes)
    for j in range(len(h)):
        for z in range(k):
            unmasked[z] += h[j, z]
    tiny = values.dtype.type(TINY)
    rounding = 2e-6 if values.itemsize == 4 else 1e-13  # of a gap, as a share of the counts
    objective, gaps, steps = 0.0, 0.0, 0
    for i in range(len(starts) - 1):
        seen, where = values[starts[i] : starts[i + 1]], columns[starts[i] : starts[i + 1]]
        n = len(seen)
        x = take(w, i, like)
        if n == 0:
            put(result, i, naught(x))
            continue
        for z in range(k):
            work[0, z] = unmasked[z]
        if len(masked):
            for e in range(masked_starts[i], masked_starts[i + 1]):
                for z in range(k):
                    work[0, z] -= h[masked[e], z]
        rounds = -(-n // WIDTH)
        for e in range(n):
            filled[e] = seen[e]
        for e in range(n, rounds * WIDTH):
            filled[e] = 0
        before, length, step, gap = np.inf, 1.0, 0, 0.0
        while True:
            drive = naught(x)
            for e in range(n):
                y = take(h, where[e], like)
                model[e] = max(dot(x, y), tiny)
                drive = blend(seen[e] / model[e], y, drive)
            total, counts = dot(x, take(work, 0, like)), dot(x, drive)
            here = total - _log_sum(counted, models, rounds)
            if here > before + rounding * counts and length > SHORTEST and step < most:
                length *= 0.5
                x = blend(length, take(work, 2, like), blend(1 - length, take(work, 3, like), naught(x)))
                step += 1
                continue
            put(work, 1, drive)
            gap = _gap(work, total, counts, k)
            if gap <= max(tol, rounding * counts) or step >= most:
                break
            step += 1
            put(work, 3, x)
            if step <= warm:
                for z in range(k):
                    work[2, z] = work[3, z] * work[1, z] / work[0, z] if work[0, z] > 0 else 0
                x = take(work, 2, like)
                continue
            before, length = here, 1.0
            for z in range(0, k, 8):
                _curvature(seen, where, model, h, like, z, bend)
            for z in range(k):
                place[z], slope[z] = work[3, z], work[1, z] - work[0, z]
                for q in range(k):
                    wide[z, q] = bend[z, q]
            quadratic(place, slope, wide, k, 0.1 * tol)
            for z in range(k):
                work[2, z] = place[z]
            x = take(work, 2, like)
        if counts > 0 and (most > 0 or not warm):  # at the maximum a row's model sums to its counts
            fit = counts / total
            x, here = blend(fit, x, naught(x)), here - total + counts - counts * math.log(fit)
            gap -= total - counts + counts * math.log(fit)
        objective += here
        gaps += max(gap, 0.0)
        steps += step
        if len(pull):
            for e in range(n):
                j = where[e]
                put(pull, j, blend(seen[e] / model[e], x, take(pull, j, like)))
            if len(masked):
                for e in range(masked_starts[i], masked_starts[i + 1]):
                    put(pull, masked[e], blend(1.0, x, take(pull, masked[e], like)))
        put(result, i, times(x, drive) if most == 0 and warm else x)
    return objective, gaps, steps


@njit(nogil=True, fastmath=True, cache=True)
def _curvature(values: Floats, columns: Floats, model: Floats, h: Floats, like: Any, z: int, bend: Floats) -> None:
    """Rows z to z + 7 of Σ v / model² h hᵀ, eight at a time so that they stay in registers."""
    zero = naught(take(h, 0, like))
    b0, b1, b2, b3, b4, b5, b6, b7 = zero, zero, zero, zero, zero, zero, zero, zero
    for e in range(len(values)):
        j = columns[e]
        y = blend(values[e] / (model[e] * model[e]), take(h, j, like), zero)
        b0, b1, b2, b3 = blend(h[j, z], y, b0), blend(h[j, z + 1], y, b1), blend(h[j, z + 2], y, b2), blend(h[j, z + 3], y, b3)
        b4, b5, b6, b7 = (
            blend(h[j, z + 4], y, b4),
            blend(h[j, z + 5], y, b5),
            blend(h[j, z + 6], y, b6),
            blend(h[j, z + 7], y, b7),
        )
    put(bend, z, b0)
    put(bend, z + 1, b1)
    put(bend, z + 2, b2)
    put(bend, z + 3, b3)
    put(bend, z + 4, b4)
    put(bend, z + 5, b5)
    put(bend, z + 6, b6)
    put(bend, z + 7, b7)


@njit(nogil=True, cache=True)
def _gap(work: Floats, total: float, counts: float, k: int) -> float:
    """Bound on what the row's likelihood can still gain: total − counts + counts · ln max drive / Σh."""
    lift = TINY
    for z in range(k):
        if work[0, z] > 0:
            lift = max(lift, work[1, z] / work[0, z])
    return total - counts + counts * math.log(lift)


@njit(nogil=True, cache=True)
def tally(values: Floats, sums: NDArray[np.float64], columns: Floats) -> tuple[float, float, float, bool]:
    """Add values to the `sums` of their columns; returns the lowest, the highest, the sum of squares, and if all are whole."""
    low, high, squares, whole = float(values[0]), float(values[0]), 0.0, True
    for e in range(len(values)):
        v = float(values[e])
        sums[columns[e]] += v
        low, high = min(low, v), max(high, v)
        squares += v * v
        whole = whole and v == math.floor(v)
    return low, high, squares, whole


@njit(nogil=True, cache=True)
def add_up(values: Floats, columns: Floats, starts: Floats, groups: Floats, result: Floats) -> None:
    """Add each row to the row `groups` of the dense `result` (n_groups, n_columns); those of group −1 are left out."""
    for i in range(len(starts) - 1):
        if groups[i] < 0:
            continue
        row = result[groups[i]]
        for e in range(starts[i], starts[i + 1]):
            row[columns[e]] += values[e]


@njit(nogil=True, fastmath=True, cache=True)
def least_squares_rows(
    values: Floats,
    columns: Floats,
    starts: Floats,
    w: Floats,
    h: Floats,
    gram: NDArray[np.float64],
    k: int,
    tol: float,
    result: Floats,
    pull: NDArray[np.float64],
) -> float:
    """Bring each row of w >= 0 to the least squares of v − w hᵀ; returns Σ (½ w·gram·w − w·hᵀv), without ½ Σ v².

    `tol` is the decrease below which a row is left. Added to `pull` (n_columns, k) unless it is empty: Σ over rows of v w.
    """
    place, slope, drive = np.zeros(k), np.zeros(k), np.zeros(k)
    objective = 0.0
    for i in range(len(starts) - 1):
        drive[:] = 0.0
        for e in range(starts[i], starts[i + 1]):
            for z in range(k):
                drive[z] += values[e] * h[columns[e], z]
        for z in range(k):
            place[z] = w[i, z]
        for z in range(k):
            slope[z] = drive[z]
            for q in range(k):
                slope[z] -= gram[z, q] * place[q]
        quadratic(place, slope, gram, k, tol)
        for z in range(k):
            result[i, z] = place[z]
            objective -= 0.5 * place[z] * (drive[z] + slope[z])
        if len(pull):
            for e in range(starts[i], starts[i + 1]):
                for z in range(k):
                    pull[columns[e], z] += values[e] * place[z]
    return objective


@njit(nogil=True, cache=True)
def least_squares_columns(
    h: NDArray[np.float64], pull: NDArray[np.float64], gram: NDArray[np.float64], k: int, tol: float
) -> None:
    """Bring each row of h (n_columns, k) >= 0 to the least squares of v − w hᵀ, with gram = wᵀw and pull = vᵀw; h is replaced."""
    slope = np.zeros(k)
    for j in range(len(h)):
        for z in range(k):
            slope[z] = pull[j, z]
            for q in range(k):
                slope[z] -= gram[z, q] * h[j, q]
        quadratic(h[j], slope, gram, k, tol)
