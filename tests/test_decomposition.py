"""NMF and PCA on planted components: exact scaling, totals kept, all containers alike, faults."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import sparse
import xarray as xr

from ssbmaps import SsbmapsError
from ssbmaps.decomposition import nmf, pca

NY, NX, K = 14, 19, 40


def _planted(counts=200.0, seed=0):
    """Three phases with own spectra in blocks of a 14 × 19 map, 40 channels: abundance (3, y, x), spectra (3, K), counts."""
    rng = np.random.default_rng(seed)
    spectra = rng.gamma(0.25, 1, (3, K))
    spectra /= spectra.sum(axis=1, keepdims=True)
    place = np.zeros((3, NY, NX))
    place[0, :, :8], place[1, :7, 8:], place[2, 7:, 8:] = 1, 0.6, 0.3
    place[:, 5:9, 6:10] = 0.2
    abundance = place * counts
    return abundance, spectra, rng.poisson(np.einsum("cyx,ck->yxk", abundance, spectra))


def _cube(values, **attrs):
    coords = {"y": np.arange(values.shape[0]) + 0.5, "x": np.arange(values.shape[1]) + 0.5, "mz": 20.0 + np.arange(K)}
    return xr.DataArray(values, coords, ("y", "x", "mz"), attrs={"units": "counts", **attrs})


def _counts(seed=0):
    return _cube(_planted(seed=seed)[2].astype("uint32"))


def _containers(cube):
    as_sparse = cube.copy(data=sparse.COO.from_numpy(cube.values))
    return [as_sparse, cube.chunk({"y": 5, "x": 7, "mz": 11}), as_sparse.chunk({"y": 4}), cube.transpose("mz", "x", "y")]


def _match(found, truth):
    """Cosines of each planted row with its best found row."""
    f, t = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (found, truth))
    return (t @ f.T).max(axis=1)


@pytest.mark.parametrize(("function", "maps"), [(nmf, "abundance"), (pca, "scores")])
class TestBoth:
    def test_unmeasured_empty_pixels_and_empty_channels(self, function, maps):
        cube = _counts().astype("float64")
        cube[2, 3] = 0
        cube[..., 5] = 0
        # superpixels lie otherwise on a smaller map: the fit starts elsewhere, and ends at the same place
        function = partial(nmf, tol=1e-10, max_iter=3000) if function is nmf else function
        clean = function(cube.isel(y=slice(1, None)), 3)
        measured = np.ones((NY, NX), bool)
        measured[0] = False
        cube[0] = np.nan
        result = function(cube.assign_coords(measured=(("y", "x"), measured)), 3)
        values = result[maps].values
        assert np.isnan(values[:, 0]).all()
        np.testing.assert_array_equal(values[:, 2, 3], 0)
        np.testing.assert_array_equal(result["spectra" if "spectra" in result else "loadings"].values[:, 5], 0)
        rtol, atol = (1e-3, 1e-2) if maps == "abundance" else (1e-9, 1e-12)
        np.testing.assert_allclose(values[:, 1:], clean[maps].values, rtol=rtol, atol=atol)

    def test_series_points_and_maps(self, function, maps):
        cube = _counts()
        series = xr.concat([cube, cube], "scan")
        assert function(series, 2)[maps].dims == ("component", "scan", "y", "x")
        points = cube.stack(point=("y", "x")).reset_index("point", drop=True)
        result = function(points, 2)
        assert result[maps].dims == ("component", "point")
        whole = function(cube, 2)[maps].values  # counts of `nmf` start from other superpixels when they lie on no map
        np.testing.assert_allclose(result[maps].values.reshape(2, NY, NX), whole, atol=1.0 if maps == "abundance" else 1e-12)
        fragments = cube.isel(mz=slice(6)).rename(mz="fragment").assign_coords(fragment=list("abcdef"))
        result = function(fragments, 2)
        assert result[maps].dims == ("component", "y", "x")
        assert result["spectra" if function is nmf else "loadings"].fragment.values.tolist() == list("abcdef")

    def test_input_is_not_changed_and_history_grows(self, function, maps):
        cube = _counts().assign_attrs(history="read", technique="tof-sims").astype(float)
        before = cube.copy(deep=True)
        result = function(cube, 2)
        xr.testing.assert_identical(cube, before)
        assert result.attrs["technique"] == "tof-sims"
        assert result.attrs["history"].splitlines()[0] == "read"
        assert f"decomposition.{function.__name__}" in result.attrs["history"].splitlines()[1]
        assert maps in result


@pytest.mark.parametrize("function", [nmf, pca])
@pytest.mark.parametrize("n", [0, -1, 41, 2.0, True, None])
def test_number_of_components(function, n):
    with pytest.raises(SsbmapsError, match="expected a whole number from 1 to 40, as 266 pixels and 40 channels hold any signal"):
        function(_counts(), n)


@pytest.mark.parametrize("function", [nmf, pca])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity(function, bad):
    cube = _counts().astype(float)
    cube[3, 4, 5] = bad
    with pytest.raises(SsbmapsError, match="NaN or infinite values in measured pixels"):
        function(cube, 2)


@pytest.mark.parametrize("function", [nmf, pca])
def test_nothing_to_decompose(function):
    with pytest.raises(SsbmapsError, match="every value is 0"):
        function(_counts() * 0, 1)
    with pytest.raises(SsbmapsError, match="no pixel was measured"):
        function(_counts().assign_coords(measured=(("y", "x"), np.zeros((NY, NX), bool))), 1)
    with pytest.raises(SsbmapsError, match="expected one axis of channels"):
        function(_counts().isel(mz=0), 1)
