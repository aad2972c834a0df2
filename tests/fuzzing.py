"""Damages example files and looks at what a reader makes of them; for the tests of every format, and for the benchmark.

A reader is right if it raises an `SsbmapsError`, or returns a DataArray that keeps the contract. After a cut it may only
return less than the whole with a DataQualityWarning, and what it returns must be what the whole file has there. It is wrong if
it raises or warns of anything else, takes more than `SECONDS`, or takes more memory than 4 times the larger of the file and
the array it declares (and `SLACK`, which xarray's own objects need).
"""

from __future__ import annotations

import signal
import tracemalloc
import warnings
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps import DataQualityWarning, SsbmapsError, io
from ssbmaps._conventions import check_contract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SECONDS = 20
SLACK = 1 << 21
TIMES = 4


@dataclass(frozen=True)
class Example:
    """A file that a generator writes, how it is read, and which of its files is damaged (the one read, if None)."""

    name: str
    reader: str  # module in ssbmaps.io
    write: Callable[[Path], Path]  # folder → the path that is read
    options: dict[str, Any] = field(default_factory=dict)
    boundaries: Callable[[bytes], Sequence[int]] | None = None  # content → offsets where blocks begin; None: lines
    victim: Callable[[Path], Path] | None = None  # the path that is read → the file that is damaged


@dataclass
class Tally:
    """What became of the damaged files; `faults` are those that broke the rules."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    largest: float = 0.0  # highest use of memory, in units of what is allowed


def lines(content: bytes) -> list[int]:
    """Offsets behind every line end."""
    return [i + 1 for i, byte in enumerate(content) if byte == 10]


def cuts(content: bytes, boundaries: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """The file cut at every block boundary, and one byte before it and after it, as far as anything is left."""
    places = sorted({b + d for b in boundaries for d in (-1, 0, 1)} | {1, len(content) // 2, len(content) - 1})
    for place in places:
        if 0 < place < len(content):
            yield f"cut at {place}", content[:place]


def flips(content: bytes, number: int, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """The file with one random byte changed, `number` times."""
    for _ in range(number):
        place, change = int(rng.integers(len(content))), int(rng.integers(1, 256))
        damaged = bytearray(content)
        damaged[place] ^= change
        yield f"byte {place} xor {change}", bytes(damaged)


def fuzz(example: Example, folder: Path, *, n_flips: int, n_cuts: int | None = None, seed: int = 0) -> Tally:
    """Read the example damaged in every way; `n_cuts` limits the cuts to a random choice of them."""
    path = example.write(folder)
    victim = example.victim(path) if example.victim else path
    content, rng, tally = victim.read_bytes(), np.random.default_rng(seed), Tally()
    whole, _ = _read(path, example)
    _load_every_reader(folder)
    shortened = list(cuts(content, (example.boundaries or lines)(content)))
    if n_cuts is not None and len(shortened) > n_cuts:
        shortened = [shortened[i] for i in sorted(rng.choice(len(shortened), n_cuts, replace=False))]
    for what, damaged in [*shortened, *flips(content, n_flips, rng)]:
        victim.write_bytes(damaged)
        _judge(example, path, what, len(damaged), whole, tally)
    victim.write_bytes(content)
    return tally


def _load_every_reader(folder: Path) -> None:
    """A file that nobody knows is shown to all of them: their modules are loaded before memory is counted."""
    stranger = folder / "nothing"
    stranger.write_bytes(b"\1")
    with suppress(SsbmapsError):
        io.info(stranger)
    stranger.unlink()


def _judge(example: Example, path: Path, what: str, size: int, whole: Any, tally: Tally) -> None:
    tracemalloc.start()
    try:
        with _deadline():
            result, told = _read(path, example)
        outcome, declared = "read", result.nbytes
    except SsbmapsError as error:
        outcome, declared = "refused", 0
        if not str(error).strip():
            tally.faults.append(f"{example.name}: {what}: an error without a message")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        tally.outcomes["fault"] += 1
        tally.faults.append(f"{example.name}: {what}: {type(error).__name__}: {str(error)[:200]}")
        return
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    if outcome == "read":
        try:
            check_contract(result, subject=path.name)
            outcome = _compare(result, whole, told, cut=what.startswith("cut"))
        except (SsbmapsError, AssertionError) as error:
            tally.faults.append(f"{example.name}: {what}: {error}")
    tally.outcomes[outcome] += 1
    allowed = TIMES * max(size, declared) + SLACK
    tally.largest = max(tally.largest, peak / allowed)
    if peak > allowed:
        tally.faults.append(f"{example.name}: {what}: {peak} bytes of memory, {size} in the file, {declared} in the array")


def _compare(result: Any, whole: Any, told: list[str], *, cut: bool) -> str:
    """ "same", or "other" where the damage changed what the file says; a shortened file must not say more than before."""
    same = result.dims == whole.dims and result.shape == whole.shape
    if same and _equal(result, whole):
        return "same"
    if cut:
        assert told, "a shortened file was read in part without a warning"
        if same:
            left, right = np.asarray(io.to_dense(result).values, float), np.asarray(io.to_dense(whole).values, float)
            measured = ~np.isnan(left)
            if "measured" in result.coords:
                measured &= result["measured"].broadcast_like(result).transpose(*result.dims).values
            assert np.array_equal(left[measured], right[measured]), "a shortened file has other values than the whole"
    return "other"


def _equal(first: Any, second: Any) -> bool:
    first, second = io.to_dense(first), io.to_dense(second)
    return bool(first.equals(second) and set(first.coords) == set(second.coords))


def _read(path: Path, example: Example) -> tuple[Any, list[str]]:
    """What `read` gives and what it warns of; `info` must not break either, nor the sniffing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with suppress(SsbmapsError):
            io.info(path)
        result = io.read(path, reader=example.reader, **example.options)
        result.load()
    strange = [w for w in caught if not issubclass(w.category, DataQualityWarning)]
    if strange:
        raise RuntimeError(f"{strange[0].category.__name__}: {strange[0].message}")
    return result, [str(w.message) for w in caught]


@contextmanager
def _deadline() -> Iterator[None]:
    """Interrupt what takes too long, where the system has alarms and this is the main thread."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except (AttributeError, ValueError):
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
