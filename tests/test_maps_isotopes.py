"""Isotope checks: natural abundance by a second road, planted saturation found, what cannot be judged left open."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import xarray as xr
from molmass import ELEMENTS

from ssbmaps import DataQualityWarning, SsbmapsError
from ssbmaps._ions import ELECTRON_MASS, parse_ion
from ssbmaps._isotopologues import isotopologues
from ssbmaps.maps import check_isotopes, fragment_maps, ion_mz


def _maps(**counts):
    """One map per ion with its counts spread over 2 × 3 pixels."""
    values = np.array([[[n // 6] * 3, [n // 6] * 3] for n in counts.values()])
    return xr.DataArray(values, {"fragment": list(counts)}, ("fragment", "y", "x"), attrs={"units": "counts"})


@pytest.mark.parametrize("formula", ["S2O-", "NiO2-", "C2H-", "Cl2-", "GeS+"])
def test_isotopologues_are_those_of_drawing_every_atom(formula):
    """Brute force: every atom takes every isotope; equal masses are one isotopologue."""
    ion = parse_ion(formula)
    atoms = [symbol for symbol, _, count in ion.atoms for _ in range(count)]
    found: dict[tuple, list[float]] = {}
    for picked in product(*(ELEMENTS[s].isotopes.values() for s in atoms)):
        key = tuple(sorted((s, i.massnumber) for s, i in zip(atoms, picked, strict=True)))
        share = np.prod([i.abundance for i in picked])
        mass = sum(i.mass for i in picked) - ion.charge * ELECTRON_MASS
        found.setdefault(key, [0.0, mass])[0] += share
    expected = sorted((share, mass) for share, mass in found.values() if share > 0)
    got = sorted((v.abundance, v.mz) for v in isotopologues(ion) if v.abundance > 0)
    np.testing.assert_allclose([g for g, _ in got], [e for e, _ in expected], rtol=1e-10)
    np.testing.assert_allclose(sum(g for g, _ in got), 1, rtol=1e-3)  # tabulated fractions of an element add up to that


def test_natural_ratios_pass():
    s34, s32 = (ELEMENTS["S"].isotopes[a].abundance for a in (34, 32))
    ni60, ni58 = (ELEMENTS["Ni"].isotopes[a].abundance for a in (60, 58))
    maps = _maps(**{"S-": 600_000, "34S-": round(600_000 * s34 / s32), "NiO2-": 300_000, "[60Ni]O2-": round(3e5 * ni60 / ni58)})
    check = check_isotopes(maps, ["34S-/32S-", "[58Ni]O2-/[60Ni]O2-"])
    assert (abs(check.z) < 1).all()
    np.testing.assert_allclose(check.ratio, [s34 / s32, ni58 / ni60], rtol=1e-3)
    # 58Ni16O18O- lies 8.6 mDa below 60NiO2- inside its window: it belongs to the expected ratio
    o18 = ELEMENTS["O"].isotopes[18].abundance / ELEMENTS["O"].isotopes[16].abundance
    np.testing.assert_allclose(check.expected[1], 1 / (ni60 / ni58 + 2 * o18), rtol=2e-3)
    a, b = check.counts.values[0]
    np.testing.assert_allclose(check.ratio_sd[0], a / b * np.sqrt(1 / a + 1 / b))


def test_a_saturated_major_isotope_is_told_without_naming_the_cause():
    maps = _maps(**{"S-": 480_000, "34S-": 26_800})  # a fifth of 32S- lost
    with pytest.warns(
        DataQualityWarning, match=r"34S-/32S- is 0\.0558\d* ± 0\.00\d+, expected 0\.0447\d* .*saturation or interference"
    ):
        check = check_isotopes(maps, "34S-/32S-")
    assert check.z > 5
    np.testing.assert_allclose(check.deviation, 0.25, atol=0.01)


def test_fractionation_widens_the_expectation():
    maps = _maps(**{"S-": 6_000_000, "34S-": 276_000})  # 2.8 % too many: one and a half times 2 × 1 %
    assert abs(check_isotopes(maps, "34S-/S-").z) < 3
    with pytest.warns(DataQualityWarning, match="z = "):
        assert check_isotopes(maps, "34S-/S-", fractionation=0).z > 10


def test_too_few_counts_are_undetermined():
    check = check_isotopes(_maps(**{"S-": 6000, "34S-": 0}), "34S-/S-")
    assert check.ratio.isnull().all()
    assert check.z.isnull().all()
    assert check.expected.notnull().all()


def test_a_cube_gives_what_its_maps_give():
    rng = np.random.default_rng(0)
    mz = np.arange(31.9, 34.1, 0.002)
    mean = 400 * np.exp(-0.5 * ((mz - ion_mz("S-")) / 0.003) ** 2) + 17.9 * np.exp(-0.5 * ((mz - ion_mz("34S-")) / 0.003) ** 2)
    coords = {"y": np.arange(4) + 0.5, "x": np.arange(3) + 0.5, "mz": mz}
    cube = xr.DataArray(rng.poisson(mean, (4, 3, len(mz))), coords, ("y", "x", "mz"), attrs={"units": "counts"})
    expected = check_isotopes(fragment_maps(cube, ["S-", "34S-"]), "34S-/S-")
    assert abs(expected.z) < 3
    for other in (cube, cube.chunk(y=2), cube.transpose("mz", "x", "y")):
        np.testing.assert_allclose(check_isotopes(other, "34S-/S-").ratio, expected.ratio)
    masked = cube.assign_coords(measured=(("y", "x"), np.arange(12).reshape(4, 3) > 2))
    left = check_isotopes(masked, "34S-/S-").counts
    np.testing.assert_allclose(left, check_isotopes(cube.isel(y=slice(1, None)), "34S-/S-").counts)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ("34S-", "two ions with one slash"),
        ("34S-/O2-", "differ in more than isotopes"),
        ("S-/32S-", "both are the same ion"),
        ("[14C]2-/C2-", "C has no isotope 14"),
        ("34S/32S-", "charge is missing"),
        ([], "no pair given"),
        ("37Cl-/Cl-", "37Cl- not in the maps"),
    ],
)
def test_faults_of_the_pairs(pairs, words):
    with pytest.raises(SsbmapsError, match=words):
        check_isotopes(_maps(**{"S-": 6000, "34S-": 300}), pairs)


def test_all_faulty_pairs_are_reported_at_once():
    with pytest.raises(SsbmapsError, match=r"(?s)2 faults.*34S-/O2-.*'S-/32S-'"):
        check_isotopes(_maps(**{"S-": 6000}), ["34S-/O2-", "S-/32S-"])
    with pytest.raises(SsbmapsError, match="fractionation=-1"):
        check_isotopes(_maps(**{"S-": 6000, "34S-": 300}), "34S-/S-", fractionation=-1)
