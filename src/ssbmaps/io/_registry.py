"""Which file is read by which module: sniffing, dispatch, and the letters for files that nobody can read."""

from __future__ import annotations

import importlib
import inspect
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ssbmaps._errors import FormatError, SsbmapsError
from ssbmaps.io import _pixels, _store
from ssbmaps.io._held import hashed_ahead, head, held
from ssbmaps.io._store_load import is_store
from ssbmaps.io._store_types import SUFFIXES
from ssbmaps.io._write import TABLES

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    import xarray as xr

# One module for each format, in the order in which they are asked. A new instrument is a new module and a line here.
_MODULES = (
    "imzml",
    "simsh5",
    "vamas",
    "multipak_text",
    "jeol_text",
    "iontof_profile",
    "line_images",
    "wdf",
    "labspec_xml",
    "trivista",
    "spc",
    "renishaw_text",
    "labspec_text",
    "witec_text",
    "witec_mat",
    "spectra_csv",
    "tiff",
    "hyperspy",
    "rosettasciio",  # by the ending of the name: last
)
_COMMON = ("path", "dataset", "pixel_size", "tilt", "chunks", "skip_bad")


class Reader(Protocol):
    """What a format's module offers."""

    NAME: str
    EXTENSIONS: tuple[str, ...]
    TECHNIQUE: str

    def sniff(self, path: Path) -> bool:
        """Whether the content is this format."""

    def info(self, path: Path) -> dict[str, Any]:
        """What the headers say."""

    def read(self, path: Path, **options: Any) -> xr.DataArray:
        """The cube."""


def _module(name: str) -> Reader:
    full = f"ssbmaps.io.{name}"
    return cast("Reader", sys.modules.get(full) or importlib.import_module(full))


