"""Text files of instruments: decoded whichever way they were saved, and blocks of numbers read fast and checked."""

from __future__ import annotations

import codecs
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _held
from ssbmaps.io._decimals import row_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_GZIP = b"\x1f\x8b"
_MOST = 100  # gzip packs numbers as text about 3 to 10 times; what unpacks to more is no export
_PIECE = 1 << 20


def head(path: Path, size: int = 4096) -> bytes:
    """The first bytes, unpacked if the file is gzip; for `sniff`, so it never raises."""
    raw = _held.head(path, max(size, 4096))
    if not raw.startswith(_GZIP):
        return raw[:size]
    try:
        return zlib.decompressobj(31).decompress(raw, size)
    except zlib.error:
        return b""


def head_text(path: Path, size: int = 4096) -> str:
    """The same as text; what is cut off in the middle is left out."""
    raw = head(path, size)
    return raw.decode(_encoding(raw), "replace")


def may_hold(path: Path, words: Sequence[str], size: int) -> bool:
    """Whether one of the `words`, in ASCII, can stand in the first bytes: a quick no for most files."""
    raw = head(path, size)
    return _encoding(raw) == "utf-16" or any(word.encode() in raw for word in words)


def is_binary(path: Path, size: int) -> bool:
    """Whether the first bytes hold a NUL, which no text does; UTF-16 does not count."""
    raw = head(path, size)
    return b"\0" in raw and _encoding(raw) != "utf-16"


def read_raw(path: Path) -> bytes:
    """The whole file as it is stored; gzip is unpacked."""
    held = _held.content(path)
    raw = path.read_bytes() if held is None else held
    return _unpack(raw, path.name) if raw.startswith(_GZIP) else raw


def read_bytes(path: Path) -> bytes:
    """The same without a mark of its encoding; UTF-16 becomes UTF-8."""
    raw = read_raw(path)
    if _encoding(raw) == "utf-16":
        return decode(raw, path.name).encode()
    return raw.removeprefix(codecs.BOM_UTF8)


def read_text(path: Path) -> str:
    """The whole file as text: UTF-8 (with or without mark), UTF-16 with mark, else Latin-1; gzip is unpacked."""
    return decode(read_raw(path), path.name)


def decode(raw: bytes, name: str) -> str:
    """`raw` as text, whichever way it was saved."""
    encoding = _encoding(raw)
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        if encoding.startswith("utf-16"):
            raise FormatError(f"{name}: begins as UTF-16 and is not; it is cut short or damaged.") from None
        return raw.decode("latin-1")


def pairs(lines: Iterable[str], mark: str = "") -> dict[str, str]:
    """What stands before and behind the first "=" of each line; `mark` is what the lines begin with."""
    split = (line.removeprefix(mark).partition("=") for line in lines)
    return {name.strip(): value.strip() for name, sign, value in split if sign}


def _encoding(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8-sig" if raw.startswith(codecs.BOM_UTF8) else "utf-8"


def pieces(path: Path, size: int = 1 << 23) -> Iterator[bytes]:
    """The file in pieces of whole lines, about `size` bytes each; gzip is unpacked. The last one may lack its line end."""
    rest = b""
    for block in _blocks(path, size):
        end = block.rfind(b"\n") + 1
        if end:
            yield rest + block[:end] if rest else block[:end]
        rest = block[end:] if end else rest + block
    if rest:
        yield rest


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    size = max(min(size, path.stat().st_size), 1)
    with _held.opened(path) as handle:
        raw = handle.read(size)
        if raw.startswith(_GZIP):
            yield from _inflate(raw + handle.read(), path.name, max(size, _PIECE))
            return
        while raw:
            yield raw
            raw = handle.read(size)


def _unpack(raw: bytes, name: str) -> bytes:
    return b"".join(_inflate(raw, name, _PIECE))


def _inflate(raw: bytes, name: str, size: int) -> Iterator[bytes]:
    """What `raw` unpacks to, `size` bytes at a time; a letter once it is too much to be an export."""
    unpacker, left = zlib.decompressobj(31), _MOST * len(raw)
    try:
        while not unpacker.eof:
            block = unpacker.decompress(raw, size)
            raw, left = unpacker.unconsumed_tail, left - len(block)
            if left < 0:
                raise FormatError(
                    f"{name}: unpacks to more than {_MOST} times its size; that is no measurement. It is not unpacked."
                )
            if block:
                yield block
            elif not unpacker.eof:
                raise FormatError(f"{name}: the gzip file is cut short; copy it again.")
    except zlib.error as error:
        raise FormatError(f"{name}: gzip cannot unpack it ({error}); it is damaged, copy it again.") from None
    if unpacker.unused_data.strip(b"\0"):
        raise FormatError(f"{name}: holds more than one packed part; unpack it yourself and give the text file.")


def numbers(
    lines: Sequence[str], *, columns: int, subject: str, first_line: int, separator: str | None = "\t", decimal: str = "."
) -> NDArray[np.float64]:
    """(lines, columns) numbers; FormatError with the line (from `first_line`, as an editor counts) that does not hold them.

    `separator` None is any white space. A field that is empty is an error: missing is not zero.
    """
    if not lines:
        return np.empty((0, columns))
    quick = None
    if separator is None:
        quick = _quick(" ".join(lines), " ", decimal)
    elif all(line.count(separator) == columns - 1 for line in lines):
        quick = _quick(separator.join(lines), separator, decimal)
    if quick is not None and len(quick) == len(lines) * columns:
        return quick.reshape(len(lines), columns)
    rows = [
        row_of(line, columns, f"{subject}: line {first_line + i}", separator, decimal) for i, line in enumerate(lines)
    ]  # the slow road finds the fault
    return np.array(rows, np.float64)


def _quick(text: str, separator: str, decimal: str) -> NDArray[np.float64] | None:
    """All numbers of `text`, or None if something in it is none, or is missing."""
    if decimal != ".":
        text = text.replace(decimal, ".")
    if separator != " ":  # of white space numpy takes any number as one separator, of commas it does not
        text, separator = text.replace(separator, ","), ","
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read: Any = np.fromstring
            values: NDArray[np.float64] = read(text, np.float64, sep=separator)
        except (DeprecationWarning, ValueError):
            return None
    return values
