"""count_events: every event in its cell and none elsewhere, by whatever road it is counted, in whatever pieces it comes."""

from __future__ import annotations

import dask.array as da
import h5py
import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import ssbmaps
from ssbmaps import _events, io
from ssbmaps._conventions import check_contract


def planted(shape, n, seed=0, dtype=np.uint16):
    """n events, half of them in few cells, and the dense cube that they make."""
    rng = np.random.default_rng(seed)
    some = [rng.integers(0, side, n // 2) for side in shape]
    few = [rng.integers(0, min(side, 3), n - n // 2) for side in shape]
    order = rng.permutation(n)
    return tuple(np.concatenate(pair)[order].astype(dtype) for pair in zip(some, few, strict=True))


def brute(parts, shape):
    """Cells and counts by sorting."""
    cells = np.ravel_multi_index([np.asarray(p, np.int64) for p in parts], shape)
    cell, counts = np.unique(cells, return_counts=True)
    return np.stack(np.unravel_index(cell, shape)), counts


# (5, 7, 11) is one bucket; (64, 50, 300) many, counted cell by cell; (300, 200, 70439) buckets too large for that, sorted; the
# last has more than 2^32 cells. Few events on many cells are sorted, too.
SHAPES = [
    ((5, 7, 11), 400),
    ((64, 50, 300), 60_000),
    ((64, 50, 300), 100),
    ((300, 200, 7043), 30_000),
    ((900, 700, 70_439), 9_000),
]


@pytest.mark.parametrize(("shape", "n"), SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint64])
def test_all_roads_count_as_sorting_does(shape, n, dtype):
    if max(shape) > np.iinfo(dtype).max:
        dtype = np.uint32
    parts = planted(shape, n, dtype=dtype)
    cube = io.count_events(*parts, shape=shape)
    coords, counts = brute(parts, shape)
    assert np.array_equal(cube.data.coords, coords)
    assert np.array_equal(cube.data.data, counts)
    assert counts.max() > 1
    assert cube.dtype == np.uint32
    assert int(cube.data.data.sum()) == n


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 9)),
    st.integers(0, 60),
    st.integers(1, 20),
    st.integers(1, 40),
    st.integers(0, 99),
)
def test_pieces_and_batches_add_up(shape, n, piece, batch, seed):
    parts = planted(shape, n, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_events, "PIECE", piece)
        patch.setattr(_events, "BATCH", max(batch, piece))
        cube = io.count_events(*parts, shape=shape)
    dense = np.zeros(shape, np.int64)
    np.add.at(dense, parts, 1)
    assert np.array_equal(cube.data.todense(), dense)
    flat = np.ravel_multi_index(tuple(cube.data.coords), shape)
    assert np.all(np.diff(flat) > 0)  # sorted, no cell twice


@pytest.mark.parametrize("dense", [0, 20])
@pytest.mark.parametrize("cores", ["1", "3"])
def test_the_result_does_not_depend_on_the_road_or_the_threads(monkeypatch, dense, cores):
    shape = (40, 31, 2000)
    parts = planted(shape, 50_000)
    expected = io.count_events(*parts, shape=shape)
    monkeypatch.setenv("NUMBA_NUM_THREADS", cores)
    monkeypatch.setattr(_events, "DENSE", dense)
    monkeypatch.setattr(_events, "PIECE", 777)
    found = io.count_events(*parts, shape=shape)
    assert np.array_equal(found.data.coords, expected.data.coords)
    assert np.array_equal(found.data.data, expected.data.data)


def test_sums_beyond_32_bits_are_kept():
    cells = np.array([[0, 0], [1, 1], [2, 3]], np.int32)
    half = (cells, np.array([2**31, 5], np.uint32))
    coords, counts = _events._added(half, half, (1, 2, 4))
    assert counts.dtype == np.uint64
    assert counts.tolist() == [2**32, 10]
    assert np.array_equal(coords, cells)


def test_events_from_files_dask_lists_and_generators(tmp_path, monkeypatch):
    monkeypatch.setattr("ssbmaps.io._count_events.SLAB", 100)
    shape = (6, 5, 40)
    parts = planted(shape, 950)
    expected = io.count_events(*parts, shape=shape)
    with h5py.File(tmp_path / "events.h5", "w") as file:
        for name, part in zip("yxc", parts, strict=True):
            file[name] = part
        assert io.count_events(file["y"], file["x"], file["c"], shape=shape).identical(expected)
    assert io.count_events(*(da.from_array(p, chunks=300) for p in parts), shape=shape).identical(expected)
    assert io.count_events(*(p.tolist() for p in parts), shape=shape).identical(expected)
    assert io.count_events(*(iter(np.split(p, range(77, 950, 77))) for p in parts), shape=shape).identical(expected)
    assert io.count_events(*([p[:3], p[3:]] for p in parts), shape=shape).identical(expected)
    assert all(np.array_equal(a, b) for a, b in zip(parts, planted(shape, 950), strict=True))  # the input is not changed


