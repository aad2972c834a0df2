"""`growth_figure`: what is drawn are the data, the cells and the fit; the words are printed whole; wrong input is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr

from ssbmaps import SsbmapsError, figures
from ssbmaps.interfaces import fit_growth


@cache
def _data():
    """Two conditions, 3 cells of 5 particles at 4 times; the first time of "coated" is below its limits."""
    rng = np.random.default_rng(4)
    t = np.tile(np.repeat([10.0, 50.0, 150.0, 400.0], 15), 2)
    condition = np.repeat(["bare", "coated"], 60)
    d = np.sqrt(np.where(condition == "bare", 4e-4, 1e-4) * t) * rng.gamma(16, 1 / 16, 120)
    low = (condition == "coated") & (t == 10)
    coords = {
        "t": ("particle", t, {"units": "h"}),
        "cell": ("particle", np.repeat(np.arange(24), 5)),
        "condition": ("particle", condition),
        "limit": ("particle", np.where(low & (np.arange(120) % 5 == 0), 0.06, np.nan), {"units": "um"}),
    }
    return xr.DataArray(np.where(low, np.nan, d), coords, "particle", attrs={"units": "um"})


@cache
def _fit(name):
    data = _data()[_data().condition == name]
    return fit_growth(data, time="t", group="cell", upper_limit="limit", n_boot=200)


def _one(**options):
    return figures.growth_figure(_data()[_data().condition == "bare"], _fit("bare"), time="t", **options)


def test_curve_band_cells_and_particles_are_those_of_the_fit():
    axes = _one().axes[0]
    fit = _fit("bare")
    row = fit.sel(law=str(fit.preferred.values))
    particles, limits, *_ = axes.get_lines()
    data = _data()[_data().condition == "bare"]
    np.testing.assert_allclose(particles.get_ydata(), data.values)
    np.testing.assert_allclose(particles.get_xdata(), data.t.values)
    assert len(limits.get_ydata()) == 0
    drawn = [line for line in axes.get_lines() if len(line.get_xdata()) == row.time.size]
    np.testing.assert_allclose(drawn[0].get_ydata(), row.curve)
    bars = axes.containers[0]
    np.testing.assert_allclose(bars.lines[0].get_ydata(), fit.cell_thickness)
    assert np.abs(bars.lines[0].get_xdata() - fit.cell_time).max() < 0.02 * 400
    ends = np.array([path.vertices[:, 1] for path in bars.lines[2][0].get_paths()])
    np.testing.assert_allclose(ends.mean(axis=1), fit.cell_thickness)
    np.testing.assert_allclose(np.ptp(ends, axis=1) / 2, fit.cell_thickness_sd)
    band = axes.collections[-1].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(float(row.curve_high.max()))
    assert axes.get_xlabel() == "time (h)"
    assert axes.get_ylabel() == "apparent thickness (µm)"


def test_another_law_is_drawn_and_said():
    fig = _one(law="linear")
    drawn = [line for line in fig.axes[0].get_lines() if len(line.get_xdata()) == 61]
    np.testing.assert_allclose(drawn[0].get_ydata(), _fit("bare").curve.sel(law="linear"))
    assert "drawn: the linear law." in " ".join(t.get_text() for t in fig.texts)


def test_conditions_limits_and_words_at_every_width():
    fits = {name: _fit(name) for name in ("bare", "coated")}
    fig = figures.growth_figure(_data(), fits, time="t", condition="condition", upper_limit="limit")
    lines = fig.axes[0].get_lines()
    marks = next(line for line in lines if len(line.get_ydata()) == 3 and line.get_marker() == "v")
    np.testing.assert_allclose(marks.get_ydata(), 0.06)
    for width in (83.0, 171.0):
        fig.fit_width(width)
        printed = " ".join(t.get_text() for t in fig.texts)
        for name in fits:
            assert f"{name}: {str(_fit(name).statement.values).replace('um²', 'µm²')}" in printed
        assert "assumes constant ion yield and independent cells" in printed
        labels = [t.get_text() for legend in fig.legends for t in legend.get_texts()]
        assert labels == ["particles", "cells ± 1 standard error", "95 % upper limit", "bare", "coated"]
        page, renderer = fig.bbox, fig.canvas.get_renderer()
        boxes = [t.get_window_extent(renderer) for t in fig.texts] + [g.get_window_extent(renderer) for g in fig.legends]
        assert all(b.x0 >= 0 and b.x1 <= page.width and b.y0 >= 0 and b.y1 <= page.height for b in boxes)
        assert len(fig.legends) == len({round(g.get_window_extent(renderer).y0) for g in fig.legends})


def test_undetermined_has_no_line_and_no_band():
    data = _data()[(_data().condition == "bare") & (_data().t == 50)]
    fit = fit_growth(data, time="t", group="cell", n_boot=200)
    fig = figures.growth_figure(data, fit, time="t")
    assert not [line for line in fig.axes[0].get_lines() if len(line.get_xdata()) == 61]
    assert "Undetermined: thickness is measured at one time only" in " ".join(t.get_text() for t in fig.texts)


def test_inputs_are_left_alone_and_the_figure_is_saved(tmp_path):
    before = _fit("bare").copy(deep=True)
    figures.save(_one(), tmp_path / "growth.pdf")
    assert (tmp_path / "growth.pdf").stat().st_size > 5000
    xr.testing.assert_identical(before, _fit("bare"))


def test_refusals():
    with pytest.raises(SsbmapsError, match=r"fit: curve, .* missing; expected what interfaces\.fit_growth returns"):
        figures.growth_figure(_data(), xr.Dataset(), time="t")
    with pytest.raises(SsbmapsError, match="law='cubic'; expected one of sqrt, linear"):
        _one(law="cubic")
    with pytest.raises(SsbmapsError, match="fit is empty"):
        figures.growth_figure(_data(), {}, time="t")
    with pytest.raises(SsbmapsError, match="fit holds several conditions; name that of every entry: condition="):
        figures.growth_figure(_data(), {"bare": _fit("bare")}, time="t")
    with pytest.raises(SsbmapsError, match="condition coated has no fit; there are bare"):
        figures.growth_figure(_data(), {"bare": _fit("bare")}, time="t", condition="condition", upper_limit="limit")
    with pytest.raises(SsbmapsError, match=r"figures\.growth_figure: thickness is in 'counts um', which is no length"):
        figures.growth_figure(_data().assign_attrs(units="counts um"), _fit("bare"), time="t")
