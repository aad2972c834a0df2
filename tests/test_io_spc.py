"""SPC: numbers of every kind and order as planted, grids from the file or the caller, letters, and spc_io beside them."""

from __future__ import annotations

import io as python_io
import json
import runpy
import struct
from pathlib import Path

import numpy as np
import pytest

from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, io

files = runpy.run_path(str(Path(__file__).with_name("files_spc.py")), run_name="files_spc")
planted, NM, SHIFT, LASER = files["planted"], files["NM"], files["SHIFT"], files["raman"]["LASER"]
MAP = planted()[0]
ROWS = MAP.reshape(6, 5)
EXAMPLES = [e for e in files["EXAMPLES"] if e.reader == "spc"]
REAL = [r for r in files["REAL"] if r.reader == "spc"]


def rewritten(path: Path, at: int, layout: str, *values: object) -> Path:
    """`path` with fields overwritten."""
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, at, *values)
    path.write_bytes(content)
    return path


def test_a_multi_file_is_points_with_their_z_values(tmp_path):
    cube = io.read(files["spc_map"](tmp_path))
    assert cube.dims == ("point", "raman_shift")
    assert np.array_equal(cube.values, ROWS[:, ::-1])  # stored descending
    assert np.array_equal(cube.wavelength, NM)
    assert cube.raman_shift.values == pytest.approx(1e7 / LASER - 1e7 / NM, abs=1e-9)  # the line stands in the log
    assert np.array_equal(cube.z_axis, np.arange(6))
    assert cube.dtype == np.float32
    assert cube.attrs["units"] == "counts"
    assert cube.attrs["laser_wavelength"] == 532.0
    metadata = json.loads(cube.attrs["original_metadata"])
    assert metadata["log"] == {"EXCIT_LINE": "532", "GRATING": "300"}
    assert metadata["comment"] == "planted"
    assert "erson" not in str(cube.attrs)


def test_a_shape_and_a_pixel_size_make_a_map(tmp_path):
    path = files["spc_even"](tmp_path)
    cube = io.read(path, shape=(2, 3), pixel_size=(1.5, 2.5))
    assert cube.dims == ("y", "x", "raman_shift")
    assert np.array_equal(cube.values, MAP)
    assert np.array_equal(cube.x, [1.25, 3.75, 6.25])
    assert np.array_equal(cube.raman_shift, SHIFT)
    with pytest.raises(FormatError, match=r"no pixel size \(y and x\) is stated. SPC files name no pixel size"):
        io.read(path, shape=(2, 3))
    with pytest.raises(SsbmapsError, match="these spectra lie on none"):
        io.read(path, pixel_size=1)
    with pytest.raises(SsbmapsError, match=r"shape is \(2, 2\), 4 pixels; the file holds 6 subfiles"):
        io.read(path, shape=(2, 2), pixel_size=1)
    for wrong in (6, (2,), (2.0, 3), (0, 6), (True, 6)):
        with pytest.raises(SsbmapsError, match=r"expected \(rows, columns\)"):
            io.read(path, shape=wrong)


def test_numbers_with_the_high_byte_first(tmp_path):
    cube = io.read(files["spc_big_endian"](tmp_path))
    assert np.array_equal(cube.values, ROWS)
    assert cube.dtype == np.dtype("<f4")
    assert np.array_equal(cube.z_axis, np.arange(6))
    assert cube.attrs["laser_wavelength"] == 532.0


@pytest.mark.parametrize("name", ["spc_times", "spc_shorts"])
def test_integers_of_each_subfile_have_its_own_exponent(tmp_path, name):
    cube = io.read(files[name](tmp_path))
    assert cube.dims == ("time", "raman_shift")
    assert np.array_equal(cube.values, planted(4)[:, 0, 0])
    assert cube.dtype == np.float64
    assert cube.time.values == pytest.approx([0, 2, 4, 6], abs=1e-5)  # minutes as 32-bit numbers
    assert cube.time.attrs["units"] == "s"


def test_planes_of_positions_are_a_map(tmp_path):
    cube = io.read(files["spc_planes"](tmp_path))
    assert cube.dims == ("y", "x", "raman_shift")
    assert np.array_equal(cube.values, MAP)
    assert np.diff(cube.x) == pytest.approx([2.5, 2.5], rel=1e-6)
    assert cube.stage_y.values == pytest.approx(files["raman"]["YS"], rel=1e-6)
    assert cube.attrs["units"] == "arbitrary"
    told = io.info(files["spc_planes"](tmp_path))
    assert told["pixel_size"] == pytest.approx((1.5, 2.5), rel=1e-6)


def test_planes_of_something_else_are_points(tmp_path):
    path = rewritten(files["spc_planes"](tmp_path), 324, "B", 20)  # w is a temperature
    cube = io.read(path)
    assert cube.dims == ("point", "raman_shift")
    assert cube.w_axis.attrs["units"] == "degrees C"
    assert cube.z_axis.attrs["units"] == "um"


