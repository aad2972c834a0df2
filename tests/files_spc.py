"""Writes small SPC files of every layout; spectra, axes and places are those of files_raman.py.

Multi-files hold the 6 spectra of the map, z = 0 … 5, as floats; time series 4 spectra as integers with exponents 12, 13, 13, 14
and z from 1 min in steps of 1/30 min; planes have z along x and w along y in mm. The single spectrum has exponent 6. The old
format holds 3 spectra (or 1) of the time series divided by 8, exponent 9, z = 0, 2, 4 s. The log says EXCIT_LINE = 532.
"""

from __future__ import annotations

import runpy
import struct
from pathlib import Path

import numpy as np

raman = runpy.run_path(str(Path(__file__).with_name("files_raman.py")), run_name="files_raman")
Example, Real, fuzzing, planted = raman["Example"], raman["Real"], raman["fuzzing"], raman["planted"]
POINTS, ROWS, DEPTHS, STEP_Y = raman["POINTS"], raman["ROWS"], raman["DEPTHS"], raman["STEP_Y"]
STEP_X, STEP_T, FIRST_Y, FIRST_X = raman["STEP_X"], raman["STEP_T"], raman["FIRST_Y"], raman["FIRST_X"]
SHIFT, NM = raman["SHIFT"], raman["NM"]


def spc_header(
    *,
    flags: int,
    points: int,
    subfiles: int,
    exponent: int = -128,
    types: tuple[int, int, int, int] = (13, 4, 0, 0),
    ends: tuple[float, float] = (400.0, 800.0),
    z_step: float = 0.0,
    planes: int = 0,
    w_step: float = 0.0,
    log: int = 0,
    order: str = "<",
    label: bytes = b"",
) -> bytes:
    """The header of the new format, 512 bytes."""
    head = bytearray(512)
    version = 0x4B if order == "<" else 0x4C
    struct.pack_into(f"{order}BBBbIddI", head, 0, flags, version, 0, exponent, points, *ends, subfiles)
    struct.pack_into("3B", head, 28, *types[:3])
    head[88 : 88 + 7] = b"planted"
    head[218 : 218 + len(label)] = label
    struct.pack_into(f"{order}I", head, 248, log)
    struct.pack_into(f"{order}fIfB", head, 312, z_step, planes, w_step, types[3])
    return bytes(head)


def spc_subfile(
    number: int, z: float = 0.0, z_next: float = 0.0, w: float = 0.0, exponent: int = -128, points: int = 0, order: str = "<"
) -> bytes:
    """A subfile's header, 32 bytes."""
    return struct.pack(f"{order}BbHfffIIf4x", 0, exponent, number, z, z_next, 0.0, points, 0, w)


def spc_log(text: str, order: str = "<") -> bytes:
    """The log block."""
    return struct.pack(f"{order}5I44x", 64 + len(text), 4096, 64, 0, 0) + text.encode()


LOG = "EXCIT_LINE = 532\r\nOPERATOR = A. Person\r\nGRATING = 300\r\nOriginal File = C:\\Users\\person\\a.spc\r\n"


def fractions(spectrum: np.ndarray, exponent: int, kind: str) -> bytes:
    """Values as fractions of 2 ** exponent in integers of 16 or 32 bits."""
    bits = 8 * np.dtype(kind).itemsize
    return np.rint(np.ldexp(spectrum, bits - exponent)).astype(kind).tobytes()


def spc_map(folder: Path, *, common_x: bool = True, log: str | None = LOG, order: str = "<", types=(3, 4, 0, 0)) -> Path:
    """6 subfiles of floats with one set of x values, in nm, descending; or even in 1/cm. z is 0 … 5."""
    rows = planted()[0].reshape(-1, POINTS)
    flags, x, ends = (0x94, NM[::-1].astype(f"{order}f4").tobytes(), (550.0, 540.0)) if common_x else (0x14, b"", (400.0, 800.0))
    body = x + b"".join(spc_subfile(i, float(i), order=order) + row.astype(f"{order}f4").tobytes() for i, row in enumerate(rows))
    at = 512 + len(body) if log else 0
    head = spc_header(flags=flags, points=POINTS, subfiles=len(rows), types=types, ends=ends, log=at, order=order)
    path = folder / "map.spc"
    path.write_bytes(head + body + (spc_log(log, order) if log else b""))
    return path


def spc_even(folder: Path) -> Path:
    """The map with even x in 1/cm and no log."""
    return spc_map(folder, common_x=False, log=None, types=(13, 4, 0, 0))


def spc_big_endian(folder: Path) -> Path:
    """The same with the most significant byte first."""
    return spc_map(folder, common_x=False, order=">", types=(13, 4, 0, 0))


def spc_times(folder: Path, *, short: bool = False) -> Path:
    """4 subfiles of integers of 32 (or 16) bits with exponents 12 to 14; z from 1 min in steps of 1/30 min."""
    kind, flags = ("<i2", 0x05) if short else ("<i4", 0x04)
    rows, start = planted(DEPTHS)[:, 0, 0], 1.0
    body = b"".join(
        spc_subfile(i, start if i == 0 else 0.0, exponent=12 + (i > 0) + (i > 2)) + fractions(row, 12 + (i > 0) + (i > 2), kind)
        for i, row in enumerate(rows)
    )
    head = spc_header(flags=flags, points=POINTS, subfiles=DEPTHS, exponent=12, types=(13, 4, 5, 0), z_step=1 / 30)
    path = folder / "times.spc"
    path.write_bytes(head + body)
    return path


def spc_shorts(folder: Path) -> Path:
    """The same in 16 bits: exponents 12 to 14 leave steps of 1/16 to 1/4."""
    return spc_times(folder, short=True)


