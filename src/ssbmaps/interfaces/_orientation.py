"""Whether thickness and edge width depend on which way the edge faces: tilt, astigmatism, shadowing and drift, on arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._particle_shells import LEAST_PIXELS, brightness
from ssbmaps.interfaces._scoring import fit_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Across
    from ssbmaps.interfaces._shell import Measured

    Floats = NDArray[np.float64]

SECTORS = 16
HARMONICS = ("cos φ", "cos 2φ")


@dataclass(frozen=True)
class Harmonics:
    """Amplitude in um of cos φ and cos 2φ about the mean, whatever their phase, and the probability of such ones by chance."""

    amplitude: Floats
    p_value: Floats


BLIND = Harmonics(np.full(2, np.nan), np.full(2, np.nan))


def by_orientation(measured: Measured, across: Across, angle: Floats, name: str) -> Harmonics:
    """Harmonics of a geometry parameter ("d" or "sigma") of sixteen sectors of the outward normal's direction φ.

    Position and the parameter are each sector's own, all else is that of the section. NaN where fewer than eight sectors can be
    measured. Their scatter about the harmonics, at least that of counting, is the error. Particles that differ are no tilt: where
    they were told apart, each sector's thickness is relative to that of its particles.
    """
    if measured.kin is not None:
        across = replace(across, kin=measured.kin[0], stretch=measured.kin[1])
    sector = np.floor((angle % (2 * np.pi)) / (2 * np.pi / SECTORS)).astype(np.int64) % SECTORS
    fit, bounds = measured.fit, measured.limits.of(measured.fit.shape)
    held = {n: float(v) for n, v in zip(fit.shape.names, fit.geometry, strict=True) if n not in ("s0", name)}
    used = np.flatnonzero(measured.use)
    phi, value, error = [], [], []
    for k in range(SECTORS):
        mine = used[sector[used] == k]
        inside = across.s[mine] < 0
        if min(float(across.share[mine[side]].sum()) for side in (inside, ~inside)) < LEAST_PIXELS:
            continue
        data = across.binned(mine)[0]
        levels = fit.levels * brightness(data, fit)
        own = fit_shape(data, fit.shape, fit.geometry, bounds, held=held, levels=levels, known_levels=True)
        at = fit.shape.names.index(name)
        if own.free[at]:
            phi.append(2 * np.pi * (k + 0.5) / SECTORS)
            value.append(own.value(name))
            error.append(float(np.sqrt(own.covariance()[at, at] * measured.dispersion)))
    return _harmonics(np.array(phi), np.array(value), np.array(error))


def _harmonics(phi: Floats, value: Floats, error: Floats) -> Harmonics:
    from scipy.stats import f

    if len(phi) < SECTORS // 2:
        return BLIND
    design = np.column_stack([np.ones_like(phi), np.cos(phi), np.sin(phi), np.cos(2 * phi), np.sin(2 * phi)])
    scaled = design / error[:, None]
    best, *_ = np.linalg.lstsq(scaled, value / error, rcond=None)
    covariance = np.linalg.pinv(scaled.T @ scaled)
    freedom = len(phi) - design.shape[1]
    scale = max(float(((value / error - scaled @ best) ** 2).sum()) / freedom, 1.0)
    amplitude, p_value = [], []
    for pair in (slice(1, 3), slice(3, 5)):
        own = best[pair]
        amplitude.append(float(np.hypot(*own)))
        p_value.append(float(f.sf(own @ np.linalg.solve(covariance[pair, pair] * scale, own) / 2, 2, freedom)))
    return Harmonics(np.array(amplitude), np.array(p_value))
