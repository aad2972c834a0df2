"""`rank_figure`: singular values against the noise edge, held-out deviance and reproducibility, over a ladder of binnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssbmaps._errors import Faults

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

SUBJECT = "figures.rank_figure"
NEEDED = (
    *(
        "suggested",
        "valid",
        "singular_value",
        "threshold",
        "deviance_excess",
        "deviance_excess_sd",
        "cosine_seeds",
        "cosine_bootstrap",
    ),
    "statement",
)


def rank_figure(result: xr.Dataset) -> Figure:
    """Draw the evidence on the number of components, binning by binning, with the result in words.

    Parameters
    ----------
    result : Dataset
        What `ssbmaps.decomposition.rank` returned.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type, its three panels one above the other; side by side
        from 120 mm. (a) Singular values in units of the noise edge, dotted the values worth keeping; (b) deviance of
        held-out counts above its lowest value, with one standard error of the difference, on a scale that is linear below
        the dotted line and logarithmic above; (c) cosine of the least alike of the matched spectra: dots are single fits, lines
        their medians. One colour for each binning; rings mark the number that each curve suggests; curves that are not valid
        are pale.

    Raises
    ------
    SsbmapsError
        If `result` is not from `rank`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import decomposition, figures
    >>> counts = np.random.default_rng(0).poisson(3.0, (12, 14, 8))
    >>> cube = xr.DataArray(counts, dims=("y", "x", "fragment"))
    >>> found = decomposition.rank(cube, max_components=3, binnings=[1], n_splits=2, n_repeats=1)
    >>> figures.rank_figure(found).axes[0].get_ylabel()
    'singular value /\\nnoise edge'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._rank_sheet import rank_sheet

    with Faults(SUBJECT) as faults:
        missing = [n for n in NEEDED if n not in getattr(result, "data_vars", ())]
        text = f"{', '.join(missing)} missing; expected what ssbmaps.decomposition.rank returns, got {type(result).__name__}."
        faults.expect(not missing, text)
    return finished(rank_sheet(result))
