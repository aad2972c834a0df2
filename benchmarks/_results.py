"""One section of `results.md` per benchmark: what was run, when, on how many cores, and the table it gave."""

from __future__ import annotations

import os
import re
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RESULTS = Path(__file__).with_name("results.md")


def table(header: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines)


def put_section(title: str, command: str, body: str) -> None:
    """Replace the section `title` of results.md, or append it; print it too."""
    stamp = f"`{command}` · {date.today().isoformat()} · {os.cpu_count()} cores"
    section = f"## {title}\n\n{stamp}\n\n{body.strip()}\n"
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "# Results\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.M | re.S)
    text, found = pattern.subn(lambda _: section + "\n", text)
    text = text if found else text.rstrip() + "\n\n" + section
    RESULTS.write_text(text.rstrip() + "\n", encoding="utf-8")
    print(section)


def run_parts(parts: Mapping[str, Callable[[], None]]) -> None:
    """Run the parts that the command line names, or all of them."""
    names = sys.argv[1:] or list(parts)
    unknown = [n for n in names if n not in parts]
    if unknown:
        raise SystemExit(f"unknown part {', '.join(unknown)}; there are {', '.join(parts)}")
    for name in names:
        parts[name]()
