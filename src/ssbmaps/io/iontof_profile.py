"""Depth profiles of IONTOF time-of-flight instruments as SurfaceLab exports them: a table of signals along the data points."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError, SsbmapsError
from ssbmaps._ions import parse_ion
from ssbmaps.io import _dense, _iontof_table, _lines, _report
from ssbmaps.io._cube import count_dtype
from ssbmaps.io._public import public

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.io._iontof_table import Column, Table

    Floats = NDArray[np.float64]

NAME = "IONTOF profile text"
EXTENSIONS = (".txt",)
TECHNIQUE = "tof-sims"
_HEAD = 1 << 16  # some hundred labels, each as long as a sum of several ions
_KINDS = ("counts", "sums", "derived")
_CHANCE = 20.0  # counts; with as many expected, a data point without any is none by chance: exp(-20) = 2e-9
_SMALL = 5.0  # counts; those below stay within 2 % of whole numbers, if corrected for dead time with 125 pulses or more
_NEAR = 0.02
_FEW = 10  # so many values; of evenly spread ones 4 % lie as near, and half of ten do once in 40 000 times
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Profile:
    """A table without the data points that were not measured, and what is to be told of it."""

    table: Table
    rows: NDArray[np.intp]  # that were measured
    total: Column | None
    notes: tuple[str, ...]

    def columns(self, kind: str) -> list[Column]:
        """Those of one data set; the total ion signal belongs to none."""
        return [c for c in self.table.columns if c.kind == kind and c is not self.total]

    def values(self, columns: Sequence[Column]) -> Floats:
        """(scan, column)."""
        return self.table.numbers[self.rows][:, [c.place for c in columns]]

    @property
    def kinds(self) -> list[str]:
        """The data sets that the file holds."""
        return [kind for kind in _KINDS if self.columns(kind)]


def sniff(path: Path) -> bool:
    """Whether lines with # in front come first, and one of them begins the row of units."""
    if not _lines.may_hold(path, (_iontof_table.POINT,), _HEAD):
        return False
    lines = _lines.head_text(path, _HEAD).splitlines()
    last = next((line for line in lines if line.startswith(_iontof_table.POINT) or not line.startswith("#")), "")
    return last.startswith(_iontof_table.POINT) and "\t" in last


def info(path: Path) -> dict[str, Any]:
    """Signals and size of the data set read by default. The file says nowhere how long it is, so its rows are read."""
    profile = _profile(path, skip_bad=True)
    first = _report.choose(path.name, profile.kinds[:1], None)
    columns = profile.columns(first)
    notes = [*profile.notes, _names(columns)[1], _converted(path.name, profile, columns, first)[2]]
    if len(profile.kinds) > 1:
        notes.append(f"dims and shape are those of {first!r}; dataset= chooses another.")
    return _report.report(
        technique=TECHNIQUE,
        dims=("scan", "fragment"),
        shape=(len(profile.rows), len(columns)),
        datasets=profile.kinds,
        warnings=[n for n in notes if n],
        polarity=_polarity(profile.table.columns),
    )


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,  # noqa: ARG001  a profile has no pixels
    tilt: float | None = None,  # noqa: ARG001
    chunks: Any = None,
    skip_bad: bool = False,
) -> xr.DataArray:
    """Read the counts, or the "sums" or "derived" signals; `skip_bad` leaves out a last line that is cut short."""
    profile = _profile(path, skip_bad=skip_bad)
    kind = _report.choose(path.name, profile.kinds, dataset, default="counts")
    columns = profile.columns(kind)
    names, doubled = _names(columns)
    values, units, doubt = _converted(path.name, profile, columns, kind)
    for note in (*profile.notes, doubled, doubt):
        if note:
            warnings.warn(f"{path.name}: {note}", DataQualityWarning, stacklevel=3)
    polarity = _polarity(profile.table.columns)
    found = _dense.Found(
        path=path,
        data=values,
        dims=("scan", "fragment"),
        units=units,
        long_name="counts" if units == "counts" else "intensity" if kind != "derived" else "derived signal",
        technique=TECHNIQUE,
        metadata={
            "format": NAME,
            "dataset": kind,
            **public({f"comment {i}": text for i, text in enumerate(profile.table.comments, 1)}),
        },
        coords={**_along_scan(profile, units), **_along_fragment(columns, names)},
        attrs={} if polarity is None else {"polarity": polarity},
    )
    arguments = {"reader": "iontof_profile", "dataset": dataset, "skip_bad": skip_bad}
    return _dense.array(found, arguments=arguments, chunks=chunks)


