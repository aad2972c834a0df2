"""Are the particles elongated the same way? Second moments of whole particles, tested by turning each of them at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._quality_check import Check, along, amplitude, axis_angle, untestable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAME = "particle_shape"
QUANTITY = "mean aspect ratio of the particles in the section"
LEAST_PIXELS = 50  # the moments of a smaller particle are those of its pixels
LEAST_PARTICLES = 6
_DRAWS = 9999


def particle_shape(
    mask: NDArray[np.bool_], pixel: tuple[float, float], rng: np.random.Generator, origin: tuple[float, float] = (0.0, 0.0)
) -> Check:
    """Mean log aspect (a vector at twice the angle) of the regions of `mask` that lie whole in the map, against isotropy.

    Regions are weighted by the inverse of the area in which a box of their size fits the map (Miles and Lantuéjoul), since a
    long one is cut by the frame more often along its length. Under isotropy each vector may point anywhere. `origin` (y, x) in
    um is the first pixel's centre.
    """
    vectors, weights, centres = _elongations(mask, pixel)
    centres = centres + origin
    if len(vectors) < LEAST_PARTICLES:
        return untestable(
            NAME, QUANTITY, f"{len(vectors)} particles of {LEAST_PIXELS} pixels or more lie whole in the map; 6 are needed"
        )
    share = weights / weights.sum()
    mean = share @ vectors
    length = np.hypot(*vectors.T)
    turned = rng.uniform(0, 2 * np.pi, (_DRAWS, len(vectors)))
    null = np.hypot(np.cos(turned) @ (share * length), np.sin(turned) @ (share * length))
    p_value = (1 + int((null >= np.hypot(*mean)).sum())) / (_DRAWS + 1)
    drawn = rng.integers(0, len(vectors), (_DRAWS, len(vectors)))
    picked = weights[drawn]
    boot = np.einsum("bn,bnk->bk", picked, vectors[drawn]) / picked.sum(axis=1)[:, None]
    strength, sd = amplitude(mean, np.cov(boot.T))
    aspect, direction = float(np.exp(strength)), axis_angle(*mean, double=True)
    finding = (
        f"{len(vectors)} particles are elongated {along(direction)} by {aspect:.2f} ± {aspect * sd:.2f} on average: "
        "compatible with an uncorrected tilt, a wrong pixel aspect or particles that really lie this way"
    )
    detail = {
        "elongation_cos": ("particle", vectors[:, 0], {"units": "1", "long_name": "ln(aspect) · cos 2θ of the long axis"}),
        "elongation_sin": ("particle", vectors[:, 1], {"units": "1", "long_name": "ln(aspect) · sin 2θ of the long axis"}),
        "particle_y": ("particle", centres[:, 0], {"units": "um", "long_name": "centre of the particle"}),
        "particle_x": ("particle", centres[:, 1], {"units": "um", "long_name": "centre of the particle"}),
    }
    return Check(NAME, QUANTITY, finding, aspect, aspect * sd, "1", strength / sd, p_value, direction, detail)


def _elongations(mask: NDArray[np.bool_], pixel: tuple[float, float]) -> tuple[Floats, Floats, Floats]:
    """ln(aspect) vectors (N, 2), weights and centres (y, x) of the regions that touch no frame."""
    from scipy.ndimage import find_objects, label

    regions, _ = label(mask)
    shape = np.array(mask.shape)
    vectors, weights, centres = [], [], []
    for number, box in enumerate(find_objects(regions), start=1):
        low, high = np.array([[s.start, s.stop] for s in box]).T
        place = np.argwhere(regions[box] == number)
        if (low == 0).any() or (high == shape).any() or len(place) < LEAST_PIXELS:
            continue
        um = (place + low) * np.asarray(pixel)
        (yy, yx), (_, xx) = np.cov(um.T) + np.diag(np.square(pixel) / 12)
        split = float(np.hypot(xx - yy, 2 * yx))
        log_aspect = 0.5 * float(np.log((xx + yy + split) / (xx + yy - split)))
        vectors.append(log_aspect * np.array([xx - yy, 2 * yx]) / max(split, 1e-300))
        weights.append(1 / float(np.prod((shape - (high - low)) / shape)))
        centres.append(um.mean(axis=0))
    return np.reshape(vectors, (-1, 2)), np.array(weights), np.reshape(centres, (-1, 2))
