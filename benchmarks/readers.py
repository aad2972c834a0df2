"""Readers of Auger, Raman and image files: real files against what is stated of them, damaged files, peers in the same run.

    python benchmarks/readers.py [manifest fuzz peers speed]

Real files are looked for in ../shared/data beside the checkout; without them only our own files are read. The generators of the
tests (tests/files_*.py) write our own files, and list the real ones with the numbers stated of them.
"""

from __future__ import annotations

import json
import runpy
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _results import put_section, run_parts, table

from ssbmaps import DataQualityWarning

TESTS = Path(__file__).resolve().parents[1] / "tests"
SCRIPT = "python benchmarks/readers.py"
DRAWS = Path(__file__).with_name("draws") / "readers_fuzz.jsonl"
FLIPS, CUTS = 500, 400


def generators() -> list[dict[str, Any]]:
    """The tests' generator modules, each with its EXAMPLES and REAL."""
    return [runpy.run_path(str(path), run_name=path.stem) for path in sorted(TESTS.glob("files_*.py"))]


def manifest() -> None:
    """Every figure stated of a real file, beside what is read."""
    rows, wrong = [], []
    for real in (r for module in generators() for r in module["REAL"]):
        if not real.path.exists():
            wrong.append(f"{real.file}: is not on this machine.")
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataQualityWarning)
            compared = real.compare()
        equal = sum(row[3] for row in compared)
        told = "; ".join(f"{name} {_short(value)}" for name, _, value, _ in compared)
        rows.append([f"`{real.file}`", real.reader, f"{equal} of {len(compared)}", told])
        wrong += [f"{real.file}: {name} stated {stated}, read {read}." for name, stated, read, good in compared if not good]
    body = table(["file", "reader", "equal", "read"], rows) + "\n\n" + ("\n".join(wrong) or "All figures stated are equal.")
    put_section("Readers: real files against what is stated of them", f"{SCRIPT} manifest", body)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(_short(v) for v in value) + ")"
    return str(value)


def fuzz() -> None:
    """Cuts and flipped bytes: our own example files, and the real ones. What is in draws/readers_fuzz.jsonl is not run again."""
    known = {}
    if DRAWS.exists():
        known = {(row["reader"], row["name"]): row for row in map(json.loads, DRAWS.read_text(encoding="utf-8").splitlines())}
    names = []
    for module in generators():
        harness, examples = runpy.run_path(str(TESTS / "fuzzing.py"), run_name="fuzzing"), list(module["EXAMPLES"])
        examples += [_real_example(harness, real) for real in module["REAL"] if real.path.exists()]
        for example in examples:
            name = (example.reader, example.name)
            names.append(name)
            if name not in known:
                known[name] = _fuzz(harness, example)
                DRAWS.parent.mkdir(exist_ok=True)
                with DRAWS.open("a", encoding="utf-8") as handle:
                    handle.write(json.dumps(known[name]) + "\n")
    _report([known[name] for name in dict.fromkeys(names)])


def _fuzz(harness: dict[str, Any], example: Any) -> dict[str, Any]:
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tally = harness["fuzz"](example, Path(folder), n_flips=FLIPS, n_cuts=CUTS, seed=11)
    row = {"name": example.name, "reader": example.reader, **{k: tally.outcomes[k] for k in ("refused", "same", "other")}}
    row |= {"faults": tally.faults, "memory": tally.largest, "seconds": time.perf_counter() - start}
    print(row, flush=True)
    return row


def _report(rows: list[dict[str, Any]]) -> None:
    header = ["reader", "files", "damaged", "refused", "read, same", "read, other", "faults", "memory of allowed"]
    table_rows: list[list[object]] = []
    for reader in [*dict.fromkeys(row["reader"] for row in rows), "all"]:
        mine = [row for row in rows if reader in (row["reader"], "all")]
        told = [sum(row[k] for row in mine) for k in ("refused", "same", "other")]
        faults = sum(len(row["faults"]) for row in mine)
        share = f"{100 * max(row['memory'] for row in mine):.0f} %"
        table_rows.append([reader, len(mine), sum(told) + faults, *told, faults, share])
    body = (
        f"Each file cut at every block boundary and a byte before and after it (at most {CUTS} of them, drawn), and {FLIPS}\n"
        "times one byte of it changed. Refused: with an error of ssbmaps. Same: the damage touches nothing that is read. Other:\n"
        "the file now says something else, and that is read, in keeping with the contract; after a cut only with a warning,\n"
        "and with the values of the whole where measured. Fault: anything else, a delay of 20 s, or more memory than 4 times\n"
        "the larger of file and declared array (and 2 MiB).\n\n"
    )
    faults = [fault for row in rows for fault in row["faults"]]
    put_section("Readers: damaged files", f"{SCRIPT} fuzz", body + table(header, table_rows) + "\n\n" + "\n".join(faults[:40]))


def _real_example(harness: dict[str, Any], real: Any) -> Any:
    """A real file as an example: cut at a hundred places, since its blocks are not listed."""

    def write(folder: Path) -> Path:
        return Path(shutil.copy(real.path, folder / real.path.name))

    def places(content: bytes) -> list[int]:
        return np.linspace(1, len(content) - 1, 100).astype(int).tolist()

    return harness["Example"](real.file, real.reader, write, dict(real.options), places)


PARTS = {"manifest": manifest, "fuzz": fuzz}

if __name__ == "__main__":
    sys.exit(run_parts(PARTS))
