"""Whether what grows and what falls under the beam is compatible with damage by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, check_array, measured_mask, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._damage_result import WORDING, as_dataset, rows_of
from ssbmaps.interfaces._damage_rules import beam_kind, beam_words, ion_name, read_rules
from ssbmaps.interfaces._damage_trend import LEAST_STEPS, fit_trend
from ssbmaps.maps._flags import read_flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._damage_rules import Rules
    from ssbmaps.interfaces._damage_trend import Trend

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.damage_suspicion"
SERIES = ("scan", "time", "z")
LEAST_COUNTS = 5.0  # per step on average


def damage_suspicion(
    series: xr.DataArray,
    *,
    labels: xr.DataArray | None = None,
    rules: Rules | None = None,
    dose: Sequence[float] | NDArray[np.float64] | xr.DataArray | None = None,
    sputter_beam: str | None = None,
    primary_beam: str | None = None,
    false_alarms: float = 0.05,
) -> xr.Dataset:
    """Look for products of beam damage that grow with the dose while what they are made of falls.

    Parameters
    ----------
    series : xarray.DataArray
        Counts (scan, fragment, y, x), or (scan, fragment) sums of one region; ``time`` or ``z`` in place of ``scan``. Unmeasured
        pixels (coordinate ``measured``) are left out.
    labels : xarray.DataArray, optional
        Labels (y, x) with flags, from `ssbmaps.maps.label_phases`: product and precursor are then compared within each phase.
    rules : mapping of str to str or sequence of str, optional
        Products and what each may be made of, for example ``{"LiF-": ["SO2F-", "CF3-"]}``. By default LiF-, LiF2- and Li2F3-
        out of fragments of TFSI-, and LiO-, Li2O-, Li2O+ and Li3O+ out of those of Li2CO3 and LiOH. Pairs of which a
        fragment is not in `series` are left out.
    dose : array_like, optional
        Dose of each step, ascending: primary-ion fluence, etch time; slopes are per its unit (attribute ``units``). By
        default the number of the step.
    sputter_beam, primary_beam : str, optional
        Ion or kind of the beams, such as "Ar1500+", "gas cluster", "Cs+" or "monatomic"; by default the attributes of that name.
        They are stated in the result and change no number.
    false_alarms : float, optional
        Probability that any pair is suspected without cause, between 0.001 and 0.2.

    Returns
    -------
    xarray.Dataset
        Along ``phase`` (with `labels`) and ``rule``, with coordinates ``product`` and ``precursor``: ``suspected`` (0/1),
        ``p_value`` of both directions together, ``p_product`` and ``p_precursor``, ``product_slope`` and ``precursor_slope``
        (change of the logarithm of the counts per unit of dose) with ``_sd``, ``_low``, ``_high`` (95 %), ``testable``,
        ``statement``. Along ``fragment`` (those of the rules) and the series: ``total`` counts, ``total_sd`` (with jitter) and
        ``trend``; ``dispersion`` along ``fragment``. Attributes ``sputter_beam``, ``sputter_beam_kind``, ``primary_beam``,
        ``primary_beam_kind``, ``wording``.

    Raises
    ------
    SsbmapsError
        If the series has no step dimension or fragments, counts are negative or not whole, no pair of the rules is in it, the
        dose does not ascend, or a beam is not understood.
    GridMismatchError
        If `labels` lie on other pixels than the series.

    Notes
    -----
    ln E(counts) = α + β x + γ x² for each fragment, fitted by quasi-likelihood with Poisson noise and a jitter whose neighbours
    may be alike (first-order autoregression); Student's t with the steps that are left. A pair is suspected only if the product
    rises and the precursor falls: its p-value is the larger of both (intersection-union test, Berger 1982,
    doi 10.1080/00401706.1982.10487790); Holm's correction runs over all pairs and phases. A beam current that drifts moves both
    in one direction and raises no suspicion. Intervals of slopes are too narrow where the jitter of a fragment is a walk; that
    both must move, and apart, guards the suspicion. What moves them apart is not identified: a section in which the product
    lies under the precursor looks the same. No suspicion is no proof of absence: damage that is done within the first step
    leaves no trend.

    References
    ----------
    Beam damage in sections of solid-state batteries: perspective, doi 10.1039/D1TA04532F, section 5.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import damage_suspicion
    >>> k = np.arange(20)
    >>> mean = np.stack([2000 * (1 - 0.5 * np.exp(-k / 8)), 1500 * np.exp(-k / 12)], axis=1)
    >>> counts = np.random.default_rng(0).poisson(mean)
    >>> series = xr.DataArray(counts, {"scan": k, "fragment": ["LiF-", "SO2F-"]}, ("scan", "fragment"), attrs={"units": "counts"})
    >>> found = damage_suspicion(series, sputter_beam="Cs+")
    >>> found.suspected.values.tolist(), str(found.statement[0].values)[:53]
    ([1], 'LiF- rises while SO2F- falls: compatible with damage;')
    """
    step = _check(series, false_alarms)
    given = {"sputter": sputter_beam, "primary": primary_beam}
    beams = {word: name or series.attrs.get(f"{word}_beam") for word, name in given.items()}
    kinds = {word: beam_kind(name, subject=SUBJECT) for word, name in beams.items()}
    ordered = canonical(series)
    names = [str(v) for v in ordered.coords["fragment"].values]
    place = {ion_name(n): i for i, n in enumerate(names)}
    wanted = read_rules(rules, subject=SUBJECT)
    pairs = [(place[a], place[b]) for a, b in wanted if a in place and b in place]
    if not pairs:
        raise SsbmapsError(
            f"{SUBJECT}: no product stands beside one of its precursors in the series, which holds {', '.join(names)}. Products "
            f"are {', '.join(dict.fromkeys(a for a, _ in wanted))}; name your own pairs with rules=."
        )
    phases, totals = _totals(ordered, labels, step)
    x, unit = _dose(dose, ordered, step)
    used = sorted({i for pair in pairs for i in pair})
    trends = [{i: _trend(total[:, i], x) for i in used} for total in totals]
    arguments = {
        "series": series,
        "labels": labels,
        "rules": rules,
        "dose": dose,
        "sputter_beam": sputter_beam,
        "primary_beam": primary_beam,
        "false_alarms": false_alarms,
    }
    beam = "; ".join(beam_words(word, name, kinds[word]) for word, name in beams.items())
    rows = rows_of(pairs, names, trends, float(false_alarms), beam)
    shown = phases if labels is not None else None
    result = as_dataset(rows, pairs, used, (shown, totals, trends), ordered, step, (x, unit))
    sources = [series, *([labels] if labels is not None else [])]
    result = finish(result, function=SUBJECT, arguments=arguments, sources=sources)
    for word, name in beams.items():
        result.attrs |= {f"{word}_beam": str(name or "not stated"), f"{word}_beam_kind": kinds[word]}
    result.attrs |= {"wording": WORDING, "false_alarms": float(false_alarms)}
    return result


def _check(series: xr.DataArray, level: object) -> str:
    """Name of the dimension of the steps, after all checks."""
    check_array(series, subject=SUBJECT, dims=("fragment",), counts=True)
    steps = [str(d) for d in series.dims if d in SERIES]
    with Faults(SUBJECT) as faults:
        text = f"dims {tuple(series.dims)}; expected one of {', '.join(SERIES)}: without steps there is no dose to follow."
        faults.expect(len(steps) == 1, text)
        extra = [str(d) for d in series.dims if d not in ("fragment", "y", "x", *SERIES)]
        faults.expect(not extra, f"dimension {', '.join(extra)}; expected (scan, fragment) with or without y and x.")
        faults.expect(("y" in series.dims) == ("x" in series.dims), "only one of y and x is a dimension; expected both or none.")
        whole = series.dtype.kind in "iu" and series.attrs.get("units", "counts") == "counts"
        faults.expect(whole, f"values are {series.dtype} in {series.attrs.get('units')!r}; expected whole counts.")
        faults.expect("fragment" in series.coords, "fragments have no names; expected ions along fragment.")
        good = isinstance(level, (int, float, np.number)) and 0.001 <= float(level) <= 0.2
        faults.expect(good, f"false_alarms={level!r}; expected a probability from 0.001 to 0.2.")
    names = [ion_name(str(v)) for v in series.coords["fragment"].values]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SsbmapsError(f"{SUBJECT}: {', '.join(twice)} is there more than once along fragment.")
    return steps[0]


def _totals(series: xr.DataArray, labels: xr.DataArray | None, step: str) -> tuple[list[str], list[Floats]]:
    """(step, fragment) sums of each phase, or of all measured pixels."""
    values = to_dense(series.transpose(step, "fragment", ...).data).astype(float)
    if values.ndim == 2:
        if labels is not None:
            raise SsbmapsError(f"{SUBJECT}: labels with a series that has no y and x; select the phase before summing.")
        return [""], [values]
    known = measured_mask(series)
    known = np.ones(values.shape[2:], bool) if known is None else known
    if labels is None:
        return [""], [values[:, :, known].sum(axis=2)]
    flags = read_flags(labels, subject=f"{SUBJECT}: labels")
    same_grid(series, labels, subject=f"{SUBJECT}: labels")
    phases = [n for n, f in zip(flags.names, flags.flags, strict=True) if f != 0]
    return phases, [values[:, :, known & flags.mask(n, subject=SUBJECT)].sum(axis=2) for n in phases]


def _dose(dose: Any, series: xr.DataArray, step: str) -> tuple[Floats, str]:
    n = series.sizes[step]
    if dose is None:
        return np.arange(n, dtype=float), step
    try:
        values = np.asarray(dose, np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    with Faults(f"{SUBJECT}: dose") as faults:
        if faults.expect(values.shape == (n,), f"has the shape {values.shape}; expected one number for each of {n} steps."):
            good = bool(np.isfinite(values).all() and (np.diff(values) > 0).all())
            faults.expect(good, "does not ascend, or holds NaN; expected the dose that was there at each step.")
    return values, str(getattr(dose, "attrs", {}).get("units", "1"))


def _trend(counts: Floats, dose: Floats) -> Trend | str:
    """The trend, or why there is none."""
    if len(counts) < LEAST_STEPS:
        return f"{len(counts)} steps; at least {LEAST_STEPS} are needed"
    if counts.mean() < LEAST_COUNTS:
        return "no counts" if counts.sum() == 0 else f"{counts.mean():.2g} counts per step; at least 5 are needed"
    return fit_trend(counts, dose)
