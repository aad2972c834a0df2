"""Loops of the principal components over sparse rows, compiled: sums, products with rows of eight, channel products.

Import this where it is used only: it loads the compiler. A block is given as values, columns (unsigned, ascending in each row)
and starts; `weights` has one number per row. Rows are taken as slices, so that no index can be negative: one that
might be costs a comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Floats = NDArray[np.float64]
    blend: Any
    naught: Any
    put: Any
    take: Any
else:  # compiled code calls them without their first argument, which no type says
    from ssbmaps.decomposition._lanes import blend, naught, put, take

EIGHT = (0,) * 8  # lanes: the width of every factor here


@njit(nogil=True, cache=True)
def _longest(starts: Array) -> int:
    """Number of entries of the longest row."""
    longest = 0
    for i in range(len(starts) - 1):
        longest = max(longest, starts[i + 1] - starts[i])
    return longest


@njit(nogil=True, cache=True)
def normal_product(values: Array, columns: Array, starts: Array, weights: Floats, x: Floats, out: Floats) -> None:
    """``out += Aᵀ diag(weights) A x`` for `x` and `out` of shape (K, 8)."""
    nothing = naught(take(x, 0, EIGHT))
    for i in range(len(starts) - 1):
        entries, places = values[starts[i] : starts[i + 1]], columns[starts[i] : starts[i + 1]]
        row = nothing
        for q in range(len(entries)):
            row = blend(entries[q], take(x, places[q], EIGHT), row)
        row = blend(weights[i], row, nothing)
        for q in range(len(entries)):
            put(out, places[q], blend(entries[q], row, take(out, places[q], EIGHT)))


@njit(nogil=True, cache=True)
def product(values: Array, columns: Array, starts: Array, x: Floats, out: Floats) -> None:
    """``out = A x`` for `x` (K, 8) and `out` (P, 8)."""
    nothing = naught(take(x, 0, EIGHT))
    for i in range(len(starts) - 1):
        entries, places = values[starts[i] : starts[i + 1]], columns[starts[i] : starts[i + 1]]
        row = nothing
        for q in range(len(entries)):
            row = blend(entries[q], take(x, places[q], EIGHT), row)
        put(out, i, row)


@njit(nogil=True, cache=True)
def _coins(row: int, begin: int, seed: int) -> int:
    """64 random bits for a place and a seed: splitmix64 (Steele, Lea and Flood 2014), its finalizer twice."""
    bits = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(begin)
    for step in (np.uint64(row), np.uint64(0x9E3779B97F4A7C15)):
        bits = bits + step
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ (bits >> np.uint64(31))
    return bits  # type: ignore[return-value]


@njit(nogil=True, cache=True)
def noise_product(
    values: Array, columns: Array, starts: Array, weights: Floats, first_row: int, seed: int, x: Floats, out: Floats
) -> None:
    """As `normal_product` for the matrix of ±√values, with signs drawn by row and by order within the row."""
    noise = np.empty(_longest(starts) + 64, np.float32)
    unit = np.float32(1)
    nothing = naught(take(x, 0, EIGHT))
    for i in range(len(starts) - 1):
        entries, places = values[starts[i] : starts[i + 1]], columns[starts[i] : starts[i + 1]]
        for q in range(len(entries)):
            noise[q] = np.sqrt(np.float32(entries[q]))
        for begin in range(0, len(entries), 64):
            coins, part = _coins(first_row + i, begin, seed), noise[begin : begin + 64]
            for q in range(64):
                part[q] *= unit - np.float32((coins >> np.uint64(q)) & np.uint64(1)) * (unit + unit)
        row = nothing
        for q in range(len(entries)):
            row = blend(noise[q], take(x, places[q], EIGHT), row)
        row = blend(weights[i], row, nothing)
        for q in range(len(entries)):
            put(out, places[q], blend(noise[q], row, take(out, places[q], EIGHT)))


@njit(nogil=True, cache=True)
def sums(
    values: Array, columns: Array, starts: Array, poisson: bool, weights: Floats, by_column: Floats
) -> tuple[int, int, float]:
    """Fill `weights` with one over each row's sum (0 for an empty row; 1 all over without `poisson`), and add to `by_column`.

    Its rows: sum of the values, number of them, sum of weight · value², sum of weight · value. Returned: negative values,
    values that are no whole numbers, and pairs of values within a row.
    """
    n_negative, n_broken, pairs = 0, 0, 0.0
    for i in range(len(starts) - 1):
        first, last = starts[i], starts[i + 1]
        total = 0.0
        for q in range(first, last):
            value = np.float64(values[q])
            total += value
            n_negative += int(value < 0)
            n_broken += int(value != np.floor(value))
        weight = 1.0
        if poisson:
            weight = 1.0 / total if total > 0 else 0.0
        weights[i] = weight
        pairs += 0.5 * (last - first) ** 2
        for q in range(first, last):
            value = np.float64(values[q])
            by_column[0, columns[q]] += value
            by_column[1, columns[q]] += 1.0
            by_column[2, columns[q]] += weight * value * value
            by_column[3, columns[q]] += weight * value
    return n_negative, n_broken, pairs


@njit(nogil=True, cache=True)
def gram_band(values: Array, columns: Array, starts: Array, weights: Floats, low: int, high: int, out: Floats) -> None:
    """``out[j, k] += Σ_i weights[i] · values[i, j] · values[i, k]`` for low <= j < high and k >= j, in the order of rows.

    Four columns j at a time, which saves reading the row; what they leave below the diagonal is not meant to be read.
    """
    longest = _longest(starts)
    entries, places = np.empty(longest), np.empty(longest, np.uint64)
    for i in range(len(starts) - 1):
        row, column = values[starts[i] : starts[i + 1]], columns[starts[i] : starts[i + 1]]
        left, right = 0, len(column)
        while left < right:  # the first entry of the band
            middle = (left + right) // 2
            if column[middle] < low:
                left = middle + 1
            else:
                right = middle
        row, column = row[left:], column[left:]
        n, inside, q = len(row), 0, 0
        for r in range(n):
            entries[r], places[r] = row[r], column[r]
            inside += column[r] < high
        weight = weights[i]
        while q + 4 <= inside:
            one, two, three, four = out[places[q]], out[places[q + 1]], out[places[q + 2]], out[places[q + 3]]
            first, second = weight * entries[q], weight * entries[q + 1]
            third, fourth = weight * entries[q + 2], weight * entries[q + 3]
            others, there = entries[q:n], places[q:n]
            for r in range(len(others)):
                value, place = others[r], there[r]
                one[place] += first * value
                two[place] += second * value
                three[place] += third * value
                four[place] += fourth * value
            q += 4
        while q < inside:
            one, first = out[places[q]], weight * entries[q]
            for r in range(q, n):
                one[places[r]] += first * entries[r]
            q += 1
