"""The drawing of `interphase_figure`: profile with model, residuals, and the words below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure, wrapped
from ssbmaps.figures._labels import ion_label, unit_label
from ssbmaps.figures._style import INK, LINE_COLOURS, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

PANEL, RESIDUAL, LEFT, RIGHT = 34.0, 9.0, 12.0, 11.0  # mm
GAP, AXIS = 1.8, 8.0  # mm between the panels, and below them for ticks and the axis' name
CORE_COLOUR, SHELL_COLOUR = LINE_COLOURS[0], LINE_COLOURS[1]


def interphase_sheet(one: xr.Dataset) -> PrintFigure:
    """Figure of one shell's result, without the bins that its window does not reach."""
    with style():
        fig = PrintFigure(_Sheet(one).arrange)
        top = fig.add_subplot()
        residual = fig.add_subplot(sharex=top)
        right = top.twinx()
        draw_profile(top, right, one)
        draw_residuals(residual, one)
    return fig


def draw_profile(top: Axes, right: Axes, one: xr.Dataset) -> None:
    """Draw both profiles with their models: the shell's on `top`, the core's on its twin `right`."""
    s = one["distance"].values
    for axes, word, colour in ((right, "core", CORE_COLOUR), (top, "shell", SHELL_COLOUR)):
        mean, sem, model = (one[f"{word}_{n}"].values for n in ("profile", "profile_sem", "model"))
        axes.plot(s, model, color=colour, lw=1.0, zorder=3)
        axes.errorbar(s, mean, sem, fmt="o", ms=1.8, mew=0, lw=0.6, color=colour, zorder=2, alpha=0.85)
        axes.set_ylim(0, 1.12 * float(np.nanmax(mean + sem)))
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.tick_params(axis="y", colors=colour)
    units = unit_label(str(one["shell_profile"].attrs.get("units", "")))
    top.set_ylabel(f"{ion_label(str(one['shell'].values))} ({units} per pixel)", color=SHELL_COLOUR)
    right.set_ylabel(f"core ({units} per pixel)", color=CORE_COLOUR)
    right.spines["right"].set_visible(True)
    right.set_zorder(top.get_zorder() - 1)
    top.patch.set_visible(False)
    top.tick_params(labelbottom=False)
    start = float(one["offset"])
    top.axvline(start, color=INK, lw=0.6, ls=(0, (3, 2)), zorder=1)
    if int(one["resolved"]):
        d, low, high = (float(one[f"thickness{suffix}"]) for suffix in ("", "_low", "_high"))
        top.axvspan(start, start + d, color=SHELL_COLOUR, alpha=0.13, lw=0, zorder=0)
        top.axvspan(start + low, start + high, color=SHELL_COLOUR, alpha=0.10, lw=0, zorder=0)


def draw_residuals(axes: Axes, one: xr.Dataset) -> None:
    """Draw what the models leave, in standard errors."""
    s = one["distance"].values
    highest = 3.0
    for word, colour in (("core", CORE_COLOUR), ("shell", SHELL_COLOUR)):
        mean, sem, model = (one[f"{word}_{n}"].values for n in ("profile", "profile_sem", "model"))
        with np.errstate(invalid="ignore", divide="ignore"):
            pull = (mean - model) / sem
        axes.plot(s, pull, ".", ms=2.4, mew=0, color=colour)
        highest = max(highest, float(np.nanmax(np.abs(pull), initial=0)))
    axes.axhline(0, color=INK, lw=0.6, zorder=0)
    axes.set_ylim(-1.1 * highest, 1.1 * highest)
    axes.yaxis.set_major_locator(MaxNLocator(2, symmetric=True, integer=True))
    axes.set_ylabel("residual\n(s.e.)")
    axes.set_xlabel("distance to the edge of the core (µm)")


class _Sheet:
    """The panels one above the other, and the words below."""

    def __init__(self, one: xr.Dataset) -> None:
        sigma = 1e3 * float(one["sigma"])
        numbers = f"model: {one['model'].values}; σ = {sigma:.0f} nm; {float(one['interface_length']):.0f} µm of interface, "
        numbers += f"{float(one['contact']):.0%} of the edge used; counts, not concentration."
        self.words = [str(one["statement"].values), numbers]

    def arrange(self, fig: PrintFigure, width: float) -> float:
        top, residual, right = fig.axes
        lines = [line for text in self.words for line in wrapped(fig, [text], width - 2 * MARGIN)]
        inner = width - LEFT - RIGHT
        foot = MARGIN + PANEL + GAP + RESIDUAL + AXIS
        total = foot + len(lines) * LINE + MARGIN
        for axes in (top, right):
            fig.place(axes, LEFT, MARGIN, inner, PANEL, total)
        fig.place(residual, LEFT, MARGIN + PANEL + GAP, inner, RESIDUAL, total)
        top.xaxis.set_major_locator(MaxNLocator(int(inner // 11), steps=[1, 2, 5, 10]))
        for i, line in enumerate(lines):
            fig.note(MARGIN, foot + i * LINE, line, total)
        return total
