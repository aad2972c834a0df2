"""Largest eigenpairs of a symmetric operator by block Lanczos iteration with full orthogonalisation and thick restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BLOCK = 8  # vectors that go through the operator at a time
BASIS = 1 << 30  # bytes that the basis and its image may take together
FLOOR = 1e-14  # residuals below this share of the largest eigenvalue are rounding


@dataclass(frozen=True, slots=True)
class Eigenpairs:
    """Eigenvalues, descending; vectors (K, n); bounds of their relative errors; products taken; whether all are as asked."""

    values: Floats
    vectors: Floats
    bounds: Floats
    n_products: int
    converged: bool


def largest_eigenpairs(
    operator: Callable[[Floats], Floats], size: int, n: int, *, tol: float, max_products: int, seed: int, start: Floats
) -> Eigenpairs:
    """The `n` largest eigenvalues of a positive semi-definite operator that maps (size, BLOCK) arrays, and their vectors.

    Iteration stops when each residual norm, which bounds the error of its eigenvalue, is at most `tol` times the eigenvalue
    (or rounding), or after `max_products` products. `start` (size, m ≤ BLOCK) are the first
    vectors tried; the others are drawn. An eigenvalue of which no vector of the start knows anything would be missed; a drawn
    start knows of all with probability one.
    """
    rng = np.random.default_rng(seed)
    most = min(size, max(BASIS // (16 * size), 3 * n + 4 * BLOCK))
    basis, image = (np.empty((size, most), order="F") for _ in range(2))
    projected = np.zeros((most, most))
    drawn = rng.standard_normal((size, BLOCK - start.shape[1]))
    block = _orthonormal(np.hstack([start, drawn])[:, :most], basis[:, :0], rng)
    n_products, m = 0, 0
    while True:
        product = operator(_padded(block))[:, : block.shape[1]]
        n_products += 1
        new = slice(m, m + block.shape[1])
        m = new.stop
        basis[:, new], image[:, new] = block, product
        projected[:m, new] = basis[:, :m].T @ product
        projected[new, :m] = projected[:m, new].T
        values, turn = np.linalg.eigh(projected[:m, :m])
        values, turn = values[::-1], turn[:, ::-1]
        if m >= n:
            vectors = basis[:, :m] @ turn[:, :n]
            residual = np.linalg.norm(image[:, :m] @ turn[:, :n] - vectors * values[:n], axis=0)
            converged = bool((residual <= np.maximum(tol * values[:n], FLOOR * values[0])).all())
            if converged or m == size or n_products >= max_products:
                return Eigenpairs(np.maximum(values[:n], 0), vectors, relative(residual, values[:n]), n_products, converged)
        block = _orthonormal(product[:, : size - m], basis[:, :m], rng)
        if m + block.shape[1] > most:  # the basis is full: keep the better half of what has come out, and go on from there
            kept = turn[:, : (most + n) // 2]
            m = kept.shape[1]
            basis[:, :m], image[:, :m] = basis[:, : len(kept)] @ kept, image[:, : len(kept)] @ kept
            projected[:m, :m] = np.diag(values[:m])


def relative(residuals: Floats, values: Floats) -> Floats:
    """Residuals over their eigenvalues; infinite where an eigenvalue is zero and its residual is not."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(residuals > 0, residuals / np.maximum(values, 0), 0.0)


def _orthonormal(vectors: Floats, basis: Floats, rng: np.random.Generator) -> Floats:
    """Orthonormal vectors for the part of `vectors` that lies outside `basis`; random ones where nothing is left of it."""
    for _ in range(3):
        before = np.linalg.norm(vectors, axis=0).max(initial=0.0)
        for _ in range(2):
            vectors = vectors - basis @ (basis.T @ vectors)
        orthogonal, triangle = np.linalg.qr(vectors)
        lost = np.abs(np.diag(triangle)) <= 1e-14 * before
        if not lost.any():
            break
        vectors[:, lost] = before * rng.standard_normal((len(vectors), int(lost.sum())))
    orthogonal = orthogonal - basis @ (basis.T @ orthogonal)
    return np.linalg.qr(orthogonal)[0]


def _padded(block: Floats) -> Floats:
    """(K, m) as C-contiguous (K, BLOCK), zeros behind."""
    if block.shape[1] == BLOCK:
        return np.ascontiguousarray(block)
    full = np.zeros((len(block), BLOCK))
    full[:, : block.shape[1]] = block
    return full
