"""`name_components`: ions, bands or lines that a component's spectrum resembles, and what it cannot tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import CHANNEL_DIMS, SPECTRAL_UNITS, axis_values, generator
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.decomposition._name_bands import bands_of, library
from ssbmaps.decomposition._name_ions import Peak, ion_options, ions_of, named_channels
from ssbmaps.decomposition._name_references import Likeness, likeness
from ssbmaps.decomposition._name_words import component_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "decomposition.name_components"
KNOWN = ("mz", "raman_shift", "kinetic_energy", "fragment", "line", "band")


def name_components(
    result: xr.Dataset,
    *,
    candidates: Sequence[str] | Mapping[str, float] | None = None,
    references: xr.DataArray | None = None,
    polarity: str | None = None,
    tolerance_ppm: float = 300.0,
    max_peaks: int = 6,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Propose ions, Raman bands or Auger lines for the components of a factorisation, with those that fit as well.

    What a component resembles is no proof of what it is: spectra of different substances share ions and bands.

    Parameters
    ----------
    result : xarray.Dataset
        From `nmf` or `mcr`: non-negative ``spectra`` (component, channel) along mz, raman_shift, kinetic_energy or a named
        channel (fragment, line, band), and ``abundance`` in counts if there is one.
    candidates : sequence of str, or mapping of str to float, optional
        Ions to choose from, such as ``["PO3-", "C2-"]``; for Raman shift and kinetic energy names with positions in 1/cm or
        eV. By default some hundred ions that sections of solid-state batteries emit, with their isotopologues, or the
        bands and lines that this package knows.
    references : xarray.DataArray, optional
        Spectra (reference, channel) on the same channels to compare with, non-negative.
    polarity : {"negative", "positive"}, optional
        Of the ions in the default list; by default the data's own.
    tolerance_ppm : float, optional
        Half-width in parts per million of m/z of the window of one peak, about its full width at half maximum: ions that
        lie in one window are not told apart.
    max_peaks : int, optional
        Largest number of peaks named in each component; none holds less than 1 % (bands: 0.3 %) of its
        spectrum.
    rng : int, numpy.random.Generator or None, optional
        Seed of the intervals of cosines; None means 0.

    Returns
    -------
    xarray.Dataset
        By (component, peak), largest first, empty and NaN where there are no more: ``proposal``, the nearest name ("" where
        no candidate lies within the tolerance); ``alternatives``, all others that cannot be told from it, separated by
        commas; ``share`` of the spectrum (of bands: the area above the background); ``contrast``, that share over
        the share in the sum of all components; ``position`` and ``offset`` of the proposal's own place from it (ppm, 1/cm or eV).
        By component: ``named``, the share of the spectrum with a proposal, and ``statement``, the result in words. With
        `references`, by (component, reference): ``cosine`` with ``cosine_low`` and ``cosine_high`` (95 %, of counting
        alone; NaN unless abundances are counts) and ``as_good_as_best`` (0 or 1), where that counting leaves the best open.

    Raises
    ------
    SsbmapsError
        If the Dataset holds no non-negative spectra, an ion is unknown, or neither `polarity` nor the data state one.

    Notes
    -----
    A rare isotopologue is proposed only where the peak of the most abundant one of its formula lets expect at least half of
    what is seen. Raman bands and Auger lines are fitted together with a piecewise linear background, by non-negative
    least squares; lines that lie within half their widths of each other count as alternatives.

    Examples
    --------
    >>> import xarray as xr
    >>> from ssbmaps.decomposition import name_components
    >>> spectra = xr.DataArray([[0.7, 0.3, 0.0], [0.1, 0.0, 0.9]], {"mz": [24.0005, 31.9726, 62.9641]}, ("component", "mz"))
    >>> named = name_components(xr.Dataset({"spectra": spectra}), candidates=["C2-", "S-", "PO2-", "PS-"])
    >>> print(named.statement.values[1])
    resembles PO2- or PS- (90 %, 2.0 × the mean), C2- (10 %)
    """
    import xarray as xr

    random, recorded = generator(rng)
    spectra, channel = _spectra(result)
    values = np.asarray(to_dense(spectra.data), np.float64)
    _check(values, candidates, polarity, tolerance_ppm, max_peaks, channel)
    counts = _counts(result)
    if channel in KNOWN:
        peaks = _peaks(values, spectra, channel, candidates, polarity or result.attrs.get("polarity"), tolerance_ppm, max_peaks)
    else:
        _need_references(references, channel)
        peaks = [[] for _ in values]
    labels = spectra["component"].values if "component" in spectra.coords else np.arange(len(values))
    contrast = _contrast(values, spectra, channel, peaks, counts, tolerance_ppm)
    alike: Likeness | None = None
    names: list[str] = []
    if references is not None:
        table, names = _references(references, spectra, channel)
        alike = likeness(values, table, counts, random)
    words = [component_words(p, c, *_best(alike, names, i)) for i, (p, c) in enumerate(zip(peaks, contrast, strict=True))]
    variables = _variables(peaks, contrast, words, channel, max_peaks)
    coords: dict[str, Any] = {"component": ("component", labels, {"long_name": "component"})}
    if alike is not None:
        variables |= _likeness_variables(alike)
        coords["reference"] = ("reference", names)
    arguments = {
        "result": result,
        "candidates": candidates,
        "references": references,
        "polarity": polarity,
        "tolerance_ppm": tolerance_ppm,
        "max_peaks": max_peaks,
        "rng": recorded,
    }
    return finish(xr.Dataset(variables, coords), function=SUBJECT, arguments=arguments, sources=[result])


