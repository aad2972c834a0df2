"""Figures of a measured interphase: colours and points are the numbers of the result, what is not measured is not drawn."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sparse
import xarray as xr
from skimage.measure import find_contours

from ssbmaps import SsbmapsError, figures, synthetic
from ssbmaps._conventions import raster_coords
from ssbmaps.figures._summary_words import numbers_of
from ssbmaps.figures._thickness_outline import DARKER, THICKNESS_MAP
from ssbmaps.interfaces import fit_interphase

SHELLS = {"POx": ["PO2-", "PO3-"], "SOx": ["SO2-", "SO3-"]}
PIECES = 8


@cache
def _section(thickness=0.2, geometry="disc"):
    layout = synthetic.Layout(fibres=0, voids=0, cracked=0, radius=(0.6, 1.4))
    options = {"thickness": thickness, "thickness_SOx": 0.08 if thickness else 0.0, "geometry": geometry, "layout": layout}
    return synthetic.cross_section(seed=2, shape=(96, 112), n_scans=2, **options)


@cache
def _result(thickness=0.2, geometry="disc"):
    """A fit on the true distance, with that distance's outline in pieces whose thickness is made up; the last is not measured."""
    section = _section(thickness, geometry)
    kind = "planar" if geometry == "planar" else "particles"
    found = fit_interphase(section.counts, section.distance, core="NiO2-", shell=SHELLS, geometry=kind)
    pixel = float(section.x[1] - section.x[0])
    lines = [(line + 0.5) * pixel for line in find_contours(section.distance.values, 0.0) if len(line) > 2 * PIECES]
    number = np.concatenate([np.arange(len(line)) * PIECES // len(line) + i * PIECES for i, line in enumerate(lines)])
    n = PIECES * len(lines)
    values = np.tile(0.2 + 0.01 * np.arange(n), (2, 1))
    values[:, -1] = np.nan
    steps = np.concatenate([np.append(np.hypot(*np.diff(line, axis=0).T), 0.0) for line in lines])
    return found.assign(
        vertex_y=("vertex", np.concatenate(lines)[:, 0]),
        vertex_x=("vertex", np.concatenate(lines)[:, 1]),
        vertex_segment=("vertex", number),
        segment_length=("segment", np.bincount(number, steps)),
        segment_particle=("segment", np.repeat(np.arange(1, len(lines) + 1), PIECES)),
        segment_contact=("segment", np.isfinite(values[0]).astype(float)),
        segment_thickness=(("shell", "segment"), values),
        segment_thickness_sd=(("shell", "segment"), np.tile(np.linspace(0.01, 0.06, n), (2, 1))),
    )


def _lines(fig, gid, panel=0):
    return next((c for c in fig.axes[panel].collections if c.get_gid() == gid), None)


def _words(fig):
    return " ".join(t.get_text() for t in fig.texts)


def _inside_the_page(fig):
    """No text of the figure, its axes' names and ticks included, is cut by the page."""
    fig.canvas.draw()
    page, renderer = fig.bbox, fig.canvas.get_renderer()
    boxes = [t.get_window_extent(renderer) for t in fig.texts] + [axes.get_tightbbox(renderer) for axes in fig.axes]
    return all(b.x0 >= -1 and b.y0 >= -1 and b.x1 <= page.x1 + 1 and b.y1 <= page.y1 + 1 for b in boxes)


# ------------------------------------------------------------------------------------------------ thickness along the outline


def test_colours_are_the_thickness_and_fade_with_its_error():
    """Colours computed here from the map's own definition; strength 1 / (1 + (s/h)²) with h half of the shown 300 nm."""
    from cmcrameri import cm

    one = _result().sel(shell="POx")
    fig = figures.thickness_map_figure(_section().counts, _result(), shell="POx", limits=(0.1, 0.4))
    thick = _lines(fig, "outline-thickness")
    known = np.isfinite(one.segment_thickness.values)
    share = (one.segment_thickness.values[known] - 0.1) / 0.3
    # the scale has 256 steps of the map's first four fifths: half a step is 0.002 of the map, 0.006 of a colour's channel
    np.testing.assert_allclose(
        thick.get_colors()[:, :3], cm.cmaps[THICKNESS_MAP](DARKER * np.clip(share, 0, 1))[:, :3], atol=0.015
    )
    strength = 1 / (1 + (one.segment_thickness_sd.values[known] / 0.15) ** 2)
    np.testing.assert_allclose(thick.get_colors()[:, 3], strength)
    assert "half strength: ± 150 nm" in _words(fig)
    assert "colours from 100 to 400" in _words(fig)


def test_pieces_lie_where_the_result_puts_them_and_meet():
    one = _result().sel(shell="POx")
    fig = figures.thickness_map_figure(_section().counts, _result(), shell="POx")
    drawn = [np.asarray(s) for s in _lines(fig, "outline-edging").get_segments()]
    for i, line in enumerate(drawn):
        own = one.vertex_segment.values == i
        expected = np.column_stack([one.vertex_x.values[own], one.vertex_y.values[own]])
        np.testing.assert_allclose(line[: len(expected)], expected)
        if i < len(drawn) - 1:
            np.testing.assert_allclose(line[-1], drawn[i + 1][0])
    (x0, y0), (x1, y1) = np.vstack(drawn).min(axis=0), np.vstack(drawn).max(axis=0)
    radius = float(_section().particle_radius[0])
    assert np.allclose([x1 - x0, y1 - y0], 2 * radius, atol=0.02)  # to a fifth of a pixel


def test_what_is_not_measured_is_a_thin_grey_line():
    fig = figures.thickness_map_figure(_section().counts, _result(), shell="POx")
    thin, thick = _lines(fig, "outline-not-measured"), _lines(fig, "outline-thickness")
    assert len(thin.get_segments()) == 1
    assert len(thick.get_segments()) == PIECES - 1
    red, green, blue, alpha = thin.get_colors()[0]
    assert red == green == blue
    assert alpha == 1
    assert thin.get_linewidths()[0] < thick.get_linewidths()[0] / 3
    one = _result().sel(shell="POx")
    share = float(one.segment_length[-1] / one.segment_length.sum())
    assert f"thin line: {share:.0%} of the outline, out of contact or not measured" in _words(fig)
    no_error = _result().copy(deep=True)
    no_error.segment_thickness_sd[:, 2] = np.nan
    fig = figures.thickness_map_figure(_section().counts, no_error, shell="POx")
    assert len(_lines(fig, "outline-not-measured").get_segments()) == 2


def test_a_shell_that_is_not_resolved_has_no_colours_even_if_pieces_hold_values():
    result = _result()
    assert int(result.resolved.sel(shell="SOx")) == 0
    fig = figures.thickness_map_figure(_section().counts, result, shell="SOx")
    assert _lines(fig, "outline-thickness") is None
    assert len(fig.axes) == 1
    limit = 1e3 * float(result.upper_limit.sel(shell="SOx"))
    assert f"not resolved: thickness < {limit:.0f} nm (95 %)" in _words(fig)
    fig = figures.thickness_map_figure(_section(0.0).counts, _result(0.0), shell="POx")
    assert "not resolved: not distinguishable from the reference contact" in " ".join(_words(fig).split())


def test_scatter_in_standard_errors_is_one_for_noise_alone():
    """400 pieces of noise: the rms over its standard error is 1 ± 0.035; twice the noise at the same error is 2 ± 0.07."""
    noise = np.random.default_rng(1).standard_normal((1, 400))
    n = 400
    turn = np.linspace(0, 2 * np.pi, 4 * n, endpoint=False)
    for factor in (1, 2):
        result = xr.Dataset(
            {
                **{k: ("shell", [v]) for k, v in {"thickness": 0.2, "thickness_low": 0.1, "thickness_high": 0.3}.items()},
                **{k: ("shell", [v]) for k, v in {"upper_limit": np.nan, "resolved": 1, "above_noise": 1}.items()},
                "statement": ("shell", ["200 nm"]),
                "vertex_y": ("vertex", 4.8 + 3 * np.sin(turn)),
                "vertex_x": ("vertex", 5.6 + 3 * np.cos(turn)),
                "vertex_segment": ("vertex", np.arange(4 * n) // 4),
                "segment_length": ("segment", np.full(n, 0.05)),
                "segment_particle": ("segment", np.ones(n, int)),
                "segment_thickness": (("shell", "segment"), 0.2 + 0.02 * factor * noise),
                "segment_thickness_sd": (("shell", "segment"), np.full((1, n), 0.02)),
            },
            coords={"shell": ["POx"]},
        )
        fig = figures.thickness_map_figure(_section().counts.sum("scan").sel(fragment="NiO2-"), result)
        found = float(_words(fig).split(" × their")[0].split()[-1])
        assert found == pytest.approx(factor, abs=0.1 * factor)
        # the 5th and 95th percentile of a normal distribution: 1.645 s.d. either side of 200 nm, each known to 0.1 s.d.
        low, high = fig.axes[1].get_xlim()
        assert [low, high] == pytest.approx([200 - 32.9 * factor, 200 + 32.9 * factor], abs=8 * factor)


def test_uncertain_pieces_do_not_stretch_the_scale():
    result = _result().copy(deep=True)
    before = figures.thickness_map_figure(_section().counts, result, shell="POx").axes[1].get_xlim()
    result.segment_thickness[:, 3], result.segment_thickness_sd[:, 3] = 3.0, 2.0
    fig = figures.thickness_map_figure(_section().counts, result, shell="POx")
    assert fig.axes[1].get_xlim()[1] <= before[1]
    assert np.sort(_lines(fig, "outline-thickness").get_colors()[:, 3])[0] < 0.01


def test_the_map_beneath_is_the_core_s_and_containers_agree():
    counts = _section().counts
    fig = figures.thickness_map_figure(counts, _result(), shell="POx")
    expected = counts.sel(fragment="NiO2-").sum("scan").values
    np.testing.assert_array_equal(fig.axes[0].images[0].get_array(), expected)
    for same in (counts.copy(data=sparse.COO.from_numpy(counts.values)), counts.chunk(scan=1), counts.transpose(..., "scan")):
        other = figures.thickness_map_figure(same, _result(), shell="POx")
        np.testing.assert_array_equal(other.axes[0].images[0].get_array(), expected)
    fig = figures.thickness_map_figure(counts, _result(), shell="POx", fragments=["PO2-", "PO3-"])
    both = counts.sel(fragment=["PO2-", "PO3-"]).sum(("scan", "fragment")).values
    np.testing.assert_array_equal(fig.axes[0].images[0].get_array(), both)


def test_unmeasured_pixels_have_a_colour_and_a_name():
    known = np.ones((96, 112), bool)
    known[:5] = False
    counts = _section().counts.assign_coords(measured=(("y", "x"), known))
    fig = figures.thickness_map_figure(counts, _result(), shell="POx")
    assert fig.axes[0].images[0].get_array().mask[:5].all()
    assert "not measured" in [t.get_text() for t in fig.texts]
    red, _, blue, _ = fig.axes[0].get_facecolor()
    assert red > blue  # no grey
    assert "grey: not measured" in _words(figures.interphase_summary_figure(counts, _result(), shell="POx"))


def test_technique_and_apparent_are_said():
    counts = _section().counts.assign_attrs(technique="tof-sims")
    fig = figures.thickness_map_figure(counts, _result(), shell="POx")
    assert fig.axes[0].get_title(loc="left") == r"apparent thickness of $\mathrm{PO}_x$ (nm), ToF-SIMS"


@pytest.mark.parametrize("width", [83.0, 171.0])
def test_nothing_is_cut_by_the_page(width):
    for fig in (
        figures.thickness_map_figure(_section().counts, _result(), shell="POx"),
        figures.thickness_map_figure(_section(0.0).counts, _result(0.0), shell="POx"),
        figures.particle_thickness_figure(_result(), shell="POx"),
        figures.particle_thickness_figure({"pristine": _result(0.0), "cycled": _result()}, shell="SOx"),
    ):
        fig.fit_width(width)
        assert _inside_the_page(fig)


# ---------------------------------------------------------------------------------------------------------------- particles


def _particles(thickness, error, perimeter, *, resolved=1, pooled=0.2, limit=np.nan):
    return xr.Dataset(
        {
            **{k: ("shell", [v]) for k, v in {"thickness": pooled, "thickness_low": 0.16, "thickness_high": 0.25}.items()},
            **{k: ("shell", [v]) for k, v in {"upper_limit": limit, "resolved": resolved, "above_noise": 1}.items()},
            "statement": ("shell", [""]),
            "particle_thickness": (("shell", "particle"), [thickness]),
            "particle_thickness_sd": (("shell", "particle"), [error]),
            "particle_perimeter": ("particle", perimeter),
        },
        coords={"shell": ["POx"]},
    )


def test_points_band_and_histogram_are_the_result_s_and_weighted_by_perimeter():
    """By hand: perimeters 1, 2, 5 of 8 with 100, 200, 220 nm: mean 200 nm; squares (10000 + 0 + 5 × 400)/8 = 1500, over
    1 − 30/64: spread 53.1 nm. Errors of 16 nm alone make Σ w(1 − w) 16² over the same: 16 nm.
    """
    result = _particles([0.1, 0.2, 0.22, np.nan], [0.016, 0.016, 0.016, np.nan], [1.0, 2.0, 5.0, 3.0])
    fig = figures.particle_thickness_figure(result)
    points, side = fig.axes
    (cloud,) = (c for c in points.collections if len(c.get_offsets()) == 3)
    np.testing.assert_allclose(cloud.get_offsets(), [[1, 100], [2, 200], [5, 220]])
    assert cloud.get_sizes()[2] / cloud.get_sizes()[1] == pytest.approx(2.5)
    band = points.patches[0].get_bbox()
    assert (band.y0, band.y1) == pytest.approx((160, 250))
    assert any(np.allclose(line.get_ydata(), 200) for line in points.get_lines())
    (ticks,) = (line for line in points.get_lines() if line.get_marker() == "|")
    assert list(ticks.get_xdata()) == [3.0]
    outline = np.vstack([p.get_xy() for p in side.patches])
    share = {y: outline[np.isclose(outline[:, 1], y), 0].max() for y in (100.0, 150.0, 200.0, 250.0)}  # bins of 50 nm
    assert share == pytest.approx({100.0: 1 / 8, 150.0: 1 / 8, 200.0: 7 / 8, 250.0: 7 / 8})
    assert "3 of 4 particles, mean 200 nm, spread 53 nm (standard errors alone: 16 nm)" in " ".join(_words(fig).split())
    assert points.get_ylabel() == r"apparent thickness of $\mathrm{PO}_x$ (nm)"


def test_samples_stand_side_by_side_on_common_axes():
    first = _particles([0.1, 0.12], [0.01, 0.01], [3.0, 6.0], pooled=0.11)
    second = _particles([np.nan], [np.nan], [4.0], resolved=0, limit=0.3)
    fig = figures.particle_thickness_figure({"pristine": second, "cycled 100×": first})
    left, right, side = fig.axes
    assert left.get_ylim() == right.get_ylim() == side.get_ylim()
    assert left.get_ylim()[0] <= 0
    assert left.get_ylim()[1] > 300
    assert any(np.allclose(line.get_ydata(), 300) for line in left.get_lines())
    words = " ".join(_words(fig).split())
    assert "pristine: not resolved, thickness < 300 nm (95 %)" in words
    assert "cycled 100×: 2 particles, mean 113 nm" in words


def test_one_particle_and_equal_particles_are_drawn_without_a_made_up_spread():
    words = _words(figures.particle_thickness_figure(_particles([0.2], [0.01], [3.0])))
    assert "1 particles" not in words
    assert "1 particle, 200 nm" in words
    assert "spread" not in words.split("mean and spread")[0]
    fig = figures.particle_thickness_figure(_particles([0.2, 0.2], [0.01, 0.01], [3.0, 3.0]))
    assert "mean 200 nm, spread 0 nm" in _words(fig)


def test_an_unresolved_shell_draws_no_particles_though_the_result_holds_some():
    assert np.isfinite(_result().particle_thickness.sel(shell="SOx")).any()
    fig = figures.particle_thickness_figure(_result(), shell="SOx")
    assert not fig.axes[0].collections
    assert not fig.axes[1].patches


# ------------------------------------------------------------------------------------------------------------------ summary


def test_summary_holds_maps_profile_particles_words_and_numbers():
    one = _result().sel(shell="POx")
    counts = _section().counts
    fig = figures.interphase_summary_figure(counts, _result(), shell="POx", title="cycled 100×")
    words = " ".join(_words(fig).split())
    assert str(one.statement.values) in words
    for label, value in numbers_of(one):
        assert label in words
        assert value in words
    assert "cycled 100×" in words
    along = next(axes for axes in fig.axes if any(c.get_gid() == "outline-thickness" for c in axes.collections))
    np.testing.assert_array_equal(along.images[0].get_array(), counts.sel(fragment="NiO2-").sum("scan").values)
    assert [c.get_gid() for c in fig.axes[0].collections] == ["contour"]
    models = [line.get_ydata() for axes in fig.axes for line in axes.get_lines()]
    expected = one.shell_model.values[np.isfinite(one.shell_profile.values)]
    assert any(len(m) == len(expected) and np.allclose(m, expected) for m in models)
    assert fig.get_figwidth() * 25.4 == pytest.approx(171)


def test_summary_at_every_kind_of_result_stays_on_its_page():
    for thickness, geometry, shell in ((0.2, "disc", "POx"), (0.2, "disc", "SOx"), (0.0, "disc", "POx"), (0.2, "planar", "POx")):
        section, result = _section(thickness, geometry), _result(thickness, geometry)
        fig = figures.interphase_summary_figure(section.counts, result, shell=shell)
        for width in (171.0, 190.0):
            fig.fit_width(width)
            assert _inside_the_page(fig)
            assert fig.get_figheight() * 25.4 <= 230.1
        letters = [t.get_text()[len(r"$\mathbf{")] for t in fig.texts if t.get_text().startswith(r"$\mathbf{")]
        assert letters == (["a", "b", "c"] if geometry == "planar" else ["a", "b", "c", "d"])
        sizes = {t.get_fontsize() for t in fig.texts} | {t.get_fontsize() for a in fig.axes for t in a.get_xticklabels()}
        assert min(sizes) >= 6  # pt


def test_numbers_are_rounded_by_their_error():
    one = _result().sel(shell="POx").copy(deep=True)
    for value, error, printed in (
        (1.6812, 0.0091, "1.681 ± 0.009"),
        (1.6812, 0.0132, "1.681 ± 0.013"),
        (152.3, 21.0, "152 ± 21"),
    ):
        one["excess"].values[...], one["excess_sd"].values[...] = value, error
        assert dict(numbers_of(one))["excess"] == f"{printed} counts·µm per pixel"


# ----------------------------------------------------------------------------------------------------------------- refusals


def test_refusals_of_results():
    counts = _section().counts
    for draw in (figures.thickness_map_figure, figures.interphase_summary_figure):
        with pytest.raises(SsbmapsError, match="there are 2 shells; name one of POx, SOx with shell="):
            draw(counts, _result())
        with pytest.raises(SsbmapsError, match="shell 'X' is not in the result, which holds POx, SOx"):
            draw(counts, _result(), shell="X")
        with pytest.raises(SsbmapsError, match=r"vertex_y missing; expected what interfaces\.measure_interphase returns"):
            draw(counts, _result().drop_vars("vertex_y"), shell="POx")
    with pytest.raises(SsbmapsError, match="shell_profile missing"):
        figures.interphase_summary_figure(counts, _result().drop_vars("shell_profile"), shell="POx")
    with pytest.raises(SsbmapsError, match=r'particle_perimeter, .* missing; .* with geometry="particles" returns'):
        figures.particle_thickness_figure(_result(0.2, "planar"), shell="POx")
    with pytest.raises(SsbmapsError, match="particle_thickness_figure: cycled: there are 2 shells"):
        figures.particle_thickness_figure({"cycled": _result()})
    with pytest.raises(SsbmapsError, match="0 samples; expected one to 6"):
        figures.particle_thickness_figure({})
    broken = _result().assign(vertex_segment=_result().vertex_segment + 1)
    with pytest.raises(SsbmapsError, match="vertex_segment runs to 8, but there are 8 segments"):
        figures.thickness_map_figure(counts, broken, shell="POx")


def test_refusals_of_maps():
    counts = _section().counts
    with pytest.raises(SsbmapsError, match="draw the result on the map it was measured on"):
        figures.thickness_map_figure(counts.isel(y=slice(0, 40)), _result(), shell="POx")
    with pytest.raises(SsbmapsError, match="the map has no coordinates y and x in um"):
        figures.thickness_map_figure(counts.drop_vars(["y", "x"]), _result(), shell="POx")
    with pytest.raises(SsbmapsError, match="fragment X- not in the maps"):
        figures.thickness_map_figure(counts, _result(), shell="POx", fragments=["X-"])
    silent = _result().assign_attrs(history="")
    with pytest.raises(SsbmapsError, match=r"name those to draw with fragments=\[…\], out of .*NiO2-"):
        figures.thickness_map_figure(counts, silent, shell="POx")
    with pytest.raises(SsbmapsError, match=r"limits=\(0\.4, 0\.1\); expected two rising numbers"):
        figures.thickness_map_figure(counts, _result(), shell="POx", limits=(0.4, 0.1))
    with pytest.raises(SsbmapsError, match=r"expected the maps .* that were measured"):
        figures.interphase_summary_figure(counts.sum("scan").sel(fragment="NiO2-"), _result(), shell="POx")
    tall = xr.DataArray(
        np.ones((2, 400, 112)),
        dims=("fragment", "y", "x"),
        coords=raster_coords((400, 112), (0.1, 0.1)),
        attrs={"units": "counts"},
    ).assign_coords(fragment=["NiO2-", "PO2-"])
    fig = figures.interphase_summary_figure(tall, _result(), shell="POx", shell_fragments=["PO2-"])
    with pytest.raises(SsbmapsError, match=r"save it over two columns \(columns=2\)"):
        fig.fit_width(83.0)


def test_inputs_are_unchanged():
    counts, result = _section().counts, _result()
    before = counts.copy(deep=True), result.copy(deep=True)
    figures.thickness_map_figure(counts, result, shell="POx")
    figures.particle_thickness_figure(result, shell="POx")
    figures.interphase_summary_figure(counts, result, shell="POx")
    xr.testing.assert_identical(counts, before[0])
    xr.testing.assert_identical(result, before[1])
