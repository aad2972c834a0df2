"""What the figures of a measured interphase read: one shell, its pieces of outline, its particles, and the map beneath."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import sum_dtype, to_dense
from ssbmaps._conventions import SERIES_DIMS, canonical, channel_dim, check_array, fragment_index
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.figures._labels import channel_title, ion_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Line = NDArray[np.float64]  # vertices (n, 2) as (x, y), um

MEASURED = ("thickness", "thickness_low", "thickness_high", "upper_limit", "resolved", "above_noise", "statement")
OUTLINE = (
    *("vertex_y", "vertex_x", "vertex_segment", "segment_length", "segment_particle"),
    *("segment_thickness", "segment_thickness_sd"),
)
FUNCTIONS = ("ssbmaps.interfaces.measure_interphase ", "ssbmaps.interfaces.fit_interphase ")
TECHNIQUES = {
    "tof-sims": "ToF-SIMS",
    "nanosims": "NanoSIMS",
    "sam": "scanning Auger",
    "raman": "Raman",
    "sem": "SEM",
    "eds": "EDS",
}


@dataclass(frozen=True, slots=True)
class Outline:
    """Pieces of the core's outline, one line each, with apparent thickness and standard error (um, NaN where not measured)."""

    lines: tuple[Line, ...]
    length: Floats
    thickness: Floats
    error: Floats

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which pieces hold a thickness with its error."""
        return np.asarray(np.isfinite(self.thickness) & np.isfinite(self.error))

    @property
    def share(self) -> float:
        """Measured share of the outline's length."""
        return float(self.length[self.measured].sum() / self.length.sum())

    @property
    def scatter(self) -> float:
        """Root-mean-square deviation of the pieces from their weighted mean, in standard errors; NaN for fewer than two."""
        known = self.measured & (self.error > 0)
        if known.sum() < 2:
            return float("nan")
        values, weight = self.thickness[known], self.error[known] ** -2
        squares = weight * (values - np.average(values, weights=weight)) ** 2
        return float(np.sqrt(squares.sum() / (len(values) - 1)))


def one_shell(result: Any, shell: str | None, *, needed: Sequence[str], source: str, subject: str) -> xr.Dataset:
    """The result of one shell, checked to hold `needed`."""
    missing = [n for n in needed if n not in getattr(result, "variables", ())]
    if missing:
        raise SsbmapsError(f"{subject}: {', '.join(missing)} missing; expected what {source} returns.")
    names = [str(v) for v in np.atleast_1d(result["shell"].values)]
    if shell is None and len(names) > 1:
        raise SsbmapsError(f"{subject}: there are {len(names)} shells; name one of {', '.join(names)} with shell=.")
    if shell is not None and shell not in names:
        raise SsbmapsError(f"{subject}: shell {shell!r} is not in the result, which holds {', '.join(names)}.")
    one: xr.Dataset = result.sel(shell=shell or names[0]) if "shell" in result.dims else result
    return one


def read_outline(one: xr.Dataset, *, subject: str) -> Outline:
    """The outline of one shell's result; a shell that is not resolved has no thickness anywhere."""
    y, x, length, thickness, error = (
        np.asarray(one[n].values, np.float64)
        for n in ("vertex_y", "vertex_x", "segment_length", "segment_thickness", "segment_thickness_sd")
    )
    number, particle = (np.asarray(one[n].values, np.int64) for n in ("vertex_segment", "segment_particle"))
    with Faults(subject) as faults:
        faults.expect(len(length) > 0 and len(y) > 1, "the result holds no outline of the core.")
        good = number.size == 0 or (number.min() >= 0 and number.max() < len(length))
        faults.expect(bool(good), f"vertex_segment runs to {number.max(initial=0)}, but there are {len(length)} segments.")
        faults.expect(bool(np.isfinite([y, x]).all()), "vertex_y or vertex_x hold NaN; expected the outline in um.")
    pieces = [np.column_stack([x, y])[number == i] for i in range(len(length))]
    if not int(one["resolved"]):
        thickness, error = np.full((2, len(length)), np.nan)
    return Outline(tuple(_joined(pieces, particle)), length, thickness, error)


