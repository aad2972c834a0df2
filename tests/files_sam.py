"""VAMAS files of every experiment mode, sets of Auger line images, MultiPak and JAMP texts, written number by number.

VAMAS (ISO 14976), rows and columns counted from 0 at the upper left, k the channel:

    map          MAP, 3 rows of 4 pixels, field of view 2 um (x) and 1.2 um (y): pixels of 0.5 um (x) and 0.4 um (y).
                 Ni LMM (AES dir, 840 eV + 2k, 5 channels): Intensity 100 y + 10 x + k + 1, and Transmission k / 4 + y.
                 S LVV (148 eV + 1.5k, 4 channels): 1000 + 100 y + 10 x + k.
    incomplete   the same without the pixels (y, x) = (2, 2) and (2, 3).
    layers       MAPDP, 2 rows of 3 pixels, 2 layers of "Etch Time" 0 and 30 s, C KLL (264 eV + 3k, 4 channels), AES dir:
                 1000 layer + 100 y + 10 x + k. Its later blocks leave out what does not change (exclusion list), pixels 0.25 um.
    images       MAPSV, 3 rows of 4 pixels, field of view 2 x 1.2 um: Ni LMM at 846 eV 100 y + 10 x, Ni LMM again at 860 eV
                 50 + y + x, S LVV at 152 eV 7 y + x, with the variable Sigma, half of each. Linescans run along x from the
                 lower right corner: leftwards and upwards.
    image layers MAPSVDP, 2 rows of 3 pixels, O KLL and C KLL in 2 layers: 100 layer + 10 y + x, and 5 more in C.
    sem          SEM, 3 rows of 2 pixels; linescans run along y, downwards: 10 y + x + 0.5.
    derivative   NORM, AES diff, blank lines first, CRLF: 20 eV + 0.5k, 6 channels: -5, 4, missing, 1, -1, 2.
    irregular    NORM, IRREGULAR, XPS, binding energy 290, 289.5, 288, 285 eV: 3, 9, 4, 1; block comment and future upgrades.
    profile      SDP, O KLL (500 eV + k, 3 channels) in 4 layers of 0, 10, 20, 30 s: 10 layer + k.
    single       SDPSV, O KLL and C KLL in 5 layers, 6 s each: 1, 2, 3, 4, 5 and 11, 12, 13, 14, 15.
    none         NOEXP, ELS (kinetic energy 90 eV + k, 3 channels): 4, 5, 6.

Line images, 3 rows of 4 pixels of 0.4 um: Ni LMM peak (tif) 100 + 10 y + x, Ni LMM background (csv) 20 + y, S LVV (txt)
5 y + x + 0.25, taken at 846, 860 and 152 eV.

MultiPak Exporter text: a depth profile, C1 (231 eV + k, 3 channels) and O1 (472 eV + 2k, 4 channels) in 2 cycles at
-0.5 and 0 min: C1 1000 cycle + 10 k + 0.5, O1 2000 + 1000 cycle + 10 k; and a survey (0 eV + k, 5 channels), 7 k.

JAMP: ROIs CuLMM (670 eV + 0.5k, 4 channels) 100 + k and AlKLL (1250 eV + k, 3 channels) 200 + k, big-endian; and the text of
jamp2csv with 5 channels of 1 eV from 0: 209, 1528, 80312, 260923, 211351.
"""

from __future__ import annotations

import runpy
import struct
from pathlib import Path

import numpy as np

_here = Path(__file__).parent
Example = runpy.run_path(str(_here / "fuzzing.py"), run_name="fuzzing")["Example"]
Real = runpy.run_path(str(_here / "real_files.py"), run_name="real_files")["Real"]

MAGIC = "VAMAS Surface Chemical Analysis Standard Data Transfer Format 1988 May 4"
MISSING = "1E+37"
Y, X = np.mgrid[:3, :4]
NI = (100.0 * Y + 10 * X + 1)[..., None] + np.arange(5)
TRANSMISSION = (Y * 1.0)[..., None] + np.arange(5) / 4
S = (1000.0 + 100 * Y + 10 * X)[..., None] + np.arange(4)
LAYERS = (1000.0 * np.arange(2)[:, None, None] + 100 * Y[:2, :3] + 10 * X[:2, :3])[..., None] + np.arange(4)
IMAGES = np.stack([100.0 * Y + 10 * X, 50.0 + Y + X, 7.0 * Y + X])
IMAGE_LAYERS = np.stack([[100.0 * n + 10 * Y[:2, :3] + X[:2, :3] + c for c in (0, 5)] for n in range(2)])
SEM = 10.0 * Y[:, :2] + X[:, :2] + 0.5


