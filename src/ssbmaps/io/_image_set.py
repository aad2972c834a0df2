"""Sets of single images, one file each: TIFF or text matrices of one shape, a table that says what they are, one pixel size."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps._provenance import file_sha256
from ssbmaps.io import _lines, _pixels
from ssbmaps.io._tiff_file import PHOTOMETRIC, TiffFile
from ssbmaps.io._tiff_images import Image, images
from ssbmaps.io._tiff_pixels import stack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TIFF = (".tif", ".tiff")
TEXT = (".csv", ".txt", ".asc", ".dat")
_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?|nan", re.IGNORECASE)
_KEY = re.compile(r"([A-Za-z][^:=,;\t]*)[:=,;\t](.*)")
_PIXEL = re.compile(r"pixel[ _]?size(?:[ _]([xy]))?(?:[ _]?[(\[]?([^)\]]*)[)\]]?)?", re.IGNORECASE)
_VALUE = re.compile(r"\s*([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*([^\d\s]*)\s*")
_PALETTE = 3

Pixel = tuple[_pixels.Length | None, _pixels.Length | None]  # (y, x)


@dataclass(frozen=True, slots=True)
class Matrix:
    """One image, its numbers not yet read: shape (rows, columns), pixel size (y, x) and the header's `key: value` lines."""

    path: Path
    shape: tuple[int, int]
    pixel: Pixel
    header: Mapping[str, str] = field(default_factory=dict)
    text: _Text | None = None

    def values(self) -> NDArray[Any]:
        """The numbers."""
        if self.text is None:
            return _tiff_values(self.path)
        values = _lines.numbers(
            self.text.rows,
            columns=self.shape[1],
            subject=self.path.name,
            first_line=self.text.first + 1,
            separator=self.text.separator,
            decimal=self.text.decimal,
        )
        if np.isinf(values).any():
            row = int(np.argmax(np.isinf(values).any(axis=1)))
            raise FormatError(f"{self.path.name}: line {self.text.first + 1 + row} holds an infinite value.")
        return values


@dataclass(frozen=True, slots=True)
class _Text:
    rows: Sequence[str]
    first: int  # lines before them
    separator: str | None
    decimal: str


def image_files(folder: Path) -> list[Path]:
    """Images of the folder by name; hidden files and tables of contents are no images."""
    return sorted(
        (p for p in folder.iterdir() if p.suffix.lower() in (*TIFF, *TEXT) and not p.name.startswith(".") and p.is_file()),
        key=lambda p: p.name,
    )


def matrix(path: Path) -> Matrix:
    """Shape, pixel size and header of an image file."""
    return _tiff(path) if path.suffix.lower() in TIFF else _text(path)


def _text(path: Path) -> Matrix:
    """A header of `key: value` lines or comments, then rows of numbers with one separator."""
    text = _lines.read_text(path)
    if not text.endswith("\n"):
        raise FormatError(
            f"{path.name}: the last line has no line end: the file is cut short. If it is complete, add a line end."
        )
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    header: dict[str, str] = {}
    for i, line in enumerate(lines):
        layout = _layout(line)
        if layout is not None:
            separator, decimal, columns = layout
            rows = [r.rstrip(f"{separator or ''} ") for r in lines[i:]] if separator else lines[i:]
            found = _Text(rows, i, separator, decimal)
            return Matrix(path, (len(rows), columns), header_pixel(header), header, found)
        _header_line(path.name, i + 1, line, header)
    raise FormatError(f"{path.name}: holds no row of numbers.")


def _layout(line: str) -> tuple[str | None, str, int] | None:
    """Separator, decimal sign and columns of a row of numbers; None if the line is none."""
    for separator in ("\t", ";", ",", None):
        if separator is not None and separator not in line:
            continue
        fields = [f.strip() for f in (line.rstrip(f"{separator} ") if separator else line).split(separator)]
        if fields and all(_NUMBER.fullmatch(f) for f in fields):
            comma = separator != "," and any("," in f for f in fields)
            if comma and any("." in f for f in fields):
                return None
            return separator, "," if comma else ".", len(fields)
        if separator is not None:
            return None
    return None


def _header_line(subject: str, number: int, line: str, header: dict[str, str]) -> None:
    said = line.strip().strip('"')
    comment = said.startswith(("#", "//", "%"))
    match = _KEY.fullmatch(said.lstrip("#/% "))
    if match:
        header[match[1].strip()] = match[2].strip().strip('"')
    elif said and not comment:
        raise FormatError(
            f"{subject}: line {number} is {said[:60]!r}; expected a header line 'key: value', a comment '# …', or a row of "
            "numbers with one separator."
        )


def header_pixel(header: Mapping[str, str]) -> Pixel:
    """Pixel size (y, x) from header lines `pixel size: 0.4 um`, or `pixel size x (um): 0.4` and y."""
    found: dict[str, _pixels.Length] = {}
    for key, value in header.items():
        match, number = _PIXEL.fullmatch(key), _VALUE.fullmatch(value)
        if match and number:
            size = _pixels.length(number[1], (number[2] or match[2] or "").strip(), default="?")
            found |= dict.fromkeys((match[1] or "yx").lower(), size)
    return found.get("y"), found.get("x")


