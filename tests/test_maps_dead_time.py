"""Dead time: planted numbers of ions come back, from the forward model and from single ions one by one; the rest is reported."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from ssbmaps import DataQualityWarning, GridMismatchError, SsbmapsError, maps, synthetic
from ssbmaps._conventions import raster_coords
from ssbmaps.maps._dead_time import estimate_ions


def doublet(counts, names=("PS-", "PO2-"), **coords):
    """(…, fragment, y, x) counts with names and pixels."""
    counts = np.asarray(counts)
    dims = ("scan", "fragment", "y", "x")[-counts.ndim :]
    return xr.DataArray(counts, {"fragment": list(names), **raster_coords(counts.shape[-2:], (0.1, 0.1)), **coords}, dims)


@given(shots=st.integers(8, 800), load=st.floats(0.01, 1.2))
def test_estimate_is_exact_on_average(shots, load):
    """Summed over all outcomes of the binomial law: mean and variance right but for the terms beyond p^N."""
    p = 1 - np.exp(-load)
    n = np.arange(shots)
    chance = binom.pmf(n, shots, p)
    estimate, sd, saturated = estimate_ions(n, shots, shots)
    assert not saturated.any()
    mean = (chance * estimate).sum()
    tail = p**shots * shots  # of the outcome n = N, and of the series
    assert mean == pytest.approx(load * shots, rel=1e-9, abs=20 * tail * shots)
    variance = (chance * estimate**2).sum() - mean**2
    assert (chance * sd**2).sum() == pytest.approx(variance, rel=1e-6, abs=20 * tail * shots**3)


def test_plain_logarithm_overshoots_where_shots_are_few():
    """Why it is not used: +2 % at 25 shots, +22 % at 3, at low load; many shots give the same by both."""
    for shots, overshoot in ((3, 0.216), (25, 0.021), (500, 0.001)):
        assert -shots * np.log(1 - 1 / shots) - 1 == pytest.approx(overshoot, abs=5e-4)
        assert estimate_ions(1, shots, shots)[0] == pytest.approx(1)
    n = np.arange(0, 400)
    plain = -5000 * np.log(1 - n / 5000)
    assert estimate_ions(n, 5000, 5000)[0] == pytest.approx(plain, rel=3e-4)
    p = n / 5000
    assert estimate_ions(n, 5000, 5000)[1] == pytest.approx(np.sqrt(5000 * p / (1 - p)), rel=3e-4)


def simulated(rate, times, *, shots, dead_time, seed):
    """Counts of each ion from arrivals one by one: a detector that, once it has counted, is dead for `dead_time`."""
    rng = np.random.default_rng(seed)
    counts = np.zeros(len(rate), int)
    for _ in range(shots):
        arrivals = [(t + rng.normal(0, 0.3), i) for i, t in enumerate(times) for _ in range(rng.poisson(rate[i]))]
        alive = -np.inf
        for t, i in sorted(arrivals):
            if t >= alive:
                counts[i] += 1
                alive = t + dead_time
    return counts


def test_ions_one_by_one():
    """Second road: no formula but the detector itself. S− stands alone; PS− masks PO2−, and both mask SO2− only by time."""
    names = ["S-", "PS-", "PO2-", "PO3-"]
    mz = np.array([maps.ion_mz(n) for n in names])
    rate = np.array([0.3, 0.25, 0.2, 0.1])  # ions per shot
    shots = 40_000
    counts = simulated(rate, 3440 * np.sqrt(mz), shots=shots, dead_time=65.0, seed=1)
    result = maps.correct_dead_time(doublet(counts[:, None, None], names), shots=shots, dead_time=65, flight_time=3.44)
    ions, sd = result.counts.values.ravel(), result.counts_sd.values.ravel()
    assert np.abs((ions - rate * shots) / sd).max() < 3.5
    assert ((rate * shots - counts) / sd)[:3].min() > 10  # what was to be corrected is many errors
    assert result.masked_by.values.tolist() == ["", "", "PS-", ""]


def test_error_is_the_scatter():
    rate, shots = np.array([0.2, 0.3]), 300
    drawn = np.array([simulated(rate, [27290.0, 27294.0], shots=shots, dead_time=65.0, seed=s) for s in range(400)])
    result = maps.correct_dead_time(doublet(drawn.T[:, None, :]), shots=shots)
    pulls = (result.counts - (rate * shots)[:, None, None]) / result.counts_sd
    assert np.abs(pulls.mean(("y", "x"))).max() < 0.2  # four times 1/√400
    assert np.abs(pulls.std(("y", "x")) - 1).max() < 0.15  # four times 1/√800


@pytest.fixture(scope="module")
def bright():
    """Levels of 20 counts per pixel over 20 scans for S− and Cl−, and a doublet of which each ion gives 20."""
    levels = {p: {"S-": 20.0, "Cl-": 20.0, "PS-": 20.0, "PO2-": 20.0} for p in ("NMC", "electrolyte")}
    still = synthetic.Instrument(drift=0, drift_walk=0, gain=0, transient={}, leak=())
    return synthetic.cross_section(seed=4, shape=(64, 80), geometry="planar", levels=levels, thickness=0, instrument=still)


def test_aggregates_of_a_section_are_right(bright):
    result = maps.correct_dead_time(bright.counts, shots=25)
    true = bright.ideal.sum(("y", "x"))
    ratio = (result.counts.sum(("y", "x")) / true).sel(fragment=["S-", "Cl-", "PS-", "PO2-"])
    error = np.sqrt((result.counts_sd**2).sum(("y", "x"))) / true
    assert np.abs(ratio - 1).max() < 0.012  # 5120 pixels of 20 counts: the error is 0.0032
    assert (np.abs(ratio - 1) < 4 * error).all()
    raw = (bright.counts.sum(("scan", "y", "x")) / true).sel(fragment=["S-", "PO2-"])
    assert raw[0] < 0.985  # 2 % lost behind its own kind
    assert raw[1] < 0.95  # and 4 % more behind PS−


def test_voxels_and_pooled_scans_agree_on_average(bright):
    """The estimate has no bias at 25 shots, so that the mean over voxels is that over pixels."""
    pooled = maps.correct_dead_time(bright.counts, shots=25).counts.sum(("y", "x"))
    single = sum(maps.correct_dead_time(bright.counts[k], shots=25).counts.sum(("y", "x")) for k in range(20))
    assert np.abs(single / pooled - 1).sel(fragment=["S-", "Cl-", "PO2-"]).max() < 0.002


def test_times_and_window_name_the_same_partners(bright):
    by_time = maps.correct_dead_time(bright.counts, shots=25, dead_time=bright.dead_time, flight_time=bright.flight_time)
    by_window = maps.correct_dead_time(bright.counts, shots=25)
    assert by_time.masked_by.values.tolist() == by_window.masked_by.values.tolist()
    assert dict(zip(by_time.fragment.values, by_time.masked_by.values, strict=True))["PO2-"] == "PS-"
    xr.testing.assert_allclose(by_time.counts, by_window.counts)
    none = maps.correct_dead_time(bright.counts, shots=25, window=1e-6)
    assert (none.masked == 0).all()


def test_report(bright):
    result = maps.correct_dead_time(bright.counts, shots=25)
    assert int(result.shots[0, 0]) == 500
    measured = bright.counts.sum("scan")
    partner = measured.sel(fragment="PS-")
    assert (result.free_shots.sel(fragment="PO2-") == 500 - partner).all()
    assert float(result.masked.sel(fragment="PO2-")) == pytest.approx(float(partner.mean()) / 500)
    expected = (result.counts.sum(("y", "x")) / measured.sum(("y", "x"))).sel(fragment="S-")
    assert float(result.correction.sel(fragment="S-")) == pytest.approx(float(expected))
    assert result.uncorrected.isnull().all()
    assert "not known and not corrected" in result.attrs["long_name"]
    assert result.history.splitlines()[-1].startswith("ssbmaps.maps.correct_dead_time")


def cube_with_neighbours():
    """(y, x, mz) counts: a neighbour of PO2− at 62.90 that has no map, PS−, PO2−, and PO3− far away."""
    mz = np.array([62.80, 62.90, 62.946, 62.964, 63.10, 78.959])
    rng = np.random.default_rng(3)
    values = rng.integers(0, 30, (4, 5, 6)).astype(np.uint32)
    values[..., 0] = 7
    coords = {**raster_coords((4, 5), (0.1, 0.1)), "mz": mz}
    return xr.DataArray(values, coords, ("y", "x", "mz"), attrs={"units": "counts"})


def fragment_maps(cube, names=("PO2-", "PO3-")):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)  # of interferences, which are not the matter here
        return maps.fragment_maps(cube, list(names), window=0.005)


@pytest.mark.parametrize("container", ["dense", "sparse", "dask"])
def test_cube_gives_the_whole_preceding_window(container):
    cube = cube_with_neighbours()
    spectra = {"dense": cube, "sparse": cube.copy(data=sparse.COO.from_numpy(cube.values)), "dask": cube.chunk(y=2)}[container]
    result = maps.correct_dead_time(fragment_maps(cube), shots=400, spectrum=spectra)
    before = cube.values[..., 0:3].sum(-1)  # 62.80, 62.90 and 62.946 lie within 0.3 Da below 62.964
    assert (result.free_shots.sel(fragment="PO2-").values == 400 - before).all()
    assert (result.free_shots.sel(fragment="PO3-") == 400).all()
    assert (result.uncorrected == 0).all()
    n = cube.values[..., 3]
    plain = -400 * np.log(1 - n / (400 - before))
    assert result.counts.sel(fragment="PO2-").values == pytest.approx(plain, rel=0.003)


def test_sum_of_spectra_tells_what_is_left():
    cube = cube_with_neighbours()
    total = cube.sum(("y", "x"))
    result = maps.correct_dead_time(fragment_maps(cube, ("PS-", "PO2-", "PO3-")), shots=400, spectrum=total)
    unlisted = int(total[:2].sum())  # 62.80 and 62.90; PS− has a map
    assert float(result.uncorrected.sel(fragment="PO2-")) == pytest.approx(unlisted / (400 * 20))
    assert float(result.uncorrected.sel(fragment="PO3-")) == 0
    assert "are not corrected" in result.attrs["long_name"]


def test_spectrum_of_other_data_is_refused():
    cube = cube_with_neighbours()
    made = fragment_maps(cube)
    for wrong, words in (
        (cube.mean(("y", "x")), "expected the cube that the maps were made of"),
        (cube * 2, "expected the cube that the maps were made of"),
        (cube.sum("y"), "has dims"),
    ):
        with pytest.raises(SsbmapsError, match=words):
            maps.correct_dead_time(made, shots=400, spectrum=wrong)
    with pytest.raises(GridMismatchError, match="different grids"):
        maps.correct_dead_time(made, shots=400, spectrum=cube.assign_coords(x=cube.x + 0.01))
    with pytest.raises(SsbmapsError, match="no mz_low, mz_high"):
        maps.correct_dead_time(made.drop_vars(["mz_low", "mz_high"]), shots=400, spectrum=cube)


def test_saturated_pixels_are_flagged_and_never_infinite():
    counts = [[[100, 3, 60]], [[2, 5, 40]]]
    with pytest.warns(DataQualityWarning, match="PS- is saturated in 1 of 3 pixels.*PO2- is saturated in 2 of 3"):
        result = maps.correct_dead_time(doublet(counts), shots=100)
    assert result.saturated.values.tolist() == [[[True, False, False]], [[True, False, True]]]
    assert np.isnan(result.counts.values[result.saturated.values]).all()
    assert np.isfinite(result.counts.values[~result.saturated.values]).all()
    assert result.n_saturated.values.tolist() == [1, 2]
    assert float(result.correction.sel(fragment="PO2-")) == pytest.approx(float(result.counts[1, 0, 1]) / 5)


def test_overlapping_windows_are_named():
    edges = {"mz_low": ("fragment", [62.92, 62.945]), "mz_high": ("fragment", [62.965, 62.983])}
    with pytest.warns(DataQualityWarning, match="windows of PS- and PO2- overlap"):
        maps.correct_dead_time(doublet([[[3, 4]], [[5, 6]]], **edges), shots=100)


def test_blank_scan_is_named():
    counts = np.ones((3, 2, 2, 4), int)
    counts[1] = 0
    with pytest.warns(DataQualityWarning, match="Scan 1 holds no counts, yet its shots count"):
        maps.correct_dead_time(doublet(counts), shots=10)


def test_what_was_not_measured_stays_missing():
    counts = doublet(np.full((4, 2, 3, 5), 2))
    measured = np.ones((3, 5), bool)
    measured[0, 1] = False
    result = maps.correct_dead_time(counts.assign_coords(measured=(("y", "x"), measured)), shots=25)
    assert np.isnan(result.counts[:, 0, 1]).all()
    assert not result.saturated[:, 0, 1].any()
    gap = counts.astype(float)
    gap[3, 0, 2, 2] = np.nan  # one fragment of one scan: that scan does not count for the pixel
    partly = maps.correct_dead_time(gap, shots=25)
    three = maps.correct_dead_time(counts[:3], shots=25)
    assert int(partly.shots[2, 2]) == 75
    assert int(partly.shots[0, 0]) == 100
    assert partly.counts[:, 2, 2].values == pytest.approx(three.counts[:, 2, 2].values)


def test_shots_may_differ_from_scan_to_scan():
    counts = doublet(np.full((3, 2, 2, 4), 5))
    result = maps.correct_dead_time(counts, shots=xr.DataArray([20, 30, 50], dims="scan"))
    assert (result.shots == 100).all()
    uneven = xr.DataArray(np.arange(8).reshape(2, 4) + 40, {d: counts[d] for d in ("y", "x")}, ("y", "x"))
    assert (maps.correct_dead_time(counts, shots=uneven).shots == 3 * uneven).all()
    with pytest.raises(GridMismatchError, match="different grids"):
        maps.correct_dead_time(counts, shots=uneven.assign_coords(x=uneven.x + 1))


@pytest.mark.parametrize("kind", ["transposed", "dask", "sparse", "float", "summed", "uint8"])
def test_every_container_gives_the_same(kind):
    counts = doublet(np.random.default_rng(0).poisson(1.5, (6, 2, 4, 7)).astype(np.uint16))
    other, shots = {
        "transposed": (counts.transpose("x", "scan", "y", "fragment"), 25),
        "dask": (counts.chunk(scan=2, x=3), 25),
        "sparse": (counts.copy(data=sparse.COO.from_numpy(counts.values)), 25),
        "float": (counts.astype(float), 25),
        "summed": (counts.sum("scan"), 150),
        "uint8": (counts.astype(np.uint8), 25),
    }[kind]
    before = other.copy(deep=True)
    result = maps.correct_dead_time(other, shots=shots)
    xr.testing.assert_allclose(result, maps.correct_dead_time(counts, shots=25), rtol=1e-14)
    assert result.counts.dims == ("fragment", "y", "x")
    if kind not in ("sparse", "dask"):
        xr.testing.assert_identical(other, before)


def test_narrow_integers_do_not_overflow():
    counts = doublet(np.full((10, 2, 1, 2), 200, np.uint8))
    assert float(maps.correct_dead_time(counts, shots=1000).counts[0, 0, 0]) > 2000


def test_one_map_without_fragments():
    single = doublet([[[30, 10]], [[4, 5]]]).isel(fragment=0, drop=True)
    result = maps.correct_dead_time(single, shots=100)
    assert result.counts.dims == ("y", "x")
    assert result.masked_by.item() == ""
    assert float(result.counts[0, 0]) == pytest.approx(35.5, abs=0.1)


def test_time_is_kept_apart():
    series = doublet(np.ones((3, 2, 2, 4), int)).rename(scan="time")
    assert maps.correct_dead_time(series, shots=25).counts.dims == ("time", "fragment", "y", "x")


def test_faults_are_told():
    good = doublet([[[3, 4]], [[5, 6]]])
    cases = [
        (good - 9, {"shots": 10}, "negative counts"),
        (good + 0.5, {"shots": 10}, "not whole"),
        (good.astype(float).where(good < 6, np.inf), {"shots": 10}, "infinite counts"),
        (good.assign_attrs(units="arbitrary"), {"shots": 10}, "values are in 'arbitrary'"),
        (good, {"shots": 4}, r"PO2- has more counts than shots in 2 pixels \(up to 6 out of 4\)"),
        (good, {"shots": 2.5}, "shots is not a whole number"),
        (good, {"shots": 0}, "shots is not a whole number"),
        (good, {"shots": "many"}, "shots is 'many'"),
        (good, {"shots": 10, "dead_time": 65}, "go together"),
        (good, {"shots": 10, "dead_time": 65, "flight_time": 3.4, "window": 0.3}, "expected one of them"),
        (good, {"shots": 10, "window": -1}, "window is -1; expected a number above 0"),
        (good.drop_vars("fragment"), {"shots": 10}, "neither names nor m/z"),
        (good.rename(fragment="line"), {"shots": 10}, "maps along line"),
        (good.drop_vars("fragment").rename(fragment="mz"), {"shots": 10}, "a cube along mz"),
    ]
    for bad, options, words in cases:
        with pytest.raises(SsbmapsError, match=words):
            maps.correct_dead_time(bad, **options)
