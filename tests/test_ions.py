"""The ion grammar and exact masses: the design's numbers, every spelling, and every refusal with its message."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssbmaps import DataQualityWarning, SsbmapsError
from ssbmaps._ions import parse_ion
from ssbmaps.maps import ion_mz

DESIGN = {
    "C2-": 24.0005,
    "NiO2-": 89.9257,
    "PO2-": 62.9641,
    "PO3-": 78.9591,
    "S-": 31.9726,
    "SO2-": 63.9624,
    "SO3-": 79.9574,
    "Cl-": 34.9694,
}
# Isotope masses of the 2020 atomic mass evaluation (Wang et al., Chinese Phys. C 45, 030003), typed by hand.
AME2020 = {"7Li": 7.0160034343, "12C": 12.0, "16O": 15.9949146193, "31P": 30.9737619977, "32S": 31.9720711735}
AME2020 |= {"58Ni": 57.93534165, "60Ni": 59.93078513, "63Cu": 62.92959712, "59Co": 58.93319352}
ELECTRON = 5.48579909065e-4


@pytest.mark.parametrize(("ion", "mz"), DESIGN.items())
def test_numbers_of_the_design(ion, mz):
    assert round(ion_mz(ion), 4) == mz


@pytest.mark.parametrize(
    ("ion", "mz"),
    [
        ("Li+", AME2020["7Li"] - ELECTRON),
        ("Co+", AME2020["59Co"] - ELECTRON),
        ("Ni+", AME2020["58Ni"] - ELECTRON),
        ("63Cu+", AME2020["63Cu"] - ELECTRON),
        ("[60Ni]O2-", AME2020["60Ni"] + 2 * AME2020["16O"] + ELECTRON),
        ("PO3-", AME2020["31P"] + 3 * AME2020["16O"] + ELECTRON),
        ("SO4^2-", (AME2020["32S"] + 4 * AME2020["16O"] + 2 * ELECTRON) / 2),
        ("PS4^3-", (AME2020["31P"] + 4 * AME2020["32S"] + 3 * ELECTRON) / 3),
        ("Li7+", 7 * AME2020["7Li"] - ELECTRON),
    ],
)
def test_mass_from_isotopes_and_electrons(ion, mz):
    # molmass carries the 2016 or 2020 evaluation, which differ by less than 1e-6 u for these isotopes
    assert ion_mz(ion) == pytest.approx(mz, abs=2e-6)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("PO₃⁻", "PO3-"),
        ("PO₃−", "PO3-"),
        ("PO3–", "PO3-"),
        (" PO3- ", "PO3-"),
        ("SO₄²⁻", "SO4^2-"),
        ("PS₄³⁻", "PS4^3-"),
        ("⁶³Cu⁺", "63Cu+"),
        ("[63Cu]+", "63Cu+"),
        ("⁵⁸NiO₂⁻", "NiO2-"),
        ("⁵⁸Ni¹⁶O₂⁻", "NiO2-"),
        ("Co^1+", "Co+"),
    ],
)
def test_spellings_of_one_ion(written, plain):
    assert ion_mz(written) == ion_mz(plain)
    assert parse_ion(written).charge == parse_ion(plain).charge


@pytest.mark.parametrize("written", ["PO₃⁻", "⁵⁸Ni¹⁶O₂⁻", "[60Ni]O2-", "SO₄²⁻", "Co^1+", "⁶³Cu⁺"])
def test_normalised_name_reads_as_the_same_ion(written):
    ion = parse_ion(written)
    assert ion.name.isascii()
    assert parse_ion(ion.name).mz == ion.mz


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("", "expected a formula with a charge"),
        ("   ", "expected a formula with a charge"),
        (None, "expected a formula with a charge"),
        (["C2-"], "expected a formula with a charge"),
        ("PO3", "the charge is missing"),
        ("SO4-2", "the charge is missing"),
        ("PO2--", "the sign is repeated"),
        ("Li++", "the sign is repeated"),
        ("NaCl+-", "the sign is repeated"),
        ("PS4 3-", "holds a space"),
        ("PS4\u00a03-", "holds a space"),
        ("Xx2-", "'Xx' is no element"),
        ("Ph-", "'Ph' is no element; groups such as Ph or Me are written out"),
        ("D+", "'D' is no element"),
        ("(PO3)2-", re.escape("cannot read '(PO3)2'")),
        ("po3-", "cannot read 'po3'"),
        ("Li^+", re.escape("cannot read '^'")),
        ("Na+Cl-", re.escape("cannot read '+Cl'")),
        ("Li^12+", re.escape("cannot read '^12'")),
        ("-", "names no element"),
        ("^2-", "cannot read '2'"),
        ("99C-", "C has no isotope 99; known are 12, 13"),
        ("C0-", "C has the count '0'; expected 1 or more"),
        ("C02-", "C has the count '02'; expected 1 or more"),
    ],
)
def test_refusals_say_why(bad, message):
    with pytest.raises(SsbmapsError, match=message):
        ion_mz(bad)


def test_every_refusal_shows_how_to_write_it():
    for bad in ("PO3", "PO2--", "PS4 3-", "Xx2-", "(PO3)2-", "-"):
        with pytest.raises(SsbmapsError, match="'SO4\\^2-'"):
            ion_mz(bad)


@pytest.mark.parametrize(
    ("doubtful", "message"),
    [
        ("PS43-", re.escape("is read as S × 43 with one charge; for several charges write ^3-")),
        ("SO42-", re.escape("is read as O × 42 with one charge; for several charges write ^2-")),
        ("58Ni16O2-", re.escape("is read as Ni × 16; for the isotope 16O write [16O]")),
    ],
)
def test_doubtful_ions_warn_every_time(doubtful, message):
    for _ in range(2):
        with pytest.warns(DataQualityWarning, match=message):
            ion_mz(doubtful)


@pytest.mark.parametrize("clear", ["C24-", "C14N-", "C12H24+", "Si13-", "LiC6+"])
def test_large_clusters_do_not_warn(clear):
    assert ion_mz(clear) > 0


@given(
    st.lists(st.tuples(st.sampled_from(["C", "O", "S", "P", "Ni", "Li", "Cl"]), st.integers(1, 9)), min_size=1, max_size=4),
    st.integers(1, 4),
    st.sampled_from("+-"),
)
def test_mass_is_the_sum_of_its_atoms(atoms, z, sign):
    body = "".join(f"{symbol}{n if n > 1 else ''}" for symbol, n in atoms)
    charge = sign if z == 1 else f"^{z}{sign}"
    electrons = z * ELECTRON * (1 if sign == "-" else -1)
    neutral = sum(n * (ion_mz(f"{symbol}-") - ELECTRON) for symbol, n in atoms)
    # the electron's mass of the grammar is rounded to 1e-12 u
    np.testing.assert_allclose(ion_mz(body + charge), (neutral + electrons) / z, atol=1e-10)
