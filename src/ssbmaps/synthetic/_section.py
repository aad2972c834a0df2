"""A composite-cathode section measured by ToF-SIMS: the public functions, and the Dataset with its planted truth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import CHANNEL_DIMS, LONG_NAMES, canonical, check_attrs, raster_coords
from ssbmaps._errors import SsbmapsError
from ssbmaps._ions import parse_ion
from ssbmaps._provenance import finish
from ssbmaps.synthetic import _counting
from ssbmaps.synthetic._beam import Blur, Imager
from ssbmaps.synthetic._levels import FRAGMENTS, table
from ssbmaps.synthetic._raster import Frame, frame_of, rasterise
from ssbmaps.synthetic._recipe import Departures, Instrument, Layout, Recipe, recipe_of
from ssbmaps.synthetic._scene import MARGIN, Scene, build_scene
from ssbmaps.synthetic._truth import distance_map, particle_variables, phase_labels, thickness_attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CHEMICAL = ("NMC", "electrolyte", "POx", "SOx")  # what intermixing blurs


def cross_section(
    *,
    seed: int = 0,
    shape: Sequence[int] = (512, 512),
    pixel_size: float = 0.1,
    n_scans: int = 20,
    geometry: str = "particles",
    thickness: float | None = 0.2,
    thickness_SOx: float | None = None,
    levels: Mapping[str, Mapping[str, float]] | None = None,
    layout: Layout | None = None,
    instrument: Instrument | None = None,
    departures: Departures | None = None,
) -> xr.Dataset:
    """Make a section of a composite cathode, measured by ToF-SIMS in negative polarity, with its planted truth.

    NMC particles lie in a thiophosphate electrolyte with carbon fibres and voids. Around the NMC lies an interphase: a
    shell that emits PO2− and PO3− ("POx"), and inside it, from the same edge on, a thinner one that also emits SO2− and
    SO3− ("SOx"). The electrolyte's ions fall off inside the interphase. The same arguments give the same bits; the
    sample is the same for the same `seed`, `shape`, `pixel_size` and `layout`, whatever the thickness and the instrument.

    Parameters
    ----------
    seed : int
        Geometry, gain, drift and noise each have their own random stream derived from it.
    shape : (int, int)
        Pixels along y and x.
    pixel_size : float
        Side of a pixel, um.
    n_scans : int
        Scans over the same area; the planted levels are spread over all of them.
    geometry : {"particles", "spheres", "planar", "disc"}
        Rounded particles; true spheres with a true shell, cut by a random plane; a stack of layers; one round particle
        in the middle.
    thickness : float, optional
        Thickness of the POx shell, um, normal to the interface; 0 or None for no shell at all.
    thickness_SOx : float, optional
        Thickness of the SOx shell, um; at most `thickness`, by default 0.4 times it.
    levels : mapping of str to mapping of str to float, optional
        Counts per pixel over all scans by phase and fragment, where they differ from the usual ones; needed for the
        layers that only you know.
    layout : Layout, optional
        Sizes and shares of particles, fibres, voids; the layers of a stack.
    instrument : Instrument, optional
        Beam, shots, dead time, gain, drift, transient, leak.
    departures : Departures, optional
        Departures from a uniform shell with sharp edges.

    Returns
    -------
    xarray.Dataset
        On (scan, fragment, y, x): ``counts`` (uint32), the measured maps, and ``expected`` (float32), the mean they were
        drawn from, all instrument marks included. ``ideal`` (fragment, y, x): noise-free counts per pixel over all scans,
        blurred by the beam and averaged over the pixel, without gain, drift, transient, leak or dead time. ``distance``
        (y, x), um: signed distance of the pixel's centre to the nearest NMC outline, negative inside, cracks ignored,
        NaN if there is no NMC. ``coverage`` (phase, y, x): share of each pixel, unblurred; all phases but SOx, which
        lies inside POx, sum to 1. ``phase_map`` (y, x): the phase with the largest share. ``gain`` (y, x); ``drift_y``,
        ``drift_x`` (scan), um; ``transient`` (scan, fragment); ``leak`` (leak_from, fragment); ``level`` (phase, fragment).
        Along ``particle``, if there are any: position, radius, perimeter and shells of the particles in view. Attributes
        hold the planted numbers: ``thickness_POx``, ``thickness_SOx`` (um, along the section, weighted by perimeter),
        ``true_thickness_POx``, ``true_thickness_SOx`` (um, normal to the interface), ``sigma_psf``, ``sigma_int``,
        ``offset`` (um), ``dead_time`` (ns), ``shots`` and the others, and ``recipe``, all arguments as JSON.

    Raises
    ------
    SsbmapsError
        If an argument is out of range; all faults are named at once.

    Notes
    -----
    Distances are exact; yields are averaged over cells of a quarter pixel or less along the normal of the edge, so that
    a shell of any thickness keeps its area. Counts are drawn per scan and pixel: with `instrument.shots` shots, at most
    one count per shot and dead-time window, and lighter ions that arrive within the dead time mask heavier ones
    (T. Stephan, J. Zehnpfenning, A. Benninghoven, J. Vac. Sci. Technol. A 12 (1994) 405, doi 10.1116/1.579255).

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> section = synthetic.cross_section(seed=1, shape=(48, 64), n_scans=2, geometry="disc", thickness=0.3)
    >>> dict(section.counts.sizes)
    {'scan': 2, 'fragment': 9, 'y': 48, 'x': 64}
    >>> section.attrs["thickness_POx"]
    0.3
    """
    recipe = _recipe(seed, shape, pixel_size, n_scans, geometry, thickness, thickness_SOx, levels, layout, instrument, departures)
    recipe.check()
    scene = build_scene(recipe)
    frame = _frame(recipe)
    coverage, emission = rasterise(recipe, scene, frame)
    imager = _imager(recipe, frame, emission)
    mz = np.array([parse_ion(f).mz for f in FRAGMENTS])
    level = table(recipe.fragment_levels(), recipe.phases, FRAGMENTS)
    marks = _marks(recipe)
    expected = _expected(recipe, imager, level, mz, marks)
    counts = _draw(expected, mz, recipe.seed, recipe.instrument)
    sharp = np.stack([_pixel_means(coverage[p], frame) for p in recipe.phases])
    variables: dict[str, Any] = {
        "counts": (("scan", "fragment", "y", "x"), counts, {"units": "counts", "long_name": "measured counts"}),
        "expected": (("scan", "fragment", "y", "x"), expected, {"units": "counts", "long_name": "mean of the measured counts"}),
        "ideal": (("fragment", "y", "x"), _ideal(imager, level), {"units": "counts", "long_name": "noise-free counts"}),
        "distance": (("y", "x"), distance_map(recipe, scene, frame), {"units": "um", "long_name": "distance to the NMC outline"}),
        "coverage": (("phase", "y", "x"), sharp, {"units": "1", "long_name": "share of the pixel"}),
        "phase_map": phase_labels(recipe, sharp),
        "level": (("phase", "fragment"), level, {"units": "counts", "long_name": "planted counts per pixel, all scans"}),
        **marks,
        **particle_variables(recipe, scene),
    }
    return _assemble(recipe, scene, variables, mz)


def redraw(section: xr.Dataset, *, seed: int) -> xr.Dataset:
    """Draw the noise of a section anew from the same expected counts.

    Parameters
    ----------
    section : xarray.Dataset
        From `cross_section`; `expected` (scan, fragment, y, x) and the attributes are used.
    seed : int
        Seed of the new noise; the section's own seed gives its counts again.

    Returns
    -------
    xarray.Dataset
        The same section with new ``counts``; nothing else differs but the history and ``noise_seed``.

    Raises
    ------
    SsbmapsError
        If `section` is not from `cross_section` or the seed is no int of 0 or more.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> section = synthetic.cross_section(shape=(16, 24), n_scans=2, geometry="planar")
    >>> bool((synthetic.redraw(section, seed=0).counts == section.counts).all())
    True
    >>> bool((synthetic.redraw(section, seed=1).counts == section.counts).all())
    False
    """
    recipe = recipe_of(section, subject="synthetic.redraw")
    check_seed(seed, subject="synthetic.redraw")
    expected = canonical(section["expected"])
    counts = expected.copy(data=_draw(expected.values, section["mz"].values, seed, recipe.instrument))
    counts.attrs = dict(section["counts"].attrs)
    result = section.assign(counts=counts)
    kept = dict(section.attrs)
    result = finish(result, function="synthetic.redraw", arguments={"seed": seed}, sources=[section])
    result.attrs = {**kept, **result.attrs, "noise_seed": int(seed)}
    return result


def check_seed(seed: Any, *, subject: str) -> None:
    """Raise unless `seed` is an int of 0 or more."""
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise SsbmapsError(f"{subject}: seed is {seed!r}; expected an int of 0 or more.")


def _recipe(
    seed: int,
    shape: Sequence[int],
    pixel_size: float,
    n_scans: int,
    geometry: str,
    thickness: float | None,
    thickness_SOx: float | None,
    levels: Mapping[str, Mapping[str, float]] | None,
    layout: Layout | None,
    instrument: Instrument | None,
    departures: Departures | None,
) -> Recipe:
    check_seed(seed, subject="synthetic.cross_section")
    if len(tuple(shape)) != 2:
        raise SsbmapsError(f"synthetic.cross_section: shape is {tuple(shape)}; expected two numbers of pixels (y, x).")
    layout, instrument = layout or Layout(), instrument or Instrument()
    layers = None if layout.layers is None else tuple((str(n), float(d)) for n, d in layout.layers)
    leak = tuple((str(a), str(b), float(s)) for a, b, s in instrument.leak)
    depth = float(thickness or 0.0)
    return Recipe(
        seed=int(seed),
        shape=(int(shape[0]), int(shape[1])),
        pixel_size=float(pixel_size),
        n_scans=int(n_scans),
        geometry=geometry,
        thickness=depth,
        thickness_SOx=0.4 * depth if thickness_SOx is None else float(thickness_SOx),
        levels={p: {f: float(v) for f, v in row.items()} for p, row in (levels or {}).items()},
        layout=replace(layout, layers=layers, radius=(float(layout.radius[0]), float(layout.radius[1]))),
        instrument=replace(instrument, transient=dict(instrument.transient), leak=leak, shots=int(instrument.shots)),
        departures=departures or Departures(),
    )


def _blurs(recipe: Recipe) -> list[Blur]:
    instrument, departures = recipe.instrument, recipe.departures
    beam = Blur(instrument.sigma_psf, instrument.halo_fraction, instrument.halo_sigma)
    return [replace(beam, extra=departures.sigma_int) if p in _CHEMICAL else beam for p in recipe.phases]


def _frame(recipe: Recipe) -> Frame:
    instrument = recipe.instrument
    moves = 0.5 * instrument.drift + 4 * instrument.drift_walk * np.sqrt(recipe.n_scans)
    reach = max(b.reach for b in _blurs(recipe)) + moves
    if reach > MARGIN:
        raise SsbmapsError(
            f"synthetic.cross_section: beam, halo, intermixing and drift reach {reach:.3g} um beyond the map, "
            f"and the sample ends {MARGIN:g} um beyond it; expected less. Narrow the halo or reduce the drift."
        )
    return frame_of(recipe.shape, recipe.pixel_size, sigma=instrument.sigma_psf, reach=reach)


def _imager(recipe: Recipe, frame: Frame, emission: Mapping[str, Floats]) -> Imager:
    return Imager([emission[p] for p in recipe.phases], _blurs(recipe), frame)


def _pixel_means(field: Floats, frame: Frame) -> Floats:
    q = frame.oversample
    return frame.crop(field.reshape(frame.padded[0], q, frame.padded[1], q).mean(axis=(1, 3)))


def _ideal(imager: Imager, level: Floats) -> Floats:
    return np.asarray(np.einsum("pf,pyx->fyx", level, imager.image(), optimize=True))


def _marks(recipe: Recipe) -> dict[str, Any]:
    coords = raster_coords(recipe.shape, (recipe.pixel_size, recipe.pixel_size))
    gain = _counting.gain_field(recipe, coords["y"][1], coords["x"][1])
    drift_y, drift_x = _counting.drift_path(recipe)
    curve = _counting.transient_curve(recipe.instrument, FRAGMENTS, recipe.n_scans)
    leak = _counting.leak_matrix(recipe.instrument, FRAGMENTS)
    return {
        "gain": (("y", "x"), gain, {"units": "1", "long_name": "detection gain"}),
        "drift_y": ("scan", drift_y, {"units": "um", "long_name": "stage position of the scan along y"}),
        "drift_x": ("scan", drift_x, {"units": "um", "long_name": "stage position of the scan along x"}),
        "transient": (("scan", "fragment"), curve, {"units": "1", "long_name": "factor on the yield"}),
        "leak": (("leak_from", "fragment"), leak, {"units": "1", "long_name": "share of leak_from counted as fragment"}),
    }


def _expected(recipe: Recipe, imager: Imager, level: Floats, mz: Floats, marks: Mapping[str, Any]) -> NDArray[np.float32]:
    """(scan, fragment, y, x) mean counts: level × image × gain × transient, then leak, then dead time."""
    gain, curve, leak = marks["gain"][1], marks["transient"][1], marks["leak"][1]
    drift = np.column_stack([marks["drift_y"][1], marks["drift_x"][1]])
    expected = np.empty((recipe.n_scans, level.shape[1], *recipe.shape), np.float32)
    per_scan, fast = level / recipe.n_scans, imager.single()

    def one_scan(k: int) -> None:
        mixed = np.tensordot((per_scan * curve[k] @ leak).T, fast.image((drift[k, 0], drift[k, 1])), axes=1)
        expected[k] = _counting.detected(mixed * gain, mz, recipe.instrument)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one_scan, range(recipe.n_scans)))
    return expected


def _draw(expected: NDArray[np.float32], mz: Floats, seed: int, instrument: Instrument) -> NDArray[np.uint32]:
    return _counting.draw(
        expected, mz, seed=seed, shots=instrument.shots, dead_time=instrument.dead_time, flight_time=instrument.flight_time
    )


def _assemble(recipe: Recipe, scene: Scene, variables: dict[str, Any], mz: Floats) -> xr.Dataset:
    import xarray as xr

    coords: dict[str, Any] = {
        **raster_coords(recipe.shape, (recipe.pixel_size, recipe.pixel_size)),
        "scan": ("scan", np.arange(recipe.n_scans)),
        CHANNEL_DIMS[0]: (CHANNEL_DIMS[0], list(FRAGMENTS)),
        "leak_from": ("leak_from", list(FRAGMENTS)),
        "phase": ("phase", list(recipe.phases)),
        "mz": ("fragment", mz, {"units": "Da", "long_name": LONG_NAMES["mz"]}),
    }
    arguments = {k: v for k, v in vars(recipe).items() if k not in ("layout", "instrument", "departures")}
    for name, usual in (("layout", Layout()), ("instrument", Instrument()), ("departures", Departures())):
        chosen = getattr(recipe, name)
        arguments[name] = {k: v for k, v in vars(chosen).items() if v != getattr(usual, k)}
    section = finish(xr.Dataset(variables, coords), function="synthetic.cross_section", arguments=arguments)
    instrument, departures = recipe.instrument, recipe.departures
    section.attrs.update(
        technique="tof-sims",
        polarity="negative",
        source="synthetic",
        long_name="synthetic section with planted truth",
        **thickness_attrs(recipe, scene),
        sigma_psf=instrument.sigma_psf,
        beam_fwhm=instrument.beam_fwhm,
        halo_fraction=instrument.halo_fraction,
        halo_sigma=instrument.halo_sigma,
        sigma_int=departures.sigma_int,
        offset=departures.shell_offset,
        core_yield=departures.core_yield,
        core_yield_depth=departures.core_yield_depth,
        mixing_layer=departures.mixing_layer,
        shell_profile=departures.shell_profile,
        cut_angle=departures.cut_angle,
        dead_time=instrument.dead_time,
        shots=instrument.shots,
        flight_time=instrument.flight_time,
        transient_depth=instrument.transient_depth,
        pixel_size=recipe.pixel_size,
        noise_seed=recipe.seed,
        recipe=recipe.to_json(),
    )
    check_attrs(section.attrs, subject="synthetic.cross_section")
    return section
