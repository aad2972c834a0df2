"""A dask array's chunks as blocks: gathered here, kept in temporary files if they are large, or left on a cluster's workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_csr
from ssbmaps.decomposition._blocks import MEMORY, Block, Blocks, gather_blocks, in_order
from ssbmaps.decomposition._cluster import ClusterBlocks, current_client
from ssbmaps.decomposition._weights import Weights, weighted_block

AnyBlocks = Blocks | ClusterBlocks

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


def chunk_blocks(
    data: Any, used: NDArray[np.bool_], dtype: DTypeLike, *, weights: Weights | None = None, memory: int = MEMORY
) -> tuple[AnyBlocks, NDArray[np.int64]]:
    """Blocks of the pixels `used` (flat, C order) of a dask array (…, K), and the numbers of their rows' pixels.

    Rows come in the order of the pixels if all fit into `memory` bytes, else chunk by chunk.
    """
    whole = data.rechunk({data.ndim - 1: -1})
    numbers = np.arange(used.size).reshape(whole.shape[:-1])
    tasks, rows = [], []
    for where in np.ndindex(*whole.numblocks[:-1]):
        edges = [np.cumsum([0, *sizes]) for sizes in whole.chunks[:-1]]
        part = tuple(slice(e[i], e[i + 1]) for e, i in zip(edges, where, strict=True))
        pixels = numbers[part].ravel()
        kept = np.flatnonzero(used[pixels])
        if len(kept):
            rows.append(pixels[kept])
            own = weights.of_rows(rows[-1]) if weights is not None else Weights()
            tasks.append((whole.blocks[where], kept if len(kept) < len(pixels) else None, own))
    client = current_client()
    if client is not None:
        sources = [client.submit(_computed, client.compute(chunk), kept, own, dtype, pure=False) for chunk, kept, own in tasks]
        return ClusterBlocks(client, sources, [len(r) for r in rows], int(data.shape[-1])), np.concatenate(rows)

    def block(i: int) -> Block:
        chunk, kept, own = tasks[i]
        return _computed(chunk.compute(scheduler="synchronous"), kept, own, dtype)

    return gather_blocks(in_order(block, len(tasks)), rows, memory=memory)


def _computed(chunk: Any, kept: NDArray[np.int64] | None, weights: Weights, dtype: DTypeLike) -> Block:
    """A chunk (…, K) as a block of the rows `kept`, all if None."""
    from scipy.sparse import csr_array

    matrix = to_csr(chunk)
    return weighted_block(matrix if kept is None else csr_array(matrix[kept]), weights, dtype)
