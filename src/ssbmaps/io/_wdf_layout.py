"""Where each spectrum of a WDF file belongs: map, volume, line, depth or time series, points; by its place, not its number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _dense, _pixels, _stage
from ssbmaps.io import _wdf_file as wdf

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FAR = 1e9  # um, a kilometre: no stage goes there
_OFF_GRID = 0.25  # of a step: a spectrum further from its place than this is on no grid
_UM = {"um": 1.0, "mm": 1e3, "m": 1e6, "nm": 1e-3}
_BESIDE = {
    wdf.Z: ("stage_z", "position of the stage along z"),
    wdf.TEMPERATURE: ("temperature", "temperature"),
    wdf.PRESSURE: ("pressure", "pressure"),
    wdf.POLARISATION: ("polarisation", "polarisation"),
    wdf.FOCUS: ("focus_z", "height found by focus tracking"),
}


@dataclass(slots=True)
class Layout:
    """Dimensions before the spectral one; `place` is the flat index of each spectrum, None if they fill them in order."""

    dims: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    place: NDArray[np.int64] | None = None
    coords: dict[str, Any] = field(default_factory=dict)
    stated: _pixels.Stated | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def measured(self) -> NDArray[np.bool_] | None:
        """(y, x): whether anything was measured there; None without a raster."""
        if self.place is None or "y" not in self.dims:
            return None
        mask = np.zeros(self.shape, bool)
        mask.flat[self.place] = True
        return np.asarray(mask.reshape(-1, *self.shape[-2:]).any(axis=0))


def layout(file: wdf.File) -> Layout:
    """The file's own: from the map area and the places of the spectra, or from what a series steps through."""
    header, places, area = file.header, file.places(), file.area()
    if header.kind == wdf.MAPPING or (header.kind not in (wdf.SINGLE, wdf.SERIES) and area is not None):
        return _map(file, places, area)
    if header.count == 1 and header.capacity == 1:
        return Layout(coords=_single(places))
    return _series(file, places)


def _um(places: dict[int, wdf.Places], kind: int) -> NDArray[np.float64] | None:
    """A list of lengths in um, or None if it is absent, in no unit of length, or holds what is no place."""
    found = places.get(kind)
    if found is None or found.unit not in _UM or not (np.abs(found.values) < _FAR / _UM[found.unit]).all():
        return None
    return found.values * _UM[found.unit]


def _single(places: dict[int, wdf.Places]) -> dict[str, Any]:
    y, x = _um(places, wdf.Y), _um(places, wdf.X)
    if y is None or x is None:
        return {}
    return {**_stage.stage("stage_y", (), y[0]), **_stage.stage("stage_x", (), x[0])}


def _map(file: wdf.File, places: dict[int, wdf.Places], area: wdf.Area | None) -> Layout:
    y, x = _um(places, wdf.Y), _um(places, wdf.X)
    if y is None or x is None:
        raise FormatError(
            f"{file.name}: is a map, and block ORGN lists no usable X and Y position of each spectrum; their order alone does "
            "not say where they lie. The file is cut short or damaged; copy it again, or export the map from WiRE as text."
        )
    if area is None:
        return _points(file, places, y, x, line=False, note="has no map area (block WMAP), so its spectra are read as points")
    if area.number[:2] == (1, 1) and area.number[2] > 1:
        return _series(file, places, depth=True)
    if area.flags & wdf.RANDOM:
        return _points(file, places, y, x, line=False)
    line = bool(area.flags & wdf.LINE) or min(area.number[:2]) == 1
    if line and area.number[2] == 1:
        return _points(file, places, y, x, line=True)
    grid = _grid(file, places, area, y, x, line=line)
    if grid is None:
        note = (
            f"declares a map of {' x '.join(map(str, area.number))} places (x, y, z), and its {file.header.count} spectra do not "
            "lie on these; they are read as points where they were measured"
        )
        return _points(file, places, y, x, line=False, note=note)
    return grid


def _points(
    file: wdf.File, places: dict[int, wdf.Places], y: NDArray[np.float64], x: NDArray[np.float64], *, line: bool, note: str = ""
) -> Layout:
    header = file.header
    found = Layout(("point",), (header.count,), coords=_stage.points(y, x, line=line), notes=[note] if note else [])
    if header.count < header.capacity:
        found.notes.append(f"{header.count} of {header.capacity} spectra were measured; the others are left out")
    _beside(found, places, series=False)
    return found


