"""The page of `thickness_map_figure`: the map with its outline, the colour bar beside the scale bar, and the words below."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssbmaps.figures._canvas import LINE, MARGIN, MAX_HEIGHT, PrintFigure
from ssbmaps.figures._foot import Foot
from ssbmaps.figures._panels import (
    BAR,
    BAR_BLOCK,
    BAR_GAP,
    HEAD,
    LEAST_ROOM,
    WIDEST_BAR,
    bar_lines,
    set_bar_ticks,
    write_bar_lines,
)
from ssbmaps.figures._style import MM_PER_INCH, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ssbmaps.figures._thickness_outline import ThicknessMap

UNDER = 1.5  # mm between the map and what stands below it


def thickness_sheet(map_: ThicknessMap) -> PrintFigure:
    """Figure of the outline over its ground, laid out by `fit_width`."""
    with style():
        sheet = _Sheet(map_)
        fig = PrintFigure(sheet.arrange)
        sheet.picture, sheet.bar = map_.draw(fig)
        sheet.picture.set_title(map_.title, loc="left", pad=3.0)
    return fig


class _Sheet:
    """The map and its bar, and their arrangement."""

    picture: Axes
    bar: Axes | None

    def __init__(self, map_: ThicknessMap) -> None:
        self.grid, self.colours = map_.ground.grid, map_.colours
        self.foot = Foot(self.grid, map_.caption, map_.legend)

    def arrange(self, fig: PrintFigure, width: float) -> float:
        """Place everything for a figure `width` mm wide and return its height in mm."""
        inner = width - 2 * MARGIN
        wide, lines, above = inner, [], 0.0
        for _ in range(2):  # a tall map is narrowed to the page: the foot then starts further left
            self.foot.fit(fig, inner, wide)
            length = min(inner - self.foot.aside, WIDEST_BAR)
            if self.colours is not None:
                lines = bar_lines(fig, self.colours, inner - self.foot.aside)
                above = BAR_BLOCK - BAR_GAP + LINE * len(lines)
            foot = self.foot.height(above)
            high = min(wide * self.grid.aspect, max(MAX_HEIGHT - foot - 2 * MARGIN - HEAD - UNDER, LEAST_ROOM))
            wide = high / self.grid.aspect
        foot_top = MARGIN + HEAD + high + UNDER
        total = foot_top + foot + MARGIN
        fig.place(self.picture, MARGIN, MARGIN + HEAD, wide, high, total)
        if self.bar is not None and self.colours is not None:
            left = MARGIN + self.foot.aside
            fig.place(self.bar, left, foot_top, length, BAR, total)
            set_bar_ticks(self.bar, self.colours, length)
            write_bar_lines(fig, lines, left, foot_top, total)
        fig.set_size_inches(width / MM_PER_INCH, total / MM_PER_INCH)
        self.foot.draw_scale_bar(fig, self.picture, UNDER, high)
        self.foot.draw(fig, MARGIN, foot_top, total, above=above)
        return total
