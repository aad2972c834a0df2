"""Where blocks of two maps would like to lie, beyond where a given transform puts them, on the reference.

The sign and the direction of every length are settled here: `register` compares on the coarser raster, whichever of the two it
is, and what a block asks for there becomes a displacement of the moving map on the reference. Arrays and Transforms only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.maps._map_bend import followed
from ssbmaps.maps._map_fit import climb, model_at
from ssbmaps.maps._map_images import criterion
from ssbmaps.maps._map_misfit import Residuals
from ssbmaps.maps._map_support import support
from ssbmaps.maps._register_find import _CHANCE, _WITHIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._map_images import Stack
    from ssbmaps.maps._mutual import Criterion, Raster
    from ssbmaps.maps._transform import Transform

    Floats = NDArray[np.float64]

_WIDTHS = (4.0, 2.0, 1.0)  # fixed pixels; smoothing from step to step, the first reaches about as far
_AWAY = 1e12  # um; a pixel sent there does not count


@dataclass(frozen=True)
class Left:
    """What a transform leaves: `blocks` in um on the reference, none unless the maps are seen to belong together near there."""

    blocks: Residuals
    support: float  # share of blocks whose held-out evidence speaks for that

    def chances(self) -> Floats:
        """How often each block would show this much if it lay where it should."""
        return self.blocks.p_values() if len(self.blocks.places) else np.empty(0)


def left_over(reference: Stack, moving: Stack, transform: Transform) -> Left:
    """Displacements of the moving map, um on the reference, that its blocks ask for."""
    onward = float(np.prod(moving.raster.pixel)) > float(np.prod(reference.raster.pixel))
    fixed, sampled = (moving, reference) if onward else (reference, moving)
    best, at, whole = _approach(fixed, sampled, *_placed(fixed.raster, transform, onward))
    seen = support(at, whole)
    if seen.chance(float(_WITHIN)) >= _CHANCE:
        nothing = np.empty((0, 2))
        return Left(Residuals(nothing, nothing, np.empty((0, 2, 2))), seen.share)
    if len(best.places) == 0:
        return Left(best, seen.share)
    if onward:
        y, x = _run_on(transform, best.places[:, 0], best.places[:, 1])
        return Left(replace(best, places=np.column_stack([y, x])), seen.share)
    origin = transform._origin(best.places[:, 0], best.places[:, 1])
    turn = -_slopes(transform, *origin)  # what lies `shift` further on the moving map must go back by that
    shifts = np.einsum("bij,bj->bi", turn, best.shifts)
    covariances = np.einsum("bij,bjk,blk->bil", turn, best.covariances, turn)
    return Left(Residuals(best.places, shifts, covariances), seen.share)


def _placed(fixed: Raster, transform: Transform, onward: bool) -> tuple[Floats, Floats]:
    """The transform from um of the fixed raster to um of the sampled one: matrix (2, 3), and (y, x, 2) um added to it."""
    matrix = transform.matrix if onward else np.linalg.inv(transform.matrix)
    if transform._field is None:
        return np.asarray(matrix[:2], np.float64), np.zeros((0, 0, 2))
    rows, columns = (f + p * np.arange(n) for f, p, n in zip(fixed.first, fixed.pixel, fixed.shape, strict=True))
    y, x = np.meshgrid(rows, columns, indexing="ij")
    there = np.stack(transform._moved(y, x) if onward else transform._origin(y, x), axis=-1)
    known = np.isfinite(there[..., 0] if onward else transform._moved(there[..., 0], there[..., 1])[0])
    plain = np.stack([y, x, np.ones_like(y)], axis=-1) @ matrix[:2].T
    return np.asarray(matrix[:2], np.float64), np.where(known[..., None], there - plain, _AWAY)


def _approach(fixed: Stack, sampled: Stack, matrix: Floats, bend: Floats) -> tuple[Residuals, Criterion, Floats]:
    """Displacements on the sampled raster; the criterion at which they are reached, and its G.

    A block's own Newton step holds for less than a pixel. So the whole map climbs to its best affine place first, from smooth to
    sharp; if blocks lie away from there, a smooth field carries them further. Each block's step then ends where the block lies
    best, whatever led there, and is counted from where the transform put it.
    """
    pixel = min(fixed.raster.pixel)
    best = matrix
    for width in _WIDTHS:
        every = int(width)  # as many pixels as the smoothing leaves independent
        thin = bend[every // 2 :: every, every // 2 :: every]
        at = replace(criterion(fixed, sampled, width * pixel, stride=every), bend=np.ascontiguousarray(thin))
        kind = model_at("affine", at)
        best = kind.map(climb(at, kind, best)[0])[0] @ at.fixed.normal
    g = at.parameters(best)
    rest, at = followed(at, g, fixed.raster)
    led = np.column_stack([rest.places, np.ones(len(rest.places))]) @ (best - matrix).T
    return replace(rest, shifts=rest.shifts + led), at, g


def _slopes(transform: Transform, y: Floats, x: Floats) -> Floats:
    """(…, 2, 2): how a place on the reference moves with the place on the moving map."""
    linear = transform.matrix[:2, :2]
    field: Any = transform._field
    return np.asarray(np.broadcast_to(linear, (*y.shape, 2, 2)) if field is None else linear + field.slopes(y, x))


def _run_on(transform: Transform, y: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Where places of the moving map lie on the reference; a displacement runs on where it is not known."""
    m, field = transform.matrix, transform._field
    there = [m[i, 0] * y + m[i, 1] * x + m[i, 2] for i in (0, 1)]
    if field is not None:
        there = [t + s for t, s in zip(there, field.at(y, x), strict=True)]
    return there[0], there[1]
