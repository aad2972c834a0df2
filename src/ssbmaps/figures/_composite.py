"""`composite_figure`: up to four maps as one picture, each in its own hue; the hues add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, channel_dim, check_array, dense_map, fragment_index
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.figures._labels import channel_title, ion_label, quantity_label

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from ssbmaps.figures._composite_sheet import Channel

SUBJECT = "figures.composite_figure"
MOST = 4


def composite_figure(
    maps: xr.DataArray,
    *,
    fragments: Sequence[str] | None = None,
    colours: Sequence[str] | None = None,
    percentile: tuple[float, float] | None = (0.5, 99.5),
    limits: Mapping[str, tuple[float, float]] | None = None,
    title: str | None = None,
    contours: xr.DataArray | None = None,
    levels: Sequence[float] | None = None,
) -> Figure:
    """Draw up to four maps as one picture in which each has its own hue and the hues add.

    Each map becomes a brightness b = (value − low) / (high − low), held between 0 and 1, with its own low and high. A pixel's
    red, green and blue are the sums of b × hue over the maps, held at 1. So brightness compares pixels of one ion, never two
    ions: these differ in yield. A colour bar for each map stands under the picture with its low, its high and what they are.

    Parameters
    ----------
    maps : DataArray
        Maps, dims (fragment, y, x), or `line`, `band`, `component` or `shell` in place of `fragment`; any unit; dense, sparse
        or dask. Pixels that are NaN in any of the maps drawn, or not `measured`, are grey and the figure names the grey.
        Values below 0 are black, and the figure says so.
    fragments : sequence of str, optional
        One to four channels to draw, in the order of the colour bars. None draws all, if these are no more than four.
    colours : sequence of str, optional
        A colour for each fragment, as matplotlib names them ("#24DB92", "orange"). None takes hues that readers with normal
        sight, protanopia, deuteranopia and tritanopia tell apart: CIEDE2000 distances of at least 68, 37 and 26 between any
        two of two, three and four.
    percentile : tuple of float, optional
        Lower and upper percentile of each map's pixels at which its brightness is 0 and 1, stated on the bar. None is the
        full range. Where both percentiles are the same value, as in very sparse maps, the full range is used, and stated.
    limits : mapping of str to tuple of float, optional
        Values at which the brightness of a named fragment is 0 and 1, in the unit of the maps; they replace `percentile`.
    title : str, optional
        Text above the picture.
    contours : DataArray, optional
        A distance or labels drawn as lines, see `map_figure`.
    levels : sequence of float, optional
        Distances in um at which lines are drawn, see `map_figure`.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type.

    Raises
    ------
    SsbmapsError
        If a fragment is not in the maps or named twice, there are more than four, a map holds no value or none above 0 beside
        negative ones, or an option is out of range.
    GridMismatchError
        If `contours` lies on other pixels than the maps.

    References
    ----------
    Simulated colour vision: Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291,
    doi:10.1109/TVCG.2009.113.

    Examples
    --------
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> counts = xr.DataArray(np.arange(24).reshape(2, 3, 4), dims=("fragment", "y", "x"), attrs={"units": "counts"})
    >>> counts = counts.assign_coords(fragment=["PO3-", "S-"], y=[0.25, 0.75, 1.25], x=[0.25, 0.75, 1.25, 1.75])
    >>> fig = ssbmaps.figures.composite_figure(counts, percentile=None)
    >>> fig.axes[0].images[0].get_array()[0, 0].tolist()  # both maps at their lowest: black
    [0.0, 0.0, 0.0]
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._composite_sheet import composite_sheet
    from ssbmaps.figures._contours import read_contours
    from ssbmaps.figures._grid import read_grid

    channel, chosen = _chosen(maps, fragments)
    _check_options(chosen, colours, limits, percentile)
    ordered = canonical(maps.copy(data=to_dense(maps.data)))
    ordered = ordered.isel({channel: fragment_index(maps, chosen, subject=SUBJECT)})
    channels = _channels([ordered.isel({channel: i}) for i in range(len(chosen))], chosen, colours, percentile, limits or {})
    grid = read_grid(ordered, subject=SUBJECT)
    lines = read_contours(contours, levels, ordered, grid, subject=SUBJECT)
    heading = "" if title is None else ion_label(title)
    return finished(composite_sheet(channels, grid, title=heading, quantity=quantity_label(maps), contours=lines))


