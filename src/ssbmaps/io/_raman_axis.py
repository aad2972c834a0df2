"""The spectral axis of a Raman map: 1/cm where the file has them or the laser line is known, else nm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError, SsbmapsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHIFT = ("1/cm", "cm-1", "cm^-1", "cm⁻¹", "rel. 1/cm", "raman shift / cm-1", "1/centimeter")
_NANOMETRE = ("nm", "nanometer", "nanometre")


def parse_laser(laser: Any, *, subject: str) -> float | None:
    """`laser=` in nm, above 0."""
    if laser is None:
        return None
    good = isinstance(laser, (int, float, np.integer, np.floating)) and not isinstance(laser, bool) and 0 < laser < np.inf
    if not good:
        raise SsbmapsError(f"{subject}: laser is {laser!r}; expected the wavelength of the laser in nm, e.g. 532.0.")
    return float(laser)


def spectral_axis(
    values: NDArray[Any], unit: str, *, laser: float | None, subject: str
) -> tuple[str, dict[str, tuple[str, NDArray[np.float64]]]]:
    """The dimension's name and its coordinates; `laser` in nm, the caller's or the file's.

    Wavelengths become shifts 10⁷ (1/λ₀ − 1/λ) where the laser line λ₀ is known, and stay beside them as the coordinate
    `wavelength`; both as the file has them, without a correction for the refractive index of air.
    """
    stored = np.asarray(values, np.float64)
    name = unit.strip().lower()
    if not np.isfinite(stored).all():
        raise FormatError(f"{subject}: the spectral axis holds NaN or infinity; expected finite values in {unit}.")
    if name in _SHIFT:
        return "raman_shift", {"raman_shift": ("raman_shift", stored)}
    if name not in _NANOMETRE:
        raise FormatError(f"{subject}: the spectral axis is in {unit!r}; expected 1/cm or nm.")
    if not (stored > 0).all():
        raise FormatError(f"{subject}: the spectral axis reaches {stored.min():g} nm; a wavelength is above 0.")
    if laser is None:
        return "wavelength", {"wavelength": ("wavelength", stored)}
    shift = 1e7 / laser - 1e7 / stored
    return "raman_shift", {"raman_shift": ("raman_shift", shift), "wavelength": ("raman_shift", stored)}
