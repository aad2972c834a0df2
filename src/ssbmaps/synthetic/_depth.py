"""Yield across core and shell as a function of depth t (um from the core's edge), averaged over square cells.

Every profile is given by its integral C from a fixed point, so that its mean over a width w is (C(t + w/2) − C(t − w/2)) / w:
a shell thinner than a cell keeps its area.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ssbmaps.synthetic._recipe import Departures

    Floats = NDArray[np.float64]

TAIL = 10.0  # decay lengths after which an exponential shell has ended (e^-10)


def cell_mean(integral: Callable[[Floats], Floats], t: Floats, widths: Floats) -> Floats:
    """Mean of the profile with this integral over square cells whose middle is at depth t.

    `widths` (2, …) are the widths of the cell's two sides as seen along the depth. The mean over the wider one is exact: rows
    of cells then cover each depth once, whatever the direction of the edge. The narrower one enters by its variance.
    """
    wide, narrow = np.maximum(widths.max(axis=0), 1e-9), widths.min(axis=0)
    low, high = t - narrow / np.sqrt(12), t + narrow / np.sqrt(12)
    inner = integral(low + 0.5 * wide) - integral(low - 0.5 * wide)
    outer = integral(high + 0.5 * wide) - integral(high - 0.5 * wide)
    return np.asarray((inner + outer) / (2 * wide))


def core(t: Floats) -> Floats:
    """Integral of the core: 1 for t < 0."""
    return np.minimum(t, 0.0)


def core_emission(t: Floats, factor: Floats | float, depth: float) -> Floats:
    """Integral of the core's yield: 1, and `factor` in the outermost `depth`."""
    return np.minimum(t, 0.0) + (factor - 1.0) * np.clip(t, -depth, 0.0)


def shell_material(t: Floats, d: Floats | float, departures: Departures) -> Floats:
    """Integral of the share of shell material: exponential and diffuse shells give way to electrolyte."""
    if departures.shell_profile == "falling":
        return np.clip(t - departures.shell_offset, 0.0, d)
    return _profile(t, d, departures)


def shell_emission(t: Floats, d: Floats | float, departures: Departures) -> Floats:
    """Integral of the shell's yield, the mixing layer outside the shell included."""
    start, half = departures.shell_offset, 0.5 * departures.mixing_layer
    end = start + np.asarray(d, float)
    mixed = np.clip(t, -half, min(start, half)) + np.clip(t, np.minimum(end, half), half) * (end < half)
    return _profile(t, d, departures) + mixed


def shell_reach(d: Floats | float, departures: Departures) -> Floats:
    """Depth t beyond which a shell of thickness d emits nothing."""
    tail = {"exponential": TAIL * np.asarray(d, float), "diffuse": np.asarray(d, float) + 8 * departures.outer_width}
    end = tail.get(departures.shell_profile, np.asarray(d, float))
    return np.maximum(departures.shell_offset + end, 0.5 * departures.mixing_layer)


def _profile(t: Floats, d: Floats | float, departures: Departures) -> Floats:
    u = np.maximum(t - departures.shell_offset, 0.0)
    d = np.asarray(d, float)
    safe = np.where(d > 0, d, 1.0)
    if departures.shell_profile == "falling":
        inside = np.minimum(u, d)
        integral = inside - inside**2 / (3.0 * safe)
    elif departures.shell_profile == "exponential":
        integral = d * -np.expm1(-u / safe)
    elif departures.shell_profile == "diffuse":
        integral = departures.outer_width * (_ramp(d / departures.outer_width) - _ramp((d - u) / departures.outer_width))
    else:
        integral = np.minimum(u, d)
    return np.where(d > 0, integral, 0.0)


def _ramp(z: Floats) -> Floats:
    """Integral of the normal distribution function from −∞ to z."""
    from scipy.special import ndtr

    return np.asarray(z * ndtr(z) + np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))
