"""Maps as a section's scans: their drift, the whole-pixel frame they share, and their sums there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import SERIES_DIMS, canonical, channel_dim, measured_mask
from ssbmaps._errors import SsbmapsError
from ssbmaps.interfaces._across import FOLDS
from ssbmaps.interfaces._views import totals

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SCAN_DIMS = ("scan", "z")


@dataclass(frozen=True)
class Scans:
    """Sums (C, y, x) of `n` scans in the common frame, their variance, and the pixels that all of them cover and measured.

    `counts` (scan, C, y, x) and `shifts` (scan, 2) in um where there are enough scans to be told apart, else None; `whole` says
    that values are whole counts.
    """

    total: NDArray[Any]
    variance: Floats | None
    covered: Bools
    n: int
    whole: bool
    counts: NDArray[Any] | None
    shifts: Floats

    def frame_maps(self, maps: xr.DataArray) -> xr.DataArray:
        """The sums as maps with the names of `maps`, pixels outside the frame unmeasured."""
        import xarray as xr

        dim = channel_dim(maps, subject="maps") or "fragment"
        coords = {str(k): v for k, v in maps.coords.items() if set(v.dims) <= {dim, "y", "x"} and k != "measured" and v.ndim}
        coords["measured"] = xr.DataArray(self.covered, dims=("y", "x"))
        return xr.DataArray(self.total, coords, (dim, "y", "x"), attrs=dict(maps.attrs))


def scans_of(
    maps: xr.DataArray,
    shifts: xr.Dataset | str,
    variance: xr.DataArray | None,
    pixel: tuple[float, float],
    likelihood: str,
    bright: Sequence[int],
    *,
    subject: str,
) -> Scans:
    """Scans of canonical maps; drift from `shifts`, or from the `bright` channels. Those of unknown shift are left out."""
    series = [str(d) for d in maps.dims if d in SERIES_DIMS]
    if len(series) > 1 or (series and series[0] not in SCAN_DIMS):
        raise SsbmapsError(
            f"{subject}: maps with dims {tuple(maps.dims)}; expected (fragment, y, x) or (scan, fragment, y, x). Measure every "
            f"{series[0]} by itself: .isel({series[0]}=0)."
        )
    values = to_dense(maps.data)
    known = measured_mask(maps)
    measured = np.ones(values.shape[-2:], bool) if known is None else known
    spread = None if variance is None else np.asarray(to_dense(canonical(variance).data), np.float64)
    whole = likelihood == "poisson"
    if not series:
        return Scans(values, spread, measured, 1, whole, None, np.zeros((0, 2)))
    if not whole or len(values) < 2 or (isinstance(shifts, str) and shifts == "none"):
        moves = np.zeros((len(values), 2))
    else:
        moves = _moves(maps, shifts, series[0], bright, subject=subject)
    kept = np.isfinite(moves).all(axis=1)
    if not kept.any():
        raise SsbmapsError(f"{subject}: no scan has a known shift. Pass shifts='none' to take the scans as they lie.")
    values = values if kept.all() else values[kept]
    moves = moves[kept]
    if not whole:
        total = values.sum(axis=0, dtype=np.float64)
        return Scans(total, None if spread is None else spread.sum(axis=0), measured, len(values), False, None, moves)
    total, covered = totals(values, moves, pixel)
    if not (covered & measured).any():
        raise SsbmapsError(f"{subject}: the scans have drifted so far that no pixel lies in all of them.")
    counts = values if len(values) >= FOLDS else None
    return Scans(total, None, covered & measured, len(values), True, counts, moves)


def _moves(maps: xr.DataArray, shifts: xr.Dataset | str, dim: str, bright: Sequence[int], *, subject: str) -> Floats:
    """Shift (scan, 2) in um of every scan, about a mean of zero; an axis along which none is known has none."""
    from ssbmaps.maps._drift import align_scans

    channel = channel_dim(maps, subject=subject) or "fragment"
    found = align_scans(maps.isel({channel: list(bright)})) if isinstance(shifts, str) else shifts
    for name in ("shift_y", "shift_x"):
        if name not in found or found[name].dims != (dim,) or found.sizes[dim] != maps.sizes[dim]:
            raise SsbmapsError(
                f"{subject}: shifts hold no {name} for the {maps.sizes[dim]} scans; expected what align_scans returns for them."
            )
    moves = np.column_stack([found[n].values for n in ("shift_y", "shift_x")]).astype(np.float64)
    moves[:, ~np.isfinite(moves).any(axis=0)] = 0.0
    kept = np.isfinite(moves).all(axis=1)
    return np.asarray(moves - moves[kept].mean(axis=0) if kept.any() else moves)
