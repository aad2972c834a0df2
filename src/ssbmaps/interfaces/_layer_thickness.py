"""Thickness of a layer of a planar stack over time, column by column, with errors that hold its roughness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import RASTER_DIMS, canonical, channel_dim, check_array, fragment_index, measured_mask, pixel_size
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._layer_edges import SURE, edges_of, first_guess, in_view
from ssbmaps.interfaces._operando_result import along_time, times_of, with_errors
from ssbmaps.interfaces._paired import line_mean
from ssbmaps.maps._flags import read_flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SUBJECT = "interfaces.layer_thickness"
FEWEST_COLUMNS = 8
WORDING = "thickness of the layer in this section; statistics and roughness only"


def layer_thickness(stack: xr.DataArray, *, layer: str | Sequence[str], axis: str = "y") -> xr.Dataset:
    """Measure the thickness of a layer in every column of a planar stack, and its mean at every time with its change.

    Parameters
    ----------
    stack : xarray.DataArray
        Maps (time, fragment, y, x), also line, band or component, of which `layer` names the marker; or labels (time, y, x)
        with flags, of which it names the layer. Without time it is one measurement.
    layer : str or sequence of str
        Fragment or fragments that mark the layer (summed), or its name in the labels.
    axis : {"y", "x"}
        Direction across the stack.

    Returns
    -------
    xarray.Dataset
        Along time: ``thickness``, normal to the stack, um, and ``change`` since the first time, column against column, each with
        ``_sd``, ``_low``, ``_high`` (95 %); ``roughness``, standard deviation of the columns' thickness beyond counting, um;
        ``correlation_length``, the length along the stack that counts as one independent observation, um; ``n_independent``;
        ``n_columns``, with both edges in view; ``tilt``, degrees between the stack and the columns' normal; ``statement``. Along
        (time, column): ``edge_low`` and ``edge_high``, positions of both edges along `axis`, um, NaN where not in view;
        coordinate ``column``, um. Columns are of one pixel, or of as many as put the error of an edge below half a pixel.
        Errors are NaN where the columns do not differ at all.

    Raises
    ------
    SsbmapsError
        If the layer is unknown, counts are negative, there is no pixel size, or at some time fewer than 8 columns show both
        edges of the layer.

    Notes
    -----
    Maps: in each column both edges are fitted by maximum likelihood as steps blurred by one width, between local levels before,
    in and after the layer (16 pixels along it); Poisson for whole counts, else least squares. Labels: the run of pixels that is
    mislabelled least; where its ends move by less than a pixel along the stack, rounding is alike in all columns and
    enters with a variance of a sixth of a squared pixel. Voids inside the layer belong to it. The thickness is
    the distance along `axis` times the cosine of the tilt. The error is that of the mean of the material: the columns'
    covariance is independent scatter plus a correlated part, Gaussian or exponential, over a grid of lengths and shares weighted
    by their restricted likelihood; the interval is that of the mixture, so that what the columns leave open of their
    correlation is in it. The change is paired: what of the roughness stays cancels. A section that is cut at an angle makes
    layers wider by 1/cos; no error knows of that, nor of a change of the pixel size.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> from ssbmaps.interfaces import layer_thickness
    >>> stack = synthetic.stack_series(seed=3, thickness=(25.0, 18.0))
    >>> found = layer_thickness(stack.counts, layer="C2H3O-")
    >>> bool(found.change_low[1] < -7 < found.change_high[1]), bool(abs(found.thickness[0] / 25 - 1) < 0.02)
    (True, True)
    """
    import xarray as xr

    if axis not in RASTER_DIMS:
        raise SsbmapsError(f"{SUBJECT}: axis={axis!r}; expected 'y' or 'x', the direction across the stack.")
    check_array(stack, subject=SUBJECT, dims=RASTER_DIMS)
    whole = stack if "time" in stack.dims else stack.expand_dims(time=[0.0])
    times_of(whole, subject=SUBJECT)
    values, known, poisson = _read(whole, layer)
    pixel = pixel_size(stack, subject=SUBJECT)
    other = "x" if axis == "y" else "y"
    if axis == "x":
        values, known, pixel = values.swapaxes(1, 2), known.swapaxes(1, 2), (pixel[1], pixel[0])
    at, variance, group = _edges(values, known, poisson=poisson)
    _expect_columns(at, whole)
    origin = [float(stack.coords[d].values[0]) - p / 2 for d, p in ((axis, pixel[0]), (other, pixel[1]))]
    column = origin[1] + (np.arange(at.shape[2], dtype=np.float64) + 0.5) * group * pixel[1]
    rows, change = _summed(at * pixel[0], variance * pixel[0] ** 2, column, pixel[0], labels=poisson is None)
    text = "thickness of the layer, normal to the stack"
    variables: dict[str, Any] = with_errors("thickness", ("time",), rows["thickness"], "um", text)
    variables |= with_errors("change", ("time",), change, "um", "change of the thickness since the first time")
    about = {
        "roughness": ("um", "standard deviation of the columns' thickness beyond counting"),
        "correlation_length": ("um", "length along the stack that counts as one observation"),
        "n_independent": ("1", "independent observations along the stack"),
        "n_columns": ("1", "columns with both edges in view"),
        "tilt": ("degrees", "angle between the stack and the columns' normal"),
    }
    variables |= {name: ("time", rows[name], {"units": unit, "long_name": words}) for name, (unit, words) in about.items()}
    for i, name in enumerate(("edge_low", "edge_high")):
        words = f"{'lower' if i == 0 else 'upper'} end of the layer along {axis}"
        variables[name] = (("time", "column"), origin[0] + at[:, i] * pixel[0], {"units": "um", "long_name": words})
    said = np.array([_said(rows["thickness"][:, k], change[:, k], k) for k in range(len(at))], dtype=str)
    variables["statement"] = ("time", said, {"units": "1", "long_name": "the result in words"})
    coords = {**along_time(whole), "column": ("column", column, {"units": "um", "long_name": f"{other} of the column"})}
    result = xr.Dataset(variables, coords)
    result = finish(result, function=SUBJECT, arguments={"stack": stack, "layer": layer, "axis": axis}, sources=[stack])
    result.attrs["wording"] = WORDING
    return result


def _read(stack: xr.DataArray, layer: Any) -> tuple[Floats, Bools, bool | None]:
    """(time, y, x) values of the marker, or +1 in and −1 outside a labelled layer; where known; Poisson or not (labels: None)."""
    dim = channel_dim(stack, subject=SUBJECT)
    ordered = canonical(stack)
    with Faults(SUBJECT) as faults:
        extra = [str(d) for d in ordered.dims if d not in ("time", "y", "x", dim)]
        faults.expect(not extra, f"the dimension {', '.join(extra)} is left; sum over it first, or pick one.")
    if dim is None and "flag_meanings" in stack.attrs:
        flags = [read_flags(ordered.isel(time=i, drop=True), subject=SUBJECT) for i in range(ordered.sizes["time"])]
        masks = np.stack([f.mask(layer, subject=SUBJECT) for f in flags])
        return np.where(masks, 1.0, -1.0), np.stack([f.measured for f in flags]), None
    if dim is None:
        raise SsbmapsError(f"{SUBJECT}: expected maps with named channels or labels with flags, got dims {tuple(stack.dims)}.")
    index = fragment_index(ordered, layer, subject=SUBJECT)
    picked = ordered.isel({dim: index})
    poisson = picked.dtype.kind in "iu" and picked.attrs.get("units") == "counts"
    check_array(picked, subject=SUBJECT, counts=poisson)
    values = to_dense(picked.data).astype(np.float64).sum(axis=1)
    known = np.isfinite(values)
    mask = measured_mask(stack)
    return values, known if mask is None else known & mask, bool(poisson)


def _edges(values: Floats, known: Bools, *, poisson: bool | None) -> tuple[Floats, Floats, int]:
    """Edges (time, 2, column) in px, variance (px²) of their distance, and how many pixels make a column."""
    if poisson is None:
        at = np.stack([first_guess(v, k) for v, k in zip(values, known, strict=True)])
        seen = np.stack([in_view(a, k) for a, k in zip(at, known, strict=True)])
        at = np.where(seen[:, None], at, np.nan)
        return at, np.where(seen, 1 / 6, np.nan), 1
    found = [edges_of(v, k, poisson=poisson) for v, k in zip(values, known, strict=True)]
    typical = [float(np.nanmedian(e.variance)) if np.isfinite(e.variance).any() else np.nan for e in found]
    worst = float(np.nanmax(typical)) / 2 if np.isfinite(typical).any() else 0.0
    group = int(np.clip(np.ceil(worst / SURE**2), 1, max(values.shape[2] // FEWEST_COLUMNS, 1)))
    if group > 1:
        sums = [_together(v, k, group) for v, k in zip(values, known, strict=True)]
        found = [edges_of(v, k, poisson=poisson) for v, k in sums]
    return np.stack([e.at for e in found]), np.stack([e.variance for e in found]), group


def _together(values: Floats, known: Bools, group: int) -> tuple[Floats, Bools]:
    """Sums over `group` neighbouring columns, known where all of them are; columns left over at the end are dropped."""
    n = values.shape[1] // group
    blocks = (values.shape[0], n, group)
    cut = slice(0, n * group)
    total = np.where(known, values, 0.0)[:, cut].reshape(blocks).sum(axis=2)
    return total, np.asarray(known[:, cut].reshape(blocks).all(axis=2))


def _expect_columns(at: Floats, stack: xr.DataArray) -> None:
    n = np.isfinite(at[:, 0]).sum(axis=1)
    with Faults(SUBJECT) as faults:
        for time, count in zip(stack["time"].values, n, strict=True):
            text = f"time {time:g}: {count} columns show both edges of the layer; expected at least {FEWEST_COLUMNS}. "
            text += "The layer must lie inside the frame; choose another marker or axis."
            faults.expect(bool(count >= FEWEST_COLUMNS), text)


def _summed(at: Floats, variance: Floats, column: Floats, pixel: float, *, labels: bool) -> tuple[dict[str, Floats], Floats]:
    """Numbers along time, and the paired change (4, time), of edges (time, 2, column) in um."""
    names = ("thickness", "roughness", "correlation_length", "n_independent", "n_columns", "tilt")
    rows: dict[str, list[Any]] = {name: [] for name in names}
    changes, first = [np.array([0.0, 0.0, 0.0, 0.0])], np.empty(0)
    for k, (low, high) in enumerate(at):
        seen = np.isfinite(low)
        slope = float(np.polynomial.Polynomial.fit(column[seen], (low + high)[seen] / 2, 1).convert().coef[1])
        d = (high - low) / np.hypot(1.0, slope)
        flat = labels and min(np.ptp(low[seen]), np.ptp(high[seen])) < pixel
        found = line_mean(d, column)
        rows["thickness"].append(_widened(found.four, pixel**2 / 6 if flat else 0.0))
        own = 0.0 if labels else float(variance[k][seen].mean())
        rows["roughness"].append(np.sqrt(max(float(d[seen].var(ddof=1)) - own, 0.0)))
        rows["correlation_length"].append(found.length)
        rows["n_independent"].append(found.independent)
        rows["n_columns"].append(int(seen.sum()))
        rows["tilt"].append(np.rad2deg(np.arctan(slope)))
        if k == 0:
            first = d
        else:
            difference = line_mean(d - first, column)
            changes.append(_widened(difference.four, pixel**2 / 3 if flat else 0.0))
    table = {name: np.array(v).T if name == "thickness" else np.array(v) for name, v in rows.items()}
    return table, np.array(changes).T


def _widened(four: Floats, extra: float) -> Floats:
    """(value, sd, low, high) with a further variance."""
    value, sd, low, _ = four
    if extra == 0:
        return four
    quantile = (value - low) / sd if np.isfinite(sd) and sd > 0 else 1.959964
    wide = float(np.sqrt((0.0 if not np.isfinite(sd) else sd**2) + extra))
    return np.array([value, wide, value - quantile * wide, value + quantile * wide])


def _said(thickness: Floats, change: Floats, k: int) -> str:
    value, sd, low, high = thickness
    ends = f" [{low:.3g}, {high:.3g}]" if np.isfinite(sd) else " (no interval: too few independent columns)"
    text = f"Thickness of the layer in this section: {value:.3g} um{ends}."
    if k:
        ends = f" [{change[2]:+.2g}, {change[3]:+.2g}]" if np.isfinite(change[1]) else " (no interval)"
        text += f" Changed by {change[0]:+.3g} um{ends} since the first time; cause not identified."
    return text.replace("-", "−")