def read(
    path: str | os.PathLike[str],
    *,
    reader: str | None = None,
    dataset: str | None = None,
    pixel_size: float | tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,
    **reader_options: Any,
) -> xr.DataArray:
    """Read an instrument file into maps or spectra that keep the data contract.

    Mass spectra, Auger, Raman and X-ray maps, images, and HyperSpy signals: `formats` lists what is known. Upper-left corner of
    the map at (0, 0), `y` downwards; spectral axes ascending. Sizes in headers are checked against the file before anything is
    made of them, and nothing is guessed: a raster without a usable pixel size is refused until `pixel_size` is given.

    Parameters
    ----------
    path : str or path-like
        The file. Of an imzML pair, the .imzML; of a set of line images, the folder.
    reader : str, optional
        Module that reads it, e.g. ``"imzml"`` or ``"wdf"``. Default: the one that recognises the content.
    dataset : str, optional
        Which data set of a file that holds several; `info` lists them.
    pixel_size : float or (float, float), optional
        Pixel size in um, one number or (y, x), as scanned. Overrides the file's, and is recorded in `history` and in the
        attribute `pixel_size_source`.
    tilt : float, optional
        Angle in degrees between the analysis beam and the plane of the section, above 0 and at most 90 (90: seen face on).
        `y` is multiplied by 1/sin(tilt) once, here: 1.27 at 52°. Overrides the file's.
    chunks : int or mapping, optional
        Give a dask array: rows of `y` in a block, or pixels for each dimension, e.g. ``{"y": 64, "x": 64}``. A spectral axis is
        never cut. Mass spectra are read lazily, in blocks that are `sparse.COO`, and all values are still checked once, block by
        block, on this call; HyperSpy files lazily, too; other formats are read whole and then cut.
    skip_bad : bool
        Leave out spectra that cannot be read, mark their pixels as not measured, and warn with how many. Default: raise.
    **reader_options
        Options of one format; an unknown one is refused by name, and the page of the format in `docs/formats` explains them.
        imzML and SIMS-H5: ``mz_range=(low, high)`` in Da; ``mz_bin=`` bin width in Da, or ``"50 ppm"``, or for SIMS-H5
        ``"128 ps"``. Ranges and bins hold their low edge and not their high edge. Without ``mz_bin``, the channels are the sorted
        union of the stored m/z (imzML) or the occupied time bins of the file (SIMS-H5, m/z at the start of the bin). imzML:
        ``empty_spectra="zero"`` if arrays of length 0 stand for pixels that were measured and gave no counts. Raman formats:
        ``laser=`` in nm, which overrides the file's and turns wavelengths into shifts; ``axis_unit=`` where a text or SPC file
        does not state the unit of its axis; SPC: ``shape=(ny, nx)`` of a map.

    Returns
    -------
    xarray.DataArray
        Dims (y, x, spectral axis), with `scan`, `z` or `time` before them where the file holds a series; (point, spectral
        axis) where spectra lie on no raster; (line, y, x) for images of Auger lines; (y, x) for images. Mass spectra are
        `sparse.COO` with fill value 0: uint32 (uint64 where needed) with units "counts" if every value is a whole number of 0
        or more, else the file's float type with units "arbitrary"; everything else is dense, in the file's type. Coordinates y,
        x in um, the spectral axis in the contract's unit (with mz_low and mz_high for bins); boolean `measured` (y, x) if
        pixels are missing or were skipped.

    Raises
    ------
    FormatError
        The file cannot be read as what it says it is, or states no usable pixel size.
    SsbmapsError
        An option is unknown, or its value makes no sense.

    Warns
    -----
    DataQualityWarning
        UUID or checksum mismatch, skipped spectra, negative intensities, a FIB-milled section without a tilt.

    Notes
    -----
    NaN or infinite intensities make a mass spectrum bad. So do negative values where all values are whole numbers (counts); other
    negative values are kept, with a warning. The layouts are described in `docs/formats`.

    References
    ----------
    imzML: Schramm et al., J. Proteomics 75 (2012) 5106, doi 10.1016/j.jprot.2012.07.026. SIMS-H5: the specification
    `tof-sims-sparse-hdf5`, version 0.1, of Physical Electronics.

    Examples
    --------
    A file that states no pixel size, written by pyimzml:

    >>> import tempfile, pathlib, ssbmaps
    >>> from pyimzml.ImzMLWriter import ImzMLWriter
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "two_pixels.imzML"
    >>> with ImzMLWriter(str(path), polarity="negative") as writer:
    ...     writer.addSpectrum([62.9641, 78.9591], [3.0, 5.0], (1, 1))
    ...     writer.addSpectrum([62.9641], [2.0], (2, 1))
    >>> cube = ssbmaps.io.read(path, pixel_size=0.1)
    >>> cube.sizes
    Frozen({'y': 1, 'x': 2, 'mz': 2})
    >>> cube.data.todense().tolist()
    [[[3, 5], [2, 0]]]
    """
    given, size = _existing(path)
    file = given.absolute()  # lazy blocks are read later, perhaps from another folder
    with held(file, size):
        module = _choose(file, reader, folder=size is None)
        _check_options(file, module, reader_options)
        pixel, angle = _pixels.parse_pixel_size(pixel_size, subject=file.name), _pixels.parse_tilt(tilt, subject=file.name)
        with hashed_ahead(file, size):
            return module.read(
                file, dataset=dataset, pixel_size=pixel, tilt=angle, chunks=chunks, skip_bad=bool(skip_bad), **reader_options
            )


