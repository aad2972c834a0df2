"""The binary half of imzML: finds the .ibd, checks that it belongs, and gathers arrays without a loop over spectra."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from ssbmaps.io._imzml_header import ArrayColumns, Header

UUID_BYTES = 16
_BLOCK_VALUES = 1 << 22  # values gathered at a time: 32 MB of float64


def find_ibd(path: Path) -> Path | None:
    """The .ibd beside an .imzML: same name, ending in any case; None if there is none."""
    exact = path.with_suffix(".ibd")
    if exact.is_file():
        return exact
    alike = [p for p in path.parent.iterdir() if p.suffix.lower() == ".ibd" and p.stem.lower() == path.stem.lower()]
    return next((p for p in sorted(alike) if p.is_file()), None)


def require_ibd(path: Path) -> Path:
    """The .ibd beside an .imzML, or a FormatError that says what is missing."""
    found = find_ibd(path)
    if found is None:
        raise FormatError(
            f"{path.name}: its binary half {path.stem}.ibd is missing. imzML is two files: put the .ibd of the same export "
            "beside the .imzML, under the same name."
        )
    if found.stat().st_size < UUID_BYTES:
        raise FormatError(f"{found.name}: holds {found.stat().st_size} bytes; an .ibd starts with a UUID of 16. Copy it again.")
    return found


def identity(header: Header, ibd: Path) -> tuple[list[str], str]:
    """What speaks against the two files belonging together, and the SHA-256 of the .ibd; one pass over its bytes."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", *header.checksums)}
    with ibd.open("rb") as handle:
        first = handle.read(UUID_BYTES)
        handle.seek(0)
        while piece := handle.read(1 << 20):
            for digest in hashes.values():
                digest.update(piece)
    notes = []
    declared = header.uuid.strip("{} ").replace("-", "").lower()
    swapped = (first[3::-1] + first[5:3:-1] + first[7:5:-1] + first[8:]).hex()  # a Windows GUID as it lies in memory
    if not declared:
        notes.append(f"the header states no UUID, so that {ibd.name} cannot be checked to be its binary half.")
    elif declared not in (first.hex(), swapped):
        notes.append(f"UUID mismatch: the header says {header.uuid}, {ibd.name} says {first.hex()}.")
    for name, stated in header.checksums.items():
        found = hashes[name].hexdigest()
        if stated.strip().lower() != found:
            placeholder = " (a placeholder)" if not stated.strip("0") else ""
            notes.append(f"{name.upper()} mismatch: the header says {stated}{placeholder}, {ibd.name} has {found}.")
    return notes, hashes["sha256"].hexdigest()


def blocks(lengths: NDArray[np.int64]) -> Iterator[slice]:
    """Runs of arrays with about _BLOCK_VALUES values together; a longer array stands alone."""
    ends = np.cumsum(lengths)
    start = 0
    while start < len(lengths):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + _BLOCK_VALUES, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def ranges(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """All of range(start, start + length), one after another."""
    ends = np.cumsum(lengths)
    first: NDArray[np.int64] = np.repeat(starts - (ends - lengths), lengths)
    return first + np.arange(len(first))


def gather(ibd: Path, columns: ArrayColumns) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Values of all arrays in `columns`, one after another, and the places of arrays that could not be inflated.

    Several types in one file meet in the type that holds all of them.
    """
    buffer = np.memmap(ibd, np.uint8, mode="r")
    codes = [int(c) for c in np.unique(columns.code)]
    types = [columns.types[c] for c in codes]
    broken: list[NDArray[np.int64]] = []
    if len(codes) == 1 and not types[0][1]:
        return _plain(buffer, columns.offset, columns.length, types[0][0]), np.empty(0, np.int64)
    out = np.zeros(int(columns.length.sum()), np.result_type(*(t for t, _ in types)) if types else np.float64)
    starts = np.cumsum(columns.length) - columns.length
    for code, (dtype, deflated) in zip(codes, types, strict=True):
        mine = np.flatnonzero(columns.code == code)
        place = ranges(starts[mine], columns.length[mine])
        if deflated:
            values, bad = _inflated(buffer, columns.take(mine), dtype)
            broken.append(mine[bad])
        else:
            values = _plain(buffer, columns.offset[mine], columns.length[mine], dtype)
        out[place] = values
    return out, np.concatenate([np.empty(0, np.int64), *broken])


def _plain(buffer: NDArray[np.uint8], offset: NDArray[np.int64], length: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Uncompressed arrays: one slice if they lie end to end, else one indexed read for each alignment."""
    native, size = dtype.newbyteorder("="), dtype.itemsize
    offset = np.where(length > 0, offset, 0)
    filled = np.flatnonzero(length > 0)
    if len(filled) == 0:
        return np.empty(0, native)
    first, last = filled[0], filled[-1]
    ends = offset[filled] + length[filled] * size
    if np.array_equal(offset[filled[1:]], ends[:-1]):
        return np.array(buffer[offset[first] : offset[last] + length[last] * size]).view(dtype).astype(native, copy=False)
    out = np.empty(int(length.sum()), native)
    starts = np.cumsum(length) - length
    remainders = offset % size
    for remainder in np.unique(remainders[filled]):
        mine = filled[remainders[filled] == remainder]
        whole = (len(buffer) - remainder) // size
        view = buffer[remainder : remainder + whole * size].view(dtype)
        values = view[ranges((offset[mine] - remainder) // size, length[mine])]
        out[ranges(starts[mine], length[mine])] = values
    return out


def _inflated(buffer: NDArray[np.uint8], columns: ArrayColumns, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """zlib streams, each inflated to at most the bytes its header promises; those that fail are zeros, and named."""
    pieces, broken = [], []
    for place, (offset, length, encoded) in enumerate(zip(columns.offset, columns.length, columns.encoded, strict=True)):
        promised = int(length) * dtype.itemsize
        try:
            data = zlib.decompressobj().decompress(bytes(buffer[offset : offset + encoded]), promised + 1)
        except zlib.error:
            data = b""
        if len(data) != promised:
            broken.append(place)
            data = bytes(promised)
        pieces.append(data)
    values = np.frombuffer(b"".join(pieces), dtype).astype(dtype.newbyteorder("="))
    return values, np.array(broken, np.int64)
