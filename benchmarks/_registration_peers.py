"""Other packages asked for the same map: two images and their pixel sizes in, a (3, 3) matrix in um, of (y, x, 1), out."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

Peer = Callable[[np.ndarray, np.ndarray, tuple[float, float]], np.ndarray]
SWAP = np.eye(3)[[1, 0, 2]]  # between (x, y) and (y, x)


def _one_grid(first: np.ndarray, second: np.ndarray, pixels: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The second image on the pixels and the size of the first, in its middle; and the (3, 3) matrix from um to its indices."""
    factor = pixels[0] / pixels[1]
    shape = [int(n / factor) for n in second.shape]
    axes = [(np.arange(n) + 0.5) * factor - 0.5 for n in shape]
    scaled = ndimage.map_coordinates(second, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest")
    room = [(a - b) // 2 for a, b in zip(first.shape, shape, strict=True)]
    padded = np.full(first.shape, scaled.mean())
    padded[room[0] : room[0] + shape[0], room[1] : room[1] + shape[1]] = scaled
    return padded, _to_index(pixels[0], room)


def _to_index(pixel: float, room: Any = (0, 0)) -> np.ndarray:
    return np.array([[1 / pixel, 0, room[0] - 0.5], [0, 1 / pixel, room[1] - 0.5], [0, 0, 1]])


def _um(index_map: np.ndarray, to_index: np.ndarray, pixel: float) -> np.ndarray:
    """From a matrix between indices (second to first) to one in um."""
    return np.linalg.inv(_to_index(pixel)) @ index_map @ to_index


def phase_shift(first: np.ndarray, second: np.ndarray, pixels: tuple[float, float]) -> np.ndarray:
    from skimage.registration import phase_cross_correlation

    padded, to_index = _one_grid(first, second, pixels)
    shift = phase_cross_correlation(first, padded, upsample_factor=10)[0]
    index_map = np.eye(3)
    index_map[:2, 2] = shift
    return _um(index_map, to_index, pixels[0])


def log_polar(first: np.ndarray, second: np.ndarray, pixels: tuple[float, float]) -> np.ndarray:
    """Rotation and scale from the log-polar spectra, then the shift, as its example does; band and radius to suit the maps."""
    from skimage.filters import difference_of_gaussians, window
    from skimage.registration import phase_cross_correlation
    from skimage.transform import warp_polar

    padded, to_index = _one_grid(first, second, pixels)
    shape = first.shape
    radius = shape[0] // 4
    spectra = []
    for image in (first, padded):
        seen = difference_of_gaussians(image, 1, 10) * window("hann", shape)
        spectrum = np.abs(np.fft.fftshift(np.fft.fft2(seen)))
        spectra.append(warp_polar(spectrum, radius=radius, output_shape=shape, scaling="log", order=1)[: shape[0] // 2])
    rows, columns = phase_cross_correlation(*spectra, upsample_factor=10, normalization=None)[0]
    angle = np.deg2rad(360 / shape[0] * rows)
    scale = np.exp(columns / (shape[1] / np.log(radius)))
    # rows of the polar spectrum run from x towards y; a spectrum that is wider belongs to an image that is smaller
    turn = 1 / scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = (np.array(shape) - 1) / 2
    back = np.linalg.inv(turn)
    turned = ndimage.affine_transform(padded, back, middle - back @ middle, order=1, mode="nearest")
    shift = phase_cross_correlation(first, turned, upsample_factor=10)[0]
    index_map = np.vstack([np.column_stack([turn, middle - turn @ middle + shift]), [0, 0, 1]])
    return _um(index_map, to_index, pixels[0])


def _stackreg(kind: str) -> Peer:
    def run(first: np.ndarray, second: np.ndarray, pixels: tuple[float, float]) -> np.ndarray:
        from pystackreg import StackReg

        padded, to_index = _one_grid(first, second, pixels)
        found = StackReg(getattr(StackReg, kind)).register(first, padded)  # (x, y), from the first to the second
        return _um(np.linalg.inv(SWAP @ found @ SWAP), to_index, pixels[0])

    return run


def _mattes(*, steps: bool) -> Peer:
    """Gradient descent from the package's examples, the reference fixed; or with `steps` what served best on these maps:
    regular steps that start at two pixels, the smaller map fixed, so that every sample finds a partner."""

    def run(first: np.ndarray, second: np.ndarray, pixels: tuple[float, float]) -> np.ndarray:
        import SimpleITK as sitk

        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(int(os.environ.get("NUMBA_NUM_THREADS", os.cpu_count() or 1)))
        images = []
        for array, pixel in zip((first, second), pixels, strict=True):
            image = sitk.GetImageFromArray(array.astype(np.float32))
            image.SetSpacing((pixel, pixel))
            image.SetOrigin((pixel / 2, pixel / 2))
            images.append(image)
        images = images[::-1] if steps else images
        centred = sitk.CenteredTransformInitializerFilter.GEOMETRY
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(50)
        method.SetMetricSamplingStrategy(method.NONE)
        method.SetInterpolator(sitk.sitkLinear)
        if steps:
            method.SetOptimizerAsRegularStepGradientDescent(2 * max(pixels), 1e-4, 300)
        else:
            method.SetOptimizerAsGradientDescent(1.0, 200, 1e-6, 10)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel([4, 2, 1])
        method.SetSmoothingSigmasPerLevel([2, 1, 0])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
        method.SetInitialTransform(sitk.CenteredTransformInitializer(*images, sitk.AffineTransform(2), centred), inPlace=False)
        found = sitk.AffineTransform(sitk.CompositeTransform(method.Execute(*images)).GetBackTransform())
        linear, centre = np.array(found.GetMatrix()).reshape(2, 2), np.array(found.GetCenter())
        offset = np.array(found.GetTranslation()) + centre - linear @ centre
        whole = SWAP @ np.vstack([np.column_stack([linear, offset]), [0, 0, 1]]) @ SWAP  # from the fixed to the other
        return whole if steps else np.linalg.inv(whole)

    return run


PEERS: dict[str, Peer] = {
    "scikit-image, phase correlation": phase_shift,
    "scikit-image, log-polar and phase correlation": log_polar,
    "pystackreg, rigid": _stackreg("RIGID_BODY"),
    "pystackreg, affine": _stackreg("AFFINE"),
    "SimpleITK, Mattes information, its examples' settings": _mattes(steps=False),
    "SimpleITK, Mattes information, best settings found": _mattes(steps=True),
}
