"""Small Raman exports as text and as a MAT-file, written line by line, and the real ones with what is stated of them.

The planted map has 3 rows (y downwards), 4 columns and 5 channels, in 1/cm 993.4, 995.2, 996.9, 998.5, 1000. Its value at row i,
column j, channel k is 100 i + 10 j + k + 0.5: the sum is 60 · (100 + 15 + 2 + 0.5) = 7050, the largest 234.5 at [2, 3, 4]. Rows
lie at 10, 10.5, 11 um, columns at -5, -2.5, 0, 2.5 um; the laser line is 532 nm. Files have the axis descending, as LabSpec and
WiRE write it, so that channel k of the file is 4 - k here.

    labspec map      y fastest, at each x; "#" header in Latin-1, counts
    labspec nm       the same with the axis in nm, 1 / (1/532 - 1e-7 shift), and a laser of 532 nm in the header
    labspec comma    the map with decimal commas
    labspec cut      the map's first 8 spectra: columns 0 and 1, and two pixels of column 2; the last pixel is not measured
    labspec points   the spectra of pixels 0 to 6 at x = 0, 1.1, 2.7, 3.1, 5, 5.2, 7 and y = 0, 2, 1.3, 0.4, 2.2, 0.9, 1.7 um
    labspec line     the spectra of column 1 along y, "#X (µm)= -2.5" in the header
    labspec time     the spectra of row 0 at 0, 0.5, 1 and 2 min
    labspec depth    the spectra of row 0 at z = 4, 2, 0, -2 um (descending)
    labspec single   the spectrum of pixel [0, 1] in two columns; the unit stands in "#Spectro (cm-¹)"
    labspec bare     the map without a header
    renishaw map     x fastest; "#X #Y #Wave #Intensity", CRLF, six decimals
    renishaw cut     its first 9 spectra: rows 0 and 1, and one pixel of row 2
    renishaw stack   two such maps, at z = 0 and 3 um, the second one 1000 higher
    renishaw time    the spectra of row 0 at 0, 1, 2, 3 s
    renishaw single  the spectrum of pixel [0, 1]
    witec table      titles "name(x/y)", x fastest, axis ascending, CCD counts
    witec names      the spectra of row 0 with the titles a, b, c, d
    witec graph      the map in three files, scan of 10 um (x) and 1.5 um (y)
    witec mat        the map as a dataset of PLS_Toolbox, pixels down the columns of the image, axis in nm, float32
    csv long         one row for each value; y and x are the map's own, from 0.25 and 1.25 um on
    csv wide         one row for each pixel: x and y in mm, then a column for each shift
    csv columns      the spectra of row 0: a column of shifts, then a column for each; semicolons and decimal commas
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

for _name in ("fuzzing", "real_files"):
    if _name not in sys.modules:
        _module = type(sys)(_name)
        sys.modules[_name] = _module
        _module.__dict__.update(runpy.run_path(str(Path(__file__).with_name(f"{_name}.py")), run_name=_name))
Example, Real = sys.modules["fuzzing"].Example, sys.modules["real_files"].Real

SHIFTS = np.array([993.4, 995.2, 996.9, 998.5, 1000.0])
LASER = 532.0
WAVELENGTHS = 1 / (1 / LASER - 1e-7 * SHIFTS)
_row, _column, _channel = np.meshgrid(np.arange(3), np.arange(4), np.arange(5), indexing="ij")
PLANTED = 100 * _row + 10 * _column + _channel + 0.5
Y, X = 10 + 0.5 * np.arange(3), -5 + 2.5 * np.arange(4)
POINTS = np.array([[0, 0], [1.1, 2], [2.7, 1.3], [3.1, 0.4], [5, 2.2], [5.2, 0.9], [7, 1.7]])  # x, y


def labspec_header(axis: str = "1/cm", columns: Sequence[tuple[str, str]] = (("X", "µm"), ("Y", "µm")), **more: str) -> list[str]:
    """The "#" lines of LabSpec 6, with an operator that must not be kept."""
    lines = ["#Acq. time (s)=\t0.2", "#Accumulations=\t1", "#Operator=\tA. Person", "#Laser (nm)=\t532 ", "#Title=\tplanted"]
    lines += [f"#{name}=\t{value}" for name, value in more.items()]
    types = [("Intens", "Cnt"), ("Spectr", axis), *columns]
    return lines + [f"#Axis{what}[{i}]={pair[n]}" for i, pair in enumerate(types) for n, what in enumerate(("Type", "Unit"))]


def labspec_rows(axis: Any, places: Iterable[Sequence[float]], spectra: Any) -> list[str]:
    """The row of the axis behind empty fields, then position and spectrum; all descending."""
    rows = [[*map(num, place), *map(num, spectrum[::-1])] for place, spectrum in zip(places, spectra, strict=True)]
    blank = len(rows[0]) - len(axis)
    return ["\t".join(row) for row in [[""] * blank + [num(v) for v in axis[::-1]], *rows]]


def num(value: float) -> str:
    """Six digits, as LabSpec writes."""
    return f"{value:.6g}"


def put(folder: Path, name: str, lines: Iterable[str], end: str = "\n", encoding: str = "latin-1") -> Path:
    path = folder / name
    path.write_bytes("".join(line + end for line in lines).encode(encoding))
    return path


def by_column(n: int = 12) -> tuple[list[tuple[float, float]], Any]:
    """(x, y) and spectra, y fastest; the first `n`."""
    return [(x, y) for x in X for y in Y][:n], PLANTED.transpose(1, 0, 2).reshape(12, 5)[:n]


def labspec_map(folder: Path, n: int = 12) -> Path:
    return put(folder, "map.txt", labspec_header() + labspec_rows(SHIFTS, *by_column(n)))


def labspec_nm(folder: Path) -> Path:
    rows = labspec_rows(WAVELENGTHS, *by_column())
    return put(folder, "map_nm.txt", labspec_header("nm") + rows)


def labspec_comma(folder: Path) -> Path:
    return put(folder, "comma.txt", labspec_header() + [r.replace(".", ",") for r in labspec_rows(SHIFTS, *by_column())])


def labspec_points(folder: Path) -> Path:
    return put(folder, "points.txt", labspec_header() + labspec_rows(SHIFTS, POINTS, PLANTED.reshape(12, 5)[:7]))


def labspec_line(folder: Path) -> Path:
    header = labspec_header(columns=[("Y", "µm")], **{"X (µm)": "-2.5"})
    return put(folder, "line.txt", header + labspec_rows(SHIFTS, Y[:, None], PLANTED[:, 1]))


def labspec_time(folder: Path) -> Path:
    header = labspec_header(columns=[("Time", "min")])
    return put(folder, "time.txt", header + labspec_rows(SHIFTS, [[0.0], [0.5], [1.0], [2.0]], PLANTED[0]))


def labspec_depth(folder: Path) -> Path:
    header = labspec_header(columns=[("Z", "µm")])
    return put(folder, "depth.txt", header + labspec_rows(SHIFTS, [[4.0], [2.0], [0.0], [-2.0]], PLANTED[0]))


def labspec_single(folder: Path) -> Path:
    header = ["#Acq. time (s)=\t30", "#Accumulations=\t2", "#Laser (nm)=\t532 ", "#Spectro (cm-¹)=\t995"]
    rows = [f"{num(s)}\t{num(v)}" for s, v in zip(SHIFTS, PLANTED[0, 1], strict=True)]
    return put(folder, "single.txt", header + rows)


def labspec_bare(folder: Path) -> Path:
    return put(folder, "bare.txt", labspec_rows(SHIFTS, *by_column()))


def renishaw(folder: Path, name: str, columns: str, places: Iterable[Sequence[float]], spectra: Any) -> Path:
    """WiRE's text: two tabs between the names, one between the numbers."""
    lines = ["\t\t".join(columns.split())]
    for place, spectrum in zip(places, spectra, strict=True):
        at = "".join(f"{v:.6f}\t" for v in place)
        lines += [f"{at}{s:.6f}\t{v:.6f}" for s, v in zip(SHIFTS[::-1], spectrum[::-1], strict=True)]
    return put(folder, name, lines, "\r\n")


