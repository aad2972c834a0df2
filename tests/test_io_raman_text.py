"""Raman exports as text and as MAT-files: planted numbers, every oddity and letter, second readers, real files, damage."""

from __future__ import annotations

import gzip
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import ssbmaps
from ssbmaps import io
from ssbmaps.io import _decimals, _mat5, _registry

files = runpy.run_path(str(Path(__file__).with_name("files_raman_text.py")), run_name="files_raman_text")
fuzz = sys.modules["fuzzing"].fuzz
PLANTED, SHIFTS, X, Y = (files[name] for name in ("PLANTED", "SHIFTS", "X", "Y"))
EXAMPLES = {e.name: e for e in files["EXAMPLES"]}
MAPS = ["labspec map", "labspec nm", "labspec comma", "labspec bare", "renishaw map", "witec table", "witec graph, header"]
MAPS += ["witec mat, packed", "csv long", "csv wide"]


def read(name, folder, **options):
    example = EXAMPLES[name]
    return io.read(example.write(folder), **{**example.options, **options})


def changed(path, old, new, count=-1):
    """The file with some text replaced."""
    text = path.read_bytes()
    assert old.encode("latin-1") in text
    path.write_bytes(text.replace(old.encode("latin-1"), new.encode("latin-1"), count))
    return path


