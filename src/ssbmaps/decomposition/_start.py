"""Where a fit starts: spectra found on superpixels, from singular vectors and from pure pixels; several starts, the best kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.decomposition._blocks import Blocks
from ssbmaps.decomposition._census import Census
from ssbmaps.decomposition._match import agreement
from ssbmaps.decomposition._solve import Fit, solve

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from ssbmaps.decomposition._blocks import Block
    from ssbmaps.decomposition._chunks import AnyBlocks

    Floats = NDArray[np.float64]

COUNTS = 250  # of a superpixel: enough to tell spectra apart, and the smallest that is, as wide ones mix phases
STORED = 1_000_000  # values of the superpixels that are tried, or EACH for a channel if that is more
SAMPLE = 2_000_000  # values of the rows on which the best start is refined, or 2 EACH, of matrices some times larger
EACH = 100  # values for a channel: noise alone makes singular values of about one over its root
SURE = 0.1  # nats per value of the spectra: chance in the superpixels makes half a nat
LEVEL = 1e-2  # share of the mean that a start adds to every value, so that nothing starts at zero
TRIAL, SECOND, REFINED = 6, 10, 200  # iterations on the superpixels: of every start, of the better two, of the best


@dataclass(frozen=True, slots=True)
class Start:
    """Spectra (k, K) to start from, and each trial's name, divergence and agreement with the best."""

    h: Floats
    trials: list[tuple[str, float, float]]


