"""What is wrong with single scans of a series: blank, repeated, or measured on another area than the rest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

FALSE_ALARM = 1e-3  # of calling measured rows or columns blank, over the whole series


def unusable_scans(counts: NDArray[Any], names: Sequence[str]) -> tuple[Bools, list[str]]:
    """Which of the (scan, …) counts cannot be aligned, blank or bit-for-bit an earlier one, and a sentence for each."""
    bad, notes = np.zeros(len(counts), bool), []
    first: dict[bytes, str] = {}
    for k, scan in enumerate(counts):
        if not np.nansum(scan, dtype=np.float64) > 0:
            bad[k] = True
            notes.append(f"{names[k]} is blank: no counts at all.")
            continue
        digest = hashlib.sha256(np.ascontiguousarray(scan).tobytes()).digest()
        if digest in first:
            bad[k] = True
            notes.append(f"{names[k]} repeats {first[digest]} count for count; only the earlier one is used.")
        first.setdefault(digest, names[k])
    return bad, notes


def measured_parts(counts: NDArray[Any], measured: Bools, names: Sequence[str]) -> tuple[Bools, list[str]]:
    """(scan, row, column) mask of what each scan of (scan, channel, row, column) counts measured, and a sentence for odd ones.

    NaN is not measured. Nor are rows or columns without any count where the other scans let many expect: a run of them
    is taken as blank if its probability, at the expected number of counts, is below a thousandth for the whole series.
    """
    masks = np.broadcast_to(measured, (len(counts), *measured.shape)).copy()
    notes: list[str] = []
    if counts.dtype.kind == "f":
        masks &= np.isfinite(counts).all(axis=1)
        areas = masks.sum(axis=(1, 2))
        for k in map(int, np.flatnonzero(areas != np.median(areas))):
            notes.append(f"{names[k]} is of another size: {areas[k]} pixels measured, {int(np.median(areas))} in most scans.")
    image = np.nansum(counts, axis=1, dtype=np.float64) * masks
    for axis, word in ((1, "rows"), (2, "columns")):
        lines = image.sum(axis=3 - axis)
        for k, start, stop, expected in _blank_runs(lines):
            (masks[k, start:stop] if axis == 1 else masks[k, :, start:stop])[...] = False
            notes.append(
                f"{names[k]} holds no counts in {word} {start} to {stop - 1} of {lines.shape[1]}, where {expected:.0f} are "
                "expected from the other scans; they are taken as not measured."
            )
    return masks, notes


def _blank_runs(lines: Floats) -> list[tuple[int, int, int, float]]:
    """(scan, start, stop, expected) of runs of zeros in (scan, line) sums that chance does not explain."""
    share = lines.sum(axis=1) / max(lines.sum(), 1.0)
    limit = np.log(lines.size / FALSE_ALARM)
    runs = []
    for k in np.flatnonzero((lines == 0).any(axis=1)):
        expected = share[k] * (lines.sum(axis=0) - lines[k]) / max(1 - share[k], 1e-12)
        edges = np.flatnonzero(np.diff(np.concatenate(([0], (lines[k] == 0).astype(np.int8), [0]))))
        for start, stop in edges.reshape(-1, 2):
            if share[k] > 0 and expected[start:stop].sum() > limit:
                runs.append((int(k), int(start), int(stop), float(expected[start:stop].sum())))
    return runs
