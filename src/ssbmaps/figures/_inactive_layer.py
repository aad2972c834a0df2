"""`inactive_layer_figure`: the change between two states by depth, with the layer that does not follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.figures._depth_read import depth_name, pick, rows_of, said, sentence, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure

    from ssbmaps.figures._depth_sheet import Panel

SUBJECT = "figures.inactive_layer_figure"
SOURCE = "interfaces.detect_inactive_layer"
ENDS = ("", "_low", "_high")
NEEDED = (
    *("detected", "testable", "changed", "depth_limit", "statement", "change", "change_sd", "curve"),
    *(f"{name}{end}" for name in ("layer_depth", "bulk_change", "face_change") for end in ENDS),
)
PERCENT = 100.0


def inactive_layer_figure(found: xr.Dataset, *, fragments: Sequence[str] | None = None, phase: str | None = None) -> Figure:
    """Draw the change of each ion between two states by depth, with the layer at the face that does not follow.

    Parameters
    ----------
    found : Dataset
        What `ssbmaps.interfaces.detect_inactive_layer` returned.
    fragments : sequence of str, optional
        Which ions to draw, in this order; all by default. A figure holds at most 10 panels.
    phase : str, optional
        Which phase to draw; may be left out if there is one.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type: one panel per state and ion. Points are changes in per
        cent of the reference with one standard error; the line is the fit. Where an inactive face is detected the dotted line
        is its depth, the band its 95 % interval; the dashed lines are the changes of the face, left free, and of the bulk, with
        their 95 % intervals. Otherwise all is grey, and the dashed line is the change in all scans. The words below are
        those of the result.

    Raises
    ------
    SsbmapsError
        If `found` is not from `detect_inactive_layer`, a fragment or phase is unknown, there are several phases and none is
        named, or more than 10 panels are to be drawn.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from scipy.special import ndtr
    >>> from ssbmaps import figures, interfaces
    >>> z = xr.DataArray(2.0 * np.arange(30), dims="scan", attrs={"units": "nm"})
    >>> lithium = 8000 * xr.concat([xr.ones_like(z), 1 - 0.3 * ndtr((z - 20) / 4)], "state")
    >>> counts = lithium.copy(data=np.random.default_rng(2).poisson(lithium))
    >>> found = interfaces.detect_inactive_layer(counts.assign_coords(state=["discharged", "charged"]), depth=z)
    >>> figures.inactive_layer_figure(found).axes[0].get_title(loc="left")
    'charged'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._depth_sheet import depth_sheet

    picked = pick(found, NEEDED, fragments=fragments, phase=phase, subject=SUBJECT, source=SOURCE)
    rows = rows_of(picked, subject=SUBJECT)
    reference = str(found.attrs.get("reference", ""))
    quantity = f"change from {reference or 'the reference'} (%)"
    return finished(depth_sheet([_panel(title, one) for title, one in rows], quantity, depth_name(picked), _words(rows)))


def _panel(title: str, one: xr.Dataset) -> Panel:
    from ssbmaps.figures._depth_sheet import Level, Panel

    z = one["depth"].values.astype(float)
    change, sd, curve = (PERCENT * one[n].values.astype(float) for n in ("change", "change_sd", "curve"))
    detected = bool(one["detected"])
    levels = []
    half = 0.5 * float(z[-1] - z[-2]) if len(z) > 1 else 0.5
    if detected:
        depth = min(float(z[0]) + float(one["layer_depth"]), float(z[-1]))
        levels.append(Level(float(z[0]) - half, depth, *_per_cent(one, "face_change")))
        levels.append(Level(depth, float(z[-1]) + half, *_per_cent(one, "bulk_change")))
    elif int(one["testable"]):
        levels.append(Level(float(z[0]) - half, float(z[-1]) + half, *_per_cent(one, "bulk_change")))
    mark = span(one, "layer_depth", float(z[0])) if detected else None
    return Panel(title, z, change, sd, curve, _short(one), detected, mark=mark, levels=levels, zero=True)


def _per_cent(one: xr.Dataset, name: str) -> tuple[float, float, float]:
    value, low, high = (PERCENT * float(one[f"{name}{end}"]) for end in ENDS)
    return value, low, high


def _short(one: xr.Dataset) -> list[str]:
    """What a panel says of itself."""
    if not int(one["testable"]):
        return ["not testable"]
    if not int(one["changed"]):
        return ["undetermined: no change", "undetermined"]
    if int(one["detected"]):
        return said("t", one, "layer_depth")
    limit, unit = float(one["depth_limit"]), str(one["depth_limit"].attrs.get("units", ""))
    if not np.isfinite(limit):
        return ["all scans alike; not bounded", "all scans alike"]
    return [f"all scans alike; t < {limit:.3g} {unit}", f"t < {limit:.3g} {unit}"]


def _words(rows: list[tuple[str, xr.Dataset]]) -> list[str]:
    """What the marks mean, and the result of each row."""
    detected = [one for _, one in rows if int(one["detected"])]
    marks = ["Points: change ± 1 standard error by counting; line: fit"]
    if detected:
        marks.append("dotted: depth t of the layer, 95 % interval; dashed: face, left free, and bulk, 95 % intervals")
    if len(detected) < len(rows):
        marks.append("grey: no inactive face found, dashed the change in all scans")
    texts = ["; ".join(marks) + "."]
    for title, one in rows:
        face = ""
        if int(one["detected"]):
            value, low, high = _per_cent(one, "face_change")
            face = f" Face: {value:+.2g} % [{low:.2g}, {high:.2g}].".replace("-", "−")
        texts.append(sentence(title, one) + face)
    return texts
