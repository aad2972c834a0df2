"""Particles whose shells differ more than their errors allow: told apart by a factor on the thickness, on arrays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.interfaces._interphase_fit import dispersion_of
from ssbmaps.interfaces._particle_shells import each_part, used_length
from ssbmaps.interfaces._scoring import fit_shape
from ssbmaps.interfaces._shapes import BOX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Across
    from ssbmaps.interfaces._interphase_fit import Limits
    from ssbmaps.interfaces._scoring import Fit

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

UNLIKE = 0.01  # probability of such a scatter of equal particles, below which they are told apart
STEP = 0.04  # of the factor's logarithm: width of a class
LEAST, MOST = 0.1, 10.0  # bounds of a factor
ROUNDS = 8
SETTLED = 0.01  # of a factor


def told_apart(across: Across, use: Bools, owner: Ints, box: Fit, limits: Limits) -> tuple[Across, Bools, Fit]:
    """Particles in classes of like thickness (mean factor 1), the entries left of `use`, and their box.

    One profile of all particles is a mixture whose outer edge is smeared by what they differ in: its best box is no mean, and its
    best shape a diffuse one. The factors are each particle's own thickness over the mean, drawn to 1 by as much as its error
    makes up of the scatter (DerSimonian and Laird 1986, doi 10.1016/0197-2456(86)90046-2). Levels and factors are found in turn.
    Particles too small for a thickness of their own are left out then: nobody knows how unlike the others they are. Where
    particles are alike, all stays as it was.
    """
    data = across.binned(use)[0]
    labels = np.unique(owner[use])
    found, kept, fit, before = across, use, box, np.ones(len(labels))
    for _ in range(ROUNDS):
        dispersion = max(dispersion_of(data, fit), 1.0 if data.positive else 0.0)
        thickness, sd = each_part(fit, limits, dispersion, across, use, owner, labels)
        length = used_length(across, use, owner, int(labels.max()))[labels]
        factor = _factors(thickness, sd, length)
        if factor is None:
            break
        good = np.isfinite(factor)
        of_label, stretch = _classes(factor[good], length[good])
        kin = np.full(int(owner.max()) + 1, -1)
        kin[labels[good]] = of_label
        found, kept = replace(across, kin=kin[owner], stretch=stretch), use & (kin[owner] >= 0)
        data = found.binned(kept)[0]
        fit = fit_shape(data, BOX, fit.geometry, limits.of(BOX))
        if np.array_equal(good, np.isfinite(before)) and np.all(np.abs(factor - before)[good] < SETTLED * factor[good]):
            break
        before = factor
    return found, kept, fit


def _factors(thickness: Floats, sd: Floats, length: Floats) -> Floats | None:
    """Factor of each particle, NaN without a thickness of its own; None where all are alike."""
    from scipy.stats import chi2

    good = np.isfinite(thickness) & np.isfinite(sd) & (sd > 0)
    n = int(good.sum())
    if n < 2:
        return None
    d, weight = thickness[good], 1 / sd[good] ** 2
    scatter = float((weight * (d - np.average(d, weights=weight)) ** 2).sum())
    if chi2.sf(scatter, n - 1) > UNLIKE:
        return None
    between = max((scatter - (n - 1)) / (weight.sum() - (weight**2).sum() / weight.sum()), 0.0)
    middle = np.average(d, weights=1 / (between + sd[good] ** 2))
    own = 1 + between / (between + sd[good] ** 2) * (d / middle - 1)
    factor = np.full(len(thickness), np.nan)
    factor[good] = np.clip(own / np.average(own, weights=np.maximum(length[good], 1e-9)), LEAST, MOST)
    return factor


def _classes(factor: Floats, length: Floats) -> tuple[Ints, Floats]:
    """Class of each particle, those of nearly equal factor together, and each class's mean factor."""
    number = np.unique(np.rint(np.log(factor) / STEP), return_inverse=True)[1]
    weights = np.maximum(length, 1e-9)
    mean = np.bincount(number, factor * weights) / np.bincount(number, weights)
    return number, np.asarray(mean / np.average(mean[number], weights=weights))
