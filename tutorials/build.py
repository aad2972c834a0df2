"""Make the notebooks from their sources: `python tutorials/build.py` runs each NN_*.py here and writes NN_*.ipynb beside it.

A source is Python with cells in percent format, `# %% [markdown]` for text (every line a comment) and `# %%` for code. Every
notebook runs in a kernel of its own, in an empty folder. What differs from run to run is left out of what is written.
"""

from __future__ import annotations

import argparse
import base64
import re
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbformat import NotebookNode

HERE = Path(__file__).parent
LARGE = 200_000  # characters of a picture
CELL = re.compile(r"^# %%( \[markdown\])?\n", re.MULTILINE)
PLACE = re.compile(r"^\S*ipykernel_\d+\S*:\d+: (\w+: .*\n)(?:  .*\n)?", re.MULTILINE)  # of a warning, and the line of code


def cells(source: str) -> Iterator[tuple[str, str]]:
    """Kind ("markdown" or "code") and text of every cell; what stands before the first one is no cell."""
    _, *pieces = CELL.split(source)
    for mark, piece in zip(pieces[::2], pieces[1::2], strict=True):
        text = piece.strip("\n")
        yield ("code", text) if mark is None else ("markdown", re.sub(r"^# ?", "", text, flags=re.MULTILINE))


def notebook(source: str) -> NotebookNode:
    """The notebook of a source, not yet run; the ids of its cells are their numbers."""
    made = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    )
    for number, (kind, text) in enumerate(cells(source), 1):
        new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
        made.cells.append(new(text, id=f"cell-{number:02d}"))
    return made


def run(made: NotebookNode, folder: Path) -> None:
    """Run a notebook in `folder` with this Python, and keep of its outputs what is the same at every run."""
    manager = AsyncKernelManager(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))  # this Python, not another one's kernel
    client = NotebookClient(
        made,
        km=manager,
        timeout=300,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=40"],  # of the kernel itself: errors only
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    made.metadata["language_info"] = {"name": "python"}
    for cell in made.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output.text = PLACE.sub(r"\1", output.text)
            elif "image/png" in output.get("data", {}):
                output.data["image/png"] = lighter(output.data["image/png"])


def lighter(png: str) -> str:
    """A large picture (base64) in 256 colours: noisy maps take a third of the space, and a page of them opens on a code host."""
    if len(png) < LARGE:
        return png
    few = Image.open(BytesIO(base64.b64decode(png))).convert("RGB").quantize(256, dither=Image.Dither.FLOYDSTEINBERG)
    target = BytesIO()
    few.save(target, "png", optimize=True)
    return base64.b64encode(target.getvalue()).decode()


def build(source: Path, target: Path) -> None:
    """Run `source` and write the notebook to `target`."""
    made = notebook(source.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        run(made, Path(folder))
    nbformat.validate(made)
    target.write_text(nbformat.writes(made) + "\n", encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run the tutorials' sources and write their notebooks.")
    parser.add_argument("sources", nargs="*", type=Path, default=sorted(HERE.glob("[0-9][0-9]_*.py")), help="all by default")
    parser.add_argument("--to", type=Path, default=HERE, help="folder for the notebooks, by default that of this file")
    options = parser.parse_args()
    for source in options.sources:
        build(source, options.to / f"{source.stem}.ipynb")


if __name__ == "__main__":
    main()
