"""Pixel size, its contradictions and the tilt: the rules of the data contract, for every format; never a guess."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, Faults, FormatError, SsbmapsError

# Factors as (times, divided by), so that 4406.25 nm is 4.40625 um to the last bit.
_UNITS = {
    ("UO:0000008", "metre", "meter", "m"): (1e6, 1.0),
    ("UO:0000015", "centimetre", "centimeter", "cm"): (1e4, 1.0),
    ("UO:0000016", "millimetre", "millimeter", "mm"): (1e3, 1.0),
    ("UO:0000017", "micrometre", "micrometer", "micron", "um", "µm", "μm"): (1.0, 1.0),
    ("UO:0000018", "nanometre", "nanometer", "nm"): (1.0, 1e3),
}
_FACTORS = {name.lower(): factor for names, factor in _UNITS.items() for name in names}
_TOLERANCE = 0.01  # relative; the contract's limit for an extent that agrees with the pixel size
_FIB = re.compile(r"\b(?:p?fib|ga-?fib|(?:cryo|plasma|xe)-?p?fib)\b|focus(?:s)?ed[ -]ion[ -]beam", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Length:
    """A length as a file states it; `um` is None if the number or its unit cannot be used."""

    um: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Stated:
    """What a file says about its raster: pixel size and extent along (y, x), tilt and preparation; None where it is silent."""

    pixel: tuple[Length | None, Length | None] = (None, None)
    extent: tuple[Length | None, Length | None] = (None, None)
    tilt: float | None = None
    preparation: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Pixel:
    """Pixel size (y, x) on the section in um, where it comes from, and the tilt that is in it."""

    size: tuple[float, float]
    source: str
    tilt: float | None


def in_um(number: str, unit: str, *, default: str) -> float | None:
    """A stated place or length in um, or None if its number or unit cannot be used."""
    factor = _FACTORS.get((unit or default).strip().lower())
    try:
        value = float(number)
    except ValueError:
        return None
    return value * factor[0] / factor[1] if factor is not None and np.isfinite(value) else None


def length(number: str, unit: str, *, default: str) -> Length:
    """A stated length in um. `unit` is an accession of the Unit Ontology or a name; `default` applies if it is empty."""
    um = in_um(number, unit, default=default)
    if um is None or um <= 0:
        return Length(None, f"{number.strip()} {unit or '(no unit)'}")
    return Length(um, f"{um:.9g} um" if unit else f"{float(number):.9g} (no unit)")


def file_size(stated: Stated, shape: tuple[int, int]) -> tuple[tuple[float, float] | None, str]:
    """Pixel size (y, x) in um that the file gives for `shape` (ny, nx), or None; and a sentence that says why."""
    faults: list[str] = []
    sizes: list[float] = []
    for axis, pixel, extent, n in zip("yx", stated.pixel, stated.extent, shape, strict=True):
        if pixel is None:
            faults.append(f"no pixel size {axis} is stated")
        elif pixel.um is None:
            faults.append(f"the pixel size {axis} is stated as {pixel.text}, which is no length above 0")
        else:
            sizes.append(pixel.um)
            if contradicts(pixel.um, extent, n):
                said = "" if extent is None else extent.text
                faults.append(
                    f"pixel size {axis} {pixel.text} contradicts the extent {axis} {said}: {n} pixels would span "
                    f"{n * pixel.um:.6g} um (or {(n - 1) * pixel.um:.6g} um between the first and last centre)"
                )
    if faults:
        alike = [(pixel, extent, n) for pixel, extent, n in zip(stated.pixel, stated.extent, shape, strict=True)]
        if stated.pixel == (None, None) or (len(faults) == 2 and alike[0] == alike[1]):
            faults = [faults[1].replace("size x", "size (y and x)").replace("extent x", "extent")]
        return None, "; ".join(faults) + "."
    return (sizes[0], sizes[1]), "stated in the file."


def contradicts(pixel_um: float, extent: Length | None, n: int) -> bool:
    """Whether an extent is neither n nor n − 1 pixels, to 1 %; an extent that is absent or unusable contradicts nothing."""
    if extent is None or extent.um is None:
        return False
    return not any(m > 0 and abs(extent.um - m * pixel_um) <= _TOLERANCE * m * pixel_um for m in (n, n - 1))


def resolve(
    subject: str, stated: Stated, shape: tuple[int, int], *, pixel_size: tuple[float, float] | None, tilt: float | None
) -> Pixel:
    """The pixel size on the section: the caller's or the file's, then y divided by sin(tilt); FormatError if there is none."""
    found, why = file_size(stated, shape)
    if pixel_size is None and found is None:
        hint = f" {stated.hint}" if stated.hint else ""
        raise FormatError(
            f"{subject}: {why}{hint} ssbmaps never guesses a pixel size: give it in um, pixel_size=0.1 or pixel_size=(y, x)."
        )
    source = "file" if pixel_size is None else f"caller; the file: {why if found is None else _pair(found)}"
    size = pixel_size if pixel_size is not None else found
    assert size is not None
    used = tilt if tilt is not None else stated.tilt
    if used is None:
        if _FIB.search(stated.preparation):
            warnings.warn(
                f"{subject}: the preparation is {stated.preparation!r}, and neither the file nor tilt= gives the tilt. A face "
                "milled by FIB and seen at 52° is foreshortened 1.27 times along y; if it was seen face on, say tilt=90.",
                DataQualityWarning,
                stacklevel=4,
            )
        return Pixel(size, source, None)
    return Pixel((size[0] / float(np.sin(np.radians(used))), size[1]), source, used)


def _pair(size: tuple[float, float]) -> str:
    return f"{size[0]:.9g} um (y), {size[1]:.9g} um (x)"


def parse_pixel_size(value: Any, *, subject: str) -> tuple[float, float] | None:
    """`pixel_size=` as (y, x) in um."""
    if value is None:
        return None
    pair = np.asarray(value if np.ndim(value) else [value, value])
    if pair.shape != (2,) or pair.dtype.kind not in "iuf" or not (np.isfinite(pair).all() and (pair > 0).all()):
        raise SsbmapsError(f"{subject}: pixel_size is {value!r}; expected um per pixel above 0, as one number or (y, x).")
    return float(pair[0]), float(pair[1])


def parse_tilt(value: Any, *, subject: str, faults: Faults | None = None) -> float | None:
    """`tilt=` in degrees, above 0 and at most 90."""
    if value is None:
        return None
    good = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and 0 < value <= 90
    if not good:
        text = (
            f"tilt is {value!r}; expected the angle between the analysis beam and the plane of the section in degrees, above 0 "
            "and at most 90 (90: seen face on, no correction)."
        )
        if faults is None:
            raise SsbmapsError(f"{subject}: {text}")
        faults.expect(False, text)
        return None
    return float(value)
