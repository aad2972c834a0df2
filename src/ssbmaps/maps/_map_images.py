"""Channels on their rasters, made ready for comparison: values of even variance, smoothed to a common width, with a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._map_smooth import Kernel, planes
from ssbmaps.maps._mutual import Criterion, Raster, pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Stack:
    """Channels (C, y, x) of one measurement, values of even variance; `ok` (C, y, x) where they were measured."""

    values: Floats
    ok: Bools
    raster: Raster

    def smoothed(self, sigma: float, box: tuple[float, float]) -> tuple[Floats, Bools]:
        """Smoothed by a Gaussian of `sigma` um and a box of (y, x) um, over measured pixels only."""
        tall, wide = self.raster.pixel
        sides = [max(round(b / p), 1) for b, p in zip(box, self.raster.pixel, strict=True)]
        kernel = Kernel((sigma / tall, sigma / wide), (sides[0], sides[1]))
        values, masks = np.empty_like(self.values), np.empty_like(self.ok)
        for c, (image, ok) in enumerate(zip(self.values, self.ok, strict=True)):
            if c == 0 or not np.array_equal(ok, self.ok[c - 1]):
                smooth = planes(kernel, ok)
            values[c], masks[c] = smooth(np.where(ok, image, 0.0)), smooth.share > 0
        return values, masks


def criterion(fixed: Stack, sampled: Stack, sigma: float, *, stride: int = 1) -> Criterion:
    """Pairs smoothed by `sigma` um; the sampled raster also by the fixed one's pixels where these are larger."""
    own, own_ok = fixed.smoothed(sigma, (0.0, 0.0))
    box = tuple(f if f > s else 0.0 for f, s in zip(fixed.raster.pixel, sampled.raster.pixel, strict=True))
    other, other_ok = sampled.smoothed(sigma, (box[0], box[1]))
    thin = (slice(None), slice(stride // 2, None, stride), slice(stride // 2, None, stride))
    own, own_ok = np.ascontiguousarray(own[thin]), np.ascontiguousarray(own_ok[thin])
    r = fixed.raster
    first = tuple(f + stride // 2 * p for f, p in zip(r.first, r.pixel, strict=True))
    raster = Raster(own.shape[1:], (r.pixel[0] * stride, r.pixel[1] * stride), (first[0], first[1]))
    jitter = _jitter(raster.shape)
    moved = [_at(image, ok, jitter) for image, ok in zip(own, own_ok, strict=True)]
    pairs = tuple(pair(*mine, *theirs) for mine, theirs in zip(moved, zip(other, other_ok, strict=True), strict=True))
    return Criterion(pairs, raster, sampled.raster, jitter)


def _jitter(shape: tuple[int, int]) -> Floats:
    """Offsets (y, x, 2) within a pixel, evenly spread and the same each time: Roberts' additive sequence in two dimensions."""
    number = np.arange(shape[0] * shape[1], dtype=np.float64)[:, None]
    plastic = 1.32471795724474602596
    offsets = (0.5 + number * np.array([1 / plastic, 1 / plastic**2])) % 1 - 0.5
    return np.asarray(offsets.reshape(*shape, 2))


def _at(image: Floats, ok: Bools, jitter: Floats) -> tuple[Floats, Bools]:
    """The image at its pixels' jittered places, by linear interpolation, and where all neighbours were measured."""
    from scipy import ndimage

    places = np.moveaxis(jitter, -1, 0) + np.indices(image.shape)
    values = ndimage.map_coordinates(image, places, order=1, mode="constant", cval=0.0)
    if ok.all():
        return values, np.all([(p >= 0) & (p <= n - 1) for p, n in zip(places, image.shape, strict=True)], axis=0)
    known = ndimage.map_coordinates(ok.astype(np.float64), places, order=1, mode="constant", cval=0.0)
    return values, np.asarray(known > 1 - 1e-9)
