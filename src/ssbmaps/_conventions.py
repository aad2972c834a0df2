"""Dimension names, units, attribute keys, and the checks that every public function calls.

The contract is `docs/contract.md`; this file is its only implementation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ssbmaps._arrays import is_dask, is_sparse, to_dense
from ssbmaps._errors import Faults, FormatError, GridMismatchError, SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

SPECTRAL_UNITS = {
    "mz": "Da",
    "kinetic_energy": "eV",
    "binding_energy": "eV",
    "energy": "keV",
    "raman_shift": "1/cm",
    "wavelength": "nm",
}
CHANNEL_DIMS = ("fragment", "line", "band", "component", "shell")
SERIES_DIMS = ("sample", "time", "scan", "z")
RASTER_DIMS = ("y", "x")
DIM_ORDER = (*SERIES_DIMS, *CHANNEL_DIMS, "distance", "particle", "law", "point", *RASTER_DIMS, *SPECTRAL_UNITS)

LONG_NAMES = {
    "y": "y, downwards from the upper edge",
    "x": "x, from the left edge",
    "mz": "m/z",
    "kinetic_energy": "kinetic energy",
    "binding_energy": "binding energy",
    "energy": "X-ray energy",
    "raman_shift": "Raman shift",
    "wavelength": "wavelength",
}

# What a result keeps from the data it was made of. `units` and `long_name` are never inherited.
TRAVELLING_ATTRS = (
    "technique",
    "polarity",
    "source",
    "source_sha256",
    "original_metadata",
    "history",
    "preparation",
    "tilt",
    "sampling_depth",
    "primary_ion_fluence",
    "laser_power",
    "laser_wavelength",
    "beam_energy",
    "spectrum_mode",
    "acquired_order",
    "removed_depth",
)

_X = TypeVar("_X", "xr.DataArray", "xr.Dataset")


def canonical_order(dims: Iterable[Hashable]) -> tuple[Hashable, ...]:
    """`dims` in the contract's order; those unknown to the contract come first."""
    given = tuple(dims)
    return (*(d for d in given if d not in DIM_ORDER), *(d for d in DIM_ORDER if d in given))


def canonical(obj: _X) -> _X:
    """`obj` with its dimensions in the contract's order; dimensions unknown to the contract come first."""
    return obj.transpose(*canonical_order(obj.dims))


def spectral_dim(cube: xr.DataArray, *, subject: str) -> str:
    """Name of the one spectral dimension of `cube`."""
    found = [str(d) for d in cube.dims if d in SPECTRAL_UNITS]
    if len(found) != 1:
        raise SsbmapsError(
            f"{subject}: expected one spectral dimension out of {', '.join(SPECTRAL_UNITS)}, got dims {tuple(cube.dims)}. "
            "Name the axis with .rename({'old': 'mz'}); maps that are already integrated have none."
        )
    return found[0]


def channel_dim(maps: xr.DataArray, *, subject: str) -> str | None:
    """Name of the channel dimension (`fragment`, `line`, …) of `maps`, or None for a single map."""
    found = [str(d) for d in maps.dims if d in CHANNEL_DIMS]
    if len(found) > 1:
        raise SsbmapsError(f"{subject}: expected at most one of {', '.join(CHANNEL_DIMS)}, got {', '.join(found)}.")
    return found[0] if found else None


