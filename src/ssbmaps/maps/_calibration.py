"""Mass calibration on ions whose identity is known: t = t0 + b√m, judged on ions left out of the fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.maps._peaks import LEAST_COUNTS, Spectrum, centroid, ions_of, tops, typical_width
from ssbmaps.maps._spectrum import mass_axis, summed_spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps._ions import Ion

    Floats = NDArray[np.float64]

SUBJECT = "maps.calibrate_mass"
LEAST_IONS = 3
_CANDIDATES = 4  # highest maxima near an ion's place that may be its peak
_LEAST_HEIGHT = 0.05  # of a maximum against the highest one near the same ion
_LEAST_SIGNAL = 5.0  # standard errors by which a peak must stand out from its flanks
_AGREEMENT = 0.5  # full widths within which a peak follows the calibration of the others


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A peak that may be the ion: its place ln(m/z) on the file's axis, with its standard error."""

    ion: int
    place: float
    sd: float
    width: float
    counts: float


def calibrate_mass(cube: xr.DataArray, ions: Sequence[str] | None = None, *, reach_ppm: float = 1000) -> xr.DataArray:
    """Correct the mz axis of a cube with peaks of known ions: t = t0 + b√m.

    Peaks are looked for in the summed spectrum within `reach_ppm` of each ion. √m of the axis is shifted and stretched so
    that their centroids fall on the exact masses, by weighted least squares with the scatter beyond counting noise estimated
    from the peaks themselves (light atomic and heavy organic ions differ by some ppm). Where an ion has several peaks near its
    place, the choice on which most ions agree within half a peak width is taken. The fit is judged on left-out ions: each is
    predicted from all others.

    Parameters
    ----------
    cube : xarray.DataArray
        (…, mz) with mz in Da, dense, sparse or dask; values are only summed for the spectrum.
    ions : sequence of str, optional
        Ions that are surely in the spectrum, three or more; all of them must agree. By default the ions that are common in the
        cube's polarity are looked for, and those that the majority outvotes are left out.
    reach_ppm : float, optional
        Distance from the expected place within which a peak may be that of the ion.

    Returns
    -------
    xarray.DataArray
        `cube` with the corrected mz axis, its values untouched. Attributes: `calibration_ions` (names), `calibration_ppm_before`
        and `calibration_ppm_after` (root mean square over these ions, after: each left out of the fit in turn),
        `calibration_ion_ppm_before` and `calibration_ion_ppm_after` for each ion, `calibration_offset` (√Da) and
        `calibration_scale` with √m_new = offset + scale · √m_old. History carries the same numbers.

    Raises
    ------
    SsbmapsError
        If fewer than three ions have a peak, named ions contradict each other, no majority agrees, or left-out ions would lie
        farther from their masses than before; each ion is named with its ppm.

    Notes
    -----
    The spectrum must hold peaks over several channels or one channel per peak at its measured place. Ions spread over the
    mass range matter more than many of them: outside their range the axis is extrapolated.

    Examples
    --------
    >>> from ssbmaps import maps, synthetic
    >>> section = synthetic.cross_section(shape=(48, 64), n_scans=2, geometry="planar")
    >>> cube = synthetic.spectrum_cube(section, resolution=6000)
    >>> shifted = cube.assign_coords(mz=("mz", cube.mz.values * (1 + 250e-6), cube.mz.attrs))
    >>> right = maps.calibrate_mass(shifted)
    >>> right.attrs["calibration_ppm_before"] > 200, right.attrs["calibration_ppm_after"] < 20
    (True, True)
    """
    mz = mass_axis(cube, subject=SUBJECT)
    if not np.isfinite(reach_ppm) or not 0 < reach_ppm <= 1e5:
        raise SsbmapsError(f"{SUBJECT}: reach_ppm={reach_ppm!r}; expected a positive number of ppm, at most 100000.")
    wanted = ions_of(ions, cube, subject=SUBJECT)
    spectrum = Spectrum(np.log(mz), summed_spectrum(cube, subject=SUBJECT))
    found = _candidates(spectrum, wanted, 1e-6 * reach_ppm)
    _expect_found(found, wanted, named=ions is not None)
    masses = np.array([i.mz for i in wanted])
    chosen = _agreeing(found, masses)
    _expect_agreement(chosen, found, wanted, named=ions is not None)
    x, y, sd = _on_root_axis(chosen, masses)
    offset, scale = _fit(x, y, sd)
    before = 2e6 * (x - y) / y
    after = np.array([_left_out(i, x, y, sd) for i in range(len(x))])
    names = [wanted[c.ion].name for c in chosen]
    _expect_better(names, before, after)
    new_axis = (offset + scale * np.sqrt(mz)) ** 2
    rms = [float(np.sqrt(np.mean(v**2))) for v in (before, after)]
    result = cube.assign_coords(mz=("mz", new_axis, {**cube.coords["mz"].attrs}))
    arguments = {
        "ions": None if ions is None else names,
        "reach_ppm": reach_ppm,
        "used": names,
        "ppm_before": round(rms[0], 2),
        "ppm_after": round(rms[1], 2),
        "offset": offset,
        "scale": scale,
    }
    long_name = cube.attrs.get("long_name")
    result = finish(
        result, function=SUBJECT, arguments=arguments, sources=[cube], units=cube.attrs.get("units"), long_name=long_name
    )
    result.attrs |= {
        "calibration_ions": " ".join(names),
        "calibration_ppm_before": rms[0],
        "calibration_ppm_after": rms[1],
        "calibration_ion_ppm_before": before,
        "calibration_ion_ppm_after": after,
        "calibration_offset": offset,
        "calibration_scale": scale,
    }
    return result


