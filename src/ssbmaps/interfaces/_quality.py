"""One table on the quality of a section: each check a number, its error, its false-alarm rate and a sentence without a cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import (
    canonical,
    channel_dim,
    check_array,
    fragment_index,
    generator,
    measured_mask,
    pixel_size,
    same_grid,
)
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._ions import parse_ion
from ssbmaps._provenance import finish
from ssbmaps.interfaces._distance import distance_to
from ssbmaps.interfaces._edge_width import Field, NoEdge, field_of, fit_map
from ssbmaps.interfaces._edge_width_fit import ALONE, REACH, Edge, Side
from ssbmaps.interfaces._quality_charge import charging
from ssbmaps.interfaces._quality_check import Check, untestable
from ssbmaps.interfaces._quality_curtain import curtaining
from ssbmaps.interfaces._quality_edges import TURNS, Pixels, by_scan, direction, erosion
from ssbmaps.interfaces._quality_shape import particle_shape
from ssbmaps.interfaces._quality_sides import NEAR, REDEPOSITION, TILE, Beside, redeposition, shadowing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SUBJECT = "interfaces.section_quality"
LEAST_MARGIN = 3  # pixels between an edge and the inside of a phase
MILLING = ("Ga", "Ar", "Xe", "In", "Kr")  # elements of the usual ion beams
WORDING = "a flag says that a signal is there beyond chance, not what caused it; no flag does not prove its absence"


def section_quality(
    maps: xr.DataArray,
    labels: xr.DataArray,
    *,
    phase: str,
    marker: str | Sequence[str],
    distance: xr.DataArray | None = None,
    cube: xr.DataArray | None = None,
    milling_ion: str | Sequence[str] | None = None,
    void: str | None = None,
    false_alarms: float = 0.01,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Look for marks of preparation and measurement in the maps of a section: one line for each check.

    curtaining: stripes in the total signal, inside phases. redeposition: the milling ion beside edges against elsewhere in
    the same phase. shadowing: a brighter and a darker side around particles or voids. mass_shift, mass_width: peaks that move
    or widen from place to place, as with charging. edge_position, edge_width: the edge of `phase` moves or widens from scan to
    scan, as with differential erosion. particle_shape, edge_direction: particles elongated one way, or an edge wider one way,
    as with an uncorrected tilt or astigmatism.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (fragment, y, x) or (scan, fragment, y, x), 0 or more, best whole counts. Without scans nothing is said on erosion.
    labels : xarray.DataArray
        Integers (y, x) with flags, from `ssbmaps.maps.label_phases`, with every phase that differs in signal; what is not
        labelled counts as a phase of its own.
    phase : str
        The phase that forms the particles, for example "NMC".
    marker : str or sequence of str
        The fragment or fragments that it emits, for example "NiO2-".
    distance : xarray.DataArray, optional
        Signed distance (y, x) in um to the edge of `phase`; by default `distance_to` of labels and marker.
    cube : xarray.DataArray, optional
        Counts (y, x, mz) or (scan, y, x, mz) of the same pixels, for mass_shift and mass_width.
    milling_ion : str or sequence of str, optional
        Fragments that the milling beam left; by default those that hold nothing but Ga, Ar, Xe, In or Kr.
    void : str, optional
        The label of voids; the shadows are then looked for around them instead of around the particles.
    false_alarms : float, optional
        Probability that a check flags a section without the mark, between 0.001 and 0.2: a section in which nine
        checks can be made is then flagged somewhere with up to nine times that.
    rng : int or numpy.random.Generator, optional
        For the simulated and permuted distributions of curtaining and particle_shape; None means 0.

    Returns
    -------
    xarray.Dataset
        Along ``check``: ``value`` and ``value_sd`` of the quantity that the coordinate ``quantity`` names, in the unit that
        ``value_units`` names; ``direction`` (degrees from x towards y, NaN where there is none); ``statistic`` (see Notes)
        and ``p_value``; ``flagged`` (1 where p_value is at most `false_alarms`) and ``testable`` (1 where the data
        allow the check; NaN and flagged 0 elsewhere). ``finding`` is a sentence that names what was seen and what it is
        compatible with, or why nothing can be said. For plotting, where testable: ``stripe_excess`` (stripe_angle);
        ``edge_offset``, ``edge_sigma`` with ``_sd`` (scan_group); ``elongation_cos``, ``elongation_sin``, ``particle_y``,
        ``particle_x`` (particle); ``mass_shift_map``, ``mass_width_map`` (tile_y, tile_x).

    Raises
    ------
    SsbmapsError
        If a map holds negative values or NaN, the fragments, the phase or the void are unknown, or an option is out of range.
    GridMismatchError
        If labels, distance or cube lie on other pixels than the maps.

    Notes
    -----
    Unmeasured pixels are left out. Distributions without the mark: curtaining, Gaussian fields with the measured isotropic
    spectrum behind the same mask (statistic: normal score of the largest directional power; the simulation ends early where
    nothing is there, Besag and Clifford 1991, doi:10.1093/biomet/78.2.301); particle_shape, particles turned at random
    (statistic: strength over its error); redeposition, Student's t of tiles; shadowing and edge_direction, Hotelling's F of
    independent particles and tiles (Liang and Zeger 1986, doi:10.1093/biomet/73.1.13); edge_position and edge_width,
    Student's t of the scatter about a line through the scans; mass_shift and mass_width, χ² of tiles. Whole particles are
    weighted against the frame (Miles 1974; Lantuéjoul 1978).

    The p-value of curtaining is simulated: with another `rng` it can differ by a factor of a few.

    Ratios and strengths (curtaining, shadowing, mass_shift, mass_width, edge_direction, particle_shape) cannot fall below 1
    or 0: where there is nothing, noise makes them about one error larger, and that of curtaining, which is the strongest of
    all directions, several errors.

    Examples
    --------
    >>> from ssbmaps import interfaces, synthetic
    >>> small = synthetic.Layout(radius=(0.5, 1.4))
    >>> section = synthetic.cross_section(seed=4, shape=(128, 160), n_scans=4, layout=small)
    >>> table = interfaces.section_quality(
    ...     section.counts, section.phase_map, phase="NMC", marker="NiO2-", distance=section.distance
    ... )
    >>> int(table.testable.sel(check="particle_shape")), str(table.finding.sel(check="redeposition").values)[:12]
    (1, 'not testable')
    """
    generator_, recorded = generator(rng)
    _check(maps, labels, phase, false_alarms)
    if cube is not None:
        check_array(cube, subject=f"{SUBJECT}: cube", dims=("y", "x", "mz"), counts=True)
        same_grid(maps, cube, subject=f"{SUBJECT}: cube")
    section = _section(maps, labels, phase, marker, distance)
    checks = [
        curtaining(section.total, section.labels, section.inner, section.field.pixel, false_alarms, generator_),
        _redeposition(maps, section, milling_ion),
        _shadowing(section, labels, void),
        *charging(cube, maps, section.labels, section.inner, subject=SUBJECT),
        *_edges(section),
        particle_shape(section.particles > 0, section.field.pixel, generator_, section.origin),
    ]
    arguments = {
        "maps": maps,
        "labels": labels,
        "phase": phase,
        "marker": marker,
        "distance": distance,
        "cube": cube,
        "milling_ion": milling_ion,
        "void": void,
        "false_alarms": false_alarms,
        "rng": recorded,
    }
    return _as_dataset(checks, false_alarms, arguments, [o for o in (maps, labels, distance, cube) if o is not None])


