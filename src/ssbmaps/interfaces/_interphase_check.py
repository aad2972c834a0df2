"""What interphase functions ask of their input: maps, fragments and options that fit each other, and counts that can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import SERIES_DIMS, canonical, check_array, fragment_index, measured_mask, same_grid
from ssbmaps._errors import Faults, SsbmapsError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._shell import Measured

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

GEOMETRIES = ("particles", "planar")
LIKELIHOODS = ("poisson", "gaussian")


def shells_of(shell: Any, *, subject: str) -> dict[str, list[str]]:
    """Fragments by name of the shell; a plain list is named by its fragments."""
    if isinstance(shell, str):
        return {shell: [shell]}
    if isinstance(shell, Mapping):
        found = {str(k): [v] if isinstance(v, str) else list(v) for k, v in shell.items()}
    else:
        found = {" + ".join(shell): list(shell)} if shell else {}
    if not found or not all(found.values()):
        raise SsbmapsError(f"{subject}: shell={shell!r}; expected 'PO2-', ['PO2-', 'PO3-'] or {{'POx': ['PO2-', 'PO3-']}}.")
    return found


def check_maps(
    maps: xr.DataArray,
    distance: xr.DataArray,
    where: xr.DataArray | None,
    variance: xr.DataArray | None,
    likelihood: object,
    shots: object,
    *,
    subject: str,
) -> None:
    """Raise unless maps, distance and their companions fit each other and the likelihood."""
    check_grids(maps, {"distance": distance, "where": where, "variance": variance}, likelihood, subject=subject)
    with Faults(subject) as faults:
        faults.expect(distance.ndim == 2, f"distance has dims {tuple(distance.dims)}; expected one map (y, x).")
        unit = distance.attrs.get("units", "um")
        faults.expect(unit == "um", f"distance is in {unit!r}; expected um.")
        check_counts(maps, where, variance, likelihood, shots, faults=faults)


def check_grids(maps: xr.DataArray, beside: Mapping[str, xr.DataArray | None], likelihood: object, *, subject: str) -> None:
    """Raise unless maps and what comes with them are usable and lie on the same pixels."""
    check_array(maps, subject=subject, dims=("y", "x"), counts=likelihood == "poisson")
    for name, other in beside.items():
        if other is not None:
            check_array(other, subject=f"{subject}: {name}", dims=("y", "x"))
            same_grid(maps, other, subject=f"{subject}: {name}")


def check_counts(
    maps: xr.DataArray,
    where: xr.DataArray | None,
    variance: xr.DataArray | None,
    likelihood: object,
    shots: object,
    *,
    faults: Faults,
) -> None:
    """Add what does not fit: a mask that is none, a variance or shots that the likelihood does not use."""
    faults.expect(where is None or (where.ndim == 2 and where.dtype == bool), "where is no boolean map (y, x).")
    same = variance is None or set(variance.dims) == set(maps.dims)
    faults.expect(same, f"variance has dims {() if variance is None else variance.dims}; expected {maps.dims}.")
    faults.expect(likelihood in LIKELIHOODS, f"likelihood={likelihood!r}; expected one of {', '.join(LIKELIHOODS)}.")
    whole = maps.dtype.kind in "iu" and maps.attrs.get("units") == "counts"
    faults.expect(
        likelihood != "poisson" or whole,
        f"likelihood='poisson' needs whole counts, got {maps.dtype} in {maps.attrs.get('units', '?')!r}; use 'gaussian'.",
    )
    faults.expect(variance is None or likelihood == "gaussian", "variance is given; it belongs to likelihood='gaussian'.")
    faults.expect(shots is None or likelihood == "poisson", "shots are given; they belong to likelihood='poisson'.")
    faults.expect(shots is None or positive(shots), f"shots={shots!r}; expected a positive number.")


def check_options(
    geometry: object,
    reach: object,
    offset_sd: object,
    levels: Mapping[str, float | None],
    shells: Mapping[str, object],
    *,
    faults: Faults,
) -> None:
    """Add what is wrong with the options that all interphase functions share."""
    faults.expect(geometry in GEOMETRIES, f"geometry={geometry!r}; expected one of {', '.join(GEOMETRIES)}.")
    faults.expect(reach is None or positive(reach), f"reach={reach!r}; expected a positive number in um.")
    faults.expect(positive(offset_sd) or offset_sd == 0, f"offset_sd={offset_sd!r}; expected 0 or a positive number in um.")
    good = set(levels) <= set(shells) and all(v is None or positive(v) for v in levels.values())
    text = f"reference_level={dict(levels)}; expected a positive number, by shell out of {', '.join(shells)} for several."
    faults.expect(good, text)


def positive(value: object) -> bool:
    """Whether a value is a finite number above 0."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(0 < value < np.inf)


def known_pixels(maps: xr.DataArray, distance: xr.DataArray, where: xr.DataArray | None, away: Floats, *, subject: str) -> Bools:
    """Pixels that are measured, have a finite distance and fulfil `where`."""
    known: Bools = np.isfinite(away)
    for mask in (measured_mask(maps), measured_mask(distance), None if where is None else to_dense(canonical(where).data)):
        known = known if mask is None else known & mask
    if not known.any():
        raise SsbmapsError(f"{subject}: no pixel is left that is measured, has a finite distance and fulfils `where`.")
    return known


def summed(maps: xr.DataArray, variance: xr.DataArray | None) -> tuple[Floats, Floats | None, int]:
    """(channel, y, x) sums over scans and times, their variance, and the number of scans."""
    lead = [d for d in maps.dims if d in SERIES_DIMS]
    axes = tuple(range(len(lead)))
    n_scans = int(np.prod([maps.sizes[d] for d in lead])) if lead else 1
    spread = None
    if variance is not None:
        spread = np.asarray(to_dense(canonical(variance).data).sum(axis=axes, dtype=np.float64))
    return np.asarray(to_dense(maps.data).sum(axis=axes, dtype=np.float64)), spread, n_scans


def indices_of(maps: xr.DataArray, core: str | Sequence[str], fragments: Sequence[str]) -> tuple[list[int], list[int]]:
    """Positions of the core's and of a shell's fragments."""
    inside = fragment_index(maps, core, subject="core")
    around = fragment_index(maps, fragments, subject="shell")
    both = set(inside) & set(around)
    if both:
        raise SsbmapsError("core and shell share a fragment; expected different ones.")
    return inside, around


def expect_counts(values: Floats, shots: Floats) -> None:
    """Raise where a pixel of `values` (C, …) counts more than its channel's `shots` (C,) allow."""
    most = values.reshape(len(values), -1).max(axis=1, initial=0)
    if bool((most > shots).any()):
        at = int((most / shots).argmax())
        raise SsbmapsError(f"a pixel holds {most[at]:g} counts out of {shots[at]:g} shots; expected at most one per shot.")


def expect_contrast(measured: Measured) -> None:
    """A shell is only told from bulk that emits less of its signal."""
    inside, amplitude, outside = measured.fit.levels[-1]
    if measured.above_noise and max(inside, outside) > amplitude:
        where = "core" if inside >= outside else "surroundings"
        raise SsbmapsError(
            f"the {where} emits more of this signal ({max(inside, outside):.3g} per pixel) than the layer between "
            f"({amplitude:.3g}): it marks no interphase. Phosphate in core or electrolyte does this to POx; choose another one."
        )
