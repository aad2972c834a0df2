"""`map_figure` and `grid_figure`: maps with a colour bar that says what it shows, and one scale bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssbmaps._conventions import canonical, channel_dim, check_array, dense_map
from ssbmaps._errors import SsbmapsError
from ssbmaps.figures._labels import channel_title, ion_label, quantity_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure

    from ssbmaps.figures._scale import Colours


def map_figure(
    map_: xr.DataArray,
    *,
    title: str | None = None,
    percentile: tuple[float, float] | None = (0.5, 99.5),
    limits: tuple[float, float] | None = None,
    scale: str = "linear",
    cmap: str | None = None,
    contours: xr.DataArray | None = None,
    levels: Sequence[float] | None = None,
) -> Figure:
    """Draw one map with its colour bar and scale bar.

    The upper edge of the map is up (`y` runs downwards) and pixels have the shape that the coordinates give them. A map
    without coordinates `y` and `x` is drawn in pixels, says so, and has no scale bar. A label map (with `flag_values` and
    `flag_meanings`, as `ssbmaps.maps.label_phases` makes it) gets a legend of its phases instead of a colour bar.

    Parameters
    ----------
    map_ : DataArray
        One map, dims (y, x), any unit; dense, sparse or dask. Pixels that are NaN, or not `measured`, are drawn grey and the
        figure names the grey.
    title : str, optional
        Text above the map. None takes the map's own ion, line, band, component or name.
    percentile : tuple of float, optional
        Lower and upper percentile of the pixels at which the colours end, stated on the bar. None is the full range.
        Where both percentiles are the same value, as in very sparse maps, the full range is used, and stated.
    limits : tuple of float, optional
        Lower and upper value at which the colours end, in the unit of the map; they replace `percentile`.
    scale : {"linear", "log"}
        How values become colours. On a log scale zeros take the lowest colour.
    cmap : str, optional
        A Crameri or matplotlib colour map. None is "navia", or "vik" about 0 where values are negative.
    contours : DataArray, optional
        Lines over the map: a distance (y, x) in um, from `ssbmaps.interfaces.distance_to`, or labels (y, x), from
        `ssbmaps.maps.label_phases`, whose boundaries run along pixel edges. Its pixels are exactly those of the map. The lines
        are white with a dark casing and stand in the legend; NaN and unmeasured pixels interrupt them.
    levels : sequence of float, optional
        Distances in um at which lines are drawn; None is 0, the edge itself. Beside 0 the others are dashed.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type. `ssbmaps.figures.save` lays it out anew at the width
        of the journal.

    Raises
    ------
    SsbmapsError
        If `map_` is no (y, x) map, holds infinite values, lies on uneven coordinates, or an option is out of range.
    GridMismatchError
        If `contours` lies on other pixels than the map.

    References
    ----------
    Colour maps: F. Crameri, doi 10.5281/zenodo.1243862.

    Examples
    --------
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> counts = xr.DataArray(np.arange(12).reshape(3, 4), dims=("y", "x"), attrs={"units": "counts"})
    >>> counts = counts.assign_coords(y=[0.25, 0.75, 1.25], x=[0.25, 0.75, 1.25, 1.75])
    >>> fig = ssbmaps.figures.map_figure(counts, title="PO3-")
    >>> fig.axes[0].get_title(loc="left")
    '$\\\\mathrm{PO_{3}^{-}}$'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._contours import read_contours
    from ssbmaps.figures._grid import read_grid
    from ssbmaps.figures._panels import MapPanel, map_sheet
    from ssbmaps.figures._scale import Wish, class_colours, number_colours

    subject = "figures.map_figure"
    image = dense_map(map_, subject=subject)
    wish = Wish.checked(subject, percentile, limits, scale, cmap)
    colours: Colours | None
    if "flag_meanings" in map_.attrs:
        colours = class_colours(map_, subject=subject)
    else:
        colours = number_colours([image], wish, whole=map_.dtype.kind in "iub", subject=subject)
    panel = MapPanel(_title(title, map_), image, colours)
    grid = read_grid(map_, subject=subject)
    lines = read_contours(contours, levels, map_, grid, subject=subject)
    return finished(map_sheet([panel], grid, quantity=quantity_label(map_), contours=lines))


