"""Text of the MultiPak Exporter and of JAMP instruments: planted spectra come back, incomplete files are refused."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, io

files = runpy.run_path(str(Path(__file__).with_name("files_sam.py")), run_name="files_sam")
fuzz = runpy.run_path(str(Path(__file__).with_name("fuzzing.py")), run_name="fuzzing")["fuzz"]
EXAMPLES = [e for e in files["EXAMPLES"] if e.reader in ("multipak_text", "jeol_text")]
QUIET = pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")


def changed(path, old, new):
    """The file with the first `old` replaced."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def test_a_depth_profile_of_multipak(tmp_path):
    path = files["write_multipak_depth"](tmp_path)
    assert io.info(path)["datasets"] == ("C1", "O1", "profile")
    for name, (start, step, n, _) in files["CYCLES"].items():
        cube = io.read(path, dataset=name)
        assert cube.dims == ("scan", "kinetic_energy")
        assert np.array_equal(cube.values, files["depth_values"](name))
        assert np.allclose(cube.kinetic_energy, start + step * np.arange(n))
        assert cube.sputter_time.values.tolist() == [-0.5, 0]
        assert cube.sputter_time.attrs["units"] == "min"
        assert (cube.units, cube.attrs["technique"], cube.attrs["beam_energy"]) == ("counts/s", "sam", 10000)
        assert "erson" not in cube.attrs["original_metadata"]
    profile = io.read(path, dataset="profile")
    assert profile.dims == ("scan", "line")
    assert profile.values.tolist() == [[0, 100], [1, 101]]
    with pytest.raises(SsbmapsError, match="3 data sets: 'C1', 'O1', 'profile'"):
        io.read(path)


def test_a_survey_of_multipak_and_several_areas(tmp_path):
    one = io.read(files["write_multipak_survey"](tmp_path))
    assert (one.dims, one.values.tolist()) == (("kinetic_energy",), files["SURVEY"].tolist())
    two = io.read(files["write_multipak_survey"](tmp_path, areas=2))
    assert two.dims == ("point", "kinetic_energy")
    assert np.array_equal(two.values, [files["SURVEY"], 2 * files["SURVEY"]])
    assert two.area.values.tolist() == ["1", "2"]


@pytest.mark.parametrize(
    ("old", "new", "letter"),
    [
        ("DEPTHPRO", "MAP", "FileType is 'MAP'; the layouts of 'SPECTRUM' and 'DEPTHPRO' are published"),
        ("NoSpectralReg:2", "NoSpectralReg:3", "NoSpectralReg is '3'; 2 regions are in the file"),
        ("Kinetic Energy(eV)", "Energy(eV)", r"the axis of 'C1' is 'Energy\(eV\)'"),
        ("Cycle,XLabel", "Cycles,XLabel", "lists Area Comment, RegionNo, AtomicName, Cycles"),
        ("\n3\n231", "\n5\n231", "announces '5' rows|hold"),
        ("\n3\n231", "\n2\n231", "announces 2 rows; 1 more lines follow"),
        ("C1\n2\n", "C1\n3\n", "has 2 columns of data; expected 3"),
        ("233.0000", "two", "holds 'two' where a number is expected"),
        ("\nO1\nSputter", "\nO2\nSputter", "holds profiles of C1, O2, but regions C1, O1"),
        ("0.0000,1.0000", "0.5000,1.0000", "different sputter times"),
    ],
)
def test_letters_of_multipak(tmp_path, old, new, letter):
    path = changed(files["write_multipak_depth"](tmp_path), old, new)
    with pytest.raises(FormatError, match=letter):
        io.read(path, dataset="C1")


def test_a_depth_profile_without_times_is_doubtful(tmp_path):
    path = files["write_multipak_depth"](tmp_path)
    path.write_text(path.read_text().split("//Area Comment,AtomicName")[0])
    with pytest.warns(DataQualityWarning, match="holds no table of sputter times"):
        cube = io.read(path, dataset="C1")
    assert "sputter_time" not in cube.coords


