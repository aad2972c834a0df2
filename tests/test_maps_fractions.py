"""Particles and fractions: touching discs cut, borders flagged; intervals that cover the mean of the process."""

from __future__ import annotations

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ssbmaps import SsbmapsError, synthetic
from ssbmaps.maps import label_particles, phase_fractions
from ssbmaps.maps._fractions import mean_variance

PIXEL = 0.1


def _labels(mask, pixel=(PIXEL, PIXEL), names="unassigned NMC"):
    mask = np.asarray(mask)
    place = {d: (np.arange(n) + 0.5) * p for d, n, p in zip("yx", mask.shape, pixel, strict=True)}
    flags = {"flag_values": np.arange(len(names.split()), dtype="int16"), "flag_meanings": names}
    return xr.DataArray(mask.astype("int16"), place, ("y", "x"), attrs=flags)


def _discs(shape, discs, pixel=(PIXEL, PIXEL)):
    y, x = ((np.arange(n) + 0.5) * p for n, p in zip(shape, pixel, strict=True))
    return np.any([np.hypot(y[:, None] - a, x - b) < r for a, b, r in discs], axis=0)


def test_touching_discs_are_cut_at_the_neck():
    mask = _discs((60, 90), [(3, 2, 1.5), (3, 4.6, 1.5), (1.2, 7.8, 0.8)])
    particles = label_particles(_labels(mask), "NMC")
    assert (particles.dtype, particles.dims, int(particles.max())) == (np.int32, ("y", "x"), 3)
    np.testing.assert_array_equal(particles.values > 0, mask)
    # the neck of two equal discs lies midway between their centres; numbers follow the rows: the small disc is met first
    assert particles.values[12, 78] == 1
    left, right = particles.values[30, 20], particles.values[30, 46]
    assert {left, right} == {2, 3}
    assert (particles.values[:, :32][mask[:, :32]] == left).all()
    assert (particles.values[:, 34:66][mask[:, 34:66]] == right).all()
    np.testing.assert_allclose(particles.attrs["area"], np.bincount(particles.values.ravel())[1:] * 0.01)
    assert particles.attrs["on_border"].tolist() == [0, 0, 0]
    assert int(label_particles(_labels(mask), "NMC", split_touching=0).max()) == 2


def test_wavy_outlines_and_holes_are_not_cut():
    y, x = np.meshgrid((np.arange(80) + 0.5) * 0.1, (np.arange(100) + 0.5) * 0.1, indexing="ij")
    angle = np.arctan2(y - 4, x - 5)
    mask = np.hypot(y - 4, x - 5) < 2.8 * (1 + 0.08 * np.cos(5 * angle))
    assert int(label_particles(_labels(mask), "NMC").max()) == 1
    mask &= ~(np.hypot(y - 4, x - 4) < 0.5) & ~(np.hypot(y - 4.2, x - 6) < 0.4)
    assert int(label_particles(_labels(mask), "NMC").max()) == 1


@pytest.mark.parametrize("pixel", [(0.1, 0.1), (0.2, 0.05)])
def test_necks_are_measured_in_um(pixel):
    shape = (round(6 / pixel[0]), round(9 / pixel[1]))
    for gap, n in ((2.3, 2), (0.8, 1)):  # neck 1.9 and 2.9 um wide across discs of 3 um: 0.64 and 0.96 of the diameter
        mask = _discs(shape, [(3, 3, 1.5), (3, 3 + gap, 1.5)], pixel)
        assert int(label_particles(_labels(mask, pixel), "NMC", split_touching=0.8).max()) == n


@pytest.mark.parametrize(("neck", "parts"), [(0.3, 2), (0.55, 2), (0.9, 1)])
def test_pairs_are_cut_where_the_neck_is_below_the_share(neck, parts):
    for r in (0.8, 1.3, 2.1):  # beside a disc of 2.1 um; the default cuts below 0.7 of the smaller
        apart = np.sqrt(2.1**2 - (neck * r) ** 2) + np.sqrt(r**2 - (neck * r) ** 2)
        mask = _discs((60, 100), [(3, 2.4, 2.1), (3, 2.4 + apart, r)])
        particles = label_particles(_labels(mask), "NMC").values
        assert particles.max() == parts
        assert (particles[30, 24] == particles[30, round(10 * (2.4 + apart))]) == (parts == 1)


