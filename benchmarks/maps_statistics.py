"""Statistics of sections against planted processes: intervals of phase fractions, particles one to one, errors of profiles.

python benchmarks/maps_statistics.py [fractions particles profiles]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from _results import put_section, run_parts, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    import xarray as xr

SMALL = 200


def command(part: str) -> str:
    return f"python benchmarks/maps_statistics.py {part}"


def small_section(seed: int, side: int = 128, **options: object) -> xr.Dataset:
    """A square section without drift, dead time and gain."""
    from ssbmaps import synthetic as room

    steady = room.Instrument(drift=0, drift_walk=0, dead_time=0, gain=0)
    return room.cross_section(seed=seed, shape=(side, side), n_scans=1, instrument=steady, **options)


def flagged(inside: np.ndarray, name: str, pixel: float) -> xr.DataArray:
    """Labels (y, x) of one phase."""
    import xarray as xr

    from ssbmaps._conventions import raster_coords

    flags = {"flag_values": np.array([0, 1], "int16"), "flag_meanings": f"unassigned {name}"}
    return xr.DataArray(inside.astype("int16"), raster_coords(inside.shape, (pixel, pixel)), ("y", "x"), attrs=flags)


def discs(seed: int, radius: tuple[float, float], share: float, side: float = 12.8, n: int = 128) -> xr.DataArray:
    """Labels of a union of discs at random places, whose mean area fraction is `share`."""
    rng = np.random.default_rng([seed, 7])
    low, high = radius
    mean_square = (high**3 - low**3) / (3 * (high - low))
    count = rng.poisson(-np.log(1 - share) / np.pi / mean_square * (side + 2 * high) ** 2)
    centre, radii = rng.uniform(-high, side + high, (count, 2)), rng.uniform(low, high, count)
    at = (np.arange(n) + 0.5) * side / n
    inside = np.zeros((n, n), bool)
    for (cy, cx), r in zip(centre, radii, strict=True):
        inside |= np.hypot(at[:, None] - cy, at - cx) < r
    return flagged(inside, "disc", side / n)


def fractions() -> None:
    """Share of intervals from one section each that hold the mean of the process."""
    import xarray as xr

    from ssbmaps import maps

    found = xr.concat([maps.phase_fractions(small_section(s)["phase_map"]) for s in range(190_000, 190_000 + SMALL)], "section")
    rows = [coverage_row(name, found.sel(phase=name), None) for name in ("NMC", "electrolyte", "carbon", "void", "interphase")]
    for radius, share in (((0.2, 0.4), 0.02), ((0.5, 1.5), 0.3), ((1.0, 3.0), 0.4), ((2.0, 4.0), 0.4)):
        fields = [maps.phase_fractions(discs(5000 + s, radius, share)).sel(phase="disc") for s in range(SMALL)]
        rows.append(coverage_row(f"discs of {radius[0]}–{radius[1]} um", xr.concat(fields, "section"), share))
    header = [
        "phase",
        "mean of the process",
        "sd over sections",
        "sd stated (rms)",
        "absent",
        "no interval",
        "coverage of 95 %",
        "where present",
        "half-width",
        "independent parts",
    ]
    body = table(header, rows) + (
        f"\n\nAsked: coverage at least 0.9. {SMALL} sections of 12.8 × 12.8 um each, true labels. The interval is about the mean "
        f"of the process: for sections the mean over all {SMALL}, known to the error given, for discs placed independently the "
        "exact value. A section without interval (fewer than two independent parts) counts as a miss; one that holds none of the "
        "phase has an interval from 0 that takes its regions to be no larger than those of the other phases. In sections the NMC "
        "particles keep apart and are filled up to a set share, so that sections differ less than independent particles would: "
        "there the interval is too wide. Of carbon a section holds two fibres or so: where it shows no more than a sliver of "
        "one, neither their size nor their number can be learned from it, and the interval ends too low."
    )
    put_section("Phase fractions", command("fractions"), body)


def coverage_row(name: str, found: xr.Dataset, truth: float | None) -> list[object]:
    fraction, spread = found.fraction.values, float(found.fraction.std())
    mean = float(fraction.mean()) if truth is None else truth
    hit = ((found.fraction_low <= mean) & (found.fraction_high >= mean)).values
    return [
        name,
        f"{mean:.4f} ± {spread / np.sqrt(fraction.size):.4f}" if truth is None else f"{mean:.4f}",
        f"{spread:.4f}",
        f"{float(np.sqrt((found.fraction_sd**2).mean())):.4f}",
        int((fraction == 0).sum()),
        int(np.isnan(found.fraction_low.values).sum()),
        f"{hit.mean():.3f}",
        f"{hit[fraction > 0].mean():.3f}",
        f"{float((found.fraction_high - found.fraction_low).median() / 2):.3f}",
        f"{float(found.n_independent.median()):.0f}",
    ]


def particles() -> None:
    """Planted particles that are found one to one: sections of touching particles, and pairs with a neck of known width."""
    from ssbmaps import maps
    from ssbmaps import synthetic as room

    still = room.Instrument(drift=0, drift_walk=0, dead_time=0)
    rows = []
    for roughness, pixel in ((0.12, 0.1), (0.0, 0.1), (0.0, 0.2)):
        layout = room.Layout(touching=1, roughness=roughness)
        planted, labels = [], []
        for seed in (195_000, 195_001, 195_002):
            arguments = {"shape": (256, 384), "pixel_size": pixel, "n_scans": 1, "thickness": 0, "layout": layout}
            section = room.cross_section(seed=seed, instrument=still, **arguments)
            planted.append(owners(section))
            labels.append(section["phase_map"])
        rows.append(matched_row(f"sections, outlines waved by {roughness:g}, {pixel:g} um pixels", planted, labels, maps))
    for neck in (0.2, 0.4, 0.5, 0.6, 0.7, 0.8):
        pairs = [pair(s, neck) for s in range(196_000, 196_050)]
        rows.append(matched_row(f"50 pairs, neck {neck:g} of the smaller disc", *zip(*pairs, strict=True), maps))
    header = ["what", "planted", "found", "one to one", "one to one without cutting"]
    body = table(header, rows) + (
        "\n\nOne to one: more than half of the planted particle and more than half of the found one are the same pixels; of two "
        "that were not cut the larger is one. Planted particles of fewer than 10 pixels in view are left out. Sections: every "
        "particle may come as near as 0.05 um to another. Pairs: discs of 1 to 3 um whose radius waves by up to 12 %. The "
        "default `split_touching` cuts where the neck is below 0.7 of the smaller part's inner circle."
    )
    put_section("Particles", command("particles"), body)


def owners(section: xr.Dataset) -> np.ndarray:
    """Number of the planted particle that holds each pixel's centre, 0 for none."""
    from ssbmaps.synthetic._outlines import Outlines
    from ssbmaps.synthetic._recipe import recipe_of
    from ssbmaps.synthetic._scene import build_scene

    centres = np.stack(np.meshgrid(section.y, section.x, indexing="ij"), axis=-1)
    outlines = Outlines(build_scene(recipe_of(section, subject="maps_statistics")).outlines)
    away, owner = outlines.signed(centres.reshape(-1, 2))
    return np.where(away < 0, owner + 1, 0).reshape(centres.shape[:2])


