"""`layer_thickness_figure` and `void_figure`: a thickness or a void fraction over time, and its change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.figures._operando_read import ENDS, expect, times_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


def layer_thickness_figure(result: xr.Dataset) -> Figure:
    """Draw the thickness of a layer over time and its change since the first time, with 95 % intervals.

    Parameters
    ----------
    result : Dataset
        From `ssbmaps.interfaces.layer_thickness`. A thickness without an interval is a dot without a bar.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type, with the result in words at the foot.

    Raises
    ------
    SsbmapsError
        If `result` is not from `layer_thickness`.

    Examples
    --------
    >>> from ssbmaps import figures, interfaces, synthetic
    >>> stack = synthetic.stack_series(seed=3, thickness=(25.0, 18.0))
    >>> fig = figures.layer_thickness_figure(interfaces.layer_thickness(stack.counts, layer="C2H3O-"))
    >>> [axes.get_ylabel() for axes in fig.axes]
    ['µm', 'µm']
    """
    titles = ("thickness of the layer in this section", "change since the first time, column against column")
    return _figure(result, "thickness", titles, (1.0, "µm"), "figures.layer_thickness_figure")


def void_figure(result: xr.Dataset) -> Figure:
    """Draw the void fraction of a section over time and its change since the first time, with 95 % intervals.

    Parameters
    ----------
    result : Dataset
        From `ssbmaps.interfaces.void_fraction`. A fraction without an interval is a dot without a bar.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type, with the result in words at the foot.

    Raises
    ------
    SsbmapsError
        If `result` is not from `void_fraction`.

    Examples
    --------
    >>> from ssbmaps import figures, interfaces, synthetic
    >>> voids = synthetic.void_series(seed=1)
    >>> fig = figures.void_figure(interfaces.void_fraction(voids.labels))
    >>> [axes.get_ylabel() for axes in fig.axes]
    ['%', 'points']
    """
    titles = ("area fraction of voids, interval for the material", "change since the first time, same pixels")
    return _figure(result, "fraction", titles, (100.0, "%"), "figures.void_figure")


def _figure(result: xr.Dataset, name: str, titles: tuple[str, str], scale: tuple[float, str], subject: str) -> Figure:
    """Both panels of a result with `name` and `change` along time."""
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._operando_sheet import Panel, series_sheet

    needed = [f"{n}{end}" for n in (name, "change") for end in ENDS] + ["statement"]
    expect(result, needed, subject, "layer_thickness" if name == "thickness" else "void_fraction")
    factor, unit = scale
    tables = [np.stack([result[f"{n}{end}"].values[None] for end in ENDS]) * factor for n in (name, "change")]
    panels = [
        Panel(titles[0], tables[0], unit, marks=True),
        Panel(titles[1], tables[1], "points" if unit == "%" else unit, marks=True, zero=True),
    ]
    times, time_unit = times_of(result)
    words = ["bars: 95 % intervals", str(result["statement"].values[-1]), str(result.attrs.get("wording", ""))]
    return finished(series_sheet(times, time_unit, panels[: 2 if len(times) > 1 else 1], [""], "", None, words))
