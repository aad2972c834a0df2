"""From a first guess to the map with most mutual information: coarse to fine, then the smoothing that is best known.

Arrays only; maps are (2, 3) from um of the fixed raster to um of the sampled one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.maps._map_error import covariance, curvature
from ssbmaps.maps._map_images import criterion
from ssbmaps.maps._map_models import MapModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ssbmaps.maps._map_images import Stack
    from ssbmaps.maps._mutual import Criterion

    Floats = NDArray[np.float64]

WIDTHS = (1.0, 2.0)  # fixed pixels; smoothing of the last step
_GOOD = 0.1  # fixed pixels of error, below which no more smoothing is tried
_CLEAR = 0.7  # of the error with less smoothing, that with more must be to be taken: the lesser of two like errors is chance
_STEPS = 80
_COARSE = 0.3  # nats over all pixels, less than which a step must gain to be the last
_NEAR, _FAR = 4.0, 30.0  # units of the steps (half a nat is one): how near the scores take over, how far they may lead
_LEFT = 1.0  # of the scores in these units, more than which is no rest: the map is half a nat or more from its best
_REST = 0.1  # of the way from there; the last step's length
_THIN = 3


@dataclass(frozen=True)
class Fitted:
    """A map at its best, and the covariance (6, 6) of its entries."""

    matrix: Floats
    covariance: Floats
    sigma: float  # um
    criterion: Criterion
    model: MapModel

    @property
    def g(self) -> Floats:
        """The map in the criterion's own parameters."""
        return self.criterion.parameters(self.matrix)

    def spread(self) -> float:
        """Root mean square error over the fixed raster, um."""
        jacobian = corners(self.criterion)
        return float(np.sqrt(np.einsum("nij,jk,nik->", jacobian, self.covariance, jacobian) / len(jacobian)))


def corners(at: Criterion) -> Floats:
    """(N, 2, 6): how a place of the sampled raster moves with the entries, on a 3 × 3 grid over the fixed raster."""
    inverse = np.linalg.inv(at.fixed.normal)
    places = np.array([inverse @ (u, v, 1) for u in (-0.8, 0, 0.8) for v in (-0.8, 0, 0.8)])
    jacobian = np.zeros((len(places), 2, 6))
    jacobian[:, 0, :3] = jacobian[:, 1, 3:] = places
    return jacobian


def model_at(name: str, at: Criterion) -> MapModel:
    """The model about the middle of the criterion's fixed raster."""
    half = 1 / np.diag(at.fixed.normal)[:2]
    return MapModel(name, (float(half[0]), float(half[1])))


def climb(at: Criterion, model: MapModel, matrix: Floats) -> tuple[Floats, float]:
    """The parameters with most mutual information about `matrix`, and that, nats per pixel; quasi-Newton steps from afar."""
    from scipy.optimize import minimize

    start, scale, pixels = model.of(matrix @ np.linalg.inv(at.fixed.normal)), min(at.fixed.pixel), _pixels(at)
    fall = _fall(at, model, np.eye(model.size) * scale)
    options = {"maxiter": _STEPS, "ftol": _COARSE / pixels, "gtol": 1e-7}
    found = minimize(fall, start / scale, jac=True, method="L-BFGS-B", options=options)
    return found.x * scale, -float(found.fun)


