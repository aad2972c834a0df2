"""A file of moderate size is read once: for the formats that look at its beginning, for its reader, and for its checksum."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from ssbmaps import _provenance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

_MODERATE = 1 << 20  # bytes; the checksum of a longer file is made in a thread while its reader works


@dataclass(frozen=True, slots=True)
class _Held:
    """What is known of the file that is being read: the content of a moderate one, the checksum to come of a longer one."""

    path: Path
    content: bytes | None
    checksum: Future[str] | None


_NOW: ContextVar[_Held | None] = ContextVar("held", default=None)


@contextmanager
def held(path: Path, size: int | None) -> Iterator[None]:
    """Hold the file of `size` bytes while it is looked at and read; a folder (None) is not held."""
    if size is None or size >= _MODERATE:
        yield
        return
    token = _NOW.set(_Held(path, path.read_bytes(), None))
    try:
        yield
    finally:
        _NOW.reset(token)


@contextmanager
def hashed_ahead(path: Path, size: int | None) -> Iterator[None]:
    """Let the checksum of a long file be made in a thread while the file is read; `sha256` will be asked for it at the end."""
    if size is None or size < _MODERATE:
        yield
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        token = _NOW.set(_Held(path, None, pool.submit(_provenance.file_sha256, path)))
        try:
            yield
        finally:
            _NOW.reset(token)


def _of(path: Path) -> _Held | None:
    now = _NOW.get()
    return now if now is not None and (now.path is path or now.path == path) else None


def content(path: Path) -> bytes | None:
    """The whole file, if it is held."""
    now = _of(path)
    return None if now is None else now.content


def opened(path: Path) -> BinaryIO:
    """The file to read from, whether it is held or not."""
    whole = content(path)
    return path.open("rb") if whole is None else io.BytesIO(whole)


def head(path: Path, size: int) -> bytes:
    """The first bytes."""
    whole = content(path)
    if whole is not None:
        return whole[:size]
    with path.open("rb") as handle:
        return handle.read(size)


def sha256(path: Path) -> str:
    """The checksum of the file."""
    now = _of(path)
    if now is None:
        return _provenance.file_sha256(path)
    return now.checksum.result() if now.checksum is not None else hashlib.sha256(now.content or b"").hexdigest()
