"""save and load: identical round trips for every container and attribute, and nothing half-written or damaged is believed."""

from __future__ import annotations

import json
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ssbmaps
from ssbmaps import io
from ssbmaps._arrays import to_dense

STORES = pytest.mark.parametrize("suffix", [".zarr", ".nc"])
ATTRS = {
    "units": "counts",
    "history": "first line\nsecond line µm ²",
    "original_metadata": json.dumps({"key": "x" * 100_000}),
    "empty": "",
    "whole": 5,
    "wide": 2**63 + 1,
    "negative": -3,
    "real": 0.1,
    "nan": float("nan"),
    "inf": float("inf"),
    "flag_values": np.array([0, 1, 2], np.int16),
    "one": np.array([7], np.uint8),
    "none": np.array([], np.float32),
    "many": np.linspace(0, 1, 20_000),
    "list": [1.5, 2.5],
    "pair": (1, 2),
    "scalar": np.float32(0.1),
    "int16": np.int16(-4),
    "calendar": "a word that CF gives a meaning to",
    "_FillValue": -1,
    "dtype": "bool",
    "coordinates": "none",
}


def cube(container):
    """(y, x, mz) of 2 × 3 × 5, with every kind of coordinate."""
    values = np.zeros((2, 3, 5), np.uint32)
    values[0, 1, 2], values[1, 2, 4], values[1, 0, 0] = 7, 4_000_000_000, 1
    array = xr.DataArray(
        container(values),
        dims=("y", "x", "mz"),
        coords={
            "y": ("y", [0.5, 1.5], {"units": "um"}),
            "x": ("x", [0.5, 1.5, 2.5], {"units": "um"}),
            "mz": ("mz", [1.0, 2.0, 3.5, 4.0, 9.0], {"units": "Da", "long_name": "m/z"}),
            "measured": (("y", "x"), np.array([[True, False, True], [True, True, True]])),
            "label": ("mz", np.array(["H+", "", "Å", "PO3-", "²³Na+"])),
            "single": 3,
            "name": "text",
        },
        attrs=ATTRS,
    )
    return array.rename(None)  # xarray names an array after its dask graph


CONTAINERS = {
    "dense": np.asarray,
    "sparse": sparse.COO.from_numpy,
    "dask": lambda v: da.from_array(v, chunks=(1, 2, 5)),
    "irregular dask": lambda v: da.from_array(v, chunks=((1, 1), (1, 2), (2, 3))),
    "dask of sparse": lambda v: da.from_array(sparse.COO.from_numpy(v), chunks=(1, 2, 5), asarray=False),
    "one block": lambda v: da.from_array(sparse.COO.from_numpy(v), chunks=-1, asarray=False),
}


def same(loaded, original):
    """identical, with the same types of attributes and of numbers."""
    assert loaded.identical(original)
    assert list(loaded.attrs) == list(original.attrs)
    for name, value in original.attrs.items():
        assert np.asarray(loaded.attrs[name]).dtype == np.asarray(value).dtype
        assert np.shape(loaded.attrs[name]) == np.shape(value)
    for name, coord in original.coords.items():
        assert loaded.coords[name].dtype == coord.dtype


@STORES
@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_container_and_attribute_comes_back_identical(tmp_path, suffix, kind):
    original = cube(CONTAINERS[kind])
    path = io.save(original, tmp_path / f"cube{suffix}")
    assert path == tmp_path / f"cube{suffix}"
    assert [p.name for p in tmp_path.iterdir()] == [f"cube{suffix}"]  # no draft is left
    loaded = io.load(path)
    same(loaded, original.compute())
    assert isinstance(loaded.data, sparse.COO if "sparse" in kind or kind == "one block" else np.ndarray)
    assert loaded.dtype == np.uint32
    assert type(loaded.attrs["whole"]) is int
    assert type(loaded.attrs["real"]) is float
    assert loaded.attrs["flag_values"].dtype == np.int16
    assert loaded.name == original.name


