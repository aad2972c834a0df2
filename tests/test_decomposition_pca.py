"""Principal components: a dense SVD equalled by every road, containers alike, noise level, rotations, scikit-learn's checks."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.sparse import csc_array, csr_array, csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from ssbmaps import DataQualityWarning, SsbmapsError
from ssbmaps.decomposition import _blocks, _krylov, _svd, pca
from ssbmaps.decomposition._blocks import Blocks
from ssbmaps.decomposition._poisson_pca import PoissonPCA
from ssbmaps.decomposition._rotate import neighbours, varimax

planted_counts = runpy.run_path(str(Path(__file__).with_name("planted_counts.py")), run_name="planted_counts")
NY, NX, K = (planted_counts[n] for n in ("NY", "NX", "K"))
planted, cube_of, counts_cube = (planted_counts[n] for n in ("planted", "cube_of", "counts_cube"))


def _mixture(rows, columns, rank=4, seed=1, dose=30.0):
    """Counts of a low-rank expectation, with empty rows and columns."""
    rng = np.random.default_rng(seed)
    values = rng.poisson(dose * rng.gamma(0.3, 1, (rows, rank)) @ rng.dirichlet(np.full(columns, 0.1), rank))
    values[3], values[:, 5] = 0, 0
    return values


def _scaled(values, scaling="poisson"):
    """The scaled matrix, dense, and both scalings."""
    values = np.asarray(values, float)
    g, h = (values.sum(1), values.sum(0)) if scaling else (np.ones(len(values)), np.ones(values.shape[1]))
    left, right = (np.divide(1, np.sqrt(s), out=np.zeros_like(s), where=s > 0) for s in (g, h))
    return left[:, None] * values * right, np.sqrt(g), np.sqrt(h)


class TestExact:
    @pytest.mark.parametrize("scaling", ["poisson", None])
    @pytest.mark.parametrize("route", ["gram", "krylov"])
    @pytest.mark.parametrize("shape", [(600, 90), (90, 600), (300, 700), (900, 620)])
    def test_subspace_of_a_dense_svd(self, shape, route, scaling):
        values = _mixture(*shape)
        d, left, right = _scaled(values, scaling)
        u, s, vt = np.linalg.svd(d, full_matrices=False)
        model = PoissonPCA(6, scaling=scaling, route=route, tol=1e-9)
        scores = model.fit_transform(csr_array(values))
        np.testing.assert_allclose(model.singular_values_, s[:6], rtol=1e-12)
        np.testing.assert_allclose(model.explained_variance_ratio_, s[:6] ** 2 / np.sum(d**2), rtol=1e-12)
        # the issue asks for an angle below 1e-6 in float64; a residual of 1e-9 over gaps of about 1e-2 is well below it
        found = np.divide(model.components_, right, out=np.zeros_like(model.components_), where=right > 0)
        assert subspace_angles(found.T, vt[:6].T).max() < 1e-6
        expected = left[:, None] * (u[:, :6] * s[:6]) @ vt[:6] * right
        np.testing.assert_allclose(scores @ model.components_, expected, atol=1e-6 * np.abs(expected).max())
        assert model.error_bound_.max() <= 1e-9
        assert model.route_ == route

    @pytest.mark.parametrize("route", ["gram", "krylov"])
    def test_first_triplet_is_known_to_the_last_digits(self, route):
        values = _mixture(400, 700)
        model = PoissonPCA(3, route=route)
        scores = model.fit_transform(values)
        g, h, total = values.sum(1), values.sum(0), values.sum()
        # theory: singular value 1, vectors √g and √h; scaled back, scores g and loadings h up to 1 / √total
        assert model.singular_values_[0] == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(scores[:, 0], g / np.sqrt(total), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(model.components_[0], h / np.sqrt(total), rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("route", ["gram", "krylov"])
    def test_row_and_column_sums_are_kept(self, route):
        values = _mixture(300, 640)
        model = PoissonPCA(5, route=route, tol=1e-10)
        fitted = model.inverse_transform(model.fit_transform(values))
        # all vectors but the first are orthogonal to √g and √h, so that only the first has sums, and those are the data's
        np.testing.assert_allclose(fitted.sum(1), values.sum(1), atol=1e-7 * values.sum(1).max())
        np.testing.assert_allclose(fitted.sum(0), values.sum(0), atol=1e-7 * values.sum(0).max())

    @given(st.integers(0, 200), st.integers(1, 6), st.sampled_from(["gram", "krylov"]))
    @settings(max_examples=20)
    def test_small_matrices(self, seed, k, route):
        values = np.random.default_rng(seed).poisson(0.7, (23, 11))
        d, left, right = _scaled(values)
        u, s, vt = np.linalg.svd(d, full_matrices=False)
        model = PoissonPCA(k, route=route, tol=1e-12)
        scores = model.fit_transform(values)
        np.testing.assert_allclose(model.explained_variance_, s[:k] ** 2, atol=1e-12)
        if s[k - 1] - s[k] > 1e-3:  # the model is unique unless the cut falls between equal singular values
            expected = left[:, None] * (u[:, :k] * s[:k]) @ vt[:k] * right
            np.testing.assert_allclose(scores @ model.components_, expected, atol=1e-9)

    def test_a_full_basis_goes_on_from_the_better_half(self, monkeypatch):
        values = _mixture(900, 700, dose=200)
        expected = PoissonPCA(10, route="gram").fit(values)
        monkeypatch.setattr(_krylov, "BASIS", 0)  # 62 vectors, all that ten components may have then
        model = PoissonPCA(10, route="krylov").fit(values)
        np.testing.assert_allclose(model.explained_variance_, expected.explained_variance_, rtol=1e-12)
        assert 8 * model.n_iter_ > 62

    def test_more_components_than_the_data_have(self):
        values = np.outer(np.arange(1, 40), np.arange(1, 30))  # rank 1
        for route in ("gram", "krylov"):
            model = PoissonPCA(4, route=route)
            fitted = model.inverse_transform(model.fit_transform(values))
            np.testing.assert_allclose(model.explained_variance_, [1, 0, 0, 0], atol=1e-14)
            np.testing.assert_allclose(fitted, values, rtol=1e-10)

    def test_bound_is_that_of_the_residual(self):
        values = _mixture(500, 640, dose=5)
        d, *_ = _scaled(values)
        exact = np.linalg.svd(d, compute_uv=False) ** 2
        for tol in (0.3, 0.03):
            model = PoissonPCA(8, route="krylov", tol=tol).fit(values)
            nearest = np.abs(exact[:, None] - model.explained_variance_).min(axis=0)
            assert (nearest <= (model.error_bound_ + 1e-14) * model.explained_variance_).all()
            assert model.error_bound_.max() <= tol
        np.testing.assert_allclose(model.explained_variance_, exact[:8], rtol=0.03)

    def test_an_iteration_that_ends_early_says_so(self, monkeypatch):
        monkeypatch.setattr(_svd, "MAX_PRODUCTS", 2)
        with pytest.warns(ConvergenceWarning, match=r"after 2 passes; eigenvalues are known to 0\.\d+, tol=1e-08 was asked"):
            PoissonPCA(8, route="krylov").fit(_mixture(500, 640))

    def test_full_rank_gives_back_the_counts(self):
        values = np.random.default_rng(0).poisson(3, (42, K))
        for scaling in ("poisson", None):
            for route in ("gram", "krylov"):
                model = PoissonPCA(K, scaling=scaling, route=route)
                np.testing.assert_allclose(model.inverse_transform(model.fit_transform(values)), values, atol=1e-9)

    def test_auto_takes_the_road_of_fewer_operations(self):
        assert PoissonPCA(3).fit(_mixture(3000, 60)).route_ == "gram"
        wide = sparse.random((800, 4000), density=0.2, random_state=0, data_rvs=np.ones).to_scipy_sparse()
        assert PoissonPCA(3, tol=0.1).fit(csr_matrix(wide)).route_ == "krylov"

    def test_bits_do_not_depend_on_the_number_of_threads(self, monkeypatch):
        values = csr_array(_mixture(3000, 700, dose=200))
        for route in ("gram", "krylov"):
            found = []
            for n in ("1", "2"):
                monkeypatch.setenv("NUMBA_NUM_THREADS", n)
                model = PoissonPCA(4, route=route)
                found.append((model.fit_transform(values), model.components_, model.noise_variance_))
            for one, two in zip(*found, strict=True):
                np.testing.assert_array_equal(one, two)


class TestContainers:
    @pytest.mark.parametrize("route", ["gram", "krylov"])
    def test_all_kinds_of_matrix_agree(self, route):
        import dask.array as da

        values = _mixture(700, 600, dose=100).astype(np.int64)
        lazy = da.from_array(values, chunks=(150, 250))
        kinds = [
            csr_array(values),
            csc_array(values),
            csr_matrix(values.astype(np.uint16)),
            values.astype(np.float32),
            lazy,
            lazy.map_blocks(sparse.COO),
            Blocks.of(csr_array(values), np.uint16),
        ]
        expected = PoissonPCA(4, route=route)
        scores = expected.fit_transform(values)
        for kind in kinds:
            model = PoissonPCA(4, route=route)
            np.testing.assert_allclose(model.fit_transform(kind), scores, rtol=1e-6, atol=1e-8)
            np.testing.assert_allclose(model.singular_values_, expected.singular_values_, rtol=1e-12)
            assert model.noise_variance_ == pytest.approx(expected.noise_variance_, rel=1e-9)
            np.testing.assert_allclose(model.transform(kind), model.transform(values), rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("route", ["gram", "krylov"])
    def test_blocks_in_files(self, route):
        values = csr_array(_mixture(700, 600, dose=100))
        parts = [_blocks.compact(values[a : a + 100], np.float32) for a in range(0, 700, 100)]
        stored, _ = _blocks.gather_blocks(parts, list(np.arange(700).reshape(7, 100)), memory=3 * parts[0].nbytes)
        assert any(not isinstance(source, _blocks.Block) for source in stored.sources)
        model, expected = (PoissonPCA(4, route=route).fit(x) for x in (stored, values))
        np.testing.assert_allclose(model.components_, expected.components_, rtol=1e-7, atol=1e-9)

    @pytest.mark.parametrize("route", ["gram", "krylov"])
    def test_anything_that_can_be_visited_will_do(self, route):
        class Elsewhere:
            """Blocks of which nothing is known but that they can be visited."""

            def __init__(self, blocks):
                for word in ("visit", "gather", "place", "collect", "shape", "sizes"):
                    setattr(self, word, getattr(blocks, word))

        blocks = Blocks.of(csr_array(_mixture(300, 600, dose=100)), np.float32)
        model, expected = (PoissonPCA(4, route=route, tol=1e-10).fit(x) for x in (Elsewhere(blocks), blocks))
        # on this machine, few rows go by their own products
        np.testing.assert_allclose(model.components_, expected.components_, rtol=1e-7, atol=1e-9)

    def test_new_rows_are_scored_alike(self):
        values = _mixture(600, 80)
        model = PoissonPCA(4)
        scores = model.fit_transform(values)
        np.testing.assert_array_equal(model.transform(values[100:200]), scores[100:200])
        np.testing.assert_array_equal(model.transform(csr_array(values[100:200])), scores[100:200])

    def test_large_whole_numbers_are_exact(self):
        values = np.array([[2**24 + 1, 3], [5, 2**25 + 3], [7, 11]])
        model = PoissonPCA(2)
        np.testing.assert_allclose(model.inverse_transform(model.fit_transform(values)), values, rtol=1e-12, atol=1e-7)

    def test_values_that_cannot_be(self):
        import dask.array as da

        values = _mixture(50, 40).astype(float)
        model = PoissonPCA(2).fit(values)
        values[7, 7] = -1
        for kind in (values, csr_array(values), da.from_array(values, chunks=20), Blocks.of(csr_array(values), np.float64)):
            with pytest.raises(ValueError, match="Negative values in data passed to PoissonPCA: 1"):
                PoissonPCA(2).fit(kind)
            with pytest.raises(ValueError, match="Negative values"):
                model.transform(kind)
            assert np.isnan(PoissonPCA(2, scaling=None).fit(kind).noise_variance_)
        for bad in (np.nan, np.inf):
            values[7, 7] = bad
            for kind in (values, csr_array(values), da.from_array(values, chunks=20), Blocks.of(csr_array(values), np.float64)):
                with pytest.raises(ValueError, match=r"NaN|[Ii]nfin"):
                    PoissonPCA(2).fit(kind)

    def test_options(self):
        with pytest.raises(SsbmapsError, match=r"(?s)4 faults.*scaling='auto'.*rotation='quartimax'.*route='fast'.*tol=-1"):
            PoissonPCA(2, scaling="auto", rotation="quartimax", route="fast", tol=-1).fit(np.eye(4))
        with pytest.raises(SsbmapsError, match=r"n_components=9; expected a whole number from 1 to 8, as 8 of n_samples=9 rows"):
            PoissonPCA(9).fit(np.diag([1, 1, 1, 1, 1, 1, 1, 1, 0]))
        with pytest.raises(SsbmapsError, match="X has 3 features; expected 4"):
            PoissonPCA(2).fit(np.eye(4)).transform(Blocks.of(csr_array(np.eye(3)), np.float32))
        with pytest.raises(SsbmapsError, match=r"scores of shape \(3, 3\); expected \(n_samples, 2\)"):
            PoissonPCA(2).fit(np.eye(4)).inverse_transform(np.eye(3))


class TestNoise:
    @pytest.mark.parametrize("spread", [0.0, 0.8])
    def test_pure_noise_lies_at_the_level(self, spread):
        """Counts of rank 1: beside the known first value there is noise only, whose largest is to be the level."""
        ratios = []
        for seed in range(12):
            rng = np.random.default_rng(seed)
            rows, columns = np.exp(spread * rng.standard_normal((500, 1))), np.exp(spread * rng.standard_normal((1, 240)))
            model = PoissonPCA(2, random_state=seed).fit(rng.poisson(0.3 * rows * columns))
            ratios.append(model.explained_variance_[1] / model.noise_variance_)
        # one draw of a largest value scatters by about 2 %, as Tracy and Widom have it (K^-2/3); so does the level itself
        assert np.mean(ratios) == pytest.approx(1, abs=0.02)
        assert np.std(ratios) < 0.05

    def test_even_noise_has_the_edge_of_marchenko_and_pastur(self):
        rng = np.random.default_rng(0)
        values = rng.poisson(2.0, (1500, 600))
        model = PoissonPCA(2).fit(values)
        edge = (np.sqrt(1500) + np.sqrt(600)) ** 2 / values.sum()
        assert model.noise_variance_ == pytest.approx(edge, rel=0.03)

    def test_planted_components_lie_above_and_the_others_at_the_level(self):
        model = PoissonPCA(8).fit(planted(counts=200)[2].reshape(-1, K))
        assert model.explained_variance_[2] > 3 * model.noise_variance_
        assert model.explained_variance_[3:] == pytest.approx(model.noise_variance_, rel=0.5)
        assert model.explained_variance_[3] < 1.1 * model.noise_variance_

    def test_level_of_data_that_are_not_scaled(self):
        rng = np.random.default_rng(3)
        level, expected = 4.0, rng.poisson(4.0, (900, 300)) - 4.0
        model = PoissonPCA(2, scaling=None).fit(rng.poisson(level, (900, 300)))
        assert model.noise_variance_ == pytest.approx(np.linalg.norm(expected, 2) ** 2, rel=0.04)

    def test_no_level_without_counts(self):
        assert np.isnan(PoissonPCA(2).fit(_mixture(60, 50) * 0.5).noise_variance_)


class TestRotation:
    @pytest.mark.parametrize("rotation", ["varimax", "promax", "ica", "maf", "mnf"])
    @pytest.mark.parametrize("scaling", ["poisson", None])
    def test_the_model_stays(self, rotation, scaling):
        values = planted()[2].reshape(-1, K)
        plain = PoissonPCA(3, scaling=scaling)
        expected = plain.fit_transform(values) @ plain.components_
        model = PoissonPCA(3, scaling=scaling, rotation=rotation)
        scores = model.fit_transform(values, image_shape=(NY, NX))
        np.testing.assert_allclose(scores @ model.components_, expected, atol=1e-10 * values.max())
        np.testing.assert_allclose(plain.transform(values) @ model.rotation_, scores, atol=1e-9)
        np.testing.assert_array_equal(model.transform(values), scores)
        # what each carries is the sum of squares of its own part of the scaled model
        _, left, right = _scaled(values, scaling)
        parts = [np.sum((np.outer(t, p) / left[:, None] / right) ** 2) for t, p in zip(scores.T, model.components_, strict=True)]
        np.testing.assert_allclose(model.explained_variance_, parts, rtol=1e-9)
        largest = np.abs(model.components_).argmax(axis=1)
        assert (model.components_[np.arange(3), largest] > 0).all()
        if rotation not in ("maf", "mnf"):
            assert (np.diff(model.explained_variance_) <= 0).all()

    def test_varimax_shares_the_variance_and_finds_simple_spectra(self):
        values = planted(counts=2000)[2].reshape(-1, K)
        plain, turned = PoissonPCA(3).fit(values), PoissonPCA(3, rotation="varimax").fit(values)
        assert turned.explained_variance_.sum() == pytest.approx(plain.explained_variance_.sum(), rel=1e-12)
        np.testing.assert_allclose(turned.singular_values_, plain.singular_values_, rtol=1e-12)

    def test_varimax_has_found_a_maximum(self):
        rng = np.random.default_rng(0)
        loadings = rng.standard_normal((30, 4)) * rng.gamma(0.3, 1, (30, 4))
        criterion = lambda a: np.var(a**2, axis=0).sum()  # noqa: E731
        turned = loadings @ varimax(loadings)
        assert criterion(turned) > criterion(loadings)
        for i, j in ((0, 1), (0, 3), (1, 2), (2, 3)):
            for angle in (-0.01, 0.01):  # no plane turn betters it
                more = np.eye(4)
                more[np.ix_((i, j), (i, j))] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
                assert criterion(turned @ more) < criterion(turned)

    def test_promax_is_simpler_than_varimax_on_overlapping_spectra(self):
        rng = np.random.default_rng(4)
        first = np.r_[np.ones(18), np.full(4, 0.4), np.zeros(18)]
        spectra = np.vstack([first, first[::-1]])
        values = rng.poisson(40 * rng.gamma(1, 1, (400, 2)) @ spectra)

        def mixed(rotation):
            found = PoissonPCA(2, rotation=rotation).fit(values).components_
            found = np.abs(found / np.linalg.norm(found, axis=1, keepdims=True))
            return min(found[0, 22:].sum() + found[1, :18].sum(), found[1, 22:].sum() + found[0, :18].sum())

        assert mixed("promax") < mixed("varimax")
        assert mixed("promax") < 0.2 * mixed(None)

    def test_ica_finds_independent_maps(self):
        rng = np.random.default_rng(5)
        maps = rng.exponential(1, (3000, 2)) ** 1.5
        spectra = rng.dirichlet(np.full(30, 0.5), 2)
        values = rng.poisson(3000 * maps @ spectra)
        scores = PoissonPCA(2, scaling=None, rotation="ica").fit_transform(values)
        cross = np.abs(np.corrcoef(scores.T, maps.T)[:2, 2:])
        assert cross.max(axis=0).min() > 0.99
        plain = np.abs(np.corrcoef(PoissonPCA(2, scaling=None).fit_transform(values).T, maps.T)[:2, 2:])
        assert plain.max(axis=0).min() < 0.97

    def test_maf_puts_the_smoothest_map_first(self):
        rng = np.random.default_rng(6)
        y, x = np.mgrid[:30, :20] / 30
        maps = np.stack([1 + np.sin(4 * y), 1 + np.sin(25 * x * y), rng.gamma(2, 0.6, (30, 20))])
        values = rng.poisson(500 * maps.reshape(3, -1).T @ rng.dirichlet(np.full(30, 0.3), 3))
        model = PoissonPCA(3, scaling=None, rotation="maf").fit(values, image_shape=(30, 20))
        found = model.transform(values).T.reshape(3, 30, 20)
        rough = [(np.diff(m, axis=0) ** 2).sum() / m.var() + (np.diff(m, axis=1) ** 2).sum() / m.var() for m in found]
        assert rough[0] < rough[1] < rough[2]
        assert abs(np.corrcoef(found[0].ravel(), maps[0].ravel())[0, 1]) > 0.98
        assert abs(np.corrcoef(found[2].ravel(), maps[2].ravel())[0, 1]) > 0.98

    def test_neighbours_leave_out_what_is_not_there(self):
        first, second = neighbours((2, 3), np.array([0, 1, 3, 5]))  # row 0: two pixels, row 1: the outer two
        assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (0, 2)]
        assert len(neighbours((2, 2, 3), np.arange(12))[0]) == 2 * 7  # scans are not neighbours of each other

    def test_what_a_rotation_needs(self):
        values = planted()[2].reshape(-1, K)
        with pytest.raises(SsbmapsError, match=r"rotation 'maf' needs image_shape=\(…, y, x\), got None"):
            PoissonPCA(3, rotation="maf").fit(values)
        with pytest.raises(SsbmapsError, match=r"image_shape=\(3, 5\) has 15 pixels, X has 266 rows"):
            PoissonPCA(3, rotation="maf").fit(values, image_shape=(3, 5))
        with pytest.raises(SsbmapsError, match="component 3 holds nothing"):
            PoissonPCA(3, rotation="varimax").fit(np.outer(np.arange(1, 9), np.arange(1, 7)))
        with pytest.raises(SsbmapsError, match="no two measured pixels are neighbours"):
            PoissonPCA(1, rotation="maf").fit(values[:2], image_shape=(2, 2), pixels=[0, 3])


@parametrize_with_checks([PoissonPCA(), PoissonPCA(scaling=None), PoissonPCA(route="krylov"), PoissonPCA(rotation="promax")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


class TestPCA:
    """The function on xarray data."""

    def test_first_poisson_triplet_is_known(self):
        cube = counts_cube()
        result = pca(cube, 3)
        rows, columns = cube.sum("mz").values, cube.sum(("y", "x")).values
        assert float(result.explained_variance[0]) == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(result.scores[0], rows / np.sqrt(cube.values.sum()), rtol=1e-11)
        np.testing.assert_allclose(result.loadings[0], columns / np.sqrt(cube.values.sum()), rtol=1e-11, atol=1e-13)

    def test_largest_loading_is_positive_and_variance_descends(self):
        result = pca(counts_cube(), 5)
        largest = np.abs(result.loadings.values).argmax(axis=1)
        assert (result.loadings.values[np.arange(5), largest] > 0).all()
        assert (np.diff(result.explained_variance) < 0).all()
        assert float(result.explained_variance_ratio.sum()) < 1

    def test_containers_agree(self):
        cube = counts_cube()
        as_sparse = cube.copy(data=sparse.COO.from_numpy(cube.values))
        expected = pca(cube, 3)
        others = [as_sparse, cube.chunk({"y": 5, "x": 7, "mz": 11}), as_sparse.chunk({"y": 4}), cube.transpose("mz", "x", "y")]
        for other in others:
            xr.testing.assert_allclose(pca(other, 3), expected, rtol=1e-10, atol=1e-10)

    def test_planted_rank_is_seen(self):
        result = pca(cube_of(planted(counts=20_000)[2]), 6)
        assert int((result.explained_variance > result.noise_variance * 1.1).sum()) == 3
        assert result.explained_variance[2] > 20 * result.explained_variance[3]

    @pytest.mark.parametrize("rotation", ["varimax", "promax", "ica", "maf"])
    def test_rotations_keep_the_model_and_the_unmeasured(self, rotation):
        measured = np.ones((NY, NX), bool)
        measured[3:5, 4:9] = False
        cube = counts_cube().assign_coords(measured=(("y", "x"), measured))
        plain, turned = pca(cube, 3), pca(cube, 3, rotation=rotation)
        assert np.isnan(turned.scores.values[:, ~measured]).all()
        model, expected = ((r.scores * r.loadings).sum("component") for r in (turned, plain))
        xr.testing.assert_allclose(model, expected)
        assert f'"rotation": "{rotation}"' in turned.attrs["history"]
        assert float(turned.noise_variance) == float(plain.noise_variance)

    def test_maf_needs_an_image(self):
        points = counts_cube().stack(point=("y", "x")).reset_index("point", drop=True)
        with pytest.raises(SsbmapsError, match="rotation 'maf' needs maps along y and x"):
            pca(points, 3, rotation="maf")

    def test_negative_values_only_without_scaling(self):
        cube = counts_cube().astype(float) - 1
        assert pca(cube, 2, scaling=None).sizes["component"] == 2
        with pytest.raises(SsbmapsError, match=r"negative values \(lowest -1\)"):
            pca(cube, 2)
        with pytest.raises(SsbmapsError, match="scaling='auto'; expected 'poisson' or None"):
            pca(cube, 2, scaling="auto")

    def test_an_iteration_that_ends_early_warns(self, monkeypatch):
        monkeypatch.setattr(_svd, "MAX_PRODUCTS", 2)
        monkeypatch.setattr(_svd, "GRAM", 1e9)
        cube = xr.DataArray(_mixture(500, 640), {"mz": np.arange(640.0)}, ("point", "mz"), attrs={"units": "counts"})
        with pytest.warns(DataQualityWarning, match="decomposition.pca: PoissonPCA: not converged after 2 passes"):
            pca(cube, 8)
