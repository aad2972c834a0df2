"""Effective width of an edge in maps: an error function fitted against the distance, with errors and its own lack of fit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import CHANNEL_DIMS, canonical, check_array, measured_mask, pixel_size, same_grid
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._edge_width_fit import ALONE, REACH, Edge, Side, binned, fit_edge, isolated, sides

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SUBJECT = "interfaces.edge_width"
WORDING = "effective edge width of this interface in these maps, not the resolution of the instrument"
NORMAL_95 = 1.959964
LEAST_PIXELS = 20  # on either side of the edge
LEAST_RATIO = 16.3  # χ² of 3 degrees of freedom at 0.1 %: the edge's contrast, position and width against a constant
LEAST_MISFIT = 0.01  # of the step: less of it changes σ by about as little
REJECT = 0.01  # share of sound edges that are rejected
_FIRST_REACH = 10  # pixels
_ROUNDS = 6
# Distance between two levels of the normal cdf, in σ: exact quantiles, and the full width at half maximum of the line spread.
WIDTHS = {
    "sigma": (1.0, "standard deviation σ"),
    "fwhm": (2.354820, "full width at half maximum of the edge's derivative"),
    "d12_88": (2.349974, "distance from 12 % to 88 % of the step (ISO 18516)"),
    "d16_84": (1.988916, "distance from 16 % to 84 % of the step"),
    "d20_80": (1.683242, "distance from 20 % to 80 % of the step"),
}


def edge_width(
    maps: xr.DataArray, distance: xr.DataArray, *, window: float | None = None, where: xr.DataArray | None = None
) -> xr.Dataset:
    """Fit an error-function edge to maps against the distance to an interface: effective edge width and position.

    μ(s) = level_in · Φ(−(s − offset)/σ) + level_out · Φ((s − offset)/σ), s the distance, averaged over each pixel's area.
    The likelihood is Poisson for whole counts (integers with units "counts"), else Gaussian with the variances found on
    either side. What broadens the edge is all in σ: beam, intermixing, roughness, tilt of the interface, drift and errors of
    the distance. On a battery interface it is an effective edge width, not the instrument's resolution.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (…, y, x), for example (fragment, y, x) or (scan, fragment, y, x); one map (y, x) does as well.
    distance : xarray.DataArray
        Signed distance (y, x) in um on the same pixels, from `ssbmaps.interfaces.distance_to`. If it was found on the same
        counts, their noise has moved the contour too, and σ comes out too small: find it on other scans of the area.
    window : float, optional
        Only pixels with |distance| up to this, in um, are used. By default five times σ, found by repeated fits.
    where : xarray.DataArray, optional
        Boolean (y, x): only these pixels are used, for example one particle or one phase pair.

    Returns
    -------
    xarray.Dataset
        Along the leading dimensions of `maps`, in um: ``sigma`` as seen in the map, the pixel's area included (Δ²/12 for
        square pixels); the same edge in other measures, ``fwhm`` (2.355 σ), ``d12_88`` (2.350 σ, the measure of
        ISO 18516:2019), ``d16_84``, ``d20_80``; ``sigma_corrected``, without the pixel's area; ``offset``, the edge's
        position, positive outside; ``level_in`` and ``level_out`` per pixel in the units of `maps`. Each with ``_sd``,
        ``_low`` and ``_high`` (95 %). ``dispersion``: squared residuals per degree of freedom over those expected; where it
        exceeds 1 the errors are multiplied by its root. ``misfit``: root-mean-square of what the edge leaves unexplained of
        the profile, over the step. ``p_value`` of that lack of fit; ``model_rejected`` is 1 where it is below 0.01 and the misfit
        above 0.01: this is not a single edge, and σ no measure of it. ``likelihood_ratio`` (2 ln L1/L0 over the dispersion)
        against no edge; ``n_pixels``; ``window`` in um.

    Raises
    ------
    SsbmapsError
        If no map shows an edge whose width can be told; each is named with the reason: fewer than 20 pixels on a side, no
        contrast beyond noise (likelihood ratio below 16.3, exceeded by 0.1 % of edgeless maps), an error of σ beyond σ/2, no
        plateau on a side within the window. Negative counts and a wrong unit are refused too.
    GridMismatchError
        If the pixels of `maps`, `distance` and `where` differ.

    Warns
    -----
    DataQualityWarning
        Names maps without a usable edge, where others have one; their results are NaN.

    Notes
    -----
    Pixels with NaN, unmeasured pixels, and pixels nearer than 4 σ to a second edge are left out. The integral over the pixel
    is exact for a straight edge; on a circle of radius R a Gaussian blur moves the edge inwards by σ²/2R, which is part of
    ``offset``, and widens it by less than 1 % for R > 6 σ. D12–88: ISO 18516:2019.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> from ssbmaps.interfaces import edge_width
    >>> section = synthetic.cross_section(shape=(48, 64), n_scans=1, geometry="planar", thickness=0)
    >>> edge = edge_width(section.ideal.sel(fragment="NiO2-"), section.distance)
    >>> print(f"{float(edge.sigma_corrected):.4f} um planted {section.sigma_psf:.4f}")
    0.0849 um planted 0.0849
    """
    _check(maps, distance, where, window)
    ordered = canonical(maps)
    pixel = pixel_size(distance, subject=SUBJECT)
    field = field_of(canonical(distance), pixel, _known(ordered, distance, where))
    poisson = ordered.dtype.kind in "iu" and ordered.attrs.get("units") == "counts"
    values = to_dense(ordered.data).reshape(-1, *field.known.shape)
    found: list[tuple[Edge, int, float] | None] = []
    reasons = []
    for name, image in zip(_names(ordered), values, strict=True):
        try:
            found.append(fit_map(image, field, poisson=poisson, window=window))
        except NoEdge as reason:
            found.append(None)
            reasons.append(f"{name}{reason}")
    if not any(found):
        with Faults(SUBJECT) as faults:
            for text in reasons:
                faults.expect(False, text)
    if reasons:
        warnings.warn(f"{SUBJECT}: no width for {'; '.join(reasons)}", DataQualityWarning, stacklevel=2)
    return _as_dataset(ordered, distance, found, {"window": window, "where": where})


class NoEdge(Exception):
    """A map without an edge whose width can be told; the text says why."""


@dataclass(frozen=True)
class Field:
    """The geometry that all maps share: each pixel's side of the edge, ridges between edges, pixels to use, pixel size."""

    side: Side
    normal: Floats
    ridge: Bools
    known: Bools
    pixel: tuple[float, float]

    @property
    def size(self) -> float:
        """Side in um of the square of a pixel's area."""
        return float(np.sqrt(self.pixel[0] * self.pixel[1]))

    def near(self, reach: float, sigma: float) -> Bools:
        """Known pixels within `reach` um of the edge and more than 4 `sigma` from any second one."""
        return np.asarray(
            self.known & (np.abs(self.side.s) <= reach) & isolated(self.side.s, self.ridge, self.pixel, ALONE * sigma)
        )