@dataclass(frozen=True)
class _Section:
    """All that the checks share, as arrays: total and marker signal, marker by scan, labels, geometry, what is well inside."""

    total: Floats
    marker: Floats
    scans: Floats | None
    labels: NDArray[np.int64]
    known: Bools
    field: Field
    edge: Edge | None
    reason: str
    inner: Bools
    particles: NDArray[np.int64]
    origin: tuple[float, float]

    @property
    def margin(self) -> float:
        """um from an edge beyond which its blur is negligible."""
        return _margin(self.edge, self.field)


def _margin(edge: Edge | None, field: Field) -> float:
    return max(LEAST_MARGIN * field.size, ALONE * edge.sigma if edge else 0.0)


def _check(maps: xr.DataArray, labels: xr.DataArray, phase: str, level: object) -> None:
    check_array(maps, subject=SUBJECT, dims=("y", "x"), counts=True)
    check_array(labels, subject=f"{SUBJECT}: labels", dims=("y", "x"))
    same_grid(maps, labels, subject=SUBJECT)
    with Faults(SUBJECT) as faults:
        extra = [str(d) for d in maps.dims if d not in ("scan", "y", "x", channel_dim(maps, subject=SUBJECT))]
        faults.expect(not extra, f"dimension {', '.join(extra)}; expected (scan, fragment, y, x), scans optional.")
        faults.expect(
            isinstance(level, (int, float, np.number)) and 0.001 <= float(level) <= 0.2,
            f"false_alarms={level!r}; expected a probability from 0.001 to 0.2.",
        )
        faults.expect(labels.ndim == 2 and labels.dtype.kind in "iu", "labels are no integers (y, x).")
        names = _names(labels)
        faults.expect(phase in names, f"phase {phase!r} is not in the labels, which hold {', '.join(names) or 'no flags'}.")


