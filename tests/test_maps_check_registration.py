"""Checking a transform: what is wrong with it comes back with its sign and size, and a right one is left in peace."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sparse
import xarray as xr

from ssbmaps import RegistrationError, SsbmapsError, io, synthetic
from ssbmaps.maps import Transform, check_registration, resample
from ssbmaps.maps._check_pictures import checkerboard, outlines

PIXEL = 0.1
PAIRS = [("S-", "S LVV"), ("NiO2-", "Ni LMM")]
KNOWN = np.zeros((6, 6))


@cache
def _scene():
    """A section, a SAM view of finer pixels turned by 5° and scaled by 1.02, and the matrix from the view to the section."""
    section = synthetic.cross_section(seed=21, shape=(160, 176), n_scans=5)
    view = synthetic.sam_maps(section, seed=3, lines=("S LVV", "Ni LMM"), rotation=5.0, scale=1.02, shape=(180, 170))
    return section.counts.sum("scan"), view.peak, view.attrs["transform"].reshape(3, 3)


def _moved(matrix, shift):
    result = matrix.copy()
    result[:2, 2] += shift
    return result


@cache
def _check(shift=(0.0, 0.0), swapped=False):
    """A check of a transform that is wrong by `shift` um on the reference; swapped, the finer map is the reference."""
    counts, view, truth = _scene()
    if swapped:
        wrong = Transform(_moved(np.linalg.inv(truth), shift), KNOWN)
        return check_registration(view, counts, wrong, pairs=[(b, a) for a, b in PAIRS])
    return check_registration(counts, view, Transform(_moved(truth, shift), KNOWN), pairs=PAIRS)


def _z(check, expected):
    """Residuals less what is expected, in their standard errors: (2, block)."""
    both = zip("yx", expected, strict=True)
    return np.stack([(check[f"residual_{d}"].values - e) / check[f"residual_{d}_sd"].values for d, e in both])


@pytest.mark.parametrize("swapped", [False, True])
def test_a_right_transform_is_left_in_peace(swapped):
    check = _check(swapped=swapped)
    assert check.sizes["block"] > 20
    assert check.misfit_chance > 0.01
    assert check.misfit < 0.2 * PIXEL
    assert check.support > 0.95
    assert check.attrs["statement"].startswith("Blocks lie within their errors (p = ")
    assert (check.p_value < 0.01).mean() < 0.1  # one in a hundred by chance
    # errors are Student's t of 13 degrees of freedom, rms 1.09; that of 2 × 30 of them is known to a tenth
    assert 0.7 < np.sqrt((_z(check, (0, 0)) ** 2).mean()) < 1.4


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("shift", [(0.03, -0.04), (-0.2, 0.12)])
def test_residuals_point_back_by_what_is_wrong(shift, swapped):
    """From half a pixel to two and a third: y and x differ in size and sign, so that no mix-up goes unseen."""
    check = _check(shift, swapped)
    z = _z(check, (-shift[0], -shift[1]))
    assert np.sqrt((z**2).mean()) < 1.4
    for axis, d in enumerate("yx"):
        weight = 1 / check[f"residual_{d}_sd"].values ** 2
        mean = float((check[f"residual_{d}"].values * weight).sum() / weight.sum())
        assert mean == pytest.approx(-shift[axis], abs=0.006)  # five standard errors of the mean, 0.01 / √30 with some to spare
    assert check.misfit_chance < 1e-4
    assert check.misfit == pytest.approx(np.hypot(*shift), abs=0.01)
    assert "; the map does not fit." in check.attrs["statement"]


def test_a_turn_is_seen_as_a_turn():
    """Wrong by 0.01 rad about the middle: what lies right of it must go up or down, by the distance times the angle."""
    counts, view, truth = _scene()
    middle = np.array([8.0, 8.8])
    turn = np.array([[0, -0.01, 0.01 * middle[1]], [0.01, 0, -0.01 * middle[0]], [0, 0, 0]])
    check = check_registration(counts, view, Transform((np.eye(3) + turn) @ truth, KNOWN), pairs=PAIRS)
    expected = 0.01 * (check.block_x.values - middle[1]), -0.01 * (check.block_y.values - middle[0])
    assert np.sqrt((_z(check, expected) ** 2).mean()) < 1.4
    assert max(np.ptp(e) for e in expected) > 0.08


@pytest.mark.parametrize("swapped", [False, True])
def test_a_displacement_is_part_of_the_transform_and_its_unknown_part_is_left_out(swapped):
    """A displacement of up to 1.2 pixels that is not there: blocks ask to have it taken back, where it is known."""
    counts, view, truth = _scene()
    reference, moving, matrix = (view, counts, np.linalg.inv(truth)) if swapped else (counts, view, truth)
    y, x = (np.arange(-2.0, 21.0, 0.5) for _ in "yx")
    wave = 0.12 * np.sin(2 * np.pi * x / 18)[None, :] + 0 * y[:, None]
    wave[y < 6] = np.nan
    zero = np.where(np.isnan(wave), np.nan, 0.0)
    planes = {"dy": wave, "dx": zero, "dy_sd": zero, "dx_sd": zero}
    um = {"units": "um"}
    field = xr.Dataset({k: (("y", "x"), v, um) for k, v in planes.items()}, {"y": ("y", y, um), "x": ("x", x, um)})
    wrong = Transform(matrix, KNOWN, field)
    check = check_registration(reference, moving, wrong, pairs=[p[::-1] if swapped else p for p in PAIRS])
    back = np.linalg.inv(matrix)
    there = np.stack([check.block_y, check.block_x, np.ones(check.sizes["block"])], -1) @ back.T
    expected = -0.12 * np.sin(2 * np.pi * there[:, 1] / 18)  # the block's own shift of 0.1 um changes this by 0.004 um
    weight = 1 / (check.residual_y_sd.values**2 + 0.02**2)
    slope = (weight * expected * check.residual_y.values).sum() / (weight * expected**2).sum()
    error = (weight * expected**2).sum() ** -0.5
    assert error < 0.2
    assert slope == pytest.approx(1, abs=2.6 * error)  # 99 %
    assert there[:, 0].min() > 4.6  # nothing is known above 5.75 um; a block's side is 2.2 um, its middle is that of all of it
    assert not check.valid.values[np.isnan(resample(moving, wrong, like=reference).position_sd.values)].any()


def test_a_map_far_off_is_not_called_right():
    """36 pixels off: either the blocks are followed to where they lie, or nothing is said to hold."""
    check = _check((3.0, 2.0))
    if check.sizes["block"]:
        assert check.attrs["statement"].endswith("the map does not fit.")
        assert check.misfit == pytest.approx(np.hypot(3.0, 2.0), rel=0.05)
    else:
        assert check.attrs["statement"].startswith("Not shown to hold")


def test_a_map_of_another_place_is_not_shown_to_hold():
    _, view, truth = _scene()
    other = synthetic.cross_section(seed=22, shape=(160, 176), n_scans=5).counts.sum("scan")
    check = check_registration(other, view, Transform(truth, KNOWN), pairs=PAIRS)
    assert check.attrs["statement"].startswith("Not shown to hold")
    assert check.sizes["block"] == 0
    assert np.isnan(check.misfit)
    assert np.isnan(check.misfit_chance)


def test_pictures_are_both_maps_on_the_reference():
    counts, view, truth = _scene()
    check = _check()
    own = counts.sel(fragment=["S-", "NiO2-"]).values
    np.testing.assert_array_equal(check.reference.values, own)
    moved = resample(view.sel(line=["S LVV", "Ni LMM"]), Transform(truth, KNOWN), like=counts)
    known = moved.measured.values
    np.testing.assert_array_equal(np.isfinite(check.moved.values).all(axis=0), known)
    np.testing.assert_allclose(check.moved.values[:, known], moved.values[:, known])
    np.testing.assert_array_equal(check.valid.values, known)
    np.testing.assert_array_equal(np.isfinite(check.checkerboard.values[0]), known)
    assert check.checkerboard.attrs["square_um"] == pytest.approx(17.6 / 8)
    assert list(check.pair.values) == ["S- ~ S LVV", "NiO2- ~ Ni LMM"]


def test_outlines_of_a_right_transform_run_together_and_of_a_wrong_one_do_not():
    """The mean distance from the moved outline to the nearest vertex of the reference's, cores of the second pair."""
    from scipy.spatial import cKDTree

    apart = []
    for shift in ((0.0, 0.0), (-0.2, 0.12)):
        check = _check(shift)
        mine = check.vertex_pair.values == 1
        points = np.column_stack([check.vertex_y, check.vertex_x])
        own, moved = (points[mine & (check.vertex_side.values == s)] for s in ("reference", "moved"))
        apart.append(np.median(cKDTree(own).query(moved)[0]))
    assert apart[0] < PIXEL  # half of the way between two vertices, and half levels of unlike blur
    assert apart[1] > apart[0] + 0.05  # a shift of 0.23 um is 0.15 um across an edge of any direction


