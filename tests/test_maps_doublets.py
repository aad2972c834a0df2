"""Doublets: planted counts found again, unresolved pairs called so, maps that keep the totals, errors that hold."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sparse
import xarray as xr
from scipy.stats import exponnorm, norm

from ssbmaps import DataQualityWarning, SsbmapsError
from ssbmaps.maps import ion_mz, mass_resolution, separate_doublet

PAIR = ["PS-", "PO2-"]
CLEAN = {"S-": 30_000, "Cl-": 20_000, "CN-": 8_000, "NiO2-": 20_000}
STEP = 0.0008  # Da; a channel is a sixth of the narrowest peak here


def _axis(masses, resolution):
    """Channel centres to both sides of every mass: gaps between, as in a file that stores what it recorded."""
    spans = [(m, max(0.25, 3 * m / resolution)) for m in sorted(masses)]
    parts = [np.arange(round((m - s) / STEP), round((m + s) / STEP)) for m, s in spans]
    return np.unique(np.concatenate(parts)) * STEP


def _share(edges, mz, resolution, late=0.08):
    """Share of each channel of a peak: Gaussian, 8 % of the ions with an exponential delay of half the width."""
    fwhm = mz / resolution
    sigma = fwhm / 2.354820045
    tail = exponnorm.cdf(edges, 0.5 * fwhm / sigma, loc=mz, scale=sigma)
    return np.maximum(np.diff((1 - late) * norm.cdf(edges, mz, sigma) + late * tail), 0)


def _cube(amounts, resolution=5000, *, seed=0, shape=(5, 7), shift_ppm=0.0, share=_share, fields=None):
    """Poisson counts of ions spread over pixels by `fields` (evenly by default) and over channels by their peaks."""
    rng = np.random.default_rng(seed)
    masses = {i: ion_mz(i) for i in amounts}
    mz = _axis(masses.values(), resolution)
    edges = np.append(mz - STEP / 2, mz[-1] + STEP / 2)
    even = np.full(shape, 1 / np.prod(shape))
    mean = np.zeros((*shape, len(mz)))
    for ion, n in amounts.items():
        where = (fields or {}).get(ion, even)
        mean += n * where[..., None] * share(edges, masses[ion] * (1 + 1e-6 * shift_ppm), resolution)
    coords = {"y": np.arange(shape[0]) + 0.5, "x": np.arange(shape[1]) + 0.5, "mz": mz}
    attrs = {"units": "counts", "polarity": "negative"}
    return xr.DataArray(rng.poisson(mean).astype("uint32"), coords, ("y", "x", "mz"), attrs=attrs)


def _separate(cube, ions=PAIR, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return separate_doublet(cube, ions, **options)


@pytest.mark.parametrize("amounts", [(3000, 3000), (300, 6000), (9000, 900)])
def test_a_17_8_mda_doublet_is_found_within_three_errors_at_5000(amounts):
    found = separate_doublet(_cube({**CLEAN, **dict(zip(PAIR, amounts, strict=True))}), PAIR)
    assert found.separable == 1
    assert (abs(found.total - amounts) < 3 * found.total_sd).all()
    assert (found.total_sd >= 0.95 * np.sqrt(amounts)).all()  # no error below that of counting
    assert (found.total_sd < 0.02 * sum(amounts)).all()


def test_the_same_doublet_is_not_separable_at_1500():
    cube = _cube({**CLEAN, "PS-": 3000, "PO2-": 3000}, 1500)
    with pytest.warns(DataQualityWarning, match=r"PS- and PO2- cannot be told apart.*needs m/Δm 354\d, measured 14\d\d ±"):
        found = separate_doublet(cube, PAIR)
    assert found.separable == 0
    assert found.counts.isnull().all()
    assert (abs(found.total - 3000) < 3 * found.total_sd).all()  # the totals keep errors that say how little is known
    assert float(found.correlation.min()) < -0.9


@pytest.mark.parametrize(("resolution", "counts", "separable"), [(1500, 2e6, 0), (12000, 40, 1), (5000, 1000, 1), (2500, 60, 0)])
def test_separable_depends_on_widths_and_counts_together(resolution, counts, separable):
    """No number of counts makes up for 0.4 of a width; resolved peaks are separable though few; in between counts decide."""
    found = _separate(_cube({**CLEAN, "PS-": counts / 2, "PO2-": counts / 2}, resolution))
    assert found.separable == separable


def test_separable_does_not_depend_on_how_strong_each_ion_is():
    errors = [float(_separate(_cube({**CLEAN, "PS-": a, "PO2-": 4000 - a})).share_sd_equal) for a in (40, 2000, 3960)]
    np.testing.assert_allclose(errors, errors[1], rtol=0.25)  # the fitted shape differs a little from fit to fit


def test_an_absent_partner_is_consistent_with_zero():
    found = _separate(_cube({**CLEAN, "PO2-": 5000}, seed=3), PAIR)
    missing = found.sel(fragment="PS-")
    assert abs(missing.total) < 3 * missing.total_sd
    assert 1 < missing.total_sd < 100


def test_pulls_are_standard_normal_over_many_seeds():
    """Mean and spread of (found − planted)/error over 24 seeds: planted are Poisson means, so counting noise is in it.

    The error also holds a difference of 3 % between any two ions' peaks, which these data lack: a spread below 1 is right.
    """
    pulls = []
    for seed in range(24):
        found = _separate(_cube({**CLEAN, "PS-": 800, "PO2-": 1600}, seed=seed))
        pulls.append((found.total.values - [800, 1600]) / found.total_sd.values)
    assert abs(np.mean(pulls, axis=0)).max() < 0.6
    assert (np.std(pulls, axis=0) > 0.6).all()
    assert (np.std(pulls, axis=0) < 1.3).all()


def test_maps_add_up_to_the_totals_and_each_region_holds_its_own_ion():
    left = np.zeros((6, 8))
    left[:, :4] = 1 / 24
    right = left[:, ::-1]
    cube = _cube({**CLEAN, "PS-": 2400, "PO2-": 3600}, shape=(6, 8), fields={"PS-": left, "PO2-": right})
    found = _separate(cube)
    assert found.counts.dims == ("fragment", "y", "x")
    np.testing.assert_allclose(found.counts.sum(["y", "x"]), found.total, rtol=1e-9)
    sums, errors = found.counts.isel(x=slice(4)).sum(["y", "x"]), np.sqrt((found.counts_sd.isel(x=slice(4)) ** 2).sum(["y", "x"]))
    # 1 % of the other ion's counts is what the shape's uncertainty may leave, beside counting noise
    assert abs(sums.sel(fragment="PS-") - 2400) < 3 * np.hypot(errors.sel(fragment="PS-"), 24)
    assert abs(sums.sel(fragment="PO2-")) < 3 * np.hypot(errors.sel(fragment="PO2-"), 24)


def test_map_errors_are_those_of_repeated_measurements():
    planted = {**CLEAN, "PS-": 7000, "PO2-": 10500}
    repeats = [_separate(_cube(planted, seed=s)) for s in range(6)]
    residuals = [(r.counts - r.counts.mean(["y", "x"])) / np.sqrt((r.counts_sd**2).mean(["y", "x"])) for r in repeats]
    spread = np.std(residuals, axis=(0, 2, 3))
    np.testing.assert_allclose(spread, 1, atol=0.12)  # 210 pixels: standard error of a spread 0.05


def test_all_containers_and_orders_give_the_same():
    dense = _cube({**CLEAN, "PS-": 1500, "PO2-": 2500}, shape=(3, 4)).expand_dims(scan=2).copy()
    expected = _separate(dense)
    assert expected.counts.dims == ("scan", "fragment", "y", "x")
    coo = dense.copy(data=sparse.COO.from_numpy(dense.values))
    for other in (
        coo,
        dense.transpose("mz", "x", "scan", "y"),
        dense.chunk(y=1, mz=500),
        coo.chunk(y=2),
        dense.astype("float32"),
    ):
        xr.testing.assert_allclose(_separate(other), expected, rtol=1e-9)


def test_unmeasured_pixels_are_nan_and_count_nothing():
    cube = _cube({**CLEAN, "PS-": 1500, "PO2-": 2500})
    mask = np.ones((5, 7), bool)
    mask[2, 3] = False
    marked = cube.assign_coords(measured=(("y", "x"), mask))
    floats = marked.astype(float).where(marked.measured)
    found, expected = _separate(marked), _separate(cube.where(marked.measured, 0))
    np.testing.assert_array_equal(found.counts.isnull().all("fragment"), ~mask)
    np.testing.assert_allclose(found.total, expected.total)
    xr.testing.assert_allclose(_separate(floats).counts, found.counts)


def test_a_shifted_mass_scale_is_carried_by_the_clean_peaks():
    found = _separate(_cube({**CLEAN, "PS-": 2000, "PO2-": 4000}, shift_ppm=120))
    np.testing.assert_allclose(found.mass_shift, 120, atol=15)
    assert (abs(found.total - [2000, 4000]) < 3 * found.total_sd).all()


def test_three_ions_at_once():
    planted = {"PS-": 2000, "PO2-": 3000, "Cu-": 1500}
    found = _separate(_cube({**CLEAN, **planted}), list(planted))
    assert found.separable == 1
    assert (abs(found.total - list(planted.values())) < 3 * found.total_sd).all()


def test_an_ion_that_was_not_named_is_told():
    with pytest.warns(DataQualityWarning, match="another ion lies among them"):
        separate_doublet(_cube({**CLEAN, "PS-": 4000, "PO2-": 6000, "Cu-": 8000}), PAIR)


def _winged(edges, mz, resolution):
    """Another shape than the fit's: Gaussian halves of different width and 5 % in a four times wider Gaussian."""
    sigma = mz / resolution / 2.354820045
    x = edges - mz
    halves = np.where(x < 0, 0.8 * 2 * norm.cdf(x / (0.8 * sigma)), 0.8 + 1.2 * (2 * norm.cdf(x / (1.2 * sigma)) - 1)) / 2
    return np.maximum(np.diff(0.95 * halves + 0.05 * norm.cdf(x / (4 * sigma))), 0)


