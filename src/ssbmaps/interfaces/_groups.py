"""Which profile a pixel belongs to: that of a particle, of a phase pair, or the one of the whole section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, check_array, measured_mask, same_grid
from ssbmaps._errors import SsbmapsError
from ssbmaps.maps._flags import Flags, read_flags

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

REACH = 3.0  # pixels from the edge outwards in which the phase on the other side is looked for


@dataclass(frozen=True, slots=True)
class Groups:
    """Profile number (y, x), −1 for none; the new dimension and its coordinate, or None and []."""

    index: NDArray[np.int64]
    dim: str | None
    names: list[Any]


def grouped(maps: xr.DataArray, distance: xr.DataArray, by: str | xr.DataArray | None, *, subject: str) -> Groups:
    """Groups of `distance_profile`, after all checks of `by`."""
    if by is None:
        return Groups(np.zeros((maps.sizes["y"], maps.sizes["x"]), np.int64), None, [])
    if isinstance(by, str):
        if by != "particle" or set(getattr(distance.coords.get("particle"), "dims", ())) != {"y", "x"}:
            raise SsbmapsError(
                f"{subject}: by={by!r}; expected 'particle' and a distance with the coordinate particle, as "
                "ssbmaps.interfaces.distance_to gives it, or a map of particle numbers or phase labels."
            )
        return _by_number(distance.coords["particle"])
    check_array(by, subject=f"{subject}: by", dims=("y", "x"))
    same_grid(maps, by, subject=f"{subject}: by")
    if by.ndim != 2 or by.dtype.kind not in "iu":
        raise SsbmapsError(f"{subject}: by is {by.dtype} with dims {tuple(by.dims)}; expected integers (y, x).")
    if "flag_meanings" not in by.attrs:
        return _by_number(by)
    return _by_phase(read_flags(by, subject=f"{subject}: by"), to_dense(canonical(distance).data), subject=subject)


def _by_number(by: xr.DataArray) -> Groups:
    numbers = to_dense(canonical(by).data).astype(np.int64)
    known = measured_mask(by)
    numbers = numbers if known is None else np.where(known, numbers, 0)
    names = np.unique(numbers[numbers > 0])
    return Groups(np.where(numbers > 0, np.searchsorted(names, numbers), -1), "particle", names.tolist())


def _by_phase(labels: Flags, away: NDArray[np.float64], *, subject: str) -> Groups:
    """Groups by the first phase outside the nearest edge: each pixel asks the nearest pixel of the outline, on both sides."""
    from scipy.ndimage import distance_transform_edt

    step = max(labels.pixel)
    values = np.where(labels.measured, labels.values, 0)
    deep = values[(away < -step) & (values > 0)]
    core = int(np.bincount(deep).argmax()) if deep.size else 0
    named = (away > 0) & (away <= REACH * step) & (values > 0) & (values != core)
    if not named.any():
        raise SsbmapsError(
            f"{subject}: by labels no pixel within {REACH * step:g} um outside the edge with a phase other than the one inside."
        )
    outline = (away > 0) & (away <= step)
    gap, first = distance_transform_edt(~named, sampling=labels.pixel, return_indices=True)
    beyond = np.where(outline & (gap <= REACH * step), values[tuple(first)], 0)
    gap, foot = distance_transform_edt(~outline, sampling=labels.pixel, return_indices=True)
    other = np.where(gap <= np.abs(away) + 2 * step, beyond[tuple(foot)], 0)
    present = [(f, n) for f, n in zip(labels.flags, labels.names, strict=True) if f > 0 and (other == f).any()]
    index = np.full(values.shape, -1, np.int64)
    for i, (flag, _) in enumerate(present):
        index[other == flag] = i
    return Groups(index, "phase", [n for _, n in present])
