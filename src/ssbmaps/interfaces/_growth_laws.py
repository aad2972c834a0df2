"""The growth laws as one family of curves, fitted by quasi-likelihood to many sets of cell means at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

LAWS = ("sqrt", "linear", "logarithmic", "power")
N_PARAMETERS = {"constant": 1, "sqrt": 2, "linear": 2, "logarithmic": 3, "power": 3}
POWER = {"sqrt": 2.0}  # the power of the thickness that the law speaks of; 1 for all others
EXPONENTS = (0.05, 3.0)
STARTS = (0.2, 0.5, 0.8)  # shares of the shape's range from which a fit starts
MAX_STEPS, SMALL_STEP = 60, 1e-9
THINNEST, THIN_START = -7.0, -2.0  # ln of first over last thickness: the least in a fit, and that from which one still moves


@dataclass(frozen=True)
class Fitted:
    """Parameters (set, 2 or 3): ln g at the first and last time, and the shape; the quasi-deviance (set)."""

    theta: Floats
    deviance: Floats


@dataclass(frozen=True)
class Curves:
    """One law over one range of times: g^m runs from its first to its last value along x(t; shape), and so stays positive.

    x is 0 at the first time and 1 at the last: t for "sqrt" (m = 2) and "linear", ln(1 + t/τ) for "logarithmic" (shape ln τ),
    tⁿ for "power" (shape n). Times are in units of the last one. "constant" is a line whose ends are tied.
    """

    law: str
    first: float
    last: float
    shortest: float  # smallest time above 0

    @property
    def shape_range(self) -> tuple[float, float] | None:
        if self.law == "logarithmic":
            return float(np.log(self.shortest / self.last)), 0.0
        return EXPONENTS if self.law == "power" else None

    def raw(self, time: Floats, shape: Floats) -> tuple[Floats, Floats]:
        """The law's own function of time, (set, n), and its derivative by the shape (set, 1)."""
        u = np.asarray(time)[None] / self.last
        if self.law == "logarithmic":
            ratio = u / np.exp(shape)
            return np.log1p(ratio), -ratio / (1 + ratio)
        if self.law == "power":
            logs = np.log(np.where(u > 0, u, 1.0))
            grown = np.where(u > 0, np.exp(shape * logs), 0.0)
            return grown, grown * logs
        rows = np.broadcast_to(u, (len(shape), u.shape[1]))
        return rows, np.zeros_like(rows)

    def along(self, time: Floats, shape: Floats) -> tuple[Floats, Floats]:
        """x(t; shape) and its derivative by the shape."""
        y, slope = self.raw(time, shape)
        ends, end_slopes = self.raw(np.array([self.first, self.last]), shape)
        span, span_slope = ends[:, 1:] - ends[:, :1], end_slopes[:, 1:] - end_slopes[:, :1]
        x = (y - ends[:, :1]) / span
        return x, (slope - end_slopes[:, :1] - x * span_slope) / span

    def log_curve(self, time: Floats, theta: Floats) -> tuple[Floats, Floats]:
        """ln g (set, n) and its derivatives (set, n, parameter); NaN where g^m would not be positive."""
        m = POWER.get(self.law, 1.0)
        low, high = np.exp(m * theta[:, :1]), np.exp(m * theta[:, 1:2])
        x, slope = self.along(time, theta[:, 2:3] if theta.shape[1] > 2 else theta[:, :1])
        total = (1 - x) * low + x * high
        with np.errstate(invalid="ignore", divide="ignore"):
            parts = [(1 - x) * low / total, x * high / total]
            if theta.shape[1] > 2:
                parts.append((high - low) * slope / (m * total))
            return np.log(np.where(total > 0, total, np.nan)) / m, np.stack(parts, axis=-1)

    def parameters(self, theta: Floats) -> dict[str, Floats]:
        """`rate`, `intercept`, `exponent`, `tau` (set) in units of um and of the time."""
        m = POWER.get(self.law, 1.0)
        low, high = np.exp(m * theta[:, 0]), np.exp(m * theta[:, 1])
        shape = theta[:, 2:3] if theta.shape[1] > 2 else theta[:, :1]
        ends, _ = self.raw(np.array([self.first, self.last]), shape)
        slope = (high - low) / (ends[:, 1] - ends[:, 0])
        start = low - slope * ends[:, 0]
        blank = np.full(len(theta), np.nan)
        found = {"rate": slope, "intercept": start, "exponent": blank, "tau": blank}
        if self.law in ("sqrt", "linear"):
            found["rate"] = slope / self.last
        if self.law == "sqrt":
            found["intercept"] = np.sqrt(np.maximum(start, 0.0))
        if self.law == "power":
            found |= {
                "rate": slope / self.last ** theta[:, 2],
                "intercept": np.where(start > -1e-12, np.maximum(start, 0), start),
                "exponent": theta[:, 2],
            }
        if self.law == "logarithmic":
            found["tau"] = self.last * np.exp(theta[:, 2])
        return found


