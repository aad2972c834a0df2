"""What measure_interphase asks of its input, and which channels tell core, surroundings, other materials and drift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import channel_dim, fragment_index
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.interfaces._interphase_check import check_counts, check_grids, indices_of, positive
from ssbmaps.interfaces._surroundings import OTHERS, SURROUNDINGS, default_channels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr


def named_of(maps: xr.DataArray, core: Any, shells: Mapping[str, list[str]], *, subject: str) -> tuple[list[int], list[int]]:
    """Positions of the core's channels, and of all that core and shells name."""
    named: set[int] = set()
    with Faults(subject) as faults:
        for name, fragments in shells.items():
            try:
                inside, around = indices_of(maps, core, fragments)
                named |= {*inside, *around}
            except SsbmapsError as reason:
                faults.expect(False, f"shell {name}: {reason}")
    return inside, sorted(named)


def channels_of(
    maps: xr.DataArray, core: Any, shells: Mapping[str, list[str]], surroundings: Any, others: Any, *, subject: str
) -> dict[str, list[str]]:
    """Fragments of the surroundings and of other materials: those given, else those that their formulas tell."""
    dim = channel_dim(maps, subject=subject) or "fragment"
    used = {core} if isinstance(core, str) else set(core)
    used |= {f for fragments in shells.values() for f in fragments}
    found = default_channels([str(n) for n in maps.coords[dim].values], used)
    for name, given in ((SURROUNDINGS, surroundings), (OTHERS, others)):
        if given is not None:
            found[name] = [given] if isinstance(given, str) else list(given)
            if found[name]:
                fragment_index(maps, found[name], subject=f"{subject}: {name}")
    return found


def bright_of(maps: xr.DataArray, core: list[int], around: Mapping[str, list[str]], *, subject: str) -> list[int]:
    """Channels that tell the drift: core, surroundings and others; all of them where only the core is known."""
    known = [f for fragments in around.values() for f in fragments]
    if not known:
        return list(range(maps.sizes[channel_dim(maps, subject=subject) or "fragment"]))
    return sorted({*core, *fragment_index(maps, known, subject=subject)})


def check(
    maps: xr.DataArray,
    labels: xr.DataArray | None,
    phase: str | None,
    where: xr.DataArray | None,
    variance: xr.DataArray | None,
    likelihood: object,
    shots: object,
    *,
    subject: str,
) -> None:
    """Raise unless maps and their companions fit each other and the likelihood."""
    check_grids(maps, {"labels": labels, "where": where, "variance": variance}, likelihood, subject=subject)
    with Faults(subject) as faults:
        check_counts(maps, where, variance, likelihood, shots, faults=faults)
        both = (labels is None) == (phase is None)
        faults.expect(both, "labels and phase belong together: labels (y, x) and the name of the core in them.")


def check_own(shifts: Any, smoothing: object, systematic: Any, faults: Faults) -> None:
    """Add what is wrong with the options of a found geometry."""
    known = isinstance(shifts, str) and shifts in ("align", "none")
    faults.expect(
        known or hasattr(shifts, "data_vars"), f"shifts={shifts!r}; expected 'align', 'none' or what align_scans returns."
    )
    faults.expect(smoothing is None or positive(smoothing), f"smoothing={smoothing!r}; expected a positive number in um.")
    pair = np.ndim(systematic) == 1 and len(systematic) == 2 and all(positive(v) or v == 0 for v in systematic)
    faults.expect(bool(pair), f"systematic={systematic!r}; expected a share and a length in um, both 0 or more.")
