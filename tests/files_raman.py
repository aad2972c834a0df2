"""Writes small Renishaw WDF files of every layout, and holds what the Raman generators share. All numbers are here.

A spectrum has 5 channels. Channel k of the spectrum at depth or time t, row y, column x (each counted from 0) holds
1000 t + 100 y + 10 x + k + 0.5, exact in every number type that is written. The map has 2 rows and 3 columns; its steps are
1.5 um (y) and 2.5 um (x), its first place is the stage's y = -40 um, x = 20 um (upper left). Volumes and series have 4 depths
of 0.5 um from -1 um, or times 0, 2, 4, 6 s.

Axes: 1/cm 400, 500, 600, 700, 800; nm 540, 541, 543, 546, 550 with a laser of 532 nm; files store them descending where said.
k counts the channels as stored, so a descending file gives its highest k at the lowest shift.

WDF: blocks WDF1, DATA, YLST, XLST, WXDA (20 bytes of nothing), ORGN, TEXT, WMAP, WHTL. Spectra are stored in the order of
acquisition; the spectrum of number n was taken 2 n s after the first, at tick 133000000000000000. The laser is given as
1e7 / 532 1/cm in 32 bits. The interrupted map has 4 x 4 places of 1.5 and 2.5 um, of which the first 12 were measured. The line
runs from (y, x) = (-40, 20) in 3 steps of 3 um (y) and 4 um (x), 5 um each. The picture is 12 wide, 8 high, 24 um x 8 um, its
corner at x = 15, y = -42; its left half is (200, 40, 40), its right half (40, 40, 200), to JPEG's precision.
"""

from __future__ import annotations

import io as python_io
import runpy
import struct
from pathlib import Path

import numpy as np

HERE = Path(__file__)
fuzzing = runpy.run_path(str(HERE.with_name("fuzzing.py")), run_name="fuzzing")
real = runpy.run_path(str(HERE.with_name("real_files.py")), run_name="real_files")
Example, Real, figures = fuzzing["Example"], real["Real"], real["figures"]

POINTS, ROWS, COLUMNS, DEPTHS = 5, 2, 3, 4
STEP_Y, STEP_X, FIRST_Y, FIRST_X = 1.5, 2.5, -40.0, 20.0
STEP_Z, FIRST_Z, STEP_T = 0.5, -1.0, 2.0
LASER = 532.0
SHIFT = np.array([400.0, 500.0, 600.0, 700.0, 800.0])
NM = np.array([540.0, 541.0, 543.0, 546.0, 550.0])
YS, XS = FIRST_Y + STEP_Y * np.arange(ROWS), FIRST_X + STEP_X * np.arange(COLUMNS)
ZS, TS = FIRST_Z + STEP_Z * np.arange(DEPTHS), STEP_T * np.arange(DEPTHS)
START = 133_000_000_000_000_000  # ticks of 100 ns


def planted(t: int = 1, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """(t, rows, columns, 5) values as the docstring has them."""
    at = np.ix_(np.arange(t), np.arange(rows), np.arange(columns), np.arange(POINTS))
    return 1000.0 * at[0] + 100.0 * at[1] + 10.0 * at[2] + at[3] + 0.5


def scan(order: str, rows: int = ROWS, columns: int = COLUMNS) -> list[tuple[int, int]]:
    """(y, x) of each spectrum in the order of acquisition."""
    if order in ("columns", "columns snake"):
        swapped = scan("rows" if order == "columns" else "snake", columns, rows)
        return [(y, x) for x, y in swapped]
    lines = [[(y, x) for x in range(columns)] for y in range(rows)]
    return [place for y, line in enumerate(lines) for place in (line[::-1] if order == "snake" and y % 2 else line)]


def block(name: str, content: bytes, uid: int = 0) -> bytes:
    """One block: name, number, size with its head, content."""
    return struct.pack("<4sIQ", name.encode(), uid, 16 + len(content)) + content


def wdf_header(*, points: int, capacity: int, count: int, lists: int, kind: int, unit: int = 6, laser: float = LASER) -> bytes:
    """Block WDF1, 512 bytes."""
    head = bytearray(512)
    struct.pack_into("<4sIQ", head, 0, b"WDF1", 1, 512)
    struct.pack_into("<IIIQQIIII", head, 0x34, 0, 0, points, capacity, count, 3, 1, points, lists)
    struct.pack_into("<24s4H", head, 0x60, b"WiRE", 5, 5, 0, 1)
    struct.pack_into("<II", head, 0x80, 3, kind)
    struct.pack_into("<QQIf", head, 0x88, START, START, unit, 1e7 / laser if laser else 0.0)
    struct.pack_into("<32s160s", head, 0xD0, b"A. Person", b"planted map")
    return bytes(head)


def origins(lists: dict[tuple[int, int, str], np.ndarray]) -> bytes:
    """Content of block ORGN; keys are (kind with the primary bit, unit, name)."""
    parts = [struct.pack("<I", len(lists))]
    for (kind, unit, name), values in lists.items():
        stored = values.astype("<u8" if kind & 0x7FFFFFFF == 11 else "<f8")
        parts.append(struct.pack("<II16s", kind, unit, name.encode()) + stored.tobytes())
    return b"".join(parts)


def jpeg() -> bytes:
    """The white-light image with its EXIF."""
    from PIL import Image
    from PIL.TiffImagePlugin import IFDRational

    pixels = np.full((8, 12, 3), 40, np.uint8)
    pixels[:, :6, 0], pixels[:, 6:, 2] = 200, 200
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0xFEA0] = (IFDRational(15), IFDRational(-42))
    exif[0x8769] = {0xA20E: IFDRational(24), 0xA20F: IFDRational(8), 0xA210: 5}
    stream = python_io.BytesIO()
    image.save(stream, "JPEG", quality=95, subsampling=0, exif=exif)
    return stream.getvalue()


