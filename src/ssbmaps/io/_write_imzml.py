"""Writes a (y, x, mz) cube as imzML and .ibd through pyimzml: pixel size in um, polarity, a UUID made from the content."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_csr
from ssbmaps._conventions import axis_values, canonical, check_array, measured_mask, pixel_size
from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

MODES = ("processed", "continuous")
_NAMESPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")  # RFC 4122, for names in a namespace


@dataclass(frozen=True, slots=True)
class Plan:
    """A cube in which every fault was looked for, and how it is to be written."""

    cube: xr.DataArray
    mz: NDArray[np.float64]
    pixel: tuple[float, float]
    mode: str
    every_channel: bool


def beside(target: Path) -> tuple[Path, ...]:
    """Other files that belong to `target`."""
    return (target.with_suffix(".ibd"),)


def prepare(obj: Any, faults: Faults, *, subject: str, mode: str = "processed", every_channel: bool = True) -> Plan | None:
    """Note every fault of the cube in `faults`; the plan, if it can be written.

    `every_channel` keeps the mass axis whole in processed mode: the first spectrum gets an explicit zero in each channel
    in which no pixel has a value.
    """
    check_array(obj, subject=subject, dims=("y", "x", "mz"), finite=True, faults=faults)
    extra = [str(d) for d in obj.dims if d not in ("y", "x", "mz")]
    faults.expect(
        not extra, f"the cube has the axis {', '.join(extra)}; imzML holds (y, x, mz). Sum it first: cube.sum({extra!r})."
    )
    known = obj.attrs.get("polarity") in (None, "positive", "negative")
    faults.expect(known, f"polarity is {obj.attrs.get('polarity')!r}; expected 'positive' or 'negative'.")
    mask = measured_mask(obj)
    faults.expect(mask is None or bool(mask.any()), "no pixel was measured; expected at least one.")
    try:
        return Plan(canonical(obj), axis_values(obj, "mz", subject="mz"), pixel_size(obj, subject="raster"), mode, every_channel)
    except SsbmapsError as error:
        if not {"y", "x", "mz"} - {*obj.dims}:  # a missing dimension is named above
            faults.expect(False, str(error))
    return None


def write(plan: Plan, draft: Path) -> None:
    """Write `draft` and the .ibd beside it, both named as they are to be named, in another folder."""
    cube, mask = plan.cube, measured_mask(plan.cube)
    matrix = to_csr(cube.data)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    matrix.sort_indices()
    polarity = cube.attrs.get("polarity")
    identity = _identity(matrix, plan.mz, plan.pixel, plan.mode, polarity)
    first = draft.with_name(f"{draft.stem}_.imzML")
    _write_spectra(first, plan, matrix, mask, (identity, _plain_name(draft.stem), polarity))
    first.with_suffix(".ibd").rename(draft.with_suffix(".ibd"))
    _add_pixel_size(first, draft, (cube.sizes["y"], cube.sizes["x"]), plan.pixel)
    first.unlink()


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
        largest = max(int(matrix.data.max()), -int(matrix.data.min())) if matrix.nnz else 0
        if largest > np.iinfo(np.int64).max:
            raise SsbmapsError(
                f"imzML: a value of {largest} does not fit its whole numbers of 64 bits; expected at most 2^63 - 1."
            )
        return np.int32 if largest <= np.iinfo(np.int32).max else np.int64
    return np.float32 if matrix.dtype.itemsize <= 4 else np.float64


def _write_spectra(
    draft: Path,
    plan: Plan,
    matrix: csr_array,
    mask: NDArray[np.bool_] | None,
    header: tuple[uuid.UUID, str, str | None],
) -> None:
    """One spectrum per measured pixel, rows from the top, through pyimzml."""
    from pyimzml.ImzMLWriter import ImzMLWriter

    kind, mz, width = _intensity_type(matrix), plan.mz, plan.cube.sizes["x"]
    pixels = np.arange(matrix.shape[0]) if mask is None else np.flatnonzero(mask)
    unused = np.setdiff1d(np.arange(mz.size), matrix[pixels].indices) if plan.every_channel else np.empty(0, np.int64)
    first = int(matrix.indices.min()) if matrix.nnz else 0
    with ImzMLWriter(
        str(draft), mz_dtype=np.float64, intensity_dtype=kind, mode=plan.mode, spec_type="profile", polarity=header[2]
    ) as writer:
        _set_identity(writer, *header[:2])
        for pixel in pixels:
            row = slice(matrix.indptr[pixel], matrix.indptr[pixel + 1])
            channels, values = matrix.indices[row], matrix.data[row].astype(kind)
            if plan.mode == "continuous":
                spectrum = mz, np.zeros(mz.size, kind)
                spectrum[1][channels] = values
            else:
                zeros = unused if pixel == pixels[0] else unused[:0]
                if not channels.size and not zeros.size:
                    zeros = np.array([first])
                order = np.argsort(all_channels := np.concatenate([channels, zeros]), kind="stable")
                spectrum = mz[all_channels[order]], np.concatenate([values, np.zeros(zeros.size, kind)])[order]
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
        raise SsbmapsError("imzML: this pyimzml writes no 'max count of pixels y'; expected version 1.5.")