@pytest.mark.parametrize("name", MAPS)
def test_the_planted_map_comes_back(name, tmp_path):
    cube = read(name, tmp_path)
    assert cube.dims == ("y", "x", "raman_shift")
    assert cube.values.tolist() == PLANTED.tolist()
    assert float(cube.sum()) == 7050
    assert np.allclose(cube["raman_shift"].values, SHIFTS, rtol=0, atol=0.03 if "nm" in name else 1e-4)  # six digits of nm
    assert np.allclose(cube["y"].values, [0.25, 0.75, 1.25], rtol=1e-9)
    assert np.allclose(cube["x"].values, [1.25, 3.75, 6.25, 8.75], rtol=1e-9)
    assert cube.attrs["technique"] == "raman"
    if "stage_x" in cube.coords:
        assert np.allclose(cube["stage_x"].values, X, rtol=1e-9)
        assert np.allclose(cube["stage_y"].values, Y, rtol=1e-9)
    assert ("stage_x" in cube.coords) == (not name.startswith("witec") and name != "csv long")
    assert "Person" not in cube.attrs["original_metadata"]
    assert "somebody" not in cube.attrs["original_metadata"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_one_reader_recognises_each_and_its_report_agrees(name, tmp_path):
    example = EXAMPLES[name]
    path = example.write(tmp_path)
    claims = [m for m in _registry._MODULES if m != "rosettasciio" and path.is_file() and _registry._module(m).sniff(path)]
    assert claims == [example.reader]
    told, cube = io.info(path), io.read(path, **example.options)
    unknown = name in ("labspec bare", "witec mat, packed")  # what the options say, the report cannot know
    if not unknown:
        assert (told["dims"], told["shape"]) == (cube.dims, cube.shape)
        low, high = (float(cube[cube.dims[-1]].values[i]) for i in (0, -1))
        assert told["axis_range"] == pytest.approx((low, high), rel=1e-12)
    assert told["channels"] == 5
    if told["pixel_size"] is not None:
        assert told["pixel_size"] == pytest.approx((0.5, 2.5), rel=1e-9)
        assert float(cube["x"].diff("x")[0]) == pytest.approx(2.5, rel=1e-9)


@pytest.mark.parametrize("name", EXAMPLES)
def test_blocks_hold_the_same(name, tmp_path):
    whole, lazy = read(name, tmp_path), read(name, tmp_path, chunks={"y": 2} if "y" in read(name, tmp_path).dims else {})
    assert type(lazy.data).__module__.startswith("dask")
    xr.testing.assert_equal(whole, lazy.compute())


def test_units_and_laser(tmp_path):
    cube = read("labspec nm", tmp_path)
    assert cube.attrs["units"] == "counts"
    assert cube.attrs["laser_wavelength"] == 532.0
    assert cube["wavelength"].dims == ("raman_shift",)
    shifted = read("labspec nm", tmp_path, laser=531.0)
    assert shifted["raman_shift"].values == pytest.approx(1e7 / 531.0 - 1e7 / cube["wavelength"].values)
    path = changed(EXAMPLES["labspec nm"].write(tmp_path), "#Laser (nm)=\t532 \n", "")
    assert io.read(path).dims == ("y", "x", "wavelength")
    assert read("renishaw map", tmp_path).attrs["units"] == "arbitrary"
    assert read("witec table", tmp_path).attrs["units"] == "counts"
    assert read("csv wide", tmp_path).attrs["units"] == "arbitrary"
    assert read("csv long", tmp_path).attrs["units"] == "counts"
    assert read("renishaw map", tmp_path, axis_unit="nm").dims[-1] == "wavelength"


@pytest.mark.parametrize("name", ["labspec map", "renishaw map", "csv long", "witec table"])
def test_gzip_utf16_and_line_ends_make_no_difference(name, tmp_path):
    example = EXAMPLES[name]
    path = example.write(tmp_path)
    expected = io.read(path, **example.options)
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    xr.testing.assert_equal(io.read(packed, **example.options), expected)
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    xr.testing.assert_equal(io.read(path, **example.options), expected)
    if name != "renishaw map":  # WiRE writes ASCII
        path.write_bytes(path.read_bytes().decode("latin-1").encode("utf-16"))
        xr.testing.assert_equal(io.read(path, **example.options), expected)


@pytest.mark.parametrize(
    ("write", "n", "missing"),
    [("labspec_map", 8, (2, 2)), ("renishaw_map", 9, None)],
)
def test_an_interrupted_map_keeps_its_raster(write, n, missing, tmp_path):
    path = files[write](tmp_path, n)
    with pytest.warns(ssbmaps.DataQualityWarning, match=rf"{n} of \d+ pixels were measured: the map was interrupted"):
        cube = io.read(path)
    measured = cube["measured"].values
    assert measured.sum() == n
    assert cube.values[measured].tolist() == PLANTED[:, : cube.sizes["x"]][measured].tolist()
    assert np.isnan(cube.values[~measured]).all()
    assert missing is None or not measured[missing]
    assert "were measured" in io.info(path)["warnings"][0]


def test_irregular_points_stay_points_until_asked(tmp_path):
    cube = read("labspec points", tmp_path)
    assert cube.dims == ("point", "raman_shift")
    assert cube["stage_x"].values.tolist() == files["POINTS"][:, 0].tolist()
    assert cube["y"].values.tolist() == files["POINTS"][:, 1].tolist()
    assert "distance_along" not in cube.coords
    with pytest.raises(ssbmaps.SsbmapsError, match="do not lie on an even raster"):
        io.grid(cube)
    made = io.grid(cube, spacing=1.5)
    assert int(made["measured"].sum()) == 6  # the points at x = 5 and 5.2 share a cell
    assert int(made["n_points"].sum()) == 7
    assert made.attrs["laser_wavelength"] == 532.0
    with pytest.raises(ssbmaps.SsbmapsError, match=r"these spectra lie on none\. Leave them out; io\.grid"):
        read("labspec points", tmp_path, pixel_size=1.0)


def test_line_time_depth_and_single(tmp_path):
    line = read("labspec line", tmp_path)
    assert line["distance_along"].values.tolist() == [0.0, 0.5, 1.0]
    assert line["stage_x"].values.tolist() == [-2.5] * 3
    assert line.values.tolist() == PLANTED[:, 1].tolist()
    time = read("labspec time", tmp_path) if "labspec time" in EXAMPLES else io.read(files["labspec_time"](tmp_path))
    assert time.dims == ("time", "raman_shift")
    assert time["time"].values.tolist() == [0.0, 30.0, 60.0, 120.0]
    depth = read("labspec depth", tmp_path)
    assert depth["z"].values.tolist() == [-2.0, 0.0, 2.0, 4.0]
    assert depth.values.tolist() == PLANTED[0, ::-1].tolist()
    assert io.read(files["labspec_single"](tmp_path)).values.tolist() == PLANTED[0, 1].tolist()
    stack = read("renishaw stack", tmp_path)
    assert stack.dims == ("z", "y", "x", "raman_shift")
    assert stack["z"].values.tolist() == [0.0, 3.0]
    assert (stack.values == np.stack([PLANTED, PLANTED + 1000])).all()
    series = read("renishaw time", tmp_path)
    assert series["time"].values.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert read("renishaw single", tmp_path).dims == ("raman_shift",)
    names = read("witec names", tmp_path)
    assert names["spectrum"].values.tolist() == ["a", "b", "c", "d"]
    assert names.values.tolist() == PLANTED[0].tolist()
    columns = read("csv columns", tmp_path)
    assert columns["spectrum"].values.tolist() == ["a (counts)", "b (counts)", "c (counts)", "d (counts)"]
    assert columns.values.tolist() == PLANTED[0].tolist()


def test_a_line_at_an_angle_has_its_distance(tmp_path):
    places = [(0.0, 0.0), (3.0, 4.0), (6.0, 8.0), (12.0, 16.0)]
    cube = io.read(files["renishaw"](tmp_path, "line.txt", "#X #Y #Wave #Intensity", places, PLANTED[0]))
    assert cube["distance_along"].values == pytest.approx([0.0, 5.0, 10.0, 20.0], rel=1e-14)


def test_a_raster_of_any_order_is_found(tmp_path):
    rng = np.random.default_rng(0)
    places, spectra = [(x, y) for y in Y for x in X], PLANTED.reshape(12, 5)
    order = rng.permutation(12)
    path = files["renishaw"](tmp_path, "a.txt", "#X #Y #Wave #Intensity", [places[i] for i in order], spectra[order])
    assert (io.read(path).values == PLANTED).all()


def test_positions_with_six_digits_far_from_zero_are_a_raster(tmp_path):
    """LabSpec writes -8100.3: a step of 0.3 um is rounded to 0.1."""
    places = [(-8100.31 + 0.3 * j, 1201.3 + 0.3 * i) for j in range(4) for i in range(3)]
    rows = files["labspec_rows"](SHIFTS, places, PLANTED.transpose(1, 0, 2).reshape(12, 5))
    cube = io.read(files["put"](tmp_path, "a.txt", files["labspec_header"]() + rows))
    assert (cube.values == PLANTED).all()
    assert float(cube["x"][1] - cube["x"][0]) == pytest.approx(0.3, abs=0.1 / 3)  # half a digit at each end, three steps


def test_nan_stays_nan_and_infinity_is_refused(tmp_path):
    path = changed(files["labspec_map"](tmp_path), "\t104.5\t", "\tNaN\t")
    cube = io.read(path)
    assert np.isnan(cube.values[1, 0, 4])
    assert np.isfinite(cube.values).sum() == 59
    with pytest.raises(ssbmaps.FormatError, match=r"line 16 holds 'inf' where a number is expected"):
        io.read(changed(path, "\tNaN\t", "\tinf\t"))


@pytest.mark.parametrize("name", ["labspec map", "renishaw map", "witec table", "csv long"])
def test_a_file_without_its_last_line_end_is_cut_short(name, tmp_path):
    path = EXAMPLES[name].write(tmp_path)
    path.write_bytes(path.read_bytes().rstrip())
    with pytest.raises(ssbmaps.FormatError, match=r"the last line, \d+, has no line end"):
        io.read(path, **EXAMPLES[name].options)


def test_letters_of_labspec(tmp_path):
    path = files["labspec_bare"](tmp_path)
    with pytest.raises(ssbmaps.FormatError, match=r"Give axis_unit='1/cm' or axis_unit='nm'"):
        io.read(path)
    with pytest.raises(ssbmaps.FormatError, match=r"follows 2 columns of position, .* does not name them\. .*axes=\('x', 'y'\)"):
        io.read(path, axis_unit="1/cm")
    assert "give axis_unit=." in io.info(path)["warnings"][0]
    with pytest.raises(ssbmaps.FormatError, match=r"'temperature' in 'um'; expected X, Y or Z"):
        io.read(path, axis_unit="1/cm", axes=("x", "temperature"))
    with pytest.raises(ssbmaps.FormatError, match="two columns of position have one name"):
        io.read(path, axis_unit="1/cm", axes=("x", "x"))
    path = files["labspec_map"](tmp_path)
    with pytest.raises(ssbmaps.SsbmapsError, match="axis_unit is 'nm', and the file says '1/cm'"):
        io.read(path, axis_unit="nm")
    with pytest.raises(ssbmaps.SsbmapsError, match="axis_unit is 3; expected '1/cm' or 'nm'"):
        io.read(path, axis_unit=3)
    with pytest.raises(ssbmaps.SsbmapsError, match=r"axes is \('y', 'x'\), and the file names X, Y\. Leave it out"):
        io.read(path, axes=("y", "x"))
    with pytest.raises(ssbmaps.SsbmapsError, match="dataset is 'a'; a text of LabSpec holds one set"):
        io.read(path, dataset="a")
    with pytest.raises(ssbmaps.SsbmapsError, match="laser is -1; expected the wavelength"):
        io.read(path, laser=-1)
    with pytest.raises(ssbmaps.FormatError, match=r"line 19 has 6 fields, expected 7"):
        io.read(changed(path, "\t114.5\t", "\t", 1))
    path = changed(files["labspec_map"](tmp_path), "AxisUnit[1]=1/cm", "AxisUnit[1]=eV")
    with pytest.raises(ssbmaps.FormatError, match="the spectral axis is in 'eV'; expected 1/cm or nm"):
        io.read(path)
    path = files["put"](tmp_path, "three.txt", [*files["labspec_header"](), "1\t2\t3"])
    with pytest.raises(ssbmaps.FormatError, match=r"has 3 fields\. Expected two, shift and intensity"):
        io.read(path)
    with pytest.raises(ssbmaps.FormatError, match="holds no numbers below its header"):
        io.read(files["put"](tmp_path, "none.txt", files["labspec_header"]()))
    with pytest.raises(ssbmaps.FormatError, match="holds no spectrum below line 14"):
        io.read(files["put"](tmp_path, "none.txt", [*files["labspec_header"](), "\t\t1\t2\t3"]))
    with pytest.raises(ssbmaps.FormatError, match="x of spectrum 1 is nan"):
        io.read(changed(files["labspec_map"](tmp_path), "\n-5\t10\t", "\nnan\t10\t"))


def test_letters_of_renishaw(tmp_path):
    path = files["renishaw_map"](tmp_path)
    with pytest.raises(ssbmaps.FormatError, match=r"line 7: #Wave is 1001, expected 1000: every spectrum has 5 lines"):
        io.read(changed(path, "-2.500000\t10.000000\t1000.000000", "-2.500000\t10.000000\t1001.000000"), reader="renishaw_text")
    path = changed(files["renishaw_map"](tmp_path), "-2.500000\t10.000000\t996.9", "-2.000000\t10.000000\t996.9")
    with pytest.raises(ssbmaps.FormatError, match=r"line 9: #X is -2, expected -2\.5"):
        io.read(path)
    with pytest.raises(ssbmaps.SsbmapsError, match="axis_unit is 'eV'; expected '1/cm'"):
        io.read(path, axis_unit="eV")
    with pytest.raises(ssbmaps.FormatError, match="the first line is '#Wave'; expected the names of the columns"):
        io.read(files["put"](tmp_path, "a.txt", ["#Wave", "1"]), reader="renishaw_text")
    with pytest.raises(ssbmaps.FormatError, match="holds no values below its header"):
        io.read(files["put"](tmp_path, "a.txt", ["#Wave\t\t#Intensity"]))
    path = files["renishaw_map"](tmp_path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]) + b"2.5")
    with pytest.raises(ssbmaps.FormatError, match="the last line, 60, has no line end"):
        io.read(path)
    with (
        pytest.warns(ssbmaps.DataQualityWarning, match=r"the last spectrum has 3 of 5 values; .* It is left out"),
        pytest.warns(ssbmaps.DataQualityWarning, match="11 of 12 pixels were measured"),
    ):
        cube = io.read(path, skip_bad=True)
    assert cube.values[:2].tolist() == PLANTED[:2].tolist()
    assert not cube["measured"].values[2, 3]


