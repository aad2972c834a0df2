"""From spectra to maps: ion masses, fragment maps, integrated lines and bands, phases; maps of all techniques on one grid."""

from __future__ import annotations

from ssbmaps.maps._calibration import calibrate_mass
from ssbmaps.maps._check_registration import check_registration
from ssbmaps.maps._dead_time import correct_dead_time
from ssbmaps.maps._doublets import separate_doublet
from ssbmaps.maps._drift import align_scans
from ssbmaps.maps._fractions import phase_fractions
from ssbmaps.maps._fragments import fragment_maps, ion_mz
from ssbmaps.maps._integrate import integrate
from ssbmaps.maps._interference import interferences
from ssbmaps.maps._isotopes import check_isotopes
from ssbmaps.maps._particles import label_particles
from ssbmaps.maps._phases import label_phases
from ssbmaps.maps._register import register
from ssbmaps.maps._resample import resample
from ssbmaps.maps._resolution import mass_resolution
from ssbmaps.maps._stack import stack
from ssbmaps.maps._totals import normalise, total
from ssbmaps.maps._transform import Transform

__all__ = [
    "Transform",
    "align_scans",
    "calibrate_mass",
    "check_isotopes",
    "check_registration",
    "correct_dead_time",
    "fragment_maps",
    "integrate",
    "interferences",
    "ion_mz",
    "label_particles",
    "label_phases",
    "mass_resolution",
    "normalise",
    "phase_fractions",
    "register",
    "resample",
    "separate_doublet",
    "stack",
    "total",
]
