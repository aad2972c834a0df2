"""The evidence of `rank` in words: what agrees, what does not, and what could not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

NAMES = {
    "poisson-scaled": "Poisson-scaled singular values worth keeping:",
    "anscombe": "the same after Anscombe's transform:",
    "held-out": "prediction of held-out counts:",
}


def statement(
    suggested: NDArray[np.int64],
    valid: NDArray[np.bool_],
    back: NDArray[np.bool_],
    methods: Sequence[str],
    widths: Sequence[int],
    most: int,
    detected: int,
) -> str:
    """`suggested` and `valid` (evidence, binning) as sentences; one number only where all that is valid agrees.

    `back` (binning, component) says for which numbers the spectra come back; `detected` is the largest number of singular
    values above noise: what is there, but too faint for a map of its own.
    """
    asked = [m != "stability" for m in methods]
    numbers = suggested[asked][valid[asked]]
    parts = [f"{NAMES[m]} {_one(s, v, widths)}" for m, s, v, a in zip(methods, suggested, valid, asked, strict=True) if a]
    parts.append(f"spectra come back with {_grouped([_runs(b) for b in back], widths)}")
    if not len(numbers):
        head = f"Undetermined: no method can answer with up to {most} components."
    elif numbers.min() == numbers.max():
        head = f"All valid evidence says {_components(int(numbers[0]))}."
    else:
        head = f"The evidence does not single out one number: {numbers.min()} to {numbers.max()} components."
    faint = detected - int(numbers.max()) if len(numbers) else 0
    if faint > 0:
        head += f" {faint} more {'stands' if faint == 1 else 'stand'} above noise, too faint for a map of {_own(faint)}."
    if len(numbers) and numbers.min() == numbers.max():
        unlike = [f"{w} × {w}" for b, w in zip(back, widths, strict=True) if not b[numbers[0] - 1]]
        head += f" At {_listed(unlike)} px their spectra do not come back from other samples, though." if unlike else ""
    ended = bool((suggested[~valid] >= most).any())
    text = "; ".join(parts)
    tail = f" Numbers above {most - 1} were not told apart; raise max_components." if ended else ""
    return f"{head} {text[0].upper()}{text[1:]}.{tail}"


def _own(n: int) -> str:
    return "its own" if n == 1 else "their own"


def _components(n: int) -> str:
    return f"{n} component{'s' if n > 1 else ''}"


def _one(suggested: NDArray[np.int64], valid: NDArray[np.bool_], widths: Sequence[int]) -> str:
    """ "4 at 2 × 2 and 4 × 4 px, 5 at 8 × 8 px, no answer at 1 × 1 px"."""
    return _grouped([str(int(n)) if good else "no answer" for n, good in zip(suggested, valid, strict=True)], widths)


def _grouped(words: Sequence[str], widths: Sequence[int]) -> str:
    groups: dict[str, list[str]] = {}
    for word, width in zip(words, widths, strict=True):
        groups.setdefault(word, []).append(f"{width} × {width}")
    return ", ".join(f"{n} at {_listed(places)} px" for n, places in groups.items())


def _runs(back: NDArray[np.bool_]) -> str:
    """ "1 to 3 and 5" of the numbers of components that come back."""
    runs: list[list[int]] = []
    for n in (int(k) + 1 for k in back.nonzero()[0]):
        if runs and runs[-1][-1] == n - 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return _listed([str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs]) if runs else "none"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
