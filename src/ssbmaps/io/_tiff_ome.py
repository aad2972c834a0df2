"""OME-XML of a TIFF file: size and names of the channels, pixel size, and which page holds which plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ssbmaps._errors import FormatError
from ssbmaps.io._pixels import Stated, in_um, length
from ssbmaps.io._tiff_note import NAMESPACE
from ssbmaps.io._xml import walk_text

_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "min": 60.0, "h": 3600.0}
_MOST_PLANES = 1 << 20


@dataclass
class OmeImage:
    """One <Image>: attributes of its <Pixels>, names of its channels, and the <TiffData> as they stand."""

    name: str
    pixels: dict[str, str] = field(default_factory=dict)
    channels: list[dict[str, str]] = field(default_factory=list)
    places: list[dict[str, str]] = field(default_factory=list)


class Ome:
    """Hears the elements of an OME-XML text."""

    def __init__(self, text: str, *, subject: str) -> None:
        self.subject = subject
        self.uuid = ""
        self.images: list[OmeImage] = []
        self.note: str | None = None
        self._open: list[str] = []
        self._ours = False
        self._text: list[str] = []
        walk_text(text, self, subject=f"{subject}: its OME description")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._open.append(name)
        self._text = []
        inside = self.images[-1] if self.images and "Image" in self._open else None
        if name == "OME":
            self.uuid = attributes.get("UUID", "")
        elif name == "BinaryOnly":
            raise FormatError(f"{self.subject}: its OME description stands in another file, which is not read.")
        elif name == "Image":
            self.images.append(OmeImage(attributes.get("Name") or attributes.get("ID", f"Image:{len(self.images)}")))
        elif name == "MapAnnotation":
            self._ours = attributes.get("Namespace") == NAMESPACE
        elif inside is not None and name == "Pixels":
            inside.pixels = attributes
        elif inside is not None and name == "Channel":
            inside.channels.append(attributes)
        elif inside is not None and name == "TiffData":
            inside.places.append(dict(attributes))
        elif inside is not None and name == "UUID" and inside.places:
            inside.places[-1]["FileName"] = attributes.get("FileName", "another file")

    def end(self, name: str) -> None:
        """An element ends."""
        text = "".join(self._text)
        if name == "M" and self._ours:
            self.note = text
        if name == "UUID" and self.images and self.images[-1].places:
            self.images[-1].places[-1]["UUID"] = text.strip()
        self._open.pop()
        self._text = []

    def data(self, text: str) -> None:
        """Text between tags."""
        self._text.append(text)


@dataclass(frozen=True, slots=True)
class Planes:
    """Sizes along T, Z, C (without the samples of a pixel), and for each plane, C fastest, the number of its page."""

    sizes: tuple[int, int, int]
    pages: tuple[int, ...]
    samples: int


def planes(ome: Ome, image: OmeImage, n_pages: int) -> Planes:
    """Which page holds which plane; a plane that no page holds is an error: missing is not zero."""
    subject = f"{ome.subject}: OME image {image.name!r}"
    sizes = {a: whole(image.pixels, f"Size{a}", subject) for a in "XYZCT"}
    order = image.pixels.get("DimensionOrder", "")
    if sorted(order) != sorted("XYZCT") or order[:2] != "XY":
        raise FormatError(f"{subject}: its DimensionOrder is {order!r}; expected XY and then Z, C, T. Export it again.")
    samples = {whole(c, "SamplesPerPixel", subject, 1) for c in image.channels} or {1}
    each = samples.pop()
    if samples or sizes["C"] % each:
        raise FormatError(f"{subject}: its channels have different numbers of samples. Export them one by one.")
    extent = {"T": sizes["T"], "Z": sizes["Z"], "C": sizes["C"] // each}
    total = extent["T"] * extent["Z"] * extent["C"]
    if total > min(n_pages, _MOST_PLANES):
        raise FormatError(f"{subject}: declares {total} planes and the file has {n_pages} pages. It is cut short or damaged.")
    found = [-1] * total
    for place in image.places or [{}]:
        _fill(found, place, extent, order, ome, subject)
    missing = sum(p < 0 or p >= n_pages for p in found)
    if missing:
        raise FormatError(f"{subject}: {missing} of {total} planes are not in the file; missing is not zero. Export it again.")
    return Planes((extent["T"], extent["Z"], extent["C"]), tuple(found), each)


def _fill(found: list[int], place: dict[str, str], extent: dict[str, int], order: str, ome: Ome, subject: str) -> None:
    """Note the pages of one <TiffData>: planes follow each other in `order`, pages in the file's."""
    if place.get("UUID", ome.uuid) != ome.uuid:
        return  # in another file; counted as missing
    first = whole(place, "IFD", subject, 0, least=0)
    count = whole(place, "PlaneCount", subject, 1 if "IFD" in place else len(found), least=0)
    at = {a: whole(place, f"First{a}", subject, 0, least=0) for a in "ZCT"}
    axes = order[2:]
    start, stride = 0, 1
    for axis in axes:
        start, stride = start + at[axis] * stride, stride * extent[axis]
    for i in range(min(count, len(found) - start)):
        rest, index = start + i, {}
        for axis in axes:
            rest, index[axis] = divmod(rest, extent[axis])
        found[(index["T"] * extent["Z"] + index["Z"]) * extent["C"] + index["C"]] = first + i


