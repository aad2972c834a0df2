"""Events (y, x, channel) into a sparse cube: time and peak memory, against scipy and numpy.

python benchmarks/decomposition_events.py [events]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from _results import put_section, run_parts, table

SHAPE = (512, 512, 2000)
EVENTS = 100_000_000
REPEATS = 5


def section_events(n: int) -> np.ndarray:
    """uint16 (3, n), y, x and channel of n events; drawn once and kept in benchmarks/draws/."""
    path = Path(__file__).with_name("draws") / f"events_{n}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        np.save(path, draw_events(n))
    return np.load(path)


def draw_events(n: int, seed: int = 1) -> np.ndarray:
    """Events in no order: pixels of uneven brightness, two kinds of peaked spectra."""
    rng = np.random.default_rng(seed)
    ny, nx, channels = SHAPE
    rows, columns = np.indices((ny, nx))
    grains = np.sin(rows / 23) * np.sin(columns / 31) > 0
    steps = np.cumsum((grains * 1.5 + 0.5).ravel())
    spectra = []
    for _ in range(2):
        spectrum = np.full(channels, 0.08 / channels)
        for place, area in zip(rng.uniform(0.01, 0.9, 60) * channels, rng.lognormal(0, 1.4, 60), strict=True):
            width = 0.8 + 1.2 * place / channels
            peak = area / width * np.exp(-0.5 * ((np.arange(channels) - place) / width) ** 2)
            spectrum += 0.005 * peak
        spectra.append(np.cumsum(spectrum) / spectrum.sum())
    y, x, channel = events = np.empty((3, n), np.uint16)
    for first in range(0, n, 1 << 22):
        part = slice(first, min(first + (1 << 22), n))
        pixel = np.minimum(np.searchsorted(steps, rng.random(part.stop - first) * steps[-1], side="right"), ny * nx - 1)
        y[part], x[part] = np.divmod(pixel, nx)
        kind = grains.ravel()[pixel]
        chance = rng.random(len(pixel))
        for k in range(2):
            channel[part][kind == k] = np.minimum(np.searchsorted(spectra[k], chance[kind == k], side="right"), channels - 1)
    return events


def by_ssbmaps(y: np.ndarray, x: np.ndarray, channel: np.ndarray) -> object:
    """`ssbmaps.io.count_events`."""
    import ssbmaps

    return ssbmaps.io.count_events(y, x, channel, shape=SHAPE).data


def by_scipy(y: np.ndarray, x: np.ndarray, channel: np.ndarray) -> object:
    """`scipy.sparse.coo_array(…).tocsr()`, which sums duplicates; 32-bit rows and columns."""
    from scipy.sparse import coo_array

    pixel = y.astype(np.int32) * SHAPE[1] + x
    ones = np.ones(len(y), np.uint32)
    matrix = coo_array((ones, (pixel, channel.astype(np.int32))), shape=(SHAPE[0] * SHAPE[1], SHAPE[2])).tocsr()
    matrix.sum_duplicates()
    return matrix


def by_bincount(y: np.ndarray, x: np.ndarray, channel: np.ndarray) -> object:
    """`numpy.bincount` of the cell, then the filled cells as `sparse.COO`."""
    import sparse

    cell = flat(y, x, channel)
    counts = np.bincount(cell, minlength=int(np.prod(SHAPE)))
    del cell
    return from_cells(sparse, *filled(counts))


def by_unique(y: np.ndarray, x: np.ndarray, channel: np.ndarray) -> object:
    """`numpy.unique` of the cell, as `sparse.COO`."""
    import sparse

    cell = flat(y, x, channel)
    return from_cells(sparse, *np.unique(cell, return_counts=True))


def flat(y: np.ndarray, x: np.ndarray, channel: np.ndarray) -> np.ndarray:
    """The cell of each event, without intermediate copies."""
    cell = y.astype(np.int64)
    cell *= SHAPE[1]
    cell += x
    cell *= SHAPE[2]
    cell += channel
    return cell


def filled(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cells that are not zero, and their counts."""
    cell = np.flatnonzero(counts)
    return cell, counts[cell]


