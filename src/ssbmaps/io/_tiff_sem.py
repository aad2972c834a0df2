"""What electron microscopes write into their TIFF files: pixel size, height of the info bar, beam energy, settings."""

from __future__ import annotations

import itertools
import math
import os
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssbmaps._errors import FormatError
from ssbmaps.io._lines import read_text
from ssbmaps.io._pixels import Length, Stated, length
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from ssbmaps.io._tiff_file import Page

ZEISS, FEI, TESCAN = 34118, (34680, 34682), 50431
_TESCAN_BLOCKS = {2: "MAIN", 3: "SEM", 4: "GAMA", 5: "FIB"}
_MOST_TEXT = 1 << 22  # bytes of a text file beside the image
_ZEISS_NAME = re.compile(r"[A-Z]{2}_[A-Z0-9_]+")
_VALUE = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(\S*)")


@dataclass(frozen=True, slots=True)
class Microscope:
    """What a microscope says of its image; `rows` of it are the scan, below lies the info bar (None: no bar is stated)."""

    maker: str
    stated: Stated
    rows: int | None
    beam_energy: float | None  # eV
    metadata: dict[str, Any] = field(default_factory=dict)


def recognise(page: Page, path: Path) -> Microscope | None:
    """The microscope whose tags the page has, or whose text file lies beside it."""
    if ZEISS in page:
        return _zeiss(page)
    if any(code in page for code in FEI):
        return _fei(page)
    if TESCAN in page:
        return _tescan(page, _blocks(page.raw(TESCAN), page.order))
    return _beside(page, path)


def _zeiss(page: Page) -> Microscope:
    """Unnamed numbers, then names each followed by "label = value unit". The fourth number is the pixel's size in m if the
    image had 1024 columns, as on the microscope's display; the stated field of view must agree.
    """
    lines = page.text(ZEISS).splitlines()
    named: dict[str, str] = {}
    for name, value in itertools.pairwise(lines):
        if _ZEISS_NAME.fullmatch(name.strip()):
            named[name.strip()] = value.strip()
    unit = _number(lines[3] if len(lines) > 3 else "")
    columns = page.shape[1]
    size = None if unit is None else _metres(unit * 1024 / columns)
    if size is None and "AP_IMAGE_PIXEL_SIZE" in named:
        size = _with_unit(named["AP_IMAGE_PIXEL_SIZE"])
    width = _with_unit(named.get("AP_WIDTH", ""))
    stated = Stated(pixel=(size, size), extent=(None, width))
    energy = _VALUE.match(named.get("AP_ACTUALKV", "").rpartition("=")[2])
    factor = {"kv": 1e3, "v": 1.0}.get(energy[2].lower()) if energy else None
    volts = _number(energy[1]) if energy else None
    return Microscope("Zeiss", stated, None, volts * factor if volts and factor else None, public(named))


def _fei(page: Page) -> Microscope:
    """Sections of "name=value" in SI units; the image has more rows than the scan if an info bar was saved with it."""
    code = next(c for c in FEI if c in page)
    sections = _sections(page.text(code))
    scan, image = sections.get("Scan", {}), sections.get("Image", {})
    beam = sections.get("Beam", {}).get("Beam", "EBeam")
    own = sections.get(sections.get("Beam", {}).get("Scan", "EScan"), {})
    size = [_metres(_number(scan.get(n) or own.get(n, ""))) for n in ("PixelHeight", "PixelWidth")]
    rows, columns, _ = page.shape
    scanned = _whole(image.get("ResolutionY", "")), _whole(image.get("ResolutionX", ""))
    bar = scanned[0] is not None and scanned[1] == columns and 0 < scanned[0] < rows
    field_of_view = [_metres(_number(scan.get(n, ""))) for n in ("VerFieldsize", "HorFieldsize")]
    whole = scanned == (rows, columns) or bar
    extent = (None, field_of_view[1]) if whole else (None, None)
    stated = Stated(pixel=(size[0], size[1]), extent=extent)
    energy = _number(sections.get(beam, {}).get("HV", "")) or _number(sections.get("Beam", {}).get("HV", ""))
    return Microscope("FEI/Thermo", stated, scanned[0] if bar else None, energy, public(sections))


def _blocks(raw: bytes, order: str) -> dict[str, dict[str, str]]:
    """Tescan's tag: blocks of size (from the type on), type and text; or one text with the names of the sections in it."""
    sections: dict[str, dict[str, str]] = {}
    at = 0
    while at + 6 <= len(raw):
        size, kind = struct.unpack_from(f"{order}IH", raw, at)
        if size < 2 or at + 4 + size > len(raw):
            break
        if kind in _TESCAN_BLOCKS:
            text = raw[at + 6 : at + 4 + size].decode("utf-8", "replace")
            sections[_TESCAN_BLOCKS[kind]] = _sections(text).get("", {})
        at += 4 + size
    if "MAIN" in sections or b"[MAIN]" not in raw:
        return sections
    return _sections(raw[raw.index(b"[MAIN]") :].decode("utf-8", "replace"))


