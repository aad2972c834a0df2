"""Profiles: bins and their edges, Poisson and sample errors, what is left out; against a loop and against planted steps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from ssbmaps import GridMismatchError, SsbmapsError
from ssbmaps.interfaces import _spread, distance_profile

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
            plain = found["sem"] / np.sqrt(found["dispersion"])
            np.testing.assert_allclose([found["mean"], plain], [chosen.mean(), error], rtol=1e-12, atol=1e-13)
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
        assert _plain_error(distance_profile(maps, distance)) == pytest.approx(sample)
    assert _plain_error(distance_profile(_maps(values), distance)) == pytest.approx(np.sqrt(values.sum()) / 204)


def _plain_error(profile):
    """Error of independent pixels."""
    return (profile["sem"] / np.sqrt(profile["dispersion"])).item()


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
    units = {name: profile[name].attrs["units"] for name in profile}
    assert units == {"mean": "counts", "sem": "counts", "dispersion": "1", "n_independent": "1", "count": "1"}
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
    numbers = xr.DataArray(np.tile(np.arange(1, 18), (12, 1)), distance.coords, ("y", "x"))
    with pytest.raises(SsbmapsError, match=r"makes 1e\+05 bins for each of 17 profiles"):
        distance_profile(maps, distance + np.linspace(0, 1, 17), bin_width=1e-5, by=numbers)


# 24 discs of 0.9 um in a 4 x 6 array; signed distance to the nearest, its number, and a smooth gain of 5 %
NY, NX, PITCH = 80, 120, 2.0
Y, X = np.meshgrid((np.arange(NY) + 0.5) * 0.1, (np.arange(NX) + 0.5) * 0.1, indexing="ij")
PARTICLE = (Y // PITCH).astype(int) * 6 + (X // PITCH).astype(int) + 1
AWAY = np.hypot(Y % PITCH - 1, X % PITCH - 1) - 0.9


def _discs():
    distance = xr.DataArray(AWAY, _place(AWAY.shape), ("y", "x"), attrs={"units": "um"})
    return distance.assign_coords(particle=(("y", "x"), PARTICLE))


def _varied(seed, spread, gain):
    rng = np.random.default_rng(seed)
    waves = rng.normal(0, 0.25, (20, 2)), rng.uniform(0, 2 * np.pi, 20)
    field = sum(np.cos(k @ np.stack([Y.ravel(), X.ravel()]) * 2 * np.pi + p) for k, p in zip(*waves, strict=True))
    field = 1 + gain * field.reshape(Y.shape) / np.sqrt(10)
    own = rng.normal(1, spread, 25)[PARTICLE]
    return rng.poisson(np.where(AWAY < 0, 24 * own, 3.0) * field)


@pytest.mark.parametrize(("spread", "gain"), [(0.15, 0.05), (0.0, 0.0), (0.05, 0.0)])
def test_errors_hold_the_variation_between_particles(spread, gain):
    distance = _discs()
    maps = xr.DataArray(
        np.stack([_varied(s, spread, gain) for s in range(150)]), distance.coords, ("time", "y", "x"), attrs={"units": "counts"}
    )
    profile = distance_profile(maps.drop_vars("particle"), distance, bin_width=0.2).sel(distance=slice(-0.8, 0))
    error = profile["mean"] - 24
    pulls = error / profile["sem"]
    # 150 draws, the bins of one draw alike: the spread of the means is known to 6 %, that of the stated ones to 4 %
    assert 0.85 < float(np.sqrt((profile["sem"] ** 2).mean())) / float(np.sqrt((error**2).mean())) < 1.2
    assert 0.85 < float(np.sqrt((pulls**2).mean())) < 1.2
    # 24 particles are few: Student's interval, for which the share inside 95 % is known to 2 %
    assert float((np.abs(pulls) < student.ppf(0.975, profile["n_independent"] - 1)).mean()) > 0.91
    plain = float(np.sqrt((pulls**2 * profile["dispersion"]).mean()))
    assert plain > (4 if spread > 0.1 else 0.8)  # without it: 0.15 · 24 over counting, √(24 · 37 px / 24) · 0.15 ≈ 4.5
    if spread == 0:
        assert float(profile["dispersion"].mean()) < 1.3
        assert float(profile["dispersion"].min()) == 1


@pytest.mark.parametrize("units", ["counts", "arbitrary"])
def test_dispersion_equals_the_sum_over_all_pairs(units):
    # 20 x 31 pixels are fewer than the cells along an axis: every pixel is its own cell, distances are those of the pixels
    rng = np.random.default_rng(4)
    smooth = np.add.outer(np.sin(np.arange(20) / 3), np.cos(np.arange(31) / 4))
    values = rng.poisson(30 * np.exp(0.2 * smooth))
    chosen = rng.random(values.shape) < 0.8
    place = _place(values.shape)
    maps = xr.DataArray(values if units == "counts" else values.astype(float), place, ("y", "x"), attrs={"units": units})
    zero = xr.DataArray(np.zeros(values.shape), place, ("y", "x"), attrs={"units": "um"})
    found = distance_profile(maps, zero, where=zero.copy(data=chosen))
    own = values[chosen]
    n, residual = own.size, own - own.mean()
    plain = own.mean() if units == "counts" else own.var(ddof=1)
    y, x = np.nonzero(chosen)
    ring = np.floor(np.hypot(y[:, None] - y, x[:, None] - x) + 0.5).astype(int)
    products = np.bincount(ring.ravel(), np.outer(residual, residual).ravel())
    end = int(np.argmax(products <= 0))
    assert end > 3
    near = ring < end
    expected = np.outer(residual, residual)[near].sum() / (1 - near.mean()) / (n * plain)
    assert found["dispersion"].item() == pytest.approx(expected, rel=1e-9)
    assert found["n_independent"].item() == pytest.approx(1 / near.mean())


@pytest.mark.parametrize("pixel", [(0.1, 0.1), (0.2, 0.05)])
def test_cells_are_square_in_um_around_each_group(pixel):
    group = np.full((24, 40), -1)
    group[2:12, 4:24], group[14:, 30:] = 0, 1
    cell = _spread.cells(group, 4, pixel)
    for number in (0, 1):
        y, x = np.nonzero(group == number)
        extent = (np.ptp(y) + 1) * pixel[0], (np.ptp(x) + 1) * pixel[1]
        width = max(*extent) / 4 * (1 + 1e-9)  # a centre on the edge of two cells belongs to the first
        own = cell[:, group == number]
        np.testing.assert_array_equal(own, [((v - v.min() + 0.5) * p // width) for v, p in zip((y, x), pixel, strict=True)])
    fine = _spread.cells(group, 400, pixel)[0][group == 0].reshape(10, 20)[:, 0]  # never finer than the pixels
    np.testing.assert_array_equal(fine, np.floor((np.arange(10) + 0.5) * pixel[0] / max(pixel)))


def test_neighbours_are_bins_of_the_same_row():
    row = np.array([0, 0, 0, 0, 1, 1, 2])
    values = np.arange(1.0, 8) ** 2
    expected = [values[[j for j in range(7) if row[j] == row[i] and abs(i - j) <= 2]].sum() for i in range(7)]
    np.testing.assert_allclose(_spread._Neighbourhood(row, 2)(values), expected)


def test_transforms_in_blocks_give_the_same(monkeypatch):
    rng = np.random.default_rng(8)
    maps, distance = _maps(rng.poisson(20 + 5 * np.sin(np.arange(17) / 3), (2, *SHAPE))), _distance(rng.normal(0, 0.4, SHAPE))
    expected = distance_profile(maps, distance)
    assert float(expected["dispersion"].max()) > 1.5
    monkeypatch.setattr(_spread, "BLOCK", 3 * 64**2)
    xr.testing.assert_allclose(distance_profile(maps, distance), expected)


def test_one_place_says_nothing_about_the_variation():
    distance = _distance(np.arange(204).reshape(SHAPE) * 0.1)  # each bin is one pixel
    profile = distance_profile(_maps(np.full(SHAPE, 9)), distance)
    assert np.isnan(profile["dispersion"]).all()
    assert np.isnan(profile["n_independent"]).all()
    np.testing.assert_array_equal(profile["sem"], 3)


def test_a_map_without_variation_has_dispersion_1():
    profile = distance_profile(_maps(np.full(SHAPE, 9)), _distance(np.zeros(SHAPE)))
    assert (profile["dispersion"].item(), profile["n_independent"].item()) == (1, pytest.approx(204))


def test_by_particle_equals_one_profile_each():
    distance = _discs()
    maps = xr.DataArray(_varied(3, 0.1, 0.05), _place(AWAY.shape), ("y", "x"), attrs={"units": "counts"})
    profile = distance_profile(maps, distance, by="particle")
    assert profile["mean"].dims == ("distance", "particle")
    assert profile.particle.values.tolist() == list(range(1, 25))
    for number in (1, 17):
        alone = distance_profile(maps, distance, where=(distance.particle == number).drop_vars("particle"))
        found = profile.sel(particle=number).sel(distance=alone.distance)
        np.testing.assert_allclose(found["mean"], alone["mean"])
        np.testing.assert_array_equal(found["count"], alone["count"])
    numbers = xr.DataArray(PARTICLE, distance.coords, ("y", "x"))
    xr.testing.assert_equal(distance_profile(maps, distance, by=numbers.drop_vars("particle")), profile)


def test_by_phase_pair_takes_the_other_side_of_the_nearest_edge():
    distance = xr.DataArray(X - 6.0, _place(X.shape), ("y", "x"), attrs={"units": "um"})
    labels = np.where(X < 6, 1, np.where(Y < 3, 2, 3))
    labels[:, 60] = 0  # mixed pixels of the edge
    flags = {"flag_values": np.arange(4, dtype="int16"), "flag_meanings": "unassigned NMC electrolyte carbon"}
    by = xr.DataArray(labels.astype("int16"), _place(X.shape), ("y", "x"), attrs=flags)
    maps = xr.DataArray(np.where(Y < 3, 5, 9), _place(X.shape), ("y", "x"), attrs={"units": "counts"})
    profile = distance_profile(maps, distance, by=by)
    assert profile.phase.values.tolist() == ["electrolyte", "carbon"]
    assert "distance" in profile["mean"].dims
    near = profile.sel(distance=slice(-2, 2))
    np.testing.assert_array_equal(near["mean"].sel(phase="electrolyte"), 5)
    np.testing.assert_array_equal(near["mean"].sel(phase="carbon"), 9)
    assert near["count"].sel(phase="electrolyte").values.tolist() == [30] * near.sizes["distance"]


def test_both_sides_of_an_interphase_belong_to_the_same_pair():
    distance = xr.DataArray(X - 6.0, _place(X.shape), ("y", "x"), attrs={"units": "um"})
    labels = np.where(X < 6, 1, np.where(X < 6.2, 2, 3))
    labels[:3] = np.where(X[:3] < 6, 1, 3)  # bare over three rows
    flags = {"flag_values": np.arange(4, dtype="int16"), "flag_meanings": "unassigned NMC interphase electrolyte"}
    by = xr.DataArray(labels.astype("int16"), _place(X.shape), ("y", "x"), attrs=flags)
    maps = xr.DataArray(np.ones(X.shape, int), _place(X.shape), ("y", "x"), attrs={"units": "counts"})
    count = distance_profile(maps, distance, by=by)["count"]
    assert count.phase.values.tolist() == ["interphase", "electrolyte"]
    np.testing.assert_array_equal(count.sel(phase="interphase"), NY - 3)
    np.testing.assert_array_equal(count.sel(phase="electrolyte"), 3)


def test_refused_groups():
    distance = _discs()
    maps = xr.DataArray(np.ones(X.shape, int), _place(X.shape), ("y", "x"), attrs={"units": "counts"})
    with pytest.raises(SsbmapsError, match="by='phase'; expected 'particle'"):
        distance_profile(maps, distance, by="phase")
    with pytest.raises(SsbmapsError, match="by='particle'; expected"):
        distance_profile(maps, distance.drop_vars("particle"), by="particle")
    with pytest.raises(SsbmapsError, match="by is float64"):
        distance_profile(maps, distance, by=distance.drop_vars("particle"))
    flags = {"flag_values": [0, 1], "flag_meanings": "unassigned NMC"}
    inside = _distance((AWAY < 0).astype(int)).astype("int16").assign_attrs(flags)
    with pytest.raises(SsbmapsError, match=r"no pixel within 0\.3 um outside the edge with a phase other than the one inside"):
        distance_profile(maps, distance, by=inside)
    with pytest.raises(SsbmapsError, match="by: labels 2 have no name"):
        distance_profile(maps, distance, by=inside * 2 + inside.assign_attrs(flags) * 0)
    with pytest.raises(GridMismatchError, match="by: the maps lie on different grids"):
        distance_profile(maps, distance, by=distance.particle.drop_vars("particle").isel(x=slice(9)))
