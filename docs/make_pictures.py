"""Make the README's picture from the demo's own files: python docs/make_pictures.py DEMO_FOLDER."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from ssbmaps import figures, io

FRAGMENTS = ["NiO2-", "S-", "PO3-", "SO3-"]
TARGET = Path(__file__).parent / "img" / "demo.png"


def main(demo: Path) -> None:
    maps = io.load(demo / "maps.zarr")["counts"].sel(fragment=FRAGMENTS)
    profile = io.load(demo / "profile.nc")
    bulk, shell = (profile.sel(fragment=names) for names in (["NiO2-", "S-"], ["PO2-", "PO3-", "SO2-", "SO3-"]))
    drawn = [figures.grid_figure(maps, per_row=2)]
    drawn += [figures.profile_figure(p, inside="NMC", outside="electrolyte") for p in (bulk, shell)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [figures.save(f, Path(folder) / f"{i}.png", dpi=250) for i, f in enumerate(drawn)]
        pieces = [Image.open(p).convert("RGB") for p in paths]
    left, right = pieces[0], pieces[1:]
    width, gap = left.width + right[0].width + 60, 30
    height = max(left.height, sum(p.height for p in right) + gap)
    page = Image.new("RGB", (width, height), "white")
    page.paste(left, (0, 0))
    top = 0
    for piece in right:
        page.paste(piece, (left.width + 60, top))
        top += piece.height + gap
    page.quantize(256).save(TARGET, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
