"""Real imzML files give the manifest's numbers, spectrum for spectrum as pyimzml reads them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import sparse

import ssbmaps
from ssbmaps import io
from ssbmaps._arrays import to_dense

DATA = Path(__file__).parents[2] / "shared" / "data"
REAL = {  # manifest: sum, largest, its (y, x) from 0 and m/z, first and last m/z, shape (y, x)
    "imzml/Example_Continuous": (1450.3, 9.2446, (2, 2), 153.0833, 100.0833, 799.9167, (3, 3)),
    "imzml/Example_Processed": (1450.3, 9.2446, (2, 2), 153.0833, 100.0833, 799.9167, (3, 3)),
    "imzml/Untreated_3_434_tiny": (5.4743e10, 6.41841e8, (3, 0), 798.5432, 156.5192, 2637.5471, (4, 2)),
    "imzml/pewlib_2x2": (280818, 4148, (0, 1), 445.1211, 200.0810, 992.9252, (2, 2)),
    "imzml-synthetic/iontof_sparse": (3150, 300, (3, 3), 505.0, 100.0, 505.0, (4, 4)),
    "imzml-synthetic/unit_nanometre": (1500, 200, (1, 1), 503.0, 100.0, 503.0, (2, 2)),
}
STATED = {"imzml/Example_Continuous": 100.0, "imzml/Example_Processed": 100.0, "imzml-synthetic/unit_nanometre": 4.40625}
REFUSED = {
    "imzml/Untreated_3_434_tiny": "no pixel size",
    "imzml/pewlib_2x2": r"pixel size \(y and x\) 30 \(no unit\) contradicts the extent 120 um: 2 pixels would span 60 um",
    "imzml-synthetic/iontof_sparse": r"4\.40625 \(no unit\) contradicts the extent 15 \(no unit\): 4 pixels would span 17\.625",
}


def real(name):
    path = DATA / f"{name}.imzML"
    if not path.exists():
        pytest.skip("the instrument files of shared/data are not on this machine")
    return path


@pytest.mark.parametrize("name", REAL)
def test_real_files_give_the_numbers_of_the_manifest(name):
    total, largest, where, at, first, last, shape = REAL[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ssbmaps.DataQualityWarning)  # pewlib's placeholders have a test of their own
        cube = io.read(real(name), pixel_size=None if name in STATED else 2.0)
    dense = io.to_dense(cube)
    assert cube.dims == ("y", "x", "mz")
    assert isinstance(cube.data, sparse.COO)
    assert dense.shape[:2] == shape
    assert float(dense.values.sum(dtype=float)) == pytest.approx(total, rel=2e-5)  # the manifest gives five figures
    assert float(dense.max()) == pytest.approx(largest, rel=1e-5)
    y, x, channel = np.unravel_index(dense.values.argmax(), dense.shape)
    assert (y, x) == where
    assert cube.mz.values[[channel, 0, -1]] == pytest.approx([at, first, last], abs=6e-5)  # four decimals
    pixel = STATED.get(name, 2.0)
    assert cube.x.values[0] == pixel / 2
    assert np.diff(cube.y.values) == pytest.approx(pixel, rel=1e-12)


@pytest.mark.parametrize("name", REFUSED)
def test_unusable_pixel_sizes_are_refused_and_overrides_recorded(name):
    path = real(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ssbmaps.DataQualityWarning)
        with pytest.raises(ssbmaps.FormatError, match=REFUSED[name]):
            io.read(path)
        cube = io.read(path, pixel_size=(2.0, 3.0))
    assert cube.y.values[0] == 1.0
    assert cube.x.values[0] == 1.5
    assert '"pixel_size": [2.0, 3.0]' in cube.attrs["history"]
    assert cube.attrs["pixel_size_source"].startswith("caller; the file: ")
    told = io.info(path)
    assert told["pixel_size"] is None
    assert told["pixel_size_note"] in cube.attrs["pixel_size_source"]


def test_real_sums_by_pixel_and_channel():
    cube = io.read(real("imzml-synthetic/iontof_sparse"), pixel_size=4.40625)
    sums = to_dense(cube.data).sum(axis=2)
    expected = {(0, 0): 150, (0, 1): 300, (1, 3): 450, (2, 0): 600, (2, 2): 750, (3, 3): 900}
    assert {(y, x): sums[y, x] for y, x in np.argwhere(sums)} == expected
    assert np.array_equal(cube.measured.values, sums > 0)
    assert cube.attrs["units"] == "counts"
    assert cube.attrs["polarity"] == "positive"
    assert cube.attrs["technique"] == "tof-sims"
    continuous = io.read(real("imzml/Example_Continuous"))
    assert continuous.mz.values.sum() * 9 == pytest.approx(34015950.937, rel=1e-9)
    assert continuous.attrs["units"] == "arbitrary"
    assert "measured" not in continuous.coords
    assert io.read(real("imzml/Example_Processed")).equals(continuous)


def test_placeholder_checksum_and_uuid_warn():
    with pytest.warns(ssbmaps.DataQualityWarning) as caught:
        io.read(real("imzml/pewlib_2x2"), pixel_size=30)
    texts = " ".join(str(w.message) for w in caught)
    assert "MD5 mismatch: the header says 00000000000000000000000 (a placeholder)" in texts
    assert "UUID mismatch" in texts
    assert "announces 95993 spectra, the file holds 4" in texts
    assert all(w.filename == __file__ for w in caught)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
def test_pyimzml_reads_the_same_spectra(name):
    from pyimzml.ImzMLParser import ImzMLParser

    cube = io.read(real(name), pixel_size=1.0)
    dense = to_dense(cube.data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyimzml warns of accessions that it does not know
        parser = ImzMLParser(str(real(name)))
        for index, (x, y, _) in enumerate(parser.coordinates):
            mz, values = parser.getspectrum(index)
            expected = np.zeros(len(cube.mz))
            expected[np.searchsorted(cube.mz.values, mz)] = values
            assert np.array_equal(dense[y - 1, x - 1], expected)
        parser.m.close()
