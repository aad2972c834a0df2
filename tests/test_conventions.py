"""Conventions, containers and provenance: what came, what was expected, all faults at once."""

from __future__ import annotations

import json

import dask.array as da
import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ssbmaps import FormatError, GridMismatchError, SsbmapsError
from ssbmaps import _arrays as arrays
from ssbmaps import _conventions as conv
from ssbmaps._errors import Faults
from ssbmaps._provenance import file_sha256, finish, history_line


def small_map(shape=(3, 4), pixel=(0.5, 0.25), **kwargs):
    values = np.arange(np.prod(shape)).reshape(shape)
    return xr.DataArray(values, dims=("y", "x"), coords=conv.raster_coords(shape, pixel), **kwargs)


def containers(values):
    coo = sparse.COO(values)
    chunks = (1, *values.shape[1:])
    return {
        "dense": values,
        "sparse": coo,
        "dask": da.from_array(values, chunks=chunks),
        "dask of sparse": da.from_array(values, chunks=chunks).map_blocks(sparse.COO),
        "dask cut along the spectrum": da.from_array(values, chunks=(2, 2, 2)[: values.ndim]),
    }


def test_faults_are_reported_together():
    faults = Faults("maps.x")
    faults.expect(False, "first")
    faults.expect(True, "never")
    faults.expect(False, "second")
    with pytest.raises(SsbmapsError, match=r"maps\.x: 2 faults:\n- first\n- second$"):
        faults.close()


def test_faults_do_not_hide_another_error():
    with pytest.raises(KeyError, match="own"), Faults("maps.x") as faults:  # noqa: PT012
        faults.expect(False, "first")
        raise KeyError("own")


def test_raster_starts_at_the_corner_with_half_a_pixel():
    coords = small_map().coords
    np.testing.assert_allclose(coords["y"], [0.25, 0.75, 1.25])
    np.testing.assert_allclose(coords["x"], [0.125, 0.375, 0.625, 0.875])
    assert coords["x"].attrs["units"] == "um"


def test_pixel_size_is_read_from_both_axes():
    assert conv.pixel_size(small_map(), subject="t") == pytest.approx((0.5, 0.25), rel=1e-12)


def test_pixel_size_of_a_single_row_is_what_the_coordinate_states():
    assert conv.pixel_size(small_map((1, 4)), subject="t") == pytest.approx((0.5, 0.25))


def test_pixel_size_of_a_bare_single_row_is_unknown():
    row = small_map((1, 4))
    del row.coords["y"].attrs["pixel_size_um"]
    with pytest.raises(SsbmapsError, match="y has a single pixel and no attribute 'pixel_size_um'"):
        conv.pixel_size(row, subject="t")


def test_pixel_size_is_never_guessed():
    bare = xr.DataArray(np.zeros((3, 4)), dims=("y", "x"))
    with pytest.raises(SsbmapsError, match=r"2 faults:\n- no coordinate y: the map has no pixel size"):
        conv.pixel_size(bare, subject="t")


def test_pixel_size_in_another_unit_is_refused():
    map_ = small_map()
    map_.coords["x"].attrs["units"] = "nm"
    with pytest.raises(SsbmapsError, match="coordinate x is in 'nm', expected 'um'"):
        conv.pixel_size(map_, subject="t")


def test_uneven_raster_is_refused():
    map_ = small_map().assign_coords(x=[0.1, 0.2, 0.4, 0.5])
    with pytest.raises(SsbmapsError, match=r"not evenly spaced \(0\.1 to 0\.2 um\)"):
        conv.pixel_size(map_, subject="t")


@pytest.mark.parametrize(
    ("values", "words"),
    [([1.0, 1.0, 2.0], "not ascending"), ([1.0, np.nan, 2.0], "NaN or infinity"), ([3.0, 2.0, 1.0], "not ascending")],
)
def test_bad_axis_is_named(values, words):
    cube = xr.DataArray(np.zeros(3), dims="mz", coords={"mz": values})
    with pytest.raises(SsbmapsError, match=f"coordinate mz: .*{words}"):
        conv.axis_values(cube, "mz", subject="t")


def test_axis_of_words_is_refused():
    cube = xr.DataArray(np.zeros(2), dims="mz", coords={"mz": ["a", "b"]})
    with pytest.raises(SsbmapsError, match="expected numbers"):
        conv.axis_values(cube, "mz", subject="t")


def test_canonical_order():
    cube = xr.DataArray(np.zeros((2, 3, 4, 5)), dims=("mz", "x", "scan", "y"))
    assert conv.canonical(cube).dims == ("scan", "y", "x", "mz")


@pytest.mark.parametrize(
    ("values", "words"),
    [([[-1.0]], r"negative counts \(lowest -1\)"), ([[np.inf]], "NaN or infinite"), ([[-1]], "negative")],
)
def test_counts_are_checked(values, words):
    with pytest.raises(SsbmapsError, match=words):
        conv.check_array(xr.DataArray(np.array(values), dims=("y", "x")), subject="t", counts=True)


@pytest.mark.parametrize("kind", ["dense", "sparse", "dask", "dask of sparse"])
def test_counts_are_checked_in_every_container(kind):
    values = np.zeros((2, 3, 4))
    values[1, 2, 3] = np.nan
    with pytest.raises(SsbmapsError, match="NaN or infinite"):
        conv.check_array(xr.DataArray(containers(values)[kind], dims=("y", "x", "mz")), subject="t", counts=True)


def test_sparse_arrays_hold_measured_zeros():
    cube = xr.DataArray(sparse.COO(np.zeros((1, 2)), fill_value=np.nan), dims=("y", "mz"))
    with pytest.raises(SsbmapsError, match="fill value nan; expected 0"):
        conv.check_array(cube, subject="t")


