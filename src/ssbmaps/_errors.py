"""The errors and the warning of ssbmaps, and the collector that reports all faults of one input at once."""

from __future__ import annotations

__all__ = ["DataQualityWarning", "Faults", "FormatError", "GridMismatchError", "RegistrationError", "SsbmapsError"]


class SsbmapsError(ValueError):
    """An input that ssbmaps cannot use: what came, what was expected, what to do.

    Examples
    --------
    >>> import ssbmaps
    >>> try:
    ...     ssbmaps.maps.ion_mz("Xx2-")
    ... except ssbmaps.SsbmapsError as error:
    ...     print(type(error).__name__)
    SsbmapsError
    """


class FormatError(SsbmapsError):
    """A file that cannot be read as what it says it is; the message names the file and the field.

    Examples
    --------
    >>> import ssbmaps
    >>> issubclass(ssbmaps.FormatError, ssbmaps.SsbmapsError)
    True
    """


class GridMismatchError(SsbmapsError):
    """Two maps that do not lie on exactly the same pixels; the message names both spacings.

    Examples
    --------
    >>> import ssbmaps
    >>> issubclass(ssbmaps.GridMismatchError, ssbmaps.SsbmapsError)
    True
    """


class RegistrationError(SsbmapsError):
    """Two maps that cannot be brought onto one another with a trustworthy transformation.

    Examples
    --------
    >>> import ssbmaps
    >>> issubclass(ssbmaps.RegistrationError, ssbmaps.SsbmapsError)
    True
    """


class DataQualityWarning(UserWarning):
    """The answer is usable, and something in the data should be known before it is published.

    Examples
    --------
    >>> import ssbmaps
    >>> issubclass(ssbmaps.DataQualityWarning, UserWarning)
    True
    """


class Faults:
    """Collects every fault of one input, then raises them as one letter.

    ``with Faults("maps.integrate") as faults: faults.expect(ok, "…")`` raises on leaving the block.
    """

    def __init__(self, subject: str, error: type[SsbmapsError] = SsbmapsError) -> None:
        self._subject = subject
        self._error = error
        self._texts: list[str] = []

    def expect(self, ok: bool, fault: str) -> bool:
        """Note `fault` unless `ok`; return `ok`, so that dependent checks can be skipped."""
        if not ok:
            self._texts.append(fault)
        return bool(ok)

    @property
    def count(self) -> int:
        """How many faults were noted."""
        return len(self._texts)

    def close(self) -> None:
        """Raise if any fault was noted."""
        if len(self._texts) == 1:
            raise self._error(f"{self._subject}: {self._texts[0]}")
        if self._texts:
            raise self._error(f"{self._subject}: {len(self._texts)} faults:\n" + "\n".join(f"- {t}" for t in self._texts))

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, kind: object, value: object, trace: object) -> None:
        if kind is None:
            self.close()
