"""HyperSpy's axes and our dimensions: which is which by name and unit, and never by guess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import CHANNEL_DIMS, DIM_ORDER, LONG_NAMES, RASTER_DIMS, SPECTRAL_UNITS
from ssbmaps._errors import Faults, FormatError
from ssbmaps.io import _pixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

EVEN = 1e-9  # relative to the step: below it an axis counts as uniform
# Names, in lower case, that programs give to axes of which we have a dimension. Our own names stand for themselves.
_NAMES = {
    "width": "x",
    "height": "y",
    "x axis": "x",
    "y axis": "y",
    "x-ray energy": "energy",
    "raman shift": "raman_shift",
    "kinetic energy": "kinetic_energy",
    "binding energy": "binding_energy",
    "m/z": "mz",
    "mass-to-charge ratio": "mz",
    "frame": "scan",
    **{dim: dim for dim in DIM_ORDER},
}
# Units, in lower case, with the factor into the contract's.
_UNITS = {
    "mz": {"da": 1.0, "u": 1.0, "amu": 1.0, "th": 1.0, "m/z": 1.0},
    "kinetic_energy": {"ev": 1.0, "kev": 1e3},
    "binding_energy": {"ev": 1.0, "kev": 1e3},
    "energy": {"kev": 1.0, "ev": 1e-3},
    "raman_shift": {"1/cm": 1.0, "cm-1": 1.0, "cm^-1": 1.0, "cm⁻¹": 1.0, "cm**-1": 1.0, "1 / centimeter": 1.0},
    "wavelength": {"nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "mm": 1e6, "m": 1e9},
}


# What a letter proposes for an axis of unknown meaning.
_EXAMPLES = {"ev": "kinetic_energy", "kev": "energy", "nm": "wavelength", "1/cm": "raman_shift", "s": "time", "da": "mz"}

_LISTED = ("scan", "time", "z", "point", *RASTER_DIMS, *SPECTRAL_UNITS)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a signal: position in the array, name and unit ("" if not stated), values, scale if it is uniform."""

    position: int
    name: str
    units: str
    values: NDArray[np.float64]
    scale: float | None

    @property
    def label(self) -> str:
        """What a letter calls it."""
        return f"axis {self.name!r}" if self.name else f"axis {self.position} (without a name)"

    @property
    def calibrated(self) -> bool:
        """Whether it says more than the number of the channel."""
        bare = self.scale == 1 and (len(self.values) == 0 or self.values[0] == 0)
        return bool(self.units) or not bare


def axes(found: Sequence[Mapping[str, Any]], shape: Sequence[int], *, subject: str) -> list[Axis]:
    """Axes as HyperSpy and RosettaSciIO describe them in dictionaries, checked against the array's shape."""
    with Faults(subject, FormatError) as faults:
        faults.expect(len(found) == len(shape), f"{len(found)} axes are described, and the data have {len(shape)}.")
    result = []
    with Faults(subject, FormatError) as faults:
        for position, (axis, n) in enumerate(zip(found, shape, strict=True)):
            name, units = _text(axis.get("name")), _text(axis.get("units"))
            scale: float | None = None
            if axis.get("axis") is not None:
                values = np.asarray(axis["axis"], np.float64)  # of an axis that is not uniform
            else:
                scale = float(axis.get("scale", 1.0))
                values = float(axis.get("offset", 0.0)) + scale * np.arange(n, dtype=np.float64)
            one = Axis(position, name, units, values, scale)
            faults.expect(values.shape == (n,), f"{one.label} has {values.size} values, and the data have {n} along it.")
            faults.expect(bool(np.isfinite(values).all()), f"{one.label} holds NaN or infinity.")
            result.append(one)
    return result


