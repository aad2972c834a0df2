"""NMF and PCA on planted components: exact scaling, totals kept, all containers alike, faults."""

from __future__ import annotations

import runpy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sparse
import xarray as xr

from ssbmaps import SsbmapsError
from ssbmaps.decomposition import nmf, pca

planted_counts = runpy.run_path(str(Path(__file__).with_name("planted_counts.py")), run_name="planted_counts")
NY, NX, K = (planted_counts[n] for n in ("NY", "NX", "K"))
planted, cube_of, counts_cube = (planted_counts[n] for n in ("planted", "cube_of", "counts_cube"))


def _containers(cube):
    as_sparse = cube.copy(data=sparse.COO.from_numpy(cube.values))
    return [as_sparse, cube.chunk({"y": 5, "x": 7, "mz": 11}), as_sparse.chunk({"y": 4}), cube.transpose("mz", "x", "y")]


@pytest.mark.parametrize(("function", "maps"), [(nmf, "abundance"), (pca, "scores")])
class TestBoth:
    def test_unmeasured_empty_pixels_and_empty_channels(self, function, maps):
        cube = counts_cube().astype("float64")
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
        cube = counts_cube()
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
        cube = counts_cube().assign_attrs(history="read", technique="tof-sims").astype(float)
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
        function(counts_cube(), n)


@pytest.mark.parametrize("function", [nmf, pca])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity(function, bad):
    cube = counts_cube().astype(float)
    cube[3, 4, 5] = bad
    with pytest.raises(SsbmapsError, match="NaN or infinite values in measured pixels"):
        function(cube, 2)


@pytest.mark.parametrize("function", [nmf, pca])
def test_nothing_to_decompose(function):
    with pytest.raises(SsbmapsError, match="every value is 0"):
        function(counts_cube() * 0, 1)
    with pytest.raises(SsbmapsError, match="no pixel was measured"):
        function(counts_cube().assign_coords(measured=(("y", "x"), np.zeros((NY, NX), bool))), 1)
    with pytest.raises(SsbmapsError, match="expected one axis of channels"):
        function(counts_cube().isel(mz=0), 1)
