"""Resampling: areas as counted out by fine samples, totals kept, ramps recovered, names never mixed."""

from __future__ import annotations

import time

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ssbmaps import RegistrationError, SsbmapsError, io, maps, synthetic
from ssbmaps._conventions import raster_coords
from ssbmaps.maps import Transform, resample
from ssbmaps.maps._resample_weights import overlaps

KNOWN = np.zeros((6, 6))


def affine(degrees=0.0, shift=(0.0, 0.0), scale=1.0, covariance=KNOWN, displacement=None, **attrs):
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return Transform([[c, -s, shift[0]], [s, c, shift[1]]], covariance, displacement, attrs=attrs)


def on_grid(values, pixel=(1.0, 1.0), units="counts", **attrs):
    values = np.asarray(values)
    coords = raster_coords(values.shape[-2:], pixel)
    dims = ("scan", "fragment", "y", "x")[-values.ndim :]
    if "fragment" in dims:
        coords["fragment"] = [f"S{i + 1}-" for i in range(values.shape[-3])]
    return xr.DataArray(values, coords, dims, attrs={"units": units, **attrs})


def empty(shape, pixel=(1.0, 1.0)):
    return on_grid(np.zeros(shape), pixel)


def poisson(shape, seed=0, level=5.0):
    return np.random.default_rng(seed).poisson(level, shape)


def wave(shape, pixel, size, period):
    coords = raster_coords(shape, pixel)
    y, x = np.meshgrid(coords["y"][1], coords["x"][1], indexing="ij")
    k = 2 * np.pi / period
    values = {"dy": size * np.sin(k * x), "dx": size * np.cos(k * y), "dy_sd": 0.1 + 0 * y, "dx_sd": 0.1 + 0 * y}
    return xr.Dataset({n: (("y", "x"), v, {"units": "um"}) for n, v in values.items()}, coords)


# ---------------------------------------------------------------- areas


def test_areas_that_are_known():
    """A unit square on its corner in the middle of a pixel of 2: the octagon's and triangles' areas by hand."""
    half = np.sqrt(0.5)
    diamond = np.array([[[-half, 0.0], [0.0, half]], [[0.0, -half], [half, 0.0]]])  # corners (row, column, (y, x))
    area, size = overlaps(diamond[..., 0] + 1.0, diamond[..., 1] + 1.0, (2, 2))
    np.testing.assert_allclose(area.toarray()[:, 0], 0.25, rtol=1e-14)  # centred where four pixels meet
    area, size = overlaps(diamond[..., 0] + 1.5, diamond[..., 1] + 1.5, (3, 3))
    tip = (half - 0.5) ** 2  # each tip that looks over the sides of the middle pixel
    np.testing.assert_allclose(area.toarray()[[1, 3, 5, 7], 0], tip, rtol=1e-12)
    assert area.toarray()[4, 0] == pytest.approx(1 - 4 * tip, rel=1e-12)
    assert area.toarray()[[0, 2, 6, 8], 0].max() == 0
    assert size[0] == pytest.approx(1, rel=1e-14)


