"""Series in time: planted shares, laws and delays are found, intervals cover, what cannot be told is said."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ssbmaps import DataQualityWarning, GridMismatchError, SsbmapsError, synthetic
from ssbmaps.interfaces import lag, reversibility, time_series

CURRENT = ["primary_current", "primary_current_sd"]


@cache
def planted(seed=11, **options):
    return synthetic.operando_series(seed=seed, shape=(48, 48), **options)


@cache
def series(seed=11):
    s = planted(seed)
    return time_series(s.counts, s.labels, normalise=s[CURRENT])


def record(s):
    return s.record_voltage.rename(record_time="time")


def grid(n, pixel=0.2):
    return {"y": ("y", (np.arange(n) + 0.5) * pixel), "x": ("x", (np.arange(n) + 0.5) * pixel)}


def uniform(rng, n_times=30, n=32, level=4.0, field=1.0):
    counts = rng.poisson(level * field * np.ones((n_times, n, n)))
    coords = {"time": ("time", np.arange(n_times, dtype=float), {"units": "h"}), **grid(n)}
    return xr.DataArray(counts, coords, ("time", "y", "x"), attrs={"units": "counts"})


def everywhere(maps):
    return {"all": xr.ones_like(maps.isel(time=0, drop=True), dtype=bool)}


def hand_made(signal, sd, times=None, **coords):
    t = np.arange(len(signal), dtype=float) if times is None else np.asarray(times, float)
    place = {"time": ("time", t, {"units": "h"}), **{k: ("time", v) for k, v in coords.items()}}
    errors = np.broadcast_to(np.asarray(sd, float), len(signal)).copy()
    return xr.Dataset({"signal": ("time", np.asarray(signal, float)), "signal_sd": ("time", errors)}, place)


# --- time_series ---


def test_means_are_those_of_the_pixels():
    s = planted()
    found = time_series(s.counts, s.labels)
    brute = s.counts.where(s.labels == 3).mean(("y", "x"))
    np.testing.assert_allclose(found.signal.sel(region="interphase"), brute.transpose("time", "fragment"))
    assert found.signal.dims == ("region", "time", "fragment")
    assert list(found.region.values) == ["NCA", "electrolyte", "interphase"]
    assert int(found.n_pixels.sel(region="interphase")[0]) == int((s.labels == 3).sum())
    assert found.signal.attrs["units"] == "counts"
    assert list(found.voltage.dims) == ["time"]


def test_white_counts_have_the_error_of_counting():
    maps = uniform(np.random.default_rng(1))
    found = time_series(maps, everywhere(maps))
    counting = np.sqrt(maps.sum(("y", "x"))) / 32**2
    # 30 times × 1024 cells: the covariance beyond lag 0 adds a few per cent at most
    assert 0.95 < float(found.dispersion[0]) < 1.2
    np.testing.assert_allclose(found.signal_sd[0], counting * np.sqrt(max(1.0, float(found.dispersion[0]))))


def test_correlated_fluctuation_is_in_the_error():
    from ssbmaps.synthetic._operando import _fluctuation

    spread, stated = [], []
    for seed in range(6):
        maps = uniform(np.random.default_rng(seed), n=48, field=_fluctuation(seed, 30, (48, 48), 0.3))
        found = time_series(maps, everywhere(maps))
        spread.append(float(found.signal[0].std(ddof=1)))
        stated.append(float(np.sqrt((found.signal_sd[0] ** 2).mean())))
        assert float(found.dispersion[0]) > 5
    # the scatter over times is known to 1/√(2 × 6 × 29) = 5 %; the stated one loses what covariance lies beyond its reach
    assert 0.75 < np.mean(stated) / np.sqrt(np.mean(np.square(spread))) < 1.2


def test_structure_that_stays_is_no_error():
    rng = np.random.default_rng(2)
    field = np.exp(0.5 * np.sin(np.arange(32) / 4))[None, :, None]
    maps = uniform(rng, field=field)
    assert 0.9 < float(time_series(maps, everywhere(maps)).dispersion[0]) < 1.2


def test_a_transposed_lazy_input_gives_the_same():
    s = planted()
    few = s.counts.isel(time=slice(0, 6))
    first = time_series(few, s.labels)
    turned = time_series(few.transpose("x", "fragment", "y", "time").chunk({"time": 2}), s.labels.transpose("x", "y"))
    for name in ("signal", "signal_sd", "dispersion", "n_pixels"):
        np.testing.assert_allclose(turned[name], first[name], rtol=1e-10)


def test_unmeasured_pixels_and_nan_are_left_out():
    s = planted()
    measured = np.ones((48, 48), bool)
    measured[:, :20] = False
    counts = s.counts.assign_coords(measured=(("y", "x"), measured))
    found = time_series(counts, {"right": s.labels > 0})
    brute = s.counts.isel(x=slice(20, None)).where((s.labels > 0).isel(x=slice(20, None))).mean(("y", "x"))
    np.testing.assert_allclose(found.signal[0], brute.transpose("time", "fragment"))
    floats = s.counts.isel(time=slice(0, 5)).astype(float).where(measured)
    np.testing.assert_allclose(time_series(floats, {"right": s.labels > 0}).signal[0], brute.transpose("time", "fragment")[:5])


def test_an_interphase_from_a_range_of_distances():
    s = planted()
    found = time_series(s.counts, {"rim": (s.distance, 0.0, 0.5), "core": s.distance < 0})
    inside = (s.distance >= 0) & (s.distance < 0.5)
    np.testing.assert_allclose(
        found.signal.sel(region="rim"), s.counts.where(inside).mean(("y", "x")).transpose("time", "fragment")
    )


def test_regions_that_move_in_time():
    s = planted()
    few = s.counts.isel(time=slice(0, 3))
    moving = xr.concat([s.labels == k for k in (1, 2, 1)], few.time)
    found = time_series(few, {"moving": moving})
    assert found.n_pixels.values.tolist() == [[int((s.labels == k).sum()) for k in (1, 2, 1)]]
    np.testing.assert_allclose(found.signal[0, 1], few[1].where(s.labels == 2).mean(("y", "x")))


def test_recorded_current_takes_the_common_scatter_off():
    s = planted(fluctuation=0.0)
    raw, fixed = (
        time_series(s.counts, s.labels, normalise=n).signal.sel(region="NCA", fragment="NiO2-") for n in (None, s[CURRENT])
    )
    # some 900 pixels of 11 counts: 1.0 % of counting beside 3 % of the current
    assert float(raw.std() / raw.mean()) > 0.02
    assert float(fixed.std() / fixed.mean()) < 0.015
    own = time_series(s.counts, s.labels, normalise="NiO2-")
    assert "NiO2-" not in own.fragment.values
    assert float(own.reference.mean()) == pytest.approx(1)
    assert float(own.reference_sd.mean()) > 0


def test_raman_bands_with_a_variance_and_without():
    rng = np.random.default_rng(4)
    level = np.array([100.0, 20.0, 5.0, -1.0])[None, :, None, None] + np.linspace(0, 3, 12)[:, None, None, None]
    values = level + 2.0 * rng.standard_normal((12, 4, 24, 24))
    coords = {"time": np.arange(12.0), "band": ["Li2S", "S8", "PS4^3-", "P2Sx"], **grid(24)}
    maps = xr.DataArray(values, coords, ("time", "band", "y", "x"), attrs={"units": "arbitrary"})
    stated = time_series(maps, everywhere(maps.isel(band=0, drop=True)), variance=xr.full_like(maps, 4.0))
    found = time_series(maps, everywhere(maps.isel(band=0, drop=True)))
    assert (np.abs(stated.signal[0] - level[:, :, 0, 0]) < 5 * 2 / 24).all()  # 576 pixels of variance 4
    np.testing.assert_allclose(found.signal_sd, 2 / 24, rtol=0.15)
    np.testing.assert_allclose(stated.signal_sd, 2 / 24, rtol=0.15)
    assert float(stated.signal_low.min()) < -1  # nothing is cut off at 0: these are no counts


@settings(max_examples=15)
@given(factor=st.integers(2, 5), seed=st.integers(0, 50))
def test_whole_multiples_scale_the_means(factor, seed):
    maps = uniform(np.random.default_rng(seed), n_times=4, n=16)
    one, more = (time_series(m, everywhere(maps)) for m in (maps, (maps * factor).assign_attrs(units="counts")))
    np.testing.assert_allclose(more.signal, factor * one.signal)


def test_time_series_refusals():
    s = planted()
    with pytest.raises(SsbmapsError, match="dimension time is missing"):
        time_series(s.counts.isel(time=0), s.labels)
    with pytest.raises(SsbmapsError, match="negative counts"):
        time_series((s.counts.astype(int) - 5).assign_attrs(units="counts"), s.labels)
    with pytest.raises(SsbmapsError, match="region nothing holds no measured pixel"):
        time_series(s.counts, {"nothing": s.labels > 9})
    with pytest.raises(SsbmapsError, match="region odd: is of type int16; expected booleans"):
        time_series(s.counts, {"odd": s.labels})
    with pytest.raises(SsbmapsError, match=r"expected \(distance, low, high\) with low < high"):
        time_series(s.counts, {"rim": (s.distance, 1.0, 0.5)})
    with pytest.raises(SsbmapsError, match="regions is list; expected labels"):
        time_series(s.counts, [1])
    with pytest.raises(SsbmapsError, match="no pixel of the labels carries a phase"):
        time_series(s.counts, (s.labels * 0).astype("int16").assign_attrs(s.labels.attrs))
    with pytest.raises(GridMismatchError, match="the maps lie on different grids"):
        time_series(s.counts, s.labels.assign_coords(x=s.x + 1))
    with pytest.raises(SsbmapsError, match="maps have the dimension scan; sum over it first"):
        time_series(s.counts.expand_dims(scan=[0, 1]), s.labels)
    with pytest.raises(SsbmapsError, match="fragment XX- not in the maps"):
        time_series(s.counts, s.labels, normalise="XX-")
    with pytest.raises(SsbmapsError, match="normalise holds 0, NaN or negative values"):
        time_series(s.counts, s.labels, normalise=s.primary_current * 0)
    with pytest.raises(SsbmapsError, match="variance is given for counts"):
        time_series(s.counts, s.labels, variance=s.counts)
    with pytest.warns(DataQualityWarning, match="one time only"):
        one = time_series(s.counts.isel(time=slice(0, 1)), s.labels)
    assert np.isfinite(one.signal_sd).all()


def test_nothing_counted_has_the_error_of_one():
    maps = uniform(np.random.default_rng(0), level=0.0)
    found = time_series(maps, everywhere(maps))
    np.testing.assert_array_equal(found.signal, 0.0)
    np.testing.assert_allclose(found.signal_sd, 1 / 32**2)
    assert np.isnan(found.dispersion).all()


# --- reversibility ---


def test_planted_share_and_square_root_are_in_their_intervals():
    # 12 draws of 95 % intervals: 9 or fewer inside happens once in 500
    share, grown, root = 0, 0, 0
    for seed in range(40, 52):
        found = reversibility(series(seed), state="state").sel(region="interphase")
        so3, po3 = found.sel(fragment="SO3-"), found.sel(fragment="PO3-", law="sqrt")
        share += bool(so3.reversibility_low < 0.8 < so3.reversibility_high)
        gain = 0.6 * float(po3.initial)
        grown += bool(po3.accumulation_low < gain < po3.accumulation_high)
        root += bool(po3.evidence > 0.5)
        assert bool(so3.determined)
    assert min(share, grown, root) >= 10
    assert "cause not identified" in str(so3.statement.values)


def test_exact_numbers_of_one_cycle():
    found = reversibility(hand_made([4.0, 6.0, 4.5], 0.1), boundaries=[0, 1, 2])
    assert float(found.reversibility) == pytest.approx(0.75)
    # second road: the same ends by a search for the ratios r with |(1-r) b - c + r a| = 1.96 sd
    r = np.linspace(0, 2, 200_001)
    z = ((1 - r) * 6 - 4.5 + r * 4) ** 2 / (0.01 * ((1 - r) ** 2 + 1 + r**2))
    inside = r[z <= 1.959964**2]
    assert float(found.reversibility_low) == pytest.approx(inside[0], abs=1e-4)
    assert float(found.reversibility_high) == pytest.approx(inside[-1], abs=1e-4)
    assert float(found.cycle_change[0]) == 2.0
    assert float(found.cycle_returned[0]) == 1.5


def test_no_change_is_undetermined_and_unbounded():
    rng = np.random.default_rng(3)
    found = reversibility(hand_made(5 + 0.1 * rng.standard_normal(21), 0.1), boundaries=np.arange(21.0))
    assert int(found.determined) == 0
    assert np.isnan(float(found.reversibility))
    assert (float(found.reversibility_low), float(found.reversibility_high)) == (-np.inf, np.inf)
    assert "undetermined: the change on charge is not above noise" in str(found.statement.values)
    assert "No accumulation above noise" in str(found.statement.values)


def test_errors_that_are_stated_too_small_are_widened():
    rng = np.random.default_rng(5)
    ends = np.where(np.arange(41) % 2, 6.0, 4.0) + 0.2 * rng.standard_normal(41)
    tight = reversibility(hand_made(ends, 0.02), boundaries=np.arange(41.0))
    fair = reversibility(hand_made(ends, 0.2), boundaries=np.arange(41.0))
    assert 40 < float(tight.dispersion) < 250  # (0.2 / 0.02)² = 100, 19 degrees of freedom: ± 32 %
    assert float(tight.reversibility_sd) == pytest.approx(float(fair.reversibility_sd), rel=0.5)


@pytest.mark.parametrize(("law", "power"), [("sqrt", 0.5), ("linear", 1.0)])
def test_laws_of_accumulation_are_told_apart(law, power):
    rng = np.random.default_rng(6)
    t = np.arange(0, 41.0)
    signal = 3 + 2 * (t / 40) ** power + 0.03 * rng.standard_normal(41)
    found = reversibility(hand_made(signal, 0.03, state=["discharged"] * 41), state=["discharged", "x"] * 20 + ["discharged"])
    assert float(found.evidence.sel(law=law)) > 0.95
    one = found.sel(law=law)
    assert float(one.accumulation_low) < 2 < float(one.accumulation_high)
    assert float(one.initial_low) < 3 < float(one.initial_high)
    assert float(found.exponent_low) < power < float(found.exponent_high)
    assert np.isnan(float(found.reversibility))  # never charged


@settings(max_examples=25)
@given(scale=st.floats(0.1, 50), offset=st.floats(-5, 100), seed=st.integers(0, 30))
def test_share_does_not_depend_on_units_or_zero(scale, offset, seed):
    rng = np.random.default_rng(seed)
    ends = np.where(np.arange(9) % 2, 6.0, 4.0) + 0.1 * rng.standard_normal(9)
    one, other = (
        reversibility(hand_made(v, e), boundaries=np.arange(9.0)) for v, e in ((ends, 0.1), (offset + scale * ends, 0.1 * scale))
    )
    for name in ("reversibility", "reversibility_low", "reversibility_high", "cycle_reversibility"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-5)


def test_reversibility_refusals():
    one = hand_made([1.0, 2, 1], 0.1, state=["discharged", "charged", "discharged"])
    with pytest.raises(SsbmapsError, match=r"signal, signal_sd missing; expected what interfaces.time_series returns"):
        reversibility(xr.Dataset())
    with pytest.raises(SsbmapsError, match=r"expected one of state=.* got neither"):
        reversibility(one)
    with pytest.raises(SsbmapsError, match="got both"):
        reversibility(one, state="state", boundaries=[0, 1])
    with pytest.raises(SsbmapsError, match="state='cycle' is not among the coordinates"):
        reversibility(one, state="cycle")
    with pytest.raises(SsbmapsError, match="no time is 'discharged'; the states are full"):
        reversibility(one, state=["full"] * 3)
    with pytest.raises(SsbmapsError, match="state has 2 values for 3 times"):
        reversibility(one, state=["a", "b"])
    with pytest.raises(SsbmapsError, match=r"no map within 0.5 of the boundary at 9"):
        reversibility(one, boundaries=[0, 9])
    with pytest.raises(SsbmapsError, match="signal_sd of 0 or less"):
        reversibility(hand_made([1, 2, 1], 0.0), boundaries=[0, 1, 2])
    with pytest.raises(SsbmapsError, match="lies after the first discharged end"):
        reversibility(one, state="state", start=2.0)


# --- lag ---


def test_planted_lag_is_in_its_interval():
    hits = 0
    for seed in range(40, 46):
        found = lag(series(seed).sel(region="interphase"), record(planted(seed)))
        so3 = found.sel(fragment="SO3-")
        hits += bool(so3.lag_low < 0.6 < so3.lag_high)
        assert float(so3.lag_high - so3.lag_low) < 0.5
        assert int(found.determined.sel(fragment="NiO2-")) == 0
    assert hits >= 5  # 4 of 6 happen in 3 of 100 at 95 %
    assert float(found.period) == pytest.approx(10, rel=0.02)
    assert "A lag longer or shorter by the period" in str(so3.statement.values)


def test_noise_alone_is_undetermined():
    rng = np.random.default_rng(8)
    s = planted()
    t = s.time.values
    n_false = 0
    for _ in range(30):
        noise = 0.1 * rng.standard_normal(len(t))
        found = lag(hand_made(5 + noise, 0.1, times=t), record(s))
        n_false += int(found.determined)
    assert n_false <= 2  # 1 % each: three of 30 happen in 3 of 1000
    assert np.isnan(float(found.lag))
    assert float(found.lag_high) == np.inf
    assert "Lag undetermined: no correlation" in str(found.statement.values)


@pytest.mark.parametrize("sign", ["any", "-"])
def test_falling_signals_and_drift(sign):
    s = planted()
    t = s.time.values
    v = np.interp(t - 0.8, s.record_time, s.record_voltage)
    y = 20 - 2 * v + 0.05 * t + 1e-3 * t**2 + 0.1 * np.random.default_rng(9).standard_normal(len(t))
    found = lag(hand_made(y, 0.1, times=t), record(s), sign=sign)
    assert float(found.lag_low) < 0.8 < float(found.lag_high)
    assert float(found.amplitude_low) < -2 < float(found.amplitude_high)


def test_a_shifted_clock_shifts_the_lag():
    s = planted()
    one = lag(series().sel(region="interphase", fragment="SO3-"), record(s), within=(-2, 2))
    later = record(s).assign_coords(time=("time", s.record_time.values - 0.5, {"units": "h"}))
    other = lag(series().sel(region="interphase", fragment="SO3-"), later, within=(-1.5, 2.5))
    # the same lags on the same grid; more or fewer maps within the record may move it by a part of its error
    assert float(other.lag) == pytest.approx(float(one.lag) + 0.5, abs=0.05)


def test_lag_refusals():
    s, one = planted(), series().sel(region="NCA")
    with pytest.raises(SsbmapsError, match="sign='up'; expected one of any"):
        lag(one, record(s), sign="up")
    with pytest.raises(SsbmapsError, match=r"2 faults|drift=9"):
        lag(one, record(s), drift=9)
    with pytest.raises(SsbmapsError, match="against does not change"):
        lag(one, record(s) * 0)
    with pytest.raises(SsbmapsError, match="the time of against is in 's', that of the series in 'h'"):
        lag(one, record(s).assign_coords(time=("time", s.record_time.values, {"units": "s"})))
    with pytest.raises(SsbmapsError, match="against is list; expected a DataArray"):
        lag(one, [1, 2])
    with pytest.raises(SsbmapsError, match=r"within=.* expected"):
        lag(one, record(s), within=(2, 1))
    short = lag(one.isel(time=slice(0, 5)), record(s))
    assert "too few times" in str(short.statement.values[0])


def test_results_can_be_stored_and_inputs_are_left_alone(tmp_path):
    import ssbmaps

    before = series().copy(deep=True)
    found = {
        "reversibility": reversibility(series(), state="state"),
        "lag": lag(series().sel(region="interphase"), record(planted())),
        "series": series(),
    }
    xr.testing.assert_identical(before, series())
    for name, one in found.items():
        ssbmaps.io.save(one, tmp_path / f"{name}.nc")
        xr.testing.assert_identical(ssbmaps.io.load(tmp_path / f"{name}.nc"), one)
        assert one.attrs["history"].splitlines()[-1].startswith("ssbmaps.interfaces.")


def test_wrong_kinds_are_refused_in_words():
    s = planted()
    with pytest.raises(SsbmapsError, match=r"expected an xarray\.DataArray, got ndarray"):
        time_series(s.counts.values, s.labels)
    with pytest.raises(SsbmapsError, match="all values are NaN"):
        time_series(s.counts * np.nan, s.labels)
    with pytest.raises(SsbmapsError, match="infinite values"):
        time_series(s.counts + np.inf, s.labels)
    with pytest.raises(SsbmapsError, match="boundaries='ab'; expected two or more ascending times"):
        reversibility(series(), boundaries="ab")


def test_sparse_counts_give_the_same():
    import sparse

    few = planted().counts.isel(time=slice(0, 4))
    one, other = (time_series(m, planted().labels) for m in (few, few.copy(data=sparse.COO.from_numpy(few.values))))
    np.testing.assert_array_equal(one.signal_sd, other.signal_sd)
