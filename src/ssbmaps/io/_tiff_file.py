"""The directories of a TIFF or BigTIFF file: tags, pages and where their pixels lie, all compared with the file first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io._bytes import Bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_MOST_PAGES = 1 << 16
_MOST_TAGS = 1 << 12
_MOST_TEXT = 1 << 26  # bytes of one text tag
# Number types of the tags, by their code; rationals are pairs.
_KINDS = {1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4", 11: "f4", 12: "f8"}
_KINDS |= {13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_PAIRS = (5, 10)
_WHOLE = {1: 1, 3: 2, 4: 4, 13: 4, 16: 8, 18: 8}  # types without sign, and their bytes
_NONE = np.empty(0)
_SAMPLES = {1: "u", 2: "i", 3: "f", 4: "u"}
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
DESCRIPTION, SOFTWARE, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 270, 305, 282, 283, 296
COLOURS, SUBFILE = 320, 254


@dataclass(frozen=True, slots=True)
class Segments:
    """Strips or tiles of a page: where each lies, how many bytes, and (rows, columns) of a full one."""

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    shape: tuple[int, int]


class Page:
    """One directory. Tags are read when asked for."""

    def __init__(self, file: TiffFile, number: int, tags: dict[int, tuple[int, int, int]]) -> None:
        self._file, self._tags = file, tags
        self.name = f"{file.name}: page {number + 1}"
        self.order = file.order

    def __contains__(self, code: int) -> bool:
        return code in self._tags

    def numbers(self, code: int) -> NDArray[Any]:
        """All numbers of a tag; none if it is absent; rationals as (n, 2)."""
        if code not in self._tags:
            return _NONE
        kind, count, at = self._tags[code]
        if kind not in _KINDS:
            raise FormatError(f"{self.name}: tag {code} has the type {kind}, which TIFF does not know. The file is damaged.")
        pairs = 2 if kind in _PAIRS else 1
        values = self._file.content.array(self._file.order + _KINDS[kind], count * pairs, at, f"tag {code}")
        return values.reshape(-1, 2) if pairs == 2 else values

    def number(self, code: int, default: int | None = None) -> int:
        """The first number of a tag."""
        if code not in self._tags and default is not None:
            return default
        kind, count, at = self._tags.get(code, (0, 0, 0))
        if count == 1 and kind in _WHOLE:  # most tags; one by one, since there may be thousands of pages
            width, data = _WHOLE[kind], self._file.content.data
            if 0 <= at <= len(data) - width:
                return int.from_bytes(data[at : at + width].tobytes(), self._file.byteorder)
        values = self.numbers(code)
        if not values.size:
            raise FormatError(f"{self.name}: tag {code} is missing. The file is damaged; export it again.")
        if values.dtype.kind == "f" or values.ndim > 1:
            raise FormatError(f"{self.name}: tag {code} is no whole number. The file is damaged; export it again.")
        return int(values[0])

    def ratio(self, code: int) -> float | None:
        """A rational tag as a number above 0, or None."""
        values = self.numbers(code).ravel()
        if values.size == 1:
            return float(values[0]) if np.isfinite(values[0]) and values[0] > 0 else None
        if values.size < 2 or not (float(values[0]) > 0 and float(values[1]) > 0):
            return None
        return float(values[0]) / float(values[1])

    def raw(self, code: int) -> bytes:
        """The bytes of a tag; none if it is absent."""
        if code not in self._tags:
            return b""
        values = self.numbers(code)
        if values.nbytes > _MOST_TEXT:
            raise FormatError(f"{self.name}: tag {code} holds {values.nbytes} bytes; expected no more than {_MOST_TEXT}.")
        return values.tobytes()

    def text(self, code: int) -> str:
        """A text tag up to its first NUL: UTF-8, else Latin-1."""
        raw = self.raw(code).partition(b"\0")[0]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, samples of a pixel."""
        shape = (self.number(HEIGHT), self.number(WIDTH), self.number(277, 1))
        if min(shape) < 1 or shape[2] > 1 << 12:
            raise FormatError(f"{self.name}: is {shape[0]} x {shape[1]} pixels of {shape[2]} samples. The file is damaged.")
        return shape

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of a sample, in the file's byte order."""
        bits, formats = set(self.numbers(BITS).tolist()) or {1}, set(self.numbers(339).tolist()) or {1}
        kind = _SAMPLES.get(next(iter(formats))) if len(formats) == 1 else None
        width = next(iter(bits)) if len(bits) == 1 else 0
        if kind is None or width not in ((16, 32, 64) if kind == "f" else (8, 16, 32, 64)):
            raise FormatError(
                f"{self.name}: samples of {sorted(bits)} bits in the format {sorted(formats)}; expected whole numbers of 8, 16, "
                "32 or 64 bits or floats. Save it as 8 or 16 bit."
            )
        return np.dtype(f"{self._file.order}{kind}{width // 8}")

    @cached_property
    def kind(self) -> tuple[Any, ...]:
        """What pages of one stack have in common."""
        return (*self.shape, self.dtype.str, self.number(PHOTOMETRIC, 1))

    @cached_property
    def compression(self) -> int:
        """The code of the way in which segments are packed; 1 if they are not."""
        return self.number(COMPRESSION, 1)

    def segments(self) -> Segments:
        """Strips or tiles, as many as the page needs, all within the file."""
        rows, columns, samples = self.shape
        planes = samples if self.number(284, 1) == 2 else 1
        tiled = 322 in self
        shape = (self.number(323), self.number(322)) if tiled else (min(self.number(278, rows), rows), columns)
        if min(shape) < 1:
            raise FormatError(f"{self.name}: has strips or tiles of {shape[0]} x {shape[1]} pixels. The file is damaged.")
        needed = -(-rows // shape[0]) * -(-columns // shape[1]) * planes
        places, lengths = (324, 325) if tiled else (273, 279)
        if needed == 1 and places in self and lengths in self:
            at, size = self.number(places), self.number(lengths)
            self._file.content.need(at, size, f"the pixels of {self.name}")
            return Segments(np.array([at]), np.array([size]), shape)
        offsets, sizes = self.numbers(places).ravel(), self.numbers(lengths).ravel()
        if not sizes.size and len(offsets) == 1 and self.compression == 1:  # some writers leave it out
            sizes = np.array([rows * columns * samples * self.dtype.itemsize])
        if len(offsets) != needed or len(sizes) != needed or "f" in (offsets.dtype.kind, sizes.dtype.kind):
            raise FormatError(
                f"{self.name}: needs {needed} strips or tiles, but lists {len(offsets)} places and {len(sizes)} sizes. The file "
                "is damaged; export it again."
            )
        if float(offsets.max()) > len(self._file.content) or float(sizes.max()) > len(self._file.content):
            self._file.content.need(int(offsets.max()), int(sizes.max()), f"the pixels of {self.name}")
        offsets, sizes = offsets.astype(np.int64), sizes.astype(np.int64)
        last = int(np.argmax(offsets + sizes))
        self._file.content.need(int(offsets[last]), int(sizes[last]), f"the pixels of {self.name}")
        return Segments(offsets, sizes, shape)


class TiffFile:
    """The pages of a file, each directory checked against its length; a chain that turns back on itself is refused."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self.content = Bytes(path)
        head = self.content.raw(0, 8, "the header")
        if not is_tiff(head):
            raise FormatError(f"{path.name}: does not begin as TIFF (it begins {head[:4]!r}).")
        self.byteorder: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        self.order = "<" if head[:2] == b"II" else ">"
        self._big = 43 in head[2:4]
        self.pages = self._walk()

    def _walk(self) -> list[Page]:
        (at,) = self.content.unpack(f"{self.order}Q", 8, "the header") if self._big else self._first()
        pages: list[Page] = []
        seen: set[int] = set()
        while at:
            if at in seen or len(pages) == _MOST_PAGES:
                raise FormatError(f"{self.name}: its directories run in a circle, or are more than {_MOST_PAGES}. It is damaged.")
            seen.add(at)
            tags, at = self._directory(at, len(pages) + 1)
            pages.append(Page(self, len(pages), tags))
        if not pages:
            raise FormatError(f"{self.name}: has no image; it is cut short or damaged.")
        return pages

    def _first(self) -> tuple[Any, ...]:
        return self.content.unpack(f"{self.order}I", 4, "the header")

    def _directory(self, at: int, number: int) -> tuple[dict[int, tuple[int, int, int]], int]:
        """Tags of the directory at byte `at` as code → (type, count, place of the values), and the place of the next one."""
        what, width = f"directory {number}", 8 if self._big else 4
        (n,) = self.content.unpack(self.order + ("Q" if self._big else "H"), at, what)
        if not 0 < n <= _MOST_TAGS:
            raise FormatError(f"{self.name}: {what} has {n} tags; expected 1 to {_MOST_TAGS}. The file is damaged.")
        word = f"{self.order}u{width}"
        layout = np.dtype([("code", f"{self.order}u2"), ("type", f"{self.order}u2"), ("count", word), ("value", word)])
        first = at + (8 if self._big else 2)
        entries = self.content.raw(first, n * layout.itemsize, what)
        tags: dict[int, tuple[int, int, int]] = {}
        for i, (code, kind, count, value) in enumerate(np.frombuffer(entries, layout).tolist()):
            size = count * np.dtype(_KINDS.get(kind, "u1")).itemsize * (2 if kind in _PAIRS else 1)
            inline = first + (i + 1) * layout.itemsize - width
            tags.setdefault(code, (kind, count, inline if size <= width else value))
        (following,) = self.content.unpack(self.order + ("Q" if self._big else "I"), first + n * layout.itemsize, what)
        return tags, int(following)


def is_tiff(head: bytes) -> bool:
    """Whether the first bytes are those of TIFF or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
