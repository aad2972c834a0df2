"""Small files of HyperSpy and of formats that RosettaSciIO writes, and the real Bruker map with what is stated of it.

Cube and image count up: the value at [i, j, k] of a shape (I, J, K) is (i J + j) K + k, so that
    cube (3, 4, 5)      sums to 1770, largest 59 at [2, 3, 4]
    image (3, 4)        sums to 66, largest 11 at [2, 3]

    ours.hspy, ours.zspy   a (scan, y, x, mz) cube (2, 3, 4, 5) of ours: values 0 to 119, sum 7140; pixel 0.1 um (y), 0.2 um (x);
                m/z 12, 24, 48, 62.9641, 78.9591; `measured` false at [1, 2]; polarity negative; history of one line
    sparse.hspy the same cube as `sparse.COO`, uint32
    raman.hspy  written by HyperSpy: cube; y 500 nm, x 0.25 um per pixel, from y = 1 um; "Raman shift" 300, 302 … 308 1/cm,
                stored descending, so that index k of the file is 4 - k here; quantity "Intensity (Counts)"; operator "A. Person"
    two.hspy    written by HyperSpy: image "SE" as float32, 0.05 um per pixel, and "EDS" cube, 0.1 um, Energy 0.0 … 0.04 keV
    maps.emd    Berkeley EMD: image, y 20 nm, x 10 nm
    surface.sur Digital Surf: image x 0.5, y 2 um, x 1 um
    cube.rpl    Ripple (and cube.raw): cube as uint16, y 0.5 um, x 0.25 um, Energy from 0.1 keV in steps of 0.01 keV
    eds.msa     EMSA/MAS: counts 0, 10, 40, 90, 160 at 0.2, 0.21 … 0.24 keV
    grey.png    image times 10 as uint8; states no pixel size
    line.map    JEOL: image as uint8, 2 mm of scan at magnification 1000, so 0.5 um (x) and 2/3 um (y) per pixel; 15 kV
    events.pts  JEOL: 2 x 4 pixels of 1/8 um (x) and 1/4 um (y), 4096 channels of 0.01 keV from -0.5 keV; an X-ray in channel 100
                of each pixel, two in channel 1000 of row 1, column 2: 10 counts in all
"""

from __future__ import annotations

import runpy
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import sparse
import xarray as xr

from ssbmaps._conventions import raster_coords, spectral_coord
from ssbmaps.io import _hyperspy_bridge

for _name in ("fuzzing", "real_files"):
    if _name not in sys.modules:
        _module = type(sys)(_name)
        sys.modules[_name] = _module
        _module.__dict__.update(runpy.run_path(str(Path(__file__).with_name(f"{_name}.py")), run_name=_name))
Example, Real = sys.modules["fuzzing"].Example, sys.modules["real_files"].Real

CUBE = np.arange(60).reshape(3, 4, 5)
IMAGE = np.arange(12).reshape(3, 4)
MZ = [12.0, 24.0, 48.0, 62.9641, 78.9591]
COUNTS = np.array([0.0, 10.0, 40.0, 90.0, 160.0])


def ours(container: str = "dense") -> xr.DataArray:
    """A cube that keeps the contract."""
    values: Any = np.arange(120, dtype=np.uint32).reshape(2, 3, 4, 5)
    measured = np.ones((3, 4), bool)
    measured[1, 2] = False
    coords: dict[str, Any] = raster_coords((3, 4), (0.1, 0.2)) | {"mz": spectral_coord("mz", MZ), "scan": [0, 1]}
    coords |= {"measured": (("y", "x"), measured), "frame": ("scan", [3, 7], {"long_name": "frame within the cycle"})}
    attrs = {"units": "counts", "long_name": "ion counts", "technique": "tof-sims", "polarity": "negative"}
    attrs |= {"source": "small.h5", "source_sha256": "0" * 64, "history": "made by hand", "original_metadata": '{"kept": [1, 2]}'}
    data = sparse.COO.from_numpy(values) if container == "sparse" else values
    return xr.DataArray(data, dims=("scan", "y", "x", "mz"), coords=coords, attrs=attrs)


def axis(name: str, size: int, scale: float, units: str, *, offset: float = 0.0, navigate: bool = True) -> dict[str, Any]:
    """One axis as HyperSpy describes it."""
    return {"name": name, "size": size, "scale": scale, "offset": offset, "units": units, "navigate": navigate}


def signal(name: str, values: Any, axes: list[dict[str, Any]], quantity: str = "", signal_type: str = "") -> dict[str, Any]:
    """A signal's dictionary, as RosettaSciIO's writers take it."""
    return {
        "data": values,
        "axes": axes,
        "metadata": {"General": {"title": name}, "Signal": {"quantity": quantity, "signal_type": signal_type}},
        "original_metadata": {"operator": "A. Person", "folder": "C:\\Users\\person", "dwell": 0.5},
        "learning_results": {},
        "attributes": {"_lazy": False, "ragged": False},
        "models": {},
        "tmp_parameters": {},
    }


