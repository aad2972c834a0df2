"""TIFF: planted numbers of every kind come back, scales are stated or missing, and damaged files are refused by a letter."""

from __future__ import annotations

import json
import runpy
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import xarray as xr

from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, io
from ssbmaps.io import _tiff_file, _tiff_pixels
from ssbmaps.io import tiff as tiff_reader

files = runpy.run_path(str(Path(__file__).with_name("files_images.py")), run_name="files_images")
planted, by_hand, tags_of = files["planted"], files["by_hand"], files["tags_of"]
EXAMPLES = {e.name: e for e in files["EXAMPLES"]}
ROWS, COLUMNS = files["ROWS"], files["COLUMNS"]

# name → (values, dims, pixel size (y, x) in um, rows of the scan)
MADE = {
    "zeiss": (planted()[0], ("y", "x"), (5e-3 * 1024 / 7,) * 2, None),
    "fei": (planted(dtype=np.uint16)[0], ("y", "x"), (0.01, 0.02), 8),
    "tescan": (planted()[0], ("y", "x"), (0.04, 0.03), 8),
    "jeol": (planted()[0], ("y", "x"), (0.2, 0.2), 9),
    "hitachi": (planted()[0], ("y", "x"), (0.0248, 0.0248), None),
    "plain": (files["plain_values"](), ("page", "y", "x"), (0.25, 0.25), None),
    "imagej": (planted(12, np.uint16).reshape(2, 3, 2, ROWS, COLUMNS), ("time", "z", "band", "y", "x"), (0.5, 0.25), None),
    "ome": (planted(6, np.uint16).reshape(2, 3, ROWS, COLUMNS), ("time", "band", "y", "x"), (0.2, 0.1), None),
    "tiles": (planted(1, np.int16, (40, 50))[0], ("y", "x"), (0.254, 0.254), None),
    "colour": (planted(3), ("band", "y", "x"), (0.25, 0.25), None),
    "packbits": (planted()[0], ("y", "x"), (0.25, 0.25), None),
    "lzw": (files["lzw_values"](), ("y", "x"), (0.25, 0.25), None),
    "ours": (planted(6, np.int64).reshape(2, 3, ROWS, COLUMNS), ("time", "fragment", "y", "x"), (0.1, 0.2), None),
    "ours_ome": (planted(6, np.int64).reshape(2, 3, ROWS, COLUMNS), ("time", "fragment", "y", "x"), (0.1, 0.2), None),
}


def steps(array):
    """Pixel size (y, x) by the coordinates."""
    return tuple(float(array[d].values[1] - array[d].values[0]) for d in "yx")


@pytest.mark.parametrize("name", EXAMPLES)
def test_planted_numbers_come_back(tmp_path, name):
    values, dims, pixel, rows = MADE[name]
    path = EXAMPLES[name].write(tmp_path)
    read = io.read(path)
    assert read.dims == dims
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read.values, values)
    np.testing.assert_allclose(steps(read), pixel, rtol=1e-12)
    np.testing.assert_allclose(read.x.values[0], pixel[1] / 2, rtol=1e-12)
    if rows is not None:
        np.testing.assert_array_equal(read.measured.values, np.broadcast_to(np.arange(ROWS)[:, None] < rows, (ROWS, COLUMNS)))
    told = io.info(path)
    assert (told["format"], told["dims"], told["shape"]) == ("TIFF", read.dims, read.shape)
    np.testing.assert_allclose(told["pixel_size"], pixel, rtol=1e-12)
    assert told["technique"] == read.attrs.get("technique")
    lazy = io.read(path, chunks={"y": 4})
    assert max(lazy.chunksizes["y"]) == 4
    np.testing.assert_array_equal(lazy.compute().values, values)


@pytest.mark.parametrize("name", EXAMPLES)
def test_tifffile_reads_the_same_pixels(tmp_path, name):
    path = EXAMPLES[name].write(tmp_path)
    if name == "lzw":
        from PIL import Image

        theirs = np.asarray(Image.open(path))
    else:
        theirs = tifffile.imread(path)
    ours = io.read(path)
    np.testing.assert_array_equal(np.squeeze(theirs).astype(ours.dtype), np.squeeze(ours.values))


@pytest.mark.parametrize("name", EXAMPLES)
def test_damaged_files_are_refused_or_right(tmp_path, name):
    tally = sys.modules["fuzzing"].fuzz(EXAMPLES[name], tmp_path, n_flips=30, n_cuts=30)
    assert not tally.faults, tally.faults[:3]
    assert tally.outcomes["refused"] >= 20


