"""WITec's MATLAB export: a struct laid out as a dataset of PLS_Toolbox, one row for each pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults, FormatError
from ssbmaps.io import _dense, _held, _mat5, _pixels, _positions, _raman_axis, _report, _witec_map
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "WITec mat"
EXTENSIONS = (".mat",)
TECHNIQUE = "raman"
_FIELDS = {"data", "axisscale", "imagesize", "imageaxisscale", "type"}
_KEPT = ("name", "type", "history", "datasetversion", "description")


def sniff(path: Path) -> bool:
    """Whether the file is a MAT-file of level 5 with a variable that has the fields of a dataset."""
    try:
        return _mat5.is_mat5(_held.head(path, 128)) and bool(_datasets(_mat5.load(path)))
    except FormatError:
        return False


def info(path: Path) -> dict[str, Any]:
    """Sizes and axes; no spectrum is read."""
    found = _datasets(_load(path))
    name = _report.choose(path.name, list(found), None, default=next(iter(found), None))
    data, axis, unit, arranged = _parts(path, found[name])
    size, why = arranged.size()
    return _report.report(
        technique=TECHNIQUE,
        dims=(*arranged.dims, "wavelength" if unit == "nm" else "raman_shift"),
        shape=(*arranged.shape, data.shape[1]),
        pixel_size=size,
        pixel_size_note=why,
        axis_range=(float(axis.min()), float(axis.max())),
        channels_note="one axis for all spectra" + ("; laser= turns nm into 1/cm" if unit == "nm" else ""),
        datasets=list(found),
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
    """Read one dataset; the only one, or the one that is named."""
    laser_nm = _raman_axis.parse_laser(laser, subject=path.name)
    known = _datasets(_load(path))
    struct = known[_report.choose(path.name, list(known), dataset)]
    data, axis, unit, arranged = _parts(path, struct)
    pixel = arranged.pixel(path.name, pixel_size=pixel_size, tilt=tilt)
    dim, coords = _raman_axis.spectral_axis(axis, unit, laser=laser_nm, subject=path.name)
    found = _dense.Found(
        path=path,
        data=arranged.fill(data, path.name),
        dims=(*arranged.dims, dim),
        units="arbitrary",
        long_name="Raman intensity",
        technique=TECHNIQUE,
        metadata={"format": NAME, **public({k: struct[k] for k in _KEPT if isinstance(struct.get(k), str)})},
        coords={**arranged.coords, **coords},
        pixel=pixel,
        attrs={} if laser_nm is None else {"laser_wavelength": laser_nm},
    )
    arguments = {"reader": "witec_mat", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "laser": laser}
    return _dense.array(found, arguments=arguments, chunks=chunks)


def _load(path: Path) -> dict[str, Any]:
    with path.open("rb") as handle:
        head = handle.read(20)
    if head.startswith(b"MATLAB 7.3"):
        raise FormatError(f"{path.name}: is a MAT-file of version 7.3 (HDF5), as WITec does not write them. Save it with '-v7'.")
    return _mat5.load(path)


def _datasets(variables: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The variables that are datasets, by name."""
    return {name: value for name, value in variables.items() if isinstance(value, dict) and set(value) >= _FIELDS}


def _parts(path: Path, struct: Mapping[str, Any]) -> tuple[NDArray[Any], NDArray[np.float64], str, _positions.Arranged]:
    """(pixels, channels) values, the spectral axis and its unit, and where the pixels belong."""
    data = struct["data"]
    with Faults(path.name, FormatError) as faults:
        good = isinstance(data, np.ndarray) and data.ndim == 2 and data.dtype.kind in "iuf" and data.size > 0
        faults.expect(good, "field data is no table of numbers; expected pixels x channels.")
        axes, scales = _pairs(struct["axisscale"]), _pairs(struct["imageaxisscale"])
        faults.expect(len(axes) == 2, "field axisscale does not hold the axes of pixels and of channels.")
    values, unit = axes[1]
    if values.size != data.shape[1]:
        raise FormatError(
            f"{path.name}: field axisscale holds {values.size} values of the axis, and data {data.shape[1]} channels."
        )
    axis = values.reshape(-1).astype(np.float64)
    data = data.astype(data.dtype.newbyteorder("=") if data.dtype.kind == "f" else np.float64, copy=False)
    return data, axis, _witec_map.axis_unit(unit, subject=path.name), _pixels_of(path, struct, len(data), scales)


def _pairs(cells: Any) -> list[tuple[NDArray[Any], str]]:
    """Axes and their units, out of a cell array with two columns, in MATLAB's order: all axes, then all units."""
    half = len(cells) // 2 if isinstance(cells, list) else 0
    found = list(zip(cells[:half], cells[half:], strict=False)) if half else []
    return [(a if isinstance(a, np.ndarray) else np.empty(0), u if isinstance(u, str) else "") for a, u in found]


def _pixels_of(path: Path, struct: Mapping[str, Any], n: int, scales: list[tuple[NDArray[Any], str]]) -> _positions.Arranged:
    """The pixels run down the columns of the image, as MATLAB's images do: size and axes are those of y, then of x."""
    if struct["type"] != "image":
        return _positions.arrange({}, n, subject=path.name)
    stated = struct["imagesize"]
    size = stated.reshape(-1) if isinstance(stated, np.ndarray) else np.empty(0)
    if len(size) != 2 or not np.isfinite(size).all() or math.prod(map(int, size)) != n or min(size) < 1:
        raise FormatError(f"{path.name}: field imagesize is {size.tolist()}, and data has {n} pixels. The file is damaged.")
    ny, nx = (int(s) for s in size)
    x, y = np.divmod(np.arange(n), ny)
    lengths = [_length(values, unit, count) for (values, unit), count in zip(scales, (ny, nx), strict=False)]
    pixel = (lengths[0], lengths[1]) if len(lengths) == 2 else (None, None)
    return _witec_map.by_number(x, y, _pixels.Stated(pixel=pixel))


def _length(places: NDArray[Any], unit: str, n: int) -> _pixels.Length | None:
    """The step of an even axis of `n` places."""
    values = places.reshape(-1).astype(np.float64)
    if n < 2 or len(values) != n or not np.isfinite(values).all():
        return None
    step = (values[-1] - values[0]) / (n - 1)
    if not np.allclose(np.diff(values), step, rtol=0.01, atol=0):
        return _pixels.Length(None, f"uneven places, {values[0]:g} to {values[-1]:g} {unit}")
    return _pixels.length(f"{step:.9g}", unit, default="")
