"""`quality_figure`: what the checks of a section measured, and one line of words for each check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.quality_figure"
_NUMBERS = ("value", "value_sd", "p_value", "flagged", "testable")
_WORDS = ("quantity", "value_units", "finding")


def quality_figure(quality: xr.Dataset) -> Figure:
    """Draw what the checks of a section measured, above a table with one line of words for each check.

    Panels are drawn for the checks that were testable and hold more than a number: power of stripes against their direction,
    position and width of the edge against the scan, aspect ratio of the particles against the direction of their long axis,
    and maps of the peaks' shift and width. The table holds all checks: those that are flagged with what they are compatible
    with, those that are not with the quantity that was measured, the others with the reason why nothing can be said. What
    a check does not show, the figure does not claim: its last lines are the wording that travels with the table.

    Parameters
    ----------
    quality : Dataset
        Result of `ssbmaps.interfaces.section_quality`, or some of its checks, as `quality.sel(check=[...])` picks them. A tile
        without a value is grey, and the figure names the grey; a scan without one is left out.

    Returns
    -------
    Figure
        Matplotlib figure at the width of two columns (171 mm), 7 pt type; pass `columns=2` to `ssbmaps.figures.save`. At one
        column panels stand in pairs and each line of words goes under its check.

    Raises
    ------
    SsbmapsError
        If `quality` is no result of `section_quality`; on saving, if the figure would be taller than a page.

    Examples
    --------
    >>> from ssbmaps import figures, interfaces, synthetic
    >>> small = synthetic.Layout(radius=(0.5, 1.4))
    >>> section = synthetic.cross_section(seed=4, shape=(128, 160), n_scans=4, layout=small)
    >>> table = interfaces.section_quality(
    ...     section.counts, section.phase_map, phase="NMC", marker="NiO2-", distance=section.distance
    ... )
    >>> fig = figures.quality_figure(table)
    >>> fig.axes[-1].get_ylabel()
    'aspect ratio'
    """
    from ssbmaps.figures._quality_sheet import quality_sheet
    from ssbmaps.figures._quality_table import Row
    from ssbmaps.figures._style import JOURNAL_WIDTHS

    _check(quality)
    level = float(quality.attrs["false_alarms"])
    rows = [Row(**_row(quality.isel(check=i))) for i in range(quality.sizes["check"])]
    fig = quality_sheet(quality, rows, level, str(quality.attrs["wording"]))
    fig.fit_width(JOURNAL_WIDTHS["rsc"][1])
    return fig


def _row(one: xr.Dataset) -> dict[str, Any]:
    """One check as the table takes it."""
    words = {name: str(one[name].item()) for name in _WORDS}
    numbers = {name: float(one[name].item()) for name in ("value", "value_sd", "p_value")}
    flags = {name: bool(one[name].item() == 1) for name in ("flagged", "testable")}
    return {"name": str(one["check"].item()), **words, **numbers, **flags}


def _check(quality: Any) -> None:
    held = getattr(quality, "variables", ())
    missing = [n for n in (*_NUMBERS, *_WORDS) if n not in held]
    if missing:
        raise SsbmapsError(
            f"{SUBJECT}: {', '.join(missing)} missing; expected the Dataset that interfaces.section_quality returns, got "
            f"{type(quality).__name__}."
        )
    with Faults(SUBJECT) as faults:
        strange = [n for n in (*_NUMBERS, *_WORDS) if quality[n].dims != ("check",)]
        faults.expect(
            not strange,
            f"{', '.join(strange)} without the one dimension check; pick checks with a list, .sel(check=['curtaining']).",
        )
        faults.expect(bool(strange) or quality.sizes["check"] > 0, "no check is left.")
        for name in ("false_alarms", "wording"):
            faults.expect(name in quality.attrs, f"attribute {name} missing; keep the attributes of section_quality's result.")