def block(values, **said):
    """One block: (sets, variables) ordinates, and what differs from the defaults."""
    return {"values": np.asarray(values, float).reshape(len(values), -1), **said}


def _ordinate(value):
    return MISSING if np.isnan(value) else repr(float(value)) if value % 1 else str(int(value))


def _block_lines(b, mode, scan, excluded, upgrades):
    """The lines of a block as the standard lists them; `excluded` prefix numbers are left out."""
    technique = b.get("technique", "AES dir")
    sputtered = mode in ("MAPDP", "MAPSVDP", "SDP", "SDPSV")
    raster = mode in ("MAP", "MAPDP", "MAPSV", "MAPSVDP", "SEM")
    comment = b.get("comment", ())
    parameters = b.get("parameters", ())
    variables = b.get("variables", (("Intensity", "d"),))
    parts = {
        1: [2026], 2: [11], 3: [23], 4: [10], 5: [30], 6: [0], 7: [1],
        8: [len(comment), *comment],
        9: [technique],
        10: [*b.get("place", ())],
        11: [*b.get("experimental", ())],
        12: ["electron gun"],
        13: [18, 1, 1] if sputtered or technique == "SIMS" else [],
        14: [b.get("energy", 10000)], 15: [10], 16: [0.02, 0.02],
        17: [*b.get("view", (MISSING, MISSING))] if raster else [],
        18: [*b.get("linescan", ())],
        19: [30], 20: [0], 21: ["FRR"], 22: [0.5],
        23: [5] if technique == "AES diff" else [],
        24: [1], 25: [4.5], 26: [0], 27: [MISSING, MISSING], 28: [0, 0],
        29: [b.get("species", "")],
        30: [b.get("transition", ""), -1],
        31: [b.get("label", "Kinetic Energy"), b.get("unit", "eV"), b["start"], b["step"]] if scan == "REGULAR" else [],
        32: [len(variables), *(text for pair in variables for text in pair)],
        33: [b.get("signal", "pulse counting")],
        34: [0.1], 35: [1], 36: [0],
        37: [3000, 1000, 50, 50, 45, 0, "cyclic"] if sputtered else [],
        38: [0, 0], 39: [0],
        40: [len(parameters), *(text for triple in parameters for text in triple)],
    }  # fmt: skip
    values = b["values"]
    with_ends = [_ordinate(v) for column in values.T for v in (np.nanmin(column), np.nanmax(column))]
    said = [text for number, texts in parts.items() if number not in excluded for text in texts]
    head = [b.get("identifier", "block"), b.get("sample", "NMC cathode")]
    return [*head, *said, *upgrades, b.get("count", values.size), *with_ends, *map(_ordinate, values.ravel())]


def vamas(
    path, mode, blocks, *, scan="REGULAR", positions=12, full=(3, 4), variables=(), listed=(), inclusive=False, manual=(),
    upgrades=((), ()), comment=(), eol="\n", before="", end="end of experiment", regions=1, count=None,
):  # fmt: skip
    """Write an experiment. `listed` are prefix numbers left out of later blocks (or kept in them, if `inclusive`)."""
    out = [MAGIC, "Not Specified", "a scanning Auger microscope", "A. Person", "/home/person/cell_12", len(comment), *comment]
    out += [mode, scan]
    out += [regions] if mode in ("MAP", "MAPDP", "NORM", "SDP") else []
    out += [positions, full[1], full[0]] if mode in ("MAP", "MAPDP") else []
    out += [len(variables), *(text for pair in variables for text in pair)]
    out += [len(listed) if inclusive else -len(listed), *listed, len(manual), *manual]
    out += [len(upgrades[0]), len(upgrades[1]), *upgrades[0], len(blocks) if count is None else count]
    left_out = set(range(1, 41)) - set(listed) if inclusive else set(listed)
    for i, b in enumerate(blocks):
        out += _block_lines(b, mode, scan, left_out if i else (), upgrades[1])
    text = before + eol.join(map(str, out)) + eol + (end + eol if end else "")
    path.write_bytes(text.encode())
    return path


