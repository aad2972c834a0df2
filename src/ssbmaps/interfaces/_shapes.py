"""What core and shell emit against the distance, seen through the beam: shapes, each with its exact derivatives, on arrays.

A channel's mean is Σ level × weight with three levels (inside, shell, outside) and the weights that a shape gives; the weights
add up to 1 but where a shape says otherwise. Core and shell channels share the geometry and may weigh it differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Geometry = Floats | Sequence[Any]

CORE, SHELL = 0, 1  # kinds of channel
RIM = 0.05  # um; depth of the core's outermost layer whose yield may differ
SQRT_2PI = np.sqrt(2 * np.pi)


@dataclass(frozen=True, slots=True)
class Shape:
    """Name, the weights, and the geometry's parameters, with start and bounds of those beyond (s0, d, sigma).

    `signed` names the core's levels that may be somewhat negative: its signal within the shell is a small number beside a
    large step, and a bound at zero would push the thickness up. `weights(s, g)` gives (2, L, B) weights of the L levels of core
    and shell channels and their derivatives (G, 2, L, B) by the parameters g, of which d may differ from bin to bin.
    """

    name: str
    weights: Callable[[Floats, Geometry], tuple[Floats, Floats]]
    names: tuple[str, ...] = ("s0", "d", "sigma")
    start: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    n_levels: int = 3
    signed: tuple[int, ...] = (1,)


def _step(s: Floats, edge: float, sigma: float) -> tuple[Floats, Floats, Floats]:
    """Φ((s − edge)/σ) and its derivatives by edge and σ."""
    from scipy.special import ndtr

    z = (s - edge) / sigma
    density = np.exp(-0.5 * z * z) / (SQRT_2PI * sigma)
    return ndtr(z), -density, -density * z


def _layers(inner: Floats, outer: Floats) -> Floats:
    """(3, B) weights of inside, shell and outside from the two steps."""
    return np.stack([1 - inner, inner - outer, outer])


def _three(inner: Floats, outer: Floats) -> Floats:
    """(3, B) derivatives of these weights from those of the two steps."""
    return np.stack([-inner, inner - outer, outer])


def _both(weights: Floats, slopes: list[Floats]) -> tuple[Floats, Floats]:
    """The same weights and derivatives for core and shell channels."""
    return np.stack([weights, weights]), np.stack([np.stack([v, v]) for v in slopes])


def box(s: Floats, g: Geometry) -> tuple[Floats, Floats]:
    """A uniform shell from s0 to s0 + d, both edges as wide."""
    s0, d, sigma = g
    inner, inner_e, inner_s = _step(s, s0, sigma)
    outer, outer_e, outer_s = _step(s, s0 + d, sigma)
    zero = np.zeros_like(s)
    return _both(_layers(inner, outer), [_three(inner_e, outer_e), _three(zero, outer_e), _three(inner_s, outer_s)])


def shifted(s: Floats, g: Geometry) -> tuple[Floats, Floats]:
    """A box whose shell starts `delta` outside the core's edge; the core keeps its edge, and its own weights beyond."""
    s0, d, sigma, delta = g
    weights, slopes = box(s, (s0 + delta, d, sigma))
    own, own_e, own_s = _step(s, s0, sigma)
    outer, outer_e, outer_s = _step(s, s0 + delta + d, sigma)
    zero = np.zeros_like(s)
    core = _layers(own, outer)
    core_slopes = [_three(own_e, outer_e), _three(zero, outer_e), _three(own_s, outer_s), _three(zero, outer_e)]
    shell_slopes = [slopes[0][SHELL], slopes[1][SHELL], slopes[2][SHELL], slopes[0][SHELL]]
    return np.stack([core, weights[SHELL]]), np.stack([np.stack(pair) for pair in zip(core_slopes, shell_slopes, strict=True)])


def rim(s: Floats, g: Geometry) -> tuple[Floats, Floats]:
    """A box around a core whose outermost 50 nm yield 1 + `rho` times as much."""
    s0, _, sigma, rho = g
    weights, slopes = box(s, g[:3])
    own, own_e, own_s = _step(s, s0, sigma)
    deep, deep_e, deep_s = _step(s, s0 - RIM, sigma)
    slopes = np.concatenate([slopes, np.zeros((1, *slopes.shape[1:]))])
    weights[CORE, 0] += rho * (deep - own)
    slopes[0, CORE, 0] += rho * (deep_e - own_e)
    slopes[2, CORE, 0] += rho * (deep_s - own_s)
    slopes[3, CORE, 0] = deep - own
    return weights, slopes


def diffuse(s: Floats, g: Geometry) -> tuple[Floats, Floats]:
    """A shell whose outer edge is smeared by a further Gaussian of width `w`; d ends at its middle."""
    s0, d, sigma, w = g
    wide = float(np.hypot(sigma, w))
    inner, inner_e, inner_s = _step(s, s0, sigma)
    outer, outer_e, outer_s = _step(s, s0 + d, wide)
    zero = np.zeros_like(s)
    slopes = [
        _three(inner_e, outer_e),
        _three(zero, outer_e),
        _three(inner_s, outer_s * sigma / wide),
        _three(zero, outer_s * w / wide),
    ]
    return _both(_layers(inner, outer), slopes)


