"""Runs the readers of other libraries in a child process with limits of time and memory: they may do there what they like.

A library reader may raise anything, hang, crash or take all memory when a file is damaged. In a child none of this reaches the
caller, who gets a `FormatError` that names the file. The child starts with the first call (about 0.3 s, and what the library
needs to load), stays for the next ones, and ends with this process. The time limit holds everywhere, the memory limit on Linux.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ssbmaps import _errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

_START = "import sys; sys.path += sys.argv[1:]; from ssbmaps.io._guard_child import main; main()"
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}  # less address space
_LOADING = 300.0  # seconds for starting the child and importing the library, on a slow disk
_LEAST = 512 << 20  # bytes of memory that every call may take
_RATIO = 64  # times the file's size, as for the sizes that stand in headers
_LONGEST = 64 << 20  # bytes of an answer's JSON
_IN_MEMORY = 256 << 20  # bytes of an answer's arrays that are handed over in memory, where the system can


class _Ended(Exception):
    """The child has gone: `late` if its time was over, `begun` if it had the file in hand."""

    def __init__(self, late: bool, begun: bool, code: int | None) -> None:
        super().__init__()
        self.late, self.begun, self.code = late, begun, code


class _Child:
    """A running child process and its two pipes."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, *(str(Path(p).absolute()) for p in sys.path if p)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,  # nothing is left in a buffer that a fork would send twice
            env={k: v for k, v in os.environ.items() if k != "PYTHONWARNINGS"} | _ENVIRONMENT,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[bytes] = self._process.stdin
        open_files = f"/proc/{self._process.pid}/fd"  # of the child; Linux shows them to this process
        self._shares = hasattr(os, "memfd_create") and os.access(open_files, os.R_OK | os.X_OK)
        self._answers = BufferedReader(self._process.stdout)  # type: ignore[type-var]
        self._late = threading.Event()
        self._begun = False

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The child's answer, or `_Ended`."""
        self._begun = False
        self.send({**request, "in_memory": _IN_MEMORY if self._shares else 0})
        line = self._line(_LOADING)
        if line == b"begin\n":
            self._begun = True
            line = self._line(request["seconds"])
        answer: dict[str, Any] = json.loads(line)
        return answer

    def send(self, request: dict[str, Any]) -> None:
        """Write one line to the child."""
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
        except OSError:
            raise self._ended() from None

    def _line(self, seconds: float) -> bytes:
        timer = threading.Timer(seconds, self._overdue)
        timer.daemon = True
        timer.start()
        try:
            line = self._answers.readline(_LONGEST)
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            raise self._ended()
        return line

    def _overdue(self) -> None:
        self._late.set()
        self._process.kill()

    def kill(self) -> None:
        """End the process; whoever waits for its answer finds that out."""
        self._process.kill()

    def _ended(self) -> _Ended:
        self.close()
        return _Ended(self._late.is_set(), self._begun, self._process.returncode)

    def close(self) -> None:
        """End the process and close the pipes."""
        self._requests.close()  # the child ends by itself at that; the kill is for one that hangs
        self._process.kill()
        self._process.wait()
        self.drop()

    def drop(self) -> None:
        """Close this process's ends of the pipes only: after a fork the child belongs to the other one."""
        self._requests.close()
        self._answers.close()
        if self._process.returncode is None:
            self._process.returncode = 0  # not ours: nothing to wait for


