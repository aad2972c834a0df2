"""A depth profile of the size of the field's record, 128 × 128 × 120 voxels × 70,439 channels, decomposed from disk.

    python benchmarks/decomposition_record.py [simulate pca nmf cluster]

`simulate` writes the cube once into benchmarks/draws/; the other parts read it in blocks, each in a fresh process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _record import CHANNELS, NAMES, SHAPE, STORE, record
from _results import put_section, run_parts, table

CHUNKS = {"z": 2}
SIZE = f"{SHAPE[1]} × {SHAPE[2]} × {SHAPE[0]} voxels × {CHANNELS:,} channels"


def command(part: str) -> str:
    return f"python benchmarks/decomposition_record.py {part}"


def peak_memory() -> float:
    """Highest resident memory of this process, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def alone(what: str) -> dict[str, Any]:
    """Run one step in a fresh process and return what it says about itself."""
    done = subprocess.run([sys.executable, __file__, "step", what], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def step(what: str) -> None:
    """Time and peak memory of one step, and what it found, as a line of JSON."""
    start = time.perf_counter()
    found = STEPS[what]()
    print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak_memory(), **found}))


def step_simulate() -> dict[str, Any]:
    record()
    return {}


def step_load() -> dict[str, Any]:
    import ssbmaps

    cube = ssbmaps.io.load(STORE, chunks=CHUNKS)
    return {"blocks": int(cube.data.npartitions)}


def step_read() -> dict[str, Any]:
    """All blocks once, one after another; counts and stored values."""
    import ssbmaps

    cube = ssbmaps.io.load(STORE, chunks=CHUNKS)
    counts, stored = 0, 0
    for block in cube.data.blocks.ravel():
        data = block.compute().data
        counts, stored = counts + int(data.sum(dtype=np.int64)), stored + len(data)
    return {"counts": counts, "stored": stored}


def step_pca() -> dict[str, Any]:
    import ssbmaps

    result = ssbmaps.decomposition.pca(ssbmaps.io.load(STORE, chunks=CHUNKS), 10)
    truth = record()
    basis = np.linalg.qr(result.loadings.values[: len(NAMES)].T)[0]
    inside = np.linalg.norm(truth.spectra @ basis, axis=1) / np.linalg.norm(truth.spectra, axis=1)
    return {"variance": result.explained_variance.values.tolist(), "inside": inside.tolist()}


def step_nmf() -> dict[str, Any]:
    import ssbmaps

    result = ssbmaps.decomposition.nmf(ssbmaps.io.load(STORE, chunks=CHUNKS), len(NAMES))
    return {"objective": float(result.objective), "n_iter": int(result.n_iter), **agreement(result)}


def step_cluster() -> dict[str, Any]:
    """The same two calls with a dask.distributed cluster of two workers of one thread in use."""
    from distributed import Client, LocalCluster

    import ssbmaps

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        cube = ssbmaps.io.load(STORE, chunks=CHUNKS)
        began = time.perf_counter()
        result = ssbmaps.decomposition.nmf(cube, len(NAMES))
        first = time.perf_counter() - began
        values = ssbmaps.decomposition.pca(cube, 10).explained_variance.values.tolist()
        second = time.perf_counter() - began - first
    return {"objective": float(result.objective), "variance": values, "nmf": first, "pca": second, **agreement(result)}


def agreement(result: Any) -> dict[str, Any]:
    """Cosine of each planted spectrum with the component that resembles it most, one to one, and r of their maps."""
    from scipy.optimize import linear_sum_assignment

    truth = record()
    planted, found = truth.spectra, result.spectra.values
    norm = np.linalg.norm(planted, axis=1)[:, None] * np.linalg.norm(found, axis=1)[None]
    cosine = planted @ found.T / norm
    rows, columns = linear_sum_assignment(-cosine)
    maps = result.abundance.values.reshape(len(found), -1)
    expected = truth.abundance.reshape(len(planted), -1)
    r = [float(np.corrcoef(expected[a], maps[b])[0, 1]) for a, b in zip(rows, columns, strict=True)]
    return {"cosine": cosine[rows, columns].tolist(), "r": r}


STEPS = {name.removeprefix("step_"): f for name, f in list(globals().items()) if name.startswith("step_")}


