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
    from xarray.indexes import PandasIndex

    from ssbmaps.io._pixels import Pixel

    _Coord = tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]


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


_DATA = object()  # name of the array while it is one of the coordinates: one that no file can give
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
    coords = dict(found.coords)
    if found.pixel is not None:
        sizes = dict(zip(found.dims, found.data.shape, strict=True))
        coords |= raster_coords((sizes["y"], sizes["x"]), found.pixel.size)
    if found.measured is not None and not found.measured.all():
        coords["measured"] = (("y", "x"), found.measured, {"long_name": "whether the pixel was measured"})
    result = _assembled(found.data, found.dims, {name: _coord(name, value) for name, value in coords.items()})
    if canonical_order(result.dims) != result.dims:
        result = canonical(result)
    if chunks is not None:
        whole = () if result.dims[-1] in SPECTRAL_UNITS else ("",)  # spectra are never cut, the rows of an image may be
        names, lengths = (*map(str, result.dims), *whole), (*result.shape, *(1 for _ in whole))
        sizes_of = block_sizes(chunks, names, lengths, subject=found.path.name)
        result = result.chunk(dict(zip(result.dims, sizes_of, strict=False)))
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


def _coord(name: str, value: Any) -> _Coord:
    """A coordinate as (dims, values, attributes), a spectral axis with the unit and long name that the contract fixes for it."""
    if isinstance(value, tuple):
        dims, values, attrs = (*value, {})[:3]
        dims = (dims,) if isinstance(dims, str) else tuple(dims)
    else:
        dims, values, attrs = (name,) if np.ndim(value) else (), value, {}
    if name not in SPECTRAL_UNITS:
        return dims, np.asarray(values), attrs
    return dims, np.asarray(values, np.float64), {"units": SPECTRAL_UNITS[name], "long_name": LONG_NAMES[name], **attrs}


def _assembled(data: Any, dims: tuple[str, ...], coords: dict[str, _Coord]) -> xr.DataArray:
    """The DataArray, ascending along its spectral axes.

    It is taken out of `Coordinates`, being one of them for a moment. That takes a third of the time of DataArray's constructor,
    which copies all coordinates deeply; the constructor has the word where something does not fit.
    """
    import xarray as xr

    sizes = dict(zip(dims, data.shape, strict=False))
    fit = all(values.shape == tuple(sizes.get(d) for d in on) for on, values, _ in coords.values())
    if not fit or not len(dims) == len(sizes) == data.ndim:
        return xr.DataArray(data, dims=dims, coords=coords)
    turned = {d: slice(None, None, -1) for d in dims if d in SPECTRAL_UNITS and d in coords and _descends(coords[d][1])}
    if turned:
        data = data[_window(dims, turned)]
    own = {name: (on, values[_window(on, turned)].copy(), attrs) for name, (on, values, attrs) in coords.items()}
    variables = {name: xr.Variable(*coord) for name, coord in own.items()}
    indexes = {name: _index(name, coord[1]) for name, coord in own.items() if coord[0] == (name,)}
    for index in indexes.values():
        variables |= index.create_variables(variables)
    held = xr.Coordinates({**variables, _DATA: xr.Variable(dims, data)}, indexes)
    result = held[_DATA]
    del result.coords[_DATA]
    result.name = None
    return result


def _index(dim: str, values: NDArray[Any]) -> PandasIndex:
    """The index that xarray makes of a dimension's coordinate."""
    import pandas as pd
    from xarray.indexes import PandasIndex

    plain = values.dtype == np.float64  # of these, pandas makes an index without more ado
    return PandasIndex(pd.Index(values) if plain else values, dim, coord_dtype=values.dtype)


def _descends(axis: NDArray[Any]) -> bool:
    return len(axis) > 1 and bool(axis[0] > axis[-1])


def _window(dims: tuple[str, ...], turned: Mapping[str, slice]) -> tuple[Any, ...]:
    """The index that turns an array along some of its `dims`; `...` keeps one without dims an array."""
    return (..., *(turned.get(d, slice(None)) for d in dims))
