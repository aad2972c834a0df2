"""Contours of a labelled region as polygons: traced between pixels, smoothed along themselves, distance exact to segments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Vertices per pixel along a contour: 3 keep the chord of a circle of 5 pixels radius within 0.003 pixel of its arc.
VERTICES_PER_PIXEL = 3
# A contour of length L is smoothed by at most L / 4π (half the radius of a circle of that length); below that the twice
# applied kernel takes less than 1.4 % of the radius.
SHORTEST = 4 * np.pi


@dataclass(frozen=True, slots=True)
class Contour:
    """One polygon: (N, 2) points (y, x) in um with the phase on the left, y downwards; whether it closes; its region's number."""

    points: NDArray[np.float64]
    closed: bool
    region: int

    @property
    def segments(self) -> NDArray[np.float64]:
        """(M, 2) vectors from each vertex to the next."""
        ring = np.vstack([self.points, self.points[:1]]) if self.closed else self.points
        return np.asarray(np.diff(ring, axis=0))

    @property
    def shares(self) -> NDArray[np.float64]:
        """(N,) length in um that belongs to each vertex: half of each neighbouring segment."""
        half = np.hypot(*self.segments.T) / 2
        return np.asarray(half + np.roll(half, 1) if self.closed else np.append(half, 0) + np.append(0, half))

    @property
    def normals(self) -> NDArray[np.float64]:
        """(N, 2) unit vectors that point out of the phase."""
        p = self.points
        along = np.roll(p, -1, 0) - np.roll(p, 1, 0) if self.closed else np.gradient(p, axis=0)
        length = np.maximum(np.hypot(*along.T), np.finfo(float).tiny)
        return np.asarray(np.column_stack([along[:, 1], -along[:, 0]]) / length[:, None])


def trace(mask: NDArray[np.bool_], measured: NDArray[np.bool_], pixel: tuple[float, float]) -> list[Contour]:
    """Polygons midway between the pixels inside and outside `mask`, in um from the first pixel centre.

    The frame and the border to unmeasured pixels are no contour: polygons end there.
    """
    from skimage.measure import find_contours, label

    regions = label(mask, connectivity=1)  # type: ignore[no-untyped-call]
    contours = []
    lines = find_contours(mask.astype(float), 0.5, mask=measured, positive_orientation="high")  # type: ignore[no-untyped-call]
    for raw in lines:
        low, high = np.floor(raw[0]).astype(int), np.ceil(raw[0]).astype(int)
        region = int(max(regions[tuple(low)], regions[tuple(high)]))
        closed = bool(np.array_equal(raw[0], raw[-1]))
        contours.append(_even(Contour((raw[:-1] if closed else raw) * pixel, closed, region), min(pixel)))
    return contours


def _even(contour: Contour, pixel: float) -> Contour:
    """The same polygon with evenly spaced vertices."""
    lengths = np.hypot(*contour.segments.T)
    along = np.append(0, np.cumsum(lengths))
    n = max(8, round(along[-1] / pixel * VERTICES_PER_PIXEL))
    ring = np.vstack([contour.points, contour.points[:1]]) if contour.closed else contour.points
    at = np.linspace(0, along[-1], n, endpoint=not contour.closed)
    return replace(contour, points=np.column_stack([np.interp(at, along, ring[:, i]) for i in (0, 1)]))


def smooth(contour: Contour, width: float) -> Contour:
    """`contour` smoothed along itself by a Gaussian of `width` um, applied twice over (2 G − G G): no shrinkage to second order.

    The ends of an open contour keep their place.
    """
    total = float(contour.shares.sum())
    sigma = min(width, total / SHORTEST) / total * len(contour.points)
    once = _filter(contour.points, sigma, contour.closed, odd=True)
    return replace(contour, points=2 * once - _filter(once, sigma, contour.closed, odd=True))


def prolong(contour: Contour, shape: tuple[int, int], pixel: tuple[float, float], reach: float) -> Contour:
    """An open contour continued straight on beyond its ends: by `reach` um out of the frame, by a pixel into unmeasured ground.

    The direction is that of its last `reach` um, the frame's outermost pixel centres are at 0 and shape − 1.
    """
    if contour.closed:
        return contour
    last = (np.asarray(shape) - 1) * pixel
    along = np.append(0, np.cumsum(np.hypot(*contour.segments.T)))
    tips = []
    for points, travelled in ((contour.points, along), (contour.points[::-1], along[-1] - along[::-1])):
        tip = points[0]
        back = points[min(int(np.searchsorted(travelled, reach)), len(points) - 1)]
        leaves = np.any((tip < np.asarray(pixel) / 2) | (tip > last - np.asarray(pixel) / 2))
        heading = (tip - back) / max(float(np.hypot(*(tip - back))), np.finfo(float).tiny)
        tips.append(tip + heading * (reach if leaves else min(pixel)))
    return replace(contour, points=np.vstack([tips[0], contour.points, tips[1]]))