PRIMARY = 1 << 31
X, Y, Z, TIME = (3 | PRIMARY, 5, "X"), (4 | PRIMARY, 5, "Y"), (5 | PRIMARY, 5, "Z"), (11, 24, "Time")


def write_wdf(
    path: Path,
    spectra: np.ndarray,
    lists: dict[tuple[int, int, str], np.ndarray],
    *,
    kind: int,
    area: tuple[int, tuple[float, ...], tuple[float, ...], tuple[int, ...]] | None = None,
    capacity: int | None = None,
    axis: np.ndarray = SHIFT,
    axis_unit: int = 1,
    picture: bytes | None = None,
    laser: float = LASER,
    unit: int = 6,
) -> Path:
    """A WDF file of `spectra` (n, points) in the order given; lists are padded with zeros to `capacity`."""
    count = len(spectra)
    capacity = capacity or count
    lists = {**lists, TIME: START + np.arange(count) * 20_000_000}
    padded = {key: np.concatenate([v, np.zeros(capacity - count, v.dtype)]) for key, v in lists.items()}
    data = np.zeros((capacity, len(axis)), "<f4")
    data[:count] = spectra
    parts = [
        wdf_header(points=len(axis), capacity=capacity, count=count, lists=len(lists), kind=kind, laser=laser, unit=unit),
        block("DATA", data.tobytes()),
        block("YLST", struct.pack("<IIf", 4, 16, 25.0)),
        block("XLST", struct.pack("<II", 1, axis_unit) + axis.astype("<f4").tobytes()),
        block("WXDA", bytes(20)),
        block("ORGN", origins(padded)),
        block("TEXT", b"a planted measurement\0"),
    ]
    if area is not None:
        flags, first, step, number = area
        parts.append(block("WMAP", struct.pack("<II3f3f3II", flags, 0, *first, *step, *number, 0)))
    if picture is not None:
        parts.append(block("WHTL", picture))
    path.write_bytes(b"".join(parts))
    return path


FLAGS = {"rows": 0, "columns": 2, "snake": 4, "columns snake": 6}


def wdf_map(
    folder: Path, order: str = "rows", *, steps: tuple[int, int] = (1, 1), measured: int | None = None, **options
) -> Path:
    """A map acquired in `order`; `steps` of -1 begin at the last row or column. 4 x 4 if only `measured` were taken."""
    rows, columns = (ROWS, COLUMNS) if measured is None else (4, 4)
    places = scan(order, rows, columns)[:measured]
    places = [(y if steps[0] > 0 else rows - 1 - y, x if steps[1] > 0 else columns - 1 - x) for y, x in places]
    ys, xs = np.array(places).T
    values = planted(1, rows, columns)[0, ys, xs]
    last = (FIRST_Y + STEP_Y * (rows - 1), FIRST_X + STEP_X * (columns - 1))
    first = (FIRST_X if steps[1] > 0 else last[1], FIRST_Y if steps[0] > 0 else last[0], 0.0)
    area = (FLAGS[order], first, (STEP_X * steps[1], STEP_Y * steps[0], 1.0), (columns, rows, 1))
    lists = {X: FIRST_X + STEP_X * xs, Y: FIRST_Y + STEP_Y * ys}
    path = folder / "map.wdf"
    return write_wdf(path, values, lists, kind=3, area=area, capacity=rows * columns, **options)


