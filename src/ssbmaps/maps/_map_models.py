"""Which maps between two rasters are looked for: translation, rigid, similarity, affine; as functions of few lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MODELS = ("translation", "rigid", "similarity", "affine")


@dataclass(frozen=True)
class MapModel:
    """Parameters q, all lengths in um, of the map G = (S · diag(half), t) about the fixed raster's middle."""

    name: str
    half: tuple[float, float]  # um from the fixed raster's middle to its edges

    @property
    def size(self) -> int:
        """Number of parameters."""
        return {"translation": 2, "rigid": 3, "similarity": 4, "affine": 6}[self.name]

    @property
    def _reach(self) -> float:
        return float(np.hypot(*self.half))

    def of(self, g: Floats) -> Floats:
        """The parameters of the model's map nearest to G (2, 3)."""
        s, t = g[:, :2] / self.half, g[:, 2]
        if self.name == "affine":
            return g.ravel().copy()
        a, b = (s[0, 0] + s[1, 1]) / 2, (s[1, 0] - s[0, 1]) / 2
        if self.name == "similarity":
            return np.array([a * self._reach, b * self._reach, *t])
        if self.name == "rigid":
            return np.array([np.arctan2(b, a) * self._reach, *t])
        return t.copy()

    def map(self, q: Floats) -> tuple[Floats, Floats]:
        """G (2, 3) and its derivative (6, size)."""
        if self.name == "affine":
            return q.reshape(2, 3), np.eye(6)
        reach, half = self._reach, np.array(self.half)
        turn = np.array([[0.0, -1.0], [1.0, 0.0]])
        slopes = np.zeros((2, 3, self.size))
        slopes[0, 2, -2] = slopes[1, 2, -1] = 1.0
        if self.name == "similarity":
            s = (q[0] * np.eye(2) + q[1] * turn) / reach
            slopes[:, :2, 0], slopes[:, :2, 1] = np.eye(2) / reach * half, turn / reach * half
        elif self.name == "rigid":
            angle = q[0] / reach
            s = np.cos(angle) * np.eye(2) + np.sin(angle) * turn
            slopes[:, :2, 0] = (np.cos(angle) * turn - np.sin(angle) * np.eye(2)) / reach * half
        else:
            s = np.eye(2)
        return np.column_stack([s * half, q[-2:]]), slopes.reshape(6, self.size)
