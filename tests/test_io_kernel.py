"""What all readers of spectra stand on: bytes with bounds, text and numbers, XML without entities, axes, data sets."""

from __future__ import annotations

import gzip
import json
import runpy
import zlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, io
from ssbmaps.io import _bytes, _dense, _lines, _raman_axis, _registry, _report, _xml
from ssbmaps.io._pixels import Pixel

fuzzing = runpy.run_path(str(Path(__file__).with_name("fuzzing.py")), run_name="fuzzing")


class TestBytes:
    def test_fields_and_arrays_come_from_their_places(self, tmp_path):
        path = tmp_path / "a.bin"
        path.write_bytes(b"\x01\x02\x00\x00" + np.array([1.5, -2.0], "<f4").tobytes() + b"abc\0zz\xb5")
        content = _bytes.Bytes(path)
        assert len(content) == 19
        assert content.unpack("<BBH", 0, "head") == (1, 2, 0)
        assert content.array("<f4", 2, 4, "values").tolist() == [1.5, -2.0]
        assert content.text(12, 6, "name") == "abc"
        assert content.text(18, 1, "unit") == "µ"  # no UTF-8, so Latin-1

    @pytest.mark.parametrize(("at", "count"), [(4, 3), (16, 1), (-1, 1), (0, 2**40), (0, -1)])
    def test_what_lies_beyond_the_file_is_named(self, tmp_path, at, count):
        path = tmp_path / "a.bin"
        path.write_bytes(bytes(15))
        with pytest.raises(FormatError, match=r"a\.bin: values \(.* values of 4 bytes\) should be .* the file has 15 bytes"):
            _bytes.Bytes(path).array("<f4", count, at, "values")


