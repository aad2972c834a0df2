"""The part of a section that lies further from its edge than a layer reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, check_array, measured_mask
from ssbmaps._errors import SsbmapsError
from ssbmaps._provenance import finish

if TYPE_CHECKING:
    import xarray as xr

SUBJECT = "interfaces.inner_region"


def inner_region(distance: xr.DataArray, *, margin: float | xr.Dataset) -> xr.DataArray:
    """Mark the pixels that lie further than a margin from the edge.

    Parameters
    ----------
    distance : xarray.DataArray
        Distance (y, x) to the edge in um, positive on the inner side, from `edge_distance`.
    margin : float or xarray.Dataset
        Margin in um, or what `detect_lateral_layer` returned for this distance: then the largest ``inner_distance`` of all
        fragments and phases with a detected layer; 0 if there is none.

    Returns
    -------
    xarray.DataArray
        Boolean (y, x): True where distance > margin; False at pixels that are NaN or unmeasured. Attributes ``margin`` (um),
        ``share_kept`` (of the measured pixels with a distance) and ``statement``.

    Raises
    ------
    SsbmapsError
        If the distance is not in um, the margin is negative or NaN, a detected layer does not reach its inner level within
        the map, or no pixel is left.

    Notes
    -----
    ``inner_distance`` has an interval of its own: for a cautious margin pass the largest ``inner_distance_high``.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import edge_distance, inner_region
    >>> place = {d: np.arange(n) * 0.5 + 0.25 for d, n in (("y", 4), ("x", 6))}
    >>> counts = xr.DataArray(np.ones((4, 6), int), place, ("y", "x"))
    >>> inner = inner_region(edge_distance(counts, edge="frame"), margin=0.5)
    >>> int(inner.sum()), round(inner.share_kept, 3)
    (8, 0.333)
    """
    import xarray as xr

    check_array(distance, subject=SUBJECT, dims=("y", "x"))
    if distance.ndim != 2:
        raise SsbmapsError(f"{SUBJECT}: distance has dims {tuple(distance.dims)}; expected one map (y, x).")
    unit = distance.attrs.get("units", "um")
    if unit != "um":
        raise SsbmapsError(f"{SUBJECT}: distance is in {unit!r}; expected um.")
    wide, why = _margin(margin)
    values = to_dense(canonical(distance).data).astype(float)
    known = np.isfinite(values)
    mask = measured_mask(distance)
    known = known if mask is None else known & mask
    kept = known & (np.nan_to_num(values, nan=-np.inf) > wide)
    if not kept.any():
        most = f"{values[known].max():.3g} um" if known.any() else "nowhere known"
        raise SsbmapsError(
            f"{SUBJECT}: no pixel is left beyond a margin of {wide:.3g} um ({why}); the largest distance is {most}. There is no "
            "inner region to compare with: map a larger area, or give a smaller margin."
        )
    share = float(kept.sum() / known.sum())
    coords = {str(k): v for k, v in canonical(distance).coords.items() if set(v.dims) <= {"y", "x"} and v.dims}
    result = xr.DataArray(kept, coords, ("y", "x"), name="inner")
    sources: list[xr.DataArray | xr.Dataset] = [distance, margin] if isinstance(margin, xr.Dataset) else [distance]
    result = finish(
        result,
        function=SUBJECT,
        arguments={"distance": distance, "margin": margin},
        sources=sources,
        units="1",
        long_name=f"further than {wide:.3g} um from the edge",
    )
    text = f"{share:.1%} of the pixels lie further than {wide:.3g} um from the edge ({why})"
    result.attrs |= {"margin": wide, "share_kept": share, "statement": text}
    return result


def _margin(margin: float | xr.Dataset) -> tuple[float, str]:
    """Margin in um, and where it comes from."""
    import xarray as xr

    if not isinstance(margin, xr.Dataset):
        numbers = (int, float, np.integer, np.floating)
        if not isinstance(margin, numbers) or isinstance(margin, bool) or not (np.isfinite(margin) and margin >= 0):
            raise SsbmapsError(f"{SUBJECT}: margin={margin!r}; expected 0 or more in um, or what detect_lateral_layer returns.")
        return float(margin), "margin as given"
    missing = [n for n in ("detected", "inner_distance") if n not in margin]
    if missing:
        raise SsbmapsError(f"{SUBJECT}: margin is a Dataset without {', '.join(missing)}; expected that of detect_lateral_layer.")
    detected = np.atleast_1d(margin["detected"].values).astype(bool).ravel()
    reach = np.atleast_1d(margin["inner_distance"].values).astype(float).ravel()[detected]
    if not detected.any():
        return 0.0, "no layer was detected"
    if not np.isfinite(reach).all():
        raise SsbmapsError(
            f"{SUBJECT}: {int((~np.isfinite(reach)).sum())} of {detected.sum()} detected layers do not reach their inner level "
            "within the map, so that no margin follows from them. Map a larger area, or give a margin in um."
        )
    return float(reach.max()), f"the widest of {detected.sum()} detected layers"