def info(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Say what a file holds, from its headers only; the binary data are never read.

    Parameters
    ----------
    path : str or path-like
        The file; of an imzML pair, the .imzML. Also a store that `save` wrote.

    Returns
    -------
    dict
        `file`, `format`, `technique`, `polarity` (None if not stated), `dims`, `shape` (None for a length that only the binary
        data tell), `pixel_size` ((y, x) in um, or None) with `pixel_size_note` (why), `channels` with `channels_note`,
        `mz_range` ((lowest, highest) in Da if the headers tell), `tilt` in degrees or None, `datasets`, and `warnings` (what
        `read` would warn of or refuse, as far as headers tell).

    Raises
    ------
    FormatError
        No reader recognises the file, or its header cannot be read.

    Examples
    --------
    >>> import tempfile, pathlib, ssbmaps
    >>> from pyimzml.ImzMLWriter import ImzMLWriter
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "one_pixel.imzML"
    >>> with ImzMLWriter(str(path), polarity="negative") as writer:
    ...     writer.addSpectrum([62.9641, 78.9591], [3.0, 5.0], (1, 1))
    >>> told = ssbmaps.io.info(path)
    >>> told["format"], told["polarity"], told["pixel_size"]
    ('imzML', 'negative', None)
    >>> told["pixel_size_note"]
    'no pixel size (y and x) is stated.'
    """
    file, size = _existing(path, stores=True)
    if is_store(file):
        return {"file": file.name, **_store.info(file)}
    module = _choose(file, None, folder=size is None)
    return {"file": file.name, "format": module.NAME, **module.info(file)}


def formats() -> list[dict[str, Any]]:
    """List the formats that ssbmaps knows.

    Returns
    -------
    list of dict
        For each format `name`, `extensions`, `technique`, `reads` (by `read`; stores by `load`) and `writes` (by `save`).

    Examples
    --------
    >>> import ssbmaps
    >>> next(f for f in ssbmaps.io.formats() if f["name"] == "imzML")
    {'name': 'imzML', 'extensions': ('.imzml',), 'technique': 'tof-sims', 'reads': True, 'writes': True}
    """
    modules = [_module(name) for name in _MODULES]
    files = [_row(m.NAME, m.EXTENSIONS, m.TECHNIQUE, True, getattr(m, "WRITES", False)) for m in modules]
    tables = [_row(name, extensions, "any", False, True) for name, extensions in TABLES.items()]
    return [*files, *tables, *(_row(name, (suffix,), "any", True, True) for suffix, name in SUFFIXES.items())]


def _row(name: str, extensions: tuple[str, ...], technique: str, reads: bool, writes: bool) -> dict[str, Any]:
    return {"name": name, "extensions": extensions, "technique": technique, "reads": reads, "writes": writes}


def _existing(path: str | os.PathLike[str], *, stores: bool = False) -> tuple[Path, int | None]:
    """The path of a file that can be looked into, and its size (None for a folder); or a letter."""
    file = Path(path)
    try:
        about = file.stat()
    except (OSError, ValueError):
        if file.exists():
            raise
        raise FormatError(f"{file.name}: no such file in {str(file.parent)!r}.") from None
    folder = stat.S_ISDIR(about.st_mode)
    if is_store(file):
        if stores:
            return file, None
        raise FormatError(f"{file.name}: is a store; read it with ssbmaps.io.load.")
    if folder:
        if any(True for _ in _readers(folder=True)):
            return file, None
        raise FormatError(f"{file.name}: is a folder; give the file inside, for imzML the .imzML.")
    if about.st_size == 0:
        raise FormatError(f"{file.name}: is empty (0 bytes); copy or export it again.")
    return file, about.st_size


def _readers(*, folder: bool) -> Iterator[Reader]:
    """The modules that may read a file, or those that take folders; None stands for both."""
    return (m for m in map(_module, _MODULES) if getattr(m, "READS_FOLDERS", False) in (folder, None))


def _choose(file: Path, reader: str | None, *, folder: bool) -> Reader:
    if reader is not None:
        if reader not in _MODULES:
            raise SsbmapsError(f"reader is {reader!r}; expected {', '.join(map(repr, _MODULES))} or None.")
        module = _module(reader)
        if folder and getattr(module, "READS_FOLDERS", False) is False:
            raise FormatError(f"{file.name}: is a folder; {module.NAME} reads a file, give the one inside.")
        return module
    found = next((module for module in _readers(folder=folder) if module.sniff(file)), None)
    if found is None:
        raise FormatError(_unknown(file))
    return found


def _check_options(file: Path, module: Reader, given: dict[str, Any]) -> None:
    """Refuse options that the reader does not know."""
    if given:
        known = _options(module.read)
        unknown = ", ".join(repr(o) for o in given if o not in known)
        if unknown:
            raise SsbmapsError(f"io.read of {file.name}: unknown option {unknown}; {module.NAME} knows {', '.join(known)}.")


def _options(read: Callable[..., Any]) -> list[str]:
    """The options of one format's `read` that not every format has."""
    return [n for n in inspect.signature(read).parameters if n not in _COMMON]


def _unknown(file: Path) -> str:
    suffix = file.suffix.lower()
    if file.is_dir():
        return f"{file.name}: is a folder; give the file inside, for imzML the .imzML."
    if suffix == ".ibd":
        wanted = f"{file.stem}.imzml".lower()
        header = next((p.name for p in file.parent.iterdir() if p.name.lower() == wanted), None)
        beside = f"Give {header}, which lies beside it." if header else "Its .imzML header is missing; put it beside the .ibd."
        return f"{file.name}: is the binary half of an imzML pair. {beside}"
    known = "; ".join(f"{m.NAME} ({', '.join(m.EXTENSIONS)})" for m in map(_module, _MODULES))
    return (
        f"{file.name}: no reader recognises the content (it begins {head(file, 12)!r}). Known are {known}. A file cut short may "
        "not be recognised; reader= names a reader outright."
    )