def field_of(distance: xr.DataArray, pixel: tuple[float, float], known: Bools) -> Field:
    """Geometry of the edge from its distance map, in canonical order."""
    side, normal, ridge = sides(to_dense(distance.data).astype(float), pixel)
    return Field(side, normal, ridge, known & np.isfinite(normal).all(axis=0), pixel)


def fit_map(image: NDArray[Any], field: Field, *, poisson: bool, window: float | None) -> tuple[Edge, int, float]:
    """Edge, number of pixels and half-width (um) of the window of one (y, x) map; raises NoEdge."""
    image = image.astype(np.float64)
    size, finite = field.size, np.isfinite(image)
    farthest = float(np.abs(field.side.s[field.known]).max())
    reach, sigma = min(window or _FIRST_REACH * size, farthest), size
    for _ in range(_ROUNDS):
        near = finite & field.near(reach, sigma)
        _expect_pixels(field.side.s[near])
        pixels = Side(field.side.s[near], field.side.wide[near], field.side.narrow[near])
        edge = fit_edge(binned(image[near], pixels, poisson=poisson, size=size), size)
        wanted = window or min(max(REACH * edge.sigma + abs(edge.parameters[2]), 4 * size), farthest)
        settled = abs(wanted - reach) < 0.1 * reach and abs(edge.sigma - sigma) < 0.1 * sigma
        reach, sigma = min(wanted, farthest), min(edge.sigma, reach / REACH)
        if settled:
            break
    _expect_edge(edge, pixels, near)
    return edge, int(near.sum()), float(reach)