def renishaw_map(folder: Path, n: int = 12) -> Path:
    places = [(x, y) for y in Y for x in X][:n]
    return renishaw(folder, "wire.txt", "#X #Y #Wave #Intensity", places, PLANTED.reshape(12, 5)[:n])


def renishaw_stack(folder: Path) -> Path:
    places = [(x, y, z) for z in (0.0, 3.0) for y in Y for x in X]
    spectra = np.stack([PLANTED, PLANTED + 1000]).reshape(24, 5)
    return renishaw(folder, "stack.txt", "#X #Y #Z #Wave #Intensity", places, spectra)


def renishaw_time(folder: Path) -> Path:
    return renishaw(folder, "series.txt", "#Time #Wave #Intensity", np.arange(4.0)[:, None], PLANTED[0])


def renishaw_single(folder: Path) -> Path:
    return renishaw(folder, "one.txt", "#Wave #Intensity", [()], PLANTED[:1, 1])


def witec_table(
    folder: Path, titles: Sequence[str] = (), unit: str = "rel. 1/cm", axis: Any = SHIFTS, spectra: Any = None
) -> Path:
    """Two lines of titles and units, then a column for each spectrum, numbers as WITec writes them."""
    names = titles or [f"scan({j}/{i})" for i in range(3) for j in range(4)]
    columns = PLANTED.reshape(12, 5) if spectra is None else spectra
    lines = ["\t".join(["X-Axis", *names]), "\t".join([unit] + ["CCD cts"] * len(columns))]
    lines += ["\t".join(f" {v:.5E}" for v in (a, *values)) for a, values in zip(axis, columns.T, strict=True)]
    return put(folder, "witec.txt", lines, "\r\n")


