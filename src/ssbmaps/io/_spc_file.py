"""The parts of an SPC file: header (new and old format), subfiles with their x, y, z and w values, and the log's text."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.io._bytes import Bytes

NEW, NEW_BIG, OLD = 0x4B, 0x4C, 0x4D
_HEAD, _OLD_HEAD, _SUB, _LOG, _ENTRY = 512, 256, 32, 64, 12
_SHORT, _MULTI, _RANDOM, _ORDERED, _LABELS, _XYXY, _XVALUES = 0x01, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80
_FLOAT = -128
KNOWN_X = (*range(31), 255)
KNOWN_Y = (*range(27), *range(128, 132))


@dataclass(slots=True)
class Header:
    """What the header says. `types` are the codes of x, y, z and w."""

    version: int
    flags: int
    exponent: int
    points: int
    ends: tuple[float, float]
    subfiles: int
    types: tuple[int, int, int, int]
    z_step: float = 0.0
    planes: int = 0
    w_step: float = 0.0
    log: int = 0
    experiment: int = 0
    label: str = ""
    comment: str = ""
    source: str = ""

    @property
    def order(self) -> str:
        """Byte order as `struct` and numpy write it."""
        return ">" if self.version == NEW_BIG else "<"

    @property
    def multi(self) -> bool:
        """Whether the file may hold several subfiles."""
        return bool(self.flags & _MULTI)


@dataclass(slots=True)
class Subfiles:
    """Where the subfiles' y values lie, and what stands in their own headers; `x` is the one axis of all."""

    x: NDArray[np.float64]
    at: NDArray[np.int64]
    exponents: NDArray[np.int64]
    z: NDArray[np.float64]
    w: NDArray[np.float64]
    end: int
    notes: list[str] = field(default_factory=list)


def header(data: Bytes) -> Header:
    """The header of either format, or a letter."""
    version = data.unpack("BB", 0, "the header")[1]
    if version == OLD:
        return _old_header(data)
    if version not in (NEW, NEW_BIG):
        raise FormatError(
            f"{data.name}: the second byte is {version:#04x}; an SPC file has 0x4b, 0x4c or 0x4d there. It is another format."
        )
    order = ">" if version == NEW_BIG else "<"
    flags, _, experiment, exponent, points, first, last, subfiles = data.unpack(f"{order}BBBbIddI", 0, "the header")
    x, y, z, _ = data.unpack("4B", 28, "the header")
    log = data.unpack(f"{order}I", 248, "the header")[0]
    z_step, planes, w_step, w = data.unpack(f"{order}fIfB", 312, "the header")
    data.need(0, _HEAD, "the header")
    found = Header(
        version, flags, exponent, points, (first, last), subfiles, (x, y, z, w), z_step, planes, w_step, log, experiment
    )
    if flags & _LABELS:
        found.label = data.text(218, 30, "the labels")
    found.comment, found.source = data.text(88, 130, "the comment"), data.text(45, 9, "the source")
    if not found.multi:
        found.subfiles = 1
    if found.subfiles < 1 or found.subfiles > len(data) // _SUB or not np.isfinite((*found.ends, z_step, w_step)).all():
        raise FormatError(
            f"{data.name}: the header declares {found.subfiles} subfiles from x = {first:g} to {last:g}; the file has "
            f"{len(data)} bytes. It is cut short or damaged; copy or export it again."
        )
    return found


