"""Opens a SIMS-H5 archive and checks it against its specification: geometry, calibration and the sparse mass-keyed table."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults, FormatError, SsbmapsError
from ssbmaps.io import _held
from ssbmaps.io._pixels import Length, Stated, length

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = "tof-sims-sparse-hdf5"
SLAB = 1 << 22  # table entries read at a time
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LEADING = {"image_2d": (), "depth_profile": ("cycle",), "mosaic": ("tile",)}


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a pixel number decodes: leading axis (cycles or tiles, 1 for a plain image), frames, and the raster (ny, nx)."""

    mode: str
    leading: int
    frames: int
    raster: tuple[int, int]
    tiles: NDArray[np.int64] | None  # (tile, 2): x, y on the stage from the lower left, for a mosaic
    sputter_time: NDArray[np.float64] | None
    frames_summed: bool

    @property
    def scans(self) -> int:
        """Cycles times frames, in the order of acquisition; tiles lie side by side and add none."""
        return self.frames * (1 if self.tiles is not None else self.leading)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the assembled map."""
        if self.tiles is None:
            return self.raster
        across, up = (int(n) + 1 for n in self.tiles.max(axis=0))
        return up * self.raster[0], across * self.raster[1]

    def decode(self, pixel_id: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Scan, y (downwards) and x of pixel numbers; stored rows run upwards and are flipped here."""
        ny, nx = self.raster
        flat = pixel_id.astype(np.int64, copy=False)
        rest, x = np.divmod(flat, nx)
        rest, y = np.divmod(rest, ny)
        if self.tiles is None:
            return rest, ny - 1 - y, x
        tile, frame = np.divmod(rest, self.frames)
        column, row = self.tiles[tile].T
        return frame, self.shape[0] - 1 - (row * ny + y), column * nx + x

    def measured(self) -> NDArray[np.bool_] | None:
        """Pixels that lie in a tile, or None if all do."""
        if self.tiles is None:
            return None
        ny, nx = self.raster
        mask = np.zeros(self.shape, bool)
        rows = [(self.shape[0] - (row + 1) * ny, column * nx) for column, row in self.tiles]
        for top, left in rows:
            mask[top : top + ny, left : left + nx] = True
        return mask


@dataclass(frozen=True, slots=True)
class Table:
    """`/data/mass_csr` without its entries: occupied time bins, where each one's entries start, and the count exceptions."""

    mass_bin: NDArray[np.int64]
    indptr: NDArray[np.int64]
    width_ps: int
    exception_at: NDArray[np.int64]
    exception_value: NDArray[np.int64]

    def counts(self, stored: NDArray[Any], start: int) -> NDArray[np.int64]:
        """Counts of the entries from `start`, values above 255 put in."""
        counts = stored.astype(np.int64)
        first, last = np.searchsorted(self.exception_at, [start, start + len(stored)])
        counts[self.exception_at[first:last] - start] = self.exception_value[first:last]
        return counts


def is_hdf5(path: Path) -> bool:
    """Whether the file starts with the HDF5 signature."""
    return _held.head(path, 8) == _SIGNATURE


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The archive open for reading; what HDF5 says about a broken file becomes a FormatError."""
    import h5py
    import hdf5plugin  # noqa: F401  registers Blosc2, Bitshuffle and Zstd

    try:
        with h5py.File(path, "r") as file:
            yield file
    except SsbmapsError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:  # the last two: types that h5py cannot decode
        raise FormatError(
            f"{path.name}: HDF5 cannot read it ({str(error)[:200]}). The file is cut short, damaged, or lacks a part that "
            "SIMS-H5 asks for; copy or convert it again."
        ) from None


def text(value: Any) -> str:
    """An HDF5 attribute as str."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def geometry(path: Path, file: Any) -> Geometry:
    """`/geometry` and what depends on it, every fault at once."""
    with Faults(path.name, FormatError) as faults:
        version = text(file.attrs.get("format_version", "absent"))
        faults.expect(version == "0.1", f"format_version is {version}; this reader follows version 0.1.")
        mode = text(file.attrs.get("acquisition_mode", "absent"))
        known = faults.expect(mode in _LEADING, f"acquisition_mode is {mode}; expected {', '.join(_LEADING)}.")
        attrs = file["geometry"].attrs if "geometry" in file else {}
        shape = [int(n) for n in np.atleast_1d(attrs.get("row_shape", []))]
        expected = 3 + len(_LEADING.get(mode, ()))
        right = not known or (len(shape) == expected and min(shape) > 0)
        faults.expect(right, f"geometry row_shape is {shape}; {mode} needs {expected} lengths above 0, the last two y and x.")
        order = text(attrs.get("row_order", "C"))
        faults.expect(order == "C", f"geometry row_order is {order}; expected C.")
        rows = int(attrs.get("row_count", 0))
        faults.expect(not right or int(np.prod(shape, dtype=object)) == rows, f"geometry row_count is {rows}, row_shape {shape}.")
    leading = shape[0] if expected == 4 else 1
    tiles = _tiles(path, file, leading) if mode == "mosaic" else None
    times = _sputter_time(path, file, mode, leading)
    return Geometry(mode, leading, shape[-3], (shape[-2], shape[-1]), tiles, times, bool(attrs.get("frames_summed")))


