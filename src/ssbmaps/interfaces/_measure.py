"""Thickness of the interphase from maps alone: finds the core's edge, held out from what is measured against it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, generator, pixel_size
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps.interfaces._across import frame_of, scatter_variance
from ssbmaps.interfaces._distance import UNCERTAIN
from ssbmaps.interfaces._interphase_check import check_options, expect_counts, shells_of
from ssbmaps.interfaces._interphase_result import Terms, as_dataset
from ssbmaps.interfaces._measure_check import bright_of, channels_of, check, check_own, named_of
from ssbmaps.interfaces._measure_result import Outlines, add_geometry, rim_of
from ssbmaps.interfaces._orientation import BLIND, by_orientation
from ssbmaps.interfaces._outline import centres, drawn, pieces, placed
from ssbmaps.interfaces._particle_shells import parts_thickness, used_length
from ssbmaps.interfaces._region import around
from ssbmaps.interfaces._scans import scans_of
from ssbmaps.interfaces._shells import measure_shells
from ssbmaps.interfaces._surroundings import CORE, OTHERS, SURROUNDINGS, VOID, Ground, blind, ground_of, labelled
from ssbmaps.interfaces._views import Seen, View, by_pixels, by_scans, by_thinning, field_of, outlines_of, seen

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Across, Frame
    from ssbmaps.interfaces._scans import Scans

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

SUBJECT = "interfaces.measure_interphase"
SMOOTHING = 4.0  # pixels along the outline
FARTHEST = 40.0  # pixels to either side, unless `reach` says otherwise
PIECE = 1.5  # um of outline with a thickness of its own
MAX_HOLE, MAX_CRACK = 1.0, 0.3  # um², um: as in distance_to


def measure_interphase(
    maps: xr.DataArray,
    *,
    core: str | Sequence[str],
    shell: str | Sequence[str] | Mapping[str, str | Sequence[str]],
    geometry: str = "particles",
    likelihood: str = "poisson",
    reference: xr.Dataset | float | None = None,
    reference_level: float | Mapping[str, float] | None = None,
    surroundings: str | Sequence[str] | None = None,
    others: str | Sequence[str] | None = None,
    labels: xr.DataArray | None = None,
    phase: str | None = None,
    shifts: xr.Dataset | str = "align",
    variance: xr.DataArray | None = None,
    shots: float | None = None,
    where: xr.DataArray | None = None,
    reach: float | None = None,
    smoothing: float | None = None,
    offset_sd: float = 0.005,
    systematic: Sequence[float] = (0.02, 0.004),
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Measure the thickness of the interphase around a core from maps alone; the core's edge is found on other counts.

    The core is labelled, its outline moved to where the core's own signal puts it, and every pixel measured by its distance to
    it. So that no count helps to place the edge against which it is measured, the counts are split in five: each part is seen
    against the outline found in the other four. Drift moves the geometry, never the counts. Pixels near carbon, voids, cracks,
    a second edge or where an outline leaves the map are left out. What remains is fitted as in `fit_interphase`.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (fragment, y, x) or (scan, fragment, y, x) with named channels (also line, band or component). Five scans or more
        are split by scan, fewer are summed and their counts thinned at random; Gaussian values are split by pixel.
    core : str or sequence of str
        Fragment that the core emits, or several that are summed.
    shell : str, sequence of str or mapping
        Fragment of the shell, or several that are summed; or several shells by name, ``{"POx": ["PO2-", "PO3-"], "SOx": …}``.
        They share the geometry and are never pooled.
    geometry : {"particles", "planar"}
        Curved interfaces in a random section, or a stack of layers. Particles get results of their own and an estimate of the
        true thickness.
    likelihood : {"poisson", "gaussian"}
        Whole counts, or values with a variance (SAM, Raman, SEM).
    reference : xarray.Dataset or float, optional
        A pristine section measured by this function, or a floor of the thickness in um that a shell must exceed to be
        ``above_reference``. Excesses are compared in units of the core's level.
    reference_level : float or mapping of str to float, optional
        What a pixel full of the shell's material counts over all scans, where known: turns an excess into an equivalent
        thickness, and bounds the thickness of a shell that is not resolved. By shell for several.
    surroundings, others : str or sequence of str, optional
        Fragments of what the core should be in contact with, and of what it should not: pixels near the others, and near ground
        that emits neither, are left out. By default the maps' other ions without carbon and oxygen (S-, PS-, Cl-), and carbon
        clusters (C2-).
    labels : xarray.DataArray, optional
        Your own labels (y, x), from `ssbmaps.maps.label_phases`, with the core called `phase`. What to leave out goes to `where`.
    phase : str, optional
        Name of the core in `labels`.
    shifts : xarray.Dataset or {"align", "none"}
        Drift of the scans, from `ssbmaps.maps.align_scans`, which is called by default. Scans without a shift are left out.
    variance : xarray.DataArray, optional
        Variance of `maps`, on the same dims, for ``likelihood="gaussian"``. By default the scatter of pixels of equal distance.
    shots : float, optional
        Primary-ion shots per pixel and scan (all shots of a pixel for maps without scans). Counts are then binomial, at most one
        per shot: the loss to dead time is part of the model. Raw counts only, never corrected ones.
    where : xarray.DataArray, optional
        Boolean (y, x): only these pixels are measured.
    reach : float, optional
        Pixels farther out than this, in um, are not used: 40 pixels by default.
    smoothing : float, optional
        Standard deviation in um of the Gaussian along the outline, 4 pixels by default.
    offset_sd : float, optional
        Prior standard deviation, um, of the distance between the core's edge and the start of the shell: ±10 nm at 95 %. It
        enters the interval through ``d_sensitivity``, as far as the profile leaves it open. Half of what `fit_interphase`
        assumes, since `systematic` holds the rest.
    systematic : (float, float), optional
        Standard deviation of what a found geometry adds: this share of the thickness plus so many um.
    rng : int or numpy.random.Generator, optional
        Randomness of labels, thinning and folds; None means 0.

    Returns
    -------
    xarray.Dataset
        All that `fit_interphase` returns, with ``contact`` the share of the core's whole outline that is in contact and was
        used, and intervals that hold `systematic` too. ``true_thickness`` (particles) also holds the scatter between particles:
        another section would cut others. Along ``vertex``: ``vertex_y``, ``vertex_x``, um, the outline, and
        ``vertex_segment``. Along ``segment``, pieces of about 1.5 um: ``segment_thickness`` (+ ``_sd``; by shell, um, NaN where
        not measured), ``segment_y``, ``segment_x``, ``segment_length``, ``segment_particle``, ``segment_contact``. Along
        ``particle`` also ``particle_contact``. Along ``harmonic`` of the outward normal's direction φ: ``thickness_modulation``
        and ``sigma_modulation``, amplitudes in um, with ``_p``, their probability by chance: cos φ tells of shadowing, drift
        or misplaced maps, cos 2φ of tilt or astigmatism. ``n_left_out`` regions of the core were too small.

    Raises
    ------
    SsbmapsError
        If fragments or options are unknown, counts negative or above `shots`; no region of the core is 2 σ across or 4 σ thick;
        fewer than 50 pixels on either side of the edge see no second edge, the core shows no step, or core or surroundings
        emit more of the shell's signal than the shell, as phosphates do.
    GridMismatchError
        If the pixels of `maps`, `labels`, `where` or `variance` differ.

    Warns
    -----
    DataQualityWarning
        If no fragment marks the surroundings, scans cannot be aligned, or the core is too thin for the image to reach its level.

    Notes
    -----
    Outline: `ssbmaps.interfaces.distance_to` with an image: local half levels, smoothed along itself. Labels (of all counts)
    only give its topology; what they know of the noise is forgotten in the rounds that follow. Unmeasured pixels and NaN are
    left out. Scans that lie within 0.2 pixels of each other are seen as one. A pixel is measured only if it is farther than 4
    σ from the neighbourhood of others, voids, closed cracks and holes. Ion yields that differ from those of a uniform shell
    are in no interval; nor is a section that is not random.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> from ssbmaps.interfaces import measure_interphase
    >>> section = synthetic.cross_section(shape=(128, 128), n_scans=5, geometry="disc", thickness=0.3)
    >>> found = measure_interphase(section.counts, core="NiO2-", shell={"POx": ["PO2-", "PO3-"]}, shots=25)
    >>> one = found.sel(shell="POx")
    >>> bool(one.thickness_low < 0.3 < one.thickness_high)
    True
    """
    shells = shells_of(shell, subject=SUBJECT)
    levels = reference_level if isinstance(reference_level, Mapping) else dict.fromkeys(shells, reference_level)
    check(maps, labels, phase, where, variance, likelihood, shots, subject=SUBJECT)
    with Faults(SUBJECT) as faults:
        check_options(geometry, reach, offset_sd, levels, shells, faults=faults)
        check_own(shifts, smoothing, systematic, faults)
    draws, seed = generator(rng)
    ordered = canonical(maps)
    pixel = pixel_size(maps, subject=SUBJECT)
    size = float(np.sqrt(pixel[0] * pixel[1]))
    channels = named_of(ordered, core, shells, subject=SUBJECT)
    beside = channels_of(ordered, core, shells, surroundings, others, subject=SUBJECT)
    bright = bright_of(ordered, channels[0], beside, subject=SUBJECT)
    scans = scans_of(ordered, shifts, variance, pixel, likelihood, bright, subject=SUBJECT)
    notes: list[str] = []
    if labels is None:
        found = labelled(scans.frame_maps(ordered), core, shells, beside, draws)
        notes.append(blind(found))
        ground = ground_of(found, CORE, (OTHERS, VOID), max_hole=MAX_HOLE, max_crack=MAX_CRACK, subject=SUBJECT)
    else:
        ground = ground_of(labels, str(phase), (), max_hole=MAX_HOLE, max_crack=MAX_CRACK, subject=SUBJECT)
    usable = ground.usable & scans.covered
    if where is not None:
        usable &= to_dense(canonical(where).data)
    width = SMOOTHING * size if smoothing is None else float(smoothing)
    far = FARTHEST * size if reach is None else float(reach)
    scene = _scene(scans, ground, usable, channels, pixel, width, far, draws)
    outlines = _outlines(scene, ground, ordered)
    vertex = scene.entries.vertex
    owner = outlines.particle[vertex] if geometry == "particles" else None
    whose = None if owner is None else lambda _: owner
    results = measure_shells(ordered, core, shells, scene.field(scans, shots), (far, far), levels, whose, subject=SUBJECT)
    for note in filter(None, [*notes, scene.note]):
        warnings.warn(f"{SUBJECT}: {note}", DataQualityWarning, stacklevel=2)
    rim = particles = None
    if owner is not None:
        rim = rim_of(outlines, ground.particle.astype(np.int64), pixel, results[0], vertex)
        particles = (rim, [parts_thickness(r.measured, r.field, owner, rim.label) for r in results])
    arguments = {
        "maps": maps,
        "core": core,
        "shell": shell,
        "geometry": geometry,
        "likelihood": likelihood,
        "reference": reference,
        "reference_level": reference_level,
        "surroundings": beside[SURROUNDINGS],
        "others": beside[OTHERS],
        "labels": labels,
        "phase": phase,
        "shifts": shifts,
        "variance": variance,
        "shots": shots,
        "where": where,
        "reach": far,
        "smoothing": width,
        "offset_sd": offset_sd,
        "systematic": list(systematic),
        "rng": seed,
    }
    units = str(maps.attrs.get("units", "arbitrary"))
    terms = Terms(SUBJECT, units, float(offset_sd), True, reference, float(systematic[0]), float(systematic[1]))
    result = as_dataset(results, particles, terms, arguments, [maps])
    piece = outlines.pieces.of_vertex[vertex]
    number = np.arange(len(outlines.pieces.length))
    own = [parts_thickness(r.measured, r.field, piece, number) for r in results]
    used = used_length(results[0].field, results[0].measured.use, piece, len(number) - 1)
    angle = outlines.angles[vertex]
    waves = [
        (by_orientation(r.measured, r.field, angle, "d"), by_orientation(r.measured, r.field, angle, "sigma"))
        if r.measured.bounded
        else (BLIND, BLIND)
        for r in results
    ]
    result = add_geometry(result, outlines, rim, own, used, waves)
    text = "regions of the core too small to be measured"
    return result.assign(n_left_out=((), np.int64(ground.n_small), {"units": "1", "long_name": text}))


