"""WITec's "Graph ASCII": a header, the axis and the values in three files that lie beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssbmaps._errors import Faults, FormatError
from ssbmaps.io import _decimals, _dense, _lines, _pixels
from ssbmaps.io._witec_map import axis_unit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MARK = "[Header]"
_PART = "(Header)"


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says: number of pixels and channels, units, size of the scan."""

    fields: Mapping[str, str]
    nx: int
    ny: int
    channels: int
    axis_unit: str
    data_unit: str
    stated: _pixels.Stated


def is_header(text: str) -> bool:
    """Whether `text` begins as the header file does."""
    lines = [line.strip() for line in text.splitlines()[:16]]
    return MARK in lines[:2] and any(line.replace(" ", "").startswith("SizeGraph=") for line in lines)


def header(path: Path) -> Header:
    """The header, checked: all its faults in one letter."""
    fields = _lines.pairs(_lines.read_text(path).splitlines())
    sizes = {"SizeX": 1, "SizeY": 1, "SizeGraph": 0}
    with Faults(path.name, FormatError) as faults:
        for name in sizes:
            text = fields.get(name, "")
            sizes[name] = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
            faults.expect(sizes[name] > 0, f"{name} is {text!r}; expected a number of 1 or more.")
        faults.expect("XAxisUnit" in fields, "XAxisUnit, the unit of the spectral axis, is missing.")
    nx, ny = sizes["SizeX"], sizes["SizeY"]
    unit = fields.get("ScanUnit", "")
    pixel = (_pixel(fields, "ScanHeight", ny, unit), _pixel(fields, "ScanWidth", nx, unit))
    stated = _pixels.Stated(pixel=pixel)
    unit = axis_unit(fields["XAxisUnit"], subject=path.name)
    return Header(fields, nx, ny, sizes["SizeGraph"], unit, fields.get("DataUnit", ""), stated)


def _pixel(fields: Mapping[str, str], name: str, n: int, unit: str) -> _pixels.Length | None:
    """Size of the scan / number of pixels."""
    if name not in fields:
        return None
    try:
        return _pixels.length(str(_decimals.value_of(fields[name], "") / n), unit, default="")
    except FormatError:
        return _pixels.Length(None, f"{fields[name]} {unit}")


def numbers(path: Path, known: Header) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The axis, and (pixels, channels) values in the order of the file: x fastest."""
    values_path = _beside(path, "(Y-Axis)")
    size = values_path.stat().st_size
    shape = (known.ny, known.nx, known.channels)
    _dense.check_declared(shape, 8, file_size=size, subject=path.name, what="the map (SizeY x SizeX x SizeGraph)")
    values = _column(values_path, known.ny * known.nx * known.channels, "SizeY x SizeX x SizeGraph")
    return axis(path, known), values.reshape(-1, known.channels)


def axis(path: Path, known: Header) -> NDArray[np.float64]:
    """The spectral axis."""
    return _column(_beside(path, "(X-Axis)"), known.channels, "SizeGraph")


def _column(path: Path, n: int, what: str) -> NDArray[np.float64]:
    values = _decimals.table(_lines.read_bytes(path), 1, subject=path.name, first_line=1)[:, 0]
    if len(values) != n:
        raise FormatError(f"{path.name}: holds {len(values)} numbers, and the header says {n} ({what}). Export the map again.")
    return values


def _beside(path: Path, part: str) -> Path:
    """The file of another part, e.g. "map (X-Axis).txt" beside "map (Header).txt"."""
    other = path.with_name(path.name.replace(_PART, part))
    if _PART not in path.name or not other.is_file():
        raise FormatError(
            f"{path.name}: is the header of an export in three files, whose names end in (Header), (X-Axis) and (Y-Axis). "
            f"{other.name if _PART in path.name else f'A file with {part} in its name'} is not there; put it beside the header."
        )
    return other
