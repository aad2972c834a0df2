"""Non-negative components of counts by maximum likelihood."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import generator
from ssbmaps._errors import DataQualityWarning, Faults
from ssbmaps._provenance import finish
from ssbmaps.decomposition._matrix import check_components, pixel_matrix

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

SUBJECT = "decomposition.nmf"
LOSSES = ("kullback-leibler", "frobenius")
BLOCK = 1_000_000  # non-zeros whose model is computed at a time


def nmf(
    cube: xr.DataArray,
    n_components: int,
    *,
    loss: str = "kullback-leibler",
    rng: int | np.random.Generator | None = None,
    max_iter: int = 500,
    tol: float = 1e-4,
) -> xr.Dataset:
    """Non-negative matrix factorisation of a count cube: spectra and their abundance in each pixel.

    Parameters
    ----------
    cube : xarray.DataArray
        Counts (…, mz) or on another spectral axis, with any other dimensions as pixels; or maps with named channels
        (fragment, y, x). Dense, sparse or dask; sparse data are never made dense.
    n_components : int
        Number of components, at most the number of pixels and of channels that hold any signal.
    loss : {"kullback-leibler", "frobenius"}, optional
        "kullback-leibler" is the maximum of the Poisson likelihood; "frobenius" is least squares, for data with even noise.
    rng : int, numpy.random.Generator or None, optional
        Seed of the start; None means 0.
    max_iter : int, optional
        Largest number of iterations.
    tol : float, optional
        The fit stops when ten iterations (one for "frobenius") lower its residual by less than this share of the first.

    Returns
    -------
    xarray.Dataset
        ``spectra`` (component, channel), each with sum 1; ``abundance`` (component, …) in the units of `cube`, so that the sum
        over components of abundance × spectra is the model of the counts. Components come in descending order of their total.
        Unmeasured pixels are NaN in ``abundance``, all-zero pixels 0; all-zero channels are 0 in ``spectra``.
        ``objective`` is the reached Kullback-Leibler divergence in nats (half the deviance), or half the sum of squared
        residuals; ``n_iter`` the number of iterations.

    Raises
    ------
    SsbmapsError
        If values are negative, NaN or infinite, all are 0, or an option is out of bounds.

    Warns
    -----
    DataQualityWarning
        If `max_iter` was reached before `tol`, or the values are no whole numbers, for which "kullback-leibler" is no
        likelihood.

    Notes
    -----
    Multiplicative updates for Kullback-Leibler (Lee and Seung, Nature 401 (1999) 788, doi:10.1038/44565; Févotte and Idier,
    Neural Comput. 23 (2011) 2421, doi:10.1162/NECO_a_00168), coordinate descent for least squares, both from scikit-learn,
    started from singular vectors (NNDSVDa). The result is a local optimum, and a component is not a phase: it resembles one.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.decomposition import nmf
    >>> spectra = np.array([[40, 20, 0, 0], [80, 40, 0, 0], [0, 0, 10, 30]])
    >>> cube = xr.DataArray(spectra, {"mz": [24.0, 32.0, 63.0, 79.0]}, ("point", "mz"), attrs={"units": "counts"})
    >>> result = nmf(cube, 2)
    >>> result.abundance.values.round(3).tolist()
    [[60.0, 120.0, 0.0], [0.0, 0.0, 40.0]]
    """
    import xarray as xr

    with Faults(SUBJECT) as faults:
        faults.expect(loss in LOSSES, f"loss={loss!r}; expected {' or '.join(map(repr, LOSSES))}.")
        whole = isinstance(max_iter, (int, np.integer)) and max_iter >= 1
        faults.expect(whole, f"max_iter={max_iter!r}; expected a whole number of 1 or more.")
        small = isinstance(tol, (int, float, np.number)) and bool(np.isfinite(tol)) and tol >= 0
        faults.expect(small, f"tol={tol!r}; expected a number of 0 or more.")
    random, recorded = generator(rng)
    matrix = pixel_matrix(cube, subject=SUBJECT)
    k = check_components(matrix.values, n_components, subject=SUBJECT)
    if loss == "kullback-leibler" and np.any(matrix.values.data % 1):
        warnings.warn(
            f"{SUBJECT}: the values are no whole numbers, and Kullback-Leibler is a likelihood for counts only; use "
            "loss='frobenius' for data with even noise.",
            DataQualityWarning,
            stacklevel=2,
        )
    fit = factorise(matrix.values, k, loss, int(random.integers(2**31)), int(max_iter), float(tol))
    if not fit.converged:
        warnings.warn(
            f"{SUBJECT}: not converged after {fit.n_iter} iterations at tol={tol:g}; objective {fit.objective:.8g}. "
            "Raise max_iter, or tol.",
            DataQualityWarning,
            stacklevel=2,
        )
    dims, maps = matrix.maps(fit.abundance)
    units = str(cube.attrs.get("units", "arbitrary"))
    what = "Kullback-Leibler divergence of the fit" if loss == "kullback-leibler" else "half the sum of squared residuals"
    variables: dict[str, Any] = {
        "spectra": (("component", matrix.channel), fit.spectra, {"units": "1", "long_name": "spectrum, sum 1"}),
        "abundance": (tuple(dims), maps, {"units": units, "long_name": "abundance"}),
        "objective": ((), fit.objective, {"units": "1", "long_name": what}),
        "n_iter": ((), fit.n_iter, {"units": "1", "long_name": "number of iterations"}),
    }
    arguments = {"cube": cube, "n_components": k, "loss": loss, "rng": recorded, "max_iter": max_iter, "tol": tol}
    return finish(xr.Dataset(variables, matrix.coords(k)), function=SUBJECT, arguments=arguments, sources=[cube])


@dataclass(frozen=True, slots=True)
class Fit:
    """A factorisation: abundance (P, C), spectra (C, K) with rows of sum 1, and how it ended."""

    abundance: NDArray[np.float64]
    spectra: NDArray[np.float64]
    objective: float
    n_iter: int
    converged: bool


def factorise(values: csr_array, n_components: int, loss: str, seed: int, max_iter: int, tol: float) -> Fit:
    """Fit the non-empty rows and columns of (P, K) counts; empty ones get exact zeros."""
    from scipy.sparse import csr_matrix
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    rows = np.flatnonzero(np.diff(values.indptr))
    columns = np.unique(values.indices)
    filled = csr_matrix(values[rows][:, columns])
    solver = {"solver": "mu", "beta_loss": loss} if loss == "kullback-leibler" else {"solver": "cd"}
    model = NMF(n_components, init="nndsvda", random_state=seed, max_iter=max_iter, tol=tol, **solver)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        w = np.asarray(model.fit_transform(filled))
    converged = not any(issubclass(c.category, ConvergenceWarning) for c in caught)
    for other in (c for c in caught if not issubclass(c.category, ConvergenceWarning)):
        warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    h = np.asarray(model.components_)
    sums = h.sum(axis=1)
    w, h = w * sums, np.divide(h, sums[:, None], out=np.zeros_like(h), where=sums[:, None] > 0)
    order = np.argsort(-w.sum(axis=0), kind="stable")
    abundance, spectra = np.zeros((values.shape[0], n_components)), np.zeros((n_components, values.shape[1]))
    abundance[rows] = w[:, order]
    spectra[:, columns] = h[order]
    objective = divergence(values, abundance, spectra) if loss == "kullback-leibler" else half_squares(values, abundance, spectra)
    return Fit(abundance, spectra, objective, int(model.n_iter_), converged)


def divergence(values: csr_array, w: NDArray[np.float64], h: NDArray[np.float64]) -> float:
    """Σ v ln(v / wh) − v + wh, touching the non-zeros only."""
    total = float(w.sum(axis=0) @ h.sum(axis=1)) - float(values.sum())
    for v, model in _modelled(values, w, h):
        total += float(np.sum(v * np.log(v / np.maximum(model, np.finfo(float).tiny))))
    return total


def half_squares(values: csr_array, w: NDArray[np.float64], h: NDArray[np.float64]) -> float:
    """½ ‖V − W H‖², touching the non-zeros only."""
    cross = sum(float(v @ model) for v, model in _modelled(values, w, h))
    return max(0.0, (float(np.sum(values.data**2)) - 2 * cross + float(np.sum((w.T @ w) * (h @ h.T)))) / 2)


def _modelled(values: csr_array, w: NDArray[np.float64], h: NDArray[np.float64]) -> Any:
    """Non-zero values and the model at the same places, in blocks."""
    rows = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
    for first in range(0, values.nnz, BLOCK):
        part = slice(first, first + BLOCK)
        yield values.data[part], np.einsum("ij,ji->i", w[rows[part]], h[:, values.indices[part]])
