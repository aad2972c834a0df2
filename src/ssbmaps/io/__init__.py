"""Reading instrument files into cubes, and saving and loading everything that ssbmaps makes."""

from __future__ import annotations

from ssbmaps.io._count_events import count_events
from ssbmaps.io._grid import grid
from ssbmaps.io._hyperspy_bridge import from_hyperspy, to_hyperspy
from ssbmaps.io._napari import to_napari
from ssbmaps.io._registry import formats, info, read
from ssbmaps.io._store import save, to_dense
from ssbmaps.io._store_load import load

__all__ = [
    "count_events",
    "formats",
    "from_hyperspy",
    "grid",
    "info",
    "load",
    "read",
    "save",
    "to_dense",
    "to_hyperspy",
    "to_napari",
]
