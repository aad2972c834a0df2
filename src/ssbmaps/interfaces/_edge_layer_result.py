"""The Dataset that `detect_edge_layer` returns: numbers with errors and units, and sentences that name no cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import canonical_order
from ssbmaps._provenance import finish
from ssbmaps.interfaces._family import holm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._edge_layer import Outcome
    from ssbmaps.interfaces._scan_totals import Depths, Totals
    from ssbmaps.interfaces._transient_fit import Interval, Transient

    Floats = NDArray[np.float64]
    _Variable = tuple[tuple[str, ...], Any, dict[str, Any]]

UNSTEADY = 0.1  # relative jitter; primary currents vary by less
WORDING = "signal changes over the first scans; cause not identified"
ENDS = {"": "", "_sd": ": standard error", "_low": ": 95 % interval, low end", "_high": ": 95 % interval, high end"}


def as_dataset(
    outcomes: Sequence[Outcome],
    found: Totals,
    below: Depths,
    arguments: Mapping[str, Any],
    sources: Sequence[xr.DataArray],
) -> xr.Dataset:
    """All results as one Dataset along phase and fragment, as far as the series has them."""
    import xarray as xr

    frame = Frame(found, arguments["labels"] is not None)
    family = holm(np.array([o.p_value for o in outcomes]))
    detected = family <= arguments["false_alarms"]
    told = _numbers(outcomes, family, detected, below.unit, float(arguments["tolerance"]))
    variables = {name: frame.entry(values, attrs) for name, (values, attrs) in told.items()}
    words = [_sentence(o, bool(d), below.unit, arguments) for o, d in zip(outcomes, detected, strict=True)]
    variables["statement"] = frame.entry(np.array(words), {"long_name": "the result in words", "units": "1"})
    variables |= _curves(outcomes, found, frame)
    result = finish(
        xr.Dataset(variables, frame.coords(below)), function="interfaces.detect_edge_layer", arguments=arguments, sources=sources
    )
    result.attrs["wording"] = WORDING
    return result


class Frame:
    """Where the outcomes go: along what leads, along phase where there are labels, along the channels where there are any."""

    def __init__(self, found: Totals, by_phase: bool, lead: tuple[tuple[str, Any], ...] = ()) -> None:
        phases = (("phase", found.regions),) if by_phase else ()
        channels = ((found.channel, found.names),) if found.channel else ()
        self._axes: dict[str, Any] = dict((*lead, *phases, *channels))
        self._found = found

    def entry(self, values: Any, attrs: dict[str, Any], front: tuple[str, ...] = ()) -> _Variable:
        """A variable along the outcomes, with more dimensions in front; in the contract's order."""
        array = np.asarray(values)
        whole = array.reshape((*array.shape[: len(front)], *map(len, self._axes.values())))
        dims = (*front, *self._axes)
        order = canonical_order(dims)
        return tuple(map(str, order)), whole.transpose([dims.index(str(d)) for d in order]), attrs

    def coords(self, below: Depths) -> dict[str, Any]:
        """Names along all axes, the pixels of each region, the number and the depth of the scans."""
        found = self._found
        coords: dict[str, Any] = {name: (name, values) for name, values in self._axes.items()}
        pixels = {"units": "1", "long_name": "measured pixels"}
        coords["n_pixels"] = ("phase", found.n_pixels, pixels) if "phase" in coords else ((), int(found.n_pixels[0]), pixels)
        coords[found.dim] = (found.dim, found.scans, {"long_name": f"number of the {found.dim}, from 0"})
        rows, told = [below.values[region] for region in found.regions], {"units": below.unit, "long_name": "depth"}
        coords["depth"] = (found.dim, rows[0], told) if below.shared else (("phase", found.dim), np.array(rows), told)
        return coords


