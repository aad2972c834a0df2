"""The Dataset that interphase functions return: numbers with errors, decisions, and the sentence that cannot be misread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._edge_width_fit import ALONE
from ssbmaps.interfaces._interphase_fit import CHI2_90, DEPARTURES
from ssbmaps.interfaces._section import Section, section_spread
from ssbmaps.interfaces._shapes import CORE, SHAPES, SHELL
from ssbmaps.interfaces._shell import thickness_limit

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._particle_shells import Rim
    from ssbmaps.interfaces._shell import Measured
    from ssbmaps.interfaces._shells import Shell

    Floats = NDArray[np.float64]
    Row = dict[str, Any]
    Particles = tuple[Rim, list[tuple[Floats, Floats] | None]]

NORMAL_95 = 1.959964
FLAGS = ("above_noise", "above_reference", "resolved", "model_rejected")
TEXTS = ("model", "models_alike", "statement")


@dataclass(frozen=True)
class Terms:
    """What numbers are stated with: the function's name, the maps' units, and what widens an interval besides statistics.

    `offset_sd` (um) is the prior of the distance between core and shell, used in full or, `told`, as far as the profile leaves it
    open; `relative` and `absolute` (um) add up to a systematic
    standard deviation; `reference` is a pristine contact or a floor in um.
    """

    function: str
    units: str
    offset_sd: float
    told: bool = False
    reference: xr.Dataset | float | None = None
    relative: float = 0.0
    absolute: float = 0.0

    def spread(self, m: Measured, thickness: float) -> float:
        """Standard deviation in um of all that is not statistics."""
        offset = m.sensitivity.get("offset", 0.0) * (m.offset_spread(self.offset_sd) if self.told else self.offset_sd)
        return float(np.hypot(offset, self.relative * thickness + self.absolute))


def as_dataset(
    shells: list[Shell],
    particles: Particles | None,
    terms: Terms,
    arguments: dict[str, Any],
    sources: list[xr.DataArray | xr.Dataset],
) -> xr.Dataset:
    """All results as one Dataset with units, names and history."""
    import xarray as xr

    rows = [row_of(s, terms, None if particles is None else _section(s, particles, k)) for k, s in enumerate(shells)]
    about = descriptions(terms.units)
    variables: dict[str, Any] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        kind = str if name in TEXTS else np.int8 if name in FLAGS else np.int64 if name == "n_pixels" else np.float64
        variables[name] = ("shell", np.array(values, dtype=kind), about[name])
    variables |= _along_departures(shells)
    variables |= _along_distance(shells, terms.units)
    coords: dict[str, Any] = {"shell": ("shell", [s.name for s in shells])}
    coords["departure"] = ("departure", list(DEPARTURES))
    coords["shape"] = ("shape", [s.name for s in SHAPES])
    if particles is not None:
        variables |= _along_particles(*particles)
    centres = variables.pop("distance")
    coords["distance"] = ("distance", centres, {"units": "um", "long_name": "distance to the core's edge, negative inside"})
    result = xr.Dataset(variables, coords)
    reference = terms.reference
    sources = [*sources, *([reference] if isinstance(reference, xr.Dataset) else [])]
    result = finish(result, function=terms.function, arguments=arguments, sources=sources)
    result.attrs["wording"] = "apparent thickness along the section; ion-yield variation is in no interval"
    return result


def _section(shell: Shell, particles: Particles, k: int) -> Section:
    """What is known of the particles: twice their area over their perimeter is their radius, weighted by perimeter."""
    rim, own = particles
    frame = shell.field.frame
    area = float((frame.distance < 0).sum()) * frame.pixel[0] * frame.pixel[1]
    radius = 2 * area / max(float(rim.perimeter.sum()), 1e-12)
    return Section(section_spread(rim.used, own[k]), radius, ALONE * shell.measured.fit.value("sigma"))


def row_of(shell: Shell, terms: Terms, section: Section | None) -> Row:
    """Every number of one shell; `section` tells how particles differ where interfaces are curved."""
    m, fit = shell.measured, shell.measured.fit
    sd = np.sqrt(np.maximum(np.diag(fit.covariance()), 0) * m.dispersion)
    n_geometry = len(fit.geometry)
    core, own = (
        fit.levels[int(np.flatnonzero(m.data.kinds == CORE)[0])],
        fit.levels[int(np.flatnonzero(m.data.kinds == SHELL)[0])],
    )
    own_sd = sd[n_geometry + 3 :]
    contrast = None if shell.level is None else shell.level - own[2]
    thickness = _thickness(m, terms, section)
    resolved = bool(np.isfinite(thickness["thickness"]))
    row: Row = {
        "above_noise": int(m.above_noise),
        "resolved": int(resolved),
        "model_rejected": int(m.misfit.rejected),
        **thickness,
    }
    limit, declared = (np.nan, False) if resolved else thickness_limit(m, contrast, terms.spread)
    row["upper_limit"] = limit
    excess, excess_error = (m.excess, m.excess_sd) if resolved else (m.thin_excess, m.thin_excess_sd)
    row |= {
        "likelihood_ratio": m.likelihood_ratio,
        "thickness_ratio": m.thickness_ratio,
        "excess": excess,
        "excess_sd": excess_error,
    }
    row |= {"excess_low": excess - NORMAL_95 * excess_error, "excess_high": excess + NORMAL_95 * excess_error}
    if contrast is not None:
        scaled = [row[f"excess{s}"] / contrast if contrast > 0 else np.nan for s in ("", "_sd", "_low", "_high")]
        row |= dict(zip([f"equivalent_thickness{s}" for s in ("", "_sd", "_low", "_high")], scaled, strict=True))
    for name, value, error in (
        ("sigma", fit.value("sigma"), sd[2]),
        ("offset", fit.value("s0"), sd[0]),
        ("amplitude", own[1], own_sd[1]),
        ("level_in", own[0], own_sd[0]),
        ("level_out", own[2], own_sd[2]),
        ("core_level", core[0], sd[n_geometry]),
        ("core_level_shell", core[1], sd[n_geometry + 1]),
        ("core_level_out", core[2], sd[n_geometry + 2]),
    ):
        row |= {name: value, f"{name}_sd": error}
    for name, (ratio, p) in shell.consistency.items():
        row |= {f"{name}_consistency": ratio, f"{name}_consistency_p": p}
    row |= {"dispersion": m.dispersion, "misfit": m.misfit.size, "p_value": m.misfit.p_value}
    row |= _coverage(shell)
    row |= {"model": fit.shape.name, "models_alike": " ".join(m.alike)}
    if terms.reference is not None:
        row["above_reference"] = int(_above(row, shell.name, terms))
    row["statement"] = statement(row, shell.name, shell.level, declared=declared)
    return row


def _thickness(m: Measured, terms: Terms, section: Section | None) -> Row:
    """Thickness with its interval: profile likelihood, the other terms in quadrature; NaN unless that bounds it."""
    suffixes = ("", "_sd", "_low", "_high")
    values = np.full(4, np.nan)
    if m.bounded:
        d = m.fit.value("d")
        term = NORMAL_95 * terms.spread(m, d)
        low, high = d - np.hypot(d - m.interval.low, term), d + np.hypot(m.interval.high - d, term)
        if low > 0:
            values = np.array([d, (high - low) / (2 * NORMAL_95), low, high])
    row = dict(zip([f"thickness{s}" for s in suffixes], values.tolist(), strict=True))
    if section is not None:
        d, low, high = (section.true(float(values[i])) for i in (0, 2, 3))
        wider = section.spread * d
        low, high = d - np.hypot(d - low, wider), d + np.hypot(high - d, wider)
        true = (d, (high - low) / (2 * NORMAL_95), max(low, 0.0), high)
        row |= dict(zip([f"true_thickness{s}" for s in suffixes], map(float, true), strict=True))
    return row


def _coverage(shell: Shell) -> Row:
    """Length of the edge that the fit used, and its share of the edge in the measured map."""
    field, use = shell.field, shell.measured.use
    band = np.isfinite(field.frame.distance) & (np.abs(field.frame.distance) <= field.size)
    per_pixel = field.frame.pixel[0] * field.frame.pixel[1] / (2 * field.size)
    used = float(field.share[use & (np.abs(field.s) <= field.size)].sum())
    return {
        "contact": used / max(float(band.sum()), 1.0),
        "interface_length": used * per_pixel,
        "n_pixels": round(float(field.share[use].sum())),
    }


def _above(row: Row, name: str, terms: Terms) -> bool:
    """Whether the shell exceeds the reference contact, at 5 % one-sided."""
    reference: Any = terms.reference
    if not row["above_noise"]:
        return False
    if isinstance(reference, (int, float, np.number)):
        if row["resolved"]:
            return bool(row["thickness_low"] > reference)
        lowest = row.get("equivalent_thickness", np.nan) - np.sqrt(CHI2_90) * row.get("equivalent_thickness_sd", np.nan)
        return bool(lowest > reference)
    try:
        other = reference.sel(shell=name)
        pairs = [(float(other[n]), float(other[f"{n}_sd"])) for n in ("excess", "core_level")]
    except (KeyError, AttributeError, TypeError):
        raise SsbmapsError(
            f"{terms.function}: reference holds no shell {name!r} with excess and core_level; expected a number in um or what "
            "fit_interphase returned for the pristine section, with the same names of shells."
        ) from None
    own = _relative((row["excess"], row["excess_sd"]), (row["core_level"], row["core_level_sd"]))
    theirs = _relative(*pairs)
    return bool(own[0] - theirs[0] > np.sqrt(CHI2_90) * np.hypot(own[1], theirs[1]))


def _relative(excess: tuple[float, float], core: tuple[float, float]) -> tuple[float, float]:
    ratio = excess[0] / core[0]
    return ratio, float(np.hypot(excess[1] / core[0], ratio * np.nan_to_num(core[1]) / core[0]))


def statement(row: Row, name: str, level: float | None, *, declared: bool) -> str:
    """The result in words that cannot be misread."""
    limit = row["upper_limit"]
    bound = f"thickness < {1e3 * limit:.0f} nm (95 %)" + (f" if the yield equals {level:g}" if declared else "")
    if not row["above_noise"]:
        text = "Not distinguishable from the reference contact" + (f"; {bound}." if np.isfinite(limit) else ".")
    elif row["resolved"]:
        d, low, high = (1e3 * row[f"thickness{s}"] for s in ("", "_low", "_high"))
        text = (
            f"Apparent thickness of the {name}-emitting region in this section: {d:.0f} nm [{low:.0f}, {high:.0f}] "
            "(statistics and the stated model terms; ion-yield variation not included)."
        )
        if "true_thickness" in row:
            known = "" if np.isfinite(row["true_thickness_low"]) else ", interval undetermined (a single particle)"
            text += f" Isotropic-section estimate of the true thickness: {1e3 * row['true_thickness']:.0f} nm{known}."
    else:
        text = "Signal above noise; " + (bound if np.isfinite(limit) else "thickness not bounded")
        if "equivalent_thickness" in row:
            text += f"; equivalent thickness {1e3 * row['equivalent_thickness']:.0f} nm if the yield equals {level:g}"
        text += "."
    if row.get("above_reference") == 0 and row["above_noise"]:
        text += " Not above the reference."
    if row["model_rejected"]:
        text += f" No model tried describes the profile (misfit {row['misfit']:.0%} of the step): do not rely on the numbers."
    return text


def _along_departures(shells: list[Shell]) -> Row:
    sensitivity = [[s.measured.sensitivity.get(n, np.nan) for s in shells] for n in DEPARTURES]
    gains = np.array([[s.measured.evidence.get(shape.name, (np.nan, np.nan)) for s in shells] for shape in SHAPES])
    return {
        "d_sensitivity": (
            ("departure", "shell"),
            np.array(sensitivity),
            {"units": "um", "long_name": "change of the thickness per um of offset, or per unit of the other departures"},
        ),
        "held_out_gain": (
            ("shape", "shell"),
            gains[..., 0],
            {"units": "1", "long_name": "nats gained over a box on held-out data"},
        ),
        "held_out_gain_sd": (("shape", "shell"), gains[..., 1], {"units": "1", "long_name": "standard error of held_out_gain"}),
    }


def _along_distance(shells: list[Shell], units: str) -> Row:
    """Profiles in bins of half a pixel, common to all shells; NaN where a shell's window does not reach."""
    step = shells[0].field.size / 2
    bins = [np.floor(s.measured.data.s / step).astype(np.int64) for s in shells]
    first, last = min(b.min() for b in bins), max(b.max() for b in bins)
    columns: Row = {}
    for kind, word in ((CORE, "core"), (SHELL, "shell")):
        found = [_profile(s.measured, b - first, int(last - first + 1), kind) for s, b in zip(shells, bins, strict=True)]
        for name, text, values in zip(
            (f"{word}_profile", f"{word}_profile_sem", f"{word}_model"),
            ("mean per pixel", "standard error of the mean, from counting or the stated variance", "fitted model"),
            np.moveaxis(np.array(found), 1, 0),
            strict=True,
        ):
            columns[name] = (("shell", "distance"), values, {"units": units, "long_name": f"{word}'s signal: {text}"})
    return {**columns, "distance": (np.arange(first, last + 1) + 0.5) * step}


