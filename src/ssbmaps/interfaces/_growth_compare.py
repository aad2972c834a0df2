"""Whether interphases grow faster, or are thicker, under one condition than under another: intervals of the differences."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import generator
from ssbmaps._errors import SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._growth import check_draws
from ssbmaps.interfaces._growth_data import cells_of, check_cells, read_entries
from ssbmaps.interfaces._growth_laws import LAWS, N_PARAMETERS
from ssbmaps.interfaces._growth_result import ENDS, FORMULAS, SECTION, SUFFIXES, SYMBOLS, rate_unit, spoken, three, wording
from ssbmaps.interfaces._growth_scatter import fit_cells, redraw, unknown_scale
from ssbmaps.interfaces._growth_weigh import spread

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._growth import Beside
    from ssbmaps.interfaces._growth_data import Cells, Entries

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.compare_growth"


def compare_growth(
    thickness: xr.DataArray | xr.Dataset,
    *,
    time: Beside,
    condition: Beside,
    sd: Beside | None = None,
    group: Beside | None = None,
    geometry: str = "particles",
    weight: Beside | None = None,
    upper_limit: Beside | None = None,
    law: str = "sqrt",
    n_boot: int = 2000,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Compare conditions by the interval of the difference of their rates, or of their thicknesses where each has one time.

    Two conditions are told apart if the 95 % interval of the difference leaves out 0. Overlapping intervals of the conditions
    themselves say nothing about that.

    Parameters
    ----------
    thickness : xarray.DataArray or xarray.Dataset
        As in `fit_growth`: apparent thickness in um along one dimension, or what `gather_thickness` returns.
    time : str, xarray.DataArray or array_like
        Time of every entry.
    condition : str, xarray.DataArray or array_like
        Condition of every entry, for example "pristine" and "cycled", or with and without an additive.
    sd, group : str, xarray.DataArray or array_like, optional
        As in `fit_growth`. Without `group`, entries of one condition and time count as one cell.
    geometry : {"particles", "planar"}
        As in `fit_growth`: particles get estimates of the true differences, too.
    weight, upper_limit : str, xarray.DataArray or array_like, optional
        As in `fit_growth`.
    law : {"sqrt", "linear", "logarithmic", "power"}, optional
        Law whose rates are compared.
    n_boot : int, optional
        Draws behind the intervals.
    rng : int or numpy.random.Generator, optional
        For the draws; None means 0.

    Returns
    -------
    xarray.Dataset
        Along ``condition``, in the order met: ``rate`` (as in `fit_growth`), or ``thickness`` (um) where each condition has one
        time; ``n_cells``. Along ``pair``: ``first``, ``second``, ``difference`` (second less first; ``true_difference`` with
        particles), ``told_apart`` (0/1), ``statement``. ``_sd``, ``_low``, ``_high`` (95 %, of each pair by itself) beside
        values, NaN where nothing is left to measure the scatter. ``cv_particles`` and ``cv_cells``, common to all.

    Raises
    ------
    SsbmapsError
        As `fit_growth`; also with fewer than two conditions, or if some have one time only and others several.

    Notes
    -----
    Cells are the independent units. They are taken to scatter by the same share of the thickness under every condition, so that
    conditions with few cells profit from the others; see `fit_growth` for scatter and draws.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import compare_growth
    >>> coated = np.repeat(["bare", "coated"], 40)
    >>> d = np.where(coated == "bare", 0.3, 0.15) * np.random.default_rng(1).gamma(16, 1 / 16, 80)
    >>> table = xr.DataArray(d, dims="particle", attrs={"units": "um"})
    >>> found = compare_growth(table, time=np.full(80, 100.0), condition=coated, group=np.repeat(np.arange(8), 10))
    >>> found.pair.values.tolist(), int(found.told_apart[0])
    (['coated − bare'], 1)
    """
    draws, seed = generator(rng)
    check_draws(n_boot, SUBJECT)
    if law not in LAWS:
        raise SsbmapsError(f"{SUBJECT}: law={law!r}; expected one of {', '.join(LAWS)}.")
    entries = read_entries(
        thickness,
        time=time,
        sd=sd,
        group=group,
        weight=weight,
        upper_limit=upper_limit,
        condition=condition,
        geometry=geometry,
        subject=SUBJECT,
    )
    names = list(dict.fromkeys(entries.condition.tolist()))
    parts = [entries.of(name) for name in names]
    law_used = _common_law(names, parts, law)
    _check_parts(entries, parts)
    sets = [cells_of(part) for part in parts]
    values, drawn, scatter = _fitted(sets, law_used, int(n_boot), draws)
    arguments = {
        "thickness": thickness,
        "time": time,
        "condition": condition,
        "sd": sd,
        "group": group,
        "geometry": geometry,
        "weight": weight,
        "upper_limit": upper_limit,
        "law": law,
        "n_boot": n_boot,
        "rng": seed,
    }
    result = _as_dataset(names, parts, law_used, values, drawn, scatter, geometry == "particles")
    result = finish(result, function=SUBJECT, arguments=arguments, sources=[thickness])
    result.attrs["wording"] = _words(law_used)
    return result


