"""A composite picture on a sheet: the sum of hues, a bar for each of them, scale bar and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import to_rgb

from ssbmaps.figures._canvas import LINE, MARGIN, MAX_HEIGHT, PrintFigure
from ssbmaps.figures._foot import Foot
from ssbmaps.figures._legend import Entry
from ssbmaps.figures._panels import (
    BAR,
    BAR_BLOCK,
    BAR_GAP,
    GAP,
    HEAD,
    LEAST_ROOM,
    WIDEST_BAR,
    bar_axes,
    bar_lines,
    image_axes,
    set_bar_ticks,
    write_bar_lines,
)
from ssbmaps.figures._style import UNMEASURED, style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ssbmaps.figures._contours import Contours
    from ssbmaps.figures._grid import MapGrid
    from ssbmaps.figures._scale import Colours

CHIP = LINE + 0.6  # height in mm of the black field that holds a name in its hue
CHIP_AIR = 1.0  # beside the name


@dataclass(frozen=True, slots=True)
class Channel:
    """One map of a composite: its name as printed, values, hue as red-green-blue, and scale."""

    name: str
    image: NDArray[np.float64]
    hue: tuple[float, float, float]
    colours: Colours

    @property
    def brightness(self) -> NDArray[np.float64]:
        """0 at the scale's lower end, 1 at its upper end, held between; NaN where there is no value."""
        low, high = float(self.colours.norm.vmin or 0.0), float(self.colours.norm.vmax or 0.0)
        return np.asarray(np.clip((self.image - low) / (high - low), 0.0, 1.0))


def added(channels: Sequence[Channel]) -> NDArray[np.float64]:
    """Red-green-blue picture (y, x, 3): sum of brightness × hue, held at 1; grey where any channel has no value."""
    total = sum(c.brightness[..., None] * np.array(c.hue) for c in channels)
    return np.asarray(np.where(np.isnan(total), to_rgb(UNMEASURED), np.minimum(total, 1.0)))


def composite_sheet(
    channels: Sequence[Channel], grid: MapGrid, *, title: str, quantity: str, contours: Contours | None
) -> PrintFigure:
    """Figure of the added `channels`, laid out by `fit_width`."""
    with style():
        sheet = _Sheet(channels, grid, title, quantity, contours)
        fig = PrintFigure(sheet.arrange)
        sheet.draw(fig)
    return fig


class _Sheet:
    """The picture and its bars, and their arrangement."""

    def __init__(self, channels: Sequence[Channel], grid: MapGrid, title: str, quantity: str, contours: Contours | None) -> None:
        self.channels, self.grid, self.title, self.contours = channels, grid, title, contours
        several = ["colours add", "brightness is scaled per map"] if len(channels) > 1 else []
        notes = dict.fromkeys(note for c in channels for note in c.colours.notes)
        legend = [Entry(grid.grey, UNMEASURED)] if any(np.isnan(c.image).any() for c in channels) else []
        legend += contours.legend if contours is not None else ()
        self.foot = Foot(grid, [*several, quantity, *notes], legend)

    def draw(self, fig: PrintFigure) -> None:
        """Make all axes; their places follow in `arrange`."""
        self.picture = image_axes(fig, added(self.channels), self.grid, self.contours)
        self.picture.set_title(self.title, loc="left", pad=3.0)
        self.bars: list[Axes] = []
        for channel in self.channels:
            coloured = ScalarMappable(norm=channel.colours.norm, cmap=channel.colours.cmap)
            self.bars.append(bar_axes(fig, coloured, channel.colours))

    def arrange(self, fig: PrintFigure, width: float) -> float:
        """Place everything for a figure `width` mm wide and return its height in mm."""
        inner, n = width - 2 * MARGIN, len(self.channels)
        head = HEAD if self.title else 0.0
        length = min((inner - (n - 1) * GAP) / n, WIDEST_BAR)
        words = [bar_lines(fig, c.colours, length) for c in self.channels]
        under = BAR_GAP + CHIP + BAR_BLOCK + LINE * max(map(len, words))
        wide = inner
        for _ in range(2):  # a tall map is narrowed to the page, and the foot then starts further left
            self.foot.fit(fig, inner, wide)
            foot = self.foot.height()
            high = min(wide * self.grid.aspect, max(MAX_HEIGHT - foot - 2 * MARGIN - head - under, LEAST_ROOM))
            wide = high / self.grid.aspect
        foot_top = MARGIN + head + high + under
        total = foot_top + foot + MARGIN
        fig.place(self.picture, MARGIN, MARGIN + head, wide, high, total)
        top = MARGIN + head + high + BAR_GAP
        for i, (axes, channel, lines) in enumerate(zip(self.bars, self.channels, words, strict=True)):
            left = MARGIN + i * (length + GAP)
            fig.patch_at(left, top, fig.text_width(channel.name) + 2 * CHIP_AIR, CHIP, total, "black")
            middle = {"va": "center_baseline", "color": channel.hue}
            fig.note(left + CHIP_AIR, top + CHIP / 2, channel.name, total, **middle)
            fig.place(axes, left, top + CHIP + BAR_GAP, length, BAR, total)
            set_bar_ticks(axes, channel.colours, length)
            write_bar_lines(fig, lines, left, top + CHIP + BAR_GAP, total)
        self.foot.draw_scale_bar(fig, self.picture, under, high)
        self.foot.draw(fig, MARGIN, foot_top, total)
        return total