def spc_planes(folder: Path) -> Path:
    """The map with z along x and w along y, both in mm, evenly spaced."""
    rows = planted()[0].reshape(-1, POINTS)
    body = b"".join(
        spc_subfile(i, FIRST_X / 1e3 if i == 0 else 0.0, w=FIRST_Y / 1e3 if i == 0 else 0.0) + row.astype("<f4").tobytes()
        for i, row in enumerate(rows)
    )
    head = spc_header(
        flags=0x04,
        points=POINTS,
        subfiles=6,
        types=(13, 12, 29, 29),
        z_step=STEP_X / 1e3,
        planes=ROWS,
        w_step=STEP_Y / 1e3,
    )
    path = folder / "planes.spc"
    path.write_bytes(head + body)
    return path


def spc_own_x(folder: Path, *, directory: bool = True, other: int | None = None) -> Path:
    """3 subfiles with x values each, listed last to first in a directory; subfile `other` has another axis."""
    rows, parts, at, places = planted(1, 1)[0, 0], [], 512, []
    for i in reversed(range(3)) if directory else range(3):
        x = SHIFT + (1.0 if i == other else 0.0)
        part = spc_subfile(i, float(i), points=POINTS) + x.astype("<f4").tobytes() + rows[i].astype("<f4").tobytes()
        places.append((i, at, len(part)))
        parts.append(part)
        at += len(part)
    listed = b"".join(struct.pack("<IIf", p, size, float(i)) for i, p, size in sorted(places)) if directory else b""
    head = spc_header(flags=0xD4, points=at if directory else 0, subfiles=3)
    path = folder / "own_x.spc"
    path.write_bytes(head + b"".join(parts) + listed)
    return path


def spc_single(folder: Path, *, types=(13, 4, 0, 0), flags: int = 0, label: bytes = b"") -> Path:
    """One spectrum of 32-bit integers, exponent 6."""
    head = spc_header(flags=flags, points=POINTS, subfiles=1, exponent=6, types=types, label=label)
    path = folder / "single.spc"
    path.write_bytes(head + spc_subfile(0, exponent=6) + fractions(planted()[0, 0, 0], 6, "<i4"))
    return path


def swapped(spectrum: np.ndarray, exponent: int) -> bytes:
    """32-bit fractions with the high word first, as the old format has them."""
    words = np.frombuffer(fractions(spectrum, exponent, "<i4"), "<u2").reshape(-1, 2)
    return np.ascontiguousarray(words[:, ::-1]).tobytes()


def spc_old(folder: Path, subfiles: int = 3, *, short: bool = False) -> Path:
    """The old format: 3 subfiles (or 1) of 5 points, 400 to 800 1/cm, exponent 9; z in s: 0, 2, 4."""
    head = bytearray(256)
    flags = (0x14 if subfiles > 1 else 0) | short
    struct.pack_into("<BBhfffBBH", head, 0, flags, 0x4D, 9, float(POINTS), 400.0, 800.0, 13, 4, 1996 | 4 << 12)
    rows = planted(subfiles)[:, 0, 0] / 8
    packed = [fractions(row, 9, "<i2") if short else swapped(row, 9) for row in rows]
    parts = [spc_subfile(i, STEP_T * i, exponent=9) + part for i, part in enumerate(packed)]
    path = folder / "old.spc"
    path.write_bytes(bytes(head[:224]) + b"".join(parts))
    return path


def spc_old_single(folder: Path) -> Path:
    """The old format with one spectrum."""
    return spc_old(folder, 1)


def spc_parts(content: bytes) -> list[int]:
    """Where header, x values, subfiles and log begin, for files of 5 points in one byte order."""
    order = ">" if content[1] == 0x4C else "<"
    if content[1] == 0x4D:
        return [0, 224, 256, *range(224, len(content), 32 + 4 * POINTS)]
    start = 512 + (4 * POINTS if content[0] & 0x80 and not content[0] & 0x40 else 0)
    size = 32 + POINTS * (2 if content[0] & 1 else 4) * (2 if content[0] & 0x40 else 1)
    (count,) = struct.unpack_from(f"{order}I", content, 24)
    (log,) = struct.unpack_from(f"{order}I", content, 248)
    return [
        0,
        512,
        start,
        *(start + i * size + part for i in range(count + 1) for part in (0, 32)),
        *([log, log + 64] * bool(log)),
    ]


EXAMPLES = [
    Example("SPC multi-file", "spc", spc_map, boundaries=spc_parts),
    Example("SPC map by shape", "spc", spc_even, {"shape": (2, 3), "pixel_size": (1.5, 2.5)}, boundaries=spc_parts),
    Example("SPC, high byte first", "spc", spc_big_endian, boundaries=spc_parts),
    Example("SPC time series", "spc", spc_times, boundaries=spc_parts),
    Example("SPC time series, 16 bits", "spc", spc_shorts, boundaries=spc_parts),
    Example("SPC planes", "spc", spc_planes, boundaries=spc_parts),
    Example("SPC with a directory", "spc", spc_own_x, boundaries=spc_parts),
    Example("SPC spectrum", "spc", spc_single, boundaries=spc_parts),
    Example("SPC, old format", "spc", spc_old, boundaries=spc_parts),
    Example("SPC spectrum, old format", "spc", spc_old_single, boundaries=spc_parts),
]
WITEC = {"shape": (25, 1024), "raman_shift": (87.7367, 2821.3061), "sum": 28371431, "max": 8784}
REAL = [
    Real("spc/Witec-Map.spc", "spc", WITEC),
    Real("spc/Witec-Map.spc", "spc", {**WITEC, "shape": (5, 5, 1024)}, {"shape": (5, 5), "pixel_size": 1.0}),
]
