"""Maps of lines and bands: windows of any spectral axis summed, with or without a background under them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_dask, window_sums
from ssbmaps._conventions import SPECTRAL_UNITS, axis_values, canonical, check_array, check_unit, spectral_dim
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.maps._background import linear_net, shirley_net
from ssbmaps.maps._windows import as_maps, channels, expect_channels

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

SUBJECT = "maps.integrate"
RESULT_DIM = {"mz": "fragment", "kinetic_energy": "line", "binding_energy": "line"}
LETTER = "expected {'A1g': (570, 620)}, a name and the window's low and high edge"


def integrate(cube: xr.DataArray, windows: Mapping[str, tuple[float, float]], *, background: str | None = None) -> xr.DataArray:
    """Make maps of spectral windows: sums of all channels with low <= value < high, less a background where one is asked for.

    Parameters
    ----------
    cube : xarray.DataArray
        Spectra (…, axis) with one spectral axis: mz, kinetic_energy, binding_energy, energy, raman_shift or wavelength.
        Dense, sparse or dask.
    windows : mapping of str to (low, high)
        Name of each map and the edges of its window in the axis' unit.
    background : {None, "linear", "shirley"}, optional
        What is subtracted under the peak, pixel by pixel. "linear": the straight line through the window's first and last
        channel. "shirley": a step that rises in proportion to the peak area passed, from the value of the window's first
        channel to that of its last; iterated until the peak's area changes by less than 1e-6 of itself, at most 100 times.

    Returns
    -------
    xarray.DataArray
        Sums in the units of `cube` along ``fragment`` (of mz), ``line`` (of energies of electrons) or ``band`` (of all
        others), with the window's edges in ``<axis>_low`` and ``<axis>_high``. Without a background whole numbers stay int64;
        with one the result is float64, no longer Poisson-distributed, and may be negative. NaN channels give NaN.
        Unmeasured pixels are NaN in floats; whole numbers keep the coordinate ``measured``. Dask input stays lazy.

    Raises
    ------
    SsbmapsError
        If a window is not low < high, holds no channel (with a background: fewer than 3) or reaches beyond the axis.
        All faults are listed at once.

    Warns
    -----
    DataQualityWarning
        If a Shirley background does not converge in some pixels, where noise leaves no peak area: these are NaN. For dask
        input the warning comes when the result is computed.

    Notes
    -----
    Shirley, Phys. Rev. B 5 (1972) 4709, doi:10.1103/PhysRevB.5.4709; iteration after Proctor and Sherwood, Anal. Chem. 54
    (1982) 13, doi:10.1021/ac00238a008. Mass axes may have gaps, so there a window may reach beyond the first or last channel.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.maps import integrate
    >>> shift = np.arange(560.0, 631.0, 10.0)
    >>> peak = 3 + 20 * np.exp(-(((shift - 595) / 12) ** 2))
    >>> cube = xr.DataArray([[peak]], {"raman_shift": shift}, ("y", "x", "raman_shift"), attrs={"units": "counts"})
    >>> band = integrate(cube, {"A1g": (560, 640)}, background="linear")
    >>> band.dims, round(float(band.sum()), 1)
    (('band', 'y', 'x'), 42.5)
    """
    check_array(cube, subject=SUBJECT)
    axis_name = spectral_dim(cube, subject=SUBJECT)
    axis = axis_values(cube, axis_name, subject=SUBJECT)
    check_unit(cube.coords[axis_name], subject=SUBJECT)
    if background not in (None, "linear", "shirley"):
        raise SsbmapsError(f"{SUBJECT}: background={background!r}; expected None, 'linear' or 'shirley'.")
    low, high = _check_windows(windows, axis, axis_name, background)
    ordered = canonical(cube)
    sums = _sums(ordered.data, *channels(axis, low, high), axis, background)
    unit = SPECTRAL_UNITS[axis_name]
    dim = RESULT_DIM.get(axis_name, "band")
    coords: dict[str, Any] = {
        dim: list(windows),
        f"{axis_name}_low": (dim, low, {"units": unit, "long_name": "lower edge of the window (included)"}),
        f"{axis_name}_high": (dim, high, {"units": unit, "long_name": "upper edge of the window (excluded)"}),
    }
    units = str(cube.attrs.get("units", "arbitrary"))
    name = "counts" if units == "counts" else "intensity"
    result = as_maps(ordered, axis_name, sums, dim, name, coords)
    arguments = {"cube": cube, "windows": {k: tuple(map(float, v)) for k, v in windows.items()}, "background": background}
    long_name = f"{dim} signal" if background is None else f"{dim} signal above a {background} background"
    return finish(result, function=SUBJECT, arguments=arguments, sources=[cube], units=units, long_name=long_name)


def _check_windows(
    windows: Mapping[str, tuple[float, float]], axis: NDArray[np.float64], axis_name: str, background: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not isinstance(windows, Mapping) or not windows:
        raise SsbmapsError(f"{SUBJECT}: windows={windows!r}; {LETTER}.")
    edges: list[tuple[float, float]] = []
    with Faults(SUBJECT) as faults:
        for name, window in windows.items():
            faults.expect(isinstance(name, str), f"the name {name!r} is no text; {LETTER}.")
            edges.append(_edges(faults, name, window))
    low, high = np.array(edges).T
    unit = SPECTRAL_UNITS[axis_name]
    with Faults(SUBJECT) as faults:
        expect_channels(faults, list(windows), axis, low, high, unit)
        _expect_within(faults, list(windows), axis, low, high, axis_name)
        starts, stops = channels(axis, low, high)
        for name, n in zip(windows, stops - starts, strict=True):
            enough = background is None or n == 0 or n >= 3
            faults.expect(enough, f"{name}: {n} channels; a {background} background takes the outer two, so expected 3 or more.")
    return low, high


def _edges(faults: Faults, name: object, window: object) -> tuple[float, float]:
    """The two edges, or (0, 1) after a fault was noted."""
    try:
        low, high = (float(v) for v in window)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        faults.expect(False, f"{name}: the window is {window!r}; {LETTER}.")
        return 0.0, 1.0
    good = bool(np.isfinite([low, high]).all()) and low < high
    faults.expect(good, f"{name}: the window is [{low:g}, {high:g}); expected finite edges with low < high.")
    return low, high


def _expect_within(
    faults: Faults,
    names: list[str],
    axis: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    axis_name: str,
) -> None:
    """Note windows of which a part was not measured: more than one channel beyond an axis without gaps."""
    if axis_name == "mz" or len(axis) < 2:
        return
    first, last = 2 * axis[0] - axis[1], 2 * axis[-1] - axis[-2]
    tiny = 1e-9 * (axis[-1] - axis[0])
    unit = SPECTRAL_UNITS[axis_name]
    for name, a, b in zip(names, low, high, strict=True):
        partly = (a < first - tiny and b > axis[0]) or (b > last + tiny and a <= axis[-1])
        faults.expect(
            not partly,
            f"{name}: the window [{a:g}, {b:g}) {unit} reaches beyond the axis, {axis[0]:g} to {axis[-1]:g} {unit}; "
            "that part was not measured.",
        )


def _sums(
    data: Any, starts: NDArray[np.int64], stops: NDArray[np.int64], axis: NDArray[np.float64], background: str | None
) -> Any:
    """(…, F) sums of the windows, net of the background; dask stays lazy."""
    if background is None:
        return window_sums(data, starts, stops)
    if is_dask(data):
        whole = data.rechunk({data.ndim - 1: -1})
        return whole.map_blocks(
            _sums,
            starts,
            stops,
            axis,
            background,
            dtype=np.float64,
            chunks=(*whole.chunks[:-1], (len(starts),)),
            meta=np.empty((0,) * data.ndim),
        )
    if background == "linear":
        return linear_net(data, starts, stops, axis)
    net, lost = shirley_net(data, starts, stops, axis)
    if lost:
        warnings.warn(
            f"{SUBJECT}: the Shirley background did not converge in {lost} of {net.size} spectra, which are NaN: noise leaves no "
            "peak area there. Sum neighbouring pixels, or use background='linear'.",
            DataQualityWarning,
            stacklevel=3,
        )
    return net
