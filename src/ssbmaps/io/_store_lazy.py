"""Stored variables as dask arrays: each block is read from the store, and checked, when it is computed."""

from __future__ import annotations

import itertools
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import from_csr
from ssbmaps._errors import FormatError, SsbmapsError
from ssbmaps.io._cube import LazyCube, range_of
from ssbmaps.io._store_sparse import checked_csr, part_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK = 1 << 22  # stored values that a block of "auto" holds at most, if a single row does not hold more
GAP = 1 << 20  # stored values between two runs of rows that are read and dropped rather than skipped


@contextmanager
def stored_arrays(path: Path) -> Iterator[Any]:
    """The store's arrays by name; what breaks while they are read is told as damage of the file."""
    try:
        if path.suffix == ".zarr":
            import zarr

            yield zarr.open_group(str(path), mode="r")
        else:
            import h5py

            with h5py.File(path, "r") as file:
                yield file
    except SsbmapsError:
        raise
    except Exception as error:
        # The libraries below raise whatever broke first: OSError, KeyError, ValueError, codec errors of their own.
        raise FormatError(f"{path.name}: is damaged or incomplete ({type(error).__name__}: {str(error)[:200]}).") from error


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a store, read in pieces; any process that sees the path can read it."""

    path: Path
    name: str
    unwritten: frozenset[str]  # Zarr leaves out chunks of nothing but zeros, and reads a lost one as zeros

    @classmethod
    def of(cls, path: Path, name: str) -> StoredArray:
        """As the store is now: a chunk that is missing later was lost."""
        unwritten: frozenset[str] = frozenset()
        if path.suffix == ".zarr":
            with stored_arrays(path) as arrays:
                whole = tuple(slice(0, n) for n in arrays[name].shape)
                files = {p.relative_to(path / name).as_posix() for p in (path / name).rglob("*") if p.is_file()}
                unwritten = frozenset(_chunk_files(path, name, arrays[name].chunks, whole)) - files
        return cls(path, name, unwritten)

    def read(self, arrays: Any, window: tuple[slice, ...]) -> NDArray[Any]:
        """The values of `window`, a plain slice for each dimension."""
        array = arrays[self.name]
        if self.path.suffix == ".zarr":
            needed = set(_chunk_files(self.path, self.name, array.chunks, window)) - self.unwritten
            lost = sorted(f for f in needed if not (self.path / self.name / f).is_file())
            if lost:
                raise FormatError(f"{self.path.name}: chunk {', '.join(lost[:5])} of {self.name} is missing. Copy it again.")
        return np.asarray(array[window])


def _chunk_files(path: Path, name: str, chunks: Sequence[int], window: Sequence[slice]) -> list[str]:
    """The Zarr chunks that hold `window`, by their names in the array's folder."""
    if any(w.stop <= w.start for w in window):
        return []
    separator = json.loads((path / name / ".zarray").read_text(encoding="utf-8")).get("dimension_separator", ".")
    places = [range(w.start // c, (w.stop - 1) // c + 1) for w, c in zip(window, chunks, strict=True)]
    return [separator.join(map(str, at)) for at in itertools.product(*places)]


@dataclass(frozen=True, slots=True)
class StoredDense:
    """A stored dense variable as dask sees an array."""

    stored: StoredArray
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        """Values of a block; `key` has an entry for each dimension."""
        window, within = zip(*(range_of(k, n) for k, n in zip(key, self.shape, strict=True)), strict=True)
        with stored_arrays(self.stored.path) as arrays:
            values = self.stored.read(arrays, window)
        return np.asarray(values[within], self.dtype)


@dataclass(frozen=True, slots=True)
class StoredSparse:
    """A stored sparse variable: reads the rows of a window of all dimensions but the last."""

    data: StoredArray
    indices: StoredArray
    indptr: StoredArray
    subject: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def load(self, window: tuple[slice, ...]) -> Any:
        """The block as `sparse.COO`."""
        import sparse

        extent = tuple(w.stop - w.start for w in window)
        shape = (*extent, self.shape[-1])
        if 0 in extent:
            return sparse.COO.from_numpy(np.zeros(shape, self.dtype))
        starts, length = runs(window, self.shape[:-1])
        offset = int(starts[0])
        with stored_arrays(self.data.path) as arrays:
            pointers = self.indptr.read(arrays, (slice(offset, int(starts[-1]) + length + 1),))
            begin, end = pointers[starts - offset], pointers[starts - offset + length]
            pieces = [self._values(arrays, begin[group], end[group]) for group in _near(begin, end)]
        counts = np.diff(pointers)[(starts - offset)[:, None] + np.arange(length)].ravel()
        indptr = np.concatenate([np.zeros(1, np.int64), counts.cumsum()])
        data, indices = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        matrix = checked_csr(data, indices, indptr, (len(counts), self.shape[-1]), self.subject)
        return from_csr(matrix.astype(self.dtype, copy=False), shape)

    def _values(self, arrays: Any, begin: NDArray[np.int64], end: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Values and columns of runs that lie near one another: read in one piece, what lies between them dropped."""
        whole = slice(int(begin[0]), int(end[-1]))
        data, indices = (part.read(arrays, (whole,)) for part in (self.data, self.indices))
        if len(begin) == 1:
            return data, indices
        wanted = [slice(a, b) for a, b in zip(begin - whole.start, end - whole.start, strict=True)]
        return np.concatenate([data[w] for w in wanted]), np.concatenate([indices[w] for w in wanted])


def runs(window: Sequence[slice], shape: Sequence[int]) -> tuple[NDArray[np.int64], int]:
    """First row of each unbroken run of rows that makes up a window of the leading dimensions, and the length of a run."""
    cut = max((i for i, (w, n) in enumerate(zip(window, shape, strict=True)) if w.stop - w.start != n), default=-1)
    inner = int(np.prod(shape[cut + 1 :], dtype=np.int64))
    if cut < 0:
        return np.zeros(1, np.int64), inner
    outer = [np.arange(w.start, w.stop) for w in window[:cut]]
    places = [p.ravel() for p in np.meshgrid(*outer, [window[cut].start], indexing="ij")]
    starts = np.ravel_multi_index(places, tuple(shape[: cut + 1])) * inner
    return starts.astype(np.int64), (window[cut].stop - window[cut].start) * inner


def _near(begin: NDArray[np.int64], end: NDArray[np.int64]) -> list[slice]:
    """Groups of runs that are read in one piece."""
    breaks = np.flatnonzero(begin[1:] - end[:-1] > GAP) + 1
    return [slice(a, b) for a, b in itertools.pairwise([0, *breaks.tolist(), len(begin)])]


def dense_blocks(path: Path, name: str, dims: Sequence[str], shape: tuple[int, ...], dtype: np.dtype[Any], chunks: Any) -> Any:
    """A stored dense variable as a dask array."""
    import dask.array as da

    source = StoredDense(StoredArray.of(path, name), shape, dtype)
    sizes = chunks if chunks == "auto" else block_sizes(chunks, dims, shape)
    wrap: Any = da.from_array
    return wrap(source, chunks=sizes, name=False, asarray=False, fancy=False, meta=np.empty((0,) * len(shape), dtype))


def sparse_blocks(path: Path, name: str, note: Mapping[str, Any], chunks: Any) -> Any:
    """A stored sparse variable as a dask array of `sparse.COO`; its row pointers are read and checked now."""
    subject = f"{path.name}: the parts of the sparse variable {name!r}"
    shape = tuple(int(n) for n in note["shape"])
    data, indices, indptr = (StoredArray.of(path, part_name(name, p)) for p in ("data", "indices", "indptr"))
    with stored_arrays(path) as arrays:
        pointers = indptr.read(arrays, (slice(0, arrays[indptr.name].shape[0]),))
        stored = {int(arrays[part.name].shape[0]) for part in (data, indices)}
    whole = len(pointers) == np.prod(shape[:-1], dtype=np.int64) + 1 and pointers[0] == 0
    if not whole or {int(pointers[-1])} != stored or np.any(np.diff(pointers) < 0):
        raise FormatError(f"{subject} do not fit together; it is damaged.")
    source = StoredSparse(data, indices, indptr, subject, shape, np.dtype(note["dtype"]))
    sizes = even_blocks(pointers, shape) if chunks == "auto" else block_sizes(chunks, note["dims"], shape)
    return LazyCube(shape, source.dtype, source.load).blocks(sizes)


def block_sizes(chunks: Mapping[str, int], dims: Sequence[str], shape: Sequence[int]) -> tuple[int, ...]:
    """Size of a block along each dimension; dimensions that `chunks` does not name stay whole."""
    return tuple(min(int(chunks.get(d, n)), n) for d, n in zip(dims, shape, strict=True))


def even_blocks(pointers: NDArray[np.int64], shape: Sequence[int]) -> tuple[int, ...]:
    """Block sizes along the first dimensions, so that no block holds more than BLOCK stored values, if a row does not."""
    leading = tuple(shape[:-1])
    for i in range(len(leading)):
        rows = int(np.prod(leading[i + 1 :], dtype=np.int64))
        fit = BLOCK // max(int(np.diff(pointers[::rows]).max()), 1)
        if fit:
            return (*(1 for _ in leading[:i]), min(fit, leading[i]), *shape[i + 1 :])
    return (*(1 for _ in leading), shape[-1])
