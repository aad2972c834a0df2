"""`profile_figure`: means against the distance to an interface, with their error bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import CHANNEL_DIMS, canonical, channel_dim
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.figures._labels import ion_label, quantity_label

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_FACTORS = {"um": (1.0, "µm"), "nm": (1000.0, "nm")}


def profile_figure(
    profile: xr.Dataset,
    *,
    inside: str | None = None,
    outside: str | None = None,
    unit: str = "um",
    normalise: bool = False,
) -> Figure:
    """Draw means against the signed distance to an interface, with bands of one standard error.

    The interface is the vertical line at 0; negative distances lie inside the phase. A bin without a value interrupts its
    line; a value without a standard error has no band.

    Parameters
    ----------
    profile : Dataset
        `mean` and `sem`, dims (fragment, distance) or (distance), with the coordinate `distance` (bin centres) in um, as
        `ssbmaps.interfaces.distance_profile` returns them.
    inside, outside : str, optional
        Names of the phases at negative and at positive distance, written left and right of the interface.
    unit : {"um", "nm"}
        Unit of the distance axis.
    normalise : bool
        Divide each line and its band by the largest value of the line's mean, to compare shapes; the axis says so. A line of
        zeros stays at zero.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type. Lines are told apart by colour and, beyond seven,
        by dashes; the colours are those of Okabe and Ito, made for colour-blind readers.

    Raises
    ------
    SsbmapsError
        If `mean`, `sem` or `distance` is missing, or an option is unknown.

    Examples
    --------
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> profile = xr.Dataset(
    ...     {"mean": ("distance", [9.0, 8.5, 1.5]), "sem": ("distance", [0.3, 0.3, 0.1])},
    ...     coords={"distance": ("distance", [-0.15, -0.05, 0.05], {"units": "um"})},
    ... )
    >>> fig = ssbmaps.figures.profile_figure(profile, inside="NMC", outside="electrolyte", unit="nm")
    >>> fig.axes[0].get_xlabel()
    'distance to the interface (nm)'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._curves import curve_sheet

    subject = "figures.profile_figure"
    distance, means, errors, names = _read(profile, subject=subject)
    if unit not in _FACTORS:
        raise SsbmapsError(f"{subject}: unit={unit!r}; expected 'um' or 'nm'.")
    factor, printed = _FACTORS[unit]
    quantity = quantity_label(profile["mean"])
    if normalise:
        tops = np.array([np.nanmax(np.abs(m)) if np.isfinite(m).any() else 1.0 for m in means])
        tops[tops == 0] = 1.0
        means, errors = means / tops[:, None], errors / tops[:, None]
        quantity = "relative to the largest mean"
    sheet = curve_sheet(distance * factor, means, errors, names, beside_zero=(inside, outside))
    sheet.axes[0].set_xlabel(f"distance to the interface ({printed})")
    sheet.axes[0].set_ylabel(f"mean ± 1 standard error,\n{quantity}")
    return finished(sheet)


def _read(
    profile: xr.Dataset, *, subject: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Distances in um, means and errors as (lines, distance), and the lines' names."""
    missing = [n for n in ("mean", "sem", "distance") if n not in getattr(profile, "variables", ())]
    if missing:
        raise SsbmapsError(
            f"{subject}: {', '.join(missing)} missing; expected a Dataset with mean, sem and the coordinate distance, "
            "as interfaces.distance_profile returns it."
        )
    mean = canonical(profile["mean"])
    channel = channel_dim(mean, subject=subject)
    with Faults(subject) as faults:
        extra = [str(d) for d in mean.dims if d not in (*CHANNEL_DIMS, "distance")]
        faults.expect(not extra, f"dims {tuple(mean.dims)}; expected (fragment, distance) or (distance). Pick one with .isel().")
        faults.expect("distance" in mean.dims, "mean has no dimension distance.")
        faults.expect(profile["sem"].sizes == profile["mean"].sizes, "mean and sem differ in shape.")
        stated = profile["distance"].attrs.get("units", "um")
        faults.expect(stated == "um", f"distance is in {stated!r}; expected 'um'.")
    values, errors = (np.atleast_2d(to_dense(canonical(profile[n]).data).astype(np.float64)) for n in ("mean", "sem"))
    names = [""] if channel is None else [_name(channel, v) for v in mean[channel].values]
    return np.asarray(profile["distance"].values, np.float64), values, errors, names


def _name(channel: str, value: object) -> str:
    return ion_label(value) if isinstance(value, str) else f"{channel} {value}"