@pytest.mark.parametrize("directory", [True, False])
def test_subfiles_with_x_values_each(tmp_path, directory):
    cube = io.read(files["spc_own_x"](tmp_path, directory=directory))
    assert np.array_equal(cube.values, planted(1, 1)[0, 0])
    assert np.array_equal(cube.raman_shift, SHIFT)
    with pytest.raises(FormatError, match=r"subfile 1 has 5 points on another x axis than subfile 0"):
        io.read(files["spc_own_x"](tmp_path, directory=directory, other=1))


def test_a_single_spectrum_uses_the_exponent_of_the_file(tmp_path):
    cube = io.read(files["spc_single"](tmp_path))
    assert cube.dims == ("raman_shift",)
    assert np.array_equal(cube.values, MAP[0, 0])
    path = rewritten(files["spc_single"](tmp_path), 512 + 1, "b", 0)  # the subfile's own, which only multi-files use
    assert np.array_equal(io.read(path).values, MAP[0, 0])


@pytest.mark.parametrize("short", [False, True])
def test_the_old_format(tmp_path, short):
    path = files["spc_old"](tmp_path, short=short)
    with pytest.warns(DataQualityWarning, match="does not say how many subfiles there are; 3 complete ones are in the file"):
        cube = io.read(path)
    assert cube.dims == ("time", "raman_shift")
    expected = planted(3)[:, 0, 0] / 8
    # 16 bits hold fractions of 2^9 in steps of 2^-7, and values are eighths of halves, 2^-4
    assert np.array_equal(cube.values, expected)
    assert np.array_equal(cube.time, [0, 2, 4])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.warns(DataQualityWarning, match="2 complete ones are in the file, and"):
        assert np.array_equal(io.read(path).values, expected[:2])


def test_one_spectrum_of_the_old_format(tmp_path):
    cube = io.read(files["spc_old_single"](tmp_path))
    assert np.array_equal(cube.values, MAP[0, 0] / 8)
    path = rewritten(files["spc_old_single"](tmp_path), 0, "B", 0x80)
    with pytest.raises(FormatError, match=r"old SPC format .* with x values or floating-point y"):
        io.read(path)
    with pytest.raises(FormatError, match=r"old format\) declares 5.5 points"):
        io.read(rewritten(files["spc_old_single"](tmp_path), 4, "<f", 5.5), reader="spc")


@pytest.mark.parametrize(
    ("code", "label", "dim"), [(0, b"Raman Shift (cm-1)\0", "raman_shift"), (0, b"Wavelength (nm)\0", "wavelength")]
)
def test_labels_say_what_x_is_where_its_code_does_not(tmp_path, code, label, dim):
    cube = io.read(files["spc_single"](tmp_path, types=(code, 4, 0, 0), flags=0x20, label=label))
    assert cube.dims == (dim,)


def test_micrometres_are_nanometres(tmp_path):
    path = rewritten(files["spc_single"](tmp_path, types=(2, 4, 0, 0)), 8, "<dd", 0.54, 0.55)
    cube = io.read(path, laser=532)
    assert cube.wavelength.values == pytest.approx(np.linspace(540, 550, 5))


def test_x_that_may_be_anything_must_be_said(tmp_path):
    path = files["spc_single"](tmp_path, types=(1, 4, 0, 0))
    with pytest.raises(FormatError, match=r"wavenumber in 1/cm, absolute or from the laser line.*axis_unit='1/cm'"):
        io.read(path)
    assert "axis_unit" in io.info(path)["warnings"][0]
    assert np.array_equal(io.read(path, axis_unit="1/cm").raman_shift, SHIFT)
    assert np.array_equal(io.read(path, axis_unit="nm").wavelength, SHIFT)
    with pytest.raises(SsbmapsError, match="axis_unit is 'eV'"):
        io.read(path, axis_unit="eV")
    with pytest.raises(FormatError, match="stated as code 9 with the label 'm/z'"):
        io.read(files["spc_single"](tmp_path, types=(9, 4, 0, 0), flags=0x20, label=b"m/z\0"))


def test_what_is_not_emitted_light_is_no_raman_spectrum(tmp_path):
    with pytest.raises(FormatError, match="y is absorbance, so this is no Raman spectrum"):
        io.read(files["spc_single"](tmp_path, types=(13, 2, 0, 0)))


