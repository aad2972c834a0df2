"""How numbers become colours, and the words that say so: limits, percentiles, log scale, phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm, Normalize

from ssbmaps._arrays import to_dense
from ssbmaps._errors import Faults
from ssbmaps.figures._labels import ion_label, number_label
from ssbmaps.figures._legend import Entry
from ssbmaps.figures._style import CLASS_COLOURS, COUNTS_MAP, SIGNED_MAP, UNMEASURED, colour_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Colours:
    """A colour scale: norm and map, `extend` of the bar's ends, and what is said about it.

    `words` stand on the bar, `notes` in the caption; `legend` names the phases of a label map and is empty for numbers.
    """

    norm: Normalize
    cmap: Colormap
    extend: str
    words: tuple[str, ...]
    notes: tuple[str, ...] = ()
    legend: tuple[Entry, ...] = ()
    whole: bool = False

    def drawn(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values as the image holds them: a log scale draws a measured zero in its lowest colour, not as missing."""
        return np.where(values == 0, self.norm.vmin or 0.0, values) if isinstance(self.norm, LogNorm) else values

    def ticks(self, most: int) -> list[float]:
        """At most `most` round numbers inside the scale."""
        low, high = float(self.norm.vmin or 0.0), float(self.norm.vmax or 0.0)
        if isinstance(self.norm, LogNorm):
            return log_ticks(low, high, most)
        power = 10.0 ** np.floor(np.log10((high - low) / most))
        for step in (f * power * ten for ten in (1.0, 10.0, 100.0) for f in (1.0, 2.0, 2.5, 5.0)):
            inside = np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
            if len(inside) <= most and not (self.whole and step % 1):
                break
        return [float(f"{t:.12g}") for t in inside] or [low, high]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked of the colour scale, checked once."""

    percentile: tuple[float, float] | None
    limits: tuple[float, float] | None
    log: bool
    cmap: str | None

    @classmethod
    def checked(cls, subject: str, percentile: Any, limits: Any, scale: Any, cmap: Any) -> Wish:
        """The options as given, or one letter with everything that is wrong with them."""
        with Faults(subject) as faults:
            for name, pair, low, high in (("percentile", percentile, 0.0, 100.0), ("limits", limits, -np.inf, np.inf)):
                good = pair is None or (_is_pair(pair) and low <= pair[0] < pair[1] <= high)
                within = " from 0 to 100" if high == 100 else ""
                faults.expect(good, f"{name}={pair!r}; expected two rising numbers{within}, or None.")
            faults.expect(scale in ("linear", "log"), f"scale={scale!r}; expected 'linear' or 'log'.")
            if scale == "log" and _is_pair(limits):
                faults.expect(limits[0] > 0, f"limits={limits!r}; a log scale starts above 0.")
        return cls(percentile, limits, scale == "log", cmap)


def _is_pair(pair: Any) -> bool:
    numbers = (int, float, np.integer, np.floating)
    return isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(v, numbers) and np.isfinite(v) for v in pair)


def number_colours(images: Sequence[NDArray[np.float64]], wish: Wish, *, whole: bool, subject: str) -> Colours | None:
    """Colour scale over `images` together, or None where no pixel holds a value."""
    values = np.concatenate([image[~np.isnan(image)] for image in images])
    if values.size == 0:
        return None
    low, high = float(values.min()), float(values.max())
    with Faults(subject) as faults:
        faults.expect(bool(np.isfinite([low, high]).all()), "infinite values in the map; expected finite numbers, or NaN.")
        faults.expect(not (wish.log and low < 0), f"values down to {low:g} have no place on a log scale; use scale='linear'.")
        faults.expect(not (wish.log and high <= 0), "no value above 0 for a log scale; use scale='linear'.")
    cmap = colour_map(wish.cmap or (SIGNED_MAP if low < 0 else COUNTS_MAP))
    bottom, top, words = _limits(values, wish)
    if low == high:
        words.insert(0, f"every pixel holds {number_label(low)}")
    notes = []
    if wish.log:
        words.insert(0, "log scale")
        if low == 0:
            bottom = bottom if wish.limits is not None else bottom / 2  # the lowest colour is then the zeros' own
            notes += ["zeros in the lowest colour"]
            notes += ["percentiles of values above 0"] if any("percentile" in w for w in words) else []
    below = bool((values[values > 0] if wish.log else values).min() < bottom)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[below, high > top]
    norm = LogNorm(bottom, top) if wish.log else Normalize(bottom, top)
    return Colours(norm, cmap, extend, tuple(words), tuple(notes), whole=whole)


def _limits(values: NDArray[np.float64], wish: Wish) -> tuple[float, float, list[str]]:
    """Ends of the scale that values of the data reach, and the words for them; symmetric about 0 for signed values."""
    if wish.limits is not None:
        low, high = map(float, wish.limits)
        return low, high, [f"colours from {number_label(low)} to {number_label(high)}"]
    if wish.log:
        values = values[values > 0]
    full = float(values.min()), float(values.max())
    low, high = full
    if wish.percentile is not None:
        low = float(np.percentile(values, wish.percentile[0], method="lower"))
        high = float(np.percentile(values, wish.percentile[1], method="higher"))
    words = [] if wish.percentile is None else [f"{wish.percentile[0]:g}–{wish.percentile[1]:g} percentile"]
    if full[0] == full[1]:  # one value: the scale reaches from it to 0, on a log scale half a decade to either side
        value = full[0]
        low, high = (value / 10**0.5, value * 10**0.5) if wish.log else (min(value, 0.0), max(value, 0.0) if value else 1.0)
        words = []
    elif low >= high:
        (low, high), words = full, ["full range"]
    if low < 0:
        low, high = -max(-low, high), max(-low, high)
        words.append("symmetric about 0")
    return low, high, words


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers on a logarithmic scale."""
    powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for factors in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        found = [float(f * 10.0**p) for p in powers for f in factors if low * (1 - 1e-9) <= f * 10.0**p <= high * (1 + 1e-9)]
        if len(found) <= most:
            break
    step = -(-len(found) // most) if found else 1
    return found[::step] or [low, high]


def class_colours(labels: xr.DataArray, *, subject: str) -> Colours:
    """Colours and legend of a label map with CF `flag_values` and `flag_meanings`; unassigned is white."""
    flags = np.atleast_1d(np.asarray(labels.attrs.get("flag_values", []), np.int64))
    names = str(labels.attrs.get("flag_meanings", "")).split()
    present = np.unique(to_dense(labels.data))
    with Faults(subject) as faults:
        faults.expect(
            len(flags) == len(names) > 0,
            f"{len(flags)} flag_values and {len(names)} flag_meanings; expected the same number of each, one word per label.",
        )
        unknown = sorted(set(present.tolist()) - set(flags.tolist()))
        faults.expect(not unknown, f"labels {', '.join(map(str, unknown[:5]))} are not in flag_values {flags.tolist()}.")
        faults.expect(len(flags) <= len(CLASS_COLOURS), f"{len(flags)} labels; a figure tells {len(CLASS_COLOURS)} apart.")
    order = np.argsort(flags)
    flags, names = flags[order], [names[i] for i in order]
    spare = iter(CLASS_COLOURS[1:])
    colours = [CLASS_COLOURS[0] if name == "unassigned" else next(spare) for name in names]
    edges = np.concatenate([[flags[0] - 0.5], flags[1:] - 0.5, [flags[-1] + 0.5]])
    cmap = ListedColormap(colours).with_extremes(bad=UNMEASURED)
    legend = tuple(Entry(ion_label(n), c) for f, c, n in zip(flags, colours, names, strict=True) if f in present)
    return Colours(BoundaryNorm(edges, len(colours)), cmap, "neither", (), legend=legend)
