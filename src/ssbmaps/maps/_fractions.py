"""Phase fractions of a section, with intervals that know how far apart two pixels must lie to be independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._provenance import finish
from ssbmaps.maps._flags import read_flags

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SUBJECT = "maps.phase_fractions"
LEVEL = 0.95
FEWEST = 2.0  # independent parts; with fewer, the section says nothing about its own spread


def phase_fractions(labels: xr.DataArray) -> xr.Dataset:
    """Area fraction of each phase, with the interval for the material that the section is a window of.

    A million pixels of one particle are one observation. The spread of a fraction follows from its two-point covariance: how
    alike two pixels are at a distance, summed over all pairs of pixels in the section.

    Parameters
    ----------
    labels : xarray.DataArray
        Integers (y, x) with attributes ``flag_values`` and ``flag_meanings``, from `ssbmaps.maps.label_phases`.

    Returns
    -------
    xarray.Dataset
        Along ``phase``, the names in ``flag_meanings``: ``fraction`` of the measured pixels, its standard deviation
        ``fraction_sd`` and 95 % interval ``fraction_low``, ``fraction_high``; ``correlation_length`` (um), the side of the square
        that counts as one independent observation; ``n_independent``, how many of these the section holds;
        ``fields_for_10_percent``, how many sections of this size would bring the 95 % interval to ±10 % of the fraction.
        Where a phase is everywhere, or the section holds fewer than 2 independent observations of it, its spread is
        undetermined: NaN in all but ``fraction``. Where it is absent, only the interval is given, from 0 to what can be excluded
        if its regions are no larger than those of the coarsest phase that is there.

    Raises
    ------
    SsbmapsError
        If `labels` carries no flags or no pixel size, or holds values without a name.

    Notes
    -----
    The interval is about the mean of the material, taken as statistically uniform over many sections of its kind, not about this
    section, whose own area is known better. It contains neither errors of the labels nor, from one section, differences
    between cells or between places on an electrode.
    Var f = Σ W(r) C(r), with C the covariance of two pixels at lag r and W(r) the share of all pixel pairs at that lag. The
    estimated C is too low by Var f itself, since the fraction it is taken about is the section's own. With the sum ended at R,
    where the estimated C, averaged over directions, first crosses zero, Var f = Σ W C_est / (1 − Σ W). The integral range
    A = Var f · area / f(1 − f) (Lantuejoul 1991, doi:10.1111/j.1365-2818.1991.tb03099.x; Kanit et al. 2003,
    doi:10.1016/S0020-7683(03)00143-4) is the area of one independent observation. The interval is Student's with one
    degree of freedom less than independent observations, on the scale of log f/(1 − f), so that it stays within 0 and 1. For an
    absent phase it ends where none in n independent observations has a probability of 5 %: at 1 − 0.05^(1/n), with n the
    lowest ``n_independent`` of the other phases. The interval is too wide where regions keep apart from one another, as packed
    particles do: the covariance is then negative beyond its first zero. It is too narrow, at its upper end, where the section
    shows no more than a sliver or two of a rare phase, which say little of the size of its regions.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.maps import phase_fractions
    >>> y, x = ((np.arange(n) + 0.5) * 0.1 for n in (100, 150))
    >>> centres = np.random.default_rng(0).uniform(0, (10, 15), (40, 2))
    >>> inside = (np.hypot(y[:, None] - centres[:, 0, None, None], x - centres[:, 1, None, None]) < 0.6).any(axis=0)
    >>> flags = {"flag_values": np.array([0, 1], "int16"), "flag_meanings": "unassigned NMC"}
    >>> labels = xr.DataArray(inside.astype("int16"), {"y": y, "x": x}, ("y", "x"), attrs=flags)
    >>> nmc = phase_fractions(labels).sel(phase="NMC")
    >>> print(f"{float(nmc.fraction):.2f} [{float(nmc.fraction_low):.2f}, {float(nmc.fraction_high):.2f}]")
    0.25 [0.18, 0.33]
    """
    import xarray as xr

    flags = read_flags(labels, subject=SUBJECT)
    rows = np.array([fraction_row(flags.mask(name, subject=SUBJECT), flags.measured, flags.pixel) for name in flags.names])
    rows[rows[:, 0] == 0, 2:4] = _absent(rows)
    described = {
        "fraction": ("1", "area fraction"),
        "fraction_sd": ("1", "standard deviation of the area fraction"),
        "fraction_low": ("1", "lower end of the 95 % interval"),
        "fraction_high": ("1", "upper end of the 95 % interval"),
        "correlation_length": ("um", "side of the square that counts as one observation"),
        "n_independent": ("1", "independent observations in the section"),
        "fields_for_10_percent": ("1", "sections of this size for an interval of 10 % to both sides"),
    }
    columns = zip(described.items(), rows.T, strict=True)
    variables = {name: ("phase", column, {"units": unit, "long_name": text}) for (name, (unit, text)), column in columns}
    result = xr.Dataset(variables, {"phase": ("phase", flags.names)})
    return finish(result, function=SUBJECT, arguments={"labels": labels}, sources=[labels])


def fraction_row(inside: Bools, measured: Bools, pixel: tuple[float, float]) -> tuple[float, ...]:
    """Fraction, sd, low, high, correlation length, independent observations, fields for ±10 %."""
    from scipy.stats import norm, t

    n = int(measured.sum())
    fraction = float(inside.sum()) / n
    if not 0 < fraction < 1:
        return (fraction, *[np.nan] * 6)
    spread = fraction * (1 - fraction)
    variance = mean_variance(inside, measured, pixel)
    independent = spread / variance if variance > 0 else np.nan
    if not independent >= FEWEST:
        return (fraction, *[np.nan] * 6)
    sd = float(np.sqrt(variance))
    half = float(t.ppf((1 + LEVEL) / 2, independent - 1)) * sd / spread
    odds = np.log(fraction / (1 - fraction))
    low, high = (1 / (1 + np.exp(-(odds + side * half))) for side in (-1, 1))
    fields = np.ceil((norm.ppf((1 + LEVEL) / 2) * sd / (0.1 * fraction)) ** 2)
    return fraction, sd, low, high, float(np.sqrt(n * pixel[0] * pixel[1] / independent)), independent, float(fields)


def _absent(rows: Floats) -> tuple[float, float]:
    """Interval of a phase without a pixel, from the `rows` of those that have some."""
    there = rows[(rows[:, 0] > 0) & (rows[:, 0] < 1)]
    n = float(there[:, 5].min()) if len(there) else np.nan
    return (0.0, 1 - (1 - LEVEL) ** (1 / n)) if n >= FEWEST else (np.nan, np.nan)


def mean_variance(inside: Bools, measured: Bools, pixel: tuple[float, float]) -> float:
    """Variance of the mean of `inside` over `measured`, from the covariance at lags up to where it first crosses zero.

    NaN where it does not cross zero within the section, or where pairs at these lags are most of all pairs.
    """
    covariance, pairs, lag = _two_point(inside, measured, pixel)
    reach = _first_zero(covariance, pairs, lag, max(pixel))
    near = lag <= reach
    weight = pairs / pairs.sum()
    remaining = 1 - float(weight[near].sum())
    if not np.isfinite(reach) or remaining < 0.5:
        return float("nan")
    floor = float(weight.max()) * float(covariance.flat[0])  # of independent pixels
    return max(float((weight * covariance)[near].sum()) / remaining, floor)


def _two_point(inside: Bools, measured: Bools, pixel: tuple[float, float]) -> tuple[Floats, Floats, Floats]:
    """Covariance about the section's own mean, number of pairs, and length (um) of each lag; lag 0 first (FFT order)."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    shape = [next_fast_len(2 * n - 1, real=True) for n in measured.shape]
    excess = np.where(measured, inside - inside[measured].mean(), 0.0)
    products, pairs = (irfft2(np.abs(rfft2(field, shape)) ** 2, shape) for field in (excess, measured.astype(float)))
    pairs = np.rint(pairs)
    covariance = np.where(pairs > 0, products / np.maximum(pairs, 1), 0.0)
    index = [np.minimum(np.arange(n), n - np.arange(n)) for n in shape]
    lag = np.hypot(index[0][:, None] * pixel[0], index[1] * pixel[1])
    return covariance, pairs, lag


def _first_zero(covariance: Floats, pairs: Floats, lag: Floats, step: float) -> float:
    """Shortest lag at which the covariance, averaged over directions, is no longer positive; NaN if there is none."""
    ring = np.floor(lag / step + 0.5).astype(np.int64).ravel()
    total, weight = np.bincount(ring, (covariance * pairs).ravel()), np.bincount(ring, pairs.ravel())
    below = np.flatnonzero((total <= 0) & (weight > 0))
    return float((below[0] - 0.5) * step) if below.size else float("nan")
