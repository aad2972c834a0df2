"""Lateral edge layers on planted data: false alarms, power, coverage; edges found in the counts; beam-damage false alarms.

python benchmarks/edge_lateral.py [nulls layers edges damage]

Every draw is kept in benchmarks/draws/ as it is made, so that a run that was stopped goes on where it was; delete the files
edge_lateral_*.jsonl to start afresh. All seeds are new to the code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _interphase_draws import gather, wilson
from _results import put_section, run_parts, table

SHAPE, PIXEL, LEVEL = (96, 96), 0.2, 4.0  # px, um, counts per pixel
FRAGMENTS = 4  # of one map, for the family-wise rate
DEPTH, BATCH = 1.5, 20  # um, draws kept at once
NULLS = (  # correlation length in px, relative size, gradient per um, edge
    ("counting", 0.0, 0.0, 0.0, "left"),
    ("gradient of 1 % per um", 0.0, 0.0, 0.01, "left"),
    ("field of 30 % over 1 px", 1.0, 0.3, 0.0, "left"),
    ("field of 30 % over 3 px", 3.0, 0.3, 0.0, "left"),
    ("field of 30 % over 3 px, gradient", 3.0, 0.3, 0.01, "frame"),
    ("field of 30 % over 8 px", 8.0, 0.3, 0.0, "left"),
)
LAYERS = ((0.3, 0.0, 0.0), (0.5, 3.0, 0.1), (1.5, 3.0, 0.3), (-0.8, 3.0, 0.3))  # amplitude, length, size
EDGES = ((0.9, 3.0, 0.3), (0.5, 3.0, 0.1), (0.3, 0.0, 0.0), (0.0, 3.0, 0.3), (0.0, 0.0, 0.0))  # contrast, length, size
DAMAGE = ((15, 0.0, 0.0), (15, 0.03, 0.0), (15, 0.05, 0.9), (40, 0.05, 0.95))  # scans, jitter, correlation of neighbours


def command(part: str) -> str:
    return f"python benchmarks/edge_lateral.py {part}"


def field(rng: Any, length: float, size: float) -> Any:
    """Variation about 1, from a Gaussian field with a Gaussian kernel of `length` pixels."""
    from scipy.ndimage import gaussian_filter

    if not size:
        return np.ones(SHAPE)
    pad = int(4 * length) + 1
    noise = gaussian_filter(rng.standard_normal([n + 2 * pad for n in SHAPE]), length)[pad:-pad, pad:-pad]
    return np.maximum(1 + size * noise * 2 * np.sqrt(np.pi) * length, 0)


def as_maps(values: Any) -> Any:
    import xarray as xr

    place = {d: (np.arange(n) + 0.5) * PIXEL for d, n in zip("yx", SHAPE, strict=True)}
    names = {"fragment": [f"f{i}" for i in range(len(values))]} if values.ndim == 3 else {}
    return xr.DataArray(values, {**names, **place}, (*names, "y", "x"), attrs={"units": "counts"})


def null_work(seed: int, length: float, size: float, drift: float, edge: str) -> list[dict[str, Any]]:
    from ssbmaps.interfaces import detect_lateral_layer, edge_distance

    rng = np.random.default_rng(seed)
    distance = edge_distance(as_maps(np.ones(SHAPE, int)), edge=edge)
    s = distance.values
    rows = []
    for _ in range(BATCH):
        mean = [LEVEL * (1 + drift * (s - s.mean())) * field(rng, length, size) for _ in range(FRAGMENTS)]
        found = detect_lateral_layer(as_maps(rng.poisson(mean)), distance, rng=rng)
        rows.append({"p": found.p_value.values.tolist(), "any": int(found.detected.any())})
    return rows


def nulls() -> None:
    """How often a layer is found where there is none."""
    lines = []
    for k, (title, *case) in enumerate(NULLS):
        rows = gather("edge_lateral_nulls", null_work, [(810_000 + 100 * k + i, *case) for i in range(10)], at_once=1)
        p = np.array([r["p"] for r in rows])
        single = [wilson(int((p <= level).sum()), p.size) for level in (0.05, 0.01)]
        lines.append([title, case[3], *single, wilson(sum(r["any"] for r in rows), len(rows))])
    header = [
        "without a layer",
        "edge",
        "p ≤ 0.05, per fragment",
        "p ≤ 0.01, per fragment",
        f"any of {FRAGMENTS} detected at 5 %",
    ]
    body = table(header, lines) + (
        f"\n\nAsked: 0.05, 0.01 and at most 0.05. 200 maps each of {FRAGMENTS} fragments, {SHAPE[0]} × {SHAPE[1]} pixels of "
        f"{PIXEL} um, {LEVEL:g} counts per pixel; Gaussian fields (standard deviation of their kernel)."
    )
    put_section("Lateral layers: false alarms", command("nulls"), body)


def layer_work(seed: int, amplitude: float, length: float, size: float) -> list[dict[str, Any]]:
    from ssbmaps.interfaces import detect_lateral_layer, edge_distance

    rng = np.random.default_rng(seed)
    distance = edge_distance(as_maps(np.ones(SHAPE, int)), edge="left")
    mean = LEVEL * (1 + amplitude * np.exp(-distance.values / DEPTH))
    rows = []
    for _ in range(BATCH):
        found = detect_lateral_layer(as_maps(rng.poisson(mean * field(rng, length, size))), distance, rng=rng)
        row: dict[str, Any] = {"detected": int(found.detected)}
        for name in ("depth_scale", "amplitude", "inner_distance"):
            row[name] = [float(found[name + s]) for s in ("", "_low", "_high")]
        rows.append(row)
    return rows


def covers(ends: list[float], truth: float) -> bool:
    """Whether an interval holds the truth; NaN is an open end."""
    return not ends[1] > truth and not ends[2] < truth


def layers() -> None:
    """Power and coverage."""
    lines = []
    for k, case in enumerate(LAYERS):
        rows = gather("edge_lateral_layers", layer_work, [(820_000 + 100 * k + i, *case) for i in range(10)], at_once=1)
        hits = [r for r in rows if r["detected"]]
        depth, share = (np.array([r[n][0] for r in hits]) for n in ("depth_scale", "amplitude"))
        lines.append(
            [
                f"{case[0]:+.0%}",
                f"{case[2]:.0%} over {case[1]:g} px" if case[2] else "counting",
                wilson(len(hits), len(rows)),
                f"{np.median(depth):.2f}",
                wilson(sum(covers(r["depth_scale"], DEPTH) for r in hits), len(hits)),
                f"{np.median(share):+.2f}",
                wilson(sum(covers(r["amplitude"], case[0]) for r in hits), len(hits)),
                f"{np.nanmedian([r['inner_distance'][0] for r in hits]):.1f}",
            ]
        )
    header = [
        "planted",
        "noise",
        "detected",
        "ℓ, median (um)",
        "coverage of ℓ",
        "a, median",
        "coverage of a",
        "inner distance (um)",
    ]
    body = table(header, lines) + (
        f"\n\nAsked: coverage 0.95. 200 maps each, ℓ = {DEPTH} um, otherwise as above; numbers of those that were detected. "
        "Where not all are, these are the ones whose noise made the layer larger."
    )
    put_section("Lateral layers: power and coverage", command("layers"), body)


def edge_work(seed: int, contrast: float, length: float, size: float) -> list[dict[str, Any]]:
    from scipy.special import ndtr

    from ssbmaps import SsbmapsError
    from ssbmaps.interfaces import find_edge

    rng = np.random.default_rng(seed)
    y, x = (np.arange(n) * PIXEL - (n - 1) * PIXEL / 2 for n in SHAPE)
    rows = []
    for _ in range(BATCH):
        angle, offset, blur = rng.uniform(0, np.pi), rng.uniform(-6, 6), 0.3
        z = (x * np.cos(angle) + y[:, None] * np.sin(angle) - offset) / blur
        try:
            found = find_edge(as_maps(rng.poisson(LEVEL * (1 - contrast * ndtr(z)) * field(rng, length, size))), rng=rng)
        except SsbmapsError:
            rows.append({"refused": 1})
            continue
        row: dict[str, Any] = {"refused": 0, "found": int(found.found), "p": float(found.p_value)}
        if row["found"]:
            turn = (float(found.angle) - (np.degrees(angle) % 180 - 90) + 90) % 180 - 90
            row["angle"] = [turn, float(found.angle_high - found.angle_low) / 2]
            row["position"] = [float(found.position) + offset, float(found.position_high - found.position_low) / 2]
        rows.append(row)
    return rows


def edges() -> None:
    """Edges found, false alarms, errors and coverage."""
    lines = []
    for k, case in enumerate(EDGES):
        rows = gather("edge_lateral_edges", edge_work, [(830_000 + 100 * k + i, *case) for i in range(10)], at_once=1)
        hits = [r for r in rows if r.get("found")]
        cells: list[Any] = [f"{case[0]:.0%}", f"{case[2]:.0%} over {case[1]:g} px" if case[2] else "counting"]
        cells += [wilson(len(hits), len(rows)), sum(r["refused"] for r in rows)]
        for name in ("angle", "position"):
            if case[0] and hits:
                error, half = np.array([r[name] for r in hits]).T
                cells += [f"{np.median(np.abs(error)):.2g}", wilson(int((np.abs(error) < half).sum()), len(hits))]
            else:
                cells += ["-", "-"]
        lines.append(cells)
    header = ["fall across the edge", "noise", "found", "refused as two alike"]
    header += ["error of the angle, median size (°)", "coverage", "error of the position, median size (um)", "coverage"]
    body = table(header, lines) + (
        "\n\nAsked: coverage 0.95, and at most 0.01 found where there is no edge (fall 0 %). 200 maps each, edges in any "
        "direction up to 6 um from the middle, blur 0.3 um; otherwise as above."
    )
    put_section("Lateral layers: edges found", command("edges"), body)


def damage_work(seed: int, scans: int, jitter: float, alike: float) -> list[dict[str, Any]]:
    import xarray as xr

    from ssbmaps.interfaces import damage_suspicion

    rng = np.random.default_rng(seed)
    rows = []
    k = np.arange(scans)
    rise = np.stack([np.exp(0.5 * k / scans), np.exp(-0.5 * k / scans)], axis=1)
    for _ in range(BATCH):
        walk = rng.standard_normal((scans, 2))
        for i in range(1, scans):
            walk[i] = alike * walk[i - 1] + np.sqrt(1 - alike**2) * walk[i]
        row: dict[str, Any] = {}
        for name, trend in (("null", np.ones((scans, 2))), ("true", rise)):
            mean = 2000 * np.exp(jitter * walk) * trend
            place = {"scan": k, "fragment": ["LiF-", "SO2F-"]}
            series = xr.DataArray(rng.poisson(mean), place, ("scan", "fragment"), attrs={"units": "counts"})
            found = damage_suspicion(series).isel(rule=0)
            row[name] = int(found.suspected)
            row[f"{name}_single"] = float(found.p_product)
            truth = 0.5 / scans if name == "true" else 0.0
            row[f"{name}_covered"] = int(found.product_slope_low <= truth <= found.product_slope_high)
        rows.append(row)
    return rows


def damage() -> None:
    """False alarms and power of the joint test, and of one trend alone."""
    lines = []
    for k, case in enumerate(DAMAGE):
        rows = gather("edge_lateral_damage", damage_work, [(840_000 + 100 * k + i, *case) for i in range(15)], at_once=1)
        n = len(rows)
        cells = [case[0], f"{case[1]:.0%}", f"{case[2]:g}", wilson(sum(r["null"] for r in rows), n)]
        cells.append(wilson(sum(r["null_single"] <= 0.05 for r in rows), n))
        cells.append(wilson(sum(r["true"] for r in rows), n))
        cells.append(wilson(sum(r["true_covered"] for r in rows), n))
        lines.append(cells)
    header = [
        "scans",
        "jitter",
        "alike",
        "false alarms at 5 %",
        "one trend alone, p ≤ 0.05",
        "suspected if true",
        "coverage of the slope",
    ]
    body = table(header, lines) + (
        "\n\nAsked: at most 0.05 false alarms, coverage 0.95. 300 series each, 2000 counts per scan, jitter of each fragment by "
        "itself; true: the product rises and the precursor falls by a factor e^0.5 over the series. The trend of one fragment is "
        "not to be trusted where its jitter is a walk (0.9 and more): what guards against false alarms is that both must move, "
        "and apart."
    )
    put_section("Lateral layers: damage", command("damage"), body)


if __name__ == "__main__":
    run_parts({"nulls": nulls, "layers": layers, "edges": edges, "damage": damage})
