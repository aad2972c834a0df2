"""Other ways to the same thickness: a forward fit of the whole image, and what people read off a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FINE = 5  # cells per pixel and side
SHOWN = 1.2  # um; pixels farther from the edge than this do not count


def image_fit(distance: Floats, core: Floats, shell: Floats, pixel: float, shots: float) -> tuple[float, float]:
    """Thickness and its standard error (um) from all pixels: core and shell drawn on fine cells, blurred in two dimensions.

    Knows no profile and no error function: shapes are drawn from the interpolated distance, blurred, and averaged over pixels;
    binomial likelihood of every pixel, levels by weighted least squares; the error from the curvature of the likelihood in d.
    """
    from scipy.ndimage import gaussian_filter, zoom
    from scipy.optimize import minimize

    grown = zoom(np.pad(distance, 1, mode="reflect", reflect_type="odd"), FINE, order=3, mode="grid-constant", grid_mode=True)
    fine = grown[FINE:-FINE, FINE:-FINE]
    use = np.abs(distance) < SHOWN
    cell = pixel / FINE

    def share(edge: float) -> Floats:
        return np.clip((fine - edge) / cell + 0.5, 0, 1)

    def seen(values: Floats, sigma: float) -> Floats:
        blurred = gaussian_filter(values, sigma / cell, mode="nearest", truncate=4)
        n, m = distance.shape
        return blurred.reshape(n, FINE, m, FINE).mean(axis=(1, 3))[use]

    def loss(p: Floats) -> float:
        s0, d, sigma = p[0], np.exp(p[1]), np.exp(p[2])
        inner, outer = seen(share(s0), sigma), seen(share(s0 + d), sigma)
        design = np.stack([1 - inner, inner - outer, outer])
        total = 0.0
        for image in (core[use], shell[use]):
            found = np.linalg.lstsq(design.T, image, rcond=None)[0]
            for _ in range(4):  # iterated weights: the maximum of the likelihood for these shares
                mean = np.maximum(found @ design, 1e-3)
                weight = 1 / mean
                lost = -shots * np.log1p(-np.minimum(image / shots, 0.9))
                found = np.linalg.solve((design * weight) @ design.T, (design * weight) @ lost)
            mean = np.maximum(found @ design, 1e-3)
            p1 = -np.expm1(-mean / shots)
            total -= float((image * np.log(p1) - (shots - image) * mean / shots).sum())
        return total

    start = np.array([0.0, np.log(0.2), np.log(0.1)])
    simplex = start + np.vstack([np.zeros(3), np.diag([0.02, 0.2, 0.1])])
    best = minimize(loss, start, method="Nelder-Mead", options={"initial_simplex": simplex, "xatol": 2e-4, "fatol": 2e-3})
    step = 0.15
    curve = [_profile(loss, best.x, best.x[1] + h) - best.fun for h in (-step, step)]
    return float(np.exp(best.x[1])), float(np.exp(best.x[1]) * step / np.sqrt(2 * np.mean(curve)))


def _profile(loss: Any, at: Floats, value: float) -> float:
    """The loss at a fixed ln d, smallest over shift and σ."""
    from scipy.optimize import minimize

    simplex = np.array([at[[0, 2]], at[[0, 2]] + [0.01, 0], at[[0, 2]] + [0, 0.05]])
    options = {"initial_simplex": simplex, "xatol": 5e-4, "fatol": 2e-3}
    return float(minimize(lambda q: loss(np.array([q[0], value, q[1]])), at[[0, 2]], method="Nelder-Mead", options=options).fun)


def naive_widths(s: Floats, mean: Floats, psf_fwhm: float) -> dict[str, float]:
    """What is read off a profile (um): full width at half maximum, that less the beam in quadrature, a least-squares erf pair."""
    from scipy.optimize import least_squares
    from scipy.special import ndtr

    good = np.isfinite(mean) & (np.abs(s) < 2.0)
    s, mean = s[good], mean[good]
    inner, outer = mean[s < -0.5].mean(), np.median(mean[s > s.max() - 0.5])
    top = int(mean.argmax())
    ends = []
    for step, floor in ((-1, inner), (1, outer)):
        level = (mean[top] + floor) / 2
        i = top
        while 0 < i + step < len(s) and mean[i + step] > level:
            i += step
        j = min(max(i + step, 0), len(s) - 1)
        ends.append(
            np.interp(
                level, sorted((mean[i], mean[j])), sorted((s[i], s[j]), reverse=bool((mean[i] - mean[j]) * (s[i] - s[j]) < 0))
            )
        )
    width = float(ends[1] - ends[0])

    def residual(p: Floats) -> Floats:
        a, b = ndtr((s - p[0]) / p[2]), ndtr((s - p[0] - p[1]) / p[2])
        return p[3] * (1 - a) + p[4] * (a - b) + p[5] * b - mean

    fits = [
        least_squares(
            residual, [0, d, 0.1, inner, mean[top], outer], bounds=([-1, 1e-3, 0.02, 0, 0, 0], [1, 3, 0.5, *[np.inf] * 3])
        )
        for d in (0.1, 0.3, 0.8)
    ]
    pair = float(min(fits, key=lambda f: f.cost).x[1])
    return {"fwhm": width, "quadrature": float(np.sqrt(max(width**2 - psf_fwhm**2, 0))), "pair": pair}
