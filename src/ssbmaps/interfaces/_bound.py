"""The smallest standard error that any unbiased estimate of an interphase's thickness can have: the Cramér–Rao bound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._shapes import BOX, CORE, SHELL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.interphase_bound"
CELLS = 2000  # of the profile
LEVELS = ("inside", "in the shell", "outside")


def interphase_bound(
    measurement: xr.Dataset | None = None,
    *,
    thickness: float | Sequence[float] | None = None,
    length: float | None = None,
    core: Sequence[float] | None = None,
    shell: Sequence[float] | None = None,
    sigma: float | None = None,
    beam_fwhm: float | None = None,
    pixel_size: float | None = None,
    window: Sequence[float] = (-1.5, 2.5),
) -> xr.Dataset:
    """Smallest standard error of the thickness that counts of a planned or made measurement allow.

    Position, width, thickness and the three levels of core and shell are all unknown, as in `fit_interphase` with a box.

    Parameters
    ----------
    measurement : xarray.Dataset, optional
        One shell (or several) from `ssbmaps.interfaces.fit_interphase`; everything below but `pixel_size` is taken from it unless
        given.
    thickness : float or sequence of float
        Thickness in um.
    length : float
        Length of interface in um. The bound goes with its inverse square root, as it does with the dose.
    core, shell : sequence of float
        Counts per pixel inside the core, in the shell and outside, of the core's and of the shell's signal.
    sigma : float, optional
        Width of the edges in um as seen in the map (beam, pixel, intermixing).
    beam_fwhm : float, optional
        Instead of `sigma`: full width at half maximum of the beam in um; σ² = (FWHM/2.355)² + Δ²/12 with the pixel Δ.
    pixel_size : float
        Side of the pixels in um.
    window : sequence of float, optional
        Distances in um between which pixels are counted.

    Returns
    -------
    xarray.Dataset
        Along ``thickness`` (um; with a measurement along ``shell``): ``thickness_sd``, ``offset_sd``, ``sigma_sd`` (um) and
        ``amplitude_sd`` (counts), the bounds.

    Raises
    ------
    SsbmapsError
        If a number is missing or not positive; all faults at once.

    Notes
    -----
    Independent Poisson counts; the inverse of the Fisher information of all nine parameters (Rao 1945; Cramér 1946).

    Examples
    --------
    Twice the interface, or twice the dose, and the bound falls by √2:

    >>> from ssbmaps.interfaces import interphase_bound
    >>> plan = dict(thickness=0.2, core=(24, 0.5, 0.2), shell=(0.2, 9, 0.4), beam_fwhm=0.2, pixel_size=0.1)
    >>> [round(1e3 * float(interphase_bound(length=um, **plan).thickness_sd), 1) for um in (20, 40)]
    [5.4, 3.8]
    """
    import xarray as xr

    given: dict[str, Any] = {"thickness": thickness, "length": length, "core": core, "shell": shell, "sigma": sigma}
    if sigma is None and beam_fwhm is not None and pixel_size is not None:
        given["sigma"] = float(np.hypot(beam_fwhm / (2 * np.sqrt(2 * np.log(2))), pixel_size / np.sqrt(12)))
    cases, dim, labels = _cases(measurement, given)
    low, high = (float(v) for v in window)
    with Faults(SUBJECT) as faults:
        faults.expect(pixel_size is not None and pixel_size > 0, f"pixel_size={pixel_size!r}; expected the pixels' side in um.")
        faults.expect(low < 0 < high, f"window={tuple(window)}; expected distances below and above 0 um.")
        for case in cases:
            for name in ("thickness", "length", "sigma"):
                value = case[name]
                good = value is not None and bool(np.isfinite(value)) and float(value) > 0
                faults.expect(good, f"{name}={value!r}; expected a positive number in um.")
            for name in ("core", "shell"):
                good = case[name] is not None and len(case[name]) == 3 and bool(np.all(np.asarray(case[name]) >= 0))
                faults.expect(good, f"{name}={case[name]!r}; expected three levels of 0 or more: {', '.join(LEVELS)}.")
    rows = np.array([_bound(case, float(pixel_size or 0), low, high) for case in cases])
    names = (("thickness_sd", "um"), ("offset_sd", "um"), ("sigma_sd", "um"), ("amplitude_sd", "counts"))
    variables = {
        name: (dim, column, {"units": unit, "long_name": f"smallest standard error of the {name.removesuffix('_sd')}"})
        for (name, unit), column in zip(names, rows.T, strict=True)
    }
    coords = {dim: (dim, labels, {"units": "um", "long_name": "thickness"} if dim == "thickness" else {})}
    result = xr.Dataset(variables, coords)
    if dim == "thickness" and isinstance(thickness, (int, float, np.number)):
        result = result.isel(thickness=0)
    arguments = {**given, "measurement": measurement, "beam_fwhm": beam_fwhm, "pixel_size": pixel_size, "window": list(window)}
    return finish(result, function=SUBJECT, arguments=arguments, sources=[] if measurement is None else [measurement])


def _cases(measurement: xr.Dataset | None, given: dict[str, Any]) -> tuple[list[dict[str, Any]], str, list[Any]]:
    """One set of numbers per result, the dimension they lie on, and its labels."""
    if measurement is None:
        values = [given["thickness"]] if given["thickness"] is None or np.ndim(given["thickness"]) == 0 else given["thickness"]
        return [{**given, "thickness": v} for v in values], "thickness", list(values)
    needed = {
        "thickness": "thickness",
        "length": "interface_length",
        "sigma": "sigma",
        "core": ("core_level", "core_level_shell", "core_level_out"),
        "shell": ("level_in", "amplitude", "level_out"),
    }
    flat = measurement.expand_dims("shell") if "shell" not in measurement.dims else measurement
    missing = [n for v in needed.values() for n in ([v] if isinstance(v, str) else v) if n not in flat]
    if missing or "shell" not in flat.coords:
        raise SsbmapsError(
            f"{SUBJECT}: the measurement lacks {', '.join(missing) or 'shell'}; expected what fit_interphase returns."
        )
    cases = []
    for name in flat.shell.values:
        one = flat.sel(shell=name)
        own = {k: float(one[v]) if isinstance(v, str) else [float(one[n]) for n in v] for k, v in needed.items()}
        cases.append({k: own[k] if given[k] is None else given[k] for k in own})
    return cases, "shell", [str(v) for v in flat.shell.values]


def _bound(case: dict[str, Any], pixel: float, low: float, high: float) -> Floats:
    """Standard errors of thickness, offset, σ and amplitude."""
    s = low + (np.arange(CELLS) + 0.5) * (high - low) / CELLS
    n = float(case["length"]) * (high - low) / CELLS / pixel**2
    weights, slopes = BOX.weights(s, np.array([0.0, case["thickness"], case["sigma"]], np.float64))
    levels = np.array([case["core"], case["shell"]], np.float64)
    jacobian = np.zeros((9, 2, CELLS))
    jacobian[:3] = np.einsum("cj,gcjb->gcb", levels, slopes)
    for c in (CORE, SHELL):
        jacobian[3 + 3 * c : 6 + 3 * c, c] = weights[c]
    mean = np.einsum("cj,cjb->cb", levels, weights)
    information = np.einsum("pcb,qcb->pq", jacobian * (n / np.maximum(mean, 1e-12)), jacobian)
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    covariance = np.linalg.inv(information / np.outer(scale, scale)) / np.outer(scale, scale)
    return np.sqrt(np.diag(covariance)[[1, 0, 2, 7]])