def test_letters_of_witec_text(tmp_path):
    with pytest.raises(ssbmaps.FormatError, match=r"no pixel size \(y and x\) is stated"):
        io.read(files["witec_table"](tmp_path))
    with pytest.raises(ssbmaps.FormatError, match=r"the spectral axis is in '1/cm'; expected 'rel\. 1/cm'"):
        io.read(files["witec_table"](tmp_path, unit="1/cm"))
    cube = io.read(files["witec_table"](tmp_path, unit="nm", axis=files["WAVELENGTHS"]), pixel_size=1, laser=532)
    assert np.allclose(cube["raman_shift"].values, SHIFTS, rtol=0, atol=0.03)
    path = changed(files["witec_table"](tmp_path), "rel. 1/cm\tCCD cts", "7.0\t8.0", 1)
    with pytest.raises(ssbmaps.FormatError, match=r"line 2 has 13 fields and begins with '7\.0'; expected the unit"):
        io.read(path, reader="witec_text")
    with pytest.raises(ssbmaps.FormatError, match="the first line begins with 'Y-Axis'"):
        io.read(changed(files["witec_table"](tmp_path), "X-Axis", "Y-Axis"), reader="witec_text")
    titles = [f"scan({j}/{i})" for i in range(3) for j in range(4) if (i, j) != (1, 1)]
    kept = np.delete(PLANTED.reshape(12, 5), 5, axis=0)
    cube = io.read(files["witec_table"](tmp_path, titles, spectra=kept))
    assert cube.dims == ("point", "raman_shift")
    assert cube["pixel_x"].values.tolist()[:6] == [0, 1, 2, 3, 0, 2]


