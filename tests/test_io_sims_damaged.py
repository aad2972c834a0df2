"""Mass-spectral files with cuts and changed bytes: an error of ssbmaps or a right result, and nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

fuzzing = runpy.run_path(str(Path(__file__).with_name("fuzzing.py")), run_name="fuzzing")
EXAMPLES = runpy.run_path(str(Path(__file__).with_name("files_sims.py")), run_name="files_sims")["EXAMPLES"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_damage_is_refused_or_read_right(example, tmp_path):
    tally = fuzzing["fuzz"](example, tmp_path, n_flips=60, n_cuts=30, seed=2)
    assert not tally.faults
    assert tally.outcomes["refused"] > 10
