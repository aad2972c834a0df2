"""The curtaining check of section_quality: how often sound sections are flagged, and which stripes are found.

python benchmarks/interfaces_curtains.py [sound power]

Each section's result is kept in the folder for temporary files, under a name that changes with the check's source and the
settings below, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _results import put_section, run_parts, table
from scipy.ndimage import gaussian_filter1d

from ssbmaps import DataQualityWarning, maps, synthetic
from ssbmaps.interfaces import _quality, _quality_curtain

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

LEVEL = 0.01
SMALL = {"shape": (256, 256), "layout": {"radius": (0.6, 2.2)}}
# name, number of sections, first seed, what differs from SMALL; one scan of as many shots as the scans had, and no drift
VARIANTS = (
    ("256 x 256, default gain of 5 %", 200, 5000, {}),
    ("256 x 256, phases from label_phases", 20, 5300, {"labelled": True}),
    ("256 x 256, cracks in 80 % of the particles", 20, 5400, {"layout": {"cracked": 0.8}}),
    ("256 x 256, voids on 8 % of the area", 20, 5500, {"layout": {"voids": 0.08}}),
    ("256 x 256, no gain", 20, 5600, {"instrument": {"gain": 0.0}}),
    ("512 x 512, default particles", 40, 5700, {"shape": (512, 512), "layout": {"radius": (1.0, 5.0)}}),
)
PHASES = {"NMC": "NiO2-", "electrolyte": ["S-", "Cl-"], "carbon": "C2-"}
STRENGTHS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04)
STRIPED = (("256 x 256", 12, 5900, {}), ("512 x 512", 8, 5950, {"shape": (512, 512), "layout": {"radius": (1.0, 5.0)}}))


def command(part: str) -> str:
    return f"python benchmarks/interfaces_curtains.py {part}"


class Kept:
    """Results by key in a file of JSON lines; what is there already is not made again."""

    def __init__(self, part: str) -> None:
        settings = repr((SMALL, VARIANTS, PHASES, STRENGTHS, STRIPED)).encode()
        digest = hashlib.sha256(Path(_quality_curtain.__file__).read_bytes() + settings).hexdigest()
        name = f"ssbmaps-curtains-{part}-{digest[:12]}.jsonl"
        self.path = Path(tempfile.gettempdir()) / name
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        self.known = dict(json.loads(line) for line in lines)

    def __call__(self, key: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
        if key not in self.known:
            self.known[key] = make()
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, self.known[key]]) + "\n")
        return self.known[key]


def drawn(seed: int, change: dict) -> xr.Dataset:
    """A section whose counts lie in one scan of 500 shots: what the check sees is the sum of all scans."""
    what = {**SMALL, **{k: v for k, v in change.items() if k == "shape"}}
    return synthetic.cross_section(
        seed=seed,
        shape=what["shape"],
        n_scans=1,
        layout=synthetic.Layout(**{**SMALL["layout"], **change.get("layout", {})}),
        instrument=synthetic.Instrument(drift=0, drift_walk=0, shots=500, **change.get("instrument", {})),
    )


def checked(counts: xr.DataArray, labels: xr.DataArray, distance: xr.DataArray | None, seed: int) -> dict[str, float]:
    """The curtaining check alone, as section_quality makes it."""
    parts = _quality._section(counts, labels, "NMC", "NiO2-", distance)
    rng = np.random.default_rng(seed)
    found = _quality_curtain.curtaining(parts.total, parts.labels, parts.inner, parts.field.pixel, LEVEL, rng)
    return {"p": found.p_value, "value": found.value, "direction": found.direction}


def sound(seed: int, change: dict) -> dict[str, float]:
    section = drawn(seed, change)
    if not change.get("labelled"):
        return checked(section.counts, section.phase_map, section.distance, seed)
    labels = maps.label_phases(section.counts.sum("scan", dtype=np.int64).assign_attrs(section.counts.attrs), PHASES)
    return checked(section.counts, labels, None, seed)


def wilson(hits: int, number: int) -> str:
    """95 % interval of a share (Wilson 1927), in per cent."""
    z, share = 1.96, hits / number
    middle = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z / (1 + z**2 / number) * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    return f"{100 * max(middle - half, 0):.1f} to {100 * (middle + half):.1f}"


def false_alarms() -> None:
    """p-values of fresh sections without stripes."""
    kept = Kept("sound")
    rows: list[list[object]] = []
    everything: list[float] = []

    def row(name: str, p: np.ndarray) -> list[object]:
        hits = int((p <= LEVEL).sum())
        return [name, f"{hits}/{len(p)}", wilson(hits, len(p)), f"{(p <= 0.05).sum()}/{len(p)}", f"{p.mean():.2f}"]

    for name, number, first, change in VARIANTS:
        seeds = range(first, first + number)
        p = np.array([kept(f"{name} {s}", lambda s=s, change=change: sound(s, change))["p"] for s in seeds])
        everything += p.tolist()
        rows.append(row(name, p))
    rows.append(row("all", np.array(everything)))
    text = (
        "Fresh sections of round particles without stripes, one scan of 500 shots, no drift. Unless stated: phases and distance "
        "as planted, particles of 0.6 to 2.2 um (1 to 5 um at 512 x 512), cracks in 25 % of them, voids on 2 %.\n\n"
    )
    header = ["sections", "p ≤ 0.01", "95 % interval, %", "p ≤ 0.05", "mean p (0.5)"]
    put_section("Curtaining: false alarms", command("sound"), text + table(header, rows))


def striped(section: xr.Dataset, strength: float, seed: int) -> dict[str, float]:
    """Stripes 0.2 um wide (Gaussian σ of white noise across them) of any direction, `strength` in root mean square."""
    rng = np.random.default_rng([seed, 7])
    turn = rng.uniform(0, np.pi)
    y, x = np.indices(section.distance.shape)
    reach = 2 * max(section.distance.shape)
    wave = gaussian_filter1d(rng.normal(size=2 * reach), 2)
    across = np.interp(x * np.sin(turn) - y * np.cos(turn), np.arange(-reach, reach), wave / wave.std())
    counts = section.counts.copy(data=rng.poisson(section.expected.values * (1 + strength * across)))
    found = checked(counts, section.phase_map, section.distance, seed)
    off = abs(found["direction"] - np.degrees(turn)) % 180
    return {**found, "off": float(min(off, 180 - off))}


def power() -> None:
    """Share of striped sections that are flagged, against the strength of the stripes."""
    kept = Kept("power")
    rows: list[list[object]] = []
    said = []
    for name, number, first, change in STRIPED:
        hits: list[int] = []
        row: list[object] = [name]
        results: list[list[dict[str, float]]] = [[] for _ in STRENGTHS]
        for seed in range(first, first + number):
            held: list[xr.Dataset] = []

            def section(seed: int = seed, change: dict = change, held: list[xr.Dataset] = held) -> xr.Dataset:
                if not held:
                    held.append(drawn(seed, change))
                return held[0]

            for strength, found in zip(STRENGTHS, results, strict=True):
                found.append(kept(f"{name} {strength} {seed}", lambda k=strength, s=seed, make=section: striped(make(), k, s)))
        for found in results:
            seen = [f for f in found if f["p"] <= LEVEL]
            hits.append(len(seen))
            right = f"; {1e2 * np.mean([f['value'] for f in seen]):.1f} %, {max(f['off'] for f in seen):.0f}°" if seen else ""
            row.append(f"{len(seen)}/{number}{right}")
        rows.append(row)
        said.append(f"{name}: {100 * ninety(np.array(hits), number):.1f} %")
    text = (
        "Stripes of white noise blurred by σ = 0.2 um across them, any direction, on sound sections; flagged at 1 %, then mean "
        "value found and largest error of the direction among those. The planted strength holds waves longer than an eighth of "
        "the map, the value does not. Root mean square from which on 90 % are flagged, of those tried: "
        f"{'; '.join(said)}.\n\n"
    )
    header = ["sections", *(f"{100 * s:g} %" for s in STRENGTHS)]
    put_section("Curtaining: stripes found", command("power"), text + table(header, rows))


def ninety(hits: np.ndarray, number: int) -> float:
    """The smallest strength from which on nine in ten are found, of those tried."""
    enough = np.minimum.accumulate((hits >= 0.9 * number)[::-1])[::-1]
    return float(STRENGTHS[int(enough.argmax())]) if enough.any() else float("nan")


if __name__ == "__main__":
    warnings.simplefilter("ignore", DataQualityWarning)
    run_parts({"sound": false_alarms, "power": power})
