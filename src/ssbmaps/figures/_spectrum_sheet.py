"""A spectrum on a sheet: curve, shaded windows, and names above it that never overlap, led down to their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ssbmaps._conventions import LONG_NAMES, unit_of
from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure, wrapped
from ssbmaps.figures._labels import number_label, unit_label
from ssbmaps.figures._legend import ROW, Entry, draw_legend, legend_rows
from ssbmaps.figures._scale import log_ticks
from ssbmaps.figures._spectra import envelope
from ssbmaps.figures._style import INK, MM_PER_INCH, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ssbmaps.figures._summed import Drawn

WINDOW = "#9ecae1"
LEADER = "#7f7f7f"
KINK = (2.2, 7.0)  # mm between the axes and the names, in which a leader turns to its name, and at most
GAP = 0.9  # mm between names
LOWEST, TALLEST = 34.0, 55.0  # height of the axes in mm
DRAWN = 4000  # bins or channels that a printed spectrum can show
FEW = 500  # up to which bins are wide enough on paper to be seen without an outline
APART = 2.0  # mm between a labelled peak and a larger one
SURE = 5.0  # standard errors; one bin in 3 million of pure noise lies that high
ABOUT = 101  # bins that give the level about a peak


@dataclass(frozen=True, slots=True)
class Assignment:
    """A name at a position, with its window (both edges the position itself where there is none)."""

    name: str
    label: str
    position: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Label:
    """A name to place: `at` the spectrum's axis, leading down to `height`."""

    name: str
    text: str
    at: float
    height: float


def spectrum_sheet(
    drawn: Drawn,
    view: tuple[float, float],
    channel: str,
    assigned: Sequence[Assignment],
    peaks: int,
    *,
    log: bool,
    quantity: str,
    words: Sequence[str],
) -> PrintFigure:
    """Figure of one spectrum, laid out by `fit_width`."""
    with style():
        sheet = _Sheet(drawn, view, assigned, peaks, log, words, quantity)
        fig = PrintFigure(sheet.arrange)
        sheet.draw(fig)
        sheet.axes.set_xlabel(f"{LONG_NAMES[channel]} ({unit_label(unit_of(channel) or '')})")
    return fig


