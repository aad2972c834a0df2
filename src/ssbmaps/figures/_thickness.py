"""`thickness_map_figure`: the apparent thickness of a shell along the outline of its core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssbmaps.figures._thickness_read import (
    MEASURED,
    OUTLINE,
    fragments_of,
    limit_words,
    one_shell,
    read_outline,
    summed_map,
    thickness_title,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.thickness_map_figure"


def thickness_map_figure(
    maps: xr.DataArray,
    result: xr.Dataset,
    *,
    shell: str | None = None,
    fragments: Sequence[str] | None = None,
    percentile: tuple[float, float] = (5.0, 95.0),
    limits: tuple[float, float] | None = None,
    cmap: str | None = None,
) -> Figure:
    """Draw the apparent thickness of a shell as the colour of its core's outline, over a grey map.

    The outline comes in pieces of about equal length. Each has the colour of its apparent thickness, and the colour fades with
    the piece's standard error s: its strength is 1 / (1 + (s/h)²), h being half of what the colours span. Pieces that are
    out of contact, or not measured, are a thin grey line. The foot says how much of the outline was measured, and how the
    scatter of the pieces compares with their standard errors: at 1, the colours show noise and no more.

    Parameters
    ----------
    maps : DataArray
        The map beneath, dims (y, x), or maps (…, fragment, y, x) out of which `fragments` are summed, as are scans; any unit;
        dense, sparse or dask; coordinates in um. Pixels that are NaN, or not `measured`, have a colour of their own, which
        the figure names.
    result : Dataset
        From `ssbmaps.interfaces.measure_interphase`. A thickness that is NaN is not measured; a shell that is not resolved
        has no colours, and the figure gives its upper limit.
    shell : str, optional
        Which shell, if there are several.
    fragments : sequence of str, optional
        Fragments to sum for the map beneath. None takes those of the core, which the history of the result names.
    percentile : tuple of float
        Lower and upper percentile of the pieces at which the colours end, stated on the bar. Pieces are weighted by their
        length and by 1 / (s² + m²), where m is the median standard error.
    limits : tuple of float, optional
        Lower and upper thickness in um at which the colours end; they replace `percentile`.
    cmap : str, optional
        A Crameri or matplotlib colour map. None is "batlow" without its palest fifth, which would be lost on white.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type; the colour bar is in nm.

    Raises
    ------
    SsbmapsError
        If `result` holds no outline, the shell is not named where there are several, the map has no coordinates in um, the
        outline leaves the map, or an option is out of range.

    References
    ----------
    Colours that fade with the error: Correll, Moritz and Heer, Proc. CHI 2018, 642, doi:10.1145/3173574.3174216.

    Examples
    --------
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> counts = xr.DataArray(np.ones((3, 4), int), dims=("y", "x"), attrs={"units": "counts"})
    >>> counts = counts.assign_coords(y=[0.5, 1.5, 2.5], x=[0.5, 1.5, 2.5, 3.5])
    >>> one = {"thickness": 0.2, "thickness_low": 0.1, "thickness_high": 0.3, "upper_limit": np.nan, "resolved": 1}
    >>> along = {"segment_length": [1.0, 1.0], "segment_particle": [1, 1]}
    >>> result = xr.Dataset(
    ...     {
    ...         **{name: ("shell", [value]) for name, value in (one | {"above_noise": 1, "statement": "200 nm"}).items()},
    ...         **{name: ("segment", value) for name, value in along.items()},
    ...         "segment_thickness": (("shell", "segment"), [[0.15, 0.25]]),
    ...         "segment_thickness_sd": (("shell", "segment"), [[0.02, 0.02]]),
    ...         "vertex_y": ("vertex", [1.0, 1.0, 1.0, 1.0]),
    ...         "vertex_x": ("vertex", [1.0, 1.5, 2.0, 2.5]),
    ...         "vertex_segment": ("vertex", [0, 0, 1, 1]),
    ...     },
    ...     coords={"shell": ["POx"]},
    ... )
    >>> fig = ssbmaps.figures.thickness_map_figure(counts, result)
    >>> fig.axes[0].get_title(loc="left")
    'apparent thickness of $\\\\mathrm{PO}_x$ (nm)'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._thickness_outline import Ground, ThicknessMap, thickness_colours
    from ssbmaps.figures._thickness_sheet import thickness_sheet

    one = one_shell(result, shell, needed=(*MEASURED, *OUTLINE), source="interfaces.measure_interphase", subject=SUBJECT)
    names = [fragments] if isinstance(fragments, str) else list(fragments or fragments_of(one)[0])
    outline = read_outline(one, subject=SUBJECT)
    ground = Ground.read(*summed_map(maps, names, subject=SUBJECT), outline, subject=SUBJECT)
    colours = thickness_colours(outline, percentile, limits, cmap, subject=SUBJECT)
    title = thickness_title(one, maps, result)
    return finished(thickness_sheet(ThicknessMap(ground, outline, colours, title, limit_words(one))))
