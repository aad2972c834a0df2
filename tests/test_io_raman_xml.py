"""LabSpec XML and TriVista: axes and places as planted, letters for what is damaged, and RosettaSciIO beside them."""

from __future__ import annotations

import json
import logging
import runpy
from pathlib import Path

import numpy as np
import pytest

from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, io

files = runpy.run_path(str(Path(__file__).with_name("files_raman_xml.py")), run_name="files_raman_xml")
planted, NM, SHIFT, LASER = files["planted"], files["NM"], files["SHIFT"], files["LASER"]
MAP = planted()[0]
UNIT = "the file states no unit of its steps; they are taken as um"
pytestmark = pytest.mark.filterwarnings(f"ignore:.*{UNIT}:ssbmaps.DataQualityWarning")  # has a test of its own
SHIFTS = 1e7 / LASER - 1e7 / NM
EXAMPLES = [e for e in files["EXAMPLES"] if e.reader in ("labspec_xml", "trivista")]
REAL = [r for r in files["REAL"] if r.reader in ("labspec_xml", "trivista")]


def replaced(path: Path, old: str, new: str) -> Path:
    """`path` with the first `old` replaced, which must be there."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    return path


# --- LabSpec XML ---


def test_a_labspec_map(tmp_path):
    cube = io.read(files["labspec_map"](tmp_path))
    assert cube.dims == ("y", "x", "raman_shift")
    assert np.array_equal(cube.values, MAP)
    assert np.array_equal(cube.y, [0.75, 2.25])
    assert np.array_equal(cube.x, [1.25, 3.75, 6.25])
    assert np.array_equal(cube.stage_y, files["YS"])
    assert np.array_equal(cube.stage_x, files["XS"])
    assert np.array_equal(cube.raman_shift, SHIFT)
    assert cube.attrs["units"] == "counts/s"
    assert cube.attrs["laser_wavelength"] == 532.0  # the exact value, not the shown 530
    metadata = json.loads(cube.attrs["original_metadata"])
    assert metadata["settings"]["Laser (nm)"] == "530"
    assert "Person" not in str(cube.attrs)


def test_labspec_nm_become_shifts(tmp_path):
    cube = io.read(files["labspec_map_nm"](tmp_path))
    assert cube.raman_shift.values == pytest.approx(SHIFTS, abs=1e-9)
    assert np.array_equal(cube.wavelength, NM)
    assert np.array_equal(cube.values, MAP[..., ::-1])
    other = io.read(files["labspec_map_nm"](tmp_path), laser=785.0)
    assert other.attrs["laser_wavelength"] == 785.0


@pytest.mark.parametrize(("unit", "values"), [("1/cm abs", 1e7 / NM), ("eV", 1239.8419843320026 / NM)])
def test_labspec_wavenumbers_and_energies_become_shifts(tmp_path, unit, values):
    cube = io.read(files["labspec_single"](tmp_path, spectral=(unit, values)))
    # 9 digits are written: 1e-9 of 18500 1/cm, or of 2.3 eV, is 2e-5 1/cm
    assert cube.raman_shift.values == pytest.approx(SHIFTS, abs=5e-5)
    assert np.array_equal(cube.values, MAP[0, 0])


def test_labspec_axes_that_cannot_be(tmp_path):
    with pytest.raises(FormatError, match="reaches 0 eV; expected above 0"):
        io.read(files["labspec_single"](tmp_path, spectral=("eV", np.arange(5.0))))
    with pytest.raises(FormatError, match="spectral axis is in 'pixel'"):
        io.read(files["labspec_single"](tmp_path, spectral=("pixel", SHIFT)))


def test_labspec_without_a_laser_stays_in_nm(tmp_path):
    cube = io.read(files["labspec_single"](tmp_path, spectral=("nm", NM), laser="off"))
    assert cube.attrs["laser_wavelength"] == 530.0  # the shown value
    path = replaced(files["labspec_single"](tmp_path, spectral=("nm", NM), laser="off"), ">530<", ">-<")
    cube = io.read(path)
    assert cube.dims == ("wavelength",)
    assert "laser_wavelength" not in cube.attrs


def test_labspec_maps_from_below_are_turned(tmp_path):
    cube = io.read(files["labspec_upwards"](tmp_path))
    assert np.array_equal(cube.values, MAP)
    assert np.array_equal(cube.stage_y, files["YS"])


def test_labspec_uneven_steps_are_points(tmp_path):
    cube = io.read(files["labspec_uneven"](tmp_path))
    assert cube.dims == ("point", "raman_shift")
    assert np.array_equal(cube.values, MAP.reshape(6, 5))
    assert np.array_equal(cube.stage_x, [20, 22.5, 26] * 2)
    assert np.array_equal(cube.y, [0, 0, 0, 1.5, 1.5, 1.5])


def test_labspec_volume_and_series_of_maps(tmp_path):
    cube = io.read(files["labspec_volume"](tmp_path))
    assert cube.dims == ("z", "y", "x", "raman_shift")
    assert np.array_equal(cube.values, planted(4))
    assert np.array_equal(cube.z, files["ZS"])
    cube = io.read(files["labspec_volume"](tmp_path, "Time", "min"))
    assert cube.dims == ("time", "y", "x", "raman_shift")
    assert np.array_equal(cube.time, files["TS"] * 60)


def test_labspec_steps_in_another_order(tmp_path):
    """Depth before x: the matrix runs through the first axis fastest, whichever it is."""
    stepped = [("Z", "µm", files["ZS"]), ("X", "µm", files["XS"]), ("Y", "µm", files["YS"])]
    rows = planted(4).transpose(1, 2, 0, 3).reshape(-1, 5)
    cube = io.read(files["labspec"](tmp_path / "deep.xml", rows, stepped))
    assert cube.dims == ("z", "y", "x", "raman_shift")
    assert np.array_equal(cube.values, planted(4))
    stepped = [("Y", "µm", files["YS"]), ("X", "µm", np.array([20.0, 22.5, 26.0]))]
    cube = io.read(files["labspec"](tmp_path / "columns.xml", MAP.transpose(1, 0, 2).reshape(-1, 5), stepped))
    assert np.array_equal(cube.values, MAP.reshape(6, 5))  # points, row by row
    assert np.array_equal(cube.stage_x, [20, 22.5, 26] * 2)


def test_a_labspec_line_a_series_and_a_spectrum(tmp_path):
    line = io.read(files["labspec_line"](tmp_path))
    assert line.dims == ("point", "raman_shift")
    assert np.array_equal(line.distance_along, [0, 2.5, 5])
    assert np.array_equal(line.stage_y, [-40, -40, -40])
    series = io.read(files["labspec_times"](tmp_path))
    assert series.dims == ("time", "raman_shift")
    assert np.array_equal(series.time, [0, 2, 4, 6])
    assert series.attrs["units"] == "counts"
    assert np.array_equal(io.read(files["labspec_single"](tmp_path)).values, MAP[0, 0])


@pytest.mark.parametrize("name", ["labspec_line", "labspec_times", "trivista_line", "trivista_times"])
def test_a_pixel_size_without_a_raster_is_refused(tmp_path, name):
    with pytest.raises(SsbmapsError, match="these spectra lie on none"):
        io.read(files[name](tmp_path), pixel_size=1)


def test_a_labspec_map_that_was_not_finished(tmp_path):
    with pytest.warns(DataQualityWarning, match="4 of 6 spectra are in the file, the others are NaN"):
        cube = io.read(files["labspec_short"](tmp_path))
    assert np.array_equal(cube.measured, [[True, True, True], [True, False, False]])
    assert np.array_equal(cube.values[0], MAP[0])
    assert np.isnan(cube.values[1, 1:]).all()


def test_rotated_labspec_axes_have_no_stage_position(tmp_path):
    cube = io.read(files["labspec_map"](tmp_path, names=("XA", "YA")))
    assert np.array_equal(cube.values, MAP)
    assert "stage_x" not in cube.coords


def test_labspec_lengths_keep_their_unit(tmp_path):
    cube = io.read(files["labspec_map"](tmp_path, lengths="mm", factor=1000.0))
    assert np.diff(cube.x) == pytest.approx([2.5, 2.5], rel=1e-6)
    path = files["labspec_map"](tmp_path, lengths="steps")
    with pytest.raises(FormatError, match="steps in 'steps', which is no length"):
        io.read(path)
    assert np.diff(io.read(path, pixel_size=(1, 2)).x) == pytest.approx([2, 2])
    with pytest.raises(FormatError, match="positions along x are in steps in 'steps'"):
        io.read(replaced(files["labspec_line"](tmp_path), "µm", "steps"))


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('Index="1" Size="5"', 'Index="1" Size="4"', "row 1 of the matrix declares Size='4' and holds 5 values"),
        ('Size="30"', 'Size="31"', "the matrix declares Size='31' and holds 30 values"),
        ("100.5", "100,5", r"matrix \(a line is a row, from 0\): line 3 holds '100,5' where a number"),
        (">X<", ">Theta<", "steps through 'Theta'"),
        (">X<", ">Y<", "steps twice through y, y"),
        ('Size="3"', 'Size="4"', "axis 0x2 declares Size='4' and holds 3 values"),
        ("20 22.5 25 ", "20 2x5 25 ", "axis 0x2: line 1 holds '2x5' where a number"),
        ("20 22.5 25 ", "20 22.5 2e9 ", "the axis x holds what is no place or time"),
        ("</LSX_Matrix>", "</LSX_Matrix><LSX_Matrix></LSX_Matrix>", "several matrices"),
        ("<LSX_Data>", "<!DOCTYPE x><LSX_Data>", "declares a document type"),
        ("</LSX_Data>", "", "is not complete XML"),
        ('0x7B697861"', '0x7B697862"', "no matrix with a spectral axis"),
    ],
)
def test_damaged_labspec_files_are_letters(tmp_path, old, new, match):
    with pytest.raises(FormatError, match=match):
        io.read(replaced(files["labspec_map"](tmp_path), old, new), reader="labspec_xml")


def test_a_labspec_matrix_of_other_rows(tmp_path):
    path = files["labspec_map"](tmp_path)
    replaced(path, 'Index="1" Size="5">\n10.5 ', 'Index="1" Size="4">\n')
    with pytest.raises(FormatError, match="row 1 of the matrix has 4 values, the first 5"):
        io.read(path)
    with pytest.raises(FormatError, match="holds 6 spectra; its axes have 4 places"):
        io.read(replaced(files["labspec_map"](tmp_path), '" Size="3">20 22.5 25 ', '" Size="2">20 22.5 '))


# --- TriVista ---


def test_a_trivista_map(tmp_path):
    path = files["trivista_map"](tmp_path)
    cube = io.read(path)
    assert cube.dims == ("y", "x", "raman_shift")
    assert np.array_equal(cube.values, MAP)
    assert np.array_equal(cube.x, [1.25, 3.75, 6.25])
    assert np.array_equal(cube.stage_y, files["YS"])
    assert cube.raman_shift.values == pytest.approx(SHIFTS, abs=1e-9)
    assert np.array_equal(cube.wavelength, NM)
    assert cube.attrs["units"] == "counts"
    assert cube.attrs["laser_wavelength"] == 532.0
    assert "no unit of its steps" in cube.attrs["pixel_size_source"]
    assert "no unit of its steps" in io.info(path)["warnings"][0]
    assert json.loads(cube.attrs["original_metadata"])["settings"]["Experiment"]["Mode"] == "Point by Point"
    assert "erson" not in str(cube.attrs)
    assert io.read(path, pixel_size=1.0).attrs["pixel_size_source"].startswith("caller")


@pytest.mark.filterwarnings("error")
def test_a_trivista_map_without_a_unit_warns_unless_the_caller_says_the_size(tmp_path):
    path = files["trivista_map"](tmp_path)
    with pytest.warns(DataQualityWarning, match=UNIT):
        io.read(path)
    assert io.read(path, pixel_size=2.5).sizes["x"] == 3


def test_an_interrupted_trivista_map(tmp_path):
    with pytest.warns(DataQualityWarning, match="interrupted: 4 of 6 spectra"):
        cube = io.read(files["trivista_map"](tmp_path, measured=4))
    assert np.array_equal(cube.measured, [[True, True, True], [True, False, False]])
    assert np.array_equal(cube.values[0], MAP[0])


def test_a_trivista_map_in_another_order_is_refused(tmp_path):
    with pytest.raises(FormatError, match="do not follow the x axis in order"):
        io.read(files["trivista_map"](tmp_path, snake=True))


def test_trivista_lines_series_and_spectra(tmp_path):
    line = io.read(files["trivista_line"](tmp_path))
    assert line.dims == ("point", "raman_shift")
    assert np.array_equal(line.distance_along, [0, 2.5, 5])
    assert "stage_x" in line.coords
    assert "stage_y" not in line.coords  # the file does not say
    series = io.read(files["trivista_times"](tmp_path))
    assert series.dims == ("time", "raman_shift")
    assert np.array_equal(series.time, [0, 2, 4, 6])
    single = io.read(files["trivista_unknown_laser"](tmp_path))
    assert single.dims == ("wavelength",)
    assert np.array_equal(single.wavelength, NM)
    assert io.read(files["trivista_unknown_laser"](tmp_path), laser=532).raman_shift.values == pytest.approx(SHIFTS, abs=1e-9)


def test_the_windows_of_a_glued_spectrum(tmp_path):
    path = files["trivista_glued"](tmp_path)
    assert io.info(path)["datasets"] == ("spectra", "window 1", "window 2")
    assert np.array_equal(io.read(path), MAP[0, 0])
    assert np.array_equal(io.read(path, dataset="window 1"), MAP[0, 0, :3])
    window = io.read(path, dataset="window 2")
    assert np.array_equal(window, MAP[0, 0, 2:])
    assert np.array_equal(window.wavelength, NM[2:])
    with pytest.raises(SsbmapsError, match="the file holds 'spectra', 'window 1', 'window 2'"):
        io.read(path, dataset="window 3")


def test_several_documents_must_be_chosen_from(tmp_path):
    document = files["document"]
    path = files["trivista"](tmp_path / "two.tvf", document(MAP[0, :1], "") + document(MAP[1, :1], ""), 2)
    assert io.info(path)["datasets"] == ("document 1", "document 2")
    with pytest.raises(SsbmapsError, match="holds 2 data sets"):
        io.read(path)
    assert np.array_equal(io.read(path, dataset="document 2"), MAP[1, 0])


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("0.5;1.5", "0.5;x", "frame 0: line 1 holds 'x' where a number"),
        ("0.5;1.5;", "0.5;", "frame 0 of 'spectra' holds 4 values; the axis has 5"),
        ('xDim Length="5"', 'xDim Length="4"', "frame 0 of 'spectra' holds 5 values; the axis has 4"),
        ("5|540|", "4|540|", "declares '4' and '5' values and holds 5"),
        ('yDim="1"', 'yDim="2"', r"images of the detector \(yDim='2'\)"),
        ('Unit="Nanometer"', 'Unit="Pixel"', "spectral axis is in 'Pixel'"),
        ("&lt;Value&gt;25.000&lt;", "&lt;Value&gt;99.000&lt;", "which end at 25; it states 99"),
        ("&lt;Value&gt;25.000&lt;", "&lt;Value&gt;far&lt;", "is stated as"),
        ("&lt;Groups&gt;", "&lt;!DOCTYPE x&gt;&lt;Groups&gt;", "is not complete XML|declares a document type"),
        ("&lt;/Info&gt;", "", "settings of 'spectra': is not complete XML"),
        ("<XmlMain ", "<XmlOther ", "is not complete XML"),
    ],
)
def test_damaged_trivista_files_are_letters(tmp_path, old, new, match):
    with pytest.raises(FormatError, match=match):
        io.read(replaced(files["trivista_map"](tmp_path), old, new), reader="trivista")


def test_trivista_frames_that_do_not_fit_their_axes(tmp_path):
    settings = files["MODE"] + files["group"]("X-Axis", files["steps"](files["XS"]))
    path = files["trivista"](tmp_path / "a.tvf", files["document"](MAP[0].repeat(2, axis=0), settings))
    with pytest.raises(FormatError, match="holds 6 frames for 3 places"):
        io.read(path)
    path = files["trivista"](tmp_path / "b.tvf", files["document"](MAP[0], files["MODE"]))
    with pytest.raises(FormatError, match="3 frames without the times or places"):
        io.read(path)
    path = files["trivista"](tmp_path / "c.tvf", files["document"](MAP[0, :0], files["MODE"]))
    with pytest.raises(FormatError, match="holds no frame"):
        io.read(path)


# --- both ---


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_info_agrees_with_read_and_chunks_change_nothing(tmp_path, example):
    path = example.write(tmp_path)
    told = io.info(path)
    assert told["format"] == {"labspec_xml": "LabSpec XML", "trivista": "TriVista"}[example.reader]
    if example.options:
        return
    cube = io.read(path)
    assert told["dims"] == cube.dims
    assert told["shape"] == cube.shape
    axis = cube.coords[cube.dims[-1]].values
    assert told["axis_range"] == (axis[0], axis[-1])
    if "y" in cube.dims:
        assert told["pixel_size"] == pytest.approx((np.diff(cube.y)[0], np.diff(cube.x)[0]))
        assert io.read(path, chunks={"x": 2}).compute().identical(io.read(path))


@pytest.mark.parametrize(("name", "spectra"), [("labspec_map", "matrix"), ("trivista_map", "frame")])
def test_info_parses_no_spectrum(tmp_path, name, spectra, monkeypatch):
    from ssbmaps.io import _decimals

    path, seen, table = files[name](tmp_path), [], _decimals.table
    monkeypatch.setattr(_decimals, "table", lambda *args, **kwargs: seen.append(kwargs["subject"]) or table(*args, **kwargs))
    io.info(path)
    assert not [s for s in seen if spectra in s]
    io.read(path)
    assert [s for s in seen if spectra in s]


def peer(path: Path, name: str) -> dict:
    """RosettaSciIO's reader, quiet."""
    logging.getLogger("rsciio").setLevel(logging.CRITICAL)
    return pytest.importorskip(f"rsciio.{name}").file_reader(str(path))[0]


