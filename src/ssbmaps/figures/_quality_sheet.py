"""The page of `quality_figure`: panels in rows, the table below them, and what the signs mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssbmaps._errors import SsbmapsError
from ssbmaps.figures._canvas import LINE, MARGIN, MAX_HEIGHT, PrintFigure, wrapped
from ssbmaps.figures._legend import ROW, Entry, draw_legend, legend_rows
from ssbmaps.figures._quality_panels import UNDER, Plot, TileMap, quality_panels
from ssbmaps.figures._quality_table import FULL, MARK, Row, Table, draw_mark
from ssbmaps.figures._style import UNMEASURED, style

if TYPE_CHECKING:
    import xarray as xr

GAP = 4.0  # mm between cells
HEAD = LINE + 1.2  # title above a panel
TALLEST, FLATTEST, LEAST = 32.0, 0.68, 16.0  # height of a plot: in mm, over the width of its cell, and where the page is full
BETWEEN = 2.5  # mm between rows of panels, the table and the words below it


def quality_sheet(quality: xr.Dataset, rows: list[Row], level: float, wording: str) -> PrintFigure:
    """Figure of the table `rows` and the panels that `quality` holds for them, without a width yet."""
    with style():
        sheet = _Sheet(rows, level, wording)
        fig = PrintFigure(sheet.arrange)
        sheet.panels = quality_panels(fig, quality, rows)
    return fig


class _Sheet:
    """The panels, the table and the words below, and their arrangement."""

    def __init__(self, rows: list[Row], level: float, wording: str) -> None:
        self.rows, self.level, self.wording = rows, level, wording
        self.panels: list[Plot | TileMap] = []
        self.table = Table(rows)

    def arrange(self, fig: PrintFigure, width: float) -> float:
        """Place everything for a figure `width` mm wide and return its height in mm."""
        inner = width - 2 * MARGIN
        per_row = self._per_row(inner)
        cell = (inner - (per_row - 1) * GAP) / per_row
        n_rows = -(-len(self.panels) // per_row)
        lines, legend = wrapped(fig, self._words(), FULL * inner), legend_rows(fig, self._legend(), inner)
        foot = 0.5 + len(lines) * LINE + len(legend) * ROW
        fixed = 2 * MARGIN + n_rows * (HEAD + UNDER + BETWEEN) + self.table.fit(fig, inner) + foot
        high = min(FLATTEST * cell, TALLEST, (MAX_HEIGHT - fixed) / max(n_rows, 1))
        if high < (LEAST if n_rows else 0):
            least = fixed + n_rows * LEAST
            raise SsbmapsError(
                f"figures.quality_figure: {len(self.rows)} checks take {least:.0f} mm at a width of {width:.0f} mm, a page has "
                f"{MAX_HEIGHT:.0f} mm; save the figure over two columns (columns=2), or pick checks with .sel(check=[...])."
            )
        row_high = HEAD + high + UNDER + BETWEEN
        table_top = MARGIN + n_rows * row_high
        total = fixed + n_rows * high
        foot_top = total - MARGIN - foot + 0.5
        for i, panel in enumerate(self.panels):
            left, top = MARGIN + i % per_row * (cell + GAP), MARGIN + i // per_row * row_high
            draw_mark(fig, left, top, total, panel.row)
            fig.note(left + MARK, top, panel.row.title, total)
            panel.place(fig, left, top + HEAD, cell, high, total)
        self.table.draw(fig, MARGIN, table_top, inner, total)
        for i, line in enumerate(lines):
            fig.note(MARGIN, foot_top + i * LINE, line, total)
        draw_legend(fig, legend, MARGIN, foot_top + len(lines) * LINE, total)
        return total

    def _per_row(self, inner: float) -> int:
        """Panels in a row: pairs on one column; on two columns up to four, or rows of three."""
        number = len(self.panels)
        most = 2 if inner < 120 else number if number <= 4 else 3
        return max(most, 2)

    def _words(self) -> list[str]:
        """What the signs mean, as far as they occur, and the wording of the table."""
        clear = [r for r in self.rows if r.testable and not r.flagged]
        said = [f"filled circle: flagged, p ≤ {self.level:g}"] if any(r.flagged for r in self.rows) else []
        said += [f"open circle: nothing beyond chance, p > {self.level:g}"] if clear else []
        said += ["dash: not testable"] if not all(r.testable for r in self.rows) else []
        drawn = {p.row.name for p in self.panels}
        said += ["bars: ± 1 standard error"] if drawn & {"edge_position", "edge_width", "particle_shape"} else []
        said += ["diamond: mean over the particles"] if "particle_shape" in drawn else []
        said += ["directions run from x towards y"] if drawn & {"curtaining", "particle_shape"} else []
        return [*said, self.wording]

    def _legend(self) -> list[Entry]:
        return [Entry("too few counts in the tile", UNMEASURED)] if any(p.grey for p in self.panels) else []
