"""The Dataset that `detect_inactive_layer` returns: numbers with errors and units, and sentences that name no cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._provenance import finish
from ssbmaps.interfaces._edge_layer_result import ENDS, Frame, part, spoken
from ssbmaps.interfaces._family import holm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._inactive import Outcome
    from ssbmaps.interfaces._inactive_fit import Inactive
    from ssbmaps.interfaces._scan_totals import Depths, Totals

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

WORDING = "the face does not follow the change of state; cause not identified"


def as_dataset(
    outcomes: Sequence[Outcome],
    found: Totals,
    below: Depths,
    states: tuple[str, NDArray[Any], Any],
    arguments: Mapping[str, Any],
    sources: Sequence[xr.DataArray],
) -> xr.Dataset:
    """All results as one Dataset along state, phase and fragment, as far as the series has them."""
    import xarray as xr

    dim, others, reference = states
    frame = Frame(found, arguments["labels"] is not None, ((dim, others),))
    family = holm(np.array([np.nan if o.found is None else o.found.p_value for o in outcomes]))
    level = float(arguments["false_alarms"])
    changed = np.array([o.found is not None and o.found.p_change <= level for o in outcomes])
    detected = (family <= level) & changed
    told = _numbers(outcomes, family, detected, changed, below.unit)
    variables = {name: frame.entry(values, attrs) for name, (values, attrs) in told.items()}
    words = [_sentence(o, bool(d), bool(c), below.unit) for o, d, c in zip(outcomes, detected, changed, strict=True)]
    variables["statement"] = frame.entry(np.array(words), {"long_name": "the result in words", "units": "1"})
    nothing = np.full(len(found.scans), np.nan)
    curves = {
        "change": ([o.change for o in outcomes], "signal over that of the reference, less 1"),
        "change_sd": ([o.sd for o in outcomes], "standard error of the change, by counting"),
        "curve": ([_curve(o, bool(d), nothing) for o, d in zip(outcomes, detected, strict=True)], "fitted change"),
    }
    for name, (rows, text) in curves.items():
        variables[name] = frame.entry(np.array(rows).T, {"units": "1", "long_name": text}, (found.dim,))
    result = finish(
        xr.Dataset(variables, frame.coords(below)),
        function="interfaces.detect_inactive_layer",
        arguments=arguments,
        sources=sources,
    )
    result.attrs |= {"wording": WORDING, "reference": str(reference)}
    return result


def _curve(outcome: Outcome, detected: bool, nothing: Floats) -> Floats:
    if outcome.found is None:
        return nothing
    return outcome.found.curve if detected else np.full(len(nothing), outcome.found.uniform.value)


def _numbers(
    outcomes: Sequence[Outcome], family: Floats, detected: Bools, changed: Bools, unit: str
) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Name → values, one for each outcome, and attributes."""

    def each(of: Callable[[Inactive], float], only: Bools | None = None) -> Floats:
        use = np.ones(len(outcomes), bool) if only is None else only
        told = [o.found if u else None for o, u in zip(outcomes, use, strict=True)]
        return np.array([np.nan if t is None else of(t) for t in told])

    def one(text: str) -> dict[str, Any]:
        return {"units": "1", "long_name": text}

    testable = np.array([o.found is not None for o in outcomes])
    numbers: dict[str, tuple[Any, dict[str, Any]]] = {
        "detected": (detected.astype(np.int8), one("whether the face stays behind the bulk, beyond chance")),
        "testable": (testable.astype(np.int8), one("whether the series allows the test")),
        "changed": (changed.astype(np.int8), one("whether the signal changes between the states at all")),
        "likelihood_ratio": (each(lambda f: f.ratio), one("2 ln(L1/L0), with against without an inactive face")),
        "p_value": (each(lambda f: f.p_value), one("p-value of this test alone")),
        "p_family": (family, one("p-value, corrected for all that were tested")),
        "width": (each(lambda f: f.shape.width, detected), {"units": unit, "long_name": "width of the transition"}),
        "depth_limit": (each(lambda f: f.limit), {"units": unit, "long_name": "an inactive layer is thinner than this (95 %)"}),
        "jitter": (each(lambda f: float(np.sqrt(f.jitter.variance))), one("relative standard deviation beyond Poisson noise")),
        "autocorrelation": (each(lambda f: f.jitter.phi), one("correlation of the jitter of neighbours")),
        "dispersion": (each(lambda f: f.dispersion), one("variance over that of counting")),
    }
    for suffix, text in ENDS.items():
        depth = {"units": unit, "long_name": f"depth down to which the signal does not follow{text}"}
        numbers[f"layer_depth{suffix}"] = (each(lambda f, s=suffix: part(f.depth, s), detected), depth)  # type: ignore[misc]
        bulk = np.where(
            detected,
            each(lambda f, s=suffix: part(f.bulk, s)),  # type: ignore[misc]
            each(lambda f, s=suffix: part(f.uniform, s)),  # type: ignore[misc]
        )
        numbers[f"bulk_change{suffix}"] = (bulk, one(f"relative change of the bulk{text}"))
        face = each(lambda f, s=suffix: part(f.face, s), detected)  # type: ignore[misc]
        numbers[f"face_change{suffix}"] = (face, one(f"relative change of the face, left free{text}"))
    return numbers


def _sentence(outcome: Outcome, detected: bool, changed: bool, unit: str) -> str:
    found = outcome.found
    if found is None:
        return f"Not testable: {outcome.why_not}."
    if not changed:
        return "Undetermined: the signal does not change between the states, so that a face that stays behind cannot be seen."
    if detected:
        return (
            f"The signal changes by {spoken(found.bulk, sign=True)} of the reference, but not above a depth of "
            f"{spoken(found.depth)} {unit}; cause not identified."
        )
    limit = f"thinner than {found.limit:.3g} {unit} (95 %)" if np.isfinite(found.limit) else "not bounded by these scans"
    return f"The signal changes by {spoken(found.uniform, sign=True)} in all scans alike; an inactive layer is {limit}."