def write_ours(folder: Path, ending: str = ".hspy", container: str = "dense") -> Path:
    path = folder / f"{'ours' if container == 'dense' else container}{ending}"
    _hyperspy_bridge.write_hyperspy(ours(container), path)
    return path


def write_raman(folder: Path) -> Path:
    import hyperspy.api as hs

    axes = [axis("y", 3, 500.0, "nm", offset=1000.0), axis("x", 4, 0.25, "µm")]
    axes.append(axis("Raman shift", 5, -2.0, "1/cm", offset=308.0, navigate=False))
    told = signal("map", CUBE.astype(np.float32), axes, "Intensity (Counts)")
    one = hs.signals.Signal1D(**{k: told[k] for k in ("data", "axes", "metadata", "original_metadata")})
    one.save(folder / "raman.hspy", overwrite=True)
    return folder / "raman.hspy"


def write_two(folder: Path) -> Path:
    """Two signals in one file, as a stack of results has them."""
    import h5py
    from rsciio.hspy import file_writer

    path, other = folder / "two.hspy", folder / "eds.hspy"
    image = [axis("y", 3, 0.05, "µm", navigate=False), axis("x", 4, 0.05, "µm", navigate=False)]
    cube = [axis("y", 3, 0.1, "µm"), axis("x", 4, 0.1, "µm"), axis("Energy", 5, 0.01, "keV", navigate=False)]
    package = {"package_info": {"package": "hyperspy", "package_version": "2.5.0"}}
    file_writer(str(path), signal("SE", IMAGE.astype(np.float32), image) | package)
    eds = signal("EDS", CUBE.astype(np.uint16), cube, "X-rays (Counts)", "EDS_SEM") | package
    file_writer(str(other), eds)
    with h5py.File(path, "a") as into, h5py.File(other) as from_:
        from_.copy("Experiments/EDS", into["Experiments"])
    other.unlink()
    return path


def write_emd(folder: Path) -> Path:
    from rsciio.emd import file_writer

    axes = [axis("y", 3, 20.0, "nm", navigate=False), axis("x", 4, 10.0, "nm", navigate=False)]
    file_writer(str(folder / "maps.emd"), signal("maps", IMAGE.astype(np.float64), axes))
    return folder / "maps.emd"


def write_sur(folder: Path) -> Path:
    from rsciio.digitalsurf import file_writer

    axes = [axis("Y", 3, 2.0, "um", navigate=False), axis("X", 4, 1.0, "um", navigate=False)]
    file_writer(str(folder / "surface.sur"), signal("surface", IMAGE * 0.5, axes), set_comments="off")
    return folder / "surface.sur"


def write_rpl(folder: Path) -> Path:
    from rsciio.ripple import file_writer

    axes = [axis("y", 3, 0.5, "µm"), axis("x", 4, 0.25, "µm")]
    axes.append(axis("Energy", 5, 0.01, "keV", offset=0.1, navigate=False))
    file_writer(str(folder / "cube.rpl"), signal("cube", CUBE.astype(np.uint16), axes))
    return folder / "cube.rpl"


def write_msa(folder: Path) -> Path:
    from rsciio.msa import file_writer

    axes = [axis("Energy", 5, 0.01, "keV", offset=0.2, navigate=False)]
    file_writer(str(folder / "eds.msa"), signal("eds", COUNTS, axes, signal_type="EDS_SEM"))
    return folder / "eds.msa"


def write_png(folder: Path) -> Path:
    from rsciio.image import file_writer

    axes = [axis("y", 3, 1.0, "", navigate=False), axis("x", 4, 1.0, "", navigate=False)]
    file_writer(str(folder / "grey.png"), signal("grey", (IMAGE * 10).astype(np.uint8), axes))
    return folder / "grey.png"


def _note(name: str, kind: int = 0, value: bytes = b"", *inside: bytes) -> bytes:
    """A node of JEOL's trees: its name, the type and bytes of its value, the nodes inside, and an end."""
    text = name.encode() + b"\0"
    return b"\1" + struct.pack("<i", len(text)) + text + struct.pack("<ii", kind, len(value)) + value + b"".join(inside) + b"\xff"


def _number(name: str, value: float) -> bytes:
    return _note(name, 5, struct.pack("<d", value))


def _text(name: str, value: str) -> bytes:
    return _note(name, 12, value.encode() + b"\0")


