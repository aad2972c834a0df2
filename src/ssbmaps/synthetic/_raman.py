"""The section seen by a Raman microscope: a coarse map of spectra with fluorescence, dark counts and spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._bands import RAMAN_BANDS
from ssbmaps._conventions import check_attrs, raster_coords, spectral_coord
from ssbmaps._errors import Faults
from ssbmaps._provenance import finish
from ssbmaps.synthetic._counting import smooth_field
from ssbmaps.synthetic._levels import DARK_COUNTS, FLUORESCENCE_COUNTS, RAMAN_COUNTS, RAMAN_PHASES
from ssbmaps.synthetic._recipe import recipe_of
from ssbmaps.synthetic._scene import build_scene, stream
from ssbmaps.synthetic._section import check_seed
from ssbmaps.synthetic._views import CORE, own_technique, placement, view, with_rims

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.synthetic._recipe import Recipe

    Floats = NDArray[np.float64]

RAMAN_STREAM, FLUORESCENCE_STREAM, RIM_STREAM = 6, 9, 10
SPECTRA_DIMS = ("y", "x", "raman_shift")
COMPONENTS = (*RAMAN_BANDS, "fluorescence", "dark")
RIM_DEPTH = 0.4  # um of NMC that has turned to Co3O4, on the particles concerned
RIM_SHARE = 0.4  # of the particles are concerned


def raman_map(
    section: xr.Dataset,
    *,
    seed: int = 0,
    pixel_size: float = 0.6,
    shape: Sequence[int] | None = None,
    raman_shift: tuple[float, float, float] = (150.0, 1750.0, 1.7),
    rotation: float = 0.0,
    scale: float = 1.0,
    shift: Sequence[float] = (0.0, 0.0),
    spot_fwhm: float = 1.0,
    dose: float = 1.0,
    fluorescence: float = 1.0,
    spikes: float = 0.03,
) -> xr.Dataset:
    """Map the same sample by Raman microscopy.

    NMC, PS4^3−, carbon (D and G) and Co3O4 in the rim of some particles scatter with Lorentzian bands; fluorescence is a
    broad hump whose strength varies over the map; cosmic rays leave spikes of one or two channels.

    Parameters
    ----------
    section : xarray.Dataset
        From `cross_section`; the sample is built again from its recipe.
    seed : int
        Seed of noise and spikes.
    pixel_size : float
        Side of a pixel, um.
    shape : (int, int), optional
        Pixels along y and x; by default the view covers the section.
    raman_shift : (float, float, float)
        First and last value and step of the spectral axis, 1/cm.
    rotation, scale, shift : float, float, (float, float)
        Where the view lies, as in `sam_maps`; by default exactly on the section.
    spot_fwhm : float
        Full width at half maximum of the laser spot, um.
    dose, fluorescence : float
        Multiply everything but the dark counts; and the fluorescence once more.
    spikes : float
        Mean number of spikes per spectrum.

    Returns
    -------
    xarray.Dataset
        ``spectra`` (y, x, raman_shift), uint32 counts. The truth: ``reference`` (component, raman_shift), each of sum 1;
        ``abundance`` (component, y, x), counts, so that the mean spectrum is abundance · reference where no spike is;
        ``spikes`` (y, x, raman_shift), uint32, the counts that spikes added. The attribute ``transform`` is as in
        `sam_maps`.

    Raises
    ------
    SsbmapsError
        If `section` is not from `cross_section`, an option is out of range or the view reaches beyond the sample.

    Notes
    -----
    Band positions and their sources are in ``ssbmaps._bands``; intensities are chosen, not measured.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> section = synthetic.cross_section(shape=(48, 64), n_scans=1, geometry="disc")
    >>> raman = synthetic.raman_map(section)
    >>> dict(raman.spectra.sizes), raman.component.values.tolist()[:2]
    ({'y': 8, 'x': 11, 'raman_shift': 942}, ['NMC', 'PS4^3-'])
    """
    arguments = {name: value for name, value in locals().items() if name != "section"}

    import xarray as xr

    subject = "synthetic.raman_map"
    recipe = recipe_of(section, subject=subject)
    check_seed(seed, subject=subject)
    with Faults(subject) as faults:
        first, last, step = raman_shift
        faults.expect(
            0 < step < last - first, f"raman_shift is {raman_shift}; expected (first, last, step) with a positive step."
        )
        for name, value in (("dose", dose), ("fluorescence", fluorescence), ("spikes", spikes), ("spot_fwhm", spot_fwhm)):
            faults.expect(value >= 0, f"{name} is {value}; expected 0 or more.")
    chosen, matrix = placement(
        recipe, subject=subject, pixel_size=pixel_size, shape=shape, cover=1.0, rotation=rotation, scale=scale, shift=shift
    )
    axis = np.arange(first, last, step)
    reference = reference_spectra(axis)
    abundance = _abundance(recipe, chosen, pixel_size, matrix, spot_fwhm, axis.size, dose=dose, fluorescence=fluorescence)
    rng = stream(seed, RAMAN_STREAM)
    added = _spikes(rng, (*chosen, axis.size), spikes)
    counts = rng.poisson(np.einsum("cyx,ck->yxk", abundance, reference, optimize=True)) + added
    parts = ("component", "y", "x")
    result = xr.Dataset(
        {
            "spectra": (SPECTRA_DIMS, counts.astype(np.uint32), {"units": "counts", "long_name": "Raman spectra"}),
            "abundance": (parts, abundance, {"units": "counts", "long_name": "planted counts of the component"}),
            "reference": (("component", "raman_shift"), reference, {"units": "1", "long_name": "planted spectrum, sum 1"}),
            "spikes": (SPECTRA_DIMS, added.astype(np.uint32), {"units": "counts", "long_name": "counts added by cosmic rays"}),
        },
        {
            **raster_coords(chosen, (pixel_size, pixel_size)),
            "raman_shift": spectral_coord("raman_shift", axis),
            "component": ("component", list(COMPONENTS)),
        },
    )
    result = finish(result, function=subject, arguments=arguments, sources=[section], long_name="synthetic Raman map")
    own_technique(result, "raman")
    result.attrs.update(source="synthetic", spot_fwhm=float(spot_fwhm), transform=matrix.ravel())
    check_attrs(result.attrs, subject=subject)
    return result


def reference_spectra(axis: Floats) -> Floats:
    """(component, channel) spectra of sum 1: Lorentzian bands of equal area within a component, a hump, a constant."""
    rows = []
    for bands in RAMAN_BANDS.values():
        rows.append(sum(b.width / ((axis - b.raman_shift) ** 2 + (b.width / 2) ** 2) for b in bands))
    rows.append(0.3 + np.exp(-0.5 * ((axis - 1300) / 700) ** 2))
    rows.append(np.ones_like(axis))
    return np.stack([np.asarray(r) / np.sum(r) for r in rows])


def _abundance(
    recipe: Recipe,
    shape: tuple[int, int],
    pixel: float,
    matrix: Floats,
    fwhm: float,
    channels: int,
    *,
    dose: float,
    fluorescence: float,
) -> Floats:
    """(component, y, x) planted counts."""
    from dataclasses import replace

    scene = build_scene(recipe)
    rimmed = with_rims(scene, stream(recipe.seed, RIM_STREAM).random(len(scene.outlines)) < RIM_SHARE)
    plain = replace(recipe, departures=replace(recipe.departures, core_yield_depth=RIM_DEPTH, core_yield=1.0))
    share = view(plain, shape, pixel, matrix, fwhm=fwhm, scene=rimmed)
    rim = np.maximum(share["NMC"] - share[CORE], 0.0)
    share["NMC"] = np.maximum(share[CORE] - rim, 0.0)
    y, x = ((np.arange(n, dtype=np.float64) + 0.5) * pixel for n in shape)
    glow = np.exp(0.35 * smooth_field(stream(recipe.seed, FLUORESCENCE_STREAM), y, x, 0.2 * pixel * max(shape)))
    parts = {name: dose * RAMAN_COUNTS[name] * share[phase] for name, phase in RAMAN_PHASES.items()}
    parts["Co3O4"] = dose * RAMAN_COUNTS["Co3O4"] * rim
    parts["fluorescence"] = dose * fluorescence * glow * sum(v * share[p] for p, v in FLUORESCENCE_COUNTS.items())
    parts["dark"] = np.full(shape, DARK_COUNTS * channels)
    return np.stack([parts[name] for name in COMPONENTS])


def _spikes(rng: np.random.Generator, shape: tuple[int, int, int], rate: float) -> NDArray[np.int64]:
    """Counts added by cosmic rays: log-normal heights of about 4000, one channel or two."""
    added = np.zeros(shape, np.int64)
    n = rng.poisson(rate * shape[0] * shape[1])
    y, x, k = (rng.integers(0, size, n) for size in shape)
    height = np.exp(rng.normal(np.log(4000), 0.7, n)).astype(np.int64)
    second = np.where(rng.random(n) < 0.4, (height * rng.uniform(0.1, 0.6, n)).astype(np.int64), 0)
    np.add.at(added, (y, x, k), height)
    np.add.at(added, (y, x, np.minimum(k + 1, shape[2] - 1)), second)
    return added
