"""Small imzML pairs and SIMS-H5 archives, written byte by byte, so that tests can break any byte of them.

The planted map, 2 rows of 3 pixels (x to the right, y downwards, both from 1), counts at four m/z:

    pixel (x, y)   24.0005  31.9726  62.9641  78.9591
    (1, 1)               3        .        1        .
    (2, 1)               2        .        .        5
    (3, 1)               .        4        .        .
    (1, 2)               7        1        .        2
    (2, 2)               .        .        6        .
    (3, 2)               1        .        2        9

Sum 43, largest 9 at (3, 2). Pixels are 0.5 um wide (x) and 0.25 um high (y).

The planted SIMS-H5 archive: 2 frames of 3 rows and 4 columns, origin below, entries (time bin, frame, row, column, count):
(40, 0, 0, 1, 2), (40, 1, 2, 3, 300), (55, 0, 1, 0, 1), (90, 0, 2, 2, 255), (90, 1, 0, 0, 4). Bins of 100 000 ps (0.1 us), so
that with a = 2, b = −1 the m/z at 4.0, 5.5, 9.0 us are 7², 10², 17² = 49, 100, 289. Sum 562.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

UUID = bytes.fromhex("9d501bdc53444916b7e97e795b02c856")
UM = 'unitCvRef="UO" unitAccession="UO:0000017" unitName="micrometer"'
MZ = np.array([24.0005, 31.9726, 62.9641, 78.9591])
PLANTED = np.array([[[3, 0, 1, 0], [2, 0, 0, 5], [0, 4, 0, 0]], [[7, 1, 0, 2], [0, 0, 6, 0], [1, 0, 2, 9]]])  # y, x, mz
TYPES = {
    "<f4": "MS:1000521",
    "<f8": "MS:1000523",
    "<i4": "MS:1000519",
    "<i8": "MS:1000522",
    "<i1": "IMS:1100000",
    "<i2": "IMS:1100001",
}


@dataclass
class Spectrum:
    """One pixel: position from 1, its m/z and values; types may differ from spectrum to spectrum."""

    x: Any
    y: Any
    mz: Any
    values: Any
    z: Any = None
    mz_type: str = "<f8"
    type: str = "<f4"
    state: dict[str, Any] = field(default_factory=dict)  # overrides: mz_offset, mz_length, mz_encoded, offset, length, encoded


def planted_spectra(**options: Any) -> list[Spectrum]:
    """The planted map as spectra that store only what is not zero."""
    spectra = []
    for y, row in enumerate(PLANTED):
        for x, counts in enumerate(row):
            kept = counts > 0
            spectra.append(Spectrum(x + 1, y + 1, MZ[kept], counts[kept], **options))
    return spectra


def cv(accession: str, value: object = "", more: str = "", name: str = "misspelt on purpose") -> str:
    """A cvParam; readers must not look at its name."""
    return f'<cvParam cvRef="X" accession="{accession}" name="{name}" value="{value}" {more}/>'


def write_imzml(
    folder: Path,
    spectra: Sequence[Spectrum],
    *,
    name: str = "small",
    mode: str = "processed",
    settings: str | None = None,
    content: str = "",
    extra: str = "",
    polarity: str = "MS:1000129",
    compressed: bool = False,
    encoded: bool = True,
    newline: str = "\n",
    encoding: str = "utf-8",
    ibd_name: str | None = None,
    edit: Callable[[str], str] = str,
    edit_ibd: Callable[[bytes], bytes] = bytes,
) -> Path:
    """Write an .imzML and its .ibd; `edit` and `edit_ibd` may spoil the finished text and bytes."""
    data, entries = bytearray(UUID), []
    shared: dict[str, int] | None = None
    for spectrum in spectra:
        places = {}
        for kind, values, dtype in (("mz", spectrum.mz, spectrum.mz_type), ("", spectrum.values, spectrum.type)):
            raw = np.asarray(values).astype(dtype).tobytes()
            stored = zlib.compress(raw) if compressed else raw
            if kind == "mz" and mode == "continuous" and shared is not None:
                places |= shared
                continue
            place = {f"{kind}offset": len(data), f"{kind}length": len(np.ravel(values)), f"{kind}encoded": len(stored)}
            data += stored
            places |= place
            if kind == "mz" and mode == "continuous":
                shared = place
        entries.append(places | spectrum.state)
    ibd = edit_ibd(bytes(data))
    (folder / (ibd_name or f"{name}.ibd")).write_bytes(ibd)
    if settings is None:
        settings = "".join(
            [
                cv("IMS:1000042", max(int(s.x) for s in spectra)),
                cv("IMS:1000043", max(int(s.y) for s in spectra)),
                cv("IMS:1000046", "0.5", UM),
                cv("IMS:1000047", "0.25", UM),
            ]
        )
    accession = {"continuous": "IMS:1000030", "processed": "IMS:1000031"}[mode]
    text = newline.join(
        [
            f'<?xml version="1.0" encoding="{encoding}"?>',
            '<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1"><cvList count="1"><cv id="IMS" /></cvList>',
            f"<fileDescription><fileContent>{cv(accession)}{cv('IMS:1000080', '{' + UUID.hex().upper() + '}')}",
            f"{cv('IMS:1000091', hashlib.sha1(ibd).hexdigest().upper())}{content}</fileContent></fileDescription>",
            '<referenceableParamGroupList count="2">',
            f'<referenceableParamGroup id="mzs">{cv("MS:1000514")}{cv("IMS:1000101", "true")}</referenceableParamGroup>',
            f'<referenceableParamGroup id="ints">{cv("MS:1000515")}{cv("IMS:1000101", "true")}</referenceableParamGroup>',
            f'<referenceableParamGroup id="all">{cv(polarity) if polarity else ""}</referenceableParamGroup>',
            f'</referenceableParamGroupList><scanSettingsList count="1"><scanSettings id="one">{settings}</scanSettings>',
            f'</scanSettingsList>{extra}<run><spectrumList count="{len(spectra)}">',
            *(_spectrum(i, s, e, compressed, encoded) for i, (s, e) in enumerate(zip(spectra, entries, strict=True))),
            "</spectrumList></run></mzML>",
        ]
    )
    path = folder / f"{name}.imzML"
    path.write_bytes(edit(text).encode(encoding, "xmlcharrefreplace" if encoding == "ascii" else "strict"))
    return path


def _spectrum(index: int, spectrum: Spectrum, entry: dict[str, Any], compressed: bool, encoded: bool) -> str:
    positions = [cv(f"IMS:100005{i}", v) for i, v in enumerate((spectrum.x, spectrum.y, spectrum.z)) if v is not None]
    scheme = cv("MS:1000574" if compressed else "MS:1000576")
    arrays = []
    for group, kind, dtype in (("mzs", "mz", spectrum.mz_type), ("ints", "", spectrum.type)):
        terms = [
            f'<referenceableParamGroupRef ref="{group}"/>',
            cv(TYPES[dtype]),
            scheme,
            cv("IMS:1000103", entry[f"{kind}length"]),
            cv("IMS:1000102", entry[f"{kind}offset"]),
            cv("IMS:1000104", entry[f"{kind}encoded"]) if encoded else "",
        ]
        arrays.append(f'<binaryDataArray encodedLength="0">{"".join(terms)}<binary/></binaryDataArray>')
    return (
        f'<spectrum id="Scan={index + 1}" defaultArrayLength="0" index="{index}"><referenceableParamGroupRef ref="all"/>'
        f'<scanList count="1"><scan>{"".join(positions)}</scan></scanList>'
        f'<binaryDataArrayList count="2">{"".join(arrays)}</binaryDataArrayList></spectrum>'
    )


SIMSH5_ENTRIES = ((40, 0, 0, 1, 2), (40, 1, 2, 3, 300), (55, 0, 1, 0, 1), (90, 0, 2, 2, 255), (90, 1, 0, 0, 4))


def write_simsh5(
    path: Path,
    entries: Sequence[tuple[int, ...]] = SIMSH5_ENTRIES,
    *,
    row_shape: tuple[int, ...] = (2, 3, 4),
    mode: str = "image_2d",
    width_ps: int = 100_000,
    coefficients: tuple[float, float] = (2.0, -1.0),
    polarity: str = "+",
    edit: Callable[[Any], None] | None = None,
) -> Path:
    """Write an archive after the specification; entries are (time bin, *place in row_shape, count)."""
    import h5py

    rows = sorted((e[0], int(np.ravel_multi_index(e[1:-1], row_shape)), e[-1]) for e in entries)
    bins = np.array(sorted({r[0] for r in rows}), np.uint32)
    counts = np.array([r[2] for r in rows])
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {"format": "tof-sims-sparse-hdf5", "format_version": "0.1", "acquisition_mode": mode, "polarity": polarity}
        )
        table = file.create_group("data/mass_csr")
        table.attrs["mass_bin_width_ps"] = width_ps
        table["mass_bin"] = bins
        table["indptr"] = np.concatenate([[0], np.cumsum([sum(r[0] == b for r in rows) for b in bins])]).astype(np.uint64)
        table["pixel_id"] = np.array([r[1] for r in rows], np.uint32)
        table["count"] = np.minimum(counts, 255).astype(np.uint8)
        if (counts > 255).any():
            table["count_exceptions/nnz_index"] = np.flatnonzero(counts > 255).astype(np.uint64)
            table["count_exceptions/value"] = counts[counts > 255].astype(np.uint32)
        file.create_group("calibration/mass").attrs["model"] = "phi_quadratic"
        file["calibration/mass/coefficients"] = np.array(coefficients)
        file.create_group("geometry").attrs.update(
            {
                "row_shape": np.array(row_shape, np.uint64),
                "row_count": np.prod(row_shape),
                "row_order": "C",
                "frames_summed": False,
            }
        )
        if edit is not None:
            edit(file)
    return path
