"""The project's paper keeps its word: links lead somewhere, code in it runs, versions agree, make says what it will do."""

from __future__ import annotations

import doctest
import importlib
import io
import os
import re
import shutil
import subprocess
import tomllib
from contextlib import redirect_stdout
from pathlib import Path

import pytest

import ssbmaps

ROOT = Path(__file__).parents[1]
PAPER = [
    ROOT / name
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/contract.md",
        "docs/interphase.md",
        "docs/growth.md",
        "docs/decomposition.md",
        "docs/bridges.md",
        "docs/registration.md",
        "docs/operando.md",
        "docs/edge_layers.md",
        "docs/lateral_layers.md",
    )
]

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_citation_is_valid_and_of_this_version() -> None:
    from cffconvert import Citation

    citation = Citation((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    citation.validate()
    fields = citation.cffobj
    assert fields["version"] == ssbmaps.__version__
    assert fields["references"][0]["doi"] == "10.1039/D1TA04532F"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert fields["license"] == project["license"]
    assert [a["name"] for a in fields["authors"]] == [a["name"] for a in project["authors"]]


def test_licence_is_the_whole_text() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.lstrip().startswith("GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007")
    assert "END OF TERMS AND CONDITIONS" in text
    assert len(text.splitlines()) > 600


@pytest.mark.parametrize("page", PAPER, ids=lambda p: p.name)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    local = [t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:", t) and not t.startswith("#")]
    missing = [t for t in local if not (page.parent / t).exists()]
    assert not missing


def test_readme_names_every_room_and_no_other() -> None:
    named = set(re.findall(r"\[`([a-z]+)/`\]\(src/ssbmaps/\1\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    rooms = {p.parent.name for p in (ROOT / "src" / "ssbmaps").glob("*/__init__.py")}
    assert named == rooms


@pytest.mark.filterwarnings("ignore:maps.fragment_maps:ssbmaps.DataQualityWarning")  # PS- adds to PO2-, as it does in life
def test_the_readme_s_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small section written under the name that the README reads."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    section = ssbmaps.synthetic.cross_section(seed=0, shape=(128, 128), n_scans=5)
    ssbmaps.synthetic.write_imzml(ssbmaps.synthetic.spectrum_cube(section, seed=0), tmp_path / "section.imzML")
    exec(compile(code[1], "README.md", "exec"), {})
    assert (tmp_path / "interphase.pdf").read_bytes().startswith(b"%PDF")
    lines = [line for line in code[1].splitlines() if line and not line.startswith("from ")]
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("contract.md", 9),
        ("interphase.md", 5),
        ("growth.md", 3),
        ("decomposition.md", 2),
        ("registration.md", 6),
        ("operando.md", 19),
        ("edge_layers.md", 10),
        ("lateral_layers.md", 10),
    ],
)
def test_the_pages_examples_run(name: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / name
    blocks = re.findall(r"```pycon\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    test = doctest.DocTestParser().get_doctest("".join(blocks), {}, page.name, str(page), 0)
    out = io.StringIO()
    with redirect_stdout(out):
        result = doctest.DocTestRunner().run(test)
    assert result.failed == 0, out.getvalue()
    assert result.attempted >= least


@pytest.mark.parametrize("page", PAPER, ids=lambda p: p.name)
def test_names_in_the_paper_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    rooms = "|".join(n for n in ssbmaps.__all__ if n.islower() and n != "__version__")
    found = set(re.findall(rf"`(?:ssbmaps\.)?({rooms})\.([a-z_]+)\b", text))
    missing = [f"{room}.{name}" for room, name in found if not hasattr(importlib.import_module(f"ssbmaps.{room}"), name)]
    assert not missing


def test_changelog_names_every_public_name() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    rooms = [p.parent.name for p in (ROOT / "src" / "ssbmaps").glob("*/__init__.py")]
    public = [f"{room}.{name}" for room in rooms for name in importlib.import_module(f"ssbmaps.{room}").__all__]
    assert not [name for name in public if f"`{name.partition('.')[2]}`" not in text]


def test_changelog_names_the_version_in_development() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    release = ssbmaps.__version__.partition(".dev")[0]
    assert re.search(rf"^## \[(Unreleased\]: )?{re.escape(release)}", text, re.MULTILINE)


@needs_make
@pytest.mark.parametrize(
    ("target", "last"),
    [("demo", "ssbmaps demo --output demo --force"), ("test", "-m pytest"), ("lint", "-m mypy"), ("clean", "-name __pycache__")],
)
def test_make_targets_exist_and_end_with_their_command(target: str, last: str) -> None:
    plan = make("--dry-run", target)
    assert plan.returncode == 0, plan.stderr
    commands = [line for line in plan.stdout.splitlines() if not line.lstrip().startswith("echo")]
    assert last in commands[-1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which make finds what it needs, and Pythons that pretend."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    pretend(tmp_path / "old", "*version_info*) exit 1;; --version) echo Python 3.9.2;;")
    pretend(tmp_path / "bare", "*ensurepip*) exit 1;;")
    pretend(tmp_path / "good", '*"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python;; *"-m pip"*) echo "$*" >> pip.log;;')
    return tmp_path


def pretend(path: Path, cases: str) -> None:
    path.write_text(f'#!/bin/sh\ncase "$*" in {cases} esac\n', encoding="utf-8")
    path.chmod(0o755)


@needs_make
@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("nonesuch", "There is no nonesuch here. Install Python 3.11 or newer"),
        ("./old", "./old is Python 3.9.2; ssbmaps needs Python 3.11 or newer"),
        ("./bare", "./bare has no venv module. Install it (Debian, Ubuntu: sudo apt install python3-venv)"),
    ],
)
@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_says_what_is_missing(checkout: Path, target: str, python: str, message: str) -> None:
    result = make(target, f"PYTHON={python}", folder=checkout)
    assert result.returncode != 0
    assert message in result.stderr
    assert not (checkout / ".venv").exists()


@needs_make
def test_make_installs_once_and_again_only_when_it_must(checkout: Path) -> None:
    def installations() -> int:
        result = make("test", "PYTHON=./good", folder=checkout)
        assert result.returncode == 0, result.stderr
        return len((checkout / "pip.log").read_text(encoding="utf-8").splitlines())

    assert installations() == 1
    assert installations() == 1
    stamp = checkout / ".venv" / ".ssbmaps-development"
    os.utime(checkout / "pyproject.toml", (stamp.stat().st_mtime + 10,) * 2)
    assert installations() == 2
    os.utime(checkout / "pyproject.toml", (stamp.stat().st_mtime - 10,) * 2)
    assert installations() == 2
    stamp.unlink()  # as after an installation that was interrupted
    assert installations() == 3
    stamp.write_text("/elsewhere\n", encoding="utf-8")  # as after the folder was moved
    assert installations() == 4
    (checkout / ".venv" / "bin" / "python").unlink()  # as after the system's Python went
    assert installations() == 5


def test_ci_is_honest_about_failure() -> None:
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert os.access(ROOT / ".ci" / "run", os.X_OK) or os.name != "posix"
    checked = subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
