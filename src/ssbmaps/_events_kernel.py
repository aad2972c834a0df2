"""Events counted in cells, compiled: sorted into buckets of neighbouring cells, then each bucket counted in the cache.

Import this where it is used only: it loads the compiler. A cell is (y · nx + x) · channels + channel; a bucket is 2^shift cells,
and a key is a cell's place in its bucket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Counts = NDArray[np.uint32]
    Keys = NDArray[np.uint16] | NDArray[np.uint32]

DIGIT = 11  # bits that one pass of the radix sort looks at
# Where the lowest bit of a word stands: the top six bits of word · MAGIC differ for all 64 (a de Bruijn sequence).
MAGIC = np.uint64(0x03F79D71B4CB0A89)
PLACE = np.zeros(64, np.uint8)
for _bit in range(64):
    PLACE[((int(MAGIC) << _bit) % 2**64) >> 58] = _bit


@njit(nogil=True, cache=True)
def place(y: NDArray[Any], x: NDArray[Any], channel: NDArray[Any], shape: Ints, shift: int, keys: Keys, bounds: Ints) -> int:
    """Write the events' keys in order of their buckets; `bounds` (buckets + 1) becomes where each bucket's keys begin.

    Returns the number of the first event that lies outside of `shape`, or −1.
    """
    ny, nx, n_channels = np.uint64(shape[0]), np.uint64(shape[1]), np.uint64(shape[2])
    for i in range(len(y)):  # a negative number turns into a very large one
        if np.uint64(y[i]) >= ny or np.uint64(x[i]) >= nx or np.uint64(channel[i]) >= n_channels:
            return i
    bits, mask = np.uint64(shift), (np.uint64(1) << np.uint64(shift)) - np.uint64(1)
    free = np.zeros(len(bounds) - 1, np.uint32)
    for i in range(len(y)):
        cell = (np.uint64(y[i]) * nx + np.uint64(x[i])) * n_channels + np.uint64(channel[i])
        free[cell >> bits] += np.uint32(1)
    bounds[0] = 0
    for b in range(len(free)):
        bounds[b + 1] = bounds[b] + free[b]
        free[b] = bounds[b]
    for i in range(len(y)):
        cell = (np.uint64(y[i]) * nx + np.uint64(x[i])) * n_channels + np.uint64(channel[i])
        bucket = cell >> bits
        keys[free[bucket]] = cell & mask
        free[bucket] += np.uint32(1)
    return -1


@njit(nogil=True, cache=True)
def sizes_of(keys: Keys, bounds: Ints, first: int, last: int, shift: int, dense: bool, sizes: Ints) -> None:
    """How many cells of each of the buckets [first, last) are filled; `bounds` (pieces, buckets + 1).

    `dense` counts cell by cell, and is for buckets with cells enough to be kept in the cache; else the keys are sorted.
    """
    held, counts, here, there = room(bounds, first, last, shift, dense)
    filled = np.zeros(((1 << shift) // 64 + 1) if dense else 0, np.uint64)
    one = np.uint64(1)
    for bucket in range(first, last):
        if not dense:
            sizes[bucket] = tally_sorted(keys, bounds, bucket, shift, held, counts, here, there)
            continue
        n = np.uint64(0)
        for piece in range(len(bounds)):
            for key in keys[bounds[piece, bucket] : bounds[piece, bucket + 1]]:
                place, bit = np.uint64(key) >> np.uint64(6), np.uint64(key) & np.uint64(63)
                n += ~(filled[place] >> bit) & one
                filled[place] |= one << bit
        filled[:] = 0
        sizes[bucket] = n


@njit(nogil=True, cache=True)
def write(
    keys: Keys,
    bounds: Ints,
    first: int,
    last: int,
    shift: int,
    dense: bool,
    shape: Ints,
    start: int,
    coords: NDArray[np.int32],
    number: Counts,
) -> None:
    """Write y, x, channel of the filled cells of buckets [first, last) into `coords` (3, n), and their counts."""
    held, counts, here, there = room(bounds, first, last, shift, dense)
    scratch = np.zeros((1 << shift) if dense else 0, np.uint32)
    filled = np.zeros(((1 << shift) // 64 + 1) if dense else 0, np.uint64)
    nx, n_channels = shape[1], shape[2]
    end, y, x = np.int64(0), np.int64(0), np.int64(0)
    at = start
    for bucket in range(first, last):
        if dense:
            n = tally_dense(keys, bounds, bucket, held, counts, scratch, filled)
        else:
            n = tally_sorted(keys, bounds, bucket, shift, held, counts, here, there)
        base = np.int64(bucket) << shift
        for i in range(n):
            cell = base + np.int64(held[i])
            if cell >= end:  # of another pixel
                pixel = cell // n_channels
                end = (pixel + 1) * n_channels
                y, x = pixel // nx, pixel % nx
            coords[0, at + i] = y
            coords[1, at + i] = x
            coords[2, at + i] = cell - end + n_channels
            number[at + i] = counts[i]
        at += n


@njit(nogil=True, cache=True)
def room(bounds: Ints, first: int, last: int, shift: int, dense: bool) -> tuple[Counts, Counts, Counts, Counts]:
    """Room for the filled cells' keys and counts of any of the buckets, and for sorting."""
    most = 0
    for bucket in range(first, last):
        size = 0
        for piece in range(len(bounds)):
            size += bounds[piece, bucket + 1] - bounds[piece, bucket]
        most = max(most, size)
    cells = min(most, 1 << shift)
    sort = 0 if dense else most
    return np.empty(cells, np.uint32), np.empty(cells, np.uint32), np.empty(sort, np.uint32), np.empty(sort, np.uint32)


