"""HyperSpy's own files, .hspy (HDF5) and .zspy (a Zarr folder), read by RosettaSciIO in the guarded child."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from ssbmaps._provenance import file_sha256
from ssbmaps.io import _guarded_signals, _held, _signal_files

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import xarray as xr

NAME = "HyperSpy"
EXTENSIONS = (".hspy", ".zspy", ".hdf5")
TECHNIQUE = "any"
READS_FOLDERS = None  # both: a .zspy is a folder
WRITES = True
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 65536


def sniff(path: Path) -> bool:
    """Whether the head of an HDF5 file, or the root of a Zarr folder, says that it is HyperSpy's."""
    try:
        if path.is_dir():
            root = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
            return isinstance(root, dict) and root.get("file_format") == "ZSpy"
        head = _held.head(path, _HEAD)
    except (OSError, ValueError):
        return False
    return head.startswith(_HDF5) and all(word in head for word in (b"file_format", b"HyperSpy", b"Experiments"))


def info(path: Path) -> dict[str, Any]:
    """Axes and metadata of the signals; the data are not read."""
    return _guarded_signals.info(_described(path, None))


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,
    dims: Mapping[str | int, str] | None = None,
) -> xr.DataArray:
    """The signal of the file, or the one called `dataset`; with `chunks` each block is read when it is needed."""
    del skip_bad  # a signal has no spectra of its own that could be bad
    signal = _guarded_signals.chosen(_described(path, dims), dataset)
    _guarded_signals.check(signal)
    arguments = {"reader": "hyperspy", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "dims": dims}
    return _guarded_signals.dataarray(
        signal,
        pixel_size=pixel_size,
        tilt=tilt,
        chunks=chunks,
        arguments=arguments,
        attrs={"source_sha256": _folder_sha256(path) if path.is_dir() else file_sha256(path)},
    )


def _described(path: Path, dims: Mapping[str | int, str] | None) -> list[_guarded_signals.Signal]:
    folder = path.is_dir()
    if folder:
        _signal_files.check_complete(path)
    size = sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if folder else path.stat().st_size
    return _guarded_signals.described(path, "zspy" if folder else "hspy", size=size, dims=dims)


def _folder_sha256(path: Path) -> str:
    """SHA-256 over the names and sums of all files of a folder, by name."""
    whole = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        whole.update(f"{file.relative_to(path).as_posix()} {file_sha256(file)}\n".encode())
    return whole.hexdigest()
