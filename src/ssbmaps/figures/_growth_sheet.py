"""The drawing of `growth_figure`: particles, cells, limits, law and band, with a legend above and the words below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure, wrapped
from ssbmaps.figures._labels import unit_label
from ssbmaps.figures._style import INK, LINE_COLOURS, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

PANEL, LEFT, RIGHT, AXIS = 46.0, 10.5, 2.0, 8.5  # mm; AXIS: below the panel, for ticks and the axis' name
ASIDE, STEP = 0.012, 0.007  # shares of the longest time by which conditions, and cells of one time, stand apart
SAMPLE = 6.0  # mm of a legend's sample and the gaps beside it


@dataclass(frozen=True)
class Series:
    """One condition: (time, thickness) of particles and of limits, its fit, the row of the law that is drawn, and its name."""

    name: str
    particles: NDArray[np.float64]
    limits: NDArray[np.float64]
    fit: xr.Dataset
    row: xr.Dataset | None
    law: str


def growth_sheet(series: list[Series], time_units: str) -> PrintFigure:
    """Figure of all conditions in one panel."""
    with style():
        fig = PrintFigure(_Sheet(series).arrange)
        axes = fig.add_subplot()
        longest = max(float(one.fit["time"].values.max()) for one in series) or 1.0
        for i, (one, colour) in enumerate(zip(series, _colours(len(series)), strict=True)):
            _draw(axes, one, colour, ASIDE * longest * (i - (len(series) - 1) / 2), STEP * longest)
        axes.set_xlabel("time" + (f" ({unit_label(time_units)})" if unit_label(time_units) else ""))
        axes.set_ylabel("apparent thickness (µm)")
        axes.set_xlim(-0.02 * longest, 1.03 * longest)
        axes.set_ylim(0, 1.06 * max(_highest(one) for one in series))
    return fig


def _colours(n: int) -> list[str]:
    return [LINE_COLOURS[i % len(LINE_COLOURS)] for i in range(n)]


def _highest(one: Series) -> float:
    values = [one.particles[:, 1], one.limits[:, 1], one.fit["cell_thickness"].values]
    if one.row is not None:
        values.append(one.row["curve"].values)
    return float(max(np.nanmax(v, initial=0.0) for v in values))


def _draw(axes: Axes, one: Series, colour: str, shift: float, step: float) -> None:
    """One condition, `shift` beside its times; cells of one time stand `step` apart."""
    axes.plot(one.particles[:, 0] + shift, one.particles[:, 1], ".", ms=3.0, mew=0, color=colour, alpha=0.28, zorder=1)
    axes.plot(one.limits[:, 0] + shift, one.limits[:, 1], "v", ms=3.4, mew=0.7, mfc="white", mec=colour, zorder=5)
    known = np.isfinite(one.fit["cell_thickness"].values)
    time, mean, error = (one.fit[f"cell_{n}"].values[known] for n in ("time", "thickness", "thickness_sd"))
    at = time + shift + step * _beside(time)
    options: Any = {"fmt": "o", "ms": 2.8, "mew": 0.4, "mec": "white", "mfc": colour, "ecolor": colour, "lw": 0.6, "zorder": 4}
    axes.errorbar(at, mean, np.nan_to_num(error), **options)
    if one.row is not None and np.isfinite(one.row["curve"].values).all():
        t = one.row["time"].values
        axes.plot(t, one.row["curve"].values, color=colour, lw=1.0, zorder=2)
        low, high = one.row["curve_low"].values, one.row["curve_high"].values
        if np.isfinite(low).all():
            axes.fill_between(t, low, high, color=colour, alpha=0.16, lw=0, zorder=0)


def _beside(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places about 0 of the entries of each time: −1, 0, 1 for three."""
    places = np.zeros(len(time))
    for t in np.unique(time):
        here = np.flatnonzero(time == t)
        places[here] = np.arange(len(here)) - (len(here) - 1) / 2
    return places


class _Sheet:
    """The legend, the panel, and the words below."""

    def __init__(self, series: list[Series]) -> None:
        self.series = series

    def words(self) -> list[str]:
        texts = []
        for one in self.series:
            text = str(one.fit["statement"].values)
            if one.law != str(one.fit["preferred"].values):
                text = f"drawn: the {one.law} law. {text}"
            text = text.replace("um²", "µm²").replace("um/", "µm/")
            texts.append(f"{one.name}: {text}" if one.name else text)
        return texts

    def entries(self) -> list[Line2D]:
        """What the marks mean, then the conditions."""
        handles = [
            Line2D([], [], marker=".", ms=4.0, mew=0, ls="none", color=INK, alpha=0.4, label="particles"),
            Line2D([], [], marker="o", ms=3.2, mew=0, ls="none", color=INK, label="cells ± 1 standard error"),
        ]
        if any(len(one.limits) for one in self.series):
            handles.append(Line2D([], [], marker="v", ms=3.4, mew=0.7, mfc="white", mec=INK, ls="none", label="95 % upper limit"))
        if self.series[0].name:
            colours = _colours(len(self.series))
            handles += [Line2D([], [], color=c, label=one.name) for one, c in zip(self.series, colours, strict=True)]
        return handles

    def arrange(self, fig: PrintFigure, width: float) -> float:
        axes = fig.axes[0]
        inner = width - LEFT - RIGHT
        handles = self.entries()
        rows: list[list[Line2D]] = [[]]
        used = 0.0
        for handle in handles:
            need = fig.text_width(str(handle.get_label())) + SAMPLE
            if rows[-1] and used + need > inner:
                rows.append([])
                used = 0.0
            rows[-1].append(handle)
            used += need
        lines = [line for text in self.words() for line in wrapped(fig, [text], width - 2 * MARGIN)]
        top = MARGIN + len(rows) * (LINE + 0.6)
        foot = top + PANEL + AXIS
        total = foot + len(lines) * LINE + MARGIN
        fig.place(axes, LEFT, top, inner, PANEL, total)
        axes.xaxis.set_major_locator(MaxNLocator(int(inner // 11), steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        for i, row in enumerate(rows):
            corner = (LEFT / width, 1 - (MARGIN + i * (LINE + 0.6)) / total)
            legend = fig.legend(
                handles=row, loc="upper left", bbox_to_anchor=corner, ncols=len(row), borderaxespad=0.0, handletextpad=0.4
            )
            fig.keep(legend)
        for i, line in enumerate(lines):
            fig.note(MARGIN, foot + i * LINE, line, total)
        return total
