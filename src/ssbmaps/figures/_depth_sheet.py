"""Small panels of something against depth: values and fit, without the change, a depth with its interval, and words below."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ssbmaps.figures._canvas import LINE, MARGIN, MAX_HEIGHT, PrintFigure, wrapped
from ssbmaps.figures._labels import number_label
from ssbmaps.figures._style import INK, LINE_COLOURS, style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COLUMN = 40.0  # mm: least width of a panel with its numbers
HIGH, WIDE_HIGH, LOW = 25.0, 40.0, 12.0  # mm: height of a panel, of one alone, and of the lowest where there are many
TITLE, NUMBERS, AXIS, GAP = 4.6, 4.2, 8.0, 2.5  # mm: above a panel, below it, below it with the axis' name, at its right
STRIP = LINE + 1.0  # mm inside a panel, above the data, for its text
AIR = 0.06  # share of the data's range that stays free at both ends
WIDE = 10.0  # the highest value over the median, from which on powers of ten are shown
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SPARE = 0.94  # of the width for words: in PNG of low resolution letters are wider than on the page
FOUND, FIT, FADED = LINE_COLOURS[0], LINE_COLOURS[1], "#8c8c8c"


@dataclass(frozen=True)
class Level:
    """A value with its interval, from one depth to another."""

    first: float
    last: float
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """One panel: values with errors against depth and what belongs to them; NaN is not drawn.

    `texts` say the same in fewer and fewer words; one of them stands in the panel, above the data. `mark` is a depth with its
    interval, `shaded` the depth down to which scans are to be left out. Without a finding (`found`) all is grey.
    """

    title: str
    depth: Floats
    value: Floats
    error: Floats
    curve: Floats
    texts: list[str]
    found: bool
    without: Floats | None = None
    mark: tuple[float, float, float] | None = None
    shaded: float | None = None
    levels: list[Level] = field(default_factory=list)
    zero: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """First and last depth that is shown: half a step beyond the scans."""
        if not len(self.depth):
            return 0.0, 1.0
        half = 0.5 * np.diff(self.depth) if len(self.depth) > 1 else np.array([0.5])
        return float(self.depth[0] - half[0]), float(self.depth[-1] + half[-1])

    def scaled(self, unit: float, title: str) -> Panel:
        """The same in a larger unit."""
        without = None if self.without is None else self.without / unit
        value, error, curve = self.value / unit, self.error / unit, self.curve / unit
        return replace(self, title=title, value=value, error=error, curve=curve, without=without)

    @property
    def log(self) -> bool:
        """Whether a few scans stand so far above the others that only powers of ten show both."""
        seen = self.value[np.isfinite(self.value) & (self.value > 0)]
        return not self.zero and seen.size > 0 and float(seen.max()) > WIDE * float(np.median(seen))

    def decades(self) -> tuple[float, float]:
        """Powers of ten of the lowest and highest value above 0 that is shown."""
        seen = np.concatenate([self.value, self.value + np.nan_to_num(self.error), self.curve])
        seen = np.log10(seen[np.isfinite(seen) & (seen > 0)])
        return float(np.floor(seen.min())), float(seen.max())

    def range(self) -> tuple[float, float]:
        """Lowest and highest value that is shown; from 0 on where counts fall below half of their highest."""
        parts = [self.value - self.error, self.value + self.error, self.value, self.curve, np.zeros(int(self.zero))]
        parts += [] if self.without is None else [self.without]
        parts += [np.array([level.value, level.low, level.high]) for level in self.levels]
        known = np.concatenate(parts)
        known = known[np.isfinite(known)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        if not self.zero and 0 <= low < 0.5 * high:
            low = 0.0
        return (low, high) if high > low else (low - 0.5, high + 0.5)


def depth_sheet(panels: list[Panel], quantity: str, axis: str, words: list[str]) -> PrintFigure:
    """Figure of all panels; `quantity` names what is drawn in them, `axis` the depth."""
    with style():
        fig = PrintFigure(_Layout(panels, quantity, axis, words).arrange)
        for i, panel in enumerate(panels):
            axes = fig.add_subplot(len(panels), 1, i + 1)
            axes.set_title(panel.title, loc="left", pad=2.6)
            _draw(axes, panel)
    return fig


def _draw(axes: Axes, panel: Panel) -> None:
    points, line = (FOUND, FIT) if panel.found else (FADED, FADED)
    z = panel.depth
    if panel.zero:
        axes.axhline(0, color=INK, lw=0.5, zorder=1)
    for level in panel.levels:
        ends = np.array([level.first, level.last])
        low, high = (v if np.isfinite(v) else level.value for v in (level.low, level.high))
        axes.fill_between(ends, low, high, color=INK, alpha=0.12, lw=0, zorder=0.8)
        axes.plot(ends, [level.value, level.value], color=INK, lw=0.8, ls=(0, (4, 1.5)), zorder=3)
    known = np.isfinite(panel.value)
    error = np.where(np.isfinite(panel.error), panel.error, 0)[known]
    axes.errorbar(z[known], panel.value[known], error, fmt="o", ms=1.8, mew=0, lw=0.6, color=points, zorder=2)
    if panel.without is not None:
        axes.plot(z, panel.without, color=line, lw=0.8, ls=(0, (4, 1.5)), zorder=3)
    axes.plot(z, panel.curve, color=line, lw=1.0 if panel.found else 0.5, zorder=4)
    axes.set_xlim(*panel.ends)
    if panel.log:
        axes.set_yscale("log", nonpositive="clip")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: (power_label if panel.log else number_label)(value)))


def _mark(axes: Axes, panel: Panel, top: float) -> list[Artist]:
    """The scans to leave out and the depth with its interval, up to the share `top` of the panel."""
    made: list[Artist] = []
    if panel.shaded is not None:
        made.append(axes.axvspan(panel.ends[0], panel.shaded, 0, top, color=INK, alpha=0.09, lw=0, zorder=0))
    if panel.mark is not None:
        at, low, high = (float(np.clip(v, *panel.ends)) for v in panel.mark)
        made.append(axes.axvspan(low, high, 0, top, color=FIT, alpha=0.2, lw=0, zorder=0.5))
        made.append(axes.axvline(at, 0, top, color=FIT, lw=0.8, ls=(0, (1, 1)), zorder=1))
    return made


class _Layout:
    """As many panels beside one another as the page is wide, words below."""

    def __init__(self, panels: list[Panel], quantity: str, axis: str, words: list[str]) -> None:
        self.panels, self.quantity, self.axis = panels, quantity, axis
        self.words = [text.replace(" %", "\u00a0%") for text in words]  # a number and its sign stay on one line

    def arrange(self, fig: PrintFigure, width: float) -> float:
        n = len(self.panels)
        columns = max(min(n, int(width // COLUMN)), 1)
        rows = -(-n // columns)
        lines = [line for text in self.words for line in wrapped(fig, [text], SPARE * (width - 2 * MARGIN))]
        head = MARGIN + LINE - 0.8
        other = head + rows * TITLE + (rows - 1) * NUMBERS + AXIS + len(lines) * LINE + MARGIN
        high = float(np.clip((MAX_HEIGHT - other) / rows, LOW, WIDE_HIGH if columns == 1 else HIGH))
        total = other + rows * high
        for axes, panel in zip(fig.axes, self.panels, strict=True):
            _scale(axes, panel, high)
            fig.keep(*_mark(axes, panel, 1 - STRIP / high))
        lefts = [max(_numbers(fig, axes) for axes in fig.axes[i::columns]) + 1.8 for i in range(columns)]
        wide = (width - MARGIN - sum(lefts)) / columns - GAP
        texts = self._texts(fig, wide - 1.6)
        fig.note(MARGIN + lefts[0], MARGIN, self.quantity, total)
        for i, (axes, panel) in enumerate(zip(fig.axes, self.panels, strict=True)):
            row, column = divmod(i, columns)
            at = MARGIN + sum(lefts[: column + 1]) + column * (wide + GAP)
            top = head + TITLE + row * (TITLE + high + NUMBERS)
            fig.place(axes, at, top, wide, high, total)
            axes.xaxis.set_major_locator(MaxNLocator(max(int(wide // 9), 2), steps=[1, 2, 5, 10]))
            axes.set_xlabel(self.axis if i + columns >= n else "")
            fig.note(at + 0.8, top + 0.5, texts[i], total, color=INK if panel.found else FADED)
        for i, line in enumerate(lines):
            fig.note(MARGIN, total - MARGIN - (len(lines) - i) * LINE, line, total)
        return total

    def _texts(self, fig: PrintFigure, room: float) -> list[str]:
        """What each panel says, all at the same length: the longest that fits into every panel, else the shortest."""
        most = max(len(panel.texts) for panel in self.panels)
        tried = [[panel.texts[min(k, len(panel.texts) - 1)] for panel in self.panels] for k in range(most)]
        return next((texts for texts in tried if all(fig.text_width(t) <= room for t in texts)), tried[-1])


def power_label(value: float) -> str:
    """A power of ten: 10³."""
    return "10" + f"{np.log10(value):.0f}".translate(RAISED)


def _scale(axes: Axes, panel: Panel, high: float) -> None:
    """The range of the values with a line of text above it, in a panel `high` mm high."""
    if panel.log:
        bottom, top = panel.decades()
        top = bottom + (top + AIR * (top - bottom) - bottom) / (1 - STRIP / high)
        axes.set_ylim(10**bottom, 10**top)
        axes.yaxis.set_major_locator(LogLocator(numticks=max(int(high // 6.5), 2) + 2))
        axes.yaxis.set_minor_locator(NullLocator())
        return
    low, top = panel.range()
    air = AIR * (top - low)
    bottom = low if low == 0 and not panel.zero else low - air
    axes.set_ylim(bottom, bottom + (top + air - bottom) / (1 - STRIP / high))
    axes.yaxis.set_major_locator(MaxNLocator(max(int(high // 6.5), 2), steps=[1, 2, 2.5, 5, 10]))


def _numbers(fig: PrintFigure, axes: Axes) -> float:
    """Width in mm of the numbers at a panel's left."""
    low, high = axes.get_ylim()
    ticks = axes.yaxis.get_major_locator().tick_values(low, high)
    label = power_label if axes.get_yscale() == "log" else number_label
    return max((fig.text_width(label(t)) for t in ticks if low <= t <= high), default=0.0)
