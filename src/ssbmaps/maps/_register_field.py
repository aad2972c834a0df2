"""A smooth displacement as the Dataset that a Transform takes: on an even grid, unknown where the blocks said nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

    from ssbmaps.maps._map_bend import Field
    from ssbmaps.maps._mutual import Raster

_NODES = 48  # along the longer side
_KNOWN = 0.7  # of the field's own width; where the error is larger the blocks have said next to nothing


def displacement(field: Field, raster: Raster) -> xr.Dataset | None:
    """dy, dx and their errors (um) over `raster`, those of the affine map included; None if the blocks ask for none."""
    import xarray as xr

    if field.width == 0:
        return None
    sides = [n * p for n, p in zip(raster.shape, raster.pixel, strict=True)]
    step = max(sides) / _NODES
    axes = [
        f - p / 2 + (np.arange(max(round(s / step), 4)) + 0.5) * s / max(round(s / step), 4)
        for f, p, s in zip(raster.first, raster.pixel, sides, strict=True)
    ]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    shift = field.mean(places.reshape(-1, 2)).reshape(places.shape)
    spread = field.covariance(places.reshape(-1, 2)).reshape(*places.shape, 2)
    sd = np.sqrt(np.maximum(np.diagonal(spread, axis1=-2, axis2=-1), 0.0))
    known = np.asarray(np.all(sd <= _KNOWN * field.width, axis=-1))
    shift, sd = (np.where(known[..., None], v, np.nan) for v in (shift, sd))
    both = np.where(known, spread[..., 0, 1], np.nan)
    um = {"units": "um"}
    return xr.Dataset(
        {
            "dy": (("y", "x"), shift[..., 0], um),
            "dx": (("y", "x"), shift[..., 1], um),
            "dy_sd": (("y", "x"), sd[..., 0], um),
            "dx_sd": (("y", "x"), sd[..., 1], um),
            "covariance_yx": (("y", "x"), both, {"units": "um2"}),
        },
        {"y": ("y", axes[0], um), "x": ("x", axes[1], um)},
    )
