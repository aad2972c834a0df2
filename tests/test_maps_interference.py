"""Neighbours of fragments: which are listed, what m/Δm they need, and when fragment_maps warns of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sparse
import xarray as xr
from scipy.stats import norm

from ssbmaps import SsbmapsError
from ssbmaps._battery_ions import COMMON, FREQUENT, candidates
from ssbmaps._ions import parse_ion
from ssbmaps._isotopologues import composition
from ssbmaps.maps import fragment_maps, interferences, ion_mz, mass_resolution

CLEAN = {"S-": 20_000, "Cl-": 15_000, "NiO2-": 15_000}
STEP = 0.001  # Da


def _cube(amounts, resolution, *, seed=0, polarity="negative"):
    """Poisson counts of Gaussian peaks on 3 × 4 pixels, channels 0.3 Da to both sides of every ion."""
    masses = [ion_mz(i) for i in amounts]
    mz = np.unique(np.concatenate([np.arange(round((m - 0.3) / STEP), round((m + 0.3) / STEP)) for m in masses])) * STEP
    mean = np.zeros(len(mz))
    for m, n in zip(masses, amounts.values(), strict=True):
        sigma = m / resolution / 2.354820045
        mean += n / 12 * (norm.cdf(mz + STEP / 2, m, sigma) - norm.cdf(mz - STEP / 2, m, sigma))
    counts = np.random.default_rng(seed).poisson(mean, (3, 4, len(mz)))
    coords = {"y": np.arange(3) + 0.5, "x": np.arange(4) + 0.5, "mz": mz}
    return xr.DataArray(counts.astype("uint32"), coords, ("y", "x", "mz"), attrs={"units": "counts", "polarity": polarity})


def _letters(cube, fragments, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        maps = fragment_maps(cube, fragments, **options)
    return [str(w.message) for w in caught], maps


@pytest.mark.parametrize(
    ("fragment", "neighbour", "mda"),
    [
        ("PO2-", "PS-", -17.8),
        ("SO2-", "S2-", -17.8),
        ("SO3-", "S2O-", -17.8),
        ("PO3-", "PSO-", -17.8),
        ("S-", "O2-", 17.8),
        ("PO2-", "Cu-", -34.0),
        ("PO3-", "CuO-", -34.0),
        ("K+", "C3H3+", 59.8),
        ("Al+", "C2H3+", 41.9),
    ],
)
def test_the_known_neighbours_of_battery_fragments_are_listed(fragment, neighbour, mda):
    """Distances as published for the pairs, to 0.1 mDa; 1000 ppm reach twice as far, to all of them."""
    near = interferences(fragment, tolerance_ppm=1000)
    row = near.isel(pair=near.neighbour.values.tolist().index(neighbour))
    assert abs(1e3 * row.difference - mda) < 0.051
    np.testing.assert_allclose(row.needed_resolution, ion_mz(fragment) / abs(ion_mz(neighbour) - ion_mz(fragment)))
    assert row.abundance == 1


def test_needed_resolution_makes_a_dip_of_seven_per_cent():
    """The stated meaning: two equal Gaussian peaks one full width apart; their middle lies 7 % below their tops."""
    x = np.linspace(-2, 3, 50_001)
    both = norm.pdf(x, 0, 1 / 2.354820045) + norm.pdf(x, 1, 1 / 2.354820045)
    assert abs(1 - both[np.abs(x - 0.5).argmin()] / both.max() - 0.07) < 0.005


def test_leak_is_the_share_of_the_neighbours_peak_in_the_window():
    near = interferences("PO2-", resolution=3000)
    row = near.isel(pair=near.neighbour.values.tolist().index("PS-"))
    mz = np.linspace(62.8, 63.1, 300_001)
    density = norm.pdf(mz, ion_mz("PS-"), ion_mz("PO2-") / 3000 / 2.354820045)
    inside = abs(mz - ion_mz("PO2-")) < 300e-6 * ion_mz("PO2-")
    np.testing.assert_allclose(row.leak, density[inside].sum() * (mz[1] - mz[0]), rtol=1e-3)


def test_reach_follows_window_and_resolution():
    wide = interferences("PO2-", resolution=1500).neighbour.values  # 18.9 mDa of window, 42 mDa of width
    narrow = interferences("PO2-", resolution=20000, window=0.005).neighbour.values
    assert "Cu-" in wide
    assert "PS-" in wide
    assert "PS-" not in narrow
    nothing = interferences("PO2-", resolution=50000, window=0.0005)
    assert nothing.sizes["pair"] == 0
    assert np.isnan(interferences("PO2-").leak).all()


def test_an_isotopologue_carries_its_abundance_and_an_ion_is_no_neighbour_of_itself():
    near = interferences(["Cl-", "S-"])
    row = near.isel(pair=near.neighbour.values.tolist().index("[34S]H-"))
    np.testing.assert_allclose(row.abundance, 0.0425 / 0.9499, rtol=5e-3)  # IUPAC's mole fractions of 34S and 32S
    names = zip(near.fragment.values, near.neighbour.values, strict=True)
    assert all(composition(parse_ion(a)) != composition(parse_ion(b)) for a, b in names)


def test_resolution_may_be_the_measured_one():
    cube = _cube(CLEAN, 4000)
    measured = mass_resolution(cube)
    near = interferences(["PO2-", "PO3-"], resolution=measured)
    np.testing.assert_allclose(near.resolution, 4000, rtol=0.03)


def test_every_listed_name_is_the_ion_of_the_listed_mass():
    for polarity, sign in (("negative", -1), ("positive", 1)):
        listed, mz = candidates(polarity)
        ions = [parse_ion(c.name) for c in listed]
        np.testing.assert_allclose([i.mz for i in ions], mz, atol=1e-9)
        assert {i.charge for i in ions} == {sign}
        assert len({composition(i) for i in ions}) == len(ions)
        assert (np.diff(mz) >= 0).all()
        assert all(parse_ion(i).charge == sign for i in COMMON[polarity])
    assert all(abs(ion_mz(a) - ion_mz(b)) < 0.07 for a, b in FREQUENT)


def test_faults_are_named():
    with pytest.raises(SsbmapsError, match=r"(?s)2 faults.*'PO2'.*'Xx-'"):
        interferences(["PO2", "S-", "Xx-"])
    with pytest.raises(SsbmapsError, match="no fragment given"):
        interferences([])
    with pytest.raises(SsbmapsError, match="tolerance_ppm=-3"):
        interferences("S-", tolerance_ppm=-3)
    with pytest.raises(SsbmapsError, match="resolution=0"):
        interferences("S-", resolution=0)
    with pytest.raises(SsbmapsError, match="Dataset without `resolution`"):
        interferences("S-", resolution=xr.Dataset({"fwhm": ("fragment", [1.0])}))


def test_a_neighbour_that_is_there_is_told_with_both_resolutions():
    cube = _cube({**CLEAN, "PO2-": 5000, "PS-": 4000}, 5000)
    letters, maps = _letters(cube, ["PO2-", "Cl-"])
    assert len(letters) == 1
    assert "PS- (-17.8 mDa, m/Δm needed 3546, measured 5" in letters[0] or "measured 49" in letters[0]
    # 300 ppm are 18.9 mDa: all of PO2-, and the upper 0.58 of PS- (its centre lies 1.1 mDa inside, sigma is 5.3 mDa)
    share = 4000 * 0.58 / (4000 * 0.58 + 5000)
    assert f"adds about {share:.0%}" in letters[0] or f"adds about {share + 0.01:.0%}" in letters[0]
    assert int(maps.sel(fragment="PO2-").sum()) > 6500


def test_a_neighbour_that_is_not_there_is_no_reason_to_warn():
    letters, _ = _letters(_cube({**CLEAN, "PO2-": 5000, "PO3-": 4000, "SO2-": 3000}, 5000), ["PO2-", "PO3-", "SO2-", "S-"])
    assert letters == []


def test_a_narrow_window_that_leaves_the_neighbour_out_is_silent():
    letters, _ = _letters(_cube({**CLEAN, "PO2-": 5000, "PS-": 4000}, 8000), "PO2-", tolerance_ppm=60)
    assert letters == []


def test_an_unresolved_neighbour_is_told_whether_there_or_not():
    letters, _ = _letters(_cube({**CLEAN, "PO2-": 5000}, 1500), "PO2-")
    assert "PO2- cannot be told from PS- (-17.8 mDa, m/Δm needed 3546)" in letters[0]
    assert "measured 15" in letters[0] or "measured 14" in letters[0]


def test_one_letter_for_all_fragments_of_a_call():
    letters, _ = _letters(_cube({**CLEAN, "PO2-": 5000, "PS-": 4000, "SO2-": 2000, "S2-": 4000}, 5000), ["PO2-", "SO2-"])
    assert len(letters) == 1
    assert "PS-" in letters[0]
    assert "S2-" in letters[0]


def test_one_channel_per_peak_is_judged_by_the_channels():
    ions = ["S-", "Cl-", "PS-", "PO2-", "NiO2-"]
    axis = {"y": [0.5], "x": [0.5, 1.5], "mz": [ion_mz(i) for i in ions]}
    counts = np.array([[[10, 10, 30, 100, 10], [10, 10, 30, 100, 10]]])
    cube = xr.DataArray(counts, axis, ("y", "x", "mz"), attrs={"units": "counts", "polarity": "negative"})
    letters, _ = _letters(cube, "PO2-")
    assert "PS- (-17.8 mDa, m/Δm needed 3546) adds about 23% of the counts" in letters[0]
    assert _letters(cube, "PO2-", tolerance_ppm=100)[0] == []


@pytest.mark.parametrize("resolution", [3700, 5000])
def test_both_ions_of_a_pair_with_overlapping_windows_give_the_letter_of_the_overlap_alone(resolution):
    """The pair's counts are not given to a third ion either: Cu- lies 16 mDa below PS- and is not there."""
    letters, _ = _letters(_cube({**CLEAN, "PO2-": 5000, "PS-": 4000}, resolution), ["PO2-", "PS-"])
    assert len(letters) == 1
    assert "windows overlap" in letters[0]


