"""The drawing of `rank_figure`: three panels over the number of components, a legend above and the words below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure, wrapped
from ssbmaps.figures._labels import number_label
from ssbmaps.figures._style import INK, LINE_COLOURS, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

PANEL, LEFT, RIGHT, AXIS, GAP = 27.0, 14.0, 2.0, 8.0, 4.0  # mm
BESIDE = 120.0  # mm of width from which the panels stand side by side
SAMPLE = 6.5  # mm of a legend's sample and the gaps beside it
DASH = (0, (3, 1.5))
PALE = 0.3
ALIKE = 0.9  # the cosine from which `rank` calls spectra the same


def rank_sheet(result: xr.Dataset) -> PrintFigure:
    """Figure of all binnings."""
    with style():
        fig = PrintFigure(_Sheet(result).arrange)
        panels = [fig.add_subplot() for _ in range(3)]
        for axes, draw in zip(panels, (_edges, _held_out, _stability), strict=True):
            draw(axes, result)
            axes.set_xlim(0.5, result.sizes["component"] + 0.5)
            axes.xaxis.set_minor_locator(NullLocator())
    return fig


def _colour(i: int) -> str:
    return LINE_COLOURS[i % len(LINE_COLOURS)]


def _curve(axes: Axes, x: NDArray[Any], y: NDArray[Any], i: int, *, dashed: bool, valid: bool) -> None:
    shape: Any = {"ls": DASH, "marker": "s", "mfc": "white"} if dashed else {"ls": "-", "marker": "o", "mfc": _colour(i)}
    alpha = 1.0 if valid else PALE
    axes.plot(x, y, color=_colour(i), lw=0.9, ms=2.6, mew=0.6, mec=_colour(i), alpha=alpha, zorder=3, **shape)


def _ring(axes: Axes, x: NDArray[Any], y: NDArray[Any], chosen: int, i: int, *, valid: bool) -> None:
    """A ring about the point of the suggested number."""
    if valid and 1 <= chosen <= len(x):
        axes.plot(x[chosen - 1], y[chosen - 1], "o", ms=6.5, mfc="none", mec=_colour(i), mew=0.8, zorder=4)


def _suggestion(result: xr.Dataset, method: str, i: int) -> tuple[int, bool]:
    one = result[["suggested", "valid"]].sel(evidence=method).isel(binning=i)
    return int(one["suggested"]), bool(one["valid"])


def _edges(axes: Axes, result: xr.Dataset) -> None:
    x = result["component"].values
    for i in range(result.sizes["binning"]):
        for scaling, dashed in (("poisson-scaled", False), ("anscombe", True)):
            y = result["singular_value"].sel(scaling=scaling).isel(binning=i).values
            chosen, valid = _suggestion(result, scaling, i)
            _curve(axes, x, y, i, dashed=dashed, valid=valid)
            _ring(axes, x, y, chosen, i, valid=valid)
            worth = float(result["threshold"].sel(scaling=scaling).isel(binning=i))
            axes.axhline(worth, color=_colour(i), lw=0.5, ls=(0, (1, 2)), alpha=1.0 if valid else PALE, zorder=1)
    axes.axhline(1, color=INK, lw=0.6, zorder=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: number_label(v)))
    axes.set_ylabel("singular value /\nnoise edge")


def _held_out(axes: Axes, result: xr.Dataset) -> None:
    x = result["component"].values
    sd = result["deviance_excess_sd"].values
    threshold = 2 * float(np.median(sd[sd > 0])) if np.any(sd > 0) else 1.0
    n = result.sizes["binning"]
    for i in range(n):
        y = result["deviance_excess"].isel(binning=i).values
        chosen, valid = _suggestion(result, "held-out", i)
        at = x + 0.1 * (i - (n - 1) / 2)
        _curve(axes, at, y, i, dashed=False, valid=valid)
        axes.errorbar(at, y, sd[i], fmt="none", ecolor=_colour(i), lw=0.6, alpha=1.0 if valid else PALE, zorder=2)
        _ring(axes, at, y, chosen, i, valid=valid)
    axes.set_yscale("symlog", linthresh=threshold, linscale=0.6)
    top = max(float(result["deviance_excess"].max()), threshold)
    decades = 10.0 ** np.arange(np.ceil(np.log10(threshold)), np.floor(np.log10(top)) + 1)
    axes.set_yticks([0.0, *decades[:: max(1, -(-len(decades) // 4))]])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(-1.2 * threshold, 2.5 * top)
    axes.yaxis.set_major_formatter(FuncFormatter(_power))
    axes.axhline(threshold, color=INK, lw=0.5, ls=(0, (1, 2)), zorder=1)
    axes.set_ylabel("held-out deviance,\nabove its lowest")


def _stability(axes: Axes, result: xr.Dataset) -> None:
    x = result["component"].values
    n = result.sizes["binning"]
    for i in range(n):
        chosen, valid = _suggestion(result, "stability", i)
        for name, dashed in (("cosine_seeds", False), ("cosine_bootstrap", True)):
            values = result[name].isel(binning=i).values
            at = x + 0.1 * (i - (n - 1) / 2)
            axes.plot(at, values, ".", ms=2.0, mew=0, color=_colour(i), alpha=0.4 if valid else PALE, zorder=2)
            middle = np.median(values, axis=1)
            _curve(axes, at, middle, i, dashed=dashed, valid=valid)
            if dashed:
                _ring(axes, at, middle, chosen, i, valid=valid)
    axes.axhline(ALIKE, color=INK, lw=0.6, zorder=1)
    axes.set_ylim(0, 1.06)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2.5, 5, 10]))
    axes.set_ylabel("cosine of the\nleast alike spectra")


def _power(value: float, _: object) -> str:
    """0, 10, 100, 10³: one way of writing for all decades of an axis."""
    return number_label(value) if value < 1000 else rf"$10^{{{round(np.log10(value))}}}$"


class _Sheet:
    """The legend, the panels, and the words below."""

    def __init__(self, result: xr.Dataset) -> None:
        self.result = result

    def entries(self) -> list[Line2D]:
        """Binnings by colour, then what lines and rings mean."""
        widths = self.result["binning"].values
        handles = [Line2D([], [], color=_colour(i), lw=1.4, label=f"{w} × {w} px") for i, w in enumerate(widths)]
        common: Any = {"color": INK, "lw": 0.9, "ms": 2.6, "mew": 0.6, "mec": INK}
        handles.append(Line2D([], [], marker="o", mfc=INK, label="a Poisson-scaled, c other seeds", **common))
        handles.append(Line2D([], [], marker="s", ls=DASH, mfc="white", label="a Anscombe, c pixels drawn again", **common))
        handles.append(Line2D([], [], marker="o", ms=6.5, mfc="none", mec=INK, mew=0.8, ls="none", label="suggested"))
        if not self.result["valid"].values.all():
            handles.append(Line2D([], [], color=INK, alpha=PALE, lw=1.4, label="not valid"))
        return handles

    def rows(self, fig: PrintFigure, width: float) -> list[list[Line2D]]:
        rows: list[list[Line2D]] = [[]]
        used = 0.0
        for handle in self.entries():
            need = fig.text_width(str(handle.get_label())) + SAMPLE
            if rows[-1] and used + need > width:
                rows.append([])
                used = 0.0
            rows[-1].append(handle)
            used += need
        return rows

    def arrange(self, fig: PrintFigure, width: float) -> float:
        beside = width >= BESIDE
        rows = self.rows(fig, width - 2 * MARGIN)
        lines = wrapped(fig, [str(self.result["statement"].values)], width - 2 * MARGIN)
        top = MARGIN + len(rows) * (LINE + 0.6) + LINE
        inner = (width - 3 * (LEFT + RIGHT)) / 3 if beside else width - LEFT - RIGHT
        foot = top + (PANEL + 8.0 if beside else 3 * PANEL + 2 * GAP) + AXIS
        total = foot + len(lines) * LINE + MARGIN
        for i, axes in enumerate(fig.axes):
            left = LEFT + i * (inner + LEFT + RIGHT) if beside else LEFT
            start = top if beside else top + i * (PANEL + GAP)
            fig.place(axes, left, start, inner, PANEL + 8.0 if beside else PANEL, total)
            axes.xaxis.set_major_locator(MaxNLocator(int(inner // 5), integer=True, steps=[1, 2, 5, 10]))
            last = beside or i == 2
            axes.tick_params(labelbottom=last)
            axes.set_xlabel("number of components" if last else "")
            fig.note(left - LEFT + MARGIN, start - LINE, "abc"[i], total, fontweight="bold")
        for i, row in enumerate(rows):
            corner = (MARGIN / width, 1 - (MARGIN + i * (LINE + 0.6)) / total)
            place: Any = {"loc": "upper left", "bbox_to_anchor": corner, "borderaxespad": 0.0, "handletextpad": 0.4}
            fig.keep(fig.legend(handles=row, ncols=len(row), **place))
        for i, line in enumerate(lines):
            fig.note(MARGIN, foot + i * LINE, line, total)
        return total
