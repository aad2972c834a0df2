"""Reads a label map: its integers, its names, what was measured, its pixel size; all checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, check_array, measured_mask, pixel_size
from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Flags:
    """Labels (y, x) as integers, the name and value of each flag, the measured pixels, the pixel size (y, x) in um."""

    values: NDArray[np.int64]
    names: list[str]
    flags: list[int]
    measured: NDArray[np.bool_]
    pixel: tuple[float, float]

    def mask(self, name: str, *, subject: str) -> NDArray[np.bool_]:
        """Measured pixels labelled `name`."""
        if name not in self.names:
            raise SsbmapsError(f"{subject}: phase {name!r} is not in the labels, which hold {', '.join(self.names)}.")
        return np.asarray(self.measured & (self.values == self.flags[self.names.index(name)]))


def read_flags(labels: xr.DataArray, *, subject: str) -> Flags:
    """Labels (y, x) with CF flags, checked."""
    check_array(labels, subject=subject, dims=("y", "x"))
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise SsbmapsError(f"{subject}: expected integer labels (y, x), got {labels.dtype} with dims {tuple(labels.dims)}.")
    names = str(labels.attrs.get("flag_meanings", "")).split()
    flags = [int(v) for v in np.atleast_1d(labels.attrs.get("flag_values", ()))]
    if not names or len(names) != len(flags):
        raise SsbmapsError(
            f"{subject}: the labels need attributes flag_values and flag_meanings of equal length, got {len(flags)} and "
            f"{len(names)}. ssbmaps.maps.label_phases sets them."
        )
    values = to_dense(canonical(labels).data).astype(np.int64)
    known = measured_mask(labels)
    measured = np.ones(values.shape, bool) if known is None else known
    stray = sorted(set(np.unique(values[measured]).tolist()) - set(flags))
    if stray or not measured.any():
        found = f"labels {', '.join(map(str, stray[:5]))} have no name in flag_meanings" if stray else "no pixel was measured"
        raise SsbmapsError(f"{subject}: {found}; expected labels out of {', '.join(map(str, flags))}.")
    return Flags(values, names, flags, measured, pixel_size(labels, subject=subject))
