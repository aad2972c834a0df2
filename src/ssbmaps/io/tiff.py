"""TIFF: images of electron microscopes, OME-TIFF, ImageJ hyperstacks, and plain TIFF, with their scale where one is stated."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import DataQualityWarning, FormatError, SsbmapsError
from ssbmaps.io import _dense, _held, _pixels, _tiff_pixels
from ssbmaps.io._report import choose, report
from ssbmaps.io._tiff_file import COLOURS, TiffFile, is_tiff
from ssbmaps.io._tiff_images import Image, images, photometric

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from numpy.typing import NDArray

NAME = "TIFF"
EXTENSIONS = (".tif", ".tiff")
TECHNIQUE = "sem"
WRITES = True

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3
# What the file itself says anew, or what `io.read` writes.
_OWN = ("history", "source", "source_sha256", "original_metadata", "units", "long_name", "technique", "pixel_size_source", "tilt")


def sniff(path: Path) -> bool:
    """Whether the file begins as TIFF or BigTIFF."""
    return is_tiff(_held.head(path, 4))


def info(path: Path) -> dict[str, Any]:
    """Directories and descriptions; no pixel is read."""
    file = TiffFile(path)
    found = images(file)
    names = [i.name for i in found]
    image = found[0]
    size, why = _pixels.file_size(image.stated, image.pages[0].shape[:2])
    dims, shape = _declared(image)
    notes = [image.stated.hint] if image.stated.hint and size is None else []
    notes += [f"the lowest {image.pages[0].shape[0] - image.rows} rows are an info bar."] if image.rows is not None else []
    technique = image.technique if image.note is None else image.note.attrs.get("technique")
    told = report(
        technique=str(technique),
        dims=dims,
        shape=shape,
        pixel_size=size,
        pixel_size_note=why,
        axis_range=_axis_range(image, dims),
        datasets=names if len(names) > 1 else (),
        warnings=notes,
        mode=image.form,
    )
    return told | {"technique": technique if isinstance(technique, str) else None}


def _declared(image: Image) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Dims and shape of what `read` gives, in canonical order."""
    from ssbmaps._conventions import DIM_ORDER

    first = image.pages[0]
    bands = _band_names(image)
    sizes = dict(image.leading) | ({"band": len(bands)} if bands else {}) | dict(zip("yx", first.shape[:2], strict=True))
    known = [d for d in DIM_ORDER if d in sizes]
    dims = (*(d for d in sizes if d not in DIM_ORDER), *known)
    return tuple(dims), tuple(sizes[d] for d in dims)


def _axis_range(image: Image, dims: tuple[str, ...]) -> tuple[float, float] | None:
    """Ends of the spectral axis that our note tells of."""
    from ssbmaps._conventions import SPECTRAL_UNITS

    if image.note is None or dims[-1] not in SPECTRAL_UNITS or dims[-1] not in image.note.coords:
        return None
    values = np.asarray(image.note.coords[dims[-1]][1], np.float64)
    return float(values.min()), float(values.max())


def read(
    path: Path,
    *,
    dataset: str | None = None,
    pixel_size: tuple[float, float] | None = None,
    tilt: float | None = None,
    chunks: Any = None,
    skip_bad: bool = False,  # noqa: ARG001  an image is read whole or not at all
) -> xr.DataArray:
    """Read one image or stack as (…, y, x); colours are bands."""
    file = TiffFile(path)
    found = images(file)
    image = found[[i.name for i in found].index(choose(path.name, [i.name for i in found], dataset))]
    shape = image.pages[0].shape[:2]
    own = image.note is not None and pixel_size is None and tilt is None
    if image.note is not None and tilt is not None and "tilt" in image.note.attrs:
        raise SsbmapsError(f"{path.name}: a tilt of {image.note.attrs['tilt']}° is in its y already; leave tilt= out.")
    pixel = None if own else _pixels.resolve(path.name, image.stated, shape, pixel_size=pixel_size, tilt=tilt)
    if len(image.pages) < image.planes:
        data = _tiff_pixels.run_on(file, image.pages[0], image.planes)
    else:
        data = _tiff_pixels.stack(file, image.pages)
    arguments = {"reader": "tiff", "dataset": dataset, "pixel_size": pixel_size, "tilt": tilt}
    if image.note is not None:
        return _from_note(path, image, data, pixel, arguments=arguments, chunks=chunks)
    return _from_image(path, image, data, pixel, arguments=arguments, chunks=chunks)


def _from_image(
    path: Path, image: Image, data: NDArray[Any], pixel: _pixels.Pixel | None, *, arguments: dict[str, Any], chunks: Any
) -> xr.DataArray:
    """Planes as the contract has them; colours apart, the info bar not measured."""
    planes, bands = _colours(path, image, data)
    coords = dict(image.coords)
    dims = [d for d, _ in image.leading]
    sizes = [n for _, n in image.leading]
    if bands:
        dims, sizes = [*dims, "band"], [*sizes, len(bands)]
        coords["band"] = ("band", bands)
    elif "band" in coords and "band" not in dims:
        coords["band"] = coords["band"][1][0]
    measured = None
    if image.rows is not None:
        measured = np.ones(data.shape[1:3], bool)
        measured[image.rows :] = False
    result = _dense.array(
        _dense.Found(
            path=path,
            data=planes.reshape(*sizes, *data.shape[1:3]),
            dims=(*dims, "y", "x"),
            units="arbitrary",
            long_name="grey value",
            technique=image.technique or "",
            metadata={"format": image.form, **image.metadata},
            coords=coords,
            pixel=pixel,
            measured=measured,
            attrs=image.attrs,
        ),
        arguments=arguments,
        chunks=chunks,
    )
    if image.technique is None:  # the file does not say
        del result.attrs["technique"]
    return result