@STORES
def test_datasets_with_mixed_containers(tmp_path, suffix):
    dense = cube(np.asarray)
    original = xr.Dataset(
        {
            "counts": cube(sparse.COO.from_numpy),
            "also": cube(sparse.COO.from_numpy).transpose("mz", "x", "y").astype(np.float32),
            "flat": ("point", sparse.COO.from_numpy(np.array([0, 0, 3.5]))),
            "image": dense.sum("mz"),
            "half": ("x", np.array([0.5, 1.25, np.nan], np.float16)),
            "flag": ("x", np.array([True, False, True])),
            "sparse_flag": ("x", sparse.COO.from_numpy(np.array([True, False, True]))),
            "number": 4.5,
            "empty": ("nothing", np.empty(0)),
            "words": ("x", np.array(["a", "bc", "ü"], dtype=object)),
        },
        attrs={"title": "all of them", "flag_values": np.array([1], np.int8)},
    )
    loaded = io.load(io.save(original, tmp_path / f"all{suffix}"))
    same(loaded, original)
    assert {n: v.dtype for n, v in loaded.variables.items() if n != "words"} == {
        n: v.dtype for n, v in original.variables.items() if n != "words"
    }
    assert isinstance(loaded["also"].data, sparse.COO)
    assert loaded["also"].dims == ("mz", "x", "y")


@STORES
@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_parts_that_fill_several_chunks(tmp_path, monkeypatch, suffix, chunk):
    monkeypatch.setattr("ssbmaps.io._store_sparse._CHUNK", chunk)
    for kind in ("sparse", "dask of sparse"):
        original = cube(CONTAINERS[kind])
        assert io.load(io.save(original, tmp_path / f"{kind}{suffix}")).identical(original.compute())


@STORES
@pytest.mark.parametrize("name", [None, "counts", "mz"])
def test_names_even_those_of_a_coordinate(tmp_path, suffix, name):
    original = cube(np.asarray).rename(name)
    loaded = io.load(io.save(original, tmp_path / f"named{suffix}"))
    assert loaded.name == name
    assert loaded.identical(original)


@STORES
def test_dense_variables_are_open_to_other_programs(tmp_path, suffix):
    original = cube(np.asarray).rename("counts").drop_attrs()
    path = io.save(original, tmp_path / f"open{suffix}")
    with xr.open_dataset(path, engine="zarr" if suffix == ".zarr" else "h5netcdf") as seen:
        assert np.array_equal(seen["counts"].values, original.values)
        assert seen["measured"].dtype == bool
    if suffix == ".zarr":
        assert json.loads((path / ".zgroup").read_text())["zarr_format"] == 2


numbers = st.one_of(
    hnp.integer_dtypes(endianness="=").map(np.dtype),
    hnp.unsigned_integer_dtypes(endianness="="),
    hnp.floating_dtypes(endianness="=", sizes=(32, 64)),
)
arrays = numbers.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4)))
attribute = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=10),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    numbers.flatmap(lambda d: hnp.arrays(d, st.integers(0, 3))),
)
names = st.text("abcdefgh_", min_size=1, max_size=6)


