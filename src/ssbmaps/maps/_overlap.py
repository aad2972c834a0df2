"""What fragment_maps says about the ions behind its windows: overlaps that the spectrum shows, and origins it cannot know."""

from __future__ import annotations

import re
import warnings
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import is_dask
from ssbmaps._battery_ions import COMMON, FREQUENT
from ssbmaps._errors import DataQualityWarning, SsbmapsError
from ssbmaps._ions import Ion, parse_ion
from ssbmaps._isotopologues import composition
from ssbmaps.maps._doublets import Doublet, fit_group
from ssbmaps.maps._peaks import Peak, Spectrum, typical_width
from ssbmaps.maps._resolution import REACH, away_from, common_peaks
from ssbmaps.maps._spectrum import summed_spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    _Group = tuple[Ion, list[Ion], float, float]  # ion, its partners, lower and upper edge of its window

SUBJECT = "maps.fragment_maps"
_LEAST_SHARE = 0.01  # of a window's counts: what a neighbour must add before it is told
_LEAST_SIGNAL = 3.0  # standard errors by which it must be there
_CLEAR = 4.0  # full widths between two ions from which a channel near one of them is that ion's alone
_OWN = 0.2  # of the distance of two ions: as far as a channel may lie from the one whose it is


def tell_of_ions(result: xr.DataArray, cube: xr.DataArray, ions: Sequence[Ion], windows: tuple[Floats, Floats]) -> None:
    """Write the attribute `notes` of fragment maps, and warn of neighbours that the summed spectrum shows in their windows.

    The notes follow from the ions and windows alone. Only pairs that are frequent in battery sections are looked for in
    the spectrum; of those, a pair of which both were asked for with overlapping windows takes part in the fits and is not told
    again. Dask cubes are not computed for it, and values that are no counts are not judged.
    """
    groups = [(ion, _partners(ion), float(a), float(b)) for ion, a, b in zip(ions, *windows, strict=True)]
    notes = [*ambiguity_notes(ions), *_neighbour_notes(groups)]
    if notes:
        result.attrs["notes"] = " ".join(notes)
    known = _asked_twice(groups)
    groups = [group for group in groups if any((group[0], o) not in known for o in group[1])]
    spectrum = _summed(cube) if groups and not is_dask(cube.data) else None
    letters = [] if spectrum is None else _letters(spectrum, groups, known)
    if letters:
        warnings.warn(
            f"{SUBJECT}: {'; '.join(letters)}. A map holds all counts of its window: narrow it with tolerance_ppm or window, fit "
            "the pair with maps.separate_doublet, or report the sum.",
            DataQualityWarning,
            stacklevel=3,
        )


def _asked_twice(groups: Sequence[_Group]) -> set[tuple[Ion, Ion]]:
    """Pairs (ion, partner) of which both were asked for, with windows that overlap."""
    windows = {composition(ion): (a, b) for ion, _, a, b in groups}
    found = set()
    for ion, others, a, b in groups:
        for other in others:
            low, high = windows.get(composition(other), (np.inf, -np.inf))
            if low < b and a < high:
                found.add((ion, other))
    return found


def _summed(cube: xr.DataArray) -> Spectrum | None:
    """Summed spectrum of a cube of counts, or None if its values are none."""
    if cube.attrs.get("units") != "counts":
        return None
    try:
        counts = summed_spectrum(cube, subject=SUBJECT)
    except SsbmapsError:
        return None
    return Spectrum(np.log(np.asarray(cube.coords["mz"].values, np.float64)), counts)


@lru_cache(maxsize=1)
def _pairs() -> tuple[tuple[Ion, Ion], ...]:
    return tuple((parse_ion(a), parse_ion(b)) for a, b in FREQUENT)


def _partners(ion: Ion) -> list[Ion]:
    """The other ions of the frequent pairs that hold `ion`."""
    own = composition(ion)
    return [b if composition(a) == own else a for a, b in _pairs() if own in (composition(a), composition(b))]


def _neighbour_notes(groups: Sequence[_Group]) -> list[str]:
    """Words about the partners of frequent pairs whose mass lies inside a window."""
    return [
        f"{o.name} ({_distance(ion, o)}) lies inside the window of {ion.name}."
        for ion, others, a, b in groups
        for o in others
        if a <= o.mz < b
    ]


def _letters(spectrum: Spectrum, groups: Sequence[_Group], known: set[tuple[Ion, Ion]]) -> list[str]:
    charge = groups[0][0].charge
    common = [parse_ion(i) for i in COMMON["positive" if charge > 0 else "negative"]]
    search = _Search(spectrum, typical_width(spectrum, common, reach=REACH), charge)
    told = [_letter(search, ion, others, (a, b), {o for i, o in known if i == ion}) for ion, others, a, b in groups]
    return [t for t in told if t]


class _Search:
    """A spectrum, its typical peak width if it has any, and the fitted peaks of common ions, made when first asked for."""

    def __init__(self, spectrum: Spectrum, width: float | None, charge: int) -> None:
        self.spectrum, self.width, self._charge = spectrum, width, charge

    @cached_property
    def peaks(self) -> list[Peak]:
        return common_peaks(self.spectrum, charge=self._charge)


