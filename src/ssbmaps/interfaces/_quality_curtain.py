"""Stripes: power along one direction of the Fourier plane beyond that of an isotropic field seen through the same mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.interfaces._quality_check import Check, along, untestable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]

NAME = "curtaining"
QUANTITY = "strongest stripes of any direction, narrower than an eighth of the map: root mean square relative to the signal"
LEAST_SIDE = 32  # pixels
LEAST_SHARE = 0.1  # of the map that lies inside phases
LEAST_PIXELS = 64  # inside a phase
_LARGEST = 384  # pixels; larger maps are summed over 2 x 2
_LONGEST = 8  # periods of the longest wave in the map's shorter side; gain that varies is made of longer ones
_FINEST = 0.8  # of the Nyquist frequency
_TAPER = 0.2  # of each side
_CORE = 2.0  # frequency steps to either side of a line in which a stripe's power is summed
_SKIRT = 4.0  # frequency steps to either side of a stripe's line that its leakage through the taper fills
_REFERENCE = 199  # simulated fields that give the mean and the scatter of power; those of the test are others
_NEIGHBOURS = 30  # degrees over which the scatter of power is averaged
_REACHED = 10  # as many simulated fields with a larger score end the simulation
_PAD = 64  # pixels that a simulated field is larger than the map, so that it is not periodic in it


@dataclass(frozen=True)
class _Plane:
    """Frequencies (1/um) in use: flat indices of the half-plane, ring of each, and the wedges (a sparse matrix)."""

    index: NDArray[np.int64]
    ky: Floats
    kx: Floats
    ring: NDArray[np.int64]
    wedges: Any
    angles: Floats


def curtaining(
    total: Floats,
    labels: NDArray[Any],
    inner: NDArray[np.bool_],
    pixel: tuple[float, float],
    level: float,
    rng: np.random.Generator,
) -> Check:
    """Test of the total signal (y, x) for stripes, on pixels `inner` that lie well inside a phase.

    Each phase's mean and all that varies slowly, in waves longer than an eighth of the map, is taken off. In strips of one
    frequency step to either side of a line through the origin, over octaves of frequency and all of them, power is compared
    with the mean at the same radius. The null distribution of the largest excess over all directions comes from white noise
    and an isotropic Gaussian gain with the measured spectrum, seen through the same mask and flattened in the same way. Data
    and simulated fields are scored by the mean and the variance of further fields, so that they are exchangeable.
    """
    phases = _groups(labels, inner)
    if min(total.shape) < LEAST_SIDE or (phases > 0).mean() < LEAST_SHARE:
        return untestable(
            NAME,
            QUANTITY,
            f"{(phases > 0).mean():.0%} of {total.shape[0]} x {total.shape[1]} pixels lie inside phases, away from edges; 10 % "
            f"of {LEAST_SIDE} x {LEAST_SIDE} are needed",
        )
    view = _View.of(total, phases, pixel)
    plane = _plane(view.residual.shape, view.pixel)
    observed, spectrum = _ordinates(view, view.residual, plane)
    draws = (_ordinates(view, drawn, plane)[0] for drawn in _fields(view, rng))
    reference = np.stack([next(draws) for _ in range(_REFERENCE)])
    power = (plane.wedges @ np.vstack([observed, reference]).T).T
    mean = power[1:].mean(axis=0)
    spread = _spread(power[1:], len(plane.angles))
    score = _normal_score(power[0] / mean, spread)
    best, largest = int(score.argmax()), float(score.max())
    scores = (float(_normal_score(plane.wedges @ drawn / mean, spread).max()) for drawn in draws)
    p_value = _sequential(largest, scores, int(np.ceil(4 / level)) - 1)
    value, sd = _rms(view, plane, (observed, reference), spectrum, best % len(plane.angles))
    direction = float((plane.angles[best % len(plane.angles)] + 90) % 180)
    excess = (power[0] / mean - 1)[-len(plane.angles) :]
    finding = (
        f"power of stripes {along(direction)} exceeds that of an isotropic signal, {value:.1%} ± {sd:.1%} of the signal in root "
        "mean square: compatible with curtaining, scan lines, cracks, layers or a gain that varies this way"
    )
    run = (plane.angles + 90) % 180
    order = np.argsort(run)
    detail = {
        "stripe_angle": ("stripe_angle", run[order], {"units": "degree", "long_name": "direction of stripes from x towards y"}),
        "stripe_excess": ("stripe_angle", excess[order], {"units": "1", "long_name": "excess of directional power, relative"}),
    }
    return Check(NAME, QUANTITY, finding, value, sd, "1", largest, p_value, direction, detail)


def _sequential(observed: float, draws: Iterator[float], most: int) -> float:
    """Monte Carlo p-value from up to `most` draws; fewer once so many reach `observed` that the p-value is beyond doubt.

    Besag and Clifford 1991, doi:10.1093/biomet/78.2.301: under the null p ≤ u with a probability of at most u.
    """
    reached = 0
    for number, drawn in enumerate(islice(draws, most), start=1):
        reached += drawn >= observed
        if reached == _REACHED:
            return reached / number
    return (reached + 1) / (most + 1)


def _groups(labels: NDArray[Any], inner: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pixels inside each phase, numbered from 1; those elsewhere, and of phases with few such pixels, are 0."""
    _, group = np.unique(labels, return_inverse=True)
    group = np.where(inner, group.reshape(labels.shape) + 1, 0)
    large = np.bincount(group.ravel()) >= LEAST_PIXELS
    large[0] = False
    return np.where(large[group], group, 0).astype(np.int64)


