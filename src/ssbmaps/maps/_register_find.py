"""The map between two stacks: searched for or started from a guess, refined, verified, with its error; or a letter why not.

Arrays only; maps are (2, 3) from um of the fixed raster to um of the sampled one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import RegistrationError
from ssbmaps.maps._map_error import pair_shifts
from ssbmaps.maps._map_fit import Fitted, finish, step_down
from ssbmaps.maps._map_images import criterion
from ssbmaps.maps._map_search import coarse, search
from ssbmaps.maps._map_support import Support, support

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._map_images import Stack
    from ssbmaps.maps._map_search import Candidate, Coarse

    Floats = NDArray[np.float64]

_SIDES = (36, 72)  # px along the longer side of the maps that are searched
_TRIED = 8  # candidates that are refined
_APART = 2.0  # coarse pixels
_FINE = 3.0  # px of smoothing; below, the last step takes over
_CHANCE = 1e-5  # of unrelated maps to be taken for related
_NEAR = 0.05  # by which a refined scale may leave the range that was searched
_RIVAL = 1.1  # times the evidence; a map that is its own mirror image has as much either way
_CLOSE = 0.6  # times the evidence, from which on a rough search for the mirrored map is followed by a full one
_DISAGREE = 0.05  # p below which pairs widen the error
_REASONS = (
    "The maps may not overlap, show nothing in common, have other pixel sizes than stated, or be too noisy; name other pairs, "
    "sum scans, or give initial= or landmarks=."
)
_WITHIN = 400  # placements that a refinement from a guess can reach


@dataclass(frozen=True)
class Wanted:
    """What is looked for: kind of map, range of rotation (degrees) and scale factor either way, least overlap."""

    model: str
    rotation: float
    scale: float
    overlap: float


@dataclass(frozen=True)
class Found:
    """The fit, its support, how many placements it was chosen among, the overlap, and whether the pairs agree (p)."""

    fit: Fitted
    support: Support
    trials: float
    overlap: float
    agreement: float


def find(fixed: Stack, sampled: Stack, wanted: Wanted, start: Floats | None, *, subject: str) -> Found:
    """The map with most mutual information, verified; RegistrationError says what speaks against it.

    Without a start it is searched for on maps of few pixels, and on larger ones if what these show does not hold.
    """
    if start is not None:
        return _judged(fixed, sampled, [start], wanted, 4 * max(fixed.raster.pixel), float(_WITHIN), subject)
    trials, refused = 0.0, RegistrationError(f"{subject}: {_nothing(fixed, sampled, wanted)}")
    for side in _SIDES:
        at = coarse(fixed, sampled, side)
        candidates, looked = _candidates(at, wanted)
        trials += looked
        starts = _apart([c.matrix for c in candidates], fixed, _APART * at.step)[:_TRIED]
        if not starts:
            continue
        found = None
        try:
            found = _judged(fixed, sampled, starts, wanted, at.step, trials, subject)
        except RegistrationError as error:
            refused = error
        if found is None and side > _SIDES[0]:  # there the mirrored one takes seconds, too
            continue
        rival, certain = _mirrored(at, wanted, candidates[0])
        if found is not None and not rival:
            return found
        if certain or found is not None:
            refused = RegistrationError(f"{subject}: {rival}")
        if certain:
            break
    raise refused


def _judged(
    fixed: Stack, sampled: Stack, starts: list[Floats], wanted: Wanted, step: float, trials: float, subject: str
) -> Found:
    """The best map that can be reached from the starts, or what speaks against it."""
    best = _best(fixed, sampled, starts, wanted, step)
    fit = finish(fixed, sampled, best, model=wanted.model)
    if fit is None:
        raise RegistrationError(f"{subject}: at no place that was tried do the maps hold one another. {_REASONS}")
    seen = support(fit.criterion, fit.g)
    overlap = fit.criterion.overlap(fit.g)
    faults = _faults(fit, seen, trials, overlap, wanted)
    if faults:
        raise RegistrationError(f"{subject}: {' '.join(faults)}")
    agreement, factor = _agreement(fit)
    return Found(replace(fit, covariance=fit.covariance * factor), seen, trials, overlap, agreement)


def _candidates(at: Coarse, wanted: Wanted, *, flip: str = "", rough: bool = False) -> tuple[list[Candidate], float]:
    """Places found on coarse maps, best first, and how many placements were looked at."""
    rotation = wanted.rotation if wanted.model != "translation" else 0.0
    scale = wanted.scale if wanted.model in ("similarity", "affine") else 1.0
    found = search(at, rotation=rotation, scale=scale, least_overlap=wanted.overlap, flip=flip, rough=rough)
    return found, _placements(found, at)


def _placements(found: list[Candidate], at: Coarse) -> float:
    """How many independent placements were looked at: of neighbouring shifts, rotations and scales about one in 36 is."""
    fixed, sampled = at.fixed.raster, at.sampled.raster
    rasters = zip(fixed.shape, fixed.pixel, sampled.shape, sampled.pixel, strict=True)
    sides = [(f * fp + s * sp) / at.step for f, fp, s, sp in rasters]
    return max(len(found) * float(np.prod(sides)) / 36, 1.0)


def _apart(maps: list[Floats], fixed: Stack, distance: float) -> list[Floats]:
    """Those of `maps` that put a corner of the fixed raster `distance` um or more from where any earlier one puts it."""
    low = np.array(fixed.raster.first)
    high = low + (np.array(fixed.raster.shape) - 1) * fixed.raster.pixel
    places = np.array([(y, x, 1) for y in (low[0], high[0]) for x in (low[1], high[1])])
    kept: list[Floats] = []
    for one in maps:
        if all(np.hypot(*(places @ (one - other).T).T).max() >= distance for other in kept):
            kept.append(one)
    return kept


def _best(fixed: Stack, sampled: Stack, starts: list[Floats], wanted: Wanted, step: float) -> Floats:
    """The start with most information in all, refined from smoothing by `step` um to a few pixels; those that meet are one."""
    sigma, left, pixel = step, starts, min(fixed.raster.pixel)
    while True:
        at = criterion(fixed, sampled, sigma, stride=max(int(sigma / pixel), 1))
        refined = [step_down(at, m, model=wanted.model) for m in left]
        refined.sort(key=lambda r: -r[1])
        left = _apart([matrix for matrix, _ in refined], fixed, sigma)[: max(len(left) // 2, 1)]
        sigma /= 2
        if sigma < _FINE * pixel:
            return left[0]


def _faults(fit: Fitted, seen: Support, trials: float, overlap: float, wanted: Wanted) -> list[str]:
    """What speaks against the map, each as a sentence."""
    faults = []
    chance = seen.chance(trials)
    if chance > _CHANCE:
        faults.append(
            f"the best place found does not stand out: held-out evidence speaks for it in {seen.positive} of {seen.blocks} "
            f"blocks, and the best of about {trials:.0f} placements would reach that with probability {chance:.2g}. " + _REASONS
        )
    sizes = np.linalg.svd(fit.matrix[:, :2], compute_uv=False)
    high, low = wanted.scale * (1 + _NEAR), 1 / (wanted.scale * (1 + _NEAR))
    if np.linalg.det(fit.matrix[:, :2]) <= 0:
        faults.append("the best map is mirrored.")
    elif sizes[0] > high or sizes[1] < low:
        faults.append(
            f"the best map scales by {sizes[1]:.3f} to {sizes[0]:.3f}, outside {low:.3f} to {high:.3f}; look at the stated pixel "
            "sizes, or widen scale=."
        )
    if overlap < wanted.overlap * 0.8:
        faults.append(f"the maps overlap by {overlap:.0%} of the smaller one, less than overlap={wanted.overlap:g} asks for.")
    error, side = fit.spread(), max(n * p for n, p in zip(fit.criterion.fixed.shape, fit.criterion.fixed.pixel, strict=True))
    if not error < 0.05 * side:
        faults.append(f"the position is known to {error:.3g} um only, of a map of {side:.3g} um.")
    return faults


def _mirrored(at: Coarse, wanted: Wanted, best: Candidate) -> tuple[str, bool]:
    """A sentence if the mirrored map fits somewhere better than any upright one, and whether it really belongs there.

    The same search of as many places: where it finds more, what was found upright is no more than the best of many.
    """
    rivals = [(flip, *_rival(at, wanted, best, flip)) for flip in "xy"]
    flip, found, trials = max(rivals, key=lambda r: r[1][0].evidence if r[1] else -np.inf)
    if not found or found[0].evidence <= _RIVAL * best.evidence:
        return "", False
    told = f"({found[0].evidence:.0f} against {best.evidence:.0f} nats on maps of {at.side} pixels)"
    sigma = at.step / 2
    fine = criterion(at.fixed, at.sampled, sigma, stride=max(int(sigma / min(at.fixed.raster.pixel)), 1))
    if support(fine, fine.parameters(found[0].matrix)).chance(2 * trials) >= _CHANCE:
        return f"the best place found does not stand out: mirrored, the moving map fits better {told}. {_REASONS}", False
    turned = "..., ::-1" if flip == "x" else "..., ::-1, :"
    sentence = (
        f"mirrored along {flip} the moving map fits better than in any upright place {told}. If it was recorded that way "
        f"round, flip it first, maps.copy(data=maps.data[{turned}])."
    )
    return sentence, True


def _rival(at: Coarse, wanted: Wanted, best: Candidate, flip: str) -> tuple[list[Candidate], float]:
    """The candidates of the mirrored map, and how many placements were looked at; roughly, unless they come near."""
    rough = _candidates(at, wanted, flip=flip, rough=True)
    if not rough[0] or rough[0][0].evidence <= _CLOSE * best.evidence:
        return rough
    return _candidates(at, wanted, flip=flip)


def _nothing(fixed: Stack, sampled: Stack, wanted: Wanted) -> str:
    sizes = [" x ".join(f"{n * p:.4g}" for n, p in zip(s.raster.shape, s.raster.pixel, strict=True)) for s in (fixed, sampled)]
    return (
        f"no placement lets maps of {sizes[0]} um and {sizes[1]} um overlap by overlap={wanted.overlap:g} of the smaller one's "
        "measured pixels; look at the stated pixel sizes."
    )


def _agreement(fit: Fitted) -> tuple[float, float]:
    """Whether each pair alone would put the map elsewhere: p of their scatter, and the factor on the covariance it asks for."""
    from scipy.stats import chi2

    shifts, spreads = pair_shifts(fit.criterion, fit.g)
    good = np.isfinite(shifts).all(axis=1)
    if good.sum() < 2:
        return 1.0, 1.0
    weights = np.linalg.inv(spreads[good])
    mean = np.linalg.solve(weights.sum(axis=0), np.einsum("kij,kj->i", weights, shifts[good]))
    off = shifts[good] - mean
    total, freedom = float(np.einsum("ki,kij,kj->", off, weights, off)), 2 * (int(good.sum()) - 1)
    chance = float(chi2.sf(total, freedom))
    return chance, total / freedom if chance < _DISAGREE else 1.0
