"""What an affine map leaves over: the displacement of each block with its error, and their test against none.

Each block's displacement is one Newton step of its own log odds; its error comes from the scatter of the scores within the
block. Arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._map_error import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._mutual import Criterion

    Floats = NDArray[np.float64]

_ALONG = (2, 8)  # blocks along a side, and
SIDES = (24, 32)  # px, how long they are at least, smoothed by one and by two pixels: what smoothing ties together is less
_PARTS = 3  # sub-blocks along the side of a block, for the error of its score
_SHARED = 8  # degrees of freedom lent to a block's own scatter by that of all
_STEP = 0.1  # fixed pixels; for differences of scores
_FULL = 0.25  # share of a block's pixels that must count
_FLOOR = 0.005  # of a block's p: how much a single one can say
_OUTER = 9.210  # 99 % of chi-squared with two degrees of freedom lie below
_WAVE = 0.2  # fixed pixels; height of the wave that blocks are asked to follow
_SHARES = (0.1, 1.5)  # of it that they are believed to follow
_FAR = 16.0  # sampled pixels; a Newton step further than this says nothing


@dataclass(frozen=True)
class Residuals:
    """Blocks of the fixed raster that say something: their places (B, 2) um, displacements (B, 2) um, covariances (B, 2, 2)."""

    places: Floats
    shifts: Floats
    covariances: Floats

    def over(self, share: float) -> Residuals:
        """The same of blocks that follow a displacement by `share` only."""
        return Residuals(self.places, self.shifts / share, self.covariances / share**2)

    def p_values(self) -> Floats:
        """Of each block to lie where it should, by Hotelling's T² with the scatter of its parts."""
        from scipy.stats import f

        t2 = np.einsum("bi,bij,bj->b", self.shifts, np.linalg.inv(self.covariances), self.shifts)
        return np.asarray(f.sf(t2 * (_FREEDOM - 1) / (2 * _FREEDOM), 2, _FREEDOM - 1))

    def chance(self) -> float:
        """How often blocks that lie where they should would show this much or more: Fisher's sum, no p taken below 0.005.

        One wild block alone proves nothing; the floor makes the sum smaller, so that the chance is not understated.
        """
        from scipy.stats import chi2

        if len(self.places) == 0:
            return 1.0
        each = np.maximum(self.p_values(), _FLOOR)
        return float(chi2.sf(-2 * np.log(each).sum(), 2 * len(each)))

    def excess(self) -> float:
        """Root mean square displacement beyond the blocks' own errors, um (0 if there is none).

        As much as must be added to the errors for the blocks to lie within them (Paule & Mandel, J. Res. Natl. Bur. Stand. 87
        (1982) 377, doi 10.6028/jres.087.022), no block counted for more than the 99 % region.
        """
        from scipy.optimize import brentq

        if len(self.places) == 0:
            return 0.0

        def beyond(variance: float) -> float:
            whole = self.covariances * STUDENT + variance * np.eye(2)
            square = np.einsum("bi,bij,bj->b", self.shifts, np.linalg.inv(whole), self.shifts)
            return float(np.minimum(square, _OUTER).mean() - 2 * (1 - np.exp(-_OUTER / 2)))

        if beyond(0.0) <= 0:
            return 0.0
        return float(np.sqrt(2 * brentq(beyond, 0.0, float((self.shifts**2).sum()))))


_FREEDOM = _PARTS**2 - 1 + _SHARED  # of a block's error
STUDENT = _FREEDOM / (_FREEDOM - 2)  # a variance estimated from few parts is exceeded that much on average


