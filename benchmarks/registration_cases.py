"""Registration where it must refuse, bend, or be compared: wrong maps, a distortion, peers, resampling, real images.

    python benchmarks/registration_cases.py [resample real bent peers null]

Draws are kept in benchmarks/draws/ and not made again. Pixels are those of the ToF-SIMS map, 0.1 um, unless said otherwise.
"""

from __future__ import annotations

import functools
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from _interphase_draws import gather, wilson
from _registration_peers import PEERS
from _registration_real import SCRIPT, plain, real, rms
from _results import put_section, run_parts, table
from registration import INVERSE, PIXEL, THREE, attempt, scene
from scipy import ndimage

from ssbmaps import SsbmapsError, maps, synthetic
from ssbmaps.maps import Transform

if TYPE_CHECKING:
    import xarray as xr

FAILED = 5.0  # pixels of mean error
WRONG = 2.0
NULLS, BENDS, SCENES = 40, 40, 20
DISCS = (4.0, 7.0)  # um; radius
INSIDE_95 = 5.991  # chi-squared, two degrees of freedom


# ---- maps that have no right answer, or a wrong scale


def restated(view: xr.DataArray, factor: float) -> xr.DataArray:
    """The map with its pixel size stated `factor` times too large."""
    return view.assign_coords({d: (d, view[d].values * factor, {"units": "um"}) for d in "yx"})


