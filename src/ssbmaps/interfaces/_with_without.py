"""The same analysis with and without the layer at an edge, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, canonical_order, check_array, measured_mask, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

    Analysis = Callable[[xr.DataArray], xr.Dataset | xr.DataArray]

SUBJECT = "interfaces.compare_with_and_without"
LAYER = ["with", "without"]
COMPANIONS = ("_sd", "_low", "_high")
NORMAL_95 = 1.959964
WORDING = "difference: with the layer less without it; counts of the inner part are in both"


def compare_with_and_without(
    analysis: Analysis,
    maps: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    scans: int | xr.Dataset | None = None,
) -> xr.Dataset:
    """Run an analysis on all data and without the layer at an edge, and give the difference that the layer makes.

    Parameters
    ----------
    analysis : callable
        Takes maps like `maps` and returns a Dataset or DataArray, for example
        ``lambda m: measure_interphase(m, core="NiO2-", shell=["PO2-", "PO3-"])``. It must honour the coordinate ``measured``.
    maps : xarray.DataArray
        Maps (…, y, x).
    where : xarray.DataArray, optional
        Boolean (y, x), True in the inner part, from `inner_region`. Without the layer only these pixels count as measured.
    scans : int or xarray.Dataset, optional
        Number of leading scans (or slices, times) that belong to the layer, or what `detect_edge_layer` returned: then the
        largest ``first_bulk_scan`` of its fragments and phases.

    Returns
    -------
    xarray.Dataset
        All variables of the analysis along ``layer`` ("with", "without"). Those that are not laid out alike in both results, such
        as profiles along other bins or other particles, are named in ``left_out``. For every number with a ``<name>_sd``:
        ``<name>_difference`` (with less without: what the layer adds), ``<name>_difference_sd``, ``_low``, ``_high`` (95 %) and
        ``<name>_difference_bound`` (1: the error is an upper bound, see Notes); other numbers have a difference only.
        ``share_kept`` of pixels times scans; ``statement``.

    Raises
    ------
    SsbmapsError
        If neither `where` nor `scans` leaves anything out, nothing is left, the analysis fails or returns something else.
    GridMismatchError
        If `where` lies on other pixels than the maps.

    Notes
    -----
    Both results share the counts of the inner part, so errors must not be added in quadrature. Where the result with all data is
    efficient, as that of maximum likelihood is, var(difference) = var(without) - var(with) (Hausman 1978,
    doi 10.2307/1913827). That holds if the layer changes nothing, which makes difference over error a test of it; a layer that is
    there raises the scatter with it and spoils the equality. Where it gives a negative number, or the same error twice,
    sqrt(var(with) + var(without)) is taken: an upper bound, because results that share data are positively correlated.
    A result that is already free of the layer has a difference, too, by chance. Systematic terms that are in both errors
    leave the variance of the difference unchanged.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import compare_with_and_without, edge_distance, inner_region
    >>> place = {d: np.arange(n) * 0.5 + 0.25 for d, n in (("y", 40), ("x", 40))}
    >>> mean = np.where(place["x"] < 2, 8.0, 4.0) * np.ones((40, 1))
    >>> maps = xr.DataArray(np.random.default_rng(0).poisson(mean), place, ("y", "x"), attrs={"units": "counts"})
    >>> def level(m):
    ...     used = m.where(m.measured) if "measured" in m.coords else m
    ...     n = used.count()
    ...     return xr.Dataset({"level": used.sum() / n, "level_sd": used.sum() ** 0.5 / n})
    >>> inner = inner_region(edge_distance(maps, edge="left"), margin=2.0)
    >>> both = compare_with_and_without(level, maps, where=inner)
    >>> both.level.values.round(1).tolist(), bool(both.level_difference > 5 * both.level_difference_sd)
    ([4.4, 4.0], True)
    """
    import xarray as xr

    if not callable(analysis):
        raise SsbmapsError(
            f"{SUBJECT}: analysis is {type(analysis).__name__}; expected a function of maps that returns a Dataset."
        )
    check_array(maps, subject=SUBJECT, dims=("y", "x"))
    inner, share = _without(maps, where, scans)
    results = [_run(analysis, part, word) for part, word in ((maps, "with"), (inner, "without"))]
    variables, left_out = _side_by_side(*results)
    coords: dict[str, Any] = {"layer": ("layer", LAYER)}
    for name, coord in results[0].coords.items():
        if any(name in v.dims or name in results[0][k].coords for k, v in variables.items() if k in results[0]):
            other = results[1].coords.get(name)
            if other is not None and other.dims == coord.dims and other.equals(coord):
                coords[str(name)] = coord
    texts: list[str] = []
    for name in list(variables):
        extra, text = _difference(name, *results) if _is_number(name, results) else ({}, "")
        variables |= extra
        texts += [text] if text else []
    variables["share_kept"] = xr.Variable(
        (), share, {"units": "1", "long_name": "share of pixels and scans kept without the layer"}
    )
    text = "; ".join([f"{share:.1%} of the data are kept without the layer", *texts])
    variables["statement"] = xr.Variable((), text, {"units": "1", "long_name": "the result in words"})
    result = xr.Dataset(variables, coords)
    result = result.transpose("layer", *(d for d in canonical_order(result.dims) if d != "layer"))
    sources: list[xr.DataArray | xr.Dataset] = [
        maps,
        *([where] if where is not None else []),
        *([scans] if isinstance(scans, xr.Dataset) else []),
    ]
    arguments = {"analysis": getattr(analysis, "__name__", type(analysis).__name__), "maps": maps, "where": where, "scans": scans}
    result = finish(result, function=SUBJECT, arguments=arguments, sources=sources)
    result.attrs |= {"wording": WORDING, "left_out": ", ".join(left_out)}
    return result


def _without(maps: xr.DataArray, where: xr.DataArray | None, scans: int | xr.Dataset | None) -> tuple[xr.DataArray, float]:
    """The maps without the layer, and the share of pixels times scans that is left."""
    import xarray as xr

    if where is None and scans is None:
        raise SsbmapsError(f"{SUBJECT}: neither where nor scans is given; say what belongs to the layer.")
    part, share = maps, 1.0
    if scans is not None:
        part, share = _later(maps, scans)
    if where is not None:
        check_array(where, subject=f"{SUBJECT}: where", dims=("y", "x"))
        same_grid(maps, where, subject=f"{SUBJECT}: where")
        if where.ndim != 2 or where.dtype != bool:
            raise SsbmapsError(f"{SUBJECT}: where is {where.dtype} with dims {tuple(where.dims)}; expected booleans (y, x).")
        known = measured_mask(maps)
        known = np.ones((maps.sizes["y"], maps.sizes["x"]), bool) if known is None else known
        kept: NDArray[np.bool_] = known & to_dense(canonical(where).data)
        if not kept.any() or kept.sum() == known.sum():
            raise SsbmapsError(
                f"{SUBJECT}: where keeps {kept.sum()} of {known.sum()} measured pixels; expected some of them, not none or all."
            )
        share *= float(kept.sum() / known.sum())
        part = part.assign_coords(measured=xr.DataArray(kept, dims=("y", "x")))
    return part, share


def _later(maps: xr.DataArray, scans: int | xr.Dataset) -> tuple[xr.DataArray, float]:
    import xarray as xr

    dims = [d for d in ("scan", "z", "time") if d in maps.dims]
    if len(dims) != 1:
        raise SsbmapsError(
            f"{SUBJECT}: scans={scans!r:.60} with dims {tuple(maps.dims)}; expected one of scan, z, time among them."
        )
    first = _first_bulk(scans) if isinstance(scans, xr.Dataset) else scans
    if not isinstance(first, (int, np.integer)) or isinstance(first, bool):
        raise SsbmapsError(f"{SUBJECT}: scans={scans!r}; expected a whole number of leading scans, or a Dataset.")
    first = int(first)
    n = maps.sizes[dims[0]]
    if not 0 < first < n:
        raise SsbmapsError(f"{SUBJECT}: the first {first} of {n} along {dims[0]} are the layer; expected 1 to {n - 1}.")
    return maps.isel({dims[0]: slice(first, None)}), (n - first) / n


def _first_bulk(found: xr.Dataset) -> int:
    """Leading scans that belong to the layer: those of the fragment whose signal takes longest to settle."""
    if "first_bulk_scan" not in found:
        raise SsbmapsError(f"{SUBJECT}: scans is a Dataset without first_bulk_scan; expected that of detect_edge_layer.")
    first = np.atleast_1d(found["first_bulk_scan"].values).astype(float).ravel()
    known = np.isfinite(first)
    detected = np.atleast_1d(found["detected"].values).astype(bool).ravel() if "detected" in found else np.zeros(len(first), bool)
    if not known.any() or (detected & ~known).any():
        raise SsbmapsError(
            f"{SUBJECT}: first_bulk_scan is not known for {int((~known).sum())} of {len(first)} fragments; where a layer is "
            "detected that does not end within the series, nothing is left to compare with. Give the number of scans."
        )
    if not first[known].max() > 0:
        raise SsbmapsError(f"{SUBJECT}: no layer was detected, so that there are no scans to leave out.")
    return int(first[known].max())


def _run(analysis: Analysis, maps: xr.DataArray, word: str) -> xr.Dataset:
    import xarray as xr

    try:
        result = analysis(maps)
    except Exception as reason:
        raise SsbmapsError(f"{SUBJECT}: the analysis {word} the layer failed. {reason}") from reason
    if isinstance(result, xr.DataArray):
        result = result.to_dataset(name=result.name or "result")
    if not isinstance(result, xr.Dataset):
        raise SsbmapsError(f"{SUBJECT}: the analysis {word} the layer returned {type(result).__name__}; expected a Dataset.")
    with Faults(f"{SUBJECT}: the analysis {word} the layer") as faults:
        faults.expect(bool(result.data_vars), "returned a Dataset without variables.")
        faults.expect("layer" not in result.dims, "has a dimension layer of its own; rename it.")
    return result


def _side_by_side(first: xr.Dataset, second: xr.Dataset) -> tuple[dict[str, Any], list[str]]:
    """Variables along `layer`, and the names of those that are not laid out alike in both."""
    import xarray as xr

    variables: dict[str, Any] = {}
    left_out = [str(n) for n in second.data_vars if n not in first.data_vars]
    for name, one in first.data_vars.items():
        other = second.data_vars.get(name)
        if other is None or not _alike(one, other):
            left_out.append(str(name))
            continue
        other = other.transpose(*one.dims)
        values = np.stack([to_dense(v.data) for v in (one, other)])
        variables[str(name)] = xr.Variable(("layer", *one.dims), values, one.attrs)
    return variables, left_out


def _alike(one: xr.DataArray, other: xr.DataArray) -> bool:
    if set(one.dims) != set(other.dims) or any(one.sizes[d] != other.sizes[d] for d in one.dims):
        return False
    return all(one.coords[d].equals(other.coords[d]) for d in one.dims if d in one.coords and d in other.coords)


def _is_number(name: str, results: list[xr.Dataset]) -> bool:
    """Whether a variable is a result of its own: a real number, no error of another one, no flag, no count of pixels."""
    one = results[0][name]
    stem = next((name.removesuffix(s) for s in COMPANIONS if name.endswith(s)), None)
    return one.dtype.kind == "f" and not (stem is not None and stem in results[0])


def _difference(name: str, first: xr.Dataset, second: xr.Dataset) -> tuple[dict[str, Any], str]:
    """Difference of a number with its error, and words for it where it is a single one."""
    import xarray as xr

    one = first[name]
    dims, units = one.dims, str(one.attrs.get("units", "1"))
    text = f"{one.attrs.get('long_name', name)}: with the layer less without it"
    values = [to_dense(v.transpose(*dims).data).astype(float) for v in (one, second[name])]
    difference = values[0] - values[1]
    found = {f"{name}_difference": xr.Variable(dims, difference, {"units": units, "long_name": text})}
    error = f"{name}_sd"
    if error not in first or error not in second or not _alike(first[error], one) or not _alike(second[error], one):
        return found, ""
    squares = [to_dense(v[error].transpose(*dims).data).astype(float) ** 2 for v in (first, second)]
    less = squares[1] - squares[0]
    bound = ~(less > 0) & np.isfinite(less)
    sd = np.sqrt(np.where(bound, squares[0] + squares[1], less))
    rows = {
        "_sd": (sd, units, ": standard error"),
        "_low": (difference - NORMAL_95 * sd, units, ": 95 % interval, low end"),
        "_high": (difference + NORMAL_95 * sd, units, ": 95 % interval, high end"),
        "_bound": (bound.astype(np.int8), "1", ": 1: its error is an upper bound"),
    }
    for suffix, (numbers, unit, words) in rows.items():
        found[f"{name}_difference{suffix}"] = xr.Variable(dims, numbers, {"units": unit, "long_name": text + words})
    if difference.ndim or not np.isfinite([difference, sd]).all():
        return found, ""
    unit = f" {units}" if units not in ("1", "") else ""
    least = "at most " if bound else ""
    words = f"{name} {values[0]:.3g} with, {values[1]:.3g} without, difference {difference:.2g} ± {least}{sd:.2g}{unit}"
    return found, words.replace("difference -", "difference −")