def witec_names(folder: Path) -> Path:
    return witec_table(folder, ["a", "b", "c", "d"], spectra=PLANTED[0])


def witec_graph(folder: Path, **fields: str) -> Path:
    """The path of the header; axis and values lie beside it."""
    told = {"FileName": r"C:\\Users\\somebody\\scan.wip", "GraphName": "planted", "SizeX": "4", "SizeY": "3", "SizeGraph": "5"}
    told |= {"ScanUnit": "µm", "ScanWidth": "10", "ScanHeight": "1.5", "XAxisUnit": "rel. 1/cm", "DataUnit": "CCD cts"} | fields
    put(folder, "scan (X-Axis).txt", [f"{v:.4f}" for v in SHIFTS], "\r\n")
    put(folder, "scan (Y-Axis).txt", [f"{v:.3f}" for v in PLANTED.ravel()], "\r\n")
    lines = ["//Exported ASCII-File", "[Header]", *(f"{k} = {v}" for k, v in told.items() if v)]
    return put(folder, "scan (Header).txt", lines, "\r\n")


def beside(part: str) -> Callable[[Path], Path]:
    """The file of another part of the export in three files."""
    return lambda path: path.with_name(path.name.replace("(Header)", part))


def witec_mat(folder: Path, *, packed: bool = False, kind: str = "image", **more: Any) -> Path:
    """Written by scipy, in the shape of WITec's struct."""
    from scipy.io import savemat

    def cells(rows: Sequence[Sequence[Any]]) -> Any:
        made = np.empty((len(rows), len(rows[0])), object)
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                made[i, j] = value
        return made

    nothing = np.empty((0, 0), np.uint8)
    struct = {
        "name": "scan",
        "type": kind,
        "author": "A. Person",
        "date": np.array([2015.0, 7, 23, 19, 5, 28]),
        "imagesize": np.array([[3, 4]], np.uint8),
        "imagemode": np.uint8(1),
        "data": PLANTED.transpose(1, 0, 2).reshape(12, 5).astype(np.float32),
        "axisscale": cells([[nothing, ""], [WAVELENGTHS[None], "nm"]]),
        "imageaxisscale": cells([[0.5 * np.arange(3.0)[None], "µm"], [2.5 * np.arange(4.0)[None], "µm"]]),
        "history": "Created by Project FOUR",
    } | more
    path = folder / "scan.mat"
    savemat(path, {"scan_1": struct}, do_compression=packed)
    return path


def csv_long(folder: Path) -> Path:
    """As `io.save` writes a map."""
    rows = [
        f"{0.5 * i + 0.25},{2.5 * j + 1.25},{SHIFTS[k]},{PLANTED[i, j, k]}" for i in range(3) for j in range(4) for k in range(5)
    ]
    return put(folder, "long.csv", ["y (um),x (um),raman_shift (1/cm),value (counts)", *rows])


def csv_wide(folder: Path) -> Path:
    header = "\t".join(["x (mm)", "y (mm)", "993.4 (1/cm)", *map(str, SHIFTS[1:])])
    rows = [[X[j] / 1e3, Y[i] / 1e3, *PLANTED[i, j]] for i in range(3) for j in range(4)]
    return put(folder, "wide.tsv", ["# exported by hand", header, *("\t".join(map(repr, map(float, row))) for row in rows)])


def csv_columns(folder: Path) -> Path:
    rows = [[SHIFTS[k], *PLANTED[0, :, k]] for k in range(5)]
    lines = ["Raman shift (cm-1);a (counts);b (counts);c (counts);d (counts)"]
    return put(folder, "columns.csv", lines + [";".join(str(v).replace(".", ",") for v in row) for row in rows], "\r\n")


