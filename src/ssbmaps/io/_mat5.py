"""MATLAB's level-5 MAT-file, as far as instruments write it: numbers, text, cells and structs; every length is checked.

After "MAT-File Format" of MathWorks (chapter 1, level 5). Sparse arrays, functions and opaque objects are passed over. It stands
here, and not scipy.io, because that trusts the lengths in a damaged file.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io._bytes import Bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_HEADER = 128
_DEEP = 16  # cells in structs in cells …
_RATIO, _ALWAYS = 100, 1 << 20  # what a packed variable may unpack to: times its size, or bytes in any case
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
    18: "u4",
}
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CELL, _STRUCT, _OBJECT, _CHAR = 1, 2, 3, 4
_MATRIX, _PACKED = 14, 15
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_COMPLEX = 0x0800


def is_mat5(head: bytes) -> bool:
    """Whether a file that begins with `head` (128 bytes) is of level 5."""
    return len(head) >= _HEADER and head[124:128] in (b"\x00\x01IM", b"\x01\x00MI")


def load(path: Path) -> dict[str, Any]:
    """The variables by name: arrays (column by column, as MATLAB has them), str, lists for cells, dicts for structs of size 1."""
    file = Bytes(path)
    head = file.raw(0, _HEADER, "the header")
    if not is_mat5(head):
        raise FormatError(
            f"{path.name}: is no MAT-file of level 5 (it begins {head[:20]!r}). Save it in MATLAB with save(..., '-v7')."
        )
    return _Reader(path.name, file.data, "<" if head[126:] == b"IM" else ">").variables(_HEADER)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Elements in `data`; the places named in letters are bytes of the file, or of the unpacked variable."""

    name: str
    data: NDArray[np.uint8]
    order: str

    def variables(self, begin: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while begin < len(self.data):
            kind, at, size, begin = self.tag(begin)
            if kind == _PACKED:
                found |= self.packed(at, size).variables()
            elif kind == _MATRIX:
                name, value, _ = self.matrix(at, size, begin, 0)
                found[name] = value
        return found

    def packed(self, at: int, size: int) -> _Reader:
        """The reader of a variable that is packed by zlib."""
        unpacker = zlib.decompressobj()
        most = max(_ALWAYS, _RATIO * size)
        try:
            raw = unpacker.decompress(self.data[at : at + size].tobytes(), most)
        except zlib.error as error:
            raise self.fault(at, f"zlib cannot unpack the variable ({error})") from None
        if unpacker.unconsumed_tail:
            raise self.fault(at, f"the variable unpacks to more than {most} bytes; that is no measurement")
        if not unpacker.eof:
            raise self.fault(at, "the packed variable is cut short")
        return _Reader(self.name, np.frombuffer(raw, np.uint8), self.order)

    def tag(self, at: int, end: int | None = None) -> tuple[int, int, int, int]:
        """(type, place of the data, their size, place of the next element) of the element at `at`."""
        end = len(self.data) if end is None else end
        if at + 8 > end:
            raise self.fault(at, f"an element should begin; {max(end - at, 0)} bytes are left")
        first, second = struct.unpack(f"{self.order}II", self.data[at : at + 8].tobytes())
        if first >> 16:
            kind, size, place, following = first & 0xFFFF, first >> 16, at + 4, at + 8
            if size > 4:
                raise self.fault(at, f"a small element says it has {size} bytes, of 4 at most")
        else:
            kind, size, place = first, second, at + 8
            following = place + size + (0 if kind == _PACKED else -size % 8)
        if place + size > end:
            raise self.fault(at, f"an element of {size} bytes reaches beyond its end, {end}")
        return kind, place, size, min(following, end)

    def matrix(self, at: int, size: int, end: int, depth: int) -> tuple[str, Any, int]:
        """Name and value of the array at `at`, and where it ends. No bytes are an empty array.

        The stated `size` only helps to pass over what is not read: WITec states too few bytes for a cell whose inner arrays need
        padding. No array goes beyond `end`, that of the variable.
        """
        after = at + size
        if size == 0:
            return "", np.empty((0, 0)), after
        if depth > _DEEP:
            raise self.fault(at, f"arrays lie in arrays more than {_DEEP} deep")
        flags, at = self.values(at, end, "the flags")
        shape, at = self.values(at, end, "the dimensions")
        if len(flags) != 2 or not 2 <= len(shape) <= 8 or (shape < 0).any():
            raise self.fault(at, f"an array has flags {flags.tolist()} and dimensions {shape.tolist()}")
        name, at = self.text(at, end)
        kind, n = int(flags[0]) & 0xFF, math.prod(map(int, shape))
        if kind in _NUMBERS:
            return name, *self.numbers(at, end, name, shape, kind, bool(int(flags[0]) & _COMPLEX))
        if kind == _CHAR:
            return name, *self.text(at, end)
        if kind == _CELL:
            return name, *self.cells(at, end, n, depth)
        if kind in (_STRUCT, _OBJECT):
            return name, *self.struct(at, end, n, depth, has_class=kind == _OBJECT)
        return name, None, after

    def numbers(self, at: int, end: int, name: str, shape: NDArray[Any], kind: int, is_complex: bool) -> tuple[NDArray[Any], int]:
        """The values of an array of numbers; they may be stored in a smaller type."""
        what = name or "an array"
        if is_complex:
            raise self.fault(at, f"{what} holds complex numbers; expected real ones")
        stored, following = self.values(at, end, f"the numbers of {what}")
        if len(stored) != math.prod(map(int, shape)):
            raise self.fault(at, f"{what} has dimensions {shape.tolist()} and {len(stored)} numbers")
        return stored.astype(_NUMBERS[kind], copy=False).reshape(shape, order="F"), following

    def cells(self, at: int, end: int, n: int, depth: int) -> tuple[list[Any], int]:
        """`n` arrays, one after another."""
        if n > (end - at) // 8:
            raise self.fault(at, f"{n} arrays should follow in {end - at} bytes")
        found = []
        for _ in range(n):
            kind, place, size, _ = self.tag(at, end)
            if kind != _MATRIX:
                raise self.fault(at, f"an element of type {kind} stands where an array should")
            _, value, at = self.matrix(place, size, end, depth + 1)
            found.append(value)
        return found, at

    def struct(self, at: int, end: int, n: int, depth: int, *, has_class: bool) -> tuple[Any, int]:
        """A dict, or a list of them where there is not exactly one."""
        if has_class:
            _, at = self.text(at, end)
        length, at = self.values(at, end, "the length of field names")
        names, at = self.values(at, end, "the field names")
        width = int(length[0]) if len(length) == 1 else 0
        if width < 1 or len(names) % width:
            raise self.fault(at, f"field names of {width} letters in {len(names)} bytes")
        fields = [row.tobytes().partition(b"\0")[0].decode("latin-1") for row in names.astype("u1").reshape(-1, width)]
        values, at = self.cells(at, end, n * len(fields), depth)
        dicts = [dict(zip(fields, values[i * len(fields) :], strict=False)) for i in range(n)]
        return (dicts[0] if n == 1 else dicts), at

    def values(self, at: int, end: int, what: str) -> tuple[NDArray[Any], int]:
        """The numbers of an element, and where the next one begins."""
        kind, place, size, following = self.tag(at, end)
        dtype = np.dtype(self.order + _STORED[kind]) if kind in _STORED else None
        if dtype is None or size % dtype.itemsize:
            raise self.fault(at, f"{what}: {size} bytes of type {kind}, which are no whole numbers of values")
        return self.data[place : place + size].view(dtype), following

    def text(self, at: int, end: int) -> tuple[str, int]:
        """The letters of an element, and where the next one begins."""
        kind, place, size, following = self.tag(at, end)
        encoding = _TEXTS.get(kind)
        if encoding is None:
            raise self.fault(at, f"text of type {kind}")
        raw = self.data[place : place + size].tobytes()
        suffix = ("-le" if self.order == "<" else "-be") if encoding.startswith("utf-") and encoding != "utf-8" else ""
        try:
            return raw.decode(encoding + suffix), following
        except UnicodeDecodeError:
            return raw.decode("latin-1"), following

    def fault(self, at: int, text: str) -> FormatError:
        return FormatError(f"{self.name}: at byte {at}: {text}. The file is cut short or damaged; copy or export it again.")
