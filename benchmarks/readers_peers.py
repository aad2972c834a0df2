"""Readers beside their peers: the same values, and the time both take, in one run.

    python benchmarks/readers_peers.py [agreement large]

Peers: RosettaSciIO, renishawWiRE, vamas, spc_io, pandas. `agreement` reads the real files of ../shared/data; `large` reads files
that the tests' generators write, as large as instruments write them.
"""

from __future__ import annotations

import importlib
import logging
import runpy
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from _results import put_section, run_parts, table

from ssbmaps import io
from ssbmaps._conventions import check_contract
from ssbmaps._provenance import file_sha256

TESTS = Path(__file__).resolve().parents[1] / "tests"
DATA = TESTS.parents[1] / "shared" / "data"
SCRIPT = "python benchmarks/readers_peers.py"
REPEATS = 25
HEADER = ["file", "MB", "peer", "largest difference of values", "of the axis"]
HEADER += ["ours, ms", "of it labels, check and checksum, ms", "peer, ms", "peer / ours", "peer / rest of ours"]
NOTE = """

Ours is `io.read` from the name of the file to the checked DataArray, as the data contract has it. Peers return bare arrays
and dictionaries. "Labels, check and checksum": building the finished DataArray again from its own arrays, coordinates and
attributes, checking it against the contract, and the SHA-256 of the file, each timed alone; no reader can keep the contract
in less. In files of 1 MB and more the checksum is made beside the reading, so the longer of the two remains, and there is no
rest to compare where the checksum is the longer one. Least of {repeats} readings each, in turn."""
Reader = Callable[[Path], tuple[Any, Any]]


@dataclass(frozen=True)
class Case:
    """One file read by us and by a peer; `peer` gives values and spectral axis (or None) in our order of dimensions."""

    path: Path
    peer: str
    read: Reader
    options: dict[str, Any] = field(default_factory=dict)
    dim: str | None = None  # the coordinate that the peer's axis is compared with