def _profile(m: Measured, index: NDArray[np.int64], n_bins: int, kind: int) -> Floats:
    """(3, bins) mean, its error, and the model."""
    channel = int(np.flatnonzero(m.data.kinds == kind)[0])
    expected, variance = (v[channel] for v in m.data.expected(m.fit.mean))
    weight = m.data.n if m.data.positive else m.data.weight[channel]  # type: ignore[union-attr]
    sums = [np.bincount(index, v, n_bins) for v in (m.data.total[channel], variance, expected, weight)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[3] > 0, np.stack([sums[0], np.sqrt(sums[1]), sums[2]]) / sums[3], np.nan)


def _along_particles(rim: Rim, own: list[tuple[Floats, Floats] | None]) -> Row:
    blank = np.full((2, len(rim.label)), np.nan)
    values = np.array([blank if o is None else np.stack(o) for o in own])
    text = "apparent thickness of the particle's shell"
    return {
        "particle_thickness": (("shell", "particle"), values[:, 0], {"units": "um", "long_name": text}),
        "particle_thickness_sd": (("shell", "particle"), values[:, 1], {"units": "um", "long_name": f"{text}: standard error"}),
        "particle_label": ("particle", rim.label, {"units": "1", "long_name": "number of the particle"}),
        "particle_perimeter": ("particle", rim.perimeter, {"units": "um", "long_name": "length of the particle's edge"}),
        "particle_y": ("particle", rim.y, {"units": "um", "long_name": "centre of the particle's area, y"}),
        "particle_x": ("particle", rim.x, {"units": "um", "long_name": "centre of the particle's area, x"}),
    }


