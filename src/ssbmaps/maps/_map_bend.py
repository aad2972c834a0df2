"""A smooth displacement beside an affine map, from what the blocks of a map ask for.

The mean of Gaussian processes through the blocks' displacements, weighted over widths and lengths by their likelihood, so that it
returns to the affine map, with the error of not knowing, where the blocks say nothing. The mean takes the displacement for
smooth throughout, the error does not: where nothing is seen, nobody knows how smooth it is. The affine map's own error is part of
the process: what the blocks correct of it is not counted twice (Rasmussen & Williams, Gaussian Processes for Machine Learning,
MIT Press 2006, chapters 2 and 5). Arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._map_images import criterion
from ssbmaps.maps._map_misfit import SIDES, STUDENT, Residuals, residuals, response

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._map_images import Stack
    from ssbmaps.maps._mutual import Criterion, Raster

    Floats = NDArray[np.float64]

_FAR = 4.0  # of log likelihood below the best, where a process counts no more
_GAIN = 3.0  # of log likelihood, by which a field must explain the blocks better than none
_ROUNDS, _REST = 30, 0.02  # steps of the field, and how small the last one is, of a block's error
_FEW = 4  # blocks
_LED, _UNLIKELY = 3, 0.01  # steps of a field that carries blocks, if their displacements are so unlikely (p)
_WIDTHS = np.geomspace(0.02, 4, 12)  # of the field, in the blocks' median displacement
_LENGTHS = (0.1, 0.15, 0.22, 0.33, 0.5, 0.75)  # of the field, in longer sides of the fixed raster
_REWEIGHT = 5
_MEDIAN, _OUTER = 1.386, 9.210  # of chi-squared with two degrees of freedom: half and 99 % lie below
_LOOSE = 100.0  # times the affine map's covariance: where the truth bends, an affine map lies further off than its error says
_NODES = 64  # along a side


@dataclass(frozen=True)
class Field:
    """A smooth displacement beside an affine map: the mean of processes, each with the weight that the blocks give to it.

    `doubt` is a field through the same blocks that need not be as smooth; with it, the error is told by that one.
    """

    processes: tuple[Process, ...]
    weights: Floats
    doubt: Field | None = None

    @property
    def width(self) -> float:
        """Root mean square width, um; 0 if there is no displacement."""
        return float(np.sqrt(self.weights @ [p.width**2 for p in self.processes]))

    def mean(self, places: Floats) -> Floats:
        """Displacement (N, 2), um, at places (N, 2) um of the fixed raster."""
        return np.asarray(np.einsum("k,kni->ni", self.weights, [p.mean(places) for p in self.processes]))

    def covariance(self, places: Floats) -> Floats:
        """(N, 2, 2) um² of the displacement, the affine map's own error and that of width, length and smoothness included."""
        told = self.doubt or self
        whole = np.einsum("k,knij->nij", told.weights, [p.covariance(places) for p in told.processes])
        apart = np.array([p.mean(places) for p in told.processes]) - self.mean(places)
        return np.asarray(whole + np.einsum("k,kni,knj->nij", told.weights, apart, apart))


@dataclass(frozen=True)
class Process:
    """A smooth displacement beside an affine map of covariance `spread` (6, 6): its width and length, um, and the blocks."""

    width: float
    length: float
    known: Residuals
    spread: Floats
    rough: bool = False  # bends twice at most, as Matérn's of 5/2, instead of as often as one likes

    @cached_property
    def _solved(self) -> tuple[Floats, Floats]:
        """Weights (2 B) of the blocks, all along y first, and the inverse (2 B, 2 B) of their covariance."""
        field = self.width**2 * _kernel(self.known.places, self.known.places, self.length, self.rough)
        inverse = np.asarray(np.linalg.inv(_rest(self.known, self.spread) + np.kron(np.eye(2), field)), np.float64)
        return inverse @ self.known.shifts.T.ravel(), inverse

    def mean(self, places: Floats) -> Floats:
        """Displacement (N, 2), um, at places (N, 2) um of the fixed raster."""
        if self.width == 0:
            return np.zeros_like(places)
        weights = self._solved[0].reshape(2, -1)
        smooth = self.width**2 * _kernel(places, self.known.places, self.length, self.rough) @ weights.T
        entries = self.spread @ np.einsum("bie,ib->e", _entries(self.known.places), weights)
        return np.asarray(smooth + _entries(places) @ entries)

    def covariance(self, places: Floats) -> Floats:
        """(N, 2, 2) um² of the displacement, the affine map's own error included."""
        own, blocks = _entries(places), _entries(self.known.places)
        cross = np.einsum("nie,ef,bjf->nijb", own, self.spread, blocks, optimize=True)
        smooth = self.width**2 * _kernel(places, self.known.places, self.length, self.rough)
        cross[:, 0, 0] += smooth
        cross[:, 1, 1] += smooth
        cross = cross.reshape(len(places), 2, -1)
        prior = own @ self.spread @ np.swapaxes(own, 1, 2) + self.width**2 * np.eye(2)
        return np.asarray(prior - (cross @ self._solved[1]) @ np.swapaxes(cross, 1, 2))

    def left_out(self) -> tuple[Floats, Floats]:
        """How far each block (B, 2) lies from where the others put it, um, and the covariance (B, 2, 2) of that."""
        b = len(self.known.places)
        weights, inverse = self._solved
        own = inverse.reshape(2, b, 2, b)[:, np.arange(b), :, np.arange(b)]
        told = np.asarray(np.linalg.inv(own), np.float64)
        return np.einsum("bij,jb->bi", told, weights.reshape(2, b)), told


