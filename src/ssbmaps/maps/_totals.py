"""Total-ion maps, and maps relative to a total or to a reference, with their errors."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import sum_dtype, to_dense
from ssbmaps._conventions import (
    RASTER_DIMS,
    SPECTRAL_UNITS,
    canonical,
    channel_dim,
    check_array,
    fragment_index,
    measured_mask,
    same_grid,
)
from ssbmaps._counts import block_dispersion
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._provenance import finish

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_TOTAL, _NORMALISE = "maps.total", "maps.normalise"


def total(cube_or_maps: xr.DataArray) -> xr.DataArray:
    """Sum a cube over its spectral axis, or maps over their fragments, to one map per scan.

    Parameters
    ----------
    cube_or_maps : xarray.DataArray
        Spectra (…, y, x, mz), or another spectral axis, or maps (…, fragment, y, x), or line, band. Dense, sparse or dask;
        dask stays lazy.

    Returns
    -------
    xarray.DataArray
        (…, y, x), in the units of the input: int64 for whole numbers, else float64. The attribute ``summed`` says over what:
        "mz 12.000 to 90.100 Da, 4096 channels" or "fragment C2- S- Cl-". Pixels outside the coordinate `measured` keep their
        value and the coordinate; NaN in any summand gives NaN.

    Raises
    ------
    SsbmapsError
        If there is neither a spectral axis nor a channel dimension.

    Warns
    -----
    DataQualityWarning
        If windows of fragments overlap, so that counts are summed twice.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import maps
    >>> two = xr.DataArray(np.arange(4).reshape(2, 1, 2), {"fragment": ["S-", "Cl-"]}, ("fragment", "y", "x"))
    >>> tic = maps.total(two)
    >>> tic.values.tolist(), tic.attrs["summed"]
    ([[2, 4]], 'fragment S- Cl-')
    """
    import xarray as xr

    check_array(cube_or_maps, subject=_TOTAL)
    ordered = canonical(cube_or_maps)
    spectral = [str(d) for d in ordered.dims if d in SPECTRAL_UNITS]
    dim = spectral[0] if len(spectral) == 1 else channel_dim(ordered, subject=_TOTAL)
    if dim is None or len(spectral) > 1:
        raise SsbmapsError(f"{_TOTAL}: expected one spectral axis, or fragments, to sum over; got dims {tuple(ordered.dims)}.")
    axis = ordered.get_axis_num(dim)
    data = ordered.data.sum(axis=axis, dtype=sum_dtype(ordered.dtype))
    if type(data).__module__.startswith("sparse."):
        data = data.todense()
    if not spectral:
        _warn_overlap(ordered, dim)
    coords = {k: v for k, v in ordered.coords.items() if dim not in v.dims}
    result = xr.DataArray(data, coords, [d for d in ordered.dims if d != dim], name="total")
    units = str(ordered.attrs.get("units", "arbitrary"))
    arguments = {"cube_or_maps": cube_or_maps}
    result = finish(result, function=_TOTAL, arguments=arguments, sources=[cube_or_maps], units=units, long_name="total signal")
    result.attrs["summed"] = _said(ordered, dim)
    return result


def _said(ordered: xr.DataArray, dim: str) -> str:
    """What was summed, in words."""
    n = ordered.sizes[dim]
    if dim not in ordered.coords:
        return f"{dim}, {n} channels"
    values = ordered.coords[dim].values
    if dim in SPECTRAL_UNITS:
        return f"{dim} {float(values[0]):.3f} to {float(values[-1]):.3f} {SPECTRAL_UNITS[dim]}, {n} channels"
    return f"{dim} {' '.join(map(str, values))}"


def _warn_overlap(ordered: xr.DataArray, dim: str) -> None:
    if "mz_low" not in ordered.coords or "mz_high" not in ordered.coords:
        return
    low, high = ordered["mz_low"].values, ordered["mz_high"].values
    order = np.argsort(low)
    names = [str(v) for v in ordered.coords[dim].values]
    pairs = [f"{names[i]} and {names[j]}" for i, j in pairwise(order) if high[i] > low[j]]
    if pairs:
        text = f"the windows of {', '.join(pairs)} overlap, so that counts are summed twice. Sum the cube, or narrow them."
        warnings.warn(f"{_TOTAL}: {text}", DataQualityWarning, stacklevel=3)


@dataclass(frozen=True)
class _Reference:
    """A (…, y, x) reference with its variance, whether each fragment is a part of it, and its name."""

    values: Floats
    variance: Floats
    holds: Bools
    name: str


def normalise(maps: xr.DataArray | xr.Dataset, *, to: str | xr.DataArray = "total", holds: bool | None = None) -> xr.Dataset:
    """Divide maps by a total or a reference, with the error that follows from the counts of both.

    Parameters
    ----------
    maps : xarray.DataArray or xarray.Dataset
        Counts (…, fragment, y, x), or the result of `correct_dead_time`, whose ``counts_sd`` is then used. Dense, sparse or
        dask. Sum scans first where single pixels hold few counts.
    to : str or xarray.DataArray
        "total" for the sum of all fragments in `maps`; the name of one of them; or a map of counts (…, y, x) such as
        `maps.total(cube)` gives.
    holds : bool, optional
        For a map given as `to`: whether the counts of the fragments are among its own. By default true for a result of
        `maps.total` that names the fragment or its m/z range, else false. It decides the error, not the ratio.

    Returns
    -------
    xarray.Dataset
        ``ratio`` and ``ratio_sd`` (…, fragment, y, x), float64. NaN where the reference is 0, NaN or not measured. The
        attributes ``structure`` and ``structure_limit`` hold the index of dispersion of the reference and the value that a
        uniform one exceeds once in a thousand maps; ``structure_excess`` is its relative variation beyond counting noise.

    Raises
    ------
    SsbmapsError
        If values are not counts, if `to` names no fragment or is no map of counts.
    GridMismatchError
        If the reference lies on other pixels.

    Warns
    -----
    DataQualityWarning
        If the reference is structured: its structure then appears, inverted, in every ratio.

    Notes
    -----
    For independent counts n and t, var(n/t) = (var n + r² var t) / t². Where n is a part of t, the rest t − n is independent
    of it, and var(n/t) = ((1 − r)² var n + r² (var t − var n)) / t², which is r (1 − r) / t for Poisson counts: the binomial
    error. Variances are estimated by the counts themselves: right on average over many pixels, while a single 0 has the
    error 0; take means over pixels before single ones are compared. The ratio of few counts is also biased; below ten
    counts in the reference, divide sums over pixels instead. The index of dispersion is the variance of the sums over
    8 × 8 pixels or more, over that of counting, χ² distributed for a uniform reference.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps import maps
    >>> two = xr.DataArray(np.array([[[30, 0]], [[10, 0]]]), {"fragment": ["S-", "Cl-"]}, ("fragment", "y", "x"))
    >>> share = maps.normalise(two)
    >>> share.ratio.sel(fragment="S-").values.tolist()
    [[0.75, nan]]
    >>> print(f"{float(share.ratio_sd[0, 0, 0]):.4f}")
    0.0685
    """
    counts, values, variance = _values(maps)
    dim = channel_dim(counts, subject=_NORMALISE)
    reference = _reference(counts, dim, values, variance, to, holds)
    with np.errstate(divide="ignore", invalid="ignore"):
        bottom = np.where(reference.values > 0, reference.values, np.nan)
        bottom, spread = (np.expand_dims(a, -3) if dim else a for a in (bottom, reference.variance))
        part = reference.holds[:, None, None] if dim else reference.holds[0]
        ratio = values / bottom
        inside = (1 - ratio) ** 2 * variance + ratio**2 * np.maximum(spread - variance, 0.0)
        sd = np.sqrt(np.where(part, inside, variance + ratio**2 * spread)) / bottom
    return _dataset(maps, counts, ratio, sd, reference, {"to": to, "holds": holds})


def _values(maps: xr.DataArray | xr.Dataset) -> tuple[xr.DataArray, Floats, Floats]:
    """Counts in canonical order, their values and variances; NaN where not measured."""
    import xarray as xr

    given, sd = maps, None
    if isinstance(maps, xr.Dataset):
        if "counts" not in maps or "counts_sd" not in maps:
            raise SsbmapsError(
                f"{_NORMALISE}: a Dataset without 'counts' and 'counts_sd' (it holds {', '.join(map(str, maps.data_vars))}); "
                "expected maps of counts or the result of maps.correct_dead_time."
            )
        given, sd = maps["counts"], maps["counts_sd"]
    counts = _checked(given, "maps")
    values = _dense(counts)
    return counts, values, values if sd is None else _dense(canonical(sd)) ** 2


def _checked(counts: Any, what: str) -> xr.DataArray:
    check_array(counts, subject=f"{_NORMALISE}: {what}", dims=RASTER_DIMS)
    spectral = [str(d) for d in counts.dims if d in SPECTRAL_UNITS]
    with Faults(f"{_NORMALISE}: {what}") as faults:
        faults.expect(not spectral, f"a cube along {', '.join(spectral)}; expected maps. Use maps.fragment_maps first.")
        units = counts.attrs.get("units", "counts")
        faults.expect(units == "counts", f"values are in {units!r}; expected counts, since the errors follow from them.")
    ordered: xr.DataArray = canonical(counts)
    return ordered


def _dense(counts: xr.DataArray) -> Floats:
    values = to_dense(counts.data).astype(np.float64)
    with Faults(_NORMALISE) as faults:
        finite = values[np.isfinite(values)]
        faults.expect(not np.isinf(values).any(), "infinite values; expected counts, NaN where not measured.")
        faults.expect(bool((finite >= 0).all()), "negative counts; expected 0 or more. Subtracted data are not counts.")
    mask = measured_mask(counts)
    return values if mask is None else np.where(mask, values, np.nan)


def _reference(
    counts: xr.DataArray, dim: str | None, values: Floats, variance: Floats, to: str | xr.DataArray, holds: bool | None
) -> _Reference:
    named = dim is not None and dim in counts.coords
    names = [str(v) for v in counts.coords[dim].values] if named else [""] * (values.shape[-3] if dim else 1)
    if isinstance(to, str):
        if holds is not None:
            raise SsbmapsError(f"{_NORMALISE}: holds is given with to={to!r}, where it is known; expected it left out.")
        if dim is None:
            raise SsbmapsError(f"{_NORMALISE}: a single map has no {to!r}; expected maps along fragment, or a map as to=.")
        if to == "total":
            return _Reference(values.sum(axis=-3), variance.sum(axis=-3), np.ones(len(names), bool), f"sum of {', '.join(names)}")
        index = fragment_index(counts, to, subject=_NORMALISE)[0]
        return _Reference(values[..., index, :, :], variance[..., index, :, :], np.arange(len(names)) == index, to)
    given = _checked(to, "to")
    expected = tuple(d for d in counts.dims if d != dim)
    if given.dims != expected:
        raise SsbmapsError(f"{_NORMALISE}: the reference has dims {given.dims}; expected {expected}, those of the maps.")
    same_grid(counts, given, subject=_NORMALISE, dims=[str(d) for d in expected])
    own = _dense(given)
    part = _part_of(counts, dim, names, str(given.attrs.get("summed", ""))) if holds is None else np.full(len(names), holds)
    return _Reference(own, own, part, str(given.attrs.get("summed", given.name or "the reference")))


def _part_of(counts: xr.DataArray, dim: str | None, names: list[str], summed: str) -> Bools:
    """Which fragments a result of `maps.total` holds, from what it says of itself."""
    words = summed.split()
    if words[:1] == ["mz"] and dim and "mz_low" in counts.coords and "mz_high" in counts.coords:
        low, high = float(words[1]), float(words[3])
        return np.asarray((counts["mz_low"].values >= low - 5e-4) & (counts["mz_high"].values <= high + 5e-4), bool)
    return np.array([words[:1] == [dim] and n in words[1:] for n in names], bool)


def _dataset(
    maps: xr.DataArray | xr.Dataset,
    counts: xr.DataArray,
    ratio: Floats,
    sd: Floats,
    reference: _Reference,
    options: dict[str, Any],
) -> xr.Dataset:
    import xarray as xr

    variables = {
        "ratio": (counts.dims, ratio, {"units": "1", "long_name": f"counts over {reference.name}"}),
        "ratio_sd": (counts.dims, sd, {"units": "1", "long_name": "standard deviation of the ratio"}),
    }
    sources = [maps, *([options["to"]] if isinstance(options["to"], xr.DataArray) else [])]
    result = finish(
        xr.Dataset(variables, dict(counts.coords)),
        function=_NORMALISE,
        arguments={"maps": maps, **options},
        sources=sources,
        long_name=f"counts relative to {reference.name}",
    )
    result.attrs.update(_structure(reference))
    return result


def _structure(reference: _Reference) -> dict[str, float]:
    """Index of dispersion of the reference, all scans together, with its limit; warns beyond it."""
    shape = reference.values.shape
    values, variance = (a.reshape(-1, *shape[-2:]) for a in (reference.values, reference.variance))
    measured = np.asarray(np.isfinite(values).all(axis=0))
    found = block_dispersion(values.sum(axis=0), variance.sum(axis=0), measured)
    if found is None:
        return {}
    if found.index > found.limit:
        warnings.warn(
            f"{_NORMALISE}: the reference ({reference.name}) is structured itself: sums over {found.block} x {found.block} "
            f"pixels vary by {found.excess:.0%} beyond counting noise (variance {found.index:.3g} times that of counting; a "
            f"uniform reference exceeds {found.limit:.3g} once in a thousand maps). Its structure appears, inverted, in every "
            "ratio; compare with the maps of counts.",
            DataQualityWarning,
            stacklevel=4,
        )
    return {"structure": found.index, "structure_limit": found.limit, "structure_excess": found.excess}
