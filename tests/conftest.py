"""Settings for the whole suite: one thread of BLAS per worker; hypothesis without deadlines, the same examples each run."""

from __future__ import annotations

import os

from hypothesis import settings

# Read by the workers of pytest-xdist and by all other processes that tests start. Matrices are small here, and every worker has a
# core: further threads would only wait in turns, which doubles the suite's time on two cores.
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# Shared machines stall.
settings.register_profile("ssbmaps", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("ssbmaps")
