"""`interphase_figure`: what was measured across an interface, the model, what it leaves, and the result in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.interphase_figure"
NEEDED = ("shell_profile", "shell_profile_sem", "shell_model", "core_profile", "core_model", "statement", "distance")


def interphase_figure(result: xr.Dataset, *, shell: str | None = None) -> Figure:
    """Draw the profile of one shell with its fitted model, the residuals, and the numbers in the words of the result.

    Parameters
    ----------
    result : Dataset
        From `ssbmaps.interfaces.fit_interphase`.
    shell : str, optional
        Which shell, if there are several.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type. Points are means per pixel with one standard error; lines
        the fitted model; the shaded band the thickness, the paler ones its 95 % interval. The shell's signal belongs to the
        left axis, the core's to the right one. Residuals are those of both signals in standard errors.

    Raises
    ------
    SsbmapsError
        If `result` is not from `fit_interphase`, or the shell is not named where there are several.

    Examples
    --------
    >>> from ssbmaps import figures, interfaces, synthetic
    >>> section = synthetic.cross_section(shape=(96, 96), n_scans=1, geometry="disc", thickness=0.2)
    >>> found = interfaces.fit_interphase(section.counts, section.distance, core="NiO2-", shell=["PO2-", "PO3-"])
    >>> fig = figures.interphase_figure(found)
    >>> fig.axes[1].get_xlabel()
    'distance to the edge of the core (µm)'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._interphase_sheet import interphase_sheet

    return finished(interphase_sheet(_pick(result, shell)))


def _pick(result: xr.Dataset, shell: str | None) -> xr.Dataset:
    missing = [n for n in NEEDED if n not in getattr(result, "variables", ())]
    if missing:
        raise SsbmapsError(f"{SUBJECT}: {', '.join(missing)} missing; expected what interfaces.fit_interphase returns.")
    names = [str(v) for v in np.atleast_1d(result["shell"].values)]
    if shell is None and len(names) > 1:
        raise SsbmapsError(f"{SUBJECT}: there are {len(names)} shells; name one of {', '.join(names)} with shell=.")
    if shell is not None and shell not in names:
        raise SsbmapsError(f"{SUBJECT}: shell {shell!r} is not in the result, which holds {', '.join(names)}.")
    if "shell" not in result.dims:
        return result
    one = result.sel(shell=shell or names[0])
    return one.isel(distance=np.isfinite(one["shell_profile"].values))
