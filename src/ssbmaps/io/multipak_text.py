"""Text of PHI's MultiPak Exporter: Auger and XPS spectra and depth profiles of .spe and .pro files."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError
from ssbmaps.io import _dense, _lines, _report
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "PHI MultiPak text"
EXTENSIONS = (".txt",)
TECHNIQUE = "sam"
_MARK = re.compile(r"^//\s*Multipak Exporter", re.IGNORECASE | re.MULTILINE)
_SECTION = "//Area Comment,"
_SPECTRUM = ("Area Comment", "RegionNo", "AtomicName", "Area No", "XLabel", "YLabel", "DataCount")
_CYCLES = ("Area Comment", "RegionNo", "AtomicName", "Cycle", "XLabel", "YLabel", "DataCount")
_PROFILE = ("Area Comment", "AtomicName", "XLabel", "YLabel", "DataCount")
_AXES = {"kinetic energy": "kinetic_energy", "binding energy": "binding_energy"}
_UNITS = {"cps": "counts/s", "c/s": "counts/s", "counts": "counts"}
_TECHNIQUES = {"AES": "sam", "XPS": "xps", "ESCA": "xps"}
_ENERGY = re.compile(r"([\d.]+)\s*k(?:eV|V)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Section:
    """A region, or its profile: what its head says, and its rows as text."""

    said: dict[str, str]
    rows: Sequence[str]
    first: int  # line of the first row, as an editor counts
    separator: str
    columns: int  # besides the abscissa

    @property
    def profile(self) -> bool:
        """Whether it holds one value for each cycle."""
        return "RegionNo" not in self.said

    @property
    def name(self) -> str:
        """ "C1", or "Survey"."""
        return self.said["AtomicName"]

    def numbers(self, subject: str) -> NDArray[np.float64]:
        """(row, column), the abscissa first."""
        values = _lines.numbers(
            self.rows, columns=self.columns + 1, subject=subject, first_line=self.first, separator=self.separator
        )
        if not np.isfinite(values).all():
            raise FormatError(f"{subject}: the data of {self.name!r} from line {self.first} hold NaN or infinity.")
        return values


@dataclass(frozen=True, slots=True)
class _Export:
    header: dict[str, str]
    regions: dict[str, list[_Section]]
    profiles: dict[str, _Section]


def sniff(path: Path) -> bool:
    """Whether the exporter names itself in the first lines."""
    return bool(_MARK.search(_lines.head_text(path, 1000)))


def info(path: Path) -> dict[str, Any]:
    """Names and sizes of the regions; only ends of the axis are read."""
    export = _parse(path)
    names = list(export.regions)
    sections = export.regions[names[0]]
    axis, _ = _axis(path.name, sections[0])
    lead = _leading(sections)
    ends = [_lines.numbers([r], columns=sections[0].columns + 1, subject=path.name, first_line=0, separator=sections[0].separator)
            for r in (sections[0].rows[0], sections[0].rows[-1])]  # fmt: skip
    low, high = sorted(float(e[0, 0]) for e in ends)
    note = [f"dims, shape and axis are those of {names[0]!r}; dataset= chooses another."] if len(names) > 1 else []
    return _report.report(
        technique=_TECHNIQUES.get(export.header.get("Technique", ""), TECHNIQUE),
        dims=(*((lead[0],) if lead else ()), axis),
        shape=(*((lead[1],) if lead else ()), len(sections[0].rows)),
        axis_range=(low, high),
        datasets=(*names, *(("profile",) if export.profiles else ())),
        warnings=note,
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,  # noqa: ARG001  spectra have no pixels
    tilt: float | None = None,  # noqa: ARG001
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  a region that is not whole is refused
) -> xr.DataArray:
    """Read one region: (kinetic_energy,), (scan, kinetic_energy) of a depth profile, or (point, …) of several areas."""
    export = _parse(path)
    names = [*export.regions, *(("profile",) if export.profiles else ())]
    default = names[0] if len(export.regions) == 1 else None
    chosen = _report.choose(path.name, names, dataset, default=default)
    cycle_coords = _cycle_coords(path.name, export)
    if chosen == "profile" and "profile" not in export.regions:
        data, dims, coords, label = _profile(path.name, export)
    else:
        data, dims, coords, label = _region(path.name, export.regions[chosen])
    coords |= cycle_coords if "scan" in dims else {}
    if "scan" in dims and not cycle_coords:
        warnings.warn(
            f"{path.name}: holds no table of sputter times; the file may be cut short.", DataQualityWarning, stacklevel=3
        )
    name, unit = _label(label)
    energy = _ENERGY.match(export.header.get("EBeamEnergy", ""))
    found = _dense.Found(
        path=path,
        data=data,
        dims=dims,
        units=_UNITS.get(unit.lower(), "arbitrary"),
        long_name=name or "intensity",
        technique=_TECHNIQUES.get(export.header.get("Technique", ""), TECHNIQUE),
        metadata={"format": NAME, "file_type": export.header.get("FileType", ""), **public(export.header)},
        coords=coords,
        attrs={"beam_energy": 1e3 * float(energy[1])} if energy else {},
    )
    return _dense.array(found, arguments={"reader": "multipak_text", "dataset": dataset}, chunks=chunks)


def _parse(path: Path) -> _Export:
    text = _lines.read_text(path)
    if not text.endswith("\n"):
        raise FormatError(f"{path.name}: the last line has no line end: the file is cut short; export it again.")
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(_SECTION)]
    header: dict[str, str] = {}
    for line in lines[: starts[0] if starts else len(lines)]:
        key, colon, value = line.partition(":")
        if colon and not line.startswith("//"):
            header[key.strip()] = f"{header[key.strip()]}; {value.strip()}" if key.strip() in header else value.strip()
    kind = header.get("FileType", "")
    if kind not in ("SPECTRUM", "DEPTHPRO"):
        raise FormatError(
            f"{path.name}: FileType is {kind!r}; the layouts of 'SPECTRUM' and 'DEPTHPRO' are published, others are not. Export "
            "maps as one image for each line, and read their folder."
        )
    sections = [_section(path.name, lines, i, j) for i, j in zip(starts, [*starts[1:], len(lines)], strict=False)]
    regions: dict[str, list[_Section]] = {}
    for section in sections:
        if not section.profile:
            regions.setdefault(section.name, []).append(section)
    profiles = {s.name: s for s in sections if s.profile}
    _check(path.name, header, regions, profiles)
    return _Export(header, regions, profiles)


def _section(subject: str, lines: Sequence[str], start: int, stop: int) -> _Section:
    names = tuple(n.strip() for n in lines[start][2:].split(","))
    where = f"{subject}: the section at line {start + 1}"
    if names not in (_SPECTRUM, _CYCLES, _PROFILE):
        raise FormatError(f"{where} lists {', '.join(names)}; expected {', '.join(_SPECTRUM)} or those of a depth profile.")
    texts = [line.strip() for line in lines[start + 1 : start + 1 + len(names)]]
    said = dict(zip(names, texts, strict=False))
    count, first = said.get("DataCount", ""), start + 1 + len(names)
    if not (count.isascii() and count.isdigit() and 0 < int(count) <= stop - first):
        raise FormatError(
            f"{where} announces {count[:20]!r} rows; the file has {max(stop - first, 0)} lines there. It is cut short."
        )
    rows = lines[first : first + int(count)]
    rest = [line for line in lines[first + int(count) : stop] if line.strip()]
    if rest:
        raise FormatError(f"{where} announces {count} rows; {len(rest)} more lines follow. The file is damaged; export it again.")
    separator = "\t" if "\t" in rows[0] else ","
    section = _Section(said, rows, first + 1, separator, rows[0].count(separator))
    repeats = said.get("Cycle") or said.get("Area No", "1")
    expected = (section.columns == 1 and "Cycle" not in said) or str(section.columns) == repeats
    if not expected:
        raise FormatError(f"{where} has {section.columns} columns of data; expected {repeats}.")
    return section


def _check(subject: str, header: dict[str, str], regions: dict[str, list[_Section]], profiles: dict[str, _Section]) -> None:
    declared = header.get("NoSpectralReg", "")
    numbers = {s.said["RegionNo"] for sections in regions.values() for s in sections}
    if not regions or declared != str(len(numbers)):
        raise FormatError(
            f"{subject}: NoSpectralReg is {declared!r}; {len(numbers)} regions are in the file. It is cut short or damaged."
        )
    if profiles and set(profiles) != set(regions):
        raise FormatError(
            f"{subject}: holds profiles of {', '.join(profiles)}, but regions {', '.join(regions)}. It is cut short."
        )
    for name, sections in regions.items():
        first = sections[0]
        if any((len(s.rows), s.said["XLabel"], s.said["YLabel"], s.columns) != (len(first.rows), first.said["XLabel"],
               first.said["YLabel"], first.columns) for s in sections):  # fmt: skip
            raise FormatError(f"{subject}: the areas of region {name!r} differ in length or labels; export them one by one.")


def _label(text: str) -> tuple[str, str]:
    """ "Intensity(cps)" as name and unit."""
    name, bracket, rest = text.strip().partition("(")
    return (name.strip(), rest[:-1]) if bracket and rest.endswith(")") and ")" not in rest[:-1] else (text.strip(), "")


def _axis(subject: str, section: _Section) -> tuple[str, str]:
    name, unit = _label(section.said["XLabel"])
    if name.lower() not in _AXES or unit != "eV":
        raise FormatError(
            f"{subject}: the axis of {section.name!r} is {section.said['XLabel']!r}; expected kinetic or binding energy in eV."
        )
    return _AXES[name.lower()], unit


def _leading(sections: Sequence[_Section]) -> tuple[str, int] | None:
    if "Cycle" in sections[0].said:
        return "scan", sections[0].columns
    n = sum(s.columns for s in sections)
    return ("point", n) if n > 1 else None


def _region(subject: str, sections: Sequence[_Section]) -> tuple[Any, tuple[str, ...], dict[str, Any], str]:
    axis, _ = _axis(subject, sections[0])
    tables = [s.numbers(subject) for s in sections]
    if any(not np.array_equal(t[:, 0], tables[0][:, 0]) for t in tables):
        raise FormatError(f"{subject}: the areas of region {sections[0].name!r} have different axes; export them one by one.")
    data = np.concatenate([t[:, 1:] for t in tables], axis=1).T
    lead = _leading(sections)
    coords: dict[str, Any] = {axis: tables[0][:, 0]}
    if lead is None:
        return data[0], (axis,), coords, sections[0].said["YLabel"]
    if lead[0] == "scan":
        if len(sections) > 1:
            raise FormatError(f"{subject}: region {sections[0].name!r} stands twice in the depth profile.")
        coords["scan"] = ("scan", np.arange(lead[1]))
    else:
        areas = [s.said["Area No"] if s.columns == 1 else str(i + 1) for s in sections for i in range(s.columns)]
        coords["area"] = ("point", np.array(areas), {"long_name": "number of the area"})
    return data, (lead[0], axis), coords, sections[0].said["YLabel"]


def _cycle_coords(subject: str, export: _Export) -> dict[str, Any]:
    """Sputter time of each cycle, if the profiles tell it."""
    if not export.profiles:
        return {}
    first = next(iter(export.profiles.values()))
    times = [s.numbers(subject)[:, 0] for s in export.profiles.values()]
    cycles = next(iter(export.regions.values()))[0].columns
    if any(not np.array_equal(t, times[0]) for t in times) or len(times[0]) != cycles:
        raise FormatError(f"{subject}: the profiles have different sputter times, or not one for each of the {cycles} cycles.")
    name, unit = _label(first.said["XLabel"])
    return {re.sub(r"\W+", "_", name.lower()): ("scan", times[0], {"long_name": name, **({"units": unit} if unit else {})})}


def _profile(subject: str, export: _Export) -> tuple[Any, tuple[str, ...], dict[str, Any], str]:
    """(scan, line): what MultiPak made of each region, a peak height or area."""
    values = np.stack([s.numbers(subject)[:, 1] for s in export.profiles.values()], axis=1)
    first = next(iter(export.profiles.values()))
    coords = {"scan": ("scan", np.arange(len(values))), "line": ("line", np.array(list(export.profiles)))}
    return values, ("scan", "line"), coords, first.said["YLabel"]
