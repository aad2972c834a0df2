"""What labels look like through the beam: the blur, and each class's levels by least squares on blurred labels, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Labels = NDArray[np.int16]

FINE = 2  # labels per side of a pixel
WINDOW = 15.0 / (2 * np.sqrt(2 * np.log(2)))  # pixels (σ) of the window of the local levels: full width 15 pixels
BLOCK = 4  # pixels; levels are kept per block of this side
SHARPEST, BLURREST = 0.3, 4.0  # pixels (σ); blurs that are looked for
STEP = 1.08  # between the blurs that are compared once it is roughly known
AHEAD = 1.6  # how far beyond the best blur for the labels to go, as labels found under another blur ask for less than is due
PRIOR = 20.0  # pixels of a class in the window that weigh as much as the level over the whole map
MIXED = 10.0  # how many more for each pixel's worth s (1 − s) of mixed pixels, whose level cannot be told from their share s


@dataclass(frozen=True, slots=True)
class Beam:
    """Separable Gaussian blur over measured pixels: σ in pixels, kernels, and the share `reach` of each that is measured.

    The kernels (FINE, taps) lead from each of the fine rows or columns of a pixel to the pixels around it.
    """

    sigma: float
    along_y: Floats
    along_x: Floats
    measured: Bools
    reach: Floats

    @property
    def radius(self) -> tuple[int, int]:
        """Pixels from the centre to the end of the kernels."""
        return self.along_y.shape[1] // 2, self.along_x.shape[1] // 2

    def shares(self, labels: Labels, n: int) -> Floats:
        """(n, y, x) share of each class in what is seen of fine labels; 0 where not measured."""
        return self.seen(labels, np.eye(n)[None, None], max(self.measured.shape)) * self.measured

    def seen(self, labels: Labels, levels: Floats, block: int = BLOCK) -> Floats:
        """(F, y, x) signal of fine labels: its mean over the measured pixels under the beam."""
        return _image(labels, levels, block, self.measured, self.along_y, self.along_x) / self.reach


def beam_of(sigma: float, aspect: Floats, measured: Bools) -> Beam:
    """Gaussian beam of `sigma` times `aspect` (y, x) pixels, cut at 3 sigma."""
    along_y, along_x = (_from_fine(sigma * float(a)) for a in aspect)
    nothing = np.zeros([FINE * n for n in measured.shape], np.int16)
    reach = _image(nothing, np.ones((1, 1, 1, 1)), max(measured.shape), measured, along_y, along_x)[0]
    return Beam(float(sigma), along_y, along_x, measured, np.where(reach > 0, reach, 1.0))


def _image(labels: Labels, levels: Floats, block: int, measured: Bools, along_y: Floats, along_x: Floats) -> Floats:
    from ssbmaps.maps._compiled import image

    return np.asarray(image(labels, levels, block, measured, along_y, along_x))


def _from_fine(sigma: float) -> Floats:
    """(FINE, taps) weights, 1 in all, of the pixels around for each fine row of a pixel."""
    radius = int(np.ceil(3 * sigma))
    offset = (np.arange(FINE) - (FINE - 1) / 2)[:, None] / FINE
    kernel = np.exp(-0.5 * ((np.arange(-radius, radius + 1) - offset) / sigma) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True) / FINE)


@dataclass(frozen=True, slots=True)
class Levels:
    """Signal of each class in each channel: `whole` (K, F) over the map, `local` (rows, columns, K, F) per block."""

    whole: Floats
    local: Floats


def whole_levels(shares: Floats, values: Floats, gain: Floats) -> tuple[Floats, float]:
    """(K, F) levels by least squares on the blurred shares (K, y, x) times the gain, and the misfit they leave, less a constant.

    For the misfit the channels are weighted by their inverse mean, as Poisson counts spread alike over the map would be.
    """
    model = (shares * gain).reshape(len(shares), -1)
    flat = values.reshape(len(values), -1).T
    right = model @ flat
    levels = _solve(model @ model.T, right)
    weight = 1 / np.maximum(np.abs(values).sum(axis=(1, 2)), np.finfo(float).tiny)
    return levels, -float(weight @ np.einsum("kf,kf->f", right, levels))


def find_beam(labels: Labels, n: int, values: Floats, measured: Bools, aspect: Floats) -> Beam:
    """Blur under which the labels explain the maps best, from nothing known."""
    from scipy.optimize import minimize_scalar

    ones = np.ones(measured.shape)

    def misfit(log: float) -> float:
        return whole_levels(beam_of(np.exp(log), aspect, measured).shares(labels, n), values, ones)[1]

    best = minimize_scalar(misfit, bounds=np.log([SHARPEST, BLURREST]), method="bounded", options={"xatol": 0.1}).x
    return beam_of(float(np.exp(best)), aspect, measured)


def next_beam(beam: Beam, labels: Labels, n: int, values: Floats, gain: Floats, aspect: Floats) -> Beam:
    """Blur that explains the maps better than `beam`, by a parabola through its misfit and those of two near it."""
    sigmas = beam.sigma * STEP ** np.array([-1.0, 0.0, 1.0])
    beams = [beam_of(s, aspect, beam.measured) for s in sigmas]
    low, middle, high = (whole_levels(b.shares(labels, n), values, gain)[1] for b in beams)
    bend = low - 2 * middle + high
    step = (low - high) / (2 * bend) if bend > 0 else np.sign(low - high)
    sigma = beam.sigma * STEP ** float(np.clip(AHEAD * step, -2, 2))
    return beam_of(float(np.clip(sigma, SHARPEST, BLURREST)), aspect, beam.measured)


def fit_levels(shares: Floats, values: Floats, gain: Floats, *, positive: bool) -> tuple[Levels, Floats]:
    """Levels of all classes over the map and in a local window, and for `positive` maps the gain (y, x) common to all channels.

    `shares` are seen through the beam, so that phases thinner than it have their own level too. Gain and levels follow from
    each other, starting with the `gain` found before. The local fit is relative to the gain, so that a gain that drifts across
    the window does not tilt it, and leans on the whole map's levels by the weight of `PRIOR` pixels and more (`MIXED`).
    """
    whole, _ = whole_levels(shares, values, gain)
    for _ in range(2 if positive else 0):
        gain = _common_gain(values, np.tensordot(np.maximum(whole, 0).sum(axis=1), shares, 1))
        whole, _ = whole_levels(shares, values, gain)
    whole = np.maximum(whole, 0) if positive else whole
    return local_levels(whole, shares, values, gain, positive=positive), gain


def local_levels(whole: Floats, shares: Floats, values: Floats, gain: Floats, *, positive: bool) -> Levels:
    """Levels (K, F) over the map with those that the window adds to them."""
    from ssbmaps.maps._compiled import block_products

    area = 4 * np.pi * WINDOW**2
    sums = block_products(np.ascontiguousarray(shares * gain), np.ascontiguousarray(values), BLOCK)
    sums = np.moveaxis(_window(sums), (2, 3), (0, 1)) * (area / BLOCK**2)
    n = len(shares)
    mixed = np.moveaxis(_window(_blocks(shares * (1 - shares))), 0, -1) * area
    prior = PRIOR + MIXED * mixed[..., None]
    moments = sums[..., :n] + prior * np.eye(n)
    local = np.linalg.solve(moments, sums[..., n:] + prior * whole) * _blocks(gain)[..., None, None]
    return Levels(whole, np.maximum(local, 0) if positive else local)


def _common_gain(values: Floats, expected: Floats) -> Floats:
    """Total signal over what is expected of it in the local window, 1 where next to nothing is expected."""
    seen, model = _window(_blocks(np.stack([values.sum(axis=0), expected])))
    least = 1e-3 * model.mean() + np.finfo(float).tiny
    ratio = (seen + least) / (model + least)
    return np.repeat(np.repeat(ratio, BLOCK, 0), BLOCK, 1)[: values.shape[1], : values.shape[2]]


def _solve(moments: Floats, right: Floats) -> Floats:
    """Solution of normal equations; a class without pixels gets 0."""
    small = 1e-9 * np.trace(moments) / len(moments) + np.finfo(float).tiny
    return np.asarray(np.linalg.solve(moments + small * np.eye(len(moments)), right))


def _blocks(values: Floats) -> Floats:
    """Means over blocks of (…, y, x) maps, the frame padded with its last pixels."""
    padded = np.pad(values, [*[(0, 0)] * (values.ndim - 2), *((0, -n % BLOCK) for n in values.shape[-2:])], mode="edge")
    rows, columns = (n // BLOCK for n in padded.shape[-2:])
    return np.asarray(padded.reshape(*values.shape[:-2], rows, BLOCK, columns, BLOCK).mean(axis=(-3, -1)))


def _window(blocks: Floats) -> Floats:
    """Gaussian mean over the window of (…, rows, columns) blocks; nothing beyond the frame."""
    from ssbmaps.maps._compiled import correlate

    sigma = WINDOW / BLOCK
    radius = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    stack = np.ascontiguousarray(blocks, np.float64).reshape(-1, *blocks.shape[-2:])
    return np.asarray(correlate(stack, kernel, kernel).reshape(blocks.shape))
