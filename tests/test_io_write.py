"""save by the ending: imzML and HyperSpy read back equal, what exists is kept, faults come in one letter."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sparse
import xarray as xr

import ssbmaps
from ssbmaps import cli, io
from ssbmaps.io import _write

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyimzml.ImzMLParser import ImzMLParser

ENDINGS = [".imzML", ".csv", ".parquet", ".ome.tif", ".ome.tiff", ".tif", ".tiff", ".hspy", ".zspy"]


def cube(container=sparse.COO.from_numpy, dtype=np.uint32):
    """(y, x, mz) of 3 × 4 × 6: value 100 y + 10 x + channel + 1 where y + x + channel is even and channel is not 3."""
    y, x, channel = np.indices((3, 4, 6))
    values = np.where(((y + x + channel) % 2 == 0) & (channel != 3), 100 * y + 10 * x + channel + 1, 0).astype(dtype)
    return xr.DataArray(
        container(values),
        dims=("y", "x", "mz"),
        coords={
            "y": ("y", (np.arange(3) + 0.5) * 0.2, {"units": "um"}),
            "x": ("x", (np.arange(4) + 0.5) * 0.1, {"units": "um"}),
            "mz": ("mz", np.array([24.0005, 31.9726, 34.9694, 50.0, 62.9641, 78.9591]), {"units": "Da"}),
        },
        attrs={"units": "counts", "polarity": "negative", "technique": "tof-sims", "history": "made by hand"},
    )


def a_map():
    """One fragment's map of the cube."""
    return io.to_dense(cube().isel(mz=0, drop=True))


@pytest.mark.parametrize("kind", ["sparse", "dense", "dask", "transposed", "floats"])
def test_imzml_reads_back_equal_here_and_in_pyimzml(tmp_path, kind):
    original = cube(dtype=np.float32) * np.float32(0.1) if kind == "floats" else cube()
    original.attrs = cube().attrs
    given = {
        "dense": io.to_dense(original),
        "dask": original.chunk({"y": 1}),
        "transposed": original.transpose("mz", "x", "y"),
    }.get(kind, original)
    path = io.save(given, tmp_path / "cube.imzML")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cube.ibd", "cube.imzML"]
    read = io.read(path)
    assert read.dtype == original.dtype
    assert isinstance(read.data, sparse.COO)
    np.testing.assert_array_equal(read.data.todense(), original.data.todense())
    for name in ("y", "x", "mz"):
        np.testing.assert_allclose(read[name], original[name], rtol=1e-12)
    np.testing.assert_array_equal(read.mz, original.mz)  # with the channel in which no pixel has a value
    assert (read.attrs["units"], read.attrs["polarity"]) == ("arbitrary" if kind == "floats" else "counts", "negative")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # accessions that pyimzml itself writes and does not know
        parser = ImzMLParser(str(path))
    dense = original.data.todense()
    for i, (x, y, _) in enumerate(parser.coordinates):
        row = np.zeros(6, dense.dtype)
        mz, values = parser.getspectrum(i)
        row[np.searchsorted(original.mz.values, mz)] = values
        np.testing.assert_array_equal(row, dense[y - 1, x - 1])
    parser.m.close()


def test_imzml_leaves_out_what_was_not_measured(tmp_path):
    measured = np.ones((3, 4), bool)
    measured[1, 2] = measured[0, 0] = False
    original = cube().assign_coords(measured=(("y", "x"), measured))
    read = io.read(io.save(original, tmp_path / "holes.imzML"))
    np.testing.assert_array_equal(read.measured, measured)
    np.testing.assert_array_equal(read.data.todense(), np.where(measured[..., None], original.data.todense(), 0))
    np.testing.assert_array_equal(read.mz, original.mz)


def test_imzml_keeps_a_channel_that_only_an_unmeasured_pixel_has(tmp_path):
    values = np.zeros((3, 4, 6), np.uint32)
    values[2, 3, 5], values[0, 1, 2] = 9, 4
    measured = np.ones((3, 4), bool)
    measured[2, 3] = False
    original = cube().copy(data=sparse.COO.from_numpy(values)).assign_coords(measured=(("y", "x"), measured))
    read = io.read(io.save(original, tmp_path / "a.imzML"))
    np.testing.assert_array_equal(read.mz, original.mz)
    assert int(read.data.sum()) == 4


def test_imzml_has_no_room_for_the_largest_of_whole_numbers(tmp_path):
    values = np.zeros((3, 4, 6), np.uint64)
    values[1, 1, 1] = 2**63
    with pytest.raises(ssbmaps.SsbmapsError, match="9223372036854775808 does not fit"):
        io.save(cube().copy(data=sparse.COO.from_numpy(values)), tmp_path / "a.imzML")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