def _names(labels: xr.DataArray) -> dict[str, int]:
    words, flags = str(labels.attrs.get("flag_meanings", "")).split(), np.atleast_1d(labels.attrs.get("flag_values", ()))
    return {w: int(f) for w, f in zip(words, flags, strict=False)}


def _section(
    maps: xr.DataArray, labels: xr.DataArray, phase: str, marker: str | Sequence[str], distance: xr.DataArray | None
) -> _Section:
    from scipy.ndimage import distance_transform_edt, label

    ordered = canonical(maps)
    index = fragment_index(ordered, marker, subject=SUBJECT)
    values = to_dense(ordered.data).astype(float)
    scans = values[:, index].sum(axis=1) if "scan" in ordered.dims else None
    summed = values.sum(axis=0) if scans is not None else values
    pixel = pixel_size(labels, subject=SUBJECT)
    if distance is None:
        image = ordered.isel({str(ordered.dims[-3]): index}).sum(ordered.dims[:-2])
        distance = distance_to(labels, phase, image=image.copy(data=summed[index].sum(axis=0)))
    else:
        check_array(distance, subject=f"{SUBJECT}: distance", dims=("y", "x"))
        same_grid(maps, distance, subject=f"{SUBJECT}: distance")
    known: Bools = np.isfinite(to_dense(canonical(distance).data).astype(float))
    for mask in (measured_mask(maps), measured_mask(labels)):
        known = known if mask is None else known & mask
    if not known.any():
        raise SsbmapsError(f"{SUBJECT}: no pixel is left that is measured and has a finite distance.")
    field = field_of(canonical(distance), pixel, known)
    flags = to_dense(canonical(labels).data).astype(np.int64)
    edge, reason = _edge(summed[index].sum(axis=0), field)
    same = _uniform(flags) & known
    inner = known & (distance_transform_edt(np.pad(same, 1, mode="edge"), sampling=pixel)[1:-1, 1:-1] >= _margin(edge, field))
    inner &= np.abs(field.side.s) >= _margin(edge, field)
    return _Section(
        summed.sum(axis=0),
        summed[index].sum(axis=0),
        scans,
        flags,
        known,
        field,
        edge,
        reason,
        inner,
        label(known & (field.side.s < 0))[0].astype(np.int64),
        (float(labels.coords["y"][0]), float(labels.coords["x"][0])),
    )


def _edge(marker: Floats, field: Field) -> tuple[Edge | None, str]:
    try:
        return fit_map(marker, field, poisson=True, window=None)[0], ""
    except NoEdge as reason:
        return None, f"the marker shows no edge to measure: {reason}"


