"""Moves a traced contour to where the image of the phase puts it: local levels, then signal balance across the contour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import SsbmapsError
from ssbmaps.interfaces._contour import Contour, Foot, nearest, smooth_along

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROUNDS = 4  # what the contour can follow is 1 − (1 − G)^4, G the Gaussian along the contour
LEVEL_WINDOW = 15.0  # pixels, full width at half maximum of the window of the local levels
FWHM = 2 * np.sqrt(2 * np.log(2))
WIDEST = 5.0  # pixels, the widest blur (σ) that is looked for
DEEPEST = 0.75  # quantile of the depth: the deepest quarter of a small phase gives its level
LEAST_KNOWN = 0.25  # of a stretch; where less of it has known pixels, the contour moves less
LEAST_CONTRAST = 0.25  # of the overall contrast; where the local one is less, the image does not move the contour


@dataclass(frozen=True, slots=True)
class Image:
    """An image and the places of its pixels: values (y, x) with NaN where unknown, points (Q, 2) in um, pixel size in um."""

    values: NDArray[np.float64]
    points: NDArray[np.float64]
    pixel: tuple[float, float]

    @property
    def size(self) -> float:
        """Side in um of the square of a pixel's area."""
        return float(np.sqrt(self.pixel[0] * self.pixel[1]))


def refine(
    contours: Sequence[Contour],
    image: Image,
    width: float,
    *,
    subject: str,
    away: NDArray[np.float64] | None = None,
) -> tuple[list[Contour], str]:
    """`contours` moved along their normals until the normalised signal outside them balances what is missing inside.

    u, the image between its local levels outside (0) and inside (1), is compared with c, the share of each pixel inside the
    contour, under a Gaussian across the contour as wide as the edge itself: Σ k (u − c) → 0 for every stretch of `width` um.
    Beside them a sentence for phases too thin for the image, or nothing. `away` is the distance of the image's points from
    `contours`, if it is known already.
    """
    distance = nearest(image.points, contours).distance if away is None else away.copy()
    moved, tau = list(contours), image.size
    for _ in range(ROUNDS):
        level = normalised(image, distance.reshape(image.values.shape), tau, subject=subject).ravel()
        near = np.flatnonzero((np.abs(distance) < 4 * tau + 2 * image.size) & np.isfinite(level))
        foot = nearest(image.points[near], moved)
        distance[near] = foot.distance
        tau = edge_sigma(foot, level[near], image, tau, sum(float(c.shares.sum()) for c in moved))
        moved = _step(moved, foot, level[near], image, width, tau)
    return moved, _thin(distance, tau)


def _thin(distance: NDArray[np.float64], tau: float) -> str:
    depth = float(np.quantile(-distance[distance < 0], DEEPEST))
    if depth >= 2 * tau:
        return ""
    return (
        f"three quarters of the phase lie less than {depth:.3g} um from its edge, and the edge in the image is {tau:.3g} um wide "
        "(σ): the image does not reach its level inside, and the contour may lie too far out or in."
    )


def normalised(image: Image, distance: NDArray[np.float64], tau: float, *, subject: str) -> NDArray[np.float64]:
    """(image − outside) / (inside − outside) with local levels from pixels more than 3 `tau` away from the contour.

    Of a phase too small for that, the innermost quarter gives the level. NaN where the local contrast is too small to say
    anything.
    """
    known = np.isfinite(image.values)
    inner, outer = (_deep(side * distance, known, 3 * tau) for side in (-1, 1))
    if not inner.any() or not outer.any():
        raise SsbmapsError(
            f"{subject}: the image holds no value {'outside' if inner.any() else 'inside'} the phase, so its level there is "
            "unknown. Leave out image= to use the labels alone."
        )
    high, low = float(image.values[inner].mean()), float(image.values[outer].mean())
    if not high > low:
        raise SsbmapsError(
            f"{subject}: the image is not brighter inside the phase (mean {high:.4g}) than outside (mean {low:.4g}); expected "
            "the signal that the phase itself emits, such as NiO2- for NMC."
        )
    sigma = max(LEVEL_WINDOW * image.size / FWHM, 2 * tau) / np.asarray(image.pixel)
    outside = _local_level(image.values, outer, sigma, slope=False)
    contrast = _local_level(image.values, inner, sigma, slope=True) - outside
    clear = known & (contrast > LEAST_CONTRAST * (high - low))
    return np.where(clear, (image.values - outside) / np.where(clear, contrast, 1), np.nan)


def _deep(depth: NDArray[np.float64], known: NDArray[np.bool_], margin: float) -> NDArray[np.bool_]:
    """Known pixels at least `margin` deep, or the deepest quarter of them where that is more."""
    mine = known & (depth > 0)
    return mine & (depth >= min(margin, float(np.quantile(depth[mine], DEEPEST)))) if mine.any() else mine