def test_letters_of_witec_graph(tmp_path):
    with pytest.raises(ssbmaps.FormatError, match=r"(?s)3 faults.*SizeX is '0'.*SizeGraph is 'five'.*XAxisUnit"):
        io.read(files["witec_graph"](tmp_path, SizeX="0", SizeGraph="five", XAxisUnit=""))
    with pytest.raises(ssbmaps.FormatError, match=r"declared as 3 x 99999999 x 5 values"):
        io.read(files["witec_graph"](tmp_path, SizeX="99999999"))
    with pytest.raises(ssbmaps.FormatError, match=r"holds 60 numbers, and the header says 75 \(SizeY x SizeX x SizeGraph\)"):
        io.read(files["witec_graph"](tmp_path, SizeX="5"))
    with pytest.raises(ssbmaps.FormatError, match=r"no pixel size"):
        io.read(files["witec_graph"](tmp_path, ScanWidth="", ScanHeight=""))
    with pytest.raises(ssbmaps.FormatError, match=r"pixel size y is stated as 0\.5 \(no unit\)"):
        io.read(files["witec_graph"](tmp_path, ScanUnit=""))
    path = files["witec_graph"](tmp_path)
    (tmp_path / "scan (Y-Axis).txt").unlink()
    with pytest.raises(ssbmaps.FormatError, match=r"scan \(Y-Axis\)\.txt is not there; put it beside the header"):
        io.read(path)
    with pytest.raises(ssbmaps.FormatError, match=r"A file with \(Y-Axis\) in its name is not there"):
        io.read(path.rename(tmp_path / "other.txt"))