def test_board_and_outline_by_hand():
    y, x = (np.arange(n) + 0.5 for n in (6, 8))
    valid = np.ones((6, 8), bool)
    valid[0, 0] = False
    first, second = np.zeros((6, 8)), np.full((6, 8), 5.0)
    first[:, 4:], second[:, 4:] = 10, 25
    board = checkerboard(first, second, valid, y, x, 2.0)
    assert np.isnan(board[0, 0])
    own = checkerboard(np.where(first > 0, 1.0, 0.0), np.zeros((6, 8)), valid, y, x, 2.0)
    assert board[1].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert own[1].tolist() == [0, 0, 0, 0, 1, 1, 0, 0]  # squares of two pixels; the second map is 0 everywhere
    assert own[2].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    rows, columns = np.mgrid[:60, :80]
    disc = (np.hypot((rows + 0.5) * 0.2 - 6, (columns + 0.5) * 0.1 - 4) < 2.5).astype(float)
    (line,) = outlines(disc, np.ones(disc.shape, bool), (0.2, 0.1), (0.1, 0.05), 0.2)
    radius = np.hypot(line[:, 0] - 6, line[:, 1] - 4)
    assert radius.mean() == pytest.approx(2.5, abs=0.04)  # a fifth of a pixel; smoothing takes 0.2² / (2 · 2.5) off
    assert radius.std() < 0.05
    disc[5, 5] = 1.0
    assert len(outlines(disc, np.ones(disc.shape, bool), (0.2, 0.1), (0.1, 0.05), 0.2)) == 1  # a single pixel is noise


