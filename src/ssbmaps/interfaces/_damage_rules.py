"""Which fragments a beam makes out of which others, and what kind of beam a name stands for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._ions import parse_ion

if TYPE_CHECKING:
    Rules = Mapping[str, str | Sequence[str]]

# Etching makes LiF out of fluorinated salts, and Li2O out of carbonate and hydroxide (perspective, doi 10.1039/D1TA04532F,
# section 5). The precursors are fragments of those anions; SO2-, CO2- and OH- have other sources, too, and count only together
# with what they should turn into.
_TFSI = ("C2F6NS2O4-", "CF3SO2-", "CF3-", "NSO2-", "SO2F-", "SO2-")
_CARBONATE = ("CO3-", "LiCO3-", "HCO3-", "CO2-", "OH-", "LiOH-")
_POSITIVE = ("Li3CO3+", "LiOH+", "Li2OH+")
RULES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("LiF-", "LiF2-", "Li2F3-"), _TFSI),
    **dict.fromkeys(("LiO-", "Li2O-"), _CARBONATE),
    **dict.fromkeys(("Li2O+", "Li3O+"), _POSITIVE),
}
ALTERNATIVES = "a real gradient in depth or a reaction in the cell, charging, a transient of the ion yield"
_CLUSTER = re.compile(r"(?:Ar|Kr|Xe|CO2|H2O|\(CO2\)|\(H2O\))_?(?:n|\d{2,})\+?", re.IGNORECASE)
_SINGLE = re.compile(r"(?:\d+)?[A-Z][a-z]?(?:\^[1-9])?[+-]")
_POLYATOMIC = re.compile(r"(?:[A-Z][a-z]?\d*)+(?:\^[1-9])?[+-]+")


def read_rules(rules: Rules | None, *, subject: str) -> list[tuple[str, str]]:
    """(product, precursor) of every pair, each ion written as the grammar writes it."""
    if rules is None:
        return [(product, one) for product, many in RULES.items() for one in many]
    if not isinstance(rules, Mapping) or not rules:
        raise SsbmapsError(f"{subject}: rules={rules!r:.80}; expected products with their precursors, {{'LiF-': ['SO2F-']}}.")
    pairs = []
    with Faults(f"{subject}: rules") as faults:
        for product, given in rules.items():
            many = [given] if isinstance(given, str) else list(given) if isinstance(given, Sequence) else []
            faults.expect(bool(many), f"{product!r} has no precursors, got {given!r}; expected one or more ions.")
            for one in many:
                same = faults.expect(ion_name(product) != ion_name(one), f"{product!r} is its own precursor.")
                if same:
                    pairs.append((ion_name(product), ion_name(one)))
    return pairs


def ion_name(text: str) -> str:
    """An ion as the grammar writes it; other words (a line, a sum) as they are."""
    try:
        return parse_ion(text).name
    except SsbmapsError:
        return str(text)


def beam_kind(name: object, *, subject: str) -> str:
    """ "gas cluster", "monatomic", "polyatomic", or "not stated"."""
    if name is None:
        return "not stated"
    text = name.strip() if isinstance(name, str) else ""
    words = text.lower()
    if "cluster" in words or "gcib" in words or _CLUSTER.fullmatch(text):
        return "gas cluster"
    if "monatomic" in words or "monoatomic" in words or _SINGLE.fullmatch(text):
        return "monatomic"
    if "polyatomic" in words or _POLYATOMIC.fullmatch(text):
        return "polyatomic"
    raise SsbmapsError(
        f"{subject}: beam {name!r} is not understood; expected an ion such as 'Ar1500+', 'Cs+' or 'O2+', one of 'gas cluster', "
        "'monatomic' and 'polyatomic', or None where it is not known."
    )


def beam_words(word: str, name: object, kind: str) -> str:
    """The beam in words: "sputter beam Ar1500+ (gas cluster)"."""
    if name is None:
        return f"{word} beam not stated"
    return f"{word} beam {name}" if kind in str(name).lower() else f"{word} beam {name} ({kind})"
