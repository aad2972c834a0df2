"""What each phase emits: the planted counts per pixel of every fragment, Auger line and Raman component."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PHASES = ("NMC", "electrolyte", "carbon", "void", "POx", "SOx")

# By ascending m/z, as the detector sees them: the lighter ion of a doublet comes first and can mask the heavier.
FRAGMENTS = ("C2-", "S-", "Cl-", "PS-", "PO2-", "SO2-", "PO3-", "SO3-", "NiO2-")

# Counts per pixel over all scans at dose 1, in the order of FRAGMENTS. SOx lies inside POx, which carries what both share.
_ROWS = {
    "NMC": (0.5, 0.6, 0.3, 0.02, 0.1, 0.1, 0.1, 0.05, 24.0),
    "electrolyte": (1.0, 40.0, 18.0, 1.0, 0.2, 0.3, 0.2, 0.15, 0.2),
    "carbon": (30.0, 1.5, 0.8, 0.03, 0.05, 0.1, 0.05, 0.05, 0.1),
    "void": (0.3, 2.0, 1.0, 0.05, 0.02, 0.03, 0.02, 0.02, 0.1),
    "POx": (0.8, 10.0, 8.0, 0.2, 4.0, 0.3, 5.0, 0.15, 0.5),
    "SOx": (0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 3.0, 0.0),
}
FRAGMENT_LEVELS = {phase: dict(zip(FRAGMENTS, row, strict=True)) for phase, row in _ROWS.items()}

# Auger electrons per pixel at the peak, above the background, and the background by line and phase.
AUGER_PEAKS: dict[str, dict[str, float]] = {
    "NMC": {"Li KLL": 60, "O KLL": 500, "Ni LMM": 400, "C KLL": 20},
    "electrolyte": {"Li KLL": 120, "P LVV": 350, "S LVV": 900, "C KLL": 30},
    "carbon": {"C KLL": 1200, "O KLL": 20},
    "void": {"C KLL": 20, "S LVV": 40},
    "POx": {"Li KLL": 100, "P LVV": 500, "S LVV": 250, "O KLL": 450, "C KLL": 30, "Ni LMM": 10},
    "SOx": {"S LVV": 80, "O KLL": 100},
}
AUGER_BACKGROUND = {"Li KLL": 900.0, "P LVV": 700.0, "S LVV": 650.0, "C KLL": 450.0, "O KLL": 350.0, "Ni LMM": 250.0}
BACKSCATTERING = {"NMC": 1.2, "electrolyte": 0.9, "carbon": 0.7, "void": 0.4, "POx": 1.0, "SOx": 0.0}

# Raman counts per spectrum from one pixel full of the phase; fluorescence comes from the electrolyte and from the void.
RAMAN_COUNTS = {"NMC": 9e3, "PS4^3-": 8e3, "carbon": 2.5e4, "Co3O4": 6e3}
RAMAN_PHASES = {"NMC": "NMC", "PS4^3-": "electrolyte", "carbon": "carbon"}
FLUORESCENCE_COUNTS = {"electrolyte": 1.2e5, "void": 6e4, "carbon": 3e4, "NMC": 2e4, "POx": 1e5}
DARK_COUNTS = 60.0  # per channel


def table(rows: Mapping[str, Mapping[str, float]], phases: tuple[str, ...], channels: tuple[str, ...]) -> NDArray[np.float64]:
    """(phase, channel) array of a nested mapping; what is not named is 0."""
    return np.array([[float(rows.get(p, {}).get(c, 0.0)) for c in channels] for p in phases])
