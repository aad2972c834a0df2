"""A cube as the matrix (pixels, channels) of its measured pixels, and results put back onto the cube's dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_dask, to_csr
from ssbmaps._conventions import CHANNEL_DIMS, SPECTRAL_UNITS, canonical, check_array, measured_mask
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.decomposition._blocks import MEMORY
from ssbmaps.decomposition._census import Census
from ssbmaps.decomposition._chunks import chunk_blocks
from ssbmaps.decomposition._weights import Weights, weighted_blocks

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from ssbmaps.decomposition._chunks import AnyBlocks


@dataclass(frozen=True, slots=True)
class Pixels:
    """Which pixels of a cube, its dimensions in canonical order with the channels last, are the rows of a matrix."""

    rows: NDArray[np.int64]
    cube: xr.DataArray
    channel: str

    @property
    def pixel_dims(self) -> list[str]:
        """Dimensions of the cube without the channels, in canonical order."""
        return [str(d) for d in self.cube.dims if d != self.channel]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of these dimensions."""
        return tuple(int(self.cube.sizes[d]) for d in self.pixel_dims)

    def maps(self, rows: NDArray[Any]) -> tuple[list[str], NDArray[Any]]:
        """(P, C) values per measured spectrum as (component, …) with NaN at unmeasured pixels: dims and array."""
        full = np.full((rows.shape[1], int(np.prod(self.shape))), np.nan, rows.dtype)
        full[:, self.rows] = rows.T
        return ["component", *self.pixel_dims], full.reshape(rows.shape[1], *self.shape)

    def coords(self, n_components: int) -> dict[str, Any]:
        """Coordinates of the result: the cube's own, and components counted from 0."""
        return {
            **{str(k): v for k, v in self.cube.coords.items()},
            "component": ("component", np.arange(n_components), {"long_name": "component"}),
        }


@dataclass(frozen=True, slots=True)
class PixelMatrix(Pixels):
    """The measured spectra (P, K) of a cube, float64 CSR, and where they came from."""

    values: csr_array


@dataclass(frozen=True, slots=True)
class PixelBlocks(Pixels):
    """The measured spectra (P, K) of a cube as blocks, in the order of `rows`, and what one visit to them tells."""

    blocks: AnyBlocks
    census: Census


def pixel_blocks(
    cube: xr.DataArray,
    *,
    subject: str,
    negative: bool = False,
    weights: Weights | None = None,
    precise: bool = False,
    memory: int = MEMORY,
) -> PixelBlocks:
    """Check `cube` and gather its measured spectra as compact blocks, in 64 bits if its own are or `precise`, else in 32.

    Chunks of a dask array are visited one by one, or where a dask.distributed cluster holds them. `weights` are those of all
    pixels, in C order, and of the channels.
    """
    ordered, channel, used = ordered_cube(cube, subject)
    weights = weights or Weights()
    if weights.rows is not None:
        used = used & (weights.rows > 0)
        if not used.any():
            raise SsbmapsError(f"{subject}: no pixel is measured, unmasked and of a weight above 0.")
    dtype = np.float64 if precise or ordered.dtype == np.float64 else np.float32
    rows = np.flatnonzero(used)
    if is_dask(ordered.data):
        blocks: AnyBlocks
        blocks, rows = chunk_blocks(ordered.data, used, dtype, weights=weights, memory=memory)
    else:
        matrix = to_csr(ordered.data)
        matrix = matrix if used.all() else csr_rows(matrix, rows)
        blocks = weighted_blocks(matrix, weights.of_rows(rows), dtype)
    census = Census.of(blocks)
    with Faults(subject) as faults:
        faults.expect(census.finite, "NaN or infinite values in measured pixels; expected finite numbers (0 is a measured zero).")
        low = census.lowest
        faults.expect(negative or low >= 0, f"negative values (lowest {low:g}); expected counts. Subtracted data are none.")
        filled = not census.finite or bool(census.squares > 0)
        faults.expect(filled, "every value is 0; there is nothing to decompose.")
    return PixelBlocks(rows, ordered, channel, blocks, census)


def csr_rows(matrix: csr_array, rows: NDArray[np.int64]) -> csr_array:
    """Some rows of a CSR matrix."""
    from scipy.sparse import csr_array

    return csr_array(matrix[rows])


def ordered_cube(cube: xr.DataArray, subject: str) -> tuple[xr.DataArray, str, NDArray[np.bool_]]:
    """The checked cube with its channels last, their dimension, and which pixels (flat) were measured."""
    check_array(cube, subject=subject)
    channel = _channel(cube, subject)
    ordered = canonical(cube)
    ordered = ordered.transpose(*(d for d in ordered.dims if d != channel), channel)
    sizes = [ordered.sizes[d] for d in ordered.dims[:-1]]
    mask = measured_mask(ordered)
    used = np.ones(int(np.prod(sizes)), bool) if mask is None else np.broadcast_to(mask, sizes).ravel()
    if not used.any():
        raise SsbmapsError(f"{subject}: no pixel was measured.")
    return ordered, channel, used


def pixel_matrix(cube: xr.DataArray, *, subject: str, negative: bool = False) -> PixelMatrix:
    """Check `cube` and gather its measured spectra; channels are the spectral axis, or else the named maps."""
    from scipy.sparse import csr_array

    ordered, channel, used = ordered_cube(cube, subject)
    matrix = to_csr(ordered.data)
    rows = np.flatnonzero(used)
    if not used.all():
        matrix = csr_rows(matrix, rows)
    values = csr_array(matrix, dtype=np.float64, copy=matrix.dtype == np.float64)
    values.eliminate_zeros()
    with Faults(subject) as faults:
        finite = bool(np.isfinite(values.data).all())
        faults.expect(finite, "NaN or infinite values in measured pixels; expected finite numbers (0 is a measured zero).")
        lowest = float(values.data.min(initial=0)) if finite else 0.0
        faults.expect(negative or lowest >= 0, f"negative values (lowest {lowest:g}); expected counts. Subtracted data are none.")
        faults.expect(not finite or values.nnz > 0, "every value is 0; there is nothing to decompose.")
    return PixelMatrix(rows, ordered, channel, values)


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
    return check_number(n_components, rows, channels, subject=subject)


def check_number(n_components: object, rows: int, channels: int, *, subject: str) -> int:
    """`n_components` as an int between 1 and the number of rows and channels that hold any signal."""
    most = min(rows, channels)
    if isinstance(n_components, bool) or not isinstance(n_components, (int, np.integer)) or not 1 <= n_components <= most:
        raise SsbmapsError(
            f"{subject}: n_components={n_components!r}; expected a whole number from 1 to {most}, as {rows} pixels and "
            f"{channels} channels hold any signal."
        )
    return int(n_components)
