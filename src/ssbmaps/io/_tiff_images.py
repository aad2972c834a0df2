"""Which images a TIFF file holds, and what is known of each: by our note, by OME, by ImageJ, by a microscope, or as it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io import _tiff_imagej, _tiff_ome, _tiff_sem
from ssbmaps.io._pixels import Length, Stated, length
from ssbmaps.io._public import public
from ssbmaps.io._tiff_file import (
    DESCRIPTION,
    PHOTOMETRIC,
    RESOLUTION_UNIT,
    SOFTWARE,
    SUBFILE,
    X_RESOLUTION,
    Y_RESOLUTION,
    Page,
    TiffFile,
)
from ssbmaps.io._tiff_note import Note, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

# Printers and scanners work with up to 4800 pixels per inch (5 um); what is finer was measured.
_FINEST_PRINT = 4800.0
_PER_INCH = {2: 1.0, 3: 2.54}
_TEXTS = {DESCRIPTION: "ImageDescription", SOFTWARE: "Software", 271: "Make", 272: "Model"}
_LONGEST = 4000  # characters of a text that is kept


@dataclass(frozen=True, slots=True)
class Image:
    """An image or stack: its pages in the order of its planes, and what the planes are along `leading` (slowest first)."""

    name: str
    form: str
    pages: tuple[Page, ...]
    leading: tuple[tuple[str, int], ...] = ()
    coords: dict[str, Any] = field(default_factory=dict)
    stated: Stated = field(default_factory=Stated)
    technique: str | None = None
    attrs: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None  # of the scan; below them lies an info bar
    note: Note | None = None

    @property
    def planes(self) -> int:
        """How many planes; ImageJ writes more than there are pages where a stack exceeds 4 GB."""
        return int(np.prod([n for _, n in self.leading], dtype=np.int64)) if self.leading else 1


def images(file: TiffFile) -> list[Image]:
    """All images of the file."""
    first = file.pages[0]
    text = first.text(DESCRIPTION)
    if "<OME" in text[:4096]:
        return _of_ome(file, text)
    told = _tiff_imagej.described(first)
    if told is not None:
        return [_of_imagej(file, told)]
    return _plain(file)


def _of_ome(file: TiffFile, text: str) -> list[Image]:
    ome = _tiff_ome.Ome(text, subject=file.name)
    if not ome.images:
        raise FormatError(f"{file.name}: its OME description names no image. It is damaged; export it again.")
    found = []
    for name, image in zip(_tiff_ome.unique([i.name for i in ome.images]), ome.images, strict=True):
        planes = _tiff_ome.planes(ome, image, len(file.pages))
        pages = tuple(file.pages[i] for i in planes.pages)
        _expect_alike(file, pages)
        rows, columns, samples = pages[0].shape
        declared = tuple(_tiff_ome.whole(image.pixels, f"Size{a}", file.name) for a in "YX")
        if declared != (rows, columns) or planes.samples != samples:
            raise FormatError(
                f"{file.name}: OME declares {declared[0]} x {declared[1]} pixels of {planes.samples} samples, the pages have "
                f"{rows} x {columns} of {samples}. It is damaged; export it again."
            )
        note = decode(ome.note, subject=file.name) if ome.note is not None and len(ome.images) == 1 else None
        leading, coords = _tiff_ome.leading(image, planes.sizes)
        said = {"Name": image.name, **image.pixels, "channels": [c.get("Name", "") for c in image.channels]}
        told = {"OME": public(said)}
        found.append(_noted(file, Image(name, "OME-TIFF", pages, leading, coords, _tiff_ome.stated(image), metadata=told), note))
    return found


def _of_imagej(file: TiffFile, told: dict[str, str]) -> Image:
    first = file.pages[0]
    sizes = _tiff_imagej.sizes({"images": str(len(file.pages)), **told}, file.name)  # HyperSpy leaves the number out
    planes = sizes[0] * sizes[1] * sizes[2]
    pages = tuple(file.pages[:planes])
    if len(file.pages) not in (1, planes):
        raise FormatError(
            f"{file.name}: ImageJ declares {planes} images and the file has {len(file.pages)} pages. It is cut short or damaged."
        )
    _expect_alike(file, pages)
    leading, coords = _tiff_imagej.leading(first, told, *sizes)
    info = _tiff_imagej.info(first)
    note = decode(info, subject=file.name) if info is not None and info.startswith('{"ssbmaps_note"') else None
    image = Image("image", "ImageJ", pages, leading, coords, _tiff_imagej.stated(first, told), metadata={"ImageJ": public(told)})
    return _noted(file, image, note)


def _noted(file: TiffFile, image: Image, note: Note | None) -> Image:
    """The image as our own note describes it, if it has one that fits."""
    if note is None:
        return image
    rows, columns, samples = image.pages[0].shape
    if note.shape[-2:] != (rows, columns) or samples != 1 or int(np.prod(note.shape[:-2], dtype=np.int64)) != image.planes:
        raise FormatError(
            f"{file.name}: the note of ssbmaps in it tells of {' x '.join(map(str, note.shape))} values, the file holds "
            f"{image.planes} planes of {rows} x {columns}. It was changed by another program or is damaged."
        )
    leading = tuple(zip(note.dims[:-2], note.shape[:-2], strict=True))
    return Image(image.name, image.form, image.pages, leading, {}, _stated_by(note), image.technique, note=note)


def _stated_by(note: Note) -> Stated:
    """Pixel size from the coordinates of the note."""
    sizes: list[Length | None] = []
    for dim in ("y", "x"):
        _, values, attrs = note.coords.get(dim, ((), np.empty(0), {}))
        step = float(np.diff(values).mean()) if np.size(values) > 1 else attrs.get("pixel_size_um")
        sizes.append(length(repr(float(step)), "um", default="um") if isinstance(step, (int, float)) else None)
    return Stated(pixel=(sizes[0], sizes[1]))


def _plain(file: TiffFile) -> list[Image]:
    """Pages of one kind are one stack; previews of lower resolution are left out."""
    groups: dict[Any, list[Page]] = {}
    for page in file.pages:
        if not page.number(SUBFILE, 0) & 1 or page is file.pages[0]:
            groups.setdefault(page.kind, []).append(page)
    names = [f"{g[0].shape[0]} x {g[0].shape[1]}, {g[0].dtype.name}" for g in groups.values()]
    return [_of_pages(file, name, group) for name, group in zip(_tiff_ome.unique(names), groups.values(), strict=True)]


def _of_pages(file: TiffFile, name: str, pages: Sequence[Page]) -> Image:
    first = pages[0]
    leading = (("page", len(pages)),) if len(pages) > 1 else ()
    coords = _tiff_ome.steps("page", len(pages), None, "")
    texts = {said: first.text(code)[:_LONGEST] for code, said in _TEXTS.items() if code in first}
    found = _tiff_sem.recognise(first, file.path)
    if found is None:
        return Image(name, "TIFF", tuple(pages), leading, coords, _resolution(first), metadata=public(texts))
    attrs = {"beam_energy": found.beam_energy} if found.beam_energy is not None else {}
    metadata = {"maker": found.maker, **found.metadata}
    return Image(name, found.maker, tuple(pages), leading, coords, found.stated, "sem", attrs, metadata, found.rows)


def _resolution(page: Page) -> Stated:
    """Pixel size from XResolution and YResolution in pixels per inch or cm, unless a printer could have asked for it."""
    per_inch = _PER_INCH.get(page.number(RESOLUTION_UNIT, 2) if RESOLUTION_UNIT in page else 0)
    values = [page.ratio(code) for code in (Y_RESOLUTION, X_RESOLUTION)]
    if per_inch is None or values[0] is None or values[1] is None:
        return Stated()
    dots = [v * per_inch for v in values if v is not None]
    if min(dots) <= _FINEST_PRINT:
        return Stated(hint=f"Its resolution of {dots[1]:g} pixels per inch is one for printing, and no scale.")
    y, x = (length(repr(25.4e3 / d), "um", default="um") for d in dots)
    return Stated(pixel=(y, x))


def _expect_alike(file: TiffFile, pages: Sequence[Page]) -> None:
    """Raise unless all planes of a stack have one shape and type."""
    kinds = {p.kind for p in pages}
    if len(kinds) > 1:
        raise FormatError(f"{file.name}: the planes of one image differ in size or type, {sorted(map(str, kinds))}.")


def photometric(page: Page) -> int:
    """How samples are shown: 0 white is 0, 1 black is 0, 2 RGB, 3 by a table of colours, …"""
    return page.number(PHOTOMETRIC, 1)
