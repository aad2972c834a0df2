"""One spectrum drawn into axes: sticks or a line, with its largest peaks labelled."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._conventions import LONG_NAMES, unit_of
from ssbmaps.figures._labels import number_label, unit_label
from ssbmaps.figures._style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from numpy.typing import NDArray

_DRAWN = 1500  # points of a spectrum that a printed plot can show
_LABEL = 9.0  # mm that a peak's label needs
_SMALLEST = 0.05  # of the largest peak, to be worth a label


@dataclass(frozen=True, slots=True)
class SpectrumPlot:
    """One spectrum: `channel` names its axis, `quantity` its values; the `last` of a column carries the axis' name."""

    channel: str
    position: NDArray[np.float64]
    values: NDArray[np.float64]
    quantity: str
    peaks: int
    last: bool

    def draw(self, axes: Axes) -> None:
        """Sticks or a line, the limits, and the names of the axes."""
        x, height = envelope(self.position, self.values, _DRAWN)
        if self.channel == "mz":
            axes.vlines(x, 0, height, color=INK, lw=0.6)
        else:
            axes.plot(x, height, color=INK, lw=0.7)
        if (self.values < 0).any():
            axes.axhline(0, color=INK, lw=0.4)
        axes.set_xlim(self.position[0] - 0.02 * self._span, self.position[-1] + 0.02 * self._span)
        low, high = min(float(self.values.min()), 0.0), max(float(self.values.max()), 0.0)
        rise = (high - low) or 1.0
        axes.set_ylim(low - (0.18 * rise if low < 0 else 0), high + 0.18 * rise)
        axes.locator_params(axis="y", nbins=3)
        axes.locator_params(axis="x", nbins=5)
        axes.set_ylabel(self.quantity)
        if self.last:
            axes.set_xlabel(f"{LONG_NAMES[self.channel]} ({unit_label(unit_of(self.channel) or '')})")

    def label(self, axes: Axes, width: float) -> list[Annotation]:
        """The largest peaks' positions, as far as they fit side by side on axes `width` mm wide."""
        sticks = self.channel == "mz"
        found = _peaks(self.position, self.values, self.peaks, apart=_LABEL / width * self._span, sticks=sticks)
        return [self._label(axes, place, 2 if sticks else 0) for place in found]

    @property
    def _span(self) -> float:
        return float(self.position[-1] - self.position[0]) or 1.0

    def _label(self, axes: Axes, place: int, decimals: int) -> Annotation:
        at, value = float(self.position[place]), float(self.values[place])
        share = (at - self.position[0]) / self._span
        align = "left" if share < 0.06 else "right" if share > 0.94 else "center"
        shift, side = (1, "bottom") if value >= 0 else (-1, "top")
        text = number_label(round(at, decimals))
        return axes.annotate(text, (at, value), (0, shift), textcoords="offset points", ha=align, va=side)


def _peaks(position: NDArray[np.float64], values: NDArray[np.float64], most: int, *, apart: float, sticks: bool) -> list[int]:
    """Indices of the largest channels, each at least `apart` from every larger one; on a line only where it turns."""
    size = np.abs(values)
    turns = np.ones(len(size), bool)
    if not sticks:
        turns[[0, -1]] = False
        turns[1:-1] = (size[1:-1] >= size[:-2]) & (size[1:-1] >= size[2:])
    chosen: list[int] = []
    for i in np.argsort(-size, kind="stable"):
        if len(chosen) == most or size[i] == 0 or size[i] < _SMALLEST * size.max():
            break
        if turns[i] and all(abs(position[i] - position[j]) >= apart for j in chosen):
            chosen.append(int(i))
    return chosen


def envelope(
    position: NDArray[np.float64], values: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most `most` channels: of neighbouring ones the one furthest from zero, at its own position."""
    if len(values) <= most:
        return position, values
    edges = np.unique(np.linspace(0, len(values), most + 1).astype(int))
    kept = [start + int(np.argmax(np.abs(values[start:stop]))) for start, stop in pairwise(edges)]
    return position[kept], values[kept]
