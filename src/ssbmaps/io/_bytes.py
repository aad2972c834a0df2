"""A binary file in memory, read by field names: every length is compared with the file before anything is made of it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _held

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray


class Bytes:
    """The content of `path`, held or mapped, and not copied. Offsets are absolute; `what` names the field in the letter."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        held = _held.content(path)
        if held is None and path.stat().st_size:
            self.data: NDArray[np.uint8] = np.asarray(np.memmap(path, np.uint8, "r"))
        else:
            self.data = np.frombuffer(held or b"", np.uint8)

    def __len__(self) -> int:
        return len(self.data)

    def need(self, at: int, size: int, what: str) -> None:
        """Raise unless `size` bytes from `at` lie in the file."""
        if at < 0 or size < 0 or at + size > len(self.data):
            raise FormatError(
                f"{self.name}: {what} should be {size} bytes from byte {at}; the file has {len(self.data)} bytes. "
                "It is cut short or damaged; copy or export it again."
            )

    def raw(self, at: int, size: int, what: str) -> bytes:
        """`size` bytes from `at`."""
        self.need(at, size, what)
        return self.data[at : at + size].tobytes()

    def unpack(self, layout: str, at: int, what: str) -> tuple[Any, ...]:
        """Fields by `struct` layout, e.g. "<4sIq"."""
        return struct.unpack(layout, self.raw(at, struct.calcsize(layout), what))

    def array(self, dtype: DTypeLike, count: int, at: int, what: str) -> NDArray[Any]:
        """`count` values from `at`, a view into the file."""
        kind = np.dtype(dtype)
        self.need(at, int(count) * kind.itemsize, f"{what} ({count} values of {kind.itemsize} bytes)")
        return self.data[at : at + int(count) * kind.itemsize].view(kind)

    def text(self, at: int, size: int, what: str) -> str:
        """A fixed-length text field up to its first NUL: UTF-8, else Latin-1."""
        raw = self.raw(at, size, what).partition(b"\0")[0]
        try:
            return raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            return raw.decode("latin-1").strip()
