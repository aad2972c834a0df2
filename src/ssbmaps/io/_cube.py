"""Turns what a reader found into the contract's cube: containers, coordinates, attributes, history, and the last check."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import check_contract, raster_coords, spectral_coord
from ssbmaps._errors import SsbmapsError
from ssbmaps.io._describe import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from ssbmaps.io._mass_axis import MassAxis
    from ssbmaps.io._pixels import Pixel

_UINT32_MAX = float(np.iinfo(np.uint32).max)


def count_dtype(largest: float) -> np.dtype[Any]:
    """uint32, or uint64 where that does not hold the largest count."""
    return np.dtype(np.uint32 if largest <= _UINT32_MAX else np.uint64)


@dataclass(frozen=True, slots=True)
class LazyCube:
    """A cube that reads its blocks on demand. `load` takes one slice for each dimension before m/z; m/z is never cut."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[tuple[slice, ...]], Any]

    @property
    def ndim(self) -> int:
        """Number of dimensions, m/z included."""
        return len(self.shape)

    def __getitem__(self, key: Any) -> Any:
        """A block as `sparse.COO`: no more is read than the range of each dimension that `key` asks for."""
        keys = tuple(key) if isinstance(key, tuple) else (key,)
        keys += (slice(None),) * (self.ndim - len(keys))
        window, within = zip(*(range_of(k, n) for k, n in zip(keys, self.shape, strict=True)), strict=True)
        last = window[-1] if window[-1] != slice(0, self.shape[-1]) else slice(None)
        block = self.load(window[:-1])
        block = block if last == slice(None) else block[..., last]
        return block if all(w == slice(None) for w in within) else block[within]

    def container(self, chunks: Any, dims: tuple[str, ...], *, subject: str) -> Any:
        """The whole as `sparse.COO`, or with `chunks` as a dask array whose blocks are `sparse.COO`."""
        if chunks is None:
            return self.load(tuple(slice(0, n) for n in self.shape[:-1]))
        return self.blocks(block_sizes(chunks, dims, self.shape, subject=subject))

    def blocks(self, sizes: tuple[int, ...]) -> Any:
        """A dask array of blocks of `sizes`, each of them `sparse.COO`."""
        import dask.array as da
        import sparse

        meta = sparse.COO.from_numpy(np.zeros((0,) * self.ndim, self.dtype))
        wrap: Any = da.from_array
        return wrap(self, chunks=sizes, asarray=False, name=False, meta=meta)


def range_of(key: Any, n: int) -> tuple[slice, Any]:
    """The range of 0 … n that holds everything `key` asks for, and what to take of it."""
    if isinstance(key, (int, np.integer)):
        return slice(int(key) % n, int(key) % n + 1), 0
    if isinstance(key, slice) and (key.step or 1) > 0:
        start, stop, step = key.indices(n)
        return slice(start, max(start, stop)), slice(None) if step == 1 else slice(None, None, step)
    return slice(0, n), key


def block_sizes(chunks: Any, dims: tuple[str, ...], shape: tuple[int, ...], *, subject: str) -> tuple[int, ...]:
    """`chunks=` as one block size for each dimension: a number is rows of y, a mapping goes by name; m/z is never cut."""
    wanted = {"y": chunks} if isinstance(chunks, (int, np.integer)) and not isinstance(chunks, bool) else chunks
    allowed = dims[:-1]
    good = hasattr(wanted, "items") and all(
        k in allowed and isinstance(v, (int, np.integer)) and not isinstance(v, bool) and v > 0 for k, v in wanted.items()
    )
    if not good:
        raise SsbmapsError(
            f"{subject}: chunks is {chunks!r}; expected rows of y in a block, or a mapping of {', '.join(allowed)} to pixels, "
            "e.g. {'y': 64, 'x': 64}."
        )
    return tuple(min(int(wanted.get(d, n)), n) for d, n in zip(dims, shape, strict=True))


def block_coo(matrix: csr_array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """A block's CSR (pixels, K) as `sparse.COO` of `shape`; measured zeros are not stored."""
    from ssbmaps._arrays import from_csr

    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return from_csr(matrix.astype(dtype), shape)


@dataclass(frozen=True, slots=True)
class Found:
    """What a reader has in hand when it asks for the cube."""

    path: Path
    data: Any
    axis: MassAxis
    pixel: Pixel
    units: str
    technique: str
    polarity: str | None
    metadata: Mapping[str, Any]
    leading: Mapping[str, Any] = field(default_factory=dict)  # coordinates of dimensions before y, in order; "dim" → values
    measured: NDArray[np.bool_] | None = None
    attrs: Mapping[str, str | float] = field(default_factory=dict)


def cube(found: Found, *, arguments: Mapping[str, Any], extra_coords: Mapping[str, Any] | None = None) -> xr.DataArray:
    """The DataArray (…, y, x, mz) that the contract asks for, checked."""
    import xarray as xr

    dims = (*found.leading, "y", "x", "mz")
    coords: dict[str, Any] = {d: (d, v, {"long_name": f"{d} number in the file"}) for d, v in found.leading.items()}
    coords |= raster_coords(found.data.shape[-3:-1], found.pixel.size)
    coords["mz"] = spectral_coord("mz", found.axis.values)
    if found.axis.edges is not None:
        for name, values in (("mz_low", found.axis.edges[:-1]), ("mz_high", found.axis.edges[1:])):
            coords[name] = ("mz", values, {"units": "Da", "long_name": f"{name[3:]} edge of the m/z bin"})
    if found.measured is not None and not found.measured.all():
        coords["measured"] = (("y", "x"), found.measured, {"long_name": "whether the pixel was measured"})
    coords |= extra_coords or {}
    result = xr.DataArray(found.data, dims=dims, coords=coords)
    result.name = None  # xarray takes over the name of a dask array, which is different each time
    describe(
        result,
        found.path,
        arguments=arguments,
        units=found.units,
        long_name="ion counts" if found.units == "counts" else "ion intensity",
        technique=found.technique,
        pixel=found.pixel,
        metadata=found.metadata,
        attrs={**({"polarity": found.polarity} if found.polarity else {}), **found.attrs},
    )
    check_contract(result, subject=found.path.name)
    return result