def wdf_map_nm(folder: Path) -> Path:
    """The map with the axis in nm, stored descending, and a picture."""
    return wdf_map(folder, axis=NM[::-1], axis_unit=3, picture=jpeg())


def wdf_line(folder: Path, *, flags: int = 128) -> Path:
    """A line of 4 points, 5 um apart."""
    n = np.arange(4)
    lists = {X: FIRST_X + 4.0 * n, Y: FIRST_Y + 3.0 * n}
    area = (flags, (FIRST_X, FIRST_Y, 0.0), (4.0, 3.0, 1.0), (4, 1, 1))
    return write_wdf(folder / "line.wdf", planted(1, 1, 4)[0, 0], lists, kind=3, area=area)


def wdf_points(folder: Path, *, capacity: int | None = None) -> Path:
    """4 random points, or the first 4 of more."""
    lists = {X: np.array([3.0, 11.5, 7.25, 4.0]), Y: np.array([9.0, 2.0, 30.5, 2.5])}
    area = (1, (3.0, 2.0, 0.0), (1.0, 1.0, 1.0), (4, 1, 1))
    return write_wdf(folder / "points.wdf", planted(1, 1, 4)[0, 0], lists, kind=3, area=area, capacity=capacity)


def wdf_volume(folder: Path, *, measured: int | None = None) -> Path:
    """The map at 4 depths, depth by depth from the deepest."""
    z, y, x = (i.ravel()[:measured] for i in np.meshgrid(*map(np.arange, (DEPTHS, ROWS, COLUMNS)), indexing="ij"))
    z = DEPTHS - 1 - z
    lists = {X: FIRST_X + STEP_X * x, Y: FIRST_Y + STEP_Y * y, Z: FIRST_Z + STEP_Z * z}
    area = (0, (FIRST_X, FIRST_Y, FIRST_Z + 3 * STEP_Z), (STEP_X, STEP_Y, -STEP_Z), (COLUMNS, ROWS, DEPTHS))
    values = planted(DEPTHS)[z, y, x]
    capacity = DEPTHS * ROWS * COLUMNS
    return write_wdf(folder / "volume.wdf", values, lists, kind=3, area=area, capacity=capacity)


def wdf_slice(folder: Path, *, flags: int = 128) -> Path:
    """A line of 3 points at 4 depths: along (3, 4) um with the flag of a line, else along x."""
    z, n = (i.ravel() for i in np.meshgrid(np.arange(DEPTHS), np.arange(COLUMNS), indexing="ij"))
    slope = 3.0 if flags else 0.0
    lists = {X: FIRST_X + 4.0 * n, Y: FIRST_Y + slope * n, Z: FIRST_Z + STEP_Z * z}
    area = (flags, (FIRST_X, FIRST_Y, FIRST_Z), (4.0, 3.0, STEP_Z), (COLUMNS, 1, DEPTHS))
    return write_wdf(folder / "slice.wdf", planted(DEPTHS, 1)[z, 0, n], lists, kind=3, area=area)


def wdf_depths(folder: Path) -> Path:
    """A depth series at one place, from above downwards."""
    z = np.arange(DEPTHS)[::-1]
    return write_wdf(folder / "depths.wdf", planted(DEPTHS)[z, 0, 0], {Z: FIRST_Z + STEP_Z * z}, kind=2)


def wdf_times(folder: Path, *, capacity: int | None = None) -> Path:
    """A time series."""
    return write_wdf(folder / "times.wdf", planted(DEPTHS)[:, 0, 0], {}, kind=2, capacity=capacity)


def wdf_single(folder: Path) -> Path:
    """One spectrum, in nm."""
    return write_wdf(folder / "single.wdf", planted()[:, 0, 0], {}, kind=1, axis=NM, axis_unit=3)


def wdf_blocks(content: bytes) -> list[int]:
    """Where the blocks begin."""
    at, found = 0, []
    while at < len(content):
        found.append(at)
        at += struct.unpack_from("<Q", content, at + 8)[0]
    return found


