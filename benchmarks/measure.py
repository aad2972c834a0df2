"""Interphase thickness from counts alone: found geometry, sections without a shell, hard sections, true spheres, speed.

python benchmarks/measure.py [found nulls hard spheres speed]

Every draw is kept in benchmarks/draws/ as it is made, so that a run that was stopped goes on where it was; delete the folder to
start afresh. All seeds are new to the code: none was used to set a threshold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _interphase_draws import BEAM, CORE, PIXEL, POX, SHELL, SHOTS, gather, wilson
from _results import put_section, run_parts, table

SMALL = {"shape": (256, 256), "n_scans": 8}
RELATIVE, ABSOLUTE = 0.02, 0.004  # the systematic standard deviation: a share, um
WORDS = ("thickness", "thickness_low", "thickness_high", "upper_limit", "true_thickness", "true_thickness_low")
NUMBERS = (*WORDS, "true_thickness_high", "interface_length", "contact", "sigma", "dispersion", "likelihood_ratio")


def command(part: str) -> str:
    return f"python benchmarks/measure.py {part}"


def measured(section: Any, counts: Any, **options: Any) -> dict[str, Any]:
    """One measurement as plain numbers."""
    from ssbmaps.interfaces import measure_interphase

    found = measure_interphase(counts, core="NiO2-", shell=POX, shots=SHOTS, **options).isel(shell=0)
    row = {n: float(found[n]) for n in NUMBERS if n in found}
    row |= {n: int(found[n]) for n in ("above_noise", "resolved", "model_rejected")}
    row["model"] = str(found["model"].values)
    row["modulation_p"] = found["thickness_modulation_p"].values.tolist()
    truth = {n: float(section.attrs[n]) for n in ("thickness_POx", "true_thickness_POx")}
    return {**row, **truth}


def bound_of(thickness: float, length: float) -> float:
    from ssbmaps.interfaces import interphase_bound

    plan = {"core": CORE, "shell": SHELL, "beam_fwhm": BEAM, "pixel_size": PIXEL}
    return float(interphase_bound(thickness=thickness, length=length, **plan).thickness_sd)


def draws_of(seed: int, thickness: float, n: int, **changes: Any) -> list[dict[str, Any]]:
    """`n` redraws of one section's noise, measured; each with a seed of its own for what the measurement draws."""
    from ssbmaps import synthetic

    section = synthetic.cross_section(seed=seed, thickness=thickness, **changes)
    return [measured(section, synthetic.redraw(section, seed=1000 * seed + i)["counts"], rng=i) for i in range(n)]


def small_work(seed: int, thickness: float, n: int) -> list[dict[str, Any]]:
    return draws_of(seed, thickness, n, **SMALL)


def full_work(seed: int, thickness: float) -> list[dict[str, Any]]:
    return draws_of(seed, thickness, 1)


def summary(rows: list[dict[str, Any]], d: float) -> list[Any]:
    """One line of the table: errors against tolerance, coverage, width against what bound and systematic term ask."""
    good = [r for r in rows if r["resolved"]]
    error = np.array([r["thickness"] - r["thickness_POx"] for r in good])
    limits = np.array([bound_of(d, r["interface_length"]) for r in good])
    tolerance = np.maximum(0.008, 0.04 * d) + 3.4 * limits
    covered = sum(r["thickness_low"] <= r["thickness_POx"] <= r["thickness_high"] for r in good)
    half = np.array([(r["thickness_high"] - r["thickness_low"]) / 2 for r in good])
    asked = 1.959964 * np.hypot(limits, RELATIVE * d + ABSOLUTE)
    return [
        f"{1e3 * d:.0f}",
        len(rows),
        len(good),
        f"{1e3 * error.mean():+.1f} ± {1e3 * error.std():.1f}",
        f"{1e3 * limits.mean():.1f}",
        f"{np.median([r['interface_length'] for r in rows]):.0f}",
        wilson(int((np.abs(error) < tolerance).sum()), len(rows)),
        wilson(covered, len(rows)),
        f"{1e3 * np.median(half):.0f}",
        f"{np.median(half / asked):.2f} ({(half < 2.5 * asked).mean():.0%} below 2.5)",
        sum(r["model"] != "box" for r in rows),
        sum(r["model_rejected"] for r in rows),
    ]


HEADER = ["planted, nm", "draws", "resolved", "error, nm", "bound, nm", "interface, um", "within tolerance", "coverage of 95 %"]
HEADER += ["half-width, nm", "half-width / asked", "not a box", "rejected"]


