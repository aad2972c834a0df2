"""Ions that lie in or beside a fragment's window: which, how far, the m/Δm they need, and the m/Δm that was measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._battery_ions import Candidate, candidates
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._ions import Ion, parse_ion
from ssbmaps._isotopologues import composition
from ssbmaps._provenance import finish
from ssbmaps.maps._peak_shape import FWHM_PER_SIGMA, robust_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "maps.interferences"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A plausible ion near a fragment: distance in Da with sign, m/Δm needed, share of its peak inside the window."""

    fragment: Ion
    candidate: Candidate
    difference: float
    needed: float
    leak: float


def interferences(
    fragments: str | Sequence[str],
    *,
    tolerance_ppm: float = 300,
    window: float | None = None,
    resolution: float | xr.Dataset | None = None,
) -> xr.Dataset:
    """List plausible ions that lie in, or leak into, the mass windows of fragments.

    The neighbours are some hundred ions that sections of solid-state batteries and their contamination emit, with all
    isotopologues that reach 0.5 % of the most abundant one; the list says what may be there, not what is.

    Parameters
    ----------
    fragments : str or sequence of str
        Ions as `ion_mz` reads them, such as ``["PO2-", "PO3-"]``.
    tolerance_ppm : float, optional
        Half-width of the windows in parts per million of m/z, as in `fragment_maps`.
    window : float, optional
        Half-width of the windows in Da; takes the place of `tolerance_ppm`.
    resolution : float or xarray.Dataset, optional
        Mass resolution m/Δm (full width at half maximum) of the data, or the result of `mass_resolution`. Ions up to one width
        outside a window are then listed, too; without it, ions up to twice the half-width from the fragment.

    Returns
    -------
    xarray.Dataset
        Along ``pair``, sorted by fragment and distance: coordinates `fragment` and `neighbour` (names), `fragment_mz` and
        `neighbour_mz` (Da); `difference` (Da, neighbour less fragment), `abundance` of the neighbour's isotopologue against the
        most abundant one of its formula, `needed_resolution` = m/Δm at which the two are one full width at half maximum apart
        (two equal Gaussian peaks then just show a dip of 7 %), `resolution` measured there and `leak`, the share of the
        neighbour's Gaussian peak that falls into the window (both NaN without `resolution`). Length 0 if there is none.

    Raises
    ------
    SsbmapsError
        If an ion is unknown or a number is not positive.

    Examples
    --------
    >>> from ssbmaps.maps import interferences
    >>> near = interferences("PO2-", resolution=5000)
    >>> common = near.where(near.abundance == 1, drop=True)
    >>> for name, difference, needed in zip(common.neighbour.values, common.difference.values, common.needed_resolution.values):
    ...     print(f"{name} {1e3 * difference:+.1f} mDa, needs m/Δm {needed:.0f}")
    PS- -17.8 mDa, needs m/Δm 3546
    """
    names = [fragments] if isinstance(fragments, str) else list(fragments)
    ions = _parsed(names)
    value = _positive("tolerance_ppm" if window is None else "window", tolerance_ppm if window is None else window)
    measured = [_resolution_at(resolution, i.mz) for i in ions]
    rows = []
    for ion, r in zip(ions, measured, strict=True):
        half = ion.mz * value * 1e-6 if window is None else value
        rows += [(n, np.nan if r is None else r) for n in neighbours(ion, half, r)]
    arguments = {"fragments": names, "tolerance_ppm": tolerance_ppm, "window": window, "resolution": resolution}
    return finish(_as_dataset(rows), function=SUBJECT, arguments=arguments)


def neighbours(ion: Ion, half: float, resolution: float | None) -> list[Neighbour]:
    """Plausible ions near `ion` for a window of half-width `half` (Da), nearest first."""
    reach = 2 * half if resolution is None else half + ion.mz / resolution
    listed, mz = candidates("positive" if ion.charge > 0 else "negative")
    own = composition(ion)
    first, last = np.searchsorted(mz, (ion.mz - reach, ion.mz + reach), "left")
    found = []
    for c in listed[first:last]:
        difference = c.mz - ion.mz
        if _composition_of(c.name) == own:
            continue
        needed = ion.mz / abs(difference) if difference else np.inf
        found.append(Neighbour(ion, c, difference, needed, _leak(difference, half, ion.mz, resolution)))
    return sorted(found, key=lambda n: abs(n.difference))


@lru_cache(maxsize=4096)
def _composition_of(name: str) -> tuple[object, ...]:
    return composition(parse_ion(name))


def _leak(difference: float, half: float, mz: float, resolution: float | None) -> float:
    from scipy.special import ndtr

    if resolution is None:
        return np.nan
    sigma = mz / resolution / FWHM_PER_SIGMA
    return float(ndtr((half - difference) / sigma) - ndtr((-half - difference) / sigma))


def _parsed(names: list[str]) -> list[Ion]:
    ions = []
    with Faults(SUBJECT) as faults:
        faults.expect(bool(names), "no fragment given; expected ions such as ['PO2-', 'PO3-'].")
        for name in names:
            try:
                ions.append(parse_ion(name))
            except SsbmapsError as error:
                faults.expect(False, str(error))
    return ions


def _positive(name: str, value: object) -> float:
    if not isinstance(value, (int, float, np.number)) or not np.isfinite(float(value)) or float(value) <= 0:
        raise SsbmapsError(f"{SUBJECT}: {name}={value!r}; expected a positive number.")
    return float(value)


def _resolution_at(resolution: float | xr.Dataset | None, mz: float) -> float | None:
    """m/Δm at one mass: the number itself, or on the robust line through measured peaks in double logarithms."""
    if resolution is None:
        return None
    if isinstance(resolution, (int, float, np.number)):
        return _positive("resolution", resolution)
    if "resolution" not in getattr(resolution, "data_vars", ()) or "mz" not in resolution.coords:
        raise SsbmapsError(
            f"{SUBJECT}: resolution is a {type(resolution).__name__} without `resolution` and `mz`; expected a number, or "
            "the Dataset of maps.mass_resolution."
        )
    x = np.log(np.asarray(resolution["mz"].values, float))
    return float(np.exp(robust_line(x, np.log(np.asarray(resolution["resolution"].values, float)), float(np.log(mz)))))


def _as_dataset(rows: list[tuple[Neighbour, float]]) -> xr.Dataset:
    import xarray as xr

    def column(values: list[float], unit: str, name: str) -> tuple[str, Floats, dict[str, str]]:
        return "pair", np.array(values, np.float64), {"units": unit, "long_name": name}

    found = [n for n, _ in rows]
    return xr.Dataset(
        {
            "difference": column([n.difference for n in found], "Da", "neighbour less fragment"),
            "abundance": column([n.candidate.abundance for n in found], "1", "against the most abundant isotopologue"),
            "needed_resolution": column([n.needed for n in found], "1", "m/Δm with one full width between the two"),
            "resolution": column([r for _, r in rows], "1", "m/Δm measured"),
            "leak": column([n.leak for n in found], "1", "share of the neighbour's peak inside the window"),
        },
        coords={
            "fragment": ("pair", np.array([n.fragment.name for n in found], str)),
            "neighbour": ("pair", np.array([n.candidate.name for n in found], str)),
            "fragment_mz": column([n.fragment.mz for n in found], "Da", "exact m/z"),
            "neighbour_mz": column([n.candidate.mz for n in found], "Da", "exact m/z"),
        },
    )
