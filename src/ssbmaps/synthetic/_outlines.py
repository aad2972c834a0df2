"""Closed outlines as dense polygons, and the exact signed distance to the nearest of many. Points are (y, x) in um."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Points = NDArray[np.float64]

SPACING = 0.02  # um between vertices: a chord leaves a circle of 1 um radius by 0.05 nm


def circle(centre: Sequence[float], radius: float) -> Points:
    """Circle as (n, 2) vertices, inside on the left."""
    return wavy(centre, radius, np.zeros(0), np.zeros(0))


def wavy(centre: Sequence[float], radius: float, amplitudes: NDArray[np.float64], phases: NDArray[np.float64]) -> Points:
    """Closed curve r(θ) = radius · (1 + Σ a_k cos(kθ + φ_k)) for k = 2, 3, …, as (n, 2) vertices."""
    theta = np.linspace(0, 2 * np.pi, max(64, int(2 * np.pi * radius / SPACING)), endpoint=False)
    orders = np.arange(2, 2 + len(amplitudes))
    r = radius * (1 + amplitudes @ np.cos(orders[:, None] * theta + phases[:, None]))
    return np.column_stack([centre[0] + r * np.sin(theta), centre[1] + r * np.cos(theta)])


def random_waves(rng: np.random.Generator, roughness: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Amplitudes falling as k^-1.5 and phases for k = 2 … 8: rounded shapes, hardly ever concave."""
    orders = np.arange(2, 9)
    return roughness * rng.uniform(-1, 1, orders.size) / orders**1.5, rng.uniform(0, 2 * np.pi, orders.size)


def strand(centreline: Points, half_width: NDArray[np.float64]) -> Points:
    """Outline of a band around a line of points, with its own half-width (um) at each; blunt ends."""
    fine = np.linspace(0, len(centreline) - 1, max(8, int(_length(centreline) / SPACING)))
    at = np.arange(len(centreline))
    line = np.column_stack([np.interp(fine, at, centreline[:, i]) for i in (0, 1)])
    width = np.interp(fine, at, half_width)[:, None]
    along = np.gradient(line, axis=0)
    normal = np.column_stack([along[:, 1], -along[:, 0]]) / np.hypot(*along.T)[:, None]
    return np.vstack([line - width * normal, (line + width * normal)[::-1]])


def crescent(outline: Points, start: int, count: int, width: float, inset: float) -> Points:
    """Outline of a sickle that sits on `count` vertices of another, `width` um at its thickest, reaching `inset` um in."""
    index = (start + np.arange(count)) % len(outline)
    along = np.roll(outline, -1, axis=0)[index] - np.roll(outline, 1, axis=0)[index]
    outward = np.column_stack([-along[:, 1], along[:, 0]]) / np.hypot(*along.T)[:, None]
    height = width * np.sin(np.linspace(0, np.pi, count))[:, None]
    return np.vstack([outline[index] + height * outward, (outline[index] - inset * outward)[::-1]])


def _length(line: Points) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def perimeter(outline: Points) -> float:
    """Length of the closed polygon, um."""
    return _length(np.vstack([outline, outline[:1]]))


class Outlines:
    """Many closed outlines, asked for the signed distance of points: negative inside.

    The nearest vertex is found in a k-d tree, then the distance to its two edges is exact. `owner` is the number of the
    outline that is nearest. Outlines may touch but are taken not to overlap.
    """

    def __init__(self, outlines: Sequence[Points]) -> None:
        from scipy.spatial import cKDTree

        counterclockwise = [o if _area(o) > 0 else o[::-1] for o in outlines]
        sizes = [len(o) for o in outlines]
        starts = np.cumsum([0, *sizes[:-1]])
        self._vertices = np.vstack(counterclockwise)
        self._owner = np.repeat(np.arange(len(sizes)), sizes)
        position = np.arange(len(self._vertices)) - np.repeat(starts, sizes)
        size, start = np.repeat(sizes, sizes), np.repeat(starts, sizes)
        self._next = start + (position + 1) % size
        self._previous = start + (position - 1) % size
        self._tree = cKDTree(self._vertices)

    def signed(self, points: Points) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Signed distance (um) of (n, 2) points to the nearest outline, and whose it is."""
        distance, owner, _ = self.nearest(points)
        return distance, owner

    def nearest(self, points: Points) -> tuple[NDArray[np.float64], NDArray[np.int64], Points]:
        """As `signed`, and the (n, 2) direction of the outline there, of length 1."""
        _, nearest = self._tree.query(points, workers=2)
        here = self._vertices[nearest]
        last, following = self._vertices[self._previous[nearest]], self._vertices[self._next[nearest]]
        before, outside_before = _to_edge(points, last, here)
        after, outside_after = _to_edge(points, here, following)
        # Nearest to the corner itself: beyond either edge where it sticks out, beyond both where it is notched.
        sticks_out = _cross(here - last, following - here) > 0
        corner = np.where(sticks_out, outside_before | outside_after, outside_before & outside_after)
        outside = np.where(
            np.isclose(before, after, rtol=1e-9, atol=0), corner, np.where(before < after, outside_before, outside_after)
        )
        along = following - last
        along /= np.maximum(np.hypot(*along.T), 1e-12)[:, None]
        return np.where(outside, 1.0, -1.0) * np.minimum(before, after), self._owner[nearest], along


def _area(outline: Points) -> float:
    """Area of a polygon, positive if its inside is on the left."""
    y, x = outline.T
    return float(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def _to_edge(points: Points, start: Points, stop: Points) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Distance of each point to its own edge, and whether it lies on the right of it (outside)."""
    edge, offset = stop - start, points - start
    share = np.clip(np.einsum("ij,ij->i", offset, edge) / np.einsum("ij,ij->i", edge, edge), 0, 1)
    rest = offset - share[:, None] * edge
    return np.hypot(rest[:, 0], rest[:, 1]), _cross(edge, offset) < 0


def _cross(first: Points, second: Points) -> NDArray[np.float64]:
    """Positive where `second` turns to the left of `first`."""
    return np.asarray(first[:, 1] * second[:, 0] - first[:, 0] * second[:, 1])
