"""Which counts arrive less than a dead time before a fragment, and so take shots from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense, window_sums
from ssbmaps._conventions import axis_values, canonical, check_array, check_unit, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._ions import parse_ion

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DEFAULT_WINDOW = 0.3  # Da


@dataclass(frozen=True)
class Masking:
    """Positions of the lighter partners of each fragment, and the lowest m/z that is less than a dead time ahead of it."""

    partners: list[list[int]]
    start: Floats
    window: float | None

    def preceding(self, axis: Floats, sums: Any, maps: xr.DataArray, *, without_partners: bool = False) -> NDArray[Any]:
        """Counts of (…, mz) `sums` inside the dead time before each fragment's window: (fragment,) or (…, fragment, y, x).

        `without_partners` leaves out the channels in the windows of the fragment's partners.
        """
        low, high = (np.atleast_1d(maps[name].values) for name in ("mz_low", "mz_high"))
        columns = []
        for i, partners in enumerate(self.partners):
            inside = (axis >= self.start[i]) & (axis < low[i])
            for j in partners if without_partners else ():
                inside &= ~((axis >= low[j]) & (axis < high[j]))
            edges = np.flatnonzero(np.diff(np.concatenate(([0], inside.astype(np.int8), [0])))).reshape(-1, 2)
            if not edges.size:
                columns.append(np.zeros(sums.shape[:-1], np.int64))
                continue
            columns.append(to_dense(window_sums(sums, edges[:, 0], edges[:, 1])).sum(axis=-1))
        stacked = np.stack(columns, axis=-1)
        return stacked if stacked.ndim == 1 else np.moveaxis(stacked, -1, -3)


def masking_of(
    maps: xr.DataArray,
    dim: str | None,
    names: list[str],
    *,
    window: float | None,
    dead_time: float | None,
    flight_time: float | None,
    subject: str,
) -> Masking:
    """Who masks whom, from a mass difference or from dead time and flight time."""
    timed = dead_time is not None or flight_time is not None
    with Faults(subject) as faults:
        faults.expect(not (timed and window is not None), "window and dead_time are both given; expected one of them.")
        both = dead_time is not None and flight_time is not None
        faults.expect(
            not timed or both,
            "dead_time (ns) and flight_time (us, of an ion of 1 Da) go together; expected both, or window (Da) in their place.",
        )
        for name, value in (("window", window), ("dead_time", dead_time), ("flight_time", flight_time)):
            good = value is None or (isinstance(value, (int, float, np.number)) and np.isfinite(value) and value > 0)
            faults.expect(bool(good), f"{name} is {value!r}; expected a number above 0.")
    mz = _masses(maps, dim, names, needed=True) if dim else np.atleast_1d(_masses(maps, dim, names, needed=False))
    width = None if timed else (DEFAULT_WINDOW if window is None else float(window))
    if dead_time is not None and flight_time is not None:
        start = np.maximum(np.sqrt(mz) - dead_time / (1000 * flight_time), 0.0) ** 2
    else:
        start = mz - float(width or 0.0)
    partners = [[int(j) for j in np.flatnonzero((mz < m) & (mz > s))] for m, s in zip(mz, start, strict=True)]
    return Masking(partners, start, width)


def _masses(maps: xr.DataArray, dim: str | None, names: list[str], *, needed: bool) -> Floats:
    if "mz" in maps.coords:
        return np.asarray(maps.coords["mz"].values, np.float64)
    if not needed:
        return np.full(len(names), np.nan)
    if dim not in maps.coords:
        raise SsbmapsError(
            "maps.correct_dead_time: fragments have neither names nor m/z, so that it is not known which mask which; expected "
            "the coordinate 'fragment' with ions such as 'PO2-', or 'mz' along it."
        )
    return np.array([parse_ion(name).mz for name in names])


def window_edges(
    maps: xr.DataArray, dim: str | None, counts: NDArray[np.int64], spectrum: xr.DataArray, *, subject: str
) -> tuple[Floats, Any]:
    """m/z axis and counts of `spectrum`, (mz,) or (…, y, x, mz) summed over scans, checked against the maps' own windows."""
    check_array(spectrum, subject=f"{subject}: spectrum", dims=("mz",), counts=True)
    axis = axis_values(spectrum, "mz", subject=f"{subject}: spectrum")
    check_unit(spectrum.coords["mz"], subject=f"{subject}: spectrum")
    ordered = canonical(spectrum)
    whole = "y" in ordered.dims
    with Faults(subject) as faults:
        edges = all(name in maps.coords for name in ("mz_low", "mz_high"))
        faults.expect(edges, "spectrum is given and the maps have no mz_low, mz_high; expected maps from maps.fragment_maps.")
        expected = {*(d for d in maps.dims if d not in (dim, "scan")), "mz"} if whole else {"mz"}
        fits = set(ordered.dims) - {"scan"} == expected
        faults.expect(fits, f"spectrum has dims {tuple(ordered.dims)}; expected (mz), or those of the maps with mz.")
    if whole:
        same_grid(maps, ordered, subject=subject)
    data = ordered.data
    if "scan" in ordered.dims:
        data = data.sum(axis=ordered.get_axis_num("scan"), dtype=np.int64)
    low, high = (np.atleast_1d(maps[name].values) for name in ("mz_low", "mz_high"))
    sums = to_dense(window_sums(data, np.searchsorted(axis, low), np.searchsorted(axis, high)))
    own = sums.reshape(-1, len(low)).sum(axis=0)
    total = np.moveaxis(counts, -3, -1).reshape(-1, len(low)).sum(axis=0)
    if not np.array_equal(own, total):
        raise SsbmapsError(
            f"{subject}: spectrum holds {own.tolist()} counts in the windows of the fragments, the maps hold {total.tolist()}; "
            "expected the cube that the maps were made of, or its sum over all pixels and scans."
        )
    return axis, data
