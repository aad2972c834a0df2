"""A cube as the matrix (pixels, channels) of its measured pixels, and results put back onto the cube's dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_csr
from ssbmaps._conventions import CHANNEL_DIMS, SPECTRAL_UNITS, canonical, check_array, measured_mask
from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from scipy.sparse import csr_array


@dataclass(frozen=True, slots=True)
class PixelMatrix:
    """The measured spectra (P, K) of a cube, float64 CSR, and where they came from."""

    values: csr_array
    rows: NDArray[np.int64]
    cube: xr.DataArray
    channel: str

    @property
    def pixel_dims(self) -> list[str]:
        """Dimensions of the cube without the channels, in canonical order."""
        return [str(d) for d in self.cube.dims if d != self.channel]

    def maps(self, rows: NDArray[np.float64]) -> tuple[list[str], NDArray[np.float64]]:
        """(P, C) values per measured spectrum as (component, …) with NaN at unmeasured pixels: dims and array."""
        sizes = [self.cube.sizes[d] for d in self.pixel_dims]
        full = np.full((int(np.prod(sizes)), rows.shape[1]), np.nan)
        full[self.rows] = rows
        return ["component", *self.pixel_dims], full.T.reshape(rows.shape[1], *sizes)

    def coords(self, n_components: int) -> dict[str, Any]:
        """Coordinates of the result: the cube's own, and components counted from 0."""
        return {
            **{str(k): v for k, v in self.cube.coords.items()},
            "component": ("component", np.arange(n_components), {"long_name": "component"}),
        }


def pixel_matrix(cube: xr.DataArray, *, subject: str, negative: bool = False) -> PixelMatrix:
    """Check `cube` and gather its measured spectra; channels are the spectral axis, or else the named maps."""
    from scipy.sparse import csr_array

    check_array(cube, subject=subject)
    channel = _channel(cube, subject)
    ordered = canonical(cube)
    ordered = ordered.transpose(*(d for d in ordered.dims if d != channel), channel)
    matrix = to_csr(ordered.data)
    mask = measured_mask(ordered)
    rows = np.arange(matrix.shape[0])
    if mask is not None:
        sizes = [ordered.sizes[d] for d in ordered.dims[:-1]]
        rows = np.flatnonzero(np.broadcast_to(mask, sizes))
        if not len(rows):
            raise SsbmapsError(f"{subject}: no pixel was measured.")
        matrix = csr_array(matrix[rows])
    values = csr_array(matrix, dtype=np.float64, copy=matrix.dtype == np.float64)
    values.eliminate_zeros()
    with Faults(subject) as faults:
        finite = bool(np.isfinite(values.data).all())
        faults.expect(finite, "NaN or infinite values in measured pixels; expected finite numbers (0 is a measured zero).")
        lowest = float(values.data.min(initial=0)) if finite else 0.0
        faults.expect(negative or lowest >= 0, f"negative values (lowest {lowest:g}); expected counts. Subtracted data are none.")
        faults.expect(not finite or values.nnz > 0, "every value is 0; there is nothing to decompose.")
    return PixelMatrix(values, rows, ordered, channel)


def _channel(cube: xr.DataArray, subject: str) -> str:
    """The spectral dimension of `cube`, or the channel dimension of maps."""
    spectral = [str(d) for d in cube.dims if d in SPECTRAL_UNITS]
    named = [str(d) for d in cube.dims if d in CHANNEL_DIMS]
    if len(spectral) + len(named) != 1 or named == ["component"]:
        raise SsbmapsError(
            f"{subject}: expected one axis of channels, spectral ({', '.join(SPECTRAL_UNITS)}) or named (fragment, line, band, "
            f"shell), got dims {tuple(cube.dims)}."
        )
    return (spectral or named)[0]


def check_components(matrix: csr_array, n_components: object, *, subject: str) -> int:
    """`n_components` as an int between 1 and the number of non-empty rows and channels."""
    rows, channels = int(np.sum(np.diff(matrix.indptr) > 0)), len(np.unique(matrix.indices))
    most = min(rows, channels)
    if isinstance(n_components, bool) or not isinstance(n_components, (int, np.integer)) or not 1 <= n_components <= most:
        raise SsbmapsError(
            f"{subject}: n_components={n_components!r}; expected a whole number from 1 to {most}, as {rows} pixels and "
            f"{channels} channels hold any signal."
        )
    return int(n_components)
