"""The Dataset of a factorisation: spectra and abundances with their errors, and how the fit went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps.decomposition._bootstrap import Refit, bootstrap
from ssbmaps.decomposition._fisher import fisher_errors
from ssbmaps.decomposition._penalty import Smoothness

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ssbmaps.decomposition._bootstrap import Moments
    from ssbmaps.decomposition._factorise import Factors, Wishes
    from ssbmaps.decomposition._matrix import PixelBlocks
    from ssbmaps.decomposition._weights import Weights

    Errors = dict[str, NDArray[Any]]

LOSS = {
    "kullback-leibler": "Kullback-Leibler divergence of the fit",
    "frobenius": "half the sum of squared residuals",
}


@dataclass(frozen=True, slots=True)
class Fitted:
    """Pixels, what was asked, and what was found."""

    pixels: PixelBlocks
    weights: Weights
    wishes: Wishes
    factors: Factors
    n_fixed: int


def errors_of(fitted: Fitted, n_boot: int, rng: np.random.Generator, dtype: Any) -> tuple[Errors, Errors]:
    """`sd`, and with a bootstrap `low` and `high`, of abundances (P, C) and spectra (C, K); nothing where no likelihood is."""
    wishes, factors, weights = fitted.wishes, fitted.factors, fitted.weights
    plain = all(v is None or np.isin(v, (0, 1)).all() for v in (weights.rows, weights.channels))
    if wishes.loss != "kullback-leibler" or wishes.on_maps or not plain:
        return {}, {}
    sds = fisher_errors(fitted.pixels.blocks, factors.w, factors.h)
    sds[1][: fitted.n_fixed] = 0.0
    if not n_boot:
        return {"sd": sds[0]}, {"sd": sds[1]}
    smooth = Smoothness(wishes.smoothness, fitted.pixels.census.counts).target if wishes.smoothness else None
    how = Refit(dtype, wishes.tol, wishes.max_iter, fitted.n_fixed, smooth)
    moments = bootstrap(fitted.pixels.blocks, factors.w, factors.h, n_boot, rng=rng, how=how)
    abundance, spectra = (
        _interval(value, sd, moment, n_boot) for value, sd, moment in zip((factors.w, factors.h), sds, moments, strict=True)
    )
    return abundance, spectra


def _interval(value: NDArray[Any], sd: NDArray[Any], moments: Moments, n: int) -> Errors:
    """Student's interval about the value less the refits' bias; never narrower than the error given the other factor.

    The bias of refits stands for the fit's own only roughly, and where components overlap it is the smaller: its square is added
    to the variance.
    """
    from scipy.stats import t

    wide = np.maximum(moments.sd, sd)
    half, centre = float(t.ppf(0.975, max(1, n - n // 3 - 1))) * np.sqrt(wide**2 + moments.bias**2), value - moments.bias
    return {"sd": wide, "low": np.maximum(centre - half, 0), "high": np.maximum(centre + half, 0)}


def dataset(fitted: Fitted, abundance_errors: Errors, spectra_errors: Errors, units: str) -> xr.Dataset:
    """Everything on the cube's dimensions."""
    import xarray as xr

    pixels, factors, rows = fitted.pixels, fitted.factors, fitted.pixels.rows
    weights = fitted.weights.of_rows(rows)
    w, h = weights.unweighted(factors.w, factors.h)
    hidden = np.zeros(h.shape[1], bool) if weights.channels is None else weights.channels == 0
    variables: dict[str, Any] = {}
    for name, values in {"": h, **{f"_{n}": v for n, v in spectra_errors.items()}}.items():
        spectra = np.where(hidden, np.nan, values)
        text = f"spectrum, sum 1{_words(name)}"
        variables[f"spectra{name}"] = ("component", pixels.channel), spectra, {"units": "1", "long_name": text}
    for name, values in {"": w, **{f"_{n}": v for n, v in abundance_errors.items()}}.items():
        dims, maps = pixels.maps(values.astype(np.float64))
        variables[f"abundance{name}"] = tuple(dims), maps, {"units": units, "long_name": f"abundance{_words(name)}"}
    starts = factors.starts
    variables |= {
        "objective": ((), factors.objective, {"units": "1", "long_name": LOSS[fitted.wishes.loss]}),
        "remaining": ((), factors.remaining, {"units": "1", "long_name": "what the objective can still gain"}),
        "n_iter": ((), factors.n_iter, {"units": "1", "long_name": "number of iterations"}),
        "start_objective": ("start", [s[1] for s in starts], {"units": "1", "long_name": "objective on superpixels"}),
        "start_agreement": ("start", [s[2] for s in starts], {"units": "1", "long_name": "lowest cosine with the best start"}),
    }
    coords = {**pixels.coords(len(h)), "start": ("start", [s[0] for s in starts], {"long_name": "start"})}
    return xr.Dataset(variables, coords)


def _words(name: str) -> str:
    return {"": "", "_sd": ", standard deviation", "_low": ", lower end of 95 %", "_high": ", upper end of 95 %"}[name]
