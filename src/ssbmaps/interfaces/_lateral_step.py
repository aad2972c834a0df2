"""A blurred step along a straight line, fitted to counts by maximum Poisson likelihood, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ANGLES = 60  # directions over half a turn that the search asks
STRIPES = 16  # across the edge: their scatter gives the errors
LEAST_STRIPES = 4
MOST_STEPS, SETTLED = 60, 1e-8
FLOOR = 0.5  # counts on a whole side: a level no lower than that of a side on which nothing was counted
NEAR = 3.0  # standard deviations of the blur
PIXEL_ITSELF = 12**-0.5  # standard deviation of a square pixel's area: no step is seen sharper


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts, number of measured pixels and centre (y, x) in um, from the middle of the map, of each cell with any."""

    counts: Floats
    number: Floats
    y: Floats
    x: Floats
    size: float


@dataclass(frozen=True, slots=True)
class Step:
    """θ, ρ, ln σ, and the counts per pixel before and after the line x cos θ + y sin θ = ρ; the fitted counts of each cell."""

    theta: Floats
    mean: Floats
    deviance: float  # −2 ln L, constants left out

    @property
    def angle(self) -> float:
        """Direction of the normal towards the brighter side, radians from x towards y."""
        return float(self.theta[0] + (np.pi if self.theta[3] > self.theta[4] else 0.0))

    def at(self, y: Floats | float, x: Floats | float) -> Floats:
        """Distance in um of places to the line, positive on the brighter side."""
        sign = -1.0 if self.theta[3] > self.theta[4] else 1.0
        return np.asarray(sign * (x * np.cos(self.theta[0]) + y * np.sin(self.theta[0]) - self.theta[1]))


