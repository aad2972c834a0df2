"""Numbers the particles of a phase: connected regions, cut at their necks where they touch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._conventions import canonical
from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.maps._flags import read_flags

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int32]

SUBJECT = "maps.label_particles"


def label_particles(labels: xr.DataArray, phase: str, *, min_area: float = 0.0, split_touching: float = 0.7) -> xr.DataArray:
    """Number the particles of a phase, cutting those that touch at their neck.

    Parameters
    ----------
    labels : xarray.DataArray
        Integers (y, x) with attributes ``flag_values`` and ``flag_meanings``, from `ssbmaps.maps.label_phases`.
    phase : str
        One of the flag meanings, for example "NMC".
    min_area : float, optional
        Particles smaller than this in um² are left out (0 in the result). Nothing is left out by default.
    split_touching : float, optional
        A region is cut where its neck is narrower than this share of the largest circle that fits into the smaller part. 0 cuts
        nothing; towards 1 wavy outlines are cut too.

    Returns
    -------
    xarray.DataArray
        Particles (y, x), int32: 0 is no particle, 1, 2, … the particles in the order in which rows and columns meet them.
        Attributes ``area`` (um²) and ``on_border`` (1 where a particle touches the frame or an unmeasured pixel, so that its
        size and shape are not known, else 0) hold one number for each particle.

    Raises
    ------
    SsbmapsError
        If `labels` carries no flags or no pixel size, the phase is unknown or absent, no particle is large enough, or an
        option is out of range.

    Notes
    -----
    Pixels belong to one region through their sides. The parts are the basins of the distance to the edge (watershed; Meyer 1994,
    doi:10.1016/0165-1684(94)90060-4), holes closed; basins are joined, those with the widest neck first, until every
    neck between two parts is narrow. Nothing is drawn at random.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.maps import label_particles
    >>> y, x = (np.arange(n) * 0.1 + 0.05 for n in (40, 60))
    >>> two = (np.hypot(y[:, None] - 2, x - 1.8) < 1.3) | (np.hypot(y[:, None] - 2, x - 4.1) < 1.3)
    >>> flags = {"flag_values": np.array([0, 1], "int16"), "flag_meanings": "unassigned NMC"}
    >>> labels = xr.DataArray(two.astype("int16"), {"y": y, "x": x}, ("y", "x"), attrs=flags)
    >>> int(label_particles(labels, "NMC").max()), int(label_particles(labels, "NMC", split_touching=0).max())
    (2, 1)
    """
    import xarray as xr

    with Faults(SUBJECT) as faults:
        number = isinstance(min_area, (int, float, np.number)) and bool(np.isfinite(min_area)) and min_area >= 0
        faults.expect(number, f"min_area={min_area!r}; expected a finite number of 0 or more, in um².")
        share = isinstance(split_touching, (int, float, np.number)) and 0 <= split_touching <= 1
        faults.expect(share, f"split_touching={split_touching!r}; expected a number from 0 (never cut) to 1.")
    flags = read_flags(labels, subject=SUBJECT)
    mask = flags.mask(phase, subject=SUBJECT)
    if not mask.any():
        raise SsbmapsError(f"{SUBJECT}: no pixel is labelled {phase}, so there are no particles to number.")
    pixel_area = flags.pixel[0] * flags.pixel[1]
    parts = split(mask, flags.pixel, float(split_touching))
    area = np.bincount(parts.ravel()) * pixel_area
    kept = np.flatnonzero(area >= min_area * (1 - 1e-12))
    kept = kept[kept > 0]
    if not kept.size:
        raise SsbmapsError(
            f"{SUBJECT}: no particle of {phase} reaches min_area={min_area:g} um², the largest {area[1:].max():g}."
        )
    numbers = np.zeros(len(area), np.int32)
    numbers[kept] = np.arange(1, len(kept) + 1)
    particles = numbers[parts]
    coords = {str(k): v for k, v in canonical(labels).coords.items() if set(v.dims) <= {"y", "x"}}
    result = finish(
        xr.DataArray(particles, coords, ("y", "x"), name="particles"),
        function=SUBJECT,
        arguments={"labels": labels, "phase": phase, "min_area": min_area, "split_touching": split_touching},
        sources=[labels],
        units="1",
        long_name=f"number of the {phase} particle",
    )
    result.attrs.update(area=area[kept], on_border=_on_border(particles, flags.measured, len(kept)))
    return result


def _on_border(particles: Ints, measured: Bools, n: int) -> NDArray[np.int8]:
    """1 for each of `n` particles with a pixel in the frame's outermost rows or columns, or beside an unmeasured one."""
    from scipy.ndimage import binary_dilation

    outside = np.pad(~measured, 1, constant_values=True)
    beside = binary_dilation(outside)[1:-1, 1:-1]
    result = np.zeros(n + 1, np.int8)
    result[np.unique(particles[beside])] = 1
    return result[1:]


