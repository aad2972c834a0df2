"""Raman bands and Auger lines, each with its source: positions only, intensities belong to the measurement."""

from __future__ import annotations

from dataclasses import dataclass

_DAVIS = "Davis et al., Handbook of Auger Electron Spectroscopy, 2nd ed., Physical Electronics, Eden Prairie 1976"
_FLORES = "Flores, Novák, Berg, Front. Energy Res. 6 (2018) 82, doi 10.3389/fenrg.2018.00082"
_DIETRICH = "Dietrich et al., J. Mater. Chem. A 5 (2017) 18111, doi 10.1039/C7TA06067J"
_FERRARI = "Ferrari, Robertson, Phys. Rev. B 61 (2000) 14095, doi 10.1103/PhysRevB.61.14095"
_HADJIEV = "Hadjiev, Iliev, Vergilov, J. Phys. C 21 (1988) L199, doi 10.1088/0022-3719/21/7/007"


@dataclass(frozen=True, slots=True)
class Line:
    """One Auger line: kinetic energy in eV of its principal peak."""

    kinetic_energy: float
    source: str


@dataclass(frozen=True, slots=True)
class Band:
    """One Raman band: position and usual full width at half maximum in 1/cm, and the mode."""

    raman_shift: float
    width: float
    mode: str
    source: str


# Of the principal peak in derivative spectra; compounds shift it by several eV, light elements most.
AUGER_LINES = {
    "Li KLL": Line(43.0, _DAVIS),
    "P LVV": Line(120.0, _DAVIS),
    "S LVV": Line(152.0, _DAVIS),
    "C KLL": Line(272.0, _DAVIS),
    "O KLL": Line(503.0, _DAVIS),
    "Ni LMM": Line(848.0, _DAVIS),
}

RAMAN_BANDS = {
    "NMC": (Band(475.0, 60.0, "Eg", _FLORES), Band(590.0, 65.0, "A1g", _FLORES)),
    "PS4^3-": (Band(420.0, 14.0, "A1", _DIETRICH),),
    "carbon": (Band(1350.0, 130.0, "D", _FERRARI), Band(1590.0, 75.0, "G", _FERRARI)),
    "Co3O4": (
        Band(194.4, 8.0, "F2g", _HADJIEV),
        Band(482.4, 10.0, "Eg", _HADJIEV),
        Band(521.6, 12.0, "F2g", _HADJIEV),
        Band(618.4, 12.0, "F2g", _HADJIEV),
        Band(691.0, 13.0, "A1g", _HADJIEV),
    ),
}