def pair(seed: int, neck: float) -> tuple[np.ndarray, xr.DataArray]:
    """Two waved discs that meet in a neck, in 12 × 16 um: which is deeper at each pixel, and labels of their union."""
    rng = np.random.default_rng([seed, 3])
    y, x = np.meshgrid((np.arange(120) + 0.5) * 0.1, (np.arange(160) + 0.5) * 0.1, indexing="ij")
    radii = rng.uniform(1, 3, 2)
    apart = np.sqrt(radii**2 - (neck * radii.min()) ** 2).sum()
    depth = []
    for r, cx in zip(radii, (8 - apart / 2, 8 + apart / 2), strict=True):
        angle, order, phase = np.arctan2(y - 6, x - cx), rng.integers(2, 6), rng.uniform(0, 2 * np.pi)
        depth.append(1 - np.hypot(y - 6, x - cx) / (r * (1 + 0.12 * rng.uniform() * np.cos(order * angle + phase))))
    planted = np.where(np.max(depth, axis=0) > 0, 1 + np.argmax(depth, axis=0), 0)
    return planted, flagged(planted > 0, "NMC", 0.1)


def matched_row(name: str, planted: Sequence[np.ndarray], labels: Sequence[xr.DataArray], maps: ModuleType) -> list[object]:
    n = found = 0
    recovered = [0, 0]
    for own, label in zip(planted, labels, strict=True):
        area = np.bincount(own.ravel())[1:]
        n += int((area >= 10).sum())
        for i, options in enumerate(({}, {"split_touching": 0})):
            numbers = maps.label_particles(label, "NMC", **options).values
            found += 0 if i else int(numbers.max())
            both = np.zeros((own.max() + 1, numbers.max() + 1))
            np.add.at(both, (own, numbers), 1)
            same = (both[1:, 1:] > 0.5 * area[:, None]) & (both[1:, 1:] > 0.5 * np.bincount(numbers.ravel())[1:])
            recovered[i] += int(same[area >= 10].sum())
    return [name, n, found, *(f"{r / n:.3f}" for r in recovered)]


