"""Signals that the guarded child finds in a file: what they are, their data whole or block by block, and the DataArray."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps import _provenance
from ssbmaps._conventions import SPECTRAL_UNITS, check_contract
from ssbmaps._errors import DataQualityWarning, FormatError, SsbmapsError
from ssbmaps.io import _dense, _guard, _pixels, _report, _signals
from ssbmaps.io._cube import block_sizes, range_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

_CHILD = "ssbmaps.io._rosettasciio_child"
_ROOM = 2 << 30  # bytes of memory that a library may take for any file
_TIMES = 64  # the file's size, as everywhere where sizes stand in headers
_ALWAYS = 1 << 20  # bytes of data that any file may declare
_DEFLATE = 1100  # times the file's size: deflated bytes hold at most 1032 times as many, and X-ray maps are nearly empty
_SECONDS, _PER_BYTE = 8.0, 1e-5  # for opening any file, and for each of its bytes
_COMPILING = 60.0  # for the plugin that compiles its loops when it first runs


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of a file: where it is, and what stands beside its data; `letter` if it cannot be read."""

    path: Path
    plugin: str
    size: int  # bytes of all files that belong to it
    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    lazy: bool
    parts: _signals.Parts | None
    letter: str

    def known(self) -> _signals.Parts:
        """What stands beside the data, or the letter."""
        if self.parts is None:
            raise FormatError(self.letter)
        return self.parts

    @property
    def events(self) -> bool:
        """Whether the file lists X-rays one by one, so that the map may be as empty as can be."""
        return self.plugin == "jeol" and self.parts is not None and {"y", "energy"} <= set(self.parts.dims)

    def load(self, window: list[list[int]] | None = None) -> NDArray[Any]:
        """The data in canonical order, or a window of them."""
        shape = self.known().shape if window is None else tuple(stop - start for start, stop in window)
        data = self._call("load", math.prod(shape), window=window)["data"]
        if data.shape != shape or data.dtype.str != self.dtype.str:
            raise FormatError(f"{self.path.name}: the data changed while they were read; expected {shape}, got {data.shape}.")
        return data

    def load_events(self) -> Any:
        """The counts as `sparse.COO`, uint32 as the contract has sparse cubes."""
        import sparse

        arrays = self._call("load_events", math.prod(self.shape))
        counts = arrays["values"].astype(np.uint32)  # narrow integers overflow in sums of sparse arrays
        return sparse.COO(arrays["places"], counts, shape=self.known().shape, has_duplicates=False)

    def _call(self, function: str, values: int, **more: Any) -> dict[str, NDArray[Any]]:
        parts, declared = self.known(), values * self.dtype.itemsize
        arguments = {
            "plugin": self.plugin,
            "index": self.index,
            "axis_of": list(parts.axis_of),
            "flipped": [i for i, d in enumerate(parts.dims) if d in parts.flipped],
        }
        _, arrays = _guard.call(
            f"{_CHILD}:{function}",
            self.path,
            arguments=arguments | more,
            subject=self.path.name,
            memory=max(_ROOM, _TIMES * self.size, 3 * declared),
            seconds=_seconds(self.plugin, self.size) + declared * 1e-7,
        )
        return arrays


def _seconds(plugin: str, size: int) -> float:
    return (_COMPILING if plugin == "jeol" else _SECONDS) + _PER_BYTE * size


def described(path: Path, plugin: str, *, size: int, dims: Mapping[Any, str] | None) -> list[Signal]:
    """All signals of a file; what the library warned of is warned of here."""
    _signals.check_dims(dims, subject=path.name)
    told, arrays = _guard.call(
        f"{_CHILD}:describe",
        path,
        arguments={
            "plugin": plugin,
            "dims": {str(k): v for k, v in dims.items()} if dims is not None else None,
            "subject": path.name,
        },
        subject=path.name,
        memory=max(_ROOM, _TIMES * size),
        seconds=_seconds(plugin, size),
    )
    found = []
    for index, one in enumerate(told["signals"]):
        parts = _signals.unpacked(one["parts"], arrays) if "parts" in one else None
        shape = tuple(one["shape"])
        rest = (np.dtype(one["dtype"]), one["lazy"], parts, one.get("letter", ""))
        found.append(Signal(path, plugin, size, index, one["name"], shape, *rest))
    for text in told["warnings"]:
        warnings.warn(f"{path.name}: {text}", DataQualityWarning, stacklevel=4)
    return found