@STORES
@given(arrays, st.dictionaries(names, attribute, max_size=4), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_any_array_and_attributes(tmp_path, suffix, values, attrs, make_sparse):
    if make_sparse:
        values = sparse.COO.from_numpy(np.where(np.signbit(values) & (values == 0), 0, values).astype(values.dtype))
    original = xr.DataArray(values, dims=("a", "b", "c")[: values.ndim], attrs=attrs)
    loaded = io.load(io.save(original, tmp_path / f"any{suffix}", overwrite=True))
    same(loaded, original)
    assert loaded.dtype == original.dtype
    assert isinstance(loaded.data, type(original.data))


@STORES
def test_nothing_is_overwritten_without_being_told(tmp_path, suffix):
    path = io.save(cube(np.asarray), tmp_path / f"a{suffix}")
    with pytest.raises(ssbmaps.SsbmapsError, match=rf"a\{suffix} exists already; pass overwrite=True"):
        io.save(cube(np.asarray), path)
    smaller = cube(sparse.COO.from_numpy)[:1]
    assert io.load(io.save(smaller, path, overwrite=True)).identical(smaller)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_folders_that_are_no_store_are_never_replaced(tmp_path):
    folder = tmp_path / "results.zarr"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(ssbmaps.SsbmapsError, match="is a folder that is no Zarr store; it is not replaced"):
        io.save(cube(np.asarray), folder, overwrite=True)
    (tmp_path / "a.nc").mkdir()
    with pytest.raises(ssbmaps.SsbmapsError, match=r"is a folder that is no Zarr store|is not what its ending says"):
        io.save(cube(np.asarray), tmp_path / "a.nc", overwrite=True)
    assert (folder / "thesis.txt").read_text() == "years of work"


@STORES
def test_a_failed_save_leaves_what_was_there(tmp_path, suffix):
    good = cube(np.asarray)
    path = io.save(good, tmp_path / f"a{suffix}")

    def explode(_block):
        raise OSError("disk full")

    bad = xr.DataArray(da.zeros((2, 2), chunks=1).map_blocks(explode, dtype=float), dims=("y", "x"))
    with pytest.raises(ssbmaps.SsbmapsError, match=rf"a\{suffix} could not be written: .*disk full"):
        io.save(bad, path, overwrite=True)
    assert io.load(path).identical(good)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


UNSTORABLE = {
    "bool": ({"good": True}, "attribute 'good' is True"),
    "none": ({"nothing": None, "table": {"a": 1}}, r"(?s)attribute 'nothing' is None.*attribute 'table'"),
    "long": ({"long": 2**70}, "attribute 'long' does not fit 64 bits"),
}


@pytest.mark.parametrize("kind", UNSTORABLE)
def test_attributes_that_cannot_be_stored_are_named(tmp_path, kind):
    attrs, message = UNSTORABLE[kind]
    with pytest.raises(ssbmaps.SsbmapsError, match=message):
        io.save(xr.DataArray([1.0], dims="x", attrs=attrs), tmp_path / "a.zarr")
    assert not list(tmp_path.iterdir())


def test_other_things_that_cannot_be_stored(tmp_path):
    with pytest.raises(ssbmaps.SsbmapsError, match=r"expected an xarray\.DataArray or Dataset, got ndarray"):
        io.save(np.zeros(3), tmp_path / "a.nc")
    with pytest.raises(ssbmaps.SsbmapsError, match=r"'a\.xlsx' ends in '\.xlsx'; expected one of \.zarr, \.nc, \.imzml"):
        io.save(cube(np.asarray), tmp_path / "a.xlsx")
    with pytest.raises(ssbmaps.SsbmapsError, match=r"the folder .* does not exist"):
        io.save(cube(np.asarray), tmp_path / "nowhere" / "a.nc")
    with pytest.raises(ssbmaps.SsbmapsError, match="the fill value is 2; only 0 is stored"):
        io.save(xr.DataArray(sparse.full((2, 2), 2), dims=("y", "x")), tmp_path / "a.nc")
    odd = xr.Dataset({"a/b": ("x", [1 + 2j]), "t": ("x", np.array(["2020"], "datetime64[ns]"))})
    with pytest.raises(ssbmaps.SsbmapsError, match=r"(?s)name 'a/b'.*type complex128.*type datetime64"):
        io.save(odd, tmp_path / "a.zarr")
    stacked = cube(np.asarray).drop_vars(["measured", "label"]).stack(point=("y", "x"))
    with pytest.raises(ssbmaps.SsbmapsError, match="dimension 'point' has a multi-index"):
        io.save(stacked, tmp_path / "a.zarr")


@pytest.mark.parametrize("container", [np.asarray, sparse.COO.from_numpy])
def test_a_missing_or_cut_chunk_is_noticed(tmp_path, container):
    path = io.save(cube(container).rename("counts"), tmp_path / "a.zarr")
    chunk = next(p for p in path.rglob("*") if p.is_file() and p.parent.name.startswith("counts") and not p.name.startswith("."))
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-1])
    with pytest.raises(ssbmaps.FormatError, match=r"a\.zarr: chunks are missing or cut short \(counts"):
        io.load(path)
    chunk.unlink()
    with pytest.raises(ssbmaps.FormatError, match=r"counts\w*: 0 files of 0 bytes, expected 1"):
        io.load(path)
    chunk.write_bytes(bytes(len(whole)))
    with pytest.raises(ssbmaps.FormatError, match=r"a\.zarr: is damaged or incomplete|do not fit together"):
        io.load(path)