def map_blocks(skip=()):
    """A block for each pixel and region."""
    wide = (("Intensity", "d"), ("Transmission", "d"))
    shared = {"view": (2, 1.2)}
    places = [(y, x) for y in range(3) for x in range(4) if (y, x) not in skip]
    both = np.stack([NI, TRANSMISSION], axis=-1)
    return [
        b
        for y, x in places
        for b in (
            block(both[y, x], place=(x + 1, y + 1), species="Ni", transition="LMM", start=840, step=2, variables=wide, **shared),
            block(S[y, x], place=(x + 1, y + 1), species="S", transition="LVV", start=148, step=1.5, **shared),
        )
    ]


def write_map(folder, **options):
    """The example `map`."""
    return vamas(folder / "map.vms", "MAP", map_blocks(), regions=2, **options)


def write_incomplete(folder):
    """The example `incomplete`."""
    return vamas(folder / "incomplete.vms", "MAP", map_blocks(skip=((2, 2), (2, 3))), regions=2)


def write_layers(folder):
    """The example `layers`."""
    said = {"species": "C", "transition": "KLL", "start": 264, "step": 3, "view": (0.75, 0.5)}
    blocks = [
        block(LAYERS[n, y, x], place=(x + 1, y + 1), experimental=(30 * n,), **said)
        for n in range(2)
        for y in range(2)
        for x in range(3)
    ]
    listed = [i for i in range(1, 41) if i not in (10, 11)]
    return vamas(folder / "layers.vms", "MAPDP", blocks, positions=6, full=(2, 3), variables=(("Etch Time", "s"),), listed=listed)


def write_images(folder):
    """The example `images`: the first value is the lower right corner."""
    said = {"linescan": (4, 3, 1, 3, 1, 1), "view": (2, 1.2), "variables": (("Intensity", "d"), ("Sigma", "d"))}
    kinds = (("Ni", "LMM", 846), ("Ni", "LMM", 860), ("S", "LVV", 152))
    blocks = [
        block(
            np.stack([v, v / 2], -1)[::-1, ::-1].reshape(-1, 2), species=s, transition=t, experimental=(e,), **said
        )
        for v, (s, t, e) in zip(IMAGES, kinds, strict=True)
    ]  # fmt: skip
    return vamas(folder / "images.vms", "MAPSV", blocks, scan="MAPPING", variables=(("Kinetic Energy", "eV"),))


def write_image_layers(folder):
    """The example `image layers`."""
    said = {"linescan": (1, 1, 3, 1, 3, 2), "view": (0.75, 0.5)}
    blocks = [
        block(IMAGE_LAYERS[n, c].ravel(), species=s, transition="KLL", experimental=(15 * n,), **said)
        for n in range(2)
        for c, s in enumerate("OC")
    ]
    return vamas(folder / "image_layers.vms", "MAPSVDP", blocks, scan="MAPPING", variables=(("Sputter Time", "s"),))


def write_sem(folder):
    """The example `sem`: linescans along y."""
    b = block(SEM.T.ravel(), species="SE", linescan=(1, 1, 1, 3, 2, 3), view=(1, 1.5), signal="analogue")
    return vamas(folder / "sem.vms", "SEM", [b], scan="MAPPING")


def write_derivative(folder):
    """The example `derivative`."""
    b = block([-5, 4, np.nan, 1, -1, 2], technique="AES diff", species="S", transition="LVV", start=20, step=0.5, energy=3000,
              signal="analogue", parameters=(("Gain", "n", 3),))  # fmt: skip
    return vamas(folder / "derivative.npl", "NORM", [b], eol="\r\n", before="\r\n  \r\n", manual=(12, 14), comment=("one", "two"))


def write_irregular(folder):
    """The example `irregular`."""
    said = {"technique": "XPS", "species": "C", "transition": "1s", "comment": ("Casa Info Follows", "0"), "energy": 1486.6}
    b = block([(290, 3), (289.5, 9), (288, 4), (285, 1)], variables=(("Binding Energy", "eV"), ("Intensity", "c/s")), **said)
    return vamas(folder / "irregular.vms", "NORM", [b], scan="IRREGULAR", upgrades=(("new", "newer"), ("7",)))


