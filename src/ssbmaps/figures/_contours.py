"""Contours drawn over maps: levels of a distance map, or the boundaries between labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import RASTER_DIMS, canonical, check_array, dense_map, measured_mask, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.figures._labels import number_label
from ssbmaps.figures._legend import CONTOUR_WIDTH, Dash, Entry, casing

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ssbmaps.figures._grid import MapGrid

    Line = NDArray[np.float64]  # vertices (n, 2) as (x, y) in the map's own unit

SOLID: Dash = "-"
DASHED: Dash = (0.0, (4.0, 2.5))


@dataclass(frozen=True, slots=True)
class Contours:
    """Lines over a map with the dash of each group, and what the legend says of them."""

    groups: tuple[tuple[Dash, tuple[Line, ...]], ...]
    legend: tuple[Entry, ...]

    def draw(self, axes: Axes) -> None:
        """Draw white lines with a dark casing, which are seen on dark and on bright ground."""
        for dash, lines in self.groups:
            drawn = LineCollection(lines, colors="white", linewidths=CONTOUR_WIDTH, linestyles=[dash], path_effects=casing())
            drawn.set_gid("contour")
            axes.add_collection(drawn, autolim=False)


def read_contours(
    contours: xr.DataArray | None, levels: Sequence[float] | None, maps: xr.DataArray, grid: MapGrid, *, subject: str
) -> Contours | None:
    """Contours of a distance map or of labels that lie on exactly the pixels of `maps`."""
    if contours is None:
        if levels is not None:
            raise SsbmapsError(f"{subject}: levels={levels!r} without contours; pass the distance map as contours=….")
        return None
    own = f"{subject}: contours"
    check_array(contours, subject=own, dims=RASTER_DIMS)
    same_grid(maps, contours, subject=own)
    labelled = "flag_meanings" in contours.attrs
    with Faults(own) as faults:
        faults.expect(contours.ndim == 2, f"expected one (y, x) map, got dims {tuple(contours.dims)}. Pick one with .isel().")
        lone = [d for d in RASTER_DIMS if (d in contours.coords) != (d in maps.coords)]
        faults.expect(not lone, f"coordinate {', '.join(lone)} is on one of map and contours only; give it to both.")
        faults.expect(min(contours.sizes[d] for d in RASTER_DIMS) > 1, "a contour needs at least 2 pixels along y and x.")
        faults.expect(
            labelled or contours.attrs.get("units") == "um",
            f"units {contours.attrs.get('units')!r} and no flag_meanings; expected a distance in 'um', as interfaces.distance_to "
            "gives it, or labels, as maps.label_phases gives them.",
        )
        faults.expect(not (labelled and levels is not None), f"levels={levels!r}; labels have boundaries, not levels.")
    return _of_labels(contours, grid) if labelled else _of_distance(contours, levels, grid, own)


def _of_distance(distance: xr.DataArray, levels: Any, grid: MapGrid, subject: str) -> Contours:
    """Lines where the distance, linear between pixel centres and to the frame, takes each level; NaN interrupts them."""
    values = dense_map(distance, subject=subject)
    wanted = _levels(levels, values, subject)
    padded = np.pad(values, 1, mode="reflect", reflect_type="odd")
    name = str(distance.attrs.get("long_name", "")).partition(",")[0]
    edge = name.removeprefix("distance to the ") if name.startswith("distance to the ") else "distance 0"
    away = [v for v in wanted if v != 0]
    parts = [(SOLID, [0.0], edge)] if 0 in wanted else []
    if away:
        begin = name if not parts and name else "distance"
        parts.append((DASHED if parts else SOLID, away, f"{begin} {', '.join(map(number_label, away))} µm"))
    groups, legend = [], []
    for dash, chosen, text in parts:
        lines = [_placed(line - 1, values.shape, grid) for level in chosen for line in _lines(padded, level)]
        groups.append((dash, tuple(lines)))
        legend.append(Entry(text, dash=dash))
    return Contours(tuple(groups), tuple(legend))


def _lines(values: NDArray[np.float64], level: float) -> list[Line]:
    """Vertices (row, column) of the lines where `values` is `level`; marching squares."""
    from skimage import measure

    find: Any = measure.find_contours
    return [np.asarray(line, np.float64) for line in find(values, level)]


def _levels(levels: Any, values: NDArray[np.float64], subject: str) -> list[float]:
    """The levels asked for, ascending and once each, checked against the distances that occur."""
    given = [0.0] if levels is None else levels
    good = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str) and len(given) > 0
    good = good and all(isinstance(v, (int, float, np.number)) and np.isfinite(v) for v in given)
    if not good:
        raise SsbmapsError(f"{subject}: levels={levels!r}; expected one or more numbers in um, such as levels=[0, 0.5].")
    known = values[np.isfinite(values)]
    if known.size == 0:
        raise SsbmapsError(f"{subject}: no pixel holds a distance.")
    low, high = float(known.min()), float(known.max())
    outside = [f"{v:g}" for v in given if not low <= v <= high]
    if outside:
        raise SsbmapsError(f"{subject}: level {', '.join(outside)} um lies outside the distances, {low:g} to {high:g} um.")
    return sorted({float(v) for v in given})


def _of_labels(labels: xr.DataArray, grid: MapGrid) -> Contours:
    """Lines along the pixel edges between measured pixels of unlike labels."""
    values = to_dense(canonical(labels).data)
    known = measured_mask(labels)
    known = np.ones(values.shape, bool) if known is None else known
    across = (values[:, 1:] != values[:, :-1]) & known[:, 1:] & known[:, :-1]
    down = (values[1:] != values[:-1]) & known[1:] & known[:-1]
    lines = [np.array([(first - 0.5, i + 0.5), (last - 0.5, i + 0.5)]) for i, first, last in _runs(across.T)]
    lines += [np.array([(i + 0.5, first - 0.5), (i + 0.5, last - 0.5)]) for i, first, last in _runs(down)]
    placed = tuple(_placed(line, values.shape, grid) for line in lines)
    return Contours(((SOLID, placed),), (Entry("boundaries of the labels", dash=SOLID),))


def _runs(edges: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """(row, first, last + 1) of every stretch of True in each row."""
    steps = np.diff(np.pad(edges.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    found = []
    for i, row in enumerate(steps):
        turns = np.flatnonzero(row)
        found += [(i, int(a), int(b)) for a, b in list(pairwise(turns))[::2]]
    return found


def _placed(line: NDArray[np.float64], shape: tuple[int, ...], grid: MapGrid) -> Line:
    """Vertices (row, column), pixel centres being whole numbers, as (x, y) in the map's unit."""
    left, right, bottom, top = grid.extent
    y = top + (line[:, 0] + 0.5) * (bottom - top) / shape[0]
    x = left + (line[:, 1] + 0.5) * (right - left) / shape[1]
    return np.column_stack([x, y])