def residuals(at: Criterion, g: Floats, side: int = SIDES[0]) -> Residuals:
    """Displacement of each block of `at` (its bend included) from where G puts it; blocks are `side` px long or longer.

    Where the edges in a block are is where its displacement is known: its place is the middle of its curvature. The scatter of
    few parts alone would call some blocks far too sure; it is averaged with what the curvature says, in the ratio that the
    blocks have on the whole (the dispersion of a quasi-likelihood).
    """
    along = int(np.clip(min(at.fixed.shape) // side, *_ALONG))
    fine, coarse = blocks(at, along * _PARTS), blocks(at, along)
    score, curve, counted = _parts(at, g, fine)
    whole = np.bincount(coarse.ravel(), minlength=along**2)
    parent = np.zeros((along * _PARTS) ** 2, np.int64)
    parent[fine] = coarse
    middles = _middles(at, fine, len(parent))
    places, totals, bends, meats = [], [], [], []
    for b in range(along**2):
        mine = np.flatnonzero((parent[: len(score)] == b) & (counted > 0))
        if counted[mine].sum() < _FULL * whole[b] or len(mine) < 4:
            continue
        bend = curve[mine].sum(axis=0)
        if np.linalg.eigvalsh(bend)[0] <= 0:
            continue
        weight = np.maximum(np.trace(curve[mine], axis1=1, axis2=2), 0.0)
        places.append(weight @ middles[mine] / weight.sum())
        totals.append(score[mine].sum(axis=0))
        bends.append(bend)
        meats.append(len(mine) * np.cov(score[mine].T))
    if not places:
        return Residuals(np.empty((0, 2)), np.empty((0, 2)), np.empty((0, 2, 2)))
    inverse, meat = np.linalg.inv(bends), np.array(meats)
    dispersion = np.median(np.trace(meat @ inverse, axis1=1, axis2=2)) / 2
    meat = (meat * (_PARTS**2 - 1) + dispersion * np.array(bends) * _SHARED) / _FREEDOM
    shifts, spread = np.einsum("bij,bj->bi", inverse, totals), inverse @ meat @ inverse
    good = (np.abs(shifts) <= _FAR * np.array(at.sampled.pixel)).all(axis=1) & (np.linalg.eigvalsh(spread)[:, 0] > 0)
    return Residuals(np.array(places)[good], shifts[good], spread[good])


def response(at: Criterion, g: Floats, side: int = SIDES[0]) -> float:
    """Which share of a displacement the blocks of `at` follow when all pixels are displaced by a small wave, as long as the map.

    Less than 1: the joint histograms are made of the displaced pixels, too, and forgive some of it; of a block's own small
    steps, by which its curvature is measured, they hardly know. Each displacement and its error is too small by as much.
    """
    height = _WAVE * min(at.fixed.pixel)
    whole = np.indices(at.fixed.shape).reshape(2, -1).T
    places = np.asarray(np.column_stack([whole, np.ones(len(whole))]) @ at.fixed.to_um[:2].T, np.float64)
    bend = at.bend if at.bend.size else np.zeros((*at.fixed.shape, 2))
    along, full = 0.0, 0.0
    for phase in (0.0, np.pi / 2):
        for sign in (1, -1):
            wave = _wave(at, places, sign * height, phase).reshape(*at.fixed.shape, 2)
            seen = residuals(replace(at, bend=bend + wave), g, side)
            asked, weight = _wave(at, seen.places, sign * height, phase), np.linalg.inv(seen.covariances)
            along -= float(np.einsum("bi,bij,bj->", seen.shifts, weight, asked))
            full += float(np.einsum("bi,bij,bj->", asked, weight, asked))
    return float(np.clip(along / full, *_SHARES)) if full > 0 else 1.0


def _wave(at: Criterion, places: Floats, height: float, phase: float) -> Floats:
    """A displacement (N, 2) um at places (N, 2) um that waves once over each side, along y with x and along x with y."""
    inner = places @ at.fixed.normal[:2, :2].T + at.fixed.normal[:2, 2]
    return np.asarray(height * np.sin(np.pi * inner[:, ::-1] + phase), np.float64)


def _parts(at: Criterion, g: Floats, block: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """By small block: the score (N, 2) of a displacement, its curvature (N, 2, 2), and how many pixels count."""
    tables, step = at.tables(g), _STEP * min(at.fixed.pixel)

    def scores(where: Floats) -> tuple[Floats, Floats]:
        _, gradient, number = at.scores(where, tables, block)
        return gradient[:, :, [2, 5]].sum(axis=0), number[0]

    score, counted = scores(g)
    curve = np.zeros((len(score), 2, 2))
    for axis in (0, 1):
        moved = np.zeros((2, 3))
        moved[axis, 2] = step
        curve[:, axis] = (scores(g - moved)[0] - scores(g + moved)[0]) / (2 * step)
    return score, (curve + np.swapaxes(curve, 1, 2)) / 2, counted


def _middles(at: Criterion, block: NDArray[np.int64], size: int) -> Floats:
    """(N, 2) um of the middles of blocks on the fixed raster."""
    number = np.maximum(np.bincount(block.ravel(), minlength=size), 1)
    sums = [np.bincount(block.ravel(), weights=index.ravel(), minlength=size) for index in np.indices(block.shape)]
    return np.asarray((np.stack([*sums, number], axis=1) / number[:, None]) @ at.fixed.to_um[:2].T, np.float64)
