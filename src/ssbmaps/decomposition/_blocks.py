"""Counts as compact blocks of rows, and one way to visit them: in memory, from disk, or on a dask cluster.

A visit calls ``function(block, state, *shared)`` for every block, in threads here or as tasks of a cluster, and adds up what
comes back in the order of the blocks: the sums do not depend on where, or by how many, the work was done.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._threads import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import DTypeLike, NDArray

    Visitor = Callable[..., tuple[tuple[Any, ...], Any]]

PARTS = 32  # of a matrix in memory: an even load on many cores, and few enough that adding up costs nothing
SMALL = 20_000  # stored values that a part holds at least
NO_MASK = (np.empty(0, np.uint32), np.zeros(1, np.int64))
MEMORY = 2 << 30  # bytes of compact blocks that are kept in memory; what is larger goes to temporary files


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a sparse matrix: stored values, their columns (uint16 or uint32), and where each row starts (n_rows + 1)."""

    values: NDArray[Any]
    columns: NDArray[Any]
    starts: NDArray[np.int64]
    n_columns: int
    masked: tuple[NDArray[Any], NDArray[np.int64]] = NO_MASK  # columns not to be used, by row, and where each row's start

    @property
    def n_rows(self) -> int:
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        return int(self.values.nbytes + self.columns.nbytes + self.starts.nbytes)

    def rows(self, start: int, stop: int) -> Block:
        """Rows [start, stop), sharing the values' memory."""
        values, masked = slice(self.starts[start], self.starts[stop]), NO_MASK
        if len(self.masked[0]):
            columns, starts = self.masked
            masked = columns[starts[start] : starts[stop]], starts[start : stop + 1] - starts[start]
        starts = self.starts[start : stop + 1] - self.starts[start]
        return Block(self.values[values], self.columns[values], starts, self.n_columns, masked)

    def take(self, rows: NDArray[np.int64]) -> Block:
        """The rows of these numbers."""
        parts = []
        for pointers in (self.starts, self.masked[1]):
            if len(pointers) == 1:
                parts.append((np.empty(0, np.int64), pointers))
                continue
            length = np.diff(pointers)[rows]
            starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(length)])
            parts.append((np.repeat(pointers[rows] - starts[:-1], length) + np.arange(starts[-1]), starts))
        (which, starts), (hidden, hidden_starts) = parts
        masked = (self.masked[0][hidden], hidden_starts)
        return Block(self.values[which], self.columns[which], starts, self.n_columns, masked)

    def row_sums(self) -> NDArray[np.float64]:
        """Sum of each row."""
        filled = np.flatnonzero(np.diff(self.starts))
        sums = np.zeros(self.n_rows)
        if len(filled):
            sums[filled] = np.add.reduceat(self.values, self.starts[filled], dtype=np.float64)
        return sums

    def column_sums(self) -> NDArray[np.float64]:
        """Sum of each column."""
        return np.bincount(self.columns, weights=self.values, minlength=self.n_columns).astype(np.float64, copy=False)


def compact(matrix: Any, dtype: DTypeLike) -> Block:
    """A scipy CSR matrix (or anything it can be made of) as a block of values of `dtype`, without stored zeros."""
    from scipy.sparse import csr_array

    csr = csr_array(matrix)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    values, columns, starts = csr.data, csr.indices, csr.indptr
    if not np.all(values):
        csr = csr_array((values, columns, starts), shape=csr.shape, copy=True)
        csr.eliminate_zeros()
        values, columns, starts = csr.data, csr.indices, csr.indptr
    narrow = np.uint16 if csr.shape[1] <= 1 << 16 else np.uint32
    return Block(values.astype(dtype, copy=False), columns.astype(narrow), starts.astype(np.int64), int(csr.shape[1]))


