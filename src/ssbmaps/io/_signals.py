"""A signal's dictionary, as HyperSpy and RosettaSciIO have it, in the terms of the data contract; arrays come last."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps import _provenance
from ssbmaps._arrays import is_dask
from ssbmaps._conventions import DIM_ORDER, RASTER_DIMS, SPECTRAL_UNITS, raster_coords
from ssbmaps._errors import FormatError, SsbmapsError
from ssbmaps.io import _pixels, _signal_axes, _signal_layout
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

_LONGEST = 20000  # numbers or characters of one value in the metadata
_SKIPPED = {"_HyperSpy", "ssbmaps", "FileIO", "_sig_"}


@dataclass(frozen=True, slots=True)
class Parts:
    """All that stands beside the data: `dims` in canonical order, `axis_of` their places in the stored array.

    `coords` are (dims, values, attributes), spectral ones ascending; `flipped` names the dimensions that were turned. `sent`
    is what `_signal_layout.decode` found if ssbmaps made the signal.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    axis_of: tuple[int, ...]
    flipped: tuple[str, ...]
    coords: dict[str, tuple[Any, ...]]
    pixel: tuple[_pixels.Length | None, _pixels.Length | None]
    units: str
    long_name: str
    technique: str
    metadata: dict[str, Any]
    attrs: dict[str, Any] = field(default_factory=dict)
    sent: dict[str, Any] | None = None

    @property
    def ours(self) -> bool:
        """Whether ssbmaps made the signal."""
        return self.sent is not None

    @property
    def container(self) -> str:
        """What held the data when the signal was made: "dense", "sparse", "dask dense" or "dask sparse"."""
        return str(self.sent["container"]) if self.sent else "dense"

    def oriented(self, data: Any) -> Any:
        """The stored array in canonical order, ascending along spectral axes."""
        turned = data.transpose(self.axis_of)
        return turned[tuple(slice(None, None, -1) if d in self.flipped else slice(None) for d in self.dims)]

    def stated(self) -> _pixels.Stated:
        """The pixel size as the rules of the contract take it."""
        return _pixels.Stated(pixel=self.pixel)

    def dataarray(
        self, data: Any, *, pixel_size: tuple[float, float] | None, tilt: float | None, subject: str
    ) -> tuple[xr.DataArray, _pixels.Pixel | None]:
        """The DataArray without attributes, and its pixel size if it has a raster."""
        import xarray as xr

        result = xr.DataArray(data, dims=self.dims, coords=self.coords)
        known = self.ours and pixel_size is None and set(RASTER_DIMS) <= set(self.coords)
        if known or not set(RASTER_DIMS) <= set(self.dims):
            return result, None
        raster = (result.sizes["y"], result.sizes["x"])
        pixel = _pixels.resolve(subject, self.stated(), raster, pixel_size=pixel_size, tilt=tilt)
        return result.assign_coords(raster_coords(raster, pixel.size)), pixel

    def as_sent(self, data: Any, *, pixel_size: tuple[float, float] | None, arguments: Mapping[str, Any]) -> xr.DataArray:
        """A signal of ours as the DataArray that was sent; if it was cut or its axes were changed, `history` says so."""
        import xarray as xr

        assert self.sent is not None
        result = xr.DataArray(data, dims=self.dims, coords=self.coords, attrs=self.sent["attrs"], name=self.sent["name"])
        if pixel_size is not None and set(RASTER_DIMS) <= set(self.dims):
            result = result.assign_coords(raster_coords((result.sizes["y"], result.sizes["x"]), pixel_size))
            result.attrs["pixel_size_source"] = "caller"
        changed = {"changed": self.sent["changed"]} if self.sent["changed"] else {}
        if changed or pixel_size is not None:
            told = {k: v for k, v in arguments.items() if v is not None}
            line = _provenance.history_line("io.from_hyperspy", told | changed)
            result.attrs["history"] = "\n".join([*str(result.attrs.get("history", "")).splitlines(), line])
        return result


