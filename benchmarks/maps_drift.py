"""Drift: errors of the shifts found, against the planted ones, on fresh sections; false alarms; time.

python benchmarks/maps_drift.py [drift nulls]
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import xarray as xr
from _results import put_section, run_parts, table

from ssbmaps import DataQualityWarning, SsbmapsError, maps, synthetic
from ssbmaps._conventions import raster_coords

SEEDS = (9201, 9202, 9203, 9204)
SETTINGS = {
    "default": (synthetic.Instrument(), "< 0.15"),
    "hard: 0.4 × dose, 2.4 px": (synthetic.Instrument(dose=0.4, drift=0.24), "< 0.25"),
    "hard, gain 20 % on 2 um": (synthetic.Instrument(dose=0.4, drift=0.24, gain=0.2, gain_length=2.0), ""),
    "0.02 × dose, 10 px": (synthetic.Instrument(dose=0.02, drift=1.0), ""),
}


def command(part: str) -> str:
    return f"python benchmarks/maps_drift.py {part}"


def drift() -> None:
    """512 × 512 pixels, 20 scans, nine fragments."""
    rows = []
    for name, (instrument, asked) in SETTINGS.items():
        errors, sds, tilts, times, bound = [], [], [], [], []
        for seed in SEEDS:
            section = synthetic.cross_section(seed=seed, instrument=instrument)
            start = time.perf_counter()
            found = maps.align_scans(section.counts)
            times.append(time.perf_counter() - start)
            true = np.stack([section.drift_y.values, section.drift_x.values]) / 0.1
            true -= true.mean(axis=1, keepdims=True)
            error = np.stack([found.shift_y.values, found.shift_x.values]) / 0.1 + true
            errors.append(error)
            sds.append(np.stack([found.shift_y_sd.values, found.shift_x_sd.values]) / 0.1)
            tilts.append(-(error * true).sum() / (true**2).sum())
            bound.append(known_sample_bound(section.expected[10].values))
        error, sd = np.array(errors), np.array(sds)
        rms = [float(np.sqrt((e**2).mean())) for e in error]
        pull = float(np.sqrt(((error / sd) ** 2).mean()))
        pulled = f"{100 * np.mean(tilts):+.2f}"
        cells = [
            f"{np.mean(rms):.4f}",
            f"{max(rms):.4f}",
            asked,
            f"{sd.mean():.4f}",
            f"{np.mean(bound):.4f}",
            f"{pull:.2f}",
            pulled,
        ]
        rows.append([name, *cells, f"{np.median(times):.1f}"])
    header = ["section", "rms, px", "worst", "asked", "error stated", "bound", "rms pull", "share lost to zero, %", "s"]
    text = (
        f"{len(SEEDS)} sections each, rms over scans and both axes. Bound: Cramér–Rao for a sample known without noise. "
        "Share lost: regression of the error on the planted drift."
    )
    put_section("Drift", command("drift"), f"{text}\n\n{table(header, rows)}")


def known_sample_bound(expected: np.ndarray) -> float:
    """Root of the mean variance bound along y and x, px, from the expected counts of one scan (fragment, y, x)."""
    information = np.zeros((2, 2))
    for image in expected.astype(float):
        slopes = np.stack(np.gradient(image))
        information += np.einsum("iyx,jyx,yx->ij", slopes, slopes, 1 / np.maximum(image, 1e-6))
    return float(np.sqrt(np.trace(np.linalg.inv(information)) / 2))


def nulls() -> None:
    """Series that must not be aligned: no structure; structure of the raster only; one scan of another place."""
    rng = np.random.default_rng(9301)
    coords = raster_coords((96, 128), (0.1, 0.1))
    flat = raster = other = 0
    n = 40
    for i in range(n):
        counts = xr.DataArray(rng.poisson(2.0, (8, 3, 96, 128)), coords, ("scan", "fragment", "y", "x"))
        flat += aligned(counts)
        scene = synthetic.cross_section(seed=9400 + i, shape=(96, 128), n_scans=8)
        gain = scene.gain.values / scene.gain.values.mean()
        raster += aligned(counts.copy(data=rng.poisson(2.0 * gain, (8, 3, 96, 128))))
        mixed = scene.counts.copy()
        place = synthetic.cross_section(seed=9500 + i, shape=(96, 128), n_scans=1)
        mixed[3] = place.counts[0].values
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataQualityWarning)
            other += int(np.isfinite(float(maps.align_scans(mixed).shift_x[3])))
    rows = [["no structure", flat, n], ["gain of the raster alone", raster, n], ["one scan of another place", other, n]]
    put_section("Drift: false alignments", command("nulls"), table(["series of 8 scans, 96 × 128 pixels", "aligned", "of"], rows))


def aligned(counts: xr.DataArray) -> int:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataQualityWarning)
            maps.align_scans(counts)
    except SsbmapsError:
        return 0
    return 1


PARTS = {f.__name__: f for f in (drift, nulls)}

if __name__ == "__main__":
    run_parts(PARTS)
