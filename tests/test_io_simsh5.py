"""SIMS-H5: planted entries come back in the right place, the PowerCo file gives the manifest's numbers, faults are named."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ssbmaps
from ssbmaps import io
from ssbmaps._arrays import to_csr, to_dense, window_sums
from ssbmaps.io._simsh5_file import opened

files = runpy.run_path(str(Path(__file__).with_name("io_files.py")), run_name="io_files")
write, ENTRIES = files["write_simsh5"], files["SIMSH5_ENTRIES"]
POWERCO = Path(__file__).parents[2] / "shared" / "data" / "phi" / "PowerCo-102-Pos-Cu_Grid.h5"
WINDOWS = {(62.8, 63.1): 3784, (64.8, 65.1): 1982, (22.9, 23.1): 1132, (6.9, 7.1): 69}  # 63Cu+, 65Cu+, 23Na+, 7Li+
real = pytest.mark.skipif(not POWERCO.exists(), reason="the instrument files of shared/data are not on this machine")


def planted(row_shape=(2, 3, 4), entries=ENTRIES, bins=(40, 55, 90)):
    """(scan, y, x, mz) by brute force: rows counted from below, so turned upside down."""
    *leading, ny, nx = row_shape
    dense = np.zeros((int(np.prod(leading)), ny, nx, len(bins)), int)
    for time_bin, *place, count in entries:
        scan = np.ravel_multi_index(place[:-2], leading)
        dense[scan, ny - 1 - place[-2], place[-1], bins.index(time_bin)] += count
    return dense


def window_counts(cube):
    low, high = np.array(list(WINDOWS)).T
    starts, stops = (np.searchsorted(cube.mz.values, edge) for edge in (low, high))
    return window_sums(cube.data, starts, stops).reshape(-1, len(WINDOWS)).sum(axis=0)


@real
def test_powerco_gives_the_numbers_of_the_manifest():
    with pytest.raises(ssbmaps.FormatError, match=r"no pixel size \(y and x\) is stated"):
        io.read(POWERCO)
    cube = io.read(POWERCO, pixel_size=80 / 256)
    assert dict(cube.sizes) == {"scan": 6, "y": 256, "x": 256, "mz": 94242}
    assert cube.data.nnz == 174403
    assert int(cube.data.data.sum()) == 174405
    assert window_counts(cube).tolist() == list(WINDOWS.values())
    total = to_csr(cube.data).sum(axis=1).reshape(6, 256, 256).sum(axis=0)
    assert total.max() == 13
    assert np.argwhere(total == 13).tolist() == [[170, 228], [239, 45], [244, 107]]  # the manifest's, and the two that tie
    assert cube.x.values[0] == 0.15625
    assert cube.attrs["polarity"] == "positive"
    assert cube.attrs["units"] == "counts"
    with opened(POWERCO) as file:  # the file's own view of itself, stored with the origin below
        assert np.array_equal(file["derived/total_image"][:][::-1], total)


@real
def test_powerco_in_wider_bins_windows_and_blocks():
    wide = io.read(POWERCO, pixel_size=80 / 256, mz_bin="128 ps")
    spectrum = to_csr(wide.data).sum(axis=0)
    assert wide.sizes["mz"] == 36134
    assert (spectrum.max(), round(float(wide.mz.values[spectrum.argmax()]), 4)) == (4192, 132.9557)
    assert spectrum.sum() == 174405
    copper = io.read(POWERCO, pixel_size=80 / 256, mz_range=(62.8, 63.1), mz_bin=0.05)
    assert int(copper.data.data.sum()) == 3784
    assert copper.sizes["mz"] == 6
    lazy = io.read(POWERCO, pixel_size=80 / 256, mz_range=(62.8, 63.1), chunks={"scan": 2, "y": 100})
    assert lazy.data.numblocks == (3, 3, 1, 1)
    assert isinstance(lazy.data.blocks[0, 0].compute(), sparse.COO)
    eager = io.read(POWERCO, pixel_size=80 / 256, mz_range=(62.8, 63.1))
    assert lazy.compute().equals(eager)
    assert int(eager.data.data.sum()) == 3784


@real
def test_powerco_info_comes_from_the_headers():
    told = io.info(POWERCO)
    assert told["shape"] == (6, 256, 256, 94242)
    assert told["datasets"] == ("mass_csr",)
    assert told["pixel_size"] is None
    assert told["mz_range"] == pytest.approx((0.0836, 1861.4766), abs=1e-4)


def test_planted_entries_are_flipped_and_calibrated(tmp_path):
    cube = io.read(write(tmp_path / "a.h5"), pixel_size=2)
    assert cube.dims == ("scan", "y", "x", "mz")
    assert np.array_equal(to_dense(cube.data), planted())
    assert cube.mz.values == pytest.approx([49, 100, 289], rel=1e-12)
    assert cube.scan.values.tolist() == [0, 1]
    assert cube.frame.values.tolist() == [0, 1]
    assert int(cube.data.data.sum()) == 562
    assert int(cube.data[1, 0, 3, 0]) == 300  # stored row 2 of 3 is the uppermost; the exception above 255 is put in
    one = io.read(write(tmp_path / "one.h5", [(40, 0, 1, 1, 7)], row_shape=(1, 3, 4), polarity="-"), pixel_size=2)
    assert one.dims == ("y", "x", "mz")
    assert one.attrs["polarity"] == "negative"
    assert int(one.data[1, 1, 0]) == 7


def test_cycles_and_frames_become_scans_in_order_of_acquisition(tmp_path):
    entries = [(40, 0, 0, 0, 0, 1), (40, 0, 1, 0, 0, 2), (55, 2, 0, 1, 2, 3), (55, 2, 1, 0, 1, 4)]

    def times(file):
        file["frames/sputter_time_s"] = np.array([0.0, 1.5, 3.0])

    path = write(tmp_path / "depth.h5", entries, row_shape=(3, 2, 2, 3), mode="depth_profile", edit=times)
    cube = io.read(path, pixel_size=1)
    assert np.array_equal(to_dense(cube.data), planted((3, 2, 2, 3), entries, (40, 55)))
    assert cube.cycle.values.tolist() == [0, 0, 1, 1, 2, 2]
    assert cube.frame.values.tolist() == [0, 1] * 3
    assert cube.sputter_time.values.tolist() == [0, 0, 1.5, 1.5, 3, 3]
    assert cube.sputter_time.attrs["units"] == "s"


def test_mosaic_tiles_are_laid_side_by_side(tmp_path):
    entries = [(40, 0, 0, 0, 0, 1), (40, 1, 0, 1, 2, 2), (55, 2, 0, 0, 1, 3)]

    def tiles(file):
        file["mosaic/tile_index_xy"] = np.array([[5, 3], [6, 3], [6, 4]], np.uint32)  # x, y on the stage, upwards

    path = write(tmp_path / "mosaic.h5", entries, row_shape=(3, 1, 2, 3), mode="mosaic", edit=tiles)
    cube = io.read(path, pixel_size=1)
    expected = np.zeros((4, 6, 2), int)
    expected[3, 0, 0], expected[2, 5, 0], expected[1, 4, 1] = 1, 2, 3
    assert cube.dims == ("y", "x", "mz")
    assert np.array_equal(to_dense(cube.data), expected)
    measured = np.ones((4, 6), bool)
    measured[:2, :3] = False  # no tile was taken at the upper left
    assert np.array_equal(cube.measured.values, measured)
    assert io.info(path)["shape"] == (4, 6, 2)


@pytest.mark.parametrize("slab", [1, 2, 3])
def test_slab_by_slab_gives_the_same(tmp_path, monkeypatch, slab):
    path = write(tmp_path / "a.h5")
    monkeypatch.setattr("ssbmaps.io._simsh5_file.SLAB", slab)
    assert np.array_equal(to_dense(io.read(path, pixel_size=1).data), planted())
    ranged = io.read(path, pixel_size=1, mz_range=(60, 300))
    assert np.array_equal(to_dense(ranged.data), planted()[..., 1:])
    path = write(tmp_path / "b.h5", edit=replace("data/mass_csr/pixel_id", [1, 1, 4, 10, 12]))
    with pytest.raises(ssbmaps.FormatError, match="pixel_id is not ascending within a mass bin"):
        io.read(path, pixel_size=1)


def spatial(**attrs):
    return lambda file: file.create_group("calibration/spatial").attrs.update(attrs)


def test_pixel_size_from_pitch_or_field_of_view(tmp_path):
    cube = io.read(write(tmp_path / "pitch.h5", edit=spatial(pixel_pitch_um=0.25)))
    assert (cube.y.values[0], cube.x.values[0]) == (0.125, 0.125)
    cube = io.read(write(tmp_path / "view.h5", edit=spatial(field_of_view_um=12.0)))
    assert (2 * cube.y.values[0], 2 * cube.x.values[0]) == (4.0, 3.0)
    square = {"row_shape": (1, 4, 4), "entries": [(40, 0, 0, 1, 2)]}
    path = write(tmp_path / "both.h5", **square, edit=spatial(pixel_pitch_um=2.0, field_of_view_um=80.0))
    with pytest.raises(ssbmaps.FormatError, match="2 um contradicts the extent 80 um: 4 pixels would span 8 um"):
        io.read(path)
    path = write(tmp_path / "two.h5", edit=spatial(pixel_pitch_um=[1.0, 2.0]))
    with pytest.raises(ssbmaps.FormatError, match=r"pixel_pitch_um \[1\.0, 2\.0\] without saying which is x"):
        io.read(path)


def test_the_instruments_own_header_is_told_and_not_used(tmp_path):
    def header(file):
        file["raw_header"] = np.frombuffer(b"SOFH\r\nScanWidthX: 80.0\r\nScanWidthY: 60.0\r\nEOFH\r\n", np.uint8)

    path = write(tmp_path / "a.h5", edit=header)
    with pytest.raises(
        ssbmaps.FormatError, match=r"ScanWidthX 80\.0 and ScanWidthY 60\.0 without a unit; .*pixel_size=\(20, 20\)"
    ):
        io.read(path)
    assert "ScanWidthX" in io.info(path)["warnings"][0]


def test_events_before_mass_zero_are_left_out_with_a_warning(tmp_path):
    path = write(tmp_path / "a.h5", [(3, 0, 0, 0, 5), *ENTRIES])  # 0.3 us: 2·0.3 − 1 < 0
    with pytest.warns(ssbmaps.DataQualityWarning, match=r"1 of 6 entries arrive before the time .* m/z 0"):
        cube = io.read(path, pixel_size=1)
    assert np.array_equal(to_dense(cube.data), planted())


def test_time_bins(tmp_path):
    path = write(tmp_path / "a.h5")
    cube = io.read(path, pixel_size=1, mz_bin="2000000 ps")  # bins 40 and 55 meet in 4.0 to 6.0 us, 90 in 8.0 to 10.0
    assert cube.mz.values == pytest.approx([(2 * 4 - 1) ** 2, (2 * 8 - 1) ** 2])
    expected = np.stack([planted()[..., :2].sum(axis=-1), planted()[..., 2]], axis=-1)
    assert np.array_equal(to_dense(cube.data), expected)
    with pytest.raises(ssbmaps.SsbmapsError, match="mz_bin is 150000 ps; expected a whole multiple of the file's 100000 ps"):
        io.read(path, pixel_size=1, mz_bin="150000 ps")
    with pytest.raises(
        ssbmaps.SsbmapsError, match=r"no occupied time bin lies in mz_range \(1\.0, 2\.0\); the file spans m/z 49"
    ):
        io.read(path, pixel_size=1, mz_range=(1, 2))
    with pytest.raises(ssbmaps.SsbmapsError, match="dataset is 'ms2_csr'; expected 'mass_csr'"):
        io.read(path, pixel_size=1, dataset="ms2_csr")


def replace(name, values):
    def edit(file):
        del file[name]
        file[name] = np.asarray(values)

    return edit


FAULTS = {
    "version": (
        lambda f: f.attrs.__setitem__("format_version", "0.2"),
        r"format_version is 0\.2; this reader follows version 0\.1",
    ),
    "mode": (lambda f: f.attrs.__setitem__("acquisition_mode", "spiral"), "acquisition_mode is spiral"),
    "row shape": (
        lambda f: f["geometry"].attrs.__setitem__("row_shape", [3, 4]),
        r"row_shape is \[3, 4\]; image_2d needs 3 lengths",
    ),
    "row count": (lambda f: f["geometry"].attrs.__setitem__("row_count", 23), r"row_count is 23, row_shape \[2, 3, 4\]"),
    "row order": (lambda f: f["geometry"].attrs.__setitem__("row_order", "F"), "row_order is F; expected C"),
    "model": (lambda f: f["calibration/mass"].attrs.__setitem__("model", "cubic"), "calibration model is cubic"),
    "coefficients": (replace("calibration/mass/coefficients", [0.0, 1.0]), r"coefficients are \[0\.0, 1\.0\]; expected a > 0"),
    "no calibration": (lambda f: f.__delitem__("calibration"), "HDF5 cannot read it"),
    "bins": (replace("data/mass_csr/mass_bin", [40, 90, 55]), "mass_bin is not strictly ascending"),
    "indptr": (replace("data/mass_csr/indptr", [0, 2, 3, 9]), "indptr has 4 values from 0 to 9; 3 bins, 5 entries"),
    "counts": (replace("data/mass_csr/count", [1, 2]), "5 pixel_id but 2 count"),
    "pixel": (replace("data/mass_csr/pixel_id", [1, 99, 4, 0, 12]), "pixel_id reaches 99; the geometry has 24 pixels"),
    "pixel twice": (replace("data/mass_csr/pixel_id", [1, 1, 4, 10, 12]), "pixel_id is not ascending within a mass bin"),
    "exceptions": (
        replace("data/mass_csr/count_exceptions/nnz_index", [77]),
        "count_exceptions names entries that are not there",
    ),
    "exceptions unequal": (replace("data/mass_csr/count_exceptions/value", [7, 8]), "1 nnz_index but 2 value"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_broken_archives_are_named(tmp_path, kind):
    edit, message = FAULTS[kind]
    with pytest.raises(ssbmaps.FormatError, match=rf"a\.h5: (.|\n)*{message}"):
        io.read(write(tmp_path / "a.h5", edit=edit), pixel_size=1)


def test_mosaic_faults(tmp_path):
    options = {"row_shape": (2, 1, 2, 3), "mode": "mosaic", "entries": [(40, 0, 0, 0, 0, 1)]}
    for tiles, message in (
        ([[0, 0]], "2 tiles need"),
        ([[1, 1], [1, 1]], "names one place twice"),
        ([[0, 0], [999, 9]], "no mosaic"),
    ):
        path = write(tmp_path / "a.h5", **options, edit=replace_new("mosaic/tile_index_xy", tiles))
        with pytest.raises(ssbmaps.FormatError, match=message):
            io.read(path, pixel_size=1)


def replace_new(name, values):
    return lambda file: file.__setitem__(name, np.array(values))


def test_truncated_archive_and_other_hdf5(tmp_path):
    path = write(tmp_path / "a.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ssbmaps.FormatError, match=r"a\.h5: no reader recognises the content .*cut short"):
        io.read(path)
    with pytest.raises(ssbmaps.FormatError, match=r"a\.h5: HDF5 cannot read it \(.*truncated"):
        io.read(path, reader="simsh5")
    path = write(tmp_path / "b.h5", edit=lambda f: f.attrs.__setitem__("format", "another"))
    with pytest.raises(ssbmaps.FormatError, match="no reader recognises"):
        io.info(path)


places = st.tuples(st.integers(15, 40), st.integers(0, 1), st.integers(0, 2), st.integers(0, 3))


@given(st.dictionaries(places, st.integers(1, 70000), min_size=1, max_size=20), st.integers(1, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_any_archive_comes_back(tmp_path, cells, rows):
    entries = [(*place, count) for place, count in cells.items()]
    path = write(tmp_path / "a.h5", entries)
    bins = tuple(sorted({e[0] for e in entries}))
    expected = planted(entries=entries, bins=bins)
    cube = io.read(path, pixel_size=1)
    assert np.array_equal(to_dense(cube.data), expected)
    lazy = io.read(path, pixel_size=1, chunks=rows)
    assert lazy.compute().equals(cube)
    binned = io.read(path, pixel_size=1, mz_bin=5)
    assert np.array_equal(to_dense(binned.data).sum(axis=-1), expected.sum(axis=-1))