def test_all_faults_of_an_array_at_once():
    with pytest.raises(SsbmapsError, match=r"2 faults:\n- dimension y, x is missing.*\n- negative counts"):
        conv.check_array(xr.DataArray([-1.0], dims="mz"), subject="t", dims=("y", "x"), counts=True)


def test_not_a_dataarray():
    with pytest.raises(SsbmapsError, match=r"expected an xarray\.DataArray, got list"):
        conv.check_array([1, 2], subject="t")


def test_grids_meet_exactly_or_not_at_all():
    first = small_map()
    shifted = first.assign_coords(x=first.x + 1e-9)
    with pytest.raises(GridMismatchError, match=r"y: 3 x 0\.5 um from 0\.25.*x: 4 x 0\.25 um from 0\.125000001"):
        conv.same_grid(first, shifted, subject="t")
    conv.same_grid(first, first.transpose("x", "y"), subject="t")


def test_unknown_fragments_are_named_together():
    maps = xr.DataArray(np.zeros((2, 1, 1)), dims=("fragment", "y", "x"), coords={"fragment": ["S-", "PO3-"]})
    assert conv.fragment_index(maps, ["PO3-", "S-"], subject="t") == [1, 0]
    with pytest.raises(SsbmapsError, match=r"fragment Li\+, C2- not in the maps, which hold S-, PO3-"):
        conv.fragment_index(maps, ["Li+", "C2-"], subject="t")


@pytest.mark.parametrize("value", [True, None, {"a": 1}, np.zeros((2, 2)), ["a", "b"]])
def test_attributes_that_cannot_be_stored_are_refused(value):
    with pytest.raises(SsbmapsError, match="attribute 'key' is"):
        conv.check_attrs({"key": value}, subject="t")


def test_contract_faults_are_listed():
    cube = xr.DataArray(np.zeros((2, 2)), dims=("mz", "y"), coords={"mz": [2.0, 1.0]})
    with pytest.raises(FormatError, match=r"6 faults"):
        conv.check_contract(cube, subject="t")


def test_seed_is_recorded():
    first, seed = conv.generator(None)
    assert seed == 0
    assert first.integers(1 << 30) == np.random.default_rng(0).integers(1 << 30)
    with pytest.raises(SsbmapsError, match="expected an int of 0 or more"):
        conv.generator("yes")


cubes = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).poisson(0.4, (3, 2, 5)).astype(np.uint16))


@given(cubes)
def test_csr_round_trip_in_every_container(values):
    expected = values.reshape(6, 5)
    for kind, data in containers(values).items():
        matrix = arrays.to_csr(data)
        assert matrix.dtype == values.dtype, kind
        np.testing.assert_array_equal(matrix.toarray(), expected, err_msg=kind)
    back = arrays.from_csr(arrays.to_csr(values), values.shape)
    np.testing.assert_array_equal(back.todense(), values)


@given(cubes, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=4))
def test_window_sums_agree_with_brute_force(values, windows):
    starts = np.array([min(w) for w in windows])
    stops = np.array([max(w) for w in windows])
    expected = np.stack([values[..., a:b].sum(-1, dtype=np.int64) for a, b in zip(starts, stops, strict=True)], -1)
    for kind, data in containers(values).items():
        result = arrays.window_sums(data, starts, stops)
        np.testing.assert_array_equal(arrays.to_dense(result), expected, err_msg=kind)
        assert result.dtype == np.int64


def test_window_sums_of_16_bit_counts_do_not_overflow():
    values = np.full((1, 1, 3), 65535, np.uint16)
    for data in containers(values).values():
        assert arrays.to_dense(arrays.window_sums(data, np.array([0]), np.array([3])))[0, 0, 0] == 196605


def test_history_keeps_every_source_once_and_units_are_the_results_own():
    first = xr.DataArray(1.0, attrs={"units": "counts", "technique": "tof-sims", "history": "a\nb"})
    second = xr.DataArray(1.0, attrs={"units": "um", "technique": "sam", "tilt": 52.0, "history": "a\nc"})
    result = finish(first * second, function="t.f", arguments={"n": 2}, sources=(first, second), units="um")
    assert result.attrs["history"].splitlines()[:3] == ["a", "b", "c"]
    assert json.loads(result.attrs["history"].splitlines()[3].split(" ", 2)[2]) == {"n": 2}
    assert (result.attrs["units"], result.attrs["technique"], result.attrs["tilt"]) == ("um", "tof-sims", 52.0)
    assert "long_name" not in result.attrs


def test_a_variable_taken_out_of_a_dataset_keeps_its_history():
    source = xr.DataArray(1.0, attrs={"units": "counts", "technique": "tof-sims", "history": "a", "original_metadata": "{}"})
    variables = {"mean": ((), 1.0, {"units": "counts", "long_name": "mean"}), "count": ((), 3, {"units": "1"})}
    result = finish(xr.Dataset(variables), function="t.f", arguments={}, sources=(source,))
    assert result["mean"].attrs["history"] == result.attrs["history"]
    assert (result["count"].attrs["technique"], result["count"].attrs["units"]) == ("tof-sims", "1")
    assert "original_metadata" in result.attrs
    assert "original_metadata" not in result["mean"].attrs


def test_history_of_large_arrays_is_a_hash_and_repeats(tmp_path):
    arguments = {"a": np.arange(100), "b": small_map(name="m"), "c": (1.5, None), "d": np.float32(2), "p": tmp_path / "file.txt"}
    line = history_line("t.f", arguments)
    assert line == history_line("t.f", arguments)
    assert "sha256:" in line
    assert "<DataArray m (y: 3, x: 4)>" in line
    assert str(tmp_path) not in line


def test_file_hash(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
