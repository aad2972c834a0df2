"""Figures ready for print: maps, composites, components, profiles, spectra and quality at the width of a journal column.

The only room that imports matplotlib. It uses neither pyplot nor global settings.
"""

from ssbmaps.figures._components import component_figure
from ssbmaps.figures._composite import composite_figure
from ssbmaps.figures._damage import damage_figure
from ssbmaps.figures._edge_layer import edge_layer_figure
from ssbmaps.figures._growth import growth_figure
from ssbmaps.figures._inactive_layer import inactive_layer_figure
from ssbmaps.figures._interphase import interphase_figure
from ssbmaps.figures._lateral import lateral_layer_figure
from ssbmaps.figures._maps import grid_figure, map_figure
from ssbmaps.figures._operando import time_series_figure
from ssbmaps.figures._operando_checks import fluence_figure, lithiation_figure
from ssbmaps.figures._operando_layers import layer_thickness_figure, void_figure
from ssbmaps.figures._particles import particle_thickness_figure
from ssbmaps.figures._profiles import profile_figure
from ssbmaps.figures._quality_figure import quality_figure
from ssbmaps.figures._rank import rank_figure
from ssbmaps.figures._registration import registration_figure
from ssbmaps.figures._save import save
from ssbmaps.figures._spectrum import spectrum_figure
from ssbmaps.figures._summary import interphase_summary_figure
from ssbmaps.figures._thickness import thickness_map_figure
from ssbmaps.figures._with_without import comparison_figure

__all__ = [
    "comparison_figure",
    "component_figure",
    "composite_figure",
    "damage_figure",
    "edge_layer_figure",
    "fluence_figure",
    "grid_figure",
    "growth_figure",
    "inactive_layer_figure",
    "interphase_figure",
    "interphase_summary_figure",
    "lateral_layer_figure",
    "layer_thickness_figure",
    "lithiation_figure",
    "map_figure",
    "particle_thickness_figure",
    "profile_figure",
    "quality_figure",
    "rank_figure",
    "registration_figure",
    "save",
    "spectrum_figure",
    "thickness_map_figure",
    "time_series_figure",
    "void_figure",
]