def test_damaged_and_foreign_stores(tmp_path):
    path = io.save(cube(np.asarray), tmp_path / "a.nc")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ssbmaps.FormatError, match=r"a\.nc: is damaged or incomplete"):
        io.load(path)
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with pytest.raises(ssbmaps.FormatError, match=r"b\.nc: was not written by ssbmaps\.io\.save"):
        io.load(tmp_path / "b.nc")
    (tmp_path / "c.zarr").mkdir()
    with pytest.raises(ssbmaps.FormatError, match=r"c\.zarr: is damaged or incomplete"):
        io.load(tmp_path / "c.zarr")
    with pytest.raises(ssbmaps.FormatError, match=r"d\.zarr: no such file"):
        io.load(tmp_path / "d.zarr")
    with pytest.raises(
        ssbmaps.FormatError, match=r"e\.imzML: ends in '\.imzML'; io\.load reads \.zarr and \.nc, io\.read the rest"
    ):
        io.load(tmp_path / "e.imzML")
    (tmp_path / "f.zarr").write_text("no folder")
    with pytest.raises(ssbmaps.FormatError, match=r"a \.zarr store is a folder"):
        io.load(tmp_path / "f.zarr")
    with pytest.raises(ssbmaps.FormatError, match=r"b\.nc: is a store; read it with ssbmaps\.io\.load"):
        io.read(tmp_path / "b.nc")


@STORES
def test_info_of_a_store(tmp_path, suffix):
    attrs = {"units": "counts", "technique": "tof-sims", "polarity": "negative", "tilt": 52.0}
    path = io.save(cube(sparse.COO.from_numpy).assign_attrs(attrs), tmp_path / f"a{suffix}")
    told = io.info(path)
    assert told["dims"] == ("y", "x", "mz")
    assert told["shape"] == (2, 3, 5)
    assert told["pixel_size"] == (1.0, 1.0)
    assert told["mz_range"] == (1.0, 9.0)
    assert (told["technique"], told["polarity"], told["tilt"]) == ("tof-sims", "negative", 52.0)
    table = xr.Dataset({"thickness": ("particle", [1.0, 2.0])}, attrs={"technique": "tof-sims"})
    told = io.info(io.save(table, tmp_path / f"b{suffix}"))
    assert told["datasets"] == ("thickness",)
    assert told["shape"] == (2,)
    assert told["pixel_size"] is None


@pytest.mark.parametrize("kind", CONTAINERS)
def test_to_dense_changes_the_container_and_nothing_else(kind):
    original = cube(CONTAINERS[kind])
    before = original.copy()
    dense = io.to_dense(original)
    assert isinstance(dense.data, np.ndarray)
    assert dense.identical(cube(np.asarray))
    assert type(original.data) is type(before.data)
    both = io.to_dense(xr.Dataset({"a": original, "b": ("x", [1, 2, 3])}))
    assert isinstance(both["a"].data, np.ndarray)
    assert both.identical(xr.Dataset({"a": cube(np.asarray), "b": ("x", [1, 2, 3])}))


def test_to_dense_of_sparse_coordinates_and_of_nonsense():
    weight = sparse.COO.from_numpy(np.array([0.0, 2.0]))
    dense = io.to_dense(xr.DataArray([1, 2], dims="x", coords={"weight": ("x", weight)}))
    assert isinstance(dense.coords["weight"].data, np.ndarray)
    assert np.array_equal(to_dense(weight), dense.weight.values)
    with pytest.raises(ssbmaps.SsbmapsError, match=r"expected an xarray\.DataArray or Dataset, got int"):
        io.to_dense(3)


def test_a_read_cube_survives(tmp_path):
    source = Path(__file__).parents[2] / "shared" / "data" / "imzml-synthetic" / "iontof_sparse.imzML"
    if not source.exists():
        pytest.skip("the instrument files of shared/data are not on this machine")
    read = io.read(source, pixel_size=4.40625)
    lazy = io.read(source, pixel_size=4.40625, chunks=1)
    for suffix in (".zarr", ".nc"):
        assert io.load(io.save(read, tmp_path / f"a{suffix}")).identical(read)
        assert io.load(io.save(lazy, tmp_path / f"b{suffix}")).identical(read)
