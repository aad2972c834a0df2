"""From the thickness that a random section shows to the true one: spheres cut by a plane, and which of them it met, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


FOUND = 8 / (3 * np.pi)  # radius in a section, weighted by perimeter, over that of the spheres
NORMAL_95 = 1.959964
RANDOM = np.sqrt(1.5 * (2 / 3 - (np.pi / 4) ** 2))  # √(Var sin θ / mean of sin² θ) for heights uniform over the sphere
LARGER = 1.1  # times the least radius measured: spheres smaller than that show next to no sections
NODES = 400  # of the integral over the heights at which a plane meets a sphere


@dataclass(frozen=True)
class Section:
    """What a section tells of the particles: relative `spread` of their mean, their radius there and the least measured, um."""

    spread: float
    radius: float
    least: float

    def true(self, apparent: float) -> float:
        """True thickness behind an apparent one; that of a flat interface (π/4) where the radius says nothing."""
        from scipy.optimize import brentq

        if not (np.isfinite(apparent) and apparent > 0):
            return apparent
        radius = self.radius / FOUND
        if not radius > LARGER * self.least:
            return 0.25 * np.pi * apparent
        return float(brentq(lambda d: shown(d, radius, self.least) - apparent, 0.3 * apparent, apparent, xtol=1e-9))


def shown(thickness: float, radius: float, least: float) -> float:
    """Mean thickness, weighted by perimeter, that random sections through a sphere's shell show, all in um.

    Of circles from `least` um radius on: ∫ r (√((R + d)² − h²) − r) dh / ∫ r dh with r² = R² − h². Towards d = 0 it is 4/π d.
    """
    top = np.sqrt(max(radius**2 - least**2, 0.0))
    height = (np.arange(NODES) + 0.5) / NODES * top
    circle = np.sqrt(radius**2 - height**2)
    apparent = np.sqrt((radius + thickness) ** 2 - height**2) - circle
    return float((circle * apparent).sum() / circle.sum())


def section_spread(weight: Floats, parts: tuple[Floats, Floats] | None) -> float:
    """Half-width of the 95 % interval of the particles' mean thickness over that mean, each weighted by its edge's length.

    The larger of two. What the particles show: n / (n − 1) Σ w² (d − mean)² / (Σ w)², with Student's t for the effective number
    of particles, (Σ w)² / Σ w², less one. And what random sections through equal spheres must show: for thin shells r d is
    the same for every circle of radius r = R sin θ, so that the weighted mean varies by `RANDOM` √Σ w² / Σ w. Few particles, cut
    near their middles by chance, would know nothing of it. NaN for fewer than two particles.
    """
    from scipy.stats import t

    if parts is None:
        return float("nan")
    good = np.isfinite(parts[0]) & (weight > 0)
    n, w, d = int(good.sum()), weight[good], parts[0][good]
    if n < 2:
        return float("nan")
    mean = np.average(d, weights=w)
    seen = np.sqrt(n / (n - 1) * (w**2 * (d - mean) ** 2).sum()) / w.sum() / mean
    effective = w.sum() ** 2 / (w**2).sum()
    return float(max(t.ppf(0.975, max(effective - 1, 0.5)) * seen, NORMAL_95 * RANDOM / np.sqrt(effective)))
