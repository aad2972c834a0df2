"""The guard: what a library reader does in the child never reaches the caller, except as a letter."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import ssbmaps
from ssbmaps.io import _guard

READERS = """
import ctypes, logging, os, sys, time, warnings
import numpy as np
from ssbmaps import DataQualityWarning, SsbmapsError

LOADED = []

def prepare(**arguments):
    LOADED.append(arguments)
    time.sleep(arguments.get("loading", 0))

def load(path, factor=1, **_):
    warnings.warn("the third value is odd", UserWarning, stacklevel=1)
    values = np.frombuffer(path.read_bytes(), np.uint8).reshape(2, 3) * factor
    return {"name": path.name, "prepared": len(LOADED) > 0, "pid": os.getpid()}, {"values": values, "ends": values[0, [0, -1]]}

def big(path, size):
    return {}, {"values": np.arange(size, dtype=np.float32)}

def noisy(path):
    print("printed"); print("err", file=sys.stderr); os.write(1, b"raw"); logging.getLogger().error("logged")
    os.system("echo from a shell")
    return {}, {}

def raises(path, kind, text):
    raise {"KeyError": KeyError, "SystemExit": SystemExit, "RecursionError": RecursionError, "ours": SsbmapsError}[kind](text)

def names_its_folder(path):
    raise OSError(f"cannot open {path}\\nat all")

def crashes(path):
    ctypes.string_at(0)

def hangs(path):
    time.sleep(600)

def grows(path, limit):
    return {}, {"values": np.ones(limit, np.uint8)}

def writes(path, size):
    with open(path.with_name("copy"), "wb") as handle:
        for _ in range(size >> 20):
            handle.write(b"x" * (1 << 20))
    return {}, {}

def objects(path):
    return {}, {"values": np.array([{}, []], object)}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.xyz"
    path.write_bytes(bytes([1, 2, 3, 4, 5, 60]))
    return path


@pytest.fixture(scope="module", autouse=True)
def readers(tmp_path_factory: pytest.TempPathFactory):
    """A module of readers, good and bad, that only the child's search path leads to; a child of its own."""
    folder = tmp_path_factory.mktemp("readers")
    (folder / "guarded_readers.py").write_text(READERS, encoding="utf-8")
    _guard._GUARD.close()
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))
    _guard._GUARD.close()


def run(name: str, path: Path, *, memory: int | None = None, seconds: float = 60, **arguments: object):
    return _guard.call(f"guarded_readers:{name}", path, arguments=arguments, subject=path.name, memory=memory, seconds=seconds)


def test_facts_arrays_and_warnings_come_back(small):
    facts, arrays = run("load", small, factor=4)
    assert facts == {"name": "small.xyz", "prepared": True, "pid": facts["pid"], "warnings": ["the third value is odd"]}
    assert facts["pid"] != os.getpid()
    assert np.array_equal(arrays["values"], np.array([[4, 8, 12], [16, 20, 240]], np.uint8))
    assert arrays["values"].dtype == np.uint8
    assert np.array_equal(arrays["ends"], [4, 12])
    assert "guarded_readers" not in sys.modules