EXAMPLES = [
    Example("WDF map", "wdf", wdf_map, boundaries=wdf_blocks),
    Example("WDF map, nm, picture", "wdf", wdf_map_nm, boundaries=wdf_blocks),
    Example("WDF picture", "wdf", wdf_map_nm, {"dataset": "white-light image"}, boundaries=wdf_blocks),
    Example("WDF map, columns in turns", "wdf", lambda folder: wdf_map(folder, "columns snake"), boundaries=wdf_blocks),
    Example("WDF map, interrupted", "wdf", lambda folder: wdf_map(folder, measured=12), boundaries=wdf_blocks),
    Example("WDF line", "wdf", wdf_line, boundaries=wdf_blocks),
    Example("WDF points", "wdf", wdf_points, boundaries=wdf_blocks),
    Example("WDF volume", "wdf", wdf_volume, boundaries=wdf_blocks),
    Example("WDF slice", "wdf", wdf_slice, boundaries=wdf_blocks),
    Example("WDF depth series", "wdf", wdf_depths, boundaries=wdf_blocks),
    Example("WDF time series", "wdf", wdf_times, boundaries=wdf_blocks),
    Example("WDF spectrum", "wdf", wdf_single, boundaries=wdf_blocks),
]


def stage_figures(cube) -> dict:
    """The common figures, and where the stage began, the laser line, and the step along a line."""
    told = dict(figures(cube))
    for name in ("stage_y", "stage_x"):
        if name in cube.coords:
            told[name] = float(cube.coords[name].values.min())
    if "laser_wavelength" in cube.attrs:
        told["laser"] = round(cube.attrs["laser_wavelength"], 3)
    for name in ("distance_along", "y", "x"):
        if "point" in cube.dims and name in cube.coords:
            told[f"step {name}"] = float(np.diff(cube.coords[name].values).mean())
    return told


def streamline_figures(cube) -> dict:
    """The same, and the place of the largest value as if the file's spectra, in the order of their times, were row after row."""
    told = stage_figures(cube)
    y, x, channel = told["max at"]
    times = cube.coords["acquisition_time"].values
    number = int((times < times[y, x]).sum())
    told["max at, counted row by row"] = (*(int(i) for i in np.unravel_index(number, times.shape)), channel)
    return told


def picture_figures(cube) -> dict:
    """Height and width of a picture."""
    return {"size": (cube.sizes["y"], cube.sizes["x"])}


PICTURE = {"dataset": "white-light image"}
REAL = [
    Real(
        "renishaw/renishaw_test_linescan.wdf",
        "wdf",
        {
            "shape": (5, 40),
            "step distance_along": 30,
            "step y": 21.2132,
            "step x": 21.2132,
            "wavelength": (361.3132, 364.6418),
            "sum": 118.876093,
        },
        measure=stage_figures,
    ),
    Real(
        "renishaw/renishaw_test_map.wdf",
        "wdf",
        {
            "shape": (3, 3, 47),
            "pixel y": 100,
            "pixel x": 100,
            "stage_y": -100,
            "stage_x": -100,
            "wavelength": (346.7728, 350.6773),
            "sum": 665.056996,
            "max": 4.12716675,
            "max at": (0, 0, 23),
        },
        measure=stage_figures,
    ),
    Real(
        "renishaw/renishaw_test_map2.wdf",
        "wdf",
        {
            "shape": (20, 20, 1015),
            "pixel y": 1,
            "pixel x": 1,
            "stage_x": 4950.8,
            "stage_y": -105970.3,
            "wavelength": (326.1717, 412.4484),
            "laser": 325,
            "sum": 6403790.95,
            "max": 730.710571,
            "max at": (17, 18, 365),
        },
        measure=stage_figures,
    ),
    Real("renishaw/renishaw_test_map2.wdf", "wdf", {"size": (480, 752)}, PICTURE, picture_figures),
    Real(
        "renishaw/renishaw_test_streamline.wdf",
        "wdf",
        {
            "shape": (49, 45, 394),
            "pixel y": 2.6,
            "pixel x": 2.6,
            "stage_x": -8100.3,
            "stage_y": -1201.3,
            "raman_shift": (924.1953, 1667.6943),
            "laser": 784.997,
            "sum": 727746334,
            "max": 28117.0391,
            "max at, counted row by row": (30, 37, 7),
        },
        measure=streamline_figures,
    ),
    Real("renishaw/renishaw_test_streamline.wdf", "wdf", {"size": (240, 376)}, PICTURE, picture_figures),
]
