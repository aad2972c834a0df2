"""Curves with error bands against a signed distance, the interface at 0, and a legend that fits the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure
from ssbmaps.figures._labels import ion_label
from ssbmaps.figures._style import INK, LINE_COLOURS, LINE_DASHES, MM_PER_INCH, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

TALLEST = 75.0  # mm


def curve_sheet(
    distance: NDArray[np.float64],
    means: NDArray[np.float64],
    errors: NDArray[np.float64],
    names: list[str],
    *,
    beside_zero: tuple[str | None, str | None],
) -> PrintFigure:
    """Figure of (lines, distance) `means` with bands of ± `errors`; `beside_zero` names what lies left and right of 0."""
    with style():
        sheet = _Sheet(names)
        fig = PrintFigure(sheet.arrange, layout="constrained")
        axes = fig.add_subplot()
        _lines(axes, distance, means, errors, names)
        _interface(axes, *beside_zero)
    return fig


def _lines(
    axes: Axes, distance: NDArray[np.float64], means: NDArray[np.float64], errors: NDArray[np.float64], names: list[str]
) -> None:
    for i, (mean, error, name) in enumerate(zip(means, errors, names, strict=True)):
        colour = LINE_COLOURS[i % len(LINE_COLOURS)]
        dash = LINE_DASHES[i // len(LINE_COLOURS) % len(LINE_DASHES)]
        axes.fill_between(distance, mean - error, mean + error, color=colour, alpha=0.25, lw=0)
        axes.plot(distance, mean, color=colour, ls=dash, marker=".", ms=2.2, mew=0, label=name or "mean")
    low = np.nanmin(means) if np.isfinite(means).any() else 0.0
    if low >= 0:
        axes.set_ylim(bottom=0)


def _interface(axes: Axes, inside: str | None, outside: str | None) -> None:
    """The line at distance 0 and the phases' names beside it, above the axes so that no line runs through them."""
    low, high = axes.get_xlim()
    if not low < 0 < high:
        return
    axes.axvline(0, color=INK, lw=0.6, ls=(0, (3, 2)), zorder=0)
    for name, align, shift in ((inside, "right", -3), (outside, "left", 3)):
        if name:
            where: Any = ("data", "axes fraction")
            axes.annotate(ion_label(name), (0, 1), (shift, 1.5), where, "offset points", ha=align, va="bottom")


class _Sheet:
    """Height of the figure and a legend whose columns fit its width."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    def arrange(self, fig: PrintFigure, width: float) -> float:
        lines = [line for line in fig.axes[0].get_lines() if not str(line.get_label()).startswith("_")]
        rows = 0
        if any(self.names):
            widest = max(fig.text_width(name) for name in self.names) + 8.0  # mm, with the line's sample and the gap
            columns = int(np.clip((width - 2 * MARGIN) // widest, 1, len(lines)))
            rows = -(-len(lines) // columns)
            fig.keep(fig.legend(handles=lines, loc="outside upper center", ncols=-(-len(lines) // rows)))
        fig.axes[0].xaxis.set_major_locator(MaxNLocator(int(width // 12), steps=[1, 2, 5, 10]))
        fig.axes[0].yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        height = min(0.72 * width, TALLEST) + rows * LINE
        fig.set_size_inches(width / MM_PER_INCH, height / MM_PER_INCH)
        return height
