"""The summed spectrum of a cube, its pixels as rows of a matrix, and cells on a logarithmic mass axis for fits."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_dask, is_sparse, sum_dtype, to_csr
from ssbmaps._conventions import axis_values, canonical, check_array, check_unit, measured_mask
from ssbmaps._errors import DataQualityWarning, SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MOST_STEPS = 8.5  # gaps of more channels than this say nothing about the spacing of the others
_POINT_LIKE = 50  # channels per cell from which their edges no longer matter


def mass_axis(cube: xr.DataArray, *, subject: str) -> Floats:
    """The mz axis of a cube in Da, checked; a cube without one, or in another unit, is refused."""
    check_array(cube, subject=subject, dims=["mz"])
    mz = axis_values(cube, "mz", subject=subject)
    check_unit(cube.coords["mz"], subject=subject)
    if mz[0] <= 0:
        raise SsbmapsError(f"{subject}: the mz axis starts at {mz[0]:g} Da; expected positive masses. Drop the channels below 0.")
    return mz


def warn_unless_counts(cube: xr.DataArray, *, subject: str) -> None:
    """Warn if the values are not said to be counts: every error here is a Poisson error."""
    units = cube.attrs.get("units", "counts")
    if units != "counts":
        warnings.warn(
            f"{subject}: the values are in {units!r}, expected 'counts'; the errors given here assume counts and do not hold for "
            "other units.",
            DataQualityWarning,
            stacklevel=3,
        )


def pixel_matrix(cube: xr.DataArray, *, subject: str) -> Any:
    """Cube as CSR of shape (pixels, channels), pixels in canonical order; rows of unmeasured pixels are empty."""
    matrix = to_csr(_measured_values(canonical(cube)))
    _expect_counts(matrix.data, subject)
    return matrix.astype(np.float64)


def summed_spectrum(cube: xr.DataArray, *, subject: str) -> Floats:
    """Counts per channel, summed over every other dimension in 64 bits."""
    data = _measured_values(canonical(cube))
    if is_dask(data):
        return np.asarray(pixel_matrix(cube, subject=subject).sum(axis=0), np.float64).ravel()
    if is_sparse(data):
        flat = data if hasattr(data, "coords") else data.tocoo()
        _expect_counts(flat.data, subject)
        return np.bincount(flat.coords[-1], flat.data, data.shape[-1]).astype(np.float64)
    _expect_counts(data, subject)
    return np.asarray(data.sum(axis=tuple(range(data.ndim - 1)), dtype=sum_dtype(data.dtype)), np.float64)


def _measured_values(cube: xr.DataArray) -> Any:
    """Values with 0 where no pixel was measured, so that NaN there is no fault; sparse cubes store nothing there."""
    mask = measured_mask(cube)
    if mask is None or is_sparse(cube.data):
        return cube.data
    return cube.where(canonical(cube.coords["measured"]), 0).transpose(*cube.dims).data


def _expect_counts(values: Any, subject: str) -> None:
    """Raise unless all values are finite and 0 or more."""
    low = values.min() if values.size else 0
    if not (np.isfinite(low) and np.isfinite(values.max() if values.size else 0)):
        raise SsbmapsError(f"{subject}: NaN or infinite values in measured pixels; expected finite counts of 0 or more.")
    if low < 0:
        raise SsbmapsError(
            f"{subject}: negative counts (lowest {float(low):g}); expected 0 or more. Subtracted data are not counts."
        )


def cells(log_mz: Floats, counts: Floats, low: float, high: float, width: float) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Counts in cells of about `width` between `low` and `high` on the axis ln(m/z): edges, counts, cell of each channel.

    Cells are whole native channels where these are evenly spaced (dropped empty channels are put back); otherwise the
    stored values are taken as points. The third array runs along all channels, −1 outside.
    """
    low, high = max(low, float(log_mz[0])), min(high, float(log_mz[-1]))
    first, last = (int(i) for i in np.searchsorted(log_mz, (low, high)))
    where = np.full(len(log_mz), -1, np.int64)
    u = log_mz[first:last]
    slots, step = _native_slots(u, width)
    if slots is not None:
        before = int((u[0] - low) / step)
        merge = max(1, round(width / step))
        slots = slots + before
        total = int(slots[-1]) + 1 + int((high - u[-1]) / step)
        positions = np.interp(np.arange(total), slots, u)
        positions[: slots[0]] = u[0] - step * np.arange(slots[0], 0, -1)
        positions[slots[-1] + 1 :] = u[-1] + step * np.arange(1, total - slots[-1])
        lower = np.append(positions - np.gradient(positions) / 2, positions[-1] + (positions[-1] - positions[-2]) / 2)
        edges = np.append(lower[:-1:merge], lower[-1]) if total % merge else lower[::merge]
        where[first:last] = slots // merge
    else:
        edges = np.linspace(low, high, max(1, round((high - low) / width)) + 1)
        where[first:last] = np.clip(np.searchsorted(edges, u, side="right") - 1, 0, len(edges) - 2)
    inside = where >= 0
    return edges, np.bincount(where[inside], counts[inside], len(edges) - 1).astype(np.float64), where


def _native_slots(u: Floats, width: float) -> tuple[NDArray[np.int64] | None, float]:
    """Channel numbers and spacing of an evenly spaced axis, or None where the spacing is unknown or too fine to matter."""
    if len(u) < 3:
        return None, 0.0
    gaps = np.diff(u)
    step = float(gaps.min())
    ratio = gaps / step
    short = ratio < _MOST_STEPS
    even = bool((np.abs(ratio - np.rint(ratio))[short] < 0.1).all()) and bool(short.any())
    if not even or width / step > _POINT_LIKE:
        return None, step
    return np.concatenate([[0], np.cumsum(np.rint(ratio))]).astype(np.int64), step