def profiles() -> None:
    """How often intervals of profiles hold the mean of the process, with and without the variation from place to place."""
    rows = []
    for width, length in ((12.8, 2.0), (12.8, 6.0), (25.6, 2.0), (25.6, 6.0), (51.2, 6.0)):
        pulls = [disc_profile(s, width, length) for s in range(192_000, 192_100)]
        rows.append(profile_row(f"discs, {width} um wide, gain varies on {length:g} um", np.stack(pulls, axis=1)))
    for side, length in ((128, 2.0), (256, 6.0)):
        for fragment, found in section_profiles(range(193_000, 193_060), side, length).items():
            rows.append(profile_row(f"{fragment} of sections, {side / 10} um wide, gain varies on {length:g} um", found))
    header = [
        "what",
        "bins × draws",
        "error of the mean, %",
        "sem (rms), %",
        "within Student's 95 %",
        "within 1.96 sem",
        "independent parts",
        "counting only: within 1.96",
    ]
    body = table(header, rows) + (
        "\n\nThe truth is the mean of the process: for discs (radii 0.6 to 1.5 um, yields that differ by 15 %, 24 counts per "
        "pixel) the planted level, for 60 sections (shells that differ by 30 %) their noise-free mean without gain. The gain of "
        "5 % is a process too: its mean over a section is free. Where it varies on a quarter of the section's width or more it "
        "is common to much of the section, and an error that is learned from one section holds it only in part. Bins of one draw "
        "share gain and particles, so that 100 draws leave the shares uncertain by 0.02, 60 by 0.03."
    )
    put_section("Profile errors", command("profiles"), body)


def profile_row(name: str, found: np.ndarray) -> list[object]:
    """`found`: relative error, relative sem, dispersion and independent parts (4, draws, bins)."""
    from scipy.stats import t

    error, sem, dispersion, independent = found
    plain = sem / np.sqrt(np.where(np.isnan(dispersion), 1, dispersion))
    half = t.ppf(0.975, np.where(np.isnan(independent), np.nan, independent) - 1) * sem
    there = np.isfinite(error)
    return [
        name,
        f"{error.shape[1]} × {error.shape[0]}",
        *(f"{100 * np.sqrt(np.mean(v[there] ** 2)):.2f}" for v in (error, sem)),
        f"{np.mean(np.abs(error[there]) < half[there]):.3f}",
        f"{np.mean(np.abs(error[there]) < 1.96 * sem[there]):.3f}",
        f"{np.nanmedian(independent):.1f}",
        f"{np.mean(np.abs(error[there]) < 1.96 * plain[there]):.3f}",
    ]