def test_the_mat_file(tmp_path):
    cube = io.read(files["witec_mat"](tmp_path))
    assert cube.dims == ("y", "x", "wavelength")
    assert cube.dtype == np.float32
    assert np.allclose(cube["wavelength"].values, files["WAVELENGTHS"], rtol=1e-15)
    assert json.loads(cube.attrs["original_metadata"])["name"] == "scan"
    spectra = io.read(files["witec_mat"](tmp_path, kind="data"))
    assert spectra.dims == ("point", "wavelength")
    nameless = files["witec_mat"](tmp_path, imageaxisscale=np.empty((0, 0)))
    with pytest.raises(ssbmaps.FormatError, match="no pixel size"):
        io.read(nameless)
    assert io.read(nameless, pixel_size=(0.5, 2.5))["x"].values[0] == 1.25
    with pytest.raises(ssbmaps.FormatError, match=r"imagesize is \[3\], and data has 12 pixels"):
        io.read(files["witec_mat"](tmp_path, imagesize=np.array([[3]])))
    with pytest.raises(ssbmaps.FormatError, match=r"(?s)2 faults.*data is no table of numbers.*axisscale does not hold"):
        io.read(files["witec_mat"](tmp_path, data="none", axisscale=np.array([1.0])))
    with pytest.raises(ssbmaps.FormatError, match="axisscale holds 5 values of the axis, and data 4 channels"):
        io.read(files["witec_mat"](tmp_path, data=PLANTED.reshape(12, 5)[:, :4]))


