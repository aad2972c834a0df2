"""A field of displacements on a regular grid: its values, slopes and errors between the nodes, its inverse, its chain.

Arrays only; positions and displacements in um, (y, x). A cell of one step by one step belongs to each node: the field is known
where the nearest node is. Between the nodes it is a cubic spline; beyond the outermost known nodes, half a step at most, it runs
on as a parabola. Variances are interpolated linearly, which is on the safe side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_PAD = 10  # nodes around the grid, so far that how the splines end no longer shows: 0.27 to the tenth
_STEPS = 50
_CLOSE = 1e-10  # of a step
_EDGE = 1e-7  # of a step; a position closer to the line between two cells belongs to both


@dataclass(frozen=True)
class Field:
    """Displacements (2, rows, columns) and their variance y, variance x, covariance (3, rows, columns); NaN: not known."""

    first: tuple[float, float]
    step: tuple[float, float]
    value: Floats
    spread: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of nodes."""
        return self.value.shape[1], self.value.shape[2]

    @cached_property
    def known(self) -> Bools:
        """Nodes where the field is known."""
        return np.asarray(np.isfinite(self.value).all(axis=0) & np.isfinite(self.spread).all(axis=0))

    def nodes(self) -> tuple[Floats, Floats]:
        """Positions of the nodes, y (rows, 1) and x (1, columns)."""
        y, x = _axes(self.first, self.step, self.shape)
        return y[:, None], x[None, :]

    @cached_property
    def _padded(self) -> tuple[Floats, Floats]:
        """Values and variances without gaps, `_PAD` nodes wider on all sides."""
        from scipy.ndimage import distance_transform_edt

        sides = ((0, 0), (_PAD, _PAD), (_PAD, _PAD))
        known = np.pad(self.known, _PAD)
        value, spread = (np.pad(a, sides) for a in (self.value, self.spread))
        near = distance_transform_edt(~known, sampling=self.step, return_distances=False, return_indices=True)
        whole = np.where(known, value, _run_on(value, known, near))
        return whole, spread[:, near[0], near[1]]

    @cached_property
    def _coefficients(self) -> list[Floats]:
        """Of the cubic B-splines through the nodes."""
        from scipy.ndimage import spline_filter

        return [spline_filter(v, order=3, mode="mirror") for v in self._padded[0]]

    @cached_property
    def _gradients(self) -> list[Floats]:
        """Of dy along y and x, then of dx, at the nodes."""
        return [np.asarray(g) for v in self._padded[0] for g in np.gradient(v, *self.step)]

    def _read(self, planes: Any, y: Floats, x: Floats, order: int) -> Floats:
        """Each of the padded planes (n, …) at positions, by B-splines of `order`."""
        from scipy.ndimage import map_coordinates

        good = np.isfinite(y) & np.isfinite(x)
        where = [np.where(good, (p - f) / s, 0.0) + _PAD for p, f, s in zip((y, x), self.first, self.step, strict=True)]
        where = [np.clip(w, 0, n + 2 * _PAD - 1).ravel() for w, n in zip(where, self.shape, strict=True)]
        read = [map_coordinates(v, where, order=order, mode="mirror", prefilter=False) for v in planes]
        return np.stack(read).reshape(-1, *good.shape)

    def holds(self, y: Floats, x: Floats) -> Bools:
        """Whether the field is known at positions: whether the nearest node is, or one of the nearest on the line between."""
        known = np.pad(self.known, 1)
        y, x = np.broadcast_arrays(y, x)
        result = np.zeros(y.shape, bool)
        for up in (_EDGE, -_EDGE):
            for left in (_EDGE, -_EDGE):
                rows = np.floor((y - self.first[0]) / self.step[0] + 0.5 + up) + 1
                columns = np.floor((x - self.first[1]) / self.step[1] + 0.5 + left) + 1
                j, i = (
                    np.nan_to_num(np.clip(p, 0, n - 1)).astype(np.int64)
                    for p, n in zip((rows, columns), known.shape, strict=True)
                )
                result |= known[j, i]
        return result

    def at(self, y: Floats, x: Floats) -> Floats:
        """Displacement (2, …) at positions, run on where it is not known; `holds` says where."""
        return self._read(self._coefficients, y, x, 3)

    def slopes(self, y: Floats, x: Floats) -> Floats:
        """(…, 2, 2): derivative of the displacement (first index) along y and x (second), of central differences."""
        flat = self._read(self._gradients, y, x, 1)
        return np.asarray(np.moveaxis(flat, 0, -1).reshape(*flat.shape[1:], 2, 2))

    def variance(self, y: Floats, x: Floats) -> Floats:
        """(3, …): variance y, variance x and covariance at positions; `holds` says where they are known."""
        return self._read(self._padded[1], y, x, 1)

    def folds(self, linear: Floats) -> Bools:
        """Cells between four known nodes over which the map `linear` (2, 2) plus the field turns over."""
        v, k = self.value, self.known
        whole = k[:-1, :-1] & k[1:, :-1] & k[:-1, 1:] & k[1:, 1:]
        along_y = (v[:, 1:, :-1] - v[:, :-1, :-1] + v[:, 1:, 1:] - v[:, :-1, 1:]) / (2 * self.step[0])
        along_x = (v[:, :-1, 1:] - v[:, :-1, :-1] + v[:, 1:, 1:] - v[:, 1:, :-1]) / (2 * self.step[1])
        a, b = linear[0, 0] + along_y[0], linear[0, 1] + along_x[0]
        c, d = linear[1, 0] + along_y[1], linear[1, 1] + along_x[1]
        with np.errstate(invalid="ignore"):
            return np.asarray(whole & (a * d - b * c <= 0))


