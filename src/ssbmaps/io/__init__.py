"""Reading instrument files into cubes, and saving and loading everything that ssbmaps makes."""

from __future__ import annotations

from ssbmaps.io._count_events import count_events
from ssbmaps.io._registry import formats, info, read
from ssbmaps.io._store import save, to_dense
from ssbmaps.io._store_load import load

__all__ = ["count_events", "formats", "info", "load", "read", "save", "to_dense"]
