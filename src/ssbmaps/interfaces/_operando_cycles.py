"""The ends of half-cycles in a series: which times were measured discharged and charged, and the cycles they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

DISCHARGED, CHARGED = "discharged", "charged"


@dataclass(frozen=True)
class Ends:
    """Times measured at each end (lists of indices), whether each is charged, and cycles as (before, charged, after) ends."""

    times: list[Ints]
    charged: list[bool]
    cycles: list[tuple[int, int, int]]

    @property
    def rest(self) -> list[int]:
        """The discharged ends."""
        return [i for i, c in enumerate(self.charged) if not c]

    def mean(self, values: Floats, variance: Floats) -> tuple[Floats, Floats]:
        """Mean of (time) values at each end, and its variance."""
        mean = np.array([values[i].mean() for i in self.times])
        return mean, np.array([variance[i].sum() / len(i) ** 2 for i in self.times])


def ends_of(series: Any, times: Floats, state: Any, boundaries: Any, *, subject: str) -> Ends:
    """Ends from the state at every time, or from the times at which half-cycles begin and end, discharged first."""
    if (state is None) == (boundaries is None):
        raise SsbmapsError(
            f"{subject}: expected one of state= (time), words such as {DISCHARGED!r} and {CHARGED!r}, and boundaries=, the times "
            f"at which half-cycles begin and end; got {'neither' if state is None else 'both'}."
        )
    words = _words(series, state, len(times), subject) if boundaries is None else _from_times(times, boundaries, subject)
    groups: list[tuple[str, list[int]]] = []
    for i, word in enumerate(words):
        if groups and groups[-1][0] == word:
            groups[-1][1].append(i)
        else:
            groups.append((word, [i]))
    kept = [(w, np.array(i, np.int64)) for w, i in groups if w in (DISCHARGED, CHARGED)]
    if not any(w == DISCHARGED for w, _ in kept):
        raise SsbmapsError(f"{subject}: no time is {DISCHARGED!r}; the states are {', '.join(sorted(set(words)))}.")
    charged = [w == CHARGED for w, _ in kept]
    cycles = [(i, i + 1, i + 2) for i in range(len(kept) - 2) if charged[i : i + 3] == [False, True, False]]
    return Ends([i for _, i in kept], charged, cycles)


def _words(series: xr.DataArray | xr.Dataset, state: Any, n: int, subject: str) -> list[str]:
    if isinstance(state, str):
        if state not in series.coords:
            known = ", ".join(map(str, series.coords))
            raise SsbmapsError(f"{subject}: state={state!r} is not among the coordinates of the series, {known}.")
        state = series.coords[state]
    if hasattr(state, "dims") and state.dims != ("time",):
        raise SsbmapsError(f"{subject}: state has dims {tuple(state.dims)}; expected (time).")
    words = [str(v) for v in np.asarray(state).ravel()]
    if len(words) != n:
        raise SsbmapsError(f"{subject}: state has {len(words)} values for {n} times.")
    return words


def _from_times(times: Floats, boundaries: Sequence[float], subject: str) -> list[str]:
    """Words at every time; a boundary belongs to the nearest time, within half the usual step."""
    raw = np.asarray(to_dense(boundaries.data) if hasattr(boundaries, "data") else boundaries)
    if raw.dtype.kind not in "iuf":
        raise SsbmapsError(f"{subject}: boundaries={boundaries!r:.60}; expected two or more ascending times.")
    given = raw.astype(np.float64).ravel()
    reach = float(np.median(np.diff(times))) / 2 if len(times) > 1 else 0.0
    words = [""] * len(times)
    with Faults(subject) as faults:
        faults.expect(given.size >= 2 and bool((np.diff(given) > 0).all()), "boundaries; expected two or more ascending times.")
        for k, t in enumerate(given):
            nearest = int(np.abs(times - t).argmin())
            missed = f"no map within {reach:g} of the boundary at {t:g}; the nearest is at {times[nearest]:g}."
            if faults.expect(bool(abs(times[nearest] - t) <= reach), missed):
                taken = f"the boundary at {t:g} has no time of its own; measure both ends of every half-cycle."
                faults.expect(words[nearest] == "", taken)
                words[nearest] = CHARGED if k % 2 else DISCHARGED
    return words
