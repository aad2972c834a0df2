"""The sample itself: particles, fibres, voids and cracks placed at random in um, before any instrument sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.synthetic._outlines import Outlines, circle, crescent, perimeter, random_waves, strand, wavy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.synthetic._recipe import Layout, Recipe

    Floats = NDArray[np.float64]

MARGIN = 4.0  # um of sample around the map: beams, drift and rotated maps reach beyond its edge
TOUCHING_GAP = 0.05  # um
_SPHERE_CLEARANCE = 0.3  # um: shells up to this thickness are kept apart, whatever the thickness drawn
_WIDEST_FIBRE = 0.18  # um, half-width
GEOMETRY_STREAM, SPREAD_STREAM, CAP_STREAM = 0, 4, 8


@dataclass(frozen=True)
class Scene:
    """A sample: one row per particle, outlines in um; `height` is the distance of the section from a sphere's centre."""

    outlines: tuple[Floats, ...]
    centre: Floats
    radius: Floats
    sphere_radius: Floats
    height: Floats
    thickness: Floats
    thickness_SOx: Floats
    contact: Floats
    cracked: NDArray[np.bool_]
    core_yield: Floats
    cracks: tuple[Floats, ...]
    fibres: tuple[Floats, ...]
    voids: tuple[Floats, ...]
    caps: Floats  # (n, 4): y, x, sphere radius, height of spheres of which only the shell is cut
    low: Floats
    high: Floats

    @property
    def perimeter(self) -> Floats:
        """Length of each core's outline, um."""
        return np.array([perimeter(o) for o in self.outlines])


def stream(seed: int, *keys: int) -> np.random.Generator:
    """Generator of one purpose: geometry, gain, noise … each has its own, so that redrawing one leaves the others."""
    return np.random.default_rng([seed, *keys])


def build_scene(recipe: Recipe) -> Scene:
    """The sample of a recipe; the same for the same seed, whatever the thickness and the instrument."""
    size = np.array(recipe.shape) * recipe.pixel_size
    low, high = np.full(2, -MARGIN), size + MARGIN
    rng = stream(recipe.seed, GEOMETRY_STREAM)
    limit = 0.25 * float(size.min())
    layout = replace(recipe.layout, radius=(min(recipe.layout.radius[0], limit), min(recipe.layout.radius[1], limit)))
    if recipe.geometry == "planar":
        return _scene(recipe, (), np.empty((0, 2)), np.empty(0), low, high)
    if recipe.geometry == "disc":
        radius = np.array([layout.disc_radius or 0.3 * float(size.min())])
        return _scene(recipe, (circle((size / 2).tolist(), float(radius[0])),), size[None] / 2, radius, low, high)
    if recipe.geometry == "spheres":
        return _spheres(recipe, layout, rng, low, high)
    return _composite(recipe, layout, rng, low, high)


def _scene(recipe: Recipe, outlines: tuple[Floats, ...], centre: Floats, radius: Floats, low: Floats, high: Floats) -> Scene:
    """Bare particles with their shells; nothing else yet."""
    n = len(outlines)
    spread = recipe.departures.thickness_spread
    log_sd = np.sqrt(np.log1p(spread**2))
    factor = np.exp(log_sd * stream(recipe.seed, SPREAD_STREAM).standard_normal(n) - 0.5 * log_sd**2)
    return Scene(
        outlines=outlines,
        centre=centre,
        radius=radius,
        sphere_radius=np.full(n, np.inf),
        height=np.zeros(n),
        thickness=recipe.thickness * factor,
        thickness_SOx=recipe.thickness_SOx * factor,
        contact=np.ones(n),
        cracked=np.zeros(n, bool),
        core_yield=np.full(n, recipe.departures.core_yield),
        cracks=(),
        fibres=(),
        voids=(),
        caps=np.empty((0, 4)),
        low=low,
        high=high,
    )


def _composite(recipe: Recipe, layout: Layout, rng: np.random.Generator, low: Floats, high: Floats) -> Scene:
    area = float(np.prod(high - low))
    radii = _radii(rng, layout.radius, layout.fill * area)
    waves = [random_waves(rng, layout.roughness) for _ in radii]
    reach = np.array([r * (1 + np.abs(a).sum()) for r, (a, _) in zip(radii, waves, strict=True)])
    gaps = np.where(rng.random(len(radii)) < layout.touching, TOUCHING_GAP, layout.gap)
    centre, placed = place(rng, reach, gaps, low, high)
    outlines = tuple(wavy(c, radii[i], *waves[i]) for c, i in zip(centre, placed, strict=True))
    scene = _scene(recipe, outlines, centre, radii[placed], low, high)
    cracked = rng.random(len(outlines)) < layout.cracked
    cracks = tuple(c for i in np.flatnonzero(cracked) for c in _cracks(rng, scene.centre[i], scene.radius[i]))
    sickles, contact = _contact_losses(rng, scene.outlines, layout.contact_loss)
    voids = _free_voids(rng, scene, layout, area)
    fibres = _fibres(rng, scene, voids, layout, area)
    return replace(scene, cracked=cracked, cracks=cracks, contact=contact, voids=(*voids, *sickles), fibres=fibres)


