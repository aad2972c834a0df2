"""imzML (continuous and processed): an .imzML header and its .ibd, read into one sparse cube."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, Faults, FormatError, SsbmapsError
from ssbmaps.io import _cube, _held, _pixels
from ssbmaps.io._imzml_binary import blocks, find_ibd, gather, identity, require_ibd
from ssbmaps.io._imzml_check import Scan, SpectrumFaults, check_structure, scan_values, shared
from ssbmaps.io._imzml_header import INTENSITY, MZ, array_columns, grid, metadata, read_header, travelling_terms
from ssbmaps.io._mass_axis import MassAxis, binned_axis, mass_request

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.io._imzml_header import ArrayColumns, Grid, Header
    from ssbmaps.io._mass_axis import MassRequest

NAME = "imzML"
EXTENSIONS = (".imzml",)
TECHNIQUE = "tof-sims"
WRITES = True


def sniff(path: Path) -> bool:
    """Whether the file starts as mzML that uses the imaging vocabulary, in whatever encoding."""
    head = _held.head(path, 8192).translate(None, b"\0")
    return b"mzML" in head and (b"IMS" in head or path.suffix.lower() in EXTENSIONS)


def info(path: Path) -> dict[str, Any]:
    """What the header says; the .ibd is looked for and its size compared, never read."""
    header = read_header(path)
    notes = list(header.notes)
    report: dict[str, Any] = {"technique": header.technique, "polarity": header.polarity, "mode": header.mode}
    report |= {"dims": ("y", "x", "mz"), "shape": (None, None, None)}
    shape: tuple[int, ...] = ()
    channels, channels_note = None, "every pixel its own m/z; their union is known after reading"
    try:
        places = grid(header)
        shape = places.shape
        planes = (len(places.planes),) if len(places.planes) > 1 else ()
        report |= {"dims": (*(("z",) if planes else ()), "y", "x", "mz"), "shape": (*planes, *shape, None)}
        mz, intensity = array_columns(header, MZ), array_columns(header, INTENSITY)
        faults = _structure(header, mz, intensity, find_ibd(path), "zero", notes)
        notes += faults.texts()
        common = shared(mz, faults.bad)
        if common is not None:
            channels, channels_note = int(mz.length[common]), "one m/z axis for all pixels"
            report["shape"] = (*planes, *shape, channels)
    except FormatError as error:
        notes.append(str(error).removeprefix(f"{header.name}: "))
    size, why = _pixels.file_size(header.stated, (shape[0], shape[1]) if shape else (1, 1))
    return report | {
        "pixel_size": size if shape else None,
        "pixel_size_note": why if shape else "not known, since the pixels of the spectra are not.",
        "channels": channels,
        "channels_note": channels_note,
        "spectra": header.size,
        "mz_range": header.raw.observed,
        "tilt": header.stated.tilt,
        "datasets": (),
        "warnings": tuple(notes),
    }


def _structure(
    header: Header, mz: ArrayColumns, intensity: ArrayColumns, ibd: Path | None, empty_spectra: str, notes: list[str]
) -> SpectrumFaults:
    faults = SpectrumFaults(header)
    if ibd is None:
        notes.append(f"the binary half {header.name.rpartition('.')[0]}.ibd is missing.")
    else:
        size = ibd.stat().st_size
        check_structure(mz, intensity, size=size, ibd=ibd.name, empty_spectra=empty_spectra, faults=faults)
    return faults


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,
    mz_range: Any = None,
    mz_bin: Any = None,
    empty_spectra: str = "error",
) -> xr.DataArray:
    """Read the pair. `empty_spectra`: "error", or "zero" if arrays of length 0 mean a pixel measured without counts."""
    with Faults(path.name) as wrong:
        wrong.expect(dataset is None, f"dataset is {dataset!r}; an imzML file holds one data set, leave it out.")
        wrong.expect(empty_spectra in ("error", "zero"), f"empty_spectra is {empty_spectra!r}; expected 'error' or 'zero'.")
    request = mass_request(mz_range, mz_bin, subject=path.name)
    ibd = require_ibd(path)
    header = read_header(path)
    places = grid(header)
    pixel = _pixels.resolve(path.name, header.stated, places.shape, pixel_size=pixel_size, tilt=tilt)
    notes, ibd_sha256 = identity(header, ibd)
    for note in (*header.notes, *notes):
        warnings.warn(f"{path.name}: {note}", DataQualityWarning, stacklevel=3)
    mz, intensity = array_columns(header, MZ), array_columns(header, INTENSITY)
    faults = _structure(header, mz, intensity, ibd, empty_spectra, [])
    scan = _scan(ibd, mz, intensity, request, faults)
    plan = _plan(path.name, ibd, mz, intensity, places, scan, request, faults, skip_bad=skip_bad)
    lazy = _cube.LazyCube((*plan.leading, *places.shape, len(plan.axis.values)), plan.dtype, plan.load)
    planes = {"z": places.planes} if plan.leading else {}
    found = _cube.Found(
        path=path,
        data=lazy.container(chunks, (*planes, "y", "x", "mz"), subject=path.name),
        axis=plan.axis,
        pixel=pixel,
        units="counts" if scan.whole else "arbitrary",
        technique=header.technique,
        polarity=header.polarity,
        metadata=metadata(header) | {"ibd": {"name": ibd.name, "sha256": ibd_sha256}},
        leading=planes,
        measured=plan.measured(),
        attrs=travelling_terms(header),
    )
    arguments = {"reader": "imzml", "pixel_size": pixel_size, "tilt": tilt, "skip_bad": skip_bad, "mz_range": mz_range}
    told = "zero" if empty_spectra == "zero" else None
    return _cube.cube(found, arguments=arguments | {"mz_bin": mz_bin, "empty_spectra": told})


def _scan(ibd: Path, mz: ArrayColumns, intensity: ArrayColumns, request: MassRequest, faults: SpectrumFaults) -> Scan:
    """Check all values; whole counts below zero make their spectra bad, and then the rest is looked at again."""
    if faults.bad.all():
        faults.settle(skip_bad=False)
    scan = scan_values(ibd, mz, intensity, request, faults, union=request.width is None)
    if scan.whole and scan.negative.any():
        faults.add(scan.negative, lambda _: "its intensity array holds counts below 0; counts cannot be negative.")
        if not faults.bad.all():
            scan = scan_values(ibd, mz, intensity, request, faults, union=request.width is None)
    elif scan.negative.any():
        warnings.warn(
            f"{faults.name}: {int(scan.negative.sum())} of {len(faults.bad)} spectra hold intensities below 0. They are kept, "
            "since the values are no whole counts; Poisson statistics do not apply to them.",
            DataQualityWarning,
            stacklevel=4,
        )
    return scan


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that a block of the cube needs, picklable: good spectra in pixel order and the axis."""

    ibd: Path
    mz: ArrayColumns
    intensity: ArrayColumns
    z: NDArray[np.int64]
    y: NDArray[np.int64]
    x: NDArray[np.int64]
    leading: tuple[int, ...]  # (number of planes,) or ()
    shape: tuple[int, int]
    axis: MassAxis
    dtype: np.dtype[Any]
    common: bool  # one m/z array for all

    def measured(self) -> NDArray[np.bool_]:
        """Pixels (y, x) that hold a good spectrum."""
        mask = np.zeros(self.shape, bool)
        mask[self.y, self.x] = True
        return mask

    def load(self, window: tuple[slice, ...]) -> Any:
        """The block [z,] y, x as `sparse.COO`."""
        from scipy.sparse import csr_array

        axes = (self.z, self.y, self.x)[-len(window) :]
        mine = np.ones(len(self.y), bool)
        for places, cut in zip(axes, window, strict=True):
            mine &= (places >= cut.start) & (places < cut.stop)
        rows = np.flatnonzero(mine)
        extent = tuple(max(cut.stop - cut.start, 0) for cut in window)
        shape = (*extent, len(self.axis.values))
        n_pixels = int(np.prod(extent, dtype=np.int64))
        local = tuple(p[rows] - cut.start for p, cut in zip(axes, window, strict=True))
        pixel = np.ravel_multi_index(local, extent) if len(rows) else np.empty(0, np.int64)
        stored, codes, values = self._gather(rows)
        per_pixel = np.zeros(n_pixels, np.int64)
        per_pixel[pixel] = stored
        indptr = np.concatenate([[0], np.cumsum(per_pixel)])
        return _cube.block_coo(csr_array((values, codes, indptr), shape=(n_pixels, shape[-1])), shape, self.dtype)

    def _gather(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
        """Values kept from each spectrum: how many, their channels, the values; spectrum after spectrum."""
        stored = np.zeros(len(rows), np.int64)
        wide = np.dtype(np.int64) if self.dtype.kind == "u" else np.dtype(np.float64)
        codes, values = [np.empty(0, np.int64)], [np.empty(0, wide)]
        once = self._codes(rows[:1]) if self.common and len(rows) else None
        for part in blocks(self.intensity.length[rows]):
            chosen = rows[part]
            counts, _ = gather(self.ibd, self.intensity.take(chosen))
            length = self.intensity.length[chosen]
            code, keep = self._codes(chosen) if once is None else (np.tile(once[0], len(chosen)), np.tile(once[1], len(chosen)))
            keep = keep & (counts != 0)
            stored[part] = np.bincount(np.repeat(np.arange(len(chosen)), length)[keep], minlength=len(chosen))
            codes.append(code[keep])
            values.append(counts[keep].astype(wide))
        return stored, np.concatenate(codes), np.concatenate(values)

    def _codes(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        mz, _ = gather(self.ibd, self.mz.take(rows))
        return self.axis.codes(mz.astype(np.float64, copy=False))


def _plan(
    name: str,
    ibd: Path,
    mz: ArrayColumns,
    intensity: ArrayColumns,
    places: Grid,
    scan: Scan,
    request: MassRequest,
    faults: SpectrumFaults,
    *,
    skip_bad: bool,
) -> _Plan:
    _require_full_planes(places, faults)
    faults.settle(skip_bad=skip_bad)
    if not np.isfinite(scan.lowest) and (request.range is None or request.width is None):
        where = "it holds no m/z value" if request.range is None else f"no m/z lies in mz_range {request.range}"
        raise SsbmapsError(f"{name}: {where}; there is nothing to make a mass axis of.")
    axis = binned_axis(request, scan.lowest, scan.highest, subject=name) if request.width is not None else MassAxis(scan.mz)
    if scan.whole:
        dtype = _cube.count_dtype(scan.largest if request.width is None else scan.total)
    else:
        dtype = scan.dtype if request.width is None and scan.dtype.kind == "f" else np.dtype(np.float64)
    good = np.flatnonzero(~faults.bad)
    good = good[np.lexsort((places.x[good], places.y[good], places.z[good]))]
    return _Plan(
        ibd=ibd,
        mz=mz.take(good),
        intensity=intensity.take(good),
        z=places.z[good],
        y=places.y[good],
        x=places.x[good],
        leading=(len(places.planes),) if len(places.planes) > 1 else (),
        shape=places.shape,
        axis=axis,
        dtype=dtype,
        common=shared(mz, faults.bad) is not None,
    )


def _require_full_planes(places: Grid, faults: SpectrumFaults) -> None:
    """With several z, a pixel counts as measured only if every plane holds it: `measured` has no z."""
    if len(places.planes) < 2:
        return
    flat = places.y * places.shape[1] + places.x
    present = np.bincount(flat[~faults.bad], minlength=int(flat.max()) + 1)
    partial = (present[flat] < len(places.planes)) & ~faults.bad
    faults.add(
        partial,
        lambda i: f"its pixel is measured in {present[flat[i]]} of {len(places.planes)} planes z; expected in all of them.",
    )
