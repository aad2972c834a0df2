"""Numbers in text, compiled: imported for large files only, because numba takes time to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TEN = 10.0 ** np.arange(23)  # exact in float64
_WHOLE = 1 << 53  # whole numbers below are exact, too
_MOST = 18  # digits that a 64-bit number surely holds


@njit(cache=True, nogil=True, error_model="numpy")
def fill(data: NDArray[np.uint8], mark: int, point: int, missing: bool, result: NDArray[np.float64]) -> tuple[int, int]:
    """Numbers of `data` (bytes, whole lines) into `result` (lines, columns), up to a line that holds anything but plain numbers.

    Returns the number of lines done, and where the next one begins.

    The digits make one whole number below 2⁵³, the exponent a power of ten up to 22; both are exact in float64, so that the one
    operation that combines them rounds as the standard asks (Clinger, PLDI 1990, doi 10.1145/93542.93557).
    """
    at, size = 0, data.size
    for row in range(result.shape[0]):
        begin = at
        for column in range(result.shape[1]):
            while at < size and data[at] == 32:
                at += 1
            field = at
            negative = at < size and data[at] == 45
            at += negative
            start = at
            value: Any = 0  # no function is called for the digits: handing over an array takes longer than reading a number
            while at < size and 48 <= data[at] <= 57:
                value = value * 10 + (data[at] - 48)
                at += 1
            digits, power = at - start, 0
            if at < size and data[at] == point:
                start = at + 1
                at = start
                while at < size and 48 <= data[at] <= 57:
                    value = value * 10 + (data[at] - 48)
                    at += 1
                digits, power = digits + at - start, start - at
            if digits == 0 and not (missing and at == field):
                return row, begin
            if digits and at < size and data[at] | 32 == 101:  # e, E
                at += 1
                minus = at < size and data[at] == 45
                at += minus or (at < size and data[at] == 43)
                start = at
                exponent: Any = 0
                while at < size and 48 <= data[at] <= 57:
                    exponent = exponent * 10 + (data[at] - 48)
                    at += 1
                if not 0 < at - start < _MOST:
                    return row, begin
                power += -exponent if minus else exponent
            if digits > _MOST or value >= _WHOLE or power < -22 or power > 22:
                return row, begin
            number = value * _TEN[power] if power > 0 else value / _TEN[-power]
            result[row, column] = (-number if negative else number) if digits else np.nan
            while at < size and (data[at] == 32 or data[at] == 13):
                at += 1
            if at >= size or data[at] != (mark if column + 1 < result.shape[1] else 10):
                return row, begin
            at += 1
    return result.shape[0], at
