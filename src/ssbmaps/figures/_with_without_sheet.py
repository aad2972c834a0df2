"""The drawing of `comparison_figure`: one row per number, its difference at the right, and the words below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure, wrapped
from ssbmaps.figures._labels import ion_label, unit_label
from ssbmaps.figures._style import LINE_COLOURS, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

ROW, HEAD, AXIS = 7.0, LINE + 1.0, 4.6  # mm: height of a row, its title, the numbers under it
LEFT, BESIDE = 11.0, 29.0  # mm: for "without", and for the difference at the right
WORDS = (
    "Dots: values with the layer at the edge (filled) and without it (open), with 95 % intervals.",
    "Difference: with less without, ± 1 standard error; both share the data of the inner part, so that overlap of the bars "
    "says nothing. (≤: upper bound of the error.)",
)


@dataclass(frozen=True)
class Row:
    """One number with and without the layer, its ends, and the difference."""

    name: str
    place: list[str]
    units: str
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    difference: float
    error: float
    bound: bool

    @property
    def title(self) -> str:
        """Name, place and unit."""
        unit = unit_label(self.units)
        text = ", ".join([self.name.replace("_", " "), *map(ion_label, self.place)])
        return f"{text} ({unit})" if unit else text

    @property
    def words(self) -> str:
        """The difference with its error."""
        if not np.isfinite([self.difference, self.error]).all():
            return "difference not known"
        sign = "≤ " if self.bound else ""
        return f"{self.difference:+.2g} ± {sign}{self.error:.2g}".replace("-", "−")


def comparison_sheet(rows: list[Row], kept: str) -> PrintFigure:
    """Figure of all rows."""
    with style():
        fig = PrintFigure(_Layout(rows, kept).arrange)
        for i, row in enumerate(rows):
            _draw(fig.add_subplot(len(rows), 1, i + 1), row)
    return fig


def _draw(axes: Axes, row: Row) -> None:
    for i, (colour, face) in enumerate(((LINE_COLOURS[1], LINE_COLOURS[1]), (LINE_COLOURS[0], "white"))):
        if not np.isfinite(row.value[i]):
            continue
        ends = [row.low[i], row.high[i]]
        shown = [e if np.isfinite(e) else row.value[i] for e in ends]
        axes.plot(shown, [i, i], color=colour, lw=1.0, solid_capstyle="butt", zorder=2)
        axes.plot([row.value[i]], [i], "o", ms=3.6, mew=0.9, mec=colour, mfc=face, zorder=3)
    axes.set_ylim(1.6, -0.6)
    axes.set_yticks([0, 1], ["with", "without"])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(row.title, loc="left", pad=2.0)
    axes.margins(x=0.08)


class _Layout:
    """Rows one above the other, differences at the right, words below."""

    def __init__(self, rows: list[Row], kept: str) -> None:
        self.rows, self.kept = rows, kept

    def arrange(self, fig: PrintFigure, width: float) -> float:
        lines = [line for text in (*WORDS, self.kept + ".") for line in wrapped(fig, [text], width - 2 * MARGIN)]
        step = HEAD + ROW + AXIS
        foot = MARGIN + len(self.rows) * step + 1.0
        total = foot + len(lines) * LINE + MARGIN
        inner = width - LEFT - BESIDE - MARGIN
        for i, (axes, row) in enumerate(zip(fig.axes, self.rows, strict=True)):
            top = MARGIN + i * step + HEAD
            fig.place(axes, LEFT + MARGIN, top, inner, ROW, total)
            axes.xaxis.set_major_locator(MaxNLocator(max(int(inner // 12), 2), steps=[1, 2, 5, 10]))
            at = LEFT + MARGIN + inner + 3.0
            if i == 0:
                fig.note(at, top - HEAD, "difference", total)
            fig.note(at, top + ROW / 2 - LINE / 2, row.words, total)
        for i, line in enumerate(lines):
            fig.note(MARGIN, foot + i * LINE, line, total)
        return total
