"""Peaks in the summed spectrum: how wide they are before anything is known, where they lie, and the fit of a single one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._battery_ions import COMMON
from ssbmaps._errors import SsbmapsError
from ssbmaps._ions import parse_ion
from ssbmaps.maps._peak_shape import TAIL_MEAN, TAIL_SD, PeakFit, PeakModel, fit
from ssbmaps.maps._spectrum import cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps._ions import Ion

    Floats = NDArray[np.float64]

LEAST_COUNTS = 50  # of a peak: its place is then known to a seventh of sigma
CELLS_PER_WIDTH = 8
_QUARTER = 3.70  # full width at half maximum over the shortest interval with a quarter of the counts, Gaussian
_HALF_UNIT = 0.4  # Da: no window reaches into the next nominal mass
_BELOW, _ABOVE = 2.0, 2.5  # range of a single fit in full widths; the late tail is the longer one


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A summed spectrum on the axis ln(m/z)."""

    log_mz: Floats
    counts: Floats

    def within(self, low: float, high: float) -> tuple[Floats, Floats]:
        """Channels from `low` to `high` on the logarithmic axis."""
        inside = slice(*np.searchsorted(self.log_mz, (low, high)))
        return self.log_mz[inside], self.counts[inside]

    def covers(self, mz: float, margin: float) -> bool:
        """Whether `mz` and a relative `margin` on both sides were recorded."""
        return bool(self.log_mz[0] <= np.log(mz) - margin and np.log(mz) + margin <= self.log_mz[-1])


@dataclass(frozen=True, slots=True)
class Peak:
    """A fitted single peak: expected m/z, full width guessed before the fit (relative), and the fit."""

    ion: Ion
    top: float
    guess: float
    fit: PeakFit

    @property
    def theta(self) -> Floats:
        """Shape with ln sigma in relative mass instead of guessed widths."""
        shape = self.fit.parameters[3:].copy()
        shape[0] += np.log(self.guess)
        return shape

    @property
    def place(self) -> float:
        """Centre of the core on the axis ln(m/z)."""
        return self.top + float(self.fit.parameters[2]) * self.guess

    @property
    def theta_variance(self) -> Floats:
        """Variance of `theta`, misfit included."""
        return np.asarray(np.diag(self.fit.covariance)[3:] * self.fit.dispersion)


def ions_of(ions: Sequence[str] | None, cube: xr.DataArray, *, subject: str) -> list[Ion]:
    """The ions named, or the common ones of the cube's polarity."""
    if ions is not None:
        named = [ions] if isinstance(ions, str) else list(ions)
        if not named:
            raise SsbmapsError(f"{subject}: no ion is named; name some as in ions=['C2-', 'S-', 'Cl-'], or leave `ions` out.")
        return [parse_ion(i) for i in dict.fromkeys(named)]
    polarity = cube.attrs.get("polarity")
    if polarity not in COMMON:
        raise SsbmapsError(
            f"{subject}: the cube's attribute 'polarity' is {polarity!r}, expected 'negative' or 'positive'. "
            "Set cube.attrs['polarity'], or name the ions as in ions=['C2-', 'S-', 'Cl-']."
        )
    return [parse_ion(i) for i in COMMON[str(polarity)]]


def guess_width(spectrum: Spectrum, place: float, reach: float) -> tuple[float, float] | None:
    """Top and full width at half maximum of the strongest peak within `reach` of `place`, without a model.

    The shortest interval that holds a quarter of the counts, in a window that follows its width. None if there are too few
    counts, or if the peak is narrower than one and a half channels, so that it has no shape.
    """
    centre, half = place, reach
    width, most = np.inf, _HALF_UNIT / float(np.exp(place))
    for _ in range(20):
        u, n = spectrum.within(centre - half, centre + half)
        if n.sum() < LEAST_COUNTS or np.count_nonzero(n) < 4:
            return None
        start, stop = _shortest(u, n, 0.25)
        centre, found = (start + stop) / 2, _QUARTER * (stop - start)
        if abs(found - width) < 0.02 * width:
            break
        width, half = found, min(2.0 * found, most)
    channel = float(np.median(np.diff(spectrum.within(centre - width, centre + width)[0])))
    return (centre, found) if found > 1.5 * channel else None