def _spheres(recipe: Recipe, layout: Layout, rng: np.random.Generator, low: Floats, high: Floats) -> Scene:
    """Section through spheres: log-uniform radii, cut in proportion to their radius, at a uniform height."""
    area = float(np.prod(high - low))
    sphere, height = random_cuts(rng, max(8, int(4 * layout.fill * area / layout.radius[0] ** 2)), layout.radius)
    cut = np.sqrt(sphere**2 - height**2)
    enough = np.searchsorted(np.cumsum(np.pi * cut**2), layout.fill * area) + 1
    order = np.argsort(-cut[:enough], kind="stable")
    reach = np.sqrt((sphere + _SPHERE_CLEARANCE) ** 2 - height**2)
    centre, placed = place(rng, reach[order], np.full(len(order), layout.gap), low, high)
    kept = order[placed]
    outlines = tuple(circle(c, r) for c, r in zip(centre, cut[kept], strict=True))
    scene = _scene(recipe, outlines, centre, cut[kept], low, high)
    caps = _caps(recipe, layout, scene, reach[kept])
    return replace(scene, sphere_radius=sphere[kept], height=height[kept], caps=caps)


def random_cuts(rng: np.random.Generator, n: int, radius: tuple[float, float]) -> tuple[Floats, Floats]:
    """Radii and heights of `n` spheres that a random plane cuts, if radii are log-uniform in the sample.

    A sphere is met in proportion to its radius, which makes log-uniform radii uniform among the spheres met.
    """
    spheres = rng.uniform(*radius, n)
    return spheres, spheres * rng.uniform(-1, 1, n)


def _caps(recipe: Recipe, layout: Layout, scene: Scene, taken: Floats) -> Floats:
    """Spheres whose shell is cut and whose core is not: round spots of shell without a core."""
    if recipe.thickness == 0:
        return np.empty((0, 4))
    rng = stream(recipe.seed, CAP_STREAM)
    low, high = layout.radius
    mean = (high - low) / np.log(high / low) if high > low else low
    n = rng.poisson(len(scene.outlines) * recipe.thickness / mean)
    spheres = np.exp(rng.uniform(np.log(low), np.log(high), n))
    heights = spheres + recipe.thickness * rng.random(n)
    reach = np.sqrt((spheres + recipe.thickness) ** 2 - heights**2)
    occupied = (scene.centre, taken)
    centre, placed = place(rng, reach, np.full(n, layout.gap), scene.low, scene.high, occupied=occupied)
    return np.column_stack([centre, spheres[placed], heights[placed]])


def _radii(rng: np.random.Generator, bounds: tuple[float, float], area: float) -> Floats:
    """Log-uniform radii, largest first, until their discs cover `area`."""
    draws = np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), int(area / (np.pi * bounds[0] ** 2)) + 1))
    covered = np.cumsum(np.pi * draws**2)
    kept = draws[: np.searchsorted(covered, area) + 1] if area > 0 else draws[:0]
    return np.sort(kept)[::-1]


def place(
    rng: np.random.Generator,
    reach: Floats,
    gaps: Floats,
    low: Floats,
    high: Floats,
    *,
    occupied: tuple[Floats, Floats] | None = None,
    tries: int = 400,
) -> tuple[Floats, NDArray[np.int64]]:
    """Random sequential placement of discs, in the order given: centres, and which of them found a place.

    A disc keeps `gap` from the others; it may lie half outside the box.
    """
    centre, radius = occupied if occupied is not None else (np.empty((0, 2)), np.empty(0))
    start, placed = len(centre), []
    for i, (own, gap) in enumerate(zip(reach, gaps, strict=True)):
        candidates = rng.uniform(low, high, (tries, 2))
        distance = np.hypot(*(candidates[:, None] - centre).transpose(2, 0, 1)) - radius
        free = np.flatnonzero((distance >= own + gap).all(axis=1))
        if free.size:
            centre, radius = np.vstack([centre, candidates[free[:1]]]), np.append(radius, own)
            placed.append(i)
    return centre[start:], np.array(placed, np.int64)


