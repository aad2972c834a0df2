"""Where each scan lies, to the pixel: cross-correlation over every lag, and how much structure it shares with the others.

Arrays only, on the coarsest level of the pyramid of `_shift_fit`: counts (scan, channel, row, column) in single
precision, masks (scan, row, column), shifts (scan, 2) in pixels of that level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._shift_fit import dot, fit_shifts, kernel_energy, local_mean, smooth_shift

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Bools = NDArray[np.bool_]

WIDE = 15  # px; side of the boxes of the local mean, 7.5 px wide (1 sigma): few counts need wide structure
MIN_OVERLAP = 0.5  # share of the map; lags with less are not looked at: few edges match somewhere by chance
MIN_SHARED = 0.5  # half-way between the same structure (1) and another place (0)
CLOSE = 3.0  # standard deviations of the ratio, below which two lags are alike
FALSE_ALARM = 1e-3  # per scan, over all lags


@dataclass(frozen=True)
class Located:
    """Shifts (scan, 2) px; share of the others' structure found in each scan (1: all) and its error; which are located."""

    shifts: Floats
    shared: Floats
    shared_sd: Floats
    found: Bools


def locate(counts: Singles, masks: Bools) -> Located:
    """Lags of all scans against a reference out of their midst, kept where the aligned scans share their structure.

    A single scan is the reference; where counts are too few for that, a block of scans around the middle. Scans missed
    at first are looked for again in the mean of those found.
    """
    n_scans = len(counts)
    flat = _bandpass(counts, masks)
    best = Located(np.zeros((n_scans, 2)), np.zeros(n_scans), np.full(n_scans, np.inf), np.zeros(n_scans, bool))
    for block in _blocks(n_scans):
        summed = np.asarray(counts[block].sum(axis=0), np.float32)
        shifts, limit = _lags(_bandpass(summed[None], np.asarray(masks[block].all(axis=0))[None]), flat)
        trial = _settle(counts, masks, shifts, limit, _members(n_scans, block))
        best = max(best, trial, key=lambda t: int(t.found.sum()))
        if 2 * best.found.sum() >= n_scans:
            break
    if best.found.all() or best.found.sum() < 2:
        return best
    shifts, limit = _lags(_template(counts, masks, best), flat)
    shifts = np.where(best.found[:, None], best.shifts, shifts)
    again = _settle(counts, masks, shifts, limit, best.found)
    return max(best, again, key=lambda t: int(t.found.sum()))


def _members(n_scans: int, block: slice) -> Bools:
    members = np.zeros(n_scans, bool)
    members[block] = True
    return members


