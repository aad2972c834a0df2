"""Faces that stay behind when the state of a cell changes: found, measured, and not invented."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.special import ndtr
from scipy.stats import binom

from ssbmaps import SsbmapsError, io
from ssbmaps.interfaces import detect_inactive_layer
from ssbmaps.interfaces._inactive_fit import States
from ssbmaps.interfaces._transient_series import drawn

NM = {"units": "nm"}
Z = xr.DataArray(2.0 * np.arange(24), dims="scan", attrs=NM)


def states(change, seed: int, level: float = 8000, names=("discharged", "charged")) -> xr.DataArray:
    """Poisson counts (state, scan) with a transient that all states share, and relative changes (scan,) of the later ones."""
    yields = level * (1 + 0.5 * np.exp(-Z.values / 6))
    mean = np.array([yields, *(yields * (1 + c) for c in np.atleast_2d(change))])
    counts = np.random.default_rng(seed).poisson(mean)
    return xr.DataArray(counts, {"state": list(names)}, ("state", "scan"), attrs={"units": "counts"})


def behind(t: float, w: float = 4.0, change: float = -0.3) -> np.ndarray:
    return change * ndtr((Z.values - t) / w)


class TestFinds:
    @pytest.mark.parametrize(("t", "change"), [(20.0, -0.3), (12.0, 0.4)])
    def test_the_planted_layer(self, t, change):
        found = detect_inactive_layer(states(behind(t, change=change), 1), depth=Z).isel(state=0)
        assert int(found.detected) == 1
        assert float(found.layer_depth_low) < t < float(found.layer_depth_high)
        assert abs(float(found.layer_depth) - t) < 2
        assert float(found.bulk_change_low) < change < float(found.bulk_change_high)
        assert float(found.face_change_low) < 0 < float(found.face_change_high)
        assert str(found.state.values) == "charged"
        assert found.attrs["reference"] == "discharged"
        assert "but not above a depth of" in str(found.statement.values)
        assert found.layer_depth.attrs["units"] == "nm"

    def test_yields_that_change_with_depth_cancel(self):
        """The ratio knows nothing of them; its mean is the change to within e^-n0."""
        rng, counts = np.random.default_rng(2), 40.0
        before, after = rng.poisson(counts, 200_000).astype(float), rng.poisson(0.7 * counts, 200_000).astype(float)
        pair = States(before, after, np.ones(200_000))
        assert pair.change.mean() == pytest.approx(-0.3, abs=4 * pair.change.std() / np.sqrt(200_000))
        assert pair.variance(np.full(200_000, -0.3)).mean() == pytest.approx(pair.change.var(), rel=0.1)

    def test_several_states_and_phases_of_the_series(self):
        counts = states([behind(20), behind(10, change=0.5)], 3, names=("first", "second", "third"))
        found = detect_inactive_layer(counts, depth=Z)
        assert found.state.values.tolist() == ["second", "third"]
        assert found.layer_depth.values == pytest.approx([20, 10], abs=2)
        back = detect_inactive_layer(counts, depth=Z, reference="second").sel(state="first")
        assert float(back.bulk_change) == pytest.approx(0.3 / 0.7, abs=0.05)

    def test_a_current_that_differs_is_taken_out(self):
        counts = states(behind(20), 4)
        counts[1] = np.random.default_rng(4).poisson(0.6 * counts[1].values)
        exposure = xr.DataArray([1.0, 0.6], dims="state")
        found = detect_inactive_layer(counts, depth=Z, exposure=exposure).isel(state=0)
        assert float(found.bulk_change_low) < -0.3 < float(found.bulk_change_high)
        raw = detect_inactive_layer(counts, depth=Z).isel(state=0)
        assert float(raw.bulk_change_high) < -0.4  # without it, the current is read as a change


class TestInventsNothing:
    @pytest.mark.parametrize(("level", "jitter", "phi"), [(1e3, 0.0, 0.0), (1e5, 0.01, 0.9)])
    def test_an_active_face_is_not_called_inactive(self, level, jitter, phi):
        """Of 40 pairs at p ≤ 0.025, no more than a binomial draw of that rate gives once in a thousand."""
        rng = np.random.default_rng([5, int(level)])
        yields = level * (1 + 0.5 * np.exp(-Z.values / 6))
        pair = np.array([drawn(f * yields, jitter, phi, rng, 40).T for f in (1.0, 0.7)])
        counts = xr.DataArray(pair, {"fragment": np.arange(40).astype(str)}, ("state", "scan", "fragment"))
        found = detect_inactive_layer(counts, depth=Z).isel(state=0)
        assert (found.p_value.values <= 0.025).sum() <= binom.isf(1e-3, 40, 0.025)
        assert found.changed.values.all()
        cover = (found.bulk_change_low < -0.3) & (found.bulk_change_high > -0.3)
        assert int(cover.sum()) >= (35 if phi == 0 else 25)  # n − 1 neighbours alike leave few that are independent
        assert np.isnan(found.layer_depth.values).all() or int(found.detected.sum()) <= 1

    def test_a_uniform_change_has_the_error_of_counting(self):
        """−30 % in 24 scans of 8000 to 12000 counts: the noise is not read off a step that is not there."""
        found = [detect_inactive_layer(states(np.full(24, -0.3), s), depth=Z).isel(state=0) for s in range(10, 16)]
        counting = 0.7 * np.sqrt((1 + 1 / 0.7) / (8000 * (1 + 0.5 * np.exp(-Z.values / 6))).sum())
        assert np.median([float(f.bulk_change_sd) for f in found]) == pytest.approx(counting, rel=0.5)
        assert np.median([float(f.dispersion) for f in found]) < 1.5

    def test_it_says_how_thick_a_layer_may_be(self):
        found = detect_inactive_layer(states(np.full(24, -0.3), 6), depth=Z).isel(state=0)
        assert int(found.detected) == 0
        assert float(found.depth_limit) <= 6  # three scans
        assert "in all scans alike; an inactive layer is thinner than" in str(found.statement.values)

    def test_without_a_change_nothing_can_be_seen(self):
        found = detect_inactive_layer(states(np.zeros(24), 7), depth=Z).isel(state=0)
        assert (int(found.changed), int(found.detected)) == (0, 0)
        assert str(found.statement.values).startswith("Undetermined: the signal does not change between the states")


class TestContainers:
    def test_maps_give_what_their_sums_give_and_can_be_kept(self, tmp_path):
        rng = np.random.default_rng(8)
        mean = np.stack([np.ones(24), 1 + behind(20)])[..., None, None] * np.full((5, 6), 300.0)
        axes = {d: (np.arange(n) + 0.5) * 0.1 for d, n in (("y", 5), ("x", 6))}
        maps = xr.DataArray(rng.poisson(mean), {"state": ["a", "b"], **axes}, ("state", "scan", "y", "x"))
        before = maps.copy(deep=True)
        found = detect_inactive_layer(maps, depth=Z)
        for other in (maps.sum(("y", "x")), maps.transpose("x", "scan", "state", "y"), maps.chunk(scan=7)):
            xr.testing.assert_allclose(detect_inactive_layer(other, depth=Z).drop_vars("n_pixels"), found.drop_vars("n_pixels"))
        xr.testing.assert_identical(maps, before)
        io.save(found, tmp_path / "found.zarr")
        xr.testing.assert_identical(io.load(tmp_path / "found.zarr"), found)


class TestRefuses:
    counts = states(behind(20), 0)

    @pytest.mark.parametrize(
        ("given_", "options", "match"),
        [
            (counts.isel(state=0), {}, "expected one of state, time, sample with two states or more"),
            (counts.isel(state=[0]), {}, "expected one of state, time, sample with two states or more"),
            (counts.rename(scan="depth"), {}, "expected one of scan, z among them"),
            (counts, {"reference": "empty"}, "reference='empty'; the states are discharged, charged"),
            (counts, {"false_alarms": True}, "false_alarms=True; expected a probability"),
            (counts, {"exposure": [1, 2]}, "exposure: expected a DataArray \\(state\\) or \\(state, scan\\)"),
            (counts, {"exposure": xr.DataArray([1.0, 0.0], dims="state")}, "holds values that are not above 0"),
            (counts, {"depth": Z.values}, "depth is of type ndarray"),
            (counts.astype(int) - 100_000, {}, "negative counts"),
        ],
    )
    def test_what_cannot_be_used(self, given_, options, match):
        with pytest.raises(SsbmapsError, match=match):
            detect_inactive_layer(given_, **options)

    def test_too_little_is_not_testable(self):
        few = detect_inactive_layer(self.counts.isel(scan=slice(0, 4))).isel(state=0)
        assert str(few.statement.values) == "Not testable: 4 scans with counts; at least 5 are needed."
        weak = detect_inactive_layer(states(behind(20), 1, level=2.0)).isel(state=0)
        assert int(weak.testable) == 0
        assert "at least 5 in both states are needed" in str(weak.statement.values)
