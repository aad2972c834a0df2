"""Components of a spectral map: their number, their spectra and maps by likelihood or constraints, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssbmaps.decomposition._mcr import mcr
from ssbmaps.decomposition._name import name_components
from ssbmaps.decomposition._nmf import nmf
from ssbmaps.decomposition._pca import pca
from ssbmaps.decomposition._rank import rank

if TYPE_CHECKING:
    from ssbmaps.decomposition._poisson_nmf import PoissonNMF
    from ssbmaps.decomposition._poisson_pca import PoissonPCA

__all__ = ["PoissonNMF", "PoissonPCA", "mcr", "name_components", "nmf", "pca", "rank"]


def __getattr__(name: str) -> Any:
    """The estimators, loaded when used: they bring scikit-learn with them."""
    if name == "PoissonNMF":
        from ssbmaps.decomposition._poisson_nmf import PoissonNMF

        return PoissonNMF
    if name == "PoissonPCA":
        from ssbmaps.decomposition._poisson_pca import PoissonPCA

        return PoissonPCA
    raise AttributeError(f"module 'ssbmaps.decomposition' has no attribute {name!r}; it holds {', '.join(__all__)}.")
