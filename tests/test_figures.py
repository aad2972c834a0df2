"""Maps on figures: the pixels, the extent, the scale bar, the colours and what is said about them."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from ssbmaps import SsbmapsError, figures
from ssbmaps._conventions import raster_coords
from ssbmaps.figures._grid import MapGrid
from ssbmaps.figures._scale import Wish, number_colours
from ssbmaps.figures._style import COUNTS_MAP, MM_PER_INCH, SIGNED_MAP, UNMEASURED, colour_map


def counts(shape: tuple[int, ...] = (12, 20), pixel: tuple[float, float] = (0.5, 0.5), seed: int = 3) -> xr.DataArray:
    """Poisson counts of mean 6 with the contract's coordinates; (fragment, y, x) if `shape` has three lengths."""
    values = np.random.default_rng(seed).poisson(6.0, shape)
    dims = ("fragment", "y", "x")[-len(shape) :]
    maps = xr.DataArray(values, dims=dims, coords=raster_coords(shape[-2:], pixel), attrs={"units": "counts"})
    return maps.assign_coords(fragment=["PO2-", "PO3-", "SO3-", "S-", "Cl-"][: shape[0]]) if len(shape) == 3 else maps


def words(fig: Figure) -> str:
    """All text that stands on the figure outside its axes, lines joined."""
    return " ".join(t.get_text() for t in fig.texts)


def scale_bar(fig: Figure) -> tuple[Rectangle, Axes]:
    found = [(p, axes) for axes in fig.axes for p in axes.patches if p.get_gid() == "scale-bar"]
    assert len(found) == 1
    return found[0]


def test_pixels_are_the_maps_own_and_y_runs_downwards() -> None:
    map_ = counts()
    axes = figures.map_figure(map_).axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), map_.values)
    assert axes.images[0].origin == "upper"
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert axes.images[0].get_interpolation() == "none"


@pytest.mark.parametrize("pixel", [(0.5, 0.5), (0.25, 0.5), (1.27, 1.0)])
def test_extent_and_shape_follow_the_coordinates(pixel: tuple[float, float]) -> None:
    """12 × 20 pixels; the printed map is as high over wide as the sample, within a thousandth of rounding."""
    fig = figures.map_figure(counts(pixel=pixel))
    axes = fig.axes[0]
    assert axes.images[0].get_extent() == pytest.approx([0, 20 * pixel[1], 12 * pixel[0], 0])
    box = axes.get_window_extent()
    assert box.height / box.width == pytest.approx(12 * pixel[0] / (20 * pixel[1]), rel=1e-3)


def test_extent_of_a_cut_out_keeps_its_place() -> None:
    cut = counts().isel(y=slice(2, 8), x=slice(5, 15))
    assert figures.map_figure(cut).axes[0].images[0].get_extent() == pytest.approx([2.5, 7.5, 4.0, 1.0])


def test_transposed_sparse_and_dask_input_draw_the_same_image() -> None:
    map_ = counts()
    plain = figures.map_figure(map_).axes[0].images[0].get_array()
    for other in (map_.T, map_.copy(data=sparse.COO.from_numpy(map_.values)), map_.chunk({"y": 5})):
        np.testing.assert_array_equal(figures.map_figure(other).axes[0].images[0].get_array(), plain)


def test_input_and_global_settings_are_unchanged() -> None:
    maps = counts((4, 12, 20))
    before, settings_before = maps.copy(deep=True), dict(mpl.rcParams)
    figures.grid_figure(maps)
    figures.map_figure(maps.isel(fragment=0))
    xr.testing.assert_identical(maps, before)
    assert dict(mpl.rcParams) == settings_before


