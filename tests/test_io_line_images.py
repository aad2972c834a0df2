"""Sets of Auger line images: what each file is comes from its name or a table, never from a guess; all must fit together."""

from __future__ import annotations

import hashlib
import runpy
from pathlib import Path

import numpy as np
import pytest

from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, io
from ssbmaps.io.line_images import sniff

files = runpy.run_path(str(Path(__file__).with_name("files_sam.py")), run_name="files_sam")
fuzz = runpy.run_path(str(Path(__file__).with_name("fuzzing.py")), run_name="fuzzing")["fuzz"]
EXAMPLES = [e for e in files["EXAMPLES"] if e.reader == "line_images"]
LINES, matrix, tiff = files["LINES"], files["text_matrix"], files["write_tiff"]


@pytest.fixture
def named(tmp_path):
    return files["write_named_lines"](tmp_path)


@pytest.fixture
def tabled(tmp_path):
    return files["write_table_lines"](tmp_path)


def test_names_of_files_say_what_they_are(named):
    cube = io.read(named)
    assert cube.dims == ("line", "y", "x")
    assert np.array_equal(cube.values, LINES)
    assert cube.line.values.tolist() == ["Ni LMM", "Ni LMM background", "S LVV"]
    assert cube.transition.values.tolist() == ["Ni LMM", "Ni LMM", "S LVV"]
    assert cube.window.values.tolist() == ["peak", "background", "peak"]
    assert np.isnan(cube.kinetic_energy.values).all()
    assert np.allclose(cube.y, [0.2, 0.6, 1.0])
    assert np.allclose(cube.x, [0.2, 0.6, 1.0, 1.4])
    assert (cube.units, cube.attrs["technique"], cube.attrs["pixel_size_source"]) == ("arbitrary", "sam", "file")
    assert "erson" not in cube.attrs["original_metadata"]


def test_a_table_says_more(tabled):
    cube = io.read(tabled)
    assert np.array_equal(cube.values, LINES)
    assert cube.line.values.tolist() == ["Ni LMM", "Ni LMM background", "S LVV"]
    assert cube.kinetic_energy.values.tolist() == [846, 860, 152]
    assert cube.kinetic_energy.attrs["units"] == "eV"
    assert np.allclose(cube.x, [0.2, 0.6, 1.0, 1.4])


def test_the_hash_is_that_of_the_files_in_their_order(tabled):
    paths = [tabled / n for n in ("a.tif", "b.csv", "c.txt", "lines.csv")]
    each = "".join(hashlib.sha256(p.read_bytes()).hexdigest() for p in paths)
    assert io.read(tabled).attrs["source_sha256"] == hashlib.sha256(each.encode()).hexdigest()


def test_info_agrees_with_read_and_chunks_with_both(named):
    told, cube = io.info(named), io.read(named)
    assert (told["dims"], told["shape"], told["pixel_size"]) == (cube.dims, cube.shape, (0.4, 0.4))
    assert told["lines"] == tuple(cube.line.values)
    lazy = io.read(named, chunks={"y": 2})
    assert max(lazy.chunksizes["y"]) == 2
    assert lazy.equals(cube)


def test_repeated_lines_stay_apart_and_windows_may_have_edges(tmp_path):
    for i, name in enumerate(("a.csv", "b.csv")):
        (tmp_path / name).write_text(matrix(LINES[i], "\t"))
    (tmp_path / "lines.csv").write_text(
        "file;line;window;kinetic_energy_low;kinetic_energy_high;units\n"
        "a.csv;S LVV;bg;160;170;counts\nb.csv;S LVV;background;130;140;counts\n"
    )
    cube = io.read(tmp_path, pixel_size=1)
    assert cube.line.values.tolist() == ["S LVV background", "S LVV background (2)"]
    assert cube.kinetic_energy_low.values.tolist() == [160, 130]
    assert cube.kinetic_energy_high.values.tolist() == [170, 140]
    assert cube.units == "counts"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Ni_LMM_peak", "Ni LMM"),
        ("map 3 Ni LMM background", "Ni LMM background"),
        ("OKLL-bkg", "O KLL background"),
        ("cell_12.S.LVV", "S LVV"),
        ("Cu L3M45M45", "Cu L3M45M45"),
    ],
)
def test_transitions_in_file_names(tmp_path, name, line):
    (tmp_path / f"{name}.txt").write_text(matrix(LINES[0], " "))
    assert sniff(tmp_path)
    assert io.read(tmp_path, pixel_size=1).line.values.tolist() == [line]


@pytest.mark.parametrize("name", ["image 1", "NMC_1", "Ni", "Ni LMM minus S LVV", "Ni LMM peak-background"])
def test_other_names_are_refused_with_an_example(tmp_path, named, name):
    (named / f"{name}.csv").write_text(matrix(LINES[0], ","))
    with pytest.raises(FormatError, match=r"(?s)expected names with one Auger transition.*file,line,window,kinetic_energy"):
        io.read(named)
    other = tmp_path / "alone"
    other.mkdir()
    (other / f"{name}.csv").write_text(matrix(LINES[0], ","))
    assert not sniff(other)
    with pytest.raises(FormatError, match="is a folder"):
        io.read(other)


