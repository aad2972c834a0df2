"""Thickness of the interphase between a core and its surroundings, from maps and the distance to the core's edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import (
    SERIES_DIMS,
    canonical,
    check_array,
    fragment_index,
    generator,
    measured_mask,
    pixel_size,
    same_grid,
)
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.interfaces._across import across, scatter_variance
from ssbmaps.interfaces._interphase_result import Shell, as_dataset
from ssbmaps.interfaces._particle_shells import particle_thickness, regions_of, rims
from ssbmaps.interfaces._shapes import CORE, SHELL
from ssbmaps.interfaces._shell import Measured, NoCore, ions_apart, measure_shell

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Across

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SUBJECT = "interfaces.fit_interphase"
GEOMETRIES = ("particles", "planar")
LIKELIHOODS = ("poisson", "gaussian")


def fit_interphase(
    maps: xr.DataArray,
    distance: xr.DataArray,
    *,
    core: str | Sequence[str],
    shell: str | Sequence[str] | Mapping[str, str | Sequence[str]],
    geometry: str = "particles",
    likelihood: str = "poisson",
    reference: xr.Dataset | float | None = None,
    reference_level: float | Mapping[str, float] | None = None,
    variance: xr.DataArray | None = None,
    shots: float | None = None,
    where: xr.DataArray | None = None,
    reach: float | None = None,
    offset_sd: float = 0.01,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Measure the thickness of an interphase around a core, corrected for the beam, with an interval or as an upper limit.

    What the core emits and what the shell emits are fitted together against the distance s to the core's edge: both channels
    share the edge's position s0, the thickness d and the width σ, each has its own levels inside, in the shell and outside. The
    core's step fixes position and width on the same pixels. A shell is detected before it is measured; its thickness is given
    only where it, too, is detected against none, and bounded from both sides.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (…, fragment, y, x) with named channels (also line, band or component); scans and times are summed.
    distance : xarray.DataArray
        Signed distance (y, x) to the core's edge in um, negative inside, from `ssbmaps.interfaces.distance_to`. It is taken as
        known: find it on other counts than these, or the step comes out too sharp and thin shells too thick.
    core : str or sequence of str
        Fragment that the core emits, or several that are summed.
    shell : str, sequence of str or mapping
        Fragment of the shell, or several that are summed; or several shells by name, ``{"POx": ["PO2-", "PO3-"], "SOx": …}``.
        They are measured one by one with the same core and never pooled.
    geometry : {"particles", "planar"}
        Curved interfaces in a random section, or a stack of layers. Particles get results of their own and an estimate of the
        true thickness.
    likelihood : {"poisson", "gaussian"}
        Whole counts, or values with a variance (SAM, Raman, SEM).
    reference : xarray.Dataset or float, optional
        A pristine contact, measured the same way and fitted by this function, or a floor of the thickness in um that a
        shell must exceed to be ``above_reference``. Excesses are compared in units of the core's level.
    reference_level : float or mapping of str to float, optional
        What a pixel full of the shell's material counts (units of `maps`), where known: turns an excess into an equivalent
        thickness, and bounds the thickness of a shell that is not resolved. By shell for several.
    variance : xarray.DataArray, optional
        Variance of `maps`, on the same dims, for ``likelihood="gaussian"``. By default the scatter of pixels of equal distance.
    shots : float, optional
        Primary-ion shots per pixel and scan (all shots of a pixel for maps without scans). Counts are then binomial, at most one
        per shot: the loss to dead time is part of the model. Raw counts only, never corrected ones.
    where : xarray.DataArray, optional
        Boolean (y, x): only these pixels are used, for example without carbon and voids.
    reach : float, optional
        Pixels farther out than this, in um, are not used: the next layer begins there. By default the window grows until it shows
        the shell and a plateau beyond it.
    offset_sd : float, optional
        Prior standard deviation, um, of the distance between the core's edge and the start of the shell. It enters the interval
        through ``d_sensitivity``.
    rng : int or numpy.random.Generator, optional
        Assignment of pixels to the folds on which shapes are compared; None means 0.

    Returns
    -------
    xarray.Dataset
        Along ``shell``: ``above_noise``, ``above_reference`` (with `reference`), ``resolved``, ``model_rejected`` (0/1);
        ``thickness`` (um, apparent: along the section; NaN unless resolved), ``true_thickness`` (isotropic-section estimate,
        π/4 of it; particles only), ``upper_limit`` (um, 95 %; NaN where resolved or unbounded); ``likelihood_ratio`` against
        no shell, ``thickness_ratio`` against one of next to no thickness; ``excess`` (signal of the shell above what lies
        outside it, counts·um per pixel), ``equivalent_thickness`` (um, with `reference_level`); ``sigma``, ``offset`` (of the
        edge from `distance`), ``amplitude``, ``level_in``, ``level_out``, ``core_level``, ``core_level_shell``,
        ``core_level_out``; ``model``, the shape that describes held-out data best, and ``models_alike``, those that do so as
        well; ``d_sensitivity`` along ``departure``: um per um of ``offset``, um per unit of ``core yield`` in its outer 50
        nm, of ``fall`` of the shell's yield from its inner to its outer edge, and of ``halo``, the share of a beam four times
        as wide; ``shell_consistency`` and ``core_consistency`` (likelihood ratio of single ions fitted apart; ``_p`` its
        probability; NaN for one ion); ``dispersion``, ``misfit``, ``p_value`` of the lack of fit; ``contact``, the share of
        the edge in use; ``interface_length`` used, um; ``n_pixels``; ``statement``, the result in words. ``_sd``, ``_low``,
        ``_high`` (95 %) beside values. ``held_out_gain`` and its ``_sd`` along ``shape``: nats gained over a box. Along
        ``distance``: ``core_profile``, ``shell_profile`` (+ ``_sem``), ``core_model``, ``shell_model``. With
        ``geometry="particles"``, along ``particle``: ``particle_thickness`` (+ ``_sd``; by shell), ``particle_label``,
        ``particle_perimeter``, ``particle_y``, ``particle_x``, um.

    Raises
    ------
    SsbmapsError
        If fragments or options are unknown, counts negative or above `shots`, fewer than 50 pixels on either side of the edge see
        no second edge, the core shows no step, or core or surroundings emit more of the shell's signal than the shell.
    GridMismatchError
        If the pixels of `maps`, `distance`, `where` or `variance` differ.

    Notes
    -----
    Pixels that are unmeasured or NaN in a used map are left out, as are those nearer than 4 σ (outside: plus d) to a second
    edge. μ(s) = b_in Φ(−(s−s0)/σ) + A [Φ((s−s0)/σ) − Φ((s−s0−d)/σ)] + b_out Φ((s−s0−d)/σ), for the core with levels of its
    own; σ holds beam, pixel (Δ²/12) and intermixing. Detection of shell and of thickness: likelihood ratios above 16.2.
    Shapes: box; shell shifted from the core's edge; another yield in the core's outer 50 nm; falling yield; diffuse outer
    edge; exponential; beam with a halo. The box stands unless another gains more than two standard errors, and a nat, on data
    it was not fitted to (5 folds of pixels); the interval then covers those of all that do as well. Intervals by profile
    likelihood, times the dispersion of the profile, and in quadrature the offset prior times its sensitivity. Ion yields that
    differ from those of a uniform shell are in none of it. Random sections through an isotropic interface show 4/π of its
    thickness (Underwood 1970, Quantitative Stereology).

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> from ssbmaps.interfaces import fit_interphase
    >>> section = synthetic.cross_section(shape=(96, 96), n_scans=1, geometry="disc", thickness=0.2)
    >>> found = fit_interphase(section.counts, section.distance, core="NiO2-", shell={"POx": ["PO2-", "PO3-"]})
    >>> one = found.sel(shell="POx")
    >>> bool(one.above_noise), bool(one.thickness_low < 0.2 < one.thickness_high)
    (True, True)
    """
    shells = _shells(shell)
    check_maps(maps, distance, where, variance, likelihood, shots, subject=SUBJECT)
    levels = reference_level if isinstance(reference_level, Mapping) else dict.fromkeys(shells, reference_level)
    _check_options(geometry, reach, offset_sd, levels, shells)
    draws, seed = generator(rng)
    ordered = canonical(maps)
    pixel = pixel_size(distance, subject=SUBJECT)
    away = to_dense(canonical(distance).data).astype(np.float64)
    known = known_pixels(ordered, distance, where, away, subject=SUBJECT)
    values, spread, n_scans = summed(ordered, variance)
    total_shots = np.inf if shots is None else float(shots) * n_scans
    farthest = (float(-away[known].min(initial=0)), float(reach or away[known].max(initial=0)))
    results: list[Shell] = []
    with Faults(SUBJECT) as faults:
        for name, fragments in shells.items():
            try:
                indices = _indices(ordered, core, fragments)
                field = _field(away, known, pixel, values, spread, indices, total_shots, likelihood, draws, pooled=True)
                _expect_counts(field)
                measured = measure_shell(field, farthest)
                _expect_contrast(measured)
                apart = _field(away, known, pixel, values, spread, indices, total_shots, likelihood, draws, pooled=False)
                results.append(Shell(name, measured, field, ions_apart(apart, measured), levels.get(name)))
            except (NoCore, SsbmapsError) as reason:
                faults.expect(False, f"shell {name}: {reason}")
    particles = None
    if geometry == "particles":
        regions = _regions(distance, away, known, pixel)
        rim = rims(regions, results[0].field, results[0].measured.use)
        own = [particle_thickness(r.measured, r.field, regions, rim.label) if r.measured.bounded else None for r in results]
        particles = (rim, own)
    arguments = {
        "maps": maps,
        "distance": distance,
        "core": core,
        "shell": shell,
        "geometry": geometry,
        "likelihood": likelihood,
        "reference": reference,
        "reference_level": reference_level,
        "variance": variance,
        "shots": shots,
        "where": where,
        "reach": reach,
        "offset_sd": offset_sd,
        "rng": seed,
    }
    return as_dataset(results, particles, maps, distance, reference, arguments)


