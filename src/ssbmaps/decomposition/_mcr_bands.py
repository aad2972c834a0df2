"""How much of the signal two components can pass to one another without the fit becoming worse: rotational ambiguity, in part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.decomposition._mcr_solve import Problem, Side

    Floats = NDArray[np.float64]

CHI_SQUARE = 3.841  # 95 % quantile for one parameter
_DOUBLINGS = 60


def bands(problem: Problem, w: Floats, h: Floats, variance: float) -> tuple[Floats, Floats, Floats]:
    """Share (C,) of each component in the model, and the lowest and highest that mixing it with any one other allows.

    The spectrum of `a` gives t times that of `b` away, and the abundance of `b` takes t times that of `a` in exchange, or the
    other way round: the model stays the same. t ends where clipping what has become negative, or what is known to be 0, raises
    the weighted squared error by 3.84 times its `variance` per value. `w` is (P, C), `h` (C, K), both non-negative.
    """
    a, b = problem.row_weights, problem.column_weights
    sums = w.sum(axis=0)[:, None] * h.sum(axis=1)[None, :]  # [a, b]: what passes at t = 1
    share = np.diag(sums) / max(float(np.trace(sums)), np.finfo(float).tiny)
    low, high = share.copy(), share.copy()
    limit = CHI_SQUARE * variance
    length_w, length_h = a @ w**2, h**2 @ b
    for i in range(len(h)):
        for j in range(len(h)):
            if i == j or i in problem.spectra.fixed or not (length_w[i] and length_h[j]):
                continue
            banned = [
                length_w[i] * float(b @ (h[j] * _known(problem.spectra, i, h.shape[1])) ** 2),
                length_h[j] * float(a @ (w[:, i] * _known(problem.abundance, j, len(w))) ** 2),
            ]
            passed = sums[i, j] / max(float(np.trace(sums)), np.finfo(float).tiny)
            given = _furthest(h[i], h[j], b, length_w[i], sum(banned), limit) * passed
            taken = _furthest(w[:, j], w[:, i], a, length_h[j], sum(banned), limit) * passed
            low[i], high[j] = min(low[i], share[i] - given), max(high[j], share[j] + given)
            high[i], low[j] = max(high[i], share[i] + taken), min(low[j], share[j] - taken)
    return share, np.clip(low, 0, 1), np.clip(high, 0, 1)


def _known(side: Side, c: int, n: int) -> Floats:
    return np.zeros(n) if side.zero is None else side.zero[c].astype(np.float64)


def _furthest(giver: Floats, taker: Floats, weights: Floats, length: float, banned: float, limit: float) -> float:
    """Largest t for which length · Σ weights (t taker − giver)₊² + banned · t² stays within `limit`."""

    def rise(t: float) -> float:
        return length * float(weights @ np.maximum(t * taker - giver, 0.0) ** 2) + banned * t * t

    # No further than where the giver would have given all it has.
    end = float(giver.sum() / taker.sum())
    if rise(end) <= limit:
        return end
    start = 0.0
    for _ in range(_DOUBLINGS):
        middle = (start + end) / 2
        start, end = (middle, end) if rise(middle) <= limit else (start, middle)
    return start
