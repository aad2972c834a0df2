"""`rank_figure`: the curves, edges and rings are those of the result; the words are printed whole; wrong input is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr

from ssbmaps import SsbmapsError, figures
from ssbmaps.decomposition import rank


@cache
def _result():
    """Three planted components of 20 × 26 pixels, at two binnings; Anscombe's theory fails at the finer one."""
    rng = np.random.default_rng(0)
    spectra = rng.gamma(0.4, 1, (3, 12)) + 0.01
    values = rng.poisson(40 * rng.dirichlet(np.full(3, 0.4), (20, 26)) @ (spectra / spectra.sum(axis=1, keepdims=True)))
    cube = xr.DataArray(values, dims=("y", "x", "fragment"), attrs={"units": "counts"})
    return rank(cube, max_components=5, binnings=[1, 2], n_splits=2, n_repeats=2)


def _line(axes, y):
    """The one line of `axes` with these heights."""
    lines = [line for line in axes.get_lines() if len(line.get_ydata()) == len(y)]
    found = [line for line in lines if np.allclose(line.get_ydata(), y, equal_nan=True)]
    assert len(found) == 1
    return found[0]


def test_curves_are_those_of_the_result():
    result = _result()
    edges, held, stable = figures.rank_figure(result).axes
    for i, colour in enumerate(("#0072B2", "#D55E00")):
        for j, (marker, scaling) in enumerate((("o", "poisson-scaled"), ("s", "anscombe"))):
            line = _line(edges, result.singular_value[j, i].values)
            assert (line.get_marker(), line.get_color()) == (marker, colour)
            valid = bool(result.valid.sel(evidence=scaling)[i])
            assert line.get_alpha() == (1.0 if valid else 0.3)
            level = [x for x in edges.get_lines() if np.allclose(x.get_ydata(), float(result.threshold[j, i]))]
            assert level[0].get_color() == colour
        line = _line(held, result.deviance_excess[i].values)
        assert np.abs(line.get_xdata() - result.component.values).max() <= 0.05 + 1e-9
        for name in ("cosine_seeds", "cosine_bootstrap"):
            median = result[name][i].median("repeat").values
            drawn = [x.get_ydata() for x in stable.get_lines() if len(x.get_ydata()) == 5]
            assert any(np.allclose(y, median, equal_nan=True) for y in drawn if np.ndim(y) == 1)
    assert edges.get_yscale() == "log"
    assert any(np.allclose(x.get_ydata(), 1) for x in edges.get_lines())
    assert [a.get_xlabel() for a in (edges, held, stable)] == ["", "", "number of components"]


def test_error_bars_are_standard_errors_of_the_difference():
    result = _result()
    held = figures.rank_figure(result).axes[1]
    bars = [np.ptp(path.vertices[:, 1]) / 2 for c in held.collections for path in c.get_paths()]
    np.testing.assert_allclose(bars, result.deviance_excess_sd.values.ravel(), rtol=1e-9, atol=1e-9)


def test_rings_mark_valid_suggestions_only():
    result = _result()
    figure = figures.rank_figure(result)
    rings = [[x for x in a.get_lines() if x.get_markersize() > 6] for a in figure.axes]
    for axes, found, rows in zip(figure.axes, rings, ([0, 1], [2], [3]), strict=True):
        valid = result.valid.values[rows].astype(bool)
        assert len(found) == valid.sum()
        marked = sorted(round(float(x.get_xdata()[0])) for x in found)
        assert marked == sorted(result.suggested.values[rows][valid].tolist()), axes.get_ylabel()


def test_words_and_legend_at_every_width():
    fig = figures.rank_figure(_result())
    for width in (83.0, 171.0):
        fig.fit_width(width)
        printed = " ".join(t.get_text() for t in fig.texts)
        assert str(_result().statement.values) in printed
        page, renderer = fig.bbox, fig.canvas.get_renderer()
        boxes = [t.get_window_extent(renderer) for t in fig.texts] + [g.get_window_extent(renderer) for g in fig.legends]
        boxes += [a.get_tightbbox(renderer) for a in fig.axes]
        assert all(b.x0 >= 0 and b.x1 <= page.width and b.y0 >= 0 and b.y1 <= page.height for b in boxes)
        labels = [t.get_text() for legend in fig.legends for t in legend.get_texts()]
        assert labels[:2] == ["1 × 1 px", "2 × 2 px"]
        assert ("not valid" in labels) == (not _result().valid.values.all())
    beside = fig.axes
    assert len({round(a.get_position().y0, 6) for a in beside}) == 1


def test_input_is_left_alone_and_the_figure_is_saved(tmp_path):
    before = _result().copy(deep=True)
    figures.save(figures.rank_figure(_result()), tmp_path / "rank.pdf")
    assert (tmp_path / "rank.pdf").stat().st_size > 5000
    xr.testing.assert_identical(before, _result())


def test_refusals():
    with pytest.raises(SsbmapsError, match=r"suggested, .* missing; expected what ssbmaps\.decomposition\.rank returns"):
        figures.rank_figure(xr.Dataset())
    with pytest.raises(SsbmapsError, match="got ndarray"):
        figures.rank_figure(np.zeros(3))
