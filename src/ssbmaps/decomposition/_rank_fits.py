"""Fits that speak for a number of components: counts held out by thinning, and spectra that come back from other samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._counts import thinned
from ssbmaps.decomposition._match import agreement

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Floats = NDArray[np.float64]
    Fit = Callable[[csr_array, int, int, Floats | None], tuple[Floats, Floats]]  # counts, number, seed, spectra to start from

HALF = 0.5  # counts that Jeffreys' prior adds to each abundance
FLOOR = 1e-3  # share of every prediction that is the product of the pixel's and the channel's totals
ALIKE = 0.9  # cosine from which two spectra are called the same
CELLS = 1_000_000  # non-zeros whose model is computed at a time


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out deviance (K,) for 1 … K components, its excess over the lowest with that difference's standard error, and the
    number of components by the one-standard-error rule; NaN beyond the `tried` ones."""

    deviance: Floats
    excess: Floats
    excess_sd: Floats
    count: int
    tried: int
    spectra: list[Floats]  # of the fits to all counts


def held_out(values: csr_array, least: int, most: int, fit: Fit, splits: int, rng: np.random.Generator) -> HeldOut:
    """Fit all but one of `splits` independent parts of the counts, predict the part left out, each part once.

    Numbers of components are tried up to `least`, and on until two have brought nothing. All fits of one number start from the
    best fit to all counts, so that they differ by noise and not by the optimum they end in. The smallest one is taken whose
    deviance lies within one standard error of the lowest; the error is that of the difference between the two, over the splits.
    An abundance that the fit puts at 0 would make the first such count cost an infinity: each is predicted with half a count
    more, its mean under Jeffreys' prior of a Poisson mean. For channels that the fit has not seen, a thousandth of every
    prediction comes from the totals of pixel and channel.
    """
    parts = thinned(values, splits, rng)
    rests = [_without_zeros(values - part) for part in parts]
    seed = int(rng.integers(2**31))
    rows, columns = (np.asarray(values.sum(axis=axis)).ravel() for axis in (1, 0))
    floor, columns = rows * (FLOOR / splits), columns / columns.sum()
    deviance = np.full((splits, most), np.nan)
    tried, mean = 0, deviance.mean(axis=0)
    spectra: list[Floats] = []
    while tried < most and (tried < least or tried < int(np.nanargmin(mean)) + 3):
        tried += 1
        spectra.append(fit(values, tried, seed, None)[1])
        for i, (part, rest) in enumerate(zip(parts, rests, strict=True)):
            w, h = fit(rest, tried, seed, spectra[-1])
            w = np.column_stack([(w + HALF) * ((1 - FLOOR) / (splits - 1)), floor])
            deviance[i, tried - 1] = _deviance(part, w, np.vstack([h, columns]))
        mean = deviance.mean(axis=0)
    difference = deviance - deviance[:, [int(np.nanargmin(mean))]]
    excess, sd = difference.mean(axis=0), difference.std(axis=0, ddof=1) / np.sqrt(splits)
    return HeldOut(mean, excess, sd, int(np.flatnonzero(excess <= sd)[0]) + 1, tried, spectra)


def _without_zeros(values: csr_array) -> csr_array:
    from scipy.sparse import csr_array

    out = csr_array(values)
    out.eliminate_zeros()
    return out


def _deviance(counts: csr_array, w: Floats, h: Floats) -> float:
    """2 Σ y ln(y / μ) − y + μ with μ = w h, touching the non-zeros only."""
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    total = float(w.sum(axis=0) @ h.sum(axis=1)) - float(counts.sum())
    for start in range(0, counts.nnz, CELLS):
        part = slice(start, start + CELLS)
        y, model = counts.data[part], np.einsum("ij,ji->i", w[rows[part]], h[:, counts.indices[part]])
        total += float(np.sum(y * np.log(y / model)))
    return 2 * total


@dataclass(frozen=True, slots=True)
class Stability:
    """Lowest cosine of matched spectra (K, repeats) for 1 … K components, by other seeds and by pixels drawn again; and whether
    spectra come back (K,)."""

    seeds: Floats
    bootstrap: Floats
    back: NDArray[np.bool_]

    @property
    def count(self) -> int:
        """The largest number of components that come back."""
        return int(np.flatnonzero(self.back).max(initial=0)) + 1


def stability(values: csr_array, spectra: list[Floats], most: int, fit: Fit, repeats: int, rng: np.random.Generator) -> Stability:
    """Cosine of each fit's spectra with those of the fit to all counts, matched one to one; the least of each fit.

    Spectra come back if the median of the least cosines is 0.9 or more, by seeds and by bootstrap.
    """
    seeds = [int(s) for s in rng.integers(2**31, size=2 * repeats)]
    draws = [rng.multinomial(values.shape[0], np.full(values.shape[0], 1 / values.shape[0])) for _ in range(repeats)]
    other, again = np.full((most, repeats), np.nan), np.full((most, repeats), np.nan)
    for k, reference in enumerate(spectra, 1):
        for i in range(repeats):
            other[k - 1, i] = agreement(reference, fit(values, k, seeds[i], None)[1])
            again[k - 1, i] = agreement(reference, fit(_drawn(values, draws[i]), k, seeds[repeats + i], None)[1])
    back = (np.median(other, axis=1) >= ALIKE) & (np.median(again, axis=1) >= ALIKE)
    return Stability(other, again, back)


def _drawn(values: csr_array, times: NDArray[np.int64]) -> csr_array:
    """Rows as often as they were drawn: a row's multiple counts in the likelihood like that many copies."""
    from scipy.sparse import csr_array, diags_array

    return csr_array(diags_array(times.astype(np.float64)) @ values)[times > 0]