def _shortest(u: Floats, n: Floats, share: float) -> tuple[float, float]:
    """Shortest interval with `share` of the counts, these spread evenly over their channels."""
    edges = np.concatenate([[u[0]], (u[1:] + u[:-1]) / 2, [u[-1]]])
    total = np.concatenate([[0.0], np.cumsum(n)]) / n.sum()
    low = np.linspace(0, 1 - share, 301)
    rising = total + 1e-12 * np.arange(len(total))
    start, stop = np.interp(low, rising, edges), np.interp(low + share, rising, edges)
    best = int(np.argmin(stop - start))
    return float(start[best]), float(stop[best])


def typical_width(spectrum: Spectrum, ions: Sequence[Ion], *, reach: float) -> float | None:
    """Median relative full width of the strongest peaks near the ions, or None where no peak has a shape."""
    found = [guess_width(spectrum, float(np.log(i.mz)), reach) for i in ions if spectrum.covers(i.mz, 0)]
    widths = [g[1] for g in found if g is not None]
    return float(np.median(widths)) if widths else None


def tops(spectrum: Spectrum, place: float, reach: float, width: float) -> tuple[Floats, Floats]:
    """Places and heights (counts per width) of all local maxima within `reach`, the spectrum smoothed by 0.4 of `width`."""
    margin = reach + 2 * width
    u, n = spectrum.within(place - margin, place + margin)
    step = width / CELLS_PER_WIDTH
    grid = np.arange(place - margin, place + margin, step)
    if n.sum() == 0:
        return np.empty(0), np.empty(0)
    height = _smoothed(grid, u, n, 0.4 * width / 2.355) * width
    inner = (height[1:-1] > height[:-2]) & (height[1:-1] >= height[2:]) & (np.abs(grid[1:-1] - place) <= reach)
    where = np.flatnonzero(inner) + 1
    return grid[where], height[where]


def _smoothed(grid: Floats, u: Floats, n: Floats, sigma: float) -> Floats:
    """Counts per unit of `u`, smoothed with a Gaussian, on an even grid."""
    from scipy.ndimage import gaussian_filter1d

    step = grid[1] - grid[0]
    place = (u - grid[0]) / step
    left = np.clip(np.floor(place).astype(np.int64), 0, len(grid) - 2)
    share = np.clip(place - left, 0, 1)
    counts = np.bincount(left, n * (1 - share), len(grid)) + np.bincount(left + 1, n * share, len(grid))
    return np.asarray(gaussian_filter1d(counts, sigma / step, mode="constant") / step)


def centroid(spectrum: Spectrum, top: float, width: float) -> tuple[float, float, float]:
    """Mean place of the counts within one width of a peak's top, its standard error, and the counts used."""
    centre = top
    for _ in range(10):
        u, n = spectrum.within(centre - width, centre + width)
        if n.sum() == 0:
            return top, np.inf, 0.0
        moved = float(n @ u / n.sum())
        if abs(moved - centre) < 1e-3 * width:
            break
        centre = moved
    spread = float(np.sqrt(n @ (u - moved) ** 2 / n.sum()))
    return moved, spread / np.sqrt(n.sum()), float(n.sum())


def fit_single(spectrum: Spectrum, ion: Ion, top: float, guess: float) -> Peak:
    """Fit one peak with its tails on a flat background; `guess` is its relative full width."""
    edges, counts, _ = cells(
        spectrum.log_mz, spectrum.counts, top - _BELOW * guess, top + _ABOVE * guess, guess / CELLS_PER_WIDTH
    )
    model = PeakModel((edges - top) / guess, np.zeros(1))
    mean = TAIL_MEAN.copy()
    mean[0] = np.log(0.38)
    start = np.concatenate([[max(float(counts.sum()), 1.0), max(0.01 * float(counts.sum()), 0.1), 0.0], mean])
    return Peak(ion, top, guess, fit(model, counts, start, model.prior(mean, TAIL_SD)))