def null_draw(seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(11000 + seed)
    section, seen, truth = scene(3000 + seed, side=192, rotation=6, shift=0.8, shape=(160, 152))
    counts, view = section.counts.sum("scan"), seen.peak
    other = synthetic.cross_section(seed=12000 + seed, shape=(192, 192), n_scans=5).counts.sum("scan")
    flat = view.copy(deep=True)
    flat.loc[{"line": THREE[0][1]}] = 7
    means = view.mean(("y", "x")).values[:, None, None]
    noise = view.copy(data=rng.poisson(np.broadcast_to(means, view.shape)))
    large, small = np.diag([0.1, 0.1, 1.0]), np.diag([10.0, 10.0, 1.0])
    mirrored = {"x": view.copy(data=view.values[..., ::-1]), "y": view.copy(data=view.values[..., ::-1, :])}
    never = np.full((3, 3), np.nan)  # no map is right
    tries: list[tuple[str, xr.DataArray, xr.DataArray, np.ndarray, Any]] = [
        ("another section, three pairs", other, view, never, THREE),
        ("another section, one pair", other, view, never, INVERSE),
        ("one channel of three constant", counts, flat, truth, THREE),
        *((f"mirrored along {axis}", counts, m, never, THREE) for axis, m in mirrored.items()),
        ("pixel size stated 10 × too large", counts, restated(view, 10), truth @ large, THREE),
        ("pixel size stated 10 × too small", counts, restated(view, 0.1), truth @ small, THREE),
        ("noise", counts, noise, never, THREE),
    ]
    return [{"kind": k} | outcome(a, b, true, pairs) for k, a, b, true, pairs in tries]


def outcome(reference: xr.DataArray, moving: xr.DataArray, truth: np.ndarray, pairs: Any) -> dict[str, Any]:
    """What became of a registration that should be refused or solved; where no map is right, its error is infinite."""
    if np.isfinite(truth).all():
        return attempt(reference, moving, truth, PIXEL, pairs=pairs)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = maps.register(reference, moving, pairs=pairs)
        except SsbmapsError as error:
            return {"refused": str(error), "seconds": time.perf_counter() - start}
    told = {k: found.attrs[k] for k in ("chance", "support")} | {"warned": " ".join(str(w.message) for w in caught)}
    return {"mean": 1e9, "seconds": time.perf_counter() - start} | told


def null() -> None:
    """Maps that do not belong together, say nothing, or are stated wrongly."""
    rows = gather("registration_null", null_draw, [(s,) for s in range(NULLS)])
    lines: list[list[object]] = []
    for kind in dict.fromkeys(r["kind"] for r in rows):
        own = [r for r in rows if r["kind"] == kind]
        solved = [r for r in own if r.get("mean", np.inf) <= WRONG]
        wrong = [r for r in own if "refused" not in r and not r["mean"] <= WRONG]
        silent = [r for r in wrong if not r["warned"]]
        counted = [len(own), len(own) - len(solved) - len(wrong), len(solved), len(wrong) - len(silent), len(silent)]
        named = sum("irrored" in r.get("refused", "") for r in own)
        spent = f"{np.median([r['seconds'] for r in own]):.1f}"
        lines.append([kind, *counted, wilson(len(silent), len(own)), named, spent])
    header = ["maps", "draws", "refused", "solved", "wrong, with a warning", "wrong, silently", "share"]
    header += ["letter says mirrored", "s"]
    note = "Wrong: mean error above 2 px, or any map where none is right. Silently: no letter, no warning; 95 % Wilson interval."
    put_section("Registration: maps that must be refused or solved", f"{SCRIPT} null", table(header, lines) + f"\n\n{note}")


# ---- a smooth distortion


def bent_scene(seed: int, radius: float = 4.0) -> dict[str, Any]:
    """A view whose points wander by up to 2 px along waves of 26 um; and again with a disc (um) in which both show nothing."""
    rng = np.random.default_rng(13000 + seed)
    section = synthetic.cross_section(seed=13000 + seed, shape=(256, 256), n_scans=8)
    shift = rng.uniform(-1, 1, 2)
    view = synthetic.sam_maps(
        section, seed=seed, lines=("P LVV", "S LVV", "Ni LMM"), rotation=rng.uniform(-4, 4), shift=shift, shape=(272, 264)
    )
    matrix, wave, phase = np.asarray(view.attrs["transform"]).reshape(3, 3), 2 * np.pi / 26, rng.uniform(0, 2 * np.pi, 2)

    def true(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """(2, …): where places of the view lie on the section, um."""
        at = np.stack([y + 0.2 * np.sin(wave * x + phase[0]), x + 0.2 * np.sin(wave * y + phase[1])])
        return np.einsum("ij,j...->i...", matrix[:2, :2], at) + matrix[:2, 2].reshape(2, *[1] * y.ndim)

    y, x = np.meshgrid(view.y, view.x, indexing="ij")
    inner = np.einsum("ij,j...->i...", np.linalg.inv(matrix)[:2, :2], true(y, x) - matrix[:2, 2, None, None])
    images = np.stack(
        [ndimage.map_coordinates(m, inner / 0.08 - 0.5, order=1, mode="nearest") for m in view.expected_peak.values]
    )
    counts, centre = section.counts.sum("scan"), rng.uniform(7, 14, 2)
    blank = np.hypot(y - centre[0], x - centre[1]) < radius
    ry, rx = np.meshgrid(counts.y, counts.x, indexing="ij")
    back = _back(np.stack([ry, rx]), matrix, wave, phase)
    hidden = np.hypot(back[0] - centre[0], back[1] - centre[1]) < radius
    empty = np.where(blank, images.mean((1, 2))[:, None, None], images)
    level = counts.values.mean((-2, -1))[:, None, None]
    cut = np.where(hidden, rng.poisson(np.broadcast_to(level, counts.shape)), counts.values)
    return {
        "counts": counts,
        "view": view.peak.copy(data=rng.poisson(images)),
        "counts_blank": counts.copy(data=cut),
        "view_blank": view.peak.copy(data=rng.poisson(empty)),
        "true": true,
        "centre": centre,
        "radius": radius,
    }


def _back(places: np.ndarray, matrix: np.ndarray, wave: float, phase: np.ndarray) -> np.ndarray:
    """Places on the view of places on the section; a slope of 5 per cent, so that a few turns suffice."""
    straight = np.einsum("ij,j...->i...", np.linalg.inv(matrix)[:2, :2], places - matrix[:2, 2, None, None])
    found = straight.copy()
    for _ in range(12):
        found = straight - 0.2 * np.sin(wave * found[::-1] + phase[:, None, None])
    return found


def errors(found: Transform, s: dict[str, Any]) -> dict[str, np.ndarray]:
    """On a grid of the view, px: true and told error, whether it lies in the 95 % region, um to the disc's middle."""
    view = s["view"]
    places = [view[d].values[8:-8:12] for d in "yx"]
    y, x = (a.ravel() for a in np.meshgrid(*places, indexing="ij"))
    off = np.stack(found.apply(y, x)) - s["true"](y, x)
    told = found.position_error(y, x)
    vy, vx, c = told.y_sd.values**2, told.x_sd.values**2, told.covariance_yx.values
    square = (vx * off[0] ** 2 - 2 * c * off[0] * off[1] + vy * off[1] ** 2) / (vy * vx - c**2)
    away = np.hypot(y - s["centre"][0], x - s["centre"][1])
    return {"off": np.hypot(*off) / PIXEL, "told": np.sqrt(vy + vx) / PIXEL, "in": square < INSIDE_95, "away": away}


def bent_row(s: dict[str, Any], model: str, *, blank: bool) -> list[dict[str, Any]]:
    """One registration of the bent view; with `blank` a row for the places inside the disc and one for the others."""
    suffix = "_blank" if blank else ""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = maps.register(s[f"counts{suffix}"], s[f"view{suffix}"], pairs=THREE, model=model)
        except SsbmapsError as error:
            return [{"kind": f"{model}{suffix}", "refused": str(error)[:300]}]
    spent = time.perf_counter() - start
    at = errors(found, s)
    parts = {"": at["away"] > -1}
    if blank:
        wide = f"disc of {2 * s['radius']:g} um,"
        parts = {f"{wide} inside": at["away"] < s["radius"] - 1, f"{wide} outside": at["away"] > s["radius"] + 1}
    common = {
        "misfit": found.attrs["misfit"] / PIXEL,
        "misfit_chance": found.attrs["misfit_chance"],
        "warned": " ".join(str(w.message) for w in caught),
        "seconds": spent,
    }
    return [{"kind": " ".join([model, name]).strip(), "blank": blank} | share(at, use) | common for name, use in parts.items()]


def share(at: dict[str, np.ndarray], use: np.ndarray) -> dict[str, Any]:
    known = use & np.isfinite(at["off"]) & np.isfinite(at["told"])
    row: dict[str, Any] = {"known": float(known.sum() / use.sum())}
    if known.any():
        off, told = at["off"][known], at["told"][known]
        row |= {"mean": float(off.mean()), "max": float(off.max()), "covered": float(at["in"][known].mean())}
        row |= {"true": rms(off.tolist()), "predicted": rms(told.tolist())}
    return row


def bent_draw(seed: int) -> list[dict[str, Any]]:
    s = bent_scene(seed)
    return [
        *bent_row(s, "affine", blank=False),
        *bent_row(s, "deformable", blank=False),
        *(row for radius in DISCS for row in bent_row(bent_scene(seed, radius), "deformable", blank=True)),
    ]


def bent() -> None:
    """A smooth distortion of 2 px: the affine map must say so, the deformable one take it up and say where it does not know."""
    rows = gather("registration_bent", bent_draw, [(s,) for s in range(BENDS)])
    lines: list[list[object]] = []
    for kind in dict.fromkeys(r["kind"] for r in rows):
        own = [r for r in rows if r["kind"] == kind]
        good = [r for r in own if "mean" in r]
        unfit = sum("does not fit" in r.get("warned", "") for r in own)
        if not good:
            lines.append([kind, len(own), sum("refused" in r for r in own), unfit, *["-"] * 7])
            continue
        told, true = rms([r["predicted"] for r in good]), rms([r["true"] for r in good])
        lines.append(
            [
                kind,
                len(own),
                sum("refused" in r for r in own),
                unfit,
                f"{np.mean([r['mean'] for r in good]):.3f} ({max(r['mean'] for r in good):.3f})",
                f"{max(r['max'] for r in good):.2f}",
                f"{np.mean([r['known'] for r in own if 'known' in r]):.3f}",
                f"{np.mean([r['covered'] for r in good]):.3f}",
                f"{told:.3f}",
                f"{told / true:.2f}",
                f"{np.median([r['seconds'] for r in good]):.1f}",
            ]
        )
    header = ["model", "draws", "refused", "says that it does not fit", "mean error, px (largest of a draw)", "largest error, px"]
    header += ["share of points known", "95 % region covers", "told error, px (rms)", "told / true (rms)", "s"]
    chance = max(r["misfit_chance"] for r in rows if r["kind"] == "affine" and "misfit_chance" in r)
    note = (
        f"A wave of ±2 px and 26 um along both axes. Largest misfit_chance of an affine map: {chance:.1g}. "
        "In the discs both maps show even noise; points more than 1 um within them, and points more than 1 um outside. "
        "Points that are not known have no error, true or told."
    )
    put_section("Registration: a smooth distortion of 2 px", f"{SCRIPT} bent", table(header, lines) + f"\n\n{note}")


# ---- peers


@functools.cache
def warm() -> None:
    """Compiles what our own registration compiles at its first call, on a small map."""
    section, view, _ = scene(1, side=128, rotation=3, shift=0.2, shape=(104, 104))
    attempt(section.counts.sum("scan"), view.peak, np.eye(3), PIXEL, pairs=THREE)


def peers_draw(seed: int) -> list[dict[str, Any]]:
    warm()
    section, view, truth = scene(seed, side=320, rotation=6, shift=2.5, shape=(280, 272))
    counts = section.counts.sum("scan")
    kinds = {"three pairs": THREE, "first pair": THREE[:1], "one pair, inverse contrast": INVERSE}
    rows = []
    for kind, pairs in kinds.items():
        rows.append({"kind": kind, "peer": "ssbmaps"} | attempt(counts, view.peak, truth, PIXEL, pairs=pairs))
        images = [
            [np.asarray(m.sel({d: pair[i]}).values, float) for pair in pairs]
            for i, (m, d) in enumerate(((counts, "fragment"), (view.peak, "line")))
        ]
        rows += [{"kind": kind} | peer_row(name, images, truth) for name in PEERS]
    return rows


def peer_row(name: str, images: list[list[np.ndarray]], truth: np.ndarray) -> dict[str, Any]:
    """One peer on the mean of the standardised channels; the error over the part of the view that lies on the section."""
    first, second = (np.mean([(c - c.mean()) / c.std() for c in side], axis=0) for side in images)
    pixels = (PIXEL, 0.08)
    start = time.perf_counter()
    try:
        matrix = PEERS[name](first, second, pixels)
    except Exception as error:  # whatever a peer raises is a failure of its run
        return {"peer": name, "refused": f"{type(error).__name__}: {error}"[:200], "seconds": time.perf_counter() - start}
    spent = time.perf_counter() - start
    y, x = (np.linspace(0.02, 0.98, 13) * n * pixels[1] for n in second.shape)
    places = np.stack([a.ravel() for a in (*np.meshgrid(y, x, indexing="ij"), np.ones((13, 13)))])
    true, got = truth @ places, matrix @ places
    ends = np.array(first.shape)[:, None] * pixels[0]
    inside = ((true[:2] > 0) & (true[:2] < ends)).all(axis=0)
    off = np.hypot(*(got - true)[:2, inside]) / PIXEL
    return {"peer": name, "mean": float(off.mean()), "max": float(off.max()), "seconds": spent}


def peers() -> None:
    """The scenes of the first benchmark, given to other packages."""
    rows = gather("registration_peers", peers_draw, [(s,) for s in range(SCENES)], at_once=1)
    lines: list[list[object]] = []
    for kind in dict.fromkeys(r["kind"] for r in rows):
        for peer in dict.fromkeys(r["peer"] for r in rows):
            own = [r for r in rows if (r["kind"], r["peer"]) == (kind, peer)]
            means = [r.get("mean", np.inf) for r in own]
            failed = sum(not m <= FAILED for m in means)
            silent = sum(not r["mean"] <= FAILED for r in own if "refused" not in r)
            good = [m for m in means if m <= FAILED]
            mean = f"{np.mean(good):.3f}" if good else "-"
            seconds = f"{np.median([r['seconds'] for r in own]):.2f}"
            median = np.median(means)
            middle = f"{median:.3f}" if np.isfinite(median) else "-"
            lines.append([kind, peer, len(own), failed, silent, middle, mean, seconds])
    header = ["maps", "package", "draws", "failures", "of these not told", "median of mean errors, px"]
    header += ["mean error where not failed, px", "s"]
    note = (
        "Failure: a mean error above 5 px, or an exception. scikit-image and pystackreg get both maps on one grid of 0.1 um, "
        "the view padded to the section's size; SimpleITK: Mattes information of 50 bins, affine, all pixels, three levels, from "
        "centred geometry, as many threads as ours. One image per map for the peers: with three pairs the mean of the three "
        "standardised channels. phase_cross_correlation finds shifts alone. SimpleITK's best settings: of five optimisers and "
        "either map fixed, tried on three scenes, one of them among these. Ours includes the search without a guess, the "
        "verification and the error, which no peer makes. One at a time on an idle machine."
    )
    put_section("Registration beside its peers", f"{SCRIPT} peers", table(header, lines) + f"\n\n{note}")


# ---- resampling


def resample() -> None:
    """Counts of 1024² pixels onto 512², turned by 5° and scaled by 1.02, and back: time, and what becomes of the total."""
    rng = np.random.default_rng(0)
    lines: list[list[object]] = []
    for n, size, m, like_size in ((1024, 0.05, 512, 0.12), (512, 0.1, 1024, 0.06)):
        for channels in (1, 9):
            moving, like = plain(rng.poisson(3.0, (channels, n, n)), size), plain(np.zeros((1, m, m)), like_size)
            angle, middle, end = np.deg2rad(5), n * size / 2, m * like_size / 2
            turn = 1.02 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            placed = np.column_stack([turn, end - turn @ [middle, middle]])
            transform = Transform(placed, np.zeros((6, 6)))
            spent = []
            for _ in range(3):
                start = time.perf_counter()
                moved = maps.resample(moving, transform, like=like)
                spent.append(time.perf_counter() - start)
            kept = np.nansum(moved.values, axis=(1, 2)) / moving.values.sum(axis=(1, 2)) - 1
            took = f"{np.median(spent):.2f} ({spent[0]:.2f})"
            lines.append([f"{n}² onto {m}²", channels, took, f"{np.abs(kept).max():.1g}"])
    header = ["maps", "channels", "s, median of three (the first)", "largest relative change of a channel's total"]
    put_section("Resampling counts", f"{SCRIPT} resample", table(header, lines))


PARTS = {"resample": resample, "real": real, "bent": bent, "peers": peers, "null": null}

if __name__ == "__main__":
    sys.exit(run_parts(PARTS))
