"""What runs in the guarded child: RosettaSciIO's readers, and what they say in the terms of the data contract."""

from __future__ import annotations

import contextlib
import gc
import importlib
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_dask
from ssbmaps._errors import FormatError, SsbmapsError
from ssbmaps.io import _signals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_LOADED: set[str] = set()
_CLOSED = ("bruker",)  # plugins that leave no file open: what they found may stay for the calls that ask for its data
_FOUND: dict[tuple[Any, ...], list[dict[str, Any]]] = {}  # the last file of such a plugin


def prepare(plugin: str, **_: Any) -> None:
    """Load the plugin and what computes its lazy arrays, once; the collector then need not look through all of it again."""
    if plugin in _LOADED:
        return
    for module in (f"rsciio.{plugin}", "dask.array", *(["zarr"] if plugin == "zspy" else [])):
        importlib.import_module(module)
    _LOADED.add(plugin)
    gc.freeze()


def describe(
    path: Path, plugin: str, dims: Mapping[str, str] | None, subject: str
) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """Every signal of the file: `name`, `shape`, `dtype` and what stands beside the data, or the letter that refuses it."""
    told: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    axes = {int(k) if k.isdigit() else k: d for k, d in dims.items()} if dims is not None else None
    _FOUND.clear()  # a file may be written anew within a tick of its clock
    with _signals_of(path, plugin) as found:
        for signal, name in zip(found, _names(found), strict=True):
            data = signal["data"]
            one: dict[str, Any] = {"name": name, "shape": list(data.shape), "dtype": data.dtype.str, "lazy": is_dask(data)}
            try:
                parts = _signals.parts(signal, dims=axes, subject=subject)
            except SsbmapsError as error:
                one["letter"] = str(error)
            else:
                one["parts"] = _signals.packed(parts, arrays)
            told.append(one)
    return {"signals": told}, arrays


