"""Series with planted truth: the truth is what it says, the same seed gives the same bits, wrong arguments are refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ssbmaps import SsbmapsError, synthetic


def test_planted_share_lag_and_accumulation_are_exact_in_the_factors():
    s = synthetic.operando_series(seed=3, shape=(32, 32), n_cycles=4)
    so3 = s.factor.sel(fragment="SO3-").values
    low, high = (np.flatnonzero(s.state.values == w) for w in ("discharged", "charged"))
    assert len(low) == 5
    assert len(high) == 4
    change, returned = so3[high] - so3[low[:-1]], so3[high] - so3[low[1:]]
    np.testing.assert_allclose(returned / change, s.attrs["reversibility"])
    po3 = s.factor.sel(fragment="PO3-").values
    np.testing.assert_allclose(po3, 1 + s.attrs["accumulation"] * np.sqrt(s.time / s.time[-1]))
    np.testing.assert_array_equal(s.factor.sel(fragment="NiO2-"), 1.0)
    # the voltage at a map is what the record says, and SO3- without what stays is the record a lag earlier
    record = np.interp(s.time, s.record_time, s.record_voltage)
    np.testing.assert_allclose(record, s.voltage, atol=5e-3)


def test_without_wear_so3_is_the_record_a_lag_earlier():
    s = synthetic.operando_series(seed=3, shape=(32, 32), n_cycles=3, reversibility=1.0, swing=0.5, lag=1.0)
    early = np.interp(s.time - 1.0, s.record_time, s.record_voltage)
    np.testing.assert_allclose(s.factor.sel(fragment="SO3-"), 1 + 0.5 * (early - 2.9) / 1.4, atol=2e-3)


def test_counts_follow_the_factors_and_the_current():
    s = synthetic.operando_series(seed=5, shape=(32, 32), n_cycles=2, fluctuation=0.0)
    expected = s.factor * s.primary_current
    total = s.counts.sum(("y", "x"))
    ratio = total / expected
    # counts alone vary: squared deviations over the mean are chi-square, 16 degrees of freedom each, 80 together
    square = ((total - expected * ratio.mean("time")) ** 2 / (expected * ratio.mean("time"))).sum()
    assert 0.6 < float(square) / (5 * (s.sizes["time"] - 1)) < 1.5


def test_fluctuation_is_as_large_as_stated():
    from ssbmaps.synthetic._operando import _fluctuation

    field = _fluctuation(2, 200, (48, 48), 0.1)
    # 200 fields of some (48/11)² = 20 independent parts: 1.6 % of the standard deviation, 5 of them allowed
    assert abs(field.std() / 0.1 - 1) < 0.08
    assert abs(field.mean() - 1) < 0.01


def test_stack_is_as_thick_as_planted():
    s = synthetic.stack_series(seed=4, thickness=(20.0, 12.0), dose=50.0, roughness=0.3)
    marker = s.counts.sel(fragment="C2H3O-").sum("y").astype(float)
    # area of the layer by conservation: background 0.4 before and 0.6 behind, 10 inside, per pixel of 0.5 um
    for t, (planted, own) in enumerate(zip(s.thickness.values, s.section_thickness.values, strict=True)):
        d = float(((marker[t] / 50 - 0.5 * 96) / 9.5).mean()) * 0.5 * np.cos(np.deg2rad(2))
        assert abs(d - own) < 0.15  # the mean background is within 0.1 × half the height of 0.5: some 0.1 um
        assert abs(own - planted) < 0.6  # 4 standard errors of roughness over 6 independent parts
    assert s.labels.attrs["flag_meanings"] == "unassigned cathode polymer lithium"


def test_voids_are_nested_and_unbiased():
    fractions = []
    for seed in range(30):
        s = synthetic.void_series(seed=seed, shape=(96, 96), fraction=(0.03, 0.1))
        void = s.labels.values == 2
        assert not (void[0] & ~void[1]).any()
        fractions.append(void.mean(axis=(1, 2)))
    mean, error = np.mean(fractions, axis=0), np.std(fractions, axis=0) / np.sqrt(30)
    assert (np.abs(mean - [0.03, 0.1]) < 4 * error).all()


@pytest.mark.parametrize("make", [synthetic.operando_series, synthetic.stack_series, synthetic.void_series])
def test_same_seed_same_bits(make):
    options = {"shape": (96, 32)} if make is synthetic.stack_series else {"shape": (32, 32)}
    xr.testing.assert_identical(make(seed=9, **options), make(seed=9, **options))
    name = "labels" if make is synthetic.void_series else "counts"
    assert not np.array_equal(make(seed=9, **options)[name], make(seed=10, **options)[name])


def test_refusals():
    with pytest.raises(SsbmapsError, match=r"operando_series: 2 faults:\n- lag is 9 h.*\n- reversibility is 2"):
        synthetic.operando_series(lag=9, reversibility=2)
    with pytest.raises(SsbmapsError, match="per_cycle is 5; expected an even number"):
        synthetic.operando_series(per_cycle=5)
    with pytest.raises(SsbmapsError, match="seed is -1; expected an int"):
        synthetic.operando_series(seed=-1)
    with pytest.raises(SsbmapsError, match=r"stack_series: the stack reaches .* um; expected less than the map, 10 um"):
        synthetic.stack_series(shape=(20, 30))
    with pytest.raises(SsbmapsError, match="stack_series: thickness is"):
        synthetic.stack_series(thickness=(-1.0,))
    with pytest.raises(SsbmapsError, match="void_series: fraction is"):
        synthetic.void_series(fraction=(0.2, 0.1))
    with pytest.raises(SsbmapsError, match="void_series: seed is 'a'"):
        synthetic.void_series(seed="a")