def from_cells(sparse: object, cell: np.ndarray, counts: np.ndarray) -> object:
    """`sparse.COO` of flat cells."""
    coords = np.stack(np.unravel_index(cell, SHAPE))
    return sparse.COO(coords, counts.astype(np.uint32), shape=SHAPE, has_duplicates=False, sorted=True)


WAYS = {"ssbmaps": by_ssbmaps, "scipy": by_scipy, "bincount": by_bincount, "unique": by_unique}


def digest(cube: object) -> list[int]:
    """Number of filled cells, and sums in which every cell and its count take part."""
    if hasattr(cube, "indptr"):
        cell = np.repeat(np.arange(cube.shape[0]), np.diff(cube.indptr)) * cube.shape[1] + cube.indices
    else:
        cell = np.ravel_multi_index(tuple(cube.coords), cube.shape)
    order = np.arange(len(cell), dtype=np.uint64)
    mixed = (cell.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ (cube.data.astype(np.uint64) << np.uint64(20)) ^ order
    return [len(cell), int(mixed.sum(dtype=np.uint64)), int(cube.data.sum(dtype=np.int64))]


def in_a_process_of_its_own(name: str, n: int) -> dict[str, object]:
    """Time of a call after one on few events, peak memory of the process, and the result's digest."""
    words = [sys.executable, __file__, "one", name, str(n)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(said.splitlines()[-1]))


def one(name: str, n: int) -> None:
    """A single timed call; prints what `in_a_process_of_its_own` reads."""
    parts = section_events(n)
    WAYS[name](*(part[: n // 10] for part in parts))  # what is compiled or loaded once is not timed
    forget_peak()
    start = time.perf_counter()
    cube = WAYS[name](*parts)
    seconds = time.perf_counter() - start
    memory = peak_memory()
    print(json.dumps({"seconds": seconds, "peak": memory, "digest": digest(cube)}))


def forget_peak() -> None:
    """Start the process's highest resident memory anew (Linux)."""
    with open("/proc/self/clear_refs", "w") as handle:  # noqa: PTH123
        handle.write("5")


def peak_memory() -> float:
    """Highest resident memory, GiB, since `forget_peak`."""
    with open("/proc/self/status") as handle:  # noqa: PTH123
        return next(int(line.split()[1]) for line in handle if line.startswith("VmHWM")) / 2**20


def events() -> None:
    """Interleaved repeats, each in a fresh process; medians."""
    runs: dict[str, list[dict[str, object]]] = {name: [] for name in WAYS}
    for repeat in range(REPEATS):
        for name in WAYS:
            if name != "unique" or repeat == 0:
                runs[name].append(in_a_process_of_its_own(name, EVENTS))
                print(name, runs[name][-1])
    results = {json.dumps(run["digest"]) for several in runs.values() for run in several}
    if len(results) != 1:
        raise SystemExit(f"the results differ: {results}")
    times = {name: float(np.median([run["seconds"] for run in several])) for name, several in runs.items()}
    asked = {"ssbmaps": "", "scipy": "≥ 4", "bincount": "≥ 8", "unique": ""}
    rows = [
        [
            WAYS[name].__doc__.strip("."),
            f"{times[name]:.2f}",
            f"{min(run['seconds'] for run in several):.2f}–{max(run['seconds'] for run in several):.2f}",
            f"{max(run['peak'] for run in several):.1f}",
            f"{times[name] / times['ssbmaps']:.1f}",
            asked[name],
        ]
        for name, several in runs.items()
    ]
    header = ["way", "s (median)", "s (range)", "peak memory, GiB", "time, of ssbmaps'", "asked"]
    nnz = runs["ssbmaps"][0]["digest"][0]
    body = table(header, rows) + (
        f"\n\n{EVENTS / 1e6:.0f} million events in no order on {' × '.join(map(str, SHAPE))} cells, "
        f"{nnz / 1e6:.1f} million of them filled; "
        f"{REPEATS} interleaved repeats (numpy.unique once), each in a fresh process; peak memory with the events (0.56 GiB). "
        "All results are equal cell by cell."
    )
    put_section("Events into a sparse cube", "python benchmarks/decomposition_events.py", body)


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(sys.argv[2], int(sys.argv[3]))
    else:
        run_parts({"events": events})
