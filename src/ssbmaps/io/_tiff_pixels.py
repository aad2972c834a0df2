"""The pixels of TIFF pages as arrays: stored as they are, deflate, PackBits or LZW; nothing unpacks to more than it declares."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ssbmaps._errors import FormatError
from ssbmaps.io._dense import check_declared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ssbmaps.io._tiff_file import Page, Segments, TiffFile

    _Block = tuple[int, int, slice, NDArray[Any]]  # first row, first column, samples, values

_STORED, _LZW, _PACKBITS, _DEFLATE = 1, 5, 32773, (8, 32946)
_NAMES = {2: "CCITT", 3: "CCITT fax 3", 4: "CCITT fax 4", 6: "old JPEG", 7: "JPEG", 34712: "JPEG 2000", 50000: "Zstandard"}


def stack(file: TiffFile, pages: Sequence[Page]) -> NDArray[Any]:
    """(pages, rows, columns, samples) in this machine's byte order; the pages are of one shape and type.

    Everything is found in the file, or unpacked, before the array is made.
    """
    shape, dtype = pages[0].shape, pages[0].dtype
    declared = (len(pages), *shape)
    check_declared(declared, dtype.itemsize, file_size=len(file.content), subject=file.name, what="the image")
    found = [_found(file, page) for page in pages]
    out = np.empty(declared, dtype.newbyteorder("="))
    for plane, blocks in zip(out, found, strict=True):
        for top, left, part, block in blocks:
            plane[top : top + len(block), left : left + block.shape[1], part] = block
    return out


def run_on(file: TiffFile, page: Page, n: int) -> NDArray[Any]:
    """`n` planes that follow each other from the first page's pixels on, as ImageJ writes stacks of more than 4 GB."""
    at, shape = int(page.segments().offsets[0]), (n, *page.shape)
    if page.compression != _STORED:
        raise FormatError(f"{file.name}: declares {n} images and has one packed page. It is cut short or damaged.")
    values = file.content.array(page.dtype, int(np.prod(shape)), at, f"the pixels of {n} images")
    return values.reshape(shape).astype(page.dtype.newbyteorder("="))


def _found(file: TiffFile, page: Page) -> list[_Block]:
    """The blocks of a page: one where its strips follow each other, else each strip or tile, unpacked."""
    rows, columns, samples = page.shape
    segments = page.segments()
    tiled, apart = 322 in page, page.number(284, 1) == 2
    if page.compression == _STORED and not tiled and not apart:
        whole = _in_one_piece(file, page, segments)
        if whole is not None:
            return [(0, 0, slice(None), whole)]
    high, wide = segments.shape
    across, down = -(-columns // wide), -(-rows // high)
    blocks: list[_Block] = []
    for i, (at, size) in enumerate(zip(segments.offsets.tolist(), segments.sizes.tolist(), strict=True)):
        sample, place = divmod(i, across * down)
        top, left = place // across * high, place % across * wide
        shape = (high if tiled else min(high, rows - top), wide, 1 if apart else samples)
        raw = _unpacked(page, file.content.raw(at, size, page.name), math.prod(shape) * page.dtype.itemsize)
        part = slice(sample, sample + 1) if apart else slice(None)
        blocks.append((top, left, part, _plain(page, raw, shape)[: rows - top, : columns - left]))
    return blocks


def _in_one_piece(file: TiffFile, page: Page, segments: Segments) -> NDArray[Any] | None:
    """A page whose strips follow each other, as one view; None if they do not."""
    rows, columns, samples = page.shape
    _plain_bits(page)
    line = columns * samples * page.dtype.itemsize
    if len(segments.sizes) == 1:
        if segments.sizes[0] < rows * line:
            raise _too_short(page)
        return file.content.array(page.dtype, rows * columns * samples, int(segments.offsets[0]), page.name).reshape(page.shape)
    needed = np.full(len(segments.sizes), segments.shape[0] * line)
    needed[-1] = (rows - (len(needed) - 1) * segments.shape[0]) * line
    if (segments.sizes < needed).any():
        raise _too_short(page)
    if (np.diff(segments.offsets) != needed[:-1]).any():
        return None
    return file.content.array(page.dtype, rows * columns * samples, int(segments.offsets[0]), page.name).reshape(page.shape)


def _plain_bits(page: Page) -> None:
    if page.number(266, 1) != 1:
        raise FormatError(f"{page.name}: its bits are stored in reverse order, which is not read. Save it again.")


def _unpacked(page: Page, raw: bytes, size: int) -> bytes:
    """The `size` bytes that a segment holds."""
    _plain_bits(page)
    packing = page.compression
    if packing == _STORED:
        data = raw[:size]
    elif packing in _DEFLATE:
        try:
            data = zlib.decompressobj().decompress(raw, size)
        except zlib.error as error:
            raise FormatError(f"{page.name}: its pixels cannot be unpacked ({error}). It is damaged; copy it again.") from None
    elif packing == _PACKBITS:
        data = _packbits(raw, size)
    elif packing == _LZW:
        from ssbmaps.io._tiff_lzw import unpack

        data = unpack(raw, size)
    else:
        name = _NAMES.get(packing, f"compression {packing}")
        raise FormatError(
            f"{page.name}: is packed with {name}; read are pixels that are not packed, deflate, LZW and PackBits. Save it "
            "without compression."
        )
    if len(data) < size:
        raise _too_short(page)
    return data


def _too_short(page: Page) -> FormatError:
    return FormatError(f"{page.name}: a strip or tile holds fewer pixels than its size asks for. It is damaged; copy it again.")


def _packbits(raw: bytes, size: int) -> bytes:
    """Runs and literals: n < 128 copies n + 1 bytes, n > 128 repeats the next one 257 − n times."""
    out, at = bytearray(), 0
    while at < len(raw) and len(out) < size:
        n = raw[at]
        if n < 128:
            out += raw[at + 1 : at + n + 2]
            at += n + 2
        else:
            out += raw[at + 1 : at + 2] * (257 - n if n > 128 else 0)
            at += 2 if n > 128 else 1
    return bytes(out[:size])


def _plain(page: Page, raw: bytes, shape: tuple[int, int, int]) -> NDArray[Any]:
    """The block's values, differences summed up where the writer stored differences."""
    predictor = page.number(317, 1)
    if predictor == 1:
        return np.frombuffer(raw, page.dtype).reshape(shape)
    if predictor == 2 and page.dtype.kind in "iu":
        values = np.frombuffer(raw, page.dtype).reshape(shape).astype(page.dtype.newbyteorder("="))
        return np.cumsum(values, axis=1, dtype=values.dtype)
    if predictor == 3 and page.dtype.kind == "f":
        width = page.dtype.itemsize
        steps = np.frombuffer(raw, np.uint8).reshape(shape[0], -1, shape[2])
        planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(shape[0], width, -1)
        return np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{width}").reshape(shape)
    raise FormatError(f"{page.name}: its predictor is {predictor} for {page.dtype.name}; expected 1, 2 or 3. Save it again.")