@njit(nogil=True, cache=True)
def tally_dense(
    keys: Keys, bounds: Ints, bucket: int, held: Counts, counts: Counts, scratch: Counts, filled: NDArray[np.uint64]
) -> int:
    """Keys of a bucket's filled cells, ascending, and their counts; how many. `scratch` and `filled` stay zeros."""
    one = np.uint64(1)
    for piece in range(len(bounds)):
        for key in keys[bounds[piece, bucket] : bounds[piece, bucket + 1]]:
            scratch[key] += np.uint32(1)
            filled[np.uint64(key) >> np.uint64(6)] |= one << (np.uint64(key) & np.uint64(63))
    n = 0
    for w in range(len(filled)):
        word = filled[w]
        filled[w] = 0
        while word:
            lowest = word & (~word + one)
            key = w * 64 + np.int64(PLACE[(lowest * MAGIC) >> np.uint64(58)])
            word ^= lowest
            held[n] = key
            counts[n] = scratch[key]
            scratch[key] = 0
            n += 1
    return n


@njit(nogil=True, cache=True)
def tally_sorted(
    keys: Keys, bounds: Ints, bucket: int, shift: int, held: Counts, counts: Counts, here: Counts, there: Counts
) -> int:
    """The same as `tally_dense` by sorting the keys, DIGIT bits at a time."""
    size = 0
    for piece in range(len(bounds)):
        for key in keys[bounds[piece, bucket] : bounds[piece, bucket + 1]]:
            here[size] = key
            size += 1
    number = np.empty(1 << DIGIT, np.int64)
    for digit in range(0, shift, DIGIT):
        number[:] = 0
        for i in range(size):
            number[(here[i] >> np.uint32(digit)) & np.uint32((1 << DIGIT) - 1)] += 1
        total = 0
        for d in range(len(number)):
            total, number[d] = total + number[d], total
        for i in range(size):
            d = (here[i] >> np.uint32(digit)) & np.uint32((1 << DIGIT) - 1)
            there[number[d]] = here[i]
            number[d] += 1
        here, there = there, here
    n = 0
    for i in range(size):
        if i and here[i] == here[i - 1]:
            counts[n - 1] += np.uint32(1)
        else:
            held[n] = here[i]
            counts[n] = 1
            n += 1
    return n
