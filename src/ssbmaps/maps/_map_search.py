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
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.maps._map_images import Stack

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_LEVELS = 5
_SIDE = 72  # px; the fixed map is brought to about this many along its longer side
_SPACING = 3.0  # coarse pixels; two places nearer than this, at the edges of the map, are one


@dataclass(frozen=True)
class Candidate:
    """A map (2, 3) from um of the fixed raster to um of the sampled one, and its evidence in nats over all coarse pixels."""

    matrix: Floats
    evidence: float
    pixels: int


def search(
    fixed: Stack, sampled: Stack, *, angles: Floats, scales: Sequence[float], least_overlap: float, mirror: bool = False
) -> tuple[list[Candidate], float]:
    """The best translation for each rotation (degrees) and scale, best first; and the side of a coarse pixel in um.

    `least_overlap` is the least share of the smaller map. With `mirror`, x of the sampled map is turned round first.
    """
    step = max(n * p for n, p in zip(fixed.raster.shape, fixed.raster.pixel, strict=True)) / _SIDE
    step = max(step, *fixed.raster.pixel, *sampled.raster.pixel)
    own, own_ok = _coarse(fixed, step)
    spectra = _Spectra(own, own_ok)
    smooth, smooth_ok = sampled.smoothed(step / 2, (0.0, 0.0))
    found = []
    for angle in np.radians(angles):
        for scale in scales:
            turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            if mirror:
                turn = turn @ np.diag([1.0, -1.0])
            images, masks, corner = _turned(smooth, smooth_ok, sampled, turn, step)
            if masks.any(axis=(1, 2)).all():
                hit = spectra.best(images, masks, least_overlap)
                if hit is not None:
                    (row, column), evidence, pixels = hit
                    first = np.array(fixed.raster.first) - np.array(fixed.raster.pixel) / 2 + step / 2
                    # turned um − corner = (pixel + 1/2) step; fixed um − first = pixel step, shifted by (row, column)
                    inverse = np.linalg.inv(turn)
                    offset = corner + step / 2 - first - step * np.array([row, column])
                    found.append(Candidate(np.column_stack([inverse, inverse @ offset]), evidence, pixels))
    return sorted(found, key=lambda c: -c.evidence), step


def _coarse(stack: Stack, step: float) -> tuple[Floats, Bools]:
    """Channels (C, y, x) averaged over pixels of `step` um from the upper-left corner, and where they were measured."""
    from scipy import ndimage

    values, ok = stack.smoothed(step / 2, (0.0, 0.0))
    shape = [max(int(n * p / step), 1) for n, p in zip(stack.raster.shape, stack.raster.pixel, strict=True)]
    at = [(np.arange(n) + 0.5) * step / p - 0.5 for n, p in zip(shape, stack.raster.pixel, strict=True)]
    places = np.stack(np.meshgrid(*at, indexing="ij"))
    images = np.stack([ndimage.map_coordinates(v, places, order=1, mode="nearest") for v in values])
    masks = np.stack([ndimage.map_coordinates(m.astype(np.float32), places, order=1, mode="nearest") > 0.5 for m in ok])
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
    masks = np.stack([inside & (ndimage.map_coordinates(m.astype(np.float32), at, order=1, mode="nearest") > 0.5) for m in ok])
    return images, masks, corner


def _levels(image: Floats, mask: Bools) -> Floats:
    """(level, y, x) masks of equally filled levels, as single-precision 0 and 1."""
    inner = np.quantile(image[mask], np.linspace(0, 1, _LEVELS + 1)[1:-1])
    level = np.where(mask, np.searchsorted(inner, image, side="right"), -1)
    return np.asarray(level[None] == np.arange(_LEVELS)[:, None, None], np.float32)


class _Spectra:
    """Fourier transforms of the fixed map's level masks, kept for every rotation and scale."""

    def __init__(self, images: Floats, masks: Bools) -> None:
        self.levels = [_levels(i, m) for i, m in zip(images, masks, strict=True)]
        self.shape = masks.shape[1:]
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

        other = masks.shape[1:]
        size = tuple(fft.next_fast_len(-(-(a + b) // 16) * 16, real=True) for a, b in zip(self.shape, other, strict=True))
        own = self._transforms((size[0], size[1]))
        evidence = np.zeros(size, np.float32)
        allowed = np.ones(size, bool)
        number = np.zeros(size)
        for c, levels in enumerate(own):
            theirs = np.conj(fft.rfft2(_levels(images[c], masks[c]), size, axes=(1, 2)))
            joint = fft.irfft2(levels[:, None] * theirs[None], size, axes=(2, 3))
            joint = np.maximum(joint, 0)
            number = joint.sum(axis=(0, 1))
            least = least_overlap * min(self.levels[c].sum(), masks[c].sum())
            allowed &= number >= max(least, 1.0)
            evidence += _xlogx(joint).sum(axis=(0, 1)) - _xlogx(joint.sum(axis=0)).sum(axis=0)
            evidence += _xlogx(number) - _xlogx(joint.sum(axis=1)).sum(axis=0)
            evidence -= (_LEVELS - 1) ** 2 / 2  # what chance alone gives
        if not allowed.any():
            return None
        at = np.unravel_index(int(np.argmax(np.where(allowed, evidence, -np.inf))), size)
        rows, columns = (int(i) if i < n else int(i) - s for i, n, s in zip(at, self.shape, size, strict=True))
        return (rows, columns), float(evidence[at]), int(number[at])


def _xlogx(values: Floats) -> Floats:
    return np.asarray(values * np.log(np.maximum(values, 1e-6)))