@dataclass(frozen=True)
class _View:
    """The residual in standard deviations of counts, 0 elsewhere, with what a simulated field must go through too.

    `level` still holds what varies slowly, which is taken off in `residual`.
    """

    residual: Singles
    level: Singles
    phases: NDArray[np.int64]
    scale: Singles
    taper: Singles
    pixel: Floats

    @classmethod
    def of(cls, total: Floats, phases: NDArray[np.int64], pixel: tuple[float, float]) -> _View:
        size = np.asarray(pixel, float)
        expected = _phase_means(total, np.ones_like(total), phases)
        while min(total.shape) > _LARGEST:
            number = _summed(phases > 0)
            one = _summed(np.where(phases > 0, phases, 0)) / np.maximum(number, 1)
            first = phases[: 2 * number.shape[0] : 2, : 2 * number.shape[1] : 2]
            whole = (number == 4) & (one == first)
            total, expected = _summed(total), _summed(expected)
            phases, size = np.where(whole, first, 0), 2 * size
        used = (phases > 0) & (expected > 0)
        phases = np.where(used, phases, 0)
        scale = np.sqrt(np.where(used, expected, 0))
        rows, columns = (_edge_taper(n) for n in total.shape)
        residual = (np.where(used, total - expected, 0) / np.where(used, scale, 1)).astype(np.float32)
        taper = (rows[:, None] * columns).astype(np.float32)
        return cls(residual, residual, phases, scale.astype(np.float32), taper, size).flattened(residual)

    @cached_property
    def sigma(self) -> Floats:
        """Width in pixels of the Gaussian whose mean is taken off: a third is left of the longest wave in use."""
        return 1.5 * float(np.min(np.asarray(self.residual.shape) * self.pixel)) / (2 * np.pi * _LONGEST * self.pixel)

    @cached_property
    def weight(self) -> Singles:
        """Signal in that Gaussian."""
        return np.maximum(self.smooth(self.scale**2), np.float32(1e-12))

    @cached_property
    def gaussians(self) -> tuple[Singles, Singles]:
        """That Gaussian along y and x as matrices, with nothing beyond the frame."""
        from scipy.ndimage import gaussian_filter1d

        along = (
            gaussian_filter1d(np.eye(n), float(s), axis=0, mode="constant", truncate=3)
            for n, s in zip(self.residual.shape, self.sigma, strict=True)
        )
        rows, columns = (a.astype(np.float32) for a in along)
        return rows, columns

    def smooth(self, values: Singles) -> Singles:
        """Gaussian mean with nothing beyond the frame."""
        rows, columns = self.gaussians
        return np.asarray(rows @ values @ columns.T)

    def flattened(self, values: Singles) -> _View:
        """The same with a residual of `values` without each phase's mean and what varies slowly, in units of the signal."""
        level = values - self.scale * _phase_means(values * self.scale, self.scale**2, self.phases).astype(np.float32)
        level = np.where(self.phases > 0, level, np.float32(0))
        return replace(self, residual=level - self.scale * self.smooth(level * self.scale) / self.weight, level=level)