def _candidates(spectrum: Spectrum, ions: Sequence[Ion], reach: float) -> list[_Candidate]:
    """For each ion, the highest maxima near its place that hold counts enough."""
    width = typical_width(spectrum, ions, reach=reach)
    if width is None:
        width = _channel_width(spectrum, ions, reach)
    found: list[_Candidate] = []
    for k, ion in enumerate(ions):
        place = float(np.log(ion.mz))
        if not spectrum.covers(ion.mz, 0):
            continue
        places, heights = tops(spectrum, place, reach, width)
        for i in np.argsort(-heights, kind="stable")[:_CANDIDATES]:
            if heights[i] < _LEAST_HEIGHT * heights.max():
                continue
            centre, sd, counts = centroid(spectrum, float(places[i]), width)
            flanks = _flanks(spectrum, centre, width)
            if counts - flanks >= max(LEAST_COUNTS, _LEAST_SIGNAL * np.sqrt(counts + flanks)):
                found.append(_Candidate(k, centre, max(sd, 1e-9), width, counts))
    return found


def _flanks(spectrum: Spectrum, centre: float, width: float) -> float:
    """Counts beside a peak, on both sides together over as wide a range as that of its centroid."""
    inner, outer = ((centre - w, centre + w) for w in (width, 2 * width))
    return float(spectrum.within(*outer)[1].sum() - spectrum.within(*inner)[1].sum())


def _channel_width(spectrum: Spectrum, ions: Sequence[Ion], reach: float) -> float:
    """Width that stands for a peak's in data with one channel per peak: a tenth of the reach, or three channels if wider."""
    gaps = [np.diff(spectrum.within(np.log(i.mz) - reach, np.log(i.mz) + reach)[0]) for i in ions]
    steps = [float(np.median(g)) for g in gaps if len(g) > 2]
    return max(reach / 10, 3 * float(np.median(steps)) if steps else 0.0)


def _agreeing(found: list[_Candidate], masses: Floats) -> list[_Candidate]:
    """One candidate per ion: of all lines through two candidates, those that most ions follow.

    Ties go to the line with the smaller misfit, so that the choice does not depend on the order of the ions.
    """
    x = np.exp([c.place / 2 for c in found])
    owner = np.array([c.ion for c in found])
    y = np.sqrt(masses[owner])
    tolerance = _AGREEMENT * np.array([c.width for c in found]) * y / 2
    best: tuple[int, float, list[int]] = (0, np.inf, [])
    for i in range(len(found)):
        for j in range(i + 1, len(found)):
            if owner[i] == owner[j]:
                continue
            scale = (y[j] - y[i]) / (x[j] - x[i])
            misfit = np.abs(y[i] + scale * (x - x[i]) - y) / tolerance
            picked = _closest(misfit, owner)
            score = (len(picked), float(np.sum(misfit[picked] ** 2)))
            if score[0] > best[0] or (score[0] == best[0] and score[1] < best[1]):
                best = (*score, picked)
    return [found[i] for i in best[2]]


