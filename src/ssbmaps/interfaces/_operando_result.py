"""What the functions on series in time share: values with their three errors as variables, and how times are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import axis_values
from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NORMAL_95 = 1.959964
ENDS = {"": "", "_sd": ": standard error", "_low": ": 95 % interval, low end", "_high": ": 95 % interval, high end"}


def with_errors(name: str, dims: Sequence[str], four: Sequence[Any] | Floats, units: str, text: str) -> dict[str, Any]:
    """Variables `name`, `name_sd`, `name_low`, `name_high` of a (value, sd, low, high)."""
    return {
        name + suffix: (tuple(dims), np.asarray(values, np.float64), {"units": units, "long_name": text + words})
        for (suffix, words), values in zip(ENDS.items(), four, strict=True)
    }


def normal(value: Floats, sd: Floats, *, least: float = -np.inf) -> tuple[Floats, Floats, Floats, Floats]:
    """Value, error and the normal 95 % interval, cut off at `least`, below which the value cannot be."""
    return value, sd, np.maximum(value - NORMAL_95 * sd, least), value + NORMAL_95 * sd


def times_of(obj: xr.DataArray | xr.Dataset, *, subject: str) -> tuple[Floats, str]:
    """Times, checked to ascend, and their unit ("1" if none is stated)."""
    if "time" not in obj.dims:
        dims = tuple(obj.dims)
        raise SsbmapsError(f"{subject}: dimension time is missing; got dims {dims}. Join the maps with xarray.concat(…, 'time').")
    values = axis_values(obj, "time", subject=subject)
    return values, str(obj.coords["time"].attrs.get("units", "1"))


def along_time(obj: xr.DataArray | xr.Dataset) -> dict[str, Any]:
    """All coordinates of `obj` that have the dimension time and no raster: voltage, capacity, cycle."""
    return {str(k): v for k, v in obj.coords.items() if v.dims == ("time",)}


def leading(dims: Sequence[Any]) -> tuple[str, ...]:
    """All dimensions but time."""
    return tuple(str(d) for d in dims if d != "time")


def per_time(unit: str) -> str:
    """`unit` as what follows a number: ' h', or nothing where no unit was stated."""
    return "" if unit == "1" else f" {unit}"
