"""The face of a section that does not follow when the cell is charged or discharged: between states, by depth."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import check_array, generator
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.interfaces._edge_layer import LEAST_SCANS
from ssbmaps.interfaces._inactive_fit import Inactive, States, measure
from ssbmaps.interfaces._inactive_result import as_dataset
from ssbmaps.interfaces._scan_totals import Depths, Totals, depths, totals

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._edge_layer import Depth

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.detect_inactive_layer"
STATE_DIMS = ("state", "time", "sample")
LEAST_COUNTS = 5.0  # per scan and state: below, the ratio of two counts has no usable variance


@dataclass(frozen=True)
class Outcome:
    """Of one state against the reference, one region and one ion: test and fit, or why there are none."""

    change: Floats
    sd: Floats
    found: Inactive | None = None
    why_not: str = ""


def detect_inactive_layer(
    states: xr.DataArray,
    *,
    depth: Depth | None = None,
    reference: Any = None,
    labels: xr.DataArray | None = None,
    exposure: xr.DataArray | None = None,
    false_alarms: float = 0.025,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Test whether the face of a section stays behind when the state changes, and down to which depth.

    The same section is sputtered through in two states or more, such as discharged and charged. In every scan the signal is
    compared with that of the reference state, so that yields that change with depth cancel. The relative change is
    Δ(z) = Δ_bulk Φ((z − t)/w): none above the depth t, with a transition of width w. It is tested against a change that is
    the same in all scans. Why the face stays behind is not identified.

    Parameters
    ----------
    states : xarray.DataArray
        Counts (state, scan, fragment, y, x) or without fragment, or without y and x; `time` or `sample` may stand for `state`
        and `z` for `scan`. 0 or more, best whole and not normalised. Unmeasured pixels are left out, and so are scans without
        counts in one of the states. Scans of one number must lie at one depth in all states.
    depth : str, xarray.DataArray or mapping, optional
        Depth of every scan, rising, with the attribute ``units``: a coordinate's name, an array along scan, or one for each
        phase. By default the number of the scan, or the coordinate `z` if it has units.
    reference : optional
        The state that the others are compared with, by its coordinate; by default the first.
    labels : xarray.DataArray, optional
        Integers (y, x) with flags, from `ssbmaps.maps.label_phases`: each phase but the unassigned is tested for itself.
    exposure : xarray.DataArray, optional
        Primary current or dose, (state, scan) or (state), in one unit for all. Without it, states count as equally exposed: a
        lower current in one of them is then read as a change in all depths, of the face as well.
    false_alarms : float, optional
        Probability that any of the states, phases and ions is called inactive at its face if none is, from 0.001 to 0.2.
    rng : int or numpy.random.Generator, optional
        For the drawn distribution of the likelihood ratio; None means 0.

    Returns
    -------
    xarray.Dataset
        Along the states but the reference, ``fragment`` (and ``phase``): ``detected`` (1 where p_family is at most
        `false_alarms`), ``testable``, ``likelihood_ratio`` (2 ln L1/L0, with against without an inactive face), ``p_value`` and
        ``p_family``, corrected for all that were tested; ``changed`` (1 where the bulk changes at all, p ≤ `false_alarms`).
        ``layer_depth`` (t below the first scan, in the unit of `depth`; NaN where nothing was detected) with ``_sd``, ``_low``,
        ``_high`` (95 %), ``width`` (w), ``depth_limit`` (an inactive layer is thinner than this, 95 %; infinite where the scans
        do not tell). ``bulk_change`` (Δ_bulk, share of the reference; where nothing was detected, the change in all scans) and
        ``face_change`` (what the change above t is if it is left free) with ``_sd``, ``_low``, ``_high``. ``jitter``,
        ``autocorrelation`` and ``dispersion`` as in `detect_edge_layer`. ``statement``: the result in words. Along scan too:
        ``change`` with ``change_sd``, and the fitted ``curve``.

    Raises
    ------
    SsbmapsError
        If there are not two states, counts are negative or NaN, depth has no unit or does not rise, or the reference is unknown.
    GridMismatchError
        If labels lie on other pixels than the states.

    Warns
    -----
    DataQualityWarning
        Scans without counts, repeated scans, values that are no whole numbers.

    Notes
    -----
    Noise: that of two Poisson counts, and a jitter of unknown size, white or correlated between neighbours. The likelihood ratio
    compares a step with a constant and is not χ²; its distribution is drawn from pairs of states that change alike in all
    scans. Intervals come from the profile, summed over what is not known of the jitter. Holm's correction as in
    `detect_edge_layer`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from scipy.special import ndtr
    >>> from ssbmaps.interfaces import detect_inactive_layer
    >>> z = xr.DataArray(2.0 * np.arange(30), dims="scan", attrs={"units": "nm"})
    >>> lithium = 8000 * xr.concat([xr.ones_like(z), 1 - 0.3 * ndtr((z - 20) / 4)], "state")
    >>> counts = lithium.copy(data=np.random.default_rng(2).poisson(lithium))
    >>> counts = counts.assign_coords(state=["discharged", "charged"])
    >>> found = detect_inactive_layer(counts, depth=z)
    >>> int(found.detected[0]), bool(abs(found.layer_depth[0] - 20) < 2)
    (1, True)
    """
    draws, seed = generator(rng)
    check_array(states, subject=SUBJECT, counts=True)
    dim = _state_dim(states)
    first = _reference(states, dim, reference)
    with Faults(SUBJECT) as faults:
        number = isinstance(false_alarms, (int, float, np.number)) and not isinstance(false_alarms, bool)
        good = number and 0.001 <= float(false_alarms) <= 0.2
        faults.expect(good, f"false_alarms={false_alarms!r}; expected a probability from 0.001 to 0.2.")
    found = totals(states, labels, lead=dim, subject=SUBJECT)
    below = depths(states, depth, found, subject=SUBJECT)
    exposed = _exposures(states, exposure, dim, found)
    others = [i for i in range(states.sizes[dim]) if i != first]
    cases = list(itertools.product(others, range(len(found.regions)), range(len(found.names))))
    outcomes = [
        _outcome(found, below, exposed, first, case, stream) for case, stream in zip(cases, draws.spawn(len(cases)), strict=True)
    ]
    arguments = {
        "states": states,
        "depth": depth,
        "reference": reference,
        "labels": labels,
        "exposure": exposure,
        "false_alarms": false_alarms,
        "rng": seed,
    }
    names = states.coords[dim].values if dim in states.coords else np.arange(states.sizes[dim])
    sources = [states, *([] if labels is None else [labels])]
    return as_dataset(outcomes, found, below, (dim, names[others], names[first]), arguments, sources)


