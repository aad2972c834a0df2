"""The header of a VAMAS file, in the order in which ISO 14976 fixes its lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssbmaps._errors import FormatError

if TYPE_CHECKING:
    from ssbmaps.io._vamas_lines import Lines

MAGIC = "VAMAS Surface Chemical Analysis Standard Data Transfer Format 1988 May 4"
END = "end of experiment"
POINTWISE = ("MAP", "MAPDP")  # a block for each pixel
IMAGES = ("MAPSV", "MAPSVDP", "SEM")  # an image in each block
SPUTTERED = ("MAPDP", "MAPSVDP", "SDP", "SDPSV")
MODES = (*POINTWISE, *IMAGES, "NORM", "SDP", "SDPSV", "NOEXP")
SCANS = ("REGULAR", "IRREGULAR", "MAPPING")
ION = ("FABMS", "FABMS energy spec", "ISS", "SIMS", "SIMS energy spec", "SNMS", "SNMS energy spec")
ELECTRON = ("AES diff", "AES dir", "EDX", "ELS", "UPS", "XPS", "XRF")
TECHNIQUES = {name.lower(): name for name in (*ELECTRON, *ION)}
NUMBERED = 40  # numbered parts of a complete block


@dataclass(frozen=True, slots=True)
class Head:
    """What holds for the whole experiment."""

    institution: str
    instrument: str
    experiment: str
    comment: tuple[str, ...]
    mode: str
    scan: str
    positions: int | None  # analysis positions, MAP and MAPDP
    full: tuple[int, int] | None  # discrete coordinates (y, x) of the full map
    variables: tuple[tuple[str, str], ...]  # label and unit
    included: tuple[bool, ...]  # by prefix number; [0] is not used
    upgrades: int  # lines of a future version in every block
    blocks: int


def header(lines: Lines) -> Head:
    magic = ""
    while not magic and lines.number < len(lines):  # some exporters write blank lines first
        magic = lines.text("format identifier")
    if magic != MAGIC:
        raise FormatError(f"{lines.name}: begins with {magic[:40]!r}; expected {MAGIC!r}.")
    institution, instrument, _operator, name = (
        lines.text(f"{what} identifier") for what in ("institution", "instrument model", "operator", "experiment")
    )
    comment = texts(lines, "comment")
    mode = _one_of(lines, "experiment mode", MODES)
    scan = _one_of(lines, "scan mode", SCANS)
    if (scan == "MAPPING") != (mode in IMAGES):
        raise FormatError(f"{lines.name}: experiment mode {mode} with scan mode {scan}; MAPPING belongs to {', '.join(IMAGES)}.")
    if mode in (*POINTWISE, "NORM", "SDP"):
        lines.integer("number of spectral regions")
    positions, full = None, None
    if mode in POINTWISE:
        positions = lines.integer("number of analysis positions", low=1)
        x, y = (lines.integer(f"number of discrete {c} coordinates in the full map", low=1) for c in "xy")
        full = (y, x)
    variables = pairs(lines, "experimental variable")
    included = _included(lines)
    lines.skip(lines.integer("number of manually entered items"), "the list of manually entered items")
    upgrades = lines.integer("number of future upgrade experiment entries")
    block_upgrades = lines.integer("number of future upgrade block entries")
    lines.skip(upgrades, "future upgrade experiment entries")
    blocks = lines.integer("number of blocks")
    lines.need(blocks, f"{blocks} blocks")
    return Head(institution, instrument, name, comment, mode, scan, positions, full, variables, included, block_upgrades, blocks)


def _one_of(lines: Lines, what: str, known: tuple[str, ...]) -> str:
    value = lines.text(what).upper()  # some exporters write "Regular"
    if value not in known:
        raise lines.wrong(what, f"one of {', '.join(known)}")
    return value


def texts(lines: Lines, what: str) -> tuple[str, ...]:
    count = lines.integer(f"number of {what} lines")
    lines.need(count, f"the {what}")
    return tuple(lines.texts([what] * count))


def pairs(lines: Lines, what: str, *, low: int = 0) -> tuple[tuple[str, str], ...]:
    count = lines.integer(f"number of {what}s", low=low)
    lines.need(2 * count, f"labels and units of {count} {what}s")
    said = lines.texts([f"{what} label", f"{what} unit"] * count)
    return tuple(zip(said[::2], said[1::2], strict=True))


def _included(lines: Lines) -> tuple[bool, ...]:
    """Which parts later blocks hold: a positive count lists those present, a negative one those left out."""
    what = "number of entries in the parameter inclusion or exclusion list"
    count = lines.integer(what, low=-NUMBERED)
    listed = {lines.integer("prefix number in the parameter inclusion or exclusion list", low=1) for _ in range(abs(count))}
    if listed and max(listed) > NUMBERED:
        raise FormatError(f"{lines.name}: prefix number {max(listed)} in the parameter list; expected 1 to {NUMBERED}.")
    return tuple((i in listed) if count > 0 else (i not in listed) for i in range(NUMBERED + 1))
