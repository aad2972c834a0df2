"""HyperSpy's own files: .hspy (HDF5) and .zspy (Zarr, format 2) written from a signal's dictionary."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_dask
from ssbmaps._errors import FormatError
from ssbmaps.io._signals import blocks
from ssbmaps.io._store_load import chunk_sizes
from ssbmaps.io._store_types import CHUNKS

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "3.3"  # of the layout, as RosettaSciIO 0.15 writes it
_NONE = "_None_"  # how the layout writes None
_CHUNK = 1 << 24  # bytes of a chunk, about; whole along the signal axes


def write(told: dict[str, Any], path: Path) -> None:
    """Write the signal `told` as a new file or folder `path`, by its ending."""
    if path.suffix.lower() == ".zspy":
        _write_zspy(told, path)
    else:
        _write_hspy(told, path)


def _axes(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The axes with all that HyperSpy expects of them in a file."""
    found: list[dict[str, Any]] = []
    for axis in told["axes"]:
        common = {"name": axis["name"], "units": axis.get("units"), "navigate": axis["navigate"], "is_binned": False}
        if "axis" in axis:
            found.append({"_type": "DataAxis", **common, "axis": axis["axis"]})
        else:
            line = {"size": axis["size"], "scale": axis.get("scale", 1.0), "offset": axis.get("offset", 0.0)}
            found.append({"_type": "UniformDataAxis", **common, **line})
    return found


def _package() -> dict[str, str]:
    from ssbmaps import __version__

    return {"package": "ssbmaps", "package_version": __version__}


def _write_hspy(told: dict[str, Any], path: Path) -> None:
    rest: dict[str, Any] = {"tmp_parameters": {}, "learning_results": {}, "models": {}, "package_info": _package()}
    lazy = {"attributes": {"_lazy": is_dask(told["data"]), "ragged": False}}
    importlib.import_module("rsciio.hspy").file_writer(
        str(path), {**told, **rest, **lazy, "axes": _axes(told)}, show_progressbar=False
    )


def _write_zspy(told: dict[str, Any], path: Path) -> None:
    """The same tree in Zarr. RosettaSciIO 0.15 writes it with a class that Zarr 3 has no more."""
    import xarray as xr
    import zarr as library

    zarr: Any = library
    options: dict[str, Any] = {"zarr_format": 2} if int(zarr.__version__.split(".")[0]) >= 3 else {}
    root = zarr.open_group(str(path), mode="w", **options)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": VERSION})
    name = told["metadata"]["General"]["title"].replace("/", "-") or "__unnamed__"
    data: Any = told["data"]
    chunks = tuple(c[0] for c in data.chunks) if is_dask(data) else blocks(data.shape, data.dtype.itemsize, _CHUNK)
    if is_dask(data):
        data = data.rechunk(chunks)  # Zarr's chunks are all of one size
    one = xr.Dataset({"data": ([f"axis-{i}" for i in range(data.ndim)], data)})
    encoding = {"data": {"chunks": chunks}}
    one.to_zarr(path, group=f"Experiments/{name}", mode="a", consolidated=False, encoding=encoding, **options)
    group = root["Experiments"][name]
    group.attrs.update(_package())
    for i, axis in enumerate(_axes(told)):
        _tree(group.require_group(f"axis-{i}"), axis)
    for part in ("metadata", "original_metadata"):
        _tree(group.require_group(part), told[part])
    _tree(group.require_group("attributes"), {"_lazy": is_dask(data), "ragged": False})
    group.require_group("learning_results")
    root.attrs[CHUNKS] = json.dumps(chunk_sizes(path / "Experiments" / name)["data"])
    zarr.consolidate_metadata(str(path), **options)


def check_complete(path: Path) -> None:
    """Raise unless a .zspy that ssbmaps wrote has all its chunks: Zarr reads one that is missing as zeros."""
    try:
        expected = json.loads((path / ".zattrs").read_text(encoding="utf-8")).get(CHUNKS)
        folders = [p / "data" for p in (path / "Experiments").iterdir() if (p / "data").is_dir()]
        if expected is None or len(folders) != 1:
            return
        found = chunk_sizes(folders[0].parent)["data"]
        wanted = json.loads(expected)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise FormatError(f"{path.name}: its notes cannot be read ({type(error).__name__}); copy or export it again.") from None
    if found != wanted:
        raise FormatError(
            f"{path.name}: has {found[0]} chunks of {found[1]} bytes, and {wanted} were written; the copy is not complete."
        )


def _tree(group: Any, tree: dict[str, Any]) -> None:
    """A nested dictionary as groups, arrays and attributes."""
    plain: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            _tree(group.require_group(key), value)
        elif isinstance(value, np.ndarray):
            array = group.require_array if hasattr(group, "require_array") else group.require_dataset
            array(key, shape=value.shape, dtype=value.dtype, chunks=tuple(max(1, n) for n in value.shape))[...] = value
        else:
            plain[key] = _NONE if value is None else value.item() if isinstance(value, np.generic) else value
    group.attrs.update(plain)
