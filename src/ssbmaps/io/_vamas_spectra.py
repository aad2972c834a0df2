"""VAMAS blocks that hold spectra: regions, their axis, and the raster of analysis positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _pixels
from ssbmaps.io._dense import check_declared
from ssbmaps.io._report import unique
from ssbmaps.io._vamas_header import POINTWISE
from ssbmaps.io._vamas_layout import Plan, coordinate, line_name, series, slug, stage_variables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.io._vamas_blocks import Experiment
    from ssbmaps.io._vamas_parts import Block, Fields

PLACEHOLDER = 32768  # written by Kratos where the number of discrete coordinates is not meant
_EVEN = 1e-3  # relative; spread of the steps of an evenly spaced stage


def regions(found: Experiment) -> dict[str, list[Block]]:
    """Blocks by spectral region: those with the same species, transition, axis and corresponding variables."""
    groups: dict[Any, list[Block]] = {}
    for block in found.blocks:
        groups.setdefault((line_name(block), _axis_key(block), block.fields.variables), []).append(block)
    names = [key[0] for key in groups]
    told = [n if names.count(n) == 1 else f"{n} ({_span(g[0])})" for n, g in zip(names, groups.values(), strict=True)]
    return dict(zip(unique(told), groups.values(), strict=True))


def _axis_key(block: Block) -> tuple[Any, ...]:
    said = block.fields.said
    named = ("abscissa label", "abscissa units", "abscissa start", "abscissa increment", "technique")
    return (*(said.get(n, "") for n in named), block.count)


def _span(block: Block) -> str:
    low, high = axis_range(block)
    return f"{low:.9g} to {high:.9g} {block.fields.said.get('abscissa units') or block.fields.variables[0][1]}"


def axis_range(block: Block) -> tuple[float, float]:
    """Lowest and highest abscissa that the header states, in its own unit."""
    start, step = block.fields.real("abscissa start"), block.fields.real("abscissa increment")
    if start is None or step is None:
        return block.extremes[0], block.extremes[1]
    last = start + step * (block.count - 1)
    return min(start, last), max(start, last)


def axis_name(fields: Fields, subject: str) -> tuple[str, float]:
    """The spectral dimension, and the factor from the file's unit to the contract's."""
    label, unit = fields.said.get("abscissa label", ""), fields.said.get("abscissa units", "")
    if "abscissa label" not in fields.said:  # irregular: the first corresponding variable
        label, unit = fields.variables[0]
    if unit.lower() == "ev":
        if fields.technique in ("EDX", "XRF"):
            return "energy", 1e-3
        if "bind" in label.lower():
            return "binding_energy", 1.0
        if "kin" in label.lower() or fields.technique.startswith("AES"):
            return "kinetic_energy", 1.0
    raise FormatError(
        f"{subject}: the abscissa is {label!r} in {unit!r} (technique {fields.technique}); ssbmaps reads kinetic or binding "
        "energy in eV. Mass spectra come by imzML."
    )


def plan(found: Experiment, blocks: Sequence[Block]) -> Plan:
    """Dims, shape and places of one region."""
    head, subject = found.head, found.lines.name
    axis, factor = axis_name(blocks[0].fields, subject)
    n = blocks[0].count
    places = [b.place for b in blocks]
    one = len(set(places)) == 1 and (head.mode not in POINTWISE or head.positions == 1)
    dim, index, coords = series(head, blocks, places)
    result = Plan(blocks, (), (), [], coords, axis=axis)
    lead_dims, lead_shape = ((dim,), (1 + max(index),)) if dim else ((), ())
    if one:
        where: list[tuple[int, ...]] = [() for _ in blocks]
        spread_dims: tuple[str, ...] = ()
        spread_shape: tuple[int, ...] = ()
    else:
        where, spread_dims, spread_shape = _positions(found, result, lead_shape, n)
    if dim == "point":
        result.coords |= _labels(found, blocks)
    if not one and not dim:
        _per_position(found, result, where, spread_dims, spread_shape)
    result.dims = (*lead_dims, *spread_dims, axis)
    result.shape = (*lead_shape, *spread_shape, n)
    result.places = [(*((i,) if dim else ()), *w) for i, w in zip(index, where, strict=True)]
    if spread_dims == ("y", "x"):
        _find_unmeasured(result, lead_shape)
    if head.scan == "REGULAR":
        start, step = blocks[0].fields.real("abscissa start"), blocks[0].fields.real("abscissa increment")
        if start is None or step is None:
            raise FormatError(f"{subject}: block {blocks[0].number}, abscissa start or increment is no number.")
        result.coords[axis] = (start + step * np.arange(n)) * factor
    return result


def _labels(found: Experiment, blocks: Sequence[Block]) -> dict[str, Any]:
    """What tells spectra apart that no experimental variable numbers: their names, and where the stage was."""
    stage = {
        f"stage_{axis}": ("point", _in_um([b.values[i] for b in blocks], unit), {"units": "um"})
        for axis, (i, unit) in stage_variables(found.head).items()
    }
    return {
        "block": ("point", np.array([b.identifier for b in blocks]), {"long_name": "block identifier"}),
        "sample_name": ("point", np.array([b.sample for b in blocks]), {"long_name": "sample identifier"}),
        **stage,
    }


def _in_um(values: Sequence[float], unit: str) -> NDArray[np.float64]:
    found = (_pixels.in_um(repr(float(v)), unit, default="?") for v in values)
    return np.array([np.nan if v is None else v for v in found])


def _positions(
    found: Experiment, result: Plan, lead: tuple[int, ...], n: int
) -> tuple[list[tuple[int, ...]], tuple[str, ...], tuple[int, ...]]:
    """Places on the full map; or along `point` where positions were picked from a map too large to fill, or are no grid."""
    head, subject = found.head, found.lines.name
    assert head.full is not None
    known = [b.place for b in result.blocks if b.place is not None]
    distinct = sorted(set(known))
    if PLACEHOLDER in head.full:
        grid = _inferred_grid(distinct)
        hint = f"its numbers of discrete coordinates are {PLACEHOLDER}, a placeholder, so the field of view gives no pixel size."
    else:
        grid, hint = head.full, ""
        beyond = next((p for p in distinct if not (1 <= p[0] <= grid[0] and 1 <= p[1] <= grid[1])), None)
        if beyond is not None:
            raise FormatError(
                f"{subject}: position x {beyond[1]}, y {beyond[0]} lies outside the full map of 1 to {grid[1]} (x) and "
                f"1 to {grid[0]} (y)."
            )
        try:
            check_declared((*lead, *grid, n), 8, file_size=found.lines.size, subject=subject, what="the full map")
        except FormatError:
            if len(distinct) != head.positions:
                raise
            grid = None
    if grid is None:
        return _points(found, result, known, distinct)
    origin = (1, 1) if PLACEHOLDER not in head.full else distinct[0]
    steps = (1, 1) if PLACEHOLDER not in head.full else tuple(_step({p[axis] for p in distinct}) for axis in (0, 1))
    result.raster = grid
    result.stated = _stated(found, result, grid, known, origin, steps, hint)
    where = [((p[0] - origin[0]) // steps[0], (p[1] - origin[1]) // steps[1]) for p in known]
    return list(where), ("y", "x"), grid


def _step(values: set[int]) -> int:
    ordered = sorted(values)
    return ordered[1] - ordered[0] if len(ordered) > 1 else 1


def _inferred_grid(distinct: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """(rows, columns) of positions that fill an even grid, else None."""
    ys, xs = ({p[axis] for p in distinct} for axis in (0, 1))
    even = all(len(set(np.diff(sorted(v)).tolist())) <= 1 for v in (ys, xs))
    return (len(ys), len(xs)) if even and len(ys) * len(xs) == len(distinct) else None


def _points(
    found: Experiment, result: Plan, known: Sequence[tuple[int, int]], distinct: Sequence[tuple[int, int]]
) -> tuple[list[tuple[int, ...]], tuple[str, ...], tuple[int, ...]]:
    """Positions in their order in the file, with `y`, `x` in um where the field of view gives them."""
    full = found.head.full
    assert full is not None
    order = list(dict.fromkeys(known))
    fields = result.blocks[0].fields
    for axis, count, k in zip("yx", full, (0, 1), strict=True):
        ordinal = np.array([p[k] for p in order], float)
        result.coords[f"position_{axis}"] = ("point", ordinal, {"long_name": f"ordinal of the {axis} coordinate, from 1"})
        view = fields.real(f"field of view {axis}")
        if count != PLACEHOLDER and view is not None and view > 0:
            result.coords[axis] = ("point", (ordinal - 0.5) * view / count, {"units": "um"})
    index = {p: i for i, p in enumerate(order)}
    return [(index[p],) for p in known], ("point",), (len(distinct),)


def _stated(
    found: Experiment,
    result: Plan,
    grid: tuple[int, int],
    known: Sequence[tuple[int, int]],
    origin: tuple[int, int],
    steps: tuple[int, ...],
    hint: str,
) -> _pixels.Stated:
    """Pixel size from the steps of the stage, if the file tells its places, else field of view / number of pixels."""
    stage = stage_variables(found.head)
    pixels: list[_pixels.Length | None] = []
    extents: list[_pixels.Length | None] = []
    for k, axis in enumerate("yx"):
        views = {b.fields.said.get(f"field of view {axis}", "") for b in result.blocks}
        view = _view(result.blocks, axis) if not hint else None
        if len(views) > 1:
            hint = f"the blocks state different fields of view {axis}: {', '.join(sorted(views)[:3])} um."
            view = None
        step = None
        if axis in stage:
            i, unit = stage[axis]
            index = [(p[k] - origin[k]) // steps[k] for p in known]
            step = _stage_step(index, [b.values[i] for b in result.blocks], unit)
        extents.append(view)
        if step is not None:
            pixels.append(step)
        elif view is not None and view.um is not None:
            pixels.append(_pixels.Length(view.um / grid[k], f"{view.um:.9g} um / {grid[k]} pixels"))
        else:
            pixels.append(None)
    return _pixels.Stated((pixels[0], pixels[1]), (extents[0], extents[1]), hint=hint)


def _view(blocks: Sequence[Block], axis: str) -> _pixels.Length | None:
    view = blocks[0].fields.real(f"field of view {axis}")
    return _pixels.Length(view, f"{view:.9g} um") if view is not None and view > 0 else None


def _stage_step(index: Sequence[int], stage: Sequence[float], unit: str) -> _pixels.Length | None:
    """Distance between neighbouring pixels, if the stage moved evenly."""
    i, at = np.array(index, float), np.array(stage, float)
    if len(set(index)) < 2 or not np.isfinite(at).all():
        return None
    slope, offset = np.polyfit(i, at, 1)
    if slope == 0 or np.abs(at - offset - slope * i).max() > _EVEN * abs(slope) * (1 + np.ptp(i)):
        return None
    return _pixels.length(repr(float(abs(slope))), unit, default="um")


def _per_position(
    found: Experiment, result: Plan, where: Sequence[tuple[int, ...]], dims: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    """Experimental variables that differ from position to position, as coordinates along the positions."""
    stage = {i: (f"stage_{axis}", unit) for axis, (i, unit) in stage_variables(found.head).items()}
    for i, (label, unit) in enumerate(found.head.variables):
        values = [b.values[i] for b in result.blocks]
        if len(set(values)) == 1 and i not in stage:
            continue
        name, known = stage.get(i, (slug(label), ""))
        spread = np.full(shape, np.nan)
        spread[tuple(np.array(where).T)] = _in_um(values, known) if known else values
        result.coords[name] = coordinate(dims, spread, label, "um" if known else unit)


def _find_unmeasured(result: Plan, lead: tuple[int, ...]) -> None:
    """A pixel counts as measured if every scan holds it."""
    held = np.zeros(result.shape[:-1], bool)
    held[tuple(np.array(result.places).T)] = True
    measured = np.asarray(held.all(axis=0) if lead else held)
    if not measured.all():
        result.measured = measured
        every = " in every layer" if lead else ""
        result.notes.append(f"{int((~measured).sum())} of {measured.size} pixels of the map have no block{every}; not measured.")
