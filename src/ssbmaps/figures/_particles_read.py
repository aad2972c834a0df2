"""What is drawn of the particles of one sample: their thickness and weight, and the section's thickness or its limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.figures._labels import ion_label
from ssbmaps.figures._thickness_read import MEASURED, sum_label, unresolved_words

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NEEDED = (*MEASURED, "particle_perimeter", "particle_thickness", "particle_thickness_sd")


@dataclass(frozen=True, slots=True)
class Particles:
    """Perimeter (um), thickness and standard error (nm) of the particles of a sample, and the section's own numbers (nm).

    Particles that are not measured have NaN thickness; `limit` is what may be said where the section is not resolved.
    """

    name: str
    shell: str
    perimeter: Floats
    thickness: Floats
    error: Floats
    pooled: tuple[float, float, float] | None
    upper_limit: float
    limit: str

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which particles hold a thickness."""
        return np.asarray(np.isfinite(self.thickness))

    @property
    def mean(self) -> float:
        """Mean weighted by the perimeter, nm."""
        return float(np.average(self.thickness[self.measured], weights=self.perimeter[self.measured]))

    @property
    def spread(self) -> tuple[float, float]:
        """Standard deviation weighted by the perimeter, and what the standard errors alone make of it, nm."""
        known = self.measured
        share = self.perimeter[known] / self.perimeter[known].sum()
        freedom = 1 - float((share**2).sum())
        if freedom < 1e-12:
            return float("nan"), float("nan")
        seen = float(share @ (self.thickness[known] - self.mean) ** 2) / freedom
        alone = float((share * (1 - share)) @ self.error[known] ** 2) / freedom
        return float(np.sqrt(seen)), float(np.sqrt(alone))

    @property
    def words(self) -> str:
        """The numbers of the sample in one phrase."""
        head = f"{ion_label(self.name)}: " if self.name else ""
        if self.pooled is None:
            return f"{head}not resolved, {self.limit}"
        count, total = int(self.measured.sum()), len(self.thickness)
        if count == 0:
            return f"{head}none of {total} particles measured on its own"
        of = f" of {total}" if count < total else ""
        if total == 1:
            return f"{head}1 particle, {self.mean:.0f} nm"
        text = f"{head}{count}{of} particles, mean {self.mean:.0f} nm"
        seen, alone = self.spread
        if np.isfinite(seen):
            text += f", spread {seen:.0f} nm"
            text += f" (standard errors alone: {alone:.0f} nm)" if np.isfinite(alone) else ""
        return text


def read_particles(one: xr.Dataset, name: str) -> Particles:
    """The particles of one shell's result; a shell that is not resolved has no thickness on any particle."""
    perimeter = np.asarray(one["particle_perimeter"].values, np.float64)
    thickness, error = (1e3 * np.asarray(one[f"particle_thickness{s}"].values, np.float64) for s in ("", "_sd"))
    pooled = None
    if int(one["resolved"]):
        pooled = (float(one["thickness"]) * 1e3, float(one["thickness_low"]) * 1e3, float(one["thickness_high"]) * 1e3)
    else:
        thickness, error = np.full((2, len(perimeter)), np.nan)
    limit = float(one["upper_limit"]) * 1e3 if int(one["above_noise"]) else float("nan")
    shell = sum_label([str(one["shell"].values)])
    return Particles(name, shell, perimeter, thickness, error, pooled, limit, unresolved_words(one))
