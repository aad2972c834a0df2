"""Beam damage: joint trends are suspected, drift and noise are not, beams and alternatives are named, wrong input is refused."""

from __future__ import annotations

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ssbmaps import GridMismatchError, SsbmapsError
from ssbmaps.interfaces import damage_suspicion
from ssbmaps.interfaces._damage_rules import RULES, beam_kind
from ssbmaps.interfaces._damage_trend import fit_trend
from ssbmaps.maps import ion_mz

IONS = ["LiF-", "SO2F-", "Li2O-", "CO3-"]


def series(mean, rng, ions=IONS):
    """(scan, fragment) counts."""
    mean = np.asarray(mean, float)
    place = {"scan": np.arange(mean.shape[0]), "fragment": list(ions)}
    return xr.DataArray(rng.poisson(mean), place, ("scan", "fragment"), attrs={"units": "counts"})


def etched(n=20):
    """LiF- grows out of SO2F-; Li2O- and CO3- stay."""
    k = np.arange(n)
    columns = [2000 * (1 - 0.5 * np.exp(-k / 8)), 1500 * np.exp(-k / 12), np.full(n, 800.0), np.full(n, 600.0)]
    return np.stack(columns, axis=1)


def test_a_joint_trend_is_suspected_and_only_that():
    found = damage_suspicion(series(etched(), np.random.default_rng(0)), sputter_beam="Ar+")
    assert found["rule"].values.tolist() == ["LiF- from SO2F-", "Li2O- from CO3-"]
    assert found.suspected.values.tolist() == [1, 0]
    text = str(found.statement.values[0])
    assert text.startswith("LiF- rises while SO2F- falls: compatible with damage; also compatible with a real gradient in depth")
    assert "is damage" not in text
    assert "sputter beam Ar+ (monatomic); primary beam not stated" in text
    assert str(found.statement.values[1]).startswith("no joint trend of Li2O- and CO3- beyond noise (p = ")
    assert float(found.product_slope_low[0]) > 0 > float(found.precursor_slope_high[0])
    assert found.p_value.values[0] == max(found.p_product.values[0], found.p_precursor.values[0])


@settings(max_examples=12)
@given(st.floats(0.01, 0.06), st.integers(0, 10**6))
def test_slope_of_an_exponential_is_recovered(rate, seed):
    k = np.arange(25.0)
    trend = fit_trend(np.random.default_rng(seed).poisson(5000 * np.exp(-rate * k)).astype(float), k)
    # the slope's own error, from counting: 4.5 of them is 1 in 10⁵; the dispersion that is found widens sd only
    assert abs(trend.slope + rate) < 4.5 * trend.sd
    np.testing.assert_allclose(trend.slope, -rate, atol=0.02)


def test_slope_scales_with_the_dose():
    counts = series(etched(), np.random.default_rng(1))
    base = damage_suspicion(counts)
    fluence = xr.DataArray(np.arange(20) * 2e11 + 5e12, dims="scan", attrs={"units": "cm^-2"})
    other = damage_suspicion(counts, dose=fluence)
    np.testing.assert_allclose(other.product_slope * 2e11, base.product_slope, rtol=1e-6)
    np.testing.assert_allclose(other.p_value, base.p_value, rtol=1e-6)
    assert other.product_slope.attrs["units"] == "1/(cm^-2)"
    assert base.product_slope.attrs["units"] == "1/scan"
    assert other.dose.attrs["units"] == "cm^-2"


def test_drift_of_the_current_and_reversed_time_raise_no_suspicion():
    rng = np.random.default_rng(2)
    k = np.arange(20)
    drift = np.exp(-0.03 * k)[:, None] * np.array([2000, 1500, 800, 600.0])
    assert not damage_suspicion(series(drift, rng)).suspected.any()
    assert not damage_suspicion(series(drift[::-1], rng)).suspected.any()
    assert not damage_suspicion(series(etched()[::-1], rng)).suspected.any()


