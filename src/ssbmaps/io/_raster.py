"""Whether positions lie on an even raster, and on which: for spectra that come with places instead of a map's shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXACT = 0.01  # of a step; the contract's limit for a pixel size
_SAME = 1e-6  # of the mean step; positions closer than this differ by rounding only


@dataclass(frozen=True, slots=True)
class Levels:
    """An even row of `count` places, the first at `first`, `step` apart (0 for a single one); each position's place in it."""

    index: NDArray[np.intp]
    count: int
    first: float
    step: float

    @property
    def values(self) -> NDArray[np.float64]:
        """The places."""
        return self.first + np.arange(self.count, dtype=np.float64) * self.step


def levels(values: NDArray[np.float64], *, rounding: float = 0.0) -> Levels | None:
    """The even row that all `values` lie on, to 1 % of its step, or None.

    `rounding` is how far a value can be off because it was written with few digits. The step is the smallest one that occurs,
    then what the two ends give.
    """
    low, high = float(values.min()), float(values.max())
    known = np.unique(values)
    same = max(2 * rounding, _SAME * (high - low) / max(len(values) - 1, 1))
    gaps = np.diff(known)
    gaps = np.where(gaps > same, gaps, 0.0)
    if not gaps.any():
        return Levels(np.zeros(len(values), np.intp), 1, low, 0.0)
    numbers = np.concatenate([[0.0], np.cumsum(np.rint(gaps / gaps[gaps > 0].min()))])
    step = (high - low) / numbers[-1]
    off = np.abs(known - (low + numbers * step)).max()
    if off > max(_EXACT * step, 2 * rounding) or off > step / 4:
        return None
    return Levels(numbers.astype(np.intp)[np.searchsorted(known, values)], int(numbers[-1]) + 1, low, float(step))


def interrupted(row: Levels, column: Levels) -> bool:
    """Whether the points, in the order of acquisition, fill a raster line by line, all but the last line completely."""
    if row.count < 2 or column.count < 2:
        return False
    first_moves = np.flatnonzero((np.diff(row.index) != 0) | (np.diff(column.index) != 0))
    if len(first_moves) == 0:
        return False
    along_x = column.index[first_moves[0] + 1] != column.index[first_moves[0]]
    slow, fast = (row, column) if along_x else (column, row)
    turns = np.flatnonzero(np.diff(slow.index)) + 1
    lines = np.split(fast.index, turns)
    order = slow.index[np.concatenate([[0], turns])]
    if len(order) != slow.count or fast.count > len(fast.index):  # counts are as large as a damaged position makes them
        return False
    in_order = np.array_equal(order, np.arange(slow.count)) or np.array_equal(order, np.arange(slow.count)[::-1])
    complete = all(len(line) == fast.count for line in lines[:-1]) and len(lines[-1]) < fast.count
    return in_order and complete and all(len(np.unique(line)) == len(line) for line in lines)
