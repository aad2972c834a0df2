"""Maps of several techniques on one grid, in one Dataset, with the pixels that all of them measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import is_sparse
from ssbmaps._conventions import RASTER_DIMS, canonical, check_array, measured_mask, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]

_SUBJECT = "maps.stack"


def stack(maps_by_technique: Mapping[str, xr.DataArray]) -> xr.Dataset:
    """Put maps of several techniques, already on one grid, into one Dataset with a common mask.

    Parameters
    ----------
    maps_by_technique : mapping of str to xarray.DataArray
        Maps (…, y, x) by name, such as ``{"sims": …, "raman": …}``, two or more; all on exactly the same y and x.

    Returns
    -------
    xarray.Dataset
        A variable for each name, values and attributes unchanged, and ``valid`` (y, x): measured in all of them and NaN in no
        channel of any. ``measured`` is the same as a coordinate, so that every function of ssbmaps leaves the other pixels out.
        Where dimensions or coordinates of one name differ between techniques, as the fragments of two polarities do, each is
        called ``<name>_<technique>``; ``.rename(fragment_positive="fragment")`` gives a variable that is taken out its name
        back. The same holds for coordinates (y, x) and single values, such as ``position_sd``, unless all share them.

    Raises
    ------
    GridMismatchError
        If two maps lie on different pixels; the message names both spacings. `ssbmaps.maps.resample` brings them together.
    SsbmapsError
        If there are fewer than two maps, if one is no map, or if a name is taken by a dimension or a coordinate.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.maps import stack
    >>> grid = {"y": [0.5], "x": [0.5, 1.5]}
    >>> sims = xr.DataArray([[[3, 0]]], {**grid, "fragment": ["S-"]}, ("fragment", "y", "x"), attrs={"units": "counts"})
    >>> raman = xr.DataArray([[[np.nan, 0.2]]], {**grid, "band": ["A1g"]}, ("band", "y", "x"))
    >>> both = stack({"sims": sims, "raman": raman})
    >>> both.valid.values.tolist(), both.sims.dims, both.raman.dims
    ([[False, True]], ('fragment', 'y', 'x'), ('band', 'y', 'x'))
    """
    import xarray as xr

    given = _checked(maps_by_technique)
    names = list(given)
    for name in names[1:]:
        same_grid(given[names[0]], given[name], subject=f"{_SUBJECT}: {names[0]} and {name}")
    valid = np.logical_and.reduce([_measured(m) for m in given.values()])
    if not valid.any():
        raise SsbmapsError(f"{_SUBJECT}: no pixel was measured in all of {', '.join(names)}.")
    apart = _apart(given)
    variables = {}
    for name, values in given.items():
        renamed = values.drop_vars("measured", errors="ignore").rename({n: f"{n}_{name}" for n in apart if _has(values, n)})
        variables[name] = renamed.rename(name)
    taken = [n for n in names if any(n in v.coords or n in v.dims for v in variables.values())]
    if taken:
        raise SsbmapsError(f"{_SUBJECT}: {', '.join(taken)} is the name of a dimension or coordinate; choose another.")
    grid = {d: given[names[0]].coords[d] for d in RASTER_DIMS if d in given[names[0]].coords}
    result = xr.Dataset({n: v.assign_coords(grid) for n, v in variables.items()})
    text = "measured by all techniques"
    result["valid"] = (RASTER_DIMS, valid, {"long_name": text})
    result = result.assign_coords(measured=(RASTER_DIMS, valid.copy(), {"long_name": text}))
    own = {n: dict(v.attrs) for n, v in variables.items()}
    result = finish(result, function=_SUBJECT, arguments={"maps_by_technique": given}, sources=list(given.values()))
    result.attrs = {"history": result.attrs["history"], "long_name": f"{', '.join(names)} on one grid"}
    for name, attrs in own.items():  # each keeps its own technique and source
        result[name].attrs = attrs
    result["valid"].attrs = {"long_name": text}
    return result


def _checked(maps: Any) -> dict[str, xr.DataArray]:
    """The maps in canonical order; all faults in one letter."""
    if not hasattr(maps, "items"):
        raise SsbmapsError(f"{_SUBJECT}: expected a mapping of names to maps, got {type(maps).__name__}.")
    with Faults(_SUBJECT) as faults:
        faults.expect(len(maps) > 1, f"{len(maps)} map; expected two or more, by name.")
        for name, values in maps.items():
            good = isinstance(name, str) and name.isidentifier() and name not in ("valid", "measured", *RASTER_DIMS)
            text = "expected a word that is not 'valid', 'measured', 'y' or 'x'"
            if faults.expect(good, f"the name {name!r}; {text}."):
                _check_one(values, name, faults)
    return {name: canonical(values) for name, values in maps.items()}


def _check_one(values: Any, name: str, faults: Faults) -> None:
    try:
        check_array(values, subject=name, dims=RASTER_DIMS)
    except SsbmapsError as error:
        faults.expect(False, str(error))


def _measured(values: xr.DataArray) -> Bools:
    """Pixels (y, x) that were measured and hold NaN in no channel."""
    mask = measured_mask(values)
    result = np.ones(tuple(values.sizes[d] for d in RASTER_DIMS), bool) if mask is None else mask
    if values.dtype.kind != "f":
        return result
    other = [d for d in values.dims if d not in RASTER_DIMS]
    missing = values.isnull().any(other).data if not is_sparse(values.data) else _missing(values, other)
    missing = missing.compute(scheduler="threads") if hasattr(missing, "compute") else missing
    return np.asarray(result & ~np.asarray(missing, bool))


def _missing(values: xr.DataArray, other: list[Any]) -> Any:
    """NaN among the stored values of a sparse map."""
    axes = tuple(values.get_axis_num(d) for d in other)
    held = (values.data != values.data).any(axis=axes) if axes else values.data != values.data
    held = held.compute(scheduler="threads") if hasattr(held, "compute") else held
    return held.todense()


def _has(values: xr.DataArray, name: str) -> bool:
    return name in values.coords or name in values.dims


def _apart(given: dict[str, xr.DataArray]) -> list[str]:
    """Names of dimensions and coordinates that are not the same in all maps that have them, planes (y, x) in all maps."""
    found: dict[str, Any] = {}
    apart: list[str] = []
    for name in {str(n) for values in given.values() for n, c in values.coords.items() if set(c.dims) <= set(RASTER_DIMS)}:
        if name not in (*RASTER_DIMS, "measured") and not all(name in v.coords for v in given.values()):
            apart.append(name)  # a plane or a single value would come to stand beside every variable
    for values in given.values():
        for name in dict.fromkeys([*map(str, values.dims), *map(str, values.coords)]):
            if name in (*RASTER_DIMS, "measured") or name in apart:
                continue
            own = (values.sizes.get(name), values.coords[name].variable if name in values.coords else None)
            size, content = found.setdefault(name, own)
            same = size == own[0] and (content is own[1] or (content is not None and content.identical(own[1])))
            if not same:
                apart.append(name)
    return apart
