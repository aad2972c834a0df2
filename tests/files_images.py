"""Small TIFF files of each kind that is read, written by tifffile or byte by byte, and the real ones with what is stated of them.

Every image has 10 rows and 7 columns unless said otherwise, and the value in row r, column c of plane p is 30 p + 3 r + c + 1
(`planted`), so that plane 0 runs from 1 to 34 and sums to 1225.

    zeiss      uint8 with a palette (grey, index 9 red); CZ_SEM: 5e-9 m on a display of 1024 columns, so 5e-9 x 1024 / 7 m per
               pixel = 0.7314285714 um; AP_WIDTH 5.12 um agrees; EHT 5 kV; SV_USER_NAME "SOMEBODY"
    fei        uint16, big-endian, rows 8 and 9 are an info bar (ResolutionY 8); PixelWidth 2e-8 m, PixelHeight 1e-8 m; HV 2000;
               User "somebody"
    tescan     uint8; tag 50431: a preview of 20 bytes, PixelSizeX 3e-8 m, PixelSizeY 4e-8 m, ImageStripSize 2; HV 15000
    jeol       uint8 and a text beside it: 50 pixels are 10um, CM_FULL_SIZE 7 9, 15 kV; pixel 0.2 um, row 9 is an info bar
    hitachi    uint8 and a text beside it (UTF-16): PixelSize 24.8 nm, AcceleratingVoltage=5000 Volt
    plain      float32, 3 pages, 40000 pixels per cm: 0.25 um; NaN in plane 1, row 2, column 3
    imagej     uint16, 2 frames (0.5 s) x 3 slices (1.5 um) x 2 channels ("Ni", "S"), pixel 0.5 um (y), 0.25 um (x)
    ome        uint16, deflate with differences, 2 times (2 s) x 3 channels ("Ni", "S", "P"), pixel 0.2 um (y), 100 nm (x)
    tiles      int16, BigTIFF, 40 x 50 pixels in tiles of 16 x 16, 100000 pixels per inch: 0.254 um
    colour     RGB uint8 as planes apart, bands R, G, B hold planes 0, 1, 2; 40000 pixels per cm
    packbits   uint8, packed by hand as literals of up to 7 bytes, 3 rows in a strip; 40000 pixels per cm
    lzw        uint8, 120 x 90 pixels of value (r * c) % 251, packed by Pillow with libtiff; 40000 pixels per cm
    ours, ours_ome   time (0, 2.5 s) x fragment (PO3-, S-, Cl-) x y x x, int64, 0.1 um (y), 0.2 um (x), with `measured`
"""

from __future__ import annotations

import io as streams
import runpy
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import xarray as xr

from ssbmaps import io

for _name in ("fuzzing", "real_files"):
    if _name not in sys.modules:
        _module = type(sys)(_name)
        sys.modules[_name] = _module
        _module.__dict__.update(runpy.run_path(str(Path(__file__).with_name(f"{_name}.py")), run_name=_name))
Example, Real = sys.modules["fuzzing"].Example, sys.modules["real_files"].Real

ROWS, COLUMNS = 10, 7
PER_CM = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}


def planted(n: int = 1, dtype: Any = np.uint8, shape: tuple[int, int] = (ROWS, COLUMNS)) -> Any:
    """(n, rows, columns): 30 p + 3 r + c + 1."""
    p, r, c = np.indices((n, *shape))
    return (30 * p + 3 * r + c + 1).astype(dtype)


CZ_SEM = "\r\n".join(
    [
        *("0", "0", "0", "5.000000e-009", "5.000000e+004", "6", "5.000000e+003", "2.3", "2e-7", "3.9e-3", "1"),
        *("68", "DP_DETECTOR_CHANNEL", "Signal A = InLens", "AP_WIDTH", "Width = 5.120 µm", "AP_ACTUALKV", "EHT =  5.00 kV"),
        *("AP_TILT_ANGLE", "Tilt Angle =  36.0 °", "SV_USER_NAME", "User Name = SOMEBODY", "SV_IMAGE_PATH"),
        *("Images = D:\\2016\\Somebody\\", ""),
    ]
)
FEI = "\r\n".join(
    [
        *("[User]", "Date=06/13/2016", "User=somebody", "", "[Beam]", "HV=2000", "Beam=EBeam", "Scan=EScan", "", "[EBeam]"),
        *("HV=2000", "StageTa=0.907", "", "[Scan]", "PixelWidth=2e-008", "PixelHeight=1e-008", "HorFieldsize=1.4e-007"),
        *("VerFieldsize=8e-008", "", "[Image]", "ResolutionX=7", "ResolutionY=8", ""),
    ]
)
TESCAN = b"".join(
    struct.pack("<IH", len(text) + 2, kind) + text
    for kind, text in (
        (1, bytes(range(200, 220))),
        (2, b"AccFrames=1\r\nPixelSizeX=3e-8\r\nPixelSizeY=4e-8\r\nImageStripSize=2\r\nUserName=somebody\r\n"),
        (3, b"HV=15000\r\nWD=0.005\r\n"),
        (0, b""),
    )
)
JEOL = "$CM_FORMAT JPEG\r\n$CM_ACCEL_VOLT 15.0\r\n$CM_FULL_SIZE 7 9\r\n$$SM_MICRON_BAR 50\r\n$$SM_MICRON_MARKER 10um\r\n"
HITACHI = "[SemImageFile]\r\nInstructName=SU8000\r\nDataSize=7x10\r\nPixelSize=24.8\r\nAcceleratingVoltage=5000 Volt\r\n"


