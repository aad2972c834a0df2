"""Lithium signal of every particle against the distance to its edge, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import RASTER_DIMS, canonical, check_array, fragment_index, measured_mask, pixel_size, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._lithiation_fit import Gradients, gradients
from ssbmaps.interfaces._operando_result import along_time, normal, times_of, with_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

SUBJECT = "interfaces.lithiation"
WEIGHTS = ("perimeter", "area")
WORDING = "counts, not concentration: a gradient of the signal; cause of a change not identified"


def lithiation(
    maps: xr.DataArray,
    distance: xr.DataArray,
    *,
    fragment: str | Sequence[str],
    relative_to: str | Sequence[str] | None = None,
    particles: xr.DataArray | None = None,
    margin: float = 0.0,
    bin_width: float | None = None,
    weight: str = "perimeter",
) -> xr.Dataset:
    """Follow the lithium signal of every particle, and how it changes from its edge to its core, over time.

    Parameters
    ----------
    maps : xarray.DataArray
        Whole counts (time, fragment, y, x) of one area; sum scans first. Without time it is one measurement.
    distance : xarray.DataArray
        Signed distance (y, x) in um to the edge of the core, negative inside, from `ssbmaps.interfaces.distance_to`, whose
        coordinate ``particle`` numbers the particles.
    fragment : str or sequence of str
        The lithium signal, for example "Li+"; several are summed.
    relative_to : str or sequence of str, optional
        Signal of the core that it is divided by, such as "NiO+": takes off yield, tilt and current that both share.
    particles : xarray.DataArray, optional
        Numbers (y, x) of the particles, 0 for none, in place of the coordinate of `distance`.
    margin : float
        Pixels nearer to the edge than this, um, are left out: the beam mixes them with the surroundings. Twice its σ.
    bin_width : float, optional
        Width of the depth bins, um; by default two pixels.
    weight : {"perimeter", "area"}
        What the pooled numbers weight particles by.

    Returns
    -------
    xarray.Dataset
        Along (time, particle): ``particle_signal``, mean counts per pixel, or their ratio to `relative_to`;
        ``particle_gradient``, relative change of the signal per um from the edge inwards (of its mean): above 0 more in the
        core; each with ``_sd``, ``_low``, ``_high`` (95 %). Along ``particle``: ``particle_area`` (um²), ``particle_perimeter``
        (um, from the pixels within a bin of the edge), ``particle_pixels``. Along time: ``signal`` and ``gradient``, pooled,
        with errors that hold the scatter of particles. Along (time, distance): ``profile`` of all particles together with
        ``profile_sd``, `distance` being the middle of the depth bin, negative inside. Particles of fewer than 20 pixels or 3 bins
        have no gradient (NaN).

    Raises
    ------
    SsbmapsError
        If maps are no whole counts, a fragment is unknown, no particle is left, or an option is out of range.
    GridMismatchError
        If the pixels of `maps`, `distance` and `particles` differ.

    Notes
    -----
    Gradient g: least squares of the pixels' counts on mean × (1 + g (depth − mean depth)), with the variance of counting times
    the dispersion (at least 1), from the sums over blocks of 4 × 4 pixels about the fit, so that fluctuation which is alike in
    neighbouring pixels counts. With `relative_to` the gradient is the difference of both, and errors add. Pooled: weighted
    mean, error from the weighted scatter of particles, Student's t for their effective number. A section through a particle
    off its centre shows depths that are too small. A gradient near the edge is also what a wrong edge, the beam or topography
    makes.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import lithiation
    >>> y = x = (np.arange(60) + 0.5) * 0.1
    >>> depth = 2.5 - np.hypot(y[:, None] - 3, x - 3)
    >>> distance = xr.DataArray(-depth, {"y": y, "x": x}, ("y", "x"), attrs={"units": "um"})
    >>> counts = np.random.default_rng(0).poisson(np.where(depth > 0, 20 * (1 + 0.1 * depth), 1))
    >>> place = {"fragment": ["Li+"], "y": y, "x": x}
    >>> maps = xr.DataArray(counts[None], place, ("fragment", "y", "x"), attrs={"units": "counts"})
    >>> found = lithiation(maps, distance, fragment="Li+", particles=(distance < 0).astype(int))
    >>> bool(found.particle_gradient_low.item() < 0.1 / 1.083 < found.particle_gradient_high.item())
    True
    """
    check_array(maps, subject=SUBJECT, dims=(*RASTER_DIMS, "fragment"), counts=True)
    whole = maps if "time" in maps.dims else maps.expand_dims(time=[0.0])
    times_of(whole, subject=SUBJECT)
    pixel = pixel_size(maps, subject=SUBJECT)
    width = 2 * float(np.sqrt(pixel[0] * pixel[1])) if bin_width is None else bin_width
    _check(maps, whole, distance, margin, width, weight)
    number, depth, names = _particles(maps, distance, particles)
    own = (number >= 0) & (depth >= margin)
    if not own.any():
        raise SsbmapsError(f"{SUBJECT}: no measured pixel lies {margin:g} um or more inside a particle.")
    ordered = canonical(whole)
    counts = _picked(ordered, fragment)
    found = gradients(counts, number, depth, own, float(width), len(names))
    if relative_to is not None:
        found = found.over(gradients(_picked(ordered, relative_to), number, depth, own, float(width), len(names)))
    area = np.bincount(number[number >= 0], minlength=len(names)).astype(np.float64) * pixel[0] * pixel[1]
    rim = (number >= 0) & (depth >= 0) & (depth < width)
    perimeter = np.bincount(number[rim], minlength=len(names)).astype(np.float64) * pixel[0] * pixel[1] / float(width)
    share = perimeter if weight == "perimeter" else area
    result = _as_dataset(found, names, share, (area, perimeter), maps, relative_to is not None)
    result = result.assign_coords(along_time(whole))
    arguments = {
        "maps": maps,
        "distance": distance,
        "fragment": fragment,
        "relative_to": relative_to,
        "particles": particles,
        "margin": margin,
        "bin_width": bin_width,
        "weight": weight,
    }
    result = finish(result, function=SUBJECT, arguments=arguments, sources=[maps, distance])
    result.attrs["wording"] = WORDING
    return result


def _check(maps: Any, whole: Any, distance: Any, margin: Any, width: Any, weight: object) -> None:
    check_array(distance, subject=f"{SUBJECT}: distance", dims=RASTER_DIMS)
    same_grid(maps, distance, subject=SUBJECT)
    with Faults(SUBJECT) as faults:
        extra = [str(d) for d in whole.dims if d not in ("time", "fragment", "y", "x")]
        faults.expect(not extra, f"maps have the dimension {', '.join(extra)}; sum over it first.")
        counts = maps.dtype.kind in "iu" and maps.attrs.get("units") == "counts"
        faults.expect(counts, f"maps are {maps.dtype} in {maps.attrs.get('units')!r}; expected whole numbers in 'counts'.")
        faults.expect(distance.ndim == 2, f"distance has dims {tuple(distance.dims)}; expected (y, x).")
        unit = distance.attrs.get("units", "um")
        faults.expect(unit == "um", f"distance is in {unit!r}; expected um.")
        for name, value, least in (("margin", margin, 0.0), ("bin_width", width, 1e-9)):
            good = isinstance(value, (int, float, np.number)) and bool(np.isfinite(value) and value >= least)
            faults.expect(good, f"{name}={value!r}; expected a number of um, {'0 or more' if least == 0 else 'above 0'}.")
        faults.expect(weight in WEIGHTS, f"weight={weight!r}; expected one of {', '.join(WEIGHTS)}.")


def _particles(maps: Any, distance: Any, particles: Any) -> tuple[Ints, Floats, list[int]]:
    """Index of the particle of each pixel inside one (−1: none), depth below the edge (um), and the particles' numbers."""
    if particles is None and "particle" not in distance.coords:
        raise SsbmapsError(f"{SUBJECT}: distance has no coordinate 'particle'; give particles= from maps.label_particles.")
    given = distance.coords["particle"] if particles is None else particles
    if set(given.dims) != {"y", "x"} or given.dtype.kind not in "iu":
        got = f"{given.dtype} with dims {tuple(given.dims)}"
        raise SsbmapsError(f"{SUBJECT}: particles are {got}; expected whole numbers (y, x).")
    same_grid(maps, given, subject=f"{SUBJECT}: particles")
    depth = -to_dense(canonical(distance).data).astype(np.float64)
    labels = to_dense(given.transpose("y", "x").data).astype(np.int64)
    known = measured_mask(maps)
    with np.errstate(invalid="ignore"):
        inside = (labels > 0) & (depth >= 0)
    inside = inside if known is None else inside & known
    names = np.unique(labels[inside])
    if not names.size:
        raise SsbmapsError(f"{SUBJECT}: no measured pixel lies inside a particle; distances are negative inside.")
    return np.where(inside, np.searchsorted(names, labels), -1), np.where(inside, depth, -1.0), [int(v) for v in names]