def test_values_that_are_no_counts_are_not_judged():
    cube = _cube({**CLEAN, "PO2-": 5000, "PS-": 4000}, 5000)
    assert _letters(cube.assign_attrs(units="arbitrary"), "PO2-")[0] == []
    assert _letters(cube.astype(int) - 1, "PO2-")[0] == []


def test_notes_say_what_the_ions_cannot_tell_and_are_the_same_for_every_container():
    cube = _cube({**CLEAN, "C2-": 900, "PO2-": 5000, "PS-": 4000}, 5000)
    expected = _letters(cube, ["C2-", "PO2-", "Cl-"])[1]
    notes = expected.attrs["notes"]
    assert "C2- is not specific to carbon fibres" in notes
    assert "PO2- is no marker of decomposition where core or electrolyte holds phosphate (LiCoPO4, LAGP, LiPON)" in notes
    assert "PS- (-17.8 mDa, m/Δm needed 3546) lies inside the window of PO2-" in notes
    coo = cube.copy(data=sparse.COO.from_numpy(cube.values))
    for other in (coo, cube.chunk(y=1), cube.transpose("mz", "x", "y")):
        found = _letters(other, ["C2-", "PO2-", "Cl-"])[1]
        assert found.attrs["notes"] == notes
        xr.testing.assert_equal(found.compute(), expected)
    assert "notes" not in _letters(cube, ["Cl-"])[1].attrs


def test_positive_mode_alike():
    clean = {"Na+": 9000, "K+": 9000, "C3H5+": 9000, "Co+": 9000}
    cube = _cube({**clean, "Cu+": 5000, "PS+": 3000}, 5000, polarity="positive")
    letters, _ = _letters(cube, "Cu+")
    assert "PS+ (+16.2 mDa, m/Δm needed 3876, measured" in letters[0]
