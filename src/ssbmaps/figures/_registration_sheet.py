"""The page of `registration_figure`: rows of three panels on one grid, and under them scale bar, words and legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgba

from ssbmaps.figures._canvas import MARGIN, MAX_HEIGHT, PrintFigure
from ssbmaps.figures._foot import Foot
from ssbmaps.figures._grid import read_grid
from ssbmaps.figures._labels import ion_label, number_label
from ssbmaps.figures._legend import Entry
from ssbmaps.figures._panels import HEAD, LEAST_ROOM, image_axes
from ssbmaps.figures._style import INK, LINE_COLOURS, MM_PER_INCH, style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ssbmaps.figures._grid import MapGrid

    Floats = NDArray[np.float64]

GREYS = LinearSegmentedColormap.from_list("white to dark grey", ["#ffffff", "#4d4d4d"])
PALE = LinearSegmentedColormap.from_list("white to grey", ["#ffffff", "#a8a8a8"])
NO_VALUE = "#efe0bf"  # told apart from grey by hue
OWN, MOVED = LINE_COLOURS[0], LINE_COLOURS[1]
QUIET, LOUD = LINE_COLOURS[2], INK
UNLIKELY = 0.01
GAP, UNDER = 1.5, 1.5  # mm between panels, and between the lowest ones and the foot
TITLES = ("both in squares", "outlines", "blocks")


def registration_sheet(check: xr.Dataset, chosen: list[int], magnify: float) -> PrintFigure:
    """Figure of the chosen pairs, one row each, laid out by `fit_width`."""
    with style():
        sheet = _Sheet(check, chosen, magnify)
        fig = PrintFigure(sheet.arrange)
        sheet.draw(fig)
    return fig


def draw_outlines(axes: Axes, check: xr.Dataset, pair: int) -> None:
    """Draw the outlines of both maps, the reference's beneath."""
    for side, colour, dash in (("reference", OWN, "-"), ("moved", MOVED, (0.0, (3.0, 1.5)))):
        mine = (check["vertex_pair"].values == pair) & (check["vertex_side"].values == side)
        number = check["vertex_segment"].values[mine]
        points = np.column_stack([check[f"vertex_{d}"].values[mine] for d in "xy"])
        lines = [points[number == n] for n in np.unique(number)]
        options: Any = {"colors": colour, "linewidths": 0.6, "linestyles": [dash]}
        drawn = LineCollection(lines, **options)
        drawn.set_gid(f"outline-{side}")
        axes.add_collection(drawn, autolim=False)


def draw_residuals(axes: Axes, check: xr.Dataset, magnify: float) -> None:
    """Draw an arrow for each block, `magnify` times as long as on the map, with the ellipse of one standard error at its tip.

    Both fade with the error: their strength is 1 / (1 + (s/h)²), s being the ellipse's longer half axis as it is drawn, h half of
    a block's side.
    """
    start = np.column_stack([check["block_x"].values, check["block_y"].values])
    shift = magnify * np.column_stack([check["residual_x"].values, check["residual_y"].values])
    long, short, angle = ellipses(check)
    half = max(float(np.ptp(check[d].values)) for d in "yx") / 16
    strength = 1 / (1 + (magnify * long / half) ** 2)
    loud = check["p_value"].values < UNLIKELY
    colours = np.array([to_rgba(LOUD if one else QUIET) for one in loud]).reshape(-1, 4)
    colours[:, 3] = strength
    if len(start) == 0:
        return
    heads: Any = {"headwidth": 4, "headlength": 4.5, "headaxislength": 4, "minlength": 0.1}
    frame: Any = {"angles": "xy", "scale_units": "xy", "scale": 1, "units": "dots", "width": 0.9 * axes.figure.dpi / 72}
    axes.quiver(*start.T, *shift.T, color=colours, zorder=3, gid="residuals", **frame, **heads)
    sizes = (2 * magnify * long, 2 * magnify * short, angle)
    place: Any = {"units": "xy", "offsets": start + shift, "offset_transform": axes.transData}
    tips: Any = EllipseCollection(*sizes, facecolors="none", edgecolors=colours, linewidths=0.4, zorder=2, **place)
    tips.set_gid("errors")
    axes.add_collection(tips, autolim=False)


def ellipses(check: xr.Dataset) -> tuple[Floats, Floats, Floats]:
    """Half axes in um, and the angle of the longer one in degrees from x towards y, of one standard error."""
    var_y, var_x = (check[f"residual_{d}_sd"].values ** 2 for d in "yx")
    cov = check["residual_covariance_yx"].values
    middle, half = (var_y + var_x) / 2, np.hypot((var_x - var_y) / 2, cov)
    angle = np.degrees(np.arctan2(2 * cov, var_x - var_y)) / 2
    return np.sqrt(middle + half), np.sqrt(np.maximum(middle - half, 0.0)), angle