def test_touching_particles_of_a_section_each_have_a_number():
    still = synthetic.Instrument(drift=0, drift_walk=0, dead_time=0)
    layout = synthetic.Layout(touching=1, roughness=0, cracked=0, radius=(1.0, 2.0))
    shape = (96, 144)
    section = synthetic.cross_section(
        seed=2, shape=shape, pixel_size=0.2, n_scans=1, thickness=0, layout=layout, instrument=still
    )
    size = np.array(shape) * 0.2
    centres = np.stack([section.particle_y, section.particle_x], axis=1)
    centres = centres[((centres > 0.4) & (centres < size - 0.4)).all(axis=1)]
    at = tuple((centres / 0.2).astype(int).T)
    cut, joined = (label_particles(section["phase_map"], "NMC", split_touching=s).values[at] for s in (0.7, 0))
    assert (cut > 0).all()
    assert len(set(joined)) < len(centres)  # gaps of 0.05 um are lost in pixels of 0.2 um
    assert len(set(cut)) == len(centres)


def test_border_particles_and_small_ones():
    mask = _discs((50, 70), [(2.5, 0.5, 1), (2.5, 3.5, 1), (4, 5.5, 0.3)])
    labels = _labels(mask)
    particles = label_particles(labels, "NMC")
    assert particles.attrs["on_border"].tolist() == [1, 0, 0]
    assert int(label_particles(labels, "NMC", min_area=0.5).max()) == 2
    measured = np.ones(mask.shape, bool)
    measured[:, 47:49] = False
    beside = label_particles(labels.assign_coords(measured=(("y", "x"), measured)), "NMC")
    assert beside.attrs["on_border"].tolist() == [1, 0, 0]
    measured[:, 44:49] = False
    beside = label_particles(labels.assign_coords(measured=(("y", "x"), measured)), "NMC")
    assert beside.attrs["on_border"].tolist() == [1, 1, 0]


def test_transposed_and_contained_labels_agree():
    labels = _labels(_discs((40, 50), [(2, 1.5, 1), (2, 3.3, 1)]))
    expected, fractions = label_particles(labels, "NMC"), phase_fractions(labels)
    for other in (labels.transpose("x", "y"), labels.chunk({"x": 9}), labels.copy(data=sparse.COO.from_numpy(labels.values))):
        xr.testing.assert_equal(label_particles(other, "NMC"), expected)
        xr.testing.assert_equal(phase_fractions(other), fractions)


def test_refused_labels():
    labels = _labels(_discs((40, 50), [(2, 1.5, 1)]))
    with pytest.raises(SsbmapsError, match="phase 'LCO' is not in the labels"):
        label_particles(labels, "LCO")
    with pytest.raises(SsbmapsError, match=r"(?s)2 faults.*min_area=-1.*split_touching=2"):
        label_particles(labels, "NMC", min_area=-1, split_touching=2)
    with pytest.raises(SsbmapsError, match=r"reaches min_area=9 um², the largest 3\.1"):
        label_particles(labels, "NMC", min_area=9)
    with pytest.raises(SsbmapsError, match="no pixel is labelled NMC"):
        label_particles(labels.copy(data=labels.values * 0), "NMC")
    with pytest.raises(SsbmapsError, match="labels 6, 7 have no name"):
        phase_fractions(labels.copy(data=labels.values + 6))
    with pytest.raises(SsbmapsError, match="flag_values and flag_meanings"):
        phase_fractions(labels.drop_attrs())
    with pytest.raises(SsbmapsError, match="expected integer labels"):
        phase_fractions(labels.astype(float))


def _boolean(seed, shape, radius, share):
    """Union of discs at random places (Poisson): its mean area fraction is known exactly."""
    rng = np.random.default_rng(seed)
    low, high = radius
    size = np.array(shape) * PIXEL + 2 * high
    mean_square = (high**3 - low**3) / (3 * (high - low))
    n = rng.poisson(-np.log(1 - share) / np.pi / mean_square * size.prod())
    centres = rng.uniform(0, 1, (n, 2)) * size - high
    return _discs(shape, [(a, b, r) for (a, b), r in zip(centres, rng.uniform(low, high, n), strict=True)] or [(0, 0, 0)])


