"""The page of `interphase_summary_figure`: two maps, the profile and the particles, the statement and the numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from ssbmaps._errors import SsbmapsError
from ssbmaps.figures._canvas import LINE, MARGIN, MAX_HEIGHT, PrintFigure, wrapped
from ssbmaps.figures._grid import SCALE_BAR, draw_scale_bar
from ssbmaps.figures._interphase_sheet import AXIS, LEFT, PANEL, RESIDUAL, RIGHT, draw_profile, draw_residuals
from ssbmaps.figures._interphase_sheet import GAP as BETWEEN
from ssbmaps.figures._legend import ROW, draw_legend, legend_rows
from ssbmaps.figures._panels import BAR, BAR_BLOCK, BAR_GAP, WIDEST_BAR, bar_lines, set_bar_ticks, write_bar_lines
from ssbmaps.figures._particles_sheet import END, particle_axes, particle_words, place_panels
from ssbmaps.figures._style import INK, MM_PER_INCH, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.axes import Axes

    from ssbmaps.figures._particles_read import Particles
    from ssbmaps.figures._summary_picture import Picture
    from ssbmaps.figures._thickness_outline import ThicknessMap

CELLS = 4.0  # mm between the two columns of the sheet
HEAD = LINE + 1.2  # letter and title above a panel
PLOT = PANEL + BETWEEN + RESIDUAL
UNDER = AXIS + 1.2  # mm below a plot: its ticks and its axis' name
WIDE = 120.0  # mm of width from which on the plots stand side by side
LEAST = 20.0  # mm of height that the maps need, unless they are flatter at full width
AIR = 2.4  # mm between the blocks of the sheet
SCALE = 0.8 + SCALE_BAR + 0.6 + LINE  # mm that the scale bar takes below the left map
LABEL = "#5a5a5a"


def summary_sheet(
    picture: Picture,
    map_: ThicknessMap,
    profile: xr.Dataset,
    particles: Particles | None,
    *,
    statement: str,
    numbers: Sequence[tuple[str, str]],
    title: str,
) -> PrintFigure:
    """Figure of all parts, laid out by `fit_width`; without `particles` the profile takes the whole width."""
    with style():
        sheet = _Sheet(picture, map_, particles, statement, numbers, title)
        fig = PrintFigure(sheet.arrange)
        sheet.draw(fig, profile)
    return fig


class _Sheet:
    """The parts of the sheet, and their arrangement."""

    def __init__(
        self,
        picture: Picture,
        map_: ThicknessMap,
        particles: Particles | None,
        statement: str,
        numbers: Sequence[tuple[str, str]],
        title: str,
    ) -> None:
        self.picture, self.map, self.particles = picture, map_, particles
        self.statement, self.numbers, self.title = statement, numbers, title

    def draw(self, fig: PrintFigure, profile: xr.Dataset) -> None:
        """Make all axes; their places follow in `arrange`."""
        self.composite, self.bars = self.picture.draw(fig)
        self.along, self.along_bar = self.map.draw(fig)
        self.top = fig.add_subplot()
        self.residual = fig.add_subplot(sharex=self.top)
        self.right = self.top.twinx()
        draw_profile(self.top, self.right, profile)
        draw_residuals(self.residual, profile)
        self.points: list[Axes] = [] if self.particles is None else particle_axes(fig, [self.particles])

    def arrange(self, fig: PrintFigure, width: float) -> float:
        """Place everything for a figure `width` mm wide and return its height in mm."""
        inner = width - 2 * MARGIN
        cell = (inner - CELLS) / 2
        beside = inner >= WIDE and bool(self.points)
        plot = cell if beside else inner
        said = self._plot_words(fig, plot)
        plots = (1 if beside or not self.points else 2) * (HEAD + PLOT + UNDER)
        plots += LINE * (max(map(len, said)) if beside else sum(map(len, said))) + AIR
        words = wrapped(fig, [self.statement], inner)
        table = _Table(fig, self.numbers, inner)
        below = self._below_maps(fig, cell)
        head = LINE + 1.0 if self.title else 0.0
        fixed = 2 * MARGIN + head + HEAD + below + AIR + plots + (len(words) + table.rows) * LINE + 1.0
        high = min(cell * self.picture.grid.aspect, MAX_HEIGHT - fixed)
        if high < min(LEAST, cell * self.picture.grid.aspect):
            raise SsbmapsError(
                f"figures.interphase_summary_figure: its words and plots leave {high:.0f} mm of a page of {MAX_HEIGHT:.0f} mm "
                f"for the maps at a width of {width:.0f} mm; save it over two columns (columns=2)."
            )
        total = fixed + high
        fig.set_size_inches(width / MM_PER_INCH, total / MM_PER_INCH)
        if self.title:
            fig.note(MARGIN, MARGIN, self.title, total, weight="bold")
        self._place_maps(fig, MARGIN + head, cell, high, total)
        top = MARGIN + head + HEAD + high + below + AIR
        self._place_profile(fig, top, plot, said[0], total)
        if self.points:
            at = (MARGIN + cell + CELLS, top) if beside else (MARGIN, top + HEAD + PLOT + UNDER + LINE * len(said[0]))
            self._place_particles(fig, at, plot, said[1], total)
        top += plots
        for i, line in enumerate(words):
            fig.note(MARGIN, top + i * LINE, line, total)
        table.draw(fig, top + len(words) * LINE + 1.0, total)
        return total

    def _plot_words(self, fig: PrintFigure, width: float) -> list[list[str]]:
        """Lines under the profile and under the particles."""
        profile = ["points: means ± 1 standard error", "lines: fitted model", "dashed: edge of the core"]
        profile += ["shaded: thickness and its 95 % interval"] if not self.map.words else []
        said = [wrapped(fig, profile, width)]
        return said if self.particles is None else [*said, wrapped(fig, particle_words([self.particles]), width)]

    def _map_words(self, fig: PrintFigure, width: float) -> tuple[list[str], list[str]]:
        """Lines under the composite and under the thickness."""
        words = ["colours add, brightness is scaled per map", self.picture.quantity, "line: outline of the core"]
        words += [f"grey: {self.picture.grid.grey}"] if self.picture.grey else []
        return wrapped(fig, words, width), wrapped(fig, self.map.caption, width)

    def _bar_height(self, fig: PrintFigure, cell: float) -> float:
        colours = self.map.colours
        return 0.0 if colours is None else BAR_BLOCK + LINE * len(bar_lines(fig, colours, cell))

    def _below_maps(self, fig: PrintFigure, cell: float) -> float:
        """Height in mm of what stands under the two maps."""
        left, right = self._map_words(fig, cell)
        legend = ROW * len(legend_rows(fig, self.map.legend, cell))
        composite = SCALE + 1.0 + self.picture.under(fig, cell) + LINE * len(left)
        return max(composite, BAR_GAP + self._bar_height(fig, cell) + LINE * len(right) + legend)

    def _place_maps(self, fig: PrintFigure, top: float, cell: float, high: float, total: float) -> None:
        wide = high / self.picture.grid.aspect
        second = MARGIN + cell + CELLS
        names = [c.name for c in self.picture.channels]
        _head(fig, MARGIN, top, "a", " and ".join(names), total)
        _head(fig, second, top, "b", self.map.title, total)
        for axes, left in ((self.composite, MARGIN), (self.along, second)):
            fig.place(axes, left, top + HEAD, wide, high, total)
        draw_scale_bar(fig, self.composite, self.picture.grid, 0.8, high)
        words, right = self._map_words(fig, cell)
        below = top + HEAD + high
        self.picture.place_bars(fig, self.bars, MARGIN, below + SCALE + 1.0, cell, total)
        _write(fig, words, MARGIN, below + SCALE + 1.0 + self.picture.under(fig, cell), total)
        if self.along_bar is not None and self.map.colours is not None:
            length = min(cell, WIDEST_BAR)
            fig.place(self.along_bar, second, below + BAR_GAP, length, BAR, total)
            set_bar_ticks(self.along_bar, self.map.colours, length)
            write_bar_lines(fig, bar_lines(fig, self.map.colours, cell), second, below + BAR_GAP, total)
        below += BAR_GAP + self._bar_height(fig, cell)
        _write(fig, right, second, below, total)
        draw_legend(fig, legend_rows(fig, self.map.legend, cell), second, below + LINE * len(right), total)

    def _place_profile(self, fig: PrintFigure, top: float, width: float, lines: list[str], total: float) -> None:
        _head(fig, MARGIN, top, "c", "profile across the edge of the core", total)
        across = width - LEFT - RIGHT
        for axes in (self.top, self.right):
            fig.place(axes, MARGIN + LEFT, top + HEAD, across, PANEL, total)
        fig.place(self.residual, MARGIN + LEFT, top + HEAD + PANEL + BETWEEN, across, RESIDUAL, total)
        self.top.xaxis.set_major_locator(MaxNLocator(int(across // 11), steps=[1, 2, 5, 10]))
        _write(fig, lines, MARGIN, top + HEAD + PLOT + UNDER, total)

    def _place_particles(self, fig: PrintFigure, at: tuple[float, float], width: float, lines: list[str], total: float) -> None:
        left, top = at
        _head(fig, left, top, "d", "particles", total)
        place_panels(fig, self.points, left, top + HEAD, (width - END, PLOT), total)
        _write(fig, lines, left, top + HEAD + PLOT + UNDER, total)


def _head(fig: PrintFigure, left: float, top: float, letter: str, text: str, total: float) -> None:
    fig.note(left, top, rf"$\mathbf{{{letter}}}$  {text}", total)


def _write(fig: PrintFigure, lines: Sequence[str], left: float, top: float, total: float) -> None:
    for i, line in enumerate(lines):
        fig.note(left, top + i * LINE, line, total)


class _Table:
    """Labels and values in as many columns as fit a width, read downwards."""

    def __init__(self, fig: PrintFigure, numbers: Sequence[tuple[str, str]], width: float) -> None:
        self.numbers = numbers
        sizes = [(fig.text_width(label), fig.text_width(value)) for label, value in numbers]
        for columns in (3, 2, 1):
            self.rows = -(-len(numbers) // columns)
            self.pitch = (width + CELLS) / columns
            parts = [sizes[i : i + self.rows] for i in range(0, len(sizes), self.rows)]
            self.labels = [max(a for a, _ in part) + 2.0 for part in parts]
            widest = max(a + max(b for _, b in part) for a, part in zip(self.labels, parts, strict=True))
            if widest <= self.pitch - CELLS:
                break

    def draw(self, fig: PrintFigure, top: float, total: float) -> None:
        """Write the table with its upper edge at `top` mm."""
        for i, (label, value) in enumerate(self.numbers):
            column, row = divmod(i, self.rows)
            left = MARGIN + column * self.pitch
            fig.note(left, top + row * LINE, label, total, color=LABEL)
            fig.note(left + self.labels[column], top + row * LINE, value, total, color=INK)