def _expect_pixels(s: Floats) -> None:
    inner = int((s < 0).sum())
    if min(inner, s.size - inner) < LEAST_PIXELS:
        raise NoEdge(
            f"{inner} usable pixels inside and {s.size - inner} outside near the edge; expected at least {LEAST_PIXELS} on "
            "either side."
        )


def _expect_edge(edge: Edge, pixels: Side, near: Bools) -> None:
    shift, seen = edge.parameters[2], edge.sigma
    if not edge.likelihood_ratio > LEAST_RATIO:
        raise NoEdge(
            f"no contrast beyond noise across the edge in {int(near.sum())} pixels (likelihood ratio "
            f"{edge.likelihood_ratio:.3g}, expected above {LEAST_RATIO}). Sum scans or fragments, "
            "or choose one that differs between the two sides."
        )
    plateau = min(shift - pixels.s.min(), pixels.s.max() - shift)
    if not plateau > 2 * seen:
        raise NoEdge(
            f"the edge, {seen:.3g} um wide (σ) at {shift:.3g} um, reaches no plateau within distances of {pixels.s.min():.3g} to "
            f"{pixels.s.max():.3g} um: not a single edge, or the window is too narrow."
        )
    if not edge.sigma_sd < seen / 2:
        raise NoEdge(
            f"its width cannot be told, σ = {seen:.3g} ± {edge.sigma_sd:.2g} um: "
            + (
                f"the profile is not a single edge (misfit {edge.misfit:.0%} of the step)."
                if rejected(edge)
                else "too few counts. Sum scans or fragments."
            )
        )


def rejected(edge: Edge) -> bool:
    """Whether what the profile shows is no single error-function edge: beyond noise, and by more than matters."""
    return bool(edge.p_value < REJECT and edge.misfit > LEAST_MISFIT)


def _check(maps: xr.DataArray, distance: xr.DataArray, where: xr.DataArray | None, window: object) -> None:
    counts = maps.attrs.get("units") == "counts" and getattr(maps, "dtype", np.dtype(float)).kind in "iu"
    check_array(maps, subject=SUBJECT, dims=("y", "x"), counts=counts)
    check_array(distance, subject=f"{SUBJECT}: distance", dims=("y", "x"))
    same_grid(maps, distance, subject=SUBJECT)
    if where is not None:
        check_array(where, subject=f"{SUBJECT}: where", dims=("y", "x"))
        same_grid(maps, where, subject=f"{SUBJECT}: where")
    with Faults(SUBJECT) as faults:
        faults.expect(distance.ndim == 2, f"distance has dims {tuple(distance.dims)}; expected one map (y, x).")
        unit = distance.attrs.get("units", "um")
        faults.expect(unit == "um", f"distance is in {unit!r}; expected um.")
        if where is not None:
            faults.expect(bool(where.ndim == 2 and where.dtype == bool), "where is no boolean map (y, x).")
        good = window is None or (isinstance(window, (int, float, np.number)) and bool(0 < window < np.inf))
        faults.expect(good, f"window={window!r}; expected a positive number in um.")
        small = min(distance.sizes["y"], distance.sizes["x"]) < 2
        faults.expect(not small, f"the map has {dict(distance.sizes)} pixels; an edge needs at least 2 along y and x.")


def _known(maps: xr.DataArray, distance: xr.DataArray, where: xr.DataArray | None) -> Bools:
    known: Bools = np.isfinite(to_dense(canonical(distance).data).astype(float))
    for mask in (measured_mask(maps), measured_mask(distance), None if where is None else to_dense(canonical(where).data)):
        known = known if mask is None else known & mask
    if not known.any():
        raise SsbmapsError(f"{SUBJECT}: no pixel is left that is measured, has a finite distance and fulfils `where`.")
    return known


def _names(maps: xr.DataArray) -> list[str]:
    """A prefix for messages about each leading index: 'PO2-: ', 'scan 3, PO2-: ', or nothing for a single map."""
    lead = [str(d) for d in maps.dims[:-2]]
    names = []
    for index in np.ndindex(*maps.shape[:-2]):
        words = []
        for dim, i in zip(lead, index, strict=True):
            label = maps.coords[dim].values[i] if dim in maps.coords else i
            words.append(str(label) if dim in CHANNEL_DIMS else f"{dim} {label}")
        names.append(f"{', '.join(words)}: " if words else "")
    return names


