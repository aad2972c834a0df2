"""Sets of Auger line images: a folder with one image for each line and window, read into (line, y, x)."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, Faults, FormatError
from ssbmaps.io import _dense, _image_set, _pixels, _report
from ssbmaps.io._public import public
from ssbmaps.io._report import unique

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr

NAME = "Auger line images"
EXTENSIONS = (*_image_set.TIFF, *_image_set.TEXT)
TECHNIQUE = "sam"
READS_FOLDERS = True
TABLE = "lines.csv"
_NEEDED = ("file", "line")
_OPTIONAL = (
    "window",
    "kinetic_energy",
    "kinetic_energy_low",
    "kinetic_energy_high",
    "pixel_size",
    "pixel_size_y",
    "pixel_size_x",
    "units",
)
_ENERGIES = ("kinetic_energy", "kinetic_energy_low", "kinetic_energy_high")
_UNITS = ("counts", "counts/s", "arbitrary")
_EXAMPLE = "file,line,window,kinetic_energy\nNi_1.tif,Ni LMM,peak,846\nNi_2.tif,Ni LMM,background,860"
_ELEMENTS = (
    "Li|Be|B|C|N|O|F|Ne|Na|Mg|Al|Si|P|S|Cl|Ar|K|Ca|Sc|Ti|V|Cr|Mn|Fe|Co|Ni|Cu|Zn|Ga|Ge|As|Se|Br|Kr|Rb|Sr|Y|Zr|Nb|Mo|Tc|Ru|Rh|Pd|"
    "Ag|Cd|In|Sn|Sb|Te|I|Xe|Cs|Ba|La|Ce|Pr|Nd|Pm|Sm|Eu|Gd|Tb|Dy|Ho|Er|Tm|Yb|Lu|Hf|Ta|W|Re|Os|Ir|Pt|Au|Hg|Tl|Pb|Bi|Th|U"
)
# An element and the three shells of its transition: Ni_LMM, S LVV, O-KLL, NiLMM, Ni L3M45M45.
_TRANSITION = re.compile(rf"(?<![A-Za-z])({_ELEMENTS})[ _.-]?([K-O]\d{{0,2}}[K-OV]\d{{0,2}}[K-OV]\d{{0,2}})(?![A-Za-z])")
_WINDOW = {"peak": "peak", "pk": "peak", "background": "background", "bkg": "background", "bgd": "background", "bg": "background"}
_WORD = re.compile(rf"(?<![A-Za-z])({'|'.join(_WINDOW)})(?![A-Za-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Line:
    """What one file is."""

    path: Path
    transition: str
    window: str
    energies: tuple[float, float, float] = (float("nan"),) * 3
    pixel: _image_set.Pixel = (None, None)
    units: str = ""


def sniff(path: Path) -> bool:
    """Whether the folder has a table lines.csv, or an image whose name tells an Auger transition."""
    try:
        return _table_of(path) is not None or any(_named(p) is not None for p in _image_set.image_files(path))
    except OSError:
        return False


def info(path: Path) -> dict[str, Any]:
    """Shapes and names; of text images the lines are counted, not parsed."""
    lines, notes = _lines_of(path)
    images = [_image_set.matrix(line.path) for line in lines]
    shape = _image_set.same_shape(images)
    stated = _stated(path, lines, images)
    size, why = _pixels.file_size(stated, shape)
    return _report.report(
        technique=TECHNIQUE,
        dims=("line", "y", "x"),
        shape=(len(lines), *shape),
        pixel_size=size,
        pixel_size_note=why if size is not None else f"{why} {stated.hint}".strip(),
        datasets=("lines",),
        warnings=notes,
        lines=tuple(_names(lines)),
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  an image that cannot be read is not left out silently
) -> xr.DataArray:
    """Read all images of the folder, in the order of its table or of their names."""
    _report.choose(path.name, ("lines",), dataset)
    lines, notes = _lines_of(path)
    images = [_image_set.matrix(line.path) for line in lines]
    shape = _image_set.same_shape(images)
    pixel = _pixels.resolve(path.name, _stated(path, lines, images), shape, pixel_size=pixel_size, tilt=tilt)
    for note in notes:
        warnings.warn(f"{path.name}: {note}", DataQualityWarning, stacklevel=3)
    coords = {
        "line": ("line", np.array(_names(lines)), {"long_name": "Auger line and window"}),
        "transition": ("line", np.array([line.transition for line in lines]), {"long_name": "Auger transition"}),
        "window": ("line", np.array([line.window for line in lines]), {"long_name": "peak or background"}),
        "file": ("line", np.array([line.path.name for line in lines]), {"long_name": "image file"}),
    }
    for k, name in enumerate(_ENERGIES):
        values = np.array([line.energies[k] for line in lines])
        if k == 0 or np.isfinite(values).any():
            coords[name] = ("line", values, {"units": "eV", "long_name": name.replace("_", " ")})
    table = _table_of(path)
    units = {line.units for line in lines}
    found = _dense.Found(
        path=path,
        data=_image_set.stacked(images),
        dims=("line", "y", "x"),
        units=units.pop() if len(units) == 1 and units != {""} else "arbitrary",
        long_name="intensity",
        technique=TECHNIQUE,
        metadata={"format": NAME, "images": [public(dict(image.header)) for image in images]},
        coords=coords,
        pixel=pixel,
        attrs={"source_sha256": _image_set.digest([*(line.path for line in lines), *([table] if table else [])])},
    )
    return _dense.array(found, arguments={"reader": "line_images", "pixel_size": pixel_size, "tilt": tilt}, chunks=chunks)


def _table_of(folder: Path) -> Path | None:
    return next((p for p in sorted(folder.iterdir()) if p.name.lower() == TABLE and p.is_file()), None)


def _names(lines: Sequence[_Line]) -> list[str]:
    return unique([line.transition if line.window == "peak" else f"{line.transition} {line.window}" for line in lines])


def _lines_of(folder: Path) -> tuple[list[_Line], list[str]]:
    """What each image is, from the table or else from the names; and which images are left out."""
    if not folder.is_dir():
        raise FormatError(f"{folder.name}: is one file; give the folder that holds the images of all lines.")
    table = _table_of(folder)
    files = [p for p in _image_set.image_files(folder) if p != table]
    if table is not None:
        lines = _from_table(table)
        unread = sorted({p.name for p in files} - {line.path.name for line in lines})
        notes = [f"{', '.join(unread)} in the folder, but not in {table.name}; not read."] if unread else []
        return lines, notes
    named = [(p, _named(p)) for p in files]
    unknown = [p.name for p, line in named if line is None]
    if unknown or not named:
        raise FormatError(
            f"{folder.name}: {', '.join(unknown[:5]) or 'no image'} in the folder; expected names with one Auger transition, "
            f"such as 'Ni_LMM_peak.tif' or 'S LVV background.csv'. Or put a table {TABLE} beside the images:\n{_EXAMPLE}"
        )
    return [line for _, line in named if line is not None], []


def _named(path: Path) -> _Line | None:
    """The line in a file name; None unless it holds exactly one transition and at most one word for the window."""
    stem = path.name[: -len(path.suffix)]
    found, words = _TRANSITION.findall(stem), _WORD.findall(stem)
    if len(found) != 1 or len({_WINDOW[w.lower()] for w in words}) > 1:
        return None
    return _Line(path, " ".join(found[0]), _WINDOW[words[0].lower()] if words else "peak")


def _from_table(table: Path) -> list[_Line]:
    rows = _image_set.table(table, needed=_NEEDED, optional=_OPTIONAL)
    lines: list[_Line] = []
    with Faults(f"{table.parent.name}/{table.name}", FormatError) as faults:
        files = [row["file"] for row in rows]
        for row in rows:
            where = f"{table.name}, {row['file'] or '(no file)'}"
            path = table.parent / row["file"]
            plain = bool(row["file"]) and path.name == row["file"] and "/" not in row["file"] and "\\" not in row["file"]
            good = faults.expect(plain and path.is_file(), f"file {row['file']!r} is not in the folder.")
            good &= faults.expect(files.count(row["file"]) == 1, f"file {row['file']!r} is listed more than once.")
            good &= faults.expect(path.suffix.lower() in EXTENSIONS, f"file {row['file']!r} is no {', '.join(EXTENSIONS)}.")
            window = row.get("window", "").lower() or "peak"
            good &= faults.expect(bool(row["line"]), f"file {row['file']!r} has no line, such as 'Ni LMM'.")
            good &= faults.expect(window in _WINDOW, f"window {window!r} of {row['file']!r}; expected 'peak' or 'background'.")
            units = row.get("units", "")
            good &= faults.expect(units in ("", *_UNITS), f"units {units!r} of {row['file']!r}; expected {', '.join(_UNITS)}.")
            if good:
                energies = tuple(_image_set.number(row, name, where) for name in _ENERGIES)
                pixel = _table_pixel(row)
                lines.append(_Line(path, _tidy(row["line"]), _WINDOW[window], energies, pixel, units))  # type: ignore[arg-type]
    return lines


def _tidy(transition: str) -> str:
    """ "Ni_LMM" and "NiLMM" as "Ni LMM"; any other text as it is."""
    match = _TRANSITION.fullmatch(transition)
    return " ".join(match.groups()) if match else transition


def _table_pixel(row: dict[str, str]) -> _image_set.Pixel:
    """Pixel size of the table, in um by definition."""
    y, x = (row.get(f"pixel_size_{axis}") or row.get("pixel_size") for axis in "yx")
    return (_pixels.length(y, "um", default="um") if y else None), (_pixels.length(x, "um", default="um") if x else None)


def _stated(folder: Path, lines: Sequence[_Line], images: Sequence[_image_set.Matrix]) -> _pixels.Stated:
    table = [(f"{TABLE} ({line.path.name})", line.pixel) for line in lines]
    stated = _image_set.agreed([*table, *((image.path.name, image.pixel) for image in images)])
    return stated if stated.hint else _pixels.Stated(stated.pixel, hint=f"{TABLE} in {folder.name} may have a column pixel_size.")
