"""Composites: every pixel is the sum that the docstring states, and colour-blind readers tell the hues apart."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest
import sparse
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from skimage.color import deltaE_ciede2000, rgb2lab

from ssbmaps import GridMismatchError, SsbmapsError, figures
from ssbmaps._conventions import raster_coords
from ssbmaps.figures._style import COMPOSITE_HUES, MM_PER_INCH, UNMEASURED

# What dichromats see of linear red, green and blue: Machado, Oliveira and Fernandes 2009, severity 1.0.
SIGHT = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def counts(n: int = 3, seed: int = 5) -> xr.DataArray:
    """Poisson counts of 12 × 20 pixels for `n` fragments, each ten times the one before."""
    mean = 4.0 * 10.0 ** np.arange(n)[:, None, None]
    values = np.random.default_rng(seed).poisson(mean, (n, 12, 20))
    names = ["NiO2-", "S-", "PO3-", "C2-", "Cl-"][:n]
    coords = {"fragment": names, **raster_coords((12, 20), (0.5, 0.5))}
    return xr.DataArray(values, dims=("fragment", "y", "x"), coords=coords, attrs={"units": "counts"})


def pixels(fig: Figure) -> np.ndarray:
    return np.asarray(fig.axes[0].images[0].get_array())


def words(fig: Figure) -> str:
    return " ".join(t.get_text() for t in fig.texts)


def seen(colours: np.ndarray, sight: str) -> np.ndarray:
    """CIELAB of sRGB colours as a reader with this sight has them."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.asarray(SIGHT[sight]).T, 0, 1)
    back = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(back[None])[0]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_pixels_are_the_sum_of_brightness_times_hue(n: int) -> None:
    """Written out by loops over pixels and fragments, from sorted values instead of a percentile function."""
    maps = counts(n)
    expected = np.zeros((12, 20, 3))
    for map_, hue in zip(maps.values, COMPOSITE_HUES[n], strict=True):
        ordered = np.sort(map_.ravel())
        low, high = ordered[int(0.005 * 239)], ordered[int(np.ceil(0.995 * 239))]
        for i, j in np.ndindex(12, 20):
            share = min(max((map_[i, j] - low) / (high - low), 0.0), 1.0)
            expected[i, j] += share * np.array(to_rgb(hue))
    np.testing.assert_allclose(pixels(figures.composite_figure(maps)), np.minimum(expected, 1), atol=1e-12)


def test_limits_colours_and_order_are_the_callers() -> None:
    maps = counts(3)
    fig = figures.composite_figure(maps, fragments=["S-", "NiO2-"], colours=["red", "#0000ff"], limits={"S-": (30, 50)})
    share = np.clip((maps.sel(fragment="S-").values - 30) / 20, 0, 1)
    np.testing.assert_allclose(pixels(fig)[..., 0], share, atol=1e-12)
    assert pixels(fig)[..., 1].max() == 0
    assert "colours from 30 to 50" in words(fig)
    assert [t.get_text() for t in fig.texts if t.get_color() != to_rgb("k") and "mathrm" in t.get_text()] == [
        r"$\mathrm{S^{-}}$",
        r"$\mathrm{NiO_{2}^{-}}$",
    ]


@pytest.mark.parametrize(("n", "full", "half"), [(2, 68, 46), (3, 37, 18), (4, 26, 12)])
def test_hues_differ_for_every_sight(n: int, full: float, half: float) -> None:
    """The distances that the docstring states; 2.3 is just noticeable, 12 is told apart at a glance."""
    hues = np.array([to_rgb(h) for h in COMPOSITE_HUES[n]])
    for sight in SIGHT:
        bright = seen(hues, sight)
        for a, b in itertools.combinations(range(n), 2):
            assert deltaE_ciede2000(bright[a], bright[b]) >= full
            mixed = seen(np.minimum(hues[a] + hues[b], 1)[None], sight)[0]
            assert min(deltaE_ciede2000(mixed, bright[i]) for i in (a, b)) > 7
        for a, b in itertools.permutations(range(n), 2):
            for share in (0.5, 0.7, 0.85, 1.0):
                assert deltaE_ciede2000(seen(share * hues[[a]], sight)[0], bright[b]) >= half


def test_names_stand_in_their_hue_over_bars_that_run_from_black_to_it() -> None:
    maps = counts(4)
    fig = figures.composite_figure(maps)
    names = [t for t in fig.texts if t.get_text().startswith("$")]
    bars = fig.axes[1:]
    assert len(names) == len(bars) == 4
    for name, bar, hue, map_ in zip(names, bars, COMPOSITE_HUES[4], maps.values, strict=True):
        np.testing.assert_allclose(name.get_color(), to_rgb(hue))
        assert bar.get_window_extent().x0 <= name.get_window_extent().x0 <= bar.get_window_extent().x1
        cmap, limits = bar.collections[-1].cmap, bar.get_xlim()
        np.testing.assert_allclose(cmap(0.0)[:3], 0)
        np.testing.assert_allclose(cmap(1.0)[:3], to_rgb(hue))
        assert map_.min() <= limits[0] < limits[1] <= map_.max()
    assert "colours add; brightness is scaled per map; counts per pixel, not concentration" in words(fig)
    assert words(fig).count("0.5–99.5") == 4


def test_a_single_map_does_not_speak_of_adding() -> None:
    assert "add" not in words(figures.composite_figure(counts(2), fragments=["S-"]))


