"""Turns what a Raman, Auger or image reader found into the contract's DataArray: axes ascending, raster, attributes, check."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import LONG_NAMES, SPECTRAL_UNITS, canonical, canonical_order, check_contract, raster_coords
from ssbmaps._errors import FormatError
from ssbmaps.io._cube import block_sizes
from ssbmaps.io._describe import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.io._pixels import Pixel


@dataclass(frozen=True, slots=True)
class Found:
    """What a reader has in hand: dense `data` along `dims`, and what stands beside it.

    `coords` are as xarray takes them, values or (dims, values, attributes); units and long names of spectral axes are added
    here, and so are `y` and `x` where `dims` has them, from `pixel`. Rows run downwards from the upper edge. `measured` is
    (y, x), or None if every pixel was measured; unmeasured pixels of float data are NaN already.
    """

    path: Path
    data: Any
    dims: tuple[str, ...]
    units: str
    long_name: str
    technique: str
    metadata: Mapping[str, Any]
    coords: Mapping[str, Any] = field(default_factory=dict)
    pixel: Pixel | None = None
    measured: NDArray[np.bool_] | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)


_ALWAYS = 1 << 26  # bytes; a smaller array is made whatever the file's size
_RATIO = 64  # an interrupted map may hold a small part of its raster, and packed files less than their arrays


def check_declared(shape: Sequence[int], itemsize: int, *, file_size: int, subject: str, what: str) -> None:
    """Raise before an array is allocated that the file cannot fill: sizes in headers may be damaged."""
    size = math.prod(int(n) for n in shape) * itemsize
    if min(shape, default=1) < 1 or size > max(_ALWAYS, _RATIO * file_size):
        raise FormatError(
            f"{subject}: {what} is declared as {' x '.join(map(str, shape))} values, {size} bytes; the file has {file_size} "
            "bytes. Its header is damaged; copy or export it again."
        )


def array(found: Found, *, arguments: Mapping[str, Any], chunks: Any = None) -> xr.DataArray:
    """The DataArray that the contract asks for, checked: canonical order, spectral axes ascending."""
    import xarray as xr

    coords = {name: _coord(name, value) for name, value in found.coords.items()}
    if found.pixel is not None:
        sizes = dict(zip(found.dims, found.data.shape, strict=True))
        coords |= raster_coords((sizes["y"], sizes["x"]), found.pixel.size)
    if found.measured is not None and not found.measured.all():
        coords["measured"] = (("y", "x"), found.measured, {"long_name": "whether the pixel was measured"})
    result = xr.DataArray(found.data, dims=found.dims, coords=coords)
    if canonical_order(result.dims) != result.dims:
        result = canonical(result)
    held = result.coords.variables
    for dim in SPECTRAL_UNITS:
        if dim in result.dims and result.sizes[dim] > 1 and held[dim].values[0] > held[dim].values[-1]:
            result = result.isel({dim: slice(None, None, -1)})
    if chunks is not None:
        whole = () if result.dims[-1] in SPECTRAL_UNITS else ("",)  # spectra are never cut, the rows of an image may be
        names, lengths = (*map(str, result.dims), *whole), (*result.shape, *(1 for _ in whole))
        sizes_of = block_sizes(chunks, names, lengths, subject=found.path.name)
        result = result.chunk(dict(zip(result.dims, sizes_of, strict=False)))
    result.name = None
    describe(
        result,
        found.path,
        arguments=arguments,
        units=found.units,
        long_name=found.long_name,
        technique=found.technique,
        pixel=found.pixel,
        metadata=found.metadata,
        attrs=found.attrs,
    )
    check_contract(result, subject=found.path.name)
    return result


def _coord(name: str, value: Any) -> Any:
    """`value` with the unit and long name that the contract fixes for a spectral axis called `name`."""
    if name not in SPECTRAL_UNITS:
        return value
    dims, values, attrs = (*value, {})[:3] if isinstance(value, tuple) else (name, value, {})
    fixed = {"units": SPECTRAL_UNITS[name], "long_name": LONG_NAMES[name]}
    return dims, np.asarray(values, np.float64), {**fixed, **attrs}