def found() -> None:
    """Default sections with carbon, voids and cracks: small ones redrawn, whole ones."""
    thicknesses = (0.1, 0.2, 0.4)
    small = {d: gather("found", small_work, [(70_000 + g, d, 20) for g in range(10)]) for d in thicknesses}
    full = {d: gather("found_full", full_work, [(71_000 + g, d) for g in range(5)]) for d in thicknesses}
    body = f"256² pixels, 8 scans, 10 sections × 20 draws:\n\n{table(HEADER, [summary(small[d], d) for d in thicknesses])}\n\n"
    body += f"512² pixels, 20 scans, 5 sections:\n\n{table(HEADER, [summary(full[d], d) for d in thicknesses])}\n\n"
    body += (
        "Asked: |error| < max(8 nm, 4 %) + 3.4 × bound in 95 %, coverage ≥ 0.9, half-width < 2.5 × what bound and systematic "
        "term ask, 1.96 √(bound² + (2 % + 4 nm)²). Error: mean ± scatter. Nothing but the maps, the names of core and shell and "
        "the shots were given; carbon, voids, cracks, gain 5 %, drift 0.1 um, dead time, transients. The interval also holds the "
        "prior on the shell's offset (±10 nm at 95 %), as far as the profile leaves it open."
    )
    put_section("Measured interphase: found geometry", command("found"), body)


def null_work(seed: int, crowded: bool) -> list[dict[str, Any]]:
    from ssbmaps import synthetic

    layout = synthetic.Layout()
    if crowded:
        layout = synthetic.Layout(fill=0.35, fibres=0.06, voids=0.06, cracked=0.8, contact_loss=0.4)
    return draws_of(seed, 0.0, 1, layout=layout, shape=(160, 160), n_scans=8)


def nulls() -> None:
    """Sections without a shell."""
    rows = {c: gather("found_nulls", null_work, [(72_000 + s, c) for s in range(c, 300, 2)]) for c in (False, True)}
    lines = []
    for crowded, word in ((False, "default"), (True, "three times the fibres and voids, 80 % cracked, 40 % with contact loss")):
        own = rows[crowded]
        alarms = sum(r["above_noise"] for r in own)
        highest = max(r["likelihood_ratio"] for r in own)
        lines.append(
            [word, len(own), wilson(alarms, len(own)), f"{highest:.1f}", f"{np.median([r['contact'] for r in own]):.2f}"]
        )
    both = rows[False] + rows[True]
    lines.append(["both", len(both), wilson(sum(r["above_noise"] for r in both), len(both)), "", ""])
    body = table(["sections", "number", "above noise", "largest likelihood ratio (threshold 16.2)", "contact"], lines) + (
        "\n\nAsked: above noise in at most 2 % of 300; fibres, cracks and voids alone never make a shell. 160² pixels, 8 scans, "
        "every section another."
    )
    put_section("Measured interphase: no shell", command("nulls"), body)


def hard_changes() -> dict[str, Any]:
    from ssbmaps import synthetic

    return {
        "departures": synthetic.Departures(sigma_int=0.03, cut_angle=30.0, thickness_spread=0.2),
        "instrument": synthetic.Instrument(halo_fraction=0.1, drift=0.24, dose=0.4),
    }


def hard_work(seed: int, n: int, full: bool) -> list[dict[str, Any]]:
    return draws_of(seed, 0.2, n, **hard_changes(), **({} if full else SMALL))


def hard() -> None:
    """Halo, intermixing, oblique cuts, particles that differ, drift and a low dose at once."""
    small = gather("found_hard", hard_work, [(73_000 + g, 20, False) for g in range(10)])
    full = gather("found_hard_full", hard_work, [(74_000 + g, 1, True) for g in range(5)])
    lines = []
    for rows, word in ((small, "256², 8 scans, 10 × 20"), (full, "512², 20 scans, 5")):
        good = [r for r in rows if r["resolved"]]
        error = np.array([r["thickness"] - r["thickness_POx"] for r in good])
        planted = np.mean([r["thickness_POx"] for r in rows])
        covered = sum(r["thickness_low"] <= r["thickness_POx"] <= r["thickness_high"] for r in good)
        half = np.median([(r["thickness_high"] - r["thickness_low"]) / 2 for r in good])
        models = ", ".join(f"{n} {[r['model'] for r in rows].count(n)}" for n in sorted({r["model"] for r in rows}))
        line = [word, len(rows), len(good), f"{1e3 * planted:.0f}", f"{1e3 * error.mean():+.1f} ± {1e3 * error.std():.1f}"]
        line += [f"{100 * error.mean() / planted:+.1f} %", wilson(covered, len(rows)), f"{1e3 * half:.0f}", models]
        lines.append([*line, sum(r["model_rejected"] for r in rows)])
    header = [
        "sections",
        "draws",
        "resolved",
        "apparent, nm",
        "error, nm",
        "bias",
        "coverage of 95 %",
        "half-width, nm",
        "models",
    ]
    body = table([*header, "rejected"], lines) + (
        "\n\nAsked: |bias| against the perimeter-weighted apparent thickness < 10 %, coverage ≥ 0.85. Halo of 10 % (1 um), "
        "chemical "
        "blur of 30 nm, interfaces 30° off the normal of the section (200 nm look 231 nm), 20 % spread between particles, 2.4 "
        "pixels of drift, 0.4 × dose."
    )
    put_section("Measured interphase: hard sections", command("hard"), body)