def test_missing_in_one_map_is_grey_in_all_and_named() -> None:
    maps = counts(2).astype(float)
    maps[1, 3, 4] = np.nan
    fig = figures.composite_figure(maps)
    np.testing.assert_allclose(pixels(fig)[3, 4], to_rgb(UNMEASURED))
    assert "no value" in words(fig)
    measured = np.ones((12, 20), bool)
    measured[0, :2] = False
    fig = figures.composite_figure(counts(2).assign_coords(measured=(("y", "x"), measured)))
    np.testing.assert_allclose(pixels(fig)[0, :2], [to_rgb(UNMEASURED)] * 2)
    assert "not measured" in words(fig)
    assert "measured" not in words(figures.composite_figure(counts(2)))


def test_negative_values_are_black_and_said_so() -> None:
    maps = counts(2) - 4.0
    maps.attrs["units"] = "counts"
    fig = figures.composite_figure(maps, fragments=["NiO2-"], percentile=None)
    below = maps.sel(fragment="NiO2-").values <= 0
    assert below.any()
    assert pixels(fig)[below].max() == 0
    assert pixels(fig)[~below].min() > 0
    assert "values below 0 are black" in words(fig)


def test_transposed_sparse_and_dask_input_draw_the_same_picture() -> None:
    maps = counts(3)
    before, settings = maps.copy(deep=True), dict(mpl.rcParams)
    plain = pixels(figures.composite_figure(maps))
    sparse_maps = maps.copy(data=sparse.COO.from_numpy(maps.values))
    for other in (maps.transpose("x", "fragment", "y"), sparse_maps, maps.chunk({"y": 5, "fragment": 1})):
        np.testing.assert_array_equal(pixels(figures.composite_figure(other)), plain)
    xr.testing.assert_identical(maps, before)
    assert dict(mpl.rcParams) == settings


def test_components_and_numbered_channels_are_named_too() -> None:
    maps = counts(3).rename(fragment="component").assign_coords(component=[1, 2, 3])
    assert "component 2" in words(figures.composite_figure(maps, fragments=["1", "2"]))


@pytest.mark.parametrize("width", [82.55, 177.8])
def test_nothing_overlaps_and_nothing_leaves_the_page(width: float) -> None:
    maps = counts(4).assign_coords(measured=(("y", "x"), np.arange(240).reshape(12, 20) > 3))
    distance = xr.DataArray(np.add.outer(np.arange(12) - 5.5, np.zeros(20)), dims=("y", "x"), attrs={"units": "um"})
    distance = distance.assign_coords({d: maps[d] for d in "yx"}).assign_attrs(long_name="distance to the edge of NMC, negative")
    fig = figures.composite_figure(maps, title="after 100 cycles", contours=distance, levels=[0, 2])
    fig.fit_width(width)
    fig.canvas.draw()
    ticks = [t for axes in fig.axes[1:] for t in axes.get_xticklabels()]
    boxes = [t.get_window_extent() for t in [*fig.texts, *ticks, *fig.axes[0].texts, fig.axes[0]._left_title]]
    page = fig.bbox
    assert all(b.x0 >= page.x0 and b.x1 <= page.x1 and b.y0 >= page.y0 and b.y1 <= page.y1 for b in boxes)
    for first, second in itertools.combinations(boxes, 2):
        shared = Bbox.intersection(first, second)
        assert shared is None or shared.width * shared.height < 1e-9
    assert fig.get_figheight() * MM_PER_INCH < 231


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.composite_figure(counts(5)), r"5 channels \(NiO2-, S-, PO3-, C2-, Cl-\).*up to 4 apart"),
        (lambda: figures.composite_figure(counts(2), fragments=[]), "0 channels"),
        (
            lambda: figures.composite_figure(counts(2), fragments=["PO3-", "S-"]),
            "fragment PO3- not in the maps, which hold NiO2-, S-",
        ),
        (lambda: figures.composite_figure(counts(2), fragments=["S-", "S-"]), "S- is named twice"),
        (lambda: figures.composite_figure(counts(2)[0]), "expected one named channel dimension"),
        (lambda: figures.composite_figure(counts(2).drop_vars("fragment")), "expected one named channel dimension"),
        (lambda: figures.composite_figure(counts(2), colours=["red"]), "1 colours for 2 fragments"),
        (lambda: figures.composite_figure(counts(2), colours=["red", "#ff0000"]), "two are the same colour"),
        (lambda: figures.composite_figure(counts(2), colours=["red", "reddish"]), "expected matplotlib colours"),
        (lambda: figures.composite_figure(counts(2), limits={"PO3-": (0, 1)}), "limits for PO3-, which is not drawn"),
        (lambda: figures.composite_figure(counts(2), limits={"S-": (3, 1)}), r"limits=\(3, 1\)"),
        (lambda: figures.composite_figure(counts(2), limits=(3, 1)), "two values for each fragment"),
        (lambda: figures.composite_figure(counts(2), percentile=(1, 101)), "from 0 to 100"),
        (lambda: figures.composite_figure(-1.0 - counts(2)), "(?s)2 faults.*NiO2-: no value above 0.*S-: no value"),
        (lambda: figures.composite_figure(counts(2) * np.nan), "NiO2-: no pixel holds a value"),
    ],
)
def test_what_cannot_be_drawn_is_said(call: object, message: str) -> None:
    with pytest.raises(SsbmapsError, match=message):
        call()  # type: ignore[operator]


def test_contours_of_another_grid_are_refused() -> None:
    other = counts(2)[0].assign_coords(x=counts(2).x + 1e-6).assign_attrs(units="um")
    with pytest.raises(GridMismatchError, match="contours: the maps lie on different grids"):
        figures.composite_figure(counts(2), contours=other)
