"""The instrument's own marks: gain, drift, transient, leak, dead time, and the drawing of counts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.synthetic._scene import stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.synthetic._recipe import Instrument, Recipe

    Floats = NDArray[np.float64]

GAIN_STREAM, DRIFT_STREAM, NOISE_STREAM = 1, 2, 3
_WAVES = 60


def gain_field(recipe: Recipe, y: Floats, x: Floats) -> Floats:
    """Smooth random (y, x) gain with mean 1 and the wanted standard deviation over the map."""
    instrument = recipe.instrument
    if instrument.gain == 0:
        return np.ones((y.size, x.size))
    field = smooth_field(stream(recipe.seed, GAIN_STREAM), y, x, instrument.gain_length)
    return np.asarray(1 + instrument.gain * np.clip((field - field.mean()) / field.std(), -3, 3))


def smooth_field(rng: np.random.Generator, y: Floats, x: Floats, length: float) -> Floats:
    """Sum of plane waves with Gaussian-distributed frequencies: a random (y, x) field that varies on `length` um."""
    k = rng.normal(0, 1 / length, (_WAVES, 2))
    phase = rng.uniform(0, 2 * np.pi, _WAVES)
    angles_y, angles_x = np.outer(y, k[:, 0]) + phase, np.outer(x, k[:, 1])
    return np.asarray((np.cos(angles_y) @ np.cos(angles_x).T - np.sin(angles_y) @ np.sin(angles_x).T) / np.sqrt(_WAVES / 2))


def drift_path(recipe: Recipe) -> tuple[Floats, Floats]:
    """Position (y, x) of each scan in um about a mean of 0: a straight line plus a random walk."""
    rng = stream(recipe.seed, DRIFT_STREAM)
    direction = rng.uniform(0, 2 * np.pi)
    n = recipe.n_scans
    line = np.linspace(-0.5, 0.5, n) * recipe.instrument.drift if n > 1 else np.zeros(1)
    walk = np.cumsum(rng.normal(0, 1, (2, n)), axis=1) * recipe.instrument.drift_walk
    path = np.stack([np.sin(direction) * line, np.cos(direction) * line]) + walk
    path -= path.mean(axis=1, keepdims=True)
    return path[0], path[1]


def transient_curve(instrument: Instrument, fragments: Sequence[str], n_scans: int) -> Floats:
    """(scan, fragment) factor 1 + a exp(−k / depth)."""
    amplitude = np.array([instrument.transient.get(f, 0.0) for f in fragments])
    return 1 + amplitude * np.exp(-np.arange(n_scans) / instrument.transient_depth)[:, None]


def leak_matrix(instrument: Instrument, fragments: Sequence[str]) -> Floats:
    """(source, fragment) shares; the diagonal is 1, what leaks is counted a second time elsewhere."""
    matrix = np.eye(len(fragments))
    for source, target, share in instrument.leak:
        matrix[fragments.index(source), fragments.index(target)] += share
    return matrix


def masking(mz: Floats, *, dead_time: float, flight_time: float) -> list[NDArray[np.int64]]:
    """For each fragment the lighter ones that arrive at most `dead_time` (ns) before it; flight time is `flight_time`·√m us."""
    arrival = 1000 * flight_time * np.sqrt(mz)
    return [np.flatnonzero((arrival < t) & (t - arrival < dead_time)) for t in arrival]


def detected(rate: Floats, mz: Floats, instrument: Instrument) -> Floats:
    """Mean counts of one scan, (fragment, …), from the mean number of ions: at most one count per dead-time window and shot."""
    if instrument.dead_time == 0:
        return rate
    shots = float(instrument.shots)
    partners = masking(mz, dead_time=instrument.dead_time, flight_time=instrument.flight_time)
    counts = np.empty_like(rate)
    for i in np.argsort(mz, kind="stable"):
        free = np.maximum(shots - counts[partners[i]].sum(axis=0), 0.0)
        counts[i] = free * -np.expm1(-rate[i] / shots)
    return counts


def draw(
    expected: NDArray[np.float32], mz: Floats, *, seed: int, shots: int, dead_time: float, flight_time: float
) -> NDArray[np.uint32]:
    """Counts (scan, fragment, y, x) for expected counts: Poisson, or binomial out of the shots that are not yet dead.

    Each scan has its own generator, so that the result does not depend on the number of threads.
    """
    counts = np.empty(expected.shape, np.uint32)
    partners = masking(mz, dead_time=dead_time, flight_time=flight_time)
    order = np.argsort(mz, kind="stable")

    def one_scan(k: int) -> None:
        rng = stream(seed, NOISE_STREAM, k)
        for i in order:
            mean = expected[k, i].astype(np.float64)
            if dead_time == 0:
                counts[k, i] = rng.poisson(mean)
            elif partners[i].size == 0:
                counts[k, i] = rng.binomial(shots, np.minimum(mean / shots, 1.0))
            else:
                free = shots - counts[k, partners[i]].sum(axis=0, dtype=np.int64)
                mean_free = shots - expected[k, partners[i]].sum(axis=0, dtype=np.float64)
                counts[k, i] = rng.binomial(np.maximum(free, 0), np.clip(mean / np.maximum(mean_free, 1e-9), 0.0, 1.0))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one_scan, range(len(expected))))
    return counts