class _Guard:
    """The one child of this process, started when first needed, for one call at a time."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.child: _Child | None = None
        self.starts = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            try:
                return self._ask(request)
            except _Ended as end:  # the system may end a process between two calls
                if end.begun or end.late:
                    raise
                return self._ask(request)

    def taken(self) -> None:
        """Let the child forget the arrays of its last answer."""
        if self.child is not None:
            try:
                self.child.send({"taken": True})
            except _Ended:
                self._close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self.child is None:
            self.child = _Child()
            self.starts += 1
        try:
            return self.child.ask(request)
        except BaseException:  # also an interruption: half an answer may be under way
            self._close()
            raise

    def close(self) -> None:
        if self.child is not None:
            self.child.kill()  # first: another thread may hold the lock and wait
        with self.lock:
            self._close()

    def _close(self) -> None:
        if self.child is not None:
            self.child.close()
        self.child = None

    def after_fork(self) -> None:
        """In the new process: its own lock, no child."""
        self.lock = threading.RLock()
        if self.child is not None:
            self.child.drop()
        self.child = None


_GUARD = _Guard()
atexit.register(_GUARD.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_GUARD.after_fork)


def call(
    target: str,
    path: Path,
    *,
    arguments: dict[str, Any],
    subject: str,
    memory: int | None = None,
    seconds: float = 60,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What the function `target` ("ssbmaps.io._some_child:load") returns for `path` and `arguments`, run in the child.

    The function takes (path, **arguments) and returns facts that JSON can hold and named arrays, which come back as files, in
    memory or on the disk, that are mapped here. `facts["warnings"]` lists what was warned of, as text. A `prepare(**arguments)`
    beside the function loads its libraries: that does not count towards `seconds` nor `memory` (bytes; None: 64 times the file's
    size, and 512 MiB at least, and not more than the machine has). SsbmapsErrors come back as they are, everything else as a
    FormatError.
    """
    if not sys.executable:
        raise _errors.FormatError(f"{subject}: is read in a child process, and this Python has no executable to start one.")
    allowed = min(machine(), memory if memory is not None else max(_LEAST, _RATIO * _size(path)))
    folder = Path(tempfile.mkdtemp(prefix="ssbmaps-"))
    request = {"target": target, "path": str(path), "arguments": arguments, "folder": str(folder)}
    try:
        with _GUARD.lock:
            answer = _GUARD.ask({**request, "memory": allowed, "seconds": seconds})
            if "kind" in answer:
                raise _letter(answer, path, subject, allowed)
            arrays = {name: _taken(folder / file) for name, file in answer["arrays"].items()}
            _GUARD.taken()
    except _Ended as end:
        raise _errors.FormatError(f"{subject}: {_why(end, seconds)}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {**answer["facts"], "warnings": answer["warnings"]}, arrays


def starts() -> int:
    """How often a child was started so far: more than once if one crashed or had to be ended."""
    return _GUARD.starts


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def machine() -> int:
    """Bytes of memory of this machine; without a limit where it does not say."""
    try:
        return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return sys.maxsize


def _taken(file: Path) -> NDArray[Any]:
    """The array of a .npy file, mapped privately where a file can be removed while it is mapped, else read."""
    try:
        if os.name == "posix" and file.stat().st_size > 1 << 20:
            return np.asarray(np.load(file, mmap_mode="c", allow_pickle=False))
        values: NDArray[Any] = np.load(file, allow_pickle=False)
    except FileNotFoundError:  # in memory, and the child has gone
        raise _Ended(False, True, None) from None
    return values


def _letter(answer: dict[str, Any], path: Path, subject: str, allowed: int) -> _errors.SsbmapsError:
    """The error of a call that answered with one."""
    if answer["kind"] == "MemoryError":
        return _errors.FormatError(
            f"{subject}: reading it takes more than the {allowed >> 20} MiB that are allowed for a file of {_size(path)} bytes. "
            "Its header may be damaged; copy or export it again."
        )
    if answer.get("ours"):
        kind = getattr(_errors, answer["kind"], _errors.FormatError)
        error: _errors.SsbmapsError = kind(answer["text"])
        return error
    said = " ".join(answer["text"].replace(str(path.parent) + os.sep, "").split())[:300]
    return _errors.FormatError(
        f"{subject}: cannot be read; its reader stopped with {answer['kind']}{': ' + said.rstrip('.') if said else ''}. "
        "The file may be damaged or cut short; copy or export it again."
    )


def _why(end: _Ended, seconds: float) -> str:
    if end.late:
        return f"was not read within {seconds:g} s, and its reader was ended. The file may be damaged; copy or export it again."
    code = "" if end.code is None else f" (exit code {end.code})"
    return f"cannot be read; its reader crashed{code}. The file may be damaged; copy or export it again."
