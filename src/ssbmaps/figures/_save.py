"""`save`: a figure as PDF, SVG or PNG at the exact width of a journal's column."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

FORMATS = (".pdf", ".svg", ".png")
LOWEST_DPI = 150  # below, half a pixel of a PNG is more than 0.1 mm


def save(
    fig: Figure,
    path: str | os.PathLike[str],
    *,
    journal: str = "rsc",
    columns: int = 1,
    dpi: int = 600,
    overwrite: bool = False,
) -> Path:
    """Save a figure at the exact width of a journal's columns, type at 7 pt.

    Text stays text in PDF (TrueType, font type 42) and SVG. The file holds no date: the same figure gives the same bytes with
    the same versions and fonts. It is written under a temporary name and renamed when complete. `fig` keeps its own size.

    Parameters
    ----------
    fig : Figure
        A figure of `ssbmaps.figures`, which is laid out anew for the width, or any other matplotlib figure, which is scaled
        in height and width alike.
    path : str or path
        File to write; its ending chooses the format: .pdf, .svg or .png.
    journal : {"rsc", "acs", "elsevier"}
        Widths in mm of one and two columns: 83 and 171 (RSC), 82.55 and 177.8 (ACS), 90 and 190 (Elsevier).
    columns : {1, 2}
        Columns that the figure spans.
    dpi : int
        Resolution of a PNG in dots per inch, 150 or more; without effect on PDF and SVG.
    overwrite : bool
        Replace `path` if it exists.

    Returns
    -------
    Path
        The file written. Its size is exact to 0.1 mm.

    Raises
    ------
    SsbmapsError
        If the file exists, its folder does not, or an option is unknown.

    Examples
    --------
    >>> import tempfile, numpy as np, xarray as xr, ssbmaps
    >>> counts = xr.DataArray(np.arange(12).reshape(3, 4), dims=("y", "x"), attrs={"units": "counts"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ssbmaps.figures.save(ssbmaps.figures.map_figure(counts), f"{folder}/map.svg", journal="acs", columns=2)
    ...     path.name
    'map.svg'
    """
    from matplotlib.figure import Figure

    from ssbmaps.figures._style import journal_width, style

    subject = "figures.save"
    if not isinstance(fig, Figure):
        raise SsbmapsError(f"{subject}: expected a matplotlib Figure, got {type(fig).__name__}.")
    target = Path(path)
    width = journal_width(journal, columns)
    with Faults(f"{subject}: {target}") as faults:
        faults.expect(target.suffix.lower() in FORMATS, f"ending {target.suffix!r}; expected {', '.join(FORMATS)}.")
        faults.expect(target.parent.is_dir(), f"folder {target.parent} does not exist; make it first.")
        faults.expect(overwrite or not target.exists(), "the file exists; pass overwrite=True to replace it.")
        good = isinstance(dpi, int) and dpi >= LOWEST_DPI
        faults.expect(good, f"dpi={dpi!r}; expected {LOWEST_DPI} or more, so that the size is exact to 0.1 mm.")
    with style(), _at_width(fig, width):
        _write(fig, target, dpi)
    return target


@contextmanager
def _at_width(fig: Figure, width: float) -> Iterator[None]:
    """`fig` at `width` mm inside the block, at its own size after it."""
    from ssbmaps.figures._canvas import PrintFigure
    from ssbmaps.figures._style import MM_PER_INCH

    before = fig.get_figwidth(), fig.get_figheight()
    try:
        if isinstance(fig, PrintFigure):
            fig.fit_width(width)
        else:
            fig.set_size_inches(width / MM_PER_INCH, before[1] * width / MM_PER_INCH / before[0])
        yield
    finally:
        if isinstance(fig, PrintFigure):
            fig.fit_width(before[0] * MM_PER_INCH)
        else:
            fig.set_size_inches(*before)


def _write(fig: Figure, target: Path, dpi: int) -> None:
    from ssbmaps import __version__

    kind = target.suffix.lower()[1:]
    maker = f"ssbmaps {__version__}"
    undated: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
    metadata = {**undated[kind], "Software" if kind == "png" else "Creator": maker}
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}.", suffix=".part", dir=target.parent)
    os.close(handle)
    part = Path(name)
    try:
        fig.savefig(part, format=kind, dpi=dpi, metadata=metadata, bbox_inches=None)
        part.chmod(0o666 & ~_umask())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _umask() -> int:
    """The process's mask for new files, which a temporary file does not follow by itself."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
