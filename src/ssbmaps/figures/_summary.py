"""`interphase_summary_figure`: maps, profile, thickness along the outline, particles and the result in words, on one sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._conventions import channel_dim
from ssbmaps._errors import SsbmapsError
from ssbmaps.figures._interphase import NEEDED as PROFILE
from ssbmaps.figures._particles_read import NEEDED as PARTICLES
from ssbmaps.figures._particles_read import read_particles
from ssbmaps.figures._summary_words import numbers_of
from ssbmaps.figures._thickness_read import (
    MEASURED,
    OUTLINE,
    fragments_of,
    limit_words,
    one_shell,
    read_outline,
    sum_label,
    summed_map,
    thickness_title,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.interphase_summary_figure"


def interphase_summary_figure(
    maps: xr.DataArray,
    result: xr.Dataset,
    *,
    shell: str | None = None,
    core_fragments: Sequence[str] | None = None,
    shell_fragments: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw all that was measured of one shell in one section on one sheet.

    Core and shell as a composite with the core's outline; the apparent thickness along that outline, as
    `thickness_map_figure` draws it; the profile with the fitted model, as `interphase_figure` does; the particles, as
    `particle_thickness_figure` does (planar stacks have none); the result in words; and the numbers behind it.

    Parameters
    ----------
    maps : DataArray
        The maps (…, fragment, y, x) that `result` was measured on, any unit; scans are summed; coordinates in um. Pixels that
        are NaN, or not `measured`, have a colour of their own.
    result : Dataset
        From `ssbmaps.interfaces.measure_interphase`. What is NaN is not drawn; a shell that is not resolved has no colours
        along the outline and no particles, and its upper limit is given.
    shell : str, optional
        Which shell, if there are several.
    core_fragments, shell_fragments : sequence of str, optional
        Fragments to sum for the composite. None takes those that the history of the result names.
    title : str, optional
        Name of the sample, above the sheet.

    Returns
    -------
    Figure
        Matplotlib figure at the width of two columns (171 mm), 7 pt type; pass `columns=2` to `ssbmaps.figures.save`. Narrower,
        the plots stand one above the other; one column is too narrow for most sections, and is refused.

    Raises
    ------
    SsbmapsError
        If `result` is not from `measure_interphase`, the shell is not named where there are several, fragments are not in the
        maps, the maps have no coordinates in um, or the outline leaves them; on saving, if less than 20 mm of the page are left
        for the maps.

    Examples
    --------
    >>> import numpy as np
    >>> from ssbmaps import figures, interfaces, synthetic
    >>> section = synthetic.cross_section(shape=(96, 96), n_scans=1, geometry="disc", thickness=0.2)
    >>> found = interfaces.fit_interphase(section.counts, section.distance, core="NiO2-", shell=["PO2-", "PO3-"])
    >>> turn = np.linspace(0, 2 * np.pi, 60)  # the outline, which measure_interphase gives: here a circle in six pieces
    >>> y, x, r = (float(section[f"particle_{n}"][0]) for n in ("y", "x", "radius"))
    >>> found = found.assign(
    ...     vertex_y=("vertex", y + r * np.sin(turn)),
    ...     vertex_x=("vertex", x + r * np.cos(turn)),
    ...     vertex_segment=("vertex", np.arange(60) // 10),
    ...     segment_length=("segment", np.full(6, r * np.pi / 3)),
    ...     segment_particle=("segment", np.ones(6, int)),
    ...     segment_thickness=(("shell", "segment"), np.full((1, 6), 0.2)),
    ...     segment_thickness_sd=(("shell", "segment"), np.full((1, 6), 0.02)),
    ... )
    >>> fig = figures.interphase_summary_figure(section.counts, found)
    >>> round(fig.get_figwidth() * 25.4)
    171
    """
    from ssbmaps.figures._labels import ion_label
    from ssbmaps.figures._style import JOURNAL_WIDTHS
    from ssbmaps.figures._summary_picture import Picture
    from ssbmaps.figures._summary_sheet import summary_sheet
    from ssbmaps.figures._thickness_outline import Ground, ThicknessMap, thickness_colours

    needed = (*MEASURED, *OUTLINE, *(n for n in PROFILE if n not in MEASURED))
    one = one_shell(result, shell, needed=needed, source="interfaces.measure_interphase", subject=SUBJECT)
    if channel_dim(maps, subject=SUBJECT) is None:
        raise SsbmapsError(f"{SUBJECT}: dims {tuple(maps.dims)}; expected the maps (…, fragment, y, x) that were measured.")
    known = fragments_of(one)
    core, own = (list(given or found) for given, found in zip((core_fragments, shell_fragments), known, strict=True))
    outline = read_outline(one, subject=SUBJECT)
    core_map, core_name = summed_map(maps, core, subject=SUBJECT)
    shell_map, _ = summed_map(maps, own, subject=SUBJECT)
    name = sum_label([str(one["shell"].values)])
    ground = Ground.read(core_map, core_name, outline, subject=SUBJECT)
    picture = Picture.read({core_name: core_map, name: shell_map}, outline, ground.grid, subject=SUBJECT)
    colours = thickness_colours(outline, (5.0, 95.0), None, None, subject=SUBJECT)
    particles = read_particles(one, "") if all(n in result for n in PARTICLES) else None
    profile = one.isel(distance=np.isfinite(one["shell_profile"].values))
    fig = summary_sheet(
        picture,
        ThicknessMap(ground, outline, colours, thickness_title(one, maps, result), limit_words(one)),
        profile,
        particles,
        statement=str(one["statement"].values),
        numbers=numbers_of(one),
        title="" if title is None else ion_label(title),
    )
    fig.fit_width(JOURNAL_WIDTHS["rsc"][1])
    return fig
