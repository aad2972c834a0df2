"""Streams a TriVista file: the documents with their axis, settings and frames; only the wanted one's numbers are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _decimals, _lines, _xml

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(slots=True)
class Document:
    """One data set: its attributes, the calibration of its axis, its settings by group, and its frames."""

    name: str
    attributes: dict[str, str]
    length: str = ""
    calibration: dict[str, str] = field(default_factory=dict)
    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    frames: list[NDArray[np.float64]] = field(default_factory=list)
    ticks: list[str] = field(default_factory=list)
    positions: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Tree:
    """The documents in the order of the file; `wanted` is the name of the one whose frames are read, or None."""

    subject: str
    wanted: str | None
    documents: list[Document] = field(default_factory=list)
    root: str = ""
    _several: bool = False
    _open: list[Document] = field(default_factory=list)
    _children: list[int] = field(default_factory=list)
    _dimension: str = ""
    _text: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self.root = self.root or name
        if name == "Documents":
            self._several = attributes.get("Count", "1") != "1"
        elif name == "Document":
            self._begin(attributes)
        elif not self._open:
            return
        elif name in ("xDim", "yDim", "zDim"):
            self._dimension = name
            if name == "xDim":
                self._open[-1].length = attributes.get("Length", "")
        elif name == "Calibration" and self._dimension == "xDim":
            self._open[-1].calibration = attributes
        elif name == "Frame":
            self._frame(attributes)

    def _begin(self, attributes: dict[str, str]) -> None:
        if self._open:
            self._children[-1] += 1
            parent = self._open[-1].name
            name = f"{'' if parent == 'spectra' else f'{parent}, '}window {self._children[-1]}"
        else:
            first = sum(1 for d in self.documents if "window" not in d.name) + 1
            name = f"document {first}" if self._several else "spectra"
        document = Document(name, {k: v for k, v in attributes.items() if k != "InfoSerialized"})
        if serialised := attributes.get("InfoSerialized"):
            settings = _Settings()
            _xml.walk_text(serialised, settings, subject=f"{self.subject}, settings of {name!r}")
            document.settings = settings.groups
        self.documents.append(document)
        self._open.append(document)
        self._children.append(0)

    def _frame(self, attributes: dict[str, str]) -> None:
        document = self._open[-1]
        document.ticks.append(attributes.get("TimeStamp", ""))
        document.positions.append(attributes.get("ValuePosition", ""))
        if attributes.get("yDim", "1") != "1":
            raise FormatError(
                f"{self.subject}: {document.name!r} holds images of the detector (yDim={attributes['yDim']!r}); ssbmaps reads "
                "spectra. Bin the rows in TriVista."
            )
        self._text = [] if document.name == self.wanted else None

    def data(self, text: str) -> None:
        """A piece of text."""
        if self._text is not None:
            self._text.append(text)

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "Document":
            self._open.pop()
            self._children.pop()
        elif name in ("xDim", "yDim", "zDim"):
            self._dimension = ""
        elif name == "Frame" and self._text is not None:
            document = self._open[-1]
            self._numbers(document, "".join(self._text).strip())
            self._text = None

    def _numbers(self, document: Document, text: str) -> None:
        columns, number = text.count(";") + 1, len(document.frames)
        if document.length != str(columns):
            raise FormatError(
                f"{self.subject}: frame {number} of {document.name!r} holds {columns} values; the axis has {document.length}. "
                "The file is damaged; save it again."
            )
        what = f"{self.subject}, frame {number}"
        document.frames.append(_decimals.table(f"{text}\n".encode(), columns, subject=what, first_line=1, separator=";")[0])


@dataclass(slots=True)
class _Settings:
    """The settings that stand as XML inside an attribute: groups of named items. Groups of one name are merged."""

    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    _path: list[str] = field(default_factory=list)
    _named: list[str] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _item: str = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002
        """An element begins."""
        self._path.append(name)
        self._text = []
        if name == "Group":
            self._named.append("")

    def data(self, text: str) -> None:
        """A piece of text."""
        self._text.append(text)

    def end(self, name: str) -> None:
        """An element ends."""
        self._path.pop()
        parent, text = (self._path[-1] if self._path else ""), "".join(self._text).strip()
        self._text = []
        if name == "Group":
            self._named.pop()
        elif name == "Name" and parent == "Group" and self._named:
            self._named[-1] = text
        elif name == "Name" and parent == "Item":
            self._item = text
        elif name == "Value" and parent == "Item" and self._named:
            self.groups.setdefault(self._named[-1], {}).setdefault(self._item, text)


def load(path: Path, *, wanted: str | None) -> Tree:
    """All documents; the frames of the one called `wanted` as numbers."""
    tree = Tree(path.name, wanted)
    _xml.walk(path, tree, subject=path.name)
    if tree.root != "XmlMain" or not tree.documents:
        raise FormatError(f"{path.name}: holds no document of spectra; ssbmaps reads what TriVista saves as .tvf.")
    return tree


def axis(tree: Tree, document: Document) -> tuple[NDArray[np.float64], str]:
    """Values and unit of the spectral axis: a number of values, then the values, all parted by "|"."""
    stored = document.calibration.get("ValueArray", "")
    declared, _, values = stored.partition("|")
    count = values.count("|") + 1
    if declared != str(count) or document.length != declared:
        raise FormatError(
            f"{tree.subject}: the axis of {document.name!r} declares {declared!r} and {document.length!r} values and holds "
            f"{count}. The file is damaged, or its axis was not saved as values."
        )
    subject = f"{tree.subject}, axis of {document.name!r}"
    numbers = _lines.numbers([values], columns=count, subject=subject, first_line=1, separator="|")[0]
    unit = document.calibration.get("Unit", "")
    return numbers, "nm" if unit == "Nanometer" else unit


def number(text: Any) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None
