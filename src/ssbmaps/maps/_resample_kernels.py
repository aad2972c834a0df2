"""Areas that quadrilaterals share with the pixels of a grid, by clipping; compiled, imported when used.

The quadrilaterals are the pixels of another map, given by their shared corners `y`, `x` (rows + 1, columns + 1) in pixels of the
grid, whose pixel (r, c) covers r … r + 1, c … c + 1. A NaN corner takes the quadrilateral out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_Array = np.ndarray[Any, Any]
_VERTICES = 32  # of a quadrilateral, not necessarily convex, cut four times


@njit(nogil=True, cache=True)
def _box(y: _Array, x: _Array, j: int, i: int, ny: int, nx: int, box: _Array) -> bool:
    """First and last-plus-one row and column of the grid that quadrilateral (j, i) may touch; False if there are none."""
    low_y = min(min(y[j, i], y[j, i + 1]), min(y[j + 1, i], y[j + 1, i + 1]))
    high_y = max(max(y[j, i], y[j, i + 1]), max(y[j + 1, i], y[j + 1, i + 1]))
    low_x = min(min(x[j, i], x[j, i + 1]), min(x[j + 1, i], x[j + 1, i + 1]))
    high_x = max(max(x[j, i], x[j, i + 1]), max(x[j + 1, i], x[j + 1, i + 1]))
    sums = y[j, i] + y[j, i + 1] + y[j + 1, i] + y[j + 1, i + 1] + x[j, i] + x[j, i + 1] + x[j + 1, i] + x[j + 1, i + 1]
    if not (sums == sums and high_y > 0.0 and high_x > 0.0 and low_y < ny and low_x < nx):
        return False
    box[0] = int(max(np.floor(low_y), 0.0))
    box[1] = int(min(np.ceil(high_y), float(ny)))
    box[2] = int(max(np.floor(low_x), 0.0))
    box[3] = int(min(np.ceil(high_x), float(nx)))
    return True


@njit(nogil=True, cache=True)
def count(y: _Array, x: _Array, ny: int, nx: int, start: int, stop: int, number: _Array) -> None:
    """For quadrilaterals in rows start … stop: how many pixels of the (ny, nx) grid each may touch, at most."""
    box = np.empty(4, np.int64)
    columns = y.shape[1] - 1
    for j in range(start, stop):
        for i in range(columns):
            found = _box(y, x, j, i, ny, nx, box)
            number[j * columns + i] = (box[1] - box[0]) * (box[3] - box[2]) if found else 0


@njit(nogil=True, cache=True)
def share(
    y: _Array, x: _Array, ny: int, nx: int, start: int, stop: int, first: _Array, pixel: _Array, area: _Array, whole: _Array
) -> None:
    """For quadrilaterals in rows start … stop: pixels touched, the area shared with each, and the quadrilateral's own area.

    Those of quadrilateral k lie from first[k] on. One that is turned over gets no area, and the own area 0.
    """
    box = np.empty(4, np.int64)
    quad, spare = np.empty((_VERTICES, 2)), np.empty((_VERTICES, 2))
    strip, part = np.empty((_VERTICES, 2)), np.empty((_VERTICES, 2))
    columns = y.shape[1] - 1
    for j in range(start, stop):
        for i in range(columns):
            k = j * columns + i
            whole[k] = 0.0
            if not _box(y, x, j, i, ny, nx, box):
                continue
            for v in range(4):  # relative to the first pixel touched, so that rounding does not grow with the grid
                dj, di = v // 2, (v == 1) + (v == 2)
                quad[v, 0] = y[j + dj, i + di] - box[0]
                quad[v, 1] = x[j + dj, i + di] - box[2]
            whole[k] = max(_area(quad, 4), 0.0)
            at = first[k]
            for r in range(box[0], box[1]):
                n = _cut(quad, 4, 0, float(r - box[0]), 1.0, spare)
                n = _cut(spare, n, 0, float(r - box[0] + 1), -1.0, strip)
                for c in range(box[2], box[3]):
                    m = _cut(strip, n, 1, float(c - box[2]), 1.0, spare)
                    m = _cut(spare, m, 1, float(c - box[2] + 1), -1.0, part)
                    pixel[at] = r * nx + c
                    area[at] = max(_area(part, m), 0.0) if whole[k] > 0.0 else 0.0
                    at += 1


@njit(nogil=True, cache=True)
def _cut(source: _Array, n: int, axis: int, limit: float, side: float, target: _Array) -> int:
    """The part of a polygon at or beyond `limit` along `axis` (side 1) or before it (−1); Sutherland and Hodgman's rule."""
    m = 0
    for v in range(n):
        w = v + 1 if v + 1 < n else 0
        here, there = side * (source[v, axis] - limit), side * (source[w, axis] - limit)
        if here >= 0.0:
            target[m, 0], target[m, 1] = source[v, 0], source[v, 1]
            m += 1
        if (here > 0.0 and there < 0.0) or (here < 0.0 and there > 0.0):
            t = here / (here - there)
            other = 1 - axis
            target[m, axis] = limit
            target[m, other] = source[v, other] + t * (source[w, other] - source[v, other])
            m += 1
    return m


@njit(nogil=True, cache=True)
def _area(points: _Array, n: int) -> float:
    """Area of a polygon of (y, x), positive where its corners run as those of a pixel: along x first."""
    total = 0.0
    for v in range(1, n - 1):
        ay, ax = points[v, 0] - points[0, 0], points[v, 1] - points[0, 1]
        by, bx = points[v + 1, 0] - points[0, 0], points[v + 1, 1] - points[0, 1]
        total += ax * by - bx * ay
    return total / 2
