"""What of a file's own metadata may be published: no person, no e-mail address, no folder of somebody's computer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS = (
    *("user", "operator", "person", "author", "owner", "email", "e-mail", "login"),
    *("path", "folder", "directory", "file", "computer"),
)
_PERSONAL = re.compile("|".join(_WORDS), re.IGNORECASE)
_PLACE = re.compile(r"[A-Za-z]:[\\/]|\\\\|^/|@")


def public(items: Mapping[str, Any]) -> dict[str, Any]:
    """`items` without those whose name or value tells of a person or a folder, and without empty ones."""
    kept: dict[str, Any] = {}
    names, texts = "\n".join(items), "".join([v for v in items.values() if isinstance(v, str)])
    doubtful = not names.isascii() or _is_personal(names)  # mostly none is, and one look at all of them is faster
    marked = "/" in texts or "\\" in texts or "@" in texts
    for name, value in items.items():
        if isinstance(value, str):
            left_out = not value or (marked and _PLACE.search(value) is not None)
        else:
            value = public(value) if isinstance(value, dict) else value
            left_out = value in (None, {})
        if not left_out and not (doubtful and _is_personal(name)):
            kept[name] = value
    return kept


def _is_personal(name: str) -> bool:
    """Whether a word of the list stands in `name`; the expression knows more of upper and lower case, and is slow."""
    if name.isascii():
        return any(map(name.lower().__contains__, _WORDS))
    return _PERSONAL.search(name) is not None