@pytest.mark.parametrize(
    ("name", "maker", "energy"),
    [
        ("zeiss", "Zeiss", 5000.0),
        ("fei", "FEI/Thermo", 2000.0),
        ("tescan", "Tescan", 15000.0),
        ("jeol", "JEOL", 15000.0),
        ("hitachi", "Hitachi", 5000.0),
    ],
)
def test_microscopes_tell_their_settings_and_no_person(tmp_path, name, maker, energy):
    read = io.read(EXAMPLES[name].write(tmp_path))
    assert read.attrs["technique"] == "sem"
    assert read.attrs["beam_energy"] == energy
    assert read.attrs["units"] == "arbitrary"
    assert "tilt" not in read.attrs  # the stage's tilt is not the angle of the section
    metadata = read.attrs["original_metadata"]
    assert json.loads(metadata)["maker"] == maker
    assert "somebody" not in metadata.lower()


def test_series_have_their_coordinates(tmp_path):
    stack = io.read(EXAMPLES["imagej"].write(tmp_path))
    np.testing.assert_array_equal(stack.time, [0.0, 0.5])
    np.testing.assert_array_equal(stack.z, [0.0, 1.5, 3.0])
    assert stack.band.values.tolist() == ["Ni", "S"]
    assert (stack.time.attrs["units"], stack.z.attrs["units"]) == ("s", "um")
    assert "technique" not in stack.attrs
    series = io.read(EXAMPLES["ome"].write(tmp_path))
    np.testing.assert_array_equal(series.time, [0.0, 2.0])
    assert series.band.values.tolist() == ["Ni", "S", "P"]
    assert io.read(EXAMPLES["colour"].write(tmp_path)).band.values.tolist() == ["R", "G", "B"]


def test_a_text_beside_the_image_may_be_missing(tmp_path):
    path = EXAMPLES["jeol"].write(tmp_path)
    path.with_suffix(".txt").unlink()
    with pytest.raises(FormatError, match=r"jeol\.tif: no pixel size .* never guesses a pixel size"):
        io.read(path)
    read = io.read(path, pixel_size=(0.1, 0.2))
    assert steps(read) == pytest.approx((0.1, 0.2))
    assert "technique" not in read.attrs
    assert "measured" not in read.coords


def test_a_tescan_header_may_lie_beside_the_image(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, planted()[0], metadata=None)
    (tmp_path / "image-tif.hdr").write_text("[MAIN]\nPixelSizeX=1e-7\nPixelSizeY=2e-7\n[SEM]\nHV=5000\n")
    assert steps(io.read(path)) == pytest.approx((0.2, 0.1))
    named = b"\0\1[MAIN]\nPixelSizeX=3e-7\nPixelSizeY=4e-7\n"  # the names of the sections in the tag itself
    tifffile.imwrite(path, planted()[0], extratags=[(50431, 1, len(named), named, True)], metadata=None)
    assert steps(io.read(path)) == pytest.approx((0.4, 0.3))


@pytest.mark.parametrize(("dots", "unit"), [(72, "INCH"), (300, "INCH"), (4800, "INCH"), (118, "CENTIMETER")])
def test_a_resolution_for_printing_is_no_scale(tmp_path, dots, unit):
    path = tmp_path / "print.tif"
    tifffile.imwrite(path, planted()[0], resolution=(dots, dots), resolutionunit=unit, metadata=None)
    with pytest.raises(FormatError, match=r"pixels per inch is one for printing, and no scale"):
        io.read(path)
    told = io.info(path)
    assert told["pixel_size"] is None
    assert "one for printing" in told["warnings"][0]


@pytest.mark.parametrize(
    ("unit", "um"), [("nm", 1e-3), ("micron", 1.0), ("\\u00B5m", 1.0), ("cm", 1e4), ("pixel", None), ("", None)]
)
def test_imagej_units(tmp_path, unit, um):
    path = tmp_path / "unit.tif"
    tifffile.imwrite(path, planted()[0], description=f"ImageJ=1.54f\nunit={unit}\n", resolution=(4, 2), metadata=None)
    if um is None:
        with pytest.raises(FormatError, match="no pixel size"):
            io.read(path)
    else:
        assert steps(io.read(path)) == pytest.approx((0.5 * um, 0.25 * um))


