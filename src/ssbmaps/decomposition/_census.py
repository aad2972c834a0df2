"""What one visit to all counts tells before a fit: sums, whether they are counts, and the constant of the divergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.decomposition._blocks import Block
    from ssbmaps.decomposition._chunks import AnyBlocks

    Floats = NDArray[np.float64]

MANY = 1 << 16  # whole numbers below it are looked up


@dataclass(frozen=True, slots=True)
class Census:
    """Sums of the columns and of all values; Σ v ln v − v; squares; lowest value; what the values are, and how many."""

    columns: Floats
    counts: float
    constant: float
    squares: float
    lowest: float
    finite: bool
    whole: bool
    filled_rows: int
    stored: int

    @classmethod
    def of(cls, blocks: AnyBlocks) -> Census:
        """Visit all blocks once."""
        (columns, constant, squares, infinite, broken, filled, stored), lows = blocks.visit(_count)
        counts, low = float(columns.sum()), float(min(blocks.collect(lows)))
        return cls(columns, counts, float(constant), float(squares), low, not infinite, not broken, int(filled), int(stored))


def _count(block: Block, _: Any) -> tuple[tuple[Any, ...], float]:
    from ssbmaps.decomposition._kernels import tally

    columns, values = np.zeros(block.n_columns), block.values
    low, high, squares, whole = tally(values, columns, block.columns) if len(values) else (0.0, 0.0, 0.0, True)
    finite = bool(np.isfinite(columns).all())
    counts = finite and low >= 0
    constant = _v_log_v(values, whole and high < MANY) - float(columns.sum()) if counts else np.nan
    filled = int(np.count_nonzero(np.diff(block.starts)))
    return (columns, constant, squares, int(not finite), int(not whole), filled, len(values)), min(low, 0.0)


def _v_log_v(values: NDArray[Any], few: bool) -> float:
    """Σ v ln v; of `few` different whole numbers, one logarithm for each."""
    if few and len(values):
        number = np.bincount(values.astype(np.uint16))
        v = np.arange(1, len(number))
        return float(np.sum(number[1:] * v * np.log(v)))
    v = values.astype(np.float64)
    return float(np.sum(v * np.log(v)))
