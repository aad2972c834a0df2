"""What tests along depth need of a series: counts of each region and ion in every scan, and the depth and exposure of scans."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import RASTER_DIMS, channel_dim, check_array, measured_mask, same_grid
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps.maps._flags import read_flags

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DEPTH_DIMS = ("scan", "z")
_CHANCE = 20.0  # counts; with as many on average, a scan without any is none by chance


@dataclass(frozen=True)
class Totals:
    """Counts (region, …, scan, channel), without blank scans; with what was left out and how large regions are."""

    counts: Floats
    dim: str
    scans: NDArray[np.intp]  # which of the series these are
    n_scans: int
    regions: list[str]
    n_pixels: NDArray[np.int64]
    channel: str | None
    names: list[str]


def depth_dim(series: xr.DataArray, *, subject: str) -> str:
    """The one dimension along which scans follow one another."""
    found = [d for d in DEPTH_DIMS if d in series.dims]
    if len(found) != 1:
        raise SsbmapsError(
            f"{subject}: dims {tuple(series.dims)}; expected one of {', '.join(DEPTH_DIMS)} among them, along which material is "
            "removed. Rename it with .rename()."
        )
    return found[0]


def totals(series: xr.DataArray, labels: xr.DataArray | None, *, lead: str | None, subject: str) -> Totals:
    """Counts summed over the measured pixels of each labelled phase, or of the whole map; blank scans left out.

    `lead` is one more dimension that stays, before the scans.
    """
    check_array(series, subject=subject, counts=True)
    dim, channel = depth_dim(series, subject=subject), channel_dim(series, subject=subject)
    kept = [d for d in (lead, dim, channel) if d is not None]
    rest = [d for d in RASTER_DIMS if d in series.dims]
    extra = [str(d) for d in series.dims if d not in (*kept, *rest)]
    if extra or len(rest) == 1:
        raise SsbmapsError(
            f"{subject}: dims {tuple(series.dims)}; expected {', '.join(kept)} with both y and x, or neither. Choose with .sel()."
        )
    ordered = series.transpose(*kept, *rest)
    regions, masks = _regions(ordered, rest, labels, subject)
    sums = _summed(ordered, len(kept), masks)
    counts = np.moveaxis(sums, -1, 0)  # region first
    if channel is None:
        counts = counts[..., None]
    sums = counts.sum(axis=(0, -1))
    blank = (sums == 0) & (sums.mean(axis=-1, keepdims=True) > _CHANCE)
    alive = ~(blank.any(axis=0) if lead else blank)
    _warn(series, dim, alive, counts, subject)
    names = [""] if channel is None else [str(v) for v in ordered.coords[channel].values] if channel in ordered.coords else []
    if not names:
        raise SsbmapsError(f"{subject}: dimension {channel} has no coordinate; expected the names of the ions there.")
    sizes = np.array([int(m.sum()) for m in masks], np.int64)
    return Totals(
        np.compress(alive, counts, axis=-2), dim, np.flatnonzero(alive), series.sizes[dim], regions, sizes, channel, names
    )


def _regions(
    series: xr.DataArray, rest: list[str], labels: xr.DataArray | None, subject: str
) -> tuple[list[str], list[NDArray[np.bool_]]]:
    """Names and masks of the regions; one without a name where there are no labels."""
    known = measured_mask(series)
    shape = tuple(series.sizes[d] for d in rest)
    whole = np.ones(shape, bool) if known is None or not rest else known
    if labels is None:
        if not whole.any():
            raise SsbmapsError(f"{subject}: no pixel was measured.")
        return [""], [whole]
    if not rest:
        raise SsbmapsError(f"{subject}: labels for a series without y and x; expected maps, or no labels.")
    same_grid(series, labels, subject=f"{subject}: labels")
    flags = read_flags(labels, subject=f"{subject}: labels")
    names = [n for n, f in zip(flags.names, flags.flags, strict=True) if f != 0]
    masks = {n: flags.mask(n, subject=subject) & whole for n in names}
    held = {n: m for n, m in masks.items() if m.any()}
    if not held:
        raise SsbmapsError(f"{subject}: no measured pixel is labelled; expected labels from maps.label_phases.")
    return list(held), list(held.values())


def _summed(ordered: xr.DataArray, lead: int, masks: list[NDArray[np.bool_]]) -> Floats:
    """(…, region): one map at a time, so that lazy and sparse series stay small."""
    shape = ordered.shape[:lead]
    if ordered.ndim == lead:
        return np.asarray(to_dense(ordered.data), np.float64)[..., None]
    found = np.empty((*shape, len(masks)))
    for place in np.ndindex(*shape[:-1]):
        block = np.asarray(to_dense(ordered.data[place]), np.float64)  # all that the last kept dimension holds
        for i, mask in enumerate(masks):
            found[(*place, slice(None), i)] = block[..., mask].sum(axis=-1)
    return found


def _warn(series: xr.DataArray, dim: str, alive: NDArray[np.bool_], counts: Floats, subject: str) -> None:
    """Blank and repeated scans, and values that are no counts."""
    told = []
    blank = np.flatnonzero(~alive)
    if blank.size:
        told.append(f"{dim} {', '.join(map(str, blank[:8]))} holds no counts at all and is left out.")
    flat = np.moveaxis(counts, -2, 0).reshape(counts.shape[-2], -1)
    same = np.flatnonzero((flat[1:] == flat[:-1]).all(axis=1) & (flat[1:].sum(axis=1) > _CHANCE) & (flat.shape[1] > 2))
    if same.size:
        told.append(f"{dim} {', '.join(str(i + 1) for i in same[:8])} has the same counts as the one before: a repeated scan?")
    if series.dtype.kind == "f" and bool((counts % 1 > 0).any()):
        told.append("values are no whole numbers; the errors hold for counts only.")
    if told:
        warnings.warn(f"{subject}: {' '.join(told)}", DataQualityWarning, stacklevel=4)


@dataclass(frozen=True)
class Depths:
    """Depth of every scan for each region, and the unit."""

    values: dict[str, Floats]
    unit: str

    @property
    def shared(self) -> bool:
        """Whether all regions have the same."""
        first, *others = self.values.values()
        return all(np.array_equal(first, o) for o in others)


def depths(series: xr.DataArray, depth: Any, found: Totals, *, subject: str) -> Depths:
    """Depth of the scans that are used: the number of the scan, a coordinate, an array with units, or one for each phase."""
    if isinstance(depth, Mapping):
        missing = [r for r in found.regions if r not in depth]
        if missing or found.regions == [""]:
            wanted = ", ".join(missing) or "labels, to tell the phases"
            raise SsbmapsError(f"{subject}: depth for {', '.join(map(str, depth))}; expected also {wanted}.")
        each = {r: depths(series, depth[r], found, subject=f"{subject}: depth of {r}") for r in found.regions}
        units = {d.unit for d in each.values()}
        if len(units) > 1:
            raise SsbmapsError(f"{subject}: depths in {', '.join(sorted(units))}; expected one unit for all phases.")
        return Depths({r: next(iter(d.values.values())) for r, d in each.items()}, units.pop())
    values, unit = _one_depth(series, depth, found, subject)
    return Depths(dict.fromkeys(found.regions, values), unit)


def _one_depth(series: xr.DataArray, depth: Any, found: Totals, subject: str) -> tuple[Floats, str]:
    import xarray as xr

    if depth is None:
        known = series.coords.get(found.dim)
        if found.dim != "z" or known is None or not known.attrs.get("units"):
            return found.scans.astype(np.float64), "scan"
        depth = known
    if isinstance(depth, str):
        if depth not in series.coords:
            raise SsbmapsError(f"{subject}: depth={depth!r} is no coordinate; there are {', '.join(map(str, series.coords))}.")
        depth = series.coords[depth]
    if not isinstance(depth, xr.DataArray):
        raise SsbmapsError(
            f"{subject}: depth is of type {type(depth).__name__}; expected a DataArray along {found.dim} with the attribute "
            "'units', the name of such a coordinate, or one for each phase. ssbmaps never guesses a unit."
        )
    with Faults(f"{subject}: depth") as faults:
        whole = depth.dims == (found.dim,) and depth.size == found.n_scans
        if faults.expect(whole, f"has dims {dict(depth.sizes)}; expected {found.dim}: {found.n_scans}."):
            values = np.asarray(depth.values)
            numbers = values.dtype.kind in "iuf" and bool(np.isfinite(values.astype(float)).all())
            if faults.expect(numbers, "holds values that are no finite numbers."):
                faults.expect(bool((np.diff(values.astype(float)) > 0).all()), "does not rise from scan to scan.")
        faults.expect(bool(depth.attrs.get("units")), "has no attribute 'units', e.g. 'nm' or 'nm of SiO2'.")
    return np.asarray(depth.values, np.float64)[found.scans], str(depth.attrs["units"])


def exposures(exposure: Any, found: Totals, *, subject: str) -> Floats:
    """(n,) exposure of the scans that are used, with a mean of 1."""
    if exposure is None:
        return np.ones(len(found.scans))
    values = np.asarray(getattr(exposure, "values", exposure))
    with Faults(f"{subject}: exposure") as faults:
        fits = values.shape == (found.n_scans,)
        if faults.expect(fits, f"has shape {values.shape}; expected one number for each of {found.n_scans} in {found.dim}."):
            good = values.dtype.kind in "iuf" and bool(np.isfinite(values).all() and (values > 0).all())
            faults.expect(good, "holds values that are not above 0; expected the primary current or dose of each scan.")
    used = values.astype(np.float64)[found.scans]
    return np.asarray(used / used.mean())