def test_a_shape_outside_the_model_stays_within_the_stated_errors():
    for seed in range(4):
        found = _separate(_cube({**CLEAN, "PS-": 2000, "PO2-": 4000}, share=_winged, seed=seed))
        assert (abs(found.total - [2000, 4000]) < 3 * found.total_sd).all()


def test_peaks_one_channel_wide_have_no_shape():
    mz = np.array([ion_mz(i) for i in ("S-", "Cl-", *PAIR, "NiO2-")])
    cube = xr.DataArray(np.full((2, 3, 5), 400), {"mz": np.sort(mz)}, ("y", "x", "mz"), attrs={"units": "counts"})
    with pytest.raises(SsbmapsError, match="one channel per peak"):
        separate_doublet(cube, PAIR)


def test_a_range_that_was_not_recorded_is_no_zero():
    cube = _cube({**CLEAN, "PS-": 3000, "PO2-": 5000})
    hole = cube.sel(mz=abs(cube.mz - 62.95) > 0.1)
    with pytest.raises(SsbmapsError, match=r"no channel between 62\.9\d+ and 62\.9\d+ Da"):
        separate_doublet(hole, PAIR)


def test_a_stated_resolution_replaces_clean_peaks():
    cube = _cube({"PS-": 3000, "PO2-": 5000})
    with pytest.raises(SsbmapsError, match="no clean peak"):
        separate_doublet(cube, PAIR)
    found = _separate(cube, resolution=5000)
    assert found.attrs["references"] == ""
    assert (abs(found.total - [3000, 5000]) < 3 * found.total_sd).all()


