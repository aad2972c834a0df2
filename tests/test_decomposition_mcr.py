"""Multivariate curve resolution: planted mixtures found again, every constraint kept, no step uphill, ambiguity said aloud."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import isotonic_regression, nnls
from scipy.sparse import csr_array

from ssbmaps import DataQualityWarning, SsbmapsError
from ssbmaps.decomposition import mcr
from ssbmaps.decomposition._mcr_bands import bands
from ssbmaps.decomposition._mcr_solve import Problem, Side, solve

NY, NX, K = 9, 14, 30


def _planted(seed=0, counts=400.0):
    """Three phases with pure regions and a mixed strip; each spectrum has channels of its own."""
    rng = np.random.default_rng(seed)
    spectra = rng.gamma(0.4, 1, (3, K)) + 0.02
    spectra[0, :4] = spectra[1, 4:8] = spectra[2, 8:12] = 3.0
    spectra[1:, :4] = spectra[::2, 4:8] = spectra[:2, 8:12] = 0.0
    spectra /= spectra.sum(axis=1, keepdims=True)
    share = np.zeros((3, NY, NX))
    share[0, :, :5], share[1, :4, 5:], share[2, 4:, 5:] = 1, 1, 1
    share[:, 3:6, 4:7] = 1 / 3
    return counts * share, spectra


def _cube(seed=0, noise=True, **options):
    abundance, spectra = _planted(seed, **options)
    values = np.einsum("cyx,ck->yxk", abundance, spectra)
    data = np.random.default_rng(seed + 1).poisson(values) if noise else values
    coords = {"y": np.arange(NY) + 0.5, "x": np.arange(NX) + 0.5, "mz": 20.0 + np.arange(K)}
    return xr.DataArray(data, coords, ("y", "x", "mz"), attrs={"units": "counts", "technique": "tof-sims"})


def _guess(seed=0, blur=0.35):
    """The planted spectra, each mixed with the mean of all."""
    spectra = _planted(seed)[1]
    blurred = (1 - blur) * spectra + blur * spectra.mean(axis=0)
    return xr.DataArray(blurred, {"mz": 20.0 + np.arange(K), "component": list("abc")}, ("component", "mz"))


def _cosines(found, truth):
    f, t = (np.asarray(a).reshape(3, -1) for a in (found, truth))
    return (f * t).sum(axis=1) / np.linalg.norm(f, axis=1) / np.linalg.norm(t, axis=1)


class TestTruth:
    @pytest.mark.parametrize("scaling", ["poisson", None])
    def test_planted_mixture_is_found(self, scaling):
        abundance, spectra = _planted()
        result = mcr(_cube(), _guess(), scaling=scaling)
        # 400 counts in each of some 40 pixels a phase: 1 % error in the larger channels
        assert _cosines(result.spectra, spectra).min() > 0.998
        assert _cosines(result.abundance, abundance).min() > 0.995
        assert result.component.values.tolist() == list("abc")
        assert result.abundance.attrs["units"] == "counts"

    def test_without_noise_the_fit_is_exact(self):
        abundance, spectra = _planted()
        result = mcr(_cube(noise=False), _guess(), tol=1e-10)
        assert float(result.lack_of_fit) < 1e-4
        # channels and pixels of one component alone make the solution unique
        np.testing.assert_allclose(result.spectra, spectra, atol=1e-5)
        np.testing.assert_allclose(result.abundance, abundance, atol=1e-2)

    def test_residual_variance_is_one_for_counts(self):
        # a Poisson-scaled residual has the ratio of a value's mean to its expectation under even mixing as weight; the sum over
        # all is that of chi-square up to the departure of single phases from the mean, a factor of order one
        assert 0.5 < float(mcr(_cube(), _guess()).residual_variance) < 2
        even = xr.DataArray(np.random.default_rng(3).poisson(20.0, (40, 30)), dims=("point", "mz"), attrs={"units": "counts"})
        alone = mcr(even, xr.DataArray(np.ones((1, 30)), dims=("component", "mz")))
        assert float(alone.residual_variance) == pytest.approx(1, abs=5 * np.sqrt(2 / 1200))

    def test_abundances_of_known_spectra_are_least_squares(self):
        cube, spectra = _cube(), _planted()[1]
        known = _guess(blur=0.0)
        result = mcr(cube, known, constraints={"known_spectra": list("abc")}, scaling=None, tol=1e-12)
        brute = np.array([nnls(spectra.T, v)[0] for v in cube.values.reshape(-1, K).astype(float)])
        np.testing.assert_allclose(result.abundance.values.reshape(3, -1).T, brute, atol=1e-6 * brute.max())
        np.testing.assert_allclose(result.spectra, spectra, rtol=1e-12)

    def test_closed_abundances_are_constrained_least_squares(self):
        cube, spectra = _cube(), _planted()[1]
        result = mcr(
            cube, _guess(blur=0.0), constraints={"known_spectra": list("abc"), "closure": "total"}, scaling=None, tol=1e-12
        )
        scaled = mcr(
            cube, 7 * _guess(blur=0.0), constraints={"known_spectra": list("abc"), "closure": "total"}, scaling=None, tol=1e-12
        )
        xr.testing.assert_allclose(scaled, result)  # shares of counts do not depend on the scale of a reference
        totals = cube.sum("mz").values
        np.testing.assert_allclose(result.abundance.sum("component"), totals, rtol=1e-12)
        for y, x in ((0, 0), (4, 5), (8, 13)):  # NNLS with a heavy row for the sum is the other road
            heavy = 1e5
            stacked = np.vstack([spectra.T, heavy * np.ones(3)])
            brute = nnls(stacked, np.append(cube.values[y, x], heavy * totals[y, x]))[0]
            np.testing.assert_allclose(result.abundance.values[:, y, x], brute, atol=1e-4 * totals[y, x])


class TestConstraints:
    def test_closure_to_a_number(self):
        cube = _cube() / 400.0
        cube[2, 3] = 0
        result = mcr(cube, _guess(), constraints={"closure": 1.0})
        sums = result.abundance.sum("component").values
        assert sums[2, 3] == 0
        np.testing.assert_allclose(np.delete(sums.ravel(), 2 * NX + 3), 1, rtol=1e-12)
        assert (result.abundance >= 0).all()
        assert _cosines(result.spectra, _planted()[1]).min() > 0.99

    def test_known_spectrum_stays_and_helps(self):
        truth = _planted()[1]
        guess = _guess()
        guess[1] = truth[1]
        result = mcr(_cube(), guess, constraints={"known_spectra": "b"})
        np.testing.assert_allclose(result.spectra[1], truth[1], rtol=1e-12)
        assert _cosines(result.spectra, truth).min() > 0.998

    def test_known_zeros_stay_zero(self):
        zero = xr.zeros_like(_guess(), dtype=bool)
        zero[0, 10:15] = True
        where = xr.DataArray(np.zeros((1, NY, NX), bool), {"component": ["c"]}, ("component", "y", "x"))
        where[0, :, :4] = True
        result = mcr(_cube(), _guess(), constraints={"zero_spectra": zero, "zero_abundance": where})
        assert (result.spectra[0, 10:15] == 0).all()
        assert (result.abundance.sel(component="c").values[:, :4] == 0).all()
        assert (result.abundance.sel(component="a").values[:, :4] > 0).all()
        closed = mcr(_cube(), _guess(), constraints={"zero_abundance": where, "closure": "total"})
        assert (closed.abundance.sel(component="c").values[:, :4] == 0).all()
        np.testing.assert_allclose(closed.abundance.sum("component"), _cube().sum("mz"), rtol=1e-12)

    def test_unimodal_spectra_and_abundances(self):
        rng = np.random.default_rng(5)
        axis, scan = np.arange(40.0), np.arange(25.0)
        peaks = np.exp(-0.5 * ((axis - np.array([[12.0], [20.0]])) / 3) ** 2)
        course = np.exp(-0.5 * ((scan - np.array([[8.0], [14.0]])) / 4) ** 2)
        values = rng.poisson(np.einsum("cs,ck->sk", 60 * course, peaks)[:, None, None] * np.ones((1, 2, 3, 1)))
        cube = xr.DataArray(values, {"raman_shift": axis}, ("scan", "y", "x", "raman_shift"), attrs={"units": "counts"})
        guess = xr.DataArray(peaks + 0.1, {"raman_shift": axis}, ("component", "raman_shift"))
        result = mcr(cube, guess, constraints={"unimodal_spectra": [0, 1], "unimodal_abundance": "scan"}, tol=1e-5)
        for rows in (result.spectra.values, np.moveaxis(result.abundance.values, 1, -1).reshape(-1, 25)):
            falls = np.cumsum(np.diff(rows, axis=1) < 0, axis=1) > 0
            assert not (falls & (np.diff(rows, axis=1) > 0)).any()
        assert _cosines2(result.spectra.values, peaks).min() > 0.99
        one = mcr(cube, guess, constraints={"unimodal_abundance": ("scan", [1])}, tol=1e-5)
        rows = np.moveaxis(one.abundance.values, 1, -1)[1].reshape(-1, 25)
        falls = np.cumsum(np.diff(rows, axis=1) < 0, axis=1) > 0
        assert not (falls & (np.diff(rows, axis=1) > 0)).any()

    def test_signed_spectra(self):
        truth = np.array([[1.0, -1.0, 0.5, 0.0], [0.0, 1.0, 1.0, -2.0]])
        weights = np.random.default_rng(0).random((30, 2))
        cube = xr.DataArray(weights @ truth, dims=("point", "kinetic_energy"))
        guess = xr.DataArray(truth + 0.1, dims=("component", "kinetic_energy"))
        result = mcr(cube, guess, constraints={"non_negative": "abundance"}, scaling=None, tol=1e-9)
        assert float(result.lack_of_fit) < 0.01
        assert float(result.spectra.min()) < 0
        np.testing.assert_allclose(np.abs(result.spectra).sum("kinetic_energy"), 1, rtol=1e-12)
        assert np.isnan(result.contribution_low).all()


def _cosines2(found, truth):
    f, t = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (found, truth))
    return (f * t).sum(axis=1)


class TestSolver:
    @given(st.integers(0, 300), st.sampled_from(["plain", "closed", "zeros", "unimodal", "fixed"]), st.booleans())
    def test_no_iteration_goes_uphill(self, seed, kind, weighted):
        rng = np.random.default_rng(seed)
        values = rng.poisson(rng.gamma(0.5, 2, (23, 3)) @ rng.gamma(0.3, 1, (3, 12))).astype(float)
        a, b = (rng.random(23) + 0.1, rng.random(12) + 0.1) if weighted else (np.ones(23), np.ones(12))
        spectra, abundance = Side(), Side()
        if kind == "closed":
            abundance = Side(total=values.sum(axis=1))
        if kind == "zeros":
            spectra, abundance = Side(zero=rng.random((3, 12)) < 0.2), Side(zero=rng.random((3, 23)) < 0.2)
        if kind == "unimodal":
            spectra, abundance = Side(unimodal=(0, 2)), Side(unimodal=(1,))
        if kind == "fixed":
            spectra = Side(fixed=(1,))
        problem = Problem(csr_array(values), a, b, spectra, abundance)
        found = solve(problem, rng.random((3, 12)), max_iter=60, tol=0.0)
        history = np.array(found.history)
        # the first entry is after the first abundances; rounding of sums of squares is all that may rise
        assert (np.diff(history) <= 1e-10 * found.square).all()
        model = found.abundance @ found.spectra
        assert history[-1] == pytest.approx(float(a @ (values - model) ** 2 @ b), rel=1e-6, abs=1e-10 * found.square)

    def test_converged_is_a_stationary_point(self):
        rng = np.random.default_rng(2)
        values = rng.poisson(rng.gamma(0.5, 9, (40, 3)) @ rng.gamma(0.3, 1, (3, 15))).astype(float)
        found = solve(
            Problem(csr_array(values), np.ones(40), np.ones(15), Side(), Side()), rng.random((3, 15)), max_iter=9999, tol=1e-11
        )
        assert found.converged
        w, h = found.abundance, found.spectra
        for gradient, x in (((w @ h - values) @ h.T, w), (w.T @ (w @ h - values), h)):
            scale = np.abs(values @ h.T).max() if x is w else np.abs(w.T @ values).max()
            assert gradient.min() > -1e-6 * scale  # no way down by growing
            assert np.abs(gradient * x).max() < 1e-5 * scale * x.max()  # none by shrinking

    @given(st.lists(st.floats(-5, 5), min_size=1, max_size=9), st.integers(0, 99), st.booleans())
    def test_unimodal_equals_every_mode_tried(self, values, seed, signed):
        from ssbmaps.decomposition._mcr_unimodal import unimodal

        y = np.array(values)
        w = np.random.default_rng(seed).random(len(y)) + 0.1
        floor = -np.inf if signed else 0.0
        found = unimodal(y[None], w[None], floor)[0]
        best = np.inf
        for m in range(len(y) + 1):
            left = isotonic_regression(y[:m], weights=w[:m]).x if m else np.empty(0)
            right = isotonic_regression(y[m:], weights=w[m:], increasing=False).x if m < len(y) else np.empty(0)
            best = min(best, float(w @ (np.maximum(np.concatenate([left, right]), floor) - y) ** 2))
        assert float(w @ (found - y) ** 2) == pytest.approx(best, abs=1e-9)
        falls = np.cumsum(np.diff(found) < -1e-12) > 0
        assert not (falls & (np.diff(found) > 1e-12)).any()
        assert found.min() >= floor


class TestAmbiguity:
    def test_range_of_two_components_by_formula(self):
        rng = np.random.default_rng(1)
        w, h = rng.random((20, 2)) + 0.2, rng.random((2, 9)) + 0.2
        problem = Problem(csr_array(w @ h), np.ones(20), np.ones(9), Side(), Side())
        share, low, high = bands(problem, w, h, 0.0)
        signal = np.outer(w.sum(axis=0), h.sum(axis=1))
        total = np.trace(signal)
        for a, b in ((0, 1), (1, 0)):
            give, take = (h[a] / h[b]).min(), (w[:, b] / w[:, a]).min()  # of b's spectrum out of a's; of a's spectrum into it
            back, more = (h[b] / h[a]).min() * signal[b, a], (w[:, a] / w[:, b]).min() * signal[b, a]
            assert share[a] == pytest.approx(signal[a, a] / total)
            assert low[a] == pytest.approx((signal[a, a] - max(give * signal[a, b], more)) / total, rel=1e-9)
            assert high[a] == pytest.approx((signal[a, a] + max(take * signal[a, b], back)) / total, rel=1e-9)

    def test_overlap_everywhere_warns_and_selective_channels_do_not(self):
        rng = np.random.default_rng(1)
        spectra = rng.random((2, 12)) + 0.5
        cube = xr.DataArray(
            rng.poisson(300 * (rng.random((50, 2)) + 0.2) @ spectra), dims=("point", "mz"), attrs={"units": "counts"}
        )
        guess = xr.DataArray(spectra, dims=("component", "mz"))
        with pytest.warns(DataQualityWarning, match=r"do not determine the share of component 0 \(\d+% to \d+%\), 1"):
            mcr(cube, guess, tol=1e-4)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tight = mcr(_cube(), _guess())
        assert (tight.contribution_high - tight.contribution_low).max() < 0.05
        assert ((tight.contribution_low <= tight.contribution) & (tight.contribution <= tight.contribution_high)).all()
        assert float(tight.contribution.sum()) == pytest.approx(1)

    def test_a_known_spectrum_closes_the_range(self):
        rng = np.random.default_rng(1)
        w, h = rng.random((20, 2)) + 0.2, rng.random((2, 9)) + 0.2
        fixed = Side(fixed=(0, 1))
        share, low, high = bands(Problem(csr_array(w @ h), np.ones(20), np.ones(9), fixed, Side()), w, h, 0.0)
        np.testing.assert_array_equal(low, share)
        np.testing.assert_array_equal(high, share)


class TestFace:
    def test_containers_agree(self):
        cube, guess = _cube(), _guess()
        expected = mcr(cube, guess)
        as_sparse = cube.copy(data=sparse.COO.from_numpy(cube.values))
        for other in (as_sparse, cube.chunk({"y": 4, "x": 5}), as_sparse.chunk({"y": 4}), cube.transpose("mz", "x", "y")):
            # the same steps on the same numbers, products summed in another order
            xr.testing.assert_allclose(mcr(other, guess.transpose("mz", "component")), expected, rtol=1e-8, atol=1e-8)

    def test_empty_channels_and_pixels_and_unmeasured(self):
        cube = _cube().astype(float)
        cube[..., 6] = 0
        cube[2, 3] = 0
        measured = np.ones((NY, NX), bool)
        measured[0] = False
        clean = mcr(cube[1:], _guess())
        cube[0] = np.nan
        result = mcr(cube.assign_coords(measured=(("y", "x"), measured)), _guess())
        assert np.isnan(result.abundance[:, 0]).all()
        assert (result.abundance[:, 2, 3] == 0).all()
        assert (result.spectra[:, 6] == 0).all()
        xr.testing.assert_allclose(result.abundance[:, 1:].drop_vars("measured"), clean.abundance, rtol=1e-9)

    def test_named_maps_a_result_as_start_and_history(self):
        cube = (
            _cube()
            .assign_attrs(history="read")
            .isel(mz=slice(12))
            .rename(mz="fragment")
            .assign_coords(fragment=list("abcdefghijkl"))
        )
        before = cube.copy(deep=True)
        guess = _guess().isel(mz=slice(12)).rename(mz="fragment").drop_vars("fragment").to_dataset(name="spectra")
        result = mcr(cube, guess)
        assert result.spectra.dims == ("component", "fragment")
        assert result.abundance.dims == ("component", "y", "x")
        xr.testing.assert_identical(cube, before)
        assert result.attrs["history"].splitlines()[0] == "read"
        assert "decomposition.mcr" in result.attrs["history"].splitlines()[1]

    def test_warnings(self):
        with pytest.warns(DataQualityWarning, match="not converged after 1 iterations: a round still moves the model by"):
            mcr(_cube(), _guess(), max_iter=1)
        cube = xr.DataArray([[4.0, 2.0, 0.0], [8.0, 4.0, 0.0]], dims=("point", "mz"))
        guess = xr.DataArray([[2.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dims=("component", "mz"))
        with pytest.warns(DataQualityWarning, match="component 1 vanished"):
            mcr(cube, guess)


class TestRefusals:
    def test_options_and_constraints_at_once(self):
        with pytest.raises(SsbmapsError, match=r"(?s)3 faults.*scaling='log'.*max_iter=0.*tol=-1"):
            mcr(_cube(), _guess(), scaling="log", max_iter=0, tol=-1)
        wrong = {"closed": 1, "closure": -1, "known_spectra": "z", "unimodal_abundance": "time", "non_negative": "maps"}
        with pytest.raises(
            SsbmapsError, match=r"(?s)closed unknown.*non_negative='maps'.*closure=-1.*component z unknown.*it has none"
        ):
            mcr(_cube(), _guess(), constraints=wrong)
        with pytest.raises(SsbmapsError, match="constraints is a list"):
            mcr(_cube(), _guess(), constraints=["closure"])

    def test_contradictions(self):
        series = _cube().expand_dims(scan=3)
        with pytest.raises(SsbmapsError, match="closure and unimodal_abundance together are not solved"):
            mcr(series, _guess(), constraints={"closure": "total", "unimodal_abundance": "scan"})
        with pytest.raises(SsbmapsError, match="component a is both known and to be made unimodal"):
            mcr(_cube(), _guess(), constraints={"known_spectra": "a", "unimodal_spectra": "a"})
        with pytest.raises(SsbmapsError, match="closure needs non-negative abundances"):
            mcr(_cube(), _guess(), constraints={"closure": 1.0, "non_negative": "spectra"})
        zero = xr.zeros_like(_guess(), dtype=bool)
        zero[0, 1] = True
        with pytest.raises(SsbmapsError, match="a known spectrum is not 0 where zero_spectra says it is"):
            mcr(_cube(), _guess(), constraints={"known_spectra": "a", "zero_spectra": zero})
        with pytest.raises(SsbmapsError, match="unimodal_spectra and zero_spectra name the same component"):
            mcr(_cube(), _guess(), constraints={"unimodal_spectra": "a", "zero_spectra": zero})
        nowhere = xr.DataArray(np.ones((3, NX), bool), {"component": list("abc")}, ("component", "x"))
        with pytest.raises(SsbmapsError, match="leaves pixels without any component, yet closure is asked"):
            mcr(_cube(), _guess(), constraints={"closure": 1.0, "zero_abundance": nowhere})
        with pytest.raises(SsbmapsError, match=r"zero_spectra: expected a boolean DataArray with dims among component, mz"):
            mcr(_cube(), _guess(), constraints={"zero_spectra": zero.astype(float)})
        with pytest.raises(SsbmapsError, match="zero_abundance: x has another length than in the cube"):
            mcr(_cube(), _guess(), constraints={"zero_abundance": nowhere.isel(x=slice(3))})

    def test_start(self):
        guess = _guess()
        with pytest.raises(SsbmapsError, match="initial has 29 channels that are not the cube's 30"):
            mcr(_cube(), guess.isel(mz=slice(1, None)))
        with pytest.raises(SsbmapsError, match=r"initial: expected spectra as a DataArray \(component, mz\)"):
            mcr(_cube(), guess.values)
        with pytest.raises(SsbmapsError, match=r"negative values \(lowest -0\."):
            mcr(_cube(), guess - 0.5)
        with pytest.raises(SsbmapsError, match="the spectrum of component b is 0 everywhere"):
            mcr(_cube(), guess * [[1], [0], [1]])
        with pytest.raises(SsbmapsError, match="NaN or infinite values; expected finite spectra"):
            mcr(_cube(), guess * np.nan)
        with pytest.raises(SsbmapsError, match=r"negative values \(lowest -1\)"):
            mcr(_cube().astype(int) - 1, guess)
