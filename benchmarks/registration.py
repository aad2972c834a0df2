"""Registration on fresh sections: error, its prediction, coverage, refusals; Raman on ToF-SIMS; a channel held out.

    python benchmarks/registration.py [guess free raman held]

Draws are kept in benchmarks/draws/ and not made again. Pixels are those of the ToF-SIMS map, 0.1 um, unless said otherwise.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _interphase_draws import gather, wilson
from _results import put_section, run_parts, table

from ssbmaps import SsbmapsError, maps, synthetic

if TYPE_CHECKING:
    import xarray as xr

    from ssbmaps.maps import Transform

SCRIPT = "python benchmarks/registration.py"
SEEDS = 40
PIXEL, SAM_PIXEL = 0.1, 0.08
THREE = [("S-", "S LVV"), ("NiO2-", "Ni LMM"), ("PO3-", "P LVV")]
INVERSE = [("NiO2-", "S LVV")]  # the oxide is dark where sulfur is bright
KINDS = {"three pairs": THREE, "one pair, inverse contrast": INVERSE}
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def scene(seed: int, *, side: int, rotation: float, shift: float, shape: tuple[int, int]) -> tuple[Any, Any, np.ndarray]:
    """Counts of a fresh section, a SAM view of it placed at random within the limits, and the true matrix."""
    rng = np.random.default_rng(8000 + seed)
    section = synthetic.cross_section(seed=8000 + seed, shape=(side, side), n_scans=5)
    view = synthetic.sam_maps(
        section,
        seed=seed,
        lines=("P LVV", "S LVV", "Ni LMM"),
        pixel_size=SAM_PIXEL,
        shape=shape,
        rotation=rng.uniform(-rotation, rotation),
        scale=rng.uniform(0.97, 1.03),
        shift=rng.uniform(-shift, shift, 2),
    )
    return section, view, np.asarray(view.attrs["transform"]).reshape(3, 3)


def judge(found: Transform, truth: np.ndarray, moving: xr.DataArray, reference: xr.DataArray, pixel: float) -> dict[str, Any]:
    """Errors in pixels on a grid over what both maps show, the predicted one, and the share of points inside the 95 % region."""
    y, x = (np.linspace(0.02, 0.98, 13) * moving.sizes[d] * _step(moving, d) for d in "yx")
    y, x = (a.ravel() for a in np.meshgrid(y, x, indexing="ij"))
    true = np.stack([y, x, np.ones_like(y)], -1) @ truth.T
    ends = [reference.sizes[d] * _step(reference, d) for d in "yx"]
    inside = np.all([(true[:, i] > 0) & (true[:, i] < e) for i, e in enumerate(ends)], axis=0)
    got = np.stack(found.apply(y, x), -1)
    known = inside & np.isfinite(got).all(axis=1)
    off = got[known] - true[known, :2]
    told = found.position_error(y[known], x[known])
    spread = np.zeros((int(known.sum()), 2, 2))
    spread[:, 0, 0], spread[:, 1, 1] = told.y_sd.values**2, told.x_sd.values**2
    spread[:, 0, 1] = spread[:, 1, 0] = told.covariance_yx.values
    square = np.einsum("ni,nij,nj->n", off, np.linalg.inv(spread), off)
    length = np.hypot(*off.T) / pixel
    return {
        "mean": float(length.mean()),
        "max": float(length.max()),
        "predicted": float(np.sqrt(np.trace(spread, axis1=1, axis2=2).mean()) / pixel),
        "true": float(np.sqrt((length**2).mean())),
        "covered": float((square < 5.991).mean()),
        "known": float(known.sum() / inside.sum()),
    }


def _step(maps_: xr.DataArray, dim: str) -> float:
    values = maps_[dim].values
    return float(values[1] - values[0])


def attempt(reference: xr.DataArray, moving: xr.DataArray, truth: np.ndarray, pixel: float, **options: Any) -> dict[str, Any]:
    """One registration, its error and time; a refusal is a result."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = maps.register(reference, moving, **options)
        except SsbmapsError as error:
            return {"refused": str(error)[:300], "seconds": time.perf_counter() - start}
    spent = time.perf_counter() - start
    told = {k: found.attrs[k] for k in ("support", "chance", "agreement", "misfit", "misfit_chance") if k in found.attrs}
    warned = " ".join(str(w.message) for w in caught)
    return judge(found, truth, moving, reference, pixel) | told | {"seconds": spent, "warned": warned}


def guess_draw(seed: int) -> list[dict[str, Any]]:
    section, view, truth = scene(seed, side=320, rotation=6, shift=2.5, shape=(280, 272))
    counts = section.counts.sum("scan")
    return [{"kind": k} | attempt(counts, view.peak, truth, PIXEL, pairs=p) for k, p in KINDS.items()]


