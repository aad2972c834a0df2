"""Tables of numbers in text, read many at once: every field checked, every value rounded correctly."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW = 256  # bytes; so few numbers are read faster one by one
_PIECE = 1 << 18  # bytes worked on at once, so that the temporaries stay small
LARGE = 1 << 24  # bytes from which on loading the compiler pays
_SOME = 1 << 18  # the same where it is loaded already, or where empty fields make the other road slow
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?nan", re.IGNORECASE | re.ASCII)


def table(
    raw: bytes,
    columns: int,
    *,
    subject: str,
    first_line: int,
    separator: str = "\t",
    decimal: str = ".",
    missing: bool = False,
    large: bool = False,
) -> NDArray[np.float64]:
    """(lines, columns) numbers of `raw`, which ends with a line end; FormatError with the line that does not hold them.

    "nan" is NaN; infinity is refused. An empty field is refused, too, unless `missing` says that it stands for NaN. Lines are
    counted as an editor counts them, from `first_line`. `large`: `raw` is a part of much more.
    """
    if raw and not raw.endswith(b"\n"):
        last = first_line + raw.count(b"\n")
        raise FormatError(
            f"{subject}: the last line, {last}, has no line end: the file is cut short. If it is complete, add a line end."
        )
    mark = separator.encode()
    worth = "ssbmaps.io._decimals_kernel" in sys.modules or (missing and (mark + mark in raw or mark + b"\n" in raw))
    compiled = large or len(raw) >= (_SOME if worth else LARGE)
    result = np.empty((np.count_nonzero(np.frombuffer(raw, np.uint8) == 10), columns))
    begin = row = 0
    while begin < len(raw):
        if compiled:
            row, begin = _compiled(raw, begin, result, row, separator, decimal, missing)
            if begin == len(raw):
                break
        end = raw.rfind(b"\n", begin, begin + _PIECE) + 1 or raw.find(b"\n", begin) + 1
        piece = raw[begin:end]
        part = result[row : row + piece.count(b"\n")]
        if len(piece) < _FEW or not _quick(piece, part, separator, decimal):  # the slow road finds the fault
            for i, line in enumerate(piece.decode("latin-1").split("\n")[:-1]):
                where = f"{subject}: line {first_line + row + i}"
                part[i] = row_of(line, columns, where, separator, decimal, missing=missing)
        begin, row = end, row + len(part)
    return result


def row_of(line: str, columns: int, where: str, separator: str | None, decimal: str, *, missing: bool = False) -> list[float]:
    """The numbers of one line, or a letter that says what is wrong with it; `where` names file and line."""
    fields = [f.strip() for f in line.split(separator)]
    if len(fields) != columns:
        raise FormatError(f"{where} has {len(fields)} fields, expected {columns}. The file is cut short or damaged.")
    return [value_of(f, where, decimal, missing=missing) for f in fields]


def value_of(field: str, where: str, decimal: str = ".", *, missing: bool = False) -> float:
    """One number, or a letter; Python would also take 1_000 and infinity."""
    if not field and missing:
        return float("nan")
    text = field if decimal == "." else field.replace(".", "?").replace(decimal, ".")
    value = float(text) if _NUMBER.fullmatch(text) else float("inf")
    if value in (float("inf"), float("-inf")):
        raise FormatError(f"{where} holds {field[:40]!r} where a number is expected.")
    return value


def _compiled(
    raw: bytes, begin: int, result: NDArray[np.float64], row: int, separator: str, decimal: str, missing: bool
) -> tuple[int, int]:
    """Fill `result` from `row` on; row and byte of the first line with anything but plain numbers of at most 15 digits or so."""
    from ssbmaps.io._decimals_kernel import fill

    rows, bytes_ = fill(np.frombuffer(raw, np.uint8)[begin:], ord(separator), ord(decimal), missing, result[row:])
    return row + int(rows), begin + int(bytes_)


def _quick(piece: bytes, result: NDArray[np.float64], separator: str, decimal: str) -> bool:
    """Fill `result`; False if something in the piece is not as expected."""
    if b"_" in piece or (decimal != "." and b"." in piece) or not piece.strip():
        return False
    if decimal != ".":
        piece = piece.replace(decimal.encode(), b".")
    try:
        values = np.loadtxt(io.BytesIO(piece), delimiter=separator, comments=None, ndmin=2, encoding="latin-1")
    except ValueError:
        return False
    if values.shape != result.shape or np.isinf(values).any():
        return False
    result[:] = values
    return True
