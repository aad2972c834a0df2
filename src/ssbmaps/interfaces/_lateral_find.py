"""Find the straight edge of a section, or the wall of a crater, in the counts themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, check_array, fragment_index, generator, measured_mask, pixel_size
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps.interfaces._lateral_found import as_dataset, ends_of, spoken
from ssbmaps.interfaces._lateral_noise import Cells as Rings
from ssbmaps.interfaces._lateral_noise import field_of
from ssbmaps.interfaces._lateral_step import FLOOR, Cells, Search, Step, coarse, fit_step

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.interfaces._lateral_noise import Field

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SUBJECT = "interfaces.find_edge"
LEAST_PIXELS = 8  # along y and x
SEARCH, REFINE = 64, 128  # cells along the longer side of the map
N_DRAWS = 499
N_PARAMETERS = 8  # of a step and what its residuals are taken about, as far as one place of the map feels it
MOST_PEAKS = 6
ONE_SIDED_95 = 1.645


def find_edge(
    maps: xr.DataArray,
    *,
    fragment: str | Sequence[str] | None = None,
    false_alarms: float = 0.01,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Find the straight line across which the counts step, by maximum Poisson likelihood of a blurred step.

    Parameters
    ----------
    maps : xarray.DataArray
        Counts (…, y, x) with a pixel size; everything but y and x is summed. Unmeasured pixels (coordinate ``measured``) are
        left out.
    fragment : str or sequence of str, optional
        Only these fragments are summed: one that the section emits and its surroundings do not. By default all.
    false_alarms : float, optional
        Probability that an edge is found in a map without one, between 0.005 and 0.2.
    rng : int or numpy.random.Generator, optional
        For the simulated maps without an edge; None means 0.

    Returns
    -------
    xarray.Dataset
        Scalars: ``found`` (0/1), ``likelihood_ratio`` (2 ln(L1/L0) of the best sharp step against one level), ``p_value``;
        ``angle`` (degrees from x towards y, direction of the edge, -90 to 90), ``position`` (um from the middle of the map to
        the edge, negative where the middle lies on the brighter side), ``blur`` (um, standard deviation, pixel included),
        ``level_in`` and ``level_out`` (counts per pixel on the brighter and on the other side), each with ``_sd``, ``_low``,
        ``_high`` (95 %), NaN where no edge is found. ``inside_y``, ``inside_x``: a point on the brighter side. ``end_y``,
        ``end_x`` along ``end``: where the line leaves the map, um. ``statement``. The result is an `edge` for `edge_distance`.

    Raises
    ------
    SsbmapsError
        If the maps are no counts, all zero, smaller than 8 pixels, or have no pixel size, a fragment is unknown, or two different
        lines explain the counts alike: both are named, so that one can be drawn.

    Notes
    -----
    A search over 60 directions and all positions in cells of pixels gives the best sharp steps, from which position, angle,
    blur and levels are fitted. Any composite holds accidental steps. Whether this one is more is asked of maps without an edge:
    counts about one level times a random field with the covariance of the residuals, searched in the same way. Two lines are
    alike if their likelihoods differ by less than 1.645 standard errors of that difference (Vuong 1989, doi 10.2307/1912557)
    under the same covariance, both being steps beyond chance. Errors come from the scatter of 4 to 16 stripes across the edge,
    no shorter than what varies together (Liang and Zeger 1986, doi 10.1093/biomet/73.1.13), with Student's t. A layer of the
    cell is a straight edge, too, and weaker edges beside the likeliest one are not reported: that the line is the one that was
    milled the user must see.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import find_edge
    >>> place = {d: np.arange(n) * 0.5 + 0.25 for d, n in (("y", 40), ("x", 60))}
    >>> mean = np.where(place["x"] + 0.1 * place["y"][:, None] > 8.0, 6.0, 1.0)
    >>> counts = xr.DataArray(np.random.default_rng(0).poisson(mean), place, ("y", "x"), attrs={"units": "counts"})
    >>> edge = find_edge(counts)
    >>> int(edge.found), bool(edge.angle_low < np.degrees(np.arctan(-10)) < edge.angle_high)
    (1, True)
    """
    draws, seed = generator(rng)
    image, measured, pixel = _image(maps, fragment, false_alarms)
    cells, known = coarse(image, measured, pixel, SEARCH)
    search = Search(cells)
    ratios = search.ratios(cells.counts[None])[0]
    fine, _ = coarse(image, measured, pixel, REFINE)
    steps = _steps(fine, search.peaks(ratios, MOST_PEAKS))
    best = steps[0] if steps else None
    ratio, p_value, alike = float(ratios.max()), 1.0, 0.0
    if best is not None:
        field, rings = _residual_field(cells, known, steps, pixel)
        alike = field.reach * cells.size
        maps_without = _without_edge(cells, known, field, rings, draws)
        highest = np.concatenate([search.ratios(part).max(axis=(1, 2)) for part in np.array_split(maps_without, 10)])
        freedom = field.freedom(float(1 / cells.counts.mean()), len(cells.counts), N_PARAMETERS)
        if np.isfinite(freedom):
            highest = highest * freedom / draws.chisquare(freedom, len(highest))
        p_value = float((1 + (highest >= ratio).sum()) / (1 + N_DRAWS))
        if p_value <= false_alarms:
            limit = float(np.quantile(highest, 1 - false_alarms))
            _expect_one(steps, limit, (cells, known, field, rings), maps)
    found = best is not None and p_value <= false_alarms
    whole, _ = coarse(image, measured, pixel, max(image.shape))
    final = fit_step(whole, float(best.theta[0]), float(best.theta[1]), float(np.exp(best.theta[2]))) if found and best else None
    arguments = {"maps": maps, "fragment": fragment, "false_alarms": false_alarms, "rng": seed}
    return as_dataset(maps, whole, final, (ratio, p_value, alike), arguments)