def zeiss(folder: Path) -> Path:
    """See above."""
    grey = np.arange(256, dtype=np.uint16) * 257
    colours = np.stack([grey, grey, grey])
    colours[:, 9] = (65535, 0, 0)
    tag = (34118, 2, len(CZ_SEM.encode("latin-1")) + 1, CZ_SEM.encode("latin-1") + b"\0", True)
    path = folder / "zeiss.tif"
    tifffile.imwrite(path, planted()[0], photometric="palette", colormap=colours, extratags=[tag], metadata=None)
    return path


def fei(folder: Path) -> Path:
    """See above."""
    path = folder / "fei.tif"
    options = {"byteorder": ">", "rowsperstrip": 3, "resolution": (64, 64), "resolutionunit": "INCH", "metadata": None}
    tifffile.imwrite(path, planted(dtype=np.uint16)[0], extratags=[(34682, 2, len(FEI) + 1, FEI + "\0", True)], **options)
    return path


def tescan(folder: Path) -> Path:
    """See above."""
    path = folder / "tescan.tif"
    tifffile.imwrite(path, planted()[0], extratags=[(50431, 7, len(TESCAN), TESCAN, True)], metadata=None)
    return path


def jeol(folder: Path) -> Path:
    """See above."""
    (folder / "jeol.txt").write_bytes(JEOL.encode())
    path = folder / "jeol.tif"
    tifffile.imwrite(path, planted()[0], metadata=None)
    return path


def hitachi(folder: Path) -> Path:
    """See above."""
    (folder / "hitachi.txt").write_bytes(HITACHI.encode("utf-16"))
    path = folder / "hitachi.tif"
    tifffile.imwrite(path, planted()[0], metadata=None)
    return path


def plain_values() -> Any:
    """What `plain` holds."""
    values = planted(3, np.float32)
    values[1, 2, 3] = np.nan
    return values


def plain(folder: Path) -> Path:
    """See above."""
    path = folder / "plain.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in plain_values():
            writer.write(plane, contiguous=False, metadata=None, **PER_CM)
    return path


def imagej(folder: Path) -> Path:
    """See above."""
    path = folder / "imagej.tif"
    labels = [name for _ in range(6) for name in ("Ni", "S")]
    told = {"axes": "TZCYX", "unit": "um", "spacing": 1.5, "finterval": 0.5, "Labels": labels}
    tifffile.imwrite(path, planted(12, np.uint16).reshape(2, 3, 2, ROWS, COLUMNS), imagej=True, resolution=(4, 2), metadata=told)
    return path


def ome(folder: Path) -> Path:
    """See above."""
    path = folder / "image.ome.tif"
    told: dict[str, Any] = {"axes": "TCYX", "Channel": {"Name": ["Ni", "S", "P"]}, "TimeIncrement": 2.0, "TimeIncrementUnit": "s"}
    told |= {
        "PhysicalSizeY": 0.2,
        "PhysicalSizeX": 100.0,
        "PhysicalSizeXUnit": "nm",
        "UUID": "0f0b3ca0-0000-4000-8000-000000000001",
    }
    data = planted(6, np.uint16).reshape(2, 3, ROWS, COLUMNS)
    tifffile.imwrite(path, data, compression="zlib", predictor=True, photometric="minisblack", metadata=told)
    return path


def tiles(folder: Path) -> Path:
    """See above."""
    path = folder / "tiles.tif"
    options = {"bigtiff": True, "tile": (16, 16), "resolution": (100_000, 100_000), "resolutionunit": "INCH", "metadata": None}
    tifffile.imwrite(path, planted(1, np.int16, (40, 50))[0], **options)
    return path


def colour(folder: Path) -> Path:
    """See above."""
    path = folder / "colour.tif"
    tifffile.imwrite(path, planted(3), photometric="rgb", planarconfig="separate", metadata=None, **PER_CM)
    return path


