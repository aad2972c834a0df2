"""Renishaw WDF, the file of WiRE: maps, volumes, lines, depth and time series, single spectra, and the white-light image."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning
from ssbmaps.io import _dense, _held, _pixels, _raman_axis, _report, _stage
from ssbmaps.io import _wdf_file as wdf
from ssbmaps.io._wdf_image import picture
from ssbmaps.io._wdf_layout import Layout, layout

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "Renishaw WDF"
EXTENSIONS = (".wdf",)
TECHNIQUE = "raman"
SPECTRA, IMAGE = "spectra", "white-light image"
_COUNTS = 6


def sniff(path: Path) -> bool:
    """Whether the file begins with a WDF1 block of 512 bytes."""
    head = _held.head(path, 16)
    return head[:4] == b"WDF1" and head[8:] == wdf.HEADER.to_bytes(8, "little")


def info(path: Path) -> dict[str, Any]:
    """Header, axis and the places of the spectra; neither spectra nor image are read."""
    file = wdf.File(path)
    found = layout(file)
    axis, coords = _axis(file, None)
    ends = coords[axis][1]
    size, why = (
        (None, "no raster, so no pixel size.") if found.stated is None else _pixels.file_size(found.stated, _raster(found))
    )
    return _report.report(
        technique=TECHNIQUE,
        dims=(*found.dims, axis),
        shape=(*found.shape, file.header.points),
        pixel_size=size,
        pixel_size_note=why,
        axis_range=(float(ends.min()), float(ends.max())),
        datasets=_datasets(file),
        warnings=found.notes,
        laser_wavelength=file.header.laser,
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  spectra have no mark by which one could be bad
    laser: Any = None,
) -> xr.DataArray:
    """Read the spectra, or with ``dataset="white-light image"`` the picture; `laser` (nm) overrides the file's."""
    file = wdf.File(path)
    arguments = {"reader": "wdf", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "laser": laser}
    if _report.choose(path.name, _datasets(file), dataset, default=SPECTRA) == IMAGE:
        found = _image(path, file, pixel_size, tilt)
    else:
        found = _spectra(path, file, pixel_size, tilt, _raman_axis.parse_laser(laser, subject=path.name))
    return _dense.array(found, arguments=arguments, chunks=chunks)


def _datasets(file: wdf.File) -> tuple[str, ...]:
    return (SPECTRA, IMAGE) if "WHTL" in file.blocks else (SPECTRA,)


def _axis(file: wdf.File, laser: float | None) -> tuple[str, dict[str, tuple[str, NDArray[np.float64]]]]:
    values, unit = file.axis()
    return _raman_axis.spectral_axis(values, unit, laser=laser or file.header.laser, subject=file.name)


def _raster(found: Layout) -> tuple[int, int]:
    """(ny, nx) of a raster, else nothing that is used."""
    return (0, 0) if found.stated is None else (found.shape[-2], found.shape[-1])


def _spectra(
    path: Path, file: wdf.File, pixel_size: tuple[float, float] | None, tilt: float | None, laser: float | None
) -> _dense.Found:
    found, header = layout(file), file.header
    axis, coords = _axis(file, laser)
    pixel = _stage.pixel(path.name, found.stated, _raster(found), pixel_size=pixel_size, tilt=tilt)
    data = _arranged(file, found)
    for note in found.notes:
        warnings.warn(f"{path.name}: {note}.", DataQualityWarning, stacklevel=4)
    line = laser or header.laser
    return _dense.Found(
        path=path,
        data=data,
        dims=(*found.dims, axis),
        units="counts" if header.unit == _COUNTS else "arbitrary",
        long_name="Raman intensity",
        technique=TECHNIQUE,
        metadata={**header.metadata, "comment": file.comment(), "blocks": list(file.blocks)},
        coords={**found.coords, **coords},
        pixel=pixel,
        measured=found.measured,
        attrs={} if line is None else {"laser_wavelength": line},
    )


def _arranged(file: wdf.File, found: Layout) -> NDArray[np.float32]:
    """The spectra, each at its place; NaN where none was measured."""
    if found.place is None:
        return file.spectra(view=False).reshape(*found.shape, -1)
    total, points = int(np.prod(found.shape)), file.header.points
    data = np.full((total, points), np.nan, np.float32) if len(found.place) < total else np.empty((total, points), np.float32)
    data[found.place] = file.spectra(view=True)
    return data.reshape(*found.shape, points)


def _image(path: Path, file: wdf.File, pixel_size: tuple[float, float] | None, tilt: float | None) -> _dense.Found:
    """The white-light image: (band, y, x) in colour, (y, x) in grey."""
    got = picture(file.picture(), subject=path.name)
    bands = {"band": ("band", np.array(["red", "green", "blue"]), {"long_name": "colour"})} if got.bands == 3 else {}
    pixel = _pixels.resolve(path.name, got.stated, got.shape, pixel_size=pixel_size, tilt=tilt)
    return _dense.Found(
        path=path,
        data=got.values,
        dims=(*bands, "y", "x"),
        units="arbitrary",
        long_name="brightness of the white-light image, 0 to 255",
        technique=TECHNIQUE,
        metadata=file.header.metadata,
        coords={**bands, **got.stage()},
        pixel=pixel,
    )
