"""Registration: planted placements found with an honest error, wrong maps refused, distortion told and taken up."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ssbmaps import DataQualityWarning, RegistrationError, SsbmapsError, maps, synthetic
from ssbmaps.maps import Transform, register

PIXEL = 0.1
PAIRS = [("S-", "S LVV"), ("NiO2-", "Ni LMM")]


@pytest.fixture(scope="module")
def scene():
    """A section, its counts, a SAM view turned by 5° and scaled by 1.02, and the matrix from the view to the section."""
    section = synthetic.cross_section(seed=21, shape=(152, 168), n_scans=5)
    view = synthetic.sam_maps(
        section, seed=3, lines=("S LVV", "Ni LMM"), rotation=5.0, scale=1.02, shift=(0.3, -0.4), shape=(144, 136)
    )
    return section.counts.sum("scan"), view.peak, view.attrs["transform"].reshape(3, 3)


@pytest.fixture(scope="module")
def found(scene):
    """The affine map by two pairs, without a guess."""
    return register(scene[0], scene[1], pairs=PAIRS)


def errors(found: Transform, truth: np.ndarray, moving: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (um) from the truth and its predicted rms on a grid over the moving map."""
    ends = [moving.sizes[d] * float(moving[d][1] - moving[d][0]) for d in "yx"]
    y, x = (a.ravel() for a in np.meshgrid(*(np.linspace(0.05, 0.95, 9) * e for e in ends), indexing="ij"))
    true = np.stack([y, x, np.ones_like(y)], -1) @ truth.T
    got = np.stack(found.apply(y, x), -1)
    told = found.position_error(y, x)
    return np.hypot(*(got - true[:, :2]).T), np.sqrt(told.y_sd.values**2 + told.x_sd.values**2)


