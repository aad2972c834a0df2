"""Delay of a signal behind voltage or capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import axis_values, canonical_order, generator
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._lag_fit import Found, Series, fit_lag
from ssbmaps.interfaces._operando_result import leading, per_time, times_of, with_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.lag"
SIGNS = {"any": 0, "+": 1, "-": -1}
ALPHA = 0.01
MOST_DRIFT = 4
ALIKE = 0.5  # correlation of a record with itself from which it counts as periodic
EVEN = 2048  # points on which the record is searched for its period


def lag(
    series: xr.Dataset,
    against: xr.DataArray,
    *,
    within: Sequence[float] | None = None,
    sign: str = "any",
    drift: int = 2,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Delay of every signal behind voltage or capacity, with an interval that knows of drift and of noise that is correlated.

    The signal is modelled as a drift plus amplitude × the record, lag earlier: above 0 the signal comes after the record.

    Parameters
    ----------
    series : xarray.Dataset
        From `ssbmaps.interfaces.time_series`: ``signal`` and ``signal_sd`` along time, irregular or not, and other dimensions.
    against : xarray.DataArray
        Voltage or capacity along one dimension whose coordinate is the time, in the unit and with the zero of the series' own.
        It should begin before the first map and end after the last: times whose record is not known for every lag that is
        tried are left out. Between its points it is taken as straight.
    within : (float, float), optional
        Lowest and highest lag to try. By default ± a quarter of the record's period (half of it with a stated `sign`), or ± a
        quarter of the series where the record has none.
    sign : {"any", "+", "-"}
        Whether the signal rises with the record, falls, or either.
    drift : int
        Degree of the polynomial in time that is free, 0 to 4: baseline, accumulation, wear.
    rng : int or numpy.random.Generator, optional
        For the p-values; None means 0.

    Returns
    -------
    xarray.Dataset
        Along the other dimensions of `series`: ``lag`` in the unit of its time and ``amplitude`` (units of the signal per unit
        of the record), each with ``_sd``, ``_low``, ``_high`` (95 %); ``determined`` (0/1); ``p_value``;
        ``likelihood_ratio`` (2 ln L1/L0) against no correlation; ``noise_share``, the share of the noise that is correlated, and
        ``noise_time``; ``n_used`` times; ``statement``. Scalar ``period`` of the record, NaN where it has none. Without
        correlation (p above 0.01) `lag` is NaN and its interval unbounded; an end outside the range that was tried is infinite.

    Raises
    ------
    SsbmapsError
        If `series` is not from `time_series`, `against` is no record in time or its unit differs, or an option is unknown.

    Notes
    -----
    For each lag on a grid of 401 the drift and the amplitude are fitted by generalised least squares; the noise's covariance is a
    mixture of independent errors, in proportion to the stated ones, and of exp(−|Δt|/T), the autoregression of first order at
    irregular times. Its size, mixture and T are those of highest restricted likelihood [1]_, anew for each lag. The interval
    holds the lags whose profile likelihood is within the quantile of Student's t. p-values: as good a fit of noise of the
    same covariance at any lag tried, 999 draws. With a periodic record, lag and lag + period fit alike; where charge and
    discharge mirror each other, so do lag + half a period and the other sign. Noise whose covariance is of another kind,
    and a response that is no delayed copy of the record, are in no interval.

    References
    ----------
    .. [1] Patterson and Thompson 1971, Biometrika 58, 545, doi 10.1093/biomet/58.3.545.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import lag
    >>> record = xr.DataArray(np.sin(np.arange(-60, 261) / 10), {"time": np.arange(-60, 261) / 10}, ("time",))
    >>> t = np.arange(40) / 2
    >>> noise = 0.05 * np.random.default_rng(0).standard_normal(40)
    >>> values = {"signal": ("time", 3 + np.sin(t - 0.4) + noise), "signal_sd": ("time", np.full(40, 0.05))}
    >>> signal = xr.Dataset(values, {"time": t})
    >>> found = lag(signal, record)
    >>> bool(found.lag_low < 0.4 < found.lag_high), round(float(found.period), 1)
    (True, 6.3)
    """
    times, unit = _check(series, sign, drift)
    at, record = _record(against, unit)
    draws, seed = generator(rng)
    period = _period(at, record)
    limits = _range(within, period, sign, times)
    dims = leading(series["signal"].dims)
    values, errors = (to_dense(series[n].transpose(*dims, "time").data).astype(np.float64) for n in ("signal", "signal_sd"))
    shape = values.shape[:-1]
    flat = zip(values.reshape(-1, len(times)), errors.reshape(-1, len(times)), strict=True)
    rows = [fit_lag(Series(times, v, e**2, at, record), limits, SIGNS[sign], drift, draws) for v, e in flat]
    units = f"{series['signal'].attrs.get('units', 'arbitrary')}/({against.attrs.get('units', '1')})"
    result = _as_dataset(rows, dims, shape, (unit, units), period, series)
    arguments = {"series": series, "against": against, "within": within, "sign": sign, "drift": drift, "rng": seed}
    result = finish(result, function=SUBJECT, arguments=arguments, sources=[series])
    result.attrs["wording"] = "signal follows the record with a delay; cause not identified"
    return result


