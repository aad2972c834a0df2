"""ImageJ's description of a stack: "name=value" lines in the first page, labels and Info in a tag of its own."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from ssbmaps._errors import FormatError
from ssbmaps.io._pixels import Stated, in_um, length
from ssbmaps.io._tiff_file import DESCRIPTION, X_RESOLUTION, Y_RESOLUTION
from ssbmaps.io._tiff_ome import steps, unique

if TYPE_CHECKING:
    from ssbmaps.io._tiff_file import Page

_COUNTS, _METADATA = 50838, 50839
_SECONDS = {"": 1.0, "s": 1.0, "sec": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0}


def described(page: Page) -> dict[str, str] | None:
    """The lines of the description, or None if ImageJ did not write it."""
    text = page.text(DESCRIPTION)
    if not text.startswith("ImageJ="):
        return None
    return {k.strip(): v.strip() for k, _, v in (line.partition("=") for line in text.splitlines())}


def sizes(told: dict[str, str], subject: str) -> tuple[int, int, int]:
    """Frames, slices, channels; ImageJ stores them with the channels fastest."""
    numbers = {}
    for name in ("images", "frames", "slices", "channels"):
        text = told.get(name, "1")
        if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < 1:
            raise FormatError(f"{subject}: ImageJ's {name} is {text!r}; expected a whole number above 0. It is damaged.")
        numbers[name] = int(text)
    frames, slices, channels = numbers["frames"], numbers["slices"], numbers["channels"]
    if frames * slices * channels == 1:
        slices = numbers["images"]
    if frames * slices * channels != numbers["images"]:
        raise FormatError(
            f"{subject}: ImageJ's {frames} frames x {slices} slices x {channels} channels are not {numbers['images']} images. "
            "It is damaged; save it again."
        )
    return frames, slices, channels


def stated(page: Page, told: dict[str, str]) -> Stated:
    """Pixel size: XResolution is pixels per unit. A unit that is no length, such as "pixel", is no scale."""
    unit = _unit(told.get("unit", ""))
    if in_um("1", unit, default="") is None:
        return Stated(hint=f"Its unit is {unit!r}." if unit else "")
    pixels = []
    for code, own in ((Y_RESOLUTION, "yunit"), (X_RESOLUTION, "unit")):
        per_unit = page.ratio(code)
        name = _unit(told.get(own, "")) or unit
        pixels.append(None if per_unit is None else length(repr(1 / per_unit), name, default=""))
    return Stated(pixel=(pixels[0], pixels[1]))


def _unit(text: str) -> str:
    return text.replace("\\u00B5", "µ").replace("\\u00b5", "µ").strip()


def leading(
    page: Page, told: dict[str, str], frames: int, slices: int, channels: int
) -> tuple[tuple[tuple[str, int], ...], dict[str, Any]]:
    """(dim, length) of time, z and band where they have more than one step, and their coordinates."""
    interval = _positive(told.get("finterval", ""))
    factor = _SECONDS.get(told.get("tunit", ""))
    spacing = _positive(told.get("spacing", ""))
    depth = None if spacing is None else in_um(repr(spacing), _unit(told.get("unit", "")), default="")
    coords = steps("time", frames, interval * factor if interval and factor else None, "s")
    coords |= steps("z", slices, depth, "um")
    if channels > 1:
        labels = _labels(page)
        named = labels[:channels] if len(labels) == frames * slices * channels and all(labels[:channels]) else []
        coords["band"] = ("band", unique(named or [f"channel {i + 1}" for i in range(channels)]))
    return tuple((d, n) for d, n in (("time", frames), ("z", slices), ("band", channels)) if n > 1), coords


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def info(page: Page) -> str | None:
    """ImageJ's Info text."""
    found = _entries(page).get("info", [])
    return found[0] if found else None


def _labels(page: Page) -> list[str]:
    return _entries(page).get("labl", [])


def _entries(page: Page) -> dict[str, list[str]]:
    """Texts of ImageJ's own tag: a header of (type, number), then as many texts in UTF-16, sizes in the tag of the counts."""
    counts, raw = [int(n) for n in page.numbers(_COUNTS)], page.raw(_METADATA)
    if not counts or raw[:4] not in (b"IJIJ", b"JIJI") or sum(counts) > len(raw):
        return {}
    order, encoding = (">", "utf-16-be") if raw[:4] == b"IJIJ" else ("<", "utf-16-le")
    header, at, rest = raw[4 : counts[0]], counts[0], counts[1:]
    found: dict[str, list[str]] = {}
    for i in range(0, len(header) - 7, 8):
        code, n = struct.unpack(f"{order}4sI", header[i : i + 8])
        name = (code if order == ">" else code[::-1]).decode("latin-1")
        for size in rest[:n]:
            found.setdefault(name, []).append(raw[at : at + size].decode(encoding, "replace"))
            at += size
        rest = rest[n:]
    return found
