"""HORIBA LabSpec text: a spectrum in two columns, or a row of shifts and then one row for each spectrum, after its position."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError, SsbmapsError
from ssbmaps.io import _decimals, _dense, _lines, _pixels, _positions, _raman_axis, _report
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "LabSpec text"
EXTENSIONS = (".txt", ".txt.gz")
TECHNIQUE = "raman"
_AXES = {"x": "x", "xa": "x", "y": "y", "ya": "y", "z": "z", "za": "z", "time": "time"}
_COUNTS = {"cnt": "counts", "counts": "counts", "cnt/sec": "counts/s", "cnt/s": "counts/s"}
_SECONDS = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0}
_DIGITS = 6  # LabSpec writes this many


@dataclass(frozen=True, slots=True)
class _File:
    """The header, and where the numbers begin: `blank` columns of position, then `channels` values in every line."""

    name: str
    raw: bytes
    header: Mapping[str, str]
    begin: int  # byte
    line: int  # as an editor counts
    blank: int
    channels: int
    decimal: str

    @property
    def first(self) -> bytes:
        """The first line of numbers."""
        end = self.raw.find(b"\n", self.begin) + 1
        return self.raw[self.begin : end or len(self.raw)] if self.blank else b""


def sniff(path: Path) -> bool:
    """Whether the file begins with LabSpec's header, or with the row of shifts that it writes without one."""
    if not _lines.head_text(path, 16).startswith(("#", "\t")):
        return False
    lines = _lines.head_text(path, 1 << 14).splitlines()
    header = [line for line in lines if line.startswith("#")]
    if header:
        known = _lines.pairs(header, "#")
        said = "AxisType[0]" in known or ("Acq. time (s)" in known and "Accumulations" in known)
        return said and lines[: len(header)] == header and all("=" in line for line in header)
    return bool(lines) and lines[0].startswith("\t") and _is_map(lines[:2])


def _is_map(lines: Sequence[str]) -> bool:
    """Whether the first line holds shifts behind one to three empty fields, and the second one numbers."""
    try:
        blank = len(lines[0]) - len(lines[0].lstrip("\t"))
        axis = [float(v.replace(",", ".")) for v in lines[0][blank:].split("\t")[:-1]]
        steps = np.diff(axis)
        if not (1 <= blank <= 3 and len(axis) > 2 and ((steps > 0).all() or (steps < 0).all())):
            return False
        return all(float(v.replace(",", ".")) is not None for v in "\t".join(lines[1:2]).split("\t")[:-1])
    except ValueError:
        return False


def info(path: Path) -> dict[str, Any]:
    """Header, axis and positions; no intensity is read."""
    file = _open(path)
    unit = _axis_unit(file, None, known=False)
    axis, laser = _axis(file), _laser(file.header)
    dim, coords = _raman_axis.spectral_axis(axis, unit, laser=laser, subject=path.name) if unit else ("raman_shift", {})
    values = coords[dim][1] if coords else axis
    notes: tuple[str, ...] = () if unit else ("the file does not say whether its axis is in 1/cm or nm; give axis_unit=.",)
    names = _names(file, None, known=False)
    if file.blank and not names:
        notes += ("the file does not name its columns of position; give axes=.",)
        arranged = _positions.Arranged(("point",), (_spectra_count(file),), None)
    else:
        arranged = _arrange(file, _places(file), names)
    size, why = arranged.size()
    return _report.report(
        technique=TECHNIQUE,
        dims=(*arranged.dims, dim),
        shape=(*arranged.shape, len(axis)),
        pixel_size=size,
        pixel_size_note=why,
        axis_range=(float(values.min()), float(values.max())),
        warnings=(*notes, *arranged.notes),
        laser_wavelength=laser,
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  a line that cannot be read is not known to be a spectrum
    axis_unit: str | None = None,
    axes: str | Sequence[str] | None = None,
    laser: Any = None,
) -> xr.DataArray:
    """Read all spectra; `axis_unit` and `axes` say what a file without a header leaves open."""
    if dataset is not None:
        raise SsbmapsError(f"{path.name}: dataset is {dataset!r}; a text of LabSpec holds one set of spectra, so leave it out.")
    file = _open(path)
    unit, names = _axis_unit(file, axis_unit), _names(file, axes)
    laser_nm = _raman_axis.parse_laser(laser, subject=path.name) or _laser(file.header)
    dim, coords = _raman_axis.spectral_axis(_axis(file), unit, laser=laser_nm, subject=path.name)
    places, spectra = _numbers(file)
    arranged = _arrange(file, places, names)
    found = _dense.Found(
        path=path,
        data=arranged.fill(spectra, path.name),
        dims=(*arranged.dims, dim),
        units=_COUNTS.get(file.header.get("AxisUnit[0]", "").lower(), "arbitrary"),
        long_name="Raman intensity",
        technique=TECHNIQUE,
        metadata={"format": NAME, **public(file.header)},
        coords={**arranged.coords, **coords},
        pixel=arranged.pixel(path.name, pixel_size=pixel_size, tilt=tilt),
        measured=arranged.measured,
        attrs={} if laser_nm is None else {"laser_wavelength": laser_nm},
    )
    arguments = {"reader": "labspec_text", "pixel_size": pixel_size, "tilt": tilt, "axis_unit": axis_unit, "axes": axes}
    return _dense.array(found, arguments=arguments | {"laser": laser}, chunks=chunks)


