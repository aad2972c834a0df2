"""Counts split into parts, each seen against an outline found in the others: scans with their drift, thinned counts, or pixels.

Mask and profile from the same counts make the edge too sharp and thin shells too thick; here no count helps to place the edge
against which it is measured.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._across import FOLDS, Across
from ssbmaps.interfaces._contour import nearest
from ssbmaps.interfaces._outline import centres, moved, placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Frame
    from ssbmaps.interfaces._contour import Contour

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

TOGETHER = 0.2  # pixels of drift within which consecutive scans are seen as one


@dataclass(frozen=True)
class View:
    """One part of the counts: values and variance (C, y, x) on the map's own pixels, which of them it holds, and its place.

    Adding `shift` (um) to the pixels' places brings them to the common frame, `steps` (whole pixels) to the nearest pixel there.
    """

    fold: int
    share: float
    values: NDArray[np.floating]
    variance: Floats | None
    held: Bools | None
    shift: Floats
    steps: Ints


def by_scans(counts: NDArray[np.generic], channels: Sequence[int], shifts: Floats, pixel: tuple[float, float]) -> list[View]:
    """Views of (scan, C, y, x) counts: consecutive scans make a fold, and in it those within a fraction of a pixel a view."""
    views = []
    for fold, scans in enumerate(np.array_split(np.arange(len(counts)), FOLDS)):
        for group in _runs(scans, shifts / np.asarray(pixel)):
            shift = shifts[group].mean(axis=0)
            values = np.stack([counts[group, c].sum(axis=0, dtype=np.float32) for c in channels])
            views.append(View(fold, len(group) / len(counts), values, None, None, shift, whole_steps(shift, pixel)))
    return views


def whole_steps(shifts: Floats, pixel: tuple[float, float]) -> Ints:
    """Shifts (…, 2) in um as whole pixels."""
    return np.asarray(np.rint(shifts / np.asarray(pixel)), np.int64)


def totals(counts: NDArray[np.generic], shifts: Floats, pixel: tuple[float, float]) -> tuple[Ints, Bools]:
    """Sums (C, y, x) of (scan, C, y, x) counts, each scan moved by whole pixels, and the pixels that all scans cover."""
    steps = whole_steps(shifts, pixel)
    covered = np.ones(counts.shape[2:], bool)
    if not steps.any():
        return counts.sum(axis=0, dtype=np.int64), covered
    total = np.zeros(counts.shape[1:], np.int64)
    for scan, step in zip(counts, steps, strict=True):
        to, of = overlap(step, covered.shape)
        total[:, *to] += scan[:, *of].astype(np.int64)
        here = np.zeros_like(covered)
        here[to] = True
        covered &= here
    return total, covered


def _runs(scans: Ints, shifts: Floats) -> list[Ints]:
    """Consecutive scans cut wherever one lies too far from the first of its group."""
    groups: list[list[int]] = []
    for k in scans.tolist():
        if groups and np.hypot(*(shifts[k] - shifts[groups[-1][0]])) <= TOGETHER:
            groups[-1].append(k)
        else:
            groups.append([k])
    return [np.array(g) for g in groups]


def by_thinning(counts: NDArray[np.generic], rng: np.random.Generator) -> list[View]:
    """Views of (C, y, x) counts, each count given to one of them at random: parts of Poisson counts are independent."""
    left = np.asarray(counts).astype(np.int64)
    views = []
    for fold in range(FOLDS):
        part = rng.binomial(left, 1 / (FOLDS - fold)) if fold < FOLDS - 1 else left
        left = left - part
        views.append(View(fold, 1 / FOLDS, part.astype(np.float32), None, None, np.zeros(2), np.zeros(2, np.int64)))
    return views


def by_pixels(values: Floats, variance: Floats, rng: np.random.Generator) -> list[View]:
    """Views of (C, y, x) values whose noise differs from pixel to pixel: each pixel belongs to one of them."""
    fold = rng.integers(FOLDS, size=values.shape[1:])
    still = np.zeros(2), np.zeros(2, np.int64)
    return [View(k, 1.0, values, variance, fold == k, *still) for k in range(FOLDS)]


def gathered(views: Sequence[View], channels: Sequence[int], known: Bools) -> Floats:
    """Sum (y, x) of channels over views in the common frame, NaN where a view has no pixel or none is `known`."""
    total = np.zeros(known.shape)
    for view in views:
        own = view.values[list(channels)].sum(axis=0, dtype=np.float64)
        if view.held is not None:
            total = np.where(view.held, own, total)
        else:
            total += stepped(own, view.steps)
    if views and views[0].held is not None:
        held = np.any([v.held for v in views if v.held is not None], axis=0)
        total[~held] = np.nan
    return np.where(known, total, np.nan)


def stepped(values: Floats, steps: Ints) -> Floats:
    """A map moved by whole pixels; NaN where it has none."""
    if not steps.any():
        return values
    result = np.full(values.shape, np.nan)
    to, of = overlap(steps, values.shape)
    result[to] = values[of]
    return result


def overlap(steps: Ints, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a map moved by whole pixels lands, and what of it does."""
    ends = [(int(k), n) for k, n in zip(steps, shape, strict=True)]
    to = tuple(slice(max(k, 0), max(n + min(k, 0), 0)) for k, n in ends)
    of = tuple(slice(max(-k, 0), max(n - max(k, 0), 0)) for k, n in ends)
    return to, of


