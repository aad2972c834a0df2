"""The Dataset that `find_edge` returns: the line with its errors, its ends in the map, and the result in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import pixel_size
from ssbmaps._provenance import finish
from ssbmaps.interfaces._lateral_step import Cells, Step, errors_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.find_edge"
SUFFIXES = ("", "_sd", "_low", "_high")
WORDING = "a straight step in the counts; what makes it is not identified"


def _middle(maps: xr.DataArray) -> Floats:
    return np.array([(float(maps.coords[d][0]) + float(maps.coords[d][-1])) / 2 for d in ("y", "x")])


def ends_of(step: Step, maps: xr.DataArray) -> Floats:
    """(2, 2) points (y, x) in um where the line leaves the map."""
    middle, pixel = _middle(maps), pixel_size(maps, subject=SUBJECT)
    half = np.array([maps.sizes[d] * p / 2 for d, p in zip(("y", "x"), pixel, strict=True)])
    normal = np.array([np.sin(step.theta[0]), np.cos(step.theta[0])])
    heading = np.array([normal[1], -normal[0]])
    foot = step.theta[1] * normal
    low, high = -np.inf, np.inf
    for i in range(2):
        if abs(heading[i]) > 1e-12:
            ends = sorted(((-half[i] - foot[i]) / heading[i], (half[i] - foot[i]) / heading[i]))
            low, high = max(low, ends[0]), min(high, ends[1])
    return np.array([middle + foot + t * heading for t in (low, high)])


def spoken(ends: Floats) -> str:
    return " to ".join(f"({y:.3g}, {x:.3g})" for y, x in ends)


def as_dataset(
    maps: xr.DataArray, cells: Cells, step: Step | None, test: tuple[float, float, float], arguments: dict[str, Any]
) -> xr.Dataset:
    import xarray as xr

    ratio, p_value, _ = test
    about = {
        "angle": ("degree", "direction of the edge, from x towards y"),
        "position": ("um", "from the middle of the map to the edge; negative: the middle lies on the brighter side"),
        "blur": ("um", "standard deviation of the blur, pixel included"),
        "level_in": ("counts", "counts per pixel on the brighter side"),
        "level_out": ("counts", "counts per pixel on the other side"),
    }
    numbers, ends, inside = (
        _numbers(cells, step, maps, test[2]) if step is not None else ({}, np.full((2, 2), np.nan), np.full(2, np.nan))
    )
    variables: dict[str, Any] = {
        "found": ((), np.int8(step is not None), {"units": "1", "long_name": "1: a straight edge is found"}),
        "likelihood_ratio": ((), ratio, {"units": "1", "long_name": "2 ln(L1/L0) of the best sharp step against one level"}),
        "p_value": ((), p_value, {"units": "1", "long_name": "probability of such a ratio without an edge"}),
    }
    words = ("", ": standard error", ": 95 % interval, low end", ": 95 % interval, high end")
    for name, (unit, text) in about.items():
        for suffix, word, value in zip(SUFFIXES, words, numbers.get(name, (np.nan,) * 4), strict=True):
            variables[name + suffix] = ((), float(value), {"units": unit, "long_name": text + word})
    for i, d in enumerate(("y", "x")):
        variables[f"inside_{d}"] = ((), float(inside[i]), {"units": "um", "long_name": f"a point on the brighter side: {d}"})
        variables[f"end_{d}"] = ("end", ends[:, i], {"units": "um", "long_name": f"where the edge leaves the map: {d}"})
    if step is None:
        text = f"no straight edge beyond what varies in the material itself (p = {p_value:.2g})"
    else:
        angle, blur = numbers["angle"], numbers["blur"]
        text = f"straight edge from {spoken(ends)} um (y, x), {angle[0]:.2f}° ± {angle[1]:.2f}°, blur {blur[0]:.2g} um; {WORDING}"
    variables["statement"] = ((), text, {"units": "1", "long_name": "the result in words"})
    result = finish(xr.Dataset(variables), function=SUBJECT, arguments=arguments, sources=[maps])
    result.attrs["wording"] = WORDING
    return result


def _numbers(cells: Cells, step: Step, maps: xr.DataArray, alike: float) -> tuple[dict[str, tuple[float, ...]], Floats, Floats]:
    """Value, error and ends of each number; the line's ends; the place farthest in."""
    from scipy.stats import t as student

    sd, freedom = errors_of(cells, step, alike)
    wide = float(student.ppf(0.975, freedom))
    flipped = step.theta[3] > step.theta[4]
    angle = np.degrees(step.theta[0]) % 180 - 90  # a quarter turn from the normal
    position = -step.theta[1] if flipped else step.theta[1]
    inner, outer = (3, 4) if flipped else (4, 3)
    found: dict[str, tuple[float, ...]] = {}
    rows = {
        "angle": (angle, np.degrees(sd[0])),
        "position": (position, sd[1]),
        "level_in": (step.theta[inner], sd[inner]),
        "level_out": (step.theta[outer], sd[outer]),
    }
    for name, (value, error) in rows.items():
        low = value - wide * error
        low = max(low, 0.0) if name.startswith("level") else low
        found[name] = (float(value), float(error), float(low), float(value + wide * error))
    blur = float(np.exp(step.theta[2]))
    factor = float(np.exp(min(wide * sd[2], 700.0)))
    found["blur"] = (blur, blur * float(sd[2]), blur / factor, blur * factor)
    place = int(np.argmax(step.at(cells.y, cells.x)))
    return found, ends_of(step, maps), _middle(maps) + np.array([cells.y[place], cells.x[place]])