def _summed(array: NDArray[Any]) -> Floats:
    ny, nx = (n // 2 * 2 for n in array.shape)
    return np.asarray(array[:ny, :nx].reshape(ny // 2, 2, nx // 2, 2).sum(axis=(1, 3)), float)


def _phase_means(values: Floats | Singles, weight: Floats | Singles, phases: NDArray[np.int64]) -> Floats:
    """Σ values / Σ weight of each pixel's phase."""
    flat = phases.ravel()
    total, weights = np.bincount(flat, values.ravel()), np.bincount(flat, weight.ravel())
    return np.asarray((total / np.where(weights > 0, weights, 1))[phases])


def _edge_taper(n: int) -> Floats:
    width = _TAPER * n
    to_edge = np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5)
    return np.asarray(np.sin(np.pi / 2 * np.minimum(to_edge / width, 1)) ** 2)


def _plane(shape: tuple[int, ...], pixel: Floats) -> _Plane:
    from scipy.sparse import csr_array

    ky, kx = np.meshgrid(np.fft.fftfreq(shape[0], pixel[0]), np.fft.rfftfreq(shape[1], pixel[1]), indexing="ij")
    radius = np.hypot(ky, kx)
    step = _step(shape, pixel)
    lowest, highest = _LONGEST * step, _FINEST * 0.5 / float(pixel.max())
    index = np.flatnonzero((radius >= lowest) & (radius <= highest) & ((kx > 0) | (ky > 0)))
    ky, kx, radius = ky.ravel()[index], kx.ravel()[index], radius.ravel()[index]
    n_angles = int(np.ceil(np.pi * highest / step))
    angles = np.arange(n_angles) * 180 / n_angles
    edges = [*(lowest * 2.0 ** np.arange(int(np.ceil(np.log2(highest / lowest))))), np.inf]
    rows: list[Floats] = []
    columns: list[Floats] = []
    weights: list[Floats] = []
    bands = [*pairwise(edges), (0, np.inf)]
    for a, angle in enumerate(np.radians(angles)):
        weight = _beam(kx, ky, angle, step)
        near = np.flatnonzero(weight)
        for b, (low, high) in enumerate(bands):
            inside = near[(radius[near] >= low) & (radius[near] < high)]
            rows.append(np.full(len(inside), b * n_angles + a))
            columns.append(inside)
            weights.append(weight[inside])
    row, column = np.concatenate(rows), np.concatenate(columns)
    wedges = csr_array((np.concatenate(weights), (row, column)), shape=(len(bands) * n_angles, len(index)))
    return _Plane(index, ky, kx, np.round(radius / (2 * step)).astype(np.int64), wedges, angles)


def _ordinates(view: _View, field: Singles, plane: _Plane) -> tuple[Floats, Floats]:
    """Power over its mean at the same radius, and that mean by ring."""
    from scipy.fft import rfft2

    power = np.abs(rfft2(field * view.taper).ravel()[plane.index]) ** 2
    number = np.maximum(np.bincount(plane.ring), 1)
    mean = np.bincount(plane.ring, power) / number
    return power / np.maximum(mean[plane.ring], 1e-300), mean


def _fields(view: _View, rng: np.random.Generator) -> Iterator[Singles]:
    """Residuals of white noise and an isotropic Gaussian gain with the measured spectrum, flattened like the data."""
    from scipy.fft import fft2

    white, gain = _spectrum(view)
    shape = tuple(k + _PAD for k in view.residual.shape)
    ky, kx = (np.fft.fftfreq(k, p) for k, p in zip(shape, view.pixel, strict=True))
    ring = np.hypot(ky[:, None], kx) / (2 * _step(view.residual.shape, view.pixel))
    amplitude = np.sqrt(np.interp(ring, np.arange(len(gain)), gain) / ring.size).astype(np.float32)
    ny, nx = view.residual.shape
    while True:
        drawn = rng.standard_normal((2, *shape), np.float32)
        field = fft2(amplitude * (drawn[0] + 1j * drawn[1]))[:ny, :nx]
        for part in (field.real, field.imag):
            noise = np.float32(np.sqrt(white)) * rng.standard_normal((ny, nx), np.float32)
            yield view.flattened(noise + view.scale * part).residual


def _spectrum(view: _View) -> tuple[float, Floats]:
    """Variance of the white noise per pixel, and the gain's spectral density by ring (from 0 frequency on, two steps each).

    The slow variation is in: a simulated field loses it as the data do, and only once.
    """
    from scipy.fft import fft2

    power = np.abs(fft2(view.level * view.taper)) ** 2
    ky, kx = (np.fft.fftfreq(k, p) for k, p in zip(power.shape, view.pixel, strict=True))
    ring = np.round(np.hypot(ky[:, None], kx) / (2 * _step(power.shape, view.pixel))).astype(np.int64)
    number = np.bincount(ring.ravel())
    mean = np.bincount(ring.ravel(), power.ravel()) / np.maximum(number, 1)
    tail = slice(int(0.7 * ring[0].max()), int(ring[0].max()) + 1)
    floor = float(np.average(mean[tail], weights=number[tail]))
    covered = view.taper**2 * (view.phases > 0)
    return floor / float(covered.sum()), np.maximum(mean - floor, 0) / float((view.scale**2 * view.taper**2).sum())


def _spread(power: Floats, n_angles: int) -> Floats:
    """Relative variance of power (fields, bands x directions), averaged over neighbouring directions to make it firm."""
    from scipy.ndimage import uniform_filter1d

    relative = power.var(axis=0, ddof=1) / power.mean(axis=0) ** 2
    near = max(1, round(n_angles * _NEIGHBOURS / 180))
    return np.asarray(uniform_filter1d(relative.reshape(-1, n_angles), near, axis=1, mode="wrap").ravel())


def _normal_score(ratio: Floats, spread: Floats) -> Floats:
    """Gamma distributed power over its mean, of relative variance `spread`, as a standard normal number (Wilson, Hilferty)."""
    return np.asarray((np.cbrt(ratio) - (1 - spread / 9)) / np.sqrt(spread / 9))


def _rms(view: _View, plane: _Plane, ordinates: tuple[Floats, Floats], spectrum: Floats, angle: int) -> tuple[float, float]:
    """Root-mean-square of the stripes relative to the signal, and its standard error, from the power within two steps of a line.

    The mask spreads the power of a stripe: what it leaves near its line, above what it scatters to the same radius elsewhere,
    is the line's share. What was taken off as slowly varying is put back.
    """
    from scipy.fft import fft2

    turn, step = np.radians(plane.angles[angle]), _step(view.residual.shape, view.pixel)
    elsewhere = _beam(plane.kx, plane.ky, turn, _SKIRT * step) == 0
    power = np.vstack([ordinates[0], ordinates[1]]) * spectrum[plane.ring]
    sigma = float(view.sigma[0] * view.pixel[0])
    kept = (1 - np.exp(-2 * (np.pi * sigma) ** 2 * (plane.kx**2 + plane.ky**2))) ** 2
    line = (_beam(plane.kx, plane.ky, turn, _CORE * step) > 0) / kept
    excess = np.array([_above(row, plane.ring, elsewhere) for row in power]) @ line
    window = np.abs(fft2(view.scale * view.taper)) ** 2
    ky, kx = np.meshgrid(*(np.fft.fftfreq(n, p) for n, p in zip(window.shape, view.pixel, strict=True)), indexing="ij")
    ring = np.round(np.hypot(ky, kx) / (2 * step)).astype(np.int64).ravel()
    core = _beam(kx, ky, turn, _CORE * step).ravel() > 0
    elsewhere = _beam(kx, ky, turn, _SKIRT * step).ravel() == 0
    caught = float(_above(window.ravel(), ring, elsewhere)[core].sum()) / 2
    squared, squared_sd = max(float(excess[0]), 0.0) / caught, float(excess[1:].std(ddof=1)) / caught
    value = float(np.sqrt(squared))
    return value, float(min(squared_sd / (2 * value) if value > 0 else np.inf, np.sqrt(squared_sd)))


def _above(power: Floats, ring: NDArray[np.int64], elsewhere: NDArray[np.bool_]) -> Floats:
    """Power less its mean over the ordinates `elsewhere` at the same radius; less nothing at radii that hold none."""
    n = int(ring.max()) + 1
    number = np.bincount(ring[elsewhere], minlength=n)
    mean = np.bincount(ring[elsewhere], power[elsewhere], n) / np.maximum(number, 1)
    return np.asarray(power - mean[ring])


def _beam(kx: Floats, ky: Floats, angle: float, step: float) -> Floats:
    """Weight of each frequency by its distance from the line at `angle`: 1 on it, 0 from one step on."""
    return np.asarray(np.maximum(1 - np.abs(kx * np.sin(angle) - ky * np.cos(angle)) / step, 0))


def _step(shape: tuple[int, ...], pixel: Floats) -> float:
    """One period in the map's shorter side, 1/um."""
    return 1 / float(np.min(np.asarray(shape) * pixel))