def _image(maps: xr.DataArray, fragment: str | Sequence[str] | None, level: object) -> tuple[Floats, Bools, tuple[float, float]]:
    check_array(maps, subject=SUBJECT, dims=("y", "x"), counts=True)
    with Faults(SUBJECT) as faults:
        whole = maps.dtype.kind in "iu"
        faults.expect(whole, f"values are {maps.dtype}, no whole counts; the likelihood is that of counting.")
        units = maps.attrs.get("units", "counts")
        faults.expect(units == "counts", f"maps are in {units!r}; expected counts.")
        small = min(maps.sizes["y"], maps.sizes["x"])
        faults.expect(small >= LEAST_PIXELS, f"the map is {small} pixels wide; expected at least {LEAST_PIXELS} along y and x.")
        good = isinstance(level, (int, float, np.number)) and 0.005 <= float(level) <= 0.2
        faults.expect(good, f"false_alarms={level!r}; expected a probability from 0.005 to 0.2.")
    ordered = canonical(maps)
    if fragment is not None:
        index = fragment_index(ordered, fragment, subject=SUBJECT)
        ordered = ordered.isel({str(ordered.dims[-3]): index})
    image = to_dense(ordered.data).astype(float).sum(axis=tuple(range(ordered.ndim - 2)))
    mask = measured_mask(maps)
    measured = np.ones(image.shape, bool) if mask is None else mask
    if not image[measured].sum() > 0:
        raise SsbmapsError(f"{SUBJECT}: no counts in the measured pixels, so there is no edge to find.")
    return image, measured, pixel_size(maps, subject=SUBJECT)


def _steps(cells: Cells, peaks: list[tuple[float, float]]) -> list[Step]:
    """Steps fitted from several starts, the likeliest first, each line once.

    Blurred steps whose lines lie nearer than their blur everywhere in the map are the same step.
    """
    fitted = sorted((fit_step(cells, angle, offset, cells.size) for angle, offset in peaks), key=lambda s: s.deviance)
    kept: list[Step] = []
    for step in fitted:
        if not any(_same(step, other, cells) for other in kept):
            kept.append(step)
    return kept


def _same(one: Step, other: Step, cells: Cells) -> bool:
    wide = float(np.exp(max(one.theta[2], other.theta[2]))) + cells.size
    away = one.at(cells.y, cells.x)
    near = np.abs(away) < wide
    return bool(near.any() and np.abs(other.at(cells.y, cells.x) - away)[near].max() < 2 * wide)


