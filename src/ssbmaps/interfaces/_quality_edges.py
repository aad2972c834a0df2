"""Does the edge move or widen from scan to scan, and is it wider in one direction? Local fits on the pixels of one edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._edge_width_fit import Edge, Side, blurred_step
from ssbmaps.interfaces._quality_check import (
    LEAST_CLUSTERS,
    Check,
    along,
    amplitude,
    axis_angle,
    clustered,
    pair_test,
    untestable,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOVES = ("edge_position", "shift of the edge from the first to the last scan")
WIDENS = ("edge_width", "change of the edge's width σ from the first to the last scan")
TURNS = ("edge_direction", "edge width σ across its widest direction over that across its narrowest")
LEAST_SCANS = 4
MOST_GROUPS = 24
MOST_SKEW = 100.0  # condition of what the directions of the edge must tell apart
_STEPS = 4


@dataclass(frozen=True)
class Pixels:
    """Pixels near the edge: their side of it, outward normals (2, N), the independent piece each belongs to, the fitted edge."""

    side: Side
    normal: Floats
    piece: NDArray[np.int64]
    edge: Edge

    def fit(self, values: Floats, dose: float, shifts: Floats, variances: Floats, known: Floats | float = 0.0) -> _Local:
        """Weighted least squares of the levels and of what multiplies `shifts` (M, N) and `variances` (K, N).

        `known` is a variance that is in the pixels already; `dose` the share of the counts the edge was fitted on.
        """
        theta = np.zeros(2 + len(shifts) + len(variances))
        theta[:2] = self.edge.parameters[:2] * dose
        split = 2 + len(shifts)
        theta[2], theta[split] = self.edge.parameters[2:]
        variance_0 = max(float(self.edge.parameters[3]), self.edge.pixel_variance)
        least = 0.05 * variance_0
        largest = np.full(len(theta), np.inf)
        largest[2:split], largest[split:] = np.sqrt(variance_0), variance_0
        for _ in range(_STEPS):
            variance = np.maximum(theta[split:] @ variances + known, least)
            share, by_shift, by_variance = blurred_step(self.side, variance, theta[2:split] @ shifts)
            contrast = theta[0] - theta[1]
            mean = theta[1] + contrast * share
            design = np.vstack([share, 1 - share, contrast * by_shift * shifts, contrast * by_variance * variances])
            weight = 1 / np.maximum(mean, 1e-3 * max(theta[0], theta[1]))
            inverse = np.linalg.pinv((design * weight) @ design.T, hermitian=True)
            step = inverse @ ((design * weight) @ (values - mean))
            theta = theta + np.clip(step, -largest, largest)
            if np.all(step**2 < 1e-4 * np.diag(inverse)):
                break
        spread = float(weight @ (values - mean) ** 2) / (values.size - len(theta))
        return _Local(theta, inverse * spread, design, weight, values - mean)


@dataclass(frozen=True)
class _Local:
    theta: Floats
    covariance: Floats
    design: Floats
    weight: Floats
    residual: Floats


@dataclass(frozen=True)
class Series:
    """By group of scans: its mean scan, edge position and variance, drift (y, x), each with its variance."""

    scan: Floats
    position: Floats
    variance: Floats
    drift: Floats
    errors: Floats

    @property
    def drift_covariance(self) -> Floats:
        """Covariance (2, 2) of the drift over the groups, in um², freed from that of its errors."""
        return np.asarray(np.cov(self.drift.T, bias=True) - np.diag(self.errors[:, 2:].mean(axis=0)))


def by_scan(scans: Floats, pixels: Pixels) -> Series | str:
    """Fit each scan (or group of them, at most 24) of values (scan, N): levels, position, width, drift along y and x.

    Or the reason why not.
    """
    if len(scans) < LEAST_SCANS:
        return f"{len(scans)} scans; {LEAST_SCANS} are needed"
    every = np.vstack([np.ones_like(pixels.side.s), pixels.normal])
    if np.linalg.cond(every @ every.T) > MOST_SKEW:
        return "the edge does not run in all directions, so that drift cannot be told from its motion"
    rows = []
    for group in np.array_split(np.arange(len(scans)), min(len(scans), MOST_GROUPS)):
        values = scans[group].sum(axis=0)
        if not values.sum() > 0:
            continue
        fitted = pixels.fit(values, len(group) / len(scans), every, every[:1])
        drift = fitted.theta[3:5]
        rows.append([group.mean(), fitted.theta[2], fitted.theta[5], *drift, *np.diag(fitted.covariance)[[2, 5, 3, 4]]])
    if len(rows) < LEAST_SCANS:
        return f"{len(rows)} scans hold counts of the marker near the edge; {LEAST_SCANS} are needed"
    table = np.array(rows)
    return Series(table[:, 0], table[:, 1], table[:, 2], table[:, 3:5], table[:, 5:])


def erosion(series: Series | str, pixels: Pixels | None) -> list[Check]:
    """Straight lines through the edge's position and width against the scan; drift is freed in both."""
    if isinstance(series, str) or pixels is None:
        return [untestable(*one, str(series)) for one in (MOVES, WIDENS)]
    sigma = np.sqrt(np.maximum(series.variance, 1e-9) + pixels.edge.pixel_variance)
    sigma_sd = np.sqrt(series.errors[:, 1]) / (2 * sigma)
    position_sd = np.sqrt(series.errors[:, 0])
    detail = {
        "scan_group": ("scan_group", series.scan, {"units": "1", "long_name": "mean scan of the group"}),
        "edge_offset": ("scan_group", series.position, {"units": "um", "long_name": "position of the edge, positive outside"}),
        "edge_offset_sd": ("scan_group", position_sd, {"units": "um", "long_name": "position of the edge: standard error"}),
        "edge_sigma": ("scan_group", sigma, {"units": "um", "long_name": "effective edge width σ, pixel included"}),
        "edge_sigma_sd": ("scan_group", sigma_sd, {"units": "um", "long_name": "effective edge width σ: standard error"}),
    }
    cause = "compatible with sputtering that differs between the phases, inclined interfaces or contamination that is removed"
    checks = []
    series_of = (
        (MOVES, series.position, position_sd, "the edge moves"),
        (WIDENS, sigma, sigma_sd, "the edge's width σ goes"),
    )
    for (name, quantity), values, sd, verb in series_of:
        change, change_sd, statistic, p_value = _trend(series.scan, values, sd)
        way = ("outwards" if change > 0 else "inwards") if name == MOVES[0] else ("up" if change > 0 else "down")
        size = f"{1e3 * abs(change):.1f} ± {1e3 * change_sd:.1f} nm"
        finding = f"{verb} {way} by {size} from the first to the last scan: {cause}"
        checks.append(Check(name, quantity, finding, change, change_sd, "um", statistic, p_value, detail=detail))
        detail = {}
    return checks


