"""Reads what the figures of series in time have in common: whether a result is the one that is meant, and its times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import SsbmapsError
from ssbmaps.figures._labels import unit_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

ENDS = ("", "_low", "_high")


def expect(result: xr.Dataset, needed: Sequence[str], subject: str, source: str) -> None:
    """Raise unless `result` has the variables that `interfaces.<source>` gives."""
    missing = [n for n in needed if n not in getattr(result, "data_vars", ())]
    if missing:
        raise SsbmapsError(f"{subject}: {', '.join(missing)} missing; expected what interfaces.{source} returns.")


def times_of(result: xr.Dataset) -> tuple[NDArray[np.float64], str]:
    """The times, and their unit as it is printed."""
    time = result["time"]
    return np.atleast_1d(np.asarray(time.values, np.float64)), unit_label(str(time.attrs.get("units", "1")))