def _open(path: Path) -> _File:
    raw = _lines.read_bytes(path)
    begin = line = 0
    while raw.startswith(b"#", begin):
        begin, line = raw.find(b"\n", begin) + 1 or len(raw), line + 1
    header = _lines.pairs(_lines.decode(raw[:begin], path.name).splitlines(), "#")
    end = raw.find(b"\n", begin)
    first = raw[begin : end if end >= 0 else len(raw)].rstrip(b"\r")
    fields = first.split(b"\t")
    blank = len(first) - len(first.lstrip(b"\t"))
    if not first.strip():
        raise FormatError(f"{path.name}: holds no numbers below its header; export it again.")
    if (blank == 0 and len(fields) != 2) or blank > len(_AXES):
        raise FormatError(
            f"{path.name}: line {line + 1}, the first one of numbers, has {len(fields)} fields. Expected two, shift and "
            "intensity, or a row of shifts behind as many empty fields as there are columns of position."
        )
    decimal = "," if b"," in first else "."
    return _File(path.name, raw, header, begin, line + 1, blank, len(fields) - blank if blank else 1, decimal)


def _axis(file: _File) -> NDArray[np.float64]:
    """Shifts or wavelengths as they are written."""
    if file.blank:
        text = file.first[file.blank :]
        row: NDArray[np.float64] = _decimals.table(
            text, file.channels, subject=file.name, first_line=file.line, decimal=file.decimal
        )[0]
        return row
    return _body(file)[:, 0]


def _below(file: _File) -> bytes:
    """The lines of the spectra."""
    raw = file.raw[file.begin + len(file.first) :]
    if not raw or raw.isspace():
        raise FormatError(f"{file.name}: holds no spectrum below line {file.line}; export it again.")
    return raw


def _body(file: _File) -> NDArray[np.float64]:
    """All numbers below the header, but for the row of shifts."""
    raw = _below(file)
    columns, line = (file.blank + file.channels, file.line + 1) if file.blank else (2, file.line)
    return _decimals.table(raw, columns, subject=file.name, first_line=line, decimal=file.decimal)