def _blocks(n_scans: int) -> list[slice]:
    middle = n_scans // 2
    singles = [slice(i, i + 1) for i in dict.fromkeys((middle, 0, n_scans - 1))]
    sizes = [s for s in (4, 16, 64) if s < n_scans]
    return [*singles, *(slice(middle - s // 2, middle - s // 2 + s) for s in sizes), slice(0, n_scans)]


def _bandpass(counts: Singles, masks: Bools) -> Singles:
    """Smoothed counts less their local mean, over the root of the mean count; 0 where not measured."""
    result = np.zeros(counts.shape, np.float32)
    for image, mask, out in zip(counts, masks.astype(np.float32), result, strict=True):
        norm = [np.maximum(f(mask), np.float32(0.05)) for f in (_smooth, _local)]
        for channel, target in zip(image, out, strict=True):
            own = channel * mask
            mean = float(own.sum(dtype=np.float64)) / max(float(mask.sum()), 1.0)
            if mean > 0:
                target[...] = (_smooth(own) / norm[0] - _local(own) / norm[1]) * mask / np.float32(np.sqrt(mean))
    return result


def _smooth(image: Singles) -> Singles:
    return smooth_shift(image, (0.0, 0.0))


def _local(image: Singles) -> Singles:
    return local_mean(image, WIDE)


def _lags(template: Singles, scans: Singles) -> tuple[Floats, float]:
    """Lag of every scan against the template with the highest signal-to-noise ratio, and the ratio that noise exceeds rarely.

    Of lags as good as the best within the noise the smallest is taken: stripes leave the lag along them open.
    The ratio at a lag is Σab / √Σa²b² over the overlap, summed over channels with weights that favour those that hold
    structure: covariance between two halves of the scans over variance².
    """
    from scipy.fft import irfft2, next_fast_len, rfft2
    from scipy.stats import norm

    shape = scans.shape[-2:]
    size = tuple(next_fast_len(2 * n - 1, real=True) for n in shape)
    common = (scans[::2].mean(axis=0) * scans[1::2].mean(axis=0)).mean(axis=(-2, -1), dtype=np.float64)
    noise = (scans**2).mean(axis=(0, 2, 3), dtype=np.float64)
    weight = np.maximum(common, 0.0) / np.maximum(noise, 1e-30) ** 2
    weight = weight / weight.max() if weight.max() > 0 else np.ones_like(weight)
    weight = weight.astype(np.float32)[:, None, None]
    first, squares = np.conj(rfft2(template[0], s=size)) * weight, np.conj(rfft2(template[0] ** 2, s=size)) * weight**2
    ones = rfft2(np.ones(shape), s=size)
    allowed = irfft2(np.conj(ones) * ones, s=size) > MIN_OVERLAP * np.prod(shape)
    lags = np.zeros((len(scans), 2))
    for k, scan in enumerate(scans):
        product = irfft2((first * rfft2(scan, s=size)).sum(axis=0), s=size)
        spread = irfft2((squares * rfft2(scan**2, s=size)).sum(axis=0), s=size)
        ratio = np.where(allowed, product / np.sqrt(np.maximum(spread, 1e-6 * spread.max() + 1e-30)), -np.inf)
        alike = np.argwhere(ratio >= ratio.max() - CLOSE)
        alike = np.where(alike < shape, alike, alike - np.array(size))
        lags[k] = alike[np.argmin((alike**2).sum(axis=1))]
    return lags, float(norm.isf(FALSE_ALARM / allowed.sum()))


def _template(counts: Singles, masks: Bools, located: Located) -> Singles:
    """Mean of the located scans in the common frame, as `_bandpass` gives it."""
    use = np.flatnonzero(located.found)
    total = np.zeros(counts.shape[1:], np.float32)
    exposure = np.zeros(counts.shape[2:], np.float32)
    for k in use:
        exposure += (smooth_shift(masks[k].astype(np.float32), located.shifts[k]) > 1 - 1e-3).astype(np.float32)
        total += np.stack([smooth_shift(c, located.shifts[k]) for c in counts[k]])
    covered = exposure >= 0.5 * len(use)
    mean = np.asarray(total / np.maximum(exposure, np.float32(1)), np.float32)
    return _bandpass(mean[None], covered[None])


def _settle(counts: Singles, masks: Bools, shifts: Floats, limit: float, core: Bools) -> Located:
    """Take the scans that share the structure of the core; then leave out those that do not agree with the rest."""
    n_scans = len(counts)
    shared, sd = _shared(counts, masks, shifts - shifts[core].mean(axis=0), core)
    group = core | ((shared > MIN_SHARED) & (shared > limit * sd))
    while group.sum() >= 2:
        centred = shifts - shifts[group].mean(axis=0)
        centred[group] = fit_shifts([(counts[group], masks[group])], centred[group]).shifts
        shared, sd = _shared(counts, masks, centred, group)
        agrees = (shared > MIN_SHARED) & (shared > limit * sd)
        if not (group & ~agrees).any():
            return Located(centred, shared, sd, agrees)
        group &= agrees
    return Located(shifts, shared, sd, np.zeros(n_scans, bool))


def _shared(counts: Singles, masks: Bools, shifts: Floats, group: Bools) -> tuple[Floats, Floats]:
    """Regression of each scan on the mean of the group's other scans, both less their local mean; 1 for the same structure.

    The energy of the reference is freed from the noise it holds, which is known for counts.
    """
    n_scans = len(counts)
    shifted = [smooth_shift(m.astype(np.float32), s) for m, s in zip(masks, shifts, strict=True)]
    seen = (np.stack(shifted) > 1 - 1e-3).astype(np.float32)
    top, bottom, spread = np.zeros((3, n_scans))
    used, local = _used(seen, group)
    for f in range(counts.shape[1]):
        scans = np.stack([smooth_shift(c, s) for c, s in zip(counts[:, f], shifts, strict=True)]) * seen
        share = scans.sum(axis=(1, 2), dtype=np.float64) / np.maximum(seen.sum(axis=(1, 2), dtype=np.float64), 1.0)
        members = np.where(group, share, 0.0).astype(np.float32)
        if not members.sum() > 0:
            continue
        total, exposure = np.tensordot(group.astype(np.float32), scans, axes=1), np.tensordot(members, seen, axes=1)
        for k in range(n_scans):
            rest = exposure - members[k] * seen[k]
            use, rest = used[k], np.maximum(rest, np.float32(1e-6))
            reference = (total - np.float32(group[k]) * scans[k]) / rest * use
            mean = _local(reference) / local[k]
            weight = use / np.maximum(mean + np.float32(0.01) * reference.mean(), np.float32(1e-30))
            test = (reference - mean) * weight
            level = dot(scans[k], use) / max(dot(reference, use), 1e-30)
            apparent = dot(test, reference - mean)
            energy = apparent - kernel_energy() * dot(reference / rest, weight)
            shrink = max(energy, 0.0) / max(apparent, 1e-30)
            top[k] += shrink * dot(test, scans[k] - np.float32(level) * mean)
            bottom[k] += shrink * level * energy
            spread[k] += shrink**2 * level * dot(_smooth(test) ** 2, reference)
    bottom = np.maximum(bottom, 1e-30)
    return top / bottom, np.where(spread > 0, np.sqrt(spread) / bottom, np.inf)


def _used(seen: Singles, group: Bools) -> tuple[Singles, Singles]:
    """Where a scan and at least a quarter of the group's others are seen, and how much of the surroundings that is."""
    others = np.tensordot(group.astype(np.float32), seen, axes=1) - group.astype(np.float32)[:, None, None] * seen
    least = np.maximum(1.0, 0.25 * (group.sum() - group))[:, None, None]
    used = seen * (others >= least)
    return used, np.stack([np.maximum(_local(u), np.float32(1e-3)) for u in used])
