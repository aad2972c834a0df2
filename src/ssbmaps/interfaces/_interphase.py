"""Thickness of the interphase between a core and its surroundings, from maps and the distance to the core's edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, generator, pixel_size
from ssbmaps._errors import Faults
from ssbmaps.interfaces._across import across, frame_of, scatter_variance
from ssbmaps.interfaces._interphase_check import (
    check_maps,
    check_options,
    expect_counts,
    known_pixels,
    shells_of,
    summed,
)
from ssbmaps.interfaces._interphase_result import Terms, as_dataset
from ssbmaps.interfaces._particle_shells import parts_thickness, regions_of, rims
from ssbmaps.interfaces._shells import measure_shells

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Across

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

SUBJECT = "interfaces.fit_interphase"


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
        ``thickness`` (um, apparent: along the section; NaN unless resolved), ``true_thickness`` (isotropic-section estimate;
        particles only; its interval holds how random sections scatter, and needs two), ``upper_limit`` (um, 95 %; NaN where
        resolved or unbounded); ``likelihood_ratio`` against no shell, ``thickness_ratio`` against one of next to no thickness;
        ``excess`` (signal of the shell above what lies outside it, counts·um per pixel), ``equivalent_thickness`` (um, with
        `reference_level`); ``sigma``, ``offset`` (of the edge from `distance`), ``amplitude``, ``level_in``, ``level_out``,
        ``core_level``, ``core_level_shell``, ``core_level_out``; ``model``, the shape that describes held-out data best, and
        ``models_alike``, those that do so as well; ``d_sensitivity`` along ``departure``: um per um of ``offset``, um per unit
        of ``core yield`` in its outer 50 nm, of ``fall`` of the shell's yield from its inner to its outer edge, and of
        ``halo``, the share of a beam four times as wide; ``shell_consistency`` and ``core_consistency`` (likelihood ratio of
        single ions fitted apart; ``_p`` its probability; NaN for one ion); ``dispersion``, ``misfit``, ``p_value`` of the lack
        of fit; ``contact``, the share of the edge in use; ``interface_length`` used, um; ``n_pixels``; ``statement``, the
        result in words. ``_sd``, ``_low``, ``_high`` (95 %) beside values. ``held_out_gain`` and its ``_sd`` along ``shape``:
        nats gained over a box. Along ``distance``: ``core_profile``, ``shell_profile`` (+ ``_sem``), ``core_model``,
        ``shell_model``. With ``geometry="particles"``, along ``particle``: ``particle_thickness`` (+ ``_sd``; by shell),
        ``particle_label``, ``particle_perimeter``, ``particle_y``, ``particle_x``, um.

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
    differ from those of a uniform shell are in none of it. Particles whose shells differ by more than their errors are told
    apart: each has a factor on the common thickness, which is their mean over the edges. Random sections through an isotropic
    interface show 4/π of its thickness (Underwood 1970, Quantitative Stereology), through a shell around spheres somewhat
    less; their radius is taken from the section as 2 × area / perimeter × 3π/8.

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
    shells = shells_of(shell, subject=SUBJECT)
    check_maps(maps, distance, where, variance, likelihood, shots, subject=SUBJECT)
    levels = reference_level if isinstance(reference_level, Mapping) else dict.fromkeys(shells, reference_level)
    with Faults(SUBJECT) as faults:
        check_options(geometry, reach, offset_sd, levels, shells, faults=faults)
    draws, seed = generator(rng)
    ordered = canonical(maps)
    pixel = pixel_size(distance, subject=SUBJECT)
    frame = frame_of(to_dense(canonical(distance).data).astype(np.float64), pixel)
    known = known_pixels(ordered, distance, where, frame.distance, subject=SUBJECT)
    values, spread, n_scans = summed(ordered, variance)
    most = np.inf if shots is None else float(shots) * n_scans
    far = frame.distance[known]
    farthest = (float(-far.min(initial=0)), float(reach or far.max(initial=0)))

    def field(groups: list[list[int]], kinds: Ints) -> Across:
        own = np.stack([values[g].sum(axis=0) for g in groups])
        limit = most * np.array([len(g) for g in groups], np.float64)  # each ion of a sum has its own shots
        scatter = None
        if likelihood == "gaussian":
            good = known & np.isfinite(own).all(axis=0)
            measured = None if spread is None else np.stack([spread[g].sum(axis=0) for g in groups])
            scatter = scatter_variance(own, frame.distance, good, frame.size) if measured is None else measured
        else:
            expect_counts(own[:, known], limit)
        return across(frame, known, own, kinds, variance=scatter, shots=limit, rng=draws)

    regions = _regions(distance, frame.distance, known, pixel) if geometry == "particles" else None
    owner = None if regions is None else lambda across: regions.ravel()[across.at]
    results = measure_shells(ordered, core, shells, field, farthest, levels, owner, subject=SUBJECT)
    particles = None
    if regions is not None:
        first = results[0]
        rim = rims(regions, frame, first.field, first.measured.use)
        own = [parts_thickness(r.measured, r.field, regions.ravel()[r.field.at], rim.label) for r in results]
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
    units = str(maps.attrs.get("units", "arbitrary"))
    terms = Terms(SUBJECT, units, offset_sd=float(offset_sd), reference=reference)
    return as_dataset(results, particles, terms, arguments, [maps, distance])


def _regions(distance: xr.DataArray, away: Floats, known: Bools, pixel: tuple[float, float]) -> Ints:
    if "particle" in distance.coords and set(distance.coords["particle"].dims) == {"y", "x"}:
        return to_dense(canonical(distance.coords["particle"]).data).astype(np.int64)
    return regions_of(away, known, pixel)