def _tescan(page: Page, sections: dict[str, dict[str, str]]) -> Microscope:
    """Sections of "name=value" in SI units; `ImageStripSize` rows below are the info bar."""
    main = sections.get("MAIN", {})
    size = [_metres(_number(main.get(n, ""))) for n in ("PixelSizeY", "PixelSizeX")]
    strip = _whole(main.get("ImageStripSize", "")) or 0
    rows = page.shape[0] - strip if 0 < strip < page.shape[0] else None
    energy = _number(sections.get("SEM", {}).get("HV", "")) or _number(main.get("HV", ""))
    return Microscope("Tescan", Stated(pixel=(size[0], size[1])), rows, energy, public(sections))


def _beside(page: Page, path: Path) -> Microscope | None:
    """JEOL and Hitachi write a text file, Tescan a header file, with the name of the image."""
    stem = str(path.with_suffix(""))
    for name in (s + e for s in (stem, f"{stem}-tif") for e in (".txt", ".TXT", ".Txt", ".hdr", ".HDR")):
        if os.path.isfile(name) and 0 < (place := Path(name)).stat().st_size <= _MOST_TEXT:  # noqa: PTH113  a Path costs more
            try:
                text = read_text(place)
            except FormatError:
                continue
            if "$CM_FORMAT" in text or "$$SM_MICRON_BAR" in text:
                return _jeol(page, text)
            if text.lstrip().startswith("[SemImageFile]"):
                return _hitachi(page, text)
            if "PixelSizeX=" in text and "[MAIN]" in text:
                return _tescan(page, _sections(text))
    return None


def _jeol(page: Page, text: str) -> Microscope:
    """Lines "$NAME value": a bar of SM_MICRON_BAR pixels stands for SM_MICRON_MARKER; CM_FULL_SIZE is columns, rows."""
    pairs = (line.strip().lstrip("$").partition(" ") for line in text.splitlines() if line.strip().startswith("$"))
    named = {name: value.strip() for name, _, value in pairs}
    bar, marker = _number(named.get("SM_MICRON_BAR", "")), _with_unit(named.get("SM_MICRON_MARKER", ""))
    size = Length(marker.um / bar, f"{marker.text} / {bar:g}") if marker and marker.um and bar and bar > 0 else None
    full = [_whole(v) for v in named.get("CM_FULL_SIZE", "").split()]
    rows = full[1] if len(full) == 2 and full[0] == page.shape[1] and full[1] and full[1] < page.shape[0] else None
    volts = _number(named.get("CM_ACCEL_VOLT", ""))
    return Microscope("JEOL", Stated(pixel=(size, size)), rows, volts * 1e3 if volts else None, public(named))


def _hitachi(page: Page, text: str) -> Microscope:
    """Section [SemImageFile]: PixelSize in nm, AcceleratingVoltage in V, DataSize columns x rows."""
    named = _sections(text).get("SemImageFile", {})
    size = length(named.get("PixelSize", ""), "nm", default="nm") if named.get("PixelSize") else None
    full = [_whole(v) for v in named.get("DataSize", "").lower().split("x")]
    rows = full[1] if len(full) == 2 and full[0] == page.shape[1] and full[1] and full[1] < page.shape[0] else None
    volts = _VALUE.match(named.get("AcceleratingVoltage", ""))
    energy = _number(volts[1]) if volts and volts[2].lower() in ("volt", "v") else None
    return Microscope("Hitachi", Stated(pixel=(size, size)), rows, energy, public(named))


def _sections(text: str) -> dict[str, dict[str, str]]:
    """INI text: section → name → value."""
    sections: dict[str, dict[str, str]] = {}
    current = sections.setdefault("", {})
    for line in text.splitlines():
        stripped = line.strip()
        if stripped[:1] == "[" and stripped[-1] == "]":
            current = sections.setdefault(stripped[1:-1], {})
            continue
        name, sign, value = stripped.partition("=")
        if sign:
            current[name.rstrip()] = value.lstrip()
    return {name: entries for name, entries in sections.items() if entries}


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _whole(text: str) -> int | None:
    return int(text) if text.strip().isascii() and text.strip().isdigit() and len(text.strip()) < 10 else None


def _metres(value: float | None) -> Length | None:
    return None if value is None else length(repr(value), "m", default="m")


def _with_unit(text: str) -> Length | None:
    """A length such as "Width = 5.965 um" or "10um", or None."""
    found = _VALUE.match(text.rpartition("=")[2])
    return length(found[1], found[2], default="") if found else None