def _check(series: Any, sign: object, drift: object) -> tuple[Floats, str]:
    missing = [n for n in ("signal", "signal_sd") if n not in getattr(series, "data_vars", ())]
    if missing:
        raise SsbmapsError(f"{SUBJECT}: {', '.join(missing)} missing; expected what interfaces.time_series returns.")
    with Faults(SUBJECT) as faults:
        faults.expect(sign in SIGNS, f"sign={sign!r}; expected one of {', '.join(SIGNS)}.")
        whole = isinstance(drift, (int, np.integer)) and not isinstance(drift, bool) and bool(0 <= drift <= MOST_DRIFT)
        faults.expect(whole, f"drift={drift!r}; expected a whole number from 0 to {MOST_DRIFT}.")
        with np.errstate(invalid="ignore"):
            bad = bool((to_dense(series["signal_sd"].data) <= 0).any())
        faults.expect(not bad, "signal_sd of 0 or less; expected standard errors above 0.")
    return times_of(series["signal"], subject=SUBJECT)


def _record(against: Any, unit: str) -> tuple[Floats, Floats]:
    """Times and values of the record, NaN left out."""
    if getattr(against, "ndim", None) != 1:
        got = f"dims {tuple(against.dims)}" if hasattr(against, "dims") else type(against).__name__
        raise SsbmapsError(f"{SUBJECT}: against is {got}; expected a DataArray along one dimension whose coordinate is the time.")
    dim = str(against.dims[0])
    at = axis_values(against, dim, subject=f"{SUBJECT}: against")
    values = np.asarray(to_dense(against.data), np.float64)
    known = np.isfinite(values)
    with Faults(SUBJECT) as faults:
        own = str(against.coords[dim].attrs.get("units", unit))
        faults.expect(unit in ("1", own), f"the time of against is in {own!r}, that of the series in {unit!r}; convert one.")
        enough = faults.expect(int(known.sum()) >= 2, f"against has {int(known.sum())} finite values; expected at least 2.")
        faults.expect(not enough or bool(np.ptp(values[known]) > 0), "against does not change; a delay behind it has no meaning.")
    return at[known], values[known]