def _grid(
    file: wdf.File,
    places: dict[int, wdf.Places],
    area: wdf.Area,
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    *,
    line: bool,
) -> Layout | None:
    """The raster (z, y, x), or (z, point) for a slice along a line; None if the spectra do not lie on it, one on each place."""
    (nx, ny, nz), count = area.number, file.header.count
    scale = _UM[places[wdf.X].unit]
    (sx, sy, sz), (ox, oy, oz) = ([v * scale for v in axis] for axis in (area.step, area.first))
    depth = _um(places, wdf.Z)
    if nx * ny * nz != file.header.capacity or (nz > 1 and depth is None):
        return None
    what = "the map area (block WMAP)"
    _dense.check_declared((nz, ny, nx, file.header.points), 4, file_size=len(file.bytes), subject=file.name, what=what)
    iz = _index(np.zeros(count) if depth is None else depth, oz, sz, nz)
    if line:
        if not area.flags & wdf.LINE:  # a single row or column
            sx, sy = (sx, 0.0) if nx > 1 else (0.0, sy)
        n, square = max(nx, ny), sx * sx + sy * sy
        along = ((x - ox) * sx + (y - oy) * sy) / square if square > 0 else np.full(count, np.nan)
        indices = {"z": iz, "point": _index(along, 0.0, 1.0, n)}
        sizes: tuple[int, ...] = (nz, n)
    else:
        indices = {"z": iz, "y": _index(y, oy, sy, ny), "x": _index(x, ox, sx, nx)}
        sizes = (nz, ny, nx)
    known = [i for i in indices.values() if i is not None]
    if len(known) < len(indices):
        return None
    flat, dims = np.ravel_multi_index(known, sizes), tuple(indices)
    if np.bincount(flat).max() > 1:
        return None
    in_order = count == np.prod(sizes) and bool((np.diff(flat) == 1).all())
    found = Layout(dims, sizes, None if in_order else flat)
    if nz == 1:
        found.dims, found.shape = dims[1:], sizes[1:]
    else:
        found.coords["z"] = ("z", _axis(oz, sz, nz), {"units": "um", "long_name": "position of the stage along z"})
    if line:
        steps = np.arange(n)
        found.coords |= _stage.points(oy + sy * steps, ox + sx * steps, line=True)
    else:
        found.stated = _pixels.Stated(pixel=(_length(sy), _length(sx)))
        found.coords |= _stage.stage("stage_y", "y", _axis(oy, sy, ny))
        found.coords |= _stage.stage("stage_x", "x", _axis(ox, sx, nx))
    if count < np.prod(sizes):
        found.notes.append(f"the map was interrupted: {count} of {np.prod(sizes)} spectra were measured, the others are NaN")
    _beside(found, places, series=False)
    return found


def _index(values: NDArray[np.float64], first: float, step: float, number: int) -> NDArray[np.int64] | None:
    """Place of each value on an axis, counted upwards whatever the sign of `step`; None if one lies on no place."""
    if number == 1:
        return np.zeros(len(values), np.int64)
    if step == 0:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        place = (values - first) / step
        near = np.rint(place)
        good = (np.abs(place - near) <= _OFF_GRID) & (near >= 0) & (near < number)
    if not good.all():
        return None
    index = near.astype(np.int64)
    return index if step > 0 else number - 1 - index


def _axis(first: float, step: float, number: int) -> NDArray[np.float64]:
    values = first + step * np.arange(number, dtype=np.float64)
    return values if step >= 0 else values[::-1]


def _length(step: float) -> _pixels.Length:
    return _pixels.length(str(abs(step)), "um", default="um")


def _series(file: wdf.File, places: dict[int, wdf.Places], *, depth: bool = False) -> Layout:
    """One spectrum after the other: by depth if that (or, with `depth`, nothing else) is stepped through, by place, else time."""
    header = file.header
    y, x, z = (_um(places, kind) for kind in (wdf.Y, wdf.X, wdf.Z))
    stepped = {kind for kind, held in places.items() if held.primary}
    if not depth and y is not None and x is not None and stepped & {wdf.X, wdf.Y}:
        return _points(file, places, y, x, line=True)
    found = Layout(shape=(header.count,))
    if header.count < header.capacity:
        found.notes.append(f"{header.count} of {header.capacity} spectra were measured; the others are left out")
    if z is not None and (depth or wdf.Z in stepped) and len(np.unique(z)) == len(z):
        order = np.argsort(z, kind="stable")
        found.dims = ("z",)
        found.place = None if (np.diff(z) > 0).all() else np.argsort(order)
        found.coords["z"] = ("z", z[order], {"units": "um", "long_name": "position of the stage along z"})
    elif wdf.TIME in places:
        found.dims = ("time",)
        since = _stage.seconds(places[wdf.TIME].values)
        found.coords["time"] = ("time", since, {"units": "s", "long_name": "time since the first spectrum"})
    else:
        found.dims = ("point",)
    _beside(found, places, series=True)
    return found


def _beside(found: Layout, places: dict[int, wdf.Places], *, series: bool) -> None:
    """Add what else is known of each spectrum: when it was measured, and heights, temperatures and the like that vary."""

    def put(name: str, values: NDArray[np.float64], units: str, long_name: str) -> None:
        held = values if found.place is None else np.full(found.shape, np.nan)
        if found.place is not None:
            held.flat[found.place] = values
        found.coords[name] = (found.dims, held.reshape(found.shape), {"units": units, "long_name": long_name})

    if wdf.TIME in places and "time" not in found.dims:
        put("acquisition_time", _stage.seconds(places[wdf.TIME].values), "s", "time since the first spectrum")
    for kind, (name, long_name) in _BESIDE.items():
        held = places.get(kind)
        if held is None or (kind == wdf.Z and "z" in found.dims):
            continue
        values = _um(places, kind) if held.unit in _UM else held.values.astype(np.float64)
        if values is not None and (series or held.primary or len(np.unique(values)) > 1):
            put(name, values, "um" if held.unit in _UM else held.unit, long_name)