def _joined(pieces: list[Line], particle: NDArray[np.int64]) -> list[Line]:
    """Each piece drawn on to the start of the next one on the same particle, where that is no farther than two vertices are."""
    steps = [np.hypot(*np.diff(p, axis=0).T) for p in pieces if len(p) > 1]
    reach = max((float(s.max()) for s in steps), default=0.0)
    starts = np.array([p[0] if len(p) else (np.inf, np.inf) for p in pieces])
    joined = []
    for piece, owner in zip(pieces, particle, strict=True):
        if len(piece):
            away = np.where(particle == owner, np.hypot(*(starts - piece[-1]).T), np.inf)
            nearest = int(np.argmin(away))
            if 0 < away[nearest] <= reach * (1 + 1e-9):
                piece = np.vstack([piece, starts[nearest]])
        joined.append(piece)
    return joined


def fragments_of(result: xr.Dataset) -> tuple[list[str], list[str]]:
    """Fragments of core and shell, as the history of one shell's result tells; empty lists if it does not."""
    for line in reversed(str(result.attrs.get("history", "")).splitlines()):
        if line.startswith(FUNCTIONS):
            arguments = json.loads(line.split(" ", 2)[2])
            core, shells = arguments["core"], arguments["shell"]
            own = shells[str(result["shell"].values)] if isinstance(shells, dict) else shells
            return _listed(core), _listed(own)
    return [], []


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else [str(n) for n in names]


def summed_map(maps: xr.DataArray, fragments: Sequence[str], *, subject: str) -> tuple[xr.DataArray, str]:
    """One map (y, x), the sum of `fragments` and over scans, times or depths, and its name; NaN where one of them is."""
    check_array(maps, subject=subject, dims=("y", "x"))
    channel = channel_dim(maps, subject=subject)
    strange = [str(d) for d in maps.dims if d not in (*SERIES_DIMS, channel, "y", "x")]
    if strange:
        raise SsbmapsError(f"{subject}: dims {tuple(maps.dims)}; expected (…, fragment, y, x). Pick one with .isel().")
    if channel is not None and not fragments:
        present = ", ".join(str(v) for v in maps[channel].values)
        raise SsbmapsError(
            f"{subject}: the history of the result does not tell its fragments; name those to draw with fragments=[…], out of "
            f"{present}, or give one map (y, x)."
        )
    name = channel_title(maps)
    if channel is not None:
        maps = maps.isel({channel: fragment_index(maps, fragments, subject=subject)})
        name = sum_label(fragments)
    ordered = canonical(maps)
    values = to_dense(ordered.data)
    rest = tuple(range(values.ndim - 2))
    first = ordered.isel(dict.fromkeys(ordered.dims[:-2], 0), drop=True)
    return first.copy(data=values.sum(axis=rest, dtype=sum_dtype(values.dtype)) if rest else values), name


def sum_label(names: Sequence[str]) -> str:
    """Fragments that are summed, or the name of a shell made of them, as printed."""
    return " + ".join(ion_label(part) for name in names for part in name.split(" + "))


def technique_of(*objects: Any) -> str:
    """The technique of the first object that states one, as it is printed; else nothing."""
    stated = [str(o.attrs["technique"]) for o in objects if o.attrs.get("technique")]
    return TECHNIQUES.get(stated[0], stated[0]) if stated else ""


def unresolved_words(one: xr.Dataset) -> str:
    """What may be said of the thickness where it is not resolved."""
    if not int(one["above_noise"]):
        return "not distinguishable from the reference contact"
    limit = float(one["upper_limit"])
    return f"thickness < {1e3 * limit:.0f} nm (95 %)" if np.isfinite(limit) else "thickness not bounded"


def thickness_title(one: xr.Dataset, *sources: Any) -> str:
    """What the colours along the outline are; `sources` may state the technique."""
    technique = technique_of(*sources)
    return f"apparent thickness of {sum_label([str(one['shell'].values)])} (nm)" + (f", {technique}" if technique else "")


def limit_words(one: xr.Dataset) -> tuple[str, ...]:
    """That the thickness is not resolved, and its limit; nothing where it is resolved."""
    return () if int(one["resolved"]) else (f"not resolved: {unresolved_words(one)}",)
