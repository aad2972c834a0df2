"""Ten principal components of Poisson-scaled cubes: time, memory and error of ssbmaps and of its peers.

    python benchmarks/decomposition_pca.py [small large hyperspy]

Every run is a process of its own: it loads the cube, runs once on a small one so that everything is loaded and compiled, and is
timed from the counts to values, scores and loadings, the scaling included. Repeats are interleaved. Errors are those of the
squared singular values against a dense eigendecomposition. Cubes are drawn once and kept in benchmarks/draws/.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from _cubes import DRAWS, section_cube
from _results import put_section, run_parts, table

if TYPE_CHECKING:
    from collections.abc import Callable

N = 10
SIZES = {"small": (256, 256, 500), "large": (512, 512, 2000)}
REPEATS = 5


def scaled(counts: Any) -> Any:
    """The Poisson-scaled matrix, as a user of scipy writes it."""
    from scipy.sparse import csr_matrix, diags

    values = csr_matrix(counts.astype(np.float64))
    g, h = (np.asarray(values.sum(axis)).ravel() for axis in (1, 0))
    g, h = (np.divide(1, np.sqrt(s), out=np.zeros_like(s), where=s > 0) for s in (g, h))
    return csr_matrix(diags(g) @ values @ diags(h))


def ours(route: str, *, noise: bool = False) -> Callable[[Any, Any], np.ndarray]:
    def run(counts: Any, _: Any) -> np.ndarray:
        from ssbmaps.decomposition import PoissonPCA

        model = PoissonPCA(N, route=route, noise=noise)
        model.fit_transform(counts)
        return model.explained_variance_

    return run


def svds(counts: Any, _: Any) -> np.ndarray:
    from scipy.sparse.linalg import svds

    return np.sort(svds(scaled(counts), k=N)[1])[::-1] ** 2


def truncated(algorithm: str) -> Callable[[Any, Any], np.ndarray]:
    def run(counts: Any, _: Any) -> np.ndarray:
        from sklearn.decomposition import TruncatedSVD

        model = TruncatedSVD(N, algorithm=algorithm, random_state=0)
        model.fit_transform(scaled(counts))
        return model.singular_values_**2

    return run


def centred(counts: Any, _: Any) -> np.ndarray:
    from sklearn.decomposition import PCA

    model = PCA(N, svd_solver="arpack", random_state=0)
    model.fit_transform(scaled(counts))
    return model.singular_values_**2


def hyperspy_way(counts: Any, shape: Any) -> np.ndarray:
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    signal = hs.signals.Signal1D(counts.toarray().reshape(*shape, -1).astype(np.float64))
    signal.decomposition(normalize_poissonian_noise=True, output_dimension=N, print_info=False)
    return signal.learning_results.explained_variance[:N] * counts.shape[0]


WAYS: dict[str, tuple[str, Callable[[Any, Any], np.ndarray]]] = {
    "auto": ("`PoissonPCA(10, noise=False)`", ours("auto")),
    "noise": ("`PoissonPCA(10)`, with the level of noise, which no peer gives", ours("auto", noise=True)),
    "krylov": ("`PoissonPCA(10, route='krylov', noise=False)`", ours("krylov")),
    "svds": ("scipy `svds` (arpack)", svds),
    "arpack": ("scikit-learn `PCA(svd_solver='arpack')`, centred", centred),
    "randomized": ("scikit-learn `TruncatedSVD`, default", truncated("randomized")),
    "hyperspy": ("HyperSpy `decomposition`, default solver, dense", hyperspy_way),
}


def one(way: str, size: str) -> None:
    """Run one way on one cube, and print what it took as JSON."""
    warnings.simplefilter("ignore")
    cube = section_cube(*SIZES[size])
    run = WAYS[way][1]
    start = np.random.default_rng(0).poisson(1.0, (900, 700))
    from scipy.sparse import csr_array

    run(csr_array(start.astype(cube.counts.dtype)), (30, 30))
    began = time.perf_counter()
    values = run(cube.counts, cube.shape)
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": took, "peak": peak, "values": values.tolist()}))


def fresh(way: str, size: str) -> dict[str, Any]:
    words = [sys.executable, __file__, "one", way, size]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def exact(size: str) -> np.ndarray:
    """The squared singular values by a dense eigendecomposition, kept beside the cube."""
    path = DRAWS / f"eigenvalues_{size}.npy"
    if not path.exists():
        d = scaled(section_cube(*SIZES[size]).counts)
        np.save(path, np.linalg.eigvalsh((d.T @ d).toarray())[::-1])
    return np.load(path)


def compare(size: str, ways: list[str], repeats: int, title: str) -> None:
    """Interleaved repeats of all ways, and the table of their medians."""
    truth = exact(size)[:N]
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(repeats):
        for way in ways:
            runs[way].append(fresh(way, size))
            print(way, round(runs[way][-1]["seconds"], 3), flush=True)
    medians = {way: float(np.median([r["seconds"] for r in done])) for way, done in runs.items()}
    rows = []
    for way in ways:
        error = np.abs(np.array(runs[way][0]["values"]) / truth - 1)
        shown = ["centred", "centred"] if way == "arpack" else [f"{error.max():.1e}", f"{error[6:].max():.1e}"]
        low, high = (f([r["seconds"] for r in runs[way]]) for f in (min, max))
        peak = max(r["peak"] for r in runs[way])
        rows.append(
            [
                WAYS[way][0],
                f"{medians[way]:.2f} ({low:.2f}–{high:.2f})",
                f"{medians[way] / medians['auto']:.1f}",
                f"{peak:.2f}",
                *shown,
            ]
        )
    counts = section_cube(*SIZES[size]).counts
    header = ["way", "s, median (range)", "times ssbmaps", "peak, GiB", "largest error of ten", "of components 7–10"]
    body = table(header, rows) + (
        f"\n\n{' × '.join(map(str, SIZES[size]))} voxels, {counts.nnz:,} non-zeros, {counts.sum(dtype=np.int64):,} counts; "
        f"{repeats} interleaved run(s) of each, every one in a fresh process. Six components are planted; the seventh to tenth "
        "values lie at the edge of the noise. Errors are relative, of squared singular values, against a dense solution. "
        "Asked: errors below 1e-4, 8 × svds, 2 × TruncatedSVD, 40 × HyperSpy, < 1 GB."
    )
    put_section(title, f"python benchmarks/decomposition_pca.py {title.split()[-1]}", body)


def small() -> None:
    """256 × 256 × 500."""
    compare("small", ["auto", "noise", "krylov", "svds", "arpack", "randomized"], REPEATS, "Principal components, small")


def large() -> None:
    """512 × 512 × 2,000. Asked: at least 8 times as fast as svds, twice as TruncatedSVD, errors below 1e-4, less than 1 GB."""
    compare("large", ["auto", "noise", "krylov", "svds", "arpack", "randomized"], REPEATS, "Principal components, large")


def hyperspy() -> None:
    """The large cube in HyperSpy, once; it wants more than 10 GB. Asked: at least 40 times as fast."""
    compare("large", ["auto", "hyperspy"], 1, "Principal components, hyperspy")


PARTS = {f.__name__: f for f in (small, large, hyperspy)}

if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        one(*sys.argv[2:])
    else:
        run_parts(PARTS)
