"""`spectrum_figure`: a summed spectrum with its assigned peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import CHANNEL_DIMS, axis_values, check_array, check_unit, spectral_dim, unit_of
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._ions import parse_ion
from ssbmaps.figures._labels import ion_label, unit_label

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ssbmaps.figures._spectrum_sheet import Assignment

SUBJECT = "figures.spectrum_figure"


def spectrum_figure(
    spectra: xr.DataArray,
    *,
    assigned: Sequence[str] | Mapping[str, float] | xr.DataArray | None = None,
    peaks: int = 0,
    axis_range: tuple[float, float] | None = None,
    bin_width: float | None = None,
    scale: str = "linear",
) -> Figure:
    """Draw a summed spectrum with the peaks that were assigned.

    What one point of the curve holds stands on the axis. Evenly spaced channels are drawn as they are. Channels of mass that
    are unevenly spaced, as time-of-flight bins are, and files that store occupied bins only, are summed into even bins centred
    on multiples of their width, because counts per channel of uneven width mean nothing. Lists of peaks (channels of mass more
    than 0.2 Da apart, median) are drawn as sticks.

    Parameters
    ----------
    spectra : DataArray
        Spectra with one spectral dimension (`mz`, `kinetic_energy`, `raman_shift`, …), summed over y, x and series such as
        scan; or one spectrum. Dense, sparse or dask, any unit. Spectra that hold a NaN are left out whole; the figure says how
        many were summed.
    assigned : sequence of str, mapping or DataArray, optional
        Peaks to name. Ions, written as `ssbmaps.maps.ion_mz` reads them, stand at their exact m/z, whether or not there is a
        peak. A mapping gives names and positions in the unit of the axis, {"D band": 1350}. The result of
        `ssbmaps.maps.fragment_maps` or `ssbmaps.maps.integrate` gives its names, and its windows are shaded. Names outside
        `axis_range` are not drawn.
    peaks : int
        How many other peaks are labelled with their position, to the width of a bin or channel: those that stand out most
        above the valleys beside them and do not touch a named one. Peaks of counts less than 5 Poisson errors above the
        bins about them go without, and so do those within 2 mm of a larger one.
    axis_range : tuple of float, optional
        First and last value of the axis drawn, in its unit. None is all of it.
    bin_width : float, optional
        Width of the bins in the unit of the axis; at least the channels' own spacing. None is as said above, with the smallest
        width out of 1, 2, 5 × 10ⁿ that gives at most 2000 bins of at least 5 channels.
    scale : {"linear", "log"}
        Scale of the intensity, stated on its axis when it is logarithmic. On a log scale a bin of 0 is left empty.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type. Names stand side by side above the spectrum, turned
        upright where they are many, and lines lead down to their positions; if there are more names than room, those of the
        smallest peaks are left out and the figure says how many.

    Raises
    ------
    SsbmapsError
        If there is no spectral dimension, or a channel dimension such as fragment besides it; an ion cannot be read, has the
        other polarity or lies outside the measured axis; `axis_range` holds no channel; or an option is out of range.

    Examples
    --------
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> counts = xr.DataArray([[0, 3, 8, 1], [0, 2, 9, 0]], dims=("x", "mz"), attrs={"units": "counts", "polarity": "negative"})
    >>> counts = counts.assign_coords(mz=[78.94, 78.95, 78.96, 78.97])
    >>> fig = ssbmaps.figures.spectrum_figure(counts, assigned=["PO3-"])
    >>> " ".join(fig.axes[0].get_ylabel().split())
    'counts per channel of 0.01 Da'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._spectrum_sheet import spectrum_sheet
    from ssbmaps.figures._summed import as_drawn, summed

    check_array(spectra, subject=SUBJECT)
    channel = spectral_dim(spectra, subject=SUBJECT)
    axis = axis_values(spectra, channel, subject=SUBJECT)
    check_unit(spectra.coords[channel], subject=SUBJECT)
    _check_options(spectra, axis, peaks, axis_range, bin_width, scale)
    names = _assignments(assigned, channel, axis, spectra.attrs.get("polarity"))
    values, used = summed(spectra, subject=SUBJECT)
    view = _view(axis, axis_range)
    unit = unit_label(unit_of(channel) or "")
    drawn = as_drawn(axis, values, view, bin_width, mass=channel == "mz", unit=unit, subject=SUBJECT)
    log = scale == "log"
    _check_values(drawn.values, log=log)
    shown = [a for a in names if view[0] <= a.position <= view[1]]
    if names and not shown:
        raise SsbmapsError(f"{SUBJECT}: none of {', '.join(a.name for a in names)} lies in axis_range={axis_range!r}.")
    words = [f"sum of {used:,} spectra".replace(",", "\u2009")] if used > 1 else []
    return finished(spectrum_sheet(drawn, view, channel, shown, peaks, log=log, quantity=_quantity(spectra), words=words))


def _quantity(spectra: xr.DataArray) -> str:
    units = str(spectra.attrs.get("units", ""))
    if units == "counts":
        return "counts"
    name = str(spectra.attrs.get("long_name") or "intensity")
    printed = unit_label(units)
    return f"{name} ({printed})" if printed else f"{name} (unit not stated)" if not units else name


