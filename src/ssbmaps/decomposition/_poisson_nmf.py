"""`PoissonNMF`: non-negative factorisation of counts as a scikit-learn estimator on arrays and sparse matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from ssbmaps._arrays import is_dask
from ssbmaps._conventions import generator
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.decomposition._census import Census
from ssbmaps.decomposition._chunks import AnyBlocks, chunk_blocks
from ssbmaps.decomposition._factorise import Wishes, best_rows, factorise
from ssbmaps.decomposition._solve import STEPS, padded, visit_rows
from ssbmaps.decomposition._start import Raster
from ssbmaps.decomposition._weights import Weights, weighted_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _plain(model: Any) -> bool:
    """Whether counts can be learned batch by batch: there is no penalty, and the loss is the likelihood's."""
    return bool(model.loss == "kullback-leibler" and not (model.smoothness or model.laplacian or model.total_variation))


class PoissonNMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Non-negative matrix factorisation of counts by maximum likelihood, without making sparse data dense.

    Counts X (P, K) are modelled as Poisson with mean W H: abundances W (P, C) in counts, spectra H (C, K) of sum 1.

    Parameters
    ----------
    n_components : int
        Number of components.
    loss : {"kullback-leibler", "frobenius"}, optional
        "kullback-leibler" is the maximum of the Poisson likelihood; "frobenius" is least squares, for data with even noise.
    n_starts : int, optional
        Starts that are tried on superpixels: from singular vectors, from pure pixels, and from pure pixels among random draws.
        The best is kept; `starts_` tells how the others ended.
    tol : float, optional
        The fit ends when its equations say that no more than this share of the objective can still be gained.
    max_iter : int, optional
        Largest number of iterations.
    smoothness : float, optional
        Penalty on rough spectra: ½ smoothness × counts × Σ (difference of neighbouring channels)², in nats.
    laplacian : float, optional
        Penalty on rough maps: ½ laplacian × Σ (difference of neighbouring pixels)², in nats; needs `image_shape` in `fit`.
    total_variation : float, optional
        Penalty on unevenness that lets edges stand: total_variation × Σ |difference of neighbouring pixels|, in nats; needs
        `image_shape` in `fit`.
    random_state : int, numpy.random.Generator or None, optional
        Seed of the starts; None means 0.

    Attributes
    ----------
    components_ : ndarray (C, K)
        Spectra, each of sum 1, fixed ones first, then in descending order of their total; NaN at channels of no weight.
    objective_ : float
        Kullback-Leibler divergence (half the deviance, in nats) or half the sum of squares, weights and penalties included.
    remaining_ : float
        Estimate of what can still be gained: from the equations of the maximum, and the rate at which steps shrink.
    converged_ : bool
        Whether that is below `tol`.
    n_iter_ : int
        Number of iterations.
    history_ : list of float
        The objective after each.
    starts_ : list of (str, float, float)
        For each start: its name, the divergence after a few iterations on superpixels, and the lowest cosine of its spectra
        with the best start's.

    See Also
    --------
    nmf : The same for a labelled cube.

    Notes
    -----
    Values of a dtype other than float64 are fitted in 32 bits, sums taken in 64. Multiplicative steps after Lee and Seung,
    Nature 401 (1999) 788, doi:10.1038/44565, lengthened by momentum; rows by Newton steps on w >= 0. The problem has many
    optima: the result is the best of `n_starts`. At an optimum without penalties the sums of rows and columns of W H are
    those of X.

    Examples
    --------
    >>> import numpy as np
    >>> from ssbmaps.decomposition import PoissonNMF
    >>> counts = np.array([[40, 20, 0, 0], [80, 40, 0, 0], [0, 0, 10, 30]])
    >>> model = PoissonNMF(2).fit(counts)
    >>> model.transform(counts).round(2).tolist()
    [[60.0, 0.0], [120.0, 0.0], [0.0, 40.0]]
    """

    components_: NDArray[Any]
    n_iter_: int
    _channel_weight: NDArray[np.float64] | None
    _totals: NDArray[np.float64]
    _counts: NDArray[np.float64]

    def __init__(
        self,
        n_components: int = 2,
        *,
        loss: str = "kullback-leibler",
        n_starts: int = 6,
        tol: float = 1e-5,
        max_iter: int = 1000,
        smoothness: float = 0.0,
        laplacian: float = 0.0,
        total_variation: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.loss = loss
        self.n_starts = n_starts
        self.tol = tol
        self.max_iter = max_iter
        self.smoothness = smoothness
        self.laplacian = laplacian
        self.total_variation = total_variation
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any = None,  # noqa: ARG002
        *,
        initial: Any = None,
        fixed: Any = None,
        row_weight: Any = None,
        channel_weight: Any = None,
        mask: Any = None,
        image_shape: tuple[int, ...] | None = None,
    ) -> PoissonNMF:
        """Find spectra and abundances.

        Parameters
        ----------
        X : array or sparse matrix (P, K)
            Counts, 0 or more; a dask array is visited chunk by chunk.
        y : None
            Ignored.
        initial : array (m, K), optional
            Spectra to start from, the first m components.
        fixed : array (m, K), optional
            Known spectra, which stay as they are (scaled to sum 1): the first m components.
        row_weight, channel_weight : array (P,) or (K,), optional
            Weights of 0 or more of the rows' and channels' likelihood; 0 leaves one out.
        mask : boolean array or sparse matrix (P, K), optional
            True where a value is not to be used.
        image_shape : tuple of int, optional
            (y, x) or (…, y, x) of which X holds all pixels in C order; for superpixels, and for penalties on maps.

        Returns
        -------
        PoissonNMF
            The estimator itself.

        Raises
        ------
        SsbmapsError
            If values are negative, infinite or NaN, all are 0, or an option does not fit.
        """
        self._fit(X, initial, fixed, Weights(row_weight, channel_weight, mask), image_shape)
        return self

    def fit_transform(self, X: Any, y: Any = None, **options: Any) -> NDArray[Any]:  # noqa: ARG002
        """Fit, and return the abundances (P, C) in counts; options as in `fit`. Rows of no weight are brought in by `transform`.

        Parameters
        ----------
        X : array or sparse matrix (P, K)
            Counts, 0 or more.
        y : None
            Ignored.
        **options : Any
            As in `fit`.

        Returns
        -------
        ndarray (P, C)
            Abundances, each row at its maximum of the likelihood given `components_`.
        """
        names = ("initial", "fixed", "row_weight", "channel_weight", "mask", "image_shape")
        unknown = [name for name in options if name not in names]
        if unknown:
            raise SsbmapsError(f"PoissonNMF: unknown option {', '.join(unknown)}; there are {', '.join(names)}.")
        weights = Weights(*(options.get(name) for name in ("row_weight", "channel_weight", "mask")))
        return self._fit(X, options.get("initial"), options.get("fixed"), weights, options.get("image_shape"))

    def transform(self, X: Any, *, mask: Any = None) -> NDArray[Any]:
        """Abundances of new counts: each row at its maximum of the likelihood given `components_`.

        Parameters
        ----------
        X : array or sparse matrix (P, K)
            Counts, 0 or more.
        mask : boolean array or sparse matrix (P, K), optional
            True where a value is not to be used.

        Returns
        -------
        ndarray (P, C)
            Abundances in counts.
        """
        check_is_fitted(self)
        matrix, dtype = self._checked(X, reset=False)
        weights = Weights(None, self._channel_weight, mask).checked(matrix.shape, "PoissonNMF.transform")
        blocks = _blocks(matrix, weights, dtype)[0]
        weighted = weights.spectra(self.components_.astype(np.float64))
        found: NDArray[Any] = best_rows(blocks, weighted, self.loss, dtype).astype(dtype, copy=False)
        return found

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Expected counts (P, K) of abundances (P, C).

        Parameters
        ----------
        X : array (P, C)
            Abundances.

        Returns
        -------
        ndarray (P, K)
            X times `components_`.
        """
        check_is_fitted(self)
        expected: NDArray[Any] = np.asarray(X) @ self.components_
        return expected

    @available_if(_plain)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any = None) -> PoissonNMF:  # noqa: ARG002
        """Learn from one more batch of rows: its counts join those that the spectra were made of.

        The first batch is fitted as by `fit`; each later one is expressed in the spectra and adds its counts to them. A batch
        weighs as much as it has counts. Only for the Kullback-Leibler loss without penalties.

        Parameters
        ----------
        X : array or sparse matrix (P, K)
            Counts, 0 or more.
        y : None
            Ignored.

        Returns
        -------
        PoissonNMF
            The estimator itself.
        """
        if not hasattr(self, "components_"):
            return self.fit(X)
        (matrix, dtype), k = self._checked(X, reset=False), len(self.components_)
        weights = Weights(None, self._channel_weight, None).checked(matrix.shape, "PoissonNMF.partial_fit")
        blocks, h = _blocks(matrix, weights, dtype)[0], weights.spectra(self.components_.astype(np.float64))
        sums, _ = blocks.visit(visit_rows, None, padded(h.T, dtype), k, 1e-3, STEPS, 2, True)
        batch = h * sums[3][:, :k].T
        self._counts = (self._counts if hasattr(self, "_counts") else self._totals[:, None] * h) + batch
        spectra = self._counts / np.maximum(self._counts.sum(axis=1, keepdims=True), 1e-300)
        self.components_ = weights.unweighted(np.empty((0, k)), spectra)[1].astype(self.components_.dtype)
        self.n_iter_ += 1
        return self

    def _fit(self, x: Any, initial: Any, fixed: Any, weights: Weights, image_shape: tuple[int, ...] | None) -> NDArray[Any]:
        matrix, dtype = self._checked(x, reset=True)
        wishes = self._wishes()
        weights = weights.checked(matrix.shape, "PoissonNMF.fit")
        given, n_fixed = self._given(initial, fixed, weights, matrix.shape[1])
        raster = _raster(image_shape, matrix.shape[0], needed=wishes.on_maps)
        blocks, census = _blocks(matrix, weights, dtype)
        if not census.counts:
            raise SsbmapsError("PoissonNMF: every value is 0, masked or of no weight; there is nothing to decompose.")
        rng = generator(_seed(self.random_state))[0]
        found = factorise(blocks, census, wishes, rng=rng, dtype=dtype, given=given, n_fixed=n_fixed, raster=raster)
        w, h = weights.unweighted(found.w, found.h)
        self.components_, self._channel_weight = h.astype(dtype), weights.channels
        self._totals = found.w.sum(axis=0, dtype=np.float64)
        self.objective_, self.remaining_, self.converged_ = found.objective, found.remaining, found.converged
        self.n_iter_, self.history_, self.starts_ = found.n_iter, found.history, found.starts
        if hasattr(self, "_counts"):
            del self._counts
        if weights.rows is not None and not weights.rows.all():
            left_out = weights.rows == 0
            w[left_out] = self.transform(matrix[left_out])
        return w

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _checked(self, x: Any, *, reset: bool) -> tuple[Any, Any]:
        """The matrix, 2-D and of the right number of channels, and the dtype to work in; a dask array is not computed yet."""
        if is_dask(x) and x.ndim == 2:
            if reset:
                self.n_features_in_ = int(x.shape[1])
            elif x.shape[1] != self.n_features_in_:
                raise SsbmapsError(f"PoissonNMF: X has {x.shape[1]} features; expected {self.n_features_in_}, as in the fit.")
            matrix = x
        else:
            matrix = validate_data(self, x, accept_sparse=("csr",), dtype="numeric", reset=reset)
        return matrix, np.dtype(np.float64) if matrix.dtype == np.float64 else np.dtype(np.float32)

    def _wishes(self) -> Wishes:
        wishes = Wishes(**{k: v for k, v in self.get_params(deep=False).items() if k != "random_state"})
        with Faults("PoissonNMF") as faults:
            wishes.check(faults)
        return wishes

    def _given(self, initial: Any, fixed: Any, weights: Weights, channels: int) -> tuple[NDArray[np.float64] | None, int]:
        """Spectra of sum 1, as weighted counts see them, that the first components start from; how many of them stay."""
        rows = [np.atleast_2d(np.asarray(a, np.float64)) for a in (fixed, initial) if a is not None]
        with Faults("PoissonNMF.fit") as faults:
            for name, a in zip([n for n, v in (("fixed", fixed), ("initial", initial)) if v is not None], rows, strict=True):
                if faults.expect(
                    a.ndim == 2 and a.shape[1] == channels, f"{name} has shape {a.shape}; expected (m, {channels})."
                ):
                    good = bool(np.all(np.isfinite(a)) and a.min() >= 0 and np.all(a.sum(axis=1) > 0))
                    faults.expect(good, f"{name} holds negative, NaN or infinite values, or an empty spectrum.")
            most = sum(len(a) for a in rows)
            faults.expect(most <= self.n_components, f"{most} spectra given for {self.n_components} components.")
        if not rows:
            return None, 0
        spectra = weights.spectra(np.vstack(rows))
        return spectra / np.maximum(spectra.sum(axis=1, keepdims=True), 1e-300), 0 if fixed is None else len(rows[0])


