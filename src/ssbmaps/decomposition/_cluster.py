"""Blocks of rows that lie on the workers of a dask.distributed cluster."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from operator import getitem
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.decomposition._blocks import Visitor

AT_A_TIME = 8  # blocks whose results are fetched together
LARGE = 1 << 16  # bytes of a shared array from which on it is sent to each worker once


def current_client() -> Any:
    """The dask.distributed client that is in use, or None."""
    if "distributed" not in sys.modules:
        return None
    from distributed import get_client

    try:
        return get_client()
    except ValueError:
        return None


@dataclass(slots=True)
class ClusterBlocks:
    """As `Blocks`, with blocks and states as futures of a cluster; what is lost with a worker is computed again."""

    client: Any
    sources: list[Any]
    sizes: list[int]
    n_columns: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return sum(self.sizes), self.n_columns

    def visit(self, function: Visitor, state: Sequence[Any] | None = None, *shared: Any) -> tuple[tuple[Any, ...], list[Any]]:
        """As `Blocks.visit`."""
        states = [None] * len(self.sources) if state is None else state
        sent = [self._sent(value) for value in shared]
        pairs = [
            self.client.submit(function, source, one, *sent, pure=False) for source, one in zip(self.sources, states, strict=True)
        ]
        total: tuple[Any, ...] | None = None
        for first in range(0, len(pairs), AT_A_TIME):
            some = [self.client.submit(getitem, pair, 0, pure=False) for pair in pairs[first : first + AT_A_TIME]]
            for results in self.client.gather(some):
                total = results if total is None else tuple(a + b for a, b in zip(total, results, strict=True))
        return total or (), [self.client.submit(getitem, pair, 1, pure=False) for pair in pairs]

    def scatter(self, array: NDArray[Any]) -> list[Any]:
        """(P, …) rows as one state per block."""
        return self.place(np.split(array, np.cumsum(self.sizes)[:-1]))

    def gather(self, state: Sequence[Any]) -> NDArray[Any]:
        """The states of all blocks as (P, …) rows."""
        return np.concatenate(self.collect(state))

    def like(self, blocks: Sequence[Any]) -> ClusterBlocks:
        """Other blocks of the same shape, as futures."""
        return ClusterBlocks(self.client, list(blocks), self.sizes, self.n_columns)

    def place(self, states: Sequence[Any]) -> list[Any]:
        """One state per block, where the blocks are."""
        return list(self.client.scatter(list(states), hash=False))

    def collect(self, states: Sequence[Any]) -> list[Any]:
        """States as they are here."""
        return list(self.client.gather(list(states)))

    def _sent(self, value: Any) -> Any:
        large = isinstance(value, np.ndarray) and value.nbytes >= LARGE
        return self.client.scatter(value, broadcast=True, hash=False) if large else value
