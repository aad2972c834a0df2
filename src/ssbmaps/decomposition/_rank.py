"""`rank`: what noise edge, held-out counts and reproducibility say about the number of components, over several binnings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import SPECTRAL_UNITS, generator
from ssbmaps._errors import DataQualityWarning, Faults
from ssbmaps._provenance import finish
from ssbmaps.decomposition._matrix import PixelMatrix, pixel_matrix
from ssbmaps.decomposition._rank_bins import binned, ladder, merged
from ssbmaps.decomposition._rank_edges import LEAST_MEAN, Edge, anscombe_edge, poisson_edge
from ssbmaps.decomposition._rank_fits import HeldOut, Stability, held_out, stability
from ssbmaps.decomposition._rank_words import statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

SUBJECT = "decomposition.rank"
METHODS = ("poisson-scaled", "anscombe", "held-out", "stability")


def rank(
    cube: xr.DataArray,
    *,
    max_components: int = 10,
    binnings: Sequence[int] | None = None,
    n_splits: int = 5,
    n_repeats: int = 3,
    rng: int | np.random.Generator | None = None,
) -> xr.Dataset:
    """Gather evidence on how many components a count cube holds, by four methods over a ladder of pixel binnings.

    It is evidence, not one number: the methods ask different questions of the counts, and where they disagree the result says so.

    Parameters
    ----------
    cube : xarray.DataArray
        Counts (…, mz) or on another spectral axis, with any other dimensions as pixels; or maps with named channels
        (fragment, y, x). Whole numbers; dense, sparse or dask, and sparse data are never made dense.
    max_components : int, optional
        Largest number of components looked at; no more than the coarsest binning has pixels or channels with signal.
    binnings : sequence of int, optional
        Sides in pixels of the square blocks whose spectra are summed; by default 1, 2, 4 and 8 as long as the shorter side of
        the raster keeps 8 blocks. Data without y and x are taken as they are.
    n_splits : int, optional
        Parts into which counts are thinned for the held-out deviance.
    n_repeats : int, optional
        Fits from other seeds, and fits to pixels drawn again, for the stability.
    rng : int, numpy.random.Generator or None, optional
        Seed; None means 0.

    Returns
    -------
    xarray.Dataset
        ``suggested`` (evidence, binning): the number of components by each method, with ``valid`` (0 or 1); not valid is a
        method whose theory does not hold for these counts, or that would suggest more than was looked at. The curves:
        ``singular_value`` (scaling, binning, component) in units of the largest that noise would make, with ``threshold``
        (scaling, binning), above which a component's map is nearer to the truth than none, and ``detected``, how many
        exceed the noise;
        ``deviance`` (binning, component) of held-out counts, ``deviance_excess`` over its lowest value and
        ``deviance_excess_sd``, the standard error of that difference over the splits;
        ``cosine_seeds`` and ``cosine_bootstrap`` (binning, component, repeat): of matched spectra the least alike, and
        ``comes_back`` (binning, component), 1 where both medians reach 0.9.
        Fits stop two beyond the lowest deviance and one beyond what is detected: NaN from there on.
        ``component`` is the number of components, from 1. ``fewest`` and ``most``: the range of the valid suggestions but for
        stability, which is a limit: more components than the counts hold can come back, too, and
        all that were fitted may; −1 if no method can answer;
        ``statement``: the result in words. Along ``binning``: ``n_pixels`` and ``counts_per_pixel``.

    Raises
    ------
    SsbmapsError
        If values are negative, NaN, infinite or no whole numbers, or an option is out of bounds.

    Warns
    -----
    DataQualityWarning
        If fits did not converge that bear on the result.

    Notes
    -----
    "poisson-scaled": singular values of counts scaled so that Poisson noise is even (Landa et al. 2022,
    doi:10.1137/21M1456807); "anscombe": the same after Anscombe's transform (1948, doi:10.1093/biomet/35.3-4.246), for which
    neighbouring channels of a spectral axis are first summed until they hold a count per pixel, valid only if all do. The edge is
    the 99 % point of the largest singular value of noise (Marchenko and Pastur 1967, doi:10.1070/SM1967v001n04ABEH001994;
    Johnstone 2001, doi:10.1214/aos/1009210544), the suggestion the number above the threshold of Gavish and Donoho (2014,
    doi:10.1109/TIT.2014.2323359). What lies between is there, but its map is mostly noise; a component that differs little from
    a mixture of others lies there, and so may marks of the instrument.
    "held-out": `PoissonNMF` of all parts but one predicts that part, with half a count added to each abundance (Jeffreys 1946,
    doi:10.1098/rspa.1946.0056), so that a 0 by chance is no certainty; the smallest number within one standard error of the
    lowest deviance. "stability": the largest number for which the least alike of the matched spectra has a median cosine of
    0.9 or more, over seeds and over bootstrap samples of the pixels. Unmeasured pixels take no part. Each binning takes
    (`n_splits` + 2 `n_repeats` + 1) fits per number of components.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.decomposition import rank
    >>> random = np.random.default_rng(0)
    >>> spectra = random.gamma(0.3, 1, (2, 12)) * 50
    >>> counts = random.poisson(random.random((16, 20, 2)) @ spectra)
    >>> found = rank(xr.DataArray(counts, dims=("y", "x", "fragment")), max_components=4, binnings=[1])
    >>> int(found.fewest), int(found.most)
    (2, 2)
    """
    import xarray as xr

    random, recorded = generator(rng)
    with Faults(SUBJECT) as faults:
        for name, value, least in (("max_components", max_components, 1), ("n_splits", n_splits, 2), ("n_repeats", n_repeats, 1)):
            good = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least
            faults.expect(good, f"{name}={value!r}; expected a whole number of {least} or more.")
    matrix = pixel_matrix(cube, subject=SUBJECT)
    widths = _widths(binnings, matrix)
    data = [binned(matrix, b) for b in widths]
    most = min(int(max_components), *(min(d.shape) for d in data))
    fits = _Fits()
    rungs = [_rung(d, matrix.channel in SPECTRAL_UNITS, most, fits, int(n_splits), int(n_repeats), random) for d in data]
    fits.warn(max(n for r in rungs for n in r.suggested()[:3]))
    result = _as_dataset(rungs, widths, most)
    arguments = {
        "cube": cube,
        "max_components": max_components,
        "binnings": widths,
        "n_splits": n_splits,
        "n_repeats": n_repeats,
        "rng": recorded,
    }
    return finish(xr.Dataset(*result), function=SUBJECT, arguments=arguments, sources=[cube])


def _widths(binnings: Sequence[int] | None, matrix: PixelMatrix) -> list[int]:
    known = ladder(matrix)
    with Faults(SUBJECT) as faults:
        whole = not np.any(matrix.values.data % 1)
        faults.expect(
            whole, "the values are no whole numbers; expected counts, which alone can be thinned. Do not normalise them."
        )
        if binnings is None:
            return known if whole else []
        raster = set("yx") <= set(matrix.pixel_dims)
        most = min(matrix.cube.sizes[d] for d in "yx") if raster else 1
        widths = list(binnings) if not isinstance(binnings, (int, str)) else []
        good = bool(widths) and all(isinstance(b, (int, np.integer)) and 1 <= b <= most for b in widths)
        faults.expect(good, f"binnings={binnings!r}; expected a list of whole numbers from 1 to {most}.")
        faults.expect(len(set(widths)) == len(widths), f"binnings={binnings!r} name one binning twice.")
    return sorted(int(b) for b in widths)


@dataclass(frozen=True, slots=True)
class Rung:
    """All evidence at one binning."""

    edges: tuple[Edge, Edge]
    held: HeldOut
    stable: Stability
    n_pixels: int
    counts_per_pixel: float

    def suggested(self) -> list[int]:
        """In the order of METHODS."""
        return [max(1, e.count) for e in self.edges] + [self.held.count, self.stable.count]

    def valid(self, most: int) -> list[bool]:
        """Theory holds, and the number is not simply the last that was looked at."""
        return [e.valid and e.count < most for e in self.edges] + [self.held.count < most, True]


def _rung(values: csr_array, spectral: bool, most: int, fit: _Fits, splits: int, repeats: int, rng: np.random.Generator) -> Rung:
    wide = merged(values, LEAST_MEAN) if spectral else values
    edges = poisson_edge(values, most), anscombe_edge(wide, most)
    least = min(max(e.detected for e in edges) + 1, most)
    held = held_out(values, least, most, fit, splits, rng)
    stable = stability(values, held.spectra, most, fit, repeats, rng)
    return Rung(edges, held, stable, values.shape[0], float(values.sum()) / values.shape[0])


class _Fits:
    """Poisson fits of counts, and how many of each number of components did not converge."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.unfinished: list[int] = []

    def __call__(self, values: csr_array, n_components: int, seed: int, initial: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Abundances (P, C) and spectra (C, K), from `initial` spectra or of the best of several starts."""
        from ssbmaps.decomposition._poisson_nmf import PoissonNMF

        model = PoissonNMF(n_components, random_state=seed)
        w = model.fit_transform(values, initial=initial)
        self.made.append(n_components)
        if not model.converged_:
            self.unfinished.append(n_components)
        return w, model.components_

    def warn(self, most: int) -> None:
        """Warn of fits that bear on the result: with as many components as one method suggests, and one more."""
        made, unfinished = (sum(k <= most + 1 for k in which) for which in (self.made, self.unfinished))
        if unfinished:
            text = f"{SUBJECT}: {unfinished} of {made} fits of up to {most + 1} components did not converge."
            warnings.warn(text, DataQualityWarning, stacklevel=3)


def _as_dataset(rungs: list[Rung], widths: list[int], most: int) -> tuple[dict[str, Any], dict[str, Any]]:
    def stacked(name: str, dims: tuple[str, ...], values: list[Any], long_name: str) -> tuple[str, tuple[Any, ...]]:
        return name, (dims, np.stack([np.asarray(v) for v in values], axis=1 if dims[0] != "binning" else 0), _labels(long_name))

    suggested, valid = [r.suggested() for r in rungs], [np.array(r.valid(most), np.int8) for r in rungs]
    curves, repeats = ("binning", "component"), ("binning", "component", "repeat")
    variables = dict(
        [
            stacked("suggested", ("evidence", "binning"), suggested, "suggested number of components"),
            stacked("valid", ("evidence", "binning"), valid, "whether the method can answer here"),
            stacked(
                "singular_value",
                ("scaling", *curves),
                [np.stack([e.ratio for e in r.edges]) for r in rungs],
                "singular value over the noise edge",
            ),
            stacked(
                "threshold",
                ("scaling", "binning"),
                [[e.threshold for e in r.edges] for r in rungs],
                "singular value worth keeping, over the noise edge",
            ),
            stacked(
                "detected", ("scaling", "binning"), [[e.detected for e in r.edges] for r in rungs], "singular values above noise"
            ),
            stacked("deviance", curves, [r.held.deviance for r in rungs], "deviance of held-out counts"),
            stacked("deviance_excess", curves, [r.held.excess for r in rungs], "held-out deviance above its lowest value"),
            stacked("deviance_excess_sd", curves, [r.held.excess_sd for r in rungs], "standard error of the excess"),
            stacked("cosine_seeds", repeats, [r.stable.seeds for r in rungs], "least cosine of matched spectra, other seed"),
            stacked("cosine_bootstrap", repeats, [r.stable.bootstrap for r in rungs], "least cosine, pixels drawn again"),
            stacked("comes_back", curves, [r.stable.back.astype(np.int8) for r in rungs], "whether all spectra come back"),
            stacked("n_pixels", ("binning",), [r.n_pixels for r in rungs], "number of binned pixels with counts"),
            stacked("counts_per_pixel", ("binning",), [r.counts_per_pixel for r in rungs], "mean counts per binned pixel"),
        ]
    )
    variables["counts_per_pixel"][2]["units"] = "counts"
    numbers = np.array(suggested)[:, :3][np.array(valid, bool)[:, :3]]
    found = (int(numbers.min()), int(numbers.max())) if len(numbers) else (-1, -1)
    variables["fewest"] = ((), found[0], _labels("lowest valid suggestion, stability apart, -1 for none"))
    variables["most"] = ((), found[1], _labels("highest valid suggestion, stability apart, -1 for none"))
    beyond = [e.detected for r in rungs for e in r.edges if e.valid]
    back = np.stack([r.stable.back for r in rungs])
    words = statement(np.array(suggested).T, np.array(valid, bool).T, back, METHODS, widths, most, max(beyond, default=0))
    variables["statement"] = ((), words, {"long_name": "the evidence in words"})
    coords = {
        "evidence": ("evidence", list(METHODS)),
        "scaling": ("scaling", list(METHODS[:2])),
        "binning": ("binning", widths, {"units": "1", "long_name": "side of the binned pixels, in pixels"}),
        "component": ("component", np.arange(1, most + 1), {"units": "1", "long_name": "number of components"}),
    }
    return variables, coords


def _labels(long_name: str) -> dict[str, str]:
    return {"units": "1", "long_name": long_name}
