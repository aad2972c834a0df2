"""`interphase_figure`: the numbers drawn are those of the result, the words are printed whole, wrong input is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from ssbmaps import SsbmapsError, figures, synthetic
from ssbmaps.interfaces import fit_interphase


@cache
def _found(thickness=0.2):
    layout = synthetic.Layout(fibres=0, voids=0, cracked=0)
    section = synthetic.cross_section(
        seed=2,
        shape=(96, 112),
        n_scans=2,
        geometry="disc",
        thickness=thickness,
        thickness_SOx=0.08 if thickness else 0.0,
        layout=layout,
    )
    shells = {"POx": ["PO2-", "PO3-"], "SOx": ["SO2-", "SO3-"]}
    return fit_interphase(section.counts, section.distance, core="NiO2-", shell=shells)


def test_profile_model_and_band_are_those_of_the_result():
    one = _found().sel(shell="POx")
    fig = figures.interphase_figure(_found(), shell="POx")
    top, residual, right = fig.axes
    known = np.isfinite(one.shell_profile.values)
    np.testing.assert_allclose(top.get_lines()[0].get_ydata(), one.shell_model.values[known])
    np.testing.assert_allclose(right.get_lines()[0].get_ydata(), one.core_model.values[known])
    pull = ((one.shell_profile - one.shell_model) / one.shell_profile_sem).values[known]
    np.testing.assert_allclose(residual.get_lines()[1].get_ydata(), pull)
    edges = [p.get_x() for p in top.patches] + [p.get_x() + p.get_width() for p in top.patches]
    start = float(one.offset)
    for value in (0.0, float(one.thickness), float(one.thickness_low), float(one.thickness_high)):
        assert min(abs(e - start - value) for e in edges) < 1e-9


def test_words_are_printed_whole_at_every_width():
    for thickness in (0.2, 0.0):
        fig = figures.interphase_figure(_found(thickness), shell="POx")
        for width in (83.0, 171.0):
            fig.fit_width(width)
            printed = " ".join(t.get_text() for t in fig.texts)
            assert str(_found(thickness).sel(shell="POx").statement.values) in printed
            assert "counts, not concentration" in printed
            page = fig.bbox.width
            renderer = fig.canvas.get_renderer()
            assert all(t.get_window_extent(renderer).x0 >= 0 and t.get_window_extent(renderer).x1 <= page for t in fig.texts)
    assert not figures.interphase_figure(_found(0.0), shell="POx").axes[0].patches


def test_refusals():
    with pytest.raises(SsbmapsError, match="there are 2 shells; name one of POx, SOx with shell="):
        figures.interphase_figure(_found())
    with pytest.raises(SsbmapsError, match="shell 'X' is not in the result, which holds POx, SOx"):
        figures.interphase_figure(_found(), shell="X")
    with pytest.raises(SsbmapsError, match=r"shell_profile missing; expected what interfaces\.fit_interphase returns"):
        figures.interphase_figure(_found().drop_vars("shell_profile"))
