"""What is stated of a real instrument file, and what a reader reports of it, side by side: for tests and for the benchmark.

Each group of formats lists its files in a `REAL` of its own generator module (`files_sam.py`, …). The files themselves are no
part of the project: tests skip where they are absent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps import io
from ssbmaps._conventions import SPECTRAL_UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DATA = Path(__file__).parents[2] / "shared" / "data"


def figures(cube: Any) -> dict[str, Any]:
    """Shape, sum, largest value and its place, ends of the spectral axis and pixel size of a DataArray."""
    values = np.asarray(io.to_dense(cube).values, np.float64)
    told: dict[str, Any] = {"shape": values.shape, "sum": float(np.nansum(values)), "max": float(np.nanmax(values))}
    told["max at"] = tuple(int(i) for i in np.unravel_index(np.nanargmax(values), values.shape))
    for dim in SPECTRAL_UNITS:
        if dim in cube.coords:
            ends = cube.coords[dim].values[[0, -1]]
            told[dim] = (float(ends.min()), float(ends.max()))
    for dim in ("y", "x"):
        if dim in cube.dims and cube.sizes[dim] > 1:
            told[f"pixel {dim}"] = float(np.diff(cube.coords[dim].values).mean())
    return told


@dataclass(frozen=True)
class Real:
    """One file: the figures stated of it, by name, and how to read it. `measure` gives figures of the same names."""

    file: str  # below shared/data
    reader: str
    stated: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    measure: Callable[[Any], Mapping[str, Any]] = figures
    digits: float = 1e-6  # relative; as many as are stated

    @property
    def path(self) -> Path:
        """Where it lies, if it is here."""
        return DATA / self.file

    def compare(self) -> list[tuple[str, Any, Any, bool]]:
        """Rows of (figure, stated, read, equal)."""
        told = self.measure(io.read(self.path, **self.options))
        return [(name, value, told[name], self._equal(value, told[name])) for name, value in self.stated.items()]

    def _equal(self, stated: Any, read: Any) -> bool:
        if isinstance(stated, str) or stated is None:
            return bool(stated == read)
        return bool(np.allclose(np.asarray(read, float), np.asarray(stated, float), rtol=self.digits, atol=0))