def simulate() -> None:
    """Write the cube if it is not there, and read it once."""
    made = alone("simulate") if not STORE.exists() else None
    loaded, read = alone("load"), alone("read")
    size = sum(p.stat().st_size for p in Path(STORE).rglob("*") if p.is_file()) / 2**20
    planted = record().abundance.sum(axis=(1, 2, 3), dtype=np.float64)
    rows: list[list[object]] = [
        ["simulated and saved slice by slice", "" if made is None else f"{made['seconds']:.0f}", made and f"{made['peak']:.2f}"],
        [f"`io.load(…, chunks={CHUNKS})`: {loaded['blocks']} blocks", f"{loaded['seconds']:.1f}", f"{loaded['peak']:.2f}"],
        ["all blocks read once", f"{read['seconds']:.0f}", f"{read['peak']:.2f}"],
    ]
    if made is None:
        del rows[0]
    shares = ", ".join(f"{name} {100 * n / planted.sum():.1f} %" for name, n in zip(NAMES, planted, strict=True))
    body = table(["step", "s", "peak memory, GiB"], rows) + (
        f"\n\n{SIZE}: {read['counts'] / 1e6:.1f} million counts in {read['stored'] / 1e6:.1f} million stored values, "
        f"{size:.0f} MiB on disk; {planted.sum() / 1e6:.1f} million counts planted: {shares}."
    )
    put_section("A cube of record size: simulation", command("simulate"), body)


def pca() -> None:
    """Ten components, streamed from disk."""
    run = alone("pca")
    rows = [["`pca(cube, 10)`", f"{run['seconds']:.0f}", "< 180", f"{run['peak']:.2f}", "< 6"]]
    inside = ", ".join(f"{name} {value:.4f}" for name, value in zip(NAMES, run["inside"], strict=True))
    body = table(["step", "s", "asked", "peak memory, GiB", "asked"], rows) + (
        f"\n\n{SIZE}. Explained variance: {', '.join(f'{v:.5g}' for v in run['variance'])}. Share of the length of each planted "
        f"spectrum that lies in the span of the first {len(NAMES)} loadings: {inside}."
    )
    put_section("A cube of record size: PCA", command("pca"), body)


def nmf() -> None:
    """Six components, streamed from disk."""
    run = alone("nmf")
    rows = [["`nmf(cube, 6)`", f"{run['seconds']:.0f}", "< 900", f"{run['peak']:.2f}", "< 6"]]
    found = [[n, f"{c:.4f}", f"{r:.3f}"] for n, c, r in zip(NAMES, run["cosine"], run["r"], strict=True)]
    body = "\n\n".join(
        [
            table(["step", "s", "asked", "peak memory, GiB", "asked"], rows),
            f"{SIZE}. Divergence {run['objective']:.8g} nats after {run['n_iter']} iterations.",
            table(["planted", "cosine of the spectrum", "r of the map, voxel by voxel"], found),
        ]
    )
    put_section("A cube of record size: KL-NMF", command("nmf"), body)


def cluster() -> None:
    """Both on two workers, against the same on one machine."""
    there, components, here = alone("cluster"), alone("pca"), alone("nmf")
    away = np.max(np.abs(np.array(there["variance"]) / np.array(components["variance"]) - 1))
    rows = [
        [
            "`nmf(cube, 6)`",
            f"{there['nmf']:.0f}",
            f"{here['seconds']:.0f}",
            f"divergence {there['objective'] / here['objective'] - 1:+.1e}",
        ],
        ["`pca(cube, 10)`", f"{there['pca']:.0f}", f"{components['seconds']:.0f}", f"eigenvalues {away:.1e}"],
    ]
    body = table(["call", "s, two workers", "s, one process", "relative difference"], rows) + (
        f"\n\n{SIZE}. `LocalCluster(n_workers=2, threads_per_worker=1)` on the same two cores; the calls are the same. Memory of "
        f"the process that asks: {there['peak']:.2f} GiB, beside its workers'."
    )
    put_section("A cube of record size: two dask workers", command("cluster"), body)


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        step(sys.argv[2])
    else:
        run_parts({f.__name__: f for f in (simulate, pca, nmf, cluster)})
