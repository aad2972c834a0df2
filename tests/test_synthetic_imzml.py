"""Mass spectra of a section and imzML files of them, read back by pyimzml."""

from __future__ import annotations

import hashlib
import uuid
import warnings

import numpy as np
import pytest
import sparse
import xarray as xr

from ssbmaps import SsbmapsError, synthetic

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyimzml.ImzMLParser import ImzMLParser


@pytest.fixture(scope="module")
def section():
    return synthetic.cross_section(seed=3, shape=(30, 44), n_scans=3, thickness=0.3)


@pytest.fixture(scope="module")
def cube(section):
    return synthetic.spectrum_cube(section, seed=1)


def window(cube, mz, ppm=300):
    y, x, channel = cube.data.coords
    inside = np.abs(cube.mz.values[channel] / mz - 1) < ppm * 1e-6
    counts = np.zeros(cube.shape[:2], np.int64)
    np.add.at(counts, (y[inside], x[inside]), cube.data.data[inside])
    return counts


def test_every_count_is_placed_once(section):
    cube = synthetic.spectrum_cube(section, background=0)
    assert isinstance(cube.data, sparse.COO)
    assert cube.dtype == np.uint32
    np.testing.assert_array_equal(cube.data.sum(axis=2).todense(), section.counts.sum(("scan", "fragment")))
    kept = synthetic.spectrum_cube(section, background=0, keep_scans=True)
    assert kept.dims == ("scan", "y", "x", "mz")
    np.testing.assert_array_equal(kept.data.sum(axis=3).todense(), section.counts.sum("fragment"))


def test_windows_recover_their_counts_and_only_the_doublet_mixes(section):
    cube = synthetic.spectrum_cube(section, background=0, seed=2)
    total = section.counts.sum("scan")
    for fragment in section.fragment.values:
        counts, found = total.sel(fragment=fragment).values, window(cube, float(section.mz.sel(fragment=fragment)))
        if fragment in ("PS-", "PO2-"):
            continue
        assert (found <= counts).all()
        # Gaussian core: 99.5 % within 300 ppm at m/Δm 4000; the late 8 % lose a tenth
        assert found.sum() == pytest.approx(0.988 * counts.sum(), abs=0.01 * counts.sum() + 3 * np.sqrt(0.012 * counts.sum()))
    pair = total.sel(fragment=["PS-", "PO2-"]).sum("fragment").values
    both = window(cube, 62.955, ppm=500)
    assert (both <= pair).all()
    assert both.sum() > 0.97 * pair.sum()


def test_peak_width_is_the_resolution(section):
    cube = synthetic.spectrum_cube(section, background=0, resolution=2000, channel_ns=0.2)
    mass = float(section.mz.sel(fragment="S-"))
    spectrum = cube.data.sum(axis=(0, 1)).todense()
    near = np.abs(cube.mz.values - mass) < 0.5
    mz, counts = cube.mz.values[near], spectrum[near]
    share = np.cumsum(counts) / counts.sum()
    # half of the Gaussian's ions lie within 0.2865 FWHM of the middle; the late 8 % widen that by 4 %
    half = np.interp(0.75, share, mz) - np.interp(0.25, share, mz)
    assert half == pytest.approx(2 * 0.2865 * mass / 2000, rel=0.08)
    assert np.interp(0.5, share, mz) == pytest.approx(mass, abs=0.03 * mass / 2000 + 5e-4)


def test_background_is_low_and_as_stated(section):
    cube = synthetic.spectrum_cube(section, background=0.5)
    extra = int(cube.data.sum()) - int(section.counts.sum())
    mean = 0.5 * 75 * 30 * 44
    assert abs(extra - mean) < 5 * np.sqrt(mean)
    empty = window(cube, 50.0, ppm=20_000).sum()  # 2 Da where no fragment is
    assert empty == pytest.approx(0.5 * 2 * 30 * 44, rel=0.15)


