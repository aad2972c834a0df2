"""Reads the XML half of imzML in one streaming pass: terms by accession, spectra as columns; no meaning yet.

Names are never compared, only accessions, because exporters misspell names. A document type or entity declaration is
refused: imzML needs none, and entities are how a small file becomes a large one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.parsers import expat

import numpy as np

from ssbmaps._errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

POSITIVE, NEGATIVE = "MS:1000130", "MS:1000129"
_POSITIONS = {"IMS:1000050": 0, "IMS:1000051": 1, "IMS:1000052": 2}
_EXTERNAL = {"IMS:1000102": 0, "IMS:1000103": 1, "IMS:1000104": 2}  # offset, array length, encoded length
_LOWEST, _HIGHEST = "MS:1000528", "MS:1000527"  # observed m/z
_ABSENT, _UNREADABLE = -1, -2
_INVALID_TOKEN = 4  # expat's code; also what Latin-1 bytes in a file declared as UTF-8 give


@dataclass(frozen=True, slots=True)
class Term:
    """One cvParam, or a userParam (accession empty), as written."""

    accession: str
    name: str
    value: str
    unit: str  # accession, or the name where there is none
    unit_name: str


@dataclass(slots=True)
class Section:
    """One element of the file's head with its terms, group references resolved."""

    tag: str
    id: str
    terms: list[Term]

    def value(self, accession: str) -> Term | None:
        """The last term with `accession`, or None."""
        return next((t for t in reversed(self.terms) if t.accession == accession), None)


@dataclass(slots=True)
class RawHeader:
    """What the XML says, in the order in which it says it. Spectra and their arrays are columns."""

    sections: list[Section] = field(default_factory=list)
    groups: dict[str, Section] = field(default_factory=dict)
    declared_count: int | None = None
    ids: list[str] = field(default_factory=list)
    positions: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))  # x, y, z; NaN where absent
    unreadable: dict[tuple[int, int], str] = field(default_factory=dict)  # (spectrum, axis) → the position as written
    array_spectrum: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    array_kind: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    array_range: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 3), np.int64))  # offset, length, encoded
    kinds: list[tuple[str, ...]] = field(default_factory=list)  # accessions that describe an array, groups resolved
    polarities: set[str] = field(default_factory=set)
    observed: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)

    def of(self, tag: str) -> list[Section]:
        """All sections with `tag`, in file order."""
        return [s for s in self.sections if s.tag == tag]


def read_xml(path: Path) -> RawHeader:
    """Parse the whole .imzML; FormatError with the line where it is no XML."""
    try:
        return _Builder(path, None).run()
    except _LatinOneError:
        header = _Builder(path, "iso-8859-1").run()
        header.notes.append("the text is not in the encoding that the file declares; it was read as ISO-8859-1.")
        return header


class _LatinOneError(Exception):
    """The bytes do not fit the declared encoding."""


