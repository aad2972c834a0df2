"""What one check of a section's quality says, and the tests that several of them share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_CLUSTERS = 6  # fewer independent pieces of edge give no error worth the name


@dataclass(frozen=True)
class Check:
    """One line of the table; `detail` holds variables for plotting as xarray takes them."""

    name: str
    quantity: str
    finding: str
    value: float = np.nan
    value_sd: float = np.nan
    units: str = "1"
    statistic: float = np.nan
    p_value: float = np.nan
    direction: float = np.nan
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def testable(self) -> bool:
        """Whether the data allowed a test."""
        return bool(np.isfinite(self.p_value))


def untestable(name: str, quantity: str, reason: str) -> Check:
    """A check that these data do not allow."""
    return Check(name, quantity, f"not testable: {reason}")


def axis_angle(cosine: float, sine: float, *, double: bool) -> float:
    """Direction in degrees from the x axis towards y (downwards): 0 to 360, or 0 to 180 of an axis given at twice its angle."""
    angle = np.degrees(np.arctan2(sine, cosine))
    return float(angle / 2 % 180 if double else angle % 360)


def along(angle: float) -> str:
    """An axis in words."""
    near = {0: "along x", 90: "along y", 180: "along x"}
    for centre, word in near.items():
        if abs(angle - centre) < 3:
            return word
    return f"along {angle:.0f}° from x towards y"


def pair_test(values: Floats, covariance: Floats, n_clusters: float) -> tuple[float, float]:
    """Hotelling's F of two numbers against zero, their covariance from `n_clusters` independent pieces; its p-value."""
    from scipy.stats import f

    squared = float(values @ np.linalg.solve(covariance, values))
    dof = n_clusters - 2
    statistic = squared * dof / (2 * (n_clusters - 1))
    return statistic, float(f.sf(statistic, 2, dof))


def clustered(
    design: Floats, weight: Floats, residual: Floats, cluster: NDArray[np.int64], tested: slice
) -> tuple[Floats, float]:
    """Covariance (K, K) of weighted least squares whose residuals are independent between clusters only, and their number.

    `design` (K, N). Liang and Zeger's sandwich with the factor G / (G − 1). Clusters of unequal weight count as the G of equal
    ones with the same sum and sum of squares of information on the coefficients `tested`.
    """
    bread = np.linalg.inv((design * weight) @ design.T)
    _, index = np.unique(cluster, return_inverse=True)
    scores = np.stack([np.bincount(index, row * weight * residual) for row in design])
    influence = (bread @ design)[tested]
    share = np.bincount(index, weight * (influence**2).sum(axis=0))
    number = float(share.sum() ** 2 / (share**2).sum())
    return bread @ (scores @ scores.T) @ bread * number / max(number - 1, 0.1), number


def amplitude(values: Floats, covariance: Floats) -> tuple[float, float]:
    """Length of a pair and its standard error along itself."""
    length = float(np.hypot(*values))
    unit = values / length if length > 0 else np.array([1.0, 0.0])
    return length, float(np.sqrt(unit @ covariance @ unit))
