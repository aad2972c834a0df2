"""The one place that writes `history` and decides which attributes a result keeps."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ssbmaps._conventions import TRAVELLING_ATTRS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import xarray as xr

_JSON = json.JSONEncoder(ensure_ascii=False)
_X = TypeVar("_X", "xr.DataArray", "xr.Dataset")


def finish(
    result: _X,
    *,
    function: str,
    arguments: Mapping[str, Any],
    sources: Sequence[xr.DataArray | xr.Dataset] = (),
    units: str | None = None,
    long_name: str | None = None,
) -> _X:
    """`result` with its own units and name, the first source's travelling attributes, and one more line of history.

    `function` is the public name without the package, e.g. "maps.fragment_maps". The history of all sources is kept, each
    line once, in the order given. No clock time: a rerun writes the same line. `result` must be the caller's own new object;
    its attributes are replaced, and a Dataset's variables get history and origin, too.
    """
    attrs: dict[str, Any] = {}
    for source in reversed(sources):
        attrs.update({k: source.attrs[k] for k in TRAVELLING_ATTRS if k in source.attrs})
    attrs.pop("history", None)
    attrs.update({k: v for k, v in (("units", units), ("long_name", long_name)) if v is not None})
    lines: list[str] = []
    for source in sources:
        lines += [line for line in str(source.attrs.get("history", "")).splitlines() if line and line not in lines]
    result.attrs = {**attrs, "history": "\n".join([*lines, history_line(function, arguments)])}
    if hasattr(type(result), "data_vars"):
        _hand_down(result)
    return result


def _hand_down(result: Any) -> None:
    """Give a Dataset's variables its history and origin, so that one that is taken out still tells where it comes from.

    The file's own metadata stay with the Dataset: they can be long.
    """
    shared = {k: v for k, v in result.attrs.items() if k in TRAVELLING_ATTRS and k != "original_metadata"}
    for variable in result.data_vars.values():
        variable.attrs = {**shared, **{k: v for k, v in variable.attrs.items() if k not in shared}}


def history_line(function: str, arguments: Mapping[str, Any]) -> str:
    """One step: function, version, arguments as JSON."""
    from ssbmaps import __version__

    return f"ssbmaps.{function} {__version__} {plain_json(_plain(arguments))}"


def plain_json(value: Any) -> str:
    """JSON in one line, letters of all languages as they are."""
    return _JSON.encode(value)


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it; arrays of more than 20 numbers by shape and content hash."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else str(value)
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.bool_):
        return bool(value)
    if hasattr(value, "items") and not hasattr(value, "dims"):
        return {str(k): _plain(v) for k, v in value.items()}
    if hasattr(value, "dims"):
        sizes = ", ".join(f"{d}: {n}" for d, n in value.sizes.items())
        return f"<{type(value).__name__} {getattr(value, 'name', None) or ''} ({sizes})>".replace("  ", " ")
    if isinstance(value, slice):
        return [_plain(value.start), _plain(value.stop)]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        if value.size <= 20:
            return _plain(value.tolist())
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
        return f"<array {value.shape} {value.dtype} sha256:{digest}>"
    if hasattr(value, "__fspath__"):
        return value.name if hasattr(value, "name") else str(value)
    return f"<{type(value).__name__}>"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
