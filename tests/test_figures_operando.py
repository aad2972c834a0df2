"""Figures of series in time: what is drawn are the numbers, words are printed whole and on the page, wrong input is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr

from ssbmaps import DataQualityWarning, SsbmapsError, figures, synthetic
from ssbmaps.interfaces import check_fluence, layer_thickness, lithiation, reversibility, time_series, void_fraction


@cache
def planted():
    return synthetic.operando_series(seed=7, shape=(32, 32), n_cycles=3)


@cache
def series():
    return time_series(planted().counts, planted().labels)


@cache
def layers():
    return layer_thickness(synthetic.stack_series(seed=3, thickness=(25.0, 21.0, 18.0)).counts, layer="C2H3O-")


@cache
def voids():
    return void_fraction(synthetic.void_series(seed=3, shape=(128, 128)).labels)


def printed(fig):
    return " ".join(t.get_text() for t in fig.texts)


def on_the_page(fig):
    fig.canvas.draw()  # titles find their place when they are drawn
    page, renderer = fig.bbox, fig.canvas.get_renderer()
    parts = [*fig.texts, *fig.legends, *(a.title for a in fig.axes), *(a.yaxis.label for a in fig.axes)]
    parts += [a._left_title for a in fig.axes]
    boxes = [p.get_window_extent(renderer) for p in parts if not hasattr(p, "get_text") or p.get_text()]
    return all(b.x0 >= 0 and b.x1 <= page.width + 1 and b.y0 >= 0 and b.y1 <= page.height + 1 for b in boxes)


def test_lines_and_bands_are_the_series():
    fig = figures.time_series_figure(series(), fragments=["SO3-", "PO3-"], regions=["interphase"], voltage="voltage")
    assert len(fig.axes) == 3
    one = series().sel(region="interphase", fragment="SO3-")
    line = fig.axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), one.signal)
    np.testing.assert_allclose(line.get_xdata(), one.time)
    band = fig.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(float(one.signal_high.max()))
    np.testing.assert_allclose(fig.axes[2].get_lines()[0].get_ydata(), planted().voltage)
    assert fig.axes[2].get_xlabel() == "time (h)"
    assert "counts, not concentration; cause of a change not identified" in printed(fig)


def test_a_record_is_drawn_within_the_series_and_findings_are_printed_at_every_width():
    found = reversibility(series(), state="state")
    record = planted().record_voltage.rename(record_time="time")
    fig = figures.time_series_figure(series(), fragments=["SO3-"], voltage=record, findings=found)
    drawn = fig.axes[-1].get_lines()[0].get_xdata()
    assert drawn.min() >= 0
    assert drawn.max() <= float(series().time[-1])
    assert fig.axes[-1].get_ylabel() == "voltage (V)"
    for width in (83.0, 171.0):
        fig.fit_width(width)
        text = printed(fig)
        for region in ("NCA", "electrolyte", "interphase"):
            assert str(found.statement.sel(region=region, fragment="SO3-").values) in text
        labels = [t.get_text() for legend in fig.legends for t in legend.get_texts()]
        assert labels == ["NCA", "electrolyte", "interphase"]
        assert on_the_page(fig)


def test_relative_lines_have_a_mean_of_one():
    fig = figures.time_series_figure(series(), relative=True)
    for axes in fig.axes:
        for line in axes.get_lines():
            assert np.mean(line.get_ydata()) == pytest.approx(1)
    assert "relative to its mean" in printed(fig)


def test_a_single_map_without_fragments():
    one = time_series(planted().counts.sel(fragment="SO3-", drop=True), planted().labels)
    fig = figures.time_series_figure(one)
    np.testing.assert_allclose(fig.axes[0].get_lines()[0].get_ydata(), one.signal.sel(region="NCA"))


def test_thickness_and_change_are_drawn_with_their_intervals():
    fig = figures.layer_thickness_figure(layers())
    for axes, name in zip(fig.axes, ("thickness", "change"), strict=True):
        np.testing.assert_allclose(_marks(axes), layers()[name])
        ends = np.array([p.vertices[:, 1] for p in axes.collections[0].get_paths()])
        np.testing.assert_allclose(ends.min(axis=1), layers()[f"{name}_low"])
        np.testing.assert_allclose(ends.max(axis=1), layers()[f"{name}_high"])
    assert str(layers().statement.values[-1]).replace(" um", " µm") in printed(fig)
    assert on_the_page(fig)


def _marks(axes):
    return next(line.get_ydata() for line in axes.get_lines() if line.get_marker() == "o")


def test_voids_are_drawn_in_per_cent():
    fig = figures.void_figure(voids())
    np.testing.assert_allclose(_marks(fig.axes[0]), 100 * voids().fraction)
    np.testing.assert_allclose(_marks(fig.axes[1]), 100 * voids().change)
    assert "isotropic and uniform" in printed(fig)
    for width in (83.0, 171.0):
        fig.fit_width(width)
        assert on_the_page(fig)


def test_one_time_has_no_panel_of_changes():
    s = synthetic.void_series(seed=3, shape=(128, 128))
    assert len(figures.void_figure(void_fraction(s.labels.isel(time=3))).axes) == 1


def test_figures_are_saved_and_inputs_left_alone(tmp_path):
    before = [d.copy(deep=True) for d in (series(), layers(), voids())]
    for name, fig in (
        ("series", figures.time_series_figure(series(), voltage="voltage")),
        ("layers", figures.layer_thickness_figure(layers())),
        ("voids", figures.void_figure(voids())),
    ):
        figures.save(fig, tmp_path / f"{name}.pdf")
        assert (tmp_path / f"{name}.pdf").stat().st_size > 5000
    for old, new in zip(before, (series(), layers(), voids()), strict=True):
        xr.testing.assert_identical(old, new)


def test_refusals():
    with pytest.raises(SsbmapsError, match=r"signal, signal_low, signal_high missing; expected what interfaces\.time_series"):
        figures.time_series_figure(xr.Dataset())
    with pytest.raises(SsbmapsError, match=r"2 faults:\n- fragment K\+ is not in the series.*\n- region glass is not"):
        figures.time_series_figure(series(), fragments=["K+"], regions=["glass"])
    with pytest.raises(SsbmapsError, match="voltage='current' is no coordinate along time"):
        figures.time_series_figure(series(), voltage="current")
    with pytest.raises(SsbmapsError, match="findings hold no statement"):
        figures.time_series_figure(series(), findings=xr.Dataset())
    with pytest.raises(SsbmapsError, match=r"thickness, .* missing; expected what interfaces\.layer_thickness returns"):
        figures.layer_thickness_figure(voids())
    with pytest.raises(SsbmapsError, match=r"fraction, .* missing; expected what interfaces\.void_fraction returns"):
        figures.void_figure(layers())


def test_lithium_in_particles_and_primary_ions_are_drawn():
    """Three times with 20, 16 and 12 counts per pixel in a disc; three analyses of which the third passes the limit."""
    y = (np.arange(60) + 0.5) * 0.1
    depth = 2.5 - np.hypot(y[:, None] - 3, y - 3)
    distance = xr.DataArray(-depth, {"y": y, "x": y}, ("y", "x"), attrs={"units": "um"})
    mean = np.array([20.0, 16.0, 12.0])[:, None, None, None] * np.where(depth > 0, 1 + 0.1 * depth, 0.1)
    place = {"time": ("time", [0.0, 1.0, 2.0], {"units": "h"}), "fragment": ["Li+"], "y": y, "x": y}
    maps = xr.DataArray(np.random.default_rng(0).poisson(mean), place, ("time", "fragment", "y", "x"), attrs={"units": "counts"})
    found = lithiation(maps, distance, fragment="Li+", particles=(distance < 0).astype(int))
    fig = figures.lithiation_figure(found)
    drawn = next(line for line in fig.axes[0].lines if line.get_marker() == "o")
    assert drawn.get_ydata() == pytest.approx(found.signal.values)
    assert fig.axes[-1].get_xlabel() == "time (h)"
    with pytest.warns(DataQualityWarning, match=r"1\.2 of the static limit"):
        ions = check_fluence(found, primary_ion_fluence=4e11, sputter_yield=20.0, atomic_density=5e22)
    both = figures.fluence_figure(ions)
    assert [axes.get_ylabel() for axes in both.axes] == ["% of the limit", "pm"]
    shares = next(line for line in both.axes[0].lines if line.get_marker() == "o")
    assert shares.get_ydata() == pytest.approx([40, 80, 120])
    for draw in (figures.lithiation_figure, figures.fluence_figure):
        with pytest.raises(SsbmapsError, match="missing; expected what interfaces"):
            draw(maps.to_dataset(name="counts"))
