"""Exact ion masses, and maps of ions summed from a mass-spectral cube."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import window_sums
from ssbmaps._conventions import axis_values, canonical, check_array, check_unit
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._ions import Ion, parse_ion
from ssbmaps._provenance import finish
from ssbmaps.maps._overlap import tell_of_ions
from ssbmaps.maps._windows import as_maps, channels, expect_channels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import xarray as xr
    from numpy.typing import NDArray

SUBJECT = "maps.fragment_maps"


def ion_mz(ion: str) -> float:
    """Exact m/z of an ion in Da per elementary charge: isotope masses, less or plus the electrons.

    Parameters
    ----------
    ion : str
        Elements with counts, then the charge: "C2-", "Li+", "SO4^2-", "SO₄²⁻". Without a mass number the most abundant
        isotope is meant; another one stands before its element: "63Cu+", "[58Ni]O2-", "⁵⁸NiO₂⁻". Sub- and superscripts and
        every kind of minus sign are understood. Spaces, brackets for groups, and repeated signs are refused, because
        "PS4 3-" and "PS43-" are different ions.

    Returns
    -------
    float
        Mass in Da divided by the number of charges.

    Raises
    ------
    SsbmapsError
        If the text is no ion: charge missing or repeated, unknown element or isotope, a space, a count of 0.

    Warns
    -----
    DataQualityWarning
        If the text can be read in two ways, such as "PS43-" (S × 43, or PS4 with three charges) or "58Ni16O2-" (Ni × 16).

    Notes
    -----
    Isotope masses are those of the molmass package, the electron's mass is 0.000548580 u (CODATA 2018).

    Examples
    --------
    >>> from ssbmaps.maps import ion_mz
    >>> print(f"{ion_mz('PO3-'):.4f} {ion_mz('63Cu+'):.4f} {ion_mz('SO4^2-'):.4f}")
    78.9591 62.9290 47.9764
    """
    return parse_ion(ion).mz


def fragment_maps(
    cube: xr.DataArray, fragments: str | Sequence[str], *, tolerance_ppm: float = 300, window: float | None = None
) -> xr.DataArray:
    """Make maps of fragment ions: sums of all channels with mz_low <= m/z < mz_high around each ion's exact m/z.

    Parameters
    ----------
    cube : xarray.DataArray
        Mass spectra (…, mz), usually (y, x, mz) or (scan, y, x, mz); mz in Da. Dense, sparse or dask.
    fragments : str or sequence of str
        Ions as `ion_mz` reads them, in the order of the result. All must have the polarity of the cube, where it states one.
    tolerance_ppm : float, optional
        Half-width of the windows in parts per million of m/z.
    window : float, optional
        Half-width of the windows in Da, the same for all ions; takes the place of `tolerance_ppm`.

    Returns
    -------
    xarray.DataArray
        Sums (…, fragment, y, x), in the units of `cube`: int64 for whole numbers, else float64. Along ``fragment`` (the ions
        in plain ASCII) lie ``mz``, ``mz_low`` and ``mz_high`` in Da. These are counts, not concentrations. Unmeasured pixels
        are NaN in floats; whole numbers keep the coordinate ``measured`` and hold 0 there. Dask input stays lazy. The attribute
        `notes` says which frequent neighbours lie inside a window, and of which ions the origin is ambiguous (carbon, phosphate).

    Raises
    ------
    SsbmapsError
        If a window holds no channel or lies outside the axis (an empty window is missing, not zero), an ion is unknown, given
        twice or of the other polarity, or the half-width is not positive. All faults are listed at once.

    Warns
    -----
    DataQualityWarning
        If the windows of two fragments overlap, so that counts are used twice; the m/Δm that separates them is named. Or if the
        summed spectrum of counts shows that another ion, frequent in battery sections, adds more than 1 % to a window, or cannot
        be told from the fragment; the m/Δm needed stands beside the one measured. Dask cubes are not looked at for it.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.maps import fragment_maps
    >>> spectra = np.arange(12).reshape(1, 2, 6)
    >>> axis = {"y": [0.5], "x": [0.5, 1.5], "mz": [62.95, 62.96, 62.97, 78.94, 78.96, 78.98]}
    >>> cube = xr.DataArray(spectra, axis, ("y", "x", "mz"), attrs={"units": "counts", "polarity": "negative"})
    >>> maps = fragment_maps(cube, ["PO2-", "PO3-"])
    >>> maps.dims, maps.sel(fragment="PO2-").values.tolist()
    (('fragment', 'y', 'x'), [[3, 21]])
    """
    check_array(cube, subject=SUBJECT, dims=("mz",))
    names = [fragments] if isinstance(fragments, str) else list(fragments)
    axis = axis_values(cube, "mz", subject=SUBJECT)
    check_unit(cube.coords["mz"], subject=SUBJECT)
    ions = _parse_all(names)
    mz = np.array([i.mz for i in ions])
    half = _half_widths(mz, tolerance_ppm, window)
    low, high = mz - half, mz + half
    with Faults(SUBJECT) as faults:
        _expect_polarity(faults, ions, cube.attrs.get("polarity"))
        _expect_distinct(faults, ions)
        expect_channels(faults, [i.name for i in ions], axis, low, high, "Da")
    _warn_overlaps(ions, low, high)
    ordered = canonical(cube)
    sums = window_sums(ordered.data, *channels(axis, low, high))
    units = str(cube.attrs.get("units", "arbitrary"))
    bounds = {"mz": (mz, "exact m/z"), "mz_low": (low, "lower edge (included)"), "mz_high": (high, "upper edge (excluded)")}
    coords = {k: ("fragment", v, {"units": "Da", "long_name": text}) for k, (v, text) in bounds.items()}
    name = "counts" if units == "counts" else "intensity"
    result = as_maps(ordered, "mz", sums, "fragment", name, {"fragment": [i.name for i in ions], **coords})
    arguments = {"cube": cube, "fragments": names, "tolerance_ppm": tolerance_ppm, "window": window}
    result = finish(result, function=SUBJECT, arguments=arguments, sources=[cube], units=units, long_name="fragment ion signal")
    tell_of_ions(result, cube, ions, (low, high))
    return result


def _parse_all(names: list[str]) -> list[Ion]:
    """All ions, the faults of all unreadable ones in one letter."""
    if not names:
        raise SsbmapsError(f"{SUBJECT}: no fragment given; expected ions such as ['PO2-', 'PO3-'].")
    ions = []
    with Faults(SUBJECT) as faults:
        for name in names:
            try:
                ions.append(parse_ion(name))
            except SsbmapsError as error:
                faults.expect(False, str(error))
    return ions


def _half_widths(mz: NDArray[np.float64], tolerance_ppm: float, window: float | None) -> NDArray[np.float64]:
    name, value = ("tolerance_ppm", tolerance_ppm) if window is None else ("window", window)
    if not (isinstance(value, (int, float, np.number)) and np.isfinite(value) and value > 0):
        raise SsbmapsError(f"{SUBJECT}: {name}={value!r}; expected a positive number ({'ppm' if window is None else 'Da'}).")
    return mz * float(value) * 1e-6 if window is None else np.full(mz.shape, float(value))


def _expect_polarity(faults: Faults, ions: Iterable[Ion], polarity: object) -> None:
    expected = {"positive": 1, "negative": -1}.get(str(polarity))
    wrong = [i.name for i in ions if expected is not None and i.charge * expected < 0]
    faults.expect(not wrong, f"the cube was measured in {polarity} polarity, which holds no {', '.join(wrong)}.")


def _expect_distinct(faults: Faults, ions: list[Ion]) -> None:
    first: dict[tuple[object, int], str] = {}
    for ion in ions:
        atoms: dict[tuple[str, int], int] = {}
        for symbol, isotope, count in ion.atoms:
            atoms[symbol, isotope] = atoms.get((symbol, isotope), 0) + count
        key = (frozenset(atoms.items()), ion.charge)
        if key in first:
            faults.expect(False, f"{first[key]} and {ion.name} are the same ion; name each ion once.")
        first.setdefault(key, ion.name)


def _warn_overlaps(ions: list[Ion], low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
    order = np.argsort(low, kind="stable")
    texts = []
    for a, b in pairwise(order):
        if high[a] > low[b]:
            gap = ions[b].mz - ions[a].mz
            need = f"needs m/Δm > {ions[b].mz / gap:.0f}" if gap > 0 else "cannot be separated by mass"
            texts.append(f"{ions[a].name} and {ions[b].name} ({1e3 * gap:.1f} mDa apart, {need})")
    if texts:
        warnings.warn(
            f"{SUBJECT}: windows overlap, and channels in both are counted twice: {'; '.join(texts)}. Narrow tolerance_ppm or "
            "window if the instrument resolves them.",
            DataQualityWarning,
            stacklevel=3,
        )
