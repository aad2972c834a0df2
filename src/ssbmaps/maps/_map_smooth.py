"""Smoothing that keeps a plane a plane up to the edge of what was measured. Arrays only.

A mean over the measured neighbours alone stands, near an edge, for a place further inside, and maps registered by it shrink.
So a plane is fitted under the same weights, and taken at the pixel itself (local linear regression: Fan, J. Am. Stat. Assoc.
87 (1992) 998, doi 10.1080/01621459.1992.10476255).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_LEVEL = 1e-6  # per pixel; a plane that leans by less is none
_ENOUGH = 0.3  # share of the kernel's weight within the raster that must lie on measured pixels


@dataclass(frozen=True)
class Kernel:
    """A Gaussian of `width` (y, x) and a box of `sides` (y, x), pixels."""

    width: tuple[float, float]
    sides: tuple[int, int]

    def __call__(self, image: Floats) -> Floats:
        """The image smoothed; beyond its edge lies 0."""
        from scipy import ndimage

        image = ndimage.gaussian_filter(image, self.width, mode="constant", truncate=3)
        for axis, side in enumerate(self.sides):
            image = _boxed(image, side, axis)
        return np.asarray(image)

    def reach(self, axis: int) -> int:
        """How many pixels away it still looks."""
        return int(3 * self.width[axis] + 0.5) + self.sides[axis] // 2

    def along(self, axis: int, values: Floats) -> Floats:
        """The same on a line of values along one axis."""
        from scipy import ndimage

        return _boxed(ndimage.gaussian_filter(values, self.width[axis], mode="constant", truncate=3), self.sides[axis], 0)


def _boxed(image: Floats, side: int, axis: int) -> Floats:
    """Means over `side` pixels; an even box lies half a pixel to one side, and the next one to the other."""
    from scipy import ndimage

    if side == 1:
        return image
    moved = (0,) if side % 2 else (0, -1)
    parts = [ndimage.uniform_filter1d(image, side, axis, mode="constant", origin=o) for o in moved]
    return np.asarray(np.mean(parts, axis=0), np.float64)


@dataclass(frozen=True)
class Planes:
    """What turns the kernel's sums of an image into planes: one over the weight at each pixel (0 where there is no plane), along
    each axis the middle of the weight and how the plane's level goes with what lies off that middle."""

    kernel: Kernel
    share: Floats  # (y, x)
    middles: tuple[Floats, Floats]  # (y, x) both, of rows and columns as in _offsets
    leans: tuple[Floats, Floats]  # (y, x) both

    def __call__(self, image: Floats) -> Floats:
        """The image, 0 where it was not measured, smoothed; 0 where there is no plane."""
        level = self.kernel(image)
        whole = level.copy()
        for axis, (middle, lean, offsets) in enumerate(zip(self.middles, self.leans, _offsets(image.shape), strict=True)):
            sloped, far = image * offsets, self.kernel.reach(axis)
            for first, last in _runs(np.flatnonzero(lean.any(axis=1 - axis)), far):
                strip = [slice(None), slice(None)]
                strip[axis] = slice(max(first - far, 0), last + far + 1)
                s = tuple(strip)
                whole[s] += lean[s] * (middle[s] * level[s] - self.kernel(sloped[s]))
        return np.asarray(whole * self.share, np.float64)


def _runs(lines: NDArray[np.intp], far: int) -> list[tuple[int, int]]:
    """First and last of lines, in runs of which none reaches `far` lines to another."""
    if len(lines) == 0:
        return []
    parts = np.split(lines, np.flatnonzero(np.diff(lines) > 2 * far) + 1)
    return [(int(p[0]), int(p[-1])) for p in parts]


def planes(kernel: Kernel, ok: Bools) -> Planes:
    """The planes of images measured where `ok`."""
    offsets = _offsets(ok.shape)
    sums = [[kernel.along(a, o.ravel() ** p) for p in range(3)] for a, o in enumerate(offsets)]
    weight = full = sums[0][0][:, None] * sums[1][0][None, :]
    here = ok
    if ok.all():
        own = [(s[1] / s[0], s[2] / s[0]) for s in sums]
        middles = [np.expand_dims(m, 1 - a) for a, (m, _) in enumerate(own)]
        leans = [
            np.expand_dims(_over(m - o.ravel(), v - m**2), 1 - a) for a, ((m, v), o) in enumerate(zip(own, offsets, strict=True))
        ]
    else:
        weight = kernel(ok.astype(np.float64))
        here = ok & (weight > _ENOUGH * full)
        middles, leans = _general(kernel, ok, np.where(here, weight, 1.0), offsets)
    share = np.where(here, 1 / np.where(here, weight, 1.0), 0.0)
    low = [np.where(np.abs(b) > _LEVEL, b, 0.0) for b in leans]
    return Planes(kernel, share, _spread(middles, ok.shape), _spread(low, ok.shape))


def _general(kernel: Kernel, ok: Bools, weight: Floats, offsets: tuple[Floats, Floats]) -> tuple[list[Floats], list[Floats]]:
    """Middles and leans where the mask has any shape."""
    measured = ok.astype(np.float64)
    y, x = offsets
    my, mx, myy, myx, mxx = (kernel(measured * f) / weight for f in (y, x, y * y, y * x, x * x))
    cy, cx, vyy, vyx, vxx = my - y, mx - x, myy - my**2, myx - my * mx, mxx - mx**2
    area = vyy * vxx - vyx**2
    area = np.where(area > _LEVEL * (vyy + vxx) ** 2, area, np.inf)  # a line, or one pixel, has no plane
    return [my, mx], [(vxx * cy - vyx * cx) / area, (vyy * cx - vyx * cy) / area]


def _over(middle: Floats, variance: Floats) -> Floats:
    return np.where(variance > _LEVEL, middle / np.maximum(variance, _LEVEL), 0.0)


def _spread(values: list[Floats], shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    first, second = (np.broadcast_to(v, shape) for v in values)
    return first, second


def _offsets(shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Rows (y, 1) and columns (1, x) from the middle."""
    rows, columns = (np.arange(n, dtype=np.float64) - n / 2 for n in shape)
    return rows[:, None], columns[None, :]
