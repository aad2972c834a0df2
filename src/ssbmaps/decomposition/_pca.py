"""Principal components of counts, with the scaling that makes Poisson noise even."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.decomposition._matrix import check_components, pixel_matrix

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

SUBJECT = "decomposition.pca"
SMALL = 200  # a matrix with a side up to this is decomposed through its Gram matrix, a larger one by Lanczos iteration


def pca(cube: xr.DataArray, n_components: int, *, scaling: str | None = "poisson") -> xr.Dataset:
    """Principal components of a count cube by truncated singular value decomposition, not mean-centred.

    With ``scaling="poisson"`` each value is divided by the square root of its row's and its column's total before the
    decomposition, and loadings and scores are scaled back afterwards, so that their product is a model of the counts.

    Parameters
    ----------
    cube : xarray.DataArray
        Spectra (…, mz) or another spectral axis, with any other dimensions as pixels; or maps with named channels
        (fragment, y, x). Dense, sparse or dask; sparse data are never made dense.
    n_components : int
        Number of components, at most the number of pixels and of channels that hold any signal.
    scaling : {"poisson", None}, optional
        "poisson" makes the noise of counts even (it needs values of 0 or more); None decomposes the values as they are.

    Returns
    -------
    xarray.Dataset
        ``loadings`` (component, channel), of no unit; ``scores`` (component, …) in the units of `cube`, NaN at unmeasured
        pixels and 0 where a pixel is all zero. Summed over components, scores × loadings is the model in the units of `cube`.
        The loading of largest magnitude is positive in each component. ``explained_variance`` (component) holds the squared
        singular values of the scaled data, in descending order, and ``explained_variance_ratio`` their share of the sum of
        squares of the scaled data. The first Poisson-scaled component is the mean spectrum, its singular value 1.

    Raises
    ------
    SsbmapsError
        If values are NaN, infinite or (with Poisson scaling) negative, all are 0, or `n_components` is out of bounds.

    Notes
    -----
    Scaling: Keenan and Kotula, Surf. Interface Anal. 36 (2004) 203, doi:10.1002/sia.1657; empty rows and columns stay 0.

    Examples
    --------
    Two pixels of one kind of spectrum, and one of another: rank 2, so two components give back the counts.

    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.decomposition import pca
    >>> spectra = np.array([[4, 2, 0], [8, 4, 0], [0, 1, 9]])
    >>> cube = xr.DataArray(spectra, {"mz": [24.0, 32.0, 79.0]}, ("point", "mz"), attrs={"units": "counts"})
    >>> result = pca(cube, 2)
    >>> model = (result.scores * result.loadings).sum("component")
    >>> bool(np.allclose(model, cube)), round(float(result.explained_variance[0]), 6)
    (True, 1.0)
    """
    import xarray as xr

    if scaling not in ("poisson", None):
        raise SsbmapsError(f"{SUBJECT}: scaling={scaling!r}; expected 'poisson' or None.")
    matrix = pixel_matrix(cube, subject=SUBJECT, negative=scaling is None)
    k = check_components(matrix.values, n_components, subject=SUBJECT)
    scores, loadings, variance, total = scaled_svd(matrix.values, k, poisson=scaling == "poisson")
    dims, maps = matrix.maps(scores)
    units = str(cube.attrs.get("units", "arbitrary"))
    result = xr.Dataset(
        {
            "loadings": (("component", matrix.channel), loadings, {"units": "1", "long_name": "loading"}),
            "scores": (tuple(dims), maps, {"units": units, "long_name": "score"}),
            "explained_variance": ("component", variance, {"units": "1", "long_name": "squared singular value, scaled data"}),
            "explained_variance_ratio": ("component", variance / total, {"units": "1", "long_name": "share of sum of squares"}),
        },
        matrix.coords(k),
    )
    arguments = {"cube": cube, "n_components": k, "scaling": scaling}
    return finish(result, function=SUBJECT, arguments=arguments, sources=[cube])


def scaled_svd(
    values: csr_array, n_components: int, *, poisson: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Back-scaled scores (P, C) and loadings (C, K), squared singular values (C,), and the scaled data's sum of squares."""
    from scipy.sparse import dia_array

    if poisson:
        g, h = np.asarray(values.sum(axis=1)).ravel(), np.asarray(values.sum(axis=0)).ravel()
    else:
        g, h = (np.ones(n) for n in values.shape)
    down = [np.divide(1, np.sqrt(s), out=np.zeros_like(s), where=s > 0) for s in (g, h)]
    left, right = (dia_array((d[None], [0]), shape=(d.size, d.size)) for d in down)
    scaled = (left @ values @ right).tocsr()
    u, s, vt = _truncated_svd(scaled, n_components)
    largest = vt[np.arange(n_components), np.argmax(np.abs(vt * np.sqrt(h)), axis=1)]
    sign = np.where(largest < 0, -1.0, 1.0)
    scores = np.sqrt(g)[:, None] * u * (s * sign)
    loadings = sign[:, None] * vt * np.sqrt(h)
    return scores, loadings, s**2, float(np.sum(scaled.data**2))


def _truncated_svd(values: csr_array, k: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The k largest singular triplets, descending: no random approximation, the same for the same input.

    Both ways square the matrix, so vectors of singular values below 1e-8 of the largest are not to be trusted.
    """
    from scipy.linalg import svd
    from scipy.sparse.linalg import svds

    if min(values.shape) <= max(SMALL, 3 * k):
        tall = values.shape[0] >= values.shape[1]
        gram = (values.T @ values if tall else values @ values.T).toarray()
        vectors = svd(gram)[0][:, :k]
        other = (values if tall else values.T) @ vectors
        s = np.linalg.norm(other, axis=0)
        other = np.divide(other, s, out=np.zeros_like(other), where=s > 0)
        return (other, s, vectors.T) if tall else (vectors, s, other.T)
    start = np.random.default_rng(0).standard_normal(min(values.shape))
    u, s, vt = svds(values, k=k, v0=start, solver="arpack", tol=0)
    order = np.argsort(s)[::-1]
    return u[:, order], s[order], vt[order]
