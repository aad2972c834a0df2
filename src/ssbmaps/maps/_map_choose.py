"""The simplest kind of map that explains what it was not fitted to as well as richer ones do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._map_error import BLOCKS, blocks
from ssbmaps.maps._map_fit import climb, model_at
from ssbmaps.maps._map_models import MODELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._map_fit import Fitted

    Floats = NDArray[np.float64]

_CLEAR = 2.0  # standard errors


def simplest(fit: Fitted) -> str:
    """Kind of map, by held-out log odds: fitted on the white blocks of a chess board, judged on the black ones, and back."""
    evidence = {name: _held_out(fit, name) for name in MODELS}
    best = max(MODELS, key=lambda name: float(evidence[name].sum()))
    for name in MODELS:  # from the simplest
        short = evidence[best] - evidence[name]
        used = short != 0
        error = short[used].std(ddof=1) * np.sqrt(used.sum()) if used.sum() > 1 else 0.0
        if short.sum() <= _CLEAR * error:
            return name
    return best


def _held_out(fit: Fitted, name: str) -> Floats:
    """Log odds by block under the map and the histograms of the other half."""
    at, block = fit.criterion, blocks(fit.criterion)
    side = (block // BLOCKS + block % BLOCKS) % 2
    result = np.zeros(BLOCKS**2)
    for half in (0, 1):
        others = at.on(side != half)
        model = model_at(name, at)
        q, _ = climb(others, model, fit.matrix)
        g, _ = model.map(q)
        value, _, _ = at.scores(g, others.tables(g), np.where(side == half, block, -1))
        result[: value.shape[1]] += value.sum(axis=0)
    return result