def split(block: Block) -> list[Block]:
    """A block in parts of about as many stored values each; the parts depend on nothing but the data."""
    n = int(np.clip(len(block.values) // SMALL, 1, PARTS))
    weight = block.starts + np.arange(block.n_rows + 1)  # an empty row is work, too
    cuts = np.searchsorted(weight, np.arange(1, n) * (weight[-1] / n))
    edges = np.unique([0, *cuts, block.n_rows])
    return [block.rows(a, b) for a, b in pairwise(edges)] or [block]


def join(blocks: Sequence[Block]) -> Block:
    """Blocks, one below the other."""
    masked = NO_MASK
    if any(len(b.masked[0]) for b in blocks):
        filled = [b.masked if len(b.masked[1]) > 1 else (b.masked[0], np.zeros(b.n_rows + 1, np.int64)) for b in blocks]
        masked = np.concatenate([m[0] for m in filled]), _running([m[1] for m in filled])
    return Block(
        np.concatenate([b.values for b in blocks]),
        np.concatenate([b.columns for b in blocks]),
        _running([b.starts for b in blocks]),
        blocks[0].n_columns,
        masked,
    )


def _running(starts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Row pointers that run on over the pieces."""
    offsets = np.cumsum([0, *(s[-1] for s in starts)])
    return np.concatenate([np.zeros(1, np.int64), *(s[1:] + o for s, o in zip(starts, offsets[:-1], strict=True))])


class Scratch:
    """A temporary folder that goes with the last that holds it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ssbmaps-"))
        self._end = weakref.finalize(self, shutil.rmtree, self.path, True)


@dataclass(slots=True)
class Blocks:
    """A matrix (P, K) as blocks of rows on this machine, each in memory or in a temporary file."""

    sources: list[Block | Path]
    sizes: list[int]
    n_columns: int
    scratch: Scratch | None = field(default=None, repr=False)

    @classmethod
    def of(cls, matrix: Any, dtype: DTypeLike) -> Blocks:
        """Of a scipy sparse or dense matrix (P, K)."""
        return cls.of_parts(split(compact(matrix, dtype)))

    @classmethod
    def of_parts(cls, parts: Sequence[Block]) -> Blocks:
        """Of blocks in memory."""
        return cls(list(parts), [p.n_rows for p in parts], parts[0].n_columns)

    @property
    def shape(self) -> tuple[int, int]:
        return sum(self.sizes), self.n_columns

    def visit(self, function: Visitor, state: Sequence[Any] | None = None, *shared: Any) -> tuple[tuple[Any, ...], list[Any]]:
        """``function(block, state of the block, *shared) -> (results, new state)``: the results' sums, and the new states.

        `function` may be called in several threads at a time.
        """
        states = [None] * len(self.sources) if state is None else state
        total: tuple[Any, ...] | None = None
        kept: list[Any] = []
        for results, new in in_order(lambda i: function(read(self.sources[i]), states[i], *shared), len(self.sources)):
            total = results if total is None else tuple(a + b for a, b in zip(total, results, strict=True))
            kept.append(new)
        return total or (), kept

    def scatter(self, array: NDArray[Any]) -> list[Any]:
        """(P, …) rows as one state per block."""
        return self.place(np.split(array, np.cumsum(self.sizes)[:-1]))

    def gather(self, state: Sequence[Any]) -> NDArray[Any]:
        """The states of all blocks as (P, …) rows."""
        return np.concatenate(self.collect(state))

    def like(self, blocks: Sequence[Any]) -> Blocks:
        """Other blocks of the same shape, in memory."""
        return Blocks(list(blocks), self.sizes, self.n_columns)

    def place(self, states: Sequence[Any]) -> list[Any]:
        """One state per block, where the blocks are."""
        return list(states)

    def collect(self, states: Sequence[Any]) -> list[Any]:
        """States as they are here."""
        return list(states)


def in_order(task: Callable[[int], Any], n: int) -> Iterator[Any]:
    """``task(0), task(1), …`` worked on in threads, handed out in order, few at a time."""
    workers = min(threads(), n)
    if workers <= 1:
        yield from map(task, range(n))
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead = deque(pool.submit(task, i) for i in range(min(2 * workers, n)))
        for i in range(len(ahead), n + len(ahead)):
            done = ahead.popleft().result()
            if i < n:
                ahead.append(pool.submit(task, i))
            yield done


def read(source: Block | Path) -> Block:
    """A block from memory or from its temporary file."""
    if isinstance(source, Block):
        return source
    with source.open("rb") as handle:
        values, columns, starts, masked, masked_starts, n_columns = (np.load(handle) for _ in range(6))
    return Block(values, columns, starts, int(n_columns), (masked, masked_starts))


def gather_blocks(
    blocks: Iterable[Block], rows: Sequence[NDArray[np.int64]], *, memory: int = MEMORY
) -> tuple[Blocks, NDArray[np.int64]]:
    """Blocks as they come, with the numbers of their rows: in memory up to `memory` bytes, then in temporary files.

    If all stay in memory, the rows are put in ascending order.
    """
    total, scratch = 0, None
    sources: list[Block | Path] = []
    n_columns = 0
    for block in blocks:
        total, n_columns = total + block.nbytes, block.n_columns
        if total > memory and scratch is None:
            scratch = Scratch()
        if scratch is None:
            sources.append(block)
            continue
        path = scratch.path / f"{len(sources)}.block"
        with path.open("wb") as handle:
            for part in (block.values, block.columns, block.starts, *block.masked, np.int64(block.n_columns)):
                np.save(handle, part)
        sources.append(path)
    numbers = np.concatenate(list(rows))
    if scratch is not None:
        return Blocks(sources, [len(r) for r in rows], n_columns, scratch), numbers
    whole = join([s for s in sources if isinstance(s, Block)])
    order = np.argsort(numbers, kind="stable")
    if np.any(np.diff(numbers) < 0):
        whole = whole.take(order)
    return Blocks.of_parts(split(whole)), numbers[order]