def split(mask: Bools, pixel: tuple[float, float], share: float) -> Ints:
    """Connected regions of `mask` cut at necks narrower than `share` of the smaller part, numbered in raster order."""
    from scipy.ndimage import binary_fill_holes, distance_transform_edt, label
    from skimage.segmentation import watershed

    regions, _ = label(mask)
    if share == 0:
        return _in_order(regions)
    padded = np.pad(binary_fill_holes(mask), 1, mode="edge")  # the frame is no edge of a particle
    depth = distance_transform_edt(padded, sampling=pixel)[1:-1, 1:-1]
    basins = watershed(-depth, _peaks(depth), mask=mask)  # type: ignore[no-untyped-call]
    stray = mask & (basins == 0)
    basins = np.where(stray, basins.max() + regions, basins)
    joined = _join(basins, depth, share)
    return _in_order(np.where(mask, joined[basins], 0))


def _peaks(depth: Floats) -> NDArray[np.int64]:
    """Numbered plateaus of the local maxima of `depth`."""
    from skimage.measure import label
    from skimage.morphology import local_maxima

    return np.asarray(label(local_maxima(depth, allow_borders=True) & (depth > 0), connectivity=2))  # type: ignore[no-untyped-call]


def _join(basins: NDArray[np.int64], depth: Floats, share: float) -> NDArray[np.int64]:
    """New number of each basin after those whose neck is at least `share` of the shallower one's depth were joined."""
    n = int(basins.max()) + 1
    peak = np.zeros(n)
    np.maximum.at(peak, basins.ravel(), depth.ravel())
    parent = np.arange(n)

    def root(i: int) -> int:
        while parent[i] != i:
            i = int(parent[i])
        return i

    for a, b, neck in _necks(basins, depth):
        a, b = sorted((root(a), root(b)))
        if a != b and neck >= share * min(peak[a], peak[b]):
            parent[b] = a
            peak[a] = max(peak[a], peak[b])
    return np.array([root(i) for i in range(n)])


def _necks(basins: NDArray[np.int64], depth: Floats) -> list[tuple[int, int, float]]:
    """Pairs of touching basins with the depth of the deepest pass between them, deepest first."""
    pairs: dict[tuple[int, int], float] = {}
    for first, second in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
        a, b = basins[first], basins[second]
        touch = (a != b) & (a > 0) & (b > 0)
        passes = np.minimum(depth[first], depth[second])[touch]
        low, high = np.minimum(a, b)[touch], np.maximum(a, b)[touch]
        for i, j, height in zip(low.tolist(), high.tolist(), passes.tolist(), strict=True):
            pairs[i, j] = max(pairs.get((i, j), 0.0), height)
    return sorted(((i, j, h) for (i, j), h in pairs.items()), key=lambda p: (-p[2], p[0], p[1]))


def _in_order(regions: NDArray[np.integer]) -> Ints:
    """Regions numbered 1, 2, … in the order in which rows and columns meet them; 0 stays."""
    found, first = np.unique(regions, return_index=True)
    found, first = found[found > 0], first[found > 0]
    numbers = np.zeros(int(regions.max()) + 1, np.int32)
    numbers[found[np.argsort(first)]] = np.arange(1, len(found) + 1)
    return np.asarray(numbers[regions])
