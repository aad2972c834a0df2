"""Sparse variables in a store: their CSR parts, appended block by block, and put together again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import from_csr, is_dask, is_sparse, to_csr
from ssbmaps._errors import FormatError, SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

_CHUNK = 1 << 20  # values in one chunk of a part: 4 or 8 MB before compression
PARTS = ("data", "indices", "indptr")


def part_name(variable: str, part: str) -> str:
    """Name of a part in the store."""
    return f"{variable}_csr_{part}"


def part_dim(variable: str, part: str) -> str:
    """Dimension of a part: stored values, or rows and one."""
    return f"{variable}_csr_{'row' if part == 'indptr' else 'value'}"


def is_sparse_variable(variable: Any) -> bool:
    """Whether a variable's container is sparse, or dask blocks of it. Does not compute anything."""
    return is_sparse(variable._data if hasattr(variable, "_data") else variable.data)


def row_blocks(data: Any, subject: str) -> Iterator[csr_array]:
    """The container as CSR over (all but the last axis, last axis), in pieces that follow one another row by row."""
    if data.ndim == 0:
        raise SsbmapsError(f"{subject}: a sparse value without dimensions cannot be stored; use ssbmaps.io.to_dense.")
    if is_dask(data) and data.ndim > 1:
        for block in data.rechunk(dict.fromkeys(range(1, data.ndim), -1)).blocks:
            yield _csr(block.compute(scheduler="threads"), subject)
        return
    yield _csr(data.compute(scheduler="threads") if is_dask(data) else data, subject)


def _csr(data: Any, subject: str) -> csr_array:
    if data.fill_value != 0:
        raise SsbmapsError(f"{subject}: the fill value is {data.fill_value}; only 0 is stored. Use ssbmaps.io.to_dense first.")
    matrix = to_csr(data.astype(np.uint8) if data.dtype.kind == "b" else data)
    matrix.sort_indices()
    return matrix


@dataclass(frozen=True, slots=True)
class ZarrAppender:
    """Appends the parts of one variable to a Zarr group."""

    path: Path
    variable: str
    options: Mapping[str, Any]

    def append(self, parts: Mapping[str, NDArray[Any]], before: Mapping[str, int]) -> None:
        """Add a piece to each part that holds `before` values along its dimension already; the first piece makes it."""
        import xarray as xr

        for together in (("data", "indices"), ("indptr",)):  # parts of one dimension grow in one step
            dim, values = part_dim(self.variable, together[0]), {part_name(self.variable, p): parts[p] for p in together}
            piece = xr.Dataset({name: (dim, v) for name, v in values.items()})
            if not before:
                encoding = {name: {"chunks": (_CHUNK,), "_FillValue": None} for name in values}
                piece.to_zarr(self.path, mode="a", encoding=encoding, consolidated=False, **self.options)
            elif piece.sizes[dim]:
                piece.to_zarr(self.path, append_dim=dim, consolidated=False, **self.options)


@dataclass(frozen=True, slots=True)
class NetcdfAppender:
    """Appends the parts of one variable to a netCDF-4 file, along unlimited dimensions."""

    path: Path
    variable: str

    def append(self, parts: Mapping[str, NDArray[Any]], before: Mapping[str, int]) -> None:
        """Add a piece to each part that holds `before` values along its dimension already; the first piece makes it."""
        import h5netcdf

        options = {"chunks": (_CHUNK,), "compression": "gzip", "compression_opts": 1, "shuffle": True}
        with h5netcdf.File(self.path, "a") as file:
            for part, values in parts.items():
                name, dim = part_name(self.variable, part), part_dim(self.variable, part)
                if dim not in file.dimensions:
                    file.dimensions[dim] = None
                if not before:
                    file.create_variable(name, (dim,), values.dtype, **options)
                start = before.get(dim, 0)
                if file.dimensions[dim].size < start + len(values):
                    file.resize_dimension(dim, start + len(values))
                file.variables[name][start : start + len(values)] = values


def write_parts(appender: ZarrAppender | NetcdfAppender, data: Any, subject: str) -> None:
    """Write one sparse variable; row pointers run on over the pieces."""
    index = np.dtype(np.int32 if data.shape[-1] < 2**31 else np.int64)
    values_dim, rows_dim = (part_dim(appender.variable, p) for p in ("data", "indptr"))
    before: dict[str, int] = {}
    for matrix in row_blocks(data, subject):
        pointers = matrix.indptr.astype(np.int64) + before.get(values_dim, 0)
        pointers = pointers[1:] if before else pointers
        appender.append({"data": matrix.data, "indices": matrix.indices.astype(index), "indptr": pointers}, before)
        before = {
            values_dim: before.get(values_dim, 0) + int(matrix.nnz),
            rows_dim: before.get(rows_dim, 0) + len(pointers),
        }


def read_parts(stored: xr.Dataset, variable: str, note: Mapping[str, Any], subject: str) -> Any:
    """The sparse container again, checked so that broken parts cannot make a wrong cube."""
    data, indices, indptr = (np.asarray(stored.variables[part_name(variable, p)].values) for p in PARTS)
    shape = tuple(int(n) for n in note["shape"])
    rows = int(np.prod(shape[:-1], dtype=np.int64))
    matrix = checked_csr(data, indices, indptr, (rows, shape[-1]), f"{subject}: the parts of the sparse variable {variable!r}")
    return from_csr(matrix.astype(np.dtype(note["dtype"]), copy=False), shape)


def checked_csr(
    data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], shape: tuple[int, int], subject: str
) -> csr_array:
    """The parts as a matrix, or a letter that they do not fit together."""
    from scipy.sparse import csr_array

    whole = len(indptr) == shape[0] + 1 and indptr[0] == 0 and indptr[-1] == len(data) == len(indices)
    whole = whole and not np.any(np.diff(indptr) < 0) and (not len(indices) or (indices.min() >= 0 and indices.max() < shape[1]))
    if not whole:
        raise FormatError(f"{subject} do not fit together; it is damaged.")
    return csr_array((data, indices, indptr), shape=shape)
