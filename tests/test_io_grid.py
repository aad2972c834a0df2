"""`io.grid`: points into cells, never interpolated; every container gives the same; letters for what is no grid."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import ssbmaps
from ssbmaps import io
from ssbmaps._conventions import check_contract

SHIFTS = np.array([500.0, 510.0, 525.0])


def points(y, x, values=None, **attrs):
    """Spectra at (y, x); by default spectrum k has the values 10 k, 10 k + 1, 10 k + 2."""
    y, x = np.asarray(y, float), np.asarray(x, float)
    if values is None:
        values = 10.0 * np.arange(len(y))[:, None] + np.arange(3)
    coords = {
        "y": ("point", y, {"units": "um"}),
        "x": ("point", x, {"units": "um"}),
        "raman_shift": ("raman_shift", SHIFTS, {"units": "1/cm", "long_name": "Raman shift"}),
        "weight": ("raman_shift", [1.0, 2.0, 3.0]),
    }
    told = {"units": "arbitrary", "history": "made by hand", "technique": "raman", "laser_wavelength": 532.0, **attrs}
    return xr.DataArray(values, dims=("point", "raman_shift"), coords=coords, attrs=told)


def brute(y, x, values, spacing):
    """Cell by cell, in plain Python: mean of the points that lie in [edge, edge + spacing)."""
    low = (y.min() - spacing[0] / 2, x.min() - spacing[1] / 2)
    shape = tuple(int(np.floor((v.max() - edge) / s)) + 1 for v, edge, s in zip((y, x), low, spacing, strict=True))
    result, number = np.full((*shape, values.shape[1]), np.nan), np.zeros(shape, int)
    for i in range(shape[0]):
        for j in range(shape[1]):
            edges = (low[0] + i * spacing[0], low[1] + j * spacing[1])
            inside = (y >= edges[0]) & (y < edges[0] + spacing[0]) & (x >= edges[1]) & (x < edges[1] + spacing[1])
            number[i, j] = inside.sum()
            if inside.any():
                result[i, j] = values[inside].mean(axis=0)
    return result, number


def test_an_even_raster_comes_back_as_it_is():
    y, x = (v.ravel() for v in np.meshgrid(7.0 + 0.5 * np.arange(3), -2.0 + 2.0 * np.arange(4), indexing="ij"))
    order = np.random.default_rng(0).permutation(12)
    made = io.grid(points(y[order], x[order], (10.0 * np.arange(12)[:, None] + np.arange(3))[order]))
    check_contract(made, subject="grid")
    assert made.dims == ("y", "x", "raman_shift")
    assert made.values.tolist() == (10.0 * np.arange(12).reshape(3, 4, 1) + np.arange(3)).tolist()
    assert made["y"].values.tolist() == [0.25, 0.75, 1.25]
    assert made["x"].values.tolist() == [1.0, 3.0, 5.0, 7.0]
    assert made["stage_y"].values.tolist() == [7.0, 7.5, 8.0]
    assert made["stage_x"].values.tolist() == [-2.0, 0.0, 2.0, 4.0]
    assert "measured" not in made.coords
    assert "n_points" not in made.coords
    assert made["weight"].values.tolist() == [1.0, 2.0, 3.0]
    assert made.attrs["laser_wavelength"] == 532.0
    assert made.attrs["units"] == "arbitrary"
    assert made.attrs["history"].splitlines()[0] == "made by hand"
    assert made.attrs["history"].splitlines()[1].startswith("ssbmaps.io.grid ")


def test_a_raster_with_gaps_is_found_and_the_gaps_are_not_measured():
    y, x = np.array([0.0, 0.0, 0.3, 0.6, 0.6]), np.array([0.0, 1.0, 2.0, 0.0, 2.0])
    made = io.grid(points(y, x))
    assert made.shape == (3, 3, 3)
    assert made["measured"].values.tolist() == [[True, True, False], [False, False, True], [True, False, True]]
    assert np.isnan(made.values[~made["measured"].values]).all()
    assert made.values[1, 2].tolist() == [20.0, 21.0, 22.0]


def test_points_in_one_cell_are_averaged_and_counted():
    with pytest.warns(
        ssbmaps.DataQualityWarning, match=r"3 of 4 points share one of the cells of 1 x 2 um with others; the median"
    ):
        made = io.grid(points([0.0, 0.1, 0.2, 1.0], [0.0, 0.0, 0.9, 0.0]), spacing=(1.0, 2.0))
    assert made["n_points"].values.tolist() == [[3], [1]]
    assert made.values[0, 0].tolist() == [10.0, 11.0, 12.0]
    assert made.values[1, 0].tolist() == [30.0, 31.0, 32.0]
    assert made["x"].attrs["pixel_size_um"] == 2.0


def test_whole_numbers_are_summed_never_averaged():
    counts = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]], np.uint32)
    with pytest.warns(ssbmaps.DataQualityWarning, match="the counts of 2 points that share cells of 1 x 1 um are summed"):
        made = io.grid(points([0.0, 0.1, 1.0, 1.0], [0.0, 0.1, 0.0, 2.0], counts, units="counts"), spacing=1.0)
    assert made.dtype.kind == "i"
    assert made.values[..., 0].tolist() == [[5, 0, 0], [7, 0, 10]]
    assert made["measured"].values.tolist() == [[True, False, False], [True, False, True]]
    assert made["n_points"].values.tolist() == [[2, 0, 0], [1, 0, 1]]


def test_counts_one_in_a_cell_keep_their_type():
    made = io.grid(points([0, 1], [0, 0], np.array([[1, 2, 3], [4, 5, 6]], np.uint16)), spacing=1.0)
    assert made.dtype == np.uint16


def test_an_edge_belongs_to_the_cell_that_it_begins():
    made = io.grid(points([0.0, 0.5, 1.5], [0.0, 0.0, 0.0]), spacing=1.0)
    assert made.values[:, 0, 0].tolist() == [0.0, 10.0, 20.0]  # 0.5 lies on the edge of the second cell, 1.5 on the third's


def test_the_stage_decides_where_both_are_known():
    spectra = points([0, 0, 0, 0], [0, 1, 2, 3])
    spectra = spectra.assign_coords(stage_y=("point", [5.0, 5.0, 8.0, 8.0]), stage_x=("point", [1.0, 2.0, 1.0, 2.0]))
    made = io.grid(spectra)
    assert made.shape == (2, 2, 3)
    assert made["stage_y"].values.tolist() == [5.0, 8.0]


def test_nan_makes_the_mean_of_its_cell_nan():
    values = np.array([[1.0, np.nan, 3.0], [3.0, 4.0, 5.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    made = io.grid(points([0, 0.1, 1.5, 3], [0, 0, 0, 0], values), spacing=1.5)
    assert np.array_equal(made.values[0, 0], [2.0, np.nan, 4.0], equal_nan=True)


@pytest.mark.parametrize("kind", ["float32", "float64", "uint32"])
@pytest.mark.parametrize("container", ["sparse", "dask", "dask of sparse", "transposed", "with time"])
@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
def test_every_container_gives_the_same(kind, container):
    rng = np.random.default_rng(3)
    y, x = rng.uniform(0, 4, 30), rng.uniform(0, 6, 30)
    values = rng.poisson(1.0, (30, 3)).astype(kind)
    plain = points(y, x, values)
    expected = io.grid(plain, spacing=(0.5, 1.5))
    data = {
        "sparse": sparse.COO(values),
        "dask": da.from_array(values, chunks=(7, 2)),
        "dask of sparse": da.from_array(values, chunks=(7, 2)).map_blocks(sparse.COO),
    }.get(container, values)
    other = plain.copy(data=data)
    if container == "transposed":
        other = other.transpose()
    if container == "with time":
        other = xr.concat([other, other], "time")
    made = io.grid(other, spacing=(0.5, 1.5))
    if container == "with time":
        assert made.dims == ("time", "y", "x", "raman_shift")
        made = made.isel(time=1, drop=True)
    assert made.dtype == expected.dtype
    if "dask" in container:
        assert type(made.data).__module__.startswith("dask")
    dense = io.to_dense(made)
    mask = expected["measured"].values
    assert np.array_equal(dense.values[mask], expected.values[mask])
    if "sparse" in container:
        assert (dense.values[~mask] == 0).all()  # a sparse array has nothing but zeros where nothing is stored
    else:
        assert np.array_equal(dense.values, expected.values, equal_nan=True)
    assert np.array_equal(made["n_points"].values, expected["n_points"].values)


_place = st.integers(-40, 40).map(lambda k: k / 8)  # eighths of um: sums and edges are exact


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.tuples(_place, _place), min_size=1, max_size=25),
    spacing=st.tuples(st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.75, 1.0, 4.0])),
)
@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
def test_against_every_cell_by_hand(places, spacing):
    y, x = np.array(places, float).T
    spectra = points(y, x)
    expected, number = brute(y, x, spectra.values, spacing)
    if number.size > 100 * len(y):
        with pytest.raises(ssbmaps.SsbmapsError, match=r"make \d+ of them"):
            io.grid(spectra, spacing=spacing)
        return
    made = io.grid(spectra, spacing=spacing)
    assert np.allclose(made.values, expected, rtol=1e-14, atol=0, equal_nan=True)  # one rounding of a mean of at most 25
    assert number.sum() == len(y)
    if "n_points" in made.coords:
        assert np.array_equal(made["n_points"].values, number)
    assert np.array_equal(np.isnan(made.values).any(axis=-1), number == 0)
    weights = np.maximum(number, 0)[..., None]
    assert np.allclose(np.nansum(made.values * weights, axis=(0, 1)), spectra.values.sum(axis=0))  # nothing is lost


@settings(max_examples=30, deadline=None)
@given(
    ny=st.integers(2, 6),
    nx=st.integers(2, 6),
    step=st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)),
    corner=st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
    seed=st.integers(0, 1000),
)
def test_a_raster_of_any_step_and_corner_is_found(ny, nx, step, corner, seed):
    y, x = np.meshgrid(corner[0] + step[0] * np.arange(ny), corner[1] + step[1] * np.arange(nx), indexing="ij")
    order = np.random.default_rng(seed).permutation(ny * nx)
    values = 10.0 * np.arange(ny * nx)[:, None] + np.arange(3)
    made = io.grid(points(y.ravel()[order], x.ravel()[order], values[order]))
    assert np.array_equal(made.values, values.reshape(ny, nx, 3))
    assert np.allclose(np.diff(made["y"].values), step[0], rtol=1e-6)  # positions of 1e4 with steps of 0.01 leave 10 digits
    assert np.allclose(made["stage_x"].values, x[0], rtol=1e-9, atol=1e-9)


def test_a_spacing_that_leaves_most_cells_empty_is_told():
    with pytest.warns(
        ssbmaps.DataQualityWarning, match=r"5 of 8 cells of 0\.5 x 0\.5 um hold no point; the median distance .* is 0\.781 um"
    ):
        io.grid(points([0.0, 0.0, 0.5], [0.0, 1.0, 1.6]), spacing=0.5)


def test_letters():
    scattered = points([0.0, 0.31, 1.0], [0.0, 0.77, 0.2])
    with pytest.raises(
        ssbmaps.SsbmapsError, match=r"do not lie on an even raster .* spacing=; the median distance .* is 0\.8301 um"
    ):
        io.grid(scattered)
    with pytest.raises(ssbmaps.SsbmapsError, match="lie on one line"):
        io.grid(points([0, 0, 0], [0, 1, 2]))
    with pytest.raises(ssbmaps.SsbmapsError, match=r"make \d+ of them for 3 points"):
        io.grid(scattered, spacing=1e-4)
    for wrong in (0, -1.0, np.nan, (1, 2, 3), "1", True):
        with pytest.raises(ssbmaps.SsbmapsError, match=r"spacing is .*; expected um above 0"):
            io.grid(scattered, spacing=wrong)
    with pytest.raises(ssbmaps.SsbmapsError, match="dimension point is missing"):
        io.grid(scattered.rename(point="site"), spacing=1)
    with pytest.raises(ssbmaps.SsbmapsError, match="coordinate y along point is missing"):
        io.grid(scattered.drop_vars("y"), spacing=1)
    wrong_unit = scattered.assign_coords(y=("point", [0, 1, 2], {"units": "mm"}), x=("point", [0, np.nan, 1]))
    with pytest.raises(ssbmaps.SsbmapsError, match=r"(?s)2 faults.*coordinate y is in 'mm'.*coordinate x holds NaN"):
        io.grid(wrong_unit, spacing=1)
    with pytest.raises(ssbmaps.SsbmapsError, match="dimension x is there beside point"):
        io.grid(scattered.rename(raman_shift="x", x="other"), spacing=1)
    with pytest.raises(ssbmaps.SsbmapsError, match="there is one point only"):
        io.grid(points([0], [0]))


def test_the_input_is_not_changed():
    spectra = points([0.0, 1.0, 1.0], [0.0, 0.0, 2.0])
    before = spectra.copy(deep=True)
    io.grid(spectra, spacing=(1.0, 2.0))
    xr.testing.assert_identical(spectra, before)
