"""Primary-ion fluence of repeated analysis of one area, against the static limit, and the depth that it removes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._arrays import to_dense
from ssbmaps._conventions import pixel_size
from ssbmaps._errors import DataQualityWarning, Faults, SsbmapsError
from ssbmaps._provenance import finish
from ssbmaps.interfaces._operando_result import along_time, times_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SUBJECT = "interfaces.check_fluence"
ELEMENTARY_CHARGE = 1.602176634e-19  # C
STATIC_LIMIT = 1e12  # ions/cm²
AMPERES = {"A": 1.0, "uA": 1e-6, "nA": 1e-9, "pA": 1e-12}
CM2_PER_UM2 = 1e-8
UM_PER_CM = 1e4


def check_fluence(
    series: xr.DataArray | xr.Dataset,
    *,
    primary_current: xr.DataArray | None = None,
    acquisition_time: float | xr.DataArray | None = None,
    area: float | None = None,
    charge: int = 1,
    primary_ion_fluence: float | xr.DataArray | None = None,
    limit: float = STATIC_LIMIT,
    sputter_yield: float | None = None,
    atomic_density: float | None = None,
) -> xr.Dataset:
    """Add up the primary-ion fluence over repeated analyses of one area, and compare it with the static limit.

    What is not stated is never assumed: without current and time, or a fluence, the result says that it cannot be checked.

    Parameters
    ----------
    series : xarray.DataArray or xarray.Dataset
        Maps or a series along time; each time is one analysis of the same area.
    primary_current : xarray.DataArray, optional
        Mean primary current, pulsing included: one number or (time), with ``units`` A, uA, nA or pA.
    acquisition_time : float or xarray.DataArray, optional
        Duration of each analysis, s: one number or (time).
    area : float, optional
        Area that the beam is scanned over, um². By default that of the pixels of `series`, if it has any.
    charge : int, optional
        Charges of a primary ion: 1 for Bi3+, 2 for Bi3++.
    primary_ion_fluence : float or xarray.DataArray, optional
        In place of current and time: ions/cm² of each analysis, one number or (time).
    limit : float, optional
        Static limit, ions/cm².
    sputter_yield, atomic_density : float, optional
        Atoms removed per primary ion, and atoms per cm³: both, for the removed depth.

    Returns
    -------
    xarray.Dataset
        Along time: ``fluence`` of each analysis and ``cumulative_fluence`` up to its end, ions/cm²; ``limit_share``, the latter
        over the limit; ``within_static`` (1, 0; -1 where it cannot be checked); ``removed_depth``, um, at the end of each
        analysis, with a yield. Scalars ``limit`` and ``statement``. Values that cannot be known are NaN.

    Raises
    ------
    SsbmapsError
        If a value is not positive, units are missing, or a fluence is given beside a current.

    Warns
    -----
    DataQualityWarning
        If the limit is passed, or the fluence cannot be checked.

    Notes
    -----
    Fluence = I t / (q e area), spread evenly. 10¹² ions/cm², one ion for a thousand surface atoms, is the classical static
    limit; the same source names up to a hundred times as much for imaging, and less for large molecules [1]_. Beyond the limit
    repeated analysis removes and damages what it looks at: a falling signal is then compatible with damage. Depth = yield ×
    fluence / density holds for even removal with a yield that does not change.

    References
    ----------
    .. [1] IUPAC Recommendations 2020, Pure Appl. Chem. 92, 1781, doi 10.1515/pac-2019-0404.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from ssbmaps.interfaces import check_fluence
    >>> signal = xr.DataArray(np.ones(3), {"time": [0.0, 1.0, 2.0]}, ("time",))
    >>> found = check_fluence(signal, primary_ion_fluence=2e11)
    >>> found.cumulative_fluence.values.tolist(), found.within_static.values.tolist()
    ([200000000000.0, 400000000000.0, 600000000000.0], [1, 1, 1])
    """
    import xarray as xr

    times, _ = times_of(series, subject=SUBJECT)
    n = len(times)
    _check(primary_current, primary_ion_fluence, charge, (limit, sputter_yield, atomic_density, area))
    reason = ""
    if primary_ion_fluence is not None:
        each = _series(primary_ion_fluence, n, "primary_ion_fluence")
    else:
        size = area if area is not None else _area(series)
        parts = {"primary_current": primary_current, "acquisition_time": acquisition_time, "area": size}
        missing = [name for name, value in parts.items() if value is None]
        reason = f"{', '.join(missing)} not stated" if missing else ""
        each = np.full(n, np.nan)
        if size is not None and not missing:
            each = _ions(primary_current, acquisition_time, n, charge) / (size * CM2_PER_UM2)
    cumulative = np.cumsum(each)
    depth = np.full(n, np.nan)
    if sputter_yield is not None and atomic_density is not None:
        depth = cumulative * sputter_yield / atomic_density * UM_PER_CM
    share = cumulative / limit
    within = np.full(n, -1, np.int8) if reason else (share <= 1).astype(np.int8)
    said = _said(reason, cumulative, limit, depth)
    if reason or not within.all():
        warnings.warn(f"{SUBJECT}: {said}", DataQualityWarning, stacklevel=2)
    about = {
        "fluence": (each, "ions/cm^2", "primary-ion fluence of one analysis"),
        "cumulative_fluence": (cumulative, "ions/cm^2", "primary-ion fluence up to the end of the analysis"),
        "limit_share": (share, "1", "cumulative fluence over the static limit"),
        "within_static": (within, "1", "1: within the static limit; 0: beyond; -1: cannot be checked"),
        "removed_depth": (depth, "um", "depth removed up to the end of the analysis"),
    }
    variables: dict[str, Any] = {k: ("time", v, {"units": unit, "long_name": text}) for k, (v, unit, text) in about.items()}
    variables["limit"] = ((), float(limit), {"units": "ions/cm^2", "long_name": "static limit"})
    variables["statement"] = ((), said, {"units": "1", "long_name": "the result in words"})
    arguments = {
        "series": series,
        "primary_current": primary_current,
        "acquisition_time": acquisition_time,
        "area": area,
        "charge": charge,
        "primary_ion_fluence": primary_ion_fluence,
        "limit": limit,
        "sputter_yield": sputter_yield,
        "atomic_density": atomic_density,
    }
    return finish(xr.Dataset(variables, along_time(series)), function=SUBJECT, arguments=arguments, sources=[series])


def _check(current: Any, fluence: Any, charge: object, positive: tuple[Any, ...]) -> None:
    with Faults(SUBJECT) as faults:
        faults.expect(current is None or fluence is None, "primary_current and primary_ion_fluence are both given; expected one.")
        whole = isinstance(charge, (int, np.integer)) and not isinstance(charge, bool) and bool(charge >= 1)
        faults.expect(whole, f"charge={charge!r}; expected a whole number of charges, 1 or more.")
        for name, value in zip(("limit", "sputter_yield", "atomic_density", "area"), positive, strict=True):
            good = value is None or (isinstance(value, (int, float, np.number)) and bool(np.isfinite(value) and value > 0))
            faults.expect(good, f"{name}={value!r}; expected a number above 0.")
        together = (positive[1] is None) == (positive[2] is None)
        faults.expect(together, "sputter_yield and atomic_density go together; expected both for the removed depth.")
        if current is not None:
            unit = getattr(current, "attrs", {}).get("units")
            faults.expect(unit in AMPERES, f"primary_current is in {unit!r}; expected a DataArray in {', '.join(AMPERES)}.")


def _ions(current: Any, duration: Any, n: int, charge: int) -> Floats:
    amperes = _series(current, n, "primary_current") * AMPERES[str(current.attrs["units"])]
    return np.asarray(amperes * _series(duration, n, "acquisition_time") / (charge * ELEMENTARY_CHARGE))


def _series(given: Any, n: int, name: str) -> Floats:
    """One number for every time, or a series of them; all positive."""
    raw = np.asarray(to_dense(given.data) if hasattr(given, "dims") else given)
    if raw.dtype.kind not in "iuf":
        raise SsbmapsError(f"{SUBJECT}: {name}={given!r:.60}; expected one number above 0, or {n} along time.")
    values = raw.astype(np.float64)
    if values.ndim > 1 or values.size not in (1, n) or not bool((np.isfinite(values) & (values > 0)).all()):
        got = f"shape {values.shape}, lowest value {float(np.min(values, initial=np.inf)):g}"
        raise SsbmapsError(f"{SUBJECT}: {name} has {got}; expected one number above 0, or {n} along time.")
    return np.array(np.broadcast_to(values.ravel(), (n,)))


def _area(series: Any) -> float | None:
    """Scanned area in um² of maps with a pixel size; None without a raster."""
    if not {"y", "x"} <= set(series.dims):
        return None
    pixel = pixel_size(series, subject=SUBJECT)
    return float(series.sizes["y"] * series.sizes["x"] * pixel[0] * pixel[1])


def _said(reason: str, cumulative: Floats, limit: float, depth: Floats) -> str:
    if reason:
        return f"Primary-ion fluence cannot be checked: {reason}."
    text = f"Primary-ion fluence of all analyses: {cumulative[-1]:.2g} ions/cm², "
    text += f"{cumulative[-1] / limit:.2g} of the static limit of {limit:.2g}."
    if cumulative[-1] > limit:
        text += " Repeated analysis removes material; a falling signal is compatible with damage."
    if np.isfinite(depth[-1]):
        text += f" Removed depth at the stated yield: {1e3 * depth[-1]:.2g} nm."
    return text