@dataclass(frozen=True)
class Scene:
    """Where everything lies: frame, views with their entries, the outline of all counts, positions of channels; a warning."""

    frame: Frame
    views: list[View]
    entries: Seen
    contours: list[Any]
    position: dict[int, int]
    note: str

    def field(self, scans: Scans, shots: float | None) -> Any:
        """What `measure_shells` asks for the pixels of sums over groups of channels."""

        def build(groups: list[list[int]], kinds: Ints) -> Across:
            most = np.array([np.inf if shots is None else float(shots) * scans.n * len(g) for g in groups])
            if shots is not None:
                expect_counts(np.stack([scans.total[g][:, scans.covered].sum(axis=0) for g in groups]).astype(float), most)
            own = [[self.position[c] for c in g] for g in groups]
            return field_of(self.entries, self.views, self.frame, own, kinds, most)

        return build


def _scene(
    scans: Scans,
    ground: Ground,
    usable: Bools,
    channels: tuple[list[int], list[int]],
    pixel: tuple[float, float],
    width: float,
    reach: float,
    draws: np.random.Generator,
) -> Scene:
    core, named = channels
    position = {c: i for i, c in enumerate(named)}
    start = drawn(ground.core, ground.measured & scans.covered, pixel, width, subject=SUBJECT)
    asked = ground.measured & scans.covered & ~around(ground.closed, UNCERTAIN)
    inside = [position[c] for c in core]
    views = _views(scans, named, ground, pixel, draws)
    outlines = outlines_of(views, start, inside, asked, pixel, width, subject=SUBJECT)
    whole, _, note = outlines[-1]
    away = placed(centres(ground.core.shape, pixel), ground.core, whole, pixel).s.reshape(ground.core.shape)
    frame = frame_of(np.where(ground.measured & scans.covered, away, np.nan), pixel)
    usable = usable & np.isfinite(scans.total[named]).all(axis=0)
    entries = seen(views, frame, ground.core, usable, outlines, reach, draws)
    if not len(entries.s):
        raise SsbmapsError(
            f"{SUBJECT}: no pixel is left near the core's edge. Carbon, voids, cracks, the frame or `where` leave none."
        )
    return Scene(frame, views, entries, whole, position, note)


