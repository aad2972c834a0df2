"""The section seen by a scanning Auger microscope: peak and background of each line on another raster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._bands import AUGER_LINES
from ssbmaps._conventions import check_attrs, raster_coords
from ssbmaps._errors import Faults
from ssbmaps._provenance import finish
from ssbmaps.synthetic._levels import AUGER_BACKGROUND, AUGER_PEAKS, BACKSCATTERING, table
from ssbmaps.synthetic._recipe import recipe_of
from ssbmaps.synthetic._scene import stream
from ssbmaps.synthetic._section import check_seed
from ssbmaps.synthetic._views import own_technique, placement, view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

SAM_STREAM = 5
BACKGROUND_OFFSET = 20.0  # eV above the peak, where the background is taken


def sam_maps(
    section: xr.Dataset,
    *,
    seed: int = 0,
    lines: Sequence[str] = ("Li KLL", "P LVV", "S LVV", "C KLL", "O KLL", "Ni LMM"),
    pixel_size: float = 0.08,
    shape: Sequence[int] | None = None,
    rotation: float = 2.0,
    scale: float = 1.02,
    shift: Sequence[float] = (0.7, -0.4),
    beam_fwhm: float = 0.06,
    dose: float = 1.0,
    levels: Mapping[str, Mapping[str, float]] | None = None,
) -> xr.Dataset:
    """Map the same sample by scanning Auger microscopy, on its own raster.

    Parameters
    ----------
    section : xarray.Dataset
        From `cross_section`; the sample is built again from its recipe.
    seed : int
        Seed of the noise.
    lines : sequence of str
        Auger lines: "Li KLL", "P LVV", "S LVV", "C KLL", "O KLL", "Ni LMM".
    pixel_size : float
        Side of a pixel as the microscope states it, um.
    shape : (int, int), optional
        Pixels along y and x; by default the view covers 0.8 of the section's sides.
    rotation, scale, shift : float, float, (float, float)
        Where the view really lies: turned by `rotation` degrees, `scale` times as large as stated, its middle `shift`
        (y, x) um from the middle of the section.
    beam_fwhm : float
        Full width at half maximum of the electron beam, um as the microscope states them.
    dose : float
        Multiplies all planted levels.
    levels : mapping of str to mapping of str to float, optional
        Counts per pixel at the peak above the background by phase and line, where they differ from the usual ones; needed for
        the layers that only you know, which emit nothing else.

    Returns
    -------
    xarray.Dataset
        ``peak`` and ``background`` (line, y, x), uint32 counts at the peak and above it in energy: the peak stands on the
        background. ``expected_peak`` and ``expected_background``: their means. Coordinates ``kinetic_energy`` and
        ``background_energy`` (line), eV. The attribute ``transform`` holds 9 numbers, row by row a (3, 3) matrix that
        takes (y, x, 1) in um of this map to um of the section's map.

    Raises
    ------
    SsbmapsError
        If `section` is not from `cross_section`, a line is unknown, or the view reaches beyond the sample.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> section = synthetic.cross_section(shape=(48, 64), n_scans=1, geometry="disc")
    >>> sam = synthetic.sam_maps(section, lines=("S LVV", "Ni LMM"))
    >>> dict(sam.peak.sizes)
    {'line': 2, 'y': 47, 'x': 63}
    """
    arguments = {name: value for name, value in locals().items() if name != "section"}

    import xarray as xr

    subject = "synthetic.sam_maps"
    recipe = recipe_of(section, subject=subject)
    check_seed(seed, subject=subject)
    names = tuple([lines] if isinstance(lines, str) else lines)
    own = {phase: dict(row) for phase, row in (levels or {}).items()}
    with Faults(subject) as faults:
        strange = sorted(set(own) - set(recipe.phases))
        faults.expect(not strange, f"levels names unknown phases {', '.join(strange)}; known are {', '.join(recipe.phases)}.")
        good = all(v >= 0 and line in AUGER_LINES for row in own.values() for line, v in row.items())
        faults.expect(good, f"levels={levels!r}; expected 0 counts or more by line, out of {', '.join(AUGER_LINES)}.")
        unknown = [n for n in names if n not in AUGER_LINES]
        faults.expect(not unknown, f"lines {', '.join(unknown)} are unknown; known are {', '.join(AUGER_LINES)}.")
        faults.expect(bool(names), "no line is named; expected one or more.")
        faults.expect(beam_fwhm >= 0, f"beam_fwhm is {beam_fwhm} um; expected 0 or more.")
        faults.expect(dose > 0, f"dose is {dose}; expected more than 0.")
    chosen, matrix = placement(
        recipe, subject=subject, pixel_size=pixel_size, shape=shape, cover=0.8, rotation=rotation, scale=scale, shift=shift
    )
    seen = view(recipe, chosen, pixel_size, matrix, fwhm=beam_fwhm)
    emission = np.stack([seen[p] for p in recipe.phases])
    peaks = table({p: {**AUGER_PEAKS.get(p, {}), **own.get(p, {})} for p in recipe.phases}, recipe.phases, names)
    under = np.array([[BACKSCATTERING.get(p, 1.0) * AUGER_BACKGROUND[n] for n in names] for p in recipe.phases])
    background = dose * np.tensordot(under.T, emission, axes=1)
    peak = background + dose * np.tensordot(peaks.T, emission, axes=1)
    rng = stream(seed, SAM_STREAM)
    energies = np.array([AUGER_LINES[n].kinetic_energy for n in names])
    dims, units = ("line", "y", "x"), {"units": "counts"}
    maps = xr.Dataset(
        {
            "peak": (dims, rng.poisson(peak).astype(np.uint32), {**units, "long_name": "counts at the peak"}),
            "background": (dims, rng.poisson(background).astype(np.uint32), {**units, "long_name": "counts of the background"}),
            "expected_peak": (dims, peak, {**units, "long_name": "mean counts at the peak"}),
            "expected_background": (dims, background, {**units, "long_name": "mean counts of the background"}),
        },
        {
            **raster_coords(chosen, (pixel_size, pixel_size)),
            "line": ("line", list(names)),
            "kinetic_energy": ("line", energies, {"units": "eV", "long_name": "energy of the peak"}),
            "background_energy": ("line", energies + BACKGROUND_OFFSET, {"units": "eV", "long_name": "energy of the background"}),
        },
    )
    maps = finish(maps, function=subject, arguments=arguments, sources=[section], long_name="synthetic scanning Auger maps")
    own_technique(maps, "sam")
    maps.attrs.update(source="synthetic", beam_fwhm=float(beam_fwhm), transform=matrix.ravel())
    check_attrs(maps.attrs, subject=subject)
    return maps
