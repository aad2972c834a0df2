"""How well a map between two rasters is known: scores by block and their scatter; where each pair alone would put it.

At the best map the scores (gradients of the log odds) sum to zero. Their scatter from block to block, carried through the
curvature, is the covariance of the parameters whatever the noise is made of; each block counts as what leaving it out would do
(a cluster jackknife: MacKinnon, Nielsen & Webb, J. Appl. Econometrics 38 (2023) 671, doi 10.1002/jae.2969). Arrays only.
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
_MOST = 0.8  # of a direction that one block may hold
_LEAST = 4.0  # degrees of freedom, below which a variance says nothing
_NORMAL = 5.991  # 95 % of chi-squared with two degrees of freedom lie below
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


def covariance(criterion: Criterion, model: MapModel, q: Floats) -> Floats:
    """(P, P) covariance of the parameters, um²; LinAlgError where the map is at no maximum.

    That of a jackknife by blocks, in one Newton step each: a block that alone holds a direction pulls the map its way, so its
    score is small, but leaving it out moves the map far. Widened so that the 95 % region of even noise covers as much although
    few blocks carry the scatter.
    """
    g, jacobian = model.map(q)
    block = blocks(criterion)
    tables = criterion.tables(g)
    _, gradient, number = criterion.scores(g, tables, block)
    here = number[0] > 0
    pixels = np.maximum(number.sum(axis=1), 1)  # the criterion sums means over pixels
    per_pixel = (gradient / pixels[:, None, None]).sum(axis=0)
    score = per_pixel[here] @ jacobian
    whole = curvature(criterion, model, q)
    parts = _block_curvatures(criterion, g, tables, block, per_pixel, pixels)[here] @ jacobian
    moved = _left_out(whole, np.swapaxes(jacobian, 0, 1) @ parts, score - score.mean(axis=0))
    moved -= moved.mean(axis=0)
    return np.asarray(moved.T @ moved * _widened(moved, jacobian), np.float64)


def _block_curvatures(
    criterion: Criterion, g: Floats, tables: list[Floats], block: NDArray[np.int64], here: Floats, pixels: Floats
) -> Floats:
    """(B, 6, 6): by block, what the log odds lose with the square of a shift, carried to the entries by where the block lies."""
    step = _STEP * min(criterion.fixed.pixel)
    curve = np.zeros((len(here), 2, 2))
    for axis in (0, 1):
        moved = g.copy()
        moved[axis, 2] += step
        there = (criterion.scores(moved, tables, block)[1] / pixels[:, None, None]).sum(axis=0)
        curve[:, axis] = (here - there)[:, [2, 5]] / step
    values, axes = np.linalg.eigh((curve + np.swapaxes(curve, 1, 2)) / 2)
    curve = (axes * np.maximum(values, 0.0)[:, None, :]) @ np.swapaxes(axes, 1, 2)
    number = np.maximum(np.bincount(block.ravel(), minlength=len(here)), 1)
    middles = [np.bincount(block.ravel(), i.ravel(), len(here)) / number for i in np.indices(block.shape)]
    places = np.stack([*middles, np.ones(len(here))], axis=1) @ (criterion.fixed.normal @ criterion.fixed.to_um).T
    return np.asarray(np.einsum("bij,bk,bl->bikjl", curve, places, places).reshape(-1, 6, 6), np.float64)


def _left_out(whole: Floats, parts: Floats, score: Floats) -> Floats:
    """(B, P): how far the best map moves when each block is left out; `parts` (B, P, P) share out the curvature `whole`."""
    inner = np.linalg.inv(np.linalg.cholesky(whole))  # a LinAlgError where the map is not at its best
    shares = inner @ parts @ inner.T
    values, axes = np.linalg.eigh(shares.sum(axis=0))
    even = (axes / np.sqrt(np.maximum(values, 1e-6 * values[-1]))) @ axes.T
    values, axes = np.linalg.eigh(even @ shares @ even)  # shares that add up to 1
    own = np.einsum("bij,jk,bk->bi", np.swapaxes(axes, 1, 2), inner, score) / (1 - np.clip(values, 0.0, _MOST))
    return np.asarray(-np.einsum("bij,bj->bi", axes, own) @ inner, np.float64)


def _widened(moved: Floats, jacobian: Floats) -> float:
    """By how much a variance of few contributions must grow: Hotelling's region over the normal one, both of 95 %.

    The degrees of freedom are those of a mean of even contributions that scatters like that of `moved` (Satterthwaite).
    """
    from scipy.stats import f

    entries = np.einsum("bp,ep->be", moved, jacobian).reshape(len(moved), 2, 3)
    places = np.array([(u, v, 1) for u in (-0.8, 0, 0.8) for v in (-0.8, 0, 0.8)])
    square = ((entries @ places.T) ** 2).sum(axis=(1, 2))
    freedom = max(2 * square.sum() ** 2 / (square**2).sum(), _LEAST)
    return float(2 * freedom / (freedom - 1) * f.ppf(0.95, 2, freedom - 1) / _NORMAL)


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
