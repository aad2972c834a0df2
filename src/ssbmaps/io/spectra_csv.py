"""Tables of spectra as CSV, units in the header: a row for each value, or a row or a column for each spectrum."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import SPECTRAL_UNITS
from ssbmaps._errors import DataQualityWarning, FormatError, SsbmapsError
from ssbmaps.io import _csv_header, _decimals, _dense, _lines, _positions, _raman_axis, _report, _stage

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.io._csv_header import Header

NAME = "CSV of spectra"
EXTENSIONS = (".csv", ".tsv", ".txt")
TECHNIQUE = "raman"
_TECHNIQUES = {"kinetic_energy": "sam", "binding_energy": "xps", "energy": "eds", "mz": "tof-sims"}
_HEAD = 1 << 16  # a wide table has a label for every channel


@dataclass(frozen=True, slots=True)
class _Spectra:
    """The spectral axis, (spectra, channels), and (spectra, columns) of what else the table says of each."""

    axis: NDArray[np.float64]
    values: NDArray[np.float64]
    rows: NDArray[np.float64]
    unit: str
    names: tuple[str, ...] = ()  # of the spectra, where each has a column
    wavelength: NDArray[np.float64] | None = None


def sniff(path: Path) -> bool:
    """Whether the first line that is no comment names a spectral axis, or positions and at least three channels."""
    if _lines.is_binary(path, _HEAD):
        return False
    text = _lines.head_text(path, _HEAD)
    lines = [] if "\0" in text else text.splitlines()
    return _csv_header.is_header(next((line for line in lines if not line.startswith("#")), ""))


def info(path: Path) -> dict[str, Any]:
    """Header and positions. A table says nowhere how long it is, so its rows are read."""
    body, line, header = _open(path)
    head = _csv_header.parse(header, subject=path.name)
    names = () if head.in_columns or head.channels else tuple(head.values)
    with warnings.catch_warnings(record=True) as caught:  # that the last spectrum is cut short
        warnings.simplefilter("always")
        table = _spectra(path, body, line, head, names[0] if names else None, skip_bad=True)
    arranged = _arrange(path, head, table)
    size, why = arranged.size()
    return _report.report(
        technique=_TECHNIQUES.get(head.axis, TECHNIQUE),
        dims=(*arranged.dims, head.axis),
        shape=(*arranged.shape, len(table.axis)),
        pixel_size=size,
        pixel_size_note=why,
        axis_range=(float(table.axis.min()), float(table.axis.max())),
        datasets=names,
        warnings=(*(str(w.message).removeprefix(f"{path.name}: ") for w in caught), *arranged.notes),
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,
    laser: Any = None,
) -> xr.DataArray:
    """Read the only column of values, or the one named by `dataset`; `skip_bad` leaves out a last spectrum that is cut short."""
    laser_nm = _raman_axis.parse_laser(laser, subject=path.name)
    body, line, header = _open(path)
    head = _csv_header.parse(header, subject=path.name)
    table = _spectra(path, body, line, head, dataset, skip_bad=skip_bad)
    del body
    arranged = _arrange(path, head, table)
    dim, coords = _axis(path, head, table, laser_nm)
    found = _dense.Found(
        path=path,
        data=arranged.fill(table.values, path.name),
        dims=(*arranged.dims, dim),
        units=table.unit or "arbitrary",
        long_name="intensity",
        technique=_TECHNIQUES.get(head.axis, TECHNIQUE),
        metadata={"format": NAME},
        coords={**arranged.coords, **_beside(path, head, table, arranged), **coords},
        pixel=arranged.pixel(path.name, pixel_size=pixel_size, tilt=tilt),
        measured=_measured(head, table, arranged),
        attrs={} if laser_nm is None else {"laser_wavelength": laser_nm},
    )
    arguments = {"reader": "spectra_csv", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "skip_bad": skip_bad}
    return _dense.array(found, arguments=arguments | {"laser": laser}, chunks=chunks)


def _open(path: Path) -> tuple[bytes, int, str]:
    """What stands below the header, the line where that begins, and the header; comments above it begin with "#"."""
    raw = _lines.read_bytes(path)
    begin = 0
    while raw.startswith(b"#", begin):
        begin = raw.find(b"\n", begin) + 1 or len(raw)
    end = raw.find(b"\n", begin) + 1 or len(raw)
    header = _lines.decode(raw[begin:end], path.name).strip("\r\n")
    if not _csv_header.is_header(header):
        raise FormatError(f"{path.name}: the header is {header[:80]!r}; expected names with units, e.g. {_csv_header.EXAMPLE!r}.")
    return raw[end:], raw.count(b"\n", 0, end) + 1, header


def _spectra(path: Path, body: bytes, line: int, head: Header, dataset: str | None, *, skip_bad: bool) -> _Spectra:
    """All that the table says; `line` is where `body` begins."""
    if not body or body.isspace():
        raise FormatError(f"{path.name}: holds no numbers below its header.")
    if "measured" in head.beside:
        body = body.replace(b"True", b"1").replace(b"False", b"0")
    if skip_bad and b"\n" in body:
        body = body[: body.rfind(b"\n") + 1]
    first = body[: body.find(b"\n") + 1]
    decimal = "," if head.separator == ";" and b"," in first and b"." not in first else "."
    numbers = _decimals.table(
        body, len(head.labels), subject=path.name, first_line=line, separator=head.separator, decimal=decimal, missing=True
    )
    if head.axis_column is None:
        columns = list(head.channels)
        axis = np.array([head.channels[c] for c in columns]) * head.axis_factor
        _no_choice(path, dataset)
        if head.values:
            raise FormatError(f"{path.name}: column {next(iter(head.values))!r} is neither a position nor a channel.")
        return _Spectra(axis, numbers[:, columns], numbers, "")
    if head.in_columns:
        _no_choice(path, dataset)
        columns, units = [i for i, _ in head.values.values()], {unit for _, unit in head.values.values()}
        axis = numbers[:, head.axis_column] * head.axis_factor
        unit = units.pop() if len(units) == 1 else ""
        return _Spectra(axis, numbers[:, columns].T, numbers[:0], unit, tuple(head.values))
    column, unit = head.values[_report.choose(path.name, list(head.values), dataset)]
    return _long(path, numbers, head, column, unit, line, skip_bad=skip_bad)


def _no_choice(path: Path, dataset: str | None) -> None:
    if dataset is not None:
        raise SsbmapsError(f"{path.name}: dataset is {dataset!r}; a wide table holds one set of spectra, so leave it out.")


def _long(
    path: Path, numbers: NDArray[np.float64], head: Header, column: int, unit: str, line: int, *, skip_bad: bool
) -> _Spectra:
    """Rows that follow each other spectrum by spectrum, checked: the same channels in each, and one position."""
    n = _channels(numbers, head.axis_column or 0, [i for i, _ in head.positions.values()])
    left = len(numbers) % n
    if left:
        text = f"{path.name}: the last spectrum has {left} of {n} values; the table is cut short, or has gaps."
        if not skip_bad:
            raise FormatError(f"{text} skip_bad=True leaves that spectrum out; a sparse cube keeps its zeros in a .zarr store.")
        warnings.warn(f"{text} It is left out.", DataQualityWarning, stacklevel=5)
        numbers = numbers[: len(numbers) - left]
    cube = numbers.reshape(-1, n, numbers.shape[1])
    _constant(path, cube, head.axis_column or 0, head, line, along=1)
    for name, (i, _) in (head.positions | head.beside).items():
        _constant(path, cube, i, head, line, along=1 if name in SPECTRAL_UNITS else 0)
    beside = head.beside.get("wavelength")
    wavelength = cube[0, :, beside[0]] * beside[1] if beside is not None else None
    first = cube[:, 0].copy()
    return _Spectra(cube[0, :, head.axis_column or 0] * head.axis_factor, cube[:, :, column], first, unit, (), wavelength)


def _channels(numbers: NDArray[np.float64], axis: int, places: list[int]) -> int:
    """Rows of the first spectrum: up to another position, or its first channel again."""
    for rows in (1 << 12, len(numbers)):  # most often the first few thousand tell
        some = numbers[:rows]
        again = some[1:, axis] == some[0, axis]
        for column in places:
            again |= some[1:, column] != some[0, column]
        if again.any():
            return int(np.argmax(again)) + 1
    return len(numbers)


def _constant(path: Path, cube: NDArray[np.float64], column: int, head: Header, line: int, *, along: int) -> None:
    """Raise unless a column is the same in every spectrum (`along` 1: it runs along the channels), or within each (0)."""
    values = cube[:, :, column]
    expected = values[:1] if along == 1 else values[:, :1]
    bad = (values != expected) & ~(np.isnan(values) & np.isnan(expected))
    if bad.any():
        spectrum, channel = np.unravel_index(np.argmax(bad), bad.shape)
        wanted = np.broadcast_to(expected, bad.shape)[spectrum, channel]
        raise FormatError(
            f"{path.name}: line {line + spectrum * cube.shape[1] + channel}: {head.labels[column]} is "
            f"{values[spectrum, channel]:.9g}, expected {wanted:.9g}. Rows must follow each other spectrum by spectrum, all with "
            f"the same {cube.shape[1]} channels."
        )


def _arrange(path: Path, head: Header, table: _Spectra) -> _positions.Arranged:
    """Where the spectra belong. Places that are those of a map's pixels from its corner on are no stage positions."""
    if table.names:
        n = len(table.names)
        names = {"spectrum": ("point", np.array(table.names), {"long_name": "label of the column"})}
        return _positions.Arranged((), (), None) if n == 1 else _positions.Arranged(("point",), (n,), None, names)
    positions = {name: table.rows[:, i] * factor for name, (i, factor) in head.positions.items()}
    found = _positions.arrange(positions, len(table.values), subject=path.name)
    if found.stated is None:
        return found
    sizes = (length.um for length in found.stated.pixel if length is not None)
    corner = [found.coords[name][1][0] for name in ("stage_y", "stage_x")]
    own = all(np.isclose(at, size / 2, rtol=1e-6, atol=0) for at, size in zip(corner, sizes, strict=True) if size is not None)
    return _positions.arrange(positions, len(table.values), subject=path.name, stage=False) if own else found


