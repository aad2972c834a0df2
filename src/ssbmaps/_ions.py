"""Ion grammar and exact ion masses: `[isotope]Element[n]…` then `-`, `+` or `^2-`."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from ssbmaps._errors import DataQualityWarning, SsbmapsError

ELECTRON_MASS = 0.000548579909  # u, CODATA 2018

_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_MINUS_SIGNS = str.maketrans("−–‐‑﹣－⁻⁺＋", "-------++")
_CHARGE = re.compile(r"(?:\^(?P<n>[1-9]))?(?P<sign>[+-])$")
_ATOM = re.compile(r"(?:\[(?P<boxed>\d+)(?P<boxed_symbol>[A-Z][a-z]?)\]|\^?(?P<bare>\d+)?(?P<symbol>[A-Z][a-z]?))(?P<count>\d*)")
_LETTER = "Write it as 'PO3-', '63Cu+', 'C2-' or 'SO4^2-': isotope, element, count, then the charge."
_CLUSTERS = ("C", "H", "Si")  # elements of which an ion may well hold ten atoms or more


@dataclass(frozen=True, slots=True)
class Ion:
    """An ion: atoms as (symbol, mass number, count), charge with sign, and exact m/z in Da per elementary charge."""

    name: str
    atoms: tuple[tuple[str, int, int], ...]
    charge: int
    mz: float
    doubt: str = ""


def parse_ion(text: str) -> Ion:
    """Read one ion; anything outside the grammar raises with the reason, a doubtful reading warns each time."""
    if not isinstance(text, str) or not text.strip():
        raise SsbmapsError(f"ion {text!r}: expected a formula with a charge. {_LETTER}")
    ion = _read(text)
    if ion.doubt:
        warnings.warn(f"ion {text!r}: {ion.doubt}", DataQualityWarning, stacklevel=3)
    return ion


@lru_cache(maxsize=4096)
def _read(text: str) -> Ion:
    plain = _normalise(text)
    if any(c.isspace() for c in plain):
        raise SsbmapsError(f"ion {text!r}: holds a space, so count and charge cannot be told apart. {_LETTER}")
    charge = _CHARGE.search(plain)
    if charge is None:
        raise SsbmapsError(f"ion {text!r}: the charge is missing. {_LETTER}")
    body = plain[: charge.start()]
    if body.endswith(("+", "-")):
        raise SsbmapsError(f"ion {text!r}: the sign is repeated. {_LETTER}")
    atoms = _atoms(body, text)
    z = int(charge["n"] or 1)
    signed = z if charge["sign"] == "+" else -z
    mass = sum(_isotope_mass(s, a, text) * n for s, a, n in atoms)
    name = plain if charge["n"] != "1" else plain.replace("^1", "")
    doubt = "" if charge["n"] else _doubt_charge(atoms[-1], charge["sign"])
    return Ion(name, atoms, signed, (mass - signed * ELECTRON_MASS) / z, doubt or _doubt_isotope(atoms, body))


def _doubt_charge(last: tuple[str, int, int], sign: str) -> str:
    """Words for a count such as the 43 of 'PS43-', which is more often a count and a charge."""
    symbol, _, count = last
    if count < 10 or count % 10 not in (2, 3, 4) or symbol in _CLUSTERS:
        return ""
    return f"is read as {symbol} × {count} with one charge; for several charges write ^{count % 10}{sign}."


def _doubt_isotope(atoms: tuple[tuple[str, int, int], ...], body: str) -> str:
    """Words for a count such as the 16 of '58Ni16O2-', which is more often the mass number of what follows."""
    from molmass import ELEMENTS

    for (symbol, _, count), (following, _, _) in pairwise(atoms):
        plausible = count >= 10 and symbol not in _CLUSTERS and count in ELEMENTS[following].isotopes
        if plausible and f"{symbol}{count}{following}" in body:
            return f"is read as {symbol} × {count}; for the isotope {count}{following} write [{count}{following}]."
    return ""


def _normalise(text: str) -> str:
    """ASCII form: sub- and superscripts, minus signs; superscript digits before the sign become a charge."""
    plain = text.strip().translate(_SUBSCRIPTS).translate(_MINUS_SIGNS)
    plain = re.sub(rf"([{_SUPERSCRIPTS}]+)([+-])$", lambda m: f"^{_digits(m[1])}{m[2]}", plain)
    return re.sub(rf"[{_SUPERSCRIPTS}]+", lambda m: f"^{_digits(m[0])}", plain).removeprefix("^")


def _digits(superscripts: str) -> str:
    return "".join(str(_SUPERSCRIPTS.index(c)) for c in superscripts)


def _atoms(body: str, text: str) -> tuple[tuple[str, int, int], ...]:
    from molmass import ELEMENTS

    atoms: list[tuple[str, int, int]] = []
    position = 0
    while position < len(body):
        match = _ATOM.match(body, position)
        if match is None:
            raise SsbmapsError(f"ion {text!r}: cannot read {body[position:]!r}. {_LETTER}")
        symbol = match["symbol"] or match["boxed_symbol"]
        if symbol not in ELEMENTS:
            raise SsbmapsError(f"ion {text!r}: {symbol!r} is no element; groups such as Ph or Me are written out. {_LETTER}")
        mass_number = match["bare"] or match["boxed"]
        isotopes = ELEMENTS[symbol].isotopes
        isotope = int(mass_number) if mass_number else max(isotopes, key=lambda a: isotopes[a].abundance)
        if isotope not in isotopes:
            raise SsbmapsError(f"ion {text!r}: {symbol} has no isotope {isotope}; known are {', '.join(map(str, isotopes))}.")
        count = int(match["count"] or 1)
        if count == 0 or (match["count"] or "1").startswith("0"):
            raise SsbmapsError(f"ion {text!r}: {symbol} has the count {match['count']!r}; expected 1 or more. {_LETTER}")
        atoms.append((symbol, isotope, count))
        position = match.end()
    if not atoms:
        raise SsbmapsError(f"ion {text!r}: names no element. {_LETTER}")
    return tuple(atoms)


def _isotope_mass(symbol: str, mass_number: int, text: str) -> float:
    from molmass import ELEMENTS

    mass = float(ELEMENTS[symbol].isotopes[mass_number].mass)
    if mass <= 0:
        raise SsbmapsError(f"ion {text!r}: no mass is known for {mass_number}{symbol}.")
    return mass
