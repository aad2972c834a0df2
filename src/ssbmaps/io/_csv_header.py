"""The header line of a table of spectra: which column is what, and in which unit; nothing is taken without one."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ssbmaps._conventions import SPECTRAL_UNITS
from ssbmaps._errors import Faults, FormatError
from ssbmaps.io import _pixels
from ssbmaps.io._positions import SERIES

if TYPE_CHECKING:
    from collections.abc import Sequence

_CHANNEL = re.compile(r"(?:(?P<axis>[a-z_]+)_)?(?P<value>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,2})?)")
_SHIFTS = ("1/cm", "cm-1", "cm^-1", "cm⁻¹", "cm**-1")
_ENERGIES = {"ev": 1.0, "kev": 1e3, "mev": 1e-3}  # → eV
_TIMES = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_PLACES = ("x", "y", "z", "stage_x", "stage_y", "distance_along")
_BESIDE = ("stage_x", "stage_y", "distance_along", "measured", "point")
_OF_UNIT = {**dict.fromkeys(_SHIFTS, "raman_shift"), "nm": "wavelength", "kev": "energy", "da": "mz"}
EXAMPLE = "x (um),y (um),raman_shift (1/cm),intensity (counts)"


@dataclass(frozen=True, slots=True)
class Header:
    """Columns by what they hold. `channels` are the values of an axis that runs along the header itself."""

    labels: tuple[str, ...]
    separator: str
    axis: str  # name of the spectral dimension
    axis_column: int | None
    axis_factor: float  # to the contract's unit
    positions: dict[str, tuple[int, float]]  # column and factor
    beside: dict[str, tuple[int, float]]  # coordinates that are no position
    values: dict[str, tuple[int, str]]  # column and unit of each set of values, or of each spectrum
    channels: dict[int, float] = field(default_factory=dict)

    @property
    def in_columns(self) -> bool:
        """Whether each spectrum has a column of its own, beside that of the axis."""
        return self.axis_column is not None and not self.positions and not self.beside


def labels_of(line: str) -> tuple[list[str], str]:
    """The labels and what separates them: a tab, a semicolon or a comma."""
    separator = next((s for s in "\t;" if s in line), ",")
    rows = list(csv.reader([line], delimiter=separator))
    return [label.strip() for label in (rows[0] if rows else [])], separator


def split(label: str) -> tuple[str, str]:
    """Name and unit of a label, e.g. "Raman shift (1/cm)" → "raman_shift", "1/cm"."""
    name, unit = label.strip(), ""
    if name.endswith((")", "]")):
        start = max(name.rfind("("), name.rfind("["))
        inner = name[start + 1 : -1]
        if start >= 0 and not set(inner) & set(")]"):
            name, unit = name[:start], inner
    return "_".join(name.lower().replace("_", " ").split()), unit.strip()


def number(label: str) -> tuple[str, float, str] | None:
    """Axis name (or ""), value and unit of a label that is a channel: "520.5", "520.5 (1/cm)", "kinetic_energy 1500 (eV)"."""
    name, unit = split(label)
    found = _CHANNEL.fullmatch(name)
    if found is None or (found["axis"] or "mz") not in SPECTRAL_UNITS:
        return None
    return found["axis"] or "", float(found["value"]), unit


def is_header(line: str) -> bool:
    """Whether `line` names a spectral axis, or positions and at least three channels."""
    try:
        labels, _ = labels_of(line)
    except csv.Error:
        return False
    found = [split(label) for label in labels] or [("", "")]
    if len(labels) > 1 and any(name in SPECTRAL_UNITS and unit != "ev" for name, unit in found):  # "ev" is JEOL's spelling
        return True
    return found[0][0] in (*_PLACES, *SERIES) and sum(number(label) is not None for label in labels) > 2


def parse(line: str, *, subject: str) -> Header:
    """The columns; all faults of the header in one letter."""
    labels, separator = labels_of(line)
    found = [split(label) for label in labels]
    axes = [i for i, (name, _) in enumerate(found) if name in SPECTRAL_UNITS]
    channels = {} if axes else {i: n for i, label in enumerate(labels) if (n := number(label)) is not None}
    if not axes and not channels:
        raise FormatError(f"{subject}: the header names no spectral axis: {line.strip()[:80]!r}. Expected e.g. {EXAMPLE!r}.")
    positions: dict[str, tuple[int, float]] = {}
    beside: dict[str, tuple[int, float]] = {}
    values: dict[str, tuple[int, str]] = {}
    with Faults(f"{subject}: header", FormatError) as faults:
        main = next((i for i in axes if found[i][0] == "raman_shift"), axes[0] if axes else None)
        axis, factor = _axis(labels, found, main, channels, faults)
        for i, (name, unit) in enumerate(found):
            if i == main or i in channels:
                continue
            scale = _scale(name, unit)
            known = name in (*SERIES, *_PLACES, *_BESIDE, *SPECTRAL_UNITS)
            faults.expect(
                not known or scale is not None,
                f"column {labels[i]!r} has {f'the unit {unit!r}' if unit else 'no unit'}; expected e.g. {_wanted(name)!r}.",
            )
            twice = name in positions or name in beside or labels[i] in values
            faults.expect(not twice, f"two columns are called {labels[i]!r}.")
            if not known:
                values[labels[i]] = (i, unit)
            elif name in _BESIDE or name in SPECTRAL_UNITS:
                beside[name] = (i, scale or 1.0)
            else:
                positions[name] = (i, scale or 1.0)
        faults.expect(bool(values or channels), f"no column holds intensities; expected e.g. {EXAMPLE!r}.")
    return Header(
        tuple(labels), separator, axis, main, factor, positions, beside, values, {i: v for i, (_, v, _) in channels.items()}
    )


def _axis(
    labels: Sequence[str],
    found: Sequence[tuple[str, str]],
    main: int | None,
    channels: dict[int, tuple[str, float, str]],
    faults: Faults,
) -> tuple[str, float]:
    """Name of the spectral dimension, and the factor to its unit."""
    if main is not None:
        name, unit = found[main]
    else:
        first = min(channels)
        name, _, unit = channels[first]
        name = name or _OF_UNIT.get(unit.lower(), "")
        others = {(n, u) for n, _, u in channels.values()} - {channels[first][::2], ("", "")}
        faults.expect(not others, f"the channels name different axes or units: {labels[first]!r} and {sorted(others)}.")
        if not faults.expect(
            bool(name),
            f"channel {labels[first]!r} does not say its axis; expected e.g. '520.5 (1/cm)' or 'kinetic_energy 1500 (eV)'.",
        ):
            return "raman_shift", 1.0
    scale = _scale(name, unit)
    label = labels[main if main is not None else min(channels)]
    faults.expect(
        scale is not None,
        f"the spectral axis {label!r} has {f'the unit {unit!r}' if unit else 'no unit'}; expected e.g. {_wanted(name)!r}.",
    )
    return name, scale or 1.0


def _scale(name: str, unit: str) -> float | None:
    """Factor to the contract's unit of a column called `name`; None if `unit` is none that it can have."""
    if name in _PLACES:
        return _pixels.in_um("1", unit, default="") if unit else None
    if name == "time":
        return _TIMES.get(unit.lower())
    if name == "raman_shift":
        return 1.0 if unit.lower() in _SHIFTS else None
    if name == "wavelength":
        return 1.0 if unit.lower() == "nm" else None
    if name in ("kinetic_energy", "binding_energy"):
        return _ENERGIES.get(unit.lower())
    if name == "energy":
        return _ENERGIES[unit.lower()] / 1e3 if unit.lower() in _ENERGIES else None
    if name == "mz":
        return 1.0 if unit.lower() in ("da", "u") else None
    return 1.0


def _wanted(name: str) -> str:
    unit = SPECTRAL_UNITS.get(name, "s" if name == "time" else "um")
    return f"{name} ({unit})"
