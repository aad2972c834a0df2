"""Where maps lie on paper: their edges in um, and a scale bar that is as long as it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation

from ssbmaps._conventions import RASTER_DIMS, axis_values, pixel_size
from ssbmaps.figures._labels import length_label
from ssbmaps.figures._style import INK, MM_PER_INCH

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from ssbmaps.figures._canvas import PrintFigure

SCALE_BAR = 0.8  # thickness of the scale bar in mm


@dataclass(frozen=True, slots=True)
class MapGrid:
    """Edges of the map in um (in pixels without a pixel size), and what its grey pixels are."""

    extent: tuple[float, float, float, float]
    in_um: bool
    grey: str

    @property
    def aspect(self) -> float:
        """Height over width."""
        left, right, bottom, top = self.extent
        return (bottom - top) / (right - left)

    @property
    def bar_length(self) -> float:
        """Round length of the scale bar: 1, 2 or 5 times a power of ten, at most two fifths of the map's width."""
        most = 0.4 * (self.extent[1] - self.extent[0])
        power = 10.0 ** np.floor(np.log10(most))
        return float(max(f * power for f in (1.0, 2.0, 5.0) if f * power <= most * (1 + 1e-9)))


def read_grid(maps: xr.DataArray, *, subject: str) -> MapGrid:
    """Where the maps lie; without both coordinates they are drawn in pixels."""
    grey = "not measured" if "measured" in maps.coords else "no value"
    height, width = (maps.sizes[d] for d in RASTER_DIMS)
    if not any(d in maps.coords for d in RASTER_DIMS):
        return MapGrid((0.0, float(width), float(height), 0.0), False, grey)
    dy, dx = pixel_size(maps, subject=subject)
    y, x = (axis_values(maps, d, subject=subject) for d in RASTER_DIMS)
    return MapGrid((x[0] - dx / 2, x[-1] + dx / 2, y[-1] + dy / 2, y[0] - dy / 2), True, grey)


def draw_scale_bar(fig: PrintFigure, axes: Axes, grid: MapGrid, below: float, height: float) -> None:
    """Draw the scale bar `below` mm under a panel `height` mm high, in the panel's own x."""
    length, left = grid.bar_length, grid.extent[0]
    across = axes.get_xaxis_transform() + ScaledTranslation(0, -below / MM_PER_INCH, fig.dpi_scale_trans)
    bar = Rectangle((left, -SCALE_BAR / height), length, SCALE_BAR / height, fc=INK, lw=0, clip_on=False, transform=across)
    bar.set_gid("scale-bar")
    axes.add_patch(bar)
    text = length_label(length)
    printed = length / (grid.extent[1] - grid.extent[0]) * axes.get_position().width * fig.get_figwidth() * MM_PER_INCH
    at, align = (left + length / 2, "center") if fig.text_width(text) < printed else (left, "left")
    label = axes.text(at, -(SCALE_BAR + 0.6) / height, text, ha=align, va="top", transform=across, clip_on=False)
    fig.keep(bar, label)