@pytest.mark.parametrize(("jitter", "alike"), [(0.0, 0.0), (0.05, 0.9)])
def test_noise_is_no_suspicion(jitter, alike):
    """60 series each; both trends by chance happen in well under 5 %, and 9 of 60 would in 0.3 % of tests at 5 %."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(60):
        walk = rng.standard_normal((15, 2))
        for i in range(1, 15):
            walk[i] = alike * walk[i - 1] + np.sqrt(1 - alike**2) * walk[i]
        hits += int(damage_suspicion(series(1000 * np.exp(jitter * walk), rng, IONS[:2])).suspected[0])
    assert hits < 9


def test_over_dispersion_is_found():
    rng = np.random.default_rng(4)
    k = np.arange(60.0)
    jittered = fit_trend(rng.poisson(4000 * np.exp(0.05 * rng.standard_normal(60))).astype(float), k)
    # 5 % of 4000 counts: variance 1 + 4000 × 0.05² = 11 times that of counting, known to some 20 % from 57 degrees of freedom
    assert 6 < jittered.dispersion < 18
    # of white noise of that size about a line through 60 steps: √(11/4000) over √60 times their standard deviation, 17.3
    assert jittered.sd == pytest.approx((11 / 4000) ** 0.5 / 60**0.5 / 17.3, rel=0.3)
    plain = fit_trend(rng.poisson(np.full(60, 4000.0)).astype(float), k)
    assert plain.dispersion < 2


def test_long_series_are_pooled_without_moving_the_slope():
    k = np.arange(1000.0)
    counts = np.random.default_rng(5).poisson(50 * np.exp(-5e-4 * k)).astype(float)
    trend = fit_trend(counts, k)
    assert trend.curve.shape == (1000,)
    # a thousand steps of some 40 counts know the slope to 0.02e-3
    assert trend.slope == pytest.approx(-5e-4, abs=1e-4)
    assert trend.ends()[0] < -5e-4 < trend.ends()[1]


def maps(rng):
    """(scan, fragment, y, x): damage in the left half alone."""
    mean = np.empty((20, 4, 10, 12))
    mean[..., :6] = etched()[:, :, None, None] / 60
    mean[..., 6:] = np.array([20, 15, 8, 6])[:, None, None]
    place = {"scan": np.arange(20), "fragment": IONS, "y": np.arange(10) * 0.5 + 0.25, "x": np.arange(12) * 0.5 + 0.25}
    return xr.DataArray(rng.poisson(mean), place, ("scan", "fragment", "y", "x"), attrs={"units": "counts"})


def halves(counts):
    flags = np.where(np.arange(12) < 6, 1, 2) * np.ones((10, 1), int)
    attrs = {"flag_values": np.array([0, 1, 2]), "flag_meanings": "unassigned polymer oxide"}
    return xr.DataArray(flags.astype("int16"), {"y": counts.y, "x": counts.x}, ("y", "x"), attrs=attrs)


def test_phases_are_answered_apart_and_containers_alike():
    counts = maps(np.random.default_rng(6))
    before = counts.copy(deep=True)
    found = damage_suspicion(counts, labels=halves(counts))
    assert found.suspected.dims == ("phase", "rule")
    assert found.suspected.values.tolist() == [[1, 0], [0, 0]]
    assert found.total.dims == ("phase", "scan", "fragment") or set(found.total.dims) == {"phase", "scan", "fragment"}
    for other in (
        counts.transpose("x", "fragment", "y", "scan"),
        counts.copy(data=sparse.COO.from_numpy(counts.values)),
        counts.chunk({"scan": 5}),
    ):
        xr.testing.assert_allclose(damage_suspicion(other, labels=halves(counts)), found)
    xr.testing.assert_identical(counts, before)
    summed = damage_suspicion(counts.isel(x=slice(0, 6)).sum(("y", "x"), keep_attrs=True))
    np.testing.assert_allclose(summed.p_value, found.p_value.isel(phase=0))
    known = np.zeros((10, 12), bool)
    known[:, 6:] = True
    hidden = damage_suspicion(counts.assign_coords(measured=(("y", "x"), known)))
    np.testing.assert_allclose(hidden.p_value, found.p_value.isel(phase=1))
    assert all("units" in v.attrs and "long_name" in v.attrs for v in found.data_vars.values())


def test_rules_are_a_table_that_users_extend():
    counts = series(etched(), np.random.default_rng(7), ["LiF-", "PF6-", "PO3-", "Br-"])
    with pytest.raises(SsbmapsError, match=r"no product stands beside one of its precursors .* name your own pairs with rules="):
        damage_suspicion(counts)
    found = damage_suspicion(counts, rules={"LiF-": ["PF6-", "SO2F-"], "PO3-": "Br-"})
    assert found["rule"].values.tolist() == ["LiF- from PF6-", "PO3- from Br-"]
    assert found["product"].values.tolist() == ["LiF-", "PO3-"]
    for wrong, words in (
        ({}, "expected products with their precursors"),
        (["LiF-"], "expected products with their precursors"),
        ({"LiF-": []}, r"'LiF-' has no precursors"),
        ({"LiF-": "LiF-"}, r"'LiF-' is its own precursor"),
    ):
        with pytest.raises(SsbmapsError, match=words):
            damage_suspicion(counts, rules=wrong)


def test_every_ion_of_the_table_is_in_the_grammar():
    for product, precursors in RULES.items():
        for name in (product, *precursors):
            assert 10 < ion_mz(name) < 300
            assert name[-1] == product[-1], "product and precursors are of one polarity"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Ar1500+", "gas cluster"),
        ("Ar_n+", "gas cluster"),
        ("GCIB", "gas cluster"),
        ("gas cluster", "gas cluster"),
        ("Cs+", "monatomic"),
        ("Ga+", "monatomic"),
        ("69Ga+", "monatomic"),
        ("monatomic", "monatomic"),
        ("O2+", "polyatomic"),
        ("Bi3^2+", "polyatomic"),
        ("C60+", "polyatomic"),
        (None, "not stated"),
    ],
)
def test_beams_are_stated_and_change_no_number(name, kind):
    assert beam_kind(name, subject="x") == kind
    counts = series(etched(), np.random.default_rng(8))
    found = damage_suspicion(counts, sputter_beam=name)
    assert found.attrs["sputter_beam_kind"] == kind
    assert found.attrs["primary_beam_kind"] == "not stated"
    np.testing.assert_array_equal(found.p_value, damage_suspicion(counts).p_value)
    if name is not None:
        from_attrs = damage_suspicion(counts.assign_attrs(sputter_beam=name))
        assert from_attrs.attrs["sputter_beam"] == name
    assert ("sputter beam not stated" in str(found.statement.values[0])) == (name is None)


def test_not_testable_says_why():
    few = damage_suspicion(series(etched()[:4], np.random.default_rng(9)))
    assert not few.testable.any()
    assert "LiF-: 4 steps; at least 5 are needed" in str(few.statement.values[0])
    dark = etched()
    dark[:, 1] = 0
    found = damage_suspicion(series(dark, np.random.default_rng(9)))
    assert str(found.statement.values[0]) == "not testable: SO2F-: no counts"
    assert np.isnan(found.p_value[0])
    assert int(found.testable[1]) == 1


def test_refusals():
    counts = series(etched(), np.random.default_rng(10))
    for wrong, words in (
        (counts.isel(scan=0), "without steps there is no dose to follow"),
        (counts.astype(float) + 0.5, "values are float64"),
        (counts - 10**6, "negative counts"),
        (counts.expand_dims(cell=2), "dimension cell; expected"),
        (counts.expand_dims(y=2), "only one of y and x is a dimension"),
        (counts.assign_coords(fragment=["LiF-", "LiF-", "SO2F-", "S-"]), "LiF- is there more than once"),
        (counts.drop_vars("fragment"), "fragments have no names"),
    ):
        with pytest.raises(SsbmapsError, match=words):
            damage_suspicion(wrong)
    for options, words in (
        ({"dose": np.arange(19)}, "has the shape"),
        ({"dose": np.arange(20)[::-1]}, "does not ascend"),
        ({"sputter_beam": "laser?"}, "beam 'laser\\?' is not understood"),
        ({"false_alarms": 0}, r"false_alarms=0; expected"),
        ({"labels": halves(maps(np.random.default_rng(0)))}, "labels with a series that has no y and x"),
    ):
        with pytest.raises(SsbmapsError, match=words):
            damage_suspicion(counts, **options)
    whole = maps(np.random.default_rng(0))
    with pytest.raises(GridMismatchError, match="different grids"):
        damage_suspicion(whole, labels=halves(whole).assign_coords(x=whole.x * 2))
