"""The table of an IONTOF depth profile: three header rows for the columns, then a row of numbers for each data point."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import Faults, FormatError
from ssbmaps.io import _decimals, _lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

POINT = "#Data Point"
_INTENSITY = ("intensity", "intensity (counts)", "counts")
_INFINITE = re.compile(rb"(?<=\t)[+-]?inf(?=[\t\n])", re.IGNORECASE)
_UNIT = re.compile(r"(?P<name>[^()]*?)\s*\((?P<unit>[^()]*)\)")
_TAKEN = ("", "scan", "fragment", "data_point", "total", "label", "mz")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Column:
    """One signal: its label as the file has it, m/z (NaN for N/A), and its place in the table."""

    place: int
    label: str
    mass: float
    unit: str

    @property
    def kind(self) -> str:
        """ "counts" of one mass interval; "sums" of several; "derived": ratios, and whatever is no intensity."""
        if self.unit.lower() not in _INTENSITY or "/" in self.label:
            return "derived"
        return "sums" if np.isnan(self.mass) else "counts"


@dataclass(frozen=True, slots=True)
class Scale:
    """What a data point has beside its signals, such as the sputter time: name, words and unit as the header has them."""

    place: int
    name: str
    long_name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Table:
    """All columns of a file, and (data point, column) its numbers; NaN where a derived one is infinite or no number."""

    comments: tuple[str, ...]
    scales: tuple[Scale, ...]
    columns: tuple[Column, ...]
    numbers: Floats
    shortened: bool  # an incomplete last line was left out


def parse(path: Path, *, skip_bad: bool) -> Table:
    """Read and check the whole file: fields in every row, finite numbers, data points and scales that rise."""
    raw = _lines.read_bytes(path).replace(b"\r\n", b"\n")
    header, begin = _header(path.name, raw)
    labels, masses, units = _fields(path.name, header[-3:])
    decimal = "," if any("," in m for m in masses) else "."
    scales, columns = _columns(path.name, labels, masses, units, decimal)
    body = raw[begin:].rstrip(b"\n") + b"\n" if raw.endswith(b"\n") else raw[begin:]
    shortened = skip_bad and not body.endswith(b"\n")
    if shortened:
        body = body[: body.rfind(b"\n") + 1]
    if header[-1].endswith("\t"):
        body = body.replace(b"\t\n", b"\n")
    if not body.strip():
        raise FormatError(f"{path.name}: holds no data points below its header. It is cut short; copy or export it again.")
    first_line = len(header) + 1
    finite = _INFINITE.sub(b"nan", body)
    numbers = _decimals.table(finite, len(labels), subject=path.name, first_line=first_line, decimal=decimal)
    _check_finite(path.name, body, numbers, columns, labels, units, first_line)
    _check_rising(path.name, numbers, scales, first_line)
    comments = tuple(line[1:].strip() for line in header[:-3])
    return Table(comments, scales, columns, numbers, shortened)


def _header(subject: str, raw: bytes) -> tuple[list[str], int]:
    """The lines that begin with "#", and where what follows them begins; the last three describe the columns."""
    lines: list[str] = []
    begin = 0
    while raw.startswith(b"#", begin) and not (lines and lines[-1].startswith(POINT)):
        end = raw.find(b"\n", begin) + 1 or len(raw)
        lines.append(_lines.decode(raw[begin:end], subject).rstrip("\n"))
        begin = end
    rows = [line.partition("\t")[0] for line in lines[-3:]]
    if len(rows) != 3 or rows[:2] != ["#", "#"] or not rows[2].startswith(POINT):
        raise FormatError(
            f"{subject}: the lines with # at its beginning end with {rows}; expected a row of labels and one of masses, both "
            f"with # in front, and one of units that begins with {POINT!r}. The file is cut short or damaged."
        )
    return lines, begin


def _fields(subject: str, rows: Sequence[str]) -> list[list[str]]:
    """Labels, masses and units of all columns."""
    fields = [[f.strip() for f in row.split("\t")] for row in rows]
    if len({len(f) for f in fields}) > 1:
        told = ", ".join(f"{len(f)} {name}" for f, name in zip(fields, ("labels", "masses", "units"), strict=True))
        raise FormatError(f"{subject}: the header has {told}; expected as many of each. The file is damaged; export it again.")
    if all(row.endswith("\t") for row in rows):  # SurfaceLab ends every row with a separator
        fields = [f[:-1] for f in fields]
    return fields


def _columns(
    subject: str, labels: Sequence[str], masses: Sequence[str], units: Sequence[str], decimal: str
) -> tuple[tuple[Scale, ...], tuple[Column, ...]]:
    """What each column but the first is; all faults of the header in one letter."""
    scales: list[Scale] = []
    columns: list[Column] = []
    with Faults(subject, FormatError) as faults:
        for place in range(1, len(labels)):
            label, mass, unit = labels[place], masses[place], units[place]
            if not label and not mass:
                scales.append(_scale(place, unit))
                taken = (*_TAKEN, *_INTENSITY, *(s.name for s in scales[:-1]))
                faults.expect(
                    scales[-1].name not in taken,
                    f"column {place + 1} has no label, and {unit!r} as its unit; expected a name of its own, as in "
                    "'Sputter Time (s)'.",
                )
            else:
                value = _mass(mass, decimal)
                faults.expect(value is not None, f"the mass of {label!r} is {mass!r}; expected a number above 0, or N/A.")
                columns.append(Column(place, label or f"m/z {mass}", value or np.nan, unit))
        faults.expect(bool(columns), "has no column of a signal: none has a label.")
    return tuple(scales), tuple(columns)


def _scale(place: int, text: str) -> Scale:
    """ "Sputter Time (s)" as sputter_time in s."""
    match = _UNIT.fullmatch(text)
    words, unit = (match["name"], match["unit"].strip()) if match else (text, "")
    return Scale(place, re.sub(r"\W+", "_", words.lower()).strip("_"), words.lower(), unit)


def _mass(text: str, decimal: str) -> float | None:
    """The number, NaN for N/A, None for anything else."""
    if text.upper() == "N/A":
        return float("nan")
    try:
        value = _decimals.value_of(text, "", decimal)
    except FormatError:
        return None
    return value if value > 0 else None


def _check_finite(
    subject: str,
    body: bytes,
    numbers: Floats,
    columns: Sequence[Column],
    labels: Sequence[str],
    units: Sequence[str],
    first_line: int,
) -> None:
    """Raise unless all but derived columns are finite; a letter says what stands there."""
    derived = [c.place for c in columns if c.kind == "derived"]
    bad = np.isnan(numbers)
    bad[:, derived] = False
    places = np.argwhere(bad)
    if not len(places):
        return
    rows = body.split(b"\n")
    with Faults(subject, FormatError) as faults:
        for row, column in places[:_SHOWN]:
            text = rows[row].split(b"\t")[column].decode("latin-1").strip()
            name = labels[column] or units[column]
            faults.expect(False, f"line {first_line + row} holds {text!r} for {name!r}; expected a finite number.")
        more = len(places) - _SHOWN
        faults.expect(more <= 0, f"{more} more such places. Only ratios may be infinite.")


def _check_rising(subject: str, numbers: Floats, scales: Sequence[Scale], first_line: int) -> None:
    """Raise unless data points are whole and rise, and no scale falls: sputtering does not go back."""
    with Faults(subject, FormatError) as faults:
        points = numbers[:, 0]
        odd = np.flatnonzero((points % 1 != 0) | (points < 0) | (points >= 2**53))
        if odd.size:
            row = int(odd[0])
            faults.expect(False, f"line {first_line + row}: the data point is {points[row]:.9g}; expected a whole number.")
        else:
            fall = _first_step(points, at_least=1)
            faults.expect(fall is None, f"line {first_line + (fall or 0)}: the number of the data point does not rise.")
        for scale in scales:
            fall = _first_step(numbers[:, scale.place], at_least=0)
            faults.expect(fall is None, f"line {first_line + (fall or 0)}: the {scale.long_name} falls; the file is damaged.")


def _first_step(values: Floats, *, at_least: float) -> int | None:
    """Row of the first value that is less than `at_least` above the one before it."""
    falls = np.flatnonzero(np.diff(values) < at_least)
    return int(falls[0]) + 1 if falls.size else None
