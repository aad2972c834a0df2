"""Contours over maps: they lie where the disc was planted, stand in the legend, and refuse other grids."""

import numpy as np
import pytest
import sparse
import xarray as xr
from matplotlib.figure import Figure

from ssbmaps import GridMismatchError, SsbmapsError, figures
from ssbmaps._conventions import raster_coords

SHAPE, PIXEL = (60, 80), (0.1, 0.2)  # pixels that are no squares
CENTRE, RADIUS = (2.83, 7.31), 1.9  # um
FLAGS = {"flag_values": np.array([0, 1], np.int16), "flag_meanings": "unassigned NMC"}


def disc() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Counts, signed distance in um to a circle that lies between pixels, and labels of the pixels inside it."""
    coords = raster_coords(SHAPE, PIXEL)
    y, x = coords["y"][1][:, None], coords["x"][1]
    distance = np.hypot(y - CENTRE[0], x - CENTRE[1]) - RADIUS
    values = np.random.default_rng(4).poisson(np.where(distance < 0, 20.0, 1.0))
    map_ = xr.DataArray(values, dims=("y", "x"), coords=coords, attrs={"units": "counts"})
    attrs = {"units": "um", "long_name": "distance to the edge of NMC, negative inside"}
    return (
        map_,
        map_.copy(data=distance).assign_attrs(attrs),
        (map_.copy(data=(distance < 0).astype(np.int16))).assign_attrs(FLAGS),
    )


def lines(fig: Figure, panel: int = 0) -> list[list[np.ndarray]]:
    """Vertices (x, y) in um of every group of contours on a panel."""
    found = [c for c in fig.axes[panel].collections if c.get_gid() == "contour"]
    return [[np.asarray(s) for s in c.get_segments()] for c in found]


def words(fig: Figure) -> list[str]:
    return [t.get_text() for t in fig.texts]


@pytest.mark.parametrize("level", [0.0, -0.7, 0.4])
def test_levels_lie_where_the_disc_was_planted(level: float) -> None:
    """Linear interpolation on a circle of 9.5 pixels' radius errs by (pixel)²/8R, 3 nm: far less than half a pixel."""
    map_, distance, _ = disc()
    fig = figures.map_figure(map_, contours=distance, levels=[level])
    (group,) = lines(fig)
    assert len(group) == 1
    away = np.hypot(group[0][:, 0] - CENTRE[1], group[0][:, 1] - CENTRE[0])
    assert np.abs(away - RADIUS - level).max() < 0.01
    assert np.ptp(group[0], axis=0) == pytest.approx([2 * (RADIUS + level)] * 2, abs=0.05)


@pytest.mark.parametrize("width", [83.0, 171.0])
def test_on_paper_the_contour_lies_on_the_disc_s_pixels(width: float) -> None:
    """Printed places of the vertices, turned into pixels of the printed panel, against the circle: within half a pixel."""
    map_, distance, _ = disc()
    fig = figures.map_figure(map_, contours=distance)
    fig.fit_width(width)
    fig.canvas.draw()
    axes = fig.axes[0]
    box = axes.get_window_extent()
    printed = axes.transData.transform(lines(fig)[0][0])
    column = (printed[:, 0] - box.x0) / box.width * SHAPE[1]
    row = (box.y1 - printed[:, 1]) / box.height * SHAPE[0]
    off = np.hypot(column * PIXEL[1] - CENTRE[1], row * PIXEL[0] - CENTRE[0]) - RADIUS
    assert np.abs(off).max() < 0.5 * min(PIXEL)


def test_boundaries_of_labels_run_between_unlike_pixels() -> None:
    """Every unit of line separates two pixels of unlike labels, and all such pairs are separated: counted one by one."""
    map_, _, labels = disc()
    drawn = lines(figures.map_figure(map_, contours=labels))[0]
    inside = labels.values == 1
    upright = sum(np.ptp(s[:, 1]) for s in drawn if np.ptp(s[:, 0]) == 0)
    level = sum(np.ptp(s[:, 0]) for s in drawn if np.ptp(s[:, 1]) == 0)
    assert upright == pytest.approx((inside[:, 1:] != inside[:, :-1]).sum() * PIXEL[0])
    assert level == pytest.approx((inside[1:] != inside[:-1]).sum() * PIXEL[1])
    for segment in drawn:
        away = np.hypot(segment[:, 0].mean() - CENTRE[1], segment[:, 1].mean() - CENTRE[0]) - RADIUS
        assert abs(away) < 0.5 * np.hypot(*PIXEL)


def test_straight_runs_of_a_boundary_are_one_line() -> None:
    values = np.repeat(np.array([[0, 1, 1]], np.int16), 7, axis=0)
    labels = xr.DataArray(values, dims=("y", "x"), attrs=FLAGS)
    (group,) = lines(figures.map_figure(labels, contours=labels))
    np.testing.assert_allclose(group, [[(1, 0), (1, 7)]])


def test_a_contour_runs_on_to_the_frame() -> None:
    map_, distance, _ = disc()
    ramp = distance.copy(data=np.add.outer(np.zeros(SHAPE[0]), np.arange(SHAPE[1]) - 20.3) * 0.2)
    (line,) = lines(figures.map_figure(map_, contours=ramp))[0]
    assert line[:, 1].min() <= 0
    assert line[:, 1].max() >= SHAPE[0] * PIXEL[0] - 1e-9
    np.testing.assert_allclose(line[:, 0], (20.3 + 0.5) * 0.2)


