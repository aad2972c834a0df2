"""Map panels on a sheet: image, title and colour bar of each, then one scale bar, the caption and the legend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.figures._canvas import LINE, MARGIN, MAX_HEIGHT, PrintFigure, wrapped
from ssbmaps.figures._foot import Foot
from ssbmaps.figures._labels import number_label
from ssbmaps.figures._legend import Entry
from ssbmaps.figures._style import MM_PER_INCH, UNMEASURED, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from numpy.typing import NDArray

    from ssbmaps.figures._contours import Contours
    from ssbmaps.figures._grid import MapGrid
    from ssbmaps.figures._scale import Colours
    from ssbmaps.figures._spectra import SpectrumPlot

GAP = 3.0  # mm between panels
HEAD = LINE + 1.2  # title above a panel
BAR = 1.8  # thickness of a colour bar
BAR_GAP = 1.2  # between a panel and its bar
BAR_WORDS = BAR + 0.6 + LINE  # from the bar's upper edge to the words under its numbers
BAR_BLOCK = BAR_GAP + BAR_WORDS + 1.2  # gap, bar, tick labels, air
WIDEST_BAR = 45.0
LEAST_ROOM = 8.0  # height that a panel may always take, even if the sheet then runs over the page
BESIDE = 0.3  # share of the width that a map takes when a plot stands beside it
PLOT_GAP = 12.0  # mm between map and plot, for the numbers and the label of the plot


@dataclass(frozen=True, slots=True)
class MapPanel:
    """One map to draw: `colours` is None where no pixel holds a value."""

    title: str
    image: NDArray[np.float64]
    colours: Colours | None


def image_axes(fig: PrintFigure, image: NDArray[np.float64], grid: MapGrid, contours: Contours | None) -> Axes:
    """Axes without ticks that hold `image` (numbers, or red-green-blue) at its physical extent, `y` downwards."""
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set_facecolor(UNMEASURED)
    axes.imshow(image, extent=grid.extent, origin="upper", interpolation="none", aspect="equal")
    axes.autoscale(False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, linewidth=0.4)
    if contours is not None:
        contours.draw(axes)
    return axes


def map_axes(fig: PrintFigure, panel: MapPanel, grid: MapGrid, contours: Contours | None) -> Axes:
    """Axes that hold the panel's map in its colours, under its title."""
    colours = panel.colours
    drawn = panel.image if colours is None else colours.drawn(panel.image)
    axes = image_axes(fig, np.ma.masked_invalid(drawn), grid, contours)
    if colours is not None:
        axes.images[0].set(cmap=colours.cmap, norm=colours.norm)
    axes.set_title(panel.title, loc="left", pad=3.0)
    return axes


def bar_axes(fig: PrintFigure, coloured: ScalarMappable, colours: Colours) -> Axes:
    """Axes with a horizontal colour bar; ticks follow in `set_bar_ticks` once its printed length is known."""
    axes = fig.add_axes((0, 0, 1, 1))
    bar = fig.colorbar(coloured, cax=axes, orientation="horizontal", extend=colours.extend, extendfrac=0.04)
    bar.outline.set_linewidth(0.4)
    axes.minorticks_off()
    axes.tick_params(length=1.4, pad=1.2)
    return axes


