"""Loads what `save` wrote: into memory, or as dask blocks that are read when they are computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults, FormatError, SsbmapsError
from ssbmaps.io._store_lazy import dense_blocks, sparse_blocks
from ssbmaps.io._store_sparse import read_parts
from ssbmaps.io._store_types import CHUNKS, LAYOUT, SUFFIXES, VERSION, decode_attrs

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    import xarray as xr


def load(path: str | os.PathLike[str], *, chunks: str | int | Mapping[str, int] | None = None) -> xr.DataArray | xr.Dataset:
    """Load what `save` wrote, into memory or as dask blocks that are read when they are computed.

    Parameters
    ----------
    path : str or path-like
        A ``.zarr`` folder or ``.nc`` file written by `save`.
    chunks : {"auto"}, int, mapping of dimension to int, or None, optional
        None loads all into memory. A mapping gives the size of a block along each dimension that it names, e.g.
        ``{"y": 16}``; a number is rows of y; "auto" chooses blocks of some ten megabytes. A sparse variable is stored row by
        row: cut its first dimensions, those that are not named stay whole. Its last dimension, the spectrum, is never cut.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        Identical to what was saved: names, values, number types, coordinates, attributes. Sparse variables come back as
        `sparse.COO`; dask containers as what their blocks were. With `chunks`, variables of one dimension or more are dask
        arrays, those of sparse variables with blocks of `sparse.COO`; coordinates (`measured` among them) and text are read
        at once, of the rest only headers and the row pointers of sparse variables.

    Raises
    ------
    FormatError
        There is no such store, it was not written by ssbmaps, or parts of it are missing or damaged. With `chunks`, what a
        block reads is checked when it is computed.
    SsbmapsError
        `chunks` names a dimension that cannot be cut, or a size that is no whole number of 1 or more.

    Notes
    -----
    Blocks open the store anew and can be computed in other processes, also by `dask.distributed`, wherever `path` can be
    seen. Do not replace the store while blocks are still to be computed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import sparse, xarray as xr, ssbmaps
    >>> cube = xr.DataArray(sparse.eye(3, dtype="uint32"), dims=("x", "mz"), attrs={"units": "counts"})
    >>> path = ssbmaps.io.save(cube, pathlib.Path(tempfile.mkdtemp()) / "cube.nc")
    >>> type(ssbmaps.io.load(path).data).__name__
    'COO'
    >>> lazy = ssbmaps.io.load(path, chunks={"x": 2})
    >>> lazy.chunks, lazy.compute().identical(cube)
    (((2, 1), (3,)), True)
    """
    source = Path(path)
    _check_source(source)
    try:
        with opened(source) as stored:
            layout = read_layout(stored, source)
            if source.suffix == ".zarr":
                _check_chunks(stored, source)
            wanted = None if chunks is None else _wanted(chunks, stored, layout, source)
            return _rebuild(stored, layout, source.absolute(), wanted)
    except SsbmapsError:
        raise
    except Exception as error:
        # The libraries below raise whatever broke first: OSError, KeyError, ValueError, codec errors of their own.
        raise FormatError(f"{source.name}: is damaged or incomplete ({type(error).__name__}: {str(error)[:200]}).") from error


def _check_source(source: Path) -> None:
    if source.suffix not in SUFFIXES:
        raise FormatError(f"{source.name}: ends in {source.suffix!r}; io.load reads {' and '.join(SUFFIXES)}, io.read the rest.")
    if not source.exists():
        raise FormatError(f"{source.name}: no such file in {str(source.parent)!r}.")
    if not is_store(source):
        raise FormatError(f"{source.name}: a .zarr store is a folder and a .nc store is a file; this is neither.")


def is_store(path: Path) -> bool:
    """Whether the path is a .zarr folder or a .nc file."""
    return (path.suffix == ".zarr" and path.is_dir()) or (path.suffix == ".nc" and path.is_file())


def opened(source: Path) -> xr.Dataset:
    import xarray as xr

    engine = "zarr" if source.suffix == ".zarr" else "h5netcdf"
    options: dict[str, Any] = {"consolidated": False} if engine == "zarr" else {}
    return xr.open_dataset(
        source, engine=engine, mask_and_scale=False, decode_times=False, decode_timedelta=False, cache=False, **options
    )


def read_layout(stored: xr.Dataset, source: Path) -> dict[str, Any]:
    if LAYOUT not in stored.attrs:
        raise FormatError(f"{source.name}: was not written by ssbmaps.io.save (it lacks {LAYOUT!r}); open it with xarray.")
    layout: dict[str, Any] = json.loads(stored.attrs[LAYOUT])
    if layout.get("version") != VERSION:
        said = layout.get("version")
        raise FormatError(f"{source.name}: has layout version {said}; this ssbmaps reads {VERSION}. Update ssbmaps.")
    return layout


def _check_chunks(stored: xr.Dataset, source: Path) -> None:
    """Zarr reads an absent chunk as zeros: compare the files with what `save` counted."""
    expected, found = json.loads(stored.attrs[CHUNKS]), chunk_sizes(source)
    pairs = {n: (found.get(n, [0, 0]), said) for n, said in expected.items()}
    wrong = [f"{n}: {f} files of {b} bytes, expected {m} of {c}" for n, ((f, b), (m, c)) in pairs.items() if (f, b) != (m, c)]
    if wrong:
        raise FormatError(f"{source.name}: chunks are missing or cut short ({'; '.join(wrong)}). Copy it again.")


def chunk_sizes(folder: Path) -> dict[str, list[int]]:
    """Number of chunk files of each variable and their bytes together; metadata files begin with a dot."""
    sizes: dict[str, list[int]] = {}
    for variable in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = [p.stat().st_size for p in variable.rglob("*") if p.is_file() and not p.name.startswith(".")]
        sizes[variable.name] = [len(files), sum(files)]
    return sizes


def _wanted(chunks: Any, stored: xr.Dataset, layout: dict[str, Any], source: Path) -> Any:
    """`chunks` as "auto" or a mapping, checked against the variables that can be cut."""
    if isinstance(chunks, str) and chunks == "auto":
        return "auto"
    notes = layout["sparse"]
    cut = [d for n in layout["variables"] for d in (notes[n]["dims"][:-1] if n in notes else stored.variables[n].dims)]
    known = list(dict.fromkeys(map(str, cut)))
    number = isinstance(chunks, (int, np.integer)) and not isinstance(chunks, bool)
    with Faults(f"io.load of {source.name}, chunks={chunks!r}") as faults:
        expected = f"expected 'auto', rows of y in a block, or a mapping of {', '.join(known)} to whole numbers of 1 or more"
        sizes = {"y": chunks} if number else chunks
        if not faults.expect(hasattr(sizes, "items"), f"{expected}."):
            return None
        for dim, size in sizes.items():
            faults.expect(
                dim in known,
                f"{dim!r} is no dimension that can be cut; {expected}. The last dimension of a sparse variable stays whole.",
            )
            whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size >= 1
            faults.expect(bool(whole), f"the size of {dim!r} is {size!r}; {expected}.")
    return {str(d): int(n) for d, n in sizes.items()}


def _rebuild(stored: xr.Dataset, layout: dict[str, Any], source: Path, chunks: Any) -> xr.DataArray | xr.Dataset:
    import xarray as xr

    variables: dict[str, Any] = {}
    for name in [*layout["coords"], *layout["variables"]]:
        note = layout["sparse"].get(name)
        held, dims = (note["attrs"], tuple(note["dims"])) if note else (stored.variables[name].attrs, stored.variables[name].dims)
        lazy = chunks is not None and name in layout["variables"]
        data = _container(stored, name, layout, source, chunks if lazy else None)
        variables[name] = xr.Variable(dims, data, decode_attrs(held, layout["attrs"][name]))
    whole = xr.Dataset({n: variables[n] for n in layout["variables"]}, coords={n: variables[n] for n in layout["coords"]})
    whole.attrs = decode_attrs(stored.attrs, layout["attrs"][""])
    if layout["kind"] == "Dataset":
        return whole
    result: xr.DataArray = whole[layout["variable"]].transpose(*layout["dims"])
    result.name = layout["name"]
    return result


def _container(stored: xr.Dataset, name: str, layout: dict[str, Any], source: Path, chunks: Any) -> Any:
    """Values of one variable: dense or sparse, in memory, or as dask blocks if there are any to be read later."""
    note = layout["sparse"].get(name)
    if note is not None:
        lazy = chunks is not None and 0 not in note["shape"]
        return sparse_blocks(source, name, note, chunks) if lazy else read_parts(stored, name, note, source.name)
    variable, kind = stored.variables[name], layout["dtypes"][name]
    if chunks is not None and variable.size and variable.ndim and kind != "text" and np.dtype(kind).kind != "U":
        return dense_blocks(source, name, [str(d) for d in variable.dims], variable.shape, np.dtype(kind), chunks)
    return variable.values.astype(str) if kind == "text" else variable.values.astype(np.dtype(kind), copy=False)
