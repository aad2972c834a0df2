"""The tutorials run as they stand, and the committed notebooks show what their present sources give."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pytest

if TYPE_CHECKING:
    from types import ModuleType

TUTORIALS = Path(__file__).parents[1] / "tutorials"
SOURCES = sorted(TUTORIALS.glob("[0-9][0-9]_*.py"))
NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?!\w)")
MOST_BYTES = 1_400_000  # more, and code hosts do not show the page
# An absolute path, a web address other than that of xarray's pages, and what kernels and fonts say of the machine.
STRANGE = re.compile(
    r"""(?:^|[\s"'(=])(?:/\w[\w.-]*){2,}|[A-Z]:\\\\|https?://(?!docs\.xarray\.dev)|site-packages|ipykernel|findfont""",
    re.MULTILINE,
)

each = pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)


@pytest.fixture(scope="module")
def build() -> ModuleType:
    """tutorials/build.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("build", TUTORIALS / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def committed(source: Path) -> Any:
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def shown(cell: Any) -> str:
    """All that a cell shows as text, its figures by the word "figure"."""
    texts = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        texts.append("figure" if "image/png" in data else output.get("text", data.get("text/plain", "")))
    return "\n".join(texts)


def draws(text: str) -> bool:
    """Whether the last line of a cell is a figure, as a call or by a name that was given to one in the cell."""
    *before, last = ast.parse(text).body
    if not isinstance(last, ast.Expr):
        return False
    figures = [ast.unparse(n) for n in before if isinstance(n, ast.Assign) and "_figure(" in ast.unparse(n.value)]
    name = ast.unparse(last.value)
    return "_figure(" in name or any(f.startswith(f"{name} = ") for f in figures)


def test_there_is_a_first_tutorial() -> None:
    assert [s.stem for s in SOURCES][:1] == ["01_from_file_to_profile"]
    assert {p.stem for p in TUTORIALS.glob("*.ipynb")} == {s.stem for s in SOURCES}


def test_cells_are_cut_at_their_marks(build: ModuleType) -> None:
    source = "# remark\n\n# %% [markdown]\n# # Title\n#\n# Text\n\n# %%\na = 1\n\n\nb = 2  # %% no mark\n\n# %%\na\n"
    assert list(build.cells(source)) == [
        ("markdown", "# Title\n\nText"),
        ("code", "a = 1\n\n\nb = 2  # %% no mark"),
        ("code", "a"),
    ]


def test_places_of_warnings_are_left_out(build: ModuleType) -> None:
    text = "/a/ipykernel_71/2.py:3: DataQualityWarning: maps.x: drift: 3: far\n  found = maps.x(series)\nnext\n"
    assert build.PLACE.sub(r"\1", text) == "DataQualityWarning: maps.x: drift: 3: far\nnext\n"


@each
def test_notebook_holds_its_source(source: Path, build: ModuleType) -> None:
    made, found = build.notebook(source.read_text(encoding="utf-8")), committed(source)
    assert [(c.id, c.cell_type, c.source) for c in found.cells] == [(c.id, c.cell_type, c.source) for c in made.cells], (
        f"run: python tutorials/build.py {source.name}"
    )


@each
def test_notebook_can_be_read_on_a_code_host(source: Path) -> None:
    path, found = source.with_suffix(".ipynb"), committed(source)
    nbformat.validate(found)
    assert path.stat().st_size < MOST_BYTES
    code = [c for c in found.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    assert not [c.id for c in code if draws(c.source) and shown(c) != "figure"]
    assert sum(draws(c.source) for c in code) >= 8
    assert found.metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert not [c.id for c in found.cells if c.metadata]
    tables = [o.data["text/html"] for c in code for o in c.outputs if "text/html" in o.get("data", {})]
    words = "\n".join([*(c.source for c in found.cells), *map(shown, code), *tables])
    assert not STRANGE.findall(words)
    assert "## What could go wrong" in words


@each
def test_tutorial_runs_and_gives_what_the_notebook_shows(source: Path, tmp_path: Path) -> None:
    """Words are the same. Numbers may differ by 5 %, or by one in the last digit shown: libraries' versions differ."""
    command = [sys.executable, str(TUTORIALS / "build.py"), str(source), "--to", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for old, new in zip(
        committed(source).cells, nbformat.read(tmp_path / f"{source.stem}.ipynb", as_version=4).cells, strict=True
    ):
        before, after = shown(old), shown(new)
        assert " ".join(NUMBER.sub("#", after).split()) == " ".join(NUMBER.sub("#", before).split()), old.id
        for a, b in zip(NUMBER.findall(before), NUMBER.findall(after), strict=True):
            unit = 10.0 ** -len(a.partition(".")[2])
            np.testing.assert_allclose(float(b), float(a), rtol=0.05, atol=1.01 * unit, err_msg=f"{old.id}: {after}")
