"""Another instrument's view of the same sample: its own raster, placed by rotation, scale and shift about the middle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import Faults
from ssbmaps.synthetic._beam import Blur, Imager
from ssbmaps.synthetic._raster import frame_of, rasterise
from ssbmaps.synthetic._recipe import FWHM_PER_SIGMA
from ssbmaps.synthetic._scene import MARGIN, Scene, build_scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.synthetic._recipe import Recipe

    Floats = NDArray[np.float64]

CORE = "NMC, full yield"


def placement(
    recipe: Recipe,
    *,
    subject: str,
    pixel_size: float,
    shape: Sequence[int] | None,
    cover: float,
    rotation: float,
    scale: float,
    shift: Sequence[float],
) -> tuple[tuple[int, int], Floats]:
    """Shape of the view, and the (3, 3) matrix that takes (y, x, 1) in um of the view to um of the section's map.

    Without `shape` the view covers `cover` of the map's sides. Raises if it reaches beyond the sample.
    """
    size = np.array(recipe.shape) * recipe.pixel_size
    with Faults(subject) as faults:
        faults.expect(pixel_size > 0, f"pixel_size is {pixel_size} um; expected more than 0.")
        faults.expect(scale > 0, f"scale is {scale}; expected more than 0.")
        faults.expect(len(tuple(shift)) == 2, f"shift is {shift!r}; expected two lengths (y, x) in um.")
        faults.expect(shape is None or min(shape) >= 1, f"shape is {shape!r}; expected two numbers of pixels (y, x).")
    usual = np.maximum(np.round(cover * size / (pixel_size * scale)), 1)
    chosen = (usual if shape is None else np.asarray(shape)).astype(int)
    angle = np.radians(rotation)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = 0.5 * size + np.asarray(shift, float) - turn @ (0.5 * chosen * pixel_size)
    corners = np.array([(a, b) for a in (0, 1) for b in (0, 1)]) * chosen * pixel_size @ turn.T + matrix[:2, 2]
    beyond = max(float((-corners).max()), float((corners - size).max()))
    with Faults(subject) as faults:
        faults.expect(
            beyond <= 0.5 * MARGIN,
            f"the view reaches {beyond:.3g} um beyond the section's map; expected at most {0.5 * MARGIN:g} um, where the sample "
            "ends. Take a smaller shape, shift or rotation.",
        )
    return (int(chosen[0]), int(chosen[1])), matrix


def view(
    recipe: Recipe, shape: tuple[int, int], pixel_size: float, matrix: Floats, *, fwhm: float, scene: Scene | None = None
) -> dict[str, Floats]:
    """(y, x) yield of each phase, blurred by a spot of `fwhm` um and averaged over pixels; `CORE` is NMC whatever its yield."""
    blur = Blur(fwhm / FWHM_PER_SIGMA)
    frame = frame_of(shape, pixel_size, sigma=blur.sigma, reach=blur.reach, matrix=matrix[:2])
    coverage, emission = rasterise(recipe, scene if scene is not None else build_scene(recipe), frame)
    fields = {**{p: emission[p] for p in recipe.phases}, CORE: coverage["NMC"]}
    images = Imager(list(fields.values()), [blur] * len(fields), frame).image().astype(np.float64)
    return dict(zip(fields, images, strict=True))


def own_technique(result: xr.Dataset, technique: str) -> None:
    """Say in the Dataset and in each variable that they are of `technique`, and not of the section that they were made from."""
    for one in (result, *result.data_vars.values()):
        one.attrs.pop("polarity", None)
        one.attrs["technique"] = technique


def with_rims(scene: Scene, chosen: NDArray[np.bool_]) -> Scene:
    """The scene with the outermost layer of the chosen particles' cores emitting twice: emission − coverage is that layer."""
    return replace(scene, core_yield=1.0 + chosen.astype(np.float64))
