"""Sub-pixel shifts of scans against the mean of the other scans: weighted Gauss–Newton on counts, with Fisher errors.

Arrays only: counts (scan, channel, row, column), masks (scan, row, column), shifts (scan, 2) in pixels. A shift says where
the scan sees the common frame: pixel r of the frame lies at r + shift in the scan.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Bools = NDArray[np.bool_]

SIGMA = 1.0  # px; smoothing of scans and of test functions: close to the edge widths of a well-sampled map
LOCAL = 7  # px; three boxes of this side make the local mean that gradients are freed from, 3.5 px wide (1 sigma)
FLOOR = 0.5  # counts per pixel, all scans: with fewer, local variances are not known well enough to weigh by
PAIRS = ((0, 0), (0, 1), (1, 1))  # yy, yx, xx
_STEPS = 12
MAX_SD = 1.0  # px; beyond the smoothing width the score is no longer straight, and the error means nothing
UNKNOWN = 100.0  # px; stands for an error without bound


@dataclass(frozen=True)
class Fit:
    """Shifts (scan, 2) px, their covariance (scan, 2, 2), information by channel, residual over Poisson variance by scan."""

    shifts: Floats
    covariance: Floats
    information: Floats
    dispersion: Floats


@dataclass(frozen=True)
class _Part:
    """What one channel says about all scans, at the present shifts."""

    score: Floats
    response: Floats
    variance: Floats
    misfit: Floats
    expected: Floats
    weight: float


def halved(values: Singles) -> Singles:
    """Sums over blocks of 2 × 2 pixels of the last two axes; an odd last row or column is left out."""
    ny, nx = (n // 2 * 2 for n in values.shape[-2:])
    rows = values[..., 0:ny:2, :nx] + values[..., 1:ny:2, :nx]
    return np.asarray(rows[..., 0::2] + rows[..., 1::2])


def pyramid(counts: NDArray[Any], masks: Bools, levels: int) -> list[tuple[Singles, Bools]]:
    """Counts and masks at full resolution and on blocks of 2, 4, … pixels, `levels` of them, the finest first."""
    images = [(np.asarray(counts, np.float32), masks)]
    for _ in range(levels - 1):
        finer, usable = images[-1]
        images.append((halved(finer), halved(usable.astype(np.float32)) == 4))
    return images


def fit_shifts(images: Sequence[tuple[Singles, Bools]], shifts: Floats) -> Fit:
    """Refine `shifts` on each level of a pyramid, from the coarsest to full resolution."""
    fit = Fit(shifts - shifts.mean(axis=0), *(np.zeros(0),) * 3)
    for level in range(len(images) - 1, -1, -1):
        fit = _refine(*images[level], fit.shifts / 2**level, settled=0.05 if level else 0.0)
        fit = Fit(fit.shifts * 2**level, fit.covariance * 4**level, fit.information, fit.dispersion)
    return fit


def _refine(counts: Singles, masks: Bools, shifts: Floats, *, settled: float) -> Fit:
    """Gauss–Newton steps until no scan moves by more than `settled` px or a third of its error, at most a dozen.

    A step leaves about a seventh of the distance, so that what remains is far below the error. No step exceeds 2 px.
    """
    gauge = (len(shifts) - 1) / len(shifts)  # a shift against the others' mean, brought to the mean of all
    d = shifts - shifts.mean(axis=0)
    for _ in range(_STEPS):
        parts = _all_parts(counts, masks, d)
        weights = np.array([p.weight for p in parts])
        response = np.einsum("p,pkij->kij", weights, np.stack([p.response for p in parts]))
        variance = np.einsum("p,pkij->kij", weights**2, np.stack([p.variance for p in parts]))
        score = np.einsum("p,pki->ki", weights, np.stack([p.score for p in parts]))
        inverse, covariance = _solve(response, variance)
        covariance *= gauge**2
        step = -gauge * np.einsum("kij,kj->ki", inverse, score)
        step = np.clip(step, -2.0, 2.0)
        d = d + step - step.mean(axis=0)
        if np.all(np.abs(step) <= np.maximum(settled, 0.33 * np.sqrt(np.einsum("kii->ki", covariance)))):
            break
    information = np.array([p.weight**2 * np.trace(p.variance.sum(axis=0)) for p in parts])
    scale = information / np.maximum([p.expected.sum() for p in parts], 1e-30)
    misfit, expected = (np.array(v).T @ scale for v in ([p.misfit for p in parts], [p.expected for p in parts]))
    return Fit(d, covariance, information / max(information.sum(), 1e-30), misfit / np.maximum(expected, 1e-30))


def _solve(response: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Inverse of each scan's response and the covariance of its shift, direction by direction.

    Along a direction that is known to no better than a pixel no step is made, and the covariance says so.
    """
    values, vectors = np.linalg.eigh(response)
    spread = np.sqrt(np.maximum(np.einsum("kji,kjl,kli->ki", vectors, variance, vectors), 0.0))
    sd = np.where(values > 0, np.minimum(spread / np.maximum(values, 1e-30), UNKNOWN), UNKNOWN)
    known = sd <= MAX_SD
    inverse = np.einsum("kij,kj,klj->kil", vectors, np.where(known, 1 / np.where(known, values, 1.0), 0.0), vectors)
    blind = np.einsum("kij,kj,klj->kil", vectors, np.where(known, 0.0, sd**2), vectors)
    return inverse, inverse @ variance @ inverse + blind


