"""Transients at the face of a section: found, measured, and not invented."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import ndtr
from scipy.stats import binom, chi2

from ssbmaps import DataQualityWarning, GridMismatchError, SsbmapsError, io
from ssbmaps.interfaces import detect_edge_layer
from ssbmaps.interfaces._family import holm
from ssbmaps.interfaces._transient_fit import Jitter, fit
from ssbmaps.interfaces._transient_series import drawn, scans_of
from ssbmaps.interfaces._transient_shape import EXPONENTIAL, Shape, candidates
from ssbmaps.interfaces._transient_test import PHIS, Search, p_value

NM = {"units": "nm"}


def depths(n: int = 24, step: float = 2.0) -> xr.DataArray:
    return xr.DataArray(step * np.arange(n), dims="scan", attrs=NM)


def series(mean, seed: int, names: list[str] | None = None) -> xr.DataArray:
    """Poisson counts (scan, fragment) about means (fragment, scan)."""
    mean = np.atleast_2d(mean)
    names = names or [f"ion {i}" for i in range(len(mean))]
    counts = np.random.default_rng(seed).poisson(mean).T
    return xr.DataArray(counts, {"fragment": names}, ("scan", "fragment"), attrs={"units": "counts"})


def exponential(level: float, a: float, ell: float, z: np.ndarray) -> np.ndarray:
    return level * (1 + a * np.exp(-z / ell))


class TestFinds:
    @pytest.mark.parametrize(("a", "ell"), [(1.0, 8.0), (-0.5, 5.0), (3.0, 3.0)])
    def test_the_planted_transient(self, a, ell):
        z = depths(30)
        found = detect_edge_layer(series(exponential(5000, a, ell, z.values), 1), depth=z).isel(fragment=0)
        assert int(found.detected) == 1
        assert float(found.depth_scale_low) < ell < float(found.depth_scale_high)
        assert float(found.amplitude_low) < a < float(found.amplitude_high)
        assert abs(float(found.depth_scale) - ell) < 4 * float(found.depth_scale_sd)
        assert found.depth_scale.attrs["units"] == "nm"
        assert str(found.model.values) == EXPONENTIAL

    def test_a_blurred_step(self):
        z = depths(30)
        counts = series(4000 * (1 + 0.4 * ndtr((16 - z.values) / 3)), 2)
        found = detect_edge_layer(counts, depth=z, shape="either").isel(fragment=0)
        assert str(found.model.values) == "step"
        assert float(found.depth_scale_low) < 16 < float(found.depth_scale_high)
        assert 1 < float(found.width) < 7

    def test_the_first_bulk_scan_is_where_the_change_is_small(self):
        z = depths(40)
        found = detect_edge_layer(series(exponential(20000, 1.0, 8.0, z.values), 3), depth=z, tolerance=0.05).isel(fragment=0)
        first = int(found.first_bulk_scan)
        assert np.exp(-z.values[first] / 8.0) < 0.05
        assert first <= 15  # 12 is where it is exactly so; an upper bound may come a few scans later
        assert f"the first {first} scans; cause not identified" in str(found.statement.values)
        strict = detect_edge_layer(series(exponential(20000, 1.0, 8.0, z.values), 3), depth=z, tolerance=0.01)
        assert float(strict.first_bulk_scan[0]) > first

    def test_no_scan_is_bulk_in_a_short_series(self):
        found = detect_edge_layer(series(exponential(1e5, 2.0, 4.0, np.arange(10.0)), 4), drift=False).isel(fragment=0)
        assert int(found.detected) == 1
        assert np.isnan(float(found.first_bulk_scan))
        assert "over all 10 scans" in str(found.statement.values)

    def test_curves_are_those_of_the_numbers(self):
        z = depths(30)
        found = detect_edge_layer(series(exponential(5000, 1.0, 8.0, z.values), 1), depth=z, drift=False).isel(fragment=0)
        shape = 1 + float(found.amplitude) * np.exp(-z.values / float(found.depth_scale))
        assert found.curve.values == pytest.approx(found.bulk.values * shape, rel=1e-3)
        assert found.counts.dims == ("scan",)
        assert float(found.depth[3]) == 6.0

    def test_each_phase_for_itself(self):
        """C2- falls in the carbon only; the other half of the map has none."""
        z, rng = depths(20), np.random.default_rng(5)
        mean = np.full((20, 1, 12, 10), 30.0)
        mean[:, 0, :, :5] *= 1 + 0.8 * np.exp(-z.values / 7)[:, None, None]
        axes = {d: (np.arange(n) + 0.5) * 0.1 for d, n in (("y", 12), ("x", 10))}
        maps = xr.DataArray(rng.poisson(mean), {"fragment": ["C2-"], **axes}, ("scan", "fragment", "y", "x"))
        flags = np.where(np.arange(10) < 5, 1, 2) * np.ones((12, 1), int)
        flags[0] = 0
        attrs = {"flag_values": np.array([0, 1, 2], "int16"), "flag_meanings": "unassigned carbon NMC"}
        labels = xr.DataArray(flags.astype("int16"), axes, ("y", "x"), attrs=attrs)
        found = detect_edge_layer(maps, depth=z, labels=labels)
        assert set(found.detected.dims) == {"phase", "fragment"}
        assert found.phase.values.tolist() == ["carbon", "NMC"]
        assert found.detected.sel(fragment="C2-").values.tolist() == [1, 0]
        assert found.n_pixels.values.tolist() == [55, 55]
        slow = {"carbon": z, "NMC": (3 * z).assign_attrs(NM)}
        both = detect_edge_layer(maps, depth=slow, labels=labels)
        assert float(both.depth.sel(phase="NMC", scan=2)) == 12.0
        ratio = both.depth_scale.sel(phase="carbon", fragment="C2-") / found.depth_scale.sel(phase="carbon", fragment="C2-")
        assert float(ratio) == pytest.approx(1.0)

    def test_two_layers_are_no_single_change(self):
        """As in a stack: a transient, and from scan 18 on another material. The numbers are of a curve that does not fit."""
        z = np.arange(30.0)
        mean = exponential(4000, 1.0, 3.0, z) * np.where(z < 18, 1.0, 6.0)
        found = detect_edge_layer(series(mean, 6)).isel(fragment=0)
        assert int(found.model_rejected) == 1
        assert "The curve does not fit: beyond it, counts vary by" in str(found.statement.values)
        one = detect_edge_layer(series(mean[:18], 6)).isel(fragment=0)
        assert (int(one.model_rejected), int(one.detected)) == (0, 1)

    def test_a_real_profile_is_reported_with_caution(self):
        """A perovskite stack: CN- falls a hundredfold within two scans, and further on the next layers come."""
        from pathlib import Path

        folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "iontof-ascii"
        file = next(folder.glob("I241209h*.txt"), None)
        if file is None:
            pytest.skip("the real depth profile is not here")
        with pytest.warns(DataQualityWarning):
            counts = io.read(file).sel(fragment=["CN-", "PO3-"]).isel(scan=slice(0, 40))
        with pytest.warns(DataQualityWarning, match="no whole numbers"):  # corrected for dead time
            found = detect_edge_layer(counts, depth="sputter_time").sel(fragment="CN-")
        assert int(found.detected) == 1
        assert float(found.amplitude) > 20
        assert float(found.depth_scale) < 5.87  # s from scan to scan
        said = str(found.statement.values)
        assert "cause not identified" in said
        assert "less than from scan to scan, so that its shape is not seen" in said
        assert int(found.model_rejected) == 1
        assert "The curve does not fit" in said


class TestInventsNothing:
    @pytest.mark.parametrize(("level", "jitter", "phi"), [(10.0, 0, 0), (1e4, 0, 0), (1e6, 0.01, 0), (1e6, 0.01, 0.9)])
    def test_false_alarms(self, level, jitter, phi):
        """Of 40 series at p ≤ 0.025, no more than a binomial draw of that rate gives once in a thousand. 1e6 counts with 1 % of
        jitter: χ² with known Poisson noise alone would call nearly all."""
        counts = drawn(np.full(20, level), jitter, phi, np.random.default_rng([6, int(level), int(10 * phi)]), 40)
        found = detect_edge_layer(xr.DataArray(counts.T, {"fragment": np.arange(40).astype(str)}, ("scan", "fragment")))
        assert (found.p_value.values <= 0.025).sum() <= binom.isf(1e-3, 40, 0.025)
        assert found.detected.sum() <= 1

    def test_a_drift_is_none_if_allowed_for(self):
        mean = 1e6 * np.linspace(0.95, 1.05, 20)
        counts = series(mean, 7)
        free, bound = (detect_edge_layer(counts, drift=d).isel(fragment=0) for d in (True, False))
        assert float(free.p_value) > 0.025
        assert float(free.drift) == pytest.approx(0.1, abs=0.01)
        assert float(free.dispersion) < 3
        assert int(bound.detected) == 1  # without it, the drift is a long transient

    def test_a_recorded_current_is_taken_out(self):
        current = 1 + 0.3 * np.exp(-np.arange(20) / 4)
        counts = series(8000 * current, 8)
        raw, normal = (detect_edge_layer(counts, exposure=e).isel(fragment=0) for e in (None, 3.7 * current))
        assert int(raw.detected) == 1
        assert int(normal.detected) == 0
        assert float(normal.p_value) > 0.01

    def test_says_how_small_a_change_may_be(self):
        counts = series(np.full(30, 1000.0), 9)
        found = detect_edge_layer(counts).isel(fragment=0)
        assert int(found.detected) == 0
        assert float(found.first_bulk_scan) == 0
        assert np.isnan(float(found.depth_scale))
        assert 0.02 < float(found.change_limit) < 0.3  # one scan alone: 1.64 / √1000 = 0.05
        assert "No change over the first scans beyond drift and noise" in str(found.statement.values)

    def test_many_ions_are_a_family(self):
        p = np.array([0.03, 0.002, np.nan, 0.01])
        assert holm(p)[[0, 1, 3]] == pytest.approx([0.03, 0.006, 0.02])
        assert np.isnan(holm(p)[2])
        assert (holm([0.01, 0.04, 0.03, 0.005]) <= 0.05).tolist() == [True, False, False, True]
        assert holm([]).size == 0


class TestNumbers:
    def test_the_fit_is_the_maximum_of_the_poisson_likelihood(self):
        """A second road: a simplex on the Poisson likelihood itself."""
        z = 2.0 * np.arange(30)
        counts = np.random.default_rng(10).poisson(exponential(300, 1.2, 8.0, z)).astype(float)

        def cost(v):
            mean = np.exp(v[0]) * (1 + v[1] * np.exp(-z / np.exp(v[2])))
            return float((mean - counts * np.log(mean)).sum()) if mean.min() > 0 else np.inf

        best = minimize(
            cost, [np.log(300), 1.0, 2.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10, "maxiter": 4000}
        )
        found = fit(scans_of(counts, np.ones(30), drift=False), z, Shape(EXPONENTIAL, 6.0), Jitter(0.0, 0.0))
        assert found.jitter.variance * 300 < 0.5
        if found.jitter.variance == 0:
            assert found.depth.value == pytest.approx(np.exp(best.x[2]), rel=1e-3)
            assert found.amplitude.value == pytest.approx(best.x[1], rel=2e-3)
        else:
            assert abs(found.depth.value - np.exp(best.x[2])) < 0.3 * found.depth.sd

    def test_the_ratio_is_that_of_two_generalised_least_squares(self):
        """A second road: for each noise, both fits by explicit inverses."""
        n, z = 12, np.arange(12.0)
        counts = np.random.default_rng(11).poisson(exponential(400, 0.4, 2.0, z)).astype(float)
        scans = scans_of(counts, np.ones(n), drift=True)
        rows = np.array([s.values(z) for s in candidates(EXPONENTIAL, z)])
        search = Search(scans, rows)
        root, x = np.sqrt(search.mean), None
        x = 2 * np.sqrt(counts + 0.375) - (2 * np.sqrt(search.mean + 0.375) - 0.25 / np.sqrt(search.mean + 0.375))
        logs = [[], []]
        for at in search.noises:
            size = root / np.sqrt(search.mean.mean())
            v = np.eye(n) + at.rho * np.outer(size, size) * at.phi ** np.abs(np.subtract.outer(z, z))
            inverse, base = np.linalg.inv(v), scans.base / root
            cost = np.linalg.slogdet(v)[1] + np.linalg.slogdet(base @ inverse @ base.T)[1]
            for logs_of, more in zip(logs, ([None], rows), strict=True):
                for row in more:
                    design = base if row is None else np.vstack([base, row * root])
                    rest = x - design.T @ np.linalg.solve(design @ inverse @ design.T, design @ inverse @ x)
                    logs_of.append(-0.5 * (rest @ inverse @ rest + cost))
        assert float(search.ratio(counts[None]).value[0]) == pytest.approx(2 * (max(logs[1]) - max(logs[0])), rel=1e-6)

    @pytest.mark.parametrize("tail", [1e-2, 1e-4, 1e-6])
    def test_the_carried_tail_is_that_of_chi_square(self, tail):
        null = np.sort(chi2.rvs(1, size=1000, random_state=0))
        assert tail / 4 < p_value(float(chi2.isf(tail, 1)), null) < 4 * tail

    def test_jitter_is_told(self):
        counts = drawn(np.full(60, 1e6), 0.02, 0.0, np.random.default_rng(12), 8)
        found = detect_edge_layer(xr.DataArray(counts.T, {"fragment": np.arange(8).astype(str)}, ("scan", "fragment")))
        assert float(np.median(found.jitter)) == pytest.approx(
            0.02, rel=0.25
        )  # 8 draws of 58 degrees of freedom, on a grid of √2
        assert float(np.median(found.autocorrelation)) in PHIS[:2]

    @settings(max_examples=10, deadline=None)
    @given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(0.1, 10))
    def test_units_of_depth_and_exposure_do_not_matter(self, seed, unit, current):
        z = depths(12)
        counts = series(exponential(2000, 1.0, 5.0, z.values), seed)
        plain = detect_edge_layer(counts, depth=z, rng=1).isel(fragment=0)
        other = detect_edge_layer(counts, depth=(unit * z).assign_attrs(units="pm"), exposure=np.full(12, current), rng=1)
        other = other.isel(fragment=0)
        assert float(other.p_value) == pytest.approx(float(plain.p_value), rel=1e-6)
        assert float(other.depth_scale) == pytest.approx(unit * float(plain.depth_scale), rel=1e-3)


class TestLongSeries:
    def test_scans_deep_down_are_taken_together_without_a_loss(self):
        """Of 400 scans, 64 bins; what the fit finds is within the noise of a short depth scale in both."""
        z = depths(400, 1.0)
        counts = series(exponential(3000, 0.6, 9.0, z.values), 14)
        found = detect_edge_layer(counts, depth=z).isel(fragment=0)
        assert int(found.detected) == 1
        assert float(found.depth_scale_low) < 9 < float(found.depth_scale_high)
        assert float(found.depth_scale_sd) < 0.8
        assert found.curve.sizes == {"scan": 400}
        assert found.curve.values == pytest.approx(exponential(3000, 0.6, 9.0, z.values), rel=0.05)

    def test_bins_share_out_counts_exposure_and_noise(self):
        rng = np.random.default_rng(15)
        counts, exposure = rng.poisson(50, 300).astype(float), rng.uniform(0.5, 1.5, 300)
        scans = scans_of(counts, exposure, drift=True)
        assert scans.counts.sum() == counts.sum()
        assert scans.exposure.sum() == pytest.approx(exposure.sum())
        assert len(scans.counts) <= 64
        assert (scans.counts[:24] == counts[:24]).all()
        means = scans.of(np.random.default_rng(1).standard_normal((20000, 300)))
        assert means.var(axis=0) == pytest.approx(np.diagonal(scans.kin(0.0)), rel=0.1)

    @pytest.mark.parametrize("phi", [0.0, 0.9])
    def test_false_alarms(self, phi):
        """As in a short series."""
        counts = drawn(np.full(200, 1e5), 0.01, phi, np.random.default_rng([16, int(10 * phi)]), 30)
        found = detect_edge_layer(xr.DataArray(counts.T, {"fragment": np.arange(30).astype(str)}, ("scan", "fragment")))
        assert (found.p_value.values <= 0.025).sum() <= binom.isf(1e-3, 30, 0.025)


class TestContainers:
    @pytest.fixture(scope="class")
    @classmethod
    def maps(cls):
        z = np.arange(12)
        mean = (2 + np.array([0.0, 3.0])[:, None] * np.exp(-z / 2))[..., None, None] * np.ones((8, 9))
        axes = {d: (np.arange(n) + 0.5) * 0.1 for d, n in (("y", 8), ("x", 9))}
        counts = np.random.default_rng(13).poisson(mean.transpose(1, 0, 2, 3)).astype(np.uint16)
        return xr.DataArray(counts, {"fragment": ["PO3-", "C2-"], **axes}, ("scan", "fragment", "y", "x"))

    def test_transposed_dask_sparse_and_summed_give_the_same(self, maps):
        import sparse

        first = detect_edge_layer(maps)
        others = [
            maps.transpose("x", "fragment", "scan", "y"),
            maps.chunk(scan=5, y=4),
            maps.copy(data=sparse.COO.from_numpy(maps.values)),
            maps.sum(("y", "x")),
        ]
        for other in others:
            again = detect_edge_layer(other)
            xr.testing.assert_allclose(again.drop_vars("n_pixels"), first.drop_vars("n_pixels"))
        assert int(first.n_pixels) == 72

    def test_unmeasured_pixels_are_left_out(self, maps):
        mask = np.ones((8, 9), bool)
        mask[:, 4:] = False
        wild = maps.copy(data=np.where(mask, maps.values, 60000)).assign_coords(measured=(("y", "x"), mask))
        same = detect_edge_layer(maps.isel(x=slice(0, 4)))
        xr.testing.assert_allclose(detect_edge_layer(wild).drop_vars("n_pixels"), same.drop_vars("n_pixels"))

    def test_input_stays_and_the_result_can_be_kept(self, maps, tmp_path):
        before = maps.copy(deep=True)
        found = detect_edge_layer(maps, rng=3)
        xr.testing.assert_identical(maps, before)
        xr.testing.assert_identical(found, detect_edge_layer(maps, rng=3))
        io.save(found, tmp_path / "found.nc")
        xr.testing.assert_identical(io.load(tmp_path / "found.nc"), found)
        assert found.attrs["wording"] == "signal changes over the first scans; cause not identified"

    def test_one_map_and_z(self, maps):
        found = detect_edge_layer(
            maps.sel(fragment="C2-", drop=True).rename(scan="z").assign_coords(z=("z", np.arange(12.0), NM))
        )
        assert found.detected.dims == ()
        assert found.depth_scale.attrs["units"] == "nm"


class TestRefuses:
    z = depths(12)
    counts = series(np.full(12, 100.0), 0)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"shape": "parabola"}, "shape='parabola'; expected one of 'exponential', 'step', 'either'"),
            ({"false_alarms": 0.5}, "false_alarms=0.5; expected a probability from 0.001 to 0.2"),
            ({"tolerance": 0}, "tolerance=0; expected a share from 0.0001 to 1"),
            ({"drift": "yes"}, "drift='yes'; expected True or False"),
            ({"depth": np.arange(12)}, "depth is of type ndarray; expected a DataArray along scan with the attribute 'units'"),
            ({"depth": "z"}, "depth='z' is no coordinate"),
            ({"depth": xr.DataArray(np.arange(12.0), dims="scan")}, "has no attribute 'units'"),
            ({"depth": xr.DataArray(np.zeros(12), dims="scan", attrs=NM)}, "does not rise from scan to scan"),
            ({"depth": xr.DataArray(np.arange(5.0), dims="scan", attrs=NM)}, "has dims {'scan': 5}; expected scan: 12"),
            ({"depth": {"NMC": z}}, "expected also labels, to tell the phases"),
            ({"exposure": np.zeros(12)}, "holds values that are not above 0"),
            ({"exposure": [1.0, 2.0]}, "has shape \\(2,\\); expected one number for each of 12 in scan"),
            ({"labels": xr.DataArray(np.zeros((2, 2), int), dims=("y", "x"))}, "labels for a series without y and x"),
            ({"rng": -1}, "rng: expected an int of 0 or more"),
        ],
    )
    def test_options(self, options, match):
        with pytest.raises(SsbmapsError, match=match):
            detect_edge_layer(self.counts, **options)

    @pytest.mark.parametrize(
        ("given_", "match"),
        [
            (counts.rename(scan="step"), "expected one of scan, z among them"),
            (counts.astype(float).where(counts > 200), "NaN or infinite values"),
            (counts.astype(int) - 500, "negative counts"),
            (counts.expand_dims(time=2), "dims \\('time', 'scan', 'fragment'\\); expected scan, fragment with both y and x"),
            (counts.drop_vars("fragment"), "dimension fragment has no coordinate"),
            (counts.values, "expected an xarray.DataArray"),
        ],
    )
    def test_series(self, given_, match):
        with pytest.raises(SsbmapsError, match=match):
            detect_edge_layer(given_)

    def test_labels_of_another_grid(self):
        axes = {d: (np.arange(3) + 0.5) * 0.1 for d in ("y", "x")}
        maps = xr.DataArray(np.ones((6, 3, 3), int), axes, ("scan", "y", "x"))
        flags = {"flag_values": np.array([0, 1]), "flag_meanings": "unassigned NMC"}
        labels = xr.DataArray(np.ones((3, 3), int), {d: 2 * v for d, v in axes.items()}, ("y", "x"), attrs=flags)
        with pytest.raises(GridMismatchError, match="detect_edge_layer: labels"):
            detect_edge_layer(maps, labels=labels)

    def test_too_little_is_not_testable(self):
        few = detect_edge_layer(self.counts.isel(scan=slice(0, 4)))
        assert (int(few.testable[0]), int(few.detected[0])) == (0, 0)
        assert str(few.statement.values[0]) == "Not testable: 4 scans with counts; at least 5 are needed."
        weak = detect_edge_layer(xr.concat([self.counts, 0 * self.counts.assign_coords(fragment=["none"])], "fragment"))
        assert weak.testable.values.tolist() == [1, 0]
        assert "0 counts per scan; at least 1 is needed" in str(weak.statement.values[1])
        assert np.isnan(float(weak.p_family[1]))

    def test_blank_and_repeated_scans_are_told(self):
        counts = series(np.full((3, 12), 400.0), 1)
        blank = counts.copy()
        blank[3] = 0
        with pytest.warns(DataQualityWarning, match="scan 3 holds no counts at all and is left out"):
            found = detect_edge_layer(blank)
        assert found.scan.values.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]
        again = counts.copy()
        again[5] = again[4]
        with pytest.warns(DataQualityWarning, match="scan 5 has the same counts as the one before: a repeated scan"):
            detect_edge_layer(again)
        with pytest.warns(DataQualityWarning, match="no whole numbers; the errors hold for counts only"):
            detect_edge_layer(counts / 3)