@pytest.mark.parametrize("width", [83.0, 171.0])
@pytest.mark.parametrize(("size", "pixel"), [(512, 0.1), (20, 0.5), (133, 4.40625), (64, 0.013)])
def test_scale_bar_is_as_long_as_it_says(size: int, pixel: float, width: float) -> None:
    """The bar's ends, read on paper and turned back into um, differ from the label by far less than half a pixel."""
    map_ = counts((10, size), (pixel, pixel))
    fig = figures.map_figure(map_)
    fig.fit_width(width)
    bar, axes = scale_bar(fig)
    label = next(t.get_text() for t in axes.texts if t.get_text())
    number, unit = label.split()
    said = float(number) * {"nm": 1e-3, "µm": 1.0, "mm": 1e3}[unit]
    fig.canvas.draw()
    box, panel = bar.get_window_extent(), axes.get_window_extent()
    drawn = box.width / panel.width * size * pixel
    assert abs(drawn - said) < 0.05 * pixel
    assert box.x0 == pytest.approx(panel.x0, abs=0.01)
    assert box.y1 < panel.y0
    assert number.strip("0.")[0] in "125"


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-3, 1e5))
def test_scale_bar_length_is_round_and_fits(width: float) -> None:
    length = MapGrid((0.0, width, 1.0, 0.0), True, "").bar_length
    assert 0.15 * width <= length <= 0.4 * width * (1 + 1e-9)
    mantissa = length / 10 ** np.floor(np.log10(length) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-6


def test_a_grid_has_one_scale_bar_and_a_colour_bar_for_each_map() -> None:
    fig = figures.grid_figure(counts((5, 12, 20)), per_row=3)
    scale_bar(fig)
    assert len(fig.axes) == 10
    assert len(figures.grid_figure(counts((5, 12, 20)), shared=True).axes) == 6


def test_panels_of_a_grid_hold_their_own_maps_at_the_same_size() -> None:
    maps = counts((5, 12, 20))
    fig = figures.grid_figure(maps, letters=True)
    for i, axes in enumerate(fig.axes[:5]):
        np.testing.assert_array_equal(axes.images[0].get_array(), maps.values[i])
        assert axes.get_position().width == pytest.approx(fig.axes[0].get_position().width)
    assert [axes.get_title(loc="left")[9] for axes in fig.axes[:5]] == list("abcde")
    assert fig.axes[1].get_title(loc="left").endswith(r"$\mathrm{PO_{3}^{-}}$")


def test_shared_colours_span_all_maps() -> None:
    maps = counts((2, 12, 20)) * xr.DataArray([1, 10], dims="fragment")
    maps.attrs["units"] = "counts"
    fig = figures.grid_figure(maps, shared=True, percentile=None)
    limits = {axes.images[0].get_clim() for axes in fig.axes[:2]}
    assert limits == {(float(maps.min()), float(maps.max()))}
    own = figures.grid_figure(maps, percentile=None)
    assert own.axes[0].images[0].get_clim() == (maps[0].min(), maps[0].max())


def test_the_colour_bar_says_unit_and_percentiles() -> None:
    map_ = counts((50, 60))
    fig = figures.map_figure(map_, percentile=(2, 98))
    assert "counts per pixel, not concentration" in words(fig)
    assert "2–98 percentile" in words(fig)
    low, high = fig.axes[0].images[0].get_clim()
    ordered = np.sort(map_.values.ravel())
    assert ordered[int(0.02 * ordered.size) - 1] <= low <= ordered[int(0.02 * ordered.size) + 1]
    assert ordered[int(0.98 * ordered.size) - 1] <= high <= ordered[int(0.98 * ordered.size) + 1]


def test_a_clipped_colour_bar_has_pointed_ends_and_a_full_one_has_none() -> None:
    map_ = counts((50, 60))
    assert figures.map_figure(map_, limits=(3, 8)).axes[0].images[0].colorbar.extend == "both"
    assert figures.map_figure(map_, limits=(0, 8)).axes[0].images[0].colorbar.extend == "max"
    full = figures.map_figure(map_, percentile=None)
    assert full.axes[0].images[0].colorbar.extend == "neither"
    assert "percentile" not in words(full)
    assert "colours from 3 to 8" in words(figures.map_figure(map_, limits=(3, 8)))


def test_a_sparse_map_falls_back_to_its_full_range_and_says_so() -> None:
    """Three counts in 1000 pixels: both percentiles are 0, and a scale from 0 to 0 would hide the counts."""
    values = np.zeros((25, 40), int)
    values[[3, 9, 20], [5, 30, 11]] = [1, 1, 2]
    fig = figures.map_figure(xr.DataArray(values, dims=("y", "x"), attrs={"units": "counts"}))
    assert fig.axes[0].images[0].get_clim() == (0, 2)
    assert "full range" in words(fig)


def test_every_bar_says_its_own_scale() -> None:
    """The words stand under the bar they belong to: same left edge, below it, above the next row."""
    maps = counts((4, 12, 20))
    maps[1] = 0
    maps[1, 3, 4] = 1
    fig = figures.grid_figure(maps)
    said = [t for t in fig.texts if t.get_text() in ("0.5–99.5 percentile", "full range")]
    assert [t.get_text() for t in said] == ["0.5–99.5 percentile", "full range", *["0.5–99.5 percentile"] * 2]
    for text, bar in zip(said, fig.axes[4:], strict=True):
        box, own = text.get_window_extent(), bar.get_window_extent()
        assert box.x0 == pytest.approx(own.x0, abs=1)
        assert -10 < (own.y0 - box.y1) / fig.dpi * MM_PER_INCH - 3.2 < 2
        assert box.x1 <= own.x1 + 1


@pytest.mark.parametrize(("value", "limits"), [(0, (0, 1)), (7, (0, 7)), (-3, (-3, 3))])
def test_a_constant_map_is_drawn_and_called_constant(value: int, limits: tuple[float, float]) -> None:
    fig = figures.map_figure(xr.full_like(counts(), value))
    assert fig.axes[0].images[0].get_clim() == limits
    assert f"every pixel holds {'−3' if value == -3 else value}" in words(fig)
    assert "percentile" not in words(fig)


def test_log_scale_draws_zero_as_measured_and_says_so() -> None:
    map_ = counts()
    map_[0, :5] = 0
    fig = figures.map_figure(map_, scale="log")
    image = fig.axes[0].images[0]
    assert isinstance(image.norm, LogNorm)
    assert "log scale; 0.5–99.5 percentile" in words(fig)
    assert "zeros in the lowest colour; percentiles of values above 0" in words(fig)
    assert not np.ma.getmaskarray(image.get_array()).any()
    np.testing.assert_allclose(image.to_rgba(image.get_array())[0, 0], image.cmap(0.0))


def test_one_count_differs_from_none_on_a_log_scale() -> None:
    """Where most counts are 0 or 1, the lower percentile is 1; the colour of 0 is its own."""
    map_ = xr.DataArray(np.random.default_rng(1).poisson(0.2, (30, 40)), dims=("y", "x"), attrs={"units": "counts"})
    image = figures.map_figure(map_, scale="log").axes[0].images[0]
    none, one = (image.to_rgba(image.get_array())[map_.values == n][0] for n in (0, 1))
    assert np.abs(none - one).max() > 0.1
    assert figures.map_figure(map_, scale="log", limits=(1, 3)).axes[0].images[0].get_clim() == (1, 3)


@pytest.mark.parametrize(("top", "expected"), [(8, [0, 2, 4, 6, 8]), (3, [0, 1, 2, 3]), (38, [0, 10, 20, 30]), (1, [0, 1])])
def test_ticks_of_counts_are_whole_and_as_many_as_fit(top: int, expected: list[float]) -> None:
    map_ = xr.DataArray(np.array([[0, top]]), dims=("y", "x"), attrs={"units": "counts"})
    colours = number_colours(
        [map_.values.astype(float)], Wish.checked("test", None, None, "linear", None), whole=True, subject=""
    )
    assert colours is not None
    assert colours.ticks(5) == expected


def test_signed_values_get_a_diverging_map_about_zero() -> None:
    map_ = xr.DataArray(np.linspace(-2, 5, 60).reshape(5, 12), dims=("y", "x"), attrs={"units": "um", "long_name": "distance"})
    fig = figures.map_figure(map_)
    low, high = fig.axes[0].images[0].get_clim()
    assert low == -high
    assert fig.axes[0].images[0].cmap.name == colour_map(SIGNED_MAP).name
    assert "symmetric about 0" in words(fig)
    assert figures.map_figure(counts()).axes[0].images[0].cmap.name == colour_map(COUNTS_MAP).name


def test_unmeasured_pixels_are_grey_and_named_and_do_not_enter_the_scale() -> None:
    map_ = counts()
    measured = np.ones((12, 20), bool)
    measured[:3, :4] = False
    map_[0, 0] = 100000
    fig = figures.map_figure(map_.assign_coords(measured=(("y", "x"), measured)), percentile=None)
    image = fig.axes[0].images[0]
    np.testing.assert_array_equal(np.ma.getmaskarray(image.get_array()), ~measured)
    assert "not measured" in words(fig)
    assert image.get_clim()[1] < 100
    np.testing.assert_allclose(image.to_rgba(image.get_array())[0, 0, :3], to_rgb(UNMEASURED), atol=1e-3)
    assert "measured" not in words(figures.map_figure(counts()))


def test_nan_is_grey_without_claiming_that_it_was_not_measured() -> None:
    map_ = counts().astype(float)
    map_[2, 3] = np.nan
    assert "no value" in words(figures.map_figure(map_))
    nothing = figures.map_figure(xr.full_like(map_, np.nan))
    assert len(nothing.axes) == 1
    assert "no value" in words(nothing)


def test_a_map_without_pixel_size_is_drawn_in_pixels_and_says_so() -> None:
    map_ = counts().drop_vars(["y", "x"])
    fig = figures.map_figure(map_)
    assert fig.axes[0].images[0].get_extent() == pytest.approx([0, 20, 12, 0])
    assert "no pixel size: drawn in pixels, no scale bar" in words(fig)
    assert not [p for axes in fig.axes for p in axes.patches if p.get_gid() == "scale-bar"]


def test_labels_get_a_legend_of_the_phases_that_occur() -> None:
    values = np.repeat(np.array([[1, 2, 4]], np.int16), 5, axis=0)
    attrs = {"flag_values": np.array([0, 1, 2, 4], np.int16), "flag_meanings": "unassigned NMC electrolyte POx"}
    fig = figures.map_figure(xr.DataArray(values, dims=("y", "x"), coords=raster_coords((5, 3), (1, 1)), attrs=attrs))
    image = fig.axes[0].images[0]
    colours = {tuple(c) for c in image.to_rgba(image.get_array())[0]}
    assert len(colours) == 3
    assert (1.0, 1.0, 1.0, 1.0) not in colours
    assert [t.get_text() for t in fig.texts] == ["NMC", "electrolyte", r"$\mathrm{PO}_x$"]
    assert len(fig.axes) == 1


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (3, 400), (400, 3)])
def test_very_long_maps_stay_on_the_page(shape: tuple[int, int]) -> None:
    fig = figures.map_figure(counts(shape))
    assert fig.get_figheight() * MM_PER_INCH < 231
    box = fig.axes[0].get_window_extent()
    assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=1e-2)


