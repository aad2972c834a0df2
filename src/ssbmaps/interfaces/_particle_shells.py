"""Each particle's own shell, its edge's length, and the share of that edge that could be used, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._scoring import Counts, fit_shape, weights_of
from ssbmaps.interfaces._shapes import CORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Across, Frame
    from ssbmaps.interfaces._interphase_fit import Limits, Profile
    from ssbmaps.interfaces._scoring import Fit
    from ssbmaps.interfaces._shell import Measured

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

LEAST_PIXELS = 30  # of one particle, on either side of its edge
BAND = 1.0  # pixels to either side of the edge in which its length is counted


@dataclass(frozen=True)
class Rim:
    """Number, centre (y, x) in um, length of the edge and of its used part, um; one entry per particle."""

    label: Ints
    y: Floats
    x: Floats
    perimeter: Floats
    used: Floats


def regions_of(distance: Floats, known: Bools, pixel: tuple[float, float]) -> Ints:
    """(y, x) number of the core region nearest to each pixel; 0 where there is none."""
    from scipy.ndimage import distance_transform_edt, label

    inside = known & (distance < 0)
    regions, n = label(inside)
    if not n:
        return np.zeros(distance.shape, np.int64)
    nearest = distance_transform_edt(~inside, sampling=pixel, return_distances=False, return_indices=True)
    return np.asarray(regions[tuple(nearest)], np.int64)


def rims(regions: Ints, frame: Frame, across: Across, use: Bools) -> Rim:
    """Length of each particle's edge: the area of a narrow band around it over the band's width."""
    distance = frame.distance
    number = int(regions.max())
    per_pixel = frame.pixel[0] * frame.pixel[1] / (2 * BAND * frame.size)
    band = np.isfinite(distance) & (np.abs(distance) <= BAND * frame.size)
    perimeter = np.bincount(regions[band], minlength=number + 1) * per_pixel
    used = used_length(across, use, regions.ravel()[across.at], number)
    core = np.isfinite(distance) & (distance < 0)
    area = np.maximum(np.bincount(regions[core], minlength=number + 1), 1)
    y, x = (np.indices(distance.shape) + 0.5) * np.asarray(frame.pixel)[:, None, None]
    centre = [np.bincount(regions[core], v[core], number + 1) / area for v in (y, x)]
    label = np.flatnonzero(perimeter > 0)
    label = label[label > 0]
    return Rim(label, centre[0][label], centre[1][label], np.asarray(perimeter[label], np.float64), used[label])


def used_length(across: Across, use: Bools, owner: Ints, number: int) -> Floats:
    """Length (number + 1,) of each owner's edge beside which pixels were used, um."""
    pixel = across.frame.pixel
    band = use & (np.abs(across.s) <= BAND * across.size)
    length = np.bincount(owner[band], across.share[band], number + 1)
    return np.asarray(length * (pixel[0] * pixel[1] / (2 * BAND * across.size)))


def parts_thickness(measured: Measured, across: Across, owner: Ints, labels: Ints) -> tuple[Floats, Floats] | None:
    """Thickness of the shell around each part of the core's edge, and its standard error; None where the shell is not resolved.

    `owner` (P,) names the part of each entry: a particle, or a stretch of outline. Position and thickness are the part's own, all
    else is that of the section; levels are those of the section times the part's own brightness inside. NaN where a part
    has too few pixels or its thickness runs into a bound.
    """
    if not measured.bounded:
        return None
    return each_part(measured.fit, measured.limits, measured.dispersion, across, measured.use, owner, labels)


def each_part(
    fit: Fit, limits: Limits, dispersion: float, across: Across, use: Bools, owner: Ints, labels: Ints
) -> tuple[Floats, Floats]:
    """Thickness and its standard error around each part, given the section's fit."""
    thickness, sd = np.full((2, len(labels)), np.nan)
    bounds = limits.of(fit.shape)
    held = {n: float(v) for n, v in zip(fit.shape.names, fit.geometry, strict=True) if n not in ("s0", "d")}
    used = np.flatnonzero(use)
    used = used[np.argsort(owner[used], kind="stable")]
    ends = np.searchsorted(owner[used], labels, "left"), np.searchsorted(owner[used], labels, "right")
    for i, (first, last) in enumerate(zip(*ends, strict=True)):
        own_pixels = used[first:last]
        inside = across.s[own_pixels] < 0
        if min(float(across.share[own_pixels[side]].sum()) for side in (inside, ~inside)) < LEAST_PIXELS:
            continue
        data = across.binned(own_pixels)[0]
        levels = fit.levels * brightness(data, fit)
        own = fit_shape(data, fit.shape, fit.geometry, bounds, held=held, levels=levels, known_levels=True)
        if own.free[1]:
            thickness[i] = own.value("d")
            sd[i] = float(np.sqrt(own.covariance()[1, 1] * dispersion))
    return thickness, sd


def brightness(data: Profile, fit: Fit) -> float:
    """Signal of the core inside, over that of the section's level there, lost counts restored; 1 for Gaussian values."""
    if not isinstance(data, Counts):
        return 1.0
    mean = fit.levels @ weights_of(data, fit.shape, fit.geometry)[0][CORE]
    inside = data.s < -fit.value("sigma")
    n, shots = float(data.n[inside].sum()), float(data.shots[CORE])
    seen, expected = (float(v[CORE][inside].sum()) for v in (data.total, data.expected(np.maximum(mean, 0))[0]))
    if expected <= 0:
        return 1.0
    if data.poisson:
        return seen / expected
    return float(np.log1p(-min(seen / (n * shots), 1 - 1e-3)) / np.log1p(-expected / (n * shots)))
