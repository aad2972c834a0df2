"""Thicknesses of the layers of a planar stack, from maps and the distance along its normal."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, channel_dim, fragment_index, generator, pixel_size
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._across import across, frame_of, scatter_variance
from ssbmaps.interfaces._interphase_check import check_maps, known_pixels, summed
from ssbmaps.interfaces._shapes import CORE
from ssbmaps.interfaces._stack_fit import Stack, fit_stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.fit_layers"
NORMAL_95 = 1.959964
LEAST_PIXELS = 50


def fit_layers(
    maps: xr.DataArray,
    distance: xr.DataArray,
    *,
    layers: Sequence[str],
    channels: str | Sequence[str] | None = None,
    likelihood: str = "poisson",
    variance: xr.DataArray | None = None,
    shots: float | None = None,
    where: xr.DataArray | None = None,
) -> xr.Dataset:
    """Measure the thickness of every inner layer of a planar stack, all channels and layers together, corrected for the beam.

    Each channel has one level in each layer; the edges are error functions of one common width. A layer is detected before it
    is measured, and its thickness given only where the likelihood bounds it from both sides.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (…, fragment, y, x), also line, band or component; scans and times are summed.
    distance : xarray.DataArray
        Position (y, x) in um along the normal of the stack, for example the signed distance to its first interface from
        `ssbmaps.interfaces.distance_to`. Any origin does.
    layers : sequence of str
        Names from the lowest to the highest distance, two or more: ``["LCO", "interphase", "LiPON", "Li"]``. The first and the
        last are taken as endless.
    channels : str or sequence of str, optional
        Channels to use; all by default.
    likelihood : {"poisson", "gaussian"}
        Whole counts, or values with a variance (SAM, SEM, Raman).
    variance : xarray.DataArray, optional
        Variance of `maps`, on the same dims, for ``likelihood="gaussian"``. By default the scatter of pixels of equal distance.
    shots : float, optional
        Primary-ion shots per pixel and scan, for raw ToF-SIMS counts that dead time matters to.
    where : xarray.DataArray, optional
        Boolean (y, x): only these pixels are used.

    Returns
    -------
    xarray.Dataset
        Along ``layer`` (the inner ones): ``thickness`` (um, as seen in the section, NaN unless resolved) with ``_sd``, ``_low``,
        ``_high`` (95 %); ``upper_limit`` (um, 95 %, for a detected layer that is not resolved); ``likelihood_ratio`` against the
        stack without it; ``above_noise``, ``resolved`` (0/1); ``statement``. Along ``edge`` ("LCO | interphase", …): ``position``
        in um of `distance`, with ``_sd``. ``level`` (`channel`, ``phase``) of every channel in every layer. ``sigma`` (um, with
        ``_sd``), ``dispersion``, ``misfit``, ``p_value``, ``model_rejected``, ``n_pixels``.

    Raises
    ------
    SsbmapsError
        If options or channels are unknown, counts negative or above `shots`, or fewer than 50 pixels are left.
    GridMismatchError
        If the pixels of `maps`, `distance`, `where` or `variance` differ.

    Notes
    -----
    NaN and unmeasured pixels are left out. Starts come from the best split of the profile into constant pieces (dynamic
    programming); intervals from the profile likelihood, times the dispersion. A layer counts as detected where the ratio is as
    rare by chance as 16.2 for one thickness and one level.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> from ssbmaps.interfaces import fit_layers
    >>> layout = synthetic.Layout(layers=(("NMC", 2.0), ("carbon", 0.5), ("electrolyte", 2.0)))
    >>> section = synthetic.cross_section(shape=(64, 48), n_scans=20, geometry="planar", thickness=0, layout=layout)
    >>> stack = fit_layers(section.counts, section.distance, layers=["NMC", "carbon", "electrolyte"], shots=25)
    >>> str(stack.edge.values[0]), round(float(stack.thickness.item()), 1)
    ('NMC | carbon', 0.5)
    """
    names = _names(layers)
    check_maps(maps, distance, where, variance, likelihood, shots, subject=SUBJECT)
    ordered = canonical(maps)
    dim = channel_dim(ordered, subject=SUBJECT)
    if dim is None:
        ordered = ordered.expand_dims({"band": [str(maps.name or "signal")]}, axis=ordered.ndim - 2)
        dim = "band"
    index = list(range(ordered.sizes[dim])) if channels is None else fragment_index(ordered, channels, subject=SUBJECT)
    pixel = pixel_size(distance, subject=SUBJECT)
    away = to_dense(canonical(distance).data).astype(np.float64)
    known = known_pixels(ordered, distance, where, away, subject=SUBJECT)
    values, spread, n_scans = summed(ordered, variance)
    values, size = values[index], float(np.sqrt(pixel[0] * pixel[1]))
    if likelihood == "gaussian":
        known &= np.isfinite(values).all(axis=0)
        spread = scatter_variance(values, away, known, size) if spread is None else spread[index]
    limit = np.inf if shots is None else float(shots) * n_scans
    kinds = np.full(len(index), CORE)
    shots_of = np.full(len(index), limit)
    frame = frame_of(away, pixel)
    field = across(frame, known, values, kinds, variance=spread, shots=shots_of, rng=generator(None)[0])
    if len(field.s) < LEAST_PIXELS:
        raise SsbmapsError(f"{SUBJECT}: {len(field.s)} pixels are left; expected at least {LEAST_PIXELS}.")
    if spread is None and field.values.max(initial=0) > limit:
        raise SsbmapsError(f"{SUBJECT}: a pixel holds more counts than its {limit:g} shots; expected at most one per shot.")
    data = field.binned(np.ones(len(field.s), bool))[0]
    found = fit_stack(data, len(names), size)
    axis = np.asarray(ordered.coords[dim].values)[index] if dim in ordered.coords else np.asarray(index)
    result = _as_dataset(found, names, dim, axis, str(maps.attrs.get("units", "arbitrary")), len(field.s))
    arguments = {
        "maps": maps,
        "distance": distance,
        "layers": names,
        "channels": channels,
        "likelihood": likelihood,
        "variance": variance,
        "shots": shots,
        "where": where,
    }
    return finish(result, function=SUBJECT, arguments=arguments, sources=[maps, distance])


def _names(layers: Any) -> list[str]:
    names = [] if isinstance(layers, str) else [str(v) for v in layers]
    with Faults(SUBJECT) as faults:
        faults.expect(len(names) >= 2, f"layers={layers!r}; expected two names or more, such as ['LCO', 'LiPON', 'Li'].")
    return names


def _as_dataset(found: Stack, names: list[str], dim: str, axis: NDArray[Any], units: str, n_pixels: int) -> xr.Dataset:
    import xarray as xr

    fit = found.fit
    covariance = fit.covariance()[: len(fit.geometry), : len(fit.geometry)] * found.dispersion
    rows = [_row(found, k, names[k]) for k in range(1, len(names) - 1)]
    thickness = "thickness of the layer in the section"
    words = {
        "thickness": thickness,
        "thickness_sd": f"{thickness}: standard error",
        "thickness_low": f"{thickness}: 95 % interval, low end",
        "thickness_high": f"{thickness}: 95 % interval, high end",
        "upper_limit": "95 % upper limit of the thickness",
    }
    variables: dict[str, Any] = {}
    for name, text in words.items():
        variables[name] = ("layer", np.array([r[name] for r in rows], np.float64), {"units": "um", "long_name": text})
    text = "2 ln(L1/L0) against the stack without the layer"
    variables["likelihood_ratio"] = ("layer", np.array(found.ratios, np.float64), {"units": "1", "long_name": text})
    for name, text in (("above_noise", "1: the layer is there beyond chance"), ("resolved", "1: bounded from both sides")):
        variables[name] = ("layer", np.array([r[name] for r in rows], np.int8), {"units": "1", "long_name": text})
    statement = np.array([r["statement"] for r in rows], dtype=str)
    variables["statement"] = ("layer", statement, {"units": "1", "long_name": "the result in words"})
    position, sd = _edges(fit.geometry, covariance)
    variables["position"] = ("edge", position, {"units": "um", "long_name": "position of the edge"})
    variables["position_sd"] = ("edge", sd, {"units": "um", "long_name": "position of the edge: standard error"})
    variables["level"] = ((dim, "phase"), fit.levels, {"units": units, "long_name": "level per pixel"})
    scalars = {
        "sigma": (fit.value("sigma"), "um", "common width of the edges"),
        "sigma_sd": (float(np.sqrt(covariance[1, 1])), "um", "common width of the edges: standard error"),
        "dispersion": (found.dispersion, "1", "χ² per degree of freedom of the profile"),
        "misfit": (found.misfit.size, "1", "root-mean-square that the model leaves unexplained, over the step"),
        "p_value": (found.misfit.p_value, "1", "probability of such a lack of fit"),
    }
    variables |= {k: ((), v, {"units": unit, "long_name": text}) for k, (v, unit, text) in scalars.items()}
    rejected = np.int8(found.misfit.rejected)
    variables["model_rejected"] = ((), rejected, {"units": "1", "long_name": "1: not a stack of uniform layers"})
    variables["n_pixels"] = ((), np.int64(n_pixels), {"units": "1", "long_name": "number of pixels used"})
    coords = {
        "layer": ("layer", np.array(names[1:-1], dtype=str)),
        "edge": ("edge", [f"{a} | {b}" for a, b in pairwise(names)]),
        "phase": ("phase", names),
        dim: (dim, axis),
    }
    return xr.Dataset(variables, coords)


def _row(found: Stack, k: int, name: str) -> dict[str, Any]:
    """Numbers of the k-th inner layer."""
    interval, above = found.intervals[k - 1], found.found[k - 1]
    resolved = above and bool(np.isfinite(interval.low) and np.isfinite(interval.high))
    d = found.fit.value(f"d{k}")
    row: dict[str, Any] = {"above_noise": int(above), "resolved": int(resolved)}
    values = (d, (interval.high - interval.low) / (2 * NORMAL_95), interval.low, interval.high) if resolved else [np.nan] * 4
    row |= dict(zip(("thickness", "thickness_sd", "thickness_low", "thickness_high"), values, strict=True))
    row["upper_limit"] = interval.limit if above and not resolved else np.nan
    if resolved:
        low, high = 1e3 * interval.low, 1e3 * interval.high
        text = f"Thickness of {name} in this section: {1e3 * d:.0f} nm [{low:.0f}, {high:.0f}] (statistics only)."
    elif above:
        limit = row["upper_limit"]
        text = f"{name}: signal above noise; thickness " + (
            f"< {1e3 * limit:.0f} nm (95 %)." if np.isfinite(limit) else "not bounded."
        )
    else:
        text = f"{name}: not distinguishable from its neighbours."
    if found.misfit.rejected:
        text += " A stack of uniform layers does not describe the profile: the numbers are not to be relied on."
    return {**row, "statement": text}


def _edges(geometry: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Position of each edge and its standard error."""
    n = len(geometry) - 1
    slopes = np.zeros((n, len(geometry)))
    slopes[:, 0] = 1
    for k in range(1, n):
        slopes[k, 2 : 2 + k] = 1
    variance = np.einsum("ki,ij,kj->k", slopes, covariance, slopes)
    return slopes @ geometry, np.sqrt(np.maximum(variance, 0))
