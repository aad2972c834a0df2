"""The thickness of one shell from binned profiles: starts, shapes compared, detection, intervals, lack of fit, on arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._across import rest
from ssbmaps.interfaces._scoring import Fit, Weighted, best_levels, fit_shape, weights_of
from ssbmaps.interfaces._shapes import BARE, BOX, SHAPES, SHELL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.interfaces._scoring import Counts
    from ssbmaps.interfaces._shapes import Shape

    Floats = NDArray[np.float64]
    Profile = Counts | Weighted

DETECTED = 16.2  # likelihood ratio that none of 300 sections without a shell reached
CHI2_95 = 3.841459  # 95 % of χ² with one degree of freedom
CHI2_90 = 2.705543  # its 90 %: a one-sided limit of 95 %
LEAST_COUNTS = 10.0  # expected in a cell of the dispersion, so that χ² holds
REJECT = 0.01
LEAST_MISFIT = 0.01  # of a channel's step
CERTAIN = 2.0  # standard errors by which a shape must describe held-out data better than the box
LEAST_GAIN = 1.0  # nats that it must gain besides
DEPARTURES = {
    "offset": ("shifted", (0.01,)),
    "core yield": ("rim", (0.3,)),
    "fall": ("falling", (0.5,)),
    "halo": ("halo", (0.05, 4.0)),
}


@dataclass(frozen=True)
class Limits:
    """Bounds of the geometry, um: shift of the edge, thickness, σ."""

    shift: float
    thickness: tuple[float, float]
    sigma: tuple[float, float]

    def of(self, shape: Shape) -> tuple[Floats, Floats]:
        """Lower and upper bounds of a shape's parameters."""
        low = [-self.shift, self.thickness[0], self.sigma[0], *shape.low]
        high = [self.shift, self.thickness[1], self.sigma[1], *shape.high]
        return np.array(low), np.array(high)


def limits_of(size: float, reach: float) -> Limits:
    """Bounds for pixels of `size` um and a profile that ends `reach` um outside."""
    return Limits(5 * size, (0.02 * size, max(reach, size)), (0.2 * size, max(5 * size, reach / 4)))


def start(data: Profile, size: float, limits: Limits) -> list[Floats]:
    """The best box of a grid of thicknesses for each of a few widths, best first."""
    found = []
    thicknesses = size * np.geomspace(0.3, max(limits.thickness[1] / size / 1.5, 0.6), 9)
    for sigma in size * np.array([0.5, 0.9, 1.6, 3.0]):
        for shift in (-0.6 * size, 0.0, 0.6 * size):
            for d in thicknesses:
                g = np.array([shift, d, sigma])
                weights = weights_of(data, BOX, g)[0]
                levels = best_levels(data, weights)
                mean = np.einsum("cj,cjb->cb", levels, weights[data.kinds])
                found.append((data.loss(mean), g))
    found.sort(key=lambda pair: pair[0])
    best: list[Floats] = []
    for _, g in found:
        if all(abs(np.log(g[1] / b[1])) > 0.5 for b in best):
            best.append(g)
    return best[:4]


def fit_box(data: Profile, size: float, limits: Limits) -> Fit:
    """The best of the box fits from several starts."""
    return min((fit_shape(data, BOX, g, limits.of(BOX)) for g in start(data, size, limits)), key=lambda f: f.loss)


def fit_from(data: Profile, shape: Shape, near: Fit, limits: Limits) -> Fit:
    """A shape fitted from a box's geometry, at its own start and at a thinner and a thicker one."""
    s0, d, sigma = near.geometry[:3]
    first = {"exponential": (0.5, 1.0), "falling": (1.0, 1.4), "diffuse": (1.0, 0.7)}.get(shape.name, (1.0, 0.8))
    starts = [np.array([s0, d * factor, sigma, *shape.start]) for factor in first]
    return min((fit_shape(data, shape, g, limits.of(shape)) for g in starts), key=lambda f: f.loss)


def dispersion_of(data: Profile, fit: Fit) -> float:
    """χ² per degree of freedom of the profile in cells of 10 expected counts or more."""
    square, n = 0.0, 0
    expected, variance = data.expected(fit.mean)
    for seen, e, v in zip(data.total, expected, variance, strict=True):
        cell = np.floor(np.cumsum(e if data.positive else np.full_like(e, LEAST_COUNTS)) / LEAST_COUNTS).astype(np.int64)
        cell = np.unique(cell, return_inverse=True)[1]
        residual, noise = np.bincount(cell, seen - e), np.bincount(cell, v)
        good = noise > 0
        square += float((residual[good] ** 2 / noise[good]).sum())
        n += int(good.sum())
    return square / max(n - int(fit.free.sum()), 1)


@dataclass(frozen=True)
class Misfit:
    """Lack of fit in cells of half a σ: probability for the right model, and its size over the step."""

    p_value: float
    size: float

    @property
    def rejected(self) -> bool:
        """Whether the model leaves more than noise, and more than matters."""
        return bool(self.p_value < REJECT and self.size > LEAST_MISFIT)


