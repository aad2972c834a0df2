"""The law by which an interphase grows, from the thickness of many particles, cells and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import generator
from ssbmaps._errors import SsbmapsError
from ssbmaps.interfaces._growth_data import cells_of, check_cells, read_entries
from ssbmaps.interfaces._growth_laws import LAWS
from ssbmaps.interfaces._growth_result import as_dataset
from ssbmaps.interfaces._growth_weigh import weigh

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Beside = str | xr.DataArray | NDArray[Any] | Sequence[Any]

SUBJECT = "interfaces.fit_growth"


def fit_growth(
    thickness: xr.DataArray | xr.Dataset,
    *,
    time: Beside,
    sd: Beside | None = None,
    group: Beside | None = None,
    geometry: str = "particles",
    weight: Beside | None = None,
    upper_limit: Beside | None = None,
    law: str | None = None,
    n_boot: int = 1000,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Fit growth laws to apparent thicknesses, with intervals on the level of cells, and weigh the laws against each other.

    Laws: "sqrt" d² = d0² + k t, "linear" d = d0 + r t, "logarithmic" d = d0 + a ln(1 + t/τ) with τ between the shortest and the
    longest time, "power" d = d0 + b tⁿ with n free and d0 not below 0. The mean thickness follows the law; the scatter of
    particles, and that of cells, is a share of it.

    Parameters
    ----------
    thickness : xarray.DataArray or xarray.Dataset
        Apparent thickness in um along one dimension, one entry per particle or section, or what `gather_thickness` returns.
        Lengths only: raw excesses are refused. NaN with an upper limit is a censored entry; NaN without one is left out.
    time : str, xarray.DataArray or array_like
        Time or number of cycles of every entry: a name in `thickness`, or values along its dimension. Its attribute ``units``
        goes into the units of the rates; without it they are "1".
    sd : str, xarray.DataArray or array_like, optional
        Standard error of every thickness, um; NaN where unknown. Stated variances only add to the scatter, as a² + b² times the
        squared curve with a and b taken from all of them together.
    group : str, xarray.DataArray or array_like, optional
        The cell of every entry. By default `cell` of a Dataset; otherwise entries of one time count as one cell.
    geometry : {"particles", "planar"}
        Curved interfaces in a random section, which get estimates of the true rate and intercept, or a stack of layers.
    weight : str, xarray.DataArray or array_like, optional
        Length of interface behind every entry: weights within its cell. By default `weight` of a Dataset, otherwise equal.
    upper_limit : str, xarray.DataArray or array_like, optional
        95 % upper limit of the thickness, um, where there is none. By default `upper_limit` of a Dataset. One limit in a cell
        is that of its section.
    law : {"sqrt", "linear", "logarithmic", "power"}, optional
        The law to prefer, where it is known beforehand. By default the one with the most evidence.
    n_boot : int, optional
        Draws behind intervals and bands.
    rng : int or numpy.random.Generator, optional
        For the draws; None means 0.

    Returns
    -------
    xarray.Dataset
        Along ``law``: ``rate`` (k in um² per time, r in um per time, a in um, b in um per timeⁿ; ``rate_units``), ``intercept``
        (d0, um; 0 where d0² comes out negative), ``exponent`` (power law; NaN for others), ``tau`` (logarithmic law; as
        `time`), each with ``_sd``, ``_low``, ``_high`` (95 %); with particles ``true_rate`` and ``true_intercept``, the
        isotropic-section estimates (d and d0 times π/4, k times (π/4)²). ``evidence``: Akaike weight of the law, small-sample
        corrected, on the level of cells; they sum to 1. ``likelihood_ratio``: 2 ln(L1/L0) against a thickness that does not
        change. ``cv_particles``, ``cv_cells``: scatter within cells beyond `sd`, and of cells about the curve beyond that, as
        shares of the thickness. Along ``time`` and ``law``: ``curve``, ``curve_low``, ``curve_high`` (95 % at each time), um.
        Along ``cell``: ``cell_time``, ``cell_thickness`` (um; NaN for a limit), ``cell_thickness_sd`` under the preferred law,
        ``cell_upper_limit``. Scalars: ``preferred``, ``laws_alike`` (laws with at least a twentieth of the best one's
        evidence), ``n_cells``, ``n_particles``, ``n_limits``, ``n_unused``, ``statement``. Values without an interval have NaN
        ends, and the statement says why.

    Raises
    ------
    SsbmapsError
        If thickness is no length in um, an option or a name is unknown, lengths differ, times, errors, weights or limits are
        not usable, fewer than two thicknesses are left, or several cells have more than one time each.

    Notes
    -----
    Cells are the independent units: their weighted means are fitted by quasi-likelihood with variance ∝ g² [1]_, unbiased for the
    mean, where weights from each particle's own error would favour thin ones. Variance of a cell's mean over g²: cv_cells² +
    (cv_particles² + stated) Σw²/(Σw)², cv_cells after Paule and Mandel [2]_. Intervals: cells are drawn anew about the curve with
    that variance, times χ²-distributed uncertainty of it with n_cells − n_parameters degrees of freedom, and refitted, so that
    draws scatter as Student's t; drawing few cells with replacement is too narrow. Limits enter with the probability of a
    section's thickness below them. A single cell has an interval for this section only. Ion yields that change with time are
    in no interval. The factor 4/π holds for shells thin against the particle; it is 1.18 at d/R = 0.2.

    References
    ----------
    .. [1] Wedderburn 1974, Biometrika 61, 439, doi 10.1093/biomet/61.3.439.
    .. [2] Paule and Mandel 1982, J. Res. Natl. Bur. Stand. 87, 377, doi 10.6028/jres.087.022.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import fit_growth
    >>> hours = np.repeat([10.0, 50.0, 100.0, 200.0, 400.0], 30)
    >>> cells = np.repeat(np.arange(15), 10)
    >>> d = np.sqrt(0.05**2 + 4e-4 * hours) * np.random.default_rng(1).gamma(16, 1 / 16, 150)
    >>> found = fit_growth(xr.DataArray(d, dims="particle", attrs={"units": "um"}), time=hours, group=cells)
    >>> k = found.sel(law="sqrt")
    >>> bool(k.rate_low < 4e-4 < k.rate_high), str(found.preferred.values)
    (True, 'sqrt')
    """
    draws, seed = generator(rng)
    _check_options(law, n_boot)
    entries = read_entries(
        thickness,
        time=time,
        sd=sd,
        group=group,
        weight=weight,
        upper_limit=upper_limit,
        geometry=geometry,
        subject=SUBJECT,
    )
    check_cells(entries, SUBJECT)
    cells = cells_of(entries)
    arguments = {
        "thickness": thickness,
        "time": time,
        "sd": sd,
        "group": group,
        "geometry": geometry,
        "weight": weight,
        "upper_limit": upper_limit,
        "law": law,
        "n_boot": n_boot,
        "rng": seed,
    }
    return as_dataset(weigh(cells, law, int(n_boot), draws), entries, cells, thickness, arguments)


def _check_options(law: object, n_boot: object) -> None:
    if law is not None and law not in LAWS:
        raise SsbmapsError(f"{SUBJECT}: law={law!r}; expected one of {', '.join(LAWS)}.")
    check_draws(n_boot, SUBJECT)


def check_draws(n_boot: object, subject: str) -> None:
    whole = isinstance(n_boot, (int, np.integer)) and not isinstance(n_boot, bool)
    if not (whole and n_boot >= 100):  # type: ignore[operator]
        raise SsbmapsError(f"{subject}: n_boot={n_boot!r}; expected a whole number of at least 100.")
