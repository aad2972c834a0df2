"""Core and shell as one composite picture with the core's outline, and the bars that belong to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, to_rgb

from ssbmaps._conventions import dense_map
from ssbmaps._errors import SsbmapsError
from ssbmaps.figures._canvas import LINE
from ssbmaps.figures._composite_sheet import CHIP, CHIP_AIR, Channel, added
from ssbmaps.figures._contours import SOLID, Contours
from ssbmaps.figures._labels import quantity_label
from ssbmaps.figures._panels import (
    BAR,
    BAR_BLOCK,
    BAR_GAP,
    GAP,
    WIDEST_BAR,
    bar_axes,
    bar_lines,
    image_axes,
    set_bar_ticks,
    write_bar_lines,
)
from ssbmaps.figures._scale import Wish, number_colours
from ssbmaps.figures._style import COMPOSITE_HUES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from matplotlib.axes import Axes

    from ssbmaps.figures._canvas import PrintFigure
    from ssbmaps.figures._grid import MapGrid
    from ssbmaps.figures._thickness_read import Outline


@dataclass(frozen=True, slots=True)
class Picture:
    """The channels of the composite, where they lie, and the outline over them."""

    channels: tuple[Channel, ...]
    grid: MapGrid
    outline: Contours
    quantity: str

    @classmethod
    def read(cls, maps: Mapping[str, xr.DataArray], outline: Outline, grid: MapGrid, *, subject: str) -> Picture:
        """A composite of maps by their printed name."""
        channels = []
        for (name, map_), colour in zip(maps.items(), COMPOSITE_HUES[len(maps)], strict=True):
            image = dense_map(map_, subject=subject)
            wish = Wish.checked(subject, (0.5, 99.5), None, "linear", None)
            colours = number_colours([image.clip(min=0)], wish, whole=map_.dtype.kind in "iub", subject=subject)
            if colours is None:
                raise SsbmapsError(f"{subject}: no pixel of {name} holds a value.")
            hue = to_rgb(colour)
            ramp = LinearSegmentedColormap.from_list(f"black to {name}", [(0, 0, 0), hue])
            drawn = type(colours)(colours.norm, ramp, colours.extend, colours.words, whole=colours.whole)
            channels.append(Channel(name, image, hue, drawn))
        lines = Contours(((SOLID, outline.lines),), ())
        return cls(tuple(channels), grid, lines, quantity_label(next(iter(maps.values()))))

    @property
    def grey(self) -> bool:
        """Whether pixels without a value are drawn."""
        return any(bool(np.isnan(c.image).any()) for c in self.channels)

    def draw(self, fig: PrintFigure) -> tuple[Axes, list[Axes]]:
        """Axes of the picture, and of a bar for each channel."""
        axes = image_axes(fig, added(self.channels), self.grid, self.outline)
        bars = [bar_axes(fig, ScalarMappable(norm=c.colours.norm, cmap=c.colours.cmap), c.colours) for c in self.channels]
        return axes, bars

    def bar_length(self, width: float) -> float:
        """Length in mm of each bar where all stand side by side in `width` mm."""
        number = len(self.channels)
        return min((width - (number - 1) * GAP) / number, WIDEST_BAR)

    def under(self, fig: PrintFigure, width: float) -> float:
        """Height in mm of names, bars and their words."""
        lines = [bar_lines(fig, c.colours, self.bar_length(width)) for c in self.channels]
        return CHIP + BAR_BLOCK + LINE * max(map(len, lines))

    def place_bars(self, fig: PrintFigure, bars: list[Axes], left: float, top: float, width: float, total: float) -> None:
        """Put each channel's name in its hue and its bar side by side, from `left`, `top` mm."""
        length = self.bar_length(width)
        for i, (axes, channel) in enumerate(zip(bars, self.channels, strict=True)):
            at = left + i * (length + GAP)
            fig.patch_at(at, top, fig.text_width(channel.name) + 2 * CHIP_AIR, CHIP, total, "black")
            middle = {"va": "center_baseline", "color": channel.hue}
            fig.note(at + CHIP_AIR, top + CHIP / 2, channel.name, total, **middle)
            fig.place(axes, at, top + CHIP + BAR_GAP, length, BAR, total)
            set_bar_ticks(axes, channel.colours, length)
            write_bar_lines(fig, bar_lines(fig, channel.colours, length), at, top + CHIP + BAR_GAP, total)
