"""Phases from fragment maps: a first guess by half levels, settled by the beam's blur and local levels; voids, cracks, specks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import (
    canonical,
    channel_dim,
    check_array,
    fragment_index,
    generator,
    measured_mask,
    pixel_size,
)
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.maps._cracks import close_cracks
from ssbmaps.maps._levels import NotTwoLevels, absorb_small, empty_ground, noise_variance, smoothed, two_levels
from ssbmaps.maps._settle import settle

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

SUBJECT = "maps.label_phases"
SMOOTHING = 1.0  # pixels


def label_phases(
    maps: xr.DataArray,
    phases: Mapping[str, str | Sequence[str]],
    *,
    voids: str | None = None,
    smoothing: float | None = None,
    min_area: float | None = None,
    max_crack: float = 0.0,
    levels: int = 3,
    rng: int | np.random.Generator | None = None,
) -> xr.DataArray:
    """Label each pixel with a phase, so that the labels explain all markers when they are seen through the beam.

    Each phase's marker is the sum of its fragments over all scans. A first guess splits each smoothed marker at its half level.
    Then three things are fitted in turn until they agree: the blur of the beam; the level of every marker in every phase, in a
    window of 15 pixels, so that neither a gain that drifts over the map nor a particle of another yield moves an edge; and the
    labels, by the likelihood of all markers together, given blur and levels. A straight edge so lies at the local half level
    without any smoothing, phases thinner than the beam keep their width, and a pixel that the beam mixes of two phases is not
    mistaken for a third that lies between them.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (…, fragment, y, x) with named channels (also line, band or component); scans and times are summed.
    phases : mapping of str to str or sequence of str
        Name of each phase, a word without blanks, and the fragment or fragments that mark it. Name every material that has a
        marker, an interphase too: what is not named is shared out among its neighbours and what is unassigned.
    voids : str, optional
        Name under which empty ground is labelled: ground without a phase where all channels of the maps together lie below half
        of what they are in the weakest phase, and its blurred rim. By default it stays unassigned. A crack narrower than the
        beam is never seen to be empty.
    smoothing : float, optional
        Standard deviation in um of the Gaussian applied to the markers before the first guess; 1 pixel by default, 0 for none.
        Noisier maps need more.
    min_area : float, optional
        Regions of a phase smaller than this in um² take the label that most of their neighbouring pixels carry. Unassigned
        ones do so where a single phase surrounds them; between two phases they stay. By default 4π smoothing², the area over
        which the smoothing averages: smaller regions cannot be told from noise.
    max_crack : float, optional
        Unassigned or void gaps narrower than this, in um, inside a region of a phase are given to it. By default cracks are kept
        as they were found.
    levels : int, optional
        Number of classes of the first guess, 2 to 5. More than 3 where a marker has several intermediate levels.
    rng : int or numpy.random.Generator, optional
        Randomness of the label maps drawn on the way; None means 0.

    Returns
    -------
    xarray.DataArray
        Labels (y, x), int16: 0 is unassigned, 1, 2, … are the phases in the order given, voids the last. ``flag_values`` and
        ``flag_meanings`` name them; ``level_low`` and ``level_high`` hold each phase's levels outside and inside it over the
        whole map (counts per pixel and the like, summed over scans); ``blur`` is the standard deviation in um of the edges.
        Unmeasured pixels and pixels with NaN are 0.

    Raises
    ------
    SsbmapsError
        If a fragment is not in the maps, a name has blanks, or a marker shows no two levels: it is constant, or what it varies
        by is its noise. All faults are listed at once.

    Notes
    -----
    First guess: Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62, doi:10.1109/TSMC.1979.4310076. Three Otsu classes of pure
    Gaussian noise lie 2.4 standard deviations apart, so two levels count as distinct from 4 standard deviations of the smoothed
    marker's noise on: that of Poisson counts for whole counts, else that of the differences between neighbouring pixels.
    Levels: least squares on the blurred labels, window by window; where a phase has few pixels in the window, or hardly any that
    are not mixed with others, its level over the whole map times the gain common to all markers takes over. Labels: they lie on
    a grid of 2 × 2 to the pixel, as thin phases cannot be built of whole pixels. Their cost is the squared residual over the
    Poisson variance (for other maps, the variance of the differences between neighbours), halved, plus 5 per pixel length of
    edge, which keeps noise from making its own regions. Label maps are drawn by Gibbs sampling (Geman and Geman 1984,
    doi:10.1109/TPAMI.1984.4767596); what the last ones say together is rounded to one label per pixel such that every phase
    keeps its area. Whole counts and counts corrected for dead time are both taken as counts. Correct first: dead time flattens
    bright phases more than their edges, which makes a thin phase 1 to 2 % too small beside them.

    On synthetic sections corrected for dead time the areas of all named phases come out within 2 %, fibres and shells 2 pixels
    wide included (benchmarks/results.md); voids come out some 8 to 17 % too small, as thin cracks are not seen. A gain that
    changes by 1.6 % per pixel still moves an edge by 0.1 pixel.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.maps import label_phases
    >>> y, x = (np.arange(n) * 0.1 + 0.05 for n in (40, 50))
    >>> inside = np.hypot(y[:, None] - 2, x - 2) < 1
    >>> nickel = np.where(inside, 30, 1)
    >>> maps = xr.DataArray(nickel[None], {"fragment": ["NiO2-"], "y": y, "x": x}, ("fragment", "y", "x"))
    >>> labels = label_phases(maps.assign_attrs(units="counts"), {"NMC": "NiO2-"})
    >>> labels.flag_meanings, bool(abs((labels == 1).sum() * 0.01 - np.pi) < 0.03)
    ('unassigned NMC', True)
    """
    check_array(maps, subject=SUBJECT, dims=("y", "x"))
    pixel = pixel_size(maps, subject=SUBJECT)
    size = float(np.sqrt(pixel[0] * pixel[1]))
    width = SMOOTHING * size if smoothing is None else smoothing
    area = 4 * np.pi * width**2 if min_area is None and _is_length(width) else min_area
    indices = _check(maps, phases, voids, {"smoothing": width, "min_area": area, "max_crack": max_crack}, levels)
    draws, seed = generator(rng)
    values, measured, total = _markers(maps, indices)
    poisson = maps.dtype.kind in "iu" and maps.attrs.get("units") == "counts"
    guess = _first_guess(phases, values, measured, (width / pixel[0], width / pixel[1]), levels, poisson=poisson)
    counting = maps.attrs.get("units") == "counts" and all(v[measured].min(initial=0) >= 0 for v in values)
    noise = None if counting else np.array([noise_variance(v, measured) for v in values])
    settled = settle(guess, len(phases) + 1, np.stack(values), noise, measured, size / np.asarray(pixel), draws)
    labels = absorb_small(settled.labels, measured, float(area or 0) / (pixel[0] * pixel[1]))
    if voids is not None:
        empty = empty_ground(labels, total if poisson else np.sum(values, axis=0), measured, settled.sigma)
        labels = np.where(empty, len(phases) + 1, labels).astype(np.int16)
    labels = _close(labels, len(phases), float(max_crack), pixel)
    arguments = {"phases": phases, "voids": voids, "smoothing": width, "min_area": area, "max_crack": max_crack, "levels": levels}
    result = _as_labels(maps, labels, [*phases, *([voids] if voids else [])], {**arguments, "rng": seed})
    low, high = _low_and_high(settled.whole, np.bincount(settled.labels[measured], minlength=len(phases) + 1))
    result.attrs.update(level_low=low, level_high=high, blur=settled.sigma * size)
    return result


def _first_guess(
    phases: Mapping[str, str | Sequence[str]],
    values: list[NDArray[np.float64]],
    measured: NDArray[np.bool_],
    sigma: tuple[float, float],
    levels: int,
    *,
    poisson: bool,
) -> NDArray[np.int16]:
    """The phase whose marker is strongest, by half levels over the whole map; every marker without two levels is named."""
    scores = []
    with Faults(SUBJECT) as faults:
        for name, marker in zip(phases, values, strict=True):
            smooth = smoothed(marker, measured, sigma)
            try:
                low, high = two_levels(marker, smooth, measured, sigma, levels, poisson=poisson)
            except NotTwoLevels as reason:
                faults.expect(False, f"{name}: its marker {_text(phases[name])} {reason}.")
                continue
            scores.append((smooth - low) / (high - low))
    return _strongest(np.array(scores), measured)


def _close(labels: NDArray[np.int16], n: int, width: float, pixel: tuple[float, float]) -> NDArray[np.int16]:
    """Narrow gaps inside regions of the phases 1 … n closed where no other phase lies in them."""
    result = labels.copy()
    for k in range(1, n + 1) if width > 0 else ():
        free = (result == 0) | (result > n)
        result[close_cracks(labels == k, width, pixel) & free] = k
    return result


def _low_and_high(whole: NDArray[np.float64], pixels: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Level of each phase's marker inside it, and the lowest in any other class that the labels hold."""
    n = whole.shape[1]
    high = whole[np.arange(1, n + 1), np.arange(n)]
    held = np.flatnonzero(pixels > 0)
    return np.array([min(whole[j, k] for j in held if j != k + 1) if len(held) > 1 else np.nan for k in range(n)]), high