def _numbers(file: _File) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(spectra, columns of position) and (spectra, channels)."""
    body = _body(file)
    return (body[:, : file.blank], body[:, file.blank :]) if file.blank else (np.empty((1, 0)), body[:, 1][None])


def _places(file: _File) -> NDArray[np.float64]:
    """(spectra, columns of position), read alone."""
    if not file.blank:
        return np.empty((1, 0))
    lines = _below(file).splitlines()
    text = b"".join(b"\t".join(line.split(b"\t", file.blank)[: file.blank]) + b"\n" for line in lines)
    return _decimals.table(text, file.blank, subject=file.name, first_line=file.line + 1, decimal=file.decimal)


def _spectra_count(file: _File) -> int:
    return file.raw.count(b"\n", file.begin) - 1


def _arrange(file: _File, places: NDArray[np.float64], names: Sequence[tuple[str, float]]) -> _positions.Arranged:
    """Where the spectra belong; a position that all share stands in the header."""
    positions = {name: places[:, i] * factor for i, (name, factor) in enumerate(names)}
    largest = max((float(np.abs(v).max()) for name, v in positions.items() if name in ("x", "y")), default=0.0)
    rounding = 0.5 * 10.0 ** (np.floor(np.log10(largest)) - _DIGITS + 1) if 0 < largest < np.inf else 0.0
    for name in {"x", "y"} - set(positions) if {"x", "y"} & set(positions) else set():
        stated = _stated(file.header, name)
        if stated is not None:
            positions[name] = np.full(len(places), stated)
    return _positions.arrange(positions, len(places), subject=file.name, rounding=rounding)


def _stated(header: Mapping[str, str], name: str) -> float | None:
    """A position (um) that the header states for the whole file, e.g. "#X (µm)="."""
    for key, value in header.items():
        found = re.fullmatch(rf"{name} \((.+)\)", key, re.IGNORECASE)
        if found:
            return _pixels.in_um(value.replace(",", "."), found[1], default="")
    return None


def _names(file: _File, axes: str | Sequence[str] | None, *, known: bool = True) -> list[tuple[str, float]]:
    """Name of each column of position, and the factor to um or s; from the header or the caller."""
    stated = [
        (file.header[f"AxisType[{i}]"], file.header.get(f"AxisUnit[{i}]", ""))
        for i in range(2, 9)
        if f"AxisType[{i}]" in file.header
    ]
    asked = [(str(a), "s" if a == "time" else "um") for a in ([axes] if isinstance(axes, str) else axes or [])]
    if stated and asked:
        raise SsbmapsError(f"{file.name}: axes is {axes!r}, and the file names {', '.join(n for n, _ in stated)}. Leave it out.")
    used = stated or asked
    if not used and not known:
        return []
    if len(used) != file.blank:
        told = f"names {len(stated)} of them ({', '.join(n for n, _ in stated)})" if stated else "does not name them"
        raise FormatError(
            f"{file.name}: every spectrum follows {file.blank} columns of position, and the header {told}. "
            "Say what they are, in um or s: axes=('x', 'y'), axes='z' or axes='time'."
        )
    result = []
    for name, unit in used:
        dim = _AXES.get(name.lower())
        factor = _SECONDS.get(unit.lower()) if dim == "time" else _pixels.in_um("1", unit, default="")
        if dim is None or factor is None:
            raise FormatError(
                f"{file.name}: a column of position is {name!r} in {unit!r}; expected X, Y or Z in µm, or Time in s."
            )
        result.append((dim, factor))
    if len({d for d, _ in result}) < len(result):
        raise FormatError(f"{file.name}: two columns of position have one name: {', '.join(n for n, _ in used)}.")
    return result


def _axis_unit(file: _File, asked: str | None, *, known: bool = True) -> str:
    """Unit of the spectral axis: of AxisUnit[1], else of the position of the spectrometer, else the caller's."""
    stated = file.header.get("AxisUnit[1]", "")
    for key in file.header:
        if not stated and (found := re.fullmatch(r"(?:Spectro|Range) \((.+)\)", key)):
            stated = found[1]
    stated = stated.replace("¹", "1").replace("⁻", "-")
    if asked not in (None, "1/cm", "nm"):
        raise SsbmapsError(f"{file.name}: axis_unit is {asked!r}; expected '1/cm' or 'nm'.")
    if asked is not None and stated and asked.lower() != stated.lower():
        raise SsbmapsError(f"{file.name}: axis_unit is {asked!r}, and the file says {stated!r}. Leave it out.")
    if not stated and asked is None and known:
        raise FormatError(f"{file.name}: does not say the unit of its spectral axis. Give axis_unit='1/cm' or axis_unit='nm'.")
    return stated or asked or ""


def _laser(header: Mapping[str, str]) -> float | None:
    """The laser line (nm) of the header, e.g. "#Laser (nm)= 532" or "#Laser= 785nm_edge"."""
    for key, value in header.items():
        found = re.match(r"(\d+(?:[.,]\d+)?) *(nm)?", value)
        if found and (key == "Laser (nm)" or (key == "Laser" and found[2])):
            laser = float(found[1].replace(",", "."))
            return laser if laser > 0 else None
    return None