class TestText:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    def test_every_encoding_gives_the_same_text(self, tmp_path, encoding):
        path = tmp_path / "a.txt"
        path.write_bytes("µm\t2\r\n".encode(encoding))
        assert _lines.read_text(path) == "µm\t2\r\n"
        assert _lines.head_text(path).endswith("m\t2\r\n")

    def test_gzip_is_unpacked(self, tmp_path):
        path = tmp_path / "a.txt.gz"
        path.write_bytes(gzip.compress(b"1\t2\n3\t4\n", mtime=0))
        assert _lines.read_text(path) == "1\t2\n3\t4\n"
        assert _lines.head(path, 3) == b"1\t2"

    def test_a_bomb_is_not_unpacked(self, tmp_path):
        path = tmp_path / "a.txt.gz"
        path.write_bytes(gzip.compress(bytes(10**6), mtime=0))
        with pytest.raises(FormatError, match=r"a\.txt\.gz: unpacks to more than 100 times its size"):
            _lines.read_text(path)

    @pytest.mark.parametrize(("spoil", "letter"), [(lambda b: b[:-9], "cut short"), (lambda b: b[:12] + b"\xff" * 9, "damaged")])
    def test_broken_gzip(self, tmp_path, spoil, letter):
        path = tmp_path / "a.gz"
        path.write_bytes(spoil(gzip.compress(b"".join(b"%d\t" % i for i in range(99)), mtime=0)))
        with pytest.raises(FormatError, match=letter):
            _lines.read_text(path)

    def test_half_a_letter_of_utf_16(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_bytes("1\t2".encode("utf-16")[:-1])
        with pytest.raises(FormatError, match=r"a\.txt: begins as UTF-16 and is not"):
            _lines.read_text(path)


class TestNumbers:
    @pytest.mark.parametrize(
        ("lines", "options"),
        [
            (["1\t2.5", "-3e2\t4"], {}),
            (["1;2,5", "-300;4,0"], {"separator": ";", "decimal": ","}),
            (["1,2.5", "-300,4"], {"separator": ","}),
            (["  1   2.5 ", "-300\t4"], {"separator": None}),
        ],
    )
    def test_dialects_give_the_same(self, lines, options):
        assert _lines.numbers(lines, columns=2, subject="a", first_line=1, **options).tolist() == [[1.0, 2.5], [-300.0, 4.0]]

    def test_every_digit_is_kept(self):
        values = np.random.default_rng(0).standard_normal(300) * 10.0 ** np.arange(-150, 150)
        rows = ["\t".join(map(repr, row)) for row in values.reshape(100, 3).tolist()]
        assert np.array_equal(_lines.numbers(rows, columns=3, subject="a", first_line=1).ravel(), values)

    @pytest.mark.parametrize(
        ("lines", "letter"),
        [
            (["1\t2", "3\tx"], r"a\.txt: line 8 holds 'x' where a number is expected"),
            (["1\t2", "3\t"], r"a\.txt: line 8 holds '' where"),
            (["1\t2", "3"], r"a\.txt: line 8 has 1 fields, expected 2"),
            (["1\t2 3", "4\t5"], r"a\.txt: line 7 holds '2 3' where"),
            (["1 2\t3", "\t4"], r"a\.txt: line 7 holds '1 2' where"),  # as many numbers as places, in the wrong ones
        ],
    )
    def test_the_line_at_fault_is_named(self, lines, letter):
        with pytest.raises(FormatError, match=letter):
            _lines.numbers(lines, columns=2, subject="a.txt", first_line=7)

    def test_no_lines(self):
        assert _lines.numbers([], columns=4, subject="a", first_line=1).shape == (0, 4)


class _Listener:
    def __init__(self):
        self.heard = []

    def start(self, name, attributes):
        self.heard.append((name, attributes))

    def end(self, name):
        self.heard.append(name)

    def data(self, text):
        if text.strip():
            self.heard.append(text)


class TestXml:
    @pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
    def test_elements_text_and_attributes(self, tmp_path, encoding):
        path, target = tmp_path / "a.xml", _Listener()
        path.write_bytes('<n:a u="µ"><b>2 µm</b></n:a>'.encode(encoding))
        _xml.walk(path, target, subject="a.xml")
        assert target.heard == [("a", {"u": "µ"}), ("b", {}), "2 µm", "b", "a"]

    def test_a_letter_across_two_pieces(self, tmp_path):
        path, target = tmp_path / "a.xml", _Listener()
        path.write_bytes(b"<a>" + b"x" * (_xml._PIECE - 4) + "µ</a>".encode())
        _xml.walk(path, target, subject="a.xml")
        assert "".join(t for t in target.heard[1:-1]).endswith("xµ")

    @pytest.mark.parametrize(
        ("text", "letter"),
        [
            (b'<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>', r"a\.xml: declares a document type or an entity"),
            (b'<!DOCTYPE a SYSTEM "other.dtd"><a/>', "declares a document type"),
            (b"<a><b></a>", r"a\.xml: is not complete XML: mismatched tag in line 1, column"),
            (b"<a>\n<b>", r"not complete XML: no element found in line 2"),
            (b"", "not complete XML"),
            (b'<?xml version="1.0" encoding="nonsense"?><a/>', "nonsense|unknown encoding"),
        ],
    )
    def test_what_is_refused(self, tmp_path, text, letter):
        path = tmp_path / "a.xml"
        path.write_bytes(text)
        with pytest.raises(FormatError, match=letter):
            _xml.walk(path, _Listener(), subject="a.xml")


class TestRamanAxis:
    def test_shifts_stay(self):
        dim, coords = _raman_axis.spectral_axis(np.array([300.0, 200.0]), "1/cm", laser=None, subject="a")
        assert dim == "raman_shift"
        assert coords["raman_shift"][1].tolist() == [300.0, 200.0]

    def test_wavelengths_become_shifts_where_the_laser_is_known(self):
        dim, coords = _raman_axis.spectral_axis(np.array([500.0, 625.0]), "nm", laser=500.0, subject="a")
        assert dim == "raman_shift"
        assert coords["raman_shift"][1].tolist() == [0.0, 4000.0]  # 1e7 (1/500 − 1/625)
        assert coords["wavelength"][0] == "raman_shift"
        assert coords["wavelength"][1].tolist() == [500.0, 625.0]

    def test_without_the_laser_they_stay(self):
        assert _raman_axis.spectral_axis(np.array([500.0]), "nm", laser=None, subject="a")[0] == "wavelength"

    @pytest.mark.parametrize(
        ("values", "unit", "letter"),
        [
            ([1.0], "pixel", "the spectral axis is in 'pixel'; expected 1/cm or nm"),
            ([0.0], "nm", "reaches 0 nm; a wavelength is above 0"),
            ([np.nan], "1/cm", "holds NaN or infinity"),
        ],
    )
    def test_axes_without_meaning(self, values, unit, letter):
        with pytest.raises(FormatError, match=letter):
            _raman_axis.spectral_axis(np.array(values), unit, laser=532.0, subject="a")

    @pytest.mark.parametrize("laser", [0, -1, "532", True, np.inf])
    def test_lasers_without_meaning(self, laser):
        with pytest.raises(SsbmapsError, match="expected the wavelength of the laser in nm"):
            _raman_axis.parse_laser(laser, subject="a")


class TestDense:
    def found(self, path, **changes):
        data = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
        known = {
            "path": path,
            "data": data,
            "dims": ("y", "x", "raman_shift"),
            "units": "arbitrary",
            "long_name": "Raman intensity",
            "technique": "raman",
            "metadata": {"instrument": "planted"},
            "coords": {"raman_shift": np.array([300.0, 200.0])},
            "pixel": Pixel((0.5, 0.25), "file", None),
        }
        return _dense.Found(**(known | changes))

    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "a.bin"
        path.write_bytes(b"1")
        return path

    def test_contract(self, path):
        cube = _dense.array(self.found(path), arguments={"reader": "planted", "laser": None})
        assert cube.raman_shift.values.tolist() == [200.0, 300.0]
        assert cube.raman_shift.attrs == {"units": "1/cm", "long_name": "Raman shift"}
        assert cube.values[0, 0].tolist() == [1.0, 0.0]
        assert cube.y.values.tolist() == [0.25, 0.75]
        assert cube.x.values.tolist() == [0.125, 0.375, 0.625]
        assert cube.dtype == np.float32
        assert json.loads(cube.attrs["original_metadata"]) == {"instrument": "planted"}
        assert cube.attrs["history"].endswith('{"path": "a.bin", "reader": "planted"}')

    def test_measured_and_chunks(self, path):
        mask = np.array([[True, True, False], [True, True, True]])
        cube = _dense.array(self.found(path, measured=mask), arguments={}, chunks={"y": 1})
        assert cube.chunks == ((1, 1), (3,), (2,))
        assert np.array_equal(cube.measured.values, mask)
        with pytest.raises(SsbmapsError, match=r"chunks is \{'raman_shift': 1\}; expected rows of y"):
            _dense.array(self.found(path), arguments={}, chunks={"raman_shift": 1})

    def test_spectra_without_raster(self, path):
        places = {"y": ("point", np.array([1.0, 2.0]), {"units": "um"}), "x": ("point", np.array([0.0, 5.0]), {"units": "um"})}
        found = self.found(
            path,
            data=np.zeros((2, 2)),
            dims=("point", "raman_shift"),
            coords={"raman_shift": np.array([1.0, 2.0]), **places},
            pixel=None,
        )
        cube = _dense.array(found, arguments={})
        assert cube.dims == ("point", "raman_shift")
        assert "pixel_size_source" not in cube.attrs

    def test_an_axis_that_turns_back_is_refused(self, path):
        with pytest.raises(FormatError, match="coordinate raman_shift is not ascending"):
            _dense.array(self.found(path, coords={"raman_shift": np.array([2.0, 2.0])}), arguments={})

    @pytest.mark.parametrize(
        ("shape", "good"), [((1000, 1000), True), ((10**5, 10**5), False), ((0, 3), False), ((-1, 3), False)]
    )
    def test_sizes_are_compared_with_the_file(self, shape, good):
        if good:
            _dense.check_declared(shape, 4, file_size=100, subject="a.bin", what="the map")
            return
        with pytest.raises(FormatError, match=r"a\.bin: the map is declared as .* values, .* bytes; the file has 100 bytes"):
            _dense.check_declared(shape, 4, file_size=100, subject="a.bin", what="the map")


def test_which_data_set():
    assert _report.choose("a", ["one"], None) == "one"
    assert _report.choose("a", ["one", "two"], "two") == "two"
    assert _report.choose("a", ["one", "two"], None, default="two") == "two"
    with pytest.raises(SsbmapsError, match=r"a: the file holds 2 data sets: 'one', 'two'\. Say which: dataset='one'"):
        _report.choose("a", ["one", "two"], None)
    with pytest.raises(SsbmapsError, match="dataset is 'six'; the file holds 'one', 'two'"):
        _report.choose("a", ["one", "two"], "six")
    with pytest.raises(FormatError, match="holds no data set"):
        _report.choose("a", [], None)


def test_a_report_knows_its_axis():
    told = _report.report(technique="raman", dims=("y", "x", "raman_shift"), shape=(2, 3, 40), axis_range=(100.0, 900.0))
    assert (told["channels"], told["axis"], told["mz_range"]) == (40, "raman_shift", None)
    told = _report.report(technique="sem", dims=("y", "x"), shape=(2, 3))
    assert (told["channels"], told["axis"], told["channels_note"]) == (None, None, "no spectral axis")


class _Planted:
    """A reader for the harness itself: 8 bytes of magic, then values; `ways` are the ways in which it is wrong."""

    NAME, EXTENSIONS, TECHNIQUE = "planted", (".planted",), "raman"
    ways: frozenset[str] = frozenset()

    def sniff(self, path):
        return path.read_bytes().startswith(b"planted:")

    def info(self, path):
        return {"technique": self.TECHNIQUE, "dims": (), "file size": path.stat().st_size}

    def read(self, path, *, dataset=None, pixel_size=None, tilt=None, chunks=None, skip_bad=False):  # noqa: ARG002
        import warnings

        content = path.read_bytes()
        if not content.startswith(b"planted:") and "blind" not in self.ways:
            raise KeyError("magic") if "bare" in self.ways else FormatError(f"{path.name}: is not planted.")
        values = np.frombuffer(content[8:], np.uint8).astype(np.float32)
        if len(values) < 40 and "short" not in self.ways:
            warnings.warn("cut", RuntimeWarning if "strange" in self.ways else DataQualityWarning, stacklevel=2)
        if "greedy" in self.ways:
            np.ones(10**6)
        if len(values) < 40 and "garbled" in self.ways:
            values = values + 1
        whole = np.full(40, np.nan, np.float32)
        whole[: min(len(values), 40)] = values[:40]
        coords = {"raman_shift": np.arange(4.0)}
        found = _dense.Found(
            path,
            whole.reshape(2, 5, 4),
            ("y", "x", "raman_shift"),
            "arbitrary",
            "i",
            "raman",
            {},
            coords,
            Pixel((1, 1), "f", None),
        )
        return _dense.array(found, arguments={})


class TestHarness:
    """The judge is judged: each way of being wrong is found, and a right reader passes."""

    def fuzz(self, ways, tmp_path, monkeypatch):
        reader = _Planted()
        reader.ways = frozenset(ways)
        monkeypatch.setattr(_registry, "_module", lambda _: reader)

        def write(folder):
            path = folder / "a.planted"
            path.write_bytes(b"planted:" + bytes(range(40)))
            return path

        example = fuzzing["Example"]("planted", "wdf", write, boundaries=lambda content: range(8, len(content), 8))
        monkeypatch.setattr(_registry, "_MODULES", ("wdf",))
        return fuzzing["fuzz"](example, tmp_path, n_flips=60, seed=1)

    def test_a_right_reader_passes(self, tmp_path, monkeypatch):
        tally = self.fuzz((), tmp_path, monkeypatch)
        assert not tally.faults
        assert tally.outcomes["refused"] > 3
        assert tally.outcomes["other"] > 20
        assert tally.largest < 1

    @pytest.mark.parametrize(
        ("way", "fault"),
        [
            ("bare", "KeyError"),
            ("strange", "RuntimeWarning: cut"),
            ("short", "read in part without a warning"),
            ("greedy", "bytes of memory"),
            ("garbled", "other values than the whole"),
        ],
    )
    def test_every_wrong_reader_is_found(self, way, fault, tmp_path, monkeypatch):
        tally = self.fuzz((way,), tmp_path, monkeypatch)
        assert any(fault in f for f in tally.faults)

    def test_a_reader_that_hangs_is_interrupted(self, tmp_path, monkeypatch):
        import time

        monkeypatch.setitem(fuzzing["_deadline"].__wrapped__.__globals__, "SECONDS", 0.2)
        reader = _Planted()
        read = reader.read
        monkeypatch.setattr(_registry, "_module", lambda _: reader)
        monkeypatch.setattr(_registry, "_MODULES", ("wdf",))

        def slow(path, *, dataset=None, pixel_size=None, tilt=None, chunks=None, skip_bad=False):
            if path.stat().st_size < 48:
                time.sleep(5)
            return read(path, dataset=dataset, pixel_size=pixel_size, tilt=tilt, chunks=chunks, skip_bad=skip_bad)

        reader.read = slow
        path = tmp_path / "a.planted"
        path.write_bytes(b"planted:" + bytes(range(40)))
        example = fuzzing["Example"]("planted", "wdf", lambda _: path, boundaries=lambda _: [])
        tally = fuzzing["fuzz"](example, tmp_path, n_flips=0)
        assert any("TimeoutError: more than 0.2 s" in f for f in tally.faults)


def test_measured_points_survive_the_container(tmp_path):
    """A store of a spectra-only result comes back identical: `point`, `raman_shift` and places in um."""
    places = {"y": ("point", np.array([1.0, 2.0]), {"units": "um"}), "x": ("point", np.array([0.0, 5.0]), {"units": "um"})}
    cube = xr.DataArray(
        np.ones((2, 3), np.float32), dims=("point", "raman_shift"), coords={"raman_shift": [1.0, 2.0, 3.0], **places}
    )
    assert io.load(io.save(cube, tmp_path / "a.zarr")).identical(cube)


def test_zlib_is_the_only_thing_inside_a_gzip(tmp_path):
    """Two members one after the other: what follows the first is not silently left out."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"1\n", mtime=0) + gzip.compress(b"2\n", mtime=0))
    assert zlib.decompressobj(31).decompress(path.read_bytes()) == b"1\n"
    with pytest.raises(FormatError, match="holds more than one packed part"):
        _lines.read_text(path)
