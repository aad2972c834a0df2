"""Transforms: places move as planted, errors as finite differences and repeated draws say, displacements there and back."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ssbmaps import RegistrationError, SsbmapsError, io
from ssbmaps._conventions import raster_coords
from ssbmaps.maps import Transform
from ssbmaps.maps._transform_arrays import radius_95

KNOWN = np.zeros((6, 6))


def linear(degrees=0.0, scale_y=1.0, scale_x=1.0, shear=0.0):
    """(2, 2) in the order y, x: a stretch, then an anticlockwise turn on a map whose y runs down."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]]) @ np.array([[scale_y, shear], [shear, scale_x]])


def affine(degrees=0.0, shift=(0.0, 0.0), covariance=KNOWN, displacement=None, attrs=None, **stretch):
    matrix = np.column_stack([linear(degrees, **stretch), shift])
    return Transform(matrix, covariance, displacement, attrs=attrs)


def some_covariance(seed=0, size=1e-4):
    """A full covariance; entries of the shift are larger, as they are in um."""
    root = np.random.default_rng(seed).normal(size=(6, 6)) * size * np.array([1, 1, 20, 1, 1, 20])[:, None]
    return root @ root.T


def wave(shape=(40, 56), pixel=(0.5, 0.4), size=0.3, period=12.0, sd=(0.02, 0.03)):
    """A smooth displacement: sines of `size` um and `period` um."""
    coords = raster_coords(shape, pixel)
    y, x = np.meshgrid(coords["y"][1], coords["x"][1], indexing="ij")
    dims, k = ("y", "x"), 2 * np.pi / period
    values = {
        "dy": size * np.sin(k * x) * np.cos(k * y),
        "dx": size * np.cos(k * x + 1.0),
        "dy_sd": sd[0] + 0 * y,
        "dx_sd": sd[1] + 0 * y,
    }
    return xr.Dataset({n: (dims, v, {"units": "um"}) for n, v in values.items()}, coords)


transforms = st.builds(
    affine,
    degrees=st.floats(-180, 180),
    shift=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    scale_y=st.floats(0.5, 2),
    scale_x=st.floats(0.5, 2),
    shear=st.floats(-0.2, 0.2),
    covariance=st.builds(some_covariance, st.integers(0, 99)),
)


def test_a_quarter_turn_and_the_kinds_that_places_come_in():
    turn = affine(90, (10.0, 0.0))
    assert turn.apply(2, 3) == pytest.approx((7.0, 2.0), abs=1e-12)
    assert isinstance(turn.apply(2, 3)[0], float)
    y, x = turn.apply([[1.0], [2.0]], [3.0, 4.0, np.nan])
    assert y.shape == x.shape == (2, 3)
    np.testing.assert_allclose(y[:, :2], [[7, 6], [7, 6]])
    assert np.isnan(y[:, 2]).all()
    grid = xr.DataArray(np.zeros((2, 3)), raster_coords((2, 3), (0.5, 1.0)), ("y", "x"))
    y, x = turn.apply(grid.y, grid.x)
    assert y.dims == ("y", "x")
    assert y.attrs["units"] == "um"
    np.testing.assert_allclose(x.sel(x=1.5), [0.25, 0.75])
    assert turn.apply(grid.y, 1.0)[0].dims == ("y",)


def test_places_that_do_not_fit():
    turn = affine(90)
    with pytest.raises(SsbmapsError, match=r"y has the shape \(2,\), x \(3,\)"):
        turn.apply([1, 2], [1, 2, 3])
    named = xr.DataArray([1.0, 2.0], {"point": [0, 1]}, "point")
    with pytest.raises(SsbmapsError, match="do not fit together"):
        turn.apply(named, named.assign_coords(point=[0, 5]))
    with pytest.raises(SsbmapsError, match="x is an array without names beside a DataArray"):
        turn.apply(named, [1.0, 2.0])
    with pytest.raises(SsbmapsError, match="expected numbers, um on the moving map"):
        turn.position_error("1", 2.0)
    with pytest.raises(SsbmapsError, match="is in 'nm', expected 'um'"):
        turn.apply(named.assign_attrs(units="nm"), 1.0)