def load(
    path: Path, plugin: str, index: int, axis_of: list[int], flipped: list[int], window: list[list[int]] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The data of one signal, or a window of them, in canonical order; lazy ones are computed block by block as written."""
    with _signals_of(path, plugin) as found:
        data = _oriented(found[index]["data"], axis_of, flipped)
        if window is not None:
            data = data[tuple(slice(*pair) for pair in window)]
        if is_dask(data) and data.npartitions == 1:
            data = data.compute(scheduler="synchronous")  # nothing to share among threads
        return {}, {"data": np.asarray(data)}


def load_events(
    path: Path, plugin: str, index: int, axis_of: list[int], flipped: list[int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The data of one signal as `places` (axis, value) and `values` of all that is not 0, in canonical order of axes."""
    with _signals_of(path, plugin) as found:
        data = _oriented(found[index]["data"], axis_of, flipped)
        places, values = [], []
        for start, block in _blocks_of(data):
            dense = np.asarray(block)
            where = np.stack(np.nonzero(dense))
            values.append(dense[tuple(where)])
            places.append((where + np.array(start)[:, None]).astype(np.int64))
        return {}, {"places": np.concatenate(places, axis=1), "values": np.concatenate(values)}


def _oriented(data: Any, axis_of: list[int], flipped: list[int]) -> Any:
    """The data in canonical order of axes, those turned that are `flipped`."""
    if axis_of != list(range(data.ndim)):
        data = data.transpose(axis_of)
    if flipped:
        data = data[tuple(slice(None, None, -1) if i in flipped else slice(None) for i in range(data.ndim))]
    return data


def _blocks_of(data: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    """The blocks of a dask array one by one, with the place of their first value; a numpy array is one block."""
    if not is_dask(data):
        yield (0,) * data.ndim, data
        return
    starts = [np.concatenate([[0], np.cumsum(c)[:-1]]) for c in data.chunks]
    for where in np.ndindex(data.numblocks):
        yield tuple(int(s[i]) for s, i in zip(starts, where, strict=True)), data.blocks[where].compute(scheduler="synchronous")


@contextlib.contextmanager
def _signals_of(path: Path, plugin: str) -> Iterator[list[dict[str, Any]]]:
    """The signals' dictionaries, lazy where the plugin can; files are closed afterwards, since this process lives on."""
    if plugin in _CLOSED:
        yield _kept(path, plugin)
        return
    try:
        if plugin == "hspy":
            with importlib.import_module("h5py").File(path, "r") as file:
                yield _with_data(_reader("hspy", "HyperspyReader")(file).read(lazy=True), path)
        elif plugin == "zspy":
            root = importlib.import_module("zarr").open_group(str(path), mode="r")
            yield _with_data(_reader("zspy", "ZspyReader")(root).read(lazy=True), path)
        else:
            yield _with_data(_any(path, plugin), path)
    finally:
        gc.collect()


def _kept(path: Path, plugin: str) -> list[dict[str, Any]]:
    """What the plugin finds in the file, or found when it was described: the data are asked for a moment later."""
    about = path.stat()
    key = (str(path), plugin, about.st_mtime_ns, about.st_size)
    if key not in _FOUND:
        _FOUND.clear()
        _FOUND[key] = _with_data(_any(path, plugin), path)
    return _FOUND[key]


def _reader(plugin: str, name: str) -> Any:
    return getattr(importlib.import_module(f"rsciio.{plugin}._api"), name)


def _any(path: Path, plugin: str) -> list[dict[str, Any]]:
    _check_whole(path, plugin)
    reader = importlib.import_module(f"rsciio.{plugin}").file_reader
    options = {"SI_dtype": np.uint16} if plugin == "jeol" else {}  # its default is 8 bits, too few for some counts
    try:
        found = reader(str(path), lazy=True, **options)
    except Exception:  # some cannot be lazy, or not for every kind of data, and each says it in its own way
        found = reader(str(path), **options)
    return list(found)


def _check_whole(path: Path, plugin: str) -> None:
    """Refuse a file that is cut short where the library would read the rest without a word."""
    if plugin == "msa" and b"#ENDOFDATA" not in path.read_bytes()[-4096:]:
        raise FormatError(f"{path.name}: does not end with '#ENDOFDATA', as the standard asks; it is cut short. Copy it again.")
    if plugin == "bruker" and path.suffix.lower() == ".bcf":
        with path.open("rb") as handle:
            head = handle.read(0x14C)
        if len(head) == 0x14C:  # the container's blocks: their size, and how many there are
            (block,), (number,) = struct.unpack_from("<I", head, 0x128), struct.unpack_from("<I", head, 0x148)
            _check_size(path, 0x118 + number * block)
    if plugin == "jeol":
        parts = path.parent.rglob("*.pts") if path.suffix.lower() == ".asw" else [path]
        for file in parts:
            with file.open("rb") as handle:
                head = handle.read(36)
            if head[4:12] != b"PTTDFILE" or len(head) < 36:
                continue
            start, length = struct.unpack("<2I", head[28:36])
            if file.stat().st_size != length:  # some state the length of the file, some that of the events
                _check_size(file, start + length)


def _check_size(path: Path, stated: int) -> None:
    size = path.stat().st_size
    if size < stated:
        raise FormatError(f"{path.name}: has {size} bytes and states {stated}; it is cut short. Copy it again.")


def _with_data(found: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Signals only: a file may hold models and tables, too."""
    signals = [s for s in found if hasattr(s.get("data"), "dtype") and s.get("axes") is not None]
    if not signals:
        raise FormatError(f"{path.name}: holds no signal.")
    return signals


def _names(found: list[dict[str, Any]]) -> list[str]:
    """The signals' titles, numbered where they are alike."""
    titles = [str((s.get("metadata") or {}).get("General", {}).get("title") or "signal").strip() for s in found]
    names: list[str] = []
    for title in titles:
        same = sum(n == title or n.startswith(f"{title} (") for n in names)
        names.append(f"{title} ({same + 1})" if same else title)
    return names
