"""IONTOF depth profiles, written number by number; and the imzML pairs and the SIMS-H5 archive of `io_files.py`, as examples
to be damaged: every number of the latter stands there.

The IONTOF profile: data points 1 to 6 (k from 0 to 5) at sputter times 2.5 k s, dose 1000 + 40000 k ions, fluence
1e10 + 2e12 k ions/cm^2, and a 7th, k = 6, at which every signal is 0 and the ratio is infinite. Columns:

    total               N/A       500 + 10 k
    PO_2-               62.9641   40 - 3 k
    ^34S-               33.9684   k mod 3: 0, 1, 2, 0, 1, 2
    PO_2-PO_3-          N/A       sum of PO_2- and PO_3-
    PO_3-               78.9591   1, 1, 2, 2, 3, 3
    PO_2- / ( ^34S- )   N/A       inf, 37, 17, inf, 28, 12.5

With `pulses`, N, every count n is written as -N ln(1 - n/N), as after a correction for dead time. Six digits, like SurfaceLab.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np

_HERE = Path(__file__).parent
_files = runpy.run_path(str(_HERE / "io_files.py"), run_name="io_files")
_Example = runpy.run_path(str(_HERE / "fuzzing.py"), run_name="fuzzing")["Example"]
_Real = runpy.run_path(str(_HERE / "real_files.py"), run_name="real_files")["Real"]

K = np.arange(6)
IONTOF = {"PO2-": 40 - 3 * K, "34S-": K % 3, "PO3-": 1 + K // 2}
IONTOF_LABELS = ("total", "PO_2-", "^34S-", "PO_2-PO_3-", "PO_3-", "PO_2- / ( ^34S- )")
IONTOF_MASSES = ("N/A", "62.9641", "33.9684", "N/A", "78.9591", "N/A")
IONTOF_SCALES = ("Sputter Time (s)", "Dose (ions)", "Fluence (ions/cm^2)")


def write_pair(folder, **options):
    """The planted map as an imzML pair."""
    return _files["write_imzml"](folder, _files["planted_spectra"](), **options)


def arrays(content):
    """Where the arrays of the .ibd may begin: behind the UUID, every eight bytes."""
    return range(16, len(content), 8)


def _binary(path):
    return path.with_suffix(".ibd")


def corrected(counts, pulses):
    """Counts after a correction for dead time."""
    return -pulses * np.log1p(-np.asarray(counts) / pulses)


def write_iontof(
    folder,
    *,
    pulses=None,
    total=True,
    blank=True,
    labels=IONTOF_LABELS,
    masses=IONTOF_MASSES,
    scales=IONTOF_SCALES,
    unit="Intensity",
    comment="Profile Smoothing is Disabled",
    decimal=".",
    newline="\r\n",
    encoding="ascii",
):
    """The planted profile; `blank` adds the last data point, `total` the column of that name."""
    po2, s34, po3 = IONTOF.values()
    with np.errstate(divide="ignore"):
        columns = np.array([500 + 10 * K, po2, s34, po2 + po3, po3, po2 / s34])
    if pulses is not None:
        columns[:5] = corrected(columns[:5], pulses)
    columns = np.hstack([columns, [[0]] * 5 + [[np.inf]]])
    k = np.arange(7)
    beside = np.array([k + 1, 2.5 * k, 1000 + 40000 * k, 1e10 + 2e12 * k])
    used = slice(0 if total else 1, None)
    rows = [
        ["#", *([""] * len(scales)), *labels[used], ""],
        ["#", *([""] * len(scales)), *masses[used], ""],
        ["#Data Point #", *scales, *([unit] * len(labels[used])), ""],
        *([f"{v:g}" for v in row] + [""] for row in np.vstack([beside[: 1 + len(scales)], columns[used]]).T[: 7 if blank else 6]),
    ]
    lines = ["\t".join(row) for row in rows]
    lines[1:2] = [lines[1].replace(".", decimal)]
    lines[3:] = [line.replace(".", decimal) for line in lines[3:]]
    path = folder / "profile.txt"
    path.write_bytes("".join(line + newline for line in [f"# {comment}", *lines]).encode(encoding))
    return path


def _profile_figures(cube):
    """What is stated of a depth profile."""
    return {
        "shape": cube.shape,
        "last data point": int(cube.data_point[-1]),
        "total of the first": float(cube.total[0]),
        "first step of sputter time": float(cube.sputter_time[1] - cube.sputter_time[0]),
        "CN- of the first": float(cube.sel(fragment="CN-")[0]),
    }


EXAMPLES = [
    _Example("imzML, header", "imzml", write_pair),
    _Example("imzML, binary half", "imzml", write_pair, {}, arrays, _binary),
    _Example("imzML, zlib", "imzml", lambda folder: write_pair(folder, compressed=True), {}, arrays, _binary),
    _Example(
        "SIMS-H5",
        "simsh5",
        lambda folder: _files["write_simsh5"](folder / "archive.h5"),
        {"pixel_size": 1.0},
        lambda content: range(8, len(content), 64),  # HDF5 lays its objects where it likes, on multiples of eight
    ),
    _Example("IONTOF profile, counts", "iontof_profile", write_iontof),
    _Example("IONTOF profile, corrected", "iontof_profile", lambda folder: write_iontof(folder, pulses=16384)),
    _Example("IONTOF profile, derived", "iontof_profile", write_iontof, {"dataset": "derived"}),
]
REAL = [  # of imzML and SIMS-H5, tests/test_io_imzml_real.py and benchmarks/foundation.py have them
    _Real(
        "iontof-ascii/I241209h_D_FACSPI-dev_4f-3nA_neg-D-electrode1 - NF.txt",
        "iontof_profile",
        {
            "shape": (341, 112),  # 346 lines, of these 4 of header, and one data point that was not measured
            "last data point": 341,
            "total of the first": 2.45155e6,
            "first step of sputter time": 5.8668,
            "CN- of the first": 95356.8,
        },
        {},
        _profile_figures,
    )
]
