"""SIMS-H5, PHI's open ToF-SIMS archive (`tof-sims-sparse-hdf5`, version 0.1), read into one sparse cube."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError, SsbmapsError
from ssbmaps.io import _cube, _pixels
from ssbmaps.io import _simsh5_file as archive
from ssbmaps.io._mass_axis import MassAxis, MassRequest, binned_axis, mass_request

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "SIMS-H5"
EXTENSIONS = (".h5", ".hdf5")
TECHNIQUE = "tof-sims"
_POLARITY = {"+": "positive", "-": "negative"}


def sniff(path: Path) -> bool:
    """Whether the file is HDF5 whose root says it is SIMS-H5."""
    if not archive.is_hdf5(path):
        return False
    try:
        with archive.opened(path) as file:
            return archive.text(file.attrs.get("format", "")) == archive.FORMAT
    except FormatError:
        return False


def info(path: Path) -> dict[str, Any]:
    """Geometry, calibration and the list of occupied bins; no entry of the table is read."""
    with archive.opened(path) as file:
        where, known, coefficients = archive.geometry(path, file), archive.table(path, file), archive.calibration(path, file)
        size, why = _pixels.file_size(said := _stated(path, file, where), where.raster)
        mz = _bin_mz(known, coefficients)
        datasets = tuple(name for name in ("mass_csr", "ms2_csr") if f"data/{name}" in file)
        unread = "data/ms2_csr (MS2) is there, but is not read: its calibration is not published as a formula."
        notes = [unread] if len(datasets) > 1 else []
        notes += [said.hint] if said.hint and size is None else []
        usable = mz[np.isfinite(mz)]
        leading = (where.scans,) if where.scans > 1 else ()
        return {
            "technique": TECHNIQUE,
            "polarity": _polarity(file),
            "mode": where.mode,
            "dims": (*(("scan",) if leading else ()), "y", "x", "mz"),
            "shape": (*leading, *where.shape, len(usable)),
            "pixel_size": size,
            "pixel_size_note": why,
            "channels": len(usable),
            "channels_note": f"occupied time bins of {known.width_ps} ps; mz_bin= makes wider ones",
            "mz_range": (float(usable[0]), float(usable[-1])) if len(usable) else None,
            "tilt": said.tilt,
            "datasets": datasets,
            "warnings": tuple(notes),
        }


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  the table has no spectra that could be bad one by one
    mz_range: Any = None,
    mz_bin: Any = None,
) -> xr.DataArray:
    """Read `/data/mass_csr`; by default every occupied time bin is one channel."""
    if dataset not in (None, "mass_csr"):
        raise SsbmapsError(
            f"{path.name}: dataset is {dataset!r}; expected 'mass_csr' (MS2 tables have no published m/z formula)."
        )
    request = mass_request(mz_range, mz_bin, subject=path.name, units=("Da", "ppm", "ps"))
    with archive.opened(path) as file:
        where, known, coefficients = archive.geometry(path, file), archive.table(path, file), archive.calibration(path, file)
        pixel = _pixels.resolve(path.name, _stated(path, file, where), where.raster, pixel_size=pixel_size, tilt=tilt)
        rows = where.leading * where.frames * where.raster[0] * where.raster[1]
        total = archive.check_entries(path, file, known, rows)
        polarity = _polarity(file)
        told = {archive.text(k): archive.text(v) for k, v in file.attrs.items() if k != "created"}
        metadata = {"format": archive.FORMAT, **told}
    axis, codes = _axis(path, known, coefficients, request)
    block = _Block(path, known, where, codes, len(axis.values), _cube.count_dtype(total))
    leading = (where.scans,) if where.scans > 1 else ()
    lazy = _cube.LazyCube((*leading, *where.shape, len(axis.values)), block.dtype, block.load)
    found = _cube.Found(
        path=path,
        data=lazy.container(chunks, (*(("scan",) if leading else ()), "y", "x", "mz"), subject=path.name),
        axis=axis,
        pixel=pixel,
        units="counts",
        technique=TECHNIQUE,
        polarity=polarity,
        metadata=metadata
        | {
            "row_shape": [where.leading, where.frames, *where.raster],
            "frames_summed": where.frames_summed,
            "mass_bin_width_ps": known.width_ps,
            "calibration": list(coefficients),
        },
        leading={"scan": np.arange(where.scans)} if leading else {},
        measured=where.measured(),
    )
    arguments = {"reader": "simsh5", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "mz_range": mz_range}
    return _cube.cube(found, arguments=arguments | {"mz_bin": mz_bin}, extra_coords=_scan_coords(where))


def _polarity(file: Any) -> str | None:
    return _POLARITY.get(archive.text(file.attrs.get("polarity", "")))


def _stated(path: Path, file: Any, where: archive.Geometry) -> _pixels.Stated:
    found = archive.stated(file, where)
    preparation = archive.text(file.attrs["preparation"]) if "preparation" in file.attrs else ""
    tilt = _pixels.parse_tilt(float(file.attrs["tilt"]), subject=path.name) if "tilt" in file.attrs else None
    return _pixels.Stated(found.pixel, found.extent, tilt, preparation, found.hint)


def _bin_mz(
    known: archive.Table, coefficients: tuple[float, float], bins: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """m/z (Da) of time bins, at bin × width as the specification has it; NaN before the calibration's zero of mass."""
    bins = known.mass_bin if bins is None else bins
    root = bins.astype(np.float64) * known.width_ps * 1e-6 * coefficients[0] + coefficients[1]
    return np.where(root > 0, root**2, np.nan)


