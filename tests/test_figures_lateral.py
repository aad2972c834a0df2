"""Figures of lateral layers, comparisons and damage: what is drawn is the result, words are whole, wrong input is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr

from ssbmaps import SsbmapsError, figures
from ssbmaps.interfaces import compare_with_and_without, damage_suspicion, detect_lateral_layer, edge_distance, inner_region


@cache
def _maps():
    rng = np.random.default_rng(21)
    place = {d: (np.arange(n) + 0.5) * 0.2 for d, n in (("y", 64), ("x", 96))}
    s = np.maximum(place["x"] - 2.0, 0) * np.ones((64, 1))
    inside = (place["x"] > 2.0) * np.ones((64, 1))
    values = rng.poisson([inside * 5 * (1 + 0.8 * np.exp(-s / 1.5)) + 0.2, inside * 3.0 + 0.2])
    return xr.DataArray(values, {"fragment": ["LiF2-", "S-"], **place}, ("fragment", "y", "x"), attrs={"units": "counts"})


@cache
def _distance():
    return edge_distance(_maps(), edge=((0.0, 2.0), (1.0, 2.0)))


@cache
def _layer():
    return detect_lateral_layer(_maps(), _distance())


def _printed(fig):
    return " ".join(t.get_text() for t in fig.texts)


def _inside_page(fig):
    page, renderer = fig.bbox, fig.canvas.get_renderer()
    boxes = [t.get_window_extent(renderer) for t in fig.texts] + [a.get_tightbbox(renderer) for a in fig.axes]
    return all(b.x0 >= -1 and b.x1 <= page.width + 1 and b.y0 >= -1 and b.y1 <= page.height + 1 for b in boxes)


def test_layer_figure_draws_profile_model_and_map():
    fig = figures.lateral_layer_figure(_layer(), _maps(), _distance(), fragment="LiF2-")
    map_, profile = fig.axes
    one = _layer().sel(fragment="LiF2-")
    np.testing.assert_allclose(map_.images[0].get_array(), _maps().sel(fragment="LiF2-"))
    known = np.isfinite(one.profile.values)
    curves = [line.get_ydata() for line in profile.get_lines() if len(line.get_ydata()) == known.sum()]
    for name in ("profile", "model", "inner_model"):
        assert any(np.allclose(c, one[name].values[known]) for c in curves), name
    assert any(np.allclose(line.get_xdata(), float(one.inner_distance)) for line in profile.get_lines())
    lines = [c for c in map_.collections if c.get_gid() == "contour"]
    assert [float(np.mean([p.vertices[:, 0].mean() for p in c.get_paths()])) for c in lines] == pytest.approx(
        [2.0, 2.0 + float(one.inner_distance)], abs=0.02
    )
    for width in (83.0, 171.0):
        fig.fit_width(width)
        assert str(one.statement.values).replace(" um", " µm") in _printed(fig)
        assert "cause not identified" in _printed(fig)
        assert "not concentration" in _printed(fig)
        assert _inside_page(fig)


def test_layer_figure_without_a_layer_has_no_inner_distance():
    fig = figures.lateral_layer_figure(_layer(), _maps().transpose("x", "y", "fragment"), _distance().T, fragment="S-")
    assert "no change towards the edge beyond noise" in _printed(fig)
    assert len([c for c in fig.axes[0].collections if c.get_gid() == "contour"]) == 1
    assert not fig.axes[1].patches


def test_layer_figure_of_phases_scans_and_what_is_not_testable():
    maps = _maps().isel(fragment=0, drop=True)
    attrs = {"flag_values": np.array([1, 2]), "flag_meanings": "NMC carbon"}
    labels = xr.DataArray(np.ones((64, 96), "int16"), {"y": maps.y, "x": maps.x}, ("y", "x"), attrs=attrs)
    found = detect_lateral_layer(maps, _distance(), labels=labels)
    fig = figures.lateral_layer_figure(found, maps.expand_dims(scan=1), _distance(), phase="carbon")
    assert "not testable: 0 distance bins hold pixels" in _printed(fig)
    assert figures.lateral_layer_figure(found, maps, _distance(), phase="NMC").axes[0].get_title(loc="left") == "NMC"


def test_layer_figure_refusals():
    with pytest.raises(SsbmapsError, match=r"detected, .* missing; expected what interfaces\.detect_lateral_layer returns"):
        figures.lateral_layer_figure(xr.Dataset(), _maps(), _distance())
    with pytest.raises(SsbmapsError, match="there are 2 fragments; name one of LiF2-, S- with fragment="):
        figures.lateral_layer_figure(_layer(), _maps(), _distance())
    with pytest.raises(SsbmapsError, match="fragment 'O-' is not in the result"):
        figures.lateral_layer_figure(_layer(), _maps(), _distance(), fragment="O-")
    with pytest.raises(SsbmapsError, match="phase='NMC', but the result has no phases"):
        figures.lateral_layer_figure(_layer(), _maps(), _distance(), fragment="S-", phase="NMC")


def _levels(maps):
    used = maps.where(maps.measured) if "measured" in maps.coords else maps
    n, total = used.count(["y", "x"]), used.sum(["y", "x"])
    result = xr.Dataset({"level": total / n, "level_sd": total**0.5 / n}, {"fragment": maps.fragment})
    result.level.attrs["units"] = "counts"
    return result


@cache
def _both():
    return compare_with_and_without(_levels, _maps(), where=inner_region(_distance(), margin=3.0))


def test_comparison_draws_both_values_with_intervals_and_says_the_difference():
    fig = figures.comparison_figure(_both())
    assert [axes.get_title(loc="left") for axes in fig.axes] == [
        r"level, $\mathrm{LiF_{2}^{-}}$ (counts)",
        r"level, $\mathrm{S^{-}}$ (counts)",
    ]
    for i, axes in enumerate(fig.axes):
        bars, dots = axes.get_lines()[::2], axes.get_lines()[1::2]
        np.testing.assert_allclose([d.get_xdata()[0] for d in dots], _both().level.isel(fragment=i))
        half = [np.ptp(b.get_xdata()) / 2 for b in bars]
        np.testing.assert_allclose(half, 1.959964 * _both().level_sd.isel(fragment=i))
    for width in (83.0, 171.0):
        fig.fit_width(width)
        text = f"{float(_both().level_difference[1]):+.2g} ± {float(_both().level_difference_sd[1]):.2g}".replace("-", "−")
        assert text in _printed(fig)
        assert "overlap of the bars" in _printed(fig)
        assert _inside_page(fig)


def test_comparison_refusals():
    with pytest.raises(SsbmapsError, match="no dimension layer; expected what"):
        figures.comparison_figure(xr.Dataset())
    with pytest.raises(SsbmapsError, match="depth to draw from the result, which holds level"):
        figures.comparison_figure(_both(), names="depth")
    table = xr.Dataset({"a": ("k", np.ones(26)), "a_sd": ("k", np.ones(26))})
    many = compare_with_and_without(lambda _: table, _maps(), where=inner_region(_distance(), margin=3.0))
    with pytest.raises(SsbmapsError, match="26 rows to draw; expected 1 to 12"):
        figures.comparison_figure(many)


@cache
def _damage():
    k = np.arange(20)
    mean = np.stack([2000 * (1 - 0.5 * np.exp(-k / 8)), 1500 * np.exp(-k / 12), 900 + 0 * k, 500 + 0 * k], axis=1)
    place = {"scan": k, "fragment": ["LiF-", "SO2F-", "Li2O-", "CO3-"]}
    counts = xr.DataArray(np.random.default_rng(0).poisson(mean), place, ("scan", "fragment"), attrs={"units": "counts"})
    return damage_suspicion(counts, sputter_beam="Ar1500+")


def test_damage_figure_draws_totals_over_their_trend():
    fig = figures.damage_figure(_damage())
    for i, name in enumerate(("LiF-", "SO2F-")):
        row = _damage().sel(fragment=name)
        level = float(row.trend.mean())
        points = fig.axes[0].containers[i].lines[0]
        np.testing.assert_allclose(points.get_ydata(), row.total / level)
        assert any(
            len(line.get_ydata()) == 20 and np.allclose(line.get_ydata(), row.trend / level) for line in fig.axes[0].get_lines()
        )
    for width in (83.0, 171.0):
        fig.fit_width(width)
        assert "compatible with damage; also compatible with a real gradient in depth" in _printed(fig)
        assert "sputter beam Ar1500+ (gas cluster); primary beam not stated" in _printed(fig)
        assert _inside_page(fig)
    other = figures.damage_figure(_damage(), rule="Li2O- from CO3-")
    assert "no joint trend of Li2O- and CO3- beyond noise" in _printed(other)


def test_damage_refusals(tmp_path):
    with pytest.raises(SsbmapsError, match="missing; expected what"):
        figures.damage_figure(xr.Dataset())
    with pytest.raises(SsbmapsError, match="rule 'x' is not in the result, which holds LiF- from SO2F-"):
        figures.damage_figure(_damage(), rule="x")
    with pytest.raises(SsbmapsError, match="phase='a', but the result has no phases"):
        figures.damage_figure(_damage(), phase="a")
    two = _damage().expand_dims(phase=["a", "b"])
    with pytest.raises(SsbmapsError, match="there are 2 phases; name one of a, b"):
        figures.damage_figure(two)
    figures.save(figures.damage_figure(two, phase="b"), tmp_path / "damage.pdf")
    assert (tmp_path / "damage.pdf").stat().st_size > 5000
    empty = _damage().assign(total=_damage().total * 0)
    with pytest.raises(SsbmapsError, match="LiF- from SO2F- cannot be drawn"):
        figures.damage_figure(empty)