def _run_on(value: Floats, known: Bools, near: NDArray[np.int32]) -> Floats:
    """`value` carried on from the nearest known node and those behind it: by a parabola, a line, or as it is."""
    away = np.indices(known.shape) - near
    behind = []
    for k in (1, 2):
        node = near - k * away
        inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(node, known.shape, strict=True)])
        j, i = (np.clip(a, 0, n - 1) for a, n in zip(node, known.shape, strict=True))
        behind.append((inside & known[j, i], value[:, j, i]))
    first = value[:, near[0], near[1]]
    (one, second), (two, third) = behind
    return np.where(one & two, 3 * first - 3 * second + third, np.where(one, 2 * first - second, first))


def origin(field: Field, matrix: Floats, q: Floats) -> tuple[Floats, Bools]:
    """The positions p (2, …) with M p + u(p) = q, by Newton's steps; and whether they were found, inside or run on."""
    linear = matrix[:2, :2]
    p = _moved(np.asarray(np.linalg.inv(matrix), np.float64), q)
    settled = np.zeros(p.shape[1:], bool)
    for _ in range(_STEPS):
        miss = _moved(matrix, p) + field.at(p[0], p[1]) - q
        change = _solve(linear + field.slopes(p[0], p[1]), linear, miss)
        p = p - change
        far = (np.abs(change[0]) > _CLOSE * field.step[0]) | (np.abs(change[1]) > _CLOSE * field.step[1])
        settled = np.asarray(~far)
        if settled[field.holds(p[0], p[1])].all():
            break
    return p, settled


def inverse(field: Field, matrix: Floats) -> Field:
    """The field v with p = M⁻¹ q + v(q) wherever q = M p + u(p), on a grid as fine as the field's own."""
    back = np.asarray(np.linalg.inv(matrix), np.float64)
    first, step, shape = _image_grid(field, matrix)
    y, x = _axes(first, step, shape)
    q = np.stack(np.broadcast_arrays(y[:, None], x[None, :]))
    p, settled = origin(field, matrix, q)
    good = settled & field.holds(p[0], p[1])
    turn = np.linalg.inv(np.where(good[..., None, None], matrix[:2, :2] + field.slopes(p[0], p[1]), np.eye(2)))
    spread = _turned(turn, field.variance(p[0], p[1]))
    return Field(first, step, np.where(good, p - _moved(back, q), np.nan), np.where(good, spread, np.nan))


def chain(field: Field | None, matrix: Floats, then: Field | None, then_linear: Floats) -> Field | None:
    """The field of "first (matrix, field), then (…, then)": A₂ u₁(p) + u₂(M₁ p + u₁(p)); None if neither has one."""
    if field is None and then is None:
        return None
    if then is None:
        assert field is not None
        turn = np.broadcast_to(then_linear, (*field.shape, 2, 2))
        value = np.einsum("ij,j...->i...", then_linear, field.value)
        return Field(field.first, field.step, value, _turned(turn, field.spread))
    first, step, shape = _chain_grid(field, matrix, then)
    y, x = np.broadcast_arrays(*(a.reshape(s) for a, s in zip(_axes(first, step, shape), ((-1, 1), (1, -1)), strict=True)))
    own = np.zeros((2, *shape)) if field is None else field.at(y, x)
    good = np.ones(shape, bool) if field is None else field.holds(y, x)
    q = _moved(matrix, np.stack([y, x])) + own
    good = good & then.holds(q[0], q[1])
    value = np.einsum("ij,j...->i...", then_linear, own) + then.at(q[0], q[1])
    spread = then.variance(q[0], q[1])
    if field is not None:
        spread = spread + _turned(then_linear + then.slopes(q[0], q[1]), field.variance(y, x))
    return Field(first, step, np.where(good, value, np.nan), np.where(good, spread, np.nan))


