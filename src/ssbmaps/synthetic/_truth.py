"""What was planted, in numbers: distance, labels, particles, and thickness along the section and normal to the interface."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.synthetic._levels import PHASES
from ssbmaps.synthetic._outlines import Outlines
from ssbmaps.synthetic._raster import Frame, stack_edges, stack_position

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.synthetic._recipe import Recipe
    from ssbmaps.synthetic._scene import Scene

    Floats = NDArray[np.float64]


def distance_map(recipe: Recipe, scene: Scene, frame: Frame) -> Floats:
    """Signed distance (um) of each pixel's centre to the nearest NMC outline; NaN without NMC."""
    centres = frame.crop(np.moveaxis(frame.centres(), -1, 0)).transpose(1, 2, 0)
    if recipe.geometry == "planar":
        return _stack_distance(recipe, stack_position(recipe, centres))
    if not scene.outlines:
        return np.full(recipe.shape, np.nan)
    return Outlines(scene.outlines).signed(centres.reshape(-1, 2))[0].reshape(recipe.shape)


def _stack_distance(recipe: Recipe, u: Floats) -> Floats:
    inside = np.zeros(u.shape, bool)
    distance = np.full(u.shape, np.inf)
    edges = [(name == "NMC", top, bottom) for name, top, bottom in stack_edges(recipe)]
    for core, top, bottom in edges:
        inside |= core & (u >= top) & (u < bottom)
    for (before, _, edge), (after, _, _) in pairwise(edges):
        if before != after:
            distance = np.minimum(distance, np.abs(u - edge))
    signed = np.where(inside, -distance, distance) / np.cos(np.radians(recipe.departures.cut_angle))
    return np.where(np.isfinite(signed), signed, np.nan)


def phase_labels(recipe: Recipe, coverage: Floats) -> tuple[tuple[str, str], NDArray[np.int16], dict[str, Any]]:
    """Labels of the phase with the largest share; the shells together are `interphase`."""
    rows = [i for i, p in enumerate(recipe.phases) if p != "SOx"]
    names = ["interphase" if recipe.phases[i] == "POx" else recipe.phases[i] for i in rows]
    shares = coverage[rows].copy()
    shell = rows.index(PHASES.index("POx"))
    shares[shell] = np.maximum(shares[shell], coverage[PHASES.index("SOx")])
    attrs = {
        "long_name": "phase with the largest share of the pixel",
        "units": "1",
        "flag_values": np.arange(len(names) + 1, dtype=np.int16),
        "flag_meanings": " ".join(["unassigned", *names]),
    }
    return ("y", "x"), (1 + shares.argmax(axis=0)).astype(np.int16), attrs


def in_view(recipe: Recipe, scene: Scene) -> NDArray[np.int64]:
    """Particles of which some part lies in the map."""
    size = np.array(recipe.shape) * recipe.pixel_size
    seen = [
        bool(((o > 0) & (o < size)).all(axis=1).any() or ((c > 0) & (c < size)).all())
        for o, c in zip(scene.outlines, scene.centre, strict=True)
    ]
    return np.flatnonzero(seen)


def apparent(recipe: Recipe, scene: Scene, thickness: Floats) -> Floats:
    """Thickness of each particle's shell along the section, um."""
    if recipe.geometry == "spheres":
        return np.asarray(np.sqrt((scene.sphere_radius + thickness) ** 2 - scene.height**2) - scene.radius)
    return np.asarray(thickness / np.cos(np.radians(recipe.departures.cut_angle)))


def thickness_attrs(recipe: Recipe, scene: Scene) -> dict[str, float]:
    """Planted thickness of both shells: true (normal to the interface) and apparent, weighted by perimeter in view."""
    attrs: dict[str, float] = {}
    nominal = {"POx": (recipe.thickness, scene.thickness), "SOx": (recipe.thickness_SOx, scene.thickness_SOx)}
    seen = in_view(recipe, scene)
    uniform = recipe.geometry == "planar" or (recipe.geometry != "spheres" and recipe.departures.thickness_spread == 0)
    weight = scene.perimeter[seen]
    for shell, (one, each) in nominal.items():
        if uniform or not seen.size:
            attrs[f"thickness_{shell}"] = one / float(np.cos(np.radians(recipe.departures.cut_angle)))
            attrs[f"true_thickness_{shell}"] = one
        else:
            attrs[f"thickness_{shell}"] = float(np.average(apparent(recipe, scene, each)[seen], weights=weight))
            attrs[f"true_thickness_{shell}"] = float(np.average(each[seen], weights=weight))
    return attrs


def particle_variables(recipe: Recipe, scene: Scene) -> dict[str, Any]:
    """The particles in view, along `particle`; empty for a stack and where there is none."""
    seen = in_view(recipe, scene)
    if recipe.geometry == "planar" or not seen.size:
        return {}
    columns: dict[str, tuple[Floats, str, str]] = {
        "particle_y": (scene.centre[:, 0], "um", "centre along y"),
        "particle_x": (scene.centre[:, 1], "um", "centre along x"),
        "particle_radius": (scene.radius, "um", "mean radius in the section"),
        "particle_perimeter": (scene.perimeter, "um", "length of the outline, in view or not"),
        "particle_contact": (scene.contact, "1", "share of the outline in contact"),
        "particle_thickness_POx": (apparent(recipe, scene, scene.thickness), "um", "POx shell along the section"),
        "particle_thickness_SOx": (apparent(recipe, scene, scene.thickness_SOx), "um", "SOx shell along the section"),
    }
    variables: dict[str, Any] = {k: ("particle", v[seen], {"units": u, "long_name": n}) for k, (v, u, n) in columns.items()}
    variables["particle_cracked"] = ("particle", scene.cracked[seen].astype(np.int8), {"units": "1", "long_name": "1 if cracked"})
    if recipe.geometry == "spheres":
        variables["sphere_radius"] = ("particle", scene.sphere_radius[seen], {"units": "um", "long_name": "radius of the sphere"})
        variables["sphere_height"] = (
            "particle",
            scene.height[seen],
            {"units": "um", "long_name": "distance of the section from the sphere's centre"},
        )
    return variables
