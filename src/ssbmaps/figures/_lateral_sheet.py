"""The drawing of `lateral_layer_figure`: map, profile with model, and the words below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from ssbmaps.figures._canvas import LINE, MARGIN, PrintFigure, wrapped
from ssbmaps.figures._grid import SCALE_BAR, draw_scale_bar
from ssbmaps.figures._labels import ion_label, number_label, unit_label
from ssbmaps.figures._panels import MapPanel, map_axes
from ssbmaps.figures._style import INK, LINE_COLOURS, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ssbmaps.figures._contours import Contours
    from ssbmaps.figures._grid import MapGrid
    from ssbmaps.figures._scale import Colours

SHARE, HIGHEST = 0.36, 46.0  # width of the map; mm that a panel may be high
PANEL, GAP, RIGHT, AXIS = 34.0, 12.0, 1.5, 8.0  # mm: least height, between map and profile, at the right, below the profile
HEAD = LINE + 1.2
COLOUR = LINE_COLOURS[1]


@dataclass(frozen=True)
class Sheet:
    """What is drawn: the result of one fragment, its names, the map with its colours, lines and their levels in um."""

    one: xr.Dataset
    names: tuple[str, str]
    quantity: str
    image: NDArray[np.float64]
    colours: Colours | None
    grid: MapGrid
    contours: Contours | None
    levels: list[float]

    @property
    def title(self) -> str:
        """Fragment and phase."""
        return ", ".join(part for part in (ion_label(self.names[0]), self.names[1]) if part)

    def words(self) -> list[str]:
        """The result, and what the lines and colours mean."""
        texts = [str(self.one["statement"].values).replace(" um", " µm")]
        marks = []
        if 0.0 in self.levels:
            marks.append("solid line on the map: the edge")
        if any(v > 0 for v in self.levels):
            marks.append(f"{'dashed' if 0.0 in self.levels else 'line'}: {self.levels[-1]:.3g} µm from it")
        if self.colours is not None:
            low, high = (number_label(float(f"{v:.3g}")) for v in (self.colours.norm.vmin or 0.0, self.colours.norm.vmax or 0.0))
            marks.append(f"colours from {low} to {high}")
        return [texts[0], "; ".join([*marks, self.quantity]) + "."]


def lateral_sheet(sheet: Sheet) -> PrintFigure:
    """Figure of one fragment."""
    with style():
        fig = PrintFigure(_Layout(sheet).arrange)
        map_axes(fig, MapPanel(sheet.title, sheet.image, sheet.colours), sheet.grid, sheet.contours)
        draw_profile(fig.add_subplot(), sheet.one)
    return fig


def draw_profile(axes: Axes, one: xr.Dataset) -> None:
    """Draw bins with their errors, the layer, the inner level, and where it is reached."""
    s = one["distance"].values
    mean, sd, model, inner = (one[n].values for n in ("profile", "profile_sd", "model", "inner_model"))
    known = np.isfinite(mean)
    axes.errorbar(s[known], mean[known], sd[known], fmt="o", ms=1.8, mew=0, lw=0.6, color=LINE_COLOURS[0], zorder=2)
    if int(one["detected"]):
        axes.plot(s[known], model[known], color=COLOUR, lw=1.0, zorder=3)
        at = float(one["inner_distance"])
        low, high = float(one["inner_distance_low"]), float(one["inner_distance_high"])
        if np.isfinite(at):
            axes.axvline(at, color=INK, lw=0.6, ls=(0, (1, 1)), zorder=1)
            axes.axvspan(low, high if np.isfinite(high) else float(s.max()), color=INK, alpha=0.08, lw=0, zorder=0)
    axes.plot(s[known], inner[known], color=COLOUR, lw=0.8, ls=(0, (4, 1.5)), zorder=1)
    axes.set_xlim(0, float(one["distance_high"].values[known][-1]) if known.any() else 1.0)
    top = float(np.nanmax(mean + sd)) if known.any() else 1.0
    axes.set_ylim(0 if np.nanmin(np.where(known, mean, np.inf)) >= 0 else None, 1.08 * top)
    axes.set_xlabel("distance to the edge (µm)")
    units = unit_label(str(one["profile"].attrs.get("units", "")))
    axes.set_ylabel(f"{units} per pixel".strip())


class _Layout:
    """Map at the left, profile at the right, words below."""

    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet

    def arrange(self, fig: PrintFigure, width: float) -> float:
        map_, profile = fig.axes
        grid = self.sheet.grid
        wide = SHARE * (width - 2 * MARGIN)
        high = wide * grid.aspect
        if high > HIGHEST:
            wide, high = wide * HIGHEST / high, HIGHEST
        panel = max(PANEL, high)
        lines = [line for text in self.sheet.words() for line in wrapped(fig, [text], width - 2 * MARGIN)]
        under = max(AXIS, SCALE_BAR + 0.8 + 0.6 + LINE - (panel - high))
        foot = MARGIN + HEAD + panel + under
        total = foot + len(lines) * LINE + MARGIN
        fig.place(map_, MARGIN, MARGIN + HEAD, wide, high, total)
        left = MARGIN + wide + GAP
        fig.place(profile, left, MARGIN + HEAD, width - left - RIGHT, panel, total)
        profile.xaxis.set_major_locator(MaxNLocator(max(int((width - left - RIGHT) // 9), 2), steps=[1, 2, 5, 10]))
        profile.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        if grid.in_um:
            draw_scale_bar(fig, map_, grid, 0.8, high)
        for i, line in enumerate(lines):
            fig.note(MARGIN, foot + i * LINE, line, total)
        return total
