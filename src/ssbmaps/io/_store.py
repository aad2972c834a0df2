"""Saves any DataArray or Dataset to Zarr (format 2) or netCDF-4, to be loaded back identical; other endings are exports."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ssbmaps import _arrays
from ssbmaps._errors import Faults, FormatError, SsbmapsError
from ssbmaps.io._store_load import chunk_sizes, opened, read_layout
from ssbmaps.io._store_sparse import NetcdfAppender, ZarrAppender, is_sparse_variable, write_parts
from ssbmaps.io._store_types import CHUNKS, LAYOUT, SUFFIXES, VERSION, check_storable, decode_attrs, encode_attrs
from ssbmaps.io._write import endings, export, writer_of

if TYPE_CHECKING:
    import xarray as xr

    _X = TypeVar("_X", xr.DataArray, xr.Dataset)


def save(obj: xr.DataArray | xr.Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Save a DataArray or Dataset: as a store that `load` gives back identical, or as a file of another format.

    The ending decides. ``.zarr`` and ``.nc`` are stores and keep everything: dense, sparse and dask containers, boolean and
    text coordinates, and every attribute that the data contract allows. The other endings are exports for other programs,
    and keep what their format can hold (see Notes). Written beside the target under a hidden name and renamed when complete,
    so that no half-written file is met.

    Parameters
    ----------
    obj : xarray.DataArray or xarray.Dataset
        What to save; it is not changed. Sparse containers need the fill value 0; dask blocks of them are written one after
        another, blocks of the first dimension at a time.
    path : str or path-like
        Target, ending in ``.zarr`` (a folder in Zarr format 2) or ``.nc`` (netCDF-4); or in ``.imzML``, ``.csv``,
        ``.parquet``, ``.ome.tif``, ``.tif`` (an ImageJ hyperstack), ``.hspy`` or ``.zspy``.
    overwrite : bool
        Replace what is already there. Default: refuse.

    Returns
    -------
    pathlib.Path
        The path written.

    Raises
    ------
    SsbmapsError
        The ending is unknown, the target exists, or something in `obj` cannot be stored or exported without loss of a
        number; all such things are named at once.

    Notes
    -----
    NaN is stored as NaN, unmeasured pixels through the coordinate `measured`. The stores' layout is described in
    `docs/formats/store.md`; dense variables are readable by any Zarr or netCDF program.

    What the exports lose (`docs/formats/writing.md`): imzML holds one (y, x, mz) cube, its pixel size and polarity; no other
    attribute. CSV and Parquet hold a row for each value, with its coordinates and units, and of a sparse array only the stored
    values; Parquet holds the attributes, CSV does not. OME-TIFF and ImageJ hyperstacks hold one array with `y` and `x`, and in
    a note, which `read` understands, its dims, coordinates and attributes; ImageJ has no 64-bit numbers, and what does not
    fit exactly is refused. HyperSpy files hold a signal with its axes and metadata.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> map_ = xr.DataArray(np.arange(6).reshape(2, 3), dims=("y", "x"), attrs={"units": "counts"})
    >>> path = ssbmaps.io.save(map_, pathlib.Path(tempfile.mkdtemp()) / "map.zarr")
    >>> ssbmaps.io.load(path).identical(map_)
    True
    """
    import xarray as xr

    target = Path(path)
    if not isinstance(obj, (xr.DataArray, xr.Dataset)):
        raise SsbmapsError(f"io.save: expected an xarray.DataArray or Dataset, got {type(obj).__name__}.")
    writer = writer_of(target)
    if writer is not None:
        subject = f"io.save of {target.name}"
        return export(obj, target, writer, Faults(subject), subject=subject, overwrite=overwrite)
    if target.suffix not in SUFFIXES:
        known = ", ".join((*SUFFIXES, *endings()))
        raise SsbmapsError(f"io.save: {target.name!r} ends in {target.suffix!r}; expected one of {known}.")
    if not target.parent.is_dir():
        raise SsbmapsError(f"io.save: the folder {str(target.parent)!r} does not exist; make it first.")
    _check_target(target, overwrite)
    check_storable(obj, f"io.save of {target.name}")
    draft = target.with_name(f".{target.name}.writing-{os.getpid()}")
    try:
        _write(obj, draft, target)
        _replace(draft, target)
    except OSError as error:
        raise SsbmapsError(f"io.save: {target.name} could not be written: {error}.") from error
    finally:
        _remove(draft)
    return target


