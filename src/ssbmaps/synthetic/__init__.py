"""Seeded sections of composite cathodes with planted truth: ToF-SIMS scans, SAM and Raman maps, and files of them."""

from __future__ import annotations

from ssbmaps.synthetic._cube import spectrum_cube
from ssbmaps.synthetic._imzml import write_imzml
from ssbmaps.synthetic._operando import operando_series
from ssbmaps.synthetic._raman import raman_map
from ssbmaps.synthetic._recipe import Departures, Instrument, Layout
from ssbmaps.synthetic._sam import sam_maps
from ssbmaps.synthetic._section import cross_section, redraw
from ssbmaps.synthetic._stack_series import stack_series, void_series

__all__ = [
    "Departures",
    "Instrument",
    "Layout",
    "cross_section",
    "operando_series",
    "raman_map",
    "redraw",
    "sam_maps",
    "spectrum_cube",
    "stack_series",
    "void_series",
    "write_imzml",
]
