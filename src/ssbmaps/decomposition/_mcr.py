"""`mcr`: spectra and abundances of a mixture from a first guess, by alternating least squares under named constraints."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, Faults
from ssbmaps._provenance import finish
from ssbmaps.decomposition._matrix import PixelMatrix, pixel_matrix
from ssbmaps.decomposition._mcr_bands import bands
from ssbmaps.decomposition._mcr_constraints import Sides, read_constraints, start_spectra
from ssbmaps.decomposition._mcr_solve import Problem, Solution, solve

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "decomposition.mcr"
WIDE = 0.1  # of the whole signal: a range of contributions that is worth a warning


def mcr(
    cube: xr.DataArray,
    initial: xr.DataArray | xr.Dataset,
    *,
    constraints: Mapping[str, Any] | None = None,
    scaling: str | None = "poisson",
    max_iter: int = 1000,
    tol: float = 1e-6,
) -> xr.Dataset:
    """Multivariate curve resolution: refine spectra and abundances by alternating least squares under constraints.

    Parameters
    ----------
    cube : xarray.DataArray
        Spectra (…, mz) or on another spectral axis, with any other dimensions as pixels; or maps with named channels
        (fragment, y, x). Dense, sparse or dask; sparse data are never made dense. Empty channels and pixels stay empty.
    initial : xarray.DataArray or xarray.Dataset
        Spectra (component, channel) to start from, on the cube's channels: references, pure pixels, or a result of `nmf`.
    constraints : mapping, optional
        By name, any of: ``non_negative``, the sides on which values are 0 or more (default ``("spectra", "abundance")``);
        ``closure``, a number to which the abundances of every pixel add up (`initial` then sets the scale of known
        spectra), or "total" for the pixel's own sum (all spectra start with sum 1);
        ``known_spectra``, components whose initial spectrum is held; ``unimodal_spectra``, components whose spectrum rises
        and then falls; ``unimodal_abundance``, a dimension such as "scan" along which abundances rise and then fall, or that
        and a list of components, ``("scan", [0, 2])``; ``zero_spectra`` and ``zero_abundance``, boolean arrays
        (component, channel) and (component, y, x) that are True where a value is known to be 0.
    scaling : {"poisson", None}, optional
        "poisson" weighs every value by the inverse of what its pixel's and its channel's totals let expect, so that counting
        noise counts evenly; None weighs all values alike.
    max_iter : int, optional
        Largest number of iterations.
    tol : float, optional
        The fit has converged when a whole round of exact steps moves the model by less than this share of the data.

    Returns
    -------
    xarray.Dataset
        ``spectra`` (component, channel) with sum 1 (of absolute values, where negative ones are allowed) and ``abundance``
        (component, …) in the units of `cube`, NaN at unmeasured pixels; components keep the order and the names of
        `initial`. With closure the spectra carry the units instead. ``lack_of_fit`` in per cent is
        100 √(Σ residual² / Σ value²), weighted as the fit; ``residual_variance`` the weighted squared residual per degree of
        freedom (about 1 for counts that the model explains); ``n_iter`` and ``residual``, what a last round still moved.
        ``contribution`` (component) is the share of the model's signal, and ``contribution_low`` and ``contribution_high``
        how far mixing that component with any one other can take it at the same fit (NaN without non-negative spectra and
        abundances). A range of no width does not prove uniqueness, a wide one disproves it.

    Raises
    ------
    SsbmapsError
        If values are NaN or infinite, a constraint is unknown or contradicts another, or `initial` has other channels.

    Warns
    -----
    DataQualityWarning
        If `max_iter` was reached before `tol`, a component vanished, or mixing alone leaves a contribution open by more than
        a tenth of the signal.

    Notes
    -----
    Tauler, Chemom. Intell. Lab. Syst. 30 (1995) 133, doi:10.1016/0169-7439(95)00047-X; the range of contributions is, for pairs,
    that of MCR-BANDS (Jaumot and Tauler, Chemom. Intell. Lab. Syst. 103 (2010) 96, doi:10.1016/j.chemolab.2010.05.020), and
    ends where the squared residual rises by 3.84 residual variances; unimodality is left out of it. Each step is the exact
    minimum for one component with the others held, so the squared residual never rises. Poisson scaling: Keenan and Kotula,
    Surf. Interface Anal. 36 (2004) 203, doi:10.1002/sia.1657. The result depends on `initial`, and a component is not a phase.

    Examples
    --------
    A band of known shape, and one to be found:

    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.decomposition import mcr
    >>> pure = xr.DataArray([[6.0, 3.0, 1.0, 0.0], [0.0, 2.0, 3.0, 5.0]], dims=("component", "raman_shift"))
    >>> cube = xr.DataArray([[8.0, 2.0], [5.0, 5.0], [0.0, 7.0]], dims=("point", "component")).dot(pure)
    >>> guess = xr.DataArray([[6.0, 3.0, 1.0, 0.0], [1.0, 2.0, 2.0, 5.0]], dims=("component", "raman_shift"))
    >>> result = mcr(cube, guess, constraints={"known_spectra": [0], "closure": "total"})
    >>> (10 * result.spectra.sel(component=1)).round(2).values.tolist()
    [0.0, 2.0, 3.0, 5.0]
    """
    import xarray as xr

    with Faults(SUBJECT) as faults:
        faults.expect(scaling in ("poisson", None), f"scaling={scaling!r}; expected 'poisson' or None.")
        whole = isinstance(max_iter, (int, np.integer)) and not isinstance(max_iter, bool) and max_iter >= 1
        faults.expect(whole, f"max_iter={max_iter!r}; expected a whole number of 1 or more.")
        small = isinstance(tol, (int, float, np.number)) and bool(np.isfinite(tol)) and tol >= 0
        faults.expect(small, f"tol={tol!r}; expected a number of 0 or more.")
    matrix = pixel_matrix(cube, subject=SUBJECT, negative=scaling is None)
    guess = start_spectra(initial, matrix, subject=SUBJECT)
    names = guess["component"].values.tolist() if "component" in guess.coords else list(range(guess.sizes["component"]))
    sides = read_constraints(constraints, matrix, names, subject=SUBJECT)
    start = _checked_start(guess, sides, names)
    problem = Problem(matrix.values, *_weights(matrix, scaling), sides.spectra, sides.abundance)
    found = solve(problem, start, max_iter=int(max_iter), tol=float(tol))
    _warn(found, names, int(max_iter), float(tol))
    variables = {**_scaled(found, sides, matrix, cube), **_numbers(found, problem, names)}
    coords = {**matrix.coords(len(names)), "component": ("component", names, {"long_name": "component"})}
    arguments = {"cube": cube, "initial": guess, "constraints": constraints, "scaling": scaling, "max_iter": max_iter, "tol": tol}
    return finish(xr.Dataset(variables, coords), function=SUBJECT, arguments=arguments, sources=[cube])


def _checked_start(guess: xr.DataArray, sides: Sides, names: list[Any]) -> Floats:
    """The initial spectra (C, K) as float64, with what is known to be 0 set to it."""
    start = np.array(guess.values, np.float64)
    with Faults(f"{SUBJECT}: initial") as faults:
        faults.expect(len(set(names)) == len(names), f"component names {names} are not unique.")
        if faults.expect(bool(np.isfinite(start).all()), "NaN or infinite values; expected finite spectra."):
            lowest = float(start.min(initial=0))
            signed = not sides.spectra.non_negative or lowest >= 0
            faults.expect(signed, f"negative values (lowest {lowest:g}) although spectra are to be non-negative.")
        if sides.spectra.zero is not None:
            free = np.ones(len(start), bool)
            free[list(sides.spectra.fixed)] = False
            start[free[:, None] & sides.spectra.zero] = 0.0
            clash = bool(np.any(start[sides.spectra.zero]))
            faults.expect(not clash, "a known spectrum is not 0 where zero_spectra says it is.")
        empty = [str(n) for n, row in zip(names, start, strict=True) if not row.any()]
        faults.expect(not empty, f"the spectrum of component {', '.join(empty)} is 0 everywhere.")
    return start / np.abs(start).sum(axis=1, keepdims=True) if sides.to_totals else start


def _weights(matrix: PixelMatrix, scaling: str | None) -> tuple[Floats, Floats]:
    """Weights of pixels and of channels: their product is 1, or 1 / (g h / N) with the totals g of pixels and h of channels."""
    if scaling is None:
        return np.ones(matrix.values.shape[0]), np.ones(matrix.values.shape[1])
    rows, columns = (np.asarray(matrix.values.sum(axis=axis)).ravel() for axis in (1, 0))
    inverse = [np.divide(1.0, s, out=np.zeros_like(s), where=s > 0) for s in (rows, columns)]
    return inverse[0] * rows.sum(), inverse[1]


def _warn(found: Solution, names: list[Any], max_iter: int, tol: float) -> None:
    if not found.converged:
        warnings.warn(
            f"{SUBJECT}: not converged after {max_iter} iterations: a round still moves the model by {found.residual:.2g} of the "
            f"data, tol={tol:g}. Raise max_iter, or tol.",
            DataQualityWarning,
            stacklevel=3,
        )
    gone = [str(n) for n, w, h in zip(names, found.abundance.T, found.spectra, strict=True) if not (w.any() and h.any())]
    if gone:
        warnings.warn(
            f"{SUBJECT}: component {', '.join(gone)} vanished: the others explain the data under these constraints without it.",
            DataQualityWarning,
            stacklevel=3,
        )


def _scaled(found: Solution, sides: Sides, matrix: PixelMatrix, cube: xr.DataArray) -> dict[str, Any]:
    """Spectra and abundances on the cube's dimensions; without closure every spectrum is brought to sum 1."""
    w, h = found.abundance, found.spectra
    units = str(cube.attrs.get("units", "arbitrary"))
    if not sides.closed:
        sums = np.abs(h).sum(axis=1)
        w, h = w * sums, np.divide(h, sums[:, None], out=np.zeros_like(h), where=sums[:, None] > 0)
    dims, maps = matrix.maps(w)
    kinds = [(units, "spectrum, per unit of abundance"), ("1", "abundance, closed")]
    if not sides.closed:
        kinds = [("1", "spectrum, sum 1"), (units, "abundance")]
    spectra, abundance = ({"units": u, "long_name": n} for u, n in kinds)
    return {"spectra": (("component", matrix.channel), h, spectra), "abundance": (tuple(dims), maps, abundance)}