def chosen(found: list[Signal], dataset: str | None) -> Signal:
    """The signal asked for; else the only one with the most axes, as a hypermap beside its images."""
    most = max(len(s.shape) for s in found)
    largest = [s.name for s in found if len(s.shape) == most]
    default = largest[0] if len(largest) == 1 and most > 2 else None
    name = _report.choose(found[0].path.name, [s.name for s in found], dataset, default=default)
    return next(s for s in found if s.name == name)


def check(signal: Signal) -> None:
    """Raise before the data are read if the file cannot hold them, even as the emptiest of deflated maps."""
    declared = math.prod(signal.shape) * signal.dtype.itemsize
    if declared > _most(signal):
        shape = " x ".join(map(str, signal.shape))
        raise FormatError(
            f"{signal.path.name}: data set {signal.name!r} is declared as {shape} values, {declared} bytes; the file has "
            f"{signal.size} bytes. Its header is damaged; copy or export it again."
        )


def _most(signal: Signal) -> int:
    """Bytes of data that the file may hold."""
    if signal.plugin == "jeol" and signal.path.suffix.lower() in (".img", ".map"):
        return signal.size  # not packed; the library fills up with zeros what is missing
    if signal.plugin == "jeol":
        return _guard.machine() // 2  # lists of events: the map may be as empty as can be
    return max(_ALWAYS, _DEFLATE * signal.size)


def info(found: list[Signal], dataset: str | None = None) -> dict[str, Any]:
    """The report of `io.info`: of the signal that would be read, or of the first that has a meaning."""
    notes = [s.letter for s in found if s.letter]
    listed = [s.name for s in found]
    try:
        signal = chosen(found, dataset)
    except SsbmapsError:
        signal = next((s for s in found if s.parts is not None), found[0])
    parts = signal.known()
    size, why = None, "no raster, so no pixel size."
    if {"y", "x"} <= set(parts.dims):
        shape = dict(zip(parts.dims, parts.shape, strict=True))
        size, why = _raster(parts, (shape["y"], shape["x"]))
    axis = parts.coords[parts.dims[-1]][1] if parts.dims[-1] in SPECTRAL_UNITS else None
    return _report.report(
        technique=parts.technique,
        dims=parts.dims,
        shape=parts.shape,
        pixel_size=size,
        pixel_size_note=why,
        axis_range=(float(axis.min()), float(axis.max())) if axis is not None else None,
        datasets=listed,
        warnings=notes,
        dataset=signal.name,
    )


def _raster(parts: _signals.Parts, shape: tuple[int, int]) -> tuple[tuple[float, float] | None, str]:
    if parts.ours and {"y", "x"} <= set(parts.coords):
        import xarray as xr

        from ssbmaps._conventions import pixel_size

        coords = {d: parts.coords[d] for d in ("y", "x")}
        return pixel_size(xr.Dataset(coords=coords), subject="the signal"), "from the coordinates."
    return _pixels.file_size(parts.stated(), shape)


