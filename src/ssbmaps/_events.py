"""Events (y, x, channel) counted into the cells of a sparse cube, in threads and in bounded memory."""

from __future__ import annotations

import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import SsbmapsError
from ssbmaps._threads import threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from numpy.typing import NDArray

    Piece = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    Cells = tuple[NDArray[np.int32], NDArray[np.unsignedinteger]]

PIECE = 1 << 19  # events that are sorted into buckets at a time: they stay in the cache
BATCH = 1 << 28  # events whose keys, of 2 or 4 bytes, are held at a time
BUCKETS = 13  # bits: so many buckets at most, unless there are more than 2^45 cells
SMALLEST, DENSE = 16, 20  # bits of the smallest bucket, and of the largest that is counted cell by cell


def count_cells(pieces: Iterable[Piece], shape: tuple[int, int, int], subject: str) -> Cells:
    """Coordinates (3, n) of the cells that hold events, in C order, and how many each holds: uint32, or uint64 if that overflows.

    A piece is three integer arrays of one length: y, x and channel. Pieces are let go once they are sorted into buckets.
    """
    total: Cells | None = None
    done = 0
    slices = _slices(pieces)
    with ThreadPoolExecutor(threads()) as pool:
        while True:
            keys, bounds = _placed(slices, shape, done, subject, pool)
            if not len(keys):
                return total or (np.empty((3, 0), np.int32), np.empty(0, np.uint32))
            part = _counted(keys, bounds, shape, pool)
            done += len(keys)
            total = part if total is None else _added(total, part, shape)


def _slices(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The same events in pieces of PIECE to 2 PIECE, the last one perhaps of fewer."""
    waiting: list[Piece] = []
    held = 0
    for piece in pieces:
        for start in range(0, len(piece[0]), PIECE):
            y, x, channel = (part[start : start + PIECE] for part in piece)
            waiting.append((y, x, channel))
            held += len(y)
            if held >= PIECE:
                yield _joined(waiting)
                waiting, held = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(pieces: list[Piece]) -> Piece:
    """The pieces as one, of a type that is compiled for: uint16 if all are that narrow, or else int64."""
    narrow = all(part.dtype.kind == "u" and part.dtype.itemsize <= 2 for piece in pieces for part in piece)
    kind = np.dtype(np.uint16 if narrow else np.int64)
    if len(pieces) == 1:
        y, x, channel = (np.ascontiguousarray(part, kind) for part in pieces[0])
    else:
        y, x, channel = (np.concatenate(parts, dtype=kind, casting="unsafe") for parts in zip(*pieces, strict=True))
    return y, x, channel


def _bits(shape: tuple[int, int, int]) -> tuple[int, int]:
    """How many cells there are, and how many bits number the cells of a bucket."""
    cells = int(np.prod([int(n) for n in shape], dtype=object))
    return cells, min(32, max(SMALLEST, (cells - 1).bit_length() - BUCKETS))


def _placed(
    slices: Iterator[Piece], shape: tuple[int, int, int], done: int, subject: str, pool: ThreadPoolExecutor
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Keys of the next events, of BATCH at most, sorted into buckets piece by piece, and where each piece's buckets begin."""
    from ssbmaps import _events_kernel as kernel

    cells, shift = _bits(shape)
    sides = np.array(shape, np.int64)
    keys: NDArray[Any] = np.empty(
        max(BATCH, 2 * PIECE), np.uint16 if shift <= 16 else np.uint32
    )  # what is not written takes no memory

    def place(piece: Piece, at: int) -> NDArray[np.int64]:
        bounds = np.empty(((cells - 1) >> shift) + 2, np.int64)
        wrong = int(kernel.place(*piece, sides, shift, keys[at : at + len(piece[0])], bounds))
        if wrong >= 0:
            where = tuple(int(part[wrong]) for part in piece)
            raise SsbmapsError(
                f"{subject}: event {done + at + wrong} lies at (y, x, channel) {where}; expected 0 or more, and less than the "
                f"shape {shape}."
            )
        return bounds + at

    held = 0
    bounds: list[NDArray[np.int64]] = []
    running: deque[Future[NDArray[np.int64]]] = deque()
    while held + 2 * PIECE <= len(keys) and (piece := next(slices, None)) is not None:
        running.append(pool.submit(place, piece, held))
        held += len(piece[0])
        if len(running) > 2 * threads():
            bounds.append(running.popleft().result())
    bounds += [task.result() for task in running]
    return keys[:held], np.array(bounds)


def _counted(keys: NDArray[Any], bounds: NDArray[np.int64], shape: tuple[int, int, int], pool: ThreadPoolExecutor) -> Cells:
    """The filled cells of all buckets, and their counts: first how many there are, then what they are."""
    from ssbmaps import _events_kernel as kernel

    cells, shift = _bits(shape)
    dense = shift <= DENSE and len(keys) * 64 > cells
    sides = np.array(shape, np.int64)
    groups = _groups((bounds[:, 1:] - bounds[:, :-1]).sum(axis=0))
    sizes = np.zeros(bounds.shape[1] - 1, np.int64)
    list(pool.map(lambda g: kernel.sizes_of(keys, bounds, g[0], g[1], shift, dense, sizes), groups))
    starts = np.concatenate([[0], sizes.cumsum()])
    coords, counts = np.empty((3, starts[-1]), np.int32), np.empty(starts[-1], np.uint32)
    list(pool.map(lambda g: kernel.write(keys, bounds, g[0], g[1], shift, dense, sides, starts[g[0]], coords, counts), groups))
    return coords, counts


def _groups(per_bucket: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of buckets with about PIECE events each."""
    edges = np.concatenate([[0], per_bucket.cumsum()])
    cuts = np.searchsorted(edges, np.arange(PIECE, edges[-1], PIECE))
    borders = np.unique([0, *cuts, len(per_bucket)]).tolist()
    return list(itertools.pairwise(borders))


def _added(first: Cells, second: Cells, shape: tuple[int, int, int]) -> Cells:
    """Two counts of the same cells added up."""
    cell = np.concatenate([np.ravel_multi_index(tuple(coords), shape) for coords, _ in (first, second)])
    order = np.argsort(cell, kind="stable")  # two ascending runs: merged in one go
    cell = cell[order]
    counts = np.concatenate([first[1], second[1]])[order]
    fresh = np.flatnonzero(np.diff(cell, prepend=-1))
    sums = np.add.reduceat(counts, fresh, dtype=np.uint64)
    coords = np.stack(np.unravel_index(cell[fresh], shape)).astype(np.int32)
    return coords, sums.astype(np.uint32 if sums.max() <= np.iinfo(np.uint32).max else np.uint64)