def _axes(first: tuple[float, float], step: tuple[float, float], shape: tuple[int, int]) -> list[Floats]:
    return [f + s * np.arange(n, dtype=np.float64) for f, s, n in zip(first, step, shape, strict=True)]


def _moved(matrix: Floats, p: Floats) -> Floats:
    return np.asarray(np.einsum("ij,j...->i...", matrix[:2, :2], p) + matrix[:2, 2].reshape(2, *(1,) * (p.ndim - 1)))


def _solve(matrices: Floats, linear: Floats, right: Floats) -> Floats:
    """Solutions (2, …) of (…, 2, 2) systems, of `linear` where one turns over, as a run-on field may."""
    over = np.linalg.det(matrices) <= 0
    a, b, c, d = (np.where(over, linear[i, j], matrices[..., i, j]) for i in (0, 1) for j in (0, 1))
    return np.asarray(np.stack([d * right[0] - b * right[1], a * right[1] - c * right[0]]) / (a * d - b * c))


def _turned(turn: Floats, spread: Floats) -> Floats:
    """Variances (3, …) under linear maps (…, 2, 2)."""
    a, b, c, d = turn[..., 0, 0], turn[..., 0, 1], turn[..., 1, 0], turn[..., 1, 1]
    yy, xx, yx = spread
    return np.stack(
        [
            a * a * yy + 2 * a * b * yx + b * b * xx,
            c * c * yy + 2 * c * d * yx + d * d * xx,
            a * c * yy + (a * d + b * c) * yx + b * d * xx,
        ]
    )


def _sides(linear: Floats, step: tuple[float, float]) -> tuple[float, float]:
    """Lengths of the sides of a cell after a linear map, along the axes that they lie closest to."""
    long = np.hypot(linear[0], linear[1]) * step
    turned = abs(linear[0, 1]) + abs(linear[1, 0]) > abs(linear[0, 0]) + abs(linear[1, 1])
    return (float(long[1]), float(long[0])) if turned else (float(long[0]), float(long[1]))


def _around(points: Floats, step: tuple[float, float]) -> tuple[tuple[float, float], tuple[float, float], tuple[int, int]]:
    """First node, step and shape of the grid whose cells hold all `points` (2, n)."""
    low, high = points.min(axis=1), points.max(axis=1)
    shape = [max(int(np.ceil((h - n) / s - 1e-9)), 1) for n, h, s in zip(low, high, step, strict=True)]
    first = [(n + h) / 2 - (count - 1) / 2 * s for n, h, s, count in zip(low, high, step, shape, strict=True)]
    return (float(first[0]), float(first[1])), step, (shape[0], shape[1])


def _cell_corners(field: Field) -> Floats:
    """(2, n): the corners of the cells of all known nodes."""
    y, x = (a[field.known] for a in np.broadcast_arrays(*field.nodes()))
    half = [(sy * field.step[0] / 2, sx * field.step[1] / 2) for sy in (-1, 1) for sx in (-1, 1)]
    return np.concatenate([np.stack([y + dy, x + dx]) for dy, dx in half], axis=1)


def _image_grid(field: Field, matrix: Floats) -> tuple[tuple[float, float], tuple[float, float], tuple[int, int]]:
    corners = _cell_corners(field)
    return _around(_moved(matrix, corners) + field.at(corners[0], corners[1]), _sides(matrix[:2, :2], field.step))


def _chain_grid(
    field: Field | None, matrix: Floats, then: Field
) -> tuple[tuple[float, float], tuple[float, float], tuple[int, int]]:
    """The first field's own grid, unless the second's is finer; without a first, the second's, taken back."""
    back = np.asarray(np.linalg.inv(matrix), np.float64)
    step = _sides(back[:2, :2], then.step)
    if field is None:
        return _around(_moved(back, _cell_corners(then)), step)
    if all(own <= other * (1 + 1e-6) for own, other in zip(field.step, step, strict=True)):
        return field.first, field.step, field.shape
    finer = [own / max(int(np.ceil(own / other - 1e-6)), 1) for own, other in zip(field.step, step, strict=True)]
    return _around(_cell_corners(field), (finer[0], finer[1]))
