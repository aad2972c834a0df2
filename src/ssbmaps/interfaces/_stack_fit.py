"""A stack of layers on a binned profile: edges found by dynamic programming, then all fitted together, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._interphase_fit import DETECTED, Interval, Misfit, dispersion_of, interval_of, misfit_of
from ssbmaps.interfaces._scoring import Fit, fit_shape
from ssbmaps.interfaces._shapes import stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.interfaces._interphase_fit import Profile

    Floats = NDArray[np.float64]

WIDTHS = (0.5, 1.0, 2.0)  # pixels; σ of the starts


@dataclass(frozen=True)
class Stack:
    """The fitted stack; for each inner layer its interval, the ratio against a stack without it, and whether it was found."""

    fit: Fit
    dispersion: float
    misfit: Misfit
    intervals: list[Interval]
    ratios: list[float]
    found: list[bool]


def fit_stack(data: Profile, n: int, size: float) -> Stack:
    """`n` layers on a profile of pixels of `size` um."""
    fit = _best(data, n, size)
    dispersion = max(dispersion_of(data, fit), 1.0 if data.positive else 1e-12)
    bounds = _bounds(data, n, size)
    intervals, ratios = [], []
    for k in range(1, n - 1):
        intervals.append(interval_of(data, fit, bounds, dispersion, f"d{k}"))
        without = min((_from(data, n - 1, size, start) for start in _without(fit, k)), key=lambda f: f.loss)
        ratios.append(max(2 * (without.loss - fit.loss) / dispersion, 0.0))
    least = _threshold(len(data.kinds))
    return Stack(fit, dispersion, misfit_of(data, fit), intervals, ratios, [r > least for r in ratios])


def _threshold(n_channels: int) -> float:
    """Ratio as rare by chance as the one that detects a single shell: a thickness and a level per channel are free."""
    from scipy.stats import chi2

    return float(chi2.isf(chi2.sf(DETECTED, 2), 1 + n_channels))


def _bounds(data: Profile, n: int, size: float) -> tuple[Floats, Floats]:
    extent = float(np.ptp(data.s))
    low = np.array([data.s.min(), 0.05 * size, *[0.02 * size] * (n - 2)])
    return low, np.array([data.s.max(), max(5 * size, extent / 10), *[extent] * (n - 2)])


def _from(data: Profile, n: int, size: float, geometry: Floats) -> Fit:
    return fit_shape(data, stack(n), geometry, _bounds(data, n, size))


def _best(data: Profile, n: int, size: float) -> Fit:
    """The best fit from segmentations of the profile that allow for edges of different widths."""
    starts = []
    for least in (1, 3, 6):
        edges = _segments(data, n, least)
        starts += [np.array([edges[0], width * size, *np.diff(edges)]) for width in WIDTHS]
    return min((_from(data, n, size, g) for g in starts), key=lambda f: f.loss)


def _segments(data: Profile, n: int, least: int) -> Floats:
    """The n − 1 edges of the least-squares split into n constant pieces of `least` cells or more."""
    cells = np.array_split(np.arange(len(data.s)), min(len(data.s), 250))
    seen, weight = data.observed()
    w = np.stack([weight[:, c].sum(axis=1) for c in cells], axis=1)
    wm = np.stack([(weight * seen)[:, c].sum(axis=1) for c in cells], axis=1)
    start = np.array([data.s[c[0]] for c in cells])
    before_w, before_m = (np.concatenate([np.zeros((len(v), 1)), np.cumsum(v, axis=1)], axis=1) for v in (w, wm))
    count = len(cells)

    def gain(i: NDArray[np.int64], j: int) -> Floats:
        """Explained squares of one piece from cell i to before j."""
        total_w, total_m = (v[:, j : j + 1] - v[:, i] for v in (before_w, before_m))
        return np.asarray((total_m**2 / np.maximum(total_w, 1e-300)).sum(axis=0))

    best = np.full((n + 1, count + 1), -np.inf)
    choice = np.zeros((n + 1, count + 1), np.int64)
    best[0, 0] = 0
    for k in range(1, n + 1):
        for j in range(k * least, count + 1):
            i = np.arange((k - 1) * least, j - least + 1)
            total = best[k - 1, i] + gain(i, j)
            at = int(total.argmax())
            best[k, j], choice[k, j] = total[at], i[at]
    cuts, j = [], count
    for k in range(n, 1, -1):
        j = int(choice[k, j])
        cuts.append(j)
    return np.asarray(start[np.array(cuts[::-1])])


def _without(fit: Fit, k: int) -> list[Floats]:
    """Geometries without the k-th inner layer: given to the layer below, to the one above, or halved."""
    s0, sigma, *inner = fit.geometry
    edges = s0 + np.append(0, np.cumsum(inner))
    kept = []
    for edge in (edges[k - 1], edges[k], (edges[k - 1] + edges[k]) / 2):
        rest = np.concatenate([edges[: k - 1], [edge], edges[k + 1 :]])
        kept.append(np.array([rest[0], sigma, *np.diff(rest)]))
    return kept