def _all_parts(counts: Singles, masks: Bools, d: Floats) -> list[_Part]:
    from scipy.ndimage import binary_erosion

    n_scans = len(d)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
        seen = np.stack(list(pool.map(lambda k: smooth_shift(masks[k].astype(np.float32), d[k]) > 1 - 1e-3, range(n_scans))))
        others = seen.sum(axis=0) - seen
        used = seen & (others >= max(1.0, 0.25 * (n_scans - 1)))
        used = np.stack(list(pool.map(lambda m: binary_erosion(m, np.ones((3, 3))), used)))
        weights = seen.astype(np.float32), used.astype(np.float32)
        return list(pool.map(lambda f: _part(counts[:, f], *weights, d), range(counts.shape[1])))


def _part(counts: Singles, seen: Singles, used: Singles, d: Floats) -> _Part:
    """Score, response and variance of one channel for every scan; see `align_scans` for the method."""
    n_scans = len(d)
    scans = np.stack([smooth_shift(c, s) for c, s in zip(counts, d, strict=True)])
    scans *= seen
    share = scans.sum(axis=(1, 2), dtype=np.float64) / np.maximum(seen.sum(axis=(1, 2), dtype=np.float64), 1.0)
    if not share.sum() > 0:
        none, square = np.zeros(n_scans), np.zeros((n_scans, 2, 2))
        return _Part(np.zeros((n_scans, 2)), square, square, none, none, 0.0)
    share /= share.sum()
    total, exposure = scans.sum(axis=0), _exposure(share, seen)
    rate = total / np.maximum(exposure, np.float32(1e-6))
    drift, maps, weight = _maps(scans, seen, share, rate)
    sums = np.einsum("kp,mp->km", used.reshape(n_scans, -1), maps.reshape(len(maps), -1), optimize=True).astype(np.float64)
    score, level, misfit, inverse = np.zeros((n_scans, 2)), np.zeros(n_scans), np.zeros(n_scans), np.zeros(n_scans)
    for k in range(n_scans):
        rest = np.maximum(exposure - np.float32(share[k]) * seen[k], np.float32(1e-6))
        reference = (total - scans[k]) / rest
        level[k] = dot(scans[k], used[k]) / max(dot(reference, used[k]), 1e-30)
        residual = (scans[k] - np.float32(level[k]) * reference) * used[k]
        misfit[k] = dot(residual, residual)
        inverse[k] = dot(1 / rest, used[k]) / max(float(used[k].sum()), 1.0)
        residual *= weight
        own = reference * residual
        score[k] = [dot(g, residual) - dot(b, own) for g, b in zip(gradient(reference), drift, strict=True)]
    noise = level * (1 + level * inverse)  # of the scan, and of the reference scaled to it
    response = level[:, None, None] * _matrices(sums[:, 0:3])
    variance = noise[:, None, None] * (
        _positive(_matrices(sums[:, 3:6])) + _gradient_energy() * sums[:, 8, None, None] * np.eye(2)
    )
    shrink = max(float(sums[:, [0, 2]].sum()), 0.0) / max(float(sums[:, 6].sum()), 1e-30)
    return _Part(score, response, variance, misfit, noise * kernel_energy() * sums[:, 7], shrink)


def _exposure(share: Floats, seen: Singles) -> Singles:
    return np.asarray(np.tensordot(share.astype(np.float32), seen, axes=1))


