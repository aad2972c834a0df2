"""What VAMAS blocks have in common when they become one array: names, repeats in a series, and the plan of the array."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import DIM_ORDER
from ssbmaps.io import _pixels
from ssbmaps.io._vamas_header import IMAGES, POINTWISE, SPUTTERED

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from ssbmaps.io._vamas_header import Head
    from ssbmaps.io._vamas_parts import Block

_UNSAID = ("", "none", "-", "not specified", "n/a")
_UNITS = {"micro m": "um", "micro C": "uC", "d": "1", "n": ""}
_SPUTTER = re.compile(r"etch|sputter|mill|depth|layer|cycle|ion", re.IGNORECASE)
_AXIS = re.compile(r"(?:stage|sample|position|pos)?[ _-]*([xy])(?:[ _-]*(?:position|pos|coordinate|coord))?\.?", re.IGNORECASE)


@dataclass(slots=True)
class Plan:
    """Where the values of each block go: `array[places[i]] = arrange(values of block i)`."""

    blocks: Sequence[Block]
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    places: list[tuple[int, ...]]
    coords: dict[str, Any] = field(default_factory=dict)
    raster: tuple[int, int] | None = None
    stated: _pixels.Stated = field(default_factory=_pixels.Stated)
    measured: NDArray[np.bool_] | None = None
    notes: list[str] = field(default_factory=list)
    arrange: Any = None  # turns an image of linescans into (y, x)
    axis: str = ""  # the spectral dimension; its values are coords[axis] unless they stand in the ordinates


def line_name(block: Block) -> str:
    """Species and transition, "Ni LMM"; the block identifier if neither is said."""
    parts = [block.fields.said.get(n, "") for n in ("species", "transition")]
    said = [p for p in parts if p.lower() not in _UNSAID]
    return " ".join(said) or block.identifier or f"block {block.number}"


def coordinate(dims: tuple[str, ...], values: Any, label: str, unit: str) -> tuple[tuple[str, ...], Any, dict[str, str]]:
    """A coordinate as xarray takes it, with its name and unit as the file has them."""
    unit = _UNITS.get(unit, unit)
    return dims, np.asarray(values, np.float64), {"long_name": label, **({"units": unit} if unit else {})}


def slug(label: str, *, dim: str = "") -> str:
    """ "Etch Time" as `etch_time`; never the name of a dimension other than `dim`."""
    name = re.sub(r"\W+", "_", label.lower()).strip("_") or "variable"
    return f"{name}_value" if name in (*DIM_ORDER, "measured") and name != dim else name


def stage_variables(head: Head) -> dict[str, tuple[int, str]]:
    """Experimental variables that say where the stage was: "x" and "y" → which variable it is, and its unit."""
    found: dict[str, tuple[int, str]] = {}
    for i, (label, unit) in enumerate(head.variables):
        match = _AXIS.fullmatch(label.strip())
        if match and _pixels.in_um("1", _UNITS.get(unit, unit), default="?") is not None:
            found[match[1].lower()] = (i, _UNITS.get(unit, unit))
    return found


def series_variables(head: Head) -> list[int]:
    """Experimental variables that may number a series: neither a place nor an energy."""
    places = {i for i, _ in stage_variables(head).values()}
    return [i for i, (_, unit) in enumerate(head.variables) if i not in places and unit.lower() not in ("ev", "kev")]


def series(head: Head, blocks: Sequence[Block], keys: Sequence[Hashable]) -> tuple[str, list[int], dict[str, Any]]:
    """Dimension along which blocks with the same key repeat ("" if none do), each block's place on it, its coordinates.

    The experimental variables number the repeats where each repeat has its own values; otherwise the order in the file does.
    """
    counts = Counter(keys)
    depth = max(counts.values())
    used = series_variables(head)
    values = [tuple(b.values[i] for i in used) for b in blocks]
    levels = list(dict.fromkeys(values))
    if depth == 1:
        scalar = {slug(head.variables[i][0]): coordinate((), v, *head.variables[i]) for i, v in zip(used, values[0], strict=True)}
        return "", [0] * len(blocks), scalar if len(levels) == 1 else {}
    by_value = len(levels) == depth and len(set(zip(keys, values, strict=True))) == len(blocks)
    if by_value:
        dim, index = _series_dim(head, used), [levels.index(v) for v in values]
    else:
        dim, index = _series_dim(head, []), _occurrence(keys)
    coords: dict[str, Any] = {dim: (dim, np.arange(depth))}
    columns = levels if by_value else ([levels[0]] * depth if len(levels) == 1 else [])
    for k, i in enumerate(used if columns else []):
        label, unit = head.variables[i]
        name = dim if dim == "time" and k == 0 else slug(label, dim=dim)
        coords[name] = coordinate((dim,), [v[k] for v in columns], label, unit)
    return dim, index, coords


def _occurrence(keys: Sequence[Hashable]) -> list[int]:
    seen: Counter[Hashable] = Counter()
    index = []
    for key in keys:
        index.append(seen[key])
        seen[key] += 1
    return index


def _series_dim(head: Head, used: Sequence[int]) -> str:
    """`time` for a time that is no sputter time, `scan` for layers, `point` for other spectra without a raster."""
    label = head.variables[used[0]][0] if used else ""
    if "time" in label.lower() and not _SPUTTER.search(label):
        return "time"
    layered = head.mode in POINTWISE or head.mode in SPUTTERED or head.mode in IMAGES
    return "scan" if layered or (label and _SPUTTER.search(label)) else "point"