def _letter(search: _Search, ion: Ion, others: list[Ion], window: tuple[float, float], known: set[Ion]) -> str:
    """Words about one ion's neighbours, or nothing where they add next to nothing to the window.

    A fit is made only where counts near a neighbour's mass could matter. Neighbours in `known` share in the fit, lest their
    counts be given to another, but the caller knows of them already.
    """
    spectrum, width = search.spectrum, search.width
    low, high = (float(np.log(v)) for v in window)
    inside = float(spectrum.within(low, high)[1].sum())
    least = max(_LEAST_SHARE * inside, _LEAST_SIGNAL * np.sqrt(inside))
    margin = 0.0 if width is None else width
    near = [o for o in others if spectrum.covers(o.mz, 0) and low - margin < np.log(o.mz) < high + margin]
    if width is None or any(abs(np.log(o.mz / ion.mz)) > _CLEAR * width for o in near):
        near = [o for o in near if o not in known]
        return _words(ion, near, [_own_channel(spectrum, ion, o, low, high) for o in near], least, inside, "")
    near = [o for o in near if spectrum.within(np.log(o.mz) - width / 2, np.log(o.mz) + width / 2)[1].sum() > least]
    if known.issuperset(near) or not away_from(search.peaks, [ion.mz, *(o.mz for o in near)]):
        return ""
    group = fit_group(spectrum, (ion, *near), search.peaks)
    measured = f", measured {group.shape.resolution:.0f} ± {group.shape.resolution_sd:.0f}"
    if not group.separable:
        names = " and ".join(f"{o.name} ({_distance(ion, o)})" for o in near if o not in known)
        return f"{ion.name} cannot be told from {names}{measured}"
    leaks = [n * _share_inside(group, k + 1, low, high) for k, n in enumerate(group.total[1:])]
    sure = [v if group.total[k + 1] > _LEAST_SIGNAL * group.total_sd[k + 1] else 0.0 for k, v in enumerate(leaks)]
    news = [(o, v) for o, v in zip(near, sure, strict=True) if o not in known]
    return _words(ion, [o for o, _ in news], [v for _, v in news], least, inside, measured)


def _distance(ion: Ion, other: Ion) -> str:
    difference = other.mz - ion.mz
    return f"{1e3 * difference:+.1f} mDa, m/Δm needed {ion.mz / abs(difference):.0f}"


def _words(ion: Ion, near: list[Ion], leaks: list[float], least: float, inside: float, measured: str) -> str:
    told = [
        f"{o.name} ({_distance(ion, o)}{measured}) adds about {v / inside:.0%} of the counts"
        for o, v in zip(near, leaks, strict=True)
        if v > least
    ]
    return f"to the map of {ion.name}, {' and '.join(told)}" if told else ""


def _own_channel(spectrum: Spectrum, ion: Ion, other: Ion, low: float, high: float) -> float:
    """Counts inside the window of the channel that is the other ion's, in data whose peaks have no width.

    0 where one channel would have to stand for both ions: it says nothing of either.
    """
    u = spectrum.log_mz
    apart = abs(np.log(other.mz / ion.mz))
    mine, its = (int(np.abs(u - np.log(m)).argmin()) for m in (ion.mz, other.mz))
    close = all(abs(u[k] - np.log(m)) < _OWN * apart for k, m in ((mine, ion.mz), (its, other.mz)))
    return float(spectrum.counts[its]) if close and mine != its and low <= u[its] < high else 0.0


def _share_inside(group: Doublet, k: int, low: float, high: float) -> float:
    """Share of the counts of ion `k` of a fitted group that fall between two places on the axis ln(m/z)."""
    edges = group.origin + group.unit * group.model.edges
    template = group.model.columns(group.fit.parameters)[:, k]
    total = np.concatenate([[0.0], np.cumsum(template)])
    return float(np.interp(high, edges, total) - np.interp(low, edges, total))


_CARBON = re.compile(r"C\d*(H\d*)?")
_PHOSPHATE = re.compile(r"PO\d?")


def ambiguity_notes(ions: Sequence[Ion]) -> list[str]:
    """Words about ions whose origin a mass spectrum cannot tell: carbon and phosphate, where they are requested."""
    plain = {i.name: "".join(f"{s}{n if n > 1 else ''}" for s, _, n in i.atoms) for i in ions}
    carbon = [n for n, body in plain.items() if _CARBON.fullmatch(body)]
    phosphate = [n for n, body in plain.items() if _PHOSPHATE.fullmatch(body)]
    notes = []
    if carbon:
        verb = "is" if len(carbon) == 1 else "are"
        notes.append(f"{', '.join(carbon)} {verb} not specific to carbon fibres: binder, PEO and contamination emit them, too.")
    if phosphate:
        verb = "is no marker" if len(phosphate) == 1 else "are no markers"
        notes.append(
            f"{', '.join(phosphate)} {verb} of decomposition where core or electrolyte holds phosphate (LiCoPO4, LAGP, LiPON)."
        )
    return notes
