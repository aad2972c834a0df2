"""Streams an XML file to handlers, piece by piece; document types and entities are refused, and so is what is no XML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from xml.parsers import expat

from ssbmaps._errors import FormatError
from ssbmaps.io import _held

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_PIECE = 1 << 16
_NAMES = 1 << 10


class Target(Protocol):
    """What hears of the elements; names come without namespace prefix."""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""

    def end(self, name: str) -> None:
        """An element ends."""

    def data(self, text: str) -> None:
        """Text between tags, perhaps in several pieces."""


def walk(path: Path, target: Target, *, subject: str) -> None:
    """Feed `path` to `target`; FormatError with the line where it is no XML. Bytes that are no UTF-8 are read as Latin-1."""
    with _held.opened(path) as handle:
        declared = b"encoding" in handle.read(200).partition(b"?>")[0]
        handle.seek(0)
        encoding = None if declared else _encoding(handle)
        handle.seek(0)
        _feed(iter(lambda: handle.read(_PIECE), b""), target, encoding, subject)


def walk_text(text: str, target: Target, *, subject: str) -> None:
    """Feed XML that stands inside another file, whatever encoding it declares."""
    _feed([text.encode("utf-8", "replace")], target, "utf-8", subject)


def _feed(pieces: Iterable[bytes], target: Target, encoding: str | None, subject: str) -> None:
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    parser.buffer_size = _PIECE
    bare = _Bare()
    parser.StartElementHandler = lambda name, attributes: target.start(bare[name], attributes)
    parser.EndElementHandler = lambda name: target.end(bare[name])
    parser.CharacterDataHandler = target.data

    def refuse(*_: object) -> None:
        raise FormatError(
            f"{subject}: declares a document type or an entity; instrument files have none, and entities are how a small "
            "file becomes a large one. Remove the <!DOCTYPE …>."
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise FormatError(
            f"{subject}: is not complete XML: {expat.ErrorString(error.code)} in line {error.lineno}, column "
            f"{error.offset + 1}. The file may be cut short; export or copy it again."
        ) from None
    except LookupError as error:
        if type(error) is not LookupError:  # a fault of the target, not an unknown encoding
            raise
        raise FormatError(f"{subject}: its text encoding cannot be read ({error}); save it as UTF-8.") from None


class _Bare(dict[str, str]):
    """Names without their prefix, each worked out once; instrument files use few, and a damaged one shall not fill the memory."""

    def __missing__(self, name: str) -> str:
        bare = name.rpartition(":")[2]
        if len(self) < _NAMES:
            self[name] = bare
        return bare


def _encoding(handle: Any) -> str | None:
    """None if the file is UTF-8 or begins with a byte-order mark, else Latin-1."""
    import codecs

    if handle.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return None
    handle.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := handle.read(_PIECE):
            decoder.decode(piece)
    except UnicodeDecodeError:
        return "iso-8859-1"
    return None
