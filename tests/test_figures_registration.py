"""The registration figure: panels, arrows and ellipses are the numbers of the check, and nothing runs over the page."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr

from ssbmaps import SsbmapsError, figures
from ssbmaps._conventions import raster_coords
from ssbmaps.figures._registration_sheet import ellipses


@cache
def _check(pairs=2, blocks=6):
    """A check made by hand: a disc, its outline, and blocks whose displacements and errors are chosen."""
    shape, um = (40, 60), {"units": "um"}
    coords = raster_coords(shape, (0.2, 0.2))
    y, x = np.meshgrid(coords["y"][1], coords["x"][1], indexing="ij")
    disc = 10.0 * (np.hypot(y - 4, x - 6) < 2.5)
    board = np.where(x > 9, np.nan, disc / 10)
    turn = np.linspace(0, 2 * np.pi, 50)
    line = np.column_stack([4 + 2.5 * np.sin(turn), 6 + 2.5 * np.cos(turn)])
    vertices = np.concatenate([line, line + np.array([0.1, 0.2])] * pairs)
    some = slice(0, blocks)
    return xr.Dataset(
        {
            "reference": (("pair", "y", "x"), np.stack([disc] * pairs)),
            "checkerboard": (("pair", "y", "x"), np.stack([board] * pairs)),
            "vertex_y": ("vertex", vertices[:, 0], um),
            "vertex_x": ("vertex", vertices[:, 1], um),
            "vertex_segment": ("vertex", np.repeat(np.arange(2 * pairs), 50)),
            "vertex_side": ("vertex", np.tile(np.repeat(["reference", "moved"], 50), pairs)),
            "vertex_pair": ("vertex", np.repeat(np.arange(pairs), 100)),
            "block_y": ("block", [2.0, 2.0, 2.0, 6.0, 6.0, 6.0][some], um),
            "block_x": ("block", [3.0, 6.0, 8.0, 3.0, 6.0, 8.0][some], um),
            "residual_y": ("block", [0.02, -0.01, 0.0, 0.01, 0.0, -0.03][some], um),
            "residual_x": ("block", [0.03, 0.01, 0.01, -0.02, 0.2, 0.0][some], um),
            "residual_y_sd": ("block", [0.01, 0.01, 0.02, 0.01, 0.01, 0.01][some], um),
            "residual_x_sd": ("block", [0.01, 0.03, 0.02, 0.01, 0.3, 0.01][some], um),
            "residual_covariance_yx": ("block", [0.0, 0.0, 0.0002, -5e-5, 0.0, 0.0][some], {"units": "um2"}),
            "p_value": ("block", [0.001, 0.5, 0.6, 0.2, 0.5, 0.005][some]),
        },
        {"pair": ["S- ~ S LVV", "NiO2- ~ Ni LMM"][:pairs], **coords},
        {"statement": "Blocks are displaced by 0.03 um rms beyond their errors (p = 0.002, 6 blocks); the map does not fit."},
    )


def _by_gid(axes, gid):
    return [c for c in axes.collections if c.get_gid() == gid]


def _words(fig):
    return " ".join(" ".join(t.get_text() for t in fig.texts).split())


def test_three_panels_for_each_pair_hold_the_check_s_images():
    check = _check()
    fig = figures.registration_figure(check)
    assert len(fig.axes) == 6
    for i, axes in enumerate(fig.axes):
        name = "reference" if i % 3 else "checkerboard"
        drawn = np.ma.filled(axes.images[0].get_array().astype(float), np.nan)
        np.testing.assert_array_equal(drawn, check[name].values[i // 3])
        assert axes.images[0].get_extent() == pytest.approx([0, 12, 8, 0])
    assert [a.get_title(loc="left") for a in fig.axes[:3]] == ["both in squares", "outlines", "blocks"]
    assert len(figures.registration_figure(check, pairs=["NiO2- ~ Ni LMM"]).axes) == 3


def test_outlines_are_those_of_the_pair_one_colour_for_each_side():
    check = _check()
    fig = figures.registration_figure(check)
    for pair, axes in enumerate(fig.axes[1::3]):
        (own,), (moved,) = (_by_gid(axes, f"outline-{side}") for side in ("reference", "moved"))
        (line,), (other,) = own.get_segments(), moved.get_segments()
        np.testing.assert_allclose(other - line, np.tile([0.2, 0.1], (50, 1)))  # x, y
        np.testing.assert_allclose(line[:, 1], check.vertex_y.values[100 * pair : 100 * pair + 50])
        assert not np.allclose(own.get_colors(), moved.get_colors())


def test_arrows_point_where_the_map_should_go_and_are_as_long_as_said():
    check = _check()
    fig = figures.registration_figure(check, magnify=10)
    for axes in fig.axes[2::3]:
        (arrows,), (tips,) = _by_gid(axes, "residuals"), _by_gid(axes, "errors")
        np.testing.assert_allclose(arrows.get_offsets(), np.column_stack([check.block_x, check.block_y]))
        np.testing.assert_allclose(arrows.U, 10 * check.residual_x.values)
        np.testing.assert_allclose(arrows.V, 10 * check.residual_y.values)
        np.testing.assert_allclose(tips.get_offsets()[0], [3.3, 2.2])
        assert (arrows.angles, arrows.scale_units, arrows.scale) == ("xy", "xy", 1)
    assert "× 10;" in _words(fig)
    fig.canvas.draw()  # on the page a displacement down the map points down
    (arrows,) = _by_gid(fig.axes[2], "residuals")
    path = arrows.get_paths()[0].vertices
    tip = path[np.hypot(*path.T).argmax()]
    assert tip[0] > 0
    assert tip[1] < 0


def test_ellipses_have_the_axes_and_the_direction_of_the_covariance():
    check = _check()
    long, short, angle = ellipses(check)
    for i in range(check.sizes["block"]):
        y, x, cov = (float(check[n][i]) for n in ("residual_y_sd", "residual_x_sd", "residual_covariance_yx"))
        values, vectors = np.linalg.eigh([[x**2, cov], [cov, y**2]])
        assert [short[i] ** 2, long[i] ** 2] == pytest.approx(values, abs=1e-12)
        if values[1] - values[0] > 1e-9:
            along = [np.cos(np.radians(angle[i])), np.sin(np.radians(angle[i]))]
            assert abs(np.dot(along, vectors[:, 1])) == pytest.approx(1)


def test_colour_says_what_is_beyond_its_error_and_strength_how_well_it_is_known():
    fig = figures.registration_figure(_check(), magnify=10)
    (tips,) = _by_gid(fig.axes[2], "errors")
    colours = tips.get_edgecolors()
    assert np.allclose(colours[[0, 5], :3], colours[0, :3])
    assert not np.allclose(colours[0, :3], colours[1, :3])
    # half of a block's side: the last pixel's centre lies 11.8 um from the first one's, over 16
    assert colours[0, 3] == pytest.approx(1 / (1 + (10 * 0.01 / (11.8 / 16)) ** 2))
    assert colours[4, 3] < 0.1
    words = _words(fig)
    assert "blocks within their errors (4)" in words
    assert "not, at p < 0.01 (2; by chance 0.06)" in words


def test_the_usual_magnification_is_round_and_keeps_arrows_apart():
    fig = figures.registration_figure(_check())
    (arrows,) = _by_gid(fig.axes[2], "residuals")
    factor = arrows.V[0] / 0.02
    assert f"× {factor:.0f};" in _words(fig)
    assert factor in (1, 2, 5, 10, 20, 50, 100)
    length = np.hypot(arrows.U, arrows.V)
    assert np.median(length) < 11.8 / 8


def test_statement_and_what_was_not_measured_are_said():
    words = _words(figures.registration_figure(_check()))
    assert "Blocks are displaced by 0.03 µm rms beyond their errors (p = 0.002, 6 blocks); the map does not fit" in words
    assert "not measured in both" in words
    whole = _check().fillna(0.0)
    assert "not measured" not in _words(figures.registration_figure(whole))


def test_no_block_no_arrow():
    fig = figures.registration_figure(_check(blocks=0).assign_attrs(statement="Not shown to hold."))
    assert not _by_gid(fig.axes[2], "residuals")
    assert "arrows" not in _words(fig)
    assert "Not shown to hold" in _words(fig)


@pytest.mark.parametrize("width", [83.0, 171.0])
@pytest.mark.parametrize("shape", [(2, 6), (1, 6), (2, 0)])
def test_nothing_is_cut_by_the_page(width, shape):
    fig = figures.registration_figure(_check(*shape))
    fig.fit_width(width)
    fig.canvas.draw()
    page, renderer = fig.bbox, fig.canvas.get_renderer()
    boxes = [t.get_window_extent(renderer) for t in fig.texts] + [a.get_window_extent(renderer) for a in fig.axes]
    boxes += [a.title.get_window_extent(renderer) for a in fig.axes]
    assert all(b.x0 >= -1 and b.y0 >= -1 and b.x1 <= page.x1 + 1 and b.y1 <= page.y1 + 1 for b in boxes)
    assert fig.get_figwidth() * 25.4 == pytest.approx(width)
    assert fig.get_figheight() * 25.4 <= 230.1
    (bar,) = (p for a in fig.axes for p in a.patches if p.get_gid() == "scale-bar")
    assert bar.get_width() == pytest.approx(2.0)  # um, of 12


def test_a_tall_map_of_many_pairs_stays_on_the_page():
    one = _check().isel(x=slice(0, 15))
    many = xr.concat([one[["reference", "checkerboard"]].isel(pair=[0])] * 5, "pair").assign_coords(pair=list("abcde"))
    check = many.assign({n: one[n] for n in one.data_vars if n not in many}).assign_attrs(one.attrs)
    fig = figures.registration_figure(check)
    for width in (83.0, 171.0):
        fig.fit_width(width)
        assert fig.get_figheight() * 25.4 <= 230.1
        ratio = [a.get_position().height * fig.get_figheight() / (a.get_position().width * fig.get_figwidth()) for a in fig.axes]
        assert ratio == pytest.approx([8 / 3] * 15)


def test_refusals():
    with pytest.raises(SsbmapsError, match=r"p_value missing; expected what maps\.check_registration returns"):
        figures.registration_figure(_check().drop_vars("p_value"))
    with pytest.raises(SsbmapsError, match=r"(?s)pair X is not in the check, which holds S- ~ S LVV.*magnify is 0"):
        figures.registration_figure(_check(), pairs=["X"], magnify=0)
    with pytest.raises(SsbmapsError, match="pairs is empty"):
        figures.registration_figure(_check(), pairs=[])


def test_input_is_unchanged():
    check = _check()
    before = check.copy(deep=True)
    figures.registration_figure(check)
    xr.testing.assert_identical(check, before)