def test_several_datasets_in_a_mat_file(tmp_path):
    from scipy.io import loadmat, savemat

    path = files["witec_mat"](tmp_path)
    struct = {k: v for k, v in loadmat(path).items() if k == "scan_1"}
    savemat(path, {**struct, "scan_2": struct["scan_1"], "note": "hello", "number": 3.0}, do_compression=True)
    assert io.info(path)["datasets"] == ("scan_1", "scan_2")
    with pytest.raises(ssbmaps.SsbmapsError, match="holds 2 data sets: 'scan_1', 'scan_2'"):
        io.read(path)
    assert (io.read(path, dataset="scan_2").values == PLANTED).all()


def test_the_mat_reader_against_scipy(tmp_path):
    from scipy.io import loadmat, savemat

    rng = np.random.default_rng(1)
    arrays = {
        kind: rng.integers(0, 100, (3, 4)).astype(kind) for kind in ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    }
    made = {
        "whole": np.array([[1.0, 2.0, 300.0]]),
        "cube": rng.normal(size=(2, 3, 4)),
        "text": "Größe µm",
        "empty": np.empty((0, 3)),
    }
    for packed in (False, True):
        path = tmp_path / "a.mat"
        savemat(path, {**arrays, **made, "nested": {"a": 1.0, "b": {"c": "x"}}}, do_compression=packed)
        found, expected = _mat5.load(path), loadmat(path)
        for name in (*arrays, "whole", "cube", "empty"):
            assert np.array_equal(found[name], expected[name])
            assert found[name].dtype == expected[name].dtype
        assert found["text"] == "Größe µm"
        assert found["nested"]["b"]["c"] == "x"
    savemat(path, {"z": np.array([1j])})
    with pytest.raises(ssbmaps.FormatError, match="z holds complex numbers"):
        _mat5.load(path)


def test_letters_of_mat_files(tmp_path):
    from scipy.io import savemat

    path = tmp_path / "new.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF")
    with pytest.raises(ssbmaps.FormatError, match=r"version 7\.3 \(HDF5\).* Save it with '-v7'"):
        io.read(path, reader="witec_mat")
    path.write_bytes(b"nothing".ljust(200))
    with pytest.raises(ssbmaps.FormatError, match=r"no MAT-file of level 5 .* save\(\.\.\., '-v7'\)"):
        io.read(path, reader="witec_mat")
    savemat(path, {"a": 1.0})
    with pytest.raises(ssbmaps.FormatError, match="holds no data set"):
        io.read(path, reader="witec_mat")


def test_a_bomb_is_not_unpacked(tmp_path):
    import zlib

    inner = zlib.compress(b"\x0e\0\0\0" + (1 << 30).to_bytes(4, "little") + bytes(1 << 26), 9)
    path = tmp_path / "bomb.mat"
    tag = (15).to_bytes(4, "little") + len(inner).to_bytes(4, "little")
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + tag + inner)
    with pytest.raises(ssbmaps.FormatError, match=r"unpacks to more than \d+ bytes; that is no measurement"):
        io.read(path, reader="witec_mat")
    packed = tmp_path / "bomb.txt"
    packed.write_bytes(gzip.compress(b"#Wave\t\t#Intensity\n" + b"1\t2\n" * (1 << 22)))
    with pytest.raises(ssbmaps.FormatError, match="unpacks to more than 100 times its size"):
        io.read(packed)


