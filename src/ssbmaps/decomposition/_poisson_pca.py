"""Principal components of counts as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ssbmaps._arrays import is_dask
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.decomposition._blocks import Blocks
from ssbmaps.decomposition._chunks import chunk_blocks
from ssbmaps.decomposition._rotate import NEEDS_SCORES, ROTATIONS, carried, neighbours, rotation_matrix
from ssbmaps.decomposition._svd import ROUTES, Decomposed, Scaled, noise_level, scale, times, truncated_svd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    Floats = NDArray[np.float64]

SUBJECT = "PoissonPCA"
EXACT = 1 << 24  # whole numbers up to this are exact in 32 bits


class PoissonPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Principal components of counts, with the scaling that makes Poisson noise even; not mean-centred.

    Each value is divided by the square root of its row's and its column's sum, the scaled matrix is decomposed into its largest
    singular triplets without approximation, and both sides are scaled back, so that scores times loadings are a model of the
    counts. Sparse input is never made dense.

    Parameters
    ----------
    n_components : int
        Number of components, at most the number of rows and of columns that hold any signal.
    scaling : {"poisson", None}
        "poisson" needs values of 0 or more; None decomposes the values as they are.
    rotation : {"varimax", "promax", "ica", "maf", "mnf"}, optional
        Other axes for the same model. "varimax" (orthogonal) and "promax" (oblique) make the spectra simple; "ica" makes the
        maps independent; "maf" makes them smooth, the smoothest first, and needs ``image_shape`` in `fit`. "mnf", with the
        noise taken from the differences between neighbours, is the same.
    route : {"auto", "gram", "krylov"}
        "gram" sums the products of pairs of channels (or of rows, if these are fewer) in 64 bits and solves the eigenproblem;
        "krylov" is a block Lanczos iteration that passes over the data, for matrices with two long sides; "auto" takes what
        needs fewer operations.
    tol : float
        The iteration stops when the residual of every eigenvalue is at most this share of it. The error of an eigenvalue is at
        most its residual, and nearer the residual's square; that of a vector is the residual over the gap between eigenvalues.
    noise : bool, default=True
        Whether to find the level of noise, which takes about a third of the time.
    random_state : int, RandomState instance or None
        Start of the iteration, signs of the noise and start of "ica". None means 0, so that the same data give the same bits.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Loadings, scaled back; the one of largest magnitude is positive in each component.
    singular_values_ : ndarray of shape (n_components,)
        Singular values of the scaled data, descending, before any rotation. With Poisson scaling the first is 1.
    explained_variance_ : ndarray of shape (n_components,)
        Sum of squares of each component's part of the scaled model: the squared singular values, or what each rotated component
        carries. After an oblique rotation ("promax", "ica", "maf") they do not add up to the sum of the squared singular values.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        The same as a share of the sum of squares of the scaled data.
    noise_variance_ : float
        Largest squared singular value that the counting noise of these data reaches alone, to a few per cent: that of a matrix
        with the roots of the counts, randomly signed, in the place of the counts, which has the variance of the counts but none
        of their structure. Unrotated components whose squared singular value is not above it cannot be told from noise. NaN
        where the values are no whole numbers of 0 or more.
    error_bound_ : ndarray of shape (n_components,)
        Residual norm of each squared singular value, relative to it: the scaled data have one within this share of it.
    rotation_ : ndarray of shape (n_components, n_components)
        Matrix that turns unrotated scores into the ones given.
    route_ : str
        The road taken, "gram" or "krylov".
    n_iter_ : int
        Passes over the data to find the components.
    n_features_in_ : int
        Number of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the channels, where X has names that are strings.

    Notes
    -----
    Scaling: Keenan and Kotula, Surf. Interface Anal. 36 (2004) 203, doi:10.1002/sia.1657; empty rows and columns stay 0. Noise
    from random signs: after Hong, Sheng and Dobriban, arXiv:2012.02985, on roots of counts in place of the counts themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from ssbmaps.decomposition import PoissonPCA
    >>> counts = np.array([[4, 2, 0], [8, 4, 0], [0, 1, 9]])
    >>> model = PoissonPCA(2)
    >>> scores = model.fit_transform(counts)
    >>> bool(np.allclose(scores @ model.components_, counts)), model.singular_values_.round(3).tolist()
    (True, [1.0, 0.931])
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        scaling: str | None = "poisson",
        rotation: str | None = None,
        route: str = "auto",
        tol: float = 1e-8,
        noise: bool = True,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.scaling = scaling
        self.rotation = rotation
        self.route = route
        self.tol = tol
        self.noise = noise
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, image_shape: Sequence[int] | None = None, pixels: Any = None) -> PoissonPCA:  # noqa: ARG002
        """Find the components of X.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array, Blocks} of shape (n_samples, n_features)
            Counts; rows are pixels, columns are channels.
        y : None
            Ignored.
        image_shape : sequence of int, optional
            Shape (…, y, x) of the image whose pixels the rows are, in C order. Needed by ``rotation="maf"``.
        pixels : array-like of int, optional
            Place of each row in the flattened image, where not every pixel has a row.

        Returns
        -------
        PoissonPCA
            The fitted estimator.
        """
        self._fit(self._blocks(X, reset=True), image_shape, pixels)
        return self

    def fit_transform(self, X: Any, y: Any = None, **options: Any) -> Floats:  # noqa: ARG002
        """Find the components of X, and its scores, as `transform` gives them.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array, Blocks} of shape (n_samples, n_features)
            Counts.
        y : None
            Ignored.
        **options
            Further arguments of `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Scores.
        """
        blocks = self._blocks(X, reset=True)
        self._fit(blocks, options.get("image_shape"), options.get("pixels"))
        return times(blocks, self._projection)

    def transform(self, X: Any) -> Floats:
        """Score rows of counts with the channel scaling of the fit; rows of the fit get the scores of the model.

        Parameters
        ----------
        X : {array-like, sparse matrix, dask array, Blocks} of shape (n_samples, n_features)
            Counts.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Scores; channels that were empty in the fit are left out of account.
        """
        check_is_fitted(self)
        return times(self._blocks(X, reset=False), self._projection)

    def inverse_transform(self, X: Any) -> Floats:
        """Model of the counts from scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Scores.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Scores times loadings.
        """
        check_is_fitted(self)
        scores = np.asarray(X, np.float64)
        if scores.ndim != 2 or scores.shape[1] != len(self.components_):
            raise SsbmapsError(f"{SUBJECT}: scores of shape {scores.shape}; expected (n_samples, {len(self.components_)}).")
        return np.asarray(scores @ self.components_)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self.scaling is not None
        return tags

    def _blocks(self, X: Any, *, reset: bool) -> Any:
        """X as blocks of rows, checked."""
        if is_dask(X):
            if X.ndim != 2:
                raise SsbmapsError(f"{SUBJECT}: a dask array of shape {X.shape}; expected (n_samples, n_features).")
            dtype = np.float32 if np.can_cast(X.dtype, np.float32) else np.float64
            blocks: Any = chunk_blocks(X, np.ones(X.shape[0], bool), dtype)[0]
        elif hasattr(X, "visit"):
            blocks = X
        else:
            checked = validate_data(self, X, reset=reset, accept_sparse="csr", dtype="numeric")
            blocks = Blocks.of(checked, _narrow(checked))
        if is_dask(X) or blocks is X:
            if reset:
                self.n_features_in_ = int(blocks.shape[1])
            elif blocks.shape[1] != self.n_features_in_:
                raise SsbmapsError(f"{SUBJECT}: X has {blocks.shape[1]} features; expected {self.n_features_in_}, as in the fit.")
        (n_bad, n_negative, n_masked), _ = blocks.visit(_faults)
        with Faults(SUBJECT) as faults:
            faults.expect(not n_bad, f"{n_bad} NaN or infinite values; expected finite numbers (0 is a measured zero).")
            faults.expect(not n_masked, f"{n_masked} masked values; principal components need whole rows.")
            wrong = self.scaling is not None and n_negative > 0
            faults.expect(not wrong, f"Negative values in data passed to {SUBJECT}: {n_negative}. Poisson scaling needs counts.")
        return blocks

    def _fit(self, blocks: Any, image_shape: Sequence[int] | None, pixels: Any) -> None:
        from threadpoolctl import threadpool_limits

        self._check_options()
        pairs = self._pairs(blocks.shape[0], image_shape, pixels)
        seed = 0 if self.random_state is None else int(check_random_state(self.random_state).randint(2**31 - 1))
        with threadpool_limits(1, "blas"):  # so that its threads do not wait on the cores that the blocks need
            data = scale(blocks, poisson=self.scaling is not None)
            n = self._check_size(data)
            found = truncated_svd(data, n, route=self.route, tol=float(self.tol), seed=seed)
            self.noise_variance_ = noise_level(data, seed=seed) if self.noise else float("nan")
            self._keep(data, found, pairs, seed)
        if not found.converged:
            warnings.warn(
                f"{SUBJECT}: not converged after {found.n_passes} passes; eigenvalues are known to {found.bounds.max():.2g}, "
                f"tol={self.tol:g} was asked. Ask for another number of components, or a larger tol.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _keep(self, data: Scaled, found: Decomposed, pairs: Any, seed: int) -> None:
        """Rotate what was found, scale it back, and set the attributes."""
        s = np.sqrt(found.values)
        back = np.sqrt(data.column_sums) if self.scaling is not None else np.ones(data.shape[1])
        vectors = found.vectors * _signs(found.vectors.T * back)
        matrix = np.eye(len(s))
        if self.rotation is not None:
            scores = None
            if self.rotation in NEEDS_SCORES:
                scores = data.left[:, None] * times(data.blocks, data.right[:, None] * vectors)
            matrix = rotation_matrix(self.rotation, s, vectors, scores, pairs, seed=seed)
            matrix = matrix * _signs(np.linalg.inv(matrix) @ vectors.T * back)
        self.components_ = np.linalg.inv(matrix) @ vectors.T * back
        self.rotation_ = matrix
        self._projection = data.right[:, None] * (vectors @ matrix)
        self.singular_values_ = s
        self.explained_variance_ = found.values.copy() if self.rotation is None else carried(s, matrix)
        total = data.sum_of_squares
        self.explained_variance_ratio_ = self.explained_variance_ / total if total > 0 else np.zeros_like(s)
        self.error_bound_ = found.bounds
        self.route_, self.n_iter_ = found.route, found.n_passes

    def _check_options(self, subject: str = SUBJECT) -> None:
        with Faults(subject) as faults:
            faults.expect(self.scaling in ("poisson", None), f"scaling={self.scaling!r}; expected 'poisson' or None.")
            known = self.rotation is None or self.rotation in ROTATIONS
            faults.expect(known, f"rotation={self.rotation!r}; expected {', '.join(map(repr, ROTATIONS))} or None.")
            faults.expect(self.route in ROUTES, f"route={self.route!r}; expected {', '.join(map(repr, ROUTES))}.")
            good = isinstance(self.tol, (int, float, np.number)) and bool(np.isfinite(self.tol)) and self.tol >= 0
            faults.expect(good, f"tol={self.tol!r}; expected a number of 0 or more.")

    def _check_size(self, data: Scaled) -> int:
        """`n_components`, which must not be larger than the rank that the empty rows and columns leave."""
        n, most = self.n_components, min(data.filled)
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= most:
            raise SsbmapsError(
                f"{SUBJECT}: n_components={n!r}; expected a whole number from 1 to {most}, as {data.filled[0]} of n_samples="
                f"{data.shape[0]} rows and {data.filled[1]} of n_features={data.shape[1]} channels hold any signal."
            )
        return int(n)

    def _pairs(self, n_rows: int, image_shape: Sequence[int] | None, pixels: Any) -> Any:
        """Rows that are neighbours in the image, where the rotation needs them."""
        if self.rotation not in ("maf", "mnf"):
            return None
        if image_shape is None or len(image_shape) < 2:
            raise SsbmapsError(f"{SUBJECT}: rotation {self.rotation!r} needs image_shape=(…, y, x), got {image_shape!r}.")
        size = int(np.prod(image_shape))
        places = np.arange(size) if pixels is None else np.asarray(pixels, np.int64)
        if places.shape != (n_rows,) or len(np.unique(places)) != n_rows or places.min() < 0 or places.max() >= size:
            raise SsbmapsError(
                f"{SUBJECT}: image_shape={tuple(image_shape)} has {size} pixels, X has {n_rows} rows; "
                "expected one row per pixel, or in `pixels` the place of each row."
            )
        return neighbours(image_shape, places)


def _signs(loadings: Floats) -> Floats:
    """+1 or −1 for each row (C, K), so that its number of largest magnitude gets positive."""
    largest = loadings[np.arange(len(loadings)), np.argmax(np.abs(loadings), axis=1)]
    return np.where(largest < 0, -1.0, 1.0)


def _narrow(matrix: Any) -> DTypeLike:
    """The narrowest of float32 and float64 that holds the values exactly."""
    values = matrix.data if hasattr(matrix, "indptr") else np.asarray(matrix)
    if values.dtype.kind == "f":
        return np.float32 if values.dtype.itemsize <= 4 else np.float64
    small = values.size == 0 or (int(values.max()) <= EXACT and int(values.min()) >= -EXACT)
    return np.float32 if small else np.float64


def _faults(block: Any, _: Any) -> tuple[tuple[int, int, int], None]:
    """How many values are broken, negative, masked."""
    n_bad, n_negative = 0, 0
    if block.values.dtype.kind == "f" and not np.isfinite(block.values.sum(dtype=np.float64)):
        n_bad = int(np.count_nonzero(~np.isfinite(block.values)))
    if block.values.dtype.kind != "u" and block.values.min(initial=0) < 0:
        n_negative = int(np.count_nonzero(block.values < 0))
    return (n_bad, n_negative, len(block.masked[0])), None