def inside(content: bytes) -> list[int]:
    """Places inside lines. A text that is cut at a line's end is a shorter text; nothing in it tells."""
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == 10)
    starts = np.concatenate([[0], ends[:-1] + 1])
    return [int(m) for s, m, e in zip(starts, (starts + ends) // 2, ends, strict=True) if e - s > 6]


def also_after(*lines: int) -> Callable[[bytes], list[int]]:
    """The same, and the ends of these lines (from 1): there, part of a raster is left, or of a spectrum."""

    def boundaries(content: bytes) -> list[int]:
        ends = np.flatnonzero(np.frombuffer(content, np.uint8) == 10) + 1
        return inside(content) + [int(ends[line - 1]) for line in lines]

    return boundaries


def every(step: int) -> Callable[[bytes], Sequence[int]]:
    """Boundaries of a file of elements of 8 bytes."""
    return lambda content: range(0, len(content), step)


_HEAD = len(labspec_header()) + 1  # lines above the first spectrum
EXAMPLES = [
    Example("labspec map", "labspec_text", labspec_map, boundaries=also_after(*(_HEAD + n for n in (4, 5, 7, 8, 10, 11)))),
    Example("labspec nm", "labspec_text", labspec_nm, boundaries=inside),
    Example("labspec comma", "labspec_text", labspec_comma, boundaries=inside),
    Example("labspec points", "labspec_text", labspec_points, boundaries=inside),
    Example("labspec line", "labspec_text", labspec_line, boundaries=inside),
    Example("labspec depth", "labspec_text", labspec_depth, boundaries=inside),
    Example("labspec single", "labspec_text", labspec_single, boundaries=inside),
    Example("labspec bare", "labspec_text", labspec_bare, {"axis_unit": "1/cm", "axes": ("x", "y")}, boundaries=inside),
    Example("renishaw map", "renishaw_text", renishaw_map, boundaries=also_after(*(n for n in range(22, 61) if n % 20 != 1))),
    Example("renishaw stack", "renishaw_text", renishaw_stack, boundaries=inside),
    Example("renishaw time", "renishaw_text", renishaw_time, boundaries=also_after(8, 9, 10, 12)),
    Example("renishaw single", "renishaw_text", renishaw_single, boundaries=inside),
    Example("witec table", "witec_text", witec_table, {"pixel_size": (0.5, 2.5)}, boundaries=inside),
    Example("witec names", "witec_text", witec_names, boundaries=inside),
    Example("witec graph, header", "witec_text", witec_graph, boundaries=inside),
    Example("witec graph, axis", "witec_text", witec_graph, victim=beside("(X-Axis)")),
    Example("witec graph, values", "witec_text", witec_graph, victim=beside("(Y-Axis)")),
    Example("witec mat", "witec_mat", witec_mat, boundaries=every(8)),
    Example("witec mat, packed", "witec_mat", lambda f: witec_mat(f, packed=True), {"laser": LASER}, boundaries=every(8)),
    Example("csv long", "spectra_csv", csv_long, boundaries=also_after(*(n for n in range(22, 61) if n % 20 != 1))),
    Example("csv wide", "spectra_csv", csv_wide, boundaries=also_after(7, 8, 9, 11, 12, 13)),
    Example("csv columns", "spectra_csv", csv_columns, boundaries=inside),
]


def _witec(cube: Any) -> dict[str, Any]:
    """The usual figures, and the smallest value."""
    return sys.modules["real_files"].figures(cube) | {"min": float(cube.min()), "technique": cube.attrs["technique"]}


REAL = [
    Real(
        "horiba/map_nm.txt.gz",
        "labspec_text",
        {
            "shape": (20, 20, 1020),
            "sum": 251879439,
            "max": 13498.6,
            "max at": (6, 3, 739),  # spectrum 66, y fastest; channel 280 of 1020 descending
            "wavelength": (445.114, 553.967),
            "pixel y": 2.3684,
            "pixel x": 2.3684,
            "stage_y": (10, 55),
            "stage_x": (-30, 15),
            "units": "counts",
            "laser": 405.0,
        },
        measure=lambda cube: (
            sys.modules["real_files"].figures(cube)
            | {name: tuple(cube[name].values[[0, -1]]) for name in ("stage_y", "stage_x")}
            | {"units": cube.attrs["units"], "laser": cube.attrs["laser_wavelength"]}
        ),
        digits=1e-5,
    ),
    Real(
        "witec/Witec-Map_full.txt",
        "witec_text",
        {
            "shape": (5, 5, 1024),
            "sum": 28371431,
            "max": 8784,
            "max at": (0, 0, 137),
            "min": 978,
            "raman_shift": (87.7367, 2821.306),
            "technique": "raman",
        },
        {"pixel_size": 1.0},
        measure=_witec,
        digits=2e-6,  # the file has 2821.31
    ),
    Real(
        "witec/Map.mat",
        "witec_mat",
        {
            "shape": (5, 5, 1024),
            "sum": 28371431,
            "max": 8784,
            "max at": (0, 0, 137),
            "wavelength": (636.3329, 770.3285),
            "pixel y": 1.0,
            "pixel x": 1.0,
        },
        digits=2e-7,  # seven digits are stated
    ),
    Real(
        "witec/Map.mat",
        "witec_mat",
        {"raman_shift": (87.7367, 2821.306), "wavelength": (636.3329, 770.3285)},
        {"laser": 632.8},
        digits=5e-6,  # of a shift of 87.7: the laser line is stated to 0.1 nm, and the export has its own to 0.00002 nm
    ),
]
