"""Isotopologues of an ion's formula with their natural abundance, and what makes two names one ion."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import product
from math import factorial, prod
from typing import TYPE_CHECKING

from ssbmaps._ions import ELECTRON_MASS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ssbmaps._ions import Ion


@dataclass(frozen=True, slots=True)
class Isotopologue:
    """One combination of isotopes of a formula; `abundance` is its share of all of them."""

    name: str
    mz: float
    abundance: float


def isotopologues(ion: Ion, *, least: float = 0.0) -> list[Isotopologue]:
    """All isotopologues of `ion`'s elements, most abundant first; those below `least` times the most abundant are left out."""
    elements = Counter[str]()
    for symbol, _, count in ion.atoms:
        elements[symbol] += count
    choices = [list(_of_element(symbol, count)) for symbol, count in elements.items()]
    found = []
    for combination in product(*choices):
        name = "".join(part for part, _, _ in combination)
        mass = sum(m for _, m, _ in combination) - ion.charge * ELECTRON_MASS
        found.append(Isotopologue(name + _charge(ion), mass / abs(ion.charge), prod(a for _, _, a in combination)))
    found.sort(key=lambda v: -v.abundance)
    return [v for v in found if v.abundance >= least * found[0].abundance]


def composition(ion: Ion) -> tuple[object, ...]:
    """What makes two names the same ion: isotopes with their counts, and the charge."""
    atoms = Counter[tuple[str, int]]()
    for symbol, mass_number, count in ion.atoms:
        atoms[symbol, mass_number] += count
    return (*sorted(atoms.items()), ion.charge)


def _charge(ion: Ion) -> str:
    sign = "+" if ion.charge > 0 else "-"
    return sign if abs(ion.charge) == 1 else f"^{abs(ion.charge)}{sign}"


def _of_element(symbol: str, count: int) -> Iterator[tuple[str, float, float]]:
    """(name, mass, share) of every way to pick `count` isotopes; the commonest isotope carries no mass number."""
    from molmass import ELEMENTS

    isotopes = {a: i for a, i in ELEMENTS[symbol].isotopes.items() if i.abundance > 0}
    common = max(isotopes, key=lambda a: isotopes[a].abundance)
    order = [common, *(a for a in isotopes if a != common)]
    for picked in _splits(count, len(order)):
        parts = [(a, n) for a, n in zip(order, picked, strict=True) if n]
        name = "".join(_atom(symbol, a if a != common else None, n) for a, n in parts)
        mass = sum(float(isotopes[a].mass) * n for a, n in parts)
        yield name, mass, factorial(count) * prod(float(isotopes[a].abundance) ** n / factorial(n) for a, n in parts)


def _atom(symbol: str, mass_number: int | None, count: int) -> str:
    isotope = f"[{mass_number}{symbol}]" if mass_number else symbol
    return isotope + (str(count) if count > 1 else "")


def _splits(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to share `total` among `parts`."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _splits(total - first, parts - 1):
            yield (first, *rest)
