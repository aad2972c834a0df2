"""Whether the maps really belong together where they were found to fit: held-out evidence, block by block.

Half of the blocks, like the white fields of a chess board, give the joint histograms by which the black ones are judged, and the
other way round. Where two maps belong together the held-out log odds of practically every block are above zero; where they do
not, even at the best of all placements those of a good part are below. The sign is counted and not the size: it is blind to how
much there is to see in a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._map_error import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._mutual import Criterion

    Floats = NDArray[np.float64]

_ALONG = 10  # blocks along a side
_PRIOR = 0.02  # share of the product of the margins that is mixed into a histogram, so that no odds are infinite
_FULL = 0.1  # share of a block's pixels that must count


@dataclass(frozen=True)
class Support:
    """How many blocks there are, for how many the held-out evidence is above zero, and its mean in nats per pixel."""

    positive: int
    blocks: int
    evidence: float

    @property
    def share(self) -> float:
        """Of blocks that speak for the map."""
        return self.positive / max(self.blocks, 1)

    def chance(self, trials: float) -> float:
        """How often the best of `trials` placements, each block even for or against, would have as many for it (Bonferroni)."""
        from scipy.stats import binom

        return float(min(trials * binom.sf(self.positive - 1, self.blocks, 0.5), 1.0))


def support(at: Criterion, g: Floats) -> Support:
    """The support of the map G."""
    block = blocks(at, _ALONG)
    side = (block // _ALONG + block % _ALONG) % 2
    evidence, number = np.zeros(_ALONG**2), np.zeros(_ALONG**2)
    for half in (0, 1):
        others = at.on(side != half)
        tables = [_odds(p.histogram) for p in others.placed(g)]
        value, _, n = at.scores(g, tables, np.where(side == half, block, -1))
        evidence[: value.shape[1]] += value.sum(axis=0)
        number[: n.shape[1]] += n[0]
    used = number > _FULL * block.size / _ALONG**2
    mine = evidence[used]
    return Support(int((mine > 0).sum()), int(used.sum()), float(mine.sum() / max(number[used].sum(), 1)))


def _odds(histogram: Floats) -> Floats:
    """Log odds of a histogram with a little of its margins' product mixed in."""
    total = max(histogram.sum(), 1e-300)
    margins = histogram.sum(axis=1, keepdims=True) * histogram.sum(axis=0, keepdims=True) / total
    mixed = (1 - _PRIOR) * histogram + _PRIOR * margins + 1e-9
    return np.asarray(np.log(mixed / np.maximum(margins, 1e-9)))
