"""The panels of `quality_figure`: stripes, edges against scans, particles, and maps of the peaks, each on axes of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from ssbmaps._conventions import canonical
from ssbmaps.figures._canvas import LINE
from ssbmaps.figures._grid import SCALE_BAR, MapGrid, draw_scale_bar
from ssbmaps.figures._labels import number_label
from ssbmaps.figures._scale import Colours
from ssbmaps.figures._style import INK, LINE_COLOURS, SIGNED_MAP, UNMEASURED, colour_map

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ssbmaps.figures._canvas import PrintFigure
    from ssbmaps.figures._quality_table import Row

    Floats = NDArray[np.float64]

DATA, FLAG = LINE_COLOURS[:2]
LEFT, RIGHT = 11.0, 2.5  # mm beside a plot for its numbers and label, and for half of its last number
UNDER = 7.4  # mm below it
BAR, BAR_GAP = 1.8, 1.2  # mm
TURN = "direction (°)"


class Plot:
    """A panel with two axes of numbers."""

    def __init__(self, row: Row, axes: Axes) -> None:
        self.row, self.axes = row, axes
        self.grey = False

    def place(self, fig: PrintFigure, left: float, top: float, wide: float, high: float, total: float) -> None:
        """Fill a cell of `wide` mm whose plot is `high` mm high; its upper-left corner lies at `left`, `top`."""
        across = wide - LEFT - RIGHT
        fig.place(self.axes, left + LEFT, top, across, high, total)
        self.axes.yaxis.set_label_coords(-(LEFT - LINE) / across, 0.5)
        self.axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


class TileMap:
    """A map of tiles with its colour bar at the right and its scale bar below."""

    def __init__(self, row: Row, axes: Axes, bar: Axes, colours: Colours, grid: MapGrid, grey: bool) -> None:
        self.row, self.axes, self.bar, self.colours, self.grid, self.grey = row, axes, bar, colours, grid, grey

    def place(self, fig: PrintFigure, left: float, top: float, wide: float, high: float, total: float) -> None:
        """The same for a map, which keeps its aspect; the scale bar takes the place of the plots' numbers."""
        ticks = self.colours.ticks(4)
        words = [number_label(t) for t in ticks]
        room = wide - BAR_GAP - BAR - 1.5 - max(fig.text_width(w) for w in words)
        shown = min(high, room * self.grid.aspect)
        across = shown / self.grid.aspect
        fig.place(self.axes, left, top, across, shown, total)
        fig.place(self.bar, left + across + BAR_GAP, top, BAR, shown, total)
        self.bar.set_yticks(ticks, words)
        draw_scale_bar(fig, self.axes, self.grid, SCALE_BAR, shown)


def quality_panels(fig: PrintFigure, quality: xr.Dataset, rows: list[Row]) -> list[Plot | TileMap]:
    """A panel for each row that was testable and has something to draw."""
    held: dict[str, tuple[tuple[str, ...], Callable[[PrintFigure, xr.Dataset, Row], Plot | TileMap]]] = {
        "curtaining": (("stripe_excess", "stripe_angle"), _stripes),
        "edge_position": (("edge_offset", "edge_offset_sd", "scan_group"), _edge),
        "edge_width": (("edge_sigma", "edge_sigma_sd", "scan_group"), _edge),
        "particle_shape": (("elongation_cos", "elongation_sin"), _particles),
        "mass_shift": (("mass_shift_map", "tile_y", "tile_x"), _tiles),
        "mass_width": (("mass_width_map", "tile_y", "tile_x"), _tiles),
    }
    order = [r for name in held for r in rows if r.name == name and r.testable]
    return [held[r.name][1](fig, quality, r) for r in order if all(n in quality.variables for n in held[r.name][0])]


def _values(quality: xr.Dataset, name: str) -> Floats:
    return np.asarray(quality[name].values, np.float64)


def _axes(fig: PrintFigure, x: str, y: str) -> Axes:
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return axes


def _turns(axes: Axes) -> None:
    """An x axis of directions: half a turn, the two axes of the map named by their angle."""
    axes.set_xlim(0, 180)
    axes.set_xticks([0, 45, 90, 135, 180])


