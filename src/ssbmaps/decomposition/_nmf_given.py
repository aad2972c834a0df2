"""What a caller of `nmf` gives besides the cube: masks, weights, and spectra to start from or to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.decomposition._weights import Weights

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def given_weights(
    ordered: xr.DataArray, channel: str, mask: xr.DataArray | None, weights: xr.DataArray | None, *, subject: str
) -> Weights:
    """Weights and mask of all pixels of a cube (…, channel), in C order; what is masked wholly has weight 0."""
    pixel_dims = [str(d) for d in ordered.dims if d != channel]
    shape = [ordered.sizes[d] for d in pixel_dims]
    rows, channels, hidden = np.ones(shape), np.ones(ordered.sizes[channel]), None
    if weights is not None:
        _same(weights, ordered, "weights", subject)
        if set(weights.dims) not in ({channel}, set(pixel_dims)):
            raise SsbmapsError(
                f"{subject}: weights has dims {tuple(weights.dims)}; expected ({channel},) or {tuple(pixel_dims)}."
            )
        given = to_dense(canonical(weights).data).astype(np.float64)
        rows, channels = (rows, given) if channel in weights.dims else (given, channels)
    if mask is not None:
        _same(mask, ordered, "mask", subject)
        if mask.dtype != bool:
            raise SsbmapsError(f"{subject}: mask is of type {mask.dtype}; expected bool, True where values are not to be used.")
        hidden = _masked(mask, ordered, channel)
        channels = np.where(hidden.all(axis=0), 0.0, channels)
        rows = np.where(hidden.all(axis=1).reshape(shape), 0.0, rows)
        hidden[:, channels == 0] = False
        hidden = hidden if hidden[rows.ravel() > 0].any() else None
    flat = rows.ravel()
    checked = Weights(flat, channels, hidden).checked((flat.size, channels.size), subject)
    return Weights(None if np.all(flat == 1) else flat, None if np.all(channels == 1) else channels, checked.mask)


def _masked(mask: xr.DataArray, ordered: xr.DataArray, channel: str) -> NDArray[np.bool_]:
    """(P, K) mask of all values."""
    import xarray as xr

    sizes = {str(d): ordered.sizes[d] for d in ordered.dims}
    plain = xr.DataArray(to_dense(mask.data), dims=mask.dims).expand_dims({d: n for d, n in sizes.items() if d not in mask.dims})
    return np.array(plain.transpose(*sizes).values, bool).reshape(-1, sizes[channel])


def _same(other: xr.DataArray, cube: xr.DataArray, name: str, subject: str) -> None:
    unknown = [str(d) for d in getattr(other, "dims", ("?",)) if d not in cube.dims]
    if unknown:
        raise SsbmapsError(f"{subject}: {name} has dimension {', '.join(unknown)}; the cube has {tuple(cube.dims)}.")
    same_grid(cube, other.broadcast_like(other), subject=f"{subject}: {name}", dims=[str(d) for d in other.dims])


def given_spectra(cube: xr.DataArray, channel: str, initial: Any, fixed: Any, *, subject: str) -> tuple[Floats | None, int]:
    """Spectra (m, K) that the first components start from, and how many of them stay."""
    rows: list[Floats] = []
    n_fixed = 0
    for name, spectra in (("fixed", fixed), ("initial", initial)):
        if spectra is None:
            continue
        values = _spectra(spectra, cube, channel, name, subject)
        n_fixed = len(values) if name == "fixed" else n_fixed
        rows.append(values)
    return (np.vstack(rows) if rows else None), n_fixed


def _spectra(spectra: Any, cube: xr.DataArray, channel: str, name: str, subject: str) -> Floats:
    dims = set(getattr(spectra, "dims", ()))
    if channel not in dims or not dims <= {"component", channel}:
        raise SsbmapsError(f"{subject}: {name} has dims {tuple(dims)}; expected (component, {channel}) on the cube's channels.")
    same_grid(cube, spectra, subject=f"{subject}: {name}", dims=[channel])
    order = ("component", channel) if "component" in dims else (channel,)
    values = np.atleast_2d(to_dense(spectra.transpose(*order).data)).astype(np.float64)
    with Faults(subject) as faults:
        good = bool(np.isfinite(values).all() and values.min() >= 0 and (values.sum(axis=1) > 0).all())
        faults.expect(good, f"{name} holds negative, NaN or infinite values, or an empty spectrum; expected shares of counts.")
    return values