def _entries(places: Floats) -> Floats:
    """(N, 2, 6): how a displacement at places moves with the six entries of a map."""
    result = np.zeros((len(places), 2, 6))
    result[:, 0, :2] = result[:, 1, 3:5] = places
    result[:, 0, 2] = result[:, 1, 5] = 1
    return result


def _kernel(a: Floats, b: Floats, length: float, rough: bool) -> Floats:
    square = ((a[:, None] - b[None]) ** 2).sum(axis=-1) / length**2
    if not rough:
        return np.asarray(np.exp(-square / 2))
    root = np.sqrt(5 * square)
    return np.asarray((1 + root + 5 / 3 * square) * np.exp(-root))


def _rest(known: Residuals, spread: Floats) -> Floats:
    """(2 B, 2 B) of what the blocks show without a field: their errors and the affine map's; all along y, then all along x."""
    b, entries = len(known.places), _entries(known.places)
    affine = np.moveaxis(entries, 1, 0).reshape(2 * b, 6)
    whole = affine @ spread @ affine.T
    for i in (0, 1):
        for j in (0, 1):
            whole[np.arange(b) + i * b, np.arange(b) + j * b] += known.covariances[:, i, j] * STUDENT
    return np.asarray(whole, np.float64)


def smooth(known: Residuals, side: float, spread: Floats) -> Field:
    """The field that the blocks ask for; of width 0 if none explains them as well.

    What a block's scatter says of its error is checked against what the other blocks say of its place: errors that are too small
    throughout are scaled, and a block that lies apart is trusted as little as it takes to lie within the 99 % region.
    """
    common, own = 1.0, np.ones(len(known.places))
    for _ in range(_REWEIGHT):
        scale = common * own
        field = _likely(replace(known, covariances=known.covariances * scale[:, None, None]), side, spread)
        off, told = field.processes[0].left_out()
        apart = told + known.covariances * STUDENT * (common - scale)[:, None, None]  # with the block's own distrust taken out
        square = np.einsum("bi,bij,bj->b", off, np.linalg.inv(apart), off)
        common = max(common * float(np.clip(np.median(square) / _MEDIAN, 0.5, 2.0)), 1.0)
        own = np.maximum(square / _OUTER, 1.0)
    return field


def doubted(known: Residuals, side: float, spread: Floats) -> Field:
    """The field that the blocks ask for, with the error of one that need not be as smooth."""
    field = smooth(known, side, spread)
    doubt = _likely(field.processes[0].known, side, spread, rough=True)
    return replace(field, doubt=doubt if min(field.width, doubt.width) > 0 else None)


def _likely(known: Residuals, side: float, spread: Floats, *, rough: bool = False) -> Field:
    """The processes on a grid of widths and lengths, weighted by how likely they make the blocks, the likeliest first."""
    data, rest = known.shifts.T.ravel(), _rest(known, spread)
    typical = float(np.sqrt(np.median((known.shifts**2).sum(axis=1)) + 1e-300))
    widths = typical * _WIDTHS

    def fit(wholes: Floats) -> Floats:
        lower = np.linalg.cholesky(wholes)
        half = np.linalg.solve(lower, np.broadcast_to(data[:, None], (len(wholes), len(data), 1)))[..., 0]
        return np.asarray(-0.5 * (half**2).sum(axis=1) - np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1))

    none = float(fit(rest[None])[0])
    values = []
    for length in _LENGTHS:
        kernel = np.kron(np.eye(2), _kernel(known.places, known.places, length * side, rough))
        values.append(fit(rest + widths[:, None, None] ** 2 * kernel))
    table = np.array(values)
    if table.max() <= none + _GAIN:
        return Field((Process(0.0, side, known, spread, rough),), np.ones(1))
    order = np.argsort(-table, axis=None)
    kept = [
        (int(a), int(b)) for a, b in zip(*np.unravel_index(order, table.shape), strict=True) if table[a, b] > table.max() - _FAR
    ]
    weights = np.exp(np.array([table[k] for k in kept]) - table.max())
    processes = tuple(Process(float(widths[b]), _LENGTHS[a] * side, known, spread, rough) for a, b in kept)
    return Field(processes, weights / weights.sum())


