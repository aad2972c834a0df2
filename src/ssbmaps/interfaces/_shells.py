"""All shells around one core, measured one by one, with every fault reported at once, on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.interfaces._interphase_check import expect_contrast, indices_of
from ssbmaps.interfaces._shapes import CORE, SHELL
from ssbmaps.interfaces._shell import NoCore, ions_apart, measure_shell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._across import Across
    from ssbmaps.interfaces._shell import Measured


@dataclass(frozen=True)
class Shell:
    """One measured shell: its name, fits and pixels, the disagreement of single ions, and the declared level of its material."""

    name: str
    measured: Measured
    field: Across
    consistency: dict[str, tuple[float, float]]
    level: float | None


def measure_shells(
    maps: xr.DataArray,
    core: str | Sequence[str],
    shells: Mapping[str, list[str]],
    field: Callable[[list[list[int]], NDArray[np.int64]], Across],
    farthest: tuple[float, float],
    levels: Mapping[str, float | None],
    owner: Callable[[Across], NDArray[np.int64]] | None,
    *,
    subject: str,
) -> list[Shell]:
    """Each shell's fit; `field` gives the pixels of sums over groups of the maps' channels, for kinds CORE and SHELL.

    `owner` numbers the particle of each pixel, where there are particles.
    """
    results: list[Shell] = []
    with Faults(subject) as faults:
        for name, fragments in shells.items():
            try:
                inside, around = indices_of(maps, core, fragments)
                pooled = field([inside, around], np.array([CORE, SHELL]))
                measured = measure_shell(pooled, farthest, None if owner is None else owner(pooled))
                expect_contrast(measured)
                single = [[i] for i in (*inside, *around)]
                apart = field(single, np.array([CORE] * len(inside) + [SHELL] * len(around)))
                results.append(Shell(name, measured, pooled, ions_apart(apart, measured), levels.get(name)))
            except (NoCore, SsbmapsError) as reason:
                faults.expect(False, f"shell {name}: {reason}")
    return results
