"""`nmf`: non-negative matrix factorisation of a labelled count cube."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._conventions import RASTER_DIMS, generator
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.decomposition._matrix import check_number, ordered_cube, pixel_blocks
from ssbmaps.decomposition._nmf_given import given_spectra, given_weights

if TYPE_CHECKING:
    import xarray as xr

    from ssbmaps.decomposition._factorise import Wishes
    from ssbmaps.decomposition._matrix import PixelBlocks
    from ssbmaps.decomposition._weights import Weights

SUBJECT = "decomposition.nmf"
SETTLED = 1e-6  # tolerance of fits whose scatter is taken: slow directions scatter most


def nmf(
    cube: xr.DataArray,
    n_components: int,
    *,
    loss: str = "kullback-leibler",
    initial: xr.DataArray | None = None,
    fixed: xr.DataArray | None = None,
    mask: xr.DataArray | None = None,
    weights: xr.DataArray | None = None,
    smoothness: float = 0.0,
    laplacian: float = 0.0,
    total_variation: float = 0.0,
    n_starts: int = 6,
    n_boot: int = 0,
    rng: int | np.random.Generator | None = None,
    max_iter: int = 1000,
    tol: float = 1e-5,
) -> xr.Dataset:
    """Non-negative matrix factorisation of a count cube: spectra and their abundance in each pixel, with errors.

    Parameters
    ----------
    cube : xarray.DataArray
        Counts (…, mz) or on another spectral axis, with any other dimensions as pixels; or maps with named channels
        (fragment, y, x). Dense, sparse or dask; sparse data are never made dense. The chunks of a dask array are visited one
        after the other, kept in temporary files where they do not fit into 2 GB; where a dask.distributed client is in use,
        its workers hold and visit them.
    n_components : int
        Number of components, at most the number of pixels and of channels that hold any signal.
    loss : {"kullback-leibler", "frobenius"}, optional
        "kullback-leibler" is the maximum of the Poisson likelihood; "frobenius" is least squares, for data with even noise.
    initial, fixed : xarray.DataArray (component, channel), optional
        Spectra to start from, and known spectra that stay; one may be without `component`. On the cube's channels exactly. Known
        ones are the first components, those started from come next; `n_components` counts them.
    mask : xarray.DataArray of bool, optional
        True where values are not to be used; any of the cube's dimensions. A pixel that is masked wholly is left out like an
        unmeasured one, a channel that is masked wholly is NaN in ``spectra``.
    weights : xarray.DataArray, optional
        Weights of 0 or more of the likelihood, of channels or of pixels (all of their dimensions); 0 leaves one out.
    smoothness : float, optional
        Penalty on rough spectra: ½ smoothness × counts × Σ (difference of neighbouring channels)², in nats.
    laplacian, total_variation : float, optional
        Penalties on uneven maps, in nats: ½ laplacian × Σ d² and total_variation × Σ |d| with d the differences of neighbouring
        pixels along y and x. The second lets edges stand.
    n_starts : int, optional
        Starts that are tried on superpixels: from singular vectors, from pure pixels, and from pure pixels among random draws.
    n_boot : int, optional
        Number of refits to counts drawn from the model, for errors that hold what the other factor's errors add; all fits are
        then made in 64 bits, to a `tol` of 1e-6 or less.
    rng : int, numpy.random.Generator or None, optional
        Seed of the starts and of the bootstrap; None means 0.
    max_iter : int, optional
        Largest number of iterations.
    tol : float, optional
        The fit ends when its equations say that no more than this share of the objective can still be gained.

    Returns
    -------
    xarray.Dataset
        ``spectra`` (component, channel), each with sum 1; ``abundance`` (component, …) in the units of `cube`, so that the sum
        over components of abundance × spectra is the model of the counts. Known components first, the others in descending order
        of their total. Unmeasured pixels are NaN in ``abundance``, all-zero pixels 0; all-zero channels are 0 in ``spectra``.
        For "kullback-leibler": ``abundance_sd`` and ``spectra_sd`` from the Fisher information, each given the other factor (at
        an abundance of 0 the width of the likelihood); with `n_boot` from the refits instead, with 95 % intervals ``_low`` and
        ``_high``, less the refits' bias, which is counted as an error, too: the first third of them tells how the fit distorts,
        the others are drawn from the spectra before that. ``objective`` is the reached Kullback-Leibler
        divergence in nats (half the deviance), or half the sum of squared residuals, weights and penalties included;
        ``remaining`` what can still be gained; ``n_iter`` the number of iterations. Along ``start``: its name,
        ``start_objective`` on superpixels, and ``start_agreement``, the lowest cosine of its spectra with the best start's.

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
    Rows by Newton steps on w >= 0, spectra by multiplicative steps (Lee and Seung, Nature 401 (1999) 788,
    doi:10.1038/44565) lengthened by momentum; see `PoissonNMF`. The result is a local optimum, and a component is not a phase:
    it resembles one. A trace phase of less than about 1 % of the counts is not found blindly: give its spectrum.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.decomposition import nmf
    >>> spectra = np.array([[40, 20, 0, 0], [80, 40, 0, 0], [0, 0, 10, 30]])
    >>> cube = xr.DataArray(spectra, {"mz": [24.0, 32.0, 63.0, 79.0]}, ("point", "mz"), attrs={"units": "counts"})
    >>> result = nmf(cube, 2)
    >>> result.abundance.values.round(2).tolist()
    [[60.0, 120.0, 0.0], [0.0, 0.0, 40.0]]
    >>> result.abundance_sd.sel(component=0).values[:2].round(1).tolist()
    [7.7, 11.0]
    """
    arguments = {k: v for k, v in locals().items() if k not in ("cube", "n_components", "rng") and v is not None}

    from ssbmaps.decomposition._factorise import Wishes, factorise
    from ssbmaps.decomposition._nmf_result import Fitted, dataset, errors_of
    from ssbmaps.decomposition._start import Raster

    wishes = Wishes(1, loss, n_starts, tol, max_iter, smoothness, laplacian, total_variation)
    _check(wishes, n_boot)
    random, recorded = generator(rng)
    ordered, channel, _ = ordered_cube(cube, SUBJECT)
    asked = given_weights(ordered, channel, mask, weights, subject=SUBJECT)
    given, n_fixed = given_spectra(ordered, channel, initial, fixed, subject=SUBJECT)
    precise = n_boot > 0 or cube.dtype == np.float64
    pixels = pixel_blocks(cube, subject=SUBJECT, weights=asked, precise=precise)
    filled = int(np.count_nonzero(pixels.census.columns))
    k = check_number(n_components, pixels.census.filled_rows, filled, subject=SUBJECT)
    if given is not None and len(given) > k:
        raise SsbmapsError(f"{SUBJECT}: {len(given)} spectra given for {k} components.")
    _warn_of_values(pixels, asked, loss)
    on_map = tuple(pixels.pixel_dims[-2:]) == RASTER_DIMS
    if wishes.on_maps and not on_map:
        raise SsbmapsError(f"{SUBJECT}: penalties on maps need y and x, got dims {tuple(cube.dims)}.")
    wishes, dtype = (
        replace(wishes, n_components=k, tol=min(tol, SETTLED) if n_boot else tol),
        np.float64 if precise else np.float32,
    )
    known = None if given is None else asked.spectra(given) / asked.spectra(given).sum(axis=1, keepdims=True)
    raster = Raster(pixels.shape, pixels.rows) if on_map else None
    factors = factorise(
        pixels.blocks, pixels.census, wishes, rng=random, dtype=dtype, given=known, n_fixed=n_fixed, raster=raster
    )
    if not factors.converged:
        warnings.warn(
            f"{SUBJECT}: not converged after {factors.n_iter} iterations at tol={tol:g}; objective {factors.objective:.8g}, "
            f"{factors.remaining:.3g} of it can still be gained. Raise max_iter, or tol.",
            DataQualityWarning,
            stacklevel=2,
        )
    fitted = Fitted(pixels, asked, wishes, factors, n_fixed)
    result = dataset(fitted, *errors_of(fitted, n_boot, random, dtype), str(cube.attrs.get("units", "arbitrary")))
    return finish(
        result, function=SUBJECT, arguments={"cube": cube, "n_components": k, **arguments, "rng": recorded}, sources=[cube]
    )


def _check(wishes: Wishes, n_boot: int) -> None:
    """Raise unless every option is within its bounds."""
    from ssbmaps.decomposition._factorise import LOSSES

    with Faults(SUBJECT) as faults:
        wishes.check(faults)
        whole = isinstance(n_boot, (int, np.integer)) and not isinstance(n_boot, bool) and n_boot >= 0 and n_boot != 1
        faults.expect(whole, f"n_boot={n_boot!r}; expected 0, or 2 or more: one refit has no spread.")
        faults.expect(not n_boot or wishes.loss == LOSSES[0], "n_boot draws counts; expected loss='kullback-leibler' with it.")


def _warn_of_values(pixels: PixelBlocks, weights: Weights, loss: str) -> None:
    if loss == "kullback-leibler" and not pixels.census.whole and weights.rows is None and weights.channels is None:
        warnings.warn(
            f"{SUBJECT}: the values are no whole numbers, and Kullback-Leibler is a likelihood for counts only; use "
            "loss='frobenius' for data with even noise.",
            DataQualityWarning,
            stacklevel=3,
        )
