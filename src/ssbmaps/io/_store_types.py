"""Attributes and number types as a store can hold them, and the notes that bring them back exactly as they were."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import check_attrs
from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

LAYOUT = "ssbmaps_layout"  # the root attribute that holds the notes
CHUNKS = "ssbmaps_chunks"  # root attribute: files and bytes of each variable; Zarr itself reads a missing chunk as zeros
SUFFIXES = {".zarr": "Zarr", ".nc": "netCDF"}
VERSION = 1
_PLAIN_NAME = re.compile(r"[A-Za-z][\w .:-]*$", re.ASCII)
# Names to which Zarr, netCDF or their conventions give a meaning of their own.
_HDF5_NAMES = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}
_CF_NAMES = {"coordinates", "grid_mapping", "scale_factor", "add_offset", "missing_value", "calendar", "bounds", "dtype"}
_RESERVED = _HDF5_NAMES | _CF_NAMES | {"ancillary_variables", "cell_measures", "formula_terms", LAYOUT}


def check_storable(obj: xr.DataArray | xr.Dataset, subject: str) -> None:
    """Raise, naming every fault, unless every name, attribute and number type survives a store."""
    import xarray as xr

    variables: dict[Any, Any] = dict(obj.variables if isinstance(obj, xr.Dataset) else obj.coords.variables)
    if isinstance(obj, xr.DataArray):
        variables[obj.name] = obj.variable
    with Faults(subject) as faults:
        for name, variable in {"": obj if isinstance(obj, xr.Dataset) else None, **variables}.items():
            if variable is None:
                continue
            where = f"variable {name!r}" if name != "" else "the whole"
            try:
                check_attrs(variable.attrs, subject=where)
            except SsbmapsError as error:
                faults.expect(False, str(error))
            long = [k for k, v in variable.attrs.items() if isinstance(v, int) and not -(2**63) <= v < 2**64]
            faults.expect(not long, f"{where}: attribute {', '.join(map(repr, long))} does not fit 64 bits; make it a string.")
        for name, variable in variables.items():
            faults.expect(
                name is None or (isinstance(name, str) and bool(_PLAIN_NAME.match(name))),
                f"the name {name!r}: expected letters, digits and _ with a letter first, as other programs ask. Use .rename().",
            )
            kind = variable.dtype.kind
            text = kind == "O" and all(isinstance(v, str) for v in np.ravel(variable.values))
            faults.expect(kind in "biufU" or text, f"variable {name!r} is of type {variable.dtype}; expected numbers or text.")
        for dim, index in obj.indexes.items():
            faults.expect(index.nlevels == 1, f"dimension {dim!r} has a multi-index; use .reset_index({dim!r}).")


def encode_attrs(attrs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes that every program can read, and the notes: name → [type, length or null, value if it is only there]."""
    plain, notes = dict[str, Any](), dict[str, Any]()
    for name, value in attrs.items():
        if isinstance(value, (np.ndarray, list, tuple)):
            array = np.asarray(value)
            note: list[Any] = [array.dtype.name, array.size]
            hidden = array.size == 0
            listed: Any = array.tolist()
        else:
            note = [value.dtype.name if isinstance(value, np.generic) else type(value).__name__, None]
            hidden, listed = value == "", value.item() if isinstance(value, np.generic) else value
        if hidden or name in _RESERVED or not _PLAIN_NAME.match(name):
            note.append(listed)
        else:
            plain[name] = value if not isinstance(value, (list, tuple)) else np.asarray(value)
        notes[name] = note
    return plain, notes


def decode_attrs(stored: Mapping[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that `encode_attrs` was given, in their types and order; raises KeyError if one is gone."""
    attrs: dict[str, Any] = {}
    for name, (kind, size, *hidden) in notes.items():
        value = hidden[0] if hidden else stored[name]
        if size is not None:
            attrs[name] = np.asarray(value, kind).reshape(size)
        elif kind in ("str", "int", "float"):
            attrs[name] = {"str": str, "int": int, "float": float}[kind](value)
        else:
            attrs[name] = np.dtype(kind).type(value)
    return attrs
