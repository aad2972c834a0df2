"""Saved figures: exact size, text that stays text, the same bytes twice, nothing overwritten or left behind."""

import base64
import os
import re
import stat
import struct
import zlib
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib._pylab_helpers import Gcf
from matplotlib.figure import Figure

from ssbmaps import SsbmapsError, figures
from ssbmaps._conventions import raster_coords

WIDTHS = {  # mm, from the journals' instructions
    ("rsc", 1): 83.0,
    ("rsc", 2): 171.0,
    ("acs", 1): 82.55,  # 3.25 in
    ("acs", 2): 177.8,  # 7 in
    ("elsevier", 1): 90.0,
    ("elsevier", 2): 190.0,
}


@pytest.fixture
def fig() -> Figure:
    values = np.random.default_rng(2).poisson(4.0, (3, 20, 31))
    coords = {"fragment": ["PO3-", "63Cu+", "SO4^2-"], **raster_coords((20, 31), (0.5, 0.5))}
    return figures.grid_figure(xr.DataArray(values, dims=("fragment", "y", "x"), coords=coords, attrs={"units": "counts"}))


def size_mm(path: Path) -> tuple[float, float]:
    """Printed width and height in mm as the file itself states them."""
    data = path.read_bytes()
    if path.suffix == ".pdf":
        box = [float(v) for v in re.search(rb"/MediaBox \[([^\]]*)\]", data)[1].split()]
        return (box[2] - box[0]) / 72 * 25.4, (box[3] - box[1]) / 72 * 25.4
    if path.suffix == ".svg":
        width, height = (float(re.search(rb'<svg[^>]* %s="([\d.]+)pt"' % name, data)[1]) for name in (b"width", b"height"))
        return width / 72 * 25.4, height / 72 * 25.4
    pixels = struct.unpack(">II", data[16:24])
    per_metre = struct.unpack(">IIB", data[data.index(b"pHYs") + 4 :][:9])
    assert per_metre[2] == 1
    return pixels[0] / per_metre[0] * 1000, pixels[1] / per_metre[1] * 1000


@pytest.mark.parametrize(("journal", "columns"), WIDTHS)
@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_width_is_the_journals_to_a_tenth_of_a_millimetre(
    fig: Figure, tmp_path: Path, journal: str, columns: int, suffix: str
) -> None:
    path = figures.save(fig, tmp_path / f"figure{suffix}", journal=journal, columns=columns)
    width, height = size_mm(path)
    assert abs(width - WIDTHS[journal, columns]) < 0.1
    assert 10 < height < 231


@pytest.mark.parametrize("dpi", [150, 299, 600])
def test_a_png_is_exact_at_every_resolution_allowed(fig: Figure, tmp_path: Path, dpi: int) -> None:
    assert abs(size_mm(figures.save(fig, tmp_path / "a.png", dpi=dpi))[0] - 83.0) < 0.1


def test_the_figure_keeps_its_own_size(fig: Figure, tmp_path: Path) -> None:
    before = fig.get_size_inches().copy()
    figures.save(fig, tmp_path / "a.svg", columns=2)
    np.testing.assert_allclose(fig.get_size_inches(), before)


def test_text_stays_text_in_svg(fig: Figure, tmp_path: Path) -> None:
    svg = figures.save(fig, tmp_path / "a.svg").read_text(encoding="utf-8")
    plain = re.sub(r">\s+<", "><", svg)
    plain = re.sub(r"<[^>]+>", "", plain)
    for word in ("counts per pixel, not concentration", "percentile", "5 µm", "Cu", "63", "SO"):
        assert word in plain
    assert "glyph" not in svg
    assert re.search(r"7px", svg)


def test_text_of_composites_and_spectra_stays_text(tmp_path: Path) -> None:
    values = np.random.default_rng(2).poisson(4.0, (3, 20, 31))
    coords = {"fragment": ["PO3-", "63Cu+", "Cl-"], **raster_coords((20, 31), (0.5, 0.5))}
    maps = xr.DataArray(values, dims=("fragment", "y", "x"), coords=coords, attrs={"units": "counts"})
    cube = xr.DataArray(values.T, dims=("x", "y", "mz"), coords={"mz": [34.9, 62.9, 79.0]}, attrs={"units": "counts"})
    drawn = {
        "colours add": figures.composite_figure(maps, contours=maps[0].assign_attrs(units="um") - 3.0, levels=[0, 1]),
        "sum of 620 spectra": figures.spectrum_figure(cube, assigned=["Cl-", "PO3-"], scale="log"),
    }
    for word, fig in drawn.items():
        svg = figures.save(fig, tmp_path / "a.svg", columns=2, overwrite=True).read_text(encoding="utf-8")
        assert word in svg
        assert "glyph" not in svg
        path = figures.save(fig, tmp_path / "a.pdf", journal="acs", overwrite=True)
        assert b"/Type3" not in path.read_bytes()
        assert abs(size_mm(path)[0] - 82.55) < 0.1