@pytest.mark.parametrize("in_memory", [_guard._IN_MEMORY, 0, 1 << 22])
def test_large_arrays_are_mapped_own_their_pages_and_leave_no_file(small, tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(_guard, "_IN_MEMORY", in_memory)  # 4 MiB of values: just enough
    _, arrays = run("big", small, size=1 << 20)
    values = arrays["values"]
    assert not list(tmp_path.glob("ssbmaps-*"))
    on_disk = "memfd" not in str(getattr(values.base, "filename", ""))
    assert on_disk == (in_memory == 0) or not hasattr(os, "memfd_create")
    run("load", small)  # another answer leaves the first one alone
    assert isinstance(values.base, np.memmap) or os.name != "posix"
    assert type(values) is np.ndarray
    values[3] = -1.0
    assert values[:5].tolist() == [0, 1, 2, -1, 4]
    assert values[-1] == (1 << 20) - 1


def in_memory(pid: int) -> list[str]:
    """The files in memory that a process has open."""
    targets = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            targets.append(str(link.readlink()))
    return [t for t in targets if "memfd" in t]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list the open files of a process")
def test_the_child_lets_go_of_what_was_taken(small):
    pid = run("load", small)[0]["pid"]
    run("big", small, size=1 << 20)
    deadline = time.monotonic() + 10
    while in_memory(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not in_memory(pid)


def test_a_child_that_ends_before_its_arrays_are_taken_is_a_letter(small, monkeypatch):
    whole = _guard._GUARD.ask

    def ask(request):
        answer = whole(request)
        _guard._GUARD.child.kill()
        _guard._GUARD.child._process.wait()
        return answer

    monkeypatch.setattr(_guard._GUARD, "ask", ask)
    if _guard._GUARD.child is None or _guard._GUARD.child._shares:
        with pytest.raises(ssbmaps.FormatError, match=r"small\.xyz: cannot be read; its reader crashed"):
            run("big", small, size=1 << 20)
    monkeypatch.undo()
    assert run("load", small)[0]["name"] == "small.xyz"


def test_the_child_stays_for_the_next_call(small):
    first = run("load", small)[0]["pid"]
    before = _guard.starts()
    with pytest.raises(ssbmaps.FormatError, match="KeyError"):
        run("raises", small, kind="KeyError", text="gone")
    assert run("load", small)[0]["pid"] == first
    assert _guard.starts() == before


def test_nothing_that_the_child_says_is_heard(small, capfd):
    run("noisy", small)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["KeyError", "SystemExit", "RecursionError"])
def test_any_exception_becomes_a_letter(small, kind):
    with pytest.raises(ssbmaps.FormatError, match=rf"small\.xyz: cannot be read; its reader stopped with {kind}: '?half"):
        run("raises", small, kind=kind, text="half.")


def test_an_error_of_ours_comes_back_as_it_is(small):
    with pytest.raises(ssbmaps.SsbmapsError, match=r"^small\.xyz: dataset is 3\.$") as caught:
        run("raises", small, kind="ours", text="small.xyz: dataset is 3.")
    assert type(caught.value) is ssbmaps.SsbmapsError


def test_letters_name_the_file_without_its_folder(small):
    with pytest.raises(ssbmaps.FormatError, match=r"OSError: cannot open small\.xyz at all\. The file"):
        run("names_its_folder", small)


def test_a_crash_becomes_a_letter_and_the_next_call_works(small):
    before = _guard.starts()
    with pytest.raises(ssbmaps.FormatError, match=r"small\.xyz: cannot be read; its reader crashed \(exit code"):
        run("crashes", small)
    assert run("load", small)[1]["values"].shape == (2, 3)
    assert _guard.starts() == before + 1


def test_what_hangs_is_ended(small):
    start = time.monotonic()
    with pytest.raises(ssbmaps.FormatError, match=r"small\.xyz: was not read within 0\.3 s"):
        run("hangs", small, seconds=0.3)
    assert time.monotonic() - start < 20  # the child may have to start first
    assert run("load", small)[1]["ends"].tolist() == [1, 3]


def test_loading_libraries_is_not_the_files_time(small):
    assert run("load", small, loading=0.5, seconds=0.4)[0]["name"] == "small.xyz"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux limits the address space")
def test_memory_is_limited_for_the_call_and_not_for_the_next(small):
    with pytest.raises(ssbmaps.FormatError, match=r"takes more than the 512 MiB that are allowed for a file of 6 bytes"):
        run("grows", small, limit=600 << 20)
    with pytest.raises(ssbmaps.FormatError, match=r"takes more than the 32 MiB"):
        run("grows", small, limit=40 << 20, memory=32 << 20)
    assert run("grows", small, limit=40 << 20)[1]["values"].sum() == 40 << 20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux sets the limits")
def test_files_are_limited_too(small):
    with pytest.raises(ssbmaps.FormatError, match="File too large"):
        run("writes", small, size=3 << 20, memory=2 << 20)


def test_objects_are_refused_instead_of_pickled(small):
    with pytest.raises(ssbmaps.FormatError, match="Object arrays cannot be saved when allow_pickle=False"):
        run("objects", small)


def test_a_child_that_went_between_two_calls_is_replaced(small):
    pid = run("load", small)[0]["pid"]
    _guard._GUARD.child.kill()
    assert run("load", small)[0]["pid"] != pid


def test_threads_take_turns(small):
    told: list[tuple[int, list[list[int]]]] = []

    def ask(factor: int) -> None:
        told.append((factor, run("load", small, factor=factor)[1]["values"].tolist()))

    workers = [threading.Thread(target=ask, args=(n,)) for n in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(told) == [(n, [[n, 2 * n, 3 * n], [4 * n, 5 * n, 60 * n]]) for n in range(1, 5)]


def test_an_interruption_leaves_nothing_half_said(small, monkeypatch):
    run("load", small)
    child = _guard._GUARD.child

    def interrupted(_: float) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(child, "_line", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("load", small, factor=7)
    assert run("load", small, factor=2)[1]["ends"].tolist() == [2, 6]


def script(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a plain script, without any guard on its own name, with all warnings as errors."""
    (folder / "plain.py").write_text(textwrap.dedent(code), encoding="utf-8")
    (folder / "guarded_readers.py").write_text(READERS, encoding="utf-8")
    command = [sys.executable, "-W", "error", "plain.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


CALL = """
import os
from pathlib import Path
from ssbmaps.io import _guard
def ask():
    return _guard.call("guarded_readers:load", Path("small.xyz").absolute(), arguments={}, subject="small.xyz")
"""


def test_a_script_needs_no_main_guard_and_its_child_ends_with_it(small):
    done = script(small.parent, CALL + "print(ask()[0]['pid'])")
    assert (done.returncode, done.stderr) == (0, "")
    assert not running(int(done.stdout))


def running(pid: int) -> bool:
    """Whether a process is there; it gets a moment to go."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_the_child_ends_when_its_parent_is_killed(small):
    done = script(small.parent, CALL + "print(ask()[0]['pid'], flush=True)\nos.kill(os.getpid(), 9)")
    assert done.returncode == -9
    assert not running(int(done.stdout))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_after_a_fork_each_process_has_its_own_child(small):
    code = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # that other threads may suffer: none of them is needed here
    first = ask()[0]["pid"]
    if os.fork() == 0:
        mine = ask()[0]["pid"]
        print(mine != first, flush=True)
        os._exit(0)  # without closing: its child must see that the pipe has gone
    os.wait()
    print(ask()[0]["pid"] == first)
    """
    done = script(small.parent, CALL + textwrap.dedent(code))
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", ["True", "True"])


def test_a_python_without_executable_is_told(small, monkeypatch):
    _guard._GUARD.close()
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ssbmaps.FormatError, match=r"small\.xyz: is read in a child process, and this Python has no executable"):
        run("load", small)
