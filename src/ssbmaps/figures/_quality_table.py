"""The table under the panels of `quality_figure`: a mark, a name, a number and a line of words for each check."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D

from ssbmaps.figures._canvas import LINE, wrapped
from ssbmaps.figures._style import INK, LINE_COLOURS, MM_PER_INCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssbmaps.figures._canvas import PrintFigure

FLAG = LINE_COLOURS[1]
MARK = 3.2  # mm from a mark's left to the words beside it
GAP = 3.0  # mm between columns
AIR = 0.9  # mm between rows
HEADER = LINE + 1.2
FULL = 0.97  # of a line may be filled: printed letters are up to this much wider than those measured at 100 dots per inch
LEAST_WORDS = 70.0  # mm; where less is left beside the numbers, the words go under them


@dataclass(frozen=True, slots=True)
class Row:
    """One check: what `section_quality` says of it."""

    name: str
    quantity: str
    value_units: str
    finding: str
    value: float
    value_sd: float
    p_value: float
    flagged: bool
    testable: bool

    @property
    def title(self) -> str:
        """The name as it is printed."""
        return self.name.replace("_", " ")

    @property
    def words(self) -> str:
        """What the flag is compatible with, what was measured without one, or why nothing can be said."""
        said = self.finding if self.flagged or not self.testable else self.quantity
        return re.sub(r"\bum\b", "µm", said).replace("$", r"\$")

    @property
    def number(self) -> str:
        """Value ± standard error; lengths below 1 um in nm."""
        if not self.testable:
            return "–"
        small = self.value_units == "um" and max(abs(self.value), self.value_sd) < 1
        factor, unit = (1e3, "nm") if small else (1.0, {"1": "", "um": "µm"}.get(self.value_units, self.value_units))
        return f"{value_with_error(factor * self.value, factor * self.value_sd)} {unit}".rstrip()

    @property
    def p_text(self) -> str:
        """The p-value with two digits."""
        if not self.testable:
            return "–"
        return f"{self.p_value:#.2g}" if self.p_value >= 0.001 else "< 0.001"


def value_with_error(value: float, error: float) -> str:
    """`error` with two digits and `value` to the same place; one digit suffices for an error of 10 or more.

    >>> value_with_error(-3.21789, 1.4449), value_with_error(0.0, 0.8), value_with_error(123.4, 56.0)
    ('−3.2 ± 1.4', '0.00 ± 0.80', '123 ± 56')
    """
    if not (np.isfinite(error) and error > 0):
        return f"{value:.3g}".replace("-", "−")
    places = max(0, 1 - int(np.floor(np.log10(error))))
    rounded = round(value, places) + 0.0  # no negative zero
    return f"{rounded:.{places}f} ± {error:.{places}f}".replace("-", "−")


def draw_mark(fig: PrintFigure, left: float, top: float, total: float, row: Row) -> None:
    """A filled circle for a flag, an open one for none, a dash for no test; beside a line of text at `left`, `top` mm."""
    page = fig.get_figwidth() * MM_PER_INCH
    x, y = (left + 1.1) / page, 1 - (top + 0.40 * LINE) / total
    if row.testable:
        face = FLAG if row.flagged else "none"
        edge = FLAG if row.flagged else INK
        mark = Line2D([x], [y], marker="o", ms=4.2, mfc=face, mec=edge, mew=0.6, ls="none", transform=fig.transFigure)
    else:
        mark = Line2D([x - 0.8 / page, x + 0.8 / page], [y, y], color=INK, lw=0.6, transform=fig.transFigure)
    mark.set_gid(f"mark {row.name}")
    fig.add_artist(mark)
    fig.keep(mark)


class Table:
    """The rows, fitted to a width in `fit` and written in `draw`."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.stops: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
        self.lines: list[list[str]] = []
        self.beside = True

    def fit(self, fig: PrintFigure, width: float) -> float:
        """Break the words for `width` mm; returns the height in mm."""
        columns = (("check", "title"), ("value ± standard error", "number"), ("p", "p_text"))
        sizes = [max(fig.text_width(t) for t in (head, *(getattr(r, key) for r in self.rows))) / FULL for head, key in columns]
        stops = np.cumsum([MARK, *(s + GAP for s in sizes)])
        self.beside = bool(width - stops[3] >= LEAST_WORDS)
        if not self.beside:  # the numbers end at the right edge
            stops = np.array([MARK, width - sizes[2] - GAP - sizes[1], width - sizes[2], MARK])
        self.stops = (float(stops[0]), float(stops[1]), float(stops[2]), float(stops[3]))
        self.lines = [wrapped(fig, [row.words], FULL * (width - self.stops[3])) for row in self.rows]
        return HEADER + sum(self._height(lines) for lines in self.lines) + AIR

    def draw(self, fig: PrintFigure, left: float, top: float, width: float, total: float) -> None:
        """Write the table with its upper-left corner at `left`, `top` mm."""
        words = "finding; where nothing is beyond chance, the quantity" if self.beside else ""
        heads = ("check", "value ± standard error", "p", words)
        for stop, head in zip(self.stops, heads, strict=True):
            fig.note(left + (stop if head != "check" else 0.0), top, head, total)
        _rule(fig, left, top + LINE + 0.5, width, total)
        top += HEADER
        for row, lines in zip(self.rows, self.lines, strict=True):
            draw_mark(fig, left, top, total, row)
            for stop, text in zip(self.stops[:3], (row.title, row.number, row.p_text), strict=True):
                fig.note(left + stop, top, text, total)
            first = top if self.beside else top + LINE
            for i, line in enumerate(lines):
                fig.note(left + self.stops[3], first + i * LINE, line, total)
            top += self._height(lines)
        _rule(fig, left, top, width, total)

    def _height(self, lines: list[str]) -> float:
        return (len(lines) if self.beside else 1 + len(lines)) * LINE + AIR


def _rule(fig: PrintFigure, left: float, top: float, width: float, total: float) -> None:
    """A thin line across the table."""
    page = fig.get_figwidth() * MM_PER_INCH
    line = Line2D([left / page, (left + width) / page], [1 - top / total] * 2, color=INK, lw=0.4, transform=fig.transFigure)
    fig.add_artist(line)
    fig.keep(line)
