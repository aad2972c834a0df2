"""Ratios of isotopologues against natural abundance: the check for saturation and interference."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._conventions import check_array, fragment_index, measured_mask
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._ions import Ion, parse_ion
from ssbmaps._isotopologues import isotopologues
from ssbmaps._provenance import finish
from ssbmaps.maps._spectrum import warn_unless_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "maps.check_isotopes"
_TOLD = 3.0  # standard errors from which a deviation is told
_MEANING = "a deviation means saturation or interference (or enriched material)"


def check_isotopes(
    data: xr.DataArray,
    pairs: str | Sequence[str],
    *,
    tolerance_ppm: float = 300,
    window: float | None = None,
    fractionation: float = 0.01,
) -> xr.Dataset:
    """Compare the ratio of two isotopologues of one ion with natural abundance.

    Parameters
    ----------
    data : xarray.DataArray
        A cube (…, mz) of counts, or fragment maps (…, fragment, y, x) that hold both ions; all pixels are summed.
    pairs : str or sequence of str
        Ratios such as ``"34S-/32S-"`` or ``["[58Ni]O2-/[60Ni]O2-"]``; both ions of the same elements and charge.
    tolerance_ppm : float, optional
        Half-width of the windows if `data` is a cube, in parts per million; maps bring their own.
    window : float, optional
        Half-width in Da; takes the place of `tolerance_ppm`.
    fractionation : float, optional
        Relative change of the ratio per mass unit that instrument and nature may make (standard deviation); 0.01 is common
        for an uncalibrated instrument.

    Returns
    -------
    xarray.Dataset
        Along ``pair``: `ratio` and `ratio_sd` (Poisson), `expected` and `expected_sd` (fractionation), `deviation` = ratio /
        expected − 1, and `z`, the difference in standard errors of both. `counts` (pair, side). The expected ratio counts all
        isotopologues of the formula that fall into each window. NaN if a count is 0: undetermined. A deviation means saturation
        or interference (or enriched material); which, it does not say. Saturation lowers the more abundant ion.

    Raises
    ------
    SsbmapsError
        If a pair is not of one formula, both are the same ion, or one is not in `data`.

    Warns
    -----
    DataQualityWarning
        If a ratio lies more than 3 standard errors from the expected one.

    Notes
    -----
    Lithium and boron are sold depleted or enriched in one isotope, so their ratios check nothing. Unmeasured pixels add nothing.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import maps
    >>> counts = np.array([[[950_000]], [[42_500]]])
    >>> data = xr.DataArray(counts, {"fragment": ["32S-", "34S-"]}, ("fragment", "y", "x"), attrs={"units": "counts"})
    >>> check = maps.check_isotopes(data, "34S-/32S-")
    >>> print(f"{float(check.ratio[0]):.4f} against {float(check.expected[0]):.4f}")
    0.0447 against 0.0447
    """
    check_array(data, subject=SUBJECT)
    texts = [pairs] if isinstance(pairs, str) else list(pairs)
    parsed = _checked_pairs(texts)
    if not np.isfinite(fractionation) or fractionation < 0:
        raise SsbmapsError(f"{SUBJECT}: fractionation={fractionation!r}; expected a relative change per mass unit, 0 or more.")
    warn_unless_counts(data, subject=SUBJECT)
    counts, low, high = _counts(data, parsed, tolerance_ppm, window)
    expected = np.array([_expected(p, a, b) for p, a, b in zip(parsed, low, high, strict=True)])
    step = np.array([abs(a.mz * abs(a.charge) - b.mz * abs(b.charge)) for a, b in parsed])
    result = _as_dataset(texts, parsed, counts, expected, fractionation * np.rint(step))
    _warn(texts, result)
    arguments = {"pairs": texts, "tolerance_ppm": tolerance_ppm, "window": window, "fractionation": fractionation}
    result = finish(result, function=SUBJECT, arguments=arguments, sources=[data])
    result.attrs["meaning"] = _MEANING
    return result


def _checked_pairs(texts: list[str]) -> list[tuple[Ion, Ion]]:
    parsed = []
    with Faults(SUBJECT) as faults:
        faults.expect(bool(texts), "no pair given; expected ratios such as '34S-/32S-'.")
        for text in texts:
            parts = str(text).split("/")
            if not faults.expect(len(parts) == 2, f"pair {text!r}: expected two ions with one slash, as in '34S-/32S-'."):
                continue
            try:
                a, b = parse_ion(parts[0].strip()), parse_ion(parts[1].strip())
            except SsbmapsError as error:
                faults.expect(False, str(error))
                continue
            same = _formula(a) == _formula(b)
            faults.expect(same, f"pair {text!r}: the two differ in more than isotopes; expected one formula, one charge.")
            faults.expect(not same or a.mz != b.mz, f"pair {text!r}: both are the same ion.")
            parsed.append((a, b))
    return parsed


def _formula(ion: Ion) -> tuple[object, ...]:
    elements: dict[str, int] = {}
    for symbol, _, count in ion.atoms:
        elements[symbol] = elements.get(symbol, 0) + count
    return (*sorted(elements.items()), ion.charge)


def _counts(
    data: xr.DataArray, pairs: list[tuple[Ion, Ion]], tolerance_ppm: float, window: float | None
) -> tuple[Floats, Floats, Floats]:
    """(pair, 2) counts, and the windows they were taken from."""
    from ssbmaps.maps._fragments import fragment_maps

    names = list(dict.fromkeys(i.name for p in pairs for i in p))
    if "mz" in data.dims:
        maps = fragment_maps(data, names, tolerance_ppm=tolerance_ppm, window=window)
        index = list(range(len(names)))
    else:
        maps, index = data, [_find(data, name) for name in names]
    mask = measured_mask(maps)
    summed = maps.isel(fragment=index)
    if mask is not None:
        summed = summed.where(maps.coords["measured"], 0)
    sums = np.asarray(summed.sum([d for d in summed.dims if d != "fragment"]).as_numpy().values, np.float64)
    half = np.array([i.mz for p in pairs for i in p]).reshape(-1, 2) * tolerance_ppm * 1e-6
    place = [[names.index(i.name) for i in p] for p in pairs]
    mz = np.array([[i.mz for i in p] for p in pairs])
    low, high = mz - half, mz + half
    if "mz_low" in summed.coords:
        low, high = (np.asarray(summed.coords[c].values, np.float64)[place] for c in ("mz_low", "mz_high"))
    return sums[place], low, high


def _find(maps: xr.DataArray, name: str) -> int:
    """Position of the ion in the maps, whose names may spell it otherwise ("32S-" and "S-" are one ion)."""
    wanted = parse_ion(name)
    for i, present in enumerate(map(str, maps.coords["fragment"].values) if "fragment" in maps.coords else ()):
        ion = parse_ion(present)
        if ion.mz == wanted.mz and ion.atoms == wanted.atoms:
            return i
    return fragment_index(maps, name, subject=SUBJECT)[0]


def _expected(pair: tuple[Ion, Ion], low: Floats, high: Floats) -> float:
    """Ratio of all isotopologues of the formula inside the first window to those inside the second."""
    variants = isotopologues(pair[0])
    inside = [sum(v.abundance for v in variants if low[k] <= v.mz < high[k]) for k in (0, 1)]
    return inside[0] / inside[1] if inside[1] else np.nan


def _as_dataset(texts: list[str], pairs: list[tuple[Ion, Ion]], counts: Floats, expected: Floats, relative: Floats) -> xr.Dataset:
    import xarray as xr

    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((counts > 0).all(axis=1), counts[:, 0] / counts[:, 1], np.nan)
        ratio_sd = ratio * np.sqrt((1 / counts).sum(axis=1))
        expected_sd = expected * relative
        z = (ratio - expected) / np.hypot(ratio_sd, expected_sd)
    columns = {
        "ratio": ratio,
        "ratio_sd": ratio_sd,
        "expected": expected,
        "expected_sd": expected_sd,
        "deviation": ratio / expected - 1,
        "z": z,
    }
    return xr.Dataset(
        {
            **{k: ("pair", v, {"units": "1"}) for k, v in columns.items()},
            "counts": (("pair", "side"), counts, {"units": "counts"}),
        },
        coords={
            "pair": texts,
            "side": ["numerator", "denominator"],
            "ion": (("pair", "side"), [[a.name, b.name] for a, b in pairs]),
        },
    )


def _warn(texts: list[str], result: xr.Dataset) -> None:
    told = [
        f"{text} is {r:.4g} ± {s:.2g}, expected {e:.4g} (z = {z:+.1f})"
        for text, r, s, e, z in zip(texts, *(result[n].values for n in ("ratio", "ratio_sd", "expected", "z")), strict=True)
        if abs(z) > _TOLD
    ]
    if told:
        warnings.warn(f"{SUBJECT}: {'; '.join(told)}; {_MEANING}.", DataQualityWarning, stacklevel=3)
