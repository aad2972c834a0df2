"""Shifts of scans: planted drift is found with honest errors; odd scans are named and never get a silent 0."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sparse
import xarray as xr
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as moved

from ssbmaps import DataQualityWarning, SsbmapsError, maps, synthetic
from ssbmaps._conventions import raster_coords
from ssbmaps.maps._shift_fit import _positive
from ssbmaps.maps._shift_search import locate

PIXEL = 0.1  # um
HARD = synthetic.Instrument(dose=0.4, drift=0.24)  # 40 % of the usual counts, 2.4 px from the first to the last scan


@pytest.fixture(scope="module")
def section():
    return synthetic.cross_section(seed=5, shape=(96, 128), n_scans=8, instrument=HARD)


@pytest.fixture(scope="module")
def found(section):
    return maps.align_scans(section.counts)


def errors_px(found, section):
    """(2, scan) shift less the planted one, px; both relative to the mean of the scans that have a shift."""
    error = np.stack([found[f"shift_{a}"].values + section[f"drift_{a}"].values for a in ("y", "x")]) / PIXEL
    return error - np.nanmean(error, axis=1, keepdims=True)


def sd_px(found):
    return np.stack([found.shift_y_sd.values, found.shift_x_sd.values]) / PIXEL


def poisson(expected, seed=0):
    rng = np.random.default_rng(seed)
    shape = expected.shape
    coords = raster_coords(shape[-2:], (PIXEL, PIXEL))
    return xr.DataArray(rng.poisson(expected).astype(np.uint16), coords, ("scan", "fragment", "y", "x")[-len(shape) :])


def test_planted_drift_is_found(found, section):
    error, sd = errors_px(found, section), sd_px(found)
    assert np.sqrt((error**2).mean()) < 0.1  # 0.06 px from the counts of 96 x 128 pixels; no room for a bias of 0.1
    assert np.abs(error / sd).max() < 4
    assert float(found.shift_x.sum()) == pytest.approx(0, abs=1e-9)
    assert found.information.sum() == pytest.approx(1)


def test_errors_are_as_large_as_the_scatter(section):
    pulls, tilt = [], []
    for seed in range(4):
        drawn = synthetic.redraw(section, seed=100 + seed)
        result = maps.align_scans(drawn.counts)
        error = errors_px(result, drawn)
        pulls.append(error / sd_px(result))
        truth = np.stack([section.drift_y, section.drift_x]) / PIXEL
        tilt.append((error * truth).sum() / (truth**2).sum())
    rms = np.sqrt(np.mean(np.square(pulls)))
    assert 0.75 < rms < 1.25  # 56 free numbers: standard deviation 0.09; errors are stated 5 % too large
    # 4 series of 16 shifts with an error of 0.03 and an rms of 0.4 px: the slope is known to 0.01
    assert abs(np.mean(tilt)) < 0.04


def test_gain_that_stays_with_the_raster_does_not_hold_the_scans():
    """A gain of ±30 % over a sample of ±5 %: with plain gradients, three quarters of the shift are lost to zero."""
    rng = np.random.default_rng(7)
    sample, gain = (gaussian_filter(rng.normal(size=(160, 180)), width) for width in (1.2, 15.0))
    sample, gain = np.tanh(2 * sample / sample.std()), 1 + 0.3 * gain / gain.std()
    path = np.linspace(-1.5, 1.5, 6)
    seen = [20 * (1 + 0.05 * moved(sample, (0.3 * p, p), order=3)) * np.maximum(gain, 0.1) for p in path]
    result = maps.align_scans(poisson(np.stack(seen)[:, None, 20:-20, 20:-20]))
    lost = ((result.shift_x.values / PIXEL + path) * path).sum() / (path**2).sum()
    assert abs(lost) < 0.2  # 0.06 is the standard deviation


def test_more_than_poisson_noise_widens_the_error(section, found):
    assert found.dispersion.values == pytest.approx(1, abs=0.1)
    doubled = maps.align_scans(section.counts * 2)  # every ion counted twice: twice the Poisson variance
    assert doubled.dispersion.values == pytest.approx(2 * found.dispersion.values, rel=0.01)
    wider = doubled.shift_x_sd / found.shift_x_sd
    # the Poisson errors fall by √2 as counts double, and the dispersion makes up for it; weights change a little
    assert wider.values == pytest.approx(np.sqrt(found.dispersion / np.maximum(found.dispersion, 1)).values, rel=0.1)


def test_sign_and_size_on_a_moved_window():
    """Scan k sees the sample moved by (2k, −3k) px down and right; pixels are not square."""
    scene = synthetic.cross_section(seed=3, shape=(120, 140), n_scans=1, instrument=synthetic.Instrument(drift=0, drift_walk=0))
    rate = scene.ideal.sel(fragment=["S-", "NiO2-"]).values / 5
    windows = np.stack([rate[:, 20 - 2 * k : 110 - 2 * k, 10 + 3 * k : 120 + 3 * k] for k in range(5)])
    series = poisson(windows).assign_coords(raster_coords(windows.shape[-2:], (0.2, 0.1)))
    result = maps.align_scans(series)
    k = np.arange(5) - 2
    assert np.abs(result.shift_y.values + 2 * k * 0.2).max() < 0.1 * 0.2  # a tenth of a pixel, four times the error
    assert np.abs(result.shift_x.values - 3 * k * 0.1).max() < 0.1 * 0.1


def test_agrees_with_the_maximum_of_the_likelihood():
    """Second road: scan the Poisson likelihood of one scan over shifts of the noise-free image, known here."""
    scene = synthetic.cross_section(seed=9, shape=(96, 112), n_scans=1, instrument=synthetic.Instrument(drift=0, drift_walk=0))
    rate = scene.ideal.sel(fragment=["S-", "NiO2-", "C2-"]).values / 4 + 0.05
    images = np.stack([np.stack([moved(f, (0, d), order=3, mode="nearest") for f in rate]) for d in (-0.7, 0.7)])
    series = poisson(np.maximum(images, 0.01), seed=4)
    result = maps.align_scans(series)
    grid = np.arange(-1.5, 1.55, 0.1)
    best = []
    for scan in series.values[..., 8:-8, 8:-8]:
        curve = []
        for d in grid:
            model = np.maximum(np.stack([moved(f, (0, d), order=3, mode="nearest") for f in rate]), 0.01)[..., 8:-8, 8:-8]
            curve.append((scan * np.log(model) - model).sum())
        curve = np.array(curve)
        top = int(curve.argmax())
        a, b, c = curve[top - 1 : top + 2]
        best.append(grid[top] + 0.05 * (a - c) / (a - 2 * b + c))
    likeliest = -(best[1] - best[0]) * PIXEL
    difference = float(result.shift_x[1] - result.shift_x[0])
    sd = float(np.hypot(*result.shift_x_sd.values))
    assert abs(difference - likeliest) < 3 * sd
    assert abs(likeliest + 0.14) < 3 * sd


@pytest.mark.parametrize("scans", [2, 3])
def test_few_scans(section, scans):
    part = section.isel(scan=slice(0, scans))
    error = errors_px(maps.align_scans(part.counts), part)
    assert np.abs(error).max() < 0.4  # 4 standard deviations


def test_counts_and_input_stay_as_they_are(section):
    before = section.counts.copy(deep=True)
    result = maps.align_scans(section.counts)
    xr.testing.assert_identical(section.counts, before)
    assert set(result.dims) == {"scan", "fragment"}
    assert result.history.splitlines()[-1].startswith("ssbmaps.maps.align_scans")
    assert result.shift_y.attrs["units"] == result.shift_y_sd.attrs["units"] == "um"


@pytest.mark.parametrize("kind", ["transposed", "dask", "sparse", "float"])
def test_every_container_gives_the_same(section, found, kind):
    counts = section.counts
    other = {
        "transposed": lambda: counts.transpose("x", "fragment", "scan", "y"),
        "dask": lambda: counts.chunk({"scan": 3, "y": 50}),
        "sparse": lambda: counts.copy(data=sparse.COO.from_numpy(counts.values)),
        "float": lambda: counts.astype(np.float64),
    }[kind]()
    result = maps.align_scans(other)
    xr.testing.assert_allclose(result, found, rtol=1e-12, atol=1e-12)


def test_single_map_per_scan_has_no_fragment(section, found):
    result = maps.align_scans(section.counts.sel(fragment="S-", drop=True))
    assert "information" not in result
    assert np.abs(result.shift_y - found.shift_y).max() < 4 * result.shift_y_sd.max()


def test_blank_scan_is_named(section):
    counts = section.counts.copy()
    counts[3] = 0
    with pytest.warns(DataQualityWarning, match="scan 3 is blank"):
        result = maps.align_scans(counts)
    assert np.flatnonzero(result.shift_y.isnull()).tolist() == [3]
    assert np.isnan(result.shift_x_sd[3])
    assert np.abs(errors_px(result, section)[:, [0, 1, 2, 4]] / sd_px(result)[:, [0, 1, 2, 4]]).max() < 4


def test_repeated_scan_is_named(section):
    counts = section.counts.copy()
    counts[5] = counts[2]
    with pytest.warns(DataQualityWarning, match="scan 5 repeats scan 2 count for count"):
        result = maps.align_scans(counts)
    assert np.flatnonzero(result.shift_x.isnull()).tolist() == [5]


@pytest.mark.parametrize("n_other", [1, 2])
def test_scan_of_another_place_is_named(section, n_other):
    """Even where it is the middle scan, with which the search begins, and where two of them agree."""
    other = synthetic.cross_section(seed=77, shape=(96, 128), n_scans=2, instrument=HARD)
    counts = section.counts.copy()
    counts[4 : 4 + n_other] = other.counts[:n_other].values
    with pytest.warns(DataQualityWarning, match="scan 4 shares .* Drift beyond the overlap"):
        result = maps.align_scans(counts)
    assert np.flatnonzero(result.shift_y.isnull()).tolist() == list(range(4, 4 + n_other))
    error = errors_px(result, section)
    assert np.nanmax(np.abs(error / sd_px(result))) < 4


def test_drift_beyond_the_overlap_is_named():
    scene = synthetic.cross_section(seed=3, shape=(96, 420), n_scans=1, instrument=synthetic.Instrument(drift=0, drift_walk=0))
    rate = scene.ideal.sel(fragment=["S-", "NiO2-"]).values / 5
    starts = [0, 2, 4, 6, 300]
    series = poisson(np.stack([rate[..., s : s + 112] for s in starts]))
    with pytest.warns(DataQualityWarning, match="scan 4 shares"):
        result = maps.align_scans(series)
    assert np.isnan(result.shift_x[4])
    assert np.diff(result.shift_x[:4].values) == pytest.approx(0.2, abs=0.02)


def test_interrupted_scan_is_aligned_on_what_it_holds(section):
    counts = section.counts.copy()
    counts[6, :, 60:] = 0
    with pytest.warns(DataQualityWarning, match="scan 6 holds no counts in rows 60 to 95 of 96"):
        result = maps.align_scans(counts)
    error, sd = errors_px(result, section), sd_px(result)
    assert np.abs(error / sd).max() < 4
    assert sd[:, 6].mean() > 1.1 * sd[:, :6].mean()  # 62 % of the area


def test_scan_of_another_size_is_named(section):
    counts = section.counts.astype(float)
    counts[1, :, :, 100:] = np.nan
    with pytest.warns(DataQualityWarning, match="scan 1 is of another size: 9600 pixels measured, 12288 in most scans"):
        result = maps.align_scans(counts)
    assert np.abs(errors_px(result, section) / sd_px(result)).max() < 4


def test_unmeasured_pixels_take_no_part(section):
    measured = np.ones((96, 128), bool)
    measured[:, :20] = False
    counts = section.counts.copy()
    counts[..., :20] = np.arange(20, dtype=np.uint32)  # nonsense that stays with the raster
    result = maps.align_scans(counts.assign_coords(measured=(("y", "x"), measured)))
    assert np.abs(errors_px(result, section) / sd_px(result)).max() < 4


def test_maps_without_structure_are_refused():
    for seed in range(10):
        series = poisson(np.full((6, 2, 48, 64), 3.0), seed)
        with pytest.raises(SsbmapsError, match="no two scans share structure"):
            maps.align_scans(series)


def test_structure_that_stays_with_the_raster_alone_is_refused():
    gain = synthetic.cross_section(seed=1, shape=(96, 112), n_scans=1, instrument=synthetic.Instrument(gain=0.1)).gain.values
    with pytest.raises(SsbmapsError, match="no two scans share structure"):
        maps.align_scans(poisson(np.broadcast_to(3.0 * gain, (6, 2, 96, 112))))


def test_stripes_tell_nothing_along_them():
    stripes = np.zeros((64, 96)) + np.where(np.arange(64) // 16 % 2, 8.0, 1.0)[:, None]
    with pytest.warns(DataQualityWarning, match="The shift along x of all scans is not known to a pixel"):
        result = maps.align_scans(poisson(np.broadcast_to(stripes, (4, 1, 64, 96)), seed=1))
    assert result.shift_x.isnull().all()
    assert np.abs(result.shift_y / result.shift_y_sd).max() < 4


def test_variances_are_never_negative():
    """Products of two halves of the scans can be, where there is no structure; what is sound stays as it is."""
    matrices = np.array([[[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, -3.0]], [[-1.0, 0.2], [0.2, -1.0]]])
    clipped = _positive(matrices)
    assert clipped[0] == pytest.approx(matrices[0])
    assert clipped[1:] == pytest.approx(np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]))


def test_open_lag_along_an_interface_stays_small():
    """Along a straight interface every lag is as good within the noise; the best one alone lies anywhere, here up to 12 px."""
    layers = synthetic.Layout(angle=0, voids=0, fibres=0)
    flat = synthetic.cross_section(seed=5, shape=(112, 144), n_scans=8, geometry="planar", layout=layers, instrument=HARD)
    located = locate(flat.counts.values.astype(np.float32), np.ones((8, 112, 144), bool))
    assert located.found.all()
    assert np.abs(located.shifts[:, 1]).max() < 2
    assert np.abs(located.shifts[:, 0] - flat.drift_y.values / PIXEL).max() < 0.3


def test_what_cannot_be_aligned_is_refused_by_name(section):
    counts = section.counts
    cases = [
        (counts[0], "expected one series dimension"),
        (counts[:1], "a single scan"),
        (counts.assign_attrs(units="arbitrary"), "values are in 'arbitrary'"),
        (counts.drop_vars(["fragment", "mz"]).rename(fragment="mz"), "a cube along mz"),
        (counts.astype(float) - 1, "negative counts"),
        (counts.drop_vars("x"), "no coordinate x"),
        (counts.where(counts < 1, np.inf), "infinite values"),
    ]
    for bad, words in cases:
        with pytest.raises(SsbmapsError, match=words):
            maps.align_scans(bad)
    with pytest.raises(SsbmapsError, match="expected an xarray"):
        maps.align_scans(counts.values)


def test_default_section_warns_of_nothing(section):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maps.align_scans(section.counts)
