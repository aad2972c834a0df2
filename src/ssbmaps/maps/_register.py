"""Register one map on another: the public function; the map, its error and what it rests on as a Transform."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, Faults, RegistrationError
from ssbmaps._provenance import history_line
from ssbmaps.maps._register_input import SUBJECT, check_landmarks, check_maps, name_pairs, stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from ssbmaps.maps._map_images import Stack
    from ssbmaps.maps._register_find import Found
    from ssbmaps.maps._transform import Transform

    Floats = NDArray[np.float64]

_MODELS = ("translation", "rigid", "similarity", "affine", "deformable", "auto")
_UNLIKELY = 0.01
_WIDTH = 2.0  # fixed pixels of smoothing, with which blocks are asked for their misfit: with less they do not look far enough


def register(
    reference: xr.DataArray,
    moving: xr.DataArray,
    *,
    pairs: Sequence[tuple[Any, Any]] | None = None,
    model: str = "affine",
    initial: Transform | ArrayLike | None = None,
    landmarks: ArrayLike | None = None,
    hold_out: Sequence[tuple[Any, Any]] | None = None,
    rotation: float = 20.0,
    scale: float = 1.06,
    overlap: float = 0.3,
) -> Transform:
    """Find where one map lies on another, in um, and how well that is known; neither map is changed.

    The map with most mutual information between the paired channels, so that contrast may be inverse or of any other relation:
    searched over all shifts and a grid of rotations and scales, refined from coarse to fine on all pixels of all pairs together,
    and verified on evidence that it was not fitted to. What is not found with confidence is an error, never a guess.

    Parameters
    ----------
    reference, moving : xarray.DataArray
        Maps (channel, y, x) or (y, x) with coordinates y and x in um. Integer counts get even variance (Anscombe); other
        values are taken as they are. NaN, and pixels not in the coordinate `measured`, take no part.
    pairs : sequence of (str, str), optional
        Channels that show the same, (of the reference, of the moving map): ``[("S-", "S LVV"), ("PO3-", "P LVV")]``. A list
        of names in place of a name is summed. By default the channels of the same name, or the only one of each. An empty
        list: `landmarks` alone. A channel whose position is to be reported afterwards should not be among them.
    model : {"affine", "similarity", "rigid", "translation", "deformable", "auto"}
        Kind of map. "auto" takes the simplest of the first four that explains blocks that it was not fitted to as well as the
        others. "deformable" adds a smooth displacement to the affine map, with its own error, and NaN where it is unknown.
    initial : Transform or array_like, optional
        A first guess, moving to reference, (2, 3) or (3, 3) in um. There is no search then.
    landmarks : array_like, optional
        (N, 4), um: y, x on the moving map and y, x on the reference; three or more. With pairs, they are the first guess, and
        what the result leaves of them is told in `landmark_misfit`.
    hold_out : sequence of (str, str), optional
        Pairs that take no part; where they would put the map is told in `held_out_y` and `held_out_x`.
    rotation : float
        Rotations searched, degrees either way.
    scale : float
        Scale factors searched and accepted, from 1/scale to scale.
    overlap : float
        Least share of the smaller map that must lie on the other.

    Returns
    -------
    Transform
        From um of the moving map to um of the reference, with its covariance. In ``attrs``: `model`, `pairs`, `overlap`;
        `support` (share of blocks whose held-out evidence speaks for the map) and `chance` (of unrelated maps to reach
        it); `agreement` (p that the pairs agree; where p is below 0.05, the covariance is widened by as much); `misfit` (um, rms
        displacement of blocks beyond their errors) and `misfit_chance` (p that there is none); and `history`.

    Raises
    ------
    RegistrationError
        If a channel is constant, the maps do not overlap or show nothing in common, the best map is mirrored or scaled beyond
        `scale`, or its position stays unknown. The letter says which.
    SsbmapsError
        If maps have other dimensions, no pixel size, or a name is unknown.

    Warns
    -----
    DataQualityWarning
        If blocks are displaced beyond their errors (the map of this kind does not fit), or the pairs or the held-out ones
        disagree; and with "deformable", whose stated error is too small.

    Notes
    -----
    Mutual information: Viola & Wells, Int. J. Computer Vision 24 (1997) 137, doi 10.1023/A:1007958904918; histogram by
    B-splines: Thévenaz & Unser, IEEE Trans. Image Process. 9 (2000) 2083, doi 10.1109/83.887976. The coarser raster is the one on
    which both are compared; the finer one is averaged over its pixels. The covariance is that of a jackknife by 64 blocks
    (MacKinnon, Nielsen & Webb, J. Appl. Econometrics 38 (2023) 671, doi 10.1002/jae.2969), so that it holds noise and local
    misfit, of counts and of intensities alike; widened so that the 95 % region covers as much although blocks are few.
    Different sampling depths of two techniques are no part of it: see `removed_depth` in the data contract.

    Examples
    --------
    >>> from ssbmaps import maps, synthetic
    >>> section = synthetic.cross_section(shape=(128, 128), n_scans=5)
    >>> sam = synthetic.sam_maps(section, lines=("S LVV", "Ni LMM"), rotation=3.0)
    >>> found = maps.register(section.counts.sum("scan"), sam.peak, pairs=[("S-", "S LVV"), ("NiO2-", "Ni LMM")])
    >>> truth = sam.attrs["transform"].reshape(3, 3) @ (5.0, 5.0, 1.0)
    >>> y, x = found.apply(5.0, 5.0)
    >>> bool(abs(y - truth[0]) < 0.03 and abs(x - truth[1]) < 0.03)  # um; a third of a pixel
    True
    """
    _check_options(model, rotation, scale, overlap)
    reference, moving = check_maps(reference, "reference"), check_maps(moving, "moving")
    points = check_landmarks(landmarks)
    names = name_pairs(reference, moving, pairs)
    told = {
        "pairs": [[list(a), list(b)] for a, b in names],
        "model": model,
        "initial": initial,
        "landmarks": points,
        "hold_out": hold_out,
        "rotation": rotation,
        "scale": scale,
        "overlap": overlap,
    }
    history = history_line(SUBJECT, {k: v for k, v in told.items() if v is not None})
    if not names:
        return _by_landmarks(points, model, history)
    held = name_pairs(reference, moving, hold_out) if hold_out else []
    sides = [stack(m, [n[i] for n in names], r) for i, (m, r) in enumerate(((reference, "reference"), (moving, "moving")))]
    onward = np.prod(sides[1].raster.pixel) > np.prod(sides[0].raster.pixel)  # the moving raster is the coarser, fixed one
    fixed, sampled = (sides[1], sides[0]) if onward else (sides[0], sides[1])
    start = _start(initial, points)
    if start is not None and not onward:
        start = np.asarray(np.linalg.inv(start), np.float64)
    found, kind = _find(fixed, sampled, model, rotation, scale, overlap, None if start is None else start[:2])
    result = _transform(fixed, sampled, found, kind, onward)
    attrs: dict[str, Any] = {
        "model": kind,
        "pairs": "; ".join(f"{'+'.join(a) or 'map'} ~ {'+'.join(b) or 'map'}" for a, b in names),
        "overlap": found.overlap,
        "support": found.support.share,
        "chance": found.support.chance(found.trials),
        "agreement": found.agreement,
        **result.attrs,
    }
    if held:
        others = [stack(m, [n[i] for n in held], r) for i, (m, r) in enumerate(((reference, "reference"), (moving, "moving")))]
        attrs |= _held_out(others[1] if onward else others[0], others[0] if onward else others[1], found, onward)
    if points is not None:
        y, x = result.apply(points[:, 0], points[:, 1])
        attrs["landmark_misfit"] = float(np.sqrt(np.nanmean((y - points[:, 2]) ** 2 + (x - points[:, 3]) ** 2)))
    _warn(attrs, kind)
    from ssbmaps.maps._transform import Transform

    return Transform(result.matrix, result.covariance, result.displacement, attrs=attrs | {"history": history})


def _check_options(model: str, rotation: float, scale: float, overlap: float) -> None:
    with Faults(SUBJECT) as faults:
        faults.expect(model in _MODELS, f"model is {model!r}; expected one of {', '.join(_MODELS)}.")
        faults.expect(0 <= rotation <= 180, f"rotation is {rotation}; expected degrees from 0 to 180.")
        faults.expect(1 <= scale <= 4, f"scale is {scale}; expected a factor from 1 to 4.")
        faults.expect(0 < overlap <= 1, f"overlap is {overlap}; expected a share above 0, at most 1.")


def _start(initial: Any, points: Floats | None) -> Floats | None:
    """(3, 3) first guess, moving to reference."""
    from ssbmaps.maps._register_landmarks import through

    if initial is not None:
        matrix = np.asarray(getattr(initial, "matrix", initial), np.float64)
        good = matrix.shape in ((2, 3), (3, 3)) and bool(np.isfinite(matrix).all())
        if not good or np.linalg.det(matrix[:2, :2]) <= 0:
            raise RegistrationError(
                f"{SUBJECT}: initial is no map: expected a Transform, or a matrix (2, 3) or (3, 3) in um that neither mirrors "
                "nor collapses the map."
            )
        return np.vstack([matrix[:2], [0, 0, 1]])
    if points is None:
        return None
    kind = "affine" if len(points) > 3 else "rigid"
    return np.vstack([through(points, kind, subject=SUBJECT)[0], [0, 0, 1]])


def _by_landmarks(points: Floats | None, model: str, history: str) -> Transform:
    from ssbmaps.maps._register_landmarks import through
    from ssbmaps.maps._transform import Transform

    if points is None or model in ("deformable", "auto"):
        raise RegistrationError(
            f"{SUBJECT}: there are no pairs, so landmarks= must be given, and model= one of {', '.join(_MODELS[:4])}."
        )
    matrix, covariance, misfit = through(points, model, subject=SUBJECT)
    attrs = {"model": model, "pairs": "", "landmark_misfit": float(np.sqrt(2) * misfit), "history": history}
    return Transform(matrix, covariance, attrs=attrs)


def _find(
    fixed: Stack, sampled: Stack, model: str, rotation: float, scale: float, overlap: float, start: Floats | None
) -> tuple[Found, str]:
    """The verified map, and the kind that was chosen."""
    from ssbmaps.maps._map_choose import simplest
    from ssbmaps.maps._register_find import Wanted, find

    kind = "affine" if model in ("deformable", "auto") else model
    found = find(fixed, sampled, Wanted(kind, rotation, scale, overlap), start, subject=SUBJECT)
    if model == "auto":
        kind = simplest(found.fit)
        if kind != "affine":
            found = find(fixed, sampled, Wanted(kind, rotation, scale, overlap), found.fit.matrix, subject=SUBJECT)
    return found, "deformable" if model == "deformable" else kind


def _transform(fixed: Stack, sampled: Stack, found: Found, kind: str, onward: bool) -> Transform:
    """The map with its covariance, what is left of it by block, and for "deformable" the displacement."""
    from ssbmaps.maps._map_bend import bend, followed
    from ssbmaps.maps._map_images import criterion
    from ssbmaps.maps._map_misfit import SIDES, residuals
    from ssbmaps.maps._register_field import displacement
    from ssbmaps.maps._transform import Transform

    fit = found.fit
    if kind == "deformable":
        at, field = bend(fixed, sampled, fit.matrix, fit.covariance, widest=4 * min(fixed.raster.pixel))
        left = residuals(at, at.parameters(fit.matrix))
        shift = displacement(field, fixed.raster)
        whole = Transform(fit.matrix, fit.covariance if shift is None else np.zeros((6, 6)), shift)
    else:
        at = criterion(fixed, sampled, _WIDTH * min(fixed.raster.pixel))
        g, excess = at.parameters(fit.matrix), 0.0
        left = residuals(at, g, SIDES[1])
        if left.chance() < _UNLIKELY:
            left, _ = followed(at, g, fixed.raster, SIDES[1])
            excess = left.excess()
        spread = fit.covariance + np.diag([0, 0, excess**2 / 2, 0, 0, excess**2 / 2])
        whole = Transform(fit.matrix, spread)
    attrs = {"misfit": left.excess(), "misfit_chance": left.chance()}
    result = whole if onward else whole.inverse()
    return Transform(result.matrix, result.covariance, result.displacement, attrs=attrs)


def _held_out(fixed: Stack, sampled: Stack, found: Found, onward: bool) -> dict[str, Any]:
    """Where the held-out pairs would put the moving map, beyond where it was put, um on the reference; and how likely that is."""
    from scipy.stats import chi2

    from ssbmaps.maps._map_error import settled
    from ssbmaps.maps._map_fit import corners
    from ssbmaps.maps._map_images import criterion

    at = criterion(fixed, sampled, found.fit.sigma)
    shifts, spreads = settled(at, at.parameters(found.fit.matrix))
    jacobian = corners(at)
    spreads = spreads + np.einsum("nij,jk,nlk->il", jacobian, found.fit.covariance, jacobian) / len(jacobian)
    total = np.einsum("ki,kij,kj->k", shifts, np.linalg.inv(spreads), shifts)
    if not onward:  # the map runs from the reference to the moving raster, and is turned round
        turn = -np.linalg.inv(found.fit.matrix[:, :2])
        shifts, spreads = shifts @ turn.T, turn @ spreads @ turn.T
    return {
        "held_out_y": shifts[:, 0],
        "held_out_x": shifts[:, 1],
        "held_out_y_sd": np.sqrt(spreads[:, 0, 0]),
        "held_out_x_sd": np.sqrt(spreads[:, 1, 1]),
        "held_out_chance": chi2.sf(total, 2),
    }


def _warn(attrs: dict[str, Any], kind: str) -> None:
    """Say what speaks against the result, once and together."""
    told = []
    if attrs["misfit_chance"] < _UNLIKELY:
        hint = "" if kind == "deformable" else " Look at check_registration, or take model='deformable'."
        told.append(
            f"a map of kind {kind!r} does not fit: blocks lie {attrs['misfit']:.3g} um (rms) from where it puts them, beyond "
            f"their errors (p = {attrs['misfit_chance']:.1g}).{hint}"
        )
    if attrs["agreement"] < _UNLIKELY:
        told.append(
            f"the pairs disagree about the position (p = {attrs['agreement']:.1g}); the error is widened by as much. One of the "
            "pairs may not show the same thing in both maps."
        )
    apart = attrs.get("held_out_chance")
    if apart is not None and np.nanmin(apart) < _UNLIKELY:
        worst = int(np.nanargmin(apart))
        off = np.hypot(attrs["held_out_y"][worst], attrs["held_out_x"][worst])
        told.append(f"a held-out pair lies {off:.3g} um from where the others put it (p = {np.nanmin(apart):.1g}).")
    if told:
        warnings.warn(f"{SUBJECT}: {' '.join(told)}", DataQualityWarning, stacklevel=3)
