"""Writes one array as OME-TIFF through tifffile: pixel size in um, names of the channels, our note as an annotation."""

from __future__ import annotations

import uuid
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from ssbmaps.io import _write_tiff
from ssbmaps.io._tiff_note import NAMESPACE
from ssbmaps.io._write_tiff import beside

if TYPE_CHECKING:
    from pathlib import Path

    from ssbmaps._errors import Faults

__all__ = ["beside", "prepare", "write"]

_KINDS = "uint8 uint16 uint32 int8 int16 int32 float32 float64"
_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_LARGE = (1 << 32) - (1 << 25)  # bytes of a classic TIFF, less the room for its directories


def prepare(obj: Any, faults: Faults, *, subject: str) -> _write_tiff.Plan | None:
    """The planes in a number type that OME knows, or what speaks against them."""
    return _write_tiff.prepare(obj, faults, subject=subject, kinds=_KINDS, most=1 << 40)


def write(plan: _write_tiff.Plan, draft: Path) -> None:
    """One page for each plane, not packed; the UUID is made from the content, so that the same array gives the same file."""
    import tifffile

    planes = np.ascontiguousarray(plan.data.reshape(-1, *plan.data.shape[-2:]))
    text = _description(plan, uuid.uuid5(uuid.NAMESPACE_OID, sha256(planes.tobytes() + plan.note.encode()).hexdigest()))
    options: dict[str, Any] = {"photometric": "minisblack", "metadata": None, "software": "ssbmaps"}
    tifffile.imwrite(draft, planes, description=text.encode("utf-8"), bigtiff=planes.nbytes > _LARGE, **options)


def _description(plan: _write_tiff.Plan, identity: uuid.UUID) -> str:
    """OME-XML after the schema of 2016-06; our own, since older versions of tifffile know no annotations."""
    sizes = {"Z": 1, "C": 1, "T": 1} | dict(zip(plan.axes, plan.data.shape, strict=True))
    kind = {"float32": "float", "float64": "double"}.get(plan.data.dtype.name, plan.data.dtype.name)
    told: dict[str, Any] = {"ID": "Pixels:0", "DimensionOrder": "XYCZT", "Type": kind}
    told |= {f"Size{a}": sizes[a] for a in "XYZCT"}
    told |= {"PhysicalSizeX": plan.pixel[1], "PhysicalSizeXUnit": "µm", "PhysicalSizeY": plan.pixel[0], "PhysicalSizeYUnit": "µm"}
    for axis, unit, field in (("Z", "um", "PhysicalSizeZ"), ("T", "s", "TimeIncrement")):
        step = plan.steps.get(axis)
        if step is not None and step[1] == unit:
            told |= {field: step[0], f"{field}Unit": unit.replace("u", "µ")}
    names = plan.names.get("C", [""] * sizes["C"])
    channels = "".join(
        f"<Channel{_attributes({'ID': f'Channel:0:{i}', 'SamplesPerPixel': 1, **({'Name': n} if n else {})})}/>"
        for i, n in enumerate(names)
    )
    places = f'<TiffData IFD="0" PlaneCount="{sizes["Z"] * sizes["C"] * sizes["T"]}"/>'
    image = f'<Pixels{_attributes(told)}>{channels}{places}</Pixels><AnnotationRef ID="Annotation:0"/>'
    note = f'<Value><M K="note">{escape(plan.note)}</M></Value>'
    annotation = f'<MapAnnotation ID="Annotation:0" Namespace="{NAMESPACE}">{note}</MapAnnotation>'
    root = {"xmlns": _SCHEMA, "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"}
    root |= {"xsi:schemaLocation": f"{_SCHEMA} {_SCHEMA}/ome.xsd", "UUID": f"urn:uuid:{identity}", "Creator": "ssbmaps"}
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME{_attributes(root)}><Image ID="Image:0" Name="image">{image}</Image>'
        f"<StructuredAnnotations>{annotation}</StructuredAnnotations></OME>"
    )


def _attributes(values: dict[str, Any]) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in values.items())
