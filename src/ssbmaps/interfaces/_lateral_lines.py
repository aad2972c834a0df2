"""Distances of pixel centres to a lateral edge, on arrays: the border of what was measured, a drawn line, an outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._contour import Contour, nearest
from ssbmaps.interfaces._outline import centres, drawn, placed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SIDES = {"left": (1, False), "right": (1, True), "top": (0, False), "bottom": (0, True)}  # axis, counted from its far end
VERTICES_PER_PIXEL = 3  # as in the outlines of phases
MOST_VERTICES = 100_000
SMOOTHING = 4  # pixels along the outline of a mask, as in distance_to


def to_frame(measured: Bools, pixel: tuple[float, float]) -> Floats:
    """Distance in um of every pixel centre to the border of the measured area: the sides of its outermost pixels.

    Seen from a pixel's centre, the nearest point of another pixel lies on a corner, or midway along a side. All of them are
    points of a lattice twice as fine, so that a distance transform on that lattice is exact.
    """
    from scipy.ndimage import distance_transform_edt

    ny, nx = measured.shape
    open_ = np.ones((2 * ny + 1, 2 * nx + 1), bool)
    open_[[0, -1]] = open_[:, [0, -1]] = False
    rows, columns = np.nonzero(~measured)
    for dy in range(3):
        for dx in range(3):
            open_[2 * rows + dy, 2 * columns + dx] = False
    distance = distance_transform_edt(open_, sampling=(pixel[0] / 2, pixel[1] / 2))
    return np.asarray(distance[1::2, 1::2])


def to_side(measured: Bools, pixel: tuple[float, float], side: str) -> Floats:
    """Distance in um to one side of the smallest upright rectangle around the measured pixels."""
    axis, far = SIDES[side]
    used = np.flatnonzero(measured.any(axis=1 - axis))
    at = np.arange(measured.shape[axis])
    steps = used[-1] - at if far else at - used[0]
    return np.asarray(np.broadcast_to(np.expand_dims((steps + 0.5) * pixel[axis], 1 - axis), measured.shape).astype(float))


def to_line(points: Floats, line: Floats, step: float, reach: float) -> Floats:
    """Distance of (Q, 2) points to an open line (N, 2) that goes straight on for `reach` um beyond its ends.

    The sign tells the sides apart; which of them is the inner one the caller knows.
    """
    ends = []
    for tip, before in ((line[0], line[1]), (line[-1], line[-2])):
        heading = (tip - before) / np.hypot(*(tip - before))
        ends.append(tip + heading * reach)
    return np.asarray(nearest(points, [Contour(_dense(np.vstack([ends[0], line, ends[1]]), step), False, 1)]).distance)


def to_polygon(points: Floats, polygon: Floats, step: float) -> Floats:
    """Distance of (Q, 2) points to a closed polygon (N, 2): positive inside, by the even-odd rule."""
    from skimage.measure import points_in_poly

    ring = np.vstack([polygon, polygon[:1]])
    size = np.abs(nearest(points, [Contour(_dense(ring, step)[:-1], True, 1)]).distance)
    inside = np.asarray(points_in_poly(points, polygon))  # type: ignore[no-untyped-call]
    return np.where(inside, size, -size)


def to_mask(mask: Bools, measured: Bools, pixel: tuple[float, float], *, subject: str) -> Floats:
    """Distance in um to the sub-pixel outline of a mask, positive inside; frame and unmeasured pixels are no outline."""
    outlines = drawn(mask, measured, pixel, SMOOTHING * float(np.sqrt(pixel[0] * pixel[1])), subject=subject)
    return -placed(centres(mask.shape, pixel), mask, outlines, pixel).s.reshape(mask.shape)


def _dense(line: Floats, step: float) -> Floats:
    """The same line with more vertices, no two of them further apart than `step`: `nearest` asks the nearest vertices."""
    lengths = np.hypot(*np.diff(line, axis=0).T)
    step = max(step, float(lengths.sum()) / MOST_VERTICES)
    parts = [
        a + (b - a) * (np.arange(n) / n)[:, None]
        for a, b, n in zip(line[:-1], line[1:], np.maximum(np.ceil(lengths / step).astype(int), 1), strict=True)
    ]
    return np.vstack([*parts, line[-1:]])
