"""The Dataset that `fit_growth` returns: numbers with errors and units, and the sentence that cannot be misread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._provenance import finish
from ssbmaps.interfaces._growth_laws import LAWS
from ssbmaps.interfaces._growth_weigh import PARAMETERS

if TYPE_CHECKING:
    import xarray as xr

    from ssbmaps.interfaces._growth_data import Cells, Entries
    from ssbmaps.interfaces._growth_weigh import Weighed

SECTION = np.pi / 4  # true over apparent thickness of a thin isotropic shell
SYMBOLS = {"sqrt": "k", "linear": "r", "logarithmic": "a", "power": "b"}
FORMULAS = {"sqrt": "d² = d0² + k t", "linear": "d = d0 + r t", "logarithmic": "d = d0 + a ln(1 + t/τ)", "power": "d = d0 + b tⁿ"}
SUFFIXES = ("", "_sd", "_low", "_high")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ENDS = {"": "", "_sd": ": standard error", "_low": ": 95 % interval, low end", "_high": ": 95 % interval, high end"}


def rate_unit(law: str, time_units: str) -> str:
    """Unit of the law's rate: um^2/h, um/h, um, um/h^n."""
    length = "um^2" if law == "sqrt" else "um"
    if law == "logarithmic" or time_units == "1":
        return length
    plain = time_units if time_units.isalnum() else f"({time_units})"
    return f"{length}/{plain}" + ("^n" if law == "power" else "")


def as_dataset(
    found: Weighed, entries: Entries, cells: Cells, thickness: xr.DataArray | xr.Dataset, arguments: dict[str, Any]
) -> xr.Dataset:
    """All results as one Dataset with units, names and history."""
    import xarray as xr

    unit = entries.time_units
    variables = _along_law(found, unit, curved=arguments["geometry"] == "particles")
    variables |= _along_time(found)
    variables |= _along_cell(found, cells, unit)
    scalars: dict[str, tuple[Any, str]] = {
        "preferred": (found.preferred, "law with the most evidence, or the one that was given"),
        "laws_alike": (" ".join(found.alike), "laws that the data do not rule out"),
        "n_cells": (len(np.unique(entries.cell[np.isfinite(entries.thickness)])), "cells with a measured thickness"),
        "n_particles": (int(np.isfinite(entries.thickness).sum()), "entries with a measured thickness"),
        "n_limits": (int(np.isfinite(entries.limit).sum()), "entries with an upper limit only"),
        "n_unused": (entries.n_unused, "entries with neither thickness nor limit"),
        "statement": (statement(found, entries, arguments), "the result in words"),
    }
    variables |= {name: ((), value, {"units": "1", "long_name": text}) for name, (value, text) in scalars.items()}
    grid = ("time", found.grid, {"units": unit, "long_name": "time"})
    result = xr.Dataset(variables, {"law": ("law", list(LAWS)), "time": grid, "cell": ("cell", cells.cell.astype(str))})
    result = finish(result, function="interfaces.fit_growth", arguments=arguments, sources=[thickness])
    result.attrs["wording"] = wording(found.preferred if found.preferred in SYMBOLS else "sqrt")
    return result


def _along_law(found: Weighed, unit: str, *, curved: bool) -> dict[str, Any]:
    rate_units = [rate_unit(name, unit) for name in LAWS]
    rate_text = ", ".join(f"{u} ({name})" for name, u in zip(LAWS, rate_units, strict=True))
    about = {
        "rate": (rate_text, "apparent rate"),
        "intercept": ("um", "apparent thickness at time 0"),
        "exponent": ("1", "exponent of the time in the power law"),
        "tau": (unit, "time constant of the logarithmic law"),
    }
    variables: dict[str, Any] = {}
    for name in PARAMETERS:
        table = np.array([found.laws[n].values[name] if n in found.laws else np.full(4, np.nan) for n in LAWS])
        if curved and name in ("rate", "intercept"):
            factor = np.array([SECTION ** (2 if n == "sqrt" and name == "rate" else 1) for n in LAWS])
            text = f"isotropic-section estimate of the true {'rate' if name == 'rate' else 'thickness at time 0'}"
            variables |= _with_ends(f"true_{name}", table * factor[:, None], about[name][0], text)
        variables |= _with_ends(name, table, *about[name])
    variables["rate_units"] = ("law", rate_units, {"units": "1", "long_name": "unit of the rate"})
    rows = {
        "evidence": (found.evidence, "Akaike weight of the law, on the level of cells"),
        "likelihood_ratio": (found.likelihood_ratio, "2 ln(L1/L0) against a thickness that does not change"),
        "cv_particles": (
            {n: one.fit.cv_particles for n, one in found.laws.items()},
            "scatter of particles within a cell over the thickness, beyond the stated errors",
        ),
        "cv_cells": (
            {n: one.fit.cv_cells if one.fit.freedom > 0 else np.nan for n, one in found.laws.items()},
            "scatter of cells about the curve over the thickness, beyond that of their particles",
        ),
    }
    for name, (values, text) in rows.items():
        variables[name] = ("law", np.array([values.get(n, np.nan) for n in LAWS]), {"units": "1", "long_name": text})
    return variables


