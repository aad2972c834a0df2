"""Figures of edge_width and section_quality: planted beams, pulls, false alarms on sound sections, marks that were planted.

python benchmarks/interfaces_edges.py [width pulls sound marks] [--seeds 40]
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import xarray as xr
from _results import put_section, table
from scipy.ndimage import gaussian_filter1d

from ssbmaps import DataQualityWarning, SsbmapsError, interfaces, synthetic

NMC = {"phase": "NMC", "marker": "NiO2-"}
SMALL = synthetic.Layout(radius=(0.6, 2.2))
PIXEL = 0.1


def command(part: str) -> str:
    return f"python benchmarks/interfaces_edges.py {part}"


def still(fwhm: float = 0.2) -> synthetic.Instrument:
    return synthetic.Instrument(beam_fwhm=fwhm, gain=0, drift=0, drift_walk=0, dead_time=0)


def width(_: int) -> None:
    """σ of noise-free edges over the planted one, straight and round."""
    shapes = [("planar, 5°", "planar", {"angle": 5})]
    shapes += [(f"disc, R = {r} um", "disc", {"disc_radius": r}) for r in (1.0, 1.5, 3.0)]
    rows = []
    for name, geometry, layout in shapes:
        row: list[object] = [name]
        for fwhm in (0.15, 0.2, 0.3, 0.4):
            section = synthetic.cross_section(
                shape=(90, 100),
                n_scans=1,
                geometry=geometry,
                thickness=0,
                layout=synthetic.Layout(**layout),
                instrument=still(fwhm),
            )
            found = interfaces.edge_width(section.ideal.sel(fragment="NiO2-"), section.distance)
            planted = np.hypot(section.sigma_psf, PIXEL / np.sqrt(12))
            ratios = float(found.sigma_corrected) / section.sigma_psf, float(found.sigma) / planted
            row.append(f"{ratios[0]:.4f} ({ratios[1]:.4f})")
        rows.append(row)
    text = "σ without the pixel over the beam's σ (in brackets: σ as seen over √(beam² + Δ²/12)); 100 nm pixels; asked: 1 %.\n\n"
    put_section("Edge width without noise", command("width"), text + table(["edge", "0.15 um", "0.2", "0.3", "0.4"], rows))


def pulls(seeds: int) -> None:
    """(estimate − planted) / error, and coverage of the 95 % interval, on 6 um of a straight edge; how often it is refused."""
    section = synthetic.cross_section(shape=(50, 60), n_scans=1, geometry="planar", thickness=0, instrument=still())
    mean = section.ideal.sel(fragment="NiO2-")
    truth = {"sigma": np.hypot(section.sigma_psf, PIXEL / np.sqrt(12)), "sigma_corrected": section.sigma_psf, "offset": 0.0}
    rows = []
    for dose in (1.0, 0.1, 0.03):
        found = []
        for seed in range(5 * seeds):
            drawn = np.random.default_rng(seed).poisson(dose * mean.values)
            try:
                found.append(interfaces.edge_width(mean.copy(data=drawn), section.distance))
            except SsbmapsError:  # refused: too few counts
                continue
        for name, planted in truth.items():
            pull = [float((f[name] - planted) / f[f"{name}_sd"]) for f in found]
            covered = np.mean([float(f[f"{name}_low"]) <= planted <= float(f[f"{name}_high"]) for f in found])
            typical = f"{1e3 * np.median([float(f[f'{name}_sd']) for f in found]):.1f}"
            rows.append([f"{24 * dose:.2g}", name, typical, f"{np.mean(pull):+.2f}", f"{np.std(pull):.2f}", f"{covered:.3f}"])
        shares = 1 - len(found) / (5 * seeds), np.mean([int(f.model_rejected) for f in found])
        rows.append([f"{24 * dose:.2g}", "refused; model_rejected", "", "", "", f"{shares[0]:.3f}; {shares[1]:.3f}"])
    header = ["counts per pixel", "quantity", "error, nm", "mean pull", "sd of pulls", "coverage (or share)"]
    put_section("Edge width: pulls and coverage", command("pulls"), table(header, rows))


def with_gallium(section: xr.Dataset, seed: int, excess: float = 0.0) -> xr.DataArray:
    """The counts with a Ga+ map of 0.1 counts per pixel and scan, more of it within 0.8 um of edges."""
    near = np.abs(section.distance.values) < 0.8
    mean = 0.1 * section.gain.values * (1 + excess * near)
    shape = (section.sizes["scan"], 1, *mean.shape)
    drawn = np.random.default_rng(seed).poisson(np.broadcast_to(mean, shape)).astype(np.uint32)
    place = {
        "fragment": [*section.fragment.values.tolist(), "Ga+"],
        "mz": ("fragment", [*section.mz.values.tolist(), 68.925]),
        "y": section.y,
        "x": section.x,
    }
    counts = section.counts
    return xr.DataArray(np.concatenate([counts.values, drawn], axis=1), place, counts.dims, attrs=counts.attrs)


def squeezed(section: xr.Dataset, factor: float, seed: int) -> tuple[xr.DataArray, xr.DataArray]:
    """Rows averaged over `factor` of them, counts drawn anew; labels of the row in the middle."""
    expected = section.expected.values.astype(float)
    edges = np.arange(int(expected.shape[-2] / factor) + 1) * factor
    sums = np.concatenate([np.zeros_like(expected[..., :1, :]), expected.cumsum(axis=-2)], axis=-2)
    whole = np.minimum(edges.astype(int), expected.shape[-2] - 1)
    at = sums[..., whole, :] + (edges - whole)[:, None] * expected[..., whole, :]
    rows = ((edges[:-1] + edges[1:]) / 2).astype(int)
    place = {"y": section.y.values[: len(rows)], "x": section.x.values}
    counts = np.random.default_rng(seed).poisson(np.diff(at, axis=-2) / factor)
    maps = xr.DataArray(counts, {"fragment": section.fragment.values, **place}, section.counts.dims, attrs=section.counts.attrs)
    return maps, xr.DataArray(section.phase_map.values[rows], place, ("y", "x"), attrs=section.phase_map.attrs)


def sound(seeds: int) -> None:
    """p-values on fresh sections without any mark but the default drift and gain, and on the same squeezed by 1.27."""
    p: dict[str, list[float]] = {}
    flagged = {"particle_shape": 0, "edge_direction": 0}
    aspects = []
    for seed in range(1000, 1000 + seeds):
        section = synthetic.cross_section(seed=seed, shape=(256, 256), n_scans=8, layout=SMALL)
        cube = synthetic.spectrum_cube(section, seed=seed)
        maps = with_gallium(section, seed)
        found = interfaces.section_quality(maps, section.phase_map, cube=cube, rng=seed, **NMC)
        for name, value in zip(found.check.values, found.p_value.values, strict=True):
            p.setdefault(str(name), []).append(float(value))
        tilted = interfaces.section_quality(*squeezed(section, 1.27, seed), rng=seed, **NMC)
        for name in flagged:
            flagged[name] += int(tilted.flagged.sel(check=name))
        aspects.append(float(tilted.value.sel(check="particle_shape")))
    rows = []
    for name, all_values in p.items():
        values = np.array(all_values)[np.isfinite(all_values)]
        tilted_share = f"{flagged[name]}/{seeds}" if name in flagged else ""
        counted = [f"{(values <= level).sum()}/{len(values)}" for level in (0.01, 0.05)]
        rows.append([name, *counted, f"{values.mean():.2f}", tilted_share])
    text = (
        f"{seeds} fresh sections of 256 x 256 pixels (particles of 0.6 to 2.2 um, default gain and drift), contour found from "
        "labels and NiO2-. Squeezed by 1.27 along y: mean aspect found "
        f"{np.mean(aspects):.3f} ± {np.std(aspects):.3f} (standard deviation).\n\n"
    )
    header = ["check", "p ≤ 0.01", "p ≤ 0.05", "mean p (0.5)", "squeezed 1.27×: flagged at 1 %"]
    put_section("Section quality: false alarms and the squeezed section", command("sound"), text + table(header, rows))


def marks(seeds: int) -> None:
    """Share of sections in which a planted mark is flagged at 1 %, and the value found."""
    rows = []
    instrument = synthetic.Instrument(drift=0, drift_walk=0)
    sections = [
        synthetic.cross_section(seed=s, shape=(256, 256), n_scans=8, layout=SMALL, instrument=instrument)
        for s in range(2000, 2000 + max(seeds // 5, 2))
    ]

    def row(mark: str, check: str, results: list[xr.Dataset]) -> None:
        values = [float(r.value.sel(check=check)) for r in results]
        hits = sum(int(r.flagged.sel(check=check)) for r in results)
        rows.append([mark, check, f"{hits}/{len(results)}", f"{np.mean(values):.3f} ± {np.std(values):.3f}"])

    def redrawn(section: xr.Dataset, factor: np.ndarray) -> xr.Dataset:
        drawn = np.random.default_rng(7).poisson(section.expected.values * factor)
        return interfaces.section_quality(section.counts.copy(data=drawn), section.phase_map, distance=section.distance, **NMC)

    for strength in (0.02, 0.05):
        results = []
        for i, section in enumerate(sections):
            y, x = np.indices(section.distance.shape)
            across = x * np.cos(np.radians(10)) - y * np.sin(np.radians(10))
            wave = gaussian_filter1d(np.random.default_rng(i).normal(size=700), 2)
            results.append(redrawn(section, 1 + strength * np.interp(across, np.arange(-200, 500), wave / wave.std())))
        row(f"stripes of {strength:.0%}, 80° from x", "curtaining", results)
    for strength in (0.03, 0.06):
        results = []
        for section in sections:
            slope = np.gradient(section.distance.values, PIXEL, axis=1)
            outside = (section.distance.values > 0) * np.exp(-np.maximum(section.distance.values, 0))
            results.append(redrawn(section, 1 + strength * slope * outside))
        row(f"{strength:.0%} · cos φ · exp(−s / um) around particles", "shadowing", results)
    results = []
    for i, section in enumerate(sections):
        maps = with_gallium(section, i, excess=0.3)
        results.append(interfaces.section_quality(maps, section.phase_map, distance=section.distance, **NMC))
    row("30 % more Ga+ within 0.8 um of edges", "redeposition", results)
    header = ["mark", "check", "flagged at 1 %", "value found"]
    put_section("Section quality: planted marks", command("marks"), table(header, rows))


if __name__ == "__main__":
    parts = {f.__name__: f for f in (width, pulls, sound, marks)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=list(parts))
    parser.add_argument("--seeds", type=int, default=40)
    options = parser.parse_args()
    warnings.simplefilter("ignore", DataQualityWarning)
    for name in options.parts:
        parts[name](options.seeds)