def parts(told: Mapping[str, Any], *, dims: Mapping[Any, str] | None, subject: str) -> Parts:
    """What the dictionary of one signal says, in the contract's terms; FormatError names everything that has no meaning."""
    data, metadata = told["data"], told.get("metadata") or {}
    shape = tuple(int(n) for n in data.shape)
    if data.dtype.kind not in "biuf":
        kind = {"c": "complex numbers", "V": "colours (RGB)", "O": "arrays of unequal length"}.get(
            data.dtype.kind, str(data.dtype)
        )
        raise FormatError(f"{subject}: the data are {kind}; expected real numbers.")
    if not shape or min(shape) < 1:
        raise FormatError(f"{subject}: the data have the shape {shape}; expected at least one value along each axis.")
    axes = _signal_axes.axes(told["axes"], shape, subject=subject)
    signal_type = str(_of(metadata, "Signal", "signal_type") or "")
    ours = isinstance(metadata.get("ssbmaps"), dict) and "layout" in metadata["ssbmaps"]
    ours_dims = _signal_layout.dims_of(metadata["ssbmaps"]) if ours else ()
    named = _signal_axes.dimensions(axes, dims=dims, known=ours_dims, signal_type=signal_type, subject=subject)
    sent = _signal_layout.decode(metadata["ssbmaps"], axes, named, subject=subject) if ours else None
    coords, named = _coords(axes, named, sent, subject=subject)
    flipped = () if sent is not None else tuple(d for d in named if d in SPECTRAL_UNITS and _descends(coords[d][1]))
    order = sorted(range(len(named)), key=lambda i: DIM_ORDER.index(named[i]) if named[i] in DIM_ORDER else -1)
    units, long_name = _quantity(metadata, data.dtype)
    return Parts(
        dims=tuple(named[i] for i in order),
        shape=tuple(shape[i] for i in order),
        axis_of=tuple(order),
        flipped=flipped,
        coords={name: _turn(coord, flipped) for name, coord in coords.items()},
        pixel=_signal_axes.pixel(axes, named, subject=subject),
        units=units,
        long_name=long_name,
        technique=_technique(metadata, named, signal_type),
        metadata=kept(told, metadata),
        attrs=_attrs(metadata) if sent is None else dict(sent["attrs"]),
        sent=sent,
    )


def _coords(
    axes: list[_signal_axes.Axis], named: tuple[str, ...], sent: Mapping[str, Any] | None, *, subject: str
) -> tuple[dict[str, tuple[Any, ...]], tuple[str, ...]]:
    """Coordinates, and the dimensions: a lone y or x is a line, which has points."""
    alone = [d for d in named if d in RASTER_DIMS]
    if len(alone) == 1 and sent is None and "point" not in named:
        axis = axes[named.index(alone[0])]
        named = tuple("point" if d == alone[0] else d for d in named)
        coords = _signal_axes.coordinates(axes, named, subject=subject)
        factor = _pixels.in_um("1", axis.units, default="") if axis.units else None
        if factor is not None:
            text = {"units": "um", "long_name": "distance along the line"}
            coords["distance_along"] = ("point", np.abs(axis.values - axis.values[0]) * factor, text)
        return coords, named
    if sent is None:
        return {**_signal_axes.coordinates(axes, named, subject=subject), **_signal_axes.stage(axes, named)}, named
    fresh = [i for i, d in enumerate(named) if d in sent["changed"] and d not in sent["coords"]]
    some = _signal_axes.coordinates([axes[i] for i in fresh], [named[i] for i in fresh], subject=subject)
    return {**some, **_raster_of([axes[i] for i in fresh], [named[i] for i in fresh]), **sent["coords"]}, named


def _raster_of(axes: list[_signal_axes.Axis], dims: list[str]) -> dict[str, tuple[Any, ...]]:
    """y and x of a signal of ours whose raster was changed in HyperSpy, e.g. binned: its axes still are pixel centres."""
    result: dict[str, tuple[Any, ...]] = {}
    for axis, dim in zip(axes, dims, strict=True):
        factor = _pixels.in_um("1", axis.units, default="") if dim in RASTER_DIMS and axis.units else None
        if factor is not None:
            size = {"pixel_size_um": abs(axis.scale or 0.0) * factor} if len(axis.values) == 1 and axis.scale else {}
            result[dim] = (dim, axis.values * factor, {"units": "um", **size})
    return result


def _descends(values: NDArray[Any]) -> bool:
    return len(values) > 1 and bool(values[0] > values[-1])


def _turn(coord: tuple[Any, ...], flipped: tuple[str, ...]) -> tuple[Any, ...]:
    on, values, attrs = coord
    along = (on,) if isinstance(on, str) else tuple(on)
    if not set(along) & set(flipped):
        return coord
    return on, values[tuple(slice(None, None, -1) if d in flipped else slice(None) for d in along)], attrs


def _of(tree: Any, *keys: str) -> Any:
    """A node of nested dictionaries, or None."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _quantity(metadata: Mapping[str, Any], dtype: np.dtype[Any]) -> tuple[str, str]:
    """Units ("counts" only where the signal says so) and what is counted, from HyperSpy's "X-rays (Counts)"."""
    text = str(_of(dict(metadata), "Signal", "quantity") or "").strip()
    name, bracket, unit = text.partition("(")
    unit = unit.rstrip(") ").lower() if bracket else ""
    title = str(_of(dict(metadata), "General", "title") or "").strip()
    label = " ".join(t for t in (title, f"({name.strip()})" if name.strip() and title else name.strip()) if t)
    units = {"counts": "counts", "count": "counts", "counts/s": "counts/s", "cps": "counts/s"}.get(unit, "arbitrary")
    return units, label or ("signal" if dtype.kind != "b" else "mask")


