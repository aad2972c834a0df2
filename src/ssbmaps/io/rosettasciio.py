"""Other formats that RosettaSciIO reads (Bruker, JEOL, EDAX, EMD, DigitalMicrograph, Digital Surf, …), in the guarded child."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssbmaps._errors import FormatError, SsbmapsError
from ssbmaps.io import _guarded_signals, _held

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import xarray as xr

TECHNIQUE = "any"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 4096


@dataclass(frozen=True, slots=True)
class _Format:
    """Endings of a plugin's files, and what their content begins with: (offset, bytes), one of them, or none that is known."""

    plugin: str
    suffixes: tuple[str, ...]
    begins: tuple[tuple[int, bytes], ...] = ()
    holds: bytes = b""

    def fits(self, head: bytes) -> bool:
        """Whether a file's first bytes are this format's; never, if it has no mark of its own."""
        marked = any(head[at : at + len(mark)] == mark for at, mark in self.begins)
        return marked and self.holds in head


FORMATS = (
    _Format("bruker", (".bcf",), ((0, b"AAMVHFSS"),)),
    _Format("bruker", (".spx",), ((0, b"<?xml"),), b"TRTSpectrum"),
    _Format("jeol", (".asw",), ((17, b"FileType"),)),
    _Format("jeol", (".img", ".map"), ((4, b"JED-2200"),)),
    _Format("jeol", (".pts",), ((4, b"PTTDFILE"),)),
    _Format("jeol", (".eds",), ((0, b"\2\0\0\0\2\0\0\0"),)),
    _Format("edax", (".spd",), ((0, b"MAPSPECTRA_DATA"),)),
    _Format("edax", (".spc", ".lsd")),
    _Format("emd", (".emd", ".de5"), ((0, _HDF5),)),
    _Format("digitalmicrograph", (".dm3",), ((0, b"\0\0\0\3"),)),
    _Format("digitalmicrograph", (".dm4",), ((0, b"\0\0\0\4"),)),
    _Format("digitalsurf", (".sur", ".pro"), ((0, b"DIGITAL SURF"), (0, b"DSCOMPRESSED"))),
    _Format("phenom", (".elid",), ((0, b"BZh"), (0, b"\x1f\x8b"))),
    _Format("tia", (".ser",), ((0, b"II\x97\x01"),)),
    _Format("tia", (".emi",)),
    _Format("mrc", (".mrc", ".ali"), ((208, b"MAP "),)),
    _Format("msa", (".msa", ".emsa", ".ems", ".mas"), ((0, b"#FORMAT"),), b"EMSA/MAS"),
    _Format("ripple", (".rpl",), ((0, b"key\t"), (0, b"KEY\t"), (0, b";File"))),
    _Format("semper", (".unf",), ((24, "Semper".encode("utf-16-le")),)),
    _Format("nexus", (".nxs",), ((0, _HDF5),)),
    _Format("image", (".png", ".jpg", ".jpeg", ".bmp"), ((0, b"\x89PNG\r\n\x1a\n"), (0, b"\xff\xd8\xff"), (0, b"BM"))),
    _Format("delmic", (".h5", ".hdf5")),
    _Format("hamamatsu", (".img",)),
)

# What RosettaSciIO reads, too, and is not read here; `plugin=` refuses it with the reason.
EXCLUDED = {
    **dict.fromkeys(("hspy", "zspy", "tiff", "renishaw", "jobinyvon", "trivista"), "ssbmaps has a reader of its own"),
    "pantarhei": "its files may hold pickled Python objects",
    "netcdf": "its reader evaluates text of the file as Python",
    "numpy": "an array without axes; use numpy.load and name the dimensions",
    "tofwerk": "its values are counts in some files and counts per extraction in others",
    **dict.fromkeys(("mrcz", "usid"), "needs a package that ssbmaps does not install"),
    **dict.fromkeys(
        ("arina", "blockfile", "empad", "quantumdetector", "topspin", "tvips"),
        "diffraction patterns, for which there are no axes",
    ),
    **dict.fromkeys(("dens", "impulse", "protochips", "quadstar"), "logs of a holder or a mass spectrometer"),
}
NAME = "RosettaSciIO"
EXTENSIONS = tuple(dict.fromkeys(suffix for f in FORMATS if f.begins for suffix in f.suffixes))


def sniff(path: Path) -> bool:
    """Whether the ending is one of a plugin's, and the content begins as its files do."""
    suffix = path.suffix.lower()
    candidates = [f for f in FORMATS if suffix in f.suffixes and f.begins]
    if not candidates:
        return False
    try:
        head = _held.head(path, _HEAD)
    except OSError:
        return False
    return any(f.fits(head) for f in candidates)


def info(path: Path) -> dict[str, Any]:
    """What the plugin says of the file; data are not read where it can put that off."""
    return _guarded_signals.info(_described(path, None, None))


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,
    dims: Mapping[str | int, str] | None = None,
    plugin: str | None = None,
) -> xr.DataArray:
    """The signal called `dataset`, or the hypermap if the file has one beside its images."""
    del skip_bad  # the plugins give whole signals or none
    signal = _guarded_signals.chosen(_described(path, dims, plugin), dataset)
    _guarded_signals.check(signal)
    arguments = {"reader": "rosettasciio", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt, "dims": dims}
    return _guarded_signals.dataarray(
        signal,
        pixel_size=pixel_size,
        tilt=tilt,
        chunks=chunks,
        arguments={**arguments, "plugin": plugin},
        attrs={},
    )


def _described(path: Path, dims: Mapping[str | int, str] | None, plugin: str | None) -> list[_guarded_signals.Signal]:
    if path.is_dir():
        raise FormatError(f"{path.name}: is a folder; give the file inside.")
    return _guarded_signals.described(path, _plugin(path, plugin), size=_size(path), dims=dims)


def _plugin(path: Path, plugin: str | None) -> str:
    """The plugin for a file: the caller's, else the one that its ending and content name."""
    listed = sorted({f.plugin for f in FORMATS})
    if plugin is not None:
        if plugin in EXCLUDED:
            raise SsbmapsError(f"{path.name}: plugin {plugin!r} is not used: {EXCLUDED[plugin]}.")
        if plugin not in listed:
            raise SsbmapsError(f"{path.name}: plugin is {plugin!r}; expected one of {', '.join(listed)}.")
        return plugin
    candidates = [f for f in FORMATS if path.suffix.lower() in f.suffixes]
    head = _held.head(path, _HEAD)
    fitting = [f.plugin for f in candidates if f.fits(head)] or sorted({f.plugin for f in candidates})
    if len(fitting) != 1:
        known = f"may be of {' or '.join(fitting)}" if fitting else "has an ending that no plugin has"
        raise FormatError(f"{path.name}: {known}; name the plugin, plugin={(fitting or listed)[0]!r}.")
    return fitting[0]


def _size(path: Path) -> int:
    """Bytes of the file and of those that belong to it: of the same name, and for a JEOL project all in its folders."""
    if path.suffix.lower() == ".asw":
        return sum(p.stat().st_size for p in path.parent.rglob("*") if p.is_file())
    return sum(p.stat().st_size for p in path.parent.iterdir() if p.is_file() and (p == path or p.stem == path.stem))
