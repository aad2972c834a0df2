"""Inner holes in the mask of a phase, and the pixels around a mask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fill_holes(mask: NDArray[np.bool_], largest: float) -> NDArray[np.bool_]:
    """`mask` with the holes of up to `largest` pixels closed; what touches the frame is no hole."""
    from scipy.ndimage import label

    holes, _ = label(~mask, structure=np.ones((3, 3)))
    small = np.bincount(holes.ravel()) <= largest
    small[np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))] = False
    return np.asarray(mask | small[holes])


def around(mask: NDArray[np.bool_], reach: float, pixel: tuple[float, float] = (1.0, 1.0)) -> NDArray[np.bool_]:
    """Pixels within `reach` of `mask`, in the unit of `pixel`: pixels unless told otherwise."""
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~mask, sampling=pixel) <= reach) if mask.any() else mask
