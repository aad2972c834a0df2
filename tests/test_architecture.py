"""The house keeps its walls: imports run one way, rooms load when used, every public name is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from numpydoc.validate import validate

import ssbmaps

SOURCE = Path(ssbmaps.__file__).parent
ROOMS = [n for n in ssbmaps.__all__ if inspect.ismodule(getattr(ssbmaps, n))]

# Which rooms a room may use, besides itself. "_" stands for the private modules beside __init__.py.
MAY_USE = {
    "_": set(),
    "io": {"_"},
    "decomposition": {"_"},
    "spectra": {"_"},
    "synthetic": {"_", "io"},
    "maps": {"_", "io", "decomposition", "spectra"},
    "interfaces": {"_", "io", "decomposition", "spectra", "maps"},
    "figures": {"_", "io", "decomposition", "spectra", "maps", "interfaces"},
    "study": {"_", "io", "decomposition", "spectra", "maps", "interfaces", "figures", "synthetic"},
    "cli": {"_", "io", "decomposition", "spectra", "maps", "interfaces", "figures", "synthetic", "study"},
}


def room_of(module: str) -> str | None:
    """Room of a dotted module name inside ssbmaps; None for the package itself."""
    parts = module.split(".")
    if len(parts) < 2:
        return None
    return "_" if parts[1].startswith("_") else parts[1]


def runtime_imports(path: Path) -> set[str]:
    """Modules of ssbmaps that a file imports when it runs, those under `if TYPE_CHECKING` left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and getattr(test.test, "id", None) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" if node.module == "ssbmaps" else node.module for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path.name}: relative import; the house imports by full name")
    return {name for name in found if name == "ssbmaps" or name.startswith("ssbmaps.")}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_run_one_way(path):
    module = ".".join(("ssbmaps", *path.relative_to(SOURCE).with_suffix("").parts))
    room = room_of(module)
    if path == SOURCE / "__init__.py":
        return
    allowed = MAY_USE[room] | {room}
    wrong = {name for name in runtime_imports(path) if room_of(name) not in allowed | {None} and name != "ssbmaps.__version__"}
    assert not wrong, f"{module} (room {room}) may not import {sorted(wrong)}"


def test_only_figures_draws():
    words = ("import matplotlib", "from matplotlib")
    texts = [(p.relative_to(SOURCE).parts[0], p.read_text(encoding="utf-8")) for p in SOURCE.rglob("*.py")]
    assert {room for room, text in texts if any(w in text for w in words)} <= {"figures"}


def test_import_loads_no_library():
    code = "import sys, ssbmaps; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "xarray", "scipy", "matplotlib", "sklearn", "skimage", "h5py", "dask", "numba"} & set(loaded)


def test_help_loads_no_library():
    code = "import sys, ssbmaps.cli; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "xarray", "scipy", "matplotlib", "sklearn", "rich"} & set(loaded)


def test_import_of_rooms_leaves_the_heavy_libraries_alone():
    rooms = ", ".join(f"ssbmaps.{room}" for room in ROOMS)
    code = f"import sys, {rooms}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"matplotlib", "sklearn", "skimage", "numba", "pyimzml", "hyperspy"} & set(loaded)


def test_unknown_room_is_named():
    with pytest.raises(AttributeError, match="no attribute 'peaks'; its rooms are decomposition"):
        ssbmaps.peaks  # noqa: B018


def public_names() -> list[str]:
    names = [f"ssbmaps.{n}" for n in ssbmaps.__all__ if n not in ROOMS and n != "__version__"]
    for room in ROOMS:
        module = importlib.import_module(f"ssbmaps.{room}")
        names += [f"ssbmaps.{room}.{n}" for n in module.__all__]
    return names


def test_export_lists_agree_with_what_is_there():
    for room in ROOMS:
        module = importlib.import_module(f"ssbmaps.{room}")
        visible = {n for n, v in vars(module).items() if not n.startswith("_") and inspect.isroutine(v)}
        assert visible == {n for n in module.__all__ if inspect.isroutine(getattr(module, n))}, room
        assert list(module.__all__) == sorted(module.__all__), room


@pytest.mark.parametrize("name", public_names())
def test_docstring_follows_numpydoc(name):
    report = validate(name)
    faults = [f"{code} {text}" for code, text in report["errors"] if code not in {"ES01", "SA01", "SA04", "GL01"}]
    assert not faults, faults


@pytest.mark.parametrize("name", public_names())
def test_public_functions_take_options_by_keyword(name):
    thing = ssbmaps
    for part in name.split(".")[1:]:
        thing = getattr(thing, part)
    if not inspect.isfunction(thing):
        return
    positional = [p for p in inspect.signature(thing).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert len(positional) <= 3
    optional = [p.name for p in positional if p.default is not p.empty]
    known = ([], ["ions"], ["fragments"], ["measurement"])
    assert optional in known, "options are keyword-only; which ions are meant may follow the data, and a plan has none"