def _blocks(matrix: Any, weights: Weights, dtype: Any) -> tuple[AnyBlocks, Census]:
    """Blocks of the matrix, checked: finite, 0 or more."""
    if is_dask(matrix):
        blocks: AnyBlocks = chunk_blocks(matrix, np.ones(matrix.shape[0], bool), dtype, weights=weights)[0]
    else:
        blocks = weighted_blocks(matrix, weights, dtype)
    census = Census.of(blocks)
    with Faults("PoissonNMF") as faults:
        faults.expect(census.finite, "NaN or infinite values in X; expected finite numbers (0 is a measured zero).")
        low = census.lowest
        faults.expect(low >= 0, f"Negative values in data passed to PoissonNMF (lowest {low:g}); expected counts of 0 or more.")
    return blocks, census


def _seed(random_state: Any) -> Any:
    """A seed for `generator`; scikit-learn also hands over RandomState instances."""
    return int(random_state.randint(2**31)) if isinstance(random_state, np.random.RandomState) else random_state


def _raster(shape: tuple[int, ...] | None, n_rows: int, *, needed: bool) -> Raster | None:
    if shape is None:
        if needed:
            raise SsbmapsError("PoissonNMF.fit: laplacian and total_variation need image_shape=(ny, nx), and X all its pixels.")
        return None
    sizes = tuple(int(n) for n in shape)
    if len(sizes) < 2 or int(np.prod(sizes)) != n_rows:
        raise SsbmapsError(f"PoissonNMF.fit: image_shape={shape!r} does not hold the {n_rows} rows of X.")
    return Raster(sizes, np.arange(n_rows))
