"""Legends: filled swatches and the lines of contours, in rows that fit a width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from ssbmaps.figures._canvas import LINE
from ssbmaps.figures._style import INK, MM_PER_INCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.patheffects import AbstractPathEffect

    from ssbmaps.figures._canvas import PrintFigure

SWATCH = 2.2  # mm
SAMPLE = 5.0  # length in mm of a line's sample
ROW = LINE + 0.4
CONTOUR_WIDTH = 0.45  # pt, the white line of a contour
CASING_WIDTH = 1.05  # pt, the dark one around it

Dash: TypeAlias = "str | tuple[float, tuple[float, ...]]"
LegendRow: TypeAlias = "list[tuple[float, Entry]]"  # (offset in mm, entry)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a legend: a swatch of `colour`, or a contour's line where `dash` is given."""

    text: str
    colour: str = ""
    dash: Dash | None = None

    @property
    def key_width(self) -> float:
        """Width in mm of what stands before the text."""
        return (SWATCH if self.dash is None else SAMPLE) + 1.0


def casing() -> list[AbstractPathEffect]:
    """A dark line around the white one, so that a contour is seen on dark and on bright ground."""
    return [Stroke(linewidth=CASING_WIDTH, foreground=INK), Normal()]


def legend_rows(fig: PrintFigure, entries: Sequence[Entry], width: float) -> list[LegendRow]:
    """Rows that hold `entries` within `width` mm."""
    rows: list[LegendRow] = []
    used = width + 1
    for entry in entries:
        size = entry.key_width + fig.text_width(entry.text)
        if used + size > width:
            rows.append([])
            used = 0.0
        rows[-1].append((used, entry))
        used += size + 3.0
    return rows


def draw_legend(fig: PrintFigure, rows: Sequence[LegendRow], left: float, top: float, total: float) -> None:
    """Write the rows with their upper-left corner at `left`, `top` mm of a figure `total` mm high."""
    for i, row in enumerate(rows):
        line = top + i * ROW
        for offset, entry in row:
            at = left + offset
            if entry.dash is None:
                fig.patch_at(at, line + 0.3, SWATCH, SWATCH, total, entry.colour)
            else:
                _sample(fig, at, line + 0.3 + SWATCH / 2, total, entry.dash)
            fig.note(at + entry.key_width, line, entry.text, total)


def _sample(fig: PrintFigure, left: float, top: float, total: float, dash: Dash) -> None:
    page = fig.get_figwidth() * MM_PER_INCH
    place = [left / page, (left + SAMPLE) / page], [1 - top / total] * 2
    options: Any = {"ls": dash, "lw": CONTOUR_WIDTH, "path_effects": casing(), "solid_capstyle": "butt"}
    line = Line2D(*place, color="white", transform=fig.transFigure, **options)
    fig.add_artist(line)
    fig.keep(line)