def _technique(metadata: Mapping[str, Any], dims: tuple[str, ...], signal_type: str) -> str:
    """The technique, as far as the signal's own type, its axes or the instrument tell."""
    if signal_type.startswith("EDS"):
        return "eds"
    by_axis = {"raman_shift": "raman", "kinetic_energy": "sam", "binding_energy": "xps", "energy": "eds"}
    found = [by_axis[d] for d in dims if d in by_axis]
    instrument = _of(dict(metadata), "Acquisition_instrument")
    names = [k.lower() for k in ("SEM", "TEM") if isinstance(instrument, dict) and k in instrument]
    return (found or names or ["unknown"])[0]


def _attrs(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of the contract that HyperSpy's metadata know: the beam's energy, in eV."""
    for instrument in ("SEM", "TEM"):
        energy = _of(dict(metadata), "Acquisition_instrument", instrument, "beam_energy")  # keV, by HyperSpy's convention
        if isinstance(energy, (int, float, np.integer, np.floating)) and np.isfinite(energy) and energy > 0:
            return {"beam_energy": float(energy) * 1e3}
    return {}


def kept(told: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata and original metadata without names of people and folders, as JSON can hold them."""
    trees = {"metadata": metadata, "original_metadata": told.get("original_metadata") or {}}
    return {name: public(plain_tree(tree)) for name, tree in trees.items() if tree}


def plain_tree(value: Any, depth: int = 0) -> Any:
    """Nested dictionaries with plain values only; long arrays by their shape, long texts cut."""
    if isinstance(value, dict):
        items = ((str(k).replace("/", "-"), v) for k, v in value.items()) if depth < 50 else ()
        return {k: plain_tree(v, depth + 1) for k, v in items if k and k not in _SKIPPED}
    if isinstance(value, (list, tuple)):
        return [plain_tree(v, depth + 1) for v in value[:_LONGEST]] if depth < 50 else []
    if isinstance(value, np.ndarray) or is_dask(value):
        return plain_tree(np.asarray(value).tolist(), depth + 1) if value.size <= 100 else f"<array {value.shape} {value.dtype}>"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)[:_LONGEST]


def check_dims(value: Any, *, subject: str) -> None:
    """Refuse the option `dims` where it is no mapping."""
    if value is not None and not hasattr(value, "items"):
        raise SsbmapsError(f"{subject}: dims is {value!r}; expected a mapping of axes to dimensions, {{'axis': 'raman_shift'}}.")


def packed(said: Parts, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """`said` as JSON can hold it; the values of coordinates go into `arrays` under names of their own."""
    coords = []
    for name, (on, values, attrs) in said.coords.items():
        key = f"coordinate {len(arrays)}"
        text = values.dtype.kind == "O"
        arrays[key] = values.astype(str) if text else values
        coords.append([name, [on] if isinstance(on, str) else list(on), key, text, _listed(attrs)])
    told = {f: getattr(said, f) for f in ("dims", "shape", "axis_of", "flipped", "units", "long_name", "technique", "metadata")}
    sent = {**said.sent, "attrs": _listed(said.sent["attrs"]), "coords": None} if said.sent else None
    pixel = [None if p is None else [p.um, p.text] for p in said.pixel]
    return {**told, "coords": coords, "pixel": pixel, "attrs": _listed(said.attrs), "sent": sent}


def unpacked(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Parts:
    """What `packed` made, as it was."""
    coords = {
        name: (tuple(on), arrays[key].astype(object) if text else arrays[key], _unlisted(attrs))
        for name, on, key, text, attrs in told["coords"]
    }
    lengths = [None if p is None else _pixels.Length(*p) for p in told["pixel"]]
    sent = {**told["sent"], "attrs": _unlisted(told["sent"]["attrs"]), "coords": coords} if told["sent"] else None
    lists: dict[str, Any] = {f: tuple(told[f]) for f in ("dims", "shape", "axis_of", "flipped")}
    texts: dict[str, Any] = {f: told[f] for f in ("units", "long_name", "technique", "metadata")}
    return Parts(**lists, **texts, coords=coords, pixel=(lengths[0], lengths[1]), attrs=_unlisted(told["attrs"]), sent=sent)


def _listed(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {k: {"array": v.tolist(), "dtype": v.dtype.str} if isinstance(v, np.ndarray) else v for k, v in attrs.items()}


def _unlisted(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {k: np.asarray(v["array"], v["dtype"]) if isinstance(v, dict) else v for k, v in attrs.items()}


def blocks(shape: Sequence[int], itemsize: int, size: int = 64 << 20) -> tuple[int, ...]:
    """Blocks of at most `size` bytes, cut along the first axes."""
    sizes = list(shape)
    for axis, n in enumerate(shape):
        below = math.prod(sizes[axis + 1 :]) * itemsize
        sizes[axis] = max(1, min(n, size // max(1, below)))
        if sizes[axis] > 1:
            break
    return tuple(sizes)