def side_by_side(wanted: NDArray[np.float64], widths: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Middles of labels of `widths` as near as possible to `wanted` (ascending), `GAP` apart, between `low` and `high`.

    Least squares: after taking off the distances that the labels need, the middles may only rise.
    """
    from scipy.optimize import isotonic_regression

    needed = np.concatenate([[0.0], np.cumsum((widths[1:] + widths[:-1]) / 2 + GAP)])
    rising = np.asarray(isotonic_regression(wanted - needed).x)
    return np.asarray(np.clip(rising, low + widths[0] / 2, high - widths[-1] / 2 - needed[-1]) + needed, np.float64)


def prominent(
    position: NDArray[np.float64], values: NDArray[np.float64], most: int, *, apart: float, taken: Sequence[float], counts: bool
) -> list[int]:
    """Indices of the peaks that stand out most above the valleys beside them, each at least `apart` from those before it.

    A peak of `counts` must stand `SURE` Poisson errors above the median of the bins about it.
    """
    from scipy.ndimage import median_filter
    from scipy.signal import find_peaks, peak_prominences

    lowest = values.min()
    padded = np.concatenate([[lowest], values, [lowest]])  # so that a spectrum may begin or end with a peak
    places, _ = find_peaks(padded)
    heights = peak_prominences(padded, places)[0]
    if counts:
        level = median_filter(padded, ABOUT, mode="nearest")[places]
        sure = padded[places] - level > SURE * np.sqrt(np.maximum(level, 1))
        places, heights = places[sure], heights[sure]
    chosen: list[int] = []
    for i in places[np.argsort(-heights, kind="stable")] - 1:
        if len(chosen) == most:
            break
        others = (*(position[j] for j in chosen), *taken)
        if all(abs(position[i] - other) >= apart for other in others):
            chosen.append(int(i))
    return chosen


class _Sheet:
    """The axes of a spectrum, its labels and their arrangement."""

    def __init__(
        self,
        drawn: Drawn,
        view: tuple[float, float],
        assigned: Sequence[Assignment],
        peaks: int,
        log: bool,
        words: Sequence[str],
        quantity: str,
    ) -> None:
        self.drawn, self.view, self.assigned, self.peaks, self.log, self.words = drawn, view, assigned, peaks, log, words
        self.windows = [a for a in assigned if a.low < a.high]
        self.counts = quantity == "counts"
        self.quantity = [f"{quantity} {drawn.per}", *(["log scale"] if log else [])]

    def draw(self, fig: PrintFigure) -> None:
        """The curve, the windows and the limits; the names follow in `arrange`."""
        axes = self.axes = fig.add_axes((0, 0, 1, 1))
        for a in self.windows:
            axes.axvspan(a.low, a.high, fc=WINDOW, ec=WINDOW, lw=0.3, zorder=0)
        if self.log:
            axes.set_yscale("log", nonpositive="mask")
        low, high = self._limits()
        self._curve(axes, low)
        axes.set_xlim(*self.view)
        axes.set_ylim(low, high)
        if low < 0:
            axes.axhline(0, color=INK, lw=0.4)
        axes.minorticks_off()
        axes.tick_params(axis="x", pad=2.6)  # pt; keeps the first number of x clear of the lowest one of y

    def _curve(self, axes: Axes, floor: float) -> None:
        drawn = self.drawn
        base = floor if self.log else 0.0
        if drawn.kind == "bins" and len(drawn.values) <= DRAWN:
            seen = np.maximum(drawn.values, floor) if self.log else drawn.values
            axes.stairs(seen, drawn.edges, baseline=base, fill=True, color=INK, lw=0.5 if len(seen) > FEW else 0.2)
            return
        position, values = envelope(drawn.position, drawn.values, DRAWN)
        if drawn.kind == "line":
            axes.plot(position, np.where(values > 0, values, np.nan) if self.log else values, color=INK, lw=0.7)
        else:
            keep = values > 0 if self.log else values != 0
            axes.vlines(position[keep], base, values[keep], color=INK, lw=0.6)

    def _limits(self) -> tuple[float, float]:
        values = self.drawn.values
        if self.log:
            positive = values[values > 0]
            return float(positive.min()) / 2, float(positive.max()) * 1.5
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        rise = (high - low) or 1.0
        return low - (0.04 * rise if low < 0 else 0.0), high + 0.04 * rise

    def arrange(self, fig: PrintFigure, width: float) -> float:
        """Place everything for a figure `width` mm wide and return its height in mm."""
        high = float(np.clip(0.45 * width, LOWEST, TALLEST))
        self._ticks(width)
        numbers = max(fig.text_width(t.get_text()) for t in self.axes.get_yticklabels())
        quantity = wrapped(fig, self.quantity, high)
        self.axes.set_ylabel("\n".join(quantity))
        left = MARGIN + len(quantity) * LINE + 1.4 + numbers + 1.6
        across = width - left - MARGIN - 2.0
        labels = self._labels(across)
        kept, sizes, turned = self._fitting(fig, labels, across)
        wanted, middles = self._places(kept, sizes, turned, left, across)
        kink = float(np.clip(0.15 * np.abs(middles - wanted).max(initial=0.0), *KINK))
        names = 0.0 if not kept else kink + (max(sizes) if turned else LINE) + 0.4
        lines = wrapped(fig, self._caption(len(labels) - len(kept)), width - 2 * MARGIN)
        rows = legend_rows(fig, [Entry("windows of the maps", WINDOW)] if self.windows else [], width - 2 * MARGIN)
        top = MARGIN + names + 1.0
        foot = top + high + 2 * LINE + 2.8
        total = foot + len(lines) * LINE + len(rows) * ROW + MARGIN
        fig.place(self.axes, left, top, across, high, total)
        self.axes.yaxis.set_label_coords(-(numbers + 3.0) / across, 0.5)
        fig.set_size_inches(width / MM_PER_INCH, total / MM_PER_INCH)
        page = fig.get_figwidth() * MM_PER_INCH
        for label, at, middle in zip(kept, wanted, middles, strict=True):
            steps = [(middle, top - kink), (at, top - 0.4), (at, self._down_to(label.height, top, high))]
            x, y = ([s[0] / page for s in steps], [1 - s[1] / total for s in steps])
            leader = Line2D(x, y, color=LEADER, lw=0.4, transform=fig.transFigure, gid=f"assigned {label.name}")
            fig.add_artist(leader)
            fig.keep(leader)
            fig.note(middle, top - kink - 0.3, label.text, total, ha="center", va="bottom", rotation=90 if turned else 0)
        for i, line in enumerate(lines):
            fig.note(MARGIN, foot + i * LINE, line, total)
        draw_legend(fig, rows, MARGIN, foot + len(lines) * LINE, total)
        return total

    def _ticks(self, width: float) -> None:
        self.axes.xaxis.set_major_locator(MaxNLocator(int(width // 12), steps=[1, 2, 5, 10]))
        self.axes.xaxis.set_major_formatter(lambda value, _: number_label(round(value, 9)))
        low, high = self.axes.get_ylim()
        found = log_ticks(low, high, 5) if self.log else MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
        ticks = [float(t) for t in found if low <= t <= high]
        powers = self.log and high >= 1e5 and all(float(np.log10(t)).is_integer() for t in ticks)
        said = [rf"$10^{{{round(np.log10(t))}}}$" if powers else number_label(float(f"{t:.6g}")) for t in ticks]
        self.axes.set_yticks(ticks, said)

    def _caption(self, unnamed: int) -> list[str]:
        said = list(self.words)
        if len(self.drawn.values) > DRAWN:
            said.append(f"the largest of {-(-len(self.drawn.values) // DRAWN)} neighbouring values is drawn")
        return said + ([f"{unnamed} names of smaller peaks left out for lack of room"] if unnamed else [])

    def _labels(self, across: float) -> list[_Label]:
        """The assigned names and the positions of the largest other peaks, along the axis."""
        drawn = self.drawn
        per_mm = (self.view[1] - self.view[0]) / across
        named = []
        for a in self.assigned:
            reach = max((a.high - a.low) / 2, drawn.step, 0.3 * per_mm)
            near = np.abs(drawn.position - a.position) <= reach
            named.append(_Label(a.name, a.label, a.position, float(drawn.values[near].max()) if near.any() else 0.0))
        decimals = max(0, -int(np.floor(np.log10(drawn.step))))
        taken = [a.at for a in named]
        for i in prominent(drawn.position, drawn.values, self.peaks, apart=APART * per_mm, taken=taken, counts=self.counts):
            at = float(drawn.position[i])
            named.append(_Label(f"{at:.{decimals}f}", number_label(round(at, decimals)), at, float(drawn.values[i])))
        return sorted(named, key=lambda n: n.at)

    def _fitting(self, fig: PrintFigure, labels: list[_Label], across: float) -> tuple[list[_Label], list[float], bool]:
        """The labels for which there is room, the lengths of their texts, and whether they stand upright."""
        sizes = [fig.text_width(label.text) for label in labels]
        if sum(sizes) + GAP * len(labels) <= 0.9 * across:
            return labels, sizes, False
        room = int((across + GAP) / (LINE + GAP))
        kept = sorted(sorted(range(len(labels)), key=lambda i: -labels[i].height)[:room])
        return [labels[i] for i in kept], [sizes[i] for i in kept], True

    def _places(
        self, labels: list[_Label], sizes: list[float], turned: bool, left: float, across: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where on the page the labels' positions are, and where their names stand, in mm from the left."""
        wanted = left + (np.array([n.at for n in labels]) - self.view[0]) / (self.view[1] - self.view[0]) * across
        if not labels:
            return wanted, wanted
        widths = np.full(len(labels), LINE) if turned else np.array(sizes)
        return wanted, side_by_side(wanted, widths, left - 2.0, left + across + 2.0)

    def _down_to(self, height: float, top: float, high: float) -> float:
        """Where in mm from the page's upper edge the leader of a peak of `height` ends, a little above it."""
        ends = np.array([*self.axes.get_ylim(), height])
        if self.log:
            ends = np.log10(np.maximum(ends, ends[0]))
        share = float((ends[2] - ends[0]) / (ends[1] - ends[0]))
        return top + max((1 - share) * high - 0.5, 0.0)