def measure(case: Case) -> list[object]:
    """A row of the table: both read in turn, `REPEATS` times, the least of each; and what the contract alone takes of ours."""
    ours, peers, contract = [], [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for turn in range(REPEATS + 1):
            start = time.perf_counter()
            cube = io.read(case.path, **case.options)
            between = time.perf_counter()
            values, axis = case.read(case.path)
            after = time.perf_counter()
            spent = _contract(cube, case.path)
            if turn:  # the first reading imports modules
                ours.append(between - start)
                peers.append(after - between)
                contract.append(spent)
    difference, apart = ("", "") if values is None else _differences(cube, values, axis, case.dim)
    fast, slow, least = (1e3 * min(v) for v in (ours, peers, contract))
    size = case.path.stat().st_size / 1e6
    rest = f"{slow / (fast - least):.1f}" if fast > least else "-"
    numbers = (f"{fast:.2f}", f"{least:.2f}", f"{slow:.2f}", f"{slow / fast:.1f}", rest)
    return [f"`{case.path.name}`", f"{size:.2f}", case.peer, difference, apart, *numbers]


def _contract(cube: Any, path: Path) -> float:
    """Seconds to label the finished values again, to check them, and for the file's checksum."""
    coords = {name: (c.dims, c.values, c.attrs) for name, c in cube.coords.items()}
    start = time.perf_counter()
    check_contract(xr.DataArray(cube.data, coords, cube.dims, cube.name, cube.attrs), subject="benchmark")
    file_sha256(path)
    return time.perf_counter() - start


def _differences(cube: Any, values: Any, axis: Any, dim: str | None) -> tuple[str, str]:
    mine, theirs = np.asarray(io.to_dense(cube).values, float), np.asarray(values, float)
    same = mine.size == theirs.size
    difference = f"{np.nanmax(np.abs(mine.ravel() - theirs.ravel())):.2g}" if same else f"{theirs.shape} for {mine.shape}"
    if axis is None or dim is None:
        return difference, ""
    return difference, f"{np.abs(np.sort(axis) - np.sort(cube[dim].values)).max():.2g}"


def rosetta(plugin: str, *, number: int = 0, by_columns: bool = False) -> Reader:
    """RosettaSciIO's data set `number` of a file, ascending along the spectral axis as ours."""
    reader = importlib.import_module(f"rsciio.{plugin}").file_reader
    logging.getLogger("rsciio").setLevel(logging.ERROR)

    def read(path: Path) -> tuple[Any, Any]:
        data = reader(str(path))[number]
        last, values = data["axes"][-1], data["data"]
        axis = np.asarray(last["axis"] if "axis" in last else last["offset"] + last["scale"] * np.arange(values.shape[-1]))
        values = values[..., ::-1] if axis[0] > axis[-1] else values
        if by_columns:  # stored column by column; RosettaSciIO folds it by rows
            ny, nx = values.shape[:2]
            values = values.reshape(nx, ny, -1).transpose(1, 0, 2)
        return values, axis

    return read


def renishaw_wire(path: Path) -> tuple[Any, Any]:
    """renishawWiRE's spectra and axis; values ascending along the axis, as ours."""
    from renishawWiRE import WDFReader

    reader = WDFReader(path)
    values, axis = np.asarray(reader.spectra), np.asarray(reader.xdata)
    reader.close()
    return (values[..., ::-1], axis[::-1]) if axis[0] > axis[-1] else (values, axis)


def spc_io_reader(path: Path) -> tuple[Any, Any]:
    """spc_io's subfiles."""
    import spc_io

    with path.open("rb") as handle:
        spc = spc_io.SPC.from_bytes_io(handle)
    axis = np.asarray(spc[0].xarray)
    values = np.array([sub.yarray for sub in spc])
    return (values[:, ::-1], axis) if axis[0] > axis[-1] else (values, axis)


def vamas_reader(block: int | None) -> Reader:
    """One block of PyPI's vamas, or all of them."""

    def read(path: Path) -> tuple[Any, Any]:
        from vamas import Vamas

        found = Vamas(str(path)).blocks
        chosen = found if block is None else found[block : block + 1]
        return np.array([b.corresponding_variables[0].y_values for b in chosen]), None

    return read


def numbers_by_pandas(separator: str, skip: int) -> Reader:
    """The numbers alone, by pandas: no checks, no axes."""

    def read(path: Path) -> tuple[Any, Any]:
        import pandas as pd

        pd.read_csv(path, sep=separator, header=None, skiprows=skip, encoding="latin-1")
        return None, None

    return read


def agreement() -> None:
    """The real files."""
    um = {"pixel_size": 1.0}
    wdf = [("linescan", False), ("map", False), ("map2", False), ("streamline", True)]
    cases = [
        *(
            Case(DATA / f"renishaw/renishaw_test_{n}.wdf", "RosettaSciIO", rosetta("renishaw", by_columns=c), {}, axis)
            for n, c in wdf
            for axis in ["raman_shift" if n == "streamline" else "wavelength"]
        ),
        *(
            Case(DATA / f"renishaw/renishaw_test_{n}.wdf", "renishawWiRE", renishaw_wire, {}, "wavelength")
            for n in ("map", "map2", "linescan")
        ),
        Case(DATA / "horiba/jobinyvon_test_map_x3-y2.xml", "RosettaSciIO", rosetta("jobinyvon"), {}, "wavelength"),
        Case(DATA / "trivista/map.tvf", "RosettaSciIO", rosetta("trivista"), {}, "wavelength"),
        Case(DATA / "spc/Witec-Map.spc", "spc_io", spc_io_reader, {}, "raman_shift"),
        Case(DATA / "vamas/mjr9_59c.vms", "vamas", vamas_reader(0), {"dataset": "Wide/2"}),
        Case(DATA / "vamas/aes-staib-vms.vms", "vamas", vamas_reader(0)),
        Case(DATA / "sem/FEI-Helios-Ebeam-16bits.tif", "RosettaSciIO", rosetta("tiff")),
        Case(DATA / "sem/test_tiff_Zeiss_SEM_512pix.tif", "RosettaSciIO", rosetta("tiff")),
        Case(DATA / "sem/P45_the_default_job.bcf", "RosettaSciIO, guarded by us", rosetta("bruker", number=2)),
        Case(DATA / "witec/Witec-Map_full.txt", "pandas, numbers only", numbers_by_pandas("\t", 2), um),
        Case(DATA / "horiba/map_nm.txt.gz", "pandas, numbers only", numbers_by_pandas("\t", 52)),
    ]
    rows = [measure(case) for case in cases if case.path.exists()]
    put_section(
        "Readers beside their peers: real files", f"{SCRIPT} agreement", table(HEADER, rows) + NOTE.format(repeats=REPEATS)
    )


def large() -> None:
    """Files of ours, as large as instruments write them."""
    raman, xml, spc, sam, text = (
        runpy.run_path(str(TESTS / f"files_{n}.py"), run_name=f"files_{n}")
        for n in ("raman", "raman_xml", "spc", "sam", "raman_text")
    )
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [
            *_large_wdf(folder, raman, rng),
            _large_labspec(folder, xml, rng),
            _large_spc(folder, spc, rng),
            _large_vamas(folder, sam, rng),
            _large_text(folder, text, rng),
        ]
        put_section(
            "Readers beside their peers: large files",
            f"{SCRIPT} large",
            table(HEADER, [measure(case) for case in cases]) + NOTE.format(repeats=REPEATS),
        )


def _large_wdf(folder: Path, raman: dict[str, Any], rng: np.random.Generator) -> list[Case]:
    """200 × 200 spectra of 1,000 points, 161 MB."""
    n, axis = 200, np.linspace(100.0, 2000.0, 1000)[::-1]
    ys, xs = np.divmod(np.arange(n * n), n)
    lists = {raman["X"]: 0.5 * xs, raman["Y"]: 0.5 * ys}
    area = (0, (0.0, 0.0, 0.0), (0.5, 0.5, 1.0), (n, n, 1))
    spectra = rng.poisson(50, (n * n, 1000)).astype("<f4")
    path = raman["write_wdf"](folder / "200x200x1000.wdf", spectra, lists, kind=3, area=area, axis=axis)
    return [
        Case(path, "RosettaSciIO", rosetta("renishaw"), {}, "raman_shift"),
        Case(path, "renishawWiRE", renishaw_wire, {}, "raman_shift"),
    ]


def _large_labspec(folder: Path, xml: dict[str, Any], rng: np.random.Generator) -> Case:
    """60 × 60 spectra of 1,000 points."""
    steps = [(axis, "µm", 0.5 * np.arange(60)) for axis in "XY"]
    spectra = rng.poisson(50, (3600, 1000)).astype(float)
    path = xml["labspec"](folder / "60x60x1000.xml", spectra, steps, spectral=("1/cm", np.linspace(100, 2000, 1000)))
    return Case(path, "RosettaSciIO", rosetta("jobinyvon"), {}, "raman_shift")


def _large_spc(folder: Path, spc: dict[str, Any], rng: np.random.Generator) -> Case:
    """2,500 subfiles of 1,000 points."""
    rows = rng.poisson(50, (2500, 1000)).astype("<f4")
    body = b"".join(spc["spc_subfile"](i, float(i)) + row.tobytes() for i, row in enumerate(rows))
    head = spc["spc_header"](flags=0x14, points=1000, subfiles=2500, types=(3, 4, 0, 0), ends=(400.0, 800.0), log=0, order="<")
    path = folder / "2500x1000.spc"
    path.write_bytes(head + body)
    return Case(path, "spc_io", spc_io_reader, {"axis_unit": "1/cm"}, None)


def _large_vamas(folder: Path, sam: dict[str, Any], rng: np.random.Generator) -> Case:
    """A MAP of 64 × 64 blocks of 200 energies."""
    counts = rng.poisson(50, (64, 64, 200))
    blocks = [
        sam["block"](counts[y, x], place=(x + 1, y + 1), view=(6.4, 6.4), species="Ni", transition="LMM", start=800, step=0.5)
        for y in range(64)
        for x in range(64)
    ]
    path = sam["vamas"](folder / "64x64x200.vms", "MAP", blocks, positions=4096, full=(64, 64))
    return Case(path, "vamas", vamas_reader(None))


def _large_text(folder: Path, text: dict[str, Any], rng: np.random.Generator) -> Case:
    """LabSpec text of 100 × 100 spectra of 500 points."""
    places = [(0.5 * y, 0.5 * x) for y in range(100) for x in range(100)]
    rows = text["labspec_rows"](np.linspace(100, 2000, 500), [(x, y) for y, x in places], rng.poisson(50, (10000, 500)))
    path = text["put"](folder, "100x100x500.txt", [*text["labspec_header"](), *rows])
    return Case(path, "pandas, numbers only", numbers_by_pandas("\t", len(text["labspec_header"]()) + 1))


if __name__ == "__main__":
    sys.exit(run_parts({"agreement": agreement, "large": large}))
