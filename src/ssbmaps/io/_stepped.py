"""Spectra measured step by step along named axes (x, y, depth, time): raster, line, points or series, as the contract has it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _dense, _pixels, _stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FAR = 1e9  # um or s, a kilometre or 30 years: no stage and no scan goes there
_UNEVEN = 0.01  # of a step, the contract's limit for a pixel size
_LONG = {"z": ("um", "position of the stage along z"), "time": ("s", "time since the first spectrum")}


@dataclass(frozen=True, slots=True)
class Step:
    """One axis that is stepped through: "x", "y", "z" or "time"; in um or s, or `unit` says why not. `stage`: also its place."""

    name: str
    values: NDArray[np.float64]
    unit: str = ""
    stage: bool = True


@dataclass(slots=True)
class Grid:
    """The axes, slowest first, and what becomes of them. `dims` and `shape` are those of the result, without the spectral one."""

    axes: list[Step]
    dims: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    coords: dict[str, Any] = field(default_factory=dict)
    stated: _pixels.Stated | None = None
    raster: tuple[int, int] = (0, 0)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of steps of each axis."""
        return tuple(len(a.values) for a in self.axes)


def grid(axes: Sequence[Step], *, subject: str) -> Grid:
    """Decide by the `axes` (slowest first; those of one value only say where): even y and x are a raster, one of them a line."""
    for axis in axes:
        if not (np.abs(axis.values) < _FAR).all():
            raise FormatError(f"{subject}: the axis {axis.name} holds what is no place or time. The file is damaged.")
    by_name = {a.name: a for a in axes}
    if len(by_name) < len(axes):
        raise FormatError(f"{subject}: steps twice through {', '.join(a.name for a in axes)}; expected each axis once.")
    found = Grid(list(axes))
    long = [a for a in axes if len(a.values) > 1]
    lateral = [a for a in long if a.name in ("y", "x")]
    series = [a for a in long if a.name not in ("y", "x")]
    for axis in series:
        units, long_name = _LONG[axis.name]
        values = np.sort(axis.values) if axis.name == "z" else axis.values
        found.coords[axis.name] = (axis.name, values, {"units": units, "long_name": long_name})
    dims = tuple(a.name for a in series)
    shape = tuple(len(a.values) for a in series)
    if len(lateral) == 2 and all(_even(a.values) for a in lateral):
        y, x = by_name["y"], by_name["x"]
        found.dims, found.raster = (*dims, "y", "x"), (len(y.values), len(x.values))
        found.shape = (*shape, *found.raster)
        found.stated = _pixels.Stated(pixel=(_length(y), _length(x)))
        for axis in (y, x):
            if axis.stage and not axis.unit:
                found.coords |= _stage.stage(f"stage_{axis.name}", axis.name, np.sort(axis.values))
    elif lateral:
        found.dims, found.shape = (*dims, "point"), (*shape, math.prod(len(a.values) for a in lateral))
        found.coords |= _points(by_name.get("y"), by_name.get("x"), line=len(lateral) == 1, subject=subject)
    else:
        found.dims, found.shape = dims, shape
    return found


def _even(values: NDArray[np.float64]) -> bool:
    step = (values[-1] - values[0]) / (len(values) - 1)
    even = values[0] + step * np.arange(len(values))
    return bool(step != 0 and (np.abs(values - even) <= _UNEVEN * abs(step)).all())


def _length(axis: Step) -> _pixels.Length:
    if axis.unit:
        return _pixels.Length(None, axis.unit)
    values = axis.values
    return _pixels.length(f"{abs(values[-1] - values[0]) / (len(values) - 1):.9g}", "um", default="um")


def _points(y: Step | None, x: Step | None, *, line: bool, subject: str) -> dict[str, Any]:
    """Coordinates along `point` of every (y, x); the stage's only where the file has both."""
    unknown = next((a for a in (y, x) if a is not None and a.unit and len(a.values) > 1), None)
    if unknown is not None:
        raise FormatError(f"{subject}: the positions along {unknown.name} are in {unknown.unit}; expected a length, e.g. um.")
    values = [np.zeros(1) if a is None or not len(a.values) or a.unit else a.values for a in (y, x)]
    grids = np.meshgrid(*values, indexing="ij")
    coords = _stage.points(grids[0].ravel(), grids[1].ravel(), line=line)
    for axis, name in ((y, "stage_y"), (x, "stage_x")):
        if axis is None or not len(axis.values) or not axis.stage or axis.unit:
            del coords[name]
    return coords


def arrange(
    rows: NDArray[Any], found: Grid, *, file_size: int, subject: str
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, int]:
    """The spectra (n, points) in the order of the axes as (*shape, points); fewer than planned leave NaN.

    Also the mask (y, x) of a raster where spectra are missing, and how many are missing.
    """
    sizes = tuple(max(n, 1) for n in found.sizes)
    total, points = math.prod(sizes), rows.shape[1]
    missing = total - len(rows)
    if missing < 0:
        raise FormatError(f"{subject}: holds {len(rows)} spectra; its axes have {total} places. The file is damaged.")
    mask = None
    if missing:
        _dense.check_declared((*sizes, points), rows.itemsize, file_size=file_size, subject=subject, what="the map")
        whole = np.full((total, points), np.nan, rows.dtype)
        whole[: len(rows)] = rows
        rows = whole
        mask = np.arange(total) < total - missing
    data = _fold(rows.reshape(*sizes, points), found)
    if mask is None:
        return data, None, 0
    folded = _fold(mask.reshape(*sizes, 1), found)[..., 0]
    if found.stated is None:
        return data, None, missing
    return data, np.asarray(folded.reshape(-1, *folded.shape[-2:]).any(axis=0)), missing


def _fold(values: NDArray[Any], found: Grid) -> NDArray[Any]:
    """From all axes as stored to the result's dims: single ones dropped, lengths ascending, y and x last."""
    keep = [a for a in found.axes if len(a.values) > 1]
    values = values.reshape(*(len(a.values) for a in keep), values.shape[-1])
    lateral = found.stated is not None
    for i, axis in enumerate(keep):
        if axis.name == "z" or (lateral and axis.name in ("y", "x")):
            order = np.argsort(axis.values, kind="stable")
            if (np.diff(order) != 1).any():
                values = np.take(values, order, axis=i)
    wanted = sorted(range(len(keep)), key=lambda i: ("y", "x").index(keep[i].name) if keep[i].name in ("y", "x") else -1)
    return values.transpose(*wanted, -1).reshape(*found.shape, values.shape[-1])