def grid_figure(
    maps: xr.DataArray,
    *,
    per_row: int | None = None,
    shared: bool = False,
    letters: bool = False,
    percentile: tuple[float, float] | None = (0.5, 99.5),
    limits: tuple[float, float] | None = None,
    scale: str = "linear",
    cmap: str | None = None,
    contours: xr.DataArray | None = None,
    levels: Sequence[float] | None = None,
) -> Figure:
    """Draw the maps of several channels side by side, with one scale bar for all.

    All maps lie on one grid, so one scale bar holds for every panel. Each panel has its own colours and colour bar, because
    ions differ in yield, unless `shared` is set.

    Parameters
    ----------
    maps : DataArray
        Maps, dims (fragment, y, x), or `line`, `band`, `component` or `shell` in place of `fragment`; any unit; dense, sparse
        or dask. Pixels that are NaN, or not `measured`, are drawn grey and the figure names the grey.
    per_row : int, optional
        Panels in a row. None is a row of up to three, and rows of four from ten maps on; four maps make two rows.
    shared : bool
        One colour scale, and one colour bar, for all maps.
    letters : bool
        Put a, b, c … before the titles.
    percentile : tuple of float, optional
        Lower and upper percentile of the pixels at which the colours end, per map or, when `shared` is set, over all maps;
        stated on the bar. None is the full range.
    limits : tuple of float, optional
        Lower and upper value at which the colours end, in the unit of the maps; they replace `percentile`.
    scale : {"linear", "log"}
        How values become colours. On a log scale zeros take the lowest colour.
    cmap : str, optional
        A Crameri or matplotlib colour map. None is "navia", or "vik" about 0 where values are negative.
    contours : DataArray, optional
        Lines over the maps: a distance (y, x) in um, from `ssbmaps.interfaces.distance_to`, or labels (y, x), from
        `ssbmaps.maps.label_phases`, whose boundaries run along pixel edges. Its pixels are exactly those of the maps. The lines
        are white with a dark casing and stand in the legend; NaN and unmeasured pixels interrupt them.
    levels : sequence of float, optional
        Distances in um at which lines are drawn; None is 0, the edge itself. Beside 0 the others are dashed.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type.

    Raises
    ------
    SsbmapsError
        If `maps` has no channel dimension, or one besides it and y, x, or an option is out of range.
    GridMismatchError
        If `contours` lies on other pixels than the maps.

    Examples
    --------
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> counts = xr.DataArray(np.arange(24).reshape(2, 3, 4), dims=("fragment", "y", "x"), attrs={"units": "counts"})
    >>> counts = counts.assign_coords(fragment=["PO3-", "S-"], y=[0.25, 0.75, 1.25], x=[0.25, 0.75, 1.25, 1.75])
    >>> fig = ssbmaps.figures.grid_figure(counts, letters=True)
    >>> [axes.get_title(loc="left").split()[-1] for axes in fig.axes[:2]]
    ['$\\\\mathrm{PO_{3}^{-}}$', '$\\\\mathrm{S^{-}}$']
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._contours import read_contours
    from ssbmaps.figures._grid import read_grid
    from ssbmaps.figures._panels import MapPanel, map_sheet
    from ssbmaps.figures._scale import Wish, number_colours

    subject = "figures.grid_figure"
    check_array(maps, subject=subject, dims=("y", "x"))
    channel = channel_dim(maps, subject=subject)
    if channel is None or maps.ndim != 3:
        raise SsbmapsError(
            f"{subject}: expected one channel dimension such as fragment beside y and x, got dims {tuple(maps.dims)}. "
            "A single map goes to figures.map_figure; sum a series with .sum('scan') or pick one with .isel(scan=…)."
        )
    if per_row is not None and (not isinstance(per_row, int) or per_row < 1):
        raise SsbmapsError(f"{subject}: per_row={per_row!r}; expected a whole number of 1 or more.")
    wish = Wish.checked(subject, percentile, limits, scale, cmap)
    ordered = canonical(maps)
    each = [ordered.isel({channel: i}) for i in range(maps.sizes[channel])]
    images = [dense_map(m, subject=subject) for m in each]
    whole = maps.dtype.kind in "iub"
    if shared:
        colours = [number_colours(images, wish, whole=whole, subject=subject)] * len(images)
    else:
        colours = [number_colours([image], wish, whole=whole, subject=subject) for image in images]
    panels = [
        MapPanel(_lettered(channel_title(m), i if letters else None), image, c)
        for i, (m, image, c) in enumerate(zip(each, images, colours, strict=True))
    ]
    width = per_row or (len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3 if len(panels) < 10 else 4)
    grid = read_grid(ordered, subject=subject)
    lines = read_contours(contours, levels, ordered, grid, subject=subject)
    per_row = min(width, len(panels))
    sheet = map_sheet(panels, grid, per_row=per_row, quantity=quantity_label(maps), shared=shared, contours=lines)
    return finished(sheet)


def _title(title: str | None, map_: xr.DataArray) -> str:
    return channel_title(map_) if title is None else ion_label(title)


def _lettered(title: str, index: int | None) -> str:
    if index is None:
        return title
    letters = chr(ord("a") + index % 26) * (index // 26 + 1)
    return rf"$\mathbf{{{letters}}}$  {title}"
