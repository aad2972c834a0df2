"""Renishaw's long text, the export of WiRE: one line for each value, with the position, the shift and the intensity."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError, SsbmapsError
from ssbmaps.io import _decimals, _dense, _lines, _positions, _raman_axis, _report

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "Renishaw text"
EXTENSIONS = (".txt",)
TECHNIQUE = "raman"
_COLUMNS = ("#Time", "#X", "#Y", "#Z", "#Wave", "#Intensity")
_UNITS = ("1/cm", "nm")


def sniff(path: Path) -> bool:
    """Whether the first line names the columns as WiRE does, the last two "#Wave" and "#Intensity"."""
    return _names(_lines.head(path, 256).partition(b"\n")[0]) is not None


def info(path: Path) -> dict[str, Any]:
    """Columns, axis and positions; no intensity is read."""
    names = _header(path)
    axis = _first_axis(path, names)
    starts = [line for i, line in enumerate(_data_lines(path)) if i % len(axis) == 0]
    table = np.array([_decimals.row_of(line.decode("latin-1"), len(names), path.name, None, ".") for line in starts])
    arranged = _arrange(path, table, names)
    size, why = arranged.size()
    return _report.report(
        technique=TECHNIQUE,
        dims=(*arranged.dims, "raman_shift"),
        shape=(*arranged.shape, len(axis)),
        pixel_size=size,
        pixel_size_note=why,
        axis_range=(float(axis.min()), float(axis.max())),
        channels_note="taken as 1/cm; axis_unit='nm' if the export was made in wavelengths",
        warnings=arranged.notes,
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,
    axis_unit: str = "1/cm",
    laser: Any = None,
) -> xr.DataArray:
    """Read all spectra; `skip_bad` leaves out a last spectrum that is cut short."""
    if dataset is not None:
        raise SsbmapsError(f"{path.name}: dataset is {dataset!r}; a text of WiRE holds one set of spectra, so leave it out.")
    if axis_unit not in _UNITS:
        raise SsbmapsError(f"{path.name}: axis_unit is {axis_unit!r}; expected '1/cm' (as WiRE exports Raman spectra) or 'nm'.")
    laser_nm = _raman_axis.parse_laser(laser, subject=path.name)
    names = _header(path)
    axis = _first_axis(path, names)
    table, spectra = _spectra(path, names, axis, skip_bad=skip_bad)
    arranged = _arrange(path, table, names)
    dim, coords = _raman_axis.spectral_axis(axis, axis_unit, laser=laser_nm, subject=path.name)
    found = _dense.Found(
        path=path,
        data=arranged.fill(spectra, path.name),
        dims=(*arranged.dims, dim),
        units="arbitrary",
        long_name="Raman intensity",
        technique=TECHNIQUE,
        metadata={"format": NAME, "columns": list(names)},
        coords={**arranged.coords, **coords},
        pixel=arranged.pixel(path.name, pixel_size=pixel_size, tilt=tilt),
        measured=arranged.measured,
        attrs={} if laser_nm is None else {"laser_wavelength": laser_nm},
    )
    arguments = {"reader": "renishaw_text", "pixel_size": pixel_size, "tilt": tilt, "skip_bad": skip_bad, "laser": laser}
    return _dense.array(found, arguments=arguments | {"axis_unit": None if axis_unit == "1/cm" else axis_unit}, chunks=chunks)


def _names(line: bytes) -> tuple[str, ...] | None:
    """The columns that the first line names, or None if it is not of this format."""
    names = tuple(line.decode("latin-1").split())
    known = len(names) >= 2 and names[-2:] == _COLUMNS[-2:] and set(names) <= {*_COLUMNS} and len({*names}) == len(names)
    return names if known else None


def _header(path: Path) -> tuple[str, ...]:
    line = _lines.head(path, 256).partition(b"\n")[0]
    names = _names(line)
    if names is None:
        raise FormatError(
            f"{path.name}: the first line is {line.decode('latin-1').strip()[:80]!r}; expected the names of the columns as WiRE "
            f"writes them: some of {' '.join(_COLUMNS[:-2])}, and last #Wave #Intensity. Export it with its header."
        )
    return names


def _data_lines(path: Path) -> Any:
    """The lines below the header, one after another."""
    for number, piece in enumerate(_lines.pieces(path, 1 << 20)):
        lines = piece.splitlines()
        yield from lines[1:] if number == 0 else lines


def _first_axis(path: Path, names: tuple[str, ...]) -> NDArray[np.float64]:
    """The axis of the first spectrum: up to another position, its first value, or a line that is none."""
    axis: list[bytes] = []
    place: list[bytes] = []
    for line in _data_lines(path):
        fields = line.split()
        if len(fields) != len(names) or (axis and (fields[-2] == axis[0] or fields[:-2] != place)):
            break
        axis.append(fields[-2])
        place = fields[:-2]
    if not axis:
        raise FormatError(f"{path.name}: holds no values below its header; export it again.")
    return np.array([_decimals.value_of(v.decode("latin-1"), f"{path.name}: line {i + 2}") for i, v in enumerate(axis)])


def _spectra(
    path: Path, names: tuple[str, ...], axis: NDArray[np.float64], *, skip_bad: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first line of every spectrum, and (spectra, channels) intensities; a piece of the file at a time."""
    n, large = len(axis), path.stat().st_size >= _decimals.LARGE
    rows, line = np.empty((0, len(names))), 2  # what does not make a whole spectrum yet; the line where it begins
    firsts: list[NDArray[np.float64]] = []
    values: list[NDArray[np.float64]] = []
    for number, piece in enumerate(_lines.pieces(path)):
        raw = piece.partition(b"\n")[2] if number == 0 else piece
        raw = raw[: raw.rfind(b"\n") + 1] if skip_bad else raw  # what is left of a line that is cut
        got = _decimals.table(raw, len(names), subject=path.name, first_line=line + len(rows), large=large)
        rows = np.concatenate([rows, got]) if len(rows) else got
        whole = len(rows) // n
        block = rows[: whole * n].reshape(whole, n, len(names))
        _check(path, block, names, axis, line)
        firsts.append(block[:, 0].copy())
        values.append(block[:, :, -1].copy())
        rows, line = rows[whole * n :].copy(), line + whole * n
    if len(rows):
        text = f"{path.name}: the last spectrum has {len(rows)} of {n} values; the file is cut short."
        if not skip_bad or not sum(map(len, values)):
            raise FormatError(f"{text} Copy or export it again; skip_bad=True leaves that spectrum out.")
        warnings.warn(f"{text} It is left out.", DataQualityWarning, stacklevel=4)
    return np.concatenate(firsts), np.concatenate(values)


