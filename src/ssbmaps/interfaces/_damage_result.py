"""The Dataset that `damage_suspicion` returns: slopes with errors and units, and sentences that name the alternatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import canonical
from ssbmaps.interfaces._damage_rules import ALTERNATIVES
from ssbmaps.interfaces._family import holm
from ssbmaps.interfaces._lateral_result import ENDS, SUFFIXES

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._damage_trend import Trend

    Floats = NDArray[np.float64]

WORDING = f"compatible with damage; also compatible with {ALTERNATIVES}"


def rows_of(
    pairs: list[tuple[int, int]], names: list[str], trends: list[dict[int, Trend | str]], level: float, beam: str
) -> list[list[dict[str, Any]]]:
    """One row of numbers for each phase and pair."""
    rows = []
    for found in trends:
        rows.append([_row(found[a], found[b], names[a], names[b]) for a, b in pairs])
    tested = [r for row in rows for r in row if r["testable"]]
    for row, hit in zip(tested, holm([r["p_value"] for r in tested]) <= level, strict=True):
        row["suspected"] = np.int8(hit)
        if hit:
            row["statement"] = f"{row['pair'][0]} rises while {row['pair'][1]} falls: {WORDING}; {beam}"
        else:
            both = " and ".join(row["pair"])
            row["statement"] = f"no joint trend of {both} beyond noise (p = {row['p_value']:.2g}); {beam}"
    return rows


def _row(product: Trend | str, precursor: Trend | str, *names: str) -> dict[str, Any]:
    row: dict[str, Any] = {"suspected": np.int8(0), "testable": np.int8(0), "pair": names}
    row |= dict.fromkeys(("p_value", "p_product", "p_precursor"), np.nan)
    for word, trend in (("product", product), ("precursor", precursor)):
        values = (np.nan,) * 4 if isinstance(trend, str) else (trend.slope, trend.sd, *trend.ends())
        row |= dict(zip((f"{word}_slope{s}" for s in SUFFIXES), values, strict=True))
    if isinstance(product, str) or isinstance(precursor, str):
        reasons = [f"{n}: {t}" for n, t in zip(names, (product, precursor), strict=True) if isinstance(t, str)]
        row["statement"] = f"not testable: {'; '.join(reasons)}"
        return row
    p = product.p_value(1), precursor.p_value(-1)
    return row | {"testable": np.int8(1), "p_product": p[0], "p_precursor": p[1], "p_value": max(p)}


def as_dataset(
    rows: list[list[dict[str, Any]]],
    pairs: list[tuple[int, int]],
    used: list[int],
    found: tuple[list[str] | None, list[Floats], list[dict[int, Trend | str]]],
    series: xr.DataArray,
    step: str,
    dose: tuple[Floats, str],
) -> xr.Dataset:
    import xarray as xr

    phases, totals, trends = found
    x, unit = dose
    slope = f"1/{unit}" if unit.isalnum() and unit != "1" else f"1/({unit})" if unit != "1" else "1"
    about = {
        "suspected": ("1", "1: product rises and precursor falls, compatible with damage"),
        "p_value": ("1", "probability of both trends if one of them is not there"),
        "p_product": ("1", "probability of such a rise of the product without a trend"),
        "p_precursor": ("1", "probability of such a fall of the precursor without a trend"),
        "testable": ("1", "1: the data allow the test"),
        "statement": ("1", "the result in words"),
    }
    for word in ("product", "precursor"):
        about |= {f"{word}_slope{s}": (slope, f"change of ln counts of the {word} with the dose{ENDS[s]}") for s in SUFFIXES}
    lead = ["phase"] if phases is not None else []
    variables: dict[str, Any] = {}
    for name, (u, text) in about.items():
        table = np.array([[r[name] for r in row] for row in rows])
        variables[name] = ([*lead, "rule"], _picked(table, phases), {"units": u, "long_name": text})
    missing = np.full(len(x), np.nan)
    known: list[list[Trend | None]] = [[None if isinstance(t[i], str) else t[i] for i in used] for t in trends]  # type: ignore[misc]
    along = {
        "total": (np.array([t[:, used].T for t in totals]), "counts of the region"),
        "total_sd": (
            np.array([[missing if t is None else t.counts_sd for t in row] for row in known]),
            "counts of the region: standard error, with jitter",
        ),
        "trend": (np.array([[missing if t is None else t.curve for t in row] for row in known]), "fitted trend"),
    }
    for name, (values, text) in along.items():
        variables[name] = ([*lead, "fragment", step], _picked(values, phases), {"units": "counts", "long_name": text})
    scatter = np.array([[np.nan if t is None else t.dispersion for t in row] for row in known])
    text = "variance over that of counting, about the trend"
    variables["dispersion"] = ([*lead, "fragment"], _picked(scatter, phases), {"units": "1", "long_name": text})
    names = np.array([str(v) for v in series.coords["fragment"].values])
    coords: dict[str, Any] = {
        "rule": [f"{names[a]} from {names[b]}" for a, b in pairs],
        "product": ("rule", [names[a] for a, _ in pairs]),
        "precursor": ("rule", [names[b] for _, b in pairs]),
        "fragment": names[used],
        "dose": (step, x, {"units": unit, "long_name": "dose" if unit != step else f"number of the {step}"}),
    }
    if step in series.coords:
        coords[step] = series.coords[step]
    if phases is not None:
        coords["phase"] = phases
    return canonical(xr.Dataset(variables, coords))


def _picked(values: NDArray[Any], phases: list[str] | None) -> NDArray[Any]:
    """Values along phases, or of the one region there is."""
    return values if phases is not None else np.asarray(values[0])
