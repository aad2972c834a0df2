"""A depth profile of the size of the field's record, simulated slice by slice into a stored sparse cube with planted components.

python benchmarks/_record.py [path]        default: benchmarks/draws/record.zarr
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (120, 128, 128)  # z, y, x
CHANNELS = 70_439
COUNTS = 100.0  # per voxel
STORE = Path(__file__).with_name("draws") / "record.zarr"
NAMES = ("contamination", "upper layer", "interphase", "particles", "lower layer", "matrix of the lower layer")


@dataclass(frozen=True, slots=True)
class Record:
    """Where the cube is stored, the planted spectra (6, K) of sum 1 and the planted maps (6, z, y, x) in counts."""

    path: Path
    spectra: np.ndarray
    abundance: np.ndarray


def record(path: Path = STORE, *, shape: tuple[int, int, int] = SHAPE, channels: int = CHANNELS, seed: int = 1) -> Record:
    """The stored cube (z, y, x, mz) and its truth; drawn once. Never more than one slice of it is in memory."""
    import xarray as xr

    import ssbmaps
    from ssbmaps._conventions import raster_coords, spectral_coord

    truth = path.with_suffix(".truth.npz")
    if not (path.exists() and truth.exists()):
        path.parent.mkdir(exist_ok=True)
        spectra, abundance = tof_spectra(channels, seed), depth_profile(shape, seed)
        coords = {
            "z": ("z", np.arange(shape[0], dtype=float), {"long_name": "number of the slice"}),
            **raster_coords(shape[1:], (0.5, 0.5)),
            "mz": spectral_coord("mz", np.linspace(0.8, 19.0, channels) ** 2),  # even in flight time
        }
        attrs = {"units": "counts", "technique": "tof-sims", "polarity": "negative"}
        cube = xr.DataArray(slices(abundance, spectra, seed), coords, ("z", "y", "x", "mz"), "counts", attrs)
        ssbmaps.io.save(cube, path, overwrite=True)
        np.savez(truth, spectra=spectra, abundance=abundance.astype(np.float32))
    with np.load(truth) as kept:
        return Record(path, kept["spectra"], kept["abundance"])


def slices(abundance: np.ndarray, spectra: np.ndarray, seed: int) -> Any:
    """Dask array of counts, one block for each slice, drawn when it is computed."""
    import dask.array as da
    import sparse

    n_slices, ny, nx = abundance.shape[1:]
    meta = sparse.COO.from_numpy(np.zeros((0, 0, 0, 0), np.uint32))
    draw = partial(draw_slice, abundance=abundance, cumulative=np.cumsum(spectra, axis=1), seed=seed)
    numbers = da.arange(n_slices, chunks=1)[:, None, None, None]
    chunks = ((1,) * n_slices, (ny,), (nx,), (spectra.shape[1],))
    return numbers.map_blocks(draw, chunks=chunks, dtype=np.uint32, meta=meta)


def draw_slice(number: np.ndarray, *, abundance: np.ndarray, cumulative: np.ndarray, seed: int) -> Any:
    """Counts of one slice: Poisson numbers of each component, a channel for each count."""
    import sparse

    z = int(number.ravel()[0])
    rng = np.random.default_rng([seed, z])
    ny, nx, channels = *abundance.shape[2:], cumulative.shape[1]
    keys = []
    for maps, steps in zip(abundance[:, z], cumulative, strict=True):
        pixel = np.repeat(np.arange(ny * nx), rng.poisson(maps).ravel())
        channel = np.searchsorted(steps, rng.random(pixel.size) * steps[-1], side="right")
        keys.append(pixel * channels + channel)
    key, counts = np.unique(np.concatenate(keys), return_counts=True)
    pixel, channel = np.divmod(key, channels)
    coords = np.stack([np.zeros_like(pixel), *np.divmod(pixel, nx), channel])
    return sparse.COO(coords, counts.astype(np.uint32), (1, ny, nx, channels), has_duplicates=False, sorted=True)


def tof_spectra(channels: int, seed: int) -> np.ndarray:
    """(6, K) of sum 1: 150 peaks each, some of them shared, widths growing with flight time, and a weak even background."""
    rng = np.random.default_rng([seed, 101])
    at = np.arange(channels)
    shared = rng.uniform(0.02, 0.98, 40)
    spectra = np.empty((len(NAMES), channels))
    for row in spectra:
        centres = np.concatenate([rng.uniform(0.02, 0.98, 110), shared]) * channels
        heights = rng.pareto(1.2, centres.size) * np.exp(-1.5 * centres / channels)
        row[:] = 0
        for centre, height in zip(centres, heights, strict=True):
            width = 2.0 + 3.0 * centre / channels
            near = slice(max(0, int(centre - 6 * width)), int(centre + 6 * width))
            row[near] += height / width * np.exp(-0.5 * ((at[near] - centre) / width) ** 2)
        row *= 0.9 / row.sum()
        row += 0.1 / channels
    return spectra


def depth_profile(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """(6, z, y, x) expected counts: two layers with a rough interface and an interphase between, particles in the lower one."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng([seed, 102])
    ny, nx = shape[1:]
    z, y, x = np.meshgrid(*((np.arange(n) + 0.5) / n for n in shape), indexing="ij", sparse=True)
    rough = gaussian_filter(rng.standard_normal((ny, nx)), ny / 12, mode="wrap")
    depth = z - 0.45 - 0.06 * rough / rough.std()  # below the interface, in units of the profile's depth
    lower = 1 / (1 + np.exp(-depth / 0.012))
    particles = np.zeros(shape, bool)
    for cz, cy, cx, r in zip(rng.uniform(0.5, 1.05, 60), *rng.random((2, 60)), rng.uniform(0.03, 0.1, 60), strict=True):
        particles |= ((z - cz) / 1.2) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < r**2
    shares = np.stack(
        [
            0.5 * np.exp(-z / 0.03) * np.ones(shape),
            (1 - lower) * (1 - np.exp(-z / 0.03)),
            0.9 * np.exp(-0.5 * (depth / 0.04) ** 2),
            1.3 * lower * particles,
            0.8 * lower * ~particles * (1 + 0.3 * np.sin(4 * np.pi * x)),
            0.4 * lower * ~particles * (1 - 0.6 * z),
        ]
    )
    return shares * (COUNTS / shares.sum(axis=0).mean())


if __name__ == "__main__":
    import resource
    import time

    start = time.perf_counter()
    made = record(Path(sys.argv[1]) if len(sys.argv) > 1 else STORE)
    header = json.loads((made.path / "counts_csr_data" / ".zarray").read_text(encoding="utf-8"))
    size = sum(p.stat().st_size for p in made.path.rglob("*") if p.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    stored = f"{header['shape'][0] / 1e6:.1f} million stored values, {size / 2**20:.0f} MiB"
    print(f"{made.path}: {stored}; {time.perf_counter() - start:.0f} s, peak memory {peak:.2f} GiB")