def set_bar_ticks(axes: Axes, colours: Colours, length: float) -> None:
    """As many round ticks as `length` mm can hold; the labels at the ends stay within the bar."""
    ticks = colours.ticks(int(np.clip(length // 8, 2, 6)))
    axes.set_xticks(ticks, [number_label(t) for t in ticks])
    low, high = axes.get_xlim()
    for tick, label in zip(ticks, axes.get_xticklabels(), strict=True):
        place = axes.transAxes.inverted().transform(axes.transData.transform((tick, 0)))[0] if low < high else 0.5
        label.set_horizontalalignment("left" if place < 2.5 / length else "right" if place > 1 - 2.5 / length else "center")


def bar_lines(fig: PrintFigure, colours: Colours, length: float) -> list[str]:
    """What stands on a bar `length` mm long about its scale, in lines that are no longer."""
    return wrapped(fig, colours.words, length)


def write_bar_lines(fig: PrintFigure, lines: Sequence[str], left: float, bar_top: float, total: float) -> None:
    """Write `lines` under the numbers of the bar whose upper-left corner lies at `left`, `bar_top` mm."""
    for i, line in enumerate(lines):
        fig.note(left, bar_top + BAR_WORDS + i * LINE, line, total)


def map_sheet(
    panels: Sequence[MapPanel],
    grid: MapGrid,
    *,
    quantity: str,
    per_row: int = 1,
    shared: bool = False,
    contours: Contours | None = None,
    beside: Sequence[SpectrumPlot] = (),
) -> PrintFigure:
    """Figure of `panels` in rows, laid out by `fit_width`; `beside` puts a spectrum at the right of each, one panel a row."""
    with style():
        sheet = _Sheet(panels, grid, per_row, shared, quantity, contours)
        fig = PrintFigure(sheet.arrange)
        sheet.draw(fig, beside)
    return fig


def _caption(panels: Sequence[MapPanel], quantity: str) -> list[str]:
    """What the colours mean, as far as the bars do not say it themselves."""
    scaled = [p.colours for p in panels if p.colours is not None and not p.colours.legend]
    return [*([quantity] if scaled else []), *dict.fromkeys(note for colours in scaled for note in colours.notes)]


def _legend(panels: Sequence[MapPanel], grid: MapGrid, contours: Contours | None) -> list[Entry]:
    entries = list(panels[0].colours.legend) if panels[0].colours is not None else []
    if any(np.isnan(p.image).any() for p in panels):
        entries.append(Entry(grid.grey, UNMEASURED))
    return entries + list(contours.legend if contours is not None else ())


class _Sheet:
    """The axes of a sheet of maps, and their arrangement."""

    def __init__(
        self,
        panels: Sequence[MapPanel],
        grid: MapGrid,
        per_row: int,
        shared: bool,
        quantity: str,
        contours: Contours | None,
    ) -> None:
        self.panels, self.grid, self.per_row, self.shared, self.contours = panels, grid, per_row, shared, contours
        self.foot = Foot(grid, _caption(panels, quantity), _legend(panels, grid, contours))
        self.maps: list[Axes] = []
        self.bars: list[tuple[int, Axes, Colours]] = []  # panel that a bar belongs to; a shared bar is the first panel's
        self.plots: list[tuple[Axes, SpectrumPlot]] = []

    def draw(self, fig: PrintFigure, beside: Sequence[SpectrumPlot]) -> None:
        """Make all axes; their places follow in `arrange`."""
        self.maps = [map_axes(fig, panel, self.grid, self.contours) for panel in self.panels]
        for i, (axes, panel) in enumerate(zip(self.maps, self.panels, strict=True)):
            if panel.colours is not None and not panel.colours.legend and not (self.shared and i):
                self.bars.append((i, bar_axes(fig, axes.images[0], panel.colours), panel.colours))
        for spectrum in beside:
            self.plots.append((fig.add_axes((0, 0, 1, 1)), spectrum))
            spectrum.draw(self.plots[-1][0])

    def arrange(self, fig: PrintFigure, width: float) -> float:
        """Place everything for a figure `width` mm wide and return its height in mm."""
        inner = width - 2 * MARGIN
        rows = -(-len(self.panels) // self.per_row)
        head = HEAD if any(p.title for p in self.panels) else 0.0
        wide = self._panel_width(inner)
        for _ in range(2):  # a tall map is narrowed to the page: the foot then starts further left, and words take more lines
            self.foot.fit(fig, inner, wide)
            length = min(inner - self.foot.aside if self.shared else wide, WIDEST_BAR)
            words = [bar_lines(fig, colours, max(length, LEAST_ROOM)) for _, _, colours in self.bars]
            said = LINE * max(map(len, words), default=0)
            under = BAR_BLOCK + (0.0 if self.shared else said) if (self.bars and not self.shared) or self.plots else 1.5
            above = BAR_BLOCK - BAR_GAP + said if self.shared and self.bars else 0.0
            foot = self.foot.height(above)
            room = max((MAX_HEIGHT - foot - 2 * MARGIN) / rows - head - under, LEAST_ROOM)
            high = min(wide * self.grid.aspect, room)
            wide = high / self.grid.aspect
        row = head + high + under
        foot_top = MARGIN + rows * row
        total = foot_top + foot + MARGIN

        def corner(i: int) -> tuple[float, float]:
            return MARGIN + i % self.per_row * (wide + GAP), MARGIN + i // self.per_row * row + head

        for i, axes in enumerate(self.maps):
            fig.place(axes, *corner(i), wide, high, total)
        for i, (axes, spectrum) in enumerate(self.plots):
            left = MARGIN + self._panel_width(inner) + PLOT_GAP
            across = width - MARGIN - 1.0 - left
            fig.place(axes, left, corner(i)[1], across, high, total)
            axes.yaxis.set_label_coords(-(PLOT_GAP - 3.8) / across, 0.5)
            fig.keep(*spectrum.label(axes, across))
        for (i, axes, colours), lines in zip(self.bars, words, strict=True):
            left, top = (MARGIN + self.foot.aside, foot_top) if self.shared else (corner(i)[0], corner(i)[1] + high + BAR_GAP)
            fig.place(axes, left, top, length, BAR, total)
            set_bar_ticks(axes, colours, length)
            write_bar_lines(fig, lines, left, top, total)
        fig.set_size_inches(width / MM_PER_INCH, total / MM_PER_INCH)
        self.foot.draw_scale_bar(fig, self.maps[(rows - 1) * self.per_row], under, high)
        self.foot.draw(fig, MARGIN, foot_top, total, above=above)
        return total

    def _panel_width(self, inner: float) -> float:
        return BESIDE * inner if self.plots else (inner - (self.per_row - 1) * GAP) / self.per_row
