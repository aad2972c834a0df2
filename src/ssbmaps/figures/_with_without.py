"""`comparison_figure`: results with and without the layer at an edge, each with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure

    from ssbmaps.figures._with_without_sheet import Row

SUBJECT = "figures.comparison_figure"
MOST = 12  # rows that one figure holds
NORMAL_95 = 1.959964


def comparison_figure(result: xr.Dataset, *, names: str | Sequence[str] | None = None) -> Figure:
    """Draw numbers with and without the layer at an edge, side by side with their intervals.

    Parameters
    ----------
    result : Dataset
        What `ssbmaps.interfaces.compare_with_and_without` returned.
    names : str or sequence of str, optional
        Which numbers to draw. By default all that have an error and are finite.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type: one row per number, each with its own axis. Dots are
        values with the layer (filled) and without (open), bars their 95 % intervals: those of the result where it has ends,
        else 1.96 standard errors. At the right stands the difference with its error; the two share data, so that the
        overlap of the bars says nothing.

    Raises
    ------
    SsbmapsError
        If `result` is not from `compare_with_and_without`, a name is unknown or has no error, or more than 12 rows result.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import figures, interfaces
    >>> place = {d: np.arange(n) * 0.5 + 0.25 for d, n in (("y", 40), ("x", 40))}
    >>> maps = xr.DataArray(np.full((40, 40), 4), place, ("y", "x"), attrs={"units": "counts"})
    >>> def level(m):
    ...     n = m.where(m.measured).count() if "measured" in m.coords else m.size
    ...     return xr.Dataset({"level": 4.0 + 0 * m.mean(), "level_sd": 2 / n**0.5 + 0 * m.mean()})
    >>> inner = interfaces.inner_region(interfaces.edge_distance(maps, edge="left"), margin=2.0)
    >>> fig = figures.comparison_figure(interfaces.compare_with_and_without(level, maps, where=inner))
    >>> fig.axes[0].get_title(loc="left")
    'level (counts)'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._with_without_sheet import comparison_sheet

    if "layer" not in getattr(result, "dims", ()) or "statement" not in result:
        raise SsbmapsError(f"{SUBJECT}: no dimension layer; expected what interfaces.compare_with_and_without returns.")
    known = [str(n).removesuffix("_difference_sd") for n in result.data_vars if str(n).endswith("_difference_sd")]
    asked = [names] if isinstance(names, str) else known if names is None else list(names)
    unknown = [n for n in asked if n not in known]
    if unknown or not asked:
        here = f"which holds {', '.join(known)}" if known else "which holds no number with an error"
        raise SsbmapsError(f"{SUBJECT}: {', '.join(unknown) or 'nothing'} to draw from the result, {here}.")
    rows = [row for name in asked for row in _rows(result, name) if names is not None or np.isfinite(row.value).all()]
    if not 0 < len(rows) <= MOST:
        raise SsbmapsError(f"{SUBJECT}: {len(rows)} rows to draw; expected 1 to {MOST}. Name some with names=, or select first.")
    return finished(comparison_sheet(rows, f"{result['share_kept'].item():.0%} of the data are kept without the layer"))


def _rows(result: xr.Dataset, name: str) -> list[Row]:
    """One row for each place of a number along its other dimensions."""
    from ssbmaps.figures._with_without_sheet import Row

    values = result[name].transpose("layer", ...)
    dims = values.dims[1:]
    sd = result[f"{name}_sd"].transpose("layer", *dims).values
    ends = [values.values - NORMAL_95 * sd, values.values + NORMAL_95 * sd]
    for i, suffix in enumerate(("_low", "_high")):
        if name + suffix in result and set(result[name + suffix].dims) == {"layer", *dims}:
            ends[i] = result[name + suffix].transpose("layer", *dims).values
    rows = []
    for index in np.ndindex(*values.shape[1:]):
        at = (slice(None), *index)
        place = [str(result[d].values[i]) if d in result.coords else f"{d} {i}" for d, i in zip(dims, index, strict=True)]
        difference, error, bound = (
            float(result[f"{name}_difference{s}"].transpose(*dims).values[index]) for s in ("", "_sd", "_bound")
        )
        units = str(result[name].attrs.get("units", "1"))
        rows.append(Row(name, place, units, values.values[at], ends[0][at], ends[1][at], difference, error, bool(bound)))
    return rows
