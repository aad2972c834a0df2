"""What a found geometry adds to the result: particles, stretches of outline with their thickness, and the direction of edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.interfaces._orientation import HARMONICS
from ssbmaps.interfaces._particle_shells import Rim, used_length

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._contour import Contour
    from ssbmaps.interfaces._orientation import Harmonics
    from ssbmaps.interfaces._outline import Pieces
    from ssbmaps.interfaces._shells import Shell

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

RARE = 1e-3  # chance of a modulation with the direction that the statement names
MEANINGS = {"cos φ": "shadowing, drift or misplaced maps", "cos 2φ": "tilt or astigmatism"}


@dataclass(frozen=True)
class Outlines:
    """The outline of all counts: polygons, pieces, the particle of each vertex; `origin`: the first pixel's centre (y, x), um."""

    contours: Sequence[Contour]
    pieces: Pieces
    particle: Ints
    origin: Floats

    @property
    def points(self) -> Floats:
        """(N, 2) vertices in um of the map."""
        return np.asarray(np.concatenate([c.points for c in self.contours]) + self.origin)

    @property
    def angles(self) -> Floats:
        """Direction (N,) of the outward normal, from the x axis towards y, radians."""
        normals = np.concatenate([c.normals for c in self.contours])
        return np.asarray(np.arctan2(normals[:, 0], normals[:, 1]))


def rim_of(outlines: Outlines, particles: Ints, pixel: tuple[float, float], shell: Shell, vertex: Ints) -> Rim:
    """Every particle with an edge: centre of its area, length of its edge, and the length that was used."""
    number = int(particles.max())
    shares = np.concatenate([c.shares for c in outlines.contours])
    perimeter = np.asarray(np.bincount(outlines.particle, shares, number + 1), np.float64)
    used = used_length(shell.field, shell.measured.use, outlines.particle[vertex], number)
    area = np.maximum(np.bincount(particles.ravel(), minlength=number + 1), 1)
    places = np.indices(particles.shape) * np.asarray(pixel)[:, None, None] + outlines.origin[:, None, None]
    y, x = (np.bincount(particles.ravel(), p.ravel(), number + 1) / area for p in places)
    label = np.flatnonzero(perimeter > 0)
    label = label[label > 0]
    return Rim(label, y[label], x[label], perimeter[label], np.minimum(used, perimeter)[label])


def add_geometry(
    result: xr.Dataset,
    outlines: Outlines,
    rim: Rim | None,
    own: list[tuple[Floats, Floats] | None],
    used: Floats,
    waves: list[tuple[Harmonics, Harmonics]],
) -> xr.Dataset:
    """`result` with the outline's vertices and pieces (thickness `own` by shell, length `used`), contacts and harmonics."""
    pieces = outlines.pieces
    attributes = dict(result.attrs)
    variables: dict[str, Any] = {}

    def put(name: str, dims: Any, values: Any, units: str, text: str) -> None:
        variables[name] = (dims, values, {"units": units, "long_name": text})

    for axis, values in zip("yx", outlines.points.T, strict=True):
        put(f"vertex_{axis}", "vertex", values, "um", f"outline of the core, {axis}")
    put("vertex_segment", "vertex", pieces.of_vertex, "1", "number of the segment a vertex belongs to")
    put("segment_y", "segment", pieces.y + outlines.origin[0], "um", "middle of the segment, y")
    put("segment_x", "segment", pieces.x + outlines.origin[1], "um", "middle of the segment, x")
    put("segment_length", "segment", pieces.length, "um", "length of the segment")
    first = np.unique(pieces.of_vertex, return_index=True)[1]
    put("segment_particle", "segment", outlines.particle[first], "1", "number of the particle")
    put("segment_contact", "segment", np.clip(used / pieces.length, 0, 1), "1", "share of the segment in contact and used")
    blank = np.full((2, len(pieces.length)), np.nan)
    values = np.array([blank if o is None else np.stack(o) for o in own])
    text = "apparent thickness beside the segment"
    put("segment_thickness", ("shell", "segment"), values[:, 0], "um", text)
    put("segment_thickness_sd", ("shell", "segment"), values[:, 1], "um", f"{text}: standard error")
    if rim is not None:
        put("particle_contact", "particle", np.clip(rim.used / rim.perimeter, 0, 1), "1", "share of the edge in contact and used")
    for i, (name, text) in enumerate((("thickness", "thickness"), ("sigma", "width of the edges"))):
        amplitude, p_value = (np.array([getattr(w[i], n) for w in waves]).T for n in ("amplitude", "p_value"))
        put(f"{name}_modulation", ("harmonic", "shell"), amplitude, "um", f"{text}: amplitude with the edge's direction")
        put(f"{name}_modulation_p", ("harmonic", "shell"), p_value, "1", "probability of such an amplitude by chance")
    found = result.assign(variables).assign_coords(harmonic=("harmonic", list(HARMONICS)))
    statements = [f"{s}{_direction(w[0])}" for s, w in zip(result["statement"].values, waves, strict=True)]
    found["statement"] = ("shell", np.array(statements, dtype=str), dict(result["statement"].attrs))
    found.attrs = attributes
    return found


def _direction(wave: Harmonics) -> str:
    """A sentence for each modulation of the thickness that chance does not explain."""
    return "".join(
        f" It varies with the direction of the edge by ±{1e3 * a:.0f} nm ({name}): compatible with {MEANINGS[name]}."
        for name, a, p in zip(HARMONICS, wave.amplitude, wave.p_value, strict=True)
        if p < RARE
    )
