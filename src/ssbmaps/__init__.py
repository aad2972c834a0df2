"""ssbmaps: from ToF-SIMS, scanning Auger and Raman maps of battery cross-sections to a thickness with an interval."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ssbmaps._errors import DataQualityWarning, FormatError, GridMismatchError, RegistrationError, SsbmapsError

if TYPE_CHECKING:
    from types import ModuleType

    from ssbmaps import decomposition, figures, interfaces, io, maps, study, synthetic

__version__ = "0.1.0.dev0"

_ROOMS = ("decomposition", "figures", "interfaces", "io", "maps", "study", "synthetic")

__all__ = [
    "DataQualityWarning",
    "FormatError",
    "GridMismatchError",
    "RegistrationError",
    "SsbmapsError",
    "__version__",
    "decomposition",
    "figures",
    "interfaces",
    "io",
    "maps",
    "study",
    "synthetic",
]


def __getattr__(name: str) -> ModuleType:
    """Load a room when it is first used: `import ssbmaps` itself loads nothing heavy."""
    if name in _ROOMS:
        return importlib.import_module(f"ssbmaps.{name}")
    raise AttributeError(f"module 'ssbmaps' has no attribute {name!r}; its rooms are {', '.join(_ROOMS)}")


def __dir__() -> list[str]:
    return sorted(__all__)
