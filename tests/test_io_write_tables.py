"""CSV and Parquet: tidy rows, units, every digit, and no silent choice between variables of different shape."""

from __future__ import annotations

import importlib.util
import json

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import sparse
import xarray as xr

import ssbmaps
from ssbmaps import io
from ssbmaps.io import _table

UM = {"units": "um"}


def raman(container=np.asarray, dtype=np.float64):
    """(y, x, raman_shift) of 2 × 3 × 4 with numbers that need all digits, one of them missing."""
    values = (np.arange(24).reshape(2, 3, 4) / 7).astype(dtype)
    values[0, 1, 2] = np.nan
    return xr.DataArray(
        container(values),
        dims=("y", "x", "raman_shift"),
        coords={
            "y": ("y", [0.25, 0.75], UM),
            "x": ("x", np.array([0.5, 1.5, 2.5]) / 3, UM),
            "raman_shift": ("raman_shift", np.array([100, 200, 300, 401]) / 3, {"units": "1/cm"}),
        },
        attrs={"units": "counts", "technique": "raman", "history": "made by hand"},
    )


def rows(array):
    """What the table of a dense array should hold: a plain loop over the values."""
    axes = [array[d].values for d in array.dims]
    return [(*(axis[k] for axis, k in zip(axes, i, strict=True)), array.values[i]) for i in np.ndindex(array.shape)]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", ["dense", "transposed", "dask", "irregular dask", "float32"])
def test_every_value_has_a_row_with_its_place(tmp_path, ending, kind):
    original = raman(dtype=np.float32 if kind == "float32" else np.float64)
    given = {
        "transposed": original.transpose("raman_shift", "x", "y"),
        "dask": original.chunk({"y": 1, "raman_shift": 3}),
        "irregular dask": raman(lambda v: da.from_array(v, chunks=(2, (1, 2), (3, 1)))),
    }.get(kind, original)
    path = io.save(given.rename(None), tmp_path / f"map{ending}")
    if ending == ".csv":
        frame = pd.read_csv(path)
        assert frame.columns.tolist() == ["y (um)", "x (um)", "raman_shift (1/cm)", "value (counts)"]
        assert path.read_bytes().count(b"\n") == 25
        assert path.read_text().splitlines()[7].endswith(",")  # missing is empty
    else:
        frame = pd.read_parquet(path)
        assert frame.columns.tolist() == ["y", "x", "raman_shift", "value"]
        assert frame["value"].dtype == original.dtype
    expected = np.array(rows(original))
    found = frame.to_numpy().astype(np.float64)
    if kind == "float32" and ending == ".csv":
        found[:, 3] = found[:, 3].astype(np.float32)
    np.testing.assert_array_equal(found, expected)


def test_numbers_in_a_csv_are_exact(tmp_path):
    hard = np.array([0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 123456789.123456789, 2**53 + 1.0])
    wide = np.array([2**63 - 1, -(2**63), 0, 1, 2, 3, 4])
    data = xr.Dataset({"hard": ("i", hard), "wide": ("i", wide)})
    lines = io.save(data, tmp_path / "hard.csv").read_text().splitlines()
    assert lines[0] == "i,hard,wide"
    for line, number, whole in zip(lines[1:], hard, wide, strict=True):
        assert float(line.split(",")[1]) == number
        assert int(line.split(",")[2]) == whole


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_profile_becomes_one_table_with_all_that_stands_beside(tmp_path, ending):
    data = xr.Dataset(
        {
            "mean": (("fragment", "distance"), [[1.5, 2.5, np.nan], [3.5, 4.5, 5.5]], {"units": "counts"}),
            "count": (("fragment", "distance"), [[4, 5, 0], [6, 7, 8]]),
            "thickness": ("fragment", [0.18, 0.07], UM),  # along a part of the dims: repeated
            "resolved": ((), True),
        },
        coords={
            "fragment": ["PO3-", 'S "32"-'],
            "mz": ("fragment", [78.9591, 31.9726], {"units": "Da"}),
            "distance": ("distance", [-0.1, 0.0, 0.1], UM),
        },
        attrs={"history": "made by hand"},
    )
    path = io.save(data, tmp_path / f"profile{ending}")
    frame = pd.read_csv(path) if ending == ".csv" else pd.read_parquet(path)
    frame.columns = [c.partition(" (")[0] for c in frame.columns]
    assert frame.columns.tolist() == ["fragment", "distance", "mz", "mean", "count", "thickness", "resolved"]
    assert frame.fragment.tolist() == ["PO3-"] * 3 + ['S "32"-'] * 3
    assert frame.distance.tolist() == [-0.1, 0.0, 0.1] * 2
    assert frame["count"].tolist() == [4, 5, 0, 6, 7, 8]
    assert frame.thickness.tolist() == [0.18] * 3 + [0.07] * 3
    assert frame.resolved.all()
    np.testing.assert_array_equal(frame["mean"], [1.5, 2.5, np.nan, 3.5, 4.5, 5.5])


