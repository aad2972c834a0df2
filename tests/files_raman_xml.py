"""Writes small LabSpec XML and TriVista files of every layout; spectra, axes and places are those of files_raman.py.

LabSpec: values in Cnt/sec, laser 532 nm (shown as 530); the file of 4 spectra of 6 is one that was stopped; uneven columns lie at
20, 22.5 and 26 um. TriVista: values in Counts, laser 532 nm; positions of frames are 1000 times the steps; times from tick
133000000000000000 in steps of 2 s; the windows of the glued spectrum are its channels 0 to 2 and 2 to 4.
"""

from __future__ import annotations

import runpy
from html import escape
from pathlib import Path

import numpy as np

raman = runpy.run_path(str(Path(__file__).with_name("files_raman.py")), run_name="files_raman")
Example, Real, fuzzing, planted = raman["Example"], raman["Real"], raman["fuzzing"], raman["planted"]
POINTS, DEPTHS, LASER, SHIFT = raman["POINTS"], raman["DEPTHS"], raman["LASER"], raman["SHIFT"]
NM, START, YS, XS = raman["NM"], raman["START"], raman["YS"], raman["XS"]
ZS, TS, scan, stage_figures = raman["ZS"], raman["TS"], raman["scan"], raman["stage_figures"]


# --- LabSpec XML ---


def lsx(code: str, content: str, size: int | None = None) -> str:
    """One element."""
    return f'<LSX Format="9" ID="{code}"{"" if size is None else f" Size={chr(34)}{size}{chr(34)}"}>{content}</LSX>\n'


def named(code: str, name: str, value: str, exact: str | None = None) -> str:
    """A setting: what it is called, its value as shown, and exactly."""
    inner = lsx("0x6D6D616E", name) + lsx("0x7D6C61DB", value)
    return lsx(code, inner + ("" if exact is None else lsx("0x8736F70", exact)))


def lsx_axis(number: int, kind: str, unit: str, values: np.ndarray | None) -> str:
    """One axis of the matrix; axis 0 is the intensity and has no values."""
    listed = "" if values is None else lsx("0x7D6CD4DB", " ".join(f"{v:.9g}" for v in values) + " ", len(values))
    return lsx(f"0x{number:X}", listed + lsx("0x6D707974", kind) + lsx("0x7C696E75", unit), 4)


def labspec(
    path: Path,
    rows: np.ndarray,
    stepped: list[tuple[str, str, np.ndarray]],
    *,
    spectral: tuple[str, np.ndarray] = ("1/cm", SHIFT),
    unit: str = "Cnt/sec",
    laser: str = "532",
    size: int | None = None,
) -> Path:
    """An XML file of `rows` (n, points); `stepped` are (kind, unit, values), the fastest first."""
    axes = lsx_axis(0, "Intens", unit, None) + lsx_axis(1, "Spectr", *spectral)
    axes += "".join(lsx_axis(2 + i, *axis) for i, axis in enumerate(stepped))
    setting = named("0x6D7361DE", "Laser (nm)", "530", laser)
    exposure = named("0x6F707865", "Acq. time (s)", "2") + named("0x7D6363CE", "Accumulations", "1")
    exposure += named("0x7CC8E0D0", "Grating", "600", "600") + named("0x7C6CDBCB", "ND Filter", "1", "1")
    exposure += named("0x6D6C6F68", "Hole", "100", "100")
    sample, date = named("0x786DC6DF", "Sample", "planted sample"), named("0x0", "Acquired", "19.08.2022 09:30:34")
    person = named("0x6D7361DF", "Operator", "A. Person")
    tree = (
        lsx("0x6D707974", "SpIm")
        + lsx("0x6C7469D9", "planted")
        + lsx("0x7A74D9D6", lsx("0x7B697861", axes, 4), 1)
        + lsx(
            "0x6C62D4D9", lsx("0x8716361", setting + exposure + person, 3) + lsx("0x7C73E2D2", sample) + lsx("0x7CECDBD7", date)
        )
    )
    matrix = "".join(
        f'<LSX_Row Format="6" Index="{i}" Size="{len(row)}">\n{" ".join(f"{v:.9g}" for v in row)} \n</LSX_Row>\n'
        for i, row in enumerate(rows)
    )
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<LSX_Data>\n'
        f'<LSX_Tree Format="9" ID="0x69746164" Size="12">\n{tree}</LSX_Tree>\n'
        f'<LSX_Matrix Format="6" ID="0x7D6CD4DB" Size="{rows.size if size is None else size}">\n{matrix}</LSX_Matrix>\n'
        "</LSX_Data>\n",
        "utf-8",
    )
    return path