def _period(at: Floats, record: Floats) -> float:
    """First time at which the record is like itself again; NaN where it never is."""
    even = np.interp(np.linspace(at[0], at[-1], EVEN), at, record)
    even = even - np.polynomial.Polynomial.fit(np.arange(EVEN), even, 1)(np.arange(EVEN))
    power = np.abs(np.fft.rfft(even, 2 * EVEN)) ** 2
    alike = np.fft.irfft(power)[:EVEN] / np.arange(EVEN, 0, -1)
    half = alike[: EVEN // 2 + 1] / max(float(alike[0]), 1e-300)
    below = np.flatnonzero(half < 0)
    if not below.size:
        return float("nan")
    top = int(below[0] + half[below[0] :].argmax())
    peaks = np.flatnonzero((half[1:-1] >= half[:-2]) & (half[1:-1] > half[2:])) + 1
    peaks = peaks[(peaks > below[0]) & (half[peaks] > max(ALIKE, 0.9 * half[top]))]
    return float(peaks[0] * (at[-1] - at[0]) / (EVEN - 1)) if peaks.size else float("nan")


def _range(within: Any, period: float, sign: str, times: Floats) -> tuple[float, float]:
    if within is None:
        reach = float(np.ptp(times)) / 4 if not np.isfinite(period) else period / (4 if sign == "any" else 2)
        if not reach > 0:
            raise SsbmapsError(f"{SUBJECT}: the series has one time only; a delay needs several.")
        return -reach, reach
    ends = np.asarray(within, np.float64).ravel()
    if ends.shape != (2,) or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise SsbmapsError(f"{SUBJECT}: within={within!r}; expected (lowest, highest) lag.")
    return float(ends[0]), float(ends[1])


def _as_dataset(
    rows: list[Found | None],
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    units: tuple[str, str],
    period: float,
    series: xr.Dataset,
) -> xr.Dataset:
    import xarray as xr

    def stack(parts: list[Any]) -> Any:
        return np.moveaxis(np.array(parts, np.float64).reshape(*shape, 4), -1, 0)

    nothing = np.array([np.nan, np.nan, -np.inf, np.inf])
    sure = [f is not None and f.p_value <= ALPHA for f in rows]
    lags = [f.lag if f is not None and ok else nothing for f, ok in zip(rows, sure, strict=True)]
    amplitudes = [f.amplitude if f is not None and ok else np.full(4, np.nan) for f, ok in zip(rows, sure, strict=True)]
    variables = with_errors("lag", dims, stack(lags), units[0], "delay of the signal behind the record")
    variables |= with_errors("amplitude", dims, stack(amplitudes), units[1], "change of the signal per unit of the record")
    plain = {
        "p_value": ("p_value", "1", "chance of as good a fit by noise, at any lag tried"),
        "likelihood_ratio": ("likelihood_ratio", "1", "2 ln(L1/L0) against no correlation"),
        "noise_share": ("correlation", "1", "share of the noise that is correlated in time"),
        "noise_time": ("correlation_time", units[0], "time over which it is"),
    }
    for name, (attribute, unit, words) in plain.items():
        row = np.array([np.nan if f is None else getattr(f, attribute) for f in rows])
        variables[name] = (dims, row.reshape(shape), {"units": unit, "long_name": words})
    whole: dict[str, tuple[NDArray[Any], str]] = {
        "determined": (np.array(sure, np.int8), "1: correlated with the record beyond noise"),
        "n_used": (np.array([0 if f is None else f.n_used for f in rows], np.int64), "times used"),
        "statement": (
            np.array([_said(f, ok, units[0], period) for f, ok in zip(rows, sure, strict=True)], dtype=str),
            "the result in words",
        ),
    }
    for name, (row, words) in whole.items():
        variables[name] = (dims, row.reshape(shape), {"units": "1", "long_name": words})
    variables["period"] = ((), period, {"units": units[0], "long_name": "period of the record"})
    coords = {str(k): v for k, v in series.coords.items() if set(v.dims) <= set(dims)}
    result = xr.Dataset(variables, coords)
    return result.transpose(*canonical_order(result.dims))


def _said(found: Found | None, sure: bool, unit: str, period: float) -> str:
    if found is None:
        return "Lag undetermined: too few times at which the record is known for every lag, or a signal that does not change."
    if not sure:
        return f"Lag undetermined: no correlation with the record beyond noise (p = {found.p_value:.2g})."
    value, _, low, high = found.lag
    ends = f"[{low:.3g}, {high:.3g}]".replace("inf", "∞")
    text = f"Signal follows the record {value:.3g} {ends}{per_time(unit)} later (cause not identified)."
    if not np.isfinite(high - low):
        text += " Not bounded within the lags tried."
    if found.pieces > 1:
        text += f" {found.pieces} separate ranges of lags fit alike; the interval spans them."
    if np.isfinite(period):
        text += f" A lag longer or shorter by the period, {period:.3g}{per_time(unit)}, fits alike."
    return text.replace("-", "−")