class _Sheet:
    """The panels, and their arrangement."""

    def __init__(self, check: xr.Dataset, chosen: list[int], magnify: float) -> None:
        self.check, self.chosen, self.magnify = check, chosen, magnify
        self.grid: MapGrid = read_grid(check["reference"], subject="figures.registration_figure")
        self.panels: list[Axes] = []
        self.foot = Foot(self.grid, _caption(check, chosen, magnify), _legend(check, chosen))

    def draw(self, fig: PrintFigure) -> None:
        """Make all axes; their places follow in `arrange`."""
        for row, pair in enumerate(self.chosen):
            board, own = (self.check[n].isel(pair=pair).values for n in ("checkerboard", "reference"))
            known = own[np.isfinite(own)]
            ends = np.quantile(known, [0.02, 0.98]) if known.size else (0.0, 1.0)
            for column, image in enumerate((board, own, own)):
                axes = image_axes(fig, np.ma.masked_invalid(image), self.grid, None)
                axes.set_facecolor(NO_VALUE)
                axes.images[0].set(cmap=PALE if column else GREYS, clim=ends if column else (0, 1))
                axes.set_title(TITLES[column] if row == 0 else "", loc="left", pad=3.0)
                self.panels.append(axes)
            draw_outlines(self.panels[-2], self.check, pair)
            draw_residuals(self.panels[-1], self.check, self.magnify)

    def arrange(self, fig: PrintFigure, width: float) -> float:
        """Place everything for a figure `width` mm wide and return its height in mm."""
        inner = width - 2 * MARGIN
        rows = len(self.chosen)
        wide = (inner - 2 * GAP) / 3
        self.foot.fit(fig, inner, wide)
        foot = self.foot.height()
        room = (MAX_HEIGHT - foot - 2 * MARGIN - HEAD - UNDER - (rows - 1) * GAP) / rows
        high = min(wide * self.grid.aspect, max(room, LEAST_ROOM))
        if high < wide * self.grid.aspect:  # a tall sheet is narrowed to the page
            wide = high / self.grid.aspect
            self.foot.fit(fig, inner, wide)
        foot_top = MARGIN + HEAD + rows * high + (rows - 1) * GAP + UNDER
        total = foot_top + foot + MARGIN
        for i, axes in enumerate(self.panels):
            fig.place(axes, MARGIN + i % 3 * (wide + GAP), MARGIN + HEAD + i // 3 * (high + GAP), wide, high, total)
        fig.set_size_inches(width / MM_PER_INCH, total / MM_PER_INCH)
        self.foot.draw_scale_bar(fig, self.panels[-3], UNDER, high)
        self.foot.draw(fig, MARGIN, foot_top, total)
        return total


def _caption(check: xr.Dataset, chosen: list[int], magnify: float) -> list[str]:
    """The statement, the pairs in the order of the rows, and what the arrows are."""
    names = [" ~ ".join(ion_label(n) for n in str(check["pair"].values[i]).split(" ~ ")) for i in chosen]
    words = [
        str(check.attrs.get("statement", "")).rstrip(".").replace(" um", " µm"),
        f"rows: {', '.join(names)}" if len(names) > 1 else names[0],
    ]
    if check.sizes["block"]:
        words.append(f"arrows: where blocks would like the moving map to go, × {number_label(magnify)}")
        words.append("ellipses: one standard error, large ones pale")
    return [w for w in words if w]


def _rows(names: list[str]) -> str:
    if len(names) > 1:
        return f"rows: {', '.join(names)}"
    return "" if names[0] == "map ~ map" else names[0]


def _legend(check: xr.Dataset, chosen: list[int]) -> list[Entry]:
    """Colours of outlines, arrows, and of pixels that were not measured."""
    entries = [Entry("outline, reference", OWN), Entry("outline, moved", MOVED)]
    n, loud = check.sizes["block"], int((check["p_value"].values < UNLIKELY).sum())
    if n:
        by_chance = number_label(float(f"{UNLIKELY * n:.1g}"))
        entries.append(Entry(f"blocks within their errors ({n - loud})", QUIET))
        entries.append(Entry(f"not, at p < {UNLIKELY:g} ({loud}; by chance {by_chance})", LOUD))
    if bool(check["checkerboard"].isel(pair=chosen).isnull().any()):
        entries.append(Entry("not measured in both", NO_VALUE))
    return entries
