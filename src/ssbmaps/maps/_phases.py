"""Phases from fragment maps: each marker's levels, the marker that is strongest, small regions absorbed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import canonical, channel_dim, check_array, fragment_index, measured_mask, pixel_size
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.maps._levels import NotTwoLevels, absorb_small, smoothed, two_levels

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

SUBJECT = "maps.label_phases"
SMOOTHING = 1.0  # pixels


def label_phases(
    maps: xr.DataArray,
    phases: Mapping[str, str | Sequence[str]],
    *,
    smoothing: float | None = None,
    min_area: float | None = None,
    levels: int = 3,
) -> xr.DataArray:
    """Label each pixel with the phase whose marker is strongest there, by half levels found in the data.

    Each phase's marker, the sum of its fragments over all scans, is smoothed and split into `levels` classes by multi-level
    Otsu thresholds. The medians of the lowest and the highest class are the marker's levels outside and inside the phase, and
    its score runs from 0 to 1 between them. A pixel takes the phase of the highest score if that is at least 0.5, the half
    level, where a blurred straight edge lies; else it is unassigned. The third class keeps pixels mixed by blur, and phases
    that hold a little of the marker, out of both medians.

    Parameters
    ----------
    maps : xarray.DataArray
        Maps (…, fragment, y, x) with named channels (also line, band or component); scans and times are summed.
    phases : mapping of str to str or sequence of str
        Name of each phase, a word without blanks, and the fragment or fragments that mark it.
    smoothing : float, optional
        Standard deviation in um of the Gaussian applied to the markers before the levels are sought; 1 pixel by default, 0 for
        none. It moves an edge of radius R by smoothing² / 2R towards its centre.
    min_area : float, optional
        Regions of a phase smaller than this in um² take the label that most of their neighbouring pixels carry. Unassigned
        ones do so where a single phase surrounds them; between two phases they are mixed pixels and stay. By default
        4π smoothing², the area over which the smoothing averages: smaller regions cannot be told from noise.
    levels : int, optional
        Number of classes, 2 to 5. More than 3 where a marker has several intermediate levels.

    Returns
    -------
    xarray.DataArray
        Labels (y, x), int16: 0 is unassigned, 1, 2, … are the phases in the order given. ``flag_values`` and
        ``flag_meanings`` name them; ``level_low`` and ``level_high`` hold each phase's two levels (counts per pixel and the
        like, summed over scans). Unmeasured pixels and pixels with NaN are 0.

    Raises
    ------
    SsbmapsError
        If a fragment is not in the maps, a name has blanks, or a marker shows no two levels: it is constant, or what it varies
        by is its noise. All faults are listed at once.

    Notes
    -----
    Thresholds: Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62, doi:10.1109/TSMC.1979.4310076; Liao, Chen and Chung, J. Inf.
    Sci. Eng. 17 (2001) 713. Three Otsu classes of pure Gaussian noise lie 2.4 standard deviations apart, so two levels count as
    distinct from 4 standard deviations of the smoothed marker's noise on: that of Poisson counts for whole counts, else that of
    the differences between neighbouring pixels. One pair of levels holds for the whole map; a signal that varies by more
    than a factor 2 over the map needs flattening first.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.maps import label_phases
    >>> y, x = (np.arange(n) * 0.1 + 0.05 for n in (40, 50))
    >>> inside = np.hypot(y[:, None] - 2, x - 2) < 1
    >>> nickel = np.where(inside, 30, 1)
    >>> maps = xr.DataArray(nickel[None], {"fragment": ["NiO2-"], "y": y, "x": x}, ("fragment", "y", "x"))
    >>> labels = label_phases(maps.assign_attrs(units="counts"), {"NMC": "NiO2-"})
    >>> labels.flag_meanings, round(float((labels == 1).sum()) * 0.01, 2)
    ('unassigned NMC', 3.16)
    """
    check_array(maps, subject=SUBJECT, dims=("y", "x"))
    pixel = pixel_size(maps, subject=SUBJECT)
    width = SMOOTHING * float(np.sqrt(pixel[0] * pixel[1])) if smoothing is None else smoothing
    area = 4 * np.pi * width**2 if min_area is None and _is_length(width) else min_area
    indices = _check(maps, phases, width, area, levels)
    values, measured = _markers(maps, indices)
    sigma = (width / pixel[0], width / pixel[1])
    poisson = maps.dtype.kind in "iu" and maps.attrs.get("units") == "counts"
    scores, found = [], []
    with Faults(SUBJECT) as faults:
        for name, marker in zip(phases, values, strict=True):
            smooth = smoothed(marker, measured, sigma)
            try:
                low, high = two_levels(marker, smooth, measured, sigma, levels, poisson=poisson)
            except NotTwoLevels as reason:
                faults.expect(False, f"{name}: its marker {_text(phases[name])} {reason}.")
                continue
            scores.append((smooth - low) / (high - low))
            found.append((low, high))
    labels = absorb_small(_strongest(np.array(scores), measured), measured, float(area or 0) / (pixel[0] * pixel[1]))
    return _as_labels(maps, labels, list(phases), found, (phases, width, area, levels))


def _is_length(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(np.isfinite(value) and value >= 0)


def _check(
    maps: xr.DataArray, phases: Mapping[str, str | Sequence[str]], width: object, area: object, levels: object
) -> list[list[int]]:
    """Positions of each phase's fragments, after all options were checked together."""
    if not isinstance(phases, Mapping) or not phases:
        raise SsbmapsError(f"{SUBJECT}: phases={phases!r}; expected {{'NMC': 'NiO2-', 'carbon': ['C2-']}}.")
    indices = []
    with Faults(SUBJECT) as faults:
        for option, value in (("smoothing", width), ("min_area", area)):
            faults.expect(_is_length(value), f"{option}={value!r}; expected a finite number of 0 or more.")
        good = isinstance(levels, (int, np.integer)) and levels in range(2, 6)
        faults.expect(good, f"levels={levels!r}; expected a whole number from 2 to 5.")
        for name, fragments in phases.items():
            word = isinstance(name, str) and name.split() == [name] and name != "unassigned"
            faults.expect(word, f"the phase name {name!r} is no single word; write 'solid_electrolyte' ('unassigned' is taken).")
            try:
                indices.append(fragment_index(maps, fragments, subject=f"phase {name}"))
            except SsbmapsError as error:
                faults.expect(False, str(error))
    return indices


