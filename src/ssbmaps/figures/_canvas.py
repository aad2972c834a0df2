"""A figure whose parts are placed in millimetres, so that a journal's width changes the layout and never the type."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ssbmaps.figures._style import INK, JOURNAL_WIDTHS, MM_PER_INCH, style

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.text import Text

LINE = 3.2  # height in mm of a line of text at 7 pt
MARGIN = 1.0
MAX_HEIGHT = 230.0  # the tallest page of the journals


class PrintFigure(Figure):
    """A figure that can be laid out anew at any printed width.

    `arrange(fig, width)` places the axes for `width` in mm and returns the height in mm; it is called again by `fit_width`.
    """

    def __init__(self, arrange: Callable[[PrintFigure, float], float], **options: Any) -> None:
        super().__init__(facecolor="white", **options)
        FigureCanvasAgg(self)
        self._arrange = arrange
        self._notes: list[Artist] = []

    def fit_width(self, width: float) -> None:
        """Lay the figure out at `width` mm; text keeps its size, the height follows."""
        with style():
            while self._notes:
                self._notes.pop().remove()
            self.set_size_inches(width / MM_PER_INCH, MAX_HEIGHT / MM_PER_INCH)
            height = self._arrange(self, width)
            self.set_size_inches(width / MM_PER_INCH, height / MM_PER_INCH)

    def place(self, axes: Axes, left: float, top: float, width: float, height: float, total: float) -> None:
        """Put `axes` at `left`, `top` (mm from the upper-left corner of a figure `total` mm high)."""
        page = self.get_figwidth() * MM_PER_INCH
        axes.set_position((left / page, 1 - (top + height) / total, width / page, height / total))

    def note(self, left: float, top: float, text: str, total: float, **options: Any) -> Text:
        """Text with its upper-left corner at `left`, `top` mm; taken away at the next layout."""
        page = self.get_figwidth() * MM_PER_INCH
        written = self.text(left / page, 1 - top / total, text, **{"ha": "left", "va": "top", **options})
        self._notes.append(written)
        return written

    def patch_at(self, left: float, top: float, width: float, height: float, total: float, colour: str) -> None:
        """A small filled rectangle, as in a legend; taken away at the next layout."""
        page = self.get_figwidth() * MM_PER_INCH
        corner = (left / page, 1 - (top + height) / total)
        swatch = Rectangle(corner, width / page, height / total, fc=colour, ec=INK, lw=0.4, transform=self.transFigure)
        self.add_artist(swatch)
        self._notes.append(swatch)

    def keep(self, *artists: Artist) -> None:
        """Take `artists` away at the next layout."""
        self._notes.extend(artists)

    def text_width(self, text: str, **options: Any) -> float:
        """Printed width of `text` in mm."""
        probe = self.text(0, 0, text, **options)
        extent = probe.get_window_extent(self.canvas.get_renderer())  # type: ignore[attr-defined]
        probe.remove()
        return float(extent.width / self.dpi * MM_PER_INCH)

    def _repr_png_(self) -> bytes:
        """The figure as a notebook shows it."""
        buffer = io.BytesIO()
        with style():
            self.savefig(buffer, format="png", dpi=200)
        return buffer.getvalue()


def finished(fig: PrintFigure) -> PrintFigure:
    """`fig` laid out at the default width: one column of the first journal."""
    fig.fit_width(JOURNAL_WIDTHS["rsc"][0])
    return fig


def wrapped(fig: PrintFigure, phrases: Sequence[str], width: float) -> list[str]:
    """`phrases`, joined by semicolons, in lines of at most `width` mm: broken between phrases, within one where it must be."""
    lines: list[str] = []
    for i, phrase in enumerate(phrases):
        piece = phrase + ("; " if i < len(phrases) - 1 else "")
        if lines and fig.text_width((lines[-1] + piece).rstrip()) <= width:
            lines[-1] += piece
            continue
        lines.append("")
        for word in piece.rstrip().split(" "):
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and fig.text_width(longer) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        lines[-1] += " "
    return [line.rstrip() for line in lines]
