"""What a section is made of: layout, instrument, departures from the simple model; checked, and kept as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.synthetic._levels import FRAGMENT_LEVELS, FRAGMENTS, PHASES

if TYPE_CHECKING:
    from collections.abc import Mapping

GEOMETRIES = ("particles", "spheres", "planar", "disc")
SHELL_PROFILES = ("uniform", "falling", "exponential", "diffuse")
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))


@dataclass(frozen=True)
class Layout:
    """Where the phases of a section lie.

    Parameters
    ----------
    fill : float
        Share of the area that NMC should cover; random placement reaches about 0.5 with the default gap.
    radius : tuple of float
        Smallest and largest particle radius, um (radius of the sphere for ``geometry="spheres"``). Radii are at most
        a quarter of the shorter side of the map.
    gap : float
        Least distance between two particles, um. Fibres and voids keep half of it from every particle.
    touching : float
        Share of particles that may come as close as 0.05 um to another, so that their shells merge.
    roughness : float
        Relative size of the smooth waves on the outlines; 0 gives circles.
    cracked : float
        Share of particles with thin cracks inside, which end before the outline.
    contact_loss : float
        Share of particles with a crescent-shaped void on part of their outline; no shell grows there.
    fibres, voids : float
        Share of the area to be covered by carbon fibres and by voids in the electrolyte.
    disc_radius : float, optional
        Radius of the one particle of ``geometry="disc"``, um; by default 0.3 times the shorter side.
    angle : float
        ``geometry="planar"``: angle between the layers and the x axis, degrees.
    layers : sequence of (str, float), optional
        ``geometry="planar"``: names and thicknesses (um) of the layers from top to bottom, centred on the map; the first
        and the last go on to the edge of the map and beyond. By default NMC over electrolyte.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> synthetic.Layout(layers=(("electrolyte", 3.0), ("NMC", 4.0), ("carbon", 3.0))).layers[1]
    ('NMC', 4.0)
    """

    fill: float = 0.45
    radius: tuple[float, float] = (1.0, 5.0)
    gap: float = 0.6
    touching: float = 0.1
    roughness: float = 0.12
    cracked: float = 0.25
    contact_loss: float = 0.0
    fibres: float = 0.02
    voids: float = 0.02
    disc_radius: float | None = None
    angle: float = 5.0
    layers: tuple[tuple[str, float], ...] | None = None

    def _check(self, faults: Faults) -> None:
        low, high = self.radius
        faults.expect(0 < low <= high, f"layout.radius is {self.radius}; expected 0 < smallest <= largest, in um.")
        for name in ("fill", "touching", "cracked", "contact_loss", "fibres", "voids"):
            value = getattr(self, name)
            faults.expect(0 <= value <= 1, f"layout.{name} is {value}; expected a share between 0 and 1.")
        faults.expect(0 <= self.roughness <= 0.2, f"layout.roughness is {self.roughness}; expected 0 to 0.2.")
        faults.expect(self.gap > 0, f"layout.gap is {self.gap} um; expected a positive distance.")
        radius = self.disc_radius
        faults.expect(radius is None or radius > 0, f"layout.disc_radius is {radius} um; expected a positive radius.")
        for name, thickness in self.layers or ():
            faults.expect(thickness > 0, f"layout.layers: {name!r} is {thickness} um thick; expected a positive thickness.")


@dataclass(frozen=True)
class Instrument:
    """How a section is measured by ToF-SIMS.

    Parameters
    ----------
    dose : float
        Multiplies all planted count levels.
    beam_fwhm : float
        Full width at half maximum of the Gaussian beam, um.
    halo_fraction, halo_fwhm : float
        Share of the beam that lies in a second, wider Gaussian, and its width, um.
    shots : int
        Primary-ion shots per pixel and scan. A shot gives at most one count in a dead-time window, so that counts are
        binomial out of this number.
    dead_time : float
        Dead time of the detector, ns; 0 makes the counts Poisson, without upper limit. A count masks heavier fragments
        that arrive within this time.
    flight_time : float
        Flight time, us, of an ion of 1 Da; it grows with the square root of m/z. Tells which fragments mask which.
    gain, gain_length : float
        Relative standard deviation of the detection gain over the map, and the length on which it varies, um.
    drift, drift_walk : float
        Stage drift from the first to the last scan, um, in a random direction, and the random step added per scan, um.
        The mean position over all scans is that of the geometry.
    transient : mapping of str to float
        Relative excess of a fragment in the first scan; scan k is multiplied by 1 + a exp(−k / transient_depth).
    transient_depth : float
        Scans in which the transient falls to 1/e.
    leak : sequence of (str, str, float)
        (from, to, share): this share of the first fragment is also counted as the second, as an isobar would be.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> synthetic.Instrument(dead_time=0, drift=0, gain=0).beam_fwhm
    0.2
    """

    dose: float = 1.0
    beam_fwhm: float = 0.2
    halo_fraction: float = 0.0
    halo_fwhm: float = 1.0
    shots: int = 25
    dead_time: float = 65.0
    flight_time: float = 3.44
    gain: float = 0.05
    gain_length: float = 6.0
    drift: float = 0.1
    drift_walk: float = 0.01
    transient: Mapping[str, float] = field(default_factory=lambda: {"C2-": 1.5, "SO3-": 0.4})
    transient_depth: float = 2.0
    leak: tuple[tuple[str, str, float], ...] = (("PS-", "PO2-", 0.05),)

    @property
    def sigma_psf(self) -> float:
        """Standard deviation of the beam, um."""
        return self.beam_fwhm / FWHM_PER_SIGMA

    @property
    def halo_sigma(self) -> float:
        """Standard deviation of the halo, um; 0 without a halo."""
        return self.halo_fwhm / FWHM_PER_SIGMA if self.halo_fraction > 0 else 0.0

    def _check(self, faults: Faults, pixel: float) -> None:
        for name in ("beam_fwhm", "halo_fwhm", "dead_time", "gain", "drift", "drift_walk"):
            faults.expect(getattr(self, name) >= 0, f"instrument.{name} is {getattr(self, name)}; expected 0 or more.")
        for name in ("dose", "gain_length", "transient_depth", "flight_time"):
            faults.expect(getattr(self, name) > 0, f"instrument.{name} is {getattr(self, name)}; expected more than 0.")
        faults.expect(0 <= self.halo_fraction < 1, f"instrument.halo_fraction is {self.halo_fraction}; expected 0 to below 1.")
        faults.expect(self.gain <= 0.3, f"instrument.gain is {self.gain}; expected at most 0.3, so that the gain stays positive.")
        faults.expect(int(self.shots) == self.shots >= 1, f"instrument.shots is {self.shots}; expected a whole number above 0.")
        moves = self.drift > 0 or self.drift_walk > 0
        faults.expect(
            not moves or self.beam_fwhm >= 0.5 * pixel,
            f"instrument.beam_fwhm is {self.beam_fwhm} um with drift; expected at least half a pixel, {0.5 * pixel:g} um, since "
            "a sharper image cannot be shifted by parts of a pixel. Widen the beam or set drift=0 and drift_walk=0.",
        )
        named = [*self.transient, *(f for pair in self.leak for f in pair[:2])]
        unknown = sorted({f for f in named if f not in FRAGMENTS})
        faults.expect(not unknown, f"instrument names unknown fragments {', '.join(unknown)}; known are {', '.join(FRAGMENTS)}.")
        low = [a for a in self.transient.values() if a < -1]
        faults.expect(not low, f"instrument.transient holds {low}; expected -1 or more, since counts cannot be negative.")
        shares = [share for *_, share in self.leak if not 0 <= share <= 1]
        faults.expect(not shares, f"instrument.leak holds the shares {shares}; expected 0 to 1.")


@dataclass(frozen=True)
class Departures:
    """Where a section departs from a uniform shell with sharp edges around a uniform core.

    Parameters
    ----------
    shell_profile : {"uniform", "falling", "exponential", "diffuse"}
        Yield of the shells across their thickness d: constant; falling in a straight line from 1 to 1/3; exp(−s/d) without
        end; constant with an outer edge of Gaussian width `outer_width`.
    outer_width : float
        Standard deviation of the diffuse outer edge, um.
    shell_offset : float
        Distance from the core's edge to the start of the shells, um, filled with electrolyte.
    core_yield, core_yield_depth : float
        Factor on the core's yield in its outermost layer, and the thickness of that layer, um.
    mixing_layer : float
        Thickness, um, of a layer that straddles the core's edge and emits like the shells, with or without a shell: what
        ion-beam mixing of oxide and sulfide makes alone.
    sigma_int : float
        Standard deviation, um, of chemical intermixing: blurs NMC, electrolyte and shells, not carbon and voids.
    thickness_spread : float
        Relative standard deviation of the shell thickness from particle to particle (log-normal).
    cut_angle : float
        Angle, degrees, between the interfaces and the normal of the section: layers look 1/cos wider. Spheres have
        their own.

    Examples
    --------
    >>> from ssbmaps import synthetic
    >>> synthetic.Departures(core_yield=1.5).core_yield_depth
    0.05
    """

    shell_profile: str = "uniform"
    outer_width: float = 0.05
    shell_offset: float = 0.0
    core_yield: float = 1.0
    core_yield_depth: float = 0.05
    mixing_layer: float = 0.0
    sigma_int: float = 0.0
    thickness_spread: float = 0.0
    cut_angle: float = 0.0

    def _check(self, faults: Faults, geometry: str) -> None:
        known = self.shell_profile in SHELL_PROFILES
        faults.expect(known, f"departures.shell_profile is {self.shell_profile!r}; expected one of {', '.join(SHELL_PROFILES)}.")
        for name in ("shell_offset", "core_yield", "core_yield_depth", "mixing_layer", "sigma_int", "thickness_spread"):
            faults.expect(getattr(self, name) >= 0, f"departures.{name} is {getattr(self, name)}; expected 0 or more.")
        faults.expect(self.outer_width > 0, f"departures.outer_width is {self.outer_width} um; expected more than 0.")
        faults.expect(0 <= self.cut_angle < 80, f"departures.cut_angle is {self.cut_angle}; expected 0 to below 80 degrees.")
        faults.expect(
            self.cut_angle == 0 or geometry != "spheres",
            "departures.cut_angle is given for spheres; expected 0, since a section through a sphere is oblique by itself.",
        )


@dataclass(frozen=True)
class Recipe:
    """All arguments of a section: what `sam_maps` and `raman_map` need to see the same sample again."""

    seed: int
    shape: tuple[int, int]
    pixel_size: float
    n_scans: int
    geometry: str
    thickness: float
    thickness_SOx: float
    levels: Mapping[str, Mapping[str, float]]
    layout: Layout
    instrument: Instrument
    departures: Departures

    @property
    def phases(self) -> tuple[str, ...]:
        """The six known phases, then those that only this section's layers have."""
        extra = [name for name, _ in self.layout.layers or () if name not in PHASES]
        return (*PHASES, *dict.fromkeys(extra))

    def check(self) -> None:
        """Raise with every fault at once."""
        with Faults("synthetic.cross_section") as faults:
            faults.expect(self.seed >= 0, f"seed is {self.seed}; expected an int of 0 or more.")
            faults.expect(min(self.shape) >= 4, f"shape is {self.shape}; expected at least 4 x 4 pixels (y, x).")
            faults.expect(self.pixel_size > 0, f"pixel_size is {self.pixel_size} um; expected more than 0.")
            faults.expect(self.n_scans >= 1, f"n_scans is {self.n_scans}; expected 1 or more.")
            known = self.geometry in GEOMETRIES
            faults.expect(known, f"geometry is {self.geometry!r}; expected one of {', '.join(GEOMETRIES)}.")
            faults.expect(self.thickness >= 0, f"thickness is {self.thickness} um; expected 0 (no shell) or more.")
            faults.expect(
                0 <= self.thickness_SOx <= self.thickness,
                f"thickness_SOx is {self.thickness_SOx} um; expected 0 to thickness, {self.thickness} um, as it lies inside POx.",
            )
            self._check_layers(faults)
            self._check_levels(faults)
            self.layout._check(faults)
            self.instrument._check(faults, self.pixel_size)
            self.departures._check(faults, self.geometry)

    def _check_layers(self, faults: Faults) -> None:
        names = [name for name, _ in self.layout.layers or ()]
        faults.expect(not names or self.geometry == "planar", "layout.layers is given; expected geometry='planar'.")
        unknown = sorted({n for n in names if n not in PHASES and n not in self.levels})
        faults.expect(
            not unknown, f"layout.layers names {', '.join(unknown)}, known only to you; give their counts in levels={{name: …}}."
        )
        faults.expect(
            "POx" not in names or self.thickness == 0,
            f"layout.layers holds POx and thickness is {self.thickness} um; expected thickness=0, since it would be drawn twice.",
        )
        faults.expect(
            "SOx" not in names, "layout.layers holds SOx, which lies inside POx; give such a layer a name and levels of its own."
        )
        inner = [d for name, d in (self.layout.layers or ())[1:-1] if name == "electrolyte" and d < 2 * self.thickness]
        faults.expect(
            not inner,
            f"layout.layers holds electrolyte of {inner} um between other layers; expected at least twice the shell's thickness, "
            f"{2 * self.thickness:g} um.",
        )

    def _check_levels(self, faults: Faults) -> None:
        unknown = sorted(set(self.levels) - set(self.phases))
        faults.expect(not unknown, f"levels names unknown phases {', '.join(unknown)}; known are {', '.join(self.phases)}.")
        for phase, row in self.levels.items():
            odd = sorted(set(row) - set(FRAGMENTS))
            known = ", ".join(FRAGMENTS)
            faults.expect(not odd, f"levels[{phase!r}] names unknown fragments {', '.join(odd)}; known are {known}.")
            faults.expect(all(v >= 0 for v in row.values()), f"levels[{phase!r}] holds negative counts; expected 0 or more.")

    def fragment_levels(self) -> dict[str, dict[str, float]]:
        """Planted counts per pixel over all scans: the usual ones, overridden by `levels`, times the dose."""
        rows = {p: {**FRAGMENT_LEVELS.get(p, {}), **self.levels.get(p, {})} for p in self.phases}
        return {p: {f: v * self.instrument.dose for f, v in row.items()} for p, row in rows.items()}

    def to_json(self) -> str:
        """One line of JSON from which `from_json` makes an equal recipe."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe that `to_json` wrote."""
        raw: dict[str, Any] = json.loads(text)
        parts = {"layout": Layout, "instrument": Instrument, "departures": Departures}
        for name, kind in parts.items():
            raw[name] = kind(**{f.name: _tuples(raw[name][f.name]) for f in fields(kind)})
        return cls(**{**raw, "shape": tuple(raw["shape"])})


def _tuples(value: Any) -> Any:
    """JSON lists as the tuples they were."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def recipe_of(section: Any, *, subject: str) -> Recipe:
    """The recipe of a section, or a letter if `section` is no section."""
    text = getattr(section, "attrs", {}).get("recipe")
    if not isinstance(text, str):
        raise SsbmapsError(
            f"{subject}: expected a Dataset from ssbmaps.synthetic.cross_section, got {type(section).__name__} without the "
            "attribute 'recipe'. Keep the Dataset whole; a selection of its variables is enough if the attributes stay."
        )
    return Recipe.from_json(text)
