"""Writes one array as an ImageJ hyperstack through tifffile: pixel size in um, labels of the planes, our note in its Info."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.io import _write_tiff
from ssbmaps.io._write_tiff import beside

if TYPE_CHECKING:
    from pathlib import Path

    from ssbmaps._errors import Faults

__all__ = ["beside", "prepare", "write"]

_KINDS = "uint8 uint16 float32"
_LARGE = (1 << 32) - (1 << 25)


def prepare(obj: Any, faults: Faults, *, subject: str) -> _write_tiff.Plan | None:
    """The planes in a number type that ImageJ knows, or what speaks against them."""
    return _write_tiff.prepare(obj, faults, subject=subject, kinds=_KINDS, most=_LARGE)


def write(plan: _write_tiff.Plan, draft: Path) -> None:
    """Planes as C, Z, T in ImageJ's order, and a label for each."""
    import tifffile

    sizes = dict(zip(plan.axes, plan.data.shape, strict=True))
    told: dict[str, Any] = {"axes": plan.axes, "unit": "micron", "Labels": _labels(plan, sizes), "Info": plan.note}
    for axis, unit, field in (("Z", "um", "spacing"), ("T", "s", "finterval")):
        step = plan.steps.get(axis)
        if step is not None and step[1] == unit:
            told[field] = step[0]
    resolution = (1 / plan.pixel[1], 1 / plan.pixel[0])
    data = np.ascontiguousarray(plan.data)
    tifffile.imwrite(draft, data, imagej=True, photometric="minisblack", resolution=resolution, metadata=told, software="ssbmaps")


def _labels(plan: _write_tiff.Plan, sizes: dict[str, int]) -> list[str]:
    """What each plane shows, in the order of the planes."""
    leading = plan.axes[:-2]
    if not leading:
        return []
    places = np.ndindex(*(sizes[a] for a in leading))
    return ["; ".join(_name(plan, a, i) for a, i in zip(leading, place, strict=True)) for place in places]


def _name(plan: _write_tiff.Plan, axis: str, i: int) -> str:
    return plan.names[axis][i] if axis in plan.names else f"{axis.lower()} {i}"
