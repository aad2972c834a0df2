"""Layer thickness: planted thinning is found, intervals cover, edges agree with a second road, bad input is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from ssbmaps import SsbmapsError, synthetic
from ssbmaps.interfaces import layer_thickness
from ssbmaps.interfaces._layer_edges import _beyond, edges_of, first_guess, in_view
from ssbmaps.interfaces._paired import field_mean, line_mean

POLYMER = "C2H3O-"


@cache
def stack(seed=3, **options):
    return synthetic.stack_series(seed=seed, shape=(80, 96), **options)


@cache
def measured(seed=3):
    return layer_thickness(stack(seed, thickness=(25.0, 21.5, 18.0)).counts, layer=POLYMER)


def test_polymer_thins_from_25_to_18_um():
    """The section's own thickness within 1 %, the material's within its interval."""
    s, found = stack(thickness=(25.0, 21.5, 18.0)), measured()
    assert (np.abs(found.thickness / s.section_thickness - 1) < 0.01).all()
    own = s.section_thickness - s.section_thickness[0]
    assert (np.abs(found.change - own) < 0.01 * s.section_thickness).all()
    assert ((found.change_low < s.thickness - 25) & (s.thickness - 25 < found.change_high))[1:].all()
    assert (np.abs(found.tilt - 2) < 1.2).all()  # roughness of 0.5 um over 48 um of columns
    assert found.thickness.attrs["units"] == "um"
    assert "since the first time; cause not identified" in str(found.statement.values[-1])


def test_intervals_cover_the_material():
    """12 sections, both times and the change: 36 intervals of 95 %; below 28 happens once in 1000 if they cover in 0.9."""
    hits = 0
    for seed in range(60, 72):
        s = stack(seed, thickness=(25.0, 18.0))
        found = layer_thickness(s.counts, layer=POLYMER)
        hits += int(((found.thickness_low < s.thickness) & (s.thickness < found.thickness_high)).sum())
        hits += bool(found.change_low[1] < -7 < found.change_high[1])
    assert hits >= 28


def test_labels_give_the_same_thickness():
    s = stack(thickness=(25.0, 21.5, 18.0))
    found = layer_thickness(s.labels, layer="polymer")
    assert (np.abs(found.thickness / s.section_thickness - 1) < 0.01).all()
    np.testing.assert_allclose(found.thickness, measured().thickness, rtol=0.01)


def test_flat_labels_carry_their_rounding():
    values = np.ones((2, 20, 30), "int16")
    values[0, 5:12] = 2
    values[1, 5:10] = 2
    flags = {"flag_values": np.array([1, 2], "int16"), "flag_meanings": "cathode polymer"}
    place = {"time": [0.0, 1.0], "y": np.arange(20) + 0.5, "x": np.arange(30) + 0.5}
    found = layer_thickness(xr.DataArray(values, place, ("time", "y", "x"), attrs=flags), layer="polymer")
    np.testing.assert_allclose(found.thickness, [7, 5])
    np.testing.assert_allclose(found.thickness_sd, np.sqrt(1 / 6))
    np.testing.assert_allclose(found.change_sd[1], np.sqrt(1 / 3))
    np.testing.assert_allclose(found.roughness, 0)


def test_a_turned_stack_gives_the_same():
    s = stack(thickness=(25.0, 21.5, 18.0))
    turned = s.counts.rename(y="x", x="y")
    found = layer_thickness(turned.transpose("x", "time", "y", "fragment"), layer=POLYMER, axis="x")
    for name in ("thickness", "thickness_sd", "change", "roughness", "edge_low"):
        np.testing.assert_allclose(found[name], measured()[name], rtol=1e-9)


def test_edges_of_one_column_agree_with_a_general_optimiser():
    """Second road: the same likelihood, levels and blur handed to Nelder and Mead."""
    rng = np.random.default_rng(1)
    rows, width = np.arange(40.0), 0.9
    true = np.array([np.full(30, 11.3), np.full(30, 27.6)])
    levels = np.array([0.5, 12.0, 1.0])
    share = [_beyond(rows, e, width)[0] for e in true]
    mean = levels[0] + (levels[1] - levels[0]) * share[0] + (levels[2] - levels[1]) * share[1]
    counts = rng.poisson(mean).astype(float)
    found = edges_of(counts, np.ones_like(counts, bool), poisson=True)
    assert found.blur in (0.65, 0.9)  # edges that follow the noise take a part of the blur with them
    pull = (found.at - true) / np.sqrt(found.variance / 2)
    assert np.abs(pull.mean()) < 4 / np.sqrt(60)
    assert 0.7 < pull.std() < 1.4  # 60 of them, levels estimated from their own column's neighbourhood

    def loss(edges):
        parts = [_beyond(rows, np.array([e]), found.blur)[0][:, 0] for e in edges]
        model = levels[0] + (levels[1] - levels[0]) * parts[0] + (levels[2] - levels[1]) * parts[1]
        return float((model - counts[:, 0] * np.log(model)).sum())

    best = minimize(loss, true[:, 0], method="Nelder-Mead").x
    # the levels that edges_of finds are off by some 3 %, which moves an edge by less than a tenth of its error of 0.3 px
    np.testing.assert_allclose(found.at[:, 0], best, atol=0.1)


@settings(max_examples=30)
@given(start=st.integers(1, 10), length=st.integers(2, 12), specks=st.integers(0, 3), seed=st.integers(0, 99))
def test_first_guess_is_the_run_that_is_mislabelled_least(start, length, specks, seed):
    """Against brute force over all runs."""
    rng = np.random.default_rng(seed)
    inside = np.zeros(26, bool)
    inside[start : start + length] = True
    inside[rng.integers(0, 26, specks)] ^= True
    level = np.where(inside, 1.0, -1.0)
    found = first_guess(level[:, None], np.ones((26, 1), bool))[:, 0].astype(int)
    best = max(level[i:j].sum() for i in range(26) for j in range(i + 1, 27))
    assert level[found[0] : found[1]].sum() == best


def test_columns_at_the_frame_are_not_in_view():
    at = np.array([[0.0, 3.0, 3.0], [5.0, 8.0, 10.0]])
    assert in_view(at, np.ones((10, 3), bool)).tolist() == [False, True, False]


def test_unmeasured_columns_are_left_out():
    s = stack(thickness=(25.0, 21.5, 18.0))
    known = np.ones((80, 96), bool)
    known[:, :20] = False
    found = layer_thickness(s.counts.assign_coords(measured=(("y", "x"), known)), layer=POLYMER)
    assert found.n_columns.values.tolist() == [76] * 3
    assert np.isnan(found.edge_low[:, :20]).all()


def test_few_counts_take_columns_together():
    s = stack(thickness=(25.0, 18.0), dose=0.1)
    found = layer_thickness(s.counts, layer=POLYMER)
    assert found.sizes["column"] < 96
    assert (np.abs(found.thickness - s.section_thickness) < 0.8).all()  # 1 count per pixel in the layer


def test_gaussian_values():
    s = stack(thickness=(25.0, 18.0))
    found = layer_thickness(s.counts.astype(float).assign_attrs(units="arbitrary"), layer=POLYMER)
    np.testing.assert_allclose(found.thickness, s.section_thickness, rtol=0.015)


def test_error_of_a_correlated_line():
    """Exponential and Gaussian correlation, and none: intervals of 200 lines each cover in 0.9 to 0.99."""
    rng = np.random.default_rng(7)
    x = np.arange(60.0)
    apart = np.abs(x[:, None] - x)
    for kin in (np.eye(60), np.exp(-apart / 3), np.exp(-0.5 * (apart / 3) ** 2) + 1e-9 * np.eye(60)):
        factor = np.linalg.cholesky(kin)
        found = [line_mean(factor @ rng.standard_normal(60), x).four for _ in range(60)]
        covered = np.mean([low < 0 < high for _, _, low, high in found])
        assert covered >= 0.83  # 60 draws of 0.95: lower happens once in 2000


def test_mean_of_a_field_without_variation_has_no_error():
    found = field_mean(np.ones((10, 10)), np.ones((10, 10), bool), (1.0, 1.0))
    assert found.four[0] == 1
    assert np.isnan(found.four[1:]).all()


def test_refusals():
    s = stack(thickness=(25.0, 21.5, 18.0))
    with pytest.raises(SsbmapsError, match="axis='z'; expected 'y' or 'x'"):
        layer_thickness(s.counts, layer=POLYMER, axis="z")
    with pytest.raises(SsbmapsError, match="fragment K- not in the maps"):
        layer_thickness(s.counts, layer="K-")
    with pytest.raises(SsbmapsError, match="phase 'glass' is not in the labels"):
        layer_thickness(s.labels, layer="glass")
    with pytest.raises(SsbmapsError, match="columns show both edges of the layer; expected at least 8"):
        layer_thickness(s.counts, layer="NiO2-")
    with pytest.raises(SsbmapsError, match="columns show both edges"):
        layer_thickness(s.counts * 0, layer=POLYMER)
    with pytest.raises(SsbmapsError, match="the dimension scan is left"):
        layer_thickness(s.counts.expand_dims(scan=[0, 1]), layer=POLYMER)
    with pytest.raises(SsbmapsError, match="expected maps with named channels or labels with flags"):
        layer_thickness(s.counts.sel(fragment=POLYMER, drop=True), layer=POLYMER)
    with pytest.raises(SsbmapsError, match="no coordinate x: the map has no pixel size"):
        layer_thickness(s.counts.drop_vars("x"), layer=POLYMER)
