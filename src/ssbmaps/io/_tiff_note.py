"""The note in the TIFF files that we write: dims, coordinates and attributes as JSON, so that they come back as they were."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

NAMESPACE = "ssbmaps.io.tiff"
_VERSION = 1
_SHORT = 64  # values that are written as they are; longer arrays are packed
_MOST = 1 << 26  # bytes of one packed coordinate


@dataclass(frozen=True, slots=True)
class Note:
    """What an array was before it became an image: `dims` in the order in which the planes follow, then y, x."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    name: str | None
    coords: dict[str, tuple[tuple[str, ...], Any, dict[str, Any]]]
    attrs: dict[str, Any]


def encode(array: xr.DataArray, dims: Sequence[str]) -> str:
    """The note of `array`, whose planes will follow in the order of `dims`."""
    array = array.transpose(*dims)
    coords = {
        str(name): {"dims": [str(d) for d in coord.dims], "values": _pack(coord.values), "attrs": _attrs(coord.attrs)}
        for name, coord in array.coords.items()
    }
    note = {"ssbmaps_note": _VERSION, "dims": [str(d) for d in array.dims], "shape": array.shape, "dtype": array.dtype.str}
    name = array.name if isinstance(array.name, str) else None
    return json.dumps({**note, "name": name, "coords": coords, "attrs": _attrs(array.attrs)})


def decode(text: str, *, subject: str) -> Note:
    """The note, every part of the expected kind; FormatError otherwise."""
    try:
        raw = json.loads(text)
        if raw["ssbmaps_note"] != _VERSION:
            raise ValueError(f"version {raw['ssbmaps_note']!r}")
        dims, shape = tuple(map(str, raw["dims"])), tuple(int(n) for n in raw["shape"])
        dtype = np.dtype(str(raw["dtype"]))
        if len(dims) != len(shape) or dims[-2:] != ("y", "x") or min(shape) < 1 or dtype.kind not in "biuf":
            raise ValueError("dims, shape or type")
        sizes = dict(zip(dims, shape, strict=True))
        coords = {}
        for name, coord in raw["coords"].items():
            along = tuple(map(str, coord["dims"]))
            expected = tuple(sizes[d] for d in along)
            coords[str(name)] = (along, _unpack(coord["values"], expected), _decode_attrs(coord["attrs"]))
        name = raw["name"] if raw["name"] is None else str(raw["name"])
        return Note(dims, shape, dtype, name, coords, _decode_attrs(raw["attrs"]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, zlib.error) as error:
        raise FormatError(
            f"{subject}: the note of ssbmaps in it is damaged ({type(error).__name__}: {str(error)[:100]}). Copy the file again."
        ) from None


def _attrs(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Text, int and float as JSON has them; all else with its type."""
    plain = (str, int, float)
    return {str(k): v if type(v) in plain else _pack(np.asarray(v)) for k, v in attrs.items()}


def _decode_attrs(raw: Mapping[str, Any]) -> dict[str, Any]:
    attrs = {}
    for name, value in raw.items():
        found = _unpack(value, None) if isinstance(value, dict) else value
        attrs[name] = found[()] if isinstance(found, np.ndarray) and found.ndim == 0 else found
    return attrs


def _pack(values: Any) -> dict[str, Any]:
    """An array as its type, its shape and its values."""
    values = np.asarray(values)
    if values.dtype.kind in "OU":
        return {"dtype": "text", "shape": values.shape, "values": [str(v) for v in values.ravel()]}
    head = {"dtype": values.dtype.str, "shape": values.shape}
    if values.size <= _SHORT:
        return {**head, "values": values.ravel().tolist()}
    return {**head, "packed": base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes())).decode("ascii")}


def _unpack(raw: Mapping[str, Any], shape: tuple[int, ...] | None) -> Any:
    """The array; of `shape`, if one is given."""
    stated = tuple(int(n) for n in raw["shape"])
    if shape is not None and stated != shape:
        raise ValueError(f"a coordinate of {stated} values for {shape}")
    if raw["dtype"] == "text":
        return np.array([str(v) for v in raw["values"]]).reshape(stated)
    dtype = np.dtype(str(raw["dtype"]))
    if dtype.kind not in "biuf":
        raise ValueError(f"values of type {dtype}")
    if "values" in raw:
        return np.array(raw["values"], dtype).reshape(stated)
    size = int(np.prod(stated, dtype=np.int64)) * dtype.itemsize
    if not 0 <= size <= _MOST:
        raise ValueError(f"{size} bytes")
    data = zlib.decompressobj().decompress(base64.b64decode(raw["packed"], validate=True), max(size, 1))
    return np.frombuffer(data, dtype).reshape(stated).copy()
