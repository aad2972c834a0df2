"""Figures of edge layers: what is drawn are the numbers of the result, words stay clear of the data and on the page."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from scipy.special import ndtr

from ssbmaps import SsbmapsError, figures, synthetic
from ssbmaps.interfaces import detect_edge_layer, detect_inactive_layer

NAMES = ["PO3-", "C2-", "SO3-", "S-"]
NM = {"units": "nm"}


@cache
def depth():
    return xr.DataArray(2.0 * np.arange(24), dims="scan", attrs=NM)


@cache
def counts():
    """A steady ion, one that falls, one that rises, and one with too few counts."""
    change = xr.DataArray([0.0, 1.2, -0.5, 0.0], {"fragment": NAMES}, "fragment")
    level = xr.DataArray([4000.0, 30000.0, 3000.0, 0.2], {"fragment": NAMES}, "fragment")
    mean = level * (1 + change * np.exp(-depth() / 6.0))
    return mean.copy(data=np.random.default_rng(5).poisson(mean))


@cache
def transient():
    found = detect_edge_layer(counts(), depth=depth())
    assert found.detected.values.tolist() == [0, 1, 1, 0]
    assert found.testable.values.tolist() == [1, 1, 1, 0]
    return found


@cache
def inactive():
    """Li+ changes by -30 % below 20 nm; Co+ does not change; In+ changes in all scans alike."""
    z = xr.DataArray(2.0 * np.arange(30), dims="scan", attrs=NM)
    step = xr.DataArray(np.stack([ndtr((z - 20) / 4), np.ones(30)]), dims=("kind", "scan"))
    change = xr.concat([-0.3 * step[0], 0 * step[1], -0.3 * step[1]], "fragment").assign_coords(fragment=["Li+", "Co+", "In+"])
    mean = 8000 * xr.concat([1 + 0 * change, 1 + change], "state")
    drawn = mean.copy(data=np.random.default_rng(2).poisson(mean)).assign_coords(state=["discharged", "charged"])
    found = detect_inactive_layer(drawn, depth=z)
    assert found.detected.values.ravel().tolist() == [1, 0, 0]
    assert found.changed.values.ravel().tolist() == [1, 0, 1]
    return found


def printed(fig):
    return " ".join(t.get_text() for t in fig.texts).replace("\u00a0", " ")


def points(axes):
    """What the error bars stand on, and half their lengths."""
    bars = axes.containers[0]
    ends = np.array([path.vertices[:, 1] for path in bars.lines[2][0].get_paths()])
    return bars.lines[0].get_xdata(), bars.lines[0].get_ydata(), np.ptp(ends, axis=1) / 2


def lines(axes, style):
    return [line for line in axes.get_lines() if line.get_linestyle() == style and len(line.get_xdata()) > 2]


def inside(axes):
    """The text in a panel: the one that starts within it."""
    fig = axes.figure
    renderer, box = fig.canvas.get_renderer(), axes.get_window_extent()
    found = [t for t in fig.texts if box.contains(*(t.get_window_extent(renderer).min + 1))]
    assert len(found) == 1
    return found[0]


def numbers(fig):
    """The numbers at all axes; matplotlib also holds some beyond their ends, which are not drawn."""
    axes = [(axis, *sorted(axis.get_view_interval())) for a in fig.axes for axis in (a.xaxis, a.yaxis)]
    return [t.label1 for axis, low, high in axes for t in axis.get_major_ticks() if low <= t.get_loc() <= high]


def on_the_page(fig):
    fig.canvas.draw()  # titles find their place when they are drawn
    page, renderer = fig.bbox, fig.canvas.get_renderer()
    parts = [*fig.texts, *(a._left_title for a in fig.axes), *(a.xaxis.label for a in fig.axes)]
    parts += numbers(fig)
    boxes = [p.get_window_extent(renderer) for p in parts if p.get_text()]
    return all(b.x0 >= 0 and b.x1 <= page.width + 1 and b.y0 >= 0 and b.y1 <= page.height + 1 for b in boxes)


def no_overlap(fig):
    """Whether no two words lie on one another; one pixel is for the lines of a paragraph."""
    fig.canvas.draw()
    renderer = fig.canvas.get_renderer()
    parts = [*fig.texts, *(a._left_title for a in fig.axes), *(a.xaxis.label for a in fig.axes)]
    parts += numbers(fig)
    boxes = [p.get_window_extent(renderer).padded(0, -1) for p in parts if p.get_text()]
    return not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_counts_fits_and_depths_are_those_of_the_result():
    fig = figures.edge_layer_figure(transient())
    assert len(fig.axes) == 4
    for name, axes, unit in zip(NAMES, fig.axes, (1, 1000, 1, 1), strict=True):
        one = transient().sel(fragment=name)
        at, value, error = points(axes)
        np.testing.assert_allclose(at, depth())
        np.testing.assert_allclose(value, one.counts / unit)
        np.testing.assert_allclose(error, one.counts_sd / unit)
        if one.testable:
            np.testing.assert_allclose(lines(axes, "-")[0].get_ydata(), one.curve / unit)
        assert len(lines(axes, "--")) == int(one.detected)
    for name, axes, unit in (("C2-", fig.axes[1], 1000), ("SO3-", fig.axes[2], 1)):
        one = transient().sel(fragment=name)
        np.testing.assert_allclose(lines(axes, "--")[0].get_ydata(), one.bulk / unit)
        assert one.depth_scale in [line.get_xdata()[0] for line in axes.get_lines() if len(line.get_xdata()) == 2]
        shaded, band = sorted(axes.patches, key=lambda p: p.get_x())
        assert band.get_x() == pytest.approx(one.depth_scale_low)
        assert band.get_x() + band.get_width() == pytest.approx(one.depth_scale_high)
        first = int(one.first_bulk_scan)
        assert depth()[first - 1] < shaded.get_x() + shaded.get_width() < depth()[first]
    assert not fig.axes[0].patches
    assert "1000 counts" in fig.axes[1].get_title(loc="left")


def test_words_say_what_was_found_and_lie_clear_of_data_and_marks():
    fig = figures.edge_layer_figure(transient())
    for width in (83.0, 171.0):
        fig.fit_width(width)
        assert [inside(fig.axes[i]).get_text() for i in (0, 3)] == ["no change found", "not testable"]
        for i in (1, 2):
            assert f"ℓ = {float(transient().depth_scale[i]):.3g} [" in inside(fig.axes[i]).get_text()
        for text in transient().statement.values:
            assert str(text) in printed(fig)
        assert "Counts, not concentration." in printed(fig)
        for axes in fig.axes:
            low = axes.transData.inverted().transform(inside(axes).get_window_extent(fig.canvas.get_renderer()).min)[1]
            _, value, error = points(axes)
            assert low > (value + error).max()
            assert all(low > p.get_extents().transformed(axes.transData.inverted()).y1 for p in axes.patches)
        assert on_the_page(fig)
        assert no_overlap(fig)


def test_a_change_that_never_ends_shades_all_scans_and_an_open_interval_ends_with_the_panel():
    endless = transient().sel(fragment=["C2-"]).copy(deep=True)
    endless["first_bulk_scan"][:] = np.nan
    endless["depth_scale_high"][:] = np.inf
    axes = figures.edge_layer_figure(endless).axes[0]
    assert all(p.get_x() + p.get_width() == pytest.approx(axes.get_xlim()[1]) for p in axes.patches)
    assert "no end" in inside(axes).get_text()


def test_a_change_within_the_tolerance_shades_nothing():
    small = transient().sel(fragment=["C2-"]).copy(deep=True)
    small["first_bulk_scan"][:] = 0
    assert len(figures.edge_layer_figure(small).axes[0].patches) == 1  # the interval of the depth


def test_scans_without_counts_are_no_points():
    blank = counts().copy(deep=True)
    blank[{"scan": 3}] = 0
    with pytest.warns(UserWarning, match="scan 3 holds no counts at all"):
        found = detect_edge_layer(blank, depth=depth())
    at = points(figures.edge_layer_figure(found, fragments=["C2-"]).axes[0])[0]
    np.testing.assert_allclose(at, np.delete(depth().values, 3))


def test_the_number_of_the_scan_is_the_depth_where_none_is_known():
    found = detect_edge_layer(counts().sel(fragment="C2-", drop=True))
    fig = figures.edge_layer_figure(found)
    assert fig.axes[0].get_xlabel() == "number of the scan"
    np.testing.assert_allclose(points(fig.axes[0])[0], np.arange(24))


def test_without_any_count_a_panel_says_that_it_cannot_be_tested():
    empty = xr.zeros_like(counts().sel(fragment="C2-", drop=True))
    fig = figures.edge_layer_figure(detect_edge_layer(empty, depth=depth()))
    assert inside(fig.axes[0]).get_text() == "not testable"
    fig = figures.inactive_layer_figure(detect_inactive_layer(xr.concat([empty] * 2, "state"), depth=depth()))
    assert inside(fig.axes[0]).get_text() == "not testable"
    nothing = transient().isel(scan=slice(0, 0), fragment=[3])  # as where every scan was left out
    assert inside(figures.edge_layer_figure(nothing).axes[0]).get_text() == "not testable"


def test_chosen_ions_in_the_order_asked_and_a_transposed_result():
    fig = figures.edge_layer_figure(transient().transpose(), fragments=["SO3-", "C2-"])
    np.testing.assert_allclose(points(fig.axes[0])[1], counts().sel(fragment="SO3-"))
    np.testing.assert_allclose(points(fig.axes[1])[1], counts().sel(fragment="C2-") / 1000)


@cache
def phases():
    both = xr.concat([transient(), transient().assign(counts=2 * transient().counts)], "phase")
    return both.assign_coords(phase=["NMC", "electrolyte"], depth=("scan", transient().depth.values, NM))


def test_one_phase_is_drawn():
    fig = figures.edge_layer_figure(phases(), phase="electrolyte", fragments="PO3-")
    np.testing.assert_allclose(points(fig.axes[0])[1], 2 * counts().sel(fragment="PO3-"))
    assert "electrolyte" in fig.axes[0].get_title(loc="left")


def test_each_phase_has_its_own_depth():
    section = synthetic.cross_section(seed=1, shape=(32, 32), n_scans=8, geometry="disc")
    depths = {str(name): k * depth()[:8] for k, name in enumerate(section.phase_map.attrs["flag_meanings"].split(), 1)}
    depths = {name: d.assign_attrs(NM) for name, d in depths.items()}
    found = detect_edge_layer(section.counts, depth=depths, labels=section.phase_map)
    for name in found.phase.values:
        fig = figures.edge_layer_figure(found, phase=name, fragments=["NiO2-", "S-"])
        np.testing.assert_allclose(points(fig.axes[0])[0], depths[str(name)])


def test_ten_ions_with_their_sentences_fit_on_a_page():
    ten = xr.concat([transient()] * 3, "fragment").isel(fragment=slice(10))
    fig = figures.edge_layer_figure(ten.assign_coords(fragment=[f"X{i}" for i in range(10)]))
    for width in (83.0, 171.0):
        fig.fit_width(width)
        assert fig.get_figheight() * 25.4 <= 230.1
        assert on_the_page(fig)
        assert no_overlap(fig)


def test_changes_levels_and_the_depth_of_the_layer_are_those_of_the_result():
    fig = figures.inactive_layer_figure(inactive())
    assert [a.get_title(loc="left").partition(",")[0] for a in fig.axes] == ["charged"] * 3
    one = inactive().isel(state=0).sel(fragment="Li+")
    axes = fig.axes[0]
    at, value, error = points(axes)
    np.testing.assert_allclose(value, 100 * one.change)
    np.testing.assert_allclose(error, 100 * one.change_sd)
    np.testing.assert_allclose(lines(axes, "-")[0].get_ydata(), 100 * one.curve)
    pairs = {tuple(np.round(line.get_xdata(), 6)): line.get_ydata()[0] for line in axes.get_lines() if len(line.get_xdata()) == 2}
    t = round(float(one.layer_depth), 6)
    assert pairs[at[0] - 1, t] == pytest.approx(100 * float(one.face_change))
    assert pairs[t, at[-1] + 1] == pytest.approx(100 * float(one.bulk_change))
    assert (t, t) in pairs
    assert axes.patches[0].get_x() == pytest.approx(one.layer_depth_low)
    assert axes.patches[0].get_x() + axes.patches[0].get_width() == pytest.approx(one.layer_depth_high)
    bands = [np.ptp(c.get_paths()[0].vertices[:, 1]) for c in axes.collections[:2]]
    np.testing.assert_allclose(bands, [100 * float(one[f"{n}_high"] - one[f"{n}_low"]) for n in ("face_change", "bulk_change")])
    assert 0 in [line.get_ydata()[0] for line in axes.get_lines()]  # the line of no change
    for other, i in (("Co+", 1), ("In+", 2)):
        assert not fig.axes[i].patches
        flat = [line for line in fig.axes[i].get_lines() if line.get_linestyle() == "--"]
        assert len(flat) == 1
        level = 100 * float(inactive().isel(state=0).sel(fragment=other).bulk_change)
        np.testing.assert_allclose(flat[0].get_ydata(), level)


def test_words_of_inactive_faces_at_every_width():
    fig = figures.inactive_layer_figure(inactive())
    for width in (83.0, 171.0):
        fig.fit_width(width)
        assert inside(fig.axes[0]).get_text().startswith(f"t = {float(inactive().layer_depth[0, 0]):.3g} [")
        assert inside(fig.axes[1]).get_text().startswith("undetermined")
        assert "t < " in inside(fig.axes[2]).get_text()
        for text in inactive().statement.values.ravel():
            assert str(text) in printed(fig)
        assert f"Face: {100 * float(inactive().face_change[0, 0]):+.2g} %".replace("-", "−") in printed(fig)
        assert "change from discharged (%)" in printed(fig)
        assert on_the_page(fig)
        assert no_overlap(fig)


def test_a_state_that_was_selected_and_too_few_counts():
    one = inactive().isel(state=0)
    fig = figures.inactive_layer_figure(one, fragments=["Li+"])
    assert "charged" not in fig.axes[0].get_title(loc="left")
    z = xr.DataArray(2.0 * np.arange(3), dims="scan", attrs=NM)
    few = xr.DataArray(np.full((2, 3), 100), {"state": ["a", "b"]}, ("state", "scan"))
    fig = figures.inactive_layer_figure(detect_inactive_layer(few, depth=z))
    assert inside(fig.axes[0]).get_text() == "not testable"
    assert "Not testable: 3 scans with counts; at least 5 are needed." in printed(fig)


def test_inputs_are_left_alone_and_figures_are_saved(tmp_path):
    before = transient().copy(deep=True), inactive().copy(deep=True)
    figures.save(figures.edge_layer_figure(transient()), tmp_path / "transient.pdf", journal="acs", columns=2)
    figures.save(figures.inactive_layer_figure(inactive()), tmp_path / "inactive.pdf")
    assert all(path.stat().st_size > 5000 for path in tmp_path.glob("*.pdf"))
    xr.testing.assert_identical(before[0], transient())
    xr.testing.assert_identical(before[1], inactive())


def test_refusals():
    with pytest.raises(SsbmapsError, match=r"edge_layer_figure: detected, .* missing; expected what .*detect_edge_layer returns"):
        figures.edge_layer_figure(xr.Dataset())
    with pytest.raises(SsbmapsError, match=r"depth_limit, .* missing; expected what interfaces\.detect_inactive_layer returns"):
        figures.inactive_layer_figure(transient())
    with pytest.raises(SsbmapsError, match=r"2 faults:\n- fragment K\+ is .* PO3-, C2-, SO3-, S-\.\n- phase 'NMC' .* no phases"):
        figures.edge_layer_figure(transient(), fragments=["K+"], phase="NMC")
    with pytest.raises(SsbmapsError, match=r"fragment \(none\) is not in the result"):
        figures.edge_layer_figure(transient(), fragments=[])
    with pytest.raises(SsbmapsError, match="there are 2 phases; name one of NMC, electrolyte with phase="):
        figures.edge_layer_figure(phases())
    with pytest.raises(SsbmapsError, match="phase 'glass' is not in the result, which holds NMC, electrolyte"):
        figures.edge_layer_figure(phases(), phase="glass")
    many = xr.concat([transient()] * 4, "fragment").assign_coords(fragment=[f"X{i}" for i in range(16)])
    with pytest.raises(SsbmapsError, match=r"16 panels to draw; expected at most 10\. Name some with fragments="):
        figures.edge_layer_figure(many)


def test_a_face_a_hundred_times_as_bright_is_drawn_in_powers_of_ten():
    z = xr.DataArray(2.0 * np.arange(20), dims="scan", attrs={"units": "nm"})
    mean = 300 * (1 + xr.DataArray([0.5, 200.0], {"fragment": ["PO3-", "CN-"]}, "fragment") * np.exp(-z / 2.0))
    counts = mean.copy(data=np.random.default_rng(3).poisson(mean))
    fig = figures.edge_layer_figure(detect_edge_layer(counts, depth=z))
    plain, wide = fig.axes
    assert (plain.get_yscale(), wide.get_yscale()) == ("linear", "log")
    low, high = wide.get_ylim()
    assert low <= counts.values[:, 1].min()
    assert high > counts.values.max()
    fig.draw_without_rendering()
    labels = [t.get_text() for t, at in zip(wide.get_yticklabels(), wide.get_yticks(), strict=True) if low <= at <= high]
    assert "10³" in labels