def _cracks(rng: np.random.Generator, centre: Floats, radius: float) -> list[Floats]:
    """One to three jagged cracks from near the centre, tapering to nothing at 0.55 to 0.72 of the radius."""
    cracks = []
    direction = rng.uniform(0, 2 * np.pi)
    for _ in range(rng.integers(1, 4)):
        along = np.linspace(0.08, rng.uniform(0.55, 0.72), 9) * radius
        sideways = np.cumsum(rng.normal(0, 0.025 * radius, along.size))
        cos, sin = np.cos(direction), np.sin(direction)
        line = np.column_stack([centre[0] + along * sin + sideways * cos, centre[1] + along * cos - sideways * sin])
        cracks.append(strand(line, np.linspace(rng.uniform(0.015, 0.035) * radius, 0.005, along.size)))
        direction += rng.uniform(1.5, 2.8)
    return cracks


def _contact_losses(rng: np.random.Generator, outlines: tuple[Floats, ...], share: float) -> tuple[list[Floats], Floats]:
    """Sickle-shaped voids on a share of the outlines, and the share of each outline still in contact."""
    sickles, contact = [], np.ones(len(outlines))
    for i, outline in enumerate(outlines):
        lost, start, width, chosen = rng.uniform(0.15, 0.4), rng.integers(len(outline)), rng.uniform(0.25, 0.5), rng.random()
        if chosen < share:
            count = int(lost * len(outline))
            sickles.append(crescent(outline, int(start), count, width, 0.05))
            lengths = np.hypot(*(np.roll(outline, -1, axis=0) - outline).T)
            contact[i] = 1 - lengths[(start + np.arange(count)) % len(outline)].sum() / lengths.sum()
    return sickles, contact


def _free_voids(rng: np.random.Generator, scene: Scene, layout: Layout, area: float) -> tuple[Floats, ...]:
    radii = _radii(rng, (0.2, 0.8), layout.voids * area)
    cores = Outlines(scene.outlines) if scene.outlines else None
    centre, radius, voids = np.empty((0, 2)), np.empty(0), []
    for own in radii:
        waves = random_waves(rng, 0.2)
        reach = own * (1 + np.abs(waves[0]).sum())
        candidates = rng.uniform(scene.low, scene.high, (60, 2))
        free = (np.hypot(*(candidates[:, None] - centre).transpose(2, 0, 1)) - radius > reach).all(axis=1)
        if cores is not None:
            free &= cores.signed(candidates)[0] > reach + 0.5 * layout.gap
        if free.any():
            spot = candidates[free][:1]
            centre, radius = np.vstack([centre, spot]), np.append(radius, reach)
            voids.append(wavy(spot[0], own, *waves))
    return tuple(voids)


def _fibres(rng: np.random.Generator, scene: Scene, voids: tuple[Floats, ...], layout: Layout, area: float) -> tuple[Floats, ...]:
    """Slightly bent carbon fibres between the particles, until they cover their share or 60 in a row find no room."""
    from scipy.spatial.distance import cdist

    obstacles = (*scene.outlines, *voids)
    nearest = Outlines(obstacles) if obstacles else None
    fibres: list[Floats] = []
    points = np.empty((0, 2))
    covered, failures = 0.0, 0
    while covered < layout.fibres * area and failures < 60:
        length, half_width = rng.uniform(1.5, 8), rng.uniform(0.08, _WIDEST_FIBRE)
        lines = np.stack([_bent_line(rng, scene, length) for _ in range(40)])
        room = np.ones(len(lines), bool)
        if nearest is not None:
            distance = nearest.signed(lines.reshape(-1, 2))[0].reshape(lines.shape[:2])
            room = distance.min(axis=1) > half_width + 0.5 * layout.gap
        if len(points):
            room &= cdist(lines.reshape(-1, 2), points).reshape(len(lines), -1).min(axis=1) > 2 * _WIDEST_FIBRE + 0.1
        if room.any():
            line = lines[np.argmax(room)]
            fibres.append(strand(line, np.full(len(line), half_width)))
            points = np.vstack([points, line])
            covered, failures = covered + 2 * half_width * length, 0
        else:
            failures += 1
    return tuple(fibres)


def _bent_line(rng: np.random.Generator, scene: Scene, length: float) -> Floats:
    direction = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.02, 40)) + rng.normal(0, 0.02) * np.arange(40)
    steps = length / 40 * np.column_stack([np.sin(direction), np.cos(direction)])
    return np.asarray(rng.uniform(scene.low, scene.high) + np.cumsum(steps, axis=0))