def by_hand(path: Path, strips: list[bytes], tags: dict[int, Any], *, after: int = 0, order: str = "<") -> Path:
    """A classic TIFF: strips, then one directory, then what does not fit into it; `after` is where the next one would be.

    `tags` are code → (type, numbers), or (2, text).
    """
    ends = np.cumsum([8, *map(len, strips)]).tolist()
    tags = {273: (4, ends[:-1]), 279: (4, [len(s) for s in strips]), **tags}
    first = ends[-1] + ends[-1] % 2
    beyond = first + 2 + 12 * len(tags) + 4
    entries, rest = b"", b""
    for code, (kind, values) in sorted(tags.items()):
        raw = values.encode() + b"\0" if kind == 2 else struct.pack(f"{order}{len(values)}{'HII'[kind - 3]}", *values)
        count = len(raw) if kind == 2 else len(values) // (2 if kind == 5 else 1)
        value = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(f"{order}I", beyond + len(rest))
        rest += raw if len(raw) > 4 else b""
        entries += struct.pack(f"{order}HHI", code, kind, count) + value
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, first)
    directory = struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", after)
    path.write_bytes(head + b"".join(strips).ljust(first - 8, b"\0") + directory + rest)
    return path


def tags_of(rows: int = ROWS, columns: int = COLUMNS, *, compression: int = 1, rows_in_strip: int = ROWS, **more: Any) -> Any:
    """Tags of a grey image of 8 bits with 40000 pixels per cm."""
    common = {256: (4, [columns]), 257: (4, [rows]), 258: (3, [8]), 259: (3, [compression]), 262: (3, [1]), 277: (3, [1])}
    common |= {278: (4, [rows_in_strip]), 282: (5, [40_000, 1]), 283: (5, [40_000, 1]), 296: (3, [3])}
    return common | more.get("extra", {})


def packbits(folder: Path) -> Path:
    """See above."""
    image = planted()[0]
    strips = []
    for top in range(0, ROWS, 3):
        rows = image[top : top + 3]
        strips.append(b"".join(bytes([COLUMNS - 1]) + row.tobytes() for row in rows))
    return by_hand(folder / "packbits.tif", strips, tags_of(compression=32773, rows_in_strip=3))


def lzw_values() -> Any:
    """What `lzw` holds."""
    r, c = np.indices((120, 90))
    return ((r * c) % 251).astype(np.uint8)


def lzw(folder: Path) -> Path:
    """See above."""
    from PIL import Image

    path = folder / "lzw.tif"
    Image.fromarray(lzw_values()).save(path, compression="tiff_lzw", tiffinfo={282: 40_000.0, 283: 40_000.0, 296: 3})
    return path


def array() -> xr.DataArray:
    """What `ours` and `ours_ome` hold."""
    measured = np.ones((ROWS, COLUMNS), bool)
    measured[4, 5] = False
    return xr.DataArray(
        planted(6, np.int64).reshape(2, 3, ROWS, COLUMNS),
        dims=("time", "fragment", "y", "x"),
        coords={
            "time": ("time", [0.0, 2.5], {"units": "s"}),
            "fragment": ["PO3-", "S-", "Cl-"],
            "mz": ("fragment", [78.9591, 31.9726, 34.9694], {"units": "Da"}),
            "y": ("y", (np.arange(ROWS) + 0.5) * 0.1, {"units": "um", "long_name": "y, downwards from the upper edge"}),
            "x": ("x", (np.arange(COLUMNS) + 0.5) * 0.2, {"units": "um"}),
            "measured": (("y", "x"), measured),
        },
        attrs={"units": "counts", "long_name": "ion counts", "technique": "tof-sims", "tilt": 52.0, "history": "made by hand"},
    )


def ours(folder: Path) -> Path:
    """See above."""
    return io.save(array(), folder / "ours.tif", overwrite=True)


def ours_ome(folder: Path) -> Path:
    """See above."""
    return io.save(array(), folder / "ours.ome.tif", overwrite=True)


def boundaries(content: bytes) -> list[int]:
    """Where directories, values of tags, and strips or tiles begin and end."""
    places = {4, 8}
    with tifffile.TiffFile(streams.BytesIO(content)) as file:
        for page in file.pages:
            places |= {page.offset, page.offset + 2}
            for tag in page.tags:
                places |= {tag.offset, tag.offset + 12, tag.valueoffset}
            for at, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                places |= {at, at + size}
    return sorted(p for p in places if p <= len(content))


_MADE = (zeiss, fei, tescan, jeol, hitachi, plain, imagej, ome, tiles, colour, packbits, lzw, ours, ours_ome)
EXAMPLES = [Example(write.__name__, "tiff", write, boundaries=boundaries) for write in _MADE]
REAL = [
    Real(
        "sem/FEI-Helios-Ebeam-16bits.tif",
        "tiff",
        {"shape": (471, 512), "sum": 189324800, "pixel y": 3.3724, "pixel x": 3.3724},
    ),
    Real(
        "sem/test_tiff_Zeiss_SEM_512pix.tif",
        "tiff",
        {"shape": (384, 512), "sum": 29410719, "pixel y": 1.1649976e-2, "pixel x": 1.1649976e-2},
    ),
]