def _band_names(image: Image) -> list[str]:
    """What the samples of a pixel are called; none if there is one."""
    names = _sample_names(image)
    if names and "band" in dict(image.leading):
        raise FormatError(f"{image.pages[0].name}: each of its channels has {len(names)} colours. Save the channels one by one.")
    return names


def _sample_names(image: Image) -> list[str]:
    first = image.pages[0]
    shown, samples = photometric(first), first.shape[2]
    if shown == _PALETTE and samples == 1:
        return ["R", "G", "B"] if image.technique is None and _table(image) is not None else []
    if shown == _RGB and samples in (3, 4):
        return ["R", "G", "B"]
    if shown in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        alpha = first.numbers(338).ravel()  # ExtraSamples: 1 and 2 are transparency
        n = samples - int(alpha.size > 0 and alpha[-1] in (1, 2))
        return [f"sample {i + 1}" for i in range(n)] if n > 1 else []
    raise FormatError(f"{first.name}: its colours are of kind {shown}; read are grey values, RGB and palettes. Save it again.")


def _table(image: Image) -> NDArray[Any] | None:
    """The table of colours as (256, 3), or None if it shows grey values as grey."""
    table = image.pages[0].numbers(COLOURS).ravel()
    dtype = image.pages[0].dtype
    if dtype.kind != "u" or dtype.itemsize > 2 or table.size != 3 << 8 * dtype.itemsize or table.dtype.kind != "u":
        raise FormatError(f"{image.pages[0].name}: its table of colours has {table.size} numbers. It is damaged; save it again.")
    colours = table.reshape(3, -1).T
    if (colours == colours[:, :1]).all() and (np.diff(colours[:, 0].astype(np.int64)) >= 0).all():
        return None
    return (colours // 257).astype(np.uint8) if (colours % 257 == 0).all() else colours.astype(np.uint16)


def _colours(path: Path, image: Image, data: NDArray[Any]) -> tuple[NDArray[Any], list[str]]:
    """(planes, [band,] rows, columns) of (planes, rows, columns, samples), and the names of the bands."""
    bands = _band_names(image)
    shown = photometric(image.pages[0])
    if shown == _WHITE_IS_ZERO:
        warnings.warn(
            f"{path.name}: is shown with 0 as white. The values are as stored, so that a bright pixel has a low value.",
            DataQualityWarning,
            stacklevel=5,
        )
    if shown == _PALETTE and bands:
        table = _table(image)
        assert table is not None
        return np.moveaxis(table[data[..., 0]], -1, 1), bands
    if bands:
        return np.moveaxis(data[..., : len(bands)], -1, 1), bands
    return data[..., 0], bands


def _from_note(
    path: Path, image: Image, data: NDArray[Any], pixel: _pixels.Pixel | None, *, arguments: dict[str, Any], chunks: Any
) -> xr.DataArray:
    """The array that was written: dims, coordinates, attributes and number type as they were, and a further line of history."""
    note = image.note
    assert note is not None
    with np.errstate(invalid="ignore"):
        values = data.reshape(note.shape).astype(note.dtype.newbyteorder("="))
    coords: dict[str, Any] = {n: c for n, c in note.coords.items() if pixel is None or n not in ("y", "x")}
    original = str(note.attrs.get("original_metadata", "{}"))
    try:
        metadata = json.loads(original)
        result = _dense.array(
            _dense.Found(
                path=path,
                data=values,
                dims=note.dims,
                units=str(note.attrs.get("units", "arbitrary")),
                long_name=str(note.attrs.get("long_name", "value")),
                technique=str(note.attrs.get("technique", "")),
                metadata=metadata,
                coords=coords,
                pixel=pixel,
                attrs={k: v for k, v in note.attrs.items() if k not in _OWN},
            ),
            arguments=arguments,
            chunks=chunks,
        )
    except SsbmapsError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise FormatError(
            f"{path.name}: the note of ssbmaps in it contradicts itself ({type(error).__name__}: {str(error)[:100]}). Copy the "
            "file again."
        ) from None
    _as_noted(result, note)
    return result


def _as_noted(result: xr.DataArray, note: Any) -> None:
    """Attributes that the array had and the reader would set anew, and none that it did not have."""
    for key in ("technique", "long_name"):
        if key not in note.attrs:
            result.attrs.pop(key, None)
    before = str(note.attrs.get("history", ""))
    result.attrs["history"] = "\n".join([*before.splitlines(), result.attrs["history"]])
    for key in ("tilt", "pixel_size_source"):
        if key in note.attrs and key not in result.attrs:
            result.attrs[key] = note.attrs[key]
    if note.name is not None:
        result.name = note.name