class _Builder:
    """Handlers for expat. Head: a stack of sections. Spectra: no stack, since their accessions are unambiguous."""

    def __init__(self, path: Path, encoding: str | None) -> None:
        self._path = path
        self._encoding = encoding
        self._parser = expat.ParserCreate(encoding)
        self._parser.StartElementHandler = self._head
        self._parser.EndElementHandler = self._end
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._header = RawHeader()
        self._stack: list[Section] = []
        self._open_refs: list[tuple[Section, str]] = []
        self._positions: list[list[float]] = []
        self._array_spectrum: list[int] = []
        self._array_key: list[list[str]] = []
        self._array_range: list[list[int]] = []
        self._array: list[int] | None = None  # offset, length, encoded length of the open binaryDataArray
        self._key: list[str] = []
        self._group_refs: set[str] = set()
        self._low, self._high = np.inf, -np.inf

    def run(self) -> RawHeader:
        try:
            with self._path.open("rb") as handle:
                self._parser.ParseFile(handle)
        except expat.ExpatError as error:
            if error.code == _INVALID_TOKEN and self._encoding is None and self._byte_at_error() >= 0x80:
                raise _LatinOneError from None
            raise FormatError(
                f"{self._path.name}: is not complete XML: {expat.ErrorString(error.code)} in line {error.lineno}, column "
                f"{error.offset + 1}. The file may be cut short; export or copy it again."
            ) from None
        except (LookupError, ValueError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{self._path.name}: its text encoding cannot be read ({error}); save it as UTF-8.") from None
        return self._finish()

    def _byte_at_error(self) -> int:
        with self._path.open("rb") as handle:
            handle.seek(max(self._parser.ErrorByteIndex, 0))
            return (handle.read(1) or b"\0")[0]

    def _refuse(self, *_: object) -> None:
        raise FormatError(f"{self._path.name}: declares a document type or an entity; imzML has none. Remove the <!DOCTYPE …>.")

    def _head(self, name: str, attrs: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if name in ("cvParam", "userParam"):
            if self._stack:
                self._stack[-1].terms.append(_term(attrs))
        elif name == "referenceableParamGroupRef":
            if self._stack:
                self._open_refs.append((self._stack[-1], attrs.get("ref", "")))
        elif name == "spectrumList":
            self._header.declared_count = _integer(attrs.get("count")) if "count" in attrs else None
            self._parser.EndElementHandler = None
            self._parser.StartElementHandler = self._body
        else:
            section = Section(name, attrs.get("id", attrs.get("name", "")), [])
            self._stack.append(section)
            self._header.sections.append(section)
            if name == "referenceableParamGroup":
                self._header.groups[section.id] = section

    def _end(self, name: str) -> None:
        if name.rpartition(":")[2] not in ("cvParam", "userParam", "referenceableParamGroupRef"):
            self._stack.pop()

    def _body(self, name: str, attrs: dict[str, str]) -> None:
        """One element inside spectrumList; the hot path of a large file."""
        if ":" in name:
            name = name.rpartition(":")[2]
        if name == "cvParam":
            self._body_term(attrs.get("accession", ""), attrs)
        elif name == "referenceableParamGroupRef":
            ref = attrs.get("ref", "")
            if self._array is None:
                self._group_refs.add(ref)
            else:
                self._key.append(f"@{ref}")
        elif name == "binaryDataArray":
            self._array, self._key = [_ABSENT] * 3, []
            self._array_spectrum.append(len(self._positions) - 1)
            self._array_range.append(self._array)
            self._array_key.append(self._key)
        elif name == "spectrum":
            self._array = None
            self._header.ids.append(attrs.get("id", ""))
            self._positions.append([np.nan] * 3)
        elif name == "chromatogramList":
            self._parser.StartElementHandler = None

    def _body_term(self, accession: str, attrs: dict[str, str]) -> None:
        if self._array is not None:
            slot = _EXTERNAL.get(accession)
            if slot is not None:
                self._array[slot] = _integer(attrs.get("value"))
                return
            if accession not in _POSITIONS:
                self._key.append(accession)
                return
        if accession in _POSITIONS:
            self._position(_POSITIONS[accession], attrs.get("value", ""))
        elif accession in (POSITIVE, NEGATIVE):
            self._header.polarities.add(accession)
        elif accession == _LOWEST:
            self._low = min(self._low, _number(attrs.get("value")))
        elif accession == _HIGHEST:
            self._high = max(self._high, _number(attrs.get("value")))

    def _position(self, axis: int, text: str) -> None:
        if not self._positions:
            return
        value = _number(text)
        self._positions[-1][axis] = value
        if not math.isfinite(value):
            self._header.unreadable[len(self._positions) - 1, axis] = text

    def _finish(self) -> RawHeader:
        header = self._header
        for section, ref in self._open_refs:
            group = header.groups.get(ref)
            if group is None:
                header.notes.append(f"<{section.tag}> refers to the group {ref!r}, which the file does not define.")
            else:
                section.terms.extend(group.terms)
        for ref in self._group_refs & set(header.groups):
            terms = header.groups[ref].terms
            header.polarities |= {t.accession for t in terms if t.accession in (POSITIVE, NEGATIVE)}
        header.positions = np.array(self._positions, np.float64).reshape(-1, 3)
        header.array_spectrum = np.array(self._array_spectrum, np.int64)
        header.array_range = np.array(self._array_range, np.int64).reshape(-1, 3)
        self._number_kinds()
        if self._low <= self._high < np.inf:
            header.observed = (float(self._low), float(self._high))
        return header

    def _number_kinds(self) -> None:
        """Give each distinct set of array terms a number, with its groups' terms resolved once."""
        header, numbers, kinds = self._header, dict[tuple[str, ...], int](), []
        for terms in self._array_key:
            kinds.append(numbers.setdefault(tuple(terms), len(numbers)))
        header.array_kind = np.array(kinds, np.int64)
        for number, key in enumerate(numbers):
            accessions: list[str] = []
            for entry in key:
                group = header.groups.get(entry[1:]) if entry.startswith("@") else None
                accessions += [t.accession for t in group.terms] if group else [entry]
                for term in group.terms if group else []:
                    if term.accession in _EXTERNAL:
                        slot, mine = _EXTERNAL[term.accession], header.array_kind == number
                        mine &= header.array_range[:, slot] == _ABSENT
                        header.array_range[mine, slot] = _integer(term.value)
            header.kinds.append(tuple(accessions))


def _term(attrs: dict[str, Any]) -> Term:
    unit_name = attrs.get("unitName", "")
    unit = attrs.get("unitAccession") or unit_name
    return Term(attrs.get("accession", ""), attrs.get("name", ""), attrs.get("value", ""), unit, unit_name)


def _integer(text: str | None) -> int:
    if text is None:
        return _ABSENT
    try:
        value = int(text)
    except ValueError:
        value = int(number) if (number := _number(text)).is_integer() else _UNREADABLE
    return value if 0 <= value < 2**62 else _UNREADABLE


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
