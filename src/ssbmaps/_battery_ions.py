"""Ions that sections of solid-state batteries emit: those that calibrate a spectrum, and those that may lie beside a fragment.

The lists follow what is reported for thiophosphate, halide, oxide and polymer cells (Walther et al., Chem. Mater. 31 (2019)
3745, doi 10.1021/acs.chemmater.9b00770; Lombardo et al., J. Vac. Sci. Technol. A 41 (2023) 053207, doi 10.1116/6.0002850) and
what organic contamination adds. They name what is plausible, not what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ssbmaps._ions import parse_ion
from ssbmaps._isotopologues import isotopologues

# Found in nearly every spectrum, single in a spectrum of moderate m/Δm; where one is not, the others outvote it.
_COMMON_NEGATIVE = "C- CH- O- OH- F- C2- C2H- S- Cl- 37Cl- C3- C4- C4H- PO3- NiO2- CoO2- MnO2- I-"
_COMMON_POSITIVE = "H+ Li+ C+ CH3+ Na+ Al+ C2H3+ C2H5+ K+ C3H5+ C3H7+ Mn+ C4H7+ Ni+ Co+ Cu+ 65Cu+ Ga+ 71Ga+ In+ Cs+"
COMMON = {polarity: text.split() for polarity, text in (("negative", _COMMON_NEGATIVE), ("positive", _COMMON_POSITIVE))}

_NEGATIVE = """
H- C- CH- CH2- CH3- C2- C2H- C2H2- C2H3- C3- C3H- C3H2- C3H3- C4- C4H- C4H2- C5- C5H- C5H2- C6- C6H- C6H2- C7- C7H- C8- C8H-
N- NH- NH2- CN- CNO- C2N- C3N- NO2- NO3- O- OH- O2- HO2- O3- C2O- C2HO- CO2- CHO2- CO3- HCO3- C2H3O2- C2O2H-
F- HF2- F2- LiF- LiF2- Li2F3- LiO- LiOH- LiS- LiSH- LiCl- LiCl2- LiH2- NaF2- NaCl2- NaO- NaS- CF- CF2- CF3- C2F- C2F3-
Mg- MgO- MgF3- Al- AlO- AlO2- AlF4- AlS- AlS2- Si- SiH- SiO- SiO2- SiHO2- SiO3- SiHO3- SiS- SiS2-
B- BO- BO2- BF4- P- PH- PH2- PO- PO2- PHO2- PO3- PHO3- PH2O4- PO4- PS- PHS- PS2- PS3- PS4- PSO- PSO2- PS2O- PF6- PO2F2- PO3F-
P2- PN- PCl-
S- SH- S2- S2H- S3- S4- SO- SO2- HSO2- SO3- HSO3- SO4- HSO4- S2O- S2O2- S2O3- S2O4- SCN- CS- C2S- C2HS- SF- SO2F- NSO2- SCl-
SOCl- PSCl-
Cl- HCl- Cl2- ClO- ClO2- ClO3- ClO4- Br- BrO- HBr- Br2- I-
Ti- TiO- TiO2- TiO3- V- VO- VO2- VO3- Cr- CrO- CrO2- CrO3- Mn- MnO- MnO2- MnO3- MnS- MnF3- Fe- FeO- FeO2- FeO3- FeS- FePO4-
Co- CoO- CoO2- CoO3- CoS- CoF3- Ni- NiO- NiO2- NiO3- NiS- NiHO2- NiF3- CoHO2- MnHO2- Cu- CuO- CuO2- CuS- CuCl2- CuF2- CuH-
Zn- ZnO- ZnO2- Ga- GaO- GaO2- Ge- GeO- GeO2- GeO3- GeS- GeS2- GeS3- Y- YO2- YCl4- Zr- ZrO- ZrO2- ZrO3- ZrCl5- Nb- NbO- NbO2-
NbO3-
Mo- MoO3- In- InO- InO2- InS- InCl2- InCl4- Sn- SnO- SnO2- SnS- SnS2- Sb- SbO2- SbS- SbS2- La- LaO- LaO2- Ta- TaO2- TaO3- W-
WO3- Bi-
"""

_POSITIVE = """
H+ Li+ LiH+ Li2+ Li2O+ Li2OH+ LiOH+ Li2F+ Li3O+ Li2Cl+ Li3S+ Li2S+ Li2H+ Li3+ Li3F2+ Li3CO3+ Li3PO4+ Li4PO4+
C+ CH+ CH2+ CH3+ C2+ C2H+ C2H2+ C2H3+ C2H4+ C2H5+ C3+ C3H+ C3H2+ C3H3+ C3H4+ C3H5+ C3H6+ C3H7+
C4+ C4H+ C4H2+ C4H3+ C4H4+ C4H5+ C4H6+ C4H7+ C4H8+ C4H9+ C5H+ C5H2+ C5H3+ C5H5+ C5H7+ C5H9+ C5H11+ C6H5+ C6H7+ C6H9+ C7H7+
CO+ CHO+ CH3O+ C2HO+ C2H2O+ C2H3O+ C2H5O+ C3H3O+ C3H5O+ C3H7O+ NH+ NH2+ NH3+ NH4+ CN+ CHN+ CH2N+ CH4N+ C2H6N+
O+ OH+ H2O+ H3O+ O2+ NO+ CF+ CF2+ CF3+ C3F3+ C2HF2+ C3H2F+ C3HF4+ Na+ NaH+ Na2+ Na2O+ Na2OH+ Na2Cl+ NaF+ Na2F+ NaOH+ K+ KOH+
KF+
Mg+ MgO+ MgOH+ MgF+ Al+ AlH+ AlO+ AlOH+ Al2+ Al2O+ AlF+ AlF2+ Si+ SiH+ SiCH3+ SiOH+ SiO+ SiC3H9+ Si2OC5H15+
P+ PH+ PO+ PS+ PO2+ PSO+ S+ SH+ H2S+ SO+ CS+ CHS+ LiS+ Cl+ B+ Ca+ CaO+ CaOH+ CaF+ Ti+ TiO+ TiO2+ TiOH+ V+ VO+ Cr+ CrO+ CrH+
Mn+ MnO+ MnOH+ MnF+ MnH+ MnLi+ LiMnO+ Fe+ FeO+ FeOH+ FeH+ Co+ CoO+ CoOH+ CoH+ CoLi+ LiCoO+ Ni+ NiO+ NiOH+ NiH+ NiLi+ LiNiO+
NiF+ CoF+ NiS+ CoS+
Cu+ CuO+ CuH+ CuOH+ CuCH2+ Cu2+ CuLi+ CuS+ Zn+ ZnO+ Ga+ GaO+ Ga2+ GaH+ GaLi+ Ge+ GeO+ GeS+ Y+ YO+ Zr+ ZrO+ ZrO2+ ZrOH+
Nb+ NbO+ NbO2+ In+ InO+ InLi+ InCl+ Sn+ SnO+ Sb+ Cs+ La+ LaO+ LaO2+ LaOH+ Ta+ TaO+ TaO2+ W+ Bi+ Pb+
"""

# Pairs that blur maps of battery sections most often; fragment_maps looks for them in the data.
FREQUENT = (
    *(("PO2-", "PS-"), ("SO2-", "S2-"), ("SO3-", "S2O-"), ("PO3-", "PSO-"), ("S-", "O2-"), ("PO2-", "Cu-"), ("PO3-", "CuO-")),
    *(("PS-", "Cu-"), ("PSO2-", "PS2-"), ("AlO-", "C2F-")),
    *(("Mg+", "C2+"), ("Al+", "C2H3+"), ("Al+", "CHN+"), ("Si+", "CO+"), ("Si+", "C2H4+"), ("P+", "CF+"), ("S+", "O2+")),
    *(("K+", "C3H3+"), ("Ca+", "C3H4+"), ("Ti+", "SO+"), ("Fe+", "CaO+"), ("Fe+", "MnH+"), ("Fe+", "Si2+"), ("Co+", "NiH+")),
    *(("Co+", "CaF+"), ("Cu+", "PS+"), ("Zn+", "S2+")),
)

LEAST_ABUNDANCE = 0.005  # of an isotopologue against the most abundant one of its formula: rarer ones matter only under traces


@dataclass(frozen=True, slots=True)
class Candidate:
    """An isotopologue that may be in the spectrum; `main` is the most abundant one, `abundance` is relative to that."""

    name: str
    mz: float
    abundance: float
    main: str
    main_mz: float


@lru_cache(maxsize=2)
def candidates(polarity: str) -> tuple[tuple[Candidate, ...], np.ndarray]:
    """All isotopologues of the list of one polarity, by ascending m/z, and their m/z."""
    found = []
    for formula in dict.fromkeys((_NEGATIVE if polarity == "negative" else _POSITIVE).split()):
        variants = isotopologues(parse_ion(formula), least=LEAST_ABUNDANCE)
        main = variants[0]
        found += [Candidate(v.name, v.mz, v.abundance / main.abundance, main.name, main.mz) for v in variants]
    found.sort(key=lambda c: c.mz)
    return tuple(found), np.array([c.mz for c in found])