def _numbers(
    outcomes: Sequence[Outcome], family: Floats, detected: NDArray[np.bool_], unit: str, tolerance: float
) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Name → values, one for each outcome, and attributes."""

    def each(of: Callable[[Transient], float], *, always: bool = False) -> Floats:
        told = [o.found if always or d else None for o, d in zip(outcomes, detected, strict=True)]
        return np.array([np.nan if t is None else of(t) for t in told])

    def one(text: str) -> dict[str, Any]:
        return {"units": "1", "long_name": text}

    testable = np.array([o.found is not None for o in outcomes])
    numbers: dict[str, tuple[Any, dict[str, Any]]] = {
        "detected": (detected.astype(np.int8), one("whether the signal changes over the first scans, beyond chance")),
        "testable": (testable.astype(np.int8), one("whether the series allows the test")),
        "likelihood_ratio": (np.array([o.ratio for o in outcomes]), one("2 ln(L1/L0), with against without a transient")),
        "p_value": (np.array([o.p_value for o in outcomes]), one("p-value of this test alone")),
        "p_family": (family, one("p-value, corrected for all that were tested")),
    }
    for suffix, text in ENDS.items():
        numbers[f"depth_scale{suffix}"] = (
            each(lambda t, s=suffix: part(t.depth, s)),  # type: ignore[misc]
            {"units": unit, "long_name": f"depth of the change{text}"},
        )
        numbers[f"amplitude{suffix}"] = (
            each(lambda t, s=suffix: part(t.amplitude, s)),  # type: ignore[misc]
            one(f"change in the first scan, share of the level{text}"),
        )
    numbers["width"] = (each(lambda t: t.shape.width), {"units": unit, "long_name": "width of the step (standard deviation)"})
    models = [o.found.shape.kind if o.found and d else "none" for o, d in zip(outcomes, detected, strict=True)]
    numbers["model"] = (np.array(models), one("shape of the change"))
    limit = "a change that is over within a quarter of the series is smaller than this share of the level (95 %)"
    numbers["change_limit"] = (each(lambda t: t.limit, always=True), one(limit))
    first = each(lambda t: _first_bulk(t, tolerance))
    first[testable & ~detected] = 0
    numbers["first_bulk_scan"] = (first, one("leading scans in which the change may be larger than the tolerance (95 %)"))
    numbers["drift"] = (each(lambda t: t.drift, always=True), one("relative change of the level from the first scan to the last"))
    jitter = one("relative standard deviation beyond Poisson noise")
    rejected = testable & (each(lambda t: float(np.sqrt(t.jitter.variance)), always=True) > UNSTEADY)
    numbers["model_rejected"] = (rejected.astype(np.int8), one("whether counts vary beyond the curve by more than currents do"))
    numbers["jitter"] = (each(lambda t: float(np.sqrt(t.jitter.variance)), always=True), jitter)
    numbers["autocorrelation"] = (each(lambda t: t.jitter.phi, always=True), one("correlation of the jitter of neighbours"))
    numbers["dispersion"] = (each(lambda t: t.dispersion, always=True), one("variance over Poisson variance"))
    return numbers


def part(interval: Interval, suffix: str) -> float:
    """What belongs under a name with this ending."""
    return float(getattr(interval, suffix.removeprefix("_") or "value"))


def _first_bulk(found: Transient, tolerance: float) -> float:
    """The first scan from which on the change is below the tolerance; NaN if there is none."""
    above = np.flatnonzero(found.beyond > tolerance)
    first = 0 if not above.size else int(above[-1]) + 1
    return float(first) if first < len(found.beyond) else np.nan


def _curves(outcomes: Sequence[Outcome], found: Totals, frame: Frame) -> dict[str, Any]:
    """What was measured and fitted, along the scans."""

    def along(rows: list[Floats], text: str) -> Any:
        return frame.entry(np.array(rows).T, {"units": "counts", "long_name": text}, (found.dim,))

    nothing = np.full(len(found.scans), np.nan)
    spread = [
        np.sqrt(o.counts if o.found is None else o.found.mean + o.found.jitter.variance * o.found.mean**2) for o in outcomes
    ]
    return {
        "counts": along([o.counts for o in outcomes], "counts in all measured pixels"),
        "counts_sd": along(spread, "standard deviation of the counts about the curve"),
        "curve": along([nothing if o.found is None else o.found.mean for o in outcomes], "fitted counts"),
        "bulk": along([nothing if o.found is None else o.found.bulk for o in outcomes], "fitted counts without the change"),
    }


def _sentence(outcome: Outcome, detected: bool, unit: str, arguments: Mapping[str, Any]) -> str:
    """What was found, without a cause."""
    found = outcome.found
    if found is None:
        return f"Not testable: {outcome.why_not}."
    if not detected:
        limit = f"one that is over within a quarter of the series is below {found.limit:.2g} of the level (95 %)."
        return f"No change over the first scans beyond drift and noise; {limit}{_doubt(found)}"
    first = _first_bulk(found, float(arguments["tolerance"]))
    over = f"the first {first:.0f} scans" if np.isfinite(first) else f"all {len(outcome.counts)} scans"
    size = spoken(found.amplitude, sign=True)
    depth = f"{'depth scale' if found.shape.kind == 'exponential' else 'depth'} {spoken(found.depth)}"
    brief = " (less than from scan to scan, so that its shape is not seen)" if found.depth.value < outcome.spacing else ""
    text = f"Signal changes over {over}; cause not identified. Change in the first scan {size} of the level"
    return f"{text}, {depth} {unit}{brief}.{_doubt(found)}"


def _doubt(found: Transient) -> str:
    """Words for counts that the curve does not explain; none where it does."""
    jitter = float(np.sqrt(found.jitter.variance))
    if jitter <= UNSTEADY:
        return ""
    return f" The curve does not fit: beyond it, counts vary by {100 * jitter:.0f} %. Several layers, or several changes?"


def spoken(interval: Interval, *, sign: bool = False) -> str:
    def number(value: float) -> str:
        return "no end" if np.isinf(value) else f"{value:{'+' if sign else ''}.3g}".replace("-", "−")

    return f"{number(interval.value)} [{number(interval.low)}, {number(interval.high)}]"
