"""OME-TIFF and ImageJ hyperstacks: what is written reads back as it was, here and in tifffile; no number is narrowed silently."""

from __future__ import annotations

import runpy
import warnings
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import sparse
import tifffile
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ssbmaps
from ssbmaps import io
from ssbmaps.io import _tiff_note, _write_tiff

files = runpy.run_path(str(Path(__file__).with_name("files_images.py")), run_name="files_images")
ENDINGS = pytest.mark.parametrize("ending", [".ome.tif", ".tif"])


def raster(ny, nx, *, pixel=(0.1, 0.2), first=(0.0, 0.0)):
    """Coordinates y, x as the contract has them, cropped so that the map begins at `first`."""
    values = [first[k] + (np.arange(n) + 0.5) * pixel[k] for k, n in enumerate((ny, nx))]
    return {d: (d, v, {"units": "um"}) for d, v in zip("yx", values, strict=True)}


def one(values, *, first=(0.0, 0.0), **attrs):
    """A (y, x) map."""
    values = np.asarray(values)
    return xr.DataArray(values, dims=("y", "x"), coords=raster(*values.shape, first=first), attrs={"units": "counts", **attrs})


def same(read, original):
    """Values, types, dims, coordinates with their attributes, and the attributes that are the data's own."""
    xr.testing.assert_equal(read.drop_attrs(), original.drop_attrs())
    assert read.dims == original.dims
    assert read.dtype == original.dtype
    assert read.name == original.name
    for name, coord in original.coords.items():
        assert read[name].dtype == coord.dtype or coord.dtype.kind in "OU"
        assert coord.attrs.items() <= read[name].attrs.items()  # a spectral axis gets the contract's long name
    for key, value in original.attrs.items():
        if key != "history":
            np.testing.assert_array_equal(read.attrs[key], value)
    assert read.attrs["history"].startswith(original.attrs.get("history", "ssbmaps.io.read"))
    assert read.attrs["history"].splitlines()[-1].startswith("ssbmaps.io.read")


@ENDINGS
def test_what_is_written_reads_back_as_it_was(tmp_path, ending):
    original = files["array"]().assign_attrs(flag_values=np.array([0, 1, 2], np.int16), k=0.1, n=3, s=np.float32(0.1))
    path = io.save(original.rename("counts"), tmp_path / f"a{ending}")
    same(io.read(path), original.rename("counts"))
    np.testing.assert_array_equal(io.read(path).measured, original.measured)
    assert type(io.read(path).attrs["s"]) is np.float32
    again = io.save(io.read(path), tmp_path / f"b{ending}")
    xr.testing.assert_equal(io.read(again), io.read(path))


@ENDINGS
@pytest.mark.parametrize("container", ["sparse", "dask", "transposed"])
def test_every_container_gives_the_same_file(tmp_path, ending, container):
    dense = files["array"]()
    given_ = {
        "sparse": dense.copy(data=sparse.COO.from_numpy(dense.values)),
        "dask": dense.chunk({"y": 4}),
        "transposed": dense.transpose("x", "time", "y", "fragment"),
    }[container]
    first, second = (io.save(a, tmp_path / f"{n}{ending}").read_bytes() for n, a in (("a", dense), ("b", given_)))
    assert first == second


