"""Factorisation of counts: planted components, totals, certificates, containers, penalties, errors, the estimator's contract."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.special import kl_div
from sklearn.utils.estimator_checks import parametrize_with_checks

from ssbmaps import DataQualityWarning, SsbmapsError
from ssbmaps.decomposition import PoissonNMF, nmf, pca
from ssbmaps.decomposition._match import matched

planted_counts = runpy.run_path(str(Path(__file__).with_name("planted_counts.py")), run_name="planted_counts")
NY, NX, K = (planted_counts[n] for n in ("NY", "NX", "K"))
planted, cube_of, counts_cube = (planted_counts[n] for n in ("planted", "cube_of", "counts_cube"))


def overlapping(shape=(60, 72), channels=200, counts=100.0, seed=0):
    """Four components, no pixel pure: every one holds at least 5 % of each other; spectra share half their peaks."""
    rng = np.random.default_rng(seed)
    axis = np.arange(channels)
    peaks = rng.permutation(np.linspace(5, channels - 6, 24))
    lines = np.exp(-0.5 * ((axis - peaks[:, None]) / 1.5) ** 2)
    weight = np.zeros((4, 24))
    for c in range(4):
        weight[c, 3 * c : 3 * c + 3] = rng.uniform(0.6, 1.4, 3)
        weight[c, 12:] = rng.uniform(0.05, 0.3, 12)
    spectra = weight @ lines
    spectra /= spectra.sum(axis=1, keepdims=True)
    y, x = np.mgrid[: shape[0], : shape[1]] / max(shape)
    field = np.stack([np.sin(2 * np.pi * (f * x + g * y) + p) for f, g, p in ((2, 1, 0), (1, 2, 1), (3, 0.5, 2), (0.5, 3, 4))])
    share = np.exp(4 * field)
    share = 0.05 + 0.8 * share / share.sum(axis=0)
    return counts * share, spectra, rng.poisson(np.einsum("cyx,ck->yxk", counts * share, spectra))


def divergence(values, model):
    return float(kl_div(np.asarray(values, float), np.maximum(model, 1e-300)).sum())


class TestPlanted:
    @pytest.mark.parametrize("loss", ["kullback-leibler", "frobenius"])
    def test_components_are_found(self, loss):
        abundance, spectra, values = planted()
        result = nmf(cube_of(values), 3, loss=loss)
        order, cosine = matched(spectra, result.spectra.values)
        assert cosine.min() > 0.99
        # least squares weighs the noise of bright pixels like that of dim ones, and pays with the dim phase of 60 counts
        maps = matched(abundance.reshape(3, -1), result.abundance.values.reshape(3, -1)[order])[1]
        assert maps.min() > (0.98 if loss == "kullback-leibler" else 0.93)

    @pytest.mark.parametrize("scene", [planted, overlapping])
    def test_at_a_hundred_counts_per_pixel(self, scene):
        # the figures: components above 5 % of the counts, cosine > 0.99 and r > 0.95
        abundance, spectra, values = scene(counts=100.0)
        n = len(spectra)
        if scene is planted:  # enough pixels to determine the spectra
            abundance, values = (
                np.tile(abundance, (1, 4, 4)),
                np.random.default_rng(1).poisson(np.einsum("cyx,ck->yxk", np.tile(abundance, (1, 4, 4)), spectra)),
            )
        result = nmf(cube_of(values), n, tol=1e-6)
        order, cosine = matched(spectra, result.spectra.values)
        assert cosine.min() > 0.99
        found = result.abundance.values[order]
        large = abundance.sum(axis=(1, 2)) > 0.05 * abundance.sum()
        r = np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(abundance, found, strict=True)])
        assert r[large].min() > 0.95

    def test_known_spectra_stay_and_a_trace_is_found_with_its_spectrum(self):
        abundance, spectra, _ = planted(counts=100.0)
        trace = np.zeros(K)
        trace[[4, 9]] = 0.5
        place = np.zeros((NY, NX))
        place[10:, :5] = 2.0  # 2 counts of some 100 in 20 pixels: 0.3 % of all counts
        rng = np.random.default_rng(3)
        values = rng.poisson(np.einsum("cyx,ck->yxk", abundance, spectra) + place[..., None] * trace)
        cube = cube_of(values)
        known = xr.DataArray(trace[None] * 7, {"mz": cube.mz}, ("component", "mz"))
        result = nmf(cube, 4, fixed=known)
        np.testing.assert_allclose(result.spectra.values[0], trace, rtol=1e-12)
        found = result.abundance.values[0]
        assert found[10:, :5].mean() == pytest.approx(2.0, abs=4 * np.sqrt(2.0 / 20) + 0.5)
        assert found[10:, :5].mean() > 3 * found[:10, :5].mean()

    def test_started_from_given_spectra(self):
        _, spectra, values = planted()
        cube = cube_of(values)
        given_ones = xr.DataArray(spectra, {"mz": cube.mz}, ("component", "mz"))
        result = nmf(cube, 3, initial=given_ones)
        assert result.start.values.tolist() == ["given"]
        assert matched(spectra, result.spectra.values)[1].min() > 0.99


class TestMaximum:
    def test_totals_are_kept(self):
        cube = counts_cube()
        result = nmf(cube, 3, tol=1e-9, max_iter=3000)
        model = (result.abundance * result.spectra).sum("component")
        np.testing.assert_allclose(model.sum("mz"), cube.sum("mz"), rtol=1e-4, atol=1e-3)  # every row at its own maximum
        np.testing.assert_allclose(model.sum(("y", "x")), cube.sum(("y", "x")), rtol=2e-3, atol=0.1)

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_no_higher_than_scikit_learn(self, seed):
        from sklearn.decomposition import NMF

        values = overlapping((16, 20), 60, 80.0, seed)[2].reshape(-1, 60).astype(float)
        peer = NMF(4, init="nndsvdar", solver="mu", beta_loss="kullback-leibler", max_iter=2000, tol=0, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            w = peer.fit_transform(values)
        theirs = divergence(values, w @ peer.components_)
        ours = PoissonNMF(4, tol=1e-7, max_iter=3000, n_starts=6, random_state=seed).fit(values).objective_
        assert ours <= theirs * (1 + 1e-6)

    @given(st.integers(0, 50), st.integers(1, 12))
    @settings(max_examples=15, deadline=None)
    def test_rows_are_at_their_maximum(self, seed, k):
        rng = np.random.default_rng(seed)
        h = rng.gamma(0.5, 1, (k, 25))
        h /= h.sum(axis=1, keepdims=True)
        values = rng.poisson(rng.gamma(0.4, 30, (9, k)) @ h)
        model = PoissonNMF(k)
        model.components_, model._channel_weight, model.n_features_in_ = h, None, 25
        w = model.transform(values.astype(float))
        expected = np.maximum(w @ h, 1e-300)
        pull = (values / expected) @ h.T
        filled = values.sum(axis=1) > 0
        # Karush-Kuhn-Tucker: no pull above the spectrum's sum of 1, and exactly 1 where there is some
        assert pull[filled].max(initial=0) < 1 + 1e-3
        np.testing.assert_allclose((w * (pull - 1))[filled], 0, atol=1e-2)
        np.testing.assert_array_equal(w[~filled], 0)

    @given(st.integers(0, 40), st.sampled_from([2, 5, 9, 17]))
    @settings(max_examples=10, deadline=None)
    def test_objective_falls_and_is_the_divergence(self, seed, k):
        rng = np.random.default_rng(seed)
        values = rng.poisson(rng.gamma(0.4, 20, (60, k)) @ rng.dirichlet(np.full(30, 0.3), k)).astype(float)
        model = PoissonNMF(k, max_iter=40, random_state=seed)
        w = model.fit_transform(values)
        scale = 1e-9 * values.sum()
        assert np.all(np.diff(model.history_) <= scale)
        assert divergence(values, w @ model.components_) == pytest.approx(model.objective_, rel=1e-4, abs=1e-4 * values.sum())

    def test_what_remains_is_near_what_was_asked(self):
        values = overlapping((30, 40), 120, 60.0)[2].reshape(-1, 120).astype(float)
        best = PoissonNMF(4, tol=1e-9, max_iter=5000).fit(values).objective_
        for tol in (1e-3, 1e-4, 1e-5):
            model = PoissonNMF(4, tol=tol, max_iter=5000).fit(values)
            assert model.converged_
            # what was said to remain, against what a fit to the end still gained: slow directions show late
            assert model.objective_ - best < 10 * tol * best

    def test_not_converged_warns_with_the_figures(self):
        with pytest.warns(DataQualityWarning, match=r"not converged after 2 iterations at tol=1e-12; objective \d"):
            nmf(counts_cube(), 3, max_iter=2, tol=1e-12)


class TestContainers:
    def test_agree(self):
        cube = counts_cube()
        expected = nmf(cube, 3)
        as_sparse = cube.copy(data=sparse.COO.from_numpy(cube.values))
        for other in (
            as_sparse,
            cube.chunk({"y": 5, "x": 7, "mz": 11}),
            as_sparse.chunk({"y": 4}),
            cube.transpose("mz", "x", "y"),
        ):
            xr.testing.assert_allclose(nmf(other, 3), expected, rtol=1e-10, atol=1e-10)

    def test_streamed_from_files(self, monkeypatch):
        from ssbmaps.decomposition import _matrix

        cube = counts_cube()
        expected = nmf(cube, 3, tol=1e-7, max_iter=2000)
        monkeypatch.setattr(_matrix.pixel_blocks, "__kwdefaults__", {**_matrix.pixel_blocks.__kwdefaults__, "memory": 1000})
        pixels = _matrix.pixel_blocks(cube.chunk({"y": 5, "x": 7}), subject="test")
        assert any(pixels.blocks.scratch.path.iterdir())  # the blocks lie in files
        result = nmf(cube.chunk({"y": 5, "x": 7}), 3, tol=1e-7, max_iter=2000)
        assert float(result.objective) == pytest.approx(float(expected.objective), rel=1e-5)
        np.testing.assert_allclose(result.spectra, expected.spectra, atol=2e-3)

    @pytest.mark.filterwarnings(
        "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    )
    def test_on_a_cluster_the_same_call_gives_the_same(self):
        from distributed import Client

        chunked = counts_cube().chunk({"y": 5})
        here = nmf(chunked, 3)
        with Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None):
            there = nmf(chunked, 3)
            values = pca(chunked, 3).explained_variance.values
            errors = nmf(chunked, 3, n_boot=2)
        assert float(there.objective) == pytest.approx(float(here.objective), rel=1e-6)
        np.testing.assert_allclose(there.abundance, here.abundance, atol=0.05)
        np.testing.assert_allclose(values, pca(chunked, 3).explained_variance, rtol=1e-10)
        assert (errors.abundance_high >= errors.abundance_low).all()

    def test_an_estimator_visits_a_dask_array_by_chunks(self):
        import dask.array

        values = planted()[2].reshape(-1, K)
        lazy = dask.array.from_array(values, chunks=(50, 20))
        np.testing.assert_allclose(PoissonNMF(3).fit_transform(lazy), PoissonNMF(3).fit_transform(values), rtol=1e-6)
        with pytest.raises(SsbmapsError, match="X has 30 features; expected 40"):
            PoissonNMF(3).fit(values).transform(lazy[:, :30])
        with pytest.raises(SsbmapsError, match="Negative values"):
            PoissonNMF(3).fit(lazy - 1)

    def test_same_seed_same_bits(self):
        first, second = (nmf(counts_cube(), 3, rng=7) for _ in range(2))
        xr.testing.assert_identical(first, second)
        assert '"rng": 7' in first.attrs["history"]

    def test_as_many_threads_as_there_are_the_same_bits(self, monkeypatch):
        cube = cube_of(overlapping((60, 80))[2])  # several parts
        many = nmf(cube, 4)
        monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
        xr.testing.assert_identical(nmf(cube, 4), many)

    def test_spectra_have_sum_one_and_components_descend(self):
        result = nmf(counts_cube(), 3)
        np.testing.assert_allclose(result.spectra.sum("mz"), 1, rtol=1e-12)
        assert (np.diff(result.abundance.sum(("y", "x"))) < 0).all()
        assert (result.abundance.attrs["units"], result.spectra.attrs["units"]) == ("counts", "1")


class TestMasksAndWeights:
    def test_masked_values_do_not_matter(self):
        values = planted()[2]
        cube = cube_of(values)
        mask = xr.zeros_like(cube, dtype=bool)
        mask[3:6, 4:9, 10:20] = True
        spoilt = cube.where(~mask, 5000)
        result = nmf(spoilt, 3, mask=mask)
        xr.testing.assert_allclose(result, nmf(cube.where(~mask, 0), 3, mask=mask))
        model = (result.abundance * result.spectra).sum("component").values
        assert divergence(values[~mask.values], model[~mask.values]) == pytest.approx(float(result.objective), rel=1e-4)
        # and where they were, the model of the other channels stands in
        assert model[mask.values].sum() == pytest.approx(values[mask.values].sum(), rel=0.1)

    def test_masked_pixels_and_channels_are_left_out(self):
        cube = counts_cube()
        pixels = xr.zeros_like(cube.isel(mz=0, drop=True), dtype=bool)
        pixels[2:5, 3] = True
        channels = xr.DataArray(np.arange(K) < 4, {"mz": cube.mz}, ("mz",))
        result = nmf(cube, 3, mask=pixels | channels)
        assert int(np.isnan(result.abundance.isel(component=0)).sum()) == 3
        assert np.isnan(result.spectra[:, :4]).all()
        np.testing.assert_allclose(result.spectra.sum("mz"), 1, rtol=1e-6)
        without = nmf(cube.isel(mz=slice(4, None)), 3, mask=pixels)
        np.testing.assert_allclose(result.spectra[:, 4:], without.spectra, atol=1e-3)

    def test_a_weight_of_two_is_a_second_copy(self):
        values = planted()[2].reshape(-1, K).astype(float)
        weight = np.arange(len(values)) % 3
        weighted = PoissonNMF(3, tol=1e-9, max_iter=5000).fit(values, row_weight=weight)
        repeated = PoissonNMF(3, tol=1e-9, max_iter=5000).fit(np.repeat(values, weight, axis=0))
        # through other superpixels to the same maximum
        np.testing.assert_allclose(weighted.components_, repeated.components_, atol=1e-3)
        assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-6)

    def test_weights_of_a_cube(self):
        cube = counts_cube()
        right = xr.where(cube.x > 8, 1.0, 0.0).broadcast_like(cube.isel(mz=0, drop=True))
        result = nmf(cube, 2, weights=right)
        assert np.isnan(result.abundance[:, :, :8]).all()
        assert not np.isnan(result.abundance[:, :, 8:]).any()

    def test_faults(self):
        cube = counts_cube()
        with pytest.raises(SsbmapsError, match="mask is of type float64; expected bool"):
            nmf(cube, 2, mask=cube.isel(mz=0, drop=True) * 1.0)
        with pytest.raises(SsbmapsError, match="weights has dims"):
            nmf(cube, 2, weights=cube.isel(mz=0, y=0, drop=True) * 1.0)
        with pytest.raises(SsbmapsError, match="none above 0"):
            nmf(cube, 2, mask=xr.ones_like(cube.isel(mz=0, drop=True), dtype=bool))
        with pytest.raises(SsbmapsError, match="3 spectra given for 2 components"):
            nmf(cube, 2, initial=nmf(cube, 3).spectra)
        with pytest.raises(SsbmapsError, match=r"fixed has dims .*expected \(component, mz\)"):
            nmf(cube, 2, fixed=cube.isel(x=0))
        with pytest.raises(SsbmapsError, match="channel_weight has shape"):
            PoissonNMF(2).fit(np.ones((5, 4)), channel_weight=np.ones(5))
        with pytest.raises(SsbmapsError, match="image_shape"):
            PoissonNMF(2, laplacian=1.0).fit(np.ones((6, 4)))
        with pytest.raises(SsbmapsError, match="does not hold the 6 rows"):
            PoissonNMF(2).fit(np.ones((6, 4)), image_shape=(2, 2))


class TestPenalties:
    @pytest.mark.parametrize("option", ["smoothness", "laplacian", "total_variation"])
    def test_the_objective_falls_and_the_result_is_smoother(self, option):
        values = overlapping((20, 26), 60, 40.0)[2]
        strength = {"smoothness": 30.0, "laplacian": 0.02, "total_variation": 0.2}[option]
        flat = values.reshape(-1, 60).astype(float)
        model = PoissonNMF(4, **{option: strength}, tol=1e-5, max_iter=400)
        plain = PoissonNMF(4, tol=1e-5)
        w, rough = (m.fit_transform(flat, image_shape=(20, 26)) for m in (model, plain))
        assert np.all(np.diff(model.history_) <= 1e-9 * flat.sum())

        def unevenness(w, m):
            maps = (w / w.sum()).reshape(20, 26, 4)
            return np.abs(np.diff(m.components_)).sum() if option == "smoothness" else np.abs(np.diff(maps, axis=0)).sum()

        assert unevenness(w, model) < 0.9 * unevenness(rough, plain)

    @pytest.mark.parametrize(("option", "strength"), [("laplacian", 0.05), ("total_variation", 0.4)])
    def test_a_step_solves_its_equations(self, option, strength):
        # a second road: the penalised optimum for one component and known spectrum, by a general minimiser
        from scipy.optimize import minimize

        rng = np.random.default_rng(0)
        counts = rng.poisson(np.where(np.arange(12) < 6, 4.0, 9.0))[:, None].astype(float)
        model = PoissonNMF(1, **{option: strength}, tol=1e-12, max_iter=20000)
        w = model.fit_transform(counts, image_shape=(3, 4)).ravel()

        def cost(v):
            maps, total = v.reshape(3, 4), np.sum(v - counts[:, 0] * np.log(v))
            for d in (np.diff(maps, axis=0), np.diff(maps, axis=1)):
                total += np.sum(0.5 * strength * d**2 if option == "laplacian" else strength * np.sqrt(d**2 + 1e-4))
            return total

        best = minimize(cost, np.full(12, 6.0), bounds=[(1e-6, None)] * 12, options={"maxiter": 5000, "ftol": 1e-14})
        assert cost(w) <= best.fun + 1e-4

    def test_only_of_the_likelihood(self):
        with pytest.raises(SsbmapsError, match="penalties are in nats of the likelihood"):
            nmf(counts_cube(), 2, loss="frobenius", smoothness=1.0)
        points = counts_cube().stack(point=("y", "x")).reset_index("point", drop=True)
        with pytest.raises(SsbmapsError, match="penalties on maps need y and x"):
            nmf(points, 2, laplacian=1.0)


class TestErrors:
    def test_of_one_component_are_those_of_counting(self):
        values = np.random.default_rng(0).poisson(3.0, (6, 9, 5))
        result = nmf(cube_of(values), 1)
        total = values.sum(axis=2)
        np.testing.assert_allclose(result.abundance_sd[0], np.where(total > 0, np.sqrt(total), 1), rtol=1e-4)
        shares = values.sum(axis=(0, 1))
        np.testing.assert_allclose(result.spectra_sd[0], np.sqrt(shares) / shares.sum(), rtol=1e-4)

    def test_agree_with_a_dense_information_matrix(self):
        result = nmf(cube_of(planted()[2].astype(float)), 3, tol=1e-8, max_iter=2000)
        w, h = result.abundance.values.reshape(3, -1).T, result.spectra.values
        values = planted()[2].reshape(-1, K)
        ratio = values / np.maximum(w @ h, 1e-300)
        information = np.einsum("pk,ck,dk->pcd", ratio / np.maximum(w @ h, 1e-300), h, h)
        slope = 1 - ratio @ h.T
        information += np.einsum("pc,cd->pcd", slope**2, np.eye(3))
        expected = np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2))
        np.testing.assert_allclose(result.abundance_sd.values.reshape(3, -1).T, expected, rtol=1e-5)

    def test_bootstrap_intervals_hold_the_planted_values(self):
        abundance, spectra, values = planted(counts=150.0, seed=5)
        result = nmf(cube_of(values), 3, n_boot=25, rng=1)
        order, _ = matched(spectra, result.spectra.values)
        inside = (result.spectra_low.values[order] <= spectra) & (spectra <= result.spectra_high.values[order])
        large = spectra > 1e-3
        # 95 % intervals of some 60 values: 0.85 is four standard errors below
        assert inside[large].mean() > 0.85
        low, high = result.abundance_low.values[order], result.abundance_high.values[order]
        assert ((low <= abundance) & (abundance <= high)).mean() > 0.9
        assert (result.spectra_sd.values >= 0).all()
        assert '"n_boot": 25' in result.attrs["history"]

    def test_absent_where_there_is_no_likelihood(self):
        assert "abundance_sd" not in nmf(counts_cube(), 2, loss="frobenius")
        with pytest.raises(SsbmapsError, match="n_boot=1; expected 0, or 2 or more"):
            nmf(counts_cube(), 2, n_boot=1)


class TestOptions:
    def test_values_that_are_no_counts(self):
        with pytest.warns(DataQualityWarning, match="no whole numbers"):
            nmf(counts_cube().astype(float) * 0.5, 2)
        assert nmf(counts_cube().astype("float32"), 2).sizes["component"] == 2
        with pytest.raises(SsbmapsError, match=r"negative values \(lowest -1\)"):
            nmf(counts_cube().astype(int) - 1, 2)
        many = cube_of(overlapping()[2].astype(int) - 1)  # in several parts: the lowest of them, not their sum
        with pytest.raises(SsbmapsError, match=r"negative values \(lowest -1\)"):
            nmf(many, 2)

    def test_faults_are_told_together(self):
        with pytest.raises(SsbmapsError, match=r"(?s)3 faults.*loss='itakura'.*max_iter=0.*tol=-1"):
            nmf(counts_cube(), 2, loss="itakura", max_iter=0, tol=-1)
        with pytest.raises(SsbmapsError, match="rng: expected an int"):
            nmf(counts_cube(), 2, rng="seed")


class TestEstimator:
    @parametrize_with_checks([PoissonNMF(2), PoissonNMF(2, loss="frobenius")])
    def test_keeps_scikit_learns_contract(self, estimator, check):
        check(estimator)

    def test_batches_end_near_the_whole(self):
        abundance, spectra, _ = planted(counts=100.0)
        rng = np.random.default_rng(0)
        rows = np.tile(abundance.reshape(3, -1).T, (6, 1))
        values = rng.poisson(rows[rng.permutation(len(rows))] @ spectra)
        batched = PoissonNMF(3)
        for part in np.array_split(values, 6):
            batched.partial_fit(part)
        whole = PoissonNMF(3).fit(values)
        cosine = [matched(spectra, m.components_)[1].min() for m in (batched, whole)]
        first = matched(spectra, PoissonNMF(3).fit(values[: len(values) // 6]).components_)[1].min()
        assert cosine[0] > first
        assert cosine[0] > 0.99

    def test_sparse_and_dense_rows(self):
        values = planted()[2].reshape(-1, K)
        dense, thin = PoissonNMF(3).fit_transform(values), PoissonNMF(3).fit_transform(csr_array(values))
        np.testing.assert_array_equal(dense, thin)

    def test_inverse_transform_is_the_model(self):
        values = planted()[2].reshape(-1, K).astype(float)
        model = PoissonNMF(3)
        w = model.fit_transform(values)
        np.testing.assert_allclose(model.inverse_transform(w).sum(axis=1), values.sum(axis=1), rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(model.transform(values), w, atol=0.05)
