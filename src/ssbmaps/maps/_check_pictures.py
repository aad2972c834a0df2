"""Pictures that tell whether two maps lie on one another: squares of both in turn, and the outlines of both. Arrays only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Pair = tuple[float, float]

_RANGE = (0.02, 0.98)  # quantiles that become 0 and 1
_ENOUGH = 0.5  # share of the smoothing kernel that must lie on measured pixels


def checkerboard(first: Floats, second: Floats, valid: Bools, y: Floats, x: Floats, square: float) -> Floats:
    """Squares of `square` um of both maps in turn, each brought to 0 … 1; the upper left one is `first`'s. NaN: not valid."""
    turn = np.add.outer(np.floor((y - y[0]) / square + 1e-9), np.floor((x - x[0]) / square + 1e-9)) % 2 == 0
    return np.where(valid, np.where(turn, _unit(first, valid), _unit(second, valid)), np.nan)


def _unit(values: Floats, valid: Bools) -> Floats:
    low, high = np.quantile(values[valid], _RANGE)
    if low == high:
        low, high = values[valid].min(), values[valid].max()
    return np.asarray(np.clip((values - low) / max(high - low, 1e-300), 0.0, 1.0))


def outlines(values: Floats, valid: Bools, pixel: Pair, first: Pair, width: float) -> list[Floats]:
    """Polylines (n, 2), um, on which the map smoothed by `width` um is halfway between its low and its high level.

    Closed lines no longer than the edge of what the smoothing makes of a single pixel are noise, and left out.
    """
    from scipy import ndimage
    from skimage import measure

    sigma = [width / p for p in pixel]
    weight = ndimage.gaussian_filter(valid.astype(np.float64), sigma, mode="constant")
    full = ndimage.gaussian_filter(np.ones(valid.shape), sigma, mode="constant")
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = ndimage.gaussian_filter(np.where(valid, values, 0.0), sigma, mode="constant") / weight
    inside = valid & (weight > _ENOUGH * full)
    if not inside.any():
        return []
    low, high = np.quantile(mean[inside], _RANGE)
    if low == high:
        return []
    find: Any = measure.find_contours
    lines = [np.array(first) + np.asarray(line) * pixel for line in find(np.where(inside, mean, np.nan), (low + high) / 2)]
    return [line for line in lines if not _speck(line, width)]


def _speck(line: Floats, width: float) -> bool:
    """Whether a closed line is no longer than a circle of twice `width`."""
    closed = bool(np.allclose(line[0], line[-1]))
    return closed and float(np.hypot(*np.diff(line, axis=0).T).sum()) <= 4 * np.pi * width
