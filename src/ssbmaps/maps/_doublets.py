"""Ions closer than their peaks are wide: a fit of all of them on the summed spectrum, and the map of each of them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import canonical, measured_mask
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._ions import Ion, parse_ion
from ssbmaps._provenance import finish
from ssbmaps.maps._peak_shape import FWHM_PER_SIGMA, TAIL_MEAN, TAIL_SD, PeakFit, PeakModel, fit, information_inverse
from ssbmaps.maps._peaks import CELLS_PER_WIDTH, LEAST_COUNTS, Peak, Spectrum
from ssbmaps.maps._resolution import ShapeAt, away_from, common_peaks, shape_at, spectrum_of
from ssbmaps.maps._spectrum import cells, pixel_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "maps.separate_doublet"
SHARE_ERROR = 0.1  # of each ion, were all equally strong: the error up to which a pair counts as separable
KEPT_INFORMATION = 0.5  # or the least part of the counts' information on the shares that the overlap leaves
_MARGIN = 1.5  # full widths fitted beyond the outermost ions
_FARTHEST = 12.0  # full widths between neighbours, beyond which there is no doublet


@dataclass(frozen=True, slots=True)
class Doublet:
    """A fitted group of neighbours: the model, its fit, the counts' linear estimator, and how well they are told apart."""

    ions: tuple[Ion, ...]
    shape: ShapeAt
    model: PeakModel
    fit: PeakFit
    counts: Floats
    origin: float
    unit: float
    estimator: Floats
    cell_of_channel: NDArray[np.int64]
    share_sd_equal: float
    separable: bool

    @property
    def total(self) -> Floats:
        """Counts of each ion."""
        return np.asarray(self.estimator @ self.counts)

    @property
    def covariance(self) -> Floats:
        """Covariance of `total`: counts, background, shape and mass scale; the misfit included."""
        k = len(self.ions)
        return np.asarray(self.fit.covariance[:k, :k] * self.fit.dispersion)

    @property
    def total_sd(self) -> Floats:
        """Standard errors of `total`."""
        return np.asarray(np.sqrt(np.diag(self.covariance)))


def separate_doublet(cube: xr.DataArray, ions: Sequence[str], *, resolution: float | None = None) -> xr.Dataset:
    """Tell apart ions that lie within each other's peak width, and map each without the others' share.

    The summed spectrum is fitted by Poisson likelihood with one peak for each ion at its exact mass, on a flat background.
    The peaks' shape, width and place on the mass scale come from the clean peaks of common ions in the same data
    (`mass_resolution`) with the scatter from peak to peak as their uncertainty; each ion may differ from the others by that
    scatter, and never by less than 3 % of the width. All of that is part of the errors. With the fitted peaks each
    pixel's channels are then weighted so that an ion's own counts add up to their number and the others' to zero (the
    Poisson-weighted least-squares estimator): unbiased in every pixel, and the maps add up to the fitted totals.

    Parameters
    ----------
    cube : xarray.DataArray
        (…, y, x, mz) counts, mz in Da; dense, sparse or dask. Calibrate it first if its mass scale is off (`calibrate_mass`).
    ions : sequence of str
        Two ions or more, such as ``["PS-", "PO2-"]``: all that may be there, since what is not named is counted to its
        neighbours.
    resolution : float, optional
        Mass resolution m/Δm of the peaks (full width at half maximum) for spectra without a clean peak of their own; taken to
        be right to 10 %, and the mass scale to a quarter of a width.

    Returns
    -------
    xarray.Dataset
        `counts` (…, fragment, y, x) and `counts_sd`: the map of each ion, and its counting error (0 in a pixel without counts,
        as √N has it). Values can be negative, so that means stay unbiased; NaN in unmeasured pixels, and everywhere if the
        ions are not separable.
        Along ``fragment``: `total` and `total_sd`, `share` of the group and `share_sd`; `correlation` (partner, fragment) of the
        totals. `separable` (0/1) and `share_sd_equal`, the share's error had all ions been equally strong, by which that is
        decided. `needed_resolution` (m/Δm at which the closest two are one full width apart) beside `resolution` and
        `resolution_sd` measured, `mass_shift` (ppm), `dispersion` (deviance per degree of freedom, 1 if the peaks describe the
        spectrum; errors of the totals are multiplied by its root), and for a plot along ``mz`` `spectrum`, `background` and
        `fitted` (fragment, mz) in counts per cell. Attribute `references` names the peaks that gave the shape.

    Raises
    ------
    SsbmapsError
        If fewer than two different ions of one polarity are named, they lie outside the axis or too far apart to disturb each
        other, or the spectrum holds no peak shape (one channel per peak; no clean peak and no `resolution`).

    Warns
    -----
    DataQualityWarning
        If the ions are not separable, or the fit leaves more than counting noise: another ion or another shape.

    Notes
    -----
    Separable means: had the same counts been shared equally, each ion's count would be known to 10 %, uncertainty of the
    shape included; or, if counts are so few that this cannot be, the overlap costs at most half of the information on the
    shares that resolved peaks with these counts would hold (Fisher information). Both depend on the separation in widths, on
    how well the shape is known and on the number of counts, and not on how strong each ion happens to be.

    Examples
    --------
    >>> from ssbmaps import maps, synthetic
    >>> section = synthetic.cross_section(shape=(48, 64), n_scans=2, geometry="planar")
    >>> cube = synthetic.spectrum_cube(section, resolution=6000)
    >>> pair = maps.separate_doublet(cube, ["PS-", "PO2-"])
    >>> int(pair.separable), pair.counts.dims
    (1, ('fragment', 'y', 'x'))
    >>> truth = section.counts.sel(fragment=["PS-", "PO2-"]).sum(["scan", "y", "x"])
    >>> bool((abs(pair.total - truth.values) < 4 * pair.total_sd).all())
    True
    """
    parsed = _checked_ions(ions, resolution)
    spectrum = spectrum_of(cube, subject=SUBJECT)
    peaks = common_peaks(spectrum, charge=parsed[0].charge) if resolution is None else []
    group = fit_group(spectrum, parsed, peaks, resolution=resolution)
    result = _as_dataset(group)
    maps, sd = _maps(cube, group)
    result["counts"], result["counts_sd"] = maps, sd
    _warn(group)
    arguments = {"ions": list(ions), "resolution": resolution}
    result = finish(canonical(result), function=SUBJECT, arguments=arguments, sources=[cube])
    result.attrs["references"] = " ".join(group.shape.references)
    return result