def misfit_of(data: Profile, fit: Fit) -> Misfit:
    """How far the profile departs from the model beyond what scatters between neighbouring bins."""
    from scipy.stats import f

    expected, variance = data.expected(fit.mean)
    cell = np.floor(data.s / (0.5 * fit.value("sigma"))).astype(np.int64)
    cell = np.unique(cell, return_inverse=True)[1]
    coarse, fine, n_coarse, n_fine, sizes = 0.0, 0.0, 0, 0, []
    weights = data.weight if isinstance(data, Weighted) else np.broadcast_to(data.n, expected.shape)
    for seen, e, v, weight, levels in zip(data.total, expected, variance, weights, fit.levels, strict=True):
        residual, noise = np.bincount(cell, seen - e), np.bincount(cell, v)
        good = noise > 0
        own = residual[good] ** 2 / noise[good]
        coarse, n_coarse = coarse + float(own.sum()), n_coarse + int(good.sum())
        bins = v > 0
        fine += float(((seen - e)[bins] ** 2 / v[bins]).sum()) - float(own.sum())
        n_fine += int(bins.sum()) - int(good.sum())
        scale = np.bincount(cell, weight)[good]
        surplus = np.average((residual[good] / scale) ** 2 - noise[good] / scale**2, weights=scale)
        sizes.append(np.sqrt(max(surplus, 0.0)) / max(float(np.ptp(levels)), 1e-300))
    freedom = max(n_coarse - int(fit.free.sum()), 1)
    pure = max(fine / max(n_fine, 1), 1.0 if data.positive else 0.0)
    ratio = coarse / freedom / max(pure, 1e-300)
    return Misfit(float(f.sf(ratio, freedom, max(n_fine, 1))), float(max(sizes)))


