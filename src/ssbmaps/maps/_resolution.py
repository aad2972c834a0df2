"""Measured mass resolution m/Δm of clean peaks, and what it and the peaks' shape are at another mass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._battery_ions import COMMON
from ssbmaps._conventions import check_array
from ssbmaps._errors import SsbmapsError
from ssbmaps._ions import parse_ion
from ssbmaps._provenance import finish
from ssbmaps.maps._peak_shape import N_SHAPE, TAIL_SD, propagate, robust_line, shape_fwhm
from ssbmaps.maps._peaks import LEAST_COUNTS, Peak, Spectrum, fit_single, guess_width, ions_of, tops, typical_width
from ssbmaps.maps._spectrum import mass_axis, summed_spectrum, warn_unless_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps._ions import Ion

    Floats = NDArray[np.float64]

REACH = 1e-3  # relative distance from the expected m/z within which a peak is looked for
LIKENESS = 0.03  # least difference between the peaks of two ions, in widths: their energies and angles of emission differ
_LEAST_FOR_SHAPE = 4 * LEAST_COUNTS
_TAIL_LIKENESS = 0.3  # the same for the logarithms of a tail's share and decay
_UNSURE = 0.1  # difference between two ions, in widths, where fewer than three peaks show it
_UNSURE_PLACE = 0.25  # error of the mass scale, in widths, where fewer than three peaks show it
_OUTLIER = 3.5  # robust standard deviations


def mass_resolution(cube: xr.DataArray, ions: Sequence[str] | None = None) -> xr.Dataset:
    """Measure m/Δm on clean single peaks of the summed spectrum.

    Each peak is fitted by Poisson likelihood with a Gaussian core and an early and a late exponential tail on a flat
    background; Δm is the full width at half maximum of the fitted shape. Without `ions`, those ions that are common in
    the cube's polarity are looked for within 1000 ppm of their place, and peaks that are too weak (fewer than 200 counts),
    or broader or narrower than the trend of all others over mass, are left out: these are no single peaks.

    Parameters
    ----------
    cube : xarray.DataArray
        (…, mz) counts with mz in Da, dense, sparse or dask; all other dimensions are summed.
    ions : sequence of str, optional
        Ions to measure, such as ``["C2-", "Cl-"]``; all of them are then reported, clean or not.

    Returns
    -------
    xarray.Dataset
        Along ``fragment``: `resolution` (m/Δm) and `resolution_sd`, `fwhm` and `fwhm_sd` (Da), `centre` (Da; the top of the
        fitted peak) and `centre_sd`, `counts` of the peak, and `dispersion`, the deviance per degree of freedom (1: the shape
        describes the peak; the errors are multiplied by its root). Coordinate ``mz`` is the ion's exact m/z.

    Raises
    ------
    SsbmapsError
        If there is no mz axis, an ion named has no peak, or no peak at all can be measured, as in data that hold one
        channel per peak.

    Notes
    -----
    Unmeasured pixels add nothing. The error is that of the counts, the misfit included.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import maps
    >>> mz = np.arange(34.9, 35.04, 0.001)
    >>> peak = 4000 * np.exp(-0.5 * ((mz - 34.9694) / 0.003) ** 2)
    >>> cube = xr.DataArray(peak[None, None].round(), dims=("y", "x", "mz"), coords={"mz": mz}, attrs={"units": "counts"})
    >>> measured = maps.mass_resolution(cube, ["Cl-"])
    >>> abs(float(measured.resolution[0]) / (34.9694 / (2.3548 * 0.003)) - 1) < 0.02
    True
    """
    subject = "maps.mass_resolution"
    spectrum = spectrum_of(cube, subject=subject)
    wanted = ions_of(ions, cube, subject=subject)
    peaks = find_peaks(spectrum, wanted)
    if ions is None:
        peaks = alike(peaks)
    else:
        present = {p.ion.name for p in peaks}
        missing = [i.name for i in wanted if i.name not in present]
        if missing:
            raise SsbmapsError(f"{subject}: no peak of {LEAST_COUNTS} counts or more with a shape near {', '.join(missing)}.")
    if not peaks:
        raise SsbmapsError(
            f"{subject}: none of {', '.join(i.name for i in wanted)} has a clean peak of {_LEAST_FOR_SHAPE} counts or more over "
            "several channels. Data with one channel per peak hold no widths; otherwise name ions that are strong in these data."
        )
    return _as_dataset(peaks, cube, ions)


def spectrum_of(cube: xr.DataArray, *, subject: str) -> Spectrum:
    """Summed spectrum of a cube on the logarithmic axis."""
    check_array(cube, subject=subject, dims=["mz"])
    mz = mass_axis(cube, subject=subject)
    warn_unless_counts(cube, subject=subject)
    return Spectrum(np.log(mz), summed_spectrum(cube, subject=subject))


def find_peaks(spectrum: Spectrum, ions: Sequence[Ion], *, reach: float = REACH) -> list[Peak]:
    """Fitted peak nearest in kind to each ion: the highest maximum within `reach`; ions without one are left out."""
    width = typical_width(spectrum, ions, reach=reach)
    found = []
    for ion in ions:
        place = float(np.log(ion.mz))
        if width is None or not spectrum.covers(ion.mz, 0):
            continue
        places, heights = tops(spectrum, place, reach, width)
        highest = float(places[heights.argmax()]) if len(places) else np.inf
        refined = guess_width(spectrum, highest, 1.5 * width) if len(places) else None
        if refined is not None and abs(refined[0] - highest) < width:
            found.append(fit_single(spectrum, ion, *refined))
    return found


def alike(peaks: list[Peak]) -> list[Peak]:
    """Peaks strong enough for a shape whose width and place follow the trend of the others over mass.

    A width off the trend is that of a blend; a place off the trend is that of another ion.
    """
    strong = [p for p in peaks if p.fit.parameters[0] >= _LEAST_FOR_SHAPE]
    if len(strong) < 3:
        return strong
    mz = np.array([p.ion.mz for p in strong])
    width = np.array([shape_fwhm(p.theta)[0] for p in strong])
    place = np.array([p.place - np.log(p.ion.mz) for p in strong]) / np.median(width)
    good = _on_trend(np.log(mz), np.log(width)) & _on_trend(mz**-0.5, place)
    return [p for p, g in zip(strong, good, strict=True) if g]


def _on_trend(x: Floats, y: Floats) -> NDArray[np.bool_]:
    residual = y - np.array([robust_line(x, y, float(v)) for v in x])
    spread = max(1.4826 * float(np.median(np.abs(residual))), LIKENESS)
    return np.asarray(np.abs(residual) <= _OUTLIER * spread)


@dataclass(frozen=True, slots=True)
class ShapeAt:
    """What the reference peaks say of a peak at one mass, in relative mass (Δm/m).

    `mean` and `sd` are those of `theta` (its first element ln sigma); `shift` is how far the mass scale is off there;
    `place` and `width` say how much two ions differ in place (in full widths) and in ln width.
    """

    mean: Floats
    sd: Floats
    resolution: float
    resolution_sd: float
    shift: tuple[float, float]
    place: float
    width: float
    references: tuple[str, ...]


def shape_at(peaks: Sequence[Peak], mz: float) -> ShapeAt | None:
    """Shape and mass scale at `mz` from reference peaks, or None without any.

    ln sigma follows a line in ln m through four peaks or more, the shift a line in 1/√m through three or more; each standard
    deviation holds the error of the mean and the scatter from peak to peak.
    """
    if not peaks:
        return None
    masses = np.array([p.ion.mz for p in peaks])
    theta = np.array([p.theta for p in peaks])
    variance = np.array([p.theta_variance for p in peaks])
    log_mz, never = np.log(masses / mz), len(peaks) + 1
    found = [_predicted(log_mz, theta[:, i], variance[:, i], least=never if i else 4, unsure=_UNSURE) for i in range(N_SHAPE)]
    mean, error = np.array([f[0] for f in found]), np.array([f[1] for f in found])
    scatter = np.maximum([f[2] for f in found], [LIKENESS, *[_TAIL_LIKENESS] * (N_SHAPE - 1)])
    fwhm = shape_fwhm(mean)[0]
    places = np.array([p.place for p in peaks])
    place_variance = np.array([p.fit.covariance[2, 2] * p.fit.dispersion * p.guess**2 for p in peaks])
    shift, shift_error, moved = _predicted(
        masses**-0.5 - mz**-0.5, places - np.log(masses), place_variance, least=3, unsure=_UNSURE * fwhm
    )
    place = max(moved / fwhm, LIKENESS)
    spread = float(np.hypot(shift_error, place * fwhm)) if len(peaks) > 2 else _UNSURE_PLACE * fwhm
    return ShapeAt(
        mean,
        np.minimum(np.hypot(error, scatter), TAIL_SD),
        1 / fwhm,
        float(np.hypot(error[0], scatter[0])) / fwhm,
        (shift, spread),
        place,
        float(scatter[0]),
        tuple(p.ion.name for p in peaks),
    )


def _predicted(x: Floats, y: Floats, variance: Floats, *, least: int, unsure: float) -> tuple[float, float, float]:
    """Mean at x = 0 with its standard error, and the scatter of the points beyond their own errors (DerSimonian–Laird).

    A line through `least` points or more, a mean through fewer. Two points or one do not show the scatter: it is `unsure` then.
    """
    design = np.ones((len(x), 1)) if len(x) < least else np.column_stack([np.ones(len(x)), x])
    left = len(x) - design.shape[1]
    between = 0.0 if left > 0 and len(x) > 2 else unsure**2
    for _ in range(2):
        weights = 1 / (variance + between)
        covariance = np.linalg.pinv(design.T @ (design * weights[:, None]))
        solution = covariance @ (design.T @ (weights * y))
        if between == 0 and left > 0:
            hat = np.einsum("ij,jk,ik->i", design, covariance, design) * weights
            excess = float(weights @ (y - design @ solution) ** 2) - left
            between = max(excess / float(weights @ (1 - hat)), 0.0)
    return float(solution[0]), float(np.sqrt(covariance[0, 0])), float(np.sqrt(between))


def common_peaks(spectrum: Spectrum, *, charge: int) -> list[Peak]:
    """Fitted peaks of the common ions of one polarity, clean or not."""
    return find_peaks(spectrum, [parse_ion(i) for i in COMMON["positive" if charge > 0 else "negative"]])


def away_from(peaks: Sequence[Peak], masses: Iterable[float]) -> list[Peak]:
    """Clean ones of the peaks, without those near any of the masses."""
    near = list(masses)
    return alike([p for p in peaks if all(abs(np.log(p.ion.mz / m)) > 3 * REACH for m in near)])


def _as_dataset(peaks: list[Peak], cube: xr.DataArray, ions: Sequence[str] | None) -> xr.Dataset:
    import xarray as xr

    rows = np.array([_row(p) for p in peaks])
    names = ("resolution", "resolution_sd", "fwhm", "fwhm_sd", "centre", "centre_sd", "counts", "dispersion")
    units = ("1", "1", "Da", "Da", "Da", "Da", "counts", "1")
    result = xr.Dataset(
        {n: ("fragment", rows[:, i], {"units": u}) for i, (n, u) in enumerate(zip(names, units, strict=True))},
        coords={
            "fragment": [p.ion.name for p in peaks],
            "mz": ("fragment", [p.ion.mz for p in peaks], {"units": "Da", "long_name": "exact m/z"}),
        },
    )
    result["resolution"].attrs["long_name"] = "m/Δm, full width at half maximum"
    arguments = {"ions": None if ions is None else list(ions)}
    return finish(result, function="maps.mass_resolution", arguments=arguments, sources=[cube])


def _row(peak: Peak) -> tuple[float, ...]:
    p, covariance = peak.fit.parameters, peak.fit.covariance * peak.fit.dispersion
    width, top = shape_fwhm(p[3:])
    relative = width * peak.guess
    relative_sd = propagate(lambda q: shape_fwhm(q[3:])[0], p, covariance) * peak.guess
    centre = float(np.exp(peak.top + (p[2] + top) * peak.guess))
    centre_sd = float(np.sqrt(covariance[2, 2])) * peak.guess * centre
    fwhm = relative * centre
    return (
        1 / relative,
        relative_sd / relative**2,
        fwhm,
        relative_sd * centre,
        centre,
        centre_sd,
        float(p[0]),
        peak.fit.dispersion,
    )
