"""The drawing of `particle_thickness_figure`: one panel of points for each sample, and their distributions at the side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.markers import CARETDOWNBASE
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure, wrapped
from ssbmaps.figures._labels import ion_label
from ssbmaps.figures._style import INK, LINE_COLOURS, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ssbmaps.figures._particles_read import Particles

LEFT, GAP, UNDER, END = 12.0, 2.0, 8.8, 2.0  # mm: thickness axis, between panels, below them, right of them
PANEL = 42.0
SIDE, NARROW = 0.24, 14.0  # share of the width that the distributions take, and the least in mm
ARROWS = (0.1, 0.3, 0.5, 0.7, 0.9)  # places of the arrows of an upper limit, shares of the panel's width
LARGEST, SMALLEST = 22.0, 1.5  # pt²: area of the longest perimeter's point, and of the smallest drawn


def particles_sheet(samples: Sequence[Particles]) -> PrintFigure:
    """Figure of the particles of each sample, laid out by `fit_width`."""
    with style():
        sheet = _Sheet(samples)
        fig = PrintFigure(sheet.arrange)
        sheet.panels = particle_axes(fig, samples)
    return fig


def particle_axes(fig: PrintFigure, samples: Sequence[Particles]) -> list[Axes]:
    """Axes of the points, one for each sample, then those of the distributions; all share the thickness axis."""
    first = fig.add_subplot()
    points = [first, *(fig.add_subplot(sharex=first, sharey=first) for _ in samples[1:])]
    side = fig.add_subplot(sharey=first)
    longest = max((float(s.perimeter.max()) for s in samples if len(s.perimeter)), default=1.0)
    first.set_xlim(0, 1.08 * longest)
    first.set_ylim(*_ends(samples))
    for i, (axes, sample) in enumerate(zip(points, samples, strict=True)):
        _draw_points(axes, sample, LINE_COLOURS[i % len(LINE_COLOURS)], longest)
        axes.tick_params(labelleft=not i)
    edges = _edges(samples)
    for i, sample in enumerate(samples):
        place = 0.92 - 0.11 * (len(samples) - 1 - i)
        _draw_distribution(side, sample, edges, LINE_COLOURS[i % len(LINE_COLOURS)], place=place, alone=len(samples) == 1)
    shown = any(s.pooled is not None or np.isfinite(s.upper_limit) for s in samples)
    first.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]) if shown else NullLocator())
    shells = {s.shell for s in samples}
    first.set_ylabel(f"apparent thickness of {shells.pop()} (nm)" if len(shells) == 1 else "apparent thickness (nm)")
    side.set_xlim(0, 1.15 * side.get_xlim()[1])
    side.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=None))
    side.tick_params(labelleft=False)
    return [*points, side]


def particle_words(samples: Sequence[Particles]) -> list[str]:
    """What the signs mean, as far as they occur, and the numbers of each sample."""
    said = [s.words for s in samples]
    if any(s.measured.sum() > 1 for s in samples):
        said.append("mean and spread (diamond) weighted by perimeter")
    if any(s.measured.any() for s in samples):
        said.append("points ± 1 standard error, area as the perimeter")
    if any(s.pooled is not None for s in samples):
        said.append("line and band: the section as a whole, 95 % interval")
    if any(s.pooled is not None and not s.measured.all() for s in samples):
        said.append("ticks on the axis: particles not measured")
    return said


def panel_width(number: int, width: float) -> float:
    """Width in mm of each of `number` panels of points, the distributions beside them, in `width` mm."""
    inner = width - LEFT
    narrow = max(SIDE * inner, NARROW) if number == 1 else NARROW
    return (inner - narrow) / number - GAP


def place_panels(
    fig: PrintFigure, panels: Sequence[Axes], left: float, top: float, size: tuple[float, float], total: float
) -> None:
    """Put the axes of `particle_axes` into `size` (width, height of the frames) mm, the thickness axis at `left` included."""
    *points, side = panels
    each = panel_width(len(points), size[0])
    narrow = size[0] - LEFT - len(points) * (each + GAP)
    for i, axes in enumerate(points):
        fig.place(axes, left + LEFT + i * (each + GAP), top, each, size[1], total)
        axes.xaxis.set_major_locator(MaxNLocator(max(int(each // 9), 1), steps=[1, 2, 5, 10]))
    fig.place(side, left + size[0] - narrow, top, narrow, size[1], total)
    side.xaxis.set_major_locator(MaxNLocator(max(int(narrow // 6), 1), steps=[1, 2, 5, 10]))
    middle = left + LEFT + (len(points) * (each + GAP) - GAP) / 2
    below = top + size[1] + 4.6
    fig.note(middle, below, "perimeter (µm)", total, ha="center")
    fig.note(left + size[0] - narrow / 2, below, "perimeter (%)", total, ha="center")


def _draw_points(axes: Axes, sample: Particles, colour: str, longest: float) -> None:
    if sample.pooled is None:
        _draw_limit(axes, sample.upper_limit, colour)
        return
    d, low, high = sample.pooled
    axes.axhspan(low, high, color=colour, alpha=0.15, lw=0, zorder=0)
    axes.axhline(d, color=colour, lw=0.8, zorder=1)
    known = sample.measured
    p, d_own, error = sample.perimeter, sample.thickness, sample.error
    axes.errorbar(p[known], d_own[known], error[known], fmt="none", ecolor=colour, elinewidth=0.5, alpha=0.6, zorder=2)
    area = np.maximum(LARGEST * p[known] / longest, SMALLEST)
    axes.scatter(p[known], d_own[known], area, color=colour, edgecolors="white", linewidths=0.3, zorder=3)
    if not known.all():
        ticks: Any = {"color": INK, "ms": 4, "mew": 0.5, "clip_on": False, "transform": axes.get_xaxis_transform()}
        axes.plot(p[~known], np.zeros((~known).sum()), "|", zorder=4, **ticks)


def _draw_limit(axes: Axes, limit: float, colour: str) -> None:
    """A dashed line at the upper limit with arrows down, and the word that nothing was resolved."""
    across = axes.get_yaxis_transform()
    if np.isfinite(limit):
        axes.axhline(limit, color=colour, lw=0.8, ls=(0, (3, 2)), zorder=1)
        axes.plot(ARROWS, [limit] * len(ARROWS), ls="", marker=CARETDOWNBASE, ms=4, mew=0, color=colour, transform=across)
    high = np.isfinite(limit) and limit > 0.5 * axes.get_ylim()[1]
    at, shift, side = (limit, -8.0 if high else 3.0, "top" if high else "bottom") if np.isfinite(limit) else (0.5, 0.0, "center")
    where: Any = across if np.isfinite(limit) else axes.transAxes
    axes.annotate("not\nresolved", (0.5, at), (0.0, shift), where, "offset points", ha="center", va=side)


def _draw_distribution(
    axes: Axes, sample: Particles, edges: NDArray[np.float64], colour: str, *, place: float, alone: bool
) -> None:
    """Shares of the perimeter by thickness, and the weighted mean and spread at `place` across the axes."""
    known = sample.measured
    if not known.any():
        return
    share = sample.perimeter[known] / sample.perimeter[known].sum()
    kind: Literal["stepfilled", "step"] = "stepfilled" if alone else "step"
    axes.hist(
        sample.thickness[known],
        edges.tolist(),
        weights=share,
        orientation="horizontal",
        histtype=kind,
        color=colour,
        lw=0.8,
        alpha=0.6,
    )
    if known.sum() < 2:
        return
    spread = np.nan_to_num(sample.spread[0])
    bar: Any = {"fmt": "D", "ms": 2.6, "mew": 0.4, "mec": "white", "lw": 0.8, "color": INK if alone else colour}
    axes.errorbar(place, sample.mean, spread, transform=axes.get_yaxis_transform(), **bar)


def _edges(samples: Sequence[Particles]) -> NDArray[np.float64]:
    """Bins of a round width, common to all samples: about as many as the root of the number of particles."""
    values = np.concatenate([s.thickness[s.measured] for s in samples])
    if values.size == 0:
        return np.array([0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    number = int(np.clip(np.sqrt(values.size), 4, 12))
    wanted = (high - low) / number if high > low else max(0.1 * abs(high), 1.0)
    power = 10.0 ** np.floor(np.log10(wanted))
    width = next(f * power for f in (1.0, 2.0, 5.0, 10.0) if f * power >= wanted * (1 - 1e-9))
    return np.asarray(np.arange(np.floor(low / width), np.floor(high / width) + 2) * width, np.float64)


def _ends(samples: Sequence[Particles]) -> tuple[float, float]:
    """Ends of the thickness axis, from 0 where there is an upper limit, or unless all lies in its upper half.

    Points and bands are inside, error bars as far as a quarter of what these span beyond them.
    """
    inside = [v for s in samples for v in (s.thickness[s.measured] if s.pooled is not None else [s.upper_limit])]
    inside += [v for s in samples if s.pooled is not None for v in s.pooled]
    values = np.array([v for v in inside if np.isfinite(v)])
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    errors = np.concatenate([s.error[s.measured] for s in samples])
    air = max(0.08 * (high - low), min(0.25 * (high - low), float(np.nanmax(errors, initial=0.0))), 0.02 * high)
    if all(s.pooled is not None for s in samples) and low - air > 0.5 * (high + air):
        return low - air, high + air
    return min(0.0, low), high + max(air, 0.1 * high)


class _Sheet:
    """The panels side by side under the samples' names, and the words below."""

    def __init__(self, samples: Sequence[Particles]) -> None:
        self.words = particle_words(samples)
        self.names = [ion_label(s.name) for s in samples]
        self.panels: list[Axes] = []

    def arrange(self, fig: PrintFigure, width: float) -> float:
        """Place everything for a figure `width` mm wide and return its height in mm."""
        inner = width - 2 * MARGIN
        each = panel_width(len(self.names), inner - END)
        names = [wrapped(fig, [name], each) if name else [] for name in self.names]
        head = LINE * max(map(len, names)) + 1.2
        lines = wrapped(fig, self.words, inner)
        foot = MARGIN + head + PANEL + UNDER
        total = foot + len(lines) * LINE + MARGIN
        place_panels(fig, self.panels, MARGIN, MARGIN + head, (inner - END, PANEL), total)
        for i, name in enumerate(names):
            for j, line in enumerate(name):
                fig.note(MARGIN + LEFT + i * (each + GAP), MARGIN + head - 1.2 - LINE * (len(name) - j), line, total)
        for i, line in enumerate(lines):
            fig.note(MARGIN, foot + i * LINE, line, total)
        return total
