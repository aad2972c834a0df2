"""Thicknesses of several sections in one table, with the time, cell and condition of each, for the growth functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish

if TYPE_CHECKING:
    import xarray as xr

SUBJECT = "interfaces.gather_thickness"
NEEDED = ("thickness", "thickness_sd", "upper_limit", "resolved", "interface_length")
PER_PARTICLE = ("particle_thickness", "particle_thickness_sd", "particle_perimeter")


def gather_thickness(
    results: Mapping[str, xr.Dataset],
    *,
    time: Mapping[str, float] | Sequence[float],
    cell: Mapping[str, str] | Sequence[str] | None = None,
    condition: Mapping[str, str] | Sequence[str] | None = None,
    shell: str | None = None,
    time_units: str = "1",
) -> xr.Dataset:
    """Put the thicknesses of several sections into one table, particle by particle.

    A section whose shell is resolved gives its particles, or the thickness of the section where it has none of their own. One
    that is not gives a single entry with its upper limit. Particles that could not be measured are left out.

    Parameters
    ----------
    results : mapping of str to xarray.Dataset
        By name of the section, what `measure_interphase` or `fit_interphase` returned.
    time : mapping of str to float, or sequence of float
        Time or number of cycles of every section, by name or in the order of `results`.
    cell : mapping of str to str, or sequence of str, optional
        The cell that every section was cut from. By default each section counts as a cell of its own: name the cells where
        several sections come from one.
    condition : mapping of str to str, or sequence of str, optional
        What the sections are to be compared by, such as "pristine" and "cycled".
    shell : str, optional
        Which shell, if there are several.
    time_units : str, optional
        Unit of `time`, for example "h" or "cycles"; "1" if it is not stated.

    Returns
    -------
    xarray.Dataset
        Along ``particle``: ``thickness`` and ``thickness_sd`` (um, apparent; NaN with a limit), ``weight`` (um: perimeter times
        its share in contact where that is known; the length of interface for a section), ``upper_limit`` (um, 95 %; NaN with
        a thickness, and where even that is unknown); coordinates ``section``, ``cell``, ``time`` and ``condition``.

    Raises
    ------
    SsbmapsError
        If a result is not from these functions or has several shells, a section is not named in `time`, `cell` or `condition`,
        or thicknesses of particles and of planar stacks are mixed.

    Examples
    --------
    >>> from ssbmaps import interfaces, synthetic
    >>> found = {}
    >>> for name, d in (("a", 0.2), ("b", 0.3)):
    ...     section = synthetic.cross_section(shape=(96, 96), n_scans=1, geometry="disc", thickness=d)
    ...     found[name] = interfaces.fit_interphase(section.counts, section.distance, core="NiO2-", shell="PO3-")
    >>> table = interfaces.gather_thickness(found, time={"a": 10, "b": 40}, time_units="h")
    >>> table.time.values.tolist(), table.cell.values.tolist()
    ([10.0, 40.0], ['a', 'b'])
    """
    import xarray as xr

    if not isinstance(results, Mapping) or not results:
        raise SsbmapsError(f"{SUBJECT}: results is {type(results).__name__}; expected {{'name of the section': result, …}}.")
    names = [str(n) for n in results]
    with Faults(SUBJECT) as faults:
        picked = [_pick(name, one, shell, faults) for name, one in zip(names, results.values(), strict=True)]
        times = _by_section(time, names, "time", faults)
        cells = names if cell is None else _by_section(cell, names, "cell", faults)
        conditions = None if condition is None else _by_section(condition, names, "condition", faults)
        faults.expect(isinstance(time_units, str), f"time_units={time_units!r}; expected a word such as 'h' or 'cycles'.")
        numeric = all(isinstance(t, (int, float, np.number)) and not isinstance(t, bool) for t in times)
        faults.expect(numeric, f"time holds {times}; expected a number for every section.")
        curved = {"true_thickness" in one for one in picked if one is not None}
        faults.expect(len(curved) < 2, "some sections are of particles, others planar; their thicknesses are not compared.")
    tables = [_entries(one) for one in picked if one is not None]
    of = np.repeat(np.arange(len(names)), [t.shape[1] for t in tables])
    values = np.concatenate(tables, axis=1)
    about = {
        "thickness": "apparent thickness",
        "thickness_sd": "apparent thickness: standard error",
        "weight": "length of interface behind it",
        "upper_limit": "95 % upper limit of the thickness",
    }
    rows = {n: ("particle", v, {"units": "um", "long_name": t}) for (n, t), v in zip(about.items(), values, strict=True)}
    coords: dict[str, Any] = {
        "section": ("particle", np.array(names)[of]),
        "cell": ("particle", np.array([str(c) for c in cells])[of]),
        "time": ("particle", np.array(times, np.float64)[of], {"units": time_units, "long_name": "time"}),
    }
    if conditions is not None:
        coords["condition"] = ("particle", np.array([str(c) for c in conditions])[of])
    arguments = {"results": names, "time": time, "cell": cell, "condition": condition, "shell": shell, "time_units": time_units}
    result = xr.Dataset(rows, coords)
    return finish(result, function=SUBJECT, arguments=arguments, sources=list(results.values()))


def _pick(name: str, one: xr.Dataset, shell: str | None, faults: Faults) -> xr.Dataset | None:
    missing = [n for n in NEEDED if n not in getattr(one, "data_vars", ())]
    text = f"section {name}: {', '.join(missing)} missing; expected what measure_interphase or fit_interphase returns."
    if not faults.expect(not missing, text):
        return None
    shells = [str(s) for s in np.atleast_1d(one["shell"].values)]
    if shell is None:
        text = f"section {name} has {len(shells)} shells; name one of {', '.join(shells)} with shell=."
        return one.isel(shell=0) if faults.expect(len(shells) == 1, text) else None
    known = faults.expect(shell in shells, f"section {name} has no shell {shell!r}, it has {', '.join(shells)}.")
    return one.isel(shell=shells.index(shell)) if known else None


def _by_section(given: Any, names: list[str], what: str, faults: Faults) -> list[Any]:
    """One value per section, from a mapping by name or a sequence in order."""
    if isinstance(given, Mapping):
        own = {str(k): v for k, v in given.items()}
        missing = [n for n in names if n not in own]
        faults.expect(not missing, f"{what} of section {', '.join(missing)} is missing.")
        return [own.get(n, 0) for n in names]
    good = isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str)
    if not faults.expect(good, f"{what}={given!r}; expected one value per section, by name or in order."):
        return [0] * len(names)
    values = list(given)
    good = faults.expect(len(values) == len(names), f"{what} has {len(values)} values for {len(names)} sections.")
    return values if good else [0] * len(names)


def _entries(one: xr.Dataset) -> Any:
    """(4, entries): thickness, error, weight, limit."""
    length = float(one["interface_length"])
    if not int(one["resolved"]):
        return np.array([[np.nan], [np.nan], [length], [float(one["upper_limit"])]])
    if all(n in one for n in PER_PARTICLE):
        d, error, perimeter = (one[n].values for n in PER_PARTICLE)
        contact = one["particle_contact"].values if "particle_contact" in one else np.ones_like(perimeter)
        keep = np.isfinite(d) & (d > 0) & (perimeter * contact > 0)
        if keep.any():
            error = np.where(error > 0, error, np.nan)
            return np.stack([d, error, perimeter * contact, np.full(len(d), np.nan)])[:, keep]
    return np.array([[float(one["thickness"])], [float(one["thickness_sd"])], [length], [np.nan]])
