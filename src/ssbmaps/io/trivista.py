"""TriVista .tvf: maps, lines, time series, single spectra, and the windows of a step-and-glue measurement."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError
from ssbmaps.io import _dense, _lines, _pixels, _raman_axis, _report, _stage, _stepped
from ssbmaps.io import _trivista_tree as trivista
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "TriVista"
EXTENSIONS = (".tvf",)
TECHNIQUE = "raman"
_AXES = {"Z-Axis": "z", "Y-Axis": "y", "X-Axis": "x"}  # slowest first
_UNIT_NOTE = "the file states no unit of its steps; they are taken as um"
_OFF_GRID = 0.25  # of a step


def sniff(path: Path) -> bool:
    """Whether the file is XML that begins as TriVista writes it."""
    head = _lines.head(path, 1024).lstrip(b"\xef\xbb\xbf")
    return head.startswith(b"<") and b"<XmlMain" in head and (b"TriVista" in head or b"FileInfoSerialized" in head)


def info(path: Path) -> dict[str, Any]:
    """Documents, axes and settings; the frames' numbers are passed over."""
    tree = trivista.load(path, wanted=None)
    names = tuple(d.name for d in tree.documents)
    document = tree.documents[0]
    grid = _grid(tree, document)
    axis, coords = _axis(tree, document, None)
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
        datasets=names,
        warnings=(f"{_UNIT_NOTE}.",) if grid.stated is not None else (),
        laser_wavelength=_laser(document),
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  frames have no mark by which one could be bad
    laser: Any = None,
) -> xr.DataArray:
    """Read one document; `laser` (nm) overrides the file's laser line."""
    line = _raman_axis.parse_laser(laser, subject=path.name)
    tree = trivista.load(path, wanted=dataset or "spectra")
    name = _report.choose(path.name, [d.name for d in tree.documents], dataset, default="spectra")
    document = next(d for d in tree.documents if d.name == name)
    if not document.frames:
        raise FormatError(f"{path.name}: {name!r} holds no frame. The file is cut short, or nothing was measured.")
    grid = _grid(tree, document)
    axis, coords = _axis(tree, document, line)
    pixel = _stage.pixel(path.name, grid.stated, grid.raster, pixel_size=pixel_size, tilt=tilt)
    if pixel is not None and pixel_size is None:
        pixel = replace(pixel, source=f"file; {_UNIT_NOTE}")
        text = f"{path.name}: {_UNIT_NOTE}, as other readers do. If you know better, give pixel_size= in um."
        warnings.warn(text, DataQualityWarning, stacklevel=3)
    rows = np.array(document.frames)
    data, measured, missing = _stepped.arrange(rows, grid, file_size=path.stat().st_size, subject=path.name)
    if missing:
        text = f"the measurement was interrupted: {len(rows)} of {len(rows) + missing} spectra are in the file, the others NaN"
        warnings.warn(f"{path.name}: {text}.", DataQualityWarning, stacklevel=3)
    used = line or _laser(document)
    found = _dense.Found(
        path=path,
        data=data,
        dims=(*grid.dims, axis),
        units="counts" if document.attributes.get("DataLabel", "").lower() == "counts" else "arbitrary",
        long_name="Raman intensity",
        technique=TECHNIQUE,
        metadata=public({"document": name, "settings": document.settings}),
        coords={**grid.coords, **coords},
        pixel=pixel,
        measured=measured,
        attrs={} if used is None else {"laser_wavelength": used},
    )
    arguments = {"reader": "trivista", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "laser": laser}
    return _dense.array(found, arguments=arguments, chunks=chunks)


def _laser(document: trivista.Document) -> float | None:
    """The laser line in nm, from the axis or from the settings; 0 stands for none."""
    stated = (document.calibration.get("LaserWave"), document.settings.get("Calibration", {}).get("Laser_Wavelength"))
    return next((value for value in map(trivista.number, stated) if value is not None and value > 0), None)


def _axis(
    tree: trivista.Tree, document: trivista.Document, laser: float | None
) -> tuple[str, dict[str, tuple[str, NDArray[np.float64]]]]:
    values, unit = trivista.axis(tree, document)
    return _raman_axis.spectral_axis(values, unit, laser=laser or _laser(document), subject=tree.subject)


def _grid(tree: trivista.Tree, document: trivista.Document) -> _stepped.Grid:
    """The steps of the stage, else the times of the frames, else one spectrum."""
    frames = len(document.ticks)
    steps = [_step(tree, document, group, name) for group, name in _AXES.items() if group in document.settings]
    found = _stepped.grid(steps, subject=tree.subject)
    places = int(np.prod(found.sizes))
    if steps and (places > 1 or frames == 1):
        _check_order(tree, document, found)
        if frames > places:
            raise FormatError(
                f"{tree.subject}: {document.name!r} holds {frames} frames for {places} places of the stage; ssbmaps reads one "
                "for each. Save the frames one by one."
            )
        return found
    if frames < 2:
        return _stepped.grid([], subject=tree.subject)
    ticks = np.array([int(t) if t.isdecimal() and len(t) < 19 + 1 else 0 for t in document.ticks], np.uint64)
    since = _stage.seconds(ticks)
    if np.isnan(since).any():
        raise FormatError(
            f"{tree.subject}: {document.name!r} holds {frames} frames without the times or places at which they were measured."
        )
    return _stepped.grid([_stepped.Step("time", since)], subject=tree.subject)


def _step(tree: trivista.Tree, document: trivista.Document, group: str, name: str) -> _stepped.Step:
    """Places from From, Step and Points of one axis; To must agree."""
    said = document.settings[group]
    first, last, step, points = (trivista.number(said.get(key)) for key in ("From", "To", "Step", "Points"))
    if first is None or last is None or step is None or points is None or not 1 <= points <= 1e6 or points % 1:
        raise FormatError(
            f"{tree.subject}: the {group} of {document.name!r} is stated as {said}; expected From, To, Step, Points."
        )
    values = first + step * np.arange(int(points))
    if abs(values[-1] - last) > _OFF_GRID * abs(step):
        raise FormatError(
            f"{tree.subject}: the {group} of {document.name!r} has {int(points)} points from {first:g} in steps of {step:g}, "
            f"which end at {values[-1]:g}; it states {last:g}. The file is damaged."
        )
    return _stepped.Step(name, np.asarray(values, np.float64))


def _check_order(tree: trivista.Tree, document: trivista.Document, found: _stepped.Grid) -> None:
    """Frames with a position must come in the order of the axes, x fastest; in whatever unit, evenly scaled."""
    order = {"x": 0, "y": 1, "z": 2}
    parts = [p.split(";") for p in document.positions if p]
    if not parts or len(parts) != len(document.positions) or len(parts) > np.prod(found.sizes):
        return
    meant = np.meshgrid(*(np.arange(n) for n in found.sizes), indexing="ij")
    for axis, index in zip(found.axes, meant, strict=True):
        told = [trivista.number(p[order[axis.name]]) if len(p) == 3 else None for p in parts]
        steps = index.ravel()[: len(told)]
        if len(axis.values) < 2 or steps.max() == 0:
            continue
        values = np.array([np.nan if t is None else t for t in told])
        size = (values[steps.argmax()] - values[0]) / steps.max()
        with np.errstate(invalid="ignore", over="ignore"):
            good = size != 0 and bool((np.abs(values - values[0] - steps * size) <= _OFF_GRID * abs(size)).all())
        if not good:
            raise FormatError(
                f"{tree.subject}: the frames of {document.name!r} do not follow the {axis.name} axis in order; ssbmaps does not "
                "know how this map was scanned. Save it point by point, row by row."
            )
