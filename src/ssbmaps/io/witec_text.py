"""WITec text: a table with one column for each spectrum, or "Graph ASCII", three files for header, axis and values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError, SsbmapsError
from ssbmaps.io import _decimals, _dense, _lines, _raman_axis, _report, _witec_graph, _witec_map
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.io._positions import Arranged

NAME = "WITec text"
EXTENSIONS = (".txt",)
TECHNIQUE = "raman"
_TITLE = "X-Axis"


@dataclass(frozen=True, slots=True)
class _Table:
    """The two lines above the numbers, and where these begin."""

    name: str
    titles: list[str]
    units: list[str]
    body: bytes

    @property
    def decimal(self) -> str:
        """What stands before the tenths."""
        return "," if b"," in self.body[: self.body.find(b"\n") + 1] else "."


def sniff(path: Path) -> bool:
    """Whether the first title is "X-Axis" and the second line begins with a unit, or it is the header of Graph ASCII."""
    if _lines.is_binary(path, 4096) or not _lines.may_hold(path, (_witec_graph.MARK, f"{_TITLE}\t"), 1 << 16):
        return False
    head = _lines.head_text(path, 1 << 16)
    if _witec_graph.is_header(head):
        return True
    first, _, rest = head.partition("\n")
    return first.startswith(f"{_TITLE}\t") and (not rest or re.match(r"[^\t\n]*[a-zA-Z][^\t\n]*\t", rest) is not None)


def info(path: Path) -> dict[str, Any]:
    """Header and axis; no intensity is read."""
    if _is_graph(path):
        known = _witec_graph.header(path)
        arranged, unit = _graph_pixels(known), known.axis_unit
        axis = _witec_graph.axis(path, known)
    else:
        table = _open(path)
        arranged, unit = _witec_map.by_title(table.titles[1:]), _witec_map.axis_unit(table.units[0], subject=path.name)
        axis = _axis(table)
    size, why = arranged.size()
    return _report.report(
        technique=TECHNIQUE,
        dims=(*arranged.dims, "wavelength" if unit == "nm" else "raman_shift"),
        shape=(*arranged.shape, len(axis)),
        pixel_size=size,
        pixel_size_note=why,
        axis_range=(float(axis.min()), float(axis.max())),
        channels_note="one axis for all spectra" + ("; laser= turns nm into 1/cm" if unit == "nm" else ""),
        warnings=arranged.notes,
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  a column that cannot be read is not known to be a spectrum
    laser: Any = None,
) -> xr.DataArray:
    """Read all spectra."""
    if dataset is not None:
        raise SsbmapsError(f"{path.name}: dataset is {dataset!r}; a text of WITec holds one set of spectra, so leave it out.")
    laser_nm = _raman_axis.parse_laser(laser, subject=path.name)
    axis, spectra, arranged, unit, intensity, metadata = _graph(path) if _is_graph(path) else _columns(path)
    pixel = arranged.pixel(path.name, pixel_size=pixel_size, tilt=tilt)
    dim, coords = _raman_axis.spectral_axis(axis, unit, laser=laser_nm, subject=path.name)
    found = _dense.Found(
        path=path,
        data=arranged.fill(spectra, path.name),
        dims=(*arranged.dims, dim),
        units=_witec_map.intensity_unit(intensity),
        long_name="Raman intensity",
        technique=TECHNIQUE,
        metadata={"format": NAME, **metadata},
        coords={**arranged.coords, **coords},
        pixel=pixel,
        measured=arranged.measured,
        attrs={} if laser_nm is None else {"laser_wavelength": laser_nm},
    )
    arguments = {"reader": "witec_text", "pixel_size": pixel_size, "tilt": tilt, "laser": laser}
    return _dense.array(found, arguments=arguments, chunks=chunks)


_Read = tuple["NDArray[np.float64]", "NDArray[np.float64]", "Arranged", str, str, dict[str, Any]]


def _is_graph(path: Path) -> bool:
    return _witec_graph.is_header(_lines.head_text(path))


def _graph(path: Path) -> _Read:
    """Axis, spectra, their places, units and metadata of an export in three files."""
    known = _witec_graph.header(path)
    axis, spectra = _witec_graph.numbers(path, known)
    return axis, spectra, _graph_pixels(known), known.axis_unit, known.data_unit, public(known.fields)


def _graph_pixels(known: _witec_graph.Header) -> Arranged:
    y, x = np.divmod(np.arange(known.ny * known.nx), known.nx)
    return _witec_map.by_number(x, y, known.stated)


def _columns(path: Path) -> _Read:
    """The same of a table."""
    table = _open(path)
    arranged, unit = _witec_map.by_title(table.titles[1:]), _witec_map.axis_unit(table.units[0], subject=path.name)
    body = _decimals.table(table.body, len(table.titles), subject=path.name, first_line=3, decimal=table.decimal)
    intensity = table.units[1] if len({*table.units[1:]}) == 1 else ""
    title = re.sub(r"\(\d+/\d+\)$", "", table.titles[1])
    return body[:, 0], body[:, 1:].T, arranged, unit, intensity, public({"title": title, "units": table.units[0]})


def _open(path: Path) -> _Table:
    """The table, its two lines of titles checked."""
    raw = _lines.read_bytes(path)
    middle = raw.find(b"\n") + 1 or len(raw)
    begin = raw.find(b"\n", middle) + 1 or len(raw)
    lines = (raw[:middle], raw[middle:begin])
    titles, units = (_lines.decode(line, path.name).rstrip("\r\n").split("\t") for line in lines)
    if titles[0] != _TITLE or len(titles) < 2:
        raise FormatError(
            f"{path.name}: the first line begins with {titles[0][:40]!r}; expected 'X-Axis' and a title of each spectrum."
        )
    if len(units) != len(titles) or not re.search("[a-zA-Z]", units[0]):
        raise FormatError(
            f"{path.name}: line 2 has {len(units)} fields and begins with {units[0][:40]!r}; expected the unit of the axis, and "
            f"of each of {len(titles) - 1} spectra. Export the table with titles and units."
        )
    body = raw[begin:]
    if not body or body.isspace():
        raise FormatError(f"{path.name}: holds no numbers below its two lines of titles; export it again.")
    return _Table(path.name, titles, units, body)


def _axis(table: _Table) -> NDArray[np.float64]:
    """The first column, read alone."""
    text = b"".join(line.partition(b"\t")[0] + b"\n" for line in table.body.splitlines())
    return _decimals.table(text, 1, subject=table.name, first_line=3, decimal=table.decimal)[:, 0]
