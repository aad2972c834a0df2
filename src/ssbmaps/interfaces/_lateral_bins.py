"""Bins of the distance to a lateral edge, and what an exponential layer looks like in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

WIDENING = 0.1  # width of a bin over its distance: far from the edge a layer changes slowly, and fewer bins tell as much
DEPTHS = 81  # depth scales asked, evenly spaced in their logarithm
LEAST_BINS = 5  # constant, gradient, amplitude and depth scale are four numbers


@dataclass(frozen=True, slots=True)
class Bins:
    """Edges in um of all bins, and for the occupied ones: number in `edges`, pixels, mean distance, mean e^(−s/ℓ) (ℓ, bin)."""

    edges: Floats
    depths: Floats
    occupied: Ints
    number: Floats
    s: Floats
    layer: Floats
    index: Ints  # (y, x): place among the occupied bins, −1 where a pixel is not used

    @property
    def used(self) -> Bools:
        """(y, x) pixels that lie in a bin."""
        return np.asarray(self.index >= 0)

    def means(self, values: Floats) -> Floats:
        """Mean of (y, x) values in each occupied bin."""
        return np.asarray(np.bincount(self.index[self.used], values[self.used], len(self.number)) / self.number)


def edges_of(farthest: float, pixel: float) -> Floats:
    """Edges from 0 to beyond `farthest`: bins one pixel wide at first, later a tenth of their distance."""
    edges = [0.0]
    while edges[-1] <= farthest:
        edges.append(edges[-1] + max(pixel, WIDENING * edges[-1]))
    return np.array(edges)


def binned(distance: Floats, used: Bools, edges: Floats, depths: Floats) -> Bins:
    """Bins of the `used` pixels with 0 <= distance < last edge, low edges included."""
    inside = used & (distance >= 0) & (distance < edges[-1])
    number = np.searchsorted(edges, distance[inside], "right") - 1
    occupied, place = np.unique(number, return_inverse=True)
    index = np.full(distance.shape, -1, np.int64)
    index[inside] = place
    size = np.bincount(place, minlength=len(occupied)).astype(float)
    s = distance[inside]
    layer = [np.bincount(place, np.exp(-s / depth), len(occupied)) / size for depth in depths]
    return Bins(edges, depths, occupied, size, np.bincount(place, s, len(occupied)) / size, np.array(layer), index)


def depths_of(distance: Floats, pixel: float) -> Floats:
    """Depth scales that distances can tell: a pixel to half their range, where a layer and a gradient look alike."""
    most = max(float(np.ptp(distance)) / 2, 2 * pixel)
    return np.geomspace(pixel, most, DEPTHS)
