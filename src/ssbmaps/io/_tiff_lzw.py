"""Unpacks LZW as TIFF has it: codes of 9 to 12 bits, most significant bit first, 256 begins a new table, 257 ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLEAR, _END, _MOST = 256, 257, 4096


def unpack(raw: bytes, size: int) -> bytes:
    """At most `size` bytes; fewer if the codes end or are damaged. They are counted before room is made for them."""
    packed = np.frombuffer(raw, np.uint8)
    n = _unpack(packed, np.empty(0, np.uint8), size)
    out = np.empty(n, np.uint8)
    return out[: _unpack(packed, out, n)].tobytes()


@njit(cache=True)
def _unpack(raw: NDArray[np.uint8], out: NDArray[np.uint8], limit: int) -> int:
    """Fill `out`, if it has room, and return the length; a code stands for a stretch that was written before."""
    start = np.zeros(_MOST, np.int64)
    length = np.ones(_MOST, np.int64)
    count_only = out.size == 0
    free, width, bit, filled, last_at, last_length = 258, 9, 0, 0, 0, 0
    while filled < limit and bit + width <= raw.size * 8:
        code = 0
        for i in range(bit, bit + width):
            code = (code << 1) | ((raw[i >> 3] >> (7 - (i & 7))) & 1)
        bit += width
        if code == _END:
            break
        if code == _CLEAR:
            free, width, last_length = 258, 9, 0
            continue
        if code >= 256 and (last_length == 0 or code > free or code >= _MOST):
            break
        n, source = 1, -1
        if code == free:  # the entry that is just being made: the last stretch and its own first byte
            n, source = last_length + 1, last_at
        elif code > _END:
            n, source = length[code], start[code]
        n = min(n, limit - filled)
        if not count_only:
            for i in range(n):
                out[filled + i] = code if source < 0 else out[source + i]
        if last_length > 0 and free < _MOST:
            start[free], length[free] = last_at, last_length + 1
            free += 1
        last_at, last_length = filled, n
        filled += n
        if free == 511 or free == 1023 or free == 2047:
            width += 1
    return filled
