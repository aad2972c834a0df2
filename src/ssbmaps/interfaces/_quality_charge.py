"""Do peaks shift or widen from place to place? Centroids and widths of tiles against the scatter that counting gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_csr, to_dense
from ssbmaps._conventions import axis_values, canonical
from ssbmaps.interfaces._quality_check import Check, untestable

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHIFTS = ("mass_shift", "root-mean-square shift of the peaks between places, beyond counting")
WIDENS = ("mass_width", "root-mean-square change of the peaks' width between places, beyond counting, relative")
TILES = 16  # along the longer side
LEAST_COUNTS = 100  # of a tile
LEAST_CHANNELS = 5  # of a peak
LEAST_TILES = 6
_WINDOW = 1e-3  # relative half-width where the maps state none


def charging(
    cube: xr.DataArray | None, maps: xr.DataArray, labels: NDArray[Any], inner: NDArray[np.bool_], *, subject: str
) -> list[Check]:
    """Tests of the fragments' peaks in `cube` (…, y, x, mz), tile by tile, all fragments together.

    Each fragment counts only well inside (`inner`) the phase where it is strongest, so that background and neighbouring
    ions, whose share differs between phases, shift nothing.
    """
    if cube is None:
        return _neither("no cube with an mz axis was given (cube=)")
    if "mz" not in maps.coords or maps.coords["mz"].dims != ("fragment",):
        return _neither("the maps carry no mz of their fragments")
    ordered = canonical(cube)
    mz = axis_values(ordered, "mz", subject=f"{subject}: cube")
    counts = to_csr(ordered.data)
    tiles = _tiles(labels.shape)
    images = canonical(maps).sum([d for d in maps.dims if d not in ("fragment", "y", "x")])
    found = []
    for image, window in zip(to_dense(images.data), _windows(maps), strict=True):
        place = np.where(inner & (labels == _strongest(image, np.where(inner, labels, -1))), tiles, -1).ravel()
        peak = _peak(counts, np.tile(place, counts.shape[0] // place.size), int(tiles.max()) + 1, mz, window)
        found += [] if peak is None else [peak]
    if not found:
        return _neither(f"no peak has {LEAST_CHANNELS} channels and {LEAST_TILES} tiles of {LEAST_COUNTS} counts")
    centres = _centres(maps, _side(labels.shape))
    checks = []
    cause = "compatible with charging, topography or ions of nearly the same mass"
    for (name, quantity), part, unit, verb in ((SHIFTS, 0, "ppm", "shift"), (WIDENS, 1, "1", "change in width")):
        value, sd, statistic, p_value = _pooled([f[part] for f in found])
        size = f"{value:.1f} ± {sd:.1f} ppm" if unit == "ppm" else f"{value:.1%} ± {sd:.1%}"
        finding = f"peaks {verb} from place to place by {size} in root mean square, beyond counting: {cause}"
        checks.append(Check(name, quantity, finding, value, sd, unit, statistic, p_value, detail=_picture(found, part, centres)))
    return checks


def _neither(reason: str) -> list[Check]:
    return [untestable(*SHIFTS, reason), untestable(*WIDENS, reason)]


def _side(shape: tuple[int, ...]) -> int:
    return max(1, int(np.ceil(max(shape) / TILES)))


def _columns(shape: tuple[int, ...]) -> int:
    return (shape[1] - 1) // _side(shape) + 1


def _tiles(shape: tuple[int, ...]) -> NDArray[np.int64]:
    y, x = np.indices(shape) // _side(shape)
    return np.asarray(y * _columns(shape) + x)


def _windows(maps: xr.DataArray) -> list[tuple[float, float]]:
    centre = maps.coords["mz"].values.astype(float)
    if {"mz_low", "mz_high"} <= set(maps.coords):
        return [*zip(maps.coords["mz_low"].values.astype(float), maps.coords["mz_high"].values.astype(float), strict=True)]
    return [(m * (1 - _WINDOW), m * (1 + _WINDOW)) for m in centre]


def _strongest(image: NDArray[Any], labels: NDArray[Any]) -> int:
    """The label of 0 or more with the most counts per pixel, of those that hold at least one pixel in a hundred."""
    values, number = np.unique(labels[labels >= 0], return_counts=True)
    means = [image[labels == v].mean() if n >= 0.01 * labels.size else -1.0 for v, n in zip(values, number, strict=True)]
    return int(values[int(np.argmax(means))]) if len(values) else -1


@dataclass(frozen=True)
class _Tiled:
    """One quantity of one peak by tile, about its mean, with its error; NaN where a tile has too few counts."""

    value: Floats
    sd: Floats


def _peak(
    counts: Any, place: NDArray[np.int64], n_tiles: int, mz: Floats, window: tuple[float, float]
) -> tuple[_Tiled, _Tiled] | None:
    """Centroid (ppm) and relative width of the peak by tile; only channels down to a tenth of its top are used."""
    first, last = np.searchsorted(mz, window)
    if last - first < LEAST_CHANNELS:
        return None
    own = counts[:, first:last].tocoo()
    inside = place[own.row] >= 0
    rows, columns, number = place[own.row[inside]], own.col[inside], own.data[inside].astype(float)
    spectrum = np.bincount(columns, number, last - first)
    high = spectrum >= 0.1 * spectrum.max(initial=0)
    top = int(spectrum.argmax())
    low, up = (int(np.argmin(np.append(side, False))) for side in (high[top::-1], high[top:]))
    used = (columns > top - low) & (columns < top + up)
    if low + up - 1 < LEAST_CHANNELS or not spectrum.max(initial=0) > 0:
        return None
    rows, number = rows[used], number[used]
    ppm = 1e6 * (mz[first:last][columns[used]] / mz[first + top] - 1)
    n = np.bincount(rows, number, n_tiles)
    enough = n >= LEAST_COUNTS
    if enough.sum() < LEAST_TILES:
        return None
    safe = np.where(enough, n, 1)
    centre = np.bincount(rows, number * ppm, n_tiles) / safe
    offset = ppm - centre[rows]
    second, fourth = (np.bincount(rows, number * offset**k, n_tiles) for k in (2, 4))
    m2 = second[enough].sum() / (n[enough] - 1).sum()
    m4 = fourth[enough].sum() / n[enough].sum()
    width = 0.5 * (second / np.maximum(safe - 1, 1) / m2 - 1)
    spread = 0.5 * np.sqrt((m4 / m2**2 - 1) / safe)
    return _about_mean(centre, np.sqrt(m2 / safe), enough), _about_mean(width, spread, enough)


def _about_mean(values: Floats, sd: Floats, enough: NDArray[np.bool_]) -> _Tiled:
    mean = np.average(values[enough], weights=sd[enough] ** -2)
    return _Tiled(np.where(enough, values - mean, np.nan), np.where(enough, sd, np.nan))


def _pooled(peaks: list[_Tiled]) -> tuple[float, float, float, float]:
    """Root-mean-square beyond counting with its error, χ² per degree of freedom, p-value; all peaks and tiles together."""
    from scipy.stats import chi2

    squares = float(sum(np.nansum((p.value / p.sd) ** 2) for p in peaks))
    dof = int(sum(np.isfinite(p.value).sum() - 1 for p in peaks))
    weight = float(sum(np.nansum(p.sd**-2) for p in peaks))
    excess, excess_sd = (squares - dof) / weight, float(np.sqrt(2 * dof)) / weight
    value = float(np.sqrt(max(excess, 0)))
    sd = min(excess_sd / (2 * value) if value > 0 else np.inf, float(np.sqrt(excess_sd)))
    return value, sd, squares / dof, float(chi2.sf(squares, dof))


def _centres(maps: xr.DataArray, side: int) -> dict[str, Floats]:
    """Middle of each tile along y and x, um."""
    values = {d: maps.coords[d].values.astype(float) for d in ("y", "x")}
    return {f"tile_{d}": np.array([v[i : i + side].mean() for i in range(0, len(v), side)]) for d, v in values.items()}


def _picture(found: list[tuple[_Tiled, _Tiled]], part: int, centres: dict[str, Floats]) -> dict[str, Any]:
    """Map over tiles, all peaks averaged by their errors, for plotting."""
    quantities = (("mass_shift", "ppm", "shift of the peaks"), ("mass_width", "1", "relative change of the peaks' width"))
    name, unit, text = quantities[part]
    weight = np.array([np.nan_to_num(f[part].sd ** -2) for f in found])
    total = (weight * np.nan_to_num(np.array([f[part].value for f in found]))).sum(axis=0)
    mean = np.divide(total, weight.sum(axis=0), out=np.full(total.shape, np.nan), where=weight.sum(axis=0) > 0)
    axes = {d: (d, v, {"units": "um", "long_name": f"middle of the tile along {d[-1]}"}) for d, v in centres.items()}
    shape = tuple(len(v) for v in centres.values())
    return {**axes, f"{name}_map": (tuple(centres), mean.reshape(shape), {"units": unit, "long_name": f"{text} by tile"})}
