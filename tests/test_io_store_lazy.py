"""load with chunks: the same values block by block, nothing read before it is asked for, and damage noticed when it is read."""

from __future__ import annotations

import itertools
import json
import pickle
import shutil

import dask
import dask.array as da
import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ssbmaps
from ssbmaps import io
from ssbmaps.io import _store_lazy

STORES = pytest.mark.parametrize("suffix", [".zarr", ".nc"])
SHAPE = (5, 4, 3, 7)  # z, y, x, mz


def cube(shape=SHAPE, dtype=np.uint32, seed=0, density=0.3):
    """(z, y, x, mz) sparse counts with an empty slice, a `measured` mask and coordinates."""
    rng = np.random.default_rng(seed)
    values = (rng.random(shape) < density) * rng.integers(1, 200, shape)
    values[1] = 0
    nz, ny, nx, nk = shape
    measured = np.ones((ny, nx), bool)
    measured[0, 0] = False
    values[:, 0, 0] = 0
    return xr.DataArray(
        sparse.COO.from_numpy(values.astype(dtype)),
        dims=("z", "y", "x", "mz"),
        coords={
            "z": ("z", np.arange(nz, dtype=float)),
            "y": ("y", np.arange(ny) + 0.5, {"units": "um"}),
            "x": ("x", np.arange(nx) + 0.5, {"units": "um"}),
            "mz": ("mz", np.arange(nk) + 1.0, {"units": "Da"}),
            "measured": (("y", "x"), measured),
        },
        attrs={"units": "counts"},
        name="counts",
    )


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lazy")
    return {suffix: io.save(cube(), folder / f"cube{suffix}") for suffix in (".zarr", ".nc")}


CHUNKS = ["auto", 2, {"z": 1}, {"z": 2, "y": 3}, {"y": 1}, {"x": 2}, {"z": 99, "x": 1}, {"z": np.int64(1), "y": 1, "x": 1}, {}]


@STORES
@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
def test_blocks_hold_what_was_saved(stores, suffix, chunks):
    original = cube()
    lazy = io.load(stores[suffix], chunks=chunks)
    assert isinstance(lazy.data, da.Array)
    assert isinstance(lazy.data._meta, sparse.COO)
    assert lazy.dtype == np.uint32
    assert lazy.name == "counts"
    wanted = {"y": chunks} if chunks == 2 else {} if chunks == "auto" else chunks
    for dim, sizes in zip(lazy.dims, lazy.chunks, strict=True):
        assert sizes[0] == min(wanted.get(dim, 99), original.sizes[dim])
    assert isinstance(lazy.coords["measured"].data, np.ndarray)
    for at in itertools.product(*map(range, lazy.data.numblocks)):
        block = lazy.data.blocks[at].compute()
        assert isinstance(block, sparse.COO)
        assert block.dtype == np.uint32
    whole = lazy.compute()
    assert whole.identical(original)
    assert whole.data.nnz == original.data.nnz  # nothing more is stored than was


@STORES
def test_parts_of_blocks(stores, suffix):
    lazy, dense = io.load(stores[suffix], chunks={"z": 2, "y": 2}), io.to_dense(cube())
    for key in (np.s_[3], np.s_[:, 1:3, ::2], np.s_[::-1, 2, :, 4], np.s_[[0, 3], :, 1:, 2:5], np.s_[..., ::3], np.s_[2:2]):
        assert np.array_equal(io.to_dense(lazy[key]).values, dense[key].values)
    assert int(lazy.sum().compute().data) == int(dense.sum())


def test_one_plane_does_not_read_the_whole(stores, monkeypatch):
    read = []
    plain = _store_lazy.StoredArray.read

    def watched(self, arrays, window):
        values = plain(self, arrays, window)
        read.append((self.name.rpartition("_")[2], values.size))
        return values

    monkeypatch.setattr(_store_lazy.StoredArray, "read", watched)
    lazy = io.load(stores[".zarr"], chunks={"z": 4})
    rows = 5 * 4 * 3
    assert read == [("indptr", rows + 1)]
    read.clear()
    plane = lazy[3].compute()
    nnz = cube()[3].data.nnz
    assert read == [("indptr", 12 + 1), ("data", nnz), ("indices", nnz)]
    assert plane.data.nnz == nnz


