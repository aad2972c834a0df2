"""Galactic/Thermo SPC: single spectra, time series, maps with z and w positions, and multi-files whose grid the caller gives."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError, SsbmapsError
from ssbmaps.io import _dense, _held, _pixels, _raman_axis, _report, _stage, _stepped
from ssbmaps.io import _spc_file as spc
from ssbmaps.io._bytes import Bytes
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "SPC"
EXTENSIONS = (".spc",)
TECHNIQUE = "raman"
_LENGTHS = {2: 1.0, 3: 1e-3, 27: 1e4, 28: 1e6, 29: 1e3}  # code of a unit → um
_TIMES = {4: 1.0, 5: 60.0, 11: 86400.0, 23: 1e-3, 24: 1e-6, 25: 1e-9, 30: 3600.0}  # → s
_OTHER = {1: "1/cm", 14: "eV", 18: "degrees", 19: "degrees F", 20: "degrees C", 21: "K"}
_EMISSION = {0, 4, 5, 7, 9, 12, 13, 14, 131}  # kinds of y that a Raman or luminescence spectrum can have
_KINDS = {1: "interferogram", 2: "absorbance", 3: "Kubelka-Munk", 10: "log(1/R)", 11: "percent", 128: "transmission"}
_KINDS |= {129: "reflectance", 130: "single beam"}
_COUNTS = 4


def sniff(path: Path) -> bool:
    """Whether the file begins with a header that makes sense as SPC."""
    return spc.plausible(_held.head(path, 512))


class _File:
    """An opened file: header, places of the subfiles, log; and what becomes of them."""

    def __init__(self, path: Path) -> None:
        self.path, self.bytes = path, Bytes(path)
        self.head = spc.header(self.bytes)
        self.subfiles = spc.subfiles(self.bytes, self.head)
        self.log, cut = spc.log_text(self.bytes, self.head)
        self.notes = [*self.subfiles.notes, *([cut] if cut else [])]

    @property
    def laser(self) -> float | None:
        """The laser line in nm from the log: EXCIT_LINE (nm, HORIBA) or RAMANFREQ (1/cm, Nicolet)."""
        for key, factor in (("EXCIT_LINE", None), ("RAMANFREQ", 1e7)):
            try:
                value = float(self.log[key])
            except (KeyError, ValueError):
                continue
            if 0 < value < np.inf:
                return value if factor is None else factor / value
        return None

    def axis(self, unit: str | None, laser: float | None) -> tuple[str, dict[str, tuple[str, NDArray[np.float64]]]]:
        """The spectral axis in 1/cm where the file, or the caller, says enough."""
        code, label = self.head.types[0], self.head.label.lower()
        stated = {13: "1/cm", 3: "nm", 2: "um"}.get(code)
        if code == 0 and "raman" in label:
            stated = "1/cm"
        elif code == 0 and "(nm)" in label:
            stated = "nm"
        used = unit or stated
        if used is None:
            said = "wavenumber in 1/cm, absolute or from the laser line" if code == 1 else f"code {code}"
            text = f" with the label {self.head.label!r}" if self.head.label else ""
            raise FormatError(
                f"{self.path.name}: x is stated as {said}{text}. If it is the Raman shift, say axis_unit='1/cm'; if it is the "
                "wavelength, axis_unit='nm'."
            )
        values = self.subfiles.x * 1e3 if used == "um" else self.subfiles.x
        name = "nm" if used == "um" else used
        return _raman_axis.spectral_axis(values, name, laser=laser or self.laser, subject=self.path.name)

    def grid(self, shape: tuple[int, int] | None) -> tuple[_stepped.Grid, dict[str, Any]]:
        """Raster, series or points, and coordinates along `point` that have no place in a raster."""
        head, z, w = self.head, self.subfiles.z, self.subfiles.w
        count, name = len(z), self.path.name
        if shape is not None:
            if shape[0] * shape[1] != count:
                raise SsbmapsError(f"{name}: shape is {shape}, {shape[0] * shape[1]} pixels; the file holds {count} subfiles.")
            found = _stepped.Grid([_index("y", shape[0]), _index("x", shape[1])], ("y", "x"), shape)
            found.stated, found.raster = _pixels.Stated(hint="SPC files name no pixel size."), shape
            return found, {}
        if count == 1:
            return _stepped.grid([], subject=name), {}
        if not np.isfinite(z).all() or (head.planes and not np.isfinite(w).all()):
            raise FormatError(f"{name}: the z or w values of the subfiles hold NaN or infinity. The file is damaged.")
        z_code, w_code = head.types[2], head.types[3]
        planes = head.planes
        if planes and z_code in _LENGTHS and w_code in _LENGTHS and count % planes == 0:
            along_y = (w * _LENGTHS[w_code]).reshape(planes, -1)
            along_x = (z * _LENGTHS[z_code]).reshape(planes, -1)
            if (along_y == along_y[:, :1]).all() and (along_x == along_x[:1]).all():
                steps = [_stepped.Step("y", along_y[:, 0]), _stepped.Step("x", along_x[0])]
                return _stepped.grid(steps, subject=name), {}
        if not planes and z_code in _TIMES:
            return _stepped.grid([_stepped.Step("time", (z - z[0]) * _TIMES[z_code])], subject=name), {}
        coords = {"z_axis": ("point", *_valued(z, z_code, "z value of the subfile"))}
        if planes:
            coords["w_axis"] = ("point", *_valued(w, w_code, "w value of the subfile"))
        return _stepped.Grid([_index("point", count)], ("point",), (count,)), coords


def _index(name: str, number: int) -> _stepped.Step:
    return _stepped.Step(name, np.arange(number, dtype=np.float64), stage=False)


def _valued(values: NDArray[np.float64], code: int, long_name: str) -> tuple[NDArray[np.float64], dict[str, str]]:
    if code in _LENGTHS:
        return values * _LENGTHS[code], {"units": "um", "long_name": long_name}
    if code in _TIMES:
        return values * _TIMES[code], {"units": "s", "long_name": long_name}
    return values, {"long_name": long_name, **({"units": _OTHER[code]} if code in _OTHER else {})}


def info(path: Path) -> dict[str, Any]:
    """Header, x values and the subfiles' own headers; no y value is read."""
    file = _File(path)
    grid, _ = file.grid(None)
    notes, axis, ends = list(file.notes), "raman_shift", file.subfiles.x
    try:
        axis, coords = file.axis(None, None)
        ends = coords[axis][1]
        span: tuple[float, float] | None = (float(ends.min()), float(ends.max()))
    except FormatError as error:
        notes.append(str(error))
        span = None
    size, why = None, "no raster, so no pixel size; shape=(ny, nx) and pixel_size= make a map of the subfiles."
    if grid.stated is not None:
        size, why = _pixels.file_size(grid.stated, grid.raster)
    return _report.report(
        technique=TECHNIQUE,
        dims=(*grid.dims, axis),
        shape=(*grid.shape, len(ends)),
        pixel_size=size,
        pixel_size_note=why,
        axis_range=span,
        datasets=("spectra",),
        warnings=notes,
        laser_wavelength=file.laser,
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  subfiles have no mark by which one could be bad
    shape: Any = None,
    laser: Any = None,
    axis_unit: str | None = None,
) -> xr.DataArray:
    """Read all subfiles; `shape=(ny, nx)` makes a map of them, row by row; `axis_unit` says what x is where the file does not."""
    _report.choose(path.name, ("spectra",), dataset)
    raster = _parse_shape(shape, path.name)
    line = _raman_axis.parse_laser(laser, subject=path.name)
    if axis_unit not in (None, "1/cm", "nm"):
        raise SsbmapsError(f"{path.name}: axis_unit is {axis_unit!r}; expected '1/cm' or 'nm'.")
    file = _File(path)
    kind = file.head.types[1]
    if kind not in _EMISSION:
        raise FormatError(
            f"{path.name}: y is {_KINDS.get(kind, f'of code {kind}')}, so this is no Raman spectrum. ssbmaps reads emitted light."
        )
    grid, coords = file.grid(raster)
    axis, spectral = file.axis(axis_unit, line)
    pixel = _stage.pixel(path.name, grid.stated, grid.raster, pixel_size=pixel_size, tilt=tilt)
    rows = spc.spectra(file.bytes, file.head, file.subfiles)
    data, _, _ = _stepped.arrange(rows, grid, file_size=len(file.bytes), subject=path.name)
    for note in file.notes:
        warnings.warn(f"{path.name}: {note}.", DataQualityWarning, stacklevel=3)
    used = line or file.laser
    found = _dense.Found(
        path=path,
        data=data,
        dims=(*grid.dims, axis),
        units="counts" if kind == _COUNTS else "arbitrary",
        long_name="Raman intensity",
        technique=TECHNIQUE,
        metadata=public({"comment": file.head.comment, "source": file.head.source, "log": dict(file.log)}),
        coords={**grid.coords, **coords, **spectral},
        pixel=pixel,
        attrs={} if used is None else {"laser_wavelength": used},
    )
    arguments = {"reader": "spc", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "shape": raster, "laser": laser}
    return _dense.array(found, arguments=arguments | {"axis_unit": axis_unit}, chunks=chunks)


def _parse_shape(shape: Any, name: str) -> tuple[int, int] | None:
    """`shape=` as (rows, columns)."""
    if shape is None:
        return None
    pair = tuple(shape) if isinstance(shape, (tuple, list)) else ()
    good = len(pair) == 2 and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in pair)
    if not good:
        raise SsbmapsError(f"{name}: shape is {shape!r}; expected (rows, columns), e.g. shape=(5, 5).")
    return int(pair[0]), int(pair[1])
