"""What a Transform is given and gives: places as numbers, arrays or DataArrays; its displacement as a Dataset; its attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import LONG_NAMES, check_unit, pixel_size
from ssbmaps._errors import Faults, RegistrationError, SsbmapsError
from ssbmaps._provenance import history_line

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.maps._displacement import Field
    from ssbmaps.maps._transform import Transform

    Floats = NDArray[np.float64]

SUBJECT = "maps.Transform"
FIELD = {
    "dy": ("um", "displacement along y, added after the matrix"),
    "dx": ("um", "displacement along x, added after the matrix"),
    "dy_sd": ("um", "standard deviation of dy"),
    "dx_sd": ("um", "standard deviation of dx"),
    "covariance_yx": ("um2", "covariance of dy and dx"),
}


def places(y: Any, x: Any) -> tuple[tuple[Floats, Floats], Callable[[Floats, str], Any]]:
    """Both as float64 of one shape, and what makes of a result the kind that was given."""
    import xarray as xr

    if isinstance(y, xr.DataArray) or isinstance(x, xr.DataArray):
        return _named_places(y, x)
    own_y, own_x = _numbers(y, "y"), _numbers(x, "x")
    try:
        pair = np.broadcast_arrays(own_y, own_x)
    except ValueError:
        shapes = f"y has the shape {own_y.shape}, x {own_x.shape}"
        raise SsbmapsError(f"{SUBJECT}: {shapes}; expected shapes that broadcast.") from None
    scalar = pair[0].ndim == 0
    return (pair[0], pair[1]), lambda values, _: float(values) if scalar else np.asarray(values)


def _named_places(y: Any, x: Any) -> tuple[tuple[Floats, Floats], Callable[[Floats, str], Any]]:
    import xarray as xr

    pair = []
    for name, value in (("y", y), ("x", x)):
        if isinstance(value, xr.DataArray):
            check_unit(xr.DataArray(0.0, attrs=value.attrs, name=name), subject=SUBJECT)
        elif np.ndim(value) > 0:
            raise SsbmapsError(f"{SUBJECT}: {name} is an array without names beside a DataArray; give both as DataArrays.")
        pair.append(value if isinstance(value, xr.DataArray) else xr.DataArray(value))
    try:
        both = xr.broadcast(*xr.align(*pair, join="exact"))
    except ValueError as error:
        raise SsbmapsError(f"{SUBJECT}: y and x do not fit together: {error}") from None
    dims, coords = both[0].dims, {**both[1].coords, **both[0].coords}

    def wrap(values: Floats, name: str) -> xr.DataArray:
        attrs = {"units": "um", "long_name": f"{name} on the reference"}
        return xr.DataArray(values, coords, dims, name=name, attrs=attrs)

    return (_numbers(both[0].data, "y"), _numbers(both[1].data, "x")), wrap


def _numbers(value: Any, name: str) -> Floats:
    try:
        array = to_dense(value)
    except ValueError:
        array = np.empty(0, object)
    if array.dtype.kind not in "iuf":
        raise SsbmapsError(f"{SUBJECT}: {name} is of type {array.dtype}; expected numbers, um on the moving map.")
    return array.astype(np.float64)


def error_dataset(spread: Floats, wrap: Callable[[Floats, str], Any]) -> xr.Dataset:
    """Standard deviations, covariance and the circle of 95 %, of variances (3, …)."""
    import xarray as xr

    from ssbmaps.maps._transform_arrays import radius_95

    yy, xx, yx = spread
    values = {
        "y_sd": (np.sqrt(yy), "um", "standard deviation along y on the reference"),
        "x_sd": (np.sqrt(xx), "um", "standard deviation along x on the reference"),
        "covariance_yx": (yx, "um2", "covariance of y and x on the reference"),
        "radius_95": (radius_95(yy, xx, yx), "um", "radius of the circle that holds the place with 95 %"),
    }
    variables = {}
    for name, (array, unit, text) in values.items():
        made = wrap(array, name)
        if not isinstance(made, xr.DataArray):
            dims = ["point"] if np.ndim(array) == 1 else [f"dim_{i}" for i in range(np.ndim(array))]
            made = xr.DataArray(made, dims=dims)
        variables[name] = made.assign_attrs(units=unit, long_name=text)
    return xr.Dataset(variables)


def read_displacement(given: Any, matrix: Floats) -> tuple[xr.Dataset, Field]:
    """The Dataset as it is kept, and its arrays; all faults in one letter."""
    import xarray as xr

    from ssbmaps.maps._displacement import Field

    subject = f"{SUBJECT}: displacement"
    if not isinstance(given, xr.Dataset):
        raise RegistrationError(f"{subject}: expected an xarray.Dataset, got {type(given).__name__}.")
    with Faults(subject, RegistrationError) as faults:
        for name in list(FIELD)[:4]:
            faults.expect(name in given, f"variable {name} is missing; it holds {', '.join(map(str, given.data_vars))}.")
        for name in (n for n in FIELD if n in given):
            dims, unit = tuple(map(str, given[name].dims)), given[name].attrs.get("units", FIELD[name][0])
            faults.expect(set(dims) == {"y", "x"}, f"{name} has dims {dims}; expected (y, x).")
            faults.expect(unit == FIELD[name][0], f"{name} is in {unit!r}; expected {FIELD[name][0]!r}.")
    step = pixel_size(given, subject=subject)
    y, x = (np.asarray(given.coords[d].values, np.float64) for d in ("y", "x"))
    values = {n: to_dense(given[n].transpose("y", "x").data).astype(np.float64) for n in FIELD if n in given}
    values.setdefault("covariance_yx", np.zeros_like(values["dy"]))
    unknown = np.any([~np.isfinite(v) for v in values.values()], axis=0)
    values = {n: np.where(unknown, np.nan, v) for n, v in values.items()}
    dy, dx, sd_y, sd_x, cov = (values[n] for n in FIELD)
    with Faults(subject, RegistrationError) as faults, np.errstate(invalid="ignore"):
        faults.expect(not unknown.all(), "it is known nowhere (NaN, or infinite, in one of the variables at every node).")
        faults.expect(not ((sd_y < 0) | (sd_x < 0)).any(), "negative standard deviations; expected 0 or more.")
        too_large = np.abs(cov) > sd_y * sd_x * (1 + 1e-9)
        faults.expect(not too_large.any(), "covariance_yx exceeds dy_sd times dx_sd; no two numbers vary together so much.")
        field = Field((y[0], x[0]), step, np.stack([dy, dx]), np.stack([sd_y**2, sd_x**2, cov]))
        folds = field.folds(matrix[:2, :2])
        j, i = np.argwhere(folds)[0] if folds.any() else (0, 0)
        text = f"it folds the map over in {int(folds.sum())} of {folds.size} cells, first after y {y[j]:g} um, x {x[i]:g} um"
        faults.expect(not folds.any(), f"{text}; make it smoother, or set it to NaN there.")
    return _dataset(y, x, step, values), field


def read_dataset(dataset: Any) -> tuple[Floats, Floats, xr.Dataset | None]:
    """Matrix, covariance and displacement out of what `Transform.to_dataset` wrote."""
    import xarray as xr

    if not isinstance(dataset, xr.Dataset):
        raise SsbmapsError(f"{SUBJECT}.from_dataset: expected an xarray.Dataset, got {type(dataset).__name__}.")
    with Faults(f"{SUBJECT}.from_dataset") as faults:
        for name, dims in (("matrix", ("row", "column")), ("covariance", ("entry", "entry_2"))):
            found = tuple(map(str, dataset[name].dims)) if name in dataset else "no variable of that name"
            faults.expect(set(dims) == set(found), f"{name}: expected dims {dims} as to_dataset writes them, got {found}.")
    matrix = dataset["matrix"].transpose("row", "column").values
    covariance = dataset["covariance"].transpose("entry", "entry_2").values
    warped = "dy" in dataset or "dx" in dataset
    return matrix, covariance, dataset[[n for n in FIELD if n in dataset]] if warped else None


def displacement_dataset(field: Field) -> xr.Dataset:
    """A field as a Transform takes it."""
    y, x = (a.ravel() for a in field.nodes())
    var_y, var_x, cov = field.spread
    sd_y, sd_x = np.sqrt(np.maximum(var_y, 0.0)), np.sqrt(np.maximum(var_x, 0.0))
    cov = np.clip(cov, -sd_y * sd_x, sd_y * sd_x)
    values = dict(zip(FIELD, (*field.value, sd_y, sd_x, cov), strict=True))
    return _dataset(y, x, field.step, values)


def _dataset(y: Floats, x: Floats, step: tuple[float, float], values: dict[str, Floats]) -> xr.Dataset:
    import xarray as xr

    coords = {}
    for dim, positions, size in (("y", y, step[0]), ("x", x, step[1])):
        single = {"pixel_size_um": float(size)} if len(positions) == 1 else {}
        coords[dim] = (dim, positions.copy(), {"units": "um", "long_name": LONG_NAMES[dim], **single})
    variables = {}
    for name, array in values.items():
        array.setflags(write=False)
        variables[name] = (("y", "x"), array, {"units": FIELD[name][0], "long_name": FIELD[name][1]})
    return xr.Dataset({n: variables[n] for n in FIELD}, coords)


def next_attrs(step: str, first: Transform, *others: Transform) -> dict[str, Any]:
    """What travels to a transform made of others: attributes that all share, and the history of all, each line once."""
    given = [t.attrs for t in (first, *others)]
    kept = {k: v for k, v in given[0].items() if all(k in o and np.array_equal(v, o[k]) for o in given[1:])}
    models = [str(a["model"]) for a in given if "model" in a]
    if len(models) == len(given) and "model" not in kept:
        kept["model"] = ", then ".join(models)
    lines: list[str] = []
    for attrs in given:
        lines += [line for line in str(attrs.get("history", "")).splitlines() if line and line not in lines]
    return {**kept, "history": "\n".join([*lines, history_line(f"{SUBJECT}.{step}", {})])}
