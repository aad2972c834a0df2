"""Distance of every pixel to a lateral edge: the frame, a crater wall, a milled edge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, check_array, measured_mask, pixel_size, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._lateral_lines import SIDES, VERTICES_PER_PIXEL, to_frame, to_line, to_mask, to_polygon, to_side

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SUBJECT = "interfaces.edge_distance"
FOUND = ("end_y", "end_x", "inside_y", "inside_x")  # what find_edge says of its line
WANTED = (
    "expected 'frame', one of 'left', 'right', 'top', 'bottom', two or more points (y, x) in um, a boolean map (y, x), or what "
    "interfaces.find_edge returns."
)


def edge_distance(
    maps: xr.DataArray,
    *,
    edge: str | Sequence[Sequence[float]] | NDArray[np.float64] | xr.DataArray | xr.Dataset,
    inside: Sequence[float] | None = None,
) -> xr.DataArray:
    """Distance of each pixel centre to a lateral edge of the section in um: positive on the side that is kept.

    The exposed rim of a section, the wall of a sputter crater and the frame of the map do not show what lies further in.
    `detect_lateral_layer` asks how far their signal reaches, `inner_region` leaves it out.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (…, y, x) with a pixel size; only their pixels and the coordinate ``measured`` are used.
    edge : str, array_like, xarray.DataArray or xarray.Dataset
        One of: "frame", the border of the measured area, holes in it included; "left", "right", "top" or "bottom", that side
        of the rectangle around the measured area; two points ((y0, x0), (y1, x1)) in um, a straight line without ends; three
        points or more (N, 2), an open line that goes straight on beyond its ends, or a polygon if the last point repeats the
        first; a boolean map (y, x), True in what is kept (the floor of a crater), whose outline is the edge; what `find_edge`
        returns.
    inside : sequence of float, optional
        A point (y, x) in um on the side whose distances are positive. By default: the measured area, the inside of a polygon
        or mask, the brighter side of a found edge, and of a line the side with more measured pixels.

    Returns
    -------
    xarray.DataArray
        Distance (y, x) in um, float64; NaN at unmeasured pixels. Attribute ``edge`` names the edge, ``edge_y`` and ``edge_x``
        hold the points of a line or polygon.

    Raises
    ------
    SsbmapsError
        If the maps have no pixel size, `edge` is none of the above, holds NaN or only one place, `inside` is no point or lies
        on the edge, both sides of a line hold equally many pixels, or a mask is everywhere or nowhere.
    GridMismatchError
        If a mask lies on other pixels than the maps.

    Notes
    -----
    Distances are exact for the sides of pixels (frame), for lines and for polygons. The outline of a mask runs midway between
    pixels inside and outside and is smoothed along itself by 4 pixels, as in `distance_to`; where it meets the frame or
    unmeasured pixels it goes straight on, since these are no wall.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import edge_distance
    >>> place = {d: np.arange(n) * 0.5 + 0.25 for d, n in (("y", 4), ("x", 6))}
    >>> counts = xr.DataArray(np.ones((4, 6), int), place, ("y", "x"))
    >>> edge_distance(counts, edge="left").values[0].tolist()
    [0.25, 0.75, 1.25, 1.75, 2.25, 2.75]
    >>> edge_distance(counts, edge=((0.0, 1.0), (2.0, 1.0))).values[0].tolist()
    [-0.75, -0.25, 0.25, 0.75, 1.25, 1.75]
    """
    import xarray as xr

    check_array(maps, subject=SUBJECT, dims=("y", "x"))
    pixel = pixel_size(maps, subject=SUBJECT)
    known = measured_mask(maps)
    measured = np.ones((maps.sizes["y"], maps.sizes["x"]), bool) if known is None else known
    if not measured.any():
        raise SsbmapsError(f"{SUBJECT}: no pixel was measured, so there is no side to measure a distance on.")
    place = _Place(maps, measured, pixel)
    distance, name, line = _distance(place, edge, None if inside is None else _point(inside))
    coords = {str(k): v for k, v in canonical(maps).coords.items() if set(v.dims) <= {"y", "x"} and v.dims}
    result = xr.DataArray(np.where(measured, distance, np.nan), coords, ("y", "x"), name="distance")
    result = finish(
        result,
        function=SUBJECT,
        arguments={"maps": maps, "edge": edge, "inside": inside},
        sources=[maps, *([edge] if isinstance(edge, (xr.DataArray, xr.Dataset)) else [])],
        units="um",
        long_name=f"distance to the {name}",
    )
    result.attrs["edge"] = name
    if line is not None:
        result.attrs |= {"edge_y": line[:, 0].copy(), "edge_x": line[:, 1].copy()}
    return result


class _Place:
    """The pixels: their centres in um, which were measured, their size."""

    def __init__(self, maps: xr.DataArray, measured: Bools, pixel: tuple[float, float]) -> None:
        self.maps, self.measured, self.pixel = maps, measured, pixel
        y, x = (np.asarray(maps.coords[d].values, float) for d in ("y", "x"))
        self.points = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
        self.step = min(pixel) / VERTICES_PER_PIXEL
        self.low, self.high = np.array([y[0], x[0]]), np.array([y[-1], x[-1]])

    def to(self, line: Floats, points: Floats) -> Floats:
        """Signed distance of `points` to a line that leaves the map at both ends, or to a closed polygon."""
        if np.array_equal(line[0], line[-1]):
            return to_polygon(points, line[:-1], self.step)
        corners = np.vstack([self.low, self.high, line])
        return to_line(points, line, self.step, float(np.hypot(*np.ptp(corners, axis=0))) + 2 * max(self.pixel))


def _distance(place: _Place, edge: Any, inside: Floats | None) -> tuple[Floats, str, Floats | None]:
    """Distance (y, x), the edge's name, and the points of a line or polygon."""
    import xarray as xr

    shape = place.measured.shape
    if isinstance(edge, str):
        if edge not in ("frame", *SIDES):
            raise SsbmapsError(f"{SUBJECT}: edge={edge!r}; {WANTED}")
        if inside is not None:
            raise SsbmapsError(f"{SUBJECT}: inside={inside.tolist()} with edge={edge!r}, which has the measured area inside.")
        if edge == "frame":
            return to_frame(place.measured, place.pixel), "frame of the measured area", None
        return to_side(place.measured, place.pixel, edge), f"{edge} side of the measured area", None
    if isinstance(edge, xr.DataArray) and edge.dtype == bool:
        values = _turned(_of_mask(place, edge), place, inside)
        return values, "outline of a mask", None
    line = _line(edge)
    if isinstance(edge, xr.Dataset) and inside is None:
        inside = np.array([float(edge["inside_y"]), float(edge["inside_x"])])
    values = place.to(line, place.points).reshape(shape)
    closed = np.array_equal(line[0], line[-1])
    if inside is not None:
        here = float(place.to(line, inside[None])[0])
        if here == 0:
            raise SsbmapsError(f"{SUBJECT}: inside={inside.tolist()} lies on the edge; name a point beside it.")
        values = values * np.sign(here)
    elif not closed:
        values = values * _larger_side(values[place.measured])
    name = "found edge" if isinstance(edge, xr.Dataset) else "drawn polygon" if closed else "drawn line"
    return values, name, line


