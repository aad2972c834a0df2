"""A composite section followed over cycles of charge and discharge, with planted behaviour of every fragment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import LONG_NAMES, raster_coords
from ssbmaps._errors import Faults
from ssbmaps._ions import parse_ion
from ssbmaps._provenance import finish
from ssbmaps.synthetic._recipe import Instrument
from ssbmaps.synthetic._scene import stream
from ssbmaps.synthetic._section import check_seed, cross_section

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "synthetic.operando_series"
TIME_STREAM, FLUCTUATION_STREAM, COUNT_STREAM, CURRENT_STREAM = 20, 21, 22, 23
FRAGMENTS = ("S2-", "PO2-", "PO3-", "SO3-", "NiO2-")
PHASES = ("NCA", "electrolyte", "interphase")
# Counts per pixel and time at the first time, by phase: sulfides from the electrolyte, oxidised species from the interphase.
LEVELS = {
    "NCA": (0.3, 0.1, 0.1, 0.1, 12.0),
    "electrolyte": (9.0, 0.4, 0.4, 0.4, 0.2),
    "interphase": (3.0, 4.0, 5.0, 4.0, 0.5),
}
VOLTAGES = (2.9, 4.3)  # discharged and charged, V
PIXEL, BEAM = 0.2, 0.3  # um: side of a pixel, full width at half maximum of the beam
FLUCTUATION_LENGTH = 3.0  # pixels


@dataclass(frozen=True)
class Cycling:
    """When the cell is charged and discharged: cycles of `period` h, charge first, from -1 cycle on."""

    n_cycles: int
    period: float

    def charge(self, time: Floats) -> Floats:
        """State of charge, 0 to 1: a triangle wave, as at constant current."""
        return 1 - np.abs(2 * ((time / self.period) % 1.0) - 1)

    def voltage(self, time: Floats) -> Floats:
        """A voltage that rises with the state of charge, steepest at the ends."""
        q = self.charge(time)
        return np.asarray(VOLTAGES[0] + (VOLTAGES[1] - VOLTAGES[0]) * (q + 0.08 * np.sin(2 * np.pi * q)))

    def charged_so_far(self, time: Floats) -> Floats:
        """Number of charges so far; rises during charge and stays during discharge."""
        whole, part = np.divmod(time / self.period, 1.0)
        return np.asarray(whole + np.minimum(2 * part, 1.0))


def operando_series(
    *,
    seed: int = 0,
    shape: Sequence[int] = (64, 64),
    n_cycles: int = 10,
    per_cycle: int = 8,
    period: float = 10.0,
    lag: float = 0.6,
    swing: float = 0.5,
    reversibility: float = 0.8,
    accumulation: float = 0.6,
    fluctuation: float = 0.1,
    current_noise: float = 0.03,
    dose: float = 1.0,
) -> xr.Dataset:
    """Make ToF-SIMS maps of a NCA/thiophosphate composite over cycles, with planted truth.

    SO3- follows the voltage with a lag, and a share of what comes on every charge stays; PO2- and PO3- accumulate with the
    square root of time; S2- falls by a tenth of `accumulation` in a straight line; NiO2- does not change. All have their own
    levels in NCA, electrolyte and interphase, and all of a fragment changes by one factor everywhere.

    Parameters
    ----------
    seed : int
        Geometry, times, fluctuation, current and counts each have their own random stream derived from it.
    shape : (int, int)
        Pixels along y and x, 0.2 um each.
    n_cycles, per_cycle : int, int
        Cycles, charge first, and maps in each; an even number of them. Ends of half-cycles are always measured, the other times
        lie irregularly between them.
    period : float
        Duration of a cycle, h.
    lag : float
        Delay of SO3- behind the voltage, h; at most a quarter of a half-cycle.
    swing : float
        Relative change of SO3- between the lowest and the highest voltage.
    reversibility : float
        Share of the change of SO3- on charge that returns on discharge, above 0 and at most 1.
    accumulation : float
        Relative gain of PO2- and PO3- by the last time.
    fluctuation : float
        Relative standard deviation of yield from time to time, from place to place, correlated over 3 pixels.
    current_noise : float
        Relative standard deviation of the primary current from time to time, recorded in ``primary_current``.
    dose : float
        Multiplies all levels.

    Returns
    -------
    xarray.Dataset
        ``counts`` (time, fragment, y, x), uint32; ``labels`` (y, x) with flags; ``distance`` (y, x), um, negative in NCA;
        ``factor`` (time, fragment), the planted factor on each fragment; ``primary_current`` (time), nA, with ``_sd``;
        ``record_voltage`` (record_time), V, from a cycle before the first map to one after the last. Along time:
        ``voltage`` (V), ``cycle``, ``state`` ("discharged", "charged" at ends of half-cycles, else "charging", "discharging").
        Attributes: ``lag``, ``swing``, ``reversibility``, ``accumulation``, ``period``.

    Raises
    ------
    SsbmapsError
        If an argument is out of range; all faults are named at once.

    Notes
    -----
    The planted share is exact at the ends of half-cycles. SO3- is 1 + swing v(t − lag) + what stays, with v the voltage between 0
    and 1; what stays rises on charge, with the same delay, and keeps its value on discharge.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> series = synthetic.operando_series(seed=1, shape=(32, 32), n_cycles=2)
    >>> dict(series.counts.sizes)
    {'time': 17, 'fragment': 5, 'y': 32, 'x': 32}
    >>> series.attrs["reversibility"]
    0.8
    """
    import xarray as xr

    arguments = {k: v for k, v in locals().items() if k != "xr"}
    _check(arguments)
    cycling = Cycling(int(n_cycles), float(period))
    time, state = _times(seed, cycling, int(per_cycle))
    section = cross_section(
        seed=seed,
        shape=shape,
        pixel_size=PIXEL,
        n_scans=1,
        thickness=0.5,
        instrument=Instrument(drift=0, drift_walk=0, gain=0, beam_fwhm=BEAM),
    )
    factor = _factors(cycling, time, lag, swing, reversibility, accumulation)
    current = 1 + current_noise * stream(seed, CURRENT_STREAM).standard_normal(len(time))
    yields = _fluctuation(seed, len(time), (int(shape[0]), int(shape[1])), fluctuation)
    cover = _coverage(section)
    expected = np.einsum("pf,pyx->fyx", dose * np.array([LEVELS[p] for p in PHASES]), cover)
    mean = np.maximum(current, 0.05)[:, None, None, None] * factor[:, :, None, None] * yields[:, None] * expected
    counts = stream(seed, COUNT_STREAM).poisson(mean).astype(np.uint32)
    coords: dict[str, Any] = {
        **raster_coords(counts.shape[2:], (PIXEL, PIXEL)),
        "time": ("time", time, {"units": "h", "long_name": "time"}),
        "fragment": ("fragment", list(FRAGMENTS)),
        "mz": ("fragment", np.array([parse_ion(f).mz for f in FRAGMENTS]), {"units": "Da", "long_name": LONG_NAMES["mz"]}),
        "voltage": ("time", cycling.voltage(time), {"units": "V", "long_name": "voltage"}),
        "cycle": ("time", time / period, {"units": "1", "long_name": "cycle"}),
        "state": ("time", state),
        "record_time": ("record_time", *_record(cycling, period)[:1], {"units": "h", "long_name": "time"}),
    }
    variables = {
        "counts": (("time", "fragment", "y", "x"), counts, {"units": "counts", "long_name": "measured counts"}),
        "labels": (("y", "x"), *_labels(cover)),
        "distance": (("y", "x"), section["distance"].values, {"units": "um", "long_name": "distance to the edge of NCA"}),
        "factor": (("time", "fragment"), factor, {"units": "1", "long_name": "planted factor"}),
        "primary_current": ("time", current, {"units": "nA", "long_name": "primary current"}),
        "primary_current_sd": ("time", np.full(len(time), 0.002), {"units": "nA", "long_name": "its standard error"}),
        "record_voltage": ("record_time", _record(cycling, period)[1], {"units": "V", "long_name": "voltage"}),
    }
    result = finish(xr.Dataset(variables, coords), function=SUBJECT, arguments=arguments)
    result.attrs.update(technique="tof-sims", polarity="negative", source="synthetic")
    result.attrs |= {"lag": float(lag), "swing": float(swing), "period": float(period)}
    result.attrs |= {"reversibility": float(reversibility), "accumulation": float(accumulation)}
    return result


def _check(arguments: dict[str, Any]) -> None:
    check_seed(arguments["seed"], subject=SUBJECT)
    with Faults(SUBJECT) as faults:
        for name, least in (("n_cycles", 1), ("per_cycle", 2)):
            value = arguments[name]
            whole = isinstance(value, (int, np.integer)) and bool(value >= least)
            faults.expect(whole, f"{name} is {value!r}; expected a whole number of {least} or more.")
        faults.expect(arguments["per_cycle"] % 2 == 0, f"per_cycle is {arguments['per_cycle']}; expected an even number.")
        for name in ("period", "dose"):
            faults.expect(arguments[name] > 0, f"{name} is {arguments[name]}; expected more than 0.")
        for name in ("swing", "accumulation", "fluctuation", "current_noise"):
            faults.expect(arguments[name] >= 0, f"{name} is {arguments[name]}; expected 0 or more.")
        good = 0 <= arguments["lag"] <= arguments["period"] / 8
        faults.expect(good, f"lag is {arguments['lag']} h; expected 0 to period/8, so that a charge still raises SO3-.")
        share = arguments["reversibility"]
        faults.expect(0 < share <= 1, f"reversibility is {share}; expected a share above 0 and up to 1.")


def _times(seed: int, cycling: Cycling, per_cycle: int) -> tuple[Floats, list[str]]:
    """Times in h, the ends of half-cycles among them, and the state of charge in words."""
    half, inner = cycling.period / 2, per_cycle // 2 - 1
    rng = stream(seed, TIME_STREAM)
    time, state = [0.0], ["discharged"]
    for k in range(2 * cycling.n_cycles):
        within = (np.arange(1, inner + 1) + rng.uniform(-0.35, 0.35, inner)) / (inner + 1)
        time += [half * (k + w) for w in within] + [half * (k + 1)]
        state += ["discharging" if k % 2 else "charging"] * inner + ["discharged" if k % 2 else "charged"]
    return np.array(time), state


def _factors(c: Cycling, time: Floats, lag: float, swing: float, share: float, accumulation: float) -> Floats:
    """(time, fragment) factor on the yield of each fragment."""

    def relative(t: Floats) -> Floats:
        return (c.voltage(t) - VOLTAGES[0]) / (VOLTAGES[1] - VOLTAGES[0])

    returned = swing * float(np.diff(relative(np.array([-lag, c.period / 2 - lag])))[0])
    late = 2 * lag / c.period  # of what stays, the share that comes after the end of the charge
    stays = returned * (1 - share) / (share + (1 - share) * late)
    grown = 1 + accumulation * np.sqrt(time / time[-1])
    columns = {
        "S2-": 1 - 0.1 * accumulation * time / time[-1],
        "PO2-": grown,
        "PO3-": grown,
        "SO3-": 1 + swing * relative(time - lag) + stays * c.charged_so_far(time - lag),
        "NiO2-": np.ones_like(time),
    }
    return np.stack([columns[f] for f in FRAGMENTS], axis=1)


def _fluctuation(seed: int, n_times: int, shape: tuple[int, int], size: float) -> Floats:
    """(time, y, x) fields of mean 1, smooth over 3 pixels, independent from time to time, of known relative scatter."""
    from scipy.ndimage import gaussian_filter

    white = stream(seed, FLUCTUATION_STREAM).standard_normal((n_times, *shape))
    smooth = gaussian_filter(white, (0, FLUCTUATION_LENGTH, FLUCTUATION_LENGTH), mode="wrap")
    scale = 1 / (2 * np.sqrt(np.pi) * FLUCTUATION_LENGTH)  # of the smoothed white noise
    return np.asarray(np.exp(size * smooth / scale - size**2 / 2))


def _coverage(section: xr.Dataset) -> Floats:
    """(phase, y, x) blurred share of NCA, electrolyte and interphase."""
    from scipy.ndimage import gaussian_filter

    names = ("NMC", "electrolyte", "POx")
    return np.stack([gaussian_filter(section["coverage"].sel(phase=p).values, BEAM / 2.3548 / PIXEL) for p in names])


def _labels(cover: Floats) -> tuple[NDArray[np.int16], dict[str, Any]]:
    """The phase with most of a pixel, 0 where none has half of it."""
    labels = np.where(cover.max(axis=0) > 0.5, cover.argmax(axis=0) + 1, 0).astype(np.int16)
    flags = {"flag_values": np.arange(4, dtype=np.int16), "flag_meanings": " ".join(("unassigned", *PHASES))}
    return labels, {"units": "1", "long_name": "phase", **flags}


def _record(cycling: Cycling, period: float) -> tuple[Floats, Floats]:
    """Time and voltage as a cycler records them, 200 points per cycle."""
    time = np.linspace(-period, (cycling.n_cycles + 1) * period, 200 * (cycling.n_cycles + 2) + 1)
    return time, cycling.voltage(time)