def _axis(
    path: Path, known: archive.Table, coefficients: tuple[float, float], request: MassRequest
) -> tuple[MassAxis, NDArray[np.int64]]:
    """The mass axis and the channel of every occupied time bin, −1 where it has none."""
    mz = _bin_mz(known, coefficients)
    early = int(known.indptr[np.count_nonzero(np.isnan(mz))])
    if early:
        warnings.warn(
            f"{path.name}: {early} of {int(known.indptr[-1])} entries arrive before the time that the mass calibration gives to "
            "m/z 0; they have no m/z and are left out.",
            DataQualityWarning,
            stacklevel=4,
        )
    inside = np.isfinite(mz) & request.inside(mz)
    if not inside.any() and (request.range is None or request.width is None or request.unit == "ps"):
        raise SsbmapsError(f"{path.name}: no occupied time bin lies in mz_range {request.range}; the file spans {_span(mz)}.")
    codes = np.full(len(mz), -1, np.int64)
    if request.width is None:
        codes[inside] = np.arange(np.count_nonzero(inside))
        return MassAxis(mz[inside]), codes
    if request.unit == "ps":
        return _time_bins(path, known, coefficients, request.width, inside)
    low, high = (float(mz[inside][0]), float(mz[inside][-1])) if inside.any() else (1.0, 1.0)
    axis = binned_axis(request, low, high, subject=path.name)
    found, has_one = axis.codes(mz[inside])
    codes[inside] = np.where(has_one, found, -1)
    return axis, codes


def _span(mz: NDArray[np.float64]) -> str:
    usable = mz[np.isfinite(mz)]
    return f"m/z {usable[0]:.4f} to {usable[-1]:.4f}" if len(usable) else "no m/z"


def _time_bins(
    path: Path, known: archive.Table, coefficients: tuple[float, float], width: float, inside: NDArray[np.bool_]
) -> tuple[MassAxis, NDArray[np.int64]]:
    """Wider time bins, whole multiples of the file's: m/z at their early edge, occupied ones only."""
    if not (width / known.width_ps).is_integer():
        raise SsbmapsError(f"{path.name}: mz_bin is {width:g} ps; expected a whole multiple of the file's {known.width_ps} ps.")
    step = int(width) // known.width_ps
    wide, place = np.unique(known.mass_bin[inside] // step, return_inverse=True)
    mz = _bin_mz(known, coefficients, wide * step)
    if np.isnan(mz[0]):
        raise SsbmapsError(f"{path.name}: a bin of {width:g} ps begins before m/z 0; take narrower bins or an mz_range.")
    codes = np.full(len(inside), -1, np.int64)
    codes[inside] = place
    return MassAxis(mz), codes


def _scan_coords(where: archive.Geometry) -> dict[str, Any]:
    """Cycle and frame of every scan, and the sputter time where the file has it."""
    if where.scans < 2:
        return {}
    cycle, frame = np.divmod(np.arange(where.scans), where.frames)
    coords: dict[str, Any] = {"frame": ("scan", frame, {"long_name": "frame within the cycle"})}
    if where.mode == "depth_profile":
        coords["cycle"] = ("scan", cycle, {"long_name": "sputter cycle"})
    if where.sputter_time is not None:
        coords["sputter_time"] = ("scan", where.sputter_time[cycle], {"units": "s", "long_name": "cumulative sputter time"})
    return coords


@dataclass(frozen=True, slots=True)
class _Block:
    """Reads a window of the cube; picklable, opens the file anew each time."""

    path: Path
    known: archive.Table
    where: archive.Geometry
    codes: NDArray[np.int64]
    channels: int
    dtype: np.dtype[Any]

    def load(self, window: tuple[slice, ...]) -> Any:
        """The block [scan,] y, x as `sparse.COO`: the table is passed through once, in slabs."""
        from scipy.sparse import coo_array, csr_array

        extent = tuple(max(cut.stop - cut.start, 0) for cut in window)
        pixels = int(np.prod(extent, dtype=np.int64))
        parts = [np.empty((3, 0), np.int64)]
        with archive.opened(self.path) as file:
            group = file["data/mass_csr"]
            for start, stop in self._slabs():
                pixel_id = group["pixel_id"][start:stop]
                counts = self.known.counts(group["count"][start:stop], start)
                parts.append(self._select(pixel_id, counts, start, window, extent))
        pixel, code, counts = np.concatenate(parts, axis=1)
        matrix = csr_array(coo_array((counts, (pixel, code)), shape=(pixels, self.channels)))
        return _cube.block_coo(matrix, (*extent, self.channels), self.dtype)

    def _slabs(self) -> list[tuple[int, int]]:
        """Entry ranges between the first and the last bin that has a channel."""
        used = np.flatnonzero(self.codes >= 0)
        if len(used) == 0:
            return []
        first, last = int(self.known.indptr[used[0]]), int(self.known.indptr[used[-1] + 1])
        return [(start, min(start + archive.SLAB, last)) for start in range(first, last, archive.SLAB)]

    def _select(
        self, pixel_id: NDArray[Any], counts: NDArray[np.int64], start: int, window: tuple[slice, ...], extent: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """(3, n): pixel within the block, channel, count of the entries that lie in the window."""
        entries = np.arange(start, start + len(pixel_id))
        code = self.codes[np.searchsorted(self.known.indptr, entries, side="right") - 1]
        axes = self.where.decode(pixel_id)[-len(window) :]
        mine = code >= 0
        for places, cut in zip(axes, window, strict=True):
            mine &= (places >= cut.start) & (places < cut.stop)
        local = tuple(p[mine] - cut.start for p, cut in zip(axes, window, strict=True))
        if not mine.any():
            return np.empty((3, 0), np.int64)
        return np.stack([np.ravel_multi_index(local, extent), code[mine], counts[mine]])