def test_jamp_spectra(tmp_path):
    path = files["write_jamp"](tmp_path)
    assert io.info(path)["datasets"] == ("Cu LMM", "Al KLL")
    assert io.info(path)["axis_range"] == (670, 671.5)
    for name, (start, step, values) in zip(("Cu LMM", "Al KLL"), files["JAMP"].values(), strict=True):
        cube = io.read(path, dataset=name)
        assert cube.values.tolist() == values.tolist()
        assert np.allclose(cube.kinetic_energy, start + step * np.arange(len(values)))
        assert (cube.units, cube.attrs["technique"], cube.attrs["beam_energy"]) == ("arbitrary", "sam", 10000)
        assert "erson" not in cube.attrs["original_metadata"]
    wide = io.read(files["write_jamp_wide"](tmp_path))
    assert wide.values.tolist() == list(files["JAMP_TEXT"])
    assert wide.kinetic_energy.values.tolist() == [0, 1, 2, 3, 4]


def test_jamp_text_is_the_same_spectrum_and_does_not_tell_its_length(tmp_path):
    path = files["write_jamp_text"](tmp_path)
    with pytest.warns(DataQualityWarning, match="does not say how many points it should have; compare its end, 4 eV"):
        text = io.read(path)
    assert text.equals(io.read(files["write_jamp_wide"](tmp_path)))
    with path.open("a") as handle:
        handle.write("\n 10.00 , 5\n 11.00 , 6\n")
    assert io.info(path)["datasets"] == ("block 1", "block 2")
    with pytest.warns(DataQualityWarning, match="11 eV"):
        assert io.read(path, dataset="block 2").values.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("old", "new", "letter"),
    [
        ("$AP_DATATYPE  4", "$AP_DATATYPE  7", r"AP_DATATYPE is '7'; spectra \(3 wide, 4 narrow\) are published"),
        ("NOFEXE  1\n", "NOFEXE  2\n", "spectra of 2 positions"),
        ("POINTS  2 3", "POINTS  2 30", "announces 136 bytes; 'data' has 28"),
        ("POINTS  2 3", "POINTS  2 three", r"\$AP_SPC_ROI_POINTS 2 is 'three'; expected a number"),
        ("$AP_SPC_ROI_STEP  1", "$AP_SPC_ROI_STOP  9", r"\$AP_SPC_ROI_STEP 1 is '\(missing\)'"),
        ("POINTS  1 4", "POINTS  1 0", "expected a whole number of 1 or more"),
    ],
)
def test_letters_of_jamp(tmp_path, old, new, letter):
    path = changed(files["write_jamp"](tmp_path), old, new)
    with pytest.raises(FormatError, match=letter):
        io.read(path, dataset="Al KLL")


def test_the_binary_half_of_jamp_must_be_there(tmp_path):
    path = files["write_jamp"](tmp_path)
    path.with_name("data").unlink()
    with pytest.raises(FormatError, match="its binary file 'data' is missing"):
        io.read(path, dataset="Al KLL")


@QUIET
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_info_agrees_with_read_and_damage_is_found(example, tmp_path):
    path = example.write(tmp_path)
    told = io.info(path)
    cube = io.read(path, dataset=told["datasets"][0])
    assert (told["dims"], told["shape"]) == (cube.dims, cube.shape)
    assert told["axis_range"] == (cube.kinetic_energy[0], cube.kinetic_energy[-1])
    lazy = io.read(path, chunks={"scan": 1} if "scan" in cube.dims else {}, dataset=told["datasets"][0])
    assert all(max(sizes) == 1 for dim, sizes in lazy.chunksizes.items() if dim == "scan")
    assert lazy.chunks
    assert lazy.equals(cube)
    tally = fuzz(example, tmp_path, n_flips=50, n_cuts=50)
    assert not tally.faults
    assert tally.outcomes["refused"] > 0
