"""Map panels on a sheet: image, title and colour bar of each, then one scale bar, the caption and the legend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation

from ssbmaps._conventions import RASTER_DIMS, axis_values, pixel_size
from ssbmaps.figures._canvas import LINE, MARGIN, MAX_HEIGHT, SWATCH, LegendRow, PrintFigure, legend_rows, wrapped
from ssbmaps.figures._labels import length_label, number_label
from ssbmaps.figures._style import INK, MM_PER_INCH, UNMEASURED, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from ssbmaps.figures._scale import Colours
    from ssbmaps.figures._spectra import SpectrumPlot

GAP = 3.0  # mm between panels
HEAD = LINE + 1.2  # title above a panel
BAR = 1.8  # thickness of a colour bar
BAR_BLOCK = 1.2 + BAR + 0.6 + LINE + 1.2  # gap, bar, tick labels, air
WIDEST_BAR = 45.0
SCALE_BAR = 0.8  # thickness of the scale bar
LEAST_ROOM = 8.0  # height that a panel may always take, even if the sheet then runs over the page
BESIDE = 0.3  # share of the width that a map takes when a plot stands beside it
PLOT_GAP = 12.0  # mm between map and plot, for the numbers and the label of the plot


@dataclass(frozen=True, slots=True)
class MapPanel:
    """One map to draw: `colours` is None where no pixel holds a value."""

    title: str
    image: NDArray[np.float64]
    colours: Colours | None


@dataclass(frozen=True, slots=True)
class MapGrid:
    """Edges of the map in um (in pixels without a pixel size), and what its grey pixels are."""

    extent: tuple[float, float, float, float]
    in_um: bool
    grey: str

    @property
    def aspect(self) -> float:
        """Height over width."""
        left, right, bottom, top = self.extent
        return (bottom - top) / (right - left)

    @property
    def bar_length(self) -> float:
        """Round length of the scale bar: 1, 2 or 5 times a power of ten, at most two fifths of the map's width."""
        most = 0.4 * (self.extent[1] - self.extent[0])
        power = 10.0 ** np.floor(np.log10(most))
        return float(max(f * power for f in (1.0, 2.0, 5.0) if f * power <= most * (1 + 1e-9)))


def read_grid(maps: xr.DataArray, *, subject: str) -> MapGrid:
    """Where the maps lie; without both coordinates they are drawn in pixels."""
    grey = "not measured" if "measured" in maps.coords else "no value"
    height, width = (maps.sizes[d] for d in RASTER_DIMS)
    if not any(d in maps.coords for d in RASTER_DIMS):
        return MapGrid((0.0, float(width), float(height), 0.0), False, grey)
    dy, dx = pixel_size(maps, subject=subject)
    y, x = (axis_values(maps, d, subject=subject) for d in RASTER_DIMS)
    return MapGrid((x[0] - dx / 2, x[-1] + dx / 2, y[-1] + dy / 2, y[0] - dy / 2), True, grey)


def map_axes(fig: PrintFigure, panel: MapPanel, grid: MapGrid) -> Axes:
    """Axes without ticks that hold the panel's image at its physical extent, `y` downwards."""
    axes = fig.add_axes((0, 0, 1, 1))
    colours = panel.colours
    drawn = panel.image if colours is None else colours.drawn(panel.image)
    axes.set_facecolor(UNMEASURED)
    image = axes.imshow(np.ma.masked_invalid(drawn), extent=grid.extent, origin="upper", interpolation="none", aspect="equal")
    if colours is not None:
        image.set(cmap=colours.cmap, norm=colours.norm)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, linewidth=0.4)
    axes.set_title(panel.title, loc="left", pad=3.0)
    return axes


def bar_axes(fig: PrintFigure, image: AxesImage, colours: Colours) -> Axes:
    """Axes with a horizontal colour bar; ticks follow in `set_bar_ticks` once its printed length is known."""
    axes = fig.add_axes((0, 0, 1, 1))
    bar = fig.colorbar(image, cax=axes, orientation="horizontal", extend=colours.extend, extendfrac=0.04)
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


def draw_scale_bar(fig: PrintFigure, axes: Axes, grid: MapGrid, below: float, height: float) -> None:
    """Draw the scale bar `below` mm under a panel `height` mm high, in the panel's own x."""
    length, left = grid.bar_length, grid.extent[0]
    across = axes.get_xaxis_transform() + ScaledTranslation(0, -below / MM_PER_INCH, fig.dpi_scale_trans)
    bar = Rectangle((left, -SCALE_BAR / height), length, SCALE_BAR / height, fc=INK, lw=0, clip_on=False, transform=across)
    bar.set_gid("scale-bar")
    axes.add_patch(bar)
    text = length_label(length)
    printed = length / (grid.extent[1] - grid.extent[0]) * axes.get_position().width * fig.get_figwidth() * MM_PER_INCH
    at, align = (left + length / 2, "center") if fig.text_width(text) < printed else (left, "left")
    label = axes.text(at, -(SCALE_BAR + 0.6) / height, text, ha=align, va="top", transform=across, clip_on=False)
    fig.keep(bar, label)