def _check_parts(entries: Entries, parts: list[Entries]) -> None:
    """Cells belong to one condition, and within it to one time."""
    for part in parts:
        check_cells(part, SUBJECT)
    if entries.cells_named:
        homes = {str(cell): np.unique(entries.condition[entries.cell == cell]) for cell in np.unique(entries.cell)}
        shared = [cell for cell, conditions in homes.items() if len(conditions) > 1]
        if shared:
            raise SsbmapsError(
                f"{SUBJECT}: cell {', '.join(shared)} has several conditions. Cells are taken to be independent: give cells "
                "of different conditions different names."
            )


def _common_law(names: list[str], parts: list[Entries], law: str) -> str:
    """The law to compare by: "constant" where every condition has one time."""
    counts = [len(np.unique(part.time)) for part in parts]
    if len(names) < 2:
        raise SsbmapsError(f"{SUBJECT}: there is one condition, {', '.join(names)}; expected at least 2 to compare.")
    if max(counts) > 1 and min(counts) == 1:
        single = [name for name, n in zip(names, counts, strict=True) if n == 1]
        raise SsbmapsError(
            f"{SUBJECT}: condition {', '.join(single)} has one time only, the others have several. Compare thicknesses at "
            "one time (select it first), or give the pristine entries to every condition as time 0."
        )
    return "constant" if max(counts) == 1 else law


def _fitted(
    sets: list[Cells], law: str, n_boot: int, rng: np.random.Generator
) -> tuple[Floats, Floats | None, tuple[float, float, int]]:
    """Value of each condition (NaN where it cannot be had), draws (condition, draw) or None, and both scatters with freedom."""
    least = N_PARAMETERS[law]
    n_times = 1 if law == "constant" else least
    able = [i for i, c in enumerate(sets) if c.n_measured >= least and c.n_times >= n_times]
    fits = dict(zip(able, fit_cells([sets[i] for i in able], law), strict=True)) if able else {}
    name = "intercept" if law == "constant" else "rate"
    values = np.full(len(sets), np.nan)
    for i, fit in fits.items():
        values[i] = fit.curves.parameters(fit.theta)[name][0]
    if not fits:
        return values, None, (np.nan, np.nan, 0)
    first = next(iter(fits.values()))
    scatter = (first.cv_particles, first.cv_cells, first.freedom)
    if not all(fit.bounded for fit in fits.values()):
        return values, None, scatter
    scale = unknown_scale(first.freedom, n_boot, rng)
    drawn = np.full((len(sets), n_boot), np.nan)
    for i, fit in fits.items():
        drawn[i] = fit.curves.parameters(redraw(fit, sets[i], n_boot, scale, rng))[name]
    return values, drawn, scatter


