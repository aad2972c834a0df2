"""The constraints of `mcr` as the user names them, checked all at once, and as the solver takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import SERIES_DIMS, same_grid
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.decomposition._mcr_solve import Side

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.decomposition._matrix import PixelMatrix

NAMES = (
    "non_negative",
    "closure",
    "unimodal_spectra",
    "unimodal_abundance",
    "known_spectra",
    "zero_spectra",
    "zero_abundance",
)
SIDES = ("spectra", "abundance")


@dataclass(frozen=True, slots=True)
class Sides:
    """Constraints of both sides, whether sums are closed, and whether to the totals (spectra then start with sum 1)."""

    spectra: Side
    abundance: Side
    closed: bool
    to_totals: bool


def read_constraints(given: Mapping[str, Any] | None, matrix: PixelMatrix, components: list[Any], *, subject: str) -> Sides:
    """Check the mapping and turn it into arrays over the measured pixels and channels of `matrix`."""
    if given is not None and not isinstance(given, Mapping):
        raise SsbmapsError(f"{subject}: constraints is a {type(given).__name__}; expected a mapping such as {{'closure': 1.0}}.")
    asked = {"non_negative": SIDES, **(given or {})}
    with Faults(f"{subject}: constraints") as faults:
        unknown = [str(n) for n in asked if n not in NAMES]
        faults.expect(not unknown, f"{', '.join(unknown)} unknown; there are {', '.join(NAMES)}.")
        positive = _sides(asked["non_negative"], faults)
        closure = asked.get("closure")
        number = isinstance(closure, (int, float, np.number)) and not isinstance(closure, bool)
        good = closure is None or closure == "total" or (number and np.isfinite(closure) and closure > 0)
        faults.expect(bool(good), f"closure={closure!r}; expected a positive number, or 'total' for the sum of each spectrum.")
        faults.expect(closure is None or "abundance" in positive, "closure needs non-negative abundances.")
        fixed, peaked = (_listed(asked.get(n), components, n, faults) for n in ("known_spectra", "unimodal_spectra"))
        dim, waves = _series(asked.get("unimodal_abundance"), matrix, components, faults)
        clash = closure is not None and bool(waves)
        faults.expect(not clash, "closure and unimodal_abundance together are not solved; a kinetic model would hold both.")
        both = sorted(set(fixed) & set(peaked))
        faults.expect(not both, f"component {', '.join(str(components[c]) for c in both)} is both known and to be made unimodal.")
        zeros = [_zero(asked.get(f"zero_{n}"), n, matrix, components, faults) for n in SIDES]
        for name, zero, rising in zip(SIDES, zeros, (peaked, waves), strict=True):
            mixed = zero is not None and any(zero[c].any() for c in rising)
            faults.expect(not mixed, f"unimodal_{name} and zero_{name} name the same component; only one of them is solved.")
    total = None
    if closure is not None:
        total = np.asarray(matrix.values.sum(axis=1)).ravel()
        total = total if closure == "total" else np.where(total > 0, float(closure), 0.0)
        if zeros[1] is not None and np.any(zeros[1].all(axis=0) & (total > 0)):
            raise SsbmapsError(
                f"{subject}: constraints: zero_abundance leaves pixels without any component, yet closure is asked."
            )
    order, shape = _along(dim, matrix) if dim is not None else (None, ())
    return Sides(
        Side("spectra" in positive, zeros[0], tuple(fixed), tuple(peaked)),
        Side("abundance" in positive, zeros[1], (), tuple(waves), shape, order, total),
        closure is not None,
        isinstance(closure, str),
    )


def _sides(value: Any, faults: Faults) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (tuple, list, set)) else (value,)
    faults.expect(all(n in SIDES for n in names), f"non_negative={value!r}; expected 'spectra', 'abundance', both, or ().")
    return names


def _listed(value: Any, components: list[Any], name: str, faults: Faults) -> list[int]:
    """Positions of the components named in `value`."""
    if value is None:
        return []
    wanted = list(value) if isinstance(value, (list, tuple, set, np.ndarray, range)) else [value]
    unknown = [v for v in wanted if v not in components]
    text = f"{name}: component {', '.join(map(str, unknown))} unknown; initial holds {', '.join(map(str, components))}."
    faults.expect(not unknown, text)
    return [components.index(v) for v in wanted if v in components]


def _series(value: Any, matrix: PixelMatrix, components: list[Any], faults: Faults) -> tuple[str | None, list[int]]:
    if value is None:
        return None, []
    dim, wanted = (
        (value, components) if isinstance(value, str) else (*value, None)[:2] if isinstance(value, tuple) else (None, None)
    )
    series = [d for d in matrix.pixel_dims if d in (*SERIES_DIMS, "point")]
    text = f"unimodal_abundance={value!r}; expected one of the cube's series dimensions ({', '.join(series) or 'it has none'}), "
    if not faults.expect(dim in series, text + "or that and a list of components, ('scan', [0, 2])."):
        return None, []
    return str(dim), _listed(wanted, components, "unimodal_abundance", faults)


def _along(dim: str, matrix: PixelMatrix) -> tuple[NDArray[np.int64], tuple[int, ...]]:
    """Order of the measured rows that puts `dim` last, and the shape (others, length)."""
    sizes = [matrix.cube.sizes[d] for d in matrix.pixel_dims]
    axis = matrix.pixel_dims.index(dim)
    place = np.full(int(np.prod(sizes)), -1)
    place[matrix.rows] = np.arange(len(matrix.rows))
    lines = np.moveaxis(place.reshape(sizes), axis, -1).reshape(-1, sizes[axis])
    lines = lines[(lines >= 0).all(axis=1)]  # unmeasured pixels are missing along the whole series
    return lines.ravel(), lines.shape


def _zero(value: Any, side: str, matrix: PixelMatrix, components: list[Any], faults: Faults) -> NDArray[np.bool_] | None:
    """(C, n) where a spectrum, or an abundance, is known to be 0."""
    import xarray as xr

    if value is None:
        return None
    allowed = ["component", *([matrix.channel] if side == "spectra" else matrix.pixel_dims)]
    good = isinstance(value, xr.DataArray) and value.dtype.kind == "b" and "component" in value.dims
    good = good and set(value.dims) <= set(allowed) and len(value.dims) > 1
    if not faults.expect(good, f"zero_{side}: expected a boolean DataArray with dims among {', '.join(allowed)}, True where 0."):
        return None
    labels = list(value["component"].values) if "component" in value.coords else list(range(value.sizes["component"]))
    known = _listed(labels, components, f"zero_{side}", faults)
    if len(known) != len(labels):
        return None
    like = matrix.cube.isel({matrix.channel: 0}, drop=True) if side == "abundance" else matrix.cube[matrix.channel]
    sizes = {d: like.sizes[d] for d in allowed[1:]}
    wrong = [str(d) for d in value.dims if d in sizes and value.sizes[d] != sizes[str(d)]]
    if not faults.expect(not wrong, f"zero_{side}: {', '.join(wrong)} has another length than in the cube."):
        return None
    same_grid(value, like, subject=f"zero_{side}", dims=[d for d in value.dims if d in sizes and d in value.coords])
    spread = value.drop_vars(list(value.coords)).expand_dims({d: n for d, n in sizes.items() if d not in value.dims})
    flat = np.asarray(spread.transpose(*allowed).values).reshape(len(labels), -1)
    out = np.zeros((len(components), flat.shape[1]), bool)
    out[known] = flat
    return np.ascontiguousarray(out[:, matrix.rows] if side == "abundance" else out)


def start_spectra(initial: Any, matrix: PixelMatrix, *, subject: str) -> xr.DataArray:
    """`initial` as (component, channel) on the cube's own channels."""
    import xarray as xr

    spectra = initial["spectra"] if isinstance(initial, xr.Dataset) and "spectra" in initial else initial
    if not isinstance(spectra, xr.DataArray) or set(spectra.dims) != {"component", matrix.channel}:
        raise SsbmapsError(
            f"{subject}: initial: expected spectra as a DataArray (component, {matrix.channel}), or a Dataset with `spectra`, "
            f"got {type(initial).__name__} with dims {tuple(getattr(spectra, 'dims', ()))}."
        )
    spectra = spectra.transpose("component", matrix.channel)
    own = matrix.cube[matrix.channel]
    n, k = spectra.sizes[matrix.channel], own.sizes[matrix.channel]
    same = n == k
    if same and matrix.channel in spectra.coords and matrix.channel in matrix.cube.coords:
        same = bool((spectra[matrix.channel].values == own.values).all())
    if not same:
        raise SsbmapsError(
            f"{subject}: initial has {n} channels that are not the cube's {k}; take it on exactly the same {matrix.channel} axis."
        )
    return spectra
