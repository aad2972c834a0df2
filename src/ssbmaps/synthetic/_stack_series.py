"""A planar stack whose polymer layer becomes thinner, and a material whose voids grow, over time, with planted truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import raster_coords
from ssbmaps._errors import Faults
from ssbmaps._provenance import finish
from ssbmaps.synthetic._scene import stream
from ssbmaps.synthetic._section import check_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STACK, VOIDS = "synthetic.stack_series", "synthetic.void_series"
ROUGH_STREAM, STACK_STREAM, FIELD_STREAM = 30, 31, 32
LAYERS = ("cathode", "polymer", "lithium")
FRAGMENTS = ("NiO2-", "C2H3O-", "LiH2-")
LEVELS = ((6.0, 0.4, 0.2), (0.3, 10.0, 0.2), (0.1, 0.6, 5.0))  # counts per pixel and time by layer
OVERSAMPLE = 8


def stack_series(
    *,
    seed: int = 0,
    shape: Sequence[int] = (96, 128),
    pixel_size: float = 0.5,
    thickness: Sequence[float] = (25.0, 24.0, 23.0, 22.0, 21.0, 20.0, 19.0, 18.0),
    roughness: float = 0.5,
    roughness_length: float = 4.0,
    tilt: float = 2.0,
    blur: float = 0.5,
    dose: float = 1.0,
) -> xr.Dataset:
    """Make maps of a stack of cathode, polymer electrolyte and lithium, whose polymer layer has another thickness each time.

    Parameters
    ----------
    seed : int
        Roughness and counts each have their own random stream derived from it.
    shape : (int, int)
        Pixels along y, across the stack, and x.
    pixel_size : float
        Side of a pixel, um.
    thickness : sequence of float
        Thickness of the polymer, um, normal to the stack, at each time; times are 0, 1, 2 … cycles.
    roughness, roughness_length : float, float
        Standard deviation of each interface about its line, and the length on which it varies, um. The upper interface keeps its
        shape; of the lower one's variance half is new at every time.
    tilt : float
        Angle between the layers and x, degrees.
    blur : float
        Standard deviation of the beam, um.
    dose : float
        Multiplies all counts.

    Returns
    -------
    xarray.Dataset
        ``counts`` (time, fragment, y, x), uint32; ``labels`` (time, y, x) with flags; ``thickness`` (time), um, the planted one;
        ``section_thickness`` (time), um, that of these very columns, normal to the stack.

    Raises
    ------
    SsbmapsError
        If an argument is out of range or the layer leaves the map.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> stack = synthetic.stack_series(seed=1, thickness=(25.0, 18.0))
    >>> dict(stack.counts.sizes), stack.thickness.values.tolist()
    ({'time': 2, 'fragment': 3, 'y': 96, 'x': 128}, [25.0, 18.0])
    """
    import xarray as xr
    from scipy.ndimage import gaussian_filter

    arguments = {k: v for k, v in locals().items() if k not in ("xr", "gaussian_filter")}
    check_seed(seed, subject=STACK)
    ny, nx = (int(n) for n in shape)
    d = np.asarray(thickness, np.float64)
    slope = np.tan(np.deg2rad(tilt))
    reach = float(d.max(initial=0)) / np.cos(np.deg2rad(tilt)) + slope * nx * pixel_size + 8 * roughness + 8 * blur
    with Faults(STACK) as faults:
        faults.expect(d.ndim == 1 and d.size > 0 and bool((d > 0).all()), f"thickness is {thickness}; expected um above 0.")
        fits = reach < ny * pixel_size
        faults.expect(fits, f"the stack reaches {reach:.3g} um; expected less than the map, {ny * pixel_size:g} um.")
        faults.expect(min(pixel_size, dose, roughness_length) > 0, "pixel_size, dose and roughness_length; expected more than 0.")
        faults.expect(min(roughness, blur) >= 0, "roughness and blur; expected 0 or more.")
    rng = stream(seed, ROUGH_STREAM)
    x = (np.arange(nx, dtype=np.float64) + 0.5) * pixel_size
    line = slope * (x - x.mean())
    upper = roughness * _curve(rng, x, roughness_length)
    lower = roughness * np.sqrt(0.5) * _curve(rng, x, roughness_length)
    middle, per_normal = ny * pixel_size / 2, 1 / np.cos(np.deg2rad(tilt))
    fine = (np.arange(ny * OVERSAMPLE) + 0.5) * pixel_size / OVERSAMPLE
    share, own = np.empty((len(d), 3, ny, nx)), np.empty(len(d))
    for t, thick in enumerate(d):
        extra = roughness * np.sqrt(0.5) * _curve(rng, x, roughness_length)
        top = middle - d.max() * per_normal / 2 + line + upper
        bottom = top - upper + thick * per_normal + lower + extra
        own[t] = float((bottom - top).mean()) / per_normal
        layer = (fine[:, None] > top).astype(int) + (fine[:, None] > bottom)
        share[t] = np.stack([(layer == k).reshape(ny, OVERSAMPLE, nx).mean(axis=1) for k in range(3)])
    blurred = gaussian_filter(share, (0, 0, blur / pixel_size, blur / pixel_size), mode="nearest")
    mean = dose * np.einsum("lf,tlyx->tfyx", np.array(LEVELS), blurred)
    counts = stream(seed, STACK_STREAM).poisson(mean).astype(np.uint32)
    flags = {"flag_values": np.arange(4, dtype=np.int16), "flag_meanings": " ".join(("unassigned", *LAYERS))}
    labels = (blurred.argmax(axis=1) + 1).astype(np.int16)
    variables = {
        "counts": (("time", "fragment", "y", "x"), counts, {"units": "counts", "long_name": "measured counts"}),
        "labels": (("time", "y", "x"), labels, {"units": "1", "long_name": "layer", **flags}),
        "thickness": ("time", d, {"units": "um", "long_name": "planted thickness of the polymer"}),
        "section_thickness": ("time", own, {"units": "um", "long_name": "thickness of the polymer in these columns"}),
    }
    coords: dict[str, Any] = {
        **raster_coords((ny, nx), (pixel_size, pixel_size)),
        "time": ("time", np.arange(len(d), dtype=float), {"units": "cycles", "long_name": "cycle"}),
        "fragment": ("fragment", list(FRAGMENTS)),
    }
    result = finish(xr.Dataset(variables, coords), function=STACK, arguments=arguments)
    result.attrs.update(technique="tof-sims", polarity="negative", source="synthetic")
    return result


def _curve(rng: np.random.Generator, x: Floats, length: float) -> Floats:
    """A random curve of variance 1 over many draws, Gaussian correlation exp(−Δ²/2 length²): a sum of waves."""
    k, phase = rng.normal(0, 1 / length, 200), rng.uniform(0, 2 * np.pi, 200)
    return np.asarray(np.cos(np.outer(x, k) + phase).sum(axis=1) / 10)


def void_series(
    *,
    seed: int = 0,
    shape: Sequence[int] = (256, 256),
    pixel_size: float = 0.2,
    fraction: Sequence[float] = (0.029, 0.04, 0.055, 0.07, 0.083, 0.095),
    void_size: float = 0.8,
) -> xr.Dataset:
    """Make labels of a material whose voids grow, with the planted fraction of the material that the section is a window of.

    Parameters
    ----------
    seed : int
        Seed of the random field.
    shape : (int, int)
        Pixels along y and x.
    pixel_size : float
        Side of a pixel, um.
    fraction : sequence of float
        Void fraction of the material at each time, ascending; times are 0, 1, 2 … cycles.
    void_size : float
        Length on which the field varies, um.

    Returns
    -------
    xarray.Dataset
        ``labels`` (time, y, x), int16 with flags "unassigned solid void"; ``fraction`` (time), the planted one.

    Raises
    ------
    SsbmapsError
        If an argument is out of range.

    Notes
    -----
    Voids are where a Gaussian random field of known variance lies above a level: the fraction is exact for the material, and
    differs from section to section.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> voids = synthetic.void_series(seed=1, shape=(64, 64), fraction=(0.03, 0.1))
    >>> voids.labels.attrs["flag_meanings"], voids.fraction.values.tolist()
    ('unassigned solid void', [0.03, 0.1])
    """
    import xarray as xr
    from scipy.ndimage import gaussian_filter
    from scipy.special import ndtri

    check_seed(seed, subject=VOIDS)
    f = np.asarray(fraction, np.float64)
    with Faults(VOIDS) as faults:
        good = f.ndim == 1 and f.size > 0 and bool(((f > 0) & (f < 1)).all() and (np.diff(f) >= 0).all())
        faults.expect(good, f"fraction is {fraction}; expected shares in (0, 1) that never fall.")
        faults.expect(pixel_size > 0 and void_size > 0, "pixel_size and void_size; expected um above 0.")
    width = void_size / pixel_size
    pad = int(np.ceil(4 * width))
    white = stream(seed, FIELD_STREAM).standard_normal([int(n) + 2 * pad for n in shape])
    kernel = gaussian_filter(np.pad(np.ones(1), 4 * pad), width, mode="constant")
    field = gaussian_filter(white, width, mode="constant")[pad:-pad, pad:-pad] / (kernel**2).sum()
    labels = 1 + (field[None] > -ndtri(f)[:, None, None]).astype(np.int16)
    flags = {"flag_values": np.arange(3, dtype=np.int16), "flag_meanings": "unassigned solid void"}
    variables = {
        "labels": (("time", "y", "x"), labels.astype(np.int16), {"units": "1", "long_name": "phase", **flags}),
        "fraction": ("time", f, {"units": "1", "long_name": "planted void fraction of the material"}),
    }
    coords: dict[str, Any] = {
        **raster_coords((int(shape[0]), int(shape[1])), (pixel_size, pixel_size)),
        "time": ("time", np.arange(len(f), dtype=float), {"units": "cycles", "long_name": "cycle"}),
    }
    arguments = {"seed": seed, "shape": shape, "pixel_size": pixel_size, "fraction": fraction, "void_size": void_size}
    return finish(xr.Dataset(variables, coords), function=VOIDS, arguments=arguments)
