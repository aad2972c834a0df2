"""Settings for the whole suite: hypothesis without deadlines (shared machines stall) and the same examples each run."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ssbmaps", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("ssbmaps")