def write_map(folder: Path) -> Path:
    image = _note(
        "Image",
        0,
        b"",
        _note("Size", 3, struct.pack("<ii", 4, 3)),
        _note("Bits", 1, IMAGE.astype(np.uint8).tobytes()),
        _number("Created", 45000.0),
        _text("Title", "S K"),
    )
    instrument = _note("Instrument", 0, b"", _number("ScanSize", 2.0), _number("Mag", 1000.0), _number("AccV", 15.0))
    head = struct.pack("<I32s3I", 52, b"JED-2200:LibJxImageForm", 0, 0, 52)
    path = folder / "line.map"
    path.write_bytes(head.ljust(64, b"\0") + image + instrument + b"\0")
    return path


def write_pts(folder: Path) -> Path:
    """One sweep: row, column and X-ray events as 16-bit numbers with the kind in the upper four bits."""
    events = []
    for row in range(2):
        events.append(0x9000 + row * 2048)
        for column in range(4):
            events += [0x8000 + column * 1024, 0xB000 + 100, *([0xB000 + 1000] * 2 if (row, column) == (1, 2) else [])]
    doc = [_number("CoefA", 0.01), _number("CoefB", 0.0), _number("DwellTime(msec)", 1.0), _number("RealTime", 1.0)]
    doc.append(_note("Sweep", 3, struct.pack("<i", 1)))
    measured = [_note("Meas Cond", 0, b"", _text("Pixels", "4x2"), _text("Tpl", "T1")), _note("Doc", 0, b"", *doc)]
    measured.append(_note("MeasCond", 0, b"", _number("Mag", 1000.0), _number("AccKV", 15.0)))
    sem = [_number(n, v) for n, v in (("ScanSize", 0.5), ("DirAng", 0.0), ("ElevAng", 0.0), ("MnKaRES", 0.0))]
    pages = _note("PARAMPAGE0_SEM", 0, b"", *sem, _text("DetT", "SDD"))
    pages += _note("PARAMPAGE1_EDXRF", 0, b"", _note("Tpl", 0, b"", _note("T1", 0, b"", _number("DigZ", 50.0))))
    tree = _note("PTTD Param", 0, b"", _note("Params", 0, b"", pages))
    tree += _note("PTTD Data", 0, b"", _note("AnalyzableMap MeasData", 0, b"", *measured)) + b"\0"
    start = 320 + len(tree)
    data = struct.pack(f"<{len(events)}H", *events)
    head = struct.pack("<I8s6I128s132sd", 304, b"PTTDFILE", 131072, 1, 308, len(tree), start, len(data), b"", b"", 45000.0)
    path = folder / "events.pts"
    path.write_bytes(head.ljust(320, b"\0") + tree + data)
    return path


def every(step: int) -> Any:
    """Boundaries of files whose blocks lie where the library puts them: every `step` bytes."""
    return lambda content: range(0, len(content), step)


def chunk_of(path: Path) -> Path:
    """The file of a .zspy that holds the values."""
    return next(p for p in sorted(path.rglob("data/*")) if not p.name.startswith("."))


EXAMPLES = [
    Example("ours.hspy", "hyperspy", write_ours, boundaries=every(512)),
    Example("sparse.hspy", "hyperspy", lambda f: write_ours(f, container="sparse"), boundaries=every(512)),
    Example("raman.hspy", "hyperspy", write_raman, boundaries=every(512)),
    Example("two.hspy", "hyperspy", write_two, {"dataset": "SE"}, boundaries=every(512)),
    Example("ours.zspy, values", "hyperspy", lambda f: write_ours(f, ".zspy"), boundaries=every(8), victim=chunk_of),
    Example("ours.zspy, notes", "hyperspy", lambda f: write_ours(f, ".zspy"), victim=lambda p: p / ".zattrs"),
    Example("maps.emd", "rosettasciio", write_emd, boundaries=every(512)),
    Example("surface.sur", "rosettasciio", write_sur, boundaries=every(16)),
    Example("cube.rpl", "rosettasciio", write_rpl),
    Example("cube.rpl, values", "rosettasciio", write_rpl, boundaries=every(2), victim=lambda p: p.with_suffix(".raw")),
    Example("eds.msa", "rosettasciio", write_msa),
    Example("line.map", "rosettasciio", write_map, boundaries=every(8)),
    Example("events.pts", "rosettasciio", write_pts, boundaries=every(16)),
    Example("grey.png", "rosettasciio", write_png, {"pixel_size": 1.0}, boundaries=every(4)),
]


def _bcf(dataset: str | None, stated: dict[str, Any]) -> Any:
    options = {} if dataset is None else {"dataset": dataset}
    return Real("sem/P45_the_default_job.bcf", "rosettasciio", stated, options)


REAL = [
    _bcf(
        None, {"shape": (75, 100, 2048), "sum": 165941, "max": 7, "max at": (14, 32, 222), "pixel y": 8.73679, "pixel x": 8.73679}
    ),
    _bcf("BSE", {"shape": (75, 100), "pixel y": 8.73679, "pixel x": 8.73679}),
    _bcf("SE", {"shape": (75, 100), "pixel y": 8.73679, "pixel x": 8.73679}),
]