def _checked_ions(ions: Sequence[str], resolution: float | None) -> tuple[Ion, ...]:
    if isinstance(ions, str):
        raise SsbmapsError(f"{SUBJECT}: expected two ions or more, as in ['PS-', 'PO2-'], got the one text {ions!r}.")
    parsed = tuple(parse_ion(i) for i in ions)
    with Faults(SUBJECT) as faults:
        faults.expect(len({i.mz for i in parsed}) > 1, "expected two different ions or more, as in ['PS-', 'PO2-'].")
        faults.expect(len({i.mz for i in parsed}) == len(parsed), "an ion is named twice; name each once.")
        faults.expect(len({i.charge > 0 for i in parsed}) < 2, "ions of both polarities; one spectrum holds only one of them.")
        good = resolution is None or (np.isfinite(resolution) and resolution > 0)
        faults.expect(bool(good), f"resolution is {resolution!r}; expected m/Δm as a positive number.")
    return parsed


def fit_group(spectrum: Spectrum, ions: tuple[Ion, ...], peaks: Sequence[Peak], *, resolution: float | None = None) -> Doublet:
    """Fit neighbouring ions on a summed spectrum; `peaks` of other ions show the shape, unless a resolution is stated."""
    mz = np.array([i.mz for i in ions])
    origin = float(np.log(mz).mean())
    missing = [f"{i.name} ({i.mz:.4f})" for i in ions if not spectrum.covers(i.mz, 0)]
    if missing:
        low, high = np.exp(spectrum.log_mz[[0, -1]])
        raise SsbmapsError(f"{SUBJECT}: {', '.join(missing)} not on the mz axis, {low:.4f} to {high:.4f} Da.")
    shape = _shape(mz, peaks, resolution)
    unit = 1 / shape.resolution
    places = (np.log(mz) - origin) / unit
    apart = np.diff(np.sort(places))
    if apart.max() > _FARTHEST:
        raise SsbmapsError(
            f"{SUBJECT}: {', '.join(i.name for i in ions)} lie up to {apart.max():.0f} peak widths apart "
            f"(m/Δm {shape.resolution:.0f}) and do not disturb each other; maps.fragment_maps is enough."
        )
    shift, shift_sd = shape.shift
    start, stop = origin + shift + unit * (places.min() - _MARGIN), origin + shift + unit * (places.max() + _MARGIN)
    edges, counts, channel = cells(spectrum.log_mz, spectrum.counts, start, stop, unit / CELLS_PER_WIDTH)
    if not (channel >= 0).any():
        raise SsbmapsError(
            f"{SUBJECT}: the axis holds no channel between {np.exp(start):.4f} and {np.exp(stop):.4f} Da, where "
            f"{', '.join(i.name for i in ions)} would be; nothing was recorded there."
        )
    model = PeakModel((edges - origin) / unit, places)
    mean = shape.mean.copy()
    mean[0] -= np.log(unit)
    prior = model.prior(mean, shape.sd, shift=(shift / unit, shift_sd / unit), likeness=(shape.place, shape.width))
    fitted = _best_fit(model, counts, prior)
    equal, separable = _told_apart(model, fitted, prior)
    estimator = _estimator(model, fitted)
    return Doublet(ions, shape, model, fitted, counts, origin, unit, estimator, channel, equal, separable)


