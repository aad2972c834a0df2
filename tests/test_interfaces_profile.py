"""Profiles: bins and their edges, Poisson and sample errors, what is left out; against a loop and against planted steps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ssbmaps import GridMismatchError, SsbmapsError
from ssbmaps.interfaces import distance_profile

SHAPE = (12, 17)


def _place(shape=SHAPE, pixel=0.1):
    return {"y": (np.arange(shape[0]) + 0.5) * pixel, "x": (np.arange(shape[1]) + 0.5) * pixel}


def _distance(values):
    values = np.asarray(values, float)
    return xr.DataArray(values, _place(values.shape), ("y", "x"), attrs={"units": "um"})


def _maps(values, units="counts"):
    values = np.asarray(values)
    lead = ("time", "scan", "fragment")[5 - values.ndim :]
    coords = {"fragment": list("abcdefg")[: values.shape[-3]]} if "fragment" in lead else {}
    return xr.DataArray(values, {**_place(values.shape[-2:]), **coords}, (*lead, "y", "x"), attrs={"units": units})


@given(seed=st.integers(0, 100), width=st.floats(0.05, 0.7), poisson=st.booleans())
def test_equals_a_loop_over_bins(seed, width, poisson):
    rng = np.random.default_rng(seed)
    distance = _distance(rng.normal(0, 1, SHAPE))
    values = rng.poisson(3, (2, *SHAPE)) if poisson else rng.normal(5, 1, (2, *SHAPE))
    profile = distance_profile(_maps(values), distance, bin_width=width)
    edges = np.append(profile.distance_low, profile.distance_high[-1])
    for f in range(2):
        for b, (low, high) in enumerate(pairwise(edges)):
            chosen = values[f][(distance.values >= low) & (distance.values < high)]
            found = profile.isel(fragment=f, distance=b)
            assert found["count"] == chosen.size
            if not chosen.size:
                assert np.isnan(found["mean"])
                assert np.isnan(found["sem"])
                continue
            error = np.sqrt(max(chosen.sum(), 1)) / chosen.size if poisson else _sem(chosen)
            # same numbers summed in another order
            np.testing.assert_allclose([found["mean"], found["sem"]], [chosen.mean(), error], rtol=1e-12, atol=1e-13)
    assert profile["count"].isel(fragment=0).sum() == distance.size


def _sem(values):
    return np.std(values, ddof=1) / np.sqrt(values.size) if values.size > 1 else np.nan


def test_bins_hold_their_low_edge_and_zero_is_an_edge():
    # 0.3 / 0.1 is 2.9999999999999996 in floating point, and 3 * 0.1 is 0.30000000000000004
    distance = np.tile(np.array([-0.2, -0.1, -1e-12, 0.0, 0.1, 0.2, 3 * 0.1]), (2, 1))
    profile = distance_profile(_maps(np.ones((2, 7), int)), _distance(distance))
    np.testing.assert_allclose(profile.distance, [-0.15, -0.05, 0.05, 0.15, 0.25, 0.35])
    assert profile["count"].values.tolist() == [2, 4, 2, 2, 2, 2]
    assert 0.0 in profile.distance_low
    np.testing.assert_array_equal(profile.distance_high[:-1], profile.distance_low[1:])
    assert profile.distance.attrs["units"] == "um"


@pytest.mark.parametrize("step", [0.1, 0.07, 0.3, 1 / 3])
def test_every_edge_belongs_to_the_bin_above_it_in_floating_point(step):
    edges = np.arange(-700, 701) * step
    profile = distance_profile(_maps(np.ones((2, edges.size), int)), _distance(np.tile(edges, (2, 1))), bin_width=step)
    np.testing.assert_array_equal(profile["count"], 2)
    below = np.tile(np.nextafter(edges, -np.inf), (2, 1))
    profile = distance_profile(_maps(np.ones(below.shape, int)), _distance(below), bin_width=step)
    np.testing.assert_array_equal(profile["count"], 2)
    assert float(profile.distance_high[-1]) == edges[-1]


def test_default_bin_is_the_pixel():
    distance = _distance(np.linspace(-1, 1, 204).reshape(SHAPE))
    profile = distance_profile(_maps(np.ones(SHAPE, int)), distance)
    np.testing.assert_allclose(profile.distance_high - profile.distance_low, 0.1)


def test_empty_bins_are_nan_with_count_zero():
    distance = np.full(SHAPE, -0.05)
    distance[:, 5:] = 0.35
    profile = distance_profile(_maps(np.ones(SHAPE, int)), _distance(distance))
    assert profile["count"].values.tolist() == [60, 0, 0, 0, 144]
    np.testing.assert_array_equal(np.isnan(profile["mean"]), [False, True, True, True, False])
    np.testing.assert_array_equal(np.isnan(profile["sem"]), [False, True, True, True, False])


def test_a_sum_of_zero_carries_the_error_of_one_count():
    profile = distance_profile(_maps(np.zeros(SHAPE, int)), _distance(np.zeros(SHAPE)))
    assert profile["mean"].item() == 0
    assert profile["sem"].item() == pytest.approx(1 / 204)


def test_errors_cover_as_they_say():
    rng = np.random.default_rng(5)
    distance = _distance(np.linspace(-2, 2, 40 * 50, endpoint=False).reshape(40, 50))
    truth = np.where(distance < 0, 0.4, 7.0)
    for units, draw in (("counts", rng.poisson(truth, (300, 40, 50))), ("arbitrary", rng.normal(truth, 2, (300, 40, 50)))):
        maps = xr.DataArray(draw, distance.coords, ("time", "y", "x"), attrs={"units": units})
        profile = distance_profile(maps, distance, bin_width=0.2)
        z = (profile["mean"] - np.where(profile.distance < 0, 0.4, 7.0)) / profile["sem"]
        # 6000 values of z: the share within ±1.96 is 0.95 ± 0.003
        assert abs(float((np.abs(z) < 1.96).mean()) - 0.95) < 0.012
        assert abs(float(z.mean())) < 0.05


def test_only_whole_counts_are_poisson():
    distance = _distance(np.zeros(SHAPE))
    values = np.arange(204).reshape(SHAPE)
    sample = np.std(values, ddof=1) / np.sqrt(204)
    for maps in (_maps(values, "arbitrary"), _maps(values.astype(float))):
        assert distance_profile(maps, distance)["sem"].item() == pytest.approx(sample)
    assert distance_profile(_maps(values), distance)["sem"].item() == pytest.approx(np.sqrt(values.sum()) / 204)


def test_pixels_that_are_left_out():
    distance = np.zeros(SHAPE)
    distance[0] = np.nan
    values = np.ones((2, *SHAPE))
    values[0, 1] = np.nan
    values[:, 2:4] = 1e9
    measured = np.ones(SHAPE, bool)
    measured[2] = False
    where = np.ones(SHAPE, bool)
    where[3] = False
    maps = _maps(values, "arbitrary").assign_coords(measured=(("y", "x"), measured))
    profile = distance_profile(maps, _distance(distance), where=_distance(where).astype(bool))
    assert profile["count"].values.ravel().tolist() == [8 * 17, 9 * 17]
    np.testing.assert_array_equal(profile["mean"].values.ravel(), [1, 1])
    with pytest.raises(SsbmapsError, match="no pixel is left"):
        distance_profile(maps, _distance(distance), where=_distance(where & False).astype(bool))


def test_containers_transposed_and_extra_dimensions():
    rng = np.random.default_rng(1)
    values = rng.poisson(2, (2, 3, 4, *SHAPE)).astype("uint8")
    maps, distance = _maps(values), _distance(rng.normal(0, 0.4, SHAPE))
    expected = distance_profile(maps, distance)
    assert expected["mean"].dims == ("time", "scan", "fragment", "distance")
    assert expected.fragment.values.tolist() == list("abcd")
    for other in (
        maps.transpose("x", "fragment", "y", "scan", "time"),
        maps.chunk({"scan": 1, "x": 6}),
        maps.copy(data=sparse.COO.from_numpy(values)),
    ):
        xr.testing.assert_equal(distance_profile(other, distance.transpose("x", "y").chunk({"x": 5})), expected)


def test_narrow_counts_do_not_overflow():
    profile = distance_profile(_maps(np.full(SHAPE, 255, "uint8")), _distance(np.zeros(SHAPE)))
    assert profile["mean"].item() == 255


def test_result_follows_the_contract():
    maps = _maps(np.ones((2, *SHAPE), int)).assign_attrs(technique="tof-sims", history="a")
    maps = maps.assign_coords(mz=("fragment", [24.0, 32.0]))
    profile = distance_profile(maps, _distance(np.zeros(SHAPE)).assign_attrs(history="b"))
    assert profile.attrs["technique"] == "tof-sims"
    assert [line.split()[0] for line in profile.attrs["history"].splitlines()] == [
        "a",
        "b",
        "ssbmaps.interfaces.distance_profile",
    ]
    assert {name: profile[name].attrs["units"] for name in profile} == {"mean": "counts", "sem": "counts", "count": "1"}
    assert profile.mz.values.tolist() == [24, 32]
    assert profile["count"].dtype == np.int64


def test_refused_input():
    maps, distance = _maps(np.ones((2, *SHAPE), int)), _distance(np.zeros(SHAPE))
    with pytest.raises(GridMismatchError, match=r"x: 17 x 0.1 um.*x: 16 x 0.1 um"):
        distance_profile(maps, distance.isel(x=slice(16)))
    with pytest.raises(GridMismatchError, match="different grids"):
        distance_profile(maps, distance.assign_coords(x=distance.x + 1e-9))
    with pytest.raises(GridMismatchError, match="where: the maps lie on different grids"):
        distance_profile(maps, distance, where=distance.isel(y=slice(5)) == 0)
    with pytest.raises(SsbmapsError, match=r"where is float64 .* expected booleans"):
        distance_profile(maps, distance, where=distance)
    with pytest.raises(SsbmapsError, match="negative counts"):
        distance_profile(maps - 2, distance)
    with pytest.raises(SsbmapsError, match=r"(?s)2 faults.*expected one map \(y, x\).*distance is in 'nm'; expected um"):
        distance_profile(maps, distance.expand_dims("scan").assign_attrs(units="nm"))
    for width in (0, -1, np.nan, "fine"):
        with pytest.raises(SsbmapsError, match="expected a positive number in um"):
            distance_profile(maps, distance, bin_width=width)
    with pytest.raises(SsbmapsError, match=r"bin_width=1e-09 um makes 1e\+09 bins"):
        distance_profile(maps, distance + np.linspace(0, 1, 17), bin_width=1e-9)
