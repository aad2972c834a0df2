"""Edge layers on planted series: false alarms, power beside the best possible test, depth and its interval, the first bulk scan.

python benchmarks/edge_layer.py [alarms power depth section inactive]

Every batch is kept in benchmarks/draws/ as it is made, so that a run that was stopped goes on where it was; delete the files
edge_layer_*.jsonl to start afresh. All seeds are new to the code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _interphase_draws import gather, wilson
from _results import put_section, run_parts, table

BATCH, ALARMS, POWER, DEPTHS = 25, 400, 200, 400
LEVEL = 0.025
LEVELS = (10.0, 1e3, 1e4, 1e5, 1e6)  # counts per scan; at 1e4, a jitter of 1 % is as large as the noise of counting
KINDS = ("Poisson alone", "1 % white jitter", "2 % linear drift", "AR(1) 0.9 of 1 %")
HIGHEST, AGAIN = ((1e5, 10, KINDS[3]), (1e6, 30, KINDS[3])), 4  # of the first 400 series of each cell
ELL, STEP = 8.0, 2.0  # nm; depth scale and depth of a scan


def command(part: str) -> str:
    return f"python benchmarks/edge_layer.py {part}"


def series(rng: Any, mean: Any, n: int, kind: str = KINDS[0]) -> Any:
    """`n` series of Poisson counts (scan, fragment) about a mean (scan,) that jitters or drifts."""
    import xarray as xr

    scans = len(mean)
    z = rng.standard_normal((scans, n))
    phi = 0.9 if kind == KINDS[3] else 0.0
    for k in range(1, scans):
        z[k] = phi * z[k - 1] + np.sqrt(1 - phi**2) * z[k]
    wander = 1 + (0.01 * z if kind in (KINDS[1], KINDS[3]) else 0)
    line = np.linspace(-0.01, 0.01, scans)[:, None] if kind == KINDS[2] else 0
    counts = rng.poisson(np.broadcast_to(mean[:, None] * wander * (1 + line), (scans, n)))
    return xr.DataArray(counts, {"fragment": [f"series {i}" for i in range(n)]}, ("scan", "fragment"), attrs={"units": "counts"})


def detect(counts: Any, **options: Any) -> Any:
    from ssbmaps.interfaces import detect_edge_layer

    return detect_edge_layer(counts, **options)


# ---- false alarms


def alarms_draw(level: float, scans: int, kind: str, batch: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng([41, int(level), scans, KINDS.index(kind), batch])
    found = detect(series(rng, np.full(scans, level), BATCH, kind), rng=batch)
    return [{"level": level, "scans": scans, "kind": kind, "p": found.p_value.values.tolist()}]


def alarms() -> None:
    """Series without a transient: how often one is called at p ≤ 0.025."""
    cases = [(level, scans, kind) for scans in (10, 30) for level in LEVELS for kind in KINDS]
    batches = {c: (AGAIN if c in HIGHEST else 1) * ALARMS // BATCH for c in cases}
    rows = gather("edge_layer_alarms", alarms_draw, [(*c, b) for c in cases for b in range(batches[c])])
    lines = []
    for scans in (10, 30):
        for level in LEVELS:
            line: list[object] = [scans, f"{level:g}"]
            for kind in KINDS:
                p = np.concatenate([r["p"] for r in rows if (r["level"], r["scans"], r["kind"]) == (level, scans, kind)])
                line.append(wilson(int((p <= LEVEL).sum()), len(p)))
            lines.append(line)
    note = (
        f"Share of {ALARMS} series without a transient with p ≤ {LEVEL}, and Wilson's interval. Drift is allowed for in all. The "
        f"two cells that came out above {LEVEL} (0.035 and 0.028) were then drawn {AGAIN} times as often."
    )
    put_section("Edge layer: false alarms", command("alarms"), table(["scans", "counts per scan", *KINDS], lines) + f"\n\n{note}")


# ---- power


def power_draw(level: float, ell: float, drift: bool, batch: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng([42, int(level), int(ell), drift, batch])
    z = np.arange(30.0)
    shape = np.exp(-z / ell)
    size = 5 / np.sqrt(level * (shape**2).sum())
    found = detect(series(rng, level * (1 + size * shape), BATCH), rng=batch, drift=drift)
    return [{"level": level, "ell": ell, "drift": drift, "p": found.p_value.values.tolist()}]


def strongest(ell: float, drift: bool, scans: float | None = None) -> float:
    """Power at p ≤ 0.025 of the best test there is: ℓ and the noise known, level (and drift) to be found; for small changes."""
    from scipy.stats import norm

    z = np.arange(30.0)
    shape = np.exp(-z / ell)
    base = np.vstack([np.ones(30), *([z] if drift else [])])
    rest = shape - base.T @ np.linalg.lstsq(base.T, shape, rcond=None)[0]
    size = 5 * np.sqrt((rest**2).sum() / (scans or (shape**2).sum()))
    limit = norm.isf(LEVEL / 2)
    return float(norm.cdf(size - limit) + norm.cdf(-size - limit))


def power() -> None:
    """Transients of five standard errors: how often they are found, beside the best possible test."""
    cases = [(level, ell, drift) for drift in (False, True) for ell in (1.0, 2.0, 4.0, 8.0) for level in (100.0, 1e4)]
    rows = gather("edge_layer_power", power_draw, [(*c, b) for c in cases for b in range(POWER // BATCH)])
    lines = []
    for drift in (False, True):
        for ell in (1.0, 2.0, 4.0, 8.0):
            line: list[object] = ["yes" if drift else "no", f"{ell:g}"]
            for level in (100.0, 1e4):
                p = np.concatenate([r["p"] for r in rows if (r["level"], r["ell"], r["drift"]) == (level, ell, drift)])
                line.append(wilson(int((p <= LEVEL).sum()), len(p)))
            lines.append([*line, f"{strongest(ell, drift):.3f}", f"{strongest(ell, drift, 30.0):.3f}"])
    header = ["drift allowed for", "ℓ, scans", "found, 100 counts per scan", "found, 1e4", "best possible test"]
    header.append("best possible test at a = 5/√(C · 30)")
    note = (
        "30 scans, Poisson noise, a = 5/√(C Σ exp(−2 z/ℓ)): five standard errors if level, drift, ℓ and noise were known. "
        f"Found: p ≤ {LEVEL}, of {POWER} series. Best possible test: ℓ and noise known, level and drift not. Last column: the "
        "same with the number of scans in place of the sum."
    )
    put_section("Edge layer: power", command("power"), table(header, lines) + f"\n\n{note}")


# ---- depth, amplitude, first bulk scan


def bound(level: float, a: float, drift: bool) -> float:
    """Cramér–Rao bound of the standard error of ℓ, nm."""
    z = STEP * np.arange(30.0)
    shape = np.exp(-z / ELL)
    mean = level * (1 + a * shape)
    rows = np.vstack([np.ones(30), *([np.linspace(-1, 1, 30)] if drift else []), shape, a * shape * z / ELL**2]) * level
    return float(np.sqrt(np.linalg.inv((rows / mean) @ rows.T)[-1, -1]))


def depth_draw(level: float, a: float, drift: bool, batch: int) -> list[dict[str, Any]]:
    import xarray as xr

    rng = np.random.default_rng([43, int(level), int(10 * a), drift, batch])
    z = xr.DataArray(STEP * np.arange(30.0), dims="scan", attrs={"units": "nm"})
    counts = series(rng, level * (1 + a * np.exp(-z.values / ELL)), BATCH)
    found = detect(counts, depth=z, rng=batch, drift=drift, false_alarms=0.2)
    names = ["detected", "depth_scale", "depth_scale_low", "depth_scale_high", "amplitude_low", "amplitude_high"]
    names.append("first_bulk_scan")
    return [{"case": [level, a, drift], **{n: [float(v) for v in found[n].values] for n in names}}]


def depth() -> None:
    """Depth scale, amplitude and first bulk scan of a planted transient, beside the bound."""
    cases = [(level, a, drift) for drift in (False, True) for a in (1.0, 2.0) for level in (1e2, 1e3, 1e4)]
    rows = gather("edge_layer_depth", depth_draw, [(*c, b) for c in cases for b in range(DEPTHS // BATCH)])
    lines = []
    for level, a, drift in cases:
        own = [r for r in rows if r["case"] == [level, a, drift]]
        got = {n: np.concatenate([r[n] for r in own]) for n in own[0] if n != "case"}
        use = got["detected"] == 1
        got = {n: v[use] for n, v in got.items()}
        least, ell = bound(level, a, drift), got["depth_scale"]
        width = np.median(got["depth_scale_high"] - got["depth_scale_low"]) / (2 * 1.96 * least)
        inside = (got["depth_scale_low"] <= ELL) & (got["depth_scale_high"] >= ELL)
        amplitude = (got["amplitude_low"] <= a) & (got["amplitude_high"] >= a)
        last = int(np.ceil(ELL * np.log(a / 0.05) / STEP))  # the first scan whose planted change is below 5 %
        early = got["first_bulk_scan"] < last - 1  # NaN, no scan gets there, is not early
        lines.append(
            [
                "yes" if drift else "no",
                f"{a:g}",
                f"{level:g}",
                f"{use.mean():.3f}",
                f"{least:.2f}",
                f"{ell.mean():.2f}",
                f"{ell.std() / least:.2f}",
                wilson(int(inside.sum()), len(inside)),
                f"{width:.2f}",
                wilson(int(amplitude.sum()), len(amplitude)),
                wilson(int(early.sum()), len(early)),
                f"{np.isnan(got['first_bulk_scan']).mean():.3f}",
            ]
        )
    header = ["drift allowed for", "a", "counts per scan", "found", "bound, nm", "mean ℓ, nm", "SD / bound"]
    header += [
        "interval of ℓ covers",
        "its median width / bound's",
        "interval of a covers",
        "first bulk scan early by more than one",
        "none told",
    ]
    note = (
        f"ℓ = {ELL:g} nm, 30 scans of {STEP:g} nm, white Poisson noise, {DEPTHS} series each; of those found. Bound: Cramér–Rao, "
        "with the same unknowns. First bulk scan: the planted change is below 5 %; none told: no scan is with 95 % confidence."
    )
    put_section("Edge layer: depth and first bulk scan", command("depth"), table(header, lines) + f"\n\n{note}")


# ---- inactive layers


INACTIVE = {
    f"{counts:g} counts per scan, {kind}{'' if planted else ', active face'}": (kind, counts, planted)
    for planted in (True, False)
    for counts, kind in ((1e3, KINDS[0]), (1e4, KINDS[0]), (1e5, KINDS[1]), (1e5, KINDS[3]))
}


def inactive_draw(case: str, batch: int) -> list[dict[str, Any]]:
    import xarray as xr
    from scipy.special import ndtr

    from ssbmaps.interfaces import detect_inactive_layer

    kind, counts, planted = INACTIVE[case]
    rng = np.random.default_rng([44, list(INACTIVE).index(case), batch])
    z = xr.DataArray(STEP * np.arange(30.0), dims="scan", attrs={"units": "nm"})
    yields = counts * (1 + 0.5 * np.exp(-z.values / 6))  # a transient that both states share
    change = -0.3 * (ndtr((z.values - 20) / 4) if planted else np.ones(30))
    states = xr.concat([series(rng, yields, BATCH, kind), series(rng, yields * (1 + change), BATCH, kind)], "state")
    found = detect_inactive_layer(states, depth=z, rng=batch, false_alarms=0.2).isel(state=0)
    names = [f"layer_depth{e}" for e in ("", "_low", "_high")]
    names += ["p_value", "bulk_change_low", "bulk_change_high", "depth_limit"]
    return [{"case": case, **{n: [float(v) for v in found[n].values] for n in names}}]


def inactive() -> None:
    """Lithium that changes by 30 % below 20 nm, and in all depths alike."""
    rows = gather("edge_layer_inactive", inactive_draw, [(c, b) for c in INACTIVE for b in range(POWER // BATCH)])
    lines = []
    for case, (_, _, planted) in INACTIVE.items():
        own = [r for r in rows if r["case"] == case]
        got = {n: np.concatenate([r[n] for r in own]) for n in own[0] if n != "case"}
        found = got["p_value"] <= LEVEL
        inside = ((got["layer_depth_low"] <= 20) & (got["layer_depth_high"] >= 20))[found]
        bulk = (got["bulk_change_low"] <= -0.3) & (got["bulk_change_high"] >= -0.3)
        t = got["layer_depth"][found]
        told = [f"{np.nanmean(t):.2f} ± {np.nanstd(t):.2f}", f"{np.nanmax(np.abs(t - 20)):.2f}"] if planted else ["-", "-"]
        covers = wilson(int(inside.sum()), len(inside)) if planted else "-"
        limit = f"{np.median(got['depth_limit']):.1f}"
        lines.append([case, wilson(int(found.sum()), len(found)), *told, covers, wilson(int(bulk.sum()), len(bulk)), limit])
    header = ["series", "called inactive at its face", "t, nm", "largest error, nm", "interval of t covers"]
    header += ["interval of the bulk change covers", "median upper limit of t, nm"]
    note = f"t = 20 nm, w = 4 nm, −30 %, 30 scans of {STEP:g} nm; {POWER} pairs of states each; alone, not in a family."
    put_section("Edge layer: a face that stays behind", command("inactive"), table(header, lines) + f"\n\n{note}")


# ---- a whole section


PLANTED = {"C2-": 1.5, "S-": -0.3, "Cl-": 0.6, "PS-": 0.8, "PO2-": 1.0, "SO2-": 0.8, "PO3-": 1.0, "SO3-": 0.8}  # NiO2-: none
SOX = {"SOx": ["SO2-", "SO3-"]}
SECTIONS, MEASURED = 40, 20


def section_draw(seed: int) -> list[dict[str, Any]]:
    import warnings

    import xarray as xr

    from ssbmaps import interfaces, synthetic

    changed, plain = (
        synthetic.cross_section(
            seed=45_000 + seed,
            shape=(160, 160),
            n_scans=20,
            instrument=synthetic.Instrument(transient=transient, transient_depth=3.5, dose=4.0),
        ).counts
        if transient or seed < MEASURED
        else None
        for transient in (PLANTED, {})
    )
    z = xr.DataArray(STEP * np.arange(20.0), dims="scan", attrs={"units": "nm"})
    found = interfaces.detect_edge_layer(changed, depth=z, tolerance=0.15, rng=seed)
    first = float(found.first_bulk_scan.sel(fragment=SOX["SOx"]).max(skipna=False))
    parts = {}
    if plain is not None and np.isfinite(first):
        parts = {"with": changed, "without": changed.isel(scan=slice(int(first), None)), "none planted": plain}
    row: dict[str, Any] = {"detected": dict(zip(found.fragment.values.tolist(), found.detected.values.tolist(), strict=True))}
    row |= {"first": first, "ell": found.depth_scale.values.tolist(), "low": found.depth_scale_low.values.tolist()}
    row["high"] = found.depth_scale_high.values.tolist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, part in parts.items():
            measured = interfaces.measure_interphase(part, core="NiO2-", shell=SOX, rng=seed)
            row[name] = [float(v.values.ravel()[0]) / part.sizes["scan"] for v in (measured.excess, measured.excess_sd)]
    return [row]


def section() -> None:
    """Nine ions of a section of which eight change over the first scans; and what that does to the excess of SOx."""
    rows = gather("edge_layer_section", section_draw, [(s,) for s in range(SECTIONS)])
    names = list(rows[0]["detected"])
    hits = {n: sum(r["detected"][n] for r in rows) for n in names}
    right = sum(all(r["detected"][n] == (n in PLANTED) for n in names) for r in rows)
    covered = [low <= 7 <= high for r in rows for low, high in zip(r["low"], r["high"], strict=True) if np.isfinite(low)]
    lines: list[list[object]] = [[n, f"{PLANTED.get(n, 0.0):+g}", wilson(hits[n], len(rows))] for n in names]
    lines.append(["all right at once", "", wilson(right, len(rows))])
    told = [r for r in rows if "without" in r]
    plain = np.array([r["none planted"][0] for r in told])
    off = {n: np.array([r[n][0] for r in told]) / plain - 1 for n in ("with", "without")}
    second: list[list[object]] = []
    for name, values in off.items():
        error, own = values.std(ddof=1) / np.sqrt(len(told)), np.median([r[name][1] for r in told] / plain)
        second.append([name, f"{100 * values.mean():+.1f} ± {100 * error:.1f}", f"{100 * own:.1f}"])
    note = (
        f"160 × 160 pixels, four times the usual dose, 20 scans of {STEP:g} nm, ℓ = 7 nm, drift allowed for, {len(rows)} seeds. "
        f"Intervals of ℓ that hold it: {wilson(sum(covered), len(covered))}. Below: excess of SOx for each scan against that of "
        f"the same section without any transient, in {len(told)} sections in which the first bulk scan is told (change below "
        f"15 %; median {np.median([r['first'] for r in told]):.0f} scans left out)."
    )
    excess = table(["first scans", "excess against none planted, % (mean ± its error)", "its standard error, %"], second)
    head = table(["ion", "planted a", "called changed"], lines)
    put_section("Edge layer: a whole section", command("section"), f"{head}\n\n{note}\n\n{excess}")


if __name__ == "__main__":
    run_parts({"alarms": alarms, "power": power, "depth": depth, "inactive": inactive, "section": section})
