"""Where one raster lies on the other, without a guess: mutual information of every translation, by Fourier transforms.

For each rotation and scale of a grid, both maps are cut into a few levels; the joint histogram at every translation is then a
set of correlations of level masks (Öfverstedt, Lindblad & Sladoje, Pattern Recognition Letters 159 (2022) 196, doi
10.1016/j.patrec.2022.05.022). Arrays only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._map_images import Stack

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_LEVELS = 4
_TURN, _STRETCH = 144.0, 2.13  # px times degrees, and times logarithm of scale, between neighbours of the grid
_SPACING = 3.0  # coarse pixels; two places nearer than this, at the edges of the map, are one


def grid(side: int, rotation: float, scale: float) -> tuple[Floats, list[float]]:
    """Rotations (degrees) and scales in steps that move the edges of a map of `side` pixels by little more than one."""
    turn = np.arange(0, rotation + 1e-9, _TURN / side)
    turn = np.append(turn, rotation) if turn[-1] < rotation - 1e-9 else turn
    steps = int(np.ceil(np.log(scale) * side / _STRETCH - 1e-9))
    return np.unique(np.concatenate([-turn, turn])), [float(np.exp(_STRETCH / side * k)) for k in range(-steps, steps + 1)]


@dataclass(frozen=True)
class Candidate:
    """A map (2, 3) from um of the fixed raster to um of the sampled one, and its evidence in nats over all coarse pixels."""

    matrix: Floats
    evidence: float
    pixels: int


@dataclass(frozen=True)
class Coarse:
    """Two stacks made ready to be searched on maps of `side` pixels, each of `step` um; for as many searches as are wanted."""

    fixed: Stack
    sampled: Stack
    side: int
    step: float
    spectra: _Spectra
    smooth: Floats
    ok: Bools


def coarse(fixed: Stack, sampled: Stack, side: int) -> Coarse:
    """The stacks with the fixed map brought to about `side` pixels along its longer side."""
    step = max(n * p for n, p in zip(fixed.raster.shape, fixed.raster.pixel, strict=True)) / side
    step = max(step, *fixed.raster.pixel, *sampled.raster.pixel)
    return Coarse(fixed, sampled, side, step, _Spectra(*_coarse(fixed, step)), *sampled.smoothed(step / 2, (0.0, 0.0)))


def search(
    at: Coarse, *, rotation: float, scale: float, least_overlap: float, flip: str = "", rough: bool = False
) -> list[Candidate]:
    """The best translation for each rotation and scale, best first.

    `rotation` is in degrees either way, `scale` a factor either way, `least_overlap` the least share of the smaller map. With
    `flip` "y" or "x", the sampled map is turned round along that axis first. A `rough` search takes every other rotation and no
    scale.
    """
    fixed, step = at.fixed.raster, at.step
    angles, scales = grid(at.side // 2, rotation, 1.0) if rough else grid(at.side, rotation, scale)
    found = []
    for angle in np.radians(angles):
        for scale in scales:
            turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            turn = turn @ np.diag([-1.0 if flip == axis else 1.0 for axis in "yx"])
            images, masks, corner = _turned(at.smooth, at.ok, at.sampled, turn, step)
            if masks.any(axis=(1, 2)).all():
                hit = at.spectra.best(images, masks, least_overlap)
                if hit is not None:
                    (row, column), evidence, pixels = hit
                    first = np.array(fixed.first) - np.array(fixed.pixel) / 2 + step / 2
                    # turned um − corner = (pixel + 1/2) step; fixed um − first = pixel step, shifted by (row, column)
                    inverse = np.linalg.inv(turn)
                    offset = corner + step / 2 - first - step * np.array([row, column])
                    found.append(Candidate(np.column_stack([inverse, inverse @ offset]), evidence, pixels))
    return sorted(found, key=lambda c: -c.evidence)


def _coarse(stack: Stack, step: float) -> tuple[Floats, Bools]:
    """Channels (C, y, x) averaged over pixels of `step` um from the upper-left corner, and where they were measured."""
    from scipy import ndimage

    values, ok = stack.smoothed(step / 2, (0.0, 0.0))
    shape = [max(int(n * p / step), 1) for n, p in zip(stack.raster.shape, stack.raster.pixel, strict=True)]
    at = [(np.arange(n) + 0.5) * step / p - 0.5 for n, p in zip(shape, stack.raster.pixel, strict=True)]
    places = np.stack(np.meshgrid(*at, indexing="ij"))
    images = np.stack([ndimage.map_coordinates(v, places, order=1, mode="nearest") for v in values])
    masks = np.stack([_half(m, places) for m in ok])
    return images, masks


def _turned(smooth: Floats, ok: Bools, stack: Stack, turn: Floats, step: float) -> tuple[Floats, Bools, Floats]:
    """Channels on an upright raster of `step` um after `turn`; their masks; the upper-left corner in turned um."""
    from scipy import ndimage

    pixel, first = np.array(stack.raster.pixel), np.array(stack.raster.first)
    low, high = first - pixel / 2, first + (np.array(stack.raster.shape) - 0.5) * pixel
    corners = np.array([(a, b) for a in (low[0], high[0]) for b in (low[1], high[1])]) @ turn.T
    corner = corners.min(axis=0)
    shape = np.maximum(np.ceil((corners.max(axis=0) - corner) / step - 1e-6).astype(int), 1)
    grid = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1) * step + corner
    at = np.moveaxis((grid @ np.linalg.inv(turn).T - first) / pixel, -1, 0)
    inside = np.all([(a >= -0.5) & (a <= n - 0.5) for a, n in zip(at, stack.raster.shape, strict=True)], axis=0)
    images = np.stack([ndimage.map_coordinates(v, at, order=1, mode="nearest") for v in smooth])
    masks = np.stack([inside & (True if m.all() else _half(m, at)) for m in ok])
    return images, masks, corner


def _half(mask: Bools, at: Floats) -> Bools:
    """Where more than half of what lies around was measured."""
    from scipy import ndimage

    return np.asarray(ndimage.map_coordinates(mask.astype(np.float32), at, order=1, mode="nearest") > 0.5)


def _levels(image: Floats, mask: Bools) -> Floats:
    """(level, y, x) masks of equally filled levels, as single-precision 0 and 1."""
    inner = np.quantile(image[mask], np.linspace(0, 1, _LEVELS + 1)[1:-1])
    level = np.where(mask, np.searchsorted(inner, image, side="right"), -1)
    return np.asarray(level[None] == np.arange(_LEVELS)[:, None, None], np.float32)


def _xlogx(most: int) -> Floats:
    """k ln k for whole k up to `most`."""
    k = np.arange(most + 1, dtype=np.float64)
    return np.asarray(k * np.log(np.maximum(k, 1.0)))


class _Spectra:
    """Fourier transforms of the fixed map's level masks, kept for every rotation and scale."""

    def __init__(self, images: Floats, masks: Bools) -> None:
        self.levels = [_levels(i, m) for i, m in zip(images, masks, strict=True)]
        self.shape = masks.shape[1:]
        self._xlogx = _xlogx(int(masks[0].size))
        self._size = (0, 0)
        self._kept: list[Floats] = []

    def _transforms(self, size: tuple[int, int]) -> list[Floats]:
        from scipy import fft

        if size != self._size:
            self._size, self._kept = size, [fft.rfft2(lv, size, axes=(1, 2)) for lv in self.levels]
        return self._kept

    def best(self, images: Floats, masks: Bools, least_overlap: float) -> tuple[tuple[int, int], float, int] | None:
        """Shift (rows, columns) of the turned map on the fixed one with most evidence, that evidence, and the overlap."""
        from scipy import fft

        from ssbmaps.maps._mutual_kernels import add_evidence

        other = masks.shape[1:]
        size = tuple(fft.next_fast_len(-(-(a + b) // 16) * 16, real=True) for a, b in zip(self.shape, other, strict=True))
        own = self._transforms((size[0], size[1]))
        seen = [_levels(i, m) for i, m in zip(images, masks, strict=True)]
        spectra = [np.conj(fft.rfft2(lv, size, axes=(1, 2))) for lv in seen]
        least = [least_overlap * min(a.sum(), m.sum()) for a, m in zip(self.levels, masks, strict=True)]
        number = [fft.irfft2(a.sum(axis=0) * b.sum(axis=0), size) for a, b in zip(own, spectra, strict=True)]
        allowed = np.flatnonzero(np.all([n >= max(k, 1.0) - 0.5 for n, k in zip(number, least, strict=True)], axis=0))
        if len(allowed) == 0:
            return None
        evidence = np.zeros(len(allowed))
        for a, b in zip(own, spectra, strict=True):
            joint = fft.irfft2(a[:, None] * b[None], size, axes=(2, 3)).reshape(_LEVELS, _LEVELS, -1)
            add_evidence(joint, allowed, self._xlogx, evidence)
        best = int(np.argmax(evidence))
        rows, columns = np.unravel_index(int(allowed[best]), size)
        row, column = (int(i) if i < n else int(i) - s for i, n, s in zip((rows, columns), self.shape, size, strict=True))
        return (row, column), float(evidence[best]), int(number[-1].flat[allowed[best]] + 0.5)
