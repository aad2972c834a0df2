"""`time_series_figure`: signals of regions over time with their bands, and the voltage under them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, channel_dim
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.figures._labels import ion_label, quantity_label, unit_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.time_series_figure"
NEEDED = ("signal", "signal_low", "signal_high")


def time_series_figure(
    series: xr.Dataset,
    *,
    fragments: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    voltage: str | xr.DataArray | None = None,
    findings: xr.Dataset | None = None,
    relative: bool = False,
) -> Figure:
    """Draw the signal of every fragment over time, one panel per fragment, one line per region, with the voltage below.

    Parameters
    ----------
    series : Dataset
        From `ssbmaps.interfaces.time_series`.
    fragments, regions : sequence of str, optional
        What is drawn, in this order; all by default.
    voltage : str or DataArray, optional
        Drawn in a panel of its own: the name of a coordinate along time, or a record along one dimension whose coordinate is
        the time, of which the part within the series is drawn.
    findings : Dataset, optional
        From `ssbmaps.interfaces.reversibility` or `lag`: its statements are printed at the foot.
    relative : bool
        Divide each line and its band by its mean over time, to compare shapes; the axis says so. A line of zeros stays.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type. A time without a value interrupts its line.

    Raises
    ------
    SsbmapsError
        If `series` is not from `time_series`, a fragment, region or coordinate is unknown, or `findings` hold no statement.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import figures
    >>> place = {"time": ("time", [0.0, 1.0, 2.0], {"units": "h"}), "region": ["NCA"]}
    >>> values = {n: (("region", "time"), [v]) for n, v in (("signal", [4, 6, 4.5]), ("signal_low", [3.5, 5.5, 4]))}
    >>> series = xr.Dataset({**values, "signal_high": (("region", "time"), [[4.5, 6.5, 5]])}, place)
    >>> figures.time_series_figure(series).axes[-1].get_xlabel()
    'time (h)'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._operando_sheet import Panel, series_sheet

    missing = [n for n in NEEDED if n not in getattr(series, "data_vars", ())]
    if missing:
        raise SsbmapsError(f"{SUBJECT}: {', '.join(missing)} missing; expected what interfaces.time_series returns.")
    dim = channel_dim(series["signal"], subject=SUBJECT)
    picked = series
    with Faults(SUBJECT) as faults:
        for name, wanted in ((dim, fragments), ("region", regions)):
            if wanted is None:
                continue
            known = [str(v) for v in series[name].values] if name in series.dims else []
            unknown = [w for w in wanted if w not in known]
            text = f"{name} {', '.join(unknown) or '(none)'} is not in the series, which holds {', '.join(known) or 'none'}."
            if faults.expect(not unknown and len(wanted) > 0, text):
                picked = picked.sel({name: list(wanted)})
        statements = None if findings is None else findings.get("statement")
        said = findings is None or statements is not None
        faults.expect(said, "findings hold no statement; expected those of reversibility or lag.")
    names = [str(v) for v in picked["region"].values] if "region" in picked.dims else [""]
    channels = [str(v) for v in picked[dim].values] if dim else [""]
    panels = []
    for channel in channels:
        one = picked.sel({dim: channel}) if dim else picked
        rows = [to_dense(canonical(one[n].transpose(..., "time")).data).astype(float) for n in NEEDED]
        table = np.stack([np.atleast_2d(r.T if one[NEEDED[0]].dims[0] == "time" and r.ndim == 2 else r) for r in rows])
        if relative:
            mean = np.nanmean(table[0], axis=1)
            table = table / np.where(mean == 0, 1.0, mean)[:, None]
        from_zero = not relative and bool(np.nanmin(table, initial=0.0) >= 0)
        panels.append(Panel(ion_label(channel), table, from_zero=from_zero))
    words = [str(picked.attrs.get("wording", "")) or "cause of changes not identified", "bands: 95 %"]
    words += _statements(statements, dim, names, channels)
    quantity = "relative to its mean" if relative else quantity_label(picked["signal"].assign_attrs(long_name="signal"))
    record = _voltage(series, voltage)
    unit = unit_label(str(series["time"].attrs.get("units", "1")))
    return finished(series_sheet(np.asarray(series["time"].values, float), unit, panels, names, quantity, record, words))


def _statements(found: xr.DataArray | None, dim: str | None, names: list[str], channels: list[str]) -> list[str]:
    """The statements of what is drawn, each after its region and fragment."""
    if found is None:
        return []
    texts = []
    for name in names:
        for channel in channels:
            where = {d: v for d, v in (("region", name), (dim, channel)) if d in found.dims and v in found[d].values}
            said = str(found.sel(where).values) if found.sel(where).ndim == 0 else ""
            if said:
                texts.append(f"{', '.join(v for v in (name, ion_label(channel)) if v)}: {said}")
    return texts


def _voltage(series: xr.Dataset, given: str | xr.DataArray | None) -> tuple[object, object, str] | None:
    """Times and values of what stands below, within the series, and its axis' name."""
    if given is None:
        return None
    if isinstance(given, str):
        if given not in series.coords or series[given].dims != ("time",):
            known = ", ".join(str(k) for k, v in series.coords.items() if v.dims == ("time",))
            raise SsbmapsError(f"{SUBJECT}: voltage={given!r} is no coordinate along time; there are {known}.")
        given = series[given]
    if getattr(given, "ndim", None) != 1 or given.dims[0] not in given.coords:
        raise SsbmapsError(f"{SUBJECT}: voltage is no series along one dimension with its times as coordinate.")
    at, values = np.asarray(given.coords[given.dims[0]].values, float), to_dense(given.data).astype(float)
    first, last = (float(v) for v in (series["time"].values[0], series["time"].values[-1]))
    inside = (at >= first) & (at <= last)
    unit = unit_label(str(given.attrs.get("units", "1")))
    name = str(given.attrs.get("long_name") or given.name or "record")
    return at[inside], values[inside], f"{name} ({unit})" if unit else name