def _spectra(result: Any) -> tuple[xr.DataArray, str]:
    import xarray as xr

    known = isinstance(result, xr.Dataset) and "spectra" in result and result["spectra"].ndim == 2
    if not known or "component" not in result["spectra"].dims:
        names = ", ".join(map(str, getattr(result, "data_vars", ()))) or type(result).__name__
        raise SsbmapsError(
            f"{SUBJECT}: expected a Dataset with `spectra` (component, channel), as nmf and mcr give, got {names}."
        )
    channel = next(str(d) for d in result["spectra"].dims if d != "component")
    if channel not in SPECTRAL_UNITS and channel not in CHANNEL_DIMS:
        raise SsbmapsError(f"{SUBJECT}: spectra lie along {channel}; expected a spectral axis or named channels.")
    return result["spectra"].transpose("component", channel), channel


def _check(values: Floats, candidates: Any, polarity: Any, tolerance_ppm: Any, max_peaks: Any, channel: str) -> None:
    with Faults(SUBJECT) as faults:
        finite = bool(np.isfinite(values).all())
        faults.expect(finite, "spectra hold NaN or infinity.")
        faults.expect(
            not finite or bool((values >= 0).all()), "spectra hold negative values; principal components have no names."
        )
        small = isinstance(tolerance_ppm, (int, float, np.number)) and 0 < float(tolerance_ppm) < 1e5
        faults.expect(small, f"tolerance_ppm={tolerance_ppm!r}; expected a positive number below 1e5.")
        whole = isinstance(max_peaks, (int, np.integer)) and not isinstance(max_peaks, bool) and bool(max_peaks >= 1)
        faults.expect(whole, f"max_peaks={max_peaks!r}; expected a whole number of 1 or more.")
        faults.expect(polarity in (None, "negative", "positive"), f"polarity={polarity!r}; expected 'negative' or 'positive'.")
        if candidates is not None:
            positions = channel in ("raman_shift", "kinetic_energy")
            text = "a mapping of names to positions" if positions else "a list of ions such as ['PO3-', 'C2-']"
            good = isinstance(candidates, Mapping) == positions and not isinstance(candidates, str)
            faults.expect(bool(good) and len(candidates) > 0, f"candidates={candidates!r}; expected {text}.")


def _counts(result: xr.Dataset) -> Floats | None:
    """Counts of each component, or None if the abundances are none."""
    if "abundance" not in result or result["abundance"].attrs.get("units") != "counts":
        return None
    others = [d for d in result["abundance"].dims if d != "component"]
    return np.asarray(result["abundance"].sum(others).values, np.float64)


def _peaks(
    values: Floats, spectra: xr.DataArray, channel: str, given: Any, polarity: Any, tolerance_ppm: float, most: int
) -> list[list[Peak]]:
    tolerance = 1e-6 * tolerance_ppm
    if channel in ("raman_shift", "kinetic_energy"):
        axis = axis_values(spectra, channel, subject=SUBJECT)
        lines = library(channel, given)
        return [bands_of(v, axis, lines, most) for v in values]
    names = [str(n) for n in spectra[channel].values]
    if channel in ("line", "band"):
        return [named_channels(v, names, [], tolerance, most) for v in values]
    if given is None and polarity not in ("negative", "positive"):
        if channel == "mz":
            raise SsbmapsError(f"{SUBJECT}: the data state no polarity; pass polarity='negative' or 'positive', or candidates.")
        signs = {n.rstrip()[-1:] for n in names}
        polarity = "positive" if signs == {"+"} else "negative"
    options = ion_options(None if given is None else list(given), polarity)
    if channel == "mz":
        mz = axis_values(spectra, channel, subject=SUBJECT)
        return [ions_of(v, mz, options, tolerance, most) for v in values]
    return [named_channels(v, names, options, tolerance, most) for v in values]


def _need_references(references: Any, channel: str) -> None:
    if references is None:
        raise SsbmapsError(f"{SUBJECT}: nothing is known of lines along {channel}; pass references= on that axis.")


