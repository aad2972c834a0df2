"""A VAMAS file line by line: numbered fields with letters that name them, and blocks of numbers read in one go."""

from __future__ import annotations

import math
import mmap
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _held
from ssbmaps.io._lines import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MISSING = 1e37  # stands for a number that nobody knew
_PIECE = 1 << 20
_SHORT = 1 << 17  # bytes, looked through at once: the places of line ends take eight times as many at most
_BLANK = " \t\r\0\ufeff"
_WHOLE = b"0123456789- \t\r\n"
_EXACT = 1 << 53  # whole numbers below are exact as floats
_AHEAD = 80  # lines decoded at once: about one header of a block


class CutShortError(FormatError):
    """The file ends before what its header promises; complete blocks before it can be used."""


class Lines:
    """The lines of a file in turn; a line without its end does not count, since it may have been cut."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        held = _held.content(path)
        self._data = _mapped(path) if held is None else held
        self.size = len(self._data)
        self._ends = self._line_ends()
        self.number = 0  # lines read so far
        self._ahead: list[str] = []
        self._ahead_from = 0

    def __len__(self) -> int:
        return len(self._ends)

    def _line_ends(self) -> NDArray[Any]:
        if self.size <= _SHORT:
            return np.flatnonzero(np.frombuffer(self._data, np.uint8) == ord("\n"))
        count = sum(int(np.count_nonzero(piece == ord("\n"))) for _, piece in self._pieces())
        ends = np.empty(count, np.uint32 if self.size < 2**32 else np.int64)
        filled = 0
        for begin, piece in self._pieces():
            here = np.flatnonzero(piece == ord("\n"))
            ends[filled : filled + len(here)] = here + begin
            filled += len(here)
        return ends

    def _pieces(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for begin in range(0, self.size, _PIECE):
            yield begin, np.frombuffer(self._data[begin : begin + _PIECE], np.uint8)

    def _bytes(self, first: int, stop: int) -> bytes:
        """Lines `first` to `stop` − 1 with their ends."""
        begin = int(self._ends[first - 1]) + 1 if first else 0
        return self._data[begin : int(self._ends[stop - 1]) + 1] if stop > first else b""

    def rest(self) -> str:
        """What stands behind the lines read so far, at most a few lines of it."""
        begin = int(self._ends[self.number - 1]) + 1 if self.number else 0
        return _decode(self._data[begin : begin + 400]).strip()

    def peek(self, count: int) -> list[str]:
        """The next `count` lines as they are (fewer at the end of the file); they stay to be read."""
        stop = min(self.number + count, len(self._ends))
        at = self.number - self._ahead_from
        if at < 0 or self._ahead_from + len(self._ahead) < stop:
            last = min(self.number + max(count, _AHEAD), len(self._ends))
            self._ahead, self._ahead_from, at = _decoded(self._bytes(self.number, last)), self.number, 0
        return self._ahead[at : stop - self._ahead_from]

    def text(self, what: str) -> str:
        """The next line, without white space and NUL around it."""
        at = self.number - self._ahead_from
        if not 0 <= at < len(self._ahead):
            self.need(1, what)
            self.peek(_AHEAD)
            at = 0
        self.number += 1
        return self._ahead[at].strip(_BLANK)

    def texts(self, names: Sequence[str]) -> list[str]:
        """The next lines, one for each of the `names`."""
        at = self.number - self._ahead_from
        stop = at + len(names)
        if at < 0 or stop > len(self._ahead):  # one by one, so that a letter names the first that is missing
            return [self.text(name) for name in names]
        self.number += len(names)
        return [line.strip(_BLANK) for line in self._ahead[at:stop]]

    def need(self, count: int, what: str) -> None:
        """Raise unless `count` more lines follow."""
        if count < 0 or self.number + count > len(self._ends):
            raise CutShortError(
                f"{self.name}: {what} should take {count} lines after line {self.number}; the file has {len(self._ends)}. "
                "It is cut short or its header is damaged; copy or export it again."
            )

    def skip(self, count: int, what: str) -> None:
        """Pass over `count` lines."""
        self.need(count, what)
        self.number += count

    def integer(self, what: str, *, low: int = 0) -> int:
        """The next line as a whole number of at least `low`."""
        value = self.real(what)
        if not (value.is_integer() and value >= low):
            raise self.wrong(what, f"a whole number of {low} or more")
        return int(value)

    def real(self, what: str) -> float:
        """The next line as a number."""
        try:
            value = float(self.text(what))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(what, "a number")
        return value

    def wrong(self, what: str, expected: str) -> FormatError:
        """The letter for the line just read."""
        self.number -= 1
        said = self.text(what)
        return FormatError(f"{self.name}: line {self.number}, {what}, is {said[:60]!r}; expected {expected}.")

    def values(self, first: int, count: int) -> NDArray[np.float64]:
        """`count` lines from `first`, one number each; 1E37 becomes NaN. FormatError with the line that holds none."""
        found = self.joined([(first, count)])
        if found is not None:
            return found
        rows = [line.replace("\r", "") for line in _decoded(self._bytes(first, first + count))]
        found = numbers(rows, columns=1, subject=self.name, first_line=first + 1, separator=None)[:, 0]
        if not np.isfinite(found).all():
            bad = first + 1 + int(np.argmin(np.isfinite(found)))
            raise FormatError(f"{self.name}: line {bad} is no finite number; VAMAS writes 1E37 for a missing one.")
        return _missing(found)

    def joined(self, spans: Sequence[tuple[int, int]]) -> NDArray[np.float64] | None:
        """The numbers of many ranges (first line, count), one after another; None if one of them holds anything else."""
        raw = b"".join(self._bytes(first, first + count) for first, count in spans)
        total = sum(count for _, count in spans)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                return _missing(_numbers(raw, total))
            except (DeprecationWarning, ValueError):
                return None


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as handle:
        return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)


def _numbers(raw: bytes, total: int) -> NDArray[np.float64]:
    """The `total` numbers of `raw`, all finite, or a ValueError; whole numbers, as counts are, are read four times as fast."""
    read: Any = np.fromstring
    if not raw.translate(None, _WHOLE) and b"-0" not in raw:
        whole: NDArray[np.int64] = read(raw, np.int64, sep=" ")
        if len(whole) == total > 0 and whole.min() > -_EXACT and whole.max() < _EXACT:
            return whole.astype(np.float64)
    found: NDArray[np.float64] = read(raw, np.float64, sep=" ")
    if len(found) != total or not np.isfinite(found).all():
        raise ValueError
    return found


def _missing(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1E37 as NaN."""
    unknown = values >= MISSING * (1 - 1e-6)
    if unknown.any():
        values[unknown] = np.nan
    return values


def _decoded(raw: bytes) -> list[str]:
    """The lines of `raw`, which ends with a line end; each by itself where not all of them are UTF-8."""
    try:
        return raw.decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError:
        return [_decode(line) for line in raw.split(b"\n")[:-1]]


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
