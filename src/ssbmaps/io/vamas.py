"""VAMAS (ISO 14976), the standard transfer format of surface analysis: Auger and XPS spectra and maps, in every mode."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError, SsbmapsError
from ssbmaps.io import _dense, _held, _pixels, _report, _vamas_images, _vamas_spectra
from ssbmaps.io._vamas_blocks import Experiment, experiment, metadata
from ssbmaps.io._vamas_header import IMAGES, ION, MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.io._vamas_layout import Plan
    from ssbmaps.io._vamas_parts import Block

NAME = "VAMAS"
EXTENSIONS = (".vms", ".npl", ".vamas")
TECHNIQUE = "sam"
_TECHNIQUES = {"AES diff": "sam", "AES dir": "sam", "EDX": "eds"}
_UNITS = {"c/s": "counts/s", "eV": "eV", "nA": "nA", "V": "V"}
_PIECE = 1 << 16  # numbers worked on at once
_EXTREMES = 1e-3  # relative; how far the stated lowest and highest value may lie from those in the file (they are rounded)


@dataclass(frozen=True, slots=True)
class _Choice:
    """One data set: the blocks that make it, and which of their corresponding variables it is."""

    name: str
    blocks: Sequence[Block]
    variable: int


def sniff(path: Path) -> bool:
    """Whether the first line that is not blank is the standard's."""
    return _held.head(path, 4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(MAGIC.encode())


def info(path: Path) -> dict[str, Any]:
    """The headers of all blocks; no ordinate is read."""
    found = experiment(path, skip_bad=True)
    choices = _choices(found)
    chosen = choices[0]
    notes = [*found.notes, *([found.broken] if found.broken else [])]
    if len({id(c.blocks) for c in choices}) > 1:
        notes.append(f"dims, shape and axis are those of {chosen.name!r}; dataset= chooses another.")
    plan = _plan(found, chosen.blocks)
    size, why = _pixels.file_size(plan.stated, plan.raster) if plan.raster else (None, "no raster, so no pixel size.")
    ends = None
    if plan.axis:
        factor = _vamas_spectra.axis_name(chosen.blocks[0].fields, path.name)[1]
        low, high = _vamas_spectra.axis_range(chosen.blocks[0])
        ends = (low * factor, high * factor)
    hint = f" {plan.stated.hint}" if size is None and plan.stated.hint else ""
    return _report.report(
        technique=_technique(found, chosen.blocks[0]),
        dims=plan.dims,
        shape=plan.shape,
        pixel_size=size,
        pixel_size_note=why + hint,
        axis_range=ends,
        datasets=[c.name for c in choices],
        warnings=[*notes, *plan.notes],
        mode=found.head.mode,
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,
) -> xr.DataArray:
    """Read one spectral region, or all images, of an experiment."""
    found = experiment(path, skip_bad=skip_bad)
    choice = _choose(path.name, found, dataset)
    plan = _plan(found, choice.blocks)
    pixel = None
    if plan.raster:
        pixel = _pixels.resolve(path.name, plan.stated, plan.raster, pixel_size=pixel_size, tilt=tilt)
    _dense.check_declared(plan.shape, 8, file_size=found.lines.size, subject=path.name, what="the data set")
    data, notes = _fill(found, plan, variable=choice.variable, skip_bad=skip_bad)
    kept = f"{found.broken} The {len(found.blocks)} complete blocks of {found.head.blocks} are kept." if found.broken else ""
    told = [*found.notes, *([kept] if kept else []), *plan.notes, *notes]
    if told:
        text = " ".join(n if n.startswith(path.name) else f"{path.name}: {n}" for n in told)
        warnings.warn(text, DataQualityWarning, stacklevel=3)
    block = choice.blocks[0]
    label, unit = block.fields.variables[choice.variable]
    result = _dense.Found(
        path=path,
        data=data,
        dims=plan.dims,
        units=_units(label, unit, block, data),
        long_name=label or "intensity",
        technique=_technique(found, block),
        metadata=metadata(found),
        coords=plan.coords,
        pixel=pixel,
        measured=plan.measured,
        attrs={} if found.head.mode == "SEM" else _attributes(block),
    )
    arguments = {"reader": "vamas", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "skip_bad": skip_bad}
    return _dense.array(result, arguments=arguments, chunks=chunks)


def _choices(found: Experiment) -> list[_Choice]:
    """Every data set, those of the first variable of each region first."""
    if found.head.mode in IMAGES:
        groups = _vamas_images.groups(found)
    elif found.head.mode == "SDPSV":
        groups = {"profile": found.blocks}
    else:
        groups = _vamas_spectra.regions(found)
    first = 1 if found.head.scan == "IRREGULAR" else 0  # the abscissa is the first corresponding variable
    short = [g[0].number for g in groups.values() if len(g[0].fields.variables) <= first]
    if short:
        raise FormatError(f"{found.lines.name}: block {short[0]} has one corresponding variable; IRREGULAR needs a second one.")
    plain = [_Choice(name, blocks, first) for name, blocks in groups.items()]
    more = [
        _Choice(f"{name}: {label}", blocks, i)
        for name, blocks in groups.items()
        for i, (label, _) in enumerate(blocks[0].fields.variables)
        if i > first
    ]
    choices = plain + more
    return [replace(c, name=name) for c, name in zip(choices, _report.unique([c.name for c in choices]), strict=True)]


def _choose(subject: str, found: Experiment, dataset: str | None) -> _Choice:
    """By name; by the identifier of a block; by the label of a variable, where only one region has it."""
    choices = _choices(found)
    if dataset is None and len({id(c.blocks) for c in choices}) == 1:
        return choices[0]
    names = [c.name for c in choices]
    if dataset is not None and dataset not in names:
        labelled = [c for c in choices if c.blocks[0].fields.variables[c.variable][0] == dataset]
        single = [b for b in found.blocks if b.identifier == dataset]
        if len(labelled) == 1:
            return labelled[0]
        if len(single) == 1:
            return _Choice(dataset, single, choices[0].variable)
    return choices[names.index(_report.choose(subject, names, dataset))]


def _plan(found: Experiment, blocks: Sequence[Block]) -> Plan:
    if any(b.fields.technique in ION and b.fields.technique != "ISS" for b in blocks):
        raise SsbmapsError(
            f"{found.lines.name}: technique {blocks[0].fields.technique}; ssbmaps reads electron spectra and maps from VAMAS. "
            "Mass spectra come by imzML, SIMS-H5 and the other ToF-SIMS formats."
        )
    if found.head.mode in IMAGES:
        return _vamas_images.plan(found, blocks)
    if found.head.mode == "SDPSV":
        return _vamas_images.profile_plan(blocks)
    return _vamas_spectra.plan(found, blocks)


def _fill(found: Experiment, plan: Plan, *, variable: int, skip_bad: bool) -> tuple[NDArray[np.float64], list[str]]:
    """The array, NaN where there is no block or its ordinate is missing, and what should be known of it."""
    data = np.full(plan.shape, np.nan)
    irregular = found.head.scan == "IRREGULAR"
    odd, bad = 0, list[str]()
    for block, place, columns in _columns(found, plan):
        try:
            if columns is None:  # the slow road says what is wrong
                wide = len(block.fields.variables)
                columns = found.lines.values(block.first, block.count * wide).reshape(block.count, wide)
            if irregular:
                _same_abscissa(found, plan, block, columns[:, 0])
        except FormatError as error:
            if not skip_bad:
                raise
            bad.append(str(error))
            _leave_out(plan, place)
            continue
        values = columns[:, variable]
        data[place] = values if plan.arrange is None else plan.arrange(values)
        odd += _contradicts(values, block.extremes[2 * variable : 2 * variable + 2])
    notes = [f"{len(bad)} of {len(plan.blocks)} blocks cannot be read and are left out; the first: {bad[0]}"] if bad else []
    if odd:
        notes.append(
            f"in {odd} of {len(plan.blocks)} blocks the lowest and highest ordinate are not those that the header states."
        )
    if len(bad) == len(plan.blocks):
        raise FormatError(f"{found.lines.name}: no block can be read. {bad[0]}")
    return data, notes


def _columns(found: Experiment, plan: Plan) -> Iterator[tuple[Block, tuple[int, ...], NDArray[np.float64] | None]]:
    """Each block with its place and its numbers (set, variable), or None where they cannot be read; many blocks at a time."""
    pairs = list(zip(plan.blocks, plan.places, strict=True))
    sizes = np.cumsum([b.count * len(b.fields.variables) for b in plan.blocks])
    begin = 0
    while begin < len(pairs):
        done = sizes[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(sizes, done + _PIECE, side="right")))
        part = pairs[begin:stop]
        joined = found.lines.joined([(b.first, b.count * len(b.fields.variables)) for b, _ in part])
        at = 0
        for block, place in part:
            wide = len(block.fields.variables)
            yield block, place, None if joined is None else joined[at : at + block.count * wide].reshape(block.count, wide)
            at += block.count * wide
        begin = stop