def test_letters_of_csv(tmp_path):
    def table(*lines):
        return files["put"](tmp_path, "a.csv", lines)

    with pytest.raises(
        ssbmaps.FormatError, match=r"(?s)2 faults.*'raman_shift' has no unit; expected e\.g\. 'raman_shift \(1/cm\)'.*'x'"
    ):
        io.read(table("x,raman_shift,intensity", "1,2,3"))
    with pytest.raises(ssbmaps.FormatError, match=r"'y \(inch\)' has the unit 'inch'; expected e\.g\. 'y \(um\)'"):
        io.read(table("x (um),y (inch),raman_shift (1/cm),intensity", "1,2,3,4"))
    with pytest.raises(ssbmaps.FormatError, match="no column holds intensities"):
        io.read(table("x (um),raman_shift (1/cm)", "1,2"))
    with pytest.raises(ssbmaps.FormatError, match="two columns are called 'intensity'"):
        io.read(table("raman_shift (1/cm),intensity,intensity", "1,2,3"))
    with pytest.raises(ssbmaps.FormatError, match=r"channel '500' does not say its axis; expected e\.g\. '520\.5 \(1/cm\)'"):
        io.read(table("x (um),y (um),500,501,502", "1,2,3,4,5"))
    with pytest.raises(
        ssbmaps.FormatError, match=r"line 5: raman_shift \(1/cm\) is 13, expected 12\. Rows must follow each other"
    ):
        io.read(table("x (um),raman_shift (1/cm),intensity", "0,11,1", "0,12,1", "1,11,1", "1,13,1"))
    short = table("x (um),raman_shift (1/cm),intensity", "0,11,1", "0,12,1", "1,11,1")
    with pytest.raises(ssbmaps.FormatError, match=r"last spectrum has 1 of 2 values; .* skip_bad=True"):
        io.read(short)
    with pytest.warns(ssbmaps.DataQualityWarning, match="It is left out"):
        assert io.read(short, skip_bad=True).shape == (1, 2)
    assert "the last spectrum has 1 of 2 values" in io.info(short)["warnings"][0]
    with pytest.raises(ssbmaps.FormatError, match="column 'note' is neither a position nor a channel"):
        io.read(table("x (um),note,500 (1/cm),501,502", "1,2,3,4,5"))
    with pytest.raises(ssbmaps.FormatError, match=r"the header is 'a,b'; expected names with units"):
        io.read(table("a,b", "1,2"), reader="spectra_csv")
    with pytest.raises(ssbmaps.FormatError, match="holds no numbers below its header"):
        io.read(table("raman_shift (1/cm),intensity"))
    two = table("x (um),raman_shift (1/cm),a (counts),b (K)", "0,11,1,5", "0,12,2,6", "1,11,3,7", "1,12,4,8")
    with pytest.raises(ssbmaps.SsbmapsError, match=r"holds 2 data sets: 'a \(counts\)', 'b \(K\)'"):
        io.read(two)
    assert io.read(two, dataset="b (K)").values.tolist() == [[5.0, 6.0], [7.0, 8.0]]
    assert io.read(two, dataset="b (K)").attrs["units"] == "K"
    empty = io.read(table("x (um),raman_shift (1/cm),a (counts)", "0,11,1", "0,12,", "1,11,3", "1,12,4"))
    assert np.isnan(empty.values[0, 1])


@pytest.mark.parametrize(
    ("header", "dim", "technique", "value"),
    [
        ("kinetic_energy (keV)", "kinetic_energy", "sam", 1000.0),
        ("binding energy [eV]", "binding_energy", "xps", 1.0),
        ("Energy (eV)", "energy", "eds", 1e-3),
        ("wavelength (nm)", "wavelength", "raman", 1.0),
    ],
)
def test_csv_of_other_techniques(header, dim, technique, value, tmp_path):
    cube = io.read(files["put"](tmp_path, "a.csv", [f"{header},intensity (counts/s)", "1,5", "2,6", "3,7"]))
    assert cube.dims == (dim,)
    assert float(cube[dim][0]) == pytest.approx(value, rel=1e-15)
    assert cube.attrs["technique"] == technique
    assert cube.attrs["units"] == "counts/s"


@pytest.mark.parametrize(
    "name", ["labspec map", "labspec points", "labspec line", "renishaw stack", "renishaw time", "labspec nm"]
)
def test_what_our_table_writer_writes_is_read_back(name, tmp_path):
    cube = read(name, tmp_path)
    back = io.read(io.save(cube, tmp_path / "table.csv"))
    xr.testing.assert_equal(back, cube)
    assert back.attrs["units"] == cube.attrs["units"]


def test_an_interrupted_map_comes_back_from_a_table(tmp_path):
    with pytest.warns(ssbmaps.DataQualityWarning, match="9 of 12"):
        cube = io.read(files["renishaw_map"](tmp_path, 9))
    back = io.read(io.save(cube, tmp_path / "table.csv"))
    xr.testing.assert_equal(back, cube)


@pytest.mark.parametrize("real", files["REAL"], ids=lambda r: f"{r.file} {r.options}")
def test_real_files(real):
    if not real.path.exists():
        pytest.skip("the real instrument files are not here")
    assert [row for row in real.compare() if not row[3]] == []


