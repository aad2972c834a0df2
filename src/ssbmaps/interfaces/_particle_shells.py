"""Each particle's own shell, its edge's length, and the share of that edge that could be used, on arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._scoring import Counts, fit_shape
from ssbmaps.interfaces._shapes import CORE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Across
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


def rims(regions: Ints, across: Across, use: Bools) -> Rim:
    """Length of each particle's edge: the area of a narrow band around it over the band's width."""
    distance = across.distance
    number = int(regions.max())
    band = np.isfinite(distance) & (np.abs(distance) <= BAND * across.size)
    per_pixel = across.pixel[0] * across.pixel[1] / (2 * BAND * across.size)
    perimeter, used = (np.bincount(regions[m], minlength=number + 1)[1:] * per_pixel for m in (band, band & use))
    core = np.isfinite(distance) & (distance < 0)
    area = np.maximum(np.bincount(regions[core], minlength=number + 1)[1:], 1)
    y, x = (np.indices(distance.shape) + 0.5) * np.asarray(across.pixel)[:, None, None]
    centre = [np.bincount(regions[core], v[core], number + 1)[1:] / area for v in (y, x)]
    label = np.arange(1, number + 1)
    kept = perimeter > 0
    return Rim(label[kept], centre[0][kept], centre[1][kept], *(np.asarray(v[kept], np.float64) for v in (perimeter, used)))


def particle_thickness(measured: Measured, across: Across, regions: Ints, labels: Ints) -> tuple[Floats, Floats]:
    """Thickness of each particle's shell and its standard error: position and thickness its own, all else that of the section.

    Levels are those of the whole section times the particle's own brightness inside. NaN where a particle has too few pixels or
    its thickness runs into a bound.
    """
    thickness, sd = np.full((2, len(labels)), np.nan)
    fit = measured.fit
    bounds = measured.limits.of(fit.shape)
    held = {n: float(v) for n, v in zip(fit.shape.names, fit.geometry, strict=True) if n not in ("s0", "d")}
    for i, label in enumerate(labels):
        use = measured.use & (regions == label)
        inside = use & (across.distance < 0)
        if min(int(inside.sum()), int(use.sum() - inside.sum())) < LEAST_PIXELS:
            continue
        data = across.binned(use)[0]
        if isinstance(data, Counts):
            data = replace(data, n=data.n * _brightness(data, measured))
        own = fit_shape(data, fit.shape, fit.geometry, bounds, held=held, levels=fit.levels, known_levels=True)
        if own.free[1]:
            thickness[i] = own.value("d")
            sd[i] = float(np.sqrt(own.covariance()[1, 1] * measured.dispersion))
    return thickness, sd


def _brightness(data: Counts, measured: Measured) -> float:
    """Counts of the core's channel inside over those expected from the section's level."""
    fit = measured.fit
    weights = fit.shape.weights(data.s, fit.geometry)[0][CORE]
    inside = data.s < -measured.fit.value("sigma")
    expected = float((data.n * (fit.levels[0] @ weights))[inside].sum())
    return float(data.total[0][inside].sum()) / expected if expected > 0 else 1.0
