"""The 40 numbered parts of a VAMAS block as ISO 14976 lists them, and what is kept of each block."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ssbmaps._errors import FormatError
from ssbmaps.io._vamas_header import ELECTRON, IMAGES, ION, POINTWISE, SPUTTERED
from ssbmaps.io._vamas_lines import MISSING

if TYPE_CHECKING:
    from collections.abc import Mapping

TECHNIQUE = 9  # number of the part; it decides which of the later ones there are
# The parts of a block by their prefix number; parts 8, 11, 32 and 40 have a length of their own.
_DATE = ("year", "month", "day", "hour", "minute", "second", "hours in advance of GMT")
PARTS: tuple[tuple[int, tuple[str, ...]], ...] = (
    *((i + 1, (name,)) for i, name in enumerate(_DATE)),
    (8, ()),
    (9, ("technique",)),
    (10, ("x coordinate", "y coordinate")),
    (11, ()),
    (12, ("analysis source label",)),
    (13, ("sputtering species atomic number", "atoms in the sputtering particle", "sputtering charge")),
    (14, ("analysis source energy",)),
    (15, ("analysis source strength",)),
    (16, ("analysis source beam width x", "analysis source beam width y")),
    (17, ("field of view x", "field of view y")),
    (
        18,
        (
            "first linescan start x",
            "first linescan start y",
            "first linescan finish x",
            "first linescan finish y",
            "last linescan finish x",
            "last linescan finish y",
        ),
    ),
    (19, ("analysis source polar angle of incidence",)),
    (20, ("analysis source azimuth",)),
    (21, ("analyser mode",)),
    (22, ("analyser pass energy, retard ratio or mass resolution",)),
    (23, ("differential width",)),
    (24, ("magnification of the transfer lens",)),
    (25, ("analyser work function or acceptance energy",)),
    (26, ("target bias",)),
    (27, ("analysis width x", "analysis width y")),
    (28, ("take-off polar angle", "take-off azimuth")),
    (29, ("species",)),
    (30, ("transition", "charge of the detected particle")),
    (31, ("abscissa label", "abscissa units", "abscissa start", "abscissa increment")),
    (32, ()),
    (33, ("signal mode",)),
    (34, ("signal collection time",)),
    (35, ("number of scans",)),
    (36, ("signal time correction",)),
    (
        37,
        (
            "sputtering energy",
            "sputtering beam current",
            "sputtering width x",
            "sputtering width y",
            "sputtering polar angle of incidence",
            "sputtering azimuth",
            "sputtering mode",
        ),
    ),
    (38, ("sample tilt polar angle", "sample tilt azimuth")),
    (39, ("sample rotation angle",)),
    (40, ()),
)


PLACE = PARTS[9][1]

# What is kept of each block; everything else of the first block goes into the metadata.
KEPT = (
    "technique",
    "analysis source energy",
    *PARTS[16][1],
    *PARTS[17][1],
    "species",
    "transition",
    *PARTS[30][1],
    "signal mode",
)


@dataclass(frozen=True, slots=True)
class Fields:
    """What blocks often have in common: fields as text, and label and unit of the corresponding variables."""

    said: Mapping[str, str]
    variables: tuple[tuple[str, str], ...]

    @property
    def technique(self) -> str:
        """As the standard spells it."""
        return self.said["technique"]

    def real(self, name: str) -> float | None:
        """A field as a number; None if it is absent or missing (1E37)."""
        try:
            value = float(self.said.get(name, ""))
        except ValueError:
            return None
        return value if abs(value) < MISSING * (1 - 1e-6) else None

    def ordinal(self, name: str, subject: str) -> int:
        """A field that counts pixels from 1."""
        value = self.real(name)
        if value is None or not value.is_integer():
            raise FormatError(f"{subject}: {name} is {self.said.get(name, '')[:40]!r}; expected a whole number.")
        return int(value)


@dataclass(slots=True)
class Block:
    """One block. Lean, because a map has one for each pixel."""

    number: int
    identifier: str
    sample: str
    fields: Fields
    place: tuple[int, int] | None  # (y, x) from 1, MAP and MAPDP
    values: tuple[float, ...]  # of the experimental variables, NaN if missing
    count: int  # complete sets of ordinates
    extremes: tuple[float, ...]  # lowest and highest of each corresponding variable
    first: int  # line of the first ordinate


@dataclass(frozen=True, slots=True)
class First:
    """Everything that the first block says: later blocks may leave it out."""

    said: Mapping[str, str]
    values: tuple[float, ...]
    variables: tuple[tuple[str, str], ...]
    comment: tuple[str, ...]
    parameters: tuple[tuple[str, str, str], ...]


def present(number: int, mode: str, scan: str, technique: str) -> bool:
    """Whether the standard has this part at all, in this mode and for this technique."""
    match number:
        case 10:
            return mode in POINTWISE
        case 13:
            return mode in SPUTTERED or technique in ION
        case 17:
            return mode in POINTWISE or mode in IMAGES
        case 18:
            return mode in IMAGES
        case 23:
            return technique == "AES diff"
        case 31:
            return scan == "REGULAR"
        case 37:
            return mode in SPUTTERED and technique in ELECTRON
    return True


@lru_cache(maxsize=256)
def runs(
    half: int, technique: str, mode: str, scan: str, included: tuple[bool, ...] | None
) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """The parts that a block has up to its technique (`half` 0) or after it, in order, with their fields.

    Neighbours that are read alike are one, by the number of the first: the date, and what seldom differs between blocks.
    `included` says which parts there are, None all.
    """
    found = list[tuple[int, tuple[str, ...]]]()
    for part, names in PARTS[TECHNIQUE:] if half else PARTS[:TECHNIQUE]:
        if (included is None or included[part]) and (not names or present(part, mode, scan, technique)):
            first, before = found[-1] if found else (part, ())
            if names and before and (part < 7 or first > 11):
                found[-1] = (first, before + names)
            else:
                found.append((part, names))
    return tuple(found)
