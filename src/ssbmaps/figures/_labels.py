"""Words and numbers as they are printed: ions with true sub- and superscripts, units, quantities, round numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ssbmaps._conventions import CHANNEL_DIMS

if TYPE_CHECKING:
    import xarray as xr

_MINUS = str.maketrans("−–‐‑﹣－⁻⁺＋", "-------++")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_ATOM = re.compile(r"(?:\[(?P<boxed>\d+)(?P<inside>[A-Z][a-z]?)\]|\^?(?P<isotope>\d+)?(?P<symbol>[A-Z][a-z]?))(?P<count>\d*)")
_FORMULA = re.compile(rf"(?P<atoms>(?:{re.sub(r'[?]P<[a-z]+>', '?:', _ATOM.pattern)})+)(?P<charge>(?:\^\d)?[+-])?")
_OXIDES = re.compile(r"(?P<stem>[A-Z][A-Za-z]*O)x")

_UNITS = {"um": "µm", "1/cm": "cm⁻¹", "arbitrary": "arbitrary units", "Da": "Da", "1": ""}


def ion_label(text: str) -> str:
    """`"PO3-"` as mathtext with true sub- and superscripts; anything that is no formula comes back as plain text.

    >>> print(ion_label("PO3-"), ion_label("63Cu+"), ion_label("total"))
    $\\mathrm{PO_{3}^{-}}$ $\\mathrm{{}^{63}Cu^{+}}$ total
    """
    plain = re.sub(f"[{_SUPERSCRIPTS}]+", lambda m: "^" + "".join(str(_SUPERSCRIPTS.index(c)) for c in m[0]), text.strip())
    plain = plain.translate(_SUBSCRIPTS).translate(_MINUS)
    oxides = _OXIDES.fullmatch(plain)
    if oxides:
        return rf"$\mathrm{{{oxides['stem']}}}_x$"
    formula = _FORMULA.fullmatch(plain)
    atoms = list(_ATOM.finditer(formula["atoms"])) if formula else []
    neutral_formula = len(atoms) > 1 and any(a["count"] for a in atoms)
    if formula is None or not (formula["charge"] or neutral_formula):
        return text.replace("$", r"\$")
    charge = (formula["charge"] or "").removeprefix("^")
    return rf"$\mathrm{{{''.join(map(_atom, atoms))}{f'^{{{charge}}}' if charge else ''}}}$"


def _atom(match: re.Match[str]) -> str:
    isotope = match["boxed"] or match["isotope"]
    symbol = match["inside"] or match["symbol"]
    return (f"{{}}^{{{isotope}}}" if isotope else "") + symbol + (f"_{{{match['count']}}}" if match["count"] else "")


def unit_label(units: str) -> str:
    """A unit of the contract as it is printed: `um` as µm, `1/cm` as cm⁻¹."""
    return _UNITS.get(units, units)


def quantity_label(obj: xr.DataArray) -> str:
    """What the numbers of `obj` are, with their unit; counts are said not to be a concentration."""
    units, name = obj.attrs.get("units"), str(obj.attrs.get("long_name", ""))
    if units is None:
        return f"{name}, unit not stated".removeprefix(", ")
    if units == "counts":
        return "counts per pixel, not concentration"
    printed = unit_label(str(units))
    if not name:
        return printed or "no unit"
    return f"{name} ({printed})" if printed else name


def channel_title(map_: xr.DataArray) -> str:
    """Title of one map: its ion, line, band or component, else its name."""
    for dim in CHANNEL_DIMS:
        if dim in map_.coords and map_.coords[dim].ndim == 0:
            value = map_.coords[dim].item()
            return ion_label(value) if isinstance(value, str) else f"{dim} {value}"
    return ion_label(str(map_.attrs.get("long_name") or map_.name or ""))


def number_label(value: float) -> str:
    """A tick's number, short: 250, 0.05, −3, 2×10⁶."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}".replace("-", "−")
    mantissa, exponent = f"{value:.3e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    factor = {"1": "", "-1": "-"}.get(mantissa, mantissa + r"\times")
    return rf"${factor}10^{{{int(exponent)}}}$"


def length_label(length: float) -> str:
    """A length given in um: 200 nm, 5 µm, 1 mm."""
    if length < 1:
        return f"{length * 1000:.6g} nm"
    return f"{length:.6g} µm" if length < 1000 else f"{length / 1000:.6g} mm"
