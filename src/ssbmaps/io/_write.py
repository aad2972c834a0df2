"""Exports: which ending is written by which module, the checks that all share, and the names that appear only when complete."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    import xarray as xr

# The longest ending that fits decides. Each module offers `prepare`, `write` and `beside`.
_ENDINGS = {
    ".imzml": "_write_imzml",
    ".csv": "_write_csv",
    ".parquet": "_write_parquet",
    ".ome.tif": "_write_ome",
    ".ome.tiff": "_write_ome",
    ".tif": "_write_imagej",
    ".tiff": "_write_imagej",
    ".hspy": "_write_hyperspy",
    ".zspy": "_write_hyperspy",
}
# Formats that are written and not read by a module of the same name.
TABLES = {"CSV table": (".csv",), "Parquet": (".parquet",)}


class Writer(Protocol):
    """What a module that writes a format offers."""

    def beside(self, target: Path) -> tuple[Path, ...]:
        """Other files that belong to `target` and are replaced with it."""

    def prepare(self, obj: Any, faults: Faults, *, subject: str, **options: Any) -> Any:
        """Look for every fault of `obj`; what `write` needs if there is none."""

    def write(self, plan: Any, draft: Path) -> None:
        """Write into the folder of `draft`, under the final names."""


def endings() -> tuple[str, ...]:
    """Every ending that is exported, as a letter lists them."""
    return tuple(e for e in _ENDINGS if not e.endswith("tiff"))


def writer_of(target: Path) -> Writer | None:
    """The module that writes `target`, by the ending of its name; None if no export has it."""
    found = [e for e in _ENDINGS if target.name.lower().endswith(e) and len(target.name) > len(e)]
    return cast("Writer", importlib.import_module(f"ssbmaps.io.{_ENDINGS[max(found, key=len)]}")) if found else None


def export(
    obj: xr.DataArray | xr.Dataset, target: Path, writer: Any, faults: Faults, *, subject: str, overwrite: bool, **options: Any
) -> Path:
    """Write `obj` as `target`: all faults of both in one letter, then under a temporary folder, then renamed.

    `faults` may hold what the caller has noted already. Files beside the target come first, so that the target itself never
    stands without them.
    """
    folder = target.parent.is_dir()
    faults.expect(folder, f"folder {str(target.parent)!r} does not exist; make it first.")
    beside = writer.beside(target)
    existing = [p for p in (target, *beside) if p.exists()]
    names = " and ".join(p.name for p in existing)
    faults.expect(overwrite or not existing, f"{names} exists already; choose another name or set overwrite=True.")
    wrong = [p.name for p in existing if p.is_dir() != (target.suffix.lower() == ".zspy")]
    faults.expect(not wrong, f"{', '.join(wrong)} is not what its ending says; it is not replaced. Choose another name.")
    plan = writer.prepare(obj, faults, subject=subject, **options)
    faults.close()
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".ssbmaps-") as drafts:
            writer.write(plan, Path(drafts) / target.name)
            for place in (*beside, target):
                _replace(Path(drafts) / place.name, place, Path(drafts))
    except OSError as error:
        raise SsbmapsError(f"{subject}: {target.name} could not be written: {error}.") from error
    return target


def _replace(draft: Path, place: Path, drafts: Path) -> None:
    """Put a finished draft in its place; an old folder goes to where the drafts are, and with them."""
    if place.is_dir():
        place.rename(drafts / "replaced")
    draft.replace(place)
