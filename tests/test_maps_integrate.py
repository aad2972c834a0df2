"""Windows of any spectral axis: plain sums, linear and Shirley backgrounds against planted peaks, faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import ssbmaps
from ssbmaps import DataQualityWarning, SsbmapsError
from ssbmaps.maps import fragment_maps, integrate, ion_mz


def _cube(spectra, axis, values, **coords):
    spectra = np.asarray(spectra)
    return xr.DataArray(spectra, {axis: values, **coords}, ("y", "x", axis), attrs={"units": "counts"})


def _counts(shape=(3, 4, 60), seed=1):
    return _cube(np.random.default_rng(seed).poisson(2, shape).astype("uint16"), "raman_shift", 500.0 + 5 * np.arange(shape[-1]))


@given(low=st.integers(0, 50), width=st.integers(1, 9), seed=st.integers(0, 10))
def test_sum_is_the_brute_force_sum(low, width, seed):
    cube = _counts(seed=seed)
    start = 500.0 + 5 * low
    band = integrate(cube, {"band": (start, start + 5 * width)}).sel(band="band")
    assert band.dtype == np.int64
    np.testing.assert_array_equal(band, cube.values[..., low : low + width].sum(-1))


@pytest.mark.parametrize(
    ("axis", "dim"),
    [
        ("mz", "fragment"),
        ("kinetic_energy", "line"),
        ("binding_energy", "line"),
        ("raman_shift", "band"),
        ("wavelength", "band"),
        ("energy", "band"),
    ],
)
def test_every_axis_has_its_channel_dimension_and_edges(axis, dim):
    cube = _cube(np.ones((2, 3, 30), int), axis, np.arange(30.0))
    maps = integrate(cube, {"b": (3, 7), "a": (10, 11)})
    assert maps.dims == (dim, "y", "x")
    assert maps[dim].values.tolist() == ["b", "a"]
    assert maps[f"{axis}_low"].values.tolist() == [3, 10]
    assert maps[f"{axis}_high"].values.tolist() == [7, 11]
    assert maps.isel(y=0, x=0).values.tolist() == [4, 1]
    assert maps.attrs["units"] == "counts"


def test_agrees_with_fragment_maps():
    cube = _cube(np.random.default_rng(0).poisson(1, (3, 4, 200)), "mz", np.linspace(60, 80, 200))
    window = (ion_mz("PO3-") - 0.3, ion_mz("PO3-") + 0.3)
    np.testing.assert_array_equal(integrate(cube, {"PO3-": window}), fragment_maps(cube, "PO3-", window=0.3))


@pytest.mark.parametrize("background", [None, "linear", "shirley"])
def test_containers_and_transposed_agree(background):
    # a peak far above the noise of the end channels keeps the Shirley iteration defined
    spectra = _counts().values.astype("uint32")
    spectra[..., 10:20] += 200
    cube = _counts().copy(data=spectra)
    windows = {"a": (520, 640), "b": (540, 610)}
    expected = integrate(cube, windows, background=background)
    for other in (
        cube.copy(data=sparse.COO.from_numpy(spectra)),
        cube.chunk({"y": 1, "x": 3, "raman_shift": 20}),
        cube.copy(data=sparse.COO.from_numpy(spectra)).chunk({"y": 2}),
        cube.transpose("raman_shift", "x", "y"),
    ):
        # sums of up to 24 numbers in another order: rounding only
        xr.testing.assert_allclose(integrate(other, windows, background=background).compute(), expected, rtol=1e-12)


@given(slope=st.floats(-2, 2), level=st.floats(0, 100), area=st.floats(0, 1000))
def test_linear_background_removes_any_line(slope, level, area):
    shift = np.concatenate([np.arange(500, 560, 2.0), np.arange(560, 640, 3.0)])  # uneven spacing
    peak = np.where((shift > 540) & (shift < 600), 1.0, 0.0)
    spectrum = level + slope * (shift - 500) + area * peak / peak.sum()
    band = integrate(_cube([[spectrum]], "raman_shift", shift), {"A1g": (500, 641)}, background="linear")
    # the line is removed exactly; what is left is rounding of values up to 400
    assert band.item() == pytest.approx(area, abs=1e-9)


@pytest.mark.parametrize("rise", [-30.0, 0.0, 40.0])
@pytest.mark.parametrize("axis", ["kinetic_energy", "binding_energy"])
def test_shirley_background_returns_the_planted_peak(rise, axis):
    energy = np.linspace(700, 730, 301)
    peak = 100 * np.exp(-0.5 * ((energy - 714) / 2) ** 2)
    share = np.concatenate([[0], np.cumsum((peak[1:] + peak[:-1]) / 2)])
    spectrum = 50 + peak + rise * share / share[-1]
    line = integrate(_cube([[spectrum]], axis, energy), {"Fe": (700, 730.1)}, background="shirley")
    # stops at a relative change of 1e-6; the remaining error is of the same order
    assert line.item() == pytest.approx(peak.sum(), rel=1e-5)


def test_linear_under_a_step_is_wrong_where_shirley_is_right():
    energy = np.linspace(700, 730, 301)
    peak = 100 * np.exp(-0.5 * ((energy - 706) / 2) ** 2)
    share = np.cumsum(peak) / peak.sum()
    cube = _cube([[50 + peak + 40 * share]], "kinetic_energy", energy)
    shirley, linear = (integrate(cube, {"a": (700, 730.1)}, background=b).item() for b in ("shirley", "linear"))
    assert abs(shirley / peak.sum() - 1) < 0.01
    assert abs(linear / peak.sum() - 1) > 0.2


def test_shirley_that_does_not_converge_is_nan_and_warns():
    energy = np.arange(20.0)
    spectra = np.full((1, 2, 20), 10.0)
    spectra[0, :, 10:] = 20
    spectra[0, 0, 5:10] = 30  # a peak
    spectra[0, 1, 5:10] = 0  # a pit: no positive area
    with pytest.warns(DataQualityWarning, match="did not converge in 1 of 2 spectra"):
        line = integrate(_cube(spectra, "kinetic_energy", energy), {"a": (0, 20)}, background="shirley")
    assert np.isfinite(line.values[0, 0, 0])
    assert np.isnan(line.values[0, 0, 1])


@pytest.mark.parametrize("background", ["linear", "shirley"])
def test_empty_spectra_have_area_zero_and_nan_stays_nan(background):
    spectra = np.zeros((1, 3, 12))
    spectra[0, 1, 4:7] = 5
    spectra[0, 2, 3] = np.nan
    band = integrate(_cube(spectra, "kinetic_energy", np.arange(12.0)), {"a": (0, 12)}, background=background)
    np.testing.assert_array_equal(band.values.ravel(), [0, 15, np.nan])


def test_unmeasured_pixels():
    measured = np.array([[True, False, True, True], [True] * 4, [True] * 4])
    cube = _counts().assign_coords(measured=(("y", "x"), measured))
    assert integrate(cube, {"a": (500, 600)}).dtype == np.int64
    net = integrate(cube, {"a": (500, 600)}, background="linear")
    np.testing.assert_array_equal(np.isnan(net.values[0]), ~measured)


def test_faults_are_listed_together():
    with pytest.raises(
        SsbmapsError, match=r"(?s)3 faults.*a: the window is \[600, 500\).*b: the window is 7;.*c: .*finite edges"
    ):
        integrate(_counts(), {"a": (600, 500), "b": 7, "c": (500, np.inf)})
    message = r"(?s)3 faults.*a: .*outside the axis, 500 to 795 1/cm.*b: .*holds no channel.*c: .*reaches beyond the axis"
    with pytest.raises(SsbmapsError, match=message):
        integrate(_counts(), {"a": (100, 200), "b": (501, 504), "c": (700, 900)})


def test_a_window_may_end_on_the_last_channel_but_not_a_channel_later():
    assert integrate(_counts(), {"a": (495, 800)}).sizes["band"] == 1
    with pytest.raises(SsbmapsError, match="reaches beyond the axis"):
        integrate(_counts(), {"a": (500, 801)})


@pytest.mark.parametrize("windows", [{}, [(500, 600)], None])
def test_windows_must_be_a_mapping(windows):
    with pytest.raises(SsbmapsError, match=r"expected \{'A1g': \(570, 620\)\}"):
        integrate(_counts(), windows)


def test_other_faults():
    with pytest.raises(SsbmapsError, match="background='spline'; expected None, 'linear' or 'shirley'"):
        integrate(_counts(), {"a": (500, 600)}, background="spline")
    with pytest.raises(SsbmapsError, match="a: 2 channels; a linear background takes the outer two"):
        integrate(_counts(), {"a": (500, 510)}, background="linear")
    with pytest.raises(SsbmapsError, match="expected one spectral dimension"):
        integrate(_counts().isel(raman_shift=0), {"a": (500, 600)})
    with pytest.raises(SsbmapsError, match="the name 1 is no text"):
        integrate(_counts(), {1: (500, 600)})


def test_windows_of_a_real_file():
    """Counts in four windows of PHI's published battery file, as the manifest of the example files states them."""
    path = Path(__file__).parents[2] / "shared" / "data" / "phi" / "PowerCo-102-Pos-Cu_Grid.h5"
    if not path.exists():
        pytest.skip("the example file PowerCo-102-Pos-Cu_Grid.h5 is not beside this checkout")
    cube = ssbmaps.io.read(path, pixel_size=80 / 256)
    windows = {"63Cu+": (62.8, 63.1), "65Cu+": (64.8, 65.1), "23Na+": (22.9, 23.1), "7Li+": (6.9, 7.1)}
    maps = integrate(cube, windows)
    assert maps.sum(set(maps.dims) - {"fragment"}).values.tolist() == [3784, 1982, 1132, 69]