def sphere_work(seed: int, thickness: float) -> list[dict[str, Any]]:
    return draws_of(seed, thickness, 1, geometry="spheres", **SMALL)


def spheres() -> None:
    """True spheres with a true shell, cut by a random plane."""
    thicknesses = (0.1, 0.2, 0.3)
    lines: list[list[Any]] = []
    hits = total = 0
    for d in thicknesses:
        rows = gather("found_spheres", sphere_work, [(76_000 + s, d) for s in range(20)])
        good = [r for r in rows if r["resolved"] and np.isfinite(r["true_thickness_low"])]
        ratio = np.array([r["true_thickness"] / d for r in good])
        apparent = np.array([r["thickness"] / r["thickness_POx"] for r in good])
        covered = sum(r["true_thickness_low"] <= d <= r["true_thickness_high"] for r in good)
        width = np.median([(r["true_thickness_high"] - r["true_thickness_low"]) / 2 for r in good])
        line = [f"{1e3 * d:.0f}", len(rows), len(good), f"{apparent.mean():.3f}", f"{ratio.mean():.3f} ± {ratio.std():.3f}"]
        lines.append([*line, wilson(covered, len(good)), f"{1e3 * width:.0f}"])
        hits, total = hits + covered, total + len(rows)
    lines.append(["all", total, sum(row[2] for row in lines), "", "", wilson(hits, total), ""])
    header = ["planted, nm", "sections", "resolved", "apparent / planted apparent", "true estimate / true", "coverage of 95 %"]
    body = table([*header, "half-width, nm"], lines) + (
        "\n\nAsked: `true_thickness` covers ≥ 0.9. Every section another; 256² pixels, 8 scans. Planar stacks have no "
        "`true_thickness`."
    )
    put_section("Measured interphase: spheres", command("spheres"), body)


def speed_work(side: int, n_scans: int) -> dict[str, float]:
    """Seconds and peak memory in GB of one measurement, in a process of its own, the maps in memory."""
    import resource
    import time

    from ssbmaps import synthetic
    from ssbmaps.interfaces import measure_interphase

    tile = synthetic.cross_section(seed=79_000, shape=(512, 512), n_scans=n_scans)["counts"]
    n = side // 512
    counts = tile
    if n > 1:  # mirrored tiles: a larger section without hours of drawing it
        values = tile.values
        row = np.concatenate([values if i % 2 == 0 else values[..., ::-1] for i in range(n)], axis=-1)
        values = np.concatenate([row if i % 2 == 0 else row[..., ::-1, :] for i in range(n)], axis=-2)
        axes = {d: (np.arange(side) + 0.5) * PIXEL for d in ("y", "x")}
        counts = tile.isel(y=0, x=0, drop=True).expand_dims(axes, (2, 3)).copy(data=values)
        for d in axes:
            counts[d].attrs["units"] = "um"
    warm = synthetic.cross_section(seed=1, shape=(96, 96), n_scans=5, geometry="disc")["counts"]
    measure_interphase(warm, core="NiO2-", shell=POX)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start, used = time.perf_counter(), time.process_time()
    shells = {**POX, "SOx": ["SO2-", "SO3-"]}
    found = measure_interphase(counts, core="NiO2-", shell=shells, shots=SHOTS)
    row = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - used}
    row |= {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "before": before}
    return {**row, "maps": counts.nbytes / 1e9, "length": float(found["interface_length"][0])}


def speed() -> None:
    """Whole sections, two shells, drift and labels included."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    lines = []
    for side, n_scans, asked in ((512, 20, "30 s, 2 GB"), (2048, 20, "480 s")):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            r = pool.submit(speed_work, side, n_scans).result()
        line = [f"{side}², {n_scans} scans, 9 fragments", f"{r['length']:.0f}", f"{r['seconds']:.1f} ({r['cpu']:.1f})", asked]
        lines.append([*line, f"{r['maps']:.2f}", f"{r['peak']:.2f}"])
    header = ["section", "interface used, um", "s (CPU)", "asked", "maps, GB", "peak memory of the process, GB"]
    body = table(header, lines) + (
        "\n\nTwo shells (POx, SOx). Drift, labels, six outlines, both fits, particles, segments and directions; the "
        "2048² section is made of mirrored tiles."
    )
    put_section("Measured interphase: speed", command("speed"), body)


PARTS = {f.__name__: f for f in (found, nulls, hard, spheres, speed)}

if __name__ == "__main__":
    run_parts(PARTS)