def dataarray(
    signal: Signal,
    *,
    pixel_size: tuple[float, float] | None,
    tilt: float | None,
    chunks: Any,
    arguments: Mapping[str, Any],
    attrs: Mapping[str, Any],
) -> xr.DataArray:
    """The DataArray of one signal: of ours as it was written, of others as every reader makes it."""
    parts = signal.known()
    if parts.ours:
        return _of_ours(signal, parts, pixel_size, tilt, chunks, arguments, attrs)
    subject = signal.path.name
    sizes = dict(zip(parts.dims, parts.shape, strict=True))
    raster = {"y", "x"} <= set(sizes)
    shape = (sizes.get("y", 0), sizes.get("x", 0))
    pixel = _pixels.resolve(subject, parts.stated(), shape, pixel_size=pixel_size, tilt=tilt) if raster else None
    found = _dense.Found(
        path=signal.path,
        data=_container(signal, parts, chunks),
        dims=parts.dims,
        units=parts.units,
        long_name=parts.long_name,
        technique=parts.technique,
        metadata={"plugin": signal.plugin, "dataset": signal.name, **parts.metadata},
        coords=parts.coords,
        pixel=pixel,
        attrs={**parts.attrs, **attrs},
    )
    return _dense.array(found, arguments=arguments)


def _of_ours(
    signal: Signal,
    parts: _signals.Parts,
    pixel_size: tuple[float, float] | None,
    tilt: float | None,
    chunks: Any,
    arguments: Mapping[str, Any],
    attrs: Mapping[str, Any],
) -> xr.DataArray:
    """What ssbmaps wrote: all attributes as they were, and one more line of history."""
    assert parts.sent is not None
    if tilt is not None and pixel_size is None:
        raise SsbmapsError(f"{signal.path.name}: was written by ssbmaps, and y holds its tilt already; leave tilt= out.")
    data = _container(signal, parts, chunks)
    result, pixel = parts.dataarray(data, pixel_size=pixel_size, tilt=tilt, subject=signal.path.name)
    told = {k: v for k, v in arguments.items() if v is not None and v is not False}
    line = _provenance.history_line("io.read", {"path": signal.path, **told})
    technique = {"technique": parts.technique} if parts.technique != "unknown" else {}
    known = {"units": parts.units, **technique, "source": signal.path.name, **attrs}
    history = str(parts.attrs.get("history", "")).splitlines()
    result.attrs = {**known, **parts.attrs, "history": "\n".join([*history, line])}
    if pixel is not None:
        result.attrs["pixel_size_source"] = pixel.source
    result.name = parts.sent["name"]
    check_contract(result, subject=signal.path.name)
    return result


def _container(signal: Signal, parts: _signals.Parts, chunks: Any) -> Any:
    """The data as numpy, as dask blocks, or as `sparse.COO` (or blocks of it) if that is what was written."""
    if chunks is None and "sparse" not in parts.container:
        return signal.load_events() if signal.events else signal.load()
    import dask.array as da

    wrap: Any = da.from_array
    if chunks is not None:
        sizes = block_sizes(chunks, (*parts.dims, ""), (*parts.shape, 1), subject=signal.path.name)[:-1]
    else:
        sizes = _signals.blocks(parts.shape, signal.dtype.itemsize)
    if signal.events:
        return wrap(signal.load_events(), chunks=sizes, asarray=False, name=False)
    if signal.lazy:
        lazy = wrap(_Blocks(signal, parts.shape, signal.dtype), chunks=sizes, asarray=False, name=False)
    else:  # the library reads all of it at each call
        lazy = wrap(signal.load(), chunks=sizes, name=False)
    if "sparse" not in parts.container:
        return lazy
    import sparse

    meta = sparse.COO.from_numpy(np.zeros((0,) * len(sizes), signal.dtype))
    lazy = lazy.map_blocks(sparse.COO.from_numpy, dtype=signal.dtype, meta=meta)
    return lazy if chunks is not None else lazy.compute(scheduler="synchronous")


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The data of a signal as dask cuts them: each block is read by the child when it is needed."""

    signal: Signal
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = tuple(key) if isinstance(key, tuple) else (key,)
        keys += (slice(None),) * (self.ndim - len(keys))
        window, within = zip(*(range_of(k, n) for k, n in zip(keys, self.shape, strict=True)), strict=True)
        return np.asarray(self.signal.load([[w.start, w.stop] for w in window])[within])