def bend(fixed: Stack, sampled: Stack, matrix: Floats, spread: Floats, *, widest: float) -> tuple[Criterion, Field]:
    """The displacement that the blocks ask for beside the affine `matrix`, from smoothing by `widest` um to one pixel.

    `spread` (6, 6) is the covariance of the affine map; ten times that error may be corrected by the blocks. When they have come
    to rest, they are taken for as much less certain as they follow less than the whole of a displacement.
    """
    pixel = min(fixed.raster.pixel)
    side = max(n * p for n, p in zip(fixed.raster.shape, fixed.raster.pixel, strict=True))
    loose, nothing = spread * _LOOSE, np.empty((0, 2))
    field = Field((Process(0.0, side, Residuals(nothing, nothing, np.empty((0, 2, 2))), loose),), np.ones(1))
    sigma = max(widest, pixel)
    while True:
        plain = criterion(fixed, sampled, sigma, stride=max(int(sigma / pixel / 2), 1))
        g = plain.parameters(matrix)
        for _ in range(_ROUNDS):
            rest = residuals(replace(plain, bend=on_raster(field, plain.fixed)), g)
            if len(rest.places) < _FEW:
                break
            moved = field.mean(rest.places)
            field = smooth(_beside(moved, rest), side, loose)
            error = np.sqrt(np.median(np.trace(rest.covariances, axis1=1, axis2=2)))
            if np.median(np.hypot(*(field.mean(rest.places) - moved).T)) < _REST * error:
                break
        if sigma <= pixel:
            break
        sigma = max(sigma / 2, pixel)
    at = replace(plain, bend=on_raster(field, plain.fixed))
    rest = residuals(at, g)
    if field.width > 0 and len(rest.places) >= _FEW:
        field = doubted(_beside(field.mean(rest.places), rest.over(response(at, g))), side, loose)
    return replace(plain, bend=on_raster(field, plain.fixed)), field


def _beside(moved: Floats, rest: Residuals) -> Residuals:
    """Blocks whose displacements were measured from where a field had `moved` them."""
    return replace(rest, shifts=rest.shifts + moved)


def followed(at: Criterion, g: Floats, raster: Raster, shortest: int = SIDES[0]) -> tuple[Residuals, Criterion]:
    """Where the blocks would lie best, counted from where G and the bend of `at` put them; and the criterion at which they do.

    A block's own step holds for less than a pixel: if blocks lie away, a smooth field carries them further. They are `shortest`
    pixels long or longer.
    """
    rest, start = residuals(at, g, shortest), at.bend
    side = max(n * p for n, p in zip(raster.shape, raster.pixel, strict=True))
    moved = np.zeros_like(rest.shifts)
    if len(rest.places) < _FEW:
        return rest, at
    for _ in range(_LED if rest.chance() < _UNLIKELY else 0):
        field = smooth(_beside(moved, rest), side, np.zeros((6, 6)))
        own = on_raster(field, raster)
        at = replace(at, bend=start + own if start.size else own)
        rest = residuals(at, g, shortest)
        moved = field.mean(rest.places)
    return _beside(moved, rest.over(response(at, g, shortest))), at


def on_raster(field: Field, raster: Raster) -> Floats:
    """The field at the pixels of a raster, (y, x, 2) um: a cubic spline through nodes that lie much closer than it is long."""
    from scipy.interpolate import RectBivariateSpline

    if field.width == 0:
        return np.zeros((*raster.shape, 2))
    rows, columns = (np.linspace(0, n - 1, min(n, _NODES)) for n in raster.shape)
    nodes = np.stack([*np.meshgrid(rows, columns, indexing="ij"), np.ones((len(rows), len(columns)))], axis=-1).reshape(-1, 3)
    values = field.mean(np.asarray(nodes @ raster.to_um[:2].T, np.float64)).reshape(len(rows), len(columns), 2)
    whole = [RectBivariateSpline(rows, columns, values[..., i])(*map(np.arange, raster.shape)) for i in (0, 1)]
    return np.stack(whole, axis=-1)