def _axis(
    path: Path, head: Header, table: _Spectra, laser: float | None
) -> tuple[str, dict[str, tuple[str, NDArray[np.float64]]]]:
    """The spectral dimension and its coordinates; wavelengths become shifts where the laser is known."""
    if head.axis == "wavelength":
        return _raman_axis.spectral_axis(table.axis, "nm", laser=laser, subject=path.name)
    if not np.isfinite(table.axis).all():
        raise FormatError(f"{path.name}: {head.axis} holds NaN or infinity; expected finite values.")
    coords = {head.axis: (head.axis, table.axis)}
    if table.wavelength is not None:
        coords["wavelength"] = (head.axis, table.wavelength)
    return head.axis, coords


def _beside(path: Path, head: Header, table: _Spectra, arranged: _positions.Arranged) -> dict[str, Any]:
    """Coordinates that the table has beside the positions: the stage's, along y and x or `point`, and along a line."""
    found: dict[str, Any] = {}
    for name, (i, factor) in head.beside.items():
        if not len(table.rows) or not arranged.dims or name in ("measured", "point", *SPECTRAL_UNITS):
            continue
        dim = "point" if "point" in arranged.dims else {"stage_y": "y", "stage_x": "x"}.get(name, "")
        if dim not in arranged.dims:
            continue
        values = arranged.spread(table.rows[:, i] * factor)
        lines = np.moveaxis(values, arranged.dims.index(dim), 0).reshape(values.shape[arranged.dims.index(dim)], -1)
        if not (lines == lines[:, :1]).all():
            raise FormatError(f"{path.name}: {head.labels[i]} changes along other dimensions than {dim}.")
        if name == "distance_along":
            found[name] = (dim, lines[:, 0], {"units": "um", "long_name": "distance from the first point"})
        else:
            found |= _stage.stage(name, dim, lines[:, 0])
    return found


def _measured(head: Header, table: _Spectra, arranged: _positions.Arranged) -> NDArray[np.bool_] | None:
    """The mask of the table, or that of an interrupted raster."""
    if "measured" not in head.beside or arranged.dims != ("y", "x"):
        return arranged.measured
    told = np.asarray(arranged.spread(table.rows[:, head.beside["measured"][0]]) == 1)
    return told if arranged.measured is None else told & arranged.measured
