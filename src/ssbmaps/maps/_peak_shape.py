"""The shape of a time-of-flight peak and its Poisson fit: a Gaussian core with an early and a late exponential tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

N_SHAPE = 5  # ln sigma, ln late share, ln late decay/sigma, ln early share, ln early decay/sigma (shares against the core's)

# What is believed of the tails before a peak is seen: a late one of 2 to 50 %, an early one of some per cent, each with a
# decay of about 1.5 sigma. Wide enough that some thousand counts overrule them; nothing is believed of sigma.
TAIL_MEAN = np.array([0.0, np.log(0.1), np.log(1.5), np.log(0.02), np.log(1.5)])
TAIL_SD = np.array([np.inf, 1.5, 0.5, 1.5, 0.5])

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
_STEP = 1e-4  # of the central differences; parameters are of order one


def shape_cdf(x: Floats, theta: Floats) -> Floats:
    """Share of the ions below `x`; the core is centred on 0, `x` and sigma in the same unit."""
    from scipy.special import ndtr

    sigma = np.exp(theta[0])
    late, early = np.exp(theta[1]), np.exp(theta[3])
    core = ndtr(x / sigma)
    tails = late * _delayed(x / sigma, np.exp(theta[2])) + early * (1 - _delayed(-x / sigma, np.exp(theta[4])))
    return np.asarray((core + tails) / (1 + late + early))


def _delayed(x: Floats, decay: float) -> Floats:
    """Cumulative distribution of a unit Gaussian plus an exponential delay."""
    from scipy.special import log_ndtr, ndtr

    exponent = np.minimum(0.5 / decay**2 - x / decay + log_ndtr(x - 1 / decay), 0.0)
    return np.asarray(ndtr(x) - np.exp(exponent))


def shape_fwhm(theta: Floats) -> tuple[float, float]:
    """Full width at half maximum, and where the maximum lies, in the unit of sigma."""
    sigma = float(np.exp(theta[0]))
    x = np.linspace(-4, 4, 1601) * sigma
    density = np.diff(shape_cdf(x, theta))
    x = (x[1:] + x[:-1]) / 2
    top = int(density.argmax())
    half = density[top] / 2
    left = np.interp(half, density[: top + 1], x[: top + 1])
    right = np.interp(-half, -density[top:], x[top:])
    return float(right - left), float(x[top])


def _slopes(x: Floats, theta: Floats) -> Floats:
    """(cells, 1 + shape): derivatives of an ion's shares by its place and by the shape."""
    result = np.empty((len(x) - 1, 1 + N_SHAPE))
    step = _STEP * np.exp(theta[0])
    result[:, 0] = np.diff(shape_cdf(x - step, theta) - shape_cdf(x + step, theta)) / (2 * step)
    for i in range(N_SHAPE):
        up, down = theta.copy(), theta.copy()
        up[i] += _STEP
        down[i] -= _STEP
        result[:, 1 + i] = np.diff(shape_cdf(x, up) - shape_cdf(x, down)) / (2 * _STEP)
    return result


@dataclass(frozen=True, slots=True)
class PeakFit:
    """A fitted sum of peaks; parameters as `PeakModel` orders them, covariance with the shape's uncertainty in it.

    `objective` is the deviance plus what the prior adds to it.
    """

    parameters: Floats
    covariance: Floats
    expected: Floats
    deviance: float
    freedom: float
    objective: float

    @property
    def dispersion(self) -> float:
        """Deviance per degree of freedom, at least 1."""
        return max(1.0, self.deviance / self.freedom)


class PeakModel:
    """Expected counts of ions with one shape on a flat background.

    Parameters: counts of each ion, background over the range, common shift, shape, then for two ions or more each ion's
    own displacement and ln width. `x` is ln(m/z) in units of the guessed full width.
    """

    def __init__(self, edges: Floats, places: Floats) -> None:
        self.edges, self.places = edges, places
        self.n_ions = len(places)
        self.flat = np.diff(edges) / (edges[-1] - edges[0])
        own = 2 * self.n_ions if self.n_ions > 1 else 0
        self.shape_slice = slice(self.n_ions + 2, self.n_ions + 2 + N_SHAPE)
        self.n_parameters = self.n_ions + 2 + N_SHAPE + own

    def _own(self, p: Floats) -> tuple[Floats, Floats]:
        """Place of each ion, and its ln width against the common shape."""
        k = self.n_ions
        rest = p[self.shape_slice.stop :]
        moved, widths = (rest[:k], rest[k:]) if k > 1 else (np.zeros(1), np.zeros(1))
        return self.places + p[k + 1] + moved, widths

    def columns(self, p: Floats) -> Floats:
        """(cells, ions): share of each ion's counts in each cell."""
        theta = p[self.shape_slice]
        own = [np.concatenate([[theta[0] + w], theta[1:]]) for w in self._own(p)[1]]
        return np.column_stack([np.diff(shape_cdf(self.edges - m, t)) for m, t in zip(self._own(p)[0], own, strict=True)])

    def expected(self, p: Floats) -> Floats:
        """Expected counts in each cell."""
        return np.asarray(self.columns(p) @ p[: self.n_ions] + p[self.n_ions] * self.flat)

    def jacobian(self, p: Floats) -> Floats:
        """(cells, parameters): exact for counts and background, central differences for the rest."""
        k, shape = self.n_ions, self.shape_slice
        result = np.zeros((len(self.flat), self.n_parameters))
        places, widths = self._own(p)
        for i, (place, width) in enumerate(zip(places, widths, strict=True)):
            theta = p[shape].copy()
            theta[0] += width
            result[:, i] = np.diff(shape_cdf(self.edges - place, theta))
            slopes = p[i] * _slopes(self.edges - place, theta)
            result[:, k + 1 : shape.stop] += slopes
            if k > 1:
                result[:, shape.stop + i] = slopes[:, 0]
                result[:, shape.stop + k + i] = slopes[:, 1]
        result[:, k] = self.flat
        return result

    def prior(
        self,
        shape_mean: Floats,
        shape_sd: Floats,
        *,
        shift: tuple[float, float] = (0.0, np.inf),
        likeness: tuple[float, float] = (np.inf, np.inf),
    ) -> tuple[Floats, Floats]:
        """Mean and standard deviation of every parameter; infinite where nothing is believed.

        `likeness` is the standard deviation between two ions of place and of ln width; each ion gets its half of the variance.
        """
        k = self.n_ions
        mean, sd = np.zeros(self.n_parameters), np.full(self.n_parameters, np.inf)
        mean[k + 1], sd[k + 1] = shift
        mean[self.shape_slice], sd[self.shape_slice] = shape_mean, shape_sd
        if k > 1:
            sd[self.shape_slice.stop :] = np.repeat(np.array(likeness) / np.sqrt(2), k)
        return mean, sd