def _chosen(maps: xr.DataArray, fragments: Any) -> tuple[str, list[str]]:
    """The channel dimension, and the names of one to four of its channels."""
    check_array(maps, subject=SUBJECT, dims=("y", "x"))
    channel = channel_dim(maps, subject=SUBJECT)
    if channel is None or maps.ndim != 3 or channel not in maps.coords:
        raise SsbmapsError(
            f"{SUBJECT}: expected one named channel dimension such as fragment beside y and x, got dims {tuple(maps.dims)}. "
            "Sum a series with .sum('scan') or pick one with .isel(scan=…)."
        )
    present = [str(v) for v in maps.coords[channel].values]
    if isinstance(fragments, str):
        fragments = [fragments]
    names = present if fragments is None else [str(f) for f in fragments]
    with Faults(SUBJECT) as faults:
        faults.expect(
            1 <= len(names) <= MOST,
            f"{len(names)} channels ({', '.join(names)}); a reader tells the hues of up to {MOST} apart. Name them with "
            f"fragments=[…], or draw all with figures.grid_figure.",
        )
        unknown = [n for n in names if n not in present]
        faults.expect(not unknown, f"{channel} {', '.join(unknown)} not in the maps, which hold {', '.join(present)}.")
        twice = sorted({n for n in names if names.count(n) > 1})
        faults.expect(not twice, f"{', '.join(twice)} is named twice.")
    return channel, names


def _check_options(names: list[str], colours: Any, limits: Any, percentile: Any) -> None:
    from matplotlib.colors import is_color_like, to_hex

    from ssbmaps.figures._scale import Wish

    with Faults(SUBJECT) as faults:
        if colours is not None:
            good = isinstance(colours, Sequence) and not isinstance(colours, str) and all(is_color_like(c) for c in colours)
            if faults.expect(good, f"colours={colours!r}; expected matplotlib colours such as ['#24DB92', 'orange']."):
                count = f"{len(colours)} colours for {len(names)} fragments"
                faults.expect(len(colours) == len(names), f"{count}; expected one for each.")
                faults.expect(len({to_hex(c) for c in colours}) == len(colours), f"{count}: two are the same colour.")
        good = limits is None or isinstance(limits, Mapping)
        if faults.expect(good, f"limits={limits!r}; expected {{'PO3-': (0, 8)}}: two values for each fragment."):
            strange = [str(k) for k in (limits or {}) if k not in names]
            faults.expect(not strange, f"limits for {', '.join(strange)}, which is not drawn; drawn are {', '.join(names)}.")
        for pair in (limits or {}).values() if good else ():
            try:
                Wish.checked("limits", percentile, pair, "linear", None)
            except SsbmapsError as error:
                faults.expect(False, str(error))


def _channels(
    maps: list[xr.DataArray],
    names: list[str],
    colours: Sequence[str] | None,
    percentile: tuple[float, float] | None,
    limits: Mapping[str, tuple[float, float]],
) -> list[Channel]:
    """Image, hue and scale of each map; what cannot be drawn of all of them in one letter."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    from ssbmaps.figures._composite_sheet import Channel
    from ssbmaps.figures._scale import Wish, number_colours
    from ssbmaps.figures._style import COMPOSITE_HUES

    hues = [to_rgb(c) for c in (colours or COMPOSITE_HUES[len(maps)])]
    channels = []
    with Faults(SUBJECT) as faults:
        for map_, name, hue in zip(maps, names, hues, strict=True):
            wish = Wish.checked(SUBJECT, percentile, limits.get(name), "linear", None)
            image = dense_map(map_, subject=f"{SUBJECT}: {name}")
            if not faults.expect(bool((~np.isnan(image)).any()), f"{name}: no pixel holds a value."):
                continue
            low, high = float(np.nanmin(image)), float(np.nanmax(image))
            if not faults.expect(low >= 0 or high > 0, f"{name}: no value above 0, and what is below has no brightness."):
                continue
            scaled = number_colours([np.maximum(image, 0)], wish, whole=map_.dtype.kind in "iub", subject=f"{SUBJECT}: {name}")
            assert scaled is not None
            ramp = LinearSegmentedColormap.from_list(f"black to {name}", [(0, 0, 0), hue])
            scaled = replace(scaled, cmap=ramp, notes=("values below 0 are black",) if low < 0 else ())
            channels.append(Channel(channel_title(map_), image, hue, scaled))
    return channels
