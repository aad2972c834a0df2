"""Write a cube of mass spectra as imzML through pyimzml, so that examples can start from a real file format."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_csr
from ssbmaps._conventions import axis_values, canonical, check_array, measured_mask, pixel_size
from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

MODES = ("processed", "continuous")
_NAMESPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122, for names in a namespace


def write_imzml(cube: xr.DataArray, path: str | Path, *, mode: str = "processed", overwrite: bool = False) -> Path:
    """Write a (y, x, mz) cube as imzML and .ibd, with pixel size in um and polarity.

    The files are written under a temporary name in the same folder and renamed when they are complete. The UUID is made
    from the content, so that the same cube gives the same files.

    Parameters
    ----------
    cube : xarray.DataArray
        (y, x, mz), dense, sparse or dask, in any order; coordinates y, x in um and mz in Da. Pixels that were not
        measured (coordinate `measured`) are left out. A pixel without counts is written with one explicit zero, since an
        empty spectrum would read as damage. The attribute `polarity` ("positive", "negative") is written if there is one.
    path : str or path-like
        The .imzML file; the .ibd file lies beside it.
    mode : {"processed", "continuous"}
        Each pixel's own m/z values, zeros left out; or one m/z axis for all, zeros written.
    overwrite : bool
        Replace files that exist.

    Returns
    -------
    pathlib.Path
        The .imzML file written.

    Raises
    ------
    SsbmapsError
        If the cube has other dimensions (sum scans first), holds NaN or infinity, or has no pixel size; if the path does
        not end in .imzML; if a file exists and `overwrite` is not set.

    Notes
    -----
    Whole counts are stored as 32-bit integers (64-bit if they need it), other values in their own precision, m/z as
    64-bit floats. Coordinates count from 1, rows from the top.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ssbmaps import synthetic
    >>> cube = synthetic.spectrum_cube(synthetic.cross_section(shape=(8, 12), n_scans=1, geometry="planar"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = synthetic.write_imzml(cube, Path(folder) / "section.imzML")
    ...     sorted(p.name for p in path.parent.iterdir())
    ['section.ibd', 'section.imzML']
    """
    target = Path(path)
    cube = _checked(cube, target, mode, overwrite)
    pixel = pixel_size(cube, subject="synthetic.write_imzml")
    matrix, mask = to_csr(cube.data), measured_mask(cube)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    mz = axis_values(cube, "mz", subject="synthetic.write_imzml")
    polarity = cube.attrs.get("polarity")
    identity = _identity(matrix, mz, pixel, mode, polarity)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".ssbmaps-") as folder:
        draft = Path(folder) / "draft.imzML"
        _write_spectra(draft, matrix, mz, cube.sizes["x"], mask, mode, polarity, identity, _plain_name(target.stem))
        finished = draft.with_suffix(".xml")
        _add_pixel_size(draft, finished, (cube.sizes["y"], cube.sizes["x"]), pixel)
        os.replace(draft.with_suffix(".ibd"), target.with_suffix(".ibd"))  # noqa: PTH105  # replaces on every system
        os.replace(finished, target)  # noqa: PTH105
    return target


def _checked(cube: xr.DataArray, target: Path, mode: str, overwrite: bool) -> xr.DataArray:
    """The cube in canonical order; every fault of cube and path at once."""
    subject = "synthetic.write_imzml"
    with Faults(subject) as faults:
        faults.expect(mode in MODES, f"mode is {mode!r}; expected one of {', '.join(MODES)}.")
        faults.expect(target.suffix.lower() == ".imzml", f"path is {target.name!r}; expected a name that ends in .imzML.")
        folder = target.parent.is_dir()
        faults.expect(folder, f"folder {str(target.parent)!r} does not exist; make it first.")
        existing = [p.name for p in (target, target.with_suffix(".ibd")) if p.exists()]
        faults.expect(
            overwrite or not existing, f"{' and '.join(existing)} exists already; choose another name or set overwrite=True."
        )
        check_array(cube, subject=subject, dims=("y", "x", "mz"), finite=True, faults=faults)
        extra = [str(d) for d in cube.dims if d not in ("y", "x", "mz")]
        faults.expect(
            not extra, f"the cube has the axis {', '.join(extra)}; imzML holds (y, x, mz). Sum it first: cube.sum({extra!r})."
        )
        known = cube.attrs.get("polarity") in (None, "positive", "negative")
        faults.expect(known, f"polarity is {cube.attrs.get('polarity')!r}; expected 'positive' or 'negative'.")
        mask = measured_mask(cube)
        faults.expect(mask is None or bool(mask.any()), "no pixel was measured; expected at least one.")
    return canonical(cube)


def _identity(
    matrix: csr_array, mz: NDArray[np.float64], pixel: tuple[float, float], mode: str, polarity: str | None
) -> uuid.UUID:
    """UUID made from everything the file holds."""
    digest = hashlib.sha256(repr((matrix.shape, str(matrix.dtype), pixel, mode, polarity)).encode())
    for array in (mz, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data):
        digest.update(np.ascontiguousarray(array).tobytes())
    return uuid.uuid5(_NAMESPACE, digest.hexdigest())


def _plain_name(stem: str) -> str:
    """`stem` as an XML identifier in ASCII: the file says ISO-8859-1 and pyimzml does not escape."""
    return "run_" + re.sub(r"[^A-Za-z0-9_.-]", "_", stem)


def _intensity_type(matrix: csr_array) -> type[np.number[Any]]:
    """Type in which the values are stored without loss, among those that imzML knows."""
    if matrix.dtype.kind in "iub":
        largest = int(abs(matrix.data).max()) if matrix.nnz else 0
        return np.int32 if largest <= np.iinfo(np.int32).max else np.int64
    return np.float32 if matrix.dtype.itemsize <= 4 else np.float64


def _write_spectra(
    draft: Path,
    matrix: csr_array,
    mz: NDArray[np.float64],
    width: int,
    mask: NDArray[np.bool_] | None,
    mode: str,
    polarity: str | None,
    identity: uuid.UUID,
    run: str,
) -> None:
    """One spectrum per measured pixel, rows from the top, through pyimzml."""
    from pyimzml.ImzMLWriter import ImzMLWriter

    kind = _intensity_type(matrix)
    pixels = np.arange(matrix.shape[0]) if mask is None else np.flatnonzero(mask)
    first = int(matrix.indices.min()) if matrix.nnz else 0
    empty = mz[first : first + 1], np.zeros(1, kind)
    with ImzMLWriter(
        str(draft), mz_dtype=np.float64, intensity_dtype=kind, mode=mode, spec_type="profile", polarity=polarity
    ) as writer:
        _set_identity(writer, identity, run)
        for pixel in pixels:
            row = slice(matrix.indptr[pixel], matrix.indptr[pixel + 1])
            channels, values = matrix.indices[row], matrix.data[row].astype(kind)
            if mode == "continuous":
                spectrum = mz, np.zeros(mz.size, kind)
                spectrum[1][channels] = values
            else:
                spectrum = (mz[channels], values) if channels.size else empty
            writer.addSpectrum(*spectrum, (int(pixel % width) + 1, int(pixel // width) + 1, 1))


def _set_identity(writer: Any, identity: uuid.UUID, run: str) -> None:
    """Replace pyimzml's random UUID, the first 16 bytes of the .ibd, and its run id, which is the temporary path."""
    writer.uuid, writer.run_id = identity, run
    writer.ibd.seek(0)
    writer.ibd.write(identity.bytes)
    writer.sha1 = hashlib.sha1(identity.bytes)


def _add_pixel_size(draft: Path, finished: Path, shape: tuple[int, int], pixel: tuple[float, float]) -> None:
    """Copy the XML and declare the pixel size in um, which pyimzml cannot write, after the number of pixels in y.

    The numbers of pixels are those of the map: pyimzml counts up to the last spectrum, which is less if the last rows or
    columns were not measured. The extent (max dimension) is left out: the imzML vocabulary has it as a whole number of um,
    which most maps are not, and it says nothing that pixel size and number do not.
    """
    (ny, nx), (dy, dx) = shape, pixel
    lengths = (("IMS:1000046", "pixel size (x)", dx), ("IMS:1000047", "pixel size y", dy))
    unit = 'unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"'
    added = "".join(f'      <cvParam cvRef="IMS" accession="{a}" name="{n}" value="{v:.12g}" {unit}/>\n' for a, n, v in lengths)
    counts = {"IMS:1000042": nx, "IMS:1000043": ny}
    declared = False
    with draft.open(encoding="iso-8859-1", newline="") as source, finished.open("w", encoding="iso-8859-1", newline="") as target:
        for line in source:
            code = next((c for c in counts if not declared and c in line), None)
            target.write(line if code is None else re.sub(r'value="\d+"', f'value="{counts[code]}"', line))
            if code == "IMS:1000043":
                target.write(added)
                declared = True
    if not declared:
        raise SsbmapsError("synthetic.write_imzml: this pyimzml writes no 'max count of pixels y'; expected version 1.5.")
