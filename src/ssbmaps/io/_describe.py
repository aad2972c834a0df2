"""The attributes that every reader's result carries, and the history line of `io.read`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssbmaps import _provenance
from ssbmaps.io._held import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import xarray as xr

    from ssbmaps.io._pixels import Pixel


def describe(
    result: xr.DataArray,
    path: Path,
    *,
    arguments: Mapping[str, Any],
    units: str,
    long_name: str,
    technique: str,
    pixel: Pixel | None,
    metadata: Mapping[str, Any],
    attrs: Mapping[str, Any],
) -> None:
    """Write units, origin, pixel size and history into `result`; arguments that are None or False were not given.

    `attrs` may bring its own `source_sha256` where the data lie in several files.
    """
    told = {k: v for k, v in arguments.items() if v is not None and v is not False}
    _provenance.finish(result, function="io.read", arguments={"path": path, **told}, units=units, long_name=long_name)
    result.attrs |= {
        "technique": technique,
        "source": path.name,
        **({} if "source_sha256" in attrs else {"source_sha256": sha256(path)}),
        **({"pixel_size_source": pixel.source} if pixel is not None else {}),
        **({"tilt": pixel.tilt} if pixel is not None and pixel.tilt is not None else {}),
        **attrs,
        "original_metadata": _provenance.plain_json(metadata),
    }
