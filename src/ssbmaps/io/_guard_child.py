"""The child process of `_guard`: runs one reading function after the other, silently, within the limits that each call names.

Requests and answers are lines of JSON on stdin and on what was stdout; arrays lie as .npy files in memory, or in the folder of
the request.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

try:
    import resource
except ImportError:  # Windows: only the time is limited, by the parent
    resource = None  # type: ignore[assignment]

_INTERNAL = (ResourceWarning, DeprecationWarning, PendingDeprecationWarning, FutureWarning)  # among programmers
_SHARED: list[int] = []  # files in memory of the last answer
_PAUSE = 0.05  # seconds without a request
_GRACE = 5  # seconds after which a child ends itself whose parent cannot do it any more


def main() -> None:
    """Answer requests until stdin closes."""
    answers = _private_stdout()
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches children; the parent decides
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    patience: float | None = None
    while True:
        try:
            request = json.loads(requests.get(timeout=patience))
        except queue.Empty:
            gc.collect()  # memory of the last calls, when nobody waits for an answer
            patience = None
            continue
        if request.get("taken"):
            _forget()
            continue
        answer = _answer(request, answers)
        answers.write(json.dumps(answer, default=str).encode() + b"\n")
        answers.flush()
        patience = _PAUSE


def _private_stdout() -> BinaryIO:
    """The pipe to the parent, out of the reach of a library that prints: file number 1 leads nowhere from here on."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return answers


def _listen(pipe: BinaryIO, requests: queue.SimpleQueue[bytes]) -> None:
    """Hand on what comes, and end the process, busy or not, when the parent has gone."""
    for line in pipe:
        requests.put(line)
    os._exit(0)


def _answer(request: dict[str, Any], answers: BinaryIO) -> dict[str, Any]:
    """`facts`, `arrays` and `warnings` of one call, or `kind` and `text` of what went wrong."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            function = _prepare(request)
            caught.clear()  # what a library says on being imported
            answers.write(b"begin\n")
            answers.flush()
            with _limits(request["memory"], request["seconds"]):
                facts, arrays = function(Path(request["path"]), **request["arguments"])
                names = _write(arrays, Path(request["folder"]), request["in_memory"])
        except MemoryError:
            return {"kind": "MemoryError", "text": ""}
        except BaseException as error:
            return {"kind": type(error).__name__, "text": _text(error), "ours": _is_ours(error)}
        told = dict.fromkeys(str(w.message) for w in caught if not issubclass(w.category, _INTERNAL))
    return {"facts": facts, "arrays": names, "warnings": list(told)}


def _prepare(request: dict[str, Any]) -> Callable[..., Any]:
    """The function named "module:function", its libraries loaded: they do not count towards the limits of the call."""
    module_name, _, name = request["target"].partition(":")
    module = importlib.import_module(module_name)
    prepare = getattr(module, "prepare", None)
    if prepare is not None:
        prepare(**request["arguments"])
    function: Callable[..., Any] = getattr(module, name)
    return function


def _write(arrays: dict[str, Any], folder: Path, in_memory: int) -> dict[str, str]:
    """Save every array; the files by the arrays' names. Objects are refused: they would be pickled.

    Up to `in_memory` bytes lie in files that have no place on the disk, and are gone when both processes have closed them; a
    disk's file system takes several times as long, even where nothing reaches the disk. Others lie in the folder.
    """
    import numpy as np

    files: dict[str, str] = {}
    _forget()
    room = in_memory - sum(np.asarray(values).nbytes for values in arrays.values())
    for number, (name, values) in enumerate(arrays.items()):
        files[name] = f"{number}.npy"
        if room < 0:
            np.save(folder / files[name], np.asarray(values), allow_pickle=False)
            continue
        _SHARED.append(os.memfd_create(files[name]))
        with os.fdopen(_SHARED[-1], "wb", closefd=False) as handle:
            np.save(handle, np.asarray(values), allow_pickle=False)
        files[name] = f"/proc/{os.getpid()}/fd/{_SHARED[-1]}"
    return files


def _forget() -> None:
    """Close the files in memory: whoever asked for them has opened them."""
    while _SHARED:
        os.close(_SHARED.pop())


@contextlib.contextmanager
def _limits(memory: int, seconds: float) -> Iterator[None]:
    """Address space and size of files limited to `memory` bytes more than now, and an alarm that ends the process."""
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(seconds) + _GRACE)
    held = _address_space()
    before = {}
    if resource is not None and held:
        for which, limit in ((resource.RLIMIT_AS, held + memory), (resource.RLIMIT_FSIZE, memory)):
            soft, hard = before[which] = resource.getrlimit(which)
            ceilings = [n for n in (limit, soft, hard) if n != resource.RLIM_INFINITY]
            resource.setrlimit(which, (min(ceilings), hard))
    try:
        yield
    finally:
        for which, pair in before.items():
            resource.setrlimit(which, pair)
        if hasattr(signal, "SIGALRM"):
            signal.alarm(0)


def _address_space() -> int:
    """Bytes of address space in use; 0 where the system does not say (only Linux does, and only Linux keeps such a limit)."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _text(error: BaseException) -> str:
    """What the error says; an error may fail to say it."""
    try:
        return str(error)[:2000]
    except Exception:
        return ""


def _is_ours(error: BaseException) -> bool:
    from ssbmaps._errors import SsbmapsError

    return isinstance(error, SsbmapsError)


if __name__ == "__main__":
    main()
