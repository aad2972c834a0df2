"""How many threads work at a time."""

from __future__ import annotations

import os


def threads() -> int:
    """How many cores this process may use; NUMBA_NUM_THREADS lowers it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    stated = os.environ.get("NUMBA_NUM_THREADS", "")
    return min(cores, int(stated)) if stated.isdigit() and int(stated) else cores
