"""The outline of a core over a grey map, in the colours of the thickness of its shell; they fade with the error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, Normalize

from ssbmaps._conventions import dense_map
from ssbmaps._errors import Faults
from ssbmaps.figures._grid import MapGrid, read_grid
from ssbmaps.figures._labels import number_label, quantity_label
from ssbmaps.figures._legend import Entry
from ssbmaps.figures._panels import bar_axes, image_axes
from ssbmaps.figures._scale import Colours, Wish, number_colours
from ssbmaps.figures._style import colour_map

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ssbmaps.figures._canvas import PrintFigure
    from ssbmaps.figures._thickness_read import Outline

    Floats = NDArray[np.float64]

GREYS = LinearSegmentedColormap.from_list("white to grey", ["#ffffff", "#8c8c8c"])
DARK_GREY = "#4d4d4d"
NO_VALUE = "#efe0bf"  # pixels without a value, told apart from grey by hue
THIN, THICK, EDGING = 0.5, 2.2, 3.0  # pt: pieces not measured, pieces measured, and the white line beneath both
BEYOND = 2.0  # pixels that an outline may run beyond the frame that cuts it
THICKNESS_MAP, DARKER = "batlow", 0.8


@dataclass(frozen=True, slots=True)
class Ground:
    """The map beneath: values, place, grey scale (None without any value), and what is said of it."""

    image: Floats
    grid: MapGrid
    colours: Colours | None
    words: str

    @classmethod
    def read(cls, map_: xr.DataArray, name: str, outline: Outline, *, subject: str) -> Ground:
        """`map_` (y, x), checked to hold the whole outline."""
        image = dense_map(map_, subject=subject)
        grid = read_grid(map_, subject=subject)
        with Faults(subject) as faults:
            known = "the map has no coordinates y and x in um; the outline has no place on it."
            if faults.expect(grid.in_um, known):
                left, right, bottom, top = grid.extent
                corners = np.vstack(outline.lines)
                (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
                slack = BEYOND * (right - left) / image.shape[1]
                faults.expect(
                    bool(left - slack <= x0 and x1 <= right + slack and top - slack <= y0 and y1 <= bottom + slack),
                    f"the outline covers x {x0:.4g} to {x1:.4g}, y {y0:.4g} to {y1:.4g} um, the map x {left:.4g} to {right:.4g}, "
                    f"y {top:.4g} to {bottom:.4g} um; draw the result on the map it was measured on.",
                )
        wish = Wish.checked(subject, (0.5, 99.5), None, "linear", None)
        colours = number_colours([image], wish, whole=map_.dtype.kind in "iub", subject=subject)
        words = "grey: " + ", ".join(filter(None, (name, quantity_label(map_))))
        if colours is not None:
            colours = replace(colours, cmap=GREYS.with_extremes(bad=NO_VALUE))
            low, high = (number_label(float(f"{v:.3g}")) for v in (colours.norm.vmin or 0.0, colours.norm.vmax or 0.0))
            words = "grey: " + ", ".join(filter(None, (name, f"{low} (white) to {high}", quantity_label(map_))))
        return cls(image, grid, colours, words)

    @property
    def grey(self) -> bool:
        """Whether pixels without a value are drawn."""
        return bool(np.isnan(self.image).any())

    def draw(self, fig: PrintFigure) -> Axes:
        """Axes that hold the map."""
        axes = image_axes(fig, np.ma.masked_invalid(self.image), self.grid, None)
        axes.set_facecolor(NO_VALUE)
        if self.colours is not None:
            axes.images[0].set(cmap=self.colours.cmap, norm=self.colours.norm)
        return axes


@dataclass(frozen=True, slots=True)
class ThicknessMap:
    """All that is drawn of the thickness along an outline: ground, outline, colours, title, and words of the shell."""

    ground: Ground
    outline: Outline
    colours: Colours | None
    title: str
    words: tuple[str, ...]

    def draw(self, fig: PrintFigure) -> tuple[Axes, Axes | None]:
        """Axes of the map, and of its colour bar where there is one."""
        axes = self.ground.draw(fig)
        draw_outline(axes, self.outline, self.colours)
        if self.colours is None:
            return axes, None
        return axes, bar_axes(fig, ScalarMappable(norm=self.colours.norm, cmap=self.colours.cmap), self.colours)

    @property
    def caption(self) -> list[str]:
        """What the map shows."""
        return [*self.words, *outline_words(self.outline, self.colours), self.ground.words]

    @property
    def legend(self) -> list[Entry]:
        """The colour of pixels without a value, where there are any."""
        return [Entry(self.ground.grid.grey, NO_VALUE)] if self.ground.grey else []


def thickness_colours(outline: Outline, percentile: object, limits: object, cmap: str | None, *, subject: str) -> Colours | None:
    """Colour scale in nm of the measured pieces; None where none is."""
    wish = Wish.checked(subject, percentile, limits, "linear", cmap)
    known = outline.measured
    chosen = colour_map(cmap or THICKNESS_MAP)
    if cmap is None:
        chosen = ListedColormap(chosen(np.linspace(0, DARKER, 256)), name=THICKNESS_MAP)
    if not known.any():
        return None
    values, error = 1e3 * outline.thickness[known], 1e3 * outline.error[known]
    if wish.limits is not None:
        low, high = (1e3 * v for v in wish.limits)
        words = f"colours from {number_label(low)} to {number_label(high)}"
    else:
        precision = error**2 + np.median(error) ** 2
        weight = outline.length[known] / np.where(precision > 0, precision, 1.0)
        ends = wish.percentile or (0.0, 100.0)
        low, high = _weighted_percentiles(values, weight, ends)
        words = f"{ends[0]:g}–{ends[1]:g} percentile by length and precision"
        if low == high:
            low, high, words = 0.5 * low, 1.5 * low if low else 1.0, "one value"
    beyond = (bool(values.min() < low), bool(values.max() > high))
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[beyond]
    return Colours(Normalize(low, high), chosen, extend, (words,))


def _weighted_percentiles(values: Floats, weight: Floats, ends: tuple[float, float]) -> tuple[float, float]:
    """Values of the data below which the two shares of the weight lie."""
    order = np.argsort(values)
    below = np.cumsum(weight[order]) / weight.sum()
    places = [min(int(np.searchsorted(below, share / 100 - 1e-12)), len(values) - 1) for share in ends]
    return float(values[order][places[0]]), float(values[order][places[1]])


def half_strength(colours: Colours) -> float:
    """Standard error in nm at which a colour has half its strength: half of what the colours span."""
    return 0.5 * (float(colours.norm.vmax or 0.0) - float(colours.norm.vmin or 0.0))


def draw_outline(axes: Axes, outline: Outline, colours: Colours | None) -> None:
    """Draw the pieces: a white line beneath all, thin grey where nothing was measured, thick in colour where it was."""
    known = outline.measured
    beneath = LineCollection(outline.lines, colors="white", linewidths=np.where(known, EDGING, 3 * THIN), capstyle="butt")
    beneath.set_gid("outline-edging")
    thin = LineCollection(
        [line for line, k in zip(outline.lines, known, strict=True) if not k], colors=DARK_GREY, linewidths=THIN
    )
    thin.set_gid("outline-not-measured")
    drawn = [beneath, thin]
    if colours is not None:
        rgba = colours.cmap(colours.norm(1e3 * outline.thickness[known]))
        rgba[:, 3] = 1 / (1 + (1e3 * outline.error[known] / half_strength(colours)) ** 2)
        thick = LineCollection(
            [line for line, k in zip(outline.lines, known, strict=True) if k], colors=rgba, linewidths=THICK, capstyle="butt"
        )
        thick.set_gid("outline-thickness")
        drawn.append(thick)
    for lines in drawn:
        axes.add_collection(lines, autolim=False)


def outline_words(outline: Outline, colours: Colours | None) -> list[str]:
    """What the outline shows and what it does not."""
    if colours is None:
        return ["thin line: outline of the core"]
    said = [f"colours fade with the standard error (half strength: ± {half_strength(colours):.0f} nm)"]
    if np.isfinite(outline.scatter):
        count = int(outline.measured.sum())
        said.append(f"the {count} pieces scatter {outline.scatter:.1f} × their standard errors (1: noise alone)")
    if not outline.measured.all():
        said.append(f"thin line: {1 - outline.share:.0%} of the outline, out of contact or not measured")
    return said