def _local_level(
    values: NDArray[np.float64], mask: NDArray[np.bool_], sigma: NDArray[np.float64], *, slope: bool
) -> NDArray[np.float64]:
    """Mean of `values` over `mask` in a Gaussian window (normalised convolution); with `slope`, a plane through them.

    The masked pixels lie to one side of the contour, and a gain that drifts across the window would bias their mean; the plane
    carries it over. Its slope is held back (ridge of half the window's width) where only a small patch informs it.
    Beyond the window's reach the mean over all of `mask` is taken.
    """
    from scipy.ndimage import gaussian_filter

    def windowed(array: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gaussian_filter(array, sigma, mode="constant", truncate=4))

    weight = mask.astype(float)
    masked = np.where(mask, values, 0.0)
    total = windowed(weight)
    reached = total > 1e-3
    total = np.where(reached, total, 1)
    mean = windowed(masked) / total
    if slope:
        y, x = (index / s for index, s in zip(np.indices(values.shape), sigma, strict=True))
        cy, cx = windowed(weight * y) / total, windowed(weight * x) / total
        ridge = 0.25
        syy = windowed(weight * y * y) / total - cy**2 + ridge
        sxx = windowed(weight * x * x) / total - cx**2 + ridge
        sxy = windowed(weight * y * x) / total - cy * cx
        vy, vx = windowed(masked * y) / total - cy * mean, windowed(masked * x) / total - cx * mean
        rise = (vy * sxx - vx * sxy) * (y - cy) + (vx * syy - vy * sxy) * (x - cx)
        mean = mean + rise / (syy * sxx - sxy**2)
    return np.where(reached, mean, values[mask].mean())


def edge_sigma(foot: Foot, level: NDArray[np.float64], image: Image, tau: float, length: float) -> float:
    """Width σ in um of the edge in the image, pooled over all contours, at least one pixel and at most `WIDEST` pixels.

    For an edge Φ(−s/σ) the moment ∫ |s| |u − step| exp(−s²/2τ²) ds is τ² (1 − τ / √(τ² + σ²)); the difference is signed by the
    side, so that noise cancels.
    """
    s = foot.distance
    signed = s * (level - (s < 0)) * np.exp(-0.5 * (s / tau) ** 2)
    moment = float(signed.sum()) * image.pixel[0] * image.pixel[1] / length
    share = float(np.clip(1 - moment / tau**2, 0.1, 1))
    return float(np.clip(tau * np.sqrt(share**-2 - 1), image.size, WIDEST * image.size))


def _step(
    contours: Sequence[Contour], foot: Foot, level: NDArray[np.float64], image: Image, width: float, tau: float
) -> list[Contour]:
    """One move: excess of signal per known length of contour, averaged along it, at most one pixel at a time."""
    normals = np.concatenate([c.normals for c in contours])
    inside = coverage(foot.distance, normals[foot.start], image.pixel)
    kernel = np.exp(-0.5 * (foot.distance / tau) ** 2) * image.pixel[0] * image.pixel[1]
    excess = _to_vertices(foot, (level - inside) * kernel, len(normals))
    known = _to_vertices(foot, kernel / (np.sqrt(2 * np.pi) * tau), len(normals))
    moved, first = [], 0
    for c in contours:
        own = slice(first, first + len(c.points))
        length = np.maximum(smooth_along(known[own], c, width), LEAST_KNOWN * smooth_along(c.shares, c, width))
        shift = np.clip(smooth_along(excess[own], c, width) / length, -image.size, image.size)
        moved.append(replace(c, points=c.points + shift[:, None] * c.normals))
        first += len(c.points)
    return moved


def _to_vertices(foot: Foot, values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Values of pixels summed onto the two vertices next to their nearest point."""
    start = np.bincount(foot.start, values * (1 - foot.fraction), n)
    return np.asarray(start + np.bincount(foot.end, values * foot.fraction, n))


def coverage(distance: NDArray[np.float64], normals: NDArray[np.float64], pixel: tuple[float, float]) -> NDArray[np.float64]:
    """Share of a pixel inside a straight edge at signed `distance` (um, negative inside) from its centre: exact."""
    narrow, wide = np.sort(np.abs(normals) * np.asarray(pixel), axis=1).T
    narrow = np.maximum(narrow, 1e-3 * wide)
    ramps = [
        sign * np.maximum(edge - distance, 0) ** 2
        for sign, edge in (
            (1, (wide + narrow) / 2),
            (-1, (wide - narrow) / 2),
            (-1, (narrow - wide) / 2),
            (1, -(wide + narrow) / 2),
        )
    ]
    return np.asarray(np.clip(sum(ramps) / (2 * wide * narrow), 0, 1))