def _state_dim(states: xr.DataArray) -> str:
    found = [d for d in STATE_DIMS if d in states.dims]
    if len(found) != 1 or states.sizes[found[0]] < 2:
        raise SsbmapsError(
            f"{SUBJECT}: dims {dict(states.sizes)}; expected one of {', '.join(STATE_DIMS)} with two states or more. "
            "Join series with xarray.concat([discharged, charged], 'state')."
        )
    return found[0]


def _reference(states: xr.DataArray, dim: str, reference: Any) -> int:
    if reference is None:
        return 0
    names = states.coords[dim].values.tolist() if dim in states.coords else list(range(states.sizes[dim]))
    if reference not in names:
        raise SsbmapsError(f"{SUBJECT}: reference={reference!r}; the states are {', '.join(map(str, names))}.")
    return int(names.index(reference))


def _exposures(states: xr.DataArray, exposure: Any, dim: str, found: Totals) -> Floats:
    """(state, scan) of the scans that are used."""
    n = states.sizes[dim]
    if exposure is None:
        return np.ones((n, len(found.scans)))
    import xarray as xr

    with Faults(f"{SUBJECT}: exposure") as faults:
        known = isinstance(exposure, xr.DataArray) and set(exposure.dims) in ({dim}, {dim, found.dim})
        fits = known and all(exposure.sizes[d] == states.sizes[d] for d in exposure.dims)
        if faults.expect(fits, f"expected a DataArray ({dim}) or ({dim}, {found.dim}) of the sizes of the states."):
            whole = exposure.transpose(dim, ...).values.astype(float)
            faults.expect(bool(np.isfinite(whole).all() and (whole > 0).all()), "holds values that are not above 0.")
    whole = whole[:, None] if whole.ndim == 1 else whole[:, found.scans]
    return np.broadcast_to(whole, (n, len(found.scans)))


def _outcome(
    found: Totals, below: Depths, exposed: Floats, first: int, case: tuple[int, int, int], rng: np.random.Generator
) -> Outcome:
    other, region, ion = case
    before, after = (found.counts[region, i, :, ion] for i in (first, other))
    states = States(before, after, exposed[other] / exposed[first])
    change = np.where(before > 0, states.change, np.nan)
    sd = np.where(before > 0, np.sqrt(states.variance(states.change)), np.nan)
    n, least = len(before), min(before.mean(), after.mean())
    if n < LEAST_SCANS:
        return Outcome(change, sd, why_not=f"{n} scans with counts; at least {LEAST_SCANS} are needed")
    if least < LEAST_COUNTS:
        return Outcome(change, sd, why_not=f"{least:.2g} counts per scan; at least {LEAST_COUNTS:g} in both states are needed")
    return Outcome(change, sd, measure(states, below.values[found.regions[region]], rng))