def test_many_maps_shrink_to_the_page_but_never_to_nothing() -> None:
    maps = xr.concat([counts()] * 24, dim="fragment").assign_coords(fragment=[f"C{i}-" for i in range(2, 26)])
    assert figures.grid_figure(maps, per_row=3).get_figheight() * MM_PER_INCH < 231
    column = figures.grid_figure(maps, per_row=1)
    assert column.axes[0].get_window_extent().height / column.dpi * MM_PER_INCH == pytest.approx(8.0)


@pytest.mark.parametrize("width", [82.55, 171.0])
def test_nothing_overlaps_and_nothing_leaves_the_page(width: float) -> None:
    """Every text of a crowded grid lies on the page, and no two texts touch."""
    maps = counts((5, 12, 20))
    maps.attrs["units"] = "counts"
    fig = figures.grid_figure(maps * xr.DataArray([1, 20, 3, 1000, 0], dims="fragment"), letters=True)
    fig.fit_width(width)
    fig.canvas.draw()
    renderer = fig.canvas.get_renderer()
    texts = [t for t in fig.findobj(Text) if t.get_visible() and t.get_text()]
    ticks = {t for axes in fig.axes for axis in (axes.xaxis, axes.yaxis) for t in axis.get_ticklabels()}
    shown = [t.get_window_extent(renderer) for t in texts if t not in ticks or t.get_window_extent(renderer).width > 0]
    page = fig.bbox
    assert all(b.x0 >= page.x0 and b.x1 <= page.x1 and b.y0 >= page.y0 and b.y1 <= page.y1 for b in shown)
    for first, second in itertools.combinations(shown, 2):
        overlap = Bbox.intersection(first, second)
        assert overlap is None or overlap.width * overlap.height < 1e-9


