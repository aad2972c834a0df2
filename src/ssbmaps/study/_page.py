"""The demo's HTML page: one self-contained file with figures, numbers beside planted truth, and the history."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import xarray as xr

PLATEAU_UM = (-1.5, -0.5)


def write_page(
    folder: Path,
    *,
    section: xr.Dataset,
    results: Mapping[str, Any],
    figures: Mapping[str, Path],
    notes: Sequence[str],
) -> Path:
    """Render the page under a temporary name, then rename it to ``index.html``."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("ssbmaps.study"), autoescape=True, undefined=StrictUndefined)
    text = environment.get_template("demo.html").render(
        images={name: base64.b64encode(path.read_bytes()).decode() for name, path in figures.items()},
        phases=_phase_table(section, results["labels"]),
        plateau=_plateau(section, results["profile"]),
        interphase=_interphase(section, results["interphase"]),
        file=_file_facts(results["maps"]),
        notes=notes,
        history=str(results["profile"].attrs["history"]).splitlines(),
    )
    page = folder / "index.html"
    draft = folder / ".index.html.part"
    draft.write_text(text, encoding="utf-8")
    return draft.replace(page)


def _phase_table(section: xr.Dataset, labels: xr.DataArray) -> list[dict[str, float | str]]:
    """Area share of each phase as labelled, beside the planted share."""
    names = str(labels.attrs["flag_meanings"]).split()
    values = np.asarray(labels.attrs["flag_values"])
    planted = section["coverage"].mean(("y", "x"))
    rows: list[dict[str, float | str]] = []
    for name, value in zip(names, values, strict=True):
        planted_name = "POx" if name == "interphase" else name
        if planted_name in planted.phase.values:
            share = float((labels == value).mean())
            rows.append({"phase": name, "labelled": 100 * share, "planted": 100 * float(planted.sel(phase=planted_name))})
    return rows


def _plateau(section: xr.Dataset, profile: xr.Dataset) -> dict[str, float]:
    """Mean NiO2− counts inside the NMC, away from the contour, with its standard error for the material and the planted level."""
    inside = profile.sel(fragment="NiO2-").sel(distance=slice(*PLATEAU_UM))
    weight = inside["count"]
    total = float(weight.sum())
    mean = float((inside["mean"] * weight).sum() / total)
    error = float((inside["sem"] * weight).sum() / total)  # neighbouring bins share most of their error
    planted = float(section["level"].sel(phase="NMC", fragment="NiO2-"))
    return {"mean": mean, "sem": error, "planted": planted, "low": PLATEAU_UM[0], "high": PLATEAU_UM[1]}


def _interphase(section: xr.Dataset, found: xr.Dataset) -> dict[str, str | float]:
    """The thickness in words, and the planted one in nm."""
    return {"statement": str(found["statement"].item()), "planted": 1e3 * float(section.attrs["thickness_POx"])}


def _file_facts(maps: xr.DataArray) -> dict[str, str]:
    from ssbmaps._conventions import pixel_size

    dy, dx = pixel_size(maps, subject="demo")
    return {
        "source": str(maps.attrs["source"]),
        "sha256": str(maps.attrs["source_sha256"])[:16],
        "pixels": f"{maps.sizes['y']} × {maps.sizes['x']} of {dy:g} × {dx:g} um",
    }
