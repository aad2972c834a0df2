"""Void fraction: planted fractions are in their intervals, changes are paired, what cannot be told is NaN."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ssbmaps import GridMismatchError, SsbmapsError, synthetic
from ssbmaps.interfaces import void_fraction
from ssbmaps.maps import phase_fractions


def small(seed, **options):
    return synthetic.void_series(seed=seed, shape=(160, 160), fraction=(0.029, 0.06, 0.095), **options)


def test_intervals_cover_fraction_and_change():
    fraction = change = 0
    for seed in range(300, 340):
        s = small(seed)
        found = void_fraction(s.labels)
        fraction += int(((found.fraction_low < s.fraction) & (s.fraction < found.fraction_high)).sum())
        true = s.fraction - s.fraction[0]
        change += int(((found.change_low < true) & (true < found.change_high))[1:].sum())
    # of 40 sections, three times; times of one section go together, so that 40 are what counts: below 0.85 once in 100
    assert fraction / 120 >= 0.85
    assert change / 80 >= 0.85


def test_one_time_is_that_of_phase_fractions():
    s = small(1)
    found = void_fraction(s.labels.isel(time=2))
    peer = phase_fractions(s.labels.isel(time=2, drop=True)).sel(phase="void")
    for name in ("fraction", "fraction_sd", "fraction_low", "fraction_high", "correlation_length", "n_independent"):
        assert float(found[name][0]) == pytest.approx(float(peer[name]))
    assert "isotropic and uniform" in found.attrs["wording"]


def test_a_paired_change_is_known_better_than_the_fractions():
    found = void_fraction(small(2).labels)
    apart = np.hypot(found.fraction_sd[0], found.fraction_sd[1])
    assert float(found.change_sd[1]) < 0.8 * float(apart)


def test_labels_and_booleans_and_transposed_give_the_same():
    s = small(3)
    one = void_fraction(s.labels)
    for other in (s.labels == 2, s.labels.transpose("x", "time", "y"), s.labels.chunk({"time": 1})):
        found = void_fraction(other)
        for name in ("fraction", "fraction_low", "change_high", "n_independent"):
            np.testing.assert_allclose(found[name], one[name])


def test_a_region_and_unmeasured_pixels():
    s = small(4)
    left = (xr.zeros_like(s.labels[0], dtype=bool) | (s.x < 16)).drop_vars("time")
    found = void_fraction(s.labels, region=left)
    np.testing.assert_allclose(found.fraction, (s.labels == 2).isel(x=slice(0, 80)).mean(("y", "x")))
    masked = s.labels.assign_coords(measured=(("y", "x"), left.values))
    np.testing.assert_allclose(void_fraction(masked).fraction_high, found.fraction_high)
    assert int(found.n_pixels[0]) == 160 * 80


def test_no_voids_have_an_upper_end_where_another_time_tells_the_grain():
    s = small(5)
    empty = s.labels.where(s.time > 0, 1).astype("int16").assign_attrs(s.labels.attrs)
    found = void_fraction(empty)
    assert float(found.fraction[0]) == 0
    assert float(found.fraction_low[0]) == 0
    n = float(found.n_independent[1:].min())
    assert float(found.fraction_high[0]) == pytest.approx(1 - 0.05 ** (1 / n))
    alone = void_fraction(empty.isel(time=[0]))
    assert np.isnan(alone.fraction_high).all()
    assert "no interval" in str(alone.statement.values[0])


@settings(max_examples=15)
@given(seed=st.integers(0, 500))
def test_turning_and_mirroring_change_nothing(seed):
    s = synthetic.void_series(seed=seed, shape=(64, 64), fraction=(0.1, 0.2))
    one = void_fraction(s.labels)
    turned = s.labels.copy(data=s.labels.values[:, ::-1].swapaxes(1, 2))
    for name in ("fraction", "fraction_low", "fraction_high", "change_sd"):
        np.testing.assert_allclose(void_fraction(turned)[name], one[name], rtol=1e-6)


def test_refusals():
    s = small(6)
    with pytest.raises(SsbmapsError, match="phase 'pore' is not in the labels, which hold unassigned, solid, void"):
        void_fraction(s.labels, void="pore")
    with pytest.raises(SsbmapsError, match="no measured pixel lies in the region"):
        void_fraction(s.labels, region=s.labels[0].drop_vars("time") > 9)
    with pytest.raises(SsbmapsError, match="region is int16 with dims"):
        void_fraction(s.labels, region=s.labels[0].drop_vars("time"))
    with pytest.raises(GridMismatchError, match="different grids"):
        void_fraction(s.labels, region=(s.labels[0].drop_vars("time") > 0).assign_coords(x=s.x + 1))
    with pytest.raises(SsbmapsError, match="the labels need attributes flag_values"):
        void_fraction(s.labels.assign_attrs(flag_values=0, flag_meanings=""))
    with pytest.raises(SsbmapsError, match="dimension y is missing"):
        void_fraction(s.labels.isel(y=0))
    with pytest.raises(SsbmapsError, match="labels have dims"):
        void_fraction(s.labels.expand_dims(sample=[0]))