def coarse(counts: Floats, measured: NDArray[np.bool_], pixel: tuple[float, float], most: int) -> tuple[Cells, NDArray[np.bool_]]:
    """Square cells of pixels, at most `most` along the longer side, and which cells (row, column) hold measured pixels."""
    factor = -(-max(counts.shape) // most)
    spare = [(0, -n % factor) for n in counts.shape]
    shape = [(n + s[1]) // factor for n, s in zip(counts.shape, spare, strict=True)]

    def sums(values: Floats) -> Floats:
        padded = np.pad(values, spare)
        return np.asarray(padded.reshape(shape[0], factor, shape[1], factor).sum(axis=(1, 3)))

    number = sums(measured.astype(float))
    known = number > 0
    here = [np.where(measured, v, 0.0) for v in np.indices(counts.shape)]
    middle = [(n - 1) / 2 for n in counts.shape]
    y, x = ((sums(v)[known] / number[known] - m) * d for v, m, d in zip(here, middle, pixel, strict=True))
    return Cells(
        sums(np.where(measured, counts, 0.0))[known], number[known], y, x, factor * float(np.sqrt(pixel[0] * pixel[1]))
    ), known


class Search:
    """Likelihood ratios of sharp steps along lines of all directions and positions, for many images at once."""

    def __init__(self, cells: Cells) -> None:
        from scipy.sparse import csr_array

        self.cells = cells
        self.angles = np.arange(ANGLES) * np.pi / ANGLES
        reach = float(np.hypot(cells.y, cells.x).max())
        self.n_bins = int(2 * reach / cells.size) + 2
        along = np.outer(np.cos(self.angles), cells.x) + np.outer(np.sin(self.angles), cells.y)
        bins = np.floor((along + reach) / cells.size).astype(int)
        self.offsets = (np.arange(1, self.n_bins)) * cells.size - reach
        rows = (np.arange(ANGLES)[:, None] * self.n_bins + bins).ravel()
        columns = np.tile(np.arange(len(cells.x)), ANGLES)
        self.gather = csr_array((np.ones(rows.size), (rows, columns)), shape=(ANGLES * self.n_bins, len(cells.x)))
        self.before = np.cumsum((self.gather @ cells.number).reshape(ANGLES, self.n_bins), axis=1)[:, :-1]

    def ratios(self, counts: Floats) -> Floats:
        """2 ln(L1/L0) (image, angle, offset) of (image, cell) counts against one level."""
        sums = np.asarray(self.gather @ counts.T).reshape(ANGLES, self.n_bins, -1).transpose(2, 0, 1)
        first = np.cumsum(sums, axis=2)[:, :, :-1]
        total = counts.sum(axis=1)[:, None, None]
        area = float(self.cells.number.sum())
        gain = _entropy(first, self.before) + _entropy(total - first, area - self.before) - _entropy(total, area)
        return np.asarray(2 * np.where((self.before > 0) & (self.before < area), gain, 0.0))

    def peaks(self, ratios: Floats, most: int) -> list[tuple[float, float]]:
        """Angle and offset of the highest local maxima of (angle, offset) ratios; after half a turn the offset changes sign."""
        from scipy.ndimage import maximum_filter

        whole = np.vstack([ratios, ratios[:, ::-1]])
        wide = (2 * (ANGLES // 12) + 1, 2 * max(self.n_bins // 20, 1) + 1)
        highest = maximum_filter(whole, wide, mode=("wrap", "nearest"))[:ANGLES]
        at = np.argwhere((ratios == highest) & (ratios > 0))
        order = np.argsort(-ratios[tuple(at.T)])[:most]
        return [(float(self.angles[i]), float(self.offsets[j])) for i, j in at[order]]


def _entropy(counts: Floats, area: Floats | float) -> Floats:
    """S ln(S/n), 0 where nothing was counted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(counts > 0, counts * np.log(counts / area), 0.0))


def fit_step(cells: Cells, angle: float, offset: float, blur: float) -> Step:
    """Maximum likelihood by damped Fisher scoring from a start."""
    far = cells.x * np.cos(angle) + cells.y * np.sin(angle) > offset
    levels = [max(float(cells.counts[m].sum()), FLOOR) / max(float(cells.number[m].sum()), 1.0) for m in (~far, far)]
    theta = np.array([angle, offset, np.log(blur), *levels])
    floors = FLOOR / float(cells.number.sum())
    widest = np.log(0.5 * float(np.hypot(np.ptp(cells.y), np.ptp(cells.x))))
    narrowest = np.log(cells.size * PIXEL_ITSELF)

    def held(t: Floats) -> Floats:
        return np.array([t[0], t[1], np.clip(t[2], narrowest, widest), max(t[3], floors), max(t[4], floors)])

    damping, step = 1e-3, _evaluate(cells, theta)
    for _ in range(MOST_STEPS):
        slope = _slopes(cells, step.theta)
        weighted = slope / step.mean[:, None]
        information, score = weighted.T @ slope, weighted.T @ (cells.counts - step.mean)
        scale = np.diag(information) + 1e-12
        tried = _evaluate(cells, held(step.theta + np.linalg.solve(information + damping * np.diag(scale), score)))
        if tried.deviance > step.deviance:
            damping *= 8
            if damping > 1e8:
                break
            continue
        gained, step, damping = step.deviance - tried.deviance, tried, damping / 4
        if gained < SETTLED * max(1.0, abs(step.deviance) * 1e-6):
            break
    return step


def _evaluate(cells: Cells, theta: Floats) -> Step:
    from scipy.special import ndtr

    z = (cells.x * np.cos(theta[0]) + cells.y * np.sin(theta[0]) - theta[1]) / np.exp(theta[2])
    mean = cells.number * (theta[3] + (theta[4] - theta[3]) * ndtr(z))
    return Step(theta, mean, float(2 * (mean - cells.counts * np.log(mean)).sum()))


def _slopes(cells: Cells, theta: Floats) -> Floats:
    """(cell, parameter) derivatives of the expected counts."""
    from scipy.special import ndtr

    sigma = np.exp(theta[2])
    z = (cells.x * np.cos(theta[0]) + cells.y * np.sin(theta[0]) - theta[1]) / sigma
    rise = (theta[4] - theta[3]) * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) / sigma
    turned = -cells.x * np.sin(theta[0]) + cells.y * np.cos(theta[0])
    after = ndtr(z)
    return np.asarray(cells.number[:, None] * np.column_stack([rise * turned, -rise, -rise * z * sigma, 1 - after, after]))


def errors_of(cells: Cells, step: Step, alike: float) -> tuple[Floats, int]:
    """Standard errors of θ, ρ, ln σ and the levels, and their degrees of freedom, from the scatter of stripes across the edge.

    Counts along an edge vary together over some length, `alike` um; stripes that are no shorter are taken as independent
    (Liang and Zeger 1986, doi 10.1093/biomet/73.1.13). The outer stripes pull the line towards themselves: each stripe's score is
    what it would be about a line fitted to the others. No error is smaller than that from counting alone.
    """
    slope = _slopes(cells, step.theta)
    weighted = slope / step.mean[:, None]
    inverse = np.linalg.pinv(weighted.T @ slope)
    along = -cells.x * np.sin(step.theta[0]) + cells.y * np.cos(step.theta[0])
    near = along[np.abs(step.at(cells.y, cells.x)) < NEAR * max(np.exp(step.theta[2]), cells.size)]
    length = float(np.ptp(near)) if near.size else 0.0
    n = int(np.clip(length // max(4 * cells.size, alike), LEAST_STRIPES, STRIPES))
    stripe = np.searchsorted(np.quantile(near if near.size else along, np.arange(1, n) / n), along)
    scores = []
    for k in range(n):
        own = stripe == k
        share = weighted[own].T @ slope[own] @ inverse
        score = weighted[own].T @ (cells.counts - step.mean)[own]
        scores.append(np.linalg.pinv(np.eye(len(score)) - share) @ score)
    together = np.array(scores)
    covariance = inverse @ (together.T @ together) @ inverse * (n - 1) / n
    return np.sqrt(np.maximum(np.diag(covariance), np.diag(inverse)).clip(0)), n - 2  # two numbers of the line
