"""Principal components of counts, with the scaling that makes Poisson noise even."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import RASTER_DIMS, generator
from ssbmaps._errors import DataQualityWarning, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.decomposition._matrix import check_number, pixel_blocks

if TYPE_CHECKING:
    import xarray as xr

SUBJECT = "decomposition.pca"


def pca(
    cube: xr.DataArray,
    n_components: int,
    *,
    scaling: str | None = "poisson",
    rotation: str | None = None,
    tol: float = 1e-8,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
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
    rotation : {"varimax", "promax", "ica", "maf", "mnf"}, optional
        Other axes for the same model: "varimax" (orthogonal) and "promax" (oblique) make the spectra simple, "ica" makes the maps
        independent, "maf" makes them smooth along y and x, the smoothest first; "mnf", with the noise taken from the differences
        between neighbouring pixels, is the same.
    tol : float, optional
        Largest residual of an eigenvalue, relative to it, at which an iteration stops; its error is nearer the square of that.
    rng : int, numpy.random.Generator or None, optional
        Seed of the iteration's start, the signs of the noise and the start of "ica"; None means 0.

    Returns
    -------
    xarray.Dataset
        ``loadings`` (component, channel), of no unit; ``scores`` (component, …) in the units of `cube`, NaN at unmeasured
        pixels and 0 where a pixel is all zero. Summed over components, scores × loadings is the model in the units of `cube`,
        whatever the rotation. The loading of largest magnitude is positive in each component. ``explained_variance``
        (component) holds the squared singular values of the scaled data, in descending order, or the sum of squares of what
        each rotated component carries (which add up to the same after "varimax" only), and ``explained_variance_ratio`` its
        share of the sum of squares of the scaled data. The first Poisson-scaled component is the mean spectrum, its singular
        value 1. ``noise_variance`` is the largest squared singular value that the counting noise of these data reaches alone,
        to a few per cent: unrotated components not above it cannot be told from noise; NaN where the values are no counts.
        ``error_bound`` (component): some squared singular value of the scaled data lies this close to each, relatively,
        before any rotation.

    Raises
    ------
    SsbmapsError
        If values are NaN, infinite or (with Poisson scaling) negative, all are 0, or `n_components` is out of bounds; if an
        option is not one of those named, or "maf" is asked of data without y and x.

    Warns
    -----
    DataQualityWarning
        If the iteration ends before `tol` is reached; the bound that was reached is named.

    Notes
    -----
    Scaling: Keenan and Kotula, Surf. Interface Anal. 36 (2004) 203, doi:10.1002/sia.1657; empty rows and columns stay 0. The
    singular values are those of the whole matrix, not of a random sketch: through the Gram matrix of channels in 64 bits, or a
    block Lanczos iteration with a bound of its error. `PoissonPCA` is the same for scikit-learn.

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
    from sklearn.exceptions import ConvergenceWarning

    from ssbmaps.decomposition._poisson_pca import PoissonPCA

    random, recorded = generator(rng)
    model = PoissonPCA(n_components, scaling=scaling, rotation=rotation, tol=tol, random_state=int(random.integers(2**31)))
    model._check_options(SUBJECT)
    matrix = pixel_blocks(cube, subject=SUBJECT, negative=scaling is None)
    k = check_number(n_components, matrix.census.filled_rows, int(np.count_nonzero(matrix.census.columns)), subject=SUBJECT)
    image: dict[str, Any] = {}
    if rotation in ("maf", "mnf"):
        if tuple(matrix.pixel_dims[-2:]) != RASTER_DIMS:
            raise SsbmapsError(f"{SUBJECT}: rotation {rotation!r} needs maps along y and x, got dims {tuple(cube.dims)}.")
        image = {"image_shape": matrix.shape, "pixels": matrix.rows}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        scores = model.fit_transform(matrix.blocks, **image)
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            warnings.warn(f"{SUBJECT}: {warning.message}", DataQualityWarning, stacklevel=2)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    dims, maps = matrix.maps(scores)
    units = str(cube.attrs.get("units", "arbitrary"))
    what = "squared singular value, scaled data" if rotation is None else "sum of squares of the component, scaled data"
    noise, bound = "squared singular value of counting noise alone", "bound of the relative error of the squared singular value"
    result = xr.Dataset(
        {
            "loadings": (("component", matrix.channel), model.components_, {"units": "1", "long_name": "loading"}),
            "scores": (tuple(dims), maps, {"units": units, "long_name": "score"}),
            "explained_variance": ("component", model.explained_variance_, {"units": "1", "long_name": what}),
            "explained_variance_ratio": (
                "component",
                model.explained_variance_ratio_,
                {"units": "1", "long_name": "share of sum of squares"},
            ),
            "noise_variance": ((), model.noise_variance_, {"units": "1", "long_name": noise}),
            "error_bound": ("component", model.error_bound_, {"units": "1", "long_name": bound}),
        },
        matrix.coords(k),
    )
    arguments = {"cube": cube, "n_components": k, "scaling": scaling, "rotation": rotation, "tol": tol, "rng": recorded}
    return finish(result, function=SUBJECT, arguments=arguments, sources=[cube])
