"""How well a map between two rasters is known: scores by block and their scatter; where each pair alone would put it.

At the best map the scores (gradients of the log odds) sum to zero. Their scatter from block to block, carried through the
curvature, is the covariance of the parameters whatever the noise is made of (Huber's sandwich, with blocks as clusters: White,
Econometrica 50 (1982) 1, doi 10.2307/1912526). Arrays only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._map_models import MapModel
    from ssbmaps.maps._mutual import Criterion

    Floats = NDArray[np.float64]

BLOCKS = 8  # along each side
_STEP = 0.05  # fixed pixels; for differences of gradients: with a quarter, edges one pixel wide look half as sharp
_ROUNDS, _REST = 30, 0.02  # steps of a pair on its own, and how small the last one is, sampled pixels


def blocks(criterion: Criterion, along: int = BLOCKS) -> NDArray[np.int64]:
    """Numbers 0 … along² − 1 of square-ish blocks of the fixed raster."""
    ny, nx = criterion.fixed.shape
    rows, columns = (np.minimum(np.arange(n) * along // n, along - 1) for n in (ny, nx))
    return np.asarray(rows[:, None] * along + columns[None, :], np.int64)


def curvature(criterion: Criterion, model: MapModel, q: Floats) -> Floats:
    """(P, P) second derivatives of minus the mutual information per pixel, by differences of its gradient."""
    step = _STEP * min(criterion.fixed.pixel)

    def gradient(change: Floats) -> Floats:
        g, jacobian = model.map(q + change)
        return np.asarray(criterion.value(g)[1] @ jacobian)

    here = gradient(np.zeros(model.size))
    hessian = np.array([here - gradient(change) for change in step * np.eye(model.size)]) / step
    return np.asarray((hessian + hessian.T) / 2)


def covariance(criterion: Criterion, model: MapModel, q: Floats) -> tuple[Floats, int]:
    """(P, P) covariance of the parameters, um²; and how many blocks with a tenth of their pixels or more took part."""
    g, jacobian = model.map(q)
    block = blocks(criterion)
    _, gradient, number = criterion.scores(g, criterion.tables(g), block)
    per_pixel = gradient / np.maximum(number.sum(axis=1), 1)[:, None, None]  # the criterion sums means over pixels
    score = per_pixel.sum(axis=0) @ jacobian
    used = number[0] > 0.1 * np.bincount(block.ravel()).mean()
    score = score[number[0] > 0]
    score = score - score.mean(axis=0)
    size = int(used.sum())
    bread = np.linalg.inv(curvature(criterion, model, q))
    meat = score.T @ score * size / max(size - model.size, 1)
    return bread @ meat @ bread, size


def pair_shifts(criterion: Criterion, g: Floats) -> tuple[Floats, Floats]:
    """For each pair alone, how far (P, 2) um on the sampled raster it would move the map, and its covariance (P, 2, 2).

    One Newton step of its own log odds with the rest of the map held; NaN for a pair without curvature.
    """
    tables, block = criterion.tables(g), blocks(criterion)
    score = criterion.scores(g, tables, block)[1][:, :, [2, 5]]
    step = 0.5 * np.array(criterion.sampled.pixel)
    curve = np.zeros((len(score), 2, 2))
    for axis in (0, 1):
        ends = []
        for sign in (1, -1):
            moved = g.copy()
            moved[axis, 2] += sign * step[axis]
            ends.append(criterion.scores(moved, tables, block)[1][:, :, [2, 5]].sum(axis=1))
        curve[:, axis] = (ends[1] - ends[0]) / (2 * step[axis])
    shifts, spreads = np.full((len(score), 2), np.nan), np.full((len(score), 2, 2), np.nan)
    for i, (own, bend) in enumerate(zip(score, (curve + np.swapaxes(curve, 1, 2)) / 2, strict=True)):
        if np.linalg.eigvalsh(bend)[0] > 0:
            inverse = np.linalg.inv(bend)
            used = own[np.any(own != 0, axis=1)]
            shifts[i] = inverse @ own.sum(axis=0)
            spreads[i] = inverse @ (len(used) * np.cov(used.T)) @ inverse
    return shifts, spreads


def settled(criterion: Criterion, g: Floats) -> tuple[Floats, Floats]:
    """As `pair_shifts`, but each pair alone is followed to where it comes to rest, a sampled pixel at a time."""
    pixel = np.array(criterion.sampled.pixel)
    shifts, spreads = np.full((len(criterion.pairs), 2), np.nan), np.full((len(criterion.pairs), 2, 2), np.nan)
    for i, one in enumerate(criterion.pairs):
        alone, here = replace(criterion, pairs=(one,)), g.copy()
        for _ in range(_ROUNDS):
            step, spread = pair_shifts(alone, here)
            if not np.isfinite(step).all():
                break
            here[:, 2] += np.clip(step[0], -pixel, pixel)
            if (np.abs(step[0]) < _REST * pixel).all():
                shifts[i], spreads[i] = here[:, 2] - g[:, 2], spread[0]
                break
    return shifts, spreads
