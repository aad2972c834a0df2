"""Pixels across an interface as fits see them: alone with one edge, summed in fine bins of distance, on arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._edge_width_fit import ALONE, isolated, sides
from ssbmaps.interfaces._scoring import Counts, Weighted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

BINS_PER_PIXEL = 10  # of distance; a bin's own width adds 0.1 % to the variance of a pixel
FOLDS = 5


@dataclass(frozen=True)
class Frame:
    """Where the pixels of a map lie: signed distance (y, x) in um to the nearest edge, where two are equally near, pixel size."""

    distance: Floats
    ridge: Bools
    pixel: tuple[float, float]
    known: dict[tuple[bool, float], Bools] = field(default_factory=dict, compare=False)

    @property
    def size(self) -> float:
        """Side in um of the square of a pixel's area."""
        return float(np.sqrt(self.pixel[0] * self.pixel[1]))

    def alone(self, thickness: float, sigma: float) -> Bools:
        """Pixels (y, x) that see one edge only: none other within 4 sigma, outside plus the thickness."""
        return self._clear(False, ALONE * sigma) & self._clear(True, thickness + ALONE * sigma)

    def _clear(self, outside: bool, reach: float) -> Bools:
        """Pixels that no ridge on one side brings a second edge nearer to than `reach`; shells ask for the same again."""
        if (outside, reach) not in self.known:
            side = self.ridge & ((self.distance > 0) == outside)
            self.known[outside, reach] = isolated(self.distance, side, self.pixel, reach)
        return self.known[outside, reach]


def frame_of(distance: Floats, pixel: tuple[float, float]) -> Frame:
    """The frame of a map of distances."""
    return Frame(distance, sides(distance, pixel)[2], pixel)


@dataclass(frozen=True)
class Across:
    """Known pixels with their distance s (P,) in um from the edge, each seen once or, in several views of a map, more often.

    `at` (P,) is the pixel of the frame, counted along its rows, that tells which edges are near. `share` (P,) is the part of
    the whole measurement that an entry holds: 1, or that of one of several scans. `values` (C, P), `variance` the same for
    Gaussian values or None for counts, `kinds` of channels and `shots` per whole measurement of a pixel (C,), and a random
    `fold` for each entry. Where shells of different particles are told apart, `kin` (P,) is the class of an entry's particle, and
    `stretch` what multiplies the thickness in each class.
    """

    frame: Frame
    at: Ints
    s: Floats
    share: Floats
    values: Floats
    variance: Floats | None
    kinds: Ints
    shots: Floats
    fold: NDArray[np.int8]
    kin: Ints | None = None
    stretch: Floats | None = None

    @property
    def size(self) -> float:
        """Side in um of the square of a pixel's area."""
        return self.frame.size

    def near(self, inner: float, outer: float, thickness: float, sigma: float) -> Bools:
        """Entries from −inner to outer um that see one edge only."""
        return (self.s >= -inner) & (self.s <= outer) & self.frame.alone(thickness, sigma).ravel()[self.at]

    def binned(self, use: Bools | Ints, *, folds: bool = False) -> list[Counts | Weighted]:
        """Profiles of the `use` entries (a mask or numbers) in common bins: of all together, then of each fold if asked for."""
        s = self.s[use]
        index = np.floor(s * (BINS_PER_PIXEL / self.size)).astype(np.int64)
        index -= index.min(initial=0)
        if self.kin is not None and self.stretch is not None:
            index = index * len(self.stretch) + self.kin[use]
        held = np.bincount(index) > 0
        index = (np.cumsum(held) - 1)[index]
        centre = np.bincount(index, s) / np.bincount(index)
        values, share = self.values[:, use], self.share[use]
        weight = None if self.variance is None else 1 / self.variance[:, use]
        stretch = None
        if self.kin is not None and self.stretch is not None:
            stretch = self.stretch[np.flatnonzero(held) % len(self.stretch)]
        profiles = [self._profile(centre, index, share, values, weight, stretch)]
        fold = self.fold[use]
        for k in range(FOLDS if folds else 0):
            mine = fold == k
            part = None if weight is None else weight[:, mine]
            profiles.append(self._profile(centre, index[mine], share[mine], values[:, mine], part, stretch))
        return profiles

    def _profile(
        self, centre: Floats, index: Ints, share: Floats, values: Floats, weight: Floats | None, stretch: Floats | None
    ) -> Counts | Weighted:
        def sums(rows: Floats) -> Floats:
            return np.stack([np.bincount(index, row, len(centre)) for row in rows])

        n = np.asarray(np.bincount(index, share, len(centre)), np.float64)
        if weight is None:
            return Counts(centre, n, sums(values), self.kinds, self.shots, stretch)
        return Weighted(centre, n, sums(values * weight), sums(weight), self.kinds, stretch)


def across(
    frame: Frame,
    known: Bools,
    values: Floats,
    kinds: Ints,
    *,
    variance: Floats | None,
    shots: Floats,
    rng: np.random.Generator,
) -> Across:
    """The pixels of a single map (C, y, x); those with NaN in any channel are not known."""
    known = known & np.isfinite(values).all(axis=0) & np.isfinite(frame.distance)
    if variance is not None:
        known &= (np.isfinite(variance) & (variance > 0)).all(axis=0)
    fold = rng.integers(FOLDS, size=known.shape)[known].astype(np.int8)
    return Across(
        frame=frame,
        at=np.flatnonzero(known),
        s=frame.distance[known],
        share=np.ones(int(known.sum())),
        values=values[:, known],
        variance=None if variance is None else variance[:, known],
        kinds=kinds,
        shots=shots,
        fold=fold,
    )


def rest(whole: Counts | Weighted, part: Counts | Weighted) -> Counts | Weighted:
    """What is left of a profile without one of its folds."""
    if isinstance(whole, Weighted) and isinstance(part, Weighted):
        return replace(whole, n=whole.n - part.n, total=whole.total - part.total, weight=whole.weight - part.weight)
    return replace(whole, n=whole.n - part.n, total=whole.total - part.total)


def scatter_variance(values: Floats, distance: Floats, known: Bools, size: float) -> Floats:
    """Variance (C, y, x) of single pixels of maps without a stated one: the scatter among pixels of equal distance.

    Estimated in bins of half a pixel from the differences of pixels that follow each other in distance, and smoothed.
    """
    from scipy.ndimage import gaussian_filter1d

    s = distance[known]
    order = np.argsort(s, kind="stable")
    index = np.floor(s[order] * 2 / size).astype(np.int64)
    index -= index.min()
    result = np.full(values.shape, np.nan)
    for channel, out in zip(values, result, strict=True):
        squares = np.diff(channel[known][order]) ** 2 / 2
        n = np.bincount(index[1:]).astype(np.float64)
        total = np.bincount(index[1:], squares)
        smooth = gaussian_filter1d(total, 2, mode="constant") / np.maximum(gaussian_filter1d(n, 2, mode="constant"), 1e-12)
        floor = 1e-6 * max(float(np.var(channel[known])), 1e-300)
        values_of = np.maximum(smooth, floor)
        flat = np.empty(s.size)
        flat[order] = values_of[np.minimum(index, len(values_of) - 1)]
        out[known] = flat
    return result
