"""Distance to an interface, profiles across it, and the width of its edge."""

from __future__ import annotations

from ssbmaps.interfaces._distance import distance_to
from ssbmaps.interfaces._edge_width import edge_width
from ssbmaps.interfaces._profile import distance_profile

__all__ = ["distance_profile", "distance_to", "edge_width"]