def _profile(path: Path, *, skip_bad: bool) -> _Profile:
    """The table, which rows of it were measured, and what is doubtful in it whatever is read."""
    table = _iontof_table.parse(path, skip_bad=skip_bad)
    total = next((c for c in table.columns if c.kind == "sums" and c.label.lower() == "total" and len(table.columns) > 1), None)
    blank = _blank(table, total)
    points = table.numbers[:, 0]
    notes = []
    if table.shortened:
        notes.append("the last line is cut short, and left out.")
    if blank.any():
        listed = ", ".join(f"{p:.0f}" for p in points[blank][:_SHOWN]) + (" …" if blank.sum() > _SHOWN else "")
        notes.append(f"nothing is counted at data point {listed}, not even in the total: not measured, and left out.")
    if not blank[-1]:  # SurfaceLab ends a profile in which sputtering and analysis alternate with such a data point
        last = "".join(f", {s.long_name} {table.numbers[-1, s.place]:g} {s.unit}".rstrip() for s in table.scales[:1])
        notes.append(f"it does not say how many data points there should be; compare its end, number {points[-1]:.0f}{last}.")
    if (np.diff(points) > 1).any():
        after = points[:-1][np.diff(points) > 1]
        notes.append(f"data points are missing after number {', '.join(f'{p:.0f}' for p in after[:_SHOWN])}.")
    stands = [s.long_name for s in table.scales if (np.diff(table.numbers[~blank, s.place]) == 0).any()]
    if stands:
        notes.append(f"the {', the '.join(stands)} does not rise from each data point to the next.")
    smoothed = [c for c in table.comments if "smoothing" in c.lower() and "disabled" not in c.lower()]
    if smoothed:
        notes.append(f"it says {smoothed[0]!r}: neighbours are not independent, and errors for counts do not hold.")
    return _Profile(table, np.flatnonzero(~blank), total, tuple(notes))


def _blank(table: Table, total: Column | None) -> NDArray[np.bool_]:
    """Data points at which nothing was measured: no signal and no total, where a neighbour's total makes that impossible."""
    blank = np.zeros(len(table.numbers), bool)
    if total is None:
        return blank
    totals = table.numbers[:, total.place]
    signals = table.numbers[:, [c.place for c in table.columns if c.kind != "derived"]]
    full = np.flatnonzero(totals > 0)
    for row in np.flatnonzero(~signals.any(axis=1)) if full.size else ():
        blank[row] = totals[full[np.abs(full - row).argmin()]] > _CHANCE
    return blank


def _converted(subject: str, profile: _Profile, columns: Sequence[Column], kind: str) -> tuple[NDArray[Any], str, str]:
    """Values of a data set in the type and unit that they deserve, and what is to be told of them."""
    values = profile.values(columns)
    if kind == "derived":
        units = "1" if all(c.unit.lower().startswith("intensity") for c in columns) else "arbitrary"
        return values, units, _infinite(values, columns)
    lowest, whole = float(values.min()), bool((values % 1 == 0).all())
    if lowest < 0 and whole:
        raise FormatError(f"{subject}: holds negative counts (lowest {lowest:g}); expected 0 or more. The file is damaged.")
    if lowest < 0:
        return values, "arbitrary", f"negative values (lowest {lowest:g}): a background was subtracted, these are no counts."
    if whole and float(values.max()) < 2**53:
        return values.astype(count_dtype(float(values.max()))), "counts", ""
    if _is_corrected(profile.values([*profile.columns("counts"), *profile.columns("sums")])):  # sums alone may all be large
        text = "values lie at whole numbers or just above, as counts corrected for dead time do"
        return values, "counts", f"{text}: strong signals scatter by more than the square root of their counts."
    text = "values are not whole, nor do small ones lie just above whole numbers, as counts corrected for dead time would"
    return values, "arbitrary", f"{text}: they may be normalised or smoothed, and errors for counts do not hold."


