"""Figures of the foundation: start-up times, readers against the manifest, synthetic sections, distances, plateaus.

    python benchmarks/foundation.py [startup readers powerco synthetic distance plateaus]

Real files are looked for in ../shared/data beside the checkout; a part whose files are absent says so and is left out.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from _results import put_section, run_parts, table

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
IMZML = (
    ("imzml/Example_Continuous.imzML", {}),
    ("imzml/Example_Processed.imzML", {}),
    ("imzml/Untreated_3_434_tiny.imzML", {"pixel_size": 50.0}),
    ("imzml/pewlib_2x2.imzML", {"pixel_size": 30.0}),
    ("imzml-synthetic/iontof_sparse.imzML", {"pixel_size": 4.40625}),
    ("imzml-synthetic/unit_nanometre.imzML", {}),
    ("phi/PowerCo-102-Pos-Cu_Grid.h5", {"pixel_size": 0.3125}),
)


def command(part: str) -> str:
    return f"python benchmarks/foundation.py {part}"


def median_time(words: list[str], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def startup() -> None:
    """Medians of seven fresh processes; the empty interpreter beside them."""
    python = sys.executable
    tool = str(Path(python).with_name("ssbmaps"))
    rows = [
        ["python -c pass", f"{median_time([python, '-c', 'pass']):.3f}", ""],
        ["python -c 'import ssbmaps'", f"{median_time([python, '-c', 'import ssbmaps']):.3f}", "< 0.5"],
        ["ssbmaps --help", f"{median_time([tool, '--help']):.3f}", "< 0.3"],
    ]
    put_section("Start-up", command("startup"), table(["what", "s", "asked"], rows))


def readers() -> None:
    """Every imzML and SIMS-H5 file of the manifest: what is read without help, and the numbers once it is read."""
    import warnings

    import ssbmaps

    rows = []
    for name, options in IMZML:
        path = DATA / name
        if not path.exists():
            print(f"{name} is absent; left out")
            continue
        bare = "read as it is"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ssbmaps.DataQualityWarning)
            if options:
                try:
                    ssbmaps.io.read(path)
                    bare = "READ WITHOUT A PIXEL SIZE"
                except ssbmaps.FormatError as error:
                    bare = f"refused: {error}"
            cube = ssbmaps.io.read(path, **options)
        rows.append([f"`{path.name}`", *numbers_of(cube), bare.replace("|", "/").replace("\n", " ")])
    header = ["file", "shape", "pixel (y, x) um", "m/z", "sum", "max", "at", "without pixel_size="]
    put_section("Readers against the manifest", command("readers"), table(header, rows))


def numbers_of(cube: object) -> list[object]:
    """Shape, pixel, mass range, sum, maximum and where it is (1-based x, y)."""
    from ssbmaps._conventions import pixel_size

    coo = cube.data
    best = int(np.argmax(coo.data))
    where = dict(zip(cube.dims, coo.coords[:, best], strict=True))
    dy, dx = pixel_size(cube, subject="benchmark")
    mz = cube.mz.values
    return [
        " × ".join(map(str, cube.shape)),
        f"{dy:.9g}, {dx:.9g}",
        f"{mz[0]:.4f}–{mz[-1]:.4f}",
        f"{coo.data.sum(dtype=np.float64):.10g}",
        f"{coo.data[best]:.9g}",
        f"x {where['x'] + 1}, y {where['y'] + 1}, m/z {mz[where['mz']]:.4f}",
    ]


def powerco() -> None:
    """Windows of the PowerCo file."""
    import ssbmaps

    path = DATA / "phi" / "PowerCo-102-Pos-Cu_Grid.h5"
    if not path.exists():
        print(f"{path.name} is absent; left out")
        return
    cube = ssbmaps.io.read(path, pixel_size=0.3125)
    windows = {"62.8–63.1": (62.8, 63.1), "64.8–65.1": (64.8, 65.1), "22.9–23.1": (22.9, 23.1), "6.9–7.1": (6.9, 7.1)}
    stated = {"62.8–63.1": 3784, "64.8–65.1": 1982, "22.9–23.1": 1132, "6.9–7.1": 69}
    sums = ssbmaps.maps.integrate(cube, windows).sum(("scan", "y", "x"))
    rows = [["all", int(cube.data.data.sum()), 174405]]
    rows += [[name, int(sums.sel(fragment=name)), stated[name]] for name in windows]
    put_section("PowerCo file (SIMS-H5)", command("powerco"), table(["window, Da", "counts read", "stated"], rows))


def synthetic() -> None:
    """Time of a full section and of a redraw; peak memory of the process."""
    from ssbmaps import synthetic as room

    room.cross_section(seed=99, shape=(128, 128), n_scans=2)  # compile first
    start = time.perf_counter()
    section = room.cross_section(seed=1)
    first = time.perf_counter() - start
    start = time.perf_counter()
    room.redraw(section, seed=2)
    second = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    rows = [["cross_section, 512×512, 20 scans", f"{first:.1f}", "< 40"], ["redraw", f"{second:.1f}", "< 4"]]
    body = table(["what", "s", "asked"], rows) + f"\n\nPeak memory of the process {peak:.2f} GiB."
    put_section("Synthetic section", command("synthetic"), body)


def distance() -> None:
    """rms error of distance_to within 0.5 um of the edge of uncut particles of R >= 1 um without cracks."""
    from ssbmaps import interfaces, maps
    from ssbmaps import synthetic as room

    rows = []
    for seed in (11, 12, 13):
        section = room.cross_section(seed=seed)
        labels = section["phase_map"]
        truth = section["distance"].values
        ideal = section["ideal"].sel(fragment="NiO2-")
        counts = section["counts"].sum("scan", dtype="int64").assign_attrs(section["counts"].attrs)
        found = maps.label_phases(counts, {"NMC": "NiO2-", "electrolyte": ["S-", "Cl-"], "carbon": "C2-"})
        near = near_clean_edges(section)
        cases = {
            "labels (true)": interfaces.distance_to(labels, "NMC"),
            "labels (from counts)": interfaces.distance_to(found, "NMC"),
            "noise-free image": interfaces.distance_to(labels, "NMC", image=ideal),
            "image of counts": interfaces.distance_to(found, "NMC", image=counts.sel(fragment="NiO2-")),
        }
        errors = [1e3 * (d.values - truth)[near] for d in cases.values()]
        rows.append([seed, int(near.sum()), *(f"{np.sqrt(np.mean(e**2)):.1f} ({e.mean():+.1f})" for e in errors)])
    header = ["seed", "pixels", *(f"{name}: rms (mean), nm" for name in cases)]
    body = table(header, rows) + (
        "\n\nAsked: at most 25 nm from labels, at most 7 nm from a noise-free image. Pixels of 0.1 um within 0.5 um of the edge "
        "of particles of 1 um radius or more that are whole in the frame, have no crack, and lie 1 um or more from the next."
    )
    put_section("Distance to the NMC edge", command("distance"), body)


def near_clean_edges(section: object) -> np.ndarray:
    """Pixels within 0.5 um of the edge of particles of R >= 1 um that are whole, uncracked and clear of their neighbours."""
    y, x = np.meshgrid(section["y"].values, section["x"].values, indexing="ij")
    cy, cx, radius = (section[f"particle_{n}"].values for n in ("y", "x", "radius"))
    height, width = y[-1, 0] + y[0, 0], x[0, -1] + x[0, 0]
    near = np.zeros(y.shape, bool)
    for i in np.flatnonzero((radius >= 1) & (section["particle_cracked"].values == 0)):
        reach = 1.3 * radius[i] + 0.5
        inside = reach < min(cy[i], cx[i], height - cy[i], width - cx[i])
        gaps = np.hypot(cy - cy[i], cx - cx[i]) - 1.15 * (radius + radius[i])
        if inside and np.delete(gaps, i).min(initial=np.inf) > 1:
            near |= np.hypot(y - cy[i], x - cx[i]) < reach
    return near & (np.abs(section["distance"].values) < 0.5)


def plateaus() -> None:
    """Profile plateaus of drawn counts against the expectation they were drawn from."""
    from ssbmaps import interfaces
    from ssbmaps import synthetic as room

    rows = []
    for seed in (21, 22, 23):
        section = room.cross_section(seed=seed)
        counts = section["counts"].sum("scan", dtype="int64").assign_attrs(section["counts"].attrs)
        truth = section["expected"].sum("scan", dtype="float64")
        away = interfaces.distance_to(section["phase_map"], "NMC", image=counts.sel(fragment="NiO2-"))
        for fragment, low, high, name in (("NiO2-", -2.0, -0.5, "NMC"), ("S-", 0.7, 2.0, "electrolyte")):
            phase = room_labels(section, name)
            where = phase & (away >= low) & (away < high)
            profile = interfaces.distance_profile(counts.sel(fragment=[fragment]), away, where=where).squeeze("fragment")
            n = profile["count"].values
            counting = profile["sem"] / np.sqrt(profile["dispersion"])  # of this section's own pixels
            mean, error = np.nansum(profile["mean"] * n) / n.sum(), np.sqrt(np.nansum((counting * n) ** 2)) / n.sum()
            planted = float(truth.sel(fragment=fragment).where(where).mean())
            rows.append(
                [
                    seed,
                    fragment,
                    name,
                    f"{mean:.3f} ± {error:.3f}",
                    f"{planted:.3f}",
                    f"{100 * (mean / planted - 1):+.2f}",
                    f"{(mean - planted) / error:+.2f}",
                ]
            )
    header = ["seed", "fragment", "inside", "profile", "planted", "difference, %", "standard errors"]
    put_section("Profile plateaus", command("plateaus"), table(header, rows) + "\n\nAsked: within 2 % and 3 standard errors.")


def room_labels(section: object, name: str) -> object:
    """Boolean (y, x): pixels that the truth gives wholly to one phase."""
    return section["coverage"].sel(phase=name, drop=True) > 0.999


PARTS = {f.__name__: f for f in (startup, readers, powerco, synthetic, distance, plateaus)}

if __name__ == "__main__":
    run_parts(PARTS)