def disc_profile(seed: int, width: float, length: float) -> np.ndarray:
    """Relative error, relative sem, dispersion and independent parts of the bins from 1 um inside the edge of discs."""
    import xarray as xr

    from ssbmaps import interfaces
    from ssbmaps._conventions import raster_coords
    from ssbmaps.synthetic._counting import smooth_field

    rng = np.random.default_rng([seed, 9])
    n = round(width / 0.1)
    at = (np.arange(n) + 0.5) * 0.1
    placed = np.empty((0, 3))
    for _ in range(round(2 * (width + 3) ** 2)):
        y, x, r = (*rng.uniform(-1.5, width + 1.5, 2), rng.uniform(0.6, 1.5))
        if (np.hypot(y - placed[:, 0], x - placed[:, 1]) > r + placed[:, 2] + 0.2).all():
            placed = np.vstack([placed, (y, x, r)])
    away, level = np.full((n, n), np.nan), np.zeros((n, n))
    for y, x, r in placed:
        box = tuple(slice(*np.searchsorted(at, (c - r, c + r))) for c in (y, x))
        own = np.hypot(at[box[0], None] - y, at[box[1]] - x) - r
        away[box] = np.where(own < 0, own, away[box])
        level[box] = np.where(own < 0, 24 * rng.normal(1, 0.15), level[box])
    gain = 1 + 0.05 * smooth_field(rng, at, at, length)
    place = raster_coords((n, n), (0.1, 0.1))
    counts = xr.DataArray(rng.poisson(level * gain), place, ("y", "x"), attrs={"units": "counts"})
    distance = xr.DataArray(away, place, ("y", "x"), attrs={"units": "um"})
    found = interfaces.distance_profile(counts, distance, bin_width=0.2).sel(distance=slice(-1, 0))
    return np.stack([found["mean"] / 24 - 1, found["sem"] / 24, found["dispersion"], found["n_independent"]])


def section_profiles(seeds: range, side: int, length: float) -> dict[str, np.ndarray]:
    """As `disc_profile` (4, draws, bins), for fragments of sections where each has its signal."""
    import xarray as xr

    from ssbmaps import interfaces
    from ssbmaps import synthetic as room
    from ssbmaps.synthetic._counting import smooth_field

    bins = {"NiO2-": slice(-1, 0), "S-": slice(0.3, 1.3), "PO3-": slice(0, 0.2)}
    drawn, truth = [], []
    for seed in seeds:
        rng = np.random.default_rng([seed, 11])
        section = small_section(seed, side, departures=room.Departures(thickness_spread=0.3))
        ideal = section["ideal"].sel(fragment=list(bins))
        gain = 1 + 0.05 * smooth_field(rng, section.y.values, section.x.values, length)
        counts = ideal.copy(data=rng.poisson(ideal.values * gain)).assign_attrs(units="counts")
        distance = interfaces.distance_to(section["phase_map"], "NMC")
        drawn.append(interfaces.distance_profile(counts, distance).sel(distance=slice(-1, 1.3)))
        planted = interfaces.distance_profile(ideal, distance).sel(distance=slice(-1, 1.3))
        truth.append(planted[["mean", "count"]])
    found, known = (xr.concat(parts, "draw", join="outer") for parts in (drawn, truth))
    mean = (known["mean"] * known["count"]).sum("draw") / known["count"].sum("draw")
    relative = [found["mean"] / mean - 1, found["sem"] / mean, found["dispersion"], found["n_independent"]]
    return {f: np.stack([v.sel(fragment=f, distance=b).transpose("draw", "distance") for v in relative]) for f, b in bins.items()}


if __name__ == "__main__":
    run_parts({f.__name__: f for f in (fractions, particles, profiles)})