def test_containers_order_and_storage_agree(tmp_path):
    counts, view, truth = _scene()
    expected = _check()
    coo = counts.copy(data=sparse.COO.from_numpy(counts.values)).transpose("x", "fragment", "y")
    again = check_registration(coo, view.chunk(line=1).transpose("x", "y", "line"), Transform(truth, KNOWN), pairs=PAIRS)
    xr.testing.assert_allclose(expected, again)
    assert expected.attrs["statement"] == again.attrs["statement"]
    assert "maps.check_registration" in expected.attrs["history"]
    xr.testing.assert_identical(io.load(io.save(expected, tmp_path / "check.nc")), expected)


def test_unmeasured_pixels_take_no_part():
    counts, view, truth = _scene()
    holes = view.astype(float)
    holes[:, 60:90, 40:80] = np.nan
    known = np.ones((160, 176), bool)
    known[:, :60] = False
    spoilt = counts.where(known, 999).astype(int).assign_coords(measured=(("y", "x"), known))
    check = check_registration(spoilt, holes, Transform(truth, KNOWN), pairs=PAIRS)
    assert check.misfit_chance > 0.01
    assert check.block_x.min() > 5
    assert not check.valid[:, :60].any()
    assert np.isnan(check.reference.values[:, :, :60]).all()
    y, x = (int(v / PIXEL) for v in Transform(truth, KNOWN).apply(75 * 0.08, 60 * 0.08))
    assert not check.valid.values[y, x]


def test_refusals():
    counts, view, truth = _scene()
    there = Transform(truth, KNOWN)
    with pytest.raises(SsbmapsError, match=r"maps\.check_registration: no channel has the same name in both maps"):
        check_registration(counts, view, there)
    with pytest.raises(SsbmapsError, match=r"(?s)transform is of type ndarray.*square is -1; expected um above 0"):
        check_registration(counts, view, truth, pairs=PAIRS, square=-1)
    with pytest.raises(RegistrationError, match="pairs is empty"):
        check_registration(counts, view, there, pairs=[])
    with pytest.raises(RegistrationError, match=r"maps\.check_registration: the moved map does not overlap"):
        check_registration(counts, view, Transform(_moved(truth, (500.0, 0.0)), KNOWN), pairs=PAIRS)
    with pytest.raises(SsbmapsError, match=r"maps\.check_registration: reference: has the dimension scan"):
        check_registration(counts.expand_dims("scan"), view, there, pairs=PAIRS)
    with pytest.raises(SsbmapsError, match="X-"):
        check_registration(counts, view, there, pairs=[("X-", "S LVV")])


def test_inputs_are_unchanged():
    counts, view, truth = (v.copy() for v in _scene())
    counts = counts.isel(y=slice(30, 110), x=slice(30, 130))
    before = counts.copy(deep=True), view.copy(deep=True)
    check_registration(counts, view, Transform(truth, KNOWN), pairs=PAIRS[:1])
    xr.testing.assert_identical(counts, before[0])
    xr.testing.assert_identical(view, before[1])
