"""The blocks of a VAMAS file, in the order in which ISO 14976 fixes their lines; the ordinates are left in the file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssbmaps._errors import FormatError
from ssbmaps.io._public import public
from ssbmaps.io._vamas_header import END, POINTWISE, TECHNIQUES, Head, header, pairs, texts
from ssbmaps.io._vamas_lines import MISSING, CutShortError, Lines
from ssbmaps.io._vamas_parts import KEPT, PLACE, TECHNIQUE, Block, Fields, First, runs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Experiment:
    """A whole file: header, complete blocks, and why blocks are missing (empty if none are)."""

    lines: Lines
    head: Head
    first: First
    blocks: list[Block]
    broken: str = ""
    notes: tuple[str, ...] = ()


def experiment(path: Path, *, skip_bad: bool) -> Experiment:
    """Parse everything but the ordinates. With `skip_bad`, a file that is cut short gives its complete blocks."""
    lines = Lines(path)
    head = header(lines)
    reader, blocks = _BlockReader(lines, head), list[Block]()
    for _ in range(head.blocks):
        try:
            blocks.append(reader.block(len(blocks) + 1))
        except CutShortError as error:
            if not skip_bad or not blocks:
                kept = f" skip_bad=True keeps the {len(blocks)} complete blocks of {head.blocks}." if blocks else ""
                raise CutShortError(f"{error}{kept}") from None
            return Experiment(lines, head, reader.known(), blocks, broken=str(error))
    if not blocks:
        raise FormatError(f"{path.name}: holds no block of data.")
    return Experiment(lines, head, reader.known(), blocks, notes=_ending(lines, head))


def _ending(lines: Lines, head: Head) -> tuple[str, ...]:
    """A note if the last line of the standard is missing; FormatError if more than it follows."""
    rest = lines.rest()
    line = rest.splitlines()[0].strip().lower() if rest else ""
    if line.startswith(END) or (line and END.startswith(line)):
        return ()
    if not rest:
        return (f"{lines.name}: the last line {END!r} is missing; all {head.blocks} blocks are there.",)
    raise FormatError(
        f"{lines.name}: line {lines.number + 1}, after block {head.blocks} of {head.blocks}, is {line[:60]!r}; expected {END!r}. "
        "The number of blocks or of ordinates in a header is wrong; copy or export the file again."
    )


_MOST_PATTERNS = 16


@dataclass(slots=True)
class _Pattern:
    """The lines of a block before its ordinates, so that the next block is parsed only where it differs."""

    lines: list[str]
    fixed: list[tuple[int, int]]  # ranges of lines that must be equal; dates, places and values may differ
    place: int | None  # where x and y stand, or nothing
    values: int | None
    fields: Fields
    count: int

    def fits(self, other: list[str]) -> bool:
        """Whether a block begins alike."""
        return len(other) == len(self.lines) and all(other[i:j] == self.lines[i:j] for i, j in self.fixed)


class _BlockReader:
    """Reads one block after another; what a block leaves out is taken from the first."""

    def __init__(self, lines: Lines, head: Head) -> None:
        self.lines, self.head = lines, head
        self.first: First | None = None
        self._shared: dict[Any, Any] = {}  # equal things are kept once
        self._patterns: list[_Pattern] = []  # of the last blocks that were different; the next to come first
        self._at: dict[int, tuple[int, int]] = {}  # lines of the parts, by the first of those read together

    def known(self) -> First:
        """What the first block said."""
        assert self.first is not None
        return self.first

    def _once(self, thing: Any) -> Any:
        return self._shared.setdefault(thing, thing)

    def block(self, number: int) -> Block:
        """The next block: by the pattern of an earlier one if it fits, else field by field."""
        where = f"block {number} of {self.head.blocks}"
        for i, pattern in enumerate(self._patterns):
            if pattern.fits(self.lines.peek(len(pattern.lines))):
                self._patterns.append(self._patterns.pop(i))  # regions take turns, so it will be the last to fit again
                return self._alike(number, pattern, where)
        return self._different(number, where)

    def _alike(self, number: int, pattern: _Pattern, where: str) -> Block:
        lines, begin = self.lines, self.lines.number
        identifier, sample = (self._once(lines.text("identifier")) for _ in range(2))
        place, values = None, self.known().values
        if self.head.mode in POINTWISE:
            said = self.known().said
            if pattern.place is not None:
                lines.number = begin + pattern.place
                said = {name: lines.text(name) for name in PLACE}
            place = self._place(said, where)
        if pattern.values is not None:
            lines.number = begin + pattern.values
            values = self._once(self._values(where))
        wide = len(pattern.fields.variables)
        lines.number = begin + len(pattern.lines) - 2 * wide
        return self._finish(number, identifier, sample, pattern.fields, place, values, pattern.count, where)

    def _different(self, number: int, where: str) -> Block:
        lines, begin = self.lines, self.lines.number
        identifier, sample = (self._once(lines.text(f"{where}, {what} identifier")) for what in ("block", "sample"))
        self._at = {}
        said = self._parts(where)
        if self.first is None:
            self.first = said
        lines.skip(self.head.upgrades, f"{where}, future upgrade entries")
        key = (tuple(map(said.said.get, KEPT)), said.variables)
        again = key in self._shared
        if not again:
            self._shared[key] = Fields({name: said.said[name] for name in KEPT if name in said.said}, said.variables)
        place = self._place(said.said, where) if self.head.mode in POINTWISE else None
        count, wide = lines.integer(f"{where}, number of ordinate values", low=1), len(said.variables)
        if count % wide:
            raise lines.wrong(f"{where}, number of ordinate values", f"a multiple of its {wide} corresponding variables")
        block = self._finish(number, identifier, sample, self._shared[key], place, self._once(said.values), count, where)
        if again:  # a region that came twice will come again, and the first block is complete, which the others need not be
            self._patterns = [*self._patterns[-_MOST_PATTERNS + 1 :], self._remember(begin, block, count)]
        return block

    def _finish(
        self,
        number: int,
        identifier: str,
        sample: str,
        fields: Fields,
        place: tuple[int, int] | None,
        values: tuple[float, ...],
        count: int,
        where: str,
    ) -> Block:
        """Extremes and ordinates; all are checked against the lines that the file has."""
        lines, wide = self.lines, len(fields.variables)
        lines.need(2 * wide + count, f"{where}, its {count} ordinate values")
        what = f"{where}, minimum or maximum"
        extremes = tuple(lines.real(what) for _ in range(2 * wide))
        block = Block(number, identifier, sample, fields, place, values, count // wide, extremes, lines.number)
        lines.skip(count, f"{where}, its {count} ordinate values")
        return block

    def _remember(self, begin: int, block: Block, count: int) -> _Pattern:
        """The block just read, as the pattern of the next."""
        end, after = block.first, self.lines.number
        self.lines.number = begin
        text = self.lines.peek(end - begin)
        self.lines.number = after
        free = sorted(self._at[i] for i in (1, 2, 3, 4, 5, 6, 10, 11) if i in self._at)
        edges = [2, *(edge - begin for span in free for edge in span), end - begin - len(block.extremes)]
        fixed = [(i, j) for i, j in zip(edges[::2], edges[1::2], strict=True) if j > i]
        place, values = (self._at[i][0] - begin if i in self._at else None for i in (10, 11))
        return _Pattern(text, fixed, place, values, block.fields, count)

    def _values(self, where: str) -> tuple[float, ...]:
        read = (self.lines.real(f"{where}, value of {label!r}") for label, _ in self.head.variables)
        return tuple(v if abs(v) < MISSING * (1 - 1e-6) else math.nan for v in read)

    def _place(self, said: Mapping[str, str], where: str) -> tuple[int, int]:
        """(y, x) of a MAP's block."""
        fields = Fields(said, ())
        y, x = (fields.ordinal(name, f"{self.lines.name}: {where}") for name in PLACE[::-1])
        return y, x

    def _technique(self, said: str, where: str) -> str:
        """As the standard spells it."""
        if said.lower() not in TECHNIQUES:
            raise self.lines.wrong(f"{where}, technique", f"one of {', '.join(TECHNIQUES.values())}")
        return TECHNIQUES[said.lower()]

    def _parts(self, where: str) -> First:
        """The numbered parts of a block."""
        lines, first = self.lines, self.first
        said = dict(first.said) if first else {}
        values, variables = (first.values, first.variables) if first else ((), ())
        comment, parameters = (first.comment, first.parameters) if first else ((), ())
        included = None if first is None else self.head.included
        for half in (0, 1):  # what follows the technique depends on it
            for part, names in runs(half, said.get("technique", ""), self.head.mode, self.head.scan, included):
                begin = lines.number
                if names:
                    said.update(zip(names, lines.texts(names), strict=True))
                    if part == TECHNIQUE:
                        said["technique"] = self._technique(said["technique"], where)
                elif part == 8:
                    comment = texts(lines, "block comment")
                elif part == 11:
                    values = self._values(where)
                elif part == 32:
                    variables = pairs(lines, "corresponding variable", low=1)
                else:
                    count = lines.integer(f"{where}, number of additional numerical parameters")
                    lines.need(3 * count, f"{where}, {count} additional numerical parameters")
                    told = lines.texts(["label", "unit", "value"] * count)
                    parameters = tuple(zip(told[::3], told[1::3], told[2::3], strict=True))
                self._at[part] = (begin, lines.number)
        return First(said, values, variables, comment, parameters)


def metadata(found: Experiment) -> dict[str, object]:
    """What the file says, without the people who measured and the folders where the file lay."""
    head, first, block = found.head, found.first, found.blocks[0]
    return public(
        {
            "format": "VAMAS (ISO 14976)",
            "institution": head.institution,
            "instrument": head.instrument,
            "experiment": re.split(r"[\\/]", head.experiment)[-1],
            "comment": _public_lines(head.comment),
            "experiment_mode": head.mode,
            "scan_mode": head.scan,
            "number_of_blocks": head.blocks,
            "first_block": {
                "identifier": block.identifier,
                "sample": block.sample,
                **first.said,
                "comment": _public_lines(first.comment),
                "parameters": [list(p) for p in first.parameters],
            },
        }
    )


def _public_lines(comment: tuple[str, ...]) -> list[str]:
    """Comment lines, most of them `name: value`, that tell of no person and no folder."""
    return [line for line in comment if line and public({re.split("[:=]", line)[0]: line})]