def settle(at: Criterion, model: MapModel, matrix: Floats) -> Floats | None:
    """The parameters near `matrix` at which the scores sum to zero, from a distance of few pixels; None if it finds none.

    Newton steps within a trusted region as long as the information grows, then on the scores alone: the information jumps a
    little where a pixel enters or leaves the overlap, its gradient is the smooth thing, and what the error is told of. The
    curvature is that of a third of the rows, mended as the steps go. In the units of the steps every curvature is 1.
    """
    from scipy.optimize import minimize, root

    start, pixels = model.of(matrix @ np.linalg.inv(at.fixed.normal)), _pixels(at)
    rows = np.arange(at.fixed.shape[0]) % _THIN == 0
    bent = curvature(at.on(rows[:, None]), model, start) * pixels
    values, axes = np.linalg.eigh(bent)
    if not values.any():  # nothing overlaps, or nothing is seen there
        return None
    units = axes / np.sqrt(np.maximum(np.abs(values), 1e-6 * np.abs(values).max()))
    fall, bent = _fall(at, model, units), units.T @ bent @ units

    def in_nats(p: Floats) -> tuple[float, Floats]:
        value, gradient = fall(p)
        return value * pixels, gradient * pixels

    options = {"maxiter": _STEPS, "gtol": _NEAR, "initial_trust_radius": _FAR, "max_trust_radius": 1e4}
    first = np.linalg.solve(units, start)
    near = minimize(in_nats, first, jac=True, hess=lambda _: bent, method="trust-exact", options=options).x
    rest = {"xtol": _REST, "maxfev": _STEPS, "factor": _NEAR}
    found = root(lambda p: in_nats(near + p)[1], np.zeros(model.size), jac=lambda _: bent, method="hybr", options=rest)
    if np.linalg.norm(found.fun) > _LEFT or np.linalg.norm(found.x) > _FAR:
        return None
    return np.asarray(units @ (near + found.x))


def _pixels(at: Criterion) -> int:
    return max(int((at.pairs[0].node >= 0).sum()), 1)


def _fall(at: Criterion, model: MapModel, units: Floats) -> Callable[[Floats], tuple[float, Floats]]:
    """Minus the information per pixel of parameters `units` @ p, and its gradient."""

    def fall(p: Floats) -> tuple[float, Floats]:
        g, jacobian = model.map(units @ p)
        value, gradient = at.value(g)
        return -value, -(gradient @ jacobian) @ units

    return fall


def step_down(at: Criterion, matrix: Floats, *, model: str) -> tuple[Floats, float]:
    """The map refined on a coarse criterion, and its information times the overlap."""
    kind = model_at(model, at)
    q, value = climb(at, kind, matrix)
    g, _ = kind.map(q)
    return g @ at.fixed.normal, value * min(at.overlap(g), 1.0)


def finish(fixed: Stack, sampled: Stack, matrix: Floats, *, model: str) -> Fitted | None:
    """The last step, at full resolution: with little smoothing, and with more where that leaves a clearly smaller error.

    None where nothing holds the map in place.
    """
    pixel = min(fixed.raster.pixel)
    best: Fitted | None = None
    for width in WIDTHS:
        at = criterion(fixed, sampled, width * pixel)
        fit = _settled(at, matrix if best is None else best.matrix, model, width * pixel)
        if fit is not None and (best is None or fit.spread() < _CLEAR * best.spread()):
            best = fit
        if best is not None and best.spread() < _GOOD * pixel:
            break
    return best


def _settled(at: Criterion, matrix: Floats, model: str, sigma: float) -> Fitted | None:
    """The fit near `matrix`, from there or from where the information leads first; None where nothing holds it."""
    kind = model_at(model, at)
    q = settle(at, kind, matrix)
    if q is None:
        nearer, _ = kind.map(climb(at, kind, matrix)[0])
        q = settle(at, kind, nearer @ at.fixed.normal)
    return None if q is None else _fitted(at, kind, q, sigma)


def _fitted(at: Criterion, kind: MapModel, q: Floats, sigma: float) -> Fitted | None:
    """The map with its error; None where nothing holds it."""
    g, slopes = kind.map(q)
    try:
        spread = covariance(at, kind, q)
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(spread).all() or (np.diag(spread) < 0).any():
        return None
    outer = np.kron(np.eye(2), at.fixed.normal.T) @ slopes
    return Fitted(g @ at.fixed.normal, outer @ spread @ outer.T, sigma, at, kind)
