"""What `register` is given, as stacks of channels: pairs by name, counts made of even variance, masks, landmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import SERIES_DIMS, canonical, channel_dim, check_array, fragment_index, measured_mask, pixel_size
from ssbmaps._counts import anscombe
from ssbmaps._errors import Faults, RegistrationError, SsbmapsError
from ssbmaps.maps._map_images import Stack
from ssbmaps.maps._mutual import Raster

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "maps.register"
_LEAST = 16  # pixels along a side
Names = tuple[tuple[str, ...], tuple[str, ...]]


def check_maps(maps: xr.DataArray, role: str) -> xr.DataArray:
    """Canonical (channel, y, x) or (y, x), or a letter."""
    subject = f"{SUBJECT}: {role}"
    check_array(maps, subject=subject, dims=("y", "x"))
    channel = channel_dim(maps, subject=subject)
    extra = [str(d) for d in maps.dims if d not in ("y", "x", channel)]
    series = [d for d in extra if d in SERIES_DIMS]
    if extra:
        how = f"Sum them first: .sum({series[0]!r})." if series else "Make maps of it first: maps.fragment_maps, maps.integrate."
        raise SsbmapsError(f"{subject}: has the dimension {', '.join(extra)}; expected maps (channel, y, x) or (y, x). {how}")
    small = [f"{d} {maps.sizes[d]}" for d in ("y", "x") if maps.sizes[d] < _LEAST]
    if small:
        raise RegistrationError(f"{subject}: has too few pixels along {' and '.join(small)}; expected {_LEAST} or more.")
    return canonical(maps)


def name_pairs(reference: xr.DataArray, moving: xr.DataArray, pairs: Any) -> list[Names]:
    """Pairs as names on both sides; by default the single maps, or the channels of the same name."""
    sides = [_names(m) for m in (reference, moving)]
    if pairs is None:
        if not sides[0] and not sides[1]:
            return [((), ())]
        common = [n for n in sides[0] if n in sides[1]]
        if common:
            return [((n,), (n,)) for n in common]
        if len(sides[0]) <= 1 and len(sides[1]) <= 1:
            return [(tuple(sides[0]), tuple(sides[1]))]
        raise SsbmapsError(
            f"{SUBJECT}: no channel has the same name in both maps: the reference holds {', '.join(sides[0]) or 'one map'}, the "
            f"moving one {', '.join(sides[1]) or 'one map'}. Say which show the same: "
            f"pairs=[({(sides[0] or [''])[0]!r}, {(sides[1] or [''])[0]!r})]."
        )
    found: list[Names] = []
    for one in pairs:
        good = isinstance(one, (tuple, list)) and len(one) == 2
        if not good:
            raise SsbmapsError(f"{SUBJECT}: pairs holds {one!r}; expected (channel of the reference, channel of the moving map).")
        left, right = ((s,) if isinstance(s, str) else tuple(s or ()) for s in one)
        found.append((left, right))
    return found


def _names(maps: xr.DataArray) -> list[str]:
    channel = channel_dim(maps, subject=SUBJECT)
    return [] if channel is None else [str(v) for v in maps.coords[channel].values] if channel in maps.coords else []


def stack(maps: xr.DataArray, names: list[tuple[str, ...]], role: str) -> Stack:
    """Channels (C, y, x) of one side; several names of a pair are summed. Constant channels are refused."""
    subject = f"{SUBJECT}: {role}"
    pixel = pixel_size(maps, subject=subject)
    first = (float(maps["y"].values[0]), float(maps["x"].values[0]))
    mask = measured_mask(maps)
    values, ok = [], []
    with Faults(subject, RegistrationError) as faults:
        for one in names:
            raw = _summed(maps, one, subject)
            seen = np.isfinite(raw) if mask is None else np.isfinite(raw) & mask
            label = "+".join(one) or "the map"
            inside = raw[seen]
            if faults.expect(seen.sum() >= _LEAST**2, f"{label} has {int(seen.sum())} measured pixels; {_LEAST**2} are needed."):
                flat = bool(np.ptp(inside) == 0)
                faults.expect(not flat, f"{label} is {inside[0]:g} everywhere; a constant map cannot be placed on another.")
            counts = maps.dtype.kind in "iu"
            faults.expect(not counts or inside.min(initial=0) >= 0, f"{label} has negative counts; they cannot be counts.")
            values.append(anscombe(np.where(seen, np.maximum(raw, 0), 0)) if counts else np.where(seen, raw, 0.0))
            ok.append(seen)
    raster = Raster((maps.sizes["y"], maps.sizes["x"]), pixel, first)
    return Stack(np.stack(values), np.stack(ok), raster)


def _summed(maps: xr.DataArray, names: tuple[str, ...], subject: str) -> Floats:
    channel = channel_dim(maps, subject=subject)
    if channel is None:
        if names:
            raise SsbmapsError(f"{subject}: is a single map without named channels; pairs names {', '.join(names)}.")
        return np.asarray(to_dense(maps.data), np.float64)
    index = fragment_index(maps, list(names), subject=subject) if names else list(range(maps.sizes[channel]))
    return np.asarray(to_dense(maps.isel({channel: index}).data).astype(np.float64).sum(axis=0))


def check_landmarks(landmarks: Any) -> Floats | None:
    """(N, 4): y, x on the moving map and y, x on the reference, um."""
    if landmarks is None:
        return None
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 2 or points.shape[1] != 4 or len(points) < 3 or not np.isfinite(points).all():
        raise SsbmapsError(
            f"{SUBJECT}: landmarks has shape {points.shape}; expected three or more rows (y moving, x moving, y reference, "
            "x reference) in um, without NaN."
        )
    return points