def _is_length(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value) and value >= 0)


def _check(
    maps: xr.DataArray, phases: Mapping[str, str | Sequence[str]], voids: object, lengths: dict[str, object], levels: object
) -> list[list[int]]:
    """Positions of each phase's fragments, after all options were checked together."""
    if not isinstance(phases, Mapping) or not phases:
        raise SsbmapsError(f"{SUBJECT}: phases={phases!r}; expected {{'NMC': 'NiO2-', 'carbon': ['C2-']}}.")
    indices = []
    with Faults(SUBJECT) as faults:
        for option, value in lengths.items():
            faults.expect(_is_length(value), f"{option}={value!r}; expected a finite number of 0 or more.")
        good = isinstance(levels, (int, np.integer)) and levels in range(2, 6)
        faults.expect(good, f"levels={levels!r}; expected a whole number from 2 to 5.")
        for name in [*phases, *([voids] if voids is not None else [])]:
            word = isinstance(name, str) and name.split() == [name] and name != "unassigned"
            faults.expect(word, f"the phase name {name!r} is no single word; write 'solid_electrolyte' ('unassigned' is taken).")
        faults.expect(voids not in phases, f"voids={voids!r} is the name of a phase; expected another one, such as 'void'.")
        for name, fragments in phases.items():
            try:
                indices.append(fragment_index(maps, fragments, subject=f"phase {name}"))
            except SsbmapsError as error:
                faults.expect(False, str(error))
    return indices


