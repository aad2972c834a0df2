"""Counts of successive scans, those deep down taken together in a long series, and the noise that they may have. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LONG, _SINGLE = 64, 24  # scans from which on some are taken together; the first of them never are
_LEAST = 0.05  # of the mean; a level never falls below it
_SETTLED = 4  # rounds of weighted least squares


@dataclass(frozen=True)
class Scans:
    """Counts of one region and ion in n scans, in b bins of them, with the exposures (mean 1 over scans).

    A transient is a matter of the first scans: in a long series the later ones are taken together, ever more of them, so that
    the work grows no further. `share` (b, n) is what each scan has in the exposure of its bin.
    """

    counts: Floats  # (b,)
    exposure: Floats  # (b,)
    drift: Floats | None  # (b,) place in the series, −1 … 1; None where no drift is allowed for
    share: Floats
    scan_exposure: Floats  # (n,)

    @property
    def n_scans(self) -> int:
        """How many scans there are."""
        return len(self.scan_exposure)

    @property
    def base(self) -> Floats:
        """(p, b): how the mean moves with level and drift."""
        rows = [self.exposure] if self.drift is None else [self.exposure, self.exposure * self.drift]
        return np.array(rows)

    @property
    def scan_base(self) -> Floats:
        """(p, n): the same scan by scan."""
        rows = [self.scan_exposure]
        if self.drift is not None:
            rows.append(self.scan_exposure * np.linspace(-1, 1, self.n_scans))
        return np.array(rows)

    def of(self, values: Floats) -> Floats:
        """(…, b): what each bin sees of values (…, n)."""
        return np.asarray(values @ self.share.T)

    def kin(self, phi: float) -> Floats:
        """(b, b) correlation of a relative jitter, neighbouring scans alike by `phi`; below 1 on the diagonal of larger bins."""
        steps = np.abs(np.subtract.outer(np.arange(self.n_scans), np.arange(self.n_scans)))
        return np.asarray(self.share @ phi**steps @ self.share.T)

    def level(self) -> Floats:
        """(b,) mean without a transient, by least squares weighted with itself; nowhere far below its average."""
        base, typical = self.base, max(self.counts.sum() / self.exposure.sum(), 1e-9)
        mean = typical * self.exposure
        for _ in range(_SETTLED):
            weight = 1 / mean
            found = np.linalg.solve((base * weight) @ base.T, (base * weight) @ self.counts)
            mean = np.maximum(found @ base, _LEAST * typical * self.exposure)
        return np.asarray(mean, np.float64)

    def drawn(self, mean: Floats, jitter: float, phi: float, rng: np.random.Generator, draws: int) -> Floats:
        """(draws, b) Poisson counts about a mean (b,) with a jitter from scan to scan."""
        scans = drawn(mean @ self.share, jitter, phi, rng, draws)
        return np.asarray(scans @ (self.share > 0).T)


def scans_of(counts: Floats, exposure: Floats, *, drift: bool) -> Scans:
    """Counts and exposures (n,) as the tests and fits take them."""
    n = len(counts)
    edges = _edges(n)
    held = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    member = (held == np.arange(len(edges) - 1)[:, None]).astype(np.float64)
    summed = member @ exposure
    share = member * exposure / summed[:, None]
    place = share @ np.linspace(-1, 1, n) if drift else None
    return Scans(member @ counts, summed, place, share, exposure)


def _edges(n: int) -> NDArray[np.intp]:
    """Where bins begin, and the end: every scan for itself, or the first ones and then wider and wider bins."""
    if n <= _LONG:
        return np.arange(n + 1)
    later = np.geomspace(_SINGLE, n, _LONG - _SINGLE + 1)
    edges = np.maximum(np.rint(later).astype(np.intp), _SINGLE + np.arange(len(later)))
    return np.unique([*range(_SINGLE), *np.minimum(edges, n)])


def drawn(mean: Floats, jitter: float, phi: float, rng: np.random.Generator, draws: int) -> Floats:
    """(draws, n) Poisson counts about a mean with a relative jitter, lognormal, neighbours correlated by φ."""
    z = rng.standard_normal((draws, len(mean)))
    for k in range(1, len(mean)):
        z[:, k] = phi * z[:, k - 1] + np.sqrt(1 - phi**2) * z[:, k]
    wide = np.sqrt(np.log1p(jitter**2))
    return np.asarray(rng.poisson(mean * np.exp(wide * z - wide**2 / 2)), np.float64)
