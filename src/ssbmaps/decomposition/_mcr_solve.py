"""Alternating least squares under constraints, from products with the data alone: a sparse matrix is never made dense.

One spectrum, or one component's abundance, at a time: with the others held, the weighted squared error is that of the
unconstrained optimum plus a multiple of the squared distance to it, so that the nearest point which keeps the constraints is the
exact minimum (N. Gillis, F. Glineur, Neural Comput. 24 (2012) 1085, doi 10.1162/NECO_a_00256). No step can raise the error.

Our own, because pyMCR 0.5.1 takes no sparse matrix, makes NaN of empty pixels under closure, and alternates between constrained
least squares and clipping, where the error may rise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

INNER = 4  # sweeps over the components for one product with the data, which costs as much as several
FIRST = 40  # of the first abundances, which start from nothing
TRIFLE = 1e-14  # of the largest: a component with less has vanished


@dataclass(frozen=True, slots=True)
class Side:
    """What holds for the spectra, or for the abundances, transposed: arrays (C, n) with n channels or pixels."""

    non_negative: bool = True
    zero: Bools | None = None  # (C, n)
    fixed: tuple[int, ...] = ()
    unimodal: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()  # of n, the unimodal axis last; () if it is the only one
    order: NDArray[np.int64] | None = None  # of the n points that makes them `shape`
    total: Floats | None = None  # (n,) sum over the components

    def nearest(self, target: Floats, weights: Floats, c: int) -> Floats:
        """The allowed row nearest to `target` (n,)."""
        if c in self.unimodal:
            return self._unimodal(target, weights)
        if self.non_negative:
            target = np.maximum(target, 0.0)
        if self.zero is not None:
            target = np.where(self.zero[c], 0.0, target)
        return target

    def _unimodal(self, target: Floats, weights: Floats) -> Floats:
        from ssbmaps.decomposition._mcr_unimodal import unimodal

        order = np.arange(len(target)) if self.order is None else self.order
        shape = (-1, self.shape[-1]) if self.shape else (1, -1)
        heavy = np.maximum(weights[order], 1e-12 * weights.max(initial=1e-300))  # what weighs nothing still has a place
        out = np.empty_like(target)
        rows = unimodal(target[order].reshape(shape), heavy.reshape(shape), 0.0 if self.non_negative else -np.inf)
        out[order] = rows.ravel()
        return out


@dataclass(frozen=True, slots=True)
class Problem:
    """Counts (P, K), weights of rows and of columns whose product weighs a value, and the constraints of both sides."""

    values: csr_array
    row_weights: Floats
    column_weights: Floats
    spectra: Side
    abundance: Side


@dataclass(slots=True)
class Solution:
    """Abundances (P, C) and spectra (C, K), the weighted squared error after every iteration, and how far it is from rest."""

    abundance: Floats
    spectra: Floats
    square: float
    residual: float = np.inf
    history: list[float] = field(default_factory=list)
    converged: bool = False


def solve(problem: Problem, initial: Floats, *, max_iter: int, tol: float) -> Solution:
    """Alternate from `initial` spectra (C, K) until the exact steps are smaller than `tol` of the data."""
    values, a, b = problem.values, problem.row_weights, problem.column_weights
    transposed = values.T.tocsr()
    square = float(a @ (values.multiply(values) @ b))
    h = np.array(initial, np.float64)
    w = _start(problem, len(h))
    found = Solution(w.T, h, square)
    sweeps = FIRST
    for _ in range(max_iter):
        g, x = (h * b) @ h.T, np.ascontiguousarray((values @ (h * b).T).T)
        step = _sweep(w, x, g, a, problem.abundance, sweeps)
        g, y = (w * a) @ w.T, np.ascontiguousarray((transposed @ (w * a).T).T)
        found.history.append(max(square - 2 * float(np.sum(h * y * b)) + float(np.sum(g * ((h * b) @ h.T))), 0.0))
        step += _sweep(h, y, g, b, problem.spectra, INNER)
        found.residual = float(np.sqrt(step / square))
        if found.residual <= tol and sweeps == INNER:
            found.converged = True
            break
        sweeps = INNER
    g, x = (h * b) @ h.T, np.ascontiguousarray((values @ (h * b).T).T)
    _sweep(w, x, g, a, problem.abundance, INNER)
    found.history.append(max(square - 2 * float(np.sum(w * x * a)) + float(np.sum(((w * a) @ w.T) * g)), 0.0))
    found.abundance = w.T
    return found


def _start(problem: Problem, n: int) -> Floats:
    """Abundances (C, P) to start from: nothing, or equal shares of what must add up."""
    side, rows = problem.abundance, problem.values.shape[0]
    if side.total is None:
        return np.zeros((n, rows))
    allowed = np.ones((n, rows), bool) if side.zero is None else ~side.zero
    return np.asarray(np.where(allowed, side.total / np.maximum(allowed.sum(axis=0), 1), 0.0))


def _sweep(rows: Floats, x: Floats, g: Floats, weights: Floats, side: Side, times: int) -> float:
    """Improve `rows` (C, n) in place; the squared length, in the units of the error, of the first sweep's steps."""
    move = _exchange if side.total is not None else _one_by_one
    first = move(rows, x, g, weights, side)
    for _ in range(times - 1):
        move(rows, x, g, weights, side)
    return first


def _one_by_one(rows: Floats, x: Floats, g: Floats, weights: Floats, side: Side) -> float:
    moved = 0.0
    for c in range(len(rows)):
        if c in side.fixed or g[c, c] <= TRIFLE * g.max():
            continue
        new = side.nearest(rows[c] + (x[c] - g[c] @ rows) / g[c, c], weights, c)
        moved += float(g[c, c] * (weights @ (new - rows[c]) ** 2))
        rows[c] = new
    return moved


def _exchange(rows: Floats, x: Floats, g: Floats, weights: Floats, side: Side) -> float:
    """Pass from one component to another what lowers the error most; sums over components stay as they are."""
    moved = 0.0
    for c, d in combinations(range(len(rows)), 2):
        curvature = g[c, c] + g[d, d] - 2 * g[c, d]
        if curvature <= TRIFLE * g.max():
            continue
        step = ((x[c] - x[d]) - (g[c] - g[d]) @ rows) / curvature
        step = np.clip(step, -rows[c], rows[d])
        if side.zero is not None:
            step = np.where(side.zero[c] | side.zero[d], 0.0, step)
        rows[c] += step
        rows[d] -= step
        moved += float(curvature * (weights @ step**2))
    return moved
