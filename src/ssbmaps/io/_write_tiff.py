"""What OME-TIFF and ImageJ have in common: which dimension becomes which axis, and numbers that fit without loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps import _arrays
from ssbmaps._conventions import CHANNEL_DIMS, SPECTRAL_UNITS, canonical, check_array, check_attrs, pixel_size
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.io import _tiff_note

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

_AXES = "TZC"  # the axes before Y and X, slowest first
_PREFERRED = {"time": "T", "sample": "T", "scan": "Z", "z": "Z", **dict.fromkeys((*CHANNEL_DIMS, *SPECTRAL_UNITS), "C")}
_MOST = 1 << 33  # bytes of the dense array


@dataclass(frozen=True, slots=True)
class Plan:
    """Planes as they will be written along `axes` ("TZCYX" or a part of it), and what is said of them."""

    data: NDArray[Any]
    axes: str
    pixel: tuple[float, float]
    names: dict[str, list[str]]  # of the steps along an axis, where its dimension has a coordinate
    steps: dict[str, tuple[float, str]]  # even spacing and unit along an axis
    note: str


def beside(target: Path) -> tuple[Path, ...]:  # noqa: ARG001  an image stands alone
    """No other file."""
    return ()


def prepare(obj: Any, faults: Faults, *, subject: str, kinds: str, most: int) -> Plan | None:
    """The planes of a DataArray in one of the number types `kinds`, in no more than `most` bytes; or its faults."""
    import xarray as xr

    if isinstance(obj, xr.Dataset):
        names = ", ".join(map(str, obj.data_vars))
        faults.expect(False, f"a Dataset with the variables {names}; an image holds one array: save data['name'].")
        return None
    before = faults.count
    check_array(obj, subject=subject, dims=("y", "x"), faults=faults)
    for name, variable in {"": obj.variable, **obj.coords.variables}.items():
        _note_faults(faults, check_attrs, variable.attrs, subject=f"{name or 'the array'}")
    for name, coord in obj.coords.items():
        text = coord.dtype.kind == "O" and all(isinstance(v, str) for v in np.ravel(coord.values))
        faults.expect(
            coord.dtype.kind in "biufU" or text, f"coordinate {name!r} is of type {coord.dtype}; expected numbers or text."
        )
    pixel = _note_faults(faults, pixel_size, obj, subject="raster") if {"y", "x"} <= {*obj.coords} else None
    faults.expect({"y", "x"} <= {*obj.coords}, "no coordinates y and x: without a pixel size an image has no scale.")
    dims = _order([str(d) for d in canonical(obj).dims if d not in ("y", "x")])
    faults.expect(dims is not None, f"has the dims {tuple(obj.dims)}; an image has three at most beside y and x. Select or sum.")
    size = int(np.prod(obj.shape, dtype=np.int64)) * 4
    faults.expect(
        size <= min(most, _MOST),
        f"would be {size / 2**30:.1f} GiB as dense planes; make maps first (maps.fragment_maps), or save a .zarr store.",
    )
    if faults.count > before or pixel is None or dims is None:
        return None
    return _planes(obj, dims, pixel, kinds, faults)


def _note_faults(faults: Faults, check: Any, *arguments: Any, subject: str) -> Any:
    """What `check` returns; what it raises is noted."""
    try:
        return check(*arguments, subject=subject)
    except SsbmapsError as error:
        faults.expect(False, str(error))
    return None


def _order(dims: list[str]) -> list[tuple[str, str]] | None:
    """(axis, dim), slowest axis first: each dimension on the axis that it is closest to, else on the next free one."""
    taken: dict[str, str] = {}
    for preferred in (True, False):
        for dim in dims:
            wanted = _PREFERRED.get(dim, "") if preferred else _AXES[::-1]
            free = next((a for a in wanted if a not in taken), None)
            if dim not in taken.values() and free is not None:
                taken[free] = dim
    return [(a, taken[a]) for a in _AXES if a in taken] if len(taken) == len(dims) else None


def _planes(
    obj: xr.DataArray, dims: list[tuple[str, str]], pixel: tuple[float, float], kinds: str, faults: Faults
) -> Plan | None:
    order = [d for _, d in dims]
    array = obj.transpose(*order, "y", "x")
    data = fitting(_arrays.to_dense(array.data), kinds.split())
    if not faults.expect(
        data is not None,
        f"values of type {obj.dtype} do not fit {kinds.replace(' ', ', ')} exactly; round them first with "
        ".astype('float32'), or take .ome.tif or .zarr.",
    ):
        return None
    assert data is not None
    names = {a: _labels(obj, d) for a, d in dims if d in obj.coords}
    steps = {a: step for a, d in dims if (step := _step(obj, d)) is not None}
    return Plan(data, "".join(a for a, _ in dims) + "YX", pixel, names, steps, _tiff_note.encode(obj, [*order, "y", "x"]))


def fitting(data: NDArray[Any], kinds: list[str]) -> NDArray[Any] | None:
    """`data` in the first of `kinds` that holds every value exactly, its own first; None if none does."""
    if data.dtype == np.bool_:
        data = data.astype(np.uint8)
    if data.dtype.name in kinds:
        return data
    for kind in map(np.dtype, kinds):
        if kind.kind in "iu" and data.dtype.kind in "iu" and data.size:
            limits = np.iinfo(kind)
            if int(data.min()) >= limits.min and int(data.max()) <= limits.max:
                return data.astype(kind)
        elif kind.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):
                held = data.astype(kind)
                if np.array_equal(held.astype(data.dtype), data, equal_nan=data.dtype.kind == "f"):
                    return held
    return None


def _labels(obj: xr.DataArray, dim: str) -> list[str]:
    """What each step along `dim` is called: "PO3-", or "570 1/cm"."""
    coord = obj.coords[dim]
    unit = coord.attrs.get("units", "")
    return [str(v) if coord.dtype.kind in "OU" else f"{v:.10g} {unit}".rstrip() for v in coord.values.tolist()]


def _step(obj: xr.DataArray, dim: str) -> tuple[float, str] | None:
    """Even spacing along `dim` and its unit, or None."""
    coord = obj.coords.get(dim)
    if coord is None or coord.dtype.kind not in "iuf" or coord.size < 2 or "units" not in coord.attrs:
        return None
    steps = np.diff(coord.values.astype(np.float64))
    even = bool(np.allclose(steps, steps.mean(), rtol=1e-6, atol=0)) and steps.mean() > 0
    return (float(steps.mean()), str(coord.attrs["units"])) if even else None
