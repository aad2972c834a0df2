"""A map through landmarks: least squares in um, with the covariance that their residuals give. Arrays only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import RegistrationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_PARAMETERS = {"translation": 2, "rigid": 3, "similarity": 4, "affine": 6}
_THIN = 1e-6  # smaller over larger spread of the landmarks, below which they lie on one line


def through(points: Floats, model: str, *, subject: str) -> tuple[Floats, Floats, float]:
    """Map (2, 3) from the first two columns to the last two, covariance (6, 6), and the rms residual per axis, um."""
    size = _PARAMETERS[model]
    if 2 * len(points) < size + 2:
        raise RegistrationError(
            f"{subject}: {len(points)} landmarks cannot fix a {model} map and leave an error; give {size // 2 + 1} or more."
        )
    source, target = points[:, :2], points[:, 2:]
    middle = source.mean(axis=0)
    spread = np.linalg.svd(source - middle, compute_uv=False)
    if (spread[1] if model == "affine" else spread[0] if model != "translation" else 1.0) <= _THIN * spread[0]:
        raise RegistrationError(f"{subject}: the landmarks lie on one line or point; a {model} map cannot be fixed by them.")
    turn, jacobian, known = _turn(source - middle, target - target.mean(axis=0), model)
    rest = target - target.mean(axis=0) - (source - middle) @ turn.T
    variance = float((rest**2).sum()) / (rest.size - size)
    shift = target.mean(axis=0) - turn @ middle
    whole = np.zeros((6, 6))  # of the turn's four entries, then of the shift of the middle
    whole[:4, :4] = jacobian @ np.linalg.inv(known) @ jacobian.T if len(known) else 0.0
    whole[4:, 4:] = np.eye(2) / len(points)
    entries = np.zeros((6, 6))
    entries[[0, 1, 3, 4], [0, 1, 2, 3]] = 1
    entries[2, [0, 1]] = entries[5, [2, 3]] = -middle
    entries[2, 4] = entries[5, 5] = 1
    return np.column_stack([turn, shift]), variance * entries @ whole @ entries.T, float(np.sqrt(variance))


def _turn(p: Floats, t: Floats, model: str) -> tuple[Floats, Floats, Floats]:
    """The (2, 2) part for centred points; how its entries move with its parameters (4, P); their information (P, P)."""
    square = float((p**2).sum())
    if model == "affine":
        moment = p.T @ p
        return np.asarray(t.T @ p @ np.linalg.inv(moment)), np.eye(4), np.asarray(np.kron(np.eye(2), moment), np.float64)
    if model == "translation":
        return np.eye(2), np.zeros((4, 0)), np.zeros((0, 0))
    a, b = float((p * t).sum()), float((p[:, 0] * t[:, 1] - p[:, 1] * t[:, 0]).sum())
    if model == "similarity":
        jacobian = np.array([[1, 0], [0, -1], [0, 1], [1, 0]], float)
        return np.array([[a, -b], [b, a]]) / square, jacobian, square * np.eye(2)
    c, s = a / np.hypot(a, b), b / np.hypot(a, b)
    return np.array([[c, -s], [s, c]]), np.array([[-s], [-c], [c], [-s]]), np.array([[square]])
