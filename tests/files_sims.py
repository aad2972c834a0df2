"""The imzML pairs and the SIMS-H5 archive of `io_files.py` as examples to be damaged; every number in them stands there."""

from __future__ import annotations

import runpy
from pathlib import Path

_HERE = Path(__file__).parent
_files = runpy.run_path(str(_HERE / "io_files.py"), run_name="io_files")
_Example = runpy.run_path(str(_HERE / "fuzzing.py"), run_name="fuzzing")["Example"]


def write_pair(folder, **options):
    """The planted map as an imzML pair."""
    return _files["write_imzml"](folder, _files["planted_spectra"](), **options)


def arrays(content):
    """Where the arrays of the .ibd may begin: behind the UUID, every eight bytes."""
    return range(16, len(content), 8)


def _binary(path):
    return path.with_suffix(".ibd")


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
]
REAL: list[object] = []  # tests/test_io_imzml_real.py and benchmarks/foundation.py have them