def test_same_seed_same_cube_and_contract(section, cube):
    again = synthetic.spectrum_cube(section.transpose("x", "fragment", "y", "scan", ...), seed=1)
    assert again.data.nnz == cube.data.nnz
    assert (again.data != cube.data).nnz == 0
    other = synthetic.spectrum_cube(section, seed=2)
    assert (other.data != cube.data).nnz > 0
    assert cube.attrs["units"] == "counts"
    assert cube.attrs["polarity"] == "negative"
    assert cube.mz.attrs["units"] == "Da"
    assert len(cube.attrs["history"].splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 3}, "resolution is 3"),
        ({"mz_range": (30.0, 95.0)}, "hold all fragments"),
        ({"channel_ns": 0}, "channel_ns is 0"),
        ({"background": -1}, "background is -1"),
    ],
)
def test_bad_cube_options_get_a_letter(section, options, message):
    with pytest.raises(SsbmapsError, match=message):
        synthetic.spectrum_cube(section, **options)


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # accessions that pyimzml itself writes and does not know
        parser = ImzMLParser(str(path))
    spectra = {(x, y): parser.getspectrum(i) for i, (x, y, _) in enumerate(parser.coordinates)}
    parser.m.close()
    return parser, spectra


@pytest.mark.parametrize("mode", ["processed", "continuous"])
def test_pyimzml_reads_back_every_number(cube, tmp_path, mode):
    small = cube.isel(y=slice(3, 10), x=slice(2, 14), mz=slice(0, 9000))
    small = small.assign_coords(y=small.y - small.y[0] + 0.05, x=small.x - small.x[0] + 0.05)
    path = synthetic.write_imzml(small, tmp_path / "section.imzML", mode=mode)
    assert path == tmp_path / "section.imzML"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["section.ibd", "section.imzML"]
    parser, spectra = read(path)
    assert len(spectra) == 84
    dense = small.data.todense()
    for (x, y), (mz, counts) in spectra.items():
        channels = np.searchsorted(small.mz.values, mz)
        np.testing.assert_array_equal(small.mz.values[channels], mz)
        row = np.zeros(small.sizes["mz"], np.int64)
        row[channels] = counts
        np.testing.assert_array_equal(row, dense[y - 1, x - 1])
        if mode == "continuous":
            assert len(mz) == small.sizes["mz"]
    assert parser.imzmldict["pixel size x"] == pytest.approx(0.1)
    assert parser.imzmldict["pixel size y"] == pytest.approx(0.1)
    assert parser.imzmldict["max count of pixels x"] == 12
    assert parser.imzmldict["max count of pixels y"] == 7
    assert parser.polarity == "negative"
    text = path.read_text("iso-8859-1")
    assert text.count('unitAccession="UO:0000017"') == 2
    assert f'name="{mode}"' in text
    assert str(tmp_path) not in text


def test_checksum_and_uuid_are_right_and_files_repeatable(cube, tmp_path):
    small = cube.isel(y=slice(0, 4), x=slice(0, 5))
    first = synthetic.write_imzml(small, tmp_path / "a.imzML")
    second = synthetic.write_imzml(small.transpose("mz", "x", "y"), tmp_path / "b.imzML")
    dense = synthetic.write_imzml(small.copy(data=small.data.todense()), tmp_path / "c.imzML")
    data = first.with_suffix(".ibd").read_bytes()
    text = first.read_text("iso-8859-1")
    assert f'name="ibd SHA-1" value="{hashlib.sha1(data).hexdigest().upper()}"' in text
    assert "{" + str(uuid.UUID(bytes=data[:16])).upper() + "}" in text
    assert data == second.with_suffix(".ibd").read_bytes() == dense.with_suffix(".ibd").read_bytes()
    assert text.replace("run_a", "run_b") == second.read_text("iso-8859-1")


