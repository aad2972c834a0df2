"""What a transient may look like along depth: an exponential fall, or a step blurred by mixing. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EXPONENTIAL, STEP = "exponential", "step"
_FACTOR = 1.4  # between the scales that are tried to find a transient
_FINE = 241  # depths of a profile
_WIDTHS = (0.3, 0.6, 1.2, 2.4, 4.8)  # of a step, in the closest spacing of the scans


@dataclass(frozen=True)
class Shape:
    """exp(−(z − z₀)/depth), z₀ the first scan; or Φ((depth − (z − z₀))/width), 1 at the face in both."""

    kind: str
    depth: float
    width: float = np.nan

    def values(self, z: Floats) -> Floats:
        """(n,) at depths z."""
        from scipy.special import ndtr

        below = z - z[0]
        if self.kind == EXPONENTIAL:
            return np.asarray(np.exp(-below / self.depth))
        return np.asarray(ndtr((self.depth - below) / self.width))

    def slope(self, z: Floats) -> Floats:
        """(n,) derivative with respect to the depth."""
        below = z - z[0]
        if self.kind == EXPONENTIAL:
            return np.asarray(np.exp(-below / self.depth) * below / self.depth**2)
        u = (self.depth - below) / self.width
        return np.asarray(np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi) / self.width)

    def best(self, z: Floats, cost: Callable[[Shape], float]) -> Shape:
        """The shape of this kind with the least cost, near this one and within what the scans can tell."""
        from scipy.optimize import minimize, minimize_scalar

        low, high = _limits(self.kind, z)
        if self.kind == EXPONENTIAL:
            span = np.clip(np.log([self.depth / 2, self.depth * 2]), np.log(low), np.log(high))
            found = minimize_scalar(lambda v: cost(replace(self, depth=float(np.exp(v)))), bounds=span, method="bounded")
            return replace(self, depth=float(np.exp(found.x)))
        near, far = np.log(_WIDTHS[0] * _spacing(z) / 3), np.log(z[-1] - z[0])

        def at(v: Floats) -> Shape:
            return Shape(STEP, float(np.clip(v[0], low, high)), float(np.exp(np.clip(v[1], near, far))))

        first = np.array([self.depth, np.log(self.width)])
        steps = first + np.array([[0, 0], [0.5 * self.width, 0], [0, 0.5]])
        options = {"initial_simplex": steps, "maxiter": 120, "xatol": 1e-4 * _spacing(z), "fatol": 1e-6}
        return at(minimize(lambda v: cost(at(v)), first, method="Nelder-Mead", options=options).x)


def candidates(kind: str, z: Floats) -> list[Shape]:
    """Shapes that are tried to find a transient."""
    low, high = 0.4 * _spacing(z), 0.5 * float(z[-1] - z[0])
    if kind == EXPONENTIAL:
        n = int(np.ceil(np.log(high / low) / np.log(_FACTOR))) + 1
        return [Shape(kind, float(d)) for d in np.geomspace(low, high, n)]
    middles = 0.5 * (z[1:] + z[:-1]) - z[0]
    widths = [w * _spacing(z) for w in _WIDTHS if w * _spacing(z) < high / 2]
    return [Shape(kind, float(d), w) for d in middles[middles < 1.5 * high] for w in widths if w <= 1.2 * d]


def shapes_of(best: Shape, z: Floats) -> list[Shape]:
    """Shapes for the profile: all depths; of a step, with widths about its own."""
    low, high = _limits(best.kind, z)
    depths = np.unique([*np.geomspace(low, high, _FINE), best.depth])
    if best.kind == EXPONENTIAL:
        return [Shape(best.kind, float(d)) for d in depths]
    depths = np.unique([*np.linspace(low, high, _FINE), best.depth])
    widths = best.width * np.geomspace(0.3, 3, 13)
    return [Shape(best.kind, float(d), float(w)) for d in depths for w in widths]


def _limits(kind: str, z: Floats) -> tuple[float, float]:
    """Depths between which the scans can tell anything at all."""
    span = float(z[-1] - z[0])
    return (0.1 * _spacing(z), 20 * span) if kind == EXPONENTIAL else (0.1 * _spacing(z), span)


def _spacing(z: Floats) -> float:
    return float(np.diff(z).min())