def test_images_of_two_shapes_are_named(named):
    (named / "S-LVV.txt").write_text(matrix(LINES[2][:2], "\t"))
    with pytest.raises(FormatError, match=r"Ni_LMM_peak.tif has 3 x 4 pixels \(y, x\) and S-LVV.txt has 2 x 4"):
        io.read(named)


def test_pixel_sizes_must_agree_and_are_never_guessed(named, tabled):
    tiff(named / "01_Ni_LMM_peak.tif", LINES[0], um=0.5)
    with pytest.raises(FormatError, match=r"peak.tif states the pixel size 0\.5 um x 0\.5 um .*S-LVV.txt 0\.4 um"):
        io.read(named)
    assert io.info(named)["pixel_size"] is None
    cube = io.read(named, pixel_size=0.25, tilt=30)
    assert np.allclose(np.diff(cube.x), 0.25)
    assert np.allclose(np.diff(cube.y), 0.5)
    table = tabled / "lines.csv"
    table.write_text(table.read_text().replace("0.4", ""))
    with pytest.raises(FormatError, match=r"no pixel size.*may have a column pixel_size"):
        io.read(tabled)


def test_a_scale_for_printers_is_no_pixel_size(tmp_path):
    from tifffile import imwrite

    imwrite(tmp_path / "S LVV.tif", LINES[0].astype(np.uint16), resolution=(72, 72), resolutionunit="INCH")
    with pytest.raises(FormatError, match="no pixel size"):
        io.read(tmp_path)
    cube = io.read(tmp_path, pixel_size=1)
    assert cube.dtype == np.uint16
    assert np.array_equal(cube.values[0], LINES[0])


def test_pixel_sizes_of_headers_need_a_unit_and_may_differ_by_axis(tmp_path):
    path = tmp_path / "S LVV.asc"
    path.write_text("pixel size x (nm), 250\npixel size y: 0.5 um\n\n" + matrix(LINES[0], ","))
    assert io.info(tmp_path)["pixel_size"] == (0.5, 0.25)
    path.write_text("pixel size: 0.5\n" + matrix(LINES[0], ","))
    with pytest.raises(FormatError, match=r"stated as 0\.5 \(no unit\)"):
        io.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("1,2\n3\n", r"line 2 has 1 fields, expected 2"),
        ("1,2\n3,x\n", "line 2 holds 'x' where a number is expected"),
        ("1,2\n3,\n", "line 2"),
        ("1,2\n3,4", "the last line has no line end"),
        ("a map of sulfur\n1,2\n3,4\n", "line 1 is 'a map of sulfur'; expected a header line"),
        ("# nothing\n", "holds no row of numbers"),
        ("1,2\n3,1e999\n", "line 2 holds an infinite value"),
    ],
)
def test_text_images_that_are_not_whole(tmp_path, text, letter):
    (tmp_path / "S LVV.csv").write_text(text)
    with pytest.raises(FormatError, match=letter):
        io.read(tmp_path, pixel_size=1)


def test_pictures_are_no_images(tmp_path):
    from tifffile import imwrite

    imwrite(tmp_path / "S LVV.tif", np.zeros((3, 4, 3), np.uint8), photometric="rgb")
    with pytest.raises(FormatError, match="holds a colour image; expected one grey image"):
        io.read(tmp_path, pixel_size=1)
    imwrite(tmp_path / "S LVV.tif", np.zeros((2, 3, 4), np.uint8), photometric="minisblack")
    with pytest.raises(FormatError, match="holds 2 images; expected one grey image"):
        io.read(tmp_path, pixel_size=1)


@pytest.mark.parametrize(
    ("old", "new", "letter"),
    [
        ("window", "widow", "its columns are file, line, widow"),
        ("file,line", "file,lines", "expected file, line and, as you like, window"),
        ("a.tif", "d.tif", "file 'd.tif' is not in the folder"),
        ("a.tif", "../a.tif", "file '../a.tif' is not in the folder"),
        ("a.tif", "b.csv", "file 'b.csv' is listed more than once"),
        ("Ni_LMM", "", "has no line, such as 'Ni LMM'"),
        ("peak", "top", "window 'top' of 'a.tif'; expected 'peak' or 'background'"),
        ("846", "high", "kinetic_energy is 'high'; expected a number"),
        (",0.4\n", ",0.4,7\n", "row 1 has 6 fields; expected 5"),
    ],
)
def test_tables_that_are_wrong(tabled, old, new, letter):
    table = tabled / "lines.csv"
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(FormatError, match=letter):
        io.read(tabled)


def test_images_beside_the_table_are_told(tabled):
    (tabled / "d.csv").write_text(matrix(LINES[0], ","))
    with pytest.warns(DataQualityWarning, match=r"d\.csv in the folder, but not in lines\.csv; not read"):
        assert io.read(tabled).sizes["line"] == 3


def test_one_image_is_no_set(named):
    with pytest.raises(FormatError, match="is one file; give the folder"):
        io.read(named / "S-LVV.txt", reader="line_images")


def test_there_is_one_data_set(named):
    with pytest.raises(SsbmapsError, match="the file holds 'lines'"):
        io.read(named, dataset="Ni")


@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_damaged_files(example, tmp_path):
    tally = fuzz(example, tmp_path, n_flips=60, n_cuts=60)
    assert not tally.faults
    assert tally.outcomes["refused"] > 0
