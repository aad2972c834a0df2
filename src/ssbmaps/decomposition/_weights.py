"""Weights and masks of a fit: a weighted divergence is the plain one of weighted counts, and a masked value is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults
from ssbmaps.decomposition._blocks import Block, Blocks, compact, split

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of rows (P,) and channels (K,), and a mask (P, K) that is true where a value is not to be used; None for none."""

    rows: Any = None
    channels: Any = None
    mask: Any = None

    def checked(self, shape: tuple[int, int], subject: str) -> Weights:
        """Weights as float64 of the right length, the mask as CSR."""
        from scipy.sparse import csr_array

        vectors = []
        with Faults(subject) as faults:
            for name, given, n in (("row_weight", self.rows, shape[0]), ("channel_weight", self.channels, shape[1])):
                vector = None if given is None else np.asarray(given, np.float64)
                fits = vector is None or vector.shape == (n,)
                faults.expect(fits, f"{name} has shape {np.shape(given)}; expected ({n},).")
                good = not fits or vector is None or bool(np.all(np.isfinite(vector)) and vector.min() >= 0 and vector.max() > 0)
                faults.expect(
                    good, f"{name} holds negative, NaN or infinite values, or none above 0; expected weights of 0 or more."
                )
                vectors.append(vector)
            mask = None if self.mask is None else csr_array(self.mask)
            faults.expect(mask is None or mask.shape == shape, f"mask has shape {np.shape(self.mask)}; expected {shape}.")
        if mask is not None:
            mask = mask.astype(bool)
            mask.eliminate_zeros()
        return Weights(vectors[0], vectors[1], mask if mask is not None and mask.nnz else None)

    def spectra(self, h: Floats) -> Floats:
        """Spectra (C, K) as the weighted counts see them."""
        return h if self.channels is None else np.nan_to_num(h) * self.channels

    def unweighted(self, w: NDArray[Any], h: Floats) -> tuple[NDArray[Any], Floats]:
        """Abundances (P, C) in counts, and spectra of sum 1 (NaN at channels of no weight), from those of the weighted counts.

        Rows of no weight are NaN.
        """
        if self.rows is not None:
            scale = np.divide(1, self.rows, out=np.full_like(self.rows, np.nan), where=self.rows > 0)
            w = w * scale[:, None].astype(w.dtype)
        if self.channels is not None:
            h = h * np.divide(1, self.channels, out=np.full_like(self.channels, np.nan), where=self.channels > 0)
            total = np.nansum(h, axis=1)
            w, h = w * total.astype(w.dtype), h / np.where(total > 0, total, 1)[:, None]
        return w, h

    def of_rows(self, rows: Any) -> Weights:
        """Those of some rows."""
        return Weights(
            None if self.rows is None else self.rows[rows], self.channels, None if self.mask is None else self.mask[rows]
        )


def weighted_block(matrix: Any, weights: Weights, dtype: DTypeLike) -> Block:
    """A scipy sparse or dense matrix (P, K) with its weights multiplied in and its masked values left out."""
    from scipy.sparse import csr_array

    if weights.rows is None and weights.channels is None and weights.mask is None:
        return compact(matrix, dtype)
    csr = csr_array(matrix, dtype=np.float64, copy=True)
    csr.sum_duplicates()
    if weights.rows is not None:
        csr.data *= np.repeat(weights.rows, np.diff(csr.indptr))
    if weights.channels is not None:
        csr.data *= weights.channels[csr.indices]
    if weights.mask is None:
        return compact(csr, dtype)
    block, mask = compact(csr - csr.multiply(weights.mask), dtype), compact(weights.mask.astype(np.uint8), np.uint8)
    return Block(block.values, block.columns, block.starts, block.n_columns, (mask.columns.astype(np.uint32), mask.starts))


def weighted_blocks(matrix: Any, weights: Weights, dtype: DTypeLike) -> Blocks:
    """`weighted_block`, in parts."""
    return Blocks.of_parts(split(weighted_block(matrix, weights, dtype)))
