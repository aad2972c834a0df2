"""Writes one array as a HyperSpy signal, .hspy or .zspy, through the bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    from pathlib import Path


def beside(target: Path) -> tuple[Path, ...]:  # noqa: ARG001  a signal stands alone
    """No other file."""
    return ()


def prepare(obj: Any, faults: Faults, *, subject: str) -> Any:
    """The array, if the bridge can make a signal of it; else what speaks against that."""
    import xarray as xr

    from ssbmaps.io._hyperspy_bridge import as_dictionary

    if isinstance(obj, xr.Dataset):
        names = ", ".join(map(str, obj.data_vars))
        faults.expect(False, f"a Dataset with the variables {names}; a signal holds one array: save data['name'].")
        return None
    try:
        as_dictionary(obj, subject=subject)
    except SsbmapsError as error:
        faults.expect(False, str(error).removeprefix(f"{subject}: "))
    return obj


def write(plan: Any, draft: Path) -> None:
    """Write the file, or the folder that a .zspy is."""
    from ssbmaps.io._hyperspy_bridge import write_hyperspy

    write_hyperspy(plan, draft)
