"""What the imzML header means: array types, grid and pixels, settings, polarity; every fault with its spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults, FormatError
from ssbmaps.io._imzml_xml import NEGATIVE, POSITIVE, RawHeader, Section, Term, read_xml
from ssbmaps.io._pixels import Length, Stated, in_um, length, parse_tilt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

MZ, INTENSITY = "MS:1000514", "MS:1000515"
_DTYPES = {
    "MS:1000521": "<f4",
    "MS:1000523": "<f8",
    "MS:1000519": "<i4",
    "MS:1000522": "<i8",
    "IMS:1000141": "<i4",
    "IMS:1000142": "<i8",
    "IMS:1100000": "<i1",
    "IMS:1100001": "<i2",
}
_ZLIB = "MS:1000574"
_REFUSED = {"IMS:1005001": "xz", "MS:1002312": "numpress", "MS:1002313": "numpress", "MS:1002314": "numpress"}
_SECONDARY_IONS = "MS:1000402"
_OTHER_SOURCES = {"MS:1000075": "MALDI", "MS:1000073": "electrospray", "MS:1000393": "laser desorption", "MS:1002011": "DESI"}
_COUNTS = ("IMS:1000042", "IMS:1000043")  # max count of pixels x, y
_EXTENTS = ("IMS:1000045", "IMS:1000044")  # max dimension y, x
_PIXELS = ("IMS:1000047", "IMS:1000046")  # pixel size y, x
_TRAVELLING = {"IMS:1001202": "beam_energy", "IMS:1001207": "primary_ion_fluence"}
_USER_TERMS = ("preparation", "sampling_depth", "removed_depth", "acquired_order", "beam_energy", "primary_ion_fluence")
_STAGE = {"IMS:1000054": "stage_y", "IMS:1000053": "stage_x"}  # absolute position offset
_SHOWN = 5  # spectra named one by one in a message
_MAX_EMPTY_GRID = 10**8


@dataclass(frozen=True, slots=True)
class ArrayColumns:
    """The m/z (or intensity) array of every spectrum: byte offset, values, bytes as stated (−1: not), and its type."""

    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    encoded: NDArray[np.int64]
    code: NDArray[np.int64]
    types: tuple[tuple[np.dtype[Any], bool], ...]  # (dtype, zlib) of each code

    @property
    def width(self) -> NDArray[np.int64]:
        """Bytes of one value of each array."""
        return np.array([t.itemsize for t, _ in self.types], np.int64)[self.code]

    @property
    def deflated(self) -> NDArray[np.bool_]:
        """Which arrays are zlib streams."""
        return np.array([z for _, z in self.types], bool)[self.code]

    def stored_bytes(self, limit: int) -> NDArray[np.int64]:
        """Bytes of each array in the file; a length beyond `limit` counts as `limit`, so that nothing overflows."""
        return np.where(self.deflated, np.minimum(self.encoded, limit), np.minimum(self.length, limit) * self.width)

    def take(self, index: NDArray[Any]) -> ArrayColumns:
        """The same columns of some spectra."""
        return ArrayColumns(self.offset[index], self.length[index], self.encoded[index], self.code[index], self.types)


@dataclass(frozen=True, slots=True)
class Grid:
    """Zero-based pixel (z, y, x) of every spectrum, the map's shape (ny, nx), and the z positions that occur."""

    z: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    shape: tuple[int, int]
    planes: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Header:
    """An imzML header, understood. `raw` keeps the XML's own terms."""

    name: str
    raw: RawHeader
    mode: str
    polarity: str | None
    technique: str
    counts: tuple[int | None, int | None]  # max count of pixels (y, x)
    stated: Stated
    uuid: str
    checksums: dict[str, str]
    notes: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of spectra."""
        return len(self.raw.ids)

    def label(self, index: int) -> str:
        """How a message names one spectrum: its place in the file, its id, its pixel."""
        x, y, _ = self.raw.positions[index]
        pixel = f"pixel x={x:.0f}, y={y:.0f}" if np.isfinite([x, y]).all() else "no pixel"
        return f"spectrum {index + 1} (id {self.raw.ids[index]!r}, {pixel})"


def read_header(path: Path) -> Header:
    """Parse and interpret; FormatError where the header contradicts itself in a way that no option can settle."""
    raw = read_xml(path)
    with Faults(path.name, FormatError) as faults:
        faults.expect(bool(raw.ids), "holds no spectrum; expected one per pixel inside <spectrumList>.")
        both = {POSITIVE, NEGATIVE}
        polarities = {t.accession for s in raw.of("fileContent") for t in s.terms if t.accession in both} | raw.polarities
        faults.expect(len(polarities) < 2, "holds spectra of positive and of negative polarity; export one file for each.")
        counts = tuple(_count(raw, accession, faults) for accession in _COUNTS)
    content = {t.accession: t.value for s in raw.of("fileContent") for t in s.terms}
    notes = list(raw.notes)
    if raw.declared_count not in (None, len(raw.ids)):
        notes.append(f"the header announces {raw.declared_count} spectra, the file holds {len(raw.ids)}.")
    sources = {t.accession for s in raw.sections for t in s.terms}
    other = sources & set(_OTHER_SOURCES)
    return Header(
        name=path.name,
        raw=raw,
        mode="continuous" if "IMS:1000030" in content else "processed" if "IMS:1000031" in content else "undeclared",
        polarity=None if not polarities else "positive" if polarities == {POSITIVE} else "negative",
        technique="imaging-ms" if other and _SECONDARY_IONS not in sources else "tof-sims",
        counts=(counts[1], counts[0]),
        stated=_stated(raw, path.name),
        uuid=content.get("IMS:1000080", ""),
        checksums={n: content[a] for a, n in (("IMS:1000091", "sha1"), ("IMS:1000090", "md5")) if content.get(a)},
        notes=tuple(notes),
    )


def _everywhere(raw: RawHeader, accession: str) -> list[tuple[Section, Term]]:
    """Terms with `accession` in the scan settings, or failing that anywhere in the head; one per section."""
    head = [s for s in raw.sections if s.tag != "referenceableParamGroup"]
    for sections in ([s for s in head if s.tag == "scanSettings"], head):
        found = [(s, term) for s in sections if (term := s.value(accession)) is not None]
        if found:
            return found
    return []


def _count(raw: RawHeader, accession: str, faults: Faults) -> int | None:
    found = _everywhere(raw, accession)
    values: dict[str, str] = {}
    for section, term in found:
        values.setdefault(term.value.strip(), section.id)
    name = "max count of pixels x" if accession == _COUNTS[0] else "max count of pixels y"
    said = " and ".join(f"{v!r} in {s!r}" for v, s in values.items())
    if not faults.expect(len(values) < 2, f"scan settings contradict each other on {name}: {said}. Keep the one that holds."):
        return None
    try:
        count = int(float(next(iter(values)))) if values else None
    except (ValueError, OverflowError):
        count = -1
    faults.expect(count is None or count > 0, f"{name} is {said}; expected a whole number of 1 or more.")
    return count


def _stated(raw: RawHeader, name: str) -> Stated:
    """Pixel size and extent with their own units; tilt and preparation from userParams of these names."""
    user = _user_terms(raw)
    tilt = None
    if "tilt" in user:
        try:
            tilt = parse_tilt(float(user["tilt"]), subject=name)
        except ValueError:
            raise FormatError(f"{name}: userParam 'tilt' is {user['tilt']!r}; expected degrees above 0, at most 90.") from None
    pixel_y, pixel_x = (_length(raw, accession) for accession in _PIXELS)
    if pixel_x is not None and (pixel_y is None or not _is_number(raw, _PIXELS[0])):
        pixel_y = pixel_x  # the standard: x alone holds for both; the accession of y once meant "image shape"
    extents = [_length(raw, accession) for accession in _EXTENTS]
    return Stated((pixel_y, pixel_x), (extents[0], extents[1]), tilt, user.get("preparation", ""))


def _is_number(raw: RawHeader, accession: str) -> bool:
    return any(term.value.strip()[:1].isdigit() or term.value.strip()[:1] in "+-." for _, term in _everywhere(raw, accession))


def _length(raw: RawHeader, accession: str) -> Length | None:
    """A length in its own unit, um if it has none; contradicting scan settings make it unusable, and say so."""
    lengths = {(made := length(t.value, t.unit, default="um")).um: (made, s.id) for s, t in _everywhere(raw, accession)}
    if len(lengths) > 1:
        return Length(None, " and ".join(f"{made.text} in {where!r}" for made, where in lengths.values()))
    return next(iter(lengths.values()))[0] if lengths else None


def array_columns(header: Header, role: str) -> ArrayColumns:
    """Columns of the m/z or the intensity arrays; FormatError if a spectrum has none or two, or a type cannot be read."""
    raw, name = header.raw, "m/z" if role == MZ else "intensity"
    with Faults(header.name, FormatError) as faults:
        mine = np.array([role in kind for kind in raw.kinds], bool)[raw.array_kind]
        per_spectrum = np.bincount(raw.array_spectrum[mine], minlength=header.size)
        for index in np.flatnonzero(per_spectrum != 1)[:_SHOWN]:
            faults.expect(False, f"{header.label(index)} has {per_spectrum[index]} {name} arrays; expected one.")
        more = int(np.count_nonzero(per_spectrum != 1)) - _SHOWN
        faults.expect(more <= 0, f"and {more} more spectra with other than one {name} array.")
        used = {int(k) for k in np.unique(raw.array_kind[mine])}
        types = {k: _array_type(raw.kinds[k], name, faults) for k in sorted(used)}
    rows = np.flatnonzero(mine)
    rows = rows[np.argsort(raw.array_spectrum[rows], kind="stable")]
    numbers = {k: i for i, k in enumerate(types)}
    code = np.array([numbers[int(k)] for k in raw.array_kind[rows]], np.int64)
    offset, count, encoded = raw.array_range[rows].T
    return ArrayColumns(offset.copy(), count.copy(), encoded.copy(), code, tuple(types.values()))


def _array_type(kind: tuple[str, ...], name: str, faults: Faults) -> tuple[np.dtype[Any], bool]:
    dtypes = sorted({_DTYPES[a] for a in kind if a in _DTYPES})
    refused = [_REFUSED[a] for a in kind if a in _REFUSED]
    found = " and ".join(dtypes) if dtypes else "none of the known ones"
    faults.expect(
        len(dtypes) == 1,
        f"the type of the {name} arrays is stated as {found}; expected one of 32/64-bit float or 8/16/32/64-bit integer.",
    )
    faults.expect(not refused, f"the {name} arrays are compressed by {', '.join(refused)}; expected zlib or no compression.")
    return np.dtype(dtypes[0] if dtypes else "<f8"), _ZLIB in kind


def grid(header: Header) -> Grid:
    """The pixel of every spectrum; FormatError that names every fault of the coordinates at once."""
    with Faults(header.name, FormatError) as faults:
        position = header.raw.positions
        for axis in range(3):
            _axis_faults(header, axis, position[:, axis], (*header.counts[::-1], None)[axis], faults)
        _duplicate_faults(position, faults)
    z = np.where(np.isfinite(position[:, 2]), position[:, 2], 1).astype(np.int64)
    planes, iz = np.unique(z, return_inverse=True)
    x, y = (position[:, axis].astype(np.int64) - 1 for axis in (0, 1))
    ny, nx = (count or int(values.max()) + 1 for count, values in zip(header.counts, (y, x), strict=True))
    if ny * nx > max(_MAX_EMPTY_GRID, 1000 * header.size):
        raise FormatError(
            f"{header.name}: announces {ny} x {nx} pixels for {header.size} spectra; that is no raster. "
            "Correct max count of pixels x and y."
        )
    return Grid(iz.astype(np.int64), y, x, (ny, nx), planes)


def _axis_faults(header: Header, axis: int, values: NDArray[np.float64], count: int | None, faults: Faults) -> None:
    """What is wrong with the positions along x (0), y (1) or z (2); z may be absent, but then in every spectrum."""
    name, finite, unreadable = "xyz"[axis], np.isfinite(values), header.raw.unreadable
    known = values[finite]
    needed = axis < 2 or bool((known != 1).any()) or any(a == axis for _, a in unreadable)
    if needed:
        _each(header, ~finite, faults, lambda i: f"has no usable position {name} ({unreadable.get((i, axis), 'absent')!r})")
    _each(header, finite & (values != np.floor(values)), faults, lambda i: f"has position {name} {values[i]:g}, no whole number")
    _each(header, values < 0, faults, lambda i: f"has position {name} {values[i]:g}, below 1")
    if count is not None:
        beyond = finite & (values > count)
        _each(header, beyond, faults, lambda i: f"has position {name} {values[i]:g}, beyond max count of pixels {name} = {count}")
    zeros = int(np.count_nonzero(values == 0))
    if zeros and axis < 2:
        faults.expect(
            False,
            f"position {name} is 0 in {zeros} spectra and runs from {known.min():g} to {known.max():g}; imzML counts pixels "
            f"from 1. Add 1 to position {name} in the exporter.",
        )


def _each(header: Header, mask: NDArray[np.bool_], faults: Faults, text: Callable[[int], str]) -> None:
    """Name the first few spectra in `mask`, and how many more there are."""
    for index in np.flatnonzero(mask)[:_SHOWN]:
        faults.expect(False, f"{header.label(int(index))} {text(int(index))}.")
    more = int(np.count_nonzero(mask)) - _SHOWN
    faults.expect(more <= 0, f"and {more} more spectra like the last one.")


def _duplicate_faults(position: NDArray[np.float64], faults: Faults) -> None:
    rows = np.flatnonzero(np.isfinite(position[:, :2]).all(axis=1))
    keys = np.where(np.isfinite(position[rows]), position[rows], 1)
    _, inverse, count = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    doubled = np.flatnonzero(count > 1)
    for pixel in doubled[:_SHOWN]:
        same = rows[np.flatnonzero(inverse.ravel() == pixel)]
        x, y = position[same[0], :2]
        named = ", ".join(str(i + 1) for i in same[:_SHOWN])
        faults.expect(False, f"pixel x={x:g}, y={y:g} holds {len(same)} spectra ({named}); expected one.")
    faults.expect(len(doubled) <= _SHOWN, f"and {len(doubled) - _SHOWN} more pixels with several spectra.")


def _user_terms(raw: RawHeader) -> dict[str, str]:
    """userParams of the file, the sample and the scan settings, by name in lower case."""
    sections = [s for s in raw.sections if s.tag in ("fileContent", "sample", "scanSettings")]
    return {t.name.strip().lower(): t.value for s in sections for t in s.terms if not t.accession and t.value.strip()}


def travelling_terms(header: Header) -> dict[str, Any]:
    """Preparation and dose as text under the contract's attribute names, and stage_y, stage_x in um, where stated."""
    user = _user_terms(header.raw)
    found: dict[str, Any] = {key: user[key] for key in _USER_TERMS if key in user}
    for section in header.raw.sections:
        for term in section.terms:
            if term.accession in _TRAVELLING and term.value.strip():
                found[_TRAVELLING[term.accession]] = f"{term.value} {term.unit_name}".strip()
            if term.accession in _STAGE and (um := in_um(term.value, term.unit, default="um")) is not None:
                found[_STAGE[term.accession]] = um
    return found


def metadata(header: Header) -> dict[str, Any]:
    """The head's terms for `original_metadata`; contact persons and folders of the export are left out."""
    sections = [
        {"element": s.tag, "id": s.id, "terms": [[t.accession, t.name, t.value, t.unit_name] for t in s.terms]}
        for s in header.raw.sections
        if s.terms and s.tag not in ("contact", "referenceableParamGroup")
    ]
    return {"format": "imzML", "mode": header.mode, "spectra": header.size, "sections": sections}