def descriptions(units: str) -> dict[str, dict[str, str]]:
    """`units` and `long_name` of every variable along `shell`."""
    with_interval = {
        "thickness": ("um", "apparent thickness along the section"),
        "true_thickness": ("um", "isotropic-section estimate of the true thickness"),
        "excess": (f"{units} um", "signal of the shell above what lies outside, summed across it, per pixel"),
        "equivalent_thickness": ("um", "excess over the declared level of the shell's material"),
    }
    with_sd = {
        "sigma": ("um", "width of the edges: beam, pixel and intermixing"),
        "offset": ("um", "position of the core's edge against the given distance"),
        "amplitude": (units, "level of the shell's signal in the shell"),
        "level_in": (units, "level of the shell's signal in the core"),
        "level_out": (units, "level of the shell's signal outside"),
        "core_level": (units, "level of the core's signal in the core"),
        "core_level_shell": (units, "level of the core's signal in the shell"),
        "core_level_out": (units, "level of the core's signal outside"),
    }
    plain = {
        "above_noise": ("1", "1: a shell is there beyond chance (likelihood ratio above 16.2)"),
        "above_reference": ("1", "1: it exceeds the reference"),
        "resolved": ("1", "1: a thickness is there beyond chance, and bounded from both sides"),
        "model_rejected": ("1", "1: no model tried describes the profile"),
        "upper_limit": ("um", "95 % upper limit of the thickness"),
        "likelihood_ratio": ("1", "2 ln(L1/L0) against no shell, over the dispersion"),
        "thickness_ratio": ("1", "2 ln(L1/L0) against a shell of next to no thickness, over the dispersion"),
        "shell_consistency": ("1", "likelihood ratio of the shell's ions with thicknesses of their own"),
        "shell_consistency_p": ("1", "probability of such a ratio if they share one"),
        "core_consistency": ("1", "likelihood ratio of the core's ions with edges of their own"),
        "core_consistency_p": ("1", "probability of such a ratio if they share one"),
        "dispersion": ("1", "χ² per degree of freedom of the profile"),
        "misfit": ("1", "root-mean-square of the profile that the model leaves unexplained, over the step"),
        "p_value": ("1", "probability of such a lack of fit"),
        "contact": ("1", "share of the core's edge that is in contact and used"),
        "interface_length": ("um", "length of the edge that was used"),
        "n_pixels": ("1", "number of pixels used"),
        "model": ("1", "shape that describes held-out data best"),
        "models_alike": ("1", "shapes that do so as well; the interval covers theirs"),
        "statement": ("1", "the result in words"),
    }
    about = {name: {"units": unit, "long_name": text} for name, (unit, text) in (with_interval | with_sd | plain).items()}
    words = {"_sd": "standard error", "_low": "95 % interval, low end", "_high": "95 % interval, high end"}
    for name, (unit, text) in (with_interval | with_sd).items():
        for suffix, word in words.items():
            about[name + suffix] = {"units": unit, "long_name": f"{text}: {word}"}
    return about
