"""Mean signal of a region at every time, and how much its sum fluctuates beyond counting, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

CELLS = 32  # along the longer side of the map: fluctuations are compared between cells, not single pixels
MOST_SHARE = 0.5  # of all pairs of cells that may lie within the reach of the covariance
ROUNDS, SAME = 50, 1e-10


@dataclass(frozen=True)
class Signal:
    """Mean per pixel (T), its standard error (T), and the variance of sums over the one of independent pixels."""

    mean: Floats
    sd: Floats
    dispersion: float


def signal_of(values: Floats, known: Bools, variance: Floats | None, *, poisson: bool) -> Signal:
    """Signal of (T, y, x) values where `known`; `variance` of single pixels, by default what is left of each pixel."""
    n = known.sum(axis=(1, 2)).astype(np.float64)
    filled = np.where(known, values, 0.0)
    total = filled.sum(axis=(1, 2))
    number, cells = (_in_cells(v) for v in (known.astype(np.float64), filled))
    if poisson:
        expected = _outer(cells, number, product=True)
        noise, own = expected, np.maximum(total, 1.0)
    else:
        spread = _left_over(filled, known) if variance is None else np.where(known, variance, 0.0)
        expected, noise, own = _outer(cells, number, product=False), _in_cells(spread), spread.sum(axis=(1, 2))
    factor = _dispersion(cells - expected, number > 0, noise)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Signal(total / n, np.sqrt(own * np.fmax(factor, 1.0)) / n, factor)


def _in_cells(fields: Floats) -> Floats:
    """Sums over square cells of (T, y, x): (T, ny, nx), at most 32 along the longer side."""
    size = -(-max(fields.shape[1:]) // CELLS)
    rows, columns = (np.arange(0, n, size) for n in fields.shape[1:])
    return np.asarray(np.add.reduceat(np.add.reduceat(fields, rows, axis=1), columns, axis=2))


def _outer(total: Floats, number: Floats, *, product: bool) -> Floats:
    """What each cell (T, …) sums to if all of a region change alike: number × level × factor of the time, or level + change.

    A product for counts (its maximum likelihood), a sum for other values. With one time only, all cells are alike.
    """
    shape = total.shape
    total, number = total.reshape(shape[0], -1), number.reshape(shape[0], -1)
    level = np.full(total.shape[1], total.sum() / max(number.sum(), 1.0))
    factor = np.full(shape[0], 1.0 if product else 0.0)
    at, seen = np.maximum(number.sum(axis=0), 1e-12), np.maximum(number.sum(axis=1), 1e-12)
    for _ in range(ROUNDS):
        before = level.copy()
        if product:
            factor = total.sum(axis=1) / np.maximum(number @ level, 1e-300)
            level = total.sum(axis=0) / np.maximum(factor @ number, 1e-300) if shape[0] > 1 else level
        else:
            factor = (total - number * level).sum(axis=1) / seen
            level = (total - number * factor[:, None]).sum(axis=0) / at if shape[0] > 1 else level
        if np.abs(level - before).max() <= SAME * np.abs(level).max():
            break
    model = factor[:, None] * level if product else factor[:, None] + level
    return np.asarray(number * model).reshape(shape)


def _left_over(values: Floats, known: Bools) -> Floats:
    """Variance of single pixels: what is left of each after its own level and the change of the region, alike for all of them."""
    residual = np.where(known, values - _outer(values, known.astype(np.float64), product=False), 0.0)
    n_times, n_pixels = known.shape[0], int(known.any(axis=0).sum())
    freedom = int(known.sum()) - n_times - (n_pixels - 1 if n_times > 1 else 0)
    return np.asarray(known * (float((residual**2).sum()) / max(freedom, 1)))


def _dispersion(residual: Floats, known: Bools, noise: Floats) -> float:
    """Variance of the region's sum over that of independent pixels, from products of residuals by the distance between cells.

    The sum over distances ends where the covariance first falls to zero, at the latest at half of all pairs. Residuals sum to 0
    at each time, which makes every product too low by the variance of the sum itself, and to 0 in each cell. NaN for fewer
    than 4 cells, and where nothing was counted.
    """
    from scipy.fft import irfft2, rfft2

    n_times, *shape = residual.shape
    n_cells = int(known.any(axis=0).sum())
    if n_cells < 4 or not noise.sum() > 0:
        return float("nan")
    padded = [2 * n for n in shape]
    products, pairs = (
        irfft2((np.abs(rfft2(field, padded)) ** 2).sum(axis=0), padded) for field in (residual, known.astype(np.float64))
    )
    steps = [np.minimum(np.arange(n), n - np.arange(n)) for n in padded]
    ring = np.floor(np.hypot(steps[0][:, None], steps[1]) + 0.5).astype(np.int64).ravel()
    product, pair = (np.bincount(ring, v.ravel()) for v in (products, np.rint(pairs)))
    ended = (product <= 0) & (pair > 0)
    ended[0] = False
    within = np.cumsum(pair) / pair.sum()
    near = ~np.logical_or.accumulate(ended | (within > MOST_SHARE))
    near[0] = True
    freedom = (n_times - 1) / n_times if n_times > 1 else 1.0
    variance = product[near].sum() / (1 - min(pair[near].sum() / pair.sum(), MOST_SHARE)) / freedom
    return float(variance / noise.sum())
