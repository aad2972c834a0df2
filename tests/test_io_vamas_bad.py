"""VAMAS files that are cut short, contradict themselves or hold what is not read: each letter, and what can be kept."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, io

files = runpy.run_path(str(Path(__file__).with_name("files_sam.py")), run_name="files_sam")
fuzz = runpy.run_path(str(Path(__file__).with_name("fuzzing.py")), run_name="fuzzing")["fuzz"]
block, vamas = files["block"], files["vamas"]
EXAMPLES = [e for e in files["EXAMPLES"] if e.reader == "vamas"]
QUIET = pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")


def edited(path, *changes):
    """The file with lines replaced: (line as it is, what it becomes), the first time that the line occurs."""
    text = path.read_text()
    for old, new in changes:
        assert f"\n{old}\n" in text, old
        text = text.replace(f"\n{old}\n", f"\n{new}\n", 1)
    path.write_text(text)
    return path


def spectrum(values, **said):
    """A block of a NORM file."""
    return block(values, **{"species": "Ni", "transition": "LMM", "start": 840, "step": 2, **said})


@pytest.mark.parametrize(
    ("old", "new", "letter"),
    [
        ("MAP", "MAPPED", "experiment mode, is 'MAPPED'"),
        ("REGULAR", "MAPPING", "experiment mode MAP with scan mode MAPPING"),
        ("24", "25", "block 25 of 25, sample identifier should take 1 lines"),
        ("24", "23", "after block 23 of 23, is 'block'; expected 'end of experiment'"),
        ("24", "99999999", "99999999 blocks should take 99999999 lines"),
        ("AES dir", "AES", "technique, is 'AES'"),
        ("10\n1", "9999999998\n1", "block 1 of 24, its 9999999998 ordinate values should take"),
        ("10\n1", "9\n1", "a multiple of its 2 corresponding variables"),
        ("10\n1", "-10\n1", "number of ordinate values, is '-10'; expected a whole number of 1 or more"),
        ("840\n2", "840\n0", "'Ni LMM \\(840 to 840 eV\\)', 'S LVV', 'Ni LMM \\(840 to 848 eV\\)'"),
        ("3\n0.5\n4", "3\n0.5\nfour", "holds 'four' where a number is expected"),
        ("3\n0.5\n4", "3\n0.5\n", "has 0 fields, expected 1"),
        ("3\n0.5\n4", "3\n0.5\ninf", "is no finite number; VAMAS writes 1E37"),
        ("AES dir\n2\n1", "AES dir\n5\n1", "position x 5, y 1 lies outside the full map of 1 to 4"),
        ("AES dir\n2\n1", "AES dir\nleft\n1", "x coordinate is 'left'; expected a whole number"),
    ],
)  # fmt: skip
@QUIET
def test_letters(tmp_path, old, new, letter):
    path = edited(files["write_map"](tmp_path), (old, new))
    with pytest.raises(SsbmapsError, match=letter):
        io.read(path, reader="vamas", dataset="Ni LMM")


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ({"unit": "s"}, "the abscissa is 'Kinetic Energy' in 's'"),
        ({"technique": "XPS", "label": "Energy"}, "the abscissa is 'Energy' in 'eV'"),
        ({"step": 0}, "coordinate kinetic_energy is not ascending"),
        ({"start": "1E+37"}, "abscissa start or increment is no number"),
    ],
)
def test_axes_that_are_none(tmp_path, said, letter):
    with pytest.raises(FormatError, match=letter):
        io.read(vamas(tmp_path / "a.vms", "NORM", [spectrum([1, 2], **said)]))


def test_mass_spectra_are_not_read(tmp_path):
    path = vamas(tmp_path / "sims.vms", "NORM", [spectrum([1, 2], technique="SIMS", label="mass", unit="u")])
    with pytest.raises(SsbmapsError, match=r"technique SIMS; .*Mass spectra come by imzML"):
        io.read(path)


def test_linescans_and_ordinates_must_agree(tmp_path):
    def image(linescan, n=6):
        return vamas(tmp_path / "a.vms", "SEM", [block(np.arange(n), linescan=linescan, view=(1, 1))], scan="MAPPING")

    with pytest.raises(FormatError, match="2 linescans of 3 points need 6 values for each variable; it has 5"):
        io.read(image((1, 1, 3, 1, 3, 2), n=5))
    with pytest.raises(FormatError, match="expected parallel linescans along x or y"):
        io.read(image((1, 1, 3, 2, 3, 2)))
    with pytest.raises(FormatError, match=r"begin at 0; the standard has 1 or more"):
        io.read(image((0, 0, 2, 0, 2, 1)))


def test_a_file_that_is_cut_short_is_refused_or_gives_its_complete_blocks(tmp_path):
    path = files["write_map"](tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 5])
    with pytest.raises(FormatError, match=r"cut short or its header is damaged.*skip_bad=True keeps the 14 complete blocks"):
        io.read(path, dataset="Ni LMM")
    with pytest.warns(DataQualityWarning, match="14 complete blocks of 24 are kept"):
        cube = io.read(path, dataset="Ni LMM", skip_bad=True)
    assert cube.measured.values.sum() == 7
    assert np.array_equal(cube.values[cube.measured.values], files["NI"].reshape(12, 5)[:7])


def test_one_bad_block_can_be_left_out(tmp_path):
    path = edited(files["write_map"](tmp_path), ("3\n0.5\n4", "3\n0.5\nfour"))
    with pytest.warns(DataQualityWarning, match=r"1 of 12 blocks cannot be read and are left out.*'four'"):
        cube = io.read(path, dataset="Ni LMM", skip_bad=True)
    assert np.argwhere(~cube.measured.values).tolist() == [[0, 0]]


def test_doubts_are_said(tmp_path):
    with pytest.warns(DataQualityWarning, match="the last line 'end of experiment' is missing"):
        io.read(files["write_map"](tmp_path, end=""), dataset="Ni LMM")
    path = files["write_none"](tmp_path)
    path.write_text(path.read_text().replace("\n4\n6\n4\n", "\n4\n60\n4\n"))
    with pytest.warns(DataQualityWarning, match="in 1 of 1 blocks the lowest and highest ordinate are not those"):
        io.read(path)


def test_only_the_magic_line_is_recognised(tmp_path):
    from ssbmaps.io.vamas import sniff

    path = tmp_path / "a.vms"
    path.write_text("VAMAS map of a cell\n")
    assert not sniff(path)
    path.write_bytes(b"\xef\xbb\xbf\r\n \r\n" + files["MAGIC"].encode())
    assert sniff(path)
    path.write_text(files["MAGIC"] + "\n")
    with pytest.raises(FormatError, match="institution identifier should take 1 lines"):
        io.read(path)


@QUIET
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_damaged_files(example, tmp_path):
    tally = fuzz(example, tmp_path, n_flips=40, n_cuts=40)
    assert not tally.faults
    assert tally.outcomes["refused"] > 0
