"""What WITec's exports share: pixels by number, and the names that WITec gives to units."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _pixels, _positions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_PIXEL = re.compile(r".*\((\d{1,6})/(\d{1,6})\)")


def by_number(x: NDArray[np.int64], y: NDArray[np.int64], stated: _pixels.Stated) -> _positions.Arranged:
    """Spectra of pixels (x to the right, y downwards, from 0): a map, also an interrupted one, else points with these numbers."""
    found = _positions.arrange({"x": x.astype(float), "y": y.astype(float)}, len(x), subject="", stage=False)
    if found.dims == ("y", "x"):
        return replace(found, stated=stated)
    coords = {
        name: ("point", values, {"long_name": f"number of the pixel along {name[-1]}"})
        for name, values in (("pixel_y", y), ("pixel_x", x))
    }
    return _positions.Arranged(("point",), (len(x),), None, coords)


def by_title(titles: Sequence[str]) -> _positions.Arranged:
    """Spectra whose titles end in the pixel's numbers, "(x/y)"; without, one or several spectra by name."""
    found = [_PIXEL.fullmatch(t) for t in titles]
    if all(found):
        numbers = np.array([[int(f[1]), int(f[2])] for f in found if f], np.int64)
        return by_number(numbers[:, 0], numbers[:, 1], _pixels.Stated())
    if len(titles) == 1:
        return _positions.Arranged((), (), None)
    names = {"spectrum": ("point", np.array(titles), {"long_name": "title of the spectrum"})}
    return _positions.Arranged(("point",), (len(titles),), None, names)


def axis_unit(unit: str, *, subject: str) -> str:
    """ "1/cm" or "nm"; WITec's own "1/cm" is no shift."""
    name = unit.strip().lower()
    if name in ("rel. 1/cm", "nm"):
        return name.removeprefix("rel. ")
    raise FormatError(
        f"{subject}: the spectral axis is in {unit.strip()!r}; expected 'rel. 1/cm' (the Raman shift) or 'nm'. Set the unit of "
        "the spectrum in WITec's software and export again."
    )


def intensity_unit(unit: str) -> str:
    """ "counts" where WITec says CCD counts."""
    return {"ccd cts": "counts", "ccd cts/s": "counts/s"}.get(unit.strip().lower(), "arbitrary")