def _numbers(found: Solution, problem: Problem, names: list[Any]) -> dict[str, Any]:
    """How well the model fits, and how far its components are determined."""
    w, h = found.abundance, found.spectra
    weighing = np.count_nonzero(problem.row_weights), np.count_nonzero(problem.column_weights)
    freedom = weighing[0] * weighing[1] - len(h) * (weighing[0] + weighing[1] - len(h))
    variance = found.history[-1] / freedom if freedom > 0 else np.nan
    share, low, high = (np.full(len(h), np.nan) for _ in range(3))
    if problem.spectra.non_negative and problem.abundance.non_negative:
        share, low, high = bands(problem, w, h, variance if np.isfinite(variance) else 0.0)
        open_ = [f"{n} ({a:.0%} to {b:.0%})" for n, a, b in zip(names, low, high, strict=True) if b - a > WIDE]
        if open_:
            warnings.warn(
                f"{SUBJECT}: the constraints do not determine the share of component {', '.join(open_)}: mixtures with another "
                "component fit as well. Hold a known spectrum, or state where one is 0.",
                DataQualityWarning,
                stacklevel=3,
            )

    def number(value: Any, units: str, name: str) -> tuple[Any, ...]:
        return (("component",) if np.ndim(value) else ()), value, {"units": units, "long_name": name}

    return {
        "lack_of_fit": number(100 * float(np.sqrt(found.history[-1] / found.square)), "percent", "lack of fit"),
        "residual_variance": number(variance, "1", "weighted squared residual per degree of freedom"),
        "n_iter": number(len(found.history) - 1, "1", "number of iterations"),
        "residual": number(found.residual, "1", "share of the data that a last round of steps moved"),
        "contribution": number(share, "1", "share of the model's signal"),
        "contribution_low": number(low, "1", "lowest share at the same fit, mixing two components"),
        "contribution_high": number(high, "1", "highest share at the same fit, mixing two components"),
    }