def test_unmeasured_pixels_interrupt_contours() -> None:
    map_, distance, labels = disc()
    whole = lines(figures.map_figure(map_, contours=distance))[0]
    cut = distance.where(distance.x < CENTRE[1])
    half = lines(figures.map_figure(map_, contours=cut))[0]
    assert max(s[:, 0].max() for s in half) <= CENTRE[1] < whole[0][:, 0].max()
    measured = (("y", "x"), np.broadcast_to(map_.x.values < CENTRE[1], SHAPE))
    marked = lines(figures.map_figure(map_, contours=labels.assign_coords(measured=measured)))[0]
    assert max(s[:, 0].max() for s in marked) <= CENTRE[1] + PIXEL[1]


def test_the_legend_names_levels_and_zero_is_solid() -> None:
    map_, distance, labels = disc()
    fig = figures.map_figure(map_, contours=distance, levels=[0.5, 0, -0.5])
    assert words(fig)[-2:] == ["edge of NMC", "distance −0.5, 0.5 µm"]
    first, second = (c for c in fig.axes[0].collections if c.get_gid() == "contour")
    assert first.get_linestyle()[0][1] is None
    assert len(second.get_linestyle()[0][1]) >= 2  # dashes and gaps, in points
    assert len(second.get_segments()) == 2
    assert words(figures.map_figure(map_, contours=distance))[-1] == "edge of NMC"
    assert words(figures.map_figure(map_, contours=distance, levels=[0.3]))[-1] == "distance to the edge of NMC 0.3 µm"
    assert words(figures.map_figure(map_, contours=labels))[-1] == "boundaries of the labels"
    assert words(figures.map_figure(map_, contours=distance.assign_attrs(long_name="")))[-1] == "distance 0"


def test_lines_are_white_within_a_dark_casing() -> None:
    map_, distance, _ = disc()
    drawn = next(c for c in figures.map_figure(map_, contours=distance).axes[0].collections if c.get_gid() == "contour")
    assert tuple(drawn.get_edgecolor()[0]) == (1, 1, 1, 1)
    assert drawn.get_path_effects()


def test_every_panel_of_a_grid_has_the_contour_and_the_legend_has_it_once() -> None:
    map_, distance, _ = disc()
    maps = xr.concat([map_, map_ * 2, map_ * 3], dim="fragment").assign_coords(fragment=["NiO2-", "S-", "Cl-"])
    fig = figures.grid_figure(maps, contours=distance)
    for panel in range(3):
        np.testing.assert_array_equal(lines(fig, panel)[0][0], lines(fig)[0][0])
    assert words(fig).count("edge of NMC") == 1


def test_the_frame_of_the_map_stays_as_it_was() -> None:
    map_, distance, labels = disc()
    plain = figures.map_figure(map_).axes[0]
    for contours in (distance, labels):
        axes = figures.map_figure(map_, contours=contours).axes[0]
        assert axes.get_xlim() == plain.get_xlim()
        assert axes.get_ylim() == plain.get_ylim()


def test_transposed_sparse_and_dask_contours_are_the_same_and_unchanged() -> None:
    map_, distance, labels = disc()
    before = labels.copy(deep=True)
    plain = lines(figures.map_figure(map_, contours=distance))[0][0]
    for other in (distance.T, distance.chunk({"y": 7})):
        np.testing.assert_array_equal(lines(figures.map_figure(map_, contours=other))[0][0], plain)
    sides = lines(figures.map_figure(map_, contours=labels))[0]
    other = labels.copy(data=sparse.COO.from_numpy(labels.values)).T
    np.testing.assert_array_equal(lines(figures.map_figure(map_, contours=other))[0], sides)
    xr.testing.assert_identical(labels, before)


def test_labels_may_lie_over_labels() -> None:
    _, distance, labels = disc()
    assert words(figures.map_figure(labels, contours=distance))[-2:] == ["NMC", "edge of NMC"]


def shifted(which: int) -> xr.DataArray:
    found = disc()[which]
    return found.assign_coords(x=found.x + 0.001)


@pytest.mark.parametrize(
    ("contours", "levels", "error", "message"),
    [
        (shifted(1), None, GridMismatchError, "contours: the maps lie on different grids"),
        (disc()[1].isel(y=slice(0, 40)), None, GridMismatchError, "different grids"),
        (disc()[1].drop_vars(["y", "x"]), None, SsbmapsError, "coordinate y, x is on one of map and contours only"),
        (disc()[0], None, SsbmapsError, "units 'counts' and no flag_meanings; expected a distance in 'um'"),
        (disc()[1], [40.0], SsbmapsError, "level 40 um lies outside the distances, -1.8"),
        (disc()[1], [], SsbmapsError, "expected one or more numbers"),
        (disc()[1], [np.nan], SsbmapsError, "expected one or more numbers"),
        (disc()[1] * np.nan, None, SsbmapsError, "no pixel holds a distance"),
        (disc()[2], [0.0], SsbmapsError, "labels have boundaries, not levels"),
        (None, [0.0], SsbmapsError, "without contours"),
        (disc()[1].values, None, SsbmapsError, "expected an xarray.DataArray, got ndarray"),
    ],
)
def test_what_cannot_be_drawn_is_said(contours: object, levels: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        figures.map_figure(disc()[0], contours=contours, levels=levels)  # type: ignore[arg-type]
