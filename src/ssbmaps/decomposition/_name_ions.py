"""The peaks of a mass spectrum, and the ions that each may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._battery_ions import candidates as listed
from ssbmaps._ions import parse_ion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_SHARE = 0.01  # of the spectrum: smaller peaks are not named
SUPPORT = 0.5  # of a peak that a rare isotopologue must explain, going by the peak of its main one


@dataclass(frozen=True, slots=True)
class Option:
    """What a peak may be and where its line lies; of a rare isotopologue how rare it is, and the m/z of the main one."""

    name: str
    position: float
    abundance: float = 1.0
    main: float = np.nan


@dataclass(frozen=True, slots=True)
class Peak:
    """Where a peak lies, its share of the spectrum, and what it may be, nearest first."""

    position: float
    share: float
    options: tuple[Option, ...]


def ion_options(names: Sequence[str] | None, polarity: str | None) -> list[Option]:
    """The ions given, or the battery ions of one polarity with their isotopologues."""
    if names is not None:
        ions = [parse_ion(n) for n in names]
        return [Option(i.name, i.mz) for i in ions]
    return [Option(c.name, c.mz, c.abundance, c.main_mz) for c in listed(str(polarity))[0]]


def ions_of(spectrum: Floats, mz: Floats, options: Sequence[Option], tolerance: float, most: int) -> list[Peak]:
    """The largest peaks, each within ± `tolerance` (relative) of its centroid, and the options that lie there."""
    spectrum = spectrum / max(float(spectrum.sum()), np.finfo(float).tiny)
    left = spectrum.copy()
    whole = _window_sums(spectrum, mz, mz, tolerance)
    found: list[Peak] = []
    while len(found) < most:
        sums = _window_sums(left, mz, mz, tolerance)
        first = _shoulders(sums)
        if sums[first] < LEAST_SHARE:
            break
        centre = float(mz[first])
        for _ in range(3):
            inside = np.abs(mz - centre) <= tolerance * centre
            if not left[inside].any():
                break
            centre = float(mz[inside] @ left[inside] / left[inside].sum())
        inside = np.abs(mz - centre) <= tolerance * centre
        share = float(left[inside].sum())
        if share < LEAST_SHARE:
            break
        left[inside] = 0.0
        if whole[inside].max() < whole[np.abs(mz - centre) <= 2 * tolerance * centre].max():
            continue  # the foot of a larger peak
        found.append(Peak(centre, share, _near(centre, share, options, spectrum, mz, tolerance)))
    return found


def _shoulders(sums: Floats) -> int:
    """The middle one of the channels whose window holds most: around a narrow peak, many windows hold all of it."""
    best = np.flatnonzero(sums >= sums.max() * (1 - 1e-12))
    run = best[: np.flatnonzero(np.diff(best, append=best[-1] + 2) > 1)[0] + 1]
    return int(run[len(run) // 2])


def _window_sums(spectrum: Floats, mz: Floats, centres: Floats, tolerance: float) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(spectrum)])
    low = np.searchsorted(mz, centres * (1 - tolerance), "left")
    high = np.searchsorted(mz, centres * (1 + tolerance), "right")
    return np.asarray(total[high] - total[low])


def _near(
    centre: float, share: float, options: Sequence[Option], spectrum: Floats, mz: Floats, tolerance: float
) -> tuple[Option, ...]:
    """Options within the tolerance; rare isotopologues only where the peak of their main one is large enough for them."""
    kept = []
    for option in options:
        if abs(option.position - centre) > tolerance * centre:
            continue
        if option.abundance < 1:
            main = float(_window_sums(spectrum, mz, np.array([option.main]), tolerance)[0])
            if option.abundance * main < SUPPORT * share:
                continue
        kept.append(option)
    return tuple(sorted(kept, key=lambda o: (o.abundance < 1, abs(o.position - centre))))


def named_channels(spectrum: Floats, names: Sequence[str], options: Sequence[Option], tolerance: float, most: int) -> list[Peak]:
    """The largest of channels that are ions by name, each with the other ions of its window."""
    from ssbmaps._errors import SsbmapsError

    spectrum = spectrum / max(float(spectrum.sum()), np.finfo(float).tiny)
    found = []
    for k in np.argsort(-spectrum, kind="stable")[:most]:
        if spectrum[k] < LEAST_SHARE:
            break
        try:
            ion = parse_ion(names[k])
        except SsbmapsError:
            found.append(Peak(np.nan, float(spectrum[k]), (Option(names[k], np.nan),)))
            continue
        others = [
            o for o in options if abs(o.position - ion.mz) <= tolerance * ion.mz and o.abundance == 1 and o.name != ion.name
        ]
        others.sort(key=lambda o: abs(o.position - ion.mz))
        found.append(Peak(ion.mz, float(spectrum[k]), (Option(ion.name, ion.mz), *others)))
    return found