def _leave_out(plan: Plan, place: tuple[int, ...]) -> None:
    """Mark the pixel of a block that cannot be read."""
    if plan.raster is not None and plan.axis:
        plan.measured = np.ones(plan.raster, bool) if plan.measured is None else plan.measured
        plan.measured[place[-2:]] = False


def _same_abscissa(found: Experiment, plan: Plan, block: Block, values: NDArray[np.float64]) -> None:
    """Take the abscissa of the first block; the others must have the same."""
    subject = f"{found.lines.name}: block {block.number}"
    values = values * _vamas_spectra.axis_name(block.fields, found.lines.name)[1]
    if not np.isfinite(values).all():
        raise FormatError(f"{subject}: its abscissa holds missing values.")
    known = plan.coords.setdefault(plan.axis, values)
    if not np.allclose(known, values, rtol=1e-9, atol=0):
        raise FormatError(
            f"{subject}: its abscissa differs from that of block {plan.blocks[0].number}; read it by its identifier."
        )


def _contradicts(values: NDArray[np.float64], stated: Sequence[float]) -> bool:
    """Whether the header's extremes are not those of the values; zeros and missing ones say nothing."""
    low, high = stated
    if (low == 0 and high == 0) or not low <= high or max(abs(low), abs(high)) > 1e36:
        return False
    least, most = float(values.min()), float(values.max())
    if least != least:  # missing values
        known = values[np.isfinite(values)]
        if not known.size:
            return False
        least, most = float(known.min()), float(known.max())
    allowed = _EXTREMES * max(abs(least), abs(most))
    return abs(least - low) > allowed or abs(most - high) > allowed