def map_sheet(
    panels: Sequence[MapPanel],
    grid: MapGrid,
    *,
    quantity: str,
    per_row: int = 1,
    shared: bool = False,
    beside: Sequence[SpectrumPlot] = (),
) -> PrintFigure:
    """Figure of `panels` in rows, laid out by `fit_width`; `beside` puts a spectrum at the right of each, one panel a row."""
    with style():
        sheet = _Sheet(panels, grid, per_row, shared, quantity)
        fig = PrintFigure(sheet.arrange)
        sheet.draw(fig, beside)
    return fig


def _caption(panels: Sequence[MapPanel], grid: MapGrid, quantity: str) -> list[str]:
    """What the colours mean: what holds for most panels once, for the others by name; and a missing pixel size."""
    scaled = [p for p in panels if p.colours is not None and not p.colours.legend]
    parts = [quantity] if scaled else []
    words = [p.colours.words for p in scaled if p.colours is not None]
    usual = max(words, key=words.count) if words else ()
    parts += usual
    parts += [f"{p.title}: {', '.join(own) or 'full range'}" for p, own in zip(scaled, words, strict=True) if own != usual]
    if not grid.in_um:
        parts.append("no pixel size: drawn in pixels, no scale bar")
    return parts


def _legend(panels: Sequence[MapPanel], grid: MapGrid) -> list[tuple[str, str]]:
    entries = list(panels[0].colours.legend) if panels[0].colours is not None else []
    if any(np.isnan(p.image).any() for p in panels):
        entries.append((UNMEASURED, grid.grey))
    return entries


class _Sheet:
    """The axes of a sheet of maps, and their arrangement."""

    def __init__(self, panels: Sequence[MapPanel], grid: MapGrid, per_row: int, shared: bool, quantity: str) -> None:
        self.panels, self.grid, self.per_row, self.shared = panels, grid, per_row, shared
        self.caption, self.legend = _caption(panels, grid, quantity), _legend(panels, grid)
        self.maps: list[Axes] = []
        self.bars: list[tuple[int, Axes, Colours]] = []  # panel that a bar belongs to; a shared bar is the first panel's
        self.plots: list[tuple[Axes, SpectrumPlot]] = []

    def draw(self, fig: PrintFigure, beside: Sequence[SpectrumPlot]) -> None:
        """Make all axes; their places follow in `arrange`."""
        self.maps = [map_axes(fig, panel, self.grid) for panel in self.panels]
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
        under = BAR_BLOCK if (self.bars and not self.shared) or self.plots else 1.5
        wide = self._panel_width(inner)
        for _ in range(2):  # a tall map is narrowed to the page, and the foot then starts further left
            lines, legend, aside = self._foot(fig, inner, wide)
            foot = self._foot_height(len(lines), len(legend))
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
            axes.yaxis.set_label_coords(-(PLOT_GAP - 4.5) / across, 0.5)
            fig.keep(*spectrum.label(axes, across))
        for i, axes, colours in self.bars:
            left, top = (MARGIN + aside, foot_top) if self.shared else (corner(i)[0], corner(i)[1] + high + 1.2)
            length = min(inner - aside if self.shared else wide, WIDEST_BAR)
            fig.place(axes, left, top, length, BAR, total)
            set_bar_ticks(axes, colours, length)
        fig.set_size_inches(width / MM_PER_INCH, total / MM_PER_INCH)
        if self.grid.in_um:
            draw_scale_bar(fig, self.maps[(rows - 1) * self.per_row], self.grid, under + 0.8, high)
        self._write_foot(fig, lines, legend, MARGIN + aside, foot_top + self._shared_bar_height(), total)
        return total

    def _panel_width(self, inner: float) -> float:
        return BESIDE * inner if self.plots else (inner - (self.per_row - 1) * GAP) / self.per_row

    def _foot(self, fig: PrintFigure, inner: float, panel: float) -> tuple[list[str], list[LegendRow], float]:
        """Caption lines, legend rows, and how far both stand to the right of the scale bar."""
        aside = 0.0
        if self.grid.in_um:
            share = self.grid.bar_length / (self.grid.extent[1] - self.grid.extent[0])
            aside = max(share * panel, fig.text_width(length_label(self.grid.bar_length))) + 4.0
        return wrapped(fig, self.caption, inner - aside), legend_rows(fig, self.legend, inner - aside), aside

    def _shared_bar_height(self) -> float:
        return BAR_BLOCK - 1.2 if self.shared and self.bars else 0.0

    def _foot_height(self, n_lines: int, n_legend: int) -> float:
        text = self._shared_bar_height() + n_lines * LINE + n_legend * (LINE + 0.4)
        return max(text, 0.8 + SCALE_BAR + 0.6 + LINE if self.grid.in_um else 0.0)

    def _write_foot(
        self, fig: PrintFigure, lines: list[str], legend: Sequence[LegendRow], left: float, top: float, total: float
    ) -> None:
        for i, line in enumerate(lines):
            fig.note(left, top + i * LINE, line, total)
        top += len(lines) * LINE
        for i, entries in enumerate(legend):
            for offset, colour, text in entries:
                fig.patch_at(left + offset, top + i * (LINE + 0.4) + 0.3, SWATCH, SWATCH, total, colour)
                fig.note(left + offset + SWATCH + 1.0, top + i * (LINE + 0.4), text, total)