def test_hyperspy_files_read_back_equal_here_and_in_hyperspy(tmp_path, suffix):
    hs = pytest.importorskip("hyperspy.api")
    original = io.to_dense(cube())
    path = io.save(original, tmp_path / f"cube{suffix}")
    read = io.read(path)
    np.testing.assert_array_equal(read.values, original.values)
    for name in ("y", "x", "mz"):
        np.testing.assert_array_equal(read[name], original[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = hs.load(str(path))
    np.testing.assert_array_equal(signal.data, original.values)
    assert [a.name for a in signal.axes_manager._axes] == ["y", "x", "mz"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_exists_is_kept_unless_told_and_nothing_else_is_left(tmp_path, ending):
    array = cube() if ending == ".imzML" else a_map()
    path = io.save(array, tmp_path / f"a{ending}")
    names = sorted(p.name for p in tmp_path.iterdir())
    before = [p.read_bytes() for p in sorted(path.rglob("*") if path.is_dir() else [path]) if p.is_file()]
    with pytest.raises(ssbmaps.SsbmapsError, match="exists already; choose another name or set overwrite=True"):
        io.save(array, path)
    after = [p.read_bytes() for p in sorted(path.rglob("*") if path.is_dir() else [path]) if p.is_file()]
    assert after == before
    assert io.save(array, str(path), overwrite=True) == path
    assert sorted(p.name for p in tmp_path.iterdir()) == names


@pytest.mark.parametrize("ending", [".csv", ".zspy", ".ome.tif"])
def test_a_failed_export_leaves_what_was_there(tmp_path, monkeypatch, ending):
    path = io.save(a_map(), tmp_path / f"a{ending}")
    kept = path.stat().st_mtime_ns
    writer = _write.writer_of(path)

    def fail(_plan, draft):
        draft.with_name("half").write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(writer, "write", fail)
    with pytest.raises(ssbmaps.SsbmapsError, match=rf"io\.save of a\{ending}: a\{ending} could not be written: no space left"):
        io.save(a_map(), path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mtime_ns == kept


def test_faults_of_path_and_data_come_in_one_letter(tmp_path):
    bad = cube().drop_vars("y").expand_dims(scan=2).assign_attrs(polarity="both")
    with pytest.raises(
        ssbmaps.SsbmapsError,
        match=r"(?s)io\.save of a\.imzML: 4 faults:.*folder .* does not exist.*axis scan.*polarity is 'both'.*no coordinate y",
    ):
        io.save(bad, tmp_path / "none" / "a.imzML")
    with pytest.raises(ssbmaps.SsbmapsError, match=r"dimension mz is missing"):
        io.save(a_map(), tmp_path / "a.imzML")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(ssbmaps.SsbmapsError, match=r"b\.csv is not what its ending says; it is not replaced"):
        io.save(a_map(), tmp_path / "b.csv", overwrite=True)
    two = xr.Dataset({"a": a_map(), "b": a_map()})
    for name in ("c.hspy", "c.tif", "c.ome.tif"):
        with pytest.raises(ssbmaps.SsbmapsError, match=r"a Dataset with the variables a, b; .* save data\['name'\]"):
            io.save(two, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["b.csv"]


def test_endings_are_matched_as_a_whole_and_in_any_case(tmp_path):
    assert io.info(io.save(a_map(), tmp_path / "A.OME.TIF"))["mode"] == "OME-TIFF"
    assert io.info(io.save(a_map(), tmp_path / "my.ome.map.tif"))["mode"] == "ImageJ"
    with pytest.raises(ssbmaps.SsbmapsError, match=r"'\.csv' ends in ''; expected one of \.zarr, \.nc, \.imzml, \.csv"):
        io.save(a_map(), tmp_path / ".csv")


def test_formats_list_every_ending_that_is_written():
    written = {e for f in io.formats() if f["writes"] for e in f["extensions"]}
    assert {e.lower() for e in ENDINGS} - {".ome.tif", ".ome.tiff"} <= written
    assert {".zarr", ".nc"} <= written


@pytest.mark.parametrize("ending", [*ENDINGS, ".zarr", ".nc"])
def test_convert_accepts_every_ending(tmp_path, capsys, ending):
    source = io.save(cube(), tmp_path / "source.imzML")
    out = tmp_path / f"out{ending}"
    with pytest.raises(SystemExit, match=r"^0$"):
        cli.main(["convert", str(source), str(out)])
    assert out.exists()
    assert "y 3, x 4, mz 6, counts" in capsys.readouterr().out


def test_the_room_of_writers_is_light():
    import subprocess
    import sys

    code = "import sys, ssbmaps.io; print(sorted({'pandas', 'pyarrow', 'tifffile', 'pyimzml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tifffile" not in done.stdout
    assert "pyarrow" not in done.stdout
    assert "pyimzml" not in done.stdout
