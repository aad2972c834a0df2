"""Drawings of series in time: panels one below the other that share the time, a legend above, words below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure, wrapped
from ssbmaps.figures._style import INK, LINE_COLOURS, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEFT, RIGHT, AXIS, GAP = 12.0, 2.5, 8.5, 5.0  # mm; GAP: above each panel, for its title
MOST_HEIGHT = 150.0  # mm of all panels together
PANEL, BELOW = 26.0, 16.0  # mm: heights of a panel of a signal and of the record
SAMPLE = 7.0  # mm of a legend's sample and the gaps beside it


@dataclass(frozen=True)
class Panel:
    """One panel: its title, and (value | low | high, line, time), NaN where there is none.

    `label` names its axis; `marks` draws dots with bars, not lines with bands; `zero` draws a line at 0.
    """

    title: str
    table: Floats
    label: str = ""
    marks: bool = False
    zero: bool = False
    from_zero: bool = False


def series_sheet(
    time: Floats,
    unit: str,
    panels: list[Panel],
    names: list[str],
    quantity: str,
    record: tuple[Any, Any, str] | None,
    words: list[str],
) -> PrintFigure:
    """Figure of all panels; `names` are those of the lines, `quantity` names the axes that have no name of their own."""
    with style():
        sheet = _Sheet(names, len(panels), record is not None, words, quantity)
        fig = PrintFigure(sheet.arrange)
        rows = len(panels) + (record is not None)
        first: Axes | None = None
        for i, panel in enumerate(panels):
            axes = fig.add_subplot(rows, 1, i + 1, sharex=first)
            first = first or axes
            _draw(axes, time, panel)
            axes.set_title(panel.title, loc="left", pad=2.0)
            if panel.label:
                axes.set_ylabel(panel.label)
        if record is not None:
            axes = fig.add_subplot(rows, 1, rows, sharex=first)
            axes.plot(record[0], record[1], color=INK, lw=0.8)
            axes.set_ylabel(record[2])
        margin = 0.02 * float(np.ptp(time)) or 0.5
        fig.axes[0].set_xlim(float(time.min()) - margin, float(time.max()) + margin)
        for axes in fig.axes[:-1]:
            axes.tick_params(labelbottom=False)
        fig.axes[-1].set_xlabel("time" + (f" ({unit})" if unit else ""))
    return fig


def _draw(axes: Axes, time: Floats, panel: Panel) -> None:
    for i, (value, low, high) in enumerate(zip(*panel.table, strict=True)):
        colour = LINE_COLOURS[i % len(LINE_COLOURS)]
        if panel.marks:
            known = np.isfinite(low) & np.isfinite(high) & np.isfinite(value)
            reach = np.abs(np.stack([value - low, high - value]))[:, known]
            axes.errorbar(time[known], value[known], reach, fmt="none", ecolor=colour, lw=0.7, capsize=1.2, capthick=0.7)
            axes.plot(time, value, "o", ms=3.0, mew=0.4, mec="white", mfc=colour)
        else:
            axes.fill_between(time, low, high, color=colour, alpha=0.22, lw=0)
            axes.plot(time, value, color=colour, marker=".", ms=1.8, mew=0, lw=0.8)
    if panel.from_zero:
        axes.set_ylim(bottom=0)
    if panel.zero:
        axes.axhline(0, color=INK, lw=0.5, ls=(0, (3, 2)), zorder=0)


class _Sheet:
    """Where legend, panels and words lie on a page of some width."""

    def __init__(self, names: list[str], n_panels: int, record: bool, words: list[str], quantity: str) -> None:
        self.names, self.n_panels, self.record = names, n_panels, record
        self.words, self.quantity = [w.replace(" um", " µm") for w in words if w], quantity

    def _legend(self, fig: PrintFigure, inner: float) -> list[list[Line2D]]:
        if not any(self.names):
            return []
        rows: list[list[Line2D]] = [[]]
        used = 0.0
        for i, name in enumerate(self.names):
            need = fig.text_width(name) + SAMPLE
            if rows[-1] and used + need > inner:
                rows.append([])
                used = 0.0
            rows[-1].append(Line2D([], [], color=LINE_COLOURS[i % len(LINE_COLOURS)], label=name))
            used += need
        return rows

    def arrange(self, fig: PrintFigure, width: float) -> float:
        inner = width - LEFT - RIGHT
        legend = self._legend(fig, inner)
        title = [self.quantity] if self.quantity else []
        lines = [line for text in self.words for line in wrapped(fig, [text], width - 2 * MARGIN)]
        top = MARGIN + (len(legend) + len(title)) * (LINE + 0.4)
        below = BELOW if self.record else 0.0
        panel = min(PANEL, (MOST_HEIGHT - below) / self.n_panels - GAP)
        heights = [panel] * self.n_panels + [below] * self.record
        total = top + sum(heights) + GAP * self.n_panels + 1.5 * self.record + AXIS + len(lines) * LINE + MARGIN
        for i, text in enumerate(title):
            fig.note(LEFT, MARGIN + i * LINE, text, total)
        for i, row in enumerate(legend):
            corner = (LEFT / width, 1 - (MARGIN + (len(title) + i) * (LINE + 0.4)) / total)
            fig.keep(
                fig.legend(
                    handles=row, loc="upper left", bbox_to_anchor=corner, ncols=len(row), borderaxespad=0.0, handletextpad=0.4
                )
            )
        at = top
        for i, (axes, height) in enumerate(zip(fig.axes, heights, strict=True)):
            at += GAP if i < self.n_panels else 1.5
            fig.place(axes, LEFT, at, inner, height, total)
            axes.xaxis.set_major_locator(MaxNLocator(int(inner // 11), steps=[1, 2, 5, 10]))
            axes.yaxis.set_major_locator(MaxNLocator(max(int(height // 7), 2), steps=[1, 2, 2.5, 5, 10]))
            at += height
        for i, line in enumerate(lines):
            fig.note(MARGIN, at + AXIS + i * LINE, line, total)
        fig.align_ylabels(fig.axes)
        return float(total)
