"""What stands under maps: the scale bar, and beside it what the colours mean, in words and in a legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssbmaps.figures._canvas import LINE, wrapped
from ssbmaps.figures._grid import SCALE_BAR, draw_scale_bar
from ssbmaps.figures._labels import length_label
from ssbmaps.figures._legend import ROW, LegendRow, draw_legend, legend_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from ssbmaps.figures._canvas import PrintFigure
    from ssbmaps.figures._grid import MapGrid
    from ssbmaps.figures._legend import Entry

AIR = 0.8  # mm above the scale bar
BESIDE = 4.0  # mm between the scale bar and the words


class Foot:
    """Scale bar, caption and legend of a sheet; `fit` measures them for a width, `draw` puts them there."""

    def __init__(self, grid: MapGrid, caption: Sequence[str], legend: Sequence[Entry]) -> None:
        self.grid, self.legend = grid, legend
        self.caption = [*caption, *([] if grid.in_um else ["no pixel size: drawn in pixels, no scale bar"])]
        self.lines: list[str] = []
        self.rows: list[LegendRow] = []
        self.aside = 0.0  # how far caption and legend stand to the right of the scale bar's left end

    def fit(self, fig: PrintFigure, inner: float, panel: float) -> None:
        """Break the words for a sheet `inner` mm wide with the scale bar under a map `panel` mm wide."""
        self.aside = 0.0
        if self.grid.in_um:
            share = self.grid.bar_length / (self.grid.extent[1] - self.grid.extent[0])
            self.aside = max(share * panel, fig.text_width(length_label(self.grid.bar_length))) + BESIDE
        self.lines = wrapped(fig, self.caption, inner - self.aside)
        self.rows = legend_rows(fig, self.legend, inner - self.aside)

    def height(self, above: float = 0.0) -> float:
        """Height in mm, with `above` mm of something else above the words."""
        words = above + len(self.lines) * LINE + len(self.rows) * ROW
        return max(words, AIR + SCALE_BAR + 0.6 + LINE if self.grid.in_um else 0.0)

    def draw(self, fig: PrintFigure, left: float, top: float, total: float, *, above: float = 0.0) -> None:
        """Write caption and legend with the foot's upper-left corner at `left`, `top` mm."""
        left, top = left + self.aside, top + above
        for i, line in enumerate(self.lines):
            fig.note(left, top + i * LINE, line, total)
        draw_legend(fig, self.rows, left, top + len(self.lines) * LINE, total)

    def draw_scale_bar(self, fig: PrintFigure, axes: Axes, below: float, height: float) -> None:
        """Draw the scale bar of `axes`, a map `height` mm high whose lower edge lies `below` mm above the foot."""
        if self.grid.in_um:
            draw_scale_bar(fig, axes, self.grid, below + AIR, height)
