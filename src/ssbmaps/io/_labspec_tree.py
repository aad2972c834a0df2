"""Streams a LabSpec XML file: axes, units and settings by their ID, and one array for each row of the matrix."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _decimals, _xml

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TREE = "LSX_Tree"
_MATRIX, _ROW = "LSX_Matrix", "LSX_Row"
_NAMED = (TREE, _MATRIX, _ROW)
_KIND, _UNIT, _VALUES = "0x6D707974", "0x7C696E75", "0x7D6CD4DB"
_AXES = ("0x7A74D9D6", "0x7B697861")
_SETTINGS = "0x6C62D4D9"
_NAME, _VALUE, _EXACT = "0x6D6D616E", "0x7D6C61DB", "0x8736F70"
_TITLE, _ANGLE = "0x6C7469D9", ("0x6C676EC6", "0x0")
_TOGETHER = 1 << 16  # values
_INTENSITY, _SPECTRAL, _FIRST_STEPPED = 0, 1, 2


class _Enough(Exception):
    """The headers are complete, and no more was asked for."""


@dataclass(slots=True)
class Axis:
    """One axis of the matrix: what it is ("Spectr", "X", …), its unit, its values."""

    kind: str = ""
    unit: str = ""
    values: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


@dataclass(slots=True)
class Tree:
    """What a file holds. `settings` are (shown, exact) texts by name; rows are parsed only if the spectra are `wanted`."""

    subject: str
    wanted: bool
    size: int
    kind: str = ""
    title: str = ""
    angle: str = ""
    axes: dict[int, Axis] = field(default_factory=dict)
    settings: dict[str, tuple[str, str]] = field(default_factory=dict)
    blocks: list[NDArray[np.float64]] = field(default_factory=list)
    rows: int = 0
    matrices: int = 0
    declared: str | None = None
    _path: list[str] = field(default_factory=list)
    _text: list[str] | None = None
    _size: str | None = None
    _points: int = 0
    _pending: list[str] = field(default_factory=list)
    _entry: dict[str, str] = field(default_factory=dict)

    @property
    def spectral(self) -> Axis:
        """The axis along each row."""
        return self.axes.get(_SPECTRAL, Axis())

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return self.axes.get(_INTENSITY, Axis()).unit

    @property
    def stepped(self) -> list[Axis]:
        """The axes that the measurement steps through, the fastest first."""
        return [self.axes[k] for k in sorted(self.axes) if k >= _FIRST_STEPPED]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins; its text is kept only if it is wanted."""
        path = self._path
        path.append(name if name in _NAMED else attributes.get("ID", ""))
        self._text = None
        if name == _MATRIX:
            self._begin_matrix(attributes)
        elif name == _ROW:
            self._text, self._size = ([] if self.wanted else None), attributes.get("Size")
        elif len(path) > 2 and path[1] == TREE and self._known(path):
            self._text, self._size = [], attributes.get("Size")

    def _begin_matrix(self, attributes: dict[str, str]) -> None:
        self.matrices += 1
        self.declared = attributes.get("Size")
        if not self.wanted and self.axes:
            raise _Enough
        if self.matrices > 1:
            raise FormatError(f"{self.subject}: holds several matrices; save each of its data sets in a file of its own.")

    @staticmethod
    def _known(path: list[str]) -> bool:
        """Whether the text of an element below the root and the tree is kept."""
        match path[2:]:
            case [one]:
                return one in (_KIND, _TITLE)
            case [one, other]:
                return (one, other) == _ANGLE
            case [one, other, _, what]:
                axis = (one, other) == _AXES and what in (_KIND, _UNIT, _VALUES)
                return axis or (one == _SETTINGS and what in (_NAME, _VALUE, _EXACT))
        return False

    def data(self, text: str) -> None:
        """A piece of text."""
        if self._text is not None:
            self._text.append(text)

    def end(self, name: str) -> None:
        """An element ends; what it held is filed."""
        if self._text is None and not self._entry and name != _MATRIX:  # most elements
            self._path.pop()
            return
        path, text = self._path[2:], self._text
        if name == _ROW and text is not None:
            self._row("".join(text).split())
        elif name == _MATRIX and self.wanted:
            self._flush()
        elif text is not None:
            self._file(path, "".join(text).strip())
        elif self._entry and len(path) == 3 and path[0] == _SETTINGS:
            if shown := self._entry.get(_NAME):
                self.settings.setdefault(shown, (self._entry.get(_VALUE, ""), self._entry.get(_EXACT, "")))
            self._entry = {}
        self._path.pop()
        self._text = None

    def _file(self, path: list[str], text: str) -> None:
        if path == [_KIND]:
            self.kind = text
        elif path == [_TITLE]:
            self.title = text
        elif path[0] == _SETTINGS:
            self._entry[path[3]] = text
        elif tuple(path) == _ANGLE:
            self.angle = text
        else:
            self._file_axis(path[2], path[3], text)

    def _file_axis(self, number: str, what: str, text: str) -> None:
        try:
            axis = self.axes.setdefault(int(number, 16), Axis())
        except ValueError:
            return
        if what == _KIND:
            axis.kind = text
        elif what == _UNIT:
            axis.unit = text
        else:
            axis.values = self._numbers(text, f"axis {number}")

    def _row(self, fields: list[str]) -> None:
        """Keep a row as a line; many lines are turned into numbers at once, which is several times faster."""
        self._check_size(len(fields), f"row {self.rows} of the matrix")
        if self.rows == 0:
            self._points = len(fields)
        if len(fields) != self._points or not fields:
            raise FormatError(
                f"{self.subject}: row {self.rows} of the matrix has {len(fields)} values, the first {self._points}; expected the "
                "same number in all. The file is damaged; save it again."
            )
        self._pending.append("\t".join(fields))
        self.rows += 1
        if len(self._pending) * self._points >= _TOGETHER:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            lines, first = "\n".join((*self._pending, "")), self.rows - len(self._pending)
            self._pending = []
            subject = f"{self.subject}, matrix (a line is a row, from 0)"
            large = self.size >= _decimals.LARGE
            self.blocks.append(_decimals.table(lines.encode(), self._points, subject=subject, first_line=first, large=large))

    def _check_size(self, found: int, what: str) -> None:
        if self._size != str(found):
            raise FormatError(
                f"{self.subject}: {what} declares Size={self._size!r} and holds {found} values. The file is damaged; save it "
                "again."
            )

    def _numbers(self, text: str, what: str) -> NDArray[np.float64]:
        """The numbers of an axis, as many as its element's Size."""
        fields = text.split()
        self._check_size(len(fields), what)
        if not fields:
            return np.empty(0)
        line = "\t".join(fields) + "\n"
        return _decimals.table(line.encode(), len(fields), subject=f"{self.subject}, {what}", first_line=1).ravel()


def load(path: Path, *, spectra: bool) -> Tree:
    """The file's axes and settings, and with `spectra` the rows of its matrix."""
    tree = Tree(path.name, spectra, path.stat().st_size)
    with contextlib.suppress(_Enough):
        _xml.walk(path, tree, subject=path.name)
    if tree.matrices == 0 or len(tree.spectral.values) == 0:
        raise FormatError(f"{path.name}: holds no matrix with a spectral axis; ssbmaps reads spectra and maps of LabSpec.")
    return tree


def matrix(tree: Tree) -> NDArray[np.float64]:
    """(spectra, points), checked against the axis and the number that the file declares."""
    points = len(tree.spectral.values)
    found = tree.blocks[0].shape[1] if tree.blocks else 0
    if found != points:
        raise FormatError(
            f"{tree.subject}: the matrix holds {tree.rows} rows of {found} values; the axis has {points}. The file is damaged; "
            "save it again."
        )
    held = points * tree.rows
    if tree.declared is not None and tree.declared != str(held):
        raise FormatError(
            f"{tree.subject}: the matrix declares Size={tree.declared!r} and holds {held} values. The file is damaged."
        )
    return np.concatenate(tree.blocks)
