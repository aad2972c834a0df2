"""Writes any DataArray or Dataset as a CSV table: units in the header, every digit, missing values empty."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ssbmaps.io import _table

if TYPE_CHECKING:
    from pathlib import Path

    from ssbmaps._errors import Faults


def beside(target: Path) -> tuple[Path, ...]:  # noqa: ARG001  a table stands alone
    """No other file."""
    return ()


def prepare(obj: Any, faults: Faults, *, subject: str) -> _table.Table | None:  # noqa: ARG001  `faults` knows it
    """The table, or its faults."""
    return _table.prepare(obj, faults)


def write(plan: _table.Table, draft: Path) -> None:
    """One header line, then the rows; UTF-8, lines end with a line feed, numbers as short as they can be read back exactly."""
    pd: Any = importlib.import_module("pandas")

    labels = [c.label for c in plan.columns]
    with draft.open("w", encoding="utf-8", newline="") as handle:
        pd.DataFrame(columns=labels).to_csv(handle, index=False, lineterminator="\n")
        for values in plan.pieces():
            frame = pd.DataFrame(dict(zip(labels, values, strict=True)))
            frame.to_csv(handle, index=False, header=False, lineterminator="\n")
