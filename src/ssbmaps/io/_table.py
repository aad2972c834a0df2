"""Any DataArray or Dataset as rows of a tidy table: one column for each dimension, coordinate and variable, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_dask, is_sparse
from ssbmaps._conventions import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps._errors import Faults

_ROWS = 1 << 19  # rows made at a time


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what stands in its header, and the values along `dims` of which each row takes one."""

    name: str
    dims: tuple[str, ...]
    data: Any
    attrs: Mapping[str, Any]

    @property
    def unit(self) -> str:
        """The unit, or nothing."""
        return str(self.attrs.get("units", ""))

    @property
    def label(self) -> str:
        """Name and unit, e.g. "x (um)"."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def kind(self) -> np.dtype[Any]:
        """Type of the values, text as "U", half floats wider."""
        if self.data.dtype.kind in "OU":
            return np.dtype("U")
        return np.dtype(np.float32) if self.data.dtype == np.float16 else np.dtype(self.data.dtype)


@dataclass(frozen=True, slots=True)
class Table:
    """Columns whose rows run over `dims`, the last fastest; of a sparse variable only what is stored."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    columns: tuple[Column, ...]
    attrs: Mapping[str, Any]

    def pieces(self) -> Iterator[list[NDArray[Any]]]:
        """The columns of some rows after another; dask arrays are computed block by block of the first dimension."""
        for start, stop in self._blocks():
            parts = [_part(c, self.dims, start, stop) for c in self.columns]
            sparse = next((i for i, p in enumerate(parts) if is_sparse(p)), None)
            shape = (stop - start, *self.shape[1:]) if self.dims else ()
            n = int(np.prod(shape, dtype=np.int64)) if sparse is None else int(parts[sparse].nnz)
            for low in range(0, n, _ROWS):
                rows = slice(low, min(low + _ROWS, n))
                places = _places(shape, rows) if sparse is None else parts[sparse].coords[:, rows]
                at = dict(zip(self.dims, places, strict=True))
                yield [
                    p.data[rows] if i == sparse else _take(p, c, at, rows.stop - rows.start)
                    for i, (c, p) in enumerate(zip(self.columns, parts, strict=True))
                ]

    def _blocks(self) -> list[tuple[int, int]]:
        """Ranges of the first dimension that are computed together."""
        if not self.dims:
            return [(0, 1)]
        lazy = next((c.data for c in self.columns if is_dask(c.data) and c.dims[:1] == self.dims[:1]), None)
        stops = np.cumsum(lazy.chunks[0] if lazy is not None else self.shape[:1])
        return [(int(stop - size), int(stop)) for stop, size in zip(stops, np.diff(stops, prepend=0), strict=True)]


def _part(column: Column, dims: tuple[str, ...], start: int, stop: int) -> Any:
    """The values of one block, as a numpy array or `sparse.COO`."""
    data = column.data[start:stop] if column.dims and column.dims[0] == dims[0] else column.data
    if is_dask(data):
        data = data.compute(scheduler="threads")
    if is_sparse(data):
        return data.asformat("coo")
    return np.asarray(data, column.kind if column.kind.kind != "U" else object)


def _places(shape: tuple[int, ...], rows: slice) -> tuple[NDArray[np.int64], ...]:
    return np.unravel_index(np.arange(rows.start, rows.stop), shape) if shape else ()


def _take(values: NDArray[Any], column: Column, at: Mapping[str, NDArray[np.int64]], n: int) -> NDArray[Any]:
    taken = values[tuple(at[d] for d in column.dims)] if column.dims else values
    return np.broadcast_to(taken, (n,))


