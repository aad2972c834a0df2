"""Series in time on planted data: coverage of reversibility, accumulation, lag, thinning and void fraction, and false alarms.

python benchmarks/operando.py [cycles noise stack voids]

Every draw is kept in benchmarks/draws/ as it is made, so that a run that was stopped goes on where it was; delete the files
operando_*.jsonl to start afresh. All seeds are new to the code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _interphase_draws import gather, wilson
from _results import put_section, run_parts, table

SEEDS = 40
BATCH = 4
CURRENT = ["primary_current", "primary_current_sd"]


def command(part: str) -> str:
    return f"python benchmarks/operando.py {part}"


def batches(first: int, n: int = SEEDS) -> list[tuple[int]]:
    return [(seed,) for seed in range(first, first + n, BATCH)]


def four(data: Any, name: str) -> list[float]:
    return [float(data[f"{name}{end}"]) for end in ("", "_sd", "_low", "_high")]


def series_of(seed: int) -> tuple[Any, Any]:
    from ssbmaps import synthetic
    from ssbmaps.interfaces import time_series

    planted = synthetic.operando_series(seed=seed)
    found = time_series(planted.counts, planted.labels, normalise=planted[CURRENT])
    return planted, found.sel(region="interphase")


def cycles_work(seed: int) -> list[dict[str, Any]]:
    from ssbmaps.interfaces import lag, reversibility

    rows = []
    for k in range(seed, seed + BATCH):
        planted, series = series_of(k)
        found = reversibility(series, state="state")
        delay = lag(series, planted.record_voltage.rename(record_time="time"))
        so3, po3 = found.sel(fragment="SO3-"), found.sel(fragment="PO3-")
        row: dict[str, Any] = {"share": four(so3, "reversibility"), "lag": four(delay.sel(fragment="SO3-"), "lag")}
        row["gain"] = (np.array(four(po3.sel(law="sqrt"), "accumulation")) / float(po3.initial.sel(law="sqrt"))).tolist()
        row["evidence"] = float(po3.evidence.sel(law="sqrt"))
        row["false_share"] = int(found.determined.sel(fragment="NiO2-"))
        row["false_lag"] = delay.determined.sel(fragment=["NiO2-", "PO2-", "PO3-", "S2-"]).values.tolist()
        rows.append(row)
    return rows


def covered(values: Any, truth: float) -> int:
    return int(((values[:, 2] <= truth) & (values[:, 3] >= truth)).sum())


def cycles() -> None:
    rows = gather("operando_cycles", cycles_work, batches(810_000, 120), at_once=1)
    lines = []
    for name, title, truth in (
        ("share", "reversibility of SO3-", 0.8),
        ("gain", "accumulation of PO3-, of its first level", 0.6),
        ("lag", "lag of SO3-, h", 0.6),
    ):
        values = np.array([r[name] for r in rows], float)
        bias = f"{values[:, 0].mean() - truth:+.4f} ± {values[:, 0].std() / len(values) ** 0.5:.4f}"
        stated = float(np.sqrt(np.nanmean(values[:, 1] ** 2)))
        lines.append(
            [title, truth, bias, f"{values[:, 0].std():.4f}", f"{stated:.4f}", wilson(covered(values, truth), len(values))]
        )
    body = table(["quantity", "planted", "bias", "SD", "stated SD", "coverage of 95 %"], lines)
    root = sum(r["evidence"] > 0.5 for r in rows)
    false_lags = [v for r in rows for v in r["false_lag"]]
    body += (
        f"\n\n{len(rows)} series of 10 cycles, 8 maps each, 64 × 64 pixels, region interphase, normalised by the "
        "recorded current; "
        "yields fluctuate by 10 % from place to place. √t preferred over a line for PO3-: "
        f"{wilson(root, len(rows))}. A lag found for NiO2-, PO2-, PO3- or S2-, which have none: "
        f"{wilson(sum(false_lags), len(false_lags))} (asked: 0.01). A share found for NiO2-, which does not change: "
        f"{wilson(sum(r['false_share'] for r in rows), len(rows))} (asked: 0.05)."
    )
    put_section("Operando: reversibility, accumulation, lag", command("cycles"), body)


def noise_work(seed: int, kind: float) -> list[dict[str, Any]]:
    """Autoregressive noise of first order with correlation `kind` between neighbouring maps, with and without a planted lag."""
    import xarray as xr

    from ssbmaps import synthetic
    from ssbmaps.interfaces import lag

    rng = np.random.default_rng(seed)
    planted = synthetic.operando_series(seed=820_000, shape=(32, 32))
    record = planted.record_voltage.rename(record_time="time")
    t = planted.time.values
    signal = np.interp(t - 0.6, planted.record_time, planted.record_voltage)
    factor = np.linalg.cholesky(np.exp(np.log(max(kind, 1e-12)) * np.abs(t[:, None] - t) / 1.25))
    rows = []
    for _ in range(25):
        e = 0.1 * factor @ rng.standard_normal(len(t))
        row: dict[str, Any] = {}
        for name, values in (("null", 5 + e), ("planted", 5 + 0.2 * signal + e)):
            one = xr.Dataset({"signal": ("time", values), "signal_sd": ("time", np.full(len(t), 0.1))}, {"time": planted.time})
            found = lag(one, record)
            row[name] = [int(found.determined), float(found.lag_low), float(found.lag_high)]
        rows.append(row)
    return rows


def noise() -> None:
    lines = []
    for kind in (0.0, 0.5, 0.9):
        rows = gather("operando_noise", noise_work, [(821_000 + int(1000 * kind) + i, kind) for i in range(4)], at_once=1)
        false = sum(r["null"][0] for r in rows)
        found = [r["planted"] for r in rows if r["planted"][0]]
        inside = sum(low <= 0.6 <= high for _, low, high in found)
        lines.append([kind, wilson(false, len(rows)), wilson(len(found), len(rows)), wilson(inside, len(found))])
    body = table(
        ["correlation of neighbours", "lag found where none is", "planted lag found", "coverage of 95 %, where found"], lines
    )
    body += (
        "\n\n100 draws each; asked: 0.01 false alarms, 0.95 coverage. 81 maps over 10 cycles; planted: 0.2 per volt behind "
        "by 0.6 h in noise of 0.1."
    )
    put_section("Operando: lag under correlated noise", command("noise"), body)


def stack_work(seed: int) -> list[dict[str, Any]]:
    from ssbmaps import synthetic
    from ssbmaps.interfaces import layer_thickness

    rows = []
    for k in range(seed, seed + BATCH):
        planted = synthetic.stack_series(seed=k)
        for name, data, layer in (("maps", planted.counts, "C2H3O-"), ("labels", planted.labels, "polymer")):
            found = layer_thickness(data, layer=layer)
            own = planted.section_thickness - planted.section_thickness[0]
            row: dict[str, Any] = {"way": name}
            row["off"] = (found.thickness / planted.section_thickness - 1).values.tolist()
            row["thinning_off"] = float((found.change - own)[-1])
            row["thickness"] = (
                (found.thickness_low <= planted.thickness) & (planted.thickness <= found.thickness_high)
            ).values.tolist()
            row["change"] = (
                (found.change_low <= planted.thickness - 25) & (planted.thickness - 25 <= found.change_high)
            ).values.tolist()
            rows.append(row)
    return rows


def stack() -> None:
    rows = gather("operando_stack", stack_work, batches(830_000), at_once=1)
    lines = []
    for way in ("maps", "labels"):
        own = [r for r in rows if r["way"] == way]
        off = np.array([r["off"] for r in own])
        thinning = np.array([r["thinning_off"] for r in own])
        cells: list[object] = [way, f"{100 * off.mean():+.2f} %", f"{100 * np.abs(off).max():.2f} %"]
        cells.append(f"{thinning.mean():+.3f} ± {thinning.std():.3f} um")
        for name, first in (("thickness", 0), ("change", 1)):
            per_time = np.array([r[name] for r in own])[:, first:]
            cells += [wilson(int(per_time[:, -1].sum()), len(own)), f"{per_time.mean():.3f}"]
        lines.append(cells)
    header = ["from", "bias of the section's thickness", "largest error", "thinning: bias and SD"]
    header += ["coverage, 18 um", "all times", "coverage of the thinning by 7 um", "all times"]
    body = table(header, lines)
    body += (
        f"\n\nPolymer of 25 … 18 um between cathode and lithium, 8 times, {SEEDS} seeds; 96 × 128 pixels of 0.5 um, roughness "
        "0.5 um over 4 um, tilt 2°, 10 counts per pixel. Asked: the thinning within 1 %. Errors are against the "
        "thickness of these very columns; coverage is of the material's."
    )
    put_section("Operando: layer thickness", command("stack"), body)


def voids_work(seed: int) -> list[dict[str, Any]]:
    from ssbmaps import synthetic
    from ssbmaps.interfaces import void_fraction

    rows = []
    for k in range(seed, seed + BATCH):
        planted = synthetic.void_series(seed=k)
        found = void_fraction(planted.labels)
        row = {"inside": ((found.fraction_low <= planted.fraction) & (planted.fraction <= found.fraction_high)).values.tolist()}
        true = planted.fraction - planted.fraction[0]
        row["change"] = ((found.change_low <= true) & (true <= found.change_high)).values[1:].tolist()
        row["value"] = found.fraction.values.tolist()
        row["half"] = ((found.fraction_high - found.fraction_low) / 2).values.tolist()
        rows.append(row)
    return rows


def voids() -> None:
    n = 200
    rows = gather("operando_voids", voids_work, batches(840_000, n), at_once=1)
    planted = (0.029, 0.04, 0.055, 0.07, 0.083, 0.095)
    lines = []
    for i, truth in enumerate(planted):
        value, half = (np.array([r[name][i] for r in rows]) for name in ("value", "half"))
        change = wilson(sum(r["change"][i - 1] for r in rows), n) if i else "-"
        inside = wilson(sum(r["inside"][i] for r in rows), n)
        lines.append(
            [
                f"{100 * truth:g} %",
                f"{100 * (value.mean() - truth):+.2f} points",
                f"{100 * np.nanmedian(half):.2f} points",
                inside,
                change,
            ]
        )
    body = table(["planted", "bias", "half-width", "coverage of 95 %", "coverage of the change"], lines)
    body += f"\n\n{n} seeds, 256 × 256 pixels of 0.2 um, field varying over 0.8 um. Asked: ≥ 0.9."
    put_section("Operando: void fraction", command("voids"), body)


if __name__ == "__main__":
    run_parts({"cycles": cycles, "noise": noise, "stack": stack, "voids": voids})
