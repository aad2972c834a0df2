"""Registration of real images: frames of a ToF-SIMS map, and an SEM image against a changed copy of itself."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from _interphase_draws import gather
from _results import put_section, table
from registration import DATA, attempt
from scipy import ndimage

from ssbmaps import io

SCRIPT = "python benchmarks/registration_cases.py"


def rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def plain(values: np.ndarray, pixel: float) -> xr.DataArray:
    """Maps on an even raster, um; counts until said otherwise."""
    coords = {d: (d, (np.arange(n) + 0.5) * pixel, {"units": "um"}) for d, n in zip("yx", values.shape[1:], strict=True)}
    return xr.DataArray(values, coords, ("fragment", "y", "x"), attrs={"units": "counts"})


def moved_counts(
    counts: np.ndarray, pixel: float, matrix: np.ndarray, shape: tuple[int, int], size: float, rng: Any
) -> np.ndarray:
    """Every single count set down anywhere in its pixel, taken where `matrix` (from the new map to the old) says, and counted."""
    y, x = np.nonzero(counts)
    times = counts[y, x].astype(int)
    at = (np.repeat(np.stack([y, x]), times, axis=1) + rng.random((2, times.sum()))) * pixel
    back = np.linalg.inv(matrix)
    new = back[:2, :2] @ at + back[:2, 2:]
    edges = [np.arange(n + 1) * size for n in shape]
    return np.histogram2d(*new, bins=edges)[0].astype(np.int64)


def placed(rng: Any, shape: tuple[int, int], size: float, middle: np.ndarray, turn: float, drift: float) -> np.ndarray:
    """(3, 3): a map of `shape` laid at random on another about whose `middle` it lies."""
    angle, scale = np.deg2rad(rng.uniform(-turn, turn)), rng.uniform(0.97, 1.03)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = middle + rng.uniform(-drift, drift, 2) - linear @ (np.array(shape) * size / 2)
    return np.vstack([np.column_stack([linear, offset]), [0, 0, 1]])


def powerco_draw(seed: int) -> list[dict[str, Any]]:
    """Three frames against the others, as they are and moved onto larger pixels; and all counts drawn into halves."""
    rng = np.random.default_rng(14000 + seed)
    total = io.read(DATA / "phi" / "PowerCo-102-Pos-Cu_Grid.h5", pixel_size=0.3125).sum("mz")
    chosen = [0, *list(combinations(range(1, 6), 2))[seed]]  # ten ways to part six frames
    others = [i for i in range(6) if i not in chosen]
    halves = [total.isel(scan=o).sum("scan").data.todense().astype(int) for o in (chosen, others)]
    whole = halves[0] + halves[1]
    drawn = rng.binomial(whole, 0.5)
    first, second, one, other = (plain(h[None], 0.3125).isel(fragment=0, drop=True) for h in (*halves, drawn, whole - drawn))
    shape, size = (180, 180), 0.4
    matrix = placed(rng, shape, size, np.array([40.0, 40.0]), 5, 2)
    moved = plain(moved_counts(halves[1], 0.3125, matrix, shape, size, rng)[None], size).isel(fragment=0, drop=True)
    name = "PowerCo frames, all ions, "
    shifted: dict[str, Any] = {"model": "translation", "initial": np.eye(3)}
    return [
        {"kind": f"{name}three on the others, affine"} | attempt(first, second, np.eye(3), 0.3125, overlap=0.7),
        {"kind": f"{name}three on the others, translation near 0"} | attempt(first, second, np.eye(3), 0.3125, **shifted),
        {"kind": f"{name}counts drawn into halves, translation near 0"} | attempt(one, other, np.eye(3), 0.3125, **shifted),
        {"kind": f"{name}three on the others moved, affine"} | attempt(first, moved, matrix, 0.3125, overlap=0.5),
    ]


def sem_draw(seed: int) -> list[dict[str, Any]]:
    """The image against a copy of itself: turned, scaled, shifted, in larger pixels, dark for bright, bent in contrast, noisy."""
    rng = np.random.default_rng(15000 + seed)
    image = io.read(DATA / "sem" / "test_tiff_Zeiss_SEM_512pix.tif").isel(y=slice(0, 345))  # the data bar lies below
    pixel = float(image.y[1] - image.y[0])
    grey = image.values / 255.0
    shape, size = (220, 330), 1.3 * pixel
    matrix = placed(rng, shape, size, np.array(grey.shape) * pixel / 2, 10, 15 * pixel)
    y, x = np.meshgrid(*((np.arange(n) + 0.5) * size for n in shape), indexing="ij")
    at = np.einsum("ij,jyx->iyx", matrix[:2], np.stack([y, x, np.ones_like(y)])) / pixel - 0.5
    seen = ndimage.map_coordinates(grey, at, order=3, cval=np.nan)  # a spline: not blurred here more than there
    contrast = np.exp(-2 * np.maximum(seen, 0.0) ** 1.5)
    rows = []
    for noise in (0.1, 1.0):
        made = contrast + rng.normal(0, noise * np.nanstd(contrast), contrast.shape)
        copy = plain(made[None], size).isel(fragment=0, drop=True).assign_attrs(units="arbitrary")
        rows.append({"kind": f"SEM, inverted copy, noise {noise:g} × its contrast"} | attempt(image, copy, matrix, pixel))
    return rows


def real() -> None:
    """Frames of a real ToF-SIMS map, and an SEM image against a changed copy of itself."""
    rows: list[dict[str, Any]] = []
    notes = [
        "Pixels of the reference. 'Moved' and 'copy': error against the planted map; other frames: against no shift. "
        "The PowerCo map holds 2.7 counts per pixel in all."
    ]
    for path, work, n in (
        ("phi/PowerCo-102-Pos-Cu_Grid.h5", powerco_draw, 10),
        ("sem/test_tiff_Zeiss_SEM_512pix.tif", sem_draw, 10),
    ):
        if not (DATA / path).exists():
            notes.append(f"{path} is not there: left out.")
            continue
        rows += gather(f"registration_{work.__name__}", work, [(s,) for s in range(n)])
    lines: list[list[object]] = []
    for kind in dict.fromkeys(r["kind"] for r in rows):
        own = [r for r in rows if r["kind"] == kind]
        good = [r for r in own if "refused" not in r]
        if not good:
            lines.append([kind, len(own), len(own), *["-"] * 6])
            continue
        told, true = rms([r["predicted"] for r in good]), rms([r["true"] for r in good])
        lines.append(
            [
                kind,
                len(own),
                len(own) - len(good),
                sum(bool(r["warned"]) for r in good),
                f"{np.mean([r['mean'] for r in good]):.3f}",
                f"{max(r['max'] for r in good):.3f}",
                f"{told / true:.2f}",
                f"{np.mean([r['covered'] for r in good]):.3f}",
                f"{np.median([r['seconds'] for r in good]):.1f}",
            ]
        )
    header = ["images", "draws", "refused", "warned", "mean error, px", "largest, px", "predicted / true (rms)"]
    header += ["95 % region covers", "s"]
    letters = dict.fromkeys(f"- {r['kind']}: {r['refused']}" for r in rows if "refused" in r)
    put_section("Registration of real images", f"{SCRIPT} real", "\n\n".join([table(header, lines), *notes, "\n".join(letters)]))