def prepare(obj: xr.DataArray | xr.Dataset, faults: Faults) -> Table | None:
    """The table of `obj`, or what speaks against one in `faults`."""
    import xarray as xr

    if isinstance(obj, xr.DataArray):
        obj = canonical(obj)
        name = str(obj.name or "value")
        while name in {*map(str, obj.coords), *map(str, obj.dims)}:
            name += "_"
        variables: dict[str, Any] = {name: obj.variable}
    else:
        obj = canonical(obj)
        variables = {str(n): v.variable for n, v in obj.data_vars.items()}
    if not faults.expect(bool(variables), "holds no variable; expected one at least."):
        return None
    dims = _common_dims(obj, variables, faults)
    shape = tuple(obj.sizes[d] for d in dims)
    coords = {str(n): c.variable for n, c in obj.coords.items() if set(c.dims) <= {*dims}}
    columns = [_axis(d, coords, obj.sizes[d]) for d in dims]
    rest = {n: v for n, v in {**coords, **variables}.items() if n not in dims}
    columns += [_column(n, v, dims) for n, v in rest.items()]
    _expect(columns, dims, shape, obj, faults)
    return Table(dims, shape, tuple(columns), obj.attrs)


def _common_dims(obj: xr.DataArray | xr.Dataset, variables: Mapping[str, Any], faults: Faults) -> tuple[str, ...]:
    """The dims of the variable that has most of them; all others must lie along some of these."""
    largest = max(variables.values(), key=lambda v: len(v.dims))
    dims = tuple(d for d in map(str, obj.dims) if d in largest.dims)
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, variable in variables.items():
        groups.setdefault(tuple(map(str, variable.dims)), []).append(name)
    astray = [g for g in groups if not set(g) <= {*dims}]
    if astray:
        listed = "; ".join(f"({', '.join(g)}): {', '.join(names)}" for g, names in groups.items())
        best = [n for g, names in groups.items() if set(g) == {*dims} for n in names]
        faults.expect(
            False,
            f"its variables lie along different dims, {listed}. A table has one set of dims: save them one set after another, "
            f"for instance data[{best!r}].",
        )
    else:
        lost = [str(n) for n, c in obj.coords.items() if not set(c.dims) <= {*dims}]
        faults.expect(not lost, f"no variable lies along the dims of {', '.join(lost)}; leave it out: data.drop_vars({lost!r}).")
    return dims


def _axis(dim: str, coords: Mapping[str, Any], n: int) -> Column:
    if dim in coords:
        return _column(dim, coords[dim], (dim,))
    return Column(dim, (dim,), np.arange(n), {"long_name": "position, counted from 0"})


def _column(name: str, variable: Any, dims: tuple[str, ...]) -> Column:
    """The variable with its dims in the table's order."""
    variable = variable.transpose(*(d for d in dims if d in variable.dims), missing_dims="ignore")
    return Column(name, tuple(map(str, variable.dims)), variable.data, variable.attrs)


def _expect(columns: list[Column], dims: tuple[str, ...], shape: tuple[int, ...], obj: Any, faults: Faults) -> None:
    empty = [d for d, n in zip(dims, shape, strict=True) if n == 0]
    faults.expect(not empty, f"dimension {', '.join(empty)} has length 0; expected at least one value.")
    labels = [c.label for c in columns]
    twice = sorted({x for x in labels if labels.count(x) > 1})
    faults.expect(not twice, f"two columns would be called {', '.join(twice)}; rename one with .rename().")
    for dim, index in obj.indexes.items():
        faults.expect(index.nlevels == 1, f"dimension {dim!r} has a multi-index; use .reset_index({dim!r}).")
    for column in columns:
        kind = column.data.dtype.kind
        text = kind == "O" and all(isinstance(v, str) for v in np.ravel(column.data))
        faults.expect(kind in "biufU" or text, f"{column.name!r} is of type {column.data.dtype}; expected numbers or text.")
    sparse = [c for c in columns if is_sparse(c.data)]
    whole = [c.name for c in columns if set(c.dims) == {*dims} and c.name not in obj.coords and c.name not in dims]
    faults.expect(
        not sparse or (len(sparse) == 1 and whole == [sparse[0].name]),
        f"{', '.join(c.name for c in sparse)} is sparse, and of such only the stored values are written; save it alone, "
        "or make it dense with io.to_dense.",
    )
    filled = [c.name for c in sparse if getattr(getattr(c.data, "_meta", c.data), "fill_value", 0) != 0]
    faults.expect(not filled, f"{', '.join(filled)} is sparse with a fill value other than 0; make it dense with io.to_dense.")