def test_tifffile_finds_axes_scale_and_names_in_ome(tmp_path):
    original = files["array"]()
    with tifffile.TiffFile(io.save(original, tmp_path / "a.ome.tif")) as file:
        assert (file.is_ome, file.series[0].axes, file.series[0].shape) == (True, "TCYX", original.shape)
        np.testing.assert_array_equal(file.series[0].asarray(), original.values)
        text = file.ome_metadata
    pixels = next(e for e in ET.fromstring(text).iter() if e.tag.endswith("Pixels"))
    assert float(pixels.get("PhysicalSizeX")) == pytest.approx(0.2, rel=1e-12)
    assert float(pixels.get("PhysicalSizeY")) == pytest.approx(0.1, rel=1e-12)
    assert (pixels.get("PhysicalSizeXUnit"), pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit")) == ("µm", "2.5", "s")
    assert [e.get("Name") for e in pixels if e.tag.endswith("Channel")] == ["PO3-", "S-", "Cl-"]


@ENDINGS
def test_scans_and_channels_are_told_apart_without_the_note(tmp_path, ending):
    """Two dims of different length and a plane of its own for each: the order of planes is what the description says."""
    original = files["array"]().rename(time="scan").transpose("fragment", "scan", "y", "x").drop_vars("measured")
    path = io.save(original, tmp_path / f"a{ending}")
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "ZCYX"
        np.testing.assert_array_equal(file.series[0].asarray(), original.transpose("scan", "fragment", "y", "x").values)
    path.write_bytes(path.read_bytes().replace(b"ssbmaps.io.tiff", b"another program"))
    if ending == ".ome.tif":  # as another program's file
        read = io.read(path)
        assert read.dims == ("z", "band", "y", "x")
        assert read.band.values.tolist() == ["PO3-", "S-", "Cl-"]
        np.testing.assert_array_equal(read.values, original.transpose("scan", "fragment", "y", "x").values)


def test_tifffile_finds_axes_scale_and_labels_in_imagej(tmp_path):
    original = files["array"]()
    with tifffile.TiffFile(io.save(original, tmp_path / "a.tif")) as file:
        assert (file.is_imagej, file.series[0].axes, file.series[0].shape) == (True, "TCYX", original.shape)
        np.testing.assert_array_equal(file.series[0].asarray(), original.values)
        told = file.imagej_metadata
        x, y = file.pages[0].resolution
    assert (x, y) == pytest.approx((5.0, 10.0), rel=1e-6)
    assert (told["unit"], told["channels"], told["frames"], told["finterval"]) == ("micron", 3, 2, 2.5)
    assert told["Labels"][:4] == ["0 s; PO3-", "0 s; S-", "0 s; Cl-", "2.5 s; PO3-"]


def test_hyperspy_finds_the_scale_of_an_imagej_file(tmp_path):
    tiff = pytest.importorskip("rsciio.tiff")
    path = io.save(one(np.arange(12, dtype=np.float32).reshape(3, 4)), tmp_path / "a.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (theirs,) = tiff.file_reader(str(path))
    assert [a["scale"] for a in theirs["axes"]] == pytest.approx([0.1, 0.2], rel=1e-6)
    assert [a["units"] for a in theirs["axes"]] == ["µm", "µm"]


@ENDINGS
@pytest.mark.parametrize("dims", [("scan", "fragment"), ("scan", "z"), ("component",), ("mz",), ("sample", "time", "line"), ()])
def test_dims_find_their_axes_and_come_back(tmp_path, ending, dims):
    shape = (*range(2, 2 + len(dims)), 5, 7)
    order = tuple(d for d in dims if d != "mz")
    original = xr.DataArray(
        np.arange(np.prod(shape), dtype=np.uint16).reshape(shape),
        dims=(*dims, "y", "x"),
        coords=raster(5, 7),
        attrs={"units": "counts"},
    )
    if "mz" in dims:
        original = original.transpose(*order, "y", "x", "mz")
        original = original.assign_coords(mz=("mz", [24.0, 32.0], {"units": "Da"}))
    read = io.read(io.save(original, tmp_path / f"a{ending}"))
    assert read.sizes == original.sizes
    np.testing.assert_array_equal(read.transpose(*original.dims).values, original.values)


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.uint32, np.int8, np.int16, np.int32, np.float32, np.float64, bool, np.int64]
)
@ENDINGS
def test_number_types_come_back(tmp_path, ending, dtype):
    values = np.array([[0, 1, 2], [7, 100, 3]]).astype(dtype)
    same(io.read(io.save(one(values), tmp_path / f"a{ending}")), one(values))


def test_missing_stays_missing(tmp_path):
    values = np.array([[np.nan, 1.5, -np.inf], [0.25, -3, 0]])
    for ending in (".tif", ".ome.tif"):
        same(io.read(io.save(one(values), tmp_path / f"a{ending}")), one(values))
    assert tifffile.imread(tmp_path / "a.tif").dtype == np.float32


@pytest.mark.parametrize(
    ("values", "imagej", "ome"),
    [
        (np.array([[70_000, 1]], np.uint32), "float32", "uint32"),  # a float32 holds it exactly
        (np.array([[2**24 + 1, 1]], np.uint32), None, "uint32"),
        (np.array([[-5, 1]]), "float32", "int8"),
        (np.array([[2**40, 1]]), "float32", "float32"),
        (np.array([[2**53 + 1, 1]]), None, None),
        (np.array([[2**63, 1]], np.uint64), "float32", "float32"),
        (np.array([[2**64 - 1, 1]], np.uint64), None, None),
        (np.array([[0.1, 1]]), None, "float64"),
        (np.array([[1e300, 1]]), None, "float64"),
        (np.array([[0.5, 1]]), "float32", "float64"),
    ],
)
def test_nothing_is_narrowed_silently(tmp_path, values, imagej, ome):
    map_ = one(np.repeat(values, 2, axis=0))
    for ending, kind in ((".tif", imagej), (".ome.tif", ome)):
        path = tmp_path / f"a{ending}"
        if kind is None:
            with pytest.raises(ssbmaps.SsbmapsError, match=r"do not fit .* exactly; round them first"):
                io.save(map_, path)
            assert not path.exists()
        else:
            same(io.read(io.save(map_, path)), map_)
            with tifffile.TiffFile(path) as file:
                assert file.pages[0].dtype == kind


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.integers(0, 2**16 - 1), min_size=12, max_size=12),
    pixel=st.tuples(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3)),
    first=st.tuples(st.floats(0, 100), st.floats(0, 100)),
)
def test_places_of_a_cropped_map_are_exact(tmp_path, values, pixel, first):
    map_ = xr.DataArray(
        np.array(values, np.uint16).reshape(3, 4),
        dims=("y", "x"),
        coords=raster(3, 4, pixel=pixel, first=first),
        attrs={"units": "counts"},
    )
    for ending in (".tif", ".ome.tif"):
        same(io.read(io.save(map_, tmp_path / f"a{ending}", overwrite=True)), map_)