def _units(label: str, unit: str, block: Block, data: NDArray[np.float64]) -> str:
    """ "counts" for whole numbers from pulse counting without another unit; else the file's own, or "arbitrary"."""
    if unit in _UNITS:
        return _UNITS[unit]
    counted = block.fields.said.get("signal mode", "") == "pulse counting" and unit == "d"
    if counted and re.search("intensity|count", label, re.IGNORECASE):
        pieces = (data.reshape(-1)[i : i + _PIECE] for i in range(0, data.size, _PIECE))
        if not any(np.any((piece < 0) | (piece % 1 > 0)) for piece in pieces):  # NaN is neither
            return "counts"
    return "arbitrary"


def _technique(found: Experiment, block: Block) -> str:
    return "sem" if found.head.mode == "SEM" else _TECHNIQUES.get(block.fields.technique, block.fields.technique.lower())


def _attributes(block: Block) -> dict[str, Any]:
    """Derivative or direct, and the energy of the beam (eV) of Auger data."""
    technique, energy = block.fields.technique, block.fields.real("analysis source energy")
    if not technique.startswith("AES"):
        return {}
    mode = {"spectrum_mode": "derivative" if technique == "AES diff" else "direct"}
    return {**mode, **({"beam_energy": energy} if energy is not None and energy > 0 else {})}
