"""Writes any DataArray or Dataset as a Parquet table through pyarrow: units and attributes in the schema's metadata."""

from __future__ import annotations

import importlib
import importlib.util
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.io import _table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ssbmaps._errors import Faults


def beside(target: Path) -> tuple[Path, ...]:  # noqa: ARG001  a table stands alone
    """No other file."""
    return ()


def prepare(obj: Any, faults: Faults, *, subject: str) -> _table.Table | None:  # noqa: ARG001  `faults` knows it
    """The table, or its faults."""
    there = importlib.util.find_spec("pyarrow") is not None
    faults.expect(there, "Parquet is written by pyarrow, which is not installed; install it: pip install 'ssbmaps[parquet]'.")
    return _table.prepare(obj, faults)


def write(plan: _table.Table, draft: Path) -> None:
    """Row groups of at most half a million rows; missing values are nulls."""
    pa: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    kinds = [pa.string() if c.kind.kind == "U" else pa.from_numpy_dtype(c.kind) for c in plan.columns]
    fields = [pa.field(c.name, k, metadata=_texts(c.attrs)) for c, k in zip(plan.columns, kinds, strict=True)]
    note = {"dims": plan.dims, "units": {c.name: c.unit for c in plan.columns if c.unit}, "attrs": _plain(plan.attrs)}
    schema = pa.schema(fields, metadata={"ssbmaps": json.dumps(note, ensure_ascii=False)})
    with parquet.ParquetWriter(draft, schema) as writer:
        for values in plan.pieces():
            arrays = [pa.array(v, kind, from_pandas=True) for v, kind in zip(values, kinds, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _texts(attrs: Mapping[str, Any]) -> dict[str, str]:
    """The attributes of a column that other programs look for."""
    return {name: str(attrs[name]) for name in ("units", "long_name") if name in attrs}


def _plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {str(k): v.tolist() if isinstance(v, (np.ndarray, np.generic)) else v for k, v in attrs.items()}
