"""Checks every spectrum of an imzML pair before anything is made of it; faults name spectrum, pixel and bytes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError
from ssbmaps.io._imzml_binary import UUID_BYTES, blocks, gather

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from ssbmaps.io._imzml_header import ArrayColumns, Header
    from ssbmaps.io._mass_axis import MassRequest

_SHOWN = 5  # spectra named one by one for each kind of fault
_DEFLATE_LIMIT = 1032  # zlib cannot expand further, so a header that promises more is wrong


class SpectrumFaults:
    """Which spectra cannot be used, and why; `settle` raises, or with skip_bad warns."""

    def __init__(self, header: Header) -> None:
        self.bad = np.zeros(header.size, bool)
        self.name = header.name
        self._header = header
        self._texts: list[str] = []

    def add(self, mask: NDArray[np.bool_], text: Callable[[int], str]) -> None:
        """Note the spectra in `mask` that have no fault yet; `text` says what is wrong with one of them."""
        new = np.flatnonzero(mask & ~self.bad)
        self._texts += [f"{self._header.label(int(i))}: {text(int(i))}" for i in new[:_SHOWN]]
        if len(new) > _SHOWN:
            self._texts.append(f"and {len(new) - _SHOWN} more spectra like the last one.")
        self.bad |= mask

    def texts(self) -> list[str]:
        """What was noted, spectrum by spectrum."""
        return list(self._texts)

    def settle(self, *, skip_bad: bool) -> None:
        """Raise FormatError if any spectrum is bad; with `skip_bad`, warn with how many instead, unless all are."""
        count, total = int(self.bad.sum()), len(self.bad)
        if count == 0:
            return
        letter = "\n".join(f"- {t}" for t in self._texts)
        if skip_bad and count < total:
            text = f"{self._header.name}: {count} of {total} spectra skipped, their pixels marked as not measured:\n{letter}"
            warnings.warn(text, DataQualityWarning, stacklevel=5)
            return
        advice = "None is left to read." if count == total else "skip_bad=True skips them and marks their pixels as not measured."
        raise FormatError(f"{self._header.name}: {count} of {total} spectra cannot be read. {advice}\n{letter}")


def check_structure(
    mz: ArrayColumns, intensity: ArrayColumns, *, size: int, ibd: str, empty_spectra: str, faults: SpectrumFaults
) -> None:
    """Everything that header and file size alone can tell, before a byte is read or allocated."""
    both_empty = (mz.length == 0) & (intensity.length == 0)
    _check_places("m/z", mz, size, ibd, faults)
    _check_places("intensity", intensity, size, ibd, faults)
    faults.add(
        mz.length != intensity.length,
        lambda i: f"{mz.length[i]} m/z values ({_bytes(mz, i)}) but {intensity.length[i]} intensities ({_bytes(intensity, i)}).",
    )
    if empty_spectra == "error":
        faults.add(
            both_empty,
            lambda i: (
                f"its arrays are empty ({_bytes(mz, i)}). A file cannot say whether nothing was measured or nothing was found; "
                "if the exporter writes pixels without counts like this, pass empty_spectra='zero'."
            ),
        )


def _check_places(name: str, columns: ArrayColumns, size: int, ibd: str, faults: SpectrumFaults) -> None:
    """Offsets and lengths of one kind of array against the file and against each other."""
    width, deflated = columns.width, columns.deflated
    unstated = (columns.offset < 0) | (columns.length < 0)
    faults.add(unstated, lambda _: f"its {name} array states no usable external offset and array length.")
    used = ~unstated & (columns.length > 0)
    faults.add(
        used & (columns.offset + columns.stored_bytes(size + 1) > size),
        lambda i: f"its {name} array should fill {_bytes(columns, i)}, beyond the end of {ibd} ({size} bytes).",
    )
    faults.add(
        used & (columns.offset < UUID_BYTES),
        lambda i: f"its {name} array should start at byte {columns.offset[i]}, inside the UUID.",
    )
    faults.add(
        used & ~deflated & (columns.encoded != -1) & (columns.encoded != columns.length * width),
        lambda i: (
            f"its {name} array states {columns.encoded[i]} bytes from byte {columns.offset[i]}, but {columns.length[i]} values "
            f"of {8 * width[i]} bits need {columns.length[i] * width[i]}."
        ),
    )
    faults.add(
        used & deflated & ((columns.encoded <= 0) | (columns.length > (columns.encoded.clip(0) + 1) * _DEFLATE_LIMIT // width)),
        lambda i: f"its {name} array cannot inflate from {columns.encoded[i]} bytes to {columns.length[i]} values.",
    )


def _bytes(columns: ArrayColumns, i: int) -> str:
    dtype, deflated = columns.types[int(columns.code[i])]
    stored = int(columns.encoded[i]) if deflated else int(columns.length[i]) * dtype.itemsize
    return f"bytes {columns.offset[i]} to {int(columns.offset[i]) + stored}"


@dataclass(slots=True)
class Scan:
    """What the values of all good spectra have in common."""

    mz: NDArray[np.float64]  # sorted union of the m/z inside the asked range
    lowest: float
    highest: float
    whole: bool  # every intensity is a whole number that its type can tell from its neighbours
    total: float
    largest: float
    negative: NDArray[np.bool_]
    dtype: np.dtype[Any]


def scan_values(
    ibd: Path, mz: ArrayColumns, intensity: ArrayColumns, request: MassRequest, faults: SpectrumFaults, *, union: bool
) -> Scan:
    """Read all arrays once in blocks: check m/z and intensities, collect the mass axis and the kind of numbers."""
    stored = np.result_type(*(t for t, _ in intensity.types))
    result = Scan(np.empty(0), np.inf, -np.inf, True, 0.0, 0.0, np.zeros(len(faults.bad), bool), stored.newbyteorder("="))
    exact = min((2.0 ** (np.finfo(t).nmant + 1) for t, _ in intensity.types if t.kind == "f"), default=np.inf)
    common = shared(mz, faults.bad)
    pieces: list[NDArray[np.float64]] = []
    if common is not None:
        values, ok = _mz_of(ibd, mz, np.array([common]), faults)
        if not ok.all():
            first = faults.texts()[-1].split(": ", 1)[-1]
            faults.add(~faults.bad, lambda _: f"shares the m/z array of another spectrum: {first}")
            return result
        pieces = _collect(result, values, request, pieces, union=union)
    good = np.flatnonzero(~faults.bad)
    for part in blocks(intensity.length[good]):
        rows = good[part]
        usable = np.ones(len(rows), bool)
        if common is None:
            values, usable = _mz_of(ibd, mz, rows, faults)
        counts, counts_ok = _intensities_of(ibd, intensity, rows, faults)
        keep = np.repeat(usable & counts_ok, intensity.length[rows])
        if common is None:
            pieces = _collect(result, values[keep], request, pieces, union=union)
        _judge(result, counts[keep], np.repeat(rows, intensity.length[rows])[keep], exact)
    result.mz = _merged(pieces)
    return result


def shared(mz: ArrayColumns, bad: NDArray[np.bool_]) -> int | None:
    """One good spectrum that stands for all if every good spectrum points at the same m/z array, else None."""
    good = np.flatnonzero(~bad & (mz.length > 0))
    if len(good) < 2:
        return None
    same = (mz.offset[good] == mz.offset[good[0]]) & (mz.length[good] == mz.length[good[0]]) & (mz.code[good] == mz.code[good[0]])
    return int(good[0]) if same.all() and len(good) == np.count_nonzero(~bad) else None


def _collect(
    result: Scan, values: NDArray[np.float64], request: MassRequest, pieces: list[NDArray[np.float64]], *, union: bool
) -> list[NDArray[np.float64]]:
    """Add the m/z inside the range to the union and the limits; small pieces wait, so that merging stays cheap."""
    inside = values[request.inside(values)]
    if inside.size:
        result.lowest, result.highest = min(result.lowest, float(inside.min())), max(result.highest, float(inside.max()))
        if union:
            pieces.append(np.unique(inside))
    return [_merged(pieces)] if len(pieces) > 8 else pieces


def _merged(pieces: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.unique(np.concatenate(pieces)) if pieces else np.empty(0)


def _judge(result: Scan, counts: NDArray[Any], row_of: NDArray[np.int64], exact: float) -> None:
    """Whether the values can be counts, how large they get, and which spectra hold negative ones.

    Floats from `exact` on cannot be told from their neighbours, so that being whole says nothing about them.
    """
    if counts.size == 0:
        return
    if counts.dtype.kind == "f":
        result.whole = result.whole and bool((counts == np.floor(counts)).all()) and float(np.abs(counts).max()) < exact
    result.total += float(counts.sum(dtype=np.float64))
    result.largest = max(result.largest, float(counts.max()))
    result.negative[np.unique(row_of[counts < 0])] = True


def _mz_of(
    ibd: Path, mz: ArrayColumns, rows: NDArray[np.int64], faults: SpectrumFaults
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """m/z of some spectra as float64, and which of these are finite, above 0 and strictly ascending."""
    length = mz.length[rows]
    raw, broken = gather(ibd, mz.take(rows))
    values = raw.astype(np.float64, copy=False)
    ends = np.cumsum(length)
    step = values[1:] > values[:-1]
    inner = ends[:-1][(ends[:-1] > 0) & (ends[:-1] < len(values))] - 1
    step[inner] = True
    nonsense = ~(np.isfinite(values) & (values > 0))
    faults.add(_mask(rows[broken], faults), lambda i: f"its m/z array does not inflate ({_bytes(mz, i)}).")
    faults.add(
        _mask(_owners(nonsense, ends, rows), faults),
        lambda i: f"its m/z array holds NaN, infinity or 0 and less ({_bytes(mz, i)}).",
    )
    faults.add(_mask(_owners(~step, ends, rows), faults), lambda i: _disorder(values, ends, rows, mz, i))
    return values, ~faults.bad[rows]


def _mask(spectra: NDArray[np.int64], faults: SpectrumFaults) -> NDArray[np.bool_]:
    mask = np.zeros(len(faults.bad), bool)
    mask[spectra] = True
    return mask


def _disorder(values: NDArray[np.float64], ends: NDArray[np.int64], rows: NDArray[np.int64], mz: ArrayColumns, i: int) -> str:
    place = int(np.flatnonzero(rows == i)[0])
    own = values[ends[place] - mz.length[i] : ends[place]]
    at = int(np.flatnonzero(own[1:] <= own[:-1])[0])
    kind = "holds m/z twice" if own[at + 1] == own[at] else "is not ascending"
    return f"its m/z array {kind}: {own[at]:.9g} is followed by {own[at + 1]:.9g} at place {at + 2} ({_bytes(mz, i)})."


def _intensities_of(
    ibd: Path, intensity: ArrayColumns, rows: NDArray[np.int64], faults: SpectrumFaults
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    values, broken = gather(ibd, intensity.take(rows))
    ends = np.cumsum(intensity.length[rows])
    faults.add(_mask(rows[broken], faults), lambda i: f"its intensity array does not inflate ({_bytes(intensity, i)}).")
    if values.dtype.kind == "f":
        endless = _mask(_owners(~np.isfinite(values), ends, rows), faults)
        faults.add(endless, lambda i: f"its intensity array holds NaN or infinity ({_bytes(intensity, i)}).")
    return values, ~faults.bad[rows]


def _owners(at: NDArray[np.bool_], ends: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The spectra to which flagged values belong."""
    return rows[np.unique(np.searchsorted(ends, np.flatnonzero(at), side="right"))]
