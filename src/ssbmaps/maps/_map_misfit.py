"""What an affine map leaves over: a displacement of each block with its error, their test against none, and a smooth field.

Each block's displacement is one Newton step of its own log odds; its error comes from the scatter of the scores within the
block. The field is the mean of a Gaussian process through them, whose width and length are those of largest likelihood, so that
it returns to the affine map, with the error of not knowing, where the blocks say nothing (Rasmussen & Williams, Gaussian
Processes for Machine Learning, MIT Press 2006, chapter 2). Arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._map_error import blocks
from ssbmaps.maps._map_images import criterion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._map_images import Stack
    from ssbmaps.maps._mutual import Criterion

    Floats = NDArray[np.float64]

_ALONG = (2, 8)  # blocks along a side, and
_SIDE = 24  # px, how long they are at least: sub-blocks must be longer than what smoothing ties together
_PARTS = 3  # sub-blocks along the side of a block, for the error of its score
_GAIN = 3.0  # of log likelihood, by which a field must explain the blocks better than none
_ROUNDS = 4
_WIDTHS = np.geomspace(0.02, 4, 12)  # of the field, in steps of the raster of blocks' median error … below
_LENGTHS = (0.1, 0.15, 0.22, 0.33, 0.5, 0.75)  # of the field, in longer sides of the fixed raster
_FULL = 0.25  # share of a block's pixels that must count
_FLOOR = 0.005  # of a block's p: how much a single one can say
_FAR = 16.0  # sampled pixels; a Newton step further than this says nothing


@dataclass(frozen=True)
class Residuals:
    """Blocks of the fixed raster that say something: their middles (B, 2) um, displacements (B, 2) um, covariances (B, 2, 2)."""

    places: Floats
    shifts: Floats
    covariances: Floats

    def p_values(self) -> Floats:
        """Of each block to lie where it should, by Hotelling's T² with the scatter of its parts."""
        from scipy.stats import f

        n = _PARTS**2
        t2 = np.einsum("bi,bij,bj->b", self.shifts, np.linalg.inv(self.covariances), self.shifts)
        return np.asarray(f.sf(t2 * (n - 2) / (2 * (n - 1)), 2, n - 2))

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
        """Root mean square displacement beyond the blocks' own errors, um (0 if there is none)."""
        if len(self.places) == 0:
            return 0.0
        weight = 1 / np.trace(self.covariances, axis1=1, axis2=2)
        beyond = (self.shifts**2).sum(axis=1) - np.trace(self.covariances, axis1=1, axis2=2) * _STUDENT
        return float(np.sqrt(max((weight * beyond).sum() / weight.sum(), 0.0)))


_STUDENT = (_PARTS**2 - 1) / (_PARTS**2 - 3)  # a variance estimated from few parts is exceeded that much on average


