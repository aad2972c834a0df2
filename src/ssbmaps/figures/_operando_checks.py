"""`lithiation_figure` and `fluence_figure`: lithium in particles over time, and the primary ions that the area has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.figures._operando_read import ENDS, expect, times_of

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def lithiation_figure(result: xr.Dataset) -> Figure:
    """Draw the lithium signal of all particles together and its gradient from edge to core, over time.

    Parameters
    ----------
    result : Dataset
        From `ssbmaps.interfaces.lithiation`. A value without an interval is a dot without a bar.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type: the pooled signal, and below it the pooled gradient,
        above 0 where there is more in the core, with 95 % intervals.

    Raises
    ------
    SsbmapsError
        If `result` is not from `lithiation`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import figures, interfaces
    >>> y = x = (np.arange(60) + 0.5) * 0.1
    >>> depth = 2.5 - np.hypot(y[:, None] - 3, x - 3)
    >>> distance = xr.DataArray(-depth, {"y": y, "x": x}, ("y", "x"), attrs={"units": "um"})
    >>> counts = np.random.default_rng(0).poisson(np.where(depth > 0, 20 * (1 + 0.1 * depth), 1))
    >>> place = {"fragment": ["Li+"], "y": y, "x": x}
    >>> maps = xr.DataArray(counts[None], place, ("fragment", "y", "x"), attrs={"units": "counts"})
    >>> found = interfaces.lithiation(maps, distance, fragment="Li+", particles=(distance < 0).astype(int))
    >>> [axes.get_ylabel() for axes in figures.lithiation_figure(found).axes]
    ['counts per pixel', '% per µm']
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._operando_sheet import Panel, series_sheet

    names = [f"{n}{end}" for n in ("signal", "gradient") for end in ENDS]
    expect(result, [*names, "particle_signal"], "figures.lithiation_figure", "lithiation")
    signal, gradient = (np.stack([_along_time(result, f"{n}{end}")[None] for end in ENDS]) for n in ("signal", "gradient"))
    relative = str(result["signal"].attrs.get("units", "")) != "counts"
    panels = [
        Panel("lithium signal of the particles", signal, "ratio" if relative else "counts per pixel", marks=True),
        Panel("change from the edge inwards, of the mean signal", 100 * gradient, "% per µm", marks=True, zero=True),
    ]
    n = int(np.isfinite(result["particle_signal"].values).any(axis=_axis(result, "particle_signal")).sum())
    words = [f"bars: 95 % intervals, which hold the scatter of particles (n = {n})", str(result.attrs.get("wording", ""))]
    return finished(series_sheet(*times_of(result), panels, [""], "", None, words))


def fluence_figure(result: xr.Dataset) -> Figure:
    """Draw the primary-ion fluence that an area has seen, as a share of the static limit, and the depth removed where known.

    Parameters
    ----------
    result : Dataset
        From `ssbmaps.interfaces.check_fluence`. What cannot be known has no point, and the words say so.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type.

    Raises
    ------
    SsbmapsError
        If `result` is not from `check_fluence`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import figures, interfaces
    >>> series = xr.DataArray(np.ones(4), {"time": ("time", np.arange(4.0), {"units": "h"})}, "time")
    >>> fig = figures.fluence_figure(interfaces.check_fluence(series, primary_ion_fluence=2e11))
    >>> [axes.get_ylabel() for axes in fig.axes]
    ['% of the limit']
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._operando_sheet import Panel, series_sheet

    expect(result, ["cumulative_fluence", "limit_share", "statement"], "figures.fluence_figure", "check_fluence")
    share = 100 * _along_time(result, "limit_share")
    panels = [Panel("primary ions since the first analysis", _bare(share), "% of the limit", marks=True)]
    if "removed_depth" in result and np.isfinite(result["removed_depth"].values).any():
        removed = _along_time(result, "removed_depth")
        factor, unit = (1e3, "nm") if np.nanmax(removed) >= 1e-4 else (1e6, "pm")
        panels.append(Panel("material removed, by the stated yield", _bare(factor * removed), unit, marks=True, zero=True))
    return finished(series_sheet(*times_of(result), panels, [""], "", None, [str(result["statement"].values)]))


def _along_time(result: xr.Dataset, name: str) -> Floats:
    return np.atleast_1d(np.asarray(result[name].values, np.float64))


def _axis(result: xr.Dataset, name: str) -> tuple[int, ...]:
    """The axes of a variable other than that of the particles."""
    return tuple(i for i, d in enumerate(result[name].dims) if d != "particle")


def _bare(values: Floats) -> Floats:
    """(value | low | high, line, time) without intervals."""
    return np.stack([values, np.full_like(values, np.nan), np.full_like(values, np.nan)])[:, None]