def curves_of(law: str, times: Floats) -> Curves:
    if law == "constant":
        return Curves(law, 0.0, 1.0, 1.0)
    return Curves(law, float(times.min()), float(times.max()), float(times[times > 0].min()))


def fit_sets(curves: Curves, time: Floats, means: Floats, below: Bools, variance: Floats, start: Floats | None = None) -> Fitted:
    """Fit every row of `means` (set, cell); where `below`, the mean is an upper limit of what was there.

    `variance` (cell) is that of a mean over its expectation squared. `start` (1 or set, parameter) is where the search begins;
    without it several starts are tried, the best result is kept. A power law that would start below 0 starts at 0.
    """
    data = Sets(time, means, below, variance)
    starts = _starts(curves, time, means) if start is None else [_near(start, len(means))]
    ways = np.array([[1.0, 1.0]]) if curves.law == "constant" else None
    found = [_descend(curves, data, theta, ways) for theta in starts]
    deviances = np.stack([f.deviance for f in found])
    best = deviances.argmin(axis=0), np.arange(len(means))
    result = Fitted(np.stack([f.theta for f in found])[best], deviances[best])
    if curves.law == "power" and curves.first > 0:
        rows = np.flatnonzero(curves.parameters(result.theta)["intercept"] < 0)
        if len(rows):
            pure = _from_zero(curves, data.rows(rows), result.theta[rows])
            result.theta[rows], result.deviance[rows] = pure.theta, pure.deviance
    return result


@dataclass(frozen=True)
class Sets:
    """What is fitted: times (cell), means or limits (set, cell), which are limits, and the relative variance (cell)."""

    time: Floats
    means: Floats
    below: Bools
    variance: Floats

    def rows(self, rows: NDArray[np.int64]) -> Sets:
        return Sets(self.time, self.means[rows], self.below[rows], self.variance)


def _from_zero(curves: Curves, data: Sets, theta: Floats) -> Fitted:
    """Power laws with g(0) = 0: the two ends and the exponent move together."""
    length = float(np.log(curves.last / curves.first))
    exponent = np.clip((theta[:, 1] - theta[:, 0]) / length, *EXPONENTS)
    start = np.column_stack([theta[:, 1] - exponent * length, theta[:, 1], exponent])
    return _descend(curves, data, start, np.array([[1.0, 1.0, 0.0], [0.0, length, 1.0]]))


def _near(start: Floats, n: int) -> Floats:
    """`start` for `n` sets, without a first thickness so near 0 that nothing would pull it up again."""
    theta = np.broadcast_to(start, (n, start.shape[1])).copy()
    theta[:, 0] = np.maximum(theta[:, 0], theta[:, 1] + THIN_START)
    return theta


def _starts(curves: Curves, time: Floats, means: Floats) -> list[Floats]:
    """Values near the first and the last time, with several shapes."""
    ends = [np.log(means[:, np.abs(time - t) == np.abs(time - t).min()].mean(axis=1)) for t in (curves.first, curves.last)]
    plain = np.stack(ends if curves.law != "constant" else ends[:1] * 2, axis=1)
    bounds = curves.shape_range
    if bounds is None:
        return [plain]
    shapes = [bounds[0] + share * (bounds[1] - bounds[0]) for share in STARTS]
    return [np.column_stack([plain, np.full(len(plain), s)]) for s in shapes]


