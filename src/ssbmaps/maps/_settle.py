"""Labels, levels and blur in turn until they agree: the labels that explain the maps when seen through the beam, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._beam_model import FINE, Levels, find_beam, fit_levels, next_beam
from ssbmaps.maps._relabel import Draws

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int16]

ROUNDS = 12  # of blur, levels and labels; the blur in every second one
SWEEPS, VOTES = 2, 8  # label maps drawn per round, and those that vote at the end
LEAP, MEMORY = 5.0, 0.8  # largest factor on a step, and the weight of the steps before the last
PASSES = 10  # over the classes, to give each its area
LEAST = 0.01  # of a channel's mean: the smallest variance of a count


@dataclass(frozen=True, slots=True)
class Settled:
    """Labels (0 = none of the phases), levels (K, F) over the whole map, and the blur σ in pixels."""

    labels: Labels
    whole: Floats
    sigma: float


def settle(
    labels: Labels,
    n: int,
    values: Floats,
    noise: Floats | None,
    measured: NDArray[np.bool_],
    aspect: Floats,
    rng: np.random.Generator,
) -> Settled:
    """Labels of `n` classes from first guesses; `values` (F, y, x), `noise` the variance of each channel or None for counts.

    Each round fits blur and levels to the labels and then draws label maps from their probability given these (Gibbs
    sampling), since labels at rest would pin their edges to the pixels. Labels lie on a grid finer than the maps, since a
    phase some 2 pixels wide cannot be built of whole pixels. What the last maps drawn say together is rounded to pixels.
    """
    from ssbmaps.maps._compiled import tally

    known = np.where(measured, values, 0.0)
    found = np.repeat(np.repeat(labels, FINE, 0), FINE, 1).astype(np.int16)
    positive = noise is None
    beam = find_beam(found, n, known, measured, aspect)
    gain = np.ones(labels.shape)
    pace = _Pace()
    for turn in range(ROUNDS):
        if turn and turn % 2 == 0:
            beam = next_beam(beam, found, n, known, gain, aspect)
        fitted, gain = fit_levels(beam.shares(found, n), known, gain, positive=positive)
        levels = _moved(fitted, pace.next(fitted.whole) - fitted.whole, positive=positive)
        levels = _without(levels, np.flatnonzero(np.bincount(found.ravel(), minlength=n)[1:] == 0) + 1)
        draws = Draws(found, known, lambda seen: _weight(known, seen, measured, noise), levels, beam)
        for _ in range(SWEEPS):
            found = draws.next(rng, everywhere=turn == 0)
    votes = np.zeros((n, *labels.shape), np.int32)
    for _ in range(VOTES):
        tally(votes, draws.next(rng), FINE)
    return Settled(np.where(measured, rounded(votes), 0).astype(np.int16), levels.whole, beam.sigma)


class _Pace:
    """Speeds up levels that follow their labels slowly: the step that a fit asks for, over the share it asks for at a time.

    A thin phase labelled too wide is given too low a level, which keeps it wide: each fit then mends only a part of what is
    wrong. How large that part is shows in how the next fit answers to a step. What is no phase (class 0) is left alone.
    """

    def __init__(self) -> None:
        self.used = self.asked = self.step = np.zeros(0)
        self.answer = self.length = np.zeros(0)

    def next(self, fitted: Floats) -> Floats:
        """Levels (K, F) to use next."""
        if not self.used.size:
            self.used, self.answer, self.length = fitted, np.zeros(len(fitted)), np.zeros(len(fitted))
            self.asked = self.step = np.zeros_like(fitted)
            return fitted
        asked = fitted - self.used
        scale = 1 / (np.ptp(fitted, axis=0) + np.finfo(float).tiny) ** 2
        self.answer = MEMORY * self.answer + ((self.asked - asked) * self.step) @ scale
        self.length = MEMORY * self.length + self.step**2 @ scale
        share = np.divide(self.answer, self.length, out=np.ones(len(fitted)), where=self.length > 0)
        share = np.clip(share, 1 / LEAP, 1)
        share[0] = 1
        self.asked, self.step = asked, asked / share[:, None]
        self.used = self.used + self.step
        return self.used


def _moved(levels: Levels, step: Floats, *, positive: bool) -> Levels:
    """Levels over the map and in every window moved by (K, F) steps."""
    whole, local = levels.whole + step, levels.local + step
    return Levels(np.maximum(whole, 0), np.maximum(local, 0)) if positive else Levels(whole, local)


def rounded(votes: NDArray[np.int32]) -> Labels:
    """One label per pixel (y, x) such that each label keeps the area it has in the votes (K, y, x).

    The most frequent label alone would take the thin parts of thin phases away. A number is added to the votes of each label,
    the same everywhere, until the areas agree; it only matters where votes are divided. Equal votes go with those around.
    """
    from scipy.ndimage import uniform_filter

    share = votes / np.maximum(votes.sum(axis=0).max(), 1)
    mixed = share.max(axis=0) < 1
    some = (share + uniform_filter(share, (0, 3, 3)) / 100)[:, mixed]
    target = np.round(share[:, mixed].sum(axis=1)).astype(int)
    lift = np.zeros(len(votes))
    for turn in range(PASSES * len(votes)):
        k = turn % len(votes)
        others = np.delete(some + lift[:, None], k, axis=0)
        if 0 < target[k] < some.shape[1]:
            needed = others.max(axis=0) - some[k]
            lift[k] = np.partition(needed, [target[k] - 1, target[k]])[target[k] - 1 : target[k] + 1].mean()
    result = share.argmax(axis=0).astype(np.int16)
    result[mixed] = (some + lift[:, None]).argmax(axis=0)
    return np.asarray(result, np.int16)


def _without(levels: Levels, absent: NDArray[np.int64]) -> Levels:
    """Levels under which no pixel takes the `absent` classes, whose levels are unknown."""
    local = levels.local.copy()
    local[..., absent, :] = 1e3 * max(float(np.abs(local).max()), 1.0)
    return Levels(levels.whole, local)


def _weight(values: Floats, expected: Floats, measured: NDArray[np.bool_], noise: Floats | None) -> Floats:
    """Inverse variance (F, y, x), 0 where nothing was measured, less where the model leaves more than noise.

    Counts take the variance they are expected to have, averaged over 2 pixels so that both sides of an edge share it.
    """
    from scipy.ndimage import gaussian_filter

    if noise is None:
        least = np.maximum(LEAST * values[:, measured].mean(axis=1), np.finfo(float).tiny)
        variance = np.maximum(gaussian_filter(expected, (0, 2, 2), truncate=2), least[:, None, None])
    else:
        variance = np.broadcast_to(noise[:, None, None], values.shape)
    residual = np.where(measured, (values - expected) ** 2 / variance, 0.0)
    dispersion = np.maximum(residual.sum(axis=(1, 2)) / measured.sum(), 1.0)
    return np.asarray(measured / variance / dispersion[:, None, None])
