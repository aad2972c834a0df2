"""The edge of a core as polygons: where labels put it, moved to where an image puts it, and what lies beside each stretch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import SsbmapsError
from ssbmaps.interfaces._contour import nearest, prolong, smooth, trace
from ssbmaps.interfaces._subpixel import ROUNDS, Image, refine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.interfaces._contour import Contour

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

BEYOND = 10  # pixels that an open outline goes straight on beyond the frame


@dataclass(frozen=True)
class Place:
    """Where points lie: signed distance in um, the number of the region, and the vertex of the outline (−1: beyond its ends)."""

    s: Floats
    region: Ints
    vertex: Ints


def drawn(mask: Bools, measured: Bools, pixel: tuple[float, float], width: float, *, subject: str) -> list[Contour]:
    """Outlines of a mask, smoothed along themselves by `width` um."""
    contours = [smooth(c, width) for c in trace(mask, measured, pixel)]
    if not contours:
        raise SsbmapsError(
            f"{subject}: the phase meets only closed holes (see max_hole) and unmeasured pixels; it has no edge here."
        )
    return contours


def moved(
    contours: Sequence[Contour],
    values: Floats,
    pixel: tuple[float, float],
    width: float,
    *,
    subject: str,
    away: Floats | None = None,
) -> tuple[list[Contour], str]:
    """Outlines where an image (y, x) puts them, and what to warn of; NaN pixels are not asked. Vertices keep their numbers.

    `away` is the distance of the pixels from `contours`, if it is known already.
    """
    return refine(contours, Image(values, centres(values.shape, pixel), pixel), width, subject=subject, away=away)


def centres(shape: tuple[int, ...], pixel: tuple[float, float]) -> Floats:
    """(Q, 2) pixel centres in um from the first one."""
    return np.asarray(np.indices(shape).reshape(2, -1).T * np.asarray(pixel, np.float64))


def placed(points: Floats, mask: Bools, contours: Sequence[Contour], pixel: tuple[float, float]) -> Place:
    """Place of (Q, 2) points against outlines near the edge of `mask` (y, x).

    The polygon lies within a pixel of the mask's edge and moves by at most one pixel a round; further away the mask knows the
    side better than a polygon that may cross itself in a narrow neck.
    """
    longer = [prolong(c, (mask.shape[0], mask.shape[1]), pixel, BEYOND * min(pixel)) for c in contours]
    foot = nearest(points, longer)
    region = np.repeat([c.region for c in longer], [len(c.points) for c in longer])
    size = np.abs(foot.distance)
    row, column = (
        np.clip(np.rint(p / d).astype(np.int64), 0, n - 1) for p, d, n in zip(points.T, pixel, mask.shape, strict=True)
    )
    beyond = size > (ROUNDS + 1) * max(pixel)
    inside = np.where(beyond, mask[row, column], foot.distance < 0)
    own = _own_numbers(contours)
    vertex = np.where(foot.fraction > 0.5, own[foot.end], own[foot.start])
    tip = (own[foot.start] < 0) & (foot.fraction < 1) | (own[foot.end] < 0) & (foot.fraction > 0)
    return Place(np.where(inside, -size, size), region[foot.start], np.where(tip, -1, vertex))


def _own_numbers(contours: Sequence[Contour]) -> Ints:
    """Number of each vertex of the prolonged outlines among those of the outlines themselves; −1 for the added ones."""
    found, first = [], 0
    for c in contours:
        index = np.arange(first, first + len(c.points))
        found.append(index if c.closed else np.concatenate([[-1], index, [-1]]))
        first += len(c.points)
    return np.concatenate(found)


@dataclass(frozen=True)
class Pieces:
    """Stretches of the outline of about equal length: number of each vertex, and of each piece length and middle (y, x), um."""

    of_vertex: Ints
    length: Floats
    y: Floats
    x: Floats


def pieces(contours: Sequence[Contour], length: float) -> Pieces:
    """Outlines cut into whole numbers of pieces of about `length` um; positions from the first pixel's centre."""
    number, lengths, middles, first = [], [], [], 0
    for c in contours:
        along = np.cumsum(c.shares) - 0.5 * c.shares
        n = max(1, round(float(c.shares.sum()) / length))
        own = np.minimum((along / c.shares.sum() * n).astype(np.int64), n - 1)
        number.append(own + first)
        lengths.append(np.bincount(own, c.shares, n))
        at = [int(np.searchsorted(own, k) + np.searchsorted(own, k, "right")) // 2 for k in range(n)]
        middles.append(c.points[np.minimum(at, len(own) - 1)])
        first += n
    y, x = np.concatenate(middles).T
    return Pieces(np.concatenate(number), np.concatenate(lengths), y, x)
