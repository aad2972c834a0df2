"""Components of one factorisation beside those of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def matched(first: NDArray[Any], second: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each row of `first` (k, K) its own row of `second`, all cosines together as large as can be; and the cosines."""
    from scipy.optimize import linear_sum_assignment

    unit = [np.asarray(a, float) / np.maximum(np.linalg.norm(a, axis=1, keepdims=True), 1e-300) for a in (first, second)]
    cosine = unit[0] @ unit[1].T
    rows, partner = linear_sum_assignment(-cosine)
    return partner, cosine[rows, partner]


def agreement(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The lowest cosine of matched spectra."""
    return float(matched(first, second)[1].min(initial=1.0))
