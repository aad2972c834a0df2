"""Coordinates of spectra that lie on no raster, and of the stage: for every Raman format, always in um."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import SsbmapsError
from ssbmaps.io import _pixels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_STAGE = {"stage_y": "position of the stage along y", "stage_x": "position of the stage along x"}


def stage(name: str, dim: str | tuple[str, ...], values: ArrayLike) -> dict[str, Any]:
    """The coordinate `stage_y` or `stage_x` (um) along `dim`."""
    return {name: (dim, np.asarray(values, np.float64), {"units": "um", "long_name": _STAGE[name]})}


def pixel(
    subject: str,
    stated: _pixels.Stated | None,
    raster: tuple[int, int],
    *,
    pixel_size: tuple[float, float] | None,
    tilt: float | None,
) -> _pixels.Pixel | None:
    """The pixel size of a raster, None without one (`stated` is None); a letter if the caller gives one for no raster."""
    if stated is not None:
        return _pixels.resolve(subject, stated, raster, pixel_size=pixel_size, tilt=tilt)
    if pixel_size is not None or tilt is not None:
        raise SsbmapsError(
            f"{subject}: pixel_size and tilt belong to a raster, and these spectra lie on none. Leave them out; io.grid makes a "
            "map of points."
        )
    return None


def points(stage_y: ArrayLike, stage_x: ArrayLike, *, line: bool) -> dict[str, Any]:
    """Coordinates along `point`: y, x from the upper-left corner of all points, the stage's, and along a line the distance."""
    places = {"y": np.asarray(stage_y, np.float64), "x": np.asarray(stage_x, np.float64)}
    coords: dict[str, Any] = {}
    for name, values in places.items():
        text = f"{name} from the {'upper' if name == 'y' else 'left'}most point"
        coords[name] = ("point", values - values.min(), {"units": "um", "long_name": text})
        coords |= stage(f"stage_{name}", "point", values)
    if line:
        along = np.hypot(places["y"] - places["y"][0], places["x"] - places["x"][0])
        coords["distance_along"] = ("point", along, {"units": "um", "long_name": "distance from the first point"})
    return coords


def seconds(ticks: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Seconds since the first of all stated times, which are ticks of 100 ns; NaN where the time is 0, not stated."""
    stated = ticks > 0
    since = np.full(ticks.shape, np.nan)
    if stated.any():
        since[stated] = (ticks[stated] - ticks[stated].min()).astype(np.float64) / 1e7
    return since
