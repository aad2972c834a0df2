"""VAMAS blocks that hold an image each (MAPSV, MAPSVDP, SEM), and depth profiles of single values (SDPSV)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _pixels
from ssbmaps.io._report import unique
from ssbmaps.io._vamas_layout import Plan, coordinate, line_name, series, series_variables, slug

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.io._vamas_blocks import Experiment
    from ssbmaps.io._vamas_parts import Block

_SCAN = (
    "first linescan start x",
    "first linescan start y",
    "first linescan finish x",
    "first linescan finish y",
    "last linescan finish x",
    "last linescan finish y",
)


def groups(found: Experiment) -> dict[str, list[Block]]:
    """Blocks by the area that they scan; nearly always one group."""
    areas: dict[Any, list[Block]] = {}
    for block in found.blocks:
        where = tuple(block.fields.ordinal(n, f"{found.lines.name}: block {block.number}") for n in _SCAN)
        areas.setdefault((where, block.fields.variables, block.count), []).append(block)
    if len(areas) == 1:
        return {"images": found.blocks}
    shapes = [_area(blocks[0], found.lines.name)[0] for blocks in areas.values()]
    names = unique([f"images of {nx} x {ny} pixels" for ny, nx in shapes])
    return dict(zip(names, areas.values(), strict=True))


def plan(found: Experiment, blocks: Sequence[Block]) -> Plan:
    """(line, y, x), or (scan, line, y, x) where lines repeat in layers."""
    names = [line_name(b) for b in blocks]
    shape, arrange = _area(blocks[0], found.lines.name)
    result = Plan(blocks, (), (), [], raster=shape, arrange=arrange, stated=_stated(found, blocks, shape))
    repeats = found.head.mode == "MAPSVDP" or _varies(found, blocks, names)
    if repeats:
        dim, index, result.coords = series(found.head, blocks, names)
        lines = list(dict.fromkeys(names))
        where = [lines.index(n) for n in names]
    else:
        dim, index, lines, where = "", [0] * len(blocks), unique(names), list(range(len(blocks)))
    lead = (1 + max(index),) if dim else ()
    result.dims = (*((dim,) if dim else ()), "line", "y", "x")
    result.shape = (*lead, len(lines), *shape)
    result.places = [(*((i,) if dim else ()), w) for i, w in zip(index, where, strict=True)]
    absent = int(np.prod((*lead, len(lines)))) - len(blocks)
    if absent:
        result.notes.append(f"{absent} of {absent + len(blocks)} images (lines x layers) are not in the file; NaN there.")
    _line_coords(found, result, lines, where, names)
    return result


def _varies(found: Experiment, blocks: Sequence[Block], names: Sequence[str]) -> bool:
    """Whether an experimental variable tells repeats of a line apart."""
    used = series_variables(found.head)
    told = {(n, tuple(b.values[i] for i in used)) for n, b in zip(names, blocks, strict=True)}
    return bool(used) and len(told) == len(blocks) > len(set(names))


def _line_coords(found: Experiment, result: Plan, lines: Sequence[str], where: Sequence[int], names: Sequence[str]) -> None:
    transition = dict(zip(where, names, strict=True))
    result.coords["line"] = ("line", np.array(lines), {"long_name": "species and transition"})
    result.coords["transition"] = ("line", np.array([transition[i] for i in range(len(lines))]), {})
    for i, (label, unit) in enumerate(found.head.variables):
        if unit.lower() in ("ev", "kev"):
            energies = {w: b.values[i] * (1e3 if unit.lower() == "kev" else 1) for w, b in zip(where, result.blocks, strict=True)}
            name = "kinetic_energy" if "bind" not in label.lower() else "binding_energy"
            result.coords[name] = coordinate(("line",), [energies[k] for k in range(len(lines))], label, "eV")


def _area(block: Block, subject: str) -> tuple[tuple[int, int], Any]:
    """(ny, nx) of the image, and what turns successive linescans into rows from the top and columns from the left."""
    where = f"{subject}: block {block.number}"
    x0, y0, x1, y1, x2, y2 = (block.fields.ordinal(n, where) for n in _SCAN)
    along_x = y0 == y1 and x1 == x2
    if not along_x and not (x0 == x1 and y1 == y2):
        raise FormatError(
            f"{where}: the first linescan runs from x {x0}, y {y0} to x {x1}, y {y1} and the last one ends at x {x2}, y {y2}; "
            "expected parallel linescans along x or y. Export the image another way."
        )
    if min(x0, y0, x1, y1, x2, y2) < 1:
        raise FormatError(
            f"{where}: coordinates of a linescan begin at {min(x0, y0, x1, y1, x2, y2)}; the standard has 1 or more."
        )
    fast, slow = ((x0, x1), (y1, y2)) if along_x else ((y0, y1), (x1, x2))
    counts = abs(slow[1] - slow[0]) + 1, abs(fast[1] - fast[0]) + 1
    if counts[0] * counts[1] != block.count:
        raise FormatError(
            f"{where}: {counts[0]} linescans of {counts[1]} points need {counts[0] * counts[1]} values for each variable; it has "
            f"{block.count}."
        )
    shape = counts if along_x else counts[::-1]
    return shape, partial(_arrange, counts, fast[1] < fast[0], slow[1] < slow[0], along_x)


def _arrange(counts: tuple[int, int], back: bool, up: bool, along_x: bool, values: NDArray[np.float64]) -> NDArray[np.float64]:
    image = values.reshape(counts)[:: -1 if up else 1, :: -1 if back else 1]
    return image if along_x else image.T


def _stated(found: Experiment, blocks: Sequence[Block], shape: tuple[int, int]) -> _pixels.Stated:
    """Field of view / number of pixels; nothing if the image is a part of a frame of unknown size."""
    pixels: list[_pixels.Length | None] = []
    hint = ""
    for axis, n in zip("yx", shape, strict=True):
        view = blocks[0].fields.real(f"field of view {axis}")
        views = {b.fields.said.get(f"field of view {axis}", "") for b in blocks}
        first = min(blocks[0].fields.ordinal(name, found.lines.name) for name in _SCAN if name.endswith(axis))
        if len(views) > 1:
            hint = f"the blocks state different fields of view {axis}: {', '.join(sorted(views)[:3])} um."
        elif first != 1:
            hint = (
                "the image begins inside a frame whose number of pixels is not stated, so the field of view gives no pixel size."
            )
        elif view is not None and view > 0:
            pixels.append(_pixels.Length(view / n, f"{view:.9g} um / {n} pixels"))
            continue
        pixels.append(None)
    return _pixels.Stated((pixels[0], pixels[1]), hint=hint)


def profile_plan(blocks: Sequence[Block]) -> Plan:
    """SDPSV: (scan, line), each block the values of one line in all layers."""
    lines = unique([line_name(b) for b in blocks])
    n = blocks[0].count
    result = Plan(blocks, ("scan", "line"), (n, len(blocks)), [])
    result.coords["scan"] = ("scan", np.arange(n))
    result.coords["line"] = ("line", np.array(lines), {"long_name": "species and transition"})
    fields = blocks[0].fields
    start, step = fields.real("abscissa start"), fields.real("abscissa increment")
    if start is not None and step is not None:
        label, unit = fields.said["abscissa label"], fields.said["abscissa units"]
        result.coords[slug(label)] = coordinate(("scan",), start + step * np.arange(n), label, unit)
    result.places = [(slice(None), i) for i in range(len(blocks))]  # type: ignore[misc]
    return result