def test_components_stand_beside_their_spectra() -> None:
    rng = np.random.default_rng(5)
    spectra = np.zeros((2, 4000))
    spectra[0, [100, 2000]], spectra[1, 3999] = (0.75, 0.25), 1.0
    result = xr.Dataset(
        {
            "spectra": (("component", "mz"), spectra),
            "abundance": (("component", "y", "x"), rng.poisson(5.0, (2, 6, 9)).astype(float), {"units": "counts"}),
        },
        coords={"component": [1, 2], "mz": np.linspace(10, 100, 4000), **raster_coords((6, 9), (1, 1))},
    )
    fig = figures.component_figure(result.transpose("x", "y", "mz", "component"))
    plots = fig.axes[-2:]
    np.testing.assert_array_equal(fig.axes[1].images[0].get_array(), result["abundance"].values[1])
    sticks = np.array(plots[0].collections[0].get_segments())
    assert sorted(sticks[:, 1, 1])[-2:] == [0.25, 0.75]
    assert sticks[np.argmax(sticks[:, 1, 1]), 0, 0] == result["mz"].values[100]
    assert [t.get_text() for t in plots[0].texts] == ["12.25", "55.01"]
    assert [t.get_text() for t in plots[1].texts] == ["100"]
    assert plots[1].get_xlabel() == "m/z (Da)"
    assert plots[0].get_position().y0 == pytest.approx(fig.axes[0].get_position().y0)


