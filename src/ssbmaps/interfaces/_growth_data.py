"""Thicknesses with their times, cells and weights: read from the user's arrays, checked, and gathered into cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Bools = NDArray[np.bool_]

GATHERED = {"sd": "thickness_sd", "group": "cell", "weight": "weight", "upper_limit": "upper_limit"}
GEOMETRIES = ("particles", "planar")


@dataclass(frozen=True)
class Entries:
    """Particles or sections, one by one: thickness in um, NaN where there is only an upper limit; `sd` NaN where unknown."""

    thickness: Floats
    time: Floats
    sd: Floats
    weight: Floats
    limit: Floats
    cell: NDArray[Any]
    condition: NDArray[Any]
    time_units: str
    cells_named: bool
    n_unused: int

    def of(self, condition: object) -> Entries:
        keep = self.condition == condition
        rows = {n: getattr(self, n)[keep] for n in ("thickness", "time", "sd", "weight", "limit", "cell", "condition")}
        return replace(self, **rows)


@dataclass(frozen=True)
class Cells:
    """One row per cell and time: mean thickness, or the upper limit where `below`; `share` is Σw²/(Σw)² of its particles.

    `scatter` is the weighted variance of its particles about the cell's mean (um², unbiased; 0 for one), with `freedom` degrees.
    """

    time: Floats
    mean: Floats
    below: Bools
    share: Floats
    scatter: Floats
    freedom: Floats
    cell: NDArray[Any]
    sd_squared: Floats  # of single particles, with the time each belongs to
    sd_time: Floats

    @property
    def n_measured(self) -> int:
        return int((~self.below).sum())

    @property
    def n_times(self) -> int:
        return len(np.unique(self.time[~self.below]))


def read_entries(
    thickness: Any,
    *,
    time: Any,
    sd: Any,
    group: Any,
    weight: Any,
    upper_limit: Any,
    condition: Any = None,
    geometry: object = "particles",
    subject: str,
) -> Entries:
    """Everything as arrays of one length, checked; entries with neither thickness nor limit are left out."""
    source, values = _one_row(thickness, subject)
    given = {"time": time, "sd": sd, "group": group, "weight": weight, "upper_limit": upper_limit, "condition": condition}
    if source is not thickness:
        given |= {k: n for k, n in GATHERED.items() if given[k] is None and n in thickness.variables}
    length = len(values)
    with Faults(subject) as faults:
        _check_unit(values, "thickness", faults)
        faults.expect(geometry in GEOMETRIES, f"geometry={geometry!r}; expected one of {', '.join(GEOMETRIES)}.")
        taken = {k: _beside(thickness, values, v, k, faults) for k, v in given.items()}
    d = np.asarray(to_dense(values.data), np.float64)
    numbers = {k: np.full(length, np.nan) for k in ("sd", "weight", "upper_limit", "time")}
    with Faults(subject) as faults:
        for name in numbers:
            found = taken[name]
            numbers[name] = numbers[name] if found is None else _numbers(found[0], name, faults)
        t, limit = numbers["time"], numbers["upper_limit"]
        limit = np.where(np.isfinite(d), np.nan, limit)  # a measured thickness needs no limit
        used = np.isfinite(d) | np.isfinite(limit)
        with np.errstate(invalid="ignore"):
            faults.expect(
                not np.isinf(d).any(), "thickness holds infinity; expected um, or NaN where there is only an upper limit."
            )
            faults.expect(not (d < 0).any(), f"negative thickness ({np.nanmin(d, initial=0):g} um); a thickness is above 0.")
            faults.expect(not (d == 0).any(), "thickness of 0; give what was not found as NaN with an upper_limit.")
            faults.expect(not (limit <= 0).any(), "upper_limit of 0 or less; expected um above 0.")
            faults.expect(np.isfinite(t).all(), "time holds NaN or infinity; expected the time of every entry.")
            faults.expect(not (t < 0).any(), f"negative time ({np.nanmin(t, initial=0):g}); expected 0 or more since the start.")
            faults.expect(
                not (numbers["sd"] <= 0).any(), "sd of 0 or less; expected a standard error in um above 0, NaN if unknown."
            )
            bad = taken["weight"] is not None and not (numbers["weight"][used] > 0).all()
            faults.expect(not bad, "weight of 0, less or NaN; expected a perimeter or length above 0 for every entry.")
        n = int(np.isfinite(d).sum())
        faults.expect(n >= 2, f"{n} of {length} thicknesses are usable; expected at least 2.")
    group_of, condition_of, time_of = (taken[k] for k in ("group", "condition", "time"))
    return Entries(
        thickness=d[used],
        time=t[used],
        sd=numbers["sd"][used],
        weight=numbers["weight"][used] if taken["weight"] is not None else np.ones(int(used.sum())),
        limit=limit[used],
        cell=(t if group_of is None else group_of[0])[used].astype(str),
        condition=(np.zeros(length) if condition_of is None else condition_of[0])[used].astype(str),
        time_units="1" if time_of is None else str(time_of[1] or "1"),
        cells_named=group_of is not None,
        n_unused=int((~used).sum()),
    )


def _one_row(thickness: Any, subject: str) -> tuple[Any, xr.DataArray]:
    """The Dataset's or DataArray's thickness along its one dimension."""
    import xarray as xr

    if isinstance(thickness, xr.Dataset):
        if "thickness" not in thickness.data_vars:
            raise SsbmapsError(
                f"{subject}: no variable 'thickness' in the Dataset, it has {', '.join(map(str, thickness.data_vars))}; "
                "interfaces.gather_thickness makes one from the results of several sections."
            )
        return None, _checked(thickness["thickness"], subject)
    if not isinstance(thickness, xr.DataArray):
        raise SsbmapsError(
            f"{subject}: thickness is {type(thickness).__name__}; expected a DataArray along one dimension, such as particle, "
            "or a Dataset from interfaces.gather_thickness."
        )
    return thickness, _checked(thickness, subject)


def _checked(values: xr.DataArray, subject: str) -> xr.DataArray:
    if values.ndim != 1 or values.dtype.kind not in "iuf":
        raise SsbmapsError(
            f"{subject}: thickness is {values.dtype} with dims {tuple(values.dims)}; expected numbers along one dimension. "
            "Pick a shell with .sel(shell=…)."
        )
    return values


def _check_unit(values: xr.DataArray, name: str, faults: Faults) -> None:
    unit = values.attrs.get("units")
    if unit is None:
        faults.expect(False, f"{name} has no units; set .attrs['units'] = 'um' if it is in um.")
    elif unit in ("nm", "m", "mm", "Å", "angstrom", "µm", "micrometer"):
        faults.expect(False, f"{name} is in {unit!r}; expected 'um'. Convert the values and set .attrs['units'] = 'um'.")
    else:
        faults.expect(
            unit == "um",
            f"{name} is in {unit!r}, which is no length: raw excesses of sections with another dose or yield are not compared. "
            "Use equivalent_thickness with a declared reference_level, or thickness.",
        )


def _beside(
    thickness: Any, values: xr.DataArray, given: Any, name: str, faults: Faults
) -> tuple[NDArray[Any], str | None] | None:
    """Array and unit of what stands beside the thickness: named in it, or given along the same dimension."""
    if given is None:
        return None
    unit: str | None = None
    if isinstance(given, str):
        known = [str(n) for n in getattr(thickness, "variables", thickness.coords)]
        if not faults.expect(given in known, f"{name}={given!r} is not among {', '.join(known) or 'its coordinates (none)'}."):
            return None
        given = thickness[given]
    if hasattr(given, "dims"):
        unit = given.attrs.get("units")
        if not faults.expect(given.dims == values.dims, f"{name} has dims {tuple(given.dims)}; expected {tuple(values.dims)}."):
            return None
        given = to_dense(given.data)
    array = np.asarray(given)
    if not faults.expect(array.shape == values.shape, f"{name} has shape {array.shape}; expected {values.shape}, as thickness."):
        return None
    if name in ("sd", "upper_limit") and unit is not None:
        stated = values.attrs.get("units")
        faults.expect(unit == stated, f"mixed units: {name} is in {unit!r}, thickness in {stated!r}.")
    return array, unit


def _numbers(array: NDArray[Any], name: str, faults: Faults) -> Floats:
    if not faults.expect(array.dtype.kind in "iuf", f"{name} is of type {array.dtype}; expected numbers."):
        return np.full(array.shape, np.nan)
    return array.astype(np.float64)


def check_cells(entries: Entries, subject: str) -> None:
    """Raise if several cells were followed in time: what they share between times is not modelled."""
    times = {name: np.unique(entries.time[entries.cell == name]) for name in np.unique(entries.cell)}
    followed = [str(name) for name, at in times.items() if len(at) > 1]
    if followed and len(times) > 1:
        raise SsbmapsError(
            f"{subject}: cell {', '.join(followed)} has several times. A cell that was cut belongs to one time: give cells at "
            "different times different names. A cell that was followed in time is fitted on its own."
        )


def cells_of(entries: Entries) -> Cells:
    """Weighted mean of the particles of each cell at each time; a cell with limits only is an upper limit.

    A single limit is that of the section, which scatters as the mean of a usual section does. Limits beside measured particles
    of the same cell and time, or beside each other, are those of particles and stay rows of their own.
    """
    rows: list[tuple[Any, ...]] = []
    for name in np.unique(entries.cell):
        for t in np.unique(entries.time[entries.cell == name]):
            here = (entries.cell == name) & (entries.time == t)
            measured = here & np.isfinite(entries.thickness)
            if measured.any():
                rows.append((t, *_mean(entries.thickness[measured], entries.weight[measured]), False, name))
            limits = entries.limit[here & ~measured]
            own = np.nan if len(limits) == 1 and not measured.any() else 1.0
            rows += [(t, limit, own, 0.0, 0.0, True, name) for limit in limits]
    time, mean, share, scatter, freedom, below, cell = (np.array(c) for c in zip(*rows, strict=True))
    share = np.where(np.isnan(share), np.median(share[~below]) if not below.all() else 1.0, share)
    known = np.isfinite(entries.sd) & np.isfinite(entries.thickness)
    return Cells(time, mean, below, share, scatter, freedom, cell, entries.sd[known] ** 2, entries.time[known])


def _mean(d: Floats, weight: Floats) -> tuple[float, float, float, float]:
    """Weighted mean, Σw²/(Σw)², unbiased variance of one particle, and degrees of freedom."""
    w = weight / weight.sum()
    mean, share = float(w @ d), float(w @ w)
    if len(d) < 2:
        return mean, 1.0, 0.0, 0.0
    return mean, share, float(w @ (d - mean) ** 2) / (1 - share), len(d) - 1.0