@pytest.mark.parametrize("name", ["labspec_map", "labspec_map_nm", "labspec_line", "labspec_single"])
def test_rosettasciio_reads_the_same_from_files_of_ours(tmp_path, name):
    path = files[name](tmp_path)
    ours, theirs = io.read(path), peer(path, "jobinyvon")
    assert np.array_equal(ours.values, theirs["data"])
    axis = ours.wavelength if "wavelength" in ours.coords else ours.raman_shift
    assert np.array_equal(axis, theirs["axes"][-1]["axis"])


@pytest.mark.parametrize("stated", REAL, ids=lambda r: r.path.stem)
def test_real_files_have_their_stated_numbers_and_those_of_rosettasciio(stated):
    if not stated.path.exists():
        pytest.skip("the real files are not here")
    assert not [row for row in stated.compare() if not row[3]]
    ours, theirs = io.read(stated.path), peer(stated.path, {"labspec_xml": "jobinyvon"}.get(stated.reader, "trivista"))
    assert np.array_equal(ours.values, theirs["data"])
    assert np.array_equal(ours.wavelength, theirs["axes"][-1]["axis"])


@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_damaged_files_are_refused_or_read_right(tmp_path, example):
    tally = files["fuzzing"]["fuzz"](example, tmp_path, n_flips=30, n_cuts=20)
    assert not tally.faults
    assert tally.outcomes["refused"] > 0
