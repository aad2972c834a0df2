"""Spectra that come one by one with their positions: a map where these make a raster, else a series, a line or points."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError, SsbmapsError
from ssbmaps.io import _pixels, _raster, _stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

SERIES = {"time": ("s", "time"), "z": ("um", "depth"), "scan": ("1", "number of the scan")}


@dataclass(frozen=True, slots=True)
class Arranged:
    """Where `n` spectra belong: dims without the spectral one, their lengths, and each spectrum's place in C order."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    place: NDArray[np.intp] | None  # None: in the order of the file
    coords: Mapping[str, Any] = field(default_factory=dict)
    stated: _pixels.Stated | None = None
    measured: NDArray[np.bool_] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader warns of."""
        if self.measured is None:
            return ()
        told = f"{int(self.measured.sum())} of {self.measured.size} pixels were measured: the map was interrupted, or the file "
        return (told + "is cut short. The others are NaN, and `measured` marks them.",)

    def pixel(self, subject: str, *, pixel_size: tuple[float, float] | None, tilt: float | None) -> _pixels.Pixel | None:
        """The pixel size of a raster; a letter if one is given for spectra that lie on none."""
        if self.stated is None:
            if pixel_size is not None or tilt is not None:
                raise SsbmapsError(
                    f"{subject}: pixel_size and tilt belong to a raster, and these spectra lie on none. Leave them out; io.grid "
                    "makes a map of points."
                )
            return None
        return _pixels.resolve(subject, self.stated, self.shape[-2:], pixel_size=pixel_size, tilt=tilt)  # type: ignore[arg-type]

    def size(self) -> tuple[tuple[float, float] | None, str]:
        """Pixel size (y, x) and where it comes from, for `info`."""
        if self.stated is None:
            return None, "no raster, so no pixel size."
        return _pixels.file_size(self.stated, self.shape[-2:])  # type: ignore[arg-type]

    def spread(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """One value of each spectrum at its place; NaN where there is none."""
        if self.place is None:
            return values.reshape(self.shape)
        result = np.full(math.prod(self.shape), np.nan)
        result[self.place] = values
        return result.reshape(self.shape)

    def fill(self, spectra: NDArray[np.floating[Any]], subject: str) -> NDArray[np.floating[Any]]:
        """`spectra` (n, channels) at their places; NaN where there is none, and a warning if that is somewhere."""
        for note in self.notes:
            warnings.warn(f"{subject}: {note}", DataQualityWarning, stacklevel=5)
        channels = spectra.shape[1]
        if self.place is None:
            return np.ascontiguousarray(spectra).reshape(*self.shape, channels)
        result = np.empty((math.prod(self.shape), channels), spectra.dtype)
        if self.measured is not None:
            result.fill(np.nan)
        result[self.place] = spectra
        return result.reshape(*self.shape, channels)


def arrange(
    positions: Mapping[str, NDArray[np.float64]], n: int, *, subject: str, rounding: float = 0.0, stage: bool = True
) -> Arranged:
    """The arrangement of `n` spectra from what is known of each: "x", "y", "z" in um, "time" in s, "scan".

    A raster is taken for one if every place of it is filled once, or line by line up to where it was interrupted; the upper
    edge is where y is smallest. Times, depths and scans ascend. `stage` False: x and y are no stage positions, but the map's.
    """
    for name, values in positions.items():
        if not np.isfinite(values).all():
            number = int(np.argmin(np.isfinite(values))) + 1
            raise FormatError(f"{subject}: {name} of spectrum {number} is {values[number - 1]}; expected a number.")
    series = {d: positions[d] for d in SERIES if d in positions}
    places = {d: positions[d] for d in ("y", "x") if d in positions}
    if not series and not places:
        return Arranged(() if n == 1 else ("point",), () if n == 1 else (n,), None)
    found = None
    if len(places) == 2:
        found = _map(series, places["y"], places["x"], n, rounding, stage)
    elif not places and len(series) == 1:
        found = _series(*next(iter(series.items())), n)
    return found or _points(series, places, n)


def _series(dim: str, values: NDArray[np.float64], n: int) -> Arranged | None:
    order = np.argsort(values, kind="stable")
    if (np.diff(values[order]) <= 0).any():
        return None
    place = np.empty(n, np.intp)
    place[order] = np.arange(n)
    return Arranged((dim,), (n,), _unless_sorted(place), {dim: _series_coord(dim, values[order])})


def _series_coord(dim: str, values: NDArray[np.float64]) -> tuple[str, NDArray[np.float64], dict[str, str]]:
    units, long_name = SERIES[dim]
    return dim, values, {"units": units, "long_name": long_name}


def _unless_sorted(place: NDArray[np.intp]) -> NDArray[np.intp] | None:
    return None if np.array_equal(place, np.arange(len(place))) else place


def _map(
    series: Mapping[str, NDArray[np.float64]],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    n: int,
    rounding: float,
    stage: bool,
) -> Arranged | None:
    """A raster, complete at every step of the series; or a single one that was interrupted."""
    row, column = (_raster.levels(v, rounding=rounding) for v in (y, x))
    if row is None or column is None or min(row.count, column.count) < 2 or max(row.count, column.count) > n:
        return None
    place, shape = row.index * column.count + column.index, (row.count, column.count)
    leading: tuple[int, ...] = ()
    coords = {**_stage.stage("stage_y", "y", row.values), **_stage.stage("stage_x", "x", column.values)} if stage else {}
    for dim, values in reversed(list(series.items())):
        steps, index = np.unique(values, return_inverse=True)
        place = place + index * math.prod(leading + shape)
        leading = (len(steps), *leading)
        coords[dim] = _series_coord(dim, steps)
    total = math.prod(leading + shape)
    measured: NDArray[np.bool_] | None = None
    if n != total or len(np.unique(place)) != n:
        if series or not _raster.interrupted(row, column):
            return None
        measured = np.zeros(shape, bool)
        measured.reshape(-1)[place] = True
    stated = _pixels.Stated(pixel=(_length(row), _length(column)))
    in_order = _unless_sorted(place) if measured is None else place
    return Arranged((*series, "y", "x"), leading + shape, in_order, coords, stated, measured)


def _length(row: _raster.Levels) -> _pixels.Length:
    """The step, without the last digits that rounding leaves if the places are the same without them."""
    short = float(f"{row.step:.9g}")
    centres = np.arange(row.count) + 0.5
    step = short if np.allclose(centres * short, centres * row.step, rtol=1e-12, atol=0) else row.step
    return _pixels.Length(step, f"{step:.9g} um")


def _points(series: Mapping[str, NDArray[np.float64]], places: Mapping[str, NDArray[np.float64]], n: int) -> Arranged:
    """Along `point`; with the distance from the first one if all lie on a straight line, one after another."""
    coords: dict[str, Any] = {d: ("point", *_series_coord(d, v)[1:]) for d, v in series.items()}
    if places:
        unknown = np.full(n, np.nan)
        coords |= _stage.points(places.get("y", unknown), places.get("x", unknown), line=False)
        along = _along(places)
        if along is not None:
            coords["distance_along"] = ("point", along, {"units": "um", "long_name": "distance from the first point"})
    return Arranged(("point",), (n,), None, coords)


def _along(places: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Distance (um) from the first point if the points follow each other on a straight line, to 1 % of their mean distance."""
    at = np.stack([v - v[0] for v in places.values()])
    length = np.hypot.reduce(at[:, -1])
    if at.shape[1] < 2 or not length > 0:
        return None
    direction = at[:, -1] / length
    along = direction @ at
    off = np.hypot.reduce(at - direction[:, None] * along[None, :])
    straight = bool((np.diff(along) > 0).all() and (off <= 0.01 * length / (at.shape[1] - 1)).all())
    return along if straight else None
