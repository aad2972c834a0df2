"""Distance to an interface, profiles across it, the width of its edge, and the quality of the section."""

from __future__ import annotations

from ssbmaps.interfaces._bound import interphase_bound
from ssbmaps.interfaces._damage import damage_suspicion
from ssbmaps.interfaces._distance import distance_to
from ssbmaps.interfaces._edge_layer import detect_edge_layer
from ssbmaps.interfaces._edge_width import edge_width
from ssbmaps.interfaces._fluence import check_fluence
from ssbmaps.interfaces._growth import fit_growth
from ssbmaps.interfaces._growth_compare import compare_growth
from ssbmaps.interfaces._growth_gather import gather_thickness
from ssbmaps.interfaces._inactive import detect_inactive_layer
from ssbmaps.interfaces._inner import inner_region
from ssbmaps.interfaces._interphase import fit_interphase
from ssbmaps.interfaces._lag import lag
from ssbmaps.interfaces._lateral import detect_lateral_layer
from ssbmaps.interfaces._lateral_edge import edge_distance
from ssbmaps.interfaces._lateral_find import find_edge
from ssbmaps.interfaces._layer_thickness import layer_thickness
from ssbmaps.interfaces._layers import fit_layers
from ssbmaps.interfaces._lithiation import lithiation
from ssbmaps.interfaces._measure import measure_interphase
from ssbmaps.interfaces._operando import time_series
from ssbmaps.interfaces._profile import distance_profile
from ssbmaps.interfaces._quality import section_quality
from ssbmaps.interfaces._reversibility import reversibility
from ssbmaps.interfaces._void import void_fraction
from ssbmaps.interfaces._with_without import compare_with_and_without

__all__ = [
    "check_fluence",
    "compare_growth",
    "compare_with_and_without",
    "damage_suspicion",
    "detect_edge_layer",
    "detect_inactive_layer",
    "detect_lateral_layer",
    "distance_profile",
    "distance_to",
    "edge_distance",
    "edge_width",
    "find_edge",
    "fit_growth",
    "fit_interphase",
    "fit_layers",
    "gather_thickness",
    "inner_region",
    "interphase_bound",
    "lag",
    "layer_thickness",
    "lithiation",
    "measure_interphase",
    "reversibility",
    "section_quality",
    "time_series",
    "void_fraction",
]
