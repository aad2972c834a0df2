"""Matrices of plane maps with the covariance of their entries: checks, inverse, chain, the error of a position, its words.

Arrays only. A matrix is (3, 3) and acts on (y, x, 1); the covariance (6, 6) is that of its first two rows, row by row.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults, RegistrationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SINGULAR = 1e-6  # of the larger singular value: a map that presses an area to a line
_ROUNDING = 1e-9
_COVERED = 0.95


def checked(matrix: Any, covariance: Any, subject: str) -> tuple[Floats, Floats]:
    """Matrix (3, 3) and covariance (6, 6) as float64; all faults in one letter."""
    with Faults(subject, RegistrationError) as faults:
        m, c = _numbers(matrix), _numbers(covariance)
        _expect_matrix(faults, m)
        _expect_covariance(faults, c, covariance is None)
    whole = np.vstack([m[:2], [0.0, 0.0, 1.0]]) + 0.0  # no negative zeros
    return whole, (c + c.T) / 2 + 0.0


def _numbers(value: Any) -> Floats:
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError):
        return np.array(np.nan)


def _expect_matrix(faults: Faults, m: Floats) -> None:
    form = "expected (3, 3) or (2, 3) numbers that take (y, x, 1) of the moving map to the reference, in um"
    if not faults.expect(m.shape in ((3, 3), (2, 3)), f"the matrix has the shape {m.shape}; {form}."):
        return
    if not faults.expect(bool(np.isfinite(m).all()), "the matrix holds NaN or infinity; expected finite numbers."):
        return
    if len(m) == 3:
        faults.expect(
            bool(np.abs(m[2] - [0, 0, 1]).max() < _ROUNDING),
            f"the last row is {m[2].tolist()}; expected 0, 0, 1. Is it transposed?",
        )
    large, small = np.linalg.svd(m[:2, :2], compute_uv=False)
    if faults.expect(bool(small > _SINGULAR * large), "the matrix is singular: it presses the area to a line or a point."):
        det = float(np.linalg.det(m[:2, :2]))
        how = "flip its values along x before it is registered: moving.copy(data=moving.data[..., ::-1])"
        faults.expect(det > 0, f"the matrix mirrors the map (determinant {det:g}). If the moving map is mirrored, {how}.")


def _expect_covariance(faults: Faults, c: Floats, missing: bool) -> None:
    known = "numpy.zeros((6, 6)) says that the map is known exactly"
    if not faults.expect(not missing, f"no covariance; expected (6, 6) numbers. {known}."):
        return
    if not faults.expect(c.shape == (6, 6), f"the covariance has the shape {c.shape}; expected (6, 6): {known}."):
        return
    if not faults.expect(bool(np.isfinite(c).all()), "the covariance holds NaN or infinity; expected finite numbers."):
        return
    scale = np.sqrt(np.abs(np.diag(c)))
    scale[scale == 0] = 1.0
    unit = c / np.outer(scale, scale)
    if faults.expect(bool(np.abs(unit - unit.T).max() <= _ROUNDING), "the covariance is not symmetric."):
        least = float(np.linalg.eigvalsh((unit + unit.T) / 2).min())
        faults.expect(least >= -_ROUNDING, f"the covariance has a negative variance along some direction ({least:.2g} of 1).")


def inverse(matrix: Floats, covariance: Floats) -> tuple[Floats, Floats]:
    """Inverse and its covariance: from M N = 1, dN = −N dM N."""
    back = np.asarray(np.linalg.inv(matrix), np.float64)
    back[2] = 0.0, 0.0, 1.0
    slopes = -np.kron(back[:2, :2], back.T)
    return back, _symmetric(slopes @ covariance @ slopes.T)


def chain(first: tuple[Floats, Floats], then: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """First `first`, then `then`, of independent errors: d(M₂ M₁) = dM₂ M₁ + M₂ dM₁."""
    (m1, c1), (m2, c2) = first, then
    by_then = np.kron(np.eye(2), m1.T)
    by_first = np.kron(m2[:2, :2], np.eye(3))
    matrix = m2 @ m1
    matrix[2] = 0.0, 0.0, 1.0
    return matrix, _symmetric(by_first @ c1 @ by_first.T + by_then @ c2 @ by_then.T)


def _symmetric(c: Floats) -> Floats:
    return np.asarray((c + c.T) / 2)


def spread(covariance: Floats, y: Floats, x: Floats) -> Floats:
    """(3, …): variance y, variance x and covariance, um², of where the position (y, x) comes to lie."""
    y, x = np.broadcast_arrays(y, x)

    def form(c: Floats) -> Floats:
        c = (c + c.T) / 2
        return np.asarray(c[0, 0] * y * y + c[1, 1] * x * x + c[2, 2] + 2 * (c[0, 1] * y * x + c[0, 2] * y + c[1, 2] * x))

    yy, xx, yx = form(covariance[:3, :3]), form(covariance[3:, 3:]), form(covariance[:3, 3:])
    return np.stack([np.maximum(yy, 0.0), np.maximum(xx, 0.0), yx])


def radius_95(var_y: Floats, var_x: Floats, cov: Floats) -> Floats:
    """Radius of the circle about the centre of a Gaussian that holds 95 % of it; to 1e-5 of itself."""
    middle, half = (var_y + var_x) / 2, np.hypot((var_y - var_x) / 2, cov)
    long, short = np.sqrt(middle + half), np.sqrt(np.maximum(middle - half, 0.0))
    ratio = np.where(long > 0, short / np.where(long > 0, long, 1.0), 0.0)
    return np.asarray(long * np.interp(ratio, *_radii()) + 0 * ratio)


@lru_cache(maxsize=1)
def _radii() -> tuple[Floats, Floats]:
    """Ratios of the axes, and the radius over the longer one.

    The share outside the radius r is the mean over the angle t of exp(−r² / 2 (cos² t + ratio² sin² t)), a periodic integrand, so
    that the rule of equal steps is exact to rounding. Bisected.
    """
    ratio = np.linspace(0, 1, 513)
    angle = (np.arange(400) + 0.5) * np.pi / 800
    form = np.cos(angle) ** 2 + np.outer(ratio**2, np.sin(angle) ** 2)
    low, high = np.full(len(ratio), 1.9), np.full(len(ratio), 2.5)
    for _ in range(50):
        middle = (low + high) / 2
        outside = np.exp(-(middle[:, None] ** 2) / (2 * form)).mean(axis=1)
        low, high = np.where(outside > 1 - _COVERED, middle, low), np.where(outside > 1 - _COVERED, high, middle)
    return ratio, (low + high) / 2


def best_known(covariance: Floats) -> tuple[float, float] | None:
    """Position (y, x) where the two variances add up to the least; None where they are the same everywhere."""
    both = covariance[:3, :3] + covariance[3:, 3:]
    scale = np.sqrt(np.maximum(np.diag(both), 0.0))
    if min(scale[:2]) == 0:
        return None
    y, x = np.linalg.lstsq(both[:2, :2], -both[:2, 2], rcond=1e-12)[0]
    return float(y), float(x)


def words(matrix: Floats, covariance: Floats) -> list[tuple[str, str]]:
    """What the map does, in a colleague's terms: rotation · stretch, where the corner goes, and the error."""
    linear = matrix[:2, :2]
    angle = np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.round(turn.T @ linear, 12) + 0.0
    return [
        ("rotation", f"{np.degrees(angle):+.4g}° (anticlockwise, y downwards)"),
        ("scale", f"{stretch[0, 0]:.6g} along y, {stretch[1, 1]:.6g} along x; shear {stretch[0, 1]:.3g}"),
        ("shift", f"y {matrix[0, 2]:+.6g} um, x {matrix[1, 2]:+.6g} um, of the corner (0, 0)"),
        ("error", _error_words(covariance)),
    ]


def _error_words(covariance: Floats) -> str:
    if not covariance.any():
        return "none: taken as known"
    centre = best_known(covariance)
    y, x = centre or (0.0, 0.0)
    radius = float(radius_95(*spread(covariance, np.array(y), np.array(x))))
    where = f" around y {y:.4g} um, x {x:.4g} um, more elsewhere" if centre else ""
    return f"95 % within {radius:.3g} um{where}"
