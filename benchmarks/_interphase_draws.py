"""Draws of sections and fits of them that the interphase benchmarks share; every draw is kept as it is made."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

DRAWS = Path(__file__).with_name("draws")
PIXEL, BEAM, SHOTS, SCANS = 0.1, 0.2, 25, 8
CORE, SHELL = (24.0, 0.5, 0.2), (0.2, 9.0, 0.4)  # planted counts per pixel inside, in the shell and outside
POX = {"POx": ["PO2-", "PO3-"]}
LENGTH = 20.0  # um of interface


def command(part: str) -> str:
    return f"python benchmarks/interphase.py {part}"


def wilson(hits: int, n: int) -> str:
    """Share with its 95 % Wilson interval."""
    if not n:
        return "-"
    z, p = 1.96, hits / n
    middle, half = (p + z * z / 2 / n) / (1 + z * z / n), z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n) / (1 + z * z / n)
    return f"{p:.3f} [{middle - half:.3f}, {middle + half:.3f}]"


def gather(part: str, work: Any, tasks: list[tuple[Any, ...]], *, at_once: int = 2) -> list[dict[str, Any]]:
    """Results of work(*task), those already on disk not computed again; one line of JSON per task. For times: one at once."""
    DRAWS.mkdir(exist_ok=True)
    path = DRAWS / f"{part}.jsonl"
    done = {}
    if path.exists():
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            done[json.dumps(entry["task"])] = entry["rows"]
    todo = [t for t in tasks if json.dumps(list(t)) not in done]
    with ProcessPoolExecutor(max_workers=at_once) as pool, path.open("a") as out:
        for task, rows in zip(todo, pool.map(work, *zip(*todo, strict=True)) if todo else [], strict=False):
            out.write(json.dumps({"task": list(task), "rows": rows}) + "\n")
            out.flush()
            done[json.dumps(list(task))] = rows
    return [row for t in tasks for row in done[json.dumps(list(t))]]


def section_of(seed: int, thickness: float, *, far: bool = True, **changes: Any) -> Any:
    """256 × 256 pixels, 8 scans; `far`: particles so far apart that shells of 800 nm do not meet, without carbon and voids."""
    from ssbmaps import synthetic

    apart = {"gap": 2.6, "touching": 0.0, "fill": 0.18, "radius": (1.0, 3.0), "fibres": 0.0, "voids": 0.0}
    layout = synthetic.Layout(**apart) if far else synthetic.Layout()
    return synthetic.cross_section(
        seed=seed, shape=(256, 256), n_scans=SCANS, thickness=thickness, thickness_SOx=0.0, layout=layout, **changes
    )


def twenty_um(section: Any) -> Any:
    """Whole particles whose outlines make up 20 um, cut to it where the next one is too long: booleans (y, x)."""
    from scipy.ndimage import distance_transform_edt, label

    inside = section["distance"].values < 0
    regions, n = label(inside)
    nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    owner = regions[tuple(nearest)]
    band = np.abs(section["distance"].values) <= PIXEL
    use, length = np.zeros(owner.shape, bool), 0.0
    for k in range(1, n + 1):
        own = band & (owner == k)
        size = own.sum() * PIXEL / 2
        if length >= LENGTH - 0.5:
            break
        mine = owner == k
        if length + size > LENGTH:  # a sector of the particle
            y, x = np.indices(owner.shape)
            cy, cx = (v[inside & mine].mean() for v in (y, x))
            angle = np.arctan2(y - cy, x - cx)
            limit = np.quantile(angle[own], (LENGTH - length) / size)
            mine &= angle <= limit
        use |= mine
        length += (band & mine).sum() * PIXEL / 2
    return section["distance"].copy(data=use), length


def fitted(section: Any, counts: Any, **options: Any) -> dict[str, Any]:
    """One fit as plain numbers."""
    from ssbmaps.interfaces import fit_interphase

    found = fit_interphase(counts, section["distance"], core="NiO2-", shell=POX, shots=SHOTS, **options).isel(shell=0)
    names = (
        "thickness",
        "thickness_sd",
        "thickness_low",
        "thickness_high",
        "upper_limit",
        "likelihood_ratio",
        "excess",
        "excess_sd",
    )
    row = {n: float(found[n]) for n in (*names, "interface_length", "sigma", "dispersion")}
    row |= {n: int(found[n]) for n in ("above_noise", "resolved", "model_rejected") if n in found}
    if "above_reference" in found:
        row["above_reference"] = int(found["above_reference"])
    row |= {"model": str(found["model"].values), "departures": found["d_sensitivity"].values.tolist()}
    row["equivalent"] = float(found.get("equivalent_thickness", np.nan))
    return row


def redrawn(section: Any, n: int, seed: int, **options: Any) -> list[dict[str, Any]]:
    from ssbmaps import synthetic

    return [fitted(section, synthetic.redraw(section, seed=seed + i)["counts"], **options) for i in range(n)]