def to_dense(obj: _X) -> _X:
    """Give the same DataArray or Dataset with every container a plain numpy array.

    Parameters
    ----------
    obj : xarray.DataArray or xarray.Dataset
        Dense, sparse or dask; not changed. What is dask is computed.

    Returns
    -------
    xarray.DataArray or xarray.Dataset
        The same values, dims, coordinates and attributes. Unstored sparse values are the 0 (fill value) that they stand for.

    Raises
    ------
    SsbmapsError
        `obj` is no DataArray or Dataset.

    Examples
    --------
    >>> import sparse, xarray as xr, ssbmaps
    >>> cube = xr.DataArray(sparse.eye(2, dtype="uint32"), dims=("x", "mz"))
    >>> ssbmaps.io.to_dense(cube).values.tolist()
    [[1, 0], [0, 1]]
    """
    import xarray as xr

    if isinstance(obj, xr.Dataset):
        dense = {n: v.copy(data=_arrays.to_dense(v.data)) for n, v in obj.variables.items() if n not in obj.xindexes}
        return obj.assign({n: v for n, v in dense.items() if n in obj.data_vars}).assign_coords(
            {n: v for n, v in dense.items() if n in obj.coords}
        )
    if isinstance(obj, xr.DataArray):
        coords = {n: v.variable.copy(data=_arrays.to_dense(v.data)) for n, v in obj.coords.items() if n not in obj.xindexes}
        return obj.copy(data=_arrays.to_dense(obj.data)).assign_coords(coords)
    raise SsbmapsError(f"io.to_dense: expected an xarray.DataArray or Dataset, got {type(obj).__name__}.")


def info(path: Path) -> dict[str, Any]:
    """What a store holds, from its metadata and coordinates."""
    from ssbmaps._conventions import RASTER_DIMS, pixel_size

    try:
        with opened(path) as stored:
            layout = read_layout(stored, path)
            attrs = decode_attrs(stored.attrs, layout["attrs"][""])
            value = layout["variable"]
            sizes = {**{str(k): v for k, v in stored.sizes.items()}, **_sparse_sizes(layout)}
            dims = tuple(layout["dims"])
            if value is not None:
                held = stored.variables[value].attrs if value in stored.variables else layout["sparse"][value]["attrs"]
                attrs = decode_attrs(held, layout["attrs"][value])
            raster = all(d in stored.coords for d in RASTER_DIMS)
            mz = stored["mz"].values if "mz" in stored.coords else None
            return {
                "format": SUFFIXES[path.suffix],
                "technique": attrs.get("technique"),
                "polarity": attrs.get("polarity"),
                "dims": dims,
                "shape": tuple(sizes[d] for d in dims),
                "pixel_size": pixel_size(stored, subject=path.name) if raster else None,
                "pixel_size_note": "from the coordinates." if raster else "no coordinates y and x.",
                "channels": None if mz is None else len(mz),
                "channels_note": "as saved",
                "mz_range": None if mz is None or not len(mz) else (float(mz.min()), float(mz.max())),
                "tilt": attrs.get("tilt"),
                "datasets": tuple(layout["variables"]),
                "warnings": (),
            }
    except SsbmapsError:
        raise
    except Exception as error:
        raise FormatError(f"{path.name}: is damaged or incomplete ({type(error).__name__}: {str(error)[:200]}).") from error


def _sparse_sizes(layout: dict[str, Any]) -> dict[str, int]:
    return {d: int(n) for note in layout["sparse"].values() for d, n in zip(note["dims"], note["shape"], strict=True)}


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        raise SsbmapsError(f"io.save: {target.name} exists already; pass overwrite=True to replace it, or choose another name.")
    if target.is_dir() and not any((target / n).exists() for n in (".zgroup", "zarr.json")):
        raise SsbmapsError(f"io.save: {target.name} is a folder that is no Zarr store; it is not replaced. Choose another name.")
    if target.is_dir() != (target.suffix == ".zarr"):
        raise SsbmapsError(f"io.save: {target.name} is not what its ending says; it is not replaced. Choose another name.")


