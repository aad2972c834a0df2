"""What `io.info` says of every format: the same keys, whatever the technique."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def report(
    *,
    technique: str,
    dims: Sequence[str],
    shape: Sequence[int | None],
    pixel_size: tuple[float, float] | None = None,
    pixel_size_note: str = "no raster, so no pixel size.",
    axis_range: tuple[float, float] | None = None,
    channels_note: str = "one axis for all spectra",
    tilt: float | None = None,
    datasets: Sequence[str] = (),
    warnings: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Headers as `io.info` reports them. `axis_range` is (lowest, highest) of the last dimension, in its own unit."""
    from ssbmaps._conventions import SPECTRAL_UNITS

    axis = dims[-1] if dims and dims[-1] in SPECTRAL_UNITS else None
    return {
        "technique": technique,
        "polarity": None,
        "dims": tuple(dims),
        "shape": tuple(shape),
        "pixel_size": pixel_size,
        "pixel_size_note": pixel_size_note,
        "channels": shape[-1] if axis is not None else None,
        "channels_note": channels_note if axis is not None else "no spectral axis",
        "mz_range": axis_range if axis == "mz" else None,
        "axis": axis,
        "axis_range": axis_range,
        "tilt": tilt,
        "datasets": tuple(datasets),
        "warnings": tuple(warnings),
        **more,
    }


def choose(subject: str, names: Sequence[str], dataset: str | None, *, default: str | None = None) -> str:
    """The data set that is read: the one asked for, the only one, or the format's `default`; else a letter that lists them."""
    from ssbmaps._errors import FormatError, SsbmapsError

    listed = ", ".join(repr(n) for n in names)
    if not names:
        raise FormatError(f"{subject}: holds no data set that can be read as a map or spectra.")
    if dataset is not None:
        if dataset not in names:
            raise SsbmapsError(f"{subject}: dataset is {dataset!r}; the file holds {listed}.")
        return dataset
    if len(names) == 1:
        return names[0]
    if default is not None and default in names:
        return default
    raise SsbmapsError(f"{subject}: the file holds {len(names)} data sets: {listed}. Say which: dataset={names[0]!r}.")


def unique(names: Sequence[str]) -> list[str]:
    """Each name once: the second "Ni LMM" is "Ni LMM (2)"."""
    seen: set[str] = set()
    result = []
    for name in names:
        new, i = name, 1
        while new in seen:
            i += 1
            new = f"{name} ({i})"
        seen.add(new)
        result.append(new)
    return result
