"""With and without a layer: the analysis runs twice, differences have the error of shared data, wrong input is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ssbmaps import GridMismatchError, SsbmapsError, synthetic
from ssbmaps.interfaces import compare_with_and_without, distance_profile, edge_distance, fit_interphase, inner_region


def counts(mean, rng, lead=()):
    place = {d: (np.arange(n) + 0.5) * 0.5 for d, n in zip("yx", np.shape(mean)[-2:], strict=True)}
    return xr.DataArray(rng.poisson(mean), place, (*lead, "y", "x"), attrs={"units": "counts"})


def level(maps):
    """Mean counts per pixel: the maximum-likelihood estimate of a uniform map, which is efficient."""
    used = maps.where(maps.measured) if "measured" in maps.coords else maps
    n, total = used.count(), used.sum()
    return xr.Dataset({"level": total / n, "level_sd": total**0.5 / n, "flag": ((), 1)}).assign(n_pixels=n)


def left(maps, margin=4.0):
    return inner_region(edge_distance(maps, edge="left"), margin=margin)


def test_a_layer_s_share_is_the_difference():
    rng = np.random.default_rng(0)
    mean = np.where(np.arange(40) < 8, 9.0, 5.0) * np.ones((40, 1))
    maps = counts(mean, rng)
    both = compare_with_and_without(level, maps, where=left(maps))
    assert both.layer.values.tolist() == ["with", "without"]
    # 8 of 40 columns hold 4 counts more: the mean is 0.8 higher; errors of 0.02 and 0.03 counts
    assert float(both.level_difference) == pytest.approx(0.8, abs=0.15)
    assert float(both.level[1]) == pytest.approx(5.0, abs=0.2)
    assert float(both.level_difference_low) < 0.8 < float(both.level_difference_high)
    assert both.share_kept == pytest.approx(0.8)
    assert "80.0% of the data are kept" in str(both.statement.values)
    assert "difference 0.78 ± 0.017 counts" in str(both.statement.values)
    assert both.n_pixels.values.tolist() == [1600, 1280]
    assert "flag_difference" not in both
    assert both.attrs["wording"].startswith("difference: with the layer less without it")
    assert "interfaces.compare_with_and_without" in both.attrs["history"]


def test_error_of_the_difference_is_that_of_shared_data():
    """300 maps without a layer: the scatter of the difference is the stated error, which quadrature is twice too large for."""
    rng = np.random.default_rng(1)
    first = counts(np.full((20, 20), 5.0), rng)
    where = left(first, 2.0)
    rows = [compare_with_and_without(level, counts(np.full((20, 20), 5.0), rng), where=where) for _ in range(300)]
    differences = np.array([float(r.level_difference) for r in rows])
    stated = np.array([float(r.level_difference_sd) for r in rows])
    quadrature = np.mean([float(np.hypot(*r.level_sd)) for r in rows])
    # 300 draws know a standard deviation to 4 %; three standard errors
    assert differences.std() == pytest.approx(np.median(stated), rel=0.15)
    assert quadrature > 2 * differences.std()
    assert abs(differences.mean()) < 3 * differences.std() / 300**0.5
    covered = np.mean([float(r.level_difference_low) < 0 < float(r.level_difference_high) for r in rows])
    assert covered > 0.91
    assert not any(int(r.level_difference_bound) for r in rows)


def test_an_error_that_does_not_grow_gives_an_upper_bound():
    maps = counts(np.full((20, 20), 5.0), np.random.default_rng(2))
    both = compare_with_and_without(lambda m: level(m).assign(level_sd=0.1), maps, where=left(maps))
    assert int(both.level_difference_bound) == 1
    assert float(both.level_difference_sd) == pytest.approx(0.1 * 2**0.5)
    assert "± at most 0.14" in str(both.statement.values)


def test_scans_are_left_out_from_a_number_and_from_a_result():
    rng = np.random.default_rng(3)
    mean = np.where(np.arange(10) < 3, 2.0, 6.0)[:, None, None] * np.ones((1, 12, 12))
    maps = counts(mean, rng, ("scan",))
    both = compare_with_and_without(level, maps, scans=3)
    assert float(both.level[1]) == pytest.approx(6.0, abs=0.3)  # 1008 pixels and scans: error 0.08
    assert float(both.level_difference) == pytest.approx(-1.2, abs=0.3)
    assert float(both.share_kept) == pytest.approx(0.7)
    detected = xr.Dataset({"first_bulk_scan": ("fragment", [1.0, 3.0, np.nan])})
    again = compare_with_and_without(level, maps.transpose("x", "scan", "y"), scans=detected)
    np.testing.assert_allclose(again.level, both.level)
    pixels_too = compare_with_and_without(level, maps, scans=3, where=left(maps, 3.0))
    assert float(pixels_too.share_kept) == pytest.approx(0.7 * 0.5)


def test_what_was_unmeasured_stays_so():
    maps = counts(np.full((10, 10), 5.0), np.random.default_rng(4))
    known = np.ones((10, 10), bool)
    known[0] = False
    maps = maps.assign_coords(measured=(("y", "x"), known))
    before = maps.copy(deep=True)
    both = compare_with_and_without(level, maps, where=left(maps, 2.0))
    assert both.n_pixels.values.tolist() == [90, 54]
    xr.testing.assert_identical(maps, before)


def test_real_analyses_run_side_by_side():
    section = synthetic.cross_section(seed=1, shape=(96, 96), n_scans=1, geometry="disc", thickness=0.2)
    inner = inner_region(edge_distance(section.counts, edge="frame"), margin=2.0)

    def fit(maps):
        return fit_interphase(maps, section.distance, core="NiO2-", shell=["PO2-", "PO3-"])

    both = compare_with_and_without(fit, section.counts, where=inner)
    assert both.thickness.shape == (2, 1)
    difference, error = float(both.thickness_difference[0]), float(both.thickness_difference_sd[0])
    # nothing was planted at the frame: the difference is noise, at most a few of its own errors
    assert abs(difference) < 4 * error + 1e-3
    assert "thickness_difference_bound" in both
    profile = compare_with_and_without(lambda m: distance_profile(m, section.distance), section.counts, where=inner)
    assert "mean" in profile.attrs["left_out"] or "mean" in profile
    other = compare_with_and_without(
        lambda m: xr.Dataset({"a": ("k", np.arange(m.measured.sum() if "measured" in m.coords else 3.0)), "b": 1.0}),
        section.counts,
        where=inner,
    )
    assert other.attrs["left_out"] == "a"
    assert other.b_difference.item() == 0
    assert "b_difference_sd" not in other


def test_refusals():
    maps = counts(np.full((10, 10), 5.0), np.random.default_rng(5))
    inner = left(maps, 2.0)
    for options, words in (
        ({}, "neither where nor scans is given"),
        ({"where": inner.astype(int)}, r"where is int\d+ .*; expected booleans"),
        ({"where": inner | True}, "where keeps 100 of 100 measured pixels"),
        ({"where": inner & False}, "where keeps 0 of 100 measured pixels"),
        ({"scans": 2}, r"expected one of scan, z, time among them"),
    ):
        with pytest.raises(SsbmapsError, match=words):
            compare_with_and_without(level, maps, **options)
    series = counts(np.full((4, 10, 10), 5.0), np.random.default_rng(5), ("scan",))
    for scans, words in (
        (0, "the first 0 of 4 along scan are the layer; expected 1 to 3"),
        (4, "the first 4 of 4"),
        (1.5, "expected a whole number of leading scans"),
        (xr.Dataset(), "Dataset without first_bulk_scan"),
        (xr.Dataset({"first_bulk_scan": ("fragment", [np.nan])}), "first_bulk_scan is not known for 1 of 1 fragments"),
        (xr.Dataset({"first_bulk_scan": ("fragment", [0.0, np.nan])}), "no layer was detected, so that there are no scans"),
        (
            xr.Dataset({"first_bulk_scan": ("fragment", [2.0, np.nan]), "detected": ("fragment", [1, 1])}),
            "where a layer is detected that does not end within the series",
        ),
    ):
        with pytest.raises(SsbmapsError, match=words):
            compare_with_and_without(level, series, scans=scans)
    with pytest.raises(GridMismatchError, match="different grids"):
        compare_with_and_without(level, maps, where=inner.assign_coords(x=inner.x * 2))
    with pytest.raises(SsbmapsError, match="analysis is int; expected a function"):
        compare_with_and_without(3, maps, where=inner)
    with pytest.raises(SsbmapsError, match="the analysis with the layer returned float"):
        compare_with_and_without(lambda _: 1.0, maps, where=inner)
    with pytest.raises(SsbmapsError, match=r"the analysis without the layer failed\. too few"):
        compare_with_and_without(_only_whole, maps, where=inner)
    with pytest.raises(SsbmapsError, match="has a dimension layer of its own"):
        compare_with_and_without(lambda _: xr.Dataset({"a": ("layer", [1.0])}), maps, where=inner)


def _only_whole(maps):
    if "measured" in maps.coords:
        raise SsbmapsError("too few pixels")
    return level(maps)
