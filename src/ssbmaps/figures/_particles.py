"""`particle_thickness_figure`: the particles' own thicknesses against their perimeter, beside that of the section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ssbmaps._errors import SsbmapsError
from ssbmaps.figures._particles_read import NEEDED, read_particles
from ssbmaps.figures._thickness_read import one_shell

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.particle_thickness_figure"
SOURCE = 'interfaces.measure_interphase with geometry="particles"'
MOST = 6


def particle_thickness_figure(result: xr.Dataset | Mapping[str, xr.Dataset], *, shell: str | None = None) -> Figure:
    """Draw each particle's apparent thickness against its perimeter, and their distribution weighted by the perimeter.

    The band is the thickness of the section as a whole with its 95 % interval. Particles are weighted by the perimeter,
    because the unweighted mean over random cuts has no finite variance. The words give the weighted mean and spread (standard
    deviation) of the particles, beside the spread that their standard errors alone would make.

    Parameters
    ----------
    result : Dataset or mapping of str to Dataset
        From `ssbmaps.interfaces.measure_interphase` or `fit_interphase` with ``geometry="particles"``; or several, by the name
        of the sample, which are drawn side by side on common axes. A particle whose thickness is NaN is not measured: a tick
        on the lower axis. A shell that is not resolved has no thickness at all, and the figure gives its upper limit.
    shell : str, optional
        Which shell, if there are several.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type; thickness in nm. Points are ± 1 standard error, their
        area in proportion to the perimeter. Error bars may end beyond the frame.

    Raises
    ------
    SsbmapsError
        If a result holds no particles (planar stacks have none), the shell is not named where there are several, or there are
        more than six samples.

    Examples
    --------
    >>> from ssbmaps import figures, interfaces, synthetic
    >>> layout = synthetic.Layout(radius=(0.6, 1.2), fibres=0, voids=0, cracked=0)
    >>> section = synthetic.cross_section(seed=3, shape=(96, 112), n_scans=2, layout=layout)
    >>> found = interfaces.fit_interphase(section.counts, section.distance, core="NiO2-", shell=["PO2-", "PO3-"])
    >>> fig = figures.particle_thickness_figure({"pristine": found})
    >>> len(fig.axes)  # points and distribution
    2
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._particles_sheet import particles_sheet

    return finished(particles_sheet([read_particles(one, name) for name, one in _samples(result, shell).items()]))


def _samples(result: Any, shell: str | None) -> dict[str, xr.Dataset]:
    if not isinstance(result, Mapping) or hasattr(result, "data_vars"):
        return {"": one_shell(result, shell, needed=NEEDED, source=SOURCE, subject=SUBJECT)}
    if not 1 <= len(result) <= MOST:
        raise SsbmapsError(f"{SUBJECT}: {len(result)} samples; expected one to {MOST}.")
    return {
        str(name): one_shell(each, shell, needed=NEEDED, source=SOURCE, subject=f"{SUBJECT}: {name}")
        for name, each in result.items()
    }
