"""What a DataArray leaves in a HyperSpy signal's metadata under `ssbmaps`, so that the way back finds all of it again."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_dask, is_sparse, to_dense
from ssbmaps._conventions import CHANNEL_DIMS, RASTER_DIMS
from ssbmaps._errors import DataQualityWarning, Faults, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.io._signal_axes import Axis

VERSION = 1
_LONG = 32768  # bytes of text above which HDF5 cannot hold an attribute any more, with room to spare
_UTF8 = "__utf8"  # ends the name of a text that is stored as bytes because it is long
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?<!__utf8)$")
_SAME = 1e-6  # of a step: axis values closer than this are the ones that were sent


def encode(obj: xr.DataArray, *, subject: str) -> dict[str, Any]:
    """Name, dimensions, container, attributes and coordinates of `obj` as HyperSpy's metadata and files can hold them."""
    coords: dict[str, Any] = {}
    with Faults(subject) as faults:
        for name, coord in obj.coords.items():
            values = np.asarray(to_dense(coord.variable.data))
            text = values.dtype.kind in "UO" and all(isinstance(v, str) for v in values.flat)
            if not faults.expect(
                values.dtype.kind in "biuf" or text, f"coordinate {name} is of type {values.dtype}; expected numbers or text."
            ):
                continue
            note = {"name": name, "dims": list(coord.dims), "shape": list(values.shape), "dtype": values.dtype.str}
            flat: Any = [str(v) for v in values.flat] if text else values.ravel()
            key = str(name) if _plain(str(name)) else f"coordinate_{len(coords)}"
            coords[key] = {"layout": json.dumps(note), "values": flat.astype(np.uint8) if values.dtype.kind == "b" else flat}
            coords[key] |= _attributes(coord.attrs)
    container = ("dask " if is_dask(obj.data) else "") + ("sparse" if is_sparse(obj.data) else "dense")
    layout = {"version": VERSION, "name": obj.name, "dims": list(obj.dims), "container": container}
    return {"layout": json.dumps(layout), **_attributes(obj.attrs), "coords": coords}


def _plain(name: str) -> bool:
    """Whether HyperSpy keeps a node of this name as it is: an identifier, and none of its own methods."""
    from hyperspy.misc.utils import DictionaryTreeBrowser

    return bool(_PLAIN.match(name)) and not hasattr(DictionaryTreeBrowser, name)


def _attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """`attributes` as a tree that can be looked at; those whose names a tree cannot hold as JSON in `further_attributes`."""
    tree: dict[str, Any] = {}
    further: dict[str, Any] = {}
    for name, value in attrs.items():
        if not _plain(name):
            further[name] = value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        elif isinstance(value, str) and len(value.encode()) > _LONG:
            tree[name + _UTF8] = np.frombuffer(value.encode(), np.uint8)
        else:
            tree[name] = np.asarray(value) if isinstance(value, (list, tuple)) else value
    return {"attributes": tree, **({"further_attributes": json.dumps(further)} if further else {})}


def _attributes_back(node: Mapping[str, Any]) -> dict[str, Any]:
    tree = dict(node.get("attributes", {}))
    attrs: dict[str, Any] = {}
    for name, value in tree.items():
        if name.endswith(_UTF8):
            attrs[name.removesuffix(_UTF8)] = np.asarray(value, np.uint8).tobytes().decode("utf-8")
        else:
            value = np.asarray(value) if is_dask(value) else value
            attrs[name] = value.item() if isinstance(value, np.generic) else value
    return {**attrs, **json.loads(node.get("further_attributes", "{}"))}


def dims_of(node: Mapping[str, Any]) -> tuple[str, ...]:
    """The dimensions that were sent; none if the note cannot be read, of which `decode` then tells."""
    try:
        return tuple(map(str, json.loads(node["layout"])["dims"]))
    except (KeyError, TypeError, ValueError):
        return ()


def decode(node: Mapping[str, Any], axes: Sequence[Axis], dims: Sequence[str], *, subject: str) -> dict[str, Any]:
    """`name`, `attrs`, `coords` (as xarray takes them), `container`, and `changed`: the dimensions that are not as sent.

    A coordinate comes back where every axis that it lies on is the one that was sent, or a piece cut out of it.
    """
    try:
        layout = json.loads(node["layout"])
        notes = [(json.loads(c["layout"]), c) for c in dict(node.get("coords", {})).values()]
        stored = {n["name"]: (n["dims"], _values(n, c["values"]), _attributes_back(c)) for n, c in notes}
        attrs = _attributes_back(node)
        name, container, sent = layout["name"], str(layout["container"]), list(layout["dims"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{subject}: its metadata 'ssbmaps' is not as ssbmaps wrote it ({error}); delete it there.") from None
    windows: dict[str, slice | None] = {}
    for axis, dim in zip(axes, dims, strict=True):
        found = stored[dim][1] if dim in stored and stored[dim][0] == [dim] else None
        windows[dim] = _window(axis, found, dim) if dim in sent else None
    coords = {
        key: (tuple(on), values[tuple(windows[d] for d in on)] if on else values, extra)
        for key, (on, values, extra) in stored.items()
        if all(windows.get(d) is not None for d in on)
    }
    whole = [d for d, w in windows.items() if w is not None and _is_whole(w, d, stored)]
    changed = [d for d in {*dims, *sent} if d not in whole]
    _note_lost(stored, coords, subject)
    return {"name": name, "attrs": attrs, "coords": coords, "container": container, "changed": sorted(changed)}


def _values(note: Mapping[str, Any], values: Any) -> NDArray[Any]:
    return np.asarray(values).astype(np.dtype(note["dtype"])).reshape([int(n) for n in note["shape"]])


def _window(axis: Axis, sent: NDArray[Any] | None, dim: str) -> slice | None:
    """Where the axis lies within the values that were sent for it; None if it is another axis."""
    n = len(axis.values)
    if sent is None or sent.dtype.kind not in "iuf" or dim in CHANNEL_DIMS:
        sent = np.arange(n if sent is None else len(sent), dtype=np.float64)
    if n == 0 or len(sent) < n:
        return None
    start = int(np.argmin(np.abs(sent - axis.values[0])))
    piece = sent[start : start + n].astype(np.float64)
    step = np.abs(np.diff(sent)).min() if len(sent) > 1 else 1.0
    alike = len(piece) == n and bool((np.abs(piece - axis.values) <= _SAME * step).all())
    if axis.scale is not None and len(sent) > 1:
        alike &= abs(axis.scale - (sent[-1] - sent[0]) / (len(sent) - 1)) <= _SAME * step  # binned to few points, maybe one
    return slice(start, start + n) if alike else None


def _is_whole(window: slice, dim: str, stored: Mapping[str, Any]) -> bool:
    return window.start == 0 and (dim not in stored or window.stop == stored[dim][1].shape[0])


def _note_lost(stored: Mapping[str, Any], coords: Mapping[str, Any], subject: str) -> None:
    import warnings

    lost = [n for n, (on, _, _) in stored.items() if n not in coords and n not in RASTER_DIMS and on != [n]]
    if lost:
        warnings.warn(
            f"{subject}: coordinate {', '.join(lost)} is left out, because an axis that it lies on was changed in HyperSpy.",
            DataQualityWarning,
            stacklevel=4,
        )