def test_the_cube_keeps_the_contract():
    shape = (4, 3, 5)
    mz = np.array([1.0, 2.0, 12.0, 13.0, 24.0])
    cube = io.count_events(*planted(shape, 50), shape=shape, pixel_size=(0.2, 0.1), mz=mz)
    check_contract(cube, subject="count_events")
    assert isinstance(cube.data, sparse.COO)
    assert cube.data.fill_value == 0
    assert cube.y.values.tolist() == pytest.approx([0.1, 0.3, 0.5, 0.7])
    assert cube.x.attrs["units"] == "um"
    assert np.array_equal(cube.mz, mz)
    assert cube.attrs["units"] == "counts"
    assert cube.attrs["history"].startswith("ssbmaps.io.count_events ")
    bare = io.count_events(*planted(shape, 50), shape=shape)
    assert not bare.coords
    assert ssbmaps.maps.integrate(cube, {"all": (0, 30)}).sum() == 50


def test_the_narrow_coordinates_bear_what_cubes_bear(tmp_path):
    """Coordinates of 32 bits in a cube of more than 2^32 cells: everything that flattens or stacks them must widen them."""
    shape = (400, 300, 70_439)
    cube = io.count_events(*planted(shape, 3000, dtype=np.uint32), shape=shape)
    wide = xr.DataArray(sparse.COO(cube.data.coords.astype(np.int64), cube.data.data, shape=shape), dims=cube.dims)
    flat = cube.data.reshape((400 * 300, 70_439))
    assert np.array_equal(flat.coords, wide.data.reshape(flat.shape).coords)
    one = cube.data.reshape((-1,))
    assert np.array_equal(one.coords, wide.data.reshape((-1,)).coords)
    stacked = sparse.stack([cube.data, cube.data])
    assert int(stacked[1].data.sum()) == 3000
    assert np.array_equal(cube.transpose("mz", "x", "y").data.coords, wide.transpose("mz", "x", "y").data.coords)
    assert int((cube.data + wide.data).data.sum()) == 6000
    assert int(cube.data[::7, 5:, 3].sum()) == int(wide.data[::7, 5:, 3].sum())
    assert io.load(io.save(cube, tmp_path / "cube.zarr")).identical(cube)


def test_nothing_to_count():
    empty = np.empty(0, np.uint16)
    cube = io.count_events(empty, empty, empty, shape=(2, 3, 4))
    assert cube.data.nnz == 0
    assert cube.shape == (2, 3, 4)
    assert io.count_events([], [], [], shape=(2, 3, 4)).dtype == np.uint32


GOOD = ([0, 1], [0, 2], [4, 0])
WRONG = {
    "outside": (([0, 1, 2], [0, 2, 0], [4, 0, 0]), {}, r"event 2 lies at \(y, x, channel\) \(2, 0, 0\); expected 0 or more"),
    "negative": (([0, 1], [0, -1], [4, 0]), {}, r"event 1 lies at \(y, x, channel\) \(1, -1, 0\)"),
    "channel": (([0, 1], [0, 2], [5, 0]), {}, r"event 0 lies at \(y, x, channel\) \(0, 0, 5\)"),
    "floats": (([0.5, 1], [0, 2], [4, 0]), {}, "y is of type float64; expected whole numbers"),
    "lengths": (([0, 1], [0], [4, 0]), {}, r"shapes \(2,\), \(1,\), \(2,\); expected three 1-D arrays"),
    "flat": (([[0, 1]], [[0, 2]], np.array([[4, 0]])), {}, "some of y, x, channel are arrays, and others iterables"),
    "planes": (tuple(np.array([p]) for p in GOOD), {}, r"shapes \(1, 2\).*expected three 1-D arrays"),
    "number": ((1, 2, 3), {}, "expected arrays, or iterables of arrays, for y, x and channel"),
    "pieces": (([[0], [1]], [[0]], [[4], [0]]), {}, "do not give equal numbers of pieces"),
    "shape": (GOOD, {"shape": (2, 3)}, r"shape is \(2, 3\); expected the numbers of rows, columns and channels"),
    "none": (GOOD, {"shape": (0, 3, 5)}, r"shape is \(0, 3, 5\)"),
    "pixel": (GOOD, {"pixel_size": -1}, "pixel_size is -1; expected um per pixel above 0"),
    "masses": (GOOD, {"mz": [1, 2, 3]}, r"mz: has shape \(3,\); expected one m/z for each of 5 channels"),
    "order": (GOOD, {"mz": [1, 2, 3, 3, 4]}, "mz: is not ascending"),
    "text": (GOOD, {"mz": list("abcde")}, "mz: is of type <U1; expected m/z in Da"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_counted_is_named(kind):
    parts, options, message = WRONG[kind]
    with pytest.raises(ssbmaps.SsbmapsError, match=message):
        io.count_events(*parts, **{"shape": (2, 3, 5), **options})


def test_the_event_outside_is_numbered_over_pieces_and_batches(monkeypatch):
    monkeypatch.setattr(_events, "PIECE", 10)
    monkeypatch.setattr(_events, "BATCH", 20)
    y = np.zeros(100, np.int64)
    y[73] = 9
    with pytest.raises(ssbmaps.SsbmapsError, match=r"event 73 lies at \(y, x, channel\) \(9, 0, 0\)"):
        io.count_events(y, y * 0, y * 0, shape=(9, 2, 2))


def test_errors_of_a_stream_are_its_own():
    def stream():
        yield np.zeros(3, np.uint16)
        raise ValueError("the instrument stopped")

    with pytest.raises(ValueError, match="the instrument stopped"):
        io.count_events(stream(), stream(), stream(), shape=(2, 2, 2))