def check_array(
    obj: Any,
    *,
    subject: str,
    dims: Iterable[str] = (),
    counts: bool = False,
    finite: bool = False,
    faults: Faults | None = None,
) -> None:
    """Raise unless `obj` is a DataArray with `dims`; `counts` asks for finite, non-negative values.

    NaN passes unless `finite` or `counts` is set. With `faults` given, faults are noted there instead of raised.
    """
    import xarray as xr

    if not isinstance(obj, xr.DataArray):
        raise SsbmapsError(
            f"{subject}: expected an xarray.DataArray, got {type(obj).__name__}. "
            "ssbmaps.io.read returns one; wrap an array with xarray.DataArray(values, dims=('y', 'x'))."
        )
    own = faults if faults is not None else Faults(subject)
    missing = [d for d in dims if d not in obj.dims]
    own.expect(not missing, f"dimension {', '.join(missing)} is missing; got dims {tuple(obj.dims)}. Rename with .rename().")
    empty = [str(d) for d in obj.dims if obj.sizes[d] == 0]
    own.expect(not empty, f"dimension {', '.join(empty)} has length 0; expected at least one value.")
    own.expect(obj.dtype.kind in "iufb", f"values are of type {obj.dtype}; expected real numbers.")
    fill = getattr(getattr(obj.data, "_meta", obj.data), "fill_value", 0) if is_sparse(obj.data) else 0
    own.expect(fill == 0, f"a sparse array with fill value {fill}; expected 0, because what is not stored is a measured zero.")
    if not empty and obj.dtype.kind in "if" and (counts or finite):
        _expect_values(obj, own, counts=counts)
    if faults is None:
        own.close()


def _expect_values(obj: xr.DataArray, faults: Faults, *, counts: bool) -> None:
    low = extreme(obj.data, "min")
    if obj.dtype.kind == "f":
        good = bool(np.isfinite(low) and np.isfinite(extreme(obj.data, "max")))
        faults.expect(good, "NaN or infinite values; expected finite numbers (0 is a measured zero).")
    negative = bool(counts and low < 0)
    faults.expect(not negative, f"negative counts (lowest {low:g}); expected 0 or more. Subtracted data are not counts.")


def extreme(data: Any, name: str) -> Any:
    """`data.min()` or `data.max()` of any container as one number; NaN if any value is NaN."""
    value = getattr(data, name)()
    if is_dask(data):
        value = value.compute(scheduler="threads")
    return value.todense()[()] if is_sparse(value) else value


def axis_values(obj: xr.DataArray | xr.Dataset, dim: str, *, subject: str) -> NDArray[np.float64]:
    """Coordinate of `dim` as float64, checked: present, numeric, finite, strictly ascending."""
    if dim not in obj.coords:
        raise SsbmapsError(f"{subject}: dimension {dim} has no coordinate; expected its values in {unit_of(dim) or 'numbers'}.")
    values = np.asarray(obj.coords[dim].values)
    with Faults(f"{subject}: coordinate {dim}") as faults:
        if faults.expect(values.dtype.kind in "iuf", f"is of type {values.dtype}; expected numbers."):
            values = values.astype(np.float64)
            if faults.expect(bool(np.isfinite(values).all()), "holds NaN or infinity; expected finite values."):
                faults.expect(bool((np.diff(values) > 0).all()), f"is not ascending; sort by {dim} and drop duplicates.")
    return values


def unit_of(dim: str) -> str | None:
    """Unit that the contract fixes for `dim` (`um` for y and x), or None."""
    return "um" if dim in RASTER_DIMS else SPECTRAL_UNITS.get(dim)


def check_unit(coord: xr.DataArray, *, subject: str) -> None:
    """Raise if `coord` states another unit than the contract's; a coordinate without unit is taken at the contract's."""
    stated, expected = coord.attrs.get("units"), unit_of(str(coord.name))
    if stated is not None and expected is not None and stated != expected:
        raise SsbmapsError(
            f"{subject}: coordinate {coord.name} is in {stated!r}, expected {expected!r}. "
            f"Convert the values, then set .attrs['units'] = {expected!r}."
        )


def pixel_size(obj: xr.DataArray | xr.Dataset, *, subject: str) -> tuple[float, float]:
    """Pixel size (y, x) in um, from evenly spaced coordinates.

    A single row or column has no spacing of its own: its coordinate states it in the attribute `pixel_size_um`.
    """
    steps: list[float] = []
    with Faults(subject) as faults:
        for dim in RASTER_DIMS:
            known = dim in obj.coords
            if faults.expect(known, f"no coordinate {dim}: the map has no pixel size, and ssbmaps never guesses one."):
                check_unit(obj.coords[dim], subject=subject)
                steps.append(_even_step(obj, dim, faults, subject))
    return steps[0], steps[1]