def _check_options(spectra: xr.DataArray, axis: NDArray[np.float64], peaks: Any, view: Any, width: Any, scale: Any) -> None:
    def number(value: Any) -> bool:
        return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))

    with Faults(SUBJECT) as faults:
        extra = [str(d) for d in spectra.dims if d in CHANNEL_DIMS]
        faults.expect(not extra, f"dimension {', '.join(extra)}: its spectra are not summed. Pick one with .isel({{…}}).")
        faults.expect(isinstance(peaks, int) and peaks >= 0, f"peaks={peaks!r}; expected a whole number of 0 or more.")
        faults.expect(width is None or (number(width) and width > 0), f"bin_width={width!r}; expected a number above 0.")
        faults.expect(scale in ("linear", "log"), f"scale={scale!r}; expected 'linear' or 'log'.")
        pair = isinstance(view, (tuple, list)) and len(view) == 2 and all(map(number, view)) and view[0] < view[1]
        if faults.expect(view is None or pair, f"axis_range={view!r}; expected two rising numbers.") and view is not None:
            held = bool(((axis >= view[0]) & (axis < view[1])).any())
            faults.expect(held, f"axis_range={view!r} holds no channel of the axis, {axis[0]:.6g} to {axis[-1]:.6g}.")


def _check_values(values: NDArray[np.float64], *, log: bool) -> None:
    with Faults(SUBJECT) as faults:
        if log:
            low = float(values.min())
            faults.expect(low >= 0, f"values down to {low:g} have no place on a log scale; use scale='linear'.")
            faults.expect(bool((values > 0).any()), "no value above 0 for a log scale; use scale='linear'.")


def _view(axis: NDArray[np.float64], asked: tuple[float, float] | None) -> tuple[float, float]:
    if asked is not None:
        return float(asked[0]), float(asked[1])
    beyond = float(axis[-1] - axis[-2]) if len(axis) > 1 else 1.0
    return float(axis[0]) - beyond, float(axis[-1]) + beyond


def _assignments(assigned: Any, channel: str, axis: NDArray[np.float64], polarity: object) -> list[Assignment]:
    """Names with their positions, ascending; every fault of them in one letter."""
    import xarray as xr

    if assigned is None:
        return []
    if isinstance(assigned, xr.DataArray):
        found = _of_maps(assigned, channel)
    elif isinstance(assigned, Mapping):
        found = _of_mapping(assigned)
    else:
        found = _of_ions(assigned, channel, polarity)
    with Faults(SUBJECT) as faults:
        faults.expect(bool(found), f"assigned={assigned!r}; expected at least one name.")
        for a in found:
            inside = axis[0] <= a.high and a.low <= axis[-1]
            faults.expect(inside, f"{a.name} at {a.position:.6g} lies outside the axis, {axis[0]:.6g} to {axis[-1]:.6g}.")
    return sorted(found, key=lambda a: a.position)


def _of_ions(ions: Any, channel: str, polarity: object) -> list[Assignment]:
    from ssbmaps.figures._spectrum_sheet import Assignment

    if channel != "mz":
        raise SsbmapsError(f"{SUBJECT}: ions have no place on an axis of {channel}; give names and positions, {{'O KLL': 503}}.")
    names = [ions] if isinstance(ions, str) else list(ions)
    sign = {"positive": 1, "negative": -1}.get(str(polarity), 0)
    found = []
    with Faults(SUBJECT) as faults:
        for name in names:
            try:
                ion = parse_ion(name)
            except SsbmapsError as error:
                faults.expect(False, str(error))
                continue
            faults.expect(ion.charge * sign >= 0, f"{ion.name}: the spectra were measured in {polarity} polarity.")
            found.append(Assignment(ion.name, ion_label(ion.name), ion.mz, ion.mz, ion.mz))
    return found


def _of_mapping(places: Mapping[str, float]) -> list[Assignment]:
    from ssbmaps.figures._spectrum_sheet import Assignment

    found = []
    with Faults(SUBJECT) as faults:
        for name, place in places.items():
            good = isinstance(name, str) and isinstance(place, (int, float, np.number)) and bool(np.isfinite(place))
            if faults.expect(good, f"assigned {name!r}: {place!r}; expected a name and a finite position."):
                found.append(Assignment(name, ion_label(name), float(place), float(place), float(place)))
    return found


def _of_maps(maps: xr.DataArray, channel: str) -> list[Assignment]:
    from ssbmaps.figures._spectrum_sheet import Assignment

    dims = [str(d) for d in maps.dims if d in CHANNEL_DIMS]
    edges = [f"{channel}_low", f"{channel}_high"]
    missing = [c for c in (*dims, *edges) if c not in maps.coords]
    if len(dims) != 1 or missing:
        raise SsbmapsError(
            f"{SUBJECT}: assigned has dims {tuple(maps.dims)} and lacks {', '.join(missing) or 'nothing'}; expected maps with "
            f"{edges[0]} and {edges[1]}, as maps.fragment_maps and maps.integrate give them for this axis."
        )
    lows, highs = (np.asarray(maps.coords[e].values, np.float64) for e in edges)
    middles = np.asarray(maps.coords[channel].values, np.float64) if channel in maps.coords else (lows + highs) / 2
    names = [str(v) for v in maps.coords[dims[0]].values]
    rows = zip(names, middles, lows, highs, strict=True)
    return [Assignment(n, ion_label(n), float(at), float(low), float(high)) for n, at, low, high in rows]