def _text(value: Any) -> str:
    """A name or unit; "" for None, traits' Undefined, and text that stands for them."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else ""
    return "" if text.strip().lower() in ("<undefined>", "undefined", "t.undefined", "none") else text.strip()


def dimensions(
    found: Sequence[Axis], *, dims: Mapping[Any, str] | None, known: Sequence[str], signal_type: str, subject: str
) -> tuple[str, ...]:
    """The dimension of every axis, in the array's order.

    `dims` is the caller's word, by the axis's name or position; `known` are names that stand for themselves.
    """
    wanted = dict(dims or {})
    result = []
    with Faults(subject, FormatError) as faults:
        there = {axis.name for axis in found if axis.name} | {axis.position for axis in found}
        for key, dim in wanted.items():
            faults.expect(key in there, f"dims names an axis {key!r}; there are {', '.join(a.label for a in found)}.")
            faults.expect(dim in DIM_ORDER, f"dims gives {key!r} the dimension {dim!r}; expected one of {', '.join(DIM_ORDER)}.")
        for axis in found:
            dim = wanted.get(axis.name, wanted.get(axis.position)) if axis.name else wanted.get(axis.position)
            dim = axis.name if dim is None and axis.name in known else dim
            dim = dim if dim is not None else _recognised(axis, signal_type)
            key = repr(axis.name) if axis.name else axis.position
            last = axis.position == len(found) - 1
            example = _EXAMPLES.get(axis.units.lower(), "raman_shift" if last else "scan")
            unit = f" in {axis.units!r}" if axis.units else " without a unit"
            faults.expect(
                dim is not None,
                f"{axis.label}{unit} has no known meaning; say it with dims={{{key}: {example!r}}}, one of {', '.join(_LISTED)}.",
            )
            result.append(str(dim))
        twice = sorted({d for d in result if d != "None" and result.count(d) > 1})
        faults.expect(
            not twice, f"two axes have the same meaning, {', '.join(twice)}; tell them apart with dims={{0: 'scan', …}}."
        )
    return tuple(result)


def _recognised(axis: Axis, signal_type: str) -> str | None:
    """The dimension that name and unit mean together, or None."""
    dim = _NAMES.get(axis.name.lower())
    unit = axis.units.lower()
    if dim == "energy":  # of what: X-rays have keV; eV may be an electron's
        return (
            dim if unit == "kev" or (unit == "ev" and (signal_type.startswith("EDS") or "x-ray" in axis.name.lower())) else None
        )
    if dim in SPECTRAL_UNITS and not (dim == "mz" and axis.calibrated and not unit):
        return dim if unit in _UNITS[dim] else None
    return dim


def coordinates(found: Sequence[Axis], dims: Sequence[str], *, subject: str) -> dict[str, tuple[Any, ...]]:
    """Coordinates of all axes but y and x, in the contract's units, as (dims, values, attributes)."""
    result: dict[str, tuple[Any, ...]] = {}
    with Faults(subject, FormatError) as faults:
        for axis, dim in zip(found, dims, strict=True):
            if dim in SPECTRAL_UNITS:
                values = _spectral(axis, dim, faults)
                result[dim] = (dim, values, {"units": SPECTRAL_UNITS[dim], "long_name": LONG_NAMES[dim]})
            elif dim not in (*RASTER_DIMS, *CHANNEL_DIMS, "point") and (axis.calibrated or dim == "scan"):
                whole = bool((axis.values == np.round(axis.values)).all()) and not axis.units
                values = axis.values.astype(np.int64) if whole else axis.values
                result[dim] = (dim, values, {"units": axis.units} if axis.units else {})
    return result


def _spectral(axis: Axis, dim: str, faults: Faults) -> NDArray[np.float64]:
    """Values of a spectral axis in the contract's unit. An axis that the caller named may leave its unit to the contract."""
    factor = _UNITS[dim].get(axis.units.lower()) if axis.units else (1.0 if axis.calibrated else None)
    stated = f"in {axis.units!r}" if axis.units else "not calibrated (it counts channels)"
    faults.expect(factor is not None, f"{axis.label} is {stated}; expected {dim} in one of {', '.join(_UNITS[dim])}.")
    values = axis.values * (factor or 1.0)
    steps = np.diff(values)
    faults.expect(bool((steps > 0).all() or (steps < 0).all()), f"{axis.label} is neither ascending nor descending.")
    return values


def pixel(found: Sequence[Axis], dims: Sequence[str], *, subject: str) -> tuple[Any, Any]:
    """Pixel size (y, x) as the axes state it, as `_pixels.Stated` takes it; None where there is no unit."""
    sizes: dict[str, _pixels.Length | None] = {}
    with Faults(subject, FormatError) as faults:
        for axis, dim in zip(found, dims, strict=True):
            if dim in RASTER_DIMS:
                step = even_step(axis)
                faults.expect(step is not None, f"{axis.label} is not evenly spaced, so it is no axis of a raster.")
                plain = axis.units.lower() in ("", "px", "pix", "pixel", "pixels")
                sizes[dim] = None if step is None or plain else _length(abs(step), axis.units)
    return sizes.get("y"), sizes.get("x")


def _length(step: float, unit: str) -> _pixels.Length:
    """A pixel's size; one above a metre is none, but a wrong unit, as of a diffraction pattern."""
    found = _pixels.length(repr(step), unit, default="")
    return _pixels.Length(None, f"{step:g} {unit}, more than a metre") if found.um is not None and found.um > 1e6 else found


def even_step(axis: Axis) -> float | None:
    """The step of an evenly spaced axis, to 0.1 % as everywhere in the contract; None if it has none."""
    if axis.scale is not None:
        return axis.scale if axis.scale != 0 else None
    steps = np.diff(axis.values)
    if len(steps) == 0 or not np.allclose(steps, steps.mean(), rtol=1e-3, atol=0):
        return None
    return float(steps.mean())


def stage(found: Sequence[Axis], dims: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """`stage_y`, `stage_x` in um where an axis of the raster does not begin at 0 and has a unit of length."""
    result: dict[str, tuple[Any, ...]] = {}
    for axis, dim in zip(found, dims, strict=True):
        factor = _pixels.in_um("1", axis.units, default="") if dim in RASTER_DIMS and axis.units else None
        if factor is not None and axis.values[0] != 0:
            text = {"units": "um", "long_name": f"{dim} of the pixel as the file has it"}
            result[f"stage_{dim}"] = (dim, axis.values * factor, text)
    return result


def uniform(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """(offset, scale) of an ascending or descending axis whose values lie on a line to `EVEN` of its step, else None."""
    if len(values) < 2:
        return None
    scale = float(values[-1] - values[0]) / (len(values) - 1)
    line = values[0] + scale * np.arange(len(values))
    rounding = 4 * np.finfo(np.float64).eps * np.abs(values).max()
    even = scale != 0 and bool((np.abs(values - line) <= max(EVEN * abs(scale), rounding)).all())
    return (float(values[0]), scale) if even else None