def _even_step(obj: xr.DataArray | xr.Dataset, dim: str, faults: Faults, subject: str) -> float:
    values = axis_values(obj, dim, subject=subject)
    if len(values) == 1:
        stated = obj.coords[dim].attrs.get("pixel_size_um")
        faults.expect(stated is not None, f"{dim} has a single pixel and no attribute 'pixel_size_um', so its size is unknown.")
        return float(stated or 0)
    steps = np.diff(values)
    even = bool(np.allclose(steps, steps.mean(), rtol=1e-3, atol=0))
    faults.expect(even, f"coordinate {dim} is not evenly spaced ({steps.min():g} to {steps.max():g} um); use ssbmaps.io.grid.")
    return float((values[-1] - values[0]) / (len(values) - 1))


def spectral_coord(name: str, values: Any) -> tuple[str, NDArray[np.float64], dict[str, str]]:
    """A spectral axis as xarray takes it: (dim, values, attributes), with the contract's unit and name."""
    return name, np.asarray(values, np.float64), {"units": SPECTRAL_UNITS[name], "long_name": LONG_NAMES[name]}


def raster_coords(shape: Sequence[int], pixel: Sequence[float]) -> dict[str, tuple[str, NDArray[np.float64], dict[str, Any]]]:
    """Coordinates y, x of pixel centres in um: corner of the map at (0, 0), first centre half a pixel in."""
    return {
        dim: (
            dim,
            (np.arange(n, dtype=np.float64) + 0.5) * float(size),
            {"units": "um", "long_name": LONG_NAMES[dim], **({"pixel_size_um": float(size)} if n == 1 else {})},
        )
        for dim, n, size in zip(RASTER_DIMS, shape, pixel, strict=True)
    }


def measured_mask(obj: xr.DataArray | xr.Dataset) -> NDArray[np.bool_] | None:
    """The boolean (y, x) coordinate `measured`, in canonical order, or None if every pixel was measured."""
    held = obj.coords.variables
    if "measured" not in held:
        return None
    return np.asarray(held["measured"].transpose(*canonical_order(held["measured"].dims)).values, bool)


def same_grid(first: xr.DataArray, second: xr.DataArray, *, subject: str, dims: Iterable[str] = RASTER_DIMS) -> None:
    """Raise GridMismatchError unless both lie on exactly the same `dims` coordinates."""
    import xarray as xr

    shared = [d for d in dims if d in first.dims or d in second.dims]
    try:
        left, right = ({d: o.coords[d] for d in shared if d in o.coords} for o in (first, second))
        xr.align(xr.Dataset(coords=left), xr.Dataset(coords=right), join="exact")
        if any(first.sizes.get(d) != second.sizes.get(d) for d in shared):
            raise ValueError
    except ValueError:
        raise GridMismatchError(
            f"{subject}: the maps lie on different grids, {_describe(first)} against {_describe(second)}. "
            "Bring one onto the other explicitly; ssbmaps never resamples on its own."
        ) from None


def _describe(obj: xr.DataArray) -> str:
    parts = []
    for dim in RASTER_DIMS:
        if dim in obj.coords and obj.sizes[dim] > 1:
            values = np.asarray(obj.coords[dim].values, float)
            step = (values[-1] - values[0]) / (len(values) - 1)
            parts.append(f"{dim}: {len(values)} x {step:.9g} um from {values[0]:.9g}")
        else:
            parts.append(f"{dim}: {obj.sizes.get(dim, 0)} pixels")
    return f"({', '.join(parts)})"


def generator(rng: Any) -> tuple[np.random.Generator, int | str]:
    """Generator of an int or Generator (None means 0), and what provenance records of it."""
    if rng is None:
        rng = 0
    if isinstance(rng, np.random.Generator):
        return rng, f"Generator({type(rng.bit_generator).__name__})"
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool) and rng >= 0:
        return np.random.default_rng(int(rng)), int(rng)
    raise SsbmapsError(f"rng: expected an int of 0 or more, a numpy Generator or None, got {rng!r}.")


