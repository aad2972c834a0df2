"""`lateral_layer_figure`: the signal against the distance to an edge, beside the map with the edge and the inner region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, channel_dim, check_array, dense_map, fragment_index, same_grid
from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.lateral_layer_figure"
NEEDED = ("detected", "inner_distance", "profile", "profile_sd", "model", "inner_model", "statement", "distance_low")


def lateral_layer_figure(
    result: xr.Dataset,
    maps: xr.DataArray,
    distance: xr.DataArray,
    *,
    fragment: str | None = None,
    phase: str | None = None,
) -> Figure:
    """Draw the signal against the distance to an edge with the fitted layer, beside the map of it.

    Parameters
    ----------
    result : Dataset
        What `ssbmaps.interfaces.detect_lateral_layer` returned.
    maps : DataArray
        The maps it was given; scans are summed.
    distance : DataArray
        The distance (y, x) it was given.
    fragment : str, optional
        Which fragment to draw; may be left out if there is one.
    phase : str, optional
        Which phase to draw; may be left out if there is one.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type. Points are means of distance bins with one standard
        error, common variation included; the line is the fitted layer, the dashed one the inner level. The dotted line is
        the inner distance, the band its 95 % interval, both only where a layer is detected. On the map the solid line is the
        edge, where it crosses the map, and the dashed one the inner distance. The words below are those of the result.

    Raises
    ------
    SsbmapsError
        If `result` is not from `detect_lateral_layer`, or a fragment or phase is unknown or not named where there are several.
    GridMismatchError
        If `distance` lies on other pixels than the maps.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import figures, interfaces
    >>> place = {d: np.arange(n) * 0.5 + 0.25 for d, n in (("y", 64), ("x", 64))}
    >>> mean = 4 * (1 + 0.8 * np.exp(-place["x"] / 2.0)) * np.ones((64, 1))
    >>> maps = xr.DataArray(np.random.default_rng(0).poisson(mean), place, ("y", "x"), attrs={"units": "counts"})
    >>> distance = interfaces.edge_distance(maps, edge="left")
    >>> found = interfaces.detect_lateral_layer(maps, distance)
    >>> figures.lateral_layer_figure(found, maps, distance).axes[1].get_xlabel()
    'distance to the edge (µm)'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._contours import read_contours
    from ssbmaps.figures._grid import read_grid
    from ssbmaps.figures._labels import quantity_label
    from ssbmaps.figures._lateral_sheet import Sheet, lateral_sheet
    from ssbmaps.figures._scale import Wish, number_colours

    missing = [n for n in NEEDED if n not in getattr(result, "variables", ())]
    if missing:
        raise SsbmapsError(f"{SUBJECT}: {', '.join(missing)} missing; expected what interfaces.detect_lateral_layer returns.")
    check_array(maps, subject=SUBJECT, dims=("y", "x"))
    check_array(distance, subject=f"{SUBJECT}: distance", dims=("y", "x"))
    same_grid(maps, distance, subject=SUBJECT)
    one, title = _row(result, fragment, phase)
    image = _image(maps, fragment or title[0])
    grid = read_grid(maps, subject=SUBJECT)
    colours = number_colours(
        [dense_map(image, subject=SUBJECT)], Wish((0.5, 99.5), None, False, None), whole=False, subject=SUBJECT
    )
    away = to_dense(canonical(distance).data).astype(float)
    inner = float(one["inner_distance"])
    levels = [v for v in (0.0, inner) if np.nanmin(away) <= v <= np.nanmax(away)]
    lines = read_contours(distance, levels, image, grid, subject=SUBJECT) if levels else None
    sheet = Sheet(one, title, quantity_label(maps), dense_map(image, subject=SUBJECT), colours, grid, lines, levels)
    return finished(lateral_sheet(sheet))


def _row(result: xr.Dataset, fragment: str | None, phase: str | None) -> tuple[xr.Dataset, tuple[str, str]]:
    """The result of one fragment and phase, and their names."""
    one, names = result, []
    channel = next((str(d) for d in result["detected"].dims if d != "phase"), None)
    for dim, asked, word in ((channel, fragment, "fragment"), ("phase", phase, "phase")):
        if dim is None or dim not in result.dims:
            if asked is not None:
                raise SsbmapsError(f"{SUBJECT}: {word}={asked!r}, but the result has no {word}s.")
            names.append("")
            continue
        known = [str(v) for v in result[dim].values]
        if asked is None and len(known) > 1:
            raise SsbmapsError(f"{SUBJECT}: there are {len(known)} {word}s; name one of {', '.join(known)} with {word}=.")
        if asked is not None and asked not in known:
            raise SsbmapsError(f"{SUBJECT}: {word} {asked!r} is not in the result, which holds {', '.join(known)}.")
        index = known.index(asked) if asked is not None else 0
        one = one.isel({dim: index})
        names.append(known[index])
    return one, (names[0], names[1])


def _image(maps: xr.DataArray, fragment: str) -> xr.DataArray:
    """The map (y, x) of one fragment, scans summed."""
    ordered = canonical(maps)
    dim = channel_dim(ordered, subject=SUBJECT)
    if dim is not None:
        named = dim in ordered.coords
        index = fragment_index(ordered, fragment, subject=SUBJECT)[0] if named else int(fragment or 0)
        ordered = ordered.isel({dim: index})
    summed = ordered.sum([d for d in ordered.dims if d not in ("y", "x")], keep_attrs=True)
    return summed.assign_coords({c: ordered.coords[c] for c in ("measured",) if c in ordered.coords})