@pytest.mark.parametrize("gap", [0, 5, 1 << 20])
def test_runs_of_rows_far_apart_are_read_apart(stores, monkeypatch, gap):
    monkeypatch.setattr(_store_lazy, "GAP", gap)
    for chunks in ({"x": 1}, {"y": 2}, {"z": 3, "x": 2}):
        assert io.load(stores[".zarr"], chunks=chunks).compute().identical(cube())


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_runs_are_the_rows_of_the_window(shape, data):
    window = []
    for n in shape:
        start = data.draw(st.integers(0, n - 1))
        window.append(slice(start, data.draw(st.integers(start + 1, n))))
    starts, length = _store_lazy.runs(window, shape)
    rows = np.arange(np.prod(shape)).reshape(shape)[tuple(window)].ravel()
    assert np.array_equal((starts[:, None] + np.arange(length)).ravel(), rows)


@given(st.integers(1, 60), st.integers(0, 5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_auto_blocks_are_as_large_as_fits(block, seed):
    counts = np.random.default_rng(seed).integers(0, 12, 4 * 3 * 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_store_lazy, "BLOCK", block)
        sizes = _store_lazy.even_blocks(np.concatenate([[0], counts.cumsum()]), (4, 3, 2, 9))
    cells = counts.reshape(4, 3, 2)
    starts = [range(0, n, s) for n, s in zip(cells.shape, sizes[:-1], strict=True)]
    held = [cells[z : z + sizes[0], y : y + sizes[1], x : x + sizes[2]].sum() for z, y, x in itertools.product(*starts)]
    assert sizes[-1] == 9
    assert max(held) <= max(block, counts.max())
    cut = [i for i in range(3) if sizes[i] < cells.shape[i]]
    assert cut == list(range(len(cut)))  # the first dimensions are cut, and all but the last of them to 1
    assert all(sizes[i] == 1 for i in cut[:-1])
    if cut:
        fullest = cells.sum(axis=tuple(range(cut[-1] + 1, 3))).max()
        assert (sizes[cut[-1]] + 1) * fullest > block  # one more might not fit


@STORES
def test_dense_variables_texts_and_small_things(tmp_path, suffix):
    original = xr.Dataset(
        {
            "counts": cube(),
            "image": (("y", "x"), np.arange(12.0).reshape(4, 3)),
            "half": ("x", np.array([0.5, 1.25, np.nan], np.float16)),
            "flag": ("x", np.array([True, False, True])),
            "flat": ("mz", sparse.COO.from_numpy(np.array([0, 0, 3.5, 0, 0, 0, 1]))),
            "words": ("x", np.array(["a", "bc", "ü"])),
            "number": 4.5,
            "empty": ("nothing", np.empty(0)),
        },
        attrs={"title": "all of them"},
    )
    lazy = io.load(io.save(original, tmp_path / f"all{suffix}"), chunks={"y": 3})
    assert {n for n, v in lazy.variables.items() if isinstance(v.data, da.Array)} == {"counts", "image", "half", "flag", "flat"}
    assert lazy["image"].chunks == ((3, 1), (3,))
    assert {n: v.dtype for n, v in lazy.variables.items()} == {n: v.dtype for n, v in original.variables.items()}
    assert np.array_equal(lazy["image"][1:, ::2][:, [1]].values, original["image"].values[1:, ::2][:, [1]])
    assert lazy.compute().identical(original)
    assert io.load(tmp_path / f"all{suffix}", chunks="auto").compute().identical(original)


@STORES
def test_chunks_that_make_no_sense_are_refused(stores, suffix):
    with pytest.raises(
        ssbmaps.SsbmapsError, match=r"(?s)chunks=.*'mz' is no dimension that can be cut.*z, y, x.*size of 'y' is 0"
    ):
        io.load(stores[suffix], chunks={"mz": 2, "y": 0})
    for wrong in ("all", True, 1.5, [2, 2]):
        with pytest.raises(ssbmaps.SsbmapsError, match="expected 'auto', rows of y in a block, or a mapping of z, y, x"):
            io.load(stores[suffix], chunks=wrong)
    with pytest.raises(ssbmaps.SsbmapsError, match=r"size of 'y' is True"):
        io.load(stores[suffix], chunks={"y": True})


def sources(data):
    """What the dask graph reads from."""
    found = [getattr(v, "value", v) for v in dict(data.__dask_graph__()).values()]
    return [v for v in found if type(v).__name__ in ("LazyCube", "StoredDense")]


@STORES
def test_blocks_can_be_sent_to_other_processes(stores, tmp_path, suffix, monkeypatch):
    monkeypatch.chdir(stores[suffix].parent)
    lazy = io.load(stores[suffix].name, chunks={"z": 2})
    monkeypatch.chdir(tmp_path)  # workers have another working directory
    (source,) = sources(lazy.data)
    sent = pickle.dumps(source)
    assert len(sent) < 4000  # no row pointers travel
    assert np.array_equal(pickle.loads(sent)[2:4].todense(), io.to_dense(cube()).values[2:4])
    with dask.config.set(scheduler="processes", num_workers=1):
        assert lazy[2:4].compute().identical(cube()[2:4])


def test_a_chunk_lost_or_damaged_after_loading_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("ssbmaps.io._store_sparse._CHUNK", 16)
    path = io.save(cube(), tmp_path / "a.zarr")
    lazy = io.load(path, chunks={"z": 1})
    last = max((path / "counts_csr_data").glob("[0-9]*"), key=lambda p: int(p.name))
    whole = last.read_bytes()
    last.unlink()
    assert lazy[0].compute().identical(cube()[0])  # other blocks are as they were
    with pytest.raises(ssbmaps.FormatError, match=rf"a\.zarr: chunk {last.name} of counts_csr_data is missing"):
        lazy[4].compute()
    last.write_bytes(b"?" * len(whole))
    with pytest.raises(ssbmaps.FormatError, match=r"a\.zarr: is damaged or incomplete"):
        lazy[4].compute()
    last.write_bytes(whole[:-1])
    with pytest.raises(ssbmaps.FormatError, match=r"chunks are missing or cut short \(counts_csr_data"):
        io.load(path, chunks={"z": 1})
    shutil.rmtree(path)
    with pytest.raises(ssbmaps.FormatError, match=r"a\.zarr: is damaged or incomplete"):
        lazy[0].compute()


def test_chunks_of_nothing_but_zeros_are_not_missed(tmp_path, monkeypatch):
    monkeypatch.setattr("ssbmaps.io._store_sparse._CHUNK", 4)
    hollow = np.zeros((40, 3), np.uint32)
    hollow[20:, 0] = 1  # row pointers begin with zeros, and every column is 0
    original = xr.Dataset({"counts": (("y", "mz"), sparse.COO.from_numpy(hollow)), "dense": (("y", "mz"), hollow * 0)})
    path = io.save(original, tmp_path / "a.zarr")
    assert io.load(path, chunks={"y": 7}).compute().identical(original)


@STORES
def test_parts_that_do_not_fit_are_refused(tmp_path, suffix):
    path = io.save(cube(), tmp_path / f"a{suffix}")
    swap_values(path, "counts_csr_indices", 0, 7)  # beyond the last channel
    lazy = io.load(path, chunks={"z": 1})
    with pytest.raises(ssbmaps.FormatError, match="parts of the sparse variable 'counts' do not fit together"):
        lazy[0].compute()
    path = io.save(cube(), path, overwrite=True)
    swap_values(path, "counts_csr_indptr", 3, 10_000)
    with pytest.raises(ssbmaps.FormatError, match="parts of the sparse variable 'counts' do not fit together"):
        io.load(path, chunks={"z": 1})


def swap_values(path, name, at, value):
    """Overwrite one stored value, with the notes on file sizes brought up to date, as a fault of another program would."""
    if path.suffix == ".nc":
        import h5py

        with h5py.File(path, "r+") as file:
            file[name][at] = value
        return
    import zarr

    zarr.open_group(str(path), mode="r+")[name][at] = value
    group = zarr.open_group(str(path), mode="r+")
    sizes = json.loads(group.attrs["ssbmaps_chunks"])
    sizes[name] = [
        sizes[name][0],
        sum(p.stat().st_size for p in (path / name).rglob("*") if p.is_file() and not p.name.startswith(".")),
    ]
    group.attrs["ssbmaps_chunks"] = json.dumps(sizes)


@STORES
def test_dask_blocks_come_back_block_by_block_and_are_saved_again(stores, tmp_path, suffix):
    lazy = io.load(stores[suffix], chunks={"z": 2, "y": 3})
    again = io.save(lazy, tmp_path / f"again{suffix}")
    assert io.load(again).identical(cube())
    counted = ssbmaps.maps.integrate(lazy, {"low": (0.5, 3.5)})
    assert counted.compute().equals(ssbmaps.maps.integrate(cube(), {"low": (0.5, 3.5)}))
