"""`damage_figure`: what grows and what falls with the dose, in one panel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.damage_figure"
NEEDED = ("suspected", "p_value", "statement", "total", "total_sd", "trend", "product", "precursor", "dose")


def damage_figure(result: xr.Dataset, *, rule: str | None = None, phase: str | None = None) -> Figure:
    """Draw a suspected product of beam damage and its precursor against the dose.

    Parameters
    ----------
    result : Dataset
        What `ssbmaps.interfaces.damage_suspicion` returned.
    rule : str, optional
        Which pair to draw, for example "LiF- from SO2F-". By default the one with the smallest p-value.
    phase : str, optional
        Which phase to draw; may be left out if there is one.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type. Points are counts over the mean of their own trend,
        with one standard error, so that both fit one axis; lines are the trends. The words below are those of the result.

    Raises
    ------
    SsbmapsError
        If `result` is not from `damage_suspicion`, the rule or phase is unknown or not named where it must be, or the pair
        has no counts to draw.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import figures, interfaces
    >>> k = np.arange(20)
    >>> mean = np.stack([2000 * (1 - 0.5 * np.exp(-k / 8)), 1500 * np.exp(-k / 12)], axis=1)
    >>> place = {"scan": k, "fragment": ["LiF-", "SO2F-"]}
    >>> series = xr.DataArray(np.random.default_rng(0).poisson(mean), place, ("scan", "fragment"), attrs={"units": "counts"})
    >>> figures.damage_figure(interfaces.damage_suspicion(series)).axes[0].get_xlabel()
    'number of the scan'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._damage_sheet import damage_sheet

    missing = [n for n in NEEDED if n not in getattr(result, "variables", ())]
    if missing:
        raise SsbmapsError(f"{SUBJECT}: {', '.join(missing)} missing; expected what interfaces.damage_suspicion returns.")
    one = _of_phase(result, phase)
    rules = [str(v) for v in one["rule"].values]
    if rule is not None and rule not in rules:
        raise SsbmapsError(f"{SUBJECT}: rule {rule!r} is not in the result, which holds {', '.join(rules)}.")
    p = np.nan_to_num(one["p_value"].values, nan=2.0)
    pair = one.isel(rule=rules.index(rule) if rule is not None else int(p.argmin()))
    rows = [pair.sel(fragment=str(pair[n].values)) for n in ("product", "precursor")]
    if not all(float(row["total"].sum()) > 0 for row in rows):
        raise SsbmapsError(f"{SUBJECT}: {pair['rule'].item()} cannot be drawn. {pair['statement'].item()}")
    return finished(damage_sheet(pair, rows, "" if phase is None else phase))


def _of_phase(result: xr.Dataset, phase: str | None) -> xr.Dataset:
    if "phase" not in result.dims:
        if phase is not None:
            raise SsbmapsError(f"{SUBJECT}: phase={phase!r}, but the result has no phases.")
        return result
    known = [str(v) for v in result["phase"].values]
    if phase is None and len(known) > 1:
        raise SsbmapsError(f"{SUBJECT}: there are {len(known)} phases; name one of {', '.join(known)} with phase=.")
    if phase is not None and phase not in known:
        raise SsbmapsError(f"{SUBJECT}: phase {phase!r} is not in the result, which holds {', '.join(known)}.")
    return result.isel(phase=known.index(phase) if phase is not None else 0)