def _descend(curves: Curves, data: Sets, theta: Floats, along: Floats | None = None) -> Fitted:
    """Levenberg–Marquardt on the quasi-deviance, all sets at once, in the directions `along` (free, parameter)."""
    ways = np.eye(theta.shape[1]) if along is None else along
    theta = theta.copy()
    damping = np.full(len(theta), 1e-3)
    deviance, score, information = _terms(curves, data, theta, ways)
    moving = np.ones(len(theta), bool)
    eye = np.eye(len(ways))
    for _ in range(MAX_STEPS):
        rows = np.flatnonzero(moving)
        if not len(rows):
            break
        damped = information[rows] + damping[rows, None, None] * (eye * information[rows]) + 1e-12 * eye
        step = np.clip(np.linalg.solve(damped, score[rows][..., None])[..., 0], -1.0, 1.0)
        trial = _inside(curves, theta[rows], step, ways)
        change = np.abs(trial - theta[rows]).max(axis=1)
        new = _terms(curves, data.rows(rows), trial, ways)
        better = new[0] <= deviance[rows] + 1e-12
        kept = rows[better]
        theta[kept], deviance[kept] = trial[better], new[0][better]
        score[kept], information[kept] = new[1][better], new[2][better]
        damping[rows] = np.where(better, damping[rows] / 10, np.maximum(damping[rows], 1e-6) * 10)
        moving[rows] = (change > SMALL_STEP) & (damping[rows] < 1e12)
    return Fitted(theta, deviance)


def _inside(curves: Curves, theta: Floats, step: Floats, ways: Floats) -> Floats:
    """`theta` moved by `step`; the shape, the last parameter, stays in its range, the first thickness above a bound."""
    bounds = curves.shape_range
    if bounds is not None:
        step = step.copy()
        step[:, -1] = np.clip(theta[:, 2] + step[:, -1], *bounds) - theta[:, 2]
    moved = np.asarray(theta + step @ ways)
    if len(ways) == theta.shape[1]:
        moved[:, 0] = np.maximum(moved[:, 0], moved[:, 1] + THINNEST)
    return moved


def _terms(curves: Curves, data: Sets, theta: Floats, ways: Floats) -> tuple[Floats, Floats, Floats]:
    """Quasi-deviance (set), minus half its gradient, and the information with it; a shape held at its bound does not move."""
    log_g, slopes = curves.log_curve(data.time, theta)
    slopes = slopes @ ways.T
    ratio = data.means / np.exp(log_g)
    with np.errstate(invalid="ignore", divide="ignore"):
        deviance = 2 * (ratio - 1 - np.log(ratio)) / data.variance
    pull, weight = (ratio - 1) / data.variance, np.broadcast_to(1 / data.variance, ratio.shape)
    if data.below.any():
        limited = censored(ratio, data.variance)
        deviance, pull, weight = (np.where(data.below, c, p) for c, p in zip(limited, (deviance, pull, weight), strict=True))
    score = np.einsum("bn,bnp->bp", pull, slopes)
    information = np.einsum("bnp,bn,bnq->bpq", slopes, weight, slopes)
    bounds = curves.shape_range
    if bounds is not None:
        held = ((theta[:, 2] <= bounds[0]) & (score[:, -1] < 0)) | ((theta[:, 2] >= bounds[1]) & (score[:, -1] > 0))
        score[held, -1] = 0.0
        information[held, -1, :-1] = information[held, :-1, -1] = 0.0
    return np.where(np.isfinite(log_g).all(axis=1), deviance.sum(axis=1), np.inf), score, information


def censored(ratio: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
    """Deviance, pull and weight on ln g of "below the limit", with `ratio` the limit over g.

    The gamma distribution's: it is the one whose likelihood is the quasi-likelihood with variance ∝ g², so that cells above and
    below a limit pull in balance.
    """
    from scipy.special import gammainc, gammaln

    shape = np.broadcast_to(1 / variance, ratio.shape)
    x = shape * ratio
    power = shape * np.log(x) - x
    with np.errstate(divide="ignore"):
        logs = np.log(gammainc(shape, x))
    logs = np.where(logs > -600, logs, power - gammaln(shape + 1) - np.log1p(-np.minimum(x / (shape + 1), 0.99)))
    hazard = np.exp(power - gammaln(shape) - logs)
    return -2 * logs, -hazard, np.maximum(hazard * (x + hazard - shape), 1e-12)
