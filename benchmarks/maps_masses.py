"""Figures of the mass part: doublets told apart or not, their maps, the mass scale, and a real spectrum.

    python benchmarks/maps_masses.py [doublets maps calibration powerco] [--seeds 50]

The real file is looked for in ../shared/data beside the checkout; its part says so and is left out if it is absent.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from _results import put_section, table

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PAIR = ["PS-", "PO2-"]
FIRST_SEED = 1000  # none that the tests use


def command(part: str) -> str:
    return f"python benchmarks/maps_masses.py {part}"


def fresh_cube(section: object, seed: int, resolution: float) -> tuple[object, np.ndarray]:
    """A cube with new noise of a section, and the counts of the pair that were drawn."""
    from ssbmaps import synthetic

    drawn = synthetic.redraw(section, seed=seed)
    counts = drawn.counts.sel(fragment=PAIR).sum("scan").astype(float).transpose("fragment", "y", "x").values
    return synthetic.spectrum_cube(drawn, seed=seed, resolution=resolution), counts


def doublets(seeds: int) -> None:
    """PS−/PO2− in a section of 96 × 64 pixels: fitted totals against the counts drawn and against their planted means."""
    from ssbmaps import maps, synthetic

    section = synthetic.cross_section(shape=(64, 96), n_scans=4, seed=FIRST_SEED)
    planted = section.expected.sel(fragment=PAIR).sum(["scan", "y", "x"]).values.astype(float)
    rows = []
    for resolution in (1500, 2500, 3500, 5000, 8000):
        found = []
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            cube, counts = fresh_cube(section, seed, resolution)
            start = time.perf_counter()
            pair = maps.separate_doublet(cube, PAIR)
            took = time.perf_counter() - start
            total, sd = pair.total.values, pair.total_sd.values
            found.append(
                [
                    *((total - counts.sum((1, 2))) / sd),
                    *((total - planted) / sd),
                    *(sd / total),
                    float(pair.separable),
                    float(pair.resolution),
                    took,
                ]
            )
        f = np.array(found)
        rows.append(
            [
                resolution,
                f"{f[:, 7].mean():.0f}",
                f"{f[:, 6].mean():.0%}",
                f"{np.abs(f[:, :4]).max():.2f}",
                f"{f[:, 2].mean():+.2f} ± {f[:, 2].std():.2f}, {f[:, 3].mean():+.2f} ± {f[:, 3].std():.2f}",
                f"{(np.abs(f[:, 2:4]) < 1.96).mean():.3f}",
                f"{f[:, 4].mean():.1%}, {f[:, 5].mean():.1%}",
                f"{np.median(f[:, 8]):.2f}",
            ]
        )
    header = ["m/Δm planted", "measured", "called separable", "largest pull", "pulls PS−, PO2−", "coverage of 95 %", "error", "s"]
    text = (
        f"{seeds} seeds for each m/Δm; {planted[0]:.0f} PS− and {planted[1]:.0f} PO2−, 17.8 mDa apart (one full width at m/Δm "
        "3545). Planted m/Δm is that of the peaks' Gaussian core; the 8 % late ions widen them by some 1.4 %. Pulls are against "
        "planted means (the largest pull also against the counts drawn); errors hold a difference of 3 % between any two ions' "
        "peaks that these data lack, so coverage above 0.95 is right.\n\n"
    )
    put_section("Doublets", command("doublets"), text + table(header, rows))


def maps_(seeds: int) -> None:
    """Maps of PS− and PO2− with the neighbour subtracted, against the counts drawn, in the pixels of each phase."""
    from ssbmaps import maps, synthetic

    section = synthetic.cross_section(shape=(64, 96), n_scans=4, seed=FIRST_SEED)
    regions = {p: section.coverage.sel(phase=p).values > 0.5 for p in ("electrolyte", "POx")}
    sums: dict[str, list[list[float]]] = {p: [] for p in regions}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        cube, counts = fresh_cube(section, seed, 5000)
        pair = maps.separate_doublet(cube, PAIR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            window = maps.fragment_maps(cube, PAIR).values
        for phase, kept in sums.items():
            here = regions[phase]
            sd = np.sqrt((pair.counts_sd.values[:, here] ** 2).sum(1))
            kept.append([*counts[:, here].sum(1), *pair.counts.values[:, here].sum(1), *sd, *window[:, here].sum(1)])
    rows = []
    for phase, kept in sums.items():
        k = np.array(kept)
        for i, ion in enumerate(PAIR):
            truth, unmixed, sd, window = k[:, i], k[:, 2 + i], k[:, 4 + i], k[:, 6 + i]
            rows.append(
                [
                    phase,
                    ion,
                    f"{truth.mean():.0f}",
                    f"{window.mean():.0f}",
                    f"{unmixed.mean():.1f}",
                    f"{sd.mean():.1f}",
                    f"{(unmixed - truth).mean():+.1f} ± {(unmixed - truth).std() / np.sqrt(len(k)):.1f}",
                ]
            )
    header = ["phase", "ion", "drawn", "window of ±300 ppm", "unmixed", "its error", "unmixed − drawn, mean"]
    text = f"{seeds} seeds, m/Δm 5000, sums over the pixels of each phase.\n\n"
    put_section("Maps of a doublet", command("maps"), text + table(header, rows))


def calibration(seeds: int) -> None:
    """A mass scale shifted and stretched at random, and put right on the ions of a section."""
    from ssbmaps import maps, synthetic

    section = synthetic.cross_section(shape=(64, 96), n_scans=4, seed=FIRST_SEED)
    rng = np.random.default_rng(FIRST_SEED)
    found = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        cube, _ = fresh_cube(section, seed, 5000)
        true = cube.mz.values
        offset, scale = rng.normal(0, 3e-4), 1 + rng.normal(0, 1e-4)
        wrong = cube.assign_coords(mz=("mz", (offset + scale * np.sqrt(true)) ** 2, cube.mz.attrs))
        right = maps.calibrate_mass(wrong)
        ppm = 1e6 * (right.mz.values / true - 1)
        found.append([np.sqrt(np.mean(1e12 * (wrong.mz.values / true - 1) ** 2)), np.sqrt(np.mean(ppm**2)), np.abs(ppm).max()])
        found[-1] += [right.attrs["calibration_ppm_before"], right.attrs["calibration_ppm_after"]]
    f = np.median(found, axis=0)
    worst = np.max(found, axis=0)
    rows = [["median", *(f"{v:.1f}" for v in f)], ["worst", *(f"{v:.1f}" for v in worst)]]
    header = [
        "",
        "axis before, ppm rms",
        "axis after, ppm rms",
        "axis after, largest ppm",
        "reported before",
        "reported after (left-out)",
    ]
    text = f"{seeds} random scales, m/Δm 5000, 20 to 95 Da.\n\n"
    put_section("Mass calibration", command("calibration"), text + table(header, rows))


def powerco(_: int) -> None:
    """The real positive spectrum: mass scale before and after, measured m/Δm, copper's isotopes."""
    from ssbmaps import io, maps

    path = DATA / "phi" / "PowerCo-102-Pos-Cu_Grid.h5"
    if not path.exists():
        print(f"{path} is absent; left out")
        return
    cube = maps.calibrate_mass(io.read(path, pixel_size=0.3125))
    names = cube.attrs["calibration_ions"].split()
    before, after = cube.attrs["calibration_ion_ppm_before"], cube.attrs["calibration_ion_ppm_after"]
    measured = maps.mass_resolution(cube)
    widths = zip(measured.resolution.values, measured.resolution_sd.values, strict=True)
    width = dict(zip(measured.fragment.values, widths, strict=True))
    rows = [
        [n, f"{b:+.0f}", f"{a:+.0f}", f"{width[n][0]:.0f} ± {width[n][1]:.0f}" if n in width else "not clean"]
        for n, b, a in zip(names, before, after, strict=True)
    ]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        copper = maps.check_isotopes(cube, "63Cu+/65Cu+")
    copper_text = f"{float(copper.ratio[0]):.2f} ± {float(copper.ratio_sd[0]):.2f}, natural {float(copper.expected[0]):.2f}"
    body = (
        f"{cube.attrs['calibration_ppm_before']:.0f} ppm rms before, {cube.attrs['calibration_ppm_after']:.0f} left-out.\n\n"
        + table(["ion", "ppm before", "ppm after, left out", "m/Δm"], rows)
        + f"\n\n63Cu+/65Cu+ {copper_text}, z = {float(copper.z[0]):+.1f}. "
        + " ".join(str(w.message) for w in caught)
    )
    put_section("Masses of the PowerCo file", command("powerco"), body)


PARTS = {"doublets": doublets, "maps": maps_, "calibration": calibration, "powerco": powerco}

if __name__ == "__main__":
    words = sys.argv[1:]
    seeds = 50
    if "--seeds" in words:
        at = words.index("--seeds")
        seeds = int(words[at + 1])
        del words[at : at + 2]
    for part in words or PARTS:
        PARTS[part](seeds)