def _as_dataset(
    names: list[str],
    parts: list[Entries],
    law: str,
    values: Floats,
    drawn: Floats | None,
    scatter: tuple[float, float, int],
    curved: bool,
) -> xr.Dataset:
    import xarray as xr

    unit = "um" if law == "constant" else rate_unit(law, parts[0].time_units)
    what = "thickness" if law == "constant" else "rate"
    own = np.array([_row(v, None if drawn is None else drawn[i], scatter[2]) for i, v in enumerate(values)])
    pairs = list(combinations(range(len(names)), 2))
    apart = np.array([_row(values[b] - values[a], None if drawn is None else drawn[b] - drawn[a], scatter[2]) for a, b in pairs])
    told = (apart[:, 2] > 0) | (apart[:, 3] < 0)
    variables: dict[str, Any] = {}
    for i, suffix in enumerate(SUFFIXES):
        variables[what + suffix] = ("condition", own[:, i], {"units": unit, "long_name": f"apparent {what}{ENDS[suffix]}"})
        text = f"apparent {what}, second less first{ENDS[suffix]}"
        variables[f"difference{suffix}"] = ("pair", apart[:, i], {"units": unit, "long_name": text})
        if curved:
            factor = SECTION ** (2 if law == "sqrt" else 1)
            text = f"isotropic-section estimate of the true difference{ENDS[suffix]}"
            variables[f"true_difference{suffix}"] = ("pair", factor * apart[:, i], {"units": unit, "long_name": text})
    cells = [len(np.unique(part.cell[np.isfinite(part.thickness)])) for part in parts]
    words = [
        _statement((names[a], names[b]), apart[i], bool(told[i]), law, unit, (parts[a], parts[b]))
        for i, (a, b) in enumerate(pairs)
    ]
    plain = {"units": "1"}
    variables |= {
        "n_cells": ("condition", cells, {**plain, "long_name": "cells with a measured thickness"}),
        "first": ("pair", [names[a] for a, _ in pairs], {**plain, "long_name": "condition"}),
        "second": ("pair", [names[b] for _, b in pairs], {**plain, "long_name": "condition it is compared with"}),
        "told_apart": ("pair", told.astype(np.int8), {**plain, "long_name": "1: the interval of the difference leaves out 0"}),
        "statement": ("pair", words, {**plain, "long_name": "the result in words"}),
        "cv_particles": ((), scatter[0], {**plain, "long_name": "scatter of particles within a cell over the thickness"}),
        "cv_cells": ((), scatter[1], {**plain, "long_name": "scatter of cells beyond that of their particles"}),
    }
    return xr.Dataset(variables, {"condition": names, "pair": [f"{names[b]} − {names[a]}" for a, b in pairs]})


def _row(value: float, drawn: Floats | None, freedom: int) -> list[float]:
    if drawn is None or np.isnan(drawn).any():
        return [float(value), np.nan, np.nan, np.nan]
    return [float(value), *spread(drawn, freedom)]


def _words(law: str) -> str:
    return "apparent thickness; assumes constant ion yield and independent cells" if law == "constant" else wording(law)


def _statement(names: tuple[str, str], row: Floats, told: bool, law: str, unit: str, parts: tuple[Entries, Entries]) -> str:
    """The comparison in words that cannot be misread."""
    of = "thickness" if law == "constant" else f"{SYMBOLS[law]} in {FORMULAS[law]}"
    title = f"{of}, {names[1]} less {names[0]}"
    if np.isnan(row[2]):
        return f"Undetermined: {title}: too few cells, or none that scatter, to tell how far to trust a difference."
    text = f"{title}: {three(row)} {spoken(unit)}, "
    text += "told apart" if told else "not told apart"
    times = [float(part.time[0]) for part in parts]
    if law == "constant" and times[0] != times[1]:
        text += f"; at times {times[1]:g} and {times[0]:g}"
    return f"{text[0].upper() if law == 'constant' else text[0]}{text[1:]} ({_words(law)})."
