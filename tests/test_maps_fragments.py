"""Fragment maps: exact windows, all containers alike, missing never zero, every fault with its message."""

from __future__ import annotations

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ssbmaps import DataQualityWarning, SsbmapsError
from ssbmaps.maps import fragment_maps, ion_mz

IONS = ["PO2-", "PO3-", "NiO2-"]


def _cube(dtype="uint32", *, scans=0, seed=0, **attrs):
    """Counts on 3 × 5 pixels and 400 channels from 60 to 100 Da, one in five of them filled."""
    rng = np.random.default_rng(seed)
    shape = (*((scans,) if scans else ()), 3, 5, 400)
    values = (rng.poisson(3, shape) * (rng.random(shape) < 0.2)).astype(dtype)
    dims = (*(("scan",) if scans else ()), "y", "x", "mz")
    coords = {"y": np.arange(3) + 0.5, "x": np.arange(5) + 0.5, "mz": np.linspace(60, 100, 400)}
    return xr.DataArray(values, coords, dims, attrs={"units": "counts", "polarity": "negative", **attrs})


def _brute(values, mz, ion, half):
    low, high = ion_mz(ion) - half, ion_mz(ion) + half
    return sum(values[..., k].astype(np.int64) for k in range(len(mz)) if low <= mz[k] < high)


@given(half=st.floats(0.1, 3), seed=st.integers(0, 20))
def test_equals_the_brute_force_sum(half, seed):
    cube = _cube(seed=seed)
    maps = fragment_maps(cube, ["PO3-"], window=half)
    np.testing.assert_array_equal(maps.sel(fragment="PO3-").values, _brute(cube.values, cube.mz.values, "PO3-", half))


def test_dense_sparse_dask_and_transposed_agree():
    cube = _cube(scans=2)
    expected = fragment_maps(cube, IONS, window=0.4)
    as_sparse = cube.copy(data=sparse.COO.from_numpy(cube.values))
    chunked = cube.chunk({"scan": 1, "y": 2, "x": 3, "mz": 100})
    both = as_sparse.chunk({"scan": 1, "y": 2, "x": 5})
    assert expected.dims == ("scan", "fragment", "y", "x")
    assert expected.dtype == np.int64
    assert type(fragment_maps(chunked, IONS, window=0.4).data).__module__.startswith("dask")
    for other in (as_sparse, chunked, both):
        xr.testing.assert_identical(fragment_maps(other, IONS, window=0.4).compute(), expected)
    for turned in (cube.transpose("x", "mz", "y", "scan"), as_sparse.transpose("mz", "x", "scan", "y")):
        xr.testing.assert_equal(fragment_maps(turned, IONS, window=0.4), expected)


def test_low_edge_is_in_and_high_edge_is_out():
    centre = ion_mz("PO3-")
    axis = [centre - 0.25, centre, centre + 0.25]
    cube = xr.DataArray([[[1, 10, 100]]], {"mz": axis}, ("y", "x", "mz"))
    assert fragment_maps(cube, "PO3-", window=0.25).item() == 11


def test_tolerance_is_in_parts_per_million_of_each_mass():
    cube = xr.DataArray(np.ones((1, 1, 8000), int), {"mz": np.arange(8000) * 0.01 + 20}, ("y", "x", "mz"))
    maps = fragment_maps(cube, ["C2-", "NiO2-"], tolerance_ppm=1000)
    np.testing.assert_allclose(maps.mz_high - maps.mz_low, 2e-3 * maps.mz)
    assert maps.values.ravel().tolist() == [5, 18]  # 48 mDa and 180 mDa wide, in channels of 10 mDa


def test_narrow_integers_do_not_overflow():
    cube = xr.DataArray(np.full((2, 3, 500), 255, "uint8"), {"mz": np.linspace(78, 80, 500)}, ("y", "x", "mz"))
    assert (fragment_maps(cube, "PO3-", window=10) == 255 * 500).all()