def write_profile(folder):
    """The example `profile`, in which later blocks hold only what the inclusion list names."""
    said = {"species": "O", "transition": "KLL", "start": 500, "step": 1}
    blocks = [block(10 * n + np.arange(3), experimental=(10 * n,), **said) for n in range(4)]
    listed = (11,)
    return vamas(folder / "profile.vms", "SDP", blocks, variables=(("Etch Time", "s"),), listed=listed, inclusive=True)


def write_single(folder):
    """The example `single`."""
    said = {"label": "Sputter Time", "unit": "s", "start": 0, "step": 6, "transition": "KLL"}
    return vamas(folder / "single.vms", "SDPSV", [block(np.arange(1, 6) + 10 * i, species=s, **said) for i, s in enumerate("OC")])


def write_none(folder):
    """The example `none`."""
    return vamas(folder / "none.vms", "NOEXP", [block([4, 5, 6], technique="ELS", species="C", start=90, step=1)])


LINES = np.stack([100.0 + 10 * Y + X, 20.0 + Y + 0 * X, 5.0 * Y + X + 0.25])
LINES_TABLE = """file,line,window,kinetic_energy,pixel_size
a.tif,Ni_LMM,peak,846,0.4
b.csv,Ni LMM,background,860,
c.txt,S LVV,,152,0.4
"""


def text_matrix(values, separator, header=""):
    """Rows of numbers."""
    return header + "".join(separator.join(f"{v:g}" for v in row) + "\n" for row in values)


def write_tiff(path, values, um=None):
    """One grey image; with `um`, ImageJ's scale."""
    from tifffile import imwrite

    scale = {} if um is None else {"imagej": True, "resolution": (1 / um, 1 / um), "metadata": {"unit": "micron", "axes": "YX"}}
    imwrite(path, np.asarray(values, np.float32), **scale)
    return path


def write_named_lines(folder):
    """A set whose file names say what they are."""
    lines = folder / "lines by name"
    lines.mkdir(exist_ok=True)
    write_tiff(lines / "01_Ni_LMM_peak.tif", LINES[0], um=0.4)
    (lines / "02 NiLMM bg.csv").write_text(text_matrix(LINES[1], ","))
    (lines / "S-LVV.txt").write_text(text_matrix(LINES[2], "\t", "# a comment\npixel size: 0.4 um\nOperator: A. Person\n"))
    return lines


def write_table_lines(folder):
    """A set with a table; the text image has semicolons and decimal commas."""
    lines = folder / "lines by table"
    lines.mkdir(exist_ok=True)
    write_tiff(lines / "a.tif", LINES[0])
    (lines / "b.csv").write_text(text_matrix(LINES[1], " "))
    (lines / "c.txt").write_text(text_matrix(LINES[2], ";").replace(".", ","))
    (lines / "lines.csv").write_text(LINES_TABLE)
    return lines


MULTIPAK_HEAD = """//----------------------------------------
//Multipak Exporter  1.2.8
//Load file from ..\\person\\{name}
//----------------------------------------
//HEADER INFORMATION
Platform:PC
Technique:AES
FileType:{kind}
AcqFilename:C:\\Datafiles\\person\\{name}
Operator:A. Person
EBeamEnergy:10.0 keV
NoSpectralReg:{n}
"""
CYCLES = {"C1": (231.0, 1.0, 3, 0.5), "O1": (472.0, 2.0, 4, 2000.0)}  # start, step, channels, offset
SURVEY = 7.0 * np.arange(5)


def multipak(path, kind, sections):
    """Sections: field names, the texts in their order, rows."""
    out = [MULTIPAK_HEAD.format(name=path.name, kind=kind, n=sum("RegionNo" in names for names, _, _ in sections))]
    for names, texts, rows in sections:
        out += [f"\n//{names}\n", "".join(f"{t}\n" for t in texts), "".join(f"{r}\n" for r in rows)]
    path.write_text("".join(out) + "\n")
    return path


def depth_values(name):
    """(cycle, channel) of a region of the depth profile."""
    _, _, n, offset = CYCLES[name]
    return offset + 1000.0 * np.arange(2)[:, None] + 10 * np.arange(n)