def quiet(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return register(*args, **options)


class TestPlanted:
    def test_two_pairs_without_a_guess(self, scene, found):
        _, view, truth = scene
        off, told = errors(found, truth, view)
        assert off.mean() < 0.15 * PIXEL  # the limit for three pairs; 0.02 to 0.04 px is usual
        assert off.max() < 0.6 * PIXEL
        assert 0.3 < off.mean() / told.mean() < 2  # the error is known to a factor
        assert found.attrs["model"] == "affine"
        assert found.attrs["support"] > 0.95
        assert found.attrs["chance"] < 1e-4
        assert found.attrs["pairs"] == "S- ~ S LVV; NiO2- ~ Ni LMM"
        assert "maps.register" in found.attrs["history"]

    def test_one_pair_of_inverse_contrast(self, scene):
        counts, view, truth = scene
        off, _ = errors(register(counts, view, pairs=[("NiO2-", "S LVV")]), truth, view)
        assert off.mean() < 0.3 * PIXEL

    def test_half_of_the_view_is_enough(self, scene):
        counts, view, truth = scene
        half = register(counts.isel(x=slice(0, 88)), view, pairs=PAIRS)
        assert 0.4 < half.attrs["overlap"] < 0.75
        y, x = half.apply(5.0, 2.0)
        true = truth @ (5.0, 2.0, 1.0)
        assert np.hypot(y - true[0], x - true[1]) < 0.3 * PIXEL

    def test_the_other_way_round_gives_the_inverse(self, scene, found):
        counts, view, _ = scene
        back = register(view, counts, pairs=[(b, a) for a, b in PAIRS])
        y, x = found.compose(back).apply(np.array([3.0, 9.0]), np.array([4.0, 10.0]))
        assert np.hypot(y - [3.0, 9.0], x - [4.0, 10.0]).max() < 0.1 * PIXEL

    def test_a_coarse_map_on_a_fine_one(self):
        section = synthetic.cross_section(seed=22, shape=(256, 256), n_scans=5)
        raman = synthetic.raman_map(
            section, shape=(36, 34), rotation=4.0, scale=0.98, shift=(1.0, 0.5), raman_shift=(300.0, 700.0, 4.0), spikes=0.0
        )
        bands = maps.integrate(raman.spectra, {"PS4": (400, 440), "A1g": (560, 620)}, background="linear")
        found = quiet(section.counts.sum("scan"), bands, pairs=[("S-", "PS4"), ("NiO2-", "A1g")])
        off, _ = errors(found, raman.attrs["transform"].reshape(3, 3), bands)
        assert off.mean() < 0.5 * 0.6  # half of the Raman pixel

    def test_a_rigid_map_has_three_numbers(self, scene):
        counts, view, truth = scene
        view = view.assign_coords({d: view[d] * 1.02 for d in "yx"})  # of the scale that a rigid map cannot have
        rigid = register(counts, view, pairs=PAIRS, model="rigid")
        off, _ = errors(rigid, truth @ np.diag([1 / 1.02, 1 / 1.02, 1]), view)
        assert off.mean() < 0.15 * PIXEL
        assert np.linalg.svd(rigid.matrix[:2, :2], compute_uv=False) == pytest.approx([1, 1], abs=1e-9)
        assert np.linalg.matrix_rank(rigid.covariance, tol=1e-12 * np.abs(rigid.covariance).max()) == 3

    def test_a_translation_has_two(self):
        section = synthetic.cross_section(seed=21, shape=(152, 168), n_scans=5)
        straight = {"lines": ("S LVV", "Ni LMM"), "rotation": 0.0, "scale": 1.0, "shift": (0.33, -0.41), "shape": (144, 136)}
        view = synthetic.sam_maps(section, seed=3, **straight)
        shift = register(section.counts.sum("scan"), view.peak, pairs=PAIRS, model="translation")
        off, _ = errors(shift, view.attrs["transform"].reshape(3, 3), view.peak)
        assert off.mean() < 0.15 * PIXEL
        assert np.array_equal(shift.matrix[:2, :2], np.eye(2))

    @pytest.mark.parametrize("seed", range(3))
    def test_two_halves_of_few_counts_lie_on_one_another(self, scene, seed):
        """Like rasters: linear interpolation draws such maps half a pixel apart, with an error of a tenth of that."""
        counts, rng = scene[0].sel(fragment="S-").astype(np.int64), np.random.default_rng(seed)
        first = rng.binomial(counts.values, 0.04)  # 0.7 counts in a pixel of electrolyte
        second = rng.binomial(counts.values - first, 0.04 / 0.96)
        halves = [counts.copy(data=values) for values in (first, second)]
        shift = quiet(*halves, model="translation", initial=np.eye(3))
        for value, row in zip(shift.matrix[:2, 2], (2, 5), strict=True):
            assert abs(value) < 4 * np.sqrt(shift.covariance[row, row])
            assert abs(value) < 0.3 * PIXEL

    def test_auto_takes_the_simplest_that_does(self, scene):
        counts, view, truth = scene
        simplest = register(counts, view, pairs=PAIRS, model="auto")
        assert simplest.attrs["model"] == "similarity"
        off, _ = errors(simplest, truth, view)
        assert off.mean() < 0.1 * PIXEL

    def test_a_guess_replaces_the_search(self, scene):
        counts, view, truth = scene
        guess = truth.copy()
        guess[:2, 2] += (0.4, -0.3)
        off, _ = errors(register(counts, view, pairs=PAIRS, initial=Transform(guess, np.zeros((6, 6)))), truth, view)
        assert off.mean() < 0.15 * PIXEL

    def test_a_held_out_pair_is_where_it_should_be(self, scene):
        counts, view, _ = scene
        found = register(counts, view, pairs=[PAIRS[0]], hold_out=[PAIRS[1]])
        for axis in "yx":
            value, sd = found.attrs[f"held_out_{axis}"][0], found.attrs[f"held_out_{axis}_sd"][0]
            assert abs(value) < 4 * sd
            assert sd < 0.2 * PIXEL
        assert found.attrs["held_out_chance"][0] > 1e-3

    def test_a_held_out_channel_that_lies_elsewhere_is_found(self, scene):
        """The channel is moved by whole pixels in the view: 3 px of 0.08 um, known to a small part of that."""
        counts, view, truth = scene
        moved = view.copy()
        moved.loc[{"line": "Ni LMM"}] = np.roll(view.sel(line="Ni LMM").values, 3, axis=1)
        with pytest.warns(DataQualityWarning, match="a held-out pair lies"):
            found = register(counts, moved, pairs=[PAIRS[0]], hold_out=[PAIRS[1]])
        direction = truth[:2, 1] / np.hypot(*truth[:2, 1])
        along = -(found.attrs["held_out_y"][0] * direction[0] + found.attrs["held_out_x"][0] * direction[1])
        assert along == pytest.approx(3 * 0.08 * 1.02, abs=0.06)  # one Newton step of a shift of 2.4 px

    def test_containers_and_order_give_the_same(self, scene, found):
        counts, view, _ = scene
        before = counts.copy(deep=True)
        other = register(
            counts.transpose("x", "fragment", "y").chunk(x=50), view.copy(data=sparse.COO.from_numpy(view.values)), pairs=PAIRS
        )
        np.testing.assert_allclose(other.matrix, found.matrix, rtol=0, atol=1e-12)
        xr.testing.assert_identical(counts, before)

    def test_unmeasured_pixels_take_no_part(self, scene):
        counts, view, truth = scene
        mask = np.ones((counts.sizes["y"], counts.sizes["x"]), bool)
        mask[50:80, 40:90] = False
        spoiled = counts.where(xr.DataArray(mask, dims=("y", "x")), 9999).assign_coords(measured=(("y", "x"), mask))
        off, _ = errors(register(spoiled.astype(counts.dtype), view, pairs=PAIRS), truth, view)
        assert off.mean() < 0.15 * PIXEL


class TestRefused:
    def test_maps_of_other_places(self, scene):
        counts, _, _ = scene
        other = synthetic.cross_section(seed=99, shape=(152, 168), n_scans=1)
        view = synthetic.sam_maps(other, lines=("S LVV", "Ni LMM"))
        with pytest.raises(RegistrationError, match=r"maps\.register: the best place found does not stand out|scales by"):
            register(counts, view.peak, pairs=PAIRS)

    def test_noise(self, scene):
        counts, view, _ = scene
        noise = view.copy(data=np.random.default_rng(0).poisson(50, view.shape))
        with pytest.raises(RegistrationError, match=r"does not stand out|at no place"):
            register(counts, noise, pairs=PAIRS)

    def test_a_constant_map(self, scene):
        counts, view, _ = scene
        with pytest.raises(RegistrationError, match="moving: S LVV is 7 everywhere; a constant map cannot be placed"):
            register(counts, xr.full_like(view, 7), pairs=[PAIRS[0]])

    @pytest.mark.parametrize(("axis", "turned"), [("x", "..., ::-1"), ("y", "..., ::-1, :")])
    def test_a_mirrored_map_is_called_so(self, scene, axis, turned):
        counts, view, _ = scene
        other = view.isel({axis: slice(None, None, -1)}).assign_coords({axis: view[axis]})
        with pytest.raises(RegistrationError, match=f"mirrored along {axis} the moving map fits") as told:
            quiet(counts, other, pairs=PAIRS)
        assert f"maps.data[{turned}]" in str(told.value)

    def test_a_pixel_size_ten_times_too_large(self, scene):
        counts, view, _ = scene
        with pytest.raises(RegistrationError, match=r"does not stand out|scales by|no placement|at no place"):
            register(counts, view.assign_coords({d: view[d] * 10 for d in "yx"}), pairs=PAIRS)

    @pytest.mark.parametrize(
        ("change", "letter"),
        [
            ({"pairs": [("S-", "Fe LMM")]}, "line Fe LMM not in the maps"),
            ({"pairs": ["S-"]}, "pairs holds 'S-'; expected"),
            ({"pairs": None}, r"no channel has the same name in both maps: .* pairs=\[\('"),
            ({"model": "spline"}, "model is 'spline'; expected one of translation"),
            ({"rotation": 200}, "rotation is 200; expected degrees from 0 to 180"),
            ({"scale": 0.5, "overlap": 0}, "2 faults"),
            ({"initial": np.zeros((2, 3))}, "initial is no map"),
            ({"initial": np.diag([1.0, -1.0, 1.0])}, "initial is no map"),
            ({"landmarks": [[0, 0, 0, 0]]}, "landmarks has shape"),
            ({"pairs": []}, "there are no pairs, so landmarks= must be given"),
        ],
    )
    def test_what_cannot_be_meant(self, scene, change, letter):
        counts, view, _ = scene
        with pytest.raises(SsbmapsError, match=letter):
            register(counts, view, **({"pairs": PAIRS} | change))

    def test_series_are_summed_first(self, scene):
        counts, view, _ = scene
        with pytest.raises(SsbmapsError, match=r"reference: has the dimension scan; .* Sum them first: \.sum\('scan'\)"):
            register(counts.expand_dims(scan=2), view, pairs=PAIRS)


class TestLandmarks:
    truth = np.array([[1.01, -0.1, 2.0], [0.1, 1.01, -1.0]])

    def points(self, n, sd, seed=0):
        rng = np.random.default_rng(seed)
        moving = rng.uniform(0, 20, (n, 2))
        return np.column_stack([moving, np.column_stack([moving, np.ones(n)]) @ self.truth.T + rng.normal(0, sd, (n, 2))])

    @pytest.mark.parametrize("model", ["affine", "similarity"])
    def test_exact_points_give_the_map(self, scene, model):
        counts, view, _ = scene
        found = register(counts, view, pairs=[], landmarks=self.points(6, 0.0), model=model)
        np.testing.assert_allclose(found.matrix[:2], self.truth, atol=1e-10)

    @pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine"])
    def test_errors_cover(self, scene, model):
        """95 % regions over 200 draws: 0.95 within five standard errors, for small samples a little more by the t-quantile."""
        counts, view, _ = scene
        if model in ("rigid", "translation"):
            angle = 0.1 if model == "rigid" else 0.0
            truth = np.array([[np.cos(angle), -np.sin(angle), 2.0], [np.sin(angle), np.cos(angle), -1.0]])
        else:
            truth = self.truth
        self_points, inside = type(self)(), []
        self_points.truth = truth
        for seed in range(200):
            found = register(counts, view, pairs=[], landmarks=self_points.points(40, 0.1, seed), model=model)
            y, x = found.apply(8.0, 12.0)
            true = truth @ (8.0, 12.0, 1.0)
            inside.append(np.hypot(y - true[0], x - true[1]) < float(found.position_error(8.0, 12.0).radius_95))
        assert 0.87 < np.mean(inside) <= 1

    def test_points_on_a_line_fix_no_affine_map(self, scene):
        counts, view, _ = scene
        points = self.points(6, 0.0)
        points[:, 1] = 2 * points[:, 0]
        with pytest.raises(RegistrationError, match="the landmarks lie on one line or point"):
            register(counts, view, pairs=[], landmarks=points)

    def test_they_start_a_registration_and_are_compared(self, scene):
        counts, view, truth = scene
        rng = np.random.default_rng(4)
        moving = rng.uniform(1, 13, (5, 2))
        points = np.column_stack([moving, np.column_stack([moving, np.ones(5)]) @ truth[:2].T + rng.normal(0, 0.1, (5, 2))])
        found = register(counts, view, pairs=PAIRS, landmarks=points)
        off, _ = errors(found, truth, view)
        assert off.mean() < 0.15 * PIXEL
        assert 0.05 < found.attrs["landmark_misfit"] < 0.3  # 0.14 um is planted


class TestDistortion:
    @pytest.fixture(scope="class")
    @classmethod
    def bent(cls):
        """A view whose rows and columns wander by up to 2 px along a wave of 26 um; and where its points really lie."""
        from scipy import ndimage

        section = synthetic.cross_section(seed=23, shape=(256, 256), n_scans=8)
        view = synthetic.sam_maps(section, lines=("P LVV", "S LVV", "Ni LMM"), rotation=3.0, shape=(272, 264))
        y, x = np.meshgrid(view.y, view.x, indexing="ij")
        wave = 2 * np.pi / 26
        u = np.stack([0.2 * np.sin(wave * x), 0.2 * np.sin(wave * y + 1)])
        at = [(a + b) / 0.08 - 0.5 for a, b in zip((y, x), u, strict=True)]
        images = [ndimage.map_coordinates(m, at, order=1, mode="nearest") for m in view.expected_peak.values]
        moved = view.peak.copy(data=np.random.default_rng(0).poisson(np.stack(images)))
        matrix = view.attrs["transform"].reshape(3, 3)
        true = np.einsum("ij,jyx->iyx", matrix[:2, :2], np.stack([y, x]) + u) + matrix[:2, 2, None, None]
        return section.counts.sum("scan"), moved, true

    def off(self, found, moved, true):
        y, x = np.meshgrid(moved.y, moved.x, indexing="ij")
        got = found.apply(y[8:-8:16, 8:-8:16], x[8:-8:16, 8:-8:16])
        return np.hypot(*(g - t for g, t in zip(got, true[:, 8:-8:16, 8:-8:16], strict=True))) / PIXEL

    def test_an_affine_map_says_that_it_does_not_fit(self, bent):
        counts, moved, true = bent
        pairs = [*PAIRS, ("PO3-", "P LVV")]
        with pytest.warns(DataQualityWarning, match="a map of kind 'affine' does not fit: blocks lie"):
            affine = register(counts, moved, pairs=pairs)
        assert affine.attrs["misfit_chance"] < 0.01
        assert self.off(affine, moved, true).mean() > 0.7

    def test_a_deformable_one_does(self, bent):
        counts, moved, true = bent
        found = quiet(counts, moved, pairs=[*PAIRS, ("PO3-", "P LVV")], model="deformable")
        off = self.off(found, moved, true)
        assert np.nanmean(off) < 0.2
        assert np.isfinite(off).mean() > 0.7
        assert found.displacement is not None
        y, x = np.meshgrid(moved.y[8:-8:16], moved.x[8:-8:16], indexing="ij")
        told = found.position_error(y.ravel(), x.ravel())
        both = np.sqrt(np.nanmean(told.y_sd.values**2 + told.x_sd.values**2)) / PIXEL
        assert 0.6 < both / np.sqrt(np.nanmean(off**2)) < 1.7
        assert float(found.displacement.dy_sd.max()) > 1.5 * float(found.displacement.dy_sd.min())  # it knows where it knows less

    def test_blocks_follow_a_wave_by_the_share_that_they_are_said_to(self, scene):
        """And that is less than all of it, because the histograms are made of the displaced pixels, too."""
        from dataclasses import replace

        from ssbmaps.maps._map_images import criterion
        from ssbmaps.maps._map_misfit import residuals, response
        from ssbmaps.maps._register_input import stack

        counts, view, truth = scene
        at = criterion(stack(counts, [("S-",), ("NiO2-",)], "r"), stack(view, [("S LVV",), ("Ni LMM",)], "m"), PIXEL)
        g = (np.linalg.inv(truth) @ np.linalg.inv(at.fixed.normal))[:2]
        share = response(at, g)
        assert 0.3 < share < 0.95

        def wave(places):
            return 0.02 * np.sin(2 * np.pi * places[..., ::-1] / 9.0 + 0.4)

        ends = []
        for sign in (1, -1):
            rows, columns = np.indices(at.fixed.shape)
            places = np.stack([rows, columns, np.ones_like(rows)], -1) @ at.fixed.to_um[:2].T
            seen = residuals(replace(at, bend=sign * wave(places)), g)
            weight, asked = np.linalg.inv(seen.covariances), sign * wave(seen.places)
            ends.append([np.einsum("bi,bij,bj->", v, weight, asked) for v in (-seen.shifts, asked)])
        followed, whole = np.sum(ends, axis=0)
        assert followed / whole == pytest.approx(share, abs=0.2)

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_a_field_knows_where_no_block_said_anything(self, seed):
        """Bridging 12 um of a wave of 26 um is a guess: the error there is larger than if all were known to be smooth."""
        from ssbmaps.maps._map_bend import doubted, smooth
        from ssbmaps.maps._map_misfit import Residuals

        rng, sd = np.random.default_rng(seed), 0.02
        places = np.stack(np.meshgrid(np.arange(1.5, 30, 3), np.arange(1.5, 30, 3), indexing="ij"), -1).reshape(-1, 2)
        inside = np.hypot(*(places - 15).T) < 6
        true = 0.2 * np.sin(2 * np.pi / 26 * places[:, ::-1] + rng.uniform(0, 6, 2))
        seen = (true + rng.normal(0, sd, true.shape))[~inside]
        known = Residuals(places[~inside], seen, np.tile(sd**2 * np.eye(2), (len(seen), 1, 1)))
        field, sure = (of(known, 30.0, 1e-4 * np.eye(6)) for of in (doubted, smooth))
        told, bold = (np.sqrt(np.trace(f.covariance(places), axis1=1, axis2=2)) for f in (field, sure))
        off = np.hypot(*(field.mean(places) - true).T)
        assert told[inside].mean() > 1.4 * told[~inside].mean()
        assert told[inside].mean() > 1.2 * bold[inside].mean()
        for part in (inside, ~inside):  # the places in the hole are about two that are independent
            assert 0.3 < np.sqrt((told[part] ** 2).mean() / (off[part] ** 2).mean()) < 6

    def test_without_distortion_little_is_found(self, scene):
        """Two parameters of a field that is not there cost some noise: within the limit of one pair."""
        counts, view, truth = scene
        off, _ = errors(quiet(counts, view, pairs=PAIRS, model="deformable"), truth, view)
        assert np.nanmean(off) < 0.3 * PIXEL


class TestSmoothing:
    @pytest.mark.parametrize("side", [2, 3, 6])
    def test_by_a_pixel_moves_nothing(self, side):
        """An even box alone lies half a pixel off, which put coarse maps 50 nm from where they are."""
        from ssbmaps.maps._map_smooth import Kernel

        spot = np.zeros((41, 43))
        spot[20, 21] = 1.0
        seen = Kernel((1.0, 1.0), (side, side))(spot)
        assert [(seen * i).sum() for i in np.indices(seen.shape)] == pytest.approx([20.0, 21.0], abs=1e-9)

    @settings(max_examples=25, deadline=None)
    @given(st.integers(0, 10**6), st.floats(0.3, 4.0), st.sampled_from([1, 2, 5]), st.booleans())
    def test_keeps_a_plane_up_to_the_edge(self, seed, width, side, holes):
        """A mean of the neighbours that there are would lean inwards, and shrink what is registered."""
        from ssbmaps.maps._map_smooth import Kernel, planes

        rng = np.random.default_rng(seed)
        ok = np.ones((37, 52), bool)
        if holes:
            ok[rng.random(ok.shape) < 0.1] = False
            ok[5:20, 30:] = False
        rows, columns = np.indices(ok.shape)
        plane = 3 + rng.uniform(-2, 2) * rows + rng.uniform(-2, 2) * columns
        smooth = planes(Kernel((width, 1.5 * width), (side, side)), ok)
        known = smooth.share > 0
        assert known[ok].mean() > 0.95
        assert smooth(np.where(ok, plane, 0.0))[known] == pytest.approx(plane[known], abs=1e-3)

    def test_inside_is_the_plain_mean(self):
        from ssbmaps.maps._map_smooth import Kernel, planes

        kernel, image = Kernel((2.0, 1.0), (1, 4)), np.random.default_rng(0).poisson(5.0, (60, 50)).astype(float)
        smooth = planes(kernel, np.ones(image.shape, bool))(image)
        assert smooth[12:-12, 12:-12] == pytest.approx(kernel(image)[12:-12, 12:-12], abs=1e-9)


def test_the_error_is_that_of_leaving_out_block_after_block(scene):
    """A second road: the map fitted anew without each block, in place of one Newton step, and no widening."""
    from ssbmaps.maps import _map_error
    from ssbmaps.maps._map_fit import corners, model_at, settle
    from ssbmaps.maps._map_images import criterion
    from ssbmaps.maps._register_input import stack

    counts, view, truth = scene
    at = criterion(stack(counts, [("S-",), ("NiO2-",)], "r"), stack(view, [("S LVV",), ("Ni LMM",)], "m"), PIXEL)
    model, block = model_at("affine", at), _map_error.blocks(at)
    best = settle(at, model, np.linalg.inv(truth)[:2])
    start = model.map(best)[0] @ at.fixed.normal
    without = np.array([settle(at.on(block != b), model, start) for b in range(64) if (block == b).any()])
    moved = without - without.mean(axis=0)
    outer = np.kron(np.eye(2), at.fixed.normal.T)
    jacobian = corners(at) @ outer

    def size(covariance):
        return np.sqrt(np.einsum("nij,jk,nik->", jacobian, covariance, jacobian) / len(jacobian))

    stated = size(_map_error.covariance(at, model, best) / _map_error._widened(moved, np.eye(6)))
    assert stated == pytest.approx(size(moved.T @ moved), rel=0.25)


def test_where_nothing_overlaps_no_map_comes_to_rest(scene):
    from ssbmaps.maps._map_fit import model_at, settle
    from ssbmaps.maps._map_images import criterion
    from ssbmaps.maps._register_input import stack

    counts, view, _ = scene
    at = criterion(stack(counts, [("S-",)], "r"), stack(view, [("S LVV",)], "m"), PIXEL)
    assert settle(at, model_at("affine", at), np.array([[1.0, 0, 1e4], [0, 1, 0]])) is None


def test_a_map_smoothed_at_its_edges_is_not_shrunk():
    """By a mean of the neighbours that there are, its edges came to lie too far inside."""
    from ssbmaps.maps._map_fit import model_at, settle
    from ssbmaps.maps._map_images import Stack, criterion
    from ssbmaps.maps._mutual import Raster

    off = []
    for seed in range(6):
        whole = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(140, 140)), 3)
        stacks = [
            Stack(image[None], np.ones((1, *image.shape), bool), Raster(image.shape, (1.0, 1.0), (float(first), float(first))))
            for image, first in ((whole[40:100, 40:100], 40), (whole, 0))
        ]
        at = criterion(*stacks, 2.0)
        model = model_at("affine", at)
        q = settle(at, model, np.eye(3)[:2])
        assert q is not None
        g, _ = model.map(q)
        off.append((g @ at.fixed.normal)[:, :2].diagonal() - 1)
    edge = 30 * np.array(off).ravel()  # pixels at the edge
    assert abs(edge.mean()) < 0.02 + 2 * edge.std() / np.sqrt(edge.size)
