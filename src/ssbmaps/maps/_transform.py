"""Transform: where the points of one map lie on another, in um, with the error of that; a value that does not change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._conventions import check_attrs
from ssbmaps._errors import RegistrationError, SsbmapsError
from ssbmaps.maps._transform_parts import (
    SUBJECT,
    displacement_dataset,
    error_dataset,
    next_attrs,
    places,
    read_dataset,
    read_displacement,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from ssbmaps.maps._displacement import Field

    Floats = NDArray[np.float64]

_ENTRIES = ("y from y", "y from x", "y", "x from y", "x from x", "x")


class Transform:
    """Takes places on a moving map to places on a reference map, in um, and knows how well.

    A place (y, x) of the moving map, um from the upper-left corner of that map, lies on the reference at
    ``matrix @ (y, x, 1)``, plus the displacement at (y, x) where there is one. `ssbmaps.maps.register` estimates a transform,
    `ssbmaps.maps.resample` applies it to maps. A transform does not change: `inverse` and `compose` give new ones.

    Parameters
    ----------
    matrix : array_like
        (3, 3), last row 0, 0, 1; or its first two rows, (2, 3). Rows and columns are in the order y, x.
    covariance : array_like
        (6, 6), of the entries of the first two rows, row by row, in their units (1 and um). Zeros for a map that is known.
    displacement : xarray.Dataset, optional
        ``dy``, ``dx`` (um of the reference, added after the matrix), ``dy_sd``, ``dx_sd`` (um), and if they are correlated
        ``covariance_yx`` (um²), on an even grid (y, x) in um of the moving map. Each node stands for the cell around it, and NaN
        says that the displacement is not known there. Between the nodes it is a cubic spline, the variances are linear.
    attrs : mapping, optional
        Strings, numbers or 1-D arrays of numbers that travel with the transform, such as ``model`` and ``history``.

    Attributes
    ----------
    matrix : numpy.ndarray
        (3, 3), read-only.
    covariance : numpy.ndarray
        (6, 6), read-only.
    displacement : xarray.Dataset or None
        As it was given, in canonical order, with ``covariance_yx``.
    attrs : dict
        A copy.

    Raises
    ------
    RegistrationError
        If the matrix is singular, mirrors the map or holds NaN; if the covariance is missing, not symmetric or has a negative
        variance; if the displacement folds the map over, is known nowhere, or lacks a variable, a grid or its unit.

    Notes
    -----
    Errors are of first order. The displacement's error is taken as independent of the matrix's, and its effect on the error of
    the matrix (a factor of one plus the slope of the displacement) is left out when transforms are inverted or composed.

    Examples
    --------
    >>> import numpy as np
    >>> from ssbmaps.maps import Transform
    >>> covariance = np.diag([1e-8, 1e-8, 1e-4, 1e-8, 1e-8, 1e-4])
    >>> Transform([[1.02, -0.05, 3.0], [0.05, 1.02, -1.5]], covariance, attrs={"model": "similarity"})
    <ssbmaps.maps.Transform (similarity), moving map to reference
      rotation  +2.806° (anticlockwise, y downwards)
      scale     1.02122 along y, 1.02122 along x; shear 0
      shift     y +3 um, x -1.5 um, of the corner (0, 0)
      error     95 % within 0.0245 um around y 0 um, x 0 um, more elsewhere>
    """

    matrix: Floats
    covariance: Floats
    _displacement: xr.Dataset | None
    _field: Field | None
    _attrs: dict[str, Any]

    def __init__(
        self,
        matrix: ArrayLike,
        covariance: ArrayLike,
        displacement: xr.Dataset | None = None,
        *,
        attrs: Mapping[str, Any] | None = None,
    ) -> None:
        from ssbmaps.maps._transform_arrays import checked

        own, spread = checked(matrix, covariance, SUBJECT)
        own.setflags(write=False)
        spread.setflags(write=False)
        check_attrs(attrs or {}, subject=SUBJECT)
        kept = {k: np.array(v) if isinstance(v, (np.ndarray, list, tuple)) else v for k, v in (attrs or {}).items()}
        grid, field = (None, None) if displacement is None else read_displacement(displacement, own)
        self.__dict__.update(matrix=own, covariance=spread, _displacement=grid, _field=field, _attrs=kept)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{SUBJECT}: {name} cannot be set, because a transform does not change; make a new one.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{SUBJECT}: {name} cannot be deleted, because a transform does not change.")

    @property
    def displacement(self) -> xr.Dataset | None:
        """The displacement field, or None."""
        return None if self._displacement is None else self._displacement.copy(deep=False)

    @property
    def attrs(self) -> dict[str, Any]:
        """A copy of what travels with the transform."""
        return dict(self._attrs)

    def __repr__(self) -> str:
        from ssbmaps.maps._transform_arrays import words

        lines = words(self.matrix, self.covariance)
        field = self._field
        if field is not None:
            (ny, nx), (sy, sx) = field.shape, field.step
            longest = float(np.hypot(*field.value[:, field.known]).max())
            grid = f"{ny} x {nx} nodes, {sy:.4g} x {sx:.4g} um apart, known at {field.known.mean():.0%}"
            lines.append(("warp", f"up to {longest:.3g} um; {grid}"))
        model = self._attrs.get("model")
        head = f"<ssbmaps.maps.Transform{f' ({model})' if model else ''}, moving map to reference"
        return "\n".join([head, *(f"  {name:<9} {text}" for name, text in lines)]) + ">"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transform) and self.identical(other)

    def __hash__(self) -> int:
        return hash((self.matrix.tobytes(), self.covariance.tobytes()))

    def identical(self, other: Transform) -> bool:
        """Whether both hold the same numbers, displacement and attributes.

        Parameters
        ----------
        other : Transform
            Another transform.

        Returns
        -------
        bool
            True if nothing differs, to the last bit.

        Examples
        --------
        >>> import numpy as np
        >>> from ssbmaps.maps import Transform
        >>> one = Transform([[1, 0, 2.0], [0, 1, 3.0]], np.zeros((6, 6)))
        >>> one.identical(Transform(one.matrix, one.covariance)), one.identical(one.inverse())
        (True, False)
        """
        return isinstance(other, Transform) and bool(self.to_dataset().identical(other.to_dataset()))

    def apply(self, y: Any, x: Any) -> tuple[Any, Any]:
        """Where places of the moving map lie on the reference.

        Parameters
        ----------
        y, x : float, array_like or xarray.DataArray
            Places on the moving map, um from its upper-left corner. Arrays broadcast, DataArrays by the names of their axes.

        Returns
        -------
        y : float, numpy.ndarray or xarray.DataArray
            Where they lie on the reference, um. NaN where the place is NaN or the displacement is not known.
        x : float, numpy.ndarray or xarray.DataArray
            The same.

        Raises
        ------
        SsbmapsError
            If `y` and `x` do not fit together, or are no numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from ssbmaps.maps import Transform
        >>> quarter_turn = Transform([[0, -1, 10.0], [1, 0, 0.0]], np.zeros((6, 6)))
        >>> quarter_turn.apply(2.0, 3.0)
        (7.0, 2.0)
        """
        where, wrap = places(y, x)
        moved = self._moved(*where)
        return wrap(moved[0], "y"), wrap(moved[1], "x")

    def _moved(self, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        m, field = self.matrix, self._field
        new_y = m[0, 0] * y + m[0, 1] * x + m[0, 2]
        new_x = m[1, 0] * y + m[1, 1] * x + m[1, 2]
        if field is None:
            return new_y, new_x
        known, shift = field.holds(y, x), field.at(y, x)
        return np.where(known, new_y + shift[0], np.nan), np.where(known, new_x + shift[1], np.nan)

    def _origin(self, y: Floats, x: Floats) -> tuple[Floats, Floats]:
        """The places of the moving map that lie at (y, x) of the reference, exactly; a displacement runs on where not known."""
        from ssbmaps.maps._displacement import origin
        from ssbmaps.maps._transform_arrays import inverse

        field = self._field
        if field is None:
            return Transform(*inverse(self.matrix, self.covariance))._moved(y, x)
        p, found = origin(field, self.matrix, np.stack(np.broadcast_arrays(y, x)))
        return np.where(found, p[0], np.nan), np.where(found, p[1], np.nan)

    def _spread(self, y: Floats, x: Floats) -> Floats:
        """(3, …): variance y, variance x, covariance in um² on the reference, of places on the moving map."""
        from ssbmaps.maps._transform_arrays import spread

        found, field = spread(self.covariance, y, x), self._field
        return found if field is None else np.where(field.holds(y, x), found + field.variance(y, x), np.nan)

    def inverse(self) -> Transform:
        """The transform back, from the reference to the moving map, with its covariance.

        Returns
        -------
        Transform
            Takes um of the reference to um of the moving map. A displacement is inverted on a grid as fine as its own, over all
            that its known part comes to cover; between the nodes it is again a cubic spline.

        Notes
        -----
        From M N = 1 follows dN = −N dM N. Of a displacement u with slopes D after the linear map A, the error becomes
        (A + D)⁻¹ times that of u.

        Examples
        --------
        >>> import numpy as np
        >>> from ssbmaps.maps import Transform
        >>> there = Transform([[2, 0, 1.0], [0, 2, 3.0]], np.diag([0, 0, 0.04, 0, 0, 0.04]))
        >>> back = there.inverse()
        >>> back.apply(*there.apply(5.0, 6.0)), float(back.position_error(0.0, 0.0).y_sd)
        ((5.0, 6.0), 0.1)
        """
        from ssbmaps.maps._displacement import inverse as inverse_field
        from ssbmaps.maps._transform_arrays import inverse

        field = self._field
        back = None if field is None else displacement_dataset(inverse_field(field, self.matrix))
        return Transform(*inverse(self.matrix, self.covariance), back, attrs=next_attrs("inverse", self))

    def compose(self, then: Transform) -> Transform:
        """One transform for two in a row: first this one, then `then`, with the covariance of both.

        Parameters
        ----------
        then : Transform
            From the reference of this transform to another. The errors of the two are taken as independent.

        Returns
        -------
        Transform
            Takes um of this transform's moving map to um of the reference of `then`. Displacements are added on this one's grid,
            made finer where the other's is. Attributes that both share are kept, and the history of both.

        Raises
        ------
        SsbmapsError
            If `then` is no Transform.

        Examples
        --------
        >>> import numpy as np
        >>> from ssbmaps.maps import Transform
        >>> shift = Transform([[1, 0, 1.0], [0, 1, 0.0]], np.diag([0, 0, 0.09, 0, 0, 0]))
        >>> double = Transform([[2, 0, 0.0], [0, 2, 0.0]], np.diag([0, 0, 0.64, 0, 0, 0]))
        >>> both = shift.compose(double)
        >>> both.apply(1.0, 1.0), float(both.position_error(1.0, 1.0).y_sd)
        ((4.0, 2.0), 1.0)
        """
        from ssbmaps.maps._displacement import chain as chain_fields
        from ssbmaps.maps._transform_arrays import chain

        if not isinstance(then, Transform):
            raise SsbmapsError(f"{SUBJECT}.compose: expected a Transform, got {type(then).__name__}.")
        matrix, covariance = chain((self.matrix, self.covariance), (then.matrix, then.covariance))
        field = chain_fields(self._field, self.matrix, then._field, then.matrix[:2, :2])
        if field is not None and not field.known.any():
            raise RegistrationError(
                f"{SUBJECT}.compose: the displacements do not meet: nowhere does the first lead to where the second is known."
            )
        together = None if field is None else displacement_dataset(field)
        return Transform(matrix, covariance, together, attrs=next_attrs("compose", self, then))

    def position_error(self, y: Any, x: Any) -> xr.Dataset:
        """How well it is known where places of the moving map lie on the reference.

        Parameters
        ----------
        y, x : float, array_like or xarray.DataArray
            Places on the moving map, um. Arrays broadcast, DataArrays by the names of their axes.

        Returns
        -------
        xarray.Dataset
            ``y_sd``, ``x_sd`` (um), ``covariance_yx`` (um²) and ``radius_95`` (um): the circle of this radius holds 95 % of a
            Gaussian with this covariance, exact to 1e-5 of itself. NaN where the displacement is not known. Plain arrays lie
            along ``point``, or ``dim_0``, ``dim_1`` and so on.

        Raises
        ------
        SsbmapsError
            If `y` and `x` do not fit together, or are no numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from ssbmaps.maps import Transform
        >>> turning = Transform(np.eye(3), np.diag([0, 1e-6, 0, 1e-6, 0, 0]))
        >>> error = turning.position_error([0.0, 30.0], [40.0, 0.0])
        >>> error.y_sd.values.round(4).tolist(), error.radius_95.values.round(4).tolist()
        ([0.04, 0.0], [0.0784, 0.0588])
        """
        where, wrap = places(y, x)
        return error_dataset(self._spread(*where), wrap)

    def to_dataset(self) -> xr.Dataset:
        """The transform as a Dataset, which `ssbmaps.io.save` can store.

        Returns
        -------
        xarray.Dataset
            ``matrix`` (row, column), ``covariance`` (entry, entry_2), and the displacement's variables (y, x) if there is one.

        Examples
        --------
        >>> import numpy as np
        >>> from ssbmaps.maps import Transform
        >>> there = Transform([[1, 0, 2.0], [0, 1, 3.0]], np.zeros((6, 6)), attrs={"model": "translation"})
        >>> Transform.from_dataset(there.to_dataset()).identical(there)
        True
        """
        import xarray as xr

        own = self.displacement
        texts = ("takes (y, x, 1) of the moving map to (y, x) of the reference, 1 and um", "covariance of the matrix's entries")
        fixed = {
            "matrix": (("row", "column"), self.matrix[:2].copy(), {"long_name": texts[0]}),
            "covariance": (("entry", "entry_2"), self.covariance.copy(), {"long_name": texts[1]}),
        }
        names = {"row": ["y", "x"], "column": ["y", "x", "1"], "entry": list(_ENTRIES), "entry_2": list(_ENTRIES)}
        result = xr.Dataset(fixed, names)
        if own is not None:
            result = result.assign(own.data_vars)
        return result.assign_attrs(self.attrs)

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Transform:
        """The transform that `to_dataset` made a Dataset of.

        Parameters
        ----------
        dataset : xarray.Dataset
            With ``matrix`` and ``covariance``, and ``dy``, ``dx``, ``dy_sd``, ``dx_sd`` if there is a displacement.

        Returns
        -------
        Transform
            Identical to the one saved.

        Raises
        ------
        SsbmapsError
            If a variable is missing or has other dimensions.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from ssbmaps import io
        >>> from ssbmaps.maps import Transform
        >>> there = Transform([[1, 0, 2.0], [0, 1, 3.0]], np.zeros((6, 6)))
        >>> path = io.save(there.to_dataset(), pathlib.Path(tempfile.mkdtemp()) / "there.nc")
        >>> Transform.from_dataset(io.load(path)).identical(there)
        True
        """
        matrix, covariance, field = read_dataset(dataset)
        return cls(matrix, covariance, field, attrs={str(k): v for k, v in dataset.attrs.items()})
