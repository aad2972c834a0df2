"""Raman bands or Auger lines in a spectrum: a non-negative fit of known lines on a smooth background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._bands import AUGER_LINES, RAMAN_BANDS
from ssbmaps.decomposition._name_ions import Option, Peak

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

AUGER_WIDTH = 10.0  # eV: an Auger peak of some eV, and the chemical shift that its tabulated place does not know
BACKGROUND = 3.0  # widths of the broadest line between the knots of the background
LEAST_AREA = 0.003  # of the spectrum: splines miss smooth humps by 0.001 of it
STANDS = 3.0  # times the residual's root mean square that a line is high, at least


@dataclass(frozen=True, slots=True)
class Line:
    """A known line: its name, position and full width at half maximum, in the unit of the axis."""

    name: str
    position: float
    width: float


def library(channel: str, given: Mapping[str, float] | None) -> list[Line]:
    """Lines given by name, each as wide as the narrowest known one, or those of the tables."""
    if channel == "raman_shift":
        known = [
            Line(f"{name} ({b.mode}, {b.raman_shift:.0f})", b.raman_shift, b.width)
            for name, bands in RAMAN_BANDS.items()
            for b in bands
        ]
    else:
        known = [Line(name, line.kinetic_energy, AUGER_WIDTH) for name, line in AUGER_LINES.items()]
    if given is None:
        return known
    width = float(np.median([k.width for k in known]))
    return [Line(name, float(position), width) for name, position in given.items()]


def bands_of(spectrum: Floats, axis: Floats, lines: list[Line], most: int) -> list[Peak]:
    """Lines that stand on the background, the largest first, each with the others that lie within half their widths of it.

    A peak's share is its area in that of the whole spectrum, background included.
    """
    from scipy.optimize import nnls

    inside = [line for line in lines if axis[0] <= line.position <= axis[-1]]
    if not inside:
        return []
    shapes = np.array([_lorentzian(axis, line) for line in inside])
    smooth = _splines(axis, BACKGROUND * max(line.width for line in inside))
    scale = max(float(np.abs(spectrum).max()), np.finfo(float).tiny)
    weights = nnls(np.vstack([shapes, smooth]).T, spectrum / scale)[0]
    background = scale * weights[len(inside) :] @ smooth
    whole = max(float(spectrum.sum()), np.finfo(float).tiny)
    heights = scale * weights[: len(inside)]
    areas = heights * shapes.sum(axis=1)
    residual = spectrum - background - heights @ shapes
    found: list[Peak] = []
    for i in np.argsort(-areas, kind="stable"):
        share = float(areas[i]) / whole
        if share < LEAST_AREA or len(found) == most:
            break
        line = inside[i]
        near = np.flatnonzero(np.abs(axis - line.position) <= line.width / 2)
        if not len(near) or heights[i] < STANDS * np.sqrt(np.mean(residual[near] ** 2)):
            continue
        top = float(axis[near[(residual + heights[i] * shapes[i])[near].argmax()]])
        others = [o for o in inside if o is not line and abs(o.position - line.position) <= (o.width + line.width) / 2]
        others.sort(key=lambda o: abs(o.position - line.position))
        found.append(Peak(top, min(share, 1.0), tuple(Option(o.name, o.position) for o in (line, *others))))
    return found


def _lorentzian(axis: Floats, line: Line) -> Floats:
    return np.asarray(1 / (1 + ((axis - line.position) / (line.width / 2)) ** 2))


def _splines(axis: Floats, step: float) -> Floats:
    """Cubic B-splines on knots about `step` apart."""
    from scipy.interpolate import BSpline

    inner = np.linspace(axis[0], axis[-1], max(2, round((axis[-1] - axis[0]) / step) + 1))
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    return np.asarray(BSpline.design_matrix(axis, knots, 3).toarray().T)
