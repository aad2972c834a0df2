"""What figures by depth read from a result: which rows are drawn, the name of the depth, intervals in words."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._conventions import channel_dim
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.figures._labels import ion_label, unit_label
from ssbmaps.interfaces._edge_layer_result import spoken
from ssbmaps.interfaces._transient_fit import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

MOST = 10  # panels that a page holds with their sentences
STEPS = ("scan", "z")


def pick(
    found: xr.Dataset,
    needed: Sequence[str],
    *,
    fragments: Sequence[str] | None,
    phase: str | None,
    subject: str,
    source: str,
) -> xr.Dataset:
    """The rows of a result that are asked for, of one phase."""
    missing = [n for n in (*needed, "depth") if n not in getattr(found, "variables", ())]
    if missing:
        raise SsbmapsError(f"{subject}: {', '.join(missing)} missing; expected what {source} returns.")
    channel = channel_dim(found["detected"], subject=subject)
    picked = found
    with Faults(subject) as faults:
        if fragments is not None:
            wanted = [fragments] if isinstance(fragments, str) else list(fragments)
            known = [str(v) for v in found[channel].values] if channel else []
            unknown = [w for w in wanted if w not in known]
            here = f"which holds {', '.join(known)}" if known else "which has no fragments"
            text = f"fragment {', '.join(unknown) or '(none)'} is not in the result, {here}."
            if faults.expect(not unknown and len(wanted) > 0, text):
                picked = picked.isel({channel: [known.index(w) for w in wanted]})
        phases = [str(v) for v in found["phase"].values] if "phase" in found.dims else []
        if phase is None:
            faults.expect(len(phases) < 2, f"there are {len(phases)} phases; name one of {', '.join(phases)} with phase=.")
        else:
            here = f"which holds {', '.join(phases)}" if phases else "which has no phases"
            faults.expect(phase in phases, f"phase {phase!r} is not in the result, {here}.")
    if phases:
        picked = picked.isel(phase=0 if phase is None else phases.index(phase))
    return picked


def rows_of(picked: xr.Dataset, *, subject: str) -> list[tuple[str, xr.Dataset]]:
    """Each row along what is not depth, with its title."""
    dims = [str(d) for d in picked["detected"].dims]
    sizes = [picked.sizes[d] for d in dims]
    n = int(np.prod(sizes))
    if n > MOST:
        raise SsbmapsError(f"{subject}: {n} panels to draw; expected at most {MOST}. Name some with fragments=, or select first.")
    rows = []
    for place in itertools.product(*map(range, sizes)):
        one = picked.isel(dict(zip(dims, place, strict=True)))
        names = [str(one[d].values) if d in one.coords else f"{d} {i}" for d, i in zip(dims, place, strict=True)]
        names += [str(one["phase"].values)] if "phase" in one.coords else []
        rows.append((", ".join(ion_label(n) for n in names if n), one))
    return rows


def depth_name(picked: xr.Dataset) -> str:
    """Name of the axis: the depth with its unit, or the number of the scan."""
    unit = unit_label(str(picked["depth"].attrs.get("units", "")))
    dim = next((str(d) for d in picked["depth"].dims if d in STEPS), "scan")
    return f"number of the {dim}" if unit == "scan" else f"depth ({unit})"


def span(one: xr.Dataset, name: str, start: float) -> tuple[float, float, float]:
    """A depth below the first scan with its interval, as places on the axis; infinite where there is no end."""
    value, low, high = (start + float(one[f"{name}{s}"]) for s in ("", "_low", "_high"))
    return value, low, high


def said(symbol: str, one: xr.Dataset, name: str) -> list[str]:
    """A value with its interval and unit, in fewer and fewer words."""
    value, low, high = (float(one[f"{name}{s}"]) for s in ("", "_low", "_high"))
    unit = unit_label(str(one[name].attrs.get("units", "")))
    text = f"{symbol} = {spoken(Interval(value, np.nan, low, high))}"
    return [f"{text} {unit}", text, f"{symbol} = {value:.3g}"]


def sentence(title: str, one: xr.Dataset) -> str:
    """The statement of a row after its title."""
    text = str(one["statement"].values).replace(" um", f" {unit_label('um')}")
    return f"{title}: {text}" if title else text
