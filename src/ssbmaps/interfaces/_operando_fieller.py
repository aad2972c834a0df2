"""Ratio of two noisy differences with the interval of Fieller, for one cycle and for many that share their ends, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NOTHING = (np.nan, np.nan, -np.inf, np.inf)


@dataclass(frozen=True)
class Shares:
    """Change, what of it returned, and the share that did, each (value, sd, low, high): by cycle (4, n), pooled (4)."""

    change: Floats
    returned: Floats
    share: Floats
    pooled_change: Floats
    pooled_share: Floats
    dispersion: float


def shares(mean: Floats, variance: Floats, cycles: list[tuple[int, int, int]]) -> Shares:
    """Shares of cycles (before, charged, after) among ends with their means and variances.

    Cycles share an end with their neighbours, so their errors go together. Scatter of the cycles about the pooled share beyond
    the stated errors multiplies all variances; what is not known of it makes the quantile Student's.
    """
    from scipy.stats import t

    n = len(cycles)
    up, back = np.zeros((n, len(mean))), np.zeros((n, len(mean)))
    for k, (before, charged, after) in enumerate(cycles):
        up[k, [before, charged]] = -1, 1
        back[k, [after, charged]] = -1, 1
    rise, fall = up.sum(axis=0), back.sum(axis=0)
    factor, quantile = 1.0, 1.959964
    if n > 1 and rise @ mean != 0:
        pooled = (fall @ mean) / (rise @ mean)
        contrast = back - pooled * up
        covariance = (contrast * variance) @ contrast.T
        scatter = contrast @ mean
        factor = max(float(scatter @ np.linalg.pinv(covariance, hermitian=True) @ scatter) / (n - 1), 1.0)
        quantile = float(t.ppf(0.975, n - 1))
    spread = variance * factor

    def plain(rows: Floats) -> Floats:
        value, sd = rows @ mean, np.sqrt(rows**2 @ spread)
        return np.stack([value, sd, value - quantile * sd, value + quantile * sd])

    def ratio(b: Floats, u: Floats) -> tuple[float, ...]:
        top, bottom, common = float(b @ mean), float(u @ mean), float((b * u) @ spread)
        return fieller(top, bottom, float(b**2 @ spread), float(u**2 @ spread), common, quantile)

    each = np.array([ratio(b, u) for b, u in zip(back, up, strict=True)]).reshape(n, 4).T
    return Shares(plain(up), plain(back), each, plain(rise[None])[:, 0], np.array(ratio(fall, rise)), factor)


def fieller(top: float, bottom: float, v_top: float, v_bottom: float, common: float, quantile: float) -> tuple[float, ...]:
    """Ratio, standard error, low and high end; NaN without bounds where the denominator is not above its noise.

    All ratios r for which top − r bottom is within its noise of 0 (Fieller 1954): a quadratic in r.
    """
    q2 = quantile**2
    a = bottom**2 - q2 * v_bottom
    if not a > 0:
        return NOTHING
    b, c = top * bottom - q2 * common, top**2 - q2 * v_top
    half = np.sqrt(max(b * b - a * c, 0.0))
    ratio = top / bottom
    sd = np.sqrt(max(v_top - 2 * ratio * common + ratio**2 * v_bottom, 0.0)) / abs(bottom)
    return float(ratio), float(sd), float((b - half) / a), float((b + half) / a)
