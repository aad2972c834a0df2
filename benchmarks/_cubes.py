"""Count cubes with planted components for the benchmarks of decomposition; each is drawn once and kept in benchmarks/draws/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DRAWS = Path(__file__).with_name("draws")
PHASES = ("NMC", "electrolyte", "carbon", "void", "POx", "SOx")
EMISSION = np.array([1.0, 1.4, 0.6, 0.3, 1.2, 1.1])  # counts per pixel wholly of one phase, relative
STORED = 60.5  # non-zeros per pixel and 2,000 channels: 15.8 million in 512 × 512
BATCH = 1 << 14  # pixels drawn at a time


@dataclass(frozen=True, slots=True)
class SectionCube:
    """Counts (P, K) as CSR with uint16 values, the planted maps (6, P) in counts, and the planted spectra (6, K) of sum 1."""

    counts: Any
    abundance: np.ndarray
    spectra: np.ndarray
    shape: tuple[int, int]

    def cube(self) -> Any:
        """As an xarray cube (y, x, mz) of `sparse.COO` data, pixels of 0.1 um."""
        import xarray as xr

        from ssbmaps._arrays import from_csr
        from ssbmaps._conventions import raster_coords, spectral_coord

        ny, nx = self.shape
        data = from_csr(self.counts.astype(np.uint32), (ny, nx, self.counts.shape[1]))
        axis = 1 + 0.1 * np.arange(self.counts.shape[1])
        coords = {**raster_coords((ny, nx), (0.1, 0.1)), "mz": spectral_coord("mz", axis)}
        return xr.DataArray(data, coords, ("y", "x", "mz"), attrs={"units": "counts", "technique": "tof-sims"})


def section_cube(ny: int = 512, nx: int = 512, channels: int = 2000, *, stored: float = STORED, seed: int = 1) -> SectionCube:
    """Six phases of a battery section with peaked, partly overlapping spectra, `stored` non-zeros per pixel on average.

    With fewer channels the non-zeros per pixel are fewer in proportion: 60.5 at 2,000 channels.
    """
    from scipy.sparse import csr_array

    DRAWS.mkdir(exist_ok=True)
    path = DRAWS / f"cube_{ny}x{nx}x{channels}_{stored:g}_{seed}.npz"
    if not path.exists():
        spectra = tof_spectra(channels, seed)
        relative = EMISSION[:, None] * coverage(ny, nx, seed)
        dose = dose_for(relative, spectra, stored * channels / 2000, seed)
        data, indices, indptr = draw(dose * relative, spectra, seed)
        np.savez(path, data=data, indices=indices, indptr=indptr, abundance=dose * relative, spectra=spectra)
    with np.load(path) as kept:
        counts = csr_array((kept["data"], kept["indices"].astype(np.int32), kept["indptr"]), shape=(ny * nx, channels))
        return SectionCube(counts, kept["abundance"], kept["spectra"], (ny, nx))


def tof_spectra(channels: int, seed: int) -> np.ndarray:
    """(6, K) spectra: 60 peaks each with heavy-tailed areas, 20 of them within two channels of another phase's, on a tail."""
    rng = np.random.default_rng([seed, 1])
    axis = np.arange(channels)
    spectra = np.zeros((len(PHASES), channels))
    peaks = max(6, 60 * channels // 2000)
    places = rng.uniform(0.01, 0.9, (len(PHASES), peaks)) * channels
    shared = peaks // 3
    places[1:, :shared] = places[:-1, -shared:] + rng.uniform(-2, 2, (len(PHASES) - 1, shared))
    areas = rng.lognormal(0, 1.4, places.shape)
    for c in range(len(PHASES)):
        for place, area in zip(places[c], areas[c], strict=True):
            width = 0.8 + 1.2 * place / channels
            spectra[c] += area / width * np.exp(-((axis - place) ** 2) / (2 * width**2))
        spectra[c] /= spectra[c].sum()
        tail = np.exp(-axis / (0.3 * channels))
        spectra[c] = 0.92 * spectra[c] + 0.08 * tail / tail.sum()
    return spectra


def coverage(ny: int, nx: int, seed: int) -> np.ndarray:
    """(6, P) share of each pixel that each phase covers in a synthetic section of a composite cathode."""
    from ssbmaps import synthetic

    section = synthetic.cross_section(seed=seed, shape=(ny, nx), n_scans=1)
    shares = section["coverage"].sel(phase=list(PHASES)).values.reshape(len(PHASES), -1).astype(np.float64)
    return np.maximum(shares, 0)  # what is left over by differences can be -2e-16


def dose_for(relative: np.ndarray, spectra: np.ndarray, stored: float, seed: int) -> float:
    """Counts per unit of emission at which a pixel is expected to hold `stored` non-zero channels, by bisection on a sample."""
    sample = np.random.default_rng([seed, 2]).choice(relative.shape[1], min(4000, relative.shape[1]), replace=False)
    expected = relative[:, sample].T @ spectra
    low, high = 1.0, 1e5
    while high / low > 1 + 1e-6:
        middle = np.sqrt(low * high)
        filled = -np.expm1(-middle * expected).sum(axis=1).mean()
        low, high = (middle, high) if filled < stored else (low, middle)
    return float(low)


def draw(abundance: np.ndarray, spectra: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poisson counts of ``abundance.T @ spectra`` as CSR arrays, ion by ion: nothing dense is made."""
    from scipy.sparse import coo_array

    rng = np.random.default_rng([seed, 3])
    pixels, channels = abundance.shape[1], spectra.shape[1]
    reach = np.cumsum(spectra, axis=1)
    data, indices, sizes = [], [], [np.zeros(1, np.int64)]
    for first in range(0, pixels, BATCH):
        part = abundance[:, first : first + BATCH]
        n = part.shape[1]
        ions = rng.poisson(part)
        rows = [np.repeat(np.arange(n), ions[c]) for c in range(len(spectra))]
        columns = [np.searchsorted(reach[c] / reach[c, -1], rng.random(len(r)), side="right") for c, r in enumerate(rows)]
        where = (np.concatenate(rows), np.concatenate(columns))
        counts = coo_array((np.ones(len(where[0]), np.uint16), where), shape=(n, channels)).tocsr()
        counts.sort_indices()
        data.append(counts.data)
        indices.append(counts.indices.astype(np.uint16 if channels <= 1 << 16 else np.uint32))
        sizes.append(np.diff(counts.indptr).astype(np.int64))
    return np.concatenate(data), np.concatenate(indices), np.cumsum(np.concatenate(sizes))


if __name__ == "__main__":
    for size in ((512, 512, 2000), (256, 256, 500)):
        made = section_cube(*size)
        print(size, made.counts.nnz, made.counts.sum(dtype=np.int64), made.abundance.sum(axis=1) / made.abundance.sum())