def _stripes(fig: PrintFigure, quality: xr.Dataset, row: Row) -> Plot:
    axes = _axes(fig, TURN, "excess power (%)")
    angle, excess = _values(quality, "stripe_angle"), 100 * _values(quality, "stripe_excess")
    order = np.argsort(angle)
    angle, excess = angle[order], excess[order]
    around = np.concatenate([angle[-1:] - 180, angle, angle[:1] + 180]), np.concatenate([excess[-1:], excess, excess[:1]])
    axes.axhline(0, color=INK, lw=0.4)
    axes.plot(*around, color=DATA, gid="stripes")
    if row.flagged:
        turn = float(quality["direction"].sel(check=row.name))
        axes.axvline(turn, color=FLAG, ls=(0, (3, 2)), lw=0.8, zorder=0)
    _turns(axes)
    return Plot(row, axes)


def _edge(fig: PrintFigure, quality: xr.Dataset, row: Row) -> Plot:
    name, label = ("edge_offset", "position (nm)") if row.name == "edge_position" else ("edge_sigma", "width σ (nm)")
    axes = _axes(fig, "scan", label)
    scan, values, sd = _values(quality, "scan_group"), 1e3 * _values(quality, name), 1e3 * _values(quality, f"{name}_sd")
    axes.errorbar(scan, values, sd, color=DATA, fmt="o", ms=2.4, mew=0, elinewidth=0.8, gid=name)
    axes.margins(x=0.06, y=0.1)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return Plot(row, axes)


def _particles(fig: PrintFigure, quality: xr.Dataset, row: Row) -> Plot:
    axes = _axes(fig, TURN, "aspect ratio")
    cosine, sine = _values(quality, "elongation_cos"), _values(quality, "elongation_sin")
    turn, aspect = np.degrees(np.arctan2(sine, cosine)) / 2 % 180, np.exp(np.hypot(cosine, sine))
    axes.plot(turn, aspect, "o", color=DATA, ms=2.4, mew=0, clip_on=False, gid="particles")
    mean = float(quality["direction"].sel(check=row.name))
    options: Any = {"color": FLAG if row.flagged else INK, "ms": 4.0, "elinewidth": 0.8, "mew": 0, "clip_on": False, "zorder": 4}
    axes.errorbar(mean, row.value, row.value_sd, fmt="D", gid="mean", **options)
    _turns(axes)
    axes.set_ylim(1, 1 + 1.06 * (max(float(aspect.max()), row.value + row.value_sd) - 1))
    return Plot(row, axes)


def _tiles(fig: PrintFigure, quality: xr.Dataset, row: Row) -> TileMap:
    map_ = canonical(quality[f"{row.name}_map"].rename(tile_y="y", tile_x="x"))
    factor, label = (1.0, "ppm") if row.name == "mass_shift" else (100.0, "%")
    image = factor * np.asarray(map_.values, np.float64)
    most = float(np.nanmax(np.abs(image))) or 1.0
    colours = Colours(Normalize(-most, most), colour_map(SIGNED_MAP), "neither", ())
    y, x = _edges(_values(quality, "tile_y"), _values(quality, "tile_x"))
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set_facecolor(UNMEASURED)
    drawn = axes.pcolormesh(x, y, np.ma.masked_invalid(image), cmap=colours.cmap, norm=colours.norm, gid=f"{row.name}_map")
    axes.set(xlim=(x[0], x[-1]), ylim=(y[-1], y[0]), xticks=[], yticks=[])
    axes.spines[:].set(visible=True, linewidth=0.4)
    bar = fig.add_axes((0, 0, 1, 1))
    fig.colorbar(drawn, cax=bar).outline.set_linewidth(0.4)
    bar.tick_params(length=1.4, pad=1.2)
    bar.set_title(label, loc="left", pad=3.0)
    grid = MapGrid((float(x[0]), float(x[-1]), float(y[-1]), float(y[0])), True, "")
    return TileMap(row, axes, bar, colours, grid, bool(np.isnan(image).any()))


def _edges(*centres: Floats) -> list[Floats]:
    """Edges of the tiles along each axis; the last tile may be narrower than the others, which its centre tells."""
    sides = [float(c[1] - c[0]) if len(c) > 2 else 0.0 for c in centres]
    found = []
    for c, side in zip(centres, sides, strict=True):
        regular = c[0] + (np.arange(len(c)) - 0.5) * (side or max(sides))
        found.append(np.append(regular, 2 * c[-1] - regular[-1]))
    return found
