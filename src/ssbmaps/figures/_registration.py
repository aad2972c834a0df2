"""`registration_figure`: both maps in squares, their outlines, and where the blocks would like to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.registration_figure"
NEEDED = (
    *("checkerboard", "reference", "pair", "vertex_y", "vertex_x", "vertex_segment", "vertex_side", "vertex_pair"),
    *("block_y", "block_x", "residual_y", "residual_x", "residual_y_sd", "residual_x_sd", "residual_covariance_yx", "p_value"),
)


def registration_figure(check: xr.Dataset, *, pairs: Sequence[str] | None = None, magnify: float | None = None) -> Figure:
    """Draw for each pair both maps in squares, their outlines, and the displacements that blocks ask for, magnified.

    Where the transform holds, structures run on across the squares, the outlines run together, and the arrows are no longer
    than their ellipses. An arrow starts at the middle of its block and points where the block would like the moving map to go;
    the ellipse about its tip is one standard error. Both fade where the error is large: their strength is 1 / (1 + (s/h)²), with
    the ellipse's longer half axis s as drawn, and h half of a block's side. Blocks are those of all pairs together, the same in
    each row.

    Parameters
    ----------
    check : Dataset
        From `ssbmaps.maps.check_registration`.
    pairs : sequence of str, optional
        Which pairs to draw, as the coordinate ``pair`` names them. None draws all.
    magnify : float, optional
        How many times longer arrows and ellipses are than on the map. None takes a round number at which most arrows with their
        ellipses stay between the blocks; the figure says which.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type; pixels that were not measured in both have a colour
        which the figure names.

    Raises
    ------
    SsbmapsError
        If `check` is not from `check_registration`, a pair is not in it, or `magnify` is no number above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from ssbmaps import figures, maps, synthetic
    >>> section = synthetic.cross_section(shape=(96, 112), n_scans=5)
    >>> counts, sam = section.counts.sum("scan"), synthetic.sam_maps(section, lines=("S LVV",))
    >>> truth = maps.Transform(sam.attrs["transform"].reshape(3, 3), np.zeros((6, 6)))
    >>> fig = figures.registration_figure(maps.check_registration(counts, sam.peak, truth, pairs=[("S-", "S LVV")]))
    >>> [axes.get_title(loc="left") for axes in fig.axes]
    ['both in squares', 'outlines', 'blocks']
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._registration_sheet import registration_sheet

    chosen = _checked(check, pairs, magnify)
    return finished(registration_sheet(check, chosen, float(magnify) if magnify else fitting(check)))


def _checked(check: Any, pairs: Any, magnify: Any) -> list[int]:
    """Numbers of the pairs to draw; or one letter with all faults."""
    missing = [n for n in NEEDED if n not in getattr(check, "variables", ())]
    if missing:
        raise SsbmapsError(f"{SUBJECT}: {', '.join(missing)} missing; expected what maps.check_registration returns.")
    names = [str(v) for v in np.atleast_1d(check["pair"].values)]
    wanted = names if pairs is None else [pairs] if isinstance(pairs, str) else list(pairs)
    with Faults(SUBJECT) as faults:
        unknown = [str(p) for p in wanted if p not in names]
        faults.expect(not unknown, f"pair {', '.join(unknown)} is not in the check, which holds {', '.join(names)}.")
        faults.expect(len(wanted) > 0, "pairs is empty; expected at least one.")
        good = magnify is None or (isinstance(magnify, (int, float, np.number)) and bool(0 < magnify < np.inf))
        faults.expect(good, f"magnify is {magnify!r}; expected a number above 0.")
    return [names.index(p) for p in wanted]


def fitting(check: xr.Dataset) -> float:
    """The round factor (1, 2, 5, 10 …) at which three of four arrows with their ellipses are shorter than a block's side."""
    if check.sizes.get("block", 0) == 0:
        return 1.0
    length = np.hypot(check["residual_y"], check["residual_x"]) + np.hypot(check["residual_y_sd"], check["residual_x_sd"])
    side = max(float(np.ptp(check[d].values)) for d in ("y", "x")) / 8
    most = side / max(float(np.quantile(length, 0.75)), 1e-9)
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(f * power for f in (1.0, 2.0, 5.0) if f * power <= most))