def _shells(shell: Any) -> dict[str, list[str]]:
    """Fragments by name of the shell; a plain list is named by its fragments."""
    if isinstance(shell, str):
        return {shell: [shell]}
    if isinstance(shell, Mapping):
        found = {str(k): [v] if isinstance(v, str) else list(v) for k, v in shell.items()}
    else:
        found = {" + ".join(shell): list(shell)} if shell else {}
    if not found or not all(found.values()):
        raise SsbmapsError(f"{SUBJECT}: shell={shell!r}; expected 'PO2-', ['PO2-', 'PO3-'] or {{'POx': ['PO2-', 'PO3-']}}.")
    return found


def check_maps(
    maps: xr.DataArray,
    distance: xr.DataArray,
    where: xr.DataArray | None,
    variance: xr.DataArray | None,
    likelihood: object,
    shots: object,
    *,
    subject: str,
) -> None:
    """Raise unless maps, distance and their companions fit each other and the likelihood."""
    check_array(maps, subject=subject, dims=("y", "x"), counts=likelihood == "poisson")
    check_array(distance, subject=f"{subject}: distance", dims=("y", "x"))
    same_grid(maps, distance, subject=subject)
    for name, other in (("where", where), ("variance", variance)):
        if other is not None:
            check_array(other, subject=f"{subject}: {name}", dims=("y", "x"))
            same_grid(maps, other, subject=f"{subject}: {name}")
    with Faults(subject) as faults:
        faults.expect(distance.ndim == 2, f"distance has dims {tuple(distance.dims)}; expected one map (y, x).")
        unit = distance.attrs.get("units", "um")
        faults.expect(unit == "um", f"distance is in {unit!r}; expected um.")
        faults.expect(where is None or (where.ndim == 2 and where.dtype == bool), "where is no boolean map (y, x).")
        same = variance is None or set(variance.dims) == set(maps.dims)
        faults.expect(same, f"variance has dims {() if variance is None else variance.dims}; expected {maps.dims}.")
        faults.expect(likelihood in LIKELIHOODS, f"likelihood={likelihood!r}; expected one of {', '.join(LIKELIHOODS)}.")
        whole = maps.dtype.kind in "iu" and maps.attrs.get("units") == "counts"
        faults.expect(
            likelihood != "poisson" or whole,
            f"likelihood='poisson' needs whole counts, got {maps.dtype} in {maps.attrs.get('units', '?')!r}; use 'gaussian'.",
        )
        faults.expect(variance is None or likelihood == "gaussian", "variance is given; it belongs to likelihood='gaussian'.")
        faults.expect(shots is None or likelihood == "poisson", "shots are given; they belong to likelihood='poisson'.")
        faults.expect(shots is None or _positive(shots), f"shots={shots!r}; expected a positive number.")