def fit(model: PeakModel, counts: Floats, start: Floats, prior: tuple[Floats, Floats]) -> PeakFit:
    """Maximum of the Poisson likelihood times the prior; counts and background stay at 0 or above."""
    from scipy.optimize import least_squares

    mean, sd = prior
    known = np.isfinite(sd)

    def residuals(p: Floats) -> Floats:
        return np.concatenate([_deviance_residuals(counts, model.expected(p)), (p - mean)[known] / sd[known]])

    def slope(p: Floats) -> Floats:
        mu = _floored(model.expected(p))
        rows = model.jacobian(p) * _residual_slope(counts, mu)[:, None]
        return np.vstack([rows, (np.eye(model.n_parameters) / np.where(known, sd, 1.0)[:, None])[known]])

    lower = np.full(model.n_parameters, -np.inf)
    lower[: model.n_ions + 1] = 0
    solved = least_squares(residuals, start, slope, bounds=(lower, np.inf), x_scale="jac", max_nfev=200)
    p = np.asarray(solved.x)
    expected = model.expected(p)
    deviance = float((_deviance_residuals(counts, expected) ** 2).sum())
    covariance, used = information_inverse(model, p, prior)
    return PeakFit(p, covariance, expected, deviance, max(len(counts) - used, 1.0), 2 * float(solved.cost))


def information_inverse(model: PeakModel, p: Floats, prior: tuple[Floats, Floats]) -> tuple[Floats, float]:
    """Covariance of all parameters from the expected information at `p` and the prior; how many of them the data fixed.

    An ion or a background of less than one count enters with one: an absent ion has an error, too.
    """
    q = p.copy()
    q[: model.n_ions + 1] = np.maximum(q[: model.n_ions + 1], 1.0)
    slopes = model.jacobian(q)
    weights = 1 / _floored(model.expected(q))
    told = slopes.T @ (slopes * weights[:, None])
    information = told + np.diag(prior[1] ** -2.0)
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    covariance = np.linalg.pinv(information / np.outer(scale, scale), hermitian=True) / np.outer(scale, scale)
    return np.asarray(covariance), float(np.trace(covariance @ told))


def propagate(function: Callable[[Floats], float], p: Floats, covariance: Floats) -> float:
    """Standard deviation of a function of the parameters, to first order."""
    gradient = np.empty(len(p))
    for i in range(len(p)):
        up, down = p.copy(), p.copy()
        up[i] += _STEP
        down[i] -= _STEP
        gradient[i] = (function(up) - function(down)) / (2 * _STEP)
    return float(np.sqrt(max(float(gradient @ covariance @ gradient), 0.0)))


def robust_line(x: Floats, y: Floats, at: float) -> float:
    """Theil–Sen line through five points or more, the median through fewer, at one place."""
    if len(x) < 5:
        return float(np.median(y))
    i, j = np.triu_indices(len(x), 1)
    slope = float(np.median((y[j] - y[i]) / (x[j] - x[i])))
    return float(slope * at + np.median(y - slope * x))


def _floored(mu: Floats) -> Floats:
    return np.asarray(np.maximum(mu, 1e-9))


def _deviance_residuals(n: Floats, mu: Floats) -> Floats:
    mu = _floored(mu)
    ratio = np.where(n > 0, n / mu, 1.0)
    return np.asarray(np.sign(n - mu) * np.sqrt(np.maximum(2 * (mu - n + n * np.log(ratio)), 0.0)))


def _residual_slope(n: Floats, mu: Floats) -> Floats:
    """Derivative of the deviance residual by `mu` (negative)."""
    residual = _deviance_residuals(n, mu)
    near = np.abs(n - mu) < 1e-5 * mu
    return np.asarray(np.where(near, -1 / np.sqrt(mu), (1 - n / mu) / np.where(near, 1.0, residual)))