@settings(max_examples=10)
@given(st.floats(-180, 180), st.floats(0.4, 2.5), st.floats(-2, 2), st.floats(-3, 3), st.floats(-0.3, 0.3))
def test_areas_against_fine_samples(degrees, scale, dy, dx, shear):
    turn = affine(degrees, scale=scale).matrix[:2, :2] @ [[1, shear], [0, 1]]
    j, i = np.meshgrid(np.arange(4.0), np.arange(6.0), indexing="ij")
    y, x = np.einsum("ab,b...->a...", turn, np.stack([j, i])) + np.array([dy, dx])[:, None, None]
    area, size = overlaps(y, x, (5, 4))
    n = 60
    s = (np.arange(n) + 0.5) / n
    for k in range(15):
        local = np.stack(np.meshgrid(k // 5 + s, k % 5 + s, indexing="ij"))
        py, px = np.floor(np.einsum("ab,b...->a...", turn, local) + np.array([dy, dx])[:, None, None])
        inside = (py >= 0) & (py < 5) & (px >= 0) & (px < 4)
        counted = np.bincount((py * 4 + px)[inside].astype(int), minlength=20) / n**2
        # n samples along each of at most a few cut lines through the pixel: each line is off by less than one row of samples
        np.testing.assert_allclose(area.toarray()[:, k] / size[k], counted, atol=3 / n)
    touched = np.asarray(area.sum(axis=0)) > 0
    np.testing.assert_allclose(size[touched], np.linalg.det(turn), rtol=1e-12)


@settings(max_examples=20)
@given(st.floats(-180, 180), st.floats(0.3, 3), st.floats(-8, 8), st.floats(-8, 8), st.integers(0, 99))
def test_totals_are_kept(degrees, scale, dy, dx, seed):
    moving = on_grid(poisson((13, 17), seed), (0.7, 0.5))
    there = affine(degrees, scale=scale)
    middle = there.apply(13 * 0.35, 17 * 0.25)
    centred = affine(degrees, (20 - middle[0] + dy, 20 - middle[1] + dx), scale)  # wholly on a grid of 40 um
    result = resample(moving, centred, like=empty((50, 32), (0.8, 1.25)), coverage=0)
    assert float(result.sum()) == pytest.approx(int(moving.sum()), rel=1e-12)
    covered = result.coverage.values.sum() * 0.8 * 1.25
    assert covered == pytest.approx(13 * 17 * 0.35 * scale**2, rel=1e-9)


def test_totals_under_a_displacement():
    moving = on_grid(poisson((30, 40)), (0.5, 0.5))
    warped = affine(5, (4.0, 3.0), displacement=wave((30, 40), (0.5, 0.5), 0.4, 11.0))
    result = resample(moving, warped, like=empty((60, 60), (0.5, 0.5)), coverage=0)
    assert float(result.sum()) == pytest.approx(int(moving.sum()), rel=1e-12)


def test_a_displacement_without_change_is_a_shift():
    field = wave((30, 40), (0.5, 0.5), 0.0, 11.0)
    field["dy"] = field.dy + 0.3
    field["dx"] = field.dx - 0.2
    moving, like = on_grid(poisson((30, 40)), (0.5, 0.5)), empty((28, 36), (0.5, 0.5))
    warped = resample(moving, affine(displacement=field), like=like)
    np.testing.assert_allclose(warped, resample(moving, affine(shift=(0.3, -0.2)), like=like), atol=1e-9)


def test_every_measured_pixel_under_a_displacement_has_a_value_and_an_error():
    field = wave((30, 40), (0.5, 0.5), 0.4, 11.0)
    warped = affine(5, (1.0, 2.0), displacement=field)
    level = on_grid(np.full((30, 40), 7.5), (0.5, 0.5), units="arbitrary")
    for like in (empty((40, 40), (0.45, 0.5)), empty((150, 180), (0.1, 0.1)), empty((9, 11), (1.7, 1.7))):
        result = resample(level, warped, like=like)
        inside = result.measured.values
        assert inside.sum() > 0.4 * inside.size
        np.testing.assert_allclose(result.values[inside], 7.5, rtol=1e-12)
        assert np.isnan(result.values[~inside]).all()
        np.testing.assert_array_equal(np.isfinite(result.position_sd), inside)
        np.testing.assert_allclose(result.position_sd.values[inside], 0.1, rtol=1e-9)


def test_what_a_displacement_does_not_know_is_not_measured():
    field = wave((30, 40), (0.5, 0.5), 0.1, 11.0)
    field["dy"][10:20, 10:20] = np.nan
    result = resample(on_grid(poisson((30, 40)), (0.5, 0.5)), affine(displacement=field), like=empty((30, 40), (0.5, 0.5)))
    assert not result.measured[12:18, 12:18].any()
    assert result.measured[3:7, 3:37].all()
    assert np.isnan(result.position_sd[14, 14])


# ---------------------------------------------------------------- rules


def test_onto_its_own_pixels_nothing_changes():
    moving = on_grid(poisson((2, 9, 11)), (0.1, 0.3))
    result = resample(moving, affine(), like=moving)
    assert (result == moving).all()
    assert result.measured.all()
    assert (result.counts_variance_factor == 1).all()
    shifted = resample(moving, affine(shift=(0.2, -0.3)), like=moving)
    assert (shifted[:, 2:, :-1].values == moving[:, :-2, 1:].values).all()
    assert not shifted.measured[:2].any()
    assert not shifted.measured[:, -1].any()
    assert np.isnan(shifted[:, :2]).all()


def test_coverage_decides_what_counts_as_measured():
    moving = on_grid(np.full((4, 4), 6))
    mask = np.ones((4, 4), bool)
    mask[1, 1] = False
    moving = moving.assign_coords(measured=(("y", "x"), mask))
    quarter = affine(shift=(0.0, 0.25))
    full = resample(moving, quarter, like=moving)
    assert full[1].values.tolist() == [4.5, 1.5, 4.5, 6.0]  # the rim keeps what fell on it, and is not measured
    assert (full.values[full.measured] == 6).all()
    assert full.measured.sum() == 12 - 2
    most = resample(moving, quarter, like=moving, coverage=0.75)
    assert most[1].values.tolist() == [4.5, 1.5, 4.5, 6.0]
    assert most.measured[1].values.tolist() == [True, False, True, True]
    assert most.coverage[1].values.tolist() == [0.75, 0.25, 0.75, 1.0]
    assert "coverage" not in full.coords
    whole = resample(moving, quarter, like=empty((6, 7)))
    assert float(whole.sum()) == 15 * 6  # the total is kept
    assert np.isnan(whole[4:]).all()  # where nothing could fall
    intensity = resample(moving.assign_attrs(units="arbitrary"), quarter, like=moving, coverage=0.5)
    assert intensity[1].fillna(-1).values.tolist() == [6.0, -1.0, 6.0, 6.0]  # the mean of what is known, not less


def test_intensities_keep_their_level():
    """A ramp, on finer pixels by interpolation and on coarser ones by means, is the ramp; a level stays the level."""
    y, x = np.meshgrid(np.arange(20) * 0.6 + 0.3, np.arange(24) * 0.6 + 0.3, indexing="ij")
    ramp = on_grid(3 + 2 * y - x, (0.6, 0.6), units="arbitrary")
    turn = affine(9, (1.0, -0.5), scale=1.02)
    back = turn.inverse()
    for pixel, shape in ((0.1, (120, 140)), (1.7, (7, 8))):
        like = empty(shape, (pixel, pixel))
        result = resample(ramp, turn, like=like)
        py, px = back.apply(like.y, like.x)
        inner = (py > 0.3) & (py < 11.7) & (px > 0.3) & (px < 14.1) & result.measured
        assert inner.sum() > 0.3 * result.measured.sum()
        # interpolation of a ramp is exact; a mean over moved pixels is that of the ramp to the stairs' part of a moved pixel
        off = abs(result - (3 + 2 * py - px)).where(inner)
        assert float(off.max()) < (1e-9 if pixel < 0.6 else 0.1)
        level = resample(ramp.copy(data=0 * y + 7.5), turn, like=like)
        np.testing.assert_allclose(level.values[level.measured], 7.5, rtol=1e-12)
        assert np.isnan(level.values[~level.measured]).all()


def test_means_over_larger_pixels():
    fine = on_grid(np.random.default_rng(0).normal(size=(6, 8)), (0.5, 0.25), units="arbitrary")
    result = resample(fine, affine(), like=empty((3, 2), (1.0, 1.0)))
    np.testing.assert_allclose(result, fine.values.reshape(3, 2, 2, 4).mean(axis=(1, 3)), rtol=1e-12)
    gaps = fine.copy()
    gaps[0, 0] = np.nan
    some = resample(gaps, affine(), like=empty((3, 2)), coverage=0.5)
    assert float(some[0, 0]) == pytest.approx(np.nanmean(gaps.values[:2, :4]))
    assert np.isnan(resample(gaps, affine(), like=empty((3, 2)))[0, 0])


def test_interpolation_leaves_out_what_was_not_measured():
    coarse = on_grid([[1.0, 2.0, 50.0], [1.0, 2.0, 3.0]], (1.0, 1.0), units="arbitrary")
    known = coarse.assign_coords(measured=(("y", "x"), coarse.values < 10))
    gap = coarse.where(coarse < 10)
    fine = empty((20, 30), (0.1, 0.1))
    for given_ in (known, gap):
        result = resample(given_, affine(), like=fine)
        assert np.nanmax(result) < 3.0 + 1e-12
        assert np.isnan(result[:10, 20:]).all()
        assert np.isfinite(result[10:]).all()
        assert np.isfinite(result[:, :20]).all()
    assert float(resample(known, affine(), like=fine)[0, 0]) == 1.0  # level beyond the outermost centres


def test_a_blob_lands_where_the_transform_says():
    y, x = np.meshgrid(np.arange(60) * 0.2 + 0.1, np.arange(80) * 0.2 + 0.1, indexing="ij")
    blob = on_grid(1000 * np.exp(-((y - 5) ** 2 + (x - 9) ** 2) / 2), (0.2, 0.2))
    turn = affine(12, (2.0, -1.5), 1.03)
    for pixel, shape in ((0.1, (150, 150)), (0.5, (30, 30))):
        result = resample(blob, turn, like=empty(shape, (pixel, pixel)), coverage=0)
        centre = [float((result * result[d]).sum() / result.sum()) for d in ("y", "x")]
        np.testing.assert_allclose(centre, turn.apply(5.0, 9.0), atol=2e-4)  # what the grid cuts off at 4 sigma


def test_a_planted_view_lies_on_its_section():
    """Auger maps of a section, turned, scaled and shifted: agreement is best where they were planted, to 0.05 of a pixel."""
    section = synthetic.cross_section(seed=1, shape=(96, 128), n_scans=1)
    auger = synthetic.sam_maps(section, seed=1, rotation=6, scale=1.03, shift=(0.6, -0.5))
    nickel = (auger.expected_peak - auger.expected_background).sel(line="Ni LMM").assign_attrs(units="arbitrary")
    oxide = section.ideal.sel(fragment="NiO2-")
    planted = Transform(auger.attrs["transform"].reshape(3, 3), KNOWN)

    def agreement(dy, dx):
        moved = resample(nickel, planted.compose(affine(shift=(dy, dx))), like=oxide)
        inside = moved.measured.values
        assert inside.sum() > 4000
        return np.corrcoef(moved.values[inside], oxide.values[inside])[0, 1]

    step, best = 0.05, agreement(0, 0)
    for dy, dx in ((step, 0), (0, step)):
        before, after = agreement(-dy, -dx), agreement(dy, dx)
        assert best > max(before, after)
        vertex = step * (after - before) / (2 * (2 * best - after - before))
        assert abs(vertex) < 0.05 * 0.1


def test_a_megapixel_onto_a_quarter_of_one_is_quick():
    fine, coarse = on_grid(poisson((1024, 1024)), (0.05, 0.05)), empty((512, 512), (0.1, 0.1))
    turn = affine(4, (1.0, -2.0), 1.02)
    start = time.perf_counter()
    there, back = resample(fine, turn, like=coarse), resample(coarse, turn.inverse(), like=fine)
    assert time.perf_counter() - start < 20  # each takes under a second; 10 s are asked for
    assert float(there.sum()) == pytest.approx(5.0 * float(there.measured.sum()) * 4 / 1.02**2, rel=0.01)
    assert (back.values[back.measured] == 0).all()


def test_names_are_never_mixed():
    names = np.zeros((6, 8), np.int16)
    names[:, 3:] = 7
    names[4:, :] = 2
    flags = {"flag_values": np.array([0, 2, 7], np.int16), "flag_meanings": "unassigned carbon NMC"}
    labels = on_grid(names, units="1", **flags)
    result = resample(labels, affine(30, (2.0, -1.0), 1.3), like=empty((40, 40), (0.25, 0.25)))
    assert result.dtype == np.int16
    assert set(np.unique(result)) == {0, 2, 7}
    assert result.attrs["flag_meanings"] == flags["flag_meanings"]
    assert (result.values[~result.measured] == 0).all()
    coarse = resample(labels, affine(), like=empty((3, 4), (2.0, 2.0)))
    assert coarse.values.tolist() == [[0, 0, 7, 7], [0, 0, 7, 7], [2, 2, 2, 2]]  # 0 and 7 share (0, 1): the lower one
    assert resample(on_grid(names.astype(np.int64), units="1"), affine(), like=labels).dtype == np.int64
    mask = resample(labels == 7, affine(shift=(0.0, 0.4)), like=labels)
    assert mask.dtype == bool
    assert (mask.values[:, 1:] == (names == 7)[:, 1:]).all()


def test_which_rule():
    values = np.full((4, 4), 8)
    half = empty((2, 2), (2.0, 2.0))
    for units, dtype, expected in (
        ("counts", np.uint16, 32),
        ("counts", np.float32, 32),
        (None, np.int32, 32),
        ("arbitrary", np.uint8, 8),
        ("um", np.float64, 8),
        (None, np.float64, 8),
    ):
        given_ = on_grid(values.astype(dtype), units=units)
        if units is None:
            del given_.attrs["units"]
        result = resample(given_, affine(), like=half)
        assert result.dtype == np.float64
        assert (result == expected).all(), (units, dtype)
        assert ("counts_variance_factor" in result.coords) == (expected == 32)


# ---------------------------------------------------------------- errors beside values


def test_variance_of_shared_counts():
    turn = affine(17, (0.3, 0.4), 1.1)
    like = empty((24, 24), (1.3, 1.3))
    level, n = 3.0, 600
    moving = on_grid(poisson((n, 30, 30), 1, level)).rename(fragment="scan")
    result = resample(moving, turn, like=like)
    inner = result.measured.values
    assert inner.sum() > 200
    stated = result.counts_variance_factor * result.mean("scan")
    ratio = (result.var("scan", ddof=1) / stated).values[inner]
    assert ratio.mean() == pytest.approx(1, abs=0.02)  # √(2 / 600 / (over 50 independent pixels)), three times
    assert 0.2 < float(result.counts_variance_factor.where(result.measured).max()) < 0.9
    wide = result.where(result.measured).sum(("y", "x"))
    assert float(wide.var(ddof=1) / wide.mean()) == pytest.approx(1, abs=0.25)  # sums over regions vary as counts


def test_standard_deviations_are_carried():
    rng, n = np.random.default_rng(2), 500
    turn, like = affine(-8, (1.0, 0.2)), empty((14, 14), (1.4, 1.4))
    sd = np.abs(rng.normal(2, 0.3, (20, 20)))
    for units, grid in (("counts", like), ("arbitrary", like), ("arbitrary", empty((36, 36), (0.5, 0.5)))):
        one = on_grid(rng.normal(50, 1, (20, 20)) * 1.0, units=units)
        result = resample(xr.Dataset({"level": one, "level_sd": one.copy(data=sd)}), turn, like=grid)
        draws = on_grid(one.values + sd * rng.normal(size=(n, 20, 20)), units=units).rename(fragment="scan")
        scatter = resample(draws, turn, like=grid).std("scan", ddof=1)
        ratio = (scatter / result.level_sd).values[result.measured]
        assert np.abs(ratio - 1).max() < 5 / np.sqrt(2 * n)
        np.testing.assert_allclose(result.level, resample(one, turn, like=grid), equal_nan=True)


def test_position_error_lies_beside_the_result():
    covariance = np.diag([1e-6, 1e-6, 1e-4, 1e-6, 4e-6, 1e-4])
    turn = affine(20, (3.0, -2.0), covariance=covariance)
    result = resample(on_grid(poisson((40, 50)), (0.5, 0.5)), turn, like=empty((45, 45), (0.5, 0.5)))
    error = turn.position_error(*turn.inverse().apply(result.y, result.x))
    expected = np.sqrt((error.y_sd**2 + error.x_sd**2) / 2).where(result.measured)
    np.testing.assert_allclose(result.position_sd, expected, equal_nan=True)
    assert result.position_sd.attrs["units"] == "um"


# ---------------------------------------------------------------- containers


@pytest.mark.parametrize("units", ["counts", "arbitrary"])
@pytest.mark.parametrize("container", ["sparse", "dask", "dask of sparse", "transposed"])
def test_containers_of_cubes_give_the_same(container, units):
    values = poisson((3, 11, 9, 14), level=0.4).astype(np.uint16)
    coords = {**raster_coords((11, 9), (0.5, 0.5)), "mz": np.linspace(10, 20, 14), "scan": [1, 2, 3]}
    cube = xr.DataArray(values, coords, ("scan", "y", "x", "mz"), attrs={"units": units, "technique": "tof-sims"})
    mask = np.ones((11, 9), bool)
    mask[4, 4] = False
    cube = cube.assign_coords(measured=(("y", "x"), mask))
    turn, like = affine(10, (0.3, 0.2)), empty((10, 12), (0.4, 0.4))
    dense = resample(cube, turn, like=like)
    assert dense.dims == ("scan", "y", "x", "mz")
    away = np.isnan(dense.values[0, ..., 0])
    assert (away == ~dense.measured.values).all() or units == "counts"
    assert not (away & dense.measured.values).any()
    held = sparse.COO.from_numpy(values)
    given_ = {
        "sparse": cube.copy(data=held),
        "dask": cube.chunk(y=4, mz=5),
        "dask of sparse": cube.copy(data=held).chunk(scan=2, y=3),
        "transposed": cube.transpose("mz", "x", "scan", "y"),
    }[container]
    result = resample(given_, turn, like=like)
    assert result.dims == dense.dims
    assert ("dask" in container) == (result.chunks is not None)
    if "sparse" in container:
        done = result.compute()
        assert isinstance(done.data, sparse.COO)
        assert done.data.dtype == np.float64
        assert (done.data.todense()[:, away] == 0).all()
        np.testing.assert_allclose(done.data.todense(), dense.fillna(0), atol=1e-12)
        xr.testing.assert_identical(result.measured, dense.measured)
        ions = maps.integrate(done, {"low": (10, 15)}) if units == "counts" else None
        assert ions is None or not ions.measured.all()
    else:
        np.testing.assert_allclose(result, dense, atol=1e-12)


def test_maps_that_are_sparse():
    values = poisson((2, 8, 9), level=0.3)
    turn, like = affine(5, (0.5, 0.5)), empty((7, 7))
    dense = resample(on_grid(values), turn, like=like)
    result = resample(on_grid(values).copy(data=sparse.COO.from_numpy(values)), turn, like=like)
    np.testing.assert_allclose(result.data.todense(), dense.fillna(0), atol=1e-12)
    flags = on_grid(values[0], units="1")
    held = flags.copy(data=sparse.COO.from_numpy(values[0]))
    assert (resample(held, turn, like=like) == resample(flags, turn, like=like)).all()


def test_threads_and_blocks_change_no_bit(monkeypatch):
    from ssbmaps.maps import _resample_weights

    moving, like, turn = on_grid(poisson((70, 50))), empty((40, 40), (1.7, 1.3)), affine(33, (5.0, 1.0))
    one = resample(moving, turn, like=like)
    monkeypatch.setattr(_resample_weights, "threads", lambda: 4)
    monkeypatch.setattr(_resample_weights, "_BLOCK", 64)
    xr.testing.assert_identical(resample(moving, turn, like=like), one)


# ---------------------------------------------------------------- what travels, what is refused


def test_what_travels(tmp_path):
    moving = on_grid(poisson((2, 12, 12)), technique="tof-sims", history="ssbmaps.io.read 1", notes="PS-", stray=3.0)
    stage = {"stage_y": 1000.0, "tilt_of_row": ("y", np.zeros(12)), "mz": ("fragment", [32.0, 64.0])}
    moving = moving.assign_coords(stage)
    turn = affine(5, (1.0, 1.0), history="ssbmaps.maps.register 1")
    like = empty((9, 10), (1.0, 1.0)).assign_coords(z=3.0)
    like = like.assign_coords(x=like.x * (1 + 1e-9))
    before = moving.copy(deep=True)
    result = resample(moving, turn, like=like)
    xr.testing.assert_identical(moving, before)
    xr.align(result, like, join="exact")
    assert result.x.identical(like.x.drop_vars("z"))
    assert set(result.coords) == {"y", "x", "fragment", "mz", "measured", "position_sd", "counts_variance_factor"}
    lines = result.attrs["history"].splitlines()
    assert lines[:2] == ["ssbmaps.io.read 1", "ssbmaps.maps.register 1"]
    assert lines[2].startswith("ssbmaps.maps.resample ")
    assert '"matrix": [[0.996' in lines[2]
    assert result.attrs["notes"] == "PS-"
    assert result.attrs["units"] == "counts"
    assert "stray" not in result.attrs
    assert io.load(io.save(result, tmp_path / "moved.nc")).identical(result)
    both = xr.Dataset({"counts": moving, "level": ("fragment", [1.0, 2.0], {"units": "um"})}, attrs={"technique": "tof-sims"})
    made = resample(both, turn, like=like)
    assert made.counts.attrs["units"] == "counts"
    assert made.level.attrs["units"] == "um"
    assert made.attrs["history"].splitlines()[-1].startswith("ssbmaps.maps.resample ")
    np.testing.assert_array_equal(made.counts, result)
    assert io.load(io.save(made, tmp_path / "both.zarr")).identical(made)


def test_a_single_row_and_a_part_of_a_map():
    row = on_grid(poisson((1, 30)), (2.0, 0.5))
    result = resample(row, affine(shift=(0.0, 0.5)), like=row)
    assert (result.values[0, 1:] == row.values[0, :-1]).all()
    moving = on_grid(poisson((20, 20)))
    part = moving.isel(y=slice(5, 12), x=slice(3, 18))  # keeps its place
    result = resample(part, affine(), like=moving)
    assert (result.values[5:12, 3:18] == part.values).all()
    assert int(result.measured.sum()) == part.size


def test_what_cannot_be_resampled():
    moving, like = on_grid(poisson((8, 9))), empty((5, 6))
    with pytest.raises(RegistrationError, match="does not overlap") as letter:
        resample(moving, affine(shift=(50.0, 0.0)), like=like)
    assert "comes to lie at y 50 to 58 um, x 0 to 9 um" in str(letter.value)
    assert "y 0.5 to 4.5 um, x 0.5 to 5.5 um" in str(letter.value)
    with pytest.raises(RegistrationError, match=r"cover at most 0.5 of any pixel of `like`; expected 1 of at least one"):
        resample(
            moving.isel(y=[0], x=slice(0, 2)).assign_coords(y=moving.y[:1].assign_attrs(pixel_size_um=1.0)),
            affine(scale=0.5),
            like=like.isel(y=slice(0, 2)),
        )
    with pytest.raises(SsbmapsError, match="no coordinate y: the map has no pixel size"):
        resample(moving.drop_vars("y"), affine(), like=like)
    with pytest.raises(SsbmapsError, match="like: no coordinate x"):
        resample(moving, affine(), like=like.drop_vars("x"))
    with pytest.raises(SsbmapsError, match="not evenly spaced"):
        resample(moving.isel(y=[0, 1, 3, 7]), affine(), like=like)
    with pytest.raises(SsbmapsError, match="4 faults") as letter:
        resample(moving.values, np.eye(3), like=like[0], coverage=2.0)
    for part in ("moving is of type ndarray", "transform is of type ndarray", "like has no y", "coverage=2.0; expected a share"):
        assert part in str(letter.value)
    with pytest.raises(SsbmapsError, match="no variable of moving has y and x"):
        resample(xr.Dataset({"a": ("fragment", [1.0, 2.0])}, raster_coords((2, 2), (1, 1))), affine(), like=like)
    with pytest.raises(SsbmapsError, match="gain lies along only one of y and x"):
        resample(xr.Dataset({"a": moving, "gain": moving[0]}), affine(), like=like)
    with pytest.raises(SsbmapsError, match="values are of type complex128"):
        resample(moving * 1j, affine(), like=like)
