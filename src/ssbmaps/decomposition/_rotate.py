"""Other axes for the same model: varimax, promax, independent components and maximum autocorrelation factors.

Singular vectors are orthogonal and ordered by variance, which phases are not. Each rotation is an invertible matrix M that
makes scores T M and loadings M⁻¹ L; their product stays T L.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROTATIONS = ("varimax", "promax", "ica", "maf", "mnf")
NEEDS_SCORES = ("ica", "maf", "mnf")
POWER = 4  # of promax, as Hendrickson and White found it to serve


def varimax(loadings: Floats, *, max_iter: int = 1000, tol: float = 1e-12) -> Floats:
    """Orthogonal matrix (C, C) that makes the squared loadings (K, C) @ matrix vary most within each column.

    Kaiser, Psychometrika 23 (1958) 187, doi:10.1007/BF02289233; without normalisation of the rows.
    """
    rotation = np.eye(loadings.shape[1])
    reached = 0.0
    for _ in range(max_iter):
        turned = loadings @ rotation
        u, s, vt = np.linalg.svd(loadings.T @ (turned**3 - turned * np.mean(turned**2, axis=0)))
        rotation = u @ vt
        if s.sum() <= reached * (1 + tol):
            break
        reached = float(s.sum())
    return rotation


def promax(loadings: Floats) -> Floats:
    """Invertible matrix (C, C): varimax, then each axis turned by itself towards the loadings' fourth powers.

    Hendrickson and White, Br. J. Stat. Psychol. 17 (1964) 65, doi:10.1111/j.2044-8317.1964.tb00244.x.
    """
    rotation = varimax(loadings)
    simple = loadings @ rotation
    towards = np.linalg.lstsq(simple, simple * np.abs(simple) ** (POWER - 1), rcond=None)[0]
    towards = towards * np.sqrt(np.diag(np.linalg.inv(towards.T @ towards)))
    return np.asarray(rotation @ towards)


def independent(scores: Floats, *, seed: int) -> Floats:
    """Unmixing matrix (C, C) of scores (P, C): the maps scores @ matrix are as independent as FastICA makes them.

    Hyvärinen and Oja, Neural Netw. 13 (2000) 411, doi:10.1016/S0893-6080(00)00026-5; from scikit-learn. The mean is taken off
    to find the matrix only.
    """
    from sklearn.decomposition import FastICA

    model = FastICA(whiten="unit-variance", whiten_solver="eigh", random_state=seed, max_iter=1000)
    return np.asarray(model.fit(scores).components_).T


def autocorrelated(scores: Floats, pairs: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Floats:
    """Matrix (C, C) whose maps scores @ matrix differ least between neighbours for their variance, smoothest first.

    Switzer and Green's factors (1984). With the noise taken from the same differences they are the minimum noise fractions
    of Green et al., IEEE Trans. Geosci. Remote Sens. 26 (1988) 65, doi:10.1109/36.3001.
    """
    from scipy.linalg import LinAlgError, eigh

    first, second = pairs
    if not len(first):
        raise SsbmapsError("rotation 'maf': no two measured pixels are neighbours.")
    differences = scores[first] - scores[second]
    try:
        _, matrix = eigh(differences.T @ differences / len(first), np.atleast_2d(np.cov(scores, rowvar=False, ddof=0)))
    except LinAlgError:
        raise SsbmapsError("rotation 'maf': the scores of a component do not vary; ask for fewer components.") from None
    return np.asarray(matrix)


def neighbours(shape: Sequence[int], pixels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which rows are neighbours along y or x: `pixels` are the rows' places in an image (…, y, x) of `shape`, flattened."""
    row_of = np.full(int(np.prod(shape)), -1)
    row_of[pixels] = np.arange(len(pixels))
    image = row_of.reshape(shape)
    both = [(image[..., :-1, :], image[..., 1:, :]), (image[..., :-1], image[..., 1:])]
    first, second = (np.concatenate([pair[side].ravel() for pair in both]) for side in (0, 1))
    measured = (first >= 0) & (second >= 0)
    return first[measured], second[measured]


def rotation_matrix(
    kind: str,
    singular_values: Floats,
    vectors: Floats,
    scores: Floats | None,
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
    *,
    seed: int,
) -> Floats:
    """M (C, C) for scores U diag(s) and right vectors (K, C) of scaled data; rows of M⁻¹ have length 1.

    "varimax" and "promax" make loadings simple that are scaled by the singular values, on scores of equal length; they need no
    scores. By descending variance, "maf" by descending autocorrelation; that alone needs pairs of neighbours.
    """
    s = singular_values
    if s[-1] <= 1e-7 * s[0]:
        raise SsbmapsError(f"rotation {kind!r}: component {len(s)} holds nothing; ask for fewer components.")
    if scores is None:
        turn = (varimax if kind == "varimax" else promax)(vectors * s)
        matrix = np.linalg.inv(turn).T / s[:, None]
    else:
        matrix = independent(scores, seed=seed) if pairs is None else autocorrelated(scores, pairs)
    matrix = matrix * np.linalg.norm(np.linalg.inv(matrix), axis=1)
    order = np.argsort(-carried(s, matrix), kind="stable") if pairs is None else slice(None)
    return np.asarray(matrix[:, order])


def carried(singular_values: Floats, matrix: Floats) -> Floats:
    """Sum of squares of each component's own part t lᵀ of the scaled model, for M (C, C)."""
    scores = np.sum((singular_values[:, None] * matrix) ** 2, axis=0)
    return np.asarray(scores * np.sum(np.linalg.inv(matrix) ** 2, axis=1))
