"""From a first guess to the map with most mutual information: coarse to fine, then the smoothing that is best known.

Arrays only; maps are (2, 3) from um of the fixed raster to um of the sampled one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import RegistrationError
from ssbmaps.maps._map_error import covariance
from ssbmaps.maps._map_images import criterion
from ssbmaps.maps._map_models import MapModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.maps._map_images import Stack
    from ssbmaps.maps._mutual import Criterion

    Floats = NDArray[np.float64]

WIDTHS = (1.0, 2.0)  # fixed pixels; smoothing of the last step, the better known one is taken
_STEPS = 80
_SMALL = {"coarse": 0.3, "fine": 0.003}  # nats over all pixels; half a nat is one standard error


@dataclass(frozen=True)
class Fitted:
    """A map at its best; the covariance (6, 6) of its entries; how many blocks of the map carry it."""

    matrix: Floats
    covariance: Floats
    blocks: int
    value: float  # nats per pixel
    sigma: float  # um
    criterion: Criterion
    model: MapModel

    @property
    def g(self) -> Floats:
        """The map in the criterion's own parameters."""
        whole = np.vstack([self.matrix, [0, 0, 1]]) @ np.linalg.inv(self.criterion.fixed.normal)
        return np.asarray(whole[:2])

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


def climb(at: Criterion, model: MapModel, matrix: Floats, *, accuracy: str = "fine") -> tuple[Floats, float]:
    """The parameters with most mutual information near `matrix`, and that, nats per pixel."""
    from scipy.optimize import minimize

    start = model.of(matrix @ np.linalg.inv(at.fixed.normal))
    scale = min(at.fixed.pixel)

    def fall(p: Floats) -> tuple[float, Floats]:
        g, jacobian = model.map(p * scale)
        value, gradient = at.value(g)
        return -value, -(gradient @ jacobian) * scale

    pixels = max(int(at.pairs[0].fixed_ok.sum()), 1)
    options = {"maxiter": _STEPS, "ftol": _SMALL[accuracy] / pixels, "gtol": 1e-7}
    found = minimize(fall, start / scale, jac=True, method="L-BFGS-B", options=options)
    return found.x * scale, -float(found.fun)


def step_down(fixed: Stack, sampled: Stack, matrix: Floats, *, model: str, sigma: float) -> tuple[Floats, float]:
    """Refine at smoothing by `sigma` um, on as few pixels as that allows; the map, and its information times the overlap."""
    at = criterion(fixed, sampled, sigma, stride=max(int(sigma / min(fixed.raster.pixel)), 1))
    kind = model_at(model, at)
    q, value = climb(at, kind, matrix, accuracy="coarse")
    g, _ = kind.map(q)
    return g @ at.fixed.normal, value * min(at.overlap(g), 1.0)


def finish(fixed: Stack, sampled: Stack, matrix: Floats, *, model: str) -> Fitted:
    """The last step, at full resolution, with the smoothing that leaves the smaller error."""
    best: Fitted | None = None
    for width in WIDTHS:
        sigma = width * min(fixed.raster.pixel)
        at = criterion(fixed, sampled, sigma)
        kind = model_at(model, at)
        q, value = climb(at, kind, matrix)
        g, slopes = kind.map(q)
        try:
            spread, number = covariance(at, kind, q)
        except np.linalg.LinAlgError:
            continue
        if not np.isfinite(spread).all() or (np.diag(spread) < 0).any():
            continue
        outer = np.kron(np.eye(2), at.fixed.normal.T) @ slopes
        found = Fitted(g @ at.fixed.normal, outer @ spread @ outer.T, number, value, sigma, at, kind)
        if best is None or found.spread() < best.spread():
            best = found
    if best is None:
        raise RegistrationError("the maps hold too little structure in common to say where one lies on the other.")
    return best