def test_pixel_without_counts_is_zero_and_unmeasured_is_absent(tmp_path):
    data = np.zeros((3, 4, 5), np.uint32)
    data[0, 1, 2], data[2, 3, 4] = 7, 9
    measured = np.ones((3, 4), bool)
    measured[1, 2] = measured[2, 0] = False
    cube = xr.DataArray(
        sparse.COO(data),
        dims=("y", "x", "mz"),
        coords={
            "y": ("y", (np.arange(3) + 0.5) * 2.0, {"units": "um"}),
            "x": ("x", (np.arange(4) + 0.5) * 3.0, {"units": "um"}),
            "mz": [10.0, 11.0, 12.0, 13.0, 14.0],
            "measured": (("y", "x"), measured),
        },
    )
    parser, spectra = read(synthetic.write_imzml(cube, tmp_path / "holes.imzML"))
    assert set(spectra) == {(x + 1, y + 1) for y in range(3) for x in range(4) if measured[y, x]}
    assert [list(v) for v in spectra[2, 1]] == [[12.0], [7]]
    assert [list(v) for v in spectra[1, 1]] == [[12.0], [0]]
    assert (parser.imzmldict["pixel size x"], parser.imzmldict["pixel size y"]) == (3.0, 2.0)
    assert parser.polarity is None
    last = cube.assign_coords(measured=(("y", "x"), np.arange(12).reshape(3, 4) < 8))
    parser, _ = read(synthetic.write_imzml(last, tmp_path / "cut.imzML"))
    assert parser.imzmldict["max count of pixels y"] == 3  # the map's own size, not that of the last spectrum


@pytest.mark.parametrize(
    ("dtype", "value"), [(np.uint32, 2**31), (np.float32, 0.1), (np.float64, 0.1), (np.int16, 300), (np.uint8, 200)]
)
def test_values_are_stored_without_loss(tmp_path, dtype, value):
    data = np.full((1, 2, 2), value, dtype)
    coords = {"y": ("y", [0.5], {"pixel_size_um": 1.0}), "x": [0.5, 1.5], "mz": [1.0, 2.0]}
    cube = xr.DataArray(data, dims=("y", "x", "mz"), coords=coords)
    _, spectra = read(synthetic.write_imzml(cube, tmp_path / "v.imzML"))
    assert (spectra[1, 1][1] == dtype(value)).all()


def test_what_exists_is_kept_unless_told(cube, tmp_path):
    small = cube.isel(y=slice(0, 3), x=slice(0, 3))
    path = synthetic.write_imzml(small, tmp_path / "s.imzML")
    before = path.read_bytes()
    with pytest.raises(SsbmapsError, match=r"s.imzML and s.ibd exists already; .* overwrite=True"):
        synthetic.write_imzml(small * 2, path)
    assert path.read_bytes() == before
    synthetic.write_imzml((small * 2).assign_attrs(small.attrs), path, overwrite=True)
    assert path.read_bytes() != before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.ibd", "s.imzML"]


def test_faults_of_the_cube_come_in_one_letter(section, tmp_path):
    scans = synthetic.spectrum_cube(section, keep_scans=True)
    with pytest.raises(
        SsbmapsError, match=r"(?s)4 faults.*mode is 'zip'.*ends in .imzML.*does not exist.*axis scan.*Sum it first"
    ):
        synthetic.write_imzml(scans, tmp_path / "none" / "s.h5", mode="zip")
    bad = xr.DataArray(np.full((2, 2, 1), np.nan), dims=("y", "x", "mz"), coords={"y": [0.5, 1.5], "x": [0.5, 1.5], "mz": [1.0]})
    with pytest.raises(SsbmapsError, match="NaN or infinite"):
        synthetic.write_imzml(bad, tmp_path / "s.imzML")
    with pytest.raises(SsbmapsError, match="no pixel size"):
        synthetic.write_imzml(bad.fillna(0).drop_vars("y"), tmp_path / "s.imzML")
    with pytest.raises(SsbmapsError, match="expected an xarray"):
        synthetic.write_imzml(np.zeros((2, 2, 2)), tmp_path / "s.imzML")
    assert list(tmp_path.iterdir()) == []
