"""Drift between the scans of a series: the public function, which estimates shifts and leaves the counts alone."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import SERIES_DIMS, SPECTRAL_UNITS, canonical, channel_dim, check_array, measured_mask, pixel_size
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._provenance import finish

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.maps._shift_fit import Fit
    from ssbmaps.maps._shift_search import Located

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_SUBJECT = "maps.align_scans"
_COARSEST = 128  # px; the map is halved while its shorter side stays at least this long


def align_scans(series: xr.DataArray) -> xr.Dataset:
    """Estimate how far each scan of a series is displaced against the mean of all; counts are not touched.

    Adding the shift to the y and x coordinates of a scan brings it onto the common frame: where the sample moved by
    +0.1 um, the shift is −0.1 um. The frame is the mean position of the scans that could be aligned, so that their
    shifts sum to zero. All fragments are fitted together, each by the information that it holds.

    Parameters
    ----------
    series : xarray.DataArray
        Counts (scan, fragment, y, x), or without fragment; `time` or `z` may stand in for `scan`. Dense, sparse or dask.
        Coordinates y and x give the pixel size, um. Pixels not in the coordinate `measured`, and NaN, take no part.

    Returns
    -------
    xarray.Dataset
        Along scan: ``shift_y``, ``shift_x`` and ``shift_y_sd``, ``shift_x_sd``, um; ``shared``, how much of the structure
        of the other scans is found in this one (1: all of it, 0: another place); ``dispersion``, mean squared residual
        over the one expected from Poisson counts. Along fragment: ``information``, share of the fragment in the result.
        Scans that cannot be aligned have NaN and are named in a warning; never 0.

    Raises
    ------
    SsbmapsError
        If there is no one series dimension, fewer than two scans, no pixel size, if values are not counts, or if no two
        scans share any structure.

    Warns
    -----
    DataQualityWarning
        Names scans that are blank, repeat another, are of another size, share less than half of the others' structure
        (drift beyond the overlap, or another place), and axes along which the map shows too little to tell a shift.

    Notes
    -----
    Every scan is first looked for at all lags with at least half of the map in common. It is accepted if the
    regression of its structure on that of the others exceeds one half, and exceeds zero by more than chance gives once
    in a thousand scans. Gauss–Newton steps, on blocks of pixels for large maps and then on single ones, refine the
    shift: the scan, smoothed by 1 px and moved, is compared with the mean of all other moved scans (its own noise is not in the
    reference), and the difference is projected on the gradient of that mean over its variance. The gradient is freed
    from its local mean (3.5 px, 1 sigma), relative to the counts: what varies slowly and stays with the raster, such as the
    detection gain, then neither pulls shifts to zero nor counts as structure. A strong pattern of the raster on a few
    pixels over a sample of little contrast would still pull, and shows in `dispersion`. Overall changes of a fragment from
    scan to scan are fitted. Errors come from the Poisson variance of scan and reference, widened by the root of `dispersion`
    where that exceeds 1; the information is the product of gradients from two halves of the scans, so that noise does
    not pass for structure.

    Examples
    --------
    >>> from ssbmaps import maps, synthetic
    >>> section = synthetic.cross_section(seed=2, shape=(96, 128), n_scans=4)
    >>> found = maps.align_scans(section.counts)
    >>> error = found.shift_x + (section.drift_x - section.drift_x.mean())
    >>> bool((abs(error) < 4 * found.shift_x_sd).all())
    True
    """
    dim = _series_dim(series)
    dy, dx = pixel_size(series, subject=_SUBJECT)
    ordered = canonical(series)
    counts = _dense(ordered, dim)
    names = [f"{dim} {v}" for v in (ordered.coords[dim].values if dim in ordered.coords else range(len(counts)))]
    located, fit, use, notes = _estimate(counts, measured_mask(ordered), names)
    n_scans = len(counts)
    shifts, sd = np.full((n_scans, 2), np.nan), np.full((n_scans, 2), np.nan)
    shared, dispersion = np.full(n_scans, np.nan), np.full(n_scans, np.nan)
    dispersion[use] = fit.dispersion
    shifts[use] = -fit.shifts
    sd[use] = np.sqrt(np.einsum("kii->ki", fit.covariance) * np.maximum(fit.dispersion, 1.0)[:, None])
    notes += _blind_axes(shifts, sd, names)
    shared[located[0]] = located[1].shared
    if notes:
        warnings.warn(f"{_SUBJECT}: " + " ".join(notes), DataQualityWarning, stacklevel=2)
    columns = {"shift_y": (shifts[:, 0] * dy, sd[:, 0] * dy), "shift_x": (shifts[:, 1] * dx, sd[:, 1] * dx)}
    return _dataset(ordered, dim, columns, shared=shared, dispersion=dispersion, information=fit.information)


def _series_dim(series: xr.DataArray) -> str:
    check_array(series, subject=_SUBJECT, dims=("y", "x"))
    found = [d for d in SERIES_DIMS if d in series.dims]
    channel = channel_dim(series, subject=_SUBJECT)
    spectral = [d for d in SPECTRAL_UNITS if d in series.dims]
    other = [str(d) for d in series.dims if d not in (*found, channel, *spectral, "y", "x")]
    with Faults(_SUBJECT) as faults:
        faults.expect(
            len(found) == 1, f"expected one series dimension out of {', '.join(SERIES_DIMS)}, got dims {tuple(series.dims)}."
        )
        faults.expect(not spectral, f"a cube along {', '.join(spectral)}; expected maps. Use maps.fragment_maps first.")
        faults.expect(not other, f"dimension {', '.join(other)} is not known here. Pick one value with .isel().")
        units = series.attrs.get("units", "counts")
        faults.expect(units == "counts", f"values are in {units!r}; expected counts, since the errors follow from them.")
        short = len(found) == 1 and series.sizes[found[0]] < 2
        faults.expect(not short, "a single scan; expected at least two, since a shift is relative to the other scans.")
    return found[0]


def _dense(ordered: xr.DataArray, dim: str) -> NDArray[Any]:
    """(scan, channel, row, column) counts."""
    channel = channel_dim(ordered, subject=_SUBJECT)
    values = to_dense(ordered.transpose(dim, *([channel] if channel else []), "y", "x").data)
    low, high = float(np.nanmin(values, initial=0)), float(np.nanmax(values, initial=0))
    with Faults(_SUBJECT) as faults:
        faults.expect(low >= 0, f"negative counts (lowest {low:g}); expected 0 or more. Align before anything is subtracted.")
        faults.expect(np.isfinite(high), "infinite values; expected finite counts, NaN where not measured.")
    return values if channel else values[:, None]


def _estimate(
    counts: NDArray[Any], measured: Bools | None, names: list[str]
) -> tuple[tuple[NDArray[np.int64], Located], Fit, NDArray[np.int64], list[str]]:
    """Usable scans with where they were found, the fit of those found, their positions, and what to tell the caller."""
    from ssbmaps.maps._scan_checks import measured_parts, unusable_scans
    from ssbmaps.maps._shift_fit import fit_shifts, pyramid
    from ssbmaps.maps._shift_search import locate

    bad, notes = unusable_scans(counts, names)
    usable = np.flatnonzero(~bad)
    kept = [names[k] for k in usable]
    shape = counts.shape[-2:]
    masks, odd = measured_parts(counts[usable], np.ones(shape, bool) if measured is None else measured, kept)
    notes += odd
    levels = 1 + max(0, int(np.log2(max(min(shape) / _COARSEST, 1))))
    images = pyramid(np.nan_to_num(counts[usable]) * masks[:, None], masks, levels)
    located = locate(*images[-1]) if len(usable) > 1 else None
    if located is None or not located.found.any():
        raise SsbmapsError(
            f"{_SUBJECT}: no two scans share structure that stands out of the counting noise, so that no shift can be told. "
            + " ".join([*notes, "Expected maps with edges, from one area. Give more fragments, or sum neighbouring scans."])
        )
    for k in np.flatnonzero(~located.found):
        notes.append(
            f"{kept[k]} shares {located.shared[k]:.2f} of the structure of the other scans; expected more than half, beyond the "
            "noise. Drift beyond the overlap, another place or too few counts: its shift is NaN."
        )
    found = located.found
    fit = fit_shifts([(c[found], m[found]) for c, m in images], located.shifts[found] * 2 ** (levels - 1))
    return (usable, located), fit, usable[found], notes


def _blind_axes(shifts: Floats, sd: Floats, names: list[str]) -> list[str]:
    """Set shifts to NaN that are known to no better than a pixel; a sentence per axis."""
    from ssbmaps.maps._shift_fit import MAX_SD

    notes = []
    for axis, word in enumerate(("y", "x")):
        blind = sd[:, axis] > MAX_SD
        if blind.any():
            who = "all scans" if blind.sum() == np.isfinite(sd[:, axis]).sum() else ", ".join(np.array(names)[blind])
            notes.append(f"The shift along {word} of {who} is not known to a pixel (too little structure or counts) and is NaN.")
            shifts[blind, axis] = sd[blind, axis] = np.nan
    return notes


def _dataset(series: xr.DataArray, dim: str, columns: dict[str, tuple[Floats, Floats]], **others: Floats) -> xr.Dataset:
    import xarray as xr

    channel = channel_dim(series, subject=_SUBJECT)
    keep = {str(k): v for k, v in series.coords.items() if v.dims == (dim,) or (channel and v.dims == (channel,))}
    variables: dict[str, Any] = {}
    for name, (value, sd) in columns.items():
        axis = name[-1]
        variables[name] = (dim, value, {"units": "um", "long_name": f"shift along {axis} that brings the scan onto the mean"})
        variables[f"{name}_sd"] = (dim, sd, {"units": "um", "long_name": f"standard deviation of the shift along {axis}"})
    shared = {"units": "1", "long_name": "share of the other scans' structure found in the scan"}
    variables["shared"] = (dim, others["shared"], shared)
    variables["dispersion"] = (dim, others["dispersion"], {"units": "1", "long_name": "residual over Poisson variance"})
    if channel:
        variables["information"] = (channel, others["information"], {"units": "1", "long_name": "share in the result"})
    return finish(
        xr.Dataset(variables, keep),
        function=_SUBJECT,
        arguments={"series": series},
        sources=[series],
        long_name="shifts of scans; counts are not changed",
    )