def test_a_cut_log_warns_and_the_laser_of_ft_raman_is_found(tmp_path):
    path = files["spc_map"](tmp_path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.warns(DataQualityWarning, match="the log should have 1[0-9]{2} bytes"):
        assert io.read(path).attrs["laser_wavelength"] == 532.0
    cube = io.read(files["spc_map"](tmp_path, log="RAMANFREQ= 9395\r\nEXCIT_LINE = none\r\n"))
    assert cube.attrs["laser_wavelength"] == pytest.approx(1064.396, rel=1e-6)


@pytest.mark.parametrize(
    ("at", "layout", "values", "match"),
    [
        (1, "B", (0x4A,), "the second byte is 0x4a"),
        (4, "<I", (6,), "6 subfiles of 6 points should be"),
        (4, "<I", (0,), "declares 0 points"),
        (4, "<I", (1 << 30,), "the y values should be"),
        (24, "<I", (0,), "declares 0 subfiles"),
        (24, "<I", (1 << 28,), "declares 268435456 subfiles"),
        (8, "<d", (float("nan"),), "from x = nan"),
        (248, "<I", (10_000,), "the log should be"),
        (516, "<f", (float("nan"),), "z or w values of the subfiles hold NaN"),
    ],
)
def test_headers_that_cannot_be(tmp_path, at, layout, values, match):
    with pytest.raises(FormatError, match=match):
        io.read(rewritten(files["spc_even"](tmp_path), at, layout, *values), reader="spc")


def test_16_bit_files_with_a_floating_point_subfile_are_refused(tmp_path):
    path = rewritten(files["spc_shorts"](tmp_path), 512 + 1, "b", -128)
    with pytest.raises(FormatError, match="mixes 16-bit and floating-point subfiles"):
        io.read(path)


def test_32_bit_files_may_mix(tmp_path):
    path = rewritten(files["spc_times"](tmp_path), 512 + 1, "b", -128)
    rewritten(path, 512 + 32, "<5f", *range(5))
    cube = io.read(path)
    assert np.array_equal(cube.values[0], np.arange(5))
    assert np.array_equal(cube.values[1:], planted(4)[1:, 0, 0])


def test_other_files_are_not_taken_for_spc(tmp_path):
    from ssbmaps.io import spc

    others = {"zip": b"PK\x03\x04" + bytes(600), "text": b"#K text " * 100, "short": b"\x00\x4b", "zeros": bytes(600)}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
        assert not spc.sniff(tmp_path / name), name


@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_info_agrees_with_read_and_chunks_change_nothing(tmp_path, example):
    path = example.write(tmp_path)
    told, cube = io.info(path), io.read(path)
    assert told["format"] == "SPC"
    assert told["dims"] == cube.dims
    assert told["shape"] == cube.shape
    axis = cube.coords[cube.dims[-1]].values
    assert told["axis_range"] == (axis[0], axis[-1])
    if example.options:
        assert io.read(path, chunks=1, **example.options).compute().identical(io.read(path, **example.options))


def test_info_reads_no_value(tmp_path, monkeypatch):
    path = files["spc_map"](tmp_path)
    monkeypatch.setattr("ssbmaps.io._spc_file.spectra", lambda *_: 1 / 0)
    assert io.info(path)["shape"] == (6, 5)


def peer(path: Path):
    """spc_io's reader."""
    high_level = pytest.importorskip("spc_io.high_level")
    return high_level.SPC.from_bytes_io(python_io.BytesIO(path.read_bytes()))


@pytest.mark.parametrize("name", ["spc_map", "spc_even", "spc_times", "spc_shorts", "spc_single"])
def test_spc_io_reads_the_same_bits_from_files_of_ours(tmp_path, name):
    path = files[name](tmp_path)
    ours, theirs = io.read(path), peer(path)
    values = np.array([s.yarray for s in theirs])
    x = theirs.xarray
    if x[0] > x[-1]:
        values, x = values[:, ::-1], x[::-1]
    assert np.array_equal(ours.values.reshape(values.shape), values)
    assert np.array_equal(ours.wavelength if "wavelength" in ours.coords else ours.raman_shift, x)


@pytest.mark.filterwarnings("ignore:.*the log should have:ssbmaps.DataQualityWarning")  # spc_io writes a wrong place of the log
def test_spc_io_writes_what_we_read(tmp_path):
    high_level = pytest.importorskip("spc_io.high_level")
    log = high_level.log_book.LogBook(text={"EXCIT_LINE": "532"})
    theirs = high_level.SPC(xarray=NM, xtype="XNMETR", ytype="YCOUNT", log_book=log)
    for i, row in enumerate(ROWS):
        theirs.add_subfile(yarray=row.astype(np.float32), z=float(i), w=0.0)
    path = tmp_path / "theirs.spc"
    path.write_bytes(theirs.to_spc_raw().to_bytes())
    cube = io.read(path, reader="spc", axis_unit="nm")
    assert np.array_equal(cube.values, ROWS)
    assert np.array_equal(cube.coords["wavelength"], NM)


@pytest.mark.parametrize("stated", REAL, ids=lambda r: f"{r.path.stem} {len(r.options)}")
def test_real_files_have_their_stated_numbers_and_the_bits_of_spc_io(stated):
    if not stated.path.exists():
        pytest.skip("the real files are not here")
    assert not [row for row in stated.compare() if not row[3]]
    ours = io.read(stated.path, **stated.options)
    assert np.array_equal(ours.values.reshape(25, 1024), np.array([s.yarray for s in peer(stated.path)]))


@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_damaged_files_are_refused_or_read_right(tmp_path, example):
    tally = files["fuzzing"]["fuzz"](example, tmp_path, n_flips=40, n_cuts=30)
    assert not tally.faults
    assert tally.outcomes["refused"] > 0
