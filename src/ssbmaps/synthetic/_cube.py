"""A section's counts as a cube of mass spectra: each count gets an m/z from a peak's shape, then a native channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._conventions import canonical, check_contract, spectral_coord
from ssbmaps._errors import Faults
from ssbmaps._provenance import finish
from ssbmaps.synthetic._recipe import FWHM_PER_SIGMA, recipe_of
from ssbmaps.synthetic._scene import stream
from ssbmaps.synthetic._section import check_seed

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CUBE_STREAM = 7
TAIL_SHARE = 0.08  # of the ions leave late
TAIL_SCALE = 0.5  # of the FWHM: decay of their delay


def spectrum_cube(
    section: xr.Dataset,
    *,
    seed: int = 0,
    resolution: float = 4000.0,
    channel_ns: float = 1.0,
    mz_range: tuple[float, float] = (20.0, 95.0),
    background: float = 0.05,
    keep_scans: bool = False,
) -> xr.DataArray:
    """Spread the counts of a section over mass spectra, as the instrument would have stored them.

    Parameters
    ----------
    section : xarray.Dataset
        From `cross_section`; its `counts` (scan, fragment, y, x) are used, each exactly once.
    seed : int
        Seed of the m/z values and of the background.
    resolution : float
        Mass over full width at half maximum, m/Δm, the same for all ions. Peaks are Gaussian in flight time; 8 % of the ions
        leave late, with an exponential delay of half the width.
    channel_ns : float
        Width of a native channel in flight time, ns.
    mz_range : (float, float)
        Masses recorded, Da; must hold all fragments.
    background : float
        Chemical background, counts per pixel and Da over all scans, spread evenly over mass and pixels.
    keep_scans : bool
        Keep the scan axis instead of summing over it.

    Returns
    -------
    xarray.DataArray
        (y, x, mz) or (scan, y, x, mz) counts, `sparse.COO` of uint32 with fill value 0; ``mz`` are channel centres in Da.
        The sum is the section's counts plus the background. A window of ±300 ppm around an ion holds 98 to 99 % of its
        counts at the default resolution, and 40 to 60 % of its partner's in a doublet 17.8 mDa away (PS−/PO2−).

    Raises
    ------
    SsbmapsError
        If `section` is not from `cross_section` or an option is out of range.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> section = synthetic.cross_section(shape=(16, 24), n_scans=2, geometry="planar")
    >>> cube = synthetic.spectrum_cube(section, background=0)
    >>> cube.dims, int(cube.data.sum()) == int(section.counts.sum())
    (('y', 'x', 'mz'), True)
    """
    arguments = {name: value for name, value in locals().items() if name != "section"}

    import sparse
    import xarray as xr

    subject = "synthetic.spectrum_cube"
    recipe = recipe_of(section, subject=subject)
    check_seed(seed, subject=subject)
    counts = canonical(section["counts"])
    mz = np.asarray(section["mz"].values, float)
    low, high = (float(v) for v in mz_range)
    with Faults(subject) as faults:
        faults.expect(resolution >= 100, f"resolution is {resolution}; expected m/Δm of 100 or more.")
        faults.expect(channel_ns > 0, f"channel_ns is {channel_ns}; expected a positive width.")
        faults.expect(background >= 0, f"background is {background}; expected 0 or more counts per pixel and Da.")
        room = 1 - 10 / resolution, 1 + 10 / resolution
        faults.expect(
            0 < low < mz.min() * room[0] and high > mz.max() * room[1],
            f"mz_range is ({low:g}, {high:g}); expected it to hold all fragments with their peaks, "
            f"{mz.min():.4f} to {mz.max():.4f} Da.",
        )
    if not keep_scans:
        counts = counts.sum("scan", dtype=np.int64)
    axis = _Channels(recipe.instrument.flight_time * 1000, channel_ns, low, high)
    shape = tuple(n for d, n in counts.sizes.items() if d != "fragment")
    values = np.moveaxis(counts.values, counts.get_axis_num("fragment"), 0).reshape(len(mz), -1)
    keys, number = np.unique(_events(stream(seed, CUBE_STREAM), values, mz, axis, resolution, background), return_counts=True)
    pixel, channel = np.divmod(keys, axis.n)
    coords = np.vstack([*np.unravel_index(pixel, shape), channel])
    data = sparse.COO(coords, number.astype(np.uint32), shape=(*shape, axis.n), has_duplicates=False, sorted=True)
    dims = [str(d) for d in counts.dims if d != "fragment"]
    kept = {str(d): section.coords[d] for d in dims}
    cube = xr.DataArray(data, dims=[*dims, "mz"], coords={**kept, "mz": spectral_coord("mz", axis.centres)}, name="counts")
    cube = finish(
        cube, function="synthetic.spectrum_cube", arguments=arguments, sources=[section], units="counts", long_name="counts"
    )
    check_contract(cube, subject=subject)
    return cube


class _Channels:
    """Native channels, evenly spaced in flight time t = scale · √m (ns)."""

    def __init__(self, scale: float, width: float, low: float, high: float) -> None:
        self._scale, self._width = scale, width
        self._start = scale * np.sqrt(low)
        self.n = int(np.ceil((scale * np.sqrt(high) - self._start) / width))
        self.centres = ((self._start + (np.arange(self.n) + 0.5) * width) / scale) ** 2

    def of(self, mz: Floats) -> NDArray[np.int64]:
        """Channel of each m/z; what leaves the range stays in its last channel, so that no count is lost."""
        channel = np.floor((self._scale * np.sqrt(mz) - self._start) / self._width).astype(np.int64)
        return np.asarray(np.clip(channel, 0, self.n - 1))


def _events(
    rng: np.random.Generator, counts: NDArray[np.integer], mz: Floats, axis: _Channels, resolution: float, background: float
) -> NDArray[np.int64]:
    """One key, pixel · channels + channel, for every count."""
    n_pixels = counts.shape[1]
    span = axis.centres[-1] - axis.centres[0]
    parts = []
    for row, mass in zip(counts, mz, strict=True):
        pixel = np.repeat(np.arange(n_pixels), row)
        width = mass / resolution
        position = rng.normal(mass, width / FWHM_PER_SIGMA, pixel.size)
        late = rng.random(pixel.size) < TAIL_SHARE
        position[late] += rng.exponential(TAIL_SCALE * width, int(late.sum()))
        parts.append(pixel * axis.n + axis.of(position))
    noise = rng.poisson(background * span * n_pixels)
    parts.append(rng.integers(0, n_pixels, noise) * axis.n + axis.of(rng.uniform(axis.centres[0], axis.centres[-1], noise)))
    return np.concatenate(parts)