def whole(attributes: dict[str, str], name: str, subject: str, default: int | None = None, *, least: int = 1) -> int:
    """A whole number that stands in an attribute."""
    text = attributes.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < least:
        raise FormatError(f"{subject}: {name} is {text!r}; expected a whole number of {least} or more. It is damaged.")
    return int(text)


def stated(image: OmeImage) -> Stated:
    """Pixel size along y and x; the standard's unit is um."""
    sizes = [image.pixels.get(f"PhysicalSize{a}") for a in "YX"]
    units = [image.pixels.get(f"PhysicalSize{a}Unit", "µm") for a in "YX"]
    pixel = [None if s is None else length(s, u, default="um") for s, u in zip(sizes, units, strict=True)]
    return Stated(pixel=(pixel[0], pixel[1]))


def leading(image: OmeImage, sizes: tuple[int, int, int]) -> tuple[tuple[tuple[str, int], ...], dict[str, Any]]:
    """(dim, length) of time, z and band where they have more than one step, and their coordinates."""
    dims, coords = [("time", sizes[0]), ("z", sizes[1]), ("band", sizes[2])], dict[str, Any]()
    coords |= steps("time", sizes[0], _seconds(image), "s")
    spacing = image.pixels.get("PhysicalSizeZ")
    depth = None if spacing is None else in_um(spacing, image.pixels.get("PhysicalSizeZUnit", "µm"), default="um")
    coords |= steps("z", sizes[1], depth, "um")
    if sizes[2] > 1 or (image.channels and image.channels[0].get("Name")):
        names = [c.get("Name") or f"channel {i + 1}" for i, c in enumerate(image.channels)]
        names += [f"channel {i + 1}" for i in range(len(names), sizes[2])]
        coords["band"] = ("band", unique(names[: sizes[2]]))
    return tuple((d, n) for d, n in dims if n > 1), coords


def _seconds(image: OmeImage) -> float | None:
    factor = _SECONDS.get(image.pixels.get("TimeIncrementUnit", "s"))
    try:
        value = float(image.pixels.get("TimeIncrement", ""))
    except ValueError:
        return None
    return value * factor if factor is not None and 0 < value < 1e12 else None


def steps(dim: str, n: int, step: float | None, unit: str) -> dict[str, Any]:
    """The coordinate of an axis with even steps from 0; the number of the step where no spacing is stated."""
    if n < 2:
        return {}
    if step is None or step <= 0:
        return {dim: (dim, list(range(n)), {"long_name": f"{dim} number in the file"})}
    return {dim: (dim, [i * step for i in range(n)], {"units": unit})}


def unique(names: list[str]) -> list[str]:
    """The names, those that occur twice with their number."""
    return [n if names.count(n) == 1 else f"{n} {i + 1}" for i, n in enumerate(names)]