@dataclass(frozen=True, slots=True)
class Raster:
    """Which pixels of a (…, y, x) raster the rows are, in C order."""

    shape: tuple[int, ...]
    rows: NDArray[np.int64]

    def tiles(self, pixels: float) -> NDArray[np.int64]:
        """Number of the tile that each row lies in: squares of about as many `pixels`, each within one map."""
        ny, nx = self.shape[-2:]
        side = max(1, round(float(np.sqrt(pixels))))
        lead, y, x = np.unravel_index(self.rows, (int(np.prod(self.shape[:-2], dtype=np.int64)), ny, nx))
        return (lead * -(-ny // side) + y // side) * -(-nx // side) + x // side


def superpixels(blocks: AnyBlocks, census: Census, k: int, raster: Raster | None, rng: np.random.Generator) -> csr_array:
    """Rows summed over small tiles of the raster, or over neighbouring rows; if there are many, those of a random choice."""
    from scipy.sparse import csr_array, vstack

    each = max(census.counts / max(census.filled_rows, 1), 1e-30)
    pixels = float(np.clip(COUNTS / each, 1, max(1.0, blocks.shape[0] / (8 * k))))
    whole = raster.tiles(pixels) if raster is not None else np.arange(blocks.shape[0]) // round(pixels)
    stored = min(float(np.count_nonzero(census.columns)), pixels * each)
    n = int(whole.max()) + 1
    room = max(STORED, EACH * int(np.count_nonzero(census.columns)))
    take = int(np.clip(room / max(stored, 1.0), 8 * k, n)) if n > 8 * k else n
    chosen = np.zeros(n, bool)
    chosen[rng.permutation(n)[:take]] = True
    tiles = [np.where(chosen[g], g, -1) for g in np.split(whole, np.cumsum(blocks.sizes)[:-1])]
    names, groups = zip(*(_numbered(t) for t in tiles), strict=True)
    _, parts = blocks.visit(_summed, blocks.place(groups))
    merged, place = np.unique(np.concatenate(names), return_inverse=True)  # a tile may lie in two blocks
    joined = csr_array((np.ones(len(place), np.float32), (place, np.arange(len(place)))), shape=(len(merged), len(place)))
    return csr_array(joined @ vstack(blocks.collect(parts), format="csr"))


def _numbered(tiles: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The tiles that occur, those of −1 left out, and each row's place among them, −1 for none."""
    kept, numbers = tiles >= 0, np.full(len(tiles), -1)
    names, numbers[kept] = np.unique(tiles[kept], return_inverse=True)
    return names, numbers


def _summed(block: Block, groups: NDArray[np.int64]) -> tuple[tuple[()], csr_array]:
    from scipy.sparse import csr_array

    from ssbmaps.decomposition._kernels import add_up

    sums = np.zeros((int(groups.max(initial=-1)) + 1, block.n_columns), np.float32)
    add_up(block.values, block.columns, block.starts, groups, sums)
    return (), csr_array(sums)


def find_start(
    blocks: AnyBlocks,
    census: Census,
    k: int,
    *,
    dtype: Any,
    rng: np.random.Generator,
    n_starts: int,
    tol: float,
    given: Floats,
    n_fixed: int,
    raster: Raster | None,
    target: Callable[[Floats, Floats], Floats] | None,
) -> Start:
    """Spectra to start from; the rows of `given` (m, K), m <= k, are the first m of every start, the first `n_fixed` for good."""
    sums = superpixels(blocks, census, k, raster, rng)
    small = Blocks.of(sums, dtype)
    counted = Census.of(small)
    enough = SURE * k * float(np.count_nonzero(census.columns))
    options: dict[str, Any] = {"dtype": dtype, "tol": tol, "enough": enough, "n_fixed": n_fixed, "target": target}
    fits: list[tuple[str, Fit]] = []
    for name, spectra in _candidates(sums, counted, k - len(given), rng, n_starts if k > len(given) else 1):
        h = _level(np.vstack([given, spectra]), n_fixed)
        fits.append((name, solve(small, counted, None, h, max_iter=TRIAL, **options)))
    for left, iterations in ((2, SECOND), (1, REFINED)):  # the better ones go on
        ahead = sorted(range(len(fits)), key=lambda i: fits[i][1].objective)[:left]
        for i in ahead:
            name, fit = fits[i]
            fits[i] = name, solve(small, counted, fit.states, fit.h, max_iter=iterations, **options)
    best = min((fit for _, fit in fits), key=lambda fit: fit.objective)
    trials = [(name, fit.objective, agreement(fit.h, best.h)) for name, fit in fits]
    numbers = np.arange(blocks.shape[0]) if raster is None else raster.rows
    return Start(_on_a_sample(blocks, census.stored, best.h, numbers, options), trials)


def _on_a_sample(blocks: AnyBlocks, stored: int, h: Floats, numbers: NDArray[np.int64], options: dict[str, Any]) -> Floats:
    """Spectra refined on the rows of every so many `numbers`, if there are far more values than that takes."""
    step = stored // max(SAMPLE, 2 * EACH * blocks.shape[1])
    if step < 3:
        return h
    kept = [np.flatnonzero(n % step == step // 2) for n in np.split(numbers, np.cumsum(blocks.sizes)[:-1])]
    _, parts = blocks.visit(_taken, blocks.place(kept))
    sample = Blocks.of_parts(blocks.collect(parts))
    level = (1 - 1e-6) * h + 1e-6 / h.shape[1]  # channels that the superpixels did not show
    level[: options["n_fixed"]] = h[: options["n_fixed"]]
    return solve(sample, Census.of(sample), None, level, max_iter=REFINED, **options).h


def _taken(block: Block, rows: NDArray[np.int64]) -> tuple[tuple[()], Block]:
    return (), block.take(rows)


def _level(h: Floats, n_fixed: int) -> Floats:
    """Rows of sum 1, those to be fitted without zeros."""
    h = h / h.sum(axis=1, keepdims=True)
    h[n_fixed:] = (1 - LEVEL) * h[n_fixed:] + LEVEL / h.shape[1]
    return h


def _candidates(sums: csr_array, census: Census, k: int, rng: np.random.Generator, n: int) -> list[tuple[str, Floats]]:
    """Up to n sets of k spectra: singular vectors, pure pixels, then pure pixels among random draws of the superpixels."""
    if k == 0:
        return [("given", np.empty((0, sums.shape[1])))]
    total = np.asarray(sums.sum(axis=1), float).ravel()
    filled = sums[total > 0]
    g, root = np.sqrt(total[total > 0]), np.sqrt(np.where(census.columns > 0, census.columns, 1))
    scaled = filled.astype(np.float64) / g[:, None] / root
    u, s, vt = _svd(scaled.tocsr(), k, rng)
    found = [("singular vectors", _nndsvdar(u, s, vt, rng) * root), ("pure pixels", _pure(filled, u * s, g, k))]
    while len(found) < n:
        drawn = rng.choice(len(g), max(k, len(g) // 2), replace=False)
        found.append((f"pure pixels, draw {len(found) - 1}", _pure(filled[drawn], (u * s)[drawn], g[drawn], k)))
    return found[:n]


def _svd(scaled: csr_array, k: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """The k largest singular triplets, descending."""
    from scipy.sparse.linalg import svds

    if min(scaled.shape) <= 2 * k + 2:
        u, s, vt = np.linalg.svd(scaled.toarray(), full_matrices=False)
        short = max(0, k - len(s))
        u, s, vt = u[:, :k], s[:k], vt[:k]
        return np.pad(u, ((0, 0), (0, short))), np.pad(s, (0, short)), np.pad(vt, ((0, short), (0, 0)))
    u, s, vt = svds(scaled, k, v0=rng.standard_normal(min(scaled.shape)), tol=1e-3)
    order = np.argsort(-s)
    return u[:, order], s[order], vt[order]


def _nndsvdar(u: Floats, s: Floats, vt: Floats, rng: np.random.Generator) -> Floats:
    """Non-negative spectra from singular vectors: of each pair the sign that carries more, zeros filled with small random values.

    Boutsidis and Gallopoulos, Pattern Recognit. 41 (2008) 1350, doi:10.1016/j.patcog.2007.09.010.
    """
    up, down = np.maximum(vt, 0), np.maximum(-vt, 0)
    weight = [np.linalg.norm(v, axis=1) * np.linalg.norm(np.maximum(w, 0), axis=0) for v, w in ((up, u), (down, -u))]
    spectra = np.where((weight[0] >= weight[1])[:, None], up, down)
    mean = max(float(spectra.mean()), 1e-12)
    filled: Floats = np.where(spectra > 0, spectra, 0.01 * mean * rng.random(spectra.shape)) + 1e-6 * mean * (s[:, None] == 0)
    return filled


def _pure(sums: csr_array, scores: Floats, g: Floats, k: int) -> Floats:
    """Spectra of the k superpixels that lie farthest out, by successive projection of composition scores.

    Araújo et al., Chemom. Intell. Lab. Syst. 57 (2001) 65, doi:10.1016/S0169-7439(01)00119-8.
    """
    left = scores / g[:, None]  # scores of the row scaled to sum 1
    left = left * np.minimum(1, g / np.median(g))[:, None]  # a row of few counts lies far out by chance
    chosen = []
    for _ in range(k):
        farthest = int(np.argmax(np.sum(left**2, axis=1)))
        chosen.append(farthest)
        direction = left[farthest] / max(float(np.linalg.norm(left[farthest])), 1e-300)
        left = left - np.outer(left @ direction, direction)
    spectra: Floats = sums[chosen].toarray().astype(np.float64)
    return spectra