def _markers(maps: xr.DataArray, indices: list[list[int]]) -> tuple[list[NDArray[np.float64]], NDArray[np.bool_]]:
    """Each phase's (y, x) marker summed over fragments and scans, and the pixels measured in all of them."""
    ordered = canonical(maps)
    axis = ordered.get_axis_num(channel_dim(ordered, subject=SUBJECT) or "fragment")
    values = to_dense(ordered.data)
    markers = []
    for index in indices:
        chosen = np.take(values, index, axis=int(axis))
        markers.append(chosen.sum(axis=tuple(range(chosen.ndim - 2)), dtype=np.float64))
    known = measured_mask(ordered)
    measured = np.asarray(np.isfinite(markers).all(axis=0))
    return markers, measured if known is None else measured & known


def _strongest(scores: NDArray[np.float64], measured: NDArray[np.bool_]) -> NDArray[np.int16]:
    """1 + the phase of the highest score of at least 0.5 (the first one of equals), else 0."""
    best = np.argmax(scores, axis=0)
    return np.where(measured & (scores.max(axis=0) >= 0.5), best + 1, 0).astype(np.int16)


def _text(fragments: str | Sequence[str]) -> str:
    return fragments if isinstance(fragments, str) else " + ".join(fragments)


def _as_labels(
    maps: xr.DataArray, labels: NDArray[np.int16], names: list[str], found: list[tuple[float, float]], options: tuple[object, ...]
) -> xr.DataArray:
    import xarray as xr

    coords = {k: v for k, v in canonical(maps).coords.items() if set(v.dims) <= {"y", "x"} and v.ndim}
    phases, width, area, levels = options
    result = finish(
        xr.DataArray(labels, coords, ("y", "x"), name="labels"),
        function=SUBJECT,
        arguments={"maps": maps, "phases": phases, "smoothing": width, "min_area": area, "levels": levels},
        sources=[maps],
        units="1",
        long_name="phase",
    )
    low, high = np.array(found).T
    result.attrs.update(
        flag_values=np.arange(len(names) + 1, dtype=np.int16),
        flag_meanings=" ".join(["unassigned", *names]),
        level_low=low,
        level_high=high,
    )
    return result
