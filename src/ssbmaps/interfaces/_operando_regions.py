"""The regions of a series: labels, boolean maps, or a range of distances to an edge, as one boolean (time, y, x) each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import RASTER_DIMS, canonical, check_array, measured_mask, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.maps._flags import read_flags

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

UNASSIGNED = "unassigned"


def regions_of(regions: Any, maps: xr.DataArray, *, subject: str) -> dict[str, Bools]:
    """Name and boolean (time, y, x) of each region, on the pixels and times of canonical `maps`, unmeasured pixels left out."""
    import xarray as xr

    if isinstance(regions, xr.DataArray):
        found = _labelled(regions, maps, subject)
    elif isinstance(regions, (Mapping, xr.Dataset)) and len(regions):
        found = {str(name): _one(name, regions[name], maps, subject) for name in regions}
    else:
        raise SsbmapsError(
            f"{subject}: regions is {type(regions).__name__}; expected labels from maps.label_phases, or a mapping from names to "
            "boolean maps (y, x) or to (distance, low, high) in um."
        )
    known = measured_mask(maps)
    with Faults(subject) as faults:
        for name, mask in found.items():
            found[name] = mask if known is None else mask & known
            faults.expect(bool(found[name].any()), f"region {name} holds no measured pixel at any time.")
    return found


def _labelled(labels: xr.DataArray, maps: xr.DataArray, subject: str) -> dict[str, Bools]:
    """Every named flag but "unassigned" that some pixel carries."""
    check_array(labels, subject=f"{subject}: regions", dims=RASTER_DIMS)
    same_grid(maps, labels, subject=f"{subject}: regions")
    series = canonical(labels) if "time" in labels.dims else None
    if series is not None:
        _same_times(series, maps, "labels", subject)
    layers = [labels] if series is None else [series.isel(time=i, drop=True) for i in range(series.sizes["time"])]
    flags = [read_flags(one, subject=f"{subject}: regions") for one in layers]
    found = {}
    for name in flags[0].names:
        mask = np.stack([f.mask(name, subject=subject) for f in flags])
        if name != UNASSIGNED and mask.any():
            found[name] = np.broadcast_to(mask, (maps.sizes["time"], *mask.shape[1:]))
    if not found:
        raise SsbmapsError(f"{subject}: no pixel of the labels carries a phase; all are {UNASSIGNED}.")
    return found


def _one(name: Any, given: Any, maps: xr.DataArray, subject: str) -> Bools:
    """One region from a boolean map, or from a distance map and a range in um, low end included."""
    ends = given[1:] if isinstance(given, (tuple, list)) else ()
    where = given[0] if ends else given
    check_array(where, subject=f"{subject}: region {name}", dims=RASTER_DIMS)
    same_grid(maps, where, subject=f"{subject}: region {name}")
    ordered = canonical(where)
    with Faults(f"{subject}: region {name}") as faults:
        dims = tuple(str(d) for d in ordered.dims)
        faults.expect(dims in (("y", "x"), ("time", "y", "x")), f"has dims {dims}; expected (y, x) or (time, y, x).")
        if isinstance(given, (tuple, list)):
            good = len(ends) == 2 and all(isinstance(v, (int, float, np.number)) for v in ends) and ends[0] < ends[1]
            faults.expect(good, f"is {ends}; expected (distance, low, high) with low < high in um.")
            unit = ordered.attrs.get("units", "um")
            faults.expect(unit == "um", f"distance is in {unit!r}; expected um.")
        else:
            faults.expect(ordered.dtype == bool, f"is of type {ordered.dtype}; expected booleans, or (distance, low, high).")
    if "time" in ordered.dims:
        _same_times(ordered, maps, f"region {name}", subject)
    values = to_dense(ordered.data)
    with np.errstate(invalid="ignore"):
        mask = (values >= ends[0]) & (values < ends[1]) if ends else values
    known = measured_mask(ordered)
    return np.array(np.broadcast_to(mask if known is None else mask & known, (maps.sizes["time"], *mask.shape[-2:])))


def _same_times(given: xr.DataArray, maps: xr.DataArray, what: str, subject: str) -> None:
    same_grid(maps, given, subject=f"{subject}: {what}", dims=("time",))
