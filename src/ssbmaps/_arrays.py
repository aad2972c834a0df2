"""Dense, sparse and dask containers behind one door: private kernels, no dimension names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray
    from scipy.sparse import csr_array


def is_dask(data: Any) -> bool:
    """Whether `data` is a dask array, without importing dask."""
    return type(data).__module__.startswith("dask.")


def is_sparse(data: Any) -> bool:
    """Whether `data` is a `sparse.COO` (or another `sparse` container), or dask blocks of one."""
    kind = getattr(data, "_meta", data) if is_dask(data) else data
    return type(kind).__module__.startswith("sparse.")


def to_dense(data: Any) -> NDArray[Any]:
    """Compute and densify any container to a numpy array."""
    if is_dask(data):
        data = data.compute(scheduler="threads")
    if is_sparse(data):
        data = data.todense()
    return np.asarray(data)


def sum_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Type in which sums accumulate: int64 for every kind of integer, float64 for floats."""
    return np.dtype(np.int64) if np.dtype(dtype).kind in "iub" else np.dtype(np.float64)


def to_csr(data: Any) -> csr_array:
    """(…, K) array of any container as CSR of shape (pixels, K), pixels in C order; dtype kept, no duplicates."""
    from scipy.sparse import coo_array, csr_array, vstack

    if is_dask(data):
        data = data.rechunk({data.ndim - 1: -1})
        if data.npartitions > 1 and all(n == 1 for n in data.numblocks[1:]):
            return csr_array(vstack([to_csr(block.compute(scheduler="threads")) for block in data.blocks], format="csr"))
        data = data.compute(scheduler="threads")
    n_channels = data.shape[-1]
    n_pixels = int(np.prod(data.shape[:-1], dtype=np.int64))
    if not is_sparse(data):
        return csr_array(np.asarray(data).reshape(n_pixels, n_channels))
    flat = data.reshape((n_pixels, n_channels))
    flat = flat.tocoo() if hasattr(flat, "tocoo") else flat
    return csr_array(coo_array((flat.data, (flat.coords[0], flat.coords[1])), shape=(n_pixels, n_channels)))


def from_csr(matrix: csr_array, shape: Sequence[int]) -> Any:
    """CSR of shape (pixels, K) as `sparse.COO` of `shape` (…, K), fill value 0, dtype kept."""
    import sparse

    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    leading = np.unravel_index(rows, tuple(shape[:-1])) if len(shape) > 1 else ()
    coords = np.vstack([*(np.asarray(c, np.int64) for c in leading), np.asarray(matrix.indices, np.int64)[None, :]])
    return sparse.COO(coords, matrix.data, shape=tuple(shape), has_duplicates=False, sorted=bool(matrix.has_sorted_indices))


def window_sums(data: Any, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> Any:
    """Sum channels [start, stop) of a (…, K) array for F windows: dense (…, F), or dask blocks of it; 64-bit sums."""
    if is_dask(data):
        whole = data.rechunk({data.ndim - 1: -1})
        return whole.map_blocks(
            window_sums,
            starts,
            stops,
            dtype=sum_dtype(data.dtype),
            chunks=(*whole.chunks[:-1], (len(starts),)),
            meta=np.empty((0,) * data.ndim, sum_dtype(data.dtype)),
        )
    if is_sparse(data):
        return _sparse_window_sums(data, starts, stops)
    result = np.empty((*data.shape[:-1], len(starts)), sum_dtype(data.dtype))
    for i, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        result[..., i] = data[..., start:stop].sum(axis=-1, dtype=result.dtype)
    return result


def _sparse_window_sums(data: Any, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[Any]:
    from scipy.sparse import csr_array

    matrix = to_csr(data).astype(sum_dtype(data.dtype))
    widths = np.maximum(stops - starts, 0)
    columns = np.repeat(np.arange(len(starts)), widths)
    within = np.arange(widths.sum()) - np.repeat(np.cumsum(widths) - widths, widths)
    rows = np.repeat(starts, widths) + within
    indicator = csr_array((np.ones(len(rows), matrix.dtype), (rows, columns)), shape=(data.shape[-1], len(starts)))
    return np.asarray((matrix @ indicator).todense()).reshape(*data.shape[:-1], len(starts))