def _markers(
    maps: xr.DataArray, indices: list[list[int]]
) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_], NDArray[np.float64]]:
    """Each phase's (y, x) marker summed over fragments and scans, the pixels measured in all of them, and the sum of all maps."""
    ordered = canonical(maps)
    axis = int(ordered.get_axis_num(channel_dim(ordered, subject=SUBJECT) or "fragment"))
    values = to_dense(ordered.data)
    markers = []
    for index in indices:
        chosen = np.take(values, index, axis=axis)
        markers.append(chosen.sum(axis=tuple(range(chosen.ndim - 2)), dtype=np.float64))
    known = measured_mask(ordered)
    measured = np.asarray(np.isfinite(markers).all(axis=0))
    total = values.sum(axis=tuple(range(values.ndim - 2)), dtype=np.float64)
    return markers, measured if known is None else measured & known, total


def _strongest(scores: NDArray[np.float64], measured: NDArray[np.bool_]) -> NDArray[np.int16]:
    """1 + the phase of the highest score of at least 0.5 (the first one of equals), else 0."""
    best = np.argmax(scores, axis=0)
    return np.where(measured & (scores.max(axis=0) >= 0.5), best + 1, 0).astype(np.int16)


def _text(fragments: str | Sequence[str]) -> str:
    return fragments if isinstance(fragments, str) else " + ".join(fragments)


def _as_labels(maps: xr.DataArray, labels: NDArray[np.int16], names: list[str], arguments: dict[str, object]) -> xr.DataArray:
    import xarray as xr

    coords = {k: v for k, v in canonical(maps).coords.items() if set(v.dims) <= {"y", "x"} and v.ndim}
    result = finish(
        xr.DataArray(labels, coords, ("y", "x"), name="labels"),
        function=SUBJECT,
        arguments={"maps": maps, **arguments},
        sources=[maps],
        units="1",
        long_name="phase",
    )
    meanings = " ".join(["unassigned", *names])
    result.attrs.update(flag_values=np.arange(len(names) + 1, dtype=np.int16), flag_meanings=meanings)
    return result
