"""Single events, as time-of-flight instruments record them, counted into a sparse cube."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps import _events, _provenance
from ssbmaps._conventions import raster_coords, spectral_coord
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.io._pixels import parse_pixel_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

SUBJECT = "io.count_events"
SLAB = 1 << 22  # events of a stored or lazy array that are read at a time


def count_events(
    y: Any,
    x: Any,
    channel: Any,
    *,
    shape: tuple[int, int, int],
    pixel_size: float | tuple[float, float] | None = None,
    mz: ArrayLike | None = None,
) -> xr.DataArray:
    """Count single events (y, x, channel) into a sparse cube of spectra.

    Parameters
    ----------
    y, x, channel : 1-D arrays of whole numbers, or iterables of such arrays
        Row, column and channel of each event, counted from 0, in any order. Arrays in files (h5py, Zarr, numpy.memmap) and
        dask arrays are read in pieces. Iterables, e.g. generators, are walked in step and must give pieces of equal lengths.
    shape : (int, int, int)
        Number of rows, columns and channels of the cube.
    pixel_size : float or (float, float), optional
        Pixel size (y, x) in um. Without it the cube has no coordinates y and x: it is never guessed.
    mz : array_like of shape (channels,), optional
        Mass-to-charge ratio of each channel in Da, ascending. Without it the cube has no coordinate mz.

    Returns
    -------
    xarray.DataArray
        Counts (y, x, mz), `sparse.COO` of uint32 with fill value 0 (uint64 if a cell holds more than that). No event is lost:
        the sum is the number of events. Pixels without an event are measured zeros; add a boolean coordinate ``measured``
        (y, x) if some were not measured.

    Raises
    ------
    SsbmapsError
        If an event lies outside of `shape` (the first such event is named), the arrays differ in length or are no whole
        numbers, or `pixel_size` or `mz` do not fit.

    Notes
    -----
    Events are sorted into buckets of neighbouring cells, each of which is then counted in the processor's cache, on all cores.
    Besides the events and the result, 2 or 4 bytes for each event are needed, and about 1 GB at most.

    Examples
    --------
    >>> import ssbmaps
    >>> cube = ssbmaps.io.count_events([0, 1, 1], [2, 0, 0], [4, 3, 3], shape=(2, 3, 5), pixel_size=0.1)
    >>> ssbmaps.io.to_dense(cube.sum("mz")).values.tolist()
    [[0, 0, 1], [2, 0, 0]]
    """
    import sparse
    import xarray as xr

    size = parse_pixel_size(pixel_size, subject=SUBJECT)
    sides = _sides(shape)
    coords: dict[str, Any] = raster_coords(sides[:2], size) if size is not None else {}
    if mz is not None:
        coords["mz"] = spectral_coord("mz", _masses(mz, sides[2]))
    cells, counts = _events.count_cells(_pieces(y, x, channel), sides, SUBJECT)
    data = sparse.COO(cells, counts, shape=sides, has_duplicates=False, sorted=True)
    cube = xr.DataArray(data, coords, ("y", "x", "mz"), name="counts")
    arguments = {"shape": sides, "pixel_size": size, "mz": None if mz is None else np.asarray(mz, np.float64)}
    told = {k: v for k, v in arguments.items() if v is not None}
    return _provenance.finish(cube, function=SUBJECT, arguments=told, units="counts", long_name="ion counts")


def _sides(shape: Any) -> tuple[int, int, int]:
    sides = tuple(shape) if np.ndim(shape) == 1 else ()
    good = len(sides) == 3 and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in sides)
    if not good or max(sides) >= 2**31 or np.prod([int(n) for n in sides], dtype=object) >= 2**62:
        raise SsbmapsError(f"{SUBJECT}: shape is {shape!r}; expected the numbers of rows, columns and channels, each 1 or more.")
    ny, nx, channels = map(int, sides)
    return ny, nx, channels


def _masses(mz: ArrayLike, channels: int) -> NDArray[np.float64]:
    values = np.asarray(mz)
    with Faults(f"{SUBJECT}: mz") as faults:
        if faults.expect(values.dtype.kind in "iuf", f"is of type {values.dtype}; expected m/z in Da."):
            faults.expect(
                values.shape == (channels,), f"has shape {values.shape}; expected one m/z for each of {channels} channels."
            )
            ascending = bool(np.isfinite(values).all() and (np.diff(values.ravel()) > 0).all())
            faults.expect(ascending, "is not ascending, or not finite; expected each m/z to be above the one before.")
    return values.astype(np.float64)


def _pieces(y: Any, x: Any, channel: Any) -> Iterator[_events.Piece]:
    """Equal pieces of the three, checked."""
    whole = [_is_array(part) for part in (y, x, channel)]
    if all(whole):
        yield from _slabs(*(part if hasattr(part, "shape") else np.asarray(part) for part in (y, x, channel)))
        return
    if any(whole):
        raise SsbmapsError(f"{SUBJECT}: some of y, x, channel are arrays, and others iterables of them; expected the same kind.")
    try:
        streams = [iter(part) for part in (y, x, channel)]
    except TypeError as error:
        raise SsbmapsError(f"{SUBJECT}: expected arrays, or iterables of arrays, for y, x and channel; {error}.") from None
    for pieces in itertools.zip_longest(*streams):
        if any(piece is None for piece in pieces):
            raise SsbmapsError(f"{SUBJECT}: y, x and channel do not give equal numbers of pieces.")
        yield from _slabs(*(piece if hasattr(piece, "shape") else np.asarray(piece) for piece in pieces))


def _is_array(part: Any) -> bool:
    """Whether this is one array of numbers, not an iterable of arrays."""
    if hasattr(part, "shape"):
        return True
    return isinstance(part, (list, tuple)) and all(np.ndim(value) == 0 for value in part)


def _slabs(*parts: Any) -> Iterable[_events.Piece]:
    shapes = [tuple(part.shape) for part in parts]
    with Faults(SUBJECT) as faults:
        for name, part in zip(("y", "x", "channel"), parts, strict=True):
            whole = part.dtype.kind in "iu" or part.size == 0
            faults.expect(whole, f"{name} is of type {part.dtype}; expected whole numbers, counted from 0.")
        equal = len(shapes[0]) == 1 and len(set(shapes)) == 1
        faults.expect(
            equal, f"y, x and channel have shapes {', '.join(map(str, shapes))}; expected three 1-D arrays of one length."
        )
    for start in range(0, shapes[0][0], SLAB):
        y, x, channel = (np.asarray(part[start : start + SLAB]) for part in parts)
        yield y, x, channel
