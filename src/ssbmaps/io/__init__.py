"""Reading instrument files into cubes, and saving and loading everything that ssbmaps makes."""

from __future__ import annotations

from ssbmaps.io._registry import formats, info, read
from ssbmaps.io._store import load, save, to_dense

__all__ = ["formats", "info", "load", "read", "save", "to_dense"]