def _with_ends(name: str, table: Any, unit: str, text: str) -> dict[str, Any]:
    return {
        name + suffix: ("law", table[:, i], {"units": unit, "long_name": text + ENDS[suffix]})
        for i, suffix in enumerate(SUFFIXES)
    }


def _along_time(found: Weighed) -> dict[str, Any]:
    blank = np.full((3, len(found.grid)), np.nan)
    bands = np.array([found.laws[n].band if n in found.laws else blank for n in LAWS])
    return {
        f"curve{suffix}": (
            ("time", "law"),
            bands[:, i].T,
            {"units": "um", "long_name": "fitted apparent thickness" + ENDS[suffix]},
        )
        for i, suffix in enumerate(("", "_low", "_high"))
    }


def _along_cell(found: Weighed, cells: Cells, unit: str) -> dict[str, Any]:
    error = np.full(len(cells.time), np.nan)
    one = found.laws.get(found.preferred)
    if one is not None and one.fit.bounded:
        g = np.exp(one.fit.curves.log_curve(cells.time, one.fit.theta)[0][0])
        error = np.where(cells.below, np.nan, g * np.sqrt(one.fit.variance))
    rows = {
        "cell_time": (cells.time, unit, "time"),
        "cell_thickness": (np.where(cells.below, np.nan, cells.mean), "um", "weighted mean of the cell's particles"),
        "cell_thickness_sd": (error, "um", "weighted mean of the cell's particles: standard error, with the scatter of cells"),
        "cell_upper_limit": (np.where(cells.below, cells.mean, np.nan), "um", "95 % upper limit"),
    }
    return {name: ("cell", values, {"units": u, "long_name": text}) for name, (values, u, text) in rows.items()}


def wording(law: str) -> str:
    return f"apparent {SYMBOLS[law]}; assumes constant ion yield and independent cells"


def statement(found: Weighed, entries: Entries, arguments: dict[str, Any]) -> str:
    """The result in words that cannot be misread."""
    one = found.laws.get(found.preferred)
    if found.reason or one is None:
        return f"Undetermined: {found.reason}."
    law = found.preferred
    unit = spoken(rate_unit(law, entries.time_units))
    rate, d0 = one.values["rate"], 1e3 * one.values["intercept"]
    text = f"{FORMULAS[law]}: apparent {SYMBOLS[law]} = {three(rate)} {unit}, d0 = {d0[0]:.0f} nm [{d0[2]:.0f}, {d0[3]:.0f}]"
    if law == "power":
        n = one.values["exponent"]
        text += f", n = {n[0]:.2f} [{n[2]:.2f}, {n[3]:.2f}]"
    if law == "logarithmic":
        text += f", τ = {three(one.values['tau'])} {entries.time_units if entries.time_units != '1' else ''}".rstrip()
    text += f" ({wording(law)})."
    if arguments["geometry"] == "particles":
        factor = SECTION ** (2 if law == "sqrt" else 1)
        text += f" Isotropic-section estimate of the true {SYMBOLS[law]}: {three(factor * rate[:1])} {unit}."
    if rate[2] <= 0 <= rate[3]:
        text += " Growth is not distinguishable from none."
    others = [name for name in found.alike if name != law]
    if law not in found.alike:
        text += f" The data speak for another law: {', '.join(others)}."
    elif others:
        text += f" The data do not tell {law} from {', '.join(others)}."
    if len(np.unique(entries.cell)) == 1:
        text += " One cell: the interval holds within this section, not for other cells."
    elif not entries.cells_named:
        text += " No cells were named: entries of one time count as one cell."
    return text


def spoken(unit: str) -> str:
    return unit.replace("^2", "²").replace("^n", "ⁿ")


def three(values: Any) -> str:
    """Value and ends with three digits, with one power of ten where they are small: 3.95 [2.99, 5.12]×10⁻⁴."""
    size = np.nanmax(np.abs(values))
    power = int(np.floor(np.log10(size))) if size > 0 else 0
    power = power if abs(power) > 2 else 0
    ends = f" [{values[2] / 10.0**power:.3g}, {values[3] / 10.0**power:.3g}]" if len(values) > 1 else ""
    ten = f"×10{str(power).translate(RAISED)}" if power else ""
    return f"{values[0] / 10.0**power:.3g}{ends}{ten}".replace("-", "−")
