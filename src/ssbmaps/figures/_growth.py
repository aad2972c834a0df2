"""`growth_figure`: thickness against time, particle by particle and cell by cell, with the fitted law and its band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.interfaces._growth_data import read_entries

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from ssbmaps.interfaces._growth import Beside

SUBJECT = "figures.growth_figure"
NEEDED = ("curve", "curve_low", "curve_high", "cell_time", "cell_thickness", "cell_thickness_sd", "preferred", "statement")


def growth_figure(
    data: xr.DataArray | xr.Dataset,
    fit: xr.Dataset | Mapping[str, xr.Dataset],
    *,
    time: Beside,
    condition: Beside | None = None,
    upper_limit: Beside | None = None,
    law: str | None = None,
) -> Figure:
    """Draw thicknesses against time with the growth law fitted to them, its band, and the result in words.

    Parameters
    ----------
    data : DataArray or Dataset
        Thicknesses in um as they were given to `ssbmaps.interfaces.fit_growth`.
    fit : Dataset or mapping of str to Dataset
        What `fit_growth` returned; or one result per condition, by its name.
    time : str, DataArray or array_like
        Time of every entry, as for `fit_growth`.
    condition : str, DataArray or array_like, optional
        Condition of every entry, where `fit` is a mapping.
    upper_limit : str, DataArray or array_like, optional
        Upper limits, as for `fit_growth`; by default `upper_limit` of a Dataset.
    law : str, optional
        Which law to draw; by default the preferred one of each fit.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type. Pale dots are particles, circles the weighted means of
        cells with one standard error, triangles pointing down 95 % upper limits; the line is the law, the band its 95 %
        interval at each time. Marks of one time stand a little apart. Without an interval there is no band, without a curve
        no line.

    Raises
    ------
    SsbmapsError
        If `fit` is not from `fit_growth`, `law` or a condition is unknown, or `data` are no thicknesses.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import figures, interfaces
    >>> hours = np.repeat([10.0, 100.0, 200.0, 400.0], 20)
    >>> d = np.sqrt(4e-4 * hours) * np.random.default_rng(1).gamma(16, 1 / 16, 80)
    >>> data = xr.DataArray(d, {"hours": ("particle", hours, {"units": "h"})}, "particle", attrs={"units": "um"})
    >>> fit = interfaces.fit_growth(data, time="hours", group=np.repeat(np.arange(8), 10))
    >>> figures.growth_figure(data, fit, time="hours").axes[0].get_xlabel()
    'time (h)'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._growth_sheet import Series, growth_sheet

    entries = read_entries(
        data, time=time, sd=None, group=None, weight=None, upper_limit=upper_limit, condition=condition, subject=SUBJECT
    )
    fits: dict[str, Any] = {str(k): v for k, v in fit.items()} if isinstance(fit, Mapping) and _no_dataset(fit) else {"": fit}
    names = list(dict.fromkeys(entries.condition.tolist()))
    with Faults(SUBJECT) as faults:
        for name, one in fits.items():
            missing = [n for n in NEEDED if n not in getattr(one, "data_vars", ())]
            title = f"fit of {name}" if name else "fit"
            if faults.expect(not missing, f"{title}: {', '.join(missing)} missing; expected what interfaces.fit_growth returns."):
                known = [str(n) for n in one["law"].values]
                faults.expect(law is None or law in known, f"law={law!r}; expected one of {', '.join(known)}.")
        several = "" not in fits
        faults.expect(not several or condition is not None, "fit holds several conditions; name that of every entry: condition=.")
        unknown = [n for n in names if n not in fits] if several and condition is not None else []
        faults.expect(not unknown, f"condition {', '.join(unknown)} has no fit; there are {', '.join(fits)}.")
    series = []
    for name, one in fits.items():
        own = entries.of(name) if several else entries
        chosen = law or str(one["preferred"].values)
        row = one.sel(law=chosen) if chosen in one["law"].values else None
        measured = np.isfinite(own.thickness)
        limits = np.column_stack([own.time, own.limit])[~measured]
        series.append(Series(name, np.column_stack([own.time, own.thickness])[measured], limits, one, row, chosen))
    return finished(growth_sheet(series, entries.time_units))


def _no_dataset(fit: object) -> bool:
    import xarray as xr

    if isinstance(fit, xr.Dataset):
        return False
    if not fit:
        raise SsbmapsError(f"{SUBJECT}: fit is empty; expected what interfaces.fit_growth returned, by condition.")
    return True