def test_result_follows_the_contract():
    cube = _cube(technique="tof-sims", history="made by hand")
    maps = fragment_maps(cube, ["PO₃⁻", "NiO2-"], window=0.4)
    assert maps.fragment.values.tolist() == ["PO3-", "NiO2-"]
    assert (maps.name, maps.attrs["units"], maps.attrs["technique"]) == ("counts", "counts", "tof-sims")
    assert maps.mz.attrs["units"] == "Da"
    assert maps.mz.values.tolist() == [ion_mz("PO3-"), ion_mz("NiO2-")]
    assert maps.attrs["history"].splitlines()[0] == "made by hand"
    assert "maps.fragment_maps" in maps.attrs["history"]
    assert cube.attrs["history"] == "made by hand"


def test_unmeasured_pixels_are_marked_in_integers_and_nan_in_floats():
    measured = np.ones((3, 5), bool)
    measured[1, 2] = False
    cube = _cube().assign_coords(measured=(("y", "x"), measured))
    counts = fragment_maps(cube, IONS, window=0.4)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts.measured, measured)
    floats = fragment_maps(cube.astype("float32"), IONS, window=0.4)
    assert floats.dtype == np.float64
    assert np.isnan(floats.values[:, 1, 2]).all()
    assert np.isfinite(floats.values[:, measured]).all()


def test_spectra_without_a_raster():
    cube = _cube().stack(point=("y", "x")).reset_index("point", drop=True)
    maps = fragment_maps(cube, IONS, window=0.4)
    assert maps.dims == ("fragment", "point")
    np.testing.assert_array_equal(maps.values, fragment_maps(_cube(), IONS, window=0.4).values.reshape(3, 15))


def test_empty_windows_are_errors_and_all_are_listed():
    with pytest.raises(SsbmapsError, match=r"(?s)2 faults.*C2-: .*outside the axis, 60 to 100 Da.*NiO2-: .*holds no channel"):
        fragment_maps(_cube(), ["C2-", "NiO2-", "PO3-"], window=0.02)


def test_wrong_polarity_duplicates_and_unreadable_ions():
    with pytest.raises(SsbmapsError, match=r"measured in negative polarity, which holds no Ni\+, Cu\+"):
        fragment_maps(_cube(), ["Ni+", "NiO2-", "Cu+"], window=0.4)
    with pytest.raises(SsbmapsError, match="PO3- and O3P- are the same ion"):
        fragment_maps(_cube(), ["PO3-", "O3P-"], window=0.4)
    with pytest.raises(SsbmapsError, match="PO3- and PO3- are the same ion"):
        fragment_maps(_cube(), ["PO3-", "PO₃⁻"], window=0.4)
    with pytest.raises(SsbmapsError, match=r"(?s)2 faults.*PO3': the charge is missing.*Xx-': 'Xx' is no element"):
        fragment_maps(_cube(), ["PO3", "NiO2-", "Xx-"], window=0.4)
    with pytest.raises(SsbmapsError, match="no fragment given"):
        fragment_maps(_cube(), [])


@pytest.mark.parametrize("options", [{"tolerance_ppm": 0}, {"tolerance_ppm": "wide"}, {"window": -1}, {"window": np.nan}])
def test_half_width_must_be_positive(options):
    with pytest.raises(SsbmapsError, match="expected a positive number"):
        fragment_maps(_cube(), IONS, **options)


def test_faults_of_the_cube():
    with pytest.raises(SsbmapsError, match="dimension mz is missing"):
        fragment_maps(_cube().isel(mz=0), IONS)
    with pytest.raises(SsbmapsError, match="is not ascending"):
        fragment_maps(_cube().isel(mz=slice(None, None, -1)), IONS)
    cube = _cube()
    cube.mz.attrs["units"] = "u"
    with pytest.raises(SsbmapsError, match="in 'u', expected 'Da'"):
        fragment_maps(cube, IONS, window=0.4)


def test_overlapping_windows_warn_with_the_resolving_power_needed():
    # the design's 17.8 mDa at m/z 62.964
    axis = np.arange(62.5, 63.5, 0.001)
    cube = xr.DataArray(np.ones((2, 3, axis.size), int), {"mz": axis}, ("y", "x", "mz"))
    with pytest.warns(DataQualityWarning, match=r"PS- and PO2- \(17\.8 mDa apart, needs m/Δm > 3546\)"):
        fragment_maps(cube, ["PO2-", "PS-"])
    assert fragment_maps(cube, ["PO2-", "PS-"], tolerance_ppm=100).sizes["fragment"] == 2
