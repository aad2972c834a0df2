"""Net areas above a linear or a Shirley background, on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_csr

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-6  # change of the peak area, relative to the area
MOST_STEPS = 100
BLOCK = 65_536  # spectra that are made dense at a time


def linear_net(data: Any, starts: NDArray[np.int64], stops: NDArray[np.int64], axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """(…, F) sums above the line through each window's end channels: linear in the data, so one product with (K, F) weights."""
    from scipy.sparse import csr_array

    weights = np.zeros((data.shape[-1], len(starts)))
    for f, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        along = (axis[start:stop] - axis[start]) / (axis[stop - 1] - axis[start])
        weights[start:stop, f] = 1
        weights[start, f] -= np.sum(1 - along)
        weights[stop - 1, f] -= np.sum(along)
    net = to_csr(data).astype(np.float64) @ csr_array(weights)
    return np.asarray(net.todense()).reshape(*data.shape[:-1], len(starts))


def shirley_net(
    data: Any, starts: NDArray[np.int64], stops: NDArray[np.int64], axis: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int]:
    """(…, F) sums above a Shirley background, NaN where it does not converge, and how many did not."""
    spectra = to_csr(data)
    net = np.empty((spectra.shape[0], len(starts)))
    lost = 0
    for first in range(0, spectra.shape[0], BLOCK):
        block = spectra[first : first + BLOCK]
        for f, (start, stop) in enumerate(zip(starts, stops, strict=True)):
            window = block[:, start:stop].toarray().astype(np.float64)
            known = np.isfinite(window).all(axis=1)
            areas = _shirley(np.where(known[:, None], window, 0.0), axis[start:stop])
            lost += int(np.isnan(areas[known]).sum())
            net[first : first + len(window), f] = np.where(known, areas, np.nan)
    return net.reshape(*data.shape[:-1], len(starts)), lost


def _shirley(spectra: NDArray[np.float64], axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Net sums of (P, C) spectra: background = first + (last − first) × share of the peak's area passed so far."""
    first, last = spectra[:, :1], spectra[:, -1:]
    steps = np.diff(axis)
    rise = last - first
    background = np.broadcast_to(first, spectra.shape).copy()
    area = np.sum(spectra - background, axis=1)
    settled = rise[:, 0] == 0
    for _ in range(MOST_STEPS):
        if settled.all():
            break
        open_ = np.flatnonzero(~settled)
        peak = spectra[open_] - background[open_]
        passed = np.cumsum((peak[:, 1:] + peak[:, :-1]) / 2 * steps, axis=1)
        whole = passed[:, -1:]
        positive = whole[:, 0] > 0
        share = np.divide(passed, whole, out=np.zeros_like(passed), where=whole > 0)
        background[open_[positive], 1:] = (first[open_] + rise[open_] * share)[positive]
        renewed = np.sum(spectra[open_] - background[open_], axis=1)
        done = positive & (np.abs(renewed - area[open_]) <= TOLERANCE * np.abs(renewed))
        area[open_] = renewed
        settled[open_[done]] = True
        if not positive.any():
            break
    return np.where(settled, area, np.nan)
