"""The attributes that every reader's result carries, and the history line of `io.read`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ssbmaps import _provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    import xarray as xr

    from ssbmaps.io._pixels import Pixel


_LONG = 1 << 20  # bytes; a shorter file is hashed before a thread has begun
_AHEAD: ContextVar[tuple[Path, Future[str]] | None] = ContextVar("ahead", default=None)


@contextmanager
def hashed_ahead(path: Path) -> Iterator[None]:
    """Let the checksum of `path` be made in a thread while the file is read: `describe` will ask for it at the end."""
    if not path.is_file() or path.stat().st_size < _LONG:
        yield
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        token = _AHEAD.set((path, pool.submit(_provenance.file_sha256, path)))
        try:
            yield
        finally:
            _AHEAD.reset(token)


def _sha256(path: Path) -> str:
    ahead = _AHEAD.get()
    return ahead[1].result() if ahead is not None and ahead[0] == path else _provenance.file_sha256(path)


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
        **({} if "source_sha256" in attrs else {"source_sha256": _sha256(path)}),
        **({"pixel_size_source": pixel.source} if pixel is not None else {}),
        **({"tilt": pixel.tilt} if pixel is not None and pixel.tilt is not None else {}),
        **attrs,
        "original_metadata": json.dumps(metadata, ensure_ascii=False),
    }
