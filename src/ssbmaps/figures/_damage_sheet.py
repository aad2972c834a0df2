"""The drawing of `damage_figure`: product and precursor over their means, and the words below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure, wrapped
from ssbmaps.figures._labels import ion_label, unit_label
from ssbmaps.figures._style import INK, LINE_COLOURS, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

PANEL, LEFT, RIGHT, AXIS = 40.0, 10.5, 2.0, 8.5  # mm
MARKS = ("o", "s")
WORDS = ("product", "precursor")


def damage_sheet(pair: xr.Dataset, rows: list[xr.Dataset], phase: str) -> PrintFigure:
    """Figure of one pair of fragments."""
    with style():
        fig = PrintFigure(_Layout(pair, rows, phase).arrange)
        axes = fig.add_subplot()
        for row, mark, colour in zip(rows, MARKS, LINE_COLOURS[1::-1], strict=True):
            _draw(axes, row, mark, colour)
        axes.axhline(1, color=INK, lw=0.4, alpha=0.5, zorder=0)
        axes.margins(x=0.02)
        dose = pair["dose"]
        unit = unit_label(str(dose.attrs.get("units", "1")))
        name = str(dose.attrs.get("long_name", "dose"))
        axes.set_xlabel(name if name.startswith("number") or not unit else f"{name} ({unit})")
        axes.set_ylabel("counts over their mean")
    return fig


def _draw(axes: Axes, row: xr.Dataset, mark: str, colour: str) -> None:
    x, total, sd, trend = (row[n].values.astype(float) for n in ("dose", "total", "total_sd", "trend"))
    known = bool(np.isfinite(trend).all())
    level = trend.mean() if known else total.mean()
    error = sd if known else np.sqrt(np.maximum(total, 1.0))
    axes.errorbar(x, total / level, error / level, fmt=mark, ms=2.4, mew=0, lw=0.6, color=colour, zorder=2)
    if known:
        axes.plot(x, trend / level, color=colour, lw=1.0, zorder=3)


class _Layout:
    """Legend above, panel, words below."""

    def __init__(self, pair: xr.Dataset, rows: list[xr.Dataset], phase: str) -> None:
        self.rows = rows
        text = str(pair["statement"].values)
        self.words = [f"{phase}: {text}." if phase else f"{text}.", "Counts, not concentration."]

    def handles(self) -> list[Line2D]:
        names = [f"{ion_label(str(row['fragment'].values))} ({word})" for row, word in zip(self.rows, WORDS, strict=True)]
        return [
            Line2D([], [], marker=mark, ms=3.0, mew=0, lw=1.0, color=colour, label=name)
            for name, mark, colour in zip(names, MARKS, LINE_COLOURS[1::-1], strict=True)
        ]

    def arrange(self, fig: PrintFigure, width: float) -> float:
        axes = fig.axes[0]
        inner = width - LEFT - RIGHT
        lines = [line for text in self.words for line in wrapped(fig, [text], width - 2 * MARGIN)]
        top = MARGIN + LINE + 1.0
        foot = top + PANEL + AXIS
        total = foot + len(lines) * LINE + MARGIN
        fig.place(axes, LEFT, top, inner, PANEL, total)
        axes.xaxis.set_major_locator(MaxNLocator(int(inner // 11), steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        corner = (LEFT / width, 1 - MARGIN / total)
        legend = fig.legend(handles=self.handles(), loc="upper left", bbox_to_anchor=corner, ncols=2, borderaxespad=0.0)
        fig.keep(legend)
        for i, line in enumerate(lines):
            fig.note(MARGIN, foot + i * LINE, line, total)
        return total