@pytest.mark.parametrize(
    ("ions", "words"),
    [
        ("PO2-", "expected two ions or more"),
        (["PO2-"], "expected two different ions"),
        (["PO2-", "PS-", "PO2-"], "an ion is named twice"),
        (["PO2-", "PS+"], "both polarities"),
        (["PO2-", "Br-"], r"Br- \(78.91\d+\) not on the mz axis"),
        (["PO2-", "S-"], "peak widths apart"),
    ],
)
def test_faults_of_the_ions(ions, words):
    with pytest.raises(SsbmapsError, match=words):
        separate_doublet(_cube({"S-": 9000, "PO2-": 500, "Cl-": 2000}).sel(mz=slice(None, 70)), ions)


def test_values_that_are_no_counts_are_told_and_negative_ones_refused():
    cube = _cube({**CLEAN, "PS-": 2000, "PO2-": 4000})
    with pytest.warns(DataQualityWarning, match="the values are in 'arbitrary'"):
        separate_doublet(cube.assign_attrs(units="arbitrary"), PAIR)
    with pytest.raises(SsbmapsError, match="negative counts"):
        separate_doublet(cube.astype(int) - 5, PAIR)
    with pytest.raises(SsbmapsError, match="resolution is -1"):
        separate_doublet(cube, PAIR, resolution=-1)


@pytest.mark.parametrize("resolution", [300, 1500, 5000, 9000])
def test_mass_resolution_is_the_planted_one(resolution):
    found = mass_resolution(_cube(CLEAN, resolution))
    fine = np.linspace(0.9, 1.1, 400_001)
    density = _share(fine, 1.0, resolution)
    middle, half = (fine[1:] + fine[:-1]) / 2, density.max() / 2
    truth = 1 / np.ptp(middle[density >= half])  # width at half maximum with the tail, from the planted density itself
    assert set(found.fragment.values) == {"S-", "Cl-", "NiO2-"}
    assert (abs(found.resolution - truth) < 4 * found.resolution_sd).all()
    assert (abs(found.centre - found.mz) < 0.05 * found.fwhm).all()
    np.testing.assert_allclose(found.counts, [CLEAN[i] for i in found.fragment.values], rtol=0.04)
    assert (found.resolution_sd < 0.05 * found.resolution).all()


def test_a_blend_is_no_clean_peak_unless_it_is_asked_for():
    cube = _cube({**CLEAN, "C2-": 9000, "O-": 9000, "PO3-": 6000, "PSO-": 6000}, 2500)
    assert "PO3-" not in mass_resolution(cube).fragment.values
    asked = mass_resolution(cube, ["PO3-", "Cl-"])
    assert float(asked.sel(fragment="PO3-").resolution) < 0.9 * float(asked.sel(fragment="Cl-").resolution)


def test_mass_resolution_names_what_it_could_not_measure():
    with pytest.raises(SsbmapsError, match=r"no peak of 50 counts or more with a shape near C2-"):
        mass_resolution(_cube(CLEAN), ["C2-", "Cl-"])
    with pytest.raises(SsbmapsError, match="has a clean peak"):
        mass_resolution(_cube({"PS-": 100}))
    with pytest.raises(SsbmapsError, match="'polarity' is None"):
        mass_resolution(_cube(CLEAN).drop_attrs())
