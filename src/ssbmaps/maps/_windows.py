"""Windows on a spectral axis: which channels they hold, and the maps that their sums make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import canonical, measured_mask

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps._errors import Faults


def channels(
    axis: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First channel with value >= low, and first with value >= high, of each window."""
    return np.searchsorted(axis, low, "left").astype(np.int64), np.searchsorted(axis, high, "left").astype(np.int64)


def expect_channels(
    faults: Faults,
    names: list[str],
    axis: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    unit: str,
) -> None:
    """Note each window without a channel: outside the axis, or between two channels."""
    starts, stops = channels(axis, low, high)
    for name, start, stop, a, b in zip(names, starts, stops, low, high, strict=True):
        if start < stop:
            continue
        window = f"{name}: the window [{a:.6g}, {b:.6g}) {unit}"
        if b <= axis[0] or a > axis[-1]:
            faults.expect(False, f"{window} lies outside the axis, {axis[0]:.6g} to {axis[-1]:.6g} {unit}; it was not measured.")
        else:
            centre = (a + b) / 2
            near = axis[np.argmin(np.abs(axis - centre))]
            faults.expect(
                False,
                f"{window} holds no channel of the axis, {axis[0]:.6g} to {axis[-1]:.6g} {unit}; the nearest lies at {near:.6g}, "
                f"{abs(near - centre):.3g} {unit} from its centre. Widen the window.",
            )


def as_maps(cube: xr.DataArray, spectral: str, sums: Any, dim: str, name: str, coords: dict[str, Any]) -> xr.DataArray:
    """Sums (…, F) of the canonical `cube` as maps (…, F, y, x): unmeasured pixels NaN in floats, marked in integers."""
    import xarray as xr

    kept = {str(k): v for k, v in cube.coords.items() if spectral not in v.dims}
    result = xr.DataArray(sums, {**kept, **coords}, (*cube.dims[:-1], dim), name=name)
    mask = measured_mask(cube)
    if mask is not None and result.dtype.kind == "f":
        result = result.where(xr.DataArray(mask, dims=("y", "x")))
    return canonical(result)
