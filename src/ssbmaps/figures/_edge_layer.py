"""`edge_layer_figure`: the counts of each ion by depth, with the change over the first scans and without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.figures._depth_read import depth_name, pick, rows_of, said, sentence, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ssbmaps.figures._depth_sheet import Panel

    Floats = NDArray[np.float64]

SUBJECT = "figures.edge_layer_figure"
SOURCE = "interfaces.detect_edge_layer"
NEEDED = (
    *("detected", "testable", "depth_scale", "depth_scale_low", "depth_scale_high", "model", "first_bulk_scan"),
    *("counts", "counts_sd", "curve", "bulk", "statement"),
)
UNITS = ((1e6, "10⁶ counts"), (1e3, "1000 counts"), (1, ""))


def edge_layer_figure(found: xr.Dataset, *, fragments: Sequence[str] | None = None, phase: str | None = None) -> Figure:
    """Draw the counts of each ion by depth, with the change over the first scans and without it.

    Parameters
    ----------
    found : Dataset
        What `ssbmaps.interfaces.detect_edge_layer` returned.
    fragments : sequence of str, optional
        Which ions to draw, in this order; all by default. A figure holds at most 10.
    phase : str, optional
        Which phase to draw; may be left out if there is one.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type: one panel per ion. Points are counts of one scan with
        one standard deviation, jitter included. Where a change is detected the line is the fit, the dashed line the same without
        the change; shaded are the scans to leave out, the dotted line is the depth scale below the first scan, the band its 95
        % interval. Ions without a change are grey and say so; their thin line is the likeliest change, which is not beyond
        chance. Those that could not be tested have no line. Axes begin at 0 only where counts fall below half of the
        highest, and show powers of ten where the highest is more than 10 times the median. The words below are those of
        the result.

    Raises
    ------
    SsbmapsError
        If `found` is not from `detect_edge_layer`, a fragment or phase is unknown, there are several phases and none is named,
        or more than 10 ions are to be drawn.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import figures, interfaces
    >>> z = xr.DataArray(2.0 * np.arange(20), dims="scan", attrs={"units": "nm"})
    >>> mean = 4000 * (1 + xr.DataArray([0.0, 0.8], {"fragment": ["PO3-", "C2-"]}, "fragment") * np.exp(-z / 7.0))
    >>> counts = mean.copy(data=np.random.default_rng(3).poisson(mean))
    >>> fig = figures.edge_layer_figure(interfaces.detect_edge_layer(counts, depth=z))
    >>> len(fig.axes), fig.axes[0].get_xlabel()
    (2, 'depth (nm)')
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._depth_sheet import depth_sheet

    picked = pick(found, NEEDED, fragments=fragments, phase=phase, subject=SUBJECT, source=SOURCE)
    rows = rows_of(picked, subject=SUBJECT)
    panels = [_panel(title, one) for title, one in rows]
    return finished(depth_sheet(panels, "counts per scan", depth_name(picked), _words(rows)))


def _panel(title: str, one: xr.Dataset) -> Panel:
    from ssbmaps.figures._depth_sheet import Panel

    z = one["depth"].values.astype(float)
    counts, sd, curve, bulk = (one[n].values.astype(float) for n in ("counts", "counts_sd", "curve", "bulk"))
    detected = bool(one["detected"])
    panel = Panel(
        title,
        z,
        counts,
        sd,
        curve,
        _short(one),
        detected,
        without=bulk if detected else None,
        mark=span(one, "depth_scale", float(z[0])) if detected else None,
        shaded=_shaded(one, z) if detected else None,
    )
    unit, name = next((u, n) for u, n in UNITS if counts.max(initial=0) >= 10 * u or u == 1)
    return panel if panel.log or not name else panel.scaled(unit, f"{title} ({name})".lstrip())


def _shaded(one: xr.Dataset, z: Floats) -> float | None:
    """Depth halfway between the last scan that is left out and the first that is kept."""
    first = float(one["first_bulk_scan"])
    if np.isnan(first):
        return float(z[-1]) + 0.5 * float(z[-1] - z[-2])
    return None if first == 0 else 0.5 * float(z[int(first) - 1] + z[int(first)])


def _short(one: xr.Dataset) -> list[str]:
    """What a panel says of itself."""
    if not int(one["testable"]):
        return ["not testable"]
    if not int(one["detected"]):
        return ["no change found", "no change"]
    name = "ℓ" if str(one["model"].values) == "exponential" else "step"
    return said(name, one, "depth_scale")


def _words(rows: list[tuple[str, xr.Dataset]]) -> list[str]:
    """What the marks mean, and the result of each ion."""
    detected = [one for _, one in rows if int(one["detected"])]
    marks = ["Points: counts in all measured pixels ± 1 standard deviation; line: fit"]
    if detected:
        marks.append("dashed: the same without the change; shaded: scans to leave out; dotted: depth scale, 95 % interval")
    if len(detected) < len(rows):
        marks.append("grey: no change found, the thin line is the likeliest one")
    return ["; ".join(marks) + ". Counts, not concentration.", *(sentence(title, one) for title, one in rows)]
