"""Components of a spectral map: non-negative matrix factorisation and principal components."""

from __future__ import annotations

from ssbmaps.decomposition._nmf import nmf
from ssbmaps.decomposition._pca import pca

__all__ = ["nmf", "pca"]