def _closest(misfit: Floats, owner: NDArray[np.int64]) -> list[int]:
    """For each ion its candidate with the least misfit, if that is at most 1."""
    picked: dict[int, int] = {}
    for i in np.flatnonzero(misfit <= 1):
        held = picked.get(int(owner[i]))
        if held is None or misfit[i] < misfit[held]:
            picked[int(owner[i])] = int(i)
    return sorted(picked.values())


def _on_root_axis(chosen: list[_Candidate], masses: Floats) -> tuple[Floats, Floats, Floats]:
    """√m on the file's axis, exact √m, and the standard error of the first."""
    x = np.exp([c.place / 2 for c in chosen])
    return x, np.sqrt(masses[[c.ion for c in chosen]]), x * np.array([c.sd for c in chosen]) / 2


def _fit(x: Floats, y: Floats, sd: Floats) -> tuple[float, float]:
    """Offset and scale of y = offset + scale · x; scatter beyond `sd`, the same in relative mass for all, is estimated.

    Mandel and Paule's condition: the extra variance at which the weighted squares add up to the degrees of freedom.
    """
    from scipy.optimize import brentq

    design = np.column_stack([np.ones(len(x)), x])

    def solve(extra: float) -> tuple[Floats, float]:
        weights = 1 / (sd**2 + extra * x**2)
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
        return solution, float(weights @ (y - design @ solution) ** 2) - (len(x) - 2)

    extra = 0.0
    if len(x) > 2 and solve(0.0)[1] > 0:
        top = 1e-12
        while solve(top)[1] > 0:
            top *= 10
        extra = float(brentq(lambda e: solve(e)[1], 0.0, top))
    solution = solve(extra)[0]
    return float(solution[0]), float(solution[1])


def _left_out(i: int, x: Floats, y: Floats, sd: Floats) -> float:
    """ppm by which ion `i` misses its mass on the axis that all other ions make."""
    rest = np.arange(len(x)) != i
    offset, scale = _fit(x[rest], y[rest], sd[rest])
    return float(2e6 * (offset + scale * x[i] - y[i]) / y[i])


def _expect_found(found: list[_Candidate], wanted: Sequence[Ion], *, named: bool) -> None:
    present = {c.ion for c in found}
    missing = [w.name for k, w in enumerate(wanted) if k not in present]
    if len(present) < LEAST_IONS or (named and missing):
        have = ", ".join(wanted[k].name for k in sorted(present)) or "none"
        raise SsbmapsError(
            f"{SUBJECT}: expected peaks of {LEAST_COUNTS} counts or more near {LEAST_IONS} ions at least"
            f"{' and near every ion named' if named else ''}; found {have}, missing {', '.join(missing) or 'none'}. "
            "Name ions that these data hold, or widen reach_ppm."
        )


def _expect_agreement(chosen: list[_Candidate], found: list[_Candidate], wanted: Sequence[Ion], *, named: bool) -> None:
    present = {c.ion for c in found}
    kept = {c.ion for c in chosen}
    least = len(present) if named else max(LEAST_IONS, len(present) // 2 + 1)
    if len(kept) >= least:
        return
    texts = []
    for k in sorted(present):
        strongest = max((c for c in found if c.ion == k), key=lambda c: c.counts)
        ppm = 1e6 * (strongest.place - np.log(wanted[k].mz))
        texts.append(f"{wanted[k].name} {ppm:+.0f} ppm{'' if k in kept else ' (disagrees)'}")
    raise SsbmapsError(
        f"{SUBJECT}: the ions contradict each other: {', '.join(texts)}. Expected {'all' if named else 'most'} of them to follow "
        "one line in √m within half a peak width. Leave out the ions that are something else in these data."
    )


def _expect_better(names: list[str], before: Floats, after: Floats) -> None:
    rms_before, rms_after = (float(np.sqrt(np.mean(v**2))) for v in (before, after))
    if rms_after < rms_before:
        return
    texts = ", ".join(f"{n} {b:+.1f} → {a:+.1f}" for n, b, a in zip(names, before, after, strict=True))
    raise SsbmapsError(
        f"{SUBJECT}: refused: left-out ions would lie {rms_after:.1f} ppm (rms) from their masses, now {rms_before:.1f} ppm "
        f"({texts}). The axis is as good as these ions can make it: use the cube as it is, or name more ions."
    )