def _views(scans: Scans, named: list[int], ground: Ground, pixel: tuple[float, float], draws: np.random.Generator) -> list[View]:
    if scans.counts is not None:
        return by_scans(scans.counts, named, scans.shifts, pixel)
    if scans.whole:
        return by_thinning(scans.total[named], draws)
    values = scans.total[named].astype(np.float64)
    if scans.variance is not None:
        return by_pixels(values, scans.variance[named], draws)
    from scipy.ndimage import distance_transform_edt

    inner, outer = (distance_transform_edt(m, sampling=pixel) for m in (ground.core, ~ground.core))
    good = ground.measured & scans.covered & np.isfinite(values).all(axis=0)
    size = float(np.sqrt(pixel[0] * pixel[1]))
    return by_pixels(values, scatter_variance(values, outer - inner, good, size), draws)


def _outlines(scene: Scene, ground: Ground, maps: xr.DataArray) -> Outlines:
    """The outline of all counts with its pieces, and the particle nearest to each vertex."""
    from scipy.ndimage import distance_transform_edt

    pixel = scene.frame.pixel
    near = distance_transform_edt(ground.particle == 0, sampling=pixel, return_distances=False, return_indices=True)
    points = np.concatenate([c.points for c in scene.contours])
    row, column = (
        np.clip(np.rint(p / d).astype(np.int64), 0, n - 1) for p, d, n in zip(points.T, pixel, ground.particle.shape, strict=True)
    )
    particle = ground.particle[near[0][row, column], near[1][row, column]].astype(np.int64)
    origin = np.array([float(maps.coords[d].values[0]) for d in ("y", "x")])
    return Outlines(scene.contours, pieces(scene.contours, PIECE), particle, origin)
