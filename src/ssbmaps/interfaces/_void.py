"""Void fraction of a section over time, with intervals for the material and paired changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import RASTER_DIMS, canonical, check_array, measured_mask, pixel_size, same_grid
from ssbmaps._errors import SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._operando_result import along_time, times_of, with_errors
from ssbmaps.interfaces._paired import field_mean
from ssbmaps.maps._flags import read_flags
from ssbmaps.maps._fractions import FEWEST, LEVEL, fraction_row

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SUBJECT = "interfaces.void_fraction"
WORDING = "area fraction of this section; equals the volume fraction where the section is isotropic and uniform"


def void_fraction(labels: xr.DataArray, *, void: str = "void", region: xr.DataArray | None = None) -> xr.Dataset:
    """Area fraction of voids at every time, with the interval for the material, and its change since the first time.

    Parameters
    ----------
    labels : xarray.DataArray
        Labels (time, y, x) or (y, x) with flags, from `ssbmaps.maps.label_phases`, or a boolean map of the voids.
    void : str
        Name of the voids in the labels.
    region : xarray.DataArray, optional
        Boolean (y, x): only these pixels count, for example one layer.

    Returns
    -------
    xarray.Dataset
        Along time (a single one without that dimension): ``fraction`` of the measured pixels of the region, unassigned ones
        among them, and ``change`` since the first time, each with ``_sd``, ``_low``, ``_high`` (95 %); ``correlation_length``,
        um, side of the square that counts as one independent observation; ``n_independent``, how many there are; ``n_pixels``;
        ``statement``. Where fewer than 2 observations are independent all but the values are NaN. Where there is no void, the
        interval runs from 0 to what the fewest independent observations of another time exclude, NaN without one.

    Raises
    ------
    SsbmapsError
        If `labels` have no flags, dims or pixel size, `void` is unknown, or no pixel is left.
    GridMismatchError
        If `region` lies on other pixels.

    Notes
    -----
    Var f = Σ W(r) C(r), C the two-point covariance and W(r) the share of all pixel pairs at lag r, ended where C first falls to
    zero: the integral range [1]_, as in `ssbmaps.maps.phase_fractions`; Student's t on the scale of log f/(1 − f). The change is
    that of the same pixels: the covariance is taken of the difference of both maps, so that voids which stay cancel. The area
    fraction is an unbiased estimate of the volume fraction for a section that is uniform and random with respect to the
    material [2]_; a section chosen where voids are, or torn ones, is none. Errors of the labels are in no interval: voids
    narrower than the beam are not seen.

    References
    ----------
    .. [1] Lantuéjoul 1991, J. Microsc. 161, 387, doi 10.1111/j.1365-2818.1991.tb03099.x.
    .. [2] Delesse 1847, C. R. Acad. Sci. 25, 544.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> from ssbmaps.interfaces import void_fraction
    >>> voids = synthetic.void_series(seed=1)
    >>> found = void_fraction(voids.labels)
    >>> bool((found.fraction_low < voids.fraction).all() and (voids.fraction < found.fraction_high).all())
    True
    """
    import xarray as xr

    check_array(labels, subject=SUBJECT, dims=RASTER_DIMS)
    whole = labels if "time" in labels.dims else labels.expand_dims(time=[0.0])
    times_of(whole, subject=SUBJECT)
    masks, known = _read(whole, void, region)
    pixel = pixel_size(labels, subject=SUBJECT)
    rows = np.array([fraction_row(mask & known, known, pixel) for mask in masks])
    there = rows[:, 5][np.isfinite(rows[:, 5])]
    if len(there) and there.min() >= FEWEST:
        rows[rows[:, 0] == 0, 2:4] = 0.0, 1 - (1 - LEVEL) ** (1 / there.min())
    change = [np.zeros(4)]
    for mask in masks[1:]:
        change.append(field_mean(mask.astype(np.float64) - masks[0], known, pixel).four)
    variables: dict[str, Any] = with_errors("fraction", ("time",), rows[:, :4].T, "1", "area fraction of voids")
    variables |= with_errors("change", ("time",), np.array(change).T, "1", "change of the void fraction since the first time")
    plain = {
        "correlation_length": (rows[:, 4], "um", "side of the square that counts as one observation"),
        "n_independent": (rows[:, 5], "1", "independent observations in the section"),
        "n_pixels": (np.full(len(rows), int(known.sum()), np.int64), "1", "measured pixels of the region"),
    }
    variables |= {n: ("time", v, {"units": unit, "long_name": text}) for n, (v, unit, text) in plain.items()}
    said = np.array([_said(row, one) for row, one in zip(rows, change, strict=True)], dtype=str)
    variables["statement"] = ("time", said, {"units": "1", "long_name": "the result in words"})
    result = xr.Dataset(variables, along_time(whole))
    arguments = {"labels": labels, "void": void, "region": region}
    result = finish(result, function=SUBJECT, arguments=arguments, sources=[labels])
    result.attrs["wording"] = WORDING
    return result


def _read(labels: xr.DataArray, void: str, region: Any) -> tuple[Bools, Bools]:
    """Voids (time, y, x), and the measured pixels (y, x) of the region."""
    ordered = canonical(labels)
    if ordered.dims != ("time", "y", "x"):
        raise SsbmapsError(f"{SUBJECT}: labels have dims {tuple(labels.dims)}; expected (time, y, x) or (y, x).")
    if ordered.dtype == bool:
        masks, mask = to_dense(ordered.data), measured_mask(labels)
        known = np.ones(masks.shape[1:], bool) if mask is None else mask
    else:
        flags = [read_flags(ordered.isel(time=i, drop=True), subject=SUBJECT) for i in range(ordered.sizes["time"])]
        masks, known = np.stack([f.mask(void, subject=SUBJECT) for f in flags]), flags[0].measured
    if region is not None:
        check_array(region, subject=f"{SUBJECT}: region", dims=RASTER_DIMS)
        same_grid(labels, region, subject=f"{SUBJECT}: region")
        if region.ndim != 2 or region.dtype != bool:
            got = f"{region.dtype} with dims {tuple(region.dims)}"
            raise SsbmapsError(f"{SUBJECT}: region is {got}; expected booleans (y, x).")
        known = known & to_dense(canonical(region).data)
    if not known.any():
        raise SsbmapsError(f"{SUBJECT}: no measured pixel lies in the region.")
    return np.asarray(masks, bool), known


def _said(row: Floats, change: Floats) -> str:
    value, _, low, high = row[:4]
    ends = f" [{100 * low:.2g}, {100 * high:.2g}]" if np.isfinite(low) else " (no interval: too few independent observations)"
    text = f"Voids take {100 * value:.2g} %{ends} of the section's area; the interval is for the material."
    if np.isfinite(change[1]) and change[1] > 0:
        low, high = 100 * change[2], 100 * change[3]
        text += f" Changed by {100 * change[0]:+.2g} points [{low:+.2g}, {high:+.2g}] since the first time; cause not identified."
    return text.replace("-", "−")
