"""The Dataset that `detect_lateral_layer` returns: numbers with errors and units, and sentences that cannot be misread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import canonical
from ssbmaps._provenance import finish
from ssbmaps.interfaces._family import holm
from ssbmaps.interfaces._lateral_fit import BLANK

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._lateral_fit import Layer

WORDING = "signal changes within N um of the edge; cause not identified"
SUFFIXES = ("", "_sd", "_low", "_high")
ENDS = {"": "", "_sd": ": standard error", "_low": ": 95 % interval, low end", "_high": ": 95 % interval, high end"}
ONLY_DETECTED = ("depth_scale", "amplitude", "inner_distance")


@dataclass(frozen=True)
class Outcome:
    """The layer of one map and phase, or why it cannot be tested; the occupied bins and the number of pixels."""

    layer: Layer | None
    reason: str
    occupied: NDArray[np.int64]
    n_pixels: int


def _flat(outcome: Outcome) -> Outcome:
    """The outcome with level, gradient and curve of the constant, where no layer is found."""
    without = outcome.layer.without if outcome.layer else None
    return replace(outcome, layer=without) if without else outcome


def as_dataset(
    outcomes: list[Outcome],
    edges: NDArray[np.float64],
    frame: tuple[list[str] | None, str | None, xr.DataArray],
    level: float,
    arguments: dict[str, Any],
    sources: list[xr.DataArray],
) -> xr.Dataset:
    """All results with units, names and history; `frame` holds the phases, the channel dimension, and the maps."""
    import xarray as xr

    phases, channel, maps = frame
    tested = [i for i, o in enumerate(outcomes) if o.layer is not None]
    significant = holm([outcomes[i].layer.p_value for i in tested]) <= level  # type: ignore[union-attr]
    detected = dict(zip(tested, significant, strict=True))
    outcomes = [o if detected.get(i, False) else _flat(o) for i, o in enumerate(outcomes)]
    rows = [_row(o, bool(detected.get(i, False))) for i, o in enumerate(outcomes)]
    lead = [*(["phase"] if phases is not None else []), *([channel] if channel else [])]
    shape = [*([len(phases)] if phases is not None else []), *([maps.sizes[channel]] if channel else [])]
    units = str(maps.attrs.get("units", "arbitrary"))
    variables: dict[str, Any] = {}
    for name, (unit, text) in _about(units).items():
        column = np.array([r[name] for r in rows])
        variables[name] = (lead, column.reshape(shape), {"units": unit, "long_name": text})
    for name, text in _CURVES.items():
        curves = np.full((len(outcomes), len(edges) - 1), np.nan)
        for curve, outcome in zip(curves, outcomes, strict=True):
            if outcome.layer is not None:
                curve[outcome.occupied] = getattr(outcome.layer, _FIELDS[name])
        variables[name] = ((*lead, "distance"), curves.reshape(*shape, -1), {"units": units, "long_name": text})
    coords: dict[str, Any] = {str(k): v for k, v in maps.coords.items() if v.dims == (channel,)}
    if phases is not None:
        coords["phase"] = ("phase", phases)
    um = {"units": "um"}
    coords["distance"] = ("distance", (edges[1:] + edges[:-1]) / 2, {**um, "long_name": "distance to the edge"})
    coords["distance_low"] = ("distance", edges[:-1], {**um, "long_name": "lower edge of the bin (included)"})
    coords["distance_high"] = ("distance", edges[1:], {**um, "long_name": "upper edge of the bin (excluded)"})
    result = canonical(xr.Dataset(variables, coords))
    result = finish(result, function="interfaces.detect_lateral_layer", arguments=arguments, sources=sources)
    result.attrs |= {"wording": WORDING, "false_alarms": level}
    return result


_FIELDS = {"profile": "mean", "profile_sd": "sd", "model": "model", "inner_model": "inner"}
_CURVES = {
    "profile": "mean per pixel in the bin",
    "profile_sd": "mean per pixel in the bin: standard error, with common variation",
    "model": "fitted layer and inner level",
    "inner_model": "inner level and gradient without the layer",
}


def _about(units: str) -> dict[str, tuple[str, str]]:
    """Unit and name of every number, in their order."""
    about = {
        "detected": ("1", "1: the signal near the edge differs from the inner level"),
        "likelihood_ratio": ("1", "2 ln(L1/L0) of a layer against a constant with a gradient"),
        "p_value": ("1", "probability of such a ratio without a layer, from simulated profiles"),
    }
    numbers = {
        "depth_scale": ("um", "distance in which the layer falls by a factor e"),
        "amplitude": ("1", "layer at the edge over the inner level"),
        "inner_distance": ("um", "distance from which the layer is smaller than the standard error of the inner level"),
        "drift": ("1/um", "gradient over the inner level"),
        "inner_level": (units, "inner level per pixel, at the mean distance"),
    }
    for name, (unit, text) in numbers.items():
        about |= {name + suffix: (unit, text + ENDS[suffix]) for suffix in SUFFIXES}
    return about | {
        "dispersion": ("1", "variance of the bins' means over that of independent pixels, median over the bins"),
        "testable": ("1", "1: the data allow the test"),
        "n_pixels": ("1", "number of pixels"),
        "statement": ("1", "the result in words"),
    }


def _row(outcome: Outcome, detected: bool) -> dict[str, Any]:
    layer = outcome.layer
    row: dict[str, Any] = {"detected": np.int8(detected), "testable": np.int8(layer is not None), "n_pixels": outcome.n_pixels}
    numbers = {
        "depth_scale": layer.depth_scale if layer else BLANK,
        "amplitude": layer.amplitude if layer else BLANK,
        "inner_distance": layer.inner_distance if layer else BLANK,
        "drift": layer.drift if layer else BLANK,
        "inner_level": layer.level if layer else BLANK,
    }
    for name, values in numbers.items():
        shown = values if detected or name not in ONLY_DETECTED else BLANK
        row |= dict(zip((name + s for s in SUFFIXES), shown, strict=True))
    for name in ("likelihood_ratio", "p_value", "dispersion"):
        row[name] = getattr(layer, name) if layer else np.nan
    row["statement"] = _statement(outcome, detected)
    return row


def _statement(outcome: Outcome, detected: bool) -> str:
    layer = outcome.layer
    if layer is None:
        return f"not testable: {outcome.reason}"
    if not detected:
        return f"no change towards the edge beyond noise (p = {layer.p_value:.2g})"
    percent = 100 * layer.amplitude[0]
    far = layer.inner_distance[0]
    size = f"{percent:+.0f} % at the edge, depth scale {layer.depth_scale[0]:.3g} um {_interval(layer.depth_scale)}"
    reach = f"within {far:.3g} um of the edge"
    if not np.isfinite(far):
        reach = "towards the edge and does not reach its inner level within the map"
    return f"signal changes {reach}; cause not identified ({size.replace('-', '−')})"


def _interval(values: tuple[float, ...]) -> str:
    high = f"{values[3]:.3g}" if np.isfinite(values[3]) else "open"
    return f"[{values[2]:.3g}, {high}]"
