"""The two edges of a layer in every column of an image, between pixels, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

WIDTHS = (0.3, 0.45, 0.65, 0.9, 1.3, 1.8, 2.5, 3.5, 5.0)  # px: standard deviations of the blur that are tried
SMOOTH = 2.0  # px along the layer, for the first guess only
WINDOW = 16.0  # px along the layer over which levels are local: a gain that drifts moves no edge
CLEAR = 3.0  # px plus twice the blur: how far from an edge a level is taken
ROUNDS, LEVEL_ROUNDS = 8, 2
SETTLED = 1e-3  # px
SURE = 0.5  # px: error of a column's edge above which neighbouring columns are taken together


@dataclass(frozen=True)
class Edges:
    """Edges (2, column) in px from the first pixel's low side, the error of their distance (column), both NaN if not in view."""

    at: Floats
    variance: Floats
    blur: float


def first_guess(level: Floats, known: Bools) -> Floats:
    """(2, column) ends of the run of pixels with the highest sum of `level`: positive inside the layer, negative outside."""
    height = np.concatenate([np.zeros((1, level.shape[1])), np.cumsum(np.where(known, level, 0.0), axis=0)])
    lowest = np.minimum.accumulate(height, axis=0)
    stop = (height - lowest).argmax(axis=0)
    columns = np.arange(level.shape[1])
    before = np.arange(len(height))[:, None] <= stop
    start = np.where(before & (height == lowest[stop, columns]), np.arange(len(height))[:, None], -1).max(axis=0)
    return np.stack([start, stop]).astype(np.float64)


def in_view(at: Floats, known: Bools) -> Bools:
    """Columns whose layer begins and ends at pixels that were measured, within the frame."""
    n = len(known)
    low, high = (np.clip(np.floor(v).astype(np.int64), 0, n - 1) for v in at)
    columns = np.arange(known.shape[1])
    inside = (at[0] >= 1) & (at[1] <= n - 1) & (at[1] > at[0])
    return np.asarray(inside & known[low, columns] & known[np.maximum(low - 1, 0), columns] & known[high, columns])


def edges_of(values: Floats, known: Bools, *, poisson: bool) -> Edges:
    """Maximum likelihood of both edges of every column of (row, column) values: three local levels, one blur."""
    guess = first_guess(*_centred(values, known))
    seen = in_view(guess, known)
    if seen.sum() < 2:
        return Edges(np.full_like(guess, np.nan), np.full(guess.shape[1], np.nan), np.nan)
    least, edges = np.inf, Edges(guess, guess[0], np.nan)
    for width in WIDTHS:
        loss, found = _fitted(values, known & seen, edges.at, width, poisson=poisson)
        if loss > least:
            break
        least, edges = loss, found
    good = seen & in_view(edges.at, known) & np.isfinite(edges.variance)
    return Edges(np.where(good, edges.at, np.nan), np.where(good, edges.variance, np.nan), edges.blur)


def _centred(values: Floats, known: Bools) -> tuple[Floats, Bools]:
    """Values less the middle between low and high ground, smoothed along the layer."""
    from scipy.ndimage import gaussian_filter1d
    from skimage.filters import threshold_otsu

    weight = gaussian_filter1d(known.astype(np.float64), SMOOTH, axis=1, mode="nearest")
    smooth = gaussian_filter1d(np.where(known, values, 0.0), SMOOTH, axis=1, mode="nearest") / np.maximum(weight, 1e-12)
    ground = smooth[known]
    if not ground.size or not np.ptp(ground) > 0:
        return np.full_like(values, -1.0), known  # nothing is a layer
    return smooth - float(threshold_otsu(ground)), known  # type: ignore[no-untyped-call]


def _beyond(rows: Floats, edge: Floats, width: float) -> tuple[Floats, Floats]:
    """Share of each pixel beyond a blurred `edge` (column), and its derivative by the edge."""
    from scipy.special import ndtr

    low, high = (rows[:, None] + side - edge for side in (0.0, 1.0))
    below, above = ndtr(low / width), ndtr(high / width)
    density = [np.exp(-0.5 * (u / width) ** 2) * width / np.sqrt(2 * np.pi) for u in (low, high)]
    return high * above + density[1] - low * below - density[0], below - above


def _levels(values: Floats, known: Bools, at: Floats, width: float) -> Floats:
    """(3, column) levels before, in and after the layer, from pixels clear of the edges, over a window along the layer."""
    from scipy.ndimage import gaussian_filter1d

    rows = np.arange(len(values))[:, None] + 0.5
    thin = np.median(at[1] - at[0]) / 2 - 1.0
    clear = min(CLEAR + 2 * width, max(float(thin), 0.5))
    zones = (rows < at[0] - clear, (rows > at[0] + clear) & (rows < at[1] - clear), rows > at[1] + clear)
    found = []
    for zone in zones:
        own = zone & known
        total, n = (np.where(own, v, 0.0).sum(axis=0) for v in (values, np.ones_like(values)))
        near = [gaussian_filter1d(v, WINDOW, mode="nearest") for v in (total, n)]
        whole = total.sum() / max(n.sum(), 1.0)
        found.append(np.where(near[1] > 1e-6, near[0] / np.maximum(near[1], 1e-6), whole))
    return np.stack(found)


def _fitted(values: Floats, known: Bools, at: Floats, width: float, *, poisson: bool) -> tuple[float, Edges]:
    """Loss and edges under one blur; levels and edges in turn, edges by Fisher scoring with steps of at most a pixel."""
    rows = np.arange(len(values), dtype=np.float64)
    start, inverse, loss = at, np.zeros((3, at.shape[1])), np.inf
    noise = np.ones_like(values)
    for turn in range(LEVEL_ROUNDS):
        before, inside, after = _levels(values, known, at, width)
        for _ in range(ROUNDS):
            shares = [_beyond(rows, edge, width) for edge in at]
            mean = before + (inside - before) * shares[0][0] + (after - inside) * shares[1][0]
            slopes = [(inside - before) * shares[0][1], (after - inside) * shares[1][1]]
            if poisson:
                noise = np.maximum(mean, 1e-6)
            weight = np.where(known, 1 / noise, 0.0)
            residual = np.where(known, values - mean, 0.0)
            score = np.stack([(s * weight * residual).sum(axis=0) for s in slopes])
            a, b, c = ((p * q * weight).sum(axis=0) for p, q in ((slopes[0],) * 2, slopes, (slopes[1],) * 2))
            solid = a * c - b * b
            determinant = np.where(solid > 1e-12 * a * c, solid, np.inf)
            inverse = np.stack([c, -b, a]) / determinant
            step = np.stack([inverse[0] * score[0] + inverse[1] * score[1], inverse[1] * score[0] + inverse[2] * score[1]])
            at = np.clip(at + np.clip(step, -1, 1), start - 4, start + 4)
            if np.abs(step).max() < SETTLED:
                break
        if not poisson:
            noise = np.full_like(values, max(float((residual**2).sum() / max(known.sum() - at.size, 1)), 1e-300))
        loss = float((residual**2 * weight).sum()) if poisson else float(np.log((residual**2).sum() + 1e-300))
        if turn == 0:
            start = at
    if poisson:
        mean = np.maximum(mean, 1e-6)
        ratio = np.where(values > 0, values, 1.0) / mean
        terms = mean - values + values * np.log(ratio)
        loss = float(2 * terms[known].sum())
    variance = np.where(np.isfinite(determinant), inverse[0] + inverse[2] - 2 * inverse[1], np.nan)
    return loss, Edges(at, variance, width)
