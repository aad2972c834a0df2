"""HORIBA LabSpec XML: maps, volumes, lines, time series and single spectra saved as XML."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError
from ssbmaps.io import _dense, _lines, _pixels, _raman_axis, _report, _stage, _stepped
from ssbmaps.io import _labspec_tree as labspec
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "LabSpec XML"
EXTENSIONS = (".xml",)
TECHNIQUE = "raman"
_UNITS = {"cnt": "counts", "cnt/sec": "counts/s", "cnt/s": "counts/s"}
_DIMS = {"x": "x", "xa": "x", "y": "y", "ya": "y", "z": "z", "time": "time", "t": "time"}
_ROTATED = ("xa", "ya")
_SECONDS = {"": 1.0, "s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}
_EV_NM = 1239.8419843320026  # h c / e in eV nm, from the exact constants of the SI


def sniff(path: Path) -> bool:
    """Whether the file is XML whose root is LSX_Data."""
    return b"<LSX_Data" in _lines.head(path, 1024)


def info(path: Path) -> dict[str, Any]:
    """Axes and settings; the file is read as far as its matrix."""
    tree = labspec.load(path, spectra=False)
    grid = _grid(tree)
    axis, coords = _axis(tree, None)
    ends = coords[axis][1]
    size, why = None, "no raster, so no pixel size."
    if grid.stated is not None:
        size, why = _pixels.file_size(grid.stated, grid.raster)
    return _report.report(
        technique=TECHNIQUE,
        dims=(*grid.dims, axis),
        shape=(*grid.shape, len(ends)),
        pixel_size=size,
        pixel_size_note=why,
        axis_range=(float(ends.min()), float(ends.max())),
        datasets=("spectra",),
        laser_wavelength=_laser(tree),
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
    """Read the matrix; `laser` (nm) overrides the file's laser line."""
    _report.choose(path.name, ("spectra",), dataset)
    line = _raman_axis.parse_laser(laser, subject=path.name)
    tree = labspec.load(path, spectra=True)
    grid = _grid(tree)
    axis, coords = _axis(tree, line)
    pixel = _stage.pixel(path.name, grid.stated, grid.raster, pixel_size=pixel_size, tilt=tilt)
    rows = labspec.matrix(tree)
    data, measured, missing = _stepped.arrange(rows, grid, file_size=path.stat().st_size, subject=path.name)
    if missing:
        text = f"{len(rows)} of {len(rows) + missing} spectra are in the file, the others are NaN"
        warnings.warn(f"{path.name}: {text}.", DataQualityWarning, stacklevel=3)
    used = line or _laser(tree)
    found = _dense.Found(
        path=path,
        data=data,
        dims=(*grid.dims, axis),
        units=_UNITS.get(tree.unit.lower(), "arbitrary"),
        long_name="Raman intensity",
        technique=TECHNIQUE,
        metadata=_metadata(tree),
        coords={**grid.coords, **coords},
        pixel=pixel,
        measured=measured,
        attrs={} if used is None else {"laser_wavelength": used},
    )
    arguments = {"reader": "labspec_xml", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "laser": laser}
    return _dense.array(found, arguments=arguments, chunks=chunks)


def _laser(tree: labspec.Tree) -> float | None:
    """The laser line in nm: the exact value of the setting, else the one that is shown."""
    for text in reversed(tree.settings.get("Laser (nm)", ())):
        try:
            value = float(text)
        except ValueError:
            continue
        if 0 < value < np.inf:
            return value
    return None


def _axis(tree: labspec.Tree, laser: float | None) -> tuple[str, dict[str, tuple[str, NDArray[np.float64]]]]:
    """The spectral axis; absolute wavenumbers and photon energies are wavelengths first, exactly."""
    axis, line = tree.spectral, laser or _laser(tree)
    factor = {"1/cm abs": 1e7, "ev": _EV_NM}.get(axis.unit.lower())
    if factor is None:
        return _raman_axis.spectral_axis(axis.values, axis.unit, laser=line, subject=tree.subject)
    if not (axis.values > 0).all():
        raise FormatError(f"{tree.subject}: the spectral axis reaches {axis.values.min():g} {axis.unit}; expected above 0.")
    return _raman_axis.spectral_axis(factor / axis.values, "nm", laser=line, subject=tree.subject)


def _grid(tree: labspec.Tree) -> _stepped.Grid:
    """The axes that the matrix's rows step through, lengths in um and times in s."""
    return _stepped.grid([_step(tree, axis) for axis in reversed(tree.stepped)], subject=tree.subject)


def _step(tree: labspec.Tree, axis: labspec.Axis) -> _stepped.Step:
    kind = axis.kind.lower()
    name = _DIMS.get(kind)
    if name is None:
        raise FormatError(
            f"{tree.subject}: steps through {axis.kind!r} ({axis.unit}); ssbmaps knows X, Y, Z and time. Save the data along "
            "these."
        )
    if name == "time":
        if axis.unit not in _SECONDS:
            raise FormatError(f"{tree.subject}: the time axis is in {axis.unit!r}; expected {', '.join(_SECONDS)}.")
        return _stepped.Step(name, axis.values * _SECONDS[axis.unit])
    factor = _pixels.in_um("1", axis.unit, default="")
    if factor is None:
        return _stepped.Step(name, axis.values, f"steps in {axis.unit!r}", stage=False)
    return _stepped.Step(name, axis.values * factor, stage=kind not in _ROTATED)


def _metadata(tree: labspec.Tree) -> dict[str, Any]:
    """Title, kind, rotation of the raster, and the settings as LabSpec shows them."""
    settings = {name: shown or exact for name, (shown, exact) in tree.settings.items()}
    return public({"title": tree.title, "kind": tree.kind, "rotation (rad)": tree.angle, "settings": settings})
