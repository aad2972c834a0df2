"""From the fine grid to an image: beam, chemical blur, a shift and the pixel's own area, all in Fourier space."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.synthetic._raster import Frame

    Floats = NDArray[np.float64]

_NEGLIGIBLE = 1e-6  # of the transfer function: frequencies beyond are left out


@dataclass(frozen=True)
class Blur:
    """Point spread in um of the map: a Gaussian, a share of it in a wider one, and a third on top of both."""

    sigma: float
    halo_fraction: float = 0.0
    halo_sigma: float = 0.0
    extra: float = 0.0

    def transfer(self, squared: Floats) -> Floats:
        """Transfer function at squared frequencies (1/um²)."""
        scale = -2 * np.pi**2 * squared
        narrow = (1 - self.halo_fraction) * np.exp(scale * self.sigma**2)
        wide = self.halo_fraction * np.exp(scale * self.halo_sigma**2)
        return np.asarray((narrow + wide) * np.exp(scale * self.extra**2))

    @property
    def reach(self) -> float:
        """Distance (um) beyond which nothing is seen."""
        return 5.5 * (max(self.sigma, self.halo_sigma if self.halo_fraction > 0 else 0.0) + self.extra)


class Imager:
    """Blurred fields, ready to be imaged at any shift.

    `fields` are (Ny, Nx) on the cells of the padded frame, each with its own blur. The values are the means over each
    pixel's area; the padded frame is taken as periodic, so its rim must be wider than the blur and the shift.
    """

    def __init__(self, fields: Sequence[Floats], blurs: Sequence[Blur], frame: Frame) -> None:
        from scipy.fft import rfft2

        self._frame = frame
        self._factor = self._kept_factor(min(b.sigma for b in blurs))
        self._size = tuple(n * self._factor for n in frame.padded)
        fine = tuple(n * frame.oversample for n in frame.padded)
        self._ky, self._kx = self._frequencies()
        scale = (self._factor / frame.oversample) ** 2
        box = self._box(self._ky)[:, None] * self._box(self._kx)[None, :] * scale
        squared = self._ky[:, None] ** 2 + self._kx[None, :] ** 2
        transfers = {blur: box * blur.transfer(squared) for blur in set(blurs)}
        self._spectra = np.empty((len(fields), len(self._ky), len(self._kx)), np.complex128)
        for i, (field, blur) in enumerate(zip(fields, blurs, strict=True)):
            spectrum = rfft2(field, s=fine, workers=2)
            self._spectra[i] = _central(spectrum, self._size) * transfers[blur]

    def single(self) -> Imager:
        """The same in single precision: images good to 1e-6 of the brightest field, in half the time."""
        other = copy(self)
        other._spectra = self._spectra.astype(np.complex64)
        return other

    def _kept_factor(self, sigma: float) -> int:
        """Smallest number of samples per pixel that holds every frequency the beam passes."""
        q = self._frame.oversample
        for factor in range(1, q):
            nyquist = 0.5 * factor / self._frame.pixel
            if Blur(sigma).transfer(np.array(nyquist**2)) < _NEGLIGIBLE:
                return factor
        return q

    def _frequencies(self) -> tuple[Floats, Floats]:
        step = self._frame.pixel / self._factor
        rows, columns = np.fft.fftfreq(self._size[0], step), np.fft.rfftfreq(self._size[1], step)
        return rows.astype(np.float64), columns.astype(np.float64)

    def _box(self, k: Floats) -> NDArray[np.complex128]:
        """Mean over the q cells of a pixel, moved so that the sample at its first cell is the whole pixel's mean."""
        q, cell = self._frame.oversample, self._frame.pixel / self._frame.oversample
        positions = np.arange(q)
        return np.asarray(np.exp(2j * np.pi * k[:, None] * cell * positions).mean(axis=1))

    def image(self, shift: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.floating]:
        """(field, ny, nx) images with the sample moved by `shift` (y, x) um; negative ripples are set to 0."""
        from scipy.fft import irfft2

        ramp = _phase(self._ky, shift[0])[:, None] * _phase(self._kx, shift[1])[None, :]
        moved = self._spectra * ramp.astype(self._spectra.dtype)
        p = self._factor
        images = irfft2(moved, s=self._size, axes=(-2, -1), workers=1)[:, ::p, ::p]
        return np.maximum(self._frame.crop(images), 0)


def _phase(k: Floats, shift: float) -> NDArray[np.complex128]:
    return np.asarray(np.exp(-2j * np.pi * k * shift))


def _central(spectrum: NDArray[np.complex128], size: tuple[int, ...]) -> NDArray[np.complex128]:
    """Rows and columns of a real-input spectrum that a smaller grid of `size` can hold."""
    ny, nx = size
    if ny == spectrum.shape[0]:
        return spectrum
    rows = np.r_[0 : (ny + 1) // 2, spectrum.shape[0] - ny // 2 : spectrum.shape[0]]
    return spectrum[rows, : nx // 2 + 1]