def _check_options(
    geometry: object, reach: object, offset_sd: object, levels: Mapping[str, float | None], shells: Mapping[str, object]
) -> None:
    with Faults(SUBJECT) as faults:
        faults.expect(geometry in GEOMETRIES, f"geometry={geometry!r}; expected one of {', '.join(GEOMETRIES)}.")
        faults.expect(reach is None or _positive(reach), f"reach={reach!r}; expected a positive number in um.")
        faults.expect(_positive(offset_sd) or offset_sd == 0, f"offset_sd={offset_sd!r}; expected 0 or a positive number in um.")
        good = set(levels) <= set(shells) and all(v is None or _positive(v) for v in levels.values())
        text = f"reference_level={dict(levels)}; expected a positive number, by shell out of {', '.join(shells)} for several."
        faults.expect(good, text)


def _positive(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(0 < value < np.inf)


def known_pixels(maps: xr.DataArray, distance: xr.DataArray, where: xr.DataArray | None, away: Floats, *, subject: str) -> Bools:
    """Pixels that are measured, have a finite distance and fulfil `where`."""
    known: Bools = np.isfinite(away)
    for mask in (measured_mask(maps), measured_mask(distance), None if where is None else to_dense(canonical(where).data)):
        known = known if mask is None else known & mask
    if not known.any():
        raise SsbmapsError(f"{subject}: no pixel is left that is measured, has a finite distance and fulfils `where`.")
    return known


def summed(maps: xr.DataArray, variance: xr.DataArray | None) -> tuple[Floats, Floats | None, int]:
    """(channel, y, x) sums over scans and times, their variance, and the number of scans."""
    lead = [d for d in maps.dims if d in SERIES_DIMS]
    axes = tuple(range(len(lead)))
    n_scans = int(np.prod([maps.sizes[d] for d in lead])) if lead else 1
    spread = None
    if variance is not None:
        spread = np.asarray(to_dense(canonical(variance).data).sum(axis=axes, dtype=np.float64))
    return np.asarray(to_dense(maps.data).sum(axis=axes, dtype=np.float64)), spread, n_scans


def _indices(maps: xr.DataArray, core: str | Sequence[str], fragments: Sequence[str]) -> tuple[list[int], list[int]]:
    inside = fragment_index(maps, core, subject="core")
    around = fragment_index(maps, fragments, subject="shell")
    both = set(inside) & set(around)
    if both:
        raise SsbmapsError("core and shell share a fragment; expected different ones.")
    return inside, around


def _field(
    away: Floats,
    known: Bools,
    pixel: tuple[float, float],
    totals: Floats,
    spread: Floats | None,
    indices: tuple[list[int], list[int]],
    shots: float,
    likelihood: str,
    draws: np.random.Generator,
    *,
    pooled: bool,
) -> Across:
    """Pixels with the core's and the shell's signal, each summed over its fragments if `pooled`."""

    def rows(values: Floats) -> Floats:
        if pooled:
            return np.stack([values[list(index)].sum(axis=0) for index in indices])
        return values[[i for index in indices for i in index]]

    values = rows(totals)
    kinds = np.array([CORE, SHELL] if pooled else [CORE] * len(indices[0]) + [SHELL] * len(indices[1]))
    variance = None
    if likelihood == "gaussian":
        good = known & np.isfinite(values).all(axis=0)
        size = float(np.sqrt(pixel[0] * pixel[1]))
        variance = scatter_variance(values, away, good, size) if spread is None else rows(spread)
    # each ion of a sum has its own shots
    most = shots * np.array([len(index) for index in indices] if pooled else [1] * len(kinds), np.float64)
    return across(away, known, pixel, values, kinds, variance=variance, shots=most, rng=draws)


def _expect_counts(field: Across) -> None:
    most = field.values[:, field.known].max(axis=1, initial=0)
    if field.variance is None and bool((most > field.shots).any()):
        at = int((most / field.shots).argmax())
        raise SsbmapsError(f"a pixel holds {most[at]:g} counts out of {field.shots[at]:g} shots; expected at most one per shot.")


def _expect_contrast(measured: Measured) -> None:
    """A shell is only told from bulk that emits less of its signal."""
    inside, amplitude, outside = measured.fit.levels[-1]
    if measured.above_noise and max(inside, outside) > amplitude:
        where = "core" if inside >= outside else "surroundings"
        raise SsbmapsError(
            f"the {where} emits more of this signal ({max(inside, outside):.3g} per pixel) than the layer between "
            f"({amplitude:.3g}): it marks no interphase. Phosphate in core or electrolyte does this to POx; choose another one."
        )


def _regions(distance: xr.DataArray, away: Floats, known: Bools, pixel: tuple[float, float]) -> NDArray[np.int64]:
    if "particle" in distance.coords and set(distance.coords["particle"].dims) == {"y", "x"}:
        return to_dense(canonical(distance.coords["particle"]).data).astype(np.int64)
    return regions_of(away, known, pixel)
