"""Share of a signal's change on charge that returns on discharge, and what stays and accumulates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical_order
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._operando_cycles import ends_of
from ssbmaps.interfaces._operando_fieller import NOTHING, shares
from ssbmaps.interfaces._operando_result import leading, per_time, times_of, with_errors
from ssbmaps.interfaces._operando_stays import LAWS, stays

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._operando_cycles import Ends
    from ssbmaps.interfaces._operando_fieller import Shares
    from ssbmaps.interfaces._operando_stays import Stays

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.reversibility"
CAUSE = "cause not identified"


def reversibility(
    series: xr.Dataset,
    *,
    state: str | xr.DataArray | Sequence[str] | None = None,
    boundaries: xr.DataArray | Sequence[float] | None = None,
    start: float | None = None,
) -> xr.Dataset:
    """Share of the change on charge that returns on discharge, cycle by cycle and pooled, and the law of what accumulates.

    With a, b, c the signal before a charge, after it, and after the discharge, the change is b − a, what returned of it b − c,
    and the share (b − c) / (b − a): 1 if all returns, 0 if nothing does, below 0 if the signal goes on changing.

    Parameters
    ----------
    series : xarray.Dataset
        From `ssbmaps.interfaces.time_series`: ``signal`` and ``signal_sd`` along time and any other dimensions.
    state : str, xarray.DataArray or sequence of str, optional
        State at every time, or the name of that coordinate: "discharged" and "charged" are used, all else lies between. Times
        of one state that follow one another are averaged.
    boundaries : xarray.DataArray or sequence of float, optional
        In place of `state`: the times at which half-cycles begin and end, discharged first. Each takes the nearest map, within
        half the usual step.
    start : float, optional
        Time at which accumulation began; by default the first discharged end.

    Returns
    -------
    xarray.Dataset
        Along the other dimensions of `series`: ``reversibility``, the share over all cycles together (sum of what returned
        over the sum of changes), and ``change``, the mean change of a cycle, with ``_sd``, ``_low``, ``_high`` (95 %);
        ``determined`` (0/1); ``dispersion`` of the cycles about the pooled share; ``n_cycles``; ``statement``. Along ``cycle``
        as well: ``cycle_change``, ``cycle_returned``, ``cycle_reversibility`` with errors. Where the change is not above its
        noise a share is NaN with an unbounded interval, -inf to inf. Along ``law``, "sqrt" and "linear" in time, from the
        discharged ends: ``accumulation`` by the last of them and ``initial``, the level at `start`, with errors; ``evidence``
        (sums to 1); ``likelihood_ratio`` against none. ``exponent``, of a power law with a free one, with errors; its interval
        ends at 0.05 or 3 where it is not bounded, and it is NaN where accumulation is not above noise. NaN with fewer than 3
        discharged ends.

    Raises
    ------
    SsbmapsError
        If `series` is not from `time_series`, neither or both of `state` and `boundaries` are given, no time is discharged, or
        a boundary was not measured.

    Notes
    -----
    Intervals of shares after Fieller [1]_, with the covariance of the ends that differences share. Scatter of the cycles about
    the pooled share beyond the stated errors multiplies the variances; the quantile is Student's with n_cycles − 1 degrees of
    freedom. A delay of the signal behind the voltage makes the change between the ends smaller. Accumulation: weighted least
    squares with the time functions of `fit_growth`, y0 + gain tⁿ, n = 1/2 and 1; evidence from the likelihood, as both have two
    parameters. A law that fits is no mechanism.

    References
    ----------
    .. [1] Fieller 1954, J. R. Stat. Soc. B 16, 175, doi 10.1111/j.2517-6161.1954.tb00159.x.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import reversibility
    >>> place = {"time": ("time", np.arange(5.0), {"units": "h"})}
    >>> signal = xr.Dataset({"signal": ("time", [4.0, 6.0, 4.5, 6.5, 5.0]), "signal_sd": ("time", [0.05] * 5)}, place)
    >>> found = reversibility(signal, boundaries=[0, 1, 2, 3, 4])
    >>> float(found.reversibility), bool(found.reversibility_low < 0.75 < found.reversibility_high)
    (0.75, True)
    """
    times, unit = _check(series)
    ends = ends_of(series, times, state, boundaries, subject=SUBJECT)
    dims = leading(series["signal"].dims)
    values, errors = (to_dense(series[n].transpose(*dims, "time").data).astype(np.float64) for n in ("signal", "signal_sd"))
    shape = values.shape[:-1]
    begin = float(times[ends.times[ends.rest[0]]].mean()) if start is None else float(start)
    since = np.array([times[ends.times[i]].mean() for i in ends.rest]) - begin
    if since.min() < 0:
        raise SsbmapsError(f"{SUBJECT}: start={start!r} lies after the first discharged end; expected a time before it.")
    rows = [_one(v, e, ends, since) for v, e in zip(values.reshape(-1, len(times)), errors.reshape(-1, len(times)), strict=True)]
    result = _as_dataset(rows, dims, shape, ends, unit, since, series)
    arguments = {"series": series, "state": state, "boundaries": boundaries, "start": start}
    result = finish(result, function=SUBJECT, arguments=arguments, sources=[series])
    result.attrs["wording"] = f"signal changes with charge and discharge; {CAUSE}"
    return result


def _check(series: Any) -> tuple[Floats, str]:
    missing = [n for n in ("signal", "signal_sd") if n not in getattr(series, "data_vars", ())]
    if missing:
        raise SsbmapsError(f"{SUBJECT}: {', '.join(missing)} missing; expected what interfaces.time_series returns.")
    found = times_of(series["signal"], subject=SUBJECT)
    with Faults(SUBJECT) as faults:
        same = set(series["signal"].dims) == set(series["signal_sd"].dims)
        faults.expect(same, f"signal_sd has dims {tuple(series['signal_sd'].dims)}; expected those of signal.")
        error = to_dense(series["signal_sd"].data)
        with np.errstate(invalid="ignore"):
            faults.expect(not bool((error <= 0).any()), "signal_sd of 0 or less; expected standard errors above 0.")
    return found


def _one(values: Floats, errors: Floats, ends: Ends, since: Floats) -> tuple[Shares | None, Stays | None]:
    """Shares and accumulation of one series; None where ends are missing."""
    mean, variance = ends.mean(values, errors**2)
    known = np.isfinite(mean) & np.isfinite(variance)
    whole = bool(ends.cycles) and all(known[i] for cycle in ends.cycles for i in cycle)
    rest = np.array(ends.rest)
    keep = known[rest]
    found = stays(since[keep], mean[rest][keep], variance[rest][keep]) if keep.any() else None
    return (shares(mean, variance, ends.cycles) if whole else None), found


def _as_dataset(
    rows: list[tuple[Shares | None, Stays | None]],
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    ends: Ends,
    unit: str,
    since: Floats,
    series: xr.Dataset,
) -> xr.Dataset:
    import xarray as xr

    n, laws = len(ends.cycles), list(LAWS)
    units = str(series["signal"].attrs.get("units", "arbitrary"))

    def stack(parts: list[Any], *more: int) -> Any:
        """(4, …, more) from one array (4, more) each."""
        return np.moveaxis(np.array(parts, np.float64).reshape(*shape, 4, *more), len(shape), 0)

    blank, none = np.full((4, n), np.nan), np.full((4, len(laws)), np.nan)
    no_share = np.broadcast_to(np.array(NOTHING)[:, None], (4, n))
    pooled = [np.array(NOTHING) if s is None else s.pooled_share for s, _ in rows]
    mean_change = [np.full(4, np.nan) if s is None else s.pooled_change / n for s, _ in rows]
    variables: dict[str, Any] = {}
    text = "share of the change on charge that returns on discharge"
    variables |= with_errors("reversibility", dims, stack(pooled), "1", f"{text}, all cycles")
    variables |= with_errors("change", dims, stack(mean_change), units, "mean change on charge")
    by_cycle = (*dims, "cycle")
    parts = {"change": "change on charge", "returned": "change that returned on discharge", "share": text}
    for name, words in parts.items():
        empty = no_share if name == "share" else blank
        values = stack([empty if s is None else getattr(s, name) for s, _ in rows], n)
        title = "reversibility" if name == "share" else name
        variables |= with_errors(f"cycle_{title}", by_cycle, values, "1" if name == "share" else units, words)
    by_law = (*dims, "law")
    for name, attribute, words in (
        ("accumulation", "gain", "signal gained by the last discharged end"),
        ("initial", "initial", "signal at the start"),
    ):
        values = stack([none if f is None else getattr(f, attribute).T for _, f in rows], len(laws))
        variables |= with_errors(name, by_law, values, units, words)
    for name, words in (
        ("evidence", "weight of the law from its likelihood"),
        ("likelihood_ratio", "2 ln(L1/L0) against no accumulation"),
    ):
        table = np.array([np.full(len(laws), np.nan) if f is None else getattr(f, name) for _, f in rows])
        variables[name] = (by_law, table.reshape(*shape, len(laws)), {"units": "1", "long_name": words})
    exponents = stack([np.full(4, np.nan) if f is None else f.exponent for _, f in rows])
    variables |= with_errors("exponent", dims, exponents, "1", "exponent of the time in a power law")
    known = [bool(np.isfinite(v[0])) for v in pooled]
    dispersion = [np.nan if s is None else s.dispersion for s, _ in rows]
    plain = {
        "determined": (np.array(known, np.int8), "1: the change is above its noise"),
        "dispersion": (np.array(dispersion), "scatter of the cycles about the pooled share over the stated errors"),
        "statement": (np.array([_said(s, f, unit, since) for s, f in rows], dtype=str), "the result in words"),
    }
    for name, (row, words) in plain.items():
        variables[name] = (dims, row.reshape(shape), {"units": "1", "long_name": words})
    variables["n_cycles"] = ((), np.int64(n), {"units": "1", "long_name": "whole cycles"})
    coords = {str(k): v for k, v in series.coords.items() if set(v.dims) <= set(dims)}
    result = xr.Dataset(variables, {**coords, "law": laws, "cycle": np.arange(1, n + 1)})
    return result.transpose(*canonical_order(result.dims))


def _said(share: Shares | None, gain: Stays | None, unit: str, since: Floats) -> str:
    """The result in words that cannot be misread."""
    if share is None:
        text = "Reversibility undetermined: no whole cycle was measured."
    elif not np.isfinite(share.pooled_share[0]):
        text = "Reversibility undetermined: the change on charge is not above noise; the interval is unbounded."
    else:
        value, _, low, high = share.pooled_share
        text = f"Signal changes with charge; {100 * value:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of the change returns on "
        text += f"discharge ({CAUSE})."
    if gain is None:
        return text
    best = int(gain.evidence.argmax())
    value, _, low, high = gain.gain[best]
    if low <= 0 <= high:
        return f"{text} No accumulation above noise."
    other = "" if gain.evidence.min() < 0.05 * gain.evidence.max() else "; square root and line are not told apart"
    law = "the square root of time" if list(LAWS)[best] == "sqrt" else "time"
    last = f"{since[-1]:.3g}{per_time(unit)}"
    verb = "gained" if value > 0 else "lost"
    return f"{text} Signal {verb} with {law} over {last}: {value:.3g} [{low:.3g}, {high:.3g}]{other}.".replace("-", "−")