def write_multipak_depth(folder):
    """The depth profile: regions with a column for each cycle, then their profiles."""
    sections = []
    for i, (name, (start, step, n, _)) in enumerate(CYCLES.items()):
        rows = [",".join(f"{v:.4f}" for v in (start + step * k, *depth_values(name)[:, k])) for k in range(n)]
        names = "Area Comment,RegionNo,AtomicName,Cycle,XLabel,YLabel,DataCount"
        sections.append((names, ("", i + 1, name, 2, "Kinetic Energy(eV)", "Intensity(cps)", n), rows))
    for i, name in enumerate(CYCLES):
        rows = [f"{t:.4f},{100 * i + j:.4f}" for j, t in enumerate((-0.5, 0))]
        names = "Area Comment,AtomicName,XLabel,YLabel,DataCount"
        sections.append((names, ("", name, "Sputter Time(min)", "Intensity", 2), rows))
    return multipak(folder / "depth.txt", "DEPTHPRO", sections)


def write_multipak_survey(folder, areas=1):
    """The survey, tabulated; a second area holds twice the values."""
    names = "Area Comment,RegionNo,AtomicName,Area No,XLabel,YLabel,DataCount"
    sections = [
        (names, ("", 1, "Survey", a + 1, "Kinetic Energy(eV)", "Intensity(cps)", 5),
         [f"{k:.4f}\t{(a + 1) * v:.4f}" for k, v in enumerate(SURVEY)]) for a in range(areas)
    ]  # fmt: skip
    path = multipak(folder / "survey.txt", "SPECTRUM", sections)
    path.write_text(path.read_text().replace(f"NoSpectralReg:{areas}", "NoSpectralReg:1"))
    return path


JAMP = {"CuLMM": (670.0, 0.5, 100 + np.arange(4)), "AlKLL": (1250.0, 1.0, 200 + np.arange(3))}
JAMP_TEXT = (209, 1528, 80312, 260923, 211351)
JAMP_HEAD = """#@(#) AP_SFTA1
#@(#) AP_SFTA1
$AP_SYSTEM_ID  AES-5.30
$AP_DATATYPE  {kind}
$AP_PENERGY  10.00
"""
JAMP_TAIL = """$AP_SPOSN_NOFEXE  1
$AP_STGTILT  45.0
$AP_COMMENT
measured by A. Person$AP_END_COMMENT
$AP_OPERATOR
A. Person$AP_END_OPERATOR
$AP_IGN_USER_CONDITION_FILE  /home/person/.apconf/1.ccf
"""


def write_jamp(folder):
    """The folder of a measurement of two ranges; the path of its parameter file."""
    measurement = folder / "data001.A"
    measurement.mkdir(exist_ok=True)
    rows = [f"$AP_SPC_ROI_NOFEXE  {len(JAMP)}"]
    for i, (name, (start, step, values)) in enumerate(JAMP.items(), start=1):
        said = {"NAME": name, "START": start, "STOP": start + step * (len(values) - 1), "STEP": step, "POINTS": len(values)}
        rows += [f"$AP_SPC_ROI_{key}  {i} {value}" for key, value in said.items()]
    (measurement / "para").write_text(JAMP_HEAD.format(kind=4) + "\n".join(rows) + "\n" + JAMP_TAIL)
    (measurement / "data").write_bytes(b"".join(struct.pack(f">{len(v)}i", *v) for _, _, v in JAMP.values()))
    return measurement / "para"


def write_jamp_wide(folder):
    """The same for a survey of 5 channels."""
    measurement = folder / "data002.A"
    measurement.mkdir(exist_ok=True)
    said = {"START": "0.00", "STOP": "4.00", "STEP": "1.00", "POINTS": 5}
    rows = "".join(f"$AP_SPC_W{key}  {value}\n" for key, value in said.items())
    (measurement / "para").write_text(JAMP_HEAD.format(kind=3) + rows + JAMP_TAIL)
    (measurement / "data").write_bytes(struct.pack(">5i", *JAMP_TEXT))
    return measurement / "para"


def write_jamp_text(folder):
    """What jamp2csv makes of the survey."""
    path = folder / "data002.A.csv"
    path.write_text("Energy(ev),  Intensity\n" + "".join(f" {k:.2f} , {v}\n" for k, v in enumerate(JAMP_TEXT)))
    return path


