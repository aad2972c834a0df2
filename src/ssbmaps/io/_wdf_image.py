"""The white-light image of a WDF file: a JPEG whose EXIF says where it lies on the stage and how wide it is."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _dense, _pixels, _stage

_EXIF, _WIDTH, _HEIGHT, _UNIT, _CORNER = 0x8769, 0xA20E, 0xA20F, 0xA210, 0xFEA0
_MICRON = 5  # WiRE's code, the same as in its lists; EXIF itself ends at 3


@dataclass(frozen=True, slots=True)
class Picture:
    """Decoded (band, y, x) or (y, x) values, or only the size; its raster, and the stage position of its upper-left corner."""

    shape: tuple[int, int]
    bands: int
    values: np.ndarray[Any, np.dtype[np.uint8]] | None
    stated: _pixels.Stated
    corner: tuple[float, float] | None

    def stage(self) -> dict[str, Any]:
        """Stage positions of the pixel centres, where the file gives the corner and the size."""
        if self.corner is None:
            return {}
        coords: dict[str, Any] = {}
        for name, n, first, size in zip("yx", self.shape, self.corner, self.stated.pixel, strict=True):
            if size is not None and size.um is not None:
                coords |= _stage.stage(f"stage_{name}", name, first + (np.arange(n) + 0.5) * size.um)
        return coords


def picture(raw: bytes, *, subject: str, decode: bool = True) -> Picture:
    """Open the JPEG and, with `decode`, unpack it; whatever the decoder finds wrong becomes a letter."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(raw), formats=["JPEG"]) as image:
                width, height = image.size
                bands = 1 if image.mode == "L" else 3
                _dense.check_declared(
                    (bands, height, width), 1, file_size=len(raw), subject=subject, what="the white-light image"
                )
                exif = image.getexif()
                tags = {**exif, **exif.get_ifd(_EXIF)}
                colour = image if image.mode in ("L", "RGB") else image.convert("RGB")
                values = np.asarray(colour) if decode else None
    except FormatError:
        raise
    except Exception as error:  # a decoder of damaged data may raise anything
        text = str(error) or type(error).__name__
        raise FormatError(f"{subject}: the white-light image is no readable JPEG ({text[:120]}). It is damaged.") from None
    if values is not None and values.ndim == 3:
        values = np.ascontiguousarray(np.moveaxis(values, 2, 0))
    return Picture((height, width), bands, values, _stated(tags, height, width), _corner(tags))


def _stated(tags: dict[Any, Any], height: int, width: int) -> _pixels.Stated:
    """The pixel size from the extent that EXIF gives, in um."""
    if tags.get(_UNIT) != _MICRON:
        return _pixels.Stated(hint=f"The white-light image's size has unit code {tags.get(_UNIT)}, expected {_MICRON} (um).")
    sizes = [_number(tags.get(tag)) for tag in (_HEIGHT, _WIDTH)]
    lengths = [
        None if size is None else _pixels.length(str(size / n), "um", default="um")
        for size, n in zip(sizes, (height, width), strict=True)
    ]
    return _pixels.Stated(pixel=(lengths[0], lengths[1]))


def _corner(tags: dict[Any, Any]) -> tuple[float, float] | None:
    pair = tags.get(_CORNER)
    if tags.get(_UNIT) != _MICRON or not isinstance(pair, tuple) or len(pair) != 2:
        return None
    x, y = (_number(v) for v in pair)
    return None if x is None or y is None else (y, x)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None