def _shape(mz: Floats, peaks: Sequence[Peak], resolution: float | None) -> ShapeAt:
    known = shape_at(away_from(peaks, mz), float(np.exp(np.log(mz).mean()))) if resolution is None else None
    if known is not None:
        return known
    if resolution is None:
        raise SsbmapsError(
            f"{SUBJECT}: no clean peak of {4 * LEAST_COUNTS} counts or more over several channels shows how wide peaks are. "
            "Data with one channel per peak hold no shape and are as separate as they will be; else state m/Δm by resolution=…"
        )
    mean = TAIL_MEAN.copy()
    mean[0] = -np.log(resolution * FWHM_PER_SIGMA)
    sd = TAIL_SD.copy()
    sd[0] = 0.1
    return ShapeAt(mean, sd, resolution, 0.1 * resolution, (0.0, 0.25 / resolution), 0.1, 0.1, ())


def _best_fit(model: PeakModel, counts: Floats, prior: tuple[Floats, Floats]) -> PeakFit:
    """Fit from two starts, equal ions and the nearest window's counts, and keep the likelier."""
    middle = (model.edges[1:] + model.edges[:-1]) / 2
    k = model.n_ions
    nearest = np.abs(middle[:, None] - model.places - prior[0][k + 1]).argmin(axis=1)
    total = max(float(counts.sum()), 1.0)
    fits = []
    for amounts in (np.full(k, total / k), np.bincount(nearest, counts, k) + 0.01 * total):
        start = prior[0].copy()
        start[:k], start[k] = amounts, 0.01 * total + 0.1
        fits.append(fit(model, counts, start, prior))
    return min(fits, key=lambda f: f.objective)


def _estimator(model: PeakModel, fitted: PeakFit) -> Floats:
    """(ions, cells) weights of the Poisson-weighted least-squares counts, the background counted apart where there is one."""
    k = model.n_ions
    p = fitted.parameters.copy()
    p[: k + 1] = np.maximum(p[: k + 1], 1.0)
    columns = model.columns(p)
    design = np.column_stack([columns, model.flat]) if fitted.parameters[k] > 0.5 else columns
    variance = columns @ p[:k] + p[k] * model.flat
    weighted = design / variance[:, None]
    return np.asarray((np.linalg.pinv(design.T @ weighted) @ weighted.T)[:k])


def _told_apart(model: PeakModel, fitted: PeakFit, prior: tuple[Floats, Floats]) -> tuple[float, bool]:
    """Standard error of an ion's share were all equally strong, and whether the ions count as separable."""
    k = model.n_ions
    total = float(fitted.parameters[:k].sum())
    if total < 1:
        return np.nan, False
    p = fitted.parameters.copy()
    p[:k] = total / k
    covariance, _ = information_inverse(model, p, prior)
    sd = float(np.sqrt(_share_variance(p[:k], covariance[:k, :k] * fitted.dispersion).max()))
    ideal = (1 - 1 / k) / k / total
    return sd, bool(sd <= SHARE_ERROR / k or ideal / sd**2 >= KEPT_INFORMATION)


def _share_variance(counts: Floats, covariance: Floats) -> Floats:
    """Variance of each ion's share of the sum, to first order."""
    total = counts.sum()
    gradient = np.eye(len(counts)) / total - counts[:, None] / total**2
    return np.asarray(np.einsum("ij,jk,ik->i", gradient, covariance, gradient))