def test_text_stays_text_in_pdf(fig: Figure, tmp_path: Path) -> None:
    """TrueType fonts embedded as Type 42, no Type 3 outlines; the words are shown as strings by a text operator."""
    data = figures.save(fig, tmp_path / "a.pdf").read_bytes()
    assert b"/CIDFontType2" in data or b"/Subtype /TrueType" in data
    assert b"/Type3" not in data
    streams = [zlib.decompress(s) for s in re.findall(rb"stream\r?\n(\x78.*?)\r?\nendstream", data, re.DOTALL)]
    assert any(b" Tf" in s and b"BT" in s for s in streams)


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_the_same_figure_gives_the_same_bytes(fig: Figure, tmp_path: Path, suffix: str) -> None:
    first, second = (figures.save(fig, tmp_path / f"{name}{suffix}").read_bytes() for name in "ab")
    assert first == second
    assert b"CreationDate" not in first
    assert b"dc:date" not in first


def test_the_map_in_an_svg_has_the_data_s_own_pixels(fig: Figure, tmp_path: Path) -> None:
    svg = figures.save(fig, tmp_path / "a.svg").read_text(encoding="utf-8")
    images = [base64.b64decode(m) for m in re.findall(r"data:image/png;base64,\s*([A-Za-z0-9+/=\s]+)", svg)]
    assert struct.unpack(">II", images[0][16:24]) == (31, 20)


def test_nothing_is_overwritten_unless_asked(fig: Figure, tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text("mine")
    with pytest.raises(SsbmapsError, match="overwrite=True"):
        figures.save(fig, path)
    assert path.read_text() == "mine"
    figures.save(fig, path, overwrite=True)
    assert "<svg" in path.read_text(encoding="utf-8")


def test_a_failed_save_leaves_the_old_file_and_no_debris(fig: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")

    def fail(*_args: object, **_options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(type(fig), "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        figures.save(fig, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert path.read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="permissions as on POSIX systems")
def test_a_saved_file_has_ordinary_permissions(fig: Figure, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    saved = figures.save(fig, tmp_path / "a.png")
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_any_matplotlib_figure_can_be_saved_at_a_journal_s_width(tmp_path: Path) -> None:
    own = Figure(figsize=(6, 3))
    own.add_subplot().plot([1, 2])
    settings_before = dict(mpl.rcParams)
    assert size_mm(figures.save(own, tmp_path / "a.pdf")) == pytest.approx((83.0, 41.5), abs=0.1)
    assert tuple(own.get_size_inches()) == (6, 3)
    assert dict(mpl.rcParams) == settings_before


def test_all_faults_are_named_at_once(fig: Figure, tmp_path: Path) -> None:
    with pytest.raises(SsbmapsError, match=r"(?s)3 faults.*'.jpg'.*does not exist.*dpi=72"):
        figures.save(fig, tmp_path / "nowhere" / "a.jpg", dpi=72)
    with pytest.raises(SsbmapsError, match=r"journal 'nature' with columns=3; expected journal 'rsc', 'acs', 'elsevier'"):
        figures.save(fig, tmp_path / "a.pdf", journal="nature", columns=3)
    with pytest.raises(SsbmapsError, match="expected a matplotlib Figure, got str"):
        figures.save("figure", tmp_path / "a.pdf")  # type: ignore[arg-type]


def test_figures_are_not_pyplots(fig: Figure, tmp_path: Path) -> None:
    """No figure is left with pyplot's manager, which would keep it in memory; the room itself never imports pyplot."""
    figures.save(fig, tmp_path / "a.png")
    assert not Gcf.get_all_fig_managers()
    texts = [p.read_text(encoding="utf-8") for p in Path(figures.__file__).parent.glob("*.py")]
    assert not any(re.search(r"^\s*(import|from) matplotlib.*pyplot|^\s*mpl\.use\(", text, re.MULTILINE) for text in texts)


def test_a_notebook_shows_the_figure(fig: Figure) -> None:
    assert fig._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
