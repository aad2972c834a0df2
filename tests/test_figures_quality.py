"""The figure of a section's quality: panels hold the data, the table the words, everything lies on the page without overlap."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from ssbmaps import SsbmapsError, figures
from ssbmaps.figures._quality_table import Row, value_with_error
from ssbmaps.figures._style import UNMEASURED
from ssbmaps.interfaces._quality import WORDING

# name, quantity, unit, finding, value, error, p: every kind of number, two flags
CHECKS = [
    ("curtaining", "strongest stripes", "1", "power of stripes along 60° from x towards y exceeds", 0.031, 0.0042, 0.0025),
    ("redeposition", "milling ion near edges", "1", "Ga+ is stronger within 0.89 um of edges", 0.02, 0.031, 0.3),
    ("shadowing", "brightest over mean signal", "1", "around 9 particles the signal is higher", 0.0012, 0.0036, 0.89),
    ("mass_shift", "shift of the peaks between places", "ppm", "peaks shift from place to place", 12.117, 0.31, 1e-9),
    ("mass_width", "change of the peaks' width", "1", "peaks change in width", 0.001, 0.0059, 0.47),
    ("edge_position", "shift of the edge", "um", "the edge moves outwards", -0.0044, 0.0021, 0.08),
    ("edge_width", "change of the edge's width", "um", "the edge's width goes up", 1.4, 0.1, 0.6),
    ("edge_direction", "edge width across", "1", "the edge is wider", 1.026, 0.02, 0.44),
    ("particle_shape", "mean aspect ratio", "1", "particles are elongated", 1.03, 0.012, 0.099),
]
PANELS = ["curtaining", "edge_position", "edge_width", "particle_shape", "mass_shift", "mass_width"]


def quality(untestable: tuple[str, ...] = ()) -> xr.Dataset:
    """The table of all nine checks with data for six panels; some checks not testable, as section_quality says it."""
    names = [c[0] for c in CHECKS]
    testable = np.array([n not in untestable for n in names])
    numbers = {k: np.where(testable, [c[i] for c in CHECKS], np.nan) for k, i in (("value", 4), ("value_sd", 5), ("p_value", 6))}
    findings = [c[3] if t else "not testable: no reason but the test's" for c, t in zip(CHECKS, testable, strict=True)]
    scan = np.arange(5.0)
    angle = np.arange(0, 180, 2.5)
    tiles = np.linspace(-20, 30, 30).reshape(5, 6)
    tiles[2, 3] = np.nan
    rng = np.random.default_rng(1)
    turn, stretch = rng.uniform(0, 2 * np.pi, 11), rng.uniform(0.02, 0.2, 11)
    return xr.Dataset(
        {
            **{k: ("check", v) for k, v in numbers.items()},
            "direction": ("check", np.where(np.isin(names, ["curtaining", "particle_shape"]), 60.0, np.nan)),
            "flagged": ("check", (numbers["p_value"] <= 0.01).astype(np.int8)),
            "testable": ("check", testable.astype(np.int8)),
            "stripe_excess": ("stripe_angle", 0.1 + 0.5 * np.exp(-(((angle - 60) / 5) ** 2))),
            "edge_offset": ("scan_group", 0.002 * scan),
            "edge_offset_sd": ("scan_group", np.full(5, 0.001)),
            "edge_sigma": ("scan_group", 0.09 + 0.001 * scan),
            "edge_sigma_sd": ("scan_group", np.full(5, 0.002)),
            "elongation_cos": ("particle", stretch * np.cos(turn)),
            "elongation_sin": ("particle", stretch * np.sin(turn)),
            "mass_shift_map": (("tile_y", "tile_x"), tiles),
            "mass_width_map": (("tile_y", "tile_x"), tiles / 200),
        },
        {
            "check": names,
            "quantity": ("check", [c[1] for c in CHECKS]),
            "value_units": ("check", [c[2] for c in CHECKS]),
            "finding": ("check", findings),
            "scan_group": scan,
            "stripe_angle": angle,
            "tile_y": [0.8, 2.4, 4.0, 5.6, 6.8],  # the last tile is 0.8 um high, the others 1.6
            "tile_x": 0.8 + 1.6 * np.arange(6),
        },
        {"false_alarms": 0.01, "wording": WORDING},
    )


def plots(fig: object, label: str) -> object:
    """The axes with this label of y."""
    return next(a for a in fig.axes if a.get_ylabel() == label)  # type: ignore[attr-defined]


def line(axes: object, gid: str) -> object:
    return next(one for one in axes.get_lines() if one.get_gid() == gid)  # type: ignore[attr-defined]


def words(fig: object) -> str:
    return " ".join(t.get_text() for t in fig.texts)  # type: ignore[attr-defined]


def marks(fig: object) -> dict[str, list]:
    found: dict[str, list] = {}
    for one in fig.artists:  # type: ignore[attr-defined]
        if str(one.get_gid()).startswith("mark "):
            found.setdefault(one.get_gid()[5:], []).append(one)
    return found


def test_the_curves_are_the_data() -> None:
    given = quality()
    fig = figures.quality_figure(given)
    stripes = line(plots(fig, "excess power (%)"), "stripes")
    np.testing.assert_allclose(stripes.get_xdata()[1:-1], given.stripe_angle)
    np.testing.assert_allclose(stripes.get_ydata()[1:-1], 100 * given.stripe_excess)
    assert stripes.get_ydata()[-1] == stripes.get_ydata()[1]  # half a turn on, the same direction
    flag = [one for one in plots(fig, "excess power (%)").get_lines() if list(one.get_xdata()) == [60, 60]]
    assert len(flag) == 1
    for label, name in (("position (nm)", "edge_offset"), ("width σ (nm)", "edge_sigma")):
        points, _, (bars,) = plots(fig, label).containers[0]
        np.testing.assert_allclose(points.get_xdata(), given.scan_group)
        np.testing.assert_allclose(points.get_ydata(), 1e3 * given[name])
        ends = np.array([s[:, 1] for s in bars.get_segments()])
        np.testing.assert_allclose(np.ptp(ends, axis=1), 2e3 * given[f"{name}_sd"])
    shape = plots(fig, "aspect ratio")
    turn, aspect = np.radians(2 * line(shape, "particles").get_xdata()), np.log(line(shape, "particles").get_ydata())
    np.testing.assert_allclose(aspect * np.cos(turn), given.elongation_cos, atol=1e-12)
    np.testing.assert_allclose(aspect * np.sin(turn), given.elongation_sin, atol=1e-12)
    mean = shape.containers[0][0]
    assert (mean.get_xdata()[0], mean.get_ydata()[0]) == (60.0, 1.03)
    assert shape.get_ylim()[0] <= 1
    assert shape.get_ylim()[1] >= np.exp(aspect).max()


@pytest.mark.parametrize(("name", "factor"), [("mass_shift", 1), ("mass_width", 100)])
def test_the_maps_lie_where_the_tiles_do_and_colours_are_symmetric(name: str, factor: float) -> None:
    given = quality()
    fig = figures.quality_figure(given)
    mesh = next(m for a in fig.axes for m in a.collections if m.get_gid() == f"{name}_map")
    image = np.ma.filled(mesh.get_array(), np.nan)
    np.testing.assert_allclose(image, factor * given[f"{name}_map"])
    most = 30.0 if name == "mass_shift" else 15.0
    assert (mesh.norm.vmin, mesh.norm.vmax) == pytest.approx((-most, most))
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(corners[:, 0, 1], [0, 1.6, 3.2, 4.8, 6.4, 7.2], atol=1e-12)
    np.testing.assert_allclose(corners[0, :, 0], 1.6 * np.arange(7), atol=1e-12)
    low, high = mesh.axes.get_ylim()
    assert (low, high) == pytest.approx((7.2, 0))  # y runs downwards
    assert to_hex(mesh.axes.get_facecolor()) == UNMEASURED
    assert "too few counts in the tile" in words(fig)
    box = mesh.axes.get_window_extent()
    assert box.height / box.width == pytest.approx(7.2 / 9.6, rel=1e-6)


def test_the_table_says_what_was_found_and_claims_no_more() -> None:
    fig = figures.quality_figure(quality(("shadowing",)))
    said = words(fig)
    assert "power of stripes along 60° from x towards y exceeds" in said
    assert "peaks shift from place to place" in said
    assert "the edge moves outwards" not in said  # nothing beyond chance: the quantity instead
    assert "shift of the edge" in said
    assert "not testable: no reason but the test's" in said
    for number in (
        "0.0310 ± 0.0042",
        "12.12 ± 0.31 ppm",
        "−4.4 ± 2.1 nm",
        "1.40 ± 0.10 µm",
        "1.030 ± 0.012",
        "0.0025",
        "< 0.001",
    ):
        assert number in said
    assert WORDING in re.sub(r"\s+", " ", said)
    assert "flagged, p ≤ 0.01" in said


def test_marks_tell_flags_from_none_and_from_no_test_without_colour() -> None:
    found = marks(figures.quality_figure(quality(("shadowing", "mass_width"))))
    assert set(found) == {c[0] for c in CHECKS}
    for name, drawn in found.items():
        assert len(drawn) == (2 if name in PANELS and name != "mass_width" else 1), name  # beside its panel and in the table
        if name in ("shadowing", "mass_width"):
            assert drawn[0].get_marker() == "None"
        else:
            assert drawn[0].get_marker() == "o"
            assert (drawn[0].get_markerfacecolor() == "none") == (name not in ("curtaining", "mass_shift"))


def test_signs_that_do_not_occur_are_not_explained() -> None:
    given = quality(("curtaining", "mass_shift", "mass_width", "edge_position", "edge_width", "particle_shape"))
    fig = figures.quality_figure(given)
    assert fig.axes == []
    for word in ("filled circle", "diamond", "bars", "too few", "directions"):
        assert word not in words(fig)
    assert "open circle" in words(fig)
    all_there = words(figures.quality_figure(quality()))
    assert "dash" not in all_there
    assert "diamond: mean over the particles" in all_there


@pytest.mark.parametrize("width", [82.55, 90.0, 171.0, 190.0])
@pytest.mark.parametrize("untestable", [(), ("mass_shift", "mass_width"), tuple(PANELS[1:])])
def test_nothing_overlaps_or_leaves_the_page(width: float, untestable: tuple[str, ...]) -> None:
    """Texts of the page and the panels with all their numbers and labels, against one another and against the edges."""
    fig = figures.quality_figure(quality(untestable))
    fig.fit_width(width)
    fig.canvas.draw()
    renderer = fig.canvas.get_renderer()
    boxes = [t.get_window_extent(renderer) for t in fig.texts if t.get_text()]
    boxes += [a.get_tightbbox(renderer) for a in fig.axes]
    slack = 0.3 / 25.4 * fig.dpi  # 0.3 mm
    for box in boxes:
        assert box.x0 > -slack
        assert box.x1 < fig.bbox.x1 + slack
        assert box.y0 > -slack
        assert box.y1 < fig.bbox.y1 + slack
    for one, other in combinations(boxes, 2):
        wide = min(one.x1, other.x1) - max(one.x0, other.x0)
        high = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(wide, high) < 2.5 * slack, (one, other)
    for axes in fig.axes:
        if axes.get_ylabel():
            label = axes.yaxis.label.get_window_extent(renderer)
            numbers = [t.get_window_extent(renderer) for t in axes.get_yticklabels() if t.get_text()]
            assert label.x1 < min(n.x0 for n in numbers) + slack


def test_one_column_puts_the_words_under_the_numbers() -> None:
    fig = figures.quality_figure(quality())
    wide = fig.get_figheight()
    assert fig.get_figwidth() == pytest.approx(171 / 25.4)
    fig.fit_width(83)
    assert wide < fig.get_figheight() <= 230 / 25.4
    name = next(t for t in fig.texts if t.get_text() == "redeposition")
    under = next(t for t in fig.texts if t.get_text() == "milling ion near edges")
    assert under.get_position()[1] < name.get_position()[1]
    assert under.get_position()[0] == pytest.approx(name.get_position()[0])


def test_what_is_taller_than_a_page_is_refused_and_two_columns_still_work(tmp_path: Path) -> None:
    long = quality()
    long["quantity"] = ("check", ["a long tale of what was measured " * 8] * 9)
    fig = figures.quality_figure(long)
    with pytest.raises(SsbmapsError, match=r"9 checks take \d+ mm at a width of 83 mm, a page has 230 mm; save .* \(columns=2\)"):
        figures.save(fig, tmp_path / "a.png", columns=1)
    assert not list(tmp_path.iterdir())
    assert figures.save(fig, tmp_path / "a.pdf", columns=2).stat().st_size > 0
    figures.save(figures.quality_figure(long.sel(check=["curtaining"])), tmp_path / "b.pdf", columns=1)


def test_some_checks_are_drawn_alone_and_the_input_stays() -> None:
    given = quality()
    before = given.copy(deep=True)
    fig = figures.quality_figure(given.sel(check=["edge_width", "curtaining"]))
    assert [a.get_ylabel() for a in fig.axes] == ["excess power (%)", "width σ (nm)"]
    bare = figures.quality_figure(given.drop_dims("particle"))
    assert "aspect ratio" not in [a.get_ylabel() for a in bare.axes]
    figures.quality_figure(given.transpose("tile_x", ...))
    xr.testing.assert_identical(given, before)


def test_what_is_no_quality_is_said() -> None:
    with pytest.raises(SsbmapsError, match=r"p_value missing; expected the Dataset that interfaces\.section_quality returns"):
        figures.quality_figure(quality().drop_vars("p_value"))
    with pytest.raises(SsbmapsError, match=r"missing; expected the Dataset .*, got list"):
        figures.quality_figure([1])
    with pytest.raises(SsbmapsError, match=r"without the one dimension check; pick checks with a list"):
        figures.quality_figure(quality().sel(check="curtaining"))
    with pytest.raises(SsbmapsError, match="no check is left"):
        figures.quality_figure(quality().isel(check=slice(0)))
    stripped = quality()
    del stripped.attrs["wording"]
    with pytest.raises(SsbmapsError, match="attribute wording missing"):
        figures.quality_figure(stripped)


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [(0.0, 0.8, "0.00 ± 0.80"), (-0.0004, 0.01, "0.000 ± 0.010"), (12.117, 3.14, "12.1 ± 3.1"), (5.0, np.nan, "5")],
)
def test_errors_have_two_digits_and_values_the_same_places(value: float, error: float, said: str) -> None:
    assert value_with_error(value, error) == said


def test_words_are_printed_as_they_are_meant() -> None:
    row = Row("a_b", "in um, $5", "um", "", 1e-5, 2e-6, 0.0425, flagged=False, testable=True)
    assert (row.title, row.words, row.number, row.p_text) == ("a b", r"in µm, \$5", "0.0100 ± 0.0020 nm", "0.043")