@settings(max_examples=25)
@given(transforms, transforms)
def test_laws_of_inverse_and_chain(first, then):
    y, x = np.random.default_rng(0).uniform(0, 50, (2, 20))
    there = first.apply(y, x)
    np.testing.assert_allclose(first.inverse().apply(*there), (y, x), atol=1e-9)
    np.testing.assert_allclose(first.compose(then).apply(y, x), then.apply(*there), atol=1e-9)
    again = first.inverse().inverse()
    np.testing.assert_allclose(again.matrix, first.matrix, atol=1e-12 * np.abs(first.matrix).max())
    np.testing.assert_allclose(again.covariance, first.covariance, atol=1e-9 * np.abs(first.covariance).max())
    # (AB)⁻¹ = B⁻¹ A⁻¹, errors included
    one, other = first.compose(then).inverse(), then.inverse().compose(first.inverse())
    np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-7 * np.abs(one.covariance).max())


def differences(function, matrix, step=1e-6):
    """(6, 6) derivative of the six entries of `function(matrix)`, by central differences."""
    columns = []
    for k in range(6):
        change = np.zeros((3, 3))
        change[k // 3, k % 3] = step
        columns.append((function(matrix + change) - function(matrix - change))[:2].ravel() / (2 * step))
    return np.array(columns).T


def test_covariances_follow_finite_differences():
    one = affine(20, (3.0, -4.0), some_covariance(1), scale_y=1.1, scale_x=0.9, shear=0.05)
    two = affine(-50, (-2.0, 7.0), some_covariance(2), scale_y=0.8)
    slopes = differences(np.linalg.inv, one.matrix)
    np.testing.assert_allclose(one.inverse().covariance, slopes @ one.covariance @ slopes.T, rtol=1e-6, atol=1e-14)
    by_one = differences(lambda m: two.matrix @ m, one.matrix)
    by_two = differences(lambda m: m @ one.matrix, two.matrix)
    expected = by_one @ one.covariance @ by_one.T + by_two @ two.covariance @ by_two.T
    np.testing.assert_allclose(one.compose(two).covariance, expected, rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize("kind", ["itself", "inverse", "compose"])
def test_position_error_is_the_scatter_of_drawn_maps(kind):
    rng, n = np.random.default_rng(5), 20000
    one, two = (affine(d, s, some_covariance(seed)) for d, s, seed in ((10, (1.0, 2.0), 3), (-30, (4.0, 0.0), 4)))
    drawn = [t.matrix[:2].ravel() + rng.multivariate_normal(np.zeros(6), t.covariance, n) for t in (one, two)]
    whole = [np.concatenate([d.reshape(n, 2, 3), np.tile([[[0.0, 0, 1]]], (n, 1, 1))], axis=1) for d in drawn]
    maps = {"itself": whole[0], "inverse": np.linalg.inv(whole[0]), "compose": whole[1] @ whole[0]}[kind]
    place = np.array([12.0, 30.0, 1.0])
    scatter = np.cov((maps @ place)[:, :2].T)
    result = {"itself": one, "inverse": one.inverse(), "compose": one.compose(two)}[kind]
    error = result.position_error(12.0, 30.0)
    # a variance of n draws scatters by √(2 / n) = 1 %; second order adds (1e-4)² of itself
    assert float(error.y_sd) ** 2 == pytest.approx(scatter[0, 0], rel=0.05)
    assert float(error.x_sd) ** 2 == pytest.approx(scatter[1, 1], rel=0.05)
    bound = 0.05 * np.sqrt(scatter[0, 0] * scatter[1, 1])
    assert float(error.covariance_yx) == pytest.approx(scatter[0, 1], abs=bound)
    inside = np.hypot(*((maps @ place)[:, :2] - result.apply(12.0, 30.0)).T) < float(error.radius_95)
    assert inside.mean() == pytest.approx(0.95, abs=5 * np.sqrt(0.95 * 0.05 / n))


def test_the_circle_of_95_per_cent():
    one = np.array(1.0)
    assert float(radius_95(one, one, 0 * one)) == pytest.approx(np.sqrt(-2 * np.log(0.05)), rel=1e-5)  # a round Gaussian
    assert float(radius_95(4 * one, 0 * one, 0 * one)) == pytest.approx(2 * 1.959964, rel=1e-5)  # a line
    assert float(radius_95(one, one, one)) == pytest.approx(np.sqrt(2) * 1.959964, rel=1e-5)  # the same, along the diagonal
    assert float(radius_95(0 * one, 0 * one, 0 * one)) == 0
    n = 400_000
    for ratio in (0.013, 0.3, 0.77):
        draws = np.random.default_rng(7).normal(size=(2, n)) * [[1.0], [ratio]]
        radius = radius_95(one, ratio**2 * one, 0 * one)
        assert (np.hypot(*draws) < radius).mean() == pytest.approx(0.95, abs=5 * np.sqrt(0.95 * 0.05 / n))


def test_error_of_arrays_keeps_their_form():
    shaky = affine(covariance=some_covariance(1))
    assert shaky.position_error([1.0, 2.0], 3.0).y_sd.dims == ("point",)
    assert shaky.position_error(np.ones((2, 3)), 3.0).radius_95.shape == (2, 3)
    grid = xr.DataArray(np.zeros((2, 3)), raster_coords((2, 3), (0.5, 1.0)), ("y", "x"))
    error = shaky.position_error(grid.y, grid.x)
    assert error.radius_95.dims == ("y", "x")
    assert (error.x == grid.x).all()
    assert float(error.y_sd[1, 2]) == pytest.approx(float(shaky.position_error(0.75, 2.5).y_sd))


def test_displacement_is_added_after_the_matrix():
    field = wave()
    warped, plain = (affine(5, (1.0, 2.0), displacement=d) for d in (field, None))
    y, x = np.meshgrid(field.y, field.x, indexing="ij")
    moved, straight = warped.apply(y, x), plain.apply(y, x)
    np.testing.assert_allclose(moved[0] - straight[0], field.dy, atol=1e-12)
    np.testing.assert_allclose(moved[1] - straight[1], field.dx, atol=1e-12)
    k, (y, x) = 2 * np.pi / 12, np.random.default_rng(0).uniform(0, 20, (2, 200))
    # cubic splines at 24 nodes per period: (5 / 384) (k h)⁴ = 6e-5 of 0.3 um inside; at the ends a parabola: (k h)³ 5 / 16 of it
    off = warped.apply(y, x)[0] - plain.apply(y, x)[0] - 0.3 * np.sin(k * x) * np.cos(k * y)
    inner = (np.abs(y - 10) < 8) & (np.abs(x - 11.2) < 9)
    assert np.abs(off[inner]).max() < 6e-5 * 0.3
    assert np.abs(off).max() < 0.3 * (k * 0.5) ** 3 * 5 / 16
    assert np.isnan(warped.apply([-0.1, 20.1, 5.0], [5.0, 5.0, 22.5])[0]).all()


def test_displacement_there_and_back():
    """A smooth 2-px distortion of 0.3 um on pixels of 0.15 um: the way back ends within a thousandth of a pixel."""
    field = wave((128, 160), (0.15, 0.15), size=0.3, period=9.6)
    there = affine(7, (2.0, -1.0), some_covariance(1), displacement=field, scale_y=1.03, scale_x=0.98)
    back = there.inverse()
    y, x = np.random.default_rng(0).uniform(0.3, 18.9, (2, 4000))
    np.testing.assert_allclose(back.apply(*there.apply(y, x)), (y, x), atol=1e-3 * 0.15)
    y, x = there.apply(y, x)
    np.testing.assert_allclose(there.apply(*back.apply(y, x)), (y, x), atol=1e-3 * 0.15)
    np.testing.assert_allclose(
        back.inverse().apply(*np.array([[5.0], [7.0]])), there.apply(*np.array([[5.0], [7.0]])), atol=1e-3 * 0.15
    )


def test_displacement_s_error_travels_back():
    """Moved by its own standard deviation, the field takes the way back along by what is stated."""
    step, there = 1e-5, affine(25, displacement=wave(sd=(1e-5, 0.0)), scale_y=1.1)
    raised = wave(sd=(1e-5, 0.0))
    raised["dy"] = raised.dy + step
    moved = affine(25, displacement=raised, scale_y=1.1)
    y, x = np.random.default_rng(0).uniform(3, 17, (2, 50))
    q = there.apply(y, x)
    change = np.subtract(moved.inverse().apply(*q), there.inverse().apply(*q)) / step
    error = there.inverse().position_error(*q)
    # the change is read off two splines, each right to 1e-5 of the field: 1e-2 of the step
    np.testing.assert_allclose(error.y_sd / step, np.abs(change[0]), atol=0.02)
    np.testing.assert_allclose(error.x_sd / step, np.abs(change[1]), atol=0.02)
    np.testing.assert_allclose(error.covariance_yx / step**2, change[0] * change[1], atol=0.03)


@pytest.mark.parametrize("which", ["first", "second", "both", "finer"])
def test_chain_of_displacements(which):
    one = wave() if which != "second" else None
    two = {"first": None, "finer": wave((150, 160), (0.2, 0.2), 0.2, 9.0)}.get(which, wave((60, 60), (0.6, 0.6), 0.2, 15.0))
    first = affine(8, (3.0, 2.0), some_covariance(1), one)
    then = affine(-20, (9.0, 9.0), some_covariance(2), two, scale_y=0.9)
    both = first.compose(then)
    y, x = np.random.default_rng(0).uniform(2, 18, (2, 500))
    moved = then.apply(*first.apply(y, x))
    assert np.isfinite(moved[0]).sum() > 300
    # as smooth as its parts: splines on 0.4 to 0.6 um grids of waves of 9 to 15 um, (5 / 384) (k h)⁴ of 0.3 um
    np.testing.assert_allclose(both.apply(y, x), moved, atol=3e-4)
    if which == "first":
        error, plain = (t.position_error(10.0, 10.0) for t in (both, affine(8, (3.0, 2.0), some_covariance(1)).compose(then)))
        turned = then.matrix[:2, :2] @ np.diag([0.02**2, 0.03**2]) @ then.matrix[:2, :2].T
        assert float(error.y_sd**2 - plain.y_sd**2) == pytest.approx(turned[0, 0], rel=1e-6)
        assert float(error.covariance_yx - plain.covariance_yx) == pytest.approx(turned[0, 1], rel=1e-6)
    if which == "second":  # where the second displacement is not known, nor is the whole
        assert np.isnan(both.apply(200.0, 200.0)).all()


@pytest.mark.parametrize("which", ["first", "then"])
def test_displacement_s_error_travels_along_a_chain(which):
    """The first field's error passes through the second's slopes; the second's is added where the first leads to."""
    step = 1e-5
    small, none = wave(sd=(step, 0.0)), wave(sd=(0.0, 0.0))
    raised = small.assign(dy=small.dy + step)

    def both(field):
        first, then = (field, none) if which == "first" else (none, field)
        return affine(8, (2.0, 3.0), displacement=first).compose(affine(-8, (-1.0, -2.0), displacement=then))

    y, x = np.random.default_rng(0).uniform(4, 14, (2, 50))
    change = np.subtract(both(raised).apply(y, x), both(small).apply(y, x)) / step
    error = both(small).position_error(y, x)
    # splines of the changed and the unchanged field, and linear variances: (k h)² / 8 = 0.01
    np.testing.assert_allclose(error.y_sd / step, np.abs(change[0]), atol=0.02)
    np.testing.assert_allclose(error.x_sd / step, np.abs(change[1]), atol=0.02)
    np.testing.assert_allclose(error.covariance_yx / step**2, change[0] * change[1], atol=0.03)
    assert np.ptp(change[0]) > 0.1 or which == "then"


def test_where_a_displacement_is_not_known():
    field = wave()
    field["dy"][10:15, 20:30] = np.nan
    holed = affine(displacement=field)
    y, x = float(field.y[12]), float(field.x[25])
    assert np.isnan(holed.apply(y, x)).all()
    assert np.isnan(float(holed.position_error(y, x).radius_95))
    assert np.isfinite(holed.apply(float(field.y[9]), x)).all()
    back = holed.inverse()
    assert np.isnan(back.apply(y, x)).all()
    outside = ~np.isnan(field.dy.values)
    share = np.isfinite(back.displacement.dy.values).mean()  # the inverse knows about as much area
    assert share == pytest.approx(outside.mean(), abs=0.04)
    # beside the hole it is still the plain wave: within half a node, the parabola run on
    beside = (float(field.y[9]) + 0.1, x)
    plain = affine(displacement=wave()).apply(*beside)
    np.testing.assert_allclose(holed.apply(*beside), plain, atol=0.002)


def test_round_trip_through_stores(tmp_path):
    field = wave()
    field["dx"][0, 0] = np.nan
    attrs = {"model": "deformable", "history": "ssbmaps.maps.register 1", "similarity": 0.7, "counts": np.array([1, 2])}
    for displacement in (None, field):
        there = affine(5, (1.0, 2.0), some_covariance(1), displacement, attrs)
        for name in ("there.zarr", "there.nc"):
            path = io.save(there.to_dataset(), tmp_path / name, overwrite=True)
            again = Transform.from_dataset(io.load(path))
            assert again.identical(there)
            assert again == there
            assert hash(again) == hash(there)
    turned = there.to_dataset().transpose("x", "y", "column", "row", "entry", "entry_2")
    assert Transform.from_dataset(turned).identical(there)
    assert pickle.loads(pickle.dumps(there)).identical(there)
    with pytest.raises(SsbmapsError, match="matrix: expected dims") as letter:
        Transform.from_dataset(turned.drop_vars(["matrix", "covariance"]))
    assert "covariance: expected dims" in str(letter.value)
    with pytest.raises(SsbmapsError, match=r"expected an xarray.Dataset, got Transform"):
        Transform.from_dataset(there)


def test_a_transform_is_a_value():
    matrix, field = np.array([[1.0, 0, 2], [0, 1, 3]]), wave()
    there = Transform(matrix, KNOWN, field, attrs={"model": "translation"})
    matrix[0, 2] = 9.0
    field["dy"][:] = 5.0
    assert there.matrix[0, 2] == 2.0
    assert float(there.displacement.dy.max()) < 1
    there.attrs["model"] = "affine"
    assert there.attrs == {"model": "translation"}
    with pytest.raises(AttributeError, match="matrix cannot be set, because a transform does not change"):
        there.matrix = np.eye(3)
    with pytest.raises(AttributeError, match="cannot be deleted"):
        del there.matrix
    with pytest.raises(ValueError, match="read-only"):
        there.matrix[0, 0] = 2.0
    with pytest.raises(ValueError, match="read-only"):
        there.displacement.dy.values[0, 0] = 2.0
    assert there != Transform(there.matrix, KNOWN, attrs={"model": "translation"})
    assert there != "translation"


def test_what_travels_and_what_a_colleague_reads():
    history = "ssbmaps.maps.register 0.1 {}"
    one = affine(3, (1.5, -2.0), some_covariance(1), wave(), {"model": "rigid", "history": history, "pairs": 3, "score": 0.5})
    two = affine(0, (0.0, 1.0), attrs={"model": "affine", "pairs": 3, "score": 0.7})
    both = one.compose(two)
    assert both.attrs["model"] == "rigid, then affine"
    assert both.attrs["pairs"] == 3
    assert "score" not in both.attrs
    assert both.attrs["history"].splitlines()[0] == history
    assert "maps.Transform.compose" in both.attrs["history"].splitlines()[1]
    back = one.inverse()
    assert back.attrs["model"] == "rigid"
    assert back.attrs["score"] == 0.5
    assert "maps.Transform.inverse" in back.attrs["history"]
    text = repr(one)
    assert "(rigid), moving map to reference" in text
    assert "+3° (anticlockwise" in text
    assert "y +1.5 um, x -2 um" in text
    assert "95 % within" in text
    assert "40 x 56 nodes, 0.5 x 0.4 um apart, known at 100%" in text
    assert "none: taken as known" in repr(two)
    shift_only = affine(covariance=np.diag([0, 0, 0.01, 0, 0, 0.01]))
    assert "error     95 % within 0.245 um>" in repr(shift_only)


NAN_FIELD = wave() * np.nan
BAD = {
    "singular": (([[1, 2, 0], [2, 4, 0]], KNOWN), "singular"),
    "zero": ((np.zeros((2, 3)), KNOWN), "singular"),
    "mirrored": (([[1, 0, 0], [0, -1, 5]], KNOWN), r"mirrors the map \(determinant -1\)"),
    "NaN": (([[1, 0, np.nan], [0, 1, 5]], KNOWN), "NaN or infinity"),
    "transposed": ((np.array([[1.0, 0, 0], [0, 1, 0], [3, 4, 1]]), KNOWN), "last row is"),
    "shape": ((np.eye(2), KNOWN), r"shape \(2, 2\); expected \(3, 3\) or \(2, 3\)"),
    "text": (("north", KNOWN), r"the matrix has the shape \(\)"),
    "no covariance": ((np.eye(3), None), "no covariance; expected"),
    "covariance shape": ((np.eye(3), np.zeros((3, 3))), r"covariance has the shape \(3, 3\)"),
    "asymmetric": ((np.eye(3), np.triu(np.ones((6, 6)))), "not symmetric"),
    "negative": ((np.eye(3), -np.eye(6)), "negative variance"),
    "impossible": ((np.eye(3), np.eye(6) - 2 * np.eye(6)[::-1]), "negative variance"),
    "infinite": ((np.eye(3), np.full((6, 6), np.inf)), "covariance holds NaN or infinity"),
    "no Dataset": ((np.eye(3), KNOWN, np.zeros((4, 4))), "expected an xarray.Dataset, got ndarray"),
    "no sd": ((np.eye(3), KNOWN, wave().drop_vars("dy_sd")), "variable dy_sd is missing"),
    "unit": ((np.eye(3), KNOWN, wave().assign(dy=wave().dy.assign_attrs(units="nm"))), "dy is in 'nm'; expected 'um'"),
    "dims": ((np.eye(3), KNOWN, wave().assign(dx=wave().dx[0])), r"dx has dims \('x',\)"),
    "unknown": ((np.eye(3), KNOWN, NAN_FIELD), "known nowhere"),
    "negative sd": ((np.eye(3), KNOWN, wave(sd=(-1.0, 0.0))), "negative standard deviations"),
    "correlation": (
        (np.eye(3), KNOWN, wave().assign(covariance_yx=(1.0 + 0 * wave().dy).assign_attrs(units="um2"))),
        "covariance_yx exceeds",
    ),
    "folded": ((np.eye(3), KNOWN, wave(size=3.0)), "folds the map over in"),
    "uneven": ((np.eye(3), KNOWN, wave().isel(y=[0, 1, 5, 6])), "not evenly spaced"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_transform(case):
    arguments, text = BAD[case]
    with pytest.raises(SsbmapsError, match=text) as letter:
        Transform(*arguments)
    if case != "uneven":
        assert isinstance(letter.value, RegistrationError)


def test_all_faults_in_one_letter_and_attributes_that_cannot_be_kept():
    with pytest.raises(RegistrationError, match="2 faults"):
        Transform(np.zeros((2, 3)), -np.eye(6))
    with pytest.raises(SsbmapsError, match="attribute 'fine'"):
        Transform(np.eye(3), KNOWN, attrs={"fine": True})
    with pytest.raises(SsbmapsError, match="expected a Transform, got ndarray"):
        affine().compose(np.eye(3))
    far = affine(shift=(500.0, 0.0), displacement=wave())
    with pytest.raises(RegistrationError, match="the displacements do not meet"):
        far.compose(far)