def test_imagej_stacks_of_more_than_four_gigabytes_have_one_page(tmp_path):
    path = tmp_path / "long.tif"
    text = "ImageJ=1.54f\nimages=3\nslices=3\nunit=um\n"
    values = planted(3, np.uint16)
    by_hand(
        path,
        [values.tobytes()],
        tags_of(extra={258: (3, [16]), 270: (2, text), 279: (4, [values[0].nbytes]), 282: (5, [4, 1]), 283: (5, [4, 1])}),
    )
    read = io.read(path)
    assert read.dims == ("z", "y", "x")
    np.testing.assert_array_equal(read.values, values)
    path.write_bytes(path.read_bytes().replace(b"images=3", b"images=9").replace(b"slices=3", b"slices=9"))
    with pytest.raises(FormatError, match=r"the pixels of 9 images .* cut short"):
        io.read(path)


def test_an_ome_page_that_is_missing_is_not_zero(tmp_path):
    path = EXAMPLES["ome"].write(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'SizeT="2"', b'SizeT="3"'))
    with pytest.raises(FormatError, match="declares 9 planes and the file has 6 pages"):
        io.read(path)
    path.write_bytes(content.replace(b'IFD="0" PlaneCount="6"', b'IFD="0" PlaneCount="5"'))
    with pytest.raises(FormatError, match="1 of 6 planes are not in the file; missing is not zero"):
        io.read(path)
    path.write_bytes(content.replace(b"XYZCT", b"XYCTZ"))
    np.testing.assert_array_equal(io.read(path).values, MADE["ome"][0])  # Z has one step
    path.write_bytes(content.replace(b"XYZCT", b"XYZTC"))
    swapped = planted(6, np.uint16).reshape(3, 2, ROWS, COLUMNS).transpose(1, 0, 2, 3)
    np.testing.assert_array_equal(io.read(path).values, swapped)


def test_ome_in_other_hands(tmp_path):
    path = EXAMPLES["ome"].write(tmp_path)
    content = path.read_bytes()
    # the parser counts the bytes of the declaration: comments keep the length of the text
    entity = content.replace(b'<?xml version="1.0" encoding="UTF-8"?>', b'<!DOCTYPE OME [<!ENTITY a "aaaaa">]>  ')
    assert len(entity) == len(content)
    path.write_bytes(entity)
    with pytest.raises(FormatError, match="declares a document type or an entity"):
        io.read(path)
    path.write_bytes(content.replace(b"</Pixels>", b"</Pixel >"))
    with pytest.raises(FormatError, match="OME description: is not complete XML"):
        io.read(path)
    path.write_bytes(content.replace(b'SizeX="7"', b'SizeX="8"'))
    with pytest.raises(FormatError, match="OME declares 10 x 8 pixels of 1 samples, the pages have 10 x 7 of 1"):
        io.read(path)


