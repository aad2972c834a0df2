"""Auger spectra of a JEOL JAMP: the parameter text `para` with its binary `data`, and the text that jamp2csv makes of them."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError
from ssbmaps.io import _dense, _lines, _report
from ssbmaps.io._bytes import Bytes
from ssbmaps.io._image_set import digest
from ssbmaps.io._public import public
from ssbmaps.io._report import unique

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "JEOL JAMP"
EXTENSIONS = (".csv",)  # the parameter file is called para, without an ending
TECHNIQUE = "sam"
_MARK = "#@(#) AP_SFTA1"
_HEADING = re.compile(r"\s*energy\s*\(ev\)\s*,\s*intensity\s*", re.IGNORECASE)
_WIDE, _NARROW = "3", "4"  # AP_DATATYPE


@dataclass(frozen=True, slots=True)
class _Region:
    """One spectrum: its axis in eV, and where its values begin in `data`, or its rows of text."""

    name: str
    start: float
    step: float
    points: int
    first: int = 0  # value in `data`, or line in the text
    rows: Sequence[str] | None = None


def sniff(path: Path) -> bool:
    """Whether it is a parameter file of the instrument, or begins with the heading of jamp2csv."""
    head = _lines.head_text(path, 200)
    return head.startswith(_MARK) or bool(_HEADING.fullmatch(head.partition("\n")[0]))


def info(path: Path) -> dict[str, Any]:
    """Names, axes and sizes of the spectra; `data` is not read."""
    regions, _ = _regions(path)
    first = regions[0]
    last = first.start + first.step * (first.points - 1)
    if first.rows is not None:
        start, last = (float(_rows(path, [row], first.first)[0, 0]) for row in (first.rows[0], first.rows[-1]))
    else:
        start = first.start
    note = [f"dims, shape and axis are those of {first.name!r}; dataset= chooses another."] if len(regions) > 1 else []
    return _report.report(
        technique=TECHNIQUE,
        dims=("kinetic_energy",),
        shape=(first.points,),
        axis_range=(min(start, last), max(start, last)),
        datasets=[r.name for r in regions],
        warnings=note,
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,  # noqa: ARG001  spectra have no pixels
    tilt: float | None = None,  # noqa: ARG001
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  a spectrum that is not whole is refused
) -> xr.DataArray:
    """Read one spectrum."""
    regions, said = _regions(path)
    names = [r.name for r in regions]
    region = regions[names.index(_report.choose(path.name, names, dataset))]
    attrs: dict[str, Any] = {}
    if region.rows is not None:
        table = _rows(path, region.rows, region.first)
        axis: NDArray[np.float64] = table[:, 0]
        values = table[:, 1]
        warnings.warn(
            f"{path.name}: a text of jamp2csv does not say how many points it should have; compare its end, {axis[-1]:g} eV, "
            "with the measurement, or read the instrument's own file para, which does.",
            DataQualityWarning,
            stacklevel=3,
        )
    else:
        file = Bytes(path.with_name("data"))
        axis = region.start + region.step * np.arange(region.points, dtype=np.float64)
        values = file.array(">i4", region.points, 4 * region.first, f"the spectrum {region.name!r}").astype(np.float64)
        attrs["source_sha256"] = digest([path, path.with_name("data")])
        attrs["beam_energy"] = 1e3 * _number(path.name, said, "AP_PENERGY")
    found = _dense.Found(
        path=path,
        data=values,
        dims=("kinetic_energy",),
        units="arbitrary",
        long_name="intensity",
        technique=TECHNIQUE,
        metadata={"format": NAME, **public({k: v for k, v in said.items() if "CONDITION" not in k})},
        coords={"kinetic_energy": axis},
        attrs=attrs,
    )
    return _dense.array(found, arguments={"reader": "jeol_text", "dataset": dataset}, chunks=chunks)


def _regions(path: Path) -> tuple[list[_Region], dict[str, str]]:
    text = _lines.read_text(path)
    if not text.endswith("\n"):
        raise FormatError(f"{path.name}: the last line has no line end: the file is cut short; copy or export it again.")
    if _HEADING.fullmatch(text.partition("\n")[0]):
        return _blocks(path, text.splitlines()), {}
    if not text.startswith(_MARK):
        raise FormatError(f"{path.name}: begins with {text[:30]!r}; expected {_MARK!r} or 'Energy(ev), Intensity'.")
    said = _parameters(text)
    return _declared(path, said), said


def _parameters(text: str) -> dict[str, str]:
    """`$AP_KEY  value` lines; a table has its row's number in the key: AP_SPC_ROI_NAME 1."""
    said: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.strip().partition("  ")
        if not key.startswith("$AP_") or key.startswith("$AP_END"):
            continue
        number, space, rest = value.strip().partition(" ")
        table = key.startswith(("$AP_SPC_ROI_", "$AP_SPOSN_", "$AP_SPC_CEMSTAT")) and space and number.isdigit()
        said[f"{key[1:]} {number}" if table else key[1:]] = rest.strip() if table else value.strip()
    return said