@dataclass(frozen=True)
class Seen:
    """All entries of all views: number of the view, pixel of the map and of the frame, distance, vertex of the outline."""

    view: NDArray[np.int16]
    own: Ints
    at: Ints
    s: Floats
    share: Floats
    vertex: Ints
    fold: NDArray[np.int8]


def seen(
    views: Sequence[View],
    frame: Frame,
    mask: Bools,
    usable: Bools,
    outlines: Sequence[tuple[Sequence[Contour], Floats, str]],
    reach: float,
    rng: np.random.Generator,
) -> Seen:
    """Distances of the `usable` pixels (of the frame) within `reach` um, each view against the outline of its fold.

    `outlines` holds for each fold the polygons and how far the image they were found in lay from the common frame, um.
    """
    points = centres(mask.shape, frame.pixel)

    def one(fold: int) -> list[tuple[int, Ints, Ints, Floats, Ints]]:
        mine = [i for i, v in enumerate(views) if v.fold == fold]
        near = {i: _near(views[i], frame, usable, reach) for i in mine}
        pixels = np.unique(np.concatenate([own for own, _ in near.values()]))
        contours, behind, _ = outlines[fold]
        middle = np.average([views[i].shift for i in mine], axis=0, weights=[views[i].share for i in mine])
        place = placed(points[pixels] + (middle - behind), mask, contours, frame.pixel)
        normals = np.concatenate([c.normals for c in contours])
        parts = []
        for i in mine:
            own, at = near[i]
            index = np.searchsorted(pixels, own)
            vertex = place.vertex[index]
            # views of a fold lie fractions of a pixel apart: what that moves, it moves along the normal
            s = place.s[index] + normals[vertex] @ (views[i].shift - middle)
            kept = (np.abs(s) <= reach) & (vertex >= 0)
            parts.append((i, own[kept], at[kept], s[kept], vertex[kept]))
        return parts

    with ThreadPoolExecutor(2) as pool:
        found = [part for parts in pool.map(one, sorted({v.fold for v in views})) for part in parts]
    n = [len(own) for _, own, *_ in found]
    own, at, s, vertex = (np.concatenate([part[k] for part in found]) for k in range(1, 5))
    return Seen(
        view=np.repeat(np.array([i for i, *_ in found], np.int16), n),
        own=own,
        at=at,
        s=s,
        share=np.repeat([views[i].share for i, *_ in found], n),
        vertex=vertex,
        fold=rng.integers(FOLDS, size=len(s)).astype(np.int8),
    )


def _near(view: View, frame: Frame, usable: Bools, reach: float) -> tuple[Ints, Ints]:
    """Pixels of a view that lie on usable ones of the frame within `reach` um of an edge, and a little more; and these."""
    shape = usable.shape
    row, column = (np.indices(shape).reshape(2, -1).T + view.steps).T
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    at = np.where(inside, row * shape[1] + column, 0)
    # two pixels more than the reach leave room for what moves between folds
    near = inside & usable.ravel()[at] & (np.abs(frame.distance.ravel()[at]) <= reach + 2 * frame.size)
    if view.held is not None:
        near &= view.held.ravel()
    own = np.flatnonzero(near)
    return own, np.asarray(at[own], np.int64)


def outlines_of(
    views: Sequence[View],
    start: Sequence[Contour],
    core: Sequence[int],
    asked: Bools,
    pixel: tuple[float, float],
    width: float,
    *,
    subject: str,
) -> list[tuple[list[Contour], Floats, str]]:
    """Outline of each fold, found in all others, the mean displacement of what it was found in, and what to warn of.

    Last comes that of all together. `asked` (y, x) are the pixels of the frame in which the image is consulted.
    """

    away = nearest(centres(asked.shape, pixel), start).distance

    def one(fold: int) -> tuple[list[Contour], Floats, str]:
        others = [v for v in views if v.fold != fold]
        image = gathered(others, core, asked)
        weights = [v.share for v in others]
        behind = np.average([v.shift - v.steps * np.asarray(pixel) for v in others], axis=0, weights=weights)
        contours, note = moved(start, image, pixel, width, subject=subject, away=away)
        return contours, behind, note

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(FOLDS + 1)))


def field_of(
    entries: Seen,
    views: Sequence[View],
    frame: Frame,
    groups: Sequence[Sequence[int]],
    kinds: Ints,
    shots: Floats,
) -> Across:
    """Entries with the sums of their channels over each group."""

    def rows(arrays: Sequence[NDArray[np.floating]]) -> Floats:
        parts = []
        for number, array in enumerate(arrays):
            own = entries.own[entries.view == number]
            parts.append(np.stack([array[list(g)].reshape(len(g), -1)[:, own].sum(axis=0, dtype=np.float64) for g in groups]))
        return np.concatenate(parts, axis=1)

    variance = None if views[0].variance is None else rows([v.variance for v in views])  # type: ignore[misc]
    return Across(
        frame, entries.at, entries.s, entries.share, rows([v.values for v in views]), variance, kinds, shots, entries.fold
    )