def test_two_ome_images_are_two_datasets(tmp_path):
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for name, plane in zip(("SE", "BSE"), planted(2, np.uint16), strict=True):
            writer.write(plane, metadata={"Name": name, "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1})
    assert io.info(path)["datasets"] == ("SE", "BSE")
    with pytest.raises(SsbmapsError, match=r"holds 2 data sets: 'SE', 'BSE'"):
        io.read(path)
    np.testing.assert_array_equal(io.read(path, dataset="BSE").values, planted(2, np.uint16)[1])


def test_pages_of_other_sizes_are_datasets_and_previews_are_left_out(tmp_path):
    path = tmp_path / "several.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(planted()[0], metadata=None, **files["PER_CM"])
        writer.write(planted(shape=(5, 3))[0], metadata=None, subfiletype=1)
    np.testing.assert_array_equal(io.read(path).values, planted()[0])
    with tifffile.TiffWriter(path) as writer:
        writer.write(planted()[0], metadata=None, **files["PER_CM"])
        writer.write(planted(shape=(5, 3))[0], metadata=None, **files["PER_CM"])
    assert io.info(path)["datasets"] == ("10 x 7, uint8", "5 x 3, uint8")
    np.testing.assert_array_equal(io.read(path, dataset="5 x 3, uint8").values, planted(shape=(5, 3))[0])


def test_palettes_and_inverted_images(tmp_path):
    path = tmp_path / "palette.tif"
    ramp = np.arange(256, dtype=np.uint16) * 257
    tifffile.imwrite(path, planted()[0], photometric="palette", colormap=np.stack([ramp] * 3), metadata=None, **files["PER_CM"])
    assert io.read(path).dims == ("y", "x")  # grey shown as grey
    colours = np.stack([ramp, ramp[::-1], 0 * ramp])
    tifffile.imwrite(path, planted()[0], photometric="palette", colormap=colours, metadata=None, **files["PER_CM"])
    read = io.read(path)
    assert read.dims == ("band", "y", "x")
    np.testing.assert_array_equal(read.values, np.stack([planted()[0], 255 - planted()[0], 0 * planted()[0]]))
    tifffile.imwrite(path, planted()[0], photometric="miniswhite", metadata=None, **files["PER_CM"])
    with pytest.warns(DataQualityWarning, match="shown with 0 as white"):
        read = io.read(path)
    np.testing.assert_array_equal(read.values, planted()[0])


def test_transparency_is_left_out(tmp_path):
    path = tmp_path / "alpha.tif"
    values = np.moveaxis(planted(4), 0, -1)
    tifffile.imwrite(path, values, photometric="rgb", extrasamples=["unassalpha"], metadata=None, **files["PER_CM"])
    np.testing.assert_array_equal(io.read(path).values, planted(3))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_packed_floats_with_differences(tmp_path, dtype, order):
    """The layout of the predictor for floats: bytes of a row sorted by significance, then differences; checked by hand."""
    values = np.linspace(-3, 7, 70).reshape(ROWS, COLUMNS).astype(dtype)
    width = values.itemsize
    sorted_bytes = values.astype(f">f{width}").view(np.uint8).reshape(ROWS, COLUMNS, width).transpose(0, 2, 1).reshape(ROWS, -1)
    steps_ = np.diff(sorted_bytes.astype(np.int16), axis=1, prepend=0).astype(np.uint8)
    path = by_hand(
        tmp_path / "floats.tif",
        [zlib.compress(steps_.tobytes())],
        tags_of(compression=8, extra={258: (3, [8 * width]), 317: (3, [3]), 339: (3, [3])}),
        order=order,
    )
    np.testing.assert_array_equal(io.read(path).values, values)


def test_lzw_of_a_large_image_uses_all_code_widths(tmp_path):
    from PIL import Image

    values = np.random.default_rng(1).integers(0, 200, (90, 121), np.uint8)
    path = tmp_path / "noise.tif"
    Image.fromarray(values).save(path, compression="tiff_lzw")
    np.testing.assert_array_equal(io.read(path, pixel_size=1).values, values)


FIRST = 8 + ROWS * COLUMNS  # where by_hand puts the directory of one strip


@pytest.mark.parametrize(
    ("strips", "extra", "after", "message"),
    [
        ([planted().tobytes()], {}, FIRST, "directories run in a circle"),
        ([planted().tobytes()], {}, 10**6, "directory 2 should be .* cut short"),
        ([planted().tobytes()[:-1]], {}, 0, "holds fewer pixels than its size asks for"),
        (
            [planted().tobytes()],
            {256: (4, [2**31]), 257: (4, [2**31])},
            0,
            "is declared as 1 x 2147483648 x 2147483648 x 1 values",
        ),
        ([planted().tobytes()], {256: (4, [0])}, 0, "is 10 x 0 pixels of 1 samples"),
        ([planted().tobytes()], {258: (3, [12])}, 0, r"samples of \[12\] bits"),
        ([planted().tobytes()], {259: (3, [7])}, 0, "is packed with JPEG; .* Save it without compression"),
        ([planted().tobytes()], {259: (3, [8])}, 0, "its pixels cannot be unpacked"),
        ([zlib.compress(bytes(60))], {259: (3, [8])}, 0, "holds fewer pixels than its size asks for"),
        ([planted().tobytes()], {262: (3, [5])}, 0, "its colours are of kind 5"),
        ([planted().tobytes()], {266: (3, [2])}, 0, "stored in reverse order"),
        ([planted().tobytes()], {278: (4, [5])}, 0, "needs 2 strips or tiles, but lists 1 places and 1 sizes"),
        ([planted().tobytes()], {273: (4, [10**6])}, 0, "the pixels of broken.tif: page 1 should be 70 bytes from byte 1000000"),
        ([planted().tobytes()], {317: (3, [9]), 259: (3, [32773])}, 0, "holds fewer pixels|predictor is 9"),
    ],
)
def test_broken_files_get_a_letter(tmp_path, strips, extra, after, message):
    path = by_hand(tmp_path / "broken.tif", strips, tags_of(extra=extra), after=after)
    with pytest.raises(FormatError, match=message):
        io.read(path)


def test_a_bomb_is_not_unpacked(tmp_path):
    """A strip that unpacks to a thousand times of what the page needs: no more is unpacked than the page needs."""
    bomb = zlib.compress(bytes(50_000_000))
    path = by_hand(tmp_path / "bomb.tif", [bomb], tags_of(compression=8))
    file = _tiff_file.TiffFile(path)
    assert len(_tiff_pixels._unpacked(file.pages[0], bomb, 70)) == 70
    np.testing.assert_array_equal(io.read(path).values, np.zeros((ROWS, COLUMNS)))
    path = by_hand(tmp_path / "bomb.tif", [bomb], tags_of(10_000, 100_000, compression=8, rows_in_strip=10_000))
    with pytest.raises(FormatError, match="is declared as 1 x 10000 x 100000 x 1 values"):
        io.read(path)


def test_what_is_no_tiff_is_not_claimed(tmp_path):
    for content in (b"II", b"II*\0", b"MM*\0aaaa", b"%PDF-1.4", b""):
        (tmp_path / "x.tif").write_bytes(content)
        assert tiff_reader.sniff(tmp_path / "x.tif") == (content == b"II*\0")


def test_the_caller_overrules_and_it_is_recorded(tmp_path):
    path = EXAMPLES["fei"].write(tmp_path)
    read = io.read(path, pixel_size=0.5, tilt=30)
    assert steps(read) == pytest.approx((1.0, 0.5))
    assert read.attrs["tilt"] == 30
    assert "caller; the file: 0.01 um (y), 0.02 um (x)" in read.attrs["pixel_size_source"]
    ours = EXAMPLES["ours_ome"].write(tmp_path)
    assert steps(io.read(ours, pixel_size=0.5)) == pytest.approx((0.5, 0.5))
    with pytest.raises(SsbmapsError, match=r"a tilt of 52\.0° is in its y already"):
        io.read(ours, tilt=52)


def test_a_contradicting_field_of_view_is_refused(tmp_path):
    path = EXAMPLES["zeiss"].write(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"Width = 5.120", b"Width = 9.120"))
    with pytest.raises(FormatError, match=r"contradicts the extent x 9\.12 um"):
        io.read(path)


def test_hyperspys_own_images_have_their_scale(tmp_path):
    hs = pytest.importorskip("hyperspy.api")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signal = hs.signals.Signal2D(planted(3, np.uint16))
        for axis, scale in zip(signal.axes_manager._axes, (2.0, 0.5, 0.25), strict=True):
            axis.scale, axis.units = scale, "um"
        signal.save(tmp_path / "hyperspy.tif")
    read = io.read(tmp_path / "hyperspy.tif")
    assert read.dims == ("z", "y", "x")
    assert steps(read) == pytest.approx((0.5, 0.25), rel=1e-7)
    np.testing.assert_array_equal(read.values, planted(3, np.uint16))


@pytest.mark.parametrize("real", files["REAL"], ids=lambda r: r.file)
def test_real_files_hold_what_is_stated(real):
    if not real.path.exists():
        pytest.skip("the real files are not part of the project")
    for figure, stated, found, equal in real.compare():
        assert equal, (figure, stated, found)
    tiff = pytest.importorskip("rsciio.tiff")
    (theirs,) = tiff.file_reader(str(real.path))
    ours = io.read(real.path)
    np.testing.assert_array_equal(ours.values, theirs["data"])
    assert steps(ours) == pytest.approx([a["scale"] * 1e6 for a in theirs["axes"]], rel=1e-9)
    assert isinstance(ours, xr.DataArray)


def test_the_real_info_bar_is_not_measured():
    path = files["REAL"][0].path
    if not path.exists():
        pytest.skip("the real files are not part of the project")
    read = io.read(path)
    assert read.measured.sum("y").values.tolist() == [442] * 512
    assert read.attrs["beam_energy"] == 5000.0
    assert "supervisor" not in read.attrs["original_metadata"]


def test_channels_of_several_colours_are_refused(tmp_path):
    path = tmp_path / "colours.ome.tif"
    values = np.moveaxis(planted(6).reshape(2, 3, ROWS, COLUMNS), 1, -1)
    tifffile.imwrite(path, values, photometric="rgb", metadata={"axes": "CYXS", "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0})
    with pytest.raises(FormatError, match="each of its channels has 3 colours"):
        io.read(path)
