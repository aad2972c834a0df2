"""Covariance of the means of distance bins: counting, and what varies from place to place along the edge, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

CELLS = 128  # along the longer side of the map: covariances are taken between square cells of pixels
LEAST_SCATTER = 1e-12  # relative variance of the rounding of values that are no counts
MOST_SHARE = 0.5  # of all pairs of pixels that may lie within the reach of the covariance: two independent parts


@dataclass(frozen=True, slots=True)
class Noise:
    """Relative variation of bin means beyond counting: `field` (bin, bin), positive semi-definite; `white` per pixel.

    `freedom` are the degrees of freedom with which their variance is known; infinite where counting is all.
    """

    field: Floats
    white: float
    freedom: float

    def covariance(self, mean: Floats, number: Floats, *, poisson: bool) -> Floats:
        """Covariance of bin means if they are `mean`: counting, white scatter of pixels, common variation."""
        # a bin weighs no more than one count allows; without counting, values that do not scatter still have an error
        counting = np.maximum(mean, 1 / number) / number if poisson else LEAST_SCATTER * mean**2
        return np.asarray(np.diag(counting + self.white * mean**2 / number) + self.field * np.outer(mean, mean))


@dataclass(frozen=True, slots=True)
class Field:
    """Covariance C(r) of relative variation by ring of distance, that of single pixels alone, and what it was learned from."""

    c: Floats
    white: float
    common: float  # mean of C over all pairs: its share in the variance of the mean
    parts: float  # independent parts of the map

    @property
    def reach(self) -> float:
        """Length over which places vary together along a line, in rings: the integral of C over both directions, over C(0)."""
        return float((2 * self.c.sum() - self.c[0]) / self.c[0]) if self.c[0] > 0 else 0.0

    def freedom(self, counting: float, n: int, n_parameters: int) -> float:
        """Degrees of freedom of the variance of the mean; counting alone, `counting` per pixel, is known (Satterthwaite)."""
        if self.common <= 0:
            return float(np.inf)
        return max(self.parts - n_parameters, 1.0) * (1 + (counting + self.white) / n / self.common) ** 2


def noise_of(
    residual: Floats, counting: Floats, index: Ints, n_bins: int, pixel: tuple[float, float], n_parameters: int
) -> Noise:
    """Noise of bins from relative residuals (y, x) about the fitted profile and their variance from counting alone (y, x)."""
    used = index >= 0
    cells = Cells(used, pixel)
    found = field_of(residual, counting, used, cells, n_parameters)
    field = _between(cells, index, n_bins, found.c) if found.common > 0 else np.zeros((n_bins, n_bins))
    return Noise(field, found.white, found.freedom(float(counting[used].mean()), int(used.sum()), n_parameters))


def field_of(residual: Floats, counting: Floats, used: NDArray[np.bool_], cells: Cells, n_parameters: int) -> Field:
    """Covariance of what varies from place to place beyond `counting`.

    Residuals are correlated from place to place (particles, milling, charging). Their covariance C(r) is taken to depend on
    the distance r of two places only; it ends where it first falls to zero, at the latest where half of all pairs lie nearer.
    Residuals about fitted numbers vary too little; each of the `n_parameters` takes about as much as the mean takes.
    """
    n = int(used.sum())
    r = np.where(used, residual, 0.0)
    own = float((r**2).sum())
    products, pairs = cells.rings(cells.sums(r)), np.rint(cells.rings(cells.sums(used.astype(float))))
    products[0] -= own
    pairs[0] -= n
    first = 0 if cells.factor > 1 else 1
    near = _reach(products, pairs, n, first)
    count = float(pairs[near].sum())
    removed = max(float(products[near].sum()) + own, 0.0) / (n**2 - count - n) * n_parameters
    with np.errstate(invalid="ignore", divide="ignore"):
        c = np.where(near & (pairs > 0), products / pairs + removed, 0.0)
    if first:  # single pixels: pairs begin one pixel apart
        c[0] = c[1]
    c = np.maximum(c, 0.0) * (c[first] > 0)
    white = max(own / n + removed - float(counting[used].mean()) - c[0], 0.0)
    return Field(c, white, float((c * pairs).sum()) / n**2, n**2 / max(count + n, 1.0))


def _reach(products: Floats, pairs: Floats, n: int, first: int) -> NDArray[np.bool_]:
    """Rings of distances within which the covariance has not yet ended."""
    ended = (products <= 0) & (pairs > 0)
    ended[:first] = False
    ended |= np.cumsum(pairs) / n**2 > MOST_SHARE
    return ~np.logical_or.accumulate(ended)


def _between(cells: Cells, index: Ints, n_bins: int, c: Floats) -> Floats:
    """Mean of C(r) over the pairs of pixels of every two bins, negative eigenvalues (noise of C) set to 0."""
    from scipy.fft import irfft2, rfft2

    kernel = rfft2(c[cells.ring])
    members = [cells.sums((index == i).astype(float)) for i in range(n_bins)]
    ny, nx = members[0].shape
    flat = np.array([m.ravel() for m in members])
    blurred = [irfft2(rfft2(m, cells.padded) * kernel, cells.padded)[:ny, :nx].ravel() for m in members]
    sums = flat @ np.array(blurred).T
    number = flat.sum(axis=1)
    field = sums / np.outer(number, number)
    values, vectors = np.linalg.eigh((field + field.T) / 2)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


class Cells:
    """Square cells of `factor` × `factor` pixels, and rings of the distance between two of them."""

    def __init__(self, used: NDArray[np.bool_], pixel: tuple[float, float]) -> None:
        from scipy.fft import next_fast_len

        self.factor = -(-max(used.shape) // CELLS)
        self.shape = tuple(-(-n // self.factor) for n in used.shape)
        self.padded = tuple(next_fast_len(2 * n, real=True) for n in self.shape)
        unit = min(pixel)
        lags = [np.minimum(np.arange(n), n - np.arange(n)) * (d / unit) for n, d in zip(self.padded, pixel, strict=True)]
        self.ring = np.floor(np.hypot(lags[0][:, None], lags[1]) + 0.5).astype(np.int64)

    def sums(self, values: Floats) -> Floats:
        """Sums over the pixels of each cell."""
        spare = [(0, n * self.factor - m) for n, m in zip(self.shape, values.shape, strict=True)]
        whole = np.pad(values, spare)
        (ny, nx), f = self.shape, self.factor
        return np.asarray(whole.reshape(ny, f, nx, f).sum(axis=(1, 3)))

    def rings(self, sums: Floats) -> Floats:
        """Σ over ordered pairs of cells of the product of their sums, by ring."""
        from scipy.fft import irfft2, rfft2

        products = irfft2(np.abs(rfft2(sums, self.padded)) ** 2, self.padded)
        return np.asarray(np.bincount(self.ring.ravel(), products.ravel()))
