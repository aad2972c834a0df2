"""Dead time: corrected counts against planted ions, the masked partner of a doublet, and few shots per pixel.

    python benchmarks/maps_dead_time.py [aggregates shots]

Sections are drawn from seeds that no test uses. Each section has S− and Cl− at 20 counts per pixel over 20 scans of 25
shots, and a doublet PS−/PO2− of which the lighter ion takes shots from the heavier.
"""

from __future__ import annotations

import numpy as np
from _results import put_section, run_parts, table
from scipy.stats import binom

from ssbmaps import maps, synthetic
from ssbmaps.maps._dead_time import estimate_ions

SEEDS = (9101, 9102, 9103)
SHOTS = 25
DOUBLETS = (20.0, 60.0, 120.0)  # counts per pixel of PS−; PO2− has 20


def command(part: str) -> str:
    return f"python benchmarks/maps_dead_time.py {part}"


def section(seed: int, lighter: float) -> object:
    """Two phases with different mixtures, no drift, gain or transient, so that the planted levels are the truth."""
    electrolyte = {"S-": 20.0, "Cl-": 20.0, "PS-": lighter, "PO2-": 20.0}
    levels = {"electrolyte": electrolyte, "NMC": {**electrolyte, "PS-": 0.2 * lighter}}
    still = synthetic.Instrument(drift=0, drift_walk=0, gain=0, transient={}, leak=(), shots=SHOTS)
    return synthetic.cross_section(seed=seed, shape=(256, 256), levels=levels, thickness=0, instrument=still)


def aggregates() -> None:
    """Sums over all pixels, in per cent of the planted ions."""
    rows = []
    for lighter in DOUBLETS:
        raw: dict[str, list[float]] = {}
        off: dict[str, list[float]] = {}
        sd: dict[str, list[float]] = {}
        for seed in SEEDS:
            made = section(seed, lighter)
            result = maps.correct_dead_time(made.counts, shots=SHOTS)
            for name in ("S-", "Cl-", "PS-", "PO2-"):
                true = float(made.ideal.sel(fragment=name).sum())
                measured = float(made.counts.sel(fragment=name).sum())
                raw.setdefault(name, []).append(100 * (measured / true - 1))
                off.setdefault(name, []).append(100 * (float(result.counts.sel(fragment=name).sum()) / true - 1))
                error = float(np.sqrt((result.counts_sd.sel(fragment=name) ** 2).sum()))
                sd.setdefault(name, []).append(100 * error / true)
        for name in ("S-", "Cl-", "PS-", "PO2-"):
            asked = "< 3" if name == "PO2-" else "< 1"
            worst = max(off[name], key=abs)
            rows.append([f"{lighter:g}", name, f"{np.mean(raw[name]):+.2f}", f"{worst:+.2f}", f"{np.mean(sd[name]):.2f}", asked])
    header = ["PS−, counts per pixel", "ion", "measured − true, %", "corrected − true, worst, %", "error stated, %", "asked, %"]
    text = f"256 × 256 pixels, 20 scans of {SHOTS} shots, {len(SEEDS)} sections; PS− masks PO2−."
    put_section("Dead time: sums over a section", command("aggregates"), f"{text}\n\n{table(header, rows)}")


def shots() -> None:
    """Mean over all outcomes of single voxels, exact: the logarithm and the sum that is used."""
    rows = []
    for n_shots in (3, 5, 10, 25, 100, 500):
        row: list[object] = [n_shots]
        for ions in (0.05 * n_shots, 0.2 * n_shots, 0.5 * n_shots):
            p = 1 - np.exp(-ions / n_shots)
            n = np.arange(n_shots)
            chance = binom.pmf(n, n_shots, p)
            chance /= chance.sum()
            plain = float((chance * -n_shots * np.log(1 - n / n_shots)).sum() / ions - 1)
            used = float((chance * estimate_ions(n, n_shots, n_shots)[0]).sum() / ions - 1)
            row.append(f"{100 * plain:+.1f} / {100 * used:+.1f}")
        rows.append(row)
    header = ["shots", "5 % load", "20 % load", "50 % load"]
    text = "Bias in %, logarithm / sum over 1/k, saturated outcomes (NaN) left out. Load: ions per shot."
    put_section("Dead time: few shots", command("shots"), f"{text}\n\n{table(header, rows)}")


PARTS = {f.__name__: f for f in (aggregates, shots)}

if __name__ == "__main__":
    run_parts(PARTS)