def fragment_index(maps: xr.DataArray, names: str | Sequence[str], *, subject: str) -> list[int]:
    """Positions of named channels along the channel dimension of `maps`; all unknown names reported at once."""
    dim = channel_dim(maps, subject=subject)
    if dim is None or dim not in maps.coords:
        raise SsbmapsError(f"{subject}: expected named channels along one of {', '.join(CHANNEL_DIMS)}, got {tuple(maps.dims)}.")
    present = [str(v) for v in maps.coords[dim].values]
    wanted = [names] if isinstance(names, str) else list(names)
    unknown = [n for n in wanted if n not in present]
    if unknown or not wanted:
        asked = ", ".join(unknown) or "(none given)"
        raise SsbmapsError(f"{subject}: {dim} {asked} not in the maps, which hold {', '.join(present)}.")
    return [present.index(n) for n in wanted]


def check_attrs(attrs: Mapping[Any, Any], *, subject: str) -> None:
    """Raise unless every attribute is a string, a number or a 1-D array of numbers: nothing else can be stored."""
    with Faults(subject) as faults:
        for key, value in attrs.items():
            if not (isinstance(key, str) and _is_attribute(value)):
                faults.expect(
                    False, f"attribute {key!r} is {value!r:.80}; expected a string, a number or a 1-D array of numbers."
                )


def _is_attribute(value: Any) -> bool:
    if isinstance(value, (np.ndarray, list, tuple)):
        array = np.asarray(value)
        return array.ndim == 1 and array.dtype.kind in "iuf"
    return isinstance(value, (str, int, float, np.integer, np.floating)) and not isinstance(value, (bool, np.bool_))


def check_contract(cube: xr.DataArray, *, subject: str) -> None:
    """Raise FormatError, naming every fault, unless `cube` keeps the data contract; readers call it last."""
    held = cube.coords.variables
    with Faults(subject, FormatError) as faults:
        order = canonical_order(cube.dims)
        faults.expect(order == cube.dims, f"dims {cube.dims} are not in canonical order {order}.")
        for dim in map(str, cube.dims):
            if unit_of(dim) is None or not faults.expect(dim in held, f"dimension {dim} has no coordinate."):
                continue
            unit = held[dim].attrs.get("units")
            faults.expect(unit == unit_of(dim), f"coordinate {dim} has units {unit!r}, expected {unit_of(dim)!r}.")
            faults.expect(_ascends(np.asarray(held[dim].values, float)), f"coordinate {dim} is not ascending.")
        faults.expect("units" in cube.attrs, "attribute 'units' is missing.")
        faults.expect("history" in cube.attrs, "attribute 'history' is missing.")
        mask = measured_mask(cube)
        faults.expect(mask is None or bool(mask.any()), "no pixel was measured.")
    check_attrs(cube.attrs, subject=subject)


def _ascends(values: NDArray[np.float64]) -> bool:
    """Whether all are finite, each above the one before; of NaN nothing is above, and infinite only the ends can be."""
    ends = values[:: max(len(values) - 1, 1)]
    return bool((values[1:] > values[:-1]).all() and np.isfinite(ends).all())


def dense_map(map_: xr.DataArray, *, subject: str) -> NDArray[np.float64]:
    """Values of a single (y, x) map as float64, unmeasured pixels NaN."""
    check_array(map_, subject=subject, dims=RASTER_DIMS)
    if map_.ndim != 2:
        raise SsbmapsError(f"{subject}: expected one (y, x) map, got dims {tuple(map_.dims)}. Pick one with .sel(fragment=…).")
    values = to_dense(canonical(map_).data).astype(np.float64)
    mask = measured_mask(map_)
    if mask is not None:
        values[~mask] = np.nan
    return values