def test_faults_come_at_once(tmp_path):
    five = xr.DataArray(np.zeros((1, 1, 1, 1, 2, 2)), dims=("sample", "time", "scan", "fragment", "y", "x"))
    five = five.assign_attrs(bad={"a": 1})
    with pytest.raises(
        ssbmaps.SsbmapsError, match=r"(?s)3 faults.*'bad' is .*no coordinates y and x.*an image has three at most beside y and x"
    ):
        io.save(five, tmp_path / "a.tif")
    uneven = one(np.zeros((2, 3))).assign_coords(x=("x", [0.0, 1.0, 5.0]))
    with pytest.raises(ssbmaps.SsbmapsError, match="coordinate x is not evenly spaced"):
        io.save(uneven, tmp_path / "a.ome.tif")
    with pytest.raises(ssbmaps.SsbmapsError, match="dimension y, x is missing"):
        io.save(xr.DataArray([1.0], dims="mz"), tmp_path / "a.tif")
    with pytest.raises(ssbmaps.SsbmapsError, match="values are of type complex128"):
        io.save(one(np.ones((2, 2), complex)), tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())


def test_a_mass_spectral_cube_does_not_become_an_image_of_many_gigabytes(tmp_path):
    cube = xr.DataArray(
        sparse.COO(np.zeros((3, 0), int), np.zeros(0, np.uint32), shape=(512, 512, 40_000)), dims=("y", "x", "mz")
    )
    cube = cube.assign_coords(raster(512, 512))
    for ending in (".tif", ".ome.tif"):
        with pytest.raises(ssbmaps.SsbmapsError, match=r"would be 39\.1 GiB as dense planes; make maps first"):
            io.save(cube, tmp_path / f"a{ending}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ssbmaps_note": 2}, "version 2"),
        ({"dims": ["x", "y"]}, "dims, shape or type"),
        ({"dtype": "<c16"}, "dims, shape or type"),
        ({"coords": {"y": {"dims": ["y"], "values": {"dtype": "<f8", "shape": [9], "values": []}, "attrs": {}}}}, "9,"),
        ({"coords": {"y": {"dims": ["q"], "values": {}, "attrs": {}}}}, "KeyError"),
        ({"attrs": []}, "AttributeError"),
    ],
)
def test_a_damaged_note_is_a_letter(change, message):
    import json

    note = json.loads(_tiff_note.encode(one(np.zeros((2, 3))), ("y", "x"))) | change
    with pytest.raises(ssbmaps.FormatError, match=rf"a\.tif: the note of ssbmaps in it is damaged .*{message}"):
        _tiff_note.decode(json.dumps(note), subject="a.tif")


def test_a_file_that_another_program_changed_is_told(tmp_path):
    path = io.save(files["array"](), tmp_path / "a.tif")
    with tifffile.TiffFile(path) as file:
        told = dict(file.imagej_metadata)
    tifffile.imwrite(
        path, np.zeros((3, 10, 7), np.uint8), imagej=True, metadata={"axes": "CYX", "unit": "um", "Info": told["Info"]}
    )
    with pytest.raises(ssbmaps.FormatError, match="tells of 2 x 3 x 10 x 7 values, the file holds 3 planes of 10 x 7"):
        io.read(path)


def test_long_coordinates_are_packed_and_bounded():
    packed = _tiff_note._pack(np.zeros(10**6))
    assert len(packed["packed"]) < 20_000
    packed["shape"] = [4]  # a bomb: what is declared bounds what is unpacked
    np.testing.assert_array_equal(_tiff_note._unpack(packed, (4,)), np.zeros(4))
    nothing = _write_tiff.fitting(np.zeros((0, 2), np.int64), ["uint8", "float32"])
    assert (nothing.dtype, nothing.shape) == (np.float32, (0, 2))
