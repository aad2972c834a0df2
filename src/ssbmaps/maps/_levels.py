"""Two levels of a marker map, and small regions of a label map, on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DISTINCT = 4.0  # standard deviations of noise; Otsu's outer classes of pure noise lie 2.4 apart


class NotTwoLevels(Exception):
    """A marker that does not show two levels; the text says why."""


def smoothed(values: NDArray[np.float64], measured: NDArray[np.bool_], sigma: tuple[float, float]) -> NDArray[np.float64]:
    """Gaussian over measured pixels only (normalised convolution); unmeasured pixels are not used, and 0."""
    from scipy.ndimage import gaussian_filter

    weight = gaussian_filter(measured.astype(float), sigma, mode="constant")
    total = gaussian_filter(np.where(measured, values, 0.0), sigma, mode="constant")
    return np.asarray(np.divide(total, weight, out=np.zeros_like(total), where=measured))


def two_levels(
    values: NDArray[np.float64],
    smooth: NDArray[np.float64],
    measured: NDArray[np.bool_],
    sigma: tuple[float, float],
    levels: int,
    *,
    poisson: bool,
) -> tuple[float, float]:
    """Medians of the lowest and the highest of `levels` Otsu classes of `smooth`."""
    from skimage.filters import threshold_multiotsu

    known = smooth[measured]
    spread = float(np.ptp(known)) if known.size else 0.0
    if spread <= 1e-9 * float(np.abs(known).max(initial=0)):
        constant = f"is constant ({known.mean():.4g})" if known.size else "was measured nowhere"
        raise NotTwoLevels(f"{constant}, so it marks nothing")
    distinct = np.count_nonzero(np.histogram(known, 256)[0])
    thresholds = threshold_multiotsu(known, min(levels, distinct))  # type: ignore[no-untyped-call]
    low = float(np.median(known[known <= thresholds[0]]))
    high = float(np.median(known[known > thresholds[-1]]))
    noise = _noise(values, measured, sigma, poisson=poisson)
    if high - low < DISTINCT * noise:
        raise NotTwoLevels(
            f"shows no two levels: {low:.4g} and {high:.4g} differ by less than {DISTINCT:g} times the noise of {noise:.2g} that "
            "smoothing leaves. Choose another fragment, sum several, or smooth more"
        )
    return low, high


def noise_variance(values: NDArray[np.float64], measured: NDArray[np.bool_]) -> float:
    """Variance of the noise of a map that holds no counts: from the median difference of neighbours, so edges count little.

    At least a millionth of the squared range, for maps without noise.
    """
    steps = [np.diff(values, axis=axis)[np.minimum(*_neighbours(measured, axis)).astype(bool)] for axis in (0, 1)]
    both = np.abs(np.concatenate(steps))
    deviation = float(np.median(both)) / (0.6745 * np.sqrt(2)) if both.size else 0.0
    return max(deviation**2, 1e-6 * float(np.ptp(values[measured])) ** 2)


def _noise(values: NDArray[np.float64], measured: NDArray[np.bool_], sigma: tuple[float, float], *, poisson: bool) -> float:
    """Standard deviation of the noise left after smoothing: Poisson's, or that of neighbouring pixels' differences."""
    from scipy.ndimage import gaussian_filter

    if poisson:
        variance = float(values[measured].mean())
    else:
        squares = [np.diff(values, axis=axis)[np.minimum(*_neighbours(measured, axis)).astype(bool)] ** 2 for axis in (0, 1)]
        both = np.concatenate(squares)
        variance = float(both.mean()) / 2 if both.size else 0.0
    impulse = np.zeros([2 * int(4 * s + 1) + 1 for s in sigma])
    impulse[tuple(n // 2 for n in impulse.shape)] = 1
    return float(np.sqrt(variance * np.sum(gaussian_filter(impulse, sigma) ** 2)))


def _neighbours(array: NDArray[np.generic], axis: int) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """The two sides of every pair of neighbouring pixels along `axis`."""
    first, second = [slice(None)] * 2, [slice(None)] * 2
    first[axis], second[axis] = slice(None, -1), slice(1, None)
    return array[tuple(first)], array[tuple(second)]


def absorb_small(labels: NDArray[np.int16], measured: NDArray[np.bool_], smallest: float) -> NDArray[np.int16]:
    """Give each region of fewer than `smallest` measured pixels the label most of its neighbouring pixels carry.

    Regions are connected through pixel sides. Only settled neighbours are asked, those large enough first; a small region among
    small ones waits until one of them is settled. Equal shares go to the lowest label. Without a settled neighbour it stays.
    Unassigned regions (0) are closed inside one label only: between two they are the mixed pixels of an edge, which would move.
    """
    from skimage.measure import label

    regions = label(np.where(measured, labels, -1), connectivity=1, background=-1)  # type: ignore[no-untyped-call]
    area = np.bincount(regions.ravel())
    own = np.zeros(len(area), np.int64)
    own[regions] = labels
    settled = area >= smallest
    settled[0] = False
    pairs = _region_pairs(regions)
    n_labels = int(labels.max(initial=0)) + 1
    while True:
        asks = ~settled[pairs[:, 0]] & settled[pairs[:, 1]] & (pairs[:, 0] > 0)
        if not asks.any():
            break
        votes = np.zeros((len(area), n_labels), np.int64)
        np.add.at(votes, (pairs[asks, 0], own[pairs[asks, 1]]), 1)
        asked = np.unique(pairs[asks, 0])
        between = (own[asked] == 0) & (np.count_nonzero(votes[asked], axis=1) > 1)
        own[asked] = np.where(between, 0, np.argmax(votes[asked], axis=1))
        settled[asked] = True
    return np.where(measured, own[regions], 0).astype(np.int16)


def _region_pairs(regions: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N, 2) region numbers of all neighbouring pixels of different regions, in both directions."""
    found = []
    for axis in (0, 1):
        a, b = (side.ravel() for side in _neighbours(regions, axis))
        differ = a != b
        found += [np.column_stack([a[differ], b[differ]]), np.column_stack([b[differ], a[differ]])]
    return np.concatenate(found)


def empty_ground(
    labels: NDArray[np.int16], total: NDArray[np.float64], measured: NDArray[np.bool_], sigma: float
) -> NDArray[np.bool_]:
    """Unassigned pixels (0) that emit less than half of the weakest phase, and those within 2 `sigma` of them through others.

    The rim within 2 sigma is where the beam mixes empty ground with what surrounds it.
    """
    from scipy.ndimage import binary_dilation

    free = measured & (labels == 0)
    inside = [float(np.median(total[measured & (labels == k)])) for k in np.unique(labels[measured & (labels > 0)])]
    if not inside or not free.any():
        return np.zeros(labels.shape, bool)
    empty = free & (smoothed(np.where(measured, total, 0.0), measured, (sigma, sigma)) < min(inside) / 2)
    return np.asarray(binary_dilation(empty, iterations=int(np.ceil(2 * sigma)), mask=free)) if empty.any() else empty
