"""Renishaw WDF: every layout of spectra at its place, the picture, letters for what is damaged, and other readers."""

from __future__ import annotations

import json
import logging
import runpy
import struct
from pathlib import Path

import numpy as np
import pytest

from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, io

files = runpy.run_path(str(Path(__file__).with_name("files_raman.py")), run_name="files_raman")
planted, NM, LASER = files["planted"], files["NM"], files["LASER"]
MAP = planted()[0]
SHIFTS = 1e7 / LASER - 1e7 / NM  # 1/cm, of the axis in nm
WDF = [r for r in files["REAL"] if r.reader == "wdf"]
LASER_32 = 1e7 / float(np.float32(1e7 / LASER))  # nm: the file holds the line in 1/cm as a 32-bit number
LINE_DRIFT = 1e7 * abs(1 / LASER_32 - 1 / LASER)  # 1/cm: what that does to every shift


def rewritten(path: Path, at: int, layout: str, *values: object) -> Path:
    """`path` with fields overwritten."""
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, at, *values)
    path.write_bytes(content)
    return path


def start_of(path: Path, name: bytes) -> int:
    """Where the content of a block begins."""
    return path.read_bytes().index(name) + 16


@pytest.mark.parametrize("order", ["rows", "columns", "snake", "columns snake"])
@pytest.mark.parametrize("steps", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_spectra_lie_where_they_were_measured_in_whatever_order(tmp_path, order, steps):
    cube = io.read(files["wdf_map"](tmp_path, order, steps=steps))
    assert cube.dims == ("y", "x", "raman_shift")
    assert np.array_equal(cube.values, MAP)
    assert cube.dtype == np.float32
    assert np.array_equal(cube.y, [0.75, 2.25])
    assert np.array_equal(cube.x, [1.25, 3.75, 6.25])
    assert np.array_equal(cube.stage_y, [-40.0, -38.5])
    assert np.array_equal(cube.stage_x, [20.0, 22.5, 25.0])
    assert np.array_equal(cube.raman_shift, files["SHIFT"])
    assert "measured" not in cube.coords


def test_times_tell_the_order_of_acquisition(tmp_path):
    cube = io.read(files["wdf_map"](tmp_path, "columns"))
    assert np.array_equal(cube.acquisition_time, [[0, 4, 8], [2, 6, 10]])
    assert cube.acquisition_time.attrs["units"] == "s"


def test_attributes_say_what_was_measured_and_not_by_whom(tmp_path):
    cube = io.read(files["wdf_map"](tmp_path))
    assert cube.attrs["units"] == "counts"
    assert cube.attrs["technique"] == "raman"
    assert cube.attrs["laser_wavelength"] == pytest.approx(LASER, rel=1e-7)  # 32 bits of 1/cm
    assert cube.attrs["pixel_size_source"] == "file"
    metadata = json.loads(cube.attrs["original_metadata"])
    assert metadata["title"] == "planted map"
    assert metadata["comment"] == "a planted measurement"
    assert metadata["accumulations"] == 3
    assert metadata["measurement"] == "map"
    assert "Person" not in str(cube.attrs)


def test_a_unit_that_is_not_counts_is_not_called_counts(tmp_path):
    assert io.read(files["wdf_map"](tmp_path, unit=18)).attrs["units"] == "arbitrary"


def test_nm_become_shifts_with_the_laser_of_the_file_and_stay_beside_them(tmp_path):
    cube = io.read(files["wdf_map_nm"](tmp_path))
    assert cube.raman_shift.values == pytest.approx(SHIFTS, abs=LINE_DRIFT + 1e-9)
    assert np.array_equal(cube.wavelength, NM)
    assert np.array_equal(cube.values, MAP[..., ::-1])  # stored descending
    exact = io.read(files["wdf_map_nm"](tmp_path), laser=LASER)
    assert exact.raman_shift.values == pytest.approx(SHIFTS, abs=1e-9)
    assert exact.attrs["laser_wavelength"] == LASER


def test_nm_stay_without_a_laser(tmp_path):
    path = files["wdf_map"](tmp_path, axis=NM, axis_unit=3, laser=0)
    cube = io.read(path)
    assert cube.dims[-1] == "wavelength"
    assert "laser_wavelength" not in cube.attrs
    assert io.read(path, laser=LASER).raman_shift.values == pytest.approx(SHIFTS, abs=1e-9)


def test_an_interrupted_map_keeps_its_grid(tmp_path):
    path = files["wdf_map"](tmp_path, measured=12)
    with pytest.warns(DataQualityWarning, match="interrupted: 12 of 16 spectra were measured, the others are NaN"):
        cube = io.read(path)
    assert cube.shape == (4, 4, 5)
    assert np.array_equal(cube.measured, np.repeat([True, True, True, False], 4).reshape(4, 4))
    assert np.array_equal(cube.values[:3], planted(1, 4, 4)[0, :3])
    assert np.isnan(cube.values[3]).all()
    assert np.isnan(cube.acquisition_time.values[3]).all()
    assert io.info(path)["warnings"][0].startswith("the map was interrupted")


def test_an_interrupted_snake_stops_where_it_was(tmp_path):
    with pytest.warns(DataQualityWarning, match="5 of 16"):
        cube = io.read(files["wdf_map"](tmp_path, "snake", measured=5))
    expected = np.zeros((4, 4), bool)
    expected[0], expected[1, 3] = True, True
    assert np.array_equal(cube.measured, expected)


def test_a_line_has_distances(tmp_path):
    cube = io.read(files["wdf_line"](tmp_path))
    assert cube.dims == ("point", "raman_shift")
    assert np.array_equal(cube.values, planted(1, 1, 4)[0, 0])
    assert np.array_equal(cube.distance_along, [0, 5, 10, 15])
    assert np.array_equal(cube.x, [0, 4, 8, 12])
    assert np.array_equal(cube.stage_y, [-40, -37, -34, -31])


def test_a_map_of_one_row_is_a_line(tmp_path):
    cube = io.read(files["wdf_line"](tmp_path, flags=0))
    assert cube.dims == ("point", "raman_shift")
    assert "distance_along" in cube.coords


@pytest.mark.parametrize("options", [{"pixel_size": 1.0}, {"tilt": 52}])
@pytest.mark.parametrize("name", ["wdf_line", "wdf_points", "wdf_times", "wdf_single"])
def test_a_pixel_size_without_a_raster_is_refused(tmp_path, name, options):
    with pytest.raises(SsbmapsError, match="belong to a raster, and these spectra lie on none"):
        io.read(files[name](tmp_path), **options)


def test_random_points_stay_points(tmp_path):
    cube = io.read(files["wdf_points"](tmp_path))
    assert cube.dims == ("point", "raman_shift")
    assert np.array_equal(cube.y, [7, 0, 28.5, 0.5])
    assert np.array_equal(cube.stage_x, [3, 11.5, 7.25, 4])
    assert "distance_along" not in cube.coords
    with pytest.warns(DataQualityWarning, match="4 of 9 spectra were measured; the others are left out"):
        assert io.read(files["wdf_points"](tmp_path, capacity=9)).sizes["point"] == 4


def test_a_volume_from_the_deepest_upwards(tmp_path):
    cube = io.read(files["wdf_volume"](tmp_path))
    assert cube.dims == ("z", "y", "x", "raman_shift")
    assert np.array_equal(cube.values, planted(4))
    assert np.array_equal(cube.z, [-1.0, -0.5, 0.0, 0.5])
    with pytest.warns(DataQualityWarning, match="8 of 24"):
        cut = io.read(files["wdf_volume"](tmp_path, measured=8))
    assert np.array_equal(cut.values[3], planted(4)[3])
    assert np.isnan(cut.values[:2]).all()
    assert "measured" not in cut.coords  # every pixel was, at one depth at least


@pytest.mark.parametrize("flags", [128, 0])
def test_a_slice_along_a_line(tmp_path, flags):
    cube = io.read(files["wdf_slice"](tmp_path, flags=flags))
    assert cube.dims == ("z", "point", "raman_shift")
    assert np.array_equal(cube.values, planted(4, 1)[:, 0])
    assert np.array_equal(cube.distance_along, [0, 5, 10] if flags else [0, 4, 8])


def test_a_depth_series_ascends(tmp_path):
    cube = io.read(files["wdf_depths"](tmp_path))
    assert cube.dims == ("z", "raman_shift")
    assert np.array_equal(cube.values, planted(4)[:, 0, 0])
    assert np.array_equal(cube.z, [-1.0, -0.5, 0.0, 0.5])
    assert np.array_equal(cube.acquisition_time, [6, 4, 2, 0])


def test_a_time_series(tmp_path):
    cube = io.read(files["wdf_times"](tmp_path))
    assert cube.dims == ("time", "raman_shift")
    assert np.array_equal(cube.time, [0, 2, 4, 6])
    with pytest.warns(DataQualityWarning, match="4 of 7"):
        assert io.read(files["wdf_times"](tmp_path, capacity=7)).sizes["time"] == 4


def test_a_depth_series_that_does_not_move_is_a_time_series(tmp_path):
    lists = {files["Z"]: np.zeros(4)}
    cube = io.read(files["write_wdf"](tmp_path / "still.wdf", planted(4)[:, 0, 0], lists, kind=2))
    assert cube.dims == ("time", "raman_shift")
    assert np.array_equal(cube.stage_z, np.zeros(4))


def test_a_map_of_one_place_and_many_depths_is_a_depth_series(tmp_path):
    z = np.arange(4)
    lists = {files["X"]: np.full(4, 20.0), files["Y"]: np.full(4, -40.0), (5, 5, "Z"): -1.0 + 0.5 * z}
    area = (0, (20.0, -40.0, -1.0), (2.5, 1.5, 0.5), (1, 1, 4))
    cube = io.read(files["write_wdf"](tmp_path / "deep.wdf", planted(4)[:, 0, 0], lists, kind=3, area=area))
    assert cube.dims == ("z", "raman_shift")
    assert np.array_equal(cube.z, [-1.0, -0.5, 0.0, 0.5])


def test_what_else_a_series_steps_through_is_kept(tmp_path):
    lists = {(9 | 1 << 31, 10, "Temperature"): np.array([300.0, 310.0, 320.0, 330.0])}
    cube = io.read(files["write_wdf"](tmp_path / "heated.wdf", planted(4)[:, 0, 0], lists, kind=2))
    assert np.array_equal(cube.temperature, [300, 310, 320, 330])
    assert cube.temperature.attrs["units"] == "K"


def test_a_single_spectrum(tmp_path):
    cube = io.read(files["wdf_single"](tmp_path))
    assert cube.dims == ("raman_shift",)
    assert np.array_equal(cube.values, planted()[0, 0, 0])


def test_positions_off_the_declared_grid_are_points(tmp_path):
    path = files["wdf_map"](tmp_path)
    rewritten(path, start_of(path, b"ORGN") + 4 + 24 + 8, "<d", 21.5)  # the second x, 0.4 steps short
    with pytest.warns(DataQualityWarning, match="do not lie on these; they are read as points"):
        cube = io.read(path)
    assert cube.dims == ("point", "raman_shift")
    assert cube.stage_x.values[1] == 21.5


def test_two_spectra_at_one_place_are_points(tmp_path):
    path = files["wdf_map"](tmp_path)
    rewritten(path, start_of(path, b"ORGN") + 4 + 24 + 8, "<d", 20.0)
    with pytest.warns(DataQualityWarning, match="declares a map of 3 x 2 x 1 places"):
        assert io.read(path).dims == ("point", "raman_shift")


def test_a_map_without_its_area_is_points(tmp_path):
    path = files["wdf_map"](tmp_path)
    path.write_bytes(path.read_bytes()[: start_of(path, b"WMAP") - 16])
    with pytest.warns(DataQualityWarning, match="no map area"):
        assert io.read(path).sizes["point"] == 6


@pytest.mark.parametrize(("unit", "factor"), [(8, 1e3), (3, 1e-3)])
def test_lengths_in_other_units(tmp_path, unit, factor):
    path = files["wdf_map"](tmp_path)
    content = path.read_bytes().replace(struct.pack("<I", 5) + b"X\0", struct.pack("<I", unit) + b"X\0")
    path.write_bytes(content.replace(struct.pack("<I", 5) + b"Y\0", struct.pack("<I", unit) + b"Y\0"))
    cube = io.read(path)
    assert np.diff(cube.x) == pytest.approx([2.5 * factor] * 2)
    assert cube.stage_y.values == pytest.approx(np.array([-40, -38.5]) * factor)


def test_the_caller_may_give_the_pixel_size_and_the_tilt(tmp_path):
    cube = io.read(files["wdf_map"](tmp_path), pixel_size=(2, 3), tilt=30)
    assert np.diff(cube.y) == pytest.approx([4.0])
    assert cube.attrs["tilt"] == 30


def test_the_picture_has_colours_and_a_scale(tmp_path):
    path = files["wdf_map_nm"](tmp_path)
    assert io.info(path)["datasets"] == ("spectra", "white-light image")
    picture = io.read(path, dataset="white-light image")
    assert picture.dims == ("band", "y", "x")
    assert picture.shape == (3, 8, 12)
    assert list(picture.band.values) == ["red", "green", "blue"]
    assert np.abs(picture.values[0, :, :5].astype(int) - 200).max() < 12  # JPEG at quality 95
    assert np.abs(picture.values[2, :, :5].astype(int) - 40).max() < 12
    assert np.abs(picture.values[2, :, 7:].astype(int) - 200).max() < 12
    assert np.diff(picture.x) == pytest.approx([2.0] * 11)
    assert np.diff(picture.y) == pytest.approx([1.0] * 7)
    assert picture.stage_x.values[0] == 16.0
    assert picture.stage_y.values[0] == -41.5


def test_a_picture_without_a_scale_needs_one(tmp_path):
    path = files["wdf_map_nm"](tmp_path)
    path.write_bytes(path.read_bytes().replace(struct.pack("<HHII", 0xA210, 3, 1, 5), struct.pack("<HHII", 0xA210, 3, 1, 2)))
    content = path.read_bytes()
    big = content.replace(struct.pack(">HHIHH", 0xA210, 3, 1, 5, 0), struct.pack(">HHIHH", 0xA210, 3, 1, 2, 0))
    path.write_bytes(big)
    with pytest.raises(FormatError, match=r"unit code 2, expected 5 \(um\)"):
        io.read(path, dataset="white-light image")
    assert io.read(path, dataset="white-light image", pixel_size=1.0).sizes["x"] == 12


def test_a_damaged_picture_is_a_letter(tmp_path):
    path = files["wdf_map_nm"](tmp_path)
    rewritten(path, start_of(path, b"WHTL"), "<4s", b"none")
    with pytest.raises(FormatError, match="no readable JPEG"):
        io.read(path, dataset="white-light image")
    assert io.read(path).shape == (2, 3, 5)


@pytest.mark.parametrize(("side", "match"), [(9000, "is declared as 3 x 9000 x 9000"), (16000, "decompression bomb")])
def test_a_picture_that_claims_to_be_huge_is_not_unpacked(tmp_path, side, match):
    path = files["wdf_map_nm"](tmp_path)
    content = path.read_bytes()
    frame = content.index(b"\xff\xc0", content.index(b"WHTL"))
    rewritten(path, frame + 5, ">HH", side, side)
    with pytest.raises(FormatError, match=match):
        io.read(path, dataset="white-light image")


@pytest.mark.parametrize(
    ("at", "layout", "values", "match"),
    [
        (0x40, "<QQ", (6, 0), "0 of 6 spectra were measured"),
        (0x40, "<QQ", (6, 7), "7 of 6 spectra were measured"),
        (0x3C, "<I", (6,), "declares 6 points, an axis of 5"),
        (0x54, "<I", (2,), "2 rows"),
        (0x5C, "<I", (2,), "block ORGN declares 3 lists"),
        (0x08, "<Q", (513,), "a block 'WDF1' of 513 bytes"),
    ],
)
def test_headers_that_cannot_be(tmp_path, at, layout, values, match):
    with pytest.raises(FormatError, match=match):
        io.read(rewritten(files["wdf_map"](tmp_path), at, layout, *values), reader="wdf")


def test_more_spectra_than_the_block_holds(tmp_path):
    path = files["wdf_times"](tmp_path)
    rewritten(path, 0x40, "<QQ", 40, 40)
    with pytest.raises(FormatError, match="do not fit together"):
        io.read(path)


def test_an_axis_in_another_unit(tmp_path):
    with pytest.raises(FormatError, match="spectral axis is in 'eV'; expected 1/cm or nm"):
        io.read(files["wdf_map"](tmp_path, axis_unit=4))


def test_a_map_whose_spectra_have_no_place_is_refused(tmp_path):
    path = files["write_wdf"](tmp_path / "a.wdf", planted()[0, 0], {}, kind=3, area=(0, (0, 0, 0), (1, 1, 1), (3, 1, 1)))
    with pytest.raises(FormatError, match="no usable X and Y position"):
        io.read(path)


@pytest.mark.parametrize("name", [b"DATA", b"XLST", b"ORGN"])
def test_a_missing_block_is_named(tmp_path, name):
    path = files["wdf_map"](tmp_path)
    path.write_bytes(path.read_bytes().replace(name, b"JUNK", 1))
    with pytest.raises(FormatError, match=f"has no block '{name.decode()}'"):
        io.read(path)


def test_a_cut_file_is_refused(tmp_path):
    path = files["wdf_map"](tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(FormatError, match=r"block 'WMAP' should be 64 bytes"):
        io.read(path)


def test_an_unknown_data_set_or_option(tmp_path):
    path = files["wdf_map"](tmp_path)
    with pytest.raises(SsbmapsError, match="the file holds 'spectra'"):
        io.read(path, dataset="white-light image")
    with pytest.raises(SsbmapsError, match="knows laser"):
        io.read(path, lasser=532)
    with pytest.raises(SsbmapsError, match="laser is 0"):
        io.read(path, laser=0)


@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
@pytest.mark.parametrize("example", [e for e in files["EXAMPLES"] if e.reader == "wdf"], ids=lambda e: e.name)
def test_info_agrees_with_read_and_chunks_change_nothing(tmp_path, example):
    path = example.write(tmp_path)
    assert io.info(path)["format"] == "Renishaw WDF"
    if example.options:
        return
    told, cube = io.info(path), io.read(path)
    assert told["dims"] == cube.dims
    assert told["shape"] == cube.shape
    axis = cube.coords[cube.dims[-1]].values
    assert told["axis_range"] == (axis[0], axis[-1])
    if "y" in cube.dims:
        assert told["pixel_size"] == pytest.approx((np.diff(cube.y)[0], np.diff(cube.x)[0]))
        assert io.read(path, chunks=1).compute().identical(io.read(path))


def test_info_reads_no_spectrum(tmp_path, monkeypatch):
    path = files["wdf_map"](tmp_path)
    monkeypatch.setattr("ssbmaps.io._wdf_file.File.spectra", lambda *_, **__: 1 / 0)
    assert io.info(path)["shape"] == (2, 3, 5)


def peer(path: Path) -> list[dict]:
    """RosettaSciIO's reader, quiet."""
    logging.getLogger("rsciio").setLevel(logging.CRITICAL)
    renishaw = pytest.importorskip("rsciio.renishaw")
    return renishaw.file_reader(str(path))


@pytest.mark.parametrize("name", ["wdf_map", "wdf_map_nm", "wdf_line", "wdf_depths", "wdf_times", "wdf_single"])
def test_rosettasciio_reads_the_same_from_files_of_ours(tmp_path, name):
    path = files[name](tmp_path)
    ours, theirs = io.read(path), peer(path)[0]
    values = theirs["data"][::-1] if name == "wdf_depths" else theirs["data"]  # theirs stay in the order of the file
    assert np.array_equal(ours.values, values)
    axis = ours.wavelength if "wavelength" in ours.coords else ours.raman_shift
    assert np.array_equal(axis, theirs["axes"][-1]["axis"])


@pytest.mark.parametrize("name", ["wdf_map", "wdf_line", "wdf_single"])
def test_renishawwire_reads_the_same_from_files_of_ours(tmp_path, name):
    wire = pytest.importorskip("renishawWiRE")
    path = files[name](tmp_path)
    reader = wire.WDFReader(str(path))
    assert np.array_equal(io.read(path).values, reader.spectra.reshape(io.read(path).shape))
    assert reader.laser_length == pytest.approx(io.read(path).attrs["laser_wavelength"])
    reader.close()


@pytest.mark.parametrize("stated", WDF, ids=lambda r: f"{r.path.stem} {'picture' if r.options else ''}")
def test_real_files_have_their_stated_numbers(stated):
    if not stated.path.exists():
        pytest.skip("the real files are not here")
    wrong = [row for row in stated.compare() if not row[3]]
    assert not wrong


@pytest.mark.parametrize("stated", [r for r in WDF if not r.options], ids=lambda r: r.path.stem)
def test_rosettasciio_reads_the_same_from_real_files(stated):
    if not stated.path.exists():
        pytest.skip("the real files are not here")
    ours, theirs = io.read(stated.path), peer(stated.path)
    values = theirs[0]["data"]
    if "streamline" in stated.file:  # taken column by column, which RosettaSciIO folds row by row
        values = values.reshape(45, 49, -1).transpose(1, 0, 2)
    assert np.array_equal(ours.values, values)
    axis = ours.wavelength if "wavelength" in ours.coords else ours.raman_shift
    assert np.array_equal(axis, theirs[0]["axes"][-1]["axis"])
    picture = io.read(stated.path, dataset="white-light image")
    colours = np.stack([theirs[1]["data"][name] for name in ("R", "G", "B")])
    assert np.array_equal(picture.values, colours)
    scales = [a["scale"] for a in theirs[1]["axes"]]
    assert scales == pytest.approx([np.diff(picture[d])[0] for d in ("y", "x")])


def test_streamline_spectra_lie_at_their_own_positions():
    """StreamLine takes column after column; folded row by row, as other readers do, spectra land on wrong pixels."""
    stated = next(r for r in WDF if "streamline" in r.file)
    if not stated.path.exists():
        pytest.skip("the real files are not here")
    cube = io.read(stated.path)
    columns = (cube.stage_x.values - cube.stage_x.values[0]) / 2.6
    assert columns == pytest.approx(np.arange(45))
    seconds = cube.acquisition_time.values
    assert (np.diff(seconds, axis=0) > 0).all()  # down each column, one spectrum after the other
    assert (np.diff(seconds, axis=1) > 0).all()
    assert (seconds[-1, :-1] < seconds[0, 1:]).all()  # and then the next column


@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
@pytest.mark.parametrize("example", [e for e in files["EXAMPLES"] if e.reader == "wdf"], ids=lambda e: e.name)
def test_damaged_files_are_refused_or_read_right(tmp_path, example):
    tally = files["fuzzing"]["fuzz"](example, tmp_path, n_flips=40, n_cuts=40)
    assert not tally.faults
    assert tally.outcomes["refused"] > 0
