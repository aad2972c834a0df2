"""One factorisation from start to finish: starts, fit, rows brought to their maximum, components put in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.decomposition import _least_squares
from ssbmaps.decomposition._penalty import MapPenalty, Smoothness, neighbours
from ssbmaps.decomposition._solve import STEPS, Fit, padded, solve, visit_rows
from ssbmaps.decomposition._solve_maps import solve_maps
from ssbmaps.decomposition._start import Raster, Start, find_start
from ssbmaps.decomposition._walk import FLOOR, scaled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps._errors import Faults
    from ssbmaps.decomposition._census import Census
    from ssbmaps.decomposition._chunks import AnyBlocks

    Floats = NDArray[np.float64]

LOSSES = ("kullback-leibler", "frobenius")
ROW_GAP = 1e-6  # nats: a row's abundances are then within a thousandth of their standard error of the maximum


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of a factorisation; see `PoissonNMF`."""

    n_components: int
    loss: str = "kullback-leibler"
    n_starts: int = 6
    tol: float = 1e-5
    max_iter: int = 1000
    smoothness: float = 0.0
    laplacian: float = 0.0
    total_variation: float = 0.0

    @property
    def on_maps(self) -> bool:
        """Whether neighbouring pixels pull on each other."""
        return self.laplacian > 0 or self.total_variation > 0

    def check(self, faults: Faults) -> None:
        """Note every option that is out of its bounds."""
        faults.expect(self.loss in LOSSES, f"loss={self.loss!r}; expected {' or '.join(map(repr, LOSSES))}.")
        for name in ("n_components", "max_iter", "n_starts"):
            n = getattr(self, name)
            whole = isinstance(n, (int, np.integer)) and not isinstance(n, bool) and bool(n >= 1)
            faults.expect(whole, f"{name}={n!r}; expected a whole number of 1 or more.")
        sound = True
        for name in ("tol", "smoothness", "laplacian", "total_variation"):
            value = getattr(self, name)
            number = isinstance(value, (int, float, np.number)) and bool(np.isfinite(value)) and float(value) >= 0
            sound &= faults.expect(number, f"{name}={value!r}; expected a number of 0 or more.")
        plain = not sound or not (self.smoothness or self.on_maps)
        likelihood = self.loss == "kullback-leibler"
        faults.expect(likelihood or plain, "penalties are in nats of the likelihood; expected loss='kullback-leibler' with them.")


@dataclass(frozen=True, slots=True)
class Factors:
    """Abundances (P, C), spectra (C, K) of sum 1, and how the fit went."""

    w: NDArray[Any]
    h: Floats
    objective: float
    remaining: float
    n_iter: int
    converged: bool
    history: list[float]
    starts: list[tuple[str, float, float]]


def factorise(
    blocks: AnyBlocks,
    census: Census,
    wishes: Wishes,
    *,
    rng: np.random.Generator,
    dtype: Any,
    given: Floats | None = None,
    n_fixed: int = 0,
    raster: Raster | None = None,
) -> Factors:
    """Fit `wishes.n_components`; the first are started from `given` (m, K), of which `n_fixed` stay."""
    k = wishes.n_components
    known = np.empty((0, blocks.shape[1])) if given is None else given
    smooth = Smoothness(wishes.smoothness, census.counts) if wishes.smoothness > 0 else None
    target = smooth.target if smooth else scaled
    start = find_start(
        blocks, census, k, dtype=dtype, rng=rng, n_starts=wishes.n_starts, tol=wishes.tol, given=known, n_fixed=n_fixed,
        raster=raster, target=target,
    )  # fmt: skip
    fit = _fit(blocks, census, wishes, start, dtype, n_fixed, smooth, raster)
    h, w = _cleared(fit.h, census, known[:n_fixed]), blocks.gather(fit.states)[:, :k]
    if not wishes.on_maps:
        w = best_rows(blocks, h, wishes.loss, dtype, fit.states)
    order = np.concatenate(
        [np.arange(n_fixed), n_fixed + np.argsort(-w[:, n_fixed:].sum(axis=0, dtype=np.float64), kind="stable")]
    )
    return Factors(w[:, order], h[order], fit.objective, fit.remaining, fit.n_iter, fit.converged, fit.history, start.trials)


def _cleared(h: Floats, census: Census, fixed: Floats) -> Floats:
    """Spectra with zeros where nothing was counted, or where a value is no more than what keeps it from 0 in the fit."""
    free = h[len(fixed) :]
    free = np.where((census.columns > 0) & (free > 10 * FLOOR), free, 0.0)
    total = free.sum(axis=1, keepdims=True)
    return np.vstack([fixed, free / np.where(total > 0, total, 1)])


def _fit(
    blocks: AnyBlocks,
    census: Census,
    wishes: Wishes,
    start: Start,
    dtype: Any,
    n_fixed: int,
    smooth: Smoothness | None,
    raster: Raster | None,
) -> Fit:
    if wishes.loss == "frobenius":
        return _least_squares.solve(blocks, census, None, start.h, tol=wishes.tol, max_iter=wishes.max_iter, n_fixed=n_fixed)
    options: dict[str, Any] = {"dtype": dtype, "tol": wishes.tol, "max_iter": wishes.max_iter, "n_fixed": n_fixed}
    if smooth:
        options |= {"target": smooth.target, "cost": smooth.cost}
    if not wishes.on_maps:
        return solve(blocks, census, None, start.h, **options)
    assert raster is not None
    lead = int(np.prod(raster.shape[:-2], dtype=np.int64))
    pairs = neighbours((lead, raster.shape[-2], raster.shape[-1]), raster.rows)
    maps = MapPenalty(wishes.laplacian, wishes.total_variation, pairs)
    return solve_maps(blocks, census, None, start.h, maps, **options)


def best_rows(blocks: AnyBlocks, h: Floats, loss: str, dtype: Any, states: list[Any] | None = None) -> NDArray[Any]:
    """Abundances (P, C) at their optimum given spectra (C, K), from `states` if given."""
    k = len(h)
    if loss == "frobenius":
        spectra = np.ascontiguousarray(h.T)
        return blocks.gather(blocks.visit(_least_squares.visit_rows, states, spectra, spectra.T @ spectra, 0.0, False)[1])
    found = blocks.visit(visit_rows, states, padded(h.T, dtype), k, ROW_GAP, STEPS, 0 if states is not None else 2, False)[1]
    return blocks.gather(found)[:, :k]