def labspec_map(
    folder: Path, *, names: tuple[str, str] = ("X", "Y"), lengths: str = "µm", factor: float = 1.0, **options
) -> Path:
    """The map, x fastest."""
    stepped = [(names[0], lengths, XS / factor), (names[1], lengths, YS / factor)]
    return labspec(folder / "map.xml", planted()[0].reshape(-1, POINTS), stepped, **options)


def labspec_map_nm(folder: Path) -> Path:
    """The map with a descending axis in nm."""
    return labspec_map(folder, spectral=("nm", NM[::-1]))


def labspec_short(folder: Path) -> Path:
    """The map of which 4 of 6 spectra were saved."""
    stepped = [("X", "µm", XS), ("Y", "µm", YS)]
    return labspec(folder / "short.xml", planted()[0].reshape(-1, POINTS)[:4], stepped)


def labspec_upwards(folder: Path) -> Path:
    """The map whose y and x run downwards from the last row and column."""
    stepped = [("X", "µm", XS[::-1]), ("Y", "µm", YS[::-1])]
    return labspec(folder / "upwards.xml", planted()[0, ::-1, ::-1].reshape(-1, POINTS), stepped)


def labspec_uneven(folder: Path) -> Path:
    """The map whose columns lie at 20, 22.5 and 26 um."""
    stepped = [("X", "µm", np.array([20.0, 22.5, 26.0])), ("Y", "µm", YS)]
    return labspec(folder / "uneven.xml", planted()[0].reshape(-1, POINTS), stepped)


def labspec_volume(folder: Path, kind: str = "Z", unit: str = "µm") -> Path:
    """The map at 4 depths, or with "Time" and "s" at 4 times."""
    stepped = [("X", "µm", XS), ("Y", "µm", YS), (kind, unit, ZS if kind == "Z" else TS)]
    return labspec(folder / "volume.xml", planted(DEPTHS).reshape(-1, POINTS), stepped)


def labspec_line(folder: Path) -> Path:
    """A line of 3 points along x at the first y."""
    stepped = [("X", "µm", XS), ("Y", "µm", YS[:1])]
    return labspec(folder / "line.xml", planted(1, 1)[0, 0], stepped)


def labspec_times(folder: Path) -> Path:
    """A time series."""
    return labspec(folder / "times.xml", planted(DEPTHS)[:, 0, 0], [("Time", "s", TS)], unit="Cnt")


def labspec_single(folder: Path, **options) -> Path:
    """One spectrum."""
    return labspec(folder / "single.xml", planted()[0, 0, :1], [], **options)


# --- TriVista ---


def group(name: str, items: dict[str, str]) -> str:
    """One group of settings."""
    inner = "".join(f"<Item><Name>{k}</Name><Value>{v}</Value><IsVisible>true</IsVisible></Item>" for k, v in items.items())
    return f"<Group><Name>{name}</Name><Items>{inner}</Items><Groups /></Group>"


