"""Does a transform hold, and where not: `check_registration` lays both maps over one another and asks each block."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import RASTER_DIMS, measured_mask, pixel_size
from ssbmaps._errors import Faults, RegistrationError, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.maps._register_input import SUBJECT as _REGISTER
from ssbmaps.maps._register_input import _summed, check_maps, name_pairs, stack
from ssbmaps.maps._resample import resample
from ssbmaps.maps._transform import Transform

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.maps._check_residuals import Left
    from ssbmaps.maps._register_input import Names

    Floats = NDArray[np.float64]

_SUBJECT = "maps.check_registration"
_UNLIKELY = 0.01
_SQUARES = 8  # of the board, along the longer side
_SIDES = ("reference", "moved")


def check_registration(
    reference: xr.DataArray,
    moving: xr.DataArray,
    transform: Transform,
    *,
    pairs: Sequence[tuple[Any, Any]] | None = None,
    square: float | None = None,
    smoothing: float | None = None,
) -> xr.Dataset:
    """Lay one map over another by a transform, and ask each block whether it lies where it should.

    For the eye: both maps on the same pixels, a board with squares of both in turn, and the outlines of both. For the numbers: up
    to 64 blocks of the map, each with the displacement at which its mutual information would be largest, and the error of that.

    Parameters
    ----------
    reference, moving : xarray.DataArray
        Maps (channel, y, x) or (y, x) with coordinates y and x in um, as for `ssbmaps.maps.register`. NaN, and pixels not in the
        coordinate `measured`, take no part.
    transform : Transform
        From um of the moving map to um of the reference, wherever it comes from.
    pairs : sequence of (str, str), optional
        Channels that show the same, (of the reference, of the moving map), as for `register`. By default the channels of the same
        name, or the only one of each. Pairs that the transform was not made from make the stronger test.
    square : float, optional
        Side of a square of the board, um. By default an eighth of the reference's longer side.
    smoothing : float, optional
        Standard deviation of the Gaussian, um, with which both maps are smoothed before their outlines are drawn. By default two
        of the larger pixels. The blocks do not depend on it.

    Returns
    -------
    xarray.Dataset
        On the pixels of the reference, by ``pair``: ``reference`` and ``moved``, as floats, NaN where not measured;
        ``checkerboard`` (1), squares of both in turn, each from 0 (2 % quantile) to 1 (98 %); and ``valid`` (y, x), measured in
        both maps and all pairs. Along ``vertex``, the outlines at half level: ``vertex_y``, ``vertex_x`` (um), ``vertex_segment``
        (vertices of one line share a number), ``vertex_side`` ("reference" or "moved") and ``vertex_pair`` (number of the pair).
        Along ``block``: ``block_y``, ``block_x`` (um), ``residual_y``, ``residual_x`` (um; where the block would like the moving
        map to go, on the reference), ``residual_y_sd``, ``residual_x_sd`` (um), ``residual_covariance_yx`` (um²), ``p_value``
        (how often a block that lies where it should shows this much) and ``position_sd`` (um, the transform's own error there).
        Blocks that show too little are left out, and all of them where the maps are not seen to belong together. Single values:
        ``misfit`` (um, rms displacement beyond the blocks' errors), ``misfit_chance`` (p that there is none; both NaN without
        blocks) and ``support`` (share of blocks whose held-out evidence speaks for a place near there). The attribute
        ``statement`` says it in words.

    Raises
    ------
    RegistrationError
        If the moved map does not overlap the reference, a channel is constant, or there are no pairs.
    SsbmapsError
        If `transform` is no Transform, maps have other dimensions or no pixel size, or a name is unknown.

    Notes
    -----
    The maps are compared on the coarser of the two rasters, like in `register`, by the same mutual information. Displacements of
    a few pixels are found: the whole map is led to its best affine place, over maps smoothed by four, two and one pixels, and if
    blocks lie away from there by a smooth field through them; each block ends at its own optimum. Errors come from the scatter of
    the scores of 9 parts of a block, so that a block's p-value is that of Hotelling's T², and that of all blocks together
    Fisher's sum, no p taken below 0.005. The transform's own error is in none of them: a displacement that all blocks share and
    that is no larger than ``position_sd`` is what the transform said of itself.

    Examples
    --------
    >>> import numpy as np
    >>> from ssbmaps import maps, synthetic
    >>> section = synthetic.cross_section(seed=21, shape=(160, 176), n_scans=5)
    >>> counts, sam = section.counts.sum("scan"), synthetic.sam_maps(section, lines=("S LVV", "Ni LMM"))
    >>> truth = maps.Transform(sam.attrs["transform"].reshape(3, 3), np.zeros((6, 6)))
    >>> check = maps.check_registration(counts, sam.peak, truth, pairs=[("S-", "S LVV"), ("NiO2-", "Ni LMM")])
    >>> check.attrs["statement"].split(" (")[0], bool(check.misfit_chance > 0.01)
    ('Blocks lie within their errors', True)
    """
    with _named():
        reference, moving = check_maps(reference, "reference"), check_maps(moving, "moving")
        _check_options(transform, pairs, square, smoothing)
        names = name_pairs(reference, moving, pairs)
        own_stack = stack(reference, [n[0] for n in names], "reference")
        other_stack = stack(moving, [n[1] for n in names], "moving")
        own, moved = _pictures(reference, moving, transform, names)
    from ssbmaps.maps._check_residuals import left_over

    left = left_over(own_stack, other_stack, transform)
    pixel = own_stack.raster.pixel
    extent = max(n * p for n, p in zip(own_stack.raster.shape, pixel, strict=True))
    square = extent / _SQUARES if square is None else float(square)
    smoothing = 2 * max(*pixel, *_on_reference(transform, other_stack.raster.pixel)) if smoothing is None else float(smoothing)
    result = _dataset(reference, names, own, moved, square, smoothing)
    result = result.assign(_residuals(left, transform))
    field = transform._field
    told = {
        "reference": reference,
        "moving": moving,
        "transform": {
            "matrix": transform.matrix[:2],
            "displacement": None if field is None else field.value,
        },
        "pairs": [[list(a), list(b)] for a, b in names],
        "square": square,
        "smoothing": smoothing,
    }
    about = {v: dict(result[v].attrs) for v in result.data_vars}
    import xarray as xr

    earlier = xr.Dataset(attrs={"history": str(transform.attrs.get("history", ""))})
    result = finish(result, function=_SUBJECT, arguments=told, sources=[reference, moving, earlier])
    for name, attrs in about.items():
        result[name].attrs |= attrs
    position = float(np.sqrt(np.mean(result.position_sd.values**2))) if len(left.blocks.places) else np.nan
    result.attrs |= {"long_name": "whether a transform holds", "statement": _statement(left, position)}
    return result


@contextmanager
def _named() -> Iterator[None]:
    """Letters of the functions that this one uses come under its own name."""
    try:
        yield
    except SsbmapsError as error:
        text = str(error)
        for other in (_REGISTER, "maps.resample"):
            text = text.replace(f"{other}:", f"{_SUBJECT}:", 1) if text.startswith(other) else text
        raise type(error)(text) from None


def _check_options(transform: Any, pairs: Any, square: Any, smoothing: Any) -> None:
    with Faults(_SUBJECT) as faults:
        faults.expect(isinstance(transform, Transform), f"transform is of type {type(transform).__name__}; expected a Transform.")
        for name, value in (("square", square), ("smoothing", smoothing)):
            good = value is None or (isinstance(value, (int, float, np.number)) and bool(0 < value < np.inf))
            faults.expect(good, f"{name} is {value!r}; expected um above 0.")
    if pairs is not None and len(list(pairs)) == 0:
        raise RegistrationError(f"{_SUBJECT}: pairs is empty; expected channels that show the same in both maps.")


def _pictures(
    reference: xr.DataArray, moving: xr.DataArray, transform: Transform, names: list[Names]
) -> tuple[xr.DataArray, xr.DataArray]:
    """Both maps (pair, y, x) on the pixels of the reference, NaN where not measured."""
    own = _summed_pairs(reference, [n[0] for n in names], "reference")
    other = _summed_pairs(moving, [n[1] for n in names], "moving")
    seen = np.isfinite(other.values).all(axis=0)
    moved = resample(other.assign_coords(measured=(RASTER_DIMS, seen)), transform, like=reference)
    return own, moved.where(moved.measured)


def _summed_pairs(maps: xr.DataArray, names: list[tuple[str, ...]], role: str) -> xr.DataArray:
    import xarray as xr

    mask = measured_mask(maps)
    values = np.stack([_summed(maps, n, f"{_SUBJECT}: {role}") for n in names])
    values = np.where(np.isfinite(values) & (True if mask is None else mask), values, np.nan)
    units = "counts" if maps.dtype.kind in "iu" else maps.attrs.get("units")
    return xr.DataArray(
        values, {d: maps.coords[d] for d in RASTER_DIMS}, ("pair", *RASTER_DIMS), attrs={} if units is None else {"units": units}
    )


def _on_reference(transform: Transform, pixel: tuple[float, float]) -> tuple[float, float]:
    """Sides of a moved pixel on the reference."""
    sides = np.hypot(transform.matrix[0, :2], transform.matrix[1, :2]) * pixel
    return float(sides[0]), float(sides[1])


def _dataset(
    reference: xr.DataArray, names: list[Names], own: xr.DataArray, moved: xr.DataArray, square: float, smoothing: float
) -> xr.Dataset:
    """The pictures and the outlines."""
    import xarray as xr

    from ssbmaps.maps._check_pictures import checkerboard, outlines

    y, x = (reference.coords[d].values.astype(np.float64) for d in RASTER_DIMS)
    pixel = pixel_size(reference, subject=f"{_SUBJECT}: reference")
    valid = (np.isfinite(own.values) & np.isfinite(moved.values)).all(axis=0)
    if not valid.any():
        raise RegistrationError(f"{_SUBJECT}: no pixel of the reference was measured in both maps where the transform puts them.")
    boards = [checkerboard(a, b, valid, y, x, square) for a, b in zip(own.values, moved.values, strict=True)]
    lines = [
        (line, side, pair)
        for pair in range(len(names))
        for side, maps in enumerate((own, moved))
        for line in outlines(maps.values[pair], valid, pixel, (float(y[0]), float(x[0])), smoothing)
    ]
    vertices = np.concatenate([np.empty((0, 2)), *(line for line, _, _ in lines)])
    sizes = np.array([len(line) for line, _, _ in lines], int)
    dims = ("pair", *RASTER_DIMS)
    outline = {"units": "um", "long_name": "outline at half level", "smoothing_um": smoothing}
    board = {"units": "1", "long_name": "squares of both maps in turn", "square_um": square}

    def picture(values: xr.DataArray, what: str) -> tuple[Any, ...]:
        units = {"units": values.attrs["units"]} if "units" in values.attrs else {}
        return dims, values.values, {**units, "long_name": what}

    return xr.Dataset(
        {
            "reference": picture(own, "reference"),
            "moved": picture(moved, "moving map on the reference"),
            "checkerboard": (
                dims,
                np.stack(boards),
                board,
            ),
            "valid": (RASTER_DIMS, valid, {"long_name": "measured in both maps"}),
            "vertex_y": ("vertex", vertices[:, 0], outline),
            "vertex_x": ("vertex", vertices[:, 1], outline),
            "vertex_segment": ("vertex", np.repeat(np.arange(len(lines)), sizes)),
            "vertex_side": ("vertex", np.repeat(np.array([_SIDES[s] for _, s, _ in lines], "<U9"), sizes)),
            "vertex_pair": ("vertex", np.repeat(np.array([p for _, _, p in lines], int), sizes)),
        },
        {
            **{d: reference.coords[d] for d in RASTER_DIMS},
            "pair": ("pair", [" ~ ".join("+".join(n) or "map" for n in one) for one in names]),
            "reference_channel": ("pair", ["+".join(a) for a, _ in names]),
            "moving_channel": ("pair", ["+".join(b) for _, b in names]),
        },
    )


def _residuals(left: Left, transform: Transform) -> dict[str, Any]:
    """Variables along block, and the single values."""
    b = left.blocks
    um, some = {"units": "um"}, len(b.places) > 0
    where = _origin(transform, b.places)
    error = np.sqrt(transform._spread(*where)[:2].mean(axis=0)) if some else np.empty(0)
    text = "displacement of the moving map that the block asks for"
    return {
        "block_y": ("block", b.places[:, 0], {**um, "long_name": "middle of the block, on the reference"}),
        "block_x": ("block", b.places[:, 1], {**um, "long_name": "middle of the block, on the reference"}),
        "residual_y": ("block", b.shifts[:, 0], {**um, "long_name": text}),
        "residual_x": ("block", b.shifts[:, 1], {**um, "long_name": text}),
        "residual_y_sd": ("block", np.sqrt(b.covariances[:, 0, 0]), um),
        "residual_x_sd": ("block", np.sqrt(b.covariances[:, 1, 1]), um),
        "residual_covariance_yx": ("block", b.covariances[:, 0, 1], {"units": "um2"}),
        "p_value": ("block", left.chances(), {"units": "1", "long_name": "chance of this much where there is no displacement"}),
        "position_sd": ("block", error, {**um, "long_name": "the transform's own error, rms of the two directions"}),
        "misfit": ((), b.excess() if some else np.nan, {**um, "long_name": "rms displacement beyond the blocks' errors"}),
        "misfit_chance": ((), b.chance() if some else np.nan, {"units": "1", "long_name": "chance that there is none"}),
        "support": ((), left.support, {"units": "1", "long_name": "share of blocks that speak for the placement"}),
    }


def _origin(transform: Transform, places: Floats) -> tuple[Floats, Floats]:
    return transform._origin(places[:, 0], places[:, 1]) if len(places) else (places[:, 0], places[:, 1])


def _statement(left: Left, position: float) -> str:
    """The result in words."""
    b = left.blocks
    if len(b.places) == 0:
        return (
            f"Not shown to hold: the evidence of {left.support:.0%} of the blocks speaks for a place near where the transform "
            "puts the map, and that is not enough to tell it from a place picked at random."
        )
    number, p = f"{len(b.places)} blocks", b.chance()
    chance = f"p = {p:.2g}" if p >= 1e-4 else "p < 0.0001"
    own = f" The transform states an error of {position:.2g} um." if np.isfinite(position) and position > 0 else ""
    if p >= _UNLIKELY:
        sd = np.sqrt(np.median(np.trace(b.covariances, axis1=1, axis2=2)) / 2)
        return f"Blocks lie within their errors ({chance}, {number}, standard error {sd:.2g} um each way).{own}"
    if b.excess() == 0:
        some = int((left.chances() < _UNLIKELY).sum())
        apart = f"{some} of {number} at p < {_UNLIKELY:g}"
        return f"Blocks lie within their errors in the mean, but not each of them ({chance}; {apart}).{own}"
    return f"Blocks are displaced by {b.excess():.2g} um rms beyond their errors ({chance}, {number}); the map does not fit.{own}"