def _uniform(labels: NDArray[np.int64]) -> Bools:
    """Pixels whose four neighbours carry the same label."""
    padded = np.pad(labels, 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    sides = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.asarray(np.logical_and.reduce([s == centre for s in sides]))


def _beside(section: _Section, field: Field, regions: NDArray[np.int64]) -> Beside:
    """Surroundings of `regions`, to each of which the nearest pixels belong."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(regions == 0, sampling=field.pixel, return_distances=False, return_indices=True)
    return Beside(
        field.side.s,
        field.normal,
        regions[tuple(nearest)],
        section.labels,
        section.inner & field.known & ~field.ridge,
        NEAR * field.size,
        section.margin,
    )


def _redeposition(maps: xr.DataArray, section: _Section, ions: str | Sequence[str] | None) -> Check:
    ordered = canonical(maps)
    dim = channel_dim(ordered, subject=SUBJECT)
    names = [str(v) for v in ordered.coords[dim].values] if dim else []
    wanted = ([ions] if isinstance(ions, str) else list(ions)) if ions is not None else [n for n in names if _is_milling(n)]
    if not wanted:
        return untestable(*REDEPOSITION, f"no fragment of {', '.join(MILLING[:-1])} or {MILLING[-1]} is among the maps")
    index = fragment_index(ordered, wanted, subject=SUBJECT)
    ion = to_dense(ordered.data)[..., index, :, :].astype(float).sum(axis=tuple(range(ordered.ndim - 2)))
    return redeposition(ion, " + ".join(wanted), _beside(section, section.field, section.particles))


def _is_milling(name: str) -> bool:
    try:
        return {symbol for symbol, *_ in parse_ion(name).atoms} <= set(MILLING)
    except SsbmapsError:
        return False


def _shadowing(section: _Section, labels: xr.DataArray, void: str | None) -> Check:
    from scipy.ndimage import label

    if void is None:
        return shadowing(section.total, "particles", _beside(section, section.field, section.particles), section.field.pixel)
    away = canonical(distance_to(labels, void))
    field = field_of(away, section.field.pixel, section.known)
    holes = label(section.known & (field.side.s < 0))[0].astype(np.int64)
    return shadowing(section.total, "voids", _beside(section, field, holes), field.pixel)


def _edges(section: _Section) -> list[Check]:
    """Erosion by scan, and width against direction."""
    if section.edge is None:
        return [*erosion(section.reason, None), untestable(*TURNS, section.reason)]
    field, edge = section.field, section.edge
    near = field.near(REACH * edge.sigma + abs(float(edge.parameters[2])), edge.sigma)
    side = Side(field.side.s[near], field.side.wide[near], field.side.narrow[near])
    y, x = np.indices(near.shape) // TILE
    pixels = Pixels(side, field.normal[:, near], (y * (near.shape[1] // TILE + 1) + x)[near], edge)
    series = "the maps have no scans" if section.scans is None else by_scan(section.scans[:, near], pixels)
    return [*erosion(series, pixels), direction(section.marker[near], pixels, series)]


def _as_dataset(checks: list[Check], level: float, arguments: dict[str, Any], sources: list[xr.DataArray]) -> xr.Dataset:
    import xarray as xr

    columns = {
        "value": ([c.value for c in checks], "value of the check's quantity, in value_units"),
        "value_sd": ([c.value_sd for c in checks], "standard error of value"),
        "direction": ([c.direction for c in checks], "direction from x towards y"),
        "statistic": ([c.statistic for c in checks], "test statistic"),
        "p_value": ([c.p_value for c in checks], "probability of such a statistic without the mark"),
    }
    variables: dict[str, Any] = {
        name: ("check", np.array(values, float), {"units": "degree" if name == "direction" else "1", "long_name": text})
        for name, (values, text) in columns.items()
    }
    flagged = np.array([c.testable and c.p_value <= level for c in checks], np.int8)
    testable = np.array([c.testable for c in checks], np.int8)
    variables["flagged"] = ("check", flagged, {"units": "1", "long_name": "1: beyond chance at the stated rate of false alarms"})
    variables["testable"] = ("check", testable, {"units": "1", "long_name": "1: the data allow the check"})
    for one in checks:
        variables |= one.detail
    coords = {
        "check": [c.name for c in checks],
        "quantity": ("check", [c.quantity for c in checks]),
        "value_units": ("check", [c.units for c in checks]),
        "finding": ("check", [_sentence(c, level) for c in checks]),
    }
    result = xr.Dataset(variables, coords)
    result = finish(result, function=SUBJECT, arguments=arguments, sources=sources, long_name="quality of the section")
    result.attrs |= {"false_alarms": float(level), "wording": WORDING}
    return result


def _sentence(check: Check, level: float) -> str:
    if not check.testable or check.p_value <= level:
        return check.finding
    unit = "" if check.units == "1" else f" {check.units}"
    number = f"{check.value:.3g} ± {check.value_sd:.2g}{unit}"
    return f"nothing beyond chance (p = {check.p_value:.2g}); {check.quantity}: {number}"
