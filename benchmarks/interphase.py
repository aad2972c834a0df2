"""Interphase thickness on known geometry: bound, coverage, nulls and limits; wrong assumptions, stacks and other ways.

python benchmarks/interphase.py [bound known nulls thin mixing wrong stack road others speed]

Every draw is kept in benchmarks/draws/ as it is made, so that a run that was stopped goes on where it was; delete the folder to
start afresh. All seeds are new to the code: none was used to set a threshold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _interphase_cases import others, road, stack, wrong
from _interphase_draws import (
    BEAM,
    CORE,
    LENGTH,
    PIXEL,
    POX,
    SHELL,
    SHOTS,
    command,
    fitted,
    gather,
    redrawn,
    section_of,
    twenty_um,
    wilson,
)
from _results import put_section, run_parts, table


def bound_of(thickness: float, length: float) -> float:
    from ssbmaps.interfaces import interphase_bound

    plan = {"core": CORE, "shell": SHELL, "beam_fwhm": BEAM, "pixel_size": PIXEL}
    return float(interphase_bound(thickness=thickness, length=length, **plan).thickness_sd)


def bound() -> None:
    """The bound for the case of the design and for the default section."""
    from ssbmaps.interfaces import interphase_bound

    values = [0.05, 0.1, 0.2, 0.4, 0.8]
    plan = {"thickness": values, "length": LENGTH, "beam_fwhm": BEAM, "pixel_size": PIXEL}
    design = interphase_bound(core=(8, 0.1, 0.1), shell=(0.2, 9, 1.2), **plan).thickness_sd.values * 1e3
    default = interphase_bound(core=CORE, shell=SHELL, **plan).thickness_sd.values * 1e3
    asked = [45.1, 17.4, 8.5, 5.3, 4.4]
    rows = [
        [f"{1e3 * d:.0f}", a, f"{v:.2f}", f"{100 * (v / a - 1):+.1f} %", f"{w:.2f}"]
        for d, a, v, w in zip(values, asked, design, default, strict=True)
    ]
    body = table(
        ["thickness, nm", "asked, nm", "core 8/0.1/0.1, shell 0.2/9/1.2", "off", "core 24/0.5/0.2, shell 0.2/9/0.4"], rows
    )
    body += (
        "\n\nCramér–Rao standard error of the thickness: 100 nm pixels, beam 200 nm FWHM, shell 9 counts per pixel, 20 um "
        "of interface. "
        "The asked figures name neither the core's counts nor the backgrounds; those of the third column reproduce them "
        "to 1 %, those of "
        "the default section (last column) allow for smaller errors."
    )
    put_section("Interphase: the bound", command("bound"), body)


def known_work(geometry: int, thickness: float) -> list[dict[str, Any]]:
    section = section_of(geometry, thickness)
    where, length = twenty_um(section)
    rows = redrawn(section, 20, 1000 * geometry, where=where)
    return [{**r, "truth": thickness, "length": length} for r in rows]


def bare_interval(row: dict[str, Any]) -> tuple[float, float]:
    """The interval without the offset prior of 10 nm: statistics alone."""
    term = 1.959964 * 0.01 * row["departures"][0]
    d = row["thickness"]
    ends = [np.sqrt(max((row[f"thickness_{end}"] - d) ** 2 - term**2, 0.0)) for end in ("low", "high")]
    return d - ends[0], d + ends[1]


def known() -> None:
    """Bias, scatter and coverage for a known distance and 20 um of interface."""
    thicknesses = (0.05, 0.1, 0.2, 0.4, 0.8)
    rows = gather("known", known_work, [(60_000 + g, d) for d in thicknesses for g in range(10)])
    lines = []
    for d in thicknesses:
        own = [r for r in rows if r["truth"] == d]
        good = [r for r in own if r["resolved"]]
        found = np.array([r["thickness"] for r in good])
        limit = np.mean([bound_of(d, r["length"]) for r in own])
        covered = sum(r["thickness_low"] <= d <= r["thickness_high"] if r["resolved"] else not r["upper_limit"] < d for r in own)
        rejected = sum(r["model_rejected"] for r in own)
        if len(good) > 20:
            numbers = [
                f"{1e3 * (found.mean() - d):+.1f} ± {1e3 * found.std() / len(found) ** 0.5:.1f}",
                f"{1e3 * found.std():.1f}",
            ]
            numbers += [f"{1e3 * limit:.1f}", f"{found.std() / limit:.2f}"]
        else:
            numbers = ["-", "-", f"{1e3 * limit:.1f}", "-"]
        half = np.median([(r["thickness_high"] - r["thickness_low"]) / 2 for r in good]) if good else np.nan
        alone = wilson(sum(bare_interval(r)[0] <= d <= bare_interval(r)[1] for r in good), len(good))
        other = sum(r["model"] != "box" for r in own)
        lines.append(
            [
                f"{1e3 * d:.0f}",
                len(own),
                len(good),
                *numbers,
                wilson(covered, len(own)),
                alone,
                f"{1e3 * half:.0f}",
                rejected,
                other,
            ]
        )
    header = [
        "planted, nm",
        "draws",
        "resolved",
        "bias, nm",
        "SD, nm",
        "bound, nm",
        "SD / bound",
        "coverage of 95 %",
        "without the offset prior",
    ]
    body = table([*header, "half-width, nm", "rejected", "not a box"], lines) + (
        "\n\nAsked: |bias| < 3 nm for d ≥ 100, SD < 1.3 × bound, coverage ≥ 0.92. 10 geometries × 20 draws each, 256² "
        "pixels, 8 scans, gain "
        "5 %, drift 0.1 um, dead time. Bias and SD of the resolved draws; an unresolved one covers if its upper limit is "
        "not below "
        "the truth. The interval holds the offset prior of 10 nm besides the statistics; the bound does not."
    )
    put_section("Interphase: known geometry", command("known"), body)


def clean(section: Any) -> Any:
    """Pixels more than 0.3 um from carbon and voids, as one would leave them out by labels."""
    from scipy.ndimage import binary_dilation

    names = section["phase_map"].attrs["flag_meanings"].split()
    bad = np.isin(section["phase_map"].values, [names.index(n) for n in ("carbon", "void")])
    near_core = section["distance"].values < 0  # cracks inside stay
    return section["distance"].copy(data=~binary_dilation(bad & ~near_core, iterations=3))


def null_work(seed: int) -> list[dict[str, Any]]:
    section = section_of(seed, 0.0, far=False)
    return [fitted(section, section["counts"], where=clean(section), reference_level=SHELL[1])]


def limit_work(seed: int, thickness: float) -> list[dict[str, Any]]:
    section = section_of(seed, thickness)
    where, _ = twenty_um(section)
    return [{**r, "truth": thickness} for r in redrawn(section, 20, 1000 * seed, where=where, reference_level=SHELL[1])]


def nulls() -> None:
    """Sections without a shell, and limits of thin ones."""
    rows = gather("nulls", null_work, [(61_000 + s,) for s in range(300)])
    alarms = sum(r["above_noise"] for r in rows)
    highest = max(r["likelihood_ratio"] for r in rows)
    thin = (0.002, 0.005, 0.01, 0.02, 0.05)
    limits = gather("limits", limit_work, [(62_000 + g, d) for d in thin for g in range(5)])
    lines = [["0", len(rows), wilson(alarms, len(rows)), "-", wilson(sum(r["upper_limit"] >= 0 for r in rows), len(rows)), "-"]]
    lines[0][-1] = f"{1e3 * np.nanmedian([r['upper_limit'] for r in rows]):.1f}"
    for d in thin:
        own = [r for r in limits if r["truth"] == d]
        open_ = [r for r in own if not r["resolved"]]
        true = sum(r["upper_limit"] >= d for r in open_)
        median = 1e3 * np.nanmedian([r["upper_limit"] for r in open_]) if open_ else np.nan
        above = wilson(sum(r["above_noise"] for r in own), len(own))
        lines.append([f"{1e3 * d:.0f}", len(own), above, len(own) - len(open_), wilson(true, len(open_)), f"{median:.1f}"])
    body = table(["planted, nm", "draws", "above noise", "resolved", "upper limit true", "median limit, nm"], lines) + (
        f"\n\nAsked: above noise in at most 2 % of 300 nulls, limits true in 95 %. Nulls: 256² pixels with carbon, voids "
        f"and cracks, some 180 um "
        f"of interface (largest likelihood ratio {highest:.1f}, threshold 16.2); thin shells: 20 um. Limits for a "
        f"declared level of 9 counts."
    )
    put_section("Interphase: nulls and limits", command("nulls"), body)


def thin_work(seed: int) -> list[dict[str, Any]]:
    from ssbmaps import synthetic

    layout = synthetic.Layout(fibres=0.0, voids=0.0, radius=(1.0, 3.0))
    section = synthetic.cross_section(seed=seed, thickness=0.01, thickness_SOx=0.0, layout=layout)
    counts = section["counts"]
    return [{**fitted(section, counts, reference_level=SHELL[1]), "level": SHELL[1] - SHELL[2]}]


def thin() -> None:
    """A shell of 10 nm on a whole section."""
    rows = gather("thin", thin_work, [(63_000 + s,) for s in range(40)])
    expected = 0.01 * (SHELL[1] - SHELL[2])
    excess = np.array([r["excess"] for r in rows])
    within = sum(abs(e / expected - 1) < 0.15 for e in excess)
    length = np.median([r["interface_length"] for r in rows])
    line = [len(rows), f"{length:.0f}", wilson(sum(r["above_noise"] for r in rows), len(rows)), sum(r["resolved"] for r in rows)]
    line += [f"{1e3 * excess.mean():.1f} ± {1e3 * excess.std():.1f}", f"{1e3 * expected:.0f}", wilson(within, len(rows))]
    line += [wilson(sum(r["upper_limit"] >= 0.01 for r in rows), len(rows))]
    header = ["sections", "interface, um", "above noise", "resolved", "excess, counts·nm", "planted", "within 15 %", "limit true"]
    body = table(header, [line]) + "\n\nAsked: above noise in 95 %, never resolved, excess within 15 %. 512² pixels, 20 scans."
    put_section("Interphase: 10 nm on a whole section", command("thin"), body)


def mixing_work(seed: int) -> list[dict[str, Any]]:
    from ssbmaps import synthetic
    from ssbmaps.interfaces import fit_interphase

    mixed = synthetic.Departures(mixing_layer=0.005)
    pristine, sample, aged = (
        section_of(s, d, far=False, departures=mixed) for s, d in ((seed, 0.0), (seed + 500, 0.0), (seed + 500, 0.02))
    )
    found = []
    reference = fit_interphase(
        pristine["counts"], pristine["distance"], core="NiO2-", shell=POX, shots=SHOTS, where=clean(pristine)
    )
    for section, truth in ((sample, 0.0), (aged, 0.02)):
        found.append({**fitted(section, section["counts"], where=clean(section), reference=reference), "truth": truth})
    return found


def mixing() -> None:
    """Sections with a mixing layer of 5 nm against another pristine one."""
    rows = gather("mixing", mixing_work, [(64_000 + s,) for s in range(60)])
    lines = []
    for d, word in ((0.0, "mixing layer of 5 nm alone"), (0.02, "the same and a shell of 20 nm")):
        own = [r for r in rows if r["truth"] == d]
        flags = [wilson(sum(r[n] for r in own), len(own)) for n in ("above_noise", "above_reference")]
        lines.append([word, len(own), *flags])
    body = table(["section", "sections", "above noise", "above reference"], lines) + (
        "\n\nAsked: above noise, not above reference. The reference is another pristine section with the same mixing "
        "layer, other particles, "
        "gain and noise; the test is one-sided at 5 %. 256² pixels, 8 scans."
    )
    put_section("Interphase: a mixing layer", command("mixing"), body)


def speed() -> None:
    """Time of one fit on whole sections, the distance given."""
    import time

    from ssbmaps import synthetic

    rows = []
    for side in (256, 512):
        section = synthetic.cross_section(seed=69_000, shape=(side, side))
        fitted(section, section["counts"])
        start, used = time.perf_counter(), time.process_time()
        row = fitted(section, section["counts"])
        seconds = f"{time.perf_counter() - start:.2f} ({time.process_time() - used:.2f})"
        rows.append([f"{side} × {side}, 20 scans", f"{row['interface_length']:.0f}", seconds])
    body = table(["section", "interface, um", "s (CPU)"], rows) + (
        "\n\nAsked: at most 2 s. One shell: window, seven shapes compared on held-out data, interval, sensitivities, particles."
    )
    put_section("Interphase: speed", command("speed"), body)


PARTS = {f.__name__: f for f in (bound, known, nulls, thin, mixing, wrong, stack, road, others, speed)}

if __name__ == "__main__":
    run_parts(PARTS)