def _check(path: Path, block: NDArray[np.float64], names: tuple[str, ...], axis: NDArray[np.float64], line: int) -> None:
    """Raise unless all spectra have the same axis, and each one position; `line` is where the block begins."""
    n = len(axis)
    for column, what in [(len(names) - 2, "#Wave is"), *((i, f"{name} is") for i, name in enumerate(names[:-2]))]:
        expected = axis if column == len(names) - 2 else block[:, :1, column]
        bad = block[:, :, column] != expected
        if bad.any():
            spectrum, channel = np.unravel_index(np.argmax(bad), bad.shape)
            wanted = np.broadcast_to(expected, bad.shape)[spectrum, channel]
            raise FormatError(
                f"{path.name}: line {line + spectrum * n + channel}: {what} {block[spectrum, channel, column]:.9g}, expected "
                f"{wanted:.9g}: every spectrum has {n} lines with one position and the same shifts. The file is damaged, or puts "
                "together spectra of different measurements."
            )


def _arrange(path: Path, table: NDArray[np.float64], names: tuple[str, ...]) -> _positions.Arranged:
    """Where the spectra belong, from the columns before the shift: um and s."""
    positions = {name[1:].lower(): table[:, i] for i, name in enumerate(names[:-2])}
    return _positions.arrange(positions, len(table), subject=path.name)