def residuals(at: Criterion, g: Floats) -> Residuals:
    """Displacement of each block of `at` (its bend included) from where G puts it."""
    tables = at.tables(g)
    along = int(np.clip(min(at.fixed.shape) // _SIDE, *_ALONG))
    fine = blocks(at, along * _PARTS)
    coarse = blocks(at, along)
    parent = np.zeros((along * _PARTS) ** 2, np.int64)
    parent[fine] = coarse
    step = 0.5 * np.array(at.sampled.pixel)
    _, gradient, number = at.scores(g, tables, fine)
    score = gradient[:, :, [2, 5]].sum(axis=0)
    counted = number[0]
    curve = np.zeros((len(score), 2, 2))
    for axis in (0, 1):
        ends = []
        for sign in (1, -1):
            moved = g.copy()
            moved[axis, 2] += sign * step[axis]
            ends.append(at.scores(moved, tables, fine)[1][:, :, [2, 5]].sum(axis=0))
        curve[:, axis] = (ends[1] - ends[0]) / (2 * step[axis])
    places, shifts, covariances = [], [], []
    whole = np.bincount(coarse.ravel(), minlength=along**2)
    rows, columns = np.meshgrid(*map(np.arange, coarse.shape), indexing="ij")
    for b in range(along**2):
        mine = (parent[: len(score)] == b) & (counted > 0)
        n = int(mine.sum())
        if counted[mine].sum() < _FULL * whole[b] or n < 4:
            continue
        bend = curve[mine].sum(axis=0)
        bend = (bend + bend.T) / 2
        if np.linalg.eigvalsh(bend)[0] <= 0:
            continue
        inverse = np.linalg.inv(bend)
        scatter = n * np.cov(score[mine].T)
        shift, spread = inverse @ score[mine].sum(axis=0), inverse @ scatter @ inverse
        if np.linalg.eigvalsh(spread)[0] <= 0 or (np.abs(shift) > _FAR * np.array(at.sampled.pixel)).any():
            continue
        inside = coarse == b
        middle = at.fixed.to_um @ np.array([rows[inside].mean(), columns[inside].mean(), 1.0])
        places.append(middle[:2])
        shifts.append(shift)
        covariances.append(spread)
    return Residuals(np.array(places).reshape(-1, 2), np.array(shifts).reshape(-1, 2), np.array(covariances).reshape(-1, 2, 2))


@dataclass(frozen=True)
class Field:
    """A smooth displacement: width and length (um) of the process, and what it was conditioned on."""

    width: float
    length: float
    known: Residuals

    def at(self, places: Floats) -> tuple[Floats, Floats]:
        """Displacement (N, 2) and standard deviation (N, 2), um, at places (N, 2) um of the fixed raster."""
        if self.width == 0:
            return np.zeros_like(places), np.zeros_like(places)
        whole = _covariance(self.known, self.width, self.length)
        cross = self.width**2 * _kernel(places, self.known.places, self.length)  # (N, B)
        b = len(self.known.places)
        solved = np.linalg.solve(whole, np.column_stack([self.known.shifts.T.ravel(), np.eye(2 * b)]))
        mean = np.column_stack([cross @ solved[:b, 0], cross @ solved[b:, 0]])
        inverse = solved[:, 1:]
        var = [self.width**2 - np.einsum("nb,bc,nc->n", cross, inverse[s, s], cross) for s in (slice(0, b), slice(b, 2 * b))]
        return mean, np.sqrt(np.maximum(np.column_stack(var), 0.0))


def _kernel(a: Floats, b: Floats, length: float) -> Floats:
    square = ((a[:, None] - b[None]) ** 2).sum(axis=-1)
    return np.asarray(np.exp(-square / (2 * length**2)))


def _covariance(known: Residuals, width: float, length: float) -> Floats:
    """(2 B, 2 B): all displacements along y, then all along x."""
    b = len(known.places)
    smooth = width**2 * _kernel(known.places, known.places, length)
    whole = np.zeros((2 * b, 2 * b))
    whole[:b, :b] = whole[b:, b:] = smooth
    for i in (0, 1):
        for j in (0, 1):
            whole[np.arange(b) + i * b, np.arange(b) + j * b] += known.covariances[:, i, j] * _STUDENT
    return whole


def smooth(known: Residuals, side: float) -> Field:
    """The field of largest likelihood; of width 0 if that explains the blocks as well."""
    data = known.shifts.T.ravel()
    typical = float(np.sqrt(np.median((known.shifts**2).sum(axis=1)) + 1e-300))

    def fit(width: float, length: float) -> float:
        whole = _covariance(known, width, length)
        lower = np.linalg.cholesky(whole)
        half = np.linalg.solve(lower, data)
        return float(-0.5 * half @ half - np.log(np.diag(lower)).sum())

    best, chosen = fit(0.0, side), Field(0.0, side, known)
    for length in _LENGTHS:
        for width in typical * _WIDTHS:
            value = fit(float(width), length * side)
            if value > best + (_GAIN if chosen.width == 0 else 0.0):
                best, chosen = value, Field(float(width), length * side, known)
    return chosen


def bend(fixed: Stack, sampled: Stack, matrix: Floats, *, widest: float) -> tuple[Criterion, Field]:
    """The displacement that the blocks ask for beside the affine `matrix`: from smoothing by `widest` um to one pixel."""
    pixel = min(fixed.raster.pixel)
    side = max(n * p for n, p in zip(fixed.raster.shape, fixed.raster.pixel, strict=True))
    nothing = np.empty((0, 2))
    field = Field(0.0, side, Residuals(nothing, nothing, np.empty((0, 2, 2))))
    sigma = max(widest, pixel)
    while True:
        plain = criterion(fixed, sampled, sigma, stride=max(int(sigma / pixel / 2), 1))
        g = np.vstack([matrix, [0, 0, 1]]) @ np.linalg.inv(plain.fixed.normal)
        for _ in range(_ROUNDS):
            at = replace(plain, bend=_on(plain, field))
            rest = residuals(at, g[:2])
            if len(rest.places) < 4:
                break
            moved = field.at(rest.places)[0]
            field = smooth(Residuals(rest.places, rest.shifts + moved, rest.covariances), side)
        if sigma <= pixel:
            return replace(plain, bend=_on(plain, field)), field
        sigma = max(sigma / 2, pixel)


def _on(at: Criterion, field: Field) -> Floats:
    """The field on the fixed raster, (y, x, 2) um."""
    rows, columns = np.indices(at.fixed.shape)
    places = np.asarray(np.column_stack([rows.ravel(), columns.ravel(), np.ones(rows.size)]) @ at.fixed.to_um.T, np.float64)
    return field.at(places[:, :2])[0].reshape(*at.fixed.shape, 2)