def free_draw(seed: int) -> list[dict[str, Any]]:
    section, view, truth = scene(1000 + seed, side=320, rotation=15, shift=1.0, shape=(260, 250))
    half = section.counts.sum("scan").isel(x=slice(0, 160))  # half of the view lies on it
    return [{"kind": k} | attempt(half, view.peak, truth, PIXEL, pairs=p) for k, p in KINDS.items()]


def raman_draw(seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(9000 + seed)
    section = synthetic.cross_section(seed=9000 + seed, shape=(512, 512), n_scans=5)
    raman = synthetic.raman_map(
        section,
        seed=seed,
        shape=(64, 60),
        pixel_size=0.6,
        rotation=rng.uniform(-6, 6),
        scale=rng.uniform(0.97, 1.03),
        shift=rng.uniform(-2.5, 2.5, 2),
        raman_shift=(300.0, 700.0, 4.0),
        spikes=0.0,
    )
    bands = maps.integrate(raman.spectra, {"PS4": (400, 440), "A1g": (560, 620)}, background="linear")
    truth = np.asarray(raman.attrs["transform"]).reshape(3, 3)
    counts = section.counts.sum("scan")
    options = {"pairs": [("NiO2-", "A1g"), ("S-", "PS4")]}
    return [{"kind": "Raman bands, 0.6 um"} | attempt(counts, bands, truth, 0.6, **options)]


def held_draw(seed: int) -> list[dict[str, Any]]:
    """Ni LMM against NiO2- after registration on S and P: where it lies against where it should, over its error."""
    section, view, truth = scene(2000 + seed, side=320, rotation=6, shift=2.0, shape=(280, 272))
    counts = section.counts.sum("scan")
    pairs = [THREE[0], THREE[2]]
    row = attempt(counts, view.peak, truth, PIXEL, pairs=pairs, hold_out=[THREE[1]])
    if "refused" in row:
        return [row]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = maps.register(counts, view.peak, pairs=pairs, hold_out=[THREE[1]])
    return [row | {"chance_held": float(found.attrs["held_out_chance"][0])}]


def summary(rows: list[dict[str, Any]], unit: str) -> list[object]:
    """One line of the table: errors, prediction, coverage, refusals, time."""
    good = [r for r in rows if "refused" not in r]
    wrong = [r for r in good if r["mean"] > 5]
    rms = [float(np.sqrt(np.mean([r[k] ** 2 for r in good]))) for k in ("true", "predicted")]
    return [
        len(rows),
        len(rows) - len(good),
        len(wrong),
        f"{np.mean([r['mean'] for r in good]):.3f} {unit}",
        f"{max(r['max'] for r in good):.2f}",
        f"{rms[1] / rms[0]:.2f}",
        f"{np.mean([r['covered'] for r in good]):.3f}",
        f"{np.median([r['seconds'] for r in good]):.1f}",
    ]


HEADER = [
    "draws",
    "refused",
    "wrong, not refused",
    "mean error",
    "largest error",
    "predicted / true (rms)",
    "95 % region covers",
    "s",
]


def put(part: str, title: str, rows: list[dict[str, Any]], unit: str = "px", note: str = "") -> None:
    kinds = list(dict.fromkeys(r.get("kind", "") for r in rows))
    lines = [[k, *summary([r for r in rows if r.get("kind", "") == k], unit)] for k in kinds]
    letters = "\n".join(f"- {r['refused']}" for r in rows if "refused" in r)
    put_section(title, f"{SCRIPT} {part}", table(["maps", *HEADER], lines) + f"\n\n{note}\n\n{letters}")


def guess() -> None:
    """Shifts up to 25 px, ±6°, ±3 %, no first guess given."""
    rows = gather("registration_guess", guess_draw, [(s,) for s in range(SEEDS)])
    put("guess", "Registration: up to 25 px, 6°, 3 %", rows)


def free() -> None:
    rows = gather("registration_free", free_draw, [(s,) for s in range(SEEDS)])
    put("free", "Registration: no guess, up to 15°, half of the view overlaps", rows)


def raman() -> None:
    rows = gather("registration_raman", raman_draw, [(s,) for s in range(SEEDS)])
    put("raman", "Registration: Raman (0.6 um) on ToF-SIMS", rows, "Raman px")


def held() -> None:
    rows = gather("registration_held", held_draw, [(s,) for s in range(SEEDS)])
    inside = sum(r.get("chance_held", 0) > 0.05 for r in rows)
    note = f"Held-out Ni LMM within the 95 % region of where S and P put it: {wilson(inside, len(rows))}."
    put("held", "Registration on S and P; Ni held out", rows, note=note)


PARTS = {"guess": guess, "free": free, "raman": raman, "held": held}

if __name__ == "__main__":
    sys.exit(run_parts(PARTS))
