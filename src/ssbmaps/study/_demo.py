"""The demo: a synthetic section goes through every room, from an imzML file to an HTML page."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssbmaps._errors import DataQualityWarning, SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

FRAGMENTS = ("NiO2-", "S-", "Cl-", "PO2-", "PO3-", "SO2-", "SO3-", "C2-")
PHASES = {"NMC": "NiO2-", "electrolyte": ["S-", "Cl-"], "carbon": "C2-", "interphase": ["PO2-", "PO3-"]}
BULK = ("NiO2-", "S-")
SHELL = ("PO2-", "PO3-", "SO2-", "SO3-")
N_COMPONENTS = 4
SCANS, SHOTS = 20, 25  # the file holds the sum of all scans


def demo(
    output: str | Path,
    *,
    seed: int = 0,
    size: int = 256,
    overwrite: bool = False,
    report: Callable[[str, float], None] | None = None,
) -> Path:
    """Analyse a synthetic composite cathode end to end and write what came out.

    A section with planted truth is drawn, written as imzML, read back, and analysed as a measured file would be: fragment
    maps, NMF components, phases, the distance to the NMC contour, the profile across that interface, and the thickness of the
    interphase, its geometry found on other counts. The planted truth enters only the last comparison on the page.

    Parameters
    ----------
    output : path
        Folder for the results; made if absent.
    seed : int
        Seed of the section.
    size : int
        Pixels along y and x; one pixel is 0.1 um.
    overwrite : bool
        Write into a folder that is not empty, replacing files of the same name.
    report : callable, optional
        Called as ``report(step, fraction)`` before every step.

    Returns
    -------
    pathlib.Path
        The page, ``index.html``. Beside it lie ``section.imzML`` and ``.ibd``, ``maps.zarr``, ``components.nc``,
        ``profile.nc``, ``interphase.nc`` and the figures as PNG and PDF.

    Raises
    ------
    SsbmapsError
        If `output` is a file, or holds something and `overwrite` is False.

    Examples
    --------
    >>> import tempfile
    >>> import ssbmaps
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     ssbmaps.study.demo(folder, size=128).name
    'index.html'
    """
    from ssbmaps import decomposition, io
    from ssbmaps.study._page import write_page

    say = report or _say_nothing
    folder = _empty_folder(Path(output), overwrite=overwrite)
    notes: list[str] = []

    say("drawing a section", 0.0)
    section, source = _write_section(folder, seed=seed, size=size)
    say("reading the imzML file", 0.2)
    cube = io.read(source)
    say("mapping fragments", 0.35)
    results = _profile_interface(cube, notes)
    say("decomposing", 0.45)
    results["components"] = decomposition.nmf(cube, N_COMPONENTS, rng=seed)
    say("measuring the interphase", 0.7)
    results["interphase"] = _measure(results["maps"], seed)
    say("saving results", 0.8)
    io.save(results["maps"].to_dataset(name="counts").assign(phase=results["labels"]), folder / "maps.zarr", overwrite=overwrite)
    io.save(results["components"], folder / "components.nc", overwrite=overwrite)
    io.save(results["profile"], folder / "profile.nc", overwrite=overwrite)
    io.save(results["interphase"], folder / "interphase.nc", overwrite=overwrite)
    say("drawing figures", 0.85)
    figures = _draw(results, folder, overwrite=overwrite)
    return write_page(folder, section=section, results=results, figures=figures, notes=notes)


def _say_nothing(_step: str, _done: float) -> None:
    """The progress nobody asked for."""


def _empty_folder(folder: Path, *, overwrite: bool) -> Path:
    if folder.exists() and not folder.is_dir():
        raise SsbmapsError(f"{folder} is a file; expected a folder for the results. Give another --output.")
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise SsbmapsError(f"{folder} is not empty. Give another folder, or --force (overwrite=True) to replace what is in it.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write_section(folder: Path, *, seed: int, size: int) -> tuple[xr.Dataset, Path]:
    from ssbmaps import synthetic

    section = synthetic.cross_section(seed=seed, shape=(size, size), n_scans=SCANS)
    cube = synthetic.spectrum_cube(section, seed=seed)
    return section, synthetic.write_imzml(cube, folder / "section.imzML", overwrite=True)


def _profile_interface(cube: xr.DataArray, notes: list[str]) -> dict[str, Any]:
    """Fragment maps, phases, distance to the NMC contour and the profile across it; notes collect what was warned of."""
    from ssbmaps import interfaces, maps

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataQualityWarning)
        counts = maps.fragment_maps(cube, list(FRAGMENTS))
        labels = maps.label_phases(counts, PHASES)
        distance = interfaces.distance_to(labels, "NMC", image=counts.sel(fragment="NiO2-"))
        profile = interfaces.distance_profile(counts.sel(fragment=[*BULK, *SHELL]), distance)
    notes += [str(w.message) for w in caught if issubclass(w.category, DataQualityWarning)]
    near = profile.sel(distance=slice(-1.5, 1.5))
    return {"maps": counts, "labels": labels, "distance": distance, "profile": near}


def _measure(counts: xr.DataArray, seed: int) -> xr.Dataset:
    from ssbmaps import interfaces

    return interfaces.measure_interphase(counts, core="NiO2-", shell={"POx": "PO3-"}, shots=SCANS * SHOTS, rng=seed)


def _draw(results: dict[str, Any], folder: Path, *, overwrite: bool) -> dict[str, Path]:
    """Every figure as PNG (for the page) and PDF (for print)."""
    from ssbmaps import figures

    drawn = {
        "maps": (figures.grid_figure(results["maps"]), 2),
        "components": (figures.component_figure(results["components"]), 2),
        "bulk": (_profile_figure(results["profile"], BULK), 1),
        "shell": (_profile_figure(results["profile"], SHELL), 1),
        "interphase": (figures.interphase_figure(results["interphase"]), 1),
        "thickness": (figures.thickness_map_figure(results["maps"], results["interphase"]), 1),
    }
    paths = {}
    for name, (figure, columns) in drawn.items():
        for suffix in (".pdf", ".png"):
            paths[name] = figures.save(figure, folder / f"{name}{suffix}", columns=columns, overwrite=overwrite)
    return paths


def _profile_figure(profile: xr.Dataset, fragments: tuple[str, ...]) -> Any:
    from ssbmaps import figures

    return figures.profile_figure(profile.sel(fragment=list(fragments)), inside="NMC", outside="electrolyte")