def falling(s: Floats, g: Geometry) -> tuple[Floats, Floats]:
    """A box whose yield falls in a straight line from 1 to 1 − `kappa` across the shell, for the shell's channels."""
    s0, d, sigma, kappa = g
    weights, slopes = box(s, g[:3])
    first, second = s - s0, s - s0 - d
    inner, _, _ = _step(s, s0, sigma)
    outer, _, _ = _step(s, s0 + d, sigma)
    p, q = (np.exp(-0.5 * (v / sigma) ** 2) / SQRT_2PI for v in (first, second))  # σ × densities at the two edges
    ramp = (first * (inner - outer) + sigma * (p - q)) / d
    by_s0 = (q / sigma * d - (inner - outer)) / d
    by_d = (-ramp + q / sigma * d) / d
    by_sigma = (p - q) / d + second * q / sigma**2
    slopes = np.concatenate([slopes, np.zeros((1, *slopes.shape[1:]))])
    weights[SHELL, 1] -= kappa * ramp
    for i, slope in enumerate((by_s0, by_d, by_sigma)):
        slopes[i, SHELL, 1] -= kappa * slope
    slopes[3, SHELL, 1] = -ramp
    return weights, slopes


def exponential(s: Floats, g: Geometry) -> tuple[Floats, Floats]:
    """A shell that dies away outwards as exp(−(s − s0)/d) and gives way to what lies outside."""
    from scipy.special import log_ndtr

    s0, d, sigma = g
    u = s - s0
    inner, inner_e, inner_s = _step(s, s0, sigma)
    density = np.exp(-0.5 * (u / sigma) ** 2) / SQRT_2PI
    tail = np.exp(0.5 * (sigma / d) ** 2 - u / d + log_ndtr(u / sigma - sigma / d))
    by_s0 = tail / d - density / sigma
    by_d = tail * (u / d**2 - sigma**2 / d**3) + density * sigma / d**2
    by_sigma = tail * sigma / d**2 - density * (u / sigma**2 + 1 / d)
    weights = np.stack([1 - inner, tail, inner - tail])
    zero = np.zeros_like(s)
    slopes = [
        np.stack([-inner_e, by_s0, inner_e - by_s0]),
        np.stack([zero, by_d, -by_d]),
        np.stack([-inner_s, by_sigma, inner_s - by_sigma]),
    ]
    return _both(weights, slopes)


def halo(s: Floats, g: Geometry) -> tuple[Floats, Floats]:
    """A box seen by a beam of which the share `share` lies in a second Gaussian, `wider` times as wide."""
    s0, d, sigma, share, wider = g
    weights, slopes = box(s, g[:3])
    far, far_slopes = box(s, (s0, d, wider * sigma))
    mixed = (1 - share) * slopes + share * far_slopes * np.array([1, 1, wider])[:, None, None, None]
    extra = np.stack([far - weights, share * sigma * far_slopes[2]])
    return (1 - share) * weights + share * far, np.concatenate([mixed, extra])


def _one_step(kind: int) -> Callable[[Floats, Geometry], tuple[Floats, Floats]]:
    """A box for one kind of channel, while the other (`kind`) has a single step at s0."""

    def weights(s: Floats, g: Geometry) -> tuple[Floats, Floats]:
        found, slopes = box(s, g)
        inner, inner_e, inner_s = _step(s, g[0], g[2])
        zero = np.zeros_like(s)
        found[kind] = np.stack([1 - inner, zero, inner])
        slopes[:, kind] = [[-slope, zero, slope] for slope in (inner_e, zero, inner_s)]
        return found, slopes

    return weights


BOX = Shape("box", box)
THIN = Shape("thin", _one_step(CORE))  # a shell of no thickness leaves one step of the core
BARE = Shape("bare", _one_step(SHELL))  # no shell
SHAPES = (
    BOX,
    Shape("shifted", shifted, ("s0", "d", "sigma", "delta"), (0.0,), (-0.3,), (0.3,)),
    Shape("rim", rim, ("s0", "d", "sigma", "rho"), (0.0,), (-1.0,), (3.0,)),
    Shape("falling", falling, ("s0", "d", "sigma", "kappa"), (0.3,), (0.0,), (1.0,)),
    Shape("diffuse", diffuse, ("s0", "d", "sigma", "w"), (0.05,), (1e-4,), (2.0,)),
    Shape("exponential", exponential),
    Shape("halo", halo, ("s0", "d", "sigma", "share", "wider"), (0.05, 4.0), (0.0, 2.0), (0.5, 12.0)),
)


def stack(n: int) -> Shape:
    """`n` uniform layers, the first and the last endless: parameters s0, sigma and the inner ones' thicknesses d1, d2, …"""

    def weights(s: Floats, g: Geometry) -> tuple[Floats, Floats]:
        s0, sigma, *inner = g
        steps = [_step(s, edge, sigma) for edge in s0 + np.append(0, np.cumsum(inner))]
        zero = np.zeros_like(s)

        def difference(values: list[Floats], first: Floats) -> Floats:
            return np.stack([a - b for a, b in zip([first, *values], [*values, zero], strict=True)])

        by_edge = [step[1] for step in steps]
        slopes = [difference(by_edge, zero), difference([step[2] for step in steps], zero)]
        slopes += [difference([zero] * k + by_edge[k:], zero) for k in range(1, len(steps))]
        return _both(difference([step[0] for step in steps], np.ones_like(s)), slopes)

    return Shape("stack", weights, ("s0", "sigma", *(f"d{k}" for k in range(1, n - 1))), n_levels=n, signed=())
