"""The blocks of a Renishaw WDF file: header, spectral axis, place of every spectrum, map area; every size is checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io._bytes import Bytes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = 512
_BLOCK = 16
_AREA = 64
_ORIGIN = 24
SINGLE, SERIES, MAPPING = 1, 2, 3  # what was measured
RANDOM, LINE = 1, 128  # flags of the map area
X, Y, Z, TEMPERATURE, PRESSURE, TIME, POLARISATION, FOCUS = 3, 4, 5, 9, 10, 11, 13, 14  # what a list of places holds

_UNITS = {0: "arbitrary", 1: "1/cm", 3: "nm", 4: "eV", 5: "um", 6: "counts", 7: "electrons", 8: "mm", 9: "m", 10: "K"}
_UNITS |= {11: "Pa", 12: "s", 13: "ms", 17: "intensity", 18: "relative intensity", 19: "degrees", 21: "degrees C"}
_SCANS = (
    *("unspecified", "static", "continuous", "step and repeat", "filter scan", "filter image"),
    *("StreamLine", "StreamLine HR", "point detector"),
)
_KINDS = ("unspecified", "single", "series", "map")


@dataclass(frozen=True, slots=True)
class Header:
    """Block WDF1: how many spectra of how many points, what was measured, and the laser line in nm (None: not stated)."""

    points: int
    capacity: int
    count: int
    accumulations: int
    lists: int
    kind: int
    unit: int
    laser: float | None
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Places:
    """One list of block ORGN: a value for each spectrum. `primary` lists are what the measurement steps through."""

    kind: int
    unit: str
    primary: bool
    values: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Area:
    """Block WMAP along (x, y, z): first place, step, number; in the unit of the lists X and Y."""

    flags: int
    first: tuple[float, float, float]
    step: tuple[float, float, float]
    number: tuple[int, int, int]


class File:
    """An opened file: its blocks by name, the first of each name."""

    def __init__(self, path: Path) -> None:
        self.bytes, self.path, self.name = Bytes(path), path, path.name
        self.blocks = _blocks(self.bytes)
        self.header = self._header()

    def _body(self, name: str) -> tuple[int, int]:
        """Where the content of a block begins, and its length."""
        if name not in self.blocks:
            raise FormatError(
                f"{self.name}: has no block {name!r}, only {', '.join(self.blocks)}. It is cut short or damaged; copy it again."
            )
        at, size = self.blocks[name]
        return at + _BLOCK, size - _BLOCK

    def _header(self) -> Header:
        b = self.bytes
        tracks, _, points = b.unpack("<III", 0x34, "the header (WDF1)")
        capacity, count = b.unpack("<QQ", 0x40, "the header (WDF1)")
        accumulations, rows, axis, lists = b.unpack("<IIII", 0x50, "the header (WDF1)")
        scan, kind = b.unpack("<II", 0x80, "the header (WDF1)")
        unit, wavenumber = b.unpack("<If", 0x98, "the header (WDF1)")
        if tracks > 1 or rows > 1 or axis != points or points < 1:
            raise FormatError(
                f"{self.name}: the header declares {points} points, an axis of {axis}, {rows} rows and {tracks} tracks for each "
                "spectrum; ssbmaps reads spectra that share one axis. Export images and tracks separately from WiRE."
            )
        if not 0 < count <= capacity:
            raise FormatError(
                f"{self.name}: the header says that {count} of {capacity} spectra were measured; nothing can be read. "
                "The file is damaged, or the measurement never began."
            )
        known = math.isfinite(wavenumber) and wavenumber > 0
        version = b.unpack("<4H", 0x78, "the header (WDF1)")
        metadata = {
            "title": b.text(0xF0, 160, "the title"),
            "application": f"{b.text(0x60, 24, 'the application')} {'.'.join(map(str, version))}",
            "measurement": _named(_KINDS, kind),
            "scan": _named(_SCANS, scan),
            "accumulations": accumulations,
            "spectra_planned": capacity,
            "spectra_measured": count,
        }
        if known:
            metadata["laser_wavenumber"] = decimal(wavenumber)
        laser = 1e7 / wavenumber if known else None
        return Header(points, capacity, count, accumulations, lists, kind, unit, laser, metadata)

    def comment(self) -> str:
        """The text that the user or a wizard left, or nothing."""
        return self.bytes.text(*self._body("TEXT"), "block TEXT") if "TEXT" in self.blocks else ""

    def axis(self) -> tuple[NDArray[np.float64], str]:
        """The spectral axis and its unit."""
        at, size = self._body("XLST")
        if size < 8 + 4 * self.header.points:
            raise FormatError(f"{self.name}: block XLST has {size} bytes; {self.header.points} points need more. It is damaged.")
        _, unit = self.bytes.unpack("<II", at, "block XLST")
        values = self.bytes.array("<f4", self.header.points, at + 8, "the spectral axis (XLST)")
        with np.errstate(invalid="ignore"):
            return values.astype(np.float64), _UNITS.get(unit, f"unit code {unit}")

    def spectra(self, *, view: bool) -> NDArray[np.float32]:
        """(measured spectra, points), a view into the file or read in one piece, which is faster."""
        at, size = self._body("DATA")
        count, points = self.header.count, self.header.points
        if size < 4 * count * points:
            raise FormatError(
                f"{self.name}: block DATA has {size} bytes; {count} spectra of {points} points need {4 * count * points}. "
                "The file is damaged; copy or export it again."
            )
        stored = np.asarray(self.bytes.array("<f4", count * points, at, "the spectra (DATA)")) if view else None
        values = np.fromfile(self.path, "<f4", count * points, offset=at) if stored is None else stored
        return values.astype(np.float32, copy=False).reshape(count, points)

    def places(self) -> dict[int, Places]:
        """The lists of block ORGN by what they hold, as far as spectra were measured."""
        if "ORGN" not in self.blocks and self.header.lists == 0:
            return {}
        at, size = self._body("ORGN")
        (lists,) = self.bytes.unpack("<I", at, "block ORGN")
        each, rest = divmod(size - 4, lists) if lists else (0, 0)
        if lists != self.header.lists or rest or each < _ORIGIN + 8 * self.header.count or each % 8:
            raise FormatError(
                f"{self.name}: block ORGN declares {lists} lists in {size} bytes, the header {self.header.lists} lists for "
                f"{self.header.count} spectra; these do not fit together. The file is damaged."
            )
        return dict(self._place(at + 4 + i * each) for i in reversed(range(lists)))

    def _place(self, at: int) -> tuple[int, Places]:
        coded, unit = self.bytes.unpack("<II", at, "a list of block ORGN")
        kind = coded & 0x7FFFFFFF
        stored = self.bytes.array("<u8" if kind == TIME else "<f8", self.header.count, at + _ORIGIN, "a list of block ORGN")
        return kind, Places(kind, _UNITS.get(unit, f"unit code {unit}"), coded >> 31 == 1, np.array(stored))

    def area(self) -> Area | None:
        """The map area, if the file has one."""
        if "WMAP" not in self.blocks:
            return None
        at, size = self._body("WMAP")
        if size < _AREA - _BLOCK:
            raise FormatError(f"{self.name}: block WMAP has {size} bytes, expected {_AREA - _BLOCK}. The file is damaged.")
        flags, _, *rest = self.bytes.unpack("<II3f3f3I", at, "block WMAP")
        first, step, number = (tuple(rest[i : i + 3]) for i in (0, 3, 6))
        if min(number) < 1 or not np.isfinite((*first, *step)).all():
            raise FormatError(f"{self.name}: block WMAP declares {number} places in steps of {step}; no map has these.")
        return Area(flags, _decimals(first), _decimals(step), number)

    def picture(self) -> bytes:
        """The white-light image as stored, a JPEG."""
        return self.bytes.raw(*self._body("WHTL"), "block WHTL")


def _blocks(data: Bytes) -> dict[str, tuple[int, int]]:
    """Name → (offset, size). The blocks must follow each other up to the end of the file."""
    found: dict[str, tuple[int, int]] = {}
    at = 0
    while at < len(data):
        raw, _, size = data.unpack("<4sIQ", at, "the head of a block")
        name = raw.decode("latin-1").strip()
        if size < _BLOCK or not name.isprintable() or (at == 0 and (name, size) != ("WDF1", HEADER)):
            raise FormatError(
                f"{data.name}: at byte {at} a block {name!r} of {size} bytes is declared; that is none. It is cut short or "
                "damaged; copy or export it again."
            )
        data.need(at, size, f"block {name!r}")
        found.setdefault(name, (at, size))
        at += size
    return found


def _named(names: tuple[str, ...], code: int) -> str:
    return names[code] if code < len(names) else f"code {code}"


def decimal(value: float) -> float:
    """The shortest decimal number that a 32-bit float stands for: 2.6, not 2.5999999."""
    return float(str(np.float32(value)))


def _decimals(values: tuple[float, ...]) -> tuple[float, float, float]:
    x, y, z = map(decimal, values)
    return x, y, z