def _write(obj: xr.DataArray | xr.Dataset, draft: Path, target: Path) -> None:
    """The plain variables through xarray, each sparse one part by part."""
    import xarray as xr

    value = None
    if isinstance(obj, xr.DataArray):
        value = obj.name if isinstance(obj.name, str) and obj.name not in {*obj.coords, *obj.dims} else _free_name(obj)
        whole = xr.Dataset({value: obj.variable}, coords=obj.coords)
    else:
        whole = obj
    layout: dict[str, Any] = {
        "version": VERSION,
        "kind": type(obj).__name__,
        "variable": value,
        "name": obj.name if isinstance(obj, xr.DataArray) else None,
        "dims": [str(d) for d in obj.dims],
        "variables": [str(n) for n in whole.data_vars],
        "coords": [str(n) for n in whole.coords],
        "dtypes": {str(n): v.dtype.str if v.dtype.kind != "O" else "text" for n, v in whole.variables.items()},
        "sparse": {},
        "attrs": {},
    }
    plain, sparse = xr.Dataset(), dict[str, Any]()
    for name, variable in whole.variables.items():
        attrs, layout["attrs"][str(name)] = encode_attrs(variable.attrs)
        if is_sparse_variable(variable):
            sparse[str(name)] = variable.data
            held = {k: v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for k, v in attrs.items()}
            note = {"dims": variable.dims, "shape": variable.shape, "dtype": variable.dtype.str, "attrs": held}
            layout["sparse"][str(name)] = note
        else:
            plain[name] = xr.Variable(variable.dims, _storable(variable), attrs, encoding=_encoding(variable))
    plain = plain.set_coords([n for n in layout["coords"] if n in plain.variables])
    plain.attrs, layout["attrs"][""] = encode_attrs(obj.attrs if isinstance(obj, xr.Dataset) else {})
    plain.attrs[LAYOUT] = json.dumps(layout)
    if target.suffix == ".zarr":
        _write_zarr(plain, sparse, draft)
    else:
        plain.to_netcdf(draft, engine="h5netcdf", mode="w")
        for name, data in sparse.items():
            write_parts(NetcdfAppender(draft, name), data, f"io.save: variable {name!r}")


def _free_name(obj: xr.DataArray) -> str:
    name = "values"
    while name in obj.coords or name in obj.dims:
        name += "_"
    return name


def _storable(variable: Any) -> Any:
    """The container as the formats take it: half floats wider, text as text, dask blocks of even size."""
    data = variable.data
    if variable.dtype.kind == "O":
        return np.asarray(data).astype(str)
    if _arrays.is_dask(data):
        data = data.rechunk(tuple(max(c) for c in data.chunks))
    return data.astype(np.float32) if variable.dtype == np.float16 else data


def _encoding(variable: Any) -> dict[str, Any]:
    return {"_FillValue": None} if variable.dtype.kind in "iuf" else {}


def _write_zarr(plain: xr.Dataset, sparse: dict[str, Any], draft: Path) -> None:
    import zarr

    options: dict[str, Any] = {"zarr_format": 2} if int(zarr.__version__.split(".")[0]) >= 3 else {}
    for name, data in sparse.items():
        write_parts(ZarrAppender(draft, name, options), data, f"io.save: variable {name!r}")
    plain.to_zarr(draft, mode="a", consolidated=False, **options)  # last: each write replaces the root attributes
    zarr.open_group(str(draft), mode="r+").attrs[CHUNKS] = json.dumps(chunk_sizes(draft))
    zarr.consolidate_metadata(str(draft), **options)


def _replace(draft: Path, target: Path) -> None:
    """Put the finished draft in the target's place; an old folder is moved aside first and removed after."""
    if draft.is_dir() and target.exists():
        old = target.with_name(f".{target.name}.replaced-{os.getpid()}")
        target.rename(old)
        draft.rename(target)
        shutil.rmtree(old)
    else:
        draft.replace(target)


def _remove(draft: Path) -> None:
    if draft.is_dir():
        shutil.rmtree(draft)
    else:
        draft.unlink(missing_ok=True)
