"""Lateral layers: distances are exact, planted edges and layers are found, noise is no layer, wrong input is refused."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from ssbmaps import GridMismatchError, SsbmapsError
from ssbmaps.interfaces import detect_lateral_layer, edge_distance, find_edge, inner_region
from ssbmaps.interfaces._lateral_bins import binned, edges_of
from ssbmaps.interfaces._lateral_noise import noise_of

PIXEL = 0.2


def grid(shape=(48, 64), pixel=PIXEL):
    return {d: (np.arange(n) + 0.5) * pixel for d, n in zip("yx", shape, strict=True)}


def counts(mean, rng=None, place=None):
    """Poisson counts (…, y, x) with units; `mean` itself without a generator."""
    mean = np.asarray(mean, float)
    values = rng.poisson(mean) if rng is not None else np.rint(mean).astype(int)
    place = place or grid(mean.shape[-2:])
    names = {"fragment": [f"{s}-" for s in ("O", "S", "Cl", "P")[: len(mean)]]} if mean.ndim == 3 else {}
    return xr.DataArray(values, {**names, **place}, (*names, "y", "x"), attrs={"units": "counts"})


def blank(shape=(48, 64), pixel=PIXEL):
    return counts(np.ones(shape), place=grid(shape, pixel))


def varied(rng, shape, length=3.0, size=0.3):
    """A field about 1 that varies by `size` over `length` pixels."""
    pad = int(4 * length) + 1
    noise = gaussian_filter(rng.standard_normal([n + 2 * pad for n in shape]), length)[pad:-pad, pad:-pad]
    return np.maximum(1 + size * noise * 2 * np.sqrt(np.pi) * length, 0)


# ---------------------------------------------------------------- distances


def test_frame_is_the_sides_of_the_outermost_pixels_and_of_holes():
    maps = blank((7, 9), 1.0)
    measured = np.ones((7, 9), bool)
    measured[3, 4] = measured[0, 0] = False
    found = edge_distance(maps.assign_coords(measured=(("y", "x"), measured)), edge="frame").values
    # brute force: distance of each centre to every unmeasured unit square, those around the map included
    y, x = np.indices((9, 11)) - 1
    closed = np.pad(~measured, 1, constant_values=True)
    for i, j in zip(*np.nonzero(measured), strict=True):
        gaps = np.hypot(np.maximum(np.abs(y - i) - 0.5, 0), np.maximum(np.abs(x - j) - 0.5, 0))
        assert found[i, j] == pytest.approx(gaps[closed].min())
    assert np.isnan(found[~measured]).all()


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_sides_are_those_of_the_measured_rectangle(side):
    maps = blank((5, 6))
    measured = np.zeros((5, 6), bool)
    measured[1:4, 2:5] = True
    found = edge_distance(maps.assign_coords(measured=(("y", "x"), measured)), edge=side)
    row = found.values[1:4, 2:5]
    row = row.T if side in ("top", "bottom") else row
    steps = (np.arange(3) + 0.5) * PIXEL
    np.testing.assert_allclose(row, np.tile(steps[::-1] if side in ("right", "bottom") else steps, (3, 1)))
    assert side in found.attrs["edge"]


@settings(max_examples=25)
@given(st.floats(0, np.pi), st.floats(-2.5, 2.5))
def test_line_is_exact_and_knows_its_sides(angle, offset):
    maps = blank()
    y, x = np.meshgrid(maps.y, maps.x, indexing="ij")
    middle = np.array([4.8, 6.4])
    normal, along = np.array([np.sin(angle), np.cos(angle)]), np.array([np.cos(angle), -np.sin(angle)])
    foot = middle + (offset + 0.05) * normal
    truth = (y - foot[0]) * normal[0] + (x - foot[1]) * normal[1]
    found = edge_distance(maps, edge=(foot - along, foot + along), inside=foot + normal)
    np.testing.assert_allclose(found, truth, atol=1e-6)
    other = edge_distance(maps, edge=(foot + along, foot - along), inside=foot - normal)
    np.testing.assert_allclose(other, -truth, atol=1e-6)


def test_larger_side_of_a_line_is_inside_and_a_tie_is_refused():
    maps = blank()
    assert float(edge_distance(maps, edge=((0, 2.0), (1, 2.0)))[0, -1]) == pytest.approx(12.7 - 2.0)
    assert float(edge_distance(maps, edge=((0, 12.0), (1, 12.0)))[0, 0]) == pytest.approx(12.0 - 0.1)
    with pytest.raises(SsbmapsError, match=r"both sides of the line hold 1536 pixels; say which is kept: inside="):
        edge_distance(maps, edge=((0, 6.4), (1, 6.4)))


def test_polygon_and_bent_line_against_brute_force():
    maps = blank((30, 40))
    ring = np.array([(1.0, 1.0), (1.2, 6.5), (3.0, 3.0), (5.0, 6.0), (4.5, 0.8), (1.0, 1.0)])
    found = edge_distance(maps, edge=ring)
    y, x = np.meshgrid(maps.y, maps.x, indexing="ij")
    t = np.linspace(0, 1, 4001)[:, None]
    points = np.vstack([a + t * (b - a) for a, b in pairwise(ring)])
    gaps = np.hypot(y[..., None] - points[::3, 0], x[..., None] - points[::3, 1]).min(axis=-1)
    np.testing.assert_allclose(np.abs(found), gaps, atol=2e-3)  # points of the ring lie at most 5 nm apart
    assert float(found.sel(y=4.0, x=2.0, method="nearest")) > 0 > float(found.sel(y=0.3, x=3.0, method="nearest"))
    turned = edge_distance(maps, edge=ring, inside=(0.1, 0.1))
    np.testing.assert_allclose(turned, -found)
    bent = edge_distance(maps, edge=[(2.0, 3.0), (2.0, 5.0), (4.0, 5.0)], inside=(5.0, 1.0))
    np.testing.assert_allclose(bent.sel(y=5.1, x=1.1, method="nearest"), 2.9 + 0.2, atol=0.011)  # goes on to y = 6
    np.testing.assert_allclose(bent.sel(y=0.9, x=6.9, method="nearest"), -np.hypot(1.1, 1.9), atol=1e-6)


def test_mask_is_a_smooth_circle_between_pixels():
    maps = blank((80, 80), 0.1)
    away = 2.5 - np.hypot(maps.y - 4.02, maps.x - 3.97)
    found = edge_distance(maps, edge=away > 0)
    # labels alone place the contour of a disc to 8-15 nm rms at 0.1 um pixels (see distance_to)
    assert float(np.sqrt(((found - away) ** 2).mean())) < 0.02
    assert bool((edge_distance(maps, edge=away > 0, inside=(0.1, 0.1)) == -found).all())


def test_transposed_sparse_and_unmeasured_maps_give_the_same_distance():
    maps = counts(np.ones((2, 20, 30)))
    line = ((0.0, 1.0), (4.0, 2.0))
    base = edge_distance(maps, edge=line)
    np.testing.assert_array_equal(edge_distance(maps.transpose("x", "y", "fragment"), edge=line), base)
    as_sparse = maps.copy(data=sparse.COO.from_numpy(maps.values))
    np.testing.assert_array_equal(edge_distance(as_sparse, edge=line), base)
    assert base.dims == ("y", "x")
    assert base.attrs["units"] == "um"
    assert "interfaces.edge_distance" in base.attrs["history"]
    assert base.attrs["edge_y"].tolist() == [0.0, 4.0]


def test_distance_refusals():
    maps = blank()
    for edge, words in (
        ("north", r"edge='north'; expected 'frame', one of 'left'"),
        ([(1.0, 1.0)], "edge has the shape"),
        ([(1.0, np.nan), (2.0, 2.0)], "edge holds NaN or infinity"),
        ([(1.0, 1.0), (1.0, 1.0)], "edge has 1 different points; a line needs 2"),
        ([(1.0, 1.0), (2.0, 2.0), (1.0, 1.0)], "edge has 2 different points; a line needs 2, a polygon 3"),
        (object(), "edge is of type object"),
        (xr.Dataset(), "Dataset without end_y"),
        (xr.zeros_like(maps, bool), "the mask holds 0 of 3072 measured pixels"),
        (xr.ones_like(maps, bool), "the mask holds 3072 of 3072 measured pixels"),
    ):
        with pytest.raises(SsbmapsError, match=words):
            edge_distance(maps, edge=edge)
    with pytest.raises(GridMismatchError, match="different grids"):
        edge_distance(maps, edge=xr.ones_like(blank((48, 64), 0.3), bool))
    with pytest.raises(SsbmapsError, match="no coordinate y"):
        edge_distance(maps.drop_vars("y"), edge="frame")
    with pytest.raises(SsbmapsError, match=r"no pixel was measured, so there is no side"):
        edge_distance(maps.assign_coords(measured=(("y", "x"), np.zeros((48, 64), bool))), edge="frame")
    with pytest.raises(SsbmapsError, match=r"inside=\(1, 2, 3\); expected a point \(y, x\)"):
        edge_distance(maps, edge=((0, 1), (1, 1)), inside=(1, 2, 3))
    with pytest.raises(SsbmapsError, match=r"lies on the edge; name a point beside it"):
        edge_distance(maps, edge=((0, 1), (1, 1)), inside=(0, 1))
    with pytest.raises(SsbmapsError, match="which has the measured area inside"):
        edge_distance(maps, edge="frame", inside=(1, 1))


# ---------------------------------------------------------------- the edge in the counts


def step_map(rng, *, angle=1.2, offset=-2.0, blur=0.4, shape=(64, 80), low=0.6, high=4.0, field=1.0):
    place = grid(shape)
    y, x = np.meshgrid(place["y"] - shape[0] * PIXEL / 2, place["x"] - shape[1] * PIXEL / 2, indexing="ij")
    z = (x * np.cos(angle) + y * np.sin(angle) - offset) / blur
    return counts((low + (high - low) * ndtr(z)) * field, rng)


def test_planted_edge_is_found_with_its_errors():
    rng = np.random.default_rng(11)
    found = find_edge(step_map(rng))
    assert int(found.found) == 1
    truth = {
        "angle": np.degrees(1.2) - 90,
        "position": -2.0,
        "blur": np.hypot(0.4, PIXEL / 12**0.5),
        "level_in": 4,
        "level_out": 0.6,
    }
    for name, value in truth.items():
        low, high = float(found[f"{name}_low"]), float(found[f"{name}_high"])
        # inside the interval widened by half: it is a 95 % one
        assert low - (high - low) / 4 < value < high + (high - low) / 4, name
    assert float(found.position_sd) < 0.05
    distance = edge_distance(step_map(rng), edge=found)
    assert float(distance.isel(y=0, x=0)) < 0 < float(distance.isel(y=-1, x=-1))
    assert "cause" not in str(found.statement.values)
    assert "what makes it is not identified" in str(found.statement.values)


def test_edge_of_a_section_that_has_a_layer_and_varies():
    rng = np.random.default_rng(5)
    place = grid((64, 80))
    s = place["x"] - 2.0 + 0 * place["y"][:, None]
    mean = np.where(s > 0, 5 * (1 + np.exp(-np.maximum(s, 0) / 1.5)), 0.4) * varied(rng, s.shape, 3, 0.15)
    found = find_edge(counts(mean, rng))
    assert int(found.found) == 1
    assert abs(float(found.end_x.mean()) - 2.0) < PIXEL  # half a pixel's blur on a hard step, and noise


def test_no_edge_is_said_and_not_used():
    rng = np.random.default_rng(3)
    maps = counts(4 * varied(rng, (48, 48)), rng)
    found = find_edge(maps)
    assert int(found.found) == 0
    assert np.isnan(found.angle)
    assert str(found.statement.values).startswith("no straight edge beyond what varies in the material itself")
    with pytest.raises(SsbmapsError, match="find_edge found no edge in these maps"):
        edge_distance(maps, edge=found)


def test_two_edges_alike_are_refused_and_a_fragment_decides():
    rng = np.random.default_rng(8)
    x = grid((64, 64))["x"]
    both = np.where((x > 3.2) & (x < 9.6), 6.0, 1.0) * np.ones((64, 1))
    one = np.where(x > 3, 3.0, 0.3) * np.ones((64, 1))
    with pytest.raises(SsbmapsError, match=r"two lines explain the counts alike, .* draw the edge: edge_distance"):
        find_edge(counts(both, rng))
    found = find_edge(counts([both, one], rng), fragment="S-")
    assert float(found.end_x.mean()) == pytest.approx(3.0, abs=0.1)


def test_find_edge_is_the_same_for_transposed_scans_and_seeds():
    maps = step_map(np.random.default_rng(2))
    series = xr.concat([maps - maps // 2, maps // 2], "scan", coords="minimal").assign_attrs(units="counts")
    first = find_edge(maps)
    for other in (maps.T, series, maps.chunk({"y": 16})):
        again = find_edge(other, rng=0)
        for name in ("angle", "position", "p_value", "blur_sd"):
            np.testing.assert_allclose(again[name], first[name], rtol=1e-9)


def test_find_edge_refusals():
    maps = step_map(np.random.default_rng(2))
    with pytest.raises(SsbmapsError, match="no counts in the measured pixels"):
        find_edge(maps * 0)
    with pytest.raises(SsbmapsError, match="no whole counts"):
        find_edge(maps.astype(float))
    with pytest.raises(SsbmapsError, match="negative counts"):
        find_edge(maps - 3)
    with pytest.raises(SsbmapsError, match="expected at least 8 along y and x"):
        find_edge(maps[:4])
    with pytest.raises(SsbmapsError, match=r"false_alarms=0; expected a probability from 0\.005"):
        find_edge(maps, false_alarms=0)
    with pytest.raises(SsbmapsError, match="expected named channels"):
        find_edge(maps, fragment="O-")


# ---------------------------------------------------------------- the layer


@cache
def layered():
    """Two fragments, the first with a layer of ℓ = 1.5 um, +60 %, along the left side; a gradient in both."""
    rng = np.random.default_rng(21)
    s = grid((64, 96))["x"] * np.ones((64, 1))
    gradient = 1 + 0.01 * (s - s.mean())
    return counts(
        [5 * gradient * (1 + 0.6 * np.exp(-s / 1.5)) * varied(rng, s.shape, 2, 0.1), 5 * gradient * varied(rng, s.shape, 2, 0.1)],
        rng,
    )


@cache
def found_layer():
    return detect_lateral_layer(layered(), edge_distance(layered(), edge="left"))


def test_planted_layer_is_found_and_the_other_fragment_has_none():
    found = found_layer()
    assert found.detected.values.tolist() == [1, 0]
    one = found.sel(fragment="O-")
    for name, value in (("depth_scale", 1.5), ("amplitude", 0.6), ("drift", 0.01)):
        assert float(one[f"{name}_low"]) < value < float(one[f"{name}_high"]), name
    assert str(one.statement.values).startswith("signal changes within ")
    assert "of the edge; cause not identified" in str(one.statement.values)
    other = found.sel(fragment="S-")
    assert np.isnan([other.depth_scale, other.amplitude, other.inner_distance]).all()
    assert float(other.drift_low) < 0.01 < float(other.drift_high)
    assert str(other.statement.values).startswith("no change towards the edge beyond noise (p = ")
    assert float(one.dispersion) > 1.2  # the field adds to counting: 10 % of 5 counts over some 40 pixels


def test_inner_distance_is_where_the_layer_meets_the_error_of_the_level():
    one = found_layer().sel(fragment="O-")
    left = float(one.amplitude * np.exp(-one.inner_distance / one.depth_scale))
    assert left == pytest.approx(float(one.inner_level_sd / one.inner_level), rel=1e-6)
    assert float(one.inner_distance_low) <= float(one.inner_distance) <= float(one.inner_distance_high)


@pytest.mark.parametrize("kind", ["white", "field", "gradient", "frame"])
def test_noise_is_no_layer(kind):
    """24 maps each at 5 %: 6 or more alarms would happen in 0.1 % of sound tests; a test that ignores the field gives most."""
    rng = np.random.default_rng(31)
    distance = edge_distance(blank((48, 48)), edge="frame" if kind == "frame" else "left")
    hits = 0
    for _ in range(24):
        mean = 4 * np.ones((48, 48)) * (varied(rng, (48, 48)) if kind in ("field", "frame") else 1)
        if kind == "gradient":
            mean = mean * (1 + 0.03 * (distance.values - 4.8))
        hits += int(detect_lateral_layer(counts(mean, rng), distance, rng=rng).detected)
    assert hits < 6


def test_depleted_layer_and_one_thinner_than_a_pixel():
    rng = np.random.default_rng(4)
    s = grid((64, 64))["x"] * np.ones((64, 1))
    gone = detect_lateral_layer(counts(6 * (1 - 0.9 * np.exp(-s / 1.0)), rng), edge_distance(blank((64, 64)), edge="left"))
    assert float(gone.amplitude_low) < -0.9 < float(gone.amplitude_high)
    assert float(gone.amplitude_low) >= -1
    thin = np.where(s < PIXEL, 12.0, 4.0)
    thin = detect_lateral_layer(counts(thin, rng), edge_distance(blank((64, 64)), edge="left"))
    assert int(thin.detected) == 1
    assert float(thin.depth_scale_low) == 0.0
    assert np.isnan(thin.amplitude_high)


def test_phases_are_answered_apart():
    rng = np.random.default_rng(9)
    s = grid((64, 64))["x"] * np.ones((64, 1))
    flags = np.where(np.arange(64)[:, None] % 16 < 8, 1, 2) * np.ones((1, 64), int)
    mean = np.where(flags == 1, 5 * (1 + 0.8 * np.exp(-s / 1.5)), 2.0)
    attrs = {"flag_values": np.array([0, 1, 2, 3]), "flag_meanings": "unassigned NMC LPSCl carbon"}
    labels = xr.DataArray(flags.astype("int16"), grid((64, 64)), ("y", "x"), attrs=attrs)
    maps = counts(mean, rng)
    found = detect_lateral_layer(maps, edge_distance(maps, edge="left"), labels=labels)
    assert found.phase.values.tolist() == ["NMC", "LPSCl", "carbon"]
    assert found.detected.values.tolist() == [1, 0, 0]
    assert found.testable.values.tolist() == [1, 1, 0]
    assert str(found.statement.values[2]) == "not testable: 0 distance bins hold pixels; at least 5 are needed"
    # a phase that is rarer at the edge is no layer of its own fragment
    rarer = labels.copy(data=np.where(rng.random((64, 64)) < 1 - 0.9 * np.exp(-s / 1.5), 1, 2).astype("int16"))
    maps = counts(np.where(rarer.values == 1, 5.0, 0.5), rng)
    assert int(detect_lateral_layer(maps, edge_distance(maps, edge="left")).detected) == 1
    assert detect_lateral_layer(maps, edge_distance(maps, edge="left"), labels=rarer).detected.values.tolist()[:2] == [0, 0]


def test_same_answer_from_transposed_scans_sparse_dask_and_masked():
    maps, distance = layered(), edge_distance(layered(), edge="left")
    base = found_layer()
    series = xr.concat([maps // 2, maps - maps // 2], "scan", coords="minimal").assign_attrs(units="counts")
    coo = maps.copy(data=sparse.COO.from_numpy(maps.values))
    for other in (maps.transpose("x", "fragment", "y"), series, coo, maps.chunk({"y": 20})):
        again = detect_lateral_layer(other, distance.T)
        np.testing.assert_allclose(again.depth_scale, base.depth_scale, rtol=1e-9)
        np.testing.assert_allclose(again.p_value, base.p_value)
    before = maps.copy(deep=True)
    measured = np.ones(maps.shape[1:], bool)
    measured[:, 40:50] = False
    spoilt = maps.where(xr.DataArray(measured, dims=("y", "x")), 10**6).assign_coords(measured=(("y", "x"), measured))
    masked = detect_lateral_layer(spoilt.assign_attrs(units="counts"), distance)
    assert float(masked.inner_level.max()) < 10
    xr.testing.assert_identical(before, maps)
    assert base.profile.dims == ("fragment", "distance")
    assert all("units" in v.attrs and "long_name" in v.attrs for v in base.data_vars.values())
    assert base.attrs["wording"] == "signal changes within N um of the edge; cause not identified"


@settings(max_examples=5)
@given(st.floats(0.05, 20))
def test_pixel_size_scales_lengths(factor):
    maps = layered().isel(fragment=0)
    bigger = maps.assign_coords(y=maps.y * factor, x=maps.x * factor)
    base = detect_lateral_layer(maps, edge_distance(maps, edge="left"))
    scaled = detect_lateral_layer(bigger, edge_distance(bigger, edge="left"))
    np.testing.assert_allclose(scaled.depth_scale / factor, base.depth_scale, rtol=1e-6)
    np.testing.assert_allclose(scaled.likelihood_ratio, base.likelihood_ratio, rtol=1e-6)


def test_intensities_need_no_counting():
    rng = np.random.default_rng(12)
    s = grid((48, 64))["x"] * np.ones((48, 1))
    values = 100 * (1 + 0.3 * np.exp(-s / 1.5)) * (1 + 0.1 * rng.standard_normal(s.shape))
    maps = xr.DataArray(values, grid(), ("y", "x"), attrs={"units": "arbitrary"})
    found = detect_lateral_layer(maps.where(maps.x < 12), edge_distance(maps, edge="left"))
    assert int(found.detected) == 1
    assert float(found.depth_scale_low) < 1.5 < float(found.depth_scale_high)
    exact = maps.copy(data=100 * (1 + 0.3 * np.exp(-s / 1.5)))
    assert float(detect_lateral_layer(exact, edge_distance(maps, edge="left")).depth_scale) == pytest.approx(1.5, rel=0.05)
    flat = detect_lateral_layer(xr.full_like(maps, 3.0), edge_distance(maps, edge="left"))
    assert "all values are equal" in str(flat.statement.values)
    negative = detect_lateral_layer(-maps, edge_distance(maps, edge="left"))
    assert "the mean is not above 0" in str(negative.statement.values)


def test_not_testable_says_why():
    maps = blank((20, 3))
    assert "not testable: 3 distance bins hold pixels; at least 5 are needed" in str(
        detect_lateral_layer(maps, edge_distance(maps, edge="left")).statement.values
    )
    empty = blank() * 0
    assert str(detect_lateral_layer(empty, edge_distance(empty, edge="left")).statement.values) == "not testable: no counts"
    few = empty.copy()
    few[0, 0] = 7
    answer = detect_lateral_layer(few, edge_distance(empty, edge="left"))
    assert str(answer.statement.values).startswith("not testable: 7 counts in ")
    assert np.isnan(answer.p_value)


def test_layer_refusals():
    maps, distance = layered(), edge_distance(layered(), edge="left")
    with pytest.raises(SsbmapsError, match=r"no measured pixel has a distance of 0 or more\. .* inside="):
        detect_lateral_layer(maps, -distance)
    with pytest.raises(SsbmapsError, match=r"up to depth_max=0\.01 um"):
        detect_lateral_layer(maps, distance, depth_max=0.01)
    with pytest.raises(SsbmapsError, match=r"3 faults:\n.*'nm'; expected um(.|\n)*depth_max=-1(.|\n)*false_alarms=2"):
        detect_lateral_layer(maps, distance.assign_attrs(units="nm"), depth_max=-1, false_alarms=2)
    with pytest.raises(SsbmapsError, match="negative counts"):
        detect_lateral_layer(maps - 100, distance)
    with pytest.raises(SsbmapsError, match="dimension cell; expected"):
        detect_lateral_layer(maps.expand_dims(cell=2), distance)
    with pytest.raises(GridMismatchError, match="different grids"):
        detect_lateral_layer(maps, edge_distance(blank((64, 96), 0.3), edge="left"))


def test_covariance_of_bins_is_that_of_many_fields():
    """The estimate from one map, averaged over maps, against the scatter of the bin means of 400 maps."""
    rng = np.random.default_rng(17)
    shape, level = (64, 64), 4.0
    s = edge_distance(blank(shape), edge="left").values
    bins = binned(s, np.ones(shape, bool), edges_of(float(s.max()), PIXEL), np.array([1.0]))
    fields = [varied(rng, shape, 3, 0.2) for _ in range(400)]
    images = [rng.poisson(level * f) for f in fields]
    truth = np.cov(np.array([bins.means(i.astype(float)) for i in images]).T)
    flat = np.full(shape, 1 / level)
    made = [
        noise_of(i / i.mean() - 1, flat, bins.index, len(bins.number), (PIXEL, PIXEL), 1).covariance(
            np.full(len(bins.number), level), bins.number, poisson=True
        )
        for i in images[:40]
    ]
    mean = np.mean(made, axis=0)
    # 400 maps know a variance to 7 %, 40 estimates of it from a dozen independent parts each to some 10 %
    assert np.trace(mean) == pytest.approx(np.trace(truth), rel=0.2)
    off = np.abs(np.subtract.outer(bins.s, bins.s)) < 0.5
    assert mean[off].sum() == pytest.approx(truth[off].sum(), rel=0.25)


# ---------------------------------------------------------------- what is left


def test_inner_region_from_a_margin_and_from_a_layer():
    distance = edge_distance(layered(), edge="left")
    inner = inner_region(distance, margin=3.0)
    assert inner.dtype == bool
    np.testing.assert_array_equal(inner, distance > 3.0)
    assert inner.attrs["share_kept"] == pytest.approx(float((distance > 3).mean()))
    from_layer = inner_region(distance, margin=found_layer())
    assert from_layer.attrs["margin"] == pytest.approx(float(found_layer().inner_distance.max()))
    assert "the widest of 1 detected layers" in from_layer.attrs["statement"]
    nothing = found_layer().assign(detected=found_layer().detected * 0)
    assert inner_region(distance, margin=nothing).all()
    np.testing.assert_array_equal(inner_region(distance.T, margin=3.0), inner)


def test_inner_region_refusals():
    distance = edge_distance(layered(), edge="left")
    with pytest.raises(SsbmapsError, match=r"no pixel is left beyond a margin of 100 um .* the largest distance is 19\.1 um"):
        inner_region(distance, margin=100)
    for wrong in (-1, np.nan, "3", True):
        with pytest.raises(SsbmapsError, match=r"expected 0 or more in um, or what detect_lateral_layer returns"):
            inner_region(distance, margin=wrong)
    with pytest.raises(SsbmapsError, match="Dataset without detected, inner_distance"):
        inner_region(distance, margin=xr.Dataset())
    endless = found_layer().assign(inner_distance=found_layer().inner_distance * np.nan)
    with pytest.raises(SsbmapsError, match="1 of 1 detected layers do not reach their inner level"):
        inner_region(distance, margin=endless)
    with pytest.raises(SsbmapsError, match="'nm'; expected um"):
        inner_region(distance.assign_attrs(units="nm"), margin=1)