def held_out(folds: Sequence[Profile], whole: Profile, fits: Sequence[Fit], limits: Limits) -> tuple[Floats, Floats]:
    """Gain of each fit over the first in −ln L of counts that it was not fitted to, and its standard error.

    Where classes of particles are told apart the error is that of the classes: what one of them gains is no gain of the shape.
    """
    losses = []
    for fit in fits:
        rows = []
        for fold in folds:
            again = fit_shape(rest(whole, fold), fit.shape, fit.geometry, limits.of(fit.shape), levels=fit.levels)
            rows.append(fold.losses(again.mean))
        losses.append(np.stack(rows).sum(axis=0).ravel())
    difference = losses[0] - np.stack(losses)
    if whole.stretch is not None:
        kin = np.tile(np.unique(whole.stretch, return_inverse=True)[1], difference.shape[1] // len(whole.s))
        difference = np.stack([np.bincount(kin, row) for row in difference])
    return difference.sum(axis=1), difference.std(axis=1) * np.sqrt(difference.shape[1])


def choose(
    folds: Sequence[Profile], whole: Profile, box: Fit, limits: Limits
) -> tuple[list[Fit], dict[str, tuple[float, float]], Fit]:
    """The shape that describes held-out data best, with those that do so as well within its error; each one's gain; the shifted.

    The box stands unless another shape gains more than twice its standard error and more than one nat.
    """
    fits = [box, *(fit_from(whole, shape, box, limits) for shape in SHAPES if shape is not BOX)]
    gain, error = held_out(folds, whole, fits, limits)
    evidence = {f.shape.name: (float(g), float(e)) for f, g, e in zip(fits, gain, error, strict=True)}
    shifted = next(f for f in fits if f.shape.name == "shifted")
    able = [i for i in range(1, len(fits)) if gain[i] > max(CERTAIN * error[i], LEAST_GAIN)]
    if not able:
        return [box], evidence, shifted
    best = max(able, key=lambda i: gain[i])
    alike = [i for i in range(1, len(fits)) if i != best and gain[best] - gain[i] <= error[best]]
    return [fits[i] for i in (best, *alike)], evidence, shifted


@dataclass(frozen=True)
class Interval:
    """Ends of the profile-likelihood interval of the thickness; NaN low or high where the likelihood does not bound it."""

    low: float
    high: float
    limit: float  # one-sided 95 % upper limit


def interval_of(data: Profile, fit: Fit, bounds: tuple[Floats, Floats], dispersion: float, name: str = "d") -> Interval:
    """Values of a thickness at which the likelihood, maximised over all else, falls off by what 95 % allows."""
    at = fit.shape.names.index(name)
    best = fit.value(name)
    sd = float(np.sqrt(fit.covariance()[at, at] * dispersion)) if fit.free[at] else 0.3 * best
    sd = sd if np.isfinite(sd) and 0 < sd < 2 * best else 0.5 * best
    ends = (float(bounds[0][at]), float(bounds[1][at]))
    two_sided, one_sided = 0.5 * CHI2_95 * dispersion, 0.5 * CHI2_90 * dispersion

    def crossing(direction: int, level: float) -> float:
        inner, outer, near = (best, 0.0), None, fit
        step = sd * np.sqrt(2 * level / dispersion)
        for _ in range(60):
            if outer is None:
                d = best + step if direction > 0 else float(best * np.exp(-step / best))
                step *= 1.35
                if not ends[0] <= d <= ends[1]:
                    return float("nan")
            else:  # the root of the rise is close to linear in d
                low, high, target = np.sqrt([max(inner[1], 0.0), outer[1], level])
                share = float(np.clip((target - low) / max(high - low, 1e-12), 0.05, 0.95))
                d = inner[0] + (outer[0] - inner[0]) * share
            near = fit_shape(data, fit.shape, near.geometry, bounds, held={name: float(d)}, levels=near.levels)
            rise = near.loss - fit.loss
            if abs(rise - level) < 0.01 * level or (outer and abs(outer[0] - inner[0]) < 1e-5 * best):
                return float(d)
            inner, outer = ((d, rise), outer) if rise < level else (inner, (d, rise))
        return float("nan")

    return Interval(crossing(-1, two_sided), crossing(1, two_sided), crossing(1, one_sided))


def excess_of(fit: Fit) -> float:
    """Signal of the shell above what lies outside it, summed across: counts·um per pixel."""
    return _excess(fit.shape.name, fit.shape.names, fit.geometry, fit.levels[SHELL])


def _excess(shape: str, names: tuple[str, ...], geometry: Floats, levels: Floats) -> float:
    share = 1 - 0.5 * geometry[names.index("kappa")] if shape == "falling" else 1.0
    return float((levels[1] * share - levels[2]) * geometry[1])


def excess_sd(fit: Fit, dispersion: float) -> float:
    """Standard error of the excess by its gradient and the covariance of all free parameters."""
    covariance = fit.covariance()
    theta = fit.parameters
    n_geometry = len(fit.geometry)
    slope = np.zeros_like(theta)
    for i in [*range(n_geometry), n_geometry + 4, n_geometry + 5]:
        step = 1e-6 * max(abs(theta[i]), 1e-6)
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[i] += sign * step
            levels = moved[n_geometry:].reshape(-1, 3)
            ends.append(_excess(fit.shape.name, fit.shape.names, moved[:n_geometry], levels[SHELL]))
        slope[i] = (ends[0] - ends[1]) / (2 * step)
    free = fit.free
    variance = float(slope[free] @ covariance[np.ix_(free, free)] @ slope[free])
    return float(np.sqrt(max(variance, 0.0) * dispersion))


def sensitivity(data: Profile, fit: Fit, limits: Limits, departure: str) -> float:
    """How far the thickness moves per unit of a departure that the fit does not know of, one of `DEPARTURES`."""
    name, change = DEPARTURES[departure]
    shape = next(s for s in SHAPES if s.name == name)
    weights = weights_of(data, shape, np.array([*fit.geometry[:3], *change]))[0]
    plain = weights_of(data, BOX, fit.geometry[:3])[0]
    mean = fit.mean + np.einsum("cj,cjb->cb", fit.levels, (weights - plain)[data.kinds])
    moved = replace(data, total=data.expected(np.maximum(mean, 0) if data.positive else mean)[0])
    again = fit_shape(moved, fit.shape, fit.geometry, limits.of(fit.shape), levels=fit.levels)
    return float((again.value("d") - fit.value("d")) / change[0])


def consistency(data: Profile, fit: Fit, limits: Limits, dispersion: float) -> tuple[float, float]:
    """Likelihood ratio and p of ions of one kind with thicknesses (shell) or edges (core) of their own; NaN for a single ion."""
    from scipy.stats import chi2

    if len(data.kinds) < 2:
        return float("nan"), float("nan")
    own = "d" if data.kinds[0] == SHELL else "s0"
    held = {n: float(v) for n, v in zip(fit.shape.names, fit.geometry, strict=True) if n != own}
    bounds = limits.of(fit.shape)
    together = fit_shape(data, fit.shape, fit.geometry, bounds, held=held)
    apart = [
        fit_shape(data.part(np.array([c])), fit.shape, together.geometry, bounds, held=held, levels=together.levels[[c]])
        for c in range(len(data.kinds))
    ]
    ratio = max(2 * (together.loss - sum(f.loss for f in apart)) / dispersion, 0.0)
    return ratio, float(chi2.sf(ratio, len(data.kinds) - 1))


def bare_fit(data: Profile, box: Fit, limits: Limits) -> Fit:
    """The fit without a shell, from the box's geometry and from a step alone."""
    starts = [box.geometry, np.array([box.geometry[0], 0.5 * limits.thickness[1], box.geometry[2]])]
    return min((fit_shape(data, BARE, g, limits.of(BARE)) for g in starts), key=lambda f: f.loss)


def offset_of(fit: Fit, shifted: Fit, dispersion: float) -> tuple[float, float]:
    """Distance between core and shell that the profile tells of, and its standard error; nothing unless a box describes it."""
    at = shifted.shape.names.index("delta")
    if fit.shape is not BOX or not shifted.free[at]:
        return 0.0, float("inf")
    sd = float(np.sqrt(shifted.covariance()[at, at] * dispersion))
    return (shifted.value("delta"), sd) if np.isfinite(sd) and sd > 0 else (0.0, float("inf"))