def test_one_scan_in_three_formats():
    """The text has six digits of the shift; the counts are the same to the last one, pixel by pixel."""
    here = {r.file: r.path for r in files["REAL"]}
    if not here["witec/Map.mat"].exists():
        pytest.skip("the real instrument files are not here")
    text = io.read(here["witec/Witec-Map_full.txt"], pixel_size=1.0)
    mat = io.read(here["witec/Map.mat"], laser=632.8)
    assert (text.values == mat.values).all()
    assert np.allclose(text["raman_shift"].values, mat["raman_shift"].values, rtol=7e-6)
    spc_io = pytest.importorskip("spc_io")
    with (here["witec/Map.mat"].parents[1] / "spc" / "Witec-Map.spc").open("rb") as handle:
        spc = spc_io.SPC.from_bytes_io(handle)
    assert (np.stack([sub.yarray for sub in spc]) == text.values.reshape(25, -1)).all()
    assert np.allclose(text["raman_shift"].values, spc.xarray, rtol=5e-6)


def test_real_labspec_against_numpy():
    path = next(r.path for r in files["REAL"] if r.file.startswith("horiba"))
    if not path.exists():
        pytest.skip("the real instrument files are not here")
    with gzip.open(path, "rt", encoding="latin-1") as handle:
        lines = [line for line in handle if not line.startswith("#")]
    table = np.loadtxt(lines[1:])
    cube = io.read(path)
    expected = table[:, 2:].reshape(20, 20, -1).transpose(1, 0, 2)[..., ::-1]
    assert (cube.values == expected).all()


_number = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e9, 1e9).map(lambda v: f"{v:.6f}"),
    st.floats(-1e20, 1e20).map(lambda v: f"{v:.5E}"),
    st.floats(-1e5, 1e5).map(lambda v: f" {v:.6g} "),
    st.integers(-(10**18), 10**18).map(str),
    st.sampled_from(
        ["nan", "-0", "-0.0", "5.", ".5", "+7", "1e22", "1e23", "9007199254740993", "0.1e-21", "123456789012345678901"]
    ),
)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(_number, min_size=3, max_size=3), min_size=1, max_size=6), large=st.booleans())
def test_numbers_are_read_as_python_reads_them(rows, large):
    raw = "".join("\t".join(row) + "\r\n" for row in rows).encode()
    found = _decimals.table(raw, 3, subject="a", first_line=1, large=large)
    expected = np.array([[float(v) for v in row] for row in rows])
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found[expected == 0]), np.signbit(expected[expected == 0]))


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    "wrong", ["1_0", "", "abc", "1.2.3", "--1", "1e", "e5", ".", "-", "inf", "1 2", "1e400", "0x10", "1-2", "１"]
)
def test_what_is_no_number_is_named_with_its_line(wrong, large):
    raw = f"1\t2\r\n3\t4\r\n5\t{wrong}\r\n".encode()
    with pytest.raises(ssbmaps.FormatError, match=r"a: line 9 holds '.*' where a number is expected"):
        _decimals.table(raw, 2, subject="a", first_line=7, large=large)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("raw", [b"1\t2\n3\n", b"1\t2\n3\t4\t5\n", b"1\t2\n\n", b"1\t2\n3\t\n", b"\n"])
def test_lines_with_another_number_of_fields_are_named(raw, large):
    with pytest.raises(ssbmaps.FormatError, match=r"a: line [12] (has \d fields, expected 2|holds '')"):
        _decimals.table(raw, 2, subject="a", first_line=1, large=large)


@pytest.mark.parametrize("name", EXAMPLES)
def test_damaged_files(name, tmp_path):
    tally = fuzz(EXAMPLES[name], tmp_path, n_flips=60, n_cuts=60)
    assert tally.faults == []


@pytest.mark.parametrize("name", ["renishaw map", "csv long", "labspec map"])
def test_damaged_files_read_by_the_compiled_road(name, tmp_path, monkeypatch):
    monkeypatch.setattr(_decimals, "LARGE", 0)
    tally = fuzz(EXAMPLES[name], tmp_path, n_flips=60, n_cuts=30, seed=1)
    assert tally.faults == []


def test_a_position_out_of_line_by_a_factor_of_a_million_asks_for_no_more_memory(tmp_path):
    """It makes a raster of millions of rows, none of which is there: the spectra stay points."""
    import tracemalloc

    path = changed(EXAMPLES["csv wide"].write(tmp_path), "0.0\t0.0105", "0.0\t0.01e5")
    io.read(path)
    tracemalloc.start()
    cube = io.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cube.dims == ("point", "raman_shift")
    assert peak < 2e6