def _tiff(path: Path) -> Matrix:
    _, image = _grey(path)
    return Matrix(path, image.pages[0].shape[:2], image.stated.pixel)


def _grey(path: Path) -> tuple[TiffFile, Image]:
    """The one grey image of a file."""
    file = TiffFile(path)
    found = images(file)
    image, page = found[0], found[0].pages[0]
    if len(found) > 1 or image.planes > 1 or page.shape[2] > 1 or page.number(PHOTOMETRIC, 1) == _PALETTE:
        many = f"{sum(i.planes for i in found)} images" if len(found) > 1 or image.planes > 1 else "a colour image"
        raise FormatError(f"{path.name}: holds {many}; expected one grey image. Export the numbers, not the picture.")
    if image.rows is not None:
        raise FormatError(f"{path.name}: has an info bar below the image. Export the numbers, not the picture.")
    return file, image


def _tiff_values(path: Path) -> NDArray[Any]:
    file, image = _grey(path)
    values = stack(file, image.pages)[0, :, :, 0]
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise FormatError(f"{path.name}: holds infinite values.")
    return values


def table(path: Path, *, needed: Sequence[str], optional: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV table with a header line, every column known; values are text, "" where empty."""
    text = _lines.read_text(path)
    if not text.endswith("\n"):
        raise FormatError(
            f"{path.name}: the last line has no line end: the file is cut short. If it is complete, add a line end."
        )
    lines = [line for line in text.splitlines() if line.strip()]
    separator = next((s for s in ("\t", ";", ",") if lines and s in lines[0]), ",")
    try:
        rows = [[f.strip() for f in row] for row in csv.reader(lines, delimiter=separator)]
    except csv.Error as error:
        raise FormatError(f"{path.name}: is no CSV table ({error}).") from None
    names = [n.lower() for n in rows[0]] if rows else []
    unknown = [n for n in names if n not in (*needed, *optional)]
    missing = [n for n in needed if n not in names]
    if unknown or missing or len(set(names)) != len(names) or len(rows) < 2:
        raise FormatError(
            f"{path.name}: its columns are {', '.join(names) or '(none)'}, with {max(len(rows) - 1, 0)} rows; expected "
            f"{', '.join(needed)} and, as you like, {', '.join(optional)}, each once."
        )
    wrong = next((i for i, row in enumerate(rows) if len(row) != len(names)), None)
    if wrong is not None:
        raise FormatError(f"{path.name}: row {wrong} has {len(rows[wrong])} fields; expected {len(names)}.")
    return [dict(zip(names, row, strict=True)) for row in rows[1:]]


def number(row: Mapping[str, str], name: str, subject: str) -> float:
    """A number of a table, NaN where the field is empty or absent."""
    said = row.get(name, "")
    if not said:
        return float("nan")
    try:
        value = float(said)
    except ValueError:
        value = float("inf")
    if not np.isfinite(value):
        raise FormatError(f"{subject}: {name} is {said[:40]!r}; expected a number.")
    return value


def stacked(matrices: Sequence[Matrix]) -> NDArray[Any]:
    """(image, y, x) in the widest number type among them."""
    same_shape(matrices)
    arrays = [m.values() for m in matrices]
    out = np.empty((len(arrays), *matrices[0].shape), np.result_type(*arrays))
    for i, array in enumerate(arrays):
        out[i] = array
    return out


def same_shape(matrices: Sequence[Matrix]) -> tuple[int, int]:
    """The shape of all images; FormatError naming two that differ."""
    first = matrices[0]
    other = next((m for m in matrices if m.shape != first.shape), None)
    if other is not None:
        raise FormatError(
            f"{first.path.name} has {first.shape[0]} x {first.shape[1]} pixels (y, x) and {other.path.name} has "
            f"{other.shape[0]} x {other.shape[1]}; expected images of one shape. One may be cut short, or show another area."
        )
    return first.shape


def agreed(stated: Sequence[tuple[str, Pixel]]) -> _pixels.Stated:
    """One pixel size out of all that are stated, each with its source; none if two contradict each other, with a hint."""
    said = [(where, pixel) for where, pixel in stated if pixel != (None, None)]
    for where, pixel in said[1:]:
        if not all(_alike(a, b) for a, b in zip(pixel, said[0][1], strict=True)):
            hint = f"{said[0][0]} states the pixel size {_told(said[0][1])} and {where} {_told(pixel)}."
            return _pixels.Stated(hint=hint)
    return _pixels.Stated(said[0][1]) if said else _pixels.Stated()


def _alike(first: _pixels.Length | None, second: _pixels.Length | None) -> bool:
    if first is None or second is None or first.um is None or second.um is None:
        return first == second
    return abs(first.um - second.um) <= 0.01 * first.um  # the contract's limit for lengths that agree


def _told(pixel: Pixel) -> str:
    return " x ".join("nothing" if p is None else p.text for p in pixel) + " (y, x)"


def digest(paths: Sequence[Path]) -> str:
    """SHA-256 of the SHA-256 of the files, one after another."""
    return hashlib.sha256("".join(file_sha256(p) for p in paths).encode()).hexdigest()