@pytest.mark.parametrize(("radius", "share"), [((0.5, 1.5), 0.3), ((0.2, 0.5), 0.05), ((1, 3), 0.4)])
def test_intervals_cover_the_mean_of_the_process(radius, share):
    found = [phase_fractions(_labels(_boolean(s, (96, 128), radius, share))).sel(phase="NMC") for s in range(120)]
    table = xr.concat(found, "field")
    known = np.isfinite(table.fraction_low)
    assert float(known.mean()) > 0.9  # the largest discs fill some fields: no interval there
    inside = ((table.fraction_low <= share) & (table.fraction_high >= share))[known]
    # 120 fields: 0.95 ± 0.02; a pixel-counting interval covers 0.05 to 0.2
    assert float(inside.mean()) > 0.89
    spread = float(table.fraction.std())
    assert 0.75 < float(np.sqrt((table.fraction_sd**2).mean())) / spread < 1.35  # sd of 120 fields itself: 6.5 %
    assert abs(float(table.fraction.mean()) - share) < 4 * spread / np.sqrt(120)


def test_fields_for_10_percent_are_those_of_the_interval():
    row = phase_fractions(_labels(_boolean(1, (128, 160), (0.3, 0.8), 0.25))).sel(phase="NMC")
    fields = float(row.fields_for_10_percent)
    half = 1.959964 * float(row.fraction_sd) / float(row.fraction)
    assert half / np.sqrt(fields) <= 0.1 < half / np.sqrt(fields - 1)
    area = 12.8 * 16
    assert float(row.n_independent) * float(row.correlation_length) ** 2 == pytest.approx(area)


@given(seed=st.integers(0, 50))
def test_variance_of_independent_pixels_is_binomial(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random((60, 80)) < 0.3
    found = mean_variance(mask, np.ones(mask.shape, bool), (1.0, 1.0))
    # covariance at lags beyond 0 is noise of 2 % per lag; the sum over the nearest few scatters by some 10 %
    assert 0.6 < found / (0.21 / mask.size) < 1.7


def test_covariance_sum_equals_all_pairs():
    rng = np.random.default_rng(7)
    mask = _boolean(7, (24, 31), (0.2, 0.4), 0.3)
    measured = rng.random(mask.shape) < 0.9
    y, x = (v[measured] * PIXEL for v in np.indices(mask.shape))
    excess = mask[measured] - mask[measured].mean()
    lag = np.hypot(y[:, None] - y, x[:, None] - x)
    products = np.outer(excess, excess)
    ring = np.floor(lag / PIXEL + 0.5).astype(int)
    first = next(k for k in range(40) if products[ring == k].sum() <= 0)
    near = lag <= (first - 0.5) * PIXEL
    expected = (products[near].sum() / products.size) / (1 - near.mean())
    assert mean_variance(mask, measured, (PIXEL, PIXEL)) == pytest.approx(expected, rel=1e-9)


def test_undetermined_fractions_are_nan():
    labels = _labels(np.zeros((30, 40)), names="unassigned NMC")
    result = phase_fractions(labels)
    assert result.fraction.values.tolist() == [1, 0]
    assert np.isnan(result.fraction_low).all()
    half = phase_fractions(_labels(np.arange(40) < 20 + np.zeros((30, 1))))  # one edge: a single observation
    assert half.fraction.values.tolist() == [0.5, 0.5]
    assert np.isnan(half.fraction_sd).all()


def test_absent_phase_has_an_upper_end_by_the_coarsest_phase_there():
    mask = _boolean(1, (128, 160), (0.3, 0.8), 0.25)
    result = phase_fractions(_labels(mask, names="unassigned NMC void"))
    void, n = result.sel(phase="void"), float(result.n_independent.min())
    assert float(void.fraction) == float(void.fraction_low) == 0
    assert (1 - float(void.fraction_high)) ** n == pytest.approx(0.05)
    assert np.isnan(void[["fraction_sd", "correlation_length", "n_independent", "fields_for_10_percent"]].to_array()).all()
    coarse = phase_fractions(_labels(np.arange(160) < 80 + np.zeros((128, 1)), names="unassigned NMC void"))
    assert np.isnan(coarse.fraction_high).all()


def test_fractions_are_of_measured_pixels_and_follow_the_contract():
    mask = _boolean(2, (60, 80), (0.3, 0.6), 0.3)
    measured = np.ones(mask.shape, bool)
    measured[:20] = False
    labels = _labels(mask).assign_coords(measured=(("y", "x"), measured)).assign_attrs(technique="tof-sims", history="a")
    result = phase_fractions(labels)
    assert float(result.fraction.sel(phase="NMC")) == mask[20:].mean()
    assert float(result.fraction.sum()) == pytest.approx(1)
    assert result.attrs["technique"] == "tof-sims"
    assert result.attrs["history"].splitlines()[1].startswith("ssbmaps.maps.phase_fractions")
    assert result.correlation_length.attrs["units"] == "um"
