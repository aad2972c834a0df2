"""`component_figure`: each component's map beside its spectrum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import axis_values, canonical, check_array, dense_map, spectral_dim
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.figures._labels import quantity_label

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

_PAIRS = (("abundance", "spectra", "share of counts"), ("scores", "loadings", "loading"))


def component_figure(
    components: xr.Dataset,
    *,
    peaks: int = 3,
    percentile: tuple[float, float] | None = (0.5, 99.5),
    cmap: str | None = None,
) -> Figure:
    """Draw each component's map beside its spectrum, one component a row.

    Mass spectra are drawn as sticks, other spectra as lines. Where a spectrum holds more channels than print can show, the
    largest of neighbouring channels is drawn.

    Parameters
    ----------
    components : Dataset
        Result of `ssbmaps.decomposition.nmf` (`abundance` (component, y, x) and `spectra` (component, mz)) or of
        `ssbmaps.decomposition.pca` (`scores` and `loadings`); any spectral dimension in place of `mz`. Pixels that are NaN,
        or not `measured`, are drawn grey and the figure names the grey.
    peaks : int
        How many of the largest channels of each spectrum are labelled with their position; 0 for none. Peaks below a
        twentieth of the largest, and peaks too close to a larger one for their labels to fit, go without.
    percentile : tuple of float, optional
        Percentiles at which the colours of each map end, stated on the bar; None is the full range.
    cmap : str, optional
        A Crameri or matplotlib colour map; None is "navia", or "vik" about 0 where values are negative.

    Returns
    -------
    Figure
        Matplotlib figure at the width of one column (83 mm), 7 pt type; two columns suit spectra better, see
        `ssbmaps.figures.save`.

    Raises
    ------
    SsbmapsError
        If the Dataset holds neither pair, or an option is out of range.

    Examples
    --------
    >>> import numpy as np, xarray as xr, ssbmaps
    >>> result = xr.Dataset(
    ...     {
    ...         "abundance": (("component", "y", "x"), np.ones((2, 3, 4)), {"units": "counts"}),
    ...         "spectra": (("component", "mz"), [[0.7, 0.3, 0.0], [0.0, 0.2, 0.8]]),
    ...     },
    ...     coords={"mz": [31.97, 62.96, 78.96]},
    ... )
    >>> fig = ssbmaps.figures.component_figure(result)
    >>> fig.axes[-1].get_xlabel()
    'm/z (Da)'
    """
    from ssbmaps.figures._canvas import finished
    from ssbmaps.figures._grid import read_grid
    from ssbmaps.figures._panels import MapPanel, map_sheet
    from ssbmaps.figures._scale import Wish, number_colours
    from ssbmaps.figures._spectra import SpectrumPlot

    subject = "figures.component_figure"
    pair = next((p for p in _PAIRS if all(name in getattr(components, "data_vars", ()) for name in p[:2])), None)
    if pair is None:
        raise SsbmapsError(
            f"{subject}: expected a Dataset with abundance and spectra, or scores and loadings, got "
            f"{', '.join(map(str, getattr(components, 'data_vars', ()))) or type(components).__name__}."
        )
    maps, spectra = canonical(components[pair[0]]), canonical(components[pair[1]])
    _check(maps, spectra, peaks, subject)
    wish = Wish.checked(subject, percentile, None, "linear", cmap)
    channel = spectral_dim(spectra, subject=subject)
    position = axis_values(components, channel, subject=subject)
    values = to_dense(spectra.data).astype(np.float64)
    labels = maps["component"].values if "component" in maps.coords else range(len(values))
    panels, plots = [], []
    for i, label in enumerate(labels):
        image = dense_map(maps.isel(component=i), subject=subject)
        panels.append(MapPanel(f"component {label}", image, number_colours([image], wish, whole=False, subject=subject)))
        plots.append(SpectrumPlot(channel, position, values[i], pair[2], peaks, last=i == len(values) - 1))
    return finished(map_sheet(panels, read_grid(maps, subject=subject), quantity=quantity_label(maps), beside=plots))


def _check(maps: xr.DataArray, spectra: xr.DataArray, peaks: object, subject: str) -> None:
    with Faults(subject) as faults:
        check_array(maps, subject=subject, dims=("component", "y", "x"), faults=faults)
        check_array(spectra, subject=subject, dims=("component",), finite=True, faults=faults)
        for obj, most in ((maps, 3), (spectra, 2)):
            faults.expect(obj.ndim == most, f"{obj.name} has dims {tuple(obj.dims)}; pick one of the others with .isel().")
        faults.expect(maps.sizes.get("component") == spectra.sizes.get("component"), "maps and spectra differ in components.")
        faults.expect(isinstance(peaks, int) and peaks >= 0, f"peaks={peaks!r}; expected a whole number of 0 or more.")