def _maps(cube: xr.DataArray, group: Doublet) -> tuple[xr.DataArray, xr.DataArray]:
    """Map of each ion and its counting error, over the cube's own pixels."""
    import xarray as xr

    used = np.flatnonzero(group.cell_of_channel >= 0)
    ordered = canonical(cube.isel(mz=slice(int(used[0]), int(used[-1]) + 1)))
    matrix = pixel_matrix(ordered, subject=SUBJECT)
    weights = group.estimator[:, group.cell_of_channel[used]].T
    values = np.asarray(matrix @ weights) if group.separable else np.full((matrix.shape[0], len(group.ions)), np.nan)
    spread = np.sqrt(np.asarray(matrix @ weights**2)) if group.separable else values
    mask = measured_mask(cube)
    shape = (*ordered.shape[:-1], len(group.ions))
    found = []
    for array, name in ((values, "counts of the ion alone"), (spread, "counting error")):
        kept: dict[str, Any] = {str(n): c for n, c in ordered.coords.items() if "mz" not in c.dims}
        attrs = {"units": "counts", "long_name": name}
        image = xr.DataArray(array.reshape(shape), kept, (*ordered.dims[:-1], "fragment"), attrs=attrs)
        found.append(image if mask is None else image.where(xr.DataArray(mask, dims=("y", "x"))))
    return found[0], found[1]


def _as_dataset(group: Doublet) -> xr.Dataset:
    import xarray as xr

    k = len(group.ions)
    names = [i.name for i in group.ions]
    mz = np.array([i.mz for i in group.ions])
    ordered = np.sort(mz)
    total, sd = group.total, group.total_sd
    share_sd = np.sqrt(_share_variance(total, group.covariance)) if total.sum() >= 1 else np.full(k, np.nan)
    p = group.fit.parameters
    edges = np.exp(group.origin + group.unit * group.model.edges)
    shift = (p[k + 1] + p[group.model.shape_slice.stop :][:k].mean()) * group.unit
    scalars = {
        "separable": (int(group.separable), "1"),
        "share_sd_equal": (group.share_sd_equal, "1"),
        "needed_resolution": (float((ordered[1:] / np.diff(ordered)).max()), "1"),
        "resolution": (group.shape.resolution, "1"),
        "resolution_sd": (group.shape.resolution_sd, "1"),
        "mass_shift": (1e6 * shift, "ppm"),
        "dispersion": (group.fit.deviance / group.fit.freedom, "1"),
    }
    return xr.Dataset(
        {
            "total": ("fragment", total, {"units": "counts"}),
            "total_sd": ("fragment", sd, {"units": "counts"}),
            "share": ("fragment", total / total.sum() if total.sum() >= 1 else np.full(k, np.nan), {"units": "1"}),
            "share_sd": ("fragment", share_sd, {"units": "1"}),
            "correlation": (("fragment", "partner"), group.covariance / np.outer(sd, sd), {"units": "1"}),
            **{n: ((), v, {"units": u}) for n, (v, u) in scalars.items()},
            "spectrum": ("mz", group.counts, {"units": "counts", "long_name": "summed spectrum, counts per cell"}),
            "fitted": (("fragment", "mz"), (group.model.columns(p) * p[:k]).T, {"units": "counts"}),
            "background": ("mz", p[k] * group.model.flat, {"units": "counts"}),
        },
        coords={
            "fragment": names,
            "partner": names,
            "fragment_mz": ("fragment", mz, {"units": "Da", "long_name": "exact m/z"}),
            "mz": ("mz", (edges[1:] + edges[:-1]) / 2, {"units": "Da", "long_name": "m/z"}),
        },
    )


def _warn(group: Doublet) -> None:
    names = " and ".join(i.name for i in group.ions)
    ordered = np.sort([i.mz for i in group.ions])
    needed = float((ordered[1:] / np.diff(ordered)).max())
    if not group.separable:
        warnings.warn(
            f"{SUBJECT}: {names} cannot be told apart in these data: full resolution needs m/Δm {needed:.0f}, measured "
            f"{group.shape.resolution:.0f} ± {group.shape.resolution_sd:.0f}, {group.counts.sum():.0f} counts in all. Their maps "
            "are NaN; a window over both holds their sum, which maps.fragment_maps gives. Report it as the sum.",
            DataQualityWarning,
            stacklevel=3,
        )
    elif group.fit.deviance > 3 * group.fit.freedom + 10:
        warnings.warn(
            f"{SUBJECT}: peaks of {names} leave {group.fit.dispersion:.1f} times the scatter of counts: another ion lies among "
            "them, or their peaks differ from those of the clean ions. Errors are widened for it; see `spectrum` and `fitted`.",
            DataQualityWarning,
            stacklevel=3,
        )
