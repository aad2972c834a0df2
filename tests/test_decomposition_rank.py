"""Evidence on the number of components: edges against simulated noise, thinning against planted truth, and the words."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from ssbmaps import SsbmapsError, synthetic
from ssbmaps._counts import anscombe, thinned
from ssbmaps.decomposition import rank
from ssbmaps.decomposition._match import agreement
from ssbmaps.decomposition._matrix import pixel_matrix
from ssbmaps.decomposition._rank_bins import binned, ladder, merged
from ssbmaps.decomposition._rank_edges import anscombe_edge, balanced, edge, poisson_edge, singular_values, worth_keeping
from ssbmaps.decomposition._rank_fits import held_out, stability
from ssbmaps.decomposition._rank_words import statement

METHODS = ("poisson-scaled", "anscombe", "held-out", "stability")


def _mixture(components, *, seed=0, shape=(20, 24), channels=30, counts=200.0):
    """Expected counts (y, x, K) of components with even shares of random pixels, and random spectra."""
    rng = np.random.default_rng(seed)
    spectra = rng.gamma(0.5, 1, (components, channels)) + 0.02
    share = rng.dirichlet(np.full(components, 0.5), shape)
    return counts * share @ (spectra / spectra.sum(axis=1, keepdims=True))


def _cube(components, **options):
    expected = _mixture(components, **options)
    values = np.random.default_rng(99).poisson(expected).astype("uint32")
    return xr.DataArray(values, {"mz": 20.0 + np.arange(values.shape[2])}, ("y", "x", "mz"), attrs={"units": "counts"})


class TestCounts:
    def test_parts_are_independent_poisson_counts_that_add_up(self):
        rng = np.random.default_rng(0)
        counts = csr_array(rng.poisson(3.0, (400, 50)))
        parts = thinned(counts, 3, rng)
        np.testing.assert_array_equal(sum(p.toarray() for p in parts), counts.toarray())
        flat = np.array([p.toarray().ravel() for p in parts])
        # 20,000 values: the mean is known to 0.007, the variance to 0.014, a correlation to 0.007
        np.testing.assert_allclose(flat.mean(axis=1), 1, atol=0.035)
        np.testing.assert_allclose(flat.var(axis=1), 1, atol=0.07)
        assert np.abs(np.corrcoef(flat) - np.eye(3)).max() < 0.035
        assert all(p.data.min() > 0 for p in parts)

    def test_anscombe_evens_the_variance(self):
        rng = np.random.default_rng(1)
        for mean in (4, 30, 500):
            assert anscombe(rng.poisson(mean, 100_000)).var() == pytest.approx(1, abs=0.03)  # standard error 0.005
        assert anscombe(0) == pytest.approx(np.sqrt(1.5))


class TestBins:
    def test_sums_over_blocks_with_parts_at_the_edge(self):
        cube = _cube(2, shape=(7, 9))
        values = cube.values.astype(float)
        padded = np.zeros((8, 12, 30))
        padded[:7, :9] = values
        expected = padded.reshape(2, 4, 3, 4, 30).sum(axis=(1, 3)).reshape(-1, 30)
        np.testing.assert_array_equal(binned(pixel_matrix(cube, subject="t"), 4).toarray(), expected)

    def test_unmeasured_pixels_scans_and_empty_rows(self):
        cube = _cube(2, shape=(6, 8)).astype(float)
        series = xr.concat([cube, 2 * cube], "scan")
        both = binned(pixel_matrix(series, subject="t"), 2).toarray()
        one = binned(pixel_matrix(cube, subject="t"), 2).toarray()
        np.testing.assert_array_equal(both, np.concatenate([one, 2 * one]))
        measured = np.ones((6, 8), bool)
        measured[:2, :2] = False
        cube[:2, :2] = np.nan
        part = binned(pixel_matrix(cube.assign_coords(measured=(("y", "x"), measured)), subject="t"), 2).toarray()
        np.testing.assert_array_equal(part, one[1:])

    def test_ladder(self):
        sizes = {(70, 64): [1, 2, 4, 8], (40, 90): [1, 2, 4], (8, 8): [1], (6, 7): [1]}
        for shape, expected in sizes.items():
            assert ladder(pixel_matrix(_cube(1, shape=shape, channels=4), subject="t")) == expected
        points = _cube(1).stack(point=("y", "x")).reset_index("point", drop=True)
        assert ladder(pixel_matrix(points, subject="t")) == [1]

    @given(st.integers(0, 500), st.floats(0.05, 3))
    def test_merging_keeps_counts_and_fills_channels(self, seed, least):
        values = csr_array(np.random.default_rng(seed).poisson(0.3, (15, 40)).astype(float))
        wide = merged(values, least)
        np.testing.assert_array_equal(wide.sum(axis=1), values.sum(axis=1))
        if wide.shape[1] > 1:
            assert np.asarray(wide.sum(axis=0)).min() >= least * 15


class TestEdges:
    @pytest.mark.parametrize("shape", [(400, 400), (900, 60), (2000, 9)])
    def test_noise_stays_below_the_edge(self, shape):
        rng = np.random.default_rng(0)
        top = [np.linalg.norm(rng.standard_normal(shape), 2) / edge(*shape) for _ in range(40)]
        # 1 % of noise matrices exceed it: 4 or more of 40 have a probability of 1e-3; it is no looser than 3 %
        assert sum(t > 1 for t in top) < 4
        assert np.mean(top) > 0.97

    def test_threshold_is_where_keeping_costs_as_much_as_leaving_out(self):
        assert worth_keeping(1, 1) == pytest.approx(4 / np.sqrt(3))  # both limits as published
        assert worth_keeping(10**8, 1) / 1e4 == pytest.approx(np.sqrt(2), rel=1e-6)
        for b in (0.01, 0.3, 0.8, 1.0):
            y = worth_keeping(round(1000 * b), 1000) / np.sqrt(1000)
            # the planted value x that comes out as y, and the cosines of its vectors with the planted ones (spiked model)
            x2 = (y**2 - b - 1 + np.sqrt((y**2 - b - 1) ** 2 - 4 * b)) / 2
            cosines = np.sqrt((x2**2 - b) / (x2**2 + b * x2) * (x2**2 - b) / (x2**2 + x2))
            kept = x2 + y**2 - 2 * np.sqrt(x2) * y * cosines
            assert kept == pytest.approx(x2, rel=1e-9)

    def test_scales_balance_rows_and_columns(self):
        values = csr_array(np.random.default_rng(0).poisson(_mixture(3).reshape(-1, 30)).astype(float))
        u, v = balanced(values)
        scaled = u[:, None] * values.toarray() * v
        # but for the thousandth that is mixed in
        np.testing.assert_allclose(scaled.sum(axis=0), 480, rtol=2e-3)
        np.testing.assert_allclose(scaled.sum(axis=1), 30, rtol=2e-3)
        assert np.isfinite(balanced(csr_array(np.eye(5)))).all()  # cannot be balanced otherwise

    @pytest.mark.parametrize("planted", [1, 2, 4])
    def test_planted_rank_at_few_and_at_many_counts_per_channel(self, planted):
        for counts, channels in ((150.0, 12), (150.0, 1500)):
            expected = _mixture(planted, channels=channels, counts=counts, shape=(40, 40)).reshape(1600, -1)
            values = np.random.default_rng(5).poisson(expected).astype(float)
            values = csr_array(values[:, values.sum(axis=0) > 0])
            found = poisson_edge(values, 8)
            assert (found.count, found.detected, found.valid) == (planted, planted, True)

    def test_validity(self):
        rng = np.random.default_rng(0)
        assert not poisson_edge(
            csr_array(rng.poisson(0.1, (5000, 6)) + np.eye(6)[rng.integers(6, size=5000)]), 3
        ).valid  # 1.6 counts in a row
        assert anscombe_edge(csr_array(rng.poisson(4.0, (500, 20))), 3).valid
        assert not anscombe_edge(csr_array(rng.poisson(0.2, (500, 20))), 3).valid

    def test_anscombe_edge_is_that_of_the_dense_transform(self):
        values = np.random.default_rng(2).poisson(5.0, (5000, 12))
        expected = np.linalg.svd(2 * np.sqrt(values + 0.375), compute_uv=False)[:4] / edge(5000, 12)
        np.testing.assert_allclose(anscombe_edge(csr_array(values), 4).ratio, expected, rtol=1e-10)

    def test_large_matrices_take_the_iterative_road(self):
        values = np.random.default_rng(2).poisson(0.5, (430, 450)).astype(float)
        np.testing.assert_allclose(singular_values(csr_array(values), 5), np.linalg.svd(values, compute_uv=False)[:5], rtol=1e-6)


class TestFits:
    def _truth_up_to(self, w, h):
        """A fit that knows the truth: with k components the k brightest ones, the rest given to the first."""

        def fit(values, k, seed, initial):  # noqa: ARG001
            scale = values.sum() / (w @ h).sum()
            first = w[:, :k].copy()
            first[:, 0] += w[:, k:].sum(axis=1)
            return scale * np.hstack([first, np.zeros((len(w), max(0, k - w.shape[1])))]), np.vstack(
                [h[:k], np.full((max(0, k - len(h)), h.shape[1]), 1 / h.shape[1])]
            )

        return fit

    def test_held_out_counts_ask_for_the_truth_and_no_more(self):
        rng = np.random.default_rng(0)
        w, h = rng.gamma(0.5, 40, (300, 3)), rng.dirichlet(np.full(25, 0.3), 3)
        values = csr_array(rng.poisson(w @ h).astype(float))
        found = held_out(values, 5, 9, self._truth_up_to(w, h), 4, rng)
        assert (found.count, found.tried) == (3, 5)
        assert (found.excess[:5] >= 0).all()
        # a component without counts costs the half count that every pixel is predicted to hold of it
        assert (np.diff(found.excess[2:5]) > 0).all()
        assert np.isnan(found.deviance[5:]).all()
        assert held_out(values, 1, 9, self._truth_up_to(w, h), 4, rng).tried >= 5  # goes on until two more brought nothing
        # of the truth: about one per cell with counts in the part that is held out
        assert 0.2 < found.deviance[2] / values.size < 1.5

    def test_one_standard_error_rule(self):
        rng = np.random.default_rng(0)
        values = csr_array(rng.poisson(2.0, (30, 10)).astype(float))
        noise = iter(np.repeat([1.0, 1.01], 6))

        def fit(counts, k, seed, initial):  # noqa: ARG001
            # the mean spectrum for every k, a little worse in some splits for the smaller ones
            factor = next(noise) if k == 1 else 1.0
            return np.asarray(counts.sum(axis=1))[:, None] @ np.full((1, k), factor / k), np.tile(
                counts.sum(axis=0) / counts.sum(), (k, 1)
            )

        found = held_out(values, 3, 3, fit, 4, rng)
        assert found.count == int(np.flatnonzero(found.excess <= found.excess_sd)[0]) + 1

    def test_deviance_by_hand_with_a_count_where_the_fit_says_zero(self):
        rng = np.random.default_rng(3)
        values = csr_array(rng.poisson(1.5, (12, 7)).astype(float))

        def fit(counts, k, seed, initial):  # noqa: ARG001
            h = np.zeros((k, 7))
            h[:, 0] = 1.0  # nothing anywhere else
            return np.full((12, k), 2.0 / k), h

        found = held_out(values, 1, 1, fit, 2, np.random.default_rng(7))
        brute = []
        for part in thinned(values, 2, np.random.default_rng(7)):
            y = part.toarray()
            floor = np.outer(values.sum(axis=1), values.sum(axis=0)) / values.sum() / 2
            model = 1e-3 * floor + 0.999 * np.where(np.arange(7) == 0, 2.0 + 0.5, 0.0)
            brute.append(2 * np.sum(np.where(y > 0, y * np.log(np.maximum(y, 1) / model), 0) - y + model))
        assert found.deviance[0] == pytest.approx(np.mean(brute), rel=1e-12)

    def test_least_agreement_matches_one_to_one(self):
        a = np.eye(4)
        assert agreement(a, a[[2, 0, 3, 1]]) == pytest.approx(1)
        assert agreement(a, a[[0, 0, 1, 2]]) == pytest.approx(0)  # the double cannot stand for two
        mixed = np.array([[1.0, 1.0, 0, 0], *a[1:]])
        assert agreement(a, mixed) == pytest.approx(np.sqrt(0.5))

    def test_stability_counts_what_comes_back(self):
        spectra = np.eye(6)

        def fit(values, k, seed, initial):  # noqa: ARG001
            found = spectra[:k].copy()
            if k == 4:  # the last one is new with every seed; five come back again
                found[-1] = np.random.default_rng(seed).random(6)
            return np.zeros((values.shape[0], k)), found

        found = stability(csr_array(np.ones((9, 6))), [spectra[:k] for k in range(1, 6)], 7, fit, 3, np.random.default_rng(0))
        assert found.back.tolist() == [True, True, True, False, True, False, False]
        assert found.count == 5
        assert found.seeds.shape == found.bootstrap.shape == (7, 3)
        assert np.isnan(found.seeds[5:]).all()
        assert (found.bootstrap[:3] == 1).all()


class TestWords:
    def test_agreement_disagreement_and_no_answer(self):
        valid, back = np.ones((4, 2), bool), np.array([[1, 1, 0, 1, 1, 0], [1, 1, 1, 1, 0, 0]], bool)
        same = statement(np.full((4, 2), 4), valid, back, METHODS, [2, 4], 9, 4)
        assert same == (
            "All valid evidence says 4 components. Poisson-scaled singular values worth keeping: 4 at 2 × 2 and 4 × 4 px; "
            "the same after Anscombe's transform: 4 at 2 × 2 and 4 × 4 px; prediction of held-out counts: 4 at 2 × 2 and "
            "4 × 4 px; spectra come back with 1 to 2 and 4 to 5 at 2 × 2 px, 1 to 4 at 4 × 4 px."
        )
        faint = statement(np.full((4, 2), 4), valid, back, METHODS, [2, 4], 9, 5)
        assert "1 more stands above noise, too faint for a map of its own." in faint
        shaky = statement(np.full((4, 2), 3), valid, back, METHODS, [2, 4], 9, 5)
        assert "2 more stand above noise, too faint for a map of their own. At 2 × 2 px their spectra do not come back" in shaky
        differ = np.array([[4, 4], [4, 6], [4, 9], [6, 9]])
        valid[2, 1] = False
        text = statement(differ, valid, back, METHODS, [1, 8], 9, 6)
        assert text.startswith("The evidence does not single out one number: 4 to 6 components.")
        assert "Anscombe's transform: 4 at 1 × 1 px, 6 at 8 × 8 px" in text
        assert "held-out counts: 4 at 1 × 1 px, no answer at 8 × 8 px" in text
        assert text.endswith("Numbers above 8 were not told apart; raise max_components.")
        none = statement(differ, np.zeros((4, 2), bool), back, METHODS, [1, 8], 9, 0)
        assert none.startswith("Undetermined: no method can answer with up to 9 components.")


@cache
def _section():
    """A small default section: 48 × 40 pixels of 0.4 um after binning."""
    counts = synthetic.cross_section(seed=41, shape=(192, 160), n_scans=4).counts.sum("scan")
    return counts.assign_attrs(units="counts")


@cache
def _found():
    return rank(_section(), max_components=7, binnings=[4], n_splits=3, n_repeats=2)


class TestRank:
    def test_default_section_has_four(self):
        # planted: NMC, electrolyte, carbon and the interphase. Voids emit a twentieth of the electrolyte's spectrum, and the
        # inner shell (SOx, 80 nm) is never without the outer one at 400 nm.
        found = _found()
        for method in ("poisson-scaled", "anscombe", "held-out"):
            assert found.suggested.sel(evidence=method).values.tolist() == [4], method
            assert found.valid.sel(evidence=method).values.tolist() == [1], method
        assert int(found.fewest) <= 4 <= int(found.most)
        assert str(found.fewest.values) in str(found.statement.values)

    def test_curves_agree_with_the_suggestions(self):
        found = _found().isel(binning=0)
        for i, scaling in enumerate(found.scaling.values):
            values = found.singular_value.sel(scaling=scaling).values
            assert int((values > float(found.threshold[i])).sum()) == int(found.suggested[i])
            assert int((values > 1).sum()) == int(found.detected[i])
            assert (np.diff(values) <= 0).all()
        assert float(found.deviance_excess.min()) == 0
        assert int(found.n_pixels) == 48 * 40
        assert float(found.counts_per_pixel) == pytest.approx(float(_section().sum()) / 1920)
        assert found.cosine_seeds.dims == ("component", "repeat")
        np.testing.assert_allclose(found.cosine_bootstrap[0], 1, atol=0.01)  # one component: the mean spectrum

    def test_spectral_cube_is_merged_for_anscombe_alone(self):
        found = rank(_cube(3, channels=120, counts=60.0), max_components=4, binnings=[1, 2], n_splits=2, n_repeats=1)
        assert found.suggested.sel(evidence=["poisson-scaled", "anscombe"]).values.tolist() == [[3, 3], [3, 3]]
        assert found.valid.sel(evidence="anscombe").values.tolist() == [1, 1]

    def test_containers_and_seeds(self):
        cube = _cube(2, shape=(10, 12), channels=8)
        options = {"max_components": 3, "n_splits": 2, "n_repeats": 1, "rng": 3}
        expected = rank(cube, **options)
        as_sparse = cube.copy(data=sparse.COO.from_numpy(cube.values))
        for other in (as_sparse, cube.chunk({"y": 5}), as_sparse.chunk({"y": 4}), cube.transpose("mz", "x", "y")):
            xr.testing.assert_identical(rank(other, **options).drop_attrs(), expected.drop_attrs())
        assert '"rng": 3' in expected.attrs["history"]
        assert expected.binning.values.tolist() == [1]

    def test_the_end_of_the_range_is_no_answer(self):
        found = rank(_cube(4), max_components=2, binnings=[1], n_splits=2, n_repeats=1)
        assert found.valid.sel(evidence="poisson-scaled").values.tolist() == [0]
        assert "raise max_components" in str(found.statement.values)

    def test_refusals(self):
        cube = _cube(2, shape=(10, 12), channels=8)
        with pytest.raises(SsbmapsError, match=r"(?s)3 faults.*max_components=0.*n_splits=1.*n_repeats=True"):
            rank(cube, max_components=0, n_splits=1, n_repeats=True)
        with pytest.raises(SsbmapsError, match="the values are no whole numbers"):
            rank(cube * 0.5)
        with pytest.raises(SsbmapsError, match=r"binnings=\[0, 20\]; expected a list of whole numbers from 1 to 10"):
            rank(cube, binnings=[0, 20])
        with pytest.raises(SsbmapsError, match=r"binnings=\[2, 2\] name one binning twice"):
            rank(cube, binnings=[2, 2])
        with pytest.raises(SsbmapsError, match="negative values"):
            rank(cube.astype(int) - 1)