def _is_corrected(values: Floats) -> bool:
    """Whether small values lie at whole numbers or just above, where a correction for dead time puts them."""
    small = values[(values > 0) & (values < _SMALL)]
    return small.size >= _FEW and float((small % 1 <= _NEAR * small).mean()) >= 0.5


def _infinite(values: Floats, columns: Sequence[Column]) -> str:
    """Words for ratios without a number."""
    missing = np.isnan(values).sum(axis=0)
    named = [f"{c.label!r} {n}" for c, n in zip(columns, missing, strict=True) if n]
    if not named:
        return ""
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    listed = ", ".join(named[:_SHOWN])
    return f"NaN where the file has infinity or no number, since the denominator counted nothing: {listed}{more}."


def _along_scan(profile: _Profile, units: str) -> dict[str, Any]:
    """Number of the row from 0, of the data point as the file has it, its scales, and the total ion signal."""
    numbers = profile.table.numbers[profile.rows]
    coords: dict[str, Any] = {
        "scan": ("scan", profile.rows.astype(np.int64)),
        "data_point": ("scan", numbers[:, 0].astype(np.int64), {"long_name": "data point in the file"}),
    }
    for s in profile.table.scales:
        coords[s.name] = ("scan", numbers[:, s.place], {"long_name": s.long_name, **({"units": s.unit} if s.unit else {})})
    if profile.total is not None:
        about = {"long_name": "all ions, those without a signal included"}
        coords["total"] = ("scan", numbers[:, profile.total.place], about | ({"units": units} if units == "counts" else {}))
    return coords


def _along_fragment(columns: Sequence[Column], names: Sequence[str]) -> dict[str, Any]:
    """Names of the signals, their labels as the file has them, and m/z."""
    masses = np.array([c.mass for c in columns])
    return {
        "fragment": ("fragment", np.array(names)),
        "label": ("fragment", np.array([c.label for c in columns]), {"long_name": "label in the file"}),
        "mz": ("fragment", masses, {"long_name": "m/z, as the file has it"}),
    }


def _names(columns: Sequence[Column]) -> tuple[list[str], str]:
    """One name for each signal, and words for those that stand for several: none of these is left with the bare name."""
    plain = [_ion(c.label)[0] for c in columns]
    doubled = [name for name in dict.fromkeys(plain) if plain.count(name) > 1]
    masses = ["N/A" if np.isnan(c.mass) else f"{c.mass:.4f}" for c in columns]
    names = [f"{name} ({mass})" if name in doubled else name for name, mass in zip(plain, masses, strict=True)]
    listed = ", ".join(map(repr, doubled[:_SHOWN]))
    return _report.unique(names), f"several signals are called {listed}; their m/z is added to the names." if doubled else ""


def _ion(label: str) -> tuple[str, int]:
    """The contract's name of an ion and its charge: "^118SnI_3-" is 118SnI3-; any other label as it is, with charge 0."""
    with warnings.catch_warnings():  # a count behind "_" is one beyond doubt; what is doubtful without it stays as it is
        warnings.simplefilter("ignore" if "_" in label else "error", DataQualityWarning)
        try:
            ion = parse_ion(label.replace("_", ""))
        except (SsbmapsError, DataQualityWarning):
            return label, 0
    return ion.name, ion.charge


def _polarity(columns: Sequence[Column]) -> str | None:
    """The sign of the ions, if all that can be read have the same."""
    signs = {charge > 0 for charge in (_ion(c.label)[1] for c in columns) if charge}
    if len(signs) != 1:
        return None
    return "positive" if signs.pop() else "negative"