NI_OPTIONS = {"dataset": "Ni LMM"}
EXAMPLES = [
    Example("VAMAS MAP", "vamas", write_map, NI_OPTIONS),
    Example("VAMAS MAP, incomplete", "vamas", write_incomplete, {"dataset": "S LVV"}),
    Example("VAMAS MAP, cut short", "vamas", write_map, {**NI_OPTIONS, "skip_bad": True}),
    Example("VAMAS MAPDP", "vamas", write_layers),
    Example("VAMAS MAPSV", "vamas", write_images),
    Example("VAMAS MAPSVDP", "vamas", write_image_layers),
    Example("VAMAS SEM", "vamas", write_sem),
    Example("VAMAS NORM, derivative", "vamas", write_derivative),
    Example("VAMAS NORM, irregular", "vamas", write_irregular),
    Example("VAMAS SDP", "vamas", write_profile),
    Example("VAMAS SDPSV", "vamas", write_single),
    Example("VAMAS NOEXP", "vamas", write_none),
    Example("line images, TIFF", "line_images", write_named_lines, victim=lambda p: p / "01_Ni_LMM_peak.tif"),
    Example("line images, text", "line_images", write_named_lines, victim=lambda p: p / "S-LVV.txt"),
    Example("line images, CSV", "line_images", write_table_lines, victim=lambda p: p / "c.txt"),
    Example("line images, table", "line_images", write_table_lines, victim=lambda p: p / "lines.csv"),
    Example("MultiPak text, depth profile", "multipak_text", write_multipak_depth, {"dataset": "O1"}),
    Example("MultiPak text, profile", "multipak_text", write_multipak_depth, {"dataset": "profile"}),
    Example("MultiPak text, spectrum", "multipak_text", write_multipak_survey),
    Example("JAMP para", "jeol_text", write_jamp, {"dataset": "Al KLL"}),
    Example("JAMP data", "jeol_text", write_jamp, {"dataset": "Al KLL"}, victim=lambda p: p.with_name("data")),
    Example("JAMP para, survey", "jeol_text", write_jamp_wide),
    Example("JAMP text", "jeol_text", write_jamp_text),
]


def _counted(cube):
    """Sum, largest value and its place, first and last energy, step and number of channels, for spectra."""
    axis = cube[cube.dims[-1]].values
    told = {
        "sum": float(cube.sum()),
        "max": float(cube.max()),
        "max at": int(cube.values.argmax()),
        "channels": cube.sizes[cube.dims[-1]],
    }
    said = {"dim": cube.dims[-1], "technique": cube.attrs["technique"], "mode": cube.attrs.get("spectrum_mode")}
    return {**told, **said, "first": axis[0], "step": float(np.diff(axis).mean())}


def _real(file, dataset, **stated):
    return Real(f"vamas/{file}", "vamas", stated, {} if dataset is None else {"dataset": dataset}, _counted, 1e-9)


def _all_regions(_):
    """Sum of all blocks of the Kratos file (its first variable)."""
    from ssbmaps import io

    path = _here.parents[1] / "shared" / "data" / "vamas" / "mjr9_59c.vms"
    regions = [n for n in io.info(path)["datasets"] if ":" not in n]
    cubes = [io.read(path, dataset=n) for n in regions]
    return {"total": sum(float(c.sum()) for c in cubes), "blocks": sum(c.sizes.get("scan", 1) for c in cubes)}


_BINDING = {"dim": "binding_energy", "technique": "xps", "step": 0.05, "mode": None}
REAL = [
    _real("Mutlipak_vms.npl", "C 1s", sum=1253902.5, max=6265, **_BINDING),
    _real("Mutlipak_vms.npl", "O 1s", sum=1779397.5, **_BINDING),
    _real("Mutlipak_vms.npl", "S 2p", sum=288171.25, **_BINDING),
    _real("Mutlipak_vms.npl", "N 1s", sum=1110012.5, **_BINDING),
    _real("Mutlipak_vms.npl", "Mo 3d", sum=662197.5, **_BINDING),
    _real("aes-staib-vms.vms", None, dim="kinetic_energy", technique="sam", mode="derivative", first=19.989319, step=1.983673,
          channels=1100, sum=-38405703, **{"max": 99886, "max at": 945}),
    _real("mjr9_59c.vms", "Wide/2", dim="kinetic_energy", technique="xps", mode=None, first=386.69, step=1, channels=1101,
          sum=2492409, max=4724),
    Real("vamas/mjr9_59c.vms", "vamas", {"total": 6399760, "blocks": 9}, {"dataset": "O 1s"}, _all_regions),
]  # fmt: skip
