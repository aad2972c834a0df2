"""Write a cube of mass spectra as imzML, so that examples can start from a real file format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ssbmaps._errors import Faults
from ssbmaps.io import _write, _write_imzml

if TYPE_CHECKING:
    import xarray as xr


def write_imzml(cube: xr.DataArray, path: str | Path, *, mode: str = "processed", overwrite: bool = False) -> Path:
    """Write a (y, x, mz) cube as imzML and .ibd, with pixel size in um and polarity.

    The files are written under a temporary name in the same folder and renamed when they are complete. The UUID is made
    from the content, so that the same cube gives the same files.

    Parameters
    ----------
    cube : xarray.DataArray
        (y, x, mz), dense, sparse or dask, in any order; coordinates y, x in um and mz in Da. Pixels that were not
        measured (coordinate `measured`) are left out. A pixel without counts is written with one explicit zero, since an
        empty spectrum would read as damage. The attribute `polarity` ("positive", "negative") is written if there is one.
    path : str or path-like
        The .imzML file; the .ibd file lies beside it.
    mode : {"processed", "continuous"}
        Each pixel's own m/z values, zeros left out; or one m/z axis for all, zeros written.
    overwrite : bool
        Replace files that exist.

    Returns
    -------
    pathlib.Path
        The .imzML file written.

    Raises
    ------
    SsbmapsError
        If the cube has other dimensions (sum scans first), holds NaN or infinity, or has no pixel size; if the path does
        not end in .imzML; if a file exists and `overwrite` is not set.

    Notes
    -----
    Whole counts are stored as 32-bit integers (64-bit if they need it), other values in their own precision, m/z as
    64-bit floats. Coordinates count from 1, rows from the top.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ssbmaps import synthetic
    >>> cube = synthetic.spectrum_cube(synthetic.cross_section(shape=(8, 12), n_scans=1, geometry="planar"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = synthetic.write_imzml(cube, Path(folder) / "section.imzML")
    ...     sorted(p.name for p in path.parent.iterdir())
    ['section.ibd', 'section.imzML']
    """
    target = Path(path)
    faults = Faults("synthetic.write_imzml")
    faults.expect(mode in _write_imzml.MODES, f"mode is {mode!r}; expected one of {', '.join(_write_imzml.MODES)}.")
    faults.expect(target.suffix.lower() == ".imzml", f"path is {target.name!r}; expected a name that ends in .imzML.")
    options = {"mode": mode, "every_channel": False}
    return _write.export(cube, target, _write_imzml, faults, subject="synthetic.write_imzml", overwrite=overwrite, **options)