def _declared(path: Path, said: dict[str, str]) -> list[_Region]:
    """The spectra that the parameters announce, compared with the length of `data`."""
    subject, kind = path.name, said.get("AP_DATATYPE", "")
    if kind == _WIDE:
        keys = [("survey", "AP_SPC_W{}", "")]
    elif kind == _NARROW:
        n = _count(subject, said, "AP_SPC_ROI_NOFEXE")
        keys = [(said.get(f"AP_SPC_ROI_NAME {i}", ""), "AP_SPC_ROI_{}", f" {i}") for i in range(1, min(n, 1000) + 1)]
    else:
        raise FormatError(f"{subject}: AP_DATATYPE is {kind!r}; spectra (3 wide, 4 narrow) are published, other data are not.")
    if _count(subject, said, "AP_SPOSN_NOFEXE") != 1:
        raise FormatError(f"{subject}: spectra of {said['AP_SPOSN_NOFEXE']} positions; how `data` orders them is not published.")
    regions: list[_Region] = []
    for name, pattern, row in keys:
        start, step = (_number(subject, said, pattern.format(what) + row) for what in ("START", "STEP"))
        points = _count(subject, said, pattern.format("POINTS") + row)
        regions.append(_Region(_spaced(name), start, step, points, sum(r.points for r in regions)))
    data, total = path.with_name("data"), 4 * sum(r.points for r in regions)
    if not data.is_file():
        raise FormatError(f"{subject}: its binary file 'data' is missing; put it beside the parameter file.")
    if data.stat().st_size != total:
        raise FormatError(
            f"{subject}: announces {total} bytes; 'data' has {data.stat().st_size}. One of them is cut short or damaged."
        )
    names = unique([r.name or "region" for r in regions])
    return [_Region(n, r.start, r.step, r.points, r.first) for n, r in zip(names, regions, strict=True)]


def _spaced(name: str) -> str:
    """ "CuLMM" as "Cu LMM"; other names as they are."""
    match = re.fullmatch(r"([A-Z][a-z]?)([K-O][K-OV]{2})", name)
    return f"{match[1]} {match[2]}" if match else name


def _number(subject: str, said: dict[str, str], key: str) -> float:
    try:
        value = float(said.get(key, ""))
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise FormatError(
            f"{subject}: ${key} is {said.get(key, '(missing)')[:40]!r}; expected a number. The file is cut short or damaged."
        )
    return value


def _count(subject: str, said: dict[str, str], key: str) -> int:
    value = _number(subject, said, key)
    if not (value.is_integer() and value >= 1):
        raise FormatError(f"{subject}: ${key} is {value:g}; expected a whole number of 1 or more.")
    return int(value)


def _blocks(path: Path, lines: Sequence[str]) -> list[_Region]:
    """Spectra of the text, parted by blank lines."""
    parts: list[tuple[int, list[str]]] = []
    for i, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        if parts and i == parts[-1][0] + len(parts[-1][1]):
            parts[-1][1].append(line)
        else:
            parts.append((i, [line]))
    if not parts:
        raise FormatError(f"{path.name}: holds no spectrum.")
    return [_Region(f"block {k + 1}", 0.0, 0.0, len(rows), first, rows) for k, (first, rows) in enumerate(parts)]


def _rows(path: Path, rows: Sequence[str], first: int) -> NDArray[np.float64]:
    table = _lines.numbers(rows, columns=2, subject=path.name, first_line=first, separator=",")
    if not np.isfinite(table).all():
        raise FormatError(f"{path.name}: the spectrum at line {first} holds NaN or infinity.")
    return table
