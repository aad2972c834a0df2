"""What lies around a core: its regions, what it is in contact with, and where carbon, voids and cracks spoil the contact."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import canonical, channel_dim, fragment_index, measured_mask, pixel_size
from ssbmaps._errors import DataQualityWarning, SsbmapsError
from ssbmaps.interfaces._edge_width_fit import ALONE
from ssbmaps.interfaces._region import around, fill_holes
from ssbmaps.maps._cracks import close_cracks
from ssbmaps.maps._flags import read_flags
from ssbmaps.maps._levels import NotTwoLevels, smoothed, two_levels
from ssbmaps.maps._particles import split
from ssbmaps.maps._phases import label_phases

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int32]

CORE, SURROUNDINGS, OTHERS, VOID, SHELL = "core", "surroundings", "others", "void", "interphase"
NECK = 0.7  # of the smaller part: touching particles are told apart at narrower necks
SMALLEST = 2.0  # σ across: smaller cores show no level of their own


@dataclass(frozen=True)
class Ground:
    """The core's regions with holes and cracks closed, pixels that no image may be asked about, and usable ones (y, x).

    `particle` numbers the particles, 0 elsewhere; `sigma` is the width of the edges in um, `n_small` how many regions were left
    out for their size.
    """

    core: Bools
    measured: Bools
    closed: Bools
    usable: Bools
    particle: Ints
    sigma: float
    n_small: int


def default_channels(names: Sequence[str], used: set[str]) -> dict[str, list[str]]:
    """Ions not of core or shells: those without carbon and oxygen mark the surroundings, carbon clusters other materials."""
    from ssbmaps._ions import parse_ion

    found: dict[str, list[str]] = {SURROUNDINGS: [], OTHERS: []}
    for name in names:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DataQualityWarning)
                elements = {symbol for symbol, _, _ in parse_ion(str(name)).atoms}
        except SsbmapsError:
            continue
        if name not in used and not elements & {"C", "O"}:
            found[SURROUNDINGS].append(name)
        elif name not in used and elements == {"C"}:
            found[OTHERS].append(name)
    return found


def labelled(
    totals: xr.DataArray, core: Any, shells: Mapping[str, list[str]], around: Mapping[str, list[str]], rng: Any
) -> xr.DataArray:
    """Labels of core, shells, surroundings and others, each only where its marker shows two levels; voids by all maps."""
    phases: dict[str, Any] = {CORE: core}
    shell = sorted({f for fragments in shells.values() for f in fragments})
    bright = _marked(totals, [core] if isinstance(core, str) else list(core))
    for name, fragments in ((SURROUNDINGS, around[SURROUNDINGS]), (OTHERS, around[OTHERS]), (SHELL, shell)):
        own = _marked(totals, fragments) if fragments else None
        # what is found in the core as well marks no other phase
        if own is not None and bright is not None and own[bright].mean() < 0.5:
            phases[name] = fragments
    return label_phases(totals, phases, voids=VOID if SURROUNDINGS in phases else None, rng=rng)


def blind(labels: xr.DataArray) -> str:
    """A sentence where labels know of no surroundings, or nothing."""
    if SURROUNDINGS in str(labels.attrs["flag_meanings"]).split():
        return ""
    return (
        "no fragment marks what surrounds the core, so that voids and lost contact cannot be told. Name it in surroundings=, for "
        "example 'S-'; pixels to leave out go into where=."
    )


def _marked(totals: xr.DataArray, fragments: Sequence[str]) -> Bools | None:
    """Where the smoothed sum of fragments lies above its half level; None unless it shows two levels beyond its noise."""
    ordered = canonical(totals)
    index = fragment_index(ordered, fragments, subject="surroundings")
    axis = int(ordered.get_axis_num(channel_dim(ordered, subject="surroundings") or "fragment"))
    marker = np.take(np.asarray(ordered.values), index, axis=axis).sum(axis=axis, dtype=np.float64)
    known = measured_mask(ordered)
    measured = np.isfinite(marker) if known is None else known & np.isfinite(marker)
    smooth = smoothed(marker, measured, (1.0, 1.0))
    try:
        low, high = two_levels(marker, smooth, measured, (1.0, 1.0), 3, poisson=totals.dtype.kind in "iu")
    except NotTwoLevels:
        return None
    return np.asarray(measured & (smooth > 0.5 * (low + high)))


def ground_of(
    labels: xr.DataArray, phase: str, avoid: Sequence[str], *, max_hole: float, max_crack: float, subject: str
) -> Ground:
    """The core's regions and the pixels that see nothing but core, shell and surroundings."""
    flags = read_flags(labels, subject=subject)
    pixel = pixel_size(labels, subject=subject)
    mask = flags.mask(phase, subject=subject)
    size = float(np.sqrt(pixel[0] * pixel[1]))
    sigma = float(labels.attrs.get("blur", size))
    if not mask.any():
        raise SsbmapsError(f"{subject}: no pixel belongs to the core, so it has no edge. Check the fragment of the core.")
    if not (flags.measured & ~mask).any():
        raise SsbmapsError(f"{subject}: every measured pixel belongs to the core, so it has no edge in this map.")
    whole = close_cracks(fill_holes(mask, max_hole / (pixel[0] * pixel[1])), max_crack, pixel)
    particle, n_small = _particles(whole, pixel, sigma, subject=subject)
    core = particle > 0
    bad = (whole & ~mask) | (whole & ~core)
    for name in avoid:
        if name in flags.names:
            bad |= flags.mask(name, subject=subject) & ~core
    usable = flags.measured & ~around(bad, ALONE * sigma, pixel)
    return Ground(core, flags.measured, whole & ~mask, usable, particle, sigma, n_small)


def _particles(whole: Bools, pixel: tuple[float, float], sigma: float, *, subject: str) -> tuple[Ints, int]:
    """Numbered particles without those smaller than the beam allows; raises where none is left."""
    from scipy.ndimage import distance_transform_edt

    parts = split(whole, pixel, NECK)
    area = np.bincount(parts.ravel()) * pixel[0] * pixel[1]
    across = np.sqrt(4 * area / np.pi)
    large = across >= SMALLEST * sigma
    large[0] = False
    depth = distance_transform_edt(np.pad(whole, 1, mode="edge"), sampling=pixel)[1:-1, 1:-1]
    half = 0.5 * min(pixel)  # from the outermost pixels' centres to the edge
    thickness = 4 * (float(depth[large[parts]].mean()) - half) if large.any() else 0.0  # exact for a strip
    if not large.any():
        raise SsbmapsError(
            f"{subject}: the largest region of the core is {across[1:].max():.2g} um across, less than 2 σ = "
            f"{SMALLEST * sigma:.2g} um of the edges in this map: it never shows a level of its own, so that its edge and a "
            "shell around it cannot be measured."
        )
    if thickness < ALONE * sigma:
        raise SsbmapsError(
            f"{subject}: the core is {thickness:.2g} um thick on average, less than 4 σ = {ALONE * sigma:.2g} um of "
            "the edges in this map, as fibres are: both edges lie in one blur, and no thickness beside them means anything. "
            "Take a thicker core."
        )
    numbers = np.zeros(len(area), np.int32)
    numbers[large] = np.arange(1, int(large.sum()) + 1)
    return numbers[parts], int((~large[1:]).sum())