def smooth_along(values: NDArray[np.float64], contour: Contour, width: float) -> NDArray[np.float64]:
    """Values at the vertices, averaged along the contour by a Gaussian of `width` um."""
    total = float(contour.shares.sum())
    sigma = min(width, total / SHORTEST) / total * len(contour.points)
    return _filter(values[:, None], sigma, contour.closed, odd=False)[:, 0]


def _filter(values: NDArray[np.float64], sigma: float, closed: bool, *, odd: bool) -> NDArray[np.float64]:
    """Gaussian along axis 0: periodic, or mirrored at the ends (`odd`: through the end points)."""
    from scipy.ndimage import gaussian_filter1d

    if closed:
        return np.asarray(gaussian_filter1d(values, sigma, axis=0, mode="wrap"))
    n = min(len(values) - 1, int(4 * sigma + 1))
    before, after = values[n:0:-1], values[-2 : -n - 2 : -1]
    if odd:
        before, after = 2 * values[:1] - before, 2 * values[-1:] - after
    padded = np.concatenate([before, values, after])
    return np.asarray(gaussian_filter1d(padded, sigma, axis=0, mode="nearest")[n : n + len(values)])


@dataclass(frozen=True, slots=True)
class Foot:
    """Nearest point of all contours for each query: distance (negative inside), segment, position along it (0 … 1)."""

    distance: NDArray[np.float64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    fraction: NDArray[np.float64]


def nearest(points: NDArray[np.float64], contours: Sequence[Contour]) -> Foot:
    """Exact signed distance of (Q, 2) points to the segments of all contours; vertices are numbered through all contours.

    The sign comes from the side of the nearest segment; where a vertex is nearest, from the sum of its segments' normals.
    """
    from scipy.spatial import cKDTree

    vertices = np.concatenate([c.points for c in contours])
    before, after = _neighbours(contours)
    normals = _segment_normals(vertices, after)
    _, candidates = cKDTree(vertices).query(points, k=min(3, len(vertices)))
    best = Foot(*(np.full(len(points), v, t) for v, t in ((np.inf, float), (0, np.int64), (0, np.int64), (0, float))))
    for column in np.atleast_2d(candidates.T):
        for start in (column, before[column]):
            _keep_nearer(best, points, vertices, start, after)
    sign = _side(best, points, vertices, normals, before, after)
    return replace(best, distance=np.sqrt(best.distance) * sign)


def _neighbours(contours: Sequence[Contour]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Previous and next vertex of each vertex; an open end is its own neighbour."""
    before, after, offset = [], [], 0
    for c in contours:
        index = np.arange(len(c.points))
        previous, following = np.roll(index, 1), np.roll(index, -1)
        if not c.closed:
            previous[0], following[-1] = 0, len(index) - 1
        before.append(previous + offset)
        after.append(following + offset)
        offset += len(index)
    return np.concatenate(before), np.concatenate(after)


def _segment_normals(vertices: NDArray[np.float64], after: NDArray[np.int64]) -> NDArray[np.float64]:
    along = vertices[after] - vertices
    length = np.hypot(*along.T)
    along = along / np.where(length > 0, length, 1)[:, None]
    return np.asarray(np.column_stack([along[:, 1], -along[:, 0]]))


def _keep_nearer(
    best: Foot,
    points: NDArray[np.float64],
    vertices: NDArray[np.float64],
    start: NDArray[np.int64],
    after: NDArray[np.int64],
) -> None:
    """Update `best` (its distances still squared) where the segment from `start` is nearer."""
    end = after[start]
    along = vertices[end] - vertices[start]
    squared = np.einsum("ij,ij->i", along, along)
    fraction = np.einsum("ij,ij->i", points - vertices[start], along) / np.where(squared > 0, squared, 1)
    fraction = np.clip(fraction, 0, 1)
    gap = points - vertices[start] - fraction[:, None] * along
    distance = np.einsum("ij,ij->i", gap, gap)
    nearer = distance < best.distance
    for field, value in ((best.distance, distance), (best.start, start), (best.end, end), (best.fraction, fraction)):
        field[nearer] = value[nearer]


def _side(
    foot: Foot,
    points: NDArray[np.float64],
    vertices: NDArray[np.float64],
    normals: NDArray[np.float64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
) -> NDArray[np.float64]:
    """−1 inside, +1 outside."""
    vertex = np.where(foot.fraction > 0.5, foot.end, foot.start)
    at_vertex = (foot.fraction <= 0) | (foot.fraction >= 1)
    ending = np.where(before[vertex] != vertex, before[vertex], vertex)
    starting = np.where(after[vertex] != vertex, vertex, before[vertex])
    normal = np.where(at_vertex[:, None], normals[ending] + normals[starting], normals[foot.start])
    foot_point = vertices[foot.start] + foot.fraction[:, None] * (vertices[foot.end] - vertices[foot.start])
    return np.where(np.einsum("ij,ij->i", points - foot_point, normal) < 0, -1.0, 1.0)
