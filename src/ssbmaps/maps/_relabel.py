"""Draws labels, pixel by pixel, from how well they explain the maps when seen through the beam, on arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._beam_model import BLOCK, FINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ssbmaps.maps._beam_model import Beam, Levels

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int16]

EDGE_COST = 5.0  # nats per pixel length of edge between two labels


class Draws:
    """Label maps drawn one after the other by Gibbs sampling: ½ Σ weight (values − seen)² + the cost of their edges.

    `weigh` gives the inverse variance of the `values` (F, y, x), 0 where not measured, from what the labels let expect. Labels
    lie on the fine grid. Each that an edge is near is drawn from its probability given all others, row by row; those of
    unmeasured pixels stay. The labels have a border of −1; `pull` is weight × residual / reach and `grip` weight / reach², with
    the beam's radius as margins.
    """

    def __init__(self, labels: Labels, values: Floats, weigh: Callable[[Floats], Floats], levels: Levels, beam: Beam) -> None:
        seen = beam.seen(labels, levels.local)
        weight = weigh(seen)
        pull = weight * (values - seen) / beam.reach
        self._labels, self._beam = np.pad(labels, 1, constant_values=-1), beam
        self._pull, self._grip = _in_fours(pull, beam.radius), _in_fours(weight / beam.reach**2, beam.radius)
        spare = -levels.local.shape[-1] % 4
        self._levels = np.pad(levels.local, [(0, 0)] * 3 + [(0, spare)])

    def next(self, rng: np.random.Generator, *, everywhere: bool = False) -> Labels:
        """Labels after one more sweep over the pixels near edges, or all of them."""
        from ssbmaps.maps._compiled import visit

        beam = self._beam
        chance = rng.random([n - 2 for n in self._labels.shape], dtype=np.float32)
        fixed = (self._grip, self._levels, BLOCK, beam.measured, beam.along_y, beam.along_x)
        visit(self._labels, self._pull, *fixed, chance, EDGE_COST / FINE, everywhere)
        return self._labels[1:-1, 1:-1].copy()


def _in_fours(values: Floats, radius: tuple[int, int]) -> Floats:
    """(F, y, x) as (groups, y, x, 4) with margins; what is added is 0."""
    padded = np.pad(values, [(0, -len(values) % 4), *((r, r) for r in radius)])
    return np.ascontiguousarray(np.moveaxis(padded.reshape(-1, 4, *padded.shape[1:]), 1, -1))
