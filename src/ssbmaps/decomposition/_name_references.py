"""Cosines of components with reference spectra, and which references counting cannot tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DRAWS = 400


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosines (C, R) with the ends of their 95 % intervals, and whether a reference is as good as the best (C, R)."""

    cosine: Floats
    low: Floats
    high: Floats
    alike: NDArray[np.bool_]


def likeness(spectra: Floats, references: Floats, counts: Floats | None, rng: np.random.Generator) -> Likeness:
    """Compare non-negative spectra (C, K) with references (R, K); `counts` (C,) of each component give the intervals.

    Spectra are drawn again from their own counts; a reference is as good as the best where the interval of the difference of
    their cosines reaches 0. Without counts intervals are NaN, and only the best itself is as good.
    """
    cosine = _cosines(spectra, references)
    low, high = np.full(cosine.shape, np.nan), np.full(cosine.shape, np.nan)
    best = cosine.argmax(axis=1)
    alike = np.arange(cosine.shape[1]) == best[:, None]
    for c, spectrum in enumerate(spectra):
        if counts is None or not spectrum.sum() > 0 or not counts[c] >= 1:
            continue
        shares = np.tile(spectrum / spectrum.sum(), (DRAWS, 1))
        drawn = _cosines(rng.poisson(shares * counts[c]).astype(np.float64), references)
        drawn += cosine[c] - drawn.mean(axis=0)  # noise lowers every cosine
        low[c], high[c] = np.clip(np.quantile(drawn, (0.025, 0.975), axis=0), -1, 1)
        behind = np.quantile(drawn[:, [best[c]]] - drawn, 0.025, axis=0)
        alike[c] |= behind <= 0
    return Likeness(cosine, low, high, alike)


def _cosines(first: Floats, second: Floats) -> Floats:
    lengths = np.linalg.norm(first, axis=1)[:, None] * np.linalg.norm(second, axis=1)
    return np.asarray(np.divide(first @ second.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0))