def test_parquet_knows_units_and_attributes(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    schema = parquet.read_schema(io.save(raman(), tmp_path / "map.parquet"))
    assert schema.field("x").metadata[b"units"] == b"um"
    note = json.loads(schema.metadata[b"ssbmaps"])
    assert note["units"] == {"y": "um", "x": "um", "raman_shift": "1/cm", "value": "counts"}
    assert note["dims"] == ["y", "x", "raman_shift"]
    assert note["attrs"]["technique"] == "raman"
    assert parquet.read_table(tmp_path / "map.parquet")["value"].null_count == 1


@pytest.mark.parametrize("kind", ["sparse", "dask of sparse", "transposed"])
def test_of_a_sparse_cube_only_the_stored_values_are_written(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(_table, "_ROWS", 3)  # several pieces
    values = np.zeros((3, 4, 5), np.uint32)
    values[0, 1, 2], values[1, 2, 4], values[1, 0, 0], values[2, 3, 3], values[2, 3, 4] = 7, 4_000_000_000, 1, 9, 2
    cube = xr.DataArray(sparse.COO.from_numpy(values), dims=("y", "x", "mz"), coords={"mz": ("mz", np.arange(5) * 10.0)})
    if kind == "dask of sparse":
        cube = cube.copy(data=da.from_array(cube.data, chunks=(2, 2, 5), asarray=False)).rename("counts")
    if kind == "transposed":
        cube = cube.transpose("mz", "x", "y")
    frame = pd.read_csv(io.save(cube.rename("counts"), tmp_path / "cube.csv"))
    assert frame.columns.tolist() == ["y", "x", "mz", "counts"]
    expected = [(*map(int, i[:2]), i[2] * 10, int(values[tuple(i)])) for i in np.argwhere(values)]
    assert [tuple(r) for r in frame.astype(int).to_numpy().tolist()] == expected


def test_pieces_join_without_a_seam(tmp_path, monkeypatch):
    whole = io.save(raman(), tmp_path / "whole.csv").read_bytes()
    monkeypatch.setattr(_table, "_ROWS", 5)
    assert io.save(raman(), tmp_path / "pieces.csv").read_bytes() == whole
    assert io.save(raman().chunk({"y": 1}), tmp_path / "lazy.csv").read_bytes() == whole


def test_a_map_of_spectra_is_read_back_by_our_own_reader(tmp_path):
    original = raman()
    read = io.read(io.save(original, tmp_path / "map.csv"))
    assert read.dims == original.dims
    np.testing.assert_array_equal(read.values, original.values)
    for dim in original.dims:
        np.testing.assert_allclose(read[dim], original[dim], rtol=1e-12)
    assert read.attrs["units"] == "counts"
    with pytest.raises(ssbmaps.SsbmapsError):
        io.load(tmp_path / "map.csv")


def test_a_single_number_and_a_name_that_is_taken(tmp_path):
    assert io.save(xr.DataArray(1.5, name="k", attrs=UM), tmp_path / "k.csv").read_text() == "k (um)\n1.5\n"
    named = xr.DataArray([1, 2], dims="x", coords={"x": [5, 6]}, name="x")
    assert io.save(named, tmp_path / "x.csv").read_text() == "x,x_\n5,1\n6,2\n"


def test_mixtures_get_a_letter_that_says_what_helps(tmp_path):
    data = xr.Dataset({"a": ("shell", [1.0]), "b": (("shell", "particle"), [[1.0, 2.0]]), "c": ("vertex", [1.0, 2.0, 3.0])})
    with pytest.raises(ssbmaps.SsbmapsError, match=r"\(shell\): a; \(shell, particle\): b; \(vertex\): c.* data\[\['b'\]\]"):
        io.save(data, tmp_path / "a.csv")
    io.save(data[["a", "b"]], tmp_path / "a.csv")
    with pytest.raises(
        ssbmaps.SsbmapsError, match=r"no variable lies along the dims of z; leave it out: data\.drop_vars\(\['z'\]\)"
    ):
        io.save(data[["a", "b"]].assign_coords(z=("depth", [1, 2])), tmp_path / "b.csv")
    with pytest.raises(ssbmaps.SsbmapsError, match="holds no variable"):
        io.save(xr.Dataset(coords={"x": [1, 2]}), tmp_path / "b.csv")


def test_other_faults_come_at_once(tmp_path):
    data = xr.Dataset(
        {
            "a": ("x", np.array([1 + 2j, 3])),
            "b": ("x", sparse.COO.from_numpy(np.array([0, 1]))),
            "c": ("x", sparse.COO.from_numpy(np.array([5, 1]), fill_value=5)),
        }
    )
    with pytest.raises(
        ssbmaps.SsbmapsError, match=r"(?s)3 faults.*'a' is of type complex128.*b, c is sparse.*c is sparse with a fill value"
    ):
        io.save(data, tmp_path / "a.csv")
    stacked = raman().stack(point=("y", "x"))
    with pytest.raises(ssbmaps.SsbmapsError, match="multi-index"):
        io.save(stacked, tmp_path / "a.csv")
    with pytest.raises(ssbmaps.SsbmapsError, match="dimension x has length 0"):
        io.save(xr.DataArray(np.empty((2, 0)), dims=("y", "x")), tmp_path / "a.csv")
    clash = xr.Dataset({"a": ("x", [1.0]), "a (um)": ("x", [2.0])})
    clash.a.attrs["units"] = "um"
    with pytest.raises(ssbmaps.SsbmapsError, match=r"two columns would be called a \(um\)"):
        io.save(clash, tmp_path / "a.csv")
    assert not list(tmp_path.iterdir())


def test_parquet_without_pyarrow_is_a_letter(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # noqa: ARG005
    with pytest.raises(ssbmaps.SsbmapsError, match=r"pip install 'ssbmaps\[parquet\]'"):
        io.save(raman(), tmp_path / "a.parquet")