def _tiles(path: Path, file: Any, count: int) -> NDArray[np.int64]:
    tiles = np.asarray(file["mosaic/tile_index_xy"][:], np.int64)
    with Faults(path.name, FormatError) as faults:
        right = tiles.shape == (count, 2)
        faults.expect(right, f"mosaic/tile_index_xy has shape {tiles.shape}; {count} tiles need ({count}, 2).")
        doubled = right and len(np.unique(tiles, axis=0)) < count
        faults.expect(not doubled, "mosaic/tile_index_xy names one place twice; the tiles cannot be laid side by side.")
        sparse = right and int(np.prod(np.ptp(tiles, axis=0) + 1)) > 100 * count
        faults.expect(not sparse, "mosaic/tile_index_xy spreads the tiles over more than 100 places each; that is no mosaic.")
    corner: NDArray[np.int64] = tiles - tiles.min(axis=0)
    return corner


def _sputter_time(path: Path, file: Any, mode: str, cycles: int) -> NDArray[np.float64] | None:
    if mode != "depth_profile" or "frames/sputter_time_s" not in file:
        return None
    times = np.asarray(file["frames/sputter_time_s"][:], np.float64)
    if times.shape != (cycles,):
        raise FormatError(f"{path.name}: frames/sputter_time_s has shape {times.shape}; {cycles} cycles need ({cycles},).")
    return times


def calibration(path: Path, file: Any) -> tuple[float, float]:
    """[a, b] of m/z = (a t + b)², t in us."""
    with Faults(path.name, FormatError) as faults:
        model = text(file["calibration/mass"].attrs.get("model", "phi_quadratic"))
        faults.expect(model == "phi_quadratic", f"calibration model is {model}; expected phi_quadratic.")
        values = np.asarray(file["calibration/mass/coefficients"][:], np.float64)
        good = values.shape == (2,) and bool(np.isfinite(values).all()) and values[0] > 0
        faults.expect(good, f"calibration coefficients are {values.tolist()}; expected a > 0 and b.")
    return float(values[0]), float(values[1])


def table(path: Path, file: Any) -> Table:
    """The table's small parts, checked with the lengths of the large ones; no entry is read."""
    group = file["data/mass_csr"]
    entries = {name: int(group[name].shape[0]) for name in ("pixel_id", "count")}
    mass_bin, indptr = (np.asarray(group[name][:], np.int64) for name in ("mass_bin", "indptr"))
    width = int(group.attrs.get("mass_bin_width_ps", 1))
    at, value = (np.empty(0, np.int64) for _ in range(2))
    if "count_exceptions" in group:
        at, value = (np.asarray(group[f"count_exceptions/{n}"][:], np.int64) for n in ("nnz_index", "value"))
    n = entries["pixel_id"]
    with Faults(f"{path.name}: data/mass_csr", FormatError) as faults:
        faults.expect(width > 0, f"mass_bin_width_ps is {width}; expected 1 ps or more.")
        faults.expect(n == entries["count"], f"{n} pixel_id but {entries['count']} count; expected one count for each.")
        faults.expect(not np.any(np.diff(mass_bin) <= 0), "mass_bin is not strictly ascending.")
        ends = (int(indptr[0]), int(indptr[-1])) if len(indptr) else (-1, -1)
        fits = len(indptr) == len(mass_bin) + 1 and ends == (0, n) and not np.any(np.diff(indptr) < 0)
        faults.expect(fits, f"indptr has {len(indptr)} values from {ends[0]} to {ends[1]}; {len(mass_bin)} bins, {n} entries.")
        faults.expect(len(at) == len(value), f"count_exceptions has {len(at)} nnz_index but {len(value)} value.")
        faults.expect(not len(at) or (at.min() >= 0 and at.max() < n), "count_exceptions names entries that are not there.")
        faults.expect(len(np.unique(at)) == len(at), "count_exceptions names an entry twice.")
    order = np.argsort(at)
    return Table(mass_bin, indptr, width, at[order], value[order])