def _old_header(data: Bytes) -> Header:
    flags, _, exponent, points, first, last, x, y, year = data.unpack("<BBhfffBBH", 0, "the header (old format)")
    data.need(0, _OLD_HEAD, "the header (old format)")
    if not np.isfinite((points, first, last)).all() or points < 1 or points % 1 or points > len(data):
        raise FormatError(f"{data.name}: the header (old format) declares {points:g} points; the file has {len(data)} bytes.")
    if flags & (_XYXY | _XVALUES) or abs(exponent) > 127:
        raise FormatError(
            f"{data.name}: is of the old SPC format (0x4d) with x values or floating-point y (flags {flags:#04x}, exponent "
            f"{exponent}); no description of these is public. Save it again in the new format, with GRAMS or the instrument."
        )
    count = 1
    if flags & _MULTI:
        size = int(points) * (2 if flags & _SHORT else 4)
        count = max((len(data) - _OLD_HEAD + _SUB) // (_SUB + size), 1)
    comment = data.text(64, 130, "the comment")
    return Header(OLD, flags, exponent, int(points), (first, last), count, (x, y, year >> 12, 0), comment=comment)


def subfiles(data: Bytes, head: Header) -> Subfiles:
    """The subfiles' places and headers; every one must lie in the file."""
    if head.flags & _XYXY:
        return _own_axes(data, head)
    start = _HEAD if head.version != OLD else _OLD_HEAD - _SUB
    if head.points < 1:
        raise FormatError(f"{data.name}: the header declares {head.points} points for each subfile. The file is damaged.")
    if head.flags & _XVALUES:
        stored = data.array(f"{head.order}f4", head.points, start, "the x values")
        start += 4 * head.points
        x = _double(stored)
    else:
        data.need(start, head.points, "the y values")
        x = np.linspace(*head.ends, head.points)
    size = _SUB + head.points * _width(head)
    data.need(start, size * head.subfiles, f"{head.subfiles} subfiles of {head.points} points")
    heads = np.asarray(data.data[start : start + size * head.subfiles]).reshape(head.subfiles, size)[:, :_SUB]
    at = start + _SUB + size * np.arange(head.subfiles)
    found = Subfiles(x, at, *_values(head, heads), end=start + size * head.subfiles)
    if head.version == OLD and head.multi:
        rest = len(data) - found.end
        found.notes.append(
            f"the old SPC format does not say how many subfiles there are; {head.subfiles} complete ones are in the file"
            + (f", and {rest} bytes of another" if rest else "")
        )
    return found


def _own_axes(data: Bytes, head: Header) -> Subfiles:
    """Subfiles with x values each, found by the directory if there is one; all must have the same x."""
    places, at = np.zeros(head.subfiles, np.int64), _HEAD
    if head.points:
        kind = np.dtype([("at", f"{head.order}u4"), ("size", f"{head.order}u4"), ("z", f"{head.order}f4")])
        raw = data.array(np.uint8, head.subfiles * _ENTRY, head.points, "the directory of subfiles")
        places = np.asarray(raw).view(kind)["at"].astype(np.int64)
    heads = np.empty((head.subfiles, _SUB), np.uint8)
    x, first, end = np.empty(0), b"", 0
    for i in range(head.subfiles):
        at = int(places[i]) if head.points else at
        heads[i] = np.frombuffer(data.raw(at, _SUB, f"the header of subfile {i}"), np.uint8)
        (points,) = struct.unpack_from(f"{head.order}I", heads[i].tobytes(), 16)
        data.need(at + _SUB, points * (4 + _width(head)), f"subfile {i} with {points} points")
        raw_x = data.raw(at + _SUB, 4 * points, f"the x values of subfile {i}")
        if i == 0:
            first, x = raw_x, _double(np.frombuffer(raw_x, f"{head.order}f4"))
        if raw_x != first or points < 1:
            raise FormatError(
                f"{data.name}: subfile {i} has {points} points on another x axis than subfile 0 with {len(x)}; ssbmaps reads "
                "spectra that share one axis. Save the subfiles one by one, or interpolated to one axis."
            )
        places[i] = at + _SUB + 4 * points
        at = int(places[i]) + points * _width(head)
        end = max(end, at)
    return Subfiles(x, places, *_values(head, heads), end=end)


def _double(values: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def _width(head: Header) -> int:
    """Bytes of a y value."""
    return 2 if head.flags & _SHORT and head.exponent != _FLOAT else 4


def _values(head: Header, heads: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Exponent, z and w of each subfile."""
    packed = np.ascontiguousarray(heads)
    exponents = packed[:, 1].view(np.int8).astype(np.int64) if head.multi else np.full(len(heads), head.exponent)
    if head.exponent == _FLOAT:
        exponents[:] = _FLOAT
    z, z_next, w = (_double(packed[:, k : k + 4].copy().view(f"{head.order}f4")[:, 0]) for k in (4, 8, 24))
    planes = max(head.planes, 1)
    number = np.arange(len(heads))
    with np.errstate(over="ignore", invalid="ignore"):
        if head.multi and not head.flags & (_ORDERED | _RANDOM):  # evenly spaced: the first z, and a step
            step = head.z_step if head.z_step != 0 else z_next[0] - z[0]
            z = z[0] + step * (number % max(len(heads) // planes, 1))
        if head.planes and head.w_step != 0:
            w = w[0] + head.w_step * (number // max(len(heads) // planes, 1))
    return exponents, z, w


def spectra(data: Bytes, head: Header, found: Subfiles) -> NDArray[Any]:
    """(subfiles, points): float32 where floats are stored, float64 where fractions with an exponent are."""
    points, width = len(found.x), _width(head)
    floats = found.exponents == _FLOAT
    if width == 2 and floats.any():
        raise FormatError(f"{data.name}: mixes 16-bit and floating-point subfiles, whose places cannot be told. Save it anew.")
    raw = _raw(data, found.at, points * width)
    if head.version == OLD and width == 4:  # the words of a number are stored high word first
        raw = np.ascontiguousarray(raw.reshape(len(raw), points, 2, 2)[:, :, ::-1]).reshape(len(raw), -1)
    if floats.all():
        return np.array(raw.view(f"{head.order}f4"), np.float32)
    whole = raw.view(f"{head.order}i{width}")
    values: NDArray[np.float64] = np.ldexp(whole.astype(np.float64), (np.where(floats, 0, found.exponents) - 8 * width)[:, None])
    if floats.any():
        values[floats] = _double(raw[floats].view(f"{head.order}f4"))
    return values


def _raw(data: Bytes, at: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """(subfiles, bytes): a view into the file where they are evenly spaced, as they mostly are."""
    step = int(at[1] - at[0]) if len(at) > 1 else size
    if step >= size and (np.diff(at) == step).all():
        start, stop = int(at[0]), int(at[-1]) + size
        whole = np.asarray(data.data[start:stop])
        return np.lib.stride_tricks.as_strided(whole, (len(at), size), (step, 1), writeable=False)
    return np.stack([np.asarray(data.data[p : p + size]) for p in at.tolist()])


def log_text(data: Bytes, head: Header) -> tuple[dict[str, str], str | None]:
    """The log's KEY = VALUE lines, and what is wrong with it, if anything."""
    if not head.log:
        return {}, None
    size, _, text_at = data.unpack(f"{head.order}III", head.log, "the log")
    data.need(head.log, min(_LOG, max(size, 1)), "the log")
    stop = min(head.log + size, len(data))
    note = None
    if head.log + size > len(data):
        note = f"the log should have {size} bytes; {len(data) - head.log} are in the file, so settings may be missing"
    start = head.log + text_at
    text = data.text(start, stop - start, "the log's text") if start < stop else ""
    pairs = (line.partition("=") for line in text.replace("\r", "\n").split("\n") if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip()}, note


def plausible(head: bytes) -> bool:
    """Whether the first bytes can be an SPC header: version, types, points and ends of the axis make sense."""
    if len(head) < _OLD_HEAD or head[:4] == b"PK\x03\x04":
        return False
    if head[1] == OLD:
        _, _, exponent, points, first, last, x, y = struct.unpack_from("<BBhfffBB", head)
        types = x in KNOWN_X and y in KNOWN_Y
        return types and abs(exponent) <= 128 and _sensible(points, first, last) and points % 1 == 0
    if head[1] not in (NEW, NEW_BIG) or len(head) < _HEAD:
        return False
    order = ">" if head[1] == NEW_BIG else "<"
    points, first, last, count = struct.unpack_from(f"{order}IddI", head, 4)
    x, y, z = head[28:31]
    types = x in KNOWN_X and y in KNOWN_Y and z in KNOWN_X and head[2] <= 14
    return types and count < 1 << 24 and _sensible(max(points, 1), first, last)


def _sensible(points: float, first: float, last: float) -> bool:
    return math.isfinite(points) and 0 < points < 1 << 31 and max(abs(first), abs(last)) < 1e12
