"""The spectra's way to the maximum: multiplicative steps, lengthened by momentum as long as the likelihood agrees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FLOOR = 1e-12  # of a spectrum of sum 1: a multiplicative step cannot leave an exact zero
LONGEST = 10.0  # factor by which momentum may change a value in one step
SLOWEST = 0.98  # rate of shrinking that an estimate reckons with
FIRST, GROWTH = 1.0, 1.1  # momentum, and what it grows by with each success


class Walk:
    """Spectra h (K, k), columns of sum 1 of which the first `n_fixed` stay, moved by `accept` and `step` in turns.

    `noise` is the rounding error of an objective. `target` (sums (K, k), h) gives where a step leads: the sums, scaled to 1,
    unless the spectra are penalised.
    """

    def __init__(
        self, h: Floats, *, noise: float, n_fixed: int = 0, target: Callable[[Floats, Floats], Floats] | None = None
    ) -> None:
        self.h, self.progress, self.history = h, np.inf, list[float]()
        self._noise, self._n_fixed, self._target = noise, n_fixed, target or scaled
        self._plain: Floats | None = None
        self._before: tuple[Floats, Floats] | None = None
        self._momentum, self._long = FIRST, False

    def accept(self, objective: float) -> bool:
        """Whether the objective at h is no worse than at the last accepted h; if not, h is the plain step from there again."""
        best = self.history[-1] if self.history else np.inf
        if self._long and objective > best + self._noise:
            assert self._plain is not None
            self.h, self._long, self._momentum = self._plain, False, 0.5 * self._momentum
            return False
        self.progress = best - objective
        self.history.append(objective)
        return True

    def step(self, pull: Floats) -> float:
        """Move on from h, where rows at their maximum pull with Σ w v / wh (K, k); the nats that are still to be gained.

        One multiplicative step gains at least D, the divergence of its target from h. If steps shrink by a factor r, as the last
        two show, D / (1 − r) is left in all; or what the objective itself promises, if that is more.
        """
        sums = self.h * pull
        totals = sums.sum(axis=0)
        target = np.maximum(self._target(sums, self.h), FLOOR)
        target /= target.sum(axis=0)
        target[:, : self._n_fixed] = self.h[:, : self._n_fixed]
        known = np.maximum(self.h, FLOOR)
        gain = float(np.sum(totals * (target * np.log(target / known) - target + known)))
        shrinkage, last = 0.5, self._before
        if last is not None:
            moved, weight = self.h - last[0], totals / target
            there = float(np.sum(weight * moved**2))
            shrinkage = float(np.sum(weight * moved * (target - last[1]))) / there if there > 0 else 0.0
        self._before = self.h, target
        self._plain = target
        if self.progress >= 0:
            origin, power = (known, 1.0) if last is None else (np.maximum(last[1], FLOOR), self._momentum)
            ahead = target * np.clip(target / origin, 1 / LONGEST, LONGEST) ** power
            self._momentum, self._long = self._momentum * (1.0 if last is None else GROWTH), True
        else:
            ahead, self._long = target, False
        ahead = np.maximum(ahead, FLOOR)
        self.h = ahead / ahead.sum(axis=0)
        self.h[:, : self._n_fixed] = target[:, : self._n_fixed]
        return max(gain / (1 - float(np.clip(shrinkage, 0.0, SLOWEST))), to_come(self.history))


def to_come(history: list[float]) -> float:
    """What a falling objective still loses if its last stretches shrink as they did: the sum of a geometric series."""
    stretch = min(4, (len(history) - 1) // 2)
    if stretch < 1:
        return np.inf
    last, before = history[-1 - stretch] - history[-1], history[-1 - 2 * stretch] - history[-1 - stretch]
    rate = float(np.clip(last / before if before > 0 else 0.0, 0.0, SLOWEST))
    return max(last, 0.0) * rate / (1 - rate)


def scaled(sums: Floats, h: Floats) -> Floats:
    """Sums of a column of zeros leave its spectrum as it is."""
    totals = sums.sum(axis=0)
    return np.where(totals > 0, sums / np.where(totals > 0, totals, 1), h)