def check_entries(path: Path, file: Any, known: Table, rows: int) -> int:
    """Read all entries once: pixel numbers in range and ascending within a bin. Returns the total of the counts."""
    group, total, previous = file["data/mass_csr"], 0, -1
    with Faults(f"{path.name}: data/mass_csr", FormatError) as faults:
        for start in range(0, int(known.indptr[-1]), SLAB):
            pixel = np.asarray(group["pixel_id"][start : start + SLAB], np.int64)
            beyond = int(pixel.max()) >= rows
            faults.expect(not beyond, f"pixel_id reaches {int(pixel.max())}; the geometry has {rows} pixels.")
            falls = np.diff(pixel, prepend=previous) <= 0
            borders = known.indptr[np.searchsorted(known.indptr, start) : np.searchsorted(known.indptr, start + len(pixel))]
            falls[borders - start] = False
            faults.expect(not falls.any(), "pixel_id is not ascending within a mass bin; a pixel may be counted twice.")
            previous = int(pixel[-1])
            total += int(known.counts(group["count"][start : start + SLAB], start).sum())
            if beyond or falls.any():
                break
    return total


def stated(file: Any, where: Geometry) -> Stated:
    """Pixel pitch and field of view (um) from `/calibration/spatial`; the scan width of the raw header only as a hint."""
    group = file.get("calibration/spatial")
    pitch, view = (_spatial(group, name) for name in ("pixel_pitch_um", "field_of_view_um"))
    pixel: tuple[Length | None, Length | None] = (pitch, pitch)
    if pitch is None and view is not None:
        ny, nx = (Length(None if view.um is None else view.um / n, f"{view.text} / {n} pixels") for n in where.raster)
        pixel = (ny, nx)
    return Stated(pixel, (view, view), hint=_hint(file, where))


def _spatial(group: Any, name: str) -> Length | None:
    """A spatial value, attribute or data set. Two different values make it unusable: the format does not say which is x."""
    if group is None or (name not in group.attrs and name not in group):
        return None
    values = np.unique(np.asarray(group.attrs[name] if name in group.attrs else group[name][()], np.float64))
    if values.size != 1:
        return Length(None, f"{name} {values.tolist()} without saying which is x")
    return length(repr(float(values[0])), "um", default="um")


def _hint(file: Any, where: Geometry) -> str:
    """What the instrument's own header says about the scan width: no unit stands there, so it is told and not used."""
    if "raw_header" not in file:
        return ""
    raw = file["raw_header"]
    raw = raw if hasattr(raw, "shape") else next((raw[k] for k in raw if hasattr(raw[k], "shape")), None)
    if raw is None:
        return ""
    lines = np.asarray(raw[()]).astype(np.uint8).tobytes().decode("latin-1").splitlines()
    found = dict(line.split(": ", 1) for line in lines if line.startswith(("ScanWidthX: ", "ScanWidthY: ")))
    try:
        y, x = (float(found[f"ScanWidth{a}"]) / n for a, n in zip("YX", where.raster, strict=True))
    except (KeyError, ValueError):
        return ""
    widths = " and ".join(f"{name} {value.strip()}" for name, value in found.items())
    return f"The raw header has {widths} without a unit; if that is um, pass pixel_size=({y:.9g}, {x:.9g})."