def _maps(scans: Singles, seen: Singles, share: Floats, rate: Singles) -> tuple[list[Singles], Singles, Singles]:
    """Local relative gradients; maps of response (yy, yx, xx), variance (yy, yx, xx), apparent response, rate, noise; weights.

    The response (change of the score per px) is a product of two halves of the scans: their noise is independent, so
    that noise in flat regions adds nothing. The apparent response, from all scans at once, holds that noise. The variance
    of the score is made of the same product and of what white Poisson noise in the gradient adds, the last map.
    """
    from scipy.ndimage import minimum_filter

    inside = minimum_filter(seen.max(axis=0), 3, mode="constant")
    around = np.maximum(local_mean(inside), np.float32(1e-3))
    floor = np.float32(0.01) * rate.mean() + np.float32(FLOOR)
    local = local_mean(rate * inside) / around + floor
    weight = inside / local
    slopes = [g * inside for g in gradient(rate)]
    drift = [local_mean(g) / around / local for g in slopes]
    halves = []
    for half in (slice(0, None, 2), slice(1, None, 2)):
        image = scans[half].sum(axis=0) / np.maximum(_exposure(share[half], seen[half]), np.float32(1e-6))
        slope = gradient(image)
        test = [(g - image * b) * weight for g, b in zip(slope, drift, strict=True)]
        halves.append((slope, test, [smooth_shift(t, (0.0, 0.0)) for t in test]))
    (first, first_test, first_spread), (second, second_test, second_spread) = halves
    yy, yx, xy, xx = (0.5 * (first_test[i] * second[j] + second_test[i] * first[j]) for i, j in np.ndindex(2, 2))
    variance = [0.5 * (first_spread[i] * second_spread[j] + first_spread[j] * second_spread[i]) * rate for i, j in PAIRS]
    noise = (weight * (local - floor)) ** 2 / np.maximum(_exposure(share, seen), np.float32(1e-6))
    apparent = sum((g - rate * b) * weight * g for g, b in zip(slopes, drift, strict=True))
    return drift, np.stack([yy, 0.5 * (yx + xy), xx, *variance, apparent, rate, noise]), weight


def _matrices(triples: Floats) -> Floats:
    return np.asarray(triples[:, [0, 1, 1, 2]].reshape(-1, 2, 2))


def _positive(matrices: Floats) -> Floats:
    """The nearest matrices without negative eigenvalues: products of halves may fall below 0 where there is no structure."""
    values, vectors = np.linalg.eigh(matrices)
    return np.asarray(np.einsum("kij,kj,klj->kil", vectors, np.maximum(values, 0.0), vectors))


def dot(first: Singles, second: Singles) -> float:
    """Sum of the products, rows in single precision, their sum in double."""
    return float(np.einsum("ij,ij->i", first, second).sum(dtype=np.float64))


def gradient(image: Singles) -> list[Singles]:
    """Central differences along both axes; 0 on the rim."""
    rows, columns = np.zeros_like(image), np.zeros_like(image)
    np.subtract(image[2:], image[:-2], out=rows[1:-1])
    np.subtract(image[:, 2:], image[:, :-2], out=columns[:, 1:-1])
    rows *= np.float32(0.5)
    columns *= np.float32(0.5)
    return [rows, columns]


def local_mean(image: Singles, box: int = LOCAL) -> Singles:
    """Mean about each pixel: three boxes of side `box`, which is a bell of box / 2 px (1 sigma)."""
    from scipy.ndimage import uniform_filter

    for _ in range(3):
        image = uniform_filter(image, box, mode="nearest")
    return image


def _taps(shift: float) -> Singles:
    reach = int(np.ceil(4 * SIGMA))
    taps = np.exp(-0.5 * ((np.arange(-reach, reach + 1) - shift) / SIGMA) ** 2)
    return np.asarray(taps / taps.sum(), np.float32)


def _gradient_energy() -> float:
    """Variance of the central difference of a twice smoothed pixel over that of the pixel itself, for white noise."""
    twice = np.convolve(_taps(0.0), _taps(0.0))
    return float(np.sum(np.convolve(twice, [0.5, 0.0, -0.5]) ** 2) * np.sum(twice**2))


def kernel_energy() -> float:
    """Variance of a smoothed pixel over that of the pixel itself, for white noise."""
    return float(np.sum(_taps(0.0) ** 2) ** 2)


def smooth_shift(image: Singles, shift: Sequence[float] | Floats) -> Singles:
    """`image` at r + shift, smoothed by a Gaussian of SIGMA; 0 beyond the border."""
    from scipy.ndimage import correlate1d

    whole = [round(float(s)) for s in shift]
    moved = image
    if any(whole):
        moved = np.zeros_like(image)
        spans = [
            (slice(max(-s, 0), n - max(s, 0)), slice(max(s, 0), n - max(-s, 0))) for s, n in zip(whole, image.shape, strict=True)
        ]
        if all(abs(s) < n for s, n in zip(whole, image.shape, strict=True)):
            moved[spans[0][0], spans[1][0]] = image[spans[0][1], spans[1][1]]
    for axis in (0, 1):
        moved = correlate1d(moved, _taps(float(shift[axis]) - whole[axis]), axis=axis, mode="constant")
    return np.asarray(moved)