def _larger_side(values: Floats) -> float:
    balance = int((values > 0).sum()) - int((values < 0).sum())
    if balance == 0:
        n = int((values > 0).sum())
        raise SsbmapsError(f"{SUBJECT}: both sides of the line hold {n} pixels; say which is kept: inside=.")
    return float(np.sign(balance))


def _turned(values: Floats, place: _Place, inside: Floats | None) -> Floats:
    """Distances to an outline with the sign that makes the pixel at `inside` positive."""
    if inside is None:
        return values
    if (inside < place.low - np.array(place.pixel) / 2).any() or (inside > place.high + np.array(place.pixel) / 2).any():
        raise SsbmapsError(f"{SUBJECT}: inside={inside.tolist()} lies outside the map of the mask.")
    row, column = np.rint((inside - place.low) / place.pixel).astype(int).clip(0, np.array(values.shape) - 1)
    return values * (np.sign(values[row, column]) or 1.0)


def _of_mask(place: _Place, mask: xr.DataArray) -> Floats:
    check_array(mask, subject=f"{SUBJECT}: edge", dims=("y", "x"))
    same_grid(place.maps, mask, subject=f"{SUBJECT}: edge")
    if mask.ndim != 2:
        raise SsbmapsError(f"{SUBJECT}: the mask has dims {tuple(mask.dims)}; expected booleans (y, x).")
    values: Bools = to_dense(canonical(mask).data) & place.measured
    if min(values.shape) < 2 or not values.any() or values[place.measured].all():
        share = f"{values.sum()} of {place.measured.sum()} measured pixels"
        raise SsbmapsError(f"{SUBJECT}: the mask holds {share}, so it has no outline; expected True in a part of the map.")
    return to_mask(values, place.measured, place.pixel, subject=SUBJECT)


def _line(edge: Any) -> Floats:
    """(N, 2) points (y, x) in um, no two neighbours alike."""
    import xarray as xr

    if isinstance(edge, xr.Dataset):
        missing = [n for n in FOUND if n not in edge]
        if missing:
            raise SsbmapsError(f"{SUBJECT}: edge is a Dataset without {', '.join(missing)}; {WANTED}")
        if not int(edge["found"]):
            raise SsbmapsError(f"{SUBJECT}: find_edge found no edge in these maps; {edge['statement'].item()}")
        return np.column_stack([edge["end_y"].values, edge["end_x"].values])
    try:
        line = np.asarray(edge, np.float64)
    except (TypeError, ValueError):
        raise SsbmapsError(f"{SUBJECT}: edge is of type {type(edge).__name__}; {WANTED}") from None
    with Faults(SUBJECT) as faults:
        if faults.expect(line.ndim == 2 and line.shape[1] == 2 and len(line) > 1, f"edge has the shape {line.shape}; {WANTED}"):
            faults.expect(bool(np.isfinite(line).all()), "edge holds NaN or infinity; expected finite points (y, x) in um.")
    line = line[np.append(True, (np.diff(line, axis=0) != 0).any(axis=1))]
    closed = len(line) > 1 and np.array_equal(line[0], line[-1])
    if len(line) < (4 if closed else 2):
        raise SsbmapsError(f"{SUBJECT}: edge has {len(line) - closed} different points; a line needs 2, a polygon 3.")
    return np.asarray(line)


def _point(inside: Any) -> Floats:
    try:
        point = np.asarray(inside, np.float64)
    except (TypeError, ValueError):
        point = np.empty(0)
    if point.shape != (2,) or not np.isfinite(point).all():
        raise SsbmapsError(f"{SUBJECT}: inside={inside!r}; expected a point (y, x) in um.")
    return point