def _as_dataset(
    maps: xr.DataArray, distance: xr.DataArray, found: list[tuple[Edge, int, float] | None], arguments: dict[str, Any]
) -> xr.Dataset:
    import xarray as xr

    lead = [str(d) for d in maps.dims[:-2]]
    rows = [_row(*one) if one else None for one in found]
    names = next(list(r) for r in rows if r)
    about = _descriptions(str(maps.attrs.get("units", "arbitrary")))
    variables = {}
    for name in names:
        values = np.array([np.nan if r is None else r[name] for r in rows]).reshape(maps.shape[:-2])
        if name in ("n_pixels", "model_rejected"):
            values = np.nan_to_num(values).astype(np.int64 if name == "n_pixels" else np.int8)
        variables[name] = (lead, values, about[name])
    coords = {str(k): v for k, v in maps.coords.items() if set(v.dims) <= set(lead)}
    result = xr.Dataset(variables, coords)
    result = finish(
        result,
        function=SUBJECT,
        arguments={"maps": maps, "distance": distance, **arguments},
        sources=[maps, distance],
        long_name=WORDING,
    )
    result.attrs["wording"] = WORDING
    return result


def _row(edge: Edge, n_pixels: int, window: float) -> dict[str, float]:
    """All numbers of one edge. σ is positive: its interval is symmetric in ln σ, that of σ without the pixel in σ²."""
    row: dict[str, float] = {}
    spread = float(np.exp(NORMAL_95 * edge.sigma_sd / edge.sigma))
    for name, (factor, _) in WIDTHS.items():
        width = factor * edge.sigma
        row |= {name: width, f"{name}_sd": factor * edge.sigma_sd, f"{name}_low": width / spread, f"{name}_high": width * spread}
    squared, squared_sd = edge.parameters[3], float(np.sqrt(edge.covariance[3, 3]))
    own = float(np.sqrt(squared))
    row |= {
        "sigma_corrected": own,
        "sigma_corrected_sd": squared_sd / (2 * own),
        "sigma_corrected_low": float(np.sqrt(max(squared - NORMAL_95 * squared_sd, 0))),
        "sigma_corrected_high": float(np.sqrt(squared + NORMAL_95 * squared_sd)),
    }
    for name, i in (("offset", 2), ("level_in", 0), ("level_out", 1)):
        value, sd = float(edge.parameters[i]), float(np.sqrt(edge.covariance[i, i]))
        low, high = value - NORMAL_95 * sd, value + NORMAL_95 * sd
        row |= {name: value, f"{name}_sd": sd, f"{name}_low": low, f"{name}_high": high}
    return row | {
        "dispersion": edge.dispersion,
        "misfit": edge.misfit,
        "p_value": edge.p_value,
        "model_rejected": float(rejected(edge)),
        "likelihood_ratio": edge.likelihood_ratio,
        "n_pixels": float(n_pixels),
        "window": window,
    }


def _descriptions(units: str) -> dict[str, dict[str, str]]:
    """`units` and `long_name` of every variable."""
    values = {name: ("um", f"effective edge width: {text}, pixel included") for name, (_, text) in WIDTHS.items()}
    values |= {
        "sigma_corrected": ("um", "effective edge width: standard deviation σ without the pixel's own area"),
        "offset": ("um", "position of the edge, positive outside"),
        "level_in": (units, "level inside, per pixel"),
        "level_out": (units, "level outside, per pixel"),
    }
    about = {}
    for name, (unit, text) in values.items():
        about[name] = {"units": unit, "long_name": text}
        for suffix, word in (("_sd", "standard error"), ("_low", "95 % interval, low end"), ("_high", "95 % interval, high end")):
            about[name + suffix] = {"units": unit, "long_name": f"{text}: {word}"}
    plain = {
        "dispersion": "squared residuals per degree of freedom over those expected",
        "misfit": "root-mean-square of the profile that the edge leaves unexplained, over the step",
        "p_value": "probability of such a lack of fit for a single error-function edge",
        "model_rejected": "1: not a single error-function edge",
        "likelihood_ratio": "2 ln(L1/L0) against no edge, over the dispersion",
        "n_pixels": "number of pixels used",
    }
    about |= {name: {"units": "1", "long_name": text} for name, text in plain.items()}
    return about | {"window": {"units": "um", "long_name": "half-width of the window of distances"}}