def steps(values: np.ndarray) -> dict[str, str]:
    """Settings of one axis of the stage."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    return {"From": f"{values[0]:.3f}", "To": f"{values[-1]:.3f}", "Step": f"{step:.3f}", "Points": str(len(values))}


def document(
    rows: np.ndarray,
    settings: str,
    *,
    positions: list[str] | None = None,
    ticks: np.ndarray | None = None,
    axis: np.ndarray = NM,
    laser: float = LASER,
    children: str = "",
    count: int = 0,
    unit: str = "Nanometer",
) -> str:
    """One data set."""
    info = escape(f'<?xml version="1.0" encoding="utf-16"?>\n<Info><Groups>{settings}</Groups></Info>', quote=True)
    listed = "|".join([str(len(axis)), *(f"{v:.9g}" for v in axis)])
    ticks = np.zeros(len(rows), np.int64) if ticks is None else ticks
    frames = "".join(
        f'<Frame xDim="{len(row)}" yDim="1" TimeStamp="{ticks[i]}" Type="Position" Peaks="[]"'
        + (f' ValuePosition="{positions[i]}"' if positions else "")
        + f">{';'.join(f'{v:.9g}' for v in row)}</Frame>\n"
        for i, row in enumerate(rows)
    )
    return (
        f'<Document Version="2" Label="Intensity" DataLabel="Counts" DocType="Spectra" InfoSerialized="{info}">\n'
        f'<xDim Length="{len(axis)}">\n<Calibration Unit="{unit}" LaserWave="{laser:.3f}" ValueArray="{listed}" />\n</xDim>\n'
        f'<yDim Length="1">\n<Calibration Unit="Nanometer" LaserWave="0.000" ValueArray="0" />\n</yDim>\n'
        f'<Data DataType="Double">\n{frames}</Data>\n<Childs Count="{count}">\n{children}</Childs>\n</Document>\n'
    )


def trivista(path: Path, documents: str, count: int = 1) -> Path:
    """A .tvf file."""
    path.write_bytes(
        b"\xef\xbb\xbf"
        + (
            '<!--TriVista-File. (c) S&I GmbH, all rights reserved. -->\n<XmlMain Version="1.0.1" '
            'Filename="C:\\Users\\person\\map.tvf" FileInfoSerialized="">\n<Hardware Version="2">\n</Hardware>\n'
            f'<Documents Count="{count}">\n{documents}</Documents>\n</XmlMain>\n'
        ).encode()
    )
    return path


MODE = group("Experiment", {"Mode": "Point by Point"}) + group("User", {"Name": "A. Person", "Path": "C:\\Users\\person"})


def trivista_map(folder: Path, *, measured: int | None = None, snake: bool = False, **options) -> Path:
    """The map with the position of each frame, 1000 times larger than the steps, as TriVista writes it."""
    places = scan("snake" if snake else "rows")[:measured]
    rows = np.array([planted()[0, y, x] for y, x in places])
    positions = [f"{1000 * XS[x]:g};{1000 * YS[y]:g};0" for y, x in places]
    settings = MODE + group("X-Axis", steps(XS)) + group("Y-Axis", steps(YS))
    return trivista(folder / "map.tvf", document(rows, settings, positions=positions, **options))


def trivista_line(folder: Path) -> Path:
    """A line of 3 points along x, without positions."""
    return trivista(folder / "line.tvf", document(planted(1, 1)[0, 0], MODE + group("X-Axis", steps(XS))))


def trivista_times(folder: Path) -> Path:
    """4 frames, 2 s apart."""
    ticks = START + np.arange(DEPTHS) * 20_000_000
    return trivista(folder / "times.tvf", document(planted(DEPTHS)[:, 0, 0], MODE, ticks=ticks))


def trivista_glued(folder: Path) -> Path:
    """A glued spectrum of 5 channels and its windows: channels 0 to 2, and 2 to 4."""
    spectrum = planted()[0, 0, :1]
    windows = "".join(document(spectrum[:, cut], MODE, axis=NM[cut]) for cut in (slice(0, 3), slice(2, 5)))
    return trivista(folder / "glued.tvf", document(spectrum, MODE, children=windows, count=2))


def trivista_unknown_laser(folder: Path) -> Path:
    """One spectrum whose laser line is not known."""
    return trivista(folder / "single.tvf", document(planted()[0, 0, :1], MODE, laser=0.0))


EXAMPLES = [
    Example("LabSpec XML map", "labspec_xml", labspec_map),
    Example("LabSpec XML map, nm", "labspec_xml", labspec_map_nm),
    Example("LabSpec XML volume", "labspec_xml", labspec_volume),
    Example("LabSpec XML line", "labspec_xml", labspec_line),
    Example("LabSpec XML time series", "labspec_xml", labspec_times),
    Example("TriVista map", "trivista", trivista_map),
    Example("TriVista line", "trivista", trivista_line),
    Example("TriVista time series", "trivista", trivista_times),
    Example("TriVista windows", "trivista", trivista_glued, {"dataset": "window 2"}),
]
REAL = [
    Real(
        "horiba/jobinyvon_test_map_x3-y2.xml",
        "labspec_xml",
        {
            "shape": (2, 3, 34),
            "pixel y": 2,
            "pixel x": 2,
            "stage_x": -2,
            "stage_y": -1,
            "wavelength": (720.924, 771.797),
            "sum": 30224,
            "max": 295.5,
            "max at": (0, 1, 33),
        },
        measure=stage_figures,
    ),
    Real(
        "trivista/map.tvf",
        "trivista",
        {
            "shape": (9, 9, 1024),
            "pixel y": 0.025,
            "pixel x": 0.025,
            "stage_x": -0.1,
            "stage_y": -0.1,
            "wavelength": (891.894, 932.579),
            "sum": 41996224,
            "max": 23891,
            "max at": (7, 5, 508),
        },
        measure=stage_figures,
    ),
]