def _residual_field(cells: Cells, known: Bools, steps: list[Step], pixel: tuple[float, float]) -> tuple[Field, Rings]:
    """Covariance of what varies from cell to cell beyond counting.

    It is that about the mean of strips along the best line, 1, 2, 4 … cells wide, on each side of the second best: about one
    step alone, a layer along the edge or a second edge would pass for variation of the material, and hide the edge.
    """
    away = steps[0].at(cells.y, cells.x) / cells.size
    strip = np.floor(np.log2(1 + np.abs(away))).astype(int) * 2 + (away > 0)
    side = steps[1].at(cells.y, cells.x) > 0 if len(steps) > 1 else np.zeros(len(away), bool)
    part = np.unique(strip * 2 + side, return_inverse=True)[1]
    sums, areas = (np.bincount(part, v) for v in (cells.counts, cells.number))
    mean = cells.number * (np.maximum(sums, FLOOR) / np.maximum(areas, 1.0))[part]
    residual, counting = (np.zeros(known.shape) for _ in range(2))
    residual[known], counting[known] = cells.counts / mean - 1, 1 / mean
    rings = Rings(known, pixel)
    # cells weigh by their counts: where next to nothing is counted a share of it says nothing about the material
    weight = _weight(known, mean)
    n_parameters = len(np.unique(strip)) + 4  # of both lines
    return field_of(residual * weight, counting * weight**2, known, rings, n_parameters), rings


def _weight(known: Bools, mean: Floats) -> Floats:
    weight = np.zeros(known.shape)
    weight[known] = np.sqrt(mean / mean.mean())
    return weight


def _on_cells(cells: Cells, step: Step) -> Floats:
    from scipy.special import ndtr

    t = step.theta
    z = (cells.x * np.cos(t[0]) + cells.y * np.sin(t[0]) - t[1]) / np.hypot(np.exp(t[2]), cells.size / np.sqrt(12))
    return np.asarray(cells.number * (t[3] + (t[4] - t[3]) * ndtr(z)))


def _without_edge(cells: Cells, known: Bools, field: Field, rings: Rings, rng: np.random.Generator) -> Floats:
    """(draw, cell) counts about one level times a random field with the covariance `field`."""
    from scipy.fft import irfft2, rfft2

    level = cells.counts.sum() / cells.number.sum() * cells.number
    spectrum = np.maximum(rfft2(field.c[rings.ring]).real, 0.0)
    drawn = np.empty((N_DRAWS, len(level)))
    for row in drawn:
        noise = irfft2(rfft2(rng.standard_normal(rings.padded)) * np.sqrt(spectrum), rings.padded)
        varied = noise[: known.shape[0], : known.shape[1]][known] + np.sqrt(field.white) * rng.standard_normal(len(level))
        row[:] = rng.poisson(level * np.maximum(1 + varied, 0.0))
    return drawn


def _expect_one(
    steps: list[Step],
    limit: float,
    noise: tuple[Cells, Bools, Field, Rings],
    maps: xr.DataArray,
) -> None:
    """Raise if another line, itself a step beyond chance, explains the counts as well as the best one."""
    from scipy.fft import irfft2, rfft2

    cells, known, field, rings = noise
    first = _on_cells(cells, steps[0])
    level = cells.counts.sum() / cells.number.sum() * cells.number
    for other in steps[1:]:
        second = _on_cells(cells, other)
        gain = 2 * float((cells.counts * np.log(second / level) - (second - level)).sum())
        if gain <= limit:
            continue
        weight = np.log(first / second)
        ahead = float((cells.counts * weight - (first - second)).sum())
        common = np.zeros(known.shape)
        common[known] = weight * level
        blurred = irfft2(rfft2(common, rings.padded) * rfft2(field.c[rings.ring]), rings.padded)
        variance = float((weight**2 * (level + field.white * level**2)).sum())
        variance += max(float((blurred[: known.shape[0], : known.shape[1]] * common).sum()), 0.0)
        if ahead < ONE_SIDED_95 * np.sqrt(variance):
            lines = " and ".join(spoken(ends_of(step, maps)) for step in (steps[0], other))
            raise SsbmapsError(
                f"{SUBJECT}: two lines explain the counts alike, {lines} (y, x in um): ln L differs by {ahead:.1f}, with a "
                f"standard error of {np.sqrt(variance):.1f}. Name a fragment that only one of them bounds, or draw the edge: "
                "edge_distance(maps, edge=((y0, x0), (y1, x1)))."
            )