def _contrast(
    values: Floats, spectra: xr.DataArray, channel: str, peaks: list[list[Peak]], counts: Floats | None, tolerance_ppm: float
) -> list[list[float]]:
    """Share of each peak over the share that the same place holds in the sum of all components."""
    sums = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, sums, out=np.zeros_like(values), where=sums > 0)
    weights = np.ones(len(values)) if counts is None or not counts.sum() > 0 else counts
    mean = weights @ shares / weights.sum()
    if channel in ("raman_shift", "kinetic_energy"):
        return [[np.nan] * len(p) for p in peaks]
    if channel == "mz":
        mz = axis_values(spectra, channel, subject=SUBJECT)
        places = [[np.abs(mz - q.position) <= 1e-6 * tolerance_ppm * q.position for q in p] for p in peaks]
    else:
        names = np.array([str(n) for n in spectra[channel].values])
        places = [[names == q.options[0].name for q in p] for p in peaks]
    return [
        [float(own[i].sum() / m) if (m := mean[i].sum()) > 0 else np.nan for i in p]
        for own, p in zip(shares, places, strict=True)
    ]


def _references(references: Any, spectra: xr.DataArray, channel: str) -> tuple[Floats, list[str]]:
    import xarray as xr

    if not isinstance(references, xr.DataArray) or set(references.dims) != {"reference", channel}:
        raise SsbmapsError(
            f"{SUBJECT}: references: expected a DataArray (reference, {channel}), got {type(references).__name__}."
        )
    table = references.transpose("reference", channel)
    own, other = (a.coords[channel].values if channel in a.coords else np.arange(a.sizes[channel]) for a in (spectra, table))
    values = np.asarray(to_dense(table.data), np.float64)
    with Faults(f"{SUBJECT}: references") as faults:
        same = own.shape == other.shape and bool((own == other).all())
        faults.expect(same, f"lie on another {channel} axis than the components; bring them onto it first.")
        faults.expect(bool((np.isfinite(values) & (values >= 0)).all()), "hold NaN, infinity or negative values.")
        faults.expect(bool(values.any(axis=1).all()), "hold a spectrum that is 0 everywhere.")
    names = table["reference"].values if "reference" in table.coords else np.arange(len(values))
    return values, [str(n) for n in names]


def _best(alike: Likeness | None, names: list[str], i: int) -> tuple[Any, ...]:
    """Best reference of component i with cosine and interval, and the others that are as good."""
    if alike is None:
        return (None, ())
    best = int(alike.cosine[i].argmax())
    others = tuple(n for k, n in enumerate(names) if alike.alike[i, k] and k != best)
    return (names[best], float(alike.cosine[i, best]), float(alike.low[i, best]), float(alike.high[i, best])), others


def _variables(peaks: list[list[Peak]], contrast: list[list[float]], words: list[str], channel: str, most: int) -> dict[str, Any]:
    unit = {"raman_shift": "1/cm", "kinetic_energy": "eV"}.get(channel, "Da")
    dims = ("component", "peak")

    def column(number: Any, units: str, long_name: str) -> tuple[Any, ...]:
        table = np.full((len(peaks), most), np.nan)
        for c, own in enumerate(peaks):
            table[c, : len(own)] = [number(p) for p in own]
        return dims, table, {"units": units, "long_name": long_name}

    def offset(peak: Peak) -> float:
        if not peak.options:
            return np.nan
        away = peak.position - peak.options[0].position
        return away if unit != "Da" else 1e6 * away / peak.options[0].position

    def text(entry: Any, long_name: str) -> tuple[Any, ...]:
        rows = [[entry(p) for p in own] + [""] * (most - len(own)) for own in peaks]
        return dims, np.array(rows, dtype=str).reshape(len(peaks), most), {"long_name": long_name}

    ratios = np.full((len(peaks), most), np.nan)
    for c, own in enumerate(contrast):
        ratios[c, : len(own)] = own
    named = [sum(p.share for p in own if p.options) for own in peaks]
    return {
        "proposal": text(lambda p: p.options[0].name if p.options else "", "nearest name"),
        "alternatives": text(lambda p: ", ".join(o.name for o in p.options[1:]), "names that cannot be told from it"),
        "share": column(lambda p: p.share, "1", "share of the spectrum"),
        "contrast": (dims, ratios, {"units": "1", "long_name": "share over the share in the sum of all components"}),
        "position": column(lambda p: p.position, unit, "position of the peak"),
        "offset": column(offset, "ppm" if unit == "Da" else unit, "peak less the proposal's own place"),
        "named": (("component",), np.array(named), {"units": "1", "long_name": "share of the spectrum with a proposal"}),
        "statement": (("component",), np.array(words, dtype=str), {"long_name": "the result in words"}),
    }


def _likeness_variables(alike: Likeness) -> dict[str, Any]:
    dims = ("component", "reference")
    return {
        "cosine": (dims, alike.cosine, {"units": "1", "long_name": "cosine with the reference"}),
        "cosine_low": (dims, alike.low, {"units": "1", "long_name": "lower end of its 95 % interval"}),
        "cosine_high": (dims, alike.high, {"units": "1", "long_name": "upper end of its 95 % interval"}),
        "as_good_as_best": (dims, alike.alike.astype(np.int8), {"units": "1", "long_name": "not told from the best one"}),
    }
