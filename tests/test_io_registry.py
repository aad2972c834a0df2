"""The registry: content decides, not the ending; formats are listed with what they can do."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ssbmaps
from ssbmaps import io
from ssbmaps.io import _registry

files = runpy.run_path(str(Path(__file__).with_name("io_files.py")), run_name="io_files")


def test_formats_name_what_they_read_and_write():
    listed = {f["name"]: f for f in io.formats()}
    assert {"imzML", "SIMS-H5", "TIFF", "CSV table", "Parquet", "Zarr", "netCDF"} <= set(listed)
    assert len(listed) == len(io.formats())
    assert listed["imzML"] == {
        "name": "imzML",
        "extensions": (".imzml",),
        "technique": "tof-sims",
        "reads": True,
        "writes": True,
    }
    assert not listed["SIMS-H5"]["writes"]
    assert listed["CSV table"]["writes"]
    assert not listed["Parquet"]["reads"]
    assert listed["Zarr"]["writes"]
    assert listed["netCDF"]["extensions"] == (".nc",)


@pytest.mark.parametrize("name", _registry._MODULES)
def test_every_reader_has_the_same_door(name):
    module = _registry._module(name)
    assert isinstance(module.NAME, str)
    assert all(e.startswith(".") and e == e.lower() for e in module.EXTENSIONS)
    assert module.TECHNIQUE in ("tof-sims", "sam", "raman", "sem", "eds", "nanosims", "any")
    assert all(callable(getattr(module, door)) for door in ("sniff", "info", "read"))


def test_content_decides_and_not_the_ending(tmp_path):
    archive = files["write_simsh5"](tmp_path / "archive.dat")
    assert io.info(archive)["format"] == "SIMS-H5"
    assert io.read(str(archive), pixel_size=1).sizes["scan"] == 2
    pair = files["write_imzml"](tmp_path, files["planted_spectra"]())
    renamed = pair.rename(tmp_path / "small.xml")
    assert io.info(renamed)["format"] == "imzML"
    assert np.array_equal(io.to_dense(io.read(renamed)).values, files["PLANTED"])


def test_every_report_has_the_same_keys(tmp_path):
    archive = files["write_simsh5"](tmp_path / "a.h5")
    pair = files["write_imzml"](tmp_path, files["planted_spectra"]())
    store = io.save(io.read(pair), tmp_path / "a.zarr")
    keys = {"file", "format", "technique", "polarity", "dims", "shape", "pixel_size", "pixel_size_note", "channels"}
    keys |= {"channels_note", "mz_range", "tilt", "datasets", "warnings"}
    for path in (archive, pair, store):
        assert keys <= set(io.info(path))
        assert io.info(path)["file"] == path.name


def test_the_readers_options_are_checked_by_name(tmp_path):
    with pytest.raises(
        ssbmaps.SsbmapsError, match=r"io\.read of a\.h5: unknown option 'empty_spectra'; SIMS-H5 knows mz_range, mz_bin"
    ):
        io.read(files["write_simsh5"](tmp_path / "a.h5"), pixel_size=1, empty_spectra="zero")


def test_the_room_loads_without_its_heavy_neighbours():
    heavy = "{'h5py', 'sparse', 'dask', 'scipy', 'zarr', 'matplotlib', 'sklearn', 'skimage', 'numba', 'pyimzml'}"
    code = f"import sys, ssbmaps.io; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
