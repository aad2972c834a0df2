"""Mass axes: the sorted union of stored m/z, or explicit bins in Da or ppm; low edge included, high edge excluded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_BINS = 50_000_000  # 400 MB for one axis of float64
_WIDTH = re.compile(r"\s*([0-9.eE+-]+)\s*(Da|u|ppm|ps)\s*$")


@dataclass(frozen=True, slots=True)
class MassRequest:
    """What the caller asked of the mass axis: [low, high) in Da or None, bin width in `unit` or None."""

    range: tuple[float, float] | None = None
    width: float | None = None
    unit: str = "Da"

    def inside(self, mz: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which m/z lie in the range: low edge included, high edge excluded."""
        if self.range is None:
            return np.ones(mz.shape, bool)
        return np.asarray((mz >= self.range[0]) & (mz < self.range[1]))


@dataclass(frozen=True, slots=True)
class MassAxis:
    """Channels in ascending m/z (Da); `edges` (K + 1) if they are bins, else the values themselves are the channels."""

    values: NDArray[np.float64]
    edges: NDArray[np.float64] | None = None

    def codes(self, mz: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Channel number of each m/z, and whether it has one. Unbinned, m/z inside the axis must be one of its values."""
        if self.edges is None:
            codes = np.searchsorted(self.values, mz)
            inside = codes < len(self.values)
            inside[inside] = self.values[codes[inside]] == mz[inside]
        else:
            codes = np.searchsorted(self.edges, mz, side="right") - 1
            inside = (codes >= 0) & (codes < len(self.values))
        return codes.astype(np.int64, copy=False), inside


def mass_request(mz_range: Any, mz_bin: Any, *, subject: str, units: tuple[str, ...] = ("Da", "ppm")) -> MassRequest:
    """Check `mz_range=` and `mz_bin=`; a bare number is a width in Da."""
    limits = None
    if mz_range is not None:
        pair = np.asarray(mz_range)
        if pair.shape != (2,) or pair.dtype.kind not in "iuf" or not (np.isfinite(pair).all() and 0 <= pair[0] < pair[1]):
            raise SsbmapsError(f"{subject}: mz_range is {mz_range!r}; expected (low, high) in Da with 0 <= low < high.")
        limits = (float(pair[0]), float(pair[1]))
    if mz_bin is None:
        return MassRequest(limits)
    width, unit = _parse_width(mz_bin)
    if not (np.isfinite(width) and width > 0) or unit not in units:
        examples = ", ".join(repr(e) for u, e in (("Da", 0.01), ("ppm", "50 ppm"), ("ps", "128 ps")) if u in units)
        raise SsbmapsError(f"{subject}: mz_bin is {mz_bin!r}; expected a bin width above 0, e.g. {examples}.")
    if unit == "ppm" and limits is not None and limits[0] == 0:
        raise SsbmapsError(f"{subject}: bins in ppm cannot start at m/z 0; give mz_range a low edge above 0.")
    return MassRequest(limits, width, unit)


def _parse_width(mz_bin: Any) -> tuple[float, str]:
    if isinstance(mz_bin, str) and (match := _WIDTH.match(mz_bin)):
        try:
            return float(match[1]), "Da" if match[2] == "u" else match[2]
        except ValueError:
            return float("nan"), "Da"
    if isinstance(mz_bin, (int, float, np.integer, np.floating)) and not isinstance(mz_bin, bool):
        return float(mz_bin), "Da"
    return float("nan"), "Da"


def binned_axis(request: MassRequest, lowest: float, highest: float, *, subject: str) -> MassAxis:
    """Bins over the asked range, or over whole multiples of the width that hold `lowest` to `highest`.

    Without a range, edges lie at k × width (Da) or (1 + ppm·10⁻⁶)^k Da, whatever the file holds, so that two files meet on
    the same edges. With a range the first edge is its low end, and the last bin is cut at its high end.
    """
    assert request.width is not None
    ratio = request.unit == "ppm"
    step = float(np.log1p(request.width * 1e-6)) if ratio else request.width
    limits = np.array(request.range if request.range is not None else (lowest, highest), np.float64)
    low, high = (float(v) for v in (np.log(limits) if ratio else limits))
    if request.range is not None:
        count = max(_bin_count((high - low) / step - 1e-9, subject), 1)
        edges = _edges(low + step * np.arange(count + 1), ratio=ratio)
        edges[0], edges[-1] = request.range
    else:
        count = _bin_count((high - low) / step + 4, subject)
        edges = _edges(step * (np.floor(low / step) - 1 + np.arange(count)), ratio=ratio)
        edges = edges[np.searchsorted(edges, lowest, "right") - 1 : np.searchsorted(edges, highest, "right") + 1]
    return MassAxis((edges[:-1] + edges[1:]) / 2, edges)


def _edges(places: Any, *, ratio: bool) -> NDArray[np.float64]:
    return np.asarray(np.exp(places) if ratio else places, np.float64)


def _bin_count(count: float, subject: str) -> int:
    """`count` rounded up, or a letter if there would be too many bins."""
    if not count <= _MAX_BINS:
        raise SsbmapsError(
            f"{subject}: mz_bin gives {count:.3g} bins; take wider bins or a narrower mz_range (limit {_MAX_BINS})."
        )
    return int(np.ceil(count))
