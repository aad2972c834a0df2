"""Signal beside edges: more of the milling ion than elsewhere, and a brighter and a darker side of particles or voids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.interfaces._quality_check import LEAST_CLUSTERS, Check, amplitude, axis_angle, clustered, pair_test, untestable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

REDEPOSITION = ("redeposition", "milling ion near edges over elsewhere in the same phase, minus 1")
SHADOWING = ("shadowing", "brightest over mean signal around the outline, minus 1")
NEAR = 10  # pixels of the zone beside an edge that a shadow may fill; redeposited ions are looked for in its nearer half
TILE = 32  # pixels; neighbouring tiles of this side count as independent
LEAST_COUNTS = 50  # on either side of the comparison
SMOOTH = 3.0  # zones; what varies more slowly than this is gain, not a shadow


@dataclass(frozen=True)
class Beside:
    """Pixels beside edges: distance (um), outward normal (2, y, x), nearest piece, phase label, pixels clear of any mixing."""

    distance: Floats
    normal: Floats
    piece: NDArray[np.int64]
    labels: NDArray[Any]
    clear: Bools
    zone: float
    margin: float


def redeposition(ion: Floats, name: str, beside: Beside) -> Check:
    """Counts of the milling ion in a zone beside edges against those farther away, phase by phase, pooled; one-sided.

    Log-linear: a level for each phase and one common factor near edges. Errors from tiles of 32 pixels.
    """
    from scipy.stats import t

    depth = np.abs(beside.distance) - beside.margin
    near = beside.clear & (depth >= 0) & (depth < beside.zone / 2)
    far = beside.clear & (depth >= beside.zone / 2)
    both = np.intersect1d(beside.labels[near], beside.labels[far])
    used = (near | far) & np.isin(beside.labels, both)
    if min(ion[used & near].sum(), ion[used & far].sum()) < LEAST_COUNTS:
        return untestable(*REDEPOSITION, f"fewer than {LEAST_COUNTS} counts of {name} near edges or far from them")
    tiles = _tiles(ion.shape)[used]
    design = np.stack([*((beside.labels[used] == v).astype(float) for v in both), near[used].astype(float)])
    theta, mean = _log_linear(design, ion[used])
    covariance, number = clustered(design, mean, (ion[used] - mean) / mean, tiles, slice(-1, None))
    if number < LEAST_CLUSTERS:
        return untestable(*REDEPOSITION, f"the zone beside edges meets as good as {number:.0f} tiles of {TILE} pixels")
    factor, sd = float(np.exp(theta[-1])), float(np.sqrt(covariance[-1, -1]))
    statistic = float(theta[-1]) / sd
    finding = (
        f"{name} is {'stronger' if factor > 1 else 'weaker'} within {beside.margin + beside.zone / 2:.2g} um of edges than "
        f"elsewhere in the same phase, by {abs(factor - 1):.0%} ± {factor * sd:.0%}: "
        + ("compatible with redeposited material, topography or a yield that varies" if factor > 1 else "no sign of redeposition")
    )
    return Check(*REDEPOSITION, finding, factor - 1, factor * sd, "1", statistic, float(t.sf(statistic, number - 1)))


def _log_linear(design: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Coefficients and mean of a Poisson regression with log link."""
    theta = np.zeros(len(design))
    theta[:-1] = np.log(np.maximum(design[:-1] @ counts, 0.5) / design[:-1].sum(axis=1))
    for _ in range(50):
        mean = np.exp(theta @ design)
        step = np.linalg.lstsq((design * mean) @ design.T, design @ (counts - mean), rcond=None)[0]
        theta = theta + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-8:
            break
    return theta, np.exp(theta @ design)


def _tiles(shape: tuple[int, ...]) -> NDArray[np.int64]:
    y, x = np.indices(shape) // TILE
    return np.asarray(y * (shape[1] // TILE + 1) + x)


def shadowing(total: Floats, what: str, beside: Beside, pixel: tuple[float, float]) -> Check:
    """Signal in the zone outside edges against the direction of the outward normal, cos φ and sin φ; pieces are independent.

    Each phase's mean at each distance is taken off, and what varies slowly over the map.
    """
    depth = beside.distance - beside.margin
    used = beside.clear & (depth >= 0) & (depth < beside.zone)
    if np.unique(beside.piece[used]).size < LEAST_CLUSTERS:
        return untestable(*SHADOWING, f"{np.unique(beside.piece[used]).size} {what} with clear surroundings; 6 are needed")
    ring = np.floor(depth[used] / min(pixel)).astype(np.int64)
    group = np.unique(beside.labels[used].astype(np.int64) * 100_000 + ring, return_inverse=True)[1]
    expected = (np.bincount(group, total[used]) / np.bincount(group))[group]
    design = np.stack([np.ones_like(expected), *beside.normal[::-1][:, used]])
    weight = np.maximum(expected, 1e-9)
    residual = total[used] / weight - 1
    residual = residual - _slow(residual, weight, used, SMOOTH * beside.zone / np.asarray(pixel))
    value = np.linalg.solve((design * weight) @ design.T, (design * weight) @ residual)
    covariance, number = clustered(design, weight, residual - value @ design, beside.piece[used], slice(1, None))
    if number < LEAST_CLUSTERS:
        return untestable(*SHADOWING, f"the clear surroundings are as good as those of {number:.0f} {what}; 6 are needed")
    statistic, p_value = pair_test(value[1:], covariance[1:, 1:], number)
    strength, sd = amplitude(value[1:], covariance[1:, 1:])
    direction = axis_angle(value[1], value[2], double=False)
    finding = (
        f"around {np.unique(beside.piece[used]).size} {what} the signal is higher towards {direction:.0f}° (0° along x, 90° "
        f"along y downwards) by {strength:.1%} ± {sd:.1%} than on average: compatible with shadowing or topography"
    )
    return Check(*SHADOWING, finding, strength, sd, "1", statistic, p_value, direction)


def _slow(residual: Floats, weight: Floats, used: Bools, sigma: Floats) -> Floats:
    """Gaussian mean of the residual over the used pixels around."""
    from scipy.ndimage import gaussian_filter

    total, weights = np.zeros(used.shape), np.zeros(used.shape)
    total[used], weights[used] = residual * weight, weight
    total, weights = (gaussian_filter(a, sigma, mode="constant") for a in (total, weights))
    return np.asarray(total[used] / weights[used])