def _picked(maps: Any, fragment: Any) -> Floats:
    """(time, y, x) sum of the named fragments."""
    index = fragment_index(maps, fragment, subject=SUBJECT)
    return np.asarray(to_dense(maps.isel(fragment=index).data).astype(np.float64).sum(axis=1))


def _as_dataset(
    found: Gradients, names: list[int], share: Floats, sizes: tuple[Floats, Floats], maps: Any, ratio: bool
) -> xr.Dataset:
    import xarray as xr

    units = "1" if ratio else str(maps.attrs.get("units", "counts"))
    by_particle = ("time", "particle")
    text = "signal of the particle" + (", over that of the core" if ratio else ", mean counts per pixel")
    slope = "relative change of the signal per um from the edge inwards"
    variables: dict[str, Any] = with_errors("particle_signal", by_particle, normal(found.signal, found.signal_sd), units, text)
    known = np.where(found.usable, 1.0, np.nan)
    variables |= with_errors("particle_gradient", by_particle, normal(found.slope * known, found.slope_sd * known), "1/um", slope)
    variables |= with_errors("signal", ("time",), _pooled(found.signal, share), units, f"{text}, pooled")
    variables |= with_errors("gradient", ("time",), _pooled(found.slope * known, share), "1/um", f"{slope}, pooled")
    plain = {
        "particle_area": (sizes[0], "um^2", "area of the particle in the section"),
        "particle_perimeter": (sizes[1], "um", "length of its edge in the section"),
        "particle_pixels": (found.n_pixels, "1", "pixels used"),
    }
    variables |= {n: ("particle", v, {"units": unit, "long_name": words}) for n, (v, unit, words) in plain.items()}
    for name, values in (("profile", found.profile), ("profile_sd", found.profile_sd)):
        words = "signal of all particles" + (": standard error" if name.endswith("_sd") else "")
        variables[name] = (("time", "distance"), values[:, ::-1], {"units": units, "long_name": words})
    place = ("distance", -found.depth[::-1], {"units": "um", "long_name": "distance to the edge, negative inside"})
    return xr.Dataset(variables, {"particle": names, "distance": place})


def _pooled(values: Floats, share: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Weighted mean over particles (time), error from their scatter, Student's interval; NaN without two of them."""
    from scipy.stats import t

    rows = []
    for row in values:
        good = np.isfinite(row) & (share > 0)
        if not good.any():
            rows.append((np.nan,) * 4)
            continue
        w = share[good] / share[good].sum()
        mean, concentration = float(w @ row[good]), float(w @ w)
        if good.sum() < 2:
            rows.append((mean, np.nan, np.nan, np.nan))
            continue
        sd = float(np.sqrt((w**2) @ (row[good] - mean) ** 2 / (1 - concentration)))
        half = float(t.ppf(0.975, 1 / concentration - 1)) * sd
        rows.append((mean, sd, mean - half, mean + half))
    table = np.array(rows)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]