def test_peaks_are_labelled_where_they_matter_and_fit() -> None:
    """0.02 is below a twentieth of the largest. A label takes 9 mm: 16 Da in one column, 7 Da in two."""
    result = xr.Dataset(
        {
            "spectra": (("component", "mz"), [[0.0, 0.45, 0.33, 0.2, 0.02, 0.0]]),
            "abundance": (("component", "y", "x"), np.ones((1, 4, 5)), {"units": "counts"}),
        },
        coords={"mz": [20.0, 31.0, 35.0, 44.0, 79.0, 100.0]},
    )
    fig = figures.component_figure(result, peaks=5)
    assert {t.get_text() for t in fig.axes[-1].texts} == {"31"}
    fig.fit_width(171.0)
    assert {t.get_text() for t in fig.axes[-1].texts} == {"31", "44"}
    assert not figures.component_figure(result, peaks=0).axes[-1].texts


def test_pca_loadings_are_drawn_with_their_sign() -> None:
    loadings = np.array([[0.2, -0.9, 0.3, 0.1]])
    result = xr.Dataset(
        {
            "loadings": (("component", "raman_shift"), loadings),
            "scores": (("component", "y", "x"), np.arange(6.0).reshape(1, 2, 3) - 3, {"units": "counts"}),
        },
        coords={"raman_shift": [400.0, 500.0, 600.0, 700.0]},
    )
    axes = figures.component_figure(result, peaks=1).axes[-1]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), loadings[0])
    assert [t.get_text() for t in axes.texts] == ["500"]
    assert axes.get_ylim()[0] < -0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: figures.map_figure(np.zeros((3, 4))), "expected an xarray.DataArray"),
        (lambda: figures.map_figure(counts((2, 12, 20))), r"expected one \(y, x\) map"),
        (lambda: figures.map_figure(counts().astype(float) / 0.0), "infinite values"),
        (lambda: figures.map_figure(counts(), percentile=(99, 1), scale="sqrt"), "(?s)2 faults.*percentile.*scale='sqrt'"),
        (lambda: figures.map_figure(counts(), limits=(0, 5), scale="log"), "log scale starts above 0"),
        (lambda: figures.map_figure(counts() - 20, scale="log"), "no place on a log scale"),
        (lambda: figures.map_figure(counts() * 0, scale="log"), "no value above 0"),
        (lambda: figures.map_figure(counts(), cmap="jetty"), "colour map 'jetty' is unknown"),
        (lambda: figures.map_figure(counts().drop_vars("y")), "never guesses"),
        (lambda: figures.map_figure(counts().assign_attrs(flag_meanings="a b", flag_values=[1])), "1 flag_values and 2 flag"),
        (lambda: figures.grid_figure(counts()), "expected one channel dimension"),
        (lambda: figures.grid_figure(counts((2, 12, 20)), per_row=0), "per_row=0"),
        (lambda: figures.component_figure(xr.Dataset({"a": ("x", [1])})), "abundance and spectra, or scores and loadings, got a"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_cannot_be_drawn_is_said(call: object, message: str) -> None:
    with pytest.raises(SsbmapsError, match=message):
        call()  # type: ignore[operator]
