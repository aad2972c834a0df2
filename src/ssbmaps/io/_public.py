"""What of a file's own metadata may be published: no person, no e-mail address, no folder of somebody's computer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PERSONAL = re.compile(r"user|operator|person|author|owner|e-?mail|path|folder|directory|file|computer|login", re.IGNORECASE)
_PLACE = re.compile(r"[A-Za-z]:[\\/]|\\\\|^/|@")


def public(items: Mapping[str, Any]) -> dict[str, Any]:
    """`items` without those whose name or value tells of a person or a folder, and without empty ones."""
    kept: dict[str, Any] = {}
    for name, value in items.items():
        inner = public(value) if isinstance(value, dict) else value
        if _PERSONAL.search(name) or inner in ("", None, {}) or (isinstance(inner, str) and _PLACE.search(inner)):
            continue
        kept[name] = inner
    return kept