def _trend(scan: Floats, values: Floats, sd: Floats) -> tuple[float, float, float, float]:
    """Change over the series, its error with the scatter about the line, t and its p-value."""
    from scipy.stats import t

    design = np.stack([np.ones_like(scan), scan / np.ptp(scan)]) / sd
    inverse = np.linalg.inv(design @ design.T)
    fitted = inverse @ (design @ (values / sd))
    dof = len(scan) - 2
    scatter = float(((values / sd - fitted @ design) ** 2).sum()) / dof
    error = float(np.sqrt(inverse[1, 1] * max(scatter, 1.0)))
    statistic = float(fitted[1]) / error
    return float(fitted[1]), error, statistic, float(2 * t.sf(abs(statistic), dof))


def direction(values: Floats, pixels: Pixels, series: Series | str) -> Check:
    """σ² = mean + cos 2φ and sin 2φ of the outward normal; the drift between scans is taken out where it was measured."""
    ny, nx = pixels.normal
    turns = np.stack([np.ones_like(nx), nx**2 - ny**2, 2 * nx * ny])
    if np.linalg.cond(turns @ turns.T) > MOST_SKEW:
        return untestable(*TURNS, "the edge does not run in all directions")
    measured = not isinstance(series, str)
    smear = 0.0 if isinstance(series, str) else np.einsum("in,ij,jn->n", pixels.normal, series.drift_covariance, pixels.normal)
    fitted = pixels.fit(values, 1.0, np.vstack([turns[:1], pixels.normal, turns[1:]]), turns, smear)
    covariance, number = clustered(fitted.design, fitted.weight, fitted.residual, pixels.piece, slice(-2, None))
    if number < LEAST_CLUSTERS:
        return untestable(*TURNS, f"the edge is as good as {number:.0f} independent pieces; 6 are needed")
    pair, cov = fitted.theta[-2:], covariance[-2:, -2:]
    statistic, p_value = pair_test(pair, cov, number)
    strength, sd = amplitude(pair, cov)
    level = float(fitted.theta[-3]) + pixels.edge.pixel_variance
    strength = min(strength, 0.98 * level)
    ratio = float(np.sqrt((level + strength) / (level - strength)))
    ratio_sd = ratio * level * sd / (level**2 - strength**2)
    axis = axis_angle(*pair, double=True)
    finding = (
        f"the edge is {ratio:.2f} ± {ratio_sd:.2f} times as wide {along(axis)} as across that"
        + (", drift between scans taken out" if measured else "")
        + ": compatible with an uncorrected tilt, astigmatism, inclined interfaces"
        + (" or drift within scans" if measured else " or drift")
    )
    return Check(*TURNS, finding, ratio, ratio_sd, "1", statistic, p_value, axis)
