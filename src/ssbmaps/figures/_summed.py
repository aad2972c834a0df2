"""A spectrum as it is drawn: summed over all pixels, in channels of its own or in even bins of a stated width."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_dask, is_sparse, sum_dtype, to_csr
from ssbmaps._conventions import canonical, measured_mask
from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EVEN = 0.01  # channels whose spacing varies by less than this share are evenly spaced
PEAK_LIST = 0.2  # Da; channels of mass that lie further apart than this (median) are peaks, not bins of a detector
BINS = 2000  # bins that a printed spectrum can show
CHANNELS_PER_BIN = 5  # at least, in even bins made of uneven channels: fewer would show the channels' rhythm


@dataclass(frozen=True, slots=True)
class Drawn:
    """Values of a spectrum to draw: `kind` is "bins" (between `edges`), "line" or "sticks" (at `position`)."""

    kind: str
    position: Floats
    edges: Floats
    values: Floats
    per: str

    @property
    def step(self) -> float:
        """Width of a bin, or the spacing of the channels."""
        return float(np.median(np.diff(self.position))) if len(self.position) > 1 else 1.0


def summed(spectra: xr.DataArray, *, subject: str) -> tuple[Floats, int]:
    """Sum over everything but the spectral axis, which is last in canonical order, and how many spectra it holds.

    Spectra with a NaN are left out whole, so that every channel sums the same pixels.
    """
    data = canonical(spectra).data
    if is_dask(data):
        data = data.rechunk({data.ndim - 1: -1})
        blocks = [data.blocks[i] for i in np.ndindex(data.numblocks)]
        parts = [_block_sum(block.compute(scheduler="threads"), subject) for block in blocks]
    else:
        parts = [_block_sum(data, subject)]
    total, used = np.sum([p[0] for p in parts], axis=0), sum(p[1] for p in parts)
    mask = measured_mask(spectra)
    if mask is not None and all(d in spectra.dims for d in ("y", "x")):
        used = min(used, int(mask.sum()) * (prod(data.shape[:-1]) // mask.size))
    if used == 0:
        raise SsbmapsError(f"{subject}: every spectrum holds NaN; drop the missing channels with .isel() first.")
    return total.astype(np.float64), used


def _block_sum(data: Any, subject: str) -> tuple[NDArray[Any], int]:
    rows = prod(data.shape[:-1])
    if is_sparse(data):
        matrix = to_csr(data)
        stored = matrix.data
    else:
        matrix = np.asarray(data).reshape(rows, data.shape[-1])
        stored = matrix
    if np.isinf(stored).any() or (is_sparse(data) and np.isnan(stored).any()):
        raise SsbmapsError(f"{subject}: infinite values, or NaN in a sparse cube; expected finite numbers.")
    if not is_sparse(data) and matrix.dtype.kind == "f":
        matrix = matrix[~np.isnan(matrix).any(axis=1)]
    total = np.asarray(matrix.sum(axis=0, dtype=sum_dtype(matrix.dtype))).ravel()
    return total, matrix.shape[0]


def as_drawn(
    axis: Floats, values: Floats, view: tuple[float, float], width: float | None, *, mass: bool, unit: str, subject: str
) -> Drawn:
    """What to draw of a spectrum between the two ends of `view`.

    Evenly spaced channels are drawn as they are: mass as bins, other axes as a line. Counts per channel of uneven width mean
    nothing, so uneven channels of mass are summed into even bins, centred on multiples of their width, low edge included, high
    edge excluded; peak lists are drawn as sticks. `width` makes bins of any axis.
    """
    edges: Floats
    inside = (axis >= view[0]) & (axis < view[1])
    position, gaps = axis[inside], np.diff(axis[inside])
    step = float(np.median(gaps)) if gaps.size else 0.0
    even = bool(gaps.size and np.abs(gaps / step - 1).max() < EVEN)
    if width is None:
        if even and mass:
            edges = np.append(position - step / 2, position[-1] + step / 2)
            return Drawn("bins", position, edges, values[inside], f"per channel of {_short(step)}\u00a0{unit}")
        if mass and 0 < step < PEAK_LIST:
            width = _round_up(max((view[1] - view[0]) / BINS, CHANNELS_PER_BIN * step))
        else:
            per = f"per channel of {_short(step)}\u00a0{unit}" if even else "per channel"
            return Drawn("sticks" if mass else "line", position, position, values[inside], per)
    elif width < step * (1 - EVEN):
        raise SsbmapsError(
            f"{subject}: bin_width={width:g} {unit} is less than the spacing of the channels, {step:.3g} {unit} (median); bins "
            "would alternate between empty and full."
        )
    first, last = int(np.floor(view[0] / width + 0.5)), int(np.ceil(view[1] / width - 0.5))
    edges = np.asarray((np.arange(first, max(last, first) + 2) - 0.5) * width, np.float64)
    place = np.searchsorted(edges, axis, side="right") - 1
    held = (place >= 0) & (place < len(edges) - 1)
    sums = np.bincount(place[held], values[held], len(edges) - 1).astype(np.float64)
    return Drawn("bins", (edges[:-1] + edges[1:]) / 2, edges, sums, f"per {_short(width)}\u00a0{unit}")


def _round_up(value: float) -> float:
    """The next of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(f * power for f in (1.0, 2.0, 5.0, 10.0) if f * power >= value * (1 - 1e-9)))


def _short(value: float) -> str:
    return f"{value:.3g}"
